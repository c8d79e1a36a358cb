"""The adapters: one row of a data set becomes one sample, or several.

Protocols name them as ``llava_eval.benchmarks.adapters.multiple_choice`` and so on, those of one
benchmark by their module.
"""

from llava_eval.benchmarks.adapters.open import caption, open_ended
from llava_eval.benchmarks.adapters.options import multiple_choice

__all__ = ["caption", "multiple_choice", "open_ended"]
