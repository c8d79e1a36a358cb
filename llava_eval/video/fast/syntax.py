"""Read facts about a codec's compressed packets without decoding them.

Two questions decide which packets a decoder must be given to show one frame exactly:

* May decoding begin at this packet, so that it and all frames shown after it are the same as in a
  decode from the start of the file (:meth:`Syntax.entry_kind`)?
* May this packet be left out, because no other frame refers to it
  (:meth:`Syntax.packet_info`), or because no requested frame does (:meth:`Syntax.frames`)?

A codec that :func:`llava_eval.video.fast.source.syntax_for` does not know is decoded sequentially.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from llava_eval.video.fast.bits import BitReader
from llava_eval.video.fast.picture_order import PictureOrder
from llava_eval.video.fast.references import Frame


class EntryKind(Enum):
    """Whether decoding may begin at a keyframe."""

    NO = "no"
    CLOSED = "closed"
    """No later packet is shown before it."""
    OPEN = "open"
    """Later pictures may be shown before it; these must not be decoded from here."""


class PacketInfo(NamedTuple):
    """A packet's importance for other packets.

    Attributes:
        layer: its temporal layer.
        is_disposable: no other packet of its layer refers to it. It may be left out if the stream
            has no higher layer.
    """

    layer: int
    is_disposable: bool


#: Why frames are not counted across the end of a sequence.
SEVERAL_SEQUENCES = "the stream is several sequences put together"

#: Why frames are not counted from packets if some packets do not show exactly one frame.
NOT_ONE_EACH = "packets show no frame or several"

#: Packets of streams without layers.
DISPOSABLE, NEEDED = PacketInfo(0, True), PacketInfo(0, False)


class Syntax:
    """The answers for codecs whose packets are all independent (mjpeg, png, ...).

    Attributes:
        max_reorder: most packets by which decoding order can differ from the order shown; if it
            is 0, a packet's first and last byte contain all needed facts.
        shows_every_packet: every packet shows a frame.
        info: the result of :meth:`packet_info` for every packet if ``max_reorder`` is 0.
        states_references: packets state which others they refer to; :meth:`frames` returns that.
        states_reorder: the stream states by how many packets its frames are reordered.
        stated_reorder: most frames stored before a frame but shown after it; None if not known.
        marks_leading: packets state that they are shown before the keyframe that they follow,
            which may hide them.
        distrust: why frames cannot be counted from packets; None if they can.
    """

    max_reorder = 0
    shows_every_packet = True
    info = DISPOSABLE
    states_references = False
    states_reorder = True
    stated_reorder: int | None = None
    marks_leading = False
    distrust: str | None = None

    def entry_kind(self, packet: bytes) -> EntryKind:
        """Return whether decoding may begin at a packet that the container calls a keyframe."""
        return EntryKind.CLOSED

    def packet_info(self, packet: bytes) -> PacketInfo | None:
        """Return a packet's importance for others; None if it is visibly damaged.

        Args:
            packet: its bytes; may be empty if :attr:`max_reorder` is 0.
        """
        return self.info

    def frames(self, packet: bytes) -> Sequence[Frame] | None:
        """Return the frames of a packet with their references; None if they cannot be read."""
        return None

    def shows(self, first: int, last: int) -> bool:
        """Return whether decoding a packet with this first and last byte shows a frame."""
        return True

    def num_shown(self, packet: bytes) -> int:
        """Return how many frames a packet shows according to its headers."""
        return int(self.shows(packet[0], packet[-1]))

    def keyframe_distrust(self, packet: bytes, *, is_first: bool) -> str | None:
        """Return why frames cannot be counted across this keyframe; None if they can."""
        if is_first and self.entry_kind(packet) is not EntryKind.CLOSED:
            return "the first packet is no place to begin decoding"
        return None

    def parameters(self, packet: bytes) -> bytes:
        """Return the parameter sets that a keyframe repeats in the stream; empty if none."""
        return b""

    def is_leading(self, packet: bytes) -> bool:
        """Return whether a packet states that it is shown before the keyframe that it follows."""
        return False

    def hidden_at_start(self, packet: bytes) -> bool:
        """Return whether a leading packet is not shown because its keyframe begins the stream."""
        return False

    def picture_order(self, packet: bytes) -> PictureOrder | None:
        """Return a picture's place in the order; None if it cannot or need not be read.

        Args:
            packet: all or the first of its bytes.
        """
        return None

    def ends_sequence(self, packet_end: bytes) -> bool:
        """Return whether the last bytes of a packet make the next keyframe hide leading packets."""
        return False


class Vp8(Syntax):
    """VP8: a packet may contain a frame that is only a reference and never shown.

    The frame tag (RFC 6386, 9.1) is little-endian: bit 0 of the first byte is clear in key frames,
    bit 4 is show_frame.
    """

    shows_every_packet = False
    info = NEEDED

    def entry_kind(self, packet: bytes) -> EntryKind:
        return EntryKind.CLOSED if packet[:1] and packet[0] & 0x01 == 0 else EntryKind.NO

    def shows(self, first: int, last: int) -> bool:
        return first & 0x10 != 0


class Vp9(Syntax):
    """VP9: hidden frames are packed together with a shown one in a superframe.

    Frames that no other refers to still pass on probabilities, so none can be left out.
    """

    shows_every_packet = False
    info = NEEDED

    def entry_kind(self, packet: bytes) -> EntryKind:
        if not packet:
            return EntryKind.NO
        # uncompressed_header() of the VP9 bitstream specification, 6.2
        bits = BitReader(packet[:2])
        bits.bits(2)  # frame_marker
        low, high = bits.bits(1), bits.bits(1)
        if low and high:
            bits.bits(1)  # reserved_zero of profile 3
        show_existing, not_key = bits.flag(), bits.flag()
        return EntryKind.NO if show_existing or not_key else EntryKind.CLOSED

    def num_shown(self, packet: bytes) -> int:
        mark = packet[-1]
        width, count = (mark >> 3 & 3) + 1, (mark & 7) + 1  # of the index, Annex B
        sizes = packet[-1 - width * count : -1]
        if mark & 0xE0 != 0xC0 or packet[-2 - width * count : -1 - width * count] != packet[-1:]:
            return super().num_shown(packet)
        num_shown = position = 0
        for start in range(0, len(sizes), width):
            first = packet[position : position + 1]
            num_shown += bool(first) and self.shows(first[0], 0)
            position += int.from_bytes(sizes[start : start + width], "little")
        return num_shown

    def shows(self, first: int, last: int) -> bool:
        # a superframe ends with an index whose first bits are 0b110 (Annex B), and shows its last
        # frame
        if last & 0xE0 == 0xC0:
            return True
        # show_existing_frame or show_frame, which profile 3 has one bit later
        return first & (0x05 if first & 0x30 == 0x30 else 0x0A) != 0
