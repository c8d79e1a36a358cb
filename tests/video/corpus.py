"""Small videos of every kind, encoded with PyAV when a test needs them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.stream import VideoStream

from tests.conftest import slow

WIDTH, HEIGHT, FPS = 96, 64, 25

Picture = npt.NDArray[np.uint8]


@functools.cache
def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A picture that tells its number: a moving texture with a square that jumps about."""
    y, x = np.mgrid[0:height, 0:width]
    red = (3 * x + 2 * y + 5 * number) % 256
    green = (x * y // 7 + 11 * number) % 256
    blue = (np.hypot(x - width / 2, y - height / 2) * 4 + 7 * number) % 256
    image = np.stack([red, green, blue], axis=2).astype(np.uint8)
    left, top = 13 * number % (width - 16), 7 * number % (height - 16)
    image[top : top + 16, left : left + 16] = (37 * number) % 256
    image.flags.writeable = False  # nobody changes what all share
    return image


def encode(
    path: str | Path,
    codec: str = "libx264",
    *,
    count: int = 75,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    pixels: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    times: Callable[[int], int] = lambda number: number,
    prepare: Callable[[Any], None] = lambda stream: None,
    container_format: str | None = None,
) -> None:
    """Encode ``count`` pictures; ``times`` gives each one's time in units of 1 / FPS.

    The same bytes come out each time, so that seeded damage meets the same file.
    """
    muxing = {**_muxing(path), **(container_options or {})}
    with av.open(str(path), "w", format=container_format, options=muxing) as container:
        stream: Any = container.add_stream(codec, rate=FPS)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.options = {**_DEFAULTS.get(codec, {}), **(options or {})}
        stream.codec_context.time_base = Fraction(1, FPS)
        prepare(stream)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.pts = times(number)
            frame.time_base = Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _take_ordinary_turns()


def _take_ordinary_turns() -> None:
    """Give up the real-time priority that SVT-AV1 gives a process of root when it encodes.

    Processes that a later test starts would inherit it, and then nothing else gets a turn.
    """
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _muxing(path: str | Path) -> dict[str, str]:
    """What keeps the muxer of Matroska from giving each file a random number of its own."""
    return {"fflags": "+bitexact"} if Path(path).suffix in {".mkv", ".webm"} else {}


#: Quiet, quick, and the same each time: libx264's vector code reads memory that nobody wrote.
_DEFAULTS = {
    "libx264": {"threads": "1", "x264-params": "asm=0"},
    "libx265": {"x265-params": "log-level=error"},
    "libsvtav1": {"preset": "10", "svtav1-params": "keyint=25"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"},
}


def remux(
    source: str | Path,
    path: str | Path,
    *,
    shift_seconds: Fraction = Fraction(0),
    keep: Callable[[int], bool] = lambda number: True,
    container_options: Mapping[str, str] | None = None,
) -> None:
    """Copy the packets of ``source``, later or earlier, and only some of them."""
    with av.open(str(source)) as inputs:
        stream = inputs.streams.video[0]
        muxing = {**_muxing(path), **(container_options or {})}
        with av.open(str(path), "w", options=muxing) as outputs:
            copy = outputs.add_stream_from_template(stream)
            for number, packet in enumerate(inputs.demux(stream)):
                if not packet.size or not keep(number):
                    continue
                assert stream.time_base is not None
                shift = int(shift_seconds / stream.time_base)
                packet.pts = None if packet.pts is None else packet.pts + shift
                packet.dts = None if packet.dts is None else packet.dts + shift
                packet.stream = copy
                outputs.mux(packet)


def with_sound(
    source: str | Path,
    path: str | Path,
    *,
    seconds: int,
    container_options: Mapping[str, str] | None = None,
) -> None:
    """Copy the packets of ``source`` and add silence."""
    with (
        av.open(str(source)) as inputs,
        av.open(str(path), "w", options=dict(container_options or {})) as outputs,
    ):
        copy = outputs.add_stream_from_template(inputs.streams.video[0])
        sound: Any = outputs.add_stream("libopus", rate=48000)
        for packet in inputs.demux(video=0):
            if packet.size:
                packet.stream = copy
                outputs.mux(packet)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 48000 * seconds), np.float32), "flt", "mono"
        )
        frame.sample_rate = 48000
        outputs.mux(sound.encode(frame))
        outputs.mux(sound.encode(None))


def audio_only(path: str | Path) -> None:
    """A second of silence."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def damage(source: str | Path, path: str | Path, *, seed: int, places: int) -> None:
    """Overwrite a few bytes in the last four fifths of the file."""
    content = bytearray(Path(source).read_bytes())
    random = np.random.default_rng(seed)
    for start in random.integers(len(content) // 5, len(content) * 9 // 10, places):
        noise = random.integers(0, 256, int(random.choice([1, 4, 30, 200])), dtype=np.uint8)
        content[start : start + len(noise)] = noise.tobytes()
    Path(path).write_bytes(content)


def _interlaced(stream: Any) -> None:
    stream.codec_context.flags |= 0x20040000  # interlaced DCT and motion estimation


def _rotated(stream: Any) -> None:
    stream.set_display_rotation(90)


def _x264(**options: str) -> dict[str, Any]:
    return {"options": {"g": "25", **options}}


def _params(text: str) -> dict[str, Any]:
    return {"options": {"x264-params": f"asm=0:{text}"}}


def _x265(text: str) -> dict[str, Any]:
    return {"codec": "libx265", "options": {"x265-params": f"log-level=error:{text}"}}


def _av1(text: str) -> dict[str, Any]:
    return {"codec": "libsvtav1", "options": {"svtav1-params": text}}


#: Keyword arguments of :func:`encode` for each file that it makes alone.
ENCODED: dict[str, dict[str, Any]] = {
    "h264.mp4": _x264(),
    "h264.mkv": _x264(),
    "h264.mov": _x264(),
    "h264.ts": _x264(),
    "h264.flv": _x264(),
    "h264.avi": _x264(),
    "h264.h264": _x264(),
    "no_b_frames.avi": _x264(bf="0"),
    "faststart.mp4": {**_x264(), "container_options": {"movflags": "faststart"}},
    "fragmented.mp4": {
        **_x264(),
        "container_options": {"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    },
    "half_fragmented.mp4": {**_x264(), "container_options": {"movflags": "frag_keyframe"}},
    "one_keyframe.mp4": _x264(g="1000"),
    "all_keyframes.mp4": _x264(g="1"),
    "pyramid.mp4": _params("bframes=8:b-pyramid=normal:b-adapt=2:keyint=40:ref=5"),
    "pyramid_strict.mp4": _params("bframes=16:b-pyramid=strict:keyint=60"),
    "open_gop.mp4": _params("open-gop=1:keyint=20:scenecut=0:bframes=3"),
    "open_gop_pyramid.mp4": _params("open-gop=1:keyint=24:bframes=6:b-pyramid=normal"),
    "b_frames.mp4": _params("bframes=3:b-adapt=0:b-pyramid=none:keyint=25"),
    "no_order.mp4": _params("b-bias=-100:keyint=25"),
    "no_order.mkv": _params("b-bias=-100:keyint=25"),
    "open_gop.ts": _params("open-gop=1:keyint=20:scenecut=0"),
    "open_gop.mkv": _params("open-gop=1:keyint=20:scenecut=0"),
    "intra_refresh.mp4": _params("intra-refresh=1:keyint=20"),
    "intra_refresh.ts": _params("intra-refresh=1:keyint=20"),
    "slices.mp4": _params("slices=4:keyint=25:aud=1"),
    "ten_bit.mp4": {**_x264(), "pixels": "yuv420p10le"},
    "chroma_444.mp4": {**_x264(), "pixels": "yuv444p"},
    "full_range.mp4": {**_x264(), "pixels": "yuvj420p"},
    "odd_size.mp4": {**_x264(), "pixels": "yuv444p", "size": (95, 63)},
    "interlaced.mp4": {**_x264(), "prepare": _interlaced},
    "rotated.mp4": {**_x264(), "prepare": _rotated},
    "variable.mp4": {**_x264(), "times": lambda number: number + number // 3 + number**2 // 40},
    "live.mkv": {**_x264(), "container_options": {"live": "1"}},
    "live.webm": {
        "codec": "libvpx-vp9",
        "options": {"g": "25"},
        "container_options": {"live": "1"},
    },
    "variable.mkv": {**_x264(), "times": lambda number: number + number // 3 + number**2 // 40},
    "late_start.mp4": {**_x264(), "times": lambda number: number + 120},
    "late_start.ts": {**_x264(), "times": lambda number: number + 120},
    "late_start.mkv": {**_x264(), "times": lambda number: number + 120},
    "one_frame.mp4": {**_x264(), "count": 1},
    "three_frames.mp4": {**_x264(), "count": 3},
    "hevc.mp4": _x265("keyint=20"),
    "hevc.mkv": _x265("keyint=20"),
    "hevc.ts": _x265("keyint=20"),
    "hevc_closed.mp4": _x265("keyint=20:open-gop=0"),
    "hevc_cra.mp4": _x265("keyint=20:open-gop=1:bframes=4:scenecut=0"),
    "hevc_radl.mp4": _x265("keyint=20:open-gop=0:radl=2:bframes=4"),
    "open_gop_long.mp4": _params("open-gop=1:keyint=25:bframes=16:b-adapt=0:ref=16"),
    "hevc_long.mp4": _x265("keyint=25:bframes=16:b-adapt=0"),
    "hevc_long.ts": _x265("keyint=25:bframes=16:b-adapt=0"),
    "hevc_layers.mp4": _x265("keyint=30:temporal-layers=3:bframes=7:b-adapt=0"),
    "hevc_ten_bit.mp4": {**_x265("keyint=20"), "pixels": "yuv420p10le"},
    "hevc_cropped.mp4": {**_x265("keyint=20"), "size": (98, 70)},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "25"}},
    "vp9_hidden.webm": {
        "codec": "libvpx-vp9",
        "options": {"g": "25", "auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"},
    },
    "vp9.mp4": {"codec": "libvpx-vp9", "options": {"g": "25"}},
    "vp8.webm": {
        "codec": "libvpx",
        "options": {"g": "25", "auto-alt-ref": "1", "lag-in-frames": "16", "b": "300k"},
    },
    "av1.mp4": {"codec": "libsvtav1"},
    "av1.mkv": {"codec": "libsvtav1"},
    "av1_pyramid.mp4": _av1("keyint=75:hierarchical-levels=5"),
    "av1_grain.webm": _av1("keyint=40:hierarchical-levels=4:film-grain=12"),
    "av1_low_delay.mkv": _av1("keyint=50:pred-struct=1"),
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "25"}},
    "mpeg4_b.avi": {"codec": "mpeg4", "options": {"g": "25", "bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "wmv2.asf": {"codec": "wmv2", "options": {"g": "25"}},
    "flv1.flv": {"codec": "flv", "options": {"g": "25"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "mjpeg.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pixels": "yuv422p10le"},
    "vp8.ogv": {"codec": "libvpx", "options": {"g": "25"}},
    "lossless.mkv": {"codec": "ffv1", "count": 20},
    "animation.gif": {"codec": "gif", "pixels": "rgb8", "count": 20},
}


def _edit_list(folder: Path, path: Path) -> None:
    remux(make("h264.mp4", folder), path, shift_seconds=Fraction(-1))


def _edit_list_open(folder: Path, path: Path) -> None:
    remux(make("open_gop.mp4", folder), path, shift_seconds=Fraction(-1))


def _edit_list_hevc(folder: Path, path: Path) -> None:
    remux(make("hevc_cra.mp4", folder), path, shift_seconds=Fraction(-1))


def _edit_list_twice(folder: Path, path: Path) -> None:
    content = bytearray(make("h264.mp4", folder).read_bytes())
    for kind in (b"moov", b"trak", b"edts", b"elst"):
        start = content.index(kind) - 4
        size = int.from_bytes(content[start : start + 4], "big") + 12
        content[start : start + 4] = size.to_bytes(4, "big")
    edits = content.index(b"elst") - 4
    content[edits + 15] = 2  # entry_count (ISO/IEC 14496-12, 8.6.6)
    content[edits + 28 : edits + 28] = content[edits + 16 : edits + 28]
    path.write_bytes(content)


def _empty_edit(folder: Path, path: Path) -> None:
    remux(make("h264.mp4", folder), path, shift_seconds=Fraction(5))


def _starts_inside(folder: Path, path: Path) -> None:
    remux(make("h264.mkv", folder), path, keep=lambda number: number >= 30)


def _starts_at_open_keyframe(folder: Path, path: Path) -> None:
    source = make("hevc_cra.mp4", folder)
    with av.open(str(source)) as container:
        packets = container.demux(container.streams.video[0])
        second = [number for number, packet in enumerate(packets) if packet.is_keyframe][1]
    remux(source, path, keep=lambda number: number >= second)


def _truncated(source: str, share: float) -> Callable[[Path, Path], None]:
    def make_it(folder: Path, path: Path) -> None:
        content = make(source, folder).read_bytes()
        size = int(share * len(content))
        path.write_bytes(content[: size - (size % 188 == 0)])  # not between packets of MPEG-TS

    return make_it


def _new_size(folder: Path, path: Path) -> None:
    second = path.with_name("second.ts")
    encode(second, count=30, size=(64, 48), options={"g": "10"})
    first = path.with_name("first.ts")
    encode(first, count=30, options={"g": "10"})
    path.write_bytes(first.read_bytes() + second.read_bytes())


def _twice(folder: Path, path: Path) -> None:
    path.write_bytes(2 * make("h264.ts", folder).read_bytes())


def stored_times(source: str | Path, path: str | Path) -> None:
    """Copy packets with times that rise as they are stored, as for a raw stream without times."""
    with av.open(str(source)) as inputs, av.open(str(path), "w", options=_muxing(path)) as outputs:
        stream = inputs.streams.video[0]
        copy = outputs.add_stream_from_template(stream)
        for number, packet in enumerate(inputs.demux(stream)):
            if packet.size:
                packet.time_base = Fraction(1, FPS)
                packet.pts, packet.dts, packet.duration = number, number, 1
                packet.stream = copy
                outputs.mux(packet)


def _stored_times(source: str) -> Callable[[Path, Path], None]:
    return lambda folder, path: stored_times(make(source, folder), path)


def _stored_times_later(source: str) -> Callable[[Path, Path], None]:
    """A stream, and once more with times that rise as it is stored."""

    def make_it(folder: Path, path: Path) -> None:
        with av.open(str(make(source, folder))) as inputs:
            stream = inputs.streams.video[0]
            assert stream.time_base is not None
            with av.open(str(path), "w", options=_muxing(path)) as outputs:
                copy = outputs.add_stream_from_template(stream)
                packets = [packet for packet in inputs.demux(stream) if packet.size]
                step = int(1 / FPS / stream.time_base)
                first = packets[0].dts or 0
                for number, packet in enumerate([*packets, *packets]):
                    written = av.Packet(bytes(packet))
                    written.pts, written.dts = packet.pts, packet.dts
                    if number >= len(packets):
                        written.pts, written.dts = number * step, number * step + first
                    written.time_base, written.is_keyframe = stream.time_base, packet.is_keyframe
                    written.duration, written.stream = step, copy
                    outputs.mux(written)

    return make_it


def _late_b_frames(folder: Path, path: Path) -> None:
    """A stream that states no reordering, begins without B-frames, and is timed as it is stored."""
    packets: list[tuple[bytes, bool]] = []
    parts = []
    for name, params in (("early", "b-bias=-100"), ("late", "b-adapt=0")):
        parts.append(path.with_name(f"{name}_b_frames.mp4"))
        params += ":asm=0:keyint=25:bframes=3:b-pyramid=none:weightp=0"
        encode(parts[-1], options={"profile": "main", "x264-params": params})
    for part in (parts[0], *parts):
        with av.open(str(part)) as inputs:
            demuxed = inputs.demux(inputs.streams.video[0])
            packets += [(bytes(packet), packet.is_keyframe) for packet in demuxed if packet.size]
    with (
        av.open(str(parts[0])) as inputs,
        av.open(str(path), "w", options=_muxing(path)) as outputs,
    ):
        copy = outputs.add_stream_from_template(inputs.streams.video[0])
        copy.codec_context.extradata = _without_vui(copy.codec_context.extradata or b"")
        _mux_as_stored(packets, outputs, copy)


def _without_vui(extradata: bytes) -> bytes:
    """Drop the last part of the sequence parameter set (H.264, 7.3.2.1.1) of WIDTH and HEIGHT."""
    end = 8 + int.from_bytes(extradata[6:8], "big")
    sps = extradata[8:end].replace(b"\0\0\3", b"\0\0")
    # macroblocks (6 - 1 and 4 - 1), frames only, direct inference, no cropping; VUI follows
    bits = f"{int.from_bytes(sps, 'big'):0{8 * len(sps)}b}"
    size = "00110" + "00100" + "1" + "1" + "0" + "1"
    assert bits.count(size) == 1
    bits = bits[: bits.index(size)] + size[:-1] + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    sps = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return extradata[:6] + len(sps).to_bytes(2, "big") + sps + extradata[end:]


def _new_parameters(folder: Path, path: Path) -> None:
    """A stream without B-frames and one with, whose keyframes hold the parameters of their part."""
    packets = []
    for name, params in (("first", "bframes=0"), ("second", "bframes=3:b-adapt=0")):
        part = path.with_name(f"{name}_parameters.mp4")
        encode(part, options={"x264-params": f"asm=0:keyint=25:repeat-headers=1:{params}"})
        with av.open(str(part)) as inputs:
            demuxed = inputs.demux(inputs.streams.video[0])
            packets += [(bytes(packet), packet.is_keyframe) for packet in demuxed if packet.size]
    template = path.with_name("first_parameters.mp4")
    with av.open(str(template)) as inputs, av.open(str(path), "w") as outputs:
        copy = outputs.add_stream_from_template(inputs.streams.video[0])
        _mux_as_stored(packets, outputs, copy)


def _mux_as_stored(
    packets: Sequence[tuple[bytes, bool]], outputs: OutputContainer, stream: VideoStream
) -> None:
    """Write packets, with whether each is a keyframe, timed as they are stored."""
    for number, (content, is_keyframe) in enumerate(packets):
        packet = av.Packet(content)
        packet.time_base = Fraction(1, FPS)
        packet.pts, packet.dts, packet.duration = number, number, 1
        packet.is_keyframe, packet.stream = is_keyframe, stream
        outputs.mux(packet)


def _put_together(source: str, *, until: int = 2, end: bytes = b"") -> Callable[[Path, Path], None]:
    """A stream up to one of its open keyframes, ``end``, and from its second keyframe on.

    Without the end of a sequence, the decoder takes the second part for what comes next.
    """

    def make_it(folder: Path, path: Path) -> None:
        with av.open(str(make(source, folder))) as inputs:
            stream = inputs.streams.video[0]
            assert stream.time_base is not None
            packets = [packet for packet in inputs.demux(stream) if packet.size]
            keyframes = [number for number, packet in enumerate(packets) if packet.is_keyframe]
            later = int(5 / stream.time_base)
            parts = [(packets[: keyframes[until]], 0), (packets[keyframes[1] :], later)]
            with av.open(str(path), "w", options=_muxing(path)) as outputs:
                copy = outputs.add_stream_from_template(stream)
                for part, shift in parts:
                    for packet in part:
                        is_end = shift == 0 and packet is part[-1]
                        written = av.Packet(bytes(packet) + (end if is_end else b""))
                        assert packet.pts is not None
                        assert packet.dts is not None
                        written.pts, written.dts = packet.pts + shift, packet.dts + shift
                        written.time_base = stream.time_base
                        written.is_keyframe, written.stream = packet.is_keyframe, copy
                        outputs.mux(written)

    return make_it


#: A NAL unit that ends a sequence of HEVC, behind its length.
_END = b"\0\0\0\2\x48\x01"


def _empty_sample(folder: Path, path: Path) -> None:
    """A frame that was dropped: its bytes belong to the frame before, and none to its sample."""
    content = bytearray(make("vp9.mp4", folder).read_bytes())
    sizes = content.index(b"stsz") + 16  # after version, flags, size of all, and count

    def size(number: int) -> slice:
        return slice(sizes + 4 * number, sizes + 4 * number + 4)

    both = sum(int.from_bytes(content[size(number)], "big") for number in (29, 30))
    content[size(29)], content[size(30)] = both.to_bytes(4, "big"), bytes(4)
    path.write_bytes(content)


def _empty_block(folder: Path, path: Path) -> None:
    """A SimpleBlock that holds nothing but its header, after each of some."""
    number, segment = 0, b""
    header, (_, old_segment) = _children(make("vp9.webm", folder).read_bytes())
    for kind, content in _children(old_segment):
        if kind != 0x1F43B675:  # Cluster; what states positions in the file is left out
            segment += b"" if kind in (0x114D9B74, 0x1C53BB6B) else _element(kind, content)
            continue
        cluster = b""
        for child, block in _children(content):
            cluster += _element(child, block)
            if child == 0xA3:
                number += 1
                later = (int.from_bytes(block[1:3], "big") + 20).to_bytes(2, "big")
                if number in (20, 40):
                    cluster += _element(0xA3, block[:1] + later + b"\0")
        segment += _element(kind, cluster)
    path.write_bytes(_element(*header) + _element(0x18538067, segment))


def _unknown_track(folder: Path, path: Path) -> None:
    """Damage: one block is of a track that the header does not have."""
    content = bytearray(make("vp9.webm", folder).read_bytes())
    with av.open(str(make("vp9.webm", folder))) as inputs:
        block = [packet.pos for packet in inputs.demux(video=0) if packet.size][30]
    assert block is not None
    content[block] = 0x85
    path.write_bytes(content)


def _element(identifier: int, content: bytes) -> bytes:
    """An EBML element (RFC 8794) whose size takes eight bytes."""
    kind = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return kind + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _children(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(identifier, content) of the EBML elements in ``content``."""
    position = 0
    while position < len(content):
        numbers = []
        for keeps_marker in (True, False):
            length = 9 - content[position].bit_length()
            number = int.from_bytes(content[position : position + length], "big")
            numbers.append(number if keeps_marker else number - (1 << 7 * length))
            position += length
        identifier, size = numbers
        yield identifier, content[position : position + size]
        position += size


def group_blocks(source: str | Path, path: str | Path, *, which: Callable[[int], bool]) -> None:
    """Rewrite SimpleBlocks of a Matroska file as BlockGroups, as some muxers write them.

    What states positions in the file (SeekHead, Cues) is left out.
    """
    number = 0
    segment = b""
    header, (_, old_segment) = _children(Path(source).read_bytes())
    for kind, content in _children(old_segment):
        if kind != 0x1F43B675:  # Cluster
            segment += b"" if kind in (0x114D9B74, 0x1C53BB6B) else _element(kind, content)
            continue
        cluster = b""
        for child, block in _children(content):
            if child == 0xA3 and which(number):  # SimpleBlock, whose flags follow track and time
                group = _element(0xA1, block[:3] + bytes([block[3] & 0x7F]) + block[4:])
                if not block[3] & 0x80:  # no keyframe: a ReferenceBlock, 40 ms earlier
                    group += _element(0xFB, b"\xd8")
                cluster += _element(0xA0, group)
            else:
                cluster += _element(child, block)
            number += child == 0xA3
        segment += _element(kind, cluster)
    Path(path).write_bytes(_element(*header) + _element(0x18538067, segment))


def _grouped(
    source: str, which: Callable[[int], bool] = lambda number: True
) -> Callable[[Path, Path], None]:
    return lambda folder, path: group_blocks(make(source, folder), path, which=which)


#: Files that are made from others.
DERIVED: dict[str, Callable[[Path, Path], None]] = {
    "edit_list.mp4": _edit_list,
    "edit_list_open_gop.mp4": _edit_list_open,
    "edit_list_hevc.mp4": _edit_list_hevc,
    "edit_list_twice.mp4": _edit_list_twice,
    "empty_edit.mp4": _empty_edit,
    "starts_inside.mkv": _starts_inside,
    "starts_inside.mp4": _starts_inside,
    "starts_at_cra.mp4": _starts_at_open_keyframe,
    "starts_at_cra.mkv": _starts_at_open_keyframe,
    "starts_at_cra.ts": _starts_at_open_keyframe,
    "truncated.mp4": _truncated("faststart.mp4", 0.6),
    "truncated.mkv": _truncated("h264.mkv", 0.6),
    "truncated.webm": _truncated("vp9.webm", 0.6),
    "truncated.ts": _truncated("h264.ts", 0.6),
    "truncated.flv": _truncated("h264.flv", 0.6),
    "truncated_fragments.mp4": _truncated("fragmented.mp4", 0.6),
    "groups.webm": _grouped("vp9_hidden.webm"),
    "groups_av1.mkv": _grouped("av1.mkv"),
    "groups_h264.mkv": _grouped("h264.mkv"),
    "some_groups.webm": _grouped("vp9.webm", lambda number: number % 3 != 1),
    "new_size.ts": _new_size,
    "twice.ts": _twice,
    "stored_times.mp4": _stored_times("h264.mp4"),
    "stored_times.mkv": _stored_times("h264.mp4"),
    "stored_times_hevc.mp4": _stored_times("hevc.mp4"),
    "stored_times_later.mp4": _stored_times_later("b_frames.mp4"),
    "stored_times_later.mkv": _stored_times_later("b_frames.mp4"),
    "late_b_frames.mp4": _late_b_frames,
    "late_b_frames.mkv": _late_b_frames,
    "new_parameters.mp4": _new_parameters,
    "put_together.mp4": _put_together("hevc_cra.mp4", end=_END),
    "joined_hevc.mp4": _put_together("hevc_cra.mp4"),
    "joined_h264.mp4": _put_together("open_gop.mp4", until=3),
    "put_together.mkv": _put_together("hevc_cra.mp4", end=_END),
    "joined_hevc.mkv": _put_together("hevc_cra.mp4"),
    "joined_h264.mkv": _put_together("open_gop.mp4", until=3),
    "put_together.ts": _put_together("hevc_cra.mp4", end=_END),
    "joined_hevc.ts": _put_together("hevc_cra.mp4"),
    "joined_h264.ts": _put_together("open_gop.mp4", until=3),
    "empty_sample.mp4": _empty_sample,
    "empty_block.webm": _empty_block,
    "unknown_track.webm": _unknown_track,
}

#: Of these, it depends on the decoder's threads whether a plain decode tells of damage.
UNSTEADY = ("late_b_frames.mp4", "late_b_frames.mkv")

NAMES = tuple(name for name in (*ENCODED, *DERIVED) if name not in UNSTEADY)

#: Files that are read as others of them are, but for little, or that take long to make.
ALIKE = (
    "h264.mov no_order.mkv open_gop.ts open_gop.mkv open_gop_pyramid.mp4 intra_refresh.ts "
    "slices.mp4 ten_bit.mp4 chroma_444.mp4 interlaced.mp4 variable.mkv late_start.ts "
    "late_start.mkv hevc_long.ts hevc_ten_bit.mp4 hevc_cropped.mp4 vp9.mp4 av1_grain.webm "
    "mpeg2.mpg mjpeg.mov starts_at_cra.ts stored_times.mkv stored_times_later.mkv "
    "late_b_frames.mp4 late_b_frames.mkv put_together.mkv joined_hevc.mkv joined_h264.mkv "
    "half_fragmented.mp4 full_range.mp4 hevc_closed.mp4 hevc.mkv open_gop_long.mp4 live.mkv "
    "pyramid_strict.mp4 av1_low_delay.mkv stored_times_hevc.mp4 groups_h264.mkv prores.mov "
    "put_together.ts joined_h264.ts vp8.ogv vp8.webm new_parameters.mp4 h264.avi one_keyframe.mp4 "
    "late_start.mp4 hevc.ts hevc_layers.mp4 pyramid.mp4 odd_size.mp4 b_frames.mp4 no_order.mp4 "
    "intra_refresh.mp4 no_b_frames.avi edit_list_twice.mp4 hevc_long.mp4 open_gop.mp4 twice.ts "
    "stored_times_later.mp4 av1_pyramid.mp4 hevc_radl.mp4 all_keyframes.mp4 joined_hevc.ts "
    "put_together.mp4 some_groups.webm joined_h264.mp4 mpeg4_b.avi h264.h264"
)


def cases(names: Iterable[str]) -> list[object]:
    """What a test of every kind of file is parametrized with: files like others are slow."""
    return [slow(name) if name in ALIKE.split() else name for name in names]


def make(name: str, folder: Path) -> Path:
    """The file with this name in ``folder``, made if it is not there yet.

    It appears whole, and the first one stays: other processes of tests take it from there, and on
    a busy machine x265 makes another one of the same frames.
    """
    path = folder / name
    if not path.exists():
        with TemporaryDirectory(dir=folder) as own:
            made = Path(own) / name
            if name in ENCODED:
                encode(made, **ENCODED[name])
            else:
                DERIVED[name](folder, made)
            with suppress(FileExistsError):
                path.hardlink_to(made)
    return path


def names_ending(*endings: str) -> Iterator[str]:
    """Names of corpus files with one of these endings."""
    return (name for name in NAMES if name.endswith(endings))
