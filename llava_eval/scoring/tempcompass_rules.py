"""TempCompass: its hand-made rules, and the language model that judges what they cannot read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.benchmarks.adapters.tempcompass import TASKS
from llava_eval.errors import ConfigError
from llava_eval.scoring.judge.rules_first import RulesFirst
from llava_eval.scoring.scorer import Messages, ReplyScorer, chat, read
from llava_eval.types import Sample, Score

TASK_FACET = "task"


@dataclass(frozen=True)
class TempCompassRules(ReplyScorer):
    """The rules of TempCompass's four tasks, with its language model left out.

    A reply that no rule reads is wrong, as under the original's ``--disable_llm``; the original
    would otherwise ask GPT-3.5 whether it is correct, see :class:`TempCompassJudged`. Captions are
    judged by GPT-3.5 alone, so they get no score. Both have ``rule_matched`` 0.0 among their
    details, everything else 1.0: its mean is the original's "match success rate".

    Sources: llyx97/TempCompass, eval_multi-choice.py, eval_yes_no.py, eval_caption_matching.py;
    EvolvingLMMs-Lab/lmms-eval, tasks/tempcompass/utils.py, which differs in not removing "</s>".

    Attributes:
        remove: texts that are deleted wherever they stand, before the reply is stripped.
    """

    remove: list[str]

    def score(self, reply: str, sample: Sample) -> Score:
        reply = cleaned(reply, self.remove)
        answer = sample.targets[0] if sample.targets else ""
        task = sample.facets.get(TASK_FACET)
        if task == "multi-choice":
            return _matched(sample, *_multi_choice(reply, answer))
        if task == "yes_no":
            return _matched(sample, *_yes_no(reply, answer))
        if task == "caption_matching":
            options = sample.question.split("\n")[1:]
            return _matched(sample, *_caption_matching(reply, answer, options))
        if task == "captioning":
            why = "not scored: captions need TempCompass's language model"
            return Score(None, None, explanation=why, details={"rule_matched": 0.0})
        raise ConfigError(
            f"sample {sample.id}: TempCompass needs its facet {TASK_FACET!r}, got {task!r}; "
            f"benchmark.facets has to name it"
        )


def cleaned(text: str, remove: Sequence[str]) -> str:
    """Return a reply in the form in which rules and judge see it."""
    for unwanted in remove:
        text = text.replace(unwanted, "")
    return text.strip()


def _matched(sample: Sample, answer: str | None, right: bool) -> Score:
    how = "by TempCompass's rules" if answer is not None else "none of TempCompass's rules fits"
    return read(sample, answer, right, how, {"rule_matched": float(answer is not None)})


def _multi_choice(reply: str, answer: str) -> tuple[str | None, bool]:
    """Read the whole answer, a letter, or a reply that begins with "A." or "A)"."""
    if reply == answer:
        return answer[:1], True
    head = reply[:1]
    if reply and head in "ABCD" and reply[1:2] in ("", ".", ")"):
        return head, head == answer[:1]
    return None, False


def _yes_no(reply: str, answer: str) -> tuple[str | None, bool]:
    """Read how a reply begins; "Not really", "none" and "north" begin with no."""
    lowered = reply.lower()
    said = next((word for word in ("yes", "no") if lowered.startswith(word)), None)
    return said, said == answer


def _caption_matching(reply: str, answer: str, options: Sequence[str]) -> tuple[str | None, bool]:
    """Read a whole option, its sentence (also after ") "), or its label ("Caption A" or "A").

    The last match counts: labels come after sentences, and those after whole options.
    """
    labels = [option.split(": ")[0] for option in options]
    sentences = [option.split(": ")[1] for option in options]
    bare = [
        label.replace("Sentence ", "").replace("Option ", "").replace("Caption ", "")
        for label in labels
    ]
    after_bracket = reply.split(") ")[1] if ") " in reply else None
    matches = [option for option in options if option == reply]
    matches += [sentence for sentence in sentences if sentence in (reply, after_bracket)]
    matches += [label for label in [*labels, *bare] if label in (reply, reply.replace(".", ""))]
    if not matches or not answer:
        return (matches[-1] if matches else None), False
    label, sentence = answer.split(": ")[:2]
    accepted = (answer, answer.split(":")[0], sentence, label.split()[1])
    return matches[-1], matches[-1] in accepted


_OPTION_MARKS = ("A.", "B.", "C.", "D.")


@dataclass(frozen=True)
class TempCompassJudged(RulesFirst):
    """TempCompass's rules, and its language model for the rest.

    A reply that no rule reads is put to the judge, who says "Correct" or "Incorrect". Captions are
    all put to it: it answers the video's question from the caption alone, and its answer must be
    the right option and name no other. A judge's reply that says neither is wrong, and counted as
    unreadable; the originals ask up to eleven times before they say so.

    Sources: llyx97/TempCompass, utils/eval_utils.py, llm_output_to_rating, and eval_captioning.py,
    parse_llm_output; EvolvingLMMs-Lab/lmms-eval, tasks/tempcompass/utils.py.

    Attributes:
        remove: see :class:`llava_eval.scoring.tempcompass_rules.TempCompassRules`.
        system: the judge's system text.
        prompts_by_task: by task, the judge's prompt; fields are ``{{question}}``, ``{{answer}}``
            and ``{{prediction}}``.
    """

    remove: list[str]
    system: str
    prompts_by_task: dict[str, str]

    def __post_init__(self) -> None:
        if set(self.prompts_by_task) != set(TASKS):
            raise ConfigError(
                f"scorer.prompts_by_task needs {', '.join(TASKS)}, "
                f"got {', '.join(self.prompts_by_task) or 'nothing'}"
            )

    def by_rules(self, text: str, sample: Sample) -> Score | None:
        """Return the score of a text that a rule reads."""
        score = TempCompassRules(self.remove).score(text, sample)
        return None if score.details["rule_matched"] == 0.0 else score

    def prompt(self, text: str, sample: Sample) -> Messages:
        """Show the judge the question of the sample's task, the right answer and the text."""
        fields = {
            "question": sample.question,
            "answer": sample.targets[0],
            "prediction": cleaned(text, self.remove),
        }
        return chat(self.system, self.prompts_by_task[sample.facets[TASK_FACET]], fields)

    def by_judge(self, reply: str, text: str, sample: Sample) -> Score:
        """Read "Correct" or "Incorrect", or which option the judge chose by a caption."""
        said = reply.strip()
        if sample.facets[TASK_FACET] == "captioning":
            answer = _option_in(said)
            right = answer is not None and _is_only_option(answer, sample.targets[0])
            how = "which the judge chose by the caption alone"
        else:
            answer = _correctness_in(said)
            right = answer == "Correct"
            how = "as the judge says"
        how = how if answer is not None else "the judge's reply cannot be read"
        return read(sample, answer, right, how, {"rule_matched": 0.0})


def _correctness_in(reply: str) -> str | None:
    """Return what the reply begins with, or else what it holds; "Incorrect" before "Correct"."""
    if reply.startswith("Correct"):
        return "Correct"
    return next((word for word in ("Incorrect", "Correct") if word in reply), None)


def _option_in(reply: str) -> str | None:
    """Return what follows "Answer:" on the last line that holds "Answer", or the whole reply."""
    lines = [line.strip() for line in reply.split("\n") if "Answer" in line]
    return (lines[-1].replace("Answer:", "").strip() if lines else reply) or None


def _is_only_option(answer: str, right: str) -> bool:
    num_named = sum(answer.count(mark) for mark in _OPTION_MARKS)
    return num_named == 1 and answer.split(". ")[0] == right.split(". ")[0]
