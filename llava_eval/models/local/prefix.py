"""Encode once, ask many: a prefix's key-value cache serves all its questions.

Built on the stock classes of transformers: the prefix of each group runs once and fills a
:class:`transformers.DynamicCache`; its rows are repeated, one for each question; and
``generate(past_key_values=...)`` goes on with the questions' own tokens. Positions follow the
attention mask, so padding left of a prefix or of a question changes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from llava_eval.models.clock import StageClock
from llava_eval.models.local.load import LoadedModel
from llava_eval.models.local.microbatch import PromptGroup
from llava_eval.models.local.vision import encode_media, feature_function, scatter_features


def can_share_prefixes(loaded: LoadedModel) -> bool:
    """Return whether a model's inputs can be put together from parts.

    That needs functions from pixels to features, and positions that follow from the attention
    mask alone; models with multi-dimensional positions (M-RoPE) compute theirs from whole prompts.
    """
    model = loaded.model
    inner = getattr(model, "model", None)
    has_features = any(feature_function(model, kind) for kind in ("image", "video"))
    return has_features and inner is not None and not hasattr(inner, "get_rope_index")


@dataclass
class Prefix:
    """The prefixes of a wave, computed.

    Attributes:
        token_ids, attention_mask: (G, P), padded on the left.
        cache: their key-value cache, with G rows; None where all prefixes are empty.
    """

    token_ids: torch.Tensor
    attention_mask: torch.Tensor
    cache: Any


@dataclass(frozen=True)
class Continuation:
    """Arguments of ``model.generate`` for some questions of a wave.

    Attributes:
        input_ids, attention_mask: (B, P + S): prefixes, and questions padded on their left.
        cache: key-value cache of the first P tokens, with B rows; None where P is 0.
        prefix_length: P.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    cache: Any
    prefix_length: int

    def arguments(self) -> dict[str, Any]:
        """Return them by name."""
        arguments = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        return arguments if self.cache is None else {**arguments, "past_key_values": self.cache}

    def logits(self, model: Any) -> torch.Tensor:
        """Run the questions' own tokens and return their logits (B, S, vocabulary)."""
        own = slice(self.prefix_length, None)
        output = model(
            input_ids=self.input_ids[:, own],
            attention_mask=self.attention_mask,
            position_ids=positions(self.attention_mask)[:, own],
            past_key_values=self.cache,
            use_cache=self.cache is not None,
        )
        logits: torch.Tensor = output.logits
        return logits


def compute_prefixes(
    loaded: LoadedModel, groups: Sequence[PromptGroup], clock: StageClock
) -> Prefix:
    """Encode the media of a wave and run its prefixes.

    Args:
        loaded: the model.
        groups: G groups.
        clock: gets the stages "vision" and "prefill".
    """
    firsts = [group.prompts[0] for group in groups]
    prefixes = [
        first.token_ids[: group.prefix_length] for first, group in zip(firsts, groups, strict=True)
    ]
    token_ids, mask = left_padded(prefixes, loaded)
    if not token_ids.shape[1]:
        return Prefix(token_ids, mask, None)
    media = [medium for first in firsts for medium in first.request.prepared_media]
    with clock.stage("vision"):
        features = iter(encode_media(loaded, media))
        rows = [
            [(medium, next(features)) for medium in first.request.prepared_media]
            for first in firsts
        ]
    with clock.stage("prefill"):
        cache = DynamicCache(config=loaded.model.config)
        loaded.model.model(
            inputs_embeds=scatter_features(loaded, token_ids, rows),
            attention_mask=mask,
            position_ids=positions(mask),
            past_key_values=cache,
            use_cache=True,
        )
    return Prefix(token_ids, mask, cache)


def continue_prefix(
    loaded: LoadedModel,
    prefix: Prefix,
    groups: Sequence[PromptGroup],
    rows: Sequence[tuple[int, int]],
    *,
    last: bool,
) -> Continuation:
    """Return what some questions of a wave need to be answered.

    Args:
        loaded: the model.
        prefix: of the wave.
        groups: of the wave.
        rows: for each question the number of its group and its number within the group.
        last: nothing else of this wave follows, so the cache may be used up.
    """
    questions = [
        groups[group].prompts[number].token_ids[groups[group].prefix_length :]
        for group, number in rows
    ]
    question_ids, question_mask = left_padded(questions, loaded)
    index = torch.tensor([group for group, _ in rows], device=question_ids.device)
    cache = prefix.cache
    if cache is not None:
        cache = cache if last else copy.deepcopy(cache)
        cache.batch_select_indices(index)
    return Continuation(
        torch.cat([prefix.token_ids[index], question_ids], dim=1),
        torch.cat([prefix.attention_mask[index], question_mask], dim=1),
        cache,
        prefix.token_ids.shape[1],
    )


def left_padded(
    sequences: Sequence[Sequence[int]], loaded: LoadedModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask (B, T), int64, padded on the left."""
    longest = max(map(len, sequences))
    pad = loaded.processor.tokenizer.pad_token_id
    ids = [[pad] * (longest - len(tokens)) + list(tokens) for tokens in sequences]
    mask = [[0] * (longest - len(tokens)) + [1] * len(tokens) for tokens in sequences]
    device = loaded.plan.device
    return torch.tensor(ids, device=device).long(), torch.tensor(mask, device=device).long()


def positions(attention_mask: torch.Tensor) -> torch.Tensor:
    """Return position ids as ``generate`` derives them: padding does not count."""
    return (attention_mask.cumsum(dim=-1) - 1).clamp(min=0)
