"""Texts in the files of other tools; which tool wrote a file is seen from its content.

* lm-eval and lmms-eval: ``*samples_*.jsonl``, one object a line with ``resps``, or (lmms-eval from
  0.5 on, where nothing was filtered) ``filtered_resps`` alone; lmms-eval 0.2: one object with
  ``logs`` of such;
* VLMEvalKit: a sheet (.xlsx, .tsv, .csv) with a column ``prediction``, or a JSON array of its rows;
* inspect: a log, JSON or the .eval archive of such, with ``samples`` that have an ``output``;
* Every Eval Ever: ``*_samples.jsonl``, one object a line with ``sample_id`` and ``output``;
* MMVU's authors (yale-nlp/MMVU, main.py): a JSON array of questions that have a ``response``, and
  where acc_evaluation.py wrote it their judge's verdict, ``correct`` (false too where it failed).

A text belongs to the sample whose id one of its fields holds, or whose row the tool numbers: by
that field, or the row, which gives most texts to a sample that asks what the text answers.

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

#: What VLMEvalKit writes in place of a text where a model's API gave none.
_VLMEVALKIT_FAILED = "Failed to obtain answer"
#: What lmms-eval's models behind an API write there, and its Gemini where a reply was blocked.
_LMMS_EVAL_FAILED = ("[LMMS_EVAL_REQUEST_FAILED after ", "[SAFETY_BLOCKED:")

#: Fields that hold what was asked, in whole or in part.
_ASKED_FIELDS = ("question", "input")


@dataclass(frozen=True)
class Record:
    """One text of another tool.

    Attributes:
        name: what the tool calls its sample, for messages.
        generation: the model's text, or why there is none.
        fields: of the question, by name.
        row: number of the source row, as the tool counts.
        is_repeat: a further answer to the same sample.
    """

    name: str
    generation: Generation
    fields: Mapping[str, Any]
    row: int | None = None
    is_repeat: bool = False


#: The standard library's BadZipFile, of a workbook, is another class than that of archives.
_DAMAGED = (*WORKBOOK_ERRORS, zipfile.BadZipFile, ZstdError, ValueError, csv.Error)


def foreign_records(content: bytes, path: Path) -> list[Record] | None:
    """Return the texts of a file of another tool; None where it is none.

    Args:
        content: of the file.
        path: for messages.

    Raises:
        RowsError: the file is of another tool, and damaged.
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
    """Read lines of one of the tools, or a file that is one value."""
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
        raise JsonError("it holds results alone; the texts are in the samples_*.jsonl beside it")
    return None


def _of_lm_eval(line: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the reply of a line, and then those of its further ``repeats``."""
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
    # lmms-eval also leaves what its own metrics return: mappings with the question's id.
    for value in line.values():
        if isinstance(value, dict) and value is not document:
            fields = {**{k: v for k, v in value.items() if isinstance(v, str | int)}, **fields}
    row = line.get("doc_id")
    name = f"doc_id {row}"
    number = row if isinstance(row, int) else None
    if isinstance(line.get("error"), str):  # as our own export says of a failed sample
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
    """Return whether a reply is a log-likelihood, and whether it is that of greedy decoding."""
    if len(reply) != 2 or str(reply[1]) not in ("True", "False"):
        return False
    try:
        float(reply[0])
    except (TypeError, ValueError):
        return False  # two texts, of which one says so
    return True


def _of_every_eval_ever(line: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the replies of a line; conversations of several turns have none."""
    name, raw = str(line["sample_id"]), (line["output"] or {}).get("raw")
    fields = {"id": name, "input": line["input"]["raw"]}
    replies = [raw] if isinstance(raw, str) else raw
    # what the converter of inspect's logs says of a sample
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
    """Return a reply that ended so; of a refused prompt inspect keeps the server's words as text.

    Args:
        text: of the reply.
        reason: inspect's word for its end.
        usage: tokens as the server counted them, which it did not where it refused the prompt.
    """
    if reason == "content_filter" or (reason == "model_length" and not usage):
        words = " ".join([f"the server ended the reply for {reason!r}:", *text.split()])
        return Generation(None, error=words[:200].rstrip(":"))
    return Generation(text)


def _attached(text: str, sample: Mapping[str, Any]) -> str:
    """Return a text that inspect may have put into the sample's attachments."""
    key = text.removeprefix("attachment://")
    return text if key == text else str(sample.get("attachments", {}).get(key, text))


def _of_archive(content: bytes) -> list[Record] | None:
    """Read a workbook, or inspect's archive."""
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

    # A text that begins with "=" is stored as a formula, with 0 or nothing as its value.
    sheet = load_workbook(io.BytesIO(content), read_only=True).worksheets[0]
    rows = sheet.iter_rows(values_only=True)
    header = [str(name) for name in next(rows, ())]
    for row in rows:
        yield dict(zip(header, row, strict=False))


def _of_rows(rows: Iterator[dict[str, Any]] | csv.DictReader[str]) -> list[Record]:
    """Read the rows of VLMEvalKit's sheet; it leaves the cell of an empty text empty."""
    records = []
    for number, row in enumerate(rows):
        if "prediction" not in row:
            raise JsonError("it has no column 'prediction'")
        index = row.get("index", number)
        text = "" if row["prediction"] is None else str(row["prediction"])
        failed = text.startswith(_VLMEVALKIT_FAILED)
        verdict = row.get("correct") if "response" in row else None  # of MMVU's judge
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
    """Return the generations that belong to samples; what belongs to none is counted and named.

    Args:
        records: of another tool's file.
        samples: of the benchmark.
        path: of the file, for messages.

    Raises:
        RowsError: none of them belongs to a sample, or two to the same.
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


#: Finds the sample that a text belongs to; None where there is none.
_Rule = Callable[[Record], Sample | None]


def _rule(records: Sequence[Record], samples: Sequence[Sample], path: Path) -> _Rule:
    """Return what finds samples for most records: an id in one of their fields, or the row.

    A sample that asks something else than the record says is no owner; where that leaves nothing,
    because the tool words questions otherwise, the ids of most records count alone. Rows that are
    1 to their number may be counted from 1 or lack the first, which only questions tell.
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
    """Return whether a rule gives texts that differ to samples of their own."""
    texts: dict[str, str | None] = {}
    owners = ((rule(record), record.generation.text) for record in records)
    return all(
        texts.setdefault(owner.id, text) == text for owner, text in owners if owner is not None
    )


def _agreed(record: Record, rule: _Rule) -> Sample | None:
    owner = rule(record)
    return owner if owner is not None and _asks(record, owner) else None


def _as_id(value: object) -> str:
    """Return an id as the files have it: inspect's with "?" for half a surrogate pair."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return str(whole).encode(errors="replace").decode()


def _asks(record: Record, sample: Sample) -> bool:
    """Return whether a record is of a sample's question, as far as it says."""
    texts, own = _asked(record), "".join(sample.question.split()).lower()
    return not texts or not own or any(own in text or text in own for text in texts)


def _asked(record: Record) -> list[str]:
    asked = [record.fields.get(name) for name in _ASKED_FIELDS]
    return ["".join(text.split()).lower() for text in asked if isinstance(text, str)]
