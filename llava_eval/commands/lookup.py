"""Commands that look something up: published, completion."""

from __future__ import annotations

import argparse
import shutil

from llava_eval.commands.command import COMMANDS, argument, command


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
