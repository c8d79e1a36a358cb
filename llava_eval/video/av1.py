"""The few facts of AV1 bitstream headers that frame-exact seeking needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llava_eval.video.bits import BitReader

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY_FRAME, _INTRA_ONLY, _SWITCH_FRAME = 0, 2, 3
_SELECT = 2  # "decided per frame"


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """Fields of a sequence header that the layout of frame headers depends on."""

    reduced_still_picture: bool
    has_frame_ids: bool
    frame_id_bits: int
    order_hint_bits: int
    screen_content_tools: int
    integer_motion: int


def starts_with_shown_key_frame(unit: bytes) -> bool:
    """Does the first frame of this temporal unit begin a new sequence for all that follows?"""
    for kind, payload in _obus(unit):
        if kind in (_FRAME_HEADER, _FRAME):
            bits = BitReader(payload[:1])
            show_existing, frame_type, show = bits.flag(), bits.bits(2), bits.flag()
            return not show_existing and frame_type == _KEY_FRAME and show
    return False


def sequence_header(unit: bytes) -> SequenceHeader | None:
    """The sequence header in these OBUs, if there is one that can be read."""
    for kind, payload in _obus(unit):
        if kind == _SEQUENCE_HEADER:
            try:
                return _parse_sequence_header(BitReader(payload))
            except (EOFError, _UnusualError):
                return None
    return None


def no_references(unit: bytes, sequence: SequenceHeader) -> bool:
    """Is this temporal unit surely one frame that no other refers to?"""
    frames = [payload for kind, payload in _obus(unit) if kind in (_FRAME_HEADER, _FRAME)]
    if len(frames) != 1:
        return False
    try:
        return _refresh_flags(BitReader(frames[0][:40]), sequence) == 0
    except (EOFError, _UnusualError):
        return False


class _UnusualError(Exception):
    """A header that is legal but not read here."""


def _obus(unit: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(unit):
        header = unit[position]
        position += 2 if header & 0x04 else 1
        size = len(unit) - position
        if header & 0x02:
            size, position = _leb128(unit, position)
        yield header >> 3 & 15, unit[position : position + size]
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


def _parse_sequence_header(bits: BitReader) -> SequenceHeader:
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
    has_ids, id_bits = False, 0
    if not reduced:
        has_ids = bits.flag()
    if has_ids:
        delta = bits.bits(4) + 2
        id_bits = bits.bits(3) + delta + 1
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
    return SequenceHeader(reduced, has_ids, id_bits, hint_bits, tools, motion)


def _refresh_flags(bits: BitReader, sequence: SequenceHeader) -> int:
    """refresh_frame_flags of a frame header; every bit set where that is implied."""
    everything = 0xFF
    if sequence.reduced_still_picture or bits.flag():  # a frame shown again may be a key frame
        return everything
    frame_type, show = bits.bits(2), bits.flag()
    if not show or frame_type in (_KEY_FRAME, _SWITCH_FRAME):
        return everything  # of no interest: hidden frames are there to be referred to
    error_resilient = bits.flag()
    bits.flag()  # disable_cdf_update
    tools = sequence.screen_content_tools
    if tools == _SELECT:
        tools = bits.bits(1)
    if tools and sequence.integer_motion == _SELECT:
        bits.flag()
    if sequence.has_frame_ids:
        bits.bits(sequence.frame_id_bits)
    bits.flag()  # frame_size_override
    bits.bits(sequence.order_hint_bits)
    if frame_type != _INTRA_ONLY and not error_resilient:
        bits.bits(3)  # primary_ref_frame
    return bits.bits(8)
