"""Published scores: the file, the command, and runs compared with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llava_eval import run as pipeline
from llava_eval.benchmarks.published.scores import read_scores, scores_text
from llava_eval.cli import run_command
from llava_eval.config.choices import list_choices
from llava_eval.config.compose import compose_config
from llava_eval.errors import ConfigError
from tests.conftest import read_lines, write_lines

#: Of the LLaVA-NeXT-Video blog's main table and the lmms-eval v0.2 post, typed in by hand.
BY_HAND = [
    ("activitynet_qa", "LLaVA-NeXT-Video-7B", "accuracy", "53.5"),
    ("activitynet_qa", "LLaVA-NeXT-Video-34B-DPO", "accuracy", "64.42"),
    ("activitynet_qa", "LLaVA-NeXT-Video-7B", "accuracy", "52.72"),
    ("video_detail_description", "LLaVA-NeXT-Video-7B-DPO", "score", "3.72"),
    ("nextqa_oe", "LLaVA-NeXT-Video-7B", "WUPS", "26.9"),
    ("videomme", "LLaVA-NeXT-Video-34B", "accuracy", "52.0"),
    ("videomme", "LLaVA-NeXT-Video-7B", "accuracy", "41.98"),
    ("longvideobench", "LLaVA-NeXT-Video-34B", "accuracy", "50.5"),
    ("vatex", "LLaVA-NeXT-Video-7B", "CIDEr", "39.28"),
]


@pytest.mark.parametrize(("benchmark", "model", "metric", "score"), BY_HAND)
def test_scores_are_there(benchmark: str, model: str, metric: str, score: str) -> None:
    found = read_scores(benchmark=benchmark, model=model)
    assert [
        one
        for one in found
        if (one["metric"], one["score"], one["model"]) == (metric, score, model)
    ]


def test_every_row_has_a_source_and_a_number() -> None:
    scores = read_scores()
    assert len(scores) > 400
    for one in scores:
        assert one["source"]
        assert one["kind"] in ("published", "second-hand", "conflicting")
        assert float(one["score"]) >= 0


def test_contradictions_are_called_so() -> None:
    found = read_scores(benchmark="mvbench", model="LLaVA-NeXT-Video-7B")
    assert {(one["score"], one["kind"]) for one in found} == {
        ("46.5", "conflicting"),
        ("33.7", "conflicting"),
    }
    assert "[1] conflicting" in scores_text(found)


def test_a_protocol_and_a_configurations_name_do() -> None:
    assert read_scores(benchmark="videomme/official", model="llava_next_video_7b_dpo"[:19])
    models = {one["model"] for one in read_scores(model="llava_next_video_7b")}
    assert models == {"LLaVA-NeXT-Video-7B"}
    for name in ("smolvlm2_2_2b", "SmolVLM2 2.2B", " SmolVLM2\u20112.2B "):
        assert {one["model"] for one in read_scores(model=name)} == {"SmolVLM2-2.2B"}


def test_every_score_is_shown_with_its_model() -> None:
    scores = read_scores(benchmark="nextqa_oe")
    for width in (80, 200):
        text = scores_text(scores, width=width)
        words = text.split()
        for score in scores:
            assert f"  {score['printed'] or score['score']}  " in text
            assert set(score["model"].split()) <= set(words)
        assert "  26.90  " in text
        assert len([line for line in text.splitlines() if line.endswith("]")]) == len(scores)


def test_the_experiment_that_reproduces_a_score_stands_beside_it() -> None:
    scores = read_scores(benchmark="activitynet_qa", model="LLaVA-NeXT-Video-7B")
    wide, narrow = (scores_text(scores, width=width).splitlines() for width in (120, 80))
    name = "experiment=llava_next_video_7b_activitynet_qa"
    assert (
        wide[1].split() == f"LLaVA-NeXT-Video-7B accuracy, test 32 frames 53.5 {name} [1]".split()
    )
    assert narrow[1].split()[-2:] == ["53.5", "[1]"]
    assert narrow[2].strip() == name


def test_one_frame_is_one() -> None:
    scores = read_scores(benchmark="nextqa_oe", model="LLaVA-NeXT-Image-7B")
    lines = scores_text(scores, width=120).splitlines()
    assert ["  1 frame  " in line for line in lines[1:4]] == [True, False, False]
    assert ["  16 frames  " in line for line in lines[1:4]] == [False, True, False]


def test_frames_a_second_are_no_number_of_frames() -> None:
    text = scores_text(read_scores(benchmark="mmvu", model="LLaVA-OneVision-7B"), width=120)
    assert " 1 a second " in text
    assert "1 frames" not in text


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'videomme'"):
        read_scores(benchmark="vidomme")
    with pytest.raises(ConfigError, match="for the model 'gpt-9'"):
        read_scores(model="gpt-9")


@pytest.mark.parametrize("arguments", [[], ["--benchmark", "videomme"], ["--model=7b-dpo"]])
def test_the_command_prints_80_columns(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command(["published", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith(("[", "  ", "frames?"))


def test_mistakes_in_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["videomme"], ["--benchmark"], ["--bench", "x"], ["benchmark=x"]):
        assert run_command(["published", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", list_choices("experiment"))
def test_every_experiment_is_a_published_number_with_its_protocol(name: str) -> None:
    composed = compose_config([f"experiment={name}"])
    assert composed.choices["experiment"] == name
    config = composed.config
    if name.startswith("demo"):
        return
    if name.startswith(("llava_next_video", "lmms_eval")):
        assert config.model.rope_scaling == {"rope_type": "linear", "factor": 2.0}
        assert config.sampler["num_frames"] == 32
    else:
        assert config.model.dtype == "bfloat16"
    family = config.benchmark.name.partition("/")[0]
    listed = {
        (one["model"], float(one["score"]), one["source"]) for one in read_scores(benchmark=family)
    }
    assert config.published
    for number in config.published:
        assert number.metric in config.benchmark.metrics
        assert number.facet is None or number.facet in config.benchmark.facets
        assert (config.model.name, number.value, number.source) in listed


@pytest.mark.slow
def test_a_scored_benchmark_ends_with_the_comparison(demo: Path, tmp_path: Path) -> None:
    rows = read_lines(demo / "multiple_choice.jsonl")[:20]
    replies = [row["answer"] if number % 2 else "none" for number, row in enumerate(rows)]
    lines = [{"row": number, "text": text} for number, text in enumerate(replies)]
    texts = write_lines(tmp_path / "texts.jsonl", lines)
    overrides = ["benchmark.limit=20", f"output_dir={tmp_path / 'out'}"]
    numbers = "published=[{metric: accuracy, value: 50.0, source: hand}]"
    outcome = pipeline.score(compose_config([*overrides, numbers]), texts)
    [found] = outcome.summary.published
    assert (found.ours, found.difference, found.is_within_interval) == (50.0, 0.0, True)
    assert "published" not in outcome.summary.benchmark
    with pytest.raises(ConfigError, match="no metric 'acuracy'"):
        pipeline.score(compose_config([numbers.replace("accuracy", "acuracy")]), texts)
