"""Texts in the files of other tools, told apart by what they hold.

* lm-eval and lmms-eval: ``samples_*.jsonl``, one object a line with ``resps``;
* VLMEvalKit: a sheet (.xlsx, .tsv) with a column ``prediction``;
* inspect: a log, JSON or the .eval archive of such, with ``samples`` that have an ``output``.

A text belongs to the sample whose id one of its fields holds: that field which holds the ids of
most samples. Where none does, the tools' own number of the row tells, and the question must agree.
"""

from __future__ import annotations

import csv
import io
import logging
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llava_eval.borders.json_text import MAX_FILE_BYTES, JsonError, parse_json
from llava_eval.errors import RowsError
from llava_eval.types import Generation, Sample

log = logging.getLogger(__name__)

#: Records that belong to no sample, named in a message.
_NAMED = 5


@dataclass(frozen=True)
class Record:
    """One text of another tool.

    Attributes:
        name: what the tool calls its sample, for messages.
        text: the model's; None where it failed.
        fields: of the question, by name.
        row: number of the source row, as the tool counts.
        error: why there is no text.
    """

    name: str
    text: str | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    row: int | None = None
    error: str | None = None


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
        start = content[:200_000].lstrip()
        if start.startswith(b"{"):
            return _of_json(content)
        header = start.split(b"\n", 1)[0].decode(errors="replace").strip().lower()
        for separator in ("\t", ","):
            if "prediction" in [name.strip('"') for name in header.split(separator)]:
                return _of_table(content.decode("utf-8-sig"), separator)
    except (JsonError, zipfile.BadZipFile, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise RowsError(f"generations={path} cannot be read: {error}") from error
    except NotImplementedError as error:  # newer versions of inspect write Zstandard
        raise RowsError(
            f"generations={path} cannot be unpacked here ({error}); write it as JSON: inspect log "
            "convert --to json"
        ) from error
    return None


def _of_json(content: bytes) -> list[Record] | None:
    """Read lm-eval's lines, or one log of inspect."""
    first, _, rest = content.partition(b"\n")
    try:
        line = parse_json(first)
    except JsonError:
        line = None
    if isinstance(line, dict) and "resps" in line:
        texts = [first, *rest.split(b"\n")]
        return [_of_lm_eval(parse_json(text, dict)) for text in texts if text.strip()]
    if isinstance(line, dict) and "eval" not in line:
        return None
    whole = line if isinstance(line, dict) and not rest.strip() else _whole(content)
    if whole is None or not isinstance(whole.get("eval"), dict) or "samples" not in whole:
        return None
    return [_of_inspect(sample) for sample in whole["samples"] or []]


def _whole(content: bytes) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = parse_json(content, dict, max_bytes=MAX_FILE_BYTES)
    except JsonError:
        return None
    return value


def _of_lm_eval(line: Mapping[str, Any]) -> Record:
    replies = line["resps"]
    while isinstance(replies, list) and replies:
        replies = replies[0]
    document = line.get("doc")
    fields = dict(document) if isinstance(document, dict) else {}
    # lmms-eval also leaves what its own metrics return: mappings with the question's id.
    for value in line.values():
        if isinstance(value, dict) and value is not document:
            fields = {**{k: v for k, v in value.items() if isinstance(v, str | int)}, **fields}
    row = line.get("doc_id")
    name = f"doc_id {row}"
    number = row if isinstance(row, int) else None
    if not isinstance(replies, str):
        return Record(name, None, fields, number, "the file holds no text for it")
    return Record(name, replies, fields, number)


def _of_inspect(sample: Any) -> Record:
    """Read one sample of inspect's log, version 2."""
    if not isinstance(sample, dict):
        raise JsonError("samples: expected an object")
    name = str(sample.get("id"))
    metadata = sample.get("metadata")
    fields = {"id": name, **(metadata if isinstance(metadata, dict) else {})}
    if isinstance(sample.get("input"), str):
        fields["input"] = sample["input"]
    error = sample.get("error")
    if isinstance(error, dict):
        return Record(name, None, fields, error=str(error.get("message", "failed")))
    output = sample.get("output")
    choices = output.get("choices") if isinstance(output, dict) else None
    if not choices:
        return Record(name, None, fields, error="the log holds no output for it")
    content = choices[0].get("message", {}).get("content", "")
    if isinstance(content, list):
        content = "".join(
            str(part.get("text", "")) for part in content if part.get("type") == "text"
        )
    return Record(name, str(content), fields)


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

    sheet = load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets[0]
    rows = sheet.iter_rows(values_only=True)
    header = [str(name) for name in next(rows, ())]
    for row in rows:
        yield dict(zip(header, row, strict=False))


def _of_table(text: str, separator: str) -> list[Record]:
    return _of_rows(csv.DictReader(io.StringIO(text), delimiter=separator))


def _of_rows(rows: Iterator[dict[str, Any]] | csv.DictReader[str]) -> list[Record]:
    """Read the rows of VLMEvalKit's sheet; it leaves the cell of an empty text empty."""
    records = []
    for number, row in enumerate(rows):
        if "prediction" not in row:
            raise KeyError("it has no column 'prediction'")
        index = row.get("index", number)
        records.append(
            Record(
                f"index {index}",
                "" if row["prediction"] is None else str(row["prediction"]),
                row,
                int(index) if str(index).isdecimal() else None,
            )
        )
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
    by_id = {sample.id: sample for sample in samples}
    rows: dict[int, Sample | None] = {}
    for sample in samples:
        rows[sample.row] = None if sample.row in rows else sample
    column = _id_field(records, by_id)
    found: dict[str, Generation] = {}
    strange = []
    for record in records:
        if column is not None:
            owner = by_id.get(_as_id(record.fields.get(column)))
        else:
            owner = None if record.row is None else rows.get(record.row)
            owner = owner if owner is not None and _asks(record, owner) else None
        if owner is None:
            strange.append(record.name)
        elif owner.id in found:
            raise RowsError(f"{path}: sample {owner.id!r} has two texts ({record.name} is one)")
        else:
            found[owner.id] = Generation(record.text, error=record.error)
    if not found:
        raise RowsError(
            f"{path}: none of its {len(records)} texts belongs to a sample of the benchmark; the "
            f"first is of {records[0].name if records else 'nothing'}"
        )
    if strange:
        more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
        log.warning(
            "%s: %d of %d texts belong to no sample of the benchmark: %s%s",
            path,
            len(strange),
            len(records),
            ", ".join(strange[:_NAMED]),
            more,
        )
    return found


def _id_field(records: Sequence[Record], by_id: Mapping[str, Sample]) -> str | None:
    """Return the field that holds the ids of samples, each its own."""
    holds: Counter[str] = Counter()
    for name in dict.fromkeys(name for record in records for name in record.fields):
        values = [_as_id(record.fields.get(name)) for record in records]
        known = [value for value in values if value in by_id]
        if known and len(set(known)) == len(known):
            holds[name] = len(known)
    ((name, number),) = holds.most_common(1) or [("", 0)]
    return name if 2 * number > min(len(records), len(by_id)) else None


def _as_id(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _asks(record: Record, sample: Sample) -> bool:
    """Return whether a record is of a sample's question, as far as it says."""
    asked = record.fields.get("question")
    if not isinstance(asked, str) or not sample.question:
        return True
    left, right = ("".join(text.split()).lower() for text in (asked, sample.question))
    return left in right or right in left
