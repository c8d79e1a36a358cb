"""An explanation: what each rule makes of the texts, what else differs, and parts of a gap."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from llava_eval.cli import run_command
from llava_eval.config.compose import compose_config, composed_of
from llava_eval.errors import CheckpointError, ComparisonError, ConfigError
from llava_eval.metrics.attribution import Attribution
from llava_eval.metrics.paired import PairedEstimate
from llava_eval.results.explain.explanation import Explanation, GapParts, explain
from llava_eval.results.explain.rules import Reading
from llava_eval.results.explain.screen import (
    SHOWN_TEXTS,
    as_content,
    stored_parts,
    to_markdown,
    to_terminal,
)
from llava_eval.results.explain.switched_runs import attributed
from llava_eval.results.explain.switches import Side, switches
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import Generation, SampleResult, Score
from tests.results.runs_on_disk import answered, failed, nested, write_run

TEXTS = ["A"] * 4 + ["B", "I see (A) here", "nothing", "d."]


def of_text(number: int, text: str, **changes: Any) -> SampleResult:
    """Return the result of a question whose answer is A; its own rule reads bare letters alone."""
    is_read = text in ("A", "B")
    fields: dict[str, Any] = {
        "generation": Generation(text, 10, 2, "eos"),
        "choices": ("a cat", "a dog", "a cow", "a pig"),
        "score": Score(float(text == "A"), text if is_read else None, unreadable=not is_read),
        **changes,
    }
    return answered(number, True, **fields)


@pytest.fixture(scope="module")
def explanation(tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    """Explain a run by another one: composing every protocol takes a second, so only once."""
    folder = tmp_path_factory.mktemp("runs")
    config = dict(compose_config(["benchmark=demo/multiple_choice"]).resolved)
    theirs = {**config, "sampler": {**config["sampler"], "num_frames": 8}}
    ours = [of_text(number, text) for number, text in enumerate(TEXTS)]
    longer = Generation("A", 20, 2, "eos")
    changes: dict[int, dict[str, Any]] = {
        0: {"frame_indices": ((0, 9),)},
        1: {"frame_indices": ((1, 5, 9),)},
        3: {"generation": Generation("B", 20, 2, "eos")},
    }
    others = [
        of_text(
            number,
            TEXTS[number] if number < len(TEXTS) else "A",
            **{
                "generation": dataclasses.replace(longer, text=[*TEXTS, "A"][number]),
                **changes.get(number, {}),
            },
        )
        for number in (*range(7), 8)
    ]
    nodes = config["benchmark"]["metrics"]
    runs = [
        write_run(
            folder / name,
            results,
            benchmark="demo/multiple_choice",
            metrics=nodes,
            manifest={"config": setting, "versions": {"torch": version}},
        )
        for name, results, setting, version in (
            ("ours", [*ours, failed(9)], config, "2.15.0"),
            ("theirs", others, theirs, "2.16.0"),
        )
    ]
    run, other = map(RunReader().read, runs)
    return explain(run, Side("theirs", other.config, run=other))


@pytest.mark.slow
def test_every_rule_has_its_numbers(explanation: Explanation) -> None:
    """Counted by hand over the eight texts: what each rule reads stands in its reference."""
    by_name = {name: reading for reading in explanation.readings for name in reading.names}
    assert set(by_name) >= {"this run", "demo/multiple_choice", "scorer=videomme_official"}
    # Rules of open questions and captions, of the same family, are no rules of choices.
    assert not set(by_name) & {"demo/open_ended", "demo/caption", "scorer=exact_match"}
    own, official = by_name["this run"], by_name["scorer=videomme_official"]
    assert own.percents == {"scored": 50.0, "all": 50.0, "strict": 50.0}
    assert own.num_unreadable == 3
    # Video-MME's evaluation reads the capital letter of "(A)", and none in "nothing" and "d.".
    assert official.percents == {
        "scored": pytest.approx(100 * 5 / 6),
        "all": pytest.approx(100 * 5 / 8),
        "strict": pytest.approx(100 * 5 / 8),
    }
    assert (official.num_unreadable, official.denominator) == (2, "scored")
    assert official.change is not None
    assert official.change.difference == pytest.approx(100 * (5 / 6 - 4 / 8))
    # The same texts read alike are one line, the run's own first.
    assert explanation.readings[0].names == ["this run"]
    assert len(explanation.readings) == len({id(one) for one in by_name.values()})


def test_texts_that_are_worth_different_are_named_in_order(explanation: Explanation) -> None:
    assert [item[0].id for item in explanation.disagreements] == ["q5", "q6", "q7"]
    first = explanation.disagreements[0]
    assert (first[0].generation.text, first[0].target) == ("I see (A) here", ("A",))
    official = [reading.names for reading in explanation.readings].index(
        ["scorer=videomme_official"]
    )
    assert (first[0].score.answer, first[0].score.value) == (None, 0.0)
    assert (first[official].score.answer, first[official].score.value) == ("A", 1.0)
    # it leaves out two texts, and five of the other six are right; four of all eight were
    change = explanation.readings[official].change
    assert change is not None
    assert change.difference == pytest.approx(100 * (5 / 6 - 4 / 8))
    assert [one["text"] for one in as_content(explanation)["disagreements"]] == TEXTS[5:]


def test_what_else_differs_is_told(explanation: Explanation) -> None:
    assert [switch.key for switch in explanation.switches] == ["sampler.num_frames"]
    assert explanation.side is not None
    theirs = explanation.side.run
    assert theirs is not None
    assert list(explanation.seen) == [
        "other frames were shown to 2 samples (q0, q1)",
        "input tokens a sample: 10.0 and 20.0",
        "6 of 7 texts are the same",
        f"2 samples only in {explanation.run.name} (q7, q9)",
        f"1 sample only in {theirs.name} (q8)",
        "torch 2.15.0 and 2.16.0",
    ]


@pytest.mark.slow
def test_what_scored_texts_do_not_say_differs_in_nothing(tmp_path: Path) -> None:
    """Texts of another tool have media and no frames, and no model's settings."""
    theirs = RunReader().read(
        write_run(
            tmp_path / "theirs",
            [answered(0, True), answered(1, True, generation=Generation("A", 300, 2, "eos"))],
            config={"model.arguments": {"letter": "A"}},
        )
    )
    uncounted = answered(1, True, frame_indices=(), generation=Generation("A"))
    path = write_run(tmp_path / "ours", [answered(0, True, frame_indices=()), uncounted])
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["config"] = {name: manifest["config"][name] for name in ("benchmark", "scorer")}
    (path / "manifest.json").write_text(json.dumps(manifest))
    side = Side("theirs", theirs.config, run=theirs)
    explanation = explain(RunReader().read(path), side)
    assert list(explanation.switches) == []
    assert list(explanation.seen) == ["2 of 2 texts are the same"]
    with pytest.raises(ConfigError, match="there is no model to ask: these texts were scored"):
        composed_of(explanation.run.config)


@pytest.mark.slow
def test_runs_of_other_samples_are_told_as_such(tmp_path: Path) -> None:
    run, theirs = (
        RunReader().read(write_run(tmp_path / name, [answered(number, True)]))
        for number, name in enumerate(("ours", "theirs"))
    )
    explanation = explain(run, Side("theirs", theirs.config, run=theirs))
    assert explanation.seen == [f"{run.name} and {theirs.name} have no sample in common"]


def test_json_holds_all_of_it(explanation: Explanation) -> None:
    content = json.loads(json.dumps(as_content(explanation)))
    assert (content["benchmark"], content["model"]) == ("demo/multiple_choice", "made")
    assert content["rules"][0]["rules"] == ["this run"]
    assert content["rules"][0]["percent"] == {"scored": 50.0, "all": 50.0, "strict": 50.0}
    assert content["rules"][0]["num_unreadable"] == 3
    assert [item["id"] for item in content["disagreements"]] == ["q5", "q6", "q7"]
    assert (content["against"], content["published"]) == ("theirs", [])
    (difference,) = content["differences"]
    assert difference == {
        "name": "frame count",
        "key": "sampler.num_frames",
        "role": "protocol",
        "run": {"sampler.num_frames": 16},
        "against": {"sampler.num_frames": 8},
    }
    assert content["seen"] == list(explanation.seen)
    assert "parts" not in content
    alone = as_content(dataclasses.replace(explanation, side=None))
    assert {"against", "differences", "seen"}.isdisjoint(alone)


# The screen


def reading(name: str, percent: float | None, change: PairedEstimate | None = None) -> Reading:
    percents = {"scored": percent, "all": percent, "strict": 12.5}
    return Reading([name, "again"], [], "all", percents, change)  # type: ignore[arg-type]


def estimate(difference: float, low: float | None = None, high: float | None = None) -> Any:
    return PairedEstimate(50.0, 50.0 + difference, difference, low, high, None, None, 9, 3)


def made(tmp_path: Path, **fields: Any) -> Explanation:
    run = RunReader().read(write_run(tmp_path / "made up", [answered(0, True)]))
    readings = [reading("this run", 50.0, estimate(0.0, 0.0, 0.0)), reading("other", None)]
    readings.append(reading("third", 62.54, estimate(12.54, -1.0, 26.08)))
    return Explanation(run, readings, **{"disagreements": [], **fields})


def rows_of(text: str, start: str) -> list[str]:
    """Return the lines of a text from the one that begins so to the next empty one."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(start))
    return [" ".join(line.split()) for line in lines[first:]]


def test_a_star_marks_the_rules_own_denominator(tmp_path: Path) -> None:
    text = to_terminal(made(tmp_path))
    assert "A: this run, again" in text
    assert rows_of(text, "rule ")[:4] == [
        "rule scored all strict unread change 95 % interval",
        "A 50.0 50.0* 12.5 0 - -",
        "B - -* 12.5 0 - -",
        "C 62.5 62.5* 12.5 0 +12.5 -1.0 to +26.1",
    ]
    assert "No text is worth different under any two of them." in text
    assert "What differs from" not in text
    assert text == text.strip("\n")


def test_the_first_texts_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    scores = [Score(value, "A") for value in (0.0, 1.0, 1.0)]
    unlike = [[of_text(n, "x", score=score) for score in scores] for n in range(20)]
    run = made(tmp_path, disagreements=unlike)
    shown = to_terminal(run)
    assert f"20 texts of 0 are worth different; the first {SHOWN_TEXTS}, all with --json" in shown
    ids = [line.split()[0] for line in shown.splitlines() if line.startswith("q")]
    assert ids == [f"q{n}" for n in range(SHOWN_TEXTS)]
    few = to_terminal(dataclasses.replace(run, disagreements=unlike[:SHOWN_TEXTS]))
    assert "8 texts of 0 are worth different (+ right, - unread)" in few
    assert "### The same texts under every rule\n\nA: this run, again\n\n" in to_markdown(run)


def test_the_other_side_is_shown_with_what_was_published(tmp_path: Path) -> None:
    ours, theirs = nested({"model.dtype": "float32"}), nested({"model.dtype": None})
    side = Side("experiment=x", theirs, published=["accuracy 52: a table"])
    found = switches(ours, theirs)
    shown = to_terminal(
        made(tmp_path, side=side, switches=found, seen=["torch 1 and 2"]), width=100
    )
    below = shown.partition("What differs from experiment=x\n")[2].splitlines()
    assert below[0] == "accuracy 52: a table"
    assert below[1].split() == ["differs", "in", "role", "key", "run", "against"]
    assert below[2].split() == ["dtype", "model", "dtype", "float32", "null"]
    assert below[3] == "torch 1 and 2"
    assert "No setting differs." in to_terminal(made(tmp_path / "again", side=side))


PARTS = GapParts(
    Attribution(
        {"sampler.num_frames": estimate(-10.0, -15.0, -5.0), "scorer": estimate(4.0, -1.0, 9.0)},
        estimate(-8.0),
        -2.0,
        -3.0,
        -1.0,
    ),
    "percent",
    ["frame count", "extraction"],
    ["dtype: no such dtype"],
    3,
    9,
    7,
    "theirs itself",
)


def test_parts_of_a_gap_are_shown_and_read_back(tmp_path: Path) -> None:
    whole = made(tmp_path, side=Side("theirs", {}), parts=PARTS)
    text = to_terminal(whole)
    assert rows_of(text, "change alone")[1:5] == [
        "from the frame count -10.0 -15.0 to -5.0 found",
        "from the extraction +4.0 -1.0 to +9.0",
        "not explained (interactions, all else) -2.0 -3.0 to -1.0 found",
        "the whole difference -8.0 -",
    ]
    assert "9 samples of 3 groups, seed 7; the whole is theirs itself." in text
    assert "Not switched: dtype: no such dtype" in text
    content = as_content(whole)
    parts = content["parts"]
    assert list(parts) == [
        "unit", "num_groups", "num_samples", "seed", "changes", "not_explained", "whole",
        "not_switched",
    ]  # fmt: skip
    assert [item["key"] for item in parts["changes"]] == ["sampler.num_frames", "scorer"]
    assert parts["not_explained"] == {"difference": -2.0, "low": -3.0, "high": -1.0}
    assert (parts["whole"]["difference"], parts["whole"]["of"]) == (-8.0, "theirs itself")
    (tmp_path / "explain.json").write_text(json.dumps(content))
    stored = stored_parts(tmp_path)
    assert stored is not None
    table, against = stored
    assert against == "theirs"
    assert [" ".join(" ".join(row).split()) for row in table.rows] == rows_of(text, "change")[1:5]


# Parts of a gap


def ours_of(tmp_path: Path, **changes: Any) -> Run:
    """Write a run of four videos with three questions each, all answered rightly."""
    results = [answered(number, True, choices=("x", "y", "z", "u")) for number in range(12)]
    return RunReader().read(write_run(tmp_path / "ours", results, **changes))


def experiment(run: Run, **leaves: Any) -> Explanation:
    """Explain a run by an experiment that differs in some settings."""
    tree = json.loads(json.dumps(run.config))
    for key, value in leaves.items():
        part, name = key.split("__")
        tree[part][name] = value
    side = Side("experiment=x", tree)
    return Explanation(run, [], [], side, switches(run.config, tree))


class Rerun:
    """Answers anew: with 8 frames the first question of a video is wrong."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def __call__(
        self, config: Mapping[str, Any], ids: Collection[str], folder: Path
    ) -> list[SampleResult]:
        if config["model"]["dtype"] == "float16":
            raise CheckpointError("float16 does not fit")
        frames = config["sampler"]["num_frames"]
        self.asked.append((folder.name, frames, len(ids)))
        numbers = sorted(int(name.removeprefix("q")) for name in ids)
        return [
            failed(number) if number == 11 else answered(number, frames != 8 or number % 3 != 0)
            for number in numbers
        ]


def test_an_experiments_changes_are_made_one_by_one_and_all_at_once(tmp_path: Path) -> None:
    run = ours_of(tmp_path, config={"benchmark.limit": None})
    changes = {"sampler__num_frames": 8, "model__dtype": "float16", "benchmark__limit": 5}
    base = experiment(run, **changes)
    rerun = Rerun()
    parts = attributed(base, 99, 0, tmp_path, rerun).parts
    assert parts is not None
    # float16 cannot be had and a limit is no change of a sample: neither is among "all".
    assert rerun.asked == [("sampler.num_frames", 8, 12), ("all", 8, 12)]
    assert parts.names == ["frame count"]
    assert sorted(parts.failed) == [
        "benchmark.limit: other rows or another judge cannot be switched sample by sample",
        "dtype: float16 does not fit",
    ]
    # 11 questions were answered everywhere; 4 of them, the first of each video, became wrong.
    assert (parts.num_samples, parts.num_groups, parts.unit) == (11, 4, "percent")
    assert parts.attribution.parts["sampler.num_frames"].difference == pytest.approx(-400 / 11)
    assert parts.attribution.whole.difference == pytest.approx(-400 / 11)
    assert parts.attribution.rest == pytest.approx(0.0)
    assert parts.whole == "all of these changes made at once"


def test_some_videos_are_drawn(tmp_path: Path) -> None:
    base = experiment(ours_of(tmp_path), sampler__num_frames=8)
    rerun = Rerun()
    parts = attributed(base, 2, 5, tmp_path, rerun).parts
    assert parts is not None
    assert [number for _, _, number in rerun.asked] == [6, 6]
    assert (parts.num_groups, parts.seed) == (2, 5)


def test_rules_are_switched_without_a_model(tmp_path: Path) -> None:
    """One text of three has no score; of twelve, the last fails when all is made at once."""
    texts = ["A", "The answer is A", "A"]
    results = [
        answered(
            number,
            True,
            generation=Generation(texts[number % 3], 10, 2, "eos"),
            score=Score(None, None, unreadable=True) if number % 3 == 1 else Score(1.0, "A"),
        )
        for number in range(12)
    ]
    run = RunReader().read(write_run(tmp_path / "ours", results))
    mean = {"_target_": "llava_eval.metrics.means.mean_score"}
    tree = json.loads(json.dumps(run.config))
    tree["benchmark"]["metrics"] = {"accuracy": {**mean, "denominator": "all", "scale": 10.0}}
    side = Side("experiment=x", tree)
    base = Explanation(run, [], [], side, switches(run.config, tree))
    rerun = Rerun()
    parts = attributed(base, 4, 0, tmp_path, rerun).parts
    assert parts is not None
    assert (parts.names, parts.failed) == (["denominator"], [])
    assert [folder for folder, _, _ in rerun.asked] == ["all"]
    assert parts.attribution.parts["benchmark.metrics"].difference == pytest.approx(-400 / 11)
    tree = json.loads(json.dumps(run.config))
    tree["scorer"] = {"_target_": "llava_eval.scoring.text.ExactMatch"}
    side = Side("experiment=x", tree)
    base = Explanation(run, [], [], side, switches(run.config, tree))
    parts = attributed(base, 4, 0, tmp_path, Rerun()).parts
    assert parts is not None
    # "The answer is A" had no score, and is no exact match.
    assert parts.attribution.parts["scorer"].difference == pytest.approx(-400 / 11)
    tree["scorer"] = {"_target_": "llava_eval.scoring.captions.corpus.CaptionScorer"}
    base = Explanation(run, [], [], Side("experiment=x", tree), switches(run.config, tree))
    parts = attributed(base, 4, 0, tmp_path, Rerun()).parts
    assert parts is not None
    told = "extraction: a rule that needs a judge or the whole set is not switched"
    assert (parts.names, parts.failed) == ([], [told])


def test_intervals_of_an_error_in_negative_begin_at_their_lower_end(tmp_path: Path) -> None:
    """With 8 frames one question of each video is an error; another dtype makes one in all."""
    node = {"_target_": "llava_eval.metrics.means.mean_score", "scale": -100.0}

    def scored(is_error: Callable[[int], bool]) -> list[SampleResult]:
        scores = (Score(float(is_error(number)), "x") for number in range(36))
        return [answered(number, True, score=score) for number, score in enumerate(scores)]

    def rerun(config: Mapping[str, Any], ids: Collection[str], folder: Path) -> list[SampleResult]:
        frames, dtype = config["sampler"]["num_frames"], config["model"]["dtype"]
        return scored(lambda n: (frames == 8 and n % 3 == 0) or (dtype == "float16" and n == 1))

    results = scored(lambda _: False)
    run = RunReader().read(write_run(tmp_path / "ours", results, metrics={"errors": node}))
    base = experiment(run, sampler__num_frames=8, model__dtype="float16")
    explained = attributed(base, 99, 0, tmp_path, rerun)
    assert explained.parts is not None
    found = explained.parts.attribution.parts
    frames, dtype = found["sampler.num_frames"], found["model.dtype"]
    assert (frames.difference, dtype.difference) == pytest.approx((-100 / 3, -100 / 36))
    # Of 36 pairs 12 fall and none rises: further down the score test is that of a share, Wilson's.
    square, share = stats.t.ppf(0.975, 11) ** 2, 1 / 3
    half = (square * (share * (1 - share) / 36 + square / (4 * 36**2))) ** 0.5
    assert frames.low == pytest.approx(-100 * (share + square / 72 + half) / (1 + square / 36))
    assert frames.high is not None
    assert frames.high < 0
    assert dtype.low is not None
    assert dtype.high is not None
    assert dtype.low < dtype.difference < 0 < dtype.high
    lines = [line for line in to_terminal(explained).splitlines() if line.startswith("from the")]
    assert [line.endswith("found") for line in lines] == [True, False]


def test_what_cannot_be_taken_apart_is_one_line(tmp_path: Path) -> None:
    metrics = {"other": {"_target_": "llava_eval.metrics.groups.macro_mean", "facet": "duration"}}
    base = experiment(ours_of(tmp_path), sampler__num_frames=8)
    nobody = Rerun()
    with pytest.raises(ComparisonError, match="no sample was answered on all sides"):
        attributed(base, 4, 0, tmp_path, lambda *_: [])
    unread = Score(None, None, unreadable=True)
    with pytest.raises(ComparisonError, match="one of the sides has no value"):
        attributed(
            *(base, 4, 0, tmp_path),
            lambda *_: [answered(number, None, score=unread) for number in range(12)],
        )
    assert nobody.asked == []
    changed = json.loads(json.dumps(base.run.config))
    changed["benchmark"]["metrics"] = metrics
    differing = switches(base.run.config, changed)
    base = dataclasses.replace(base, switches=differing, side=Side("x", changed))
    with pytest.raises(ComparisonError, match=r"needs a mean over samples, and not .*macro_mean"):
        attributed(base, 4, 0, tmp_path, nobody)
    assert nobody.asked == [], "told before anything is generated"


def test_a_denominator_that_there_is_not_is_named(tmp_path: Path) -> None:
    mean = {"_target_": "llava_eval.metrics.means.mean_score", "denominator": "many"}
    run = ours_of(tmp_path, config={"benchmark.metrics": {"accuracy": mean}})
    with pytest.raises(ConfigError, match=r"benchmark\.metrics: denominator is 'many'"):
        explain(run, None)


@pytest.mark.slow
def test_files_are_written_where_they_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = ours_of(tmp_path), tmp_path / "deep" / "out"
    other = ours_of(tmp_path / "other", config={"sampler.num_frames": 8})
    words = ["explain", str(run.path), "--against", str(other.path), "--out", str(out)]
    assert run_command(words) == 0
    shown = capsys.readouterr().out
    assert "frame count" in shown
    assert shown.rstrip().endswith("wrote explain.md and explain.json into " + str(out))
    content = json.loads((out / "explain.json").read_text())
    assert (content["rules"][0]["num_unreadable"], content["against"]) == (0, other.name)
    assert "parts" not in content
    assert (out / "explain.md").read_text().startswith("### ")
    assert not (run.path / "explain.json").exists(), "nothing was answered anew"
    (run.path / "explain.json").mkdir()  # of a run that may not be written to, all is shown first
    assert run_command([*words, "--run", "2"]) == 1
    assert "the whole difference" in capsys.readouterr().out


def test_rules_are_those_of_the_benchmark_and_of_the_same_kind(explanation: Explanation) -> None:
    names = {name for reading in explanation.readings for name in reading.names}
    assert {"this run", "demo/multiple_choice", "scorer=videomme_official"} <= names
    assert not names & {"demo/open_ended", "demo/caption", "scorer=exact_match"}
