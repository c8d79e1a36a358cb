"""The adapters: one row of a data set becomes one sample.

Protocols name them as ``llava_eval.benchmarks.adapters.multiple_choice`` and so on.
"""

from llava_eval.benchmarks.adapters.plain import caption, multiple_choice, open_ended

__all__ = ["caption", "multiple_choice", "open_ended"]
