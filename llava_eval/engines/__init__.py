"""Where the work of a run is done: in this process, or by workers of a Ray cluster."""

from llava_eval.engines.base import Engine
from llava_eval.engines.opening import open_engine

__all__ = ["Engine", "open_engine"]
