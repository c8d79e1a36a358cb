"""From samples to their results: media are decoded ahead, requests go to the model in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llava_eval.errors import MediaError
from llava_eval.job import Job
from llava_eval.turns import PreparedPieces, Turn, frames_shown, prepare_pieces
from llava_eval.types import Generation, Media, Request, Sample, SampleResult, prompt_text

if TYPE_CHECKING:
    from llava_eval.models.runner import ModelRunner


def generate(job: Job, pending: Sequence[Sample], runner: ModelRunner) -> Iterator[SampleResult]:
    """Yield a result for every sample, batch by batch."""
    samples = {sample.id: sample for sample in pending}
    for requests, failures in _request_batches(job, pending, runner):
        for sample, error in failures:
            yield job.evaluation.result(sample, Generation(text=None, error=error))
        for request, generation in runner.generate(requests):
            sample = samples[request.id]
            yield job.evaluation.result(
                sample, generation, frames_shown(sample, request), prompt_text(request.content)
            )


def _request_batches(
    job: Job, pending: Sequence[Sample], runner: ModelRunner
) -> Iterator[tuple[list[Request], list[tuple[Sample, str]]]]:
    """Yield requests in batches, with the samples whose media could not be read.

    Each group of samples with the same media is decoded and preprocessed once, ahead of the model,
    and stays together.
    """
    from llava_eval.video import decode_ahead, read_media
    from llava_eval.video.frame_cache import FrameCache, default_store

    config = job.composed.config

    resize = runner.frame_preprocessor
    kept = None if resize is None else FrameCache(default_store(), resize.prepare, resize.key)

    def prepare(group: _MediaGroup) -> PreparedPieces:
        # Late pieces show frames as images, which a processor treats in another way.
        cache = None if any(sample.late_pieces for sample in group.samples) else kept
        return prepare_pieces(
            group.samples,
            lambda medium: read_media(medium, job.policy, cache=cache),
            lambda kind, clip: runner.prepare(
                kind, clip, is_resized=cache is not None and kind == "video"
            ),
        )

    outcomes = decode_ahead(
        _media_groups(pending),
        prepare,
        num_workers=config.runner.decode_workers,
        max_pending=2 * config.runner.decode_workers,
        timeout_seconds=config.runner.decode_timeout_seconds,
    )
    requests: list[Request] = []
    failures: list[tuple[Sample, str]] = []
    while True:
        with job.clock.stage("decode_wait"):
            outcome = next(outcomes, None)
        if outcome is None:
            break
        group = outcome.item
        if outcome.error is not None:
            if not isinstance(outcome.error, MediaError):
                raise outcome.error
            failures += [(sample, f"MediaError: {outcome.error}") for sample in group.samples]
            continue
        if requests and len(requests) + len(group.samples) > runner.batch_size:
            yield requests, failures
            requests, failures = [], []
        prepared = outcome.unwrap()
        requests += [_request(job, sample, prepared.turn(sample)) for sample in group.samples]
    yield requests, failures


@dataclass(frozen=True)
class _MediaGroup:
    """Samples that show the same media."""

    media: tuple[Media, ...]
    samples: tuple[Sample, ...]

    @property
    def path(self) -> str:
        """Its name in messages."""
        return ", ".join(medium.path for medium in self.media) or "no media"


def _media_groups(samples: Iterable[Sample]) -> list[_MediaGroup]:
    members: dict[tuple[Media, ...], list[Sample]] = {}
    for sample in samples:
        members.setdefault(sample.media, []).append(sample)
    return [_MediaGroup(media, tuple(group)) for media, group in members.items()]


def _request(job: Job, sample: Sample, turn: Turn) -> Request:
    benchmark = job.composed.config.benchmark
    return Request(
        id=sample.id,
        content=turn,
        settings=job.settings,
        system=benchmark.system,
        assistant_prefill=benchmark.assistant_prefill,
    )
