"""Read numbers from the headers of compressed video, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator


class UnusualError(Exception):
    """The data is legal, but uses a feature that is not read here."""


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
    """Remove emulation prevention from a NAL unit (00 00 03 becomes 00 00; H.264, 7.4.1)."""
    return nal.replace(b"\0\0\3", b"\0\0")


def nal_units(data: bytes, length_size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the NAL units in a packet.

    A unit that is cut off by the end of the data is included.

    Args:
        data: the packet.
        length_size: size of the length field before each unit, as in mp4 (ISO/IEC 14496-15); 0 for
            the start codes of Annex B.
    """
    position = 0
    while length_size and position + length_size < len(data):
        start = position + length_size
        position = start + int.from_bytes(data[position:start], "big")
        if position > start:
            yield start, min(position, len(data))
    code = -1 if length_size else data.find(b"\0\0\1")
    while code >= 0:
        following = data.find(b"\0\0\1", code + 3)
        end = len(data) if following < 0 else following
        if end > code + 3:
            yield code + 3, end
        code = following
