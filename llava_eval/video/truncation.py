"""Detect videos with less content than their file states, as after an interrupted download.

The outermost structure of a container states sizes, so a few bytes of the file are enough to check
them. A file with all its bytes but not all its content is recognised by its stated duration.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from llava_eval.types import MediaProblem

#: Top-level boxes of mp4 and mov files (ISO/IEC 14496-12, 4.2 and 6.3.3).
_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid"}
)

#: File Properties Object of ASF (Advanced Systems Format specification, 3.2), as bytes.
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")

#: Bytes at the start of a file in which that object is searched.
_ASF_HEADER_BYTES = 65536


#: Stands for the needed size of a file that is surely incomplete but does not state its size.
_MORE = 1 << 64

#: By how much a video may be shorter than its stated duration, because its sound may be longer.
_LEAST_SECONDS, _LEAST_SHARE = 1.0, 0.1


def truncation(path: str, container_format: str) -> tuple[MediaProblem, ...]:
    """Return a problem if a file has fewer bytes than its structure needs, otherwise nothing.

    Args:
        path: the video file.
        container_format: libav's name of its container, or the suffix of an image's format.
    """
    for name, check in _CHECKS.items():
        if name in container_format.split(","):
            with Path(path).open("rb") as file:
                size = file.seek(0, 2)
                file.seek(0)
                end = check(file, size)
            if end is None or end <= size:
                return ()
            needed = "more" if end == _MORE else f"{end:,}"
            detail = f"the file is truncated: its structure needs {needed} bytes, it has {size:,}"
            return (MediaProblem("truncated", detail),)
    return ()


def shortfall(
    container_format: str, stated_seconds: float, end_seconds: float
) -> tuple[MediaProblem, ...]:
    """Return a problem if a video ends long before its header says, otherwise nothing.

    Args:
        container_format: libav's name of its container.
        stated_seconds: duration according to the header.
        end_seconds: when the last frame ends.
    """
    names = set(container_format.split(",")) & _CHECKS.keys()
    # for these three, libav's duration comes from the frames themselves
    states_duration = bool(names - {"mpegts", "gif", "ogg"})
    missing = stated_seconds - end_seconds
    if not states_duration or missing <= max(_LEAST_SECONDS, _LEAST_SHARE * stated_seconds):
        return ()
    detail = (
        f"the video is truncated: its header states {stated_seconds:.1f} s, its frames end at "
        f"{end_seconds:.1f} s"
    )
    return (MediaProblem("truncated", detail),)


def _end_of_mp4(file: BinaryIO, size: int) -> int | None:
    """Return where the last box ends."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if kind not in _BOXES and not kind.isalnum():
            return None  # something was appended to the file
        if length == 1:  # largesize
            length = int.from_bytes(header[8:16], "big")
        # length 0: the box extends to the end of the file
        if length < 8 or (position + length > size and kind not in _BOXES):
            return None
        position += length
    return position


def _end_of_matroska(file: BinaryIO, size: int) -> int | None:
    """Return where the segment ends (RFC 8794, 4 to 6; RFC 9559, 4.5)."""
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(12)
        length = 9 - header[0].bit_length()
        identifier = int.from_bytes(header[:length], "big")
        width = 9 - header[length].bit_length() if len(header) > length else 9
        if length > 4 or width > 8:
            return None
        content = int.from_bytes(header[length : length + width], "big") & (1 << 7 * width) - 1
        if content == (1 << 7 * width) - 1:  # a live recording, which states no size
            return None
        position += length + width + content
        if identifier == 0x18538067:  # Segment
            return position
    return position


def _end_of_avi(file: BinaryIO, size: int) -> int | None:
    """Return where the last RIFF chunk ends; long files have several."""
    position = end = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            return None
        end = position + 8 + length
        position = end + length % 2  # chunks begin at even bytes
    return end


def _end_of_flv(file: BinaryIO, size: int) -> int | None:
    """Return more than the size unless the file ends with a complete tag and its length.

    Adobe Flash Video File Format Specification 10.1, E.3 and E.4.1.
    """
    file.seek(max(0, size - 4))
    tag = int.from_bytes(file.read(4), "big")
    start = size - 4 - tag
    if start < 13:  # within the header
        return _MORE
    file.seek(start + 1)
    return None if int.from_bytes(file.read(3), "big") == tag - 11 else _MORE


def _end_of_asf(file: BinaryIO, _size: int) -> int | None:
    """Return the file size stated in the File Properties Object; None for a broadcast."""
    header = file.read(_ASF_HEADER_BYTES)
    start = header.find(_ASF_FILE_PROPERTIES)
    flags = header[start + 88 : start + 92]
    if start < 0 or len(flags) < 4 or flags[0] & 1:
        return None
    return int.from_bytes(header[start + 40 : start + 48], "little")


def _end_of_mpegts(file: BinaryIO, size: int) -> int | None:
    """Return where the last packet ends; packets begin with 0x47 (ISO/IEC 13818-1, 2.4.3.2).

    Return more than the size if the last one does not: the file was allocated before it was filled.
    """
    head = file.read(200)
    for length, start in ((188, 0), (192, 4)):
        if len(head) == 200 and head[start] == head[start + length] == 0x47:
            file.seek(size - length + start)
            return size + -size % length if file.read(1) == b"\x47" else _MORE
    return None


def _end_of_ogg(file: BinaryIO, size: int) -> int | None:
    """Return where the last page ends; a page has at most 65,307 bytes (RFC 3533, 6)."""
    start = file.seek(max(0, size - 65307))
    tail = file.read()
    page = tail.rfind(b"OggS")
    lengths = tail[page + 27 : page + 27 + tail[page + 26]] if 0 <= page < len(tail) - 26 else b""
    return start + page + 27 + len(lengths) + sum(lengths) if lengths else _MORE


def _end_of_dv(_file: BinaryIO, size: int) -> int | None:
    """Return where the last sequence ends; each has 150 blocks of 80 bytes (IEC 61834-2)."""
    return size + -size % 12_000


def _end_of_y4m(file: BinaryIO, size: int) -> int | None:
    """Return where the last frame ends; all are as long as the first."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = data.find(b"FRAME")
        length = data.find(b"FRAME", first + 5) - first
    return size + (first - size) % length if length > 0 else None


def _end_of_filled(file: BinaryIO, size: int) -> int | None:
    """Return more than the size if the file ends with zeros: allocated, but not yet filled."""
    file.seek(max(0, size - 1024))
    return None if file.read().strip(b"\0") else _MORE


def _end_of_gif(file: BinaryIO, size: int) -> int | None:
    """Return more than the size unless the file ends with a trailer (GIF89a, 27)."""
    file.seek(max(0, size - 1024))
    return None if file.read().rstrip(b"\0").endswith(b";") else _MORE


_CHECKS: dict[str, Callable[[BinaryIO, int], int | None]] = {
    "mp4": _end_of_mp4,
    "matroska": _end_of_matroska,
    "avi": _end_of_avi,
    "flv": _end_of_flv,
    "asf": _end_of_asf,
    "gif": _end_of_gif,
    "ogg": _end_of_ogg,
    "mpegts": _end_of_mpegts,
    "dv": _end_of_dv,
    "yuv4mpegpipe": _end_of_y4m,
    **dict.fromkeys(("ivf", "webp", "avif"), _end_of_filled),
}
