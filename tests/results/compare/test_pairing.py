"""Which samples are compared, and what is found to differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from llava_eval.errors import ComparisonError
from llava_eval.results.compare.pairing import Pairing, compare_metrics, pair
from llava_eval.results.formatting import listed
from llava_eval.results.runs import ConfigParts, RunReader
from llava_eval.types import SampleResult
from tests.results.runs_on_disk import answered, failed, write_run


def paired(
    tmp_path: Path,
    first: Sequence[SampleResult],
    second: Sequence[SampleResult],
    **of_second: object,
) -> Pairing:
    reader = RunReader()
    paths = (
        write_run(tmp_path / "a", first),
        write_run(tmp_path / "b", second, **of_second),  # type: ignore[arg-type]
    )
    return pair(*(reader.read(path) for path in paths))


def test_samples_are_paired_by_id_and_clusters_by_group(tmp_path: Path) -> None:
    first = [answered(number, True) for number in (0, 1, 2, 3, 7)]
    second = [answered(number, False) for number in (8, 7, 3, 1, 0)]
    found = paired(tmp_path, first, second)
    assert [one.id for one in found.firsts] == ["q0", "q1", "q3", "q7"]
    assert [one.id for one in found.seconds] == ["q0", "q1", "q3", "q7"]
    assert found.membership.tolist() == [0, 0, 1, 2]
    assert (found.first_only, found.second_only, found.failed) == (["q2"], ["q8"], [])
    assert (found.num_clusters, found.differences) == (3, [])


def test_failed_samples_are_not_compared(tmp_path: Path) -> None:
    found = paired(
        tmp_path,
        [answered(0, True), failed(1), answered(2, True)],
        [failed(0), failed(1), answered(2, True)],
    )
    assert [one.id for one in found.firsts] == ["q2"]
    assert found.failed == ["q0", "q1"]


def test_other_questions_are_listed(tmp_path: Path) -> None:
    first = [answered(number, True) for number in range(8)]
    second = [
        answered(0, True, prompt="Other?"),
        *(answered(number, True, target=("B",)) for number in range(1, 8)),
    ]
    found = paired(tmp_path, first, second)
    assert found.differences == ["1 prompt (q0)", "7 targets (q1, q2, q3, q4, q5 and 2 more)"]


def test_media_are_the_same_wherever_they_lie(tmp_path: Path) -> None:
    first = [answered(0, True, media=("0.mp4",)), answered(1, True, media=("0.mp4",))]
    second = [answered(0, True, media=("/data/0.mkv",)), answered(1, True, media=("1.mp4",))]
    assert paired(tmp_path, first, second).differences == ["1 medium (q1)"]


def test_versions_and_benchmarks_are_listed(tmp_path: Path) -> None:
    results = [answered(0, True)]
    found = paired(tmp_path, results, results, config={"benchmark.version": 2})
    assert found.differences == ["versions 1 and 2 of made/up"]
    other = RunReader().read(write_run(tmp_path / "c", results, benchmark="other/protocol"))
    assert pair(found.first, other).differences == ["benchmarks made/up and other/protocol"]


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match=r"a and .*b have no sample in common"):
        paired(tmp_path / "x", [answered(0, True)], [answered(1, True)])
    with pytest.raises(ComparisonError, match="no sample that both answered"):
        paired(tmp_path / "y", [answered(0, True)], [failed(0)])


def test_runs_whose_manifest_names_no_metric_are_refused(tmp_path: Path) -> None:
    runs = paired(tmp_path, [answered(0, True)], [answered(0, True)])
    bare = replace(runs.first, parts=ConfigParts())
    with pytest.raises(ComparisonError, match=r"a: its manifest names no metrics"):
        compare_metrics(replace(runs, first=bare))


def test_long_lists_of_ids_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(9)]) == "0, 1, 2, 3, 4 and 4 more"
