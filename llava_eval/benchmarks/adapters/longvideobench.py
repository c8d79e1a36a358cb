"""LongVideoBench (arXiv 2407.15754): frames and subtitle lines in the order of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from llava_eval.benchmarks.adapters.options import multiple_choice
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.subtitles import Cue
from llava_eval.borders.json_text import load_json
from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, Sample

#: Column that lists the options in the data set's own JSON files.
_CANDIDATES = "candidates"


def longvideobench(
    row: Row,
    *,
    media: list[str],
    prompt: str,
    option_columns: list[str],
    subtitles: str | None = None,
    max_frames: int = 16,
) -> Sample:
    """Make a sample; with ``subtitles``, frames and subtitle lines are in the order of time.

    Real row, shortened: ``{"id": "86CxyhFV9MI_0", "video_path": "86CxyhFV9MI.mp4", "question": "In
    the video, which subtitles appear at the same time as the man with black hair ...?", "option0":
    "promisc has come to an end, in and run away countless times, was just scared, i still",
    "option1": ..., "option4": "N/A", "correct_choice": 1, "duration": 190.16, "duration_group":
    600, "question_category": "TOS", "subtitle_path": "86CxyhFV9MI_en.json",
    "starting_timestamp_for_subtitles": 0}``. The test split has no correct_choice. The files
    lvb_val.json and lvb_test_wo_gt.json have a list ``candidates`` instead of option columns.

    Args:
        row: the row.
        media: templates of the video file.
        prompt: template of the user's text, with ``{question}`` and ``{options}``.
        option_columns: the columns of the options; "N/A" means no option.
        subtitles: template of the subtitle file; null shows the video as it is.
        max_frames: the most frames that the sampler returns.
    """
    is_listed = row.optional(_CANDIDATES) is not None
    sample = multiple_choice(
        row,
        id="{id}",
        group="{video_path}",
        media=media,
        question="{question}",
        options=_CANDIDATES if is_listed else None,
        option_columns=None if is_listed else option_columns,
        option_padding="N/A",
        answer="{correct_choice}",
        answer_form="index",
        hidden_answers=True,
        prompt=prompt,
    )
    if subtitles is None:
        return sample
    duration_seconds = row.number_of("duration")
    in_order = FramesAndSubtitles(
        # the reference's loader samples by the row's duration
        media=dataclasses.replace(sample.media[0], stated_seconds=duration_seconds),
        path=row.media_path([subtitles]),
        duration_seconds=duration_seconds,
        starting_seconds=row.number_of("starting_timestamp_for_subtitles"),
        max_frames=max_frames,
    )
    return dataclasses.replace(sample, content=(in_order, *sample.content[1:]))


@dataclass(frozen=True, slots=True)
class FramesAndSubtitles:
    """Each frame as an image, and between them the subtitle lines that are shown at a frame.

    Frames have nominal times: in videos of more than ``max_frames`` seconds the duration divided by
    the number of frames apart, else one second. A line is shown if a frame is strictly inside its
    time, extended to at least a second; it comes after the frames up to its middle.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/longvideobench/utils.py, compute_frame_timestamps and
    insert_subtitles_into_frames.

    Attributes:
        media: the video.
        path: its subtitle file, a JSON list.
        duration_seconds: the duration that the data set states.
        starting_seconds: the time in the subtitles at which the video begins.
        max_frames: the most frames that the sampler returns.
    """

    media: Media
    path: str
    duration_seconds: float
    starting_seconds: float
    max_frames: int

    @property
    def description(self) -> str:
        cut = f"{self.duration_seconds:g} s from {self.starting_seconds:g} s"
        return f"frames with the subtitles of {PurePath(self.path).name}, {cut}"

    def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
        """Return frames and lines; every line ends in a line break.

        Raises:
            MediaError: the subtitle file cannot be read.
        """
        times = self._frame_times(len(clip))
        pieces: list[str | Clip] = []
        num_placed = 0
        for line in self._lines():
            middle = (line.start + line.end) / 2
            while num_placed < len(times) and times[num_placed] <= middle:
                pieces.append(clip.frame(num_placed))
                num_placed += 1
            long_enough = line.end - line.start >= 1
            start = line.start if long_enough else middle - 0.5
            end = line.end if long_enough else middle + 0.5
            if any(start < time < end for time in times):
                pieces.append(f"{line.text}\n")
        pieces += [clip.frame(index) for index in range(num_placed, len(times))]
        return tuple(pieces)

    def _frame_times(self, num_frames: int) -> Sequence[float]:
        if self.duration_seconds > self.max_frames:
            return [self.duration_seconds / num_frames * index for index in range(num_frames)]
        return range(num_frames)

    def _lines(self) -> Iterator[Cue]:
        path = Path(self.path)
        try:
            entries = load_json(path, list)
            for entry in entries:
                yield self._line(entry)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise MediaError(
                f"{path}: the subtitles cannot be read: {type(error).__name__}: {error}"
            ) from error

    def _line(self, entry: Mapping[str, Any]) -> Cue:
        if "timestamp" in entry:
            start, end = entry["timestamp"]
            # A line whose end is missing (or written without a fraction) lasts to the end.
            end = end if isinstance(end, float) else self.duration_seconds
            text = entry["text"]
        else:
            start, end, text = _seconds(entry["start"]), _seconds(entry["end"]), entry["line"]
        return Cue(start - self.starting_seconds, end - self.starting_seconds, str(text))


def _seconds(written: str) -> float:
    hours, minutes, seconds = written.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
