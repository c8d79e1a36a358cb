"""A server that sends bytes as they are told, HTTP or not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

#: Sends what it likes over a connection, given what was read of the request; closed afterwards.
Speak = Callable[[socket.socket, threading.Event, bytes], None]


def says(*pieces: bytes) -> Speak:
    """Send these bytes and close."""

    def speak(connection: socket.socket, stop: threading.Event, request: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return speak


def repeats(head: bytes, piece: bytes, pause_seconds: float = 0.0) -> Speak:
    """Send the head and then the same bytes for ever."""

    def speak(connection: socket.socket, stop: threading.Event, request: bytes) -> None:
        connection.sendall(head)
        while not stop.wait(pause_seconds):
            connection.sendall(piece)

    return speak


def returns_request(connection: socket.socket, stop: threading.Event, request: bytes) -> None:
    """Send back the head of the request as the body."""
    head = request.partition(b"\r\n\r\n")[0]
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(head), head))


def silent(connection: socket.socket, stop: threading.Event, request: bytes) -> None:
    """Send nothing, and keep the connection."""
    stop.wait(60)


@contextlib.contextmanager
def raw_server(speak: Speak) -> Iterator[str]:
    """Serve every connection in the same way while the block runs; yield the address."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            speak(connection, stop, request)

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [listening, *threads]:
            thread.join()
