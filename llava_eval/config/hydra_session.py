"""Compose configurations with Hydra, and turn its errors into one line."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from llava_eval.borders.paths import is_there, local_path
from llava_eval.config.choices import (
    ROOT_NAME,
    config_folder,
    list_groups,
    listing,
    quoted,
    suggest,
)
from llava_eval.config.experiments import published_experiments
from llava_eval.config.former_names import FORMER_SCORERS, current_key
from llava_eval.config.roles import declared_settings, setting_of
from llava_eval.config.schema import RunConfig
from llava_eval.errors import ConfigError, first_line


class _SharedNodes(dict[str, Any]):
    """Hydra's stored nodes, shared instead of copied: copying took a quarter of a composition.

    Hydra copies a node again when it uses it, so sharing is safe.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> _SharedNodes:
        return self


@cache
def register_schema() -> None:
    """Register with Hydra what has no file: the typed schema and the published experiments."""
    store = ConfigStore.instance()
    store.repo = _SharedNodes(store.repo)
    store.store(name="schema", node=RunConfig)
    for name, node in published_experiments().items():
        store.store(group="experiment", name=name, node=node, package="_global_")


@cache
def _schema() -> DictConfig:
    """Return the typed root schema as an OmegaConf node; copy it before changing it."""
    schema = OmegaConf.structured(RunConfig)
    assert isinstance(schema, DictConfig)
    return schema


#: Hydra's state is global to all threads.
_one_at_a_time = threading.RLock()


@contextmanager
def hydra_session() -> Iterator[None]:
    """Initialise Hydra on the packaged files, and restore its previous state afterwards."""
    with _one_at_a_time:
        register_schema()
        previous = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(config_folder()), version_base="1.3"):
                yield
        finally:
            GlobalHydra.instance().hydra = previous


def as_read(value: str) -> Override | None:
    """Parse a value by Hydra's grammar; return None if it is not valid."""
    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return None


def as_meant(override: str) -> str:
    """Return an override rewritten so that Hydra understands it as the user meant it.

    ``benchmark.where.x=y`` and the like become additions, because the schema cannot contain x. A
    path is quoted if Hydra's grammar would interpret its characters (blanks, commas, letters
    outside ASCII, ...).
    """
    key, equals, value = override.partition("=")
    setting = setting_of(key)
    if setting is None or not equals:
        return override
    if setting.is_open:
        return f"++{override}"
    return f"{key}={quoted(value)}" if setting.is_path and _needs_quotes(value) else override


def _needs_quotes(path: str) -> bool:
    """Whether Hydra would misread a path as typed; with commas, only if that path exists."""
    if "${" in path:
        return False
    override = as_read(path)
    if override is None:
        return True
    if override.is_sweep_override():
        return "," in path and is_there(local_path(path))
    value = override.value()
    # A value in quotes is a complete path already.
    return value is not None and str(value) != path and path[:1] not in ("'", '"')


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides.

    Args:
        overrides: as on the command line; each is rewritten by :func:`as_meant` first.

    Raises:
        ConfigError: one of them is not of the form key=value.
    """
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            override = parser.parse_override(as_meant(text))
            if not override.key_or_group:
                raise ConfigError(f"cannot read {text!r}: there is no key before the equals sign")
            parsed.append(override)
        except HydraException as error:
            *_, reason = [line for line in str(error).splitlines() if "https://" not in line]
            key, equals, value = text.partition("=")
            meant = ""
            if equals and as_read(value) is None:
                meant = f', or, as one text, "{key}={quoted(value)}"'
            elif equals and "." in key and " " in key:
                outer, _, name = key.rpartition(".")
                meant = f', or, of a name with blanks, "{outer}={{{name}: {value}}}"'
            raise ConfigError(
                f"cannot read {text!r}: expected key=value, for instance sampler.num_frames=8"
                f"{meant} ({reason.strip()})"
            ) from error
    return parsed


@lru_cache(maxsize=256)  # of 0.2 MB each
def _packaged_options(options: tuple[str, ...], name: str | None) -> DictConfig:
    """Compose options from the package's files, which do not change; copy before changing."""
    return compose(name, overrides=list(options), return_hydra_config=True)


def _compose(overrides: Sequence[str], name: str | None) -> DictConfig:
    """Compose as Hydra does, but compose each set of the package's options only once.

    Hydra composes the chosen options, which takes most of the time, and then sets the values. Here
    the values are set in a copy of the cached options. Everything else is left to Hydra: overrides
    of its own keys (such as a user's folder of files), additions of new keys, and every mistake.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    groups = list_groups()
    options = [override for override in parsed if override.key_or_group in groups]
    values = [override for override in parsed if override.key_or_group not in groups]
    if all(map(_is_one_value_of_ours, values)):
        chosen = tuple(str(option.input_line) for option in options)
        root = copy.deepcopy(_packaged_options(chosen, name))
        with suppress(OmegaConfBaseException):
            for item in values:
                is_forced = item.is_force_add()
                OmegaConf.update(root, item.key_or_group, item.value(), force_add=is_forced)
            return root
    return compose(name, overrides=list(overrides), return_hydra_config=True)


def _is_one_value_of_ours(override: Override) -> bool:
    """Whether an override sets one of our keys to a single value."""
    key = override.key_or_group
    if "/" in key or key.partition(".")[0] == "hydra" or override.package is not None:
        return False
    is_set = override.type in (OverrideType.CHANGE, OverrideType.FORCE_ADD)
    return is_set and not override.is_sweep_override()


def compose_root(overrides: Sequence[str], name: str | None = ROOT_NAME) -> DictConfig:
    """Compose the whole configuration, with Hydra's own part, inside a :func:`hydra_session`.

    Args:
        overrides: as on the command line.
        name: the file to begin with; None to begin with nothing but the overrides.

    Raises:
        ConfigError: one line that names the file or key and what is wrong with it.
    """
    try:
        return _compose(overrides, name)
    except MissingConfigException as error:
        if _register_former_scorer(str(error.missing_cfg_file)):
            return compose_root(overrides, name)
        available = ""
        if error.options:
            name = str(error.missing_cfg_file).rpartition("/")[2]
            available = f"{suggest(name, error.options)}; available: {listing(error.options)}"
        raise ConfigError(first_line(error) + available) from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{mark.name}, line {mark.line + 1}: " if mark else ""
        reason = getattr(error, "problem", None) or first_line(error)
        raise ConfigError(f"not valid YAML: {where}{reason}") from error
    except HydraException as error:
        raise ConfigError(_explain_hydra(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(_explain(error)) from error
    except Exception as error:  # Hydra fails in many ways on a value of an unexpected type
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ConfigError(f"Hydra cannot compose {' '.join(overrides)} ({reason})") from error


def _explain_hydra(error: HydraException) -> str:
    """Return Hydra's message; if OmegaConf is the cause, the file and what is wrong in it.

    A hint is added if a file has complete keys but no ``@package _global_``: Hydra then puts them
    below the file's group.
    """
    cause = error.__cause__ or error.__context__
    message = first_line(error).rstrip(".")
    is_below = "Could not override" in message and "@" in message  # 'sampler@benchmark.sampler'
    if isinstance(cause, OmegaConfBaseException):
        in_a_file = "raised while composing" in str(error)
        file = first_line(error).partition(":")[0] if in_a_file else ""
        message = f"{file}: {_explain(cause)}".removeprefix(": ")
        group = file.partition("'")[2].partition("/")[0]
        is_below = bool(file) and cause.key in (group, *RunConfig.__dataclass_fields__)
    begin = "; a file with whole keys begins with '# @package _global_'" if is_below else ""
    return message + begin


@contextmanager
def _explained(introduction: str = "") -> Iterator[None]:
    """Turn OmegaConf's errors into a ConfigError of one line."""
    try:
        yield
    except OmegaConfBaseException as error:
        raise ConfigError(introduction + _explain(error)) from error


def _register_former_scorer(missing: str) -> bool:
    """Register a protocol's own scorer under the name of its former file.

    Args:
        missing: the option that was not found, for instance "scorer/vqa_official".

    Returns:
        Whether a scorer was registered: the name is known and was not registered before.
    """
    name = missing.removeprefix("scorer/")
    store = ConfigStore.instance()
    if name not in FORMER_SCORERS or f"{name}.yaml" in store.repo.get("scorer", {}):
        return False
    scorer = compose(ROOT_NAME, overrides=[f"benchmark={FORMER_SCORERS[name]}"]).scorer
    store.store(group="scorer", name=name, node=OmegaConf.to_container(scorer))
    return True


def _explain(error: OmegaConfBaseException) -> str:
    """Return "key: what came, what was expected" for one of OmegaConf's errors."""
    key = error.full_key or error.key
    if isinstance(error, AttributeError | KeyError) and dataclasses.is_dataclass(error.object_type):
        if current_key(str(key)) != key:
            return f"{key} is called {current_key(str(key))} now"
        names = [entry.name for entry in dataclasses.fields(error.object_type)]
        return f"unknown key {str(key)!r}{suggest(str(error.key), names)}; keys: {listing(names)}"
    if not key:
        return first_line(error)
    below = [name for name in declared_settings() if name.startswith(f"{key}.")]
    exact, expected = declared_settings().get(str(key)), ""
    if exact is not None and isinstance(exact.default, list):
        expected = f"; expected a list, for instance {key}=[a,b]"
    elif below or (exact is not None and exact.is_free):
        example = [*below, f"{'' if exact and exact.is_open else '+'}{key}.NAME"][0]
        expected = f"; expected keys and values, for instance {example}=..."
    elif setting_of(str(key)) is not None and isinstance(error, KeyError | AttributeError):
        expected = f"; +{key}=... adds it"
    return f"{key}: {first_line(error).rstrip('.')}{expected}"


def without_hydra(root: DictConfig) -> DictConfig:
    """Remove Hydra's own part from a composed configuration, in place, and return it."""
    with read_write(root), open_dict(root):
        del root["hydra"]
    return root


def typed(resolved: Mapping[str, Any], composed: DictConfig | None = None) -> RunConfig:
    """Convert plain values to the schema's classes; results of interpolations are checked, too.

    Args:
        resolved: plain containers.
        composed: the node that they come from, if there is one. Its values were checked as they
            were set, so without interpolations there is nothing left to check.

    Raises:
        ConfigError: a value of a wrong type.
    """
    with _explained("what a ${...} stands for does not fit: "):
        if composed is None or plain_values(composed, resolve=False) != resolved:
            # The copy is ours alone, so a merge that shares nodes with its inputs is safe.
            merged = OmegaConf.unsafe_merge(copy.deepcopy(_schema()), resolved)
            assert isinstance(merged, DictConfig)
            composed = merged
        config = OmegaConf.to_object(composed)
    assert isinstance(config, RunConfig)
    return config


def plain_values(node: DictConfig, *, resolve: bool = True) -> dict[str, Any]:
    """Convert a node to plain containers, with interpolations resolved by default."""
    with _explained():
        container = OmegaConf.to_container(node, resolve=resolve)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
