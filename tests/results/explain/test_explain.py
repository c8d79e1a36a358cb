"""llava-eval explain: rules for the same texts, differences, and parts of a gap."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from llava_eval.cli import run_command
from llava_eval.config.compose import ComposedConfig, compose_config
from llava_eval.config.schema import ReplyConfig
from llava_eval.errors import ConfigError
from llava_eval.results.explain.explanation import explain, side_of
from llava_eval.results.explain.rules import disagreements, readings, rescored
from llava_eval.results.explain.screen import to_markdown
from llava_eval.results.explain.switched_runs import attributed, drawn_groups
from llava_eval.results.runs import RunReader
from llava_eval.scoring.choice.strict import StrictChoice
from llava_eval.types import Generation, SampleResult, Score
from tests.conftest import read_lines, write_lines
from tests.results.runs_on_disk import answered, write_run


@functools.cache
def composed_of_videomme(*overrides: str) -> ComposedConfig:
    return compose_config(["benchmark=videomme/official", *overrides])


def videomme(tmp_path: Path, name: str, texts: Sequence[str], *overrides: str) -> Path:
    """Write a run of videomme/official, whose right answers are all A, with these texts."""
    composed = composed_of_videomme(*overrides)
    results = [
        answered(
            number,
            True,
            generation=Generation(text, 10, 2, "eos"),
            choices=("a cat", "a dog", "a cow", "a pig"),
            score=Score(float(text == "A"), text)
            if text in ("A", "B")
            else Score(None, None, unreadable=True),
        )
        for number, text in enumerate(texts)
    ]
    return write_run(
        tmp_path / name,
        results,
        benchmark="videomme/official",
        metrics=composed.resolved["benchmark"]["metrics"],
        manifest={"config": dict(composed.resolved)},
    )


TEXTS = ["A"] * 8 + ["the answer is b", "I see (A) here", "nothing", "d."]


@pytest.mark.slow
def test_every_rule_reads_the_same_texts(tmp_path: Path) -> None:
    found = readings(RunReader().read(videomme(tmp_path, "x", TEXTS)))
    assert found[0].names[0] == "this run"
    by_name = {name: reading for reading in found for name in reading.names}
    assert {"videomme/official", "videomme/lmms_eval", "videomme/vlmevalkit"} <= set(by_name)
    # The official rule finds the capital A of "(A)" and the first letters of no other text; what
    # it cannot read is left out of its own denominator and wrong in the others.
    official = by_name["videomme/official"]
    assert official.denominator == "scored"
    assert official.percents["all"] == pytest.approx(100 * 9 / 12)
    assert by_name["videomme/lmms_eval"].percents["all"] == pytest.approx(100 * 9 / 12)
    # The run's own rule scores 8 texts, all right: 8 and 9 of 12 are that much less.
    changes = {name: reading.change for name, reading in by_name.items()}
    for name, change, num_samples in (
        ("this run", 0.0, 8),
        ("videomme/official", 0.0, 9),
        ("videomme/lmms_eval", -25.0, 12),
        ("scorer=strict_choice", -100 / 3, 12),
    ):
        told = changes[name]
        assert told is not None
        assert told.difference == pytest.approx(change), name
        assert told.num_samples == num_samples


@pytest.mark.slow
def test_rules_for_options_are_left_out_where_questions_have_none(tmp_path: Path) -> None:
    composed = compose_config(["benchmark=realworldqa/lmms_eval"])
    folder = write_run(
        tmp_path / "x",
        [answered(0, True, generation=Generation("2", 10, 2, "eos"), target=("2",), choices=())],
        benchmark="realworldqa/lmms_eval",
        metrics=composed.resolved["benchmark"]["metrics"],
        manifest={"config": dict(composed.resolved)},
    )
    names = {name for reading in readings(RunReader().read(folder)) for name in reading.names}
    assert names >= {"this run", "scorer=lmms_eval_ranked_letter"}
    assert names.isdisjoint({"scorer=strict_choice", "scorer=longvideobench"})


@pytest.mark.slow
def test_rules_that_are_left_out_are_named_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = [
        answered(0, True, choices=("a cat", "a dog")),
        answered(7, True, generation=Generation("2", 10, 2, "eos"), target=("2",), choices=()),
    ]
    composed = compose_config(["benchmark=realworldqa/lmms_eval"])
    folder = write_run(
        tmp_path / "x",
        results,
        benchmark="realworldqa/lmms_eval",
        metrics=composed.resolved["benchmark"]["metrics"],
        manifest={"config": dict(composed.resolved)},
    )
    readings(RunReader().read(folder))
    told = {name for text in caplog.messages for name in re.findall(r"scorer=\w+", text)}
    assert {"scorer=strict_choice", "scorer=longvideobench"} <= told
    assert "scorer=lmms_eval_ranked_letter" not in told
    assert all(f"sample {results[1].id} has no options" in text for text in caplog.messages)


@pytest.mark.slow
def test_answers_by_likelihood_are_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["A. a", "B. b", "C. c"]
    rows = [
        {"video_idx": f"v{n}", "question": "What?", "option": options, "answer": str(n)}
        for n in range(3)
    ]
    losses = [{"row": n, "option_losses": [2.0, 0.5, 3.0]} for n in range(3)]
    words = [
        "score",
        "benchmark=egoschema/mc_ppl",
        f"benchmark.source={write_lines(tmp_path / 'rows.jsonl', rows)}",
        f"generations={write_lines(tmp_path / 'losses.jsonl', losses)}",
        f"output_dir={tmp_path / 'run'}",
    ]
    assert run_command(words) == 0
    capsys.readouterr()
    assert run_command(["explain", str(tmp_path / "run"), "--json"]) == 0
    rule = json.loads(capsys.readouterr().out)["rules"][0]
    assert rule["rules"] == ["this run", "egoschema/mc_ppl"]
    assert rule["percent"]["all"] == pytest.approx(100 / 3)


@pytest.mark.slow
def test_a_protocol_of_ones_own_may_leave_its_source_to_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "configs" / "benchmark" / "mine" / "b.yaml"
    file.parent.mkdir(parents=True)
    adapter = "{_target_: llava_eval.benchmarks.adapters.multiple_choice}"
    metrics = "{accuracy: {_target_: llava_eval.metrics.means.mean_score}}"
    file.write_text(
        "# @package _global_\ndefaults: [override /scorer: strict_choice, _self_]\n"
        f"benchmark: {{name: mine/b, source: '???', adapter: {adapter}, metrics: {metrics}}}\n"
    )
    results = [answered(n, True, choices=("a cat", "a dog")) for n in range(3)]
    run = RunReader().read(write_run(tmp_path / "x", results, benchmark="mine/b"))
    names = {name for reading in readings(run, tmp_path / "configs") for name in reading.names}
    assert "mine/b" in names
    config = {**run.config, "benchmark": {**run.config["benchmark"], "source": "my, rows.jsonl"}}
    found = readings(dataclasses.replace(run, config=config), tmp_path / "configs")
    assert "mine/b" in {name for reading in found for name in reading.names}


@pytest.mark.slow
def test_texts_that_rules_disagree_on_are_named(tmp_path: Path) -> None:
    found = readings(RunReader().read(videomme(tmp_path, "x", TEXTS)))
    listed = {one[0].id: one for one in disagreements(found)}
    assert "q0" not in listed
    one = listed["q9"]
    assert one[0].generation.text == "I see (A) here"
    values = [result.score.value for result in one]
    assert values[0] is None
    assert 1.0 in values


@pytest.mark.slow
def test_the_screen_has_eighty_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (
        videomme(tmp_path, "x", TEXTS),
        videomme(tmp_path, "y", TEXTS[::-1], "sampler.num_frames=8"),
    )
    assert run_command(["explain", str(first), "--against", str(second)]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "frame count  protocol  num_frames  32   8" in text
    assert run_command(["explain", str(first), "--against", str(second), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["key"] for one in content["differences"]] == ["sampler.num_frames"]


@pytest.mark.slow
def test_a_published_number_says_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = videomme(tmp_path, "x", TEXTS, "sampler.num_frames=8")
    assert run_command(["explain", str(run), "--against", "llava_next_video_34b_videomme"]) == 0
    text = capsys.readouterr().out
    assert "frame count" in text
    assert "accuracy 52: Video-MME README" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "nothing"], "neither a run directory nor an experiment"),
        (["--against", "nothing", "--run", "2"], "neither a run directory nor an experiment"),
        (["--run", "5"], "--run needs --against"),
        (["--against", "x", "--run", "1"], "at least 2 groups"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = videomme(tmp_path, "x", TEXTS)
    assert run_command(["explain", str(run), *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_groups_are_drawn_by_seed_and_name_alone() -> None:
    names = [f"video {number}" for number in range(50)]
    drawn = drawn_groups(names, 10, seed=1)
    assert len(drawn) == 10
    assert drawn_groups(names[::-1], 10, seed=1) == drawn
    assert drawn_groups([*names, "another"], 10, seed=1) - {"another"} <= drawn
    assert drawn_groups(names, 10, seed=2) != drawn


@pytest.mark.slow
def test_parts_come_from_one_change_at_a_time(tmp_path: Path) -> None:
    """The frames cost the first question of each video, the rule every text but a bare letter."""
    texts = ["A", "nothing", "A"] * 30
    path = videomme(tmp_path, "ours", texts)
    run = RunReader().read(path)
    theirs = [text if number % 3 else "B" for number, text in enumerate(texts)]
    other = videomme(tmp_path, "theirs", theirs, "sampler.num_frames=8", "scorer=strict_choice")
    asked: list[tuple[int, str]] = []

    def rerun(
        config: Mapping[str, Any], ids: Collection[str], directory: Path
    ) -> list[SampleResult]:
        asked.append((config["sampler"]["num_frames"], directory.name))
        return [result for result in RunReader().read(other).results if result.id in ids]

    side = side_of(run, str(other), RunReader())
    explanation = attributed(explain(run, side), 20, 0, tmp_path / "out", rerun)
    assert asked == [(8, "sampler.num_frames")]
    parts = explanation.parts
    assert parts is not None
    assert (parts.num_groups, parts.num_samples) == (20, 60)
    assert list(parts.names) == ["frame count", "extraction"]
    # What is read is right at first, then half of it is wrong. The other rule counts what it cannot
    # read; the other run's ledger leaves that out, which no single change explains.
    assert parts.attribution.parts["sampler.num_frames"].difference == pytest.approx(-50)
    assert parts.attribution.parts["scorer"].difference == pytest.approx(-100 / 3)
    assert parts.attribution.rest == pytest.approx(100 / 3)
    text = to_markdown(explanation)
    assert "from the frame count" in text
    assert "not explained" in text


@pytest.mark.slow
def test_an_experiment_of_another_benchmark_explains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = videomme(tmp_path, "x", TEXTS)
    words = ["explain", str(run), "--against", "llava_next_video_7b_activitynet_qa"]
    assert run_command(words) == 2
    assert "is of activitynet_qa/llava_next" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "refusal"),
    [("demo/open_ended", None), ("other/multiple_choice", "of demo/multiple_choice, and")],
)
def test_an_experiment_explains_other_protocols_of_its_benchmark_alone(
    tmp_path: Path, benchmark: str, refusal: str | None
) -> None:
    user = tmp_path / "conf" / "experiment"
    user.mkdir(parents=True)
    (user / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /benchmark: demo/multiple_choice\n"
    )
    path = write_run(tmp_path / "run", [answered(0, True)], benchmark=benchmark)
    run = RunReader().read(path)
    if refusal is None:
        side = side_of(run, "mine", RunReader(), tmp_path / "conf")
        assert (side.name, side.config["benchmark"]["name"], side.run) == (
            "experiment=mine",
            "demo/multiple_choice",
            None,
        )
    else:
        with pytest.raises(ConfigError, match=refusal):
            side_of(run, "mine", RunReader(), tmp_path / "conf")


@pytest.mark.parametrize("prompt", ["", "Which one?"])
def test_a_text_is_scored_again_whatever_its_ledger_holds_of_the_prompt(prompt: str) -> None:
    result = answered(0, None, prompt=prompt, choices=("x", "y"))
    result = dataclasses.replace(result, generation=Generation("A"), target=("A",))
    (scored,) = rescored([result], StrictChoice(), ReplyConfig())
    assert (scored.score.value, scored.score.answer) == (1.0, "A")
    assert scored.prompt == prompt


def test_another_run_directory_is_a_side_with_its_run(tmp_path: Path) -> None:
    ours, theirs = (
        write_run(tmp_path / name, [answered(0, True)], config={"sampler.num_frames": number})
        for name, number in (("ours", 8), ("theirs", 16))
    )
    side = side_of(RunReader().read(ours), str(theirs), RunReader())
    assert (side.name, side.config["sampler"]["num_frames"]) == (str(theirs), 16)
    assert side.run is not None
    assert side.run.path == theirs
    assert list(side.published) == []


@pytest.mark.slow
def test_each_draw_of_groups_is_kept_and_a_question_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for frames in (1, 2):
        words = ["benchmark.limit=6", f"sampler.num_frames={frames}", f"output_dir=r{frames}"]
        assert run_command([*words, "-q"]) == 0
    asked = ["explain", "r2", "--against", "r1", "--run", "2"]
    capsys.readouterr()
    assert run_command(asked) == 0
    out, err = capsys.readouterr()
    (folder,) = Path("results/explain").glob("r2-*")
    assert out.endswith(f"\nwrote explain.md and explain.json into {folder}\n")
    assert err == ""
    first = folder / "2_groups_seed_0" / "sampler.num_frames"
    assert len(read_lines(first / "samples.jsonl")) == 6
    kept = (folder / "explain.json").read_bytes()
    assert Path("r2/explain.json").read_bytes() == kept
    assert run_command([*asked, "--seed", "1"]) == 0
    assert (folder / "2_groups_seed_1" / "sampler.num_frames" / "samples.jsonl").exists()
    assert json.loads((folder / "explain.json").read_text())["parts"]["seed"] == 1
    assert run_command(asked) == 0
    assert (folder / "explain.json").read_bytes() == kept
    sessions = json.loads((first / "manifest.json").read_text())["sessions"]
    assert [session.get("num_generated") for session in sessions] == [6, None]
    Path("r3").symlink_to("r1")
    assert run_command(["explain", "r2", "--against", "r3", "--run", "2"]) == 0
    assert len(list(Path("results/explain").iterdir())) == 2, "another question"
