"""Our numbers held against published ones."""

from __future__ import annotations

from dataclasses import dataclass

from llava_eval.metrics import MetricValue
from llava_eval.results.summary import Summary


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """A published number; see ``llava_eval.config.schema.PublishedConfig``."""

    metric: str
    value: float
    source: str
    facet: str | None = None
    level: str | None = None
    half_step: float = 0.05
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published number beside ours, in the metric's unit.

    Attributes:
        published: the published number and its source.
        ours: our value; None where nothing was scored.
        difference: ours minus published.
        ci_low, ci_high: our 95 % interval; None where there is none.
        chance_explains: the published value, give or take its rounding, lies in our interval; None
            where there is no interval.
        unit: of all of them.
    """

    published: PublishedNumber
    ours: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    chance_explains: bool | None
    unit: str

    @property
    def name(self) -> str:
        """The metric, with the level of the facet that it is of."""
        part = f" ({self.published.level})" if self.published.facet is not None else ""
        return f"{self.published.metric}{part}"


def held_against(summary: Summary, published: PublishedNumber) -> Comparison:
    """Compare one published number with ours.

    The interval is ours alone, from the spread over videos; the published run's own chance (sampled
    decoding, another judge snapshot) is not known. Both were asked the same questions, so a
    difference inside the interval is no proof of agreement, while one outside it is a difference.
    """
    ours = _value_of(summary, published)
    if ours is None or ours.value is None:
        return Comparison(
            published, None, None, None, None, None, "" if ours is None else ours.unit
        )
    explained = None
    if ours.ci_low is not None and ours.ci_high is not None:
        low, high = ours.ci_low - published.half_step, ours.ci_high + published.half_step
        explained = low <= published.value <= high
    return Comparison(
        published,
        ours.value,
        ours.value - published.value,
        ours.ci_low,
        ours.ci_high,
        explained,
        ours.unit,
    )


def _value_of(summary: Summary, published: PublishedNumber) -> MetricValue | None:
    if published.facet is None:
        return summary.metrics.get(published.metric)
    levels = summary.groups.get(published.facet, {})
    return levels.get(str(published.level), {}).get(published.metric)
