"""Yes or no: POPE and MME."""

from __future__ import annotations

from dataclasses import dataclass

from llava_eval.scorers.image.reading import read
from llava_eval.types import Sample, Score


@dataclass(frozen=True)
class PopeLmmsEval:
    """POPE in lmms-eval: the reply is "yes" or "no" and nothing else, "Yes." is neither.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/pope/utils.py, pope_process_results.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right word, 0.0 for the other or neither."""
        reply = text.lower().strip()
        answer = reply if reply in ("yes", "no") else None
        return read(answer is not None and answer in sample.targets, answer, sample)


@dataclass(frozen=True)
class PopeLlava:
    """POPE in LLaVA: "No", "no" or "not" among the words of the first sentence is no.

    Everything else is yes, also an empty reply, which is counted as unreadable.

    Source: haotian-liu/LLaVA, llava/eval/eval_pope.py.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right word, 0.0 for the other.

        ``counted_as`` among the details is what a reply counts as, readable or not.
        """
        words = text.partition(".")[0].replace(",", "").split(" ")
        answer = "no" if any(word in words for word in ("No", "not", "no")) else "yes"
        shown = answer if text.strip() else None
        return read(answer in sample.targets, shown, sample, {"counted_as": answer})


@dataclass(frozen=True)
class MmeLmmsEval:
    """MME in lmms-eval: yes or no among the first four characters, full stops removed.

    "y" and "n" alone count too; "know" begins with no as well as "not", "none" and "now".

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, parse_pred_ans.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right word, 0.0 for the other or neither."""
        answer = _mme_answer(text.lower().strip().replace(".", ""))
        return read(answer is not None and answer in sample.targets, answer, sample)


def _mme_answer(reply: str) -> str | None:
    if len(reply) == 1:
        return {"y": "yes", "n": "no"}.get(reply)
    return next((word for word in ("yes", "no") if word in reply[:4]), None)
