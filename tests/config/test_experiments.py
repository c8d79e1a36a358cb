"""Experiments of the table: what they choose, how exact their numbers are, who wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from llava_eval.config.compose import compose_config
from llava_eval.config.experiments import half_step, published_experiments
from llava_eval.errors import ConfigError


@pytest.mark.parametrize(
    ("printed", "expected"), [("26.90", 0.005), ("53.5", 0.05), ("54", 0.5), ("0.1234", 0.00005)]
)
def test_half_of_the_last_printed_digit(printed: str, expected: float) -> None:
    assert half_step(printed) == expected


@pytest.mark.parametrize(
    ("name", "metric", "value"),
    [
        ("llava_next_video_7b_nextqa_oe", "WUPS@All", 26.90),
        ("llava_next_video_7b_video_chatgpt", "temporal", 2.60),
        ("llava_next_video_34b_dpo_nextqa_oe", "WUPS@All", 27.30),
        ("lmms_eval_v0_2_egoschema", "accuracy", 50.60),
        ("lmms_eval_v0_2_video_detail_description", "score", 3.50),
    ],
)
def test_a_printed_zero_at_the_end_counts(name: str, metric: str, value: float) -> None:
    numbers = published_experiments()[name]["published"]
    [number] = [number for number in numbers if number["metric"] == metric]
    assert (number["value"], number["half_step"]) == (value, 0.005)


@pytest.mark.slow
def test_the_parts_of_an_experiment() -> None:
    composed = compose_config(["experiment=llava_next_video_34b_videomme_subtitles"])
    assert {
        group: composed.choices[group] for group in ("benchmark", "model", "recipe", "conversation")
    } == {
        "benchmark": "videomme/official_subtitles",
        "model": "llava_next_video_34b",
        "recipe": "llava_next_video_34b",
        "conversation": "mistral_direct",
    }
    assert composed.config.model.dtype == "float16"
    numbers = [(one.facet, one.level, one.value) for one in composed.config.published]
    assert numbers == [
        (None, None, 54.9),
        ("duration", "short", 65.1),
        ("duration", "medium", 52.2),
        ("duration", "long", 47.2),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["nextqa_oe", "video_detail_description"])
def test_tasks_without_a_temperature_are_sampled_as_the_wrapper_did(task: str) -> None:
    composed = compose_config([f"experiment=lmms_eval_v0_2_{task}"])
    assert composed.config.benchmark.generation.temperature == 0.2
    assert composed.benchmark_overrides["temperature"] == 0.2


@pytest.mark.slow
def test_the_command_line_wins_over_an_experiment() -> None:
    composed = compose_config(
        [
            "experiment=llava_next_video_7b_nextqa_oe",
            "sampler.num_frames=8",
            "conversation=chat_template",
        ]
    )
    assert composed.config.sampler["num_frames"] == 8
    assert composed.config.conversation.name == "chat_template"


@pytest.mark.slow
def test_experiments_of_the_users_own(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    text = "# @package _global_\ndefaults:\n  - override /benchmark: demo/open_ended\nseed: 7\n"
    for name in ("llava_next_video_7b_nextqa_oe", "mine"):
        (folder / f"{name}.yaml").write_text(text)
    composed = compose_config(["experiment=mine"], tmp_path)
    assert (composed.config.benchmark.name, composed.config.seed) == ("demo/open_ended", 7)
    with pytest.raises(ConfigError, match="is the package's; rename the file"):
        compose_config(["experiment=llava_next_video_7b_nextqa_oe"], tmp_path)
