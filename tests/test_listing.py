"""``llava-eval list``."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llava_eval.commands import COMMANDS
from llava_eval.config.catalogue import KINDS, _media, listing_text
from llava_eval.config.choices import list_choices
from llava_eval.config.completion import completion_script
from llava_eval.config.compose import compose_config
from llava_eval.errors import ConfigError
from tests.conftest import slow


@functools.cache
def listed(kind: str | None) -> str:
    """Return what is listed of the package's own choices."""
    return listing_text(kind)


@functools.cache
def listed_json() -> Any:
    return json.loads(listing_text(None, as_json=True))


def entry(text: str, name: str) -> str:
    """Return what is listed of one benchmark, on one line."""
    lines = text.split("\n")
    start = lines.index(f"  {name}")
    rest = lines[start + 1 :]
    end = next((number for number, line in enumerate(rest) if not line.startswith("    ")), None)
    return " ".join(line.strip() for line in rest[:end])


@pytest.mark.slow
def test_every_benchmark_is_there_in_80_columns() -> None:
    text = listed("benchmarks")
    assert max(map(len, text.splitlines())) <= 80
    for name in list_choices("benchmark"):
        assert f"  {name}\n" in text
        assert "questions:" in entry(text, name)
        assert "licence:" in entry(text, name), name


@pytest.mark.slow
def test_what_one_must_know_before_choosing() -> None:
    text = listed("benchmarks")
    assert text.count('"not verified": ') == 1
    found = entry(text, "activitynet_qa/lmms_eval_v0_2")
    assert "questions: 8000" in found
    assert "published: accuracy 52.72 (experiment=lmms_eval_v0_2_activitynet_qa)" in found
    assert "access:" in found
    assert "rows: hub://lmms-lab/ActivityNetQA" in found
    assert "by hand:" in entry(text, "tgif_qa/video_chatgpt")
    assert "published" not in entry(text, "demo/caption")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("egoschema/mc_ppl", ["' ' before options", "replies as they are"]),
        ("pope/llava", ["images as stored", "at most 128 tokens; greedy", "replies stripped"]),
        ("coco_karpathy/lmms_eval", ["images as stored", "reasoning cut out as lmms-eval does"]),
        ("chartqa/lmms_eval", ["images turned by EXIF"]),
        ("videomme/lmms_eval_v0_2", ["each_frame_once, a shorter clip shows each once"]),
        ("videomme/official", ["linspace_to_last_frame, a shorter clip repeats frames"]),
        ("nextqa_oe/llava_next", ["temperature 0.2; no generation settings of the checkpoint"]),
        ("mmvet/lmms_eval", ["at most 1024 tokens; temperature 0.2"]),
        ("mmvu/lmms_eval", ["at most 1024 tokens; temperature 0.7"]),
    ],
)
def test_what_a_protocol_does_around_model_and_scorer(name: str, parts: list[str]) -> None:
    found = entry(listed("benchmarks"), name)
    assert [part for part in parts if part not in found] == []


@pytest.mark.slow
def test_protocols_of_lmms_eval_do_what_it_does_to_every_reply() -> None:
    pipelines = {facts["name"]: facts["pipeline"] for facts in listed_json()["benchmarks"]}
    current = {
        name: pipeline for name, pipeline in pipelines.items() if name.endswith("/lmms_eval")
    }
    assert len(current) >= 25
    expected = {
        "the checkpoint's other generation settings kept",
        "replies stripped",
        "reasoning cut out as lmms-eval does",
    }
    assert [name for name, pipeline in current.items() if expected - set(pipeline)] == []


@pytest.mark.slow
def test_ones_own_benchmark_is_listed(tmp_path: Path) -> None:
    own = tmp_path / "benchmark" / "mine"
    own.mkdir(parents=True)
    (own / "official.yaml").write_text(
        "# @package _global_\ndefaults:\n  - /benchmark/activitynet_qa/_rows\n"
        "benchmark:\n  name: mine/official\n  num_rows: 7\n"
    )
    found = entry(listing_text("benchmarks", tmp_path), "mine/official")
    assert "questions: 7" in found
    assert "hub://lmms-lab/ActivityNetQA" in found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_heading(kind: str) -> None:
    assert listed(kind).startswith(f"{kind} (")
    assert f"{kind} (" in listed(None)


@pytest.mark.parametrize("kind", ["models", "samplers", "scorers"])
def test_what_is_said_of_a_choice_stands_beside_its_name(kind: str) -> None:
    heading, *lines = listed(kind).splitlines()
    assert max(map(len, lines)) <= 80
    told = {item["name"]: item["about"] for item in listed_json()[kind]}
    column = 2 + max(map(len, told)) + 2
    names = [line[:column].strip() for line in lines]
    assert [name for name in names if name] == list(told)
    said = " ".join(line[column:] for line in lines)
    assert said == " ".join(" ".join(text.split()) for text in told.values())
    assert heading == f"{kind} ({kind[:-1]}=...)"


def test_a_model_of_one_s_own_says_what_it_needs() -> None:
    told = {item["name"]: item["about"] for item in listed_json()["models"]}
    assert (told["own"], told["hf"]) == ("model._target_=...", "model.checkpoint=...")


def test_unknown_kind() -> None:
    with pytest.raises(ConfigError, match="did you mean 'models'"):
        listing_text("model")


@pytest.mark.slow
def test_a_part_of_a_name_is_enough() -> None:
    text = listing_text("benchmarks", pattern="MVBench")
    assert [line for line in text.splitlines() if line.startswith("  mv")] == [
        "  mvbench/lmms_eval",
        "  mvbench/official",
    ]
    assert "videomme" not in text
    videos = listing_text("benchmarks", pattern="video")
    assert "  mvbench/official" in videos
    assert "  demo/caption" in videos
    assert "vqav2" not in videos
    assert "  vqav2/official" in listing_text("benchmarks", pattern="image")
    everywhere = listing_text(None, pattern="llava_next_video_7b")
    assert "models (model=...)" in everywhere
    assert "samplers" not in everywhere
    with pytest.raises(ConfigError, match="no name of samplers holds 'nothing'"):
        listing_text("samplers", pattern="nothing")


def test_experiments_say_what_they_reproduce() -> None:
    found = entry(listed("experiments"), "lmms_eval_v0_2_vatex")
    assert found.startswith(
        "benchmark: vatex/lmms_eval model: llava_next_video_7b published: CIDEr 39.28 "
    )
    assert "source: " in found
    temporal = entry(listed("experiments"), "llava_next_video_7b_video_chatgpt")
    assert "temporal 2.60" in temporal, "as printed, not 2.6"
    assert "Score against frames" in entry(listed("experiments"), "demo_curve")


def test_experiments_of_ones_own_may_stand_in_folders(tmp_path: Path) -> None:
    folder = tmp_path / "experiment" / "mine"
    folder.mkdir(parents=True)
    text = "# @package _global_\n# Ours.\ndefaults:\n  - override /benchmark: demo/open_ended\n"
    (folder / "first.yaml").write_text(text)
    found = entry(listing_text("experiments", tmp_path, pattern="mine/"), "mine/first")
    assert found == "Ours benchmark: demo/open_ended"


@pytest.mark.slow
def test_a_number_that_is_not_written_yet_is_told_of_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    chosen = "defaults: [{override /benchmark: demo/open_ended}]"
    file.write_text(f"# @package _global_\n{chosen}\npublished: [{{metric: accuracy}}]\n")
    for kind in ("benchmarks", "experiments"):
        with pytest.raises(ConfigError) as caught:
            listing_text(kind, tmp_path)
        assert str(caught.value).startswith(f"{file} is no experiment (KeyError: 'value')")


def test_a_number_that_is_not_rounded_is_listed_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    number = "{metric: accuracy, value: 57.04, source: a blog, half_step: 0}"
    (tmp_path / "experiment" / "exact.yaml").write_text(f"# Ours.\npublished: [{number}]\n")
    found = entry(listing_text("experiments", tmp_path, pattern="exact"), "exact")
    assert found == "Ours published: accuracy 57.04 source: a blog"


@pytest.mark.slow
def test_json_holds_what_the_text_says() -> None:
    content = listed_json()
    assert tuple(content) == KINDS
    assert [one["name"] for one in content["benchmarks"]] == list_choices("benchmark")
    (one,) = [one for one in content["experiments"] if one["name"] == "lmms_eval_v0_2_vatex"]
    assert one["model"] == "llava_next_video_7b"
    assert all(isinstance(number, str) for number in one["published"])


@pytest.mark.parametrize(
    "content",
    [
        "a: [",
        slow("- 1\n- 2\n"),
        slow("\xff"),
        slow("benchmark: x"),
        slow("benchmark: {generation: 3}"),
    ],
)
def test_a_file_of_ones_own_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mine\.yaml") as caught:
        listing_text("benchmarks", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_size_is_never_offered() -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config(["model=llava_next_video_13b"])
    assert "did you mean" not in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'llava_next_video_7b_dpo'"):
        compose_config(["model=llava_next_video_7b_dop"])


def completed(line: str, folder: Path) -> list[str]:
    """Return what bash would offer for a command line that Tab is pressed in."""
    script = folder / "completion.sh"
    options = {
        name: [word for names, _ in command.arguments for word in names if word.startswith("-")]
        for name, command in COMMANDS.items()
    }
    script.write_text(completion_script("bash", options))
    code = (
        'source "$1"; COMP_LINE="$2"; COMP_POINT=${#2}; COMP_WORDBREAKS=" =:"; _llava_eval; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", code, "bash", str(script), line], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llava-eval ga", ["gate"]),
        ("llava-eval gate RUN --ju", ["--junit"]),
        ("llava-eval benchmark=videomme/o", ["videomme/official", "videomme/official_subtitles"]),
        ("llava-eval --config-dir d run sampler.num", ["sampler.num_frames="]),
        ("llava-eval list exp", ["experiments"]),
        ("llava-eval completion f", ["fish"]),
    ],
)
def test_bash_completes(line: str, expected: list[str], tmp_path: Path) -> None:
    assert completed(line, tmp_path) == expected


def test_every_shell_gets_every_command() -> None:
    for shell in ("bash", "zsh", "fish"):
        text = completion_script(shell, {name: [] for name in COMMANDS})
        assert all(name in text for name in COMMANDS)


def test_names_that_hold_nothing() -> None:
    with pytest.raises(ConfigError, match="no name of models holds 'nothing'"):
        listing_text("models", pattern="nothing")


@pytest.mark.slow
def test_a_sampler_of_ones_own_is_named_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "sampler").mkdir()
    (tmp_path / "sampler" / "mine.yaml").write_text("_target_: no_such_module.mine\n")
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults: [/benchmark/activitynet_qa/_rows, override /sampler: mine]\n"
        "benchmark: {name: mine}\n"
    )
    found = entry(listing_text("benchmarks", tmp_path, pattern="mine"), "mine")
    assert "frames by mine; at most 16 tokens" in found


@pytest.mark.slow
def test_what_a_benchmark_shows() -> None:
    media = {facts["name"]: facts["media"] for facts in listed_json()["benchmarks"]}
    shown = ("videomme/official", "tomato/lmms_eval", "vqav2/official", "mmbench/vlmevalkit")
    assert [media[name] for name in shown] == ["videos", "videos", "images", "images"]


def test_frames_are_of_videos_and_what_samples_none_shows_images(tmp_path: Path) -> None:
    assert _media("videomme/official", {"sampler": {"name": "segment_midpoints"}}, None) == "videos"
    assert _media("vqav2/official", {"sampler": {}}, None) == "images"
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_text("benchmark: {name: mine}\n")
    assert _media("mine", {}, tmp_path) is None, "it may show either"


@pytest.mark.slow
def test_a_sampler_that_is_not_there_is_told_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    file = tmp_path / "benchmark" / "mine.yaml"
    file.write_text("defaults: [override /sampler: linspace_to_last]\n")
    with pytest.raises(ConfigError) as caught:
        listing_text("benchmarks", tmp_path, pattern="mine")
    assert str(caught.value).startswith(
        f"{file} is no benchmark (ValueError: there is no sampler 'linspace_to_last' (did you mean "
        "'linspace_to_last_frame'?)"
    )
