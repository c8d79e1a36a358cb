"""Whatever a person types as key=value is a configuration, or one line that says what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llava_eval.commands.sweep import plan_sweep
from llava_eval.config.choices import list_groups
from llava_eval.config.compose import compose_config
from llava_eval.config.roles import flat
from llava_eval.engine.configured_benchmark import Parts
from llava_eval.errors import ConfigError, LlavaEvalError
from llava_eval.run import score
from tests.conftest import DEMO, read_lines, slow, write_lines

#: Keys that are in no file: of Hydra, of open sections, and none at all.
OTHER_KEYS = """
hydra hydra/launcher hydra/sweeper hydra.sweep.dir hydra.sweep.subdir hydra.sweeper.params
hydra.job.num hydra.launcher x benchmark.x scorer.x benchmark@x model. . .. é x/y scorer._args_
benchmark.where.duration model.rope_scaling.factor benchmark.facets.0 published.0.value
benchmark.metrics.accuracy._target_ benchmark.metrics.more sampler._partial_
"""

VALUES = """
null 1 -1 0 1e999 -inf nan 99999999999999999999 true [] [1] [a,b] [null] {} {a:1} {1:2}
{a:{b:[1]}} ??? ${x} ${model.name} ${seed} ${now:%Y} ${oc.env:HOME} ${oc.env:NONE} ${ $
a a=b 'a ' " ~ ~/x é \\ * a:b {a ] ( a,b 1,2 null,null range(3) choice(a,b)
interval(0,1) sort(1,2) glob(*) int(3) str(1) float(x) [[[[[[[[1]]]]]]]]
re.compile os.system operator.attrgetter json builtins.int sys.exit .. a..b
numpy.sum numpy.ndarray torch.Tensor torch.nn.Linear yaml.safe_load
llava_eval.metrics.means.mean_score llava_eval.types.Sample llava_eval.types
llava_eval.benchmarks.adapters.caption llava_eval.video.samplers.at_fps
"""

VALUES_WITH_SPACES = [
    "{_target_: numpy.sum}",
    "{_target_: torch.nn.Linear, in_features: 3}",
    "{_target_: llava_eval.types.Sample}",
    "",
    "a b",
    "\x1b[2J",
    "x" * 5000,
]


def keys_of(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Return every key of a nested mapping, dotted."""
    for name, value in tree.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from keys_of(value, f"{prefix}{name}.")


def typed_by_chance(seed: int, number: int) -> list[list[str]]:
    """Return command lines of one or two overrides; most name a key that exists."""
    chance = random.Random(seed)
    keys = [*keys_of(compose_config([]).resolved), *list_groups(), *OTHER_KEYS.split()]
    values = [*VALUES.split(), *VALUES_WITH_SPACES]
    targets = [key for key in keys if key.endswith("._target_")]
    lines = []
    for _ in range(number):
        overrides = []
        for _ in range(chance.choice((1, 1, 2))):
            key = chance.choice(chance.choice((keys, keys, targets)))
            override = f"{chance.choice(('', '', '', '+', '++'))}{key}={chance.choice(values)}"
            overrides.append(f"~{key}" if chance.random() < 0.02 else override)
        lines.append(overrides)
    return lines


def refusal(use: Callable[[list[str]], object], overrides: list[str]) -> str | None:
    """Return why a command line is refused, None if it is not; other errors are the test's."""
    try:
        use(overrides)
    except LlavaEvalError as error:
        return str(error)
    return None


def build(overrides: list[str]) -> object:
    return Parts.build(compose_config(overrides).config)


def plan(overrides: list[str]) -> object:
    return plan_sweep(overrides, None)


def is_one_line(text: str) -> bool:
    return bool(text.strip()) and len(text.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "as_sweep"),
    [(60, False), (10, True), (150, False), (60, True)],
)
def test_any_override_is_taken_or_refused_in_one_line(number: int, as_sweep: bool) -> None:
    lines = typed_by_chance(20261128 + number, number)
    answers = [refusal(plan if as_sweep else build, line) for line in lines]
    refused = [text for text in answers if text is not None]
    assert all(map(is_one_line, refused))
    assert refused


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("scorer._target_=re.compile", "Python's own library"),
        slow("benchmark.metrics.accuracy._target_=operator.attrgetter", "Python's own library"),
        ("benchmark.metrics.accuracy._target_=numpy.sum", "expected a MetricValue"),
        slow("benchmark.metrics.accuracy._target_=numpy.dtype", "benchmark.metrics.accuracy"),
        slow("sampler={_target_: numpy.size}", "sampler"),
        ("++benchmark.prepare=${now:%Y}", "PrepareConfig"),
        slow("benchmark.submission={a: 1}", "benchmark.submission"),
        ("+hydra/sweeper=-inf", "for a sweep"),
        ("+hydra/launcher={a: 1}", "for a sweep"),
        ("hydra.sweep.dir=x", "for a sweep"),
    ],
)
def test_what_was_a_traceback_is_a_line(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Parts.build(compose_config([override]).config)


def of_the_right_type(chance: random.Random, value: Any) -> str:
    """Return another value of a key, as an override writes it."""
    if isinstance(value, bool):
        return chance.choice(("true", "false"))
    if isinstance(value, int | float):
        return chance.choice(("0", "1", "2", "-1", "1000000000", "0.5", "null"))
    if isinstance(value, list):
        return chance.choice(("[]", "[duration]", "[duration,duration]", "[x]", "['']", "null"))
    if isinstance(value, Mapping):
        return chance.choice(("{}", "null", "{accuracy: 50}", "{x: 1}", "{duration: short}"))
    texts = ("''", "x", "null", "duration", "'{question}'", "'{options}'", "'{'", "answer", "é")
    return chance.choice(texts)


@pytest.mark.slow
def test_any_value_of_the_right_type_is_scored_or_refused_in_one_line(tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", read_lines(DEMO / "multiple_choice.jsonl")[:6])
    texts = write_lines(tmp_path / "texts.jsonl", [{"row": n, "text": "A"} for n in range(6)])
    fixed = [f"benchmark.source={rows}"]
    parts = ("benchmark.", "scorer.", "errors.", "published", "judge.")
    values = flat(compose_config([*fixed, "scorer=strict_choice"]).resolved)
    keys = [key for key in values if key.startswith(parts) and key != "benchmark.source"]
    chance = random.Random(20261128)

    def scored(overrides: list[str]) -> object:
        return score(compose_config([*fixed, *overrides]), texts)

    refused = []
    for n in range(60):
        chosen = chance.sample(keys, chance.choice((1, 1, 2)))
        overrides = [f"{key}={of_the_right_type(chance, values[key])}" for key in chosen]
        why = refusal(scored, [*overrides, f"output_dir={tmp_path / str(n)}"])
        refused += [] if why is None else [why]
    assert all(map(is_one_line, refused))
    assert 0 < len(refused) < 60
