"""How a chat template that does harm is found out before it runs in this process."""

from __future__ import annotations

import os
import signal

import pytest

from llava_eval.models.local.template_limits import why_harmful


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGXCPU, "does not end (not done after 5 s)"),
        (signal.SIGSEGV, "ends the process (SIGSEGV)"),
        (signal.SIGKILL, "ends the process (SIGKILL)"),
    ],
)
def test_how_a_try_was_ended(number: signal.Signals, said: str) -> None:
    assert why_harmful(lambda: os.kill(os.getpid(), number)) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "fails: MemoryError: it asks for more than 256 MiB"),
        (ValueError("told again where it is handled"), None),
        (KeyboardInterrupt(), None),
        (None, None),
    ],
)
def test_what_a_try_raised(error: BaseException | None, said: str | None) -> None:
    def render() -> None:
        if error is not None:
            raise error

    assert why_harmful(render) == said
