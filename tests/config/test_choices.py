"""Wording of what is on offer: what was meant, a listing, a quoted value."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from llava_eval.config.choices import (
    let_import,
    list_choices,
    list_groups,
    listing,
    quoted,
    search_path_override,
    suggest,
)
from llava_eval.errors import ConfigError
from llava_eval.results.runs import targets_in


@pytest.mark.parametrize(
    ("word", "choices", "meant"),
    [
        ("unifrom", ["uniform", "fps"], "uniform"),
        ("unifrom", ["uniforms", "uniform"], "uniform"),
        ("001", ["001-1", "090-1", "900-1"], "001-1"),
        ("xyz", ["uniform", "fps"], None),
        ("model_13b", ["model_7b"], None),
        ("modle_7b", ["model_7b", "model_13b"], "model_7b"),
        ("model_0.5b", ["model_5b"], None),
        ("modle_0.5B", ["model_0.5b"], "model_0.5b"),
        ("LMMS", ["videomme/lmms_eval", "videomme/official"], "videomme/lmms_eval"),
        ("lmms", ["videomme/lmms_eval", "mvbench/lmms_eval"], None),
        ("GQA", ["gqa/llava", "vqav2/official"], "gqa/llava"),
        ("", ["a"], None),
        ("a", [], None),
    ],
)
def test_the_closest_is_suggested(word: str, choices: list[str], meant: str | None) -> None:
    assert suggest(word, choices) == ("" if meant is None else f" (did you mean {meant!r}?)")


def test_all_protocols_of_a_benchmark_are_suggested() -> None:
    choices = ["gqa/llava", "gqa/lmms_eval", "gqa_2/llava"]
    assert suggest("gqa", choices) == " (did you mean 'gqa/llava' or 'gqa/lmms_eval'?)"


def test_a_long_listing_is_cut() -> None:
    names = [f"n{number}" for number in range(32)]
    assert listing([]) == "none"
    assert listing(["b", "a", "b"]) == "b, a"
    assert listing(names[:30]) == ", ".join(names[:30])
    assert listing(names[:31]) == ", ".join(names[:30]) + ", and 1 more"
    assert listing(names) == ", ".join(names[:30]) + ", and 2 more"


@pytest.mark.parametrize(
    "value", ["", "it's", r"a\b", r"\'", "c\\", r"a\\'b\\c'", "a\\\n", "a, b = {c} [d]", "é\u2028"]
)
def test_hydra_reads_a_quoted_value_as_it_was(value: str) -> None:
    override = OverridesParser.create().parse_override(f"key={quoted(value)}")
    assert override.value() == value


def test_a_users_folder_stands_beside_the_packaged_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    (mine / "sampler" / "deep").mkdir(parents=True)
    for name in ("one.yaml", "deep/two.yaml", "_shared.yaml", "three.txt"):
        (mine / "sampler" / name).touch()
    (mine / "mygroup").mkdir()
    more = set(list_choices("sampler", mine)) - set(list_choices("sampler"))
    assert more == {"one", "deep/two"}
    assert list_choices("sampler", mine) == sorted(list_choices("sampler", mine))
    assert set(list_groups(mine)) - set(list_groups()) == {"mygroup"}
    assert list_groups(tmp_path / "none") == list_groups(None) == list_groups()
    assert search_path_override(None) == search_path_override(Path("llava_eval_local")) == []
    (mine / "sampler" / ".#one.yaml").symlink_to("me@host.1")  # as Emacs does while it edits
    assert set(list_choices("sampler", mine)) - set(list_choices("sampler")) == more
    assert list(targets_in(mine)) == []
    for typed in (mine, Path("mine")):
        assert search_path_override(typed) == [f"hydra.searchpath=['file://{mine}']"]
    with pytest.raises(ConfigError, match="--config-dir: there is no folder nowhere"):
        search_path_override(Path("nowhere"))
    (mine / "sampler" / "broken.yaml").symlink_to("gone.yaml")
    with pytest.raises(ConfigError, match=r"broken\.yaml is no file that can be read"):
        search_path_override(mine)
    Path("llava_eval_local").symlink_to("share/that/is/gone")
    with pytest.raises(ConfigError, match="there is no folder llava_eval_local"):
        search_path_override(Path("llava_eval_local"))
    monkeypatch.setattr(sys, "path", ["first"])
    for folder in (None, Path("nowhere"), Path("mine"), Path("mine")):
        let_import(folder)
    assert sys.path == ["first", str(mine)]


def test_settings_for_every_command_are_not_left_out_behind_a_link_to_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = Path("llava_eval_local")
    mine.mkdir()
    (mine / "data").symlink_to("gone")
    assert search_path_override(mine)
    (mine / "local").symlink_to("gone")
    with pytest.raises(ConfigError, match="llava_eval_local/local is a link, and there is no fold"):
        search_path_override(mine)


def test_modules_of_the_folder_given_last_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, mine, other = (tmp_path / name for name in ("chosen", "mine", "other"))
    for folder in (chosen, mine, other):
        folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(chosen), "packages"])
    let_import(mine)
    let_import(other)
    assert sys.path == [str(chosen), "packages", str(other), str(mine)]
    let_import(mine)
    assert sys.path == [str(chosen), "packages", str(mine), str(other)]
    let_import(chosen)  # somebody has put it where it is
    assert sys.path == [str(chosen), "packages", str(mine), str(other)]
