"""The command line: finds the command, runs it, and turns whatever ends it early into one line.

Only the standard library is imported at the top: ``llava-eval --help`` must answer at once, while
torch, transformers and Hydra take seconds. The commands, each with a parser and a help of its own,
are in :mod:`llava_eval.commands`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import llava_eval
from llava_eval.commands import COMMANDS, HelpShown, Parser
from llava_eval.config.choices import suggest
from llava_eval.errors import ConfigError, StorageError

OVERVIEW = """\
llava-eval: benchmark evaluation of LLaVA-NeXT-Video and other VLMs

  llava-eval [COMMAND] ...     without a command: run
  llava-eval COMMAND --help    options, keys and exit codes of a command

commands
{commands}

options
  --config-dir DIR   also find benchmarks, models, ... in this folder
  --version, --help

exit codes
  0    done
  1    samples failed, a regression, or a disk, a server or a network refuses
  2    a mistake in the command or its files; no model server at its address
  70   a defect of llava-eval; the line names a file with the traceback
  130  interrupted; finished samples are kept
"""

_INTERRUPTED = 130
#: What a shell gives for a command that SIGPIPE ended.
_BROKEN_PIPE = 141
#: Commands whose 1 says something of runs: what keeps them from saying it is 2.
_VERDICTS = ("gate", "frames", "audit", "doctor")
#: What the system says of a disk that takes no more.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the process
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - to the process's end
    if isinstance(sys.stdout, io.TextIOWrapper):
        # what a terminal's encoding lacks is shown as its code, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupts)
        sys.unraisablehook = _interrupts.repeat_lost
        # At its very end Python takes the handler away, and Ctrl-C would end it without its code.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    exit_code = run_command(list(sys.argv[1:] if argv is None else argv))
    _interrupts.exit_code = exit_code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if any(thread.name == "decode-ahead" for thread in threading.enumerate()):
        # A thread that comes back from torch after Python has begun to end is ended by force, and
        # that aborts the process: "terminate called without an active exception".
        os._exit(exit_code)
    sys.exit(exit_code)


class _Interrupts:
    """The handler of Ctrl-C: the first ends the command, and further ones do not break its end off.

    Who presses it once more after a while does not want to wait and leaves at once. One that was
    lost, because it came while a destructor ran and Python ignores what those raise, is repeated.
    """

    PATIENCE_SECONDS = 3.0
    _REPEAT_SECONDS = 0.05

    def __init__(self) -> None:
        self.exit_code: int | None = None  # once the command has ended
        self._first: float | None = None
        self._is_repeating = False

    def __call__(self, *_: object) -> None:
        """Handle one SIGINT."""
        if self.exit_code is not None:
            os._exit(self.exit_code)
        if self._is_repeating:  # it comes again anyway, and Python would ignore one raised here
            return
        if self._first is None or not _is_ending(sys.exc_info()[1]):
            self._first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._first > self.PATIENCE_SECONDS:
            os._exit(_INTERRUPTED)

    def repeat_lost(self, ignored: sys.UnraisableHookArgs) -> None:
        """Stand in for ``sys.unraisablehook``: let a Ctrl-C that Python ignores come again."""
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(ignored)
            return
        self._is_repeating = True
        try:
            # to the main thread itself: a call that waits there has to end
            main = (threading.main_thread().ident, signal.SIGINT)
            again = threading.Timer(self._REPEAT_SECONDS, signal.pthread_kill, main)
            again.daemon = True
            again.start()
        finally:
            self._is_repeating = False


def _is_ending(error: BaseException | None) -> bool:
    """Return whether what is being handled is, or came of, a Ctrl-C."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


_interrupts = _Interrupts()


def run_command(argv: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever ends it early prints one line.

    Args:
        argv: the words after ``llava-eval``.

    Returns:
        The exit code; see :data:`OVERVIEW`.
    """
    words, name = list(argv), None
    try:
        name = _taken_command(words)
        exit_code = _dispatch(name, words)
        sys.stdout.flush()
        return exit_code
    except BrokenPipeError:
        _drop_output()  # `llava-eval list | head`: nobody reads the rest
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        from llava_eval.engine.console import say

        say(
            "interrupted; finished samples are kept, and the same command with resume=true (or "
            "the same output_dir, of a sweep hydra.sweep.dir) continues"
        )
        return _INTERRUPTED
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the last net: defects of ours, too
        from llava_eval.engine.console import ended_by, say

        if isinstance(error, OSError) and error.filename is None and error.errno in _DISK_ERRORS:
            _drop_output()
            error = StorageError(f"what the command prints cannot be written: {error.strerror}")
        exit_code = ended_by(error)
        is_verdict = exit_code == 1 and name in _VERDICTS
        return ConfigError.exit_code if is_verdict else exit_code


def _drop_output() -> None:
    """Let nothing more be printed: Python would write what is left of it when it leaves."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(name: str | None, words: Sequence[str]) -> int:
    """Run a command, ``run`` where none is named."""
    if name is None and "--version" in words:
        print(f"llava-eval {llava_eval.__version__}")
        return 0
    if name is None and words[:1] in (["-h"], ["--help"]):
        lines = [f"  {name:<10} {item.summary.rstrip('.')}" for name, item in COMMANDS.items()]
        print(OVERVIEW.format(commands="\n".join(lines)), end="")
        return 0
    name = name or "run"
    command = COMMANDS[name]
    try:
        arguments = Parser(name, command).parsed(words)
    except HelpShown:
        return 0
    return command.function(arguments)


def _taken_command(words: list[str]) -> str | None:
    """Take the command, the first word that is no option, out of them; None where it is none."""
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] == "--config-dir" else 1
    if index >= len(words) or "=" in words[index]:
        return None
    if words[index] not in COMMANDS:
        raise ConfigError(
            f"there is no command {words[index]!r}{suggest(words[index], COMMANDS)}, and settings "
            f"are key=value without blanks; commands: {', '.join(COMMANDS)}; llava-eval --help"
        )
    return words.pop(index)


if __name__ == "__main__":
    main()
