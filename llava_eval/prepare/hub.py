"""Fetching files of a hub data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llava_eval.errors import FetchError


def fetch_files(repository: str, revision: str | None, patterns: Sequence[str]) -> list[Path]:
    """Fetch the files of a data set that match, and return where they lie.

    They go into the hub's own cache (``HF_HOME``), with progress bars; what is there is not fetched
    again, an interrupted file goes on where it stopped, and without a network what is there is
    returned.

    Args:
        repository: "organisation/name".
        revision: branch, tag or commit; None is the main branch.
        patterns: as the shell's, on the path inside the repository.

    Raises:
        FetchError: the repository, the revision or the network is not to be had, or terms must be
            agreed to first.
    """
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=list(patterns)
        )
    except GatedRepoError as error:
        raise FetchError(
            f"{repository} is gated: agree to its terms on the hub, then log in (hf auth login)"
        ) from error
    except LocalEntryNotFoundError as error:
        raise FetchError(
            f"{repository} is not on this machine, and cannot be fetched: {_first_line(error)}"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise FetchError(f"cannot fetch {repository}: {_first_line(error)}") from error
    root = Path(folder)
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    return sorted(found)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
