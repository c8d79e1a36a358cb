"""Texts in files of other tools: told apart by content, matched by id, strangers named."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from llava_eval.cli import run_command
from llava_eval.errors import RowsError
from llava_eval.results.exchange.generations import read_generations
from llava_eval.types import Generation, Sample
from tests.conftest import read_lines

SAMPLES = [
    Sample(f"q{n}", n, "g", ("?",), ("A",), question=f"Which of {n}?", choices=("x", "y"))
    for n in range(3)
]
#: A log that inspect_ai itself wrote (mockllm, JSON), without its events.
INSPECT_LOG = Path(__file__).with_name("inspect_log.json")


def texts(path: Path) -> list[str | None]:
    return [read_generations(path, SAMPLES)[f"q{n}"].text for n in range(3)]


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def lm_eval_line(row: int, reply: str, doc: dict[str, Any] | None) -> dict[str, Any]:
    line: dict[str, Any] = {"doc_id": row, "target": "A", "resps": [[reply]], "doc_hash": "x"}
    return line if doc is None else {**line, "doc": doc}


def test_lm_eval_by_the_field_that_holds_ids(tmp_path: Path) -> None:
    lines = [
        lm_eval_line(n, text, {"question": "?", "question_id": f"q{2 - n}"})
        for n, text in enumerate("ABC")
    ]
    assert texts(written(tmp_path / "samples_x.jsonl", lines)) == ["C", "B", "A"]


def test_lmms_eval_by_what_its_metric_kept(tmp_path: Path) -> None:
    lines = [
        {**lm_eval_line(9 + n, text, None), "videomme_score": {"question_id": f"q{n}", "score": 0}}
        for n, text in enumerate("ABC")
    ]
    assert texts(written(tmp_path / "x.jsonl", lines)) == ["A", "B", "C"]


def test_rows_tell_where_no_field_does_and_the_question_agrees(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    docs = [{"question": f"Which of {n}?"} for n in (0, 1, 7)]
    lines = [lm_eval_line(n, text, docs[n]) for n, text in enumerate("ABC")]
    with caplog.at_level(logging.WARNING):
        found = read_generations(written(tmp_path / "x.jsonl", lines), SAMPLES)
    assert [found["q0"].text, found["q1"].text, found["q2"].text] == ["A", "B", None]
    assert "1 of 3 texts belong to no sample of the benchmark: doc_id 2" in caplog.text


def sheet_rows() -> list[list[Any]]:
    header = ["index", "question", "A", "B", "answer", "prediction"]
    return [header, *([n, f"Which of {n}?", "x", "y", "A", f"({n})"] for n in (2, 0, 1))]


def test_vlmevalkit_as_xlsx_and_tsv(tmp_path: Path) -> None:
    book = Workbook()
    for row in sheet_rows():
        book.active.append(row)
    book.save(tmp_path / "model_Video-MME.xlsx")
    assert texts(tmp_path / "model_Video-MME.xlsx") == ["(0)", "(1)", "(2)"]
    lines = ["\t".join(map(str, row)) for row in sheet_rows()]
    (tmp_path / "x.tsv").write_text("\n".join(lines) + "\n")
    assert texts(tmp_path / "x.tsv") == ["(0)", "(1)", "(2)"]


def test_an_empty_cell_is_an_empty_text(tmp_path: Path) -> None:
    book = Workbook()
    for row in [["index", "prediction"], ["q0", None], ["q1", 7], ["q2", "B"]]:
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    assert texts(tmp_path / "x.xlsx") == ["", "7", "B"]


def test_a_log_that_inspect_wrote() -> None:
    assert texts(INSPECT_LOG) == ["A", "The answer is B", "C"]


def test_inspects_archive_and_its_failed_samples(tmp_path: Path) -> None:
    samples = json.loads(INSPECT_LOG.read_text())["samples"]
    samples[1]["error"] = {"message": "out of memory", "traceback": "", "traceback_ansi": ""}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("header.json", "{}")
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    (tmp_path / "x.eval").write_bytes(stream.getvalue())
    found = read_generations(tmp_path / "x.eval", SAMPLES)
    assert found["q0"] == Generation("A")
    assert found["q1"] == Generation(None, error="out of memory")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"doc_id": 77, "resps": [["A"]]}], "none of its 1 texts belongs to a sample"),
        ([{"doc_id": 0, "resps": [["A"]]}, {"doc_id": 0, "resps": [["B"]]}], "has two texts"),
    ],
)
def test_what_cannot_be_matched_is_one_line(
    tmp_path: Path, lines: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(RowsError, match=message):
        read_generations(written(tmp_path / "x.jsonl", lines), SAMPLES)


@pytest.mark.parametrize("content", [b"PK\x03\x04 broken", b'{"resps": [["A"]]}\nbroken'])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(RowsError, match=r"generations=.* cannot be read"):
        read_generations(tmp_path / "x", SAMPLES)


def test_texts_of_another_tool_are_scored_and_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = []
    for n in range(270):
        video, question = n // 3 + 1, n % 3 + 1
        identifier = f"{video:03}-{question}"
        lines.append(lm_eval_line(n, "A", {"question_id": identifier}))
    path, run = written(tmp_path / "samples.jsonl", lines), tmp_path / "run"
    words = ["score", f"generations={path}", "benchmark=demo/multiple_choice", f"output_dir={run}"]
    assert run_command(words) == 0
    assert len(read_lines(run / "samples.jsonl")) == 270
    capsys.readouterr()
    assert run_command(["explain", str(run)]) == 0
    assert "demo/multiple_choice" in capsys.readouterr().out
