"""What a manifest says of the code and the machine."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import llava_eval
from llava_eval.results import environment


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_told_with_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "llava_eval" / "__init__.py"
    module.parent.mkdir()
    module.write_text("")
    monkeypatch.setattr(llava_eval, "__file__", str(module))
    assert environment.git_commit() is None
    git(tmp_path, "init", "-q")
    assert environment.git_commit() is None, "a repository without a commit"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert environment.git_commit() == commit
    (tmp_path / "new.txt").write_text("not tracked: a result, a note")
    assert environment.git_commit() == commit
    module.write_text("a = 1\n")
    assert environment.git_commit() == f"{commit}+changes"
    # As in a container, whose user owns no checkout of the host, and in a hook of another one.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert environment.git_commit() == f"{commit}+changes"
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert environment.git_commit() == f"{commit}+changes"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_machine_is_told() -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    assert environment.machine() == {
        "platform": platform.platform(),
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "num_cpus": os.cpu_count(),
        "hostname": platform.node(),
    }
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = environment.peak_host_memory_bytes()
    assert kilobytes * 1024 <= found <= kilobytes * 1024 * 1.5
