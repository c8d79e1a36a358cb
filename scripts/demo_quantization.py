"""How many samples tell a quantized checkpoint from the whole one, by each measure.

    python scripts/demo_quantization.py                  # run the sweep, then write the page
    python scripts/demo_quantization.py --runs FOLDER    # write the page of a sweep that is there

The page is results/demo_quantization.md: the embedded checkpoint in int8 and nf4 against float32,
by the difference in accuracy, by the answers that changed, and by the divergence of the letters'
distribution at the first new token.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from demo_comparison import ROOT, origin, run_sweep
from llava_eval.results.compare.comparison import compare_runs
from llava_eval.results.formatting import Table, interval, number
from llava_eval.results.runs import Run, RunReader, find_runs

SETTINGS = ("runner.keep_choice_logprobs=true", "sampler.num_frames=4,8,16")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder of a finished sweep")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "demo_quantization.md")
    arguments = parser.parse_args()
    folder = arguments.runs or run_sweep(SETTINGS)
    reader = RunReader()
    page = page_of([reader.read(path) for path in find_runs(folder)])
    arguments.output.write_text(page, encoding="utf-8")
    print(page)


def page_of(runs: Sequence[Run]) -> str:
    """Return the Markdown page."""
    about = (
        f"{runs[0].benchmark}, {len(runs[0].results)} questions. Each measure is 0 where nothing "
        "changed; *needed* is how many questions find a value as large four times in five. KL is "
        "that of the options' distribution at the first new token from float32's, in nats. The "
        "same table for any two runs of the same frames: `llava-eval compare`."
    )
    command = f"llava-eval -m experiment=demo_curve {' '.join(SETTINGS)}"
    lines = [
        "# What tells a quantized checkpoint from the whole one",
        "",
        about,
        "",
        table_of(runs).to_markdown(),
        "",
        *(f"* {line}" for line in origin(runs[-1])),
        f"* Command: `{command}`, written by `scripts/demo_quantization.py`",
    ]
    return "\n".join(lines) + "\n"


def table_of(runs: Sequence[Run]) -> Table:
    """Return a row for each quantized run: by each measure its value and the samples it needs."""
    whole = {run.config["sampler"]["num_frames"]: run for run in runs if not method_of(run)}
    rows = []
    for run in runs:
        if not method_of(run):
            continue
        num_frames = run.config["sampler"]["num_frames"]
        (comparison,) = compare_runs([whole[num_frames], run])
        for measure in comparison.fidelity:
            estimate, needed = measure.estimate, measure.num_samples_needed
            rows.append(
                [
                    str(num_frames),
                    str(method_of(run)),
                    measure.name,
                    number(estimate.difference, measure.unit),
                    interval(estimate.low, estimate.high, measure.unit),
                    "nothing to find" if needed is None else f"{needed:,}",
                ]
            )
    header = ["frames", "quantization", "told apart by", "mean", "95 % interval", "needed"]
    return Table(header, rows, num_names=3)


def method_of(run: Run) -> str | None:
    """Return how the weights of a run were quantized; None for as they are."""
    method: str | None = run.config["quantization"]["method"]
    return method


if __name__ == "__main__":
    main()
