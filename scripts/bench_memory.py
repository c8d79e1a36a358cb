"""Watch the host's memory over a long run: it must not grow with the number of samples.

The embedded videos are asked about again and again under other names, so that every one of them is
decoded anew; nothing is cached.

    python scripts/bench_memory.py [--samples 10000] [--output results/memory.md]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from llava_eval.borders.paths import local_path
from llava_eval.results.environment import processor_name

ROOT = Path(__file__).resolve().parent.parent
DEMO = local_path("package://llava_eval/demo")
SECONDS_BETWEEN_LOOKS = 5.0


def make_rows(folder: Path, num_samples: int) -> None:
    """Write rows, and links to the embedded videos under a name for every three questions."""
    lines = (DEMO / "multiple_choice.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    (folder / "videos").mkdir()
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(num_samples):
            row = rows[number % len(rows)]
            name = f"{number // 3:05}"
            link = folder / "videos" / f"{name}.mp4"
            if not link.exists():
                link.symlink_to(DEMO / "videos" / f"{row['videoID']}.mp4")
            changed = {**row, "videoID": name, "question_id": f"{number:05}"}
            stream.write(json.dumps(changed) + "\n")


def watch(folder: Path) -> list[tuple[int, float]]:
    """Run the rows; return (finished samples, MB of the process's own memory) as it goes."""
    command = [
        *(sys.executable, "-m", "llava_eval.cli", "sampler.num_frames=8"),
        f"benchmark.source={folder / 'rows.jsonl'}",
        f"benchmark.media_root={folder / 'videos'}",
        f"output_dir={folder / 'run'}",
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, "LLAVA_EVAL_CACHE": "off"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen: list[tuple[int, float]] = []
    ledger = folder / "run" / "samples.jsonl"
    while process.poll() is None:
        # the first look as soon as there is a ledger, which a short run has for a moment only
        time.sleep(SECONDS_BETWEEN_LOOKS if seen else 0.1)
        status = Path(f"/proc/{process.pid}/status")
        memory = [line for line in status.read_text().splitlines() if "RssAnon" in line]
        if memory and ledger.exists():
            with ledger.open("rb") as lines:
                finished = sum(1 for _ in lines)
            seen.append((finished, int(memory[0].split()[1]) / 1e3))
    if process.returncode:
        raise SystemExit(f"the run ended with exit code {process.returncode}")
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "memory.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_rows(Path(folder), arguments.samples)
        seen = watch(Path(folder))
    shown = seen[:: max(1, len(seen) // 10)]
    what = (
        f"{arguments.samples:,} samples of {-(-arguments.samples // 3):,} videos, 8 frames, the "
        "embedded checkpoint, no cache. Anonymous memory of the process."
    )
    origin = (
        f"Date: {datetime.date.today()}. Machine: {processor_name()}, {os.cpu_count()} cores. "
        f"Command: `python scripts/bench_memory.py --samples {arguments.samples}`."
    )
    lines = [
        "# Host memory over a long run",
        "",
        what,
        "",
        "| samples done | MB |",
        "|---:|---:|",
        *(f"| {finished:,} | {megabytes:.0f} |" for finished, megabytes in shown),
        "",
        origin,
        "",
    ]
    text = "\n".join(lines)
    print(text)
    arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
