"""What a scorer is.

There is one protocol, :class:`Scorer`: generations and their samples in, scores out. Two bases
help to write one:

* :class:`ReplyScorer` for a rule that looks at one reply alone (:class:`SampleScorer`: at one
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

#: Name among a score's details: the rule drew its answer at random, for want of one in the reply.
CHOSEN_AT_RANDOM = "chosen_at_random"

#: How the explanation of a score without a value begins; the reason follows.
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
            generations: N generations that did not fail, their texts as the protocol hands them
                to its rule (see :mod:`llava_eval.scoring.reply`).
            samples: N samples; ``generations[i]`` answers ``samples[i]``.
        """
        ...


class SampleScorer(ABC):
    """A rule that looks at one generation alone."""

    @abstractmethod
    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return the score of one generation.

        Args:
            generation: one that did not fail.
            sample: the question.
        """

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        """Return one score per generation; see :class:`Scorer`."""
        pairs = zip(generations, samples, strict=True)
        return [self.score_generation(generation, sample) for generation, sample in pairs]


class ReplyScorer(SampleScorer):
    """A rule that looks at one reply alone."""

    @abstractmethod
    def score(self, reply: str, sample: Sample) -> Score:
        """Return the score of one reply: 1.0 if it is right, 0.0 if not, or what the class says.

        Args:
            reply: the model's text as the protocol hands it to its rule.
            sample: the question.
        """

    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return the score of a generation's text."""
        return self.score(str(generation.text), sample)


_FIELD = re.compile(r"\{\{(\w+)\}\}")


def chat(system: str | None, user: str, fields: Mapping[str, str]) -> Messages:
    """Return the messages of a prompt.

    Braces in what is filled in, and single ones, stay as they are.

    Args:
        system: system text; None for none.
        user: template of the user's text, with ``{{name}}`` fields.
        fields: by name, what to fill into it.

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
    """What a judge answered to one prompt, or why there is no answer.

    Attributes:
        text: the judge's words after its reasoning; None exactly when there is an error.
        error: what went wrong, in one line.
    """

    text: str | None
    error: str | None = None


#: Asks a language model that judges: one reply per prompt.
Ask = Callable[[Sequence[Messages]], list[JudgeReply]]


class JudgedScorer(ABC):
    """A rule that puts prompts to a judge, and reads the replies."""

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
        """Return one score per generation by what a judge says; see :class:`Scorer`."""
        texts = [str(generation.text) for generation in generations]
        # A judge compares with the right answer: where that is hidden, there is nothing to ask.
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
    """Return the prompts of a rule, which may be the user's, if a judge can be asked them.

    Args:
        rule: that makes them.
        texts: see :meth:`JudgedScorer.prompts`.
        samples: likewise.

    Raises:
        ConfigError: one is no row of messages.
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
    """Return an object that a configuration built as a scorer.

    An object of a user's own that is given no judge need not inherit from anything: it has
    ``score_all`` as in :class:`Scorer`, or ``score(reply, sample)`` alone.

    Args:
        built: the object.

    Raises:
        ConfigError: it has none of these.
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
    """Return the score of an answer that a rule read, or did not read.

    Without targets (hidden answers) nothing is scored, and the answer is kept.

    Args:
        sample: the question.
        answer: what was read; nothing at all, or an empty text, is unreadable, whatever it scores.
        value: what the rule makes of it.
        how: how it was read, or why it was not, for people who read the ledger.
        details: further facts to keep.
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
