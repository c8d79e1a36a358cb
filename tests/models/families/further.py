"""Families that grew from others, with parts of their own."""

from __future__ import annotations

from typing import Any

import transformers

from tests.models.families.llava_like import LLAMA, PIXTRAL, QWEN2, SIGLIP, pixtral_processor
from tests.models.families.others import GEMMA_TEXT
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
    mrope,
    sam,
    square,
    template,
    tokenizer,
)
from tests.models.families.qwen_like import (
    DEEP_TOWER,
    EMBEDDED_TOWER,
    MROPE_TEXT,
    PIXELS,
    QWEN_TEMPLATE,
    TOWER,
    VIDEO_PIXELS,
    glm46v_processor,
    glm_words,
    linear_text,
    minicpm_words,
    qwen2_media,
    qwen3_processor,
    qwen_words,
)

tf: Any = transformers

QWEN_EXPERTS = {"moe_intermediate_size": 32, "num_experts_per_tok": 2, "num_experts": 4}
#: Latent attention, as DeepSeek-V3 has it.
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
}


@family("qwen3_5_moe", videos=2)
def qwen3_5_moe() -> tuple[Any, Any]:
    """Qwen3.5 with experts."""
    words, ids = qwen_words()
    text = {
        **linear_text(),
        **QWEN_EXPERTS,
        "model_type": "qwen3_5_moe_text",
        "shared_expert_intermediate_size": 32,
    }
    config = tf.Qwen3_5MoeConfig(vision_config=EMBEDDED_TOWER, text_config=text, **ids)
    return tf.Qwen3_5MoeForConditionalGeneration(config), qwen3_processor(words)


@family("qwen3_omni_moe_thinker", videos=2)
def qwen3_omni_moe_thinker() -> tuple[Any, Any]:
    """Qwen3-Omni, the part that writes."""
    words = tokenizer(
        image_token="<|image_pad|>",
        audio_token="<|audio_pad|>",
        video_token="<|video_pad|>",
        vision_bos_token="<|vision_start|>",
        vision_eos_token="<|vision_end|>",
        audio_bos_token="<|audio_start|>",
        audio_eos_token="<|audio_end|>",
    )
    config = tf.Qwen3OmniMoeThinkerConfig(
        vision_config=DEEP_TOWER,
        text_config={**MROPE_TEXT, **QWEN_EXPERTS, "head_dim": 16},
        audio_config={**AUDIO, "output_dim": 64, "downsample_hidden_size": 8},
        image_token_id=id_of(words, "<|image_pad|>"),
        audio_token_id=id_of(words, "<|audio_pad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
        vision_start_token_id=id_of(words, "<|vision_start|>"),
        vision_end_token_id=id_of(words, "<|vision_end|>"),
        audio_start_token_id=id_of(words, "<|audio_start|>"),
        audio_end_token_id=id_of(words, "<|audio_end|>"),
    )
    images, videos = qwen2_media()
    processor = tf.Qwen3OmniMoeProcessor(
        images,
        videos,
        tf.WhisperFeatureExtractor(feature_size=16),
        words,
        chat_template=QWEN_TEMPLATE,
    )
    return tf.Qwen3OmniMoeThinkerForConditionalGeneration(config), processor


@family("exaone4_5", videos=2)
def exaone4_5() -> tuple[Any, Any]:
    """EXAONE 4.5: sliding windows."""
    words = tokenizer(
        "<vision>", "</vision>", image_token="<|image_pad|>", video_token="<|video_pad|>"
    )
    config = tf.Exaone4_5_Config(
        vision_config={
            **TOWER,
            "num_key_value_heads": 1,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config={"model_type": "exaone4", **TEXT, **SLIDING},
        image_token_id=id_of(words, "<|image_pad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
    )
    images, videos = qwen2_media()
    processor = tf.Exaone4_5_Processor(
        images,
        words,
        videos,
        chat_template=template("<vision><|image_pad|></vision>", "<vision><|video_pad|></vision>"),
    )
    return tf.Exaone4_5_ForConditionalGeneration(config), processor


@family("paddleocr_vl")
def paddleocr_vl() -> tuple[Any, Any]:
    """PaddleOCR-VL: images of any size."""
    words = tokenizer("<|IMAGE_START|>", "<|IMAGE_END|>", image_token="<|IMAGE_PLACEHOLDER|>")
    config = tf.PaddleOCRVLConfig(
        vision_config={**VISION, "image_size": 112, "spatial_merge_size": 2},
        text_config={**TEXT, "head_dim": 16, "rope_parameters": mrope([2, 3, 3])},
        image_token_id=id_of(words, "<|IMAGE_PLACEHOLDER|>"),
        video_token_id=VOCABULARY_SIZE - 1,
        vision_start_token_id=id_of(words, "<|IMAGE_START|>"),
        vision_end_token_id=id_of(words, "<|IMAGE_END|>"),
    )
    processor = tf.PaddleOCRVLProcessor(
        tf.PaddleOCRVLImageProcessor(size=PIXELS, patch_size=14),
        words,
        chat_template=template("<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>"),
    )
    return tf.PaddleOCRVLForConditionalGeneration(config), processor


@family("deepseek_vl_hybrid")
def deepseek_vl_hybrid() -> tuple[Any, Any]:
    """DeepSeek-VL with a second tower for large images."""
    words = tokenizer(image_token="<image_placeholder>")
    config = tf.DeepseekVLHybridConfig(
        vision_config=SIGLIP,
        high_res_vision_config=sam(
            model_type="sam_vision_model",
            image_size=112,
            patch_size=14,
            window_size=4,
            global_attn_indexes=[1],
        ),
        text_config=LLAMA,
        image_token_id=id_of(words, "<image_placeholder>"),
    )
    processor = tf.DeepseekVLHybridProcessor(
        tf.DeepseekVLHybridImageProcessor(size=square(56), high_res_size=square(112), min_size=14),
        words,
        num_image_tokens=16,
        chat_template=template("<image_placeholder>"),
    )
    return tf.DeepseekVLHybridForConditionalGeneration(config), processor


@family("glm_ocr", videos=2)
def glm_ocr() -> tuple[Any, Any]:
    """GLM-OCR."""
    words, ids = glm_words()
    config = tf.GlmOcrConfig(
        vision_config={**TOWER, "image_size": 112},
        text_config={**MROPE_TEXT, "head_dim": 16},
        **ids,
    )
    return tf.GlmOcrForConditionalGeneration(config), glm46v_processor(words)


@family("lighton_ocr")
def lighton_ocr() -> tuple[Any, Any]:
    """LightOnOCR: Pixtral's tower before Qwen3."""
    words = tokenizer(
        image_token="<|image_pad|>",
        image_break_token="<|vision_pad|>",
        image_end_token="<|vision_end|>",
    )
    config = tf.LightOnOcrConfig(
        vision_config=PIXTRAL,
        text_config={**QWEN2, "model_type": "qwen3", "head_dim": 16},
        image_token_id=id_of(words, "<|image_pad|>"),
    )
    processor = tf.LightOnOcrProcessor(
        tf.PixtralImageProcessor(size={"longest_edge": 112}, patch_size=square(14)),
        words,
        patch_size=14,
        spatial_merge_size=2,
        chat_template=template("<|image_pad|>"),
    )
    return tf.LightOnOcrForConditionalGeneration(config), processor


@family("emu3")
def emu3() -> tuple[Any, Any]:
    """Emu3: images are words of a codebook, row by row."""
    codes = [f"<|visual token {number:06d}|>" for number in range(8)]
    words = tokenizer(
        *codes,
        "<|extra_200|>",
        image_token="<image>",
        boi_token="<|image start|>",
        eoi_token="<|image end|>",
        image_wrapper_token="<|image token|>",
        eof_token="<|eof|>",
        eol_token="<|eol|>",
    )
    config = tf.Emu3Config(
        vq_config={
            "codebook_size": 8,
            "embed_dim": 4,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "hidden_size": 32,
            "attn_resolutions": [],
        },
        text_config=TEXT,
        vocabulary_map={**words.get_vocab(), "<image>": id_of(words, "<image>")},
        tie_word_embeddings=False,
    )
    processor = tf.Emu3Processor(
        tf.Emu3ImageProcessor(min_pixels=32 * 32, max_pixels=64 * 64),
        words,
        chat_template=template("<image>"),
    )
    return tf.Emu3ForConditionalGeneration(config), processor


@family("idefics", has_template=False)
def idefics() -> tuple[Any, Any]:
    """IDEFICS: pictures are seen through cross attention."""
    words = tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>")
    config = tf.IdeficsConfig(
        **{**TEXT, "num_key_value_heads": 4},
        vision_config={
            "embed_dim": 32,
            "image_size": 56,
            "intermediate_size": 48,
            "patch_size": 14,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
        alpha_initializer="ones",
        use_resampler=False,
    )
    processor = tf.IdeficsProcessor(tf.IdeficsImageProcessor(image_size=56), words, image_size=56)
    return tf.IdeficsForVisionText2Text(config), processor


@family("qianfan_ocr")
def qianfan_ocr() -> tuple[Any, Any]:
    """Qianfan-OCR: InternVL's tiles."""
    words = tokenizer(
        "<image>",
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
    )
    config = tf.QianfanOCRConfig(
        vision_config={**VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        text_config={**QWEN2, "model_type": "qwen3", "head_dim": 16},
        image_token_id=id_of(words, "<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    processor = tf.QianfanOCRProcessor(
        tf.GotOcr2ImageProcessor(
            size=square(56), crop_to_patches=True, min_patches=1, max_patches=4
        ),
        words,
        image_seq_length=4,
        chat_template=template(),
    )
    return tf.QianfanOCRForConditionalGeneration(config), processor


@family("cohere_compass", videos=2)
def cohere_compass() -> tuple[Any, Any]:
    """Cohere Compass: Qwen3-VL's tower before Command's layers."""
    words = tokenizer(
        "<|VISION_START|>",
        "<|VISION_END|>",
        image_token="<|IMAGE_PAD|>",
        video_token="<|VIDEO_PAD|>",
    )
    config = tf.CohereCompassConfig(
        vision_config=DEEP_TOWER,
        text_config={
            **TEXT,
            "rope_parameters": {"sliding_attention": mrope([2, 3, 3]), "full_attention": None},
            "logit_scale": 1.0,
            **SLIDING,
        },
        image_token_id=id_of(words, "<|IMAGE_PAD|>"),
        video_token_id=id_of(words, "<|VIDEO_PAD|>"),
        vision_start_token_id=id_of(words, "<|VISION_START|>"),
        vision_end_token_id=id_of(words, "<|VISION_END|>"),
    )
    processor = tf.CohereCompassProcessor(
        tf.Qwen2VLImageProcessor(size=PIXELS, patch_size=14),
        words,
        tf.Qwen3VLVideoProcessor(size=VIDEO_PIXELS, patch_size=14),
        chat_template=template(
            "<|VISION_START|><|IMAGE_PAD|><|VISION_END|>",
            "<|VISION_START|><|VIDEO_PAD|><|VISION_END|>",
        ),
    )
    return tf.CohereCompassForConditionalGeneration(config), processor


@family("lfm3_vl", videos=2)
def lfm3_vl() -> tuple[Any, Any]:
    """LFM3-VL."""
    words, ids = qwen_words()
    config = tf.Lfm3VlConfig(
        vision_config={**LAYERS, "num_key_value_heads": 1, "patch_size": 14},
        text_config={"model_type": "lfm2", **TEXT, "layer_types": ["conv", "full_attention"]},
        projector_hidden_size=48,
        **ids,
    )
    images, videos = qwen2_media()
    processor = tf.Lfm3VlProcessor(images, words, videos, chat_template=QWEN_TEMPLATE)
    return tf.Lfm3VlForConditionalGeneration(config), processor


@family("hunyuan_vl")
def hunyuan_vl() -> tuple[Any, Any]:
    """HunYuan-VL: positions in four directions."""
    words = tokenizer(
        image_token="<image>", image_start_token="<im_start>", image_end_token="<im_end>"
    )
    words.sep_token = "</s>"
    config = tf.HunYuanVLConfig(
        vision_config={
            **LAYERS,
            "out_hidden_size": 64,
            "text_hidden_size": 64,
            "patch_size": 16,
            "max_image_size": 256,
        },
        text_config={
            **TEXT,
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "xdrope_section": [2, 2, 2, 2],
            },
        },
        image_token_id=id_of(words, "<image>"),
        im_start_id=id_of(words, "<im_start>"),
        im_end_id=id_of(words, "<im_end>"),
    )
    processor = tf.HunYuanVLProcessor(
        tf.HunYuanVLImageProcessor(size={"shortest_edge": 64 * 64, "longest_edge": 128 * 128}),
        words,
        chat_template=template("<im_start><image><im_end>"),
    )
    return tf.HunYuanVLForConditionalGeneration(config), processor


@family("t5gemma2", has_template=False)
def t5gemma2() -> tuple[Any, Any]:
    """T5Gemma 2: an encoder sees the images."""
    words = tokenizer(
        image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>"
    )
    config = tf.T5Gemma2Config(
        encoder={
            "text_config": GEMMA_TEXT,
            "vision_config": SIGLIP,
            "mm_tokens_per_image": 4,
            "boi_token_index": id_of(words, "<start_of_image>"),
            "eoi_token_index": id_of(words, "<end_of_image>"),
            "image_token_index": id_of(words, "<image_soft_token>"),
        },
        decoder=GEMMA_TEXT,
        image_token_index=id_of(words, "<image_soft_token>"),
        eoi_token_index=id_of(words, "<end_of_image>"),
    )
    processor = tf.Gemma3Processor(
        tf.Gemma3ImageProcessor(size=square(56)), words, image_seq_length=4
    )
    return tf.T5Gemma2ForConditionalGeneration(config), processor


@family("hyperclovax_vision_v2", videos=2)
def hyperclovax_vision_v2() -> tuple[Any, Any]:
    """HyperCLOVA X: Qwen2.5-VL's tower before a language model of its own."""
    words, ids = qwen_words()
    config = tf.HyperCLOVAXVisionV2Config(
        vision_config={
            "model_type": "qwen2_5_vl_vision",
            **TOWER,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config={**TEXT, "model_type": "hyperclovax"},
        image_token_id=ids["image_token_id"],
        video_token_id=ids["video_token_id"],
        tie_word_embeddings=False,
    )
    images, videos = qwen2_media()
    processor = tf.HyperCLOVAXVisionV2Processor(images, words, videos, chat_template=QWEN_TEMPLATE)
    return tf.HyperCLOVAXVisionV2ForConditionalGeneration(config), processor


@family("minicpmv4_7", videos=2)
def minicpmv4_7() -> tuple[Any, Any]:
    """MiniCPM-V 4.7."""
    words = minicpm_words()
    config = tf.MiniCPMV4_7Config(
        vision_config={**VISION, "num_hidden_layers": 3, "image_size": 112, "insert_layer_id": 1},
        text_config=linear_text(),
        insert_layer_id=1,
        image_size=112,
        image_token_id=id_of(words, "<|image_pad|>"),
        video_token_id=id_of(words, "<|video_pad|>"),
        image_start_id=id_of(words, "<image>"),
        image_end_id=id_of(words, "</image>"),
        slice_start_id=id_of(words, "<slice>"),
        slice_end_id=id_of(words, "</slice>"),
    )
    sizes = {"max_slice_nums": 2, "scale_resolution": 112, "patch_size": 14}
    processor = tf.MiniCPMV4_7Processor(
        tf.MiniCPMV4_6ImageProcessor(**sizes),
        tf.MiniCPMV4_6VideoProcessor(**sizes),
        words,
        chat_template=template("<|image_pad|>", "<|video_pad|>"),
    )
    return tf.MiniCPMV4_7ForConditionalGeneration(config), processor


@family("kimi_k25")
def kimi_k25() -> tuple[Any, Any]:
    """Kimi K2.5: MoonViT before DeepSeek-V3. Its videos fail in transformers at these sizes."""
    words = tokenizer(
        "<|media_begin|>",
        "<|media_end|>",
        image_token="<|media_pad|>",
        video_token="<|kimi_k25_video_placeholder|>",
    )
    config = tf.Kimi_K25Config(
        vision_config={
            **VISION,
            "pos_emb_height": 16,
            "pos_emb_width": 16,
            "pos_emb_time": 4,
        },
        text_config={
            "model_type": "deepseek_v3",
            **TEXT,
            "num_key_value_heads": 4,
            **EXPERTS,
            "n_shared_experts": 1,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            **LATENT,
        },
        projection_hidden_size=32,
        image_token_id=id_of(words, "<|media_pad|>"),
        video_token_id=id_of(words, "<|kimi_k25_video_placeholder|>"),
        vision_start_token_id=id_of(words, "<|media_begin|>"),
        vision_end_token_id=id_of(words, "<|media_end|>"),
        tie_word_embeddings=False,
    )
    processor = tf.Kimi_K25Processor(
        tf.Kimi_K25ImageProcessor(),
        words,
        tf.Kimi_K25VideoProcessor(),
        chat_template=template(
            "<|media_begin|><|media_pad|><|media_end|>", "<|kimi_k25_video_placeholder|>"
        ),
    )
    return tf.Kimi_K25ForConditionalGeneration(config), processor


@family("mistral_large4")
def mistral_large4() -> tuple[Any, Any]:
    """Mistral Large 4: Mistral 3's vision before a model that attends to the best few tokens."""
    words = tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    text = {
        **TEXT,
        "num_key_value_heads": 4,
        **EXPERTS,
        **LATENT,
        "index_topk": 16,
        "index_head_dim": 16,
        "index_n_heads": 2,
    }
    config = tf.MistralLarge4Config(
        vision_config=PIXTRAL,
        text_config=text,
        image_token_index=id_of(words, "[IMG]"),
        spatial_merge_size=2,
    )
    processor = pixtral_processor(words, spatial_merge_size=2)
    return tf.MistralLarge4ForConditionalGeneration(config), processor


@family("minimax_m3_vl")
def minimax_m3_vl() -> tuple[Any, Any]:
    """MiniMax M3: a layer that attends to the best few blocks of tokens.

    Its processor takes frames whose sides are multiples of two patches, and resizes none.
    """
    image, video = "]<]image[>[", "]<]video[>["
    words = tokenizer(image, video, "]<]start of image[>[", "]<]end of image[>[")
    text = {
        **TEXT,
        "head_dim": 16,
        "rotary_dim": 8,
        "dense_intermediate_size": 96,
        "shared_intermediate_size": 32,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "layer_types": ["full_attention", "minimax_m3_sparse"],
        "index_n_heads": 2,
        "index_head_dim": 16,
        "index_block_size": 8,
        "index_topk_blocks": 2,
    }
    config = tf.MiniMaxM3VLConfig(
        vision_config={**VISION, "image_size": 112},
        text_config=text,
        image_token_index=id_of(words, image),
        video_token_index=id_of(words, video),
        projector_hidden_size=64,
    )
    processor = tf.MiniMaxM3VLProcessor(
        tf.MiniMaxM3VLImageProcessor(size=PIXELS, patch_size=14),
        words,
        tf.MiniMaxM3VLVideoProcessor(size=PIXELS, patch_size=14),
        chat_template=template(image, video),
    )
    return tf.MiniMaxM3SparseForConditionalGeneration(config), processor


#: Of models whose layers have no heads shared by queries.
BERT_TEXT = {
    **{name: value for name, value in TEXT.items() if name != "num_key_value_heads"},
    "max_position_embeddings": 512,
}


@family("git", images=1, has_template=False)
def git() -> tuple[Any, Any]:
    """GIT: an image without tokens in the text."""
    config = tf.GitConfig(vision_config=VISION, **BERT_TEXT)
    images = tf.CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=square(56))
    return tf.GitForCausalLM(config), tf.GitProcessor(images, tokenizer())


@family("blip", images=1, has_template=False)
def blip() -> tuple[Any, Any]:
    """BLIP: an image without tokens, seen through cross attention."""
    config = tf.BlipConfig(
        vision_config={**VISION, "projection_dim": 32},
        text_config={
            **BERT_TEXT,
            "encoder_hidden_size": 32,
            "projection_dim": 32,
            "sep_token_id": 2,
        },
        projection_dim=32,
    )
    images = tf.BlipImageProcessor(size=square(56))
    return tf.BlipForConditionalGeneration(config), tf.BlipProcessor(images, tokenizer())
