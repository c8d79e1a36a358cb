"""The command line: a parser and a help of its own for every command.

Only the standard library is imported at the top: ``llava-eval --help`` must answer at once, while
torch, transformers and Hydra take seconds. What a command does lies in its stage; here it is
looked up and given its arguments, and its errors become one line and an exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import llava_eval
from llava_eval.config.groups import USERS_FOLDER
from llava_eval.errors import ConfigError, LlavaEvalError, without_secrets

if TYPE_CHECKING:
    from llava_eval.results.report.thumbnails import FrameRequest

OVERVIEW = """\
llava-eval: benchmark evaluation of LLaVA-NeXT-Video and other VLMs

  llava-eval [COMMAND] ...     without a command: run
  llava-eval COMMAND --help    options, keys and exit codes of a command

commands
{commands}

options
  --config-dir DIR   also find benchmarks, models, ... in this folder
  --version, --help

exit codes
  0    done
  1    samples failed, the judge stopped, a regression, or the disk is full
  2    a mistake in the command or its files
  70   a defect of llava-eval; the line names a file with the traceback
  130  interrupted; finished samples are kept
"""

_DEFECT = os.EX_SOFTWARE
_INTERRUPTED = 130
#: What a shell gives for a command that SIGPIPE ended.
_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupts)
    exit_code = run_command(list(sys.argv[1:] if argv is None else argv))
    _interrupts.exit_code = exit_code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if any(thread.name == "decode-ahead" for thread in threading.enumerate()):
        # A thread that comes back from torch after Python has begun to end is ended by force, and
        # that aborts the process: "terminate called without an active exception".
        os._exit(exit_code)
    sys.exit(exit_code)


class _Interrupts:
    """What Ctrl-C does: the first one ends the command, and further ones do not break its end off.

    Who presses it once more after a while does not want to wait and leaves at once.
    """

    PATIENCE_SECONDS = 3.0

    def __init__(self) -> None:
        self.exit_code: int | None = None  # once the command has ended
        self._first: float | None = None

    def __call__(self, *_: object) -> None:
        """Handle one SIGINT."""
        if self.exit_code is not None:
            os._exit(self.exit_code)
        if self._first is None:
            self._first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._first > self.PATIENCE_SECONDS:
            os._exit(_INTERRUPTED)


_interrupts = _Interrupts()


def run_command(argv: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever ends it early prints one line.

    Args:
        argv: the words after ``llava-eval``.

    Returns:
        The exit code; see :data:`OVERVIEW`.
    """
    try:
        exit_code = _dispatch(list(argv))
        sys.stdout.flush()
        return exit_code
    except _HelpShown:
        return 0
    except BrokenPipeError:
        # `llava-eval list | head`: nobody reads the rest. Nor may Python write it when it leaves.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except LlavaEvalError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain(
            "interrupted; finished samples are kept, and the same command with resume=true (or "
            "the same output_dir) continues"
        )
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last net: what is left is a defect of ours
        _complain(_defect(error))
        return _DEFECT


def _complain(message: str) -> None:
    from llava_eval.results.formatting import printable

    print(f"llava-eval: {printable(message)}", file=sys.stderr)


def _defect(error: Exception) -> str:
    """Keep the traceback of a defect in a file, and return one line that says where."""
    import tempfile
    import traceback

    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    text = without_secrets("".join(traceback.format_exception(error)))
    try:
        descriptor, path = tempfile.mkstemp(prefix="llava-eval-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError:
        path = "no file, for none can be written"
    return (
        f"unexpected {type(error).__name__} in {frame.f_code.co_filename}, line {line}: "
        f"{LlavaEvalError(str(error))}; this is a defect of llava-eval, or of code that the "
        f"configuration names; its traceback is in {path}, and finished samples are kept"
    )


def _dispatch(words: list[str]) -> int:
    """Run the command that the words name, ``run`` where they name none."""
    index = _index_of_command(words)
    if index is None and words[:1] == ["--version"]:
        print(f"llava-eval {llava_eval.__version__}")
        return 0
    if index is None and words[:1] in (["-h"], ["--help"]):
        lines = [f"  {name:<10} {item.summary.rstrip('.')}" for name, item in COMMANDS.items()]
        print(OVERVIEW.format(commands="\n".join(lines)), end="")
        return 0
    name = "run" if index is None else words.pop(index)
    command = COMMANDS[name]
    return command.function(_Parser(name, command).parsed(words))


def _index_of_command(words: Sequence[str]) -> int | None:
    """Return where the command stands: the first word that is no option; None where there is none.

    Raises:
        ConfigError: that word is neither a command nor key=value.
    """
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] == "--config-dir" else 1
    if index >= len(words) or "=" in words[index]:
        return None
    if words[index] not in COMMANDS:
        raise ConfigError(f"there is no command {words[index]!r}; commands: {', '.join(COMMANDS)}")
    return index


# Commands and their arguments.


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        function: does it, and returns the exit code; its docstring is the help.
        usage: its arguments in short.
        arguments: positional and keyword parameters of argparse's ``add_argument``.
    """

    function: Callable[[argparse.Namespace], int]
    usage: str
    arguments: Sequence[tuple[tuple[str, ...], dict[str, Any]]]

    @property
    def summary(self) -> str:
        """The first line of the help."""
        return (self.function.__doc__ or "").partition("\n")[0]

    @property
    def details(self) -> str:
        """The other lines of the help."""
        return textwrap.dedent((self.function.__doc__ or "").partition("\n")[2]).strip()


#: Every command by its name.
COMMANDS: dict[str, Command] = {}

_Function = Callable[[argparse.Namespace], int]
_Argument = tuple[tuple[str, ...], dict[str, Any]]


def _argument(*names: str, **settings: Any) -> _Argument:
    return names, settings


def _command(name: str, usage: str, *arguments: _Argument) -> Callable[[_Function], _Function]:
    """Register a function as a command."""

    def register(function: _Function) -> _Function:
        COMMANDS[name] = Command(function, usage, arguments)
        return function

    return register


class _HelpShown(Exception):
    """Help was asked for, and printed."""


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are a :class:`ConfigError`, and whose help fits 80 columns."""

    def __init__(self, name: str, command: Command) -> None:
        super().__init__(
            prog=f"llava-eval {name}",
            usage=f"llava-eval {name} {command.usage}",
            description=command.summary,
            epilog=command.details + (_other_commands() if name == "run" else ""),
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=28, width=80
            ),
            allow_abbrev=False,
        )
        for names, settings in command.arguments:
            self.add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError where argparse would print its usage."""
        name = self.prog.partition(" ")[2]
        raise ConfigError(f"{name}: {message}; usage: {self.usage}; {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise where argparse would end the process."""
        raise _HelpShown

    def parsed(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the arguments; options may stand before, between and after the others.

        Raises:
            ConfigError: a mistake in them.
            _HelpShown: the command is done.
        """
        if not words:
            return self.parse_args([])  # names all that is missing, which the next does not
        arguments, rest = self.parse_known_intermixed_args(list(words))
        if rest:
            self.error(f"there is no {'option' if rest[0][0] == '-' else 'use for'} {rest[0]!r}")
        return arguments


def _other_commands() -> str:
    names = ", ".join(name for name in COMMANDS if name != "run")
    return "\n\n" + textwrap.fill(f"other commands: {names}", 80)


class _Folder(argparse.Action):
    """An option that takes a folder, and says so where none is given."""

    def __call__(self, parser: Any, namespace: Any, value: Any, option: str | None = None) -> None:
        if not value:
            raise ConfigError(f"{option} needs a folder")
        setattr(namespace, self.dest, _path(value))


def _path(text: str) -> Path:
    return Path(text).expanduser()


_OVERRIDES = _argument(
    "overrides", nargs="*", metavar="key=value", help="a setting, or the choice of a group"
)
_CONFIG_DIR = _argument(
    "--config-dir",
    nargs="?",
    action=_Folder,
    type=Path,
    default=str(USERS_FOLDER),
    metavar="DIR",
    help=f"also find benchmarks, models, ... in this folder (default: {USERS_FOLDER})",
)
_METRICS_DIR = _argument(
    "--config-dir",
    nargs="?",
    action=_Folder,
    type=Path,
    default=str(USERS_FOLDER),
    metavar="DIR",
    help="call metrics of your own that files in this folder name (default: "
    f"{USERS_FOLDER}); nothing else that a run names is imported",
)


_VERBOSITY = (
    _argument(
        "-q",
        dest="verbosity",
        action="store_const",
        const=-1,
        default=0,
        help="show warnings, errors and the table alone",
    ),
    _argument(
        "-v", dest="verbosity", action="store_const", const=1, default=0, help="show details too"
    ),
)


@_command(
    "run",
    "[-m] [key=value ...]",
    _OVERRIDES,
    _CONFIG_DIR,
    _argument(
        "-m",
        "--multirun",
        action="store_true",
        help="a sweep: one run for every combination of comma-separated values",
    ),
    _argument("--cfg", action="store_true", help="print the configuration and stop"),
    *_VERBOSITY,
)
def _run(arguments: argparse.Namespace) -> int:
    """Evaluate a model on a benchmark; without settings the embedded demo.

    keys that you will want (llava-eval --cfg prints them all)
      benchmark=videomme/official    benchmark and protocol
      benchmark.source=rows.jsonl    rows: .parquet .jsonl .json .csv or a folder
      benchmark.media_root=DIR       where its videos lie
      benchmark.limit=100            only the first rows
      benchmark.where.duration=short only one level (or [a,b]) of a facet
      benchmark.subsample.size=100   a seeded part (benchmark.subsample.by=[facet])
      model=llava_next_video_7b      or model=hf model.checkpoint=FOLDER_OR_HUB_ID
      model=openai_server            a served model: model.base_url=http://.../v1
      model.dtype=float16            auto, float32, float16, bfloat16
      model.attention=sdpa           auto, sdpa, eager, flash_attention_2, ...
      quantization=bnb_nf4           none, bnb_int8, bnb_nf4, torchao_int8, _int4
      sampler.num_frames=16          frames a video
      runner.batch_size=8            questions generated together
      engine=ray                     workers on every GPU of a Ray cluster
      judge.model=...                the judge of GPT-judged protocols, at any
      judge.base_url=http://...      OpenAI-compatible address; key: OPENAI_API_KEY
      output_dir=DIR                 run directory; again: continues a killed run
      resume=true                    continue the newest unfinished run like this
      errors.max=0                   failed samples that still give exit code 0

    exit codes
      0    done
      1    samples failed, the judge stopped, or the disk is full
      2    a mistake in the command or its files
      130  interrupted; finished samples are kept
    """
    from llava_eval.config.compose import compose_config

    if arguments.multirun:
        from llava_eval.engine.sweep import run_sweep

        return run_sweep(arguments.overrides, arguments.config_dir, arguments.verbosity)
    composed = compose_config(arguments.overrides, arguments.config_dir)
    if arguments.cfg:
        import yaml

        print(yaml.safe_dump(dict(composed.resolved), sort_keys=False, width=100), end="")
        return 0
    from llava_eval import run
    from llava_eval.engine.messages import messages_shown
    from llava_eval.engine.outcome import print_outcome

    with messages_shown(arguments.verbosity):
        return print_outcome(run.run(composed))


@_command("score", "generations=FILE benchmark=... [key=value ...]", _OVERRIDES, _CONFIG_DIR)
def _score(arguments: argparse.Namespace) -> int:
    """Score texts that were generated elsewhere or earlier.

    The file holds JSON lines: {"id": sample id, "text": ...} or {"row": number of
    the source row from 0, "text": ...}. No media are needed.

    keys that you will want
      generations=FILE               the texts
      benchmark=videomme/official    benchmark and protocol
      benchmark.source=rows.jsonl    rows: .parquet .jsonl .json .csv or a folder
      judge.model=...                the judge of GPT-judged protocols
      output_dir=DIR                 run directory
    """
    from llava_eval import run
    from llava_eval.config.compose import compose_config
    from llava_eval.engine.messages import messages_shown
    from llava_eval.engine.outcome import print_outcome

    given = [word for word in arguments.overrides if word.startswith("generations=")]
    if len(given) != 1 or not given[0].partition("=")[2]:
        raise ConfigError("score needs generations=FILE, a JSON lines file of generated texts")
    others = [word for word in arguments.overrides if word not in given]
    composed = compose_config(others, arguments.config_dir)
    with messages_shown():
        return print_outcome(run.score(composed, _path(given[0].partition("=")[2])))


@_command(
    "list",
    "[KIND] [NAME] [--json]",
    _argument(
        "words",
        nargs="*",
        metavar="KIND NAME",
        help="benchmarks, models, samplers, scorers or experiments, and part of a name",
    ),
    _CONFIG_DIR,
    _argument("--json", action="store_true", help="write JSON"),
)
def _list(arguments: argparse.Namespace) -> int:
    """Show what there is to choose from.

    for instance
      llava-eval list benchmarks video     benchmarks with "video" in their names
      llava-eval list experiments 7b       published numbers that can be reproduced
      llava-eval --config-dir DIR list     a folder of one's own, too
    """
    from llava_eval.config.catalogue import KINDS, listing_text

    kind, pattern, *rest = [*arguments.words, "", ""][: max(2, len(arguments.words))]
    if rest or (kind in KINDS and pattern in KINDS):
        raise ConfigError(f"list takes one kind and part of a name, got {arguments.words}")
    print(listing_text(kind or None, arguments.config_dir, pattern=pattern, as_json=arguments.json))
    return 0


@_command(
    "prepare",
    "benchmark=... benchmark.media_root=DIR [key=value ...]",
    _OVERRIDES,
    _CONFIG_DIR,
)
def _prepare(arguments: argparse.Namespace) -> int:
    """Fetch, unpack and check the media of a benchmark.

    keys that you will want
      benchmark=videomme/official    benchmark and protocol
      benchmark.media_root=DIR       folder to unpack into

    exit codes
      0  everything is there
      1  files are missing, or cannot be fetched or unpacked
      2  a mistake in the command
    """
    from llava_eval.benchmarks.prepare.prepare import prepare, readiness_text
    from llava_eval.config.compose import compose_config
    from llava_eval.engine.messages import messages_shown

    composed = compose_config(arguments.overrides, arguments.config_dir)
    with messages_shown():
        readiness = prepare(composed)
    print(readiness_text(readiness))
    return 0 if readiness.is_complete else 1


@_command("doctor", "model.checkpoint=... [key=value ...]", _OVERRIDES, _CONFIG_DIR)
def _doctor(arguments: argparse.Namespace) -> int:
    """Check that a checkpoint is asked rightly, with synthetic media.

    Every kind of prompt that the checkpoint takes is asked as a run would and the
    plain way of transformers; tokens, logits, answers and likelihoods must be the
    same.

    keys that you will want
      model.checkpoint=FOLDER        or a hub id
      model.dtype=float16            as for a run; so are model.device, ...
      conversation=plain             for checkpoints without a chat template

    exit codes
      0    everything is the same
      1    something differs
      2    a mistake in the command, or the checkpoint cannot be used
    """
    from llava_eval.config.compose import compose_config
    from llava_eval.models.base import load_checkpoint

    overrides = arguments.overrides
    has_model = any(word.startswith("model=") for word in overrides)
    composed = compose_config(
        [*([] if has_model else ["model=hf"]), *overrides], arguments.config_dir
    )
    loaded = load_checkpoint(composed.config)

    from llava_eval.models.local.doctor import examine

    is_right = True
    for finding in examine(loaded, composed.config.conversation):
        print(finding.text)
        is_right &= finding.is_right
    return 0 if is_right else 1


@_command(
    "published",
    "[--benchmark B] [--model M]",
    _argument("--benchmark", metavar="B", help="a family, for instance videomme"),
    _argument("--model", metavar="M", help="part of the model's name"),
)
def _published(arguments: argparse.Namespace) -> int:
    """Show published scores and their sources."""
    from llava_eval.benchmarks.published.scores import read_scores, scores_text

    scores = read_scores(benchmark=arguments.benchmark, model=arguments.model)
    print(scores_text(scores, width=shutil.get_terminal_size().columns))
    return 0


@_command(
    "compare",
    "RUN RUN [RUN ...] | SWEEP",
    _argument(
        "paths",
        nargs="+",
        type=_path,
        metavar="RUN",
        help="run directories, all compared with the first; or folders of a sweep",
    ),
    _METRICS_DIR,
    _argument(
        "--allow-differences",
        action="store_true",
        help="compare runs that are not finished, or whose prompts, targets, media or benchmark "
        "version differ",
    ),
    _argument(
        "--export",
        type=_path,
        metavar="DIR",
        help="write JSON, tables (Markdown, CSV, LaTeX) and curves (SVG; PNG with matplotlib)",
    ),
)
def _compare(arguments: argparse.Namespace) -> int:
    """Compare runs of the same questions, or the runs of a sweep.

    Samples are paired by id. Intervals and p-values treat the questions of one
    video as one cluster; McNemar's exact test takes samples as independent.

    exit codes
      0  compared
      2  the runs cannot be compared, or a mistake in the command
    """
    from llava_eval.results.compare import compare_paths

    compare_paths(
        arguments.paths,
        export=arguments.export,
        allow_differences=arguments.allow_differences,
        config_dir=arguments.config_dir,
    )
    return 0


@_command(
    "plan",
    "[RUN [RUN]] [--detect POINTS] [options]",
    _argument("runs", nargs="*", type=_path, metavar="RUN", help="one run, or a pair of runs"),
    _METRICS_DIR,
    _argument(
        "--detect",
        type=float,
        metavar="POINTS",
        help="the difference to be found, in the metric's unit (default: usual ones)",
    ),
    _argument(
        "--flips",
        type=float,
        metavar="PERCENT",
        help="samples whose score changes either way, where no pair of runs tells",
    ),
    _argument(
        "--per-group",
        type=float,
        default=1.0,
        metavar="N",
        help="samples of a group (video), where no run tells (default 1)",
    ),
    _argument("--json", action="store_true", help="write JSON"),
)
def _plan(arguments: argparse.Namespace) -> int:
    """Say how many samples a difference takes, and how long they take.

    A pair of runs tells best by how much chance moves a difference; one run gives
    the safe side. The samples at hand are shown the other way round: what they
    could detect.

    for instance
      llava-eval plan runs/base runs/nf4 --detect 1
      llava-eval plan --flips 8 --per-group 3 --detect 1
    """
    from llava_eval.results.plan import plan_command

    plan_command(
        arguments.runs,
        detect=arguments.detect,
        flips=arguments.flips,
        per_group=arguments.per_group,
        as_json=arguments.json,
        config_dir=arguments.config_dir,
    )
    return 0


@_command(
    "gate",
    "RUN --baseline FILE_OR_RUN [options]",
    _argument("run", metavar="RUN", type=_path, help="run directory"),
    _METRICS_DIR,
    _argument(
        "--baseline",
        type=_path,
        metavar="FILE_OR_RUN",
        help="a written baseline, or another run directory",
    ),
    _argument(
        "--write-baseline",
        type=_path,
        metavar="FILE",
        help="write RUN's baseline and do nothing else",
    ),
    _argument(
        "--tolerance",
        action="append",
        default=[],
        metavar="METRIC=POINTS",
        help="how much worse a metric may get; may be given several times",
    ),
    _argument(
        "--alpha",
        type=float,
        default=0.05,
        help="how often a model as good as the baseline fails (default 0.05)",
    ),
    _argument(
        "--mode",
        choices=("regression", "noninferior"),
        default="regression",
        help="noninferior: a metric with a tolerance passes only where it is shown to be worse by "
        "less (default: regression, where it fails when it is shown to be worse)",
    ),
    _argument(
        "--max-slowdown",
        type=float,
        metavar="FACTOR",
        help="most model seconds a sample, as a multiple of the baseline's",
    ),
    _argument("--junit", type=_path, metavar="FILE", help="write JUnit XML"),
    _argument("--summary", type=_path, metavar="FILE", help="write Markdown for a pull request"),
)
def _gate(arguments: argparse.Namespace) -> int:
    """Fail when a run is worse than a baseline.

    A metric has regressed when the paired interval of its difference, clustered by
    video, excludes no change and the drop exceeds the tolerance. Tolerances are in
    the metric's own points; unreadable=1 allows one percent more unreadable
    answers, errors=1 one percent more failed samples.

    exit codes
      0  passed
      1  regressed, or (--mode noninferior) not shown to be no worse
      2  cannot compare, or a mistake in the command
    """
    from llava_eval.results.gate import rule_of, run_gate, write_baseline_of

    if (arguments.baseline is None) == (arguments.write_baseline is None):
        raise ConfigError("gate needs either --baseline FILE_OR_RUN or --write-baseline FILE")
    if arguments.write_baseline is not None:
        write_baseline_of(arguments.run, arguments.write_baseline)
        return 0
    rule = rule_of(
        alpha=arguments.alpha,
        tolerances=arguments.tolerance,
        max_slowdown=arguments.max_slowdown,
        mode=arguments.mode,
    )
    files = {"junit": arguments.junit, "summary": arguments.summary}
    return run_gate(
        arguments.run, arguments.baseline, rule, **files, config_dir=arguments.config_dir
    )


@_command(
    "frames",
    "diff RUN RUN_OR_FOLDER",
    _argument("action", choices=["diff"], metavar="diff", help="compare what was shown"),
    _argument("run", type=_path, metavar="RUN", help="run directory"),
    _argument(
        "other",
        type=_path,
        metavar="RUN_OR_FOLDER",
        help="another run directory, or a folder of pictures that another tool wrote",
    ),
)
def _frames(arguments: argparse.Namespace) -> int:
    """Say which samples of two runs saw other frames or prompts.

    Pictures without loss of another tool's frames are compared, too: those of one
    sample in FOLDER/ID, or of one video in FOLDER/NAME (its file name without the
    ending), in natural order.

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


@_command(
    "report",
    "PATH [PATH ...] --out FILE [options]",
    _argument(
        "paths", nargs="+", type=_path, metavar="PATH", help="run directories, or folders of runs"
    ),
    _METRICS_DIR,
    _argument("--out", required=True, type=_path, metavar="FILE", help="the page"),
    _argument(
        "--thumbnails-mb",
        type=float,
        default=8.0,
        metavar="MB",
        help="most that pictures of frames may add (default 8; 0: none)",
    ),
    _argument(
        "--thumbnails-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="most time to take them in (default 10)",
    ),
    _argument(
        "--export",
        type=_path,
        metavar="DIR",
        help="also write tables (Markdown, CSV, LaTeX) and curves (SVG; PNG with matplotlib)",
    ),
)
def _report(arguments: argparse.Namespace) -> int:
    """Write one HTML page with runs and all their samples.

    The page needs no network and no server. Videos that are missing have no
    pictures; that is no error.

    exit codes
      0  written
      2  a path holds no run, or a mistake in the command
    """
    from llava_eval.borders.files import resolve_package_path
    from llava_eval.results.report import write_report
    from llava_eval.results.report.thumbnails import Budget

    for name in ("thumbnails_mb", "thumbnails_seconds"):
        if not getattr(arguments, name) >= 0:
            raise ConfigError(f"report: --{name.replace('_', '-')} must be at least 0")
    write_report(
        arguments.paths,
        arguments.out,
        Budget(int(1e6 * arguments.thumbnails_mb), arguments.thumbnails_seconds),
        read_frames=_read_frames,
        resolve_folder=resolve_package_path,
        export=arguments.export,
        config_dir=arguments.config_dir,
    )
    return 0


def _read_frames(requests: Sequence[FrameRequest]) -> Generator[Any, None, None]:
    """Yield frames (N, H, W, 3) of each video, and None for one that cannot be read."""
    from llava_eval.types import Media
    from llava_eval.video import decode_ahead, read_media

    def read(request: FrameRequest) -> Any:
        clip = read_media(Media("video", request.path), lambda _: request.frame_indices)
        return clip.frames.permute(0, 2, 3, 1).contiguous().numpy()

    outcomes = decode_ahead(requests, read, num_workers=2, max_pending=4, timeout_seconds=30.0)
    for outcome in outcomes:
        yield outcome.value


@_command(
    "completion",
    "bash|zsh|fish",
    _argument("shell", choices=("bash", "zsh", "fish"), help="the shell that reads the script"),
)
def _completion(arguments: argparse.Namespace) -> int:
    """Write a script that completes commands, options, keys and choices.

    where the script goes
      bash  ~/.local/share/bash-completion/completions/llava-eval
      zsh   a folder of $fpath, as _llava-eval
      fish  ~/.config/fish/completions/llava-eval.fish
    """
    from llava_eval.config.completion import completion_script

    options = {
        name: [word for names, _ in command.arguments for word in names if word.startswith("-")]
        for name, command in COMMANDS.items()
    }
    print(completion_script(arguments.shell, options), end="")
    return 0


if __name__ == "__main__":
    main()
