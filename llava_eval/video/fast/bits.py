"""Read numbers from the headers of compressed video, bit by bit."""

from __future__ import annotations


class BitReader:
    """Bits of ``data``, most significant first; reading past the end raises EOFError.

    Args:
        data: the bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """Return the next ``count`` bits as an unsigned number."""
        if count > self._left:
            raise EOFError("the header ends early")
        self._left -= count
        return (self._number >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Return the next bit."""
        return self.bits(1) == 1

    def ue(self) -> int:
        """Return an unsigned Exp-Golomb number (H.264 and H.265, 9.1 and 9.2)."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + (self.bits(zeros) if zeros else 0)

    def se(self) -> int:
        """Return a signed Exp-Golomb number."""
        number = self.ue()
        return (number + 1) // 2 if number % 2 else -(number // 2)


def unescape(nal: bytes) -> bytes:
    """Return a NAL unit without emulation prevention (00 00 03 becomes 00 00; H.264, 7.4.1)."""
    return nal.replace(b"\0\0\3", b"\0\0")


def nal_units(data: bytes, length_size: int) -> list[tuple[int, int]]:
    """Return (start, end) of the NAL units in a packet.

    A unit that is cut off by the end of the data is included.

    Args:
        data: the packet.
        length_size: size of the length field before each unit, as in mp4 (ISO/IEC 14496-15); 0 for
            the start codes of Annex B.
    """
    return _by_start_code(data) if length_size == 0 else _by_length(data, length_size)


def well_formed(data: bytes, length_size: int) -> bool:
    """Return whether the lengths before the NAL units add up to the size of ``data``."""
    position = 0
    while length_size and position < len(data):
        start = position + length_size
        position = start + int.from_bytes(data[position:start], "big")
    return length_size == 0 or position == len(data)


def _by_length(data: bytes, length_size: int) -> list[tuple[int, int]]:
    units = []
    position = 0
    while position + length_size < len(data):
        start = position + length_size
        position = start + int.from_bytes(data[position:start], "big")
        if position > start:
            units.append((start, min(position, len(data))))
    return units


def _by_start_code(data: bytes) -> list[tuple[int, int]]:
    units = []
    code = data.find(b"\0\0\1")
    while code >= 0:
        following = data.find(b"\0\0\1", code + 3)
        end = len(data) if following < 0 else following
        if end > code + 3:
            units.append((code + 3, end))
        code = following
    return units
