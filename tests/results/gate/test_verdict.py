"""What the gate publishes: tables, markdown, workflow commands, JUnit."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from llava_eval.results.gate.rule import GateRule, verdict_of
from llava_eval.results.gate.verdict import (
    Check,
    GateVerdict,
    annotation,
    checks_table,
    markdown_title,
    not_comparable_junit,
    not_comparable_markdown,
    to_junit,
    workflow_commands,
)
from llava_eval.results.runs import RunReader
from llava_eval.types import Score
from tests.results.runs_on_disk import ACCURACY, answered, failed, write_run

PASSED = Check("accuracy", "80.0", "79.0", "-1.0", "-2 to 0", "2.0", False, "fine")
WORSE = Check("unreadable", "0.0", "9.0", "+9.0", "-", "0.0", True, "100 %,\nmore: ::error")
UNSHOWN = Check("cider", "1.0", "0.9", "-0.1", "-1 to 1", "0.2", False, "not shown", is_shown=False)


def verdict(tmp_path: Path, num_worse: int = 12, **versions: str) -> GateVerdict:
    before = [answered(n, n != 1) for n in range(90)]
    after = [answered(n, n % 7 > 0 or n >= 7 * num_worse) for n in range(90)]
    runs = [
        RunReader().read(write_run(tmp_path / name, side, config=config, manifest=of_run))
        for name, side, config, of_run in (
            ("old", before, {"model.dtype": "float16"}, {"versions": {"torch": "1", **versions}}),
            ("new", after, {"model.dtype": "bfloat16"}, {"versions": {"torch": "2"}}),
        )
    ]
    return verdict_of(runs[1], runs[0], GateRule())


def test_a_check_is_a_row() -> None:
    table = checks_table([PASSED, WORSE, UNSHOWN], 0.985)
    assert table.header == [
        "check", "baseline", "run", "change", "98.5 % interval", "allowed", "",
    ]  # fmt: skip
    assert table.rows == [
        ["accuracy", "80.0", "79.0", "-1.0", "-2 to 0", "2.0", "passed"],
        ["unreadable", "0.0", "9.0", "+9.0", "-", "0.0", "REGRESSED"],
        ["cider", "1.0", "0.9", "-0.1", "-1 to 1", "0.2", "NOT SHOWN"],
    ]


@pytest.mark.parametrize(
    ("checks", "mark"),
    [
        ([], ":white_check_mark:"),
        ([PASSED], ":white_check_mark:"),
        ([PASSED, WORSE], ":x:"),
        ([UNSHOWN], ":x:"),
    ],
)
def test_the_title_is_marked_by_what_fails(checks: list[Check], mark: str) -> None:
    assert markdown_title("a **b**", checks) == f"### {mark} llava-eval gate: a \\*\\*b\\*\\*"


def test_a_workflow_is_told_every_failure_or_how_it_ended() -> None:
    passed: Any = SimpleNamespace(label="x:y", outcome="passed", checks=[PASSED])
    assert workflow_commands(passed) == ["::notice title=llava-eval gate%3A x%3Ay::passed"]
    bad: Any = SimpleNamespace(label="x", outcome="bad", checks=[PASSED, WORSE, UNSHOWN])
    commands = workflow_commands(bad)
    assert [line.partition(" ")[0] for line in commands] == ["::error", "::error"]
    assert commands[1] == "::error title=llava-eval gate%3A x::not shown"
    assert annotation("error", "a,b:c%", "d,e:f%") == "::error title=a%2Cb%3Ac%25::d,e:f%25"
    assert all("\n" not in line for line in commands)


def test_no_verdict_is_said_with_its_causes() -> None:
    alone = "### :warning: llava-eval gate: cannot compare\n\na \\*\\*no\\*\\*\n"
    assert not_comparable_markdown("a **no**") == alone
    assert not_comparable_markdown("a **no**", ["2 x a", "1 x b"]) == f"{alone}\n- 2 x a\n- 1 x b\n"
    (suite,) = ElementTree.fromstring(not_comparable_junit("a\x00b <c>").partition("\n")[2])
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "1", "failures": "0", "errors": "1", "skipped": "0",
    }  # fmt: skip
    (case,) = suite
    assert case.attrib == {"classname": "llava_eval", "name": "can be compared", "time": "0"}
    (error,) = case
    assert (error.tag, error.get("type")) == ("error", "ComparisonError")
    assert error.get("message") == "a\\u0000b <c>"


def test_every_check_is_a_test_case() -> None:
    told: Any = SimpleNamespace(
        label="x (limit=3)",
        benchmark="x",
        checks=[PASSED, WORSE, UNSHOWN],
        properties={"run": "r"},
    )
    text = to_junit(told, "all\x0c\nof it")
    assert text.startswith("<?xml version='1.0' encoding='utf-8'?>\n<testsuites>")
    (suite,) = ElementTree.fromstring(text.partition("\n")[2])
    assert {name: suite.get(name) for name in ("name", "tests", "failures", "errors")} == {
        "name": "llava-eval gate: x (limit=3)", "tests": "3", "failures": "2", "errors": "0",
    }  # fmt: skip
    assert [item.attrib for item in suite.iter("property")] == [{"name": "run", "value": "r"}]
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [
        f"{name} has not regressed" for name in ("accuracy", "unreadable", "cider")
    ]
    assert {case.get("classname") for case in cases} == {"x"}
    assert [(case[0].tag, case[0].get("type"), len(case)) for case in cases] == [
        ("system-out", None, 1),
        ("failure", "Regression", 1),
        ("failure", "NotShown", 1),
    ]
    assert cases[0][0].text == "fine"
    assert cases[2][0].text == cases[2][0].get("message") == "not shown"
    assert suite.findtext("system-out") == "all\ufffd\nof it"


def test_a_verdict_is_published_alike_everywhere(tmp_path: Path) -> None:
    result = verdict(tmp_path)
    content = result.content
    assert result.outcome == "regressed: accuracy"
    assert {key: content[key] for key in ("passed", "verdict", "num_samples", "num_groups")} == {
        "passed": False, "verdict": "regressed: accuracy", "num_samples": 90, "num_groups": 30,
    }  # fmt: skip
    assert (content["metric"], content["unit"]) == ("accuracy", "percent")
    # q0, q7, ..., q77 got worse, and q1 better.
    worse = [f"q{7 * n}" for n in range(12)]
    assert [flip["id"] for flip in content["worse"]] == worse
    assert [flip["id"] for flip in content["better"]] == ["q1"]
    assert result.properties == {
        "run": result.pairing.second.name,
        "baseline": result.pairing.first.name,
        "benchmark": "made/up",
        "model": "made",
        **{f"worse: {name}": f"report.html#sample=0/{name}" for name in worse[:10]},
    }
    markdown, terminal = result.markdown(), result.text(width=200)
    assert "<summary>worse on 12 samples, the first 10</summary>" in markdown
    assert "<summary>better on 1 sample</summary>" in markdown
    assert "\nworse on 12 samples, the first 10:\n" in terminal
    assert terminal.endswith("\n\nregressed: accuracy")
    assert terminal.count("q77") == markdown.count("q77") == 0
    assert terminal.count("q63") == 1


def test_a_sample_named_by_half_a_pair_is_linked_as_reports_do(tmp_path: Path) -> None:
    sides = [
        [answered(n, n > num_wrong, id=f"q{n}\ud800") for n in range(9)] for num_wrong in (0, 1)
    ]
    old, new = (
        RunReader().read(write_run(tmp_path / name, side))
        for name, side in zip(("old", "new"), sides, strict=True)
    )
    link = verdict_of(new, old, GateRule()).properties["worse: q1\ud800"]
    assert link == "report.html#sample=0/q1%EF%BF%BD"  # U+FFFD, as toWellFormed() of a browser


def test_a_pull_request_takes_the_verdict_on_long_captions(tmp_path: Path) -> None:
    """GitHub takes no comment of more than 65,536 characters."""
    sides = [
        [
            answered(n, None, target=(f"{'a walk ' * 600}",), score=Score(value, "a run " * 700))
            for n in range(30)
            for value in [float(n % 3 == number)]
        ]
        for number in (0, 1)
    ]
    old, new = (
        RunReader().read(write_run(tmp_path / str(number), side))
        for number, side in enumerate(sides)
    )
    markdown = verdict_of(new, old, GateRule()).markdown()
    assert "a run a run" in markdown
    assert len(markdown) < 65536


def test_what_one_side_does_not_know_is_no_difference(tmp_path: Path) -> None:
    changed = verdict(tmp_path, av="3").text(width=200)
    table = changed.partition("differs in")[2].partition("\n\n")[0]
    rows = [line.split()[-2:] for line in table.splitlines()[1:]]
    assert ["1", "2"] in rows, "torch, which both know"
    assert not any("null" in row for row in rows), "av, which the baseline alone knows"


def test_what_differs_and_what_must_be_known_stand_in_the_pull_request(tmp_path: Path) -> None:
    result = verdict(tmp_path)
    markdown, terminal = result.markdown(), result.text(width=200)
    folded = markdown.partition("<details><summary>What differs</summary>\n\n")[2]
    rows = [line.strip("| ").split(" | ") for line in folded.splitlines()[2:4]]
    assert rows == [["dtype", "model", "float16", "bfloat16"], ["torch", "software", "1", "2"]]
    assert ", 90 samples in 30 clusters (videos)." in markdown
    assert f"\n- {result.failures[0].message.split(' (')[0]}" in markdown
    first = terminal.partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in first[1:]] == ["baseline", "run"]
    assert terminal.split("\n\n")[1].split()[:4] == ["differs", "in", "role", "baseline"]
    same = RunReader().read(tmp_path / "old")
    equal = verdict_of(same, same, GateRule())
    assert "differs in" not in equal.text()
    assert "What differs" not in equal.markdown()
    assert "worse on" not in equal.text()


def test_samples_to_know_of_and_causes_are_published(tmp_path: Path) -> None:
    good = [answered(n, True) for n in range(30)]
    odd = [failed(0, "MediaError: no x"), answered(1, None), *good[2:]]
    runs = [
        RunReader().read(write_run(tmp_path / name, side, config={"errors.max": 1}))
        for name, side in (("old", good), ("new", odd))
    ]
    result = verdict_of(runs[1], runs[0], GateRule(tolerance={"errors": 5.0}))
    terminal, markdown = result.text(width=200), result.markdown()
    lines = [line.split() for line in terminal.splitlines()]
    assert ["samples", "baseline", "run"] in lines
    assert ["unreadable", "0", "1"] in lines
    assert ["failed", "0", "1"] in lines
    assert "| unreadable | 0 | 1 |" in markdown
    assert "\n- 1 x MediaError: no x; for instance sample q0: MediaError: no x" in markdown


def test_what_is_not_checked_is_noted(tmp_path: Path) -> None:
    metrics = {**ACCURACY, "mystery": {"_target_": "somewhere.else"}}
    results = [answered(n, n % 3 > 0) for n in range(30)]
    runs = []
    for name in ("old", "new"):
        path = write_run(tmp_path / name, results)
        content = json.loads((path / "manifest.json").read_text())
        content["config"]["benchmark"]["metrics"] = metrics
        (path / "manifest.json").write_text(json.dumps(content))
        runs.append(RunReader().read(path))
    result = verdict_of(runs[1], runs[0], GateRule())
    (note,) = result.notes
    assert note.startswith("mystery is not checked: ValueError: somewhere.else is not a metric")
    assert "Note: mystery is not checked" in result.text(width=200)
    assert "\n- mystery is not checked" in result.markdown()
    assert result.content["notes"] == [note]
