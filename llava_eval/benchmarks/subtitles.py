"""Match subtitles to the shown frames, as the references do."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

from llava_eval.borders.paths import names_file, read_file
from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media

SubtitleRule = Literal["first_cue", "lmms_eval", "cgbench_lmms_eval"]

_TIMESTAMP = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
#: WebVTT may leave the hours out.
_WEBVTT_TIMESTAMP = re.compile(r"(?:(\d{2,}):)?(\d{2}):(\d{2})\.(\d{3})")
#: The start of .ass and .ssa files, which have times and texts on the same lines.
_SUBSTATION = "[Script Info]"
_LMMS_EVAL_MARKUP = re.compile(r'<font color="white" size=".72c">(.*?)</font>')


class Cue(NamedTuple):
    """One subtitle: its text, and its start and end (in the unit that its reader states)."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Subtitles:
    """The lines of a .srt file that belong to the frames of a clip, as a piece of a prompt.

    Attributes:
        media: the video.
        path: its subtitle file; a video without one has no subtitles.
        rule: "first_cue": for each frame the first cue that starts before and ends after it; cues
            may be repeated. The script that the authors of Video-MME refer to
            (look4u-ok/video-slicer, slice_and_extract.py), and VLMEvalKit's dataset/videomme.py.
            "lmms_eval": each cue whose window of frame numbers contains a frame, once, and of its
            text only the part in the files' own font markup. EvolvingLMMs-Lab/lmms-eval,
            tasks/videomme/utils.py, videomme_doc_to_text_subtitle.
            "cgbench_lmms_eval": see :func:`cues_at_even_times`.
        heading: text before the lines; a line break follows them.
        missing: text in place of the lines of a video without subtitles. None omits the heading as
            well, also if no line belongs to a frame.
    """

    media: Media
    path: str
    rule: SubtitleRule
    heading: str = ""
    missing: str | None = None

    @property
    def description(self) -> str:
        return f"{self.heading.strip()} {self.rule} of {PurePath(self.path).name}".strip()

    def expand(self, clip: Clip) -> tuple[str, ...]:
        """Return the heading and the lines as one text, or nothing.

        Raises:
            MediaError: the subtitle file cannot be read, or the video states no frame rate.
            OSError: the system cannot tell whether there is a subtitle file.
        """
        lines: str | None = None
        if names_file(self.path):
            if not clip.fps:
                raise MediaError(f"{self.media.path}: matching subtitles needs a frame rate")
            lines = _RULES[self.rule](Path(self.path), clip)
        if lines is None or (not lines and self.missing is None):
            lines = self.missing
        return () if lines is None else (f"{self.heading}{lines}\n",)


def first_cues(path: Path, frame_indices: Sequence[int], fps: float) -> str:
    """Return the first cue around each frame, one per line; see :class:`Subtitles`."""
    cues = read_cues(path)
    times = (round(index * (1000 / fps)) for index in frame_indices)
    texts = (next((cue.text for cue in cues if cue.start < now < cue.end), "") for now in times)
    return "\n".join(text for text in texts if text.strip())


def read_cues(path: Path) -> list[Cue]:
    r"""Read a .srt file as the pysubs2 library does, times in milliseconds.

    A cue is a line with two times and the lines up to the next such line. In its text the next
    cue's number is removed, line breaks become spaces, <i>, <b>, <u> and <s> become codes such as
    ``{\i1}``, and other markup is dropped. A WebVTT file is read in the same way.

    Raises:
        MediaError: the file is not UTF-8 text, or contains no cue.
    """
    result: list[tuple[float, float, list[str]]] = []
    text = _read(path).removeprefix("\ufeff")
    is_webvtt = text.startswith("WEBVTT")
    timestamp, is_open = _WEBVTT_TIMESTAMP if is_webvtt else _TIMESTAMP, False
    for line in io.StringIO(text):
        stamps = timestamp.findall(line)
        if len(stamps) == 2 and ("-->" in line or not is_webvtt):
            result.append((_milliseconds(stamps[0]), _milliseconds(stamps[1]), []))
            is_open = True
        elif is_open:
            result[-1][2].append(line)
            is_open = line != "\n" or not is_webvtt  # notes and names follow a WebVTT's empty line
    if not result or text.startswith(_SUBSTATION):
        raise MediaError(f"{path}: there is no subtitle in this file; expected SubRip or WebVTT")
    return [Cue(start, end, _cue_text(lines)) for start, end, lines in result]


def _milliseconds(stamp: tuple[str, str, str, str]) -> int:
    hours, minutes, seconds, fraction = stamp
    whole = int(seconds) + 60 * int(minutes) + 3600 * int(hours or 0)
    return 1000 * whole + int(fraction.ljust(3, "0"))


def _cue_text(lines: Sequence[str]) -> str:
    is_next_number = len(lines) >= 2 and re.match(r"\s*\d+\s*$", lines[-1]) is not None
    if is_next_number and not "".join(lines[:-1]).strip():
        return ""
    text = re.sub(r"\n+ *\d+ *$", "", "".join(lines).strip())
    for tag in "isub":
        text = re.sub(rf"< *{tag} *>", rf"{{\\{tag}1}}", text)
        text = re.sub(rf"< */ *{tag} *>", rf"{{\\{tag}0}}", text)
    text = re.sub(r"<[\d:]+\.\d+>|< */? *[a-zA-Z][^>]*>", "", text)  # also WebVTT's word times
    return text.replace("\n", " ").replace("\\N", " ")


def windows_of_frames(path: Path, frame_indices: Sequence[int], fps: float) -> str:
    """Return the marked-up lines whose windows contain a frame, each once; see :class:`Subtitles`.

    A window goes from frame ``int(start * fps)`` up to, but not including, ``int(end * fps)``.
    """
    windows = [
        (int(cue.start * fps), int(cue.end * fps), cue.text) for cue in read_lmms_eval_cues(path)
    ]
    hit = [
        number
        for index in frame_indices
        for number, (first, end, _) in enumerate(windows)
        if first <= index < end
    ]
    # The original uses the order of a set of the numbers, which for many cues is not the order of
    # the file; the same set is built here.
    texts = [_LMMS_EVAL_MARKUP.search(windows[number][2]) for number in list(set(hit))]
    return "\n".join(match.group(1) for match in texts if match is not None)


def cues_at_even_times(path: Path, clip: Clip) -> str | None:
    """Return the cues that are shown at evenly spaced times, in the file's order; None without any.

    There are as many times as frames; the last one is that of the video's last frame. As in the
    source, bytes that are not UTF-8 become U+FFFD.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/cgbench/utils.py, _sampled_subtitles.

    Args:
        path: the .srt file.
        clip: the shown frames, with their frame rate.

    Raises:
        MediaError: the file cannot be read, or the texts around " --> " are not times.
    """
    fps, total = clip.fps or 0.0, clip.num_source_frames or len(clip)
    count = max(1, min(len(clip), total))
    times = [index * (total - 1) / max(count - 1, 1) / fps for index in range(count)]
    lines = []
    for block in _read(path, errors="replace").strip().split("\n\n"):
        rows = block.splitlines()
        number = next((n for n, row in enumerate(rows) if " --> " in row), None)
        if number is None:
            continue
        try:
            start, end = (
                _seconds(part.strip().replace(".", ",")) for part in rows[number].split(" --> ", 1)
            )
        except ValueError as error:
            raise MediaError(f"{path}: expected two times, got {rows[number]!r}") from error
        if any(start <= time < end for time in times):
            lines.append(" ".join(rows[number + 1 :]))
    return "\n".join(lines) if lines else None


def read_lmms_eval_cues(path: Path) -> list[Cue]:
    """Read a .srt file as lmms-eval does, times in seconds.

    Cues are separated by empty lines. If several have the same times, the last one's text replaces
    the first one's.

    Raises:
        MediaError: the file is not UTF-8 text, or a cue's second line has no times.
    """
    cues: dict[tuple[float, float], str] = {}
    for section in _read(path).split("\n\n"):
        lines = section.split("\n")
        if not section.strip() or len(lines) < 3:
            continue
        try:
            start, end = map(_seconds, lines[1].split(" --> ")[:2])
        except ValueError as error:
            raise MediaError(
                f"{path}: the second line of a subtitle should hold its times, got {lines[1]!r}"
            ) from error
        cues[start, end] = " ".join(lines[2:])
    return [Cue(start, end, text) for (start, end), text in cues.items()]


def _seconds(written: str) -> float:
    hours, minutes, rest = written.split(":")
    seconds, thousandths = rest.split(",")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(thousandths) / 1000


def _read(path: Path, errors: str = "strict") -> str:
    """Return a file's text with all line breaks as line feeds, as the references read it."""
    try:
        return re.sub("\r\n?", "\n", read_file(path).decode(errors=errors))
    except (OSError, UnicodeDecodeError) as error:
        raise MediaError(f"{path}: the subtitles cannot be read: {error}") from error


_RULES: dict[SubtitleRule, Callable[[Path, Clip], str | None]] = {
    "first_cue": lambda path, clip: first_cues(path, clip.frame_indices, clip.fps or 0),
    "lmms_eval": lambda path, clip: windows_of_frames(path, clip.frame_indices, clip.fps or 0),
    "cgbench_lmms_eval": cues_at_even_times,
}
