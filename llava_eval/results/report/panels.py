"""The section of a page with one benchmark's numbers, and drawings in the rows of tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from llava_eval.metrics.paired import holm_of
from llava_eval.results.columns import FLAG_WORDS, value_cells, value_with_interval
from llava_eval.results.compare.comparison_tables import SIGNIFICANT, starred
from llava_eval.results.compare.sweep_curves import Sweep, SweepPoint, legend, sweep_table
from llava_eval.results.drawing import series_style, to_svg
from llava_eval.results.formatting import Table, count, html_text, number, p_text, row_header
from llava_eval.results.report.overview import (
    COUNT_COLUMNS,
    MAX_PAIRED_RUNS,
    Overview,
    count_cells,
    facet_table,
    level_values,
    metrics_by_facet,
    results_table,
)
from llava_eval.results.report.protocol import protocol_card
from llava_eval.results.report.samples import STATES, address_text, state_of
from llava_eval.results.run_names import FRAMES, letters
from llava_eval.results.runs import Run
from llava_eval.results.summary import flag_counts
from llava_eval.types import MetricValue

#: Number of colours of a heat map; the style sheet has as many.
_NUM_SHADES = 10
_ABOUT_CURVES = (
    "Lines against time and memory join the runs of a setting that none of the same setting beats; "
    "a circle marks the Pareto set of all runs."
)


def section(set_index: int, title: str, overview: Overview) -> Iterator[str]:
    """Yield the HTML of one benchmark's section, number ``set_index`` of the page."""
    runs = overview.runs
    yield f'<section class="set" id="set-{set_index}" aria-labelledby="set-{set_index}-title">\n'
    yield f'<h2 id="set-{set_index}-title">{html_text(title)}</h2>\n'
    yield protocol_card(runs)
    if len(runs) <= MAX_PAIRED_RUNS:
        cards = "".join(_card(set_index, overview, index) for index in range(len(runs)))
        yield f'<div class="cards">{cards}</div>\n'
    if overview.notes:
        items = "".join(f"<li>{html_text(note)}</li>" for note in overview.notes)
        yield f'<div class="panel notes" role="note"><h3>Note</h3><ul>{items}</ul></div>\n'
    if overview.verdicts:
        lines = "".join(f"<li>{html_text(line)}</li>" for line in overview.verdicts)
        yield f'<ul class="panel verdicts">{lines}</ul>\n'
    drawings = []
    for name, chart in overview.charts.items():
        curve = to_svg(chart, name=f"chart-{set_index}-{name}", background=None)
        drawings.append(f'<div class="panel">{_scroll(chart.title, curve)}</div>')
    heat = None if overview.sweep is None else heat_map(overview.sweep)
    if heat is not None:
        about = "Darker is higher; the best has a frame."
        drawings.insert(0, _panel(f"{overview.headline} by frames", heat, about))
    if overview.charts:
        drawings.append(f'<p class="muted">{_ABOUT_CURVES}</p>')
    if drawings:
        yield f'<div class="curves">{"".join(drawings)}</div>\n'
    yield f'<div class="tables">\n{"".join(_panels(set_index, overview))}</div>\n</section>\n'


def _panels(set_index: int, overview: Overview) -> Iterator[str]:
    runs = overview.runs
    few = len(runs) <= MAX_PAIRED_RUNS
    tables = list(overview.tables())
    first = tables[:1] if few and overview.comparisons else []
    if few:
        yield from (_panel(name, table.to_html(), about) for name, table, about in first)
    elif overview.sweep is not None:
        table = sweep_runs_table(overview, overview.sweep)
        yield _panel("Runs", table.to_html(), legend(overview.sweep))
    else:
        yield _panel("Runs", results_table(runs).to_html())
    for facet, metric in metrics_by_facet(runs).items():
        yield _facet_panel(set_index, overview, facet, metric)
    # The table of a sweep's runs already shows its settings.
    known = set() if few or overview.sweep is None else {*overview.sweep.settings[0].values}
    for name, table, about in tables[len(first) :]:
        shown = table if few else _by_run(table, overview)
        is_known = name.startswith("What differs") and known.issuperset(shown.header[1:])
        if name != "Settings" and not is_known:
            yield _panel(name, shown.to_html(), about)


def _by_run(table: Table, overview: Overview) -> Table:
    """Transpose a table with a column per run to a row per run; leave any other table."""
    names = letters(len(overview.runs))
    first = len(table.header) - len(names)
    if list(table.header[first:]) != names:
        return table
    rows = [
        [f"{letter} {name}", *(row[first + index] for row in table.rows)]
        for index, (letter, name) in enumerate(zip(names, overview.names, strict=True))
    ]
    return Table(["run", *(row[0].replace("_", " ") for row in table.rows)], rows)


def sweep_runs_table(overview: Overview, sweep: Sweep) -> Table:
    """Return the table of a sweep's runs: settings, score, p-value, cost, metrics and counts."""
    names = dict(zip(overview.runs, letters(len(overview.runs)), strict=True))
    table = sweep_table(sweep)
    after = table.header.index("to best") + 1
    runs = [setting.run for setting in sweep.settings]
    metrics = dict.fromkeys(name for run in runs for name in run.tables.metrics)
    others = [name for name in metrics if name != sweep.metric]
    rows = [
        [
            names[run],
            *row[:after],
            p_text(setting.p_value),
            *row[after:],
            *(value_with_interval(run.tables.metrics.get(name)) for name in others),
            *count_cells(run),
        ]
        for row, setting, run in zip(table.rows, sweep.settings, runs, strict=True)
    ]
    header = ["run", *table.header[:after], "p", *table.header[after:], *others]
    return Table([*header, *COUNT_COLUMNS], rows, num_names=1 + table.num_names)


def heat_map(sweep: Sweep) -> str | None:
    """Return the score by frames (columns) and all other settings (rows) as an HTML table.

    None if one of the two does not vary, a cell would have several runs, or few cells are filled.
    """
    cells: dict[tuple[str, str], SweepPoint] = {}
    for item in sweep.settings:
        cells.setdefault((item.name, item.values.get(FRAMES, "")), item)
    names = list(dict.fromkeys(name for name, _ in cells))
    frames = sorted({frames for _, frames in cells}, key=lambda text: (len(text), text))
    values = [item.score.value for item in cells.values() if item.score.value is not None]
    is_grid = min(len(names), len(frames)) >= 2 and len(cells) > max(len(names), len(frames))
    if not is_grid or len(cells) < len(sweep.settings) or not values:
        return None
    low, high = min(values), max(values)

    def cell(item: SweepPoint | None) -> str:
        if item is None or item.score.value is None:
            return "<td>-</td>"
        share = (item.score.value - low) / (high - low) if high > low else 0.0
        shade = min(_NUM_SHADES - 1, int(share * _NUM_SHADES))
        shown = f"{_cell(item.score)}{item.shown}"
        return f'<td class="heat-{shade}{" best" if item.is_best else ""}">{shown}</td>'

    header = "".join(f'<th scope="col">{html_text(text)} frames</th>' for text in frames)
    rows = "".join(
        f"<tr>{row_header(name, html_text(name))}"
        f"{''.join(cell(cells.get((name, text))) for text in frames)}</tr>"
        for name in names
    )
    others = ", ".join(key for key in sweep.settings[0].values if key != FRAMES)
    return _table(html_text(others), header, rows, kind=' class="heat"')


def _table(name: str, header: str, rows: str, *, kind: str = "") -> str:
    """Return an HTML table; the header ``name`` is that of the column of the rows' names."""
    head = f'<tr><th scope="col" class="name">{name}</th>{header}</tr>'
    return f"<table{kind}><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _facet_panel(set_index: int, overview: Overview, facet: str, metric: str) -> str:
    runs, title = overview.runs, f"{metric} by {facet}"
    if len(runs) > MAX_PAIRED_RUNS:
        return _panel(title, _levels_by_run(set_index, overview, facet, metric))
    p_values = _facet_p_values(overview, facet, metric)
    num_compared = sum(p is not None for p in p_values.values())
    about = (
        f"* p < {SIGNIFICANT:g} for the paired difference to A, after Holm's correction for the "
        f"{count(num_compared, 'comparison')} of this table."
    )
    html = table_with_plots(set_index, runs, facet, metric, p_values)
    return _panel(title, html, about if num_compared else "")


def _facet_p_values(
    overview: Overview, facet: str, metric: str
) -> dict[tuple[int, str], float | None]:
    """Return p-values of differences to A by run and level, corrected for the whole table."""
    names = letters(len(overview.runs))
    raw = {
        (names.index(comparison.letter), item.level): item.estimate
        for comparison in overview.comparisons
        if comparison.level_metric.name == metric
        for item in comparison.facets.get(facet, ())
    }
    return dict(zip(raw, holm_of(raw.values()), strict=True))


def _levels_by_run(set_index: int, overview: Overview, facet: str, metric: str) -> str:
    """Return an HTML table with a row per run and a column per level."""
    by_level = level_values(overview.runs, facet, metric)
    header = "".join(
        f'<th scope="col">{_to_samples(set_index, {f"by.{facet}": level}, level)}</th>'
        for level in by_level
    )
    rows = "".join(
        f"<tr>{row_header(name, html_text(f'{letter} {name}'))}"
        f"{''.join(f'<td>{_cell(values[index])}</td>' for values in by_level.values())}</tr>"
        for index, (letter, name) in enumerate(
            zip(letters(len(overview.runs)), overview.names, strict=True)
        )
    )
    return _table("run", header, rows)


def _to_samples(set_index: int, view: Mapping[str, str], text: str) -> str:
    """Return a link that filters the list of samples, in the form of the page's own addresses."""
    parameters = {"set": str(set_index), **view}.items()
    query = "&".join(f"{address_text(name)}={address_text(value)}" for name, value in parameters)
    return f'<a href="#{html_text(query)}">{html_text(text) or "(empty)"}</a>'


def _panel(title: str, content: str, about: str = "") -> str:
    after = f'<p class="muted">{html_text(about)}</p>' if about else ""
    return (
        f'<section class="panel"><h3>{html_text(title)}</h3>'
        f"{_scroll(title, content)}{after}</section>\n"
    )


def _scroll(name: str, content: str) -> str:
    """Return content in an element that scrolls, also by keys, if it is wider than its panel."""
    label = html_text(name)
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{label}">{content}</div>'


def _card(set_index: int, overview: Overview, index: int) -> str:
    run, name = overview.runs[index], overview.headline or ""
    letter = letters(len(overview.runs))[index]
    metrics = run.tables.metrics
    headline = metrics.get(name) or MetricValue.none(0, "")
    unit = "%" if headline.unit == "percent" else headline.unit
    big, bounds, _ = value_cells(headline)
    others = [
        f"{other} {number(value.value, value.unit)}"
        for other, value in metrics.items()
        if other != name
    ]
    facts = [html_text(item) for item in (f"95 % interval {bounds}", *others)]
    paths = "<br>".join(map(html_text, dict.fromkeys((run.model, run.label, run.name))))
    return (
        f'<article class="panel card" aria-label="Run {letter}"><header>'
        f'<span class="letter s{index}">{letter}</span>'
        f"<strong>{html_text(overview.names[index])}</strong></header>"
        f'<div class="big">{html_text(big)}'
        f"<small>{html_text(f'{unit} {name}')}</small></div>"
        f"{_counts(facts)}{_counts(_counted(set_index, run, letter))}"
        f'<div class="path">{paths}</div></article>'
    )


def _counted(set_index: int, run: Run, letter: str) -> list[str]:
    """Return a run's counts as HTML; counts of sample states link to these samples."""
    texts = [count(len(run.results), "sample")]
    states = Counter(state_of(result, run.full_score) for result in run.results)
    for state, word in STATES.items():
        if states[state]:
            view = {"run": letter, "show": word}
            texts.append(_to_samples(set_index, view, f"{states[state]} {word}"))
        elif word in ("unreadable", "failed"):
            texts.append(f"0 {word}")
    for flag, num_samples in flag_counts(run.results).items():
        texts.append(html_text(f"{num_samples} {FLAG_WORDS.get(flag, flag)}"))
    speed = run.cost.samples_per_second
    if speed is not None:
        form = ".2g" if speed < 1 else ".1f" if speed < 100 else ".0f"
        texts.append(f"{speed:,{form}} samples/s")
    return texts


def _counts(texts: Sequence[str]) -> str:
    return f'<div class="counts">{"".join(f"<span>{item}</span>" for item in texts)}</div>'


_WIDTH, _STEP, _MARGIN = 110, 12, 6


def table_with_plots(
    set_index: int,
    runs: Sequence[Run],
    facet: str,
    metric: str,
    p_values: Mapping[tuple[int, str], float | None],
) -> str:
    """Return a facet's table as HTML; each row has a plot with a dot and interval per run."""
    by_level = level_values(runs, facet, metric)
    scale = _scale([value for values in by_level.values() for value in values if value is not None])
    if scale is None:
        return facet_table(runs, facet, metric).to_html()
    chance = runs[0].tables.chance.get(metric)
    low, high = scale
    header = f'<th scope="col" class="name plot">{low:g} to {high:g}</th>' + "".join(
        f'<th scope="col"><span class="letter s{index}">{letter}</span></th>'
        for index, letter in enumerate(letters(len(runs)))
    )
    rows = []
    for level, values in by_level.items():
        cells = "".join(
            f"<td>{_cell(value, p_values.get((index, level)))}</td>"
            for index, value in enumerate(values)
        )
        link = _to_samples(set_index, {f"by.{facet}": level}, level)
        named = row_header(level, f"{link}<small>{_num_samples(values)}</small>")
        rows.append(f'<tr>{named}<td class="plot">{_plot(values, scale, chance)}</td>{cells}</tr>')
    return _table(html_text(facet), header, "".join(rows))


def _num_samples(values: Sequence[MetricValue | None]) -> str:
    """Return the number of samples of the values; one per run if they differ."""
    known = {value.num_samples for value in values if value is not None}
    if len(known) == 1:
        return count(known.pop(), "sample")
    counts = ("-" if value is None else str(value.num_samples) for value in values)
    return f"{', '.join(counts)} samples"


def _cell(value: MetricValue | None, p_value: float | None = None) -> str:
    if value is None or value.value is None:
        return "-"
    text, bounds, _ = map(html_text, value_cells(value))
    shown = starred(text, p_value)
    p_cell = "" if shown == text else f" <small>p {html_text(p_text(p_value))}</small>"
    return f"{shown} <small>{bounds}</small>{p_cell}"


def _scale(values: Sequence[MetricValue]) -> tuple[float, float] | None:
    """Return the limits of the axis, for percentages at least 0 to 100; None without a value."""
    numbers = [
        number
        for value in values
        for number in (value.ci_low, value.value, value.ci_high)
        if number is not None
    ]
    if not numbers:
        return None
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    if all(value.unit == "percent" for value in values):
        high = max(high, 100.0)
    return float(f"{low:.3g}"), float(f"{high:.3g}") if high > low else low + 1.0


def _plot(
    values: Sequence[MetricValue | None], scale: tuple[float, float], chance: float | None
) -> str:
    low, high = scale
    height = _STEP * len(values) + 2

    def x(value: float) -> str:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return f"{_MARGIN + share * (_WIDTH - 2 * _MARGIN):.1f}"

    marks = [_line("grid", x(low), height / 2, x(high), height / 2, 1)]
    if chance is not None:
        marks.append(_line("muted dashed", x(chance), 0, x(chance), height, 1))
    for index, value in enumerate(values):
        if value is None or value.value is None:
            continue
        role, _, _ = series_style(index)
        y = _STEP * index + _STEP / 2 + 1
        if value.ci_low is not None and value.ci_high is not None:
            marks.append(_line(role, x(value.ci_low), y, x(value.ci_high), y, 2))
        marks.append(f'<circle class="mark {role}" cx="{x(value.value)}" cy="{y:g}" r="3.5"/>')
    return (
        f'<svg class="chart" aria-hidden="true" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}">{"".join(marks)}</svg>'
    )


def _line(role: str, x1: str, y1: float, x2: str, y2: float, width: int) -> str:
    points = f"{x1},{y1:g} {x2},{y2:g}"
    return f'<polyline class="{role}" points="{points}" fill="none" stroke-width="{width}"/>'
