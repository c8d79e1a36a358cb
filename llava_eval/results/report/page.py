"""The page: one HTML file, with a content security policy that forbids loading anything."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

import llava_eval
from llava_eval.results.formatting import html_text
from llava_eval.results.report.overview import Overview
from llava_eval.results.report.panels import section
from llava_eval.results.report.samples import SampleSet, chunks_of, index_of, packed
from llava_eval.results.report.thumbnails import Thumbnails
from llava_eval.results.run_names import letters
from llava_eval.results.runs import Run

_SCRIPTS = ("codec.js", "list.js", "detail.js", "explorer.js", "print.js", "page.js")
_LIMITS = {"size": "--thumbnails-mb", "time": "--thumbnails-seconds"}


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a page that shows one benchmark."""

    overview: Overview
    samples: SampleSet
    thumbnails: Thumbnails

    @property
    def title(self) -> str:
        """Benchmark and protocol, with overrides if all runs have the same."""
        runs = self.samples.runs
        labels = {run.label for run in runs}
        return labels.pop() if len(labels) == 1 else runs[0].benchmark


def page(parts: Sequence[Part]) -> str:
    """Return the page as HTML."""
    style, theme, script = _asset("page.css"), _script(["theme.js"]), _script(_SCRIPTS)
    first = parts[0].title
    title = f"{first} and {len(parts) - 1} more" if len(parts) > 1 else first
    # Only our own scripts run, whatever a text contains.
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; "
        f"script-src '{_digest(theme)}' '{_digest(script)}'"
    )
    titles = [html_text(part.title) for part in parts]
    origins = dict.fromkeys(_origin(run) for part in parts for run in part.samples.runs)
    sections = (section(index, part.title, part.overview) for index, part in enumerate(parts))
    return Template(_asset("page.html")).substitute(
        policy=policy,
        title=html_text(title),
        style=style,
        theme=theme,
        links="".join(f'<a href="#set-{index}">{text}</a>' for index, text in enumerate(titles)),
        sections="".join(itertools.chain.from_iterable(sections)),
        explorer=_explorer(parts),
        origins="<br>".join(map(html_text, origins)),
        version=llava_eval.__version__,
        help=_asset("help.html"),
        data="".join(_data(parts)),
        script=script,
    )


def _asset(name: str) -> str:
    folder = importlib.resources.files("llava_eval.results.report") / "assets"
    return (folder / name).read_text(encoding="utf-8")


def _script(names: Sequence[str]) -> str:
    """Return scripts joined to one; its declarations are visible to later scripts of the page."""
    return '"use strict";\n' + "\n".join(_asset(name) for name in names)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _explorer(parts: Sequence[Part]) -> str:
    options = "".join(
        f'<option value="{index}">{html_text(part.title)}</option>'
        for index, part in enumerate(parts)
    )
    limited = ((part.title, part.thumbnails) for part in parts if part.thumbnails.stopped)
    pictures = " ".join(
        f"{title}: pictures of {len(thumbnails.strips)} of {thumbnails.num_wanted} sets of "
        f"frames, what went wrong first; {_LIMITS[thumbnails.stopped]} allows more."
        for title, thumbnails in limited
    )
    return Template(_asset("explorer.html")).substitute(
        options=options, one_set=" hidden" if len(parts) == 1 else "", pictures=html_text(pictures)
    )


def _origin(run: Run) -> str:
    sessions = run.manifest.sessions
    ended = (sessions and sessions[-1].ended) or "at an unknown time"
    names = ("llava_eval", "torch", "commit")
    named = [f"{name} {version}" for name in names if (version := run.origin.get(name))]
    return ", ".join(filter(None, [f"{run.name}: {ended}", *named, run.cost.machine]))


def _data(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the elements with the scripts' data, which cannot run or end their element."""
    sets = [
        {
            "title": part.title,
            "letters": letters(len(part.samples.runs)),
            "names": part.overview.names,
        }
        for part in parts
    ]
    yield _element("report", "application/json", _safe_json({"sets": sets}))
    first_strip = 0
    for index, part in enumerate(parts):
        numbers = {
            sample: first_strip + strip for sample, strip in part.thumbnails.by_sample.items()
        }
        yield _element(f"index-{index}", "text/plain", packed(index_of(part.samples, numbers)))
        for chunk, details in enumerate(chunks_of(part.samples)):
            yield _element(f"chunk-{index}-{chunk}", "text/plain", packed(details))
        for number, strip in enumerate(part.thumbnails.strips, first_strip):
            yield _element(f"strip-{number}", "application/json", _safe_json(strip))
        first_strip += len(part.thumbnails.strips)


def _element(name: str, kind: str, content: str) -> str:
    return f'<script type="{kind}" id="{name}">{content}</script>\n'


def _safe_json(content: Any) -> str:
    """Return JSON without characters that have a meaning in HTML."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
