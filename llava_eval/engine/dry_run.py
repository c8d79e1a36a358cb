"""A look at a run before it is made: everything short of the model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llava_eval.benchmarks.prepare.media_files import check_media_files
from llava_eval.config.compose import ComposedConfig
from llava_eval.engine.batches import (
    PromptSettings,
    decode_group,
    media_groups,
    plan_batches,
    request_of,
)
from llava_eval.engine.work import Benchmark
from llava_eval.models.base import Needs, plan_model, preview_prompts
from llava_eval.models.clock import StageClock
from llava_eval.results.formatting import printable
from llava_eval.scoring.judge.judge import read_judge_key
from llava_eval.types import Clip, Media


def dry_run(composed: ComposedConfig) -> str:
    """Read the rows, look for media and checkpoint, and make the first prompt.

    Args:
        composed: of the run.

    Returns:
        What was seen, for people: how much there is to do, the first media with the frames that
        are taken of them, and the prompt as the model will read it.

    Raises:
        LlavaEvalError: what would end the run before its first answer.
    """
    config = composed.config
    benchmark = Benchmark.read(composed, StageClock())
    if benchmark.parts.judge is not None:
        read_judge_key(benchmark.parts.judge)
    check_media_files(benchmark.samples, config.benchmark)
    plan = plan_model(config, Needs.of(benchmark.samples))
    settings = PromptSettings.of(config)
    groups = media_groups(benchmark.samples)
    batch_size = config.runner.batch_size
    content = decode_group(groups[0], settings.policy, None)
    sample = groups[0].samples[0]
    preview = preview_prompts(plan, config)
    title, prompt = "its prompt, which the server puts into the conversation", sample.prompt
    if preview is not None:
        shown = content.prepared(preview.prepare)
        prompt, num_tokens = preview.prompt(request_of(sample, shown, settings))
        title = f"its prompt, as the model reads it: {num_tokens} tokens with those of the media"
    lines = [
        printable(benchmark.label),
        f"model: {printable(config.model.name or Path(config.model.checkpoint).name)}",
        f"{len(benchmark.samples)} questions on {len(groups)} sets of media"
        + (
            f", in {len(plan_batches(groups, batch_size))} batches of at most {batch_size}"
            if batch_size
            else ", in batches of a size that is found"
        ),
        "",
        f"first sample: {printable(sample.id)}",
        *(f"  {line}" for medium, clip in content.media.items() for line in _shown(medium, clip)),
        "",
        title,
        *(f"  {printable(line)}" for line in prompt.splitlines()),
    ]
    return "\n".join(lines)


def _shown(medium: Media, clip: Clip) -> Iterator[str]:
    height, width = clip.frames.shape[-2:]
    size = f"{width} x {height} pixels"
    yield printable(f"{medium.kind} {medium.name}: {size}")
    if medium.kind == "video":
        times = ", ".join(f"{seconds:.2f}" for seconds in clip.pts_seconds)
        yield f"frames {', '.join(map(str, clip.frame_indices))} of {clip.num_source_frames}"
        yield f"at {times} s"
    for problem in clip.problems:
        yield printable(f"{problem.kind}: {problem.detail}")
