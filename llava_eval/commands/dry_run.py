"""The dry run of a configuration: everything except loading the model's weights."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llava_eval.borders.paths import local_path
from llava_eval.config.choices import listing
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.roles import differences, flat, short_keys
from llava_eval.engine.batches import (
    GroupContent,
    MediaGroup,
    decode_group,
    media_groups,
    placeholder,
    plan_batches,
)
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.engine.preflight import check_before_loading
from llava_eval.errors import RunDirectoryError
from llava_eval.models.backend import Needs
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import plan_model
from llava_eval.results import files
from llava_eval.results.cost import Cost, cost_of
from llava_eval.results.directory import RUNS_ROOT
from llava_eval.results.formatting import count, duration, formatted, printable
from llava_eval.results.manifest import Manifest, read_manifest
from llava_eval.types import Clip, Media

log = logging.getLogger(__name__)


def dry_run(composed: ComposedConfig) -> str:
    """Read the rows, check media and checkpoint, and make the first prompt.

    Args:
        composed: the run's configuration.

    Returns:
        A report for people: the amount of work, the first sample's media with the frames that are
        shown, and its prompt as the model will read it.

    Raises:
        LlavaEvalError: for anything that would end the run before its first answer.
    """
    config = composed.config
    benchmark = Benchmark.read(composed, StageClock())
    directory = local_path(config.output_dir or ".")
    check_before_loading(config, benchmark.samples, benchmark.parts.judge, directory)
    groups = media_groups(benchmark.samples)
    batch_size = config.runner.batch_size
    num_batches = len(plan_batches(groups, batch_size)) if batch_size else 0
    asked = asked_of(benchmark)
    lines = [
        printable(benchmark.label),
        f"model: {printable(config.model.short_name)}",
        f"{count(len(benchmark.samples), 'question')} on {count(len(groups), 'set')} of media"
        + (
            f", in {num_batches} batch{'es' if num_batches > 1 else ''} of at most {batch_size}"
            if batch_size
            else ", in batches of a size that is found"
        ),
        _decoding_time(groups, benchmark),
        _model_time(composed, len(benchmark.samples)),
        "",
        f"first sample: {printable(benchmark.samples[0].id)}",
        *asked.lines,
    ]
    return "\n".join(lines)


def _decoding_time(groups: Sequence[MediaGroup], benchmark: Benchmark) -> str:
    """Return a line that estimates the time to read all media, from the first group's time."""
    workers = benchmark.config.runner.decode_workers
    start = time.perf_counter()
    decode_group(groups[0], benchmark.parts.prompts.sampler, None)
    seconds = (time.perf_counter() - start) * len(groups) / workers
    by = count(workers, "worker")
    return f"reading all media takes about {duration(seconds)} with {by}, by the first"


def _model_time(composed: ComposedConfig, num_samples: int) -> str:
    """Return a line that estimates the model's time, from its most similar earlier run."""
    runs = list(_timed_runs(composed))
    if not runs:
        return (
            "how long the model takes is not known: there is no earlier run of it; a run with "
            "benchmark.limit=20 measures it"
        )
    is_other, differing, path, cost = min(runs, key=lambda run: (run[0], len(run[1])))
    difference = f"other {listing(differing)}" if differing else ""
    facts = (cost.machine, "another benchmark" if is_other else difference)
    beside = ", ".join(printable(text) for text in facts if text)
    seconds = cost.model_seconds_per_sample or 0.0
    return (
        f"the model takes about {duration(seconds * num_samples)} on one device: "
        f"{formatted(seconds, '.2g')} s a sample in {printable(str(path))}"
        + (f" ({beside})" if beside else "")
    )


def _timed_runs(composed: ComposedConfig) -> Iterator[tuple[bool, list[str], Path, Cost]]:
    """Yield earlier runs of the model: other benchmark?, differing settings, directory, cost."""
    ours, named = flat(composed.resolved), composed.config.output_dir
    beside_it = local_path(named).parent.glob(f"*/{files.MANIFEST}") if named else ()
    for path in sorted({*RUNS_ROOT.rglob(files.MANIFEST), *beside_it}):
        with contextlib.suppress(RunDirectoryError):  # skip damaged runs
            manifest = read_manifest(path.parent) or Manifest()
            theirs, cost = flat(manifest.config), cost_of(manifest, [])
            is_same_model = all(
                theirs.get(key) == ours.get(key) for key in ("model.checkpoint", "model._target_")
            )
            if is_same_model and cost.model_seconds_per_sample:
                names = list(short_keys(differences([composed.resolved, manifest.config])))
                is_other = theirs.get("benchmark.name") != ours.get("benchmark.name")
                yield is_other, names, path.parent, cost


@dataclass(frozen=True)
class Asked:
    """A sample's prompt and media as the model receives them.

    Attributes:
        media: the media of the sample's turn, each with the frames that are shown.
        prompt: the text that the model reads; for a served model the user's text.
        tokens: the prompt's tokens, those of media included; None for a served model.
    """

    media: Mapping[Media, Clip]
    prompt: str
    tokens: Sequence[str] | None

    @property
    def num_tokens(self) -> int | None:
        """Number of tokens of the prompt; None for a served model."""
        return None if self.tokens is None else len(self.tokens)

    @property
    def lines(self) -> list[str]:
        """Media and prompt as lines for people."""
        title = "its prompt, which the model puts into its conversation"
        if self.num_tokens is not None:
            title = f"its prompt, as the model reads it: {self.num_tokens} tokens with those of the"
            title += " media"
        return [
            *(f"  {line}" for medium, clip in self.media.items() for line in _shown(medium, clip)),
            "",
            title,
            *(f"  {printable(line)}" for line in self.prompt.splitlines()),
        ]


def asked_of(benchmark: Benchmark) -> Asked:
    """Decode the media of a benchmark's first sample and make its prompt, without loading weights.

    Args:
        benchmark: the benchmark, with a run's configuration.

    Raises:
        LlavaEvalError: media or checkpoint cannot be read.
    """
    config, settings, sample = benchmark.config, benchmark.parts.prompts, benchmark.samples[0]
    plan = plan_model(config, Needs.of([sample]))
    # also of videos whose frames become images in the prompt
    clips = decode_group(MediaGroup((sample,)), settings.sampler, None)
    if not config.model.is_loaded:
        GroupContent.of([sample], clips, placeholder)  # reads the subtitles, which may be damaged
        return Asked(clips, sample.prompt, None)
    from llava_eval.models.local.plan import ModelPlan
    from llava_eval.models.local.prepared_media import shown_medium
    from llava_eval.models.local.prompt import preview_prompt

    assert isinstance(plan, ModelPlan)
    if plan.memory_warning is not None:
        log.warning(plan.memory_warning)
    prepare = partial(shown_medium, as_images=plan.shows_images)
    request = GroupContent.of([sample], clips, prepare).request(sample, settings)
    return Asked(clips, *preview_prompt(plan, config.conversation, request))


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
