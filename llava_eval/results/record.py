"""The record of a run as it goes on: its manifest, with versions, machine and stage times."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

import llava_eval
from llava_eval.errors import LlavaEvalError, without_secrets
from llava_eval.results import files
from llava_eval.results.identity import digest
from llava_eval.results.manifest import Manifest
from llava_eval.types import SampleResult

#: Packages whose version can move a number or a time.
PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "safetensors",
    "av",
    "numpy",
    "pandas",
    "pillow",
    "datasets",
    "hydra-core",
    "scipy",
    "accelerate",
    "bitsandbytes",
    "torchao",
    "flash-attn",
    "flash-attn-4",
)


_ADDRESS = re.compile(r"(?:https?|ftp)[:;]", re.IGNORECASE)


def _now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of llava_eval, Python and every package of note that is installed."""
    result = {"llava_eval": llava_eval.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result


def git_commit() -> str | None:
    """Return the commit of the checkout that llava_eval runs from, "+changes" where it has any.

    None where it does not run from a checkout (an installed wheel), or git is missing.
    """
    folder = Path(llava_eval.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Return what is known of the machine without importing torch."""
    return {
        "platform": platform.platform(),
        "processor": processor_name(),
        "num_cpus": os.cpu_count(),
        "hostname": platform.node(),
    }


def processor_name() -> str:
    """Return the CPU's product name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_host_memory_bytes() -> int | None:
    """Return the largest resident set of this process so far; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _largest(*sizes: int | None) -> int | None:
    return max((size for size in sizes if size is not None), default=None)


def provenance(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says first: whose run it is, and by which code it was made."""
    return {
        "fingerprint": digest(identity),
        "identity": identity,
        "versions": versions(),
        "git_commit": git_commit(),
    }


def amount(results: Sequence[SampleResult], seconds: float) -> dict[str, Any]:
    """Return what a manifest says of how much was generated.

    Args:
        results: of this process.
        seconds: that it took.
    """
    num_tokens = sum(result.generation.num_output_tokens or 0 for result in results)
    return {
        "num_generated": len(results),
        "num_output_tokens": num_tokens,
        "output_tokens_per_second": round(num_tokens / seconds, 3),
    }


def _told(value: Any) -> Any:
    """Return a part of a configuration with addresses as they may be told."""
    if isinstance(value, Mapping):
        return {name: _told(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    is_address = isinstance(value, str) and _ADDRESS.match(value)
    return without_secrets(value) if is_address else value


class RunRecord:
    """Writes the manifest of one run as it goes on; its block's end is the run's.

    The last status is "finished" (or what :meth:`end_as` says), "interrupted" after Ctrl-C, or
    "failed" after an error of ours. What fails before :meth:`begin` leaves no manifest.

    Args:
        directory: the run directory.
        content: what is known from the start: identity, configuration, labels.
        earlier: the manifest that an earlier process left; what it holds is kept.
        stage_seconds: by stage of this process; read whenever the manifest is written.

    Attributes:
        directory: the run directory.
        is_written: this process has written the manifest.
    """

    def __init__(
        self,
        directory: Path,
        content: Mapping[str, Any],
        earlier: Manifest | None,
        stage_seconds: Mapping[str, float],
    ) -> None:
        self.directory = directory
        self._end = "finished"
        self._earlier = {} if earlier is None else dict(earlier.content)
        self._content = {**content, "config": _told(content["config"])}
        self._stage_seconds = stage_seconds
        self._session: dict[str, Any] = {
            "started": _now(),
            "command": [*map(without_secrets, sys.argv)],
            "process_id": os.getpid(),
            "machine": machine(),
        }
        self._start = time.perf_counter()
        self.is_written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self.write(self._end)
        elif isinstance(error, KeyboardInterrupt) and self.is_written:
            self.write("interrupted")
        elif isinstance(error, LlavaEvalError) and self.is_written:
            with contextlib.suppress(LlavaEvalError):
                self.write("failed")

    def begin(self, config: Mapping[str, Any], model: Mapping[str, Any]) -> None:
        """Write config.yaml and the first manifest: from here on the run can be continued.

        Args:
            config: resolved values of the configuration.
            model: what was loaded; empty where nothing was.

        Raises:
            StorageError: they cannot be written.
        """
        if model:
            self.add(model=dict(model))
        text = yaml.safe_dump(_told(config), sort_keys=False, allow_unicode=True, width=100)
        files.write_text(self.directory / files.CONFIG, text)
        self.write("running")

    def end_as(self, status: str) -> None:
        """Say what the manifest will hold as the status of a run without errors."""
        self._end = status

    def add_work(self, **work: Any) -> None:
        """Add facts about this process's own share, for instance how much it generated."""
        self._session.update(work)

    def add(self, **content: Any) -> None:
        """Add facts that the next write will hold."""
        self._content.update(content)

    def write(self, status: str) -> None:
        """Replace the manifest.

        Raises:
            StorageError: it cannot be written.
        """
        self._session.update(
            ended=_now(),
            wall_seconds=round(time.perf_counter() - self._start, 3),
            stage_seconds={name: round(s, 3) for name, s in self._stage_seconds.items()},
            peak_host_memory_bytes=_largest(
                self._session.get("peak_host_memory_bytes"), peak_host_memory_bytes()
            ),
        )
        files.write_json(
            self.directory / files.MANIFEST,
            {
                **self._earlier,
                "status": status,
                **self._content,
                "sessions": [*self._earlier.get("sessions", []), self._session],
            },
        )
        self.is_written = True
