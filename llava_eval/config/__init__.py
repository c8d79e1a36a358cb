"""Configuration: the typed schema, Hydra composition, and one-line errors for mistakes.

Import :mod:`llava_eval.config.schema` for the data classes alone; this module imports Hydra.
"""
