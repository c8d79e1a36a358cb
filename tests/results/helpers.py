"""Results to write and read in tests."""

from __future__ import annotations

from typing import Any

from llava_eval.types import Generation, SampleResult, Score


def make_result(number: int, **changes: Any) -> SampleResult:
    """Return the result of row ``number``, with some fields changed."""
    fields: dict[str, Any] = {
        "id": f"q{number}",
        "row": number,
        "group": f"video {number // 3}",
        "facets": {"duration": "short" if number % 2 else "long"},
        "question": "Which?",
        "choices": ("x", "y"),
        "media": (f"{number // 3}.mp4",),
        "prompt": "Which?\nA. x\nB. y",
        "frame_indices": ((0, 5, 9),),
        "target": ("A",),
        "generation": Generation("A", 12, 2, "eos"),
        "score": Score(1.0, "A"),
    }
    return SampleResult(**{**fields, **changes})
