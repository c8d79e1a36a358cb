"""Compose the configuration with Hydra and explain mistakes in one line.

Hydra's own messages mention structs and search paths. Here every override is first checked against
the groups on disk and the schema, so that a message can name the key, the allowed values, and the
nearest existing name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from llava_eval.borders.paths import local_path
from llava_eval.config.build import TARGET_KEY, forget_edited
from llava_eval.config.checks import (
    check_choices,
    check_complete,
    check_constraints,
    check_finite,
    check_keys,
    meaningless_settings,
)
from llava_eval.config.choices import (
    let_import,
    list_choices,
    list_groups,
    quoted,
    search_path_override,
)
from llava_eval.config.hydra_session import (
    as_read,
    compose_root,
    hydra_session,
    parse_overrides,
    plain_values,
    typed,
    without_hydra,
)
from llava_eval.config.roles import (
    flat,
    is_of_scored_texts,
    replaceable_parts,
    role_of,
    setting_of,
    short_keys,
)
from llava_eval.config.roles import overrides as overrides_of
from llava_eval.config.schema import Role, RunConfig
from llava_eval.errors import ConfigError, first_line

#: The part that a protocol's file may define itself, if no other protocol uses it.
_SCORER: Final = "scorer"
#: The groups whose files define a configuration before anything is overridden.
_NAMED: Final = ("benchmark", "model")


@dataclass(frozen=True)
class ComposedConfig:
    """A checked configuration.

    Attributes:
        config: the typed values.
        resolved: the same as plain containers, interpolations resolved; saved as config.yaml.
        choices: the option chosen in each group, by group name.
        benchmark_overrides: settings that differ from the protocol's own file, by short key.
        model_overrides: settings that differ from the model's own file, by short key.
        judge_overrides: settings, except the judge's name, that differ from the protocol's own
            judge, by full key.
    """

    config: RunConfig
    resolved: Mapping[str, Any]
    choices: Mapping[str, str]
    benchmark_overrides: Mapping[str, Any]
    model_overrides: Mapping[str, Any]
    judge_overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> ComposedConfig:
    """Compose and check one configuration.

    Args:
        overrides: as on the command line, without sweeps.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: one line that names the key and what is allowed.
    """
    search = search_path_override(config_dir)
    let_import(config_dir)
    forget_edited()
    parsed = parse_overrides(overrides)
    for text, override in zip(overrides, parsed, strict=True):
        if str(override.key_or_group).startswith("hydra"):
            raise ConfigError(f"{text!r} is for a sweep, which llava-eval -m makes")
        if override.is_delete():
            raise ConfigError(f"{text!r}: parts cannot be removed, only replaced")
        if override.is_sweep_override():
            key, _, value = text.partition("=")
            raise ConfigError(
                f"{text!r} has several values; llava-eval -m runs each of them, a list is written "
                f'key=[a,b], and one text or path "{key}={quoted(value)}"'
            )
    with hydra_session():
        check_choices(parsed, config_dir)
        if any(override.is_add() or override.is_force_add() for override in parsed):
            check_keys(parsed, search)  # Hydra itself would add any key
        try:
            root = compose_root([*search, *(str(item.input_line) for item in parsed)])
        except ConfigError:
            check_keys(parsed, search)  # has a better message if a key is the reason
            raise
        choices = {
            str(group): str(choice)
            for group, choice in root.hydra.runtime.choices.items()
            if choice is not None and not str(group).startswith("hydra/")
        }
        named = {str(item.key_or_group) for item in parsed}.intersection(list_groups())
        swapped, files, merged = _files_alone(choices, search, named)
        if _SCORER in swapped:
            _replace_scorer(root, choices, search, merged, parsed)
        own = without_hydra(root)
        resolved = plain_values(own)
        check_complete(own)
        check_finite(resolved)
        config = typed(resolved, own)
        check_constraints(config)
    return _named(config, resolved, choices, swapped, files)


def _named(
    config: RunConfig,
    resolved: Mapping[str, Any],
    choices: Mapping[str, str],
    swapped: Sequence[str],
    files: Mapping[str, Any],
) -> ComposedConfig:
    """Return a configuration with the overrides to show beside benchmark, model and judge.

    Args:
        config: the typed values.
        resolved: the same as plain containers.
        choices: the option chosen in each group.
        swapped: the parts that were replaced by another option.
        files: the values that the files of benchmark and model give without overrides.
    """
    roles: tuple[Role, Role] = ("protocol", "model")
    protocol, model = (
        {
            **{name: choices.get(name) for name in swapped if role_of(name) == role},
            **overrides_of(resolved, files, role),
        }
        for role in roles
    )
    judge = {key: value for key, value in protocol.items() if key.startswith("judge.")}
    shown = short_keys(
        {
            key: value
            for key, value in protocol.items()
            if key not in judge and not key.startswith("benchmark.subsample.")
        }
    )
    subsample = config.benchmark.subsample
    if subsample.size is not None:
        by = f" by {', '.join(subsample.by)}" if subsample.by else ""
        shown["sample"] = f"{subsample.size}{by}, seed {subsample.seed}"
    for key, _, _ in meaningless_settings(config):
        model.pop(key, None)
    judge.pop("judge.model", None)  # every judged score shows its judge's name anyway
    return ComposedConfig(
        config=config,
        resolved=resolved,
        choices=choices,
        benchmark_overrides=shown,
        model_overrides=short_keys(model),
        judge_overrides=judge,
    )


def scorer_nodes(names: Sequence[str], config_dir: Path | None = None) -> list[dict[str, Any]]:
    """Return the nodes that options of the group ``scorer`` define, each composed alone.

    Args:
        names: names of the options.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: one of them cannot be read.
    """
    search = search_path_override(config_dir)
    with hydra_session():
        if search:  # a user's own file may refer to itself as ${scorer...}
            return [plain_values(_scorer(name, search)) for name in names]
        places = {f"_{number}": name for number, name in enumerate(names)}
        root = compose_root([f"+{_SCORER}@{place}={name}" for place, name in places.items()], None)
        return [plain_values(root[place]) for place in places]


def _scorer(name: str, search: Sequence[str]) -> DictConfig:
    """Compose a scorer alone, as an override, so that a user's own files are found."""
    option = compose_root([*search, f"+{_SCORER}={name}"], None)[_SCORER]
    assert isinstance(option, DictConfig)
    return option


def composed_of(
    resolved: Mapping[str, Any],
    choices: Mapping[str, str] | None = None,
    config_dir: Path | None = None,
) -> ComposedConfig:
    """Check a run's resolved configuration (its config.yaml) again and return it composed.

    Args:
        resolved: plain containers.
        choices: the option chosen in each group, from the run's manifest; settings that differ
            from the options' files become overrides. None: no overrides are found.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: a key that this version does not have, a value that is not allowed, or a file
            that no longer exists.
    """
    if is_of_scored_texts(resolved):
        raise ConfigError("there is no model to ask: these texts were scored (llava-eval score)")
    config = typed(resolved)
    check_constraints(config)
    if not choices:
        return ComposedConfig(config, resolved, {}, {}, {})
    search = search_path_override(config_dir)
    let_import(config_dir)
    with hydra_session():
        swapped, files, _ = _files_alone(choices, search)
    return _named(config, resolved, choices, swapped, files)


def _files_alone(
    choices: Mapping[str, str], search: Sequence[str], named: Set[str] | None = None
) -> tuple[list[str], Mapping[str, Any], Mapping[str, Any]]:
    """Compose the files of benchmark and model without other overrides.

    Composing them again saves a record of who overrode what. The package's files do not change
    while it runs, so their values are cached; a user's own files may change.

    Args:
        choices: the option chosen in each group.
        search: overrides that tell Hydra where a user's own files are.
        named: the groups whose option was given in the overrides; None if unknown.

    Returns:
        The parts that were replaced by another option. The values with these parts replaced as
        well: a replaced part is shown by its option's name, and its keys are compared with that
        option's. Of a replaced sampler only the function is returned, so that all its settings are
        shown beside its name: it keeps the protocol's number of frames, which may mean something
        else to it. If the scorer was replaced, all values by dotted key as Hydra merges the two.
    """
    parts = replaceable_parts()
    chosen = tuple((group, choices[group]) for group in (*_NAMED, *parts) if group in choices)
    if search:  # a user's own settings (local) are no part of these files
        return _compose_files(chosen, (*_NAMED, "local"), tuple(search))
    # If nothing else (an experiment) can have chosen these options, naming the same groups composes
    # what the configuration itself was composed from, which is cached.
    if named is None or not named <= {*_NAMED, *parts}:
        named = {*_NAMED}
    return _compose_packaged_files(chosen, tuple(group for group in _NAMED if group in named))


def _compose_files(
    choices: tuple[tuple[str, str], ...], words: tuple[str, ...], search: tuple[str, ...] = ()
) -> tuple[list[str], Mapping[str, Any], Mapping[str, Any]]:
    """Compose for :func:`_files_alone`; the words are the groups to give as overrides."""
    chosen = {"local": "none", **dict(choices)}
    named = [f"{group}={chosen[group]}" for group in words]
    alone = compose_root([*search, *named])
    swapped = [
        part
        for part in replaceable_parts()
        if alone.hydra.runtime.choices.get(part) != chosen.get(part)
    ]
    if swapped:
        alone = compose_root([*search, *named, *(f"{part}={chosen.get(part)}" for part in swapped)])
    merged: dict[str, Any] = {}
    if _SCORER in swapped:
        merged = flat(plain_values(alone, resolve=False))
        _replace_scorer(alone, chosen, search, merged)
    values = plain_values(without_hydra(alone))
    if "sampler" in swapped:  # the number of frames is the protocol's, whatever the function
        values["sampler"] = {TARGET_KEY: values["sampler"][TARGET_KEY]}
    return swapped, values, merged


_compose_packaged_files = cache(_compose_files)


def _replace_scorer(
    root: DictConfig,
    choices: Mapping[str, str],
    search: Sequence[str],
    merged: Mapping[str, Any],
    given: Sequence[Override] = (),
) -> None:
    """Replace the scorer that the protocol's own file defines by the chosen one.

    Hydra merges the two, which would leave parameters of the first in the second. Values set by the
    command line, or by an experiment that chose the scorer, are kept.

    Args:
        root: changed in place.
        choices: the option chosen in each group.
        search: overrides that tell Hydra where a user's own files are.
        merged: the values as Hydra merges the two, see :func:`_files_alone`.
        given: overrides of the command line.
    """
    option = _scorer(choices[_SCORER], search)
    chosen = OmegaConf.create(OmegaConf.to_container(option))
    stated = [str(override.key_or_group) for override in given]
    if _SCORER not in stated:
        leaves = flat(plain_values(root, resolve=False))
        stated += [key for key in leaves if key not in merged or leaves[key] != merged[key]]
    for key in stated:
        if key.startswith(f"{_SCORER}."):
            value = OmegaConf.select(root, key)
            OmegaConf.update(chosen, key.removeprefix(f"{_SCORER}."), value, force_add=True)
    with read_write(root), open_dict(root):
        root[_SCORER] = chosen


def sweep_options(overrides: Sequence[str], config_dir: Path | None = None) -> list[list[str]]:
    """Return, for each key in order, its override with each of its values.

    Args:
        overrides: as on the command line; if a key is repeated, its last values count.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: an override that cannot be read, or that has infinitely many values.
    """
    options: dict[str, list[str]] = {}
    for override in parse_overrides(overrides):
        options[override.get_key_element().lstrip("+")] = _values_of(override, config_dir)
    return list(options.values())


def _values_of(override: Override, config_dir: Path | None) -> list[str]:
    """Return one override for each value of a sweep."""
    line = str(override.input_line)
    if not override.is_sweep_override():
        return [line]
    if not override.is_discrete_sweep():
        raise ConfigError(f"{line!r}: a sweep runs every value; list them")
    chosen = override.value()
    try:
        if isinstance(chosen, Glob):  # Hydra's own glob misses options in folders: demo/caption
            values = chosen.filter(list_choices(str(override.key_or_group), config_dir))
        else:
            values = list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(f"{line!r}: {first_line(error)}") from error
    if not values:
        raise ConfigError(f"{line!r} has no value")
    key = override.get_key_element()
    setting = setting_of(key.lstrip("+"))
    if setting is not None and setting.is_path:  # a quoted path is not parsed again
        for position, value in enumerate(values):
            read = as_read(value)
            path = None if read is None else read.value()
            values[position] = quoted(path) if isinstance(path, str) else value
    return [f"{key}={value}" for value in values]


def expand_sweep(overrides: Sequence[str], config_dir: Path | None = None) -> list[list[str]]:
    """Return override lists that together contain every value of every swept key.

    That is enough to check a sweep before it starts; not every combination is listed.
    """
    options = sweep_options(overrides, config_dir)
    first = [values[0] for values in options]
    variants = [first]
    for position, values in enumerate(options):
        variants += [[*first[:position], value, *first[position + 1 :]] for value in values[1:]]
    return variants


def take_path(key: str, overrides: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Split overrides into a path whose key is not in the schema, and the others.

    The path is parsed in the same way as the schema's paths.

    Args:
        key: the path's key; if it is given several times, the last one counts.
        overrides: as on the command line.

    Returns:
        The path, or None if there is none, and the other overrides.

    Raises:
        ConfigError: it cannot be read, or has several values.
    """
    given = [text for text in overrides if text.partition("=")[0].lstrip("+") == key]
    others = [text for text in overrides if text not in given]
    if not given:
        return None, others
    value = given[-1].partition("=")[2]
    (override,) = parse_overrides([f"output_dir={value}"])  # a path, too
    path = override.value()
    if override.is_sweep_override() or isinstance(path, dict | list):
        raise ConfigError(f'{given[-1]!r}: expected one path; quoted, "{key}={quoted(value)}"')
    return (None if path in (None, "") else local_path(str(path))), others
