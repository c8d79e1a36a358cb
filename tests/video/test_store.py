"""The store on disk, the indices and prepared frames that are kept in it."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import stat
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from llava_eval.borders.paths import file_identity
from llava_eval.types import Clip, Media
from llava_eval.video import decode_frames, probe, read_media
from llava_eval.video.cache import (
    Array,
    ArrayStore,
    cache_folder,
    digest,
)
from llava_eval.video.fast import forget_indices
from llava_eval.video.fast.index_cache import known_index
from llava_eval.video.frame_cache import FrameCache, default_store

FileOf = Callable[[str], str]


def whole(array: Array, facts: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
    return array, facts


def test_what_is_put_can_be_got(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, 2**20)
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    store.put("key", array, {"pts": 1.5, "notes": ["a\nb"]})
    entry = store.get("key", whole)
    assert entry is not None
    assert np.array_equal(entry[0], array)
    assert entry[1] == {"pts": 1.5, "notes": ["a\nb"]}
    assert store.get("other", whole) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"nonsense\n",
        b'{"shape": [9], "dtype": "|u1"}\nab',
        b"[" * 100_000 + b"\n",
        b'{"shape": 9, "dtype": "|u1"}\nab',
        b'{"shape": [-1, 0], "dtype": "|u1"}\nab',
        b'{"shape": [2], "dtype": "|O"}\nab',
        b'{"shape": [2], "dtype": {"names": 7}}\nab',
    ],
)
def test_a_broken_entry_is_dropped(content: bytes, tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, 2**20)
    store.put("key", np.zeros(9, np.uint8))
    (path,) = tmp_path.glob("*/*.array")
    path.write_bytes(content)
    assert store.get("key", whole) is None
    assert not path.exists()


def test_an_entry_whose_bytes_changed_is_dropped(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, 2**20)
    store.put("key", np.full(9000, 7, np.uint8))
    (path,) = tmp_path.glob("*/*.array")
    content = path.read_bytes()
    path.write_bytes(content[:5000] + bytes(len(content) - 5000))  # as a crash may leave it
    assert store.get("key", whole) is None


def signed(header: dict[str, Any], content: bytes) -> bytes:
    """An entry with this header, as the store itself would have written it."""
    text = json.dumps({name: value for name, value in header.items() if name != "crc32"})
    whole = {**json.loads(text), "crc32": zlib.crc32(text.encode() + content)}
    return json.dumps(whole).encode() + b"\n" + content


def test_an_entry_whose_facts_changed_is_dropped(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, 2**20)
    for other in (b'"pts": 1.25, "not', b'"pts": 1.5, "nots'):
        store.put("key", np.full(9, 7, np.uint8), {"pts": 1.5, "notes": ["a"]})
        (path,) = tmp_path.glob("*/*.array")
        entry = path.read_bytes()
        assert entry == signed(json.loads(entry.splitlines()[0]), b"\7" * 9)
        assert store.get("key", whole) is not None
        path.write_bytes(entry.replace(b'"pts": 1.5, "note', other))
        assert store.get("key", whole) is None


def test_facts_of_a_frame_that_changed_are_not_shown(file_of: FileOf, cache: Path) -> None:
    path, frames = file_of("h264.mp4"), FrameCache(default_store(), halve, "half")
    assert through(frames, path, [40]).pts_seconds == (1.6,)  # 25 frames a second
    (entry,) = (cache / "frames").glob("*/*.array")
    kept = entry.read_bytes()
    assert kept.count(b'"pts_seconds": [1.6]') == 1
    entry.write_bytes(kept.replace(b'"pts_seconds": [1.6]', b'"pts_seconds": [9.6]'))
    assert through(frames, path, [40]).pts_seconds == (1.6,)
    (index,) = (cache / "indices").glob("*/*.array")
    kept = index.read_bytes()
    assert kept.count(b'"num_frames": 75') == 1
    index.write_bytes(kept.replace(b'"num_frames": 75', b'"num_frames": 61'))
    forget_indices()
    assert through(frames, path, [40]).num_source_frames == 75


def test_entries_of_somebody_else_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    store = ArrayStore(tmp_path, 2**20)
    store.put("key", np.zeros(9, np.uint8))
    monkeypatch.setattr(os, "utime", refuse)
    assert store.get("key", whole) is not None


def test_entries_are_for_all_whom_the_umask_lets_read(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, 2**20)
    before = os.umask(0o007)
    try:
        store.put("key", np.zeros(9, np.uint8))
    finally:
        os.umask(before)
    (path,) = tmp_path.glob("*/*.array")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, 100_000)
    for number in range(9):
        store.put(f"{number:02d}", np.full(10_000, number, np.uint8))
        path = tmp_path / f"{number:02d}" / f"{number:02d}.array"
        os.utime(path, (number, number))
    assert store.get("00", whole) is not None  # used again
    for number in range(9, 13):
        store.put(f"{number:02d}", np.full(10_000, number, np.uint8))
    assert store.get("00", whole) is not None
    assert store.get("01", whole) is None
    assert store.get("12", whole) is not None
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 100_000


def test_what_a_killed_process_left_goes_too(tmp_path: Path) -> None:
    left = tmp_path / "ke" / ".key.array.0a1b2c3d.partial"
    left.parent.mkdir()
    left.write_bytes(bytes(90_000))
    os.utime(left, (1, 1))
    ArrayStore(tmp_path, 100_000).put("key", np.zeros(20_000, np.uint8))
    assert [path.name for path in left.parent.iterdir()] == ["key.array"]


def test_a_disk_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    store = ArrayStore(tmp_path / "file", 1000)
    for _ in range(2):
        store.put("key", np.zeros(3, np.uint8))
    with caplog.at_level("INFO"):
        assert store.get("key", whole) is None
    assert caplog.text.count("nothing more is cached") == 1
    assert "unreadable" not in caplog.text


def test_several_threads_say_once_that_nothing_is_cached(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store, start = ArrayStore(tmp_path / "file", 1000), threading.Barrier(8)

    def put(number: int) -> None:
        start.wait()
        store.put(f"key {number}", np.zeros(3, np.uint8))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(8)))
    assert caplog.text.count("nothing more is cached") == 1


def _write_and_read(folder: str, seed: int) -> int:
    store = ArrayStore(folder, 300_000)
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(150):
        number = int(random.integers(0, 40))
        entry = store.get(f"{number:02d}", whole)
        if entry is None:
            store.put(f"{number:02d}", np.full(10_000, number, np.uint8))
        else:
            assert entry[0].shape == (10_000,)
            assert (entry[0] == number).all()
            hits += 1
    return hits


@pytest.mark.slow
def test_several_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        hits = pool.starmap(_write_and_read, [(str(tmp_path), seed) for seed in range(3)])
    assert all(hits)
    assert not list(tmp_path.glob("*/*.partial"))


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLAVA_EVAL_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("LLAVA_EVAL_CACHE", "off")
    assert cache_folder() is None
    assert default_store() is None
    monkeypatch.setenv("LLAVA_EVAL_CACHE", "~nobody-of-this-name/cache")  # has no home
    assert cache_folder() is None
    monkeypatch.delenv("LLAVA_EVAL_CACHE")
    folder = cache_folder()
    assert folder is not None
    assert folder.name == "llava_eval"
    assert folder.is_absolute()


def test_identity_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    first = file_identity(str(path))
    link = tmp_path / "link.mp4"
    link.symlink_to(path)
    assert file_identity(str(link)) == first
    path.write_bytes(b"other")
    assert file_identity(str(path)) != first
    assert digest("a", "b") != digest("ab")


def test_an_index_is_found_on_disk(file_of: FileOf, cache: Path) -> None:
    for name in ("vp9_hidden.webm", "h264.ts", "hevc_cra.mp4", "mpeg4.avi"):
        path = file_of(name)
        info = probe(path)
        expected = decode_frames(path, [70, 3])
        forget_indices()
        index = known_index(path)
        assert index is not None
        assert index.info == info
        clip = decode_frames(path, [70, 3])
        assert clip.frames.equal(expected.frames)
        assert clip.notes == expected.notes
    assert len(list(cache.glob("indices/*/*.array"))) == 4


def test_indices_that_cannot_be_kept_are_told_of_once(
    file_of: FileOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLAVA_EVAL_CACHE", str(tmp_path / "file"))
    assert [probe(file_of(name)).num_frames for name in ("h264.mp4", "vp9.webm")] == [75, 75]
    assert caplog.text.count("nothing more is cached") == 1


def test_an_index_is_not_used_for_another_file(file_of: FileOf, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(Path(file_of("h264.mp4")).read_bytes())
    assert probe(path).num_frames == 75
    path.write_bytes(Path(file_of("three_frames.mp4")).read_bytes())
    assert probe(path).num_frames == 3


def through(cache: FrameCache, path: str, indices: list[int]) -> Clip:
    """The frames of a video as the cache prepares them."""
    return read_media(Media("video", path), lambda _: indices, cache=cache)


def halve(frames: torch.Tensor) -> torch.Tensor:
    return frames[:, :, ::2, ::2].contiguous()


def test_prepared_frames_are_shared_between_frame_counts(
    file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of("h264.mp4")
    cache = FrameCache(default_store(), halve, "half")
    first = through(cache, path, [0, 37, 74])
    assert first.frames.equal(halve(decode_frames(path, [0, 37, 74]).frames))
    asked: list[list[int]] = []

    def note(path: str, indices: list[int]) -> object:
        asked.append(indices)
        return decode_frames(path, indices)

    monkeypatch.setattr("llava_eval.video.frame_cache.decode_frames", note)
    again = through(cache, path, [74, 0, 74])
    assert asked == []
    assert again.frames.equal(first.frames[[2, 0, 2]])
    assert again.pts_seconds == (first.pts_seconds[2], 0.0, first.pts_seconds[2])
    assert (again.fps, again.num_source_frames) == (25.0, 75)
    through(cache, path, [0, 12, 37, 50, 74])
    assert asked == [[12, 50]]
    through(FrameCache(default_store(), halve, "another way"), path, [0])
    assert asked == [[12, 50], [0]]


def test_frames_that_another_decoder_made_are_not_taken(
    file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = FrameCache(default_store(), halve, "half")
    for version, num_decoded in (("18.1.0", 1), ("18.1.0", 1), ("19.0.0", 2)):
        monkeypatch.setattr(av, "__version__", version)
        through(frames, file_of("h264.mp4"), [3])
        assert frames.counts["num_decoded"] == num_decoded


def changed(value: object, random: np.random.Generator) -> object:
    """The value with one thing in it replaced by another."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = list(value)[random.integers(len(value))]
        return {**value, key: changed(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.5:
        return [changed(value[0], random), *value[1:]]
    others: list[object] = [None, "text", -1, 1e400, [], {}, [None], {"a": 1}, 2**70, True]
    return others[random.integers(len(others))]


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["frames", "indices"])
def test_caches_that_others_wrote_into(folder: str, file_of: FileOf, cache: Path) -> None:
    """Whatever lies there, frames are those of the video."""
    path, frames = file_of("h264.mp4"), FrameCache(default_store(), halve, "half")
    expected = through(frames, path, [40])
    (entry,) = (cache / folder).glob("*/*.array")
    header, _, pixels = entry.read_bytes().partition(b"\n")
    random = np.random.default_rng(7)
    for _ in range(150):
        other = changed(json.loads(header), random)
        text = json.dumps(other).encode() + b"\n" + pixels
        entry.write_bytes(signed(other, pixels) if isinstance(other, dict) else text)
        forget_indices()
        clip = through(frames, path, [40])
        assert clip.frames.shape == expected.frames.shape
        assert clip.frame_indices == (40,)


def test_an_entry_that_is_no_frame_is_dropped(file_of: FileOf, cache: Path) -> None:
    path, frames = file_of("h264.mp4"), FrameCache(default_store(), halve, "half")
    expected = through(frames, path, [40])
    (entry,) = (cache / "frames").glob("*/*.array")
    header, _, pixels = entry.read_bytes().partition(b"\n")
    facts = json.loads(header)
    for other in ({"shape": [1, *facts["shape"]]}, {"dtype": "|i1"}, {"proof": None}):
        entry.write_bytes(signed({**facts, **other}, pixels))
        assert through(frames, path, [40]).frames.equal(expected.frames)


def test_notes_are_kept_with_frames(file_of: FileOf) -> None:
    path = file_of("mpeg4.avi")
    cache = FrameCache(default_store(), halve, "half")
    first = through(cache, path, [3])
    assert "decoded sequentially" in first.notes[0]
    assert through(cache, path, [3]).notes == first.notes


def test_without_a_store(file_of: FileOf) -> None:
    clip = through(FrameCache(None, halve, "half"), file_of("h264.mp4"), [5, 5])
    assert clip.frames[0].equal(clip.frames[1])


def test_frames_that_were_kept_and_that_were_decoded_are_counted(file_of: FileOf) -> None:
    path = file_of("h264.mp4")
    cache = FrameCache(default_store(), halve, "half")
    assert cache.counts == {"num_cached": 0, "num_decoded": 0}
    through(cache, path, [0, 37, 37, 74])
    assert cache.counts == {"num_cached": 0, "num_decoded": 3}
    through(cache, path, [0, 12, 74, 0])
    assert cache.counts == {"num_cached": 2, "num_decoded": 4}
    through(FrameCache(default_store(), halve, "half"), path, [12])
    assert cache.counts == {"num_cached": 2, "num_decoded": 4}
    without = FrameCache(None, halve, "half")
    through(without, path, [0, 12])
    assert without.counts == {"num_cached": 0, "num_decoded": 2}


def test_a_store_keeps_nine_tenths_of_its_limit(tmp_path: Path) -> None:
    """Sizes are added up after every twentieth of the limit that is written."""
    store = ArrayStore(tmp_path, 10_000)
    for number in range(11):
        store.put(f"{number:02d}", np.zeros(900, np.uint8))
        path = tmp_path / f"{number:02d}" / f"{number:02d}.array"
        os.utime(path, (number, number))
    header = len(b'{"shape": [900], "dtype": "|u1"}\n')
    left = sorted(path.stem for path in tmp_path.glob("*/*.array"))
    assert len(left) * (900 + header) <= 9_000 + 900 + header
    assert left == [f"{number:02d}" for number in range(11 - len(left), 11)]
    assert len(left) >= 9


def test_indices_in_memory_are_those_used_last(
    file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llava_eval.video.fast.index_cache._MAX_IN_MEMORY", 2)
    monkeypatch.setenv("LLAVA_EVAL_CACHE", "off")
    first, second, third = (file_of(name) for name in ("h264.mp4", "vp9.webm", "h264.mkv"))
    for path in (first, second):
        probe(path)
    assert known_index(first) is not None  # used again
    probe(third)
    assert [known_index(path) is not None for path in (first, second, third)] == [True, False, True]


def test_an_index_that_was_found_on_disk_stays_in_memory(file_of: FileOf, cache: Path) -> None:
    path = file_of("h264.mp4")
    info = probe(path)
    forget_indices()
    assert known_index(path) is not None
    for entry in cache.glob("indices/*/*.array"):
        entry.unlink()
    index = known_index(path)
    assert index is not None
    assert index.info == info
    link = cache / "link.mp4"
    link.symlink_to(path)
    named = known_index(str(link))
    assert named is not None
    assert named.info.path == str(link)
