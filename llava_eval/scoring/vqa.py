"""VQA accuracy (how many of ten people gave the same answer), and how it makes texts comparable."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.types import Sample, Score

#: With fewer answers no reply can be worth 1: three must agree, whichever one is left out.
_FEWEST_ANSWERS = 4


def leave_one_out(reply: str, answers: Sequence[str]) -> float:
    """Return the mean over people of min(1, matches among the others / 3).

    Args:
        reply: the model's answer, made comparable.
        answers: the people's, likewise; without any the accuracy is 0.
    """
    same = [answer == reply for answer in answers]
    matches = sum(same)
    if not same:
        return 0.0
    return float(statistics.mean(min(1.0, (matches - own) / 3) for own in same))


class VqaOfficial(ReplyScorer):
    """VQA's own accuracy.

    Texts are normalised only where the ten answers differ: with ten times "2", "two" is wrong.
    Details: the accuracy with EvalAI's normalisation (``evalai_accuracy``) and the reply so
    normalised (``evalai_answer``), which is what LLaVA hands in to the server.

    Source: GT-Vision-Lab/VQA, vqaEval.py, evaluate.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        answer = on_one_line(reply)
        targets = [on_one_line(target) for target in sample.targets]
        if len(set(targets)) != 1:
            answer, targets = official_text(answer), [official_text(target) for target in targets]
        normalised = evalai_text(reply)
        details: dict[str, object] = {}
        if sample.targets:
            evalai_targets = [evalai_text(target) for target in sample.targets]
            details["evalai_accuracy"] = leave_one_out(normalised, evalai_targets)
        details["evalai_answer"] = normalised
        details.update(_few_answers(sample))
        return read(sample, answer, leave_one_out(answer, targets), "the whole reply", details)


@dataclass(frozen=True)
class VqaNormalised(ReplyScorer):
    """VQA accuracy of normalised texts, whatever the answers are.

    Sources: EvolvingLMMs-Lab/lmms-eval, tasks/vqav2/utils.py, textvqa/utils.py,
    vizwiz_vqa/utils.py and ok_vqa/utils.py; haotian-liu/LLaVA, llava/eval/m4c_evaluator.py.

    Attributes:
        normalisation: "evalai", or "lmms_eval" for what lmms-eval does to VQAv2 (there a reply to a
            question with hidden answers stays as it is).
    """

    normalisation: Literal["evalai", "lmms_eval"]

    def score(self, reply: str, sample: Sample) -> Score:
        if self.normalisation == "lmms_eval" and not sample.targets:
            return read(sample, reply, 0.0, "the whole reply")
        normalised = evalai_text if self.normalisation == "evalai" else lmms_eval_text
        answer = normalised(reply)
        targets = [normalised(target) for target in sample.targets]
        value, how = leave_one_out(answer, targets), "the whole reply, normalised"
        return read(sample, answer, value, how, _few_answers(sample))


def _few_answers(sample: Sample) -> dict[str, object]:
    """Return the detail that says that no reply can be worth 1; with one answer all are worth 0."""
    return {"few_answers": True} if 0 < len(sample.targets) < _FEWEST_ANSWERS else {}


_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_OFFICIAL_NUMBER = re.compile(r"\d,\d")
_EVALAI_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
_PERIOD = re.compile(r"\.(?!\d)")
#: The originals hand re.UNICODE to ``sub`` as the number of replacements.
_MOST_PERIODS = int(re.UNICODE)
_NUMBERS = "none=0 zero=0 one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10"
_DIGITS = dict(pair.split("=") for pair in _NUMBERS.split())
_ARTICLES = frozenset({"a", "an", "the"})


def on_one_line(text: str) -> str:
    """Return a text with spaces for newlines and tabs, stripped."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def official_text(text: str) -> str:
    """Return a text as VQA's own evaluation compares it; it must be on one line already.

    Source: GT-Vision-Lab/VQA, vqaEval.py, processPunctuation and processDigitArticle.
    """
    return _plain_words(without_punctuation(text))


def lmms_eval_text(text: str) -> str:
    """Return a text as lmms-eval compares it for VQAv2: EvalAI's rule without its first step.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/vqav2/utils.py.
    """
    return _plain_words(without_punctuation(on_one_line(text), _EVALAI_NUMBER))


def evalai_text(text: str) -> str:
    """Return a text as EvalAI compares it, and as LLaVA hands answers in.

    Commas and question marks go first, and "'s" becomes a word of its own.

    Source: facebookresearch/mmf, EvalAIAnswerProcessor.
    """
    lowered = text.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    return lmms_eval_text(lowered.strip())


def without_punctuation(text: str, number: re.Pattern[str] = _OFFICIAL_NUMBER) -> str:
    """Delete a mark that touches a space anywhere in the text; elsewhere it becomes a space.

    In a text that holds a number with a comma, every mark is deleted.
    """
    cleaned = text
    has_number = number.search(text) is not None
    for mark in _PUNCTUATION:
        touches_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if touches_space or has_number else " ")
    return _PERIOD.sub("", cleaned, count=_MOST_PERIODS)


def _plain_words(text: str) -> str:
    words = [_DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


#: The written form, "=", and the forms that become it, as VQA's evaluation puts apostrophes right,
#: odd entries included; those that lower-casing makes unreachable ("Im", "Ive") are left out.
#: Source: GT-Vision-Lab/VQA, vqaEval.py, contractions.
_TABLE = """
    ain't=aint aren't=arent can't=cant couldn't=couldnt couldn't've=couldn'tve,couldnt've
    could've=couldve didn't=didnt doesn't=doesnt don't=dont hadn't=hadnt
    hadn't've=hadn'tve,hadnt've hasn't=hasnt haven't=havent he'd=hed he'd've=he'dve,hed've
    he's=hes how'd=howd how'll=howll how's=hows isn't=isnt it'd=itd it'd've=it'dve,itd've
    it'll=itll ma'am=maam mightn't=mightnt mightn't've=mightn'tve,mightnt've might've=mightve
    mustn't=mustnt must've=mustve needn't=neednt not've=notve o'clock=oclock oughtn't=oughtnt
    'ow's'at='ow'sat,'ows'at,ow's'at shan't=shant she'd've=she'dve,shed've shouldn't=shouldnt
    shouldn't've=shouldn'tve,shouldnt've should've=shouldve somebodyd=somebody'd
    somebody'd've=somebody'dve,somebodyd've somebody'll=somebodyll somebody's=somebodys
    someone'd=someoned someone'd've=someone'dve,someoned've someone'll=someonell
    someone's=someones something'd=somethingd something'd've=something'dve,somethingd've
    something'll=somethingll that's=thats there'd=thered there'd've=there'dve,thered've
    there're=therere there's=theres they'd=theyd they'd've=they'dve,theyd've they'll=theyll
    they're=theyre they've=theyve 'twas=twas wasn't=wasnt we'd've=we'dve,wed've weren't=werent
    we've=weve what'll=whatll what're=whatre what's=whats what've=whatve when's=whens
    where'd=whered where's=wheres where've=whereve who'd=whod who'd've=who'dve,whod've
    who'll=wholl who's=whos who've=whove why'll=whyll why're=whyre why's=whys won't=wont
    wouldn't=wouldnt wouldn't've=wouldn'tve,wouldnt've would've=wouldve y'all=yall
    y'all'd've=y'all'dve,y'alld've,yall'd've y'all'll=y'allll,yall'll you'd=youd
    you'd've=you'dve,youd've you'll=youll you're=youre you've=youve
"""

#: By found form, the form that it becomes.
CONTRACTIONS = {
    found: written
    for entry in _TABLE.split()
    for written, _, forms in [entry.partition("=")]
    for found in forms.split(",")
}
