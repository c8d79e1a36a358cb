"""Time BLEU, ROUGE-L and CIDEr on a set of the size of COCO 2014 val, with pycocoevalcap as peer.

    python scripts/bench_metrics.py --peer-python /path/to/venv/bin/python

Both sides get the same generated captions and go from texts to all values. Every measurement is a
process of its own; ours and the peer's take turns, and the table shows medians. The peer is
optional: without pycocoevalcap (`pip install pycocoevalcap`, in any environment) or Java its rows
say so.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS = ["man", "woman", "dog", "cat", "giraffe", "bus", "pizza", "bench", "kite", "train"]
QUALITIES = ["red", "big", "small", "young", "wooden", "old", "large", "white", "black", "empty"]
RELATIONS = ["riding", "holding", "eating", "near", "under", "watching", "behind", "in", "on"]
EXTRAS = [
    ", smiling",
    " at 5 o'clock",
    " in the man's hand",
    ' with a "STOP" sign',
    " that isn't moving",
    " (1/2 eaten)",
    " No. 12",
    " - close up",
]
Captions = tuple[list[str], list[list[str]]]


def make_captions(num_images: int, num_references: int, seed: int = 0) -> Captions:
    """Captions with COCO's length and punctuation, and a vocabulary with a long tail."""
    rng = random.Random(seed)
    syllables = ["ba", "ke", "li", "mo", "nu", "ra", "si", "to", "vu", "den", "per", "gan"]
    tail = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(20_000)]

    def noun() -> str:
        return tail[int(len(tail) * rng.random() ** 4)] if rng.random() < 0.3 else ""

    def caption(subject: str) -> str:
        words = [rng.choice(["A", "The", "Two", "There is a"]), rng.choice(QUALITIES), subject]
        for _ in range(rng.randint(1, 3)):
            words += [rng.choice(RELATIONS), "a", noun() or rng.choice(SUBJECTS)]
        extra = rng.choice(EXTRAS) if rng.random() < 0.1 else ""
        return " ".join(words) + extra + rng.choice([".", ".", "", ". "])

    subjects = [rng.choice(SUBJECTS) for _ in range(num_images)]
    references = [[caption(subject) for _ in range(num_references)] for subject in subjects]
    return [caption(subject) for subject in subjects], references


def score_ours(hypotheses: list[str], references: list[list[str]]) -> dict[str, Any]:
    """Values and seconds of this package."""
    # Imported here: the peer's environment may lack this package.
    from llava_eval.scoring.captions.bleu import bleu_of_parts, expand_counts, sample_counts
    from llava_eval.scoring.captions.corpus import caption_values
    from llava_eval.scoring.captions.ngrams import Captions
    from llava_eval.scoring.captions.ptb_tokenizer import tokenize_set

    cpu_start, start = _cpu_seconds(), time.perf_counter()
    words = tokenize_set(hypotheses, references)
    tokenized = time.perf_counter()
    captions = Captions.of(*words)
    values = {name: of_each.mean() for name, of_each in caption_values(captions).items()}
    counts = expand_counts(sample_counts(captions)).sum(axis=0, keepdims=True)
    values |= {f"bleu_{order}": v for order, v in enumerate(bleu_of_parts(counts)[0], 1)}
    end = time.perf_counter()
    return {
        "values": {name: float(value) for name, value in values.items()},
        "tokenize_seconds": tokenized - start,
        "total_seconds": end - start,
        "cpu_seconds": _cpu_seconds() - cpu_start,
    }


def score_peer(hypotheses: list[str], references: list[list[str]]) -> dict[str, Any]:
    """Values and seconds of pycocoevalcap."""
    package = "pycocoevalcap"
    tokenizer = importlib.import_module(f"{package}.tokenizer.ptbtokenizer").PTBTokenizer()
    scorers = [
        ("bleu", importlib.import_module(f"{package}.bleu.bleu").Bleu(4)),
        ("rouge_l", importlib.import_module(f"{package}.rouge.rouge").Rouge()),
        ("cider", importlib.import_module(f"{package}.cider.cider").Cider()),
    ]
    cpu_start, start = _cpu_seconds(), time.perf_counter()
    targets = tokenizer.tokenize(
        {i: [{"caption": caption} for caption in group] for i, group in enumerate(references)}
    )
    results = tokenizer.tokenize({i: [{"caption": text}] for i, text in enumerate(hypotheses)})
    tokenized = time.perf_counter()
    values: dict[str, float] = {}
    for name, scorer in scorers:
        with contextlib.redirect_stdout(sys.stderr):
            score, _ = scorer.compute_score(targets, results)
        if name == "bleu":
            values |= {f"bleu_{order}": float(part) for order, part in enumerate(score, 1)}
        else:
            values[name] = float(score)
    end = time.perf_counter()
    return {
        "values": values,
        "tokenize_seconds": tokenized - start,
        "total_seconds": end - start,
        "cpu_seconds": _cpu_seconds() - cpu_start,
    }


def _cpu_seconds() -> float:
    """Processor time of this process and of those that it has waited for, such as Java."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(side: str, python: str, arguments: argparse.Namespace) -> dict[str, Any] | str:
    """One measurement in its own process, or why the peer has none."""
    command = [python, __file__, "--measure", side]
    command += ["--images", str(arguments.images), "--references", str(arguments.references)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if side == "ours":
            raise SystemExit(f"this package cannot be measured: {last}")
        return f"not measured: {last}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(arguments: argparse.Namespace, rounds: dict[str, list[dict[str, Any] | str]]) -> str:
    """The Markdown page."""
    rows = []
    measured: dict[str, list[dict[str, Any]]] = {}
    for side, results in rounds.items():
        good = measured[side] = [result for result in results if isinstance(result, dict)]
        if not good:
            rows.append(f"| {side} | {results[0]} | | | | |")
            continue
        medians = " | ".join(
            f"{statistics.median(result[key] for result in good):.1f}"
            for key in ("total_seconds", "cpu_seconds", "tokenize_seconds")
        )
        spread = ", ".join(f"{result['total_seconds']:.1f}" for result in good)
        memory = max(result["peak_gib"] for result in good)
        rows.append(f"| {side} | {medians} | {spread} | {memory:.2f} |")
    setting = (
        f"{arguments.images:,} generated images with {arguments.references} references each: "
        "tokenization, BLEU-1..4, ROUGE-L and CIDEr, from texts to all values. Median of the "
        "rounds, each in a process of its own, the two sides taking turns."
    )
    header = [
        "| side | total (s) | processor (s) | tokenization alone (s) | rounds (s) | memory (GiB) |",
        "|---|---|---|---|---|---|",
    ]
    lines = ["# Caption metrics: time", "", setting, "", *header, *rows, ""]
    if all(measured.values()):
        lines += [_comparison(*measured.values()), ""]
    versions = {side: results[0]["versions"] for side, results in measured.items() if results}
    command = (
        f"python scripts/bench_metrics.py --images {arguments.images} "
        f"--references {arguments.references} --rounds {arguments.rounds} --peer-python PYTHON"
    )
    lines += [
        f"* Date: {datetime.datetime.now(datetime.UTC).date().isoformat()}",
        f"* Machine: {_machine()}; load average at the end {os.getloadavg()[0]:.1f}",
        *(f"* Versions, {side}: {text}" for side, text in versions.items()),
        f"* Command: `{command}`",
    ]
    return "\n".join(lines) + "\n"


def _comparison(ours: list[dict[str, Any]], peer: list[dict[str, Any]]) -> str:
    """One sentence: how much faster, and whether the values agree."""
    faster = [
        statistics.median(result[key] for result in peer)
        / statistics.median(result[key] for result in ours)
        for key in ("total_seconds", "cpu_seconds")
    ]
    deviation = max(
        abs(value - ours[0]["values"][name]) for name, value in peer[0]["values"].items()
    )
    return (
        f"{faster[0]:.1f} times as fast, {faster[1]:.1f} times in processor time; largest "
        f"deviation of a corpus value: {deviation:.1e}. Memory is the peak, the peer's without "
        "that of Java."
    )


def _machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return f"{os.cpu_count()} cores, {cpu}, {platform.system()}"


def _versions(side: str) -> str:
    numpy = importlib.import_module("numpy")
    text = f"Python {platform.python_version()}, numpy {numpy.__version__}"
    if side == "peer":
        java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True)
        metadata = importlib.import_module("importlib.metadata")
        text += f", pycocoevalcap {metadata.version('pycocoevalcap')}, "
        text += java.stderr.splitlines()[0].replace('"', "")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=40_504, help="COCO 2014 val: 40504")
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable, help="has pycocoevalcap")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "metrics.md")
    parser.add_argument("--measure", choices=["ours", "peer"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        captions = make_captions(arguments.images, arguments.references)
        result = (score_ours if arguments.measure == "ours" else score_peer)(*captions)
        result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        result["versions"] = _versions(arguments.measure)
        print(json.dumps(result))
        return
    ours, peer = "llava_eval", "pycocoevalcap"
    rounds: dict[str, list[dict[str, Any] | str]] = {ours: [], peer: []}
    for number in range(arguments.rounds):
        rounds[ours].append(measure("ours", sys.executable, arguments))
        rounds[peer].append(measure("peer", arguments.peer_python, arguments))
        print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    page = report(arguments, rounds)
    print(page)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
