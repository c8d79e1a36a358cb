"""Families that transformers has since version 5.24."""

from __future__ import annotations

from typing import Any

import transformers

from tests.models.families.newest import INKLING_TEXT, INKLING_TOWER
from tests.models.families.parts import (
    EXPERTS,
    LAYERS,
    TEXT,
    VOCABULARY_SIZE,
    family,
    id_of,
    square,
    template,
    tokenizer,
)
from tests.models.families.qwen_like import QWEN_TEMPLATE, qwen_words

tf: Any = transformers


@family("apertus1p5")
def apertus1p5() -> tuple[Any, Any]:
    """Apertus 1.5: images are words of a codebook, which it never writes."""
    named = {
        "image_token": "<|image|>",
        "audio_token": "<|audio|>",
        "boi_token": "<|img_start|>",
        "eoi_token": "<|img_end|>",
        "image_wrapper_token": "<|img_token_start|>",
        "eol_token": "<|img_end_of_row|>",
        "boa_token": "<|audio_start|>",
        "eoa_token": "<|audio_end|>",
    }
    words = tokenizer(**named)
    codes, sounds = 32, 8
    config = tf.Apertus1p5Config(
        text_config={
            **TEXT,
            "vocab_size": VOCABULARY_SIZE + codes + sounds,
            "output_vocab_size": VOCABULARY_SIZE,
        },
        vision_config={
            "codebook_size": codes,
            "embed_dim": 8,
            "latent_channels": 8,
            "base_channels": 32,
            "num_res_blocks": 1,
            "resolution": 32,
            "attn_resolutions": [2],
        },
        audio_config={
            "model_type": "wavtokenizer_encoder",
            "num_filters": 4,
            "hidden_size": 8,
            "codebook_dim": 8,
            "codebook_size": sounds,
        },
        image_token_id=id_of(words, "<|image|>"),
        audio_token_id=id_of(words, "<|audio|>"),
        image_token_offset=VOCABULARY_SIZE,
        audio_token_offset=VOCABULARY_SIZE + codes,
    )
    processor = tf.Apertus1p5Processor(
        tf.Apertus1p5ImageProcessor(size={"min_pixels": 48 * 48, "max_pixels": 112 * 112}),
        tf.WavTokenizerFeatureExtractor(),
        words,
        chat_template=template("<|image|>"),
    )
    return tf.Apertus1p5ForConditionalGeneration(config), processor


@family("hy_v4_vl", videos=2)
def hy_v4_vl() -> tuple[Any, Any]:
    """Hy4: layers that attend to the best few tokens, and a line's end in every row of patches."""
    words, _ = qwen_words()
    config = tf.HYV4VLConfig(
        vision_config={**LAYERS, "out_hidden_size": 64, "max_image_size": 256},
        text_config={
            **TEXT,
            **EXPERTS,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 16,
            "v_head_dim": 16,
            "index_topk": 16,
            "index_head_dim": 32,
            "index_n_heads": 2,
            "hc_mult": 2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 2, 2],
            },
        },
        image_token_id=id_of(words, "<|image_pad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
    )
    processor = tf.HYV4VLProcessor(
        tf.HYV4VLImageProcessor(size={"shortest_edge": 64 * 64, "longest_edge": 128 * 128}),
        words,
        tf.HYV4VLVideoProcessor(size={"shortest_edge": 4096, "longest_edge": 8 * 96 * 96}),
        chat_template=QWEN_TEMPLATE,
    )
    return tf.HYV4VLForConditionalGeneration(config), processor


@family("inkling2_loop")
def inkling2_loop() -> tuple[Any, Any]:
    """Inkling 2 Mini: some layers run several times, each time with a cache of its own."""
    words = tokenizer(image_token="<|unused_200054|>")
    config = tf.Inkling2LoopConfig(
        vision_config=INKLING_TOWER,
        text_config={
            **INKLING_TEXT,
            "num_hidden_layers": 3,
            "layer_types": ["hybrid_sliding", "hybrid", "hybrid_sliding"],
            "loop_layer_index_start": 1,
            "loop_layer_index_end": 2,
            "loop_num_passes": 2,
            "loop_gate_rank": 8,
        },
        image_token_id=id_of(words, "<|unused_200054|>"),
    )
    processor = tf.Inkling2Processor(
        tf.Inkling2ImageProcessor(size=square(40)),
        words,
        chat_template=template("<|unused_200054|>"),
    )
    return tf.Inkling2LoopForConditionalGeneration(config), processor
