"""Media at http(s) addresses: fetched once, within limits, into the cache folder."""

from __future__ import annotations

import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llava_eval.errors import MediaError
from llava_eval.video.cache import cache_folder, digest

MAX_BYTES = 2 << 30
TIMEOUT_SECONDS = 300.0
_CHUNK_BYTES = 1 << 20
_SILENCE_SECONDS = 30.0


def is_address(path: str) -> bool:
    """Is this an address rather than a file?"""
    return "://" in path


def fetch(
    address: str, *, max_bytes: int = MAX_BYTES, timeout_seconds: float = TIMEOUT_SECONDS
) -> str:
    """Return the path of a local copy of what lies at an address.

    A copy that was fetched before is used again. Redirects are followed to http(s) only.

    Args:
        address: http or https.
        max_bytes: larger content is refused, whatever the server says of its size.
        timeout_seconds: for the whole transfer.

    Raises:
        MediaError: another scheme, no answer, an error status, too large, or too slow.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        raise MediaError(f"{address}: only http and https addresses are fetched")
    target = _local_path(address)
    if target.is_file():
        return str(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _copy(address, stream, max_bytes, time.monotonic() + timeout_seconds)
        partial.replace(target)
    except urllib.error.HTTPError as error:
        raise MediaError(f"{address}: the server answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise MediaError(f"{address}: cannot be fetched: {reason}") from error
    finally:
        partial.unlink(missing_ok=True)
    return str(target)


def _local_path(address: str) -> Path:
    folder = cache_folder()
    root = Path(tempfile.gettempdir()) / "llava_eval" if folder is None else Path(folder)
    suffix = Path(urlsplit(address).path).suffix
    return root / "media" / f"{digest('media', address)}{suffix}"


def _copy(address: str, stream: Any, max_bytes: int, deadline: float) -> None:
    agent = {"User-Agent": "llava_eval"}
    request = urllib.request.Request(address, headers=agent)  # noqa: S310, see _opener
    num_bytes = 0
    with _opener().open(request, timeout=_SILENCE_SECONDS) as answer:
        while chunk := answer.read(_CHUNK_BYTES):
            num_bytes += len(chunk)
            if num_bytes > max_bytes:
                raise MediaError(f"{address}: larger than {max_bytes} bytes")
            if time.monotonic() > deadline:
                raise MediaError(f"{address}: the transfer took too long")
            stream.write(chunk)
        stated = answer.headers.get("Content-Length")
    if num_bytes == 0:
        raise MediaError(f"{address}: the server sent nothing")
    if stated is not None and stated.isdecimal() and int(stated) != num_bytes:
        raise MediaError(f"{address}: the connection broke after {num_bytes} of {stated} bytes")


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows http and https alone: no file, ftp or data addresses by redirect."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
