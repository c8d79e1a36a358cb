"""Time compare, gate and report on two made-up runs of 100,000 samples each, and their memory.

    python scripts/bench_results.py

The runs are of Video-MME's shape (three four-choice questions a video, 32 frames) and of captions
(five references a video). Every command is a process of its own; the table shows its wall time,
its processor time and the largest memory it held.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LETTERS = "ABCD"
WORDS = [
    *("person", "dog", "ball", "table", "street", "garden", "kitchen", "window"),
    *("walks", "runs", "jumps", "turns", "opens", "holds", "throws", "red", "blue", "small"),
    *("slowly", "twice", "while", "another", "then", "before", "after", "beside", "the", "a"),
]
TASKS = [f"Task {number}" for number in range(12)]
PROMPT = (
    "Select the best answer to the following multiple-choice question based on the video. Respond "
    "with only the letter (A, B, C, or D) of the correct option.\n"
)
BENCHMARKS: dict[str, dict[str, Any]] = {
    "choice": {
        "facets": ["duration", "task"],
        "metrics": {"accuracy": {"_target_": "llava_eval.metrics.means.mean_score"}},
    },
    "caption": {
        "facets": ["duration"],
        "metrics": {
            "CIDEr": {
                "_target_": "llava_eval.metrics.means.mean_score",
                "detail": "cider",
                "scale": 100.0,
                "unit": "points",
            },
            "BLEU_4": {"_target_": "llava_eval.scoring.captions.corpus.corpus_bleu", "order": 4},
        },
    },
}
Line = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--benchmarks", nargs="+", choices=list(BENCHMARKS), default=["choice"])
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "scale.md")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make is not None:
        for benchmark in arguments.benchmarks:
            for seed, name in enumerate("ab", 1):
                folder = arguments.make / benchmark / name
                make_run(folder, benchmark, arguments.samples, seed)
    elif arguments.measure is not None:
        print(json.dumps(measure_here(arguments.measure)))
    else:
        page = bench(arguments)
        print(page)
        arguments.output.write_text(page, encoding="utf-8")


def make_run(folder: Path, benchmark: str, num_samples: int, seed: int) -> None:
    """Write one finished run; seeds differ in the answers, never in the questions."""
    folder.mkdir(parents=True)
    lines = choice_lines if benchmark == "choice" else caption_lines
    with (folder / "samples.jsonl").open("w", encoding="utf-8") as stream:
        for line in lines(num_samples, random.Random(0), random.Random(seed)):
            stream.write(json.dumps(line) + "\n")
    manifest = {
        "status": "finished",
        "benchmark": f"made-up/{benchmark}",
        "model_label": f"model {seed}",
        "identity": {"num_samples": num_samples},
        "config": {
            "benchmark": {"name": f"made-up/{benchmark}", "version": 1, **BENCHMARKS[benchmark]},
            "sampler": {"num_frames": 32},
        },
        "sessions": [
            {"num_generated": num_samples, "wall_seconds": 9e3, "stage_seconds": {"decode": 8e3}}
        ],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def choice_lines(num_samples: int, asked: random.Random, answered: random.Random) -> Iterator[Line]:
    """Yield ledger lines of four-choice questions that 60 of 100 answers get right."""
    frames: list[int] = []
    for row in range(num_samples):
        if row % 3 == 0:
            length = asked.randint(900, 60_000)
            frames = [place * length // 31 for place in range(32)]
        question = f"{text(asked, 14)}?"
        choices = [f"{text(asked, 6)}." for _ in LETTERS]
        options = "\n".join(
            f"{letter}. {one}" for letter, one in zip(LETTERS, choices, strict=True)
        )
        target = asked.choice(LETTERS)
        others = [letter for letter in LETTERS if letter != target]
        answer = target if answered.random() < 0.6 else answered.choice(others)
        content = about(row, row // 3, question, choices, f"{PROMPT}{question}\n{options}\n")
        yield {
            **content,
            "facets": {**content["facets"], "task": TASKS[row % len(TASKS)]},
            "frame_indices": frames,
            "target": [target],
            "generation": generation(f"({answer})"),
            "score": {"value": float(answer == target), "answer": answer, "unreadable": False},
        }


def caption_lines(
    num_samples: int, asked: random.Random, answered: random.Random
) -> Iterator[Line]:
    """Yield ledger lines of captions, each with five references."""
    for row in range(num_samples):
        caption = f"{text(answered, 12)}."
        cider = answered.gammavariate(2.0, 0.25)
        counts = sorted((answered.randint(0, 12) for _ in range(4)), reverse=True)
        yield {
            **about(row, row, "", [], "Provide a one-sentence caption for the provided video."),
            "frame_indices": list(range(0, 320, 10)),
            "target": [f"{text(asked, 12)}." for _ in range(5)],
            "generation": generation(caption),
            "score": {
                "value": cider,
                "answer": caption,
                "unreadable": False,
                "cider": cider,
                "bleu_counts": [*counts, 12, 12],
            },
        }


def about(row: int, video: int, question: str, choices: Sequence[str], prompt: str) -> Line:
    """Return what every line of a ledger begins with."""
    return {
        "id": f"{row:06}",
        "row": row,
        "group": f"video {video:06}",
        "facets": {"duration": ("short", "medium", "long")[video % 3]},
        "question": question,
        "choices": list(choices),
        "prompt": prompt,
        "media": [f"video{video:06}.mp4"],
    }


def generation(reply: str) -> Line:
    """Return the part of a line that says what the model wrote."""
    return {
        "text": reply,
        "num_input_tokens": 4700,
        "num_output_tokens": 3,
        "stop_reason": "eos",
        "error": None,
    }


def text(source: random.Random, num_words: int) -> str:
    """Return some words."""
    return " ".join(source.choices(WORDS, k=num_words)).capitalize()


@dataclass(frozen=True)
class Measured:
    """One command."""

    benchmark: str
    command: str
    wall_seconds: float
    processor_seconds: float
    peak_bytes: int
    exit_code: int


def bench(arguments: argparse.Namespace) -> str:
    """Make the runs, measure every command, and return the page."""
    benchmarks = arguments.benchmarks
    with tempfile.TemporaryDirectory(prefix="llava-eval-bench-") as temporary:
        # In a process of its own: a child's peak starts at what its parent held.
        make = [sys.executable, __file__, "--samples", str(arguments.samples), "--make", temporary]
        subprocess.run([*make, "--benchmarks", *benchmarks], check=True)
        rows, sizes = [], []
        for benchmark in benchmarks:
            folder = Path(temporary) / benchmark
            rows += [measured(benchmark, words, folder) for words in commands()]
            sizes.append(f"{benchmark} {(folder / 'report.html').stat().st_size / 1e6:.1f} MB")
    return page_of(arguments, rows, sizes)


def commands() -> list[list[str]]:
    """Return the commands, in an order in which each finds what it needs."""
    return [
        ["compare", "a", "b"],
        ["compare", "a", "b", "--export", "files"],
        ["gate", "a", "--write-baseline", "baseline.json"],
        ["gate", "b", "--baseline", "a"],
        ["gate", "b", "--baseline", "baseline.json"],
        ["report", "a", "b", "--out", "report.html"],
    ]


def measured(benchmark: str, words: list[str], folder: Path) -> Measured:
    """Run one command and return what it took."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--measure", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = Measured(benchmark, " ".join(words), **json.loads(done.stdout.splitlines()[-1]))
    print(f"{found.command}: {found.wall_seconds:.1f} s", file=sys.stderr)
    if found.exit_code not in (0, 1):
        raise SystemExit(f"{found.command} ended with exit code {found.exit_code}")
    return found


def measure_here(words: list[str]) -> dict[str, Any]:
    """Run one command as a process of its own and return its costs and exit code."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "llava_eval.cli", *words]
    exit_code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_seconds": wall,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "exit_code": exit_code,
    }


def page_of(arguments: argparse.Namespace, rows: Sequence[Measured], sizes: Sequence[str]) -> str:
    """Return the Markdown page."""
    flags = f" --samples {arguments.samples}" if arguments.samples != 100_000 else ""
    if arguments.benchmarks != ["choice"]:
        flags += f" --benchmarks {' '.join(arguments.benchmarks)}"
    lines = [
        "# compare, gate and report: time and memory",
        "",
        f"Two runs (a, b) with {arguments.samples:,} samples each, from start to exit.",
        "",
        "| samples | llava-eval ... | wall (s) | processor (s) | peak memory (GB) |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {one.benchmark} | `{one.command}` | {one.wall_seconds:.1f} | "
            f"{one.processor_seconds:.1f} | {one.peak_bytes / 1e9:.2f} |"
            for one in rows
        ),
        "",
        f"Size of the page, without pictures: {', '.join(sizes)}.",
        "",
        f"* Date: {datetime.datetime.now(datetime.UTC).date().isoformat()}",
        f"* Machine: {machine()}; load average at the end {os.getloadavg()[0]:.1f}",
        f"* Python {platform.python_version()}",
        f"* Command: `python scripts/bench_results.py{flags}`",
    ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Return cores, processor and system."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return f"{os.cpu_count()} cores, {processor}, {platform.system()}"


if __name__ == "__main__":
    main()
