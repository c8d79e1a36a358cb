"""A real HTTP server on this machine that speaks OpenAI's chat protocol, with faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the server does with one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of the body after which the connection is closed
    wait_seconds: float = 0.0


def reply(text: str | None, snapshot: str = "judge-2024-01-01", **extra: Any) -> Answer:
    """Return a well-formed answer."""
    content = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": snapshot,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        **extra,
    }
    return Answer(body=json.dumps(content).encode())


def failure(status: int, message: str = "no", **headers: str) -> Answer:
    """Return an error as the protocol words it."""
    body = json.dumps({"error": {"message": message, "type": "t", "code": None}}).encode()
    return Answer(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


#: Decides what to do with a request, from its content and how many came before it.
Behaviour = Callable[[dict[str, Any], int], Answer]


class ChatServer:
    """The running server.

    Args:
        behaviour: answers chats.
        pages: JSON values by path, for requests that only read, and what gives them of a content by
            "POST" and path; other paths are not found.
        port: to listen at; 0 takes a free one.

    Attributes:
        base_url: the address that clients are given.
        requests: content of every request, in order of arrival.
        keys: the Authorization header of each.
        most_at_once: largest number of requests under way together.
        error_headers: sent with every page that is an error.
    """

    def __init__(
        self, behaviour: Behaviour, pages: Mapping[str, object] | None = None, port: int = 0
    ) -> None:
        self.behaviour = behaviour
        self.pages = dict(pages or {})
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.most_at_once = 0
        self.error_headers: dict[str, str] = {}
        self._at_once = 0
        self._lock = threading.Lock()
        self._release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.002), daemon=True
        )
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, path: str) -> tuple[int, object]:
        """Return the status and the JSON value at a path."""
        found = self.pages.get(path)
        return (200, found) if found is not None else (404, {"error": {"message": "not found"}})

    def _answer(self, content: dict[str, Any], key: str) -> Answer:
        with self._lock:
            number = len(self.requests)
            self.requests.append(content)
            self.keys.append(key)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self.behaviour(content, number)
            self._release.wait(answer.wait_seconds)
            return answer
        finally:
            with self._lock:
                self._at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits for an acknowledgement

            def do_POST(self) -> None:
                if server._release.is_set():  # stopped: kept connections are dead too
                    self.close_connection = True
                    return
                length = int(self.headers["Content-Length"])
                content = json.loads(self.rfile.read(length))
                if self.path != "/v1/chat/completions":
                    give = server.pages.get(f"POST {self.path}")
                    self._send_page(*((200, give(content)) if callable(give) else (404, None)))
                    return
                answer = server._answer(content, self.headers["Authorization"])
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer.body)))
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer.body[: answer.cut_after])
                except OSError:  # the client has given up
                    self.close_connection = True
                if answer.cut_after is not None:
                    self.close_connection = True

            def do_GET(self) -> None:
                self._send_page(*server.page(self.path))

            def _send_page(self, status: int, found: object) -> None:
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in (server.error_headers if status >= 400 else {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def serving(
    behaviour: Behaviour, pages: Mapping[str, object] | None = None, port: int = 0
) -> Iterator[ChatServer]:
    """Run a server while the block runs."""
    server = ChatServer(behaviour, pages, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()
