"""Captions, scored against references over the whole set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.scoring.captions.corpus import BLEU_COUNTS, CountedCaptions
from llava_eval.scoring.scorer import NOT_SCORED_BECAUSE, read
from llava_eval.types import Generation, Sample, Score

_ONE_CAPTION = (
    f"{NOT_SCORED_BECAUSE}CIDEr weighs words by how few of the captioned items have them, so that "
    "of a single one it is 0 whatever the caption"
)


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
        pairs = list(zip([str(item.text) for item in generations], samples, strict=True))
        known = [(text, sample.targets) for text, sample in pairs if sample.targets]
        scores = iter(self._scores(known))
        return [
            next(scores)
            if sample.targets
            else read(sample, " ".join(text.split()), 0.0, "as it is")
            for text, sample in pairs
        ]

    def _scores(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> list[Score]:
        """Return the scores of captions with their references."""
        if not pairs:
            return []
        counted = CountedCaptions.of([text for text, _ in pairs], [refs for _, refs in pairs])
        details = {name: score.per_sample.tolist() for name, score in counted.scores().items()}
        details[BLEU_COUNTS] = counted.bleu_counts().tolist()
        if len(pairs) == 1:
            details["cider"] = [None]
        return [
            Score(
                value=details["cider"][row],
                answer=_on_one_line(text),
                explanation=_ONE_CAPTION
                if details["cider"][row] is None
                else f"CIDEr {details['cider'][row]:.4g} of 10 against {len(references)} "
                "references, weighed by the whole set",
                details={name: values[row] for name, values in details.items()},
            )
            for row, (text, references) in enumerate(pairs)
        ]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
