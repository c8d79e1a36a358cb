"""Appending to a file of JSON lines so that it never ends in half a line."""

from __future__ import annotations

from io import FileIO


def append_line(stream: FileIO, line: bytes) -> None:
    """Write a line at once, or nothing of it.

    Args:
        stream: opened for appending, without a buffer.
        line: with its line feed.

    Raises:
        OSError: it cannot be written; what was written of it is cut off again if possible.
    """
    start = stream.tell()
    written = stream.write(line)
    if written != len(line):
        # A full disk takes part of a line without an error; the next write says why.
        try:
            stream.write(line[written:])
        finally:
            if stream.tell() != start + len(line):
                stream.truncate(start)
