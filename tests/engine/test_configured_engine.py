"""Which engine works where nobody chose one."""

from __future__ import annotations

import copy
import logging

import pytest

from llava_eval import cli
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import RunConfig
from llava_eval.engine.base import AnswerAll
from llava_eval.engine.configured_engine import _works_on_ray
from llava_eval.types import Sample, Score
from tests.results.helpers import make_result


@pytest.fixture(scope="module")
def configs() -> list[RunConfig]:
    """Of the embedded model, and of a model of one's own."""
    own = ["model=own", "model._target_=a.B"]
    return [compose_config(words).config for words in ([], own)]


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
    configs: list[RunConfig],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: num_gpus)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: has_ray or None)
    with caplog.at_level(logging.INFO):
        assert _works_on_ray(configs[0]) == expected
    assert [said in message for message in caplog.messages if said] == [True] * bool(said)


def test_settings_of_ray_need_ray(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["engine.num_workers=2"]) == 2
    assert "engine.num_workers=2 is for engine=ray; engine=auto" in capsys.readouterr().err


def test_where_nothing_is_watched_all_are_answered_in_their_order() -> None:
    results = [make_result(number, score=Score(0.0, "B")) for number in (2, 0, 1)]
    samples = [Sample(one.id, one.row, one.group, ("?",), ("A",)) for one in results]
    assert AnswerAll().order(tuple(samples)) == samples
    watch = AnswerAll()
    for one in results:
        watch.add(one)
    assert not watch.is_done


@pytest.mark.parametrize(
    ("engine", "device", "is_own", "num_gpus", "expected"),
    [
        ("auto", "auto", False, 2, True),
        ("auto", "cuda", False, 2, True),
        ("auto", "cpu", False, 2, False),
        ("auto", "cuda:1", False, 2, False),
        ("auto", "auto", False, 1, False),
        ("auto", "auto", True, 2, False),
        ("local", "auto", False, 2, False),
        ("ray", "auto", False, 0, True),
        ("ray", "cpu", False, 0, True),
    ],
)
def test_when_ray_does_the_work(
    engine: str,
    device: str,
    is_own: bool,
    num_gpus: int,
    expected: bool,
    configs: list[RunConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("torch.cuda.device_count", lambda: num_gpus)
    config = copy.deepcopy(configs[is_own])
    config.engine.name, config.model.device = engine, device
    assert _works_on_ray(config) is expected
