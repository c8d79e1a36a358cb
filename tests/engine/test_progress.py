"""What people see while a run goes on: a bar that fits, lines without a terminal, run.log."""

from __future__ import annotations

import dataclasses
import fcntl
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest

from llava_eval.engine import progress
from llava_eval.engine.console import messages_shown
from llava_eval.engine.progress import Progress
from llava_eval.results.summary import failures_by_cause
from llava_eval.types import Generation, Sample, SampleResult, Score

LOG = logging.getLogger("llava_eval.test")


def result(number: int, *, error: str | None = None, value: float = 1.0) -> SampleResult:
    sample = Sample(f"s{number}", number, "g", ("Which?",), ("A",))
    if error is not None:
        return SampleResult.of(sample, Generation(None, error=error))
    answered = SampleResult.of(sample, Generation("A", num_output_tokens=2))
    return dataclasses.replace(answered, score=Score(value, "A"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80])
def test_a_bar_fits_its_terminal_and_says_first_what_matters(width: int) -> None:
    script = (
        "from llava_eval.engine.console import messages_shown\n"
        "from llava_eval.engine.progress import Progress\n"
        "from tests.engine.test_progress import result\n"
        "with messages_shown(), Progress(100, []) as progress:\n"
        "    for n in range(50):\n"
        "        error = 'x' if n == 3 else None\n"
        "        progress.add(result(n, error=error, value=n % 2), decode_wait_seconds=1.0)\n"
        "        progress._bar.refresh()\n"
    )
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=inside)
    os.close(inside)
    written = b""
    while part := _read(terminal):
        written += part
    assert process.wait() == 0
    lines = [line for line in re.split(r"[\r\n]+", written.decode()) if "%" in line]
    bars = [line for line in lines if not line.startswith("llava-eval:")]
    assert bars
    assert all(len(re.sub(r"llava-eval:.*|\x1b\[A", "", line)) <= width for line in bars)
    assert re.match(r" ?50 % \d\d:\d\d left, score 49\.0, 1 failed", bars[-1])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_without_a_terminal_there_are_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with messages_shown():
        LOG.info("before the run directory is known")
        LOG.info("results go there", extra={"run_directory": tmp_path})
        with Progress(8, [result(0), result(1, value=0.0)]) as progress:
            for number in range(2, 8):
                error = f"MediaError: v/{number}.mp4: no such file" if number != 5 else None
                progress.add(result(number, error=error), decode_wait_seconds=0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "llava-eval: before the run directory is known",
        "llava-eval: results go there",
    ]
    last = lines[-1]
    assert last.startswith("llava-eval: 8/8 samples (100 %), 0:00:00 left, score 66.7, 5 failed, ")
    assert last.endswith(" tokens/s, decode wait 0.5s")
    shown = [line for line in lines if " failed: " in line]
    assert len(shown) == 3, "a few of one cause are enough"
    assert shown[-1].endswith("further ones of this cause go to run.log")
    kept = (tmp_path / "run.log").read_text().splitlines()
    assert sum(" failed: MediaError: " in line for line in kept) == 5
    assert "INFO before the run directory is known" in kept[0]


def test_quiet_shows_warnings_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with messages_shown(-1):
        LOG.info("loading")
        LOG.warning("careful")
        with Progress(1, []) as progress:
            progress.add(result(0), decode_wait_seconds=0.0)
    assert capsys.readouterr().err == "llava-eval: careful\n"
    assert logging.getLogger("llava_eval").handlers == []


def test_in_a_script_and_quietly_further_failures_are_in_the_ledger_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with messages_shown(-1):
        LOG.info("results go there", extra={"run_directory": tmp_path})
        with Progress(5, []) as progress:
            for number in range(5):
                failed = result(number, error="MediaError: no such file")
                progress.add(failed, decode_wait_seconds=0.0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[2].endswith("further ones of this cause go to samples.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_failures_are_grouped_by_cause() -> None:
    results = [
        result(0),
        result(1, error="MediaError: a/1.mp4: no such file"),
        result(2, error="PromptError: sample s2: no place for the video"),
        result(3, error="MediaError: b/3.mp4: no such file"),
        result(4, error="MediaError: b/4.mp4: timed out after 600 s"),
        result(5, error="MediaError: c/5.mp4: no such file"),
    ]
    first, *others = failures_by_cause(results)
    assert first == (
        "3 x MediaError: ...: no such file; for instance sample s1: "
        "MediaError: a/1.mp4: no such file"
    )
    assert [line.partition(" x ")[0] for line in others] == ["1", "1"]
    assert failures_by_cause([result(0)]) == []


def test_speed_is_that_of_this_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of eight were there before; each further one takes ten seconds."""
    now = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with caplog.at_level(logging.INFO), Progress(8, [result(0), result(1)]) as bar:
        for number in range(2, 6):
            now[0] += 10.0
            bar.add(result(number), decode_wait_seconds=2.5)
    parts = [message.split(", ") for message in caplog.messages]
    assert [part[0] for part in parts] == [f"{n}/8 samples ({12.5 * n:.0f} %)" for n in range(3, 7)]
    assert [part[1] for part in parts] == [f"0:00:{10 * n} left" for n in (5, 4, 3, 2)]
    assert {part[2] for part in parts} == {"score 100.0"}
    assert {part[3] for part in parts} == {"0.10 samples/s"}
    assert {part[4] for part in parts} == {"0 tokens/s"}  # 2 in 10 s
    assert {part[5] for part in parts} == {"decode wait 2.5s"}
