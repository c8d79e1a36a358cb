"""H.264 and HEVC packets, in the form of mp4 and mkv (lengths) and of Annex B (start codes)."""

from __future__ import annotations

from typing import NamedTuple

from llava_eval.video.fast.bits import BitReader, nal_units, unescape, well_formed
from llava_eval.video.fast.syntax import DISPOSABLE, NEEDED, Entry, Look, Syntax


class H264(Syntax):
    """H.264. A keyframe of the container may be an IDR picture, a recovery point, or neither."""

    max_reorder = 16
    is_opaque = False

    def __init__(self, extradata: bytes) -> None:
        is_avcc = len(extradata) > 6 and extradata[0] == 1
        self.length_size = (extradata[4] & 3) + 1 if is_avcc else 0
        try:
            sps = _parse_sps(_first_sps(extradata, self.length_size))
        except EOFError:
            self.distrust = "no readable sequence parameter set"
            return
        if not sps.frames_only:
            self.distrust = "interlaced h264 may hold its fields in packets of their own"
        self.states_reorder = sps.states_reorder

    def entry(self, packet: bytes) -> Entry:
        for start, end in nal_units(packet, self.length_size):
            kind = packet[start] & 31
            if kind == 5:
                return Entry.CLOSED
            if kind == 6 and _is_exact_recovery_point(unescape(packet[start + 1 : end])):
                return Entry.OPEN
            if 1 <= kind <= 4:
                break
        return Entry.NO

    def parameters(self, packet: bytes) -> bytes:
        return b"".join(
            packet[start:end]
            for start, end in nal_units(packet, self.length_size)
            if packet[start] & 31 == 7
        )

    def look(self, packet: bytes) -> Look | None:
        kinds = 0  # of slices: 1 for references, 2 for others (nal_ref_idc 0)
        end = len(packet)
        if self.length_size:
            # one pass, as this is asked of every packet
            size, position = self.length_size, 0
            while position < end:
                start = position + size
                position = start + int.from_bytes(packet[position:start], "big")
                if start < end and start < position and 1 <= packet[start] & 31 <= 5:
                    kinds |= 1 if packet[start] & 0x60 else 2
            if position != end:
                return None
        else:
            for start, _ in nal_units(packet, 0):
                if 1 <= packet[start] & 31 <= 5:
                    kinds |= 1 if packet[start] & 0x60 else 2
        if not kinds:
            return None
        return NEEDED if kinds & 1 else DISPOSABLE


class Hevc(Syntax):
    """HEVC. Keyframes may have leading pictures, which are shown before them."""

    max_reorder = 16
    is_opaque = False
    keyframes_may_hide_frames = True
    marks_leading = True

    def __init__(self, extradata: bytes) -> None:
        is_hvcc = len(extradata) > 22 and extradata[0] in (0, 1) and extradata[:3] != b"\0\0\1"
        is_hvcc = is_hvcc and extradata[:4] != b"\0\0\0\1"
        self.length_size = (extradata[21] & 3) + 1 if is_hvcc else 0
        self._seen: tuple[bytes, _Picture | None] = (b"", None)

    def entry(self, packet: bytes) -> Entry:
        picture = self._picture(packet)
        if picture is None or not 16 <= picture.kind <= 21:
            return Entry.NO
        return Entry.CLOSED if picture.kind == 20 else Entry.OPEN

    def parameters(self, packet: bytes) -> bytes:
        return b"".join(
            packet[start:end]
            for start, end in nal_units(packet, self.length_size)
            if packet[start] >> 1 & 63 == 33
        )

    def look(self, packet: bytes) -> Look | None:
        picture = self._picture(packet)
        if picture is None or not well_formed(packet, self.length_size):
            return None
        # even types up to 14: no reference for pictures of the same temporal layer
        return Look(picture.layer, picture.kind <= 14 and picture.kind % 2 == 0)

    def keyframe_distrust(self, packet: bytes, *, is_first: bool) -> str | None:
        picture = self._picture(packet)
        if picture is None or not 16 <= picture.kind <= 21:
            return "a keyframe of the container is not a random access picture"
        if is_first:
            return None
        if picture.kind <= 18:
            return "a broken link (BLA picture) hides frames"
        if picture.kind in (19, 20) and picture.discards_prior:
            return "a keyframe discards frames that were not shown yet"
        return None

    def is_leading(self, packet: bytes) -> bool:
        picture = self._picture(packet)
        return picture is not None and 6 <= picture.kind <= 9

    def hidden_at_start(self, packet: bytes) -> bool:
        picture = self._picture(packet)
        return picture is not None and picture.kind in (8, 9)

    def ends_sequence(self, packet_end: bytes) -> bool:
        # the mark is a NAL unit of two bytes: type 36 or 37, temporal layer 0
        return packet_end[-2:] in (b"\x48\x01", b"\x4a\x01") and (
            self.length_size == 0
            or packet_end[-2 - self.length_size : -2] == (2).to_bytes(self.length_size, "big")
        )

    def _picture(self, packet: bytes) -> _Picture | None:
        if packet is not self._seen[0]:  # the same packet is asked about several times in a row
            self._seen = packet, self._first_picture(packet)
        return self._seen[1]

    def _first_picture(self, packet: bytes) -> _Picture | None:
        size = self.length_size
        position = 0
        while size and position + size + 2 < len(packet):  # as below, without looking further
            start = position + size
            kind = packet[start] >> 1 & 63
            if kind < 32:
                return _Picture(kind, packet[start + 1] & 7, packet[start + 2] & 0x40 != 0)
            position = start + int.from_bytes(packet[position:start], "big")
        for start, end in () if size else nal_units(packet, 0):
            kind = packet[start] >> 1 & 63
            if kind < 32 and end - start > 2:
                return _Picture(kind, packet[start + 1] & 7, packet[start + 2] & 0x40 != 0)
        return None


class _Picture(NamedTuple):
    """NAL unit type, temporal layer, and no_output_of_prior_pics_flag of a first slice."""

    kind: int
    layer: int
    discards_prior: bool


class _Sps(NamedTuple):
    """What matters of an H.264 sequence parameter set."""

    frames_only: bool
    states_reorder: bool


def _is_exact_recovery_point(sei: bytes) -> bool:
    """Does this SEI hold a recovery point of 0 frames that is exact and no broken link?"""
    position = 0
    while position + 2 < len(sei):
        kind, position = _sei_number(sei, position)
        size, position = _sei_number(sei, position)
        if kind == 6:
            bits = BitReader(sei[position : position + size])
            try:
                return bits.ue() == 0 and bits.flag() and not bits.flag()
            except EOFError:
                return False
        position += size
    return False


def _sei_number(sei: bytes, position: int) -> tuple[int, int]:
    number = 0
    while position < len(sei) and sei[position] == 0xFF:
        number += 255
        position += 1
    return number + (sei[position] if position < len(sei) else 0), position + 1


def _first_sps(extradata: bytes, length_size: int) -> bytes:
    """The first sequence parameter set in avcC or Annex B extradata, unescaped."""
    if length_size and len(extradata) > 8 and extradata[5] & 31:
        size = int.from_bytes(extradata[6:8], "big")
        return unescape(extradata[8 : 8 + size])
    for start, end in nal_units(extradata, 0):
        if extradata[start] & 31 == 7:
            return unescape(extradata[start:end])
    raise EOFError("no sequence parameter set")


def _parse_sps(sps: bytes) -> _Sps:
    bits = BitReader(sps[1:])
    profile = bits.bits(8)
    bits.bits(16)  # constraints, level
    bits.ue()
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = bits.ue()
        if chroma == 3:
            bits.flag()
        bits.ue()  # bit depths
        bits.ue()
        bits.flag()
        if bits.flag():
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    bits.ue()  # log2_max_frame_num
    order_type = bits.ue()
    if order_type == 0:
        bits.ue()
    elif order_type == 1:
        bits.flag()
        bits.se()
        bits.se()
        for _ in range(bits.ue()):
            bits.se()
    bits.ue()  # reference frames
    bits.flag()
    bits.ue()  # width, height
    bits.ue()
    frames_only = bits.flag()
    if not frames_only:
        bits.flag()
    bits.flag()
    if bits.flag():  # cropping
        for _ in range(4):
            bits.ue()
    # order type 2 means: shown in decoding order
    return _Sps(frames_only, order_type == 2 or (bits.flag() and _vui_states_reorder(bits)))


def _vui_states_reorder(bits: BitReader) -> bool:
    """bitstream_restriction_flag of the video usability information."""
    if bits.flag() and bits.bits(8) == 255:  # aspect ratio
        bits.bits(32)
    if bits.flag():  # overscan
        bits.flag()
    if bits.flag():  # video signal type
        bits.bits(4)
        if bits.flag():
            bits.bits(24)
    if bits.flag():  # chroma location
        bits.ue()
        bits.ue()
    if bits.flag():  # timing
        bits.bits(65)
    hrd = [bits.flag() and _skip_hrd(bits), bits.flag() and _skip_hrd(bits)]
    if any(hrd):
        bits.flag()
    bits.flag()  # picture structure
    return bits.flag()


def _skip_hrd(bits: BitReader) -> bool:
    count = bits.ue() + 1
    bits.bits(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.flag()
    bits.bits(20)
    return True


def _skip_scaling_lists(bits: BitReader, count: int) -> None:
    for number in range(count):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last
