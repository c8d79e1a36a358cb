"""Fetch media at http(s) addresses once, within limits, into the cache folder."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from llava_eval.borders.http_client import HttpClient, RequestError
from llava_eval.borders.paths import is_file, whole_file
from llava_eval.errors import MediaError, shown_address
from llava_eval.video.cache import CACHE_VARIABLE, cache_folder, digest
from llava_eval.video.container import media_errors
from llava_eval.video.deadline import check_deadline, seconds_left

#: Larger content is refused, whatever size the server states.
MAX_BYTES = 2 << 30
#: For the whole exchange, from the look-up of the host's name to the last byte.
TIMEOUT_SECONDS = 300.0

#: Longest file suffix, with its dot, that the local copy keeps.
_MAX_SUFFIX = 10


def is_address(path: str) -> bool:
    """Return whether a path is an address rather than a file."""
    return "://" in path


def kept_copy(address: str) -> str | None:
    """Return the path of the copy fetched from an address before, or None."""
    copy = _local_path(address)
    return str(copy) if is_file(copy) else None


def fetch(address: str) -> str:
    """Fetch a file from an address, keep a local copy, and return the copy's path.

    Redirects are followed only to http(s). Messages never repeat the user, password or query of the
    address, because they may be secrets.

    Args:
        address: an http or https address.

    Raises:
        MediaError: another scheme, no answer, an error status, too large, or too slow; or the copy
            cannot be written.
    """
    name = shown_address(address)
    if address.partition("://")[0].lower() not in ("http", "https"):
        raise MediaError(f"{name}: only http and https addresses are fetched")
    with media_errors(name):
        check_deadline(name)
        target = _local_path(address)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for left in target.parent.glob(f".{target.name}.*.partial"):
                with suppress(FileNotFoundError):  # of a killed process, or one that still writes
                    if time.time() - left.stat().st_mtime > TIMEOUT_SECONDS:
                        left.unlink()
            with whole_file(target) as stream:
                _copy(address, name, stream)
        except OSError as error:
            raise MediaError(
                f"{name}: its copy {target} cannot be written: {error.strerror or error} "
                f"({CACHE_VARIABLE} names the folder)"
            ) from error
    return str(target)


def _local_path(address: str) -> Path:
    folder = cache_folder()
    root = Path(tempfile.gettempdir()) / "llava_eval" if folder is None else folder
    try:
        suffix = Path(urlsplit(address).path).suffix
    except ValueError:  # an invalid address, which fetching will report
        suffix = ""
    if len(suffix) > _MAX_SUFFIX or not suffix[1:].isalnum():
        suffix = ""
    return root / "media" / f"{digest('media', address)}{suffix}"


def _copy(address: str, name: str, stream: BinaryIO) -> None:
    timeout_seconds = min(TIMEOUT_SECONDS, seconds_left())
    end = time.monotonic() + timeout_seconds
    try:
        answer = _client().exchange(
            "GET",
            address,
            timeout_seconds=timeout_seconds,
            max_bytes=MAX_BYTES,
            write=stream.write,
        )
    except RequestError as error:
        if time.monotonic() >= end:
            raise MediaError(
                f"{name}: the transfer took too long (more than {timeout_seconds:g} s)"
            ) from None
        # its message may repeat the address
        message = str(error).replace(address, name)
        raise MediaError(f"{name}: cannot be fetched: {message}") from None
    if answer.status != 200:
        raise MediaError(f"{name}: the server answered {answer.status}")
    if stream.tell() == 0:
        raise MediaError(f"{name}: the server sent nothing")


@cache
def _client() -> HttpClient:
    """Return this process's client, which keeps connections open between files."""
    return HttpClient({"User-Agent": "llava_eval"})
