"""Rules that take the first letter, or the letter in a fixed position, and ignore the rest."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field

from llava_eval.benchmarks.adapters.options import check_pattern
from llava_eval.benchmarks.rows import EMPTY_CELLS
from llava_eval.errors import ConfigError
from llava_eval.scoring.choice.letter import (
    LetterRule,
    WhenUnread,
    check_options,
    letters_of,
    read_letter,
    unread,
)
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.scoring.text import through_spreadsheet
from llava_eval.types import Sample, Score


@dataclass(frozen=True)
class FirstLetter(ReplyScorer):
    """Video-MME's rule and its relatives: the first letter after set phrases are deleted.

    The phrases are deleted in their order, anywhere in the text, and case-sensitively. There are no
    word boundaries: "Cannot tell" gives C, and "Based on the video, C" gives B. The originals also
    reject more than ten words without any of the letters; the search for a letter covers that.

    Sources, all called ``extract_characters_regex`` or ``parse_multi_choice_response``:
    thanku-all/parse_answer eval_your_results.py; EvolvingLMMs-Lab/lmms-eval v0.2.0
    tasks/videomme/utils.py and tasks/longvideobench/utils.py; open-compass/VLMEvalKit
    dataset/utils/videomme.py.

    Attributes:
        prefixes: phrases to delete; two that a missing comma joined in an original are one here.
        letters: the letters to look for, whatever the number of options.
        forms: forms such as "(A)" for a reply without a letter. The first form that contains the
            reply, in either case, gives its second character: "a" is A, and so is an empty reply.
        when_unread: treatment of a reply without a letter; "random" draws among the options.
        spreadsheet: pass replies through a spreadsheet first; see
            :func:`llava_eval.scoring.text.through_spreadsheet`.
        empty_cells: treat replies that a table reads as empty cells ("N/A") as having no letter.
        seed: seed of the draw.
    """

    prefixes: list[str]
    letters: str = "ABCD"
    forms: list[str] = field(default_factory=list)
    when_unread: WhenUnread = "wrong"
    spreadsheet: bool = False
    empty_cells: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for form in self.forms:
            if len(form) < 2:
                raise ConfigError(f"the form {form!r} has no second character, which is its letter")

    def score(self, reply: str, sample: Sample) -> Score:
        text = (through_spreadsheet(reply) if self.spreadsheet else reply).strip()
        for prefix in self.prefixes:
            text = text.replace(prefix, "")
        letter = next((character for character in text if character in self.letters), None)
        if letter is not None and not (self.empty_cells and reply in EMPTY_CELLS):
            how = f"the first of {self.letters} once the set phrases are deleted"
            return read_letter(letter, sample, how)
        form = next((form for form in self.forms if text.lower() in form.lower()), None)
        if form is not None:
            return read_letter(form[1], sample, f"as a part of {form!r}")
        why = f"none of {self.letters} is left once the set phrases are deleted"
        return unread(sample, self.when_unread, why, seed=self.seed)


@dataclass(frozen=True)
class StandaloneLetter(LetterRule):
    r"""PerceptionTest's rule in lmms-eval: the first match of ``\b[A-D]\b``; none is wrong.

    The article "A" matches, word boundaries are Unicode's, and D is accepted although the
    questions have three options.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/perceptiontest/val/utils.py,
    perceptiontest_val_process_results_mc.

    Attributes:
        letters: the letters to look for, whatever the number of options.
    """

    letters: str = "ABCD"

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        match = re.search(rf"\b[{re.escape(self.letters)}]\b", reply)
        if match is None:
            return None, f"none of {self.letters} is a word of its own"
        return match.group(), f"the first of {self.letters} as a word"


@dataclass(frozen=True)
class LetterByPattern(LetterRule):
    """The letter found by the first pattern that matches; a reply without a match is wrong.

    Sources: EvolvingLMMs-Lab/lmms-eval 0.7.3, tasks/vstar_bench/utils.py, extract_answer_letter;
    tasks/visulogic/utils.py, _extract_option_letter; tasks/temporalbench/utils.py,
    temporalbench_aggregate_results.

    Attributes:
        patterns: regular expressions with one group, the letter in either case, in the order in
            which they are tried.
        last: use the last of several matches of a pattern instead of the first.
    """

    patterns: list[str]
    last: bool = False

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ConfigError("patterns is empty: it would find no letter in any reply")
        for pattern in self.patterns:
            check_pattern("patterns", pattern)

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        for pattern in self.patterns:
            found: list[str] = re.findall(pattern, reply.strip(), re.IGNORECASE)
            if found:
                return found[-1 if self.last else 0].upper(), f"by the pattern {pattern}"
        return None, "no pattern fits"


class MlvuOfficial(LetterRule):
    """MLVU's official rule.

    The assistant's turn began with "Best Option: (", so the character before the first ")" is the
    answer; without any ")" the whole reply, spaces and all, must be the letter ("A." is wrong).

    Source: JUNJIE99/MLVU, evaluation/multiple_choice_evaluation/choice_bench.py, check_ans.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        before, bracket, _ = reply.partition(")")
        answer = before[-1:] if bracket else reply
        where = 'before the first ")"' if bracket else "the whole reply"
        if len(answer) == 1 and answer in letters_of(sample):
            return answer, where
        return None, f"{where} is no option's letter"


class OnlyTheLetter(ReplyScorer):
    """MMMU-Pro's vision part in lmms-eval: the whole reply must equal the right letter.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mmmu_pro/utils.py, mmmu_pro_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        return read(sample, reply, reply in sample.targets, "the whole reply")


class FirstCharacter(ReplyScorer):
    """Vinoground's rule: the first character of the reply, in either case.

    Sources: Vinoground/Vinoground 1543a2a, get_score_all.py; EvolvingLMMs-Lab/lmms-eval 75571cf,
    tasks/vinoground/utils.py.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        if not reply:
            return unread(sample, "wrong", "the reply is empty")
        right = any(reply[0].lower() == target.lower() for target in sample.targets)
        known = reply[0].upper() in tuple(letters_of(sample))
        return read(sample, reply[0].upper() if known else None, right, "the first character")


class SeedBenchLmmsEval(FirstCharacter):
    """SEED-Bench in lmms-eval: the first character after white space, in either case.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/seedbench/utils.py, seed_process_result.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        return super().score(reply.strip(), sample)


_BLINK_START = re.compile(r"[\(\s]*([A-Z])", re.IGNORECASE)


class BlinkLmmsEval(LetterRule):
    """BLINK in lmms-eval: the letter at the start of the reply, even if it begins a word.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/blink/utils.py, _extract_answer_letter.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        match = _BLINK_START.match(reply.strip())
        if match is None:
            return None, "the reply begins with no letter"
        return match.group(1).upper(), "the letter at the start"


_BLINK_LONGEST_LETTER_ALONE = 4


class BlinkStatedLetter(LetterRule):
    """BLINK in lmms-eval 0.7.3: a stated letter of an option, else the one at the start.

    The first of these that finds a letter decides: a first line of at most four characters that is
    a letter; the last letter after "answer", "answers:", "answer is" and the like (even the article
    "a"); the last "(A)"; the letter at the start of the reply, even of a word. Both cases count,
    except for "(A)".

    Source: lmms-eval 0.7.3 (PyPI), tasks/blink/utils.py, _extract_answer_letter.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        check_options(sample, "BLINK's rule")
        text, letter = reply.strip(), f"([{letters_of(sample)}])"
        first_line = text.partition("\n")[0].strip()
        if len(first_line) > _BLINK_LONGEST_LETTER_ALONE:
            first_line = ""
        stated = rf"answers?(?:\s++is)?+\s*+[:\-]?+\s*+\(?{letter}(?![A-Z])"
        for found, how in (
            (re.findall(rf"\A\(?{letter}\)?[.\s:,)]*\Z", first_line, re.IGNORECASE), "alone"),
            (re.findall(stated, text, re.IGNORECASE), 'the last behind "answer"'),
            (re.findall(rf"\({letter}\)", text), "the last in brackets"),
            (re.findall(rf"\A[(\s]*{letter}", text, re.IGNORECASE), "at the start"),
        ):
            if found:
                return str(found[-1]).upper(), how
        return None, "none is stated, in brackets or at the start"


_MOTIONBENCH_PHRASES = (
    "THE BEST ANSWER IS",
    "THE CORRECT ANSWER IS",
    "THE ANSWER IS",
    "BEST ANSWER:",
    "ANSWER:",
)


class MotionBenchLmmsEval(ReplyScorer):
    """MotionBench in lmms-eval: the first of A to F after the last "</think>", in either case.

    A letter that is a word comes first (even the article "a"), then one before ".", ")" or ":",
    then any. The detail ``answered`` is 1 if there is a letter.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/motionbench/utils.py, _extract_choice_letter.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        text = reply.split("</think>")[-1].strip().upper()
        for phrase in _MOTIONBENCH_PHRASES:
            text = text.replace(phrase, "")
        patterns = (r"\b([A-F])\b", r"([A-F])[.):]", r"([A-F])")
        matches = (re.search(pattern, text) for pattern in patterns)
        letter = next((match.group(1) for match in matches if match is not None), None)
        how = "the first of A to F, best as a word" if letter else "none of A to F occurs"
        details = {"answered": float(letter is not None)}
        return read(sample, letter, letter in sample.targets, how, details)


_HOLMES_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)


class VideoHolmesOfficial(LetterRule):
    """Video-Holmes's own rule: the first of A to F that occurs in the last answer tag.

    Letters before a space, before ":" or after "[" come first, then any others; both in the order
    of the alphabet, so "D. A book" gives A. A reply without the tag is read as a whole.

    Source: TencentARC/Video-Holmes 52ef8da, evaluate.py, evaluate.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        tagged = _HOLMES_ANSWER.findall(reply)
        text = tagged[-1].strip() if tagged else reply
        for forms in (("{} ", "{}:", "[{}"), ("{}",)):
            for letter in "ABCDEF":
                if any(form.format(letter) in text for form in forms):
                    return letter, "the first of A to F in the answer"
        return None, "none of A to F occurs"


class FirstAlphabetic(LetterRule):
    """VideoEval-Pro's rule for options: the first character of the alphabet, in either case.

    Text up to the last "the answer is", or else "answer:" or "the option is", is removed first.

    Source: TIGER-AI-Lab/VideoEval-Pro 4220bd4, tools/gpt4o_judge.py, option_judge.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        text = reply.lower()
        for phrase in ("the answer is", "answer:", "the option is"):
            if phrase in text:
                text = text.split(phrase)[-1].strip()
                break
        letter = next((character for character in text if character.isalpha()), None)
        if letter is None or letter.upper() not in tuple(string.ascii_uppercase):
            return None, "there is no letter"
        return letter.upper(), "the first character of the alphabet"


class LvBenchOfficial(LetterRule):
    """LVBench's own way to read a reply: the first character after "(" and before ")".

    "The answer is B" gives T. Source: THUDM/LVBench f998d95, lvbench/utils/answer_util.py,
    polish_answer, which none of their scripts calls; lvbench/metrics/compute_accuracy.py expects
    only the letter.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        text = reply.strip().split(")")[0].strip()
        if "(" in text:
            text = text.split("(")[1].strip()
        letter = text.split(" ")[0][:1]
        if letter not in tuple(letters_of(sample)):
            return None, f"the first character, {letter!r}, is no letter"
        return letter, "the first character before any bracket"
