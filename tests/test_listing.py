"""``llava-eval list``."""

from __future__ import annotations

from pathlib import Path

import pytest

from llava_eval.config.catalogue import KINDS, listing_text
from llava_eval.config.groups import list_choices
from llava_eval.errors import ConfigError


def entry(text: str, name: str) -> str:
    """Return what is listed of one benchmark, on one line."""
    lines = text.split("\n")
    start = lines.index(f"  {name}")
    rest = lines[start + 1 :]
    end = next((number for number, line in enumerate(rest) if not line.startswith("    ")), None)
    return " ".join(line.strip() for line in rest[:end])


def test_every_benchmark_is_there_in_80_columns() -> None:
    text = listing_text("benchmarks")
    assert max(map(len, text.splitlines())) <= 80
    for name in list_choices("benchmark"):
        assert f"  {name}\n" in text
        assert "questions:" in entry(text, name)
        assert "licence:" in entry(text, name), name


def test_what_one_must_know_before_choosing() -> None:
    text = listing_text("benchmarks")
    found = entry(text, "activitynet_qa/lmms_eval_v0_2")
    assert "questions: 8000" in found
    assert "published: accuracy 52.72 (experiment=lmms_eval_v0_2_activitynet_qa)" in found
    assert "access:" in found
    assert "rows: hub://lmms-lab/ActivityNetQA" in found
    assert "by hand:" in entry(text, "tgif_qa/video_chatgpt")
    assert "published" not in entry(text, "demo/caption")


def test_ones_own_benchmark_is_listed(tmp_path: Path) -> None:
    own = tmp_path / "benchmark" / "mine"
    own.mkdir(parents=True)
    (own / "official.yaml").write_text(
        "# @package _global_\ndefaults:\n  - /benchmark/activitynet_qa/_rows\n"
        "benchmark:\n  name: mine/official\n  num_rows: 7\n"
    )
    found = entry(listing_text("benchmarks", tmp_path), "mine/official")
    assert "questions: 7" in found
    assert "hub://lmms-lab/ActivityNetQA" in found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_heading(kind: str) -> None:
    assert listing_text(kind).startswith(f"{kind} (")
    assert f"{kind} (" in listing_text(None)


def test_unknown_kind() -> None:
    with pytest.raises(ConfigError, match="did you mean 'models'"):
        listing_text("model")
