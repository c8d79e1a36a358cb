"""The commands of the command line, one function each; importing them registers them.

Three modules hold the commands with their arguments; what a command needs beyond one call stands
beside them, and is imported when it is called: ``sweep``, ``dry_run``, ``show``, ``rerun``.
"""

from llava_eval.commands import evaluate, explain, results
from llava_eval.commands.command import COMMANDS, Command, HelpShown, Parser

__all__ = ["COMMANDS", "Command", "HelpShown", "Parser", "evaluate", "explain", "results"]
