"""The syntax of each codec whose packets can be counted and skipped."""

from __future__ import annotations

from collections.abc import Callable

from llava_eval.video.fast import av1
from llava_eval.video.fast.bits import BitReader
from llava_eval.video.fast.h26x import H264, Hevc
from llava_eval.video.fast.syntax import NEEDED, Entry, Look, Syntax


class Vp8(Syntax):
    """VP8: packets may hold a frame that is only a reference and never shown."""

    shows_every_packet = False

    def look(self, packet: bytes) -> Look:
        return NEEDED

    def entry(self, packet: bytes) -> Entry:
        return Entry.CLOSED if packet[:1] and packet[0] & 0x01 == 0 else Entry.NO

    def shows(self, first: int, last: int) -> bool:
        return first & 0x10 != 0


class Vp9(Syntax):
    """VP9: hidden frames are packed together with a shown one in a superframe.

    Frames without a reference to them still carry probabilities on, so none can be left out.
    """

    shows_every_packet = False

    def look(self, packet: bytes) -> Look:
        return NEEDED

    def entry(self, packet: bytes) -> Entry:
        if not packet:
            return Entry.NO
        bits = BitReader(packet[:2])
        _skip_vp9_profile(bits)
        show_existing, not_key = bits.flag(), bits.flag()
        return Entry.NO if show_existing or not_key else Entry.CLOSED

    def shows(self, first: int, last: int) -> bool:
        if last & 0xE0 == 0xC0:  # a superframe ends with the frame that is shown
            return True
        # an earlier frame is shown again, or this one is; profile 3 has one bit more before
        return first & (0x05 if first & 0x30 == 0x30 else 0x0A) != 0


def _skip_vp9_profile(bits: BitReader) -> None:
    bits.bits(2)
    low, high = bits.bits(1), bits.bits(1)
    if low and high:
        bits.bits(1)


class Av1(Syntax):
    """AV1 temporal units: each shows one frame and may hold hidden ones."""

    states_references = True

    def __init__(self, extradata: bytes) -> None:
        self._header = av1.sequence_header(extradata[4:]) if extradata[:1] == b"\x81" else None

    def look(self, packet: bytes) -> Look:
        return NEEDED

    def entry(self, packet: bytes) -> Entry:
        return Entry.CLOSED if av1.starts_with_shown_key_frame(packet) else Entry.NO

    def frames(self, packet: bytes) -> list[av1.Frame] | None:
        if self.entry(packet) is Entry.CLOSED:
            self._header = av1.sequence_header(packet) or self._header
        return None if self._header is None else av1.frames_of(packet, self._header)


_SYNTAXES: dict[str, Callable[[bytes], Syntax]] = {
    "h264": H264,
    "hevc": Hevc,
    "vp8": lambda _: Vp8(),
    "vp9": lambda _: Vp9(),
    "av1": Av1,
}

#: Codecs whose every packet is a whole, independent, shown picture.
_INTRA_ONLY = frozenset(
    {"dnxhd", "dvvideo", "ffvhuff", "huffyuv", "mjpeg", "png", "prores", "rawvideo", "utvideo"}
)


def syntax_for(codec: str, extradata: bytes) -> Syntax | None:
    """The syntax of a codec by libav's canonical name, None if it is not known here."""
    if codec in _SYNTAXES:
        return _SYNTAXES[codec](extradata)
    return Syntax() if codec in _INTRA_ONLY else None
