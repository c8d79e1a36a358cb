"""Write completion scripts for bash, zsh and fish.

The scripts contain all the words, because starting Python at each Tab would be slow.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from llava_eval.config.catalogue import KINDS
from llava_eval.config.choices import list_choices, list_groups
from llava_eval.config.roles import declared_settings

_BASH: Final = """\
_llava_eval() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" words command=run word
    local current="${{line##* }}"
    for word in $line; do
        case "$word" in {commands}) command="$word"; break ;; esac
    done
    case "$command" in
{cases}
    esac
    if [[ "$line" != *" "*" "* ]]; then words="$words {spaced}"; fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    # Bash ends a word at "=" and wants what follows it alone.
    if [[ "$current" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then
        COMPREPLY=("${{COMPREPLY[@]#"${{current%"${{current##*=}}"}}"}}")
    fi
    if [[ "${{COMPREPLY[0]-}}" == *= ]]; then compopt -o nospace 2> /dev/null; fi
}}
complete -o default -F _llava_eval llava-eval
"""

_ZSH: Final = """\
#compdef llava-eval
_llava_eval() {{
    local command=run word
    local -a found
    for word in ${{words[2,CURRENT-1]}}; do
        case "$word" in {commands}) command="$word"; break ;; esac
    done
    case "$command" in
{cases}
    esac
    if (( CURRENT == 2 )); then found+=({spaced}); fi
    compadd -S '' -a found || _files
}}
compdef _llava_eval llava-eval
"""


def completion_script(shell: str, options: Mapping[str, Sequence[str]]) -> str:
    """Return the shell completion script for ``llava-eval``.

    Args:
        shell: "bash", "zsh" or "fish".
        options: the options of each command, by the command's name.
    """
    words = {command: _words_of(command, own) for command, own in options.items()}
    if shell == "fish":
        return _fish(words)
    if shell == "bash":
        values = {name: f"words={shlex.quote(' '.join(listed))}" for name, listed in words.items()}
        template = _BASH
    else:
        values = {name: f"found=({shlex.join(listed)})" for name, listed in words.items()}
        template = _ZSH
    cases = "\n".join(f"        {name}) {value} ;;" for name, value in values.items())
    return template.format(commands="|".join(words), cases=cases, spaced=" ".join(words))


def _fish(words: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c llava-eval -n __fish_use_subcommand -a {shlex.quote(' '.join(words))}"]
    for command, listed in words.items():
        condition = f"__fish_seen_subcommand_from {command}"
        if command == "run":
            others = " ".join(name for name in words if name != "run")
            condition = f"not __fish_seen_subcommand_from {others}"
        lines.append(
            f"complete -c llava-eval -n {shlex.quote(condition)} -a {shlex.quote(' '.join(listed))}"
        )
    return "\n".join(lines) + "\n"


def _words_of(command: str, options: Sequence[str]) -> list[str]:
    """Return the words that may follow a command."""
    if command == "list":
        return [*KINDS, *options]
    if command == "completion":
        return ["bash", "zsh", "fish"]
    if command in ("run", "score", "prepare", "doctor"):
        choices = [
            f"{group}={choice}"
            for group in list_groups()
            if group not in ("hydra", "local")
            for choice in list_choices(group)
        ]
        keys = [f"{key}=" for key in (*declared_settings(), "sampler.num_frames")]
        return [*choices, *keys, *options]
    return list(options)
