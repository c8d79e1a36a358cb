"""Workers have two batches at once."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.engine.ray.task import BatchTask
from llava_eval.engine.ray.worker_pool import Worker


@pytest.mark.parametrize(
    ("changes", "is_ready"),
    [
        ({"model": {"dtype": "x"}}, True),
        ({}, False),
        ({"model": {"dtype": "x"}, "loading": object()}, False),
        ({"model": {"dtype": "x"}, "end": "killed"}, False),
    ],
)
def test_a_worker_is_ready_once_its_model_is_loaded(
    changes: dict[str, Any], is_ready: bool
) -> None:
    worker = Worker(None, **changes)
    assert worker.is_ready is is_ready
    assert worker.can_take(BatchTask(0, ()), may_queue=True) is is_ready


@pytest.mark.parametrize(
    ("deaths_of_its_tasks", "num_deaths", "takes", "takes_behind"),
    [
        ([], 0, True, True),
        ([], 1, True, True),
        ([0], 0, False, True),
        ([0], 1, False, False),
        ([1], 0, False, False),
        ([1], 1, False, False),
        ([0, 0], 0, False, False),
    ],
)
def test_a_batch_that_ended_a_worker_is_asked_alone(
    deaths_of_its_tasks: list[int], num_deaths: int, takes: bool, takes_behind: bool
) -> None:
    tasks = [BatchTask(n, (), num_deaths=deaths) for n, deaths in enumerate(deaths_of_its_tasks)]
    worker, task = Worker(None, model={"a": 1}, tasks=tasks), BatchTask(9, (), num_deaths)
    assert worker.can_take(task, may_queue=False) is takes
    assert worker.can_take(task, may_queue=True) is takes_behind
