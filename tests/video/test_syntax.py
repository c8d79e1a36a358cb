"""What compressed packets say of themselves, against what decoders and demuxers say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from llava_eval.video.decode import decode_frames
from llava_eval.video.fast import av1
from llava_eval.video.fast.bits import BitReader, nal_units, unescape
from llava_eval.video.fast.matroska import walk_blocks
from llava_eval.video.fast.picture_order import PictureOrder, counts_of, goes_on
from llava_eval.video.fast.source import open_source, syntax_for
from llava_eval.video.fast.syntax import EntryKind, Syntax
from tests.conftest import slow
from tests.video import naive

FileOf = Callable[[str], str]


def packets_of(path: str) -> tuple[Syntax, list[bytes]]:
    with open_source(path) as source:
        packets = source.container.demux(source.stream)
        return source.syntax, [bytes(packet) for packet in packets if packet.size]


def test_bits() -> None:
    bits = BitReader(bytes([0b1010_0110, 0b0100_0010, 0b1000_0000]))
    assert bits.flag()
    assert bits.ue() == 1  # 010
    assert bits.ue() == 2  # 011
    assert bits.ue() == 3  # 00100
    assert bits.se() == -2  # 00101
    assert bits.bits(5) == 0
    with pytest.raises(EOFError):
        bits.bits(64)


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (1, 1), (2, -1), (3, 2), (4, -2)])
def test_signed_numbers(number: int, expected: int) -> None:
    code = f"{number + 1:b}"
    text = "0" * (len(code) - 1) + code
    assert BitReader(int(text.ljust(16, "0"), 2).to_bytes(2, "big")).se() == expected


def test_nal_units() -> None:
    assert list(nal_units(b"\0\0\0\2ab\0\0\0\1c", 4)) == [(4, 6), (10, 11)]
    assert list(nal_units(b"\0\0\0\1ab\0\0\1c", 0)) == [(4, 6), (9, 10)]
    assert list(nal_units(b"\0\0\0\x09ab", 4)) == [(4, 6)]
    assert unescape(b"\0\0\3\1") == b"\0\0\1"


@pytest.mark.parametrize(
    ("name", "codec"), [("h264.mp4", "h264"), ("h264.ts", "h264"), ("vp9.webm", "vp9")]
)
def test_pictures_that_a_stream_needs_begin_at_keyframes(
    name: str, codec: str, file_of: FileOf
) -> None:
    with av.open(file_of(name)) as container:
        stream = container.streams.video[0]
        syntax = syntax_for(codec, stream.codec_context.extradata or b"")
        assert syntax is not None
        packets = [packet for packet in container.demux(stream) if packet.size]
        for packet in packets:
            assert (syntax.entry_kind(bytes(packet)) is EntryKind.CLOSED) == packet.is_keyframe
            assert syntax.packet_info(bytes(packet)) is not None


def test_kinds_of_entries(file_of: FileOf) -> None:
    syntax, packets = packets_of(file_of("open_gop.mp4"))
    kinds = [syntax.entry_kind(packet) for packet in packets]
    assert kinds[0] is EntryKind.CLOSED
    assert kinds.count(EntryKind.OPEN) >= 2
    syntax, packets = packets_of(file_of("intra_refresh.mp4"))
    assert [syntax.entry_kind(packet) for packet in packets].count(EntryKind.NO) == len(packets) - 1


def decode_without(path: str, left_out: set[int]) -> dict[int | None, Any]:
    """The frames that a decoder shows which is not given some packets, by packet number."""
    frames: dict[int | None, Any] = {}
    with av.open(path) as container:
        stream = container.streams.video[0]
        for number, packet in enumerate(container.demux(stream)):
            if not packet.size or number not in left_out:
                packet.pts = packet.dts = number if packet.size else None
                for frame in packet.decode():
                    frames[frame.pts] = frame.to_ndarray(format="rgb24")
    return frames


@pytest.mark.parametrize(
    "name",
    ["h264.mp4", "h264.ts", "hevc.mp4", *map(slow, ("slices.mp4", "hevc_layers.mp4", "hevc.ts"))],
)
def test_disposable_packets_can_be_left_out(name: str, file_of: FileOf) -> None:
    """A decoder that never sees them shows all other frames unchanged."""
    with av.open(file_of(name)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.codec.canonical_name
        syntax = syntax_for(codec, stream.codec_context.extradata or b"")
        assert syntax is not None
        packets = [packet for packet in container.demux(stream) if packet.size]
        infos = [syntax.packet_info(bytes(packet)) for packet in packets]
    top = max(info.layer for info in infos if info)
    disposable = {
        number
        for number, info in enumerate(infos)
        if info and info.is_disposable and info.layer == top
    }
    assert 10 < len(disposable) < len(packets) - 10
    everything = decode_without(file_of(name), set())
    without = decode_without(file_of(name), disposable)
    assert set(without) == set(everything) - disposable
    for number, pixels in without.items():
        assert np.array_equal(pixels, everything[number])


@pytest.mark.slow
def test_hidden_frames(file_of: FileOf) -> None:
    for name in ("vp8.webm", "vp9_hidden.webm", "av1.mkv"):
        syntax, packets = packets_of(file_of(name))
        shown = [syntax.shows(packet[0], packet[-1]) for packet in packets]
        assert sum(shown) == 75
    vp8, vp9 = syntax_for("vp8", b""), syntax_for("vp9", b"")
    assert vp8 is not None
    assert vp9 is not None
    assert [vp8.shows(first, 0) for first in (0x10, 0x00)] == [True, False]
    # VP9: shown, hidden, hidden but in a superframe, an earlier one again; then of profile 3
    cases = [(0x82, 0), (0x80, 0), (0x80, 0xC1), (0x88, 0), (0xB1, 0), (0xB0, 0), (0xB4, 0)]
    expected = [True, False, True, True, True, False, True]
    assert [vp9.shows(first, last) for first, last in cases] == expected


def test_av1_headers(file_of: FileOf) -> None:
    syntax, packets = packets_of(file_of("av1.mkv"))
    header = av1.sequence_header(packets[0])
    assert header is not None
    assert header.order_hint_bits > 0
    assert syntax.entry_kind(packets[0]) is EntryKind.CLOSED
    assert syntax.entry_kind(packets[1]) is EntryKind.NO
    assert av1.sequence_header(b"") is None
    assert syntax.entry_kind(bytes([6 << 3 | 2, 1])) is EntryKind.NO
    assert av1.frames_of(b"", header) == []


@pytest.mark.parametrize(
    "name",
    [
        "vp9.webm",
        "vp9_hidden.webm",
        "vp8.webm",
        "av1.mkv",
        "h264.mkv",
        "groups.webm",
        "groups_av1.mkv",
        "some_groups.webm",
    ],
)
def test_blocks_are_the_packets_of_the_demuxer(name: str, file_of: FileOf) -> None:
    path = file_of(name)
    with open_source(path) as source:
        packets = [packet for packet in source.container.demux(source.stream) if packet.size]
        table = walk_blocks(path, source.syntax, packets[:3])
    assert table is not None
    assert list(table.pts) == [packet.pts for packet in packets]
    assert list(table.all_positions) == [packet.pos for packet in packets]
    keyframes = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert table.keyframes == keyframes
    assert table.positions == [packets[number].pos for number in keyframes]


@pytest.mark.parametrize("number", [0, 1])
def test_flags_of_simple_blocks(number: int, file_of: FileOf, tmp_path: Path) -> None:
    """RFC 9559, 10.2: 0x80 keyframe, 0x08 invisible, 0x06 lacing, 0x01 discardable."""
    with open_source(file_of("h264.mkv")) as source:
        packets = [packet for packet in source.container.demux(source.stream) if packet.size]
        syntax = source.syntax
    keyframes = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    content = bytearray(Path(file_of("h264.mkv")).read_bytes())
    position, path = packets[number].pos, tmp_path / "flags.mkv"
    assert position is not None
    assert content[position + 3] == (0x80 if number in keyframes else 0)
    for flag, is_walked in ((1, True), (8, True), (2, False), (4, False), (6, False)):
        changed = bytearray(content)
        changed[position + 3] |= flag
        path.write_bytes(changed)
        table = walk_blocks(str(path), syntax, packets[:3])
        assert (table is not None) == is_walked
        assert table is None or table.keyframes == keyframes


def test_blocks_of_a_truncated_or_other_file_are_not_walked(file_of: FileOf) -> None:
    for name in ("truncated.webm", "h264.mp4"):
        assert walk_blocks(file_of(name), Syntax(), []) is None


def test_unknown_codecs() -> None:
    assert syntax_for("mpeg4", b"") is None
    assert syntax_for("mjpeg", b"") is not None


#: Sequence parameter sets of x264, as it writes it and without its usability information.
_STATED = "6764000cacc870404effc00b400884000003000400000300c83c50a678"
_NOT_STATED = "6764000cacc870404e4000000000000000000000000000000000000000"


@pytest.mark.parametrize(("sps", "states"), [(_STATED, True), (_NOT_STATED, False)])
def test_the_reorder_depth_may_not_be_stated(sps: str, states: bool) -> None:
    syntax = syntax_for("h264", b"\0\0\0\1" + bytes.fromhex(sps))
    assert syntax is not None
    assert syntax.states_reorder == states
    assert syntax.distrust is None


def test_an_unreadable_header_is_not_trusted() -> None:
    for extradata in (b"", b"\0\0\0\1\x67\x64"):
        syntax = syntax_for("h264", extradata)
        assert syntax is not None
        assert syntax.distrust == "no readable sequence parameter set"


@pytest.mark.parametrize("name", ["no_order.mp4", "no_order.mkv"])
def test_a_stream_that_may_reorder_its_frames_and_does_not(name: str, file_of: FileOf) -> None:
    with av.open(file_of(name)) as container:
        stream = container.streams.video[0]
        times = [packet.pts for packet in container.demux(stream) if packet.size]
        assert stream.codec_context.has_b_frames > 0
        assert times == sorted(times, key=lambda time: -1 if time is None else time)


@pytest.mark.parametrize(
    ("before", "low", "count"),
    [(0, 7, 7), (0, 8, 8), (0, 9, -7), (12, 5, 5), (12, 4, 20), (12, 3, 19)],
)
def test_a_count_is_the_one_nearest_to_the_picture_before(
    before: int, low: int, count: int
) -> None:
    """By equation 8-3 of H.264, of lowest bits below 16."""
    orders = [PictureOrder(before, 0, True, True, 4, 0), PictureOrder(low, 0, False, True, 4, 0)]
    assert list(counts_of(orders)) == [(1, before), (1, count)]


@pytest.mark.parametrize(
    ("lows", "expected"),
    [([0, 2, 4], True), ([0, 2, 6], False), ([0, 4, 6], True), ([0, 2, 2], False), ([0, 1], True)],
)
def test_a_keyframe_goes_on_where_it_comes_next(lows: list[int], expected: bool) -> None:
    """After what was before it, and no further off than those are from one another."""
    *before, keyframe = (PictureOrder(low, 0, False, True, 4, 0) for low in lows)
    assert goes_on(before, keyframe, []) is expected


@pytest.mark.parametrize(
    "name",
    [slow("open_gop_pyramid.mp4"), slow("open_gop.ts"), "hevc.mp4", "hevc.mkv", "hevc_layers.mp4"],
)
def test_pictures_are_shown_in_the_order_of_their_counts(name: str, file_of: FileOf) -> None:
    syntax, packets = packets_of(file_of(name))
    orders = [order for order in map(syntax.picture_order, packets) if order is not None]
    counts = list(counts_of(orders))
    with av.open(file_of(name)) as container:
        demuxed = container.demux(container.streams.video[0])
        times = np.array([packet.pts for packet in demuxed if packet.size], np.int64)
    assert len(set(counts)) == len(counts) == len(times)
    shown = sorted(range(len(counts)), key=counts.__getitem__)
    assert np.argsort(times).tolist() == shown


@pytest.mark.parametrize("suffix", ["mkv", "ivf"])
def test_hidden_frames_of_vp8_in_packets_of_their_own(
    suffix: str, file_of: FileOf, tmp_path: Path
) -> None:
    """Their bit show_frame (RFC 6386, 9.1) is taken away; the encoder here writes none itself."""
    path, hidden = tmp_path / f"hidden.{suffix}", (7, 8, 31, 60)
    with av.open(file_of("vp8.webm")) as inputs, av.open(str(path), "w") as outputs:
        stream = inputs.streams.video[0]
        copy = outputs.add_stream_from_template(stream, opaque=True)
        packets = [packet for packet in inputs.demux(stream) if packet.size]
        for number, packet in enumerate(packets):
            content = bytearray(bytes(packet))
            if number in hidden:
                assert not packet.is_keyframe
                content[0] &= ~0x10
            made = av.Packet(bytes(content))
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.is_keyframe, made.stream = packet.is_keyframe, copy
            outputs.mux(made)
    frames, times = naive.decode_all(str(path))
    indices = [2, 7, 20, 40, 70]
    clip = decode_frames(path, indices)
    assert clip.num_source_frames == len(frames) == len(packets) - len(hidden)
    assert clip.notes == (), "nothing is decoded from the start"
    shown = np.stack([frames[index] for index in indices]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(clip.frames.numpy(), shown)
    assert clip.pts_seconds == pytest.approx([times[index] for index in indices])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "ivf"])
def test_hidden_frames_of_av1_in_packets_of_their_own(
    suffix: str, file_of: FileOf, tmp_path: Path
) -> None:
    path = tmp_path / f"split.{suffix}"
    with av.open(file_of("av1_pyramid.mp4")) as inputs, av.open(str(path), "w") as outputs:
        stream = inputs.streams.video[0]
        split = BitStreamFilterContext("av1_frame_split", stream)
        copy = outputs.add_stream_from_template(stream, opaque=True)
        packets = (part for packet in inputs.demux(stream) for part in split.filter(packet))
        for number, packet in enumerate(packets):
            packet.pts = packet.dts = number * 512
            packet.stream = copy
            outputs.mux(packet)
    frames, _ = naive.decode_all(str(path))
    indices = range(2, len(frames), 9)
    clip = decode_frames(path, indices)
    assert clip.num_source_frames == len(frames) == 75
    shown = np.stack([frames[index] for index in indices]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(clip.frames.numpy(), shown)


def test_frames_that_vp9_packets_show() -> None:
    syntax = syntax_for("vp9", b"")
    assert syntax is not None
    shown, hidden, existing = b"\x86aa", b"\x84a", b"\x88"  # 6.2: bits 3 and 1 of profile 0
    assert [syntax.num_shown(frame) for frame in (shown, hidden, existing)] == [1, 0, 1]
    # an index (Annex B) of sizes of one byte, between two marks: 0b110, size, count, each less 1
    assert syntax.num_shown(hidden + shown + b"\xc1\x02\x03\xc1") == 1
    assert syntax.num_shown(shown + shown + b"\xc1\x03\x03\xc1") == 2
    assert syntax.num_shown(hidden + hidden + b"\xc1\x02\x02\xc1") == 0


def test_frames_of_layers_of_av1_are_one() -> None:
    syntax = syntax_for("av1", b"")
    assert syntax is not None
    frame, hidden, layer = b"\x32\x01\x30", b"\x32\x01\x20", b"\x36\x00\x01\x30"
    packets = (frame, hidden + frame, hidden, frame + frame, layer + layer)
    assert [syntax.num_shown(packet) for packet in packets] == [1, 1, 0, 2, 1]
