"""The end of a local cluster's processes: sleeping processes stand for them."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from llava_eval.engine.ray import watchdog
from llava_eval.engine.ray.watchdog import Watchdog
from llava_eval.errors import EngineError
from tests.processes import PATIENCE_SECONDS, descendants, state_of, wait_for

psutil = pytest.importorskip("psutil")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two that run below this process, and none else; the first one's program is vital."""
    started = [subprocess.Popen(["sleep", "60"]), subprocess.Popen(["tail", "-f", "/dev/null"])]
    seen = [psutil.Process(process.pid) for process in started]
    children = psutil.Process.children

    def below(process: Any, recursive: bool = False) -> list[Any]:
        is_driver = process.pid == os.getpid()
        return seen if is_driver else [*children(process, recursive=recursive)]

    monkeypatch.setattr(psutil.Process, "children", below)
    monkeypatch.setattr(watchdog, "_VITAL", ("sleep",))
    monkeypatch.setattr(watchdog, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(watchdog, "_SCRIPT", watchdog._SCRIPT.replace("sleep 2", "sleep 0"))
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_a_cluster_that_lost_what_it_needs_cannot_go_on(
    processes: list[subprocess.Popen[bytes]],
) -> None:
    dog = Watchdog()
    dog.check()
    processes[1].kill()
    processes[1].wait()
    dog.check()  # not vital
    processes[0].kill()
    processes[0].wait()
    with pytest.raises(EngineError, match=r"^Ray cannot go on: its sleep has died; finished"):
        dog.check()
    with dog.ending():
        pass


def test_nothing_is_left_after_the_end(processes: list[subprocess.Popen[bytes]]) -> None:
    dog = Watchdog()
    with dog.ending():
        assert dog._shell.poll() is not None
        assert [process.poll() for process in processes] == [None, None]
        processes[1].terminate()  # it ends by itself
    assert processes[0].wait(60) == -9
    assert processes[1].poll() is not None


def test_one_that_has_ended_is_not_waited_for(
    processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody asks for the exit codes of orphans, as in many a container."""
    monkeypatch.setattr(watchdog, "_PATIENCE_SECONDS", threading.TIMEOUT_MAX)
    with subprocess.Popen(["sh", "-c", "true & exec sleep 600"]) as careless:
        wait_for(lambda: [state_of(pid) for pid in descendants(careless.pid)] == ["Z"])
        dog = Watchdog()
        (orphan,) = descendants(careless.pid)
        dog._processes = [psutil.Process(orphan)]

        def end() -> None:
            with dog.ending():
                pass

        ending = threading.Thread(target=end, daemon=True)
        ending.start()
        ending.join(PATIENCE_SECONDS)
        careless.kill()
    assert not ending.is_alive()


def test_a_driver_that_is_killed_takes_the_cluster_with_it(
    processes: list[subprocess.Popen[bytes]],
) -> None:
    dog = Watchdog()
    assert os.getsid(dog._shell.pid) == dog._shell.pid, "Ctrl-C is not for it"
    assert dog._shell.stdin is not None
    dog._shell.stdin.close()  # as the system does when this process dies
    assert [process.wait(60) for process in processes] == [-9, -9]
    assert dog._shell.wait(60) is not None
