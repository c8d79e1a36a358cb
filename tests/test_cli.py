"""The command line: help at once, one line for a mistake, exit codes, and what people see."""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from llava_eval import cli
from llava_eval.commands import COMMANDS
from llava_eval.commands.command import Command
from llava_eval.errors import ConfigError, ServerError
from tests.conftest import DEMO, read_lines, slow, write_lines
from tests.processes import SignalAtLine, run_command


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["run", "-h"], ["benchmark=x", "--help"]):
        assert cli.run_command(arguments) == 0
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= 80
        for command in COMMANDS:
            assert command in text
    overviews = []
    for option in ("-h", "--help"):
        assert cli.run_command([option]) == 0
        overviews.append(capsys.readouterr().out)
    assert overviews[0] == overviews[1]
    assert "\n  run        Evaluate a model on a benchmark" in overviews[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["--config-dir", "anywhere", name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: llava-eval {name} ")
    assert max(map(len, text.splitlines())) <= 80
    for names, settings in COMMANDS[name].arguments:
        assert all(option in text for option in names if option.startswith("-"))
        assert settings["help"].partition(" ")[0] in text


def test_help_of_commands_that_run_what_a_run_names_does_not_deny_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("explain", "show", "rerun", "audit"):
        assert cli.run_command([name, "--help"]) == 0
        assert "nothing else" not in capsys.readouterr().out


def test_help_needs_the_standard_library_alone() -> None:
    """Half a second is what a person may wait for help; a package to import takes longer."""
    script = (
        "import sys; before = set(sys.modules)\n"
        "from llava_eval.cli import run_command; run_command(['run', '--help'])\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "sys.exit(', '.join(loaded - sys.stdlib_module_names - {'llava_eval'}) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_options_stand_before_between_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sampler").mkdir()
    (tmp_path / "sampler" / "my_own.yaml").write_text("# Mine.\n_target_: os.nothing\n")
    folder = str(tmp_path)
    for arguments in (
        ["--config-dir", folder, "list", "samplers"],
        [f"--config-dir={folder}", "list", "samplers"],
        ["list", "--config-dir", folder, "samplers"],
        ["list", "samplers", "--config-dir", folder],
    ):
        assert cli.run_command(arguments) == 0
        assert "my_own" in capsys.readouterr().out
    for arguments in (["seed=4", "--cfg", "sampler.num_frames=3"], ["--cfg", "run", "seed=4"]):
        assert cli.run_command(arguments) == 0
        assert "\nseed: 4\n" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--config-dir", "nowhere", "--version"]):
        assert cli.run_command(words) == 0
        assert capsys.readouterr().out.startswith("llava-eval 0.")


def test_the_configuration_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["--cfg", "sampler.num_frames=3"]) == 0
    printed = capsys.readouterr().out
    assert "num_frames: 3" in printed
    assert list(yaml.safe_load(printed))[:4] == ["benchmark", "model", "sampler", "scorer"]


@pytest.mark.slow
def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["list"]) == 0
    everything = capsys.readouterr().out
    for name in ("videomme/official", "llava_next_video_7b", "at_fps", "strict_choice"):
        assert name in everything
    assert "_rows" not in everything
    assert cli.run_command(["list", "samplers"]) == 0
    samplers = capsys.readouterr().out
    assert "segment_midpoints" in samplers
    assert "videomme" not in samplers


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["evaluate"], ["no command 'evaluate'", "run, score, list"]),
        (["compar", "a", "b"], ["did you mean 'compare'"]),
        (["benchmark:", "demo/caption"], ["no command 'benchmark:'", "settings are key=value"]),
        (["--verbose"], ["no option '--verbose'"]),
        (["--config-dir"], ["--config-dir needs a folder"]),
        (["--config-dir", "nowhere"], ["no folder nowhere"]),
        (["list", "videos"], ["cannot list 'videos'", "benchmarks, models, samplers, scorers"]),
        (["list", "models", "samplers"], ["list takes one kind"]),
        (["list", "--config-dir", "nowhere"], ["no folder nowhere"]),
        (["score"], ["generations=FILE"]),
        (["score", "generations="], ["generations=FILE"]),
        slow(["score", "generations=nothing.jsonl"], ["nothing.jsonl cannot be read"]),
        (["benchmark=demo/captoin"], ["did you mean 'demo/caption'"]),
        slow(["benchmark.limt=1"], ["'benchmark.limt'"]),
        (["sampler.num_frames=none"], ["sampler.num_frames", "'none'"]),
        (["sampler.num_frames=0"], ["num_frames"]),
        slow(["-m", "sampler.num_frames=2,x"], ["sampler.num_frames", "'x'"]),
        slow(["-m", "model=demo,demoo"], ["unknown model 'demoo'"]),
        slow(["scorer.strict=1"], ["'scorer.strict'"]),
        (["benchmark.adapter._target_=os.nothing"], ["benchmark.adapter._target_", "nothing"]),
        slow(["+benchmark.adapter.colour=red"], ["'benchmark.adapter.colour'", "takes"]),
        slow(["benchmark.adapter.options=[A,B]"], ["adapter.options", "mean 'option_columns'?"]),
        (["benchmark.adapter.prompt='{nothing}'"], ["no column 'nothing'"]),
        slow(["benchmark.source=nothing.jsonl"], ["no file or folder nothing.jsonl"]),
        slow(["benchmark.facets=[colour]"], ["no column 'colour'"]),
        slow(["model=hf", "model.checkpoint=nowhere"], ["no such folder"]),
        slow(["model=hf", "model.checkpoint=bert"], ["'bert' checkpoint; expected an image-text"]),
        slow(["model.revision=main"], ["model.revision=main is for hub checkpoints"]),
        slow(["model.device=cuda:77"], ["model.device=cuda:77"]),
        slow(["model.attention=flash_attention_2"], ["flash_attention_2 cannot run", "CUDA"]),
        slow(["conversation.template='no fields'"], ["no {user}"]),
        slow(["model.rope_scaling={rope_type: linaer}"], ["unknown rope_type 'linaer'"]),
        slow(["model.device=meta"], ["model.device=meta cannot be used here"]),
        (["model=hf", "model.checkpoint="], ["model.checkpoint is empty"]),
        slow(["benchmark.generation.top_p=2"], ["benchmark.generation: top_p is 2.0"]),
        (["benchmark.generation.temperature=nan"], ["temperature is nan"]),
        slow(["benchmark.generation.stop_strings=['']"], ["stop_strings holds an empty text"]),
        slow(["+benchmark.metrics.more=3"], ["benchmark.metrics.more: got 3", "_target_"]),
        slow(["output_dir="], ["output_dir is empty"]),
        slow(["output_dir=occupied"], ["occupied", "no manifest.json"]),
        (["output_dir=file"], ["cannot write file"]),
        slow(["output_dir=/proc/nowhere"], ["cannot write /proc/nowhere"]),
        slow(
            ["benchmark=videomme/official", "benchmark.split=null"], ["benchmark.split is not set"]
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "samples.jsonl").touch()
    (tmp_path / "file").touch()
    shutil.copytree(DEMO / "checkpoint", tmp_path / "bert")
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    before = set(tmp_path.iterdir())
    code = cli.run_command(arguments)
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("llava-eval: ")
    for part in parts:
        assert part in lines[0]
    assert code == (1 if "cannot write" in lines[0] else 2)
    assert captured.out == ""
    assert set(tmp_path.iterdir()) == before, "a mistake leaves nothing behind"


@pytest.mark.slow
def test_a_run_ends_with_its_table_and_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run_command(["benchmark.limit=6", "sampler.num_frames=2"]) == 0
    captured = capsys.readouterr()
    assert max(map(len, captured.out.splitlines())) <= 80
    for part in ("accuracy", "95 % interval", "chance", "25.0", "by duration", "by task_type"):
        assert part in captured.out
    assert "6 samples: 6 scored, " in captured.out
    directory = Path(captured.out.strip().splitlines()[-1])
    assert (directory / "metrics.json").is_file()
    for part in ("6/6", "samples", "decode wait", "score"):
        assert part in captured.err


@pytest.mark.slow
def test_failed_samples_end_with_exit_code_1_and_say_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["benchmark.limit=3", "benchmark.media_root=nowhere", "output_dir=out"]
    assert cli.run_command(arguments) == 1
    captured = capsys.readouterr()
    assert "3 samples: 0 scored, 0 unreadable, 3 failed" in captured.out
    (row, *_) = read_lines(DEMO / "multiple_choice.jsonl")
    cause = f"sample {row['question_id']} failed: MediaError: nowhere/{row['videoID']}.mp4"
    assert cause in captured.err
    assert "3 samples failed, at most 0 are allowed (errors.max)" in captured.err
    assert "out/samples.jsonl" in captured.err


@pytest.mark.slow
@pytest.mark.parametrize("key", ["model.name", "++model.name"])
def test_score_prints_the_same_table(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = read_lines(DEMO / "multiple_choice.jsonl")
    texts = [{"id": row["question_id"], "text": f"({row['answer']})"} for row in rows]
    write_lines(tmp_path / "texts.jsonl", texts)
    command = ["score", "generations=texts.jsonl", "output_dir=out"]
    assert cli.run_command([*command, f"{key}='hub/their model'"]) == 0
    assert "accuracy  100.0" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["model"] == "hub/their model"
    assert content["benchmark"] == "demo/multiple_choice"
    assert content["num_samples"] == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a b.jsonl", "{name}"),
        ("a b.jsonl", "'{name}'"),
        ("a b.jsonl", '"{name}"'),
        ("x=1,y=(2)#.jsonl", "{name}"),
        ("ü.jsonl", "sub/../{name}"),
        ("1e3", "{name}"),
        ("a.jsonl", "~/{name}"),
        ("a.jsonl", "nowhere.jsonl generations={name}"),
    ],
)
def test_the_texts_to_score_are_named_like_every_other_path(
    name: str,
    written: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sub").mkdir()
    write_lines(tmp_path / name, [{"row": 0, "text": "A"}])
    words = f"generations={written.format(name=name)}"
    given = words.split(" ") if "generations=" in words[1:] else [words]
    assert cli.run_command(["score", *given, "benchmark.limit=1", "output_dir=out"]) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["num_scored"] == 1
    capsys.readouterr()
    for value in ("[a,b]", "a,b", "{a: 1}", "null"):
        assert cli.run_command(["score", f"generations={value}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "generations=" in line


@pytest.mark.slow
def test_a_sweep_leaves_one_run_per_combination(tmp_path: Path) -> None:
    arguments = [
        "-m",
        "benchmark=demo/multiple_choice,demo/open_ended",
        "sampler.num_frames=2,4",
        "benchmark.limit=4",
        "hydra.sweep.dir=sweep",
    ]
    done = run_command(arguments, tmp_path)
    assert done.exit_code == 0, done.stderr
    names = {
        json.loads(path.read_text())["benchmark"]
        for path in (tmp_path / "sweep").glob("*/metrics.json")
    }
    assert names == {
        f"demo/{kind} (limit=4, num_frames={count})"
        for kind in ("multiple_choice", "open_ended")
        for count in (2, 4)
    }


@pytest.mark.slow
def test_a_sweep_with_a_failing_run_goes_on_and_ends_non_zero(tmp_path: Path) -> None:
    arguments = [
        "-m",
        "benchmark.media_root=nowhere,package://llava_eval/demo/videos",
        "benchmark.limit=2",
        "hydra.sweep.dir=sweep",
    ]
    done = run_command(arguments, tmp_path)
    assert done.exit_code == 1
    metrics = [json.loads((tmp_path / f"sweep/{n}/metrics.json").read_text()) for n in (0, 1)]
    assert [content["num_errors"] for content in metrics] == [2, 0]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_users_own_benchmark_in_a_config_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs" / "benchmark"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        """\
# @package _global_
defaults:
  - override /sampler: interior_points
  - override /scorer: exact_match
  - _self_
sampler: {num_frames: 3}
benchmark:
  name: mine
  source: rows.csv
  media_root: videos
  adapter:
    _target_: llava_eval.benchmarks.adapters.open_ended
    id: "{name}-{number}"
    group: "{name}"
    media: ["{name}.mp4"]
    question: "{text}"
    answers: reply
    prompt: "{text} Answer with one word."
  facets: [number]
  metrics:
    accuracy: {_target_: llava_eval.metrics.means.mean_score}
"""
    )
    (tmp_path / "videos").mkdir()
    shutil.copy(DEMO / "videos" / "demo_001.mp4", tmp_path / "videos" / "a.mp4")
    (tmp_path / "rows.csv").write_text("name,number,text,reply\na,01,Which colour?,red\n")
    arguments = ["--config-dir", "configs", "benchmark=mine", "output_dir=out"]
    assert cli.run_command(arguments) == 0
    (line,) = read_lines(tmp_path / "out" / "samples.jsonl")
    assert line["id"] == "a-01"
    assert line["prompt"] == "Which colour? Answer with one word."
    assert line["facets"] == {"number": "01"}
    assert len(line["frame_indices"]) == 3
    again = ["benchmark=mine", "generations=out/samples.jsonl", "output_dir=again"]
    assert cli.run_command(["score", "--config-dir", "configs", *again]) == 0


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    arguments = ["benchmark.limit=12", "output_dir=out", "runner.batch_size=3"]
    done = run_command(arguments, tmp_path, before=SignalAtLine(4, signal.SIGINT))
    assert done.exit_code == 130, done.stderr
    assert "interrupted; finished samples are kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert 4 <= len(read_lines(tmp_path / "out" / "samples.jsonl")) < 12
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "interrupted"


def interrupt_again_while_the_manifest_is_written() -> None:
    """Send Ctrl-C once more when the run writes that it was interrupted."""
    from llava_eval.results.manifest import RunRecord

    SignalAtLine(4, signal.SIGINT)()
    write = RunRecord.write

    def interrupted(self: RunRecord, status: str) -> None:
        if status == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        write(self, status)

    RunRecord.write = interrupted  # type: ignore[method-assign]


@pytest.mark.slow
def test_ctrl_c_twice_ends_as_once(tmp_path: Path) -> None:
    arguments = ["benchmark.limit=12", "output_dir=out", "runner.batch_size=3"]
    done = run_command(arguments, tmp_path, before=interrupt_again_while_the_manifest_is_written)
    assert done.exit_code == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "interrupted"


def test_further_ctrl_cs_break_no_end_off_until_patience_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(cli, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def leave(code: int) -> None:
        raise RuntimeError(f"left with {code}")

    monkeypatch.setattr(os, "_exit", leave)
    pressed = cli._Interrupts()
    for now[0] in (0.0, 100.0):  # a session may go on after one
        with pytest.raises(KeyboardInterrupt):
            pressed()
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        now[0] = 102.5
        pressed()
        try:
            raise OSError("of what cleans up")
        except OSError:
            pressed()
            now[0] = 103.5
            with pytest.raises(RuntimeError, match="left with 130"):
                pressed()
    pressed.exit_code = 1
    with pytest.raises(RuntimeError, match=r"left with 1$"):
        pressed()


class Lost:
    """Gets a Ctrl-C in its destructor, where Python ignores what it raises."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10))


def lose_one(*, press_again: bool) -> None:
    """Send Ctrl-C where it is lost, and perhaps once more, when the ledger has so many lines."""
    from llava_eval.results.ledger import LedgerWriter
    from llava_eval.types import SampleResult

    append, appended = LedgerWriter.append, list[str]()

    def interrupted(self: LedgerWriter, result: SampleResult) -> None:
        append(self, result)
        appended.append(result.id)
        if len(appended) == 4:
            Lost()
            if press_again:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

    LedgerWriter.append = interrupted  # type: ignore[method-assign]


@pytest.mark.slow
@pytest.mark.parametrize("press_again", [False, True])
def test_a_ctrl_c_that_was_lost_is_repeated(press_again: bool, tmp_path: Path) -> None:
    arguments = ["benchmark.limit=12", "output_dir=out", "runner.batch_size=3"]
    before = functools.partial(lose_one, press_again=press_again)
    done = run_command(arguments, tmp_path, before=before)
    assert done.exit_code == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert len(read_lines(tmp_path / "out" / "samples.jsonl")) == 4
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize(
    ("error", "code", "of_verdict", "said"),
    [
        (OSError(errno.EDQUOT, "Quota exceeded"), 1, 2, "cannot be written: Quota exceeded"),
        (OSError(errno.ENOSPC, "No space left", "a.txt"), 2, 2, "a.txt: No space left"),
        (ServerError("nobody answers"), 1, 2, "nobody answers"),
        (ConfigError("no such key"), 2, 2, "no such key"),
        (ValueError("a slip"), 70, 70, "unexpected ValueError in "),
        (BrokenPipeError(), 141, 141, ""),  # 128 and SIGPIPE's 13
        (KeyboardInterrupt(), 130, 130, "interrupted; finished samples are kept"),
    ],
)
def test_no_error_is_a_verdict(
    error: BaseException,
    code: int,
    of_verdict: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (tmp_path / "out.txt").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        for name in ("export", "gate", "frames", "audit", "doctor"):
            monkeypatch.setitem(COMMANDS, name, Command(fail, "", ()))
            assert cli.run_command([name]) == (code if name == "export" else of_verdict)
            assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["list", "scorers"], ["--help"]])
def test_output_that_cannot_be_written(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llava_eval.cli", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("cannot be written: No space left on device")
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    assert subprocess.run(closed, cwd=tmp_path, check=False).returncode == 0


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "llava_eval.cli", "list", "samplers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == b""
    assert started.returncode == 141


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a" * 300, "closed/x"])
def test_a_file_that_the_system_refuses(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "closed").mkdir(mode=0)
    if name == "closed/x" and os.access(tmp_path / "closed", os.R_OK):
        pytest.skip("this user may read everything")
    for arguments in (
        [f"benchmark.source={name}"],
        [f"model.checkpoint={name}"],
        ["--config-dir", name, "list"],
        ["prepare", f"benchmark.media_root={name}"],
        ["compare", name, name],
    ):
        assert cli.run_command(arguments) == 2, arguments
        (line,) = capsys.readouterr().err.splitlines()
        assert name in line


@pytest.mark.slow
def test_threads_that_still_work_do_not_abort_the_process(tmp_path: Path) -> None:
    """A checkpoint is refused while other groups of media are still being prepared by torch."""
    script = """\
import sys, time
import torch
from llava_eval import cli
from llava_eval.commands import COMMANDS
from llava_eval.engine import local
from llava_eval.errors import CheckpointError

decode_group, start = local.decode_group, time.monotonic()

def decode_for_long(group, *rest):
    while "demo_001" not in str(group) and time.monotonic() < start + 60:
        torch.rand(3, 100, 100).sort()
    return decode_group(group, *rest)

def refuse(*_):
    raise CheckpointError("refused")

local.decode_group, local.ask_batch = decode_for_long, refuse
cli.main(["benchmark.limit=30", "runner.batch_size=1", "output_dir=out"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == "llava-eval: refused"
    assert done.returncode == 2


def test_an_unforeseen_error_is_one_line_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "metric_with_a_defect.py").write_text(
        "def count(results):\n    return {}['https://me:word@host/path?key=1\\x1b[2J']\n"
    )
    write_lines(tmp_path / "texts.jsonl", [{"row": 0, "text": "A"}])
    overrides = [
        "benchmark.limit=1",
        "benchmark.metrics.accuracy={_target_: metric_with_a_defect.count}",
        "output_dir=out",
    ]
    assert cli.run_command(["score", "generations=texts.jsonl", *overrides]) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("llava-eval: unexpected KeyError in ")
    assert "metric_with_a_defect.py, line 2: " in line
    assert "https://host/path?..." in line
    assert "\x1b" not in line
    (path,) = tmp_path.glob("llava-eval-traceback-*.txt")
    assert str(path) in line
    text = path.read_text()
    assert text.startswith("Traceback")
    assert "me:word" not in text


def test_an_error_in_what_ones_own_code_calls_names_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "reads_json.py").write_text(
        "import json\nfrom llava_eval.types import MetricValue\n\n\ndef count(results):\n"
        "    return json.loads('{') if results else MetricValue.none(0, '')\n"
    )
    write_lines(tmp_path / "texts.jsonl", [{"row": 0, "text": "A"}])
    words = ["generations=texts.jsonl", "benchmark.limit=1", "output_dir=out"]
    node = "benchmark.metrics.accuracy={_target_: reads_json.count}"
    assert cli.run_command(["score", *words, node]) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert f"unexpected JSONDecodeError in {tmp_path / 'reads_json.py'}, line 6: " in line


@pytest.mark.slow
def test_code_that_leaves_the_process_ends_no_run_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "leaves_at_once.py").write_text("def count(given):\n    raise SystemExit(0)\n")
    write_lines(tmp_path / "texts.jsonl", [{"row": 0, "text": "A"}])
    overrides = [
        "benchmark.limit=1",
        "benchmark.metrics.accuracy={_target_: leaves_at_once.count}",
        "output_dir=out",
    ]
    assert cli.run_command(["score", "generations=texts.jsonl", *overrides]) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert "unexpected SystemExit in " in line
    (tmp_path / "leaves_when_imported.py").write_text("raise SystemExit\n")
    node = "benchmark.metrics.accuracy={_target_: leaves_when_imported.count}"
    assert cli.run_command(["score", "generations=texts.jsonl", node]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot import 'leaves_when_imported': SystemExit" in line


@pytest.mark.slow
def test_what_is_logged_acts_on_no_terminal_and_names_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sample's id and an address with a secret come to the terminal when the sample fails."""
    rows = read_lines(DEMO / "multiple_choice.jsonl")[:2]
    rows[0]["question_id"] = "\x1b[2Jone"
    rows[1]["question_id"] = "two\n::error::owned"
    folder = "https://me:word@localhost:9/videos?key=word"
    source = write_lines(tmp_path / "rows.jsonl", rows)
    arguments = [f"benchmark.source={source}", f"benchmark.media_root='{folder}'"]
    assert cli.run_command([*arguments, f"output_dir={tmp_path / 'out'}"]) == 1
    text = capsys.readouterr().err
    assert "sample \\u001b[2Jone failed: " in text
    assert "sample two " in text
    assert not [line for line in text.splitlines() if line.strip().startswith("::")]
    assert "\x1b[2J" not in text
    assert "word" not in text
    for file in (tmp_path / "out").iterdir():
        assert "key=word" not in file.read_text(encoding="utf-8")
