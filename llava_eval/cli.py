"""The command line.

Only the standard library is imported at the top: ``llava-eval --help`` must answer at once, while
torch, transformers and Hydra take seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import llava_eval
from llava_eval.errors import ConfigError, LlavaEvalError

if TYPE_CHECKING:
    from llava_eval.pipeline import Outcome

HELP = """\
llava-eval: benchmark evaluation of LLaVA-NeXT-Video and other VLMs

  llava-eval [run] [key=value ...]       evaluate; without arguments the demo
  llava-eval -m key=a,b [key=c,d ...]    a sweep: one run per combination
  llava-eval score generations=FILE benchmark=... [key=value ...]
                                         score texts generated elsewhere
  llava-eval list [benchmarks|models|samplers|scorers]

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
  model=llava_next_video_7b      or model=hf model.checkpoint=FOLDER_OR_HUB_ID
  model.dtype=float16            auto, float32, float16, bfloat16
  model.attention=sdpa           auto, sdpa, eager, flash_attention_2, ...
  quantization=bnb_nf4           none, bnb_nf4, bnb_int8
  sampler.num_frames=16          frames a video
  runner.batch_size=8            questions generated together
  output_dir=DIR                 run directory; again: continues a killed run
  resume=true                    continue the newest unfinished run like this
  errors.max=0                   failed samples that still give exit code 0

exit codes
  0    done
  1    samples failed, or the disk is full
  2    a mistake in the command or its files
  130  interrupted; finished samples are kept
"""

COMMANDS = ("run", "score", "list")


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
    if "--help" in argv or "-h" in argv:
        print(HELP, end="")
        return 0
    if "--version" in argv:
        print(f"llava-eval {llava_eval.__version__}")
        return 0
    try:
        arguments = parse(argv)
        return _COMMANDS[arguments.command](arguments)
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
    from llava_eval.config import compose_config

    if arguments.multirun:
        from llava_eval.sweep import run_sweep

        set_up_logging()
        return run_sweep(arguments.overrides, arguments.config_dir)
    composed = compose_config(arguments.overrides, arguments.config_dir)
    if arguments.print_config:
        import yaml

        print(yaml.safe_dump(dict(composed.resolved), sort_keys=False, width=100), end="")
        return 0
    from llava_eval import pipeline

    set_up_logging()
    return report(pipeline.run(composed))


def _score(arguments: Arguments) -> int:
    from llava_eval import pipeline
    from llava_eval.config import compose_config

    given = [word for word in arguments.overrides if word.startswith("generations=")]
    if len(given) != 1 or not given[0].partition("=")[2]:
        raise ConfigError("score needs generations=FILE, a JSON lines file of generated texts")
    others = [word for word in arguments.overrides if word not in given]
    composed = compose_config(others, arguments.config_dir)
    set_up_logging()
    return report(pipeline.score(composed, Path(given[0].partition("=")[2]).expanduser()))


def _list(arguments: Arguments) -> int:
    from llava_eval.listing import listing_text

    if len(arguments.overrides) > 1:
        raise ConfigError(f"list takes one kind, got {' '.join(arguments.overrides)}")
    kind = arguments.overrides[0] if arguments.overrides else None
    print(listing_text(kind, arguments.config_dir))
    return 0


_COMMANDS: dict[str, Callable[[Arguments], int]] = {"run": _run, "score": _score, "list": _list}


def report(outcome: Outcome) -> int:
    """Print the table and the run directory; return the exit code."""
    import shutil

    from llava_eval.results.tables import to_terminal

    width = shutil.get_terminal_size().columns
    print(to_terminal(outcome.summary, width=width))
    print(f"\n{outcome.directory}")
    if outcome.exit_code:
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


if __name__ == "__main__":
    main()
