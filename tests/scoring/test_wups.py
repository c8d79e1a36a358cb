"""WUPS against the official script, and without the packages that it needs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from llava_eval.errors import ConfigError
from llava_eval.scoring.wups.english import check_english, pywsd_words
from llava_eval.scoring.wups.wups import Wups
from llava_eval.types import Sample
from tests.conftest import slow

GOLDEN = Path(__file__).parent / "golden" / "wups.jsonl"


def has_packages() -> bool:
    try:
        check_english()
    except ConfigError:
        return False
    return True


needs_packages = pytest.mark.skipif(not has_packages(), reason="needs the extra wups")


def sample(answer: str, additional: str | None = None, kind: str = "CW") -> Sample:
    targets = (answer,) if additional is None else (answer, additional)
    return Sample(id="1", row=0, group="v", content=("q",), targets=targets, facets={"type": kind})


@needs_packages
@pytest.mark.parametrize("part", [0, *map(slow, range(1, 4))])
def test_values_of_the_official_script(part: int) -> None:
    from llava_eval.scoring.wups.wups import content_words

    official, lmms_eval = Wups(), Wups(additional_threshold=0.0)
    lines = GOLDEN.read_text(encoding="utf-8").strip().split("\n")
    assert len(lines) > 400
    for line in lines[part::4]:
        row = json.loads(line)
        kind = "TN" if row["type"] == "TP" else row["type"]
        asked = sample(row["answer"], row["add"], kind)
        score = official.score(row["pred"], asked)
        assert content_words(row["pred"]) == row["words"], row
        assert score.value == pytest.approx(row["wups_0"], abs=1e-12), row
        assert score.details["wups_0_9"] == pytest.approx(row["wups_0_9"], abs=1e-12), row
        theirs = lmms_eval.score(row["pred"], asked).details["wups_0_9"]
        assert theirs == pytest.approx(row["lmms_0_9"], abs=1e-12), row


@needs_packages
def test_yes_no_and_counting_answers_must_be_equal() -> None:
    assert Wups().score("no", sample("no", kind="DB")).value == 1.0
    assert Wups().score("No.", sample("no", kind="DB")).value == 0.0
    assert Wups().score("two", sample("2", "two", kind="DC")).value == 1.0
    assert Wups().score("couple", sample("2", "two", kind="DC")).value == 0.0


@needs_packages
def test_an_empty_reply_is_unreadable() -> None:
    score = Wups().score("the", sample("dog"))
    assert (score.value, score.answer, score.unreadable) == (0.0, None, True)


@needs_packages
def test_a_sample_without_a_type_is_a_mistake_of_the_configuration() -> None:
    untyped = Sample(id="1", row=0, group="v", content=("q",), targets=("x",))
    with pytest.raises(ConfigError, match=r"facet 'type'.*benchmark\.facets"):
        Wups().score("x", untyped)


@pytest.mark.parametrize("package", ["nltk", "punkt", "wn"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, *rest: str | None) -> object:
        present = name != package and name in ("nltk", "punkt")
        return find("json") if present else None if name == package else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(ConfigError, match=rf"{package}.*pip install 'llava-eval\[wups\]'"):
        Wups()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He's gonna leave.", ["He", "'s", "gon", "na", "leave", "."]),
        ('say "hi" (now)', ["say", "``", "hi", "''", "(", "now", ")"]),
        ("cannot, can't; 3.5", ["can", "not", ",", "ca", "n't", ";", "3.5"]),
        ("a*b .. c...", ["a*b", "..", "c", "..."]),
    ],
)
def test_words_are_split_as_pywsd_splits_them(text: str, words: list[str]) -> None:
    assert pywsd_words(text) == words
