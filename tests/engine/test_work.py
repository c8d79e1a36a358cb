"""What one run needs is built and checked before anything is generated."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llava_eval.benchmarks.adapters import multiple_choice
from llava_eval.benchmarks.rows import Row
from llava_eval.cli import run_command
from llava_eval.config.compose import ComposedConfig, compose_config
from llava_eval.config.roles import identity_of
from llava_eval.config.schema import EngineConfig, ModelConfig, PublishedConfig, RunConfig
from llava_eval.engine.base import Watch
from llava_eval.engine.batches import PromptSettings, check_sampler
from llava_eval.engine.configured_benchmark import Benchmark, Parts
from llava_eval.engine.work import GivenTexts, _own_code, _own_scoring, open_work
from llava_eval.errors import ConfigError, RowsError, RunDirectoryError
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import check_model
from llava_eval.results.manifest import Manifest
from llava_eval.run import run, score
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply
from llava_eval.types import (
    Clip,
    Generation,
    GenerationSettings,
    MediaKind,
    MetricValue,
    Request,
    Sample,
    SampleResult,
    Score,
    VideoInfo,
)
from tests.conftest import read_lines, slow, write_lines


@pytest.fixture(scope="module")
def composed() -> ComposedConfig:
    return compose_config(["benchmark.limit=9", "sampler.num_frames=2", "runner.batch_size=3"])


def changed(composed: ComposedConfig, **parts: Any) -> ComposedConfig:
    """The configuration with parts replaced; a mapping replaces fields of a part that has some."""
    config = composed.config
    for name, value in parts.items():
        if isinstance(value, Mapping) and dataclasses.is_dataclass(getattr(config, name)):
            value = dataclasses.replace(getattr(config, name), **value)
        config = dataclasses.replace(config, **{name: value})
    return dataclasses.replace(composed, config=config)


def how_many(results: Sequence[SampleResult]) -> int:
    return len(results)


def unlike_a_metric(results: Any) -> Any:
    return results.results


def of_numpy(results: Sequence[SampleResult]) -> MetricValue:
    return MetricValue(np.float32(1.5), None, None, None, len(results), "points")  # type: ignore[arg-type]


def not_finite(results: Sequence[SampleResult]) -> MetricValue:
    return MetricValue(math.nan, None, None, None, len(results), "points")


def part_of_a_sample(results: Sequence[SampleResult]) -> MetricValue:
    return MetricValue(True, None, None, None, 0.5, "points")  # type: ignore[arg-type]


def average(results: Sequence[SampleResult]) -> float:
    return sum(float(result.score.value or 0) for result in results) / len(results)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"published": [PublishedConfig("acc", 1.0, "a paper")]},
            "published: there is no metric 'acc'; metrics: accuracy",
        ),
        (
            {"published": [PublishedConfig("accuracy", 1.0, "a paper", facet="size", level="s")]},
            "published: there is no facet 'size'; facets: duration, task_type",
        ),
        (
            {"benchmark": {"facet_metrics": ["acuracy"]}},
            r"benchmark\.facet_metrics: there is no metric 'acuracy'; metrics: accuracy",
        ),
        (
            {"conversation": {"system": "Be brief."}},
            r"conversation\.system=Be brief\. means nothing to conversation=chat_template",
        ),
        (
            {"benchmark": {"metrics": {"m": {"_target_": f"{__name__}.how_many"}}}},
            r"benchmark\.metrics\.m: got a int, expected a MetricValue",
        ),
        (
            {"benchmark": {"metrics": {"m": {"_target_": f"{__name__}.of_numpy"}}}},
            r"metrics\.m gave a MetricValue with value=np\.float32\(1\.5\); expected finite plain",
        ),
        (
            {"benchmark": {"metrics": {"m": {"_target_": f"{__name__}.part_of_a_sample"}}}},
            r"metrics\.m gave a MetricValue with value=True, num_samples=0\.5; expected finite",
        ),
        (
            {"benchmark": {"metrics": {"m": {"_target_": f"{__name__}.unlike_a_metric"}}}},
            r"benchmark\.metrics\.m: AttributeError: 'list' object has no attribute 'results'",
        ),
        (
            {"benchmark": {"metrics": {"m": {"_target_": f"{__name__}.average"}}}},
            r"m: ZeroDivisionError: .* \(given no results; expected a MetricValue\)",
        ),
        (
            {
                "benchmark": {
                    "metrics": {
                        "m": {
                            "_target_": "llava_eval.metrics.groups.macro_mean",
                            "facet": "durations",
                        }
                    }
                }
            },
            r"metrics\.m\.facet: there is no facet 'durations'; .* name it \(it has duration, ",
        ),
        (
            {
                "benchmark": {
                    "metrics": {
                        "m": {
                            "_target_": "llava_eval.metrics.groups.relative_gain",
                            "facet": "duration",
                            "level": "short",
                            "before": 100.0,
                        }
                    }
                }
            },
            "m: ValueError: before=100 is no accuracy that leaves something to gain",
        ),
        (
            {"engine": EngineConfig("local", num_workers=2)},
            r"engine\.num_workers=2 is for engine=r",
        ),
    ],
)
def test_parts_that_do_not_fit(
    parts: dict[str, Any], message: str, composed: ComposedConfig
) -> None:
    with pytest.raises(ConfigError, match=message):
        Parts.build(changed(composed, **parts).config)


@pytest.mark.parametrize(
    ("target", "settings", "key"),
    [
        ("groups.nested_mean", {"outer": "size", "inner": "duration"}, "outer"),
        ("groups.nested_mean", {"outer": "duration", "inner": "size"}, "inner"),
        ("yes_no.yes_no", {"measure": "f1", "mean_over": "size"}, "mean_over"),
    ],
)
def test_a_facet_of_a_metric_that_rows_do_not_have(
    target: str, settings: dict[str, str], key: str, composed: ComposedConfig
) -> None:
    plain = {"_target_": "llava_eval.metrics.yes_no.yes_no", "measure": "f1"}  # over no facet
    assert Parts.build(changed(composed, benchmark={"metrics": {"m": plain}}).config).metrics
    metrics = {"m": {"_target_": f"llava_eval.metrics.{target}", **settings}}
    config = changed(composed, benchmark={"metrics": metrics}).config
    with pytest.raises(ConfigError, match=rf"metrics\.m\.{key}: there is no facet 'size'; "):
        Parts.build(config)


@pytest.mark.parametrize(
    ("target", "settings", "told"),
    [
        ("part_mean", {"facet": "duration", "levels": ["short", "shrot"]}, "levels"),
        ("part_ratio", {"facet": "duration", "level": "short", "over": "shrot"}, "over"),
        ("mme_score", {"facet": "duration", "without": ["shrot"]}, "without"),
        ("nested_mean", {"outer": "duration", "inner": "task_type", "level": "shrot"}, "level"),
        ("part_mean", {"facet": "duration", "levels": ["short"]}, ""),
    ],
)
def test_a_level_of_a_metric_that_no_sample_has_is_told(
    target: str,
    settings: dict[str, Any],
    told: str,
    composed: ComposedConfig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = {"m": {"_target_": f"llava_eval.metrics.groups.{target}", **settings}}
    asked = {"metrics": metrics, "limit": None, "num_rows": 270}
    Benchmark.read(changed(composed, benchmark=asked), StageClock())
    found = f"benchmark.metrics.m.{told}: no sample has the duration 'shrot'"
    assert caplog.messages == ([f"{found}; levels: long, medium, short"] if told else [])
    caplog.clear()
    Benchmark.read(changed(composed, benchmark={**asked, "num_rows": 900}), StageClock())
    assert caplog.messages == []  # of a part of the rows


def of_a_level(results: Sequence[SampleResult], facet: str) -> MetricValue:
    return MetricValue(float(len(facet)), None, None, None, len(results), "points")


def test_what_a_metric_of_ones_own_calls_a_facet_is_its_own(composed: ComposedConfig) -> None:
    metrics = {"m": {"_target_": f"{__name__}.of_a_level", "facet": "none of ours"}}
    parts = Parts.build(changed(composed, benchmark={"metrics": metrics}).config)
    assert parts.metrics["m"]([]).value == len("none of ours")


@pytest.mark.slow
def test_a_scorer_names_the_facet_that_it_lacks(tmp_path: Path) -> None:
    row = {"id": "dev_Math_1", "question": "Which?", "options": ["x", "y"], "answer": "A"}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(row | {"question_type": "multiple-choice"}))
    settings = ["benchmark=videommmu/official", f"benchmark.source={rows}"]
    composed = compose_config([*settings, "benchmark.facets=[track]"])
    benchmark = Benchmark.read(composed, StageClock())
    result = SampleResult.of(benchmark.samples[0], Generation("A"))
    with pytest.raises(ConfigError, match=r"no facet 'question_type', .* name it \(it has track"):
        benchmark.evaluation.scored(result)


def test_published_numbers_that_fit(composed: ComposedConfig) -> None:
    numbers = [
        PublishedConfig("accuracy", 70.0, "a paper"),
        PublishedConfig("accuracy", 80.0, "a paper", facet="duration", level="short"),
    ]
    assert list(Parts.build(changed(composed, published=numbers).config).metrics) == ["accuracy"]


@pytest.mark.parametrize(
    ("engine", "device", "message"),
    [
        ({"name": "ray", "num_workers": 2}, "auto", None),
        ({"name": "ray"}, "cpu", None),
        ({"name": "ray"}, "cuda", None),
        ({"name": "ray"}, "cuda:1", r"model\.device=cuda:1: with engine=ray every worker is given"),
        ({"name": "local"}, "cuda:1", None),
        (
            {"name": "local", "max_tries": 5},
            "auto",
            r"engine\.max_tries=5 .* in this process$",
        ),
        (
            {"name": "auto", "address": "x:1"},
            "auto",
            r"engine=auto works in this process unless this machine has several GPUs$",
        ),
    ],
)
def test_settings_that_mean_nothing_to_an_engine(
    engine: dict[str, Any], device: str, message: str | None, composed: ComposedConfig
) -> None:
    config = changed(composed, engine=EngineConfig(**engine), model={"device": device}).config
    if message is None:
        check_model(config)
    else:
        with pytest.raises(ConfigError, match=message):
            check_model(config)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{__name__}.none_of_them", "of a video of 100 frames it takes ()"),
        (f"{__name__}.beyond", "it takes (0, 100); expected indices from 0 to 99"),
        (f"{__name__}.negative", "it takes (-1,)"),
        (f"{__name__}.floats", "it takes [0.0]; expected indices from 0 to 99, as plain int"),
        (f"{__name__}.refusing", "sampler: two are too many"),
        (f"{__name__}.broken", "sampler: ZeroDivisionError: "),
    ],
)
def test_samplers_are_tried(target: str, message: str, composed: ComposedConfig) -> None:
    config = changed(composed).config
    node = {"_target_": target}
    with pytest.raises(ConfigError, match=re.escape(message)):
        PromptSettings.of(dataclasses.replace(config, sampler=node))


def test_samplers_of_cuts_are_tried_on_one() -> None:
    check_sampler(lambda info: [info.first_frame_index, info.first_frame_index + 99], first_frame=7)
    message = "a cut with first_frame_index=7 and 100 frames it takes [6]; expected indices from 7"
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_sampler(lambda info: [6], first_frame=7)


def test_a_sampler_that_leaves_a_cut_ends_a_run_before_its_work(
    composed: ComposedConfig, tmp_path: Path
) -> None:
    node = dict(composed.config.benchmark.adapter)
    cut = changed(composed, benchmark={"adapter": {**node, "_target_": f"{__name__}.cut_sample"}})
    Benchmark.read(cut, StageClock())
    sampler = {"_target_": f"{__name__}.from_the_start"}
    with pytest.raises(ConfigError, match=re.escape("100 frames it takes (0,)")):
        Benchmark.read(changed(cut, sampler=sampler), StageClock())


def cut_sample(row: Row, **node: Any) -> Sample:
    sample = multiple_choice(row, **node)
    (video,) = sample.media
    parts = (dataclasses.replace(video, start_seconds=1.0), *sample.content[1:])
    return dataclasses.replace(sample, content=parts)


def from_the_start(info: Any) -> tuple[int, ...]:
    return (0,)


def none_of_them(info: Any) -> tuple[int, ...]:
    return ()


def beyond(info: Any) -> tuple[int, ...]:
    return (0, info.num_frames)


def negative(info: Any) -> tuple[int, ...]:
    return (-1,)


def floats(info: Any) -> list[float]:
    return [0.0]


def refusing(info: Any) -> tuple[int, ...]:
    raise ValueError("two are too many")


def broken(info: Any) -> tuple[int, ...]:
    return (1 // 0,)


@pytest.fixture(scope="module")
def benchmark(composed: ComposedConfig) -> Benchmark:
    return Benchmark.read(composed, StageClock())


def test_a_part_of_a_benchmark(benchmark: Benchmark) -> None:
    ids = [sample.id for sample in benchmark.samples]
    part = benchmark.part([ids[4], ids[1]])
    assert [sample.id for sample in part.samples] == [ids[1], ids[4]]
    with pytest.raises(RowsError, match=r"^demo/multiple_choice: no sample 'x'$"):
        benchmark.part([ids[0], "x"])
    with pytest.raises(RowsError, match=r"^demo/multiple_choice: no sample 'a', nor 2 others$"):
        benchmark.part(["x", "b", "a"])


def test_what_stands_beside_a_benchmarks_name(
    benchmark: Benchmark, composed: ComposedConfig
) -> None:
    assert benchmark.label == "demo/multiple_choice (limit=9, num_frames=2)"
    whole = changed(composed, benchmark={"limit": None})
    fewer = dataclasses.replace(benchmark, composed=whole)
    assert fewer.label.endswith("rows=9 of 270)")
    known = changed(composed, benchmark={"limit": None, "num_rows": 9})
    assert "rows" not in dataclasses.replace(benchmark, composed=known).label
    for key, num_rows, beside in (
        ("split", 270, "split=x"),
        ("subset", 8, "subset=x"),  # EgoSchema's GENERATION: 5031 of 500
        ("subset", 270, "subset=x, rows=9 of 270"),
        ("probe", 8, "probe=x, rows=9 of 8"),
    ):
        other = dataclasses.replace(
            changed(composed, benchmark={"limit": None, "num_rows": num_rows}),
            benchmark_overrides={key: "x"},
        )
        assert dataclasses.replace(benchmark, composed=other).label == (
            f"demo/multiple_choice ({beside})"
        )
    ids = [sample.id for sample in benchmark.samples]
    assert benchmark.part(ids).label == benchmark.label
    assert benchmark.part(ids[:2]).label.endswith("samples=2 of 9)")


def test_published_numbers_do_not_stand_beside_another_split_s(
    benchmark: Benchmark, composed: ComposedConfig
) -> None:
    published = [PublishedConfig("accuracy", 53.5, "a paper")]
    experiment = changed(composed, published=published)
    own = dataclasses.replace(benchmark, composed=experiment).summary([], "m", None)
    assert [item.published.value for item in own.published] == [53.5]
    other = dataclasses.replace(experiment, benchmark_overrides={"split": "validation"})
    summary = dataclasses.replace(benchmark, composed=other).summary([], "m", None)
    assert not summary.published
    assert "of the protocol's own split" in summary.notes[-1]
    choices = {**experiment.choices, "experiment": "llava_onevision_7b_mvbench"}
    other = dataclasses.replace(experiment, choices=choices)  # experiment=... benchmark=demo/...
    summary = dataclasses.replace(benchmark, composed=other).summary([], "m", None)
    assert not summary.published
    assert "published numbers are of mvbench/lmms_eval" in summary.notes[-1]
    family = dataclasses.replace(other, choices={**choices, "benchmark": "mvbench/official"})
    summary = dataclasses.replace(benchmark, composed=family).summary([], "m", None)
    assert [item.published.value for item in summary.published] == [53.5]
    bare = dataclasses.replace(composed, benchmark_overrides={"split": "validation"})
    assert dataclasses.replace(benchmark, composed=bare).summary([], "m", None).notes == ()


def test_letters_are_kept_where_letters_are_asked_for(composed: ComposedConfig) -> None:
    kept = changed(composed, runner={"keep_choice_logprobs": True})
    assert Benchmark.read(kept, StageClock()).parts.prompts.keeps_choice_logprobs
    node = {
        "_target_": "llava_eval.benchmarks.adapters.open_ended",
        "id": "{question_id}",
        "group": "{videoID}",
        "media": ["{videoID}.mp4"],
        "question": "{question}",
        "answers": "answer",
        "prompt": "{question}",
    }
    asked = dataclasses.replace(kept.config.benchmark, adapter=node)
    with pytest.raises(ConfigError, match="asks nothing with options whose letter is generated"):
        Benchmark.read(changed(kept, benchmark=asked), StageClock())
    node = {**kept.config.benchmark.adapter, "_target_": f"{__name__}.by_likelihood"}
    with pytest.raises(ConfigError, match="asks nothing with options whose letter is generated"):
        Benchmark.read(changed(kept, benchmark={"adapter": node}), StageClock())


def by_likelihood(row: Row, **node: Any) -> Sample:
    return dataclasses.replace(multiple_choice(row, **node), options=("a star", "a ball"))


class Letters:
    """Answers A, but fails once it has answered so many."""

    def __init__(self, fails_after: int = 99) -> None:
        self.asked: list[list[str]] = []
        self.num_left = fails_after

    def prepare(self, kind: MediaKind, clip: Clip) -> tuple[int, ...]:
        return clip.frame_indices

    def generate(self, requests: Sequence[Request]) -> Iterator[Generation]:
        self.asked.append([request.id for request in requests])
        for _ in requests:
            if not self.num_left:
                raise KeyboardInterrupt
            self.num_left -= 1
            yield Generation("A", 7, 2, "eos")


class OtherLetters(Letters):
    """Another model."""


class FirstOnly(Watch):
    """Asks the last samples first, and ends after so many results."""

    def __init__(self, num_results: int) -> None:
        self.num_left = num_results
        self.begun: list[Any] = []

    def begin(
        self, samples: Sequence[Sample], config: Mapping[str, Any], scorer: object, label: str
    ) -> None:
        self.begun.append((len(samples), label))

    def order(self, samples: Sequence[Sample]) -> list[Sample]:
        return list(samples)[::-1]

    def add(self, result: SampleResult) -> None:
        self.num_left -= 1

    @property
    def is_done(self) -> bool:
        return self.num_left <= 0


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


@pytest.fixture(scope="module")
def whole(composed: ComposedConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run in one go."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = run(changed(composed, output_dir=str(folder)), model=Letters())
    assert (outcome.exit_code, outcome.directory) == (0, folder)
    return folder


def test_what_the_manifest_says(whole: Path) -> None:
    manifest = manifest_of(whole)
    assert manifest["status"] == "finished"
    assert manifest["benchmark"] == "demo/multiple_choice (limit=9, num_frames=2)"
    assert manifest["identity"]["num_samples"] == 9
    packages = {"llava_eval", "torch", "torchvision", "transformers", "tokenizers", "av"}
    assert set(manifest["identity"]["versions"]) == packages
    assert manifest["choices"]["benchmark"] == "demo/multiple_choice"
    assert manifest["conversation"] == manifest["config"]["conversation"]
    assert list(manifest["code"]) == []
    (session,) = manifest["sessions"]
    assert session["num_generated"] == 9
    assert session["num_output_tokens"] == 18
    assert set(session["stage_seconds"]) >= {"load_rows", "load_model", "prepare", "decode_wait"}


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_stopped(
    composed: ComposedConfig, whole: Path, tmp_path: Path
) -> None:
    named = changed(composed, output_dir=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        run(named, model=Letters(fails_after=4))
    before = read_lines(tmp_path / "samples.jsonl")
    assert manifest_of(tmp_path)["status"] == "interrupted"
    model = Letters()
    assert run(named, model=model).exit_code == 0
    ids = [line["id"] for line in read_lines(whole / "samples.jsonl")]
    assert len(before) >= 3, "the first batch was written as soon as it was there"
    assert [line["id"] for line in before] == ids[: len(before)]
    assert [name for names in model.asked for name in names] == ids[len(before) :]
    assert (tmp_path / "samples.jsonl").read_bytes() == (whole / "samples.jsonl").read_bytes()
    assert (tmp_path / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    sessions = manifest_of(tmp_path)["sessions"]
    assert [session["num_generated"] for session in sessions] == [len(before), 9 - len(before)]
    assert all(session["generating_seconds"] > 0 for session in sessions)
    again = Letters()
    assert run(named, model=again).exit_code == 0
    assert again.asked == []
    assert len(manifest_of(tmp_path)["sessions"]) == 3
    with pytest.raises(RunDirectoryError):
        run(named, model=OtherLetters())


@pytest.mark.slow
def test_a_run_is_not_continued_with_another_question_of_the_same_id(
    composed: ComposedConfig, demo: Path, tmp_path: Path
) -> None:
    rows = read_lines(demo / "multiple_choice.jsonl")[:2]
    named = changed(
        composed,
        benchmark={"source": str(tmp_path / "rows.jsonl"), "media_root": str(demo / "videos")},
        output_dir=str(tmp_path / "run"),
    )
    write_lines(tmp_path / "rows.jsonl", rows)
    run(named, model=Letters())
    with pytest.raises(RunDirectoryError, match="resume=false"):
        run(changed(named, resume=False), model=Letters())
    write_lines(tmp_path / "rows.jsonl", [rows[0], {**rows[1], "question": "Which is it?"}])
    with pytest.raises(RunDirectoryError, match="samples was"):
        run(named, model=Letters())


@pytest.mark.slow
def test_a_run_goes_on_with_media_that_lie_elsewhere(
    composed: ComposedConfig, demo: Path, tmp_path: Path
) -> None:
    """Questions about another video of the same name are asked anew, however old its file is."""

    def place(name: str, **others: str) -> ComposedConfig:
        (tmp_path / name).mkdir()
        for number in range(1, 10):
            video = f"demo_{number:03}"
            path = tmp_path / name / f"{video}.mp4"
            shutil.copyfile(demo / "videos" / f"{others.get(video, video)}.mp4", path)
        media = {"media_root": str(tmp_path / name)}
        return changed(composed, benchmark=media, output_dir=str(tmp_path / "run"))

    # All files are older than the run.
    one, same, other = place("one"), place("same"), place("other", demo_002="demo_007")
    run(one, model=Letters())
    ids = [
        line["id"]
        for line in read_lines(tmp_path / "run" / "samples.jsonl")
        if line["group"] == "demo_002"
    ]
    model = Letters()
    run(same, model=model)
    assert model.asked == []
    with pytest.raises(KeyboardInterrupt):
        run(other, model=Letters(fails_after=0))
    left = [line["id"] for line in read_lines(tmp_path / "run" / "samples.jsonl")]
    assert len(left) == 9 - len(ids)
    assert not set(left) & set(ids)
    run(other, model=model)
    assert [name for names in model.asked for name in names] == ids != []


def test_media_none_of_which_are_there_end_a_run_before_a_model_is_loaded(
    composed: ComposedConfig, tmp_path: Path
) -> None:
    out, nowhere = tmp_path / "out", str(tmp_path / "nowhere")
    model = Letters()
    with pytest.raises(ConfigError, match=nowhere):
        run(changed(composed, benchmark={"media_root": nowhere}, output_dir=str(out)), model=model)
    assert model.asked == []
    assert not (out / "manifest.json").exists(), "there is nothing to go on with"


@pytest.mark.slow
def test_a_watch_sees_each_result_and_may_end_the_run(
    composed: ComposedConfig, whole: Path, tmp_path: Path
) -> None:
    watch, model = FirstOnly(2), Letters()
    outcome = run(changed(composed, output_dir=str(tmp_path)), watch=watch, model=model)
    assert watch.begun == [(9, "demo/multiple_choice (limit=9, num_frames=2)")]
    assert outcome.summary.num_samples == 2
    assert manifest_of(tmp_path)["status"] == "stopped"
    lines = read_lines(tmp_path / "samples.jsonl")
    last = read_lines(whole / "samples.jsonl")[-2:]
    assert sorted(lines, key=str) == sorted(last, key=str)
    # it knows at once, from what is there
    model = Letters()
    run(changed(composed, output_dir=str(tmp_path)), watch=FirstOnly(1), model=model)
    assert model.asked == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "label"), [("mine", "mine (class=Letters)"), (None, "Letters")])
def test_the_class_of_a_model_stands_beside_another_name(name: str | None, label: str) -> None:
    own = [
        "model=own",
        f"model._target_={__name__}.Letters",
        *([f"model.name={name}"] * bool(name)),
    ]
    settings = ["benchmark=demo/multiple_choice", "benchmark.limit=1", *own]
    with open_work(compose_config(settings)) as work:
        assert work.model_label == label


class ShownImages(Letters):
    """Says how it is shown videos, as served models do."""

    def identity(self) -> dict[str, str]:
        return {"video_as": "images"}


def test_how_videos_are_shown_stands_beside_a_name_where_there_are_any(
    composed: ComposedConfig,
) -> None:
    for probe, label in ((None, "demo (video_as=images)"), ("blind", "demo")):
        asked = changed(composed, benchmark={"probe": probe})
        with open_work(asked, model=ShownImages()) as work:
            assert work.model_label == label


@pytest.mark.slow
def test_some_samples_alone(composed: ComposedConfig, whole: Path, tmp_path: Path) -> None:
    lines = read_lines(whole / "samples.jsonl")
    named = changed(composed, output_dir=str(tmp_path))
    run(named, only=[lines[7]["id"], lines[2]["id"]], model=Letters())
    assert read_lines(tmp_path / "samples.jsonl") == [lines[2], lines[7]]


def test_texts_of_a_run_are_scored_again(
    composed: ComposedConfig, whole: Path, tmp_path: Path
) -> None:
    texts = whole / "samples.jsonl"
    outcome = score(changed(composed, output_dir=str(tmp_path)), texts)
    assert outcome.summary.metrics == score_of(whole)
    given = GivenTexts.read(composed, texts, StageClock())
    assert [result.generation.text for result in given.results] == ["A"] * 9
    assert set(given.config) == {"benchmark", "scorer"}
    assert given.identity()["benchmark"] == "demo/multiple_choice"
    assert manifest_of(tmp_path)["generations"]["path"] == str(texts)
    assert outcome.summary.model == manifest_of(whole)["model_label"]
    named = score(changed(composed, output_dir=str(tmp_path)), texts, model_name="mine")
    assert named.summary.model == "mine"
    manifest = manifest_of(tmp_path)
    assert manifest["generations"]["model_label"] == "mine"
    assert manifest["model"] == manifest_of(whole)["model"]
    assert manifest["code"] == {}


@pytest.mark.slow
def test_other_texts_are_not_scored_into_the_same_directory(
    composed: ComposedConfig, benchmark: Benchmark, tmp_path: Path
) -> None:
    named = changed(composed, output_dir=str(tmp_path / "run"))
    lines = [{"id": sample.id, "text": "A"} for sample in benchmark.samples]
    for _ in range(2):
        score(named, write_lines(tmp_path / "texts.jsonl", lines))
    for changes, key in (({"text": "B"}, "generations"), ({}, "samples")):
        texts = write_lines(tmp_path / "texts.jsonl", [*lines[:8], {**lines[8], **changes}])
        other = named if changes else changed(named, benchmark={"probe": "blind"})
        with pytest.raises(RunDirectoryError, match=f"{key} was"):
            score(other, texts)


def test_scored_texts_keep_who_judged_them(composed: ComposedConfig) -> None:
    judge = {"model": "j", "base_url": "http://127.0.0.1:9/v1"}
    mine = changed(composed, scorer={"_target_": f"{__name__}.PlainPrompts"}, judge=judge)
    benchmark = Benchmark.read(mine, StageClock())
    assert benchmark.label == "demo/multiple_choice (limit=9, num_frames=2, judge=j)"
    given = GivenTexts(benchmark, Path("texts"), Manifest(), [])
    assert set(given.config) == {"benchmark", "scorer", "judge"}


def test_published_verdicts_are_told_before_other_notes(benchmark: Benchmark) -> None:
    sample = benchmark.samples[0]
    generation = Generation(sample.targets[0], published_correct=True)
    scored = benchmark.evaluation.scored(SampleResult.of(sample, generation))
    notes = benchmark.summary([scored], "m", None, ["another"]).notes
    assert notes == ("our scores agree with 1 of 1 published verdicts", "another")


def score_of(folder: Path) -> Any:
    from llava_eval.results.tables import read_tables

    return read_tables(folder).metrics


def test_prompts_and_settings_of_a_run(composed: ComposedConfig) -> None:
    config: RunConfig = composed.config
    generation = config.benchmark.generation
    assert not PromptSettings.of(config).keeps_choice_logprobs
    asked = dataclasses.replace(
        generation, max_new_tokens=3, temperature=0.5, top_p=0.9, stop_strings=["end"]
    )
    of_protocol = {"system": "Be brief.", "assistant_prefill": "It is (", "probe": "reversed"}
    settings = PromptSettings.of(
        changed(composed, benchmark={"generation": asked, **of_protocol}, seed=7).config
    )
    assert settings.generation == GenerationSettings(3, 0.5, 0.9, ("end",), 7)
    assert (settings.system, settings.assistant_prefill) == ("Be brief.", "It is (")
    video = VideoInfo("v.mp4", 101, fps=10.0, seconds=10.1, width=8, height=8, codec="h264")
    assert list(settings.sampler(video)) == [100, 0]  # two frames, the last one first
    wrong = dataclasses.replace(generation, temperature=-1.0)
    with pytest.raises(ConfigError, match=r"^benchmark\.generation: "):
        PromptSettings.of(changed(composed, benchmark={"generation": wrong}).config)
    assert isinstance(config.model, ModelConfig)


class Remembering:
    """A tracker that keeps what it is given."""

    runs: list[Any] = []  # noqa: RUF012 - of all that are made

    def track(self, run: Any) -> None:
        self.runs.append(run)


@pytest.mark.slow
def test_a_tracker_gets_each_run_at_its_end(composed: ComposedConfig, tmp_path: Path) -> None:
    node = {"_target_": f"{__name__}.Remembering"}
    tracked = changed(composed, tracker=node, output_dir=str(tmp_path / "run"))
    assert run(tracked, model=Letters()).exit_code == 0
    scored = changed(composed, tracker=node, output_dir=str(tmp_path / "scored"))
    score(scored, tmp_path / "run" / "samples.jsonl")
    assert [len(tracked.results) for tracked in Remembering.runs] == [9, 9]


@pytest.mark.slow
def test_runs_without_a_name_are_named_by_the_time_and_found_again(
    composed: ComposedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run(composed, model=Letters()).directory
    assert first.parts[:2] == ("results", "runs")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", first.name)
    with pytest.raises(KeyboardInterrupt):
        run(composed, model=Letters(fails_after=4))
    (second,) = (path for path in first.parent.iterdir() if path.name != first.name)
    again = run(changed(composed, resume=True), model=Letters())
    assert again.directory == second
    assert manifest_of(second)["status"] == "finished"
    third = run(changed(composed, resume=True), model=Letters()).directory
    assert third not in (first, second), "there is no unfinished one"
    fourth = score(composed, third / "samples.jsonl").directory
    assert "scored" in fourth.parts


ANSWERS = "llava_eval.results.exchange.submission"


@pytest.mark.parametrize(
    ("node", "scorer", "message"),
    [
        slow({"_target_": f"{ANSWERS}.answers_by_id", "form": "index"}, "StrictChoice", None),
        ({"_target_": f"{ANSWERS}.choice_sheet", "letters": "ABCD"}, "StrictChoice", None),
        (
            {"_target_": f"{ANSWERS}.answers_by_id", "form": "index"},
            "exact_match",
            r"submission does not fit the scorer: of 'A' it reads 'a', and the file cannot",
        ),
    ],
)
def test_files_of_answers_that_a_scorer_can_fill(
    node: dict[str, str], scorer: str, message: str | None, composed: ComposedConfig
) -> None:
    submitted = changed(composed, benchmark={"submission": node})
    if scorer == "exact_match":
        submitted = changed(submitted, scorer=compose_config(["scorer=exact_match"]).config.scorer)
    if message is None:
        assert Parts.build(submitted.config).submission is not None
        return
    with pytest.raises(ConfigError, match=message):
        Parts.build(submitted.config)


def by_duration(results: Sequence[SampleResult]) -> list[dict[str, str]]:
    return [{"id": result.id, "duration": result.facets["duration"]} for result in results]


def test_files_of_answers_of_ones_own_are_tried(composed: ComposedConfig) -> None:
    times = {"_target_": "llava_eval.scoring.spans.SpanOverlap", "rule": "timelens_official"}
    for scorer in (composed.config.scorer, times):  # "A" is no time
        node = {"_target_": f"{__name__}.by_duration"}
        mine = changed(composed, benchmark={"submission": node}, scorer=scorer)
        assert Parts.build(mine.config).submission is not None


def numbers_of_numpy(results: Sequence[SampleResult]) -> dict[str, Any]:
    return {result.id: np.int64(result.row) for result in results}


def not_numbers(results: Sequence[SampleResult]) -> dict[str, float]:
    return {result.id: math.nan for result in results}


def no_number_for_nothing(results: Sequence[SampleResult]) -> dict[str, int]:
    return {result.id: 1 // len(result.generation.text or "") for result in results}


def numpy_at_the_end(results: Sequence[SampleResult]) -> dict[str, Any]:
    return numbers_of_numpy(results if len(results) > 1 else [])


def test_a_file_of_answers_that_json_does_not_hold_is_told_in_one_line(
    composed: ComposedConfig, tmp_path: Path
) -> None:
    def submitting(maker: Callable[..., Any]) -> ComposedConfig:
        node = {"_target_": f"{__name__}.{maker.__name__}"}
        return changed(composed, benchmark={"submission": node}, output_dir=str(tmp_path))

    with pytest.raises(ConfigError, match=r"the file cannot hold that \(Object of type int64"):
        Parts.build(submitting(numbers_of_numpy).config)
    with pytest.raises(ConfigError, match=r"the file cannot hold that \(Out of range float"):
        Parts.build(submitting(not_numbers).config)
    with pytest.raises(ConfigError, match=r"scorer: of '' it reads .* \((integer )?division"):
        Parts.build(submitting(no_number_for_nothing).config)
    with pytest.raises(ConfigError, match=r"benchmark\.submission gave what JSON does not hold"):
        run(submitting(numpy_at_the_end), model=Letters())


class PlainPrompts(JudgedScorer):
    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Any]:
        return [f"Is {text} right?" for text in texts]

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        return [Score(1.0, text) for text in texts]


def test_a_judged_scorer_of_ones_own_is_tried_before_the_model_is_asked(
    composed: ComposedConfig, tmp_path: Path
) -> None:
    judge = {"model": "j", "base_url": "http://127.0.0.1:9/v1"}
    scorer = {"_target_": f"{__name__}.PlainPrompts"}
    mine = changed(composed, scorer=scorer, judge=judge, output_dir=str(tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"PlainPrompts made the prompt 'Is A right\?'"):
        run(mine, model=Letters())
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_metric_of_ones_own_without_a_finite_value_is_told_so(
    composed: ComposedConfig, tmp_path: Path
) -> None:
    node = {"_target_": f"{__name__}.not_finite"}
    mine = changed(composed, benchmark={"metrics": {"m": node}}, output_dir=str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"metrics\.m gave a MetricValue with value=nan; expected"
    ):
        run(mine, model=Letters())
    assert len(read_lines(tmp_path / "samples.jsonl")) == 9


@pytest.mark.slow
def test_a_file_of_answers_is_written(composed: ComposedConfig, tmp_path: Path) -> None:
    node = {"_target_": f"{ANSWERS}.answers_by_id", "form": "index"}
    submitted = changed(composed, benchmark={"submission": node}, output_dir=str(tmp_path))
    run(submitted, model=Letters())
    ids = [line["id"] for line in read_lines(tmp_path / "samples.jsonl")]
    (path,) = tmp_path.glob("submission*")
    assert json.loads(path.read_text()) == dict.fromkeys(ids, 0)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["sampler.num_frames=4", "probe=blind"])
def test_scored_texts_carry_how_they_were_asked_for(setting: str, tmp_path: Path) -> None:
    run, scored, same = (tmp_path / name for name in ("run", "scored", "same"))
    texts, few = f"generations={run}/samples.jsonl", "benchmark.limit=2"
    assert run_command(["-q", few, setting, f"output_dir={run}"]) == 0
    assert run_command(["score", texts, few, f"output_dir={scored}"]) == 0
    assert run_command(["score", texts, few, setting, f"output_dir={same}"]) == 0
    short = setting.rpartition(".")[2]
    note = f"the texts were generated with {short}"
    assert json.loads((scored / "metrics.json").read_text())["notes"] == [note]
    content = json.loads((same / "metrics.json").read_text())
    assert content["benchmark"] == f"demo/multiple_choice (limit=2, {short})"
    assert not content.get("notes")
    again = tmp_path / "again"
    texts = f"generations={scored}/samples.jsonl"
    assert run_command(["score", texts, few, f"output_dir={again}"]) == 0
    content = json.loads((again / "metrics.json").read_text())
    assert (content["model"], content["notes"]) == ("demo", [note])


def test_another_sampler_of_scored_texts_is_called_so(composed: ComposedConfig) -> None:
    sampler = "llava_eval.video.samplers.interior_points"
    asked = {**identity_of(composed.resolved), "sampler._target_": sampler}
    source = Manifest(content={"generations": {"asked": asked}})
    given = GivenTexts(Benchmark.read(composed, StageClock()), Path("texts"), source, [])
    assert given.notes == [f"the texts were generated with sampler={sampler}"]


@pytest.mark.slow
def test_scored_texts_keep_how_many_may_fail() -> None:
    benchmark = Benchmark.read(compose_config(["errors.max=2"]), StageClock())
    given = GivenTexts(benchmark, Path("texts"), Manifest(), [])
    assert given.config["errors"] == {"max": 2}


def test_a_sampler_and_a_model_of_ones_own_count_by_their_code(
    composed: ComposedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "def first(info, num_frames):\n    return range(num_frames)\n"
    (tmp_path / "own_sampler.py").write_text(f"import math\n\n{source}")
    config = changed(composed, sampler={"_target_": "own_sampler.first", "num_frames": 2}).config
    expected = hashlib.sha256(json.dumps(source).encode()).hexdigest()
    assert _own_code(config) == {"code": {"sampler": expected}}
    source = "class Mine:\n    pass\n"
    (tmp_path / "own_model.py").write_text(f"import math\n\n{source}")
    config = changed(composed, model={"_target_": "own_model.Mine"}).config
    expected = hashlib.sha256(json.dumps(source).encode()).hexdigest()
    assert _own_code(config) == {"code": {"model": expected}}
    for target in ("__main__.Model", "nowhere.Model"):  # of a notebook; of what is gone
        named = changed(composed, model={"_target_": target}).config
        assert _own_code(named) == _own_code(composed.config) == {}


def test_a_scorer_and_metrics_of_ones_own_are_told_by_their_code(
    composed: ComposedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "def mine(results):\n    return None\n"
    (tmp_path / "own_metric.py").write_text(source)
    metrics = {"own": {"_target_": "own_metric.mine"}, **composed.config.benchmark.metrics}
    config = changed(composed, benchmark={"metrics": metrics}).config
    expected = hashlib.sha256(json.dumps(source).encode()).hexdigest()
    assert _own_scoring(config) == {"metrics.own": expected}
    scorer = {"_target_": f"{__name__}.how_many"}
    assert list(_own_scoring(changed(composed, scorer=scorer).config)) == ["scorer"]
    made = (
        "import collections, numpy\nadd = numpy.add\nPair = collections.namedtuple('Pair', 'a')\n"
    )
    (tmp_path / "no_source.py").write_text(made)
    for target in ("no_source.add", "no_source.Pair"):  # of C; of no class statement
        assert _own_scoring(changed(composed, scorer={"_target_": target}).config) == {}


@pytest.mark.slow
def test_a_run_is_not_continued_with_another_sampler_of_the_same_name(
    composed: ComposedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "def first(info, num_frames):\n    return range(num_frames)\n"
    (tmp_path / "edited_sampler.py").write_text(source)
    node = {"_target_": "edited_sampler.first", "num_frames": 2}
    metrics = {"m": {"_target_": f"{__name__}.of_a_level", "facet": "none of ours"}}
    named = changed(
        composed, sampler=node, benchmark={"metrics": metrics}, output_dir=str(tmp_path / "run")
    )
    run(named, only=["001-1"], model=Letters())
    assert set(manifest_of(tmp_path / "run")["code"]) == {"sampler", "metrics.m"}
    (tmp_path / "edited_sampler.py").write_text(source.replace("range(num", "range(1, num"))
    with pytest.raises(RunDirectoryError, match=r"code\.sampler was "):
        run(named, only=["001-1"], model=Letters())
