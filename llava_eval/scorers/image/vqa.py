"""VQA accuracy: how many of ten people gave the same answer."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llava_eval.scorers.image.reading import read
from llava_eval.scorers.image.vqa_text import (
    evalai_text,
    lmms_eval_text,
    official_text,
    on_one_line,
)
from llava_eval.types import Sample, Score


def leave_one_out(reply: str, answers: Sequence[str]) -> float:
    """Return the mean over people of min(1, matches among the others / 3).

    Args:
        reply, answers: as they are to be compared.
    """
    same = [answer == reply for answer in answers]
    matches = sum(same)
    return float(statistics.mean(min(1.0, (matches - own) / 3) for own in same))


@dataclass(frozen=True)
class VqaOfficial:
    """VQA's own accuracy.

    Texts are normalised only where the ten answers differ: with ten times "2", "two" is wrong.
    Details: the accuracy with EvalAI's normalisation (``evalai_accuracy``) and the reply so
    normalised (``evalai_answer``), which is what LLaVA hands in to the server.

    Source: GT-Vision-Lab/VQA, vqaEval.py, evaluate.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return the accuracy in [0, 1]; none where the answers are hidden."""
        reply = on_one_line(text)
        answers = [on_one_line(answer) for answer in sample.targets]
        if len(set(answers)) != 1:
            reply, answers = official_text(reply), [official_text(answer) for answer in answers]
        normalised = evalai_text(text)
        if not answers:
            return read(0.0, reply, sample, {"evalai_answer": normalised})
        evalai_answers = [evalai_text(answer) for answer in sample.targets]
        details = {
            "evalai_accuracy": leave_one_out(normalised, evalai_answers),
            "evalai_answer": normalised,
        }
        return read(leave_one_out(reply, answers), reply, sample, details)


@dataclass(frozen=True)
class VqaNormalised:
    """VQA accuracy of normalised texts, whatever the answers are.

    Sources: EvolvingLMMs-Lab/lmms-eval, tasks/vqav2/utils.py, textvqa/utils.py,
    vizwiz_vqa/utils.py and ok_vqa/utils.py; haotian-liu/LLaVA, llava/eval/m4c_evaluator.py.

    Attributes:
        normalisation: "evalai", or "lmms_eval" for what lmms-eval does to VQAv2 (there a reply to a
            question with hidden answers stays as it is).
    """

    normalisation: Literal["evalai", "lmms_eval"]

    def score(self, text: str, sample: Sample) -> Score:
        """Return the accuracy in [0, 1]; none where the answers are hidden."""
        if self.normalisation == "lmms_eval" and not sample.targets:
            return read(0.0, text, sample)
        normalised = evalai_text if self.normalisation == "evalai" else lmms_eval_text
        reply = normalised(text)
        if not sample.targets:
            return read(0.0, reply, sample)
        answers = [normalised(answer) for answer in sample.targets]
        return read(leave_one_out(reply, answers), reply, sample)
