"""Answer four questions about a configuration by the roles of its keys.

* :func:`identity_of`: which settings can change a generation?
* :func:`overrides`: which settings does every table show beside a name?
* :func:`protocol_difference`: which differences make a gate refuse?
* :func:`differences`: in which settings do runs differ?

The roles are declared on the fields of :mod:`llava_eval.config.schema`, the only list of keys.
Configurations here are plain nested mappings, as in config.yaml and manifest.json.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llava_eval.config.build import TARGET_KEY, import_target
from llava_eval.config.former_names import current_key, current_node
from llava_eval.config.schema import OnlyFor, Role, RunConfig, Setting
from llava_eval.errors import ConfigError
from llava_eval.types import Media

#: The boolean fields of a medium; another value of one shows the model other pixels.
_MEDIA_SWITCHES = tuple(entry.name for entry in dataclasses.fields(Media) if entry.type == "bool")

#: Shown as the value of a setting that a run's configuration does not contain.
UNKNOWN = "unknown"


@functools.cache
def declared_settings() -> Mapping[str, Setting]:
    """Return every declared key with its declaration, in the schema's order."""
    return {setting.key: setting for setting in _settings_of(RunConfig)}


def _settings_of(
    kind: type, prefix: str = "", only_for: OnlyFor | None = None
) -> Iterator[Setting]:
    hints = typing.get_type_hints(kind)
    for entry in dataclasses.fields(kind):
        key, hint = f"{prefix}{entry.name}", hints[entry.name]
        if "setting" not in entry.metadata:
            yield from _settings_of(hint, f"{key}.", entry.metadata["only_for"])
            continue
        alternatives = (hint, *typing.get_args(hint))
        stated = entry.metadata["setting"]
        default = entry.default
        if entry.default_factory is not dataclasses.MISSING:
            default = entry.default_factory()
        yield dataclasses.replace(
            stated,
            key=key,
            only_for=only_for or stated.only_for,
            is_free=any(typing.get_origin(item) is dict for item in alternatives),
            default=None if default == "???" else default,
        )


def replaceable_parts() -> list[str]:
    """Return the top-level parts that an option's name replaces as a whole."""
    settings = declared_settings()
    return [
        entry.name
        for entry in dataclasses.fields(RunConfig)
        if entry.metadata.get("is_named")
        or (entry.name in settings and settings[entry.name].is_free)
    ]


def setting_of(key: str) -> Setting | None:
    """Return the setting that a dotted key is, or that it lies below; None if there is none."""
    settings = declared_settings()
    while key:
        if key in settings:
            return settings[key]
        key = key.rpartition(".")[0]
    return None


def role_of(key: str) -> Role:
    """Return the role of a key: what a change of it means.

    A section has the role of its first key that is not a label. A key that this version does not
    have may have been part of a protocol, so its role is "protocol".
    """
    setting = setting_of(key)
    if setting is not None:
        part = key.removeprefix(f"{setting.key}.").partition(".")[0]
        return setting.parts.get(part, setting.role)
    below = [
        other.role for other in declared_settings().values() if other.key.startswith(f"{key}.")
    ]
    return next((role for role in below if role != "label"), "protocol")


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a nested mapping to dotted keys, with former keys renamed to their present names."""
    leaves: dict[str, Any] = {}
    for name, value in (current_node(tree) if TARGET_KEY in tree else tree).items():
        key = current_key(f"{prefix}{name}")
        if isinstance(value, Mapping):
            leaves.update(flat(value, f"{key}."))
        else:
            leaves[key] = value
    return leaves


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a value in a nested mapping, and create missing mappings above it.

    Args:
        tree: changed in place.
        key: dotted.
        value: a copy of it is set.

    Raises:
        ValueError: a part of the key above it is a value, not a mapping.
    """
    *parents, last = key.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{key} lies below a value")
    tree[last] = copy.deepcopy(value)


def with_role(config: Mapping[str, Any], *roles: Role) -> dict[str, Any]:
    """Return the leaves of a configuration that have one of the roles, by dotted key."""
    return {key: value for key, value in flat(config).items() if role_of(key) in roles}


def identity_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that can change a generation, apart from rows and weights.

    The samples identify what is asked, and the engine identifies what answers. The scoring of
    finished texts is left out, so that a corrected scorer never requires new generations.
    """
    result = {
        key: value
        for key, value in flat(config).items()
        if (setting := setting_of(key)) is not None and setting.step == "generation"
    }
    if not result.get("benchmark.generation.temperature"):
        result.pop("seed", None)
    return result


def overrides(ours: Mapping[str, Any], theirs: Mapping[str, Any], *roles: Role) -> dict[str, Any]:
    """Return the settings of some roles that differ from the chosen files, by dotted key.

    Args:
        ours: the configuration.
        theirs: the values that the files of benchmark and model give without overrides; a key that
            they leave to the user (``???``) does not count as overridden.
        roles: the roles of the keys to compare.
    """
    left, right = with_role(ours, *roles), with_role(theirs, *roles)
    whole = tuple(f"{key}." for key in left.keys() - right.keys())  # a node that is null now
    keys = [*left, *(key for key in right if key not in left and not key.startswith(whole))]
    return {
        key: left.get(key)
        for key in keys
        if (key not in right or left.get(key) != right[key]) and right.get(key) != "???"
    }


def short_keys(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by the last part of their keys, or by the whole key if two would clash."""
    lasts = [key.rpartition(".")[2] for key in named]
    return {
        (last if lasts.count(last) == 1 else key): value
        for (key, value), last in zip(named.items(), lasts, strict=True)
    }


def protocol_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocol keys in which two runs differ, with both values, ours first.

    Samples are compared one by one elsewhere, so keys that only shape samples are left to that
    comparison. How the adapter has media read is compared here, because neither a prompt nor a
    medium's name shows it.

    Args:
        ours: a configuration, perhaps of an earlier version or of a run that only scored texts; a
            setting that is missing from one of the two is not compared.
        theirs: the other configuration.
    """
    ours, theirs = with_role(ours, "protocol"), with_role(theirs, "protocol")
    changed = {
        key: (ours.get(key), theirs.get(key))
        for key in {**theirs, **ours}
        if ours.get(key) != theirs.get(key) and _is_compared(key, ours, theirs)
    }
    options = _media_options(theirs)
    for key, left in _media_options(ours).items():
        right = options.get(key, left)
        if left != right:
            changed[key] = (left, right)
    return changed


def _is_compared(key: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Return whether to compare a key: both protocols have it, and no sample shows it."""
    setting = setting_of(key)
    if setting is None:  # a key of another version: compared if both have its part
        key = key.partition(".")[0]
    elif setting.makes_samples:
        return False
    return has_setting(ours, key) and has_setting(theirs, key)


def has_setting(leaves: Mapping[str, Any], key: str) -> bool:
    """Return whether a configuration, perhaps of an earlier version, contains a key's setting.

    Args:
        leaves: the configuration by dotted key.
        key: dotted key.
    """
    setting = setting_of(key)
    base = key if setting is None else setting.key
    if setting is not None and setting.may_be_missing:
        base = base.partition(".")[0]  # runs that only scored texts have no model part at all
    return any(f"{leaf}.".startswith(f"{base}.") for leaf in leaves)


def _media_options(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the adapter's parameters that set boolean fields of a medium.

    Args:
        leaves: the protocol by dotted key; missing parameters get the adapter's defaults.
    """
    prefix = "benchmark.adapter."
    target = leaves.get(f"{prefix}{TARGET_KEY}")
    defaults: dict[str, Any] = {}
    # A run may come from anyone: other adapters are not imported, only stated parameters count.
    if isinstance(target, str) and target.startswith("llava_eval."):
        try:
            adapter = import_target(target, key="benchmark.adapter")
            parameters = inspect.signature(adapter).parameters
        except (ConfigError, ValueError):  # of another version
            return {}
        defaults = {name: item.default for name, item in parameters.items()}
    values = {**{f"{prefix}{name}": value for name, value in defaults.items()}, **leaves}
    switches = [f"{prefix}{name}" for name in _MEDIA_SWITCHES]
    return {key: values[key] for key in switches if values.get(key) is not None}


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return, by dotted key, the settings in which runs differ, with one value per run.

    Places and labels do not count. A part such as quantization is compared by its name instead of
    its keys, and a sampler's function is shown as ``sampler``. For texts that were only scored, the
    settings of their generation are :data:`UNKNOWN`, which never counts as a difference.
    """
    trees = [_settings_by_name(config) for config in configs]
    changed = {}
    for key in dict.fromkeys(key for tree in trees for key in tree):
        values = [
            tree.get(key) if _knows(config, key) else UNKNOWN
            for config, tree in zip(configs, trees, strict=True)
        ]
        known = [value for value in values if value != UNKNOWN]
        if any(value != known[0] for value in known):
            changed[key] = values
    return changed


def _knows(config: Mapping[str, Any], key: str) -> bool:
    """Return whether a run has a key's value; scored texts have none for generation."""
    if not is_of_scored_texts(config):
        return True
    setting = setting_of(key)
    is_of_generation = setting is not None and setting.step == "generation"
    return not is_of_generation and key.partition(".")[0] in config


def is_of_scored_texts(config: Mapping[str, Any]) -> bool:
    """Return whether a run only scored existing texts, without a model."""
    return "model" not in config


def _settings_by_name(config: Mapping[str, Any]) -> dict[str, Any]:
    leaves = with_role(config, "protocol", "model", "speed")
    for entry in dataclasses.fields(RunConfig):
        part = config.get(entry.name) if entry.metadata.get("is_named") else None
        name = part.get("name") if isinstance(part, Mapping) else None
        if name is not None:
            leaves = {
                key: value for key, value in leaves.items() if not key.startswith(f"{entry.name}.")
            }
            leaves[entry.name] = name
    target = leaves.pop(f"sampler.{TARGET_KEY}", None)
    if target is not None:
        leaves["sampler"] = str(target).rpartition(".")[2]
    leaves["benchmark.probe"] = leaves.get("benchmark.probe") or "none"  # as it is chosen
    return leaves
