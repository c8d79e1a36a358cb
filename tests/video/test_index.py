"""The table of packets that an index is made of: what it counts, and what it does not trust."""

from __future__ import annotations

from array import array
from dataclasses import replace

import numpy as np
import pytest

from llava_eval.types import VideoInfo
from llava_eval.video.fast.index import UNSAFE, PacketTable, UntrustedError
from llava_eval.video.fast.source import syntax_for
from llava_eval.video.fast.syntax import EntryKind, Syntax

INFO = VideoInfo("v.mkv", 0, 25.0, 0.2, 8, 8, "h264")


class Reordered(Syntax):
    """Frames may be shown up to two packets later than they are stored."""

    max_reorder = 2


class Unstated(Reordered):
    states_reorder = False


def table(
    pts: list[int],
    *,
    keyframes: list[int] | None = None,
    kinds: list[EntryKind] | None = None,
    shown: list[bool] | None = None,
    dts: list[int | None] | None = None,
) -> PacketTable:
    numbers = keyframes or [0]
    return PacketTable(
        pts=array("q", pts),
        dts=dts or [],
        shown=bytearray(shown or [True] * len(pts)),
        keyframes=numbers,
        positions=[100 + 10 * number for number in numbers],
        entries=kinds or [EntryKind.CLOSED] * len(numbers),
    )


def test_frames_are_counted_up_to_each_keyframe() -> None:
    # packets 0 to 5 are shown in the order 0, 2, 1, 3, 5, 4; packet 4 is a keyframe with a leading
    # picture, packet 3 is never shown
    packets = table(
        [0, 2, 1, 3, 5, 4],
        keyframes=[0, 4],
        kinds=[EntryKind.CLOSED, EntryKind.OPEN],
        shown=[True, True, True, False, True, True],
        dts=[0, 1, 2, 3, 4, 5],
    )
    index = packets.index(INFO, "mpegts", Reordered())
    assert index.info.num_frames == 5
    assert index.shown_before.tolist() == [0, 3]
    assert index.leading.tolist() == [0, 1]
    assert index.positions.tolist() == [100, 140]
    assert index.timestamps.tolist() == [0, 4]  # dts
    assert index.entry_point(1, 1).first_frame == 4
    assert [index.keyframe_before(frame) for frame in range(5)] == [0, 0, 0, 1, 1]
    by_pts = packets.index(INFO, "matroska,webm", Reordered())
    assert by_pts.timestamps.tolist() == [0, 5]


@pytest.mark.parametrize(
    ("kind", "pts", "leading"),
    [
        (EntryKind.CLOSED, [0, 1, 2, 3], 0),
        (EntryKind.OPEN, [0, 1, 3, 2], 1),
        (EntryKind.OPEN, [0, 1, 3, 4, 5, 6, 2], 1),
        (EntryKind.OPEN, [0, 1, 3, 4, 5, 6, 7, 2], 0),  # so late a packet is refused when decoded
        (EntryKind.CLOSED, [0, 1, 3, 2], UNSAFE),  # a closed one has nothing before it
        (EntryKind.NO, [0, 1, 2, 3], UNSAFE),
        (EntryKind.OPEN, [0, 3, 2, 4], UNSAFE),  # something stored before is shown after it
    ],
)
def test_keyframes_where_decoding_may_begin(kind: EntryKind, pts: list[int], leading: int) -> None:
    packets = table(pts, keyframes=[0, 2], kinds=[EntryKind.CLOSED, kind])
    assert packets.index(INFO, "matroska,webm", Reordered()).leading.tolist() == [0, leading]


@pytest.mark.parametrize(
    ("packets", "message"),
    [
        (table([0, 1], keyframes=[1]), "the first packet is not a keyframe"),
        (replace(table([0, 1]), keyframes=[]), "the first packet is not a keyframe"),
        (replace(table([0, 1]), positions=[-1]), "positions of keyframes .* are not known"),
        (
            replace(table([0, 1], keyframes=[0, 1]), positions=[7, 7]),
            "positions of keyframes .* are not known",
        ),
        (table([0, 1, 1]), "two packets have the same timestamp"),
        (table([0, 1, 2], dts=[0, 2, 1]), "timestamps jump back"),
        (table([0, 5, 6, 1, 2, 3, 4]), "timestamps are out of order"),
    ],
)
def test_tables_that_are_not_trusted(packets: PacketTable, message: str) -> None:
    with pytest.raises(UntrustedError, match=message):
        packets.index(INFO, "matroska,webm", Reordered())


def test_the_same_timestamp_of_a_hidden_packet_is_no_matter() -> None:
    packets = table([0, 1, 1], shown=[True, True, False])
    assert packets.index(INFO, "matroska,webm", Reordered()).info.num_frames == 2


def test_depths_that_libav_may_learn_too_late() -> None:
    late = [*range(20), 21, 20]
    assert table(late).index(INFO, "matroska,webm", Reordered()).info.num_frames == 22
    with pytest.raises(UntrustedError, match="does not state how far its frames are reordered"):
        table(late).index(INFO, "matroska,webm", Unstated())
    early = [1, 0, *range(2, 20), 21, 20]
    assert table(early).index(INFO, "matroska,webm", Unstated()).info.num_frames == 22


def test_streams_in_the_order_of_their_timestamps_need_no_other_look() -> None:
    """Where nothing is reordered, packets in order are trusted whatever their dts are."""
    packets = table([0, 1, 2], dts=[0, 2, 1])
    syntax = syntax_for("vp9", b"")
    assert syntax is not None
    assert packets.index(INFO, "matroska,webm", syntax).info.num_frames == 3
    assert np.array_equal(packets.index(INFO, "ivf", syntax).timestamps, [0])
