"""The code and the machine of this process, as a manifest records them."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import llava_eval

#: Packages whose version can change a score or a time.
PACKAGES = (
    *("torch", "torchvision", "transformers", "tokenizers", "safetensors", "av", "numpy", "pandas"),
    *("pillow", "datasets", "hydra-core", "scipy"),
    *("accelerate", "bitsandbytes", "torchao", "flash-attn", "flash-attn-4"),
)


@functools.cache  # a run calls it three times, and each package's metadata is parsed
def versions() -> Mapping[str, str]:
    """Return the versions of llava_eval, Python and the installed ones of :data:`PACKAGES`."""
    result = {"llava_eval": llava_eval.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            result[name] = importlib.metadata.version(name)
    return result


def git_commit() -> str | None:
    """Return the commit of llava_eval's checkout, followed by "+changes" if files were modified.

    None if the code is not in a checkout (an installed wheel), or git is missing.
    """
    folder = Path(llava_eval.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    describe = ("describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+changes")
    command = ["git", f"--git-dir={folder / '.git'}", f"--work-tree={folder}", *describe]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Return facts about the machine that need no import of torch."""
    return {
        "platform": platform.platform(),
        "processor": processor_name(),
        "num_cpus": os.cpu_count(),
        "hostname": platform.node(),
    }


def processor_name() -> str:
    """Return the CPU's product name if the system reports it, or else its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_host_memory_bytes() -> int:
    """Return the largest resident set of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
