"""Build the functions and classes that configuration nodes name.

A node such as ``{_target_: llava_eval.video.samplers.linspace_to_last_frame, num_frames: 16}``
names a function (to bind its keyword parameters) or a class (to instantiate). Parameters are
checked against the signature's type hints before anything is called, so that a mistake in a file or
on the command line gives one line that names the key, not a traceback from deep inside.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from llava_eval.config.choices import suggest
from llava_eval.config.former_names import current_node, current_target
from llava_eval.errors import ConfigError, first_line

TARGET_KEY = "_target_"

#: Modification times, at import, of the files of users' modules: those that configurations name,
#: and those that these import from their own folder.
_written: dict[str, int | None] = {}


def forget_edited() -> None:
    """Forget users' modules that were edited after their import, so that they are imported again.

    A session would otherwise continue with their old code while its manifests name the new one. All
    modules of the same folder are forgotten with them, because they may have imported names from
    them; so are modules that another folder now hides by a module of the same name, see
    :func:`llava_eval.config.choices.let_import`.
    """
    imported = {name: sys.modules[name] for name in _written if name in sys.modules}
    outdated = {
        _folder(module)
        for name, module in imported.items()
        if _when_written(module) != _written[name] or _is_hidden(name, module)
    }
    for name, module in imported.items():
        if _folder(module) in outdated:
            del sys.modules[name], _written[name]


def _folder(module: ModuleType) -> Path:
    return Path(getattr(module, "__file__", None) or "").parent


def _is_hidden(name: str, module: ModuleType) -> bool:
    """Return whether a top-level module's name now leads to another file."""
    file = getattr(module, "__file__", None)
    found = PathFinder.find_spec(name) if file is not None and "." not in name else None
    return found is not None and found.origin != file


def _when_written(module: ModuleType) -> int | None:
    """Return the modification time (ns) of a module's file; None without a file (a notebook)."""
    path = Path(getattr(module, "__file__", None) or "")
    return path.stat().st_mtime_ns if path.is_file() else None


def import_target(dotted: object, *, key: str) -> Callable[..., Any]:
    """Return the function or class that a dotted path names.

    Args:
        dotted: "package.module.function"; a file may contain any value here.
        key: the node's key in the configuration, for messages.

    Raises:
        ConfigError: the module cannot be imported, or has no callable of that name.
    """
    path = current_target(dotted) if isinstance(dotted, str) else ""
    module_name, _, attribute = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise ConfigError(f"{key}.{TARGET_KEY}: {dotted!r} is not a dotted path to a function")
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(
            f"{key}.{TARGET_KEY}: {dotted!r} is of Python's own library, which holds nothing that "
            "a benchmark is made of"
        )
    before = set(sys.modules)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise ConfigError(
            f"{key}.{TARGET_KEY}: cannot import {module_name!r}: {_error_text(error)}"
        ) from error
    if module_name != "__main__" and not module_name.startswith("llava_eval."):
        for name in [module_name, *(sys.modules.keys() - before)]:
            if _folder(sys.modules[name]) == _folder(module):
                _written.setdefault(name, _when_written(sys.modules[name]))
    target = getattr(module, attribute, None)
    if target is None:
        names = [name for name in vars(module) if not name.startswith("_")]
        raise ConfigError(
            f"{key}.{TARGET_KEY}: {module_name} has no {attribute!r}{suggest(attribute, names)}"
        )
    if not callable(target):
        raise ConfigError(f"{key}.{TARGET_KEY}: {dotted} is a {type(target).__name__}, no function")
    return typing.cast("Callable[..., Any]", target)


def build_target(node: Any, *, key: str, below: str = "") -> Any:
    """Instantiate the class, or bind the function, that ``node`` names.

    A function gets its first parameter when it is called (a row, the results, a VideoInfo); all
    others are configurable. A class is instantiated with all its parameters.

    Args:
        node: a mapping with ``_target_`` and parameters.
        key: the node's key in the configuration, for messages.
        below: suffix of ``key`` under which the parameters are, for messages.

    Returns:
        An instance of the class, or a :func:`functools.partial` of the function.

    Raises:
        ConfigError: unknown target, unknown or missing parameter, or a value of a wrong type.
    """
    if not isinstance(node, Mapping):
        raise ConfigError(f"{key}: got {node!r}, expected a mapping with {TARGET_KEY}")
    if TARGET_KEY not in node:
        raise ConfigError(f"{key} has no {TARGET_KEY}; its keys are {', '.join(node) or 'none'}")
    node = current_node(node)
    target = import_target(node[TARGET_KEY], key=key)
    given = {name: value for name, value in node.items() if name != TARGET_KEY}
    values = _checked_values(target, given, key=key + below)
    if inspect.isclass(target):
        try:
            return target(**values)
        except (ValueError, ConfigError) as error:
            raise ConfigError(f"{key}: {error}") from error
        except (Exception, SystemExit) as error:  # a user's class may raise anything
            raise ConfigError(
                f"{key}: {target.__name__} cannot be made: {_error_text(error)}"
            ) from error
    return functools.partial(target, **values)


def _checked_values(
    target: Callable[..., Any], given: Mapping[str, Any], *, key: str
) -> dict[str, Any]:
    """Return ``given`` converted to the types of ``target``'s parameters."""
    try:
        declared = list(inspect.signature(target).parameters.values())
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (TypeError, ValueError, NameError, AttributeError) as error:  # e.g. a C function
        raise ConfigError(
            f"{key}.{TARGET_KEY}: the parameters of {target!r} cannot be read: {_error_text(error)}"
        ) from error
    if not inspect.isclass(target):
        declared = declared[1:]
    takes_any = any(item.kind is item.VAR_KEYWORD for item in declared)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {item.name: item for item in declared if item.kind not in variadic}
    for name in given:
        if name not in parameters and not takes_any:
            raise ConfigError(
                f"unknown key '{key}.{name}'{suggest(name, parameters)}; "
                f"{target.__name__} takes {', '.join(parameters) or 'no parameters'}"
            )
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and given.get(name, "???") == "???":
            raise ConfigError(f"{key}.{name} is not set, and {target.__name__} needs it")
    checked = {}
    for name, value in given.items():
        try:
            checked[name] = _checked_value(value, hints.get(name, Any), key=f"{key}.{name}")
        except ConfigError as error:
            lists = [other for other, hint in hints.items() if "list[" in str(hint)]
            meant = suggest(name, lists) if isinstance(value, list) and name not in lists else ""
            raise ConfigError(f"{error}{meant}") from error
    return checked


def _error_text(error: BaseException) -> str:
    """Return the class and the first line of an error raised by a user's code."""
    if isinstance(error, ModuleNotFoundError):
        return f"{first_line(error)} (--config-dir names the folder of modules of your own)"
    if isinstance(error, ImportError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"


def _checked_value(value: Any, hint: Any, *, key: str) -> Any:
    """Convert one value to its type hint with OmegaConf's rules ("4" is an int, "x" is not)."""
    if typing.get_origin(hint) is typing.Literal:
        literals = typing.get_args(hint)
        if value not in literals:
            allowed = ", ".join(str(choice) for choice in literals)
            hinted = suggest(str(value), [str(choice) for choice in literals])
            raise ConfigError(f"{key}: got {value!r}, expected one of {allowed}{hinted}")
        return value
    holder = dataclasses.make_dataclass("holder", [("value", hint, dataclasses.field())])
    try:
        config = OmegaConf.structured(holder(value))
        converted = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {first_line(error)}") from error
    assert isinstance(converted, dict)
    return converted["value"]
