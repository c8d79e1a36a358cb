"""Check overrides and values; each error names the key and the allowed values."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from llava_eval.config.build import TARGET_KEY
from llava_eval.config.choices import list_choices, list_groups, listing, suggest
from llava_eval.config.experiments import published_experiments
from llava_eval.config.former_names import FORMER_SCORERS, current_key
from llava_eval.config.hydra_session import compose_root, without_hydra
from llava_eval.config.roles import declared_settings, setting_of
from llava_eval.config.schema import RunConfig, Setting
from llava_eval.errors import ConfigError

#: Above any useful number of seconds, tokens, threads or samples; Python and torch fail on larger.
_LARGEST = 1_000_000_000


def check_choices(parsed: Sequence[Override], config_dir: Path | None) -> None:
    """Raise if an override chooses an option that its group does not have."""
    groups = list_groups(config_dir)
    for override in parsed:
        group = str(override.key_or_group)
        value = override.value()
        if group not in groups:
            continue
        if value is None:
            raise ConfigError(
                f"{group} cannot be left out by null; {group}=... takes the name of one"
            )
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(f"{group} takes the name of one {group}, got {override.input_line!r}")
        available = list_choices(group, config_dir)
        is_former = group == "scorer" and value in FORMER_SCORERS
        if str(value) not in available and not is_former:
            raise ConfigError(
                f"unknown {group} {str(value)!r}{suggest(str(value), available)}; "
                f"available: {listing(available)}; one of your own: --config-dir DIR with "
                f"{group}/NAME.yaml"
                + (", or model=hf model.checkpoint=FOLDER_OR_HUB_ID" if group == "model" else "")
            )
        if group == "experiment" and config_dir is not None:
            own = config_dir / group / f"{value}.yaml"
            if own.is_file() and value in published_experiments():
                raise ConfigError(f"{own}: experiment={value} is the package's; rename the file")


def check_keys(parsed: Sequence[Override], search: Sequence[str]) -> None:
    """Raise if an override sets a key that is not in the configuration."""
    groups = list_groups()
    chosen = [str(item.input_line) for item in parsed if str(item.key_or_group) in groups]
    root = without_hydra(compose_root([*search, *chosen]))
    known = [*_all_keys(root), *groups]
    for override in parsed:
        key = str(override.key_or_group)
        parent = key.rpartition(".")[0]
        if key in known or "/" in key:
            continue
        if key == "seeds":
            raise ConfigError(
                "seeds=N is a word of the command line, which makes N runs of it; a run has seed=N"
            )
        if current_key(key) != key:
            raise ConfigError(f"{key} is called {current_key(key)} now")
        setting = setting_of(parent)
        is_free = setting is not None and setting.is_free
        if is_free and (override.is_add() or override.is_force_add()):
            continue
        siblings = [name for name in known if name.rpartition(".")[0] == parent]
        names = [name.rpartition(".")[2] for name in siblings]
        nearest = suggest(key.rpartition(".")[2], names)
        if not nearest and not is_free:
            nearest = suggest(key, known)
        if not siblings:
            where = f"there is no {parent!r} either"
        else:
            where = f"{f'keys of {parent}' if parent else 'top-level keys'}: {listing(names)}"
        added = f" in its file; another parameter of its function: +{key}=..." if is_free else ""
        raise ConfigError(f"unknown key {key!r}{nearest}; {where}{added}")


def _all_keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in map(str, node):
        key = f"{prefix}{name}"
        yield key
        if not OmegaConf.is_missing(node, name) and isinstance(node[name], DictConfig):
            yield from _all_keys(node[name], f"{key}.")


def check_complete(own: DictConfig) -> None:
    """Raise if a mandatory key is missing, or ``chance`` names a metric that does not exist."""
    missing = sorted(str(key) for key in OmegaConf.missing_keys(own))
    if missing:
        is_own = missing[0] == "model.checkpoint" and own.model.get(TARGET_KEY)
        begin = "; the file of a class of your own begins with 'defaults: [own]'" if is_own else ""
        raise ConfigError(f"{missing[0]} is not set; give it as {missing[0]}=...{begin}")
    metrics = list(map(str, own.benchmark.metrics))
    for name in map(str, own.benchmark.chance):
        if name not in metrics:
            raise ConfigError(
                f"benchmark.chance: there is no metric {name!r}{suggest(name, metrics)}; metrics: "
                f"{listing(metrics)}"
            )


def check_finite(value: Any, key: str = "") -> None:
    """Raise if plain values contain, at any depth, a number that JSON cannot represent."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} is {value}, expected a finite number")
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        for name, item in value.items():
            check_finite(item, f"{key}.{name}" if key else str(name))


def check_constraints(config: RunConfig) -> None:
    """Raise if a value violates the schema's choices or minima, or is empty and must not be."""
    for key, setting in declared_settings().items():
        value: Any = functools.reduce(getattr, key.split("."), config)
        choices, minimum = setting.choices, setting.minimum
        if choices is not None and value is not None and value not in choices:
            names = [str(item).lower() if isinstance(item, bool) else item for item in choices]
            raise ConfigError(
                f"{key}: got {value!r}{suggest(str(value), names)}; "
                f"expected one of {listing(names)}"
            )
        if minimum is not None and value is not None and not minimum <= value <= _LARGEST:
            expected = f"least {minimum}" if value < minimum else f"most {_LARGEST:,}"
            raise ConfigError(f"{key}: got {value}, expected at {expected}")
        if setting.not_empty and value == "":
            raise ConfigError(f"{key} is empty")


def meaningless_settings(config: RunConfig) -> Iterator[tuple[str, object, Setting]]:
    """Yield the settings that were changed but have no effect with the chosen model, engine, ...

    Args:
        config: the run's configuration.

    Yields:
        A dotted key, its value, and the setting.
    """
    model, method = config.model, config.quantization.method
    is_chosen = {
        None: True,
        "loaded": model.is_loaded,
        "served": not model.is_loaded and not model.is_own,
        "quantized": method is not None,
        "literal": config.conversation.template is not None,
        "ray": config.engine.name == "ray",
    }
    for key, setting in declared_settings().items():
        value = functools.reduce(getattr, key.split("."), config)
        is_used = is_chosen.get(setting.only_for, setting.only_for == method)
        if not is_used and value != setting.default:
            yield key, value, setting
