"""The command line: finds the command, runs it, and reports any error or interrupt as one line.

Only the standard library and light modules of ours are imported at the top, because
``llava-eval --help`` must answer at once, while torch, transformers and Hydra take seconds. The
commands, each with its own parser and help, are in :mod:`llava_eval.commands`.
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
#: Exit code of a command that was ended by SIGPIPE, as shells report it.
_BROKEN_PIPE = 141
#: Commands whose exit code 1 is a verdict on runs: an error that prevents the verdict gives 2.
_VERDICTS = ("gate", "frames", "audit", "doctor")
#: Error numbers of a disk that cannot be written.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - to the process's end
    if isinstance(sys.stdout, io.TextIOWrapper):
        # characters that the terminal cannot encode are shown as escapes, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupts)
        sys.unraisablehook = _interrupts.repeat_lost
        # Python removes the handler at exit; a Ctrl-C would then replace the exit code.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    exit_code = run_command(list(sys.argv[1:] if argv is None else argv))
    _interrupts.exit_code = exit_code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if any(thread.name == "decode-ahead" for thread in threading.enumerate()):
        # If a thread returns from torch while Python is exiting, the thread is ended by force, and
        # that aborts the process: "terminate called without an active exception".
        os._exit(exit_code)
    sys.exit(exit_code)


class _Interrupts:
    """The handler of Ctrl-C: the first one ends the command, later ones do not disturb its cleanup.

    A further Ctrl-C after a few seconds exits at once. A Ctrl-C that arrives while a destructor
    runs would be lost, because Python ignores exceptions raised there; it is repeated.
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
        if self._is_repeating:  # it is repeated anyway, and Python would ignore one raised here
            return
        if self._first is None or not _is_ending(sys.exc_info()[1]):
            self._first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._first > self.PATIENCE_SECONDS:
            os._exit(_INTERRUPTED)

    def repeat_lost(self, ignored: sys.UnraisableHookArgs) -> None:
        """Replacement of ``sys.unraisablehook`` that repeats a Ctrl-C which Python ignored."""
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(ignored)
            return
        self._is_repeating = True
        try:
            # sent to the main thread itself, to interrupt a blocking call there
            main = (threading.main_thread().ident, signal.SIGINT)
            again = threading.Timer(self._REPEAT_SECONDS, signal.pthread_kill, main)
            again.daemon = True
            again.start()
        finally:
            self._is_repeating = False


def _is_ending(error: BaseException | None) -> bool:
    """Return whether the exception being handled is a Ctrl-C or was caused by one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


_interrupts = _Interrupts()


def run_command(argv: Sequence[str]) -> int:
    """Run one command and return its exit code; an error or interrupt prints one line.

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
        _drop_output()  # `llava-eval list | head`: the reader is gone
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
    """Discard all further output: Python would try to write buffered output at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(name: str | None, words: Sequence[str]) -> int:
    """Run the named command, or ``run`` if there is none."""
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
    """Remove and return the command, the first word that is no option; None if it is a setting."""
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
