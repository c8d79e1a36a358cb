"""Families with positions in time, height and width (M-RoPE), and others that grew from them."""

from __future__ import annotations

from typing import Any

import transformers

from tests.models.families.parts import (
    AUDIO,
    EXPERTS,
    LAYERS,
    TEXT,
    VISION,
    family,
    id_of,
    mrope,
    template,
    tokenizer,
)

tf: Any = transformers

#: 16 to 64 patches of 14 x 14 pixels an image or pair of frames.
PIXELS = {"shortest_edge": 16 * 14 * 14, "longest_edge": 64 * 14 * 14}
VIDEO_PIXELS = {**PIXELS, "longest_edge": 8 * 64 * 14 * 14}
TOWER = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "out_hidden_size": 64,
}
#: Towers with learned positions, and with features added in deeper layers of the language model.
EMBEDDED_TOWER = {**TOWER, "num_position_embeddings": 64}
DEEP_TOWER = {**EMBEDDED_TOWER, "deepstack_visual_indexes": [0, 1]}
MROPE_TEXT = {**TEXT, "rope_parameters": mrope([2, 3, 3])}
QWEN_TEMPLATE = template(
    "<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"
)


def qwen_words() -> tuple[Any, dict[str, int]]:
    words = tokenizer(
        "<|vision_start|>",
        "<|vision_end|>",
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
    )
    ids = {
        "image_token_id": id_of(words, "<|image_pad|>"),
        "video_token_id": id_of(words, "<|video_pad|>"),
        "vision_start_token_id": id_of(words, "<|vision_start|>"),
        "vision_end_token_id": id_of(words, "<|vision_end|>"),
    }
    return words, ids


def qwen2_media() -> tuple[Any, Any]:
    return (
        tf.Qwen2VLImageProcessor(size=PIXELS, patch_size=14),
        tf.Qwen2VLVideoProcessor(size=VIDEO_PIXELS, patch_size=14, do_sample_frames=False),
    )


@family("qwen2_vl", videos=2)
def qwen2_vl() -> tuple[Any, Any]:
    """Qwen2-VL."""
    words, ids = qwen_words()
    tower = {**TOWER, "embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}
    config = tf.Qwen2VLConfig(vision_config=tower, text_config=MROPE_TEXT, **ids)
    images, videos = qwen2_media()
    processor = tf.Qwen2VLProcessor(images, words, videos, chat_template=QWEN_TEMPLATE)
    return tf.Qwen2VLForConditionalGeneration(config), processor


@family("qwen2_5_vl", videos=2, quick=True)
def qwen2_5_vl() -> tuple[Any, Any]:
    """Qwen2.5-VL: positions of a video's frames follow its seconds."""
    words, ids = qwen_words()
    tower = {**TOWER, "window_size": 56, "fullatt_block_indexes": [1], "tokens_per_second": 2}
    config = tf.Qwen2_5_VLConfig(vision_config=tower, text_config=MROPE_TEXT, **ids)
    images, videos = qwen2_media()
    processor = tf.Qwen2_5_VLProcessor(images, words, videos, chat_template=QWEN_TEMPLATE)
    return tf.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen3_processor(words: Any) -> Any:
    return tf.Qwen3VLProcessor(
        tf.Qwen2VLImageProcessor(size=PIXELS, patch_size=14),
        words,
        tf.Qwen3VLVideoProcessor(size=VIDEO_PIXELS, patch_size=14),
        chat_template=QWEN_TEMPLATE,
    )


@family("qwen3_vl", videos=2)
def qwen3_vl() -> tuple[Any, Any]:
    """Qwen3-VL: seconds written before each pair of frames, features added in deeper layers."""
    words, ids = qwen_words()
    config = tf.Qwen3VLConfig(
        vision_config=DEEP_TOWER, text_config={**MROPE_TEXT, "head_dim": 16}, **ids
    )
    return tf.Qwen3VLForConditionalGeneration(config), qwen3_processor(words)


@family("qwen3_vl_moe", videos=2)
def qwen3_vl_moe() -> tuple[Any, Any]:
    """Qwen3-VL with experts."""
    words, ids = qwen_words()
    text = {
        **MROPE_TEXT,
        "head_dim": 16,
        "moe_intermediate_size": 32,
        "num_experts_per_tok": 2,
        "num_experts": 4,
        "num_local_experts": 4,
    }
    config = tf.Qwen3VLMoeConfig(vision_config=DEEP_TOWER, text_config=text, **ids)
    return tf.Qwen3VLMoeForConditionalGeneration(config), qwen3_processor(words)


@family("qwen3_5", videos=2)
def qwen3_5() -> tuple[Any, Any]:
    """Qwen3.5: layers of linear attention."""
    words, ids = qwen_words()
    config = tf.Qwen3_5Config(vision_config=EMBEDDED_TOWER, text_config=linear_text(), **ids)
    return tf.Qwen3_5ForConditionalGeneration(config), qwen3_processor(words)


def linear_text() -> dict[str, Any]:
    return {
        **TEXT,
        "model_type": "qwen3_5_text",
        "head_dim": 16,
        "rope_parameters": {**mrope([1, 2, 1]), "partial_rotary_factor": 0.5},
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention"],
    }


@family("qwen2_5_omni_thinker", videos=2)
def qwen2_5_omni_thinker() -> tuple[Any, Any]:
    """Qwen2.5-Omni, the part that writes."""
    words = tokenizer(
        image_token="<|IMAGE|>",
        audio_token="<|AUDIO|>",
        video_token="<|VIDEO|>",
        vision_bos_token="<|vision_bos|>",
        vision_eos_token="<|vision_eos|>",
        audio_bos_token="<|audio_bos|>",
        audio_eos_token="<|audio_eos|>",
    )
    tower = {**TOWER, "window_size": 56, "fullatt_block_indexes": [1]}
    config = tf.Qwen2_5OmniThinkerConfig(
        vision_config=tower,
        text_config=MROPE_TEXT,
        audio_config={**AUDIO, "output_dim": 64},
        image_token_id=id_of(words, "<|IMAGE|>"),
        audio_token_id=id_of(words, "<|AUDIO|>"),
        video_token_id=id_of(words, "<|VIDEO|>"),
        image_token_index=id_of(words, "<|IMAGE|>"),
        audio_token_index=id_of(words, "<|AUDIO|>"),
        video_token_index=id_of(words, "<|VIDEO|>"),
        vision_start_token_id=id_of(words, "<|vision_bos|>"),
        vision_end_token_id=id_of(words, "<|vision_eos|>"),
        audio_start_token_id=id_of(words, "<|audio_bos|>"),
        audio_end_token_id=id_of(words, "<|audio_eos|>"),
    )
    images, videos = qwen2_media()
    processor = tf.Qwen2_5OmniProcessor(
        images,
        videos,
        tf.WhisperFeatureExtractor(feature_size=16),
        words,
        chat_template=template(
            "<|vision_bos|><|IMAGE|><|vision_eos|>", "<|vision_bos|><|VIDEO|><|vision_eos|>"
        ),
    )
    return tf.Qwen2_5OmniThinkerForConditionalGeneration(config), processor


def glm_words() -> tuple[Any, dict[str, int]]:
    words = tokenizer(
        *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
        image_token="<|image|>",
        video_token="<|video|>",
    )
    ids = {
        "image_token_id": id_of(words, "<|image|>"),
        "video_token_id": id_of(words, "<|video|>"),
        "image_start_token_id": id_of(words, "<|begin_of_image|>"),
        "image_end_token_id": id_of(words, "<|end_of_image|>"),
        "video_start_token_id": id_of(words, "<|begin_of_video|>"),
        "video_end_token_id": id_of(words, "<|end_of_video|>"),
    }
    return words, ids


GLM_TEMPLATE = template(
    "<|begin_of_image|><|image|><|end_of_image|>", "<|begin_of_video|><|video|><|end_of_video|>"
)
GLM_SIZES = {"shortest_edge": 2 * 16 * 14 * 14, "longest_edge": 8 * 64 * 14 * 14}


def glm4v_processor(words: Any) -> Any:
    return tf.Glm4vProcessor(
        tf.Glm4vImageProcessor(size=GLM_SIZES, patch_size=14),
        words,
        tf.Glm4vVideoProcessor(size=GLM_SIZES, patch_size=14),
        chat_template=GLM_TEMPLATE,
    )


def glm46v_processor(words: Any) -> Any:
    return tf.Glm46VProcessor(
        tf.Glm46VImageProcessor(size=GLM_SIZES, patch_size=14),
        words,
        tf.Glm46VVideoProcessor(size=GLM_SIZES, patch_size=14),
        chat_template=GLM_TEMPLATE,
    )


@family("glm4v", videos=2)
def glm4v() -> tuple[Any, Any]:
    """GLM-4.1V: each pair of frames is an image with its second behind it."""
    words, ids = glm_words()
    config = tf.Glm4vConfig(
        vision_config={**TOWER, "image_size": 112}, text_config=MROPE_TEXT, **ids
    )
    return tf.Glm4vForConditionalGeneration(config), glm4v_processor(words)


@family("glm46v", videos=2)
def glm46v() -> tuple[Any, Any]:
    """GLM-4.6V."""
    words, ids = glm_words()
    config = tf.Glm46VConfig(
        vision_config={**TOWER, "image_size": 112, "model_type": "glm4v_vision"},
        text_config={**MROPE_TEXT, "model_type": "glm4v_text"},
        **ids,
    )
    return tf.Glm46VForConditionalGeneration(config), glm46v_processor(words)


@family("glm4v_moe", videos=2)
def glm4v_moe() -> tuple[Any, Any]:
    """GLM-4.5V."""
    words, ids = glm_words()
    text = {
        **TEXT,
        "rope_parameters": mrope([1, 1, 2]),
        "head_dim": 16,
        **EXPERTS,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
    }
    config = tf.Glm4vMoeConfig(vision_config={**TOWER, "image_size": 112}, text_config=text, **ids)
    return tf.Glm4vMoeForConditionalGeneration(config), glm4v_processor(words)


@family("ernie4_5_vl_moe", videos=2)
def ernie4_5_vl_moe() -> tuple[Any, Any]:
    """ERNIE 4.5 VL: experts of their own for text and for pictures."""
    words = tokenizer(
        image_token="<|IMAGE_PLACEHOLDER|>",
        image_start_token="<|IMAGE_START|>",
        image_end_token="<|IMAGE_END|>",
        video_token="<|VIDEO_PLACEHOLDER|>",
        video_start_token="<|VIDEO_START|>",
        video_end_token="<|VIDEO_END|>",
    )
    text = {
        **TEXT,
        "rope_parameters": mrope([3, 3, 2]),
        "moe_intermediate_size": [32, 32],
        "moe_k": 2,
        "moe_num_experts": 4,
        "moe_num_shared_experts": 1,
        "mlp_layer_types": ["dense", "sparse"],
    }
    tower = {name: value for name, value in TOWER.items() if name != "out_hidden_size"}
    config = tf.Ernie4_5_VLMoeConfig(
        vision_config=tower,
        text_config=text,
        image_token_id=id_of(words, "<|IMAGE_PLACEHOLDER|>"),
        image_start_token_id=id_of(words, "<|IMAGE_START|>"),
        image_end_token_id=id_of(words, "<|IMAGE_END|>"),
        video_token_id=id_of(words, "<|VIDEO_PLACEHOLDER|>"),
        video_start_token_id=id_of(words, "<|VIDEO_START|>"),
        video_end_token_id=id_of(words, "<|VIDEO_END|>"),
    )
    processor = tf.Ernie4_5_VLMoeProcessor(
        tf.Ernie4_5_VLMoeImageProcessor(size=PIXELS, patch_size=14),
        words,
        tf.Ernie4_5_VLMoeVideoProcessor(size=VIDEO_PIXELS, patch_size=14, draw_on_frames=False),
        chat_template=template(
            "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
            "<|VIDEO_START|><|VIDEO_PLACEHOLDER|><|VIDEO_END|>",
        ),
    )
    return tf.Ernie4_5_VLMoeForConditionalGeneration(config), processor


@family("video_llama_3", videos=2)
def video_llama_3() -> tuple[Any, Any]:
    """VideoLLaMA 3: the second before each frame, and tokens that hardly change are left out."""
    words = tokenizer(image_token="<|image_pad|>", video_token="<|video_pad|>")
    config = tf.VideoLlama3Config(
        vision_config={**LAYERS, "patch_size": 14},
        text_config={"model_type": "qwen2", **TEXT},
        image_token_id=id_of(words, "<|image_pad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
    )
    processor = tf.VideoLlama3Processor(
        tf.VideoLlama3ImageProcessor(
            min_pixels=16 * 14 * 14, max_pixels=64 * 14 * 14, patch_size=14, merge_size=1
        ),
        words,
        tf.VideoLlama3VideoProcessor(size=VIDEO_PIXELS, patch_size=14, merge_size=2),
        chat_template=template("<|image_pad|>", "<|video_pad|>"),
    )
    return tf.VideoLlama3ForConditionalGeneration(config), processor


def minicpm_words() -> Any:
    """Return the tokenizer of MiniCPM-V and MiniCPM-OCR."""
    return tokenizer(
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
        image_start_token="<image>",
        image_end_token="</image>",
        slice_start_token="<slice>",
        slice_end_token="</slice>",
        image_id_start_token="<image_id>",
        image_id_end_token="</image_id>",
    )


@family("minicpmv4_6", videos=2)
def minicpmv4_6() -> tuple[Any, Any]:
    """MiniCPM-V 4.6: slices with tokens around them, numbered images, linear attention."""
    words = minicpm_words()
    config = tf.MiniCPMV4_6Config(
        vision_config={**VISION, "num_hidden_layers": 3, "image_size": 112},
        text_config=linear_text(),
        insert_layer_id=1,
        image_size=112,
        image_token_id=id_of(words, "<|image_pad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
    )
    sizes = {"max_slice_nums": 2, "scale_resolution": 112, "patch_size": 14}
    processor = tf.MiniCPMV4_6Processor(
        tf.MiniCPMV4_6ImageProcessor(**sizes),
        tf.MiniCPMV4_6VideoProcessor(**sizes),
        words,
        chat_template=template("<|image_pad|>", "<|video_pad|>"),
    )
    return tf.MiniCPMV4_6ForConditionalGeneration(config), processor
