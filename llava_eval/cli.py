"""The command line.

Only the standard library is imported at the top: ``llava-eval --help`` must answer at once, while
torch, transformers and Hydra take seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llava_eval
from llava_eval.errors import ConfigError, LlavaEvalError

if TYPE_CHECKING:
    from llava_eval.results.report.thumbnails import FrameRequest
    from llava_eval.run import Outcome

HELP = """\
llava-eval: benchmark evaluation of LLaVA-NeXT-Video and other VLMs

  llava-eval [run] [key=value ...]       evaluate; without arguments the demo
  llava-eval -m key=a,b [key=c,d ...]    a sweep: one run per combination
  llava-eval score generations=FILE benchmark=... [key=value ...]
                                         score texts generated elsewhere
  llava-eval list [benchmarks|models|samplers|scorers]
  llava-eval prepare benchmark=... benchmark.media_root=DIR
                                         fetch, unpack and check a benchmark
  llava-eval published [--benchmark B] [--model M]
                                         published scores and their sources
  llava-eval compare RUN RUN ...         paired differences, flips and cost; of
                                         a sweep's folder its curves
  llava-eval gate RUN --baseline FILE    exit 1 when it is worse than a baseline
  llava-eval report PATH ... --out FILE  one HTML page of runs and their samples

options
  --config-dir DIR   also find benchmarks, models, ... in this folder
  --cfg              print the configuration and stop
  -m, --multirun     run every combination of comma-separated values
  --version, --help

keys that you will want (llava-eval --cfg prints them all)
  benchmark=videomme/official    benchmark and protocol
  benchmark.source=rows.jsonl    rows: .parquet .jsonl .json .csv or a folder
  benchmark.media_root=DIR       where its videos lie
  benchmark.limit=100            only the first rows
  benchmark.where.duration=short only one level (or [a,b]) of a facet
  benchmark.sample.size=100      a seeded sample (benchmark.sample.by=[facet])
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
  1    samples failed, the judge stopped, a regression, or the disk is full
  2    a mistake in the command or its files
  130  interrupted; finished samples are kept
"""

COMMANDS = ("run", "score", "list", "prepare", "published", "compare", "gate", "report")
#: Commands that take paths and options of their own, and no configuration; so does their --help.
_ON_RESULTS = ("compare", "gate", "report")
#: What a shell gives for a command that SIGPIPE ended.
_BROKEN_PIPE = 141


@dataclass
class Arguments:
    """The command line, taken apart."""

    command: str = "run"
    overrides: list[str] = field(default_factory=list)
    config_dir: Path | None = None
    multirun: bool = False
    print_config: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run_command(list(sys.argv[1:] if argv is None else argv)))


def run_command(argv: Sequence[str]) -> int:
    """Run one command and return its exit code; mistakes of the user print one line."""
    on_results = bool(argv) and argv[0] in _ON_RESULTS
    if not on_results and ("--help" in argv or "-h" in argv):
        print(HELP, end="")
        return 0
    if not on_results and "--version" in argv:
        print(f"llava-eval {llava_eval.__version__}")
        return 0
    try:
        arguments = parse(argv)
        exit_code = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
        return exit_code
    except BrokenPipeError:
        # `llava-eval list | head`: nobody reads the rest. Nor may Python write it when it leaves.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except LlavaEvalError as error:
        print(f"llava-eval: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "llava-eval: interrupted; finished samples are kept, and the same command with "
            "resume=true (or the same output_dir) continues",
            file=sys.stderr,
        )
        return 130


def parse(argv: Sequence[str]) -> Arguments:
    """Take the arguments apart.

    Raises:
        ConfigError: an unknown command or option.
    """
    arguments = Arguments()
    rest = list(argv)
    if rest and rest[0] in COMMANDS:
        arguments.command = rest.pop(0)
    elif rest and "=" not in rest[0] and not rest[0].startswith("-"):
        raise ConfigError(f"there is no command {rest[0]!r}; commands: {', '.join(COMMANDS)}")
    if arguments.command in ("published", *_ON_RESULTS):
        arguments.overrides = rest  # it takes options of its own, and no configuration
        return arguments
    while rest:
        word = rest.pop(0)
        if word in ("-m", "--multirun"):
            arguments.multirun = True
        elif word == "--cfg":
            arguments.print_config = True
        elif word == "--config-dir" or word.startswith("--config-dir="):
            value = word.partition("=")[2] or (rest.pop(0) if rest else "")
            if not value:
                raise ConfigError("--config-dir needs a folder")
            arguments.config_dir = Path(value).expanduser()
        elif word.startswith("-"):
            raise ConfigError(f"there is no option {word!r}; llava-eval --help lists them")
        else:
            arguments.overrides.append(word)
    return arguments


def _run(arguments: Arguments) -> int:
    from llava_eval.config.compose import compose_config

    if arguments.multirun:
        from llava_eval.engine.sweep import run_sweep

        set_up_logging()
        return run_sweep(arguments.overrides, arguments.config_dir)
    composed = compose_config(arguments.overrides, arguments.config_dir)
    if arguments.print_config:
        import yaml

        print(yaml.safe_dump(dict(composed.resolved), sort_keys=False, width=100), end="")
        return 0
    from llava_eval import run as pipeline

    set_up_logging()
    return report(pipeline.run(composed))


def _score(arguments: Arguments) -> int:
    from llava_eval import run as pipeline
    from llava_eval.config.compose import compose_config

    given = [word for word in arguments.overrides if word.startswith("generations=")]
    if len(given) != 1 or not given[0].partition("=")[2]:
        raise ConfigError("score needs generations=FILE, a JSON lines file of generated texts")
    others = [word for word in arguments.overrides if word not in given]
    composed = compose_config(others, arguments.config_dir)
    set_up_logging()
    return report(pipeline.score(composed, Path(given[0].partition("=")[2]).expanduser()))


def _list(arguments: Arguments) -> int:
    from llava_eval.config.catalogue import listing_text

    if len(arguments.overrides) > 1:
        raise ConfigError(f"list takes one kind, got {' '.join(arguments.overrides)}")
    kind = arguments.overrides[0] if arguments.overrides else None
    print(listing_text(kind, arguments.config_dir))
    return 0


def _prepare(arguments: Arguments) -> int:
    from llava_eval.benchmarks.prepare.prepare import prepare, readiness_text
    from llava_eval.config.compose import compose_config

    composed = compose_config(arguments.overrides, arguments.config_dir)
    set_up_logging()
    readiness = prepare(composed)
    print(readiness_text(readiness))
    return 0 if readiness.is_complete else 1


def _published(arguments: Arguments) -> int:
    import shutil

    from llava_eval.benchmarks.published.scores import read_scores, scores_text

    chosen: dict[str, str] = {}
    words = list(arguments.overrides)
    while words:
        option, equals, value = words.pop(0).partition("=")
        if option not in ("--benchmark", "--model"):
            raise ConfigError(
                f"published takes --benchmark and --model, got {option!r}; llava-eval --help"
            )
        value = value if equals else (words.pop(0) if words else "")
        if not value:
            raise ConfigError(f"{option} needs a name")
        chosen[option.removeprefix("--")] = value
    width = shutil.get_terminal_size().columns
    scores = read_scores(benchmark=chosen.get("benchmark"), model=chosen.get("model"))
    print(scores_text(scores, width=width))
    return 0


def _compare(arguments: Arguments) -> int:
    from llava_eval.results.compare.compare_command import main

    return main(arguments.overrides)


def _gate(arguments: Arguments) -> int:
    from llava_eval.results.gate.gate_command import main

    return main(arguments.overrides)


def _report(arguments: Arguments) -> int:
    from llava_eval.benchmarks.sources import resolve_package_path
    from llava_eval.results.report.report_command import main

    return main(arguments.overrides, resolve_folder=resolve_package_path, read_frames=_read_frames)


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


_COMMANDS: dict[str, Callable[[Arguments], int]] = {
    "run": _run,
    "score": _score,
    "list": _list,
    "prepare": _prepare,
    "published": _published,
    "compare": _compare,
    "gate": _gate,
    "report": _report,
}


def report(outcome: Outcome) -> int:
    """Print the table and the run directory; return the exit code."""
    import shutil

    from llava_eval.results.tables import to_terminal

    width = shutil.get_terminal_size().columns
    print(to_terminal(outcome.summary, width=width))
    print(f"\n{outcome.directory}")
    judge = outcome.summary.judge or {}
    if judge.get("num_judged", 0) < judge.get("num_prompts", 0):
        stopped = f": {judge['stopped']}" if judge["stopped"] else ""
        print(
            f"llava-eval: {judge['num_judged']} of {judge['num_prompts']} prompts are judged"
            f"{stopped}; replies so far are kept in {outcome.directory / 'judge.jsonl'}, and the "
            "same command asks for the others",
            file=sys.stderr,
        )
    if outcome.summary.num_errors > outcome.max_errors:
        print(
            f"llava-eval: {outcome.summary.num_errors} samples failed, at most "
            f"{outcome.max_errors} are allowed (errors.max); their causes are in "
            f"{outcome.directory / 'samples.jsonl'}",
            file=sys.stderr,
        )
    return outcome.exit_code


def set_up_logging() -> None:
    """Send the package's messages to stderr, above the progress bar."""
    import logging

    from tqdm import tqdm

    class BarHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tqdm.write(f"llava-eval: {self.format(record)}", file=sys.stderr)

    logger = logging.getLogger("llava_eval")
    logger.handlers = [BarHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # At every start torchao makes torch say what concerns torchao's authors alone, and for every
    # layer bitsandbytes says that its 8-bit products take float16.
    for name in ("torch.utils._pytree", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
