"""What a manifest says of the code, the machine and how much was generated."""

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
from llava_eval.results import record
from llava_eval.types import Generation
from tests.results.helpers import make_result


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
    assert record.git_commit() is None
    git(tmp_path, "init", "-q")
    assert record.git_commit() is None, "a repository without a commit"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert record.git_commit() == commit
    (tmp_path / "new.txt").write_text("not tracked: a result, a note")
    assert record.git_commit() == commit
    module.write_text("a = 1\n")
    assert record.git_commit() == f"{commit}+changes"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_machine_is_told() -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    assert record.machine() == {
        "platform": platform.platform(),
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "num_cpus": os.cpu_count(),
        "hostname": platform.node(),
    }
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = record.peak_host_memory_bytes()
    assert found is not None
    assert kilobytes * 1024 <= found <= kilobytes * 1024 * 1.5


def test_what_was_generated_is_counted() -> None:
    results = [
        make_result(0, generation=Generation("a", 100, 2, "eos")),
        make_result(1, generation=Generation(None, error="E: x")),
        make_result(2, generation=Generation("b", 10, 5, "eos")),
    ]
    assert record.amount(results, 3.0) == {
        "num_generated": 3,
        "num_output_tokens": 7,
        "output_tokens_per_second": 2.333,
    }
    assert record.amount([], 3.0)["output_tokens_per_second"] == 0.0


def test_the_code_is_told_first() -> None:
    told = record.provenance({"seed": 1})
    assert list(told) == ["fingerprint", "identity", "versions", "git_commit"]
    assert told["identity"] == {"seed": 1}
    assert told["fingerprint"] != record.provenance({"seed": 2})["fingerprint"]
    assert told["versions"]["python"] == platform.python_version()
    assert told["versions"]["llava_eval"] == llava_eval.__version__
    assert told["git_commit"] == record.git_commit()
