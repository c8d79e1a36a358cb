"""Read rows from local files, a file inside an installed package, or the hub.

Rows may come in several sets: subsets of a hub data set, or files of one folder.
"""

from __future__ import annotations

import logging
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llava_eval.borders.json_text import MAX_FILE_BYTES, JsonError, load_json, parse_json
from llava_eval.borders.paths import local_path, names_file, open_file
from llava_eval.errors import ConfigError, LlavaEvalError, RowsError, first_line

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger(__name__)

HUB_SCHEME = "hub://"
#: Files of rows in a folder. A workbook may be there for people: it is read only if named itself.
FILE_SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")
WORKBOOK_SUFFIX = ".xlsx"
#: Errors of zipfile and openpyxl for a damaged workbook, apart from OSError and ValueError.
WORKBOOK_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError),
    *(SyntaxError, LookupError, TypeError, AttributeError),  # SyntaxError: the XML parser's
)

#: Column that names the set a row belongs to, in lower case.
ROW_SET_COLUMN = "row_set"
#: Column with the key of a row, if a JSON file is an object of rows.
ROW_KEY_COLUMN = "row_key"
#: Separates the names in ``benchmark.subset``.
SET_SEPARATOR = "+"

#: End of a file name of the hub or its library: the file's number among those of its split.
_SHARD = re.compile(r"-\d{5}-of-(\d{5})$")
#: Separates the words of a file's name, one of which may be the split.
_WORDS = re.compile(r"[-._ \d]+")
#: Splits that most data sets have, as they occur in names of files.
_VALIDATION = frozenset({"val", "valid", "validation"})
_SPLITS = _VALIDATION | {"train", "dev", "test"}

#: An image cell of at most this many characters is no image; it may name another row with one.
_MAX_INDEX_CHARACTERS = 64


def read_rows(
    source: str,
    *,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
) -> list[Mapping[str, Any]]:
    """Read all rows of a source; of several sets ("Generic+Temporal") set by set.

    A set is a subset of a hub data set. In a folder it is the file (or folder of files) whose name
    contains the set's in any case: ``generic_qa.json`` is the set Generic. A single file is read
    whole: its own column ``row_set`` may name the sets, or ``subset`` may name its only set. So is
    a folder if only one set is named and no file's name contains it.

    Args:
        source: a .parquet, .jsonl, .json, .csv or .tsv file, a folder of such files (read in the
            order of their names) or one that ``save_to_disk`` of the hub's library wrote, an .xlsx
            file, ``package://module/file``, or ``hub://organisation/dataset``.
        subset: a hub data set's configuration, or the name of another source's row set; several
            are joined by "+".
        split: its split. If a folder has files named after it, only these are read ("test.jsonl",
            "test-00000-of-00002.parquet", or else "test_mine.csv").
        revision: commit, branch or tag of a hub data set.

    Returns:
        One mapping per row, with plain Python values. A row of a named set has the column
        ``row_set``, a JSON array the columns ``column_0``, ..., and a row in a JSON object of rows
        the column ``row_key`` with its key.

    Raises:
        RowsError: the source or a set does not exist, cannot be read, or has no rows.
    """
    names = [] if subset is None else subset.split(SET_SEPARATOR)
    is_hub, is_only = source.startswith(HUB_SCHEME), len(names) == 1
    sets: list[tuple[str, str]] = []
    if not is_hub and local_path(source).is_dir():
        for name in names:
            paths = _paths_of_set(local_path(source), name, is_only=is_only)
            sets += [(name, str(path)) for path in paths]
    elif is_hub or is_only:  # in a single file, the names of several sets select nothing
        sets = [(name, source) for name in names]
    if not sets:
        return _rows_of(source, None, split, revision)
    return [
        {ROW_SET_COLUMN: name.lower(), **row}  # a row that names its set itself keeps that
        for name, path in sets
        for row in _rows_of(path, name, split, revision)
    ]


def _rows_of(
    source: str, subset: str | None, split: str | None, revision: str | None
) -> list[Mapping[str, Any]]:
    if source.startswith(HUB_SCHEME):
        rows = _read_hub(source.removeprefix(HUB_SCHEME), subset, split, revision)
    else:
        rows = _read_local(local_path(source), split)
    if not rows:
        raise RowsError(f"{source} has no rows")
    return rows


def _read_local(path: Path, split: str | None) -> list[Mapping[str, Any]]:
    if (path / "dataset_dict.json").is_file() and split is not None:
        path /= split
    if (path / "state.json").is_file():
        return _read_saved(path)
    if path.is_dir():
        shown = (file for file in path.iterdir() if file.name[0] != ".")
        files = sorted(file for file in shown if file.suffix.lower() in FILE_SUFFIXES)
        if split is not None:
            files = _of_split(files, split)
        if not files:
            raise RowsError(
                f"the folder {path} holds no {', '.join(FILE_SUFFIXES)} file; a clone of a data "
                f"set of the hub is written {HUB_SCHEME}{path.absolute()}"
            )
        stems = [file.stem for file in files]
        twice = [file for file in files if stems.count(file.stem) > 1]
        if twice:
            names = " and ".join(file.name for file in twice[:2])
            raise RowsError(
                f"the folder {path} holds {names}, which may be the same rows; benchmark.source "
                "takes the path of one of them"
            )
        _check_whole(path, files)
        return [row for file in files for row in _read_file(file)]
    if not path.is_file():
        raise RowsError(
            f"there is no file or folder {path}; a data set of the hub is written "
            f"{HUB_SCHEME}organisation/name"
        )
    return _read_file(path)


def _check_whole(folder: Path, files: Sequence[Path]) -> None:
    """Raise RowsError if files are numbered ("-00000-of-00002") and some are missing."""
    matches = [match for file in files if (match := _SHARD.search(file.stem)) is not None]
    numbers = Counter((match.string[: match.start()], match[1]) for match in matches)
    for (name, total), number in numbers.items():
        if number != int(total):
            raise RowsError(
                f"the folder {folder} holds {number} of the {int(total)} files "
                f"{name}-*-of-{total}, as where a download ended; the rows of one alone are read "
                "of its path"
            )


def _of_split(files: list[Path], split: str) -> list[Path]:
    """Return the files named after a split, else those with it as one word of theirs, else all.

    "shape&trend.json" is the split "shape_trend", because the hub's names have no other marks.

    Raises:
        RowsError: some of several splits have such a file, and others do not.
    """
    splits = {re.sub(r"\W", "_", name) for name in split.split(SET_SEPARATOR)}
    split_of = {file: re.sub(r"\W", "_", _SHARD.sub("", file.stem)) for file in files}
    exact = [file for file in files if split_of[file] in splits]
    missing = splits.difference(split_of.values())
    if exact and missing:
        raise RowsError(f"{files[0].parent} holds no file of the split {min(missing)}")
    if exact:
        return exact
    if splits & _VALIDATION:
        splits |= _VALIDATION
    words_of = {file: {*_WORDS.split(file.stem)} for file in files}
    chosen = [file for file in files if splits & words_of[file]]
    others = sorted(_SPLITS & set().union(*words_of.values()))
    if not chosen and len(others) > 1:
        text = "%s holds files of %s, and none of the split %s: all were read; see benchmark.split"
        log.warning(text, files[0].parent, " and ".join(others), split)
    return chosen or files


def _read_file(path: Path) -> list[Mapping[str, Any]]:
    readers = {
        ".parquet": _read_parquet,
        ".jsonl": _read_jsonl,
        ".json": _read_json,
        ".csv": _read_csv,
        ".tsv": _read_tsv,
        WORKBOOK_SUFFIX: _read_workbook,
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise RowsError(f"{path}: rows come as {', '.join(readers)}, got {path.suffix!r}")
    try:
        open_file(path).close()  # refuses a pipe or a device in a folder of rows
        return list(readers[suffix](path))
    except LlavaEvalError:
        raise
    except UnicodeDecodeError as error:
        raise RowsError(f"{path} is not in UTF-8{_undecodable(path)}; save it in that") from error
    except (OSError, ValueError) as error:
        raise RowsError(f"{path} cannot be read as {path.suffix}: {error}") from error


def _undecodable(path: Path) -> str:
    """Return where a text is not in UTF-8, and its text there in Windows' own encoding."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                near = line[max(0, error.start - 20) : error.start + 20].strip()
                return f": line {number}, near {near.decode('cp1252', 'replace')!r}"
    return ""


def _read_jsonl(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:  # Windows writes a byte order mark
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except JsonError as error:
                raise RowsError(f"{path}, line {number} is not valid JSON: {error}") from error
            if not isinstance(row, dict | list):
                raise RowsError(f"{path}, line {number} is no JSON object: {line[:60]!r}")
            yield _with_names(row)


def _read_json(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        content = load_json(path)
    except JsonError as error:  # .json files of POPE's authors, and others, contain JSON lines
        with path.open(encoding="utf-8-sig") as lines:
            try:
                parse_json(next(lines, ""), dict)
            except JsonError:
                raise error from None
        yield from _read_jsonl(path)
        return
    while isinstance(content, dict) and len(content) == 1 and _is_of_rows(*content.values()):
        (content,) = content.values()  # {"data": [...]}, {"Perception": {"0": {...}}}
    if isinstance(content, dict) and _is_of_rows(content):
        content = [{ROW_KEY_COLUMN: key, **row} for key, row in content.items()]
    if not isinstance(content, list):
        raise RowsError(f"{path} should hold one list of objects, got {type(content).__name__}")
    for number, row in enumerate(content):
        if not isinstance(row, dict | list):
            raise RowsError(
                f"{path} should hold one list of objects, row {number} is {type(row).__name__}"
            )
        yield _with_names(row)


def _is_of_rows(content: Any) -> bool:
    rows = [*content.values()] if isinstance(content, dict) else content
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)


def _with_names(row: dict[str, Any] | list[Any]) -> Mapping[str, Any]:
    """Return a row as a mapping; a list's values are named ``column_0``, ``column_1``, ..."""
    if isinstance(row, dict):
        return row
    return {f"column_{index}": value for index, value in enumerate(row)}


def _read_csv(path: Path, *, separator: str = ",") -> Iterator[Mapping[str, Any]]:
    import pandas as pd

    # Everything stays text: ids such as "001" and answers such as "None" or "1.0" must not change.
    try:
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except pd.errors.ParserError as error:
        raise RowsError(
            f"{path} cannot be read with {separator!r} between fields: {error}"
        ) from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas took the first field for a label
        raise RowsError(f"{path}: its rows have more fields than its first line has names")
    _check_names(path, pd.read_csv(path, sep=separator, dtype=str, header=None, nrows=1))
    for row in frame.to_dict(orient="records"):
        yield {str(name): value for name, value in row.items()}


def _check_names(path: Path, first: DataFrame) -> None:
    """Raise RowsError for a table with two columns of one name; pandas renames the second."""
    names = first.iloc[0].dropna()
    repeated = names[names.duplicated()]
    if len(repeated):
        raise RowsError(
            f"{path} has several columns {repeated.iloc[0]!r}, and does not say which one is meant"
        )


def _read_tsv(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table whose images are in base64, as MMBench's authors publish them.

    Source of the rule for images: open-compass/VLMEvalKit, vlmeval/dataset/image_base.py.
    """
    rows = [dict(row) for row in _read_csv(path, separator="\t")]
    images = {
        row["index"]: row["image"]
        for row in rows
        if "index" in row and len(row.get("image", "")) > _MAX_INDEX_CHARACTERS
    }
    for row in rows:
        if row.get("image") in images:
            row["image"] = images[row["image"]]
        yield row


def _read_workbook(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of the only filled sheet, every cell as text: 2 is "2", an empty one ""."""
    import pandas as pd

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_FILE_BYTES:
                raise RowsError(f"{path} unpacks to more than {MAX_FILE_BYTES} bytes")
        with pd.ExcelFile(path, engine="openpyxl") as book:
            sheets = pd.read_excel(book, sheet_name=None, dtype=str, keep_default_na=False)
            filled = [name for name, sheet in sheets.items() if len(sheet)]
            if len(filled) > 1:
                raise RowsError(
                    f"{path} has rows in the sheets {', '.join(map(repr, filled))}; rows are read "
                    "of a workbook with one, or of a sheet that was saved as .csv"
                )
            for name in filled:
                _check_names(path, pd.read_excel(book, sheet_name=name, header=None, nrows=1))
    except WORKBOOK_ERRORS as error:
        raise RowsError(f"{path} is no workbook, or a damaged one: {first_line(error)}") from error
    for name in filled:
        for row in sheets[name].to_dict(orient="records"):
            yield {str(column): value for column, value in row.items()}


def _read_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    from llava_eval.benchmarks.arrow_rows import parquet_table, table_rows

    yield from table_rows(parquet_table(path))


def _read_saved(folder: Path) -> list[Mapping[str, Any]]:
    """Read a folder that ``save_to_disk`` of the hub's library wrote."""
    import datasets

    from llava_eval.benchmarks.arrow_rows import table_rows

    try:
        return list(table_rows(datasets.load_from_disk(str(folder)).with_format("arrow")[:]))
    except (OSError, ValueError) as error:
        raise RowsError(f"{folder} cannot be read: {first_line(error)}") from error


def _read_hub(
    name: str, subset: str | None, split: str | None, revision: str | None
) -> list[Mapping[str, Any]]:
    if split is None:
        raise ConfigError(f"benchmark.split is not set, and {HUB_SCHEME}{name} needs one")
    import datasets

    try:
        loaded = datasets.load_dataset(name, subset, split=split, revision=revision)
    except Exception as error:  # the library passes on any error of its file readers
        where = f"{name} ({subset}, {split})" if subset else f"{name} ({split})"
        raise RowsError(
            f"cannot load {where} from the hub: {first_line(error)}; "
            "rows that lie on this machine are given as benchmark.source=PATH"
        ) from error
    from llava_eval.benchmarks.arrow_rows import table_rows

    return list(table_rows(loaded.with_format("arrow")[:]))


def _paths_of_set(folder: Path, name: str, *, is_only: bool) -> list[Path]:
    """Return the file or folder of a set; if only one set is read, it may have several.

    Raises:
        RowsError: several sets are read, and this one has none or more than one.
        OSError: the system refuses to list a folder with the set's name.
    """
    paths = []
    for path in sorted(folder.iterdir()):
        if path.name[0] == "." or name.lower() not in path.name.lower():
            continue
        inside = () if names_file(path) else path.iterdir()  # glob would skip a refused folder
        if any(file.suffix.lower() in FILE_SUFFIXES for file in (path, *inside)):
            paths.append(path)
    paths = [path for path in paths if path.stem.lower() == name.lower()] or paths
    if is_only:
        _check_whole(folder, paths)
        return paths or [folder]
    if len(paths) != 1:
        listed = ", ".join(path.name for path in paths) or "none"
        raise RowsError(
            f"{folder} should hold one file or folder for the row set {name}; found {listed}"
        )
    return paths
