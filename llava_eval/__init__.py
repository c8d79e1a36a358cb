"""Benchmark evaluation of LLaVA-NeXT-Video and other image-text-to-text models."""

__version__ = "0.1.0"
