"""llava-eval gate --sequential on the embedded benchmark, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from llava_eval.benchmarks.subtitles import Subtitles
from llava_eval.cli import run_command
from llava_eval.config.compose import compose_config
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.results.gate.baseline import write_baseline
from llava_eval.results.gate.rule import GateRule
from llava_eval.results.gate.sequential_gate import SequentialGate
from llava_eval.results.runs import RunReader
from llava_eval.scoring.choice import StrictChoice
from llava_eval.types import Media, Sample, SampleResult, Score
from tests.results.runs_on_disk import ACCURACY, answered, write_run

RULE = GateRule(tolerance={"accuracy": 10.0})


def sample_of(result: SampleResult) -> Sample:
    media = tuple(Media("video", path) for path in result.media)
    return Sample(
        result.id,
        result.row,
        result.group,
        (*media, result.prompt),
        result.target,
        result.choices,
    )


def gate_on(tmp_path: Path, before: list[SampleResult], rule: GateRule = RULE) -> SequentialGate:
    """Return a gate that has begun, against a baseline with these results."""
    baseline = write_run(tmp_path / "baseline", before)
    run = RunReader().read(baseline)
    gate = SequentialGate(baseline, rule)
    gate.begin([sample_of(one) for one in before], run.config, StrictChoice(), "made/up")
    return gate


def test_it_ends_early_where_all_is_worse(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(180)]
    gate = gate_on(tmp_path, before)
    after = {one.id: answered(one.row, one.row % 2 > 0) for one in before}
    seen = 0
    for sample in gate.order([sample_of(one) for one in before]):
        seen += 1
        gate.add(after[sample.id])
        if gate.is_done:
            break
    assert gate.verdict == "regressed"
    assert seen < 90
    content = gate.content
    assert content["num_samples"] == seen
    assert content["high"] < -10
    assert content["difference"] == pytest.approx(content["run"] - content["baseline"])


def test_the_checks_hold_the_verdict_and_what_failed(tmp_path: Path) -> None:
    before = [answered(n, n % 4 > 0) for n in range(12)]
    gate = gate_on(tmp_path, before)
    for sample in gate.order([sample_of(one) for one in before]):
        gate.add(answered(sample.row, sample.row % 2 > 0))
    (check,) = gate.checks
    cells = (check.name, check.baseline, check.run, check.difference, check.allowed)
    assert cells == ("accuracy", "75.0", "50.0", "-25.0", "10.0")
    # Four videos of three answers tell nothing at any level: the range itself is the interval.
    assert (gate.verdict, check.regressed, check.is_shown) == ("not shown", False, False)
    assert gate.content["low"] == -100.0
    assert gate.content["num_groups"] == gate.content["of_groups"] == 4
    assert gate.outcome == "not shown to be no worse, by all samples"
    gate.num_failed = 2
    assert [(item.name, item.run, item.regressed) for item in gate.checks[1:]] == [
        ("errors", "2", True)
    ]
    assert gate.checks[1].message == "2 samples failed"


def test_a_tolerance_that_no_equal_run_can_pass_is_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = [answered(n, n % 4 > 0) for n in range(180)]
    for tolerance, told, verdict in ((5.0, True, "not shown"), (15.0, False, "no worse")):
        caplog.clear()
        rule = GateRule(tolerance={"accuracy": tolerance})
        gate = gate_on(tmp_path / verdict, before, rule)
        assert ("60 groups (videos) are too few for a tolerance of 5" in caplog.text) == told
        for sample in gate.order([sample_of(one) for one in before]):
            gate.add(answered(sample.row, sample.row % 4 > 0))
        assert gate.verdict == verdict


def test_failed_samples_that_count_0_are_told(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(12)]
    gate = gate_on(tmp_path, before)
    first, *_, last = order = gate.order([sample_of(one) for one in before])
    for sample in order[:-1]:  # the last video is not whole, and not compared
        gone = SampleResult.failed(sample, OSError("gone"))
        gate.add(gone if sample in (first, order[-2]) else answered(sample.row, True))
    assert gate.content["run"] == pytest.approx(100 * 8 / 9)
    told = "after 9 of 12 samples (3 of 4 groups), seed 0; failed samples, 1 here, count 0"
    assert told in gate.text(width=200)
    assert told in gate.markdown()
    gate.add(answered(last.row, True))
    assert "; failed samples, 2 here, count 0" in gate.text(width=200)


@pytest.mark.slow
def test_the_order_of_arrival_within_a_batch_changes_nothing(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(180)]
    gates = [gate_on(tmp_path / name, before) for name in ("x", "y")]
    after = {one.id: answered(one.row, one.row % 9 > 0) for one in before}
    order = [one.id for one in gates[0].order([sample_of(one) for one in before])]
    backwards = [name for start in range(0, 180, 12) for name in order[start : start + 12][::-1]]
    for gate, names in zip(gates, (order, backwards), strict=True):
        for name in names:
            gate.add(after[name])
    assert gates[0].content == gates[1].content


def test_groups_stay_together_and_the_seed_decides(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(30)]
    gate = gate_on(tmp_path, before, GateRule(tolerance={"accuracy": 0.5}))
    ordered = gate.order([sample_of(one) for one in before])
    assert [one.group for one in ordered] != [one.group for one in before]
    videos = [one.group for one in ordered]
    assert videos[0::3] == videos[1::3] == videos[2::3]


def test_it_does_not_pass_over_a_rule_that_it_cannot_check(tmp_path: Path) -> None:
    rule = GateRule(tolerance={"accuracy": 1.0}, max_slowdown=1.5)
    with pytest.raises(ConfigError, match="checks no --max-slowdown"):
        gate_on(tmp_path, [answered(n, True) for n in range(30)], rule)


@pytest.mark.parametrize("rule", [GateRule(), GateRule(tolerance={"accuracy": 1.0, "errors": 1.0})])
def test_it_needs_the_tolerance_of_the_headline_alone(tmp_path: Path, rule: GateRule) -> None:
    with pytest.raises(ConfigError, match="needs --tolerance accuracy=POINTS above 0"):
        gate_on(tmp_path, [answered(n, True) for n in range(30)], rule)


@pytest.mark.parametrize("is_file", [False, True])
def test_what_depends_on_the_frames_is_compared_when_it_is_known(
    tmp_path: Path, is_file: bool
) -> None:
    before = [answered(n, True) for n in range(30)]
    baseline = write_run(tmp_path / "baseline", before)
    run = RunReader().read(baseline)
    if is_file:
        baseline = tmp_path / "baseline.json"
        write_baseline(baseline, run)
    samples = []
    for one in before:
        *media, text = sample_of(one).content
        assert isinstance(media[0], Media)
        part = Subtitles(media[0], "subtitles.srt", "first_cue")
        samples.append(dataclasses.replace(sample_of(one), content=(*media, part, text)))
    gate = SequentialGate(baseline, RULE)
    gate.begin(samples, run.config, StrictChoice(), "made/up")
    first, second, third = gate.order(samples)[:3]
    gate.add(before[first.row])
    gate.add(SampleResult.failed(second, OSError("the prompt is not known")))
    with pytest.raises(ComparisonError, match=f"not asked the same: the prompt of {third.id} dif"):
        gate.add(dataclasses.replace(before[third.row], prompt="other lines"))


@pytest.mark.slow
def test_another_protocol_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    composed = compose_config(["sampler.num_frames=4"])
    baseline = write_run(tmp_path / "b", [answered(n, True) for n in range(30)])
    gate = SequentialGate(baseline, RULE)
    with pytest.raises(ComparisonError):
        gate.begin([], composed.resolved, StrictChoice(), "demo/multiple_choice")
    words = ["gate", "--sequential", "--baseline", str(baseline), f"output_dir={tmp_path / 'run'}"]
    assert run_command(words) == 2
    assert not (tmp_path / "run").exists()
    assert "is of benchmark" in capsys.readouterr().err
    files = {name: tmp_path / name for name in ("junit", "summary")}
    assert run_command([*words, *(f"--{name}={path}" for name, path in files.items())]) == 2
    error = ElementTree.fromstring(files["junit"].read_text())[0][0][0]
    assert "is of benchmark" in str(error.get("message"))
    assert files["summary"].read_text().startswith("### :warning: llava-eval gate: cannot compare")


@pytest.mark.slow
def test_a_run_is_ended_early_and_goes_on_without_the_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["benchmark.limit=45", "runner.batch_size=9"]
    base, run = tmp_path / "base", tmp_path / "run"
    assert run_command(["-q", *settings, f"output_dir={base}"]) == 0
    capsys.readouterr()
    words = ["gate", "--sequential", *settings, f"output_dir={run}", "--baseline", str(base)]
    files = {name: tmp_path / name for name in ("junit", "summary")}
    words += ["--tolerance", "accuracy=40", *(f"--{name}={path}" for name, path in files.items())]
    assert run_command([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    suite = ElementTree.fromstring(files["junit"].read_text())[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")
    case = suite.find("testcase")
    assert case is not None
    assert case.get("name") == "accuracy has not regressed"
    summary = files["summary"].read_text()
    assert summary.startswith("### :white_check_mark: llava-eval gate: passed: shown to be worse")
    assert f"after {content['num_samples']} of 45 samples" in summary
    assert content["verdict"] == "no worse"
    assert content["num_samples"] < 45
    assert json.loads((run / "manifest.json").read_text())["status"] == "stopped"
    assert run_command(["-q", *settings, f"output_dir={run}"]) == 0
    left = (run / "samples.jsonl").read_bytes()
    assert left == (base / "samples.jsonl").read_bytes()


#: Seven samples of three videos; largest: three.
UNEQUAL = [answered(n, n != 6, per_video=3) for n in range(7)]


def test_what_is_known_before_and_after_the_first_video(tmp_path: Path) -> None:
    gate = gate_on(tmp_path, UNEQUAL)
    nothing = {"num_groups": 0, "num_samples": 0, "baseline": 0.0, "run": 0.0, "difference": 0.0}
    whole = {"low": -100.0, "high": 100.0, "tolerance": 10.0, "alpha": 0.05}
    named = {"verdict": "not shown", "metric": "accuracy", "of_groups": 3, "of_samples": 7}
    assert gate.content == {**nothing, **whole, **named, "num_failed": 0}
    assert "after 0 of 7 samples (0 of 3 groups), seed 0" in gate.text()
    first = [one for one in gate.order([sample_of(one) for one in UNEQUAL])]
    group = [one for one in first if one.group == first[0].group]
    for sample in group:
        gate.add(answered(sample.row, False))
        assert not gate.is_done
    right = sum(one.row != 6 for one in group)
    content = gate.content
    assert (content["num_groups"], content["num_samples"]) == (1, len(group))
    assert content["baseline"] == pytest.approx(100 * right / len(group))
    assert content["run"] == 0.0
    assert content["difference"] == pytest.approx(-100 * right / len(group))
    assert f"after {len(group)} of 7 samples (1 of 3 groups), seed 0" in gate.text(width=200)


def test_the_verdict_is_published_with_its_interval_and_what_failed(tmp_path: Path) -> None:
    gate = gate_on(tmp_path, UNEQUAL)
    gate.num_failed = 1
    message, *others = gate.text(width=200).splitlines()
    assert message == (
        "accuracy 0.0 in the baseline, 0.0 now: +0.0 (90 % -100.0 to +100.0, valid whenever one "
        "stops), 10.0 allowed"
    )
    assert others == [
        "1 sample failed",
        "after 0 of 7 samples (0 of 3 groups), seed 0",
        "",
        "not shown to be no worse, by all samples",
    ]
    title, about, table = gate.markdown().rstrip("\n").split("\n\n")
    assert title == "### :x: llava-eval gate: not shown to be no worse, by all samples"
    assert about == (
        "made/up, after 0 of 7 samples (0 of 3 groups), seed 0; the interval holds whenever one "
        "stops."
    )
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert rows[0][4] == "90 % interval"
    assert rows[2] == ["accuracy", "0.0", "0.0", "+0.0", "-100.0 to +100.0", "10.0", "NOT SHOWN"]
    assert rows[3] == ["errors", "-", "1", "-", "-", "-", "REGRESSED"]


@pytest.mark.parametrize(
    ("metrics", "values", "words"),
    [
        ({"accuracy": {"scale": 1.0}}, 1.0, "needs a mean over samples in percent"),
        ({"accuracy": {"scale": 100.0}}, 1.5, "q0: accuracy is 1.5, expected 0 to 1"),
        ({"accuracy": {}}, -0.25, "q0: accuracy is -0.25, expected 0 to 1"),
        ({"f1": {"_target_": "llava_eval.metrics.yes_no.yes_no", "measure": "f1"}}, 1.0, "f1 is"),
    ],
)
def test_what_is_no_share_of_right_samples_is_refused(
    tmp_path: Path, metrics: dict[str, dict[str, object]], values: float, words: str
) -> None:
    nodes = {name: {**ACCURACY["accuracy"], **node} for name, node in metrics.items()}
    results = [answered(n, True, score=Score(values, "A"), target=("yes",)) for n in range(6)]
    baseline = write_run(tmp_path / "baseline", results, metrics=nodes)
    config = RunReader().read(baseline).config
    samples = [sample_of(one) for one in results]
    with pytest.raises(ComparisonError, match=words):
        SequentialGate(baseline, RULE).begin(samples, config, StrictChoice(), "made/up")


def test_an_answer_that_counts_nowhere_counts_nothing(tmp_path: Path) -> None:
    gate = gate_on(tmp_path, UNEQUAL)
    unscored = Score(None, None, unreadable=True)
    for sample in gate.order([sample_of(one) for one in UNEQUAL]):
        gate.add(answered(sample.row, True, score=unscored))
    assert (gate.content["run"], gate.content["num_samples"]) == (0.0, 7)
    assert gate.content["baseline"] == pytest.approx(600 / 7)


def test_the_bounds_are_of_samples_however_many_a_video_has(tmp_path: Path) -> None:
    def group(number: int) -> str:
        return f"video {number // 4}.{number % 4 == 0}"  # of one and of three questions

    before = [answered(n, True, group=group(n)) for n in range(160)]
    gate = gate_on(tmp_path, before)
    for sample in gate.order([sample_of(one) for one in before]):
        gate.add(answered(sample.row, sample.row % 4 == 0, group=sample.group))
        if gate.is_done:
            break
    content = gate.content
    assert content["verdict"] == "regressed"
    # Three of four questions are lost; the bounds hold the truth on both sides.
    assert -100.0 <= content["low"] < -75.0 < content["high"] < -10.0


@pytest.mark.parametrize(("num_lost", "verdict"), [(4, "regressed"), (0, "no worse")])
def test_the_tolerance_is_of_samples_however_many_a_video_has(
    tmp_path: Path, num_lost: int, verdict: str
) -> None:
    """One of five questions is lost, with ten points allowed.

    Videos with fewer questions than the largest add less to a difference: 20 points are a mean of
    20 * 480 / (240 * 3) = 13.3 in the sequence, and 10 points one of 6.7.
    """

    def group(number: int) -> str:
        return f"video {number // 4}.{number % 4 == 0}"  # of one and of three questions

    before = [answered(n, True, group=group(n)) for n in range(480)]
    gate = gate_on(tmp_path, before)
    for sample in gate.order([sample_of(one) for one in before]):
        gate.add(answered(sample.row, sample.row % 20 >= num_lost, group=sample.group))
        if gate.is_done:
            break
    assert gate.verdict == verdict
    gate.num_failed = 1
    assert gate.outcome.startswith("regressed: ")  # as its exit code says
