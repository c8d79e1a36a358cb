"""Time the Ray engine: two workers against one, one worker against no Ray, actors against Ray Data.

The work is the embedded videos with the questions about them, asked of a model of about 130M
parameters with random weights at the real frame size (see bench_runner.py). Every side runs the
same benchmark twice in one process, as a sweep; the second run is timed, so that starting Ray,
importing torch and loading the model are left out. Sides take turns; the table has medians.

    python scripts/bench_scale.py [--rounds 3] [--videos 8] [--out results/ray.md]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
import transformers

from gpu.shapes import write_llava_next_video
from llava_eval.results.environment import processor_name

NUM_FRAMES: Final = 8
QUESTIONS_PER_VIDEO: Final = 3

#: By name of the side, its overrides.
SIDES: Final[Mapping[str, Sequence[str]]] = {
    "local, 2 threads": ["runner.num_threads=2"],
    "Ray, 1 worker of 2 threads": ["engine=ray", "engine.num_workers=1"],
    "Ray, 1 worker of 1 thread": ["engine=ray", "engine.num_workers=1", "engine.cpus_per_worker=1"],
    "Ray, 2 workers of 1 thread": ["engine=ray", "engine.num_workers=2"],
}


def common(checkpoint: Path, num_videos: int) -> list[str]:
    """Return the overrides of all sides."""
    return [
        f"benchmark.limit={QUESTIONS_PER_VIDEO * num_videos}",
        f"sampler.num_frames={NUM_FRAMES}",
        f"model.checkpoint={checkpoint}",
        f"runner.batch_size={QUESTIONS_PER_VIDEO}",
        "runner.decode_workers=1",
    ]


def run_side(overrides: Sequence[str]) -> tuple[float, float, str]:
    """Run a side's benchmark twice.

    Returns:
        Seconds of the second run's generation; seconds that the first took from the start of its
        workers to its last answer; and the texts.
    """
    with tempfile.TemporaryDirectory() as folder:
        # errors.max changes nothing: two values make two runs.
        sweep = ["-m", "errors.max=0,1", f"hydra.sweep.dir={folder}", *overrides]
        subprocess.run(
            [sys.executable, "-m", "llava_eval.cli", *sweep],
            check=True,
            capture_output=True,
            env={**os.environ, "LLAVA_EVAL_CACHE": "off"},
        )
        sessions, texts = [], []
        for number in range(2):
            run = Path(folder) / str(number)
            sessions.append(json.loads((run / "manifest.json").read_text())["sessions"][-1])
            lines = (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()
            texts.append(json.dumps([json.loads(line)["generation"] for line in lines]))
        assert texts[0] == texts[1]
        generating = [
            session["num_output_tokens"] / session["output_tokens_per_second"]
            for session in sessions
        ]
        stages = sessions[0]["stage_seconds"]
        whole = generating[0] + stages.get("start_workers", 0.0) + stages["load_model"]
        return generating[1], whole, texts[1]


class DataWorker:
    """What Ray Data calls for every batch: the worker of the engine, given pickled rows."""

    def __init__(self, settings: bytes) -> None:
        from llava_eval.engine.ray.worker import ModelWorker

        self._worker = ModelWorker()
        self._worker.load(pickle.loads(settings))

    def __call__(self, rows: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a batch of decoded groups."""
        pairs = [pickle.loads(row) for row in rows["pair"]]
        groups, pieces = zip(*pairs, strict=True)
        reply = self._worker.answer(groups, *pieces)
        return {"answer": [pickle.dumps(answer) for answer in reply.results]}


def run_ray_data(overrides: Sequence[str]) -> tuple[float, dict[str, str]]:
    """Do the work of two workers with Ray Data: a map that decodes, and a pool of actors.

    Returns:
        Seconds from the start to the last answer, and the texts by sample.
    """
    import ray
    import ray.data

    from llava_eval.config.compose import compose_config
    from llava_eval.engine.batches import media_groups
    from llava_eval.engine.configured_benchmark import Benchmark
    from llava_eval.engine.ray.cluster import Share, connect
    from llava_eval.engine.ray.worker import ModelWorker, decode
    from llava_eval.engine.ray.worker_messages import WorkerSettings
    from llava_eval.models.clock import StageClock

    composed = compose_config([*overrides, *SIDES["Ray, 2 workers of 1 thread"]])
    groups = media_groups(Benchmark.read(composed, StageClock()).samples)
    settings = pickle.dumps(WorkerSettings.of(composed.config, Share(2, 0.0, 1)))
    loader = ModelWorker()
    resize = loader.load(pickle.loads(settings)).resize
    order = pickle.dumps((pickle.loads(settings), resize))
    start = time.perf_counter()
    connect(composed.config.engine)

    def decoded(row: Mapping[str, bytes]) -> dict[str, bytes]:
        group = pickle.loads(row["group"])
        _, pieces = decode(order, group)
        return {"pair": pickle.dumps((group, pieces))}

    rows = ray.data.from_items(
        [{"group": pickle.dumps(group)} for group in groups], override_num_blocks=len(groups)
    )
    answers = rows.map(decoded, num_cpus=0).map_batches(
        DataWorker,
        fn_constructor_kwargs={"settings": settings},
        concurrency=2,
        num_cpus=1,
        batch_size=1,
        batch_format="numpy",
    )
    texts = {}
    for row in answers.iter_rows():
        answer = pickle.loads(row["answer"])
        texts[answer.id] = str(answer.generation.text)
    seconds = time.perf_counter() - start
    ray.shutdown()
    return seconds, texts


def median(values: Sequence[float]) -> str:
    """Return a median with the values it is of."""
    each = " / ".join(f"{value:.1f}" for value in values)
    return f"{statistics.median(values):.1f} ({each})"


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("results/ray.md"))
    parser.add_argument("--ray-data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ray_data is not None:
        seconds, said_there = run_ray_data(common(arguments.ray_data, arguments.videos))
        print(json.dumps({"seconds": seconds, "texts": said_there}))
        return
    warm: dict[str, list[float]] = {name: [] for name in SIDES}
    cold: dict[str, list[float]] = {name: [] for name in SIDES}
    data: list[float] = []
    texts: dict[str, set[str]] = {name: set() for name in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"
        write_llava_next_video(checkpoint, "130m", "cpu", torch.float32)
        for _ in range(arguments.rounds):
            for name, own in SIDES.items():
                again, first, said = run_side([*common(checkpoint, arguments.videos), *own])
                warm[name].append(again)
                cold[name].append(first)
                texts[name].add(said)
                print(f"{name}: {again:.1f} s, from the start {first:.1f} s", flush=True)
            done = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--ray-data",
                    str(checkpoint),
                    "--videos",
                    str(arguments.videos),
                ],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "LLAVA_EVAL_CACHE": "off"},
            )
            data.append(json.loads(done.stdout.splitlines()[-1])["seconds"])
            print(f"Ray Data: {data[-1]:.1f} s from the start", flush=True)
    local, same_threads, one, two = (statistics.median(warm[name]) for name in SIDES)
    rows = [
        f"| {name} | {median(warm[name])} | {median(cold[name])} | "
        f"{'yes' if texts[name] == texts['local, 2 threads'] else 'NO'} |"
        for name in SIDES
    ]
    work = (
        f"{arguments.videos} videos with {QUESTIONS_PER_VIDEO} questions each, {NUM_FRAMES} frames "
        "at 336 pixels, a model of 130M parameters with random weights, float32 on a CPU. Seconds "
        "of the second run of a sweep, whose workers are there; from the start: starting workers, "
        "loading the model and the first run. Sides take turns; medians (all values)."
    )
    found = (
        f"Two one-thread workers against one: **{one / two:.2f}x**. One worker against no Ray, "
        f"both with two threads: **{100 * (same_threads / local - 1):+.1f} %** time."
    )
    origin = (
        f"Date: {datetime.date.today()}. Machine: {processor_name()}, {os.cpu_count()} cores, "
        f"{platform.system()}. torch {torch.__version__}, transformers "
        f"{transformers.__version__}. Command: `python scripts/bench_scale.py --rounds "
        f"{arguments.rounds} --videos {arguments.videos}`."
    )
    table = [
        "| side | seconds | from the start | same ledger as local |",
        "| --- | --- | --- | --- |",
        *rows,
        f"| Ray Data, 2 actors of 1 thread | | {median(data)} | |",
    ]
    lines = ["# Ray engine: time", "", work, "", *table, "", found, "", origin]
    text = "\n".join(lines) + "\n"
    print(text)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
