"""Read H.264 and HEVC packets, as in mp4 and mkv (lengths) or as in Annex B (start codes).

Sections are those of ITU-T H.264 (08/2021) and H.265 (08/2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from llava_eval.video.fast.bits import BitReader, nal_units, unescape
from llava_eval.video.fast.index import NEW_PARAMETERS
from llava_eval.video.fast.picture_order import PictureOrder
from llava_eval.video.fast.syntax import (
    DISPOSABLE,
    NEEDED,
    SEVERAL_SEQUENCES,
    EntryKind,
    PacketInfo,
    Syntax,
)


class H264(Syntax):
    """H.264: a container's keyframe may be an IDR picture, a recovery point, or neither.

    Args:
        extradata: an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1), which begins with
            version 1 and has lengthSizeMinusOne in its fifth byte, or parameter sets in Annex B.
    """

    max_reorder = 16

    def __init__(self, extradata: bytes) -> None:
        is_avcc = len(extradata) > 6 and extradata[0] == 1
        self.length_size = (extradata[4] & 3) + 1 if is_avcc else 0
        try:
            self._sps = sps = _parse_sps(_first_sps(extradata, self.length_size))
        except EOFError:
            self.distrust = "no readable sequence parameter set"
            return
        if not sps.frames_only:
            self.distrust = "interlaced h264 may hold its fields in packets of their own"
        self.states_reorder = sps.states_reorder

    def entry_kind(self, packet: bytes) -> EntryKind:
        for start, end in nal_units(packet, self.length_size):
            kind = packet[start] & 31  # nal_unit_type (table 7-1)
            if kind == 5:  # a slice of an IDR picture
                return EntryKind.CLOSED
            if kind == 6 and _is_exact_recovery_point(unescape(packet[start + 1 : end])):
                return EntryKind.OPEN
            if 1 <= kind <= 4:  # a slice of another picture
                break
        return EntryKind.NO

    def parameters(self, packet: bytes) -> bytes:
        return b"".join(
            packet[start:end]
            for start, end in nal_units(packet, self.length_size)
            if packet[start] & 31 == 7  # sequence parameter set
        )

    def packet_info(self, packet: bytes) -> PacketInfo | None:
        kinds = 0  # of slices: 1 for references, 2 for others (nal_ref_idc 0)
        end = len(packet)
        if self.length_size:
            # one pass, because this is called for every packet
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

    def picture_order(self, packet: bytes) -> PictureOrder | None:
        sps = self._sps
        for start, end in nal_units(packet, self.length_size):
            kind = packet[start] & 31
            if not 1 <= kind <= 5:
                continue
            bits = BitReader(unescape(packet[start + 1 : min(end, start + _SLICE_HEADER)]))
            try:  # slice_header(), 7.3.3
                for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
                    bits.ue()
                if sps.has_planes:
                    bits.bits(2)  # colour_plane_id
                number = bits.bits(sps.number_bits)
                if kind == 5:
                    bits.ue()  # idr_pic_id
                low = bits.bits(sps.order_bits)
            except EOFError:
                return None
            is_reference = packet[start] & 0x60 != 0
            return PictureOrder(
                low, number, kind == 5, is_reference, sps.order_bits, sps.number_bits
            )
        return None


class Hevc(Syntax):
    """HEVC: keyframes may have leading pictures, which are shown before them.

    Args:
        extradata: an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1), which has
            lengthSizeMinusOne in its 22nd byte, or parameter sets in Annex B.
    """

    max_reorder = 16
    marks_leading = True

    def __init__(self, extradata: bytes) -> None:
        # some writers leave the version at 0, so check that it is not a start code
        is_hvcc = len(extradata) > 22 and extradata[0] in (0, 1) and extradata[:3] != b"\0\0\1"
        is_hvcc = is_hvcc and extradata[:4] != b"\0\0\0\1"
        self.length_size = (extradata[21] & 3) + 1 if is_hvcc else 0
        # by number: separate_colour_plane_flag, bits of slice_pic_order_cnt_lsb
        self._sequences: dict[int, tuple[bool, int]] = {}
        # number of the sequence, output_flag_present_flag, num_extra_slice_header_bits
        self._pictures: dict[int, tuple[int, bool, int]] = {}
        for unit in _hevc_units(extradata, is_hvcc=is_hvcc):
            self._learn(unit)
        self._seen: tuple[bytes, _Picture | None] = (b"", None)

    def entry_kind(self, packet: bytes) -> EntryKind:
        picture = self._picture(packet)
        if picture is None or not 16 <= picture.kind <= 21:  # BLA, IDR and CRA (table 7-1)
            return EntryKind.NO
        # IDR_N_LP has no leading pictures; the others may have some
        return EntryKind.CLOSED if picture.kind == 20 else EntryKind.OPEN

    def parameters(self, packet: bytes) -> bytes:
        return b"".join(
            packet[start:end]
            for start, end in nal_units(packet, self.length_size)
            if packet[start] >> 1 & 63 == 33  # sequence parameter set
        )

    def packet_info(self, packet: bytes) -> PacketInfo | None:
        picture = self._picture(packet)
        if picture is None or not picture.is_whole:
            return None
        # even types up to 14 are sub-layer non-reference pictures (table 7-1): no other picture of
        # the same temporal layer refers to them
        return PacketInfo(picture.layer, picture.kind <= 14 and picture.kind % 2 == 0)

    def keyframe_distrust(self, packet: bytes, *, is_first: bool) -> str | None:
        picture = self._picture(packet)
        if picture is None or not 16 <= picture.kind <= 21:
            return "a keyframe of the container is not a random access picture"
        sets = {
            packet[start:end].rstrip(b"\0")
            for start, end in nal_units(packet, self.length_size)
            if packet[start : start + 1] == b"\x42" and packet[start + 1] < 8  # layer 0
        }
        if len(sets) > 1:  # each begins a new sequence, which hides leading pictures
            return NEW_PARAMETERS
        if is_first:
            return None
        if picture.kind <= 18:  # its RASL pictures are not output (8.3.3)
            return "a broken link (BLA picture) hides frames"
        if picture.kind in (19, 20) and picture.discards_prior:
            return "a keyframe discards frames that were not shown yet"
        return SEVERAL_SEQUENCES if self._begins_with_end(packet) else None

    def is_leading(self, packet: bytes) -> bool:
        picture = self._picture(packet)
        return picture is not None and 6 <= picture.kind <= 9  # RADL and RASL

    def hidden_at_start(self, packet: bytes) -> bool:
        picture = self._picture(packet)
        # RASL pictures refer to pictures before the keyframe (8.1.3: NoRaslOutputFlag)
        return picture is not None and picture.kind in (8, 9)

    def ends_sequence(self, packet_end: bytes) -> bool:
        # end of sequence or of bitstream (7.3.2.6 f.): a NAL unit that is only its two-byte
        # header, with type 36 or 37 and temporal layer 0
        return packet_end[-2:] in (b"\x48\x01", b"\x4a\x01") and (
            self.length_size == 0
            or packet_end[-2 - self.length_size : -2] == (2).to_bytes(self.length_size, "big")
        )

    def picture_order(self, packet: bytes) -> PictureOrder | None:
        for start, end in nal_units(packet, self.length_size):
            kind, layer = packet[start] >> 1 & 63, packet[start + 1 : start + 2]
            if kind in (33, 34) and not self._pictures:
                self._learn(packet[start:end])
            if kind >= 32:
                continue
            bits = BitReader(unescape(packet[start + 2 : min(end, start + _SLICE_HEADER)]))
            try:  # slice_segment_header(), 7.3.6.1
                bits.bits(2 if kind >= 16 else 1)  # first slice, no_output_of_prior_pics_flag
                sequence, states_output, num_extra = self._pictures[bits.ue()]
                has_planes, order_bits = self._sequences[sequence]
                bits.bits(num_extra)
                bits.ue()  # slice_type
                bits.bits(states_output + 2 * has_planes)
                low = 0 if kind in (19, 20) else bits.bits(order_bits)
            except (EOFError, KeyError):
                return None
            # an anchor is of the lowest sub-layer and is neither a leading picture nor a sub-layer
            # non-reference picture (8.3.1)
            is_anchor = layer[0] & 7 == 1 and not 6 <= kind <= 9 and (kind > 14 or kind % 2 == 1)
            return PictureOrder(low, 0, 16 <= kind <= 20, is_anchor, order_bits, 0)
        return None

    def _learn(self, unit: bytes) -> None:
        """Keep the fields of a sequence or picture parameter set that slice headers need."""
        kind, bits = unit[0] >> 1 & 63, BitReader(unescape(unit[2:]))
        try:
            if kind == 33:
                number, has_planes, order_bits, self.stated_reorder = _parse_hevc_sps(bits)
                self._sequences[number] = has_planes, order_bits
            elif kind == 34:  # pic_parameter_set_rbsp(), 7.3.2.3.1
                number, sequence = bits.ue(), bits.ue()
                bits.flag()  # dependent_slice_segments_enabled_flag
                self._pictures[number] = sequence, bits.flag(), bits.bits(3)
        except EOFError:
            return

    def _begins_with_end(self, packet: bytes) -> bool:
        """Return whether an end of sequence comes before the first slice, as in MPEG-TS."""
        for start, _ in nal_units(packet, self.length_size):
            kind = packet[start] >> 1 & 63
            if kind < 32 or kind in (36, 37):
                return kind >= 32
        return False

    def _picture(self, packet: bytes) -> _Picture | None:
        if packet is not self._seen[0]:  # the same packet is asked about several times in a row
            self._seen = packet, self._first_picture(packet)
        return self._seen[1]

    def _first_picture(self, packet: bytes) -> _Picture | None:
        # nal_unit_header() is two bytes: forbidden_zero_bit, nal_unit_type (6 bits),
        # nuh_layer_id (6), nuh_temporal_id_plus1 (3); types up to 31 are slices, whose header
        # begins with first_slice_segment_in_pic_flag and, in IRAP pictures,
        # no_output_of_prior_pics_flag (7.3.1.2, 7.3.6.1)
        size, position, end, first = self.length_size, 0, len(packet), -1
        while size and position < end:  # one pass, because this is called for every packet
            start = position + size
            position = start + int.from_bytes(packet[position:start], "big")
            if first < 0 and start + 2 < end and start + 2 < position and not packet[start] & 0x40:
                first = start
        if not size:
            position = end
            units = (start for start, stop in nal_units(packet, 0) if stop - start > 2)
            first = next((start for start in units if not packet[start] & 0x40), -1)
        if first < 0:
            return None
        header, layer, flags = packet[first : first + 3]
        return _Picture(header >> 1 & 63, layer & 7, flags & 0x40 != 0, position == end)


class _Picture(NamedTuple):
    """The needed facts about a packet.

    The NAL unit type, temporal layer and no_output_of_prior_pics_flag of its first slice, and
    whether the lengths of its NAL units add up to the packet's length.
    """

    kind: int
    layer: int
    discards_prior: bool
    is_whole: bool


class _Sps(NamedTuple):
    """The needed fields of an H.264 sequence parameter set."""

    frames_only: bool
    states_reorder: bool
    has_planes: bool
    number_bits: int
    order_bits: int


#: Bytes at the start of a slice that contain its picture's place in the order.
_SLICE_HEADER = 40


def _hevc_units(extradata: bytes, *, is_hvcc: bool) -> Iterator[bytes]:
    """Yield the parameter sets in hvcC or Annex B extradata."""
    if not is_hvcc:
        for start, end in nal_units(extradata, 0):
            yield extradata[start:end]
        return
    position = 23
    for _ in range(extradata[22]):  # arrays of units of one type
        count = int.from_bytes(extradata[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            start = position + 2
            position = start + int.from_bytes(extradata[position:start], "big")
            if start >= min(position, len(extradata)):
                return
            yield extradata[start:position]


def _parse_hevc_sps(bits: BitReader) -> tuple[int, bool, int, int]:
    """Read (number, separate_colour_plane_flag, bits of orders, most reordering), 7.3.2.2.1."""
    bits.bits(4)  # sps_video_parameter_set_id
    num_sub_layers = bits.bits(3)
    bits.bits(1 + 88 + 8)  # sps_temporal_id_nesting_flag, profile_tier_level() (7.3.3)
    present = [(bits.flag(), bits.flag()) for _ in range(num_sub_layers)]
    if num_sub_layers:
        bits.bits(2 * (8 - num_sub_layers))
    for has_profile, has_level in present:
        bits.bits(88 * has_profile + 8 * has_level)
    number = bits.ue()
    has_planes = bits.ue() == 3 and bits.flag()  # chroma_format_idc
    bits.ue()  # width, height
    bits.ue()
    if bits.flag():  # conformance window
        for _ in range(4):
            bits.ue()
    bits.ue()  # bit depths
    bits.ue()
    order_bits, reorder = bits.ue() + 4, 0
    for _ in range(num_sub_layers + 1 if bits.flag() else 1):
        bits.ue()  # sps_max_dec_pic_buffering_minus1
        reorder = bits.ue()  # sps_max_num_reorder_pics: the highest sub-layer's counts
        bits.ue()  # sps_max_latency_increase_plus1
    return number, has_planes, order_bits, reorder


def _is_exact_recovery_point(sei: bytes) -> bool:
    """Return whether an SEI has a recovery point of 0 frames that is exact and no broken link.

    sei_message() is in 7.3.2.3.1, recovery_point() in D.1.8: recovery_frame_cnt, exact_match_flag,
    broken_link_flag.
    """
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
    """Return a payload type or size (each 0xFF byte adds 255) and the position after it."""
    number = 0
    while position < len(sei) and sei[position] == 0xFF:
        number += 255
        position += 1
    return number + (sei[position] if position < len(sei) else 0), position + 1


def _first_sps(extradata: bytes, length_size: int) -> bytes:
    """Return the first sequence parameter set in avcC or Annex B extradata, unescaped."""
    if length_size and len(extradata) > 8 and extradata[5] & 31:
        size = int.from_bytes(extradata[6:8], "big")
        return unescape(extradata[8 : 8 + size])
    for start, end in nal_units(extradata, 0):
        if extradata[start] & 31 == 7:
            return unescape(extradata[start:end])
    raise EOFError("no sequence parameter set")


def _parse_sps(sps: bytes) -> _Sps:
    """Read seq_parameter_set_data(), 7.3.2.1.1."""
    bits = BitReader(sps[1:])
    profile = bits.bits(8)
    bits.bits(16)  # constraints, level
    bits.ue()  # seq_parameter_set_id
    has_planes = False
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = bits.ue()
        if chroma == 3:
            has_planes = bits.flag()  # separate_colour_plane_flag
        bits.ue()  # bit depths
        bits.ue()
        bits.flag()  # qpprime_y_zero_transform_bypass_flag
        if bits.flag():  # seq_scaling_matrix_present_flag
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    number_bits, order_bits = bits.ue() + 4, 0  # log2_max_frame_num_minus4
    order_type = bits.ue()  # pic_order_cnt_type
    if order_type == 0:
        order_bits = bits.ue() + 4  # log2_max_pic_order_cnt_lsb_minus4
    elif order_type == 1:
        bits.flag()  # delta_pic_order_always_zero_flag
        bits.se()  # offsets
        bits.se()
        for _ in range(bits.ue()):
            bits.se()
    bits.ue()  # max_num_ref_frames
    bits.flag()  # gaps_in_frame_num_value_allowed_flag
    bits.ue()  # width, height
    bits.ue()
    frames_only = bits.flag()  # frame_mbs_only_flag
    if not frames_only:
        bits.flag()  # mb_adaptive_frame_field_flag
    bits.flag()  # direct_8x8_inference_flag
    if bits.flag():  # cropping
        for _ in range(4):
            bits.ue()
    # order type 2 means: shown in decoding order
    states_reorder = order_type == 2 or (bits.flag() and _vui_states_reorder(bits))
    return _Sps(frames_only, states_reorder, has_planes, number_bits, order_bits)


def _vui_states_reorder(bits: BitReader) -> bool:
    """Return bitstream_restriction_flag of vui_parameters(), E.1.1."""
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
    """Skip hrd_parameters(), E.1.2."""
    count = bits.ue() + 1
    bits.bits(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.flag()
    bits.bits(20)
    return True


def _skip_scaling_lists(bits: BitReader, count: int) -> None:
    """Skip the scaling lists of a sequence parameter set, 7.3.2.1.1.1."""
    for number in range(count):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last
