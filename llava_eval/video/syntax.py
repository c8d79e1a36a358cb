"""What the compressed packets of a codec say about themselves, without decoding them.

Two questions decide which packets a decoder has to be given to show one frame exactly:

* may decoding begin at this packet, so that it and all that is shown after it come out as in a
  decode from the start of the file (:meth:`Syntax.entry`)?
* may this packet be left out, because no other frame refers to it
  (:meth:`Syntax.disposable_layer`)?

A codec that :func:`llava_eval.video.codecs.syntax_for` does not know is decoded sequentially.
"""

from __future__ import annotations

from enum import Enum


class Entry(Enum):
    """Whether decoding may begin at a keyframe."""

    NO = "no"
    CLOSED = "closed"
    """Nothing that follows is shown before it."""
    OPEN = "open"
    """Pictures that follow may be shown before it; those must not be decoded from here."""


class Syntax:
    """The questions, answered for codecs whose packets are all independent (mjpeg, png, ...)."""

    #: Most packets by which decoding order can differ from the order shown.
    max_reorder = 0

    #: Are there packets at all that no other refers to?
    has_disposable = True

    #: Does every packet show a frame?
    shows_every_packet = True

    def entry(self, packet: bytes) -> Entry:
        """May decoding begin at this packet, which the container calls a keyframe?"""
        return Entry.CLOSED

    def disposable_layer(self, packet: bytes) -> int | None:
        """The temporal layer of a packet that no other of its layer refers to, else None.

        It may be left out if the stream has no higher layer.
        """
        return 0

    def layer(self, packet: bytes) -> int:
        """The temporal layer of a packet."""
        return 0

    def shows(self, first: int, last: int) -> bool:
        """Does decoding a packet with this first and last byte show a frame?"""
        return True

    #: Can a packet be seen to be damaged?
    can_be_implausible = False

    def plausible(self, packet: bytes) -> bool:
        """Is the packet well-formed as far as its outer structure tells?"""
        return True

    @property
    def is_simple(self) -> bool:
        """Is a packet understood from its first and last byte, and shown in the order stored?"""
        return self.max_reorder == 0 and not self.can_be_implausible

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
