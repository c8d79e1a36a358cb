"""What a server makes of videos: tried before a run, with clips that nobody has to decode.

A server may keep fewer frames than it is sent, and say nothing: vLLM keeps 32 unless it is told
otherwise. Its count of the prompt's tokens shows it, for every frame costs tokens.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from llava_eval.models.chat_client import RejectedError
from llava_eval.types import Clip

#: What is asked of a numbered clip; nobody reads the answer.
QUESTION = "Which numbers do the frames show?"

#: The same at greater length: not every server counts the words of a text.
LONG_QUESTION = " ".join([QUESTION] * 8)

#: Numbers of frames of three clips in even steps, most of them over 32; and shorter ones for a
#: server that refuses so many openly, because its context is short or its images are limited.
LENGTHS = ((8, 24, 40), (8, 16, 24), (2, 4, 6))

#: Two steps of as many frames may differ by so much: some models write times between frames.
_TOLERANCE = 0.25

#: Frames of a video or a trial: how many, and their height and width in pixels.
Frames = tuple[int, tuple[int, int]]

#: Share of a trial's tokens that a prompt with the same frames has at least: some models write
#: times between frames, whose digits differ.
_LEAST_SHARE = 0.9

#: Fewest frames of a trial that tells of fewer: a model that merges two frames in time counts an
#: odd one as two, which is at most a tenth of so many.
_FEWEST_TO_SHARE = 10

#: A model that costs less for large frames than by this share of their area makes them smaller.
_SMALLER = 0.75

#: Height and width in pixels: models whose tokens depend on it use their fewest for so small ones.
SMALL = (64, 64)
#: Of other size and shape: a model that counts as many tokens for these does so for any.
LARGE = (252, 448)


@dataclass(frozen=True)
class FrameCost:
    """What frames of a video cost by a server's count of a prompt's tokens.

    Attributes:
        per_frame: tokens that a prompt grows by with each frame, of size ``SMALL``.
        others: tokens of a trial beside its frames.
        is_constant: frames of another size and shape cost as much.
        per_word: tokens that a prompt grows by with each word of a simple text.
        num_proven: most frames that were tried.
        per_large: tokens of each frame of size ``LARGE``.
        clips: tokens of frames as the run shows them, where their size matters.
    """

    per_frame: float
    others: float
    is_constant: bool
    per_word: float
    num_proven: int
    per_large: float | None = None
    clips: Mapping[Frames, float] = field(default_factory=dict)

    def least_tokens(self, num_frames: int, num_words: int, slack: float) -> int:
        """Return how many tokens a prompt has at least, in which the model sees all frames.

        A word of any text costs half of a simple one or more. What else a prompt holds is not known
        here, so that this is short of what it has by some tens of tokens.

        Args:
            num_frames: of all videos.
            num_words: of the text, between white space.
            slack: share of the measured tokens, where they depend on the size of a frame.
        """
        if self.is_constant:
            return int(self.per_frame * num_frames + self.per_word * num_words / 2)
        return round(slack * self.per_frame * num_frames)

    def least_tokens_of(self, videos: Sequence[Frames], num_words: int) -> int | None:
        """Return how many tokens a prompt has at least by trials with frames of its own size.

        Args:
            videos: that the prompt shows.
            num_words: of the text, between white space.

        Returns:
            None where there was no such trial.
        """
        tokens = [count for count in map(self.tokens_of, videos) if count is not None]
        if len(tokens) < len(videos):
            return None
        return int(_LEAST_SHARE * sum(tokens) + self.per_word * num_words / 2)

    def tokens_of(self, video: Frames) -> float | None:
        """Return what frames cost by the trial that showed as many of their size, or more.

        No model gives a frame fewer tokens where it sees fewer of them, but for one at the end, so
        a share of a long trial's is the least that a shorter video has.

        Args:
            video: the frames.

        Returns:
            None where no trial of that size tells.
        """
        num_frames, size = video
        if video in self.clips:
            return self.clips[video]
        enough = max(num_frames, _FEWEST_TO_SHARE)
        longer = [number for number, other in self.clips if other == size and number >= enough]
        if not longer:
            return None
        shortest = min(longer)
        return self.clips[shortest, size] * num_frames / shortest

    def makes_smaller(self, video: Frames) -> bool:
        """Return whether frames cost less than by their area, of a size that was tried."""
        num_frames, (height, width) = video
        if self.per_large is None or video not in self.clips:
            return False
        by_area = num_frames * self.per_large * height * width / (LARGE[0] * LARGE[1])
        return self.clips[video] < _SMALLER * by_area

    def proven(self, num_frames: int, num_tokens: int) -> FrameCost:
        """Return the cost with one more number of frames tried.

        Args:
            num_frames: that a trial showed.
            num_tokens: of its prompt.

        Raises:
            FramesMissingError: some frames are missing.
        """
        expected = self.others + self.per_frame * num_frames
        if num_tokens < expected - self.per_frame / 2:
            raise FramesMissingError((num_frames,), (num_tokens,), f"{expected:.0f}")
        return replace(self, num_proven=max(self.num_proven, num_frames))


class FramesMissingError(Exception):
    """A server whose prompts do not grow with the frames as they should.

    Attributes:
        is_constant: they do not grow at all.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        counts: Sequence[int],
        expected: str = "each added frame to add equally many tokens",
    ) -> None:
        frames, tokens = (", ".join(map(str, values)) for values in (lengths, counts))
        super().__init__(f"prompts with {frames} frames count {tokens} tokens, expected {expected}")
        self.is_constant = len(set(counts)) == 1


def numbered_clip(num_frames: int, size: tuple[int, int] = SMALL) -> Clip:
    """Return a clip whose frames show their numbers, so that no two are the same.

    Args:
        num_frames: how many.
        size: height and width in pixels.
    """
    from PIL import Image, ImageDraw

    height, width = size
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    for number in range(num_frames):
        image = Image.new("RGB", (width, height), (4 * number % 256, 96, 160))
        ImageDraw.Draw(image).text((width // 3, height // 3), str(number), fill="white")
        frames[number] = np.asarray(image)
    return Clip(
        torch.from_numpy(frames).permute(0, 3, 1, 2),  # (N, 3, H, W)
        tuple(range(num_frames)),
        tuple(map(float, range(num_frames))),
        fps=1.0,
        num_source_frames=num_frames,
    )


def _first_counts(
    count_tokens: Callable[[int, tuple[int, int], str], int],
) -> tuple[tuple[int, ...], list[int]]:
    """Return the first of :data:`LENGTHS` that the server takes, and its count for each."""
    count_once = functools.cache(count_tokens)

    def counts(lengths: tuple[int, ...]) -> list[int]:
        return [count_once(length, SMALL, QUESTION) for length in lengths]

    *longer, shortest = LENGTHS
    for lengths in longer:
        with contextlib.suppress(RejectedError):  # too many for it
            return lengths, counts(lengths)
    return shortest, counts(shortest)


def measure_frame_cost(
    count_tokens: Callable[[int, tuple[int, int], str], int], num_frames: int | None = None
) -> FrameCost:
    """Return what each frame of a video costs.

    Args:
        count_tokens: returns the server's count for a prompt with so many frames of a size, and a
            question.
        num_frames: that the run shows of each video, where that is known; tried too.

    Raises:
        FramesMissingError: the prompt does not grow evenly with the frames.
        RequestError: there is no count.
    """
    lengths, (short, middle, long) = _first_counts(count_tokens)
    per_frame = (middle - short) / (lengths[1] - lengths[0])
    is_even = abs((long - middle) - (middle - short)) <= _TOLERANCE * (middle - short)
    if per_frame <= 0 or not is_even or short < (1 - _TOLERANCE) * lengths[0] * per_frame:
        raise FramesMissingError(lengths, (short, middle, long))
    others = long - per_frame * lengths[2]
    per_large, is_constant = None, False
    try:
        large = count_tokens(lengths[0], LARGE, QUESTION)
        per_large, is_constant = (large - others) / lengths[0], large == short
    except RejectedError:  # too large for it
        pass
    more_words = len(LONG_QUESTION.split()) - len(QUESTION.split())
    more_tokens = count_tokens(lengths[0], SMALL, LONG_QUESTION) - short
    per_word = max(0.0, more_tokens / more_words)
    cost = FrameCost(per_frame, others, is_constant, per_word, lengths[2], per_large)
    if num_frames is None or num_frames <= cost.num_proven:
        return cost
    try:
        return cost.proven(num_frames, count_tokens(num_frames, SMALL, QUESTION))
    except RejectedError:  # openly refused, as the run's own questions will be
        return cost
