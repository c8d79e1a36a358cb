"""HTTP requests with a deadline for the whole exchange and a limit on the body's size.

A read timeout limits only the wait for the next byte, so a server that sends one byte per second
never exceeds it. Here the deadline covers everything from the name look-up to the last byte, and
no more than the size limit is ever kept in memory or written.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from llava_eval.errors import ConfigError, one_line, without_secrets

if TYPE_CHECKING:
    import httpx2

#: Supported content encodings; each expands by a factor of at most about a thousand.
_ENCODINGS = ("", "identity", "gzip", "deflate")
#: OpenSSL's messages for servers that can never be reached by this address, and their meaning.
_TLS_FAULTS = {
    "certificate verify failed": "its certificate is not trusted (SSL_CERT_FILE names one that is)",
    "wrong version number": "it speaks no TLS, which https:// asks for",
    "record layer failure": "it speaks no TLS, which https:// asks for",
}


class RequestError(Exception):
    """A request without a usable response; the message is one line without secrets.

    Attributes:
        may_pass: the same request may succeed later.
        is_away: the server currently accepts no request at all.
        num_attempts: number of attempts, if the request was or should have been retried.
    """

    may_pass: ClassVar[bool] = False
    is_away: bool = False

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))
        self.num_attempts: int | None = None

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.num_attempts is None else f"{message} ({self.num_attempts} attempts)"


class UnreachableError(RequestError):
    """There was no connection, or no response in time."""

    may_pass = True
    is_away = True


class BrokenError(RequestError):
    """An unusable response: cut off, too slow, too large, or not HTTP."""

    may_pass = True


class AddressError(RequestError):
    """An address that cannot be requested, or that redirects endlessly."""


@dataclass(frozen=True)
class Response:
    """A response with any status.

    Attributes:
        status: HTTP status code.
        headers: headers by lower-case name.
        body: the whole body; empty if it was passed to a writer.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends requests; one object can be used by many threads.

    Redirects are followed only to http and https addresses, and headers with a key are sent only to
    their own host. A GET that fails on a closed kept-alive connection is sent again over a new one.

    Args:
        headers: headers sent with every request.

    Raises:
        ConfigError: the environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        import httpx2

        try:
            self._client = httpx2.AsyncClient(
                headers={**(headers or {}), "Accept-Encoding": "gzip, deflate"},
                timeout=None,  # exchange() sets one deadline for the whole
                limits=httpx2.Limits(),
                follow_redirects=True,
            )
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            raise ConfigError(
                "the environment's proxies (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY; SOCKS needs `pip "
                "install socksio`) or certificates (SSL_CERT_FILE, SSL_CERT_DIR) cannot be used: "
                f"{error}"
            ) from None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def exchange(
        self,
        method: str,
        address: str,
        *,
        timeout_seconds: float,
        max_bytes: int,
        content: bytes | None = None,
        write: Callable[[bytes], object] | None = None,
    ) -> Response:
        """Send one request and return the response, whatever its status.

        Args:
            method: HTTP method.
            address: http or https address.
            timeout_seconds: deadline for everything from the name look-up to the last byte.
            max_bytes: limit on the body's actual size, whatever length the server states.
            content: the request's body.
            write: receives the body of a response with status 200 in pieces, instead of
                :attr:`Response.body`.

        Raises:
            UnreachableError: there was no connection, or no response in time.
            BrokenError: the response is not HTTP, not complete in time, or too large.
            AddressError: the address cannot be used.
        """
        exchange = self._exchange(method, address, timeout_seconds, max_bytes, content, write)
        try:
            return asyncio.run_coroutine_threadsafe(exchange, self._loop).result()
        except concurrent.futures.CancelledError:
            raise BrokenError("the connection was closed on this side") from None

    def close(self) -> None:
        """Close all connections; running exchanges end with an error."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        """Run the event loop until :meth:`close`, in a thread of its own."""
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._client.aclose())
            self._loop.close()

    async def _exchange(
        self,
        method: str,
        address: str,
        timeout_seconds: float,
        max_bytes: int,
        content: bytes | None,
        write: Callable[[bytes], object] | None,
    ) -> Response:
        import httpx2

        begun: httpx2.Response | None = None
        is_writing = is_connected_anew = False
        end = time.monotonic() + timeout_seconds

        async def trace(event: str, _: object) -> None:
            nonlocal is_connected_anew
            is_connected_anew |= event.startswith("connection.connect_tcp")

        try:
            async with (
                asyncio.timeout(timeout_seconds),
                self._client.stream(
                    method, address, content=content, extensions={"trace": trace}
                ) as response,
            ):
                begun = response
                _check_method(response, method)
                _check_encoding(response)
                body = bytearray()
                keep = write if write is not None and response.status_code == 200 else body.extend
                num_bytes = 0
                async for piece in response.aiter_bytes():
                    num_bytes += len(piece)
                    if num_bytes > max_bytes:
                        raise BrokenError(f"the answer is larger than {max_bytes} bytes")
                    is_writing = True
                    keep(piece)
                    is_writing = False
                return Response(response.status_code, dict(response.headers), bytes(body))
        except TimeoutError:
            if begun is not None:
                raise BrokenError(
                    f"the answer was not complete within {timeout_seconds:g} s"
                ) from None
            raise UnreachableError(f"no answer within {timeout_seconds:g} s") from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise _unconnected(error, address) from None
        except httpx2.InvalidURL:  # its message may repeat a part of the address that is a secret
            raise AddressError("not an address that can be requested") from None
        except (httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
            raise AddressError(_cause_of(error)) from None
        except RequestError:
            raise
        except httpx2.DecodingError as error:
            raise BrokenError(f"the answer cannot be unpacked: {error}") from None
        except httpx2.HTTPError as error:
            if begun is None and method == "GET" and not is_connected_anew:
                # The server closed a kept-alive connection before or while the request was sent.
                left = end - time.monotonic()
                return await self._exchange(method, address, left, max_bytes, content, write)
            raise BrokenError(_where_it_broke(begun) or _cause_of(error)) from None
        except Exception as error:
            # For unusual addresses and responses the libraries also raise other exceptions than
            # their own, for instance an ExceptionGroup for a port over 65535.
            if is_writing:
                raise
            raise BrokenError(_cause_of(error)) from None


def _check_method(response: httpx2.Response, method: str) -> None:
    """Raise AddressError if a redirect turned the request into a GET, as most redirects do."""
    if response.request.method != method:
        raise AddressError(
            f"HTTP {response.history[0].status_code}: it has moved to "
            f"{without_secrets(str(response.url))}, and nothing can be sent by the old address"
        )


def _check_encoding(response: httpx2.Response) -> None:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise BrokenError(f"the answer is encoded as {encoding[:40]!r}")


def _where_it_broke(begun: httpx2.Response | None) -> str | None:
    """Return how much of a response was received; None if it did not state its length."""
    stated = "" if begun is None else begun.headers.get("content-length", "")
    if begun is None or not stated.isdecimal():
        return None
    return f"the connection broke after {begun.num_bytes_downloaded} of {stated} bytes"


def _unconnected(error: httpx2.RequestError, address: str) -> RequestError:
    """Return the error for a failed connection."""
    import httpx2

    cause, asked = _cause_of(error), error.request.url
    if asked != httpx2.URL(address):
        cause += f" (at {without_secrets(str(asked))}, where it has moved)"
    why = [why for words, why in _TLS_FAULTS.items() if words in cause]
    return AddressError(f"{why[0]}: {cause}") if why else UnreachableError(cause)


def _cause_of(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"connection failed: {str(error)[:300] or type(error).__name__}"
