"""Judged benchmarks from rows to tables, with a judge on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llava_eval import run as pipeline
from llava_eval.config.compose import compose_config
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.errors import ConfigError, RowsError
from llava_eval.models.clock import StageClock
from tests.conftest import read_lines, write_lines
from tests.scoring.judge.server import Answer, JudgeServer, failure, reply, serving

KEY = "sk-test-0123456789abcdef"
QUESTIONS = [
    {
        "video_name": f"video{number // 2}",
        "question": f"what is {number}",
        "question_id": f"q{number}",
        "answer": str(number),
        "type": str(number % 3),
    }
    for number in range(8)
]
#: By question: accuracy 3 of 5 (one in neither, two unreadable), score (4+0+5+3+1+5)/6 = 3.
VERDICTS = [
    "{'pred': 'yes', 'score': 4.8}",
    "{'pred': 'no', 'score': 0}",
    "{'pred': 'Yes', 'score': '5'}",
    "{'pred': 'maybe', 'score': 3}",
    "{'pred': 'no', 'score': 1}",
    "{'pred': 'yes', 'score': 5}",
    "The answer is right.",
    "{'pred': 'yes', 'score': 'five'}",
]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "rows.jsonl", QUESTIONS)
    texts = [{"row": number, "text": f"it is {number}"} for number in range(8)]
    write_lines(tmp_path / "texts.jsonl", texts)


def verdict(content: dict[str, Any], number: int) -> Answer:
    """Reply by the question that is asked."""
    user = content["messages"][1]["content"]
    return reply(VERDICTS[int(user.split("Question: what is ")[1].split("\n")[0])])


def score(
    server: JudgeServer, *overrides: str, benchmark: str = "activitynet_qa/llava_next"
) -> pipeline.Outcome:
    composed = compose_config(
        [
            f"benchmark={benchmark}",
            "benchmark.source=rows.jsonl",
            f"judge.base_url={server.base_url}",
            "judge.backoff_seconds=0.001",
            *overrides,
        ]
    )
    return pipeline.score(composed, Path("texts.jsonl"))


@pytest.mark.slow
def test_numbers_and_what_stands_beside_them() -> None:
    with serving(verdict) as server:
        outcome = score(server, "output_dir=out")
    assert outcome.exit_code == 0
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert metrics["metrics"]["accuracy"]["value"] == 60.0
    assert metrics["metrics"]["accuracy"]["num_samples"] == 5
    assert metrics["metrics"]["score"]["value"] == 3.0
    assert (metrics["num_scored"], metrics["num_unreadable"], metrics["num_errors"]) == (5, 2, 0)
    label = metrics["benchmark"]
    assert "judge=gpt-3.5-turbo-0613" in label
    assert "judge_snapshot=judge-2024-01-01" in label
    for name in ("metrics.csv", "metrics.md"):
        assert "judge=gpt-3.5-turbo-0613" in Path("out", name).read_text()
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["judge"] == metrics["judge"]
    assert manifest["judge"]["snapshots"] == {"judge-2024-01-01": 8}
    assert manifest["judge"]["num_input_tokens"] == 800
    assert manifest["judge"]["this_command"]["num_requests"] == 8
    first = read_lines(Path("out/samples.jsonl"))[0]["score"]
    assert first == {
        "value": 1.0,
        "answer": "yes",
        "unreadable": False,
        "explanation": "the judge says yes",
        "judge_score": 4.0,
    }


@pytest.mark.slow
def test_a_description_too_short_once_it_is_stripped_is_not_judged() -> None:
    """The inference script strips, and the judging script looks at what is left."""
    rows = [{"video_name": f"v{n}", "answer": "A man.", "question": "q"} for n in range(3)]
    write_lines(Path("rows.jsonl"), rows)
    texts = ["A man runs. \n", " a\n", "\n"]
    write_lines(Path("texts.jsonl"), [{"row": n, "text": text} for n, text in enumerate(texts)])
    shown: list[str] = []

    def four(content: dict[str, Any], number: int) -> Answer:
        shown.append(content["messages"][1]["content"])
        return reply("{'score': 4}")

    with serving(four) as server:
        outcome = score(server, "output_dir=out", benchmark="video_detail_description/llava_next")
    assert outcome.summary.metrics["score"].value == pytest.approx(4 / 3)
    [prompt] = shown
    assert "Predicted Answer: A man runs.\n" in prompt


@pytest.mark.slow
def test_the_key_is_in_no_file_and_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda content, number: failure(401, f"bad key {KEY}")) as server:
        outcome = score(server, "output_dir=out")
    assert outcome.exit_code == 1
    for path in Path("out").rglob("*"):
        assert KEY not in path.read_text()
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "accuracy", "mean"),
    [
        # the first braces: the same replies can be read
        ("activitynet_qa/lmms_eval", 60.0, 3.0),
        # only exactly "yes" is right; what cannot be read is no and 0: (4.8+0+5+3+1+5)/8
        ("activitynet_qa/lmms_eval_v0_2", 25.0, 18.8 / 8),
    ],
)
def test_other_readings(benchmark: str, accuracy: float, mean: float) -> None:
    with serving(verdict) as server:
        outcome = score(server, "output_dir=out", benchmark=benchmark)
        assert {content["max_tokens"] for content in server.requests} == {64}
    metrics = outcome.summary.metrics
    assert metrics["accuracy"].value == pytest.approx(accuracy)
    assert metrics["score"].value == pytest.approx(mean)
    assert outcome.summary.num_unreadable == 2


@pytest.mark.slow
def test_a_limit_stops_cleanly_and_the_same_command_goes_on() -> None:
    with serving(verdict) as server:
        stopped = score(server, "output_dir=out", "judge.max_requests=3", "judge.concurrency=1")
        assert stopped.exit_code == 1
        assert len(server.requests) == 3
        assert "judged=3 of 8" in stopped.summary.benchmark
        assert json.loads(Path("out/manifest.json").read_text())["status"] == "stopped"
        done = score(server, "output_dir=out")
    assert done.exit_code == 0
    assert len(server.requests) == 8
    assert "judged=" not in done.summary.benchmark
    assert done.summary.metrics["accuracy"].value == 60.0


@pytest.mark.slow
def test_a_failing_judge_is_told_and_scores_nothing() -> None:
    def fail_some(content: dict[str, Any], number: int) -> Answer:
        is_bad = "what is 5" in content["messages"][1]["content"]
        return failure(500) if is_bad else verdict(content, number)

    with serving(fail_some) as server:
        outcome = score(server, "output_dir=out", "judge.retries=1")
        allowed = score(server, "output_dir=out", "judge.retries=1", "errors.max=1")
    assert (outcome.exit_code, allowed.exit_code) == (1, 0)
    assert "judged=7 of 8" in outcome.summary.benchmark
    assert outcome.summary.metrics["accuracy"].value == 50.0  # 2 of 4
    assert "HTTP 500" in read_lines(Path("out/samples.jsonl"))[5]["score"]["judge_error"]


@pytest.mark.slow
def test_scoring_a_run_again_uses_its_replies_but_not_another_judges() -> None:
    with serving(verdict) as server:
        score(server, "output_dir=out")
        composed = compose_config(
            [
                "benchmark=activitynet_qa/llava_next",
                "benchmark.source=rows.jsonl",
                f"judge.base_url={server.base_url}",
                "output_dir=again",
            ]
        )
        again = pipeline.score(composed, Path("out/samples.jsonl"))
        assert len(server.requests) == 8
        assert again.summary.metrics["accuracy"].value == 60.0
        other = score(server, "output_dir=out", "judge.model=other")
        assert len(server.requests) == 16
    assert "judge=other" in other.summary.benchmark


@pytest.mark.slow
def test_another_judge_setting_stands_beside_the_name() -> None:
    with serving(verdict) as server:
        outcome = score(server, "judge.temperature=0", "judge.concurrency=2", "output_dir=out")
    assert "judge.temperature=0" in outcome.summary.benchmark
    assert "concurrency" not in outcome.summary.benchmark


@pytest.mark.slow
def test_a_run_checks_its_key_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    composed = compose_config(
        ["benchmark=activitynet_qa/llava_next", "benchmark.source=rows.jsonl", "output_dir=out"]
    )
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        pipeline.run(composed)
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_run_is_judged_and_resumed(demo: Path) -> None:
    rows = read_lines(demo / "open_ended.jsonl")[:4]
    write_lines(Path("demo.jsonl"), [{**row, "question": "what is 0"} for row in rows])
    overrides = [
        "benchmark=activitynet_qa/llava_next",
        "benchmark.source=demo.jsonl",
        f"benchmark.media_root={demo / 'videos'}",
        "benchmark.adapter.media=['{video_name}.mp4']",
        "benchmark.generation.temperature=0.0",
        "benchmark.generation.max_new_tokens=4",
        "sampler.num_frames=2",
        "output_dir=out",
    ]
    with serving(verdict) as server:
        overrides.append(f"judge.base_url={server.base_url}")
        stopped = pipeline.run(compose_config([*overrides, "judge.max_requests=0"]))
        assert stopped.exit_code == 1
        assert stopped.summary.metrics["accuracy"].value is None
        done = pipeline.run(compose_config(overrides))
    assert done.exit_code == 0
    assert done.summary.metrics["accuracy"].value == 100.0


VIDEO_CHATGPT_SETS = {
    "generic_qa.json": [{"Q": "g", "A": "a", "video_name": "v"}],
    "temporal_qa.json": [{"Q": "t", "A": "a", "video_name": "v"}],
    "consistency_qa.json": [{"Q1": "c1", "Q2": "c2", "A": "a", "video_name": "v"}],
}


def five_scores(content: dict[str, Any], number: int) -> Answer:
    system = content["messages"][0]["content"]
    scores = {"factual": 1, "detail": 2, "contextual": 3, "temporal under": 4, "consistency": 5}
    [found] = [value for word, value in scores.items() if f"evaluating the {word}" in system]
    return reply(f"{{'score': {found}}}")


@pytest.mark.slow
def test_video_chatgpt_from_the_authors_files_and_from_the_hubs_rows() -> None:
    folder = Path("qa")
    folder.mkdir()
    for name, rows in VIDEO_CHATGPT_SETS.items():
        (folder / name).write_text(json.dumps(rows))
    write_lines(
        Path("hub.jsonl"),
        [
            {"video_name": "v", "question": "g", "answer": "a"},
            {"video_name": "v", "question": "t", "answer": "a", "row_set": "temporal"},
            {"video_name": "v", "question_1": "c1", "question_2": "None", "answer": "a"},
            {"video_name": "v", "question_1": "None", "question_2": "c2", "answer": "a"},
        ],
    )
    with serving(five_scores) as server:
        for source in ("qa", "hub.jsonl"):
            composed = compose_config(
                [
                    "benchmark=video_chatgpt/video_chatgpt",
                    f"benchmark.source={source}",
                    f"judge.base_url={server.base_url}",
                    f"output_dir=out_{Path(source).stem}",
                ]
            )
            samples = Benchmark.read(composed, StageClock()).samples
            assert [one.question for one in samples] == ["g", "t", "c1", "c2"]
            texts = [{"id": one.id, "text": f"text {one.question}"} for one in samples]
            outcome = pipeline.score(composed, write_lines(Path("dims.jsonl"), texts))
            metrics = outcome.summary.metrics
            assert [metrics[name].value for name in metrics] == [3.0, 1.0, 2.0, 3.0, 4.0, 5.0]
            assert metrics["consistency"].num_samples == 1


@pytest.mark.slow
def test_a_text_for_a_row_with_two_questions_needs_their_ids() -> None:
    write_lines(Path("pairs.jsonl"), VIDEO_CHATGPT_SETS["consistency_qa.json"])
    composed = compose_config(
        ["benchmark=video_chatgpt/video_chatgpt", "benchmark.source=pairs.jsonl"]
    )
    with pytest.raises(RowsError, match="row 0 has several questions; give their ids"):
        pipeline.score(composed, write_lines(Path("one.jsonl"), [{"row": 0, "text": "x"}]))


@pytest.mark.slow
def test_a_judge_of_ones_own() -> None:
    overrides = ["benchmark=activitynet_qa/llava_next", "judge=local", "judge.model=mine"]
    judge = compose_config(overrides).config.judge
    assert judge.model == "mine"
    assert judge.base_url == "http://localhost:8000/v1"
    nameless = compose_config([*overrides[:2], "benchmark.source=rows.jsonl"])
    with pytest.raises(ConfigError, match=r"judge\.model is not set"):
        Benchmark.read(nameless, StageClock())
