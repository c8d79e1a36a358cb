"""Every rule against the values of its reference; see golden/README.md."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import slow
from tests.scoring.protocols import protocol

GOLDEN = Path(__file__).parent / "golden"
TABLES = sorted(path.name for path in GOLDEN.glob("*__*.jsonl*"))


def lines_of(table: str) -> Iterator[Any]:
    path = GOLDEN / table
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


#: Protocols with the rule of another one that is here, or a kind of rule that a quick table has.
ALIKE = (
    *("blink__lmms_eval_v0_7_3", "charades_sta__lmms_eval", "cv_bench__lmms_eval"),
    *("hrbench_8k__lmms_eval", "longtimescope__lmms_eval", "mme_realworld_cn__lmms_eval"),
    *("mme_realworld_lite__lmms_eval", "mmmu_pro__vision", "motionbench__lmms_eval"),
    *("muirbench__lmms_eval", "realworldqa__lmms_eval", "seedbench__lmms_eval"),
    *("mmmu_pro__standard", "blink__lmms_eval", "countbenchqa__lmms_eval", "lvbench__official"),
    *("vinoground__official", "hrbench_4k__lmms_eval", "temporalbench__lmms_eval"),
    *("mlvu__official", "vsibench__official", "videoeval_pro__official_mcq"),
    *("vstar_bench__lmms_eval", "videommmu__official_question_only", "tvbench__lmms_eval"),
    *("videomme__lmms_eval_v0_2", "videomme_v2__lmms_eval_reasoning", "timescope__lmms_eval"),
    *("videomme_v2__official_reasoning", "videomme_v2__lmms_eval_v0_7_3", "timelens__official"),
    *("videomme_v2__lmms_eval_v0_7_3_reasoning", "videomme_v2__official"),
    *("videommmu__lmms_eval", "cgbench__lmms_eval"),
)


@pytest.mark.parametrize(
    "table", [slow(name) if name.partition(".")[0] in ALIKE else name for name in TABLES]
)
def test_a_rule_gives_the_values_of_its_reference(table: str) -> None:
    name = table.partition(".")[0].replace("__", "/")
    parts = protocol(name)
    num_replies = 0
    for content in lines_of(table):
        sample = parts.sample(content["row"])
        assert sample.prompt == content.get("prompt", sample.prompt)
        for reply, value in content["replies"]:
            score = parts.score(reply, sample)
            where = f"{name}: {reply!r} for {content['row']}"
            if value == "random":
                assert score.details.get("chosen_at_random") is True, where
                assert score.value in (0.0, 1.0), where
            else:
                assert "chosen_at_random" not in score.details, where
                assert score.value == value, where
            num_replies += 1
    assert num_replies > 200


def test_every_rule_has_a_table() -> None:
    covered = {table.partition(".")[0] for table in TABLES}
    assert covered == {
        "blink__lmms_eval",
        "blink__lmms_eval_v0_7_3",
        "cgbench__lmms_eval",
        "charades_sta__lmms_eval",
        "countbenchqa__lmms_eval",
        "cv_bench__lmms_eval",
        "egoschema__lmms_eval",
        "hrbench_4k__lmms_eval",
        "hrbench_8k__lmms_eval",
        "longtimescope__lmms_eval",
        "longvideobench__lmms_eval",
        "lvbench__lmms_eval",
        "lvbench__official",
        "mlvu__lmms_eval",
        "mlvu__official",
        "mme_realworld__lmms_eval",
        "mme_realworld_cn__lmms_eval",
        "mme_realworld_lite__lmms_eval",
        "mmmu_pro__standard",
        "mmmu_pro__vision",
        "mmstar__lmms_eval",
        "motionbench__lmms_eval",
        "muirbench__lmms_eval",
        "mvbench__lmms_eval",
        "mvbench__official",
        "nextqa_mc__lmms_eval",
        "ocrbench__lmms_eval",
        "perceptiontest__lmms_eval",
        "realworldqa__lmms_eval",
        "seedbench__lmms_eval",
        "tempcompass__lmms_eval",
        "tempcompass__official",
        "temporalbench__lmms_eval",
        "timelens__lmms_eval",
        "timelens__official",
        "timescope__lmms_eval",
        "tomato__lmms_eval",
        "tvbench__lmms_eval",
        "video_holmes__official",
        "videoeval_pro__official_mcq",
        "videomme__lmms_eval",
        "videomme__lmms_eval_v0_2",
        "videomme__official",
        "videomme__vlmevalkit",
        "videomme_v2__lmms_eval",
        "videomme_v2__lmms_eval_reasoning",
        "videomme_v2__lmms_eval_v0_7_3",
        "videomme_v2__lmms_eval_v0_7_3_reasoning",
        "videomme_v2__official",
        "videomme_v2__official_reasoning",
        "videommmu__lmms_eval",
        "videommmu__official",
        "videommmu__official_question_only",
        "vinoground__lmms_eval",
        "vinoground__official",
        "visulogic__lmms_eval",
        "vsibench__lmms_eval",
        "vsibench__official",
        "vstar_bench__lmms_eval",
    }
