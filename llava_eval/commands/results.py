"""Commands that read finished runs: compare, plan, gate, frames, export, report."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llava_eval.borders.paths import local_path
from llava_eval.commands.command import (
    JSON,
    METRICS_DIR,
    argument,
    command,
    number_argument,
    path_argument,
)
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.results.files import write_files, write_output

if TYPE_CHECKING:
    from llava_eval.results.gate.publication import Publication
    from llava_eval.results.gate.rule import GateRule
    from llava_eval.results.report.thumbnails import FrameRequest
    from llava_eval.results.runs import Run


@command(
    "compare",
    "RUN RUN [RUN ...] | SWEEP",
    path_argument(
        "paths",
        "RUN",
        "run directories, all compared with the first; or folders of a sweep",
        nargs="+",
    ),
    METRICS_DIR,
    argument(
        "--allow-differences",
        action="store_true",
        help="compare runs that are not finished, or whose prompts, targets, media or benchmark "
        "version differ, and leave out those without a sample in common",
    ),
    path_argument(
        "--export",
        "DIR",
        "write JSON, numbers (CSV, Parquet), tables (Markdown, LaTeX) and curves (SVG; PDF "
        "and PNG with matplotlib)",
    ),
    JSON,
)
def _compare(arguments: argparse.Namespace) -> int:
    """Compare runs of the same questions, or the runs of a sweep.

    Samples are paired by id. Intervals and p-values treat the questions of one
    video as one cluster; McNemar's exact test treats samples as independent. For
    runs that saw the same frames a table shows how many samples distinguish them by
    the score, by changed answers and, if both ran with
    runner.keep_choice_logprobs=true, by the divergence of the options' letters.

    exit codes
      0  compared
      2  the runs cannot be compared, or a mistake in the command
    """
    from llava_eval.results.compare import export as exports
    from llava_eval.results.compare.comparison import compare_runs
    from llava_eval.results.compare.seeds import Seeds, over_seeds, seeds_text
    from llava_eval.results.compare.sweep_curves import sweeps_of
    from llava_eval.results.compare.terminal import comparison_text, sweep_text
    from llava_eval.results.formatting import print_json, printable, terminal_width, write_out
    from llava_eval.results.runs import RunReader, is_run

    paths, export, width = arguments.paths, arguments.export, terminal_width()
    differences = arguments.allow_differences
    if len(paths) == 1 and is_run(paths[0]):
        raise ConfigError(f"compare needs another run beside {paths[0]}, or the folder of a sweep")
    reader, written = RunReader(arguments.config_dir), []
    are_runs = all(is_run(path) for path in paths)
    runs = [reader.read(path) for path in paths] if are_runs else reader.read_all(paths)
    is_pair = are_runs and len(runs) == 2
    seeds = None
    if not is_pair and export is None and len(over_seeds(runs)) == 1:
        try:
            seeds = Seeds.of(runs)
        except ComparisonError:
            if not differences:
                raise  # with --allow-differences they are compared like any other runs
    if seeds is not None:
        content: object = dataclasses.asdict(seeds)
        text = seeds_text(seeds, width=width)
    elif are_runs:
        comparisons = compare_runs(runs, allow_differences=differences)
        content = exports.comparison_content(runs, comparisons)
        text = comparison_text(runs, comparisons, width=width)
        written = exports.export_comparison(export, runs, comparisons) if export else []
    else:
        sweeps = sweeps_of(runs, allow_differences=differences)
        content = [exports.sweep_content(sweep) for sweep in sweeps]
        text = "\n\n".join(sweep_text(sweep, width=width) for sweep in sweeps) + "\n"
        written = exports.export_sweeps(export, sweeps) if export else []
    if arguments.json:
        print_json(content)
        return 0
    write_out(text)
    if export is not None:
        write_out(f"\n{len(written)} files in {printable(str(export))}")
    return 0


@command(
    "plan",
    "[RUN [RUN]] [--detect POINTS] [options]",
    path_argument("runs", "RUN", "one run, or a pair of runs", nargs="*"),
    METRICS_DIR,
    number_argument(
        "--detect",
        "POINTS",
        "the difference to detect, in the metric's unit (default: the usual ones)",
    ),
    number_argument(
        "--flips",
        "PERCENT",
        "samples whose score changes either way (default: as in the pair of runs)",
    ),
    number_argument(
        "--per-group",
        "N",
        "samples of a group (video), used without a run (default 1)",
        default=1.0,
    ),
    JSON,
)
def _plan(arguments: argparse.Namespace) -> int:
    """Estimate the samples and the time needed to detect a difference.

    A pair of runs gives the best estimate of how much a difference varies by
    chance; one run gives a conservative estimate. The smallest difference that the
    runs' own samples can detect is shown too.

    for instance
      llava-eval plan runs/base runs/nf4 --detect 1
      llava-eval plan --flips 8 --per-group 3 --detect 1
    """
    from llava_eval.results.formatting import print_json, terminal_width, write_out
    from llava_eval.results.runs import RunReader
    from llava_eval.results.sample_size import plans_of, plans_text

    paths, detect, flips = arguments.runs, arguments.detect, arguments.flips
    per_group = arguments.per_group
    if detect is not None and not (math.isfinite(detect) and detect > 0):
        raise ConfigError(f"plan: --detect {detect:g}: expected points above 0")
    if flips is not None and not 0 < flips <= 100:
        raise ConfigError(f"plan: --flips {flips:g}: expected a percentage above 0, at most 100")
    if not 1 <= per_group <= 1e6:
        raise ConfigError(
            f"plan: --per-group {per_group:g}: expected at least 1 sample, at most a million"
        )
    if len(paths) > 2 or not (paths or flips):
        raise ConfigError("plan needs one run, a pair of runs, or --flips PERCENT")
    runs = [*map(RunReader(arguments.config_dir).read, paths)]
    plans = plans_of(runs, detect, flips, per_group)
    for run in runs:
        _say_if_incomplete(run)
    if arguments.json:
        print_json(dataclasses.asdict(plans))
    else:
        write_out(plans_text(plans, [str(path) for path in paths], width=terminal_width()))
    return 0


def _say_if_incomplete(run: Run) -> None:
    """Print a remark if a run is not finished or lacks samples."""
    from llava_eval.engine.console import say

    if run.incomplete is not None:
        say(f"{run.name} {run.incomplete}")


@command(
    "gate",
    "RUN --baseline FILE_OR_RUN [options]",
    argument(
        "words",
        nargs="*",
        metavar="RUN",
        help="run directory; with --sequential the settings of a run (key=value)",
    ),
    METRICS_DIR,
    argument(
        "--sequential",
        action="store_true",
        help="run these settings, and end as soon as the verdict is known",
    ),
    argument(
        "--seed", type=int, default=0, help="seed of --sequential's order of videos (default 0)"
    ),
    path_argument("--baseline", "FILE_OR_RUN", "a written baseline, or another run directory"),
    path_argument("--write-baseline", "FILE", "write RUN's baseline and do nothing else"),
    argument(
        "--tolerance",
        action="append",
        default=[],
        metavar="METRIC=POINTS",
        help="how much worse a metric may get; may be given several times",
    ),
    argument(
        "--alpha",
        type=float,
        default=0.05,
        help="probability that a model as good as the baseline fails (default 0.05)",
    ),
    argument(
        "--mode",
        choices=("regression", "noninferior"),
        default="regression",
        help="noninferior: a metric with a tolerance passes only if it is shown to be worse by "
        "less (default: regression: it fails only if it is shown to be worse)",
    ),
    number_argument(
        "--max-slowdown", "FACTOR", "most model seconds a sample, as a multiple of the baseline's"
    ),
    path_argument("--junit", "FILE", "write JUnit XML"),
    path_argument("--summary", "FILE", "write Markdown for a pull request"),
    JSON,
)
def _gate(arguments: argparse.Namespace) -> int:
    """Fail when a run is worse than a baseline.

    A metric has regressed when the whole paired interval of its difference,
    clustered by video, lies below 0 and the drop exceeds the tolerance. Higher is
    taken as better: write an error measure as its negative (scale: -1 of
    mean_score); a share of yes answers is checked only if it has a tolerance.
    Tolerances are in the metric's own points; unreadable=1 allows one percent more
    unreadable answers, errors=1 one percent more failed samples, and the counts
    below a table have names too: damaged=0, truncated=0, cut_at_limit=1,
    has_reasoning=1, ...

    --sequential answers videos in a seeded order and tests after each one. It ends
    with "regressed" (worse by more than the tolerance) or "no worse"; each verdict
    is wrong with a probability of at most alpha, whenever it ends.
      llava-eval gate --sequential quantization=bnb_nf4 --baseline base.json
          --tolerance accuracy=2

    exit codes
      0  passed
      1  regressed, or (noninferior, sequential) not shown to be no worse
      2  cannot compare, or a mistake in the command
    """
    from llava_eval.engine.console import say
    from llava_eval.results.formatting import printable, write_out
    from llava_eval.results.gate.baseline import read_baseline, write_baseline
    from llava_eval.results.gate.publication import Publication
    from llava_eval.results.gate.rule import rule_of, verdict_of
    from llava_eval.results.runs import RunReader

    if (arguments.baseline is None) == (arguments.write_baseline is None):
        raise ConfigError("gate needs either --baseline FILE_OR_RUN or --write-baseline FILE")
    if arguments.sequential and arguments.baseline is None:
        raise ConfigError(
            "gate --sequential needs --baseline FILE_OR_RUN; --write-baseline takes a run"
        )
    if not arguments.sequential and len(arguments.words) != 1:
        raise ConfigError(
            f"gate takes one run directory, got {' '.join(arguments.words) or 'none'}"
        )
    if arguments.write_baseline is not None:
        path = arguments.write_baseline
        write_baseline(path, RunReader().read(local_path(arguments.words[0])))
        write_out(f"wrote {printable(str(path))}, {path.stat().st_size / 1000:.0f} kB")
        return 0
    given = [text.rpartition("=")[0] for text in arguments.tolerance]
    for name in dict.fromkeys(name for name in given if given.count(name) > 1):
        say(f"--tolerance {name}=... is given {given.count(name)} times: the last one counts")
    rule = rule_of(arguments.alpha, arguments.tolerance, arguments.max_slowdown, arguments.mode)
    publication = Publication(arguments.junit, arguments.summary, arguments.json)
    if arguments.sequential:
        return _gate_sequentially(arguments, rule, publication)
    path = local_path(arguments.words[0])
    with publication.refusals_reported(path):
        reader = RunReader(arguments.config_dir)
        run = reader.read(path)
        verdict = verdict_of(run, read_baseline(arguments.baseline, run, reader), rule)
    return publication.publish(verdict)


def _gate_sequentially(
    arguments: argparse.Namespace, rule: GateRule, publication: Publication
) -> int:
    from llava_eval import run
    from llava_eval.config.compose import compose_config
    from llava_eval.engine.console import messages_shown
    from llava_eval.results.gate.sequential_gate import SequentialGate

    composed = compose_config(arguments.words, arguments.config_dir)
    gate = SequentialGate(arguments.baseline, rule, arguments.seed, arguments.config_dir)
    with publication.refusals_reported(), messages_shown(-1 if arguments.json else 0):
        outcome = run.run(composed, watch=gate)
        gate.directory = outcome.directory
        gate.num_failed = outcome.summary.num_errors if outcome.exit_code else 0
    return publication.publish(gate)


@command(
    "frames",
    "diff RUN RUN_OR_FOLDER",
    argument("action", choices=["diff"], metavar="diff", help="compare what was shown"),
    path_argument("run", "RUN", "run directory"),
    path_argument(
        "other",
        "RUN_OR_FOLDER",
        "another run directory, or a folder of pictures that another tool wrote",
    ),
)
def _frames(arguments: argparse.Namespace) -> int:
    """Report the samples of two runs that saw different frames or prompts.

    Frames that another tool wrote as lossless pictures are compared, too: those of
    one sample in FOLDER/ID, or of one video in FOLDER/NAME (its file name without
    the extension), in natural order.

    exit codes
      0  all samples saw the same
      1  some saw something else; the first difference of each is shown
      2  nothing can be compared, or a mistake in the command
    """
    from llava_eval.results.compare.frames import diff_frames, difference_text
    from llava_eval.results.formatting import terminal_width, write_out

    difference, sides = diff_frames(arguments.run, arguments.other)
    write_out(f"{sides}\n\n{difference_text(difference, width=terminal_width())}")
    return int(bool(difference.changed))


@command(
    "export",
    "RUN --to FORMAT --out DIR",
    path_argument("run", "RUN", "run directory"),
    argument(
        "--to",
        required=True,
        choices=("inspect", "eee", "lm-eval", "hub"),
        help="inspect's log, Every Eval Ever, lm-eval's results and samples, or the hub's "
        ".eval_results",
    ),
    path_argument("--out", "DIR", "folder to write into", required=True),
)
def _export(arguments: argparse.Namespace) -> int:
    """Write a run in another tool's file format; nothing is uploaded.

    for instance
      llava-eval export runs/a --to inspect --out logs
      inspect view --log-dir logs

    exit codes
      0  written
      2  the run cannot go into that format, or a mistake in the command
    """
    from llava_eval.results.exchange.every_eval_ever import every_eval_ever
    from llava_eval.results.exchange.hub import hub_entry
    from llava_eval.results.exchange.inspect_log import inspect_log
    from llava_eval.results.exchange.lm_eval import lm_eval
    from llava_eval.results.exchange.run_facts import RunFacts
    from llava_eval.results.formatting import write_out
    from llava_eval.results.runs import RunReader

    makers = {"inspect": inspect_log, "eee": every_eval_ever, "lm-eval": lm_eval, "hub": hub_entry}
    run = RunReader().read(arguments.run)
    if not run.tables.metrics:
        raise ComparisonError(f"{run.name} has no metrics.json; it is not finished")
    _say_if_incomplete(run)
    for path in write_files(arguments.out, makers[arguments.to](RunFacts.of(run))):
        write_out(str(path))
    return 0


@command(
    "report",
    "PATH [PATH ...] --out FILE [options]",
    path_argument("paths", "PATH", "run directories, or folders of runs", nargs="+"),
    METRICS_DIR,
    path_argument("--out", "FILE", "the page", required=True),
    number_argument(
        "--thumbnails-mb",
        "MB",
        "most megabytes for pictures of frames (default 8; 0: none)",
        default=8.0,
    ),
    number_argument(
        "--thumbnails-seconds", "S", "most seconds for making them (default 10)", default=10.0
    ),
    path_argument(
        "--export",
        "DIR",
        "also write numbers (CSV, Parquet), tables (Markdown, LaTeX) and curves (SVG; PDF "
        "and PNG with matplotlib)",
    ),
)
def _report(arguments: argparse.Namespace) -> int:
    """Write one HTML page with runs and all their samples.

    The page needs no network and no server. A missing video is no error; its
    samples have no pictures.

    exit codes
      0  written
      2  a path holds no run, or a mistake in the command
    """
    from llava_eval.results.formatting import count, printable, write_out
    from llava_eval.results.report.overview import Overview, export_report
    from llava_eval.results.report.page import Part, page
    from llava_eval.results.report.samples import SampleSet
    from llava_eval.results.report.thumbnails import PictureBudget, make_thumbnails
    from llava_eval.results.runs import RunReader, by_benchmark

    for name in ("thumbnails_mb", "thumbnails_seconds"):
        if not getattr(arguments, name) >= 0:
            raise ConfigError(f"report: --{name.replace('_', '-')} must be at least 0")
    out, export = arguments.out, arguments.export
    num_bytes = int(min(1e6 * arguments.thumbnails_mb, sys.maxsize))  # "inf" is a number, too
    budget = PictureBudget(num_bytes, arguments.thumbnails_seconds)
    runs = RunReader(arguments.config_dir).read_all(arguments.paths)
    parts = []
    for members in by_benchmark(runs).values():
        samples = SampleSet.of(members)
        thumbnails = make_thumbnails(samples, _read_frames, budget)
        parts.append(Part(Overview.of(members), samples, thumbnails))
    write_output(out, page(parts))
    exported = []
    if export is not None:
        exported = export_report(export, [part.overview for part in parts])
    size = out.stat().st_size / 1e6
    write_out(f"wrote {printable(str(out))}, {size:.1f} MB, {count(len(runs), 'run')}")
    if exported:
        write_out(f"{len(exported)} files in {printable(str(export))}")
    return 0


def _read_frames(requests: Sequence[FrameRequest]) -> Generator[Any, None, None]:
    """Yield the frames (N, H, W, 3) of each video, or None if it cannot be read."""
    from llava_eval.types import Media, MediaKind
    from llava_eval.video import decode_ahead, read_media
    from llava_eval.video.media import IMAGE_SUFFIXES

    def read(request: FrameRequest) -> Any:
        is_image = Path(request.path).suffix.lower() in IMAGE_SUFFIXES
        kind: MediaKind = "image" if is_image and request.frame_indices == (0,) else "video"
        media = Media(kind, request.path, upright=request.upright)
        return read_media(media, lambda _: request.frame_indices).pixels

    outcomes = decode_ahead(requests, read, num_workers=2, max_pending=4, timeout_seconds=30.0)
    for outcome in outcomes:
        yield outcome.value
