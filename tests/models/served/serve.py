"""``transformers serve`` with one checkpoint, in a process of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import PATIENCE_SECONDS, start_process

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, prctl(2)


@contextmanager
def transformers_serve(checkpoint: Path, log: Path) -> Iterator[str]:
    """Serve a checkpoint in float32 on the CPU while the block runs; yield the base URL.

    Args:
        checkpoint: its folder; the server knows the model by this path.
        log: file for what the server writes.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start_process(_serve, str(checkpoint), port, log)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.is_alive(), log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def _serve(checkpoint: str, port: int, log: Path) -> None:
    """Run the command ``transformers serve`` in this process."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    import torch
    from transformers.cli.transformers import main

    torch.set_num_threads(1)
    sys.argv = ["transformers", "serve", checkpoint, "--device=cpu", "--dtype=float32"]
    sys.argv += ["--host=127.0.0.1", f"--port={port}"]
    main()
