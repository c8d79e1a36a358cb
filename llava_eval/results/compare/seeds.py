"""Runs that differ only in the seed of sampled decoding: the variation that sampling causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llava_eval.config.roles import differences
from llava_eval.errors import ComparisonError
from llava_eval.metrics.differences import PairedMean
from llava_eval.metrics.intervals import FloatArray, clustered_stderr
from llava_eval.metrics.paired import influence_of
from llava_eval.results.compare.comparison import compare_runs
from llava_eval.results.formatting import Table, count, number, wrapped
from llava_eval.results.runs import Run

#: The most samples that are listed; those that flip most come first.
SHOWN_SAMPLES = 8


@dataclass(frozen=True)
class Seeds:
    """A metric over several seeds.

    Attributes:
        subject: benchmark and model.
        metric, unit: name of the headline metric, and the unit of all values.
        means: mean over all samples, by seed.
        mean: mean of these means.
        spread_of_seeds: standard deviation of the seeds' means.
        stderr_of_questions: clustered standard error of the mean due to the choice of questions;
            None for fewer than two groups.
        flips: share of seeds without the most frequent value, by id; only samples that flip.
        num_samples: number of samples that all seeds answered.
    """

    subject: str
    metric: str
    unit: str
    means: dict[str, float]
    mean: float
    spread_of_seeds: float
    stderr_of_questions: float | None
    flips: dict[str, float]
    num_samples: int

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Seeds:
        """Combine runs.

        Args:
            runs: at least two runs that differ only in their seed.

        Raises:
            ComparisonError: the metric is not a mean, or the runs answered different samples.
        """
        comparisons = compare_runs(runs)
        headline = comparisons[0].headline
        paired = [item.headline.paired for item in comparisons]
        means_of_pairs = [item for item in paired if isinstance(item, PairedMean)]
        ids = [[result.id for result in item.pairing.firsts] for item in comparisons]
        reason = None
        if any(names != ids[0] for names in ids):
            reason = "there are samples that only some of them answered"
        elif len(means_of_pairs) < len(comparisons):
            reason = f"{headline.name} is not a mean over samples that has a value"
        if reason is not None:
            raise ComparisonError(
                f"the runs differ only in their seeds, but {reason}; --allow-differences compares "
                "them like any other runs"
            )
        columns = [means_of_pairs[0].first, *(item.second for item in means_of_pairs)]
        # (seeds, samples), NaN outside the denominator
        values = means_of_pairs[0].scale * np.stack(columns)
        means = np.nanmean(values, axis=1)
        influence = [influence_of(*parts) for parts in zip(values, means, strict=True)]
        names = [str(run.config.get("seed")) for run in runs]
        return cls(
            f"{runs[0].label}, {runs[0].model}",
            headline.name,
            headline.unit,
            dict(zip(names, means.tolist(), strict=True)),
            float(means.mean()),
            float(means.std(ddof=1)),
            clustered_stderr(np.mean(influence, axis=0), comparisons[0].pairing.membership)
            if comparisons[0].pairing.num_clusters > 1
            else None,
            _flips(ids[0], values),
            len(ids[0]),
        )


def _flips(ids: Sequence[str], values: FloatArray) -> dict[str, float]:
    """Return the share of seeds without the most frequent value, for samples that flip."""
    flips = {}
    for name, column in zip(ids, values.T, strict=True):
        _, counts = np.unique(column, return_counts=True)
        if len(counts) > 1:
            flips[name] = 1 - float(counts.max()) / len(column)
    return dict(sorted(flips.items(), key=lambda item: -item[1]))


def over_seeds(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the groups of runs that differ only in their seed; empty if a run is alone."""
    if "seed" not in differences([run.config for run in runs]):
        return []
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if all(list(differences([item.config, run.config])) == ["seed"] for item in group):
                group.append(run)
                break
        else:
            groups.append([run])
    return groups if all(len(group) > 1 for group in groups) else []


def seeds_table(seeds: Seeds) -> Table:
    """Return the table of the metric for each seed, and its mean."""
    values = {**seeds.means, "mean": seeds.mean}.items()
    return Table(["seed", seeds.metric], [[name, number(one, seeds.unit)] for name, one in values])


def seeds_words(seeds: Seeds) -> str:
    """Return sentences on how much seeds, and the choice of questions, change the metric."""
    stderr = seeds.stderr_of_questions
    return (
        f"Between seeds {seeds.metric} spreads by {seeds.spread_of_seeds:.2f} (standard "
        "deviation); the choice of questions moves the mean by "
        f"{f'{stderr:.2f}' if stderr else '-'} (standard error). "
        f"{count(len(seeds.flips), 'sample')} ({100 * len(seeds.flips) / seeds.num_samples:.1f} %) "
        "are not worth the same under all seeds."
    )


def seeds_text(seeds: Seeds, *, width: int = 80) -> str:
    """Return seeds as text for a terminal with ``width`` columns."""
    blocks = [
        wrapped(f"{seeds.subject}, {count(seeds.num_samples, 'sample')}", width),
        seeds_table(seeds).to_text(width),
        wrapped(seeds_words(seeds), width),
    ]
    if seeds.flips:
        listed = [[name, f"{100 * part:.0f} %"] for name, part in seeds.flips.items()]
        table = Table(["sample", "flips"], listed[:SHOWN_SAMPLES])
        blocks.append(f"flips most, share of seeds unlike the others\n{table.to_text(width)}")
    return "\n\n".join(blocks)
