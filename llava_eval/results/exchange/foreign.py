"""Texts in the files of other tools; the content of a file shows which tool wrote it.

* lm-eval and lmms-eval: ``*samples_*.jsonl``, an object per line with ``resps``, or (lmms-eval from
  0.5 on, if nothing was filtered) with ``filtered_resps`` only; lmms-eval 0.2: one object whose
  ``logs`` are such objects;
* VLMEvalKit: a sheet (.xlsx, .tsv, .csv) with a column ``prediction``, or a JSON array of its rows;
* inspect: a log as JSON or as an .eval archive, with ``samples`` that have an ``output``;
* Every Eval Ever: ``*_samples.jsonl``, an object per line with ``sample_id`` and ``output``;
* MMVU's authors (yale-nlp/MMVU, main.py): a JSON array of questions that have a ``response`` and,
  if acc_evaluation.py wrote it, their judge's verdict ``correct`` (false also if the judge failed).

A text is matched to a sample by an id in one of its fields, or by the tool's row number. The field
(or the row) is used that matches most texts to samples with the same question.

Sources: EleutherAI/lm-evaluation-harness and EvolvingLMMs-Lab/lmms-eval,
loggers/evaluation_tracker.py; open-compass/VLMEvalKit, vlmeval/smp/file.py;
UKGovernmentBEIS/inspect_ai, log/_recorders.
"""

from __future__ import annotations

import csv
import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.benchmarks.sources import WORKBOOK_ERRORS
from llava_eval.borders.json_text import MAX_FILE_BYTES, JsonError, parse_json
from llava_eval.errors import RowsError
from llava_eval.results.formatting import count, listed
from llava_eval.types import Generation, Sample

if sys.version_info >= (3, 14):
    import zipfile

    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError, zipfile

log = logging.getLogger(__name__)

#: VLMEvalKit's text for a sample if the model's API returned none.
_VLMEVALKIT_FAILED = "Failed to obtain answer"
#: lmms-eval's text if a model's API returned none, and its Gemini's if a reply was blocked.
_LMMS_EVAL_FAILED = ("[LMMS_EVAL_REQUEST_FAILED after ", "[SAFETY_BLOCKED:")

#: Fields that contain the question, or a part of it.
_ASKED_FIELDS = ("question", "input")


@dataclass(frozen=True)
class Record:
    """One text of another tool.

    Attributes:
        name: the tool's name of the sample, for messages.
        generation: the model's text, or why there is none.
        fields: the fields of the question, by name.
        row: the tool's number of the source row.
        is_repeat: whether it is a further answer to the same sample.
    """

    name: str
    generation: Generation
    fields: Mapping[str, Any]
    row: int | None = None
    is_repeat: bool = False


#: Workbooks raise the standard library's BadZipFile, a different class than ``zipfile``'s here.
_DAMAGED = (*WORKBOOK_ERRORS, zipfile.BadZipFile, ZstdError, ValueError, csv.Error)


def foreign_records(content: bytes, path: Path) -> list[Record] | None:
    """Return the texts of another tool's file; None if the file is not of a known tool.

    Args:
        content: the file's content.
        path: the file, for messages.

    Raises:
        RowsError: the file is of another tool, but damaged.
    """
    try:
        if content.startswith(b"PK\x03\x04"):
            return _of_archive(content)
        start = content[:200_000].lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith((b"{", b"[")):
            return _of_json(content)
        if start.startswith(b"\x80"):
            raise JsonError("a pickle is not opened here; write a sheet: PRED_FORMAT=tsv")
        header = start.split(b"\n", 1)[0].decode(errors="replace").strip().lower()
        for separator in ("\t", ","):
            if "prediction" in [name.strip('"') for name in header.split(separator)]:
                text = io.StringIO(content.decode("utf-8-sig"))
                csv.field_size_limit(max(len(content), csv.field_size_limit()))  # 131,072 at first
                return _of_rows(csv.DictReader(text, delimiter=separator))
    except _DAMAGED as error:
        raise RowsError(f"generations={path} cannot be read: {error}") from error
    return None


def _of_json(content: bytes) -> list[Record] | None:
    """Read JSON lines of one of the tools, or a file with a single JSON value."""
    first, _, rest = content.partition(b"\n")
    try:
        line = parse_json(first)
    except JsonError:
        line = None
    if isinstance(line, dict) and line.keys() & {"resps", "filtered_resps", "evaluation_id"}:
        read = _of_every_eval_ever if "evaluation_id" in line else _of_lm_eval
        texts = [first, *rest.split(b"\n")]
        lines = (parse_json(text, dict) for text in texts if text.strip())
        return [record for line in lines for record in read(line)]
    if isinstance(line, dict) and rest.strip():
        return None  # lines of another kind
    try:
        whole = parse_json(content)
    except JsonError:
        return None
    if isinstance(whole, list):
        if not whole or not all(isinstance(row, dict) for row in whole):
            return None
        if "response" in whole[0]:
            whole = [{"prediction": row.get("response"), **row} for row in whole]
        return _of_rows(iter(whole)) if "prediction" in whole[0] else None
    if isinstance(whole, dict) and isinstance(whole.get("logs"), list):
        return [record for one in whole["logs"] for record in _of_lm_eval(one)]
    if isinstance(whole, dict) and isinstance(whole.get("eval"), dict) and "samples" in whole:
        return [_of_inspect(sample) for sample in whole["samples"] or []]
    if isinstance(whole, dict) and {"results", "configs"} <= whole.keys():
        raise JsonError("it has only results; the texts are in the samples_*.jsonl next to it")
    return None


def _of_lm_eval(line: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the reply of a line, and then its further replies (``repeats``)."""
    replies = line["resps"] if "resps" in line else line["filtered_resps"]
    further: Sequence[Any] = ()
    while isinstance(replies, list) and replies and not _is_likelihood(replies):
        replies, *further = replies
    document = line.get("doc")
    fields = dict(document) if isinstance(document, dict) else {}
    asked = line.get("input")
    while isinstance(asked, list) and asked:
        asked = asked[0]
    if isinstance(asked, str):
        fields.setdefault("input", asked)
    # lmms-eval also writes the results of its own metrics: mappings with the question's id.
    for value in line.values():
        if isinstance(value, dict) and value is not document:
            fields = {**{k: v for k, v in value.items() if isinstance(v, str | int)}, **fields}
    row = line.get("doc_id")
    name = f"doc_id {row}"
    number = row if isinstance(row, int) else None
    if isinstance(line.get("error"), str):  # our own export's form of a failed sample
        yield Record(name, Generation(None, error=line["error"]), fields, number)
    elif not isinstance(replies, str):
        what = "likelihoods and no text" if isinstance(replies, list) and replies else "no text"
        nothing = Generation(None, error=f"the file holds {what} for it")
        yield Record(name, nothing, fields, number)
    elif replies.startswith(_LMMS_EVAL_FAILED):
        yield Record(name, Generation(None, error=replies), fields, number)
    else:
        yield Record(name, Generation(replies), fields, number)
        for text in further:
            yield Record(name, Generation(str(text)), fields, number, is_repeat=True)


def _is_likelihood(reply: Sequence[Any]) -> bool:
    """Return whether a reply is a pair: a log-likelihood, and whether it is of greedy decoding."""
    if len(reply) != 2 or str(reply[1]) not in ("True", "False"):
        return False
    try:
        float(reply[0])
    except (TypeError, ValueError):
        return False  # two texts, one of them "True" or "False"
    return True


def _of_every_eval_ever(line: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the replies of a line; conversations with several turns give an error instead."""
    name, raw = str(line["sample_id"]), (line["output"] or {}).get("raw")
    fields = {"id": name, "input": line["input"]["raw"]}
    replies = [raw] if isinstance(raw, str) else raw
    # written by the converter of inspect's logs
    metadata = line.get("metadata") or {}
    is_repeat = str(metadata.get("epoch", 1)) != "1"
    error = str(line.get("error") or "").strip()
    if error or not replies:
        words = (error or "the file holds no text for it").splitlines()[0]
        yield Record(name, Generation(None, error=words), fields, is_repeat=is_repeat)
        return
    for number, text in enumerate(replies):
        generation = _ended(str(text), metadata.get("stop_reason"), line.get("token_usage"))
        yield Record(name, generation, fields, is_repeat=is_repeat or number > 0)


def _of_inspect(sample: Any) -> Record:
    """Read one sample of inspect's log, version 2."""
    if not isinstance(sample, dict):
        raise JsonError("samples: expected an object")
    name, metadata = str(sample.get("id")), sample.get("metadata")
    fields = {"id of the sample": name, **(metadata if isinstance(metadata, dict) else {})}
    if isinstance(sample.get("input"), str):
        fields["input"] = _attached(sample["input"], sample)
    is_repeat = sample.get("epoch", 1) != 1
    error, output = sample.get("error"), sample.get("output")
    output = output if isinstance(output, dict) else {}
    choices = output.get("choices")
    if isinstance(error, dict) or not choices:
        reason = "the log holds no output for it"
        reason = str(error.get("message", "failed")) if isinstance(error, dict) else reason
        return Record(name, Generation(None, error=reason), fields, is_repeat=is_repeat)
    ended = choices[0].get("stop_reason")
    content = choices[0].get("message", {}).get("content", "")
    if isinstance(content, list):
        content = "\n".join(  # as inspect's ChatMessage.text does
            _attached(str(part.get("text", "")), sample)
            for part in content
            if part.get("type") == "text"
        )
    generation = _ended(_attached(str(content), sample), ended, output.get("usage"))
    return Record(name, generation, fields, is_repeat=is_repeat)


def _ended(text: str, reason: object, usage: object) -> Generation:
    """Return a reply, or an error if the server refused the prompt or filtered the reply.

    inspect stores the server's message about a refused prompt as the text of the reply.

    Args:
        text: the reply's text.
        reason: inspect's ``stop_reason``.
        usage: the server's token counts; missing for a refused prompt.
    """
    if reason == "content_filter" or (reason == "model_length" and not usage):
        words = " ".join([f"the server ended the reply for {reason!r}:", *text.split()])
        return Generation(None, error=words[:200].rstrip(":"))
    return Generation(text)


def _attached(text: str, sample: Mapping[str, Any]) -> str:
    """Return a text, which inspect may have moved to the sample's attachments."""
    key = text.removeprefix("attachment://")
    return text if key == text else str(sample.get("attachments", {}).get(key, text))


def _of_archive(content: bytes) -> list[Record] | None:
    """Read a workbook, or inspect's archive; return None for any other archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_FILE_BYTES:
            raise JsonError(f"it unpacks to more than {MAX_FILE_BYTES} bytes")
        names = archive.namelist()
        if "xl/workbook.xml" in names:
            return _of_rows(_sheet(content))
        samples = [name for name in names if name.startswith("samples/")]
        if not samples:
            return None
        return [_of_inspect(parse_json(archive.read(name), dict)) for name in samples]


def _sheet(content: bytes) -> Iterator[dict[str, Any]]:
    from openpyxl import load_workbook

    # Text that starts with "=" is stored as a formula, whose value is 0 or missing.
    sheet = load_workbook(io.BytesIO(content), read_only=True).worksheets[0]
    rows = sheet.iter_rows(values_only=True)
    header = [str(name) for name in next(rows, ())]
    for row in rows:
        yield dict(zip(header, row, strict=False))


def _of_rows(rows: Iterator[dict[str, Any]] | csv.DictReader[str]) -> list[Record]:
    """Read the rows of VLMEvalKit's sheet, in which an empty text is an empty cell."""
    records = []
    for number, row in enumerate(rows):
        if "prediction" not in row:
            raise JsonError("it has no column 'prediction'")
        index = row.get("index", number)
        text = "" if row["prediction"] is None else str(row["prediction"])
        failed = text.startswith(_VLMEVALKIT_FAILED)
        verdict = row.get("correct") if "response" in row else None  # by MMVU's judge
        generation = Generation(
            None if failed else text,
            error=text if failed else None,
            published_correct=verdict if isinstance(verdict, bool) else None,
        )
        source_row = int(index) if str(index).isdecimal() else None
        records.append(Record(f"index {index}", generation, row, source_row))
    return records


def matched(
    records: Sequence[Record], samples: Sequence[Sample], path: Path
) -> dict[str, Generation]:
    """Return the generations by sample id; a warning names the texts that belong to no sample.

    Args:
        records: the texts of another tool's file.
        samples: the benchmark's samples.
        path: the file, for messages.

    Raises:
        RowsError: no text belongs to a sample, or two different texts belong to the same one.
    """
    repeats = [record for record in records if record.is_repeat]
    records = [record for record in records if not record.is_repeat]
    owner_of = _rule(records, samples, path)
    found: dict[str, Record] = {}
    strange = []
    for record in records:
        owner = owner_of(record)
        if owner is None:
            strange.append(record.name)
        elif found.setdefault(owner.id, record).generation.text != record.generation.text:
            raise RowsError(f"{path}: sample {owner.id!r} has two texts ({record.name} is one)")
    if not found:
        raise RowsError(
            f"{path}: none of its {len(records)} texts belongs to a sample of the benchmark; the "
            f"first is of {records[0].name if records else 'nothing'}"
        )
    if repeats:
        texts = count(len(repeats), "text")
        log.warning("%s: %s of further epochs left out; the first counts", path, texts)
    if strange:
        log.warning(
            "%s: %d of %d texts belong to no sample of the benchmark: %s",
            path,
            len(strange),
            len(records),
            listed(strange),
        )
    return {name: record.generation for name, record in found.items()}


def samples_by_row(samples: Sequence[Sample]) -> dict[int | None, Sample | None]:
    """Return the sample of each source row; None for a row with several questions."""
    by_row: dict[int | None, Sample | None] = {}
    for sample in samples:
        by_row[sample.row] = None if sample.row in by_row else sample
    return by_row


#: Finds the sample of a text; None if there is none.
_Rule = Callable[[Record], Sample | None]


def _rule(records: Sequence[Record], samples: Sequence[Sample], path: Path) -> _Rule:
    """Return the rule that finds samples for most records: an id in one of their fields, or rows.

    A sample with another question than the record's is no match. If there is no match at all,
    because the tool words questions differently, an id alone is enough if it fits most records.
    Rows 1 to N may be counted from 1, or lack row 0; only questions can decide.
    """
    by_id = {_as_id(sample.id): sample for sample in samples}
    by_row = samples_by_row(samples)

    def by_field(name: str) -> _Rule:
        return lambda record: by_id.get(_as_id(record.fields.get(name)))

    names = dict.fromkeys(name for record in records for name in record.fields)
    by_ids = [rule for rule in map(by_field, names) if _is_distinct(records, rule)]
    rules = [*by_ids, lambda record: by_row.get(record.row)]
    from_one = {record.row for record in records} == set(range(1, len(records) + 1))
    if from_one:
        rules.append(lambda record: by_row.get((record.row or 0) - 1))
    counts = [sum(_agreed(record, rule) is not None for record in records) for rule in rules]
    if any(counts):
        best = rules[counts.index(max(counts))]
        if from_one and best in rules[-2:] and not any(map(_asked, records)):
            raise RowsError(
                f"{path}: its rows are 1 to {len(records)}, and no question or id tells whether "
                "they are counted from 1 or lack row 0; write them as counted from 0"
            )
        return lambda record: _agreed(record, best)
    num_named = [sum(rule(record) is not None for record in records) for rule in by_ids]
    if num_named and 2 * max(num_named) > min(len(records), len(samples)):
        return by_ids[num_named.index(max(num_named))]
    return lambda _: None


def _is_distinct(records: Sequence[Record], rule: _Rule) -> bool:
    """Return whether a rule never assigns two different texts to the same sample."""
    texts: dict[str, str | None] = {}
    owners = ((rule(record), record.generation.text) for record in records)
    return all(
        texts.setdefault(owner.id, text) == text for owner, text in owners if owner is not None
    )


def _agreed(record: Record, rule: _Rule) -> Sample | None:
    owner = rule(record)
    return owner if owner is not None and _asks(record, owner) else None


def _as_id(value: object) -> str:
    """Return an id as files contain it; inspect's files have "?" for a lone surrogate."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return str(whole).encode(errors="replace").decode()


def _asks(record: Record, sample: Sample) -> bool:
    """Return whether a record has a sample's question; True if the record has none."""
    texts, own = _asked(record), "".join(sample.question.split()).lower()
    return not texts or not own or any(own in text or text in own for text in texts)


def _asked(record: Record) -> list[str]:
    asked = [record.fields.get(name) for name in _ASKED_FIELDS]
    return ["".join(text.split()).lower() for text in asked if isinstance(text, str)]
