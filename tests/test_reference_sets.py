"""Whole sets, from rows and raw replies to the numbers, against what the references print.

Each file of golden_sets is {"rows": [...], "replies": [[sample id, text], ...], "metrics": {...}};
the metrics are those of the references in our unit, up to "printed_to" where they are rounded;
"groups" holds those by facet and level. See scoring/golden/README.md.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.test_score_protocols import ledger, scored

SETS = sorted((Path(__file__).parent / "golden_sets").glob("*.json.gz"))


@pytest.mark.slow
@pytest.mark.parametrize("path", SETS, ids=[path.name.removesuffix(".json.gz") for path in SETS])
def test_a_set_gives_the_numbers_of_its_reference(tmp_path: Path, path: Path) -> None:
    content: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    lines = [{"id": name, "text": text} for name, text in content["replies"]]
    name = path.name.partition(".")[0].replace("__", "/")
    summary = scored(tmp_path, name, content["rows"], *lines).summary
    assert len(ledger(tmp_path)) == len(lines)
    numbers = {metric: value.value for metric, value in summary.metrics.items()}
    for metric, value in content["metrics"].items():
        printed_to = content.get("printed_to", 1e-9)
        assert numbers[metric] == pytest.approx(value, rel=1e-9, abs=printed_to), metric
    for facet, levels in content.get("groups", {}).items():
        for level, values in levels.items():
            ours = {metric: value.value for metric, value in summary.groups[facet][level].items()}
            expected = pytest.approx(values, rel=1e-9, abs=content["groups_printed_to"])
            assert {metric: ours[metric] for metric in values} == expected, (facet, level)


@pytest.mark.slow
def test_a_gain_needs_what_was_right_before(tmp_path: Path) -> None:
    path = Path(__file__).parent / "golden_sets" / "videommmu__official.json.gz"
    content = json.loads(gzip.decompress(path.read_bytes()))
    lines = [{"id": name, "text": text} for name, text in content["replies"]]
    (tmp_path / "given").mkdir()
    (tmp_path / "none").mkdir()
    bare = scored(tmp_path / "none", "videommmu/official", content["rows"], *lines).summary
    assert bare.metrics["delta_knowledge"].value is None
    assert "the accuracy before" in bare.metrics["delta_knowledge"].note
    before = "benchmark.metrics.delta_knowledge.before=20"
    given = scored(tmp_path / "given", "videommmu/official", content["rows"], *lines, more=[before])
    after = bare.metrics["adaptation"].value
    assert after is not None
    expected = pytest.approx((after - 20) / (100 - 20) * 100)
    assert given.summary.metrics["delta_knowledge"].value == expected
