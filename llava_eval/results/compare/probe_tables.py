"""Probes compared with the plain run, by metric, by level of a facet and by answer letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llava_eval.config.roles import flat
from llava_eval.errors import ComparisonError
from llava_eval.results.columns import INTERVAL, paired_cells
from llava_eval.results.compare.comparison import RunComparison, all_notes, compare_runs
from llava_eval.results.compare.comparison_tables import SIGNIFICANT, facet_tables, values_of_first
from llava_eval.results.formatting import Table, number, p_text, wrapped
from llava_eval.results.runs import ComparableRun


@dataclass(frozen=True, eq=False)
class Probes:
    """A plain run, and runs of the same questions under probes.

    Attributes:
        plain: the run without a probe.
        names: the names of the probes.
        comparisons: the comparison of each with the plain run.
    """

    plain: ComparableRun
    names: Sequence[str]
    comparisons: Sequence[RunComparison]

    @classmethod
    def of(cls, runs: Sequence[ComparableRun]) -> Probes:
        """Find the plain run, and compare the others with it.

        Raises:
            ComparisonError: there is not exactly one plain run, or the runs cannot be compared.
        """
        plain = [run for run in runs if probe_of(run) is None]
        probed = [run for run in runs if probe_of(run) is not None]
        if len(plain) != 1 or not probed:
            raise ComparisonError(
                f"probes need one plain run and at least one with probe=...; got {len(plain)} "
                f"plain and {len(probed)} others: {', '.join(run.name for run in runs)}"
            )
        for run in runs:
            if run.incomplete is not None:
                raise ComparisonError(f"{run.name} {run.incomplete}")
        comparisons = compare_runs([*plain, *probed], allow_differences=True)
        if len(comparisons) < len(probed):
            raise ComparisonError(all_notes(comparisons, [*plain, *probed])[0])
        return cls(plain[0], [str(probe_of(run)) for run in probed], comparisons)

    @property
    def chance(self) -> float | None:
        """The headline metric's chance level, if the protocol states one."""
        return self.plain.parts.benchmark.chance.get(self.comparisons[0].headline.name)


def probe_of(run: ComparableRun) -> str | None:
    """Return the probe of a run; None for a plain one."""
    name = flat(run.config).get("benchmark.probe")
    return None if name is None else str(name)


def probes_table(probes: Probes) -> Table:
    """Return the table of the headline metric under every probe, and its chance level."""
    metric = probes.comparisons[0].headline
    estimates = [item.headline.estimate for item in probes.comparisons]
    firsts = values_of_first(probes.comparisons, estimates, metric.unit)
    rows = [
        ["A", name.replace("A", "plain", 1), value, *["-"] * 3] for name, value in firsts.items()
    ]
    for name, item in zip(probes.names, probes.comparisons, strict=True):
        headline = item.headline
        _, *values = paired_cells(headline.estimate, headline.unit)
        p_value = item.adjusted_p_values.get(headline.name)
        rows.append([item.letter, name, *values, p_text(p_value)])
    rows.append(["", "chance", number(probes.chance, metric.unit), *["-"] * 3])
    return Table(["run", "probe", metric.name, "change", INTERVAL, "Holm p"], rows, num_names=2)


def answers_table(probes: Probes) -> Table | None:
    """Return how often each letter is right, and how often it is answered, in percent.

    A probe that changes which letters are right (shuffled options) adds a column "right in ...".
    None unless all targets are single letters.
    """
    runs = [probes.plain, *(comparison.pairing.second for comparison in probes.comparisons)]
    options = {target for run in runs for result in run.results for target in result.target}
    if not options or any(len(name) != 1 for name in options):
        return None
    columns: dict[str, dict[str, float]] = {}
    for name, run in zip(["A", *(item.letter for item in probes.comparisons)], runs, strict=True):
        right = _shares([target for result in run.results for target in result.target[:1]])
        if right != columns.setdefault("right", right):
            columns[f"right in {name}"] = right
        columns[name] = _shares([str(result.score.answer) for result in run.results])
    rows = [
        [name, *(number(100 * shares.get(name, 0.0)) for shares in columns.values())]
        for name in sorted(options)
    ]
    return Table(["letter", *columns], rows)


def _shares(names: Sequence[str]) -> dict[str, float]:
    return {name: number / len(names) for name, number in Counter(names).items()}


def probes_text(probes: Probes, *, width: int = 80) -> str:
    """Return probes as text for a terminal with ``width`` columns."""
    first = probes.comparisons[0]
    metrics = " and, of levels, ".join(
        dict.fromkeys((first.headline.name, first.level_metric.name))
    )
    answers = answers_table(probes)
    is_one = len(probes.comparisons) == 1  # then the tables of levels have a column of p-values
    marked = "p by level is" if is_one else f"* is below {SIGNIFICANT},"
    blocks = [
        wrapped(f"{probes.plain.label}, {probes.plain.model}", width),
        probes_table(probes).to_text(width),
        *(table.to_text(width) for table in facet_tables(probes.comparisons)),
    ]
    if answers is not None:
        blocks.append(f"letters answered, in percent\n{answers.to_text(width)}")
    blocks.append(
        wrapped(
            f"Changes of {metrics} are paired by question; {marked} corrected for the levels. "
            "Intervals treat the questions of one video as one cluster.",
            width,
        )
    )
    return "\n\n".join(blocks)


def probes_content(probes: Probes) -> dict[str, Any]:
    """Return probes as JSON values."""
    return {
        "benchmark": probes.plain.label,
        "model": probes.plain.model,
        "metric": probes.comparisons[0].headline.name,
        "chance": probes.chance,
        "probes": [
            {
                "probe": name,
                "change": (estimate := comparison.headline.estimate) and asdict(estimate),
                "levels": {
                    facet: {item.level: item.estimate and asdict(item.estimate) for item in levels}
                    for facet, levels in comparison.facets.items()
                },
            }
            for name, comparison in zip(probes.names, probes.comparisons, strict=True)
        ],
    }
