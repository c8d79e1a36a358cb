"""From samples to what a model answered: the steps of every engine, joined in the plain order.

    samples -> groups with the same media -> batches of groups   (decided before anything runs)
    group -> decoded pieces                                      (any process, ahead of the model)
    batch of decoded groups -> requests -> answers               (where the model is)

Each step takes and returns values that can be pickled. Batches do not depend on who works on them
or when, so every engine runs the same forward passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llava_eval.turns import PreparedPieces, Turn, decode_pieces, frames_shown
from llava_eval.types import (
    Generation,
    GenerationSettings,
    Media,
    Request,
    Sample,
    prompt_text,
)

if TYPE_CHECKING:
    from llava_eval.models.backend import Runner
    from llava_eval.models.pixels import FramePreprocessor
    from llava_eval.turns import DecodedPieces
    from llava_eval.video.frame_cache import FrameCache
    from llava_eval.video.media import Policy


@dataclass(frozen=True)
class Asking:
    """How the questions of a run are asked.

    Attributes:
        policy: chooses the frames of a video.
        settings: of generation.
        system: system text of the protocol; None leaves the conversation's own.
        assistant_prefill: text that the assistant's turn begins with.
    """

    policy: Policy
    settings: GenerationSettings
    system: str | None
    assistant_prefill: str


@dataclass(frozen=True)
class Answer:
    """What a model made of one sample.

    Attributes:
        sample_id: the sample.
        generation: its text, or why there is none.
        frame_indices: for each medium of the sample, numbers of the frames that were shown.
        prompt: the user's text as it was asked; None where nothing was.
    """

    sample_id: str
    generation: Generation
    frame_indices: tuple[tuple[int, ...], ...] = ()
    prompt: str | None = None


@dataclass(frozen=True)
class MediaGroup:
    """Samples that show the same media."""

    media: tuple[Media, ...]
    samples: tuple[Sample, ...]

    @property
    def path(self) -> str:
        """Its name in messages."""
        return ", ".join(medium.path for medium in self.media) or "no media"

    def failed(self, error: Exception) -> list[Answer]:
        """Return the answers of samples whose media could not be read."""
        return failures(self.samples, error)


Batch = tuple[MediaGroup, ...]


def failures(samples: Iterable[Sample], error: Exception) -> list[Answer]:
    """Return answers that are this error."""
    text = f"{type(error).__name__}: {error}"
    return [Answer(sample.id, Generation(text=None, error=text)) for sample in samples]


def media_groups(samples: Iterable[Sample]) -> list[MediaGroup]:
    """Group samples by their media, in the order of first appearance."""
    members: dict[tuple[Media, ...], list[Sample]] = {}
    for sample in samples:
        members.setdefault(sample.media, []).append(sample)
    return [MediaGroup(media, tuple(group)) for media, group in members.items()]


def plan_batches(groups: Iterable[MediaGroup], batch_size: int) -> list[Batch]:
    """Put neighbouring groups together, up to so many questions; a larger group stands alone."""
    batches: list[list[MediaGroup]] = []
    num_questions = 0
    for group in groups:
        if not batches or num_questions + len(group.samples) > batch_size:
            batches.append([])
            num_questions = 0
        batches[-1].append(group)
        num_questions += len(group.samples)
    return [tuple(batch) for batch in batches]


def frame_cache(resize: FramePreprocessor | None) -> FrameCache | None:
    """Return what resizes frames and keeps them; None where the checkpoint's processor cannot.

    Args:
        resize: of the model runner.
    """
    from llava_eval.video.frame_cache import FrameCache, default_store

    return None if resize is None else FrameCache(default_store(), resize.prepare, resize.key)


def decode_group(group: MediaGroup, policy: Policy, cache: FrameCache | None) -> DecodedPieces:
    """Decode what a group shows; videos come resized where there is a cache.

    Raises:
        MediaError: something cannot be read.
    """
    from llava_eval.video import read_media

    used = None if _shows_frames_as_images(group) else cache
    return decode_pieces(group.samples, lambda medium: read_media(medium, policy, cache=used))


def prepare_group(group: MediaGroup, decoded: DecodedPieces, runner: Runner) -> PreparedPieces:
    """Preprocess what was decoded, as the model takes it."""
    is_resized = runner.frame_preprocessor is not None and not _shows_frames_as_images(group)
    return decoded.prepared(
        lambda kind, clip: runner.prepare(kind, clip, is_resized=is_resized and kind == "video")
    )


def _shows_frames_as_images(group: MediaGroup) -> bool:
    """Whether late pieces do; a processor treats images in another way than videos."""
    return any(sample.late_pieces for sample in group.samples)


def ask_batch(
    groups: Sequence[tuple[MediaGroup, PreparedPieces]], asking: Asking, runner: Runner
) -> Iterator[Answer]:
    """Yield an answer for every sample of groups that are ready."""
    samples = {sample.id: sample for group, _ in groups for sample in group.samples}
    requests = [
        _request(asking, sample, prepared.turn(sample))
        for group, prepared in groups
        for sample in group.samples
    ]
    for request, generation in runner.generate(requests):
        yield Answer(
            request.id,
            generation,
            frames_shown(samples[request.id], request),
            prompt_text(request.content),
        )


def _request(asking: Asking, sample: Sample, turn: Turn) -> Request:
    return Request(
        id=sample.id,
        content=turn,
        settings=asking.settings,
        system=asking.system,
        assistant_prefill=asking.assistant_prefill,
        options=sample.options,
    )
