"""WUPS: how near the words of an answer are to those of the reference, in WordNet 3.0."""

from llava_eval.scoring.wups.wups import Wups

__all__ = ["Wups"]
