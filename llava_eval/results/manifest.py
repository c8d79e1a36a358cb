"""The manifest, as it is read back: what ran, on what, and how long each stage took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llava_eval.borders.json_text import load_json
from llava_eval.borders.typed_json import Count, as_type
from llava_eval.errors import RunDirectoryError
from llava_eval.results import files


@dataclass(frozen=True)
class Machine:
    """The machine of a session, as far as it is known."""

    processor: str | None = None
    num_cpus: Count | None = None


@dataclass(frozen=True)
class WarmUp:
    """The first batch of a process, which includes what is done once (checks, tuning).

    Attributes:
        num_generated: its samples.
        stage_seconds: of the model until its end.
    """

    num_generated: Count = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FrameCounts:
    """Frames that a process found in the cache, and those that it decoded."""

    num_cached: Count = 0
    num_decoded: Count = 0


@dataclass(frozen=True)
class Session:
    """One process of a run.

    Attributes:
        started: when it began, in UTC.
        ended: when its manifest was last written, in UTC.
        num_generated: samples that it generated.
        wall_seconds: of the whole process.
        stage_seconds: by stage; stages of several workers overlap.
        warm_up: its first batch.
        frames: where they came from.
        peak_device_memory_bytes: most memory held on a CUDA device.
        peak_host_memory_bytes: largest resident set of the process.
        machine: that it ran on.
    """

    started: str | None = None
    ended: str | None = None
    num_generated: Count | None = None
    wall_seconds: float | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    warm_up: WarmUp | None = None
    frames: FrameCounts | None = None
    peak_device_memory_bytes: Count | None = None
    peak_host_memory_bytes: Count | None = None
    machine: Machine | None = None


@dataclass(frozen=True)
class LoadedModel:
    """The loaded model, as a manifest describes it."""

    weights_sha256: str | None = None
    device_name: str | None = None
    memory_bytes: Count | None = None


@dataclass(frozen=True)
class JudgeCost:
    """The judge's fee, in the currency of its prices."""

    cost: float | None = None


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest that is read back.

    Attributes:
        status: "finished", "running", "interrupted", "failed" or "stopped".
        fingerprint: digest of the identity.
        identity: everything that can change a generation.
        benchmark: name of the protocol with every override beside it.
        model_label: name of the model, likewise.
        config: the resolved configuration; of scored texts only what judged them.
        versions: of packages, by name.
        git_commit: of the code.
        model: what was loaded.
        judge: what the judge cost, where one judged.
        sessions: the processes of the run, in order.
        content: the whole object as it was read.
    """

    status: str = "finished"
    fingerprint: str | None = None
    identity: Mapping[str, Any] | None = None
    benchmark: str | None = None
    model_label: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    git_commit: str | None = None
    model: LoadedModel | None = None
    judge: JudgeCost | None = None
    sessions: Sequence[Session] = ()
    content: Mapping[str, Any] = field(default_factory=dict)


def read_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of a run directory, or None when it has none.

    Raises:
        RunDirectoryError: there is one that cannot be read.
    """
    path = directory / files.MANIFEST
    try:
        with files.reading_errors(path, RunDirectoryError):
            content = load_json(path, dict)
            return replace(as_type(content, Manifest), content=content)
    except FileNotFoundError:
        return None
