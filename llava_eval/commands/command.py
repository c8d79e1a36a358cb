"""A command of the command line: a function, its arguments, and a parser for them."""

from __future__ import annotations

import argparse
import itertools
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from llava_eval.borders.paths import local_path
from llava_eval.config.choices import USERS_FOLDER
from llava_eval.errors import ConfigError

_Function = Callable[[argparse.Namespace], int]
_Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        function: runs the command and returns the exit code; its docstring is the help text.
        usage: its arguments as the usage line shows them.
        arguments: positional and keyword arguments for argparse's ``add_argument``, a pair each.
    """

    function: _Function
    usage: str
    arguments: Sequence[_Argument]

    @property
    def summary(self) -> str:
        """The first line of the help text."""
        return (self.function.__doc__ or "").partition("\n")[0]

    @property
    def details(self) -> str:
        """The other lines of the help text."""
        return textwrap.dedent((self.function.__doc__ or "").partition("\n")[2]).strip()


#: Every command by its name.
COMMANDS: dict[str, Command] = {}


def argument(*names: str, **settings: Any) -> _Argument:
    """Return a command's argument in the form that argparse's ``add_argument`` accepts."""
    return names, settings


def path_argument(name: str, metavar: str, purpose: str, **settings: Any) -> _Argument:
    """Return a command's argument whose value is a path."""
    return argument(name, type=_path, metavar=metavar, help=purpose, **settings)


def _path(word: str) -> Path:
    """Return the path that a word names; an empty word (an unset shell variable) is an error."""
    if not word:
        raise argparse.ArgumentTypeError("an empty word names no file or folder")
    return local_path(word)


def number_argument(name: str, metavar: str, purpose: str, **settings: Any) -> _Argument:
    """Return a command's argument whose value is a number."""
    return argument(name, metavar=metavar, help=purpose, **{"type": float, **settings})


def command(name: str, usage: str, *arguments: _Argument) -> Callable[[_Function], _Function]:
    """Register a function as a command."""

    def register(function: _Function) -> _Function:
        COMMANDS[name] = Command(function, usage, arguments)
        return function

    return register


class HelpShown(Exception):
    """The help was requested and has been printed."""


class Parser(argparse.ArgumentParser):
    """A parser that raises :class:`ConfigError` for mistakes; its help fits into 80 columns."""

    def __init__(self, name: str, command: Command) -> None:
        others = ", ".join(other for other in COMMANDS if other != "run")
        other_commands = "\n\n" + textwrap.fill(f"other commands: {others}", 80)
        super().__init__(
            prog=f"llava-eval {name}",
            usage=f"llava-eval {name} {command.usage}",
            description=command.summary,
            epilog=command.details + (other_commands if name == "run" else ""),
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=28, width=80
            ),
            allow_abbrev=False,
        )
        for names, settings in command.arguments:
            self.add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError instead of printing the usage and exiting, as argparse does."""
        name = self.prog.partition(" ")[2]
        if message.endswith("required: ID"):
            message += " (one that begins with - stands behind --)"
        raise ConfigError(f"{name}: {message}; usage: {self.usage}; {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise HelpShown instead of ending the process, as argparse does."""
        raise HelpShown

    def parsed(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the parsed arguments; options may come before, between and after the others.

        Raises:
            ConfigError: an argument is wrong, unknown or missing.
            HelpShown: help was requested and printed; nothing else is to be done.
        """
        if not words:
            return self.parse_args([])  # names all missing arguments; the call below does not
        given = [*itertools.takewhile(lambda word: word != "--", words)]
        if not {"-h", "--help"} & set(given):
            self._check_options(given)  # before an unknown option's value is read as an argument
        behind = words[len(given) + 1 :]
        plain = [*itertools.takewhile(lambda word: word[:1] != "-", behind)]
        if plain:  # argparse drops a -- before all positional arguments
            words = [*given, *plain, "--", *behind[len(plain) :]]
        arguments, rest = self.parse_known_intermixed_args(list(words))
        if rest:
            self.error(f"there is no {'option' if rest[0][:1] == '-' else 'use for'} {rest[0]!r}")
        return arguments

    def _check_options(self, words: Sequence[str]) -> None:
        known = self._option_string_actions
        for word in words:
            is_option = word.startswith("--") and " " not in word
            if is_option and word.partition("=")[0] not in known:
                self.error(f"there is no option {word!r}")


class _Folder(argparse.Action):
    """An option whose value is a folder; ConfigError if none is given."""

    def __call__(self, parser: Any, namespace: Any, value: Any, option: str | None = None) -> None:
        if not value:
            raise ConfigError(f"{option} needs a folder")
        setattr(namespace, self.dest, local_path(value))


OVERRIDES = argument(
    "overrides", nargs="*", metavar="key=value", help="a setting, or the choice of a group"
)


def _config_dir(purpose: str) -> _Argument:
    return argument(
        "--config-dir",
        nargs="?",
        action=_Folder,
        default=USERS_FOLDER,
        metavar="DIR",
        help=purpose,
    )


CONFIG_DIR = _config_dir(
    "also find benchmarks, models, ... and modules of your own in this folder (default: "
    f"{USERS_FOLDER})"
)
METRICS_DIR = _config_dir(
    f"also call your own metrics, named by files in this folder (default: {USERS_FOLDER}); nothing "
    "else that a run names is imported"
)
JSON = argument("--json", action="store_true", help="write JSON")

VERBOSITY = (
    argument(
        "-q",
        dest="verbosity",
        action="store_const",
        const=-1,
        default=0,
        help="show only warnings, errors and the table",
    ),
    argument(
        "-v", dest="verbosity", action="store_const", const=1, default=0, help="show details too"
    ),
)
