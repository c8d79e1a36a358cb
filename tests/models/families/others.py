"""Families with inputs of their own: pixel masks, perceivers, cross attention, encoders."""

from __future__ import annotations

import re
from typing import Any

import transformers
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Prepend
from tokenizers.pre_tokenizers import Split

from tests.models.families.llava_like import LLAMA, SIGLIP
from tests.models.families.parts import (
    LAYERS,
    SLIDING,
    TEXT,
    VISION,
    VOCABULARY_SIZE,
    family,
    id_of,
    square,
    template,
    tokenizer,
    wrapped,
)

tf: Any = transformers


@family("idefics2")
def idefics2() -> tuple[Any, Any]:
    """Idefics2: a perceiver, and a mask of the pixels that are padding."""
    words = tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>")
    config = tf.Idefics2Config(
        vision_config={**VISION, "image_size": 112},
        perceiver_config={
            "hidden_size": 64,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 2,
        },
        text_config={"model_type": "mistral", **TEXT, "head_dim": 16},
        image_token_id=id_of(words, "<image>"),
    )
    processor = tf.Idefics2Processor(
        tf.Idefics2ImageProcessor(
            size={"shortest_edge": 56, "longest_edge": 112}, do_image_splitting=False
        ),
        words,
        image_seq_len=4,
        chat_template=template(),
    )
    return tf.Idefics2ForConditionalGeneration(config), processor


def _idefics3_words() -> Any:
    cells = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    return tokenizer(
        "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *cells
    )


IDEFICS3_IMAGES = {
    "size": {"longest_edge": 112},
    "max_image_size": {"longest_edge": 56},
    "do_image_splitting": True,
}


@family("idefics3", quick=True)
def idefics3() -> tuple[Any, Any]:
    """Idefics3: tiles named by row and column."""
    words = _idefics3_words()
    config = tf.Idefics3Config(
        vision_config=VISION,
        text_config=LLAMA,
        image_token_id=id_of(words, "<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    processor = tf.Idefics3Processor(
        tf.Idefics3ImageProcessor(**IDEFICS3_IMAGES),
        words,
        image_seq_len=4,
        chat_template=template(),
    )
    return tf.Idefics3ForConditionalGeneration(config), processor


@family("smolvlm", videos=1)
def smolvlm() -> tuple[Any, Any]:
    """SmolVLM: a video becomes sentences and images."""
    words = _idefics3_words()
    words.add_special_tokens({"additional_special_tokens": ["<video>"]})
    config = tf.SmolVLMConfig(
        vision_config=VISION,
        text_config=LLAMA,
        image_token_id=id_of(words, "<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    processor = tf.SmolVLMProcessor(
        tf.SmolVLMImageProcessor(**IDEFICS3_IMAGES),
        words,
        tf.SmolVLMVideoProcessor(
            size={"longest_edge": 56}, max_image_size={"longest_edge": 56}, do_resize=True
        ),
        image_seq_len=4,
        chat_template=template(),
    )
    return tf.SmolVLMForConditionalGeneration(config), processor


GEMMA_TEXT = {**TEXT, **SLIDING, "head_dim": 16}


@family("gemma3", quick=True)
def gemma3() -> tuple[Any, Any]:
    """Gemma 3: sliding windows, and images that see themselves in both directions."""
    words = tokenizer(
        image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>"
    )
    config = tf.Gemma3Config(
        vision_config=SIGLIP,
        text_config=GEMMA_TEXT,
        mm_tokens_per_image=4,
        tie_word_embeddings=False,
        image_token_index=id_of(words, "<image_soft_token>"),
        boi_token_index=id_of(words, "<start_of_image>"),
        eoi_token_index=id_of(words, "<end_of_image>"),
    )
    processor = tf.Gemma3Processor(
        tf.Gemma3ImageProcessor(size=square(56)),
        words,
        image_seq_length=4,
        chat_template=template("<start_of_image>"),
    )
    return tf.Gemma3ForConditionalGeneration(config), processor


@family("gemma3n")
def gemma3n() -> tuple[Any, Any]:
    """Gemma 3n: a convolutional tower of timm, layers that share keys and values."""
    words = tokenizer(
        image_token="<image_soft_token>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
        audio_token="<audio_soft_token>",
        boa_token="<start_of_audio>",
        eoa_token="<end_of_audio>",
    )

    def blocks() -> Any:
        from timm.models._efficientnet_builder import decode_arch_def  # long to import

        return decode_arch_def(  # type: ignore[no-untyped-call]
            [["er_r1_k3_s2_e2_c16"]] * 3, group_size=8
        )

    text = {
        **GEMMA_TEXT,
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "intermediate_size": [96] * 4,
        "vocab_size_per_layer_input": VOCABULARY_SIZE,
        "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 2,
        "laurel_rank": 4,
        "activation_sparsity_pattern": [0.0] * 4,
    }
    config = tf.Gemma3nConfig(
        vision_config={
            "architecture": "mobilenetv5_300m_enc",
            "hidden_size": 2048,
            "vocab_size": 8,
            "vocab_offset": VOCABULARY_SIZE,
            "model_args": {"stem_size": 8, "block_args": blocks()},
        },
        audio_config={
            "vocab_size": 8,
            "vocab_offset": VOCABULARY_SIZE + 8,
            "hidden_size": 32,
            "conf_num_attention_heads": 2,
            "conf_num_hidden_layers": 1,
            "input_feat_size": 16,
            "sscp_conv_channel_size": [8, 4],
        },
        text_config=text,
        vision_soft_tokens_per_image=256,
        image_token_id=id_of(words, "<image_soft_token>"),
        boi_token_id=id_of(words, "<start_of_image>"),
        eoi_token_id=id_of(words, "<end_of_image>"),
        audio_token_id=id_of(words, "<audio_soft_token>"),
        boa_token_id=id_of(words, "<start_of_audio>"),
        eoa_token_id=id_of(words, "<end_of_audio>"),
    )
    processor = tf.Gemma3nProcessor(
        tf.Gemma3nAudioFeatureExtractor(feature_size=16),
        tf.SiglipImageProcessor(size=square(256), do_normalize=False),
        words,
        image_seq_length=256,
        chat_template=template("<image_soft_token>"),
    )
    model = tf.Gemma3nForConditionalGeneration(config)
    config.vision_config.model_args["block_args"] = blocks()  # timm wrote functions into it
    return model, processor


def gemma4_words() -> tuple[Any, dict[str, int]]:
    """Return the tokenizer of Gemma 4, and the ids of its tokens."""
    named = {
        "image_token": "<|image|>",
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "audio_token": "<|audio|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
        "video_token": "<|video|>",
    }
    words = tokenizer(**named)
    ids = {f"{name}_id": id_of(words, token) for name, token in named.items()}
    ids["eoa_token_index"] = ids.pop("eoa_token_id")
    return words, ids


@family("gemma4", videos=2)
def gemma4() -> tuple[Any, Any]:
    """Gemma 4: as many soft tokens as an image is large, minutes and seconds before each frame."""
    words, ids = gemma4_words()
    config = tf.Gemma4Config(
        vision_config={
            **LAYERS,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "patch_size": 16,
            "position_embedding_size": 64,
            "pooling_kernel_size": 2,
        },
        audio_config=None,
        text_config={
            **GEMMA_TEXT,
            "vocab_size_per_layer_input": VOCABULARY_SIZE,
            "hidden_size_per_layer_input": 8,
            "per_layer_config": {},
            "use_bidirectional_attention": "vision",
        },
        tie_word_embeddings=False,
        **ids,
    )
    processor = tf.Gemma4Processor(
        tf.Gemma4AudioFeatureExtractor(feature_size=16),
        tf.Gemma4ImageProcessor(patch_size=16, max_soft_tokens=70, pooling_kernel_size=2),
        words,
        tf.Gemma4VideoProcessor(
            patch_size=16, max_soft_tokens=70, pooling_kernel_size=2, do_sample_frames=False
        ),
        image_seq_length=70,
        chat_template=template("<|image|>", "<|video|>"),
    )
    return tf.Gemma4ForConditionalGeneration(config), processor


@family("paligemma", has_template=False)
def paligemma() -> tuple[Any, Any]:
    """PaliGemma: prompts that see themselves in both directions; it brings no chat template."""
    words = tokenizer(image_token="<image>")
    config = tf.PaliGemmaConfig(
        vision_config={**SIGLIP, "projection_dim": 64},
        text_config={"model_type": "gemma", **TEXT, "head_dim": 16},
        image_token_index=id_of(words, "<image>"),
        projection_dim=64,
        hidden_size=64,
        vocab_size=VOCABULARY_SIZE,
    )
    images = tf.SiglipImageProcessor(size=square(56))
    images.image_seq_length = 16
    # The processor adds 1,024 tokens for places and 128 for segments.
    config.text_config.vocab_size = config.vocab_size = VOCABULARY_SIZE + 1152
    return tf.PaliGemmaForConditionalGeneration(config), tf.PaliGemmaProcessor(images, words)


@family("mllama")
def mllama() -> tuple[Any, Any]:
    """Llama 3.2 Vision: pictures are seen through cross attention."""
    words = tokenizer("<|python_tag|>", image_token="<|image|>")
    config = tf.MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
            "vision_output_dim": 64,
            "intermediate_layers_indices": [0],
            "max_num_tiles": 4,
        },
        text_config={
            **TEXT,
            "num_hidden_layers": 3,
            "cross_attention_layers": [1],
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        image_token_index=id_of(words, "<|image|>"),
    )
    processor = tf.MllamaProcessor(
        tf.MllamaImageProcessor(size=square(56), max_image_tiles=4),
        words,
        chat_template=template("<|image|>"),
    )
    model = tf.MllamaForConditionalGeneration(config)
    return model, processor


@family("llama4")
def llama4() -> tuple[Any, Any]:
    """Llama 4: tiles with separators, chunked attention, experts."""
    words = tokenizer(
        *("<|image|>", "<|image_start|>", "<|image_end|>", "<|patch|>"),
        *("<|tile_x_separator|>", "<|tile_y_separator|>"),
    )
    config = tf.Llama4Config(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 128,
            "vision_output_dim": 64,
            "image_size": 56,
            "patch_size": 14,
            "projector_input_dim": 64,
            "projector_output_dim": 64,
        },
        text_config={
            **TEXT,
            "intermediate_size_mlp": 96,
            "head_dim": 16,
            "num_local_experts": 2,
            "attention_chunk_size": 64,
            "num_hidden_layers": 4,
        },
        boi_token_index=id_of(words, "<|image_start|>"),
        eoi_token_index=id_of(words, "<|image_end|>"),
        image_token_index=id_of(words, "<|patch|>"),
    )
    processor = tf.Llama4Processor(
        tf.Llama4ImageProcessor(size=square(56), max_patches=4, resize_to_max_canvas=False),
        words,
        patch_size=14,
        pixel_shuffle_ratio=0.5,
        chat_template=template("<|image|>"),
    )
    return tf.Llama4ForConditionalGeneration(config), processor


def _blip_vision() -> dict[str, Any]:
    return {**VISION, "qkv_bias": True}


QFORMER = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "encoder_hidden_size": 32,
    "cross_attention_frequency": 1,
}
OPT = {
    "model_type": "opt",
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "ffn_dim": 96,
    "num_attention_heads": 4,
    "word_embed_proj_dim": 64,
    "max_position_embeddings": 2048,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@family("blip-2", images=1, has_template=False)
def blip_2() -> tuple[Any, Any]:
    """BLIP-2: its processor writes the tokens of the image in front of the text."""
    words = tokenizer("<image>")
    config = tf.Blip2Config(
        vision_config=_blip_vision(),
        qformer_config=QFORMER,
        text_config=OPT,
        num_query_tokens=4,
        image_token_index=id_of(words, "<image>"),
    )
    processor = tf.Blip2Processor(tf.BlipImageProcessor(size=square(56)), words, num_query_tokens=4)
    return tf.Blip2ForConditionalGeneration(config), processor


@family("instructblip", images=1, has_template=False)
def instructblip() -> tuple[Any, Any]:
    """InstructBLIP: the question goes to the Q-Former too."""
    words = tokenizer("<image>")
    config = tf.InstructBlipConfig(
        vision_config=_blip_vision(),
        qformer_config=QFORMER,
        text_config=OPT,
        num_query_tokens=4,
        image_token_index=id_of(words, "<image>"),
    )
    processor = tf.InstructBlipProcessor(
        tf.BlipImageProcessor(size=square(56)), words, tokenizer(), num_query_tokens=4
    )
    return tf.InstructBlipForConditionalGeneration(config), processor


@family("florence2", images=1, has_template=False)
def florence2() -> tuple[Any, Any]:
    """Florence-2: an encoder and a decoder; the processor writes the placeholder."""
    words = tokenizer(image_token="<image>")
    config = tf.Florence2Config(
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [8, 16, 16, 32],
            "num_heads": [1, 1, 1, 2],
            "num_groups": [1, 1, 1, 2],
            "window_size": 4,
            "projection_dim": 64,
            "max_position_embeddings": 16,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": VOCABULARY_SIZE,
            "d_model": 64,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_ffn_dim": 96,
            "decoder_ffn_dim": 96,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": None,
        },
        image_token_id=id_of(words, "<image>"),
    )
    images = tf.CLIPImageProcessor(size=square(96), do_center_crop=False)
    images.image_seq_length = 10
    return tf.Florence2ForConditionalGeneration(config), tf.Florence2Processor(images, words)


@family("chameleon", has_template=False)
def chameleon() -> tuple[Any, Any]:
    """Chameleon: images are words of a codebook; a separator ends each prompt."""
    codes = [f"IMGIMG{letter}Z" for letter in "ABCDEFGH"]
    words = tokenizer(
        "<racm3:break>", "<eoss>", "<sep>", "<reserved08706>", *codes, image_token="<image>"
    )
    words.sep_token = "<sep>"
    config = tf.ChameleonConfig(
        **{**TEXT, "num_key_value_heads": 4},
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 8,
            "latent_channels": 8,
            "resolution": 32,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1],
            "num_res_blocks": 1,
        },
        vocabulary_map={**words.get_vocab(), "<image>": id_of(words, "<image>")},
        image_token_id=id_of(words, "<image>"),
    )
    processor = tf.ChameleonProcessor(
        tf.ChameleonImageProcessor(size={"shortest_edge": 32}, crop_size=square(32)),
        words,
        image_seq_length=64,
    )
    return tf.ChameleonForConditionalGeneration(config), processor


@family("janus")
def janus() -> tuple[Any, Any]:
    """Janus: one model that reads and draws."""
    words = tokenizer(
        image_token="<image_placeholder>", boi_token="<begin_of_image>", eoi_token="<end_of_image>"
    )
    config = tf.JanusConfig(
        vision_config={**VISION, "projection_dim": 64, "num_image_tokens": 16, "mlp_ratio": 2.0},
        text_config=LLAMA,
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 16,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1, 1],
            "num_res_blocks": 1,
            "num_patches": 4,
            "projection_dim": 64,
            "image_token_embed_dim": 64,
        },
        image_token_id=id_of(words, "<image_placeholder>"),
    )
    processor = tf.JanusProcessor(
        tf.JanusImageProcessor(size=square(56), min_size=14),
        words,
        num_image_tokens=16,
        chat_template=template("<image_placeholder>"),
    )
    return tf.JanusForConditionalGeneration(config), processor


def _sentence_pieces(*pieces: str) -> Any:
    """Return a tokenizer of single letters and these, with a mark in front of every text."""
    letters = ["<pad>", "<s>", "</s>", "<unk>", *map(chr, range(32, 127)), *pieces]
    plain = Tokenizer(
        WordLevel({piece: number for number, piece in enumerate(letters)}, unk_token="<unk>")
    )
    plain.normalizer = Prepend("_")
    either = "|".join([*map(re.escape, pieces), "."])
    plain.pre_tokenizer = Split(Regex(either), behavior="isolated")
    plain.add_special_tokens(["<pad>", "<s>", "</s>", "<unk>"])
    return wrapped(plain)


@family("fuyu", images=1, has_template=False)
def fuyu() -> tuple[Any, Any]:
    """Fuyu: patches of pixels go straight into the language model."""
    words = _sentence_pieces("|SPEAKER|", "|NEWLINE|", *(f"<0x0{number}>" for number in range(5)))
    config = tf.FuyuConfig(
        image_size=60,
        patch_size=30,
        image_token_id=id_of(words, "|SPEAKER|"),
        text_config={
            "model_type": "persimmon",
            **{name: value for name, value in TEXT.items() if name != "num_key_value_heads"},
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            },
        },
    )
    processor = tf.FuyuProcessor(
        tf.FuyuImageProcessor(size=square(90), patch_size=square(30)), words
    )
    return tf.FuyuForCausalLM(config), processor


@family("aria")
def aria() -> tuple[Any, Any]:
    """Aria: queries as many as an image has patches, experts."""
    words = tokenizer(image_token="<|img|>")
    config = tf.AriaConfig(
        vision_config={
            "model_type": "idefics3_vision",
            **LAYERS,
            "image_size": 980,
            "patch_size": 98,
        },
        text_config={
            "model_type": "aria_text",
            **TEXT,
            "moe_num_experts": 4,
            "moe_topk": 2,
            "moe_num_shared_experts": 1,
        },
        projector_patch_to_query_dict={25: 4, 100: 8},
        image_token_index=id_of(words, "<|img|>"),
    )
    processor = tf.AriaProcessor(
        tf.AriaImageProcessor(max_image_size=490, min_image_size=98),
        words,
        size_conversion={490: 4, 980: 8},
        chat_template=template("<|img|>"),
    )
    return tf.AriaForConditionalGeneration(config), processor


@family("kosmos-2", images=1, has_template=False)
def kosmos2() -> tuple[Any, Any]:
    """Kosmos-2: a mask says where the image's embeddings go."""
    words = tokenizer()
    config = tf.Kosmos2Config(
        vision_config=VISION,
        text_config={
            "vocab_size": VOCABULARY_SIZE,
            "embed_dim": 64,
            "layers": 2,
            "ffn_dim": 96,
            "attention_heads": 4,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        latent_query_num=64,
    )
    processor = tf.Kosmos2Processor(
        tf.CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=square(56)),
        words,
        num_patch_index_tokens=4,
    )
    return tf.Kosmos2ForConditionalGeneration(config), processor
