"""Commands for evaluations: run, score, list, prepare, doctor, published, completion."""

from __future__ import annotations

import argparse
import shutil
import textwrap

from llava_eval.commands.command import (
    COMMANDS,
    CONFIG_DIR,
    JSON,
    OVERRIDES,
    VERBOSITY,
    argument,
    command,
)
from llava_eval.errors import ConfigError, without_secrets


@command(
    "run",
    "[-m] [key=value ...]",
    OVERRIDES,
    CONFIG_DIR,
    argument(
        "-m",
        "--multirun",
        action="store_true",
        help="a sweep: one run for every combination of comma-separated values",
    ),
    argument("--cfg", action="store_true", help="print the configuration and stop"),
    argument(
        "--dry-run",
        action="store_true",
        help="check rows, media, judge and checkpoint, print the first prompt with its frames and "
        "stop before the weights are read",
    ),
    *VERBOSITY,
)
def _run(arguments: argparse.Namespace) -> int:
    """Evaluate a model on a benchmark; without settings the embedded demo.

    keys that you will want (llava-eval --cfg prints them all)
      benchmark=videomme/official    benchmark and protocol
      benchmark.source=rows.jsonl    rows: .parquet .json(l) .csv .xlsx or a folder
      benchmark.media_root=DIR       folder of its videos
      benchmark.limit=100            only the first rows
      benchmark.where.duration=short only one level (or [a,b]) of a facet
      benchmark.subsample.size=100   a seeded part (benchmark.subsample.by=[facet])
      model=llava_next_video_7b      or model=hf model.checkpoint=FOLDER_OR_HUB_ID
      model=openai_server            a served model: model.base_url=http://.../v1
      model.dtype=float16            auto, float32, float16, bfloat16
      model.attention=sdpa           auto, sdpa, eager, flash_attention_2, ...
      seeds=5                        sampled decoding with five seeds, its spread
      quantization=bnb_nf4           none, bnb_int8, bnb_nf4, torchao_int8, _int4
      sampler.num_frames=16          frames a video
      runner.batch_size=8            questions generated together
      engine=ray                     workers on every GPU of a Ray cluster
      judge.model=...                the judge of GPT-judged protocols, at any
      judge.base_url=http://...      OpenAI-compatible address; key: OPENAI_API_KEY
      output_dir=DIR                 run directory; the same again continues a run
      resume=true                    continue the newest unfinished run like this
      errors.max=0                   most failed samples for exit code 0

    exit codes
      0    done
      1    samples failed, or a disk, a server, a judge or a network failed
      2    a mistake in the command or its files; no model server at its address
      130  interrupted; finished samples are kept
    """
    from llava_eval.config.compose import compose_config

    is_sweep = arguments.multirun or any(word.startswith("seeds=") for word in arguments.overrides)
    if is_sweep and (arguments.dry_run or arguments.cfg):
        raise ConfigError("--dry-run and --cfg look at one run, not at a sweep")
    if is_sweep:
        from llava_eval.commands.sweep import run_sweep

        return run_sweep(arguments.overrides, arguments.config_dir, arguments.verbosity)
    composed = compose_config(arguments.overrides, arguments.config_dir)
    if arguments.cfg:
        import yaml

        print(yaml.safe_dump(dict(composed.resolved), sort_keys=False, width=100), end="")
        return 0
    from llava_eval.engine.console import messages_shown

    if arguments.dry_run:
        from llava_eval.commands.dry_run import dry_run

        with messages_shown(arguments.verbosity):
            print(dry_run(composed))
        return 0
    from llava_eval import run
    from llava_eval.engine.outcome import print_outcome

    with messages_shown(arguments.verbosity):
        return print_outcome(run.run(composed))


@command("score", "generations=FILE benchmark=... [key=value ...]", OVERRIDES, CONFIG_DIR)
def _score(arguments: argparse.Namespace) -> int:
    """Score texts that were generated elsewhere or earlier.

    The file has JSON lines: {"id": sample id, "text": ...} or {"row": number of the
    source row from 0, "text": ...}. It can also be another tool's file, matched by
    the benchmark's ids: samples of lm-eval or lmms-eval (jsonl), VLMEvalKit's sheet
    (xlsx, tsv), inspect's log (json, eval). No media are needed.

    keys that you will want
      generations=FILE               the texts
      benchmark=videomme/official    benchmark and protocol
      benchmark.source=rows.jsonl    rows: .parquet .json(l) .csv .xlsx or a folder
      judge.model=...                the judge of GPT-judged protocols
      model.name=NAME                the name in tables of the texts' model
      output_dir=DIR                 run directory
    """
    from llava_eval import run
    from llava_eval.config.compose import compose_config, take_path
    from llava_eval.engine.console import messages_shown
    from llava_eval.engine.outcome import print_outcome

    generations, others = take_path("generations", arguments.overrides)
    if generations is None:
        raise ConfigError("score needs generations=FILE, a JSON lines file of generated texts")
    composed = compose_config(others, arguments.config_dir)
    with messages_shown():
        is_named = any(text.lstrip("+").startswith("model.name=") for text in others)
        model_name = composed.config.model.name if is_named else None
        return print_outcome(run.score(composed, generations, model_name))


@command(
    "list",
    "[KIND] [NAME] [--json]",
    argument(
        "words",
        nargs="*",
        metavar="KIND NAME",
        help="benchmarks, models, samplers, scorers or experiments; part of a name, video or image",
    ),
    CONFIG_DIR,
    JSON,
)
def _list(arguments: argparse.Namespace) -> int:
    """List benchmarks, models, samplers, scorers or experiments.

    for instance
      llava-eval list benchmarks video     benchmarks of videos
      llava-eval list experiments 7b       published numbers that can be reproduced
      llava-eval --config-dir DIR list     include a folder of your own
    """
    from llava_eval.config.catalogue import KINDS, listing_text

    words = arguments.words
    if len(words) > 2 or (len(words) == 2 and set(words) <= set(KINDS)):
        raise ConfigError(f"list takes one kind and part of a name, got {words}")
    kind = words[0] if words else ""
    pattern = words[1] if len(words) == 2 else ""
    print(listing_text(kind or None, arguments.config_dir, pattern=pattern, as_json=arguments.json))
    return 0


@command("prepare", "benchmark=... benchmark.media_root=DIR [key=value ...]", OVERRIDES, CONFIG_DIR)
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
    from llava_eval.engine.console import messages_shown
    from llava_eval.results.formatting import printable

    composed = compose_config(arguments.overrides, arguments.config_dir)
    with messages_shown():
        readiness = prepare(composed)
    for line in without_secrets(readiness_text(readiness)).split("\n"):
        is_plain = line.isascii() and line.isprintable()
        print(line if is_plain else f"  {printable(line)}")  # a file name may contain any character
    return 0 if readiness.is_complete else 1


@command("doctor", "model.checkpoint=... [key=value ...]", OVERRIDES, CONFIG_DIR)
def _doctor(arguments: argparse.Namespace) -> int:
    """Check that a checkpoint is prompted correctly, with synthetic media.

    Every kind of prompt that the checkpoint accepts goes through a run's own code
    and through plain transformers; tokens, logits, answers and likelihoods must be
    the same.

    keys that you will want
      model.checkpoint=FOLDER        or a hub id
      model.dtype=float16            as for a run, like model.device, ...
      conversation=plain             for checkpoints without a chat template

    exit codes
      0    everything is the same
      1    something differs
      2    a mistake in the command, or the checkpoint cannot be used
    """
    from llava_eval.config.compose import compose_config
    from llava_eval.engine.console import messages_shown
    from llava_eval.models.configured_model import load_checkpoint

    composed = compose_config(["model=hf", *arguments.overrides], arguments.config_dir)
    is_right = True
    with messages_shown():
        loaded = load_checkpoint(composed.config)

        from llava_eval.models.local.doctor import examine

        for finding in examine(loaded, composed.config.conversation):
            print(textwrap.fill(finding.text, 80, subsequent_indent="    "))
            is_right &= finding.is_right
    return 0 if is_right else 1


@command(
    "published",
    "[--benchmark B] [--model M]",
    argument("--benchmark", metavar="B", help="a family, for instance videomme"),
    argument("--model", metavar="M", help="part of the model's name"),
)
def _published(arguments: argparse.Namespace) -> int:
    """Show published scores and their sources."""
    from llava_eval.benchmarks.published.scores import read_scores, scores_text

    scores = read_scores(benchmark=arguments.benchmark, model=arguments.model)
    print(scores_text(scores, width=shutil.get_terminal_size().columns))
    return 0


@command(
    "completion",
    "bash|zsh|fish",
    argument("shell", choices=("bash", "zsh", "fish"), help="the shell that reads the script"),
)
def _completion(arguments: argparse.Namespace) -> int:
    """Print a script that completes commands, options, keys and choices.

    where to save the script
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
