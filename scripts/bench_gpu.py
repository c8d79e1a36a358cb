r"""Measure correctness, speed, memory and a whole run on a CUDA GPU, in stages within a budget.

Each stage runs in a process of its own and writes its JSON as it goes, the shortest and most
telling first: what crashes, hangs or is cut off takes nothing else with it. What no longer fits
into the budget is left out and named.

    python scripts/bench_gpu.py --out OUT --budget-seconds 540    # OUT/STAGE.json
    python scripts/bench_gpu.py --out OUT --table results/gpu.md  # the page, from these files

On a machine that lacks packages, carry their wheels (41 MB), made for its release of Python:

    pip wheel --no-deps -c constraints.txt -w wheels antlr4-python3-runtime
    pip download --no-deps -c constraints.txt --only-binary :all: --python-version 3.12 -d wheels \
        av hydra-core omegaconf msgspec wcwidth torchao backports.zstd
    pip install --no-deps wheels/*.whl        # there, then PYTHONPATH=. and the command above

What else is missing there is left out of the rows: bitsandbytes (43 MB more), flash-attn-4 (100 MB
more with all that it needs, nvidia-cutlass-dsl-libs-cu12 above all).

``--shape tiny --device cpu`` runs every stage on a small model anywhere, to try the script.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from gpu.stages import PEAK_TFLOPS, STAGES, Setting, Stage
from llava_eval.models.local.hardware import device_name

#: Forks of a process that has imported this and no more, which spares each stage some seconds:
#: importing torchao asks for CUDA devices, after which a fork cannot use them.
_IMPORTED = ["torchvision", "av"]
#: Without CUDA there is nothing to lose, and most of each stage's time is imports.
_IMPORTED_WITHOUT_CUDA = [
    *_IMPORTED,
    "llava_eval.models.local.runner",
    "llava_eval.run",
    "transformers.models.llava_next_video.modeling_llava_next_video",
]
_PROCESSES = multiprocessing.get_context("forkserver")


def main() -> None:
    """Run the stages, or write the page from what they left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the stages' JSON")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--budget-seconds", type=float, default=540.0)
    parser.add_argument("--shape", choices=("7b", "tiny"), default="7b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--table", type=Path, help="write the page and run nothing")
    arguments = parser.parse_args()
    if arguments.table is not None:
        arguments.table.write_text(page(arguments.out), encoding="utf-8")
        return
    if arguments.device == "cpu":
        _PROCESSES.set_forkserver_preload(_IMPORTED_WITHOUT_CUDA)
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = device_name(torch.device(arguments.device))
    peak = next((value for part, value in PEAK_TFLOPS.items() if part in name), None)
    about = {
        "device": name,
        "peak_tflops": peak,
        "shape": arguments.shape,
        "date": str(datetime.date.today()),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "seconds": {},
    }
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(arguments.device, arguments.shape, peak, Path(folder))
        for stage in arguments.stages:
            began = time.perf_counter()
            left = arguments.budget_seconds - (began - start)
            if left <= 0:
                write(arguments.out / f"{stage}.json", {"left_out": "the budget was spent"})
                continue
            run_apart(STAGES[stage], setting, arguments.out / f"{stage}.json", left)
            about["seconds"][stage] = round(time.perf_counter() - began, 1)
            write(arguments.out / "about.json", about)
            print(f"{stage}: {about['seconds'][stage]} s, {left:.0f} s were left", flush=True)


def run_apart(stage: Stage, setting: Setting, path: Path, seconds: float) -> None:
    """Run a stage in a process of its own, for some seconds at most."""
    path.unlink(missing_ok=True)
    process = _PROCESSES.Process(target=measure, args=(stage, setting, path))
    process.start()
    process.join(seconds)
    is_over = not process.is_alive()
    process.kill()
    process.join()
    if not is_over or process.exitcode != 0:
        how = f"it ended with {process.exitcode}" if is_over else f"it took over {seconds:.0f} s"
        rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        write(path, [*rows, {"left_out": f"the rest: {how}"}])


def measure(stage: Stage, setting: Setting, path: Path) -> None:
    """Write what a stage measures, row by row; one that fails says why."""
    rows: list[Any] = []
    try:
        result = stage(setting)
        if not isinstance(result, Iterator):
            write(path, result)
            return
        for row in result:
            rows.append(row)
            write(path, rows)
    except Exception as error:  # noqa: BLE001 - a machine is lent for minutes
        failure = {"left_out": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        write(path, [*rows, failure])


def write(path: Path, content: Any) -> None:
    """Write JSON; a file that is cut off by a kill is never seen."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    partial.replace(path)


def page(folder: Path) -> str:
    """Return the results page: every stage's values as tables."""
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    origin = (
        f"Shape {about['shape']}, random weights, by `scripts/bench_gpu.py` on {about['date']}; "
        f"torch {about['torch']}, transformers {about['transformers']}; peak stated by the maker: "
        f"{about['peak_tflops']} TFLOP/s (dense bfloat16)."
    )
    blocks = [f"# On a GPU: {about['device']}", origin]
    for stage, function in STAGES.items():
        path = folder / f"{stage}.json"
        if not path.exists():
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        doc = (function.__doc__ or "").strip().splitlines()[0]
        rows = content if isinstance(content, list) else [content]
        blocks += [f"## {stage}\n\n{doc}", table([flat(row) for row in rows])]
    return "\n\n".join(blocks) + "\n"


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the values of a row by dotted key, numbers to three digits; no traces."""
    cells: dict[str, str] = {}
    for key, value in row.items():
        if key == "trace":
            continue
        if isinstance(value, dict):
            cells |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            cells[f"{prefix}{key}"] = f"{value:.3g}"
        else:
            cells[f"{prefix}{key}"] = "-" if value is None else str(value)
    return cells


def table(rows: list[dict[str, str]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = [keys, ["---"] * len(keys), *([row.get(key, "-") for key in keys] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    _PROCESSES.set_forkserver_preload(_IMPORTED)
    main()
