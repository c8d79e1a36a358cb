"""``llava-eval report PATH... --out report.html``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llava_eval.results.report.thumbnails import Budget, ReadFrames
    from llava_eval.results.runs import Run


def write_report(
    paths: Sequence[Path],
    out: Path,
    budget: Budget,
    *,
    read_frames: ReadFrames,
    export: Path | None = None,
    config_dir: Path | None = None,
) -> None:
    """Write the page of some runs, and say so.

    Args:
        paths: run directories, or folders of runs.
        out: the page.
        budget: most bytes and seconds for pictures of frames.
        read_frames: decodes frames.
        export: folder to write tables and curves into.
        config_dir: the user's own configuration files; metrics that they name may be called.

    Raises:
        LlavaEvalError: the runs cannot be read, or a file cannot be written.
    """
    from llava_eval.results.formatting import count, printable, write_out
    from llava_eval.results.report.overview import by_benchmark, export_report
    from llava_eval.results.runs import RunReader, find_runs

    reader = RunReader(config_dir)
    result = dict.fromkeys(run for path in paths for run in find_runs(path))
    groups = by_benchmark([reader.read(path) for path in result])
    _write_page(out, groups, read_frames, budget)
    exported = [] if export is None else export_report(export, groups)
    size = out.stat().st_size / 1e6
    write_out(f"wrote {printable(str(out))}, {size:.1f} MB, {count(len(result), 'run')}")
    if exported:
        write_out(f"{len(exported)} files in {printable(str(export))}")


def _write_page(
    out: Path,
    groups: dict[str, list[Run]],
    read_frames: ReadFrames,
    budget: Budget,
) -> None:
    from llava_eval.results.files import write_output
    from llava_eval.results.report.overview import Overview
    from llava_eval.results.report.page import Part, page
    from llava_eval.results.report.samples import SampleSet
    from llava_eval.results.report.thumbnails import make_thumbnails

    parts = []
    for benchmark, runs in groups.items():
        samples = SampleSet.of(benchmark, runs)
        thumbnails = make_thumbnails(samples, read_frames, budget)
        parts.append(Part(Overview.of(runs), samples, thumbnails))
    write_output(out, "".join(page(parts)))
