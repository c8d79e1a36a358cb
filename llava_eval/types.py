"""The values passed between stages: frozen, picklable, and checked on construction.

    Media ─┐
    Sample ┴─> Request ──model──> Generation ──> SampleResult ──scorer──> SampleResult with Score
    VideoInfo ──sampler──> indices ──decode──> Clip ──processor──> PreparedMedia

This module imports nothing of the package except ``errors``, and at run time nothing heavier than
the standard library, so that every stage (and every worker process) can use these types cheaply.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llava_eval.errors import shown_address

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL.Image import Image

MediaKind = Literal["video", "image"]
StopReason = Literal["eos", "stop_string", "length"]
MediaProblemKind = Literal["damaged", "truncated", "replayed", "fewer_frames", "unconfirmed_frames"]

#: Beginnings of base64-encoded PNG, JPEG, GIF and WebP files; no such file itself begins like that.
BASE64_BEGINNINGS = ("iVBORw0KGgo", "/9j/", "R0lGODlh", "UklGR")

#: Longer than any model's context; a larger token count is a mistake.
MAX_TOKENS = 1 << 40


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_place(sample: Sample | SampleResult) -> None:
    """Refuse an empty id or group, or an invalid row number: users also edit ledgers by hand."""
    row: Any = sample.row
    _require(sample.id != "", f"row {row}: the sample id is empty")
    _require(isinstance(row, int) and row >= 0, f"sample {sample.id}: row is {row!r}")
    _require(sample.group != "", f"sample {sample.id}: group is empty")


@dataclass(frozen=True, slots=True)
class Media:
    """One video or image that a prompt refers to.

    Attributes:
        kind: decides the model's placeholder and the decoder.
        path: the file as it will be opened, or an http(s) address; only a name if ``data`` is set.
        start_seconds, end_seconds: the part of the video to use; None is open-ended.
        data: the image file's bytes, if the data set stores images in its rows; a read-only view
            if they, or their base64, are in a memory-mapped file.
        stated_seconds: the video's duration as stated by the benchmark's row, for protocols that
            sample by it.
        upright: rotate the image by the orientation in its EXIF data, as the ``datasets`` library
            and transformers do; otherwise use the pixels as stored.
        swap_red_blue: exchange these channels of a video's frames, as references do that pass on
            OpenCV's BGR frames unchanged; proofs of pixels are computed before the exchange.
        clue_seconds: (start, end) of the parts of the video that the benchmark's row names, for
            protocols that show frames of these parts only.
    """

    kind: MediaKind
    path: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    data: bytes | memoryview | None = field(default=None, repr=False, hash=False)
    stated_seconds: float | None = None
    upright: bool = False
    swap_red_blue: bool = False
    clue_seconds: tuple[tuple[float, float], ...] = ()

    @property
    def name(self) -> str:
        """The path as shown in messages and in the files of a run."""
        return shown_address(self.path)

    @property
    def content(self) -> bytes | memoryview | None:
        """The file's bytes, decoded if ``data`` is base64."""
        data = self.data
        return base64.b64decode(data) if data is not None and is_base64(data) else data

    def __reduce__(self) -> tuple[type[Media], tuple[object, ...]]:
        """Pickle a view as bytes, because its memory belongs to this process."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        if self.data is not None:
            values["data"] = bytes(self.data)
        return Media, tuple(values.values())

    @classmethod
    def of_image(cls, image: Image, name: str = "image") -> Media:
        """Return a PIL image as a medium, without loss of its RGB pixels.

        Args:
            image: in any mode; converted to RGB as images from files are.
            name: shown in messages and in the ledger.
        """
        content = io.BytesIO()
        image.convert("RGB").save(content, "PNG")
        return cls("image", name, data=content.getvalue())

    def __post_init__(self) -> None:
        _require(
            self.kind in ("video", "image"), f"Media.kind is {self.kind!r}, not video or image"
        )
        _require(self.path != "", "Media.path is empty")
        _require(isinstance(self.path, str), f"Media.path is {self.path!r}, expected a text")
        _require(
            self.data is None or self.kind == "image", f"{self.path}: only images come as bytes"
        )
        _require(
            self.stated_seconds is None or 0.0 < self.stated_seconds < math.inf,
            f"{self.path}: the stated duration is {self.stated_seconds} s",
        )
        start: Any = 0.0 if self.start_seconds is None else self.start_seconds
        end: Any = math.inf if self.end_seconds is None else self.end_seconds
        are_numbers = isinstance(start, int | float) and isinstance(end, int | float)
        _require(
            are_numbers and 0.0 <= start < end,
            f"{self.path}: a cut needs 0 <= start < end, got start {self.start_seconds} s, "
            f"end {self.end_seconds} s" + ("" if are_numbers else ", expected numbers of Python's"),
        )


def is_base64(image: bytes | memoryview) -> bool:
    """Return whether the bytes are a base64-encoded image file."""
    return str(image[:11], "latin-1").startswith(BASE64_BEGINNINGS)


@dataclass(frozen=True, slots=True)
class MediaProblem:
    """A problem of a medium that is shown to the model nevertheless.

    Attributes:
        kind: the name under which it is counted. ``damaged``: the decoder found damage and
            concealed it or stopped early. ``truncated``: the file states more content than it has.
            ``replayed``: damage made a decode from the start necessary. ``fewer_frames``: the
            video, or its cut, has fewer frames than requested. ``unconfirmed_frames``: the server's
            token count does not confirm that the model saw all frames.
        detail: one line for the user.
    """

    kind: MediaProblemKind
    detail: str


def distinct_problems(problems: Iterable[MediaProblem]) -> tuple[MediaProblem, ...]:
    """Return the first problem of each kind, in the order of ``problems``."""
    first: dict[str, MediaProblem] = {}
    for problem in problems:
        first.setdefault(problem.kind, problem)
    return tuple(first.values())


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a video (or a cut of one) that are known before any frame is decoded.

    Attributes:
        path: the file.
        num_frames: number of frames in a plain decode from start to end (of the cut, if any).
        fps: average frames per second of the video.
        seconds: duration (of the cut, if any).
        width, height: size of the decoded frames in pixels, before rotation metadata.
        codec: libav's name of the codec, for instance "h264".
        rotation: degrees in [0, 360), counter-clockwise, by which the file asks players to rotate;
            decoded frames are not rotated.
        first_frame_index: index of the cut's first frame in the whole video, 0 without a cut.
        problems: known problems of the file, at most one of each kind.
        stated_seconds, clue_seconds: see :class:`Media`.
    """

    path: str
    num_frames: int
    fps: float
    seconds: float
    width: int
    height: int
    codec: str
    rotation: int = 0
    first_frame_index: int = 0
    problems: tuple[MediaProblem, ...] = ()
    stated_seconds: float | None = None
    clue_seconds: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        _require(self.num_frames >= 0, f"{self.path}: num_frames is {self.num_frames}")
        _require(self.width > 0 and self.height > 0, f"{self.path}: {self.width}x{self.height}")


@dataclass(frozen=True, slots=True)
class PixelProof:
    """Digests of the decoded pixels, to check whether two tools showed a model the same frames.

    Attributes:
        width, height: size of the decoded frames, before any resizing.
        digests: for each frame the BLAKE2b digest (8 bytes, in hexadecimal digits) of its RGB bytes
            at that size: rows from the top, three bytes per pixel.
    """

    width: int
    height: int
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded frames of one video or image.

    Attributes:
        frames: uint8 RGB tensor (N, 3, H, W). Decoded frames have the strides of (N, H, W, 3)
            memory (``frames.permute(0, 2, 3, 1)`` is contiguous), because resizing is faster on
            it; resized frames may have another layout.
        frame_indices: N frame indices in the whole video, in the requested order.
        pts_seconds: N presentation times in seconds.
        fps: average frames per second of the source, None for an image.
        num_source_frames: number of frames of the whole source.
        num_cut_frames: number of frames of the cut; None without a cut.
        notes: remarks on how the frames were decoded, if not in the ordinary way
            (for instance a sequential replay of a damaged stream).
        video: the video that the frames belong to; None for an image.
        problems: problems of the medium, at most one of each kind.
        proof: digests of the decoded pixels; None if they were not requested.
        is_resized: the frames have been resized and cropped as the model's processor does it.
    """

    frames: torch.Tensor
    frame_indices: tuple[int, ...]
    pts_seconds: tuple[float, ...]
    fps: float | None = None
    num_source_frames: int | None = None
    num_cut_frames: int | None = None
    notes: tuple[str, ...] = ()
    video: Media | None = None
    problems: tuple[MediaProblem, ...] = ()
    proof: PixelProof | None = None
    is_resized: bool = False

    def __post_init__(self) -> None:
        shape = tuple(self.frames.shape)
        _require(
            len(shape) == 4 and shape[1] == 3 and str(self.frames.dtype) == "torch.uint8",
            f"Clip.frames must be uint8 (N, 3, H, W), got {self.frames.dtype} {shape}",
        )
        _require(
            shape[0] == len(self.frame_indices) == len(self.pts_seconds) and shape[0] > 0,
            f"Clip of {shape[0]} frames has {len(self.frame_indices)} indices and "
            f"{len(self.pts_seconds)} timestamps; all must be equal and at least 1",
        )
        _require(
            self.proof is None or len(self.proof.digests) == shape[0],
            f"Clip of {shape[0]} frames has a proof of another number",
        )

    @property
    def num_frames_sampled_from(self) -> int:
        """The number of frames that these were sampled from, as far as it is known."""
        return self.num_cut_frames or self.num_source_frames or len(self)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The frames as a contiguous RGB array (N, H, W, 3)."""
        return self.frames.permute(0, 2, 3, 1).contiguous().numpy()

    def proven(self) -> Clip:
        """Return the clip with digests of its frames, which must not be resized yet."""
        pixels = self.pixels
        digests = tuple(hashlib.blake2b(frame.data, digest_size=8).hexdigest() for frame in pixels)
        height, width = pixels.shape[1:3]
        return replace(self, proof=PixelProof(width, height, digests))

    def frame(self, row: int) -> Clip:
        """Return one frame as a clip of its own.

        Args:
            row: position of the frame among the N, from 0.
        """
        part = slice(row, row + 1)
        proof = self.proof
        return replace(
            self,
            frames=self.frames[part],
            frame_indices=self.frame_indices[part],
            pts_seconds=self.pts_seconds[part],
            proof=None if proof is None else replace(proof, digests=proof.digests[part]),
        )

    def __len__(self) -> int:
        return len(self.frame_indices)

    def __repr__(self) -> str:
        return f"Clip(frames={tuple(self.frames.shape)}, frame_indices={self.frame_indices})"


@dataclass(frozen=True, slots=True)
class MediaInput:
    """Record of one medium of a sample: the frames that were read, a digest of the model's input.

    Attributes:
        pts_seconds: presentation times of the frames, in the order shown; empty if a server
            chose the frames.
        proof: digests of the decoded pixels; None if they were not decoded in this process.
        problems: problems of the medium, at most one of each kind.
        pixel_input_digest: digest of the model's input, see :class:`PreparedMedia`.
    """

    pts_seconds: tuple[float, ...] = ()
    proof: PixelProof | None = None
    problems: tuple[MediaProblem, ...] = ()
    pixel_input_digest: str | None = None


class FrameDependentPart(Protocol):
    """A part of the user's turn that depends on the sampled frames.

    Implementations are frozen and picklable, and compare equal if they expand to the same parts.
    """

    @property
    def media(self) -> Media:
        """The video whose frames it depends on."""
        ...

    @property
    def path(self) -> str | None:
        """A further file that it reads, such as subtitles; None if there is none."""
        ...

    @property
    def description(self) -> str:
        """The part in words, for prompts shown without media and for a run's identity."""
        ...

    def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
        """Return the texts and images that replace it; each returned clip is one frame.

        Raises:
            MediaError: a required file is missing or damaged.
        """
        ...


Content = Sequence["str | Media | ShownMedia | FrameDependentPart"]


def prompt_text(content: Content) -> str:
    """Return the user's turn as readable text.

    If all media come before the text, as in most protocols, they are left out. Otherwise each is
    written as ``<video>`` or ``<image>`` on a line of its own. A frame-dependent part is written as
    its description.
    """
    are_media = [isinstance(piece, Media | PreparedMedia | ServedMedia) for piece in content]
    start = [*are_media, False].index(False)
    if any(are_media[start:]):
        start = 0
    return "".join(map(_written, content[start:]))


def _written(piece: str | Media | ShownMedia | FrameDependentPart) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Media | PreparedMedia | ServedMedia):
        return f"<{piece.kind}>\n"
    return f"[{piece.description}]"


def levels_of(level: str, named: Collection[str] = ()) -> list[str]:
    """Split a facet's value into the levels that the sample belongs to.

    "action+object" is two levels; "18+" and "10+ min" are one.

    Args:
        level: the facet's value, as the row states it.
        named: values that are a single level although they look like several.
    """
    # fast path: a bootstrap calls this thousands of times for each sample
    if "+" not in level or level in named:
        return [level]
    levels = list(dict.fromkeys(level.split("+")))
    return levels if all(part and part == part.strip() for part in levels) else [level]


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a benchmark, ready to be sent to a model.

    Attributes:
        id: unique within the benchmark.
        row: zero-based index of its row in the source.
        group: the cluster for standard errors, nearly always the video's id; in an address, parts
            that may be secret are replaced by a digest.
        content: the user's turn in order: texts, media, and parts that depend on the frames.
        targets: accepted answers (a letter for multiple choice, references for captions); empty
            if the answers are hidden.
        choices: texts of a multiple-choice question's options, without their letters; empty for
            open questions.
        question: the bare question, without instructions or options.
        facets: columns to break results down by, e.g. {"duration": "short"}.
        options: replies whose likelihoods are compared instead of generating one (elsewhere called
            ``continuations``), in the order of the choices; they are not part of the prompt, and
            are empty in most benchmarks.
        media_root: the benchmark's media folder; None if the paths are complete.
    """

    id: str
    row: int
    group: str
    content: tuple[str | Media | FrameDependentPart, ...]
    targets: tuple[str, ...]
    choices: tuple[str, ...] = ()
    question: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    media_root: PurePath | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _require_place(self)
        for name in ("id", "group", "question", "targets", "choices", "options", "facets"):
            self._check_texts(name)
        are_pieces = all(isinstance(piece, str) or hasattr(piece, "path") for piece in self.content)
        _require(
            are_pieces and not isinstance(self.content, str),
            f"sample {self.id}: content is {self.content!r:.60}, expected texts and media",
        )
        name = shown_address(self.group)
        if name != self.group:  # the address of a video: two may differ in their query alone
            digest = hashlib.blake2b(self.group.encode(errors="replace"), digest_size=4).hexdigest()
            object.__setattr__(self, "group", f"{name} ({digest})")
        _require(bool(self.content), f"sample {self.id}: nothing to ask")

    def _check_texts(self, name: str) -> None:
        """Refuse wrong types, which a user's own adapter may return.

        For example, ``targets=("yes")`` is a string, so each of its letters would be an answer.
        """
        value: Any = getattr(self, name)
        is_one = name in ("id", "group", "question")
        parts = (value,) if is_one else value.values() if name == "facets" else value
        expected = "a text" if is_one else "texts" if name == "facets" else "texts in a tuple"
        _require(
            isinstance(value, str) == is_one and all(isinstance(part, str) for part in parts),
            f"sample {self.id}: {name} is {value!r:.60}, expected {expected}",
        )

    @property
    def media(self) -> tuple[Media, ...]:
        """The media of the turn, in order, then those used by frame-dependent parts only."""
        shown = [piece for piece in self.content if isinstance(piece, Media)]
        needed = dict.fromkeys(piece.media for piece in self.frame_dependent_parts)
        return (*shown, *(medium for medium in needed if medium not in shown))

    @property
    def media_names(self) -> tuple[str, ...]:
        """Paths of the media relative to the media folder, independent of where it is stored."""
        return tuple(self._name(medium.name) for medium in self.media)

    def _name(self, path: str) -> str:
        root = self.media_root
        below = root is not None and PurePath(path).is_relative_to(root)
        return PurePath(path).relative_to(root).as_posix() if root and below else path

    @property
    def frame_dependent_parts(self) -> tuple[FrameDependentPart, ...]:
        """The parts of the user's turn that depend on the frames, in order."""
        return tuple(piece for piece in self.content if not isinstance(piece, str | Media))

    @property
    def files(self) -> tuple[str, ...]:
        """Further files that the prompt depends on, besides the media."""
        parts = self.frame_dependent_parts
        return tuple(part.path for part in parts if part.path is not None)

    @property
    def prompt(self) -> str:
        """The user's text; see :func:`prompt_text`."""
        return prompt_text(self.content)


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """Settings of the generation.

    Attributes:
        max_new_tokens: maximum number of tokens to generate.
        temperature: 0 is greedy decoding; above 0 tokens are sampled.
        top_p: probability mass of nucleus sampling.
        stop_strings: generation stops at the first of these, and the text is cut before it.
        seed: base of the per-sample seeds of sampled decoding.
    """

    max_new_tokens: int = 16
    temperature: float = 0.0
    top_p: float = 1.0
    stop_strings: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.max_new_tokens >= 1, f"max_new_tokens is {self.max_new_tokens}, at least 1")
        _require(self.temperature >= 0.0, f"temperature is {self.temperature}, at least 0")
        _require(0.0 < self.top_p <= 1.0, f"top_p is {self.top_p}, expected 0 < top_p <= 1")
        _require("" not in self.stop_strings, "stop_strings holds an empty text, which ends all")


@dataclass(frozen=True, slots=True, eq=False)
class PreparedMedia:
    """One medium, prepared for a model of this process; requests that show it share this object.

    Attributes:
        kind: video or image.
        clip: the frames that are shown.
        inputs: for models that encode media separately from prompts: the processor's output by
            argument name, for instance ``pixel_values_videos`` (1, F, 3, H, W); leading dimension
            1, on the CPU.
        token_ids: for the same models: the placeholder tokens of the medium in a prompt.
        shown: the frames in the form that the processor accepts: PIL images, or one tensor
            (F, 3, H, W); for a user's own model the single object that it made of them.
        shown_kinds: kinds of media in the prompt: the medium itself, or an image for each frame.
        pixel_input_digest: BLAKE2b digest (8 bytes, in hexadecimal digits) of the output of the
            checkpoint's processor for this medium alone, see
            :func:`llava_eval.models.local.pixels.pixel_input_digest`; None if the processor cannot
            handle a medium without its prompt.
    """

    kind: MediaKind
    clip: Clip
    inputs: Mapping[str, torch.Tensor] = field(default_factory=dict)
    token_ids: tuple[int, ...] = ()
    shown: tuple[Any, ...] = ()
    shown_kinds: tuple[MediaKind, ...] = ()
    pixel_input_digest: str | None = None

    @property
    def frame_indices(self) -> tuple[int, ...]:
        """Indices of the frames that are shown."""
        return self.clip.frame_indices

    @property
    def problems(self) -> tuple[MediaProblem, ...]:
        """Empty: preparing a medium adds no problems to those of its clip."""
        return ()

    def __post_init__(self) -> None:
        _require(
            bool(self.token_ids) == bool(self.inputs),
            f"a {self.kind} has {len(self.token_ids)} tokens and {len(self.inputs)} inputs",
        )
        if not self.shown_kinds:
            object.__setattr__(self, "shown_kinds", (self.kind,))


@dataclass(frozen=True, slots=True, eq=False)
class ServedMedia:
    """One medium, encoded for a model server; requests that show it share this object.

    Attributes:
        kind: video or image.
        parts: the content parts of a chat message that represent it, as JSON values, in order.
        frame_indices: indices of the frames that are shown; empty if the server chooses them.
        metadata: facts about the whole video, under the names that servers use.
        size: height and width of the frames in pixels; None if the server chooses the frames.
        problems: problems that arose in encoding it.
    """

    kind: MediaKind
    parts: tuple[Mapping[str, Any], ...]
    frame_indices: tuple[int, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    problems: tuple[MediaProblem, ...] = ()

    @property
    def pixel_input_digest(self) -> None:
        """None: the server makes the model's input."""
        return None

    def __post_init__(self) -> None:
        _require(bool(self.parts), f"a {self.kind} has no parts")


#: One medium, prepared for a model of this process or for a server.
ShownMedia = PreparedMedia | ServedMedia


@dataclass(frozen=True, slots=True)
class Request:
    """One question with its prepared media: the input of a model runner.

    Attributes:
        id: the sample's id, for messages and per-sample seeds.
        content: the user's turn: texts and media, in order.
        settings: generation settings.
        system: the protocol's system text; None keeps the conversation's own.
        assistant_prefill: text with which the assistant's turn begins.
        options: if not empty, nothing is generated; the likelihoods of these texts as the
            assistant's turn are computed instead.
        letters: the letters of the options, if their log-probabilities are to be recorded.
    """

    id: str
    content: tuple[str | ShownMedia, ...]
    settings: GenerationSettings
    system: str | None = None
    assistant_prefill: str = ""
    options: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()

    @property
    def media(self) -> tuple[ShownMedia, ...]:
        """The media of the user's turn, in order."""
        return tuple(piece for piece in self.content if not isinstance(piece, str))

    @property
    def prepared_media(self) -> tuple[PreparedMedia, ...]:
        """The media of the user's turn that were prepared for a model of this process."""
        return tuple(piece for piece in self.content if isinstance(piece, PreparedMedia))


@dataclass(frozen=True, slots=True)
class Generation:
    """The text that a model generated for one sample, or the error that prevented it.

    Attributes:
        text: the new text, without special tokens except those around reasoning; None if and only
            if there is an error. If options are compared by likelihood, the most likely option.
        num_input_tokens: number of prompt tokens, including media placeholders, excluding padding.
        num_output_tokens: number of generated tokens, including the end token.
        stop_reason: why generation ended: a :data:`StopReason`, or another tool's own word.
        error: one line that names the cause.
        option_losses: if options are compared by likelihood: for each option the mean negative
            log-likelihood of its tokens, in nats.
        choice_logprobs: if requested: for each option the log-probability, in nats, of its letter
            as the first new token, over the whole vocabulary and at temperature 1; the letter with
            or without a leading space, whichever is more likely.
        published_correct: whether another tool counted the text as correct, if its file says so.
        has_reasoning_apart: True if a server returned reasoning apart from the text, else None.
    """

    text: str | None
    num_input_tokens: int | None = None
    num_output_tokens: int | None = None
    stop_reason: str | None = None
    error: str | None = None
    option_losses: tuple[float, ...] | None = None
    choice_logprobs: tuple[float, ...] | None = None
    published_correct: bool | None = None
    has_reasoning_apart: bool | None = None

    def __post_init__(self) -> None:
        _require(
            (self.text is None) == (self.error is not None),
            f"a Generation has either a text or an error, got text {self.text!r} and "
            f"error {self.error!r}",
        )
        for name in ("num_input_tokens", "num_output_tokens"):
            number = getattr(self, name)
            _require(number is None or 0 <= number <= MAX_TOKENS, f"Generation.{name} is {number}")

    @classmethod
    def failed(cls, error: Exception) -> Generation:
        """Return the generation of a sample that failed with an error."""
        message = " ".join(str(error).split())
        return cls(text=None, error=f"{type(error).__name__}: {message}")


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one generation, as a scorer computed it.

    Attributes:
        value: the sample's score in [0, 1] (or in the scorer's stated unit); None if not scored.
        answer: the answer extracted from the text; None if there is none.
        unreadable: whether the rule found no answer in the text.
        explanation: in words, how the answer was extracted, or why there is no answer or no score.
        details: further facts that the rule records, by name.
    """

    value: float | None
    answer: str | None
    unreadable: bool = False
    explanation: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        is_finite = not isinstance(self.value, float) or math.isfinite(self.value)
        _require(is_finite, f"Score.value is {self.value}")
        _require(
            not (self.unreadable and self.answer is not None),
            f"an unreadable text cannot have an answer, got {self.answer!r}",
        )


#: The score of a sample whose generation failed.
NOT_SCORED = Score(value=None, answer=None, explanation="not scored: the sample failed")


@dataclass(frozen=True, slots=True)
class SampleResult:
    """One line of the ledger.

    Attributes:
        id, row, group, facets, question, choices: as in the sample.
        prompt: the user's text as sent to the model.
        media: paths of the media, relative to the benchmark's media folder if they are inside it.
        frame_indices: for each medium of the sample, the indices of the frames that were shown.
        target: accepted answers.
        generation, score: the model's reply and its score.
        inputs: for each medium of the sample, a record of what was read; empty if nothing was.
    """

    id: str
    row: int
    group: str
    facets: Mapping[str, str]
    question: str
    choices: tuple[str, ...]
    prompt: str
    media: tuple[str, ...]
    frame_indices: tuple[tuple[int, ...], ...]
    target: tuple[str, ...]
    generation: Generation
    score: Score
    inputs: tuple[MediaInput, ...] = ()

    def __post_init__(self) -> None:
        _require_place(self)

    @property
    def flags(self) -> tuple[str, ...]:
        """Facts that a reader of the score must know; tables count the samples with each flag.

        Kinds of :class:`MediaProblem`; "cut_at_limit" (the reply reached its token limit);
        "hidden_answer" (there is a reply but no answer to compare it with); and flags that the
        scorer sets: "has_reasoning", "chosen_at_random", "needs_frames", "few_answers".
        """
        problems = [problem.kind for medium in self.inputs for problem in medium.problems]
        cut = ["cut_at_limit"] if self.generation.stop_reason == "length" else []
        is_compared = self.target or self.score.value is not None or self.generation.error
        hidden = [] if is_compared else ["hidden_answer"]
        details = ("has_reasoning", "chosen_at_random", "needs_frames", "few_answers")
        of_rule = [name for name in details if self.score.details.get(name)]
        return tuple(dict.fromkeys([*problems, *cut, *hidden, *of_rule]))

    @classmethod
    def of(cls, sample: Sample, generation: Generation) -> SampleResult:
        """Return an unscored result without any record of the media.

        Args:
            sample: the question.
            generation: the model's reply.
        """
        return cls(
            id=sample.id,
            row=sample.row,
            group=sample.group,
            facets=sample.facets,
            question=sample.question,
            choices=sample.choices,
            prompt=sample.prompt,
            media=sample.media_names,
            frame_indices=(),
            target=sample.targets,
            generation=generation,
            score=NOT_SCORED,
        )

    @classmethod
    def failed(cls, sample: Sample, error: Exception) -> SampleResult:
        """Return the result of a sample that failed before anything was generated."""
        return cls.of(sample, Generation.failed(error))


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number of a table.

    Attributes:
        value: the metric in ``unit``; None if no sample had a score.
        stderr: standard error in the same unit, clustered by the samples' group; None if fewer
            than two groups had a score.
        ci_low, ci_high: bounds of the 95 % confidence interval; None if there is none.
        num_samples: number of samples in the denominator.
        unit: unit of the published table, for instance "percent".
        note: a caveat about the number, or the reason why there is none; usually empty.
    """

    value: float | None
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    num_samples: int
    unit: str
    note: str = ""

    @classmethod
    def none(cls, num_samples: int, unit: str, note: str = "") -> MetricValue:
        """Return a missing value, optionally with the reason in ``note``."""
        return cls(None, None, None, None, num_samples, unit, note)
