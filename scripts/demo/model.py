"""Build the untrained model and its processor: the real architecture, a few million weights.

Every width is a multiple of 64, which 4-bit kernels need.
"""

from __future__ import annotations

from typing import Final

import torch
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.llava_next.image_processing_llava_next import LlavaNextImageProcessor
from transformers.models.llava_next_video.video_processing_llava_next_video import (
    LlavaNextVideoVideoProcessor,
)

from demo.tokenizer import IMAGE, VIDEO, VOCAB_SIZE, token_id

IMAGE_SIZE: Final = 56
PATCH_SIZE: Final = 14
POOL_STRIDE: Final = 2
TOKENS_PER_FRAME: Final = (IMAGE_SIZE // PATCH_SIZE // POOL_STRIDE) ** 2
HIDDEN_SIZE: Final = 192
MAX_POSITIONS: Final = 4096
FEATURE_SELECTION: Final = "default"
PINPOINTS: Final = [
    [IMAGE_SIZE, 2 * IMAGE_SIZE],
    [2 * IMAGE_SIZE, IMAGE_SIZE],
    [2 * IMAGE_SIZE, 2 * IMAGE_SIZE],
    [3 * IMAGE_SIZE, IMAGE_SIZE],
    [IMAGE_SIZE, 3 * IMAGE_SIZE],
]

# As LLaVA-NeXT-Video's own: visuals before the text, one space after each part, and no
# end-of-sequence token between turns; a system text stands once, before the first turn.
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'] | upper }}: {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }} "
    "{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'video' %}<video>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def build_model(
    tokenizer: PreTrainedTokenizerFast, seed: int
) -> LlavaNextVideoForConditionalGeneration:
    """A randomly initialised model for this tokenizer."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=128,
    )
    text = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=HIDDEN_SIZE,
        intermediate_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        head_dim=32,
        initializer_range=0.05,
        max_position_embeddings=MAX_POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    config = LlavaNextVideoConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=token_id(tokenizer, IMAGE),
        video_token_index=token_id(tokenizer, VIDEO),
        vision_feature_layer=-1,
        vision_feature_select_strategy=FEATURE_SELECTION,
        spatial_pool_mode="average",
        spatial_pool_stride=POOL_STRIDE,
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=(IMAGE_SIZE // PATCH_SIZE) ** 2,
        video_seq_length=TOKENS_PER_FRAME,
        tie_word_embeddings=False,
    )
    model = LlavaNextVideoForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=128,
    )
    return model


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaNextVideoProcessor:
    """The processor that goes with `build_model`."""
    size = {"shortest_edge": IMAGE_SIZE}
    crop_size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    return LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(size=size, crop_size=crop_size),
        image_processor=LlavaNextImageProcessor(
            size=size, crop_size=crop_size, image_grid_pinpoints=PINPOINTS
        ),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy=FEATURE_SELECTION,
        video_token=VIDEO,
        image_token=IMAGE,
        num_additional_image_tokens=1,
    )
