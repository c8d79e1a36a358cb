"""``llava-eval frames diff``: what two runs, or a run and another tool, showed to a model."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from llava_eval import cli
from llava_eval.results.compare.frames import (
    FramesDifference,
    diff_frames,
    difference_text,
    first_seen_difference,
)
from llava_eval.types import Generation, MediaInput, PixelProof, SampleResult
from llava_eval.video import decode_frames
from tests.conftest import DEMO
from tests.results.runs_on_disk import answered, failed, write_run

VIDEO = DEMO / "videos" / "demo_002.mp4"


def seen(*media: tuple[tuple[int, ...], MediaInput], **more: Any) -> SampleResult:
    indices, inputs = zip(*media, strict=True)
    num_tokens = more.pop("num_input_tokens", None)
    generation = Generation("A", num_input_tokens=num_tokens)
    return answered(0, True, frame_indices=indices, inputs=inputs, generation=generation, **more)


def medium(
    *digests: str, indices: tuple[int, ...] = (), size: tuple[int, int] = (4, 2), made: Any = None
) -> tuple[tuple[int, ...], MediaInput]:
    read = MediaInput(proof=PixelProof(*size, digests), pixel_input_digest=made)
    return indices or tuple(range(len(digests))), read


@pytest.mark.parametrize(
    ("left", "right", "difference"),
    [
        (seen(medium("a", "b")), seen(medium("a", "b")), None),
        (seen(medium("a", "b")), seen(medium("a")), "2 and 1 frames"),
        (
            seen(medium("a", "b")),
            seen(medium("a", "c")),
            "frame 2 of 2: other pixels of index 1",
        ),
        (
            seen(medium("a", "b")),
            seen(medium("a", "c", indices=(0, 3))),
            "frame 2 of 2: index 1 and 3",
        ),
        (seen(medium("a", "a")), seen(medium("a", "a", indices=(0, 3))), None),  # a still video
        (seen(medium("a")), seen(medium("b", size=(8, 4))), "frames of 4x2 and 8x4 pixels"),
        (
            seen(((0, 4), MediaInput())),
            seen(((0, 5), MediaInput())),
            "frame 2 of 2: index 4 and 5",
        ),
        (seen(medium("a", "b")), seen(((0, 1), MediaInput())), None),  # no pixels of one side
        (seen(medium("a")), seen(medium("a"), medium("a")), "1 and 2 media"),
        (
            seen(medium("a"), medium("b")),
            seen(medium("a"), medium("c")),
            "medium 2: frame 1 of 1: other pixels of index 0",
        ),
        (
            seen(medium("a", made="x")),
            seen(medium("a", made="y")),
            "the same frames, other pixel values of the processor",
        ),
        (seen(medium("a", made="x")), seen(medium("a")), None),  # a server's, an older run's
        (seen(medium("a"), prompt="x"), seen(medium("a"), prompt="y"), "the text of the prompt"),
        (seen(medium("a"), num_input_tokens=5), seen(medium("a")), None),
        (
            seen(medium("a"), num_input_tokens=5),
            seen(medium("a"), num_input_tokens=6),
            "a prompt of 5 and of 6 tokens",
        ),
    ],
)
def test_the_first_difference_is_named(
    left: SampleResult, right: SampleResult, difference: str | None
) -> None:
    assert first_seen_difference(left, right) == difference


def result_of(number: int, indices: tuple[int, ...]) -> SampleResult:
    """Return the result of a question that was shown frames of a real video."""
    clip = decode_frames(str(VIDEO), indices)
    inputs = (MediaInput(clip.pts_seconds, clip.proven().proof),)
    return answered(number, True, media=(VIDEO.name,), frame_indices=(indices,), inputs=inputs)


def test_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    first = [result_of(0, (0, 8)), result_of(1, (0, 8)), failed(2), answered(3, True)]
    bare = dataclasses.replace(first[3], frame_indices=())
    write_run(tmp_path / "a", first, config={"errors.max": 1})
    write_run(tmp_path / "b", [first[0], result_of(1, (0, 9)), failed(2), bare])
    assert cli.run_command(["frames", "diff", "a", "a"]) == 0
    assert "0 of 3 samples saw something else." in capsys.readouterr().out
    assert cli.run_command(["frames", "diff", "a", "b"]) == 1
    text = capsys.readouterr().out
    assert "q1      demo_002.mp4  frame 2 of 2: index 8 and 9" in text
    assert "1 of 2 samples saw something else; of 1 sample one side does not know" in text
    assert max(map(len, text.splitlines())) <= 80
    for words, arguments in (
        ("there is no run directory or folder of pictures c", ["a", "c"]),
        ("there is no run directory nowhere", ["nowhere", "a"]),
    ):
        assert cli.run_command(["frames", "diff", *arguments]) == 2
        assert words in capsys.readouterr().err


def test_pictures_of_another_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results = [result_of(number, (0, 8, 10)) for number in range(2)]
    write_run(tmp_path / "run", results)
    frames = decode_frames(str(VIDEO), (0, 8, 10)).frames.permute(0, 2, 3, 1).numpy()
    for name in ("pictures/demo_002", "other/q1", "other/demo_002"):
        (tmp_path / name).mkdir(parents=True)
        for number, pixels in enumerate(frames):
            changed = pixels.copy()
            if name == "other/q1" and number == 2:
                changed[0, 0, 0] ^= 1
            # In natural order 10 comes after 9.
            Image.fromarray(changed).save(tmp_path / name / f"frame_{8 + number}.png")
    (tmp_path / "pictures" / "demo_002" / ".DS_Store").write_bytes(b"Bud1")
    assert cli.run_command(["frames", "diff", "run", "pictures"]) == 0
    capsys.readouterr()
    assert cli.run_command(["frames", "diff", "run", "other"]) == 1
    assert "q1      demo_002.mp4  frame 3 of 3: other pixels of index 10" in capsys.readouterr().out
    (tmp_path / "other" / "q1" / "frame_11.png").write_text("no picture")
    assert cli.run_command(["frames", "diff", "run", "other"]) == 2
    assert "frame_11.png is no picture that can be read" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert cli.run_command(["frames", "diff", "run", "empty"]) == 2
    assert "no sample of which both sides know" in capsys.readouterr().err


def test_a_digest_is_of_rgb_bytes_as_anybody_can_compute_it() -> None:
    clip = decode_frames(str(VIDEO), (5,))
    proof = clip.proven().proof
    pixels = np.asarray(Image.fromarray(clip.frames[0].permute(1, 2, 0).numpy()))
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=8).hexdigest()
    assert proof == PixelProof(pixels.shape[1], pixels.shape[0], (digest,))


def test_old_runs_know_their_indices_alone(tmp_path: Path) -> None:
    results = [answered(0, True), answered(1, True, frame_indices=((0, 5, 8),))]
    old, other = write_run(tmp_path / "old", results[:1]), write_run(tmp_path / "other", results)
    assert diff_frames(old, other)[0].num_same == 1
    moved = write_run(tmp_path / "moved", [answered(0, True, frame_indices=((0, 5, 8),))])
    assert diff_frames(old, moved)[0].changed == {"q0": "frame 3 of 3: index 9 and 8"}


def difference(num_changed: int, num_unknown: int) -> FramesDifference:
    names = [f"q{number}" for number in range(num_changed)]
    unknown = [f"u{number}" for number in range(num_unknown)]
    return FramesDifference(
        3, dict.fromkeys(names, "2 and 1 frames"), unknown, {name: ["a.mp4", "b"] for name in names}
    )


def test_what_differs_is_listed_and_counted() -> None:
    assert difference_text(difference(0, 0)) == "0 of 3 samples saw something else."
    table, words = difference_text(difference(21, 2)).split("\n\n")
    lines = [line.split(maxsplit=1) for line in table.splitlines()]
    assert lines[0] == ["sample", "media     first difference"]
    assert [line[0] for line in lines[1:]] == [f"q{number}" for number in range(20)]
    assert {line[1] for line in lines[1:]} == {"a.mp4, b  2 and 1 frames"}
    assert " ".join(words.split()) == (
        "21 of 24 samples saw something else; of 2 samples one side does not know what it was "
        "shown."
    )


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([(4, 2), (4, 2)], "frame 1 of 2: other pixels of index 0"),
        ([(8, 4), (8, 4)], "frames of 4x2 and 8x4 pixels"),
        ([(4, 2), (8, 4)], "frame 1 of 2: other pixels of index 0"),  # no size of all
        ([(8, 4)], "2 and 1 frames"),
    ],
)
def test_pictures_have_a_size_where_all_have_the_same(
    tmp_path: Path, sizes: list[tuple[int, int]], told: str
) -> None:
    read = MediaInput((0.0, 1.0), PixelProof(4, 2, ("a", "b")))
    results = [answered(0, True, frame_indices=((0, 7),), inputs=(read,))]
    run = write_run(tmp_path / "run", results)
    (tmp_path / "pictures" / "q0").mkdir(parents=True)
    for number, size in enumerate(sizes):
        Image.new("RGB", size).save(tmp_path / "pictures" / "q0" / f"{number}.png")
    found, title = diff_frames(run, tmp_path / "pictures")
    assert found.changed == {"q0": told}
    assert title == f"{run} and {tmp_path / 'pictures'}"


def test_samples_that_failed_or_of_which_nothing_is_known_are_not_compared(tmp_path: Path) -> None:
    silent = answered(2, True, frame_indices=())
    left = [answered(0, True), failed(1), silent, answered(3, True), answered(4, True)]
    right = [answered(0, True), answered(1, True), silent, failed(3)]
    paths = [
        write_run(tmp_path / name, side, config={"errors.max": 1})
        for name, side in (("left", left), ("right", right))
    ]
    found, _ = diff_frames(*paths)
    assert (found.num_same, found.changed, found.unknown) == (1, {}, ["q2"])
    assert found.absent == ["q1", "q3", "q4"]
    assert " ".join(difference_text(found).split()).endswith(
        "3 samples that one side lacks, or that failed there, not compared: q1, q3, q4."
    )
