"""What the compressed packets of a codec say about themselves, without decoding them.

Two questions decide which packets a decoder has to be given to show one frame exactly:

* may decoding begin at this packet, so that it and all that is shown after it come out as in a
  decode from the start of the file (:meth:`Syntax.entry`)?
* may this packet be left out, because no other frame refers to it
  (:meth:`Syntax.look`), or because no frame that is asked for does (:meth:`Syntax.frames`)?

A codec that :func:`llava_eval.video.fast.codecs.syntax_for` does not know is decoded sequentially.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llava_eval.video.fast.av1 import Frame


class Entry(Enum):
    """Whether decoding may begin at a keyframe."""

    NO = "no"
    CLOSED = "closed"
    """Nothing that follows is shown before it."""
    OPEN = "open"
    """Pictures that follow may be shown before it; those must not be decoded from here."""


class Look(NamedTuple):
    """How much a packet matters to others.

    Attributes:
        layer: its temporal layer.
        is_disposable: no other packet of its layer refers to it. It may be left out if the stream
            has no higher layer.
    """

    layer: int
    is_disposable: bool


#: Packets of streams without layers.
DISPOSABLE, NEEDED = Look(0, True), Look(0, False)


class Syntax:
    """The questions, answered for codecs whose packets are all independent (mjpeg, png, ...)."""

    #: Most packets by which decoding order can differ from the order shown.
    max_reorder = 0

    #: Does every packet show a frame?
    shows_every_packet = True

    def entry(self, packet: bytes) -> Entry:
        """May decoding begin at this packet, which the container calls a keyframe?"""
        return Entry.CLOSED

    def look(self, packet: bytes) -> Look | None:
        """How much the packet matters to others; None if it is damaged as far as one can see.

        Where :attr:`is_opaque`, the packet may be empty.
        """
        return DISPOSABLE

    #: Do packets state which others they refer to, so that :meth:`frames` can tell?
    states_references = False

    def frames(self, packet: bytes) -> Sequence[Frame] | None:
        """The frames of a packet and what they refer to, None if that cannot be read."""
        return None

    def shows(self, first: int, last: int) -> bool:
        """Does decoding a packet with this first and last byte show a frame?"""
        return True

    #: Does :meth:`look` say the same of every packet?
    is_opaque = True

    @property
    def is_simple(self) -> bool:
        """Is a packet understood from its first and last byte, and shown in the order stored?"""
        return self.max_reorder == 0 and self.is_opaque

    #: Why frames cannot be counted from packets, None if they can.
    distrust: str | None = None

    #: Does the stream state by how many packets its frames are reordered?
    states_reorder = True

    #: Can a keyframe hide frames, so that all of them have to be looked at?
    keyframes_may_hide_frames = False

    def keyframe_distrust(self, packet: bytes, *, is_first: bool) -> str | None:
        """Why frames cannot be counted across this keyframe, None if they can."""
        if is_first and self.entry(packet) is not Entry.CLOSED:
            return "the first packet is no place to begin decoding"
        return None

    def parameters(self, packet: bytes) -> bytes:
        """The parameter sets that a keyframe repeats within the stream, empty if it does not."""
        return b""

    #: Do packets themselves say that they are shown before the keyframe that they follow?
    marks_leading = False

    def is_leading(self, packet: bytes) -> bool:
        """Does it say that it is shown before the keyframe that it follows?"""
        return False

    def hidden_at_start(self, packet: bytes) -> bool:
        """Is it a leading packet that is not shown because its keyframe begins the stream?"""
        return False

    def ends_sequence(self, packet_end: bytes) -> bool:
        """Is this the end of a packet whose last mark makes keyframes hide leading packets?"""
        return False
