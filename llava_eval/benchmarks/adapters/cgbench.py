"""CG-Bench (arXiv 2412.12075): questions about long videos, with the intervals that answer them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from llava_eval.benchmarks.adapters.options import multiple_choice
from llava_eval.benchmarks.frame_images import FrameImages
from llava_eval.benchmarks.rows import Row, as_list
from llava_eval.benchmarks.subtitles import read_cues
from llava_eval.borders.paths import names_file
from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, Sample


def cgbench(
    row: Row, *, media: list[str], subtitles: str, instructions: dict[str, str], prompt: str
) -> tuple[Sample, ...]:
    """Make the samples of a question: one for each task.

    Row of cgbench_mini.json (CG-Bench/CG-Bench f826608): ``{"qid": 14, "video_uid": "3ZpmN3-2-Zo",
    "question": "In the video, what color is the vehicle driving from the left in the animation?",
    "answer": "White", "choices": ["Light gray", "Pale blue", "Gray", "Silver", "White", ...],
    "right_answer": "E", "clue_intervals": [[8, 11]], "domain": "Art & Culture", "sub_category":
    "Entity Perception", "duration": 2741}``.

    Args:
        row: the row.
        media: templates of the video file.
        subtitles: template of the subtitle file.
        instructions: by task, the text after the frames. The target of "miou" is the intervals,
            that of "open" the answer's text, and of any other task the letter; "clue_acc" shows
            only frames of the intervals.
        prompt: template of the text that comes last, with ``{question}`` and ``{options}``.

    Raises:
        RowsError: a missing column, or malformed intervals.
    """
    asked = multiple_choice(
        row,
        id="{qid}",
        group="{video_uid}",
        media=media,
        question="{question}",
        options="choices",
        option_format="{letter}:{option}",
        answer="{right_answer}",
        prompt=prompt,
    )
    intervals = _intervals(row)
    video, text = asked.content
    assert isinstance(video, Media)
    samples = []
    for task, instruction in instructions.items():
        shown = dataclasses.replace(video, clue_seconds=intervals) if task == "clue_acc" else video
        subtitle_part = SubtitlesAndTimes(shown, row.media_path([subtitles]))
        targets = asked.targets
        if task == "miou":
            targets = (json.dumps(intervals),)
        elif task == "open":
            targets = (row.text("{answer}"),)
        samples.append(
            dataclasses.replace(
                asked,
                id=f"{asked.id}/{task}",
                content=(FrameImages(shown, num_jpeg=2), instruction, subtitle_part, text),
                targets=targets,
                choices=() if task == "open" else asked.choices,
                facets={"task": task},
            )
        )
    return tuple(samples)


def _intervals(row: Row) -> tuple[tuple[float, float], ...]:
    value: Any = row.column("clue_intervals")
    try:
        items = as_list(value)
        intervals = tuple((start, end) for start, end in (value if items is None else items))
        if not all(0 <= start <= end for start, end in intervals):
            raise ValueError("one ends before it starts")
        return intervals
    except (TypeError, ValueError) as error:
        raise row.error(f"expected intervals of a start and an end, got {value!r:.60}") from error


@dataclass(frozen=True, slots=True)
class SubtitlesAndTimes:
    """The subtitles during the frames, with their times, followed by the frames' times.

    Each subtitle is listed once, in the order of the frames.

    Source: CG-Bench/CG-Bench f826608, run/utils.py, get_subtitles and get_frame_times.

    Attributes:
        media: the video.
        path: its subtitle file; a video without one has no subtitles.
    """

    media: Media
    path: str

    @property
    def description(self) -> str:
        return f"subtitles of {PurePath(self.path).name}, times of the frames"

    def expand(self, clip: Clip) -> tuple[str, ...]:
        """Return the text.

        Raises:
            MediaError: the subtitle file cannot be read, or the video states no frame rate.
        """
        if not clip.fps:
            raise MediaError(f"{self.media.path}: the times of frames need a frame rate")
        # in the original, indices of a whole video are numpy's, so that numpy rounds the times
        number = int if self.media.clue_seconds else np.int64
        times = ", ".join(str(round(number(n) / clip.fps, 4)) for n in clip.frame_indices)
        lines = self._lines(clip.frame_indices, clip.fps) if names_file(self.path) else {}
        spoken = "\n".join(lines)
        text = f"The subtitles of the video are as follows:\n\n{spoken}\n\n" if lines else ""
        text += f"A total of {len(clip)} frames are sampled. "
        text += f"Their corresponding timestamps are:\n\n{times}\n\n"
        return (text,)

    def _lines(self, frame_indices: Sequence[int], fps: float) -> Mapping[str, None]:
        cues = read_cues(Path(self.path))
        milliseconds = [round(index * (1000 / fps)) for index in frame_indices]
        return dict.fromkeys(
            f"[{cue.start / 1000}, {cue.end / 1000}] {cue.text}"
            for now in milliseconds
            for cue in cues
            if cue.start < now < cue.end
        )
