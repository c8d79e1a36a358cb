"""Read rows of Arrow tables without copying their images: they stay in the mapped file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet

from llava_eval.borders.paths import file_identity
from llava_eval.types import is_base64

#: Characters; a column of texts with a greater mean length may contain images in base64.
_LONG_TEXT = 1024
#: Bytes; a larger file is mapped even without a column of bytes, as it may have images in base64.
_LARGE_FILE = 1 << 25


def table_rows(table: pa.Table) -> Iterator[Mapping[str, Any]]:
    """Yield a mapping per row, with plain Python values.

    Bytes, and images in base64, are read-only views of the table's own memory: a data set of images
    may be larger than the machine's memory, and of a mapped file only the accessed parts are read.
    """
    for batch in table.to_batches():
        columns = {str(name): _values(batch.column(name)) for name in batch.schema.names}
        for number in range(batch.num_rows):
            yield {name: values[number] for name, values in columns.items()}


def parquet_table(path: Path) -> pa.Table:
    """Read a parquet file.

    A file with bytes, or a large one, is unpacked once into the cache of ``datasets``, and mapped.

    Raises:
        OSError, ValueError: the file cannot be read.
    """
    try:
        schema = pyarrow.parquet.read_schema(path)
        is_large = path.stat().st_size >= _LARGE_FILE
        if not is_large and not any(_holds_bytes(kind) for kind in schema.types):
            return pyarrow.parquet.read_table(path)
        return _unpacked(path)
    except pa.ArrowException as error:  # not all of them are ValueError
        raise ValueError(str(error)) from error


def _unpacked(path: Path) -> pa.Table:
    import datasets

    try:
        # The cache alone would not tell a file from another with the same path and time.
        rows = datasets.Dataset.from_parquet(str(path), config_name=file_identity(path))
        return rows.with_format("arrow")[:]
    except datasets.exceptions.DatasetsError as error:
        raise ValueError(f"{error.__cause__ or error}") from error


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    return _is_bytes(kind)


def _values(array: pa.Array) -> Sequence[Any]:
    """Return the values of a column, with bytes as views, because Arrow's own scalars copy."""
    is_text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    if is_text and array.nbytes > _LONG_TEXT * len(array):
        views = _values(array.cast(pa.large_binary()))  # views of the same memory
        return [one if one is None or is_base64(one) else str(one, "utf-8") for one in views]
    if not _holds_bytes(array.type) or pa.types.is_binary_view(array.type):
        values: list[Any] = array.to_pylist()
        return values
    if pa.types.is_struct(array.type):
        fields = {entry.name: _values(array.field(i)) for i, entry in enumerate(array.type)}
        found: Iterator[Any] = (
            {name: column[number] for name, column in fields.items()}
            for number in range(len(array))
        )
    elif _is_bytes(array.type):
        _, offsets, content = array.buffers()
        kind: Literal["q", "i"] = "q" if pa.types.is_large_binary(array.type) else "i"
        ends = memoryview(offsets or b"").cast("B").cast(kind)[array.offset :][: len(array) + 1]
        held = memoryview(content or b"").cast("B").toreadonly()
        found = (held[start:end] for start, end in pairwise(ends))
    else:
        items = _values(array.values)
        found = (list(items[start:end]) for start, end in pairwise(array.offsets.to_pylist()))
    valid = array.is_valid().to_pylist()
    return [value if is_valid else None for value, is_valid in zip(found, valid, strict=True)]
