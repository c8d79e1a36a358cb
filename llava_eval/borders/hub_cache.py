"""Files of the Hugging Face hub, independent of its client's HTTP library."""

from __future__ import annotations

import functools
import typing
from collections.abc import Sequence
from pathlib import Path


def hub_errors() -> tuple[type[Exception], type[Exception]]:
    """Return the base classes of the hub client's errors: one of httpx or httpx2, and OSError."""
    from huggingface_hub.errors import HfHubHTTPError

    return typing.cast("tuple[type[Exception], type[Exception]]", HfHubHTTPError.__bases__)


def snapshot(
    repository: str,
    revision: str | None,
    patterns: Sequence[str],
    *,
    without: Sequence[str] = (),
    kind: str = "model",
) -> Path:
    """Return the cache folder with files of a repository, after downloading them if necessary.

    Without a network the cached files are returned, also for a commit, although versions 1.x of the
    client want to list a commit's files first.

    Args:
        repository: "organisation/name".
        revision: branch, tag or commit; None is the main branch.
        patterns: shell patterns for paths inside the repository, in which "*" also matches "/".
        without: patterns of files to leave out.
        kind: "model" or "dataset".

    Raises:
        HFValidationError: the repository's name is invalid.
        OSError: as raised by :func:`huggingface_hub.snapshot_download`, or the response is not a
            hub's; also all other :func:`hub_errors`.
    """
    from huggingface_hub import is_offline_mode, snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    download = functools.partial(
        snapshot_download,
        repository,
        repo_type=kind,
        revision=revision,
        allow_patterns=list(patterns),
        ignore_patterns=list(without),
    )
    no_answer, _ = hub_errors()
    try:
        return Path(download(local_files_only=is_offline_mode()))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError):
        raise
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        # The client does not check responses, which may come from a mirror or from the login page
        # of a network.
        raise OSError(f"what answered is no hub ({type(error).__name__}: {error})") from error
    except no_answer as error:
        try:
            return Path(download(local_files_only=True))
        except LocalEntryNotFoundError:
            raise error from None
