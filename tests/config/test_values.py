"""Values of the configuration that check themselves, and overrides that are taken apart."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import pytest

from llava_eval.config.build import build_target
from llava_eval.config.checks import meaningless_settings
from llava_eval.config.choices import list_choices
from llava_eval.config.compose import (
    compose_config,
    composed_of,
    expand_sweep,
    scorer_nodes,
    sweep_options,
    take_path,
)
from llava_eval.config.former_names import FORMER_SCORERS, current_key, current_node, current_target
from llava_eval.config.schema import (
    ConversationConfig,
    EngineConfig,
    JudgeConfig,
    ModelConfig,
    QuantizationConfig,
    RunConfig,
    ServerConfig,
)
from llava_eval.errors import ConfigError
from tests.conftest import slow


@pytest.mark.parametrize(
    ("settings", "name", "is_own", "is_loaded"),
    [
        ({"checkpoint": "org/model-7b"}, "model-7b", False, True),
        ({"checkpoint": "/a/b/c", "base_url": "http://localhost:1/v1"}, "c", False, False),
        ({"checkpoint": "a", "name": "short"}, "short", False, True),
        ({"checkpoint": "org/x", "_target_": "mine.models.Own"}, "Own", True, False),
        ({"checkpoint": "x", "_target_": "mine.Own", "name": "n"}, "n", True, False),
    ],
)
def test_what_a_model_is_called(
    settings: dict[str, Any], name: str, is_own: bool, is_loaded: bool
) -> None:
    model = ModelConfig(**settings)
    assert (model.short_name, model.is_own, model.is_loaded) == (name, is_own, is_loaded)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (ModelConfig, {"base_url": "ftp://x"}, r"model\.base_url"),
        (ModelConfig, {"api_key_env": "sk-123"}, r"model\.api_key_env"),
        (JudgeConfig, {"base_url": "no address"}, r"judge\.base_url"),
        (JudgeConfig, {"api_key_env": "sk-123"}, r"judge\.api_key_env"),
        (JudgeConfig, {"max_cost": 1.0}, r"max_cost needs judge\.price_per_million_input_tokens"),
        (
            JudgeConfig,
            {"max_cost": 1.0, "price_per_million_input_tokens": 2.0},
            r"judge\.price_per_million_output_tokens",
        ),
        (ConversationConfig, {"template": "{user} {name}"}, r"'name' in '\{user\} \{name\}'"),
        (ConversationConfig, {"template": "{user"}, r"its fields are \{system\}, \{user\} and"),
        (ConversationConfig, {"template": "{user} {0}"}, r"conversation\.template: "),
        (ConversationConfig, {"template": "{system}"}, r"has no \{user\}: '\{system\}'"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        kind(**settings)


def test_what_makes_sense_is_taken() -> None:
    ModelConfig(base_url="http://localhost:8000/v1", api_key_env="MY_KEY")
    ConversationConfig(template="{system} USER: {user} {prefill}")
    ConversationConfig(template=None)
    JudgeConfig(
        max_cost=0.0, price_per_million_input_tokens=0.0, price_per_million_output_tokens=0.0
    )


def test_what_tokens_cost() -> None:
    prices = {"price_per_million_input_tokens": 2.5, "price_per_million_output_tokens": 10.0}
    assert JudgeConfig(**prices).cost(2_000_000, 100_000) == 6.0  # type: ignore[arg-type]
    for missing in prices:
        assert JudgeConfig(**{**prices, missing: None}).cost(1, 1) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("overrides", "path", "others"),
    [
        (["a=1", "generations=x.jsonl", "b=2"], "x.jsonl", ["a=1", "b=2"]),
        (["generations=x", "generations=y"], "y", []),
        (["+generations=x y/ü.jsonl"], "x y/ü.jsonl", []),
        (["generations='x y'"], "x y", []),
        (["generations=", "a=generations"], None, ["a=generations"]),
        (["generations=null"], None, []),
        (["generation=x"], None, ["generation=x"]),
    ],
)
def test_a_path_that_is_no_key(overrides: list[str], path: str | None, others: list[str]) -> None:
    found, rest = take_path("generations", overrides)
    assert (found, rest) == (None if path is None else Path(path), others)


@pytest.mark.parametrize("value", ["a,b", "[1, 2]", "{}"])
def test_a_path_is_one_value(value: str) -> None:
    with pytest.raises(ConfigError, match=r"expected one path; quoted, \"generations='"):
        take_path("generations", [f"generations={value}"])


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("seed=3", ["seed=3"]),
        ("seed=1,2", ["seed=1", "seed=2"]),
        ("output_dir=a b,c d", ["output_dir='a b'", "output_dir='c d'"]),
        ("seed=range(1,4)", ["seed=1", "seed=2", "seed=3"]),
        ("+a.b=x,y", ["+a.b=x", "+a.b=y"]),
        ("model.checkpoint='a b','c,d'", ["model.checkpoint='a b'", "model.checkpoint='c,d'"]),
    ],
)
def test_each_value_of_a_swept_key(override: str, values: list[str]) -> None:
    assert sweep_options([override]) == [values]


def test_names_of_options_that_fit_a_pattern() -> None:
    assert sweep_options(
        ["benchmark=glob(demo/*,exclude=demo/o*)", "sampler=glob(*midpoints)"]
    ) == [
        ["benchmark=demo/caption", "benchmark=demo/multiple_choice"],
        ["sampler=clue_midpoints", "sampler=segment_midpoints"],
    ]
    with pytest.raises(ConfigError, match="has no value"):
        sweep_options(["model=glob(nothing*)"])


def test_a_key_that_comes_again_takes_the_later_values() -> None:
    assert sweep_options(["seed=1,2", "a=x", "+seed=5"]) == [["+seed=5"], ["a=x"]]
    assert expand_sweep(["a=1,2", "b=3,4,5"]) == [
        ["a=1", "b=3"],
        ["a=2", "b=3"],
        ["a=1", "b=4"],
        ["a=1", "b=5"],
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=interval(0,1)", "a sweep runs every value; list them"),
        ("seed=range(4,1)", "has no value"),
        ("seed=glob(*)", "seed=glob"),
    ],
)
def test_values_that_cannot_be_run(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep_options([override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        slow("benchmark.chance.accuracy=nan", "benchmark.chance.accuracy is nan"),
        ("+benchmark.metrics.accuracy.scale=inf", "benchmark.metrics.accuracy.scale is inf"),
        slow("model.processor.size=[1,-inf]", "model.processor.size.1 is -inf"),
    ],
)
def test_numbers_that_no_file_of_a_run_holds(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"{re.escape(said)}, expected a finite number"):
        compose_config([override])


@pytest.mark.slow
def test_a_runs_own_configuration_is_checked_anew() -> None:
    resolved = dict(compose_config(["benchmark.limit=3"]).resolved)
    again = composed_of(resolved)
    assert again.config.benchmark.limit == 3
    assert (again.resolved, again.choices, again.benchmark_overrides) == (resolved, {}, {})
    benchmark = {**resolved["benchmark"], "limit": 0}
    with pytest.raises(ConfigError, match=r"benchmark\.limit: got 0, expected at least 1"):
        composed_of({**resolved, "benchmark": benchmark})
    with pytest.raises(ConfigError, match=r"unknown key 'sede'.*did you mean 'seed'"):
        composed_of({**resolved, "sede": 1})
    with pytest.raises(ConfigError, match=r"benchmark\.strip_replies is called benchmark\.reply"):
        composed_of({**resolved, "benchmark": {**benchmark, "strip_replies": True}})


@pytest.mark.slow
def test_options_by_themselves(tmp_path: Path) -> None:
    strict, caption = scorer_nodes(["strict_choice", "caption"])
    assert strict["_target_"] == "llava_eval.scoring.choice.StrictChoice"
    assert caption["_target_"].startswith("llava_eval.scoring.captions.")
    with pytest.raises(ConfigError, match="no_such"):
        scorer_nodes(["no_such"])
    (tmp_path / "scorer").mkdir()
    (tmp_path / "scorer" / "mine.yaml").write_text("_target_: mine.Scorer\nseed: 2\n")
    assert scorer_nodes(["mine"], tmp_path) == [{"_target_": "mine.Scorer", "seed": 2}]


@pytest.mark.slow
def test_options_together_are_what_each_is_by_itself() -> None:
    names = list_choices("scorer")
    assert len(names) > 8
    assert scorer_nodes(names) == [scorer_nodes([name])[0] for name in names]


def test_texts_that_were_scored_ask_no_model() -> None:
    with pytest.raises(ConfigError, match="there is no model to ask: these texts were scored"):
        composed_of({"benchmark": {"name": "b"}, "scorer": {}})


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("benchmark.sample.size", "benchmark.subsample.size"),
        ("benchmark.sample", "benchmark.subsample"),
        ("benchmark.sampler", "benchmark.sampler"),
        ("benchmark.strip_replies", "benchmark.reply.strip"),
        ("seed", "seed"),
    ],
)
def test_keys_that_had_another_name(former: str, present: str) -> None:
    assert current_key(former) == present


def test_functions_that_have_moved_are_there() -> None:
    moved = "llava_eval.benchmarks.activitynet_qa.capitalised_question"
    present = "llava_eval.benchmarks.adapters.video_chatgpt.capitalised_question"
    assert current_target(moved) == present
    assert current_node({"_target_": moved, "prompt": "{asked}"}) == {
        "_target_": "llava_eval.benchmarks.adapters.open_ended",
        "prompt": "{asked}",
    }
    assert current_target("benchmarks.mmmu.mmmu") == "benchmarks.mmmu.mmmu"
    assert current_target("llava_eval.types.Sample") == "llava_eval.types.Sample"
    assert not any(name.endswith("/_rows") for name in FORMER_SCORERS.values())


class Refusing:
    """A class of a user's own."""

    def __init__(self, *, error: str = "") -> None:
        if error == "value":
            raise ValueError("no such value")
        if error:
            raise RuntimeError("broken\ninside")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"_target_": f"{__name__}.Refusing", "error": "value"}, "scorer: no such value"),
        (
            {"_target_": f"{__name__}.Refusing", "error": "x"},
            "scorer: Refusing cannot be made: RuntimeError: broken",
        ),
        (
            {"_target_": f"{__name__}.Refusing", "eror": "x"},
            "unknown key 'scorer.eror' (did you mean 'error'?); Refusing takes error",
        ),
        (
            {"_target_": "llava_eval.scoring.choice.LetterByPattern", "patterns": ["(a)", "x("]},
            "scorer: patterns: 'x(' should be a regular expression with one group",
        ),
        (
            {"_target_": "llava_eval.scoring.choice.LetterByPattern", "patterns": []},
            "scorer: patterns is empty",
        ),
        ({"_target_": "numpy.fromstring"}, "scorer._target_: the parameters of "),
        ({"_target_": "a..b"}, "scorer._target_: 'a..b' is not a dotted path to a function"),
        ({"a": 1, "b": 2}, "scorer has no _target_; its keys are a, b"),
        ({}, "scorer has no _target_; its keys are none"),
    ],
)
def test_a_class_that_cannot_be_made(node: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_target(node, key="scorer")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert isinstance(build_target({"_target_": f"{__name__}.Refusing"}, key="x"), Refusing)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "benchmark.strip_replies=1",
            "benchmark.strip_replies is called benchmark.reply.strip now",
        ),
        slow(
            "+benchmark.sample.size=5",
            "benchmark.sample.size is called benchmark.subsample.size now",
        ),
        slow("no.such=1", "unknown key 'no.such'; there is no 'no' either"),
        slow(
            "+runner.batch=1", "unknown key 'runner.batch' (did you mean 'batch_size'?); keys of "
        ),
        ("benchmark.where.a=b,c", "'benchmark.where.a=b,c' has several values; llava-eval -m runs"),
        ("benchmark.where.a=[b", "cannot read 'benchmark.where.a=[b': "),
        (
            "+benchmark.chance.acuracy=25",
            "benchmark.chance: there is no metric 'acuracy' (did you mean 'accuracy'?); metrics: ",
        ),
    ],
)
def test_what_was_typed_is_quoted(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config([override])
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("benchmark.facets=duration", r"expected a list, for instance benchmark\.facets=\[a,b\]"),
        slow("benchmark.chance=25", r"for instance \+benchmark\.chance\.NAME="),
        slow("benchmark.where=short", r"for instance benchmark\.where\.NAME="),
        slow("benchmark.chance={acc: 2}", r"\+benchmark\.chance\.acc=\.\.\. adds it"),
        slow("runner.share_prefixes=maybe", r"got 'maybe'; expected one of auto, true, false$"),
        slow("errors=5", r"expected keys and values, for instance errors\.max="),
        ("runner.decode_timeout_seconds=1e30", r"got 1e\+30, expected at most 1,000,000,000"),
    ],
)
def test_what_a_key_takes_is_said(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose_config([override])


@functools.cache
def plain() -> RunConfig:
    return compose_config([]).config


def without_meaning(**parts: Any) -> list[str]:
    """Return the keys of parts that mean nothing, the other parts being those of the demo."""
    return [key for key, _, _ in meaningless_settings(dataclasses.replace(plain(), **parts))]


@pytest.mark.parametrize(
    ("kind", "of_no_meaning"),
    [
        ({}, ["model.server.retries"]),
        ({"base_url": "http://localhost:1/v1"}, ["model.dtype"]),
        ({"_target_": "mine.Model"}, ["model.dtype", "model.server.retries"]),
    ],
)
def test_what_means_nothing_to_a_model(kind: dict[str, Any], of_no_meaning: list[str]) -> None:
    server = ServerConfig(retries=9)
    model = ModelConfig(checkpoint="m", dtype="float16", server=server, **kind)
    assert without_meaning(model=model) == of_no_meaning


@pytest.mark.parametrize(("name", "means_it"), [("auto", False), ("local", False), ("ray", True)])
def test_what_means_nothing_to_an_engine(name: str, means_it: bool) -> None:
    engine = EngineConfig(name=name, max_tries=9)
    assert without_meaning(engine=engine) == ([] if means_it else ["engine.max_tries"])


@pytest.mark.parametrize(
    ("method", "of_no_meaning"),
    [
        (None, ["double_quant", "group_size", "skip_modules"]),
        ("bnb_nf4", ["group_size"]),
        ("torchao_int4", ["double_quant"]),
        ("bnb_int8", ["double_quant", "group_size"]),
    ],
)
def test_what_means_nothing_to_a_quantization(method: str | None, of_no_meaning: list[str]) -> None:
    quantization = QuantizationConfig(
        name="mine", method=method, double_quant=False, group_size=32, skip_modules=["lm_head"]
    )
    names = [f"quantization.{name}" for name in of_no_meaning]
    assert without_meaning(quantization=quantization) == names


def test_settings_as_they_are_by_default_are_never_without_meaning() -> None:
    assert without_meaning() == []
