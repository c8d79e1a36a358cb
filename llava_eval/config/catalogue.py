"""``llava-eval list``: the available choices, read from the configuration files."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from llava_eval.borders.paths import read_file
from llava_eval.config.build import build_target, import_target
from llava_eval.config.choices import config_folder, list_choices, search_path_override, suggest
from llava_eval.config.experiments import as_printed, published_experiments
from llava_eval.config.schema import GenerationConfig, ReplyConfig
from llava_eval.errors import ConfigError, first_line
from llava_eval.types import VideoInfo

WIDTH: Final = 80

#: Shown once, above the choices, if a licence says "not verified".
_NOT_VERIFIED: Final = (
    '  "not verified": not read where the data set itself states it; read it there',
    "  before you use the data.",
)

#: The description of one choice: titles and facts, in the order in which they are shown.
Facts = dict[str, Any]


def listing_text(
    kind: str | None, config_dir: Path | None = None, *, pattern: str = "", as_json: bool = False
) -> str:
    """Return the available choices, with the facts that users need in order to choose.

    Args:
        kind: one of :data:`KINDS`; None lists all.
        config_dir: a user's folder of configurations.
        pattern: list only names, or media of benchmarks, that contain this text in any case.
        as_json: return a JSON object with a list of choices for each kind, instead of text.

    Raises:
        ConfigError: an unknown kind, no matching name, or a file that cannot be read.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"cannot list {kind!r}{suggest(kind, KINDS)}; kinds: {', '.join(KINDS)}")
    search_path_override(config_dir)  # raises where there is no such folder
    listed = {}
    for name in KINDS if kind is None else (kind,):
        choices = list_choices(name.removesuffix("s"), config_dir)
        facts = [_facts(name, choice, config_dir) for choice in choices]
        wanted = [item for item in facts if _fits(item, pattern)]
        if wanted or not pattern:
            listed[name] = wanted
    if not listed:
        where = kind or "everything that can be listed"
        raise ConfigError(f"no name of {where} holds {pattern!r}")
    if as_json:
        return json.dumps(listed, indent=2, ensure_ascii=False)
    return "\n\n".join(_section(name, choices) for name, choices in listed.items())


def _fits(facts: Facts, pattern: str) -> bool:
    texts = (facts["name"], facts.get("media") or "")
    return any(pattern.lower() in text.lower() for text in texts)


def _facts(kind: str, name: str, config_dir: Path | None) -> Facts:
    """Return the description of one choice.

    Raises:
        ConfigError: its file does not have the contents that files of its kind have.
    """
    try:
        return {"name": name, **_FACTS[kind](name, config_dir)}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        group = kind.removesuffix("s")
        raise ConfigError(
            f"{_file(group, name, config_dir)} is no {group} ({type(error).__name__}: "
            f"{first_line(error)}); llava-eval --cfg {group}={name} says what is wrong"
        ) from error


def _section(kind: str, choices: Sequence[Facts]) -> str:
    """Return one kind as text: a block or, if there are few facts, a line for each choice."""
    heading = f"{kind} ({kind.removesuffix('s')}=...)"
    if kind in ("benchmarks", "experiments"):
        about = _NOT_VERIFIED if "not verified" in str(choices) else ()
        return "\n".join([heading, *about, *(_block(facts) for facts in choices)])
    width = max((len(facts["name"]) for facts in choices), default=0)
    lines = [f"{facts['name']:<{width}}  {facts['about']}".rstrip() for facts in choices]
    return "\n".join([heading, *(_wrapped(line, "  ", " " * (width + 4)) for line in lines)])


def _block(facts: Facts) -> str:
    lines = [f"  {facts['name']}"]
    for title, fact in facts.items():
        if title == "name" or fact in (None, "", []):
            continue
        shown = "; ".join(map(str, fact)) if isinstance(fact, list) else str(fact)
        lines.append(_wrapped(shown if title == "about" else f"{title}: {shown}", "    ", "      "))
    return "\n".join(lines)


def _wrapped(text: str, first: str, others: str) -> str:
    """Wrap text to lines of :data:`WIDTH` columns with these indentations."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _benchmark(name: str, config_dir: Path | None) -> Facts:
    merged = _merged_benchmark(name, config_dir)
    settings = merged.get("benchmark") or {}
    prepare = settings.get("prepare") or {}
    number = settings.get("num_rows")
    source = str(settings.get("source", ""))
    return {
        "about": settings.get("description"),
        "media": _media(name, merged, config_dir),
        "questions": number if number is not None else "number not known",
        "rows": None if source.startswith("package://") else source,
        "licence": settings.get("licence"),
        "access": prepare.get("gated"),
        "by hand": prepare.get("manual"),
        "pipeline": _pipeline(settings, merged.get("sampler") or {}),
        "published": [
            f"{_facts('experiments', experiment, config_dir)['published'][0]} "
            f"(experiment={experiment})"
            for experiment, content in _experiments(config_dir).items()
            if content.get("published") and name in _chosen(content, "benchmark")
        ],
    }


def _media(name: str, merged: Mapping[str, Any], config_dir: Path | None) -> str | None:
    """Return "videos" or "images"; None for a user's own benchmark with the default sampler."""
    if "name" in (merged.get("sampler") or {}):
        return "videos"
    return "images" if config_folder() in _file("benchmark", name, config_dir).parents else None


def _pipeline(settings: Mapping[str, Any], sampler: Mapping[str, Any]) -> list[str]:
    """Return short descriptions of a protocol's steps between row, model and scorer.

    Args:
        settings: its ``benchmark`` section.
        sampler: its ``sampler`` section merged over the chosen file's, with that file's name.
    """
    reply = ReplyConfig(**(settings.get("reply") or {}))
    generation = GenerationConfig(**(settings.get("generation") or {}))
    adapter = settings.get("adapter") or {}
    is_greedy = generation.temperature == 0
    facts = [
        _sampling(sampler),
        {True: "images turned by EXIF", False: "images as stored"}.get(_upright(adapter)),
        f"{delimiter!r} before options" if (delimiter := adapter.get("option_delimiter")) else None,
        f"at most {generation.max_new_tokens} tokens",
        "greedy" if is_greedy else f"temperature {generation.temperature:g}",
        None if is_greedy or generation.top_p == 1 else f"top_p {generation.top_p:g}",
        *(f"ends at {stop!r}" for stop in generation.stop_strings),
        "the checkpoint's other generation settings kept"
        if settings.get("generation_settings") == "checkpoint"
        else "no generation settings of the checkpoint",
        "replies stripped" if reply.strip else "replies as they are",
        "reasoning cut out as lmms-eval does" if reply.reasoning == "lmms_eval" else None,
    ]
    return [fact for fact in facts if fact is not None]


def _sampling(sampler: Mapping[str, Any]) -> str | None:
    """Describe how frames are chosen; for our samplers also how they treat a shorter clip."""
    if "name" not in sampler:
        return None
    chosen = f"frames by {sampler['name']}"
    if not str(sampler.get("_target_")).startswith("llava_eval."):
        return chosen
    node = {key: value for key, value in sampler.items() if key != "name"}
    frames_of = build_target({**node, "num_frames": 2}, key="sampler")
    clip = VideoInfo("a clip", num_frames=1, fps=1.0, seconds=1.0, width=1, height=1, codec="")
    shorter = "repeats frames" if len(frames_of(clip)) == 2 else "shows each once"
    return f"{chosen}, a shorter clip {shorter}"


def _upright(adapter: Mapping[str, Any]) -> Any:
    """Return whether an adapter turns images by EXIF; None if it has no such parameter."""
    try:
        adapter_of = import_target(adapter.get("_target_"), key="benchmark.adapter")
        parameters = inspect.signature(adapter_of).parameters
    except (ConfigError, ValueError, TypeError):
        return None
    default = parameters["upright"].default if "upright" in parameters else None
    return adapter.get("upright", default)


def _experiment(name: str, config_dir: Path | None) -> Facts:
    content = _experiments(config_dir)[name]
    numbers = content.get("published") or []
    return {
        "about": None if name in published_experiments() else _comment(name, config_dir),
        "benchmark": ", ".join(_chosen(content, "benchmark")),
        "model": ", ".join(_chosen(content, "model")),
        "published": [_printed(number) for number in numbers],
        "source": "; ".join(dict.fromkeys(str(number["source"]) for number in numbers)),
        "note": "; ".join(dict.fromkeys(filter(None, (item.get("note") for item in numbers)))),
    }


def _printed(number: Mapping[str, Any]) -> str:
    """Return a published number with as many digits as its source printed."""
    value, level = number["value"], number.get("level")
    if "half_step" in number:
        value = as_printed(value, number["half_step"])
    return f"{number['metric']}{f' ({level})' if level is not None else ''} {value}"


def _model(name: str, config_dir: Path | None) -> Facts:
    settings = _content("model", name, config_dir).get("model", {})
    if settings.get("_target_") == "":  # a user's own class, to be named
        return {"about": "model._target_=..."}
    checkpoint = str(settings.get("checkpoint", ""))
    return {"about": "model.checkpoint=..." if checkpoint == "???" else checkpoint}


def _comment(name: str, config_dir: Path | None, group: str = "experiment") -> str:
    """Return the first sentence of a file's comments."""
    text = _text(_file(group, name, config_dir))
    comment = " ".join(
        line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@" not in line
    )
    return comment.partition(". ")[0].rstrip(".")


def _file(group: str, name: str, config_dir: Path | None) -> Path:
    for folder in (*([] if config_dir is None else [config_dir]), config_folder()):
        if (path := folder / group / f"{name}.yaml").is_file():
            return path
    raise ValueError(
        f"there is no {group} {name!r}{suggest(name, list_choices(group, config_dir))}"
    )


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {first_line(error)}") from error


def _content(group: str, name: str, config_dir: Path | None) -> Mapping[str, Any]:
    path = _file(group, name, config_dir)
    try:
        content = yaml.safe_load(_text(path)) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {first_line(error)}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected keys and values, got {content!r:.80}")
    return content


def _merged_benchmark(name: str, config_dir: Path | None) -> dict[str, Any]:
    """Return a benchmark's own file merged over the shared files in its defaults."""
    content = _content("benchmark", name, config_dir)
    merged: dict[str, Any] = {}
    for part in content.get("defaults", []):
        if isinstance(part, str) and part.startswith("/benchmark/"):
            merged = _over(merged, _merged_benchmark(part.removeprefix("/benchmark/"), config_dir))
        elif isinstance(part, dict) and "override /sampler" in part:
            name = part["override /sampler"]
            merged["sampler"] = {"name": name, **_content("sampler", name, config_dir)}
    own = {key: content[key] for key in ("benchmark", "sampler") if key in content}
    return _over(merged, own)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {
        key: _over(below[key], value)
        if isinstance(value, dict) and isinstance(below.get(key), dict)
        else value
        for key, value in above.items()
    }
    return {**below, **merged}


def _experiments(config_dir: Path | None) -> dict[str, Mapping[str, Any]]:
    """Return the contents of each experiment, from the package's tables or from its file."""
    published = published_experiments()
    return {
        name: published.get(name) or _content("experiment", name, config_dir)
        for name in list_choices("experiment", config_dir)
    }


def _chosen(content: Mapping[str, Any], group: str) -> Iterator[str]:
    for part in content.get("defaults", []):
        if isinstance(part, dict):
            yield from (str(value) for key, value in part.items() if key == f"override /{group}")


_FACTS: Final[dict[str, Callable[[str, Path | None], Facts]]] = {
    "benchmarks": _benchmark,
    "models": _model,
    "samplers": lambda name, folder: {"about": _comment(name, folder, "sampler")},
    "scorers": lambda name, folder: {"about": _comment(name, folder, "scorer")},
    "experiments": _experiment,
}

KINDS: Final = tuple(_FACTS)
