"""Every image rule against the values of its reference, reply by reply and set by set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llava_eval.config.choices import list_choices
from llava_eval.config.compose import compose_config
from llava_eval.run import score
from llava_eval.types import MetricValue
from tests.conftest import slow, write_lines
from tests.scoring.image.golden import golden
from tests.scoring.protocols import protocol

RULES = golden()["rules"]
SETS = golden()["sets"]
IMAGE_SETS = (
    *("vqav2", "gqa", "textvqa", "vizwiz", "okvqa", "scienceqa_img", "pope", "mme", "mmbench"),
    *("mmmu", "ai2d", "chartqa", "docvqa"),
)


#: One of each kind of rule.
QUICK = (
    *("textvqa/lmms_eval", "gqa/llava", "docvqa/lmms_eval", "pope/lmms_eval"),
    *("mme/lmms_eval", "scienceqa_img/lmms_eval", "mmmu/lmms_eval_v0_7_3", "mmbench/vlmevalkit"),
)


@pytest.mark.parametrize("name", [name if name in QUICK else slow(name) for name in RULES])
def test_a_rule_gives_the_values_of_its_reference(name: str) -> None:
    parts = protocol(name)
    # LLaVA's tables begin at its scoring script; what its inference script strips came before.
    rule = parts.scorer.score if name.endswith("/llava") else parts.score
    num_replies = 0
    for row, replies in RULES[name]:
        sample = parts.sample(row)
        for reply, value in replies:
            scored = rule(reply, sample)
            where = f"{name}: {reply!r} for {row}"
            if value == "random":
                assert scored.details.get("chosen_at_random") is True, where
                assert scored.value in (0.0, 1.0), where
            else:
                assert "chosen_at_random" not in scored.details, where
                assert scored.value == pytest.approx(value, abs=1e-12), where
            num_replies += 1
    assert num_replies > 190


def test_every_image_rule_has_a_table() -> None:
    names = {one for one in list_choices("benchmark") if one.partition("/")[0] in IMAGE_SETS}
    assert set(RULES) == names


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_a_set_gives_the_numbers_of_its_reference(tmp_path: Path, name: str) -> None:
    table = SETS[name]
    rows = write_lines(tmp_path / "rows.jsonl", table["rows"])
    texts = [{"row": number, "text": reply} for number, reply in enumerate(table["replies"])]
    generations = write_lines(tmp_path / "texts.jsonl", texts)
    overrides = [f"benchmark={name}", f"benchmark.source={rows}", f"output_dir={tmp_path / 'out'}"]
    summary = score(compose_config(overrides), generations).summary
    tolerance = table.get("tolerance", 1e-12)
    check(summary.metrics, table["metrics"], tolerance)
    for facet, levels in table["groups"].items():
        assert set(summary.groups[facet]) == set(levels)
        for level, numbers in levels.items():
            check(summary.groups[facet][level], numbers, tolerance)


def check(ours: Any, expected: dict[str, float], tolerance: float) -> None:
    for metric, value in expected.items():
        number = ours[metric]
        assert isinstance(number, MetricValue)
        assert number.value is not None
        scale = 100.0 if number.unit == "percent" else 1.0
        assert number.value / scale == pytest.approx(value, abs=tolerance), metric
