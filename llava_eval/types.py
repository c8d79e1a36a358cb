"""The values that travel between the stages: frozen, picklable, and checked when they are made.

    Media ─┐
    Sample ┴─> Request ──model──> Generation ──> SampleResult ──scorer──> the same with its Score
    VideoInfo ──sampler──> indices ──decode──> Clip ──processor──> PreparedMedia

Nothing here imports anything else of the package but ``errors``, and nothing heavier than the
standard library at run time, so that every stage (and every worker process) can use these types
cheaply.
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

#: How the base64 of a PNG, JPEG, GIF or WebP file begins, as no such file does.
BASE64_BEGINNINGS = ("iVBORw0KGgo", "/9j/", "R0lGODlh", "UklGR")

#: No context is as long; a larger count of tokens is a mistake.
MAX_TOKENS = 1 << 40


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_place(sample: Sample | SampleResult) -> None:
    """Refuse an empty id or group, and what is no row's number; a ledger is edited by hand, too."""
    row: Any = sample.row
    _require(sample.id != "", f"row {row}: the sample id is empty")
    _require(isinstance(row, int) and row >= 0, f"sample {sample.id}: row is {row!r}")
    _require(sample.group != "", f"sample {sample.id}: group is empty")


@dataclass(frozen=True, slots=True)
class Media:
    """One video or image that a prompt refers to.

    Attributes:
        kind: what it is; decides the model's placeholder and the decoder.
        path: the file as it will be opened, or an http(s) address; with ``data`` only a name.
        start_seconds, end_seconds: the part of a video that counts; None is open-ended.
        data: the file's bytes, where a data set holds images in its rows; a read-only view where
            they, or their base64, lie in a mapped file.
        stated_seconds: duration of a video as the benchmark's row states it, where a protocol
            samples by that.
        upright: an image is turned by the orientation in its EXIF data, as the ``datasets`` library
            and transformers turn theirs; else its pixels are taken as they are stored.
        swap_red_blue: a video's frames are shown with these channels exchanged, as references do
            that hand OpenCV's frames on as they are; proofs of pixels are those before it.
        clue_seconds: starts and ends of the parts of a video that a benchmark's row names, where a
            protocol shows frames of those alone.
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
        """The path for messages and files of a run."""
        return shown_address(self.path)

    @property
    def content(self) -> bytes | memoryview | None:
        """The file's bytes, decoded where ``data`` is their base64."""
        data = self.data
        return base64.b64decode(data) if data is not None and is_base64(data) else data

    def __reduce__(self) -> tuple[type[Media], tuple[object, ...]]:
        """Pickle bytes in place of a view, which belongs to this process."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        if self.data is not None:
            values["data"] = bytes(self.data)
        return Media, tuple(values.values())

    @classmethod
    def of_image(cls, image: Image, name: str = "image") -> Media:
        """Return a medium of a PIL image; its RGB pixels are kept without loss.

        Args:
            image: in any mode; converted to RGB as images from files are.
            name: for messages and the ledger.
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
    """Return whether bytes are an image file's base64."""
    return str(image[:11], "latin-1").startswith(BASE64_BEGINNINGS)


@dataclass(frozen=True, slots=True)
class MediaProblem:
    """Something that is wrong with a medium which is shown all the same.

    Attributes:
        kind: what to count it as. ``damaged``: the decoder met damage, conceals it or stops early.
            ``truncated``: the file states more than it holds. ``replayed``: damage made a decode
            from the start necessary. ``fewer_frames``: the video, or its cut, has fewer frames
            than were asked for. ``unconfirmed_frames``: a server's count of tokens does not show
            that the model saw them.
        detail: one line for people.
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
    """Facts of a video (or of a cut of one) that are known before any frame is decoded.

    Attributes:
        path: the file.
        num_frames: frames that a plain decode from start to end shows (of the cut, if any).
        fps: average frames per second of the video.
        seconds: duration (of the cut, if any).
        width, height: size of the decoded frames in pixels, before rotation metadata.
        codec: libav's name of the codec, for instance "h264".
        rotation: degrees in [0, 360) that the file asks players to rotate by, counter-clockwise;
            decoded frames are not rotated.
        first_frame_index: number of the cut's first frame in the whole video, 0 without a cut.
        problems: what is known to be wrong with the file, at most one of each kind.
        stated_seconds: duration as the benchmark's row states it, where a protocol samples by that.
        clue_seconds: see :class:`Media`.
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
    """Proof of which pixels were read, so that what two tools showed to a model can be compared.

    Attributes:
        width, height: size of the frames as they were decoded, before any resizing.
        digests: for each frame the BLAKE2b digest (8 bytes, in hexadecimal digits) of its RGB bytes
            at that size: rows from the top, three bytes a pixel.
    """

    width: int
    height: int
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded frames of one video or image.

    Attributes:
        frames: uint8 RGB tensor (N, 3, H, W). As they were decoded, frames have the strides of
            (N, H, W, 3) memory (``frames.permute(0, 2, 3, 1)`` is contiguous), which resizing is
            faster on; resized ones may be laid out in another way.
        frame_indices: N numbers of the frames in the whole video, in the order asked for.
        pts_seconds: N presentation times in seconds.
        fps: average frames per second of the source, None for an image.
        num_source_frames: frames of the whole source.
        num_cut_frames: frames of the part of it that counts; None where all do.
        notes: how these pixels came about where that was not the ordinary way
            (for instance a sequential replay of a damaged stream).
        video: the video that the frames are of; None for an image.
        problems: what is wrong with the medium, at most one of each kind.
        proof: which pixels were read; None where nobody asked for that.
        is_resized: the frames are as the model's processor resizes and crops them.
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
        """How many frames these were chosen from, as far as that is known."""
        return self.num_cut_frames or self.num_source_frames or len(self)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The frames as pictures: RGB (N, H, W, 3), each in one piece of memory."""
        return self.frames.permute(0, 2, 3, 1).contiguous().numpy()

    def proven(self) -> Clip:
        """Return the clip with the proof of its frames, which must be as they were decoded."""
        pixels = self.pixels
        digests = tuple(hashlib.blake2b(frame.data, digest_size=8).hexdigest() for frame in pixels)
        height, width = pixels.shape[1:3]
        return replace(self, proof=PixelProof(width, height, digests))

    def frame(self, row: int) -> Clip:
        """Return one of the frames as a clip of its own.

        Args:
            row: of the frame among the N, from 0.
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
    """One medium of a sample as it was read, before any resizing, and the input made of it.

    Attributes:
        pts_seconds: presentation times of the frames, in the order shown; empty where a server
            chose them.
        proof: which pixels they were; None where they were not read here.
        problems: what is wrong with the medium, at most one of each kind.
        pixel_input_digest: of the model's input that was made of it, see
            :attr:`PreparedMedia.pixel_input_digest`.
    """

    pts_seconds: tuple[float, ...] = ()
    proof: PixelProof | None = None
    problems: tuple[MediaProblem, ...] = ()
    pixel_input_digest: str | None = None


class FrameDependentPart(Protocol):
    """A piece of the user's turn that depends on which frames are shown.

    Implementations are frozen, picklable and equal when they expand to the same.
    """

    @property
    def media(self) -> Media:
        """The video whose frames decide."""
        ...

    @property
    def path(self) -> str | None:
        """The file that it reads beside the video, for instance of subtitles; None for none."""
        ...

    @property
    def description(self) -> str:
        """The part in words: for prompts without media, and for a run's identity."""
        ...

    def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
        """Return the texts and images that it stands for; each clip is one frame.

        Raises:
            MediaError: a file that it needs is missing or damaged.
        """
        ...


Content = Sequence["str | Media | ShownMedia | FrameDependentPart"]


def prompt_text(content: Content) -> str:
    """Return the text of a user's turn as people read it.

    Media that all stand before the text are left out, as nearly always; otherwise each stands as
    ``<video>`` or ``<image>`` on a line of its own, and a frame-dependent part as
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
    """Return the levels that a sample has of a facet.

    "action+object" is two; "18+" and "10+ min" are one.

    Args:
        level: as a row states it.
        named: levels that are one as they stand, "action+object" among them.
    """
    # a short cut: a bootstrap calls this for each sample thousands of times
    if "+" not in level or level in named:
        return [level]
    levels = list(dict.fromkeys(level.split("+")))
    return levels if all(part and part == part.strip() for part in levels) else [level]


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a benchmark, ready to be asked.

    Attributes:
        id: unique within the benchmark.
        row: zero-based number of its row in the source.
        group: what errors cluster by, nearly always the video's id; of an address a digest stands
            in place of what may be a secret.
        content: the user's turn in order: text pieces, media, and pieces that depend on the frames.
        targets: accepted answers (a letter for multiple choice, references for captions); empty
            where the answers are hidden.
        choices: texts of a multiple-choice question's options, without their letters; empty for
            open questions.
        question: the bare question, without instructions or options.
        facets: columns to break results down by, e.g. {"duration": "short"}.
        options: no text of the prompt: replies whose likelihood is asked for instead of generating
            one (``continuations`` elsewhere), in the order of the choices; empty nearly always.
        media_root: the benchmark's folder of media; None where their paths are complete.
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
        """Refuse what a user's own adapter may give in place of texts, or of a tuple of them.

        ``targets=("yes")`` is a text, of which each letter would be an accepted answer.
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
        """The media of the turn, in order, then those that only frame-dependent parts need."""
        shown = [piece for piece in self.content if isinstance(piece, Media)]
        needed = dict.fromkeys(piece.media for piece in self.frame_dependent_parts)
        return (*shown, *(medium for medium in needed if medium not in shown))

    @property
    def media_names(self) -> tuple[str, ...]:
        """Paths of the media below the folder of media: the same wherever the data set lies."""
        return tuple(self._name(medium.name) for medium in self.media)

    def _name(self, path: str) -> str:
        root = self.media_root
        below = root is not None and PurePath(path).is_relative_to(root)
        return PurePath(path).relative_to(root).as_posix() if root and below else path

    @property
    def frame_dependent_parts(self) -> tuple[FrameDependentPart, ...]:
        """The pieces of the user's turn that depend on the frames, in order."""
        return tuple(piece for piece in self.content if not isinstance(piece, str | Media))

    @property
    def files(self) -> tuple[str, ...]:
        """The files that its prompt depends on beside its media."""
        parts = self.frame_dependent_parts
        return tuple(part.path for part in parts if part.path is not None)

    @property
    def prompt(self) -> str:
        """The user's text; see :func:`prompt_text`."""
        return prompt_text(self.content)


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How the model is asked to generate.

    Attributes:
        max_new_tokens: most tokens to generate.
        temperature: 0 is greedy decoding; above 0 samples.
        top_p: nucleus of sampled decoding.
        stop_strings: generation ends, and the text is cut, before the first of these.
        seed: sampled decoding derives one seed per sample from it.
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
    """One medium as the model takes it; requests that show it share this object.

    Attributes:
        kind: video or image.
        clip: the frames that are shown.
        inputs: for models that encode media apart from prompts: what the checkpoint's processor
            makes of the pixels, by argument name, for instance ``pixel_values_videos``
            (1, F, 3, H, W); leading dimension 1, on the CPU.
        token_ids: for the same models: the tokens that stand for it in a prompt.
        shown: the frames as the processor takes them: PIL images, or one tensor (F, 3, H, W); or
            the one thing that a user's own model made of them.
        shown_kinds: what the prompt shows: the medium itself, or each frame of a video as an image.
        pixel_input_digest: BLAKE2b digest (8 bytes, in hexadecimal digits) of what the checkpoint's
            processor makes of the medium alone, see
            :func:`llava_eval.models.local.pixels.pixel_input_digest`; None where it makes nothing
            of a medium without its prompt.
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
        """Numbers of the frames that are shown."""
        return self.clip.frame_indices

    @property
    def problems(self) -> tuple[MediaProblem, ...]:
        """None: it is shown as it was read."""
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
    """One medium as a model server takes it; requests that show it share this object.

    Attributes:
        kind: video or image.
        parts: the parts of a message's content that stand for it, as JSON values, in order.
        frame_indices: numbers of the frames that are shown; empty where the server chooses them.
        metadata: what is known of the whole video, by the names that servers use.
        size: height and width of the frames in pixels; None where the server chooses them.
        problems: what is wrong with the way in which it is shown.
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


#: One medium as a model takes it, wherever the model runs.
ShownMedia = PreparedMedia | ServedMedia


@dataclass(frozen=True, slots=True)
class Request:
    """One question with its prepared media, as the model runner takes it.

    Attributes:
        id: the sample's id, for messages and per-sample seeds.
        content: the user's turn: text pieces and media, in order.
        settings: generation settings.
        system: system text that the protocol asks for; None leaves the conversation's own.
        assistant_prefill: text that the assistant's turn already begins with.
        options: where given, nothing is generated: the texts whose likelihood as the assistant's
            turn is asked for.
        letters: of the question's options, where their log-probabilities are to be kept.
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
        """The media of the user's turn for a model of this process, in order."""
        return tuple(piece for piece in self.content if isinstance(piece, PreparedMedia))


@dataclass(frozen=True, slots=True)
class Generation:
    """The text that the model wrote for one sample, or why it wrote none.

    Attributes:
        text: the new text, without special tokens but those around reasoning; None exactly when
            there is an error. For answers by likelihood the likeliest option.
        num_input_tokens: prompt tokens, media placeholders included, padding not.
        num_output_tokens: generated tokens, the end token included.
        stop_reason: why generation ended: a :data:`StopReason`, or another tool's own word.
        error: one line that names the cause.
        option_losses: answers by likelihood: for each option the mean negative log-likelihood of
            its tokens, in nats.
        choice_logprobs: where they were asked for: for each option the log-probability, in nats,
            of its letter as the first new token (of that with or without a space before it, which
            is the likelier), among all tokens and before any temperature.
        published_correct: whether another tool counted the text as right, where its file says so.
        has_reasoning_apart: whether a server returned reasoning beside the text; None for no.
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
        """Return what came of a sample that ended with an error."""
        message = " ".join(str(error).split())
        return cls(text=None, error=f"{type(error).__name__}: {message}")


@dataclass(frozen=True, slots=True)
class Score:
    """The worth of one generation, as a scorer sees it.

    Attributes:
        value: the sample's score in [0, 1] (or the scorer's stated unit); None is not scored.
        answer: what was read from the text; None when nothing could be read.
        unreadable: the text held no answer that the rule could read.
        explanation: how the answer was read, or why there is none or no score, in words.
        details: further facts that a rule wants to keep, by name.
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


#: The score of a sample whose generation failed: nothing was scored.
NOT_SCORED = Score(value=None, answer=None, explanation="not scored: the sample failed")


@dataclass(frozen=True, slots=True)
class SampleResult:
    """One line of the ledger.

    Attributes:
        id, row, group, facets: as in the sample.
        question, choices: as in the sample.
        prompt: the user's text as it was asked.
        media: paths of the media, from the benchmark's media folder where they lie in it.
        frame_indices: for each medium of the sample the frames that were shown.
        target: accepted answers.
        generation, score: what came of it.
        inputs: for each medium of the sample what was read of it; empty where nothing was.
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
        """Facts that must be known of this sample beside its score; tables count each.

        Kinds of :class:`MediaProblem`; "cut_at_limit" (the reply reached its limit of tokens);
        "hidden_answer" (there is a reply, and nothing that it is compared with); and what the rule
        says of the reply or the answers: "has_reasoning", "chosen_at_random", "needs_frames",
        "few_answers".
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
        """Return the result of a sample of which nothing is read yet, and that is not scored.

        Args:
            sample: what was asked.
            generation: what came of it.
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
        """Return the result of a sample that ended with an error before anything was generated."""
        return cls.of(sample, Generation.failed(error))


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number of a table.

    Attributes:
        value: the metric in ``unit``; None when no sample had a score.
        stderr: standard error in the same unit, clustered by the samples' group; None when fewer
            than two groups had a score.
        ci_low, ci_high: 95 % confidence interval; None where there is none.
        num_samples: samples in the denominator.
        unit: unit of the published table, for instance "percent".
        note: what must be known of the number, or why there is none; empty for nothing.
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
        """Return that there is no number, and perhaps why."""
        return cls(None, None, None, None, num_samples, unit, note)
