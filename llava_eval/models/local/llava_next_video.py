"""LLaVA-NeXT-Video's prefixes: encodes media separately, and computes many prefixes at once.

Each feature of this model replaces one placeholder token, so features can be computed once per
medium, in batches across prompts, and inserted into the embeddings. For small videos this is faster
than one forward pass of the model per prefix, and it supports videos of different lengths in one
prompt, which the processor cannot stack. ``prefix_sharing`` compares it with the plain pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from llava_eval.errors import CheckpointError
from llava_eval.models.clock import StageClock
from llava_eval.models.local.microbatch import PromptGroup
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prefix import CACHE, Prefix, RowRule, left_padded
from llava_eval.types import PreparedMedia

#: Model types whose media are encoded separately from prompts.
MODEL_TYPES = ("llava_next_video",)

#: Maximum number of frames in one pass through the vision tower.
_MAX_FRAMES = 128


class FeaturePrefixes:
    """Computes prefixes from features.

    Args:
        loaded: the model, of one of :data:`MODEL_TYPES`.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    def prefill(self, groups: Sequence[PromptGroup], clock: StageClock) -> Prefix:
        """Encode the media of some groups and run their prefixes.

        Args:
            groups: G groups.
            clock: records the stages "vision" and "prefill".

        Raises:
            CheckpointError: a medium's features and placeholder tokens differ in number.
        """
        loaded = self._loaded
        token_ids, mask = left_padded(
            [group.prompts[0].token_ids[: group.prefix_length] for group in groups], loaded
        )  # (G, P)
        firsts = (group.prompts[0].request for group in groups)
        media = [medium for first in firsts for medium in first.prepared_media]
        with clock.stage("vision"):
            features = self.encode(media)
        with clock.stage("prefill"), loaded.foreign():
            cache = DynamicCache(config=loaded.model.config)
            loaded.model.model(
                inputs_embeds=self._scattered(token_ids, media, features),
                attention_mask=mask,
                position_ids=(mask.cumsum(dim=-1) - 1).clamp(min=0),
                use_cache=True,
                **{CACHE: cache},
            )
        rule = RowRule.EQUAL if loaded.plan.kept_generation_settings else RowRule.PADDED
        return Prefix(tuple(groups), token_ids, mask, cache, rule)

    def encode(self, media: Sequence[PreparedMedia]) -> list[torch.Tensor]:
        """Return the features of each medium, on the model's device.

        Args:
            media: any mixture of kinds, frame counts and image sizes.

        Returns:
            For each medium (num_tokens, hidden), in the given order.

        Raises:
            CheckpointError: a medium's features and placeholder tokens differ in number.
        """
        alike: defaultdict[Any, list[int]] = defaultdict(list)
        for index, medium in enumerate(media):
            shapes = tuple((name, tuple(value.shape[1:])) for name, value in medium.inputs.items())
            alike[medium.kind, shapes].append(index)
        features: dict[int, torch.Tensor] = {}
        for indices in alike.values():
            values = media[indices[0]].inputs.values()
            # Pixels are (1, frames or tiles, 3, h, w).
            num_frames = max(value.shape[1] if value.ndim == 5 else 1 for value in values)
            step = max(1, _MAX_FRAMES // num_frames)
            for start in range(0, len(indices), step):
                chosen = indices[start : start + step]
                encoded = self._encode_alike([media[index] for index in chosen])
                features.update(zip(chosen, encoded, strict=True))
        for index, medium in enumerate(media):
            self._check_number(medium, len(features[index]))
        return [features[index] for index in range(len(media))]

    def _check_number(self, medium: PreparedMedia, num_features: int) -> None:
        expected = medium.token_ids.count(self._loaded.placeholder_id(medium.kind))
        if num_features != expected:
            raise CheckpointError(
                f"a {medium.kind} has {expected} placeholder tokens but {num_features} "
                "features: the processor's frame size, patch size or pooling does not fit the "
                "model's; correct the checkpoint's processor_config.json"
            )

    def _encode_alike(self, media: Sequence[PreparedMedia]) -> list[torch.Tensor]:
        """Encode media of one kind and shape together; for each (num_tokens, hidden)."""
        model = self._loaded.model
        inputs = self.inputs(media)
        encode: Callable[..., Any] = getattr(model, f"get_{media[0].kind}_features")
        pixels = inputs.pop(next(name for name in inputs if name.startswith("pixel_values")))
        with self._loaded.foreign():
            output = encode(pixels, **inputs)
        hidden = model.get_input_embeddings().embedding_dim
        return [feature.reshape(-1, hidden) for feature in output.pooler_output]

    def inputs(self, media: Sequence[PreparedMedia]) -> dict[str, torch.Tensor]:
        """Return the model's arguments for B media of one kind and shape, on its device."""
        device, inputs = self._loaded.plan.device, {}
        for name in media[0].inputs:
            # Each part is copied from its own page-locked memory; a tensor joined on the CPU is not
            # in such memory.
            parts = [medium.inputs[name].to(device, non_blocking=True) for medium in media]
            value = torch.cat(parts)  # (B, ...)
            if value.dtype == torch.uint8:
                # Frames (B, F, 3, h, w) that the processor has resized but not yet normalised.
                finished = self._loaded.pixels.finish(value.flatten(0, 1))  # (B * F, 3, h, w)
                value = finished.reshape(*value.shape[:2], *finished.shape[1:])
            inputs[name] = value
        return self._loaded.to_device(inputs)

    def _scattered(
        self,
        token_ids: torch.Tensor,
        media: Sequence[PreparedMedia],
        features: Sequence[torch.Tensor],
    ) -> torch.Tensor:
        """Return embeddings (G, P, hidden) with the media's features in place of placeholders."""
        embeddings: torch.Tensor = self._loaded.model.get_input_embeddings()(token_ids)
        for kind in {medium.kind for medium in media}:
            of_kind = [features[n] for n, medium in enumerate(media) if medium.kind == kind]
            here = token_ids == self._loaded.placeholder_id(kind)  # (G, P)
            source = torch.cat(of_kind).to(embeddings)  # (tokens of all media, hidden)
            embeddings = embeddings.masked_scatter(here.unsqueeze(-1), source)
        return embeddings
