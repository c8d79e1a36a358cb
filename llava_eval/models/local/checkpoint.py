"""Checkpoint folders: finds them, and records exactly which files they contain."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from llava_eval.borders.hub_cache import hub_errors, snapshot
from llava_eval.borders.paths import local_path, names_file, reason
from llava_eval.errors import CheckpointError, first_line

_WEIGHTS = ("*.safetensors", "*.bin")
#: Weights that transformers does not read: of training steps, or in Mistral's own format.
_OTHER_WEIGHTS = ("*/*.safetensors", "*/*.bin", "consolidated*.safetensors")
_SETTINGS = (
    *("*.json", "*.model", "*.txt", "*.jinja", "*.py"),
    *("additional_chat_templates/*.jinja", "custom_generate/*.py"),
)
#: Code of another repository in an auto_map: "organisation/name--module.Class".
_CODE_ELSEWHERE = re.compile(r'"([\w.-]+/[\w.-]+)--[\w.]+"')
#: Files of the model's weights; other weight files belong to adapters, trainers or other libraries.
_MODEL_FILE = re.compile(r"(pytorch_)?model(-.*)?\.(safetensors|bin)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CheckpointFolder:
    """A checkpoint on this machine.

    Attributes:
        path: folder with config.json, weights, tokenizer and processor.
        name: the name that the user gave.
        commit: commit of a hub checkpoint; None for a folder.
        file_sha256: (file name, SHA-256) of every file that can change an output, by name.
    """

    path: Path
    name: str
    commit: str | None
    file_sha256: tuple[tuple[str, str], ...]

    @property
    def model_files(self) -> list[str]:
        """Names of the files from which transformers reads weights: safetensors if there are any.

        A single file with all weights takes precedence over shards in the same folder.
        """
        names = [name for name, _ in self.file_sha256 if _MODEL_FILE.fullmatch(name)]
        names = [name for name in names if name.endswith(".safetensors")] or names
        return [name for name in names if "-" not in name] or names

    @property
    def weights_bytes(self) -> int:
        """Size of the weights that are read."""
        names = self.model_files or [name for name, _ in self._weights]
        return sum((self.path / name).stat().st_size for name in names)

    @property
    def weights_sha256(self) -> str:
        """One digest of all weight files."""
        lines = [f"{digest}  {name}\n" for name, digest in self._weights]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def _weights(self) -> list[tuple[str, str]]:
        return [item for item in self.file_sha256 if item[0].endswith((".safetensors", ".bin"))]


def find_checkpoint(checkpoint: str, revision: str | None = None) -> CheckpointFolder:
    """Return a checkpoint's folder, after downloading it from the hub if necessary.

    Args:
        checkpoint: an existing folder, or a hub id such as "llava-hf/LLaVA-NeXT-Video-7B-hf".
        revision: branch, tag or commit of a hub id.

    Raises:
        CheckpointError: there is no such folder or hub id, or the folder is no checkpoint.
    """
    path = local_path(checkpoint)
    commit = None
    if not path.is_dir():
        if path.exists():
            raise CheckpointError(f"model.checkpoint={checkpoint} is a file, expected a folder")
        path = _download(checkpoint, revision)
        commit = path.name
    elif revision is not None:
        raise CheckpointError(
            f"model.revision={revision} is for hub checkpoints, but {checkpoint} is a folder"
        )
    for file in path.iterdir():
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise CheckpointError(f"{file} is a pipe, socket or device, expected a file")
    if not (path / "config.json").is_file() and (path / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{path} holds an adapter without its model (adapter_config.json, no config.json); "
            "save both as one with peft's merge_and_unload() and save_pretrained(), and the "
            "processor beside them"
        )
    if not (path / "config.json").is_file():
        raise CheckpointError(f"{path} has no config.json, so it is not a transformers checkpoint")
    if not _files(path, _WEIGHTS):
        raise CheckpointError(f"{path} holds no weights ({' or '.join(_WEIGHTS)})")
    return CheckpointFolder(path, checkpoint, commit, _digests(path, _SETTINGS + _WEIGHTS))


def with_code_elsewhere(checkpoint: CheckpointFolder) -> CheckpointFolder:
    """Return a checkpoint with digests of the code that it uses from other repositories.

    transformers loads it from their main branches, which may change. If it cannot be downloaded,
    transformers reports that later.
    """
    digests = dict(checkpoint.file_sha256)
    for file in _files(checkpoint.path, ("*config.json",)):
        for name in _CODE_ELSEWHERE.findall(file.read_text(encoding="utf-8", errors="replace")):
            with suppress(ValueError, *hub_errors()):
                code = _digests(snapshot(name, None, ["*.py"]), ("*.py",))
                digests |= {f"{name}/{module}": digest for module, digest in code}
    return replace(checkpoint, file_sha256=tuple(digests.items()))


def _digests(folder: Path, patterns: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    files = _files(folder, patterns)
    return tuple((file.relative_to(folder).as_posix(), _sha256(file)) for file in files)


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = {file for pattern in patterns for file in folder.glob(pattern) if file.name[0] != "."}
    try:
        return sorted(filter(names_file, found))
    except OSError as error:
        raise CheckpointError(f"{error.filename}: {reason(error)}") from error


def _download(checkpoint: str, revision: str | None) -> Path:
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/", "~")):
        raise CheckpointError(
            f"model.checkpoint={checkpoint}: there is no such folder, and a hub id is written "
            "organisation/name"
        )
    named = checkpoint if revision is None else f"{checkpoint} at revision {revision}"
    try:
        patterns = [*_SETTINGS, "*.safetensors"]
        folder = snapshot(checkpoint, revision, patterns, without=_OTHER_WEIGHTS)
        if not _files(folder, _WEIGHTS):
            snapshot(checkpoint, revision, ["*.bin"], without=_OTHER_WEIGHTS)
    except HFValidationError as error:
        raise CheckpointError(
            f"model.checkpoint={checkpoint} is no folder and no hub id"
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"model.checkpoint={checkpoint}: there is no such folder, and {named} is not in the "
            "local cache while the hub cannot be reached"
        ) from error
    except hub_errors() as error:  # also a connection that broke, a full disk
        raise CheckpointError(
            f"model.checkpoint={checkpoint}: the hub does not hand out {named}: {first_line(error)}"
        ) from error
    return folder


def _sha256(file: Path) -> str:
    """Return a file's SHA-256; in the hub's cache the names of large files are their SHA-256."""
    stored = file.resolve().name
    if file.is_symlink() and _SHA256.fullmatch(stored):
        return stored
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
