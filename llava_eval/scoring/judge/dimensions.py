"""Video-ChatGPT's five dimensions: several prompts per text, and pairs of texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from llava_eval.errors import ConfigError
from llava_eval.scoring.judge.parsers import ParserName, parse_reply
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, Messages, chat
from llava_eval.types import Sample, Score

#: Dimensions by the row set whose answers they judge; the facet ``row_set`` names it.
DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "generic": ("correctness", "detail", "context"),
    "temporal": ("temporal",),
}
FIRST_OF_PAIR = "consistency_1"
SECOND_OF_PAIR = "consistency_2"
CONSISTENCY = "consistency"


class _Task(NamedTuple):
    """One score to obtain: for which sample and dimension, and from which prompt."""

    sample_index: int
    dimension: str
    prompt: Messages | None  # None: too short, which scores 0 without a judge


@dataclass(frozen=True)
class JudgedDimensions(JudgedScorer):
    """Correctness, detail, context, temporal order and consistency, each 0 to 5.

    Generic questions are judged in three dimensions, temporal ones in one; two texts to two
    wordings of the same question are judged together for consistency, and the number belongs to
    the first of them.

    Attributes:
        prompts_by_dimension: ``{dimension: {"system": ..., "user": ...}}``; fields are
            ``{{question}}``, ``{{answer}}`` and ``{{prediction}}``, for consistency
            ``{{question_1}}``, ``{{question_2}}``, ``{{answer}}``, ``{{prediction_1}}`` and
            ``{{prediction_2}}``.
        reading: how the reference reads a reply, see :mod:`.parsers`.
        min_characters: a shorter text (of a pair: first text) scores 0 without a judge.
        second_question: what is shown as the second question of a pair. LLaVA-NeXT's script shows
            the first one again.

    The score's value is the mean of the sample's dimensions, each of which is a detail.
    """

    prompts_by_dimension: dict[str, dict[str, str]]
    reading: ParserName
    min_characters: int = 0
    second_question: Literal["second", "first"] = "second"

    def __post_init__(self) -> None:
        wanted = {CONSISTENCY, *(name for names in DIMENSIONS.values() for name in names)}
        for name in sorted(wanted):
            if set(self.prompts_by_dimension.get(name, {})) != {"system", "user"}:
                raise ValueError(f"prompts_by_dimension.{name} needs a system and a user text")

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return the prompts of all dimensions."""
        return [task.prompt for task in self._tasks(texts, samples) if task.prompt is not None]

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text; the second text of a pair has none of its own."""
        remaining = iter(replies)
        numbers: dict[int, dict[str, float | None]] = defaultdict(dict)
        unreadable: dict[int, int] = defaultdict(int)
        errors: dict[int, str] = {}
        for task in self._tasks(texts, samples):
            number: float | None = 0.0
            if task.prompt is not None:
                reply = next(remaining)
                number = None
                if reply.text is None:
                    errors[task.sample_index] = str(reply.error)
                else:
                    parsed = parse_reply(self.reading, reply.text)
                    number = parsed.score
                    unreadable[task.sample_index] += parsed.unreadable
            numbers[task.sample_index][task.dimension] = number
        return [
            _score(numbers[index], unreadable[index], errors.get(index))
            for index in range(len(texts))
        ]

    def _tasks(self, texts: Sequence[str], samples: Sequence[Sample]) -> Iterator[_Task]:
        for index, (text, sample) in enumerate(zip(texts, samples, strict=True)):
            for dimension in DIMENSIONS.get(_row_set(sample), ()):
                fields = {
                    "question": sample.question,
                    "answer": sample.targets[0],
                    "prediction": text,
                }
                yield _Task(index, dimension, self._prompt(dimension, fields, text))
        for first, second in _pairs(samples):
            left, right = samples[first], samples[second]
            shown = left if self.second_question == "first" else right
            fields = {
                "question_1": left.question,
                "question_2": shown.question,
                "answer": left.targets[0],
                "prediction_1": texts[first],
                "prediction_2": texts[second],
            }
            yield _Task(first, CONSISTENCY, self._prompt(CONSISTENCY, fields, texts[first]))

    def _prompt(
        self, dimension: str, fields: Mapping[str, str], first_text: str
    ) -> Messages | None:
        if len(first_text) < self.min_characters:
            return None
        template = self.prompts_by_dimension[dimension]
        return chat(template["system"], template["user"], fields)


def _row_set(sample: Sample) -> str:
    known = (*DIMENSIONS, FIRST_OF_PAIR, SECOND_OF_PAIR)
    row_set = sample.facets.get("row_set")
    if row_set not in known:
        raise ConfigError(
            f"sample {sample.id}: the facet row_set is {row_set!r}, expected {', '.join(known)}; "
            "benchmark.facets has to name it"
        )
    return str(row_set)


def _pairs(samples: Sequence[Sample]) -> Iterator[tuple[int, int]]:
    """Yield the indices of the two questions of each pair.

    Both come from one row, or from two rows about the same video, paired in their order. Where a
    video lacks the text to one of its questions, none of its pairs is judged: which belong
    together would not be known.
    """
    indices: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, sample in enumerate(samples):
        indices[_row_set(sample)][sample.group].append(index)
    for group, firsts in indices[FIRST_OF_PAIR].items():
        seconds = indices[SECOND_OF_PAIR].get(group, [])
        by_row = {samples[index].row: index for index in seconds}
        in_one_row = [index for index in firsts if samples[index].row in by_row]
        if in_one_row:
            yield from ((index, by_row[samples[index].row]) for index in in_one_row)
        elif len(firsts) == len(seconds):
            yield from zip(firsts, seconds, strict=True)


def _score(numbers: Mapping[str, float | None], num_unreadable: int, error: str | None) -> Score:
    known = [number for number in numbers.values() if number is not None]
    answer = ", ".join(
        f"{name} {number:g}" for name, number in numbers.items() if number is not None
    )
    explanations = [f"the judge says {answer}"] if answer else []
    details: dict[str, object] = dict(numbers)
    if num_unreadable:
        explanations.append(f"{num_unreadable} of its replies cannot be read")
        details["num_unreadable_replies"] = num_unreadable
    if error is not None:
        explanations.append(f"it did not answer ({error})")
        details["judge_error"] = error
    return Score(
        value=sum(known) / len(known) if known else None,
        answer=None if num_unreadable else answer or None,
        unreadable=num_unreadable > 0,
        explanation="; ".join(explanations) or "not scored: nothing was put to the judge",
        details=details,
    )
