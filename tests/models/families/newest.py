"""Families that came to transformers last."""

from __future__ import annotations

from typing import Any

import transformers

from tests.models.families.llava_like import CLIP, PINPOINTS, SIZES
from tests.models.families.others import GEMMA_TEXT, gemma4_words
from tests.models.families.parts import (
    AUDIO,
    EXPERTS,
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
from tests.models.families.qwen_like import (
    DEEP_TOWER,
    EMBEDDED_TOWER,
    GLM_TEMPLATE,
    MROPE_TEXT,
    PIXELS,
    QWEN_TEMPLATE,
    TOWER,
    VIDEO_PIXELS,
    glm_words,
    linear_text,
    minicpm_words,
    qwen3_processor,
    qwen_words,
)

tf: Any = transformers


@family("molmo2", videos=1)
def molmo2() -> tuple[Any, Any]:
    """Molmo 2: features are added to those of the placeholders, which see one another."""
    words = tokenizer(
        *("<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<im_end>", "<im_low>"),
        *("<frame_start>", "<frame_end>"),
        image_token="<|image|>",
        video_token="<|video|>",
    )
    config = tf.Molmo2Config(
        vision_config={
            **LAYERS,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "image_size": [56, 56],
            "patch_size": 14,
        },
        adapter_config={
            "vision_feature_layer": [-1, -2],
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "intermediate_size": 48,
            "text_hidden_size": 64,
        },
        text_config={**TEXT, "head_dim": 16, "additional_vocab_size": 0},
        image_start_token_id=id_of(words, "<im_start>"),
        low_res_image_start_token_id=id_of(words, "<low_res_im_start>"),
        image_end_token_id=id_of(words, "<im_end>"),
        image_patch_id=id_of(words, "<im_patch>"),
        frame_start_token_id=id_of(words, "<frame_start>"),
        frame_end_token_id=id_of(words, "<frame_end>"),
    )
    processor = tf.Molmo2Processor(
        tf.Molmo2ImageProcessor(
            size=square(56), patch_size=14, max_crops=4, overlap_margins=[1, 1], pooling_size=[2, 2]
        ),
        tf.Molmo2VideoProcessor(size=square(56), patch_size=14, pooling_size=[2, 2]),
        words,
        chat_template=template("<|image|>", "<|video|>"),
    )
    return tf.Molmo2ForConditionalGeneration(config), processor


@family("gemma4_unified", videos=2)
def gemma4_unified() -> tuple[Any, Any]:
    """Gemma 4 without a tower: patches go to the language model."""
    words, ids = gemma4_words()
    config = tf.Gemma4UnifiedConfig(
        vision_config={
            "patch_size": 16,
            "pooling_kernel_size": 2,
            "mm_embed_dim": 32,
            "mm_posemb_size": 64,
            "output_proj_dims": 32,
        },
        audio_config=None,
        text_config={**GEMMA_TEXT, "per_layer_config": {}},
        tie_word_embeddings=False,
        **ids,
    )
    sizes = {"patch_size": 16, "max_soft_tokens": 70, "pooling_kernel_size": 2}
    processor = tf.Gemma4UnifiedProcessor(
        tf.Gemma4UnifiedAudioFeatureExtractor(),
        tf.Gemma4UnifiedImageProcessor(**sizes),
        words,
        tf.Gemma4UnifiedVideoProcessor(**sizes, do_sample_frames=False),
        image_seq_length=70,
        chat_template=template("<|image|>", "<|video|>"),
    )
    return tf.Gemma4UnifiedForConditionalGeneration(config), processor


@family("glm5_next", videos=2)
def glm5_next() -> tuple[Any, Any]:
    """GLM-5 Next: linear attention, and layers that attend to the best few tokens."""
    words, ids = glm_words()
    config = tf.Glm5NextConfig(
        vision_config={**TOWER, "image_size": 112, "projection_intermediate_size": 48},
        text_config={
            **TEXT,
            "num_key_value_heads": 4,
            **EXPERTS,
            "mlp_layer_types": ["dense", "sparse"],
            "layer_types": ["linear_attention", "full_attention"],
            "kv_lora_rank": 16,
            "q_lora_rank": 16,
            "v_head_dim": 16,
            "qk_nope_head_dim": 16,
            "index_topk": 16,
            "index_kpool": 4,
            "index_head_dim": 16,
            "index_n_heads": 2,
            "linear_head_dim": 16,
            "linear_num_heads": 4,
            "hc_mult": 2,
        },
        **ids,
    )
    processor = tf.Glm5NextProcessor(
        tf.Glm5NextImageProcessor(patch_size=14, min_image_tokens=4, max_image_tokens=16),
        words,
        tf.Glm5NextVideoProcessor(patch_size=14, min_image_tokens=4, max_image_tokens=64),
        chat_template=GLM_TEMPLATE,
    )
    return tf.Glm5NextForConditionalGeneration(config), processor


@family("step3p7")
def step3p7() -> tuple[Any, Any]:
    """Step 3.7: tiles before the whole image, experts, and sliding windows with other heads."""
    words = tokenizer(
        *("<patch_start>", "<patch_end>", "<patch_newline>", "<im_start>", "<im_end>"),
        image_token="<im_patch>",
    )
    config = tf.Step3p7Config(
        vision_config={
            "hidden_size": 32,
            "mlp_ratio": 2.0,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 112,
            "patch_size": 14,
            "max_position_embeddings": 64,
        },
        text_config={
            **TEXT,
            **SLIDING,
            "head_dim": 16,
            **EXPERTS,
            "share_expert_dim": 32,
            "mlp_layer_types": ["dense", "sparse"],
            "num_sliding_attention_heads": 2,
        },
        image_token_id=id_of(words, "<im_patch>"),
    )
    processor = tf.Step3p7Processor(
        tf.Step3p7ImageProcessor(size=square(112), patch_size=56),
        words,
        chat_template=template("<im_patch>"),
    )
    return tf.Step3p7ForConditionalGeneration(config), processor


DEEPSEEK_TEXT = {
    **TEXT,
    "num_key_value_heads": 4,
    **EXPERTS,
    "n_shared_experts": 1,
    "mlp_layer_types": ["dense", "sparse"],
}


@family("deepseek_ocr2")
def deepseek_ocr2() -> tuple[Any, Any]:
    """DeepSeek-OCR 2: a language model reads SAM's features, 144 a tile and 256 an image."""
    words = tokenizer(image_token="<image>")
    config = tf.DeepseekOcr2Config(
        vision_config={
            "sam_config": sam(image_size=256, downsample_channels=[24, 32]),
            "encoder_config": {**LAYERS, "num_key_value_heads": 1, "vocab_size": 8},
        },
        text_config=DEEPSEEK_TEXT,
        image_token_id=id_of(words, "<image>"),
    )
    processor = tf.DeepseekOcr2Processor(
        tf.DeepseekOcr2ImageProcessor(size=square(256), tile_size=192, max_patches=2),
        words,
        patch_size=4,
        chat_template=template(),
    )
    return tf.DeepseekOcr2ForConditionalGeneration(config), processor


@family("unlimited_ocr")
def unlimited_ocr() -> tuple[Any, Any]:
    """Unlimited-OCR: new tokens see the whole prompt and a window of themselves."""
    words = tokenizer(image_token="<image>")
    config = tf.UnlimitedOcrConfig(
        vision_config={
            "sam_config": sam(image_size=64, downsample_channels=[24, 32]),
            "encoder_config": {**VISION, "image_size": 64, "patch_size": 16},
        },
        text_config={**DEEPSEEK_TEXT, "sliding_window": 4},
        image_token_id=id_of(words, "<image>"),
    )
    processor = tf.UnlimitedOcrProcessor(
        tf.UnlimitedOcrImageProcessor(
            size=square(64), tile_size=48, max_patches=4, maximum_pad_value=48
        ),
        words,
        patch_size=4,
        chat_template=template(),
    )
    return tf.UnlimitedOcrForConditionalGeneration(config), processor


@family("cosmos3_edge", videos=2)
def cosmos3_edge() -> tuple[Any, Any]:
    """Cosmos 3 Edge: the second before each frame."""
    words, ids = qwen_words()
    config = tf.Cosmos3EdgeConfig(
        vision_config={**LAYERS, "patch_size": 14, "num_patches": 64},
        text_config={**MROPE_TEXT, "head_dim": 16},
        projector_hidden_size=48,
        **ids,
    )
    processor = tf.Cosmos3EdgeProcessor(
        tf.Cosmos3EdgeImageProcessor(size=PIXELS, patch_size=14),
        words,
        tf.Cosmos3EdgeVideoProcessor(size=VIDEO_PIXELS, patch_size=14),
        chat_template=QWEN_TEMPLATE,
    )
    return tf.Cosmos3EdgeForConditionalGeneration(config), processor


@family("cosmos3_omni", videos=2)
def cosmos3_omni() -> tuple[Any, Any]:
    """Cosmos 3: Qwen3-VL's parts."""
    words, ids = qwen_words()
    config = tf.Cosmos3OmniConfig(
        vision_config={**DEEP_TOWER, "model_type": "qwen3_vl_vision"},
        text_config={**MROPE_TEXT, "model_type": "qwen3_vl_text", "head_dim": 16},
        **ids,
    )
    return tf.Cosmos3OmniForConditionalGeneration(config), qwen3_processor(words)


@family("qwen4_exp", videos=2)
def qwen4_exp() -> tuple[Any, Any]:
    """Qwen4-Exp: several residual streams, linear attention and a choice of tokens."""
    words, ids = qwen_words()
    text = {
        **linear_text(),
        "model_type": "qwen4_exp_text",
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
        "num_experts_per_tok": 2,
        "num_experts": 4,
        "hc_count": 2,
        "hc_lowrank": 8,
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 16,
        "indexer_compress_ratio": 4,
    }
    del text["intermediate_size"]
    config = tf.Qwen4ExpConfig(vision_config=EMBEDDED_TOWER, text_config=text, **ids)
    return tf.Qwen4ExpForConditionalGeneration(config), qwen3_processor(words)


@family("dots3_note", videos=2)
def dots3_note() -> tuple[Any, Any]:
    """dots3: latent attention of the best few tokens, sliding windows, experts that see."""
    words = tokenizer(
        image_token="<|imgpad|>", video_token="<|video_pad|>", audio_token="<|audio_comp_pad|>"
    )
    sizes = {
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 16,
        "v_head_dim": 16,
        "head_dim": 24,
    }
    config = tf.Dots3NoteConfig(
        vision_config={
            **LAYERS,
            "patch_size": 14,
            "moe_intermediate_size": 32,
            "pyramid_num_routed": [-1, 4],
            "adapter_in_dim": 32,
            "adapter_out_dim": 64,
        },
        audio_config={
            "whisper_config": AUDIO,
            "downsample_hidden_size": 8,
            "adapter_input_size": 32,
            "adapter_out_dim": 64,
        },
        text_config={
            **TEXT,
            **SLIDING,
            **sizes,
            **{f"swa_{name}": value for name, value in sizes.items()},
            "qk_rope_head_dim": 8,
            **EXPERTS,
            "shared_experts_intermediate_size": 32,
            "index_topk": 16,
            "index_head_dim": 16,
            "index_n_heads": 2,
        },
        image_token_id=id_of(words, "<|imgpad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
        audio_token_id=id_of(words, "<|audio_comp_pad|>"),
    )
    processor = tf.Dots3NoteProcessor(
        tf.Qwen2VLImageProcessor(size=PIXELS, patch_size=14, temporal_patch_size=1),
        words,
        tf.Qwen3VLVideoProcessor(size=VIDEO_PIXELS, patch_size=14, temporal_patch_size=1),
        tf.Dots3NoteFeatureExtractor(feature_size=16),
        chat_template=template("<|imgpad|>", "<|video_pad|>"),
    )
    return tf.Dots3NoteForConditionalGeneration(config), processor


MUSE_VISION = {
    **LAYERS,
    "patch_size": 14,
    "pos_emb_height": 8,
    "pos_emb_width": 8,
    "max_position_embeddings": 64,
}


def muse_words() -> tuple[Any, dict[str, int]]:
    """Return the tokenizer of the Muse models, and the ids of their tokens."""
    words = tokenizer(
        *("<|image_start|>", "<|image_end|>", "<|vid_frame_separator|>"),
        *("<|vid_start|>", "<|vid_end|>", "<|soft_audio_start|>", "<|soft_audio_end|>"),
        image_token="<|patch|>",
        video_token="<|video|>",
        audio_token="<|audio|>",
    )
    ids = {
        "image_token_id": id_of(words, "<|patch|>"),
        "video_token_id": id_of(words, "<|video|>"),
    }
    return words, ids


def muse_media() -> tuple[Any, Any]:
    """Return the processors of the Muse models' images and videos."""
    return (
        tf.MuseGlimmerImageProcessor(patch_size=14, max_image_tokens=16),
        tf.MuseGlimmerVideoProcessor(patch_size=14, max_video_frame_tokens=4),
    )


@family("muse_glimmer", videos=2)
def muse_glimmer() -> tuple[Any, Any]:
    """Muse Glimmer: the second before each pair of frames, sliding windows."""
    words, ids = muse_words()
    config = tf.MuseGlimmerConfig(
        vision_config=MUSE_VISION,
        text_config={**TEXT, **SLIDING, "head_dim": 16},
        out_hidden_size=128,
        projector_hidden_size=48,
        **ids,
    )
    images, videos = muse_media()
    processor = tf.MuseGlimmerProcessor(
        images, videos, words, chat_template=template("<|patch|>", "<|video|>")
    )
    return tf.MuseGlimmerForConditionalGeneration(config), processor


@family("muse_spark", videos=2)
def muse_spark() -> tuple[Any, Any]:
    """Muse Spark: Glimmer with experts and audio."""
    words, ids = muse_words()
    config = tf.MuseSparkConfig(
        vision_config=MUSE_VISION,
        text_config={
            **TEXT,
            **SLIDING,
            "head_dim": 16,
            "moe_intermediate_size": 32,
            "moe_hidden_size": 32,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "mlp_layer_types": ["dense", "sparse"],
        },
        audio_config={
            "patch_sizes": [16, 6],
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "num_hidden_layers": 2,
            "out_hidden_size": 64,
        },
        out_hidden_size=128,
        projector_hidden_size=48,
        audio_token_id=id_of(words, "<|audio|>"),
        **ids,
    )
    images, videos = muse_media()
    processor = tf.MuseSparkProcessor(
        images,
        videos,
        words,
        tf.MuseSparkFeatureExtractor(samples_per_token=96),
        chat_template=template("<|patch|>", "<|video|>"),
    )
    return tf.MuseSparkForConditionalGeneration(config), processor


@family("nemotron_h_omni")
def nemotron_h_omni() -> tuple[Any, Any]:
    """Nemotron Nano Omni: RADIO's tower before Mamba. Its videos fail in transformers."""
    words = tokenizer(
        *("<img>", "</img>", "<so_start>", "<so_end>"),
        image_token="<image>",
        video_token="<video>",
        audio_token="<so_embedding>",
    )
    config = tf.NemotronH_Omni_Reasoning_V3_Config(
        vision_config={
            "model_type": "radio",
            **LAYERS,
            "image_size": 64,
            "patch_size": 16,
            "video_temporal_patch_size": 2,
        },
        text_config={
            **TEXT,
            "model_type": "nemotron_h",
            "head_dim": 16,
            "layers_block_type": ["mamba", "attention", "mlp"],
            "num_hidden_layers": 3,
            "mamba_num_heads": 4,
            "mamba_head_dim": 16,
            "ssm_state_size": 16,
            "n_groups": 2,
            "chunk_size": 32,
        },
        audio_config=None,
        vision_hidden_size=32,
        projector_hidden_size=48,
        image_token_id=id_of(words, "<image>"),
        video_token_id=id_of(words, "<video>"),
        audio_token_id=id_of(words, "<so_embedding>"),
    )
    processor = tf.NemotronH_Omni_Reasoning_V3Processor(
        tf.NemotronH_Omni_Reasoning_V3ImageProcessor(
            patch_size=16, min_num_patches=16, max_num_patches=64, max_model_len=1024
        ),
        tf.NemotronH_Omni_Reasoning_V3VideoProcessor(
            patch_size=16, video_target_num_patches=16, norm_mean=[0.5] * 3, norm_std=[0.5] * 3
        ),
        words,
        tf.ParakeetFeatureExtractor(feature_size=16),
        chat_template=template(),
    )
    return tf.NemotronH_Omni_Reasoning_V3(config), processor


@family("inkling_mm_model")
def inkling_mm_model() -> tuple[Any, Any]:
    """Inkling: patches of 40 pixels, relative positions, short convolutions in each layer."""
    words = tokenizer(
        *("<|content_image|>", "<|content_audio_input|>"),
        image_token="<|unused_200054|>",
        audio_token="<|unused_200053|>",
    )
    config = tf.InklingConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 40,
        },
        audio_config={"n_mel_bins": 16, "mel_vocab_size": 8},
        text_config={
            **TEXT,
            "head_dim": 16,
            "swa_num_attention_heads": 4,
            "swa_num_key_value_heads": 2,
            "swa_head_dim": 16,
            "sliding_window_size": 32,
            "local_layer_ids": [0],
            "d_rel": 4,
            "rel_extent": 64,
            **EXPERTS,
            "n_shared_experts": 1,
            "mlp_layer_types": ["dense", "sparse"],
            "logits_mup_width_multiplier": 1.0,
        },
        image_token_id=id_of(words, "<|unused_200054|>"),
        audio_token_id=id_of(words, "<|unused_200053|>"),
        image_bos_token_id=id_of(words, "<|content_image|>"),
        audio_bos_token_id=id_of(words, "<|content_audio_input|>"),
    )
    processor = tf.InklingProcessor(
        tf.InklingFeatureExtractor(feature_size=16),
        tf.InklingImageProcessor(size=square(40)),
        words,
        chat_template=template("<|content_image|><|unused_200054|>"),
    )
    return tf.InklingForConditionalGeneration(config), processor


INKLING_TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 20,
    "posemb_grid_size": 8,
    "projection_hidden_dim": 48,
    "text_hidden_size": 64,
}
INKLING_TEXT: dict[str, Any] = {
    **TEXT,
    "unpadded_vocab_size": VOCABULARY_SIZE,
    "head_dim": 16,
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 16,
    "sliding_window_size": 32,
    "layer_types": ["hybrid_sliding", "hybrid"],
    "d_rel": 4,
    "rel_extent": 64,
    **EXPERTS,
    "n_layers_per_attn_res_block": 1,
}


@family("inkling2")
def inkling2() -> tuple[Any, Any]:
    """Inkling 2: attention over the residuals of blocks of layers."""
    words = tokenizer(image_token="<|unused_200054|>")
    config = tf.Inkling2Config(
        vision_config=INKLING_TOWER,
        text_config=INKLING_TEXT,
        image_token_id=id_of(words, "<|unused_200054|>"),
    )
    processor = tf.Inkling2Processor(
        tf.Inkling2ImageProcessor(size=square(40)),
        words,
        chat_template=template("<|unused_200054|>"),
    )
    return tf.Inkling2ForConditionalGeneration(config), processor


@family("minicpm_ocr", videos=2)
def minicpm_ocr() -> tuple[Any, Any]:
    """MiniCPM-OCR: MiniCPM-V's slices with a token count of their own each."""
    words = minicpm_words()
    config = tf.MiniCPMOcrConfig(
        vision_config={**VISION, "num_hidden_layers": 3, "image_size": 112},
        text_config=linear_text(),
        insert_layer_id=1,
        image_token_id=id_of(words, "<|image_pad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
        tie_word_embeddings=False,
    )
    sizes = {"max_slice_nums": 2, "scale_resolution": 112, "patch_size": 14}
    processor = tf.MiniCPMOcrProcessor(
        tf.MiniCPMOcrImageProcessor(**sizes),
        tf.MiniCPMOcrVideoProcessor(**sizes),
        words,
        chat_template=template("<|image_pad|>", "<|video_pad|>"),
    )
    return tf.MiniCPMOcrForConditionalGeneration(config), processor


@family("granite4_vision")
def granite4_vision() -> tuple[Any, Any]:
    """Granite 4 Vision: features of several layers enter several layers."""
    words = tokenizer(image_token="<image>")
    config = tf.Granite4VisionConfig(
        vision_config={**CLIP, "hidden_size": 64},
        text_config={**TEXT, "num_hidden_layers": 3},
        qformer_config={
            "model_type": "blip_2_qformer",
            "num_hidden_layers": 1,
            "intermediate_size": 48,
        },
        image_token_index=id_of(words, "<image>"),
        image_grid_pinpoints=PINPOINTS,
        downsample_rate="1/2",
        deepstack_layer_map=[[-1, 0], [-2, 1]],
        spatial_target_layers=[0, 1, 2, 2],
    )
    processor = tf.Granite4VisionProcessor(
        tf.LlavaNextImageProcessor(image_grid_pinpoints=PINPOINTS, **SIZES),
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        downsample_rate="1/2",
        chat_template=template(),
    )
    return tf.Granite4VisionForConditionalGeneration(config), processor
