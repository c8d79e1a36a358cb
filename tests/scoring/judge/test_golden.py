"""Judged rules against their references: prompts of the model, prompts of the judge, and values.

Each line of golden/<benchmark>__<protocol>.jsonl.gz is {"row", "prompt", "replies": [[reply,
messages that the reference puts to its judge or null, the judge's reply, value], ...]}; see
tests/scoring/golden/README.md.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from llava_eval.scoring.scorer import JudgedScorer, JudgeReply
from tests.conftest import slow
from tests.scoring.protocols import protocol

TABLES = sorted((Path(__file__).parent / "golden").glob("*__*.jsonl.gz"))


@pytest.mark.parametrize(
    "table",
    [*TABLES[:3], *map(slow, TABLES[3:])],
    ids=[path.name.partition(".")[0] for path in TABLES],
)
def test_a_judged_rule_gives_the_values_of_its_reference(table: Path) -> None:
    name = table.name.partition(".")[0].replace("__", "/")
    parts = protocol(name)
    assert isinstance(parts.scorer, JudgedScorer)
    num_replies = 0
    for line in gzip.decompress(table.read_bytes()).decode().strip().split("\n"):
        content = json.loads(line)
        sample = parts.sample(content["row"])
        assert sample.prompt == content.get("prompt", sample.prompt)
        for text, messages, judged, value in content["replies"]:
            asked = [tuple(messages)] if messages is not None else []
            assert parts.scorer.prompts([text], [sample]) == asked, text
            replies = [JudgeReply(judged)] if asked else []
            (score,) = parts.scorer.score_judged([text], [sample], replies)
            if value == "random":
                assert score.details.get("chosen_at_random") is True, (text, judged)
            else:
                assert score.value == value, (text, judged, content["row"])
                assert "chosen_at_random" not in score.details
            num_replies += 1
    assert num_replies > 200
