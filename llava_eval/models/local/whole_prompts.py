"""Runs whole prompts in batches, for families whose prompts share no prefix.

Rows are padded by the checkpoint's own processor. Whether a model supports padding is tried once
for each kind of prompt, on the run's first ones: padded prompts, or else prompts of equal length,
must have the same logits together as alone. Otherwise prompts run one at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any
from weakref import WeakKeyDictionary

import torch

from llava_eval.errors import ForwardError
from llava_eval.models.local.decoding import Decoder
from llava_eval.models.local.guards import compare_steps
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prefix import PromptBatch, RowRule
from llava_eval.models.local.prompt import Prompt, PromptWriter

#: Results of trials which rows may run together, by model and kind of prompt; the next run of a
#: sweep reuses them.
_known: WeakKeyDictionary[Any, dict[Hashable, dict[RowRule, bool]]] = WeakKeyDictionary()


@dataclass
class WholeBatches:
    """Puts whole prompts into batches.

    Attributes:
        loaded: the model.
        writer: writes prompts.
        decoder: runs the model.
        rules: which rows ran together, by the media that their prompts show.
    """

    loaded: LoadedModel
    writer: PromptWriter
    decoder: Decoder
    rules: dict[str, set[RowRule]] = field(default_factory=dict)

    def alone(self, prompt: Prompt) -> PromptBatch:
        """Return a batch of one prompt with the processor's inputs."""
        inputs = self.loaded.to_device(self.writer.whole_inputs(prompt))
        return PromptBatch((prompt,), inputs)

    def batches(self, prompts: Sequence[Prompt]) -> Iterator[PromptBatch]:
        """Yield prompts in batches that are ready to run, the longest first.

        Raises:
            ForwardError: the processor fails.
        """
        by_kind: dict[Hashable, list[Prompt]] = {}
        for prompt in sorted(prompts, key=lambda prompt: -len(prompt.token_ids)):
            by_kind.setdefault(_key(prompt), []).append(prompt)
        for key, alike in by_kind.items():
            rule = self._rule(key, alike)
            self.rules.setdefault(alike[0].media_name, set()).add(rule)
            if rule is RowRule.PADDED:
                yield self._together(alike)
            elif rule is RowRule.EQUAL:
                for _, equal in groupby(alike, key=lambda prompt: len(prompt.token_ids)):
                    yield self._together(list(equal))
            else:
                yield from map(self.alone, alike)

    def _rule(self, key: Hashable, alike: Sequence[Prompt]) -> RowRule:
        """Return which of these prompts, sorted by length, may run together, after trials."""
        tried = _known.setdefault(self.loaded.model, {})
        known = tried.setdefault((key, self.loaded.attention), {})
        longest, shortest = alike[0], alike[-1]
        if self.loaded.length_dependence is not None or self.loaded.plan.kept_generation_settings:
            # A repetition penalty would count padding, which logits do not reveal.
            known[RowRule.PADDED] = False
        elif RowRule.PADDED not in known and len(longest.token_ids) > len(shortest.token_ids):
            known[RowRule.PADDED] = self._agrees([longest, shortest])
        if known.get(RowRule.PADDED):
            return RowRule.PADDED
        lengths = [len(prompt.token_ids) for prompt in alike]
        equal = [n for n, (left, right) in enumerate(pairwise(lengths)) if left == right]
        if RowRule.EQUAL not in known and equal:
            known[RowRule.EQUAL] = self._agrees(alike[equal[0] : equal[0] + 2])
        return RowRule.EQUAL if known.get(RowRule.EQUAL) else RowRule.SINGLE

    def _agrees(self, prompts: Sequence[Prompt]) -> bool:
        """Return whether prompts have the same first logits together as alone."""
        try:
            with torch.inference_mode():
                together = self.decoder.first_steps(self._together(prompts))
                apart = [self.decoder.first_steps(self.alone(prompt))[0] for prompt in prompts]
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001 - any exception in a trial means "run alone"
            return False
        comparison = compare_steps(self.loaded, [*zip(together, apart, strict=True)])
        return comparison is not None and comparison.agrees

    def _together(self, prompts: Sequence[Prompt]) -> PromptBatch:
        """Return prompts padded by the processor, each with its own tokens."""
        if len(prompts) == 1:
            return self.alone(prompts[0])
        made = self.writer.whole_inputs(*prompts)  # input_ids and attention_mask: (B, T)
        rows, masks = made["input_ids"].tolist(), made["attention_mask"].bool().tolist()
        for prompt, row, mask in zip(prompts, rows, masks, strict=True):
            own = tuple(token for token, is_own in zip(row, mask, strict=True) if is_own)
            if own != prompt.token_ids or not mask[-1]:
                raise ForwardError(f"sample {prompt.request.id}: its processor pads it otherwise")
        return PromptBatch(tuple(prompts), self.loaded.to_device(made))


def _key(prompt: Prompt) -> Hashable:
    """Return a key that must be equal for whole prompts that are tried, and run, together.

    It includes the shapes of pixels, because a trial covers only the padding of images that it saw.
    """
    shapes = {
        name: tuple(value.shape)
        for name, value in (prompt.inputs or {}).items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }
    return prompt.media_name, prompt.option is not None, tuple(sorted(shapes.items()))
