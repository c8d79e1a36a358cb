"""Who a run directory belongs to."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from llava_eval.borders.json_text import digest
from llava_eval.errors import RunDirectoryError
from llava_eval.results import files
from llava_eval.results.directory import (
    check_same_run,
    claim,
    claim_new,
    find_unfinished,
    finished_results,
    new_run_directory,
    runs_of,
)
from llava_eval.results.ledger import read_ledger, rewrite_ledger
from llava_eval.types import NOT_SCORED, Generation, Sample
from tests.results.helpers import make_result

IDENTITY: dict[str, Any] = {"sampler": {"num_frames": 16}, "samples": "abc"}


def leave_run(directory: Path, identity: dict[str, Any], status: str = "running") -> None:
    directory.mkdir(parents=True, exist_ok=True)
    files.write_json(
        directory / files.MANIFEST,
        {"status": status, "identity": identity, "fingerprint": digest(identity)},
    )


def test_an_empty_or_foreign_folder_is_free(tmp_path: Path) -> None:
    assert check_same_run(tmp_path, IDENTITY, resume=None) is None
    (tmp_path / "notes.txt").touch()
    assert check_same_run(tmp_path, IDENTITY, resume=None) is None


def test_a_run_of_the_same_identity_is_ours(tmp_path: Path) -> None:
    leave_run(tmp_path, IDENTITY)
    for resume in (None, True):
        manifest = check_same_run(tmp_path, IDENTITY, resume=resume)
        assert manifest is not None
        assert manifest.identity == IDENTITY
    with pytest.raises(RunDirectoryError, match="resume=false"):
        check_same_run(tmp_path, IDENTITY, resume=False)


def test_another_configuration_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    leave_run(tmp_path, IDENTITY)
    other = {**IDENTITY, "sampler": {"num_frames": 8}}
    with pytest.raises(RunDirectoryError, match=r"sampler\.num_frames was 16 there and is 8 here"):
        check_same_run(tmp_path, other, resume=None)


def test_a_ledger_of_unknown_origin_is_refused(tmp_path: Path) -> None:
    (tmp_path / files.LEDGER).touch()
    with pytest.raises(RunDirectoryError, match=r"no manifest\.json"):
        check_same_run(tmp_path, IDENTITY, resume=None)


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / files.MANIFEST).write_text(text)
    with pytest.raises(RunDirectoryError, match=r"manifest\.json"):
        check_same_run(tmp_path, IDENTITY, resume=None)


def test_two_processes_cannot_claim_one_directory(tmp_path: Path) -> None:
    with (
        claim(tmp_path),
        pytest.raises(RunDirectoryError, match="in use by another"),
        claim(tmp_path),
    ):
        pass
    with claim(tmp_path):
        pass


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    with claim(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


def test_halves_of_files_go_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    for name in (".samples.jsonl.77.partial", ".manifest.json.8.partial", ".mine.partial", "notes"):
        (tmp_path / name).touch()
    with claim(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".mine.partial", "notes"}


def test_failed_samples_are_asked_again(tmp_path: Path) -> None:
    failed = make_result(1, generation=Generation(None, error="x"), score=NOT_SCORED)
    rewrite_ledger(tmp_path / files.LEDGER, [make_result(0), failed, make_result(2)])
    samples = {
        f"q{n}": Sample(id=f"q{n}", row=n, group="g", content=("?",), targets=("A",))
        for n in range(3)
    }
    finished = finished_results(tmp_path, samples)
    assert list(finished) == ["q0", "q2"]
    assert read_ledger(tmp_path / files.LEDGER) == [make_result(0), make_result(2)]
    del samples["q2"]
    with pytest.raises(RunDirectoryError, match="'q2', which is not asked for"):
        finished_results(tmp_path, samples)


def test_the_newest_unfinished_run_is_found(tmp_path: Path) -> None:
    leave_run(tmp_path / "2026-01-01_00-00-00", IDENTITY)
    leave_run(tmp_path / "2026-01-03_00-00-00", IDENTITY, status="interrupted")
    leave_run(tmp_path / "2026-01-04_00-00-00", IDENTITY, status="finished")
    leave_run(tmp_path / "2026-01-05_00-00-00", {**IDENTITY, "samples": "other"})
    (tmp_path / "2026-01-06_00-00-00").mkdir()
    (tmp_path / "2026-01-06_00-00-00" / files.MANIFEST).write_text('{"identity": ')  # a full disk
    assert find_unfinished(tmp_path, IDENTITY) == tmp_path / "2026-01-03_00-00-00"
    assert find_unfinished(tmp_path / "nowhere", IDENTITY) is None


def test_a_finished_run_with_failed_samples_is_found_too(tmp_path: Path) -> None:
    leave_run(tmp_path / "2026-01-01_00-00-00", IDENTITY, status="finished")
    failed = make_result(1, generation=Generation(None, error="x"), score=NOT_SCORED)
    rewrite_ledger(tmp_path / "2026-01-01_00-00-00" / files.LEDGER, [make_result(0), failed])
    leave_run(tmp_path / "2026-01-02_00-00-00", IDENTITY, status="finished")
    rewrite_ledger(tmp_path / "2026-01-02_00-00-00" / files.LEDGER, [make_result(0)])
    leave_run(tmp_path / "2026-01-03_00-00-00", IDENTITY, status="finished")
    (tmp_path / "2026-01-03_00-00-00" / files.LEDGER).write_text("{\n")  # damaged
    assert find_unfinished(tmp_path, IDENTITY) == tmp_path / "2026-01-01_00-00-00"


def test_names_of_run_directories(tmp_path: Path) -> None:
    parent = runs_of("video mme/../x", "org/model: 7B", root=tmp_path)
    assert parent == tmp_path / "video_mme" / "x" / "org" / "model_7B"
    first = new_run_directory(parent)
    first.mkdir(parents=True)
    second = new_run_directory(parent)
    assert first.parent == second.parent == parent
    assert first != second


def test_processes_of_the_same_second_have_directories_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists, not_yet = Path.exists, iter([False])
    with claim_new(tmp_path / "runs") as first:
        # as if the other process had made its folder a moment after this one looked
        monkeypatch.setattr(Path, "exists", lambda path: next(not_yet, exists(path)))
        with claim_new(tmp_path / "runs") as second:
            assert second != first
            assert first.is_dir()
            assert second.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_fails_before_it_writes_leaves_no_folders(tmp_path: Path) -> None:
    with claim(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with claim(tmp_path / "a" / "b"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "it was there before"
    with claim(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "written").touch()
    assert (tmp_path / "a" / "b" / "written").exists()
