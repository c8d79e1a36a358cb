"""The few facts of AV1 bitstream headers that frame-exact seeking needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from llava_eval.video.fast.bits import BitReader

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_UNREAD = frozenset({4, 7, 8})  # frames in several OBUs, tile lists
_KEY_FRAME, _INTRA_ONLY, _SWITCH_FRAME = 0, 2, 3
_SELECT = 2  # "decided per frame"


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """Fields of a sequence header that the layout of frame headers depends on, and all of it."""

    reduced_still_picture: bool
    has_frame_ids: bool
    order_hint_bits: int
    screen_content_tools: int
    integer_motion: int
    content: bytes


def starts_with_shown_key_frame(unit: bytes) -> bool:
    """Does the first frame of this temporal unit begin a new sequence for all that follows?"""
    for kind, _, payload, _ in _obus(unit):
        if kind in (_FRAME_HEADER, _FRAME) and payload < len(unit):
            bits = BitReader(unit[payload : payload + 1])
            show_existing, frame_type, show = bits.flag(), bits.bits(2), bits.flag()
            return not show_existing and frame_type == _KEY_FRAME and show
    return False


def sequence_header(unit: bytes) -> SequenceHeader | None:
    """The sequence header in these OBUs, if there is one that can be read."""
    for kind, _, payload, end in _obus(unit):
        if kind == _SEQUENCE_HEADER:
            try:
                return _parse_sequence_header(unit[payload:end])
            except (EOFError, _UnusualError):
                return None
    return None


class Frame(NamedTuple):
    """What the header of a frame, or of the showing of an earlier one, says about others.

    Attributes:
        start, end: where it lies in its temporal unit.
        is_shown: whether the unit shows it.
        is_key: whether it is a key frame.
        existing: the slot of the earlier frame that is shown, None for a frame of its own.
        refresh: bit i is set if it is stored in slot i.
        references: the slots it may refer to, None if that may be all that came before.
    """

    start: int
    end: int
    is_shown: bool
    is_key: bool
    existing: int | None
    refresh: int
    references: tuple[int, ...] | None


def frames_of(unit: bytes, sequence: SequenceHeader) -> list[Frame] | None:
    """The frames in a temporal unit, None if it has something that is not read here.

    The slots of ``ref_frame_idx`` are all that the decoding of a frame depends on (AV1
    specification, 5.9.2 and 7.20 f.): pixels, probabilities, motion, segmentation, loop filter,
    film grain and order hints are loaded from them. Two rarely used fields go beyond that, and
    so does what scalable streams do.
    """
    frames = []
    try:
        for kind, start, payload, end in _obus(unit):
            if unit[start] & 0x04 or kind in _UNREAD:
                return None
            if kind == _SEQUENCE_HEADER:
                if unit[payload:end] != sequence.content:
                    return None
            elif kind in (_FRAME_HEADER, _FRAME):
                frame = _parse_frame(BitReader(unit[payload : min(end, payload + 32)]), sequence)
                if kind == _FRAME_HEADER and frame.existing is None:
                    return None
                frames.append(frame._replace(start=start, end=end))
    except (EOFError, _UnusualError):
        return None
    return frames


class _UnusualError(Exception):
    """A header that is legal but not read here."""


def _obus(unit: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(type, start, start of the payload, end) of each OBU."""
    position = 0
    while position < len(unit):
        start, header = position, unit[position]
        position += 2 if header & 0x04 else 1
        size = len(unit) - position
        if header & 0x02:
            size, position = _leb128(unit, position)
        yield header >> 3 & 15, start, position, position + size
        position += size


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 56, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return number, position


def _parse_sequence_header(content: bytes) -> SequenceHeader:
    bits = BitReader(content)
    bits.bits(3)  # profile
    bits.flag()  # still picture
    reduced = bits.flag()
    if reduced:
        bits.bits(5)
    else:
        if bits.flag():  # timing info
            bits.bits(64)
            if bits.flag():  # equal picture interval
                bits.ue()
            if bits.flag():  # a decoder model, which moves what follows
                raise _UnusualError
        display_delay = bits.flag()
        for _ in range(bits.bits(5) + 1):
            bits.bits(12)
            if bits.bits(5) > 7:
                bits.flag()
            if display_delay and bits.flag():
                bits.bits(4)
    width_bits, height_bits = bits.bits(4) + 1, bits.bits(4) + 1
    bits.bits(width_bits + height_bits)
    has_ids = not reduced and bits.flag()
    if has_ids:
        bits.bits(7)  # how long they are
    bits.bits(3)  # superblock size, filter intra, intra edge filter
    hint_bits, tools, motion = 0, _SELECT, _SELECT
    if not reduced:
        bits.bits(4)  # interintra, masked compound, warped motion, dual filter
        has_hint = bits.flag()
        if has_hint:
            bits.bits(2)
        if not bits.flag():
            tools = bits.bits(1)
        if tools > 0 and not bits.flag():
            motion = bits.bits(1)
        if has_hint:
            hint_bits = bits.bits(3) + 1
    return SequenceHeader(reduced, has_ids, hint_bits, tools, motion, content)


def _parse_frame(bits: BitReader, sequence: SequenceHeader) -> Frame:
    """The part of uncompressed_header() that tells what a frame depends on."""
    if sequence.reduced_still_picture or sequence.has_frame_ids:
        raise _UnusualError
    if bits.flag():
        return Frame(0, 0, True, False, bits.bits(3), 0, ())
    frame_type, is_shown = bits.bits(2), bits.flag()
    is_shown_key = frame_type == _KEY_FRAME and is_shown
    is_intra = frame_type in (_KEY_FRAME, _INTRA_ONLY)
    if not is_shown:
        bits.flag()  # showable_frame
    error_resilient = frame_type == _SWITCH_FRAME or is_shown_key or bits.flag()
    bits.flag()  # disable_cdf_update
    tools = sequence.screen_content_tools
    if tools == _SELECT:
        tools = bits.bits(1)
    if tools and sequence.integer_motion == _SELECT:
        bits.flag()
    if frame_type != _SWITCH_FRAME:
        bits.flag()  # frame_size_override
    bits.bits(sequence.order_hint_bits)
    if not is_intra and not error_resilient:
        bits.bits(3)  # primary_ref_frame
    refresh = 0xFF if frame_type == _SWITCH_FRAME or is_shown_key else bits.bits(8)
    references: tuple[int, ...] | None = ()
    if error_resilient and sequence.order_hint_bits and not (is_intra and refresh == 0xFF):
        references = None  # ref_order_hint speaks of all slots
    elif not is_intra:
        is_short = sequence.order_hint_bits > 0 and bits.flag()
        # the short form is completed from the order hints of all slots
        references = None if is_short else tuple(bits.bits(3) for _ in range(7))
    return Frame(0, 0, is_shown, frame_type == _KEY_FRAME, None, refresh, references)
