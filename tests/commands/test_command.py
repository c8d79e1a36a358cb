"""Parsing of a command's words."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

import llava_eval.commands.evaluate  # noqa: F401 - registers "run"
from llava_eval.commands.command import (
    COMMANDS,
    CONFIG_DIR,
    JSON,
    OVERRIDES,
    VERBOSITY,
    Command,
    HelpShown,
    Parser,
    argument,
    number_argument,
    path_argument,
)
from llava_eval.errors import ConfigError


def act(arguments: argparse.Namespace) -> int:
    """Do it.

    At once,
        or later.
    """
    return 0


COMMAND = Command(
    act,
    "[key=value ...]",
    (
        OVERRIDES,
        *VERBOSITY,
        JSON,
        CONFIG_DIR,
        path_argument("--out", "FILE", "where"),
        number_argument("--alpha", "A", "how much", default=0.05),
        number_argument("--num", "N", "how many", type=int, required=False),
    ),
)
PLAIN = {
    "overrides": [],
    "verbosity": 0,
    "json": False,
    "config_dir": Path("llava_eval_local"),
    "out": None,
    "alpha": 0.05,
    "num": None,
}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ([], {}),
        (["a=1"], {"overrides": ["a=1"]}),
        (["-q"], {"verbosity": -1}),
        (["-v"], {"verbosity": 1}),
        (
            ["a=1", "--json", "b=2", "-v"],
            {"overrides": ["a=1", "b=2"], "json": True, "verbosity": 1},
        ),
        (["--config-dir", "x"], {"config_dir": Path("x")}),
        (["--out", "y/z", "--alpha", "1e-3"], {"out": Path("y/z"), "alpha": 0.001}),
        (["--num", "3"], {"num": 3}),
        (["a=1", "--json", "--", "--b"], {"json": True, "overrides": ["a=1", "--b"]}),
        (["--", "a=1", "--b"], {"overrides": ["a=1", "--b"]}),
        (["--json", "--", "a=1", "-b", "c"], {"json": True, "overrides": ["a=1", "-b", "c"]}),
        (["--json", "--", "a=1"], {"json": True, "overrides": ["a=1"]}),
        (["a=1", "--"], {"overrides": ["a=1"]}),
        (["--a text"], {"overrides": ["--a text"]}),
    ],
)
def test_options_stand_anywhere(words: list[str], changes: dict[str, object]) -> None:
    parsed = vars(Parser("do", COMMAND).parsed(words))
    assert {key: parsed[key] for key in changes} == changes
    assert {
        key: Path(value) if key == "config_dir" else value
        for key, value in parsed.items()
        if key not in changes
    } == {key: value for key, value in PLAIN.items() if key not in changes}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jso"], "there is no option '--jso'"),
        (["--num", "3", "--no-such", "x", "a=1"], "there is no option '--no-such'"),
        (["--config-dir"], "--config-dir needs a folder"),
        (["--config-dir", ""], "--config-dir needs a folder"),
        (["--alpha", "x"], "argument --alpha: invalid float value: 'x'"),
        (["--num", "1.5"], "argument --num: invalid int value: '1.5'"),
    ],
)
def test_a_mistake_is_one_line_with_the_usage(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Parser("do", COMMAND).parsed(words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["more"], "do: there is no use for 'more'; usage: llava-eval do"),
        ([""], "do: there is no use for ''; usage: llava-eval do"),
        (["-x"], "do: there is no option '-x'; usage: llava-eval do"),
    ],
)
def test_what_a_command_has_no_use_for(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        Parser("do", Command(act, "", (JSON,))).parsed(["--json", *words])


def test_all_that_is_missing_is_named() -> None:
    command = Command(act, "RUN ID", (argument("run", metavar="RUN"), argument("id", metavar="ID")))
    for words, said in ([], "RUN, ID; usage: "), (["run"], "ID (one that begins with - stands"):
        with pytest.raises(ConfigError, match=re.escape(f"arguments are required: {said}")):
            Parser("do", command).parsed(words)
    with pytest.raises(HelpShown):
        Parser("do", command).parsed(["--no-such", "--help"])


def test_a_folder_may_lie_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    parsed = Parser("do", COMMAND).parsed(["--config-dir", "~/mine", "--out=~/x"])
    assert (parsed.config_dir, parsed.out) == (Path("/home/me/mine"), Path("/home/me/x"))


def test_the_help_is_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert (COMMAND.summary, COMMAND.details) == ("Do it.", "At once,\n    or later.")
    with pytest.raises(HelpShown):
        Parser("do", COMMAND).parsed(["--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("usage: llava-eval do [key=value ...]\n\nDo it.\n")
    assert shown.endswith("\n\nAt once,\n    or later.\n")
    with pytest.raises(HelpShown):
        Parser("run", COMMAND).parsed(["-h"])
    names = capsys.readouterr().out.partition("other commands: ")[2]
    assert [name.strip() for name in names.split(",")] == [n for n in COMMANDS if n != "run"]
