"""Media at addresses and in memory, from a real server."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from PIL import Image

from llava_eval.errors import MediaError
from llava_eval.types import Media, VideoInfo
from llava_eval.video import read_media
from llava_eval.video.remote import fetch


def png() -> bytes:
    stream = io.BytesIO()
    image = Image.new("RGB", (6, 4))
    image.putdata([(10 * n, 255 - n, n) for n in range(24)])
    image.save(stream, "PNG")
    return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Serves a picture, errors, redirects, and content that never ends."""

    num_requests = 0

    def do_GET(self) -> None:
        type(self).num_requests += 1
        if self.path == "/picture.png":
            self.answer(200, png())
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/picture.png")
            self.end_headers()
        elif self.path == "/to-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"abc")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                self.wfile.write(b"x" * 10_000)
                time.sleep(0.01)
        elif self.path == "/nothing":
            self.answer(200, b"")
        else:
            self.answer(404, b"none")

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("LLAVA_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    Handler.num_requests = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def never(info: VideoInfo) -> tuple[int, ...]:
    raise AssertionError("an image has no frames to choose")


def expected() -> torch.Tensor:
    with Image.open(io.BytesIO(png())) as image:
        rows = [[image.getpixel((x, y)) for x in range(6)] for y in range(4)]
    return torch.tensor(rows, dtype=torch.uint8).permute(2, 0, 1)[None]


def test_an_image_at_an_address_is_fetched_once(server: str) -> None:
    for _ in range(2):
        clip = read_media(Media("image", f"{server}/picture.png"), never)
        assert torch.equal(clip.frames, expected())
    assert Handler.num_requests == 1


def test_redirects_stay_on_the_web(server: str) -> None:
    clip = read_media(Media("image", f"{server}/moved"), never)
    assert torch.equal(clip.frames, expected())
    with pytest.raises(MediaError, match=r"cannot be fetched|answered 302"):
        fetch(f"{server}/to-file")


@pytest.mark.parametrize(
    ("path", "message"),
    [("/absent", "answered 404"), ("/nothing", "sent nothing"), ("/cut", "broke after 3 of 1000")],
)
def test_a_failing_transfer_is_one_line(
    server: str, path: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match=message):
        fetch(f"{server}{path}")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.slow
def test_limits_of_size_and_time(server: str) -> None:
    with pytest.raises(MediaError, match="larger than 50000 bytes"):
        fetch(f"{server}/endless", max_bytes=50_000)
    with pytest.raises(MediaError, match="took too long"):
        fetch(f"{server}/endless", timeout_seconds=0.05)


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://x/y", "s3://x/y"])
def test_other_schemes_are_refused(address: str) -> None:
    with pytest.raises(MediaError, match="only http and https"):
        read_media(Media("image", address), never)


def test_no_server() -> None:
    with pytest.raises(MediaError, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/x.png")


def test_an_image_in_memory() -> None:
    clip = read_media(Media("image", "row 3", data=png()), never)
    assert torch.equal(clip.frames, expected())
    with pytest.raises(MediaError, match="row 3: not an image"):
        read_media(Media("image", "row 3", data=b"nothing"), never)
    with pytest.raises(ValueError, match="only images come as bytes"):
        Media("video", "row 3", data=b"x")
