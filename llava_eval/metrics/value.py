"""What a metric returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number of a table.

    Attributes:
        value: the metric in ``unit``; None when no sample had a score.
        stderr: standard error in the same unit, clustered by the samples' group; None when fewer
            than two groups had a score.
        ci_low, ci_high: 95 % confidence interval; None with ``stderr``.
        num_samples: samples in the denominator.
        unit: unit of the published table, for instance "percent".
        note: what must be known of the number, or why there is none; empty for nothing.
    """

    value: float | None
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    num_samples: int
    unit: str
    note: str = ""
