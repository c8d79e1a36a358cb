"""What the tiny checkpoints are made of: tokenizer, sizes, chat template, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 384

#: Sizes of a language model.
TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
#: Layers of a language model with sliding windows.
SLIDING: dict[str, Any] = {
    "sliding_window": 32,
    "layer_types": ["sliding_attention", "full_attention"],
}
#: Experts of a language model.
EXPERTS: dict[str, Any] = {
    "moe_intermediate_size": 32,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
}
#: Sizes of an audio tower.
AUDIO: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "num_mel_bins": 16,
}
#: Sizes of a vision tower's layers.
LAYERS: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
#: Sizes of a vision tower with 4 x 4 patches.
VISION: dict[str, Any] = {
    **LAYERS,
    "image_size": 56,
    "patch_size": 14,
}


@dataclass(frozen=True)
class Family:
    """A family of models, and what its checkpoints take.

    Attributes:
        name: model type in transformers.
        make: writes a tiny checkpoint with random weights into a folder.
        images: most images in one prompt.
        videos: most videos in one prompt.
        has_template: its checkpoints bring a chat template.
        quick: belongs to the quick tier.
    """

    name: str
    make: Callable[[Path], None]
    images: int
    videos: int
    has_template: bool
    quick: bool


FAMILIES: dict[str, Family] = {}


def family(
    name: str,
    *,
    images: int = 2,
    videos: int = 0,
    has_template: bool = True,
    quick: bool = False,
) -> Callable[[Callable[[], tuple[Any, Any]]], Callable[[], tuple[Any, Any]]]:
    """Enter a function that returns a model and a processor into :data:`FAMILIES`."""

    def enter(build: Callable[[], tuple[Any, Any]]) -> Callable[[], tuple[Any, Any]]:
        def make(folder: Path) -> None:
            torch.manual_seed(0)
            model, processor = build()
            randomize(model)
            model.save_pretrained(folder)
            processor.save_pretrained(folder)

        FAMILIES[name] = Family(name, make, images, videos, has_template, quick)
        return build

    return enter


def randomize(model: torch.nn.Module) -> None:
    """Give matrices weights that let every token and pixel matter; the usual ones are too small."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "gate" in name and weight.ndim == 1:  # closed when training begins
                weight.fill_(0.5)
            if weight.ndim >= 2 and weight.is_floating_point():
                scale = 1.2 / max(1, weight[0].numel()) ** 0.5
                weight.normal_(0.0, scale, generator=generator)
        # Outputs differ by more than rounding, and tokens are not only copied.
        embedding = model.get_input_embeddings()  # type: ignore[operator]
        if isinstance(embedding, torch.nn.Module) and embedding.weight.ndim == 2:
            embedding.weight.normal_(0.0, 0.1, generator=generator)  # type: ignore[operator]
    generation = getattr(model, "generation_config", None)
    if generation is not None:
        generation.pad_token_id = 0
        generation.bos_token_id = 1
        generation.eos_token_id = 2


def tokenizer(*special: str, **named: str) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer.

    Args:
        special: tokens of the family.
        named: those that the family's processor looks for as attributes, for instance
            ``image_token="<image>"``.
    """
    first = ["<pad>", "<s>", "</s>", "<unk>"]
    vocabulary = {token: number for number, token in enumerate(first)}
    for letter in sorted(ByteLevel.alphabet()):
        vocabulary[letter] = len(vocabulary)
    plain = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    plain.pre_tokenizer = ByteLevel(add_prefix_space=False)
    plain.decoder = ByteLevelDecoder()
    own = dict.fromkeys([*special, *named.values()])
    plain.add_special_tokens([*first, *(AddedToken(token, normalized=False) for token in own)])
    return wrapped(plain, **named)


def wrapped(plain: Tokenizer, **named: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of transformers; see :func:`tokenizer`."""
    assert plain.get_vocab_size() <= VOCABULARY_SIZE
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=named,
    )


def template(image: str = "<image>", video: str = "<video>") -> str:
    """Return a chat template with these placeholders."""
    return (
        "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
        f"{{% if part.type == 'image' %}}{image}{{% elif part.type == 'video' %}}{video}"
        "{% else %}{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )


def id_of(processor_or_tokenizer: Any, token: str) -> int:
    """Return the id of a token."""
    own = getattr(processor_or_tokenizer, "tokenizer", processor_or_tokenizer)
    number = own.convert_tokens_to_ids(token)
    assert number not in (None, own.unk_token_id), token
    return int(number)


def square(side: int) -> dict[str, int]:
    """Return a size as image processors take it."""
    return {"height": side, "width": side}


def sam(**others: Any) -> dict[str, Any]:
    """Return the sizes of a SAM tower whose features lie on a grid of a sixteenth of its side."""
    return {
        "hidden_size": 32,
        "output_channels": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 4,
        "mlp_dim": 48,
        "window_size": 8,
        "global_attn_indexes": [],
        **others,
    }


def mrope(section: Sequence[int]) -> dict[str, Any]:
    """Return rotary parameters with positions in time, height and width."""
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": list(section)}
