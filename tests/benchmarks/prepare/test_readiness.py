"""What prepare says of a benchmark, and the files that it finds in the hub's cache."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest

from llava_eval.benchmarks.prepare import prepare
from llava_eval.benchmarks.prepare.prepare import Readiness, fetch_files, place, readiness_text
from llava_eval.config.schema import BenchmarkConfig, PrepareConfig
from llava_eval.errors import FetchError, StorageError


def ready(licence: str = "", manual: str = "", gated: str = "", **changes: object) -> Readiness:
    benchmark = BenchmarkConfig(
        name="mine/plain",
        source="rows.jsonl",
        adapter={},
        metrics={},
        licence=licence,
        prepare=PrepareConfig(manual=manual, gated=gated),
    )
    return Readiness(benchmark, **{"num_samples": 6, "num_expected": 6, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "is_complete"),
    [
        (ready(), True),
        (ready(num_expected=None), True),
        (ready(num_expected=7), False),
        (ready(num_samples=7), False),
        (ready(missing=["a.mp4"]), False),
        (ready(damaged=[("a.mp4", "no frames")]), False),
        (ready(num_subtitles=2, num_subtitles_present=1), True),
        (ready(num_subtitles=2), False),
        (ready(num_subtitles=2, num_subtitles_present=1, unreadable=[("b.srt", "why")]), False),
        (ready(counts=[("task", "x", 3, 3), ("task", "y", 3, 3)]), True),
        (ready(counts=[("task", "x", 3, 3), ("task", "y", 2, 3)]), False),
    ],
)
def test_complete_is_everything_and_nothing_else(found: Readiness, is_complete: bool) -> None:
    assert found.is_complete is is_complete
    last = readiness_text(found).rpartition("\n")[2]
    assert last == ("complete" if is_complete else "INCOMPLETE")


def test_counts_come_first_and_what_is_missing_then() -> None:
    found = ready(
        num_expected=9,
        num_media=4,
        missing=["/m/a.mp4"],
        damaged=[("/m/b.mp4", "no frames")],
        counts=[("duration", "short", 2, 3)],
        licence="research only",
        manual="download the videos " * 5,
    )
    wrapped = " ".join(["download the videos"] * 3)
    assert readiness_text(found) == (
        "mine/plain\n"
        "  questions  6 of 9\n"
        "  media      3 of 4 present, 2 open\n"
        "  duration short: 2 of 3 questions\n"
        "  missing: /m/a.mp4\n"
        "  damaged: /m/b.mp4: no frames\n"
        "  licence: research only\n"
        f"  by hand: {wrapped} download\n"
        "    the videos download the videos\n"
        "INCOMPLETE"
    )
    assert "  questions  6\n" in readiness_text(ready(num_expected=None))
    assert "  access: ask first\n" in readiness_text(ready(gated="ask first"))


def test_files_of_a_data_set_that_lies_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "datasets--mine--set"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    snapshot = folder / "snapshots" / commit
    for name in ("b.zip", "a.zip", "videos/c.zip", "rows.json"):
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).touch()
    (snapshot / "folder.zip").mkdir()
    assert fetch_files("mine/set", None, ["*.zip", "a.*"]) == [
        snapshot / "a.zip",
        snapshot / "b.zip",
    ]
    assert fetch_files("mine/set", commit, ["**/*.zip"])[-1] == snapshot / "videos/c.zip"
    with pytest.raises(FetchError, match="and cannot be fetched: HF_HUB_OFFLINE is set"):
        fetch_files("mine/set", "v2", ["*.zip"])
    with pytest.raises(FetchError, match="cannot fetch a/b/c: "):
        fetch_files("a/b/c", None, ["*.zip"])


def test_links_of_another_revision_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    media, elsewhere = tmp_path / "media", tmp_path / "elsewhere.mp4"
    media.mkdir()
    elsewhere.write_text("somebody's")
    (media / "own.mp4").write_text("somebody's")
    (media / "linked.mp4").symlink_to(elsewhere)
    for revision in ("1" * 40, "2" * 40):
        snapshot = tmp_path / "datasets--mine--set" / "snapshots" / revision
        snapshot.mkdir(parents=True)
        for name in ("own.mp4", "linked.mp4", "new.mp4"):
            (snapshot / name).write_text(revision)
        place(fetch_files("mine/set", revision, ["*.mp4"]), media)
        found = {path.stem: path.read_text() for path in media.iterdir()}
        assert found == {"own": "somebody's", "linked": "somebody's", "new": revision}


@pytest.mark.parametrize(
    ("own", "found"), [(None, "1" * 40), ("2" * 40, "2" * 40)], ids=["the rows'", "its own"]
)
def test_media_are_of_the_revision_that_is_asked_for(
    own: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for revision in ("1" * 40, "2" * 40):
        snapshot = tmp_path / "hub" / "datasets--mine--set" / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (snapshot / "a.mp4").write_text(revision)
    benchmark = BenchmarkConfig(
        name="mine/plain",
        source="hub://mine/set",
        revision="1" * 40,
        media_root=str(tmp_path / "media"),
        prepare=PrepareConfig(files=["*.mp4"], folder="videos", revision=own),
    )
    prepare._unpack_archives(benchmark)
    assert (tmp_path / "media" / "videos" / "a.mp4").read_text() == found
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*file/a\.mp4: "):
        place(fetch_files("mine/set", found, ["*.mp4"]), tmp_path / "file")
