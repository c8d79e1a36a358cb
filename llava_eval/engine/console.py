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
        verbosity: -1 shows warnings and errors only, 0 also progress, 1 also details.
    """
    logger = logging.getLogger("llava_eval")
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers = [_TerminalHandler(), _FileHandler()]
    for handler in logger.handlers:
        handler.addFilter(_make_safe)
    logger.setLevel({-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}[verbosity])
    logger.propagate = False
    # Only this process draws bars. tqdm's default lock also works across processes, but from Python
    # 3.14 on it is reported as a leak if a command has to exit without cleanup.
    tqdm.set_lock(threading.RLock())
    # At every start torchao makes torch log a deprecation that concerns only torchao's authors, and
    # for every layer bitsandbytes logs that its 8-bit products use float16.
    for name in ("torch.utils._pytree", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)


def _make_safe(record: logging.LogRecord) -> bool:
    """Make a message one line, without secrets or control codes of terminals and CI servers."""
    record.msg = printable(without_secrets(record.getMessage()))
    record.args = ()
    return True


class _TerminalHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write one message, unless it is meant only for the file."""
        if not getattr(record, "is_for_file", False):
            tqdm.write(f"llava-eval: {self.format(record)}", file=sys.stderr)


class _FileHandler(logging.Handler):
    """Appends messages to run.log once a message has named the run's directory.

    Earlier messages are buffered until then, so a mistake that is found early leaves no file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._lines: list[str] = []
        self._path: Path | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Append one message; an unwritable file does not stop the run."""
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
    """Print one line to stderr, without secrets and control codes."""
    tqdm.write(f"llava-eval: {printable(without_secrets(message))}", file=sys.stderr)


def ended_by(error: BaseException) -> int:
    """Print the error that ends a run or command as one line, and return the exit code."""
    if isinstance(error, LlavaEvalError):
        say(str(error))
        return error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        say(f"{os.fsdecode(error.filename)}: {reason(error)}")
        return ConfigError.exit_code
    say(defect_line(error))
    return os.EX_SOFTWARE
