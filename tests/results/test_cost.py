"""What a run cost, by its manifest and its ledger."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.borders.typed_json import as_type
from llava_eval.results.cost import Cost, comparable_memory, cost_of, megabytes
from llava_eval.results.manifest import Manifest
from llava_eval.types import Generation
from tests.results.helpers import make_result

#: Two processes that generated, one of them with a warm-up, and one that only scored.
FIRST: dict[str, Any] = {
    "num_generated": 6,
    "wall_seconds": 30.0,
    "stage_seconds": {
        "load_rows": 100.0, "load_model": 200.0, "score": 300.0, "prepare": 4.0,
        "vision": 1.0, "prefill": 2.0, "decode": 3.0, "decode_wait": 0.5,
    },
    "warm_up": {"num_generated": 2, "stage_seconds": {"vision": 0.75, "decode": 1.25}},
    "frames": {"num_cached": 30, "num_decoded": 10},
    "peak_device_memory_bytes": 5_000,
    "peak_host_memory_bytes": 70,
    "machine": {"processor": "Z80", "num_cpus": 1},
}  # fmt: skip
SECOND: dict[str, Any] = {
    "num_generated": 2,
    "wall_seconds": 7.0,
    "stage_seconds": {"server_wait": 2.0, "prepare": 1.5},
    "frames": {"num_cached": 0, "num_decoded": 40},
    "peak_device_memory_bytes": 4_000,
    "peak_host_memory_bytes": 90,
    "machine": {"processor": "Z81", "num_cpus": 2},
}
SCORING = {"num_generated": 0, "wall_seconds": 1000.0, "stage_seconds": {"decode": 50.0}}


def cost(*sessions: dict[str, Any], **manifest: Any) -> Cost:
    return cost_of(as_type({"sessions": list(sessions), **manifest}, Manifest), [])


def test_processes_that_generated_are_added_up() -> None:
    of_both = cost(FIRST, SECOND, SCORING)
    assert (of_both.num_generated, of_both.num_cached_frames, of_both.num_decoded_frames) == (
        8, 30, 50,
    )  # fmt: skip
    # vision, prefill, decode, decode_wait, server_wait: less than the 37 s of the wall.
    assert of_both.seconds == pytest.approx(8.5)
    assert of_both.seconds_per_sample == pytest.approx(8.5 / 8)
    assert of_both.samples_per_second == pytest.approx(8 / 8.5)
    # 8 s of the model less 2 s of the first batch, by the 6 samples behind it.
    assert of_both.model_seconds_per_sample == pytest.approx(1.0)
    assert of_both.prepare_seconds == pytest.approx(5.5)
    assert of_both.prepare_seconds_per_sample == pytest.approx(5.5 / 8)
    assert of_both.cached_share == pytest.approx(0.375)
    assert (of_both.peak_device_bytes, of_both.peak_host_bytes) == (5_000, 90)
    assert of_both.stage_seconds["load_model"] == 200.0
    assert of_both.machine == "Z81, 2 cores"


@pytest.mark.parametrize(
    ("num_warm_up", "per_sample"),
    [(1, 4.0 / 5), (5, 4.0), (6, 1.0)],  # nothing but the warm-up: it is all that there is
)
def test_the_warm_up_is_left_out_where_others_follow(num_warm_up: int, per_sample: float) -> None:
    warm_up = {"num_generated": num_warm_up, "stage_seconds": {"decode": 2.0}}
    assert cost({**FIRST, "warm_up": warm_up}).model_seconds_per_sample == pytest.approx(per_sample)


def test_parallel_stages_take_no_longer_than_the_wall() -> None:
    assert cost({**FIRST, "wall_seconds": 5.0}).seconds == 5.0
    assert cost({**FIRST, "wall_seconds": None}).seconds is None


def test_what_was_measured_as_a_whole_counts_before_the_stages() -> None:
    """Workers that start, and load for half a minute, are no part of it, however many stages."""
    stages = {"start_workers": 20.0, "load_model": 60.0, "decode": 64.0}
    session = {"generating_seconds": 8.0, "wall_seconds": 40.0, "stage_seconds": stages}
    found = cost({**FIRST, **session}, SECOND)
    assert (found.seconds, found.samples_per_second) == (10.0, 0.8)


@pytest.mark.parametrize("sessions", [(), (SCORING,)])
def test_a_run_that_generated_nothing_knows_nothing(sessions: tuple[dict[str, Any], ...]) -> None:
    assert cost(*sessions) == Cost(num_generated=0)
    nothing = cost(*sessions)
    assert (nothing.seconds_per_sample, nothing.samples_per_second) == (None, None)
    assert (nothing.prepare_seconds_per_sample, nothing.cached_share) == (None, None)


@pytest.mark.parametrize(
    ("device", "machine", "shown"),
    [
        ("H100", {"processor": "Z80", "num_cpus": 4}, "H100"),
        ("cpu", {"processor": "Z80", "num_cpus": 4}, "Z80, 4 cores"),
        (None, {"processor": "Z80", "num_cpus": 4}, "Z80, 4 cores"),
        ("cpu", {"processor": "Z80", "num_cpus": None}, "Z80"),
        ("cpu", {"processor": None, "num_cpus": 4}, "cpu"),
        ("cpu", None, "cpu"),
        (None, None, ""),
    ],
)
def test_the_device_is_named_before_the_processor(
    device: str | None, machine: dict[str, Any] | None, shown: str
) -> None:
    model = {"device_name": device, "memory_bytes": 12}
    found = cost({**FIRST, "machine": machine}, model=model, judge={"cost": 0.25})
    assert (found.machine, found.weights_bytes, found.judge_cost) == (shown, 12, 0.25)


def test_tokens_are_those_of_the_ledger() -> None:
    results = [
        make_result(number, generation=generation)
        for number, generation in enumerate(
            [
                Generation("a", 100, 2, "eos"),
                Generation(None, error="E: x"),
                Generation("b", 11, 3, "eos"),
            ]
        )
    ]
    found = cost_of(Manifest(), results)
    assert (found.num_input_tokens, found.num_output_tokens, found.num_samples) == (111, 5, 3)
    assert found.num_with_tokens == 2, "what a sample takes is a mean of those that say"


def test_memory_is_compared_by_what_all_know() -> None:
    known = Cost(1, weights_bytes=7, peak_device_bytes=9, peak_host_bytes=1)
    unknown = Cost(1, weights_bytes=8)
    assert comparable_memory([known, known]) == ("peak device memory", [9, 9])
    assert comparable_memory([known, unknown]) == ("weights", [7, 8])
    assert (megabytes(2_500_000), megabytes(0), megabytes(None)) == (2.5, 0.0, None)


def test_less_than_a_second_is_known_and_no_time_at_all_is_not() -> None:
    quick = {"num_generated": 4, "generating_seconds": 0.5, "stage_seconds": {"generate": 0.25}}
    found = cost(quick)
    assert (found.seconds, found.samples_per_second) == (0.5, 8.0)
    assert found.model_seconds_per_sample == pytest.approx(0.0625)
    unknown = cost({**quick, "stage_seconds": {"prepare": 1.0}})
    assert unknown.model_seconds_per_sample is None
    silent = cost({**quick, "warm_up": {}, "frames": {}})
    assert silent.model_seconds_per_sample == pytest.approx(0.0625)
    assert (silent.num_cached_frames, silent.num_decoded_frames) == (0, 0)


def test_failed_samples_take_no_part_in_the_time_of_an_answer() -> None:
    # 6 s of the model less 2 s of the first 2 answers, by the other 2: media of 2 more failed.
    assert cost({**FIRST, "num_failed": 2}).model_seconds_per_sample == pytest.approx(2.0)
    # Nothing but the first batch was answered.
    assert cost({**FIRST, "num_failed": 4}).model_seconds_per_sample == pytest.approx(3.0)
    assert cost({**FIRST, "num_failed": 6}).model_seconds_per_sample is None
