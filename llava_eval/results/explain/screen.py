"""An explanation as text for the terminal, as Markdown, and as JSON."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.borders.json_text import load_json
from llava_eval.borders.typed_json import as_type
from llava_eval.errors import RunDirectoryError
from llava_eval.results import files
from llava_eval.results.columns import INTERVAL, paired_cells
from llava_eval.results.explain.explanation import Explanation, GapParts
from llava_eval.results.explain.rules import DENOMINATORS, Reading
from llava_eval.results.formatting import (
    Table,
    count,
    from_difference,
    interval,
    markdown_text,
    number,
    setting_text,
    wrapped,
)
from llava_eval.results.run_names import letters
from llava_eval.types import SampleResult

#: The file that ``explain --run`` writes into the run directory, for the report.
EXPLANATION = "explain.json"
#: The most texts with disagreeing rules that are listed.
SHOWN_TEXTS = 8

_Block = str | Table
_REST = "not explained (interactions, all else)"
_WHOLE = "the whole difference"
_ABOUT_RULES = (
    "Mean score times 100 of the same texts: over those that the rule scores, over all, and with "
    "unreadable and drawn ones as wrong (strict); * is the rule's own denominator."
)


@dataclass(frozen=True)
class _StoredPart:
    """A change, or the unexplained rest, as stored in JSON."""

    difference: float
    low: float | None = None
    high: float | None = None
    name: str = ""


@dataclass(frozen=True)
class _StoredParts:
    """The parts of a gap, as stored in JSON."""

    unit: str
    changes: Sequence[_StoredPart]
    not_explained: _StoredPart
    whole: _StoredPart


@dataclass(frozen=True)
class _StoredExplanation:
    """The entries of :data:`EXPLANATION` that are read back."""

    against: str
    parts: _StoredParts


def rules_table(readings: Sequence[Reading]) -> Table:
    """Return the table of scores by rule and denominator; a star marks the rule's own."""
    rows = []
    for letter, reading in zip(letters(len(readings)), readings, strict=True):
        cells = [
            f"{number(reading.percents[name])}{'*' if name == reading.denominator else ' '}"
            for name in DENOMINATORS
        ]
        change = None if letter == "A" else reading.change
        rows.append(
            [
                letter,
                *cells,
                str(reading.num_unreadable),
                *paired_cells(change, "percent")[2:],
            ]
        )
    header = ["rule", *DENOMINATORS, "unread", "change", INTERVAL]
    return Table(header, rows)


def disagreements_table(listed: Sequence[Sequence[SampleResult]]) -> Table:
    """Return the table of texts with the answer that each rule reads; "+" marks right ones."""
    rows = []
    for results in listed:
        first = results[0]
        scores = [result.score for result in results]
        read = [
            f"{'-' if score.answer is None else score.answer}{'+' if score.value == 1 else ''}"
            for score in scores
        ]
        rows.append([first.id, first.generation.text or "(empty)", " | ".join(first.target), *read])
    header = ["sample", "text", "target", *letters(len(listed[0]))]
    return Table(header, rows, num_names=len(header))


def switches_table(explanation: Explanation) -> Table:
    """Return the table of the settings in which the two sides differ."""
    rows = [
        [
            switch.name,
            switch.role,
            key.rpartition(".")[2],
            *from_difference([setting_text(side[key]) for side in (switch.ours, switch.theirs)]),
        ]
        for switch in explanation.switches
        for key in switch.ours
    ]
    return Table(["differs in", "role", "key", "run", "against"], rows, num_names=5)


def _parts_table(parts: _StoredParts) -> Table:
    """Return the table of each change's own effect, and the unexplained rest."""
    lines = [(f"from the {item.name}", item) for item in parts.changes]
    lines += [(_REST, parts.not_explained), (_WHOLE, parts.whole)]
    rows = []
    for name, item in lines:
        is_open = item.low is None or item.high is None or item.low <= 0 <= item.high
        bounds = interval(item.low, item.high, parts.unit, signed=True)
        difference = number(item.difference, parts.unit, signed=True)
        rows.append([name, difference, bounds, "" if is_open else "found"])
    return Table(["change alone", parts.unit, INTERVAL, ""], rows)


def _blocks(explanation: Explanation) -> Iterator[tuple[str, list[_Block]]]:
    """Yield the sections of an explanation: a title, and the texts and tables below it."""
    run, readings = explanation.run, explanation.readings
    about_run: list[_Block] = [] if run.incomplete is None else [f"It {run.incomplete}."]
    yield f"{run.name}: {run.label}, {run.model}", about_run
    unlike = explanation.disagreements
    names = letters(len(readings))
    under: list[_Block] = [
        *(
            f"{letter}: {', '.join(reading.names)}"
            for letter, reading in zip(names, readings, strict=True)
        ),
        rules_table(readings),
        _ABOUT_RULES,
    ]
    if unlike:
        shown = unlike[:SHOWN_TEXTS]
        more = "" if len(shown) == len(unlike) else f"; the first {len(shown)}, all with --json"
        of_all = f"{count(len(unlike), 'text')} of {len(readings[0].results)}"
        under += [
            f"{of_all} are worth different{more} (+ right, - unread)",
            disagreements_table(shown),
        ]
    else:
        under.append("No text is worth different under any two of them.")
    yield "The same texts under every rule", under
    side = explanation.side
    if side is None:
        return
    lines: list[_Block] = [*side.published]
    lines.append(switches_table(explanation) if explanation.switches else "No setting differs.")
    lines += list(explanation.seen)
    yield f"What differs from {side.name}", lines
    parts = explanation.parts
    if parts is not None:
        about = (
            f"{count(parts.num_samples, 'sample')} of {count(parts.num_groups, 'group')}, seed "
            f"{parts.seed}; the whole is {parts.whole}. Intervals treat a group as one cluster."
        )
        failed = [f"Not switched: {reason}" for reason in parts.failed]
        table = _parts_table(as_type(_parts_content(parts), _StoredParts))
        yield "One difference switched at a time", [table, about, *failed]


def to_terminal(explanation: Explanation, *, width: int = 80) -> str:
    """Return an explanation as text for a terminal with ``width`` columns."""

    def shown(block: _Block) -> str:
        return block.to_text(width) if isinstance(block, Table) else wrapped(block, width)

    parts = _blocks(explanation)
    return "\n\n".join("\n".join(map(shown, (title, *blocks))) for title, blocks in parts)


def to_markdown(explanation: Explanation) -> str:
    """Return an explanation as GitHub's Markdown."""

    def shown(block: _Block) -> str:
        return block.to_markdown() if isinstance(block, Table) else markdown_text(block)

    parts = _blocks(explanation)
    texts = ((f"### {markdown_text(title)}", *map(shown, blocks)) for title, blocks in parts)
    return "\n\n".join(itertools.chain.from_iterable(texts)) + "\n"


def as_content(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    side, parts = explanation.side, explanation.parts
    content: dict[str, Any] = {
        "run": explanation.run.name,
        "benchmark": explanation.run.label,
        "model": explanation.run.model,
        "rules": [
            {
                "rules": list(reading.names),
                "denominator": reading.denominator,
                "percent": dict(reading.percents),
                "num_unreadable": reading.num_unreadable,
                "change": None if reading.change is None else dataclasses.asdict(reading.change),
            }
            for reading in explanation.readings
        ],
        "disagreements": [
            {
                "id": results[0].id,
                "text": results[0].generation.text or "",
                "target": list(results[0].target),
                "answers": [result.score.answer for result in results],
                "values": [result.score.value for result in results],
            }
            for results in explanation.disagreements
        ],
    }
    if side is not None:
        content |= {
            "against": side.name,
            "published": list(side.published),
            "differences": [
                {
                    "name": switch.name,
                    "key": switch.key,
                    "role": switch.role,
                    "run": dict(switch.ours),
                    "against": dict(switch.theirs),
                }
                for switch in explanation.switches
            ],
            "seen": list(explanation.seen),
        }
    if parts is not None:
        content["parts"] = _parts_content(parts)
    return content


def _parts_content(parts: GapParts) -> Mapping[str, Any]:
    attribution = parts.attribution
    return {
        "unit": parts.unit,
        "num_groups": parts.num_groups,
        "num_samples": parts.num_samples,
        "seed": parts.seed,
        "changes": [
            {"name": name, "key": key, **dataclasses.asdict(part)}
            for name, (key, part) in zip(parts.names, attribution.parts.items(), strict=True)
        ],
        "not_explained": {
            "difference": attribution.rest,
            "low": attribution.rest_low,
            "high": attribution.rest_high,
        },
        "whole": {**dataclasses.asdict(attribution.whole), "of": parts.whole},
        "not_switched": list(parts.failed),
    }


def stored_parts(directory: Path) -> tuple[Table, str] | None:
    """Return the parts of a gap that ``explain --run`` stored, and the name of the other side.

    Args:
        directory: the run directory.

    Returns:
        The table and the name; None if the run was not explained.

    Raises:
        RunDirectoryError: the file is damaged.
    """
    path = directory / EXPLANATION
    try:
        with files.reading_errors(path, RunDirectoryError):
            stored = as_type(load_json(path, dict, is_ours=True), _StoredExplanation)
    except FileNotFoundError:
        return None
    return _parts_table(stored.parts), stored.against
