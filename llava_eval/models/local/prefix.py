"""Shared prefixes: the cache of a prefix is computed once and serves all its questions.

The model's own ``generate`` runs over the prefix part of the processor's inputs and fills the cache
type that the model chooses. The cache's rows are repeated, one for each question, and ``generate``
continues with the questions' own tokens. This module uses no knowledge about a model except what
its cache supports:

- plain caches allow padding between a prefix and a question, and prefixes of several media may run
  together, padded on the left: positions follow the attention mask;
- sliding windows and chunks count padding, so their rows must have equal lengths;
- layers with a state (linear attention, short convolutions) are copied for each question.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.generation.utils import GenerateDecoderOnlyOutput

from llava_eval.models.local.microbatch import PromptGroup, aligned_inputs
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prompt import Prompt

#: Name of the cache argument in ``generate`` and models, which transformers 5.24 has renamed.
CACHE = "cache" if "cache" in GenerateDecoderOnlyOutput.__annotations__ else "past_key_values"


class RowRule(Enum):
    """Which rows of a cache may run together."""

    PADDED = "any rows, padded"
    EQUAL = "rows of equal length"
    SINGLE = "one row at a time"


@dataclass(frozen=True)
class PromptBatch:
    """Prompts that run together, with the model's inputs.

    Attributes:
        prompts: B prompts.
        inputs: arguments of ``generate`` on the model's device; ``input_ids`` is (B, P + S).
        prefix_length: P, the number of tokens already in the cache; 0 without a cache.
    """

    prompts: tuple[Prompt, ...]
    inputs: Mapping[str, Any]
    prefix_length: int = 0


@dataclass
class Prefix:
    """The computed prefixes of some groups.

    Attributes:
        groups: G groups.
        token_ids, attention_mask: (G, P), padded on the left.
        cache: their cache, with G rows.
        rule: which rows may run together.
        aligned: names of further inputs with one entry per token, which every question needs.
    """

    groups: tuple[PromptGroup, ...]
    token_ids: torch.Tensor
    attention_mask: torch.Tensor
    cache: Any
    rule: RowRule
    aligned: Sequence[str] = ()

    def batches(self, loaded: LoadedModel, batch_size: int) -> Iterator[PromptBatch]:
        """Yield the questions of all groups in batches, ready to run."""
        rows = [
            (number, prompt) for number, group in enumerate(self.groups) for prompt in group.prompts
        ]
        if self.rule is RowRule.EQUAL:
            rows.sort(key=lambda row: len(row[1].token_ids))
        while rows:
            batch = rows[: min(batch_size, self._num_together([prompt for _, prompt in rows]))]
            del rows[: len(batch)]
            yield self._batch(loaded, batch, is_last=not rows)

    def _num_together(self, prompts: Sequence[Prompt]) -> int:
        """Return how many of these prompts, beginning with the first, may run together."""
        if self.rule is RowRule.SINGLE:
            return 1
        if self.rule is RowRule.EQUAL:
            length = len(prompts[0].token_ids)
            return sum(len(prompt.token_ids) == length for prompt in prompts)
        return len(prompts)

    def _batch(
        self, loaded: LoadedModel, rows: Sequence[tuple[int, Prompt]], *, is_last: bool
    ) -> PromptBatch:
        """Return the batch of B prompts, given with the numbers of their groups."""
        questions = [
            prompt.token_ids[self.groups[number].prefix_length :] for number, prompt in rows
        ]
        question_ids, question_mask = left_padded(questions, loaded)  # (B, S)
        index = torch.tensor([number for number, _ in rows])  # on the CPU it works for all devices
        index = index if loaded.plan.is_spread else index.to(question_ids.device)
        inputs: dict[str, Any] = {
            "input_ids": torch.cat([self.token_ids[index], question_ids], dim=1),  # (B, P + S)
            "attention_mask": torch.cat([self.attention_mask[index], question_mask], dim=1),
            CACHE: self._rows_of_cache(index, is_last=is_last),
        }
        for name in self.aligned:  # (1, P + S, ...) for each prompt, all of equal length
            values = [prompt.inputs[name] for _, prompt in rows if prompt.inputs is not None]
            inputs |= loaded.to_device({name: torch.cat(values)})  # (B, P + S, ...)
        prompts = tuple(prompt for _, prompt in rows)
        cached = self.token_ids.shape[1]  # P
        if loaded.has_grid_positions:
            whole = [grid_positions(loaded, prompt) for prompt in prompts]
            if whole[0].ndim == 3:  # 2 if the text model behind such a vision tower has no M-RoPE
                own = [
                    positions[:, 0, -len(question) :].T  # (tokens of a question, 3 or 4)
                    for positions, question in zip(whole, questions, strict=True)
                ]
                placed = _padded(own).permute(2, 0, 1)  # (3 or 4, B, S)
                # Tokens in the cache need no positions any more, so these are zeros.
                placed = torch.nn.functional.pad(placed, (cached, 0))  # (3 or 4, B, P + S)
                inputs["position_ids"] = placed.to(question_ids.device)
        return PromptBatch(prompts, inputs, cached)

    def _rows_of_cache(self, index: torch.Tensor, *, is_last: bool) -> Any:
        """Return a cache with these rows (B,); for the last batch it may consume this one."""
        if self.rule is RowRule.SINGLE:
            return self.cache if is_last else copy.deepcopy(self.cache)
        rows = copy.copy(self.cache)
        rows.layers = [copy.copy(layer) for layer in self.cache.layers]
        if is_last:
            self.cache = None  # frees its memory layer by layer
        rows.batch_select_indices(index)
        return rows


def prefill(loaded: LoadedModel, group: PromptGroup) -> Prefix:
    """Run the model over the prefix of a group, as its own ``generate`` does.

    Raises:
        ForwardError: the model fails.
    """
    whole = group.prompts[0].inputs
    assert whole is not None
    length = group.prefix_length  # P
    aligned = aligned_inputs(whole)
    inputs = loaded.to_device(
        {name: value[:, :length] if name in aligned else value for name, value in whole.items()}
    )
    once = GenerationConfig(max_new_tokens=1, do_sample=False, return_dict_in_generate=True)
    once.pad_token_id = loaded.tokenizer.pad_token_id
    cache = loaded.generate(inputs, generation_config=once, use_cache=True)[CACHE]
    token_ids = inputs["input_ids"]  # (1, P)
    further = [
        name
        for name in aligned
        if name not in ("input_ids", "attention_mask") and not name.endswith("token_type_ids")
    ]
    rule = _row_rule(cache, length)
    if rule is RowRule.PADDED and (further or loaded.plan.kept_generation_settings):
        rule = RowRule.EQUAL  # e.g. a repetition penalty would count padding
    return Prefix((group,), token_ids, torch.ones_like(token_ids), cache, rule, further)


def _row_rule(cache: Any, length: int) -> RowRule:
    """Return which rows of a cache may run together, from the types of its layers."""
    layers = getattr(cache, "layers", None)
    if type(cache) is not DynamicCache or not layers:
        return RowRule.SINGLE
    used = [layer for layer in layers if getattr(layer, "keys", None) is not None]
    kinds = {type(layer) for layer in layers}
    lengths = {layer.keys.shape[-2] for layer in used}
    if kinds == {DynamicLayer} and lengths == {length}:
        return RowRule.PADDED
    return RowRule.EQUAL if kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else RowRule.SINGLE


def joined(prefixes: Sequence[Prefix], loaded: LoadedModel) -> list[Prefix]:
    """Join prefixes whose rows may be padded; return others unchanged."""
    if len(prefixes) == 1 or any(prefix.rule is not RowRule.PADDED for prefix in prefixes):
        return list(prefixes)
    groups = tuple(group for prefix in prefixes for group in prefix.groups)
    longest = max(group.prefix_length for group in groups)  # P
    cache = prefixes[0].cache
    for number, layer in enumerate(cache.layers):
        parts = [prefix.cache.layers[number] for prefix in prefixes]
        layer.keys = _padded_in_front([part.keys for part in parts], longest)
        layer.values = _padded_in_front([part.values for part in parts], longest)
        for part in parts[1:]:
            part.keys = part.values = None  # frees their memory layer by layer
    token_ids, mask = left_padded(
        [group.prompts[0].token_ids[: group.prefix_length] for group in groups], loaded
    )
    return [Prefix(groups, token_ids, mask, cache, RowRule.PADDED)]


def _padded_in_front(parts: Sequence[torch.Tensor], length: int) -> torch.Tensor:
    """Join keys or values (1, heads, T, size) to (G, heads, length, size), left-padded with 0."""
    pad = torch.nn.functional.pad
    return torch.cat([pad(part, (0, 0, length - part.shape[-2], 0)) for part in parts])


def grid_positions(loaded: LoadedModel, prompt: Prompt) -> torch.Tensor:
    """Return the positions of a whole prompt's tokens in time, height and width.

    These are the model's own positions for ``generate``. A question's positions cannot be derived
    from the number of preceding tokens: a video's last frame may be later in time than its text.

    Returns:
        (3 or 4, 1, T) on the CPU, or (1, T) if the model has no such positions.

    Raises:
        ForwardError: the model fails.
    """
    assert prompt.inputs is not None
    inputs = dict(prompt.inputs)
    with loaded.foreign():
        positions: torch.Tensor = loaded.model._prepare_position_ids_for_generation(
            inputs["input_ids"], inputs
        )
    return positions.cpu()


def position_ids(batch: PromptBatch) -> torch.Tensor:
    """Return the positions of a batch's own tokens, as ``generate`` uses them.

    Returns:
        (B, S), or (3 or 4, B, S) for positions in time, height and width.
    """
    positions = batch.inputs.get("position_ids")
    if positions is None:
        positions = (batch.inputs["attention_mask"].cumsum(dim=-1) - 1).clamp(min=0)
    own: torch.Tensor = positions[..., batch.prefix_length :]
    return own


def left_padded(
    sequences: Sequence[Sequence[int]], loaded: LoadedModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask (B, T), int64, padded on the left."""
    rows = [torch.tensor(tokens, dtype=torch.int64) for tokens in sequences]
    ids = _padded(rows, loaded.tokenizer.pad_token_id)
    mask = _padded([torch.ones_like(row) for row in rows])
    return ids.to(loaded.plan.device), mask.to(loaded.plan.device)


def _padded(rows: Sequence[torch.Tensor], value: int = 0) -> torch.Tensor:
    """Join rows (T, ...) of different lengths to (B, longest T, ...), padded on the left."""
    return pad_sequence(list(rows), batch_first=True, padding_value=value, padding_side="left")
