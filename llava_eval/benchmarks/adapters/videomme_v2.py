"""Video-MME-v2 (arXiv 2604.05015): groups of four questions about a video, options A to H."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from llava_eval.benchmarks.frame_images import FrameImages
from llava_eval.benchmarks.rows import UNKNOWN, Row, as_list
from llava_eval.benchmarks.subtitles import Cue
from llava_eval.borders.json_text import JsonError, parse_json
from llava_eval.borders.paths import names_file, open_file
from llava_eval.errors import MediaError
from llava_eval.types import Clip, FrameDependentPart, Media, Sample

Frames = Literal["video", "jpeg_images"]
SubtitleOrder = Literal["listed", "interleaved"]

_OPTION = re.compile(r"^([A-H])\. *(.*)$", re.MULTILINE)
_ANSWERS = tuple("ABCDEFGH")
_FACETS = ("group_type", "group_structure", "second_head", "third_head")

#: Longer pauses than this end a sentence; after a full stop, shorter ones do.
_PAUSE_SECONDS = 0.5
_PAUSE_AFTER_STOP_SECONDS = 0.1


def videomme_v2(
    row: Row,
    *,
    media: list[str],
    prompt: str,
    frames: Frames = "video",
    subtitles: str | None = None,
    subtitle_order: SubtitleOrder = "listed",
    heading: str = "",
    heading_needs_words: bool = False,
) -> Sample:
    r"""Make a sample whose group is the video with its four questions.

    Real row, shortened: ``{"video_id": "001", "url": "...", "group_type": "logic",
    "group_structure": "[1, 2, 3, 4]", "question_id": "001-1", "question": "What is the ethnicity of
    the protagonist's mother?", "options": "A. Malaysian.\nB. British.\n... H. Cannot be
    determined.", "answer": "B", "level": 3, "second_head": "...", "third_head": "..."}``.

    Args:
        row: the row.
        media: templates of the video file.
        prompt: template of the user's text, which comes last.
        frames: show the video, or each frame as an image that was saved as JPEG.
        subtitles: template of the subtitle file, JSON lines of words; null shows none.
        subtitle_order: all words in one text, or sentences between the frames.
        heading: text before the prompt; ``{words}`` in it is replaced by the listed words.
        heading_needs_words: omit the heading of a video without words to list.

    Raises:
        RowsError: a missing column, or an answer other than A to H.
    """
    answer = row.text("{answer}")
    if answer not in _ANSWERS:
        raise row.error(f"the answer {answer!r} is none of {', '.join(_ANSWERS)}")
    video = Media("video", row.media_path(media))
    path = "" if subtitles is None else row.media_path([subtitles])
    shown: Media | FrameDependentPart = (
        video if frames == "video" else FrameImages(video, num_jpeg=1)
    )
    words: tuple[str | FrameDependentPart, ...] = (heading,) if heading else ()
    if subtitles is not None and subtitle_order == "interleaved":
        shown = FramesAndSentences(video, path)
    elif subtitles is not None:
        words = (ListedWords(video, path, heading, heading_needs_words),)
    level = row.optional("level")
    options = row.column("options")
    is_text = isinstance(options, str) and as_list(options) is None
    listed = options if is_text else "\n".join(row.options("options"))
    return Sample(
        id=row.text("{question_id}"),
        row=row.number,
        group=row.text("{video_id}"),
        content=(shown, *words, row.text(prompt, options=listed)),
        targets=(answer,),
        choices=tuple(text for _, text in _OPTION.findall(listed)),
        question=row.text("{question}"),
        facets={
            **{name: row.level(name) or UNKNOWN for name in _FACETS},
            "level": UNKNOWN if level in (None, "None") else str(row.integer_of("level")),
        },
    )


def read_words(path: str) -> list[Cue]:
    """Read a subtitle file: a JSON object with text, start_time and end_time on each line.

    Args:
        path: the file; if it does not exist, there are no words.

    Raises:
        MediaError: the file cannot be read.
    """
    if not names_file(path):
        return []
    words = []
    try:
        with io.TextIOWrapper(open_file(path), encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    entry: dict[str, Any] = parse_json(line, dict)
                    start, end = float(entry["start_time"]), float(entry["end_time"])
                    words.append(Cue(start, end, str(entry["text"])))
    except (OSError, UnicodeDecodeError, JsonError, KeyError, TypeError, ValueError) as error:
        raise MediaError(
            f"{path}: the subtitles cannot be read: {type(error).__name__}: {error}"
        ) from error
    return words


def sentences(words: Sequence[Cue]) -> Iterator[Cue]:
    """Join words that are spoken without a pause, and yield these sentences.

    A sentence ends with a pause of more than half a second, or of more than a tenth of a second
    after ".", "!" or "?".

    Source: MME-Benchmarks/Video-MME-v2 b24176a, evaluation/test_video_mme_v2.py,
    group_subtitle_segments.

    Args:
        words: the words in the order of the file.
    """
    begun: list[Cue] = []
    for word in words:
        if begun:
            pause = word.start - begun[-1].end
            is_stop = begun[-1].text.rstrip().endswith((".", "!", "?"))
            if pause > _PAUSE_SECONDS or (is_stop and pause > _PAUSE_AFTER_STOP_SECONDS):
                yield _joined(begun)
                begun = []
        begun.append(word)
    if begun:
        yield _joined(begun)


def _joined(words: Sequence[Cue]) -> Cue:
    return Cue(words[0].start, words[-1].end, " ".join(word.text for word in words))


@dataclass(frozen=True, slots=True)
class ListedWords:
    """A heading in which all words of a video's subtitle file replace ``{words}``.

    Attributes:
        media: the video.
        path: its subtitle file; a video without one has no words.
        heading: template of the text.
        needs_words: omit the text if there are no words.
    """

    media: Media
    path: str
    heading: str
    needs_words: bool = False

    @property
    def description(self) -> str:
        return f"words of {PurePath(self.path).name}"

    def expand(self, clip: Clip) -> tuple[str, ...]:
        """Return the text.

        Raises:
            MediaError: the file cannot be read.
        """
        del clip  # the text does not depend on the frames
        words = " ".join(word.text for word in read_words(self.path))
        is_left_out = self.needs_words and not words
        return () if is_left_out else (self.heading.replace("{words}", words),)


@dataclass(frozen=True, slots=True)
class FramesAndSentences:
    """Each frame as a JPEG image, followed by the sentences spoken before the next frame.

    A longer sentence is repeated after each frame during which it is spoken. A frame's time is its
    number divided by the average frame rate.

    Source: MME-Benchmarks/Video-MME-v2 b24176a, evaluation/test_video_mme_v2.py,
    build_chat_messages.

    Attributes:
        media: the video.
        path: its subtitle file; for a video without one only frames are shown.
    """

    media: Media
    path: str

    @property
    def description(self) -> str:
        return f"frames as JPEG images with the sentences of {PurePath(self.path).name}"

    def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
        """Return frames and sentences.

        Raises:
            MediaError: the file cannot be read, or the video states no frame rate.
        """
        if not clip.fps or clip.num_source_frames is None:
            raise MediaError(f"{self.media.path}: placing sentences needs a frame rate")
        spoken = list(sentences(read_words(self.path)))
        ends = [*clip.frame_indices[1:], clip.num_source_frames]
        images = FrameImages(self.media, num_jpeg=1).expand(clip)
        pieces: list[str | Clip] = []
        for image, start, end in zip(images, clip.frame_indices, ends, strict=True):
            pieces.append(image)
            pieces += [
                f"[Subtitle {item.start:.2f}s - {item.end:.2f}s]: {item.text}"
                for item in spoken
                if item.end >= start / clip.fps and item.start < end / clip.fps
            ]
        return tuple(pieces)
