"""``llava-eval gate`` as CI servers see it: exit codes, JUnit, Markdown, annotations."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from llava_eval import cli
from llava_eval.types import Generation
from tests.processes import PATIENCE_SECONDS
from tests.results.runs_on_disk import answered, failed, write_run

EVIL = "\x1b[2J]]> <script>alert(1)</script> | `x` @you\n::error::owned\u202e"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a good run, one like it, a worse one, and one with failed samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    good = [answered(n, n % 5 > 0) for n in range(120)]
    write_run(tmp_path / "good", good)
    write_run(tmp_path / "like", [answered(n, (n + (n == 50)) % 5 > 0) for n in range(120)])
    write_run(tmp_path / "worse", [answered(n, n % 3 == 0) for n in range(120)])
    write_run(tmp_path / "broken", [failed(0), *good[1:]])
    return tmp_path


def test_exit_codes(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["gate", "good", "--write-baseline", "b/base.json"]) == 0
    assert "wrote b/base.json" in capsys.readouterr().out
    for baseline in ("b/base.json", "good"):
        assert cli.run_command(["gate", "like", "--baseline", baseline]) == 0
        assert "passed: no worse than the baseline" in capsys.readouterr().out
        assert cli.run_command(["gate", "worse", f"--baseline={baseline}"]) == 1
        assert "regressed: accuracy" in capsys.readouterr().out
        assert cli.run_command(["gate", "broken", "--baseline", baseline]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("llava-eval: broken holds 1 failed samples")
        assert len(captured.err.splitlines()) == 1


def test_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["gate", "worse", "--baseline", "good", "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert (content["passed"], content["verdict"]) == (False, "regressed: accuracy")
    estimate = content["estimate"]
    assert estimate["difference"] == pytest.approx(100 * (40 - 96) / 120)
    assert estimate["low"] < estimate["difference"] < estimate["high"] < 0
    assert content["checks"][0]["regressed"]


def test_the_table_fits_80_columns(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run_command(["gate", "worse", "--baseline", "good", "--max-slowdown", "1.5"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        "check",
        "90 % interval",
        "accuracy",
        "REGRESSED",
        "unreadable",
        "errors",
        "x1.00",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gate"], "RUN"),
        (["gate", "good"], "either --baseline FILE_OR_RUN or --write-baseline FILE"),
        (["gate", "good", "--baseline", "good", "--write-baseline", "x"], "either --baseline"),
        (["gate", "--sequential", "--write-baseline", "x"], "--write-baseline takes a run"),
        (["gate", "good", "--baseline", "nothing"], "there is no baseline nothing"),
        (["gate", "good", "--baseline", "."], "neither a baseline file nor a run directory"),
        (["gate", "nothing", "--baseline", "good"], "there is no run directory nothing"),
        (["gate", "good", "--baseline", "good", "--alpha", "2"], "--alpha 2"),
        (["gate", "good", "--baseline", "good", "--alpha", "x"], "--alpha"),
        (["gate", "good", "--baseline", "good", "--alpha", "0"], "--alpha 0: expected a rate"),
        (["gate", "good", "--baseline", "good", "--alpha", "0.5"], "--alpha 0.5: expected a rate"),
        (["gate", "good", "--baseline", "good", "--tolerance", "1"], "expected METRIC=POINTS"),
        (["gate", "good", "--baseline", "good", "--tolerance", "accuracy=-1"], "at least 0"),
        (["gate", "good", "--baseline", "good", "--tolerance", "x=1"], "there is only accuracy"),
        (["gate", "good", "--baseline", "good", "--max-slowdown", "0"], "--max-slowdown 0"),
        (["gate", "good", "--baseline", "good", "--max-slowdown", "inf"], "--max-slowdown inf"),
        (["gate", "good", "--baseline", "good", "--max-slowdown", "nan"], "--max-slowdown nan"),
        (["gate", "good", "worse", "--baseline", "good"], "worse"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert cli.run_command(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("llava-eval: ")
    assert words in line


def test_several_tolerances(runs: Path) -> None:
    command = ["gate", "worse", "--baseline", "good"]
    assert cli.run_command([*command, "--tolerance", "accuracy=30"]) == 1
    both = ["--tolerance", "accuracy=60", "--tolerance", "unreadable=1"]
    assert cli.run_command([*command, *both]) == 0


def test_a_tolerance_that_is_given_twice_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["gate", "worse", "--baseline", "good", "--tolerance", "accuracy=30"]
    assert cli.run_command([*command, "--tolerance", "accuracy=60"]) == 0
    assert "--tolerance accuracy=... is given 2 times: the last one" in capsys.readouterr().err


def test_junit(runs: Path) -> None:
    command = ["gate", "worse", "--baseline", "good", "--junit", "out/junit.xml"]
    assert cli.run_command(command) == 1
    root = ElementTree.parse(runs / "out" / "junit.xml").getroot()
    (suite,) = root.findall("testsuite")
    counts = {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "0", "skipped": "0"}
    cases = {case.attrib["name"]: case for case in suite.findall("testcase")}
    failure = cases["accuracy has not regressed"].find("failure")
    assert failure is not None
    assert "accuracy went from 80.0 to 33.3" in failure.attrib["message"]
    assert cases["unreadable has not regressed"].find("failure") is None
    assert "REGRESSED" in (suite.findtext("system-out") or "")
    said = {item.attrib["name"]: item.attrib["value"] for item in suite.iterfind("properties/*")}
    assert (said["run"], said["baseline"], said["model"]) == ("worse", "good", "made")
    first = next(name for name in said if name.startswith("worse: "))
    assert said[first] == f"report.html#sample=0/{first.removeprefix('worse: ')}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    assert suite.attrib["hostname"]


def test_no_verdict_is_written_too(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--junit", "junit.xml", "--summary", "summary.md"]
    assert cli.run_command(["gate", "broken", "--baseline", "good", *files]) == 2
    suite = ElementTree.parse(runs / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.attrib["errors"] == "1"
    error = suite.find("testcase/error")
    assert error is not None
    assert "1 failed samples" in error.attrib["message"]
    text = (runs / "summary.md").read_text()
    assert "cannot compare" in text
    assert "- 1 x " in text, "what it failed of"


def test_a_file_that_cannot_be_written_is_no_regression(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "file").touch()
    named = ["--baseline", "good", "--junit", "file/gate.xml"]
    assert cli.run_command(["gate", "good", *named]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert cli.run_command(["gate", "nothing", *named]) == 2
    error = capsys.readouterr().err
    assert "there is no run directory" in error
    assert "cannot write" in error


def test_a_summary_for_pull_requests(runs: Path) -> None:
    assert cli.run_command(["gate", "worse", "--baseline", "good", "--summary", "s.md"]) == 1
    text = (runs / "s.md").read_text()
    assert text.startswith("### :x: llava-eval gate: regressed: accuracy")
    assert "| accuracy | 80.0 | 33.3 | -46.7 |" in text
    assert "<details><summary>worse on 64 samples, the first 10</summary>" in text
    assert cli.run_command(["gate", "like", "--baseline", "good", "--summary", "s.md"]) == 0
    assert (runs / "s.md").read_text().startswith("### :white_check_mark: llava-eval gate: passed")


def test_annotations_on_github(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    def commands(*arguments: str) -> list[str]:
        cli.run_command(["gate", *arguments])
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]

    (error,) = commands("worse", "--baseline", "good")
    assert error.startswith("::error title=llava-eval gate%3A made/up::accuracy went from 80.0")
    (notice,) = commands("like", "--baseline", "good")
    assert notice.startswith("::notice title=")
    monkeypatch.setenv("GITHUB_OUTPUT", "outputs")
    (reason,) = commands("broken", "--baseline", "good")
    commands("worse", "--baseline", "good")
    verdicts = [line.partition("=")[2] for line in Path("outputs").read_text().splitlines()]
    assert verdicts[::3] == ["cannot compare", "regressed"]
    assert verdicts[-1] == "accuracy"
    assert reason.startswith("::error title=llava-eval gate%3A cannot compare::broken holds 1")


def test_hostile_texts_stay_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name, rate in (("a", 9), ("b", 2)):
        results = [
            answered(
                n, n % rate > 0, id=f"{n}{EVIL}", target=(EVIL,), media=(EVIL,),
                generation=Generation(EVIL),
            )
            for n in range(60)
        ]  # fmt: skip
        write_run(tmp_path / name, results, label=f"made/up ({EVIL})")
    monkeypatch.setenv("GITHUB_OUTPUT", "outputs")
    command = ["gate", "b", "--baseline", "a", "--junit", "j.xml", "--summary", "s.md"]
    assert cli.run_command(command) == 1
    printed = capsys.readouterr().out
    summary = (tmp_path / "s.md").read_text()
    for text in (printed, summary, (tmp_path / "j.xml").read_text()):
        assert "\x1b" not in text
        assert "\u202e" not in text
    workflow_commands = [line for line in printed.splitlines() if line.startswith("::")]
    assert [line.partition(" ")[0] for line in workflow_commands] == ["::error"]
    outside_code = re.sub(r"(`+).+?\1", "", summary)
    assert "<script" not in outside_code
    assert "@you" not in outside_code
    names = [line.partition("=")[0] for line in Path("outputs").read_text().splitlines()]
    assert names == ["verdict", "outcome", "failures"]
    suite = ElementTree.parse(tmp_path / "j.xml").getroot().find("testsuite")
    assert suite is not None
    assert "<script>alert(1)</script>" in suite.attrib["name"]


def test_help_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["gate", "-h"]) == 0
    text = capsys.readouterr().out
    for part in ("--tolerance", "--max-slowdown", "--junit", "exit codes", "regressed"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80


def test_links_and_pipes_are_written_and_not_replaced(runs: Path) -> None:
    (runs / "link.md").symlink_to(runs / "behind.md")
    os.mkfifo(runs / "pipe.xml")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((runs / "pipe.xml").read_text()))
    reader.start()
    files = ["--summary", "link.md", "--junit", "pipe.xml"]
    assert cli.run_command(["gate", "like", "--baseline", "good", *files]) == 0
    reader.join(PATIENCE_SECONDS)
    assert (runs / "link.md").is_symlink()
    assert "### :white_check_mark:" in (runs / "behind.md").read_text()
    assert read[0].startswith("<?xml")


def test_edits_by_hand_are_found(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing samples, other prompts, failed samples: exit code 2 with the reason."""
    ledger = runs / "like" / "samples.jsonl"
    lines = ledger.read_text().splitlines()
    for edited, words in (
        (lines[:-3], "holds 117 of its 120 samples"),
        ([lines[0].replace("Which?\\nA.", "What?\\nA."), *lines[1:]], "1 prompt (q0)"),
        ([_broken(lines[0]), *lines[1:]], "holds 1 failed samples"),
        ([lines[0].replace('"target": ["A"]', '"target": ["B"]'), *lines[1:]], "1 target (q0)"),
    ):
        ledger.write_text("\n".join(edited))
        assert cli.run_command(["gate", "like", "--baseline", "good"]) == 2
        assert words in capsys.readouterr().err


def _broken(line: str) -> str:
    content = json.loads(line)
    content["generation"] = {**content["generation"], "text": None, "error": "boom"}
    content["score"] = {"value": None, "answer": None, "unreadable": False}
    return json.dumps(content)
