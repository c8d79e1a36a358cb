"""What tables show, as data: every number with all its digits, in a column of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llava_eval.metrics.paired import PairedEstimate
from llava_eval.results import files
from llava_eval.results.compare.comparison import Comparison, Flip
from llava_eval.results.formatting import safe_cell
from llava_eval.results.runs import Run, own_settings
from llava_eval.results.summary import flag_counts

if TYPE_CHECKING:
    from pandas import DataFrame

    from llava_eval.results.compare.sweep_curves import Sweep

_NAMES = ("run", "model", "benchmark", "settings")
_KEY = ("facet", "level", "metric")
_VALUES = ("value", "stderr", "ci_low", "ci_high", "num_samples", "unit")
_DIFFERENCES = (
    *("against", "num_compared", "difference"),
    *("difference_low", "difference_high", "p", "p_holm"),
)


def settings_texts(runs: Sequence[Run]) -> list[str]:
    """Return for each run the settings in which the runs differ: "num_frames=8, ..."."""
    return [", ".join(f"{key}={value}" for key, value in own.items()) for own in own_settings(runs)]


def metrics_data(
    runs: Sequence[Run], comparisons: Sequence[Comparison] = (), *, name: str = "metrics"
) -> dict[str, DataFrame]:
    """Return one row for each run, facet, level and metric; the whole set has an empty facet.

    Args:
        runs: with their own numbers, as their metrics.json holds them.
        comparisons: of every run but the first with the first: paired differences, on the samples
            that both have.
        name: of all rows.

    Returns:
        All rows, and those of each facet as "by_FACET".
    """
    import pandas as pd

    of_pairs = [{}, *map(_differences, comparisons)]
    rows = [
        dict(zip(_NAMES, (run.name, run.model, run.label, settings), strict=True))
        | {name: row[name] for name in (*_KEY, *_VALUES)}
        | (of_pairs[index].get(tuple(row[name] for name in _KEY), {}) if comparisons else {})
        for index, (run, settings) in enumerate(zip(runs, settings_texts(runs), strict=True))
        for row in run.metrics.to_dict("records")
    ]
    differences = _DIFFERENCES if comparisons else ()
    data = pd.DataFrame(rows, columns=[*_NAMES, *_KEY, *_VALUES, *differences]).convert_dtypes()
    facets = [facet for facet in data["facet"].unique() if facet]
    return {name: data, **{f"by_{facet}": data[data["facet"] == facet] for facet in facets}}


def cost_data(runs: Sequence[Run]) -> DataFrame:
    """Return what each run cost, and what must be known of its samples, one row a run."""
    import pandas as pd

    names = pd.DataFrame({"run": [run.name for run in runs], "settings": settings_texts(runs)})
    counted = [
        {
            "num_unreadable": run.num_unreadable,
            "num_errors": run.num_errors,
            "flags": flag_counts(run.results),
            **dataclasses.asdict(run.cost),
        }
        for run in runs
    ]
    return pd.concat([names, pd.json_normalize(counted)], axis="columns").convert_dtypes()


def agreement_data(comparisons: Sequence[Comparison]) -> DataFrame:
    """Return how much of what two runs wrote is the same, one row a comparison."""
    import pandas as pd

    sides = [{"run": c.pairing.second.name, "against": c.pairing.first.name} for c in comparisons]
    counts = [dataclasses.asdict(item.agreement) for item in comparisons]
    rows = [{**names, **numbers} for names, numbers in zip(sides, counts, strict=True)]
    return pd.json_normalize(rows).convert_dtypes()


def flips_data(flips: Sequence[Flip]) -> DataFrame:
    """Return the samples whose headline score changed, one row a sample."""
    import pandas as pd

    rows = [
        {
            **dataclasses.asdict(flip),
            "media": ", ".join(flip.media),
            "target": " | ".join(flip.target),
        }
        for flip in flips
    ]
    return pd.DataFrame(rows).convert_dtypes()


def _differences(comparison: Comparison) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return what a comparison found, by facet, level and metric."""
    against, headline = comparison.pairing.first.name, comparison.headline.name
    adjusted = comparison.adjusted_p_values
    found = {
        ("", "", item.name): _difference(item.estimate, adjusted.get(item.name), against)
        for item in comparison.metrics
    }
    for facet, levels in comparison.facets.items():
        for item in levels:
            difference = _difference(item.estimate, item.adjusted_p_value, against)
            found[facet, item.level, headline] = difference
    return found


def _difference(
    estimate: PairedEstimate | None, adjusted: float | None, against: str
) -> dict[str, Any]:
    if estimate is None:
        return {}
    bounds = (estimate.difference, estimate.low, estimate.high, estimate.p_value)
    return dict(zip(_DIFFERENCES, (against, estimate.num_samples, *bounds, adjusted), strict=True))


def sweep_data(sweep: Sweep) -> DataFrame:
    """Return one row for each run of a sweep, with its paired difference to the best one."""
    import pandas as pd

    best = next((item.run.name for item in sweep.settings if item.is_best), "")
    settings = settings_texts([item.run for item in sweep.settings])
    rows = [
        {
            **dict(zip(_NAMES, (item.run.name, item.run.model, item.run.label, text), strict=True)),
            **item.values,
            "metric": sweep.metric,
            **{name: getattr(item.score, name) for name in _VALUES},
            **_difference(item.to_best, item.p_value, best),
            "num_frames_shown": item.num_frames,
            "model_seconds_per_sample": item.cost.model_seconds_per_sample,
            "prepare_seconds_per_sample": item.cost.prepare_seconds_per_sample,
            "cached_share": item.cost.cached_share,
            "seconds_per_sample": item.cost.seconds_per_sample,
            "memory_bytes": item.memory_bytes,
            "on_time_frontier": item.on_time_frontier,
            "on_memory_frontier": item.on_memory_frontier,
        }
        for item, text in zip(sweep.settings, settings, strict=True)
    ]
    return pd.DataFrame(rows).convert_dtypes()


def write_data(path: Path, data: DataFrame) -> list[Path]:
    """Write rows as CSV, which a spreadsheet opens and runs nothing of, and as Parquet.

    Args:
        path: the CSV file; the other stands beside it.
        data: the rows.

    Raises:
        StorageError: one of them cannot be written.
    """
    safe = data.copy()
    for column in map(str, safe.select_dtypes("string")):
        safe[column] = safe[column].map(safe_cell, na_action="ignore")
    files.write_text(path, safe.to_csv(index=False))
    files.write_bytes(path.with_suffix(".parquet"), data.to_parquet(index=False))
    return [path, path.with_suffix(".parquet")]
