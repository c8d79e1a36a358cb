"""``llava-eval list``: what there is to choose from, read from the configuration files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from llava_eval.config import config_folder
from llava_eval.config.compose import list_choices
from llava_eval.config.messages import suggest
from llava_eval.errors import ConfigError

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
    names = [name for name in list_choices(group, config_dir)]
    width = max(map(len, names), default=0)
    lines = [f"{name:<{width}}  {_about(group, name, config_dir)}".rstrip() for name in names]
    return "\n".join([f"{kind} ({group}=...)", *(f"  {line}" for line in lines)])


def _about(group: str, name: str, config_dir: Path | None) -> str:
    path = _file(group, name, config_dir)
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text) or {}
    describe: Callable[[Any, str], str] = {"benchmark": _benchmark, "model": _model}.get(
        group, _comment
    )
    return describe(content, text)


def _file(group: str, name: str, config_dir: Path | None) -> Path:
    own = None if config_dir is None else config_dir / group / f"{name}.yaml"
    return own if own is not None and own.is_file() else config_folder() / group / f"{name}.yaml"


def _benchmark(content: Any, text: str) -> str:
    return str(content.get("benchmark", {}).get("description", "")) or _comment(content, text)


def _model(content: Any, text: str) -> str:
    return str(content.get("model", {}).get("checkpoint", ""))


def _comment(content: Any, text: str) -> str:
    """Return the first comment sentence of a file."""
    comment = " ".join(
        line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@" not in line
    )
    return comment.partition(". ")[0].rstrip(".")
