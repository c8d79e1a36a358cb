"""``llava-eval list``: what there is to choose from, read from the configuration files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from llava_eval.config.experiments import published_experiments
from llava_eval.config.groups import config_folder, list_choices, suggest
from llava_eval.errors import ConfigError

WIDTH = 80

KINDS = ("benchmarks", "models", "samplers", "scorers")


def listing_text(kind: str | None, config_dir: Path | None = None) -> str:
    """Return the choices of one kind, or of all, one per line with what its file says of it.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"cannot list {kind!r}{suggest(kind, KINDS)}; kinds: {', '.join(KINDS)}")
    return "\n\n".join(_section(name, config_dir) for name in KINDS if kind in (None, name))


def _section(kind: str, config_dir: Path | None) -> str:
    group = kind.removesuffix("s")
    if kind == "benchmarks":
        return _benchmarks(config_dir)
    names = [name for name in list_choices(group, config_dir)]
    width = max(map(len, names), default=0)
    lines = [f"{name:<{width}}  {_about(group, name, config_dir)}".rstrip() for name in names]
    return "\n".join([f"{kind} ({group}=...)", *(f"  {line}" for line in lines)])


def _about(group: str, name: str, config_dir: Path | None) -> str:
    path = _file(group, name, config_dir)
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text) or {}
    describe: Callable[[Any, str], str] = _model if group == "model" else _comment
    return describe(content, text)


def _file(group: str, name: str, config_dir: Path | None) -> Path:
    own = None if config_dir is None else config_dir / group / f"{name}.yaml"
    return own if own is not None and own.is_file() else config_folder() / group / f"{name}.yaml"


def _benchmarks(config_dir: Path | None) -> str:
    """Return every benchmark with what one must know before choosing it."""
    held_against = _published_by_benchmark(config_dir)
    blocks = ["benchmarks (benchmark=...)"]
    for name in list_choices("benchmark", config_dir):
        settings = _merged_benchmark(name, config_dir)
        prepare = settings.get("prepare") or {}
        number = settings.get("num_rows")
        source = str(settings.get("source", ""))
        facts = {
            "": settings.get("description"),
            "questions": number if number is not None else "number not known",
            "rows": None if source.startswith("package://") else source,
            "licence": settings.get("licence"),
            "access": prepare.get("gated"),
            "by hand": prepare.get("manual"),
            "published": "; ".join(held_against.get(name, [])) or None,
        }
        lines = [f"  {name}"]
        for title, fact in facts.items():
            if fact not in (None, ""):
                text = f"{title}: {fact}" if title else str(fact)
                lines += textwrap.wrap(
                    text,
                    WIDTH,
                    initial_indent="    ",
                    subsequent_indent="      ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def _merged_benchmark(name: str, config_dir: Path | None) -> dict[str, Any]:
    """Return a benchmark's own section over those of the shared files that it begins with."""
    content = yaml.safe_load(_file("benchmark", name, config_dir).read_text("utf-8")) or {}
    merged: dict[str, Any] = {}
    for part in content.get("defaults", []):
        if isinstance(part, str) and part.startswith("/benchmark/"):
            merged = _over(merged, _merged_benchmark(part.removeprefix("/benchmark/"), config_dir))
    return _over(merged, content.get("benchmark") or {})


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _over(old, value) if both and old is not None else value
    return merged


def _published_by_benchmark(config_dir: Path | None) -> dict[str, list[str]]:
    """Return, by benchmark, the headline that each experiment puts beside ours."""
    experiments = {**published_experiments(), **_own_experiments(config_dir)}
    found: dict[str, list[str]] = {}
    for name, content in sorted(experiments.items()):
        numbers = content.get("published") or []
        if numbers:
            shown = f"{numbers[0]['metric']} {numbers[0]['value']} (experiment={name})"
            for benchmark in _chosen(content, "benchmark"):
                found.setdefault(benchmark, []).append(shown)
    return found


def _own_experiments(config_dir: Path | None) -> dict[str, Any]:
    folder = None if config_dir is None else config_dir / "experiment"
    files = [] if folder is None else sorted(folder.rglob("*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) or {} for path in files}


def _chosen(content: Mapping[str, Any], group: str) -> Iterator[str]:
    for part in content.get("defaults", []):
        if isinstance(part, dict):
            yield from (str(value) for key, value in part.items() if key == f"override /{group}")


def _model(content: Any, _text: str) -> str:
    return str(content.get("model", {}).get("checkpoint", ""))


def _comment(_content: Any, text: str) -> str:
    """Return the first comment sentence of a file."""
    comment = " ".join(
        line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@" not in line
    )
    return comment.partition(". ")[0].rstrip(".")
