"""Reading texts to score that were generated elsewhere, or by an earlier run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llava_eval.borders.json_text import JsonError, parse_json
from llava_eval.borders.paths import read_file, reason
from llava_eval.borders.typed_json import as_type
from llava_eval.errors import RowsError
from llava_eval.results.exchange.foreign import foreign_records, matched, samples_by_row
from llava_eval.types import Generation, Sample

FORMS = (
    '{"id": sample id, "text": "..."}, {"row": zero-based source row, "text": "..."}, '
    '"option_losses": [...] in place of "text" for answers by likelihood, '
    "or a line of a samples.jsonl"
)


def read_generations(path: Path, samples: Sequence[Sample]) -> dict[str, Generation]:
    """Read a file of generated texts, ours or another tool's.

    Args:
        path: JSON lines in the forms of :data:`FORMS`, or a file that
            :mod:`llava_eval.results.exchange.foreign` can read.
        samples: the samples that the texts belong to.

    Returns:
        A generation for every sample, by sample id. Samples that are not in the file get one with
        an error, so that they count as failed and are never scored.

    Raises:
        RowsError: there is no such file, a line is not readable, a text belongs to no sample, or
            two to the same. Of another tool's texts only some must belong to samples.
    """
    try:
        written = read_file(path)
        foreign = foreign_records(written, path)
        lines = [] if foreign is not None else written.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = reason(error) if isinstance(error, OSError) else error
        raise RowsError(f"generations={path} cannot be read: {cause}") from error
    by_id = {sample.id: sample for sample in samples}
    by_row = samples_by_row(samples)
    result = {} if foreign is None else matched(foreign, samples, path)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            content = parse_json(line)
        except JsonError as error:
            raise RowsError(f"{where} is not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise RowsError(f"{where} is a {type(content).__name__}; expected {FORMS}")
        sample = _sample_of(content, by_id, by_row, where)
        if sample.id in result:
            raise RowsError(f"{where}: sample {sample.id!r} has a text already")
        result[sample.id] = _generation(content, sample, where)
    nothing = Generation(text=None, error=f"{path} holds no text for this sample")
    return {sample.id: result.get(sample.id, nothing) for sample in samples}


def _sample_of(
    content: Mapping[str, Any],
    by_id: Mapping[str, Sample],
    by_row: Mapping[int | None, Sample | None],
    where: str,
) -> Sample:
    row = content.get("row")
    if "id" in content:
        sample = by_id.get(str(content["id"]))
        named = f"id {content['id']!r}"
        # A samples.jsonl has the row numbers of its run's source, whose order may be another.
        has_row = isinstance(row, int) and row in by_row and "generation" not in content
        if sample is not None and has_row and row != sample.row:
            raise RowsError(f"{where}: {named} is of row {sample.row}, not {row}; give one of them")
    elif isinstance(row, int):
        sample = by_row.get(row)
        if sample is None and row in by_row:
            raise RowsError(f"{where}: row {row} has several questions; give their ids")
        named = f"row {row}"
    else:
        raise RowsError(f"{where} has neither an id nor a row; expected {FORMS}")
    if sample is None:
        raise RowsError(f"{where}: the benchmark has no sample with {named}")
    return sample


def _generation(content: Mapping[str, Any], sample: Sample, where: str) -> Generation:
    if isinstance(content.get("generation"), dict):
        content = content["generation"]
    elif not isinstance(content.get("text"), str) and "option_losses" not in content:
        raise RowsError(f"{where} has no text; expected {FORMS}")
    else:
        content = {name: content[name] for name in ("text", "option_losses") if name in content}
        content.setdefault("text", "")
    try:
        generation = as_type(content, Generation)
    except JsonError as error:
        raise RowsError(f"{where}: {error}") from error
    losses = generation.option_losses or ()
    if not all(map(math.isfinite, losses)):
        raise RowsError(f"{where}: expected option_losses as finite numbers, got {list(losses)}")
    if generation.text is not None and len(losses) != len(sample.options):
        raise RowsError(
            f"{where}: sample {sample.id!r} needs {len(sample.options)} option_losses, one for "
            f"each option whose likelihood is compared; got {len(losses)}"
        )
    return generation
