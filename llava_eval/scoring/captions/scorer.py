"""Captions, scored against references over the whole set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.scoring.captions.corpus import BLEU_COUNTS, CountedCaptions
from llava_eval.scoring.scorer import read
from llava_eval.types import Generation, Sample, Score


@dataclass(frozen=True)
class CaptionScorer:
    """CIDEr, ROUGE-L and BLEU of each caption, as pycocoevalcap computes them.

    A caption's CIDEr depends on the references of the whole evaluated set (its document
    frequencies), so nothing is scored before all texts are there, and values of a subset cannot be
    compared with those of the full set.

    The score's value is CIDEr in the reference's own unit, 0 to 10; the other metrics are details
    in theirs, 0 to 1, and so are the counts that BLEU of the whole set is made of.
    """

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        """Return one score per caption; see :class:`llava_eval.scoring.scorer.Scorer`."""
        texts = [str(generation.text) for generation in generations]
        if not any(sample.targets for sample in samples):
            return [
                read(sample, " ".join(text.split()), 0.0, "as it is")
                for text, sample in zip(texts, samples, strict=True)
            ]
        counted = CountedCaptions.of(texts, [sample.targets for sample in samples])
        details = {name: score.per_sample.tolist() for name, score in counted.scores().items()}
        details[BLEU_COUNTS] = counted.bleu_counts().tolist()
        return [
            Score(
                value=details["cider"][row],
                answer=" ".join(text.split()),
                explanation=f"CIDEr {details['cider'][row]:.4g} of 10 against "
                f"{len(sample.targets)} references, weighed by the whole set",
                details={name: values[row] for name, values in details.items()},
            )
            for row, (text, sample) in enumerate(zip(texts, samples, strict=True))
        ]
