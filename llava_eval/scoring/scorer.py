"""The interface of scorers, and base classes for them.

There is one protocol, :class:`Scorer`: generations and their samples in, scores out. Two base
classes help to implement it:

* :class:`ReplyScorer` for a rule that needs only one reply at a time (:class:`SampleScorer`: one
  generation), so that results are scored as they come in;
* :class:`JudgedScorer` for a rule that asks a language model, its judge.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llava_eval.errors import ConfigError
from llava_eval.types import Generation, Sample, Score

#: Detail of a score: the rule drew the answer at random because it found none in the reply.
CHOSEN_AT_RANDOM = "chosen_at_random"

#: Beginning of the explanation of a score without a value; the reason follows.
NOT_SCORED_BECAUSE = "not scored: "

#: One prompt of a judge: messages with a role and a text, in order.
Messages = tuple[Mapping[str, str], ...]


class Scorer(Protocol):
    """Turns generations into scores."""

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        """Return one score per generation.

        Args:
            generations: N generations that did not fail, with texts cleaned as the protocol
                requires (see :mod:`llava_eval.scoring.reply`).
            samples: N samples; ``generations[i]`` answers ``samples[i]``.
        """
        ...


class SampleScorer(ABC):
    """Base class of a rule that scores each generation by itself."""

    @abstractmethod
    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return the score of one generation.

        Args:
            generation: a generation that did not fail.
            sample: the question.
        """

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        """Return one score per generation; see :class:`Scorer`."""
        pairs = zip(generations, samples, strict=True)
        return [self.score_generation(generation, sample) for generation, sample in pairs]


class ReplyScorer(SampleScorer):
    """Base class of a rule that scores each reply's text by itself."""

    @abstractmethod
    def score(self, reply: str, sample: Sample) -> Score:
        """Return the score of one reply: 1.0 if right, 0.0 if wrong, or as the class documents.

        Args:
            reply: the model's text, cleaned as the protocol requires.
            sample: the question.
        """

    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return the score of a generation's text."""
        return self.score(str(generation.text), sample)


_FIELD = re.compile(r"\{\{(\w+)\}\}")


def chat(system: str | None, user: str, fields: Mapping[str, str]) -> Messages:
    """Return the messages of a judge's prompt.

    Single braces, and any braces in the inserted values, are kept.

    Args:
        system: system text; None for none.
        user: template of the user's text, with ``{{name}}`` fields.
        fields: values of the fields by name.

    Raises:
        ValueError: a field has no value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in fields:
            raise ValueError(
                f"the judge's prompt has a field {match[0]}; there are {', '.join(fields)}"
            )
        return fields[match[1]]

    asked = {"role": "user", "content": _FIELD.sub(value, user)}
    return (asked,) if system is None else ({"role": "system", "content": system}, asked)


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """A judge's reply to one prompt, or the error that prevented it.

    Attributes:
        text: the judge's text after its reasoning; None if and only if there is an error.
        error: the error in one line.
    """

    text: str | None
    error: str | None = None


#: Sends prompts to the judge and returns one reply per prompt.
Ask = Callable[[Sequence[Messages]], list[JudgeReply]]


class JudgedScorer(ABC):
    """Base class of a rule that prompts a judge and parses its replies."""

    @abstractmethod
    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return every prompt that the judge has to answer.

        Args:
            texts: N texts of the model.
            samples: N samples; ``texts[i]`` answers ``samples[i]``.
        """

    @abstractmethod
    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text.

        Args:
            texts: as in :meth:`prompts`.
            samples: as in :meth:`prompts`.
            replies: ``replies[j]`` answers ``prompts(texts, samples)[j]``.
        """

    def score_asking(
        self, ask: Ask, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        """Return one score per generation from a judge's replies; see :class:`Scorer`."""
        texts = [str(generation.text) for generation in generations]
        # A judge compares with the right answer, so samples with hidden answers are not sent to it.
        judged_texts = [text for text, sample in zip(texts, samples, strict=True) if sample.targets]
        judged_samples = [sample for sample in samples if sample.targets]
        replies = ask(judge_prompts(self, judged_texts, judged_samples))
        scores = list(self.score_judged(judged_texts, judged_samples, replies))
        following = iter(scores)
        if len(scores) != len(judged_texts):
            gave = f"{len(scores)} scores of {len(judged_texts)} texts"
            raise ConfigError(f"scorer: {type(self).__name__} gave {gave}")
        return [
            next(following) if sample.targets else read(sample, text.strip(), 0.0, "as it is")
            for text, sample in zip(texts, samples, strict=True)
        ]


def judge_prompts(
    rule: JudgedScorer, texts: Sequence[str], samples: Sequence[Sample]
) -> list[Messages]:
    """Return the prompts of a rule, which may be the user's own, after checking their form.

    Args:
        rule: the rule that makes them.
        texts: see :meth:`JudgedScorer.prompts`.
        samples: see :meth:`JudgedScorer.prompts`.

    Raises:
        ConfigError: a prompt is not a sequence of messages.
    """
    prompts: list[Any] = rule.prompts(texts, samples)
    for prompt in prompts:
        if isinstance(prompt, str) or not all(isinstance(one, Mapping) for one in prompt):
            raise ConfigError(
                f"scorer: {type(rule).__name__} made the prompt {prompt!r}; expected messages, "
                "each with a role and a content"
            )
    return prompts


def checked_scorer(built: Any) -> Scorer | JudgedScorer:
    """Return an object built from a configuration as a scorer.

    A user's own object without a judge need not inherit from any base class: it has ``score_all``
    as in :class:`Scorer`, or only ``score(reply, sample)``.

    Args:
        built: the object.

    Raises:
        ConfigError: it has neither method.
    """
    if isinstance(built, JudgedScorer) or callable(getattr(built, "score_all", None)):
        scorer: Scorer | JudgedScorer = built
        return scorer
    if callable(getattr(built, "score", None)):
        return _ScoreMethod(built)
    raise ConfigError(
        f"scorer: {type(built).__name__} is no scorer; it needs score(reply, sample) or "
        "score_all(generations, samples)"
    )


@dataclass(frozen=True)
class _ScoreMethod(ReplyScorer):
    rule: ReplyScorer

    def score(self, reply: str, sample: Sample) -> Score:
        return self.rule.score(reply, sample)


def scorer_name(scorer: Scorer | JudgedScorer) -> str:
    """Return the name of a scorer's class, for messages."""
    return type(scorer.rule if isinstance(scorer, _ScoreMethod) else scorer).__name__


def read(
    sample: Sample,
    answer: str | None,
    value: float,
    how: str,
    details: Mapping[str, object] | None = None,
) -> Score:
    """Return the score of an extracted answer, or of a reply without a readable one.

    Without targets (hidden answers) there is no score, but the answer is kept.

    Args:
        sample: the question.
        answer: the extracted answer; None or an empty text is unreadable, whatever its value.
        value: the rule's score.
        how: how the answer was extracted, or why there is none, for readers of the ledger.
        details: further facts to record.
    """
    scored = float(value) if sample.targets else None
    worth = f"{NOT_SCORED_BECAUSE}the right answer is hidden"
    if scored is not None:
        worth = {0.0: "wrong", 1.0: "right"}.get(scored, f"worth {scored:.4g} of 1")
    said = f"read {answer!r}, {how}" if answer else f"no answer: {how}"
    return Score(
        value=scored,
        answer=answer or None,
        unreadable=not answer,
        explanation=f"{said}; {worth}",
        details=details or {},
    )
