"""List the configuration groups (folders of YAML files: the package's and a user's own).

Also the wording shared by configuration errors: suggestions and lists of allowed values.
"""

from __future__ import annotations

import difflib
import importlib.resources
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from llava_eval.borders.paths import folders_below
from llava_eval.config.experiments import published_experiments
from llava_eval.errors import ConfigError

ROOT_NAME = "config"
#: The default of ``--config-dir``: a user's own folder, which need not exist. Its
#: ``local/default.yaml`` applies to every command in this working directory.
USERS_FOLDER = Path("llava_eval_local")


def config_folder() -> Path:
    """Return the folder of the packaged configuration files.

    In a wheel they are inside the package, in a checkout next to it.
    """
    packaged = Path(str(importlib.resources.files("llava_eval"))) / "configs"
    beside = packaged.parent.parent / "configs"
    folder = packaged if packaged.is_dir() else beside
    if not (folder / f"{ROOT_NAME}.yaml").is_file():
        raise ConfigError(f"the package's configuration files are missing: no folder {folder}")
    return folder


def config_files(folder: Path) -> list[Path]:
    """Return the YAML files below a folder, following links to folders as Hydra does."""
    return sorted(
        here / file
        for here, names in folders_below(folder)
        for file in names
        if file.endswith(".yaml") and file[0] != "."
    )


def own_files(config_dir: Path | None) -> list[Path]:
    """Return the YAML files in a user's own folder; none if the default folder does not exist.

    Raises:
        ConfigError: another folder was named and does not exist, or a link leads nowhere.
    """
    if config_dir is None:
        return []
    may_be_missing = config_dir == USERS_FOLDER and not config_dir.is_symlink()
    if not config_dir.is_dir() and not may_be_missing:
        raise ConfigError(f"--config-dir: there is no folder {config_dir}")
    local = config_dir / "local"  # applied without being named: nobody would notice its absence
    if local.is_symlink() and not local.is_dir():
        raise ConfigError(f"--config-dir: {local} is a link, and there is no folder where it leads")
    return config_files(config_dir)


def list_choices(group: str, config_dir: Path | None = None) -> list[str]:
    """Return a group's options, those in ``config_dir`` included; nested: "family/protocol"."""
    roots = [config_folder() / group] + ([config_dir / group] if config_dir else [])
    result = set(published_experiments()) if group == "experiment" else set()
    for root in roots:
        for path in config_files(root):
            if not path.name.startswith("_"):  # a file of settings that several options share
                result.add(path.relative_to(root).with_suffix("").as_posix())
    return sorted(result)


def list_groups(config_dir: Path | None = None) -> list[str]:
    """Return the names of the configuration groups."""
    roots = [config_folder()] + ([config_dir] if config_dir and config_dir.is_dir() else [])
    return sorted({path.name for root in roots for path in root.iterdir() if path.is_dir()})


def search_path_override(config_dir: Path | None) -> list[str]:
    """Return the override that makes Hydra search a user's folder, too; none if it is missing."""
    for path in own_files(config_dir):
        if not path.is_file():
            raise ConfigError(f"--config-dir: {path} is no file that can be read")
    if config_dir is None or not config_dir.is_dir():
        return []
    return [f"hydra.searchpath=[{quoted(f'file://{config_dir.resolve()}')}]"]


#: Folders that :func:`let_import` has added to sys.path.
_own_folders: set[str] = set()


def let_import(config_dir: Path | None) -> None:
    """Make modules in a user's folder importable: their own scorers, metrics and models.

    The folder goes to the end of sys.path, so that no module in it hides a package. If a session
    uses several folders, the last one given comes first among them.
    """
    if config_dir is None or not config_dir.is_dir():
        return
    folder = str(config_dir.resolve())
    if folder in sys.path and folder not in _own_folders:  # placed by someone else: leave it there
        return
    if folder in sys.path:
        sys.path.remove(folder)
    places = [sys.path.index(other) for other in _own_folders if other in sys.path]
    sys.path.insert(min(places, default=len(sys.path)), folder)
    _own_folders.add(folder)


def quoted(value: object) -> str:
    """Return a value in quotes for an override, whatever characters it contains.

    Hydra's grammar keeps backslashes as they are, but halves those before a quote.
    """
    text = re.sub(r"(\\*)('|\Z)", lambda m: 2 * m[1] + "\\'" * bool(m[2]), str(value))
    return f"'{text}'"


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the closest choice, or "" if none is close.

    A model of another size is never suggested: "llava_next_video_13b" is no typo of "..._7b".

    Args:
        word: the word that was given.
        choices: the words that exist.
    """
    given = word.lower()
    options = {choice.lower(): choice for choice in choices if _sizes(choice) == _sizes(word)}
    close = [option for option in options if option.startswith(f"{given}/")]  # all its protocols
    if not close:
        # among equally close choices, "001" means "001-1", not "090-1"
        begun = [option for option in options if option.startswith(given)]
        close = difflib.get_close_matches(given, begun, n=1, cutoff=0.6)
        close = close or difflib.get_close_matches(given, options, n=1, cutoff=0.6)
    if not close and given:
        # "lmms" for "videomme/lmms_eval": a part that only one name contains
        holding = [option for option in options if given in option]
        close = holding if len(holding) == 1 else []
    names = " or ".join(repr(options[option]) for option in close)
    return f" (did you mean {names}?)" if names else ""


def _sizes(name: str) -> list[str]:
    """Return the model sizes in a name: "7b", "0.5b"."""
    return re.findall(r"(?<![a-z0-9])\d+(?:\.\d+)?b(?![a-z0-9])", name.lower())


#: How many choices a message lists at most.
_LISTED = 30


def listing(choices: Iterable[str]) -> str:
    """Return the choices as one comma-separated line, shortened if there are many."""
    options = list(dict.fromkeys(choices)) or ["none"]
    more = f", and {len(options) - _LISTED} more" if len(options) > _LISTED else ""
    return ", ".join(options[:_LISTED]) + more
