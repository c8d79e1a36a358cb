"""Answer samples of a finished run again: unchanged, or in ways that should change no answer."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from llava_eval import run as program
from llava_eval.config.compose import composed_of
from llava_eval.config.roles import put
from llava_eval.errors import ComparisonError, LlavaEvalError
from llava_eval.results.explain.switched_runs import drawn_groups
from llava_eval.results.formatting import (
    Table,
    count,
    print_json,
    terminal_width,
    wrapped,
    write_out,
)
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import SampleResult
from llava_eval.video.cache import CACHE_VARIABLE


def rerun(arguments: argparse.Namespace) -> int:
    """Run the command ``rerun`` and return its exit code."""
    reader = RunReader(arguments.config_dir)
    run = reader.read(arguments.run)
    before = {result.id: result for result in run.results}
    directory = None if arguments.out is None else str(arguments.out)
    resolved = {**run.config, "output_dir": directory, "tracker": None}
    composed = composed_of(resolved, run.choices, arguments.config_dir)
    outcome = program.run(composed, only=arguments.ids, replies_of=[run.path])
    after = reader.read(outcome.directory).results
    pairs = [(before[result.id], result) for result in after if result.id in before]
    if arguments.json:
        rows = [{"id": new.id, "before": _facts(old), "after": _facts(new)} for old, new in pairs]
        print_json({"directory": str(outcome.directory), "samples": rows})
        return outcome.exit_code
    lines = [
        [new.id, *map(_text_or_error, (old, new)), " | ".join(new.target), _change(old, new)]
        for old, new in pairs
    ]
    table = Table(["sample", "before", "now", "target", ""], lines, num_names=5)
    write_out(f"{table.to_text(terminal_width())}\n\n{outcome.directory}")
    return outcome.exit_code


def answered_again(
    run: Path, config: Mapping[str, Any], ids: Collection[str], directory: Path
) -> Sequence[SampleResult]:
    """Answer some samples of a run under a configuration, in a run directory, and return results.

    Verdicts that the run's judge gave on the same texts are reused.
    """
    changes = {"output_dir": str(directory), "resume": None, "tracker": None}
    program.run(composed_of({**config, **changes}), only=ids, replies_of=[run])
    return RunReader().read(directory).results


def _facts(result: SampleResult) -> dict[str, object]:
    return {
        "text": result.generation.text,
        "error": result.generation.error,
        "answer": result.score.answer,
        "value": result.score.value,
    }


def _text_or_error(result: SampleResult) -> str:
    text = result.generation.text
    return f"({result.generation.error})" if text is None else text or "(empty)"


def _change(old: SampleResult, new: SampleResult) -> str:
    if old.score.value != new.score.value:
        return f"{_value(old)} -> {_value(new)}"
    return "same text" if old.generation.text == new.generation.text else "same score"


def _value(result: SampleResult) -> str:
    return "-" if result.score.value is None else f"{result.score.value:g}"


#: Settings that each switch changes, by dotted key; the name is what people see.
SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "as it was": {},
    "alone": {"runner.batch_size": 1, "runner.share_prefixes": False},
    # a batch of more than one prompt needs shared prefixes: without them each prompt runs alone
    "in batches of 8": {"runner.batch_size": 8, "runner.share_prefixes": "auto"},
    "shared": {"runner.share_prefixes": True},  # fails with the reason if they cannot be
    "attention eager": {"model.attention": "eager"},
    "cold cache": {},
    "float32": {"model.dtype": "float32"},
}


@dataclass(frozen=True)
class Switched:
    """The differences from the run that one switch caused.

    Attributes:
        name: the switch's name.
        num_samples: samples that were answered in the run and under the switch.
        num_texts, num_answers, num_scores: how many of them differ from the run's.
        reason: why none or not all samples were answered; empty if all were.
    """

    name: str
    num_samples: int = 0
    num_texts: int = 0
    num_answers: int = 0
    num_scores: int = 0
    reason: str = ""

    @property
    def percent(self) -> float:
        """Percentage of answers that differ."""
        return 100 * self.num_answers / self.num_samples if self.num_samples else 0.0


def audit(arguments: argparse.Namespace) -> int:
    """Run the command ``audit`` and return its exit code."""
    seed, limit = arguments.seed, arguments.limit
    run = RunReader(arguments.config_dir).read(arguments.run)
    groups = drawn_groups([result.group for result in run.results], arguments.groups, seed)
    before = {result.id: result for result in run.results if result.group in groups}
    with TemporaryDirectory(prefix="llava-eval-audit-") as folder:
        switched = [_switched(run, name, before, Path(folder)) for name in SWITCHES]
    if not any(item.num_samples for item in switched):
        raise ComparisonError(f"{run.name} cannot be answered again: {switched[0].reason}")
    beyond = [item.name for item in switched if item.percent > limit]
    if arguments.json:
        print_json(
            {
                "run": run.name,
                "num_groups": len(groups),
                "seed": seed,
                "limit": limit,
                "switches": [dataclasses.asdict(item) for item in switched],
                "beyond": beyond,
            }
        )
    else:
        write_out(_text(run, switched, len(groups), limit, beyond))
    return int(bool(beyond))


def _switched(run: Run, name: str, before: Mapping[str, SampleResult], folder: Path) -> Switched:
    config = copy.deepcopy(dict(run.config))
    for key, value in SWITCHES[name].items():
        put(config, key, value)
    try:
        with _cold_cache(folder / "cache") if name == "cold cache" else nullcontext():
            results = answered_again(run.path, config, before, folder / name.replace(" ", "_"))
        after = {result.id: result for result in results}
    except LlavaEvalError as error:
        return Switched(name, reason=str(error))
    asked = [key for key in before if before[key].generation.error is None and key in after]
    both = [(before[key], after[key]) for key in asked]
    pairs = [(old, new) for old, new in both if new.generation.error is None]
    failed = [new.generation.error for _, new in both if new.generation.error is not None]
    reason = "" if asked else "no sample of these groups was answered in the run"
    if failed:
        reason = f"{len(failed)} of {count(len(asked), 'sample')} failed, the first of {failed[0]}"
    return Switched(
        name,
        len(pairs),
        sum(old.generation.text != new.generation.text for old, new in pairs),
        sum(old.score.answer != new.score.answer for old, new in pairs),
        sum(old.score.value != new.score.value for old, new in pairs),
        reason,
    )


@contextmanager
def _cold_cache(folder: Path) -> Iterator[None]:
    """Use an empty folder as the cache while the block runs."""
    kept = {name: text for name, text in os.environ.items() if name == CACHE_VARIABLE}
    os.environ[CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[CACHE_VARIABLE]
        os.environ.update(kept)


def _text(
    run: Run, switched: Sequence[Switched], num_groups: int, limit: float, beyond: Sequence[str]
) -> str:
    width = terminal_width()
    rows = []
    for item in switched:
        numbers = item.num_samples, item.num_texts, item.num_answers, item.num_scores
        rows.append([item.name, *(str(number) if item.num_samples else "-" for number in numbers)])
    table = Table(["answered", "samples", "other text", "other answer", "other score"], rows)
    verdict = f"no switch changes more than {limit:g} % of the answers"
    if beyond:
        verdict = f"beyond {limit:g} % of the answers: {', '.join(beyond)}"
    lines = [
        wrapped(f"{run.name}: {run.label}, {run.model}; {num_groups} groups", width),
        "",
        table.to_text(width),
        *(wrapped(f"{item.name}: {item.reason}", width) for item in switched if item.reason),
        "",
        wrapped(verdict, width),
    ]
    return "\n".join(lines)
