"""Measures a server's tokens per frame before a run, with generated clips.

A server may silently drop frames: vLLM keeps 32 of a video by default. Its count of the prompt's
tokens reveals this, because every frame costs tokens.
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

#: The question about a numbered clip; the answer is not used.
QUESTION = "Which numbers do the frames show?"

#: A longer text, to measure the tokens per word: not every server counts the words of a text.
LONG_QUESTION = " ".join([QUESTION] * 8)

#: Numbers of frames of three clips in even steps, the longest over 32; then shorter clips for a
#: server that refuses so many with an error, because of its context length or a limit on images.
LENGTHS = ((8, 24, 40), (8, 16, 24), (2, 4, 6))

#: Relative tolerance between two equal steps: some models write timestamps between frames.
_TOLERANCE = 0.25

#: Frames of a video or a trial: their number, and their (height, width) in pixels.
Frames = tuple[int, tuple[int, int]]

#: Smallest share of a trial's tokens that a prompt with the same frames must have: some models
#: write timestamps between frames, whose lengths differ.
_LEAST_SHARE = 0.9

#: A trial with at least this many frames is also used for fewer frames: a model that merges two
#: frames in time counts an odd frame as two, an error of at most a tenth for this number.
_FEWEST_TO_SHARE = 10

#: If large frames cost less than this share of the tokens expected from their area, the model
#: makes them smaller.
_SMALLER = 0.75

#: (height, width) in pixels at which models with size-dependent tokens use the fewest.
SMALL = (64, 64)
#: Another size and shape: if the number of tokens is the same, it does not depend on the size.
LARGE = (252, 448)


@dataclass(frozen=True)
class FrameCost:
    """Tokens that a video's frames cost, according to a server's count of prompt tokens.

    Attributes:
        per_frame: additional tokens for each frame of size ``SMALL``.
        others: tokens of a trial without its frames.
        is_constant: frames of another size and shape cost the same.
        per_word: additional tokens for each word of a simple text.
        num_proven: largest number of frames that was tried.
        per_large: tokens of each frame of size ``LARGE``.
        clips: tokens of trials with frames in the run's own sizes, if the size matters.
    """

    per_frame: float
    others: float
    is_constant: bool
    per_word: float
    num_proven: int
    per_large: float | None = None
    clips: Mapping[Frames, float] = field(default_factory=dict)

    def least_tokens(self, num_frames: int, num_words: int, slack: float) -> int:
        """Return the minimum number of tokens of a prompt in which the model sees all frames.

        Each word counts half of the tokens of a simple word. The prompt's other tokens are not
        known here, so the result is too low by some tens of tokens.

        Args:
            num_frames: number of frames of all videos.
            num_words: number of words of the text, separated by white space.
            slack: share of the measured tokens to require, if they depend on a frame's size.
        """
        if self.is_constant:
            return int(self.per_frame * num_frames + self.per_word * num_words / 2)
        return round(slack * self.per_frame * num_frames)

    def least_tokens_of(self, videos: Sequence[Frames], num_words: int) -> int | None:
        """Return the minimum number of tokens of a prompt, from trials with frames of its size.

        Args:
            videos: videos in the prompt.
            num_words: number of words of the text, separated by white space.

        Returns:
            The number; None if there was no such trial.
        """
        tokens = [count for count in map(self.tokens_of, videos) if count is not None]
        if len(tokens) < len(videos):
            return None
        return int(_LEAST_SHARE * sum(tokens) + self.per_word * num_words / 2)

    def tokens_of(self, video: Frames) -> float | None:
        """Return the cost of frames, from a trial with at least as many frames of the same size.

        Except for one frame at the end, no model uses fewer tokens per frame for fewer frames, so a
        proportional share of a longer trial's tokens is a lower bound.

        Args:
            video: the frames.

        Returns:
            The number of tokens; None if there was no such trial.
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
        """Return whether frames of a tried size cost less than their area implies."""
        num_frames, (height, width) = video
        if self.per_large is None or video not in self.clips:
            return False
        by_area = num_frames * self.per_large * height * width / (LARGE[0] * LARGE[1])
        return self.clips[video] < _SMALLER * by_area

    def proven(self, num_frames: int, num_tokens: int) -> FrameCost:
        """Return the frame cost after a trial with another number of frames.

        Args:
            num_frames: number of frames in the trial.
            num_tokens: number of tokens of its prompt.

        Raises:
            FramesMissingError: frames are missing.
        """
        expected = self.others + self.per_frame * num_frames
        if num_tokens < expected - self.per_frame / 2:
            raise FramesMissingError((num_frames,), (num_tokens,), f"{expected:.0f}")
        return replace(self, num_proven=max(self.num_proven, num_frames))


class FramesMissingError(Exception):
    """A server's token counts do not grow with the frames as they should.

    Attributes:
        is_constant: the counts do not grow at all.
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
    """Return a clip whose frames show their numbers, so that all differ.

    Args:
        num_frames: number of frames.
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
    """Return the first of :data:`LENGTHS` that the server accepts, and its counts."""
    count_once = functools.cache(count_tokens)

    def counts(lengths: tuple[int, ...]) -> list[int]:
        return [count_once(length, SMALL, QUESTION) for length in lengths]

    *longer, shortest = LENGTHS
    for lengths in longer:
        with contextlib.suppress(RejectedError):  # too many frames for the server
            return lengths, counts(lengths)
    return shortest, counts(shortest)


def measure_frame_cost(
    count_tokens: Callable[[int, tuple[int, int], str], int], num_frames: int | None = None
) -> FrameCost:
    """Measure the cost of a video's frames.

    Args:
        count_tokens: returns the server's count for a prompt with a number of frames, their size,
            and a question.
        num_frames: number of frames that the run shows of each video, if known; it is tried too.

    Raises:
        FramesMissingError: the prompt does not grow evenly with the frames.
        RequestError: the server returns no count.
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
    except RejectedError:  # too large for the server
        pass
    more_words = len(LONG_QUESTION.split()) - len(QUESTION.split())
    more_tokens = count_tokens(lengths[0], SMALL, LONG_QUESTION) - short
    per_word = max(0.0, more_tokens / more_words)
    cost = FrameCost(per_frame, others, is_constant, per_word, lengths[2], per_large)
    if num_frames is None or num_frames <= cost.num_proven:
        return cost
    try:
        return cost.proven(num_frames, count_tokens(num_frames, SMALL, QUESTION))
    except RejectedError:  # refused with an error, which the run's own questions will get too
        return cost
