"""Which engine works where nobody chose one."""

from __future__ import annotations

import logging

import pytest

from llava_eval import cli
from llava_eval.engine.base import AnswerAll, uses_all_gpus
from llava_eval.types import Sample, Score
from tests.results.helpers import make_result


@pytest.mark.parametrize(
    ("num_gpus", "has_ray", "expected", "said"),
    [
        (0, True, False, None),
        (1, True, False, None),
        (4, True, True, "4 GPUs: Ray puts a worker on each"),
        (2, False, False, "2 GPUs: one of them is used; pip install"),
    ],
)
def test_several_gpus_are_used_and_it_is_said(
    num_gpus: int,
    has_ray: bool,
    expected: bool,
    said: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        assert uses_all_gpus(num_gpus, has_ray=has_ray) == expected
    assert [said in message for message in caplog.messages if said] == [True] * bool(said)


def test_settings_of_ray_need_ray(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["engine.num_workers=2"]) == 2
    assert "engine.num_workers=2 is for engine=ray; engine=auto" in capsys.readouterr().err


def test_where_nothing_is_watched_all_are_answered_in_their_order() -> None:
    results = [make_result(number, score=Score(0.0, "B")) for number in (2, 0, 1)]
    samples = [Sample(one.id, one.row, one.group, ("?",), ("A",)) for one in results]
    assert AnswerAll().order(tuple(samples)) == samples
    assert [AnswerAll().sees(one) for one in results] == [False] * 3
