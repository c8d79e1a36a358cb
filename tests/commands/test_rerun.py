"""llava-eval rerun and audit: samples answered again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from llava_eval.borders.paths import local_path
from llava_eval.cli import run_command
from llava_eval.commands import rerun
from llava_eval.commands.rerun import SWITCHES
from llava_eval.config.roles import setting_of
from llava_eval.results.runs import Run
from llava_eval.types import Generation
from tests.conftest import read_lines
from tests.models.chat_server import reply, serving
from tests.results.runs_on_disk import answered, failed, write_run


def test_every_switch_is_a_setting_that_should_not_matter() -> None:
    for key in (key for settings in SWITCHES.values() for key in settings):
        setting = setting_of(key)
        assert setting is not None
        assert setting.key == key
        assert setting.role == "speed" or key in ("model.attention", "model.dtype")
    assert SWITCHES["in batches of 8"]["runner.batch_size"] == 8


def test_what_has_become_of_an_answer_is_said() -> None:
    right, wrong, lost = answered(0, True), answered(0, False), failed(0)
    reworded = answered(0, True, generation=Generation("It is A."))
    pairs = [(right, right), (right, reworded), (right, wrong), (lost, right), (right, lost)]
    assert [rerun._change(old, new) for old, new in pairs] == [
        *("same text", "same score", "1 -> 0", "- -> 1", "1 -> -"),
    ]
    empty = answered(0, False, generation=Generation(""))
    shown = [rerun._text_or_error(one) for one in (right, empty, lost)]
    assert shown == ["A", "(empty)", "(MediaError: broken)"]


def test_a_run_that_cannot_be_made_again_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [answered(n, True) for n in range(6)])
    assert run_command(["audit", str(run)]) == 2
    captured = capsys.readouterr()
    assert "cannot be answered again" in captured.err
    assert captured.err.count("\n") == 1
    assert run_command(["audit", str(run), "--groups", "0"]) == 2


@pytest.mark.slow
def test_an_honest_run_changes_nowhere_and_an_edited_one_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert run_command(["-q", "benchmark.limit=6", f"output_dir={run}"]) == 0
    capsys.readouterr()
    assert run_command(["audit", str(run), "--groups", "1", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in content["switches"]] == list(SWITCHES)
    assert all(one["num_samples"] == 3 and one["num_texts"] == 0 for one in content["switches"])
    lines = read_lines(run / "samples.jsonl")
    for line in lines:
        line["generation"]["text"] = line["score"]["answer"] = "E"
    (run / "samples.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert run_command(["audit", str(run), "--groups", "1"]) == 1
    text = capsys.readouterr().out
    assert "beyond 0 % of the answers: as it was, alone" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
def test_a_rerun_has_beside_its_names_what_the_run_has_and_says_how_many_it_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    changed = ["sampler.num_frames=4", "model.dtype=float16", "benchmark.limit=3"]
    assert run_command(["-q", *changed, f"output_dir={run}"]) == 0
    first = read_lines(run / "samples.jsonl")[0]["id"]
    assert run_command(["rerun", str(run), first, "--out", str(again)]) == 0
    capsys.readouterr()
    content = json.loads((again / "metrics.json").read_text())
    assert content["benchmark"] == "demo/multiple_choice (limit=3, num_frames=4, samples=1 of 3)"
    assert content["model"] == "demo (dtype=float16)"


class Tracker:
    """Notes which runs it was given, beside the first of them."""

    def track(self, run: Run) -> None:
        with (Path(os.environ["TRACKED"])).open("a") as stream:
            stream.write(f"{run.path.name}\n")


@pytest.mark.slow
def test_an_audit_tells_what_fails_now_and_gives_no_tracker_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, media, folder = tmp_path / "run", tmp_path / "media", tmp_path / "configs" / "tracker"
    monkeypatch.setenv("TRACKED", str(tmp_path / "tracked"))
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(f"_target_: {__name__}.Tracker\n")
    shutil.copytree(local_path("package://llava_eval/demo/videos"), media)
    mine = ["--config-dir", str(folder.parent)]
    words = ["benchmark.limit=6", f"benchmark.media_root={media}", "tracker=mine"]
    assert run_command([*mine, "-q", *words, f"output_dir={run}"]) == 0
    (media / "demo_001.mp4").unlink()
    capsys.readouterr()
    assert run_command(["audit", *mine, str(run), "--json"]) == 0
    for one in json.loads(capsys.readouterr().out)["switches"]:
        assert one["num_samples"] == 3
        assert one["reason"].startswith("3 of 6 samples failed, the first of MediaError: ")
    last = read_lines(run / "samples.jsonl")[-1]["id"]
    assert run_command(["rerun", *mine, str(run), last, "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "tracked").read_text() == "run\n"
    shutil.rmtree(media)
    assert run_command(["audit", *mine, str(run)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "run cannot be answered again: 6 of 6 samples failed, the first of Media" in last


@pytest.mark.slow
def test_a_judge_is_not_asked_again_of_the_same_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    source = local_path("package://llava_eval/demo/videos/demo_001.mp4")
    shutil.copy(source, tmp_path / "v_a.mp4")
    row = {"question_id": "q", "video_name": "a", "question": "color?", "answer": "x", "type": "1"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    run = tmp_path / "run"
    with serving(lambda content, number: reply("{'pred': 'yes', 'score': 5}")) as server:
        words = [
            *("benchmark=activitynet_qa/llava_next", f"benchmark.source={tmp_path}/rows.jsonl"),
            *(f"benchmark.media_root={tmp_path}", "benchmark.generation.temperature=0"),
            *("benchmark.generation.max_new_tokens=4", "sampler.num_frames=1"),
            *(f"judge.base_url={server.base_url}", f"output_dir={run}"),
        ]
        assert run_command(["-q", *words]) == 0
        num_asked = len(server.requests)
        assert run_command(["audit", str(run), "--json"]) == 0
        assert run_command(["rerun", str(run), "q", "--out", str(tmp_path / "again")]) == 0
        assert num_asked == len(server.requests) == 1
