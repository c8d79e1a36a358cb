"""Commands that examine finished runs: explain, show, rerun, probes, audit."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from llava_eval.commands.command import (
    CONFIG_DIR,
    JSON,
    METRICS_DIR,
    argument,
    command,
    number_argument,
    path_argument,
)
from llava_eval.errors import ConfigError
from llava_eval.results import files


@command(
    "explain",
    "RUN [--against RUN_OR_EXPERIMENT [--run N]] [options]",
    path_argument("run", "RUN", "run directory"),
    CONFIG_DIR,
    argument(
        "--against",
        metavar="RUN_OR_EXPERIMENT",
        help="another run directory, or a published number (llava-eval list experiments)",
    ),
    number_argument(
        "--run",
        "N",
        "answer the questions of N groups (videos) again, one difference switched at a time",
        type=int,
        dest="num_groups",
    ),
    argument("--seed", type=int, default=0, help="seed of the draw of these groups (default 0)"),
    path_argument(
        "--out",
        "DIR",
        "folder for Markdown, JSON and the runs of --run (default for --run: "
        "results/explain/...); the same folder again continues there",
    ),
    JSON,
)
def _explain(arguments: argparse.Namespace) -> int:
    """Explain a score, or its gap to another run or published number.

    Without a model: scores of the same texts under every rule and denominator of
    the benchmark, and the settings, prompts and frames in which another run or a
    published number differs. With --run also the part of the gap that each
    difference explains, with an interval; what no single difference accounts for
    is reported as unexplained.

    for instance
      llava-eval explain runs/mine
      llava-eval explain runs/mine --against runs/theirs --run 50
    """
    from llava_eval.borders.json_text import digest
    from llava_eval.results.explain.explanation import explain, side_of
    from llava_eval.results.explain.screen import EXPLANATION, as_content, to_markdown, to_terminal
    from llava_eval.results.explain.switched_runs import attributed
    from llava_eval.results.formatting import print_json, printable, terminal_width, write_out
    from llava_eval.results.runs import RunReader

    path, against, num_groups = arguments.run, arguments.against, arguments.num_groups
    if num_groups is not None and against is None:
        raise ConfigError("explain: --run needs --against: something that differs")
    if num_groups is not None and num_groups < 2:
        raise ConfigError(f"explain: --run {num_groups}: expected at least 2 groups")
    out, config_dir = arguments.out, arguments.config_dir
    reader = RunReader(config_dir)
    run = reader.read(path)
    side = None if against is None else side_of(run, against, reader, config_dir)
    explanation = explain(run, side, config_dir)
    if num_groups is not None and side is not None:
        from llava_eval.commands.rerun import answered_again
        from llava_eval.engine.console import messages_shown

        # the same question continues in the same folder
        name = f"{path.resolve().name}-{digest([str(path), side.name])[:8]}"
        out = out or Path("results") / "explain" / name
        runs = out / f"{num_groups}_groups_seed_{arguments.seed}"
        with messages_shown(-1):
            rerun = partial(answered_again, path)
            explanation = attributed(explanation, num_groups, arguments.seed, runs, rerun)
    content = as_content(explanation)
    if out is not None:
        files.write_files(out, {EXPLANATION: content, "explain.md": to_markdown(explanation)})
    if arguments.json:
        print_json(content)
    else:
        write_out(to_terminal(explanation, width=terminal_width()))
        if out is not None:
            write_out(f"\nwrote explain.md and {EXPLANATION} into {printable(str(out))}")
    if num_groups is not None:  # last: another user's run may not be writable
        files.write_json(path / EXPLANATION, content)
    return 0


@command(
    "show",
    "RUN ID [--out FILE.png] [--json]",
    path_argument("run", "RUN", "run directory"),
    argument("id", metavar="ID", help="id of the sample"),
    CONFIG_DIR,
    path_argument("--out", "FILE", "write its frames as a PNG"),
    JSON,
)
def _show(arguments: argparse.Namespace) -> int:
    """Show one sample: frames, prompt, text, and how each rule reads it.

    Frames and prompt are made again from the run's configuration, without the
    model's weights. Terminals that can draw pictures show the frames. The text is
    read by every rule of the benchmark.
    """
    from llava_eval.commands.show import show
    from llava_eval.engine.console import messages_shown

    with messages_shown(-1):
        return show(arguments)


@command(
    "rerun",
    "RUN ID [ID ...] [--out DIR] [--json]",
    path_argument("run", "RUN", "run directory; it stays as it is"),
    argument("ids", metavar="ID", nargs="+", help="ids of the samples"),
    CONFIG_DIR,
    path_argument("--out", "DIR", "run directory for the answers (default: new)"),
    JSON,
)
def _rerun(arguments: argparse.Namespace) -> int:
    """Answer some samples of a run again, in the run's configuration.

    exit codes
      0  answered
      1  a sample failed
      2  the run has no such sample, or a mistake in the command
    """
    from llava_eval.commands.rerun import rerun
    from llava_eval.engine.console import messages_shown

    with messages_shown(-1):
        return rerun(arguments)


@command(
    "probes",
    "RUN RUN [RUN ...] | SWEEP",
    path_argument(
        "paths",
        "RUN",
        "a plain run and runs with probe=..., or the folder of a sweep over probes",
        nargs="+",
    ),
    METRICS_DIR,
    JSON,
)
def _probes(arguments: argparse.Namespace) -> int:
    """Compare probes with the plain run: what do its answers rest on?

    for instance
      llava-eval -m probe=none,blind,shuffled_frames benchmark=videomme/official
      llava-eval probes results/sweeps/...

    blind shows no media, one_frame the middle frame, shuffled_frames and reversed
    the same frames in another order; shuffled_options and none_of_the_above change
    the options. Each can be run on any benchmark (the last two on multiple choice).
    """
    from llava_eval.results.compare.probe_tables import Probes, probes_content, probes_text
    from llava_eval.results.formatting import print_json, terminal_width, write_out
    from llava_eval.results.runs import RunReader

    probes = Probes.of(RunReader(arguments.config_dir).read_all(arguments.paths))
    if arguments.json:
        print_json(probes_content(probes))
    else:
        write_out(probes_text(probes, width=terminal_width()))
    return 0


@command(
    "audit",
    "RUN [--groups N] [--limit PERCENT] [--json]",
    path_argument("run", "RUN", "run directory; it stays as it is"),
    CONFIG_DIR,
    number_argument("--groups", "N", "videos to answer again (default 64)", type=int, default=64),
    argument("--seed", type=int, default=0, help="seed of the draw of these (default 0)"),
    number_argument(
        "--limit", "PERCENT", "share of answers that a switch may change (default 0)", default=0.0
    ),
    JSON,
)
def _audit(arguments: argparse.Namespace) -> int:
    """Answer some videos again in ways that should not change answers.

    Unchanged, one by one, in batches, with shared prefixes, with another attention
    implementation, with a cold cache and in float32. For each the command counts
    the texts, answers and scores that differ from the run's.

    exit codes
      0  no switch changes more answers than the limit
      1  one does
      2  the run cannot be answered again, or a mistake in the command
    """
    from llava_eval.commands.rerun import audit
    from llava_eval.engine.console import messages_shown

    if arguments.groups < 1:
        raise ConfigError(f"audit: --groups {arguments.groups}: expected at least 1")
    if not arguments.limit >= 0:
        raise ConfigError(f"audit: --limit {arguments.limit:g}: expected a percentage from 0 on")
    with messages_shown(-1):
        return audit(arguments)
