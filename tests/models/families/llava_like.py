"""Families whose vision features take the place of one placeholder token each."""

from __future__ import annotations

from typing import Any

import transformers

from tests.models.families.parts import (
    LAYERS,
    SLIDING,
    TEXT,
    VISION,
    VOCABULARY_SIZE,
    family,
    id_of,
    sam,
    square,
    template,
    tokenizer,
)

tf: Any = transformers

CLIP = {"model_type": "clip_vision_model", "projection_dim": 32, **VISION}
SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False, **VISION}
LLAMA = {"model_type": "llama", **TEXT}
QWEN2 = {"model_type": "qwen2", **TEXT}
COHERE2 = {"model_type": "cohere2", "logit_scale": 1.0, **TEXT, **SLIDING}
PIXTRAL = {"model_type": "pixtral", "head_dim": 16, **VISION, "image_size": 112}
PINPOINTS = [[56, 112], [112, 56], [112, 112]]
SIZES = {"size": {"shortest_edge": 56}, "crop_size": square(56)}


def llava_processor(words: Any) -> Any:
    return tf.LlavaProcessor(
        tf.CLIPImageProcessor(**SIZES),
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )


@family("llava", quick=True)
def llava() -> tuple[Any, Any]:
    """LLaVA-1.5."""
    words = tokenizer(image_token="<image>")
    config = tf.LlavaConfig(
        vision_config=CLIP, text_config=LLAMA, image_token_index=id_of(words, "<image>")
    )
    return tf.LlavaForConditionalGeneration(config), llava_processor(words)


@family("vipllava")
def vipllava() -> tuple[Any, Any]:
    """ViP-LLaVA."""
    words = tokenizer(image_token="<image>")
    config = tf.VipLlavaConfig(
        vision_config=CLIP,
        text_config=LLAMA,
        image_token_index=id_of(words, "<image>"),
        vision_feature_layers=[-1, -2],
        vision_feature_layer=[-1, -2],
    )
    return tf.VipLlavaForConditionalGeneration(config), llava_processor(words)


@family("llava_next")
def llava_next() -> tuple[Any, Any]:
    """LLaVA-NeXT."""
    words = tokenizer(image_token="<image>")
    config = tf.LlavaNextConfig(
        vision_config=CLIP,
        text_config=LLAMA,
        image_token_index=id_of(words, "<image>"),
        image_grid_pinpoints=PINPOINTS,
    )
    processor = tf.LlavaNextProcessor(
        tf.LlavaNextImageProcessor(image_grid_pinpoints=PINPOINTS, **SIZES),
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )
    return tf.LlavaNextForConditionalGeneration(config), processor


@family("llava_next_video", videos=2, quick=True)
def llava_next_video() -> tuple[Any, Any]:
    """LLaVA-NeXT-Video."""
    words = tokenizer(image_token="<image>", video_token="<video>")
    config = tf.LlavaNextVideoConfig(
        vision_config=CLIP,
        text_config=LLAMA,
        image_token_index=id_of(words, "<image>"),
        video_token_index=id_of(words, "<video>"),
        image_grid_pinpoints=PINPOINTS,
    )
    processor = tf.LlavaNextVideoProcessor(
        video_processor=tf.LlavaNextVideoVideoProcessor(**SIZES),
        image_processor=tf.LlavaNextImageProcessor(image_grid_pinpoints=PINPOINTS, **SIZES),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(),
    )
    return tf.LlavaNextVideoForConditionalGeneration(config), processor


@family("llava_onevision", videos=2)
def llava_onevision() -> tuple[Any, Any]:
    """LLaVA-OneVision."""
    words = tokenizer(image_token="<image>", video_token="<video>")
    config = tf.LlavaOnevisionConfig(
        vision_config=SIGLIP,
        text_config=QWEN2,
        image_token_index=id_of(words, "<image>"),
        video_token_index=id_of(words, "<video>"),
        image_grid_pinpoints=PINPOINTS,
    )
    processor = tf.LlavaOnevisionProcessor(
        tf.LlavaOnevisionImageProcessor(image_grid_pinpoints=PINPOINTS, size=square(56)),
        words,
        tf.LlavaOnevisionVideoProcessor(size=square(56)),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template(),
    )
    return tf.LlavaOnevisionForConditionalGeneration(config), processor


@family("video_llava", videos=2)
def video_llava() -> tuple[Any, Any]:
    """Video-LLaVA: 8 frames a video."""
    words = tokenizer(image_token="<image>", video_token="<video>")
    config = tf.VideoLlavaConfig(
        vision_config=CLIP,
        text_config=LLAMA,
        image_token_index=id_of(words, "<image>"),
        video_token_index=id_of(words, "<video>"),
        image_seq_length=16,
        video_seq_length=8 * 17,
    )
    processor = tf.VideoLlavaProcessor(
        tf.VideoLlavaImageProcessor(**SIZES),
        tf.VideoLlavaVideoProcessor(**SIZES),
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=template(),
    )
    return tf.VideoLlavaForConditionalGeneration(config), processor


@family("deepseek_vl")
def deepseek_vl() -> tuple[Any, Any]:
    """DeepSeek-VL."""
    words = tokenizer(image_token="<image_placeholder>")
    config = tf.DeepseekVLConfig(
        vision_config=SIGLIP,
        text_config=LLAMA,
        image_token_id=id_of(words, "<image_placeholder>"),
    )
    processor = tf.DeepseekVLProcessor(
        tf.DeepseekVLImageProcessor(size=square(56), min_size=14),
        words,
        num_image_tokens=16,
        chat_template=template("<image_placeholder>"),
    )
    return tf.DeepseekVLForConditionalGeneration(config), processor


@family("aya_vision")
def aya_vision() -> tuple[Any, Any]:
    """Aya Vision: tiles, and a language model with sliding windows."""
    words = tokenizer(
        "<image>",
        "<|START_OF_IMG|>",
        "<|END_OF_IMG|>",
        "<|IMG_PATCH|>",
        "<|IMG_LINE_BREAK|>",
        "TILE",
        "TILE_GLOBAL",
    )
    config = tf.AyaVisionConfig(
        vision_config=SIGLIP,
        text_config=COHERE2,
        image_token_index=id_of(words, "<|IMG_PATCH|>"),
        downsample_factor=2,
        alignment_intermediate_size=64,
    )
    processor = tf.AyaVisionProcessor(
        tf.GotOcr2ImageProcessor(
            size=square(56), crop_to_patches=True, min_patches=1, max_patches=4
        ),
        words,
        patch_size=14,
        img_size=56,
        downsample_factor=2,
        chat_template=template(),
    )
    return tf.AyaVisionForConditionalGeneration(config), processor


@family("cohere2_vision")
def cohere2_vision() -> tuple[Any, Any]:
    """Command A Vision."""
    words = tokenizer(
        image_token="<image>",
        boi_token="<|START_OF_IMG|>",
        eoi_token="<|END_OF_IMG|>",
        img_line_break_token="<|IMG_LINE_BREAK|>",
    )
    config = tf.Cohere2VisionConfig(
        vision_config={**SIGLIP, "image_size": 64, "patch_size": 8},
        text_config=COHERE2,
        image_token_id=id_of(words, "<image>"),
        downsample_factor=2,
        alignment_intermediate_size=64,
    )
    # The processor writes patch_size squared tokens a tile: here 4 x 4 of (64 / 8 / 2) squared.
    processor = tf.Cohere2VisionProcessor(
        tf.Cohere2VisionImageProcessor(
            size=square(64), patch_size=4, downsample_factor=2, min_patches=1, max_patches=4
        ),
        words,
        chat_template=template(),
    )
    return tf.Cohere2VisionForConditionalGeneration(config), processor


@family("internvl", videos=2, quick=True)
def internvl() -> tuple[Any, Any]:
    """InternVL: tiles of images, a line of text before each frame of a video."""
    words = tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = tf.InternVLConfig(
        vision_config={**VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        text_config=QWEN2,
        image_token_id=id_of(words, "<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    processor = tf.InternVLProcessor(
        tf.GotOcr2ImageProcessor(
            size=square(56), crop_to_patches=True, min_patches=1, max_patches=4
        ),
        words,
        tf.InternVLVideoProcessor(size=square(56)),
        image_seq_length=4,
        chat_template=template("<IMG_CONTEXT>\n", "<video>\n"),
    )
    return tf.InternVLForConditionalGeneration(config), processor


@family("got_ocr2", images=1)
def got_ocr2() -> tuple[Any, Any]:
    """GOT-OCR 2: 256 tokens an image, whatever its size."""
    words = tokenizer("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<imgpad>")
    config = tf.GotOcr2Config(
        vision_config=sam(image_size=256),
        text_config=QWEN2,
        image_token_index=id_of(words, "<imgpad>"),
        image_seq_length=256,
    )
    processor = tf.GotOcr2Processor(
        tf.GotOcr2ImageProcessor(size=square(256)),
        words,
        chat_template=template("<img><imgpad></img>"),
    )
    return tf.GotOcr2ForConditionalGeneration(config), processor


@family("mistral3")
def mistral3() -> tuple[Any, Any]:
    """Mistral Small 3.1: rows of patches with a break after each."""
    return _pixtral(spatial_merge_size=2)


def pixtral_processor(words: Any, spatial_merge_size: int) -> Any:
    return tf.PixtralProcessor(
        tf.PixtralImageProcessor(size={"longest_edge": 112}, patch_size=square(14)),
        words,
        patch_size=14,
        spatial_merge_size=spatial_merge_size,
        chat_template=template("[IMG]"),
    )


def _pixtral(spatial_merge_size: int) -> tuple[Any, Any]:
    words = tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    text = {**TEXT, "head_dim": 16, "model_type": "mistral", "sliding_window": None}
    processor = pixtral_processor(words, spatial_merge_size)
    image_token = id_of(words, "[IMG]")
    if spatial_merge_size > 1:
        config = tf.Mistral3Config(
            vision_config=PIXTRAL,
            text_config=text,
            image_token_index=image_token,
            spatial_merge_size=spatial_merge_size,
        )
        return tf.Mistral3ForConditionalGeneration(config), processor
    llava_config = tf.LlavaConfig(
        vision_config=PIXTRAL,
        text_config=text,
        image_token_index=image_token,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return tf.LlavaForConditionalGeneration(llava_config), processor


@family("pixtral")
def pixtral() -> tuple[Any, Any]:
    """Pixtral: a LlavaConfig around Pixtral's vision tower."""
    return _pixtral(spatial_merge_size=1)


@family("ovis2")
def ovis2() -> tuple[Any, Any]:
    """Ovis2: a vocabulary of visual words, with tokens around each tile."""
    around = [f"<IMG_{name}>" for name in ("START", "GRID", "COL", "ROW", "END")]
    words = tokenizer("<image>", "<IMG_ATOM>", *around)
    config = tf.Ovis2Config(
        vision_config={**VISION, "vocab_size": 64, "num_visual_indicator_tokens": 5},
        text_config=QWEN2,
        image_token_id=id_of(words, "<IMG_ATOM>"),
        visual_indicator_token_ids=[id_of(words, token) for token in around],
        vocab_size=VOCABULARY_SIZE,
        hidden_size=64,
    )
    processor = tf.Ovis2Processor(
        tf.Ovis2ImageProcessor(size=square(56), crop_to_patches=True, max_patches=4),
        words,
        image_seq_length=16,
        chat_template=template(),
    )
    return tf.Ovis2ForConditionalGeneration(config), processor


@family("fast_vlm")
def fast_vlm() -> tuple[Any, Any]:
    """FastVLM: a convolutional tower of timm."""
    words = tokenizer(image_token="<image>")
    config = tf.FastVlmConfig(
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "fastvit_mci3",
            "do_pooling": True,
            "global_pool": "avg",
            "hidden_size": 128,
            "model_args": {
                "inference_mode": True,
                "layers": (1, 1, 1, 1, 1),
                "embed_dims": (4, 8, 16, 32, 64),
            },
        },
        text_config=QWEN2,
        image_token_index=id_of(words, "<image>"),
        image_seq_length=4,
    )
    processor = tf.LlavaProcessor(
        tf.CLIPImageProcessor(
            size={"shortest_edge": 128},
            crop_size=square(128),
            image_mean=[0.0] * 3,
            image_std=[1.0] * 3,
        ),
        words,
        patch_size=64,
        vision_feature_select_strategy="full",
        chat_template=template(),
    )
    return tf.FastVlmForConditionalGeneration(config), processor


@family("perception_lm", videos=2)
def perception_lm() -> tuple[Any, Any]:
    """Perception LM: tiles of images, frames of videos; a vision transformer of timm."""
    words = tokenizer(image_token="<|image|>", video_token="<|video|>")
    config = tf.PerceptionLMConfig(
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "vit_pe_core_tiny_patch16_384",
            "do_pooling": False,
            "global_pool": "map",
            "model_args": {
                "embed_dim": 32,
                "img_size": [56, 56],
                "patch_size": 14,
                "depth": 2,
                "num_heads": 2,
                "use_post_transformer_norm": False,
            },
        },
        text_config=LLAMA,
        image_token_id=id_of(words, "<|image|>"),
        video_token_id=id_of(words, "<|video|>"),
        projector_pooling_ratio=2,
        vision_use_cls_token=True,
    )
    processor = tf.PerceptionLMProcessor(
        tf.PerceptionLMVideoProcessor(size=square(56)),
        tf.PerceptionLMImageProcessor(
            tile_size=56, max_num_tiles=4, vision_input_type="thumb+tile", size=square(56)
        ),
        words,
        patch_size=14,
        pooling_ratio=2,
        chat_template=template("<|image|>", "<|video|>"),
    )
    return tf.PerceptionLMForConditionalGeneration(config), processor


@family("lfm2_vl")
def lfm2_vl() -> tuple[Any, Any]:
    """LFM2-VL: images of any size, a language model with short convolutions."""
    words = tokenizer(
        "<|img_thumbnail|>",
        *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 4) for column in range(1, 4)),
        image_token="<image>",
        image_start_token="<|image_start|>",
        image_end_token="<|image_end|>",
        image_thumbnail_token="<|img_thumbnail|>",
    )
    config = tf.Lfm2VlConfig(
        vision_config={
            "model_type": "siglip2_vision_model",
            **LAYERS,
            "patch_size": 16,
            "num_patches": 64,
            "vision_use_head": False,
        },
        text_config={"model_type": "lfm2", **TEXT, "layer_types": ["conv", "full_attention"]},
        image_token_id=id_of(words, "<image>"),
        projector_hidden_size=48,
    )
    processor = tf.Lfm2VlProcessor(
        tf.Lfm2VlImageProcessor(
            tile_size=64,
            min_tiles=2,
            max_tiles=4,
            min_image_tokens=4,
            max_image_tokens=8,
            encoder_patch_size=16,
        ),
        words,
        chat_template=template(),
    )
    return tf.Lfm2VlForConditionalGeneration(config), processor
