"""From which keyframes frames are decoded, and on how many threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import cast

import numpy as np
import pytest

from llava_eval.types import VideoInfo
from llava_eval.video.collector import FrameCollector
from llava_eval.video.fast import ranges
from llava_eval.video.fast.index import UNSAFE, VideoIndex
from llava_eval.video.fast.ranges import DecodeRange, plan_ranges
from llava_eval.video.fast.scan import index_video
from llava_eval.video.fast.source import Source, open_source
from llava_eval.video.fast.syntax import EntryKind, Syntax

FileOf = Callable[[str], str]


def index_of(leading: list[int]) -> VideoIndex:
    """Keyframes at packets 0, 10, 20, ..., each of which shows a frame."""
    packets = 10 * np.arange(len(leading))
    return VideoIndex(
        VideoInfo("v.mp4", 10 * len(leading), 25.0, 1.0, 8, 8, "h264"),
        packets=packets,
        shown_before=packets,
        timestamps=packets * 512,
        positions=packets * 1000 + 7,
        leading=np.array(leading),
    )


@pytest.mark.parametrize(
    ("leading", "frames", "expected"),
    [
        # (packet of the keyframe, first frame that is exact from there, frames)
        ([0, 0, 0], [0, 9, 10, 25, 29], [(0, 0, [0, 9]), (10, 10, [10]), (20, 20, [25, 29])]),
        # two pictures that are stored after the second keyframe are shown before it
        ([0, 2, 0], [10, 11, 12, 19], [(0, 0, [10, 11]), (10, 12, [12, 19])]),
        ([0, 0, UNSAFE], [5, 19, 20, 29], [(0, 0, [5]), (10, 10, [19, 20, 29])]),
        ([0, UNSAFE, UNSAFE], [29, 3], [(0, 0, [3, 29])]),
        ([0, 3, 4], [21, 12, 24, 22], [(0, 0, [12]), (10, 13, [21, 22]), (20, 24, [24])]),
        # decoding begins at the first packet whatever is said of it
        ([UNSAFE, 0], [4], [(0, 0, [4])]),
    ],
)
def test_frames_are_grouped_by_their_keyframes(
    leading: list[int], frames: list[int], expected: list[tuple[int, int, list[int]]]
) -> None:
    planned = plan_ranges(cast(Source, None), index_of(leading), frames)
    found = [(each.entry.packet, each.entry.first_frame, [*each.frames]) for each in planned]
    assert found == expected
    for each in planned:
        assert each.entry.timestamp == each.entry.packet * 512
        assert each.entry.position == each.entry.packet * 1000 + 7
        assert each.num_packets == each.frames[-1] - each.entry.first_frame + 1


def test_leading_pictures_that_only_timestamps_tell(file_of: FileOf) -> None:
    """Of h264 in mp4 with open groups: as many as a look at all timestamps finds."""
    path, num_seen = file_of("open_gop.mp4"), 0
    with open_source(path) as source:
        packets = [packet for packet in source.container.demux(source.stream) if packet.size]
        kinds = [source.syntax.entry_kind(bytes(packet)) for packet in packets]
    pts = [packet.pts or 0 for packet in packets]
    with open_source(path) as source:
        index = index_video(source)
        for number, kind in enumerate(kinds):
            leading = sum(later < pts[number] for later in pts[number + 1 :])
            if kind is not EntryKind.OPEN or not leading:
                continue
            num_seen += 1
            first = sorted(pts).index(pts[number])
            (planned,) = plan_ranges(source, index, [first])
            assert (planned.entry.packet, planned.entry.first_frame) == (number, first)
            (earlier,) = plan_ranges(source, index, [first - 1])
            assert earlier.entry.packet < number
    assert num_seen >= 1


@pytest.mark.parametrize(
    ("num_threads", "num_frames", "worth", "num_cores", "num_helpers"),
    [
        (1, 6, 1, 8, 0),
        (2, 6, 1, 8, 1),
        (3, 6, 1, 8, 2),
        (8, 3, 1, 8, 2),  # one range is left to this thread
        (8, 6, 1, 2, 1),
        (8, 6, 1, 1, 0),
        (8, 6, 2, 8, 3),  # 6 packets pay for 3 more threads
        (8, 6, 7, 8, 0),
    ],
)
def test_as_many_threads_as_pay(
    num_threads: int,
    num_frames: int,
    worth: int,
    num_cores: int,
    num_helpers: int,
    file_of: FileOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cores = ranges._Cores(num_cores)
    monkeypatch.setattr(ranges, "_cores", cores)
    path, indices = file_of("all_keyframes.mp4"), [10 * n for n in range(num_frames)]
    collector = FrameCollector(path, indices)
    with open_source(path) as source, cores.taken():
        index = index_video(source)
        pixels = index.info.width * index.info.height
        monkeypatch.setattr(ranges, "_WORTH_PIXELS", worth * pixels)
        pool = ranges.RangeDecoding(source, index, collector, num_threads)
        may_open = threading.Event()

        def open_later(path: str) -> AbstractContextManager[Source]:
            may_open.wait()  # a helper that had decoded everything would make room for another
            return open_source(path)

        monkeypatch.setattr(ranges, "open_source", open_later)
        pool._start_helpers()
        assert len(pool.helpers) == num_helpers
        may_open.set()
        pool.run()
    assert cores.busy == 0
    assert not collector.missing


def test_cores_that_are_taken_and_given_back() -> None:
    cores = ranges._Cores(2)
    with cores.taken():
        assert cores.take_if_free()
        assert not cores.take_if_free()
        with cores.taken():  # even where no core is free
            assert cores.busy == 3
        cores.give_back()
        assert cores.busy == 1
    assert cores.busy == 0


def test_the_longest_ranges_come_first() -> None:
    collector = FrameCollector("v.mp4", [1, 15, 22])
    source, index = cast(Source, None), index_of([0, 0, 0])
    pool = ranges.RangeDecoding(source, index, collector)
    assert [each.num_packets for each in pool.ranges] == [6, 3, 2]
    assert isinstance(pool.ranges[0], DecodeRange)


def test_syntax_of_independent_packets() -> None:
    syntax = Syntax()
    assert syntax.max_reorder == 0
    assert syntax.entry_kind(b"") is EntryKind.CLOSED
    assert syntax.frames(b"x") is None
    assert syntax.parameters(b"x") == b""
    answers = [syntax.is_leading(b"x"), syntax.hidden_at_start(b"x"), syntax.ends_sequence(b"x")]
    assert answers == [False, False, False]
    assert all(syntax.shows(*pair) for pair in itertools.product((0, 255), repeat=2))
    assert syntax.keyframe_distrust(b"x", is_first=True) is None
