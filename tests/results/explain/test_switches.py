"""In what two configurations differ, as changes that can be made one at a time."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

import pytest

from llava_eval.config.compose import compose_config, composed_of
from llava_eval.config.roles import declared_settings
from llava_eval.results.explain.switches import WORDS, Switch, switched, switches


@functools.cache
def resolved(*overrides: str) -> Mapping[str, Any]:
    return compose_config(overrides).resolved


def config(*overrides: str) -> dict[str, Any]:
    """Return a configuration of the test's own; composing one takes its time."""
    return copy.deepcopy(dict(resolved(*overrides)))


def found(*overrides: str) -> dict[str, str]:
    """Return the changes that overrides of the embedded benchmark are, with their work."""
    return {switch.key: switch.work for switch in switches(config(), config(*overrides))}


def test_every_name_belongs_to_a_key() -> None:
    known = {key.rsplit(".", count)[0] for key in declared_settings() for count in (0, 1)}
    assert set(WORDS) - known == {"sampler.num_frames"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "key", "work"),
    [
        ("sampler.num_frames=8", "sampler.num_frames", "generate"),
        ("sampler=segment_midpoints", "sampler", "generate"),
        ("benchmark.adapter.prompt=x", "benchmark.adapter", "generate"),
        ("benchmark.generation.max_new_tokens=3", "benchmark.generation", "generate"),
        ("conversation=vicuna_v1", "conversation", "generate"),
        ("quantization=bnb_nf4", "quantization", "generate"),
        ("model.dtype=float16", "model.dtype", "generate"),
        ("scorer=videomme_official", "scorer", "score"),
        ("benchmark.reply.strip=true", "benchmark.reply", "score"),
        ("benchmark.limit=9", "benchmark.limit", "none"),
        ("benchmark.where.duration=short", "benchmark.where", "none"),
    ],
)
def test_one_override_is_one_change(override: str, key: str, work: str) -> None:
    changes = found(override)
    assert changes == {key: work} or (key == "benchmark.where" and list(changes.values()) == [work])


@pytest.mark.parametrize(
    ("key", "work"),
    [
        ("scorer", "score"),
        ("benchmark.reply", "score"),
        ("benchmark.subsample", "none"),
        ("benchmark.limit", "none"),
        ("judge.model", "none"),
        ("model.dtype", "generate"),
    ],
)
def test_what_a_change_makes_necessary(key: str, work: str) -> None:
    assert Switch(key, {}, {}).work == work


def test_another_rule_of_sampling_is_tried_with_our_number_of_frames() -> None:
    ours = {"sampler": {"_target_": "a.by_number", "num_frames": 8, "first": 2}}
    theirs = {"sampler": {"_target_": "a.by_seconds", "num_frames": 16, "seconds": 1.0}}
    made = switched(ours, theirs, [Switch("sampler", {}, {})])
    assert made == {"sampler": {"_target_": "a.by_seconds", "num_frames": 8, "seconds": 1.0}}
    assert ours["sampler"]["_target_"] == "a.by_number"


@pytest.mark.slow
def test_places_and_labels_are_no_changes() -> None:
    assert found("output_dir=elsewhere", "benchmark.media_root=/x", "model.name=other") == {}


@pytest.mark.slow
def test_rule_and_number_of_frames_are_switched_apart() -> None:
    ours, theirs = config(), config("sampler=segment_midpoints", "sampler.num_frames=4")
    rule, number = sorted(switches(ours, theirs), key=lambda switch: switch.key)
    assert (rule.name, number.name) == ("frames' rule", "frame count")
    target = "llava_eval.video.samplers"
    assert switched(ours, theirs, [rule])["sampler"] == {
        "_target_": f"{target}.segment_midpoints",
        "num_frames": 16,
    }
    assert switched(ours, theirs, [number])["sampler"] == {
        "_target_": f"{target}.linspace_to_last_frame",
        "num_frames": 4,
    }
    assert switched(ours, theirs, [rule, number])["sampler"] == theirs["sampler"]


@pytest.mark.slow
def test_all_changes_made_are_the_other_configuration_but_for_places() -> None:
    ours = config("benchmark.media_root=/mine")
    theirs = config(
        "scorer=videomme_official",
        "benchmark.adapter.prompt=x",
        "benchmark.adapter.media=[y]",
        "model.dtype=float16",
    )
    everything = switched(ours, theirs, switches(ours, theirs))
    assert everything["benchmark"]["media_root"] == "/mine"
    assert everything["benchmark"]["adapter"]["media"] == ours["benchmark"]["adapter"]["media"]
    assert everything["benchmark"]["adapter"]["prompt"] == "x"
    assert everything["scorer"] == theirs["scorer"]
    assert composed_of(everything).config.model.dtype == "float16"


def test_a_setting_that_an_earlier_version_did_not_know_is_no_change() -> None:
    ours, theirs = config(), config()
    theirs["model"] = {**theirs["model"], "attention": "eager"}
    assert [switch.key for switch in switches(ours, theirs)] == ["model.attention"]
    ours["model"] = {key: value for key, value in ours["model"].items() if key != "attention"}
    assert switches(ours, theirs) == []


def test_a_parameter_that_one_side_lacks_is_switched_with_its_part() -> None:
    """A function cannot be called with a number that it does not know."""
    ours = config()
    theirs = {**ours, "sampler": {**ours["sampler"], "offset": 3}}
    (switch,) = switches(ours, theirs)
    assert (switch.key, switch.name, switch.role) == ("sampler", "frames' rule", "protocol")
    assert (switch.ours, switch.theirs) == ({"sampler.offset": None}, {"sampler.offset": 3})
    assert switched(ours, theirs, [switch])["sampler"] == theirs["sampler"]
    assert "offset" not in ours["sampler"], "a copy is changed"


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    ["benchmark.facets=[]", "benchmark.chance={}", "benchmark.version=9"],
)
def test_what_only_breaks_numbers_down_is_no_change(override: str) -> None:
    assert found(override) == {}


@pytest.mark.slow
def test_changes_that_mean_most_come_first() -> None:
    ours = config()
    theirs = config("runner.batch_size=3", "model.dtype=float16", "sampler.num_frames=8")
    assert [switch.role for switch in switches(ours, theirs)] == ["protocol", "model", "speed"]
