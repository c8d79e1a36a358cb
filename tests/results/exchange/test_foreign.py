"""Texts in files of other tools: told apart by content, matched by id, strangers named."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from openpyxl import Workbook

from llava_eval.cli import run_command
from llava_eval.errors import RowsError
from llava_eval.results.exchange import foreign
from llava_eval.results.exchange.generations import read_generations
from llava_eval.types import Generation, Sample
from tests.conftest import read_lines
from tests.results.runs_on_disk import answered, write_run

if sys.version_info >= (3, 14):
    import zipfile as zstd_zipfile
else:
    from backports.zstd import zipfile as zstd_zipfile

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


def test_the_first_of_lm_evals_repeats_counts_and_the_others_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        {**lm_eval_line(n, "", {"question_id": f"q{n}"}), "resps": [[text, "X", text]]}
        for n, text in enumerate("ABC")
    ]
    assert texts(written(tmp_path / "samples_x.jsonl", lines)) == ["A", "B", "C"]
    assert "6 texts of further epochs left out" in caplog.text


def test_what_lmms_eval_writes_of_a_failed_request_is_no_reply(tmp_path: Path) -> None:
    """Texts of lmms_eval 0.7.3: models/chat/openai.py, models/simple/gemini.py."""
    refused = "[LMMS_EVAL_REQUEST_FAILED after 5 retries] Error code: 429 - A quota was exceeded"
    blocked = "[SAFETY_BLOCKED:finish_reason=SAFETY]"
    lines = [  # with one reply it leaves "resps" out, and "doc" always
        {"doc_id": n, "filtered_resps": text, "score": {"question_id": f"q{n}"}}
        for n, text in enumerate((refused, blocked, "[A]"))
    ]
    found = read_generations(written(tmp_path / "x_samples_y.jsonl", lines), SAMPLES)
    assert [found[f"q{n}"] for n in range(3)] == [
        Generation(None, error=refused),
        Generation(None, error=blocked),
        Generation("[A]"),
    ]


def test_mmvus_published_generations(tmp_path: Path) -> None:
    path = tmp_path / "LLaVA-NeXT-Video-7B-hf_16frame.json"
    judged = {"choices": {}, "ground_truth_answer": "A", "extracted_answer": "A", "correct": True}
    items = [
        {"id": f"q{n}", "question": "?", "response": text, **judged}
        for n, text in ((2, "C"), (0, "A"), (1, "B"))
    ]
    path.write_text(json.dumps(items, indent=4))
    assert texts(path) == ["A", "B", "C"]
    assert all(found.published_correct for found in read_generations(path, SAMPLES).values())
    path.write_text(json.dumps([{"id": "q0", "answer": "A"}]))
    with pytest.raises(RowsError, match="line 1"):
        read_generations(path, SAMPLES)


@pytest.mark.slow
def test_mmvus_published_verdicts_stand_beside_our_scores(tmp_path: Path) -> None:
    rows, published = [], []
    choices = {"A": "red", "B": "blue", "C": "green", "D": "black", "E": "white"}
    for n, verdict in enumerate((True, False, False, None)):
        asked = {"id": f"validation_{n}", "question": f"Which of {n}?", "choices": choices}
        video = f"https://huggingface.co/datasets/x/resolve/main/videos/Chemistry/{n}.mp4"
        kind = {"question_type": "multiple-choice", "metadata": {"subject": "Chemistry"}}
        rows.append({**asked, **kind, "video": video, "answer": "A"})
        reply = "B" if n == 2 else "A"
        said = {} if verdict is None else {"extracted_answer": reply, "correct": verdict}
        published.append({**asked, "response": reply, "ground_truth_answer": "A", **said})
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "published.json").write_text(json.dumps(published[::-1], indent=4))
    words = ["benchmark=mmvu/lmms_eval", f"benchmark.source={tmp_path / 'rows.json'}"]
    texts_of = {"run": tmp_path / "published.json", "again": tmp_path / "run" / "samples.jsonl"}
    for name, path in texts_of.items():
        run = tmp_path / name
        assert run_command(["score", f"generations={path}", *words, f"output_dir={run}"]) == 0
        (note,) = json.loads((run / "metrics.json").read_text())["notes"]
        assert note.startswith("our scores agree with 2 of 3 published verdicts")
        assert note.endswith("the first that differs: validation_1, published as wrong")
        lines = read_lines(run / "samples.jsonl")
        verdicts = [line["generation"].get("published_correct") for line in lines]
        assert verdicts == [True, False, False, None]


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


def test_a_text_that_pandas_writes_as_a_formula_is_that_text(tmp_path: Path) -> None:
    rows = [{"index": n, "prediction": text} for n, text in enumerate(["= 5", "=B", "C"])]
    pd.DataFrame(rows).to_excel(tmp_path / "x.xlsx", index=False, engine="xlsxwriter")
    found = texts(tmp_path / "x.xlsx")
    assert [str(text).replace("= ", "=") for text in found] == ["=5", "=B", "C"]


def test_a_cell_of_a_sheet_of_texts_may_be_long(tmp_path: Path) -> None:
    long = "step " * 40_000
    (tmp_path / "x.tsv").write_text(f"index\tprediction\n0\t{long}A\n1\tB\n2\tC\n")
    assert texts(tmp_path / "x.tsv") == [f"{long}A", "B", "C"]


def test_a_log_that_inspect_wrote() -> None:
    assert texts(INSPECT_LOG) == ["A", "The answer is B", "C"]


def test_parts_of_a_reply_are_joined_as_inspect_joins_them(tmp_path: Path) -> None:
    """ChatMessageBase.text of inspect_ai: "the text items concatenated (separated by newline)"."""
    log = json.loads(INSPECT_LOG.read_text())
    thought = {"type": "reasoning", "reasoning": "B?"}
    parts = [thought, *({"type": "text", "text": text} for text in ("It is red.", "A"))]
    log["samples"][0]["output"]["choices"][0]["message"]["content"] = parts
    (tmp_path / "log.json").write_text(json.dumps(log))
    assert texts(tmp_path / "log.json") == ["It is red.\nA", "The answer is B", "C"]


#: How inspect_ai 0.3.285 (openai-api) ends what a server refused or cut, with the text it keeps.
ENDS = [
    ("model_length", "This model's maximum context length is 4096 tokens.", False, True),
    ("content_filter", "The response was filtered: A violation.", False, True),
    ("content_filter", "A par", True, True),
    ("content_filter", "", True, True),
    ("model_length", "A, for the", True, False),
    ("max_tokens", "A, for the", True, False),
    ("stop", "A", False, False),
]


@pytest.mark.parametrize(("reason", "text", "has_usage", "is_failed"), ENDS)
def test_the_servers_words_in_a_log_of_inspect_are_no_reply(
    tmp_path: Path, reason: str, text: str, has_usage: bool, is_failed: bool
) -> None:
    log = json.loads(INSPECT_LOG.read_text())
    output = log["samples"][0]["output"]
    output["choices"][0]["stop_reason"] = reason
    output["choices"][0]["message"]["content"] = text
    if not has_usage:
        del output["usage"]
    (tmp_path / "log.json").write_text(json.dumps(log))
    found = read_generations(tmp_path / "log.json", SAMPLES)
    error = f"the server ended the reply for {reason!r}" + (f": {text}" if text else "")
    assert found["q0"] == (Generation(None, error=error) if is_failed else Generation(text))
    assert found["q1"] == Generation("The answer is B")


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


@pytest.mark.slow
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


def test_lmms_eval_drops_documents_and_replies_that_nothing_filtered(tmp_path: Path) -> None:
    lines = [
        {"doc_id": n, "target": "A", "filtered_resps": text, "input": [f"Which of {n}?\nA. x", {}]}
        for n, text in ((2, "C"), (0, "A"), (1, "B"))
    ]
    assert texts(written(tmp_path / "2026_samples_videomme.jsonl", lines)) == ["A", "B", "C"]


def test_lmms_eval_0_2_has_one_object_with_logs(tmp_path: Path) -> None:
    logs = [lm_eval_line(n, text, {"question_id": f"q{n}"}) for n, text in enumerate("ABC")]
    content = json.dumps({"args": {}, "model_configs": {}, "logs": logs}, indent=4)
    (tmp_path / "videomme.json").write_text(content)
    assert texts(tmp_path / "videomme.json") == ["A", "B", "C"]


def test_lines_of_several_filters_and_likelihoods(tmp_path: Path) -> None:
    lines = [
        {**lm_eval_line(n, text, None), "filter": name}
        for n, text in enumerate("ABC")
        for name in ("strict", "flexible")
    ]
    lines[4:] = [{"doc_id": 2, "resps": [[["-1.5", "False"]], [["-0.5", "True"]]]}]
    found = read_generations(written(tmp_path / "x.jsonl", lines), SAMPLES)
    assert [found["q0"], found["q1"]] == [Generation("A"), Generation("B")]
    assert found["q2"].error == "the file holds likelihoods and no text for it"


def test_a_repeat_that_says_true_makes_no_likelihood_of_the_first_text(tmp_path: Path) -> None:
    lines = [lm_eval_line(n, "", {"id": f"q{n}"}) | {"resps": [["Yes", "True"]]} for n in range(3)]
    assert texts(written(tmp_path / "samples_x.jsonl", lines)) == ["Yes"] * 3


def test_vlmevalkit_as_json_and_what_it_writes_for_a_failure(tmp_path: Path) -> None:
    header, *rows = sheet_rows()
    content = [dict(zip(header, row, strict=True)) for row in rows]
    content[0]["prediction"] = "Failed to obtain answer via API."
    (tmp_path / "x.json").write_text(json.dumps(content, indent=4))
    found = read_generations(tmp_path / "x.json", SAMPLES)
    assert [found["q0"].text, found["q1"].text] == ["(0)", "(1)"]
    assert found["q2"] == Generation(None, error="Failed to obtain answer via API.")


def test_ids_that_are_rows_shifted_by_one_do_not_lead_astray(tmp_path: Path) -> None:
    samples = [dataclasses.replace(one, id=str(one.row + 1)) for one in SAMPLES]
    lines = "".join(f"{n}\tWhich of {n}?\t({n})\n" for n in range(3))
    (tmp_path / "x.tsv").write_text(f"index\tquestion\tprediction\n{lines}")
    found = read_generations(tmp_path / "x.tsv", samples)
    assert {name: one.text for name, one in found.items()} == {"1": "(0)", "2": "(1)", "3": "(2)"}


def test_rows_counted_from_one_are_matched_by_questions_and_refused_without(
    tmp_path: Path,
) -> None:
    rows = [(n, "What is it?" if n < 3 else "Who?", f"({n})") for n in (1, 2, 3)]
    samples = [
        dataclasses.replace(sample, question=question)
        for sample, (_, question, _) in zip(SAMPLES, rows, strict=True)
    ]
    path = tmp_path / "x.tsv"
    path.write_text(
        "index\tquestion\tprediction\n" + "".join(f"{n}\t{q}\t{t}\n" for n, q, t in rows)
    )
    found = read_generations(path, samples)
    assert [found[f"q{n}"].text for n in range(3)] == ["(1)", "(2)", "(3)"]
    path.write_text("index\tprediction\n" + "".join(f"{n}\t{text}\n" for n, _, text in rows))
    with pytest.raises(RowsError, match=r"rows are 1 to 3, .* write them as counted from 0$"):
        read_generations(path, samples)


def test_inspects_archive_as_it_packs_it_now_with_epochs_and_attachments(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = json.loads(INSPECT_LOG.read_text())["samples"]
    message = samples[0]["output"]["choices"][0]["message"]
    message["content"] = "attachment://0f1e"
    samples[0]["attachments"] = {"0f1e": "B, after long thought"}
    again = {**samples[1], "epoch": 2}
    with zstd_zipfile.ZipFile(tmp_path / "x.eval", "w", zstd_zipfile.ZIP_ZSTANDARD) as archive:
        for sample in [*samples, again]:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, json.dumps(sample))
    with caplog.at_level(logging.WARNING):
        assert texts(tmp_path / "x.eval") == ["B, after long thought", "The answer is B", "C"]
    assert "1 text of further epochs left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.pkl", pickle.dumps({"prediction": 1}), "a pickle is not opened here"),
        ("results.json", b'{"results": {}, "configs": {}}', "the texts are in the samples_"),
        ("x.tsv", b"index\tPrediction\n0\tA\n", "it has no column 'prediction'"),
        ("log.json", b'{"version": 2, "eval": {}, "samples": [5]}', "samples: expected an object"),
    ],
)
def test_what_holds_no_texts_says_where_they_are(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RowsError, match=message):
        read_generations(tmp_path / name, SAMPLES)


@pytest.mark.parametrize("to", ["inspect", "lm-eval", "eee"])
def test_our_own_exports_are_read_back(tmp_path: Path, to: str) -> None:
    run = write_run(tmp_path / "run", [answered(n, n % 2 > 0) for n in range(6)])
    assert run_command(["export", str(run), "--to", to, "--out", str(tmp_path / "out")]) == 0
    paths = [one for one in (tmp_path / "out").rglob("*.json*") if "results" not in one.name]
    path = next((one for one in paths if one.name.endswith("_samples.jsonl")), paths[0])
    samples = [Sample(f"q{n}", n, "g", ("Which?",), ("A",)) for n in range(6)]
    found = read_generations(path, samples)
    assert [found[f"q{n}"].text for n in range(6)] == ["B", "A"] * 3


def test_half_a_surrogate_pair_in_an_id_is_what_inspects_log_has_for_it(tmp_path: Path) -> None:
    results = [answered(n, True, id=f"q{n}\ud800") for n in range(2)]
    run = write_run(tmp_path / "run", results)
    assert run_command(["export", str(run), "--to", "inspect", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    samples = [Sample(f"q{n}\ud800", n, "g", ("Which?",), ("A",)) for n in range(2)]
    found = read_generations(path, samples)
    assert [found[sample.id].text for sample in samples] == ["A", "A"]


def eee_line(number: int, **changes: Any) -> dict[str, Any]:
    """A line with what the schema of 0.2.1 requires (evaleval/every_eval_ever)."""
    line = {
        "schema_version": "0.2.1",
        "evaluation_id": "set/model/1",
        "model_id": "org/model",
        "evaluation_name": "set",
        "sample_id": f"q{number}",
        "interaction_type": "single_turn",
        "input": {"raw": f"Which of {number}?", "reference": ["A"]},
        "output": {"raw": ["B"]},
        "answer_attribution": [],
        "evaluation": {"score": 1.0, "is_correct": True},
    }
    return {**line, **changes}


def test_every_eval_ever_with_repeats_and_what_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        eee_line(0, output={"raw": ["A", "B"]}),
        eee_line(1, output=None, messages=[], interaction_type="multi_turn"),
        eee_line(2, output={"raw": []}, error="timeout"),
    ]
    found = read_generations(written(tmp_path / "x_samples.jsonl", lines), SAMPLES)
    assert [found[f"q{n}"].text for n in range(3)] == ["A", None, None]
    assert found["q2"].error == "timeout"
    assert "1 text of further epochs left out" in caplog.text
    damaged = [eee_line(0, input="Which?")]
    with pytest.raises(RowsError, match="cannot be read"):
        read_generations(written(tmp_path / "y_samples.jsonl", damaged), SAMPLES)


def test_what_every_eval_ever_makes_of_a_log_of_inspect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines as ``every_eval_ever convert inspect`` 0.3.0 writes them, of two epochs."""
    traceback = "ValueError('no video')\n  + Exception Group Traceback (most recent call last):"
    first, second = ({"stop_reason": "stop", "epoch": number} for number in "12")
    refused = {"stop_reason": "model_length", "epoch": "1"}
    lines = [
        eee_line(0, metadata=first),
        eee_line(1, metadata={"epoch": "1"}, output={"raw": [""]}, error=traceback),
        eee_line(2, metadata=refused, output={"raw": ["A prompt of 9000 tokens"]}),
        eee_line(0, metadata=second, output={"raw": ["C"]}),
        eee_line(1, metadata=second),
        eee_line(2, metadata=second),
    ]
    found = read_generations(written(tmp_path / "x_samples.jsonl", lines), SAMPLES)
    assert [found[f"q{n}"] for n in range(3)] == [
        Generation("B"),
        Generation(None, error="ValueError('no video')"),
        Generation(
            None, error="the server ended the reply for 'model_length': A prompt of 9000 tokens"
        ),
    ]
    assert "3 texts of further epochs left out" in caplog.text


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1.json", json.dumps({"id": "q0", "note": "x" * 5000}))
    assert path.stat().st_size < 1000
    monkeypatch.setattr(foreign, "MAX_FILE_BYTES", 5000)
    with pytest.raises(RowsError, match="cannot be read: it unpacks to more than 5000 bytes"):
        foreign.foreign_records(path.read_bytes(), path)
