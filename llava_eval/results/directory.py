"""Run directories: their paths, the identity of the run in them, and its finished samples."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from llava_eval.borders.json_text import digest
from llava_eval.borders.paths import status_of, storage_errors
from llava_eval.errors import RunDirectoryError
from llava_eval.results import files
from llava_eval.results.identity import Identity, first_difference
from llava_eval.results.ledger import read_ledger, rewrite_ledger
from llava_eval.results.manifest import Manifest, read_manifest
from llava_eval.types import Sample, SampleResult

RUNS_ROOT = Path("results") / "runs"

log = logging.getLogger(__name__)


def runs_of(benchmark: str, model: str, root: Path = RUNS_ROOT) -> Path:
    """Return the folder for the runs of one benchmark and model."""
    return root / _safe_path(benchmark) / _safe_path(model)


def new_run_directory(parent: Path) -> Path:
    """Return a path below ``parent``, named by the time, that does not exist yet."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    candidates = (parent / (stamp if n == 1 else f"{stamp}_{n}") for n in range(1, 1000))
    return next(path for path in candidates if not path.exists())


def find_unfinished(parent: Path, identity: Identity) -> Path | None:
    """Return the newest unfinished run with this identity below ``parent``, if any.

    A run that ended with failed samples counts as unfinished: they are asked again.
    """
    wanted = digest(identity)
    runs = [path.parent for path in parent.glob(f"*/{files.MANIFEST}")]
    for run in sorted(runs, key=lambda path: path.name, reverse=True):
        try:
            manifest = read_manifest(run) or Manifest()
            if manifest.fingerprint == wanted and not _is_done(run, manifest):
                return run
        except RunDirectoryError as error:
            log.warning("%s; it is not continued", error)
    return None


def _is_done(run: Path, manifest: Manifest) -> bool:
    return manifest.status == "finished" and not any(
        result.generation.error for result in read_ledger(run / files.LEDGER)
    )


@contextlib.contextmanager
def claim(directory: Path) -> Iterator[Path]:
    """Make the directory if needed and keep other processes out of it while the block runs.

    Partial files that a killed process left there are removed.

    Raises:
        RunDirectoryError: another process is writing there.
        StorageError: the directory cannot be made.
    """
    with storage_errors(directory):
        folders = (directory, *directory.parents)
        missing = [path for path in folders if status_of(path) is None]
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            missing.clear()  # the other process made them, and may not have written to them yet
            raise RunDirectoryError(
                f"{directory} is in use by another llava-eval process; wait for it or choose "
                "another output_dir"
            ) from error
        except OSError as error:  # a file system without locks
            log.debug("%s cannot be locked: %s", directory, error)
        files.remove_partial_files(directory)
        yield directory
    finally:
        os.close(descriptor)
        # A run that failed before it wrote anything leaves no empty folders.
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()


@contextlib.contextmanager
def claim_new(parent: Path) -> Iterator[Path]:
    """Claim a new run directory below a folder, even if other processes start in the same second.

    Raises:
        StorageError: the directory cannot be made.
    """
    with contextlib.ExitStack() as stack:
        while True:
            with contextlib.suppress(RunDirectoryError):  # another process has taken the name
                directory = stack.enter_context(claim(new_run_directory(parent)))
                break
        yield directory


def check_same_run(directory: Path, identity: Identity, *, resume: bool | None) -> Manifest | None:
    """Check that a directory contains no run with another identity.

    Args:
        directory: the claimed run directory.
        identity: the identity of this run.
        resume: False rejects a directory that already contains a run.

    Returns:
        The manifest of the run with this identity; None if the directory contains no run.

    Raises:
        RunDirectoryError: the directory contains something else.
    """
    manifest = read_manifest(directory)
    if manifest is None:
        if (directory / files.LEDGER).exists():
            raise RunDirectoryError(
                f"{directory} has {files.LEDGER} but no {files.MANIFEST}; cannot tell which "
                "configuration produced it; choose another output_dir"
            )
        return None
    theirs = manifest.identity or {}
    if digest(theirs) != digest(identity):
        reason = first_difference(identity, theirs, "{key} was {theirs} there and is {ours} here")
        raise RunDirectoryError(
            f"{directory} belongs to another configuration: {reason}; choose another output_dir"
        )
    if resume is False:
        raise RunDirectoryError(
            f"{directory} already holds a run of this configuration and resume=false; "
            "choose another output_dir or leave resume out"
        )
    return manifest


def finished_results(directory: Path, samples: Mapping[str, Sample]) -> dict[str, SampleResult]:
    """Return a resumed run's finished results by sample id, and drop the others from its ledger.

    Failed samples are not finished: they are asked again, because the cause may be gone.

    Raises:
        RunDirectoryError: the ledger is damaged, or contains samples that are not in ``samples``.
    """
    path = directory / files.LEDGER
    results = read_ledger(path)
    for result in results:
        if result.id not in samples:
            raise RunDirectoryError(f"{path} holds sample {result.id!r}, which is not asked for")
    finished = {result.id: result for result in results if result.generation.error is None}
    if path.exists():
        rewrite_ledger(path, finished.values())
    return finished


def _safe_path(name: str) -> str:
    """Return a benchmark's or model's name as one or more safe path parts."""
    parts = [re.sub(r"[^\w.=,+-]+", "_", part).strip("._") for part in name.split("/")]
    return "/".join(part for part in parts if part) or "unnamed"
