"""Exchanges over HTTP: a deadline for the whole, a largest body, and errors of three kinds."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import zlib
from collections.abc import Iterator

import pytest

from llava_eval.borders.http_client import (
    AddressError,
    BrokenError,
    HttpClient,
    RequestError,
    Response,
    UnreachableError,
)
from llava_eval.errors import ConfigError
from tests.borders.raw_server import Speak, raw_server, repeats, returns_request, says, silent
from tests.models.chat_server import reply, serving

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def with_length(body: bytes, *headers: bytes) -> bytes:
    lines = [b"Content-Length: %d" % len(body), *headers]
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient({"X-Mine": "yes"})
    yield client
    client.close()


def get(
    client: HttpClient, address: str, *, timeout_seconds: float = 20.0, max_bytes: int = 1000
) -> Response:
    return client.exchange("GET", address, timeout_seconds=timeout_seconds, max_bytes=max_bytes)


def test_an_answer(client: HttpClient) -> None:
    with raw_server(says(with_length(b"hello", b"X-A: b"))) as address:
        answer = get(client, address)
    assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"hello", "b")


def test_a_body_that_is_written_elsewhere(client: HttpClient) -> None:
    pieces: list[bytes] = []
    for status, expected in ((b"200 OK", (b"", b"hello")), (b"404 No", (b"hello", b""))):
        pieces.clear()
        said = with_length(b"hello").replace(b"200 OK", status)
        with raw_server(says(said)) as address:
            answer = client.exchange(
                "GET", address, timeout_seconds=20, max_bytes=5, write=pieces.append
            )
        assert (answer.body, b"".join(pieces)) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "speak",
    [
        repeats(CHUNKED, b"1\r\n \r\n", 0.02),
        repeats(OK + b"Content-Length: 1000\r\n\r\n", b" ", 0.02),
        repeats(OK + b"\r\n", b" ", 0.02),
        repeats(OK, b"X: y\r\n", 0.02),  # a head that never ends
        repeats(b"", b"H", 0.02),
        repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
        repeats(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        silent,
    ],
    ids=["chunks", "length", "close", "head", "status line", "continue", "fast continue", "silent"],
)
def test_the_deadline_is_of_the_whole(client: HttpClient, speak: Speak) -> None:
    with raw_server(speak) as address, pytest.raises(RequestError, match=r"within 0\.3 s"):
        get(client, address, timeout_seconds=0.3, max_bytes=1 << 40)


@pytest.mark.slow
def test_what_came_in_time_decides_what_is_said(client: HttpClient) -> None:
    with raw_server(silent) as address, pytest.raises(UnreachableError):
        get(client, address, timeout_seconds=0.2)
    drips = repeats(CHUNKED, b"1\r\n \r\n", 0.02)
    with raw_server(drips) as address, pytest.raises(BrokenError, match="not complete"):
        get(client, address, timeout_seconds=0.2)


@pytest.mark.parametrize(
    "speak",
    [
        repeats(CHUNKED, b"100000\r\n" + b" " * (1 << 20) + b"\r\n"),
        repeats(OK + b"\r\n", b" " * (1 << 20)),
        says(with_length(b" " * 1001)),
        says(with_length(zlib.compress(b" " * 1001), b"Content-Encoding: deflate")),
        says(with_length(gzip.compress(b" " * (10 << 20)), b"Content-Encoding: gzip")),
    ],
    ids=["chunks", "close", "length", "deflate", "gzip"],
)
def test_the_largest_body(client: HttpClient, speak: Speak) -> None:
    with raw_server(speak) as address:
        with pytest.raises(BrokenError, match="larger than 1000 bytes"):
            get(client, address)
        written = bytearray()
        with pytest.raises(BrokenError, match="larger than 1000 bytes"):
            client.exchange(
                "GET", address, timeout_seconds=20, max_bytes=1000, write=written.extend
            )
        assert len(written) <= 1000


def test_compressed_bodies(client: HttpClient) -> None:
    body = b"hello" * 100
    for encoding, packed in ((b"gzip", gzip.compress(body)), (b"deflate", zlib.compress(body))):
        with raw_server(says(with_length(packed, b"Content-Encoding: " + encoding))) as address:
            assert get(client, address).body == body


BROKEN = {
    "nothing": b"",
    "bad status": b"HELLO\r\n\r\n",
    "status is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "long header": OK + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": OK + b"".join(b"X%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
    "bad header": OK + b"no colon\r\n\r\n",
    "header with a zero": OK + b"X: a\x00b\r\n\r\n",
    "bad chunk": CHUNKED + b"zz\r\nabc",
    "negative chunk": CHUNKED + b"-5\r\nabc",
    "chunk too short": CHUNKED + b"10\r\nabc",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "length is no number": OK + b"Content-Length: many\r\n\r\n",
    "body too short": OK + b"Content-Length: 10\r\n\r\nabc",
    "no gzip": with_length(b"hello", b"Content-Encoding: gzip"),
    "no deflate": with_length(b"\xff\xff\xff", b"Content-Encoding: deflate"),
    "gzip twice": with_length(gzip.compress(gzip.compress(b"a")), b"Content-Encoding: gzip, gzip"),
    "an encoding of its own": with_length(b"hello", b"Content-Encoding: rot13"),
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_answer(client: HttpClient, name: str) -> None:
    with raw_server(says(BROKEN[name])) as address, pytest.raises(BrokenError) as caught:
        get(client, address)
    assert caught.value.may_pass
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "address",
    [
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://[::bad/x.png",
        "http://127.0.0.1:%00/x.png",
        "http://127.0.0.1:99999/x.png",
        "http:///x.png",
        "http://a\nb/x.png",
        "http://\x00/",
        "http://" + "a" * 70 + ".example./x",
        "http://xn--/x",
        "x.png",
        "",
    ],
)
def test_addresses_that_are_none(client: HttpClient, address: str) -> None:
    with pytest.raises(RequestError):
        get(client, address)


def test_a_redirect_to_a_file_or_for_ever(client: HttpClient) -> None:
    for place in (
        b"file:///etc/passwd",
        b"ftp://host/x",
        b"http://[::bad/",
        b"/again",
        b"\xff\xfe",
    ):
        said = b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\nContent-Length: 0\r\n\r\n"
        with raw_server(says(said)) as address, pytest.raises(RequestError):
            get(client, address)


def test_a_key_stays_with_its_host() -> None:
    """A redirect to another host is followed without the key."""
    client = HttpClient({"Authorization": "Bearer sk-secret"})
    with raw_server(returns_request) as address:
        port = address.rpartition(":")[2]
        assert b"sk-secret" in get(client, address).body
        location = f"http://localhost:{port}/".encode()
        moved = b"HTTP/1.1 307 Moved\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
        with raw_server(says(moved)) as first:
            answer = get(client, first).body
    assert b"host: localhost" in answer.lower()
    assert b"sk-secret" not in answer
    client.close()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ALL_PROXY", "socks4://host:1", "socks4"),
        ("HTTPS_PROXY", "http://name:sk-word@host:port", "port"),
        ("SSL_CERT_FILE", "/no/such.pem", "No such file"),
    ],
)
def test_an_environment_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=told) as caught:
        HttpClient()
    assert "sk-word" not in str(caught.value)


def test_a_host_that_an_address_leads_to_is_named(client: HttpClient) -> None:
    # A raw server would wait for the end of a request's head, which a client of TLS never sends.
    with serving(lambda content, number: reply("yes")) as plain:
        other = plain.base_url.replace("http://", "https://")
        moved = b"HTTP/1.1 308 x\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
        with (
            raw_server(says(moved % other.encode())) as address,
            pytest.raises(AddressError, match=rf"speaks no TLS.*\(at {other}, where it has"),
        ):
            get(client, address)
        secret = other.replace("https://", "https://name:sk-word@").encode()
        with raw_server(says(moved % secret)) as address, pytest.raises(AddressError) as caught:
            get(client, address)
        assert f"{other.removeprefix('https://')}, where it has" in str(caught.value)
        assert "sk-word" not in str(caught.value)


def test_nobody_there(client: HttpClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        with pytest.raises(UnreachableError, match="connection failed"):
            get(client, f"http://127.0.0.1:{taken.getsockname()[1]}")
    with pytest.raises(UnreachableError):
        get(client, "http://no-such-host.invalid/")


def test_a_get_survives_a_connection_that_the_server_closed(client: HttpClient) -> None:
    """Servers close idle connections, and say nothing of it until the next request comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[list[bytes]] = []

    def serve() -> None:
        for num_answered in (1, 2, 0):
            connection, _ = listener.accept()
            requests.append([])
            with connection, contextlib.suppress(OSError):
                for number in range(num_answered + 1):
                    requests[-1].append(connection.recv(65536).partition(b" ")[0])
                    if number < num_answered:
                        connection.sendall(with_length(b"hello"))

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        assert get(client, address).body == b"hello"
        assert get(client, address).body == b"hello"  # its first attempt was closed unanswered
        assert get(client, address).body == b"hello"
        with pytest.raises(BrokenError):  # what is sent to be done is not sent again
            client.exchange("POST", address, timeout_seconds=20, max_bytes=99, content=b"{}")
        with pytest.raises(BrokenError):  # nor where the connection is a new one
            get(client, address)
    thread.join()
    assert requests == [[b"GET", b"GET"], [b"GET", b"GET", b"POST"], [b"GET"]]


def test_closing_ends_what_is_under_way() -> None:
    client = HttpClient()
    errors: list[RequestError] = []
    begun = threading.Event()

    def speak(connection: socket.socket, stop: threading.Event, request: bytes) -> None:
        begun.set()
        stop.wait(60)

    def ask() -> None:
        try:
            get(client, address, timeout_seconds=60)
        except RequestError as error:
            errors.append(error)

    with raw_server(speak) as address:
        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(30)
        client.close()
        thread.join(30)
    assert [type(error) for error in errors] == [BrokenError]


def test_many_threads_share_a_client(client: HttpClient) -> None:
    answers: list[bytes] = []
    # the server hangs up after each answer, and says so: a connection is not used again
    with raw_server(says(with_length(b"a", b"Connection: close"))) as address:
        threads = [
            threading.Thread(target=lambda: answers.append(get(client, address).body))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [b"a"] * 20
