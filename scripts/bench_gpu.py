"""Measure a 7B-shaped model on a CUDA GPU: time, share of peak FLOP/s and memory by setting.

Writes a LlavaNextVideoForConditionalGeneration of LLaVA-NeXT-Video-7B's shape with random weights,
asks it three questions a video for 8 to 64 frames with every attention and quantization that can
run here, and projects the time of the whole of Video-MME (900 videos, 2,700 questions). Frames are
made, not decoded: the decoder has a benchmark of its own.

    python scripts/bench_gpu.py [--frames 8 16 32 64] [--videos 3] [--out results/gpu.md]

``--shape tiny --device cpu`` runs the same code on a small model anywhere, to try the script.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from llava_eval.borders.files import resolve_package_path
from llava_eval.config.schema import ConversationConfig, QuantizationConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import CheckpointFolder, find_checkpoint
from llava_eval.models.local.hardware import device_name
from llava_eval.models.local.load import load_model
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.plan import plan_model
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Clip, GenerationSettings, Request

CONVERSATION = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")
QUESTIONS_PER_VIDEO = 3
NEW_TOKENS = 16
VIDEOMME_VIDEOS = 900
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flash_attention_4")
QUANTIZATIONS = (None, "bnb_int8", "bnb_nf4")

#: Dense bfloat16 TFLOP/s that the makers state, by part of the product name.
PEAK_TFLOPS = {"H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0}

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


@dataclass(frozen=True)
class Measurement:
    """One line of the table."""

    attention: str
    quantization: str
    num_frames: int
    seconds_per_video: float
    teraflops_per_video: float
    peak_bytes: int | None


def write_checkpoint(folder: Path, shape: str, device: str) -> CheckpointFolder:
    """Write a checkpoint with random bfloat16 weights, and the demo's tokenizer."""
    parts = SHAPES[shape]
    demo = resolve_package_path("package://llava_eval/demo/checkpoint")
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
    torch.manual_seed(0)
    with torch.device(device):
        previous = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.LlavaNextVideoForConditionalGeneration(config)
        torch.set_default_dtype(previous)
    # Random weights end a text at any time; this one never does, so every answer costs the same.
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


def ask(runner: ModelRunner, num_frames: int, num_videos: int) -> float:
    """Ask about some videos and return the seconds."""
    edge = runner.loaded.model.config.vision_config.image_size
    requests = []
    for number in range(num_videos):
        video = runner.prepare("video", make_clip(num_frames, edge, number))
        requests += [
            Request(
                f"{number}-{question}",
                (video, f"What does thing number {question} do?\nA. this\nB. that\n"),
                GenerationSettings(max_new_tokens=NEW_TOKENS),
            )
            for question in range(QUESTIONS_PER_VIDEO)
        ]
    synchronise(runner.loaded)
    start = time.perf_counter()
    failed = [text.error for _, text in runner.generate(requests) if text.error is not None]
    synchronise(runner.loaded)
    if failed:
        raise RuntimeError(failed[0])
    return time.perf_counter() - start


def synchronise(loaded: LoadedModel) -> None:
    """Wait for the GPU."""
    if loaded.plan.device.type == "cuda":
        torch.cuda.synchronize()


def teraflops(loaded: LoadedModel, num_frames: int) -> float:
    """Return the model's own arithmetic for one video and its questions, in TFLOP.

    Two operations per weight and token, and four per pair of tokens and hidden unit in attention
    (half of them, being causal, in the language model).
    """
    vision, text = loaded.model.config.vision_config, loaded.model.config.get_text_config()
    patches = (vision.image_size // vision.patch_size) ** 2 + 1
    prefix = patches // 4 * num_frames
    tower = sum(weight.numel() for weight in loaded.model.model.vision_tower.parameters())
    layers = 4 * text.hidden_size**2 + 3 * text.hidden_size * text.intermediate_size
    weights = text.num_hidden_layers * layers + text.vocab_size * text.hidden_size
    new = QUESTIONS_PER_VIDEO * (NEW_TOKENS + 20)
    flops = num_frames * (
        2 * tower * patches + 4 * vision.num_hidden_layers * patches**2 * vision.hidden_size
    )
    flops += 2 * weights * (prefix + new)
    flops += 2 * text.num_hidden_layers * text.hidden_size * prefix * (prefix + 2 * new)
    return float(flops) / 1e12


def settings_that_run(checkpoint: CheckpointFolder, device: str) -> Iterator[LoadedModel]:
    """Yield a model for each attention without quantization, then for each quantization."""
    for attention in ATTENTIONS:
        try:
            plan = plan_model(checkpoint, device=device, dtype="bfloat16", attention=attention)
        except CheckpointError as error:
            print(f"left out: {error}")
            continue
        yield load_model(plan)
    for method in QUANTIZATIONS[1:]:
        skipped = ("vision_tower", "multi_modal_projector", "lm_head")
        scheme = QuantizationConfig(method or "none", method, skip_modules=list(skipped))
        try:
            plan = plan_model(checkpoint, device=device, dtype="bfloat16", quantization=scheme)
        except CheckpointError as error:
            print(f"left out: {error}")
            continue
        yield load_model(plan)


def measure(loaded: LoadedModel, num_frames: int, num_videos: int, rounds: int) -> Measurement:
    """Measure one setting; the first round, which compiles and warms up, does not count."""
    runner = ModelRunner(loaded, CONVERSATION)
    ask(runner, num_frames, num_videos)
    cuda = loaded.plan.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = [ask(runner, num_frames, num_videos) for _ in range(rounds)]
    return Measurement(
        attention=loaded.plan.attention.implementation,
        quantization=loaded.plan.quantization.method or "none",
        num_frames=num_frames,
        seconds_per_video=statistics.median(times) / num_videos,
        teraflops_per_video=teraflops(loaded, num_frames),
        peak_bytes=torch.cuda.max_memory_allocated() if cuda else None,
    )


def markdown(measurements: list[Measurement], name: str, origin: str) -> str:
    """Return the results page."""
    peak = next((value for part, value in PEAK_TFLOPS.items() if part in name), None)
    header = (
        "| attention | quantization | frames | s / video | TFLOP/s | share of peak | peak memory "
        "(GiB) | Video-MME (h) |\n|---|---|---:|---:|---:|---:|---:|---:|"
    )
    lines = []
    for one in measurements:
        rate = one.teraflops_per_video / one.seconds_per_video
        memory = "-" if one.peak_bytes is None else f"{one.peak_bytes / 2**30:.1f}"
        share = "-" if peak is None else f"{100 * rate / peak:.0f} %"
        hours = VIDEOMME_VIDEOS * one.seconds_per_video / 3600
        lines.append(
            f"| {one.attention} | {one.quantization} | {one.num_frames} | "
            f"{one.seconds_per_video:.3f} | {rate:.1f} | {share} | {memory} | {hours:.2f} |"
        )
    return "\n\n".join([f"# Model runner on {name}", origin, "\n".join([header, *lines])]) + "\n"


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="7b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("results/gpu.md"))
    arguments = parser.parse_args()
    measurements, name = [], arguments.device
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder), arguments.shape, arguments.device)
        for loaded in settings_that_run(checkpoint, arguments.device):
            for num_frames in arguments.frames:
                try:
                    done = measure(loaded, num_frames, arguments.videos, arguments.rounds)
                except RuntimeError as error:
                    print(f"left out: {loaded.plan.attention}, {num_frames} frames: {error}")
                    continue
                print(done)
                measurements.append(done)
            name = device_name(loaded.plan.device)
            del loaded
    origin = (
        f"Shape {arguments.shape}, random weights, bfloat16, {QUESTIONS_PER_VIDEO} questions a "
        f"video, {NEW_TOKENS} new tokens, {arguments.videos} videos a batch, medians of "
        f"{arguments.rounds}; frames are made, not decoded. Video-MME is projected from seconds a "
        f"video. Date: {datetime.date.today()}. torch {torch.__version__}, transformers "
        f"{transformers.__version__}."
    )
    text = markdown(measurements, name, origin)
    print(text)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
