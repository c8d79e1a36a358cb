"""Seconds by stage, and the warm-up apart from them."""

from __future__ import annotations

from llava_eval.models.clock import MODEL_STAGES, StageClock, joint_warm_up


def test_the_first_batch_is_the_warm_up() -> None:
    clock = StageClock()
    assert clock.warm_up == {}
    assert joint_warm_up([clock.warm_up]) == {}
    clock.end_warm_up(0)
    assert clock.warm_up == {}, "a batch that the model answered nothing of warms nothing up"
    clock.seconds.update({"prefill": 2.0, "decode": 1.0, "decode_wait": 9.0})
    clock.end_warm_up(3)
    clock.seconds["decode"] += 5.0
    clock.end_warm_up(4)
    first = {**dict.fromkeys(MODEL_STAGES, 0.0), "prefill": 2.0, "decode": 1.0}
    assert clock.warm_up == {"num_generated": 3, "stage_seconds": first}
    both = joint_warm_up([clock.warm_up, {}, clock.warm_up])
    assert both["num_generated"] == 6
    assert both["stage_seconds"]["prefill"] == 4.0
