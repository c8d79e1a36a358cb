"""The adapters: one row of a data set becomes one sample.

Protocols name them as ``llava_eval.benchmarks.adapters.multiple_choice`` and so on.
"""

from llava_eval.benchmarks.adapters.choice import multiple_choice
from llava_eval.benchmarks.adapters.open import caption, open_ended

__all__ = ["caption", "multiple_choice", "open_ended"]
