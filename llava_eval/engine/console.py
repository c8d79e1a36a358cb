"""The package's messages: on stderr above the progress bar, and in the run's run.log."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from llava_eval.borders.paths import reason
from llava_eval.errors import ConfigError, LlavaEvalError, defect_line, without_secrets
from llava_eval.results import files
from llava_eval.results.formatting import printable


@contextmanager
def messages_shown(verbosity: int = 0) -> Iterator[None]:
    """Send the package's messages to stderr, above the progress bar, and to the run's run.log.

    Args:
        verbosity: -1 shows neither progress nor information, 1 shows details too.
    """
    logger = logging.getLogger("llava_eval")
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers = [_TerminalHandler(), _FileHandler()]
    for handler in logger.handlers:
        handler.addFilter(_make_safe)
    logger.setLevel({-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}[verbosity])
    logger.propagate = False
    # One process draws bars. tqdm's own lock is for several, and from Python 3.14 on it is told of
    # as a leak where a command has to leave without tidying up.
    tqdm.set_lock(threading.RLock())
    # At every start torchao makes torch say what concerns torchao's authors alone, and for every
    # layer bitsandbytes says that its 8-bit products take float16.
    for name in ("torch.utils._pytree", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)


def _make_safe(record: logging.LogRecord) -> bool:
    """Make a message one line that no terminal or CI server acts upon, without secrets."""
    record.msg = printable(without_secrets(record.getMessage()))
    record.args = ()
    return True


class _TerminalHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write one message, unless it is for the file alone."""
        if not getattr(record, "is_for_file", False):
            tqdm.write(f"llava-eval: {self.format(record)}", file=sys.stderr)


class _FileHandler(logging.Handler):
    """Appends messages to run.log, from the one that names the run's directory on.

    What came before it is kept until then: a mistake that is found early leaves no file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._lines: list[str] = []
        self._path: Path | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Append one message; a file that cannot be written stops no run."""
        directory: Path | None = getattr(record, "run_directory", None)
        if directory is not None:
            self._path = directory / files.LOG
        self._lines.append(self.format(record))
        if self._path is None:
            return
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in self._lines)
        self._lines.clear()


def say(message: str) -> None:
    """Print one line to stderr that no terminal or CI server acts upon, without secrets."""
    tqdm.write(f"llava-eval: {printable(without_secrets(message))}", file=sys.stderr)


def ended_by(error: BaseException) -> int:
    """Say in one line by which error a run or a command ends, and return its exit code."""
    if isinstance(error, LlavaEvalError):
        say(str(error))
        return error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        say(f"{os.fsdecode(error.filename)}: {reason(error)}")
        return ConfigError.exit_code
    say(defect_line(error))
    return os.EX_SOFTWARE
