"""Checks a user's checkpoint with the same conformance test that the model families have.

Questions about synthetic media are answered twice: as the runner does (with shared prefixes and
batches, if its trials allow them), and the plain way (the processor's whole prompt, one at a time).
Tokens, logits, answers and likelihoods must be equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Clip, Generation, GenerationSettings, MediaKind, PreparedMedia, Request

#: Frames of each synthetic video.
_NUM_FRAMES = 8

_QUESTIONS = ("What is shown?", "Where is the brightest spot in the picture now?", "Why?")
_OPTIONS = ("Yes", "No, not at all")

#: Kinds of media shown to the model, by name.
_SHOWN: Mapping[str, tuple[MediaKind, ...]] = {
    "one image": ("image",),
    "two images": ("image", "image"),
    "one video": ("video",),
    "an image and a video": ("image", "video"),
}


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        text: what was checked, and the result.
        is_right: whether nothing differs.
    """

    text: str
    is_right: bool


def examine(loaded: LoadedModel, conversation: ConversationConfig) -> Iterator[Finding]:
    """Yield a finding for each kind of prompt.

    Args:
        loaded: the model.
        conversation: the conversation around every question.

    Raises:
        CheckpointError: no prompt can be made at all.
    """
    yield Finding(f"{loaded.name} with {type(loaded.processor).__name__}", True)
    for name, kinds in _SHOWN.items():
        takes_videos = loaded.plan.shows_images or loaded.placeholder("video") is not None
        if "video" in kinds and not takes_videos:
            reason = f"{type(loaded.processor).__name__} has no token for a video"
            yield Finding(f"{name}: not taken: {reason}", True)
            continue
        fast = ModelRunner(loaded, conversation)
        try:
            expected = _answers(ModelRunner(loaded, conversation, share_prefixes=False), kinds)
            answers = _answers(fast, kinds)
        except CheckpointError as error:
            if kinds == ("image",):
                raise
            yield Finding(f"{name}: fails: {error}", False)
            continue
        likelihoods = expected.get("likelihoods")
        if likelihoods is not None and (likelihoods.error or "").startswith("PromptError"):
            del expected["likelihoods"]  # not supported by this model; a run would report it
        errors = [answer.error for answer in expected.values() if answer.error is not None]
        if errors:
            # Not every family supports several media, or both kinds.
            cause = errors[0].removeprefix("ForwardError: ")
            yield Finding(f"{name}: transformers itself fails: {cause}", len(kinds) > 1)
        else:
            yield _compared(name, fast, answers, expected)


def _answers(runner: ModelRunner, kinds: Sequence[MediaKind]) -> dict[str, Generation]:
    """Answer several questions about the same media, one about others, and compare likelihoods."""
    settings = GenerationSettings(max_new_tokens=8)
    first = tuple(_medium(runner, kind, seed) for seed, kind in enumerate(kinds))
    second = tuple(_medium(runner, kind, 10 + seed) for seed, kind in enumerate(kinds))
    requests = [
        Request(f"question {number}", (*first, question), settings)
        for number, question in enumerate(_QUESTIONS)
    ]
    requests.append(Request("other media", (*second, _QUESTIONS[0]), settings))
    if not runner.loaded.is_encoder_decoder:
        requests.append(replace(requests[0], id="likelihoods", options=_OPTIONS))
    return {request.id: generation for request, generation in runner.generate(requests)}


def _medium(runner: ModelRunner, kind: MediaKind, seed: int) -> PreparedMedia:
    """Return smooth coloured noise, wider than high."""
    num_frames = _NUM_FRAMES if kind == "video" else 1
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((num_frames, 3, 6, 8), generator=generator)
    frames = torch.nn.functional.interpolate(coarse, size=(240, 320), mode="bilinear")
    numbers = tuple(range(num_frames))
    clip = Clip(
        (255 * frames).to(torch.uint8),  # (F, 3, 240, 320)
        numbers,
        tuple(number / 2 for number in numbers),
        fps=2.0 if kind == "video" else None,
        num_source_frames=num_frames,
    )
    return runner.prepare(kind, clip)


def _compared(
    name: str,
    runner: ModelRunner,
    answers: Mapping[str, Generation],
    expected: Mapping[str, Generation],
) -> Finding:
    differences = []
    for title, plain in expected.items():
        difference = _difference(runner.loaded, answers[title], plain)
        if difference:
            differences.append(f"{title} {difference}")
    num_tokens = expected["question 0"].num_input_tokens
    path = "; ".join(sorted(set(runner.settings()["prompts_asked_as"].values())))
    logits = runner.guards.get("shared_prefix_logit_difference")
    apart = "" if logits is None else f"; logits {logits:.1g} deviations apart"
    verdict = f"DIFFERS: {', '.join(differences)}" if differences else "same answers"
    return Finding(f"{name}: {num_tokens} tokens; {path}{apart}; {verdict}", not differences)


def _difference(loaded: LoadedModel, answer: Generation, plain: Generation) -> str:
    """Return the difference in words; empty if there is none."""
    if answer.error is not None:
        return f"fails ({answer.error})"
    if answer.num_input_tokens != plain.num_input_tokens:
        return f"has {answer.num_input_tokens} tokens instead of {plain.num_input_tokens}"
    if plain.option_losses is None or answer.option_losses is None:
        return "" if answer.text == plain.text else f"gives {answer.text!r} for {plain.text!r}"
    limit = 1e-3 if loaded.plan.dtype == torch.float32 else 0.1  # explained by rounding, in nats
    pairs = zip(answer.option_losses, plain.option_losses, strict=True)
    worst = max(abs(left - right) for left, right in pairs)
    return "" if worst <= limit else f"differ by {worst:.2g} nats a token"
