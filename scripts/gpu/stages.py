"""What is measured on a GPU: each stage is a function that returns values for JSON."""

from __future__ import annotations

import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from gpu.shapes import make_clip, write_llava_next_video, write_qwen2_5_vl
from llava_eval.borders.paths import local_path
from llava_eval.config.schema import ConversationConfig, ModelConfig, QuantizationConfig
from llava_eval.models.clock import MODEL_STAGES, StageClock
from llava_eval.models.local.checkpoint import CheckpointFolder, find_checkpoint
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Clip, GenerationSettings, Request

CONVERSATION = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")
QUESTIONS_PER_VIDEO = 3
NEW_TOKENS = 16
VIDEOMME_VIDEOS = 900
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flash_attention_4")
QUANTIZATIONS = ("bnb_int8", "bnb_nf4", "torchao_int8", "torchao_int4")

#: Dense bfloat16 TFLOP/s that the makers state, by part of the product name.
PEAK_TFLOPS = {"H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0}


@dataclass(frozen=True)
class Setting:
    """Where and how large.

    Attributes:
        device: cuda, or cpu to try the stages.
        shape: 7b, or tiny to try them.
        peak_tflops: of the device, None where it is not known.
        folder: for checkpoints and videos.
    """

    device: str
    shape: str
    peak_tflops: float | None
    folder: Path

    @property
    def is_cuda(self) -> bool:
        return self.device == "cuda"

    def checkpoint(
        self, write: Callable[[Path, str, str], CheckpointFolder] = write_llava_next_video
    ) -> CheckpointFolder:
        """Return a checkpoint of this shape, written once."""
        folder = self.folder / write.__name__
        if not folder.exists():
            partial = Path(tempfile.mkdtemp(dir=self.folder))  # one that is cut off is never used
            write(partial, self.shape, self.device)
            partial.rename(folder)
        return find_checkpoint(str(folder))


class SynchronisedClock(StageClock):
    """Counts what a stage starts on the GPU as that stage's."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        with super().stage(name):
            yield
            if torch.cuda.is_available():
                torch.cuda.synchronize()


def correct(setting: Setting) -> Iterator[dict[str, Any]]:
    """Hold the embedded checkpoint on the device to the CPU in float32, by precision and attention.

    Answers of 24 videos with three questions each; batched and shared as a run asks them, and one
    question at a time as a whole prompt.
    """
    checkpoint = find_checkpoint("package://llava_eval/demo/checkpoint")
    is_small = setting.shape == "tiny"
    work = _demo_requests(2 if is_small else 24)
    reference = _texts(_loaded(checkpoint, "cpu", "float32", "sdpa"), work)
    precisions = ("float32", "bfloat16") if is_small else ("float32", "bfloat16", "float16")
    for dtype, attention in itertools.product(precisions, ATTENTIONS):
        row: dict[str, Any] = {"dtype": dtype, "attention": attention}
        try:
            loaded = _loaded(checkpoint, setting.device, dtype, attention)
            shared = _texts(loaded, work)
            alone = _texts(loaded, work, share_prefixes=False, batch_size=1)
            row |= {
                "num_texts": len(reference),
                "other_than_cpu_float32": _num_different(reference, shared),
                "shared_other_than_alone": _num_different(alone, shared),
                "failed": sum(text is None for text in shared),
            }
        except Exception as error:  # noqa: BLE001 - of one way; the others are measured
            row["left_out"] = str(error)[:300]
        yield row


def speed(setting: Setting) -> Iterator[dict[str, Any]]:
    """Time videos with three questions each: seconds, share of peak by stage, memory."""
    checkpoint = setting.checkpoint()
    frames = (8, 16, 32, 64) if setting.shape == "7b" else (2, 4)
    is_timed = False
    for attention in ("flash_attention_4", "flash_attention_2", "flash_attention_3"):
        for row in _timed(setting, checkpoint, frames, attention=attention):
            yield row
            is_timed |= "seconds_per_video" in row
        if is_timed:
            break
    yield from _timed(setting, checkpoint, frames[-2:] if is_timed else frames, attention="sdpa")
    for method in QUANTIZATIONS:
        yield from _timed(setting, checkpoint, frames[1:3], method=method)


def plainly(setting: Setting) -> Any:
    """Time plain ``generate`` a question at a time, interleaved with the runner."""
    loaded = _loaded(setting.checkpoint(), setting.device, "bfloat16", "auto")
    num_frames = 32 if setting.shape == "7b" else 4
    requests = _requests(loaded, num_frames, 2)
    ours, plain = [], []
    texts: list[list[str | None]] = []
    for _ in range(3):
        started = time.perf_counter()
        shared = _texts(loaded, requests)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        alone = _plain_texts(loaded, requests)
        plain.append(time.perf_counter() - started)
        texts = [shared, alone]
    return {
        "num_frames": num_frames,
        "questions_per_video": QUESTIONS_PER_VIDEO,
        "seconds_ours": statistics.median(ours[1:]),
        "seconds_plain": statistics.median(plain[1:]),
        "ratio": statistics.median(plain[1:]) / statistics.median(ours[1:]),
        "same_texts": len(texts[0]) - _num_different(*texts),
        "num_texts": len(texts[0]),
    }


def whole(setting: Setting) -> Any:
    """Run ``llava-eval`` over encoded videos, and say what the wall is spent on."""
    import json

    from llava_eval.cli import run_command

    checkpoint = setting.checkpoint()
    is_small = setting.shape == "tiny"
    seconds = (20, 40) if is_small else (180, 1800)
    num_videos = 2 if is_small else 24
    videos = setting.folder / "videos"
    videos.mkdir(exist_ok=True)
    rows = []
    for number in range(num_videos):
        name = f"v{number}"
        encode_video(videos / f"{name}.mp4", seconds[number % 2], (320, 180), number)
        rows += [_row(name, question) for question in range(QUESTIONS_PER_VIDEO)]
    source = setting.folder / "rows.jsonl"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    out = Path(tempfile.mkdtemp(dir=setting.folder)) / "run"
    started = time.perf_counter()
    code = run_command(
        [
            "benchmark=videomme/official",
            f"benchmark.source={source}",
            f"benchmark.media_root={videos}",
            "model=hf",
            f"model.checkpoint={checkpoint.path}",
            f"model.device={setting.device}",
            "model.dtype=bfloat16",
            "conversation=vicuna_v1",
            f"sampler.num_frames={4 if is_small else 32}",
            f"output_dir={out}",
            "errors.max=0",
        ]
    )
    wall = time.perf_counter() - started
    session = json.loads((out / "manifest.json").read_text())["sessions"][-1]
    stages = session["stage_seconds"]
    model = sum(stages.get(name, 0.0) for name in MODEL_STAGES)
    ready = wall - stages.get("load_model", 0.0)
    return {
        "exit_code": code,
        "num_videos": num_videos,
        "num_questions": len(rows),
        "wall_seconds": wall,
        "model_share_without_loading": model / ready,
        "stage_seconds": stages,
        "videomme_minutes": ready / num_videos * VIDEOMME_VIDEOS / 60,
    }


def captions(setting: Setting) -> Any:
    """Time 64 long texts in one batch, with the runner and with a static, compiled cache."""
    loaded = _loaded(setting.checkpoint(), setting.device, "bfloat16", "auto")
    is_small = setting.shape == "tiny"
    num_videos, num_tokens = (4, 8) if is_small else (64, 256)
    requests = _requests(loaded, 4 if is_small else 8, num_videos, questions=1, tokens=num_tokens)
    results: dict[str, Any] = {"num_texts": num_videos, "max_new_tokens": num_tokens}
    runner = ModelRunner(loaded, CONVERSATION)
    for _ in range(2):
        started = time.perf_counter()
        num_new = sum(each.num_output_tokens or 0 for _, each in runner.generate(requests))
        results["tokens_per_second"] = num_new / (time.perf_counter() - started)
    if setting.is_cuda:
        results["static_cache_tokens_per_second"] = _static_tokens_per_second(loaded, num_tokens)
    return results


def memory(setting: Setting) -> Any:
    """Ask more questions together than fit, and see that all are answered."""
    loaded = _loaded(setting.checkpoint(), setting.device, "bfloat16", "auto")
    is_small = setting.shape == "tiny"
    num_videos = 4 if is_small else 96
    runner = ModelRunner(loaded, CONVERSATION, batch_size=10_000, max_batch_tokens=10**9)
    requests = _requests(loaded, 2 if is_small else 32, num_videos, runner=runner)
    if setting.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    answers = list(runner.generate(requests))
    return {
        "num_asked": len(requests),
        "num_answered": sum(generation.text is not None for _, generation in answers),
        "batch_size_found": runner.batch_size,
        "peak_bytes": torch.cuda.max_memory_allocated() if setting.is_cuda else None,
        "device_bytes": (
            torch.cuda.get_device_properties(0).total_memory if setting.is_cuda else None
        ),
    }


def qwen(setting: Setting) -> Iterator[dict[str, Any]]:
    """Time Qwen2.5-VL's shape at 16 and 32 frames."""
    checkpoint = setting.checkpoint(write_qwen2_5_vl)
    frames = (16, 32) if setting.shape == "7b" else (2, 4)
    yield from _timed(setting, checkpoint, frames, share_of_peak=False)


#: Returns values, or yields rows that are kept as they come.
Stage = Callable[[Setting], Any]

#: In the order in which they tell most in the shortest time.
STAGES: Mapping[str, Stage] = {
    "correct": correct,
    "speed": speed,
    "plainly": plainly,
    "whole": whole,
    "memory": memory,
    "captions": captions,
    "qwen": qwen,
}


def _loaded(
    checkpoint: CheckpointFolder,
    device: str,
    dtype: str,
    attention: str,
    method: str | None = None,
) -> LoadedModel:
    quantization = None
    if method is not None:
        skipped = ["vision_tower", "multi_modal_projector", "visual", "lm_head"]
        quantization = QuantizationConfig(method, method, skip_modules=skipped)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return load_model(
        plan_checkpoint(
            checkpoint, ModelConfig(device=device, dtype=dtype, attention=attention), quantization
        )
    )


def _timed(
    setting: Setting,
    checkpoint: CheckpointFolder,
    frames: Sequence[int],
    *,
    attention: str = "auto",
    method: str | None = None,
    share_of_peak: bool = True,
) -> Iterator[dict[str, Any]]:
    """Yield seconds a video for each number of frames; the first round, a warm-up, is left out."""
    named = {"attention": attention, "quantization": method or "none"}
    try:
        loaded = _loaded(checkpoint, setting.device, "bfloat16", attention, method)
    except Exception as error:  # noqa: BLE001 - of one way; the others are measured
        yield {**named, "left_out": str(error)[:300]}
        return
    named["attention"] = loaded.plan.attention.implementation
    for num_frames in frames:
        try:
            yield {**named, **_rounds(setting, loaded, num_frames, share_of_peak)}
        except Exception as error:  # noqa: BLE001 - of one length
            yield {**named, "num_frames": num_frames, "left_out": str(error)[:300]}


def _rounds(
    setting: Setting, loaded: LoadedModel, num_frames: int, share_of_peak: bool
) -> dict[str, Any]:
    num_videos = 3
    clock = SynchronisedClock()
    runner = ModelRunner(loaded, CONVERSATION, clock=clock)
    requests = _requests(loaded, num_frames, num_videos, runner=runner)
    times: list[float] = []
    stages: list[dict[str, float]] = []
    if setting.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        before = dict(clock.seconds)
        started = time.perf_counter()
        for _, generation in runner.generate(requests):
            if generation.error is not None:
                raise RuntimeError(generation.error)
        if setting.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
        stages.append({k: clock.seconds[k] - before.get(k, 0.0) for k in clock.seconds})
    by_stage = {
        name: statistics.median(part.get(name, 0.0) for part in stages[1:]) / num_videos
        for name in ("vision", "prefill", "decode")
    }
    work = teraflops(loaded, num_frames) if share_of_peak else {}
    row: dict[str, Any] = {
        "num_frames": num_frames,
        "seconds_per_video": statistics.median(times[1:]) / num_videos,
        "stage_seconds_per_video": by_stage,
        "teraflops_per_video": work,
        "peak_bytes": torch.cuda.max_memory_allocated() if setting.is_cuda else None,
        "paths": runner.settings()["prompts_asked_as"],
    }
    if setting.peak_tflops and work:
        row["share_of_peak"] = {
            name: work[name] / by_stage[name] / setting.peak_tflops
            for name in work
            if by_stage.get(name)
        }
    return row


def teraflops(loaded: LoadedModel, num_frames: int) -> dict[str, float]:
    """Return the model's own arithmetic for one video and its questions, in TFLOP, by stage.

    Two operations per weight and token, and four per pair of tokens and hidden unit in attention
    (half of them, being causal, in the language model).
    """
    vision, text = loaded.model.config.vision_config, loaded.model.config.get_text_config()
    patches = (vision.image_size // vision.patch_size) ** 2 + 1
    prefix = patches // 4 * num_frames
    tower = sum(weight.numel() for weight in loaded.model.model.vision_tower.parameters())
    layers = 4 * text.hidden_size**2 + 3 * text.hidden_size * text.intermediate_size
    weights = text.num_hidden_layers * layers
    new = QUESTIONS_PER_VIDEO * (NEW_TOKENS + 20)
    attention = 2 * text.num_hidden_layers * text.hidden_size
    seen = 4 * vision.num_hidden_layers * patches**2 * vision.hidden_size
    return {
        "vision": num_frames * (2 * tower * patches + seen) / 1e12,
        "prefill": (2 * weights * prefix + attention * prefix**2) / 1e12,
        "decode": (
            2 * (weights + text.vocab_size * text.hidden_size) * new + 2 * attention * prefix * new
        )
        / 1e12,
    }


def _requests(
    loaded: LoadedModel,
    num_frames: int,
    num_videos: int,
    *,
    questions: int = QUESTIONS_PER_VIDEO,
    tokens: int = NEW_TOKENS,
    runner: ModelRunner | None = None,
) -> list[Request]:
    edge = getattr(loaded.model.config.vision_config, "image_size", None) or 224
    preparer = runner or ModelRunner(loaded, CONVERSATION)
    settings = GenerationSettings(max_new_tokens=tokens)
    requests = []
    for number in range(num_videos):
        video = preparer.prepare("video", make_clip(num_frames, edge, number))
        requests += [
            Request(
                f"{number}-{question}",
                (video, f"What does thing number {question} do?\nA. this\nB. that\n"),
                settings,
            )
            for question in range(questions)
        ]
    return requests


def _demo_requests(num_videos: int) -> list[tuple[Clip, tuple[str, ...]]]:
    from llava_eval.video import decode_frames, probe
    from llava_eval.video.samplers import linspace_to_last_frame

    folder = local_path("package://llava_eval/demo/videos")
    asked = ("How many objects appear?\nA. 1\nB. 2\nC. 3\nD. 4\nThe best answer is:",)
    work: list[tuple[Clip, tuple[str, ...]]] = []
    for path in sorted(folder.glob("*.mp4"))[:num_videos]:
        indices = linspace_to_last_frame(probe(path), num_frames=8)
        work.append((decode_frames(path, indices), (*asked, "Describe it.", "What moves?")))
    return work


def _texts(loaded: LoadedModel, work: Sequence[Any], **options: Any) -> list[str | None]:
    """Return the texts of requests, or of clips with their questions, in order."""
    runner = ModelRunner(loaded, CONVERSATION, **options)
    requests: list[Request] = []
    for number, item in enumerate(work):
        if isinstance(item, Request):
            requests.append(item)
            continue
        clip, questions = item
        video = runner.prepare("video", clip)
        settings = GenerationSettings(max_new_tokens=NEW_TOKENS)
        requests += [
            Request(f"{number}-{n}", (video, text), settings) for n, text in enumerate(questions)
        ]
    texts = {request.id: generation.text for request, generation in runner.generate(requests)}
    return [texts[request.id] for request in requests]


def _plain_texts(loaded: LoadedModel, requests: Sequence[Request]) -> list[str | None]:
    """Ask one question at a time with the processor and the model's own ``generate``."""
    tokenizer = loaded.processor.tokenizer
    token = loaded.placeholder("video")
    texts: list[str | None] = []
    for request in requests:
        (medium,) = request.prepared_media
        assert medium.clip is not None
        question = next(piece for piece in request.content if isinstance(piece, str))
        prompt = f"USER: {token}\n{question} ASSISTANT:"
        inputs = loaded.processor(
            text=[prompt],
            videos=[medium.clip.frames],
            videos_kwargs={"do_sample_frames": False},
            return_tensors="pt",
        ).to(loaded.plan.device, loaded.plan.dtype)
        with torch.inference_mode():
            ids = loaded.model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        new = ids[0, inputs["input_ids"].shape[1] :]
        texts.append(tokenizer.decode(new, skip_special_tokens=True))
    return texts


def _static_tokens_per_second(loaded: LoadedModel, num_tokens: int) -> float:
    """Return the decoding speed of ``generate`` with a static cache, which is compiled."""
    ids = torch.randint(10, 1000, (64, 600), device=loaded.plan.device)
    mask = torch.ones_like(ids)
    seconds = 0.0
    for _ in range(2):  # the first one compiles
        started = time.perf_counter()
        with torch.inference_mode():
            loaded.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=num_tokens,
                min_new_tokens=num_tokens,
                do_sample=False,
                cache_implementation="static",
            )
        torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return 64 * num_tokens / seconds


#: Seconds of a made video before its packets come again.
_PART_SECONDS = 20


def _num_different(left: Sequence[str | None], right: Sequence[str | None]) -> int:
    return sum(one != two for one, two in zip(left, right, strict=True))


def _row(video: str, question: int) -> dict[str, Any]:
    return {
        "video_id": video,
        "videoID": video,
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Made up",
        "question_id": f"{video}-{question}",
        "task_type": "Counting Problem",
        "question": f"What does thing number {question} do?",
        "options": ["A. this", "B. that", "C. both", "D. none"],
        "answer": "A",
    }


def encode_video(
    path: Path, seconds: int, size: tuple[int, int], number: int = 0, fps: int = 24
) -> None:
    """Encode h264 of moving gradients: real packets, made in half a second.

    Args:
        path: the file.
        seconds: a multiple of 20, as the packets of 20 seconds come again and again.
        size: width and height in pixels.
        number: of the video; each shows other pictures.
        fps: frames a second.
    """
    width, height = size
    grid = np.indices((height, width)).sum(axis=0) + 7 * number
    num_frames = _PART_SECONDS * fps
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "240"}
        packets = []
        for index in range(num_frames):
            plane = ((grid + 3 * index) % 256).astype(np.uint8)
            picture = np.stack([plane, plane[::-1], 255 - plane], axis=-1)
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode(None)
        # The preset has no B-frames: packets come in the order shown, the first one of a part being
        # a keyframe that nothing before it is needed for.
        for part, packet in itertools.product(range(seconds // _PART_SECONDS), packets):
            again = av.Packet(bytes(packet))
            again.stream, again.time_base = stream, packet.time_base
            again.is_keyframe, again.duration = packet.is_keyframe, packet.duration
            shift = round(part * _PART_SECONDS / packet.time_base)
            again.pts, again.dts = packet.pts + shift, packet.dts + shift
            container.mux(again)
