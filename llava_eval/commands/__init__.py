"""The commands of the command line, one function each; importing them registers them."""

from llava_eval.commands import evaluate, explain, results
from llava_eval.commands.command import COMMANDS, Command, HelpShown, Parser

__all__ = ["COMMANDS", "Command", "HelpShown", "Parser", "evaluate", "explain", "results"]
