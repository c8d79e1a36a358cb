"""A run and a sample of it shown, asked once more, and audited: with a model of one's own."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llava_eval.benchmarks.frame_images import FrameImages
from llava_eval.cli import run_command
from llava_eval.commands import dry_run as look
from llava_eval.commands import rerun, show
from llava_eval.commands.dry_run import Asked, asked_of, dry_run
from llava_eval.commands.rerun import SWITCHES, Switched
from llava_eval.config.compose import ComposedConfig, compose_config
from llava_eval.engine.batches import media_groups
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.errors import RowsError
from llava_eval.models.clock import StageClock
from llava_eval.results.formatting import duration
from llava_eval.results.runs import RunReader
from llava_eval.run import run
from llava_eval.types import (
    NOT_SCORED,
    Clip,
    Generation,
    Media,
    MediaKind,
    Request,
    Score,
)
from llava_eval.video.cache import CACHE_VARIABLE
from tests.conftest import read_lines
from tests.results.helpers import make_result
from tests.results.runs_on_disk import answered, write_run


class Letter:
    """Answers with one letter, and with another where an audit has emptied the cache."""

    letter = "B"

    def prepare(self, kind: MediaKind, clip: Clip) -> int:
        return len(clip)

    def generate(self, requests: Sequence[Request]) -> Iterator[Generation]:
        is_cold = "llava-eval-audit-" in os.environ[CACHE_VARIABLE]
        for _ in requests:
            yield Generation("D" if is_cold else self.letter, 5, 1, "eos")


WORDS = ("benchmark.limit=6", "sampler.num_frames=2", "runner.batch_size=3", "model=own")


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> ComposedConfig:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return compose_config([*WORDS, f"model._target_={__name__}.Letter", f"output_dir={folder}"])


@pytest.fixture(scope="module")
def made(composed: ComposedConfig) -> Path:
    return run(composed).directory


@pytest.mark.slow
def test_a_look_at_a_run(composed: ComposedConfig, made: Path) -> None:
    lines = dry_run(composed).splitlines()
    first = read_lines(made / "samples.jsonl")[0]
    assert lines[0] == "demo/multiple_choice (limit=6, num_frames=2)"
    assert lines[1] == "model: Letter"
    assert lines[2] == "6 questions on 2 sets of media, in 2 batches of at most 3"
    assert lines[3].startswith("reading all media takes about ")
    assert lines[3].endswith(" with 2 workers, by the first")
    assert lines[4].startswith("how long the model takes is not known")
    assert lines[5:7] == ["", f"first sample: {first['id']}"]
    assert lines[8].startswith("  frames 0, 60 of 61")
    assert "its prompt, which the model puts into its conversation" in lines
    assert [line.strip() for line in lines[-len(first["prompt"].splitlines()) :]] == [
        line.strip() for line in first["prompt"].splitlines()
    ]
    found = dataclasses.replace(composed.config.runner, batch_size=None)
    config = dataclasses.replace(composed.config, runner=found)
    lines = dry_run(dataclasses.replace(composed, config=config)).splitlines()
    assert lines[2] == "6 questions on 2 sets of media, in batches of a size that is found"
    config = dataclasses.replace(config, runner=dataclasses.replace(found, batch_size=8))
    lines = dry_run(dataclasses.replace(composed, config=config)).splitlines()
    assert lines[2] == "6 questions on 2 sets of media, in 1 batch of at most 8"


@pytest.mark.slow
def test_a_sample_as_it_would_be_asked(composed: ComposedConfig, made: Path) -> None:
    sample = RunReader().read(made).results[4]
    benchmark = Benchmark.read(composed, StageClock())
    asked = asked_of(benchmark.part([sample.id]))
    assert asked.prompt == sample.prompt
    assert (asked.tokens, asked.num_tokens) == (None, None)
    (clip,) = asked.media.values()
    assert clip.frame_indices == sample.frame_indices[0]
    with pytest.raises(RowsError):
        benchmark.part(["nothing"])


def test_frames_that_a_prompt_shows_as_images_are_told(composed: ComposedConfig) -> None:
    benchmark = Benchmark.read(composed, StageClock())
    first = benchmark.samples[0]
    images = dataclasses.replace(first, content=(FrameImages(first.media[0]), "Which?"))
    asked = asked_of(dataclasses.replace(benchmark, samples=[images]))
    assert [found.frame_indices for found in asked.media.values()] == [(0, 60)]
    assert asked.lines[1].startswith("  frames 0, 60 of 61")


def clip(**changes: Any) -> Clip:
    frames = torch.zeros((2, 3, 12, 16), dtype=torch.uint8)
    return dataclasses.replace(Clip(frames, (0, 30), (0.0, 1.25), 24.0, 61), **changes)


@pytest.mark.parametrize("folder", ["{home}", "~"])
def test_how_long_the_model_takes_by_an_earlier_run(
    composed: ComposedConfig, tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second a sample, in a run of the same model that is beside the new one."""
    model = {
        "model.checkpoint": composed.resolved["model"]["checkpoint"],
        "model._target_": composed.resolved["model"]["_target_"],
    }
    results = [answered(number, True) for number in range(20)]
    write_run(tmp_path / "old", results, seconds=10.0, config=model)
    write_run(tmp_path / "other", results, seconds=4.0, config={"model.checkpoint": "else"})
    monkeypatch.setenv("HOME", str(tmp_path))
    named = f"{folder.format(home=tmp_path)}/new"
    config = dataclasses.replace(composed.config, output_dir=named)
    (line,) = (
        line
        for line in dry_run(dataclasses.replace(composed, config=config)).splitlines()
        if line.startswith("the model takes about ")
    )
    assert line == (
        f"the model takes about {duration(6 * 0.5)} on one device: 0.5 s a sample in "
        f"{tmp_path / 'old'} (a CPU, 2 cores, another benchmark)"
    )


def test_of_earlier_runs_the_one_most_like_the_new_one_tells_how_long(
    composed: ComposedConfig, tmp_path: Path
) -> None:
    """30 samples at the 15 s that each of four took."""
    ours = composed.resolved
    changed: dict[str, dict[str, Any]] = {
        "a_other": {"benchmark": {"name": "else"}},
        "b_far": {"model": {"dtype": "float16"}, "sampler": {"num_frames": 7}, "seed": 5},
        "c_near": {"model": {"dtype": "float16"}, "sampler": {"num_frames": 7}},
        "d_checkpoint": {"model": {"checkpoint": "else"}},
        "e_class": {"model": {"_target_": "else"}},
    }
    results = [answered(number, True) for number in range(4)]
    for number, (name, changes) in enumerate(changed.items(), start=1):
        parts = {
            key: {**ours[key], **new} if isinstance(new, dict) else new
            for key, new in changes.items()
        }
        facts = {"config": {**ours, **parts}}
        write_run(tmp_path / name, results, seconds=20.0 * number, manifest=facts)
    write_run(tmp_path / "f_untimed", results, manifest={"config": ours, "sessions": []})
    (tmp_path / "g_damaged").mkdir()
    (tmp_path / "g_damaged" / "manifest.json").write_text("{")
    config = dataclasses.replace(composed.config, output_dir=str(tmp_path / "new"))
    new_run = dataclasses.replace(composed, config=config)
    said = "the model takes about 7.5 min on one device: 15 s a sample in"
    assert look._model_time(new_run, 30) == (
        f"{said} {tmp_path / 'c_near'} (a CPU, 2 cores, other dtype, num_frames)"
    )
    write_run(tmp_path / "h_same", results, seconds=60.0, manifest={"config": ours})
    assert look._model_time(new_run, 30) == f"{said} {tmp_path / 'h_same'} (a CPU, 2 cores)"


def test_how_long_all_media_take_is_told_by_the_first(
    composed: ComposedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two videos, of which the first takes 60 s by a clock: 120 s, by four workers at once."""
    runner = dataclasses.replace(composed.config.runner, decode_workers=4)
    config = dataclasses.replace(composed.config, runner=runner)
    benchmark = Benchmark.read(dataclasses.replace(composed, config=config), StageClock())
    seconds = iter([0.0, 60.0])
    monkeypatch.setattr(look, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    groups = media_groups(benchmark.samples)
    said = look._decoding_time(groups, benchmark)
    assert said == "reading all media takes about 30 s with 4 workers, by the first"


ASKED = Asked({Media("video", "v.mp4"): clip()}, "USER: Why?", ["<s>", "<v>", "<v>", "Why", "?"])


def shown(asked: Asked | None = ASKED, reason: str = "", **changes: Any) -> list[str]:
    return show._text(make_result(4, **changes), [], asked, reason).splitlines()


def test_a_sample_in_words() -> None:
    lines = shown(generation=Generation("B", 5, 2, "eos"))
    assert lines[0] == "sample q4, row 4, group video 1 (duration long)"
    assert "its tokens: <s> <v> x 2 Why ?" in lines
    start = lines.index("the model wrote")
    assert lines[start : start + 3] == ["the model wrote", "  B", "  (2 tokens, ended by eos)"]
    assert lines[-1] == "target A"
    assert not any("when it was asked" in line for line in lines)
    assert "(it had 9 tokens when it was asked)" in shown(generation=Generation("B", 9, 2, "eos"))
    assert not any("when it" in line for line in shown(generation=Generation("B", None, 2, "eos")))
    assert shown(facets={})[0] == "sample q4, row 4, group video 1"
    assert shown(target=("A", "B"))[-1] == "target A | B"
    assert shown(target=())[-1] == "target (hidden)"


def test_what_a_model_did_not_write() -> None:
    lost = shown(generation=Generation(None, error="MediaError: gone"), score=NOT_SCORED)
    assert "  nothing: MediaError: gone" in lost
    assert "  (empty)" in shown(generation=Generation("", 5, 0, "eos"))
    likely = Generation("B", 5, 1, "eos", choice_logprobs=(-1.3862943611, -0.2876820724))
    assert "  (its first token: A 25.0 %, B 75.0 %)" in shown(generation=likely)


def test_a_sample_that_cannot_be_made_again() -> None:
    lines = shown(None, "the video is gone")
    assert "media 1.mp4, frames ((0, 5, 9),)" in lines
    assert lines[lines.index("its prompt") + 1] == "  Which?"
    assert "(not made again: the video is gone)" in lines
    assert not any(line.startswith("its tokens") for line in lines)


def test_a_sample_as_json() -> None:
    result = make_result(4, score=Score(1.0, "A"))
    content = show._content(result, [], ASKED)
    assert content["prompt"] == "USER: Why?"
    assert content["num_prompt_tokens"] == 5
    assert content["prompt_tokens"] == ["<s>", "<v>", "<v>", "Why", "?"]
    assert content["frame_indices"] == [[0, 5, 9]]
    assert content["generation"]["text"] == "A"
    assert content["rules"] == []
    without = show._content(result, [], dataclasses.replace(ASKED, tokens=None))
    assert (without["prompt_tokens"], without["num_prompt_tokens"]) == (None, None)
    lost = show._content(result, [], None)
    assert lost["prompt"] == result.prompt
    assert (lost["prompt_tokens"], lost["num_prompt_tokens"]) == (None, None)


class Terminal:
    @staticmethod
    def isatty() -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        ({"KITTY_WINDOW_ID": "1"}, "\x1b_Ga=T,f=100,m=1;"),
        ({"TERM": "xterm-ghostty"}, "\x1b_Ga=T,f=100,m=1;"),
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]1337;File=inline=1;size=7000:"),
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b]1337;File=inline=1;size=7000:"),
        ({"TERM": "xterm"}, ""),
    ],
)
def test_pictures_in_terminals_that_draw(
    variables: dict[str, str], start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KITTY_WINDOW_ID", "TERM", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    png = bytes(range(250)) * 28
    assert show._drawn_in_terminal(png) == "", "output that goes to a file"
    monkeypatch.setattr("sys.stdout", Terminal)
    drawn = show._drawn_in_terminal(png)
    assert drawn.startswith(start)
    assert bool(drawn) == bool(start)
    if "_G" in start:  # pieces of 4096 bytes, m=1 but in the last
        pieces = [piece.partition(";") for piece in drawn.split("\x1b\\")[:-1]]
        assert [piece[0][-1] for piece in pieces] == ["1", "1", "0"]
        assert [len(piece[2]) for piece in pieces] == [4096, 4096, 9336 - 8192]
        assert base64.b64decode("".join(piece[2] for piece in pieces)) == png
    elif start:
        assert base64.b64decode(drawn.removeprefix(start).removesuffix("\x07")) == png


@pytest.mark.slow
def test_samples_asked_once_more(
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Letter, "letter", "C")
    lines = read_lines(made / "samples.jsonl")
    first, second = lines[1]["id"], lines[3]["id"]
    out = tmp_path / "again"
    assert run_command(["rerun", str(made), first, second, "--out", str(out), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["directory"] == str(out)
    assert [row["id"] for row in content["samples"]] == [first, second]
    for row, line in zip(content["samples"], (lines[1], lines[3]), strict=True):
        assert row["before"]["text"] == "B"
        assert row["after"]["text"] == row["after"]["answer"] == "C"
        assert row["before"]["value"] == line["score"]["value"]
        assert row["before"]["answer"] == line["score"]["answer"]
        assert row["after"]["error"] is None
    assert run_command(["rerun", str(made), first, "--out", str(tmp_path / "table")]) == 0
    printed = capsys.readouterr().out
    header, row = printed.splitlines()[:2]
    assert header.split() == ["sample", "before", "now", "target"]
    assert row.split()[:4] == [first, "B", "C", lines[1]["target"][0]]
    assert printed.rstrip().endswith(str(tmp_path / "table"))


@pytest.mark.slow
def test_switches_that_change_answers_are_counted(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["audit", str(made), "--groups=1", "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert (content["num_groups"], content["seed"], content["limit"]) == (1, 0, 0.0)
    assert content["beyond"] == ["cold cache"]
    by_name = {item["name"]: item for item in content["switches"]}
    assert list(by_name) == list(SWITCHES)
    for name in ("as it was", "in batches of 8"):
        assert by_name[name] == {
            "name": name,
            "num_samples": 3,
            "num_texts": 0,
            "num_answers": 0,
            "num_scores": 0,
            "reason": "",
        }
    assert by_name["alone"]["num_samples"] == 0
    assert "runner.share_prefixes=False" in by_name["alone"]["reason"]
    assert by_name["shared"]["num_samples"] == 0
    assert "runner.share_prefixes=True means nothing" in by_name["shared"]["reason"]
    cold = by_name["cold cache"]
    assert [cold[f"num_{name}"] for name in ("samples", "texts", "answers")] == [3, 3, 3]
    assert run_command(["audit", str(made), "--groups=1", "--limit=100"]) == 0
    text = capsys.readouterr().out
    assert "; 1 groups" in text
    assert "no switch changes more than 100 % of the answers" in text
    (row,) = (line for line in text.splitlines() if line.startswith("cold cache "))
    assert row.split() == ["cold", "cache", "3", "3", "3", str(cold["num_scores"])]
    (row,) = (line for line in text.splitlines() if line.startswith("alone "))
    assert row.split() == ["alone", "-", "-", "-", "-"]
    assert "\nalone: runner.share_prefixes=False" in text


@pytest.mark.slow
def test_a_switch_is_counted_where_both_sides_answered(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All say D now; before, one failed, one said D, one so in other words, and three said B."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "mine"))
    run = RunReader().read(made)
    lost, same, reworded, *others = run.results
    d = [Score(float("D" in result.target), "D") for result in run.results]
    before = {
        result.id: result
        for result in (
            dataclasses.replace(lost, generation=Generation(None, error="x"), score=NOT_SCORED),
            dataclasses.replace(same, generation=Generation("D"), score=d[1]),
            dataclasses.replace(reworded, generation=Generation("It is D."), score=d[2]),
            *others,
        )
    }
    found = rerun._switched(run, "cold cache", before, tmp_path / "llava-eval-audit-x")
    num_scores = sum(("B" in result.target) != ("D" in result.target) for result in others)
    assert 0 < num_scores < 3, "or the counts below tell nothing"
    assert found == Switched("cold cache", 5, 4, 3, num_scores)
    assert os.environ[CACHE_VARIABLE] == str(tmp_path / "mine")


@pytest.mark.slow
def test_what_fails_now_is_no_other_answer(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(self: Letter, requests: Sequence[Request]) -> Iterator[Generation]:
        for request in requests:
            error = f"ForwardError: {request.id}" if request.id != last.id else None
            yield Generation("B" if error is None else None, error=error)

    run = RunReader().read(made)
    first, *_, last = run.results
    monkeypatch.setattr(Letter, "generate", generate)
    before = {result.id: result for result in run.results}
    found = rerun._switched(run, "as it was", before, tmp_path)
    reason = f"5 of 6 samples failed, the first of ForwardError: {first.id}"
    assert found == Switched("as it was", 1, reason=reason)


@pytest.mark.slow
def test_an_audit_fails_where_a_switch_changes_more_than_it_may(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: SWITCHES[name] for name in ("shared", "cold cache")}
    monkeypatch.setattr(rerun, "SWITCHES", few)
    assert run_command(["audit", str(made), "--groups=1", "--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["beyond"] == ["cold cache"]
    assert (content["run"], content["num_groups"]) == (str(made), 1)
    switches = [(one["name"], one["num_samples"]) for one in content["switches"]]
    assert switches == [("shared", 0), ("cold cache", 3)]


def test_an_audit_in_words(made: Path) -> None:
    run = dataclasses.replace(RunReader().read(made), name="mine")
    switched = [Switched("alone", 8, 3, 2, 1), Switched("shared", reason="it cannot")]
    told = rerun._text(run, switched, 2, 25.0, [])
    assert told.splitlines() == [
        "mine: demo/multiple_choice (limit=6, num_frames=2), Letter; 2 groups",
        "",
        "answered  samples  other text  other answer  other score",
        "alone           8           3             2            1",
        "shared          -           -             -            -",
        "shared: it cannot",
        "",
        "no switch changes more than 25 % of the answers",
    ]
    told = rerun._text(run, switched, 2, 12.5, ["alone", "shared"])
    assert told.endswith("\n\nbeyond 12.5 % of the answers: alone, shared")


def test_a_cache_that_nobody_named_is_not_named_after_an_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    with rerun._cold_cache(tmp_path):
        assert os.environ[CACHE_VARIABLE] == str(tmp_path)
    assert CACHE_VARIABLE not in os.environ


def test_shares_of_answers() -> None:
    assert Switched("x").percent == 0.0
    assert Switched("x", 8, num_answers=2).percent == 25.0


def test_a_sample_that_is_not_there(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["show", str(made), "q99"]) == 2
    assert "holds no sample 'q99'" in capsys.readouterr().err


@pytest.mark.slow  # every rule of the benchmark reads it
def test_a_sample_of_a_run(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = read_lines(made / "samples.jsonl")[2]
    assert run_command(["show", str(made), line["id"], "--out", str(tmp_path / "f.png")]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"sample {line['id']}, row 2, group {line['group']} (")
    assert f"frames: {tmp_path / 'f.png'}\n" in text
    assert "videomme_official: " in " ".join(text.split())
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert run_command(["show", str(made), line["id"], "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["rules"]
    assert content["rules"][0]["value"] == line["score"]["value"]
    assert run_command(["show", str(made), line["id"]]) == 0
    assert capsys.readouterr().out.endswith("frames: --out FILE.png writes them\n")
