"""The Hugging Face hub, whichever library its client sends requests with."""

from __future__ import annotations

import functools
import typing
from collections.abc import Sequence
from pathlib import Path


def hub_errors() -> tuple[type[Exception], type[Exception]]:
    """Return what the hub's client raises: errors of httpx or httpx2, and the system's."""
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
    """Return the folder in the hub's cache that holds files of a repository, fetched if need be.

    Without a network what is there is returned: of a commit, too, whose files the client's versions
    1.x want to list first.

    Args:
        repository: "organisation/name".
        revision: branch, tag or commit; None is the main branch.
        patterns: on paths inside the repository, as the shell's, but "*" stands for folders, too.
        without: patterns of files that are left out all the same.
        kind: "model" or "dataset".

    Raises:
        HFValidationError: the repository's name can be none.
        OSError: as :func:`huggingface_hub.snapshot_download` does, or the answer is none of a hub;
            also all other :func:`hub_errors`.
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
        # The client checks no answer: a mirror's, or the page of a network that asks to log in.
        raise OSError(f"what answered is no hub ({type(error).__name__}: {error})") from error
    except no_answer as error:
        try:
            return Path(download(local_files_only=True))
        except LocalEntryNotFoundError:
            raise error from None
