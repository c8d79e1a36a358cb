"""Checks for silent mistakes that lower scores, such as a wrong frame size or too short a context.

Each guard checks the loaded model, not the statements of its files. A violated guard is an error
that names the key to set; the guards' findings are recorded in the manifest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from llava_eval.errors import CheckpointError, PromptError
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.plan import rope_example
from llava_eval.models.local.prompt import Prompt
from llava_eval.types import PreparedMedia

#: Largest difference of logits, relative to their spread, that rounding explains.
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.25}

#: The same for other dtypes, and for quantized weights.
_WIDE_TOLERANCE = 0.25


def check_length(prompt: Prompt, loaded: LoadedModel) -> None:
    """Check that a prompt and its answer fit into the model's context.

    In encoder-decoder models the prompt and the answer each have a context of their own.

    Raises:
        PromptError: they do not fit; beyond its context a model writes gibberish or nothing.
    """
    limit, num_tokens = loaded.context_length, len(prompt.token_ids)
    num_new = prompt.max_num_tokens - num_tokens
    needed = max(num_tokens, num_new) if loaded.is_encoder_decoder else prompt.max_num_tokens
    if limit is not None and needed > limit:
        raise PromptError(
            f"sample {prompt.request.id}: {num_tokens} prompt tokens and up to {num_new} new ones "
            f"exceed the model's context of {limit}; set sampler.num_frames lower, or "
            "model.rope_scaling as the checkpoint's authors did, for instance "
            f"{rope_example(loaded.model.config)}"
        )


def check_frame_size(loaded: LoadedModel, medium: PreparedMedia) -> dict[str, Any]:
    """Compare the size of the processor's frames with the input size of LLaVA's vision tower.

    The video processor's class default is 224 pixels, but the 7B checkpoint's tower expects 336: a
    processor created without its configuration would silently halve the tokens.

    Args:
        loaded: the model.
        medium: a medium that was encoded separately from prompts.

    Raises:
        CheckpointError: the sizes differ.
    """
    pixels = _pixel_values(medium.inputs)
    assert pixels is not None
    vision = getattr(loaded.model.config, "vision_config", None)
    expected = getattr(vision, "image_size", None)
    seen = tuple(pixels.shape[-2:])
    if pixels.ndim == 5 and isinstance(expected, int) and seen != (expected, expected):
        raise CheckpointError(
            f"the processor makes {medium.kind} frames of {seen[0]}x{seen[1]} pixels, but the "
            f"vision tower takes {expected}x{expected}; set size and crop_size in the checkpoint's "
            "processor_config.json"
        )
    return {
        f"{medium.kind}_pixel_shape": list(pixels.shape),
        f"{medium.kind}_tokens": len(medium.token_ids),
        "vision_tower_image_size": expected,
    }


def first_inputs(loaded: LoadedModel, prompt: Prompt) -> dict[str, Any]:
    """Return the manifest's record of the processor's output for a prompt with one medium."""
    media = prompt.request.prepared_media
    if len(media) != 1 or prompt.inputs is None:
        return {}
    pixels = _pixel_values(prompt.inputs)
    kind = media[0].kind
    return {
        f"{kind}_pixel_shape": None if pixels is None else list(pixels.shape),
        f"{kind}_tokens": sum(token in loaded.media_token_ids for token in prompt.token_ids),
    }


def _pixel_values(inputs: Mapping[str, Any]) -> torch.Tensor | None:
    values = (value for name, value in inputs.items() if name.startswith("pixel_values"))
    return next((value for value in values if isinstance(value, torch.Tensor)), None)


@dataclass(frozen=True)
class LogitComparison:
    """A comparison of a faster method's logits, such as shared prefixes, with plain ones.

    Attributes:
        difference: the largest difference, in standard deviations of the plain logits; infinite if
            the faster method's logits are NaN.
        limit: largest difference that rounding explains.
        has_other_answer: whether a token differs although its logits are not nearly equal.
    """

    difference: float
    limit: float
    has_other_answer: bool

    @property
    def agrees(self) -> bool:
        """Whether both are equal up to rounding."""
        return self.difference <= self.limit and not self.has_other_answer

    @property
    def recorded_difference(self) -> float | None:
        """The difference for the manifest; None if infinite, which JSON does not have."""
        return self.difference if math.isfinite(self.difference) else None

    def describe(self, tried: str) -> str:
        """Return the difference in words.

        Args:
            tried: how the faster logits were computed, for instance "after a shared prefix".
        """
        return (
            f"logits {tried} differ from those of a plain forward pass by "
            f"{self.difference:.2g} standard deviations (rounding explains {self.limit:g})"
        )


def compare_steps(
    loaded: LoadedModel, pairs: Sequence[tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]]
) -> LogitComparison | None:
    """Compare the first steps of generation, as long as both methods choose the same tokens.

    Args:
        loaded: the model.
        pairs: for each prompt the logits (vocabulary,) of each step: the faster method's and plain.

    Returns:
        The comparison; None if no plain logits are finite, so that nothing can be compared.
    """
    limit = _TOLERANCE.get(loaded.plan.dtype, _WIDE_TOLERANCE)
    if loaded.plan.is_quantized:
        limit = max(limit, _WIDE_TOLERANCE)
    differences: list[float] = []
    has_other_answer = False
    for faster_steps, plain_steps in pairs:
        for faster, plain in zip(faster_steps, plain_steps, strict=False):
            allowed = plain > -1e30  # tokens that a model never writes
            faster, plain = faster[allowed].float(), plain[allowed].float()
            if not torch.isfinite(plain).all() or not len(plain):
                break
            spread = plain.std().clamp(min=1e-6)
            difference = float((faster - plain).abs().max() / spread)
            differences.append(difference if difference == difference else float("inf"))
            left, right = int(faster.argmax()), int(plain.argmax())
            if left != right:
                gap = float((plain[right] - plain[left]) / spread)
                has_other_answer |= gap > 2 * limit
                break
    if not differences:
        return None
    return LogitComparison(max(differences), limit, has_other_answer)
