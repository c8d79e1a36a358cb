"""The ledger: the contract of a line, torn lines, and a full disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_eval.errors import RunDirectoryError, StorageError
from llava_eval.results.ledger import LedgerWriter, from_line, read_ledger, rewrite_ledger, to_line
from llava_eval.types import NOT_SCORED, Generation, MediaInput, MediaProblem, PixelProof, Score
from tests.results.helpers import make_result


def test_a_line_has_the_layout_that_other_programs_read() -> None:
    result = make_result(4, score=Score(0.0, "B", details={"rule": "phrase"}))
    assert json.loads(to_line(result)) == {
        "id": "q4",
        "row": 4,
        "group": "video 1",
        "facets": {"duration": "long"},
        "question": "Which?",
        "choices": ["x", "y"],
        "prompt": "Which?\nA. x\nB. y",
        "media": ["1.mp4"],
        "frame_indices": [0, 5, 9],
        "target": ["A"],
        "generation": {
            "text": "A",
            "num_input_tokens": 12,
            "num_output_tokens": 2,
            "stop_reason": "eos",
            "error": None,
        },
        "score": {"value": 0.0, "answer": "B", "unreadable": False, "rule": "phrase"},
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"frame_indices": ()},
        {"generation": Generation("x", 3, 4, None, option_losses=(0.5, 1.25))},
        {"frame_indices": ((0, 1), (2,))},
        {"generation": Generation(text=None, error="MediaError: broken"), "score": NOT_SCORED},
        {"score": Score(None, None, unreadable=True, details={"a": [1, None]})},
    ],
)
def test_a_line_read_back_is_the_same_result(changes: dict[str, Any]) -> None:
    result = make_result(1, **changes)
    assert from_line(to_line(result)) == result


@pytest.mark.slow
@given(st.text())
def test_any_text_is_one_line_and_comes_back(text: str) -> None:
    result = make_result(1, generation=Generation(text, 1, 1, "eos"))
    line = to_line(result)
    assert len(line.splitlines()) == 1
    assert from_line(line) == result


def test_half_a_surrogate_pair_survives(tmp_path: Path) -> None:
    result = make_result(1, generation=Generation("bad \ud800 text", 1, 1, "eos"))
    with LedgerWriter(tmp_path / "samples.jsonl") as ledger:
        ledger.append(result)
    assert read_ledger(tmp_path / "samples.jsonl") == [result]


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with LedgerWriter(path) as ledger:
        ledger.append(make_result(0))
        ledger.append(make_result(1))
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    for length in range(second, len(whole)):
        path.write_bytes(whole[:length])
        assert read_ledger(path) == [make_result(0)]


def test_one_that_cannot_be_read_is_no_failing_write(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="cannot be read: is a folder"):
        read_ledger(tmp_path)
    assert read_ledger(tmp_path / "none") == []
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RunDirectoryError, match="cannot be read: Too many levels"):
        read_ledger(tmp_path / "loop")


def test_another_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(f'{to_line(make_result(0))}\n{{"id": "x"}}\n{to_line(make_result(1))}\n')
    with pytest.raises(RunDirectoryError, match=r"samples\.jsonl, line 2 is damaged"):
        read_ledger(path)


def test_a_sample_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(f"{to_line(make_result(0))}\n" * 2)
    with pytest.raises(RunDirectoryError, match="'q0' is there twice"):
        read_ledger(path)


def test_the_final_order_is_that_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    results = [make_result(number) for number in range(4)]
    rewrite_ledger(path, reversed(results))
    assert read_ledger(path) == results
    assert [file.name for file in tmp_path.iterdir()] == ["samples.jsonl"]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.symlink_to("/dev/full")
    with (
        LedgerWriter(path) as ledger,
        pytest.raises(StorageError, match=r"No space left.*finished samples are kept"),
    ):
        ledger.append(make_result(0))


@pytest.mark.parametrize("is_replaced", [False, True])
def test_no_line_goes_to_a_file_that_is_not_there_any_more(
    tmp_path: Path, is_replaced: bool
) -> None:
    path = tmp_path / "samples.jsonl"
    with LedgerWriter(path) as ledger:
        ledger.append(make_result(0))
        path.unlink()
        if is_replaced:
            path.touch()
        with pytest.raises(StorageError, match="was removed or replaced while the run was writing"):
            ledger.append(make_result(1))


def test_what_was_read_of_media_is_kept_to_the_microsecond() -> None:
    problem = MediaProblem("damaged", "a macroblock is missing")
    proof = PixelProof(4, 2, ("aa", "bb"))
    read = (MediaInput((0.0, 1.00000049), proof, (problem,), "cc"), MediaInput((2.5,)))
    result = make_result(0, inputs=read, frame_indices=((0, 9), (3,)))
    content = json.loads(to_line(result))
    assert content["inputs"] == [
        {
            "pts_seconds": [0.0, 1.0],
            "proof": {"width": 4, "height": 2, "digests": ["aa", "bb"]},
            "problems": [{"kind": "damaged", "detail": "a macroblock is missing"}],
            "pixel_input_digest": "cc",
        },
        {"pts_seconds": [2.5]},
    ]
    back = from_line(to_line(result)).inputs
    assert (back[0].proof, back[0].problems, back[1]) == (proof, (problem,), read[1])
    assert "inputs" not in json.loads(to_line(make_result(0)))
