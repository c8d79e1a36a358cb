"""A sweep as a table, and as curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llava_eval.results.compare.sweep import FRAMES, Setting, Sweep
from llava_eval.results.compare.tables import SIGNIFICANT
from llava_eval.results.figures import Chart, Point, Series
from llava_eval.results.table import Table, interval, number


def sweep_table(sweep: Sweep) -> Table:
    """Return what each setting scores and costs; :func:`legend` explains the columns."""
    keys = list(dict.fromkeys(key for one in sweep.settings for key in one.values))
    names = ["frames" if key == FRAMES else key for key in keys]
    header = [*names, sweep.metric, "95 % interval", "to best", "s/sample", "MB", "Pareto"]
    return Table(header, [_row(one, keys) for one in sweep.settings], num_names=len(keys))


def _row(setting: Setting, keys: Sequence[str]) -> list[str]:
    score, seconds = setting.score, setting.cost.seconds_per_sample
    on = {"T": setting.on_time_frontier, "M": setting.on_memory_frontier}
    return [
        *(setting.values[key] for key in keys),
        number(score.value, score.unit),
        interval(score.ci_low, score.ci_high, score.unit),
        _to_best(setting),
        "-" if seconds is None else f"{seconds:.3g}",
        "-" if setting.memory_bytes is None else f"{setting.memory_bytes / 1e6:.1f}",
        "".join(mark for mark, is_on in on.items() if is_on),
    ]


def _to_best(setting: Setting) -> str:
    if setting.to_best is None:
        return "best" if setting.is_best else "-"
    significant = setting.p_value is not None and setting.p_value < SIGNIFICANT
    difference = number(setting.to_best.difference, setting.score.unit, signed=True)
    return f"{difference}*" if significant else difference


def legend(sweep: Sweep) -> str:
    """Return what the columns of the table mean."""
    return (
        f"to best: paired difference to the best run; * is significant at {SIGNIFICANT:g} after "
        f"Holm's correction for all pairs of runs. MB: {sweep.memory_name}. Pareto: no other run "
        "is at least as good and as fast (T), or as small (M)."
    )


def sweep_charts(sweep: Sweep) -> dict[str, Chart]:
    """Return the curves by a short name: score against frames, time and memory.

    A curve of something that does not vary, or that a run's files do not hold, is left out.
    """
    unit = sweep.settings[0].score.unit
    y_name = f"{sweep.metric} ({unit})"
    chance = None if sweep.chance is None else (sweep.chance, "chance")
    prices: dict[str, tuple[str, Callable[[Setting], float | None]]] = {
        "frames": ("frames a sample", lambda one: one.num_frames or None),
        "time": ("seconds a sample", lambda one: one.cost.seconds_per_sample),
        "memory": (f"{sweep.memory_name} (MB)", _megabytes),
    }
    charts = {}
    for name, (x_name, price) in prices.items():
        known = [one for one in sweep.settings if price(one) and one.score.value is not None]
        if len({price(one) for one in known}) < 2:
            continue
        on_frontier = {"time": "on_time_frontier", "memory": "on_memory_frontier"}.get(name)
        charts[name] = Chart(
            title=f"{sweep.benchmark}: score against {name}",
            x_name=x_name,
            y_name=y_name,
            series=_series(known, price, labelled=name != "frames"),
            frontier=[
                (price(one) or 0.0, one.score.value or 0.0)
                for one in known
                if on_frontier is not None and getattr(one, on_frontier)
            ],
            reference=chance,
        )
    return charts


def _megabytes(setting: Setting) -> float | None:
    return None if setting.memory_bytes is None else setting.memory_bytes / 1e6


def _series(
    settings: Sequence[Setting], price: Callable[[Setting], float | None], *, labelled: bool
) -> list[Series]:
    members: dict[str, list[Setting]] = {}
    for one in sorted(settings, key=lambda one: one.num_frames):
        members.setdefault(one.name, []).append(one)
    varies = len({one.num_frames for one in settings}) > 1
    order = dict.fromkeys(one.name for one in settings)
    return [
        Series(
            name,
            [
                Point(
                    price(one) or 0.0,
                    one.score.value or 0.0,
                    one.score.ci_low,
                    one.score.ci_high,
                    f"{one.num_frames:g}" if labelled and varies else "",
                )
                for one in members[name]
            ],
        )
        for name in order
    ]
