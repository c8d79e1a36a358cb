"""Read and print published scores."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from llava_eval.config.choices import suggest
from llava_eval.config.experiments import published_rows
from llava_eval.errors import ConfigError

#: A row of ``scores.csv``, by the names of its columns.
Score = Mapping[str, str]


def read_scores(*, benchmark: str | None = None, model: str | None = None) -> Sequence[Score]:
    """Return the scores of one benchmark, one model, or all.

    Args:
        benchmark: a family ("videomme"), or a protocol of it ("videomme/official").
        model: part of the model's name; case, punctuation and blanks are ignored, so that the
            names of configurations work too: "smolvlm2_2_2b".

    Raises:
        ConfigError: there are no published scores of that benchmark, or of such a model.
    """
    scores: Sequence[Score] = published_rows("scores.csv")
    if benchmark is not None:
        family = benchmark.partition("/")[0]
        scores = _kept(
            scores, "benchmark", family, [item["benchmark"] == family for item in scores]
        )
    if model is not None:
        wanted = _plain(model)
        exact = [_plain(item["model"]) == wanted for item in scores]
        part = [wanted in _plain(item["model"]) for item in scores]
        scores = _kept(scores, "model", model, exact if any(exact) else part)
    return scores


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.lower()).strip()


def _kept(
    scores: Sequence[Score], column: str, wanted: str, keep: Sequence[bool]
) -> Sequence[Score]:
    if any(keep):
        return list(itertools.compress(scores, keep))
    names = sorted({item[column] for item in scores})
    raise ConfigError(
        f"no score is published here for the {column} {wanted!r}{suggest(wanted, names)}; there "
        f"are {', '.join(names)}"
    )


def scores_text(scores: Iterable[Score], *, width: int = 80) -> str:
    """Return scores as text for people, by benchmark, with their sources at the end."""
    listed = list(scores)
    sources = list(dict.fromkeys((item["source"], item["kind"]) for item in listed))
    blocks = []
    for benchmark in dict.fromkeys(item["benchmark"] for item in listed):
        rows = [
            [
                item["model"],
                ", ".join(part for part in (item["metric"], item["part"]) if part),
                _frames(item),
                item["printed"] or item["score"],
                f"experiment={item['experiment']}" if item["experiment"] else "",
                f"[{sources.index((item['source'], item['kind'])) + 1}]"
                + ("" if item["kind"] == "published" else f" {item['kind']}"),
            ]
            for item in listed
            if item["benchmark"] == benchmark
        ]
        blocks.append("\n".join([benchmark, *_table(rows, width)]))
    notes = [
        line
        for number, (source, kind) in enumerate(sources, start=1)
        for line in textwrap.wrap(
            f"[{number}] {'' if kind == 'published' else f'{kind}: '}{source}",
            width,
            subsequent_indent="     ",
        )
    ]
    if any("inferred" in item["frames"] for item in listed):
        notes.append("frames?  inferred, not stated by the source")
    return "\n\n".join([*blocks, "\n".join(notes)])


def _frames(score: Score) -> str:
    number, _, rest = score["frames"].partition(" ")
    unit = rest if rest == "a second" else f"frame{'s' * (number != '1')}"
    shown = f"{number} {unit}" if number.isdigit() else ""
    shown += "?" if shown and "inferred" in score["frames"] else ""
    if score["subtitles"] in ("yes", "interleaved"):
        shown = f"{shown}, subtitles" if shown else "subtitles"
    return shown


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a table, with experiments below their rows if it is too narrow."""
    columns = range(len(rows[0]))
    widths = [max(len(row[column]) for row in rows) for column in columns]
    below = [""] * len(rows)
    if not widths[4] or 2 + sum(widths) + 2 * (len(widths) - 1) > width:
        below = [row[4] for row in rows]
        rows = [[*row[:4], row[5]] for row in rows]
        widths.pop(4)
    # Model and metric are wrapped if a line would be too long.
    for column, least in ((1, 24), (0, 18), (1, 15), (0, 12), (1, 12)):
        over = 2 + sum(widths) + 2 * (len(widths) - 1) - width
        if over > 0:
            widths[column] = min(widths[column], max(least, widths[column] - over))
    lines = []
    for row, experiment in zip(rows, below, strict=True):
        wrapped = [
            textwrap.wrap(text, max(size, 1)) or [""]
            for text, size in zip(row, widths, strict=True)
        ]
        for cells in itertools.zip_longest(*wrapped, fillvalue=""):
            aligned = [
                cell.rjust(size) if column == 3 else cell.ljust(size)
                for column, (cell, size) in enumerate(zip(cells, widths, strict=True))
            ]
            lines.append(f"  {'  '.join(aligned)}".rstrip())
        if experiment:
            lines.append(f"    {experiment}")
    return lines
