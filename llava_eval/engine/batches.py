"""From samples to what a model answered: the steps of every engine, joined in the plain order.

    samples -> groups with the same media -> batches of groups   (decided before anything runs)
    group -> decoded pieces                                      (any process, ahead of the model)
    batch of decoded groups -> requests -> answers               (where the model is)

Each step takes and returns values that can be pickled. Batches do not depend on who works on them
or when, so every engine runs the same forward passes.


From decoded media to what the user's turn of each sample holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llava_eval.types import (
    Clip,
    Generation,
    GenerationSettings,
    LatePiece,
    Media,
    MediaKind,
    Request,
    Sample,
    ShownMedia,
    prompt_text,
)

if TYPE_CHECKING:
    from llava_eval.models.base import Runner
    from llava_eval.models.local.media import FramePreprocessor
    from llava_eval.video.cache import FrameCache
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
    from llava_eval.video.cache import FrameCache, default_store

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


#: Pieces of a user's turn as the model runner takes them.
Turn = tuple[str | ShownMedia, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPieces:
    """What samples that need the same media share.

    Attributes:
        media: the media that are shown as they are.
        late: what the late pieces became.
    """

    media: Mapping[Media, ShownMedia]
    late: Mapping[LatePiece, Turn]

    def turn(self, sample: Sample) -> Turn:
        """Return the user's turn of a sample, neighbouring texts joined."""
        pieces: list[str | ShownMedia] = []
        for piece in sample.content:
            if isinstance(piece, str):
                pieces.append(piece)
            elif isinstance(piece, Media):
                pieces.append(self.media[piece])
            else:
                pieces += self.late[piece]
        return _joined(pieces)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPieces:
    """What samples that need the same media share, before any model has seen it; picklable.

    Attributes:
        media: frames of the media that are shown as they are.
        late: what the late pieces became; each clip is one image.
    """

    media: Mapping[Media, Clip]
    late: Mapping[LatePiece, tuple[str | Clip, ...]]

    def prepared(self, prepare: Callable[[MediaKind, Clip], ShownMedia]) -> PreparedPieces:
        """Return the pieces as a model takes them, each clip preprocessed once."""
        return PreparedPieces(
            {medium: prepare(medium.kind, clip) for medium, clip in self.media.items()},
            {
                piece: tuple(
                    one if isinstance(one, str) else prepare("image", one) for one in expanded
                )
                for piece, expanded in self.late.items()
            },
        )


def decode_pieces(samples: Iterable[Sample], read: Callable[[Media], Clip]) -> DecodedPieces:
    """Decode the media of samples, each once, and expand their late pieces.

    Args:
        samples: that need the same media.
        read: decodes the frames of a medium.

    Raises:
        MediaError: a medium, or a file that a late piece needs, cannot be read.
    """
    members = list(samples)
    clips = {medium: read(medium) for medium in dict.fromkeys(m for s in members for m in s.media)}
    shown = {piece for sample in members for piece in sample.content if isinstance(piece, Media)}
    late = dict.fromkeys(piece for sample in members for piece in sample.late_pieces)
    return DecodedPieces(
        {medium: clip for medium, clip in clips.items() if medium in shown},
        {piece: tuple(piece.expand(clips[piece.media])) for piece in late},
    )


def frames_shown(sample: Sample, request: Request) -> tuple[tuple[int, ...], ...]:
    """Return for each medium of a sample the numbers of the frames that were shown.

    Frames of a video that a late piece shows as images of their own stand together.
    """
    shown = tuple(medium.frame_indices for medium in request.media)
    if len(shown) != len(sample.media) and len(sample.media) == 1:
        return (tuple(index for indices in shown for index in indices),)
    return shown


def _joined(pieces: Iterable[str | ShownMedia]) -> Turn:
    """Join neighbouring texts: chat templates put something between two."""
    joined: list[str | ShownMedia] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)
