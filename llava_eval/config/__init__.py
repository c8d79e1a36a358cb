"""Configuration: the typed schema, Hydra composition, and one-line errors for mistakes.

Import :mod:`llava_eval.config.schema` for the data classes alone; this module imports Hydra.
"""

from llava_eval.config.compose import ComposedConfig, compose_config
from llava_eval.config.groups import config_folder
from llava_eval.config.schema import RunConfig
from llava_eval.config.targets import build_target

__all__ = ["ComposedConfig", "RunConfig", "build_target", "compose_config", "config_folder"]
