"""Media at addresses and in memory, from a real server."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from PIL import Image

from llava_eval.errors import MediaError
from llava_eval.types import Media, VideoInfo
from llava_eval.video import read_media
from llava_eval.video.deadline import time_limit
from llava_eval.video.remote import fetch
from tests.conftest import DEMO


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
        elif self.path == "/clip.mp4":
            self.answer(200, (DEMO / "videos" / "demo_001.mp4").read_bytes())
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/picture.png")
            self.end_headers()
        elif self.path.split("?")[0] == "/to-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif self.path.split("?")[0] == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"abc")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # nobody reads all of it
                for _ in range(200):
                    self.wfile.write(b"x" * 10_000)
                    time.sleep(0.01)
        elif self.path.startswith("/loop"):
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif self.path.startswith("/text"):
            self.answer(200, b"these are words")
        elif self.path == "/limited":
            page = b"<!DOCTYPE html><title>Too many requests</title>"
            self.answer(200, page if type(self).num_requests == 1 else png())
        elif self.path == "/once":
            self.answer(200 if type(self).num_requests == 1 else 404, png())
        elif self.path.split("?")[0] == "/nothing":
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
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
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


def test_a_page_in_place_of_an_image_is_not_kept(server: str) -> None:
    image = Media("image", f"{server}/limited")
    with pytest.raises(MediaError, match="not an image"):
        read_media(image, never)
    assert torch.equal(read_media(image, never).frames, expected())


@pytest.mark.parametrize("kept", [b"", png()[:45], b"<html>"], ids=["empty", "cut", "page"])
def test_a_copy_that_cannot_be_read_is_fetched_anew(server: str, kept: bytes) -> None:
    image = Media("image", f"{server}/picture.png")
    Path(fetch(image.path)).write_bytes(kept)
    for _ in range(2):
        assert torch.equal(read_media(image, never).frames, expected())
    assert Handler.num_requests == 2


@pytest.mark.parametrize("kept", [None, b"\x00" * 5000], ids=["whole", "damaged"])
def test_a_video_that_is_wrongly_asked_is_fetched_once(server: str, kept: bytes | None) -> None:
    address = f"{server}/clip.mp4"
    path = Path(fetch(address))
    if kept is not None:
        path.write_bytes(kept)
    too_late = Media("video", address, start_seconds=500.0, end_seconds=600.0)
    for _ in range(2):
        with pytest.raises(MediaError, match=r"clip\.mp4: no frame lies between"):
            read_media(too_late, lambda info: (0,))
        with pytest.raises(MediaError, match=r"clip\.mp4: the sampler takes none of its frames"):
            read_media(Media("video", address), lambda info: ())
        with pytest.raises(MediaError, match="ZeroDivisionError"):
            read_media(Media("video", address), lambda info: (1 // (info.num_frames - 61),))
    assert Handler.num_requests == (1 if kept is None else 2)


def test_a_damaged_copy_of_what_is_gone_is_told_of_with_it(server: str) -> None:
    image = Media("image", f"{server}/once")
    Path(fetch(image.path)).write_bytes(b"")
    message = (
        f"{image.path}: the file is empty; fetched anew: {image.path}: the server answered 404"
    )
    with pytest.raises(MediaError, match=f"^{message}$"):
        read_media(image, never)


def test_a_copy_that_cannot_be_written_is_named(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Media("image", f"{server}/picture.png")
    copy = Path(fetch(image.path))
    copy.unlink()
    copy.mkdir()
    with pytest.raises(MediaError, match=f"its copy {copy} cannot be written: Is a directory"):
        read_media(image, never)
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLAVA_EVAL_CACHE", f"{tmp_path}/file")
    with pytest.raises(
        MediaError, match=rf"{tmp_path}/file/media/\S+ cannot be written: Not a dir"
    ):
        read_media(image, never)


def test_what_a_killed_process_left_of_a_medium_goes(server: str, tmp_path: Path) -> None:
    image = Path(fetch(f"{server}/picture.png"))
    image.unlink()
    old, new = (image.with_name(f".{image.name}.{n}.partial") for n in ("00000001", "00000002"))
    for left in (old, new):  # another process may still write to the second
        left.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert fetch(f"{server}/picture.png") == str(image)
    assert {*image.parent.iterdir()} == {image, new}


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


def test_limits_of_size_and_time(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match="took too long"), time_limit(0.05):
        fetch(f"{server}/endless")
    monkeypatch.setattr("llava_eval.video.remote.MAX_BYTES", 50_000)
    with pytest.raises(MediaError, match="larger than 50000 bytes"):
        fetch(f"{server}/endless")


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


SECRETS = ("usr7", "pw8", "tok9", "sig10", "frg11")
SECRET = "http://usr7:pw8@{host}{path}?token=tok9&sig=sig10#frg11"


@pytest.mark.parametrize("path", ["/absent", "/nothing", "/cut", "/to-file", "/loop", "/closed"])
def test_secrets_in_an_address_are_not_repeated(
    server: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = "127.0.0.1:9" if path == "/closed" else server.partition("://")[2]
    address = SECRET.format(host=host, path=path)
    with pytest.raises(MediaError) as raised:
        read_media(Media("image", address), never)
    error: BaseException | None = raised.value
    while error is not None:  # a traceback shows what an error came from
        said = f"{error}{caplog.text}"
        assert not [secret for secret in SECRETS if secret in said]
        error = None if error.__suppress_context__ else error.__context__
    assert str(raised.value).startswith(f"http://{host}{path}: ")


def test_what_is_no_picture_names_its_address(server: str) -> None:
    address = SECRET.format(host=server.partition("://")[2], path="/text")
    with pytest.raises(MediaError, match=f"^{server}/text: not an image"):
        read_media(Media("image", address), never)
    with pytest.raises(MediaError, match=f"^{server}/text: not a video"):
        read_media(Media("video", address), never)


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http:///x.png",
        "http://[::bad/x.png",
        "http://127.0.0.1:%00/x.png",
        "http://127.0.0.1:99999/x.png",
        "http://127.0.0.1:9/a b.png",
        "http://127.0.0.1:9/x." + "a" * 300,
        "http://" + "a" * 300 + "/x.png",
        "http://127.0.0.1:9/\r\nHost: other",
        "http://\ud800/x.png",
        "http://127.0.0.1:9/\0.png",
        "http://.../x.png",
    ],
)
def test_addresses_that_cannot_be_used(address: str) -> None:
    with pytest.raises(MediaError) as raised, time_limit(20):
        fetch(address)
    assert "\n" not in str(raised.value)


def answering(content: bytes, *, drips: bool = False) -> str:
    """The address of a server that answers one request with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            with suppress(OSError):
                connection.sendall(content)
                while drips:
                    connection.sendall(b"a")
                    time.sleep(0.02)

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HELLO\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: what\r\n\r\nabc",
        b"HTTP/1.1 999 OK\r\n\r\nabc",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::bad/\r\n\r\n",
    ],
)
def test_servers_that_speak_otherwise(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(MediaError) as raised, time_limit(20):
        fetch(answering(content))
    assert "\n" not in str(raised.value)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.slow
def test_the_deadline_holds_for_the_whole_exchange() -> None:
    """A server that always sends the next byte in time."""
    address = answering(b"HTTP/1.1 200 OK\r\n\r\n", drips=True)
    with pytest.raises(MediaError, match="took too long"), time_limit(0.3):
        fetch(address)
    address = answering(b"HTTP/1.1 200 OK\r\n\r\n", drips=True)
    with pytest.raises(MediaError, match="took too long"), time_limit(0.3):
        read_media(Media("image", address), never)


def test_a_failure_repeats_no_secret_of_its_address() -> None:
    for address in (
        "http://u:SECRET@127.0.0.1:9/x.mp4?k=SECRET",
        "http://u:SECRET/x@127.0.0.1:9/x.mp4",
        "http://127.0.0.1:SECRET@/x.mp4",
        "ftp://u:SECRET@h/x.mp4",
    ):
        with pytest.raises(MediaError) as raised, time_limit(5):
            fetch(address)
        assert "SECRET" not in str(raised.value)


def test_names_for_people() -> None:
    assert Media("image", "https://u:p@h.org/a/b.png?k=v#f").name == "https://h.org/a/b.png"
    assert Media("image", "https://u:p/q@h.org/b.png").name == "https://h.org/b.png"
    assert Media("image", "https://h.org?k=v").name == "https://h.org"
    assert Media("image", "https://h.org/b@2x.png").name == "https://h.org/b@2x.png"
    assert Media("video", "a/b?c@d#e.mp4").name == "a/b?c@d#e.mp4"
