"""Which frames of AV1 refer to which, and that those nobody needs can be left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.logging
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from llava_eval.video import decode_frames
from llava_eval.video.fast import av1
from llava_eval.video.fast.references import Frame, References
from tests.conftest import slow
from tests.video import naive
from tests.video.test_exact import check

FileOf = Callable[[str], str]
ShownBy = Callable[[str], tuple[naive.Frames, list[float | None]]]

FILES = ("av1.mp4", "av1_pyramid.mp4", "av1_grain.webm", "av1_low_delay.mkv")


def frame(
    refresh: int, references: tuple[int, ...] | None = (), *, shown: bool = False, key: bool = False
) -> Frame:
    return Frame(0, 1, shown, key, None, refresh, references)


def shown_again(slot: int) -> Frame:
    return Frame(0, 1, True, False, slot, 0, ())


def needed(packets: list[list[Frame] | None], wanted: int) -> list[bytes]:
    """What is left of packets that hold one byte for each frame."""
    references = References()
    contents = []
    for number, frames in enumerate(packets[: wanted + 1]):
        if frames is not None:
            frames = [each._replace(start=i, end=i + 1) for i, each in enumerate(frames)]
        references.add(number, frames, is_wanted=number == wanted)
        contents.append(bytes(range(65, 65 + len(frames or "?"))))
    references.close()
    return [references.needed_part(number, content) for number, content in enumerate(contents)]


KEY = [frame(0xFF, shown=True, key=True)]


def test_a_pyramid() -> None:
    """A: key frame. Then hidden B (slot 1) and C (slot 2, from B), shown D; B shown; E; C shown."""
    packets: list[list[Frame] | None] = [
        KEY,
        [frame(0b10, (0,)), frame(0b100, (0, 1)), frame(0, (0, 2), shown=True)],
        [shown_again(1)],
        [frame(0, (1,), shown=True)],
        [shown_again(2)],
        [frame(0b10, (0,), shown=True)],
        [frame(0, (1,), shown=True)],
    ]
    assert needed(packets, 1) == [b"A", b"ABC"]
    assert needed(packets, 2) == [b"A", b"A", b"A"]
    assert needed(packets, 3) == [b"A", b"A", b"", b"A"]
    assert needed(packets, 4) == [b"A", b"AB", b"", b"", b"A"]
    # slot 1 holds another frame by now
    assert needed(packets, 6) == [b"A", b"", b"", b"", b"", b"A", b"A"]


def test_frames_whose_references_are_not_known_need_all_before() -> None:
    some: list[Frame] = [frame(0b10, (0,), shown=True)]
    packets: list[list[Frame] | None] = [
        KEY,
        some,
        [frame(0, None, shown=True)],
        some,
        [frame(0, (1,), shown=True)],
        [frame(0, (0,), shown=True)],
        None,
        KEY,
        [frame(0, (3,), shown=True)],
    ]
    assert needed(packets, 2) == [b"A", b"A", b"A"]
    # whatever lies in slot 0 may have been changed by the third packet
    assert needed(packets, 4) == [b"A"] * 5
    assert needed(packets, 5) == [b"A", b"A", b"A", b"", b"", b"A"]
    assert needed(packets, 6) == [b"A"] * 7
    assert needed(packets, 8) == [b"A", *[b""] * 6, b"A", b"A"]


def test_a_key_frame_that_is_shown_again_takes_all_slots() -> None:
    packets: list[list[Frame] | None] = [
        KEY,
        [frame(0b1000, key=True), frame(0b1, (0,), shown=True)],
        [shown_again(3)],
        [frame(0, (0,), shown=True)],
    ]
    assert needed(packets, 3) == [b"A", b"A", b"A", b"A"]


def traced(path: str) -> Iterator[list[dict[str, int]]]:
    """The fields of each frame header, packet by packet, as libav's own parser traces them."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        tracer = BitStreamFilterContext("trace_headers", stream)
        av.logging.set_level(av.logging.INFO)
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                with av.logging.Capture(local=True) as messages:
                    tracer.filter(packet)
                frames: list[dict[str, int]] = []
                for _, _, text in messages:
                    field = re.match(r"\d+ +(\w+)(?:\[(\d)\])? .*= (\d+)$", text.strip())
                    if field is None:
                        continue
                    if field[1] == "show_existing_frame":
                        frames.append({})
                    if frames:
                        frames[-1][field[1] + (field[2] or "")] = int(field[3])
                yield frames
        finally:
            av.logging.set_level(None)


@pytest.mark.parametrize("name", FILES)
def test_headers_are_read_as_libav_reads_them(name: str, file_of: FileOf) -> None:
    path = file_of(name)
    with av.open(path) as container:
        units = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    sequence = av1.sequence_header(units[0])
    assert sequence is not None
    num_references = 0
    for unit, expected in zip(units, traced(path), strict=True):
        frames = av1.frames_of(unit, sequence)
        assert frames is not None
        assert len(frames) == len(expected)
        for found, fields in zip(frames, expected, strict=True):
            if fields["show_existing_frame"]:
                assert found.existing == fields["frame_to_show_map_idx"]
                continue
            assert found.existing is None
            assert found.is_shown == fields["show_frame"]
            assert found.is_key == (fields["frame_type"] == 0)
            assert found.refresh == fields.get("refresh_frame_flags", 0xFF)
            if fields["frame_type"] == 1:
                slots = tuple(fields[f"ref_frame_idx{number}"] for number in range(7))
                assert found.references == slots
                num_references += 1
            else:
                assert found.references == ()
    assert num_references > 40


def decode_parts(path: str, target: int) -> tuple[dict[int | None, naive.Frames], int, int]:
    """Frames by packet that a fresh decoder shows of what one frame needs; bytes given, in all."""
    frames: dict[int | None, naive.Frames] = {}
    with av.open(path) as container:
        stream = container.streams.video[0]
        units = [bytes(packet) for packet in container.demux(stream) if packet.size]
        sequence = av1.sequence_header(units[0])
        assert sequence is not None
        references = References()
        for number, unit in enumerate(units[: target + 1]):
            references.add(number, av1.frames_of(unit, sequence), is_wanted=number == target)
        references.close()
        parts = [
            references.needed_part(number, unit) for number, unit in enumerate(units[: target + 1])
        ]
        packets: list[Any] = []
        for number, part in enumerate(parts):
            if part:
                packets.append(av.Packet(part))
                packets[-1].pts = number
        for packet in [*packets, None]:
            for shown in stream.codec_context.decode(packet):
                pixels = np.asarray(shown.to_ndarray(format="rgb24"), np.uint8)
                frames.setdefault(shown.pts, []).append(pixels)
    given, total = sum(map(len, parts)), sum(map(len, units[: target + 1]))
    return frames, given, total


@pytest.mark.parametrize("name", [*FILES[:2], *map(slow, FILES[2:])])
def test_a_decoder_without_the_rest_shows_the_same(
    name: str, file_of: FileOf, shown_by: ShownBy
) -> None:
    expected, _ = shown_by(name)
    shares = []
    for target in range(0, len(expected), 5):
        frames, given, total = decode_parts(file_of(name), target)
        (pixels,) = frames[target]
        assert np.array_equal(pixels, expected[target])
        for number, others in frames.items():
            assert number is not None
            assert all(np.array_equal(other, expected[number]) for other in others)
        shares.append(given / total)
    assert min(shares) < 0.8


@pytest.mark.parametrize("name", FILES)
def test_frames_that_need_few_others(name: str, file_of: FileOf, shown_by: ShownBy) -> None:
    expected, _ = shown_by(name)
    path = file_of(name)
    for index in range(2, len(expected), 9):
        check(decode_frames(path, [index]), [index], expected)
    several = [len(expected) - 2, 3, 4, 40]
    check(decode_frames(path, several), several, expected)


def test_what_is_not_read(file_of: FileOf) -> None:
    with av.open(file_of("av1.mp4")) as container:
        unit = next(bytes(packet) for packet in container.demux(video=0))
    sequence = av1.sequence_header(unit)
    assert sequence is not None
    assert av1.frames_of(b"", sequence) == []
    (key,) = av1.frames_of(unit, sequence) or []
    assert (key.is_key, key.is_shown, key.refresh, key.references) == (True, True, 0xFF, ())
    tile_group = bytes([4 << 3 | 2, 1, 0])
    scalable = bytes([6 << 3 | 4 | 2, 0, 1, 0])
    cut_off = bytes([6 << 3 | 2, 1])
    for rest in (tile_group, scalable, cut_off):
        assert av1.frames_of(unit + rest, sequence) is None
    # another sequence header than that of the key frame
    position = unit.index(bytes([1 << 3 | 2]))
    changed = bytearray(unit)
    changed[position + 4] ^= 0xFF
    assert av1.frames_of(bytes(changed), sequence) is None
