"""Time the model runner against asking one question at a time, and check that both say the same.

The peer is what a plain script does: for each question the processor's inputs and the model's own
``generate``; video, vision features and prompt are computed anew every time. The models are a
LlavaNextVideoForConditionalGeneration (336 pixels, 144 tokens a frame) and a
Qwen2_5_VLForConditionalGeneration (640x360 pixels, 299 tokens a pair of frames) of about 130M
parameters each, with random weights. Sides take turns in one process; the table has medians of the
processor's seconds, which other work on the machine does not lengthen.

    python scripts/bench_runner.py [--rounds 3] [--threads 2] [--shape 130m]
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from gpu.shapes import QWEN_SHAPES, write_llava_next_video, write_qwen2_5_vl
from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.runner import ModelRunner
from llava_eval.results.environment import processor_name
from llava_eval.types import Clip, GenerationSettings, Request

CONVERSATION = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")
MODELS = {"LLaVA-NeXT-Video": write_llava_next_video, "Qwen2.5-VL": write_qwen2_5_vl}
NUM_FRAMES = 8
NEW_TOKENS = 8
FORWARD_STAGES = ("vision", "prefill", "decode")


@dataclass(frozen=True)
class Work:
    """Videos and the questions about each."""

    name: str
    clips: tuple[Clip, ...]
    questions: tuple[str, ...]


def make_work(name: str, num_videos: int, num_questions: int) -> Work:
    """Return videos of noise at 640x360, and questions with a common beginning."""
    clips = []
    for seed in range(num_videos):
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand((NUM_FRAMES, 3, 12, 20), generator=generator)
        frames = torch.nn.functional.interpolate(coarse, size=(360, 640), mode="bilinear")
        numbers = tuple(range(NUM_FRAMES))
        times = tuple(float(number) for number in numbers)
        clips.append(Clip((255 * frames).to(torch.uint8), numbers, times, 1.0, NUM_FRAMES))
    questions = [
        f"What does thing number {number} do?\nA. red\nB. blue\nC. green\nD. none\n"
        for number in range(num_questions)
    ]
    return Work(name, tuple(clips), tuple(questions))


def ask_plainly(loaded: LoadedModel, work: Work) -> dict[str, str]:
    """Ask one question at a time with the processor's inputs and the model's own generate."""
    texts = {}
    for number, clip in enumerate(work.clips):
        for place, question in enumerate(work.questions):
            facts = {
                "total_num_frames": clip.num_source_frames,
                "fps": clip.fps,
                "frames_indices": list(clip.frame_indices),
            }
            inputs = loaded.processor(
                text=[f"USER: {loaded.placeholder('video')}\n{question} ASSISTANT:"],
                videos=[clip.frames],
                video_metadata=[facts],
                do_sample_frames=False,
                return_tensors="pt",
            )
            with torch.inference_mode():
                sequence = loaded.model.generate(
                    **inputs, max_new_tokens=NEW_TOKENS, do_sample=False
                )
            new = sequence[0, inputs["input_ids"].shape[1] :]
            texts[f"{number}-{place}"] = loaded.processor.tokenizer.decode(
                new, skip_special_tokens=True
            )
    return texts


def make_runner(loaded: LoadedModel) -> ModelRunner:
    """Return a runner that has checked its model, as it does once a run."""
    runner = ModelRunner(loaded, CONVERSATION)
    ask_with_runner(runner, make_work("warm-up", 1, 1))
    return runner


def ask_with_runner(runner: ModelRunner, work: Work) -> dict[str, str]:
    """Ask everything through the runner."""
    settings = GenerationSettings(max_new_tokens=NEW_TOKENS)
    texts = {}
    for number, clip in enumerate(work.clips):
        with runner.clock.stage("preprocess"):
            video = runner.prepare("video", clip)
        requests = [
            Request(f"{number}-{place}", (video, question), settings)
            for place, question in enumerate(work.questions)
        ]
        for request, generation in runner.generate(requests):
            texts[request.id] = str(generation.text)
    return texts


def seconds(function: Callable[[], Any]) -> float:
    """Return the wall time of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def processor_seconds(function: Callable[[], Any]) -> float:
    """Return the seconds that all threads of this process compute for a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(model: str, loaded: LoadedModel, work: Work, rounds: int) -> dict[str, Any]:
    """Time both sides in turns and compare their texts."""
    runner = make_runner(loaded)
    same = ask_plainly(loaded, work) == ask_with_runner(runner, work)
    plain, ours, outside = [], [], []
    for _ in range(rounds):
        plain.append(processor_seconds(partial(ask_plainly, loaded, work)))
        runner.clock.seconds.clear()
        start = time.perf_counter()
        ours.append(processor_seconds(partial(ask_with_runner, runner, work)))
        inside = sum(runner.clock.seconds[stage] for stage in FORWARD_STAGES)
        outside.append(100 * (1 - inside / (time.perf_counter() - start)))
    return {
        "model": model,
        "work": work.name,
        "same texts": "yes" if same else "NO",
        "plain (s)": statistics.median(plain),
        "runner (s)": statistics.median(ours),
        "ratio": statistics.median(plain) / statistics.median(ours),
        "outside vision, prefill and decode (%)": statistics.median(outside),
        "rounds (s)": " / ".join(f"{p:.1f}:{o:.1f}" for p, o in zip(plain, ours, strict=True)),
    }


def time_commands(rounds: int) -> tuple[list[float], list[float]]:
    """Return seconds of the whole embedded benchmark, and of importing torch and transformers."""
    importing = "import torch, transformers; transformers.AutoModelForImageTextToText"
    command, imports = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            command.append(seconds(partial(run_python, "-m", "llava_eval.cli", cwd=folder)))
        imports.append(seconds(partial(run_python, "-c", importing)))
    return command, imports


def differing_texts(dtype: str) -> tuple[int, int]:
    """Return how many embedded captions change with the batch, and of how many.

    One side asks for one at a time and shares nothing, the other is the runner as it is.
    """
    sides: tuple[list[str], ...] = (["runner.batch_size=1", "runner.share_prefixes=false"], [])
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        for number, overrides in enumerate(sides):
            run = Path(folder) / str(number)
            run_python(
                "-m",
                "llava_eval.cli",
                "benchmark=demo/caption",
                *overrides,
                f"model.dtype={dtype}",
                f"output_dir={run}",
            )
            lines = (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()
            texts.append([json.loads(line)["generation"]["text"] for line in lines])
    alone, together = texts
    return sum(a != b for a, b in zip(alone, together, strict=True)), len(alone)


def run_python(*arguments: str, cwd: str | None = None) -> None:
    """Run Python in a process of its own."""
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True)


def markdown(rows: Sequence[dict[str, Any]], notes: Sequence[str]) -> str:
    """Return the results page."""
    names = list(rows[0])
    cells = [
        [f"{row[name]:.2f}" if isinstance(row[name], float) else str(row[name]) for name in names]
        for row in rows
    ]
    lines = [names, ["---"] * len(names), *cells]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(["# Model runner: time", *notes[:1], table, *notes[1:]]) + "\n"


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", choices=QWEN_SHAPES, default="130m")
    parser.add_argument("--out", type=Path, default=Path("results/runner.md"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for name, write in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = write(Path(folder), arguments.shape, "cpu", torch.float32)
            loaded = load_model(plan_checkpoint(checkpoint, ModelConfig(device="cpu")))
        parameters = sum(weight.numel() for weight in loaded.model.parameters()) / 1e6
        for work in (make_work("3 questions", 1, 3), make_work("12 questions", 1, 12)):
            rows.append(compare(f"{name}, {parameters:.0f}M", loaded, work, arguments.rounds))
    command, imports = time_commands(arguments.rounds)
    setting = (
        f"Random weights, {NUM_FRAMES} frames of 640x360 pixels a video (LLaVA-NeXT-Video sees 336 "
        f"x 336), 3 or 12 questions about each, {NEW_TOKENS} new tokens, float32 on a CPU. Plain: "
        "one question at a time, the processor's inputs and the model's own `generate`. Sides take "
        "turns; medians of the seconds that the process computes."
    )
    whole = (
        "The whole command `llava-eval` (embedded multiple-choice benchmark): "
        f"{statistics.median(command):.1f} s of wall time; importing torch and transformers alone: "
        f"{statistics.median(imports):.1f} s (medians of {arguments.rounds})."
    )
    counts = {dtype: differing_texts(dtype) for dtype in ("float32", "bfloat16", "float16")}
    halves = (
        "Texts of the embedded captioning benchmark that differ between one at a time and "
        "batches: "
        + ", ".join(f"{dtype} {few} of {all_}" for dtype, (few, all_) in counts.items())
        + "."
    )
    origin = (
        f"Date: {datetime.date.today()}. Machine: {processor_name()}, {arguments.threads} threads, "
        f"{platform.system()}. torch {torch.__version__}, transformers {transformers.__version__}. "
        f"Command: `python scripts/bench_runner.py --rounds {arguments.rounds} --threads "
        f"{arguments.threads}`."
    )
    text = markdown(rows, [setting, whole, halves, origin])
    print(text)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
