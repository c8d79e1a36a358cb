"""Where a gate's verdict goes, and what stands there when there is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llava_eval.errors import (
    ComparisonError,
    ConfigError,
    EngineError,
    LlavaEvalError,
    MediaError,
    ServerError,
    StorageError,
)
from llava_eval.results.gate.publication import Publication
from llava_eval.results.gate.verdict import Check
from tests.results.runs_on_disk import answered, failed, write_run

PASSED = Check("accuracy", "80.0", "79.0", "-1.0", "-2 to 0", "2.0", False, "fine")
WORSE = Check("unreadable", "0.0", "9.0", "+9.0", "-", "0.0", True, "more")
UNSHOWN = Check("cider", "1.0", "0.9", "-0.1", "-1 to 1", "0.2", False, "who knows", is_shown=False)


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that a later step of a workflow reads."""
    path = tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(path))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return path


def test_files_are_written_though_a_runner_takes_no_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "unmounted" / "o"))
    junit = tmp_path / "gate.xml"
    words = "they differ; cannot write .*unmounted"
    to = Publication(junit, None, as_json=False)
    with pytest.raises(ComparisonError, match=words), to.refusals_reported():
        raise ComparisonError("they differ")
    assert "they differ" in junit.read_text()


@pytest.mark.parametrize("with_run", [False, True])
def test_a_refusal_is_written_with_the_causes_of_a_run_that_can_be_read(
    tmp_path: Path, outputs: Path, with_run: bool
) -> None:
    run = write_run(tmp_path / "run", [failed(0, "MediaError: no x"), answered(1, True)])
    to = Publication(tmp_path / "junit.xml", tmp_path / "summary.md", as_json=False)
    with pytest.raises(ComparisonError), to.refusals_reported(run if with_run else None):
        raise ComparisonError("they differ")
    causes = "\n- 1 x MediaError: no x; for instance sample q0: MediaError: no x\n"
    title = "### :warning: llava-eval gate: cannot compare\n\nthey differ\n"
    assert to.summary is not None
    assert to.summary.read_text() == title + (causes if with_run else "")
    assert 'message="they differ"' in (tmp_path / "junit.xml").read_text()
    assert outputs.read_text() == "verdict=cannot compare\noutcome=they differ\nfailures=\n"


def test_a_summary_of_a_step_is_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "step_summary"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    for reason in ("one", "two"):
        to = Publication(None, path, as_json=False)
        with pytest.raises(ComparisonError), to.refusals_reported():
            raise ComparisonError(reason)
    title = "### :warning: llava-eval gate: cannot compare"
    assert path.read_text() == f"before\n{title}\n\none\n\n{title}\n\ntwo\n\n"


def test_a_mistake_in_the_command_is_no_verdict(tmp_path: Path, outputs: Path) -> None:
    to = Publication(tmp_path / "junit.xml", tmp_path / "summary.md", as_json=False)
    with pytest.raises(ConfigError), to.refusals_reported():
        raise ConfigError("--alpha 2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ServerError, EngineError, MediaError, StorageError])
def test_what_ends_a_run_is_no_regression(error: type[LlavaEvalError]) -> None:
    to = Publication(None, None, as_json=False)
    with pytest.raises(LlavaEvalError, match=r"^it is gone$") as caught, to.refusals_reported():
        raise error("it is gone")
    assert caught.value.exit_code == 2  # 1 is that of a run that regressed


def test_a_run_that_cannot_be_written_is_told_everywhere(tmp_path: Path, outputs: Path) -> None:
    to = Publication(tmp_path / "junit.xml", tmp_path / "summary.md", as_json=False)
    with pytest.raises(ComparisonError, match="full"), to.refusals_reported():
        raise StorageError("full")
    for name in ("junit.xml", "summary.md", outputs.name):
        assert "full" in (tmp_path / name).read_text()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_runner_is_told_of_a_refusal_unless_it_reads_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with (
        pytest.raises(ComparisonError),
        Publication(None, None, as_json).refusals_reported(Path("nowhere")),
    ):
        raise ComparisonError("they differ")
    told = "::error title=llava-eval gate%3A cannot compare::they differ\n"
    assert capsys.readouterr().out == ("" if as_json else told)


@pytest.mark.parametrize(
    ("checks", "code", "verdict", "failures"),
    [
        ([PASSED], 0, "passed", ""),
        ([PASSED, UNSHOWN], 1, "not shown", "cider"),
        ([WORSE, PASSED, UNSHOWN], 1, "regressed", "unreadable,cider"),
    ],
)
def test_the_exit_code_and_the_outputs_follow_the_checks(
    outputs: Path,
    capsys: pytest.CaptureFixture[str],
    checks: list[Check],
    code: int,
    verdict: str,
    failures: str,
) -> None:
    made: Any = SimpleNamespace(
        text=lambda width: "a text",
        markdown=lambda: "markdown",
        content={"passed": not code},
        label="x (limit=3)",
        benchmark="x",
        outcome="so\nit went",
        checks=checks,
        properties={},
    )

    def published(*, as_json: bool) -> int:
        return Publication(None, None, as_json).publish(made)

    assert published(as_json=False) == code
    assert capsys.readouterr().out == "a text\n"
    assert outputs.read_text() == f"verdict={verdict}\noutcome=so it went\nfailures={failures}\n"
    assert published(as_json=True) == code
    assert capsys.readouterr().out.split() == ["{", '"passed":', "false" if code else "true", "}"]
