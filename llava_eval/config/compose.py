"""Compose the configuration with Hydra and explain mistakes in one line.

Hydra's own messages speak of structs and search paths. Here every override is checked against
the groups on disk and the schema first, so that the message can name the key, what is allowed,
and the nearest name that exists.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from llava_eval.config.messages import listing, one_line, suggest
from llava_eval.config.schema import RunConfig
from llava_eval.errors import ConfigError
from llava_eval.mappings import flat

ROOT_NAME = "config"

#: Parts whose keys belong to the function or class that ``_target_`` names, or to the user.
FREE_NODES = (
    "benchmark.adapter",
    "benchmark.metrics",
    "benchmark.submission",
    "benchmark.chance",
    "benchmark.prepare.counts",
    "benchmark.where",
    "model.rope_scaling",
    "sampler",
    "scorer",
)

#: Those that are empty at first; what is set on the command line is added to them.
_OPEN_KEYS = ("benchmark.where.", "model.rope_scaling.", "model.rope_scaling=")

#: Keys that belong to the protocol, to the model, or (everything else) to neither.
_PROTOCOL_PARTS = ("benchmark", "sampler", "scorer", "seed")
_MODEL_PARTS = ("model", "conversation", "quantization")

#: What a judge's number depends on, beside its name.
_JUDGE_KEYS = ("judge.temperature", "judge.max_tokens")

#: Names say themselves; where rows, media and weights lie and where work happens changes neither
#: protocol nor model.
_UNSHOWN_KEYS = (
    "benchmark.name",
    "benchmark.source",
    "benchmark.media_root",
    "benchmark.adapter.media",
    "benchmark.prepare",
    "benchmark.sample",  # the evaluation writes it as one entry
    "model.name",
    "model.device",
)


@dataclass(frozen=True)
class ComposedConfig:
    """A checked configuration.

    Attributes:
        config: the typed values.
        resolved: the same as plain containers, interpolations resolved; saved as config.yaml.
        choices: the option chosen in each group, by group name.
        benchmark_overrides: what differs from the protocol's own file, by short key.
        model_overrides: what differs from the model's own file, by short key.
        judge_overrides: what differs from the protocol's own judge, beside its name, by full key.
    """

    config: RunConfig
    resolved: Mapping[str, Any]
    choices: Mapping[str, str]
    benchmark_overrides: Mapping[str, Any]
    model_overrides: Mapping[str, Any]
    judge_overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def config_folder() -> Path:
    """Return the folder of the packaged configuration files.

    A wheel carries them inside the package; a checkout has them beside it.
    """
    packaged = Path(str(importlib.resources.files("llava_eval"))) / "configs"
    beside = packaged.parent.parent / "configs"
    folder = packaged if packaged.is_dir() else beside
    if not (folder / f"{ROOT_NAME}.yaml").is_file():
        raise ConfigError(f"the package's configuration files are missing: no folder {folder}")
    return folder


def list_choices(group: str, config_dir: Path | None = None) -> list[str]:
    """Return the options of a group, nested ones as "family/protocol", ``config_dir`` included."""
    roots = [config_folder() / group] + ([config_dir / group] if config_dir else [])
    return sorted(
        {
            path.relative_to(root).with_suffix("").as_posix()
            for root in roots
            for path in root.rglob("*.yaml")
            if not path.name.startswith("_")  # shared parts of several options
        }
    )


def list_groups(config_dir: Path | None = None) -> list[str]:
    """Return the names of the configuration groups."""
    roots = [config_folder()] + ([config_dir] if config_dir else [])
    return sorted({path.name for root in roots for path in root.iterdir() if path.is_dir()})


def search_path_override(config_dir: Path | None) -> list[str]:
    """Return the override that lets Hydra find a user's own files beside the packaged ones."""
    if config_dir is None:
        return []
    if not config_dir.is_dir():
        raise ConfigError(f"--config-dir: there is no folder {config_dir}")
    quoted = str(config_dir.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return [f"hydra.searchpath=['file://{quoted}']"]


def register_schema() -> None:
    """Tell Hydra the typed root schema that configs/config.yaml begins with."""
    ConfigStore.instance().store(name="schema", node=RunConfig)


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> ComposedConfig:
    """Compose and check one configuration.

    Args:
        overrides: as on the command line, without sweeps.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: one line that names the key and what is allowed.
    """
    search = search_path_override(config_dir)
    overrides = [opened(text) for text in overrides]
    parsed = _parse(overrides)
    for override in parsed:
        if override.is_delete():
            raise ConfigError(f"{override.input_line!r}: parts cannot be removed, only replaced")
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line!r} has several values; add -m to run each of them, "
                "or write a list as key=[a,b]"
            )
    with _hydra_session():
        _check_choices(parsed, config_dir)
        if any(override.is_add() or override.is_force_add() for override in parsed):
            _check_keys(parsed, search)  # Hydra adds whatever it is told to add
        try:
            root = _compose([*search, *overrides])
        except ConfigError:
            _check_keys(parsed, search)  # says it better where a key is the reason
            raise
        choices = {
            str(group): str(choice)
            for group, choice in root.hydra.runtime.choices.items()
            if choice is not None and not str(group).startswith("hydra/")
        }
        own = _without_hydra(root)
        resolved = _plain(own)
        _check_complete(own)
        config = OmegaConf.to_object(own)
        assert isinstance(config, RunConfig)
        _check_constraints(config, "")
        changed = _differences(own, choices, search)
    return ComposedConfig(
        config=config,
        resolved=resolved,
        choices=choices,
        benchmark_overrides=_short_keys(changed, _PROTOCOL_PARTS),
        model_overrides=_short_keys(changed, _MODEL_PARTS),
        judge_overrides={key: changed[key] for key in _JUDGE_KEYS if key in changed},
    )


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Return override lists that between them hold every value of every swept key.

    Enough to check a sweep before it starts: values are not combined with each other.
    """
    options = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [str(override.input_line)]
        for override in _parse(overrides)
    ]
    first = [values[0] for values in options]
    variants = [first]
    for position, values in enumerate(options):
        variants += [[*first[:position], value, *first[position + 1 :]] for value in values[1:]]
    return variants


def opened(override: str) -> str:
    """Return ``benchmark.where.x=y`` and the like as an addition: the schema cannot know x."""
    return f"++{override}" if override.startswith(_OPEN_KEYS) else override


@contextmanager
def _hydra_session() -> Iterator[None]:
    """Initialise Hydra on the packaged files, whatever was initialised before."""
    register_schema()
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = previous


def _parse(overrides: Sequence[str]) -> list[Override]:
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
            if not override.key_or_group:
                raise ConfigError(f"cannot read {text!r}: there is no key before the equals sign")
            parsed.append(override)
        except HydraException as error:
            raise ConfigError(
                f"cannot read {text!r}: expected key=value, for instance sampler.num_frames=8 "
                f"({_reason(error)})"
            ) from error
    return parsed


def _reason(error: HydraException) -> str:
    """Return the informative line of a Hydra message."""
    lines = [line for line in str(error).splitlines() if line and "https://" not in line]
    return lines[-1].strip() if lines else type(error).__name__


def _compose(overrides: Sequence[str]) -> DictConfig:
    try:
        return compose(ROOT_NAME, overrides=list(overrides), return_hydra_config=True)
    except YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f"{place.name}, line {place.line + 1}: " if place else ""
        reason = getattr(error, "problem", None) or one_line(error)
        raise ConfigError(f"not valid YAML: {where}{reason}") from error
    except HydraException as error:
        cause = error.__cause__ or error.__context__
        where = one_line(error).partition(":")[0] if "raised while composing" in str(error) else ""
        if isinstance(cause, OmegaConfBaseException):
            raise ConfigError(f"{where}: {_explain(cause)}".removeprefix(": ")) from error
        raise ConfigError(one_line(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(_explain(error)) from error


def _explain(error: OmegaConfBaseException) -> str:
    """Return "key: what came, what was expected" for OmegaConf's errors."""
    key = error.full_key or error.key
    if isinstance(error, AttributeError | KeyError) and dataclasses.is_dataclass(error.object_type):
        names = [entry.name for entry in dataclasses.fields(error.object_type)]
        return f"unknown key {str(key)!r}{suggest(str(error.key), names)}; keys: {listing(names)}"
    return f"{key}: {one_line(error)}" if key else one_line(error)


def _check_choices(parsed: Sequence[Override], config_dir: Path | None) -> None:
    """Raise for a group that was given an option that does not exist."""
    groups = list_groups(config_dir)
    for override in parsed:
        group = str(override.key_or_group)
        value = override.value()
        if group not in groups or (value is None and group == "experiment"):
            continue
        if value is None:
            raise ConfigError(f"{group} cannot be left out; {group}=... takes the name of one")
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(f"{group} takes the name of one {group}, got {override.input_line!r}")
        available = list_choices(group, config_dir)
        if str(value) not in available:
            raise ConfigError(
                f"unknown {group} {str(value)!r}{suggest(str(value), available)}; "
                f"available: {listing(available)}"
            )


def _check_keys(parsed: Sequence[Override], search: Sequence[str]) -> None:
    """Raise for a key that is not in the schema."""
    groups = list_groups()
    chosen = [str(item.input_line) for item in parsed if str(item.key_or_group) in groups]
    root = _without_hydra(_compose([*search, *chosen]))
    known = [*_all_keys(root), *groups]
    for override in parsed:
        key = str(override.key_or_group)
        parent = key.rpartition(".")[0]
        if key in known or key.startswith("hydra.") or "/" in key or "@" in key:
            continue
        if parent.startswith(FREE_NODES) and (override.is_add() or override.is_force_add()):
            continue
        siblings = [name for name in known if name.rpartition(".")[0] == parent]
        nearest = suggest(key.rpartition(".")[2], [name.rpartition(".")[2] for name in siblings])
        nearest = nearest or suggest(key, known)
        raise ConfigError(f"unknown key {key!r}{nearest}; {_where(parent, siblings)}")


def _where(parent: str, siblings: Sequence[str]) -> str:
    names = listing(name.rpartition(".")[2] for name in siblings)
    if not siblings:
        return f"there is no {parent!r} either"
    return f"keys of {parent}: {names}" if parent else f"top-level keys: {names}"


def _all_keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in map(str, node):
        key = f"{prefix}{name}"
        yield key
        if not OmegaConf.is_missing(node, name) and isinstance(node[name], DictConfig):
            yield from _all_keys(node[name], f"{key}.")


def _without_hydra(root: DictConfig) -> DictConfig:
    own = OmegaConf.create({key: root._get_node(key) for key in root if key != "hydra"})
    typed = OmegaConf.merge(OmegaConf.structured(RunConfig), own)
    assert isinstance(typed, DictConfig)
    return typed


def _check_complete(own: DictConfig) -> None:
    missing = sorted(str(key) for key in OmegaConf.missing_keys(own))
    if missing:
        raise ConfigError(f"{missing[0]} is not set; give it as {missing[0]}=...")


def _check_constraints(node: Any, prefix: str) -> None:
    """Raise for values outside the choices and minima that the schema states."""
    for entry in dataclasses.fields(node):
        key, value = f"{prefix}{entry.name}", getattr(node, entry.name)
        if dataclasses.is_dataclass(value):
            _check_constraints(value, f"{key}.")
        choices = entry.metadata.get("choices")
        if choices is not None and value is not None and value not in choices:
            raise ConfigError(
                f"{key}: got {value!r}{suggest(str(value), choices)}; "
                f"expected one of {listing(choices)}"
            )
        minimum = entry.metadata.get("minimum")
        if minimum is not None and value is not None and value < minimum:
            raise ConfigError(f"{key}: got {value}, expected at least {minimum}")
        if entry.metadata.get("not_empty") and value == "":
            raise ConfigError(f"{key} is empty")


def _differences(
    own: DictConfig, choices: Mapping[str, str], search: Sequence[str]
) -> dict[str, Any]:
    """Return what differs from the benchmark's and the model's own files, by full key.

    The baseline is composed anew from the two choices alone, so nothing has to keep a record of
    who overrode what. A part whose option differs is reported by the option's name, and then
    compared with that option's own values.
    """
    named = [f"{group}={choices[group]}" for group in ("benchmark", "model")]
    baseline = _compose([*search, *named])
    changed: dict[str, Any] = {}
    swapped = []
    for group in ("sampler", "scorer", "conversation", "quantization"):
        if baseline.hydra.runtime.choices.get(group) != choices.get(group):
            changed[group] = choices.get(group)
            swapped.append(f"{group}={choices.get(group)}")
    if swapped:
        baseline = _compose([*search, *named, *swapped])
    ours, theirs = flat(_plain(own)), flat(_plain(_without_hydra(baseline)))
    for key in {**ours, **theirs}:
        unset = theirs.get(key) == "???"  # left for the user to fill in: no override of anything
        if ours.get(key) != theirs.get(key) and not _is_unshown(key) and not unset:
            changed[key] = ours.get(key)
    return changed


def _is_unshown(key: str) -> bool:
    return any(key == unshown or key.startswith(f"{unshown}.") for unshown in _UNSHOWN_KEYS)


def _plain(node: DictConfig) -> dict[str, Any]:
    try:
        container = OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_explain(error)) from error
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _short_keys(changed: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Return the changes of some parts under their last key, or a longer one where two clash."""
    mine = {key: value for key, value in changed.items() if key.split(".")[0] in parts}
    lasts = [key.rpartition(".")[2] for key in mine]
    return {
        (last if lasts.count(last) == 1 else key): value
        for (key, value), last in zip(mine.items(), lasts, strict=True)
    }
