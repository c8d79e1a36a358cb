"""Samples of two runs that were shown different frames: ``llava-eval frames diff``.

A ledger line records the index, the time and the digest of the decoded RGB bytes of each frame,
and for each medium a digest of the model's pixel input. Another tool's frames are compared as
lossless pictures in a folder: the frames of one sample in FOLDER/ID, or those of one video in
FOLDER/NAME (its file name without the extension), in natural order.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from llava_eval.borders.paths import is_folder, open_file
from llava_eval.errors import ComparisonError
from llava_eval.results.formatting import Table, count, listed, printable, wrapped
from llava_eval.results.runs import Run, RunReader, is_run, natural_order
from llava_eval.types import MediaInput, PixelProof, SampleResult

#: The most samples that are listed.
SHOWN_SAMPLES = 20


#: One medium as it was shown: indices of its frames, and its recorded input; empty if unknown.
Shown = tuple[tuple[int, ...], MediaInput]


@dataclass(frozen=True)
class FramesDifference:
    """The differences between the frames and prompts that the same samples saw on two sides.

    Attributes:
        num_same: number of samples without a difference.
        changed: the first difference of each other sample, by id.
        unknown: ids of samples whose frames one side did not record.
        media: names of each sample's media, by id.
        absent: ids of samples that failed, or are missing, on one side.
    """

    num_same: int
    changed: Mapping[str, str]
    unknown: Sequence[str]
    media: Mapping[str, Sequence[str]]
    absent: Sequence[str] = ()


def _answered(run: Run) -> dict[str, SampleResult]:
    return {item.id: item for item in run.results if item.generation.error is None}


def _media_of(result: SampleResult) -> list[Shown]:
    inputs = result.inputs or [MediaInput()] * len(result.frame_indices)
    return list(zip(result.frame_indices, inputs, strict=False))


def _num_frames(medium: Shown) -> int:
    indices, read = medium
    return max(len(indices), len(read.proof.digests) if read.proof else 0)


def _compare_seen(run: Run, seen: Mapping[str, SampleResult]) -> FramesDifference:
    """Compare what the samples of a run saw with what they saw on another side, by sample id."""
    changed: dict[str, str] = {}
    unknown, num_same = [], 0
    media = {result.id: result.media for result in run.results}
    answered = _answered(run)
    for name, left in answered.items():
        if (right := seen.get(name)) is None:
            continue
        sides = _media_of(left), _media_of(right)
        if not all(side and all(map(_num_frames, side)) for side in sides):
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


def first_seen_difference(left: SampleResult, right: SampleResult) -> str | None:
    """Return the first difference between two sides in words; None if they saw the same.

    If both recorded digests of pixels, these decide: a still video has equal frames at any index.
    """
    sides = _media_of(left), _media_of(right)
    if len(sides[0]) != len(sides[1]):
        return f"{len(sides[0])} and {len(sides[1])} media"
    for number, media in enumerate(zip(*sides, strict=True), start=1):
        difference = _media_difference(*media)
        if difference is not None:
            return difference if len(sides[0]) == 1 else f"medium {number}: {difference}"
    if left.prompt != right.prompt:
        return "the text of the prompt"
    tokens = (left.generation.num_input_tokens, right.generation.num_input_tokens)
    if None not in tokens and tokens[0] != tokens[1]:
        return f"a prompt of {tokens[0]} and of {tokens[1]} tokens"
    return None


def _media_difference(left: Shown, right: Shown) -> str | None:
    if _num_frames(left) != _num_frames(right):
        return f"{_num_frames(left)} and {_num_frames(right)} frames"
    proofs = [read.proof for _, read in (left, right) if read.proof is not None]
    sizes = [f"{proof.width}x{proof.height}" for proof in proofs]
    if len(set(sizes)) > 1 and _NO_SIZE not in sizes:
        return f"frames of {sizes[0]} and {sizes[1]} pixels"
    by_pixels = len(proofs) == 2 and all(proof.digests for proof in proofs)
    sides = [proof.digests for proof in proofs] if by_pixels else [left[0], right[0]]
    for number, (first, second) in enumerate(zip(*sides, strict=False)):
        if first != second:
            return f"frame {number + 1} of {_num_frames(left)}: {_at(number, left[0], right[0])}"
    processed = {read.pixel_input_digest for _, read in (left, right)} - {None}
    return "the same frames, other pixel values of the processor" if len(processed) > 1 else None


def _at(number: int, left: Sequence[int], right: Sequence[int]) -> str:
    """Return how two frames differ: by index if both are known, or by their pixels."""
    if number >= len(left):
        return "other pixels"
    if number >= len(right) or left[number] == right[number]:
        return f"other pixels of index {left[number]}"
    return f"index {left[number]} and {right[number]}"


def _pictures_in(folder: Path, run: Run) -> dict[str, SampleResult]:
    """Return the samples of a run with the frames in a folder of pictures, see the module."""
    medium_in = functools.cache(_read_pictures)
    seen = {}
    for result in run.results:
        names = [result.id] if len(result.media) == 1 and is_folder(folder / result.id) else None
        names = names or [PurePath(path).stem for path in result.media]
        if names and all(name and is_folder(folder / name) for name in names):
            inputs = tuple(medium_in(folder / name) for name in names)
            seen[result.id] = replace(result, frame_indices=((),) * len(names), inputs=inputs)
    return seen


#: The size that is recorded for pictures of different sizes.
_NO_SIZE = "0x0"


def _read_pictures(folder: Path) -> MediaInput:
    from PIL import Image

    digests, sizes = [], set()
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))
    for path in sorted(shown, key=lambda path: natural_order(path.name)):
        try:
            with open_file(path) as stream, Image.open(stream) as image:
                pixels = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ComparisonError(f"{path} is no picture that can be read: {error}") from error
        sizes.add(pixels.size)
        digests.append(hashlib.blake2b(pixels.tobytes(), digest_size=8).hexdigest())
    width, height = sizes.pop() if len(sizes) == 1 else (0, 0)
    return MediaInput(proof=PixelProof(width, height, tuple(digests)))


def difference_text(result: FramesDifference, *, width: int = 80) -> str:
    """Return a difference as text for the terminal.

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
        right: another run directory, or a folder of pictures.

    Returns:
        The difference, and a line that names both sides.

    Raises:
        ComparisonError: one of them cannot be read, or they cannot be compared.
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
