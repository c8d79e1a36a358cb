"""Where rows come from: local files, a file inside an installed package, or the hub.

Tab-separated tables with images in base64, as MMBench's authors publish them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llava_eval.borders.files import resolve_package_path
from llava_eval.errors import ConfigError, LlavaEvalError, RowsError

HUB_SCHEME = "hub://"
FILE_SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")


def read_rows(
    source: str,
    *,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
) -> list[Mapping[str, Any]]:
    """Read all rows of a source.

    Args:
        source: a .parquet, .jsonl, .json, .csv or .tsv file, a folder of such files (read in the
            order of their names), ``package://module/file``, or ``hub://organisation/dataset``.
        subset: a hub data set's configuration.
        split: its split.
        revision: its commit, branch or tag.

    Returns:
        One mapping per row, with plain Python values; JSON arrays have columns ``column_0``, ...

    Raises:
        RowsError: the source does not exist, cannot be read, or has no rows.
    """
    if source.startswith(HUB_SCHEME):
        rows = _read_hub(source.removeprefix(HUB_SCHEME), subset, split, revision)
    else:
        rows = _read_local(Path(resolve_package_path(source)).expanduser())
    if not rows:
        raise RowsError(f"{source} has no rows")
    return rows


def _read_local(path: Path) -> list[Mapping[str, Any]]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in FILE_SUFFIXES)
        if not files:
            raise RowsError(f"the folder {path} holds no {', '.join(FILE_SUFFIXES)} file")
        return [row for file in files for row in _read_file(file)]
    if not path.is_file():
        raise RowsError(
            f"there is no file or folder {path}; a data set of the hub is written "
            f"{HUB_SCHEME}organisation/name"
        )
    return _read_file(path)


def _read_file(path: Path) -> list[Mapping[str, Any]]:
    readers = {
        ".jsonl": _read_jsonl,
        ".json": _read_json,
        ".csv": _read_csv,
        ".tsv": read_tsv,
        ".parquet": _read_parquet,
    }
    if path.suffix not in readers:
        raise RowsError(f"{path}: rows come as {', '.join(FILE_SUFFIXES)}, got {path.suffix!r}")
    try:
        return list(readers[path.suffix](path))
    except LlavaEvalError:
        raise
    except (OSError, ValueError) as error:
        raise RowsError(f"{path} cannot be read as {path.suffix}: {error}") from error


def _read_jsonl(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise RowsError(f"{path}, line {number + 1} is not valid JSON: {error}") from error
            if not isinstance(row, dict | list):
                raise RowsError(f"{path}, line {number + 1} is no JSON object: {line[:60]!r}")
            yield _named(row)


def _read_json(path: Path) -> Iterator[Mapping[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, list) or not all(isinstance(row, dict | list) for row in content):
        raise RowsError(f"{path} should hold one list of objects, got {type(content).__name__}")
    yield from map(_named, content)


def _named(row: dict[str, Any] | list[Any]) -> Mapping[str, Any]:
    """Return a row; the values of one without names are ``column_0``, ``column_1``, ..."""
    if isinstance(row, dict):
        return row
    return {f"column_{place}": value for place, value in enumerate(row)}


def _read_csv(path: Path) -> Iterator[Mapping[str, Any]]:
    import pandas as pd

    # Everything stays text: ids such as "001" and answers such as "None" or "1.0" must not change.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    yield from _records(frame.to_dict(orient="records"))


def _read_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    from llava_eval.benchmarks.arrow_rows import parquet_table, table_rows

    yield from table_rows(parquet_table(path))


def _read_hub(
    name: str, subset: str | None, split: str | None, revision: str | None
) -> list[Mapping[str, Any]]:
    if split is None:
        raise ConfigError(f"benchmark.split is not set, and {HUB_SCHEME}{name} needs one")
    import datasets

    try:
        loaded = datasets.load_dataset(name, subset, split=split, revision=revision)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        where = f"{name} ({subset}, {split})" if subset else f"{name} ({split})"
        raise RowsError(
            f"cannot load {where} from the hub: {_first_line(error)}; "
            "rows that lie on this machine are given as benchmark.source=PATH"
        ) from error
    from llava_eval.benchmarks.arrow_rows import table_rows

    return list(table_rows(loaded.with_format("arrow")[:]))


def _records(rows: Any) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        yield {str(name): value for name, value in row.items()}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


#: An image cell of so few characters names the row that holds the image, by its index.
_MOST_INDEX_CHARACTERS = 64


def read_tsv(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table, all cells as text.

    Source of the rule for images: open-compass/VLMEvalKit, vlmeval/dataset/image_base.py.

    Raises:
        ValueError: the file is no table.
    """
    import pandas as pd

    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    rows = [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
    images = {row["index"]: row["image"] for row in rows if "image" in row and "index" in row}
    for row in rows:
        image = row.get("image", "")
        if len(image) <= _MOST_INDEX_CHARACTERS and image in images:
            row["image"] = images[image]
        yield row
