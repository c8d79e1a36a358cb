"""Rules first, and a judge for what they leave open: MathVista, MMVU, TOMATO and CG-Bench.

Each is one reference's way from a reply to a score.
"""

from __future__ import annotations

import re
import string
import textwrap
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llava_eval.benchmarks.adapters.options import lettered
from llava_eval.scoring.choice import letters_of, read_letter, unread
from llava_eval.scoring.clues import fenced_result
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, Messages, chat, read
from llava_eval.scoring.text import edit_distance
from llava_eval.types import Sample, Score

_BRACKETED = re.compile(r"\(([a-zA-Z])\)")
_POWERS = str.maketrans({power: f"^{digit}" for digit, power in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})
_NUMBER = re.compile(r"\d+\.?\d*")
_ORDER = re.compile(r"o\s*\([^)]+\)")
_LETTER_WORD = re.compile(r"\b([A-E])\b", re.IGNORECASE)
_SHORT_ANSWER = range(2, 6)
_MAX_DIFFERENCE = 0.01
_FORM = re.compile(r"Answer is:?[\(]?([A-Fa-f])[\)]?$")


class RulesFirst(JudgedScorer):
    """Scores the texts that its rules can decide, and asks a judge once about each other text."""

    @abstractmethod
    def by_rules(self, text: str, sample: Sample) -> Score | None:
        """Return the score of a text that needs no judge, or None.

        Args:
            text: of the model.
            sample: the question.
        """

    @abstractmethod
    def prompt(self, text: str, sample: Sample) -> Messages:
        """Return what the judge is asked about a text.

        Args:
            text: of the model.
            sample: the question.
        """

    @abstractmethod
    def by_judge(self, reply: str, text: str, sample: Sample) -> Score:
        """Return the score of a text that the judge was asked about.

        Args:
            reply: the judge's.
            text: of the model.
            sample: the question.
        """

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return a prompt for every text that the rules leave."""
        return [
            self.prompt(text, sample)
            for text, sample in zip(texts, samples, strict=True)
            if self.by_rules(text, sample) is None
        ]

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text."""
        remaining = iter(replies)
        scores = []
        for text, sample in zip(texts, samples, strict=True):
            score = self.by_rules(text, sample)
            if score is None:
                reply = next(remaining)
                if reply.text is None:
                    why = f"not scored: the judge did not answer ({reply.error})"
                    score = Score(None, None, explanation=why, details={"judge_error": reply.error})
                else:
                    score = self.by_judge(reply.text, text, sample)
            scores.append(score)
        return scores


@dataclass(frozen=True)
class MathVistaLmmsEval(RulesFirst):
    """A reply that is an option's text or a number is taken as it is; a model reads any other.

    For multiple choice, what was read is matched to an option by its letter, or else to the option
    with the most similar text (even when nothing was read). A number is formatted as Python does.
    If the rows give the precision as a float (1.0), every answer with decimals is wrong, because
    ``round`` refuses such a precision in the original.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mathvista/mathvista_evals.py, extract_answer
    and normalize_extracted_answer; utils.py, mathvista_process_results.

    Attributes:
        user: the language model's prompt, with ``{{question}}`` and ``{{prediction}}``.
    """

    user: str

    def by_rules(self, text: str, sample: Sample) -> Score | None:
        """Return the score of a reply that is read at once."""
        found = _read_at_once(text.strip(), sample)
        return None if found is None else _compared(found, sample)

    def prompt(self, text: str, sample: Sample) -> Messages:
        """Ask what the reply's answer is."""
        return chat(None, self.user, {"question": sample.question, "prediction": text.strip()})

    def by_judge(self, reply: str, text: str, sample: Sample) -> Score:
        """Compare what the language model has read."""
        return _compared(reply.strip(), sample)


def _compared(found: str, sample: Sample) -> Score:
    answer = _normalised(found, sample)
    right = answer is not None and answer.strip() == sample.targets[0].strip()
    return read(sample, answer if found else None, right, "as an answer of its type")


def _read_at_once(reply: str, sample: Sample) -> str | None:
    """Return the answer of a reply that needs no language model, "" for an empty one, or None."""
    if not reply or (sample.facets["question_type"] == "multi_choice" and reply in sample.choices):
        return reply
    kinds: dict[str, Callable[[str], float]] = {"integer": int, "float": float}
    kind = kinds.get(sample.facets["answer_type"])
    try:
        return None if kind is None else str(kind(reply))
    except ValueError:
        return None


def _normalised(answer: str, sample: Sample) -> str | None:
    """Return an answer in the form in which it is compared; None if it has the wrong type."""
    answer_type = sample.facets["answer_type"]
    if sample.facets["question_type"] == "multi_choice":
        bracketed = _BRACKETED.findall(answer.strip())
        letter = bracketed[0].upper() if bracketed else answer.strip()
        letters = letters_of(sample)
        if letter in tuple(letters):
            return sample.choices[letters.index(letter)]
        return min(sample.choices, key=lambda choice: edit_distance(letter, choice))
    try:
        if answer_type == "integer":
            return str(int(float(answer)))
        if answer_type == "float":
            return str(round(float(answer), int(sample.facets["precision"])))
    except (ValueError, OverflowError):
        return None
    return answer


@dataclass(frozen=True)
class MmvuLmmsEval(RulesFirst):
    """lmms-eval's two steps for MMVU.

    Multiple choice is never judged: it is right where the letter stands anywhere as a word, in
    either case, or the right option's text, or the letter anywhere and one of its words. An open
    answer is right where it holds the target or is part of it (an empty one always is), where
    their first numbers are equal, where it holds every word of a short target, or the same O(...).

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mmvu/utils.py, evaluate_with_rule_based and
    evaluate_with_llm_judge; verifiers/base.py, parse_binary_response, for which every reply with a
    1 in it is yes.

    Attributes:
        user: the judge's prompt, with ``{{question}}``, ``{{answer}}`` and ``{{prediction}}``.
    """

    user: str

    def by_rules(self, text: str, sample: Sample) -> Score | None:
        """Score every choice, and an open answer that the rules accept."""
        if sample.choices:
            letter = _LETTER_WORD.search(text)
            answer = letter.group(1).upper() if letter else None
            return read(sample, answer, _is_right_choice(text, sample), "by rules")
        if _is_right_text(text, sample.targets[0]):
            return read(sample, text.strip(), 1.0, "by rules")
        return None

    def prompt(self, text: str, sample: Sample) -> Messages:
        """Ask whether an open answer is right."""
        fields = {
            "question": f"Question: {sample.question}",
            "answer": sample.targets[0],
            "prediction": text,
        }
        return chat(None, self.user, fields)

    def by_judge(self, reply: str, text: str, sample: Sample) -> Score:
        """Take the judge's yes or no."""
        return read(sample, text.strip(), _says_yes(reply), "by the judge")


def _is_right_choice(reply: str, sample: Sample) -> bool:
    """Return whether the rules accept a reply to a question with options."""
    letter = sample.targets[0].strip()
    if re.search(rf"\b{re.escape(letter)}\b", reply, re.IGNORECASE):
        return True
    if letter not in tuple(letters_of(sample)):
        return False
    option = sample.choices[letters_of(sample).index(letter)].strip().lower()
    if option in reply.lower():
        return True
    words = [word.strip(string.punctuation) for word in option.split()]
    has_word = any(len(word) > 2 and word in reply.lower() for word in words)
    return has_word and letter.upper() in reply.upper()


def _is_right_text(text: str, target: str) -> bool:
    """Return whether the rules accept a free answer."""
    # No rule compares line breaks or runs of spaces but the one for numbers, whose first is the
    # same with and without them.
    reply, answer = _flat(text), _flat(target)
    if answer in reply or reply in answer:
        return True
    numbers = [_NUMBER.findall(side) for side in (answer, reply)]
    if all(numbers) and abs(float(numbers[0][0]) - float(numbers[1][0])) < _MAX_DIFFERENCE:
        return True
    wanted, said = _words(answer), _words(reply)
    if len(wanted) in _SHORT_ANSWER and all(word in said for word in wanted if len(word) > 2):
        return True
    orders = [_ORDER.search(side) for side in (reply, answer)]
    return all(orders) and orders[0][0] == orders[1][0]  # type: ignore[index]


def _flat(text: str) -> str:
    return " ".join(text.strip().lower().translate(_POWERS).split())


def _words(text: str) -> list[str]:
    return [bare for word in text.split() if (bare := word.strip(string.punctuation))]


def _says_yes(reply: str) -> bool:
    upper = reply.strip().upper()
    if "INCORRECT" in upper or "NOT_ATTEMPTED" in upper:
        return False
    return any(word in upper for word in ("CORRECT", "YES", "TRUE", "1"))


@dataclass(frozen=True)
class TomatoOfficial(RulesFirst):
    """A letter, "A: " with the option's text where that has no small letters, or "Answer is(A)".

    Any other reply is put to a language model, which must answer with an option's letter alone; the
    original asks five times, at temperature 0, and then draws a letter: here with a seed of the
    sample's own.

    Source: yale-nlp/TOMATO fe2025f, src/parse_result.py, pre_parser, gpt_parser and parse_result.

    Attributes:
        user: the prompt, with ``{{prediction}}``, ``{{letters}}`` (the Python list of them) and
            ``{{options}}`` (the Python dictionary of the options by letter).
        seed: of the draw.
    """

    user: str
    seed: int = 0

    def by_rules(self, text: str, sample: Sample) -> Score | None:
        """Return the score of a reply that has one of the forms."""
        letter = _plain_letter(text, sample)
        if letter is None:
            return None
        return read_letter(letter, sample, "alone, or in one of the set forms")

    def prompt(self, text: str, sample: Sample) -> Messages:
        """Ask which option the reply means."""
        letters = list(letters_of(sample))
        fields = {
            "prediction": text,
            "letters": repr(letters),
            "options": repr(dict(zip(letters, sample.choices, strict=True))),
        }
        return chat(None, self.user, fields)

    def by_judge(self, reply: str, text: str, sample: Sample) -> Score:
        """Take the language model's letter, or draw one."""
        if reply in tuple(letters_of(sample)):
            return read_letter(reply, sample, "by the language model")
        said = textwrap.shorten(reply, 60, placeholder=" ...")
        why = f"the language model says {said!r}, which is no option's letter"
        return unread(sample, "random", why, seed=self.seed)


def _plain_letter(reply: str, sample: Sample) -> str | None:
    """Return the letter of a reply that has one of the forms, or None."""
    text, letters = reply.strip(), tuple(letters_of(sample))
    listed = lettered(sample.choices, "{letter}: {option}")
    if text.upper() in letters or text.upper() in listed:
        return text[0].upper()
    form = _FORM.match(text)
    return form[1].upper() if form is not None and form[1].upper() in letters else None


@dataclass(frozen=True)
class CgBenchOpen(RulesFirst):
    """CG-Bench's first step for free answers: right, wrong, or not to be decided from texts.

    The answer is the result in the reply's block of JSON, or else the reply; an empty one is left
    out. So is an answer that the judge wants the frames for: the authors show it those of the clue
    in a second step, which is not here, and count only what was decided.

    Source: CG-Bench/CG-Bench f826608, run/utils.py, get_prompt, post_process and save_result;
    run/stat_with_key.py.

    Attributes:
        user: the judge's prompt, with ``{{question}}``, ``{{answer}}`` and ``{{prediction}}``.
    """

    user: str

    def by_rules(self, text: str, sample: Sample) -> Score | None:
        """Leave an empty reply out."""
        return None if text else unread(sample, "left_out", "the reply is empty")

    def prompt(self, text: str, sample: Sample) -> Messages:
        """Ask whether the answer means the same as the right one."""
        fields = {
            "question": sample.question,
            "answer": sample.targets[0],
            "prediction": _free_answer(text),
        }
        return chat(None, self.user, fields)

    def by_judge(self, reply: str, text: str, sample: Sample) -> Score:
        """Take the judge's 0 or 1; for 2, or anything else, nothing is scored."""
        found = fenced_result(reply) if reply else ()
        if found in ((), (None,)):
            digit = re.search("[012]", reply)
            found = (int(digit[0]),) if digit else ()
        if not found:
            return unread(sample, "left_out", "the judge's reply cannot be read")
        if found[0] not in (0, 1):
            undecided = unread(sample, "left_out", "the judge wants to see the frames")
            return replace(undecided, details={"needs_frames": True})
        return read(sample, _free_answer(text), found[0] == 1, "by the judge")


def _free_answer(text: str) -> str:
    found = fenced_result(text)
    return text if found in ((), (None,)) else str(found[0])
