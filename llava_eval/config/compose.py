"""Compose the configuration with Hydra and explain mistakes in one line.

Hydra's own messages speak of structs and search paths. Here every override is checked against
the groups on disk and the schema first, so that the message can name the key, what is allowed,
and the nearest name that exists.
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

#: The part that stands whole in a protocol's file, where other protocols have no use for it.
_SCORER: Final = "scorer"
#: The groups whose files say what a configuration is by itself.
_NAMED: Final = ("benchmark", "model")


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
            check_keys(parsed, search)  # Hydra adds whatever it is told to add
        try:
            root = compose_root([*search, *(str(item.input_line) for item in parsed)])
        except ConfigError:
            check_keys(parsed, search)  # says it better where a key is the reason
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
    """Return a configuration with what stands beside the names of benchmark, model and judge.

    Args:
        config: the typed values.
        resolved: the same as plain containers.
        choices: the option chosen in each group.
        swapped: the parts that were replaced by another option.
        files: what the files of benchmark and model give by themselves.
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
    judge.pop("judge.model", None)  # every judged number carries its judge's name
    return ComposedConfig(
        config=config,
        resolved=resolved,
        choices=choices,
        benchmark_overrides=shown,
        model_overrides=short_keys(model),
        judge_overrides=judge,
    )


def scorer_nodes(names: Sequence[str], config_dir: Path | None = None) -> list[dict[str, Any]]:
    """Return what options of the group ``scorer`` give by themselves.

    Args:
        names: of the options.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: one of them cannot be read.
    """
    search = search_path_override(config_dir)
    with hydra_session():
        if search:  # a file of one's own may tell of itself as ${scorer...}
            return [plain_values(_scorer(name, search)) for name in names]
        places = {f"_{number}": name for number, name in enumerate(names)}
        root = compose_root([f"+{_SCORER}@{place}={name}" for place, name in places.items()], None)
        return [plain_values(root[place]) for place in places]


def _scorer(name: str, search: Sequence[str]) -> DictConfig:
    """Compose a scorer alone; a user's own files are found where it is an override."""
    option = compose_root([*search, f"+{_SCORER}={name}"], None)[_SCORER]
    assert isinstance(option, DictConfig)
    return option


def composed_of(
    resolved: Mapping[str, Any],
    choices: Mapping[str, str] | None = None,
    config_dir: Path | None = None,
) -> ComposedConfig:
    """Return a resolved configuration, as config.yaml of a run holds it, checked anew.

    Args:
        resolved: plain containers.
        choices: the option chosen in each group, as the run's manifest holds them: what differs
            from their files stands beside the names. None where no name is told.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: a key that this version does not know, a value that is not allowed, or a file
            that is not there any more.
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
    """Compose what the files of benchmark and model give by themselves.

    It is composed anew, so nothing has to keep a record of who overrode what. The files of the
    package do not change while it runs: what they give is kept; a user's own files may change.

    Args:
        choices: the option chosen in each group.
        search: tells Hydra where a user's own files are.
        named: the groups whose option was typed; None where that is not known.

    Returns:
        The parts that were replaced by another option, and the values with these replaced too: a
        replaced part is named by its option, and its keys are compared with that option's. Of a
        replaced sampler there is only the function, so that all its settings stand beside its name:
        the protocol's number of frames stays, and may mean something else to it. Then, where the
        scorer was replaced, all values by dotted key as Hydra has merged the two.
    """
    parts = replaceable_parts()
    chosen = tuple((group, choices[group]) for group in (*_NAMED, *parts) if group in choices)
    if search:  # a user's own settings (local) are no part of these files
        return _compose_files(chosen, (*_NAMED, "local"), tuple(search))
    # Where nothing else can have chosen them (an experiment), the same words give the same files as
    # the configuration itself, which are composed already.
    if named is None or not named <= {*_NAMED, *parts}:
        named = {*_NAMED}
    return _compose_packaged_files(chosen, tuple(group for group in _NAMED if group in named))


def _compose_files(
    choices: tuple[tuple[str, str], ...], words: tuple[str, ...], search: tuple[str, ...] = ()
) -> tuple[list[str], Mapping[str, Any], Mapping[str, Any]]:
    """See :func:`_files_alone`; of the words each is a group to be named."""
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
    if "sampler" in swapped:  # its number of frames is the protocol's, whichever function takes it
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
    """Put a chosen scorer in the place of the one that stands in the protocol's own file.

    Hydra merges the two, so that parameters of the one would be left in the other. What the command
    line sets stays, and what an experiment sets that has chosen the scorer.

    Args:
        root: changed in place.
        choices: the option chosen in each group.
        search: tells Hydra where a user's own files are.
        merged: what Hydra makes of the two, see :func:`_files_alone`.
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
        overrides: as on the command line; a key that comes again takes the later values.
        config_dir: a user's folder with the same groups as the packaged one.

    Raises:
        ConfigError: an override that cannot be read, or that has infinitely many values.
    """
    options: dict[str, list[str]] = {}
    for override in parse_overrides(overrides):
        options[override.get_key_element().lstrip("+")] = _values_of(override, config_dir)
    return list(options.values())


def _values_of(override: Override, config_dir: Path | None) -> list[str]:
    """Return an override once for each of its values."""
    line = str(override.input_line)
    if not override.is_sweep_override():
        return [line]
    if not override.is_discrete_sweep():
        raise ConfigError(f"{line!r}: a sweep runs every value; list them")
    chosen = override.value()
    try:
        if isinstance(chosen, Glob):  # Hydra's own knows no options in folders: demo/caption
            values = chosen.filter(list_choices(str(override.key_or_group), config_dir))
        else:
            values = list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(f"{line!r}: {first_line(error)}") from error
    if not values:
        raise ConfigError(f"{line!r} has no value")
    key = override.get_key_element()
    setting = setting_of(key.lstrip("+"))
    if setting is not None and setting.is_path:  # a path in quotes is left alone
        for position, value in enumerate(values):
            read = as_read(value)
            path = None if read is None else read.value()
            values[position] = quoted(path) if isinstance(path, str) else value
    return [f"{key}={value}" for value in values]


def expand_sweep(overrides: Sequence[str], config_dir: Path | None = None) -> list[list[str]]:
    """Return override lists that between them hold every value of every swept key.

    Enough to check a sweep before it starts: values are not combined with each other.
    """
    options = sweep_options(overrides, config_dir)
    first = [values[0] for values in options]
    variants = [first]
    for position, values in enumerate(options):
        variants += [[*first[:position], value, *first[position + 1 :]] for value in values[1:]]
    return variants


def take_path(key: str, overrides: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Take a path that is no key of the schema out of overrides, read as the schema's paths are.

    Args:
        key: whose value is the path; where it is given twice, the later one counts.
        overrides: as on the command line.

    Returns:
        The path, None where there is none, and the other overrides.

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
