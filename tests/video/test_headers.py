"""Headers of H.264, HEVC and AV1 that are written here bit by bit, as their specifications say."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from llava_eval.video.fast import av1
from llava_eval.video.fast.bits import BitReader, nal_units
from llava_eval.video.fast.h26x import H264, Hevc
from llava_eval.video.fast.references import Frame
from llava_eval.video.fast.syntax import DISPOSABLE, NEEDED, EntryKind, PacketInfo

NO, CLOSED, OPEN = EntryKind.NO, EntryKind.CLOSED, EntryKind.OPEN


def ue(number: int) -> str:
    """An unsigned Exp-Golomb number (H.264, 9.1)."""
    code = f"{number + 1:b}"
    return "0" * (len(code) - 1) + code


def se(number: int) -> str:
    """A signed one (H.264, 9.1.1)."""
    return ue(2 * number - 1 if number > 0 else -2 * number)


def as_bytes(bits: str, fill: str) -> bytes:
    """Bits as bytes, with 64 more bits after them."""
    bits += fill * (64 + -len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def escaped(content: bytes) -> bytes:
    """Content with emulation prevention (H.264, 7.4.1)."""
    out = bytearray()
    for byte in content:
        if byte <= 3 and out.endswith(b"\0\0"):
            out.append(3)
        out.append(byte)
    return bytes(out)


#: What may stand in usability information (H.264, E.1.1), each beside its absence.
_HRD = ue(1) + "0" * 8 + (ue(9) + ue(4) + "1") * 2 + "1" * 20  # E.1.2, two of cpb_cnt
_VUI_FIELDS = [
    ["0", "1" + f"{1:08b}", "1" + f"{255:08b}" + "1" * 32],  # aspect ratio
    ["0", "11"],  # overscan
    ["0", "1" + "101" + "1" + "0", "1" + "010" + "0" + "1" + "1" * 24],  # video signal
    ["0", "1" + ue(1) + ue(2)],  # chroma location
    ["0", "1" + "01" * 32 + "1"],  # timing
]
_VUI_HRD = ["00", "1" + _HRD + "0" + "1", "0" + "1" + _HRD + "1", ("1" + _HRD) * 2 + "1"]


def vuis() -> list[str]:
    """Usability information with each of its fields, alone and with all others."""
    plain = [field[0] for field in _VUI_FIELDS]
    full = [field[-1] for field in _VUI_FIELDS]
    made = []
    for row, field in enumerate(_VUI_FIELDS):
        for choice in field:
            made += [[*plain[:row], choice, *plain[row + 1 :], "00"]]
            made += [[*full[:row], choice, *full[row + 1 :], _VUI_HRD[-1]]]
    made += [[*plain, hrd] for hrd in _VUI_HRD]
    return ["".join(fields) for fields in made]


def sps(
    *,
    profile: int = 77,
    high: str = "",
    order: str = "",
    interlaced: bool = False,
    cropping: str = "0",
    vui: str | None = None,
    restricted: bool = True,
) -> bytes:
    """A sequence parameter set (H.264, 7.3.2.1.1).

    What follows bitstream_restriction_flag, and what is before it, has its other value, so that a
    reader who is one bit off reads that.
    """
    other = "01"[not restricted]
    bits = f"{profile:08b}" + "0" * 8 + f"{30:08b}" + ue(3) + high
    bits += ue(4) + (order or ue(0) + ue(5)) + ue(2) + "0" + ue(19) + ue(11)
    bits += "00" if interlaced else "1"
    bits += "1" + cropping + ("0" if vui is None else "1" + vui + other + "01"[restricted])
    return escaped(b"\x67" + as_bytes(bits, other))


def annex_b(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def avcc(unit: bytes) -> bytes:
    """An AVCDecoderConfigurationRecord with lengths of four bytes (ISO/IEC 14496-15, 5.3.3.1)."""
    size = len(unit).to_bytes(2, "big")
    return b"\x01\x4d\x00\x1e\xff\xe1" + size + unit + b"\x01\x00\x02\x68\xee"


@pytest.mark.parametrize("vui", vuis())
@pytest.mark.parametrize("restricted", [True, False])
def test_usability_information_is_read_over(vui: str, restricted: bool) -> None:
    for wrap in (annex_b, avcc):
        syntax = H264(wrap(sps(vui=vui, restricted=restricted)))
        assert syntax.states_reorder is restricted
        assert syntax.distrust is None


#: Scaling lists (7.3.2.1.1.1): a whole one, one that ends after its first entry, and none.
_LIST_16 = "1" + se(1) * 16
_LIST_64 = "1" + (se(1) + se(-1)) * 32
_SHORT = "1" + se(3) + se(-11)  # 8 + 3 - 11 = 0: what follows is as the entry before


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"order": ue(2)},
        {"order": ue(1) + "1" + se(-3) + se(7) + ue(3) + se(1) + se(-2) + se(3)},
        {"order": ue(1) + "0" + se(0) + se(0) + ue(0)},
        {"cropping": "1" + ue(0) + ue(3) + ue(0) + ue(4)},
        *({"profile": p, "high": ue(1) + ue(0) + ue(2) + "1" + "0"} for p in (100, 110, 122)),
        *({"profile": p, "high": ue(1) + ue(0) + ue(2) + "1" + "0"} for p in (44, 83, 86, 118)),
        *({"profile": p, "high": ue(2) + ue(1) + ue(0) + "0" + "0"} for p in (128, 138, 139)),
        *({"profile": p, "high": ue(2) + ue(1) + ue(0) + "0" + "0"} for p in (134, 135)),
        {"profile": 244, "high": ue(3) + "1" + ue(2) + ue(2) + "0" + "0"},
        {"profile": 100, "high": ue(1) + ue(0) * 2 + "0" + "1" + "0" * 8},
        {"profile": 244, "high": ue(3) + "0" + ue(0) * 2 + "0" + "1" + "0" * 12},
        {"profile": 100, "high": ue(1) + ue(0) * 2 + "01" + _LIST_16 * 6 + _LIST_64 * 2},
        {"profile": 100, "high": ue(1) + ue(0) * 2 + "01" + _SHORT * 6 + _SHORT * 2},
        {"profile": 100, "high": ue(1) + ue(0) * 2 + "01" + "0" * 5 + _LIST_16 + _LIST_64 + "0"},
        {"profile": 244, "high": ue(3) + "0" + ue(0) * 2 + "01" + "0" * 6 + _LIST_64 * 6},
    ],
)
@pytest.mark.parametrize("interlaced", [True, False])
@pytest.mark.parametrize("restricted", [True, False])
def test_a_parameter_set_is_read_up_to_its_end(
    header: dict[str, Any], interlaced: bool, restricted: bool
) -> None:
    made = sps(**header, interlaced=interlaced, vui="0" * 7, restricted=restricted)
    syntax = H264(annex_b(made))
    if interlaced:
        assert syntax.distrust == "interlaced h264 may hold its fields in packets of their own"
    else:
        assert syntax.distrust is None
    assert syntax.states_reorder is (restricted or header.get("order") == ue(2))
    without = H264(annex_b(sps(**header, interlaced=interlaced)))
    assert without.states_reorder is (header.get("order") == ue(2))


def lengths(*units: bytes, size: int = 4) -> bytes:
    """A packet of mp4: before each unit its length."""
    return b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_lengths_of_every_size(size: int) -> None:
    record = bytearray(avcc(sps()))
    record[4] = 0xFC | (size - 1)
    syntax = H264(bytes(record))
    assert syntax.length_size == size
    packet = lengths(b"\x65\x88", b"\x06\x01", size=size)
    assert syntax.entry_kind(packet) is CLOSED
    assert syntax.packet_info(packet) == NEEDED
    assert syntax.packet_info(packet[:-1]) is None
    assert syntax.packet_info(packet + b"\5") is None
    assert list(nal_units(packet, size)) == [(size, size + 2), (2 * size + 2, 2 * size + 4)]


#: H.264, table 7-1: a slice that others refer to, one that none does, parts of slices, and an SEI.
_REFERENCE, _DISPOSABLE, _IDR, _PARTITION = b"\x41\x9a", b"\x01\x9a", b"\x65\x88", b"\x22\x9a"
_AUD, _SPS, _PPS = b"\x09\xf0", b"\x67\x4d\x1e", b"\x68\xee"


def recovery_point(payload: str, *, kind: int = 6, before: bytes = b"") -> bytes:
    """An SEI message (H.264, 7.3.2.3.1)."""
    content = as_bytes(payload, "1")[: (len(payload) + 7) // 8]
    return b"\x06" + before + bytes([kind, len(content)]) + content + b"\x80"


_EXACT = recovery_point(ue(0) + "1" + "0" + "00")
_LONG = b"\x05" + b"\xff\x01" + b"x" * 256  # a message of 256 bytes


@pytest.mark.parametrize(
    ("units", "kind", "info"),
    [
        ([_IDR], CLOSED, NEEDED),
        ([_AUD, _SPS, _PPS, _IDR, _IDR], CLOSED, NEEDED),
        ([_REFERENCE], NO, NEEDED),
        ([_DISPOSABLE], NO, DISPOSABLE),
        ([_DISPOSABLE, _REFERENCE], NO, NEEDED),
        ([_PARTITION], NO, NEEDED),
        ([_REFERENCE, _IDR], NO, NEEDED),
        ([_AUD, _DISPOSABLE, _DISPOSABLE], NO, DISPOSABLE),
        ([_EXACT, _REFERENCE], OPEN, NEEDED),
        ([_AUD, _EXACT, _DISPOSABLE], OPEN, DISPOSABLE),
        ([_REFERENCE, _EXACT], NO, NEEDED),
        ([recovery_point(ue(1) + "1" + "0" + "00"), _REFERENCE], NO, NEEDED),
        ([recovery_point(ue(0) + "0" + "0" + "00"), _REFERENCE], NO, NEEDED),
        ([recovery_point(ue(0) + "1" + "1" + "00"), _REFERENCE], NO, NEEDED),
        ([recovery_point(ue(0) + "1" + "0" + "00", kind=5), _REFERENCE], NO, NEEDED),
        ([recovery_point(ue(0) + "100", before=b"\x01\x02ab"), _REFERENCE], OPEN, NEEDED),
        ([recovery_point(ue(0) + "100", before=_LONG), _REFERENCE], OPEN, NEEDED),
        ([b"\x06\x06\x01\x01", _REFERENCE], NO, NEEDED),  # it ends within its numbers
        ([_AUD, _SPS], NO, None),
        ([], NO, None),
    ],
)
def test_h264_packets(units: list[bytes], kind: EntryKind, info: PacketInfo | None) -> None:
    forms = (H264(avcc(sps())), lengths(*units)), (H264(annex_b(sps())), annex_b(*units))
    for syntax, packet in forms:
        assert syntax.entry_kind(packet) is kind
        assert syntax.packet_info(packet) == info
        expected = b"".join(unit for unit in units if unit[0] & 31 == 7)
        assert syntax.parameters(packet).rstrip(b"\0") == expected


def hevc_unit(kind: int, layer: int = 0, *, discards: bool = False) -> bytes:
    """A NAL unit of HEVC (H.265, 7.3.1.2) that begins as a first slice does (7.3.6.1)."""
    return bytes([kind << 1, layer + 1, 0x80 | 0x40 * discards, 0x11])


#: An HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1), version 1 and, as some have it, 0.
_HVCC = [bytes([version, *range(1, 21), 0xFF, 0]) for version in (1, 0)]


@pytest.mark.parametrize("kind", [*range(48)])
def test_kinds_of_hevc_pictures(kind: int) -> None:
    """H.265, table 7-1: slices up to 31, of which 16 to 21 are random access pictures."""
    is_slice, is_entry = kind < 32, 16 <= kind <= 21
    for extradata in (*_HVCC, annex_b(b"\x42\x01")):
        syntax = Hevc(extradata)
        join = annex_b if extradata.startswith(b"\0\0") else lengths
        for layer, before in itertools.product((0, 2), ([], [bytes([35 << 1, 1, 0x50])])):
            packet = join(*before, hevc_unit(kind, layer), hevc_unit(1))
            found = hevc_unit(kind if is_slice else 1, layer if is_slice else 0)
            first, top = found[0] >> 1, found[1]
            info = PacketInfo(top, first <= 14 and first % 2 == 0)
            assert syntax.packet_info(packet) == info
            expected = {20: CLOSED}.get(kind, OPEN) if is_entry else NO
            assert syntax.entry_kind(packet) is expected
            assert syntax.is_leading(packet) == (kind in (6, 7, 8, 9))  # RADL_N/R, RASL_N/R
            assert syntax.hidden_at_start(packet) == (kind in (8, 9))
            parameters = hevc_unit(33, layer) if kind == 33 else b""
            assert syntax.parameters(packet).rstrip(b"\0") == parameters


@pytest.mark.parametrize(
    ("kind", "discards", "of_first", "of_later"),
    [
        (16, False, None, "a broken link (BLA picture) hides frames"),
        (18, True, None, "a broken link (BLA picture) hides frames"),
        (19, False, None, None),
        (19, True, None, "a keyframe discards frames that were not shown yet"),
        (20, True, None, "a keyframe discards frames that were not shown yet"),
        (21, True, None, None),  # CRA pictures do not have the flag obeyed (C.5.2.2)
        (1, False, *["a keyframe of the container is not a random access picture"] * 2),
        (22, False, *["a keyframe of the container is not a random access picture"] * 2),
        (39, False, *["a keyframe of the container is not a random access picture"] * 2),
    ],
)
def test_hevc_keyframes_that_are_not_trusted(
    kind: int, discards: bool, of_first: str | None, of_later: str | None
) -> None:
    syntax, packet = Hevc(_HVCC[0]), lengths(hevc_unit(kind, discards=discards))
    assert syntax.keyframe_distrust(packet, is_first=True) == of_first
    assert syntax.keyframe_distrust(packet, is_first=False) == of_later


def test_hevc_packets_that_are_damaged_or_end_a_sequence() -> None:
    syntax = Hevc(_HVCC[0])
    packet = lengths(hevc_unit(1))
    assert syntax.packet_info(packet[:-1]) is None
    assert syntax.packet_info(lengths(b"\x46\x01\x50")) is None
    assert syntax.packet_info(b"") is None
    assert syntax.packet_info(lengths(hevc_unit(1)[:2])) is None
    for before, after in itertools.product((b"", b"\0\0\0\0", lengths(b"\x46")), repeat=2):
        assert syntax.packet_info(before + packet + after) == PacketInfo(1, False)
        assert syntax.packet_info(before + packet + after + b"\0\0\0\2c") is None
        assert syntax.packet_info(before + packet + after + b"\1") is None
        assert syntax.entry_kind(before + lengths(hevc_unit(20))[:-1] + after) is CLOSED
    ends = [lengths(bytes([kind << 1, 1])) for kind in (36, 37, 38)]  # 7.3.2.6 f.
    assert [syntax.ends_sequence(packet + end) for end in ends] == [True, True, False]
    assert not syntax.ends_sequence(lengths(hevc_unit(1) + b"\x48\x01"))
    by_start_code = Hevc(annex_b(b"\x42\x01"))
    assert by_start_code.ends_sequence(annex_b(b"\x48\x01"))
    assert Hevc(_HVCC[0][:22]).length_size == 0
    assert Hevc(_HVCC[0]).length_size == 4
    record = bytearray(_HVCC[0])
    record[21] = 0xFD
    assert Hevc(bytes(record)).length_size == 2
    packet = lengths(b"\x46", hevc_unit(1), size=2)
    assert Hevc(bytes(record)).packet_info(packet) == PacketInfo(1, False)
    assert Hevc(bytes(record)).packet_info(packet[:-1]) is None
    assert Hevc(b"\2" + _HVCC[0][1:]).length_size == 0


def obu(kind: int, payload: bytes, *, has_size: bool = True) -> bytes:
    """An open bitstream unit (AV1, 5.3.1); sizes are leb128 (4.10.5)."""
    size, rest = b"", len(payload)
    while has_size:
        size += bytes([rest & 0x7F | 0x80 * (rest > 0x7F)])
        rest >>= 7
        if not rest:
            break
    return bytes([kind << 3 | 2 * has_size]) + size + payload


#: sequence_header_obu() up to the size of frames (AV1, 5.5.1): profile, still picture, whether it
#: is reduced; then timing and operating points.
_START, _POINT = "000" + "0" + "0", "0" * 12 + f"{5:05b}"
_ONE = "0" + f"{0:05b}" + _POINT  # no display delay, one operating point
_OF_POINTS = {
    "plain": f"{_START}0{_ONE}",
    "tier": f"{_START}00{0:05b}{'0' * 12}{9:05b}1",
    "two": f"{_START}00{1:05b}" + f"{'1' * 12}{7:05b}" * 2,
    "timing": f"{_START}1{'1' * 64}00{_ONE}",
    "ticks": f"{_START}1{'1' * 64}1{ue(6)}0{_ONE}",
    "delay": f"{_START}01{1:05b}{_POINT}10110{_POINT}0",
}
_SIZE = f"{8:04b}" + f"{6:04b}" + "1" * 9 + "1" * 7


def sequence_bits(
    points: str = "plain", *, ids: bool = False, hint: int = 7, tools: int = 2, motion: int = 2
) -> str:
    bits = _OF_POINTS[points] + _SIZE + ("1" + f"{2:04b}" + f"{3:03b}" if ids else "0")
    bits += "000" + "0000" + ("1" + "11" if hint else "0")
    bits += "1" if tools == 2 else f"0{tools}"
    if tools:
        bits += "1" if motion == 2 else f"0{motion}"
    return bits + (f"{hint - 1:03b}" if hint else "")


@pytest.mark.parametrize("points", _OF_POINTS)
@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize(("hint", "tools", "motion"), [(7, 2, 2), (0, 1, 0), (3, 0, 2), (1, 1, 1)])
@pytest.mark.parametrize("fill", "01")
def test_av1_sequence_headers(
    points: str, ids: bool, hint: int, tools: int, motion: int, fill: str
) -> None:
    content = as_bytes(sequence_bits(points, ids=ids, hint=hint, tools=tools, motion=motion), fill)
    unit = obu(2, b"") + obu(1, content)
    expected = av1.SequenceHeader(False, ids, hint, tools, motion, content)
    assert av1.sequence_header(unit) == expected
    assert av1.sequence_header(obu(2, b"")) is None
    assert av1.sequence_header(obu(1, content[:5])) is None


def test_av1_sequence_headers_that_are_unlike_others() -> None:
    reduced = as_bytes("000" + "1" + "1" + f"{4:05b}" + _SIZE + "101", "1")
    assert av1.sequence_header(obu(1, reduced)) == av1.SequenceHeader(True, False, 0, 2, 2, reduced)
    models = as_bytes("000" + "0" + "0" + "1" + "0" * 64 + "0" + "1", "0")  # decoder_model_info()
    assert av1.sequence_header(obu(1, models)) is None


_KEY, _INTER, _INTRA, _SWITCH = range(4)
_SLOTS = (3, 0, 7, 1, 5, 2, 4)


def header_of(hint: int = 7, tools: int = 2, motion: int = 2) -> av1.SequenceHeader:
    return av1.SequenceHeader(False, False, hint, tools, motion, b"")


@pytest.mark.parametrize("hint", [7, 0])
@pytest.mark.parametrize(("tools", "motion"), [(2, 2), (0, 2), (1, 2), (1, 0)])
@pytest.mark.parametrize("allows", [0, 1])
@pytest.mark.parametrize(
    ("kind", "shown", "resilient", "short"),
    [
        (_KEY, 1, 1, 0),
        (_KEY, 0, 0, 0),
        (_INTER, 1, 0, 0),
        (_INTER, 0, 0, 0),
        (_INTER, 1, 1, 0),
        (_INTER, 1, 0, 1),
        (_INTRA, 1, 0, 0),
        (_INTRA, 0, 1, 0),
        (_SWITCH, 1, 1, 0),
    ],
)
def test_av1_frame_headers(
    hint: int,
    tools: int,
    motion: int,
    allows: int,
    kind: int,
    shown: int,
    resilient: int,
    short: int,
) -> None:
    """uncompressed_header() (5.9.2) up to ref_frame_idx."""
    refresh = 0xFF if kind == _SWITCH or (kind == _KEY and shown) else 0b10110101
    bits = f"0{kind:02b}{shown}" + ("" if shown else "1")
    if kind != _SWITCH and not (kind == _KEY and shown):
        bits += str(resilient)
    bits += "1"  # disable_cdf_update
    is_content = tools
    if tools == 2:
        bits += str(allows)
        is_content = allows
    if is_content and motion == 2:
        bits += "1"  # force_integer_mv
    if kind != _SWITCH:
        bits += "0"  # frame_size_override_flag
    bits += "1" * hint
    if kind == _INTER and not resilient:
        bits += "111"  # primary_ref_frame
    if refresh != 0xFF:
        bits += f"{refresh:08b}"
    is_intra = kind in (_KEY, _INTRA)
    references: tuple[int, ...] | None = ()
    if resilient and hint and not (is_intra and refresh == 0xFF):
        references = None  # ref_order_hint[] of all slots
    elif not is_intra:
        if hint:
            bits += str(short)
        references = _SLOTS
        if hint and short:
            references = None
        else:
            bits += "".join(f"{slot:03b}" for slot in _SLOTS)
    unit = obu(2, b"") + obu(6, as_bytes(bits, "1"))
    (frame,) = av1.frames_of(unit, header_of(hint, tools, motion)) or []
    expected = Frame(2, len(unit), bool(shown), kind == _KEY, None, refresh, references)
    assert frame == expected
    assert (av1.Av1(b"").entry_kind(unit) is CLOSED) == bool(kind == _KEY and shown)


def test_av1_frames_that_are_shown_again_and_units_without_a_size() -> None:
    again = obu(3, as_bytes("1" + "101", "0"))
    last = obu(3, as_bytes("1" + "011", "1"), has_size=False)
    frames = av1.frames_of(again + last, header_of())
    assert frames == [
        Frame(0, len(again), True, False, 5, 0, ()),
        Frame(len(again), len(again) + len(last), True, False, 3, 0, ()),
    ]
    long = obu(5, b"x" * 300) + again  # a size of two bytes
    (frame,) = av1.frames_of(long, header_of()) or []
    assert (frame.start, frame.existing) == (303, 5)
    # a header of its own, whose tiles lie in other units
    assert av1.frames_of(obu(3, as_bytes("0101", "0")), header_of()) is None
    for kind in (4, 7, 8):
        assert av1.frames_of(again + obu(kind, b"\0"), header_of()) is None
    assert av1.frames_of(again, av1.SequenceHeader(False, True, 7, 2, 2, b"")) is None
    assert av1.frames_of(again, av1.SequenceHeader(True, False, 7, 2, 2, b"")) is None


def test_numbers_at_the_end_of_a_header() -> None:
    bits = BitReader(b"\x01\x80")
    assert bits.bits(3) == 0
    assert bits.bits(0) == 0
    assert bits.bits(13) == 0b0000110000000
    with pytest.raises(EOFError):
        bits.bits(1)
    with pytest.raises(EOFError):
        BitReader(b"\0").ue()
