"""Exact frames without decoding the others; :mod:`llava_eval.video.decode` works without it."""
