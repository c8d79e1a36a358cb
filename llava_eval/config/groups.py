"""The configuration groups: folders of YAML files, packaged ones and a user's own."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from llava_eval.errors import ConfigError

ROOT_NAME = "config"


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
