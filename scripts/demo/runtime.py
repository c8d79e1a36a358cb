"""Settings of the process that training speed depends on."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

import torch

# glibc's mallopt parameters: never give big blocks back to the kernel between two steps, since
# faulting them in again costs more than computing on them.
_TRIM_THRESHOLD: Final = (-1, 2**31 - 1)
_TOP_PAD: Final = (-2, 1 << 28)
_MMAP_THRESHOLD: Final = (-3, 1 << 30)


def prepare(threads: int) -> None:
    """Keep memory, fix the number of threads (results depend on it), forbid random kernels."""
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            for parameter, value in (_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD):
                libc.mallopt(parameter, value)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
