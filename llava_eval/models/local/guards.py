"""Guards against mistakes that cost points without a word.

Each looks at what was really loaded, not at what its files promise. A guard that is violated is an
error that says what to set; what the guards saw goes into the manifest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch

from llava_eval.errors import CheckpointError, PromptError
from llava_eval.models.clock import StageClock
from llava_eval.models.local.load import LoadedModel
from llava_eval.models.local.microbatch import alone, num_tokens
from llava_eval.models.local.prefix import compute_prefixes, continue_prefix, left_padded
from llava_eval.models.local.prompt import Prompt
from llava_eval.models.local.vision import media_inputs
from llava_eval.types import MediaKind, PreparedMedia

#: RoPE schemes whose factor stretches max_position_embeddings; others state the stretched length.
_STRETCHING_SCHEMES = ("linear", "dynamic")

#: Largest difference of logits, relative to their spread, that rounding explains.
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.25}

#: What :func:`check_shared_prefix` found, by model and kind of medium.
_differences: WeakKeyDictionary[Any, dict[MediaKind, float]] = WeakKeyDictionary()


def context_length(config: Any) -> int | None:
    """Return how many tokens the language model can attend to after RoPE scaling, if it says."""
    text = config.get_text_config()
    stated = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    if stated is None:
        return None
    scheme = rope.get("rope_type", "default")
    factor = float(rope.get("factor") or 1.0) if scheme in _STRETCHING_SCHEMES else 1.0
    return int(stated * factor)


def check_length(prompt: Prompt, limit: int | None) -> None:
    """Raise where a prompt and its answer do not fit into the context.

    Raises:
        PromptError: they do not; beyond its context a model writes gibberish or nothing.
    """
    needed = num_tokens(prompt)
    if limit is not None and needed > limit:
        raise PromptError(
            f"sample {prompt.request.id}: {len(prompt.token_ids)} prompt tokens and up to "
            f"{needed - len(prompt.token_ids)} new ones exceed the model's context of {limit}; set "
            "sampler.num_frames lower, or model.rope_scaling as the checkpoint's authors did, for "
            "instance model.rope_scaling='{rope_type: linear, factor: 2.0}'"
        )


def check_frame_size(loaded: LoadedModel, medium: PreparedMedia) -> dict[str, Any]:
    """Compare the processor's frames with what the vision tower was trained on.

    The video processor's class defaults are 224 pixels while the 7B checkpoint's tower takes 336:
    a processor made without its configuration halves the tokens and says nothing.

    Raises:
        CheckpointError: the sizes differ.
    """
    pixels = next(value for name, value in medium.inputs.items() if name.startswith("pixel_values"))
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


def check_token_ids(loaded: LoadedModel, prompt: Prompt) -> None:
    """Tokenize the expanded text in one piece and compare.

    Raises:
        CheckpointError: the tokenizer treats placeholders in a way that this package does not know.
    """
    processor = loaded.processor
    tokenizer = processor.tokenizer
    pieces = []
    rest = prompt.text
    for medium in prompt.request.prepared_media:
        token = getattr(processor, f"{medium.kind}_token")
        if set(medium.token_ids) != {tokenizer.convert_tokens_to_ids(token)}:
            return  # expands to more than placeholders; only the processor itself can tell
        before, _, rest = rest.partition(token)
        pieces += [before, token * len(medium.token_ids)]
    text = "".join([*pieces, rest])
    bos = tokenizer.bos_token
    ids = tokenizer(text, add_special_tokens=bos is None or not text.startswith(bos))["input_ids"]
    if tuple(ids) != prompt.token_ids:
        raise CheckpointError(
            f"sample {prompt.request.id}: its tokens depend on how media placeholders are expanded "
            f"({len(ids)} against {len(prompt.token_ids)}); set runner.share_prefixes=false"
        )


def check_shared_prefix(loaded: LoadedModel, prompt: Prompt) -> float:
    """Compare the logits after a shared prefix with those of the model's own forward pass.

    One frame of a video is enough to see whether the parts fit. A model is asked once for each kind
    of medium: the next run of a sweep would find the same.

    Args:
        loaded: the model.
        prompt: with one medium.

    Returns:
        The largest difference relative to the standard deviation of the logits.

    Raises:
        CheckpointError: they differ by more than rounding; this model's inputs cannot be put
            together from parts.
    """
    (medium,) = prompt.request.prepared_media
    found = _differences.setdefault(loaded.model, {})
    if medium.kind not in found:
        found[medium.kind] = _shared_prefix_difference(loaded, _with_one_frame(prompt))
    return found[medium.kind]


@torch.inference_mode()
def _shared_prefix_difference(loaded: LoadedModel, prompt: Prompt) -> float:
    group = alone(prompt)
    prefix = compute_prefixes(loaded, [group], StageClock())
    rest = continue_prefix(loaded, prefix, [group], [(0, 0)], last=True)
    if rest.cache is None:
        return 0.0
    shared = rest.logits(loaded.model)[0, -1]
    plain = loaded.model(**_plain_inputs(loaded, prompt)).logits[0, -1]
    difference = float((shared.float() - plain.float()).abs().max() / plain.float().std())
    limit = _TOLERANCE.get(loaded.plan.dtype, 0.25)
    if loaded.plan.quantization.method is not None:
        limit = max(limit, 0.25)
    if not difference <= limit:
        raise CheckpointError(
            f"{type(loaded.model).__name__}: logits after a shared prefix differ from those of a "
            f"plain forward pass by {difference:.2g} standard deviations; set "
            "runner.share_prefixes=false and report it"
        )
    return difference


def _with_one_frame(prompt: Prompt) -> Prompt:
    """Return a prompt that shows its video's first frame only, where frames can be told apart."""
    (medium,) = prompt.request.prepared_media
    shapes = {tuple(value.shape[:2]) for value in medium.inputs.values() if value.ndim == 5}
    if medium.kind != "video" or len(shapes) != 1:
        return prompt
    ((_, num_frames),) = shapes
    num_tokens, rest = divmod(len(medium.token_ids), num_frames)
    if rest or len(set(medium.token_ids)) != 1:
        return prompt
    first = replace(
        medium,
        inputs={name: value[:, :1] for name, value in medium.inputs.items()},
        token_ids=medium.token_ids[:num_tokens],
    )
    content = tuple(first if piece is medium else piece for piece in prompt.request.content)
    start = prompt.media_end - len(medium.token_ids)
    return replace(
        prompt,
        request=replace(prompt.request, content=content),
        token_ids=prompt.token_ids[: start + num_tokens] + prompt.token_ids[prompt.media_end :],
        media_end=start + num_tokens,
        option=None,
    )


def _plain_inputs(loaded: LoadedModel, prompt: Prompt) -> dict[str, Any]:
    """Return the arguments of a plain forward pass over one whole prompt with one medium."""
    token_ids, mask = left_padded([prompt.token_ids], loaded)
    inputs: dict[str, Any] = {"input_ids": token_ids, "attention_mask": mask}
    return {**inputs, **media_inputs(loaded, prompt.request.prepared_media)}
