"""Vision features: each medium encoded once."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from llava_eval.errors import CheckpointError
from llava_eval.models.local.conversation import placeholder
from llava_eval.models.local.load import LoadedModel
from llava_eval.types import MediaKind, PreparedMedia

#: Most frames in one pass through the vision tower.
MAX_FRAMES = 128


def encode_media(loaded: LoadedModel, media: Sequence[PreparedMedia]) -> list[torch.Tensor]:
    """Return the features of each medium, on the model's device.

    Args:
        loaded: the model.
        media: any mixture of kinds, frame counts and image sizes.

    Returns:
        For each medium (num_tokens, hidden), in the order given.

    Raises:
        CheckpointError: a medium's features and placeholder tokens differ in number.
    """
    alike: defaultdict[Any, list[int]] = defaultdict(list)
    for position, medium in enumerate(media):
        shapes = tuple((name, tuple(value.shape[1:])) for name, value in medium.inputs.items())
        alike[medium.kind, shapes].append(position)
    features: list[torch.Tensor | None] = [None] * len(media)
    for positions in alike.values():
        step = max(1, MAX_FRAMES // _num_frames(media[positions[0]]))
        for start in range(0, len(positions), step):
            chosen = positions[start : start + step]
            encoded = _encode_alike(loaded, [media[position] for position in chosen])
            for position, feature in zip(chosen, encoded, strict=True):
                features[position] = feature
    return [
        _checked(feature, medium, loaded.processor)
        for feature, medium in zip(features, media, strict=True)
    ]


def _num_frames(medium: PreparedMedia) -> int:
    return max(value.shape[1] if value.ndim == 5 else 1 for value in medium.inputs.values())


def _encode_alike(loaded: LoadedModel, media: Sequence[PreparedMedia]) -> list[torch.Tensor]:
    """Encode media of one kind and shape together."""
    inputs = media_inputs(loaded, media)
    encode = feature_function(loaded.model, media[0].kind)
    assert encode is not None
    pixels = inputs.pop(next(name for name in inputs if name.startswith("pixel_values")))
    output = encode(pixels, **inputs, **_config_arguments(encode, loaded.model.config))
    pooled = getattr(output, "pooler_output", output)
    hidden = loaded.model.get_input_embeddings().embedding_dim
    return [feature.reshape(-1, hidden) for feature in pooled]


def media_inputs(loaded: LoadedModel, media: Sequence[PreparedMedia]) -> dict[str, torch.Tensor]:
    """Return the model's arguments for media of one kind and shape, on its device."""
    return {
        name: _placed(torch.cat([medium.inputs[name] for medium in media]), loaded)
        for name in media[0].inputs
    }


def feature_function(model: Any, kind: str) -> Callable[..., Any] | None:
    """Return the model's function from pixel values to features, or None where it has none."""
    function: Callable[..., Any] | None = getattr(model, f"get_{kind}_features", None)
    return function


def _config_arguments(function: Callable[..., Any], config: Any) -> dict[str, Any]:
    """Return the settings that some releases of transformers leave to the caller."""
    known = inspect.signature(function).parameters
    names = ("vision_feature_layer", "vision_feature_select_strategy")
    return {
        name: getattr(config, name) for name in names if name in known and hasattr(config, name)
    }


def _placed(value: torch.Tensor, loaded: LoadedModel) -> torch.Tensor:
    plan = loaded.plan
    if value.dtype == torch.uint8:
        # Frames that still lack the second half of the processor's work.
        frames = value.flatten(0, 1).to(plan.device, non_blocking=True)
        finished = loaded.pixels.finish(frames)
        return finished.reshape(*value.shape[:2], *finished.shape[1:]).to(plan.dtype)
    if value.is_floating_point():
        return value.to(device=plan.device, dtype=plan.dtype, non_blocking=True)
    return value.to(plan.device, non_blocking=True)


def placeholder_id(kind: MediaKind, processor: Any) -> int:
    """Return the id of the token that a feature vector replaces."""
    found = processor.tokenizer.convert_tokens_to_ids(placeholder(kind, processor))
    assert isinstance(found, int)
    return found


def scatter_features(
    loaded: LoadedModel,
    token_ids: torch.Tensor,
    rows: Sequence[Sequence[tuple[PreparedMedia, torch.Tensor]]],
) -> torch.Tensor:
    """Return input embeddings with every medium's features in place of its placeholders.

    Args:
        loaded: the model.
        token_ids: (B, T) int64.
        rows: for each of the B rows its media with their features, in the order of the prompt.

    Returns:
        (B, T, hidden) in the model's dtype.
    """
    embeddings: torch.Tensor = loaded.model.get_input_embeddings()(token_ids)
    for kind in {medium.kind for row in rows for medium, _ in row}:
        features = [feature for row in rows for medium, feature in row if medium.kind == kind]
        here = token_ids == placeholder_id(kind, loaded.processor)
        source = torch.cat(features).to(embeddings.dtype)
        embeddings = embeddings.masked_scatter(here.unsqueeze(-1), source)
    return embeddings


def _checked(feature: torch.Tensor | None, medium: PreparedMedia, processor: Any) -> torch.Tensor:
    assert feature is not None
    expected = medium.token_ids.count(placeholder_id(medium.kind, processor))
    if feature.shape[0] != expected:
        raise CheckpointError(
            f"a {medium.kind} has {expected} placeholder tokens but {feature.shape[0]} features: "
            "the processor's frame size, patch size or pooling does not fit the model's; correct "
            "the checkpoint's processor_config.json"
        )
    return feature
