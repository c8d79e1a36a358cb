"""Whole sets, from rows and raw replies to the numbers, against what the references print.

Each file of golden_sets is {"rows": [...], "replies": [[sample id, text], ...], "metrics": {...}};
the metrics are the references' own, scaled to our unit. See scoring/golden/README.md.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.test_score_protocols import ledger, scored

SETS = sorted((Path(__file__).parent / "golden_sets").glob("*.json.gz"))


@pytest.mark.parametrize("path", SETS, ids=[path.name.partition(".")[0] for path in SETS])
def test_a_set_gives_the_numbers_of_its_reference(tmp_path: Path, path: Path) -> None:
    content: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    lines = [{"id": name, "text": text} for name, text in content["replies"]]
    name = path.name.partition(".")[0].replace("__", "/")
    summary = scored(tmp_path, name, content["rows"], *lines).summary
    assert len(ledger(tmp_path)) == len(lines)
    numbers = {metric: value.value for metric, value in summary.metrics.items()}
    for metric, value in content["metrics"].items():
        assert numbers[metric] == pytest.approx(value, rel=1e-9, abs=1e-9), metric
