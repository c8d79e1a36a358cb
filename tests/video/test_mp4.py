"""The sample table of mp4 files where it is damaged."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llava_eval.video.fast import mp4
from llava_eval.video.fast.index import UntrustedError


class Entries(list[SimpleNamespace]):
    """A sample table whose search by time finds what libav's finds where times are damaged."""

    def __init__(self, found: dict[int, int]) -> None:
        super().__init__(SimpleNamespace(timestamp=place) for place in range(6))
        self._found = found

    def search_timestamp(self, timestamp: int) -> int:
        return self._found[timestamp]


def test_keyframes_are_found_from_the_end() -> None:
    entries = Entries({5: 3, 2: 0})
    assert mp4._keyframes(entries) == [0, 3]  # type: ignore[arg-type]


def test_a_search_that_runs_on_instead_of_back_is_not_followed() -> None:
    entries = Entries({5: 3, 2: 4})
    with pytest.raises(UntrustedError, match="out of order"):
        mp4._keyframes(entries)  # type: ignore[arg-type]


def box(kind: str, content: bytes, *, wide: bool = False) -> bytes:
    """A box (ISO/IEC 14496-12, 4.2), with a size of 32 or 64 bits."""
    if wide:
        return b"\0\0\0\1" + kind.encode() + (16 + len(content)).to_bytes(8, "big") + content
    return (8 + len(content)).to_bytes(4, "big") + kind.encode() + content


def numbers(*values: int, size: int = 4) -> bytes:
    return b"".join(value.to_bytes(size, "big", signed=value < 0) for value in values)


#: Display matrices (8.2.2): upright, upright and moved, turned by 90 and 180 degrees, mirrored.
ONE = 1 << 16
UPRIGHT = (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
MOVED = (ONE, 0, 0, 0, ONE, 0, 99 * ONE, 7 * ONE, 1 << 30)
QUARTER = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)
HALF = (-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30)
MIRRORED = (-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
SHEARED = (ONE, 1, 0, 0, ONE, 0, 0, 0, 1 << 30)


def mvhd(matrix: tuple[int, ...], version: int = 0) -> bytes:
    """MovieHeaderBox (8.2.2): times, timescale, duration, rate, volume, reserved, matrix, ..."""
    times = numbers(1, 2, size=8) + numbers(600) + numbers(3, size=8)
    if version == 0:
        times = numbers(1, 2, 600, 3)
    rest = numbers(ONE) + b"\1\0" + b"\0" * 10 + numbers(*matrix) + b"\0" * 24 + numbers(3)
    return box("mvhd", bytes([version, 0, 0, 0]) + times + rest)


def tkhd(matrix: tuple[int, ...], version: int = 0) -> bytes:
    """TrackHeaderBox (8.3.2): times, track, reserved, duration, reserved, layer, ..., matrix."""
    times = numbers(1, 2, size=8) + numbers(1, 0) + numbers(3, size=8)
    if version == 0:
        times = numbers(1, 2, 1, 0, 3)
    rest = b"\0" * 8 + b"\0\0\0\0\1\0\0\0" + numbers(*matrix) + numbers(640 * ONE, 480 * ONE)
    return box("tkhd", bytes([version, 0, 0, 7]) + times + rest)


@pytest.mark.parametrize(
    ("movie", "tracks", "expected"),
    [
        (UPRIGHT, [UPRIGHT], True),
        (UPRIGHT, [UPRIGHT, MOVED], True),
        (MOVED, [UPRIGHT], True),
        *((UPRIGHT, [UPRIGHT, matrix], False) for matrix in (QUARTER, HALF, MIRRORED, SHEARED)),
        *((matrix, [UPRIGHT], False) for matrix in (QUARTER, HALF, MIRRORED, SHEARED)),
        (UPRIGHT, [], True),
        (None, [UPRIGHT], True),
        (None, [], False),
    ],
)
@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("wide", [False, True])
def test_whether_nothing_is_turned(
    movie: tuple[int, ...] | None,
    tracks: list[tuple[int, ...]],
    expected: bool,
    version: int,
    wide: bool,
    tmp_path: Path,
) -> None:
    header = b"" if movie is None else mvhd(movie, version)
    content = header + b"".join(
        box("trak", box("edts", b"") + tkhd(matrix, version), wide=wide) for matrix in tracks
    )
    path = tmp_path / "v.mp4"
    path.write_bytes(box("ftyp", b"isom") + box("moov", content, wide=wide) + box("mdat", b"x" * 9))
    assert mp4.is_shown_upright(str(path)) is expected


def test_boxes_up_to_where_they_are_damaged() -> None:
    file = box("ftyp", b"abcd") + box("free", b"", wide=True) + box("moov", b"12345")
    last = b"\0\0\0\0mdat" + b"to the end"
    found = [(each.kind, each.start, each.end) for each in mp4.boxes(file + last, 0, 51)]  # type: ignore[arg-type]
    assert found == [
        (b"ftyp", 8, 12),
        (b"free", 28, 28),
        (b"moov", 36, 41),
        (b"mdat", 49, 51),
    ]
    cut_off = list(mp4.boxes(file + numbers(99) + b"mdatabc", 0, len(file) + 11))  # type: ignore[arg-type]
    assert (cut_off[-1].kind, cut_off[-1].end) == (b"mdat", len(file) + 99)
    for damaged in (
        numbers(7) + b"mdat",
        numbers(1) + b"mdat" + numbers(15, size=8),
        b"\0\0\0\x08mda",
    ):
        assert len(list(mp4.boxes(file + damaged, 0, len(file + damaged)))) == 3  # type: ignore[arg-type]


def test_samples_and_their_ends(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    path.write_bytes(bytes(range(256)))
    entries: Any = [
        SimpleNamespace(pos=10, size=200),
        SimpleNamespace(pos=3, size=5),
        SimpleNamespace(pos=250, size=20),
        SimpleNamespace(pos=256, size=1),
        SimpleNamespace(pos=-1, size=4),
    ]
    with FileIO(path) as file:
        samples = mp4.Samples(file, entries)
        whole = [samples.read(number) for number in range(5)]
        assert whole == [
            bytes(range(10, 210)),
            bytes(range(3, 8)),
            bytes(range(250, 256)),
            b"",
            b"",
        ]
        assert samples.read(0, mp4._SUFFIX) == bytes(range(202, 210))
        assert samples.read(1, mp4._SUFFIX) == whole[1]
        assert whole[0].startswith(samples.read(0, mp4._PREFIX))
        assert 0 < len(samples.read(0, mp4._PREFIX)) < 200
        assert samples.read(1, mp4._PREFIX) == whole[1]
