"""Read the few fields of AV1 bitstream headers that frame-exact seeking needs.

Sections are those of the AV1 Bitstream & Decoding Process Specification, version 1.0.0 with
errata 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llava_eval.video.fast.bits import BitReader, UnusualError
from llava_eval.video.fast.references import Frame
from llava_eval.video.fast.syntax import NEEDED, EntryKind, Syntax

# obu_type (6.2.2)
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_UNREAD = frozenset({4, 7, 8})  # separate tile groups, redundant headers, tile lists
# frame_type (6.8.2)
_KEY_FRAME, _INTRA_ONLY, _SWITCH_FRAME = 0, 2, 3
#: SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV (3): decided per frame.
_SELECT = 2


class Av1(Syntax):
    """AV1 temporal units: each shows one frame and may contain hidden ones.

    Args:
        extradata: an AV1CodecConfigurationRecord (AV1 in ISOBMFF, 2.3.3), whose four bytes of
            fields begin with marker and version, 0x81, and are followed by OBUs; or anything else.
    """

    states_references = True
    info = NEEDED

    def __init__(self, extradata: bytes) -> None:
        self._header = sequence_header(extradata[4:]) if extradata[:1] == b"\x81" else None

    def entry_kind(self, packet: bytes) -> EntryKind:
        # nothing that follows a shown key frame refers to anything before it (7.20, 7.21)
        for kind, _, payload, _ in _obus(packet):
            if kind in (_FRAME_HEADER, _FRAME) and payload < len(packet):
                # show_existing_frame (1 bit), frame_type (2), show_frame (5.9.2)
                return EntryKind.CLOSED if packet[payload] >> 4 == 0b0001 else EntryKind.NO
        return EntryKind.NO

    def num_shown(self, packet: bytes) -> int:
        count = 0
        for kind, start, payload, _ in _obus(packet):
            if kind in (_FRAME_HEADER, _FRAME) and payload < len(packet):
                if packet[start] & 0x04:  # scalable: only one layer is shown
                    return 1
                # show_existing_frame (1 bit), frame_type (2), show_frame
                count += packet[payload] & 0x90 != 0
        return count

    def frames(self, packet: bytes) -> list[Frame] | None:
        if self.entry_kind(packet) is EntryKind.CLOSED:
            self._header = sequence_header(packet) or self._header
        return None if self._header is None else frames_of(packet, self._header)


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """The fields of a sequence header that determine how frame headers are read, and its bytes."""

    reduced_still_picture: bool
    has_frame_ids: bool
    order_hint_bits: int
    screen_content_tools: int
    integer_motion: int
    content: bytes


def sequence_header(unit: bytes) -> SequenceHeader | None:
    """Return the sequence header in some OBUs; None if there is none, or it cannot be read."""
    for kind, _, payload, end in _obus(unit):
        if kind == _SEQUENCE_HEADER:
            try:
                return _parse_sequence_header(unit[payload:end])
            except (EOFError, UnusualError):
                return None
    return None


def frames_of(unit: bytes, sequence: SequenceHeader) -> list[Frame] | None:
    """Return the frames in a temporal unit; None if it has a feature that is not read here.

    The decoding of a frame depends only on the slots of ``ref_frame_idx`` (5.9.2, 7.20 and 7.21):
    pixels, probabilities, motion, segmentation, loop filter, film grain and order hints are loaded
    from them. The exceptions are two rarely used fields, and scalable streams.

    Args:
        unit: the temporal unit's bytes.
        sequence: the header of the sequence that it belongs to.
    """
    frames = []
    try:
        for kind, start, payload, end in _obus(unit):
            if unit[start] & 0x04 or kind in _UNREAD:  # obu_extension_flag: a scalable stream
                return None
            if kind == _SEQUENCE_HEADER:
                if unit[payload:end] != sequence.content:
                    return None
            elif kind in (_FRAME_HEADER, _FRAME):
                frame = _parse_frame(BitReader(unit[payload : min(end, payload + 32)]), sequence)
                if kind == _FRAME_HEADER and frame.existing is None:
                    return None
                frames.append(frame._replace(start=start, end=end))
    except (EOFError, UnusualError):
        return None
    return frames


def _obus(unit: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (type, start, start of the payload, end) of each OBU (5.3.1, 5.3.2)."""
    position = 0
    while position < len(unit):
        start, header = position, unit[position]
        position += 2 if header & 0x04 else 1  # obu_extension_flag
        size = len(unit) - position
        if header & 0x02:  # obu_has_size_field
            size, position = _leb128(unit, position)
        yield header >> 3 & 15, start, position, position + size
        position += size


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return a leb128() number (4.10.5) and the position after it."""
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
    """Read sequence_header_obu(), 5.5.1, as far as frame headers depend on it."""
    bits = BitReader(content)
    bits.bits(3)  # profile
    bits.flag()  # still picture
    reduced = bits.flag()
    if reduced:
        bits.bits(5)  # seq_level_idx
    else:
        if bits.flag():  # timing_info(), 5.5.3
            bits.bits(64)
            if bits.flag():  # equal_picture_interval
                bits.ue()
            if bits.flag():  # decoder_model_info(), which shifts all later fields
                raise UnusualError
        display_delay = bits.flag()
        for _ in range(bits.bits(5) + 1):  # operating points
            bits.bits(12)  # operating_point_idc
            if bits.bits(5) > 7:  # seq_level_idx
                bits.flag()  # seq_tier
            if display_delay and bits.flag():
                bits.bits(4)
    width_bits, height_bits = bits.bits(4) + 1, bits.bits(4) + 1
    bits.bits(width_bits + height_bits)
    has_ids = not reduced and bits.flag()
    if has_ids:
        bits.bits(7)  # their lengths
    bits.bits(3)  # superblock size, filter intra, intra edge filter
    hint_bits, tools, motion = 0, _SELECT, _SELECT
    if not reduced:
        bits.bits(4)  # interintra, masked compound, warped motion, dual filter
        has_hint = bits.flag()
        if has_hint:
            bits.bits(2)  # jnt_comp, ref_frame_mvs
        if not bits.flag():
            tools = bits.bits(1)
        if tools > 0 and not bits.flag():
            motion = bits.bits(1)
        if has_hint:
            hint_bits = bits.bits(3) + 1
    return SequenceHeader(reduced, has_ids, hint_bits, tools, motion, content)


def _parse_frame(bits: BitReader, sequence: SequenceHeader) -> Frame:
    """Read the part of uncompressed_header(), 5.9.2, that says which slots a frame uses."""
    if sequence.reduced_still_picture or sequence.has_frame_ids:
        raise UnusualError
    if bits.flag():  # show_existing_frame, frame_to_show_map_idx
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
        bits.flag()  # force_integer_mv
    if frame_type != _SWITCH_FRAME:
        bits.flag()  # frame_size_override
    bits.bits(sequence.order_hint_bits)  # order_hint
    if not is_intra and not error_resilient:
        bits.bits(3)  # primary_ref_frame
    refresh = 0xFF if frame_type == _SWITCH_FRAME or is_shown_key else bits.bits(8)
    references: tuple[int, ...] | None = ()
    if error_resilient and sequence.order_hint_bits and not (is_intra and refresh == 0xFF):
        references = None  # ref_order_hint involves all slots
    elif not is_intra:
        is_short = sequence.order_hint_bits > 0 and bits.flag()
        # frame_refs_short_signaling is completed from the order hints of all slots (7.8)
        references = None if is_short else tuple(bits.bits(3) for _ in range(7))
    return Frame(0, 0, is_shown, frame_type == _KEY_FRAME, None, refresh, references)
