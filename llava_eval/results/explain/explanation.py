"""Explanations of a run's score: rules for its texts, differing settings, parts of a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llava_eval.borders.paths import is_folder, local_path
from llava_eval.config.choices import list_choices, suggest
from llava_eval.config.compose import compose_config
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.metrics.attribution import Attribution
from llava_eval.results.compare.pairing import pair
from llava_eval.results.explain.rules import Reading, disagreements, readings
from llava_eval.results.explain.switches import Side, Switch, switches
from llava_eval.results.formatting import count, listed
from llava_eval.results.runs import Run, RunReader, differing_versions, is_run
from llava_eval.types import SampleResult


@dataclass(frozen=True, eq=False)
class GapParts:
    """A gap between two sides, split into parts by generating again.

    Attributes:
        attribution: the parts, in the metric's unit.
        unit: the metric's unit.
        names: names of the changes, in the order of the attribution's parts.
        failed: changes that could not be switched, and why.
        num_groups, num_samples: numbers of the groups and samples that were compared.
        seed: the seed of the groups' draw.
        whole: the source of the whole gap: the other run, or all changes at once.
    """

    attribution: Attribution
    unit: str
    names: Sequence[str]
    failed: Sequence[str]
    num_groups: int
    num_samples: int
    seed: int
    whole: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of a run's score.

    Attributes:
        run: the run.
        readings: its texts under every rule, its own first.
        disagreements: for each text whose score differs between rules, its result by each rule.
        side: the other run or experiment; None explains the run alone.
        switches: the settings in which they differ.
        seen: other differences in words: software, questions, frames that were shown.
        parts: the parts of the gap; None if nothing was generated.
    """

    run: Run
    readings: Sequence[Reading]
    disagreements: Sequence[Sequence[SampleResult]]
    side: Side | None = None
    switches: Sequence[Switch] = ()
    seen: Sequence[str] = ()
    parts: GapParts | None = None


def explain(run: Run, side: Side | None, config_dir: Path | None = None) -> Explanation:
    """Explain a run's score without generating anything.

    Args:
        run: the run.
        side: the other run or experiment; None explains the run alone.
        config_dir: a user's folder of configurations.

    Raises:
        LlavaEvalError: a protocol's file cannot be read.
    """
    found = readings(run, config_dir)
    return Explanation(
        run,
        found,
        disagreements(found),
        side,
        [] if side is None else switches(run.config, side.config),
        [] if side is None or side.run is None else _other_differences(run, side.run),
    )


def side_of(run: Run, against: str, reader: RunReader, config_dir: Path | None = None) -> Side:
    """Return the other side of an explanation, by its name.

    Args:
        run: the run.
        against: a run directory, or the name of an experiment.
        reader: reads the run directory.
        config_dir: a user's folder of configurations.

    Raises:
        LlavaEvalError: it is neither, is of another benchmark, or cannot be read.
    """
    path = local_path(against)
    if is_run(path):
        theirs = reader.read(path)
        return Side(theirs.name, theirs.config, run=theirs)
    names = list_choices("experiment", config_dir)
    if is_folder(path) or against not in names:
        raise ConfigError(
            f"--against {against}: neither a run directory nor an experiment"
            f"{suggest(against, names)}; llava-eval list experiments"
        )
    composed = compose_config([f"experiment={against}"], config_dir)
    benchmark = composed.config.benchmark.name
    if benchmark.partition("/")[0] != run.benchmark.partition("/")[0]:
        raise ConfigError(
            f"--against {against}: it is of {benchmark}, and {run.name} of {run.benchmark}"
        )
    published = [
        f"{number.metric}{f' ({number.level})' if number.level else ''} {number.value:g}: "
        f"{number.source}{f'; {number.note}' if number.note else ''}"
        for number in composed.config.published
    ]
    return Side(f"experiment={against}", composed.resolved, published=published)


def _other_differences(run: Run, theirs: Run) -> list[str]:
    """Return the differences of two runs other than their settings."""
    try:
        pairing = pair(run, theirs)
    except ComparisonError as error:
        return [str(error)]
    lines = list(pairing.differences)
    pairs = list(zip(pairing.firsts, pairing.seconds, strict=True))
    shown = [left.id for left, right in pairs if _saw_other_frames(left, right)]
    if shown:
        lines.append(f"other frames were shown to {count(len(shown), 'sample')} ({listed(shown)})")
    ours, others = _mean_input_tokens(pairing.firsts), _mean_input_tokens(pairing.seconds)
    if ours is not None and others is not None and ours != others:
        lines.append(f"input tokens a sample: {ours:.1f} and {others:.1f}")
    same = sum(left.generation.text == right.generation.text for left, right in pairs)
    lines.append(f"{same} of {len(pairs)} texts are the same")
    for ids, name in ((pairing.first_only, run.name), (pairing.second_only, theirs.name)):
        if ids:
            lines.append(f"{count(len(ids), 'sample')} only in {name} ({listed(ids)})")
    lines += [
        f"{name} {values[0]} and {values[1]}"
        for name, values in differing_versions([run, theirs]).items()
    ]
    return lines


def _saw_other_frames(left: SampleResult, right: SampleResult) -> bool:
    """Return whether two results have different frames; False if one did not record them."""
    are_known = all(len(side.frame_indices) == len(side.media) for side in (left, right))
    return are_known and left.frame_indices != right.frame_indices


def _mean_input_tokens(results: Sequence[SampleResult]) -> float | None:
    """Return the mean number of input tokens; None unless each result has one."""
    numbers = [result.generation.num_input_tokens for result in results]
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if len(known) == len(numbers) and known else None
