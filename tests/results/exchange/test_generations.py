"""Texts of other tools, by id or by row."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from llava_eval.errors import RowsError
from llava_eval.results.exchange.generations import read_generations
from llava_eval.results.ledger import to_line
from llava_eval.types import Generation, Sample
from tests.results.helpers import make_result

SAMPLES = [Sample(id=f"q{n}", row=n, group="g", content=("?",), targets=("A",)) for n in range(3)]


def test_ids_rows_and_ledger_lines(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(
        json.dumps({"id": "q0", "text": "one\u2028line"}, ensure_ascii=False)
        + "\n\n"
        + json.dumps({"row": 2, "text": ""})
        + "\n"
        + to_line(make_result(1))
    )
    found = read_generations(path, SAMPLES)
    assert found["q0"] == Generation("one\u2028line")
    assert found["q1"] == Generation("A", 12, 2, "eos")
    assert found["q2"] == Generation("")


def test_a_missing_text_is_an_error_of_its_sample(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"row": 0, "text": "A"}\n')
    assert read_generations(path, SAMPLES)["q0"].text == "A"
    path.write_text(path.read_text(), encoding="utf-8-sig")  # as editors of Windows do
    found = read_generations(path, SAMPLES)
    assert found["q0"].text == "A"
    assert found["q1"].text is None
    assert "no text for this sample" in str(found["q1"].error)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{", ["line 1", "JSON"]),
        ("[]", ["line 1", "list"]),
        ('{"text": "A"}', ["neither an id nor a row"]),
        ('{"id": "zz", "text": "A"}', ["no sample with id 'zz'"]),
        ('{"row": 7, "text": "A"}', ["no sample with row 7"]),
        ('{"row": 0}', ["has no text"]),
        ('{"row": 0, "text": 5}', ["has no text"]),
        ('{"row": 0, "text": "A"}\n{"id": "q0", "text": "A"}', ["line 2", "'q0'", "already"]),
        ('{"id": "q0", "row": 2, "text": "A"}', ["line 1: id 'q0' is of row 0, not 2"]),
        ('{"row": 0, "option_losses": [1e999]}', ["line 1", "finite numbers, got [inf]"]),
        ('{"row": 0, "generation": {"text": 5}}', ["line 1", "text: expected str"]),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(text)
    with pytest.raises(RowsError) as caught:
        read_generations(path, SAMPLES)
    for part in parts:
        assert part in str(caught.value)


def test_an_id_may_have_its_row_beside_it_and_in_a_ledger_that_of_another_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "texts.jsonl"
    texts = [Generation(text) for text in ("of 0", "of 1", "of 2")]
    lines = [{"id": f"q{n}", "row": n, "text": one.text} for n, one in enumerate(texts)]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert [*read_generations(path, SAMPLES).values()] == texts
    turned = [dataclasses.replace(one, row=2 - one.row) for one in SAMPLES]
    with pytest.raises(RowsError, match="line 1: id 'q0' is of row 2, not 0; give one of them"):
        read_generations(path, turned)
    results = [make_result(n, generation=generation) for n, generation in enumerate(texts)]
    path.write_text("\n".join(map(to_line, results)))
    assert [*read_generations(path, turned).values()] == texts
    # of a benchmark of fewer rows none is another sample's
    path.write_text('{"id": "q0", "row": 7, "text": "A"}')
    assert read_generations(path, SAMPLES)["q0"].text == "A"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"nothing\.jsonl cannot be read"):
        read_generations(tmp_path / "nothing.jsonl", SAMPLES)


def test_losses_of_options_need_no_text_and_fit_the_options(tmp_path: Path) -> None:
    options = ("yes", "no")
    sample = Sample("q", 0, "v", ("?",), ("A",), choices=options, options=options)

    def read(**line: object) -> Generation:
        path = tmp_path / "generations.jsonl"
        path.write_text(json.dumps({"id": "q", **line}))
        return read_generations(path, [sample])["q"]

    assert read(option_losses=[0.5, 0.25]) == Generation("", option_losses=(0.5, 0.25))
    assert read(option_losses=[0.5, 0.25], text="no").text == "no"
    for losses in ([0.5], [0.5, 0.25, 0.1], None):
        with pytest.raises(RowsError, match=f"needs 2 option_losses.*; got {len(losses or [])}"):
            read(option_losses=losses, text="no")
