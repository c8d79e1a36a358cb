"""A hub on this machine that speaks as much of the hub's protocol as fetching a data set needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """One data set, its files by path.

    Attributes:
        requests: method and path of every request.
        gated: every file asks for terms to be agreed to.
        breaks: the connection ends where a file should come.
    """

    def __init__(self, name: str, files: dict[str, bytes], *, gated: bool = False) -> None:
        self.breaks = False
        self.name, self.files, self.gated = name, files, gated
        self.requests: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def info(self) -> bytes:
        siblings = [{"rfilename": path} for path in self.files]
        return json.dumps(
            {"_id": "1", "id": self.name, "sha": COMMIT, "siblings": siblings, "private": False}
        ).encode()

    def tree(self) -> bytes:
        return json.dumps(
            [
                {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
                for path, content in self.files.items()
            ]
        ).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits for an acknowledgement

            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                self.answer()

            def answer(self) -> None:
                path = unquote(urlsplit(self.path).path)
                hub.requests.append(f"{self.command} {path}")
                api, files = f"/api/datasets/{hub.name}", f"/datasets/{hub.name}/resolve/"
                headers = {"X-Repo-Commit": COMMIT}
                if hub.breaks and path.startswith(files):
                    self.close_connection = True
                    return
                status, body = 404, b"{}"
                if path.startswith(f"{api}/tree/"):
                    status, body = 200, hub.tree()
                elif path == api or path.startswith(f"{api}/revision/"):
                    status, body = 200, hub.info()
                elif path.startswith(files):
                    found = hub.files.get(path.removeprefix(files).partition("/")[2])
                    if hub.gated:
                        status, headers["X-Error-Code"] = 403, "GatedRepo"
                    elif found is not None:
                        status, body = 200, found
                        headers["ETag"] = f'"{hashlib.sha1(found).hexdigest()}"'
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@contextmanager
def serving(name: str, files: dict[str, bytes], *, gated: bool = False) -> Iterator[Hub]:
    """Run a hub while the block runs."""
    hub = Hub(name, files, gated=gated)
    thread = threading.Thread(
        target=lambda: hub.server.serve_forever(poll_interval=0.002), daemon=True
    )
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()
