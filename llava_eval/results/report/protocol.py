"""The card with the protocol of a report's runs: prompt, frames, rule and denominator."""

from __future__ import annotations

import inspect
import pydoc
import re
from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.config.build import TARGET_KEY
from llava_eval.config.roles import flat
from llava_eval.results.formatting import html_text
from llava_eval.results.run_names import letters
from llava_eval.results.runs import Run

#: The denominators of a mean, by their names in protocols' files; failed samples never count.
_DENOMINATORS = {
    "scored": "samples with a score",
    "all": "all answered samples, one without a score as 0",
    "strict": "samples with a score, and unreadable or drawn answers as 0",
}
_RULES = "llava_eval.scoring."
_ROLE = re.compile(r":\w+:`~?([\w.]+)`")


def protocol_card(runs: Sequence[Run]) -> str:
    """Return the HTML card of the runs' protocol; entries that differ are shown by run."""
    of_runs = [_texts(run) for run in runs]
    rows = {name: [texts[name] for texts in of_runs] for name in of_runs[0]}
    items = "".join(
        f"<dt>{name}</dt><dd>{_cell(texts, 'pre' if name in ('prompt', 'system') else 'span')}</dd>"
        for name, texts in rows.items()
        if any(texts)
    )
    return f'<section class="panel protocol"><h3>Protocol</h3><dl>{items}</dl></section>\n'


def _texts(run: Run) -> dict[str, str]:
    """Return the rows of a run's card by their names; an empty text is not shown."""
    leaves = flat(run.config)
    return {
        "data": _source(leaves),
        "prompt": _prompt(run, leaves),
        "system": str(leaves.get("benchmark.system") or ""),
        "frames": _call("sampler", leaves, first="num_frames", noun=" frames"),
        "generation": _generation(leaves),
        "rule": _rule(leaves),
        "denominator": _denominator(run, leaves),
    }


def _cell(texts: Sequence[str], tag: str) -> str:
    """Return the HTML of all distinct texts; if there are several, with their runs' letters."""
    names: dict[str, list[str]] = {}
    for letter, text in zip(letters(len(texts)), texts, strict=True):
        names.setdefault(text, []).append(letter)
    if len(names) == 1:
        return _lines(texts[0], tag)
    return "".join(
        f"<div><b>{', '.join(runs)}</b> {_lines(text or '-', tag)}</div>"
        for text, runs in names.items()
    )


def _lines(text: str, tag: str) -> str:
    return f"<{tag}>{'<br>'.join(map(html_text, text.splitlines()))}</{tag}>"


def _prompt(run: Run, leaves: Mapping[str, Any]) -> str:
    template = leaves.get("benchmark.adapter.prompt")
    if isinstance(template, str):
        return template
    return f"(of the first sample)\n{run.results[0].prompt}" if run.results else ""


def _call(part: str, leaves: Mapping[str, Any], first: str = "", noun: str = "") -> str:
    """Return a configuration node as text: main number, function, and the other arguments."""
    prefix = f"{part}."
    node = {key.removeprefix(prefix): leaves[key] for key in leaves if key.startswith(prefix)}
    name = str(node.pop(TARGET_KEY, "")).rpartition(".")[2]
    number = node.pop(first, None)
    given = [f"{key}={value}" for key, value in node.items() if value is not None]
    return ", ".join(filter(None, ["" if number is None else f"{number}{noun}", name, *given]))


def _rule(leaves: Mapping[str, Any]) -> str:
    target = str(leaves.get(f"scorer.{TARGET_KEY}", ""))
    # A name in a run directory causes no import, except of our own rules.
    rule = pydoc.locate(target) if target.startswith(_RULES) else None
    about = (inspect.getdoc(rule) or "").partition("\n\n")[0] if rule is not None else ""
    plain = " ".join(_ROLE.sub(lambda match: match[1].rpartition(".")[2], about).split())
    return "\n".join(filter(None, [plain.replace("`", ""), _call("scorer", leaves)]))


def _generation(leaves: Mapping[str, Any]) -> str:
    tokens = leaves.get("benchmark.generation.max_new_tokens")
    temperature = leaves.get("benchmark.generation.temperature")
    parts = [
        f"at most {tokens} tokens" if tokens is not None else "",
        f"temperature {_number(temperature)}" if temperature else "",
    ]
    return ", ".join(filter(None, parts))


def _number(value: Any) -> str:
    """Return a number as text, or the value that another tool's manifest has instead."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _source(leaves: Mapping[str, Any]) -> str:
    names = ("description", "source", "subset", "split", "revision", "licence")
    return ", ".join(str(value) for name in names if (value := leaves.get(f"benchmark.{name}")))


def _denominator(run: Run, leaves: Mapping[str, Any]) -> str:
    """Return each metric's denominator, and its number of samples, as text."""
    lines = []
    for name, value in run.tables.metrics.items():
        node = f"benchmark.metrics.{name}"
        function = str(leaves.get(f"{node}.{TARGET_KEY}", "")).rpartition(".")[2]
        kind = leaves.get(f"{node}.denominator", "scored" if function == "mean_score" else "")
        counted = f"{value.num_samples} of {len(run.results)}"
        lines.append(f"{name}: {counted}, {_DENOMINATORS.get(str(kind), f'as {function} counts')}")
    return "\n".join(lines)
