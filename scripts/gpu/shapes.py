"""Checkpoints of known shapes with random weights, and clips of noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from llava_eval.borders.paths import local_path
from llava_eval.models.local.checkpoint import CheckpointFolder, find_checkpoint
from llava_eval.types import Clip

DEMO = "package://llava_eval/demo/checkpoint"

#: The language model of both benchmarks at about 130M parameters.
_TEXT_130M: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 640,
    "intermediate_size": 1792,
    "num_hidden_layers": 12,
    "num_attention_heads": 10,
    "num_key_value_heads": 10,
    "max_position_embeddings": 4096,
}

SHAPES: dict[str, dict[str, dict[str, Any]]] = {
    "7b": {
        "vision": {
            "image_size": 336,
            "patch_size": 14,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "projection_dim": 768,
        },
        "text": {
            "vocab_size": 32064,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 10000.0},
        },
    },
    "130m": {
        "vision": {
            "image_size": 336,
            "patch_size": 14,
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "projection_dim": 512,
        },
        "text": _TEXT_130M,
    },
    "tiny": {
        "vision": {
            "image_size": 56,
            "patch_size": 14,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 64,
        },
        "text": {
            "vocab_size": 2048,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
        },
    },
}

#: Qwen2.5-VL-7B-Instruct's shape, from its config.json.
QWEN_SHAPES: dict[str, dict[str, dict[str, Any]]] = {
    "7b": {
        "vision": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "out_hidden_size": 3584,
        },
        "text": {
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
            },
        },
    },
    "130m": {
        "vision": {
            "depth": 8,
            "hidden_size": 512,
            "intermediate_size": 1408,
            "num_heads": 8,
            "fullatt_block_indexes": [3, 7],
            "out_hidden_size": 640,
        },
        "text": {
            **_TEXT_130M,
            "rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12]},
        },
    },
    "tiny": {
        "vision": {
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "fullatt_block_indexes": [1],
            "out_hidden_size": 128,
        },
        "text": {
            "vocab_size": 2048,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [4, 6, 6],
            },
        },
    },
}


def write_llava_next_video(
    folder: Path, shape: str, device: str, dtype: torch.dtype = torch.bfloat16
) -> CheckpointFolder:
    """Write a checkpoint with random weights, and the demo's tokenizer."""
    parts = SHAPES[shape]
    demo = local_path(DEMO)
    processor = transformers.AutoProcessor.from_pretrained(demo)
    edge = parts["vision"]["image_size"]
    for part in (processor.video_processor, processor.image_processor):
        part.size = {"shortest_edge": edge}
        part.crop_size = {"height": edge, "width": edge}
    config = transformers.LlavaNextVideoConfig(
        vision_config={"model_type": "clip_vision_model", **parts["vision"]},
        text_config={"model_type": "llama", **parts["text"]},
        image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=processor.tokenizer.convert_tokens_to_ids("<video>"),
    )
    model = _random(transformers.LlavaNextVideoForConditionalGeneration, config, device, dtype)
    return _written(folder, model, processor)


def write_qwen2_5_vl(
    folder: Path, shape: str, device: str, dtype: torch.dtype = torch.bfloat16
) -> CheckpointFolder:
    """Write a checkpoint with random weights, and the demo's tokenizer."""
    parts = QWEN_SHAPES[shape]
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(local_path(DEMO))
    names = ("vision_start", "vision_end", "image_pad", "video_pad")
    tokens = [f"<|{name}|>" for name in names]
    tokenizer.add_special_tokens({"additional_special_tokens": tokens})
    ids = dict(zip(names, tokenizer.convert_tokens_to_ids(tokens), strict=True))
    config = transformers.Qwen2_5_VLConfig(
        vision_config=parts["vision"],
        text_config=parts["text"],
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
    )
    processor = transformers.Qwen2_5_VLProcessor(
        transformers.Qwen2VLImageProcessor(), tokenizer, transformers.Qwen2VLVideoProcessor()
    )
    model = _random(transformers.Qwen2_5_VLForConditionalGeneration, config, device, dtype)
    return _written(folder, model, processor)


def _random(kind: Any, config: Any, device: str, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    with torch.device(device):
        previous = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        model = kind(config)
        torch.set_default_dtype(previous)
    return model


def _written(folder: Path, model: Any, processor: Any) -> CheckpointFolder:
    # Random weights end a text at any time; these never do, so every answer costs the same.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return find_checkpoint(str(folder))


def make_clip(num_frames: int, edge: int, seed: int) -> Clip:
    """Return a clip of noise."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(
        0, 256, (num_frames, 3, edge, edge), dtype=torch.uint8, generator=generator
    )
    numbers = tuple(range(num_frames))
    return Clip(frames, numbers, tuple(map(float, numbers)), 1.0, num_frames)
