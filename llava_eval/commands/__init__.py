"""The commands of the command line, one function each; importing them registers them.

``evaluate``, ``explain`` and ``results`` define the commands and their arguments. Longer
implementations (``sweep``, ``dry_run``, ``show``, ``rerun``) are imported only when called.
"""

from llava_eval.commands import evaluate, explain, results
from llava_eval.commands.command import COMMANDS, Command, HelpShown, Parser

__all__ = ["COMMANDS", "Command", "HelpShown", "Parser", "evaluate", "explain", "results"]
