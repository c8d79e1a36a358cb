"""The rule of the gate: what fails, what passes, and how often chance fails."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from llava_eval.config.roles import declared_settings
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.metrics.paired import paired_means
from llava_eval.results.gate.rule import GateRule, rule_of, verdict_of
from llava_eval.results.gate.verdict import GateVerdict
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import Generation, SampleResult, Score
from tests.results.helpers import make_result
from tests.results.runs_on_disk import ACCURACY, answered, equal_models, failed, write_run


def make(tmp_path: Path, name: str, results: Sequence[SampleResult], **changes: Any) -> Run:
    return RunReader().read(write_run(tmp_path / name, results, **changes))


def judged(
    tmp_path: Path,
    before: Sequence[SampleResult],
    after: Sequence[SampleResult],
    rule: GateRule | None = None,
    **of_run: Any,
) -> GateVerdict:
    baseline = make(tmp_path, "baseline", before)
    return verdict_of(make(tmp_path, "run", after, **of_run), baseline, rule or GateRule())


def regressed(verdict: GateVerdict) -> list[str]:
    return [check.name for check in verdict.regressions]


def test_equal_runs_pass(tmp_path: Path) -> None:
    results = [answered(n, n % 3 > 0) for n in range(90)]
    verdict = judged(tmp_path, results, results, GateRule(max_slowdown=1.01))
    assert regressed(verdict) == []
    assert [check.name for check in verdict.checks] == [
        "accuracy",
        "unreadable",
        "errors",
        "seconds a sample",
    ]


def test_a_worse_model_fails(tmp_path: Path) -> None:
    before = [answered(n, n % 5 > 0) for n in range(180)]
    after = [answered(n, n % 5 > 0 and n % 7 > 0) for n in range(180)]
    verdict = judged(tmp_path, before, after)
    assert regressed(verdict) == ["accuracy"]
    (check,) = verdict.regressions
    assert check.message.startswith("accuracy went from 80.0 to 68.9")
    assert "worse by 11.1, allowed are 0.0" in check.message
    assert len(verdict.worse) == 20
    assert verdict.better == []


def test_a_better_model_passes(tmp_path: Path) -> None:
    after = [answered(n, True) for n in range(180)]
    before = [answered(n, n % 2 > 0) for n in range(180)]
    assert regressed(judged(tmp_path, before, after)) == []


@pytest.mark.slow
def test_more_or_less_yes_is_no_regression(tmp_path: Path) -> None:
    def said(answer: str, target: str, number: int) -> SampleResult:
        right = Score(float(answer == target), answer)
        return dataclasses.replace(make_result(number, score=right), target=(target,))

    metrics = {
        name: {"_target_": "llava_eval.metrics.yes_no.yes_no", "measure": name}
        for name in ("accuracy", "yes_ratio")
    }
    targets = ["yes", "no"] * 60
    always = [said("yes", target, number) for number, target in enumerate(targets)]
    right = [said(target, target, number) for number, target in enumerate(targets)]
    before = make(tmp_path, "before", always, metrics=metrics)
    after = make(tmp_path, "after", right, metrics=metrics)
    verdict = verdict_of(after, before, GateRule())
    assert regressed(verdict) == []
    assert verdict.notes == ["yes_ratio is not checked: neither more nor less of it is better"]
    stated = verdict_of(after, before, GateRule(tolerance={"yes_ratio": 3.0}))
    assert regressed(stated) == ["yes_ratio"]


def test_a_drop_within_the_tolerance_passes(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(180)]
    after = [answered(n, n % 12 > 0) for n in range(180)]  # 8.3 points
    assert regressed(judged(tmp_path / "x", before, after)) == ["accuracy"]
    rule = GateRule(tolerance={"accuracy": 9.0})
    verdict = judged(tmp_path / "y", before, after, rule)
    assert regressed(verdict) == []
    assert "worse, within the 9.0 allowed" in verdict.checks[0].message
    rule = GateRule(tolerance={"accuracy": 8.0})
    assert regressed(judged(tmp_path / "z", before, after, rule)) == ["accuracy"]


@pytest.mark.slow
def test_a_handful_of_flips_fails_no_build(tmp_path: Path) -> None:
    # Four flips, all downwards: the score test alone would reject (z = 2), yet chance does this in
    # one of sixteen.
    before = [answered(n, True) for n in range(300)]
    after = [answered(n, n not in (0, 50, 100, 150)) for n in range(300)]
    verdict = judged(tmp_path, before, after)
    assert regressed(verdict) == []
    assert "no worse than chance explains" in verdict.checks[0].message
    # Of five in one of 32, which is less than alpha: the test asks about a drop alone.
    after = [answered(n, n % 50 > 0 or n > 200) for n in range(300)]
    assert regressed(judged(tmp_path / "five", before, after)) == ["accuracy"]
    # Where replies that cannot be read rise too there are two tests, of half of alpha each, and
    # one in 32 is more than that.
    unread = [
        dataclasses.replace(one, score=dataclasses.replace(one.score, answer=None, unreadable=True))
        if n in (250, 299)
        else one
        for n, one in enumerate(after)
    ]
    assert regressed(judged(tmp_path / "two tests", before, unread)) == []


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("is_error", [False, True])
def test_no_handful_of_flips_fails_a_build_more_often_than_alpha(
    tmp_path: Path, alpha: float, is_error: bool
) -> None:
    """Whichever of a handful of flips goes which way: against scipy's exact test of a drop."""
    metrics = {"accuracy": {**ACCURACY["accuracy"], "scale": -100.0 if is_error else 100.0}}
    run = make(tmp_path, "run", [answered(n, True) for n in range(300)], metrics=metrics)

    def with_wrong(numbers: range) -> Run:
        scores = [Score(float((n in numbers) == is_error), "x") for n in range(300)]
        pairs = zip(run.results, scores, strict=True)
        return dataclasses.replace(run, results=[dataclasses.replace(r, score=s) for r, s in pairs])

    for down, up in itertools.product(range(8), range(3)):
        ends = (3 * down, 3 * (down + up))  # each flip on a video of its own
        before, after = with_wrong(range(ends[0], ends[1], 3)), with_wrong(range(0, ends[0], 3))
        chance = stats.binomtest(down, down + up, alternative="greater").pvalue if down + up else 1
        found = regressed(verdict_of(after, before, GateRule(alpha)))
        assert found == (["accuracy"] if chance <= alpha else []), (down, up, chance)


def test_last_digits_that_another_numpy_adds_up_otherwise_are_no_regression(tmp_path: Path) -> None:
    values = [0.1 + n / 997 for n in range(90)]
    before = [answered(n, True, score=Score(value, "x")) for n, value in enumerate(values)]
    after = [answered(n, True, score=Score(v * (1 - 1e-12), "x")) for n, v in enumerate(values)]
    assert before[5].score != after[5].score
    verdict = judged(tmp_path, before, after)
    assert regressed(verdict) == []
    assert verdict.worse == []


def test_flips_of_one_video_count_once(tmp_path: Path) -> None:
    """Ten flips on one video of many questions are one event; on ten videos they are ten."""
    before = [answered(n, True, per_video=10) for n in range(200)]
    together = [answered(n, n >= 10, per_video=10) for n in range(200)]
    apart = [answered(n, n % 20 > 0 or n >= 200, per_video=10) for n in range(200)]
    assert regressed(judged(tmp_path / "x", before, together)) == []
    assert regressed(judged(tmp_path / "y", before, apart)) == ["accuracy"]


def test_unreadable_answers_that_rise_fail(tmp_path: Path) -> None:
    """Also where the rule leaves them out of the denominator, so that accuracy stays."""
    left_out = Score(None, None, unreadable=True)
    before = [answered(n, n % 2 > 0) for n in range(180)]
    after = [
        answered(n, True, score=left_out) if n % 9 == 0 else one for n, one in enumerate(before)
    ]
    verdict = judged(tmp_path / "x", before, after)
    assert regressed(verdict) == ["unreadable"]
    rule = GateRule(tolerance={"unreadable": 12.0})
    assert regressed(judged(tmp_path / "y", before, after, rule)) == []
    fewer = judged(tmp_path / "z", after, before)
    assert regressed(fewer) == []


def test_failed_samples_beyond_the_configuration_cannot_be_compared(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(60)]
    after = [failed(n) if n < 3 else answered(n, True) for n in range(60)]
    with pytest.raises(ComparisonError) as caught:
        judged(tmp_path, before, after)
    assert "holds 3 failed samples, at most 0 are allowed (errors.max)" in str(caught.value)
    assert "the first is q0: MediaError: broken" in str(caught.value)


def test_failed_samples_that_the_configuration_allows_are_a_check(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(60)]
    after = [failed(n) if n < 3 else answered(n, True) for n in range(60)]
    allowed: dict[str, Any] = {"config": {"errors.max": 5}}
    verdict = judged(tmp_path / "x", before, after, **allowed)
    assert regressed(verdict) == ["errors"]
    assert "3 of 60 samples failed, 0 in the baseline" in verdict.regressions[0].message
    rule = GateRule(tolerance={"errors": 5.0})
    assert regressed(judged(tmp_path / "y", before, after, rule, **allowed)) == []


def test_a_tolerance_for_a_metric_and_the_gates_own_count_is_refused(tmp_path: Path) -> None:
    metrics = {"errors": {"_target_": "llava_eval.metrics.means.mean_score"}}
    run = make(tmp_path, "run", [answered(n, True) for n in range(60)], metrics=metrics)
    assert regressed(verdict_of(run, run, GateRule())) == []
    with pytest.raises(ConfigError, match="the run has a metric of this name, and the gate counts"):
        verdict_of(run, run, GateRule(tolerance={"errors": 5.0}))


def test_slow_runs_fail_where_asked(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(60)]
    slow: dict[str, Any] = {"seconds": 17.0}
    assert regressed(judged(tmp_path / "x", results, results, **slow)) == []
    verdict = judged(tmp_path / "y", results, results, GateRule(max_slowdown=1.5), **slow)
    assert regressed(verdict) == ["seconds a sample"]
    assert "1.70 times as long" in verdict.regressions[0].message
    verdict = judged(tmp_path / "z", results, results, GateRule(max_slowdown=1.8), **slow)
    assert regressed(verdict) == []


def test_times_of_another_machine_are_noted_and_missing_times_refused(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(60)]
    session = {"num_generated": 60, "wall_seconds": 10.0, "stage_seconds": {"decode": 10.0}}
    other = {"sessions": [{**session, "machine": {"processor": "other", "num_cpus": 8}}]}
    verdict = judged(tmp_path / "x", results, results, GateRule(max_slowdown=1.5), manifest=other)
    assert list(verdict.notes) == [
        "the times are of two machines: a CPU, 2 cores and other, 8 cores"
    ]
    with pytest.raises(ComparisonError, match="does not hold how long it took"):
        judged(
            tmp_path / "y", results, results, GateRule(max_slowdown=1.5), manifest={"sessions": []}
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r[1:], "1 samples of the baseline are missing (q0)"),
        (lambda r: [*r, answered(99, True)], "1 samples are not in the baseline (q99)"),
        (lambda r: [answered(0, True, prompt="Other?"), *r[1:]], "1 prompt (q0)"),
        (lambda r: [answered(0, True, target=("B",)), *r[1:]], "1 target (q0)"),
        (lambda r: [answered(0, True, media=("9.mp4",)), *r[1:]], "1 medium (q0)"),
    ],
)
def test_other_samples_cannot_be_compared(tmp_path: Path, change: Any, words: str) -> None:
    results = [answered(n, True) for n in range(30)]
    with pytest.raises(ComparisonError) as caught:
        judged(tmp_path, results, change(results))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"benchmark": "other/set"}, "of benchmark other/set, the baseline"),
        ({"config": {"sampler.num_frames": 8}}, "sampler.num_frames was 3 and is 8"),
        ({"config": {"benchmark.version": 2}}, "benchmark.version was 1 and is 2"),
        (
            {"config": {"benchmark.generation.max_new_tokens": 4}},
            "benchmark.generation.max_new_tokens was 16 and is 4",
        ),
        ({"config": {"scorer._target_": "x.y"}}, "StrictChoice and is x.y"),
        ({"manifest": {"status": "running"}}, "is not finished (status 'running')"),
        ({"manifest": {"identity": {"num_samples": 31}}}, "holds 30 of its 31 samples"),
    ],
)
def test_another_protocol_cannot_be_compared(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    results = [answered(n, True) for n in range(30)]
    with pytest.raises(ComparisonError) as caught:
        judged(tmp_path, results, results, **changes)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        setting.key
        for setting in declared_settings().values()
        if setting.role == "protocol" and not setting.makes_samples and not setting.is_free
    ],
)
def test_every_setting_of_a_protocol_is_refused_by_its_name(tmp_path: Path, key: str) -> None:
    results = [answered(n, True) for n in range(6)]
    typed = {"benchmark.version": 2, "benchmark.facets": ["other"]}
    before = make(tmp_path, "before", results, config={key: typed.get(key, "one")})
    changed = 3 if key == "benchmark.version" else [] if key == "benchmark.facets" else "two"
    after = make(tmp_path, "after", results, config={key: changed})
    with pytest.raises(ComparisonError, match=re.escape(key)):
        verdict_of(after, before, GateRule())


def test_a_flag_of_samples_can_be_bounded(tmp_path: Path) -> None:
    cut = Generation("A", 100, 16, "length")
    before = [answered(n, True) for n in range(20)]
    after = [*(answered(n, True, generation=cut) for n in range(3)), *before[3:]]
    unbounded = judged(tmp_path / "x", before, after)
    assert "cut_at_limit" not in [check.name for check in unbounded.checks]
    for allowed, names in ((10.0, ["cut_at_limit"]), (15.0, [])):
        rule = GateRule(tolerance={"cut_at_limit": allowed})
        verdict = judged(tmp_path / str(allowed), before, after, rule)
        assert regressed(verdict) == names
        (check,) = [check for check in verdict.checks if check.name == "cut_at_limit"]
        assert (check.baseline, check.run, check.difference) == ("0.0", "15.0", "+15.0")
        assert "3 of 20 samples cut at the limit of tokens, 0 in the baseline" in check.message


def test_a_gate_that_could_not_see_its_tolerance_says_so(tmp_path: Path) -> None:
    few = [answered(n, n != 2) for n in range(6)]
    verdict = judged(tmp_path / "few", few, few)
    assert verdict.regressions == []
    assert verdict.outcome.startswith("passed, but 6 samples would mostly not show a drop in")
    assert "6 samples in 2 clusters (videos) show a true drop of" in verdict.detectable_text
    before, after = equal_models(4)
    assert judged(tmp_path / "many", before, before).outcome == (
        "passed: no worse than the baseline"
    )
    strict = judged(tmp_path / "strict", before, after, GateRule(tolerance={"accuracy": 0.5}))
    assert strict.outcome.startswith("passed, but 180 samples would mostly not show a drop in acc")


def test_scores_that_all_differ_alike_do_not_tell_what_they_could_show(tmp_path: Path) -> None:
    before, after = (
        [answered(n, True, score=Score(value, "A")) for n in range(24)] for value in (0.4, 0.5)
    )
    text = judged(tmp_path, before, after).detectable_text
    assert text.startswith("All scores of 24 samples in 8 clusters (videos) differ alike")


def in_unit(unit: str, scale: float) -> dict[str, Any]:
    node = {"_target_": "llava_eval.metrics.means.mean_score", "scale": scale, "unit": unit}
    return {"accuracy": node}


@pytest.mark.parametrize(("unit", "scale"), [("percent", 100.0), ("0-5", 5.0)])
def test_what_can_be_seen_is_judged_by_the_scale_of_the_unit(
    tmp_path: Path, unit: str, scale: float
) -> None:
    metrics = in_unit(unit, scale)
    few = make(tmp_path, "few", [answered(n, n != 2) for n in range(6)], metrics=metrics)
    assert verdict_of(few, few, GateRule()).outcome.startswith("passed, but 6 samples would mostly")
    right = make(tmp_path, "right", [answered(n, True) for n in range(6)], metrics=metrics)
    verdict = verdict_of(few, right, GateRule())
    assert "(none is as large) or more in accuracy" in verdict.detectable_text


def test_an_interval_of_another_confidence_than_the_tables_says_so(tmp_path: Path) -> None:
    before = [answered(n, n % 3 > 0) for n in range(90)]
    after = [answered(n, None) if n % 9 in (0, 1) else one for n, one in enumerate(before)]
    rule = GateRule(tolerance={"accuracy": 30.0}, mode="noninferior")
    verdict = judged(tmp_path, before, after, rule)
    assert verdict.confidence == pytest.approx(0.95)  # two tests share alpha, a proof has all of it
    accuracy, unreadable = (check.interval for check in verdict.checks[:2])
    assert accuracy.endswith(" at 90 %")
    assert "%" not in unreadable


def test_a_metric_whose_tolerance_is_stated_is_compared_or_nothing_passes(tmp_path: Path) -> None:
    mean = {"_target_": "llava_eval.metrics.means.mean_score"}
    metrics = {"overlap": {**mean, "detail": "overlap"}, "accuracy": mean}
    before = [answered(n, n % 3 > 0) for n in range(90)]
    with_overlap = [
        dataclasses.replace(one, score=dataclasses.replace(one.score, details={"overlap": 0.5}))
        for one in before
    ]
    baseline = make(tmp_path, "a", with_overlap, metrics=metrics)
    run = make(tmp_path, "b", before, metrics=metrics)
    assert verdict_of(run, baseline, GateRule()).failures == []
    with pytest.raises(ComparisonError, match="overlap cannot be compared: one of the runs has"):
        verdict_of(run, baseline, GateRule(tolerance={"overlap": 2.0}, mode="noninferior"))


def test_how_it_ran_is_no_protocol(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(30)]
    config = {
        "runner.batch_size": 7,
        "model.dtype": "bfloat16",
        "quantization.name": "bnb_nf4",
        "benchmark.source": "elsewhere.jsonl",
        "benchmark.media_root": "elsewhere",
        "output_dir": "x",
    }
    assert regressed(judged(tmp_path, results, results, config=config)) == []


def test_one_video_alone_says_nothing(tmp_path: Path) -> None:
    results = [answered(n, True, group="v") for n in range(30)]
    with pytest.raises(ComparisonError, match="all samples belong to one group"):
        judged(tmp_path, results, results)


@pytest.mark.slow
def test_a_metric_that_most_draws_of_the_videos_lack_says_nothing(tmp_path: Path) -> None:
    """Each of its two means is of one video of ten: of a draw both are in with p = 0.4."""
    node = {"_target_": "llava_eval.metrics.groups.mean_of_means", "details": ["a", "b"]}

    def graded(number: int, more: int) -> SampleResult:
        detail = "abc"[min(number // 3, 2)]
        score = Score(1.0, "A", details={detail: 1.0 + (number + more) % 4})
        return answered(number, True, score=score)

    baseline, run = (
        make(tmp_path, f"{more}", [graded(n, more) for n in range(30)], metrics={"average": node})
        for more in (0, 1)
    )
    with pytest.raises(ComparisonError, match=r"average needs what most draws of the groups"):
        verdict_of(run, baseline, GateRule())


def test_a_tolerance_for_nothing_is_a_mistake(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(30)]
    with pytest.raises(ConfigError, match="there is only accuracy, unreadable, errors"):
        judged(tmp_path, results, results, GateRule(tolerance={"acuracy": 1.0}))


def test_alpha_is_shared_among_tests_that_could_find_anything(tmp_path: Path) -> None:
    metrics = {
        name: {"_target_": "llava_eval.metrics.means.mean_score", **extra}
        for name, extra in {"accuracy": {}, "all_rows": {"denominator": "all"}}.items()
    }
    before = [answered(n, n % 3 > 0) for n in range(90)]
    after = [answered(n, n % 4 > 0) for n in range(90)]
    baseline = make(tmp_path, "a", before, metrics=metrics)
    same = verdict_of(make(tmp_path, "b", after, metrics=metrics), baseline, GateRule())
    # Two metrics with equal values are one test, and no answer is unreadable.
    assert same.confidence == pytest.approx(0.9)
    read = [answered(n, None) if n % 5 == 0 else one for n, one in enumerate(after)]
    two = verdict_of(make(tmp_path, "c", read, metrics=metrics), baseline, GateRule())
    assert two.confidence == pytest.approx(0.95)


def failure_rate(tmp_path: Path, seeds: range, rule: GateRule, **of_models: Any) -> float:
    """Return how often equally good models fail."""
    template = make(tmp_path, "template", equal_models(0, **of_models)[0])
    num_failed = 0
    for seed in seeds:
        before, after = (
            dataclasses.replace(template, results=side) for side in equal_models(seed, **of_models)
        )
        num_failed += bool(verdict_of(after, before, rule).regressions)
    return num_failed / len(seeds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha", "low", "high"),
    [
        (0.05, 0.015, 0.09),  # 200 draws at 0.05: 0.02 to 0.085 in 95 of 100 such tests
        (0.2, 0.13, 0.27),
    ],
)
def test_equal_models_fail_at_about_the_stated_rate(
    tmp_path: Path, alpha: float, low: float, high: float
) -> None:
    assert low <= failure_rate(tmp_path, range(200), GateRule(alpha=alpha)) <= high


@pytest.mark.slow
def test_the_rate_holds_for_few_samples_and_good_models(tmp_path: Path) -> None:
    rates = [
        failure_rate(tmp_path / "x", range(200), GateRule(), num_videos=20),
        failure_rate(tmp_path / "y", range(200), GateRule(), num_videos=60, per_video=1),
        failure_rate(tmp_path / "z", range(200), GateRule(), num_videos=60, rate=0.95),
    ]
    assert max(rates) <= 0.09


@pytest.mark.slow
def test_a_drop_of_the_detectable_size_is_mostly_found(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    template = make(tmp_path, "template", equal_models(0)[0])
    num_found = 0
    for seed in range(100):
        before, after = equal_models(seed)
        broken = random.random(len(after)) < 0.25
        worse = [
            answered(n, bool(one.score.value) and not broken[n]) for n, one in enumerate(after)
        ]
        run, baseline = (dataclasses.replace(template, results=side) for side in (worse, before))
        num_found += bool(verdict_of(run, baseline, GateRule()).regressions)
    assert num_found >= 85


@pytest.mark.slow
def test_a_metric_that_no_sample_changes_takes_no_share_of_alpha(tmp_path: Path) -> None:
    """Of five flips chance makes one in 32: less than alpha, and more than half of it."""
    node = {"_target_": "llava_eval.metrics.means.mean_score", "detail": "clarity"}

    def clear(clarity: Callable[[int], float], num_wrong: int) -> list[SampleResult]:
        details = [{"clarity": clarity(n)} if n % 2 else {} for n in range(300)]
        wrong = [n % 50 == 0 and n < 50 * num_wrong for n in range(300)]
        scores = [Score(float(not w), "x", details=d) for w, d in zip(wrong, details, strict=True)]
        return [answered(n, True, score=score) for n, score in enumerate(scores)]

    both: dict[str, Any] = {"metrics": {**ACCURACY, "clarity": node}}
    same, other = clear(lambda _: 0.5, 5), clear(lambda n: 0.5 + n % 3 / 9, 5)
    baseline = make(tmp_path, "baseline", clear(lambda _: 0.5, 0), **both)
    assert regressed(verdict_of(make(tmp_path, "same", same, **both), baseline, GateRule())) == [
        "accuracy"
    ]
    assert regressed(verdict_of(make(tmp_path, "other", other, **both), baseline, GateRule())) == []


def test_what_few_samples_cannot_prove_is_said(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(90)]
    # 30 videos without a change: a drop of t^2 / (30 + t^2), 12.2 %, is the largest that may be.
    for tolerance, outcome in {
        12.0: "not shown to be no worse, by 90 samples: accuracy",
        12.5: "passed: shown to be worse by less than the tolerance, if at all",
    }.items():
        rule = GateRule(0.025, {"accuracy": tolerance}, mode="noninferior")
        assert judged(tmp_path / str(tolerance), results, results, rule).outcome == outcome


def test_a_drop_as_large_as_the_tolerance_is_not_less(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(90)]
    right = np.ones(90)
    estimate = paired_means(right, right, np.arange(90) // 3, confidence=0.95)
    assert estimate is not None
    assert estimate.low is not None
    largest = -100 * estimate.low
    for tolerance, is_shown in ((largest, False), (np.nextafter(largest, 100), True)):
        rule = GateRule(0.025, {"accuracy": float(tolerance)}, mode="noninferior")
        verdict = judged(tmp_path / str(is_shown), results, results, rule)
        assert (verdict.failures == []) is is_shown


def test_a_second_test_takes_nothing_of_alpha_from_a_proof(tmp_path: Path) -> None:
    """One wrong answer becomes right, and another reply cannot be read: two tests."""
    right = np.ones(90)
    before = np.array([0.0, *right[1:]])
    lows = [
        paired_means(before, right, np.arange(90) // 3, confidence=1 - 2 * alpha)
        for alpha in (0.025, 0.0125)
    ]
    whole, half = (100 * (0.0 if one is None or one.low is None else one.low) for one in lows)
    assert half < whole < 0
    old, new = (
        [answered(n, bool(value)) for n, value in enumerate(side)] for side in (before, right)
    )
    new[50] = answered(50, True, score=Score(1.0, None, unreadable=True))
    rule = GateRule(0.025, {"accuracy": -(whole + half) / 2}, mode="noninferior")
    assert judged(tmp_path, old, new, rule).failures == []


def test_two_tests_have_half_of_alpha_each(tmp_path: Path) -> None:
    before, after = equal_models(6, num_videos=30)
    first, second = (
        np.array([one.score.value for one in side], np.float64) for side in (before, after)
    )
    after[50] = dataclasses.replace(
        after[50], score=Score(after[50].score.value, None, unreadable=True)
    )
    expected = paired_means(first, second, np.arange(90) // 3, confidence=0.95)
    assert expected is not None
    assert expected.low is not None
    assert expected.high is not None
    (accuracy, *_) = judged(tmp_path, before, after, GateRule(0.05)).checks
    assert accuracy.interval == f"{100 * expected.low:+.1f} to {100 * expected.high:+.1f}"


@pytest.mark.slow
def test_no_significant_drop_is_no_proof_that_a_run_is_no_worse(tmp_path: Path) -> None:
    before = [answered(n, n % 5 > 0) for n in range(90)]
    after = [answered(n, n % 5 > 0 and n != 1) for n in range(90)]
    rule = GateRule(tolerance={"accuracy": 2.0}, mode="noninferior")
    verdict = judged(tmp_path / "few", before, after, rule)
    assert regressed(verdict) == []
    assert [check.name for check in verdict.failures] == ["accuracy"]
    assert "not shown to be worse by less than the 2.0 allowed" in verdict.checks[0].message
    assert verdict.outcome == "not shown to be no worse, by 90 samples: accuracy"
    before = [answered(n, n % 5 > 0) for n in range(1800)]
    after = [answered(n, n % 5 > 0 and n != 1) for n in range(1800)]
    verdict = judged(tmp_path / "many", before, after, rule)
    assert verdict.failures == []
    assert verdict.outcome == "passed: shown to be worse by less than the tolerance, if at all"


def test_a_run_that_is_worse_beyond_the_tolerance_has_regressed(tmp_path: Path) -> None:
    before = [answered(n, True) for n in range(900)]
    after = [answered(n, n % 10 > 0) for n in range(900)]
    rule = GateRule(tolerance={"accuracy": 2.0}, mode="noninferior")
    verdict = judged(tmp_path, before, after, rule)
    assert regressed(verdict) == ["accuracy"]
    assert "worse by more than the 2.0 allowed" in verdict.checks[0].message


def test_proof_needs_a_tolerance(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(90)]
    with pytest.raises(ConfigError, match="needs --tolerance METRIC=POINTS above 0"):
        judged(tmp_path, results, results, GateRule(mode="noninferior"))


def test_shares_and_times_are_checked_cell_by_cell(tmp_path: Path) -> None:
    cut = Generation("A", 100, 16, "length")

    def side(num_cut: int, num_failed: int) -> list[SampleResult]:
        """Return 20 samples, the first ones cut at the limit and the last ones failed."""
        return [
            failed(n) if n >= 20 - num_failed
            else answered(n, True, generation=cut) if n < num_cut
            else answered(n, True)
            for n in range(20)
        ]  # fmt: skip

    before = make(tmp_path, "before", side(2, 1), seconds=10.0, config={"errors.max": 5})
    after = make(tmp_path, "after", side(3, 2), seconds=12.0, config={"errors.max": 5})
    rule = GateRule(tolerance={"cut_at_limit": 5.0, "errors": 4.0}, max_slowdown=1.25)
    verdict = verdict_of(after, before, rule)
    assert [check.name for check in verdict.checks[:2]] == ["accuracy", "unreadable"]
    assert [dataclasses.astuple(check) for check in verdict.checks[2:]] == [
        ("errors", "5.0", "10.0", "+5.0", "-", "4.0", True,
         "2 of 20 samples failed, 1 in the baseline; more than what is allowed", True),
        ("cut_at_limit", "10.0", "15.0", "+5.0", "-", "5.0", False,
         "3 of 20 samples cut at the limit of tokens, 2 in the baseline; within what is allowed",
         True),
        ("seconds a sample", "0.5", "0.6", "x1.20", "-", "x1.25", False,
         "a sample takes 1.20 times as long as in the baseline, within the 1.25 allowed", True),
    ]  # fmt: skip
    assert regressed(verdict) == ["errors"]
    assert verdict.notes == [], "the same machine"


def test_wall_times_stand_in_where_one_side_does_not_know_the_model_s(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(20)]
    wall = {"num_generated": 20, "wall_seconds": 15.0, "stage_seconds": {"fetch": 15.0}}
    plain = make(tmp_path, "plain", results)  # 10 seconds, all of the model
    walled = make(tmp_path, "walled", results, manifest={"sessions": [wall]})
    silent = make(tmp_path, "silent", results, manifest={"sessions": []})
    rule = GateRule(max_slowdown=2.0)
    for run, baseline, ratio in ((walled, plain, "x1.50"), (plain, walled, "x0.67")):
        assert verdict_of(run, baseline, rule).checks[-1].difference == ratio
    for run, baseline in ((silent, plain), (plain, silent)):
        with pytest.raises(ComparisonError, match=f"^--max-slowdown: {silent.name} does not hold"):
            verdict_of(run, baseline, rule)


def test_the_cells_of_a_metric_are_its_values_and_what_is_allowed(tmp_path: Path) -> None:
    before = [answered(n, n % 4 > 0) for n in range(60)]
    after = [answered(n, n % 4 > 0 and n % 6 != 1) for n in range(60)]
    accuracy, unreadable, _ = judged(
        tmp_path, before, after, GateRule(tolerance={"accuracy": 3.0})
    ).checks
    # 45 of 60 are right before; 1, 7, 13, ..., 55 are lost, none of which is a multiple of four.
    cells = (accuracy.baseline, accuracy.run, accuracy.difference, accuracy.allowed)
    assert cells == ("75.0", "58.3", "-16.7", "3.0")
    assert accuracy.message == (
        f"accuracy went from 75.0 to 58.3 ({accuracy.interval}): worse by 16.7, allowed are 3.0"
    )
    cells = (unreadable.baseline, unreadable.run, unreadable.difference, unreadable.allowed)
    assert cells == ("0.0", "0.0", "+0.0", "0.0")
    assert unreadable.message.endswith("no worse than chance explains")


@pytest.mark.parametrize(
    ("alpha", "tolerances", "slowdown", "expected"),
    [
        (0.05, [], None, GateRule()),
        (0.49, ["a=0"], 0.5, GateRule(0.49, {"a": 0.0}, 0.5)),
        (0.01, ["a=b=1.5", "c=2", "c=3"], 2.0, GateRule(0.01, {"a=b": 1.5, "c": 3.0}, 2.0)),
    ],
)
def test_the_command_line_states_a_rule(
    alpha: float, tolerances: list[str], slowdown: float | None, expected: GateRule
) -> None:
    assert rule_of(alpha, tolerances, slowdown, "regression") == expected


@pytest.mark.slow
def test_an_unreadable_reply_more_needs_proof_too_where_its_tolerance_is_stated(
    tmp_path: Path,
) -> None:
    before = [answered(n, True) for n in range(300)]
    after = [answered(n, None if n % 5 == 0 else True) for n in range(300)]
    rule = GateRule(tolerance={"unreadable": 2.0}, mode="noninferior")
    worse = judged(tmp_path / "worse", before, after, rule).checks[1]
    assert (worse.regressed, worse.is_shown) == (True, False)
    assert worse.message.endswith(": worse by more than the 2.0 allowed")
    better = judged(tmp_path / "better", after, before, rule).checks[1]
    assert (better.regressed, better.is_shown) == (False, True)
    assert better.message.endswith(": shown to be worse by less than the 2.0 allowed")


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_interval_of_a_check_has_alpha_outside_of_each_end(
    tmp_path: Path, alpha: float
) -> None:
    before, after = equal_models(6)
    verdict = judged(tmp_path, before, after, GateRule(alpha))
    first, second = (
        np.array([one.score.value for one in side], np.float64) for side in (before, after)
    )
    expected = paired_means(first, second, np.arange(180) // 3, confidence=1 - 2 * alpha)
    assert expected is not None
    assert expected.low is not None
    assert expected.high is not None
    ends = f"{100 * expected.low:+.1f} to {100 * expected.high:+.1f}"
    # Nothing is unreadable in either run, so that accuracy has the whole of alpha.
    assert verdict.confidence == pytest.approx(1 - 2 * alpha)
    assert (verdict.checks[0].interval, verdict.checks[0].is_shown) == (ends, True)


@pytest.mark.parametrize(
    ("alpha", "tolerances", "slowdown", "words"),
    [
        (0.0, [], None, "--alpha 0: expected a rate between 0 and 0.5"),
        (0.5, [], None, "--alpha 0.5: expected a rate between 0 and 0.5"),
        (0.05, [], 0.0, "--max-slowdown 0: expected a factor above 0"),
        (0.05, [], float("inf"), "--max-slowdown inf: expected a factor above 0"),
        *(
            (0.05, [text], None, f"--tolerance {text!r}: expected METRIC=POINTS")
            for text in ("accuracy", "=1", "1", "a=", "a=x", "a=-1", "a=nan", "a=inf")
        ),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    alpha: float, tolerances: list[str], slowdown: float | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=f"^gate: {re.escape(words)}"):
        rule_of(alpha, tolerances, slowdown, "regression")


def test_as_many_more_errors_as_are_allowed_pass(tmp_path: Path) -> None:
    sides = [[failed(n) if n < few else answered(n, True) for n in range(500)] for few in (6, 11)]
    allowed = GateRule(tolerance={"errors": 1.0})
    baseline, run = (
        make(tmp_path, name, side, config={"errors.max": 100})
        for name, side in zip(("baseline", "run"), sides, strict=True)
    )
    assert regressed(verdict_of(run, baseline, allowed)) == []
    assert regressed(verdict_of(run, baseline, GateRule(tolerance={"errors": 0.9}))) == ["errors"]


def test_a_drop_of_the_tolerance_does_not_exceed_it(tmp_path: Path) -> None:
    before, after = ([answered(n, n >= wrong, per_video=1) for n in range(100)] for wrong in (0, 6))
    verdict = judged(tmp_path, before, after, GateRule(tolerance={"accuracy": 6.0}))
    assert regressed(verdict) == []
    assert "worse, within the 6.0 allowed" in verdict.checks[0].message
