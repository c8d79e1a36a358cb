"""Samples of two runs that were shown different frames: ``llava-eval frames diff``.

A ledger line keeps for each frame its index, time and the digest of its RGB bytes as they were
decoded, and for each medium a digest of what the model's processor made of it. Another tool's
frames are compared as pictures without loss in a folder: the frames of one sample in FOLDER/ID, or
those of one video in FOLDER/NAME (its file name without the ending), in natural order.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from llava_eval.borders.paths import is_folder, open_file
from llava_eval.errors import ComparisonError
from llava_eval.results.formatting import Table, count, listed, printable, wrapped
from llava_eval.results.runs import Run, RunReader, is_run, natural_order
from llava_eval.types import MediaInput, SampleResult

#: Samples that are listed.
SHOWN_SAMPLES = 20


@dataclass(frozen=True)
class SeenMedia:
    """One medium as it was shown, as far as it is known.

    Attributes:
        frame_indices: of the frames in the video; empty where they are not known.
        digests: of the RGB bytes of each frame; empty where they are not known.
        size: width and height of the frames in pixels; None where they are not known.
        pixel_input_digest: of the model's input that was made of them; None where it is not known.
    """

    frame_indices: tuple[int, ...] = ()
    digests: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    pixel_input_digest: str | None = None

    @classmethod
    def of(cls, frame_indices: tuple[int, ...], read: MediaInput) -> SeenMedia:
        """Return what a ledger line says of a medium."""
        proof, digest = read.proof, read.pixel_input_digest
        if proof is None:
            return cls(frame_indices, pixel_input_digest=digest)
        return cls(frame_indices, proof.digests, (proof.width, proof.height), digest)

    @property
    def num_frames(self) -> int:
        """Frames that were shown, as far as it is known."""
        return max(len(self.frame_indices), len(self.digests))


@dataclass(frozen=True)
class Seen:
    """The media and prompt that one sample was shown.

    Attributes:
        media: in order.
        prompt: the user's text; None where it is not known.
        num_input_tokens: of the whole prompt; None where they are not known.
    """

    media: tuple[SeenMedia, ...]
    prompt: str | None = None
    num_input_tokens: int | None = None

    @classmethod
    def of(cls, result: SampleResult) -> Seen:
        """Return what a ledger line says."""
        inputs = result.inputs or [MediaInput()] * len(result.frame_indices)
        media = tuple(map(SeenMedia.of, result.frame_indices, inputs))
        return cls(media, result.prompt, result.generation.num_input_tokens)


@dataclass(frozen=True)
class FramesDifference:
    """The differences between what two sides showed to the same samples.

    Attributes:
        num_same: samples that saw the same.
        changed: by sample id, the first difference.
        unknown: ids of samples of which one side does not know what they saw.
        media: by sample id, names of its media.
        absent: ids of samples that failed on one side, or that it lacks.
    """

    num_same: int
    changed: Mapping[str, str]
    unknown: Sequence[str]
    media: Mapping[str, Sequence[str]]
    absent: Sequence[str] = ()


def _answered(run: Run) -> dict[str, Seen]:
    return {item.id: Seen.of(item) for item in run.results if item.generation.error is None}


def _compare_seen(run: Run, seen: Mapping[str, Seen]) -> FramesDifference:
    """Compare what the samples of a run saw with what another side showed them, by sample id."""
    changed: dict[str, str] = {}
    unknown, num_same = [], 0
    media = {result.id: result.media for result in run.results}
    answered = _answered(run)
    for name, left in answered.items():
        if (right := seen.get(name)) is None:
            continue
        if not all(
            side.media and all(medium.num_frames for medium in side.media) for side in (left, right)
        ):
            unknown.append(name)
        elif (difference := first_seen_difference(left, right)) is None:
            num_same += 1
        else:
            changed[name] = difference
    if not changed and not num_same:
        raise ComparisonError(
            f"{run.name}: there is no sample of which both sides know what it was shown"
        )
    absent = [name for name in {**media, **seen} if name not in answered or name not in seen]
    return FramesDifference(num_same, changed, unknown, media, absent)


def first_seen_difference(left: Seen, right: Seen) -> str | None:
    """Return the first thing in which two sides differ, in words; None where they saw the same.

    Where both know the pixels, the pixels decide: a still video shows the same at any index.
    """
    if len(left.media) != len(right.media):
        return f"{len(left.media)} and {len(right.media)} media"
    for number, media in enumerate(zip(left.media, right.media, strict=True), start=1):
        difference = _media_difference(*media)
        if difference is not None:
            return difference if len(left.media) == 1 else f"medium {number}: {difference}"
    if None not in (left.prompt, right.prompt) and left.prompt != right.prompt:
        return "the text of the prompt"
    tokens = (left.num_input_tokens, right.num_input_tokens)
    if None not in tokens and tokens[0] != tokens[1]:
        return f"a prompt of {tokens[0]} and of {tokens[1]} tokens"
    return None


def _media_difference(left: SeenMedia, right: SeenMedia) -> str | None:
    if left.num_frames != right.num_frames:
        return f"{left.num_frames} and {right.num_frames} frames"
    if left.size is not None and right.size is not None and left.size != right.size:
        sizes = [f"{width}x{height}" for width, height in (left.size, right.size)]
        return f"frames of {sizes[0]} and {sizes[1]} pixels"
    by_pixels = bool(left.digests and right.digests)
    columns = (
        (left.digests, right.digests) if by_pixels else (left.frame_indices, right.frame_indices)
    )
    for number, shown in enumerate(zip(*columns, strict=False)):
        if shown[0] != shown[1]:
            what = f"frame {number + 1} of {left.num_frames}"
            indices = [side.frame_indices[number : number + 1] for side in (left, right)]
            if indices[0] and indices[1] and indices[0] != indices[1]:
                return f"{what}: index {indices[0][0]} and {indices[1][0]}"
            return f"{what}: other pixels{f' of index {indices[0][0]}' if indices[0] else ''}"
    made = {left.pixel_input_digest, right.pixel_input_digest} - {None}
    return "the same frames, other pixel values of the processor" if len(made) > 1 else None


def _pictures_in(folder: Path, run: Run) -> dict[str, Seen]:
    """Return what a folder of pictures, see the module, shows to the samples of a run."""
    medium_in = functools.cache(_read_pictures)
    seen = {}
    for result in run.results:
        names = [result.id] if len(result.media) == 1 and is_folder(folder / result.id) else None
        names = names or [PurePath(path).stem for path in result.media]
        if names and all(name and is_folder(folder / name) for name in names):
            seen[result.id] = Seen(tuple(medium_in(folder / name) for name in names))
    return seen


def _read_pictures(folder: Path) -> SeenMedia:
    from PIL import Image

    digests, sizes = [], set()
    for path in sorted(folder.iterdir(), key=lambda path: natural_order(path.name)):
        try:
            with open_file(path) as stream, Image.open(stream) as image:
                pixels = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ComparisonError(f"{path} is no picture that can be read: {error}") from error
        sizes.add(pixels.size)
        digests.append(hashlib.blake2b(pixels.tobytes(), digest_size=8).hexdigest())
    return SeenMedia(digests=tuple(digests), size=sizes.pop() if len(sizes) == 1 else None)


def difference_text(result: FramesDifference, *, width: int = 80) -> str:
    """Return a difference for a terminal.

    Args:
        result: the difference.
        width: columns of the terminal.
    """
    total = result.num_same + len(result.changed)
    text = f"{len(result.changed)} of {count(total, 'sample')} saw something else"
    if result.unknown:
        text += (
            f"; of {count(len(result.unknown), 'sample')} one side does not know what it was shown"
        )
    if result.absent:
        text += (
            f". {count(len(result.absent), 'sample')} that one side lacks, or that failed there, "
            f"not compared: {listed(result.absent)}"
        )
    blocks = [wrapped(f"{text}.", width)]
    if result.changed:
        rows = [
            [sample, ", ".join(result.media[sample]), difference]
            for sample, difference in list(result.changed.items())[:SHOWN_SAMPLES]
        ]
        table = Table(["sample", "media", "first difference"], rows, num_names=3)
        blocks.insert(0, table.to_text(width))
    return "\n\n".join(blocks)


def diff_frames(left: Path, right: Path) -> tuple[FramesDifference, str]:
    """Compare what the samples of two runs saw, or of a run and a folder of pictures.

    Args:
        left: a run directory.
        right: another one, or a folder of pictures.

    Returns:
        The difference, and a line that says of what it is.

    Raises:
        ComparisonError: they cannot be read or compared.
        RunDirectoryError: a ledger or manifest is damaged.
    """
    reader = RunReader()
    run = reader.read(left)
    if is_run(right):
        seen = _answered(reader.read(right))
    elif is_folder(right):
        seen = _pictures_in(right, run)
    else:
        raise ComparisonError(f"there is no run directory or folder of pictures {right}")
    return _compare_seen(run, seen), f"{run.name} and {printable(str(right))}"
