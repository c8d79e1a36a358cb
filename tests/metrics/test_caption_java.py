"""METEOR and SPICE: the reference's number, or none and the reason."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from llava_eval.metrics.differences import paired_metric
from llava_eval.metrics.means import mean_score
from llava_eval.results.summary import summarise
from llava_eval.results.tables import to_json, to_markdown, to_terminal
from llava_eval.scoring.captions.java import meteor, spice
from llava_eval.types import Generation, SampleResult, Score
from tests.results.helpers import make_result

REFERENCES = [
    (
        "A man with a red helmet on a small moped on a dirt road.",
        "Man riding a motor bike on a dirt road.",
    ),
    ('A dog\'s "barking" (loudly) at 3.5 m/s.', "It isn't a two-tone dog"),
    ("nothing happens | here || ||| there",),
    ("an empty scene",),
]
TEXTS = ["a man rides a red moped on a road", "the dogs bark loudly at 3.5 m/s!"]
TEXTS += ["here happens nothing", ""]
#: pycocoevalcap 1.2, PTBTokenizer and Meteor on the above.
METEOR = 0.2239185293993305


def results() -> list[SampleResult]:
    made = [
        make_result(row, target=target, generation=Generation(text))
        for row, (target, text) in enumerate(zip(REFERENCES, TEXTS, strict=True))
    ]
    return [*made, make_result(4, target=("x",), generation=Generation(None, error="e"))]


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a package without files, beside a Java that does not work."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\ncat > /dev/null\necho 'no such virtual machine' >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{java.parent}:/usr/bin:/bin")
    package = tmp_path / "pycocoevalcap"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))  # type: ignore[no-untyped-call, unused-ignore]
    return package


@pytest.mark.slow
def test_meteor_is_the_reference_s() -> None:
    if shutil.which("java") is None or importlib.util.find_spec("pycocoevalcap") is None:
        pytest.skip("needs Java and pycocoevalcap")
    # One sample was scored by another rule, whose answer is no caption.
    answered = Score(1.0, "yes", details={"has_reasoning": True})
    first, *others = results()
    metric = meteor([replace(first, score=answered), *others])
    assert metric.value == pytest.approx(100 * METEOR, abs=1e-6)
    assert (metric.num_samples, metric.unit, metric.note) == (4, "points", "")


def test_without_java_there_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for metric in (meteor(results()), spice(results())):
        assert (metric.value, metric.num_samples) == (None, 4)
        assert metric.note == "not available: there is no Java"


def test_missing_files_are_named(pretended: Path) -> None:
    assert meteor(results()).note == "not available: pycocoevalcap lacks meteor-1.5.jar"
    (pretended / "spice").mkdir()
    (pretended / "spice" / "spice-1.0.jar").touch()
    assert spice(results()).note == (
        "not available: pycocoevalcap lacks stanford-corenlp-3.6.0.jar, "
        "stanford-corenlp-3.6.0-models.jar"
    )


def test_a_program_that_fails_gives_its_own_words(pretended: Path) -> None:
    (pretended / "meteor").mkdir()
    (pretended / "meteor" / "meteor-1.5.jar").touch()
    metric = meteor(results())
    assert metric.value is None
    assert metric.note == "not available: METEOR failed: no such virtual machine"


def test_nothing_to_score_starts_nothing() -> None:
    hidden = make_result(0, target=(), generation=Generation("x"))
    assert meteor([hidden]).note == ""
    assert meteor([hidden]).value is None


def test_no_difference_is_taken_of_it() -> None:
    assert type(paired_metric(meteor, results(), results())).__name__ == "NoDifference"


def test_a_subset_says_that_it_is_one_in_every_table() -> None:
    scored = [
        make_result(row, score=Score(value=1.0, answer="x", details={"cider": 0.5}))
        for row in range(3)
    ]

    assert mean_score(scored, detail="cider", num_complete=3).note == ""
    summary = summarise(
        scored,
        {"CIDEr": lambda shown: mean_score(shown, detail="cider", unit="points", num_complete=5)},
        benchmark="b",
        model=None,
        facets=["duration"],
    )
    note = "over 3 of 5 samples, whose values depend on each other: not comparable with the"
    assert summary.metrics["CIDEr"].note.startswith(note)
    content = to_json(summary)
    assert content["metrics"]["CIDEr"]["note"].startswith(note)
    assert all("note" not in one["CIDEr"] for one in content["groups"]["duration"].values())
    assert "CIDEr: over 3 of 5 samples" in to_markdown(summary)
    assert "CIDEr: over 3 of 5 samples" in to_terminal(summary)
