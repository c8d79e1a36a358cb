"""Decides whether "auto" may use flash-attention, by trying it on a run's first prompts.

A quarter of the families do not support it, as a whole or in a part. Others accept it but give
other answers than with their default attention: it supports only causal masks and padding, and
silently ignores that an image's tokens attend to each other (Gemma 3). A model is therefore loaded
with its default attention, and is switched to flash-attention only if its masks are causal and its
logits stay the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel

from llava_eval.errors import ForwardError, first_line
from llava_eval.models.local.guards import LogitComparison, compare_steps
from llava_eval.models.local.prompt import Prompt
from llava_eval.models.local.whole_prompts import WholeBatches

log = logging.getLogger(__name__)


@dataclass
class FlashTrial:
    """The result of the trials for one model.

    Attributes:
        own: (configuration, default attention) of each part of the model.
        kinds: kinds of media in the prompts of the trials.
        comparisons: comparisons of their logits.
        problem: why the model does not use flash-attention, in words.
    """

    own: Sequence[tuple[Any, str]]
    kinds: set[str] = field(default_factory=set)
    comparisons: list[LogitComparison] = field(default_factory=list)
    problem: str | None = None

    @classmethod
    def of(cls, model: Any) -> FlashTrial:
        """Return a new trial for a model that still has its default attention."""
        parts = [part.config for part in model.modules() if isinstance(part, PreTrainedModel)]
        return cls([(config, config._attn_implementation) for config in parts])

    def set_back(self) -> None:
        """Restore every part's default attention; outer parts first, as they set inner ones."""
        for config, name in self.own:
            config._attn_implementation = name


#: Trials by model; the next run of a sweep continues with them.
_trials: WeakKeyDictionary[Any, FlashTrial] = WeakKeyDictionary()


def try_flash_attention(whole: WholeBatches, prompts: Sequence[Prompt]) -> FlashTrial | None:
    """Let a model use flash-attention as long as the first prompts of each kind allow it.

    Args:
        whole: runs whole prompts.
        prompts: the next prompts.

    Returns:
        The trial so far; None if the configuration or the machine leaves nothing to try.
    """
    loaded = whole.loaded
    if not loaded.plan.attention.is_to_be_tried:
        return None
    if loaded.model not in _trials:
        _trials[loaded.model] = FlashTrial.of(loaded.model)
    trial = _trials[loaded.model]
    if trial.problem is None:
        trial.problem = _problem_with(whole, prompts, trial)
        if trial.problem is not None:
            trial.set_back()
            name = loaded.plan.attention.implementation
            log.info("%s: %s is not used: %s", loaded.name, name, trial.problem)
    return trial


def _problem_with(whole: WholeBatches, prompts: Sequence[Prompt], trial: FlashTrial) -> str | None:
    """Try prompts of new kinds; return a reason not to use flash-attention, or None."""
    for prompt in prompts:
        if prompt.media_name not in trial.kinds:
            problem = _try_with(whole, prompt, trial)
            if problem is not None:
                return problem
    untried = {prompt.media_name for prompt in prompts} - trial.kinds
    if untried:
        return f"it cannot be tried on a prompt with {' or '.join(sorted(untried))}"
    return None


def _try_with(whole: WholeBatches, prompt: Prompt, trial: FlashTrial) -> str | None:
    """Compare the first logits of a prompt; return a problem if they differ beyond rounding."""
    loaded = whole.loaded
    name = loaded.plan.attention.implementation
    trial.set_back()
    with torch.inference_mode():
        try:
            with _watched(loaded.model, _sees_later_tokens) as seen:
                (plain,) = whole.decoder.first_steps(whole.alone(prompt))
        except (torch.OutOfMemoryError, ForwardError):  # no statement about flash-attention
            return None
        if any(seen):
            return "its tokens see later ones, of an image for instance, and would not with it"
        try:
            with loaded.foreign():
                loaded.model.set_attn_implementation(name)
            if loaded.attention != name:  # transformers only warns
                return f"{loaded.name} does not take it"
            with _watched(loaded.model, _refuse_grid_positions):
                (flash,) = whole.decoder.first_steps(whole.alone(prompt))
            comparison = compare_steps(loaded, [(flash, plain)])
        except (torch.OutOfMemoryError, ForwardError) as error:
            return first_line(error)
    if comparison is None:
        return None
    trial.kinds.add(prompt.media_name)
    trial.comparisons.append(comparison)
    return None if comparison.agrees else comparison.describe("with it")


@contextmanager
def _watched(model: Any, look: Callable[[Any, Mapping[str, Any]], bool]) -> Iterator[list[bool]]:
    """Inspect the arguments of each attention module in the block; yield the list of results."""
    seen: list[bool] = []

    def before(part: Any, _inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        seen.append(look(part, named))

    parts = [part for part in model.modules() if hasattr(part, "is_causal")]
    hooks = [part.register_forward_pre_hook(before, with_kwargs=True) for part in parts]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _sees_later_tokens(part: Any, named: Mapping[str, Any]) -> bool:
    """Return whether a causal attention module gets a mask that is not causal."""
    mask = named.get("attention_mask")  # (B, 1, S, T), bool, or added to scores
    if not part.is_causal or not isinstance(mask, torch.Tensor) or mask.ndim != 4:
        return False
    is_allowed = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    later = is_allowed.triu(mask.shape[-1] - mask.shape[-2] + 1)
    return bool(later.any())


def _refuse_grid_positions(_part: Any, named: Mapping[str, Any]) -> bool:
    """Raise if an attention module gets positions in time, height and width.

    transformers mistakes those of one prompt for several packed sequences with three times the
    tokens (GLM-4.5V, ERNIE 4.5 VL); flash-attention then reads outside its tensors, and CUDA fails
    for the rest of the process.
    """
    positions = named.get("position_ids")
    if positions is not None and positions.ndim > 2:
        raise ValueError("its attention is given positions in time, height and width")
    return False
