"""What a caption metric returns, and what it asks of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class CaptionScore:
    """A caption metric of a set and of each of its samples.

    Attributes:
        corpus: the value of the set, in the reference implementation's own unit: 0 to 1, for CIDEr
            0 to 10. Papers print it times 100.
        per_sample: (num_samples,) float64, the value of each sample in the same unit and in the
            order of the input. Their mean is `corpus` for CIDEr and ROUGE-L, not for BLEU.
    """

    corpus: float
    per_sample: NDArray[np.float64]


def check_captions(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Refuse input that no caption metric is defined on.

    Raises:
        ValueError: no sample at all, unequal numbers of hypotheses and reference lists, a sample
            without references, or one string where a list of references is expected.
    """
    if isinstance(hypotheses, str):
        raise ValueError(f"hypotheses must be one string a sample, got one string: {hypotheses!r}")
    if len(hypotheses) != len(references):
        raise ValueError(
            "each hypothesis needs its own list of references, got "
            f"{len(hypotheses)} hypotheses and {len(references)} lists of references"
        )
    if not len(hypotheses):
        raise ValueError("caption metrics need at least one sample, got none")
    for index, captions in enumerate(references):
        if isinstance(captions, str):
            raise ValueError(
                f"references must be lists of strings, got one string for sample {index}: "
                f"{captions!r}"
            )
        if not len(captions):
            raise ValueError(f"each sample needs at least one reference, sample {index} has none")
