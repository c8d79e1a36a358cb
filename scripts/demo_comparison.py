"""Compare frame counts and quantizations on the embedded benchmark, from real runs.

    python scripts/demo_comparison.py                  # run the sweep, then write the page
    python scripts/demo_comparison.py --runs FOLDER    # write the page about a sweep that is there

The sweep is ``llava-eval -m experiment=demo_curve``: 2 to 32 frames, in float32, int8 and nf4. The
page, with a drawing of each curve beside it, is results/demo_comparison.md.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from llava_eval.results.compare.sweep_curves import (
    Sweep,
    legend,
    preparing_table,
    sweep_charts,
    sweep_table,
    sweeps_of,
)
from llava_eval.results.drawing import to_svg
from llava_eval.results.manifest import ModelRecord
from llava_eval.results.runs import Run, RunReader, find_runs

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder of a finished sweep")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "demo_comparison.md")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for the sweep's runs")
    arguments = parser.parse_args()
    folder = arguments.runs or run_sweep(arguments.overrides)
    reader = RunReader()
    runs = [reader.read(path) for path in find_runs(folder)]
    sweeps = sweeps_of(runs)
    if len(sweeps) != 1:
        raise SystemExit(f"{folder} holds runs of {len(sweeps)} benchmarks, expected one")
    command = " ".join(["llava-eval", "-m", "experiment=demo_curve", *arguments.overrides])
    page = page_of(sweeps[0], write_curves(sweeps[0], arguments.output), command)
    arguments.output.write_text(page, encoding="utf-8")
    print(page)


def run_sweep(overrides: Sequence[str]) -> Path:
    """Run every combination and return the folder of the runs."""
    started = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d_%H-%M-%S")
    folder = ROOT / "results" / "sweeps" / f"demo_comparison_{started}"
    command = [sys.executable, "-m", "llava_eval.cli", "-m", "experiment=demo_curve", *overrides]
    subprocess.run([*command, f"hydra.sweep.dir={folder}"], cwd=ROOT, check=True)
    return folder


def write_curves(sweep: Sweep, page: Path) -> dict[str, str]:
    """Write each curve beside the page; return its file's name by its title."""
    names = {}
    for name, chart in sweep_charts(sweep).items():
        path = page.with_name(f"{page.stem}_{name}.svg")
        path.write_text(to_svg(chart), encoding="utf-8")
        names[chart.title] = path.name
    return names


def page_of(sweep: Sweep, curves: Mapping[str, str], command: str) -> str:
    """Return the Markdown page."""
    runs = [setting.run for setting in sweep.settings]
    num_samples = len(runs[0].results)
    preparing = preparing_table(sweep)
    lines = [
        "# Frames and quantization on the embedded benchmark",
        "",
        f"{sweep.benchmark}, {num_samples} questions, {len(runs)} runs.",
        "",
        sweep_table(sweep).to_markdown(),
        "",
        legend(sweep),
        "",
        *([] if preparing is None else [preparing.to_markdown(), ""]),
        *(f"![{title}]({name})" for title, name in curves.items()),
        "",
        *(f"* Note: {note}" for note in sweep.notes),
        *(f"* {line}" for line in origin(runs[-1])),
        f"* Command: `{command}`, written by `scripts/demo_comparison.py`",
    ]
    return "\n".join(lines) + "\n"


def origin(run: Run) -> list[str]:
    """Return when, on what and with what the runs were made."""
    manifest = run.manifest
    model, versions = manifest.model or ModelRecord(), manifest.versions
    names = ("llava_eval", "torch", "transformers", "bitsandbytes")
    return [
        f"Date: {str(manifest.sessions[-1].ended)[:10]}",
        f"Machine: {run.cost.machine}; model on {model.device_name}",
        f"Versions: {', '.join(f'{name} {versions[name]}' for name in names if name in versions)}",
        f"Commit: {manifest.git_commit}; weights {(model.weights_sha256 or '')[:10]}",
    ]


if __name__ == "__main__":
    main()
