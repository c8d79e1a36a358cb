"""The manifest of a run: its configuration, code and machine, and how long each stage took."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import yaml

from llava_eval.borders.json_text import digest, load_json
from llava_eval.borders.typed_json import Count, as_type
from llava_eval.errors import LlavaEvalError, RunDirectoryError, without_secrets
from llava_eval.models.clock import StageClock
from llava_eval.results import files
from llava_eval.results.environment import git_commit, machine, peak_host_memory_bytes, versions
from llava_eval.types import SampleResult

log = logging.getLogger(__name__)

#: Separates the names of models that answered one after another.
_AND = " and "
_ADDRESS = re.compile(r"(?:https?|ftp)[:;]", re.IGNORECASE)


@dataclass(frozen=True)
class Machine:
    """The machine of a session, as far as it is known."""

    processor: str | None = None
    num_cpus: Count | None = None


@dataclass(frozen=True)
class WarmUp:
    """The first batch of a process, which includes work that is done once (checks, tuning).

    Attributes:
        num_generated: the number of its samples.
        stage_seconds: seconds of the model by stage, until the batch ended.
    """

    num_generated: Count = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FrameCounts:
    """The numbers of frames that a process found in the cache, and that it decoded."""

    num_cached: Count = 0
    num_decoded: Count = 0


@dataclass(frozen=True)
class Session:
    """One process of a run.

    Attributes:
        started: when it began, in UTC.
        ended: when its manifest was last written, in UTC.
        num_generated, num_failed: samples that it processed, and those that failed.
        generating_seconds: time of preparing media and generating, from the first sample on.
        wall_seconds: wall time of the whole process.
        stage_seconds: seconds by stage; stages of several workers overlap.
        warm_up: its first batch.
        frames: how many frames came from the cache, and how many were decoded.
        peak_device_memory_bytes: peak memory on a CUDA device.
        peak_host_memory_bytes: largest resident set of the process.
        machine: the machine that it ran on.
    """

    started: str | None = None
    ended: str | None = None
    num_generated: Count | None = None
    num_failed: Count = 0
    generating_seconds: float | None = None
    wall_seconds: float | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    warm_up: WarmUp | None = None
    frames: FrameCounts | None = None
    peak_device_memory_bytes: Count | None = None
    peak_host_memory_bytes: Count | None = None
    machine: Machine | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A manifest's description of the model: its weights, or the name a server answered as."""

    weights_sha256: str | None = None
    stored_quantization: str | None = None
    answers_as: str | None = None
    device_name: str | None = None
    memory_bytes: Count | None = None


@dataclass(frozen=True)
class JudgeCost:
    """The judge's fee, in the currency of its prices."""

    cost: float | None = None


@dataclass(frozen=True)
class Manifest:
    """The entries of a manifest that are read back.

    Attributes:
        status: "finished", "running", "interrupted", "failed" or "stopped".
        fingerprint: digest of the identity.
        identity: everything that can change a generation.
        benchmark: name of the protocol, followed by all overrides.
        model_label: name of the model, followed by all overrides.
        config: the resolved configuration; for scored texts only the part that scores.
        versions: package versions by name.
        git_commit: commit of the code.
        code: digests of the user's own functions and classes, by the configuration key of each.
        model: the model that was loaded.
        judge: the judge's fee, if one judged.
        sessions: the processes of the run, in order.
        content: the whole JSON object.
    """

    status: str = "finished"
    fingerprint: str | None = None
    identity: Mapping[str, Any] | None = None
    benchmark: str | None = None
    model_label: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    git_commit: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    model: ModelRecord | None = None
    judge: JudgeCost | None = None
    sessions: Sequence[Session] = ()
    content: Mapping[str, Any] = field(default_factory=dict)


def read_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of a run directory, or None if it has none.

    Raises:
        RunDirectoryError: the manifest cannot be read.
    """
    path = directory / files.MANIFEST
    try:
        with files.reading_errors(path, RunDirectoryError):
            content = load_json(path, dict, is_ours=True)
            return replace(as_type(content, Manifest), content=content)
    except FileNotFoundError:
        return None


def provenance(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first entries of a manifest: identity, package versions, and the code's commit."""
    return {
        "fingerprint": digest(identity),
        "identity": identity,
        "versions": versions(),
        "git_commit": git_commit(),
    }


def _now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _without_secret_addresses(value: Any) -> Any:
    """Return a part of a configuration without passwords or keys in its addresses."""
    if isinstance(value, Mapping):
        return {name: _without_secret_addresses(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secret_addresses(item) for item in value]
    is_address = isinstance(value, str) and _ADDRESS.match(value)
    return without_secrets(value) if is_address else value


class RunRecord:
    """Writes the manifest of one run during the run; the ``with`` block ends with the run.

    The last status is :attr:`end` ("finished" by default), "interrupted" after Ctrl-C, or "failed"
    after a LlavaEvalError. A run that fails before :meth:`begin` leaves no manifest.

    Args:
        directory: the run directory.
        content: entries that are known from the start: identity, configuration, labels.
        earlier: the manifest that an earlier process left; its entries are kept.
        stage_seconds: this process's seconds by stage; read whenever the manifest is written.

    Attributes:
        directory: the run directory.
        end: status of a run that ends without an error.
        is_written: whether this process has written the manifest.
    """

    def __init__(
        self,
        directory: Path,
        content: Mapping[str, Any],
        earlier: Manifest | None,
        stage_seconds: Mapping[str, float],
    ) -> None:
        self.directory = directory
        self.end = "finished"
        self._earlier = {} if earlier is None else dict(earlier.content)
        self._content = {**content, "config": _without_secret_addresses(content["config"])}
        self._stage_seconds = stage_seconds
        self._session: dict[str, Any] = {
            "started": _now(),
            "command": [*map(without_secrets, sys.argv)],
            "process_id": os.getpid(),
            "machine": machine(),
        }
        self._start = time.perf_counter()
        self.is_written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self.write(self.end)
        elif isinstance(error, KeyboardInterrupt) and self.is_written:
            self.write("interrupted")
        elif isinstance(error, LlavaEvalError) and self.is_written:
            with contextlib.suppress(LlavaEvalError):
                self.write("failed")

    def begin(self, model: Mapping[str, Any], *, has_results: bool = True) -> None:
        """Write config.yaml and the first manifest, with which the run can be continued.

        Args:
            model: facts about the loaded model; empty if none was loaded.
            has_results: whether results of the earlier manifest's model are kept.

        Raises:
            StorageError: they cannot be written.
        """
        if model:
            earlier = (self._earlier.get("model") or {}).get("answers_as")
            now = model.get("answers_as")
            if has_results and earlier and now and earlier != now:
                text = "finished samples are answers of %s, and the others will be of %s"
                log.warning(text, earlier, now)
                names = dict.fromkeys([*earlier.split(_AND), now])
                model = {**model, "answers_as": _AND.join(names)}
            self.add(model=dict(model))
        config = self._content["config"]
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100)
        files.write_text(self.directory / files.CONFIG, text)
        self.write("running")

    @property
    def notes(self) -> list[str]:
        """A note for all numbers if several models answered under one name of a server."""
        model = {**self._earlier, **self._content}.get("model") or {}
        names = str(model.get("answers_as"))
        return [f"answers are of {names}, by one name of a server"] if _AND in names else []

    def add_work(self, **work: Any) -> None:
        """Add facts about this process's session, for instance how many samples it generated."""
        self._session.update(work)

    @contextlib.contextmanager
    def counting(self, results: Sequence[SampleResult], clock: StageClock) -> Iterator[None]:
        """Record how much the block has generated and how long it took, also after Ctrl-C.

        After an error nothing is recorded: the wait for a lost server is not the model's time.

        Args:
            results: results of this process; the block adds to them.
            clock: the engine's clock.
        """
        start = time.perf_counter()

        def note() -> None:
            seconds = time.perf_counter() - start
            num_tokens = sum(result.generation.num_output_tokens or 0 for result in results)
            self.add_work(
                generating_seconds=round(seconds, 3),
                warm_up=clock.warm_up or None,
                num_generated=len(results),
                num_failed=sum(result.generation.error is not None for result in results),
                num_output_tokens=num_tokens,
                output_tokens_per_second=round(num_tokens / seconds, 3),
            )

        try:
            yield
        except KeyboardInterrupt:
            note()
            raise
        note()

    def add(self, **content: Any) -> None:
        """Add entries that the next write will include."""
        self._content.update(content)

    def write(self, status: str) -> None:
        """Replace the manifest.

        Raises:
            StorageError: it cannot be written.
        """
        # workers on other machines may have used more than this process
        of_workers = self._session.get("peak_host_memory_bytes", 0)
        self._session.update(
            ended=_now(),
            wall_seconds=round(time.perf_counter() - self._start, 3),
            stage_seconds={name: round(s, 3) for name, s in self._stage_seconds.items()},
            peak_host_memory_bytes=max(of_workers, peak_host_memory_bytes()),
        )
        sessions = [*self._earlier.get("sessions", []), self._session]
        content = {**self._earlier, "status": status, **self._content, "sessions": sessions}
        files.write_json(self.directory / files.MANIFEST, content)
        self.is_written = True
