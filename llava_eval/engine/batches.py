"""From samples to unscored results: the steps that every engine takes, in order.

    samples -> groups with the same media -> batches of groups   (decided before anything runs)
    group -> decoded clips                                       (any process, ahead of the model)
    batch of decoded groups -> content -> requests -> results    (in the model's process)

Samples, groups, clips and results can be pickled. Batches do not depend on which process works on
them or when, so all engines run the same forward passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from llava_eval.benchmarks.probes import probed_sampler
from llava_eval.borders.paths import reason
from llava_eval.config.build import build_target
from llava_eval.config.schema import RunConfig
from llava_eval.errors import ConfigError, MediaError
from llava_eval.scoring.choice import letters_of
from llava_eval.types import (
    Clip,
    FrameDependentPart,
    GenerationSettings,
    Media,
    MediaInput,
    MediaKind,
    Request,
    Sample,
    SampleResult,
    ServedMedia,
    ShownMedia,
    VideoInfo,
    distinct_problems,
    prompt_text,
)

if TYPE_CHECKING:
    from llava_eval.models.backend import Runner
    from llava_eval.models.local.pixels import FramePreprocessor
    from llava_eval.video.frame_cache import FrameCache
    from llava_eval.video.media import Sampler


@dataclass(frozen=True)
class PromptSettings:
    """Settings shared by all requests of a run.

    Attributes:
        sampler: chooses the frames of a video.
        generation: settings of the generation.
        system: system text of the protocol; None keeps the conversation's own.
        assistant_prefill: text with which the assistant's turn begins.
        keeps_choice_logprobs: record the log-probabilities of the options' letters.
    """

    sampler: Sampler
    generation: GenerationSettings
    system: str | None
    assistant_prefill: str
    keeps_choice_logprobs: bool = False

    @classmethod
    def of(cls, config: RunConfig) -> PromptSettings:
        """Build the settings from the configuration; every process does so for itself.

        Raises:
            ConfigError: the sampler cannot be built, or a setting is invalid.
        """
        sampler: Sampler = build_target(config.sampler, key="sampler")
        check_sampler(sampler, first_frame=0)
        benchmark, asked = config.benchmark, config.benchmark.generation
        try:
            generation = GenerationSettings(
                max_new_tokens=asked.max_new_tokens,
                temperature=asked.temperature,
                top_p=asked.top_p,
                stop_strings=tuple(asked.stop_strings),
                seed=config.seed,
            )
        except ValueError as error:
            raise ConfigError(f"benchmark.generation: {error}") from error
        return cls(
            probed_sampler(sampler, benchmark.probe),
            generation,
            benchmark.system,
            benchmark.assistant_prefill,
            config.runner.keep_choice_logprobs,
        )


def check_sampler(sampler: Sampler, *, first_frame: int) -> None:
    """Try a sampler on 100 frames: a whole video, or a cut that starts at ``first_frame``.

    Raises:
        ConfigError: it fails, or returns anything but indices of these frames.
    """
    example = VideoInfo("an example", 100, fps=10.0, seconds=10.0, width=8, height=8, codec="h264")
    example = replace(example, first_frame_index=first_frame)
    known = range(first_frame, first_frame + 100)
    try:
        indices = sampler(example)
        is_fit = all(type(index) is int and index in known for index in indices) and len(indices)
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ConfigError(f"sampler: {kind}{error}") from error
    if not is_fit:
        tried = f"a cut with first_frame_index={first_frame} and" if first_frame else "a video of"
        raise ConfigError(
            f"sampler: of {tried} 100 frames it takes {str(indices)[:80]}; expected indices from "
            f"{known[0]} to {known[-1]}, as plain int"
        )


@dataclass(frozen=True)
class MediaGroup:
    """Samples that show the same media."""

    samples: tuple[Sample, ...]

    @property
    def media(self) -> tuple[Media, ...]:
        """The media that each of the samples shows."""
        return self.samples[0].media

    @property
    def path(self) -> str:
        """The group's name in messages."""
        return ", ".join(medium.name for medium in self.media) or "no media"

    def failed(self, error: Exception) -> list[SampleResult]:
        """Return failed results for all samples, whose media could not be read."""
        return [SampleResult.failed(sample, error) for sample in self.samples]


Batch = tuple[MediaGroup, ...]


def media_groups(samples: Iterable[Sample]) -> list[MediaGroup]:
    """Group samples by their media, in the order of first appearance.

    A sample without media is a group of its own.
    """
    members: dict[tuple[Media, ...] | str, list[Sample]] = {}
    for sample in samples:
        members.setdefault(sample.media or sample.id, []).append(sample)
    return [MediaGroup(tuple(group)) for group in members.values()]


def plan_batches(groups: Iterable[MediaGroup], batch_size: int) -> list[Batch]:
    """Join neighbouring groups to batches of at most ``batch_size`` questions.

    A group with more questions than that is a batch of its own.
    """
    batches: list[list[MediaGroup]] = []
    num_questions = 0
    for group in groups:
        if not batches or num_questions + len(group.samples) > batch_size:
            batches.append([])
            num_questions = 0
        batches[-1].append(group)
        num_questions += len(group.samples)
    return [tuple(batch) for batch in batches]


@dataclass(frozen=True, slots=True, eq=False)
class GroupContent:
    """The media that the samples of a group share, prepared for the model.

    Attributes:
        samples: samples with the same media.
        media: prepared media that a turn contains as a whole.
        frame_dependent: expansion of each frame-dependent part to texts and images.
        inputs: record of what was read of each medium, and of the model's input made from it.
        frame_indices: by medium, the frames that are shown, as one medium or as single images.
    """

    samples: Sequence[Sample]
    media: Mapping[Media, ShownMedia]
    frame_dependent: Mapping[FrameDependentPart, tuple[str | ShownMedia, ...]]
    inputs: Mapping[Media, MediaInput]
    frame_indices: Mapping[Media, tuple[int, ...]]

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        clips: Mapping[Media, Clip],
        prepare: Callable[[MediaKind, Clip], ShownMedia],
    ) -> GroupContent:
        """Prepare decoded media for the model.

        Args:
            samples: samples with the same media.
            clips: the decoded clip of each medium.
            prepare: preprocesses a clip; called once for each clip.

        Raises:
            MediaError: a file that a frame-dependent part needs cannot be read.
        """
        pieces = dict.fromkeys(part for sample in samples for part in sample.frame_dependent_parts)
        try:
            expanded = {piece: piece.expand(clips[piece.media]) for piece in pieces}
        except OSError as error:  # for instance a subtitle file in a folder without permission
            raise MediaError(f"{error.filename}: {reason(error)}") from error
        whole = {part for sample in samples for part in sample.content if isinstance(part, Media)}
        media = {medium: prepare(medium.kind, clips[medium]) for medium in clips if medium in whole}
        shown = {medium: [media[medium]] if medium in media else [] for medium in clips}
        frame_dependent: dict[FrameDependentPart, tuple[str | ShownMedia, ...]] = {}
        for piece, parts in expanded.items():
            prepared = [part if isinstance(part, str) else prepare("image", part) for part in parts]
            shown[piece.media] += [part for part in prepared if not isinstance(part, str)]
            frame_dependent[piece] = tuple(prepared)
        inputs: dict[Media, MediaInput] = {}
        frame_indices: dict[Media, tuple[int, ...]] = {}
        for medium, clip in clips.items():
            items = shown[medium]
            inputs[medium] = MediaInput(
                clip.pts_seconds,
                clip.proof,
                distinct_problems(chain(clip.problems, *(item.problems for item in items))),
                _joint_digest([item.pixel_input_digest for item in items]),
            )
            # Empty if no frame is shown, or if a server chooses the frames.
            are_known = any(item.frame_indices for item in items)
            frame_indices[medium] = clip.frame_indices if are_known else ()
        return cls(samples, media, frame_dependent, inputs, frame_indices)

    def turn(self, sample: Sample) -> tuple[str | ShownMedia, ...]:
        """Return the user's turn of a sample, with neighbouring texts joined."""
        turn: list[str | ShownMedia] = []
        for piece in sample.content:
            if isinstance(piece, str):
                parts: tuple[str | ShownMedia, ...] = (piece,)
            elif isinstance(piece, Media):
                parts = (self.media[piece],)
            else:
                parts = self.frame_dependent[piece]
            for part in parts:
                # Joined, because chat templates may insert something between two texts.
                if isinstance(part, str) and turn and isinstance(turn[-1], str):
                    turn[-1] += part
                else:
                    turn.append(part)
        return tuple(turn)

    def request(self, sample: Sample, settings: PromptSettings) -> Request:
        """Return the request of a sample, with its prepared media."""
        return Request(
            id=sample.id,
            content=self.turn(sample),
            settings=settings.generation,
            system=settings.system,
            assistant_prefill=settings.assistant_prefill,
            options=sample.options,
            letters=tuple(letters_of(sample)) if settings.keeps_choice_logprobs else (),
        )


def frame_cache(resize: FramePreprocessor | None) -> FrameCache | None:
    """Return a cache of resized frames; None if the processor cannot resize frames separately.

    Args:
        resize: the model runner's frame preprocessor, if it has one.
    """
    from llava_eval.video.frame_cache import FrameCache, default_store

    return None if resize is None else FrameCache(default_store(), resize.prepare, resize.key)


def _joint_digest(digests: Sequence[str | None]) -> str | None:
    """Return a joint digest of a medium's model inputs; None if one of them is unknown."""
    known = [digest for digest in digests if digest is not None]
    if not known or len(known) < len(digests):
        return None
    if len(known) == 1:
        return known[0]
    return hashlib.blake2b("".join(known).encode(), digest_size=8).hexdigest()


def decode_group(
    group: MediaGroup, sampler: Sampler, cache: FrameCache | None
) -> dict[Media, Clip]:
    """Decode the media of a group, each medium once.

    Args:
        group: samples with the same media.
        sampler: chooses the frames of a video.
        cache: resizes and caches the frames of videos; not used if frames are shown as images.

    Raises:
        MediaError: a medium cannot be read.
    """
    from llava_eval.video import read_media

    if any(sample.frame_dependent_parts for sample in group.samples):
        cache = None  # frames are shown as images, which the processor resizes differently
    return {medium: read_media(medium, sampler, cache=cache) for medium in group.media}


def placeholder(kind: MediaKind, clip: Clip) -> ServedMedia:
    """Return a placeholder for a medium, for callers that need only the text of a prompt."""
    return ServedMedia(kind, ({},), clip.frame_indices)


def ask_batch(
    groups: Sequence[GroupContent], settings: PromptSettings, runner: Runner
) -> Iterator[SampleResult]:
    """Run the model on prepared groups, and yield an unscored result for every sample."""
    asked = {sample.id: (sample, content) for content in groups for sample in content.samples}
    requests = [content.request(sample, settings) for sample, content in asked.values()]
    for request, generation in runner.generate(requests):
        sample, content = asked[request.id]
        yield replace(
            SampleResult.of(sample, generation),
            prompt=prompt_text(request.content),
            frame_indices=tuple(content.frame_indices[medium] for medium in sample.media),
            inputs=tuple(content.inputs[medium] for medium in sample.media),
        )
