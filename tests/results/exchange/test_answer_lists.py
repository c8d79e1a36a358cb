"""What image benchmarks hand in where the answers are hidden."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from llava_eval import cli
from llava_eval.config.compose import compose_config
from llava_eval.errors import ConfigError
from llava_eval.results.exchange.submission import answer_list, sheet
from llava_eval.run import Outcome, score
from tests.conftest import write_lines

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def handed_in(folder: Path, name: str, rows: list[dict[str, Any]], texts: list[str]) -> Outcome:
    source = write_lines(folder / "rows.jsonl", rows)
    lines = [{"row": number, "text": text} for number, text in enumerate(texts)]
    overrides = [f"benchmark={name}", f"benchmark.source={source}"]
    return score(
        compose_config([*overrides, f"output_dir={folder / 'out'}"]),
        write_lines(folder / "texts.jsonl", lines),
    )


def submission(folder: Path) -> Any:
    return json.loads((folder / "out" / "submission.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_vqav2_s_answers_are_normalised_as_llava_hands_them_in(tmp_path: Path) -> None:
    rows = [{"question_id": 10 + n, "question": "What?"} for n in range(3)]
    outcome = handed_in(tmp_path, "vqav2/official", rows, ["The Dog's, two!", " Left-right."])
    assert submission(tmp_path) == [
        {"question_id": 10, "answer": "dog 's 2"},
        {"question_id": 11, "answer": "left right"},
        {"question_id": 12, "answer": ""},  # failed: the server wants every question
    ]
    assert outcome.summary.num_scored == 0
    assert outcome.summary.metrics["accuracy"].value is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        (
            "vqav2/lmms_eval",
            {"question_id": 5, "question": "?", "answers": None},
            {"question_id": 5, "answer": "The Dog."},
        ),
        ("textvqa/lmms_eval", {"question_id": 5, "question": "?"}, ("question_id", 5, "dog")),
        (
            "vizwiz/lmms_eval",
            {"question_id": "VizWiz_test_00000000", "question": "?"},
            ("image", "VizWiz_test_00000000.jpg", "dog"),
        ),
        (
            "docvqa/lmms_eval",
            {"questionId": "57344", "question": "?"},
            {"questionId": 57344, "answer": " The Dog. "},
        ),
        (
            "coco2014/lmms_eval",
            {"question_id": "COCO_test2014_000000391895.jpg"},
            {"image_id": 391895, "caption": " The Dog. "},
        ),
        ("nocaps/lmms_eval", {"image_id": 3}, {"image_id": 3, "caption": " The Dog. "}),
    ],
)
def test_a_server_s_own_form(
    tmp_path: Path, name: str, row: dict[str, Any], expected: dict[str, Any] | tuple[str, Any, str]
) -> None:
    handed_in(tmp_path, name, [row], [" The Dog. "])
    if isinstance(expected, tuple):
        expected = {expected[0]: expected[1], "answer": expected[2]}
    assert submission(tmp_path) == [expected]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        (
            "docvqa/lmms_eval",
            {"questionId": "7", "question": "?"},
            [{"questionId": 7, "answer": "12"}],
        ),
        ("nocaps/lmms_eval", {"image_id": 3}, [{"image_id": 3, "caption": "12"}]),
        (  # MMMU of lmms-eval v0.2.0, which knew no reasoning
            "mmmu/lmms_eval_v0_2",
            {"id": "test_Art_7", "question": "?", "options": "[]", "question_type": "open"},
            {"test_Art_7": "<think>It says 11, no.</think>\n12"},
        ),
    ],
)
def test_reasoning_is_handed_in_where_the_reference_keeps_it_alone(
    tmp_path: Path, name: str, row: dict[str, Any], expected: Any
) -> None:
    handed_in(tmp_path, name, [row], ["<think>It says 11, no.</think>\n12"])
    assert submission(tmp_path) == expected


@pytest.mark.slow
def test_mmmu_s_test_set_is_handed_in_by_id(tmp_path: Path) -> None:
    row = {"id": "test_Art_7", "question": "?", "options": "['x', 'y']", "answer": "?"}
    handed_in(tmp_path, "mmmu/lmms_eval_v0_2", [{**row, "question_type": "multiple-choice"}], ["A"])
    assert submission(tmp_path) == {"test_Art_7": "A"}


@pytest.mark.slow
def test_mmmu_of_lmms_eval_0_7_3_hands_in_the_letter_that_is_read(tmp_path: Path) -> None:
    """The letter alone, as its to_submission_answer gives it."""
    row = {"id": "test_Art_7", "question": "?", "options": "['x', 'y']", "answer": "?"}
    asked = {**row, "question_type": "multiple-choice"}
    handed_in(tmp_path, "mmmu/lmms_eval_v0_7_3", [asked], ["<think>(A)?</think>It is (B)."])
    assert submission(tmp_path) == {"test_Art_7": "B"}


@pytest.mark.slow
def test_mmbench_is_handed_in_as_a_sheet(tmp_path: Path) -> None:
    row = {"index": 241, "question": "<&?", "A": "x", "B": "\x0by", "C": None, "D": None}
    rows = [row, {**row, "index": 1000241, "A": "y", "B": "x"}]
    handed_in(tmp_path, "mmbench/lmms_eval", rows, [" _x0041_ B\n"])
    assert not (tmp_path / "out" / "submission.json").exists()
    content = (tmp_path / "out" / "submission.xlsx").read_bytes()
    assert cells(content) == [
        ["index", "question", "A", "B", "C", "D", "prediction", "l2_category", "category"],
        ["241", "<&?", "x", "_x000B_y", " _x005F_x0041_ B\n", "unknown", "unknown"],
        ["1000241", "<&?", "y", "x", "unknown", "unknown"],
    ]


def cells(content: bytes) -> list[list[str]]:
    """Return the written cells of each row, as an XML parser reads them."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        tree = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    return [
        ["".join(cell.itertext()) for cell in row.iter(f"{MAIN}c")]
        for row in tree.iter(f"{MAIN}row")
    ]


def test_a_sheet_names_its_cells_beyond_z_and_is_the_same_every_time() -> None:
    content = sheet([[str(number) for number in range(28)]])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = archive.read("xl/worksheets/sheet1.xml").decode()
    assert 'r="Z1"' in text
    assert 'r="AB1"' in text
    assert sheet([["a", 1]]) == sheet([["a", 1]])


@pytest.mark.slow
def test_another_form_of_answer_is_named(tmp_path: Path) -> None:
    row = {"questionId": "1", "question": "?", "answers": ["x"]}
    handed_in(tmp_path, "docvqa/lmms_eval", [row], ["x"])
    overrides = ["benchmark=docvqa/lmms_eval", "benchmark.submission.answer=raw"]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match=r"benchmark\.submission\.answer: got 'raw'"):
        score(
            compose_config(
                [
                    *overrides,
                    f"benchmark.source={tmp_path / 'rows.jsonl'}",
                    f"output_dir={tmp_path / 'other'}",
                ]
            ),
            tmp_path / "texts.jsonl",
        )


def test_no_results_are_an_empty_list() -> None:
    assert answer_list([], id_key="id", answer="text") == []


@pytest.mark.parametrize(
    ("setting", "names", "written"),
    [
        ("benchmark.submission.id_form=trailing_number", ["a_1", "b_1"], "1"),
        ("+benchmark.submission.id_format=x", ["a", "b"], "'x'"),
    ],
)
def test_samples_that_a_list_would_mix_up_are_named_before_anything_is_done(
    setting: str,
    names: list[str],
    written: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"question_id": name, "question": "What?"} for name in names]
    texts = [{"id": name, "text": "x"} for name in names]
    words = [
        "score",
        "benchmark=vqav2/lmms_eval",
        f"benchmark.source={write_lines(tmp_path / 'rows.jsonl', rows)}",
        f"generations={write_lines(tmp_path / 'texts.jsonl', texts)}",
        f"output_dir={tmp_path / 'out'}",
    ]
    assert cli.run_command([*words, setting]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"samples {names[0]!r} and {names[1]!r} would both have the id {written} " in told
    assert not (tmp_path / "out").exists()
    assert cli.run_command([*words, "benchmark.submission=null"]) == 0
    assert not (tmp_path / "out" / "submission.json").exists()
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["benchmark"] == "vqav2/lmms_eval (submission=null, rows=2 of 214354)"
