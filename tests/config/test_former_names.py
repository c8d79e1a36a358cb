"""What files of earlier versions name is found under its present name, in one place."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.config.build import build_target
from llava_eval.config.former_names import current_node
from llava_eval.config.roles import differences, flat
from llava_eval.errors import ConfigError
from llava_eval.results.compare.pairing import metric_of
from llava_eval.types import Score
from tests.results.helpers import make_result

MEAN = "llava_eval.metrics.means.mean_score"


@pytest.mark.parametrize(
    ("target", "former", "present"),
    [
        (MEAN, {"unscored_as": 0.0}, {"denominator": "all"}),
        (MEAN, {"unscored_as": None}, {}),
        (MEAN, {"strict": True, "unit": "percent"}, {"unit": "percent", "denominator": "strict"}),
        (MEAN, {"strict": False}, {}),
        (MEAN, {"detail": "cider"}, {"detail": "cider"}),
        ("llava_eval.metrics.macro.macro_mean", {"strict": True}, {"denominator": "strict"}),
        ("my.own_mean", {"strict": True}, {"strict": True}),
    ],
)
def test_options_that_stood_for_a_denominator(
    target: str, former: dict[str, Any], present: dict[str, Any]
) -> None:
    node = current_node({"_target_": target, **former})
    moved = target.replace("metrics.macro.", "metrics.groups.")
    assert node == {"_target_": moved, **present}
    assert flat({"benchmark": {"metrics": {"a": {"_target_": target, **former}}}}) == {
        f"benchmark.metrics.a.{name}": value for name, value in node.items()
    }


def test_a_file_of_an_earlier_version_is_run_and_compared() -> None:
    node = {"_target_": MEAN, "unscored_as": 0.0}
    results = [make_result(0), make_result(1, score=Score(None, None, unreadable=True))]
    assert build_target(node, key="benchmark.metrics.accuracy")(results).value == 50.0
    assert metric_of(node)(results).value == 50.0


def test_what_has_no_present_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'm\.unscored_as'.*denominator"):
        build_target({"_target_": MEAN, "unscored_as": 0.25}, key="m")


def test_a_target_that_is_not_set_is_none_as_where_there_was_no_such_key() -> None:
    unset = {"model": {"_target_": None, "dtype": "auto"}}
    assert flat(unset) == {"model._target_": None, "model.dtype": "auto"}
    assert differences([{"model": {"dtype": "auto"}}, unset]) == {}
