"""Rows from every kind of file, unchanged."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from openpyxl import Workbook

from llava_eval.benchmarks.sources import read_rows
from llava_eval.borders.paths import local_path
from llava_eval.errors import ConfigError, RowsError
from llava_eval.results.exchange.foreign import foreign_records

ROWS: list[dict[str, Any]] = [
    {"id": "001", "options": ["A. x", "B. y"], "answer": "None", "number": 1},
    {"id": "002", "options": ["A. ü", "B. 漢"], "answer": "1.0", "number": 2},
]


def write(folder: Path, suffix: str) -> Path:
    path = folder / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n")
    elif suffix == ".json":
        path.write_text(json.dumps(ROWS))
    elif suffix == ".parquet":
        pd.DataFrame(ROWS).to_parquet(path)
    else:
        pd.DataFrame(ROWS).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_structured_files_keep_their_values(tmp_path: Path, suffix: str) -> None:
    assert [dict(row) for row in read_rows(str(write(tmp_path, suffix)))] == ROWS


def test_csv_values_stay_text(tmp_path: Path) -> None:
    first, second = read_rows(str(write(tmp_path, ".csv")))
    assert first["id"] == "001"
    assert first["answer"] == "None"
    assert second["answer"] == "1.0"
    assert second["options"] == "['A. ü', 'B. 漢']"


def test_files_whose_endings_are_capitals(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.CSV").write_text("id\n2\n")
    (tmp_path / "._a.csv").write_bytes(b"\0\5\x16\7")  # macOS's, on other systems' disks
    assert read_rows(str(tmp_path)) == [{"id": "1"}, {"id": "2"}]


def test_the_same_rows_in_two_formats_are_not_read_twice(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("n\n1\n")
    (tmp_path / "test.jsonl").write_text('{"n": 1}\n')
    (tmp_path / "train.csv").write_text("n\n2\n")
    with pytest.raises(RowsError, match=r"holds test\.csv and test\.jsonl, which may be the same"):
        read_rows(str(tmp_path), split="test")
    assert read_rows(str(tmp_path), split="train") == [{"n": "2"}]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"n": 2}\n')
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n')
    (tmp_path / "notes.md").write_text("not rows")
    assert [row["n"] for row in read_rows(str(tmp_path))] == [1, 2]


def test_files_of_a_split_are_read_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, name in enumerate(
        ("test-00000-of-00001", "val-00000-of-00002", "val-00001-of-00002")
    ):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"n": number}) + "\n")
    assert read_rows(str(tmp_path), split="val") == [{"n": 1}, {"n": 2}]
    assert read_rows(str(tmp_path), split="test+val") == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert read_rows(str(tmp_path), split="validation") == [{"n": 1}, {"n": 2}]
    assert not caplog.messages
    assert read_rows(str(tmp_path), split="train") == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert "holds files of test and val, and none of the split train: all were" in caplog.text
    (tmp_path / "my_train_2.csv").write_text("n\n3")
    assert read_rows(str(tmp_path), split="train") == [{"n": "3"}]
    (tmp_path / "shape&trend.jsonl").write_text('{"n": 4}')  # TOMATO's authors
    assert read_rows(str(tmp_path), split="test+shape_trend") == [{"n": 4}, {"n": 0}]
    with pytest.raises(RowsError, match="no file of the split direction"):
        read_rows(str(tmp_path), split="test+direction")


def test_a_folder_that_lacks_one_of_its_numbered_files_is_refused(tmp_path: Path) -> None:
    for number in (0, 2):
        (tmp_path / f"test-0000{number}-of-00003.jsonl").write_text(f'{{"n": {number}}}')
    (tmp_path / "val-00000-of-00001.jsonl").write_text('{"n": 9}')
    for chosen in ({"split": "test"}, {"subset": "test"}, {}):
        with pytest.raises(RowsError, match=r"holds 2 of the 3 files test-\*-of-00003, as where"):
            read_rows(str(tmp_path), **chosen)
    assert read_rows(str(tmp_path), split="val") == [{"n": 9}]
    assert read_rows(str(tmp_path / "test-00002-of-00003.jsonl"), split="test") == [{"n": 2}]
    (tmp_path / "test-00001-of-00003.jsonl").write_text('{"n": 1}')
    assert read_rows(str(tmp_path), split="test") == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_folders_that_the_hubs_library_saved(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_list([{"id": "001", "image": {"bytes": b"\x89P"}}])
    rows.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(val=rows).save_to_disk(tmp_path / "all")
    for name in ("one", "all"):
        assert [dict(row) for row in read_rows(str(tmp_path / name), split="val")] == list(rows)
    with pytest.raises(RowsError, match=r"no file or folder \S+test; "):
        read_rows(str(tmp_path / "all"), split="test")
    (tmp_path / "one" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(RowsError, match=r"one cannot be read: .*data-00000"):
        read_rows(str(tmp_path / "one"))


def test_a_file_of_lines_that_begins_with_a_mark_of_the_byte_order(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"n": 1}\r\n')
    assert read_rows(str(tmp_path / "rows.jsonl")) == [{"n": 1}]


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("rows.jsonl", '{"a": 1}\n{"a": \n', ["rows.jsonl, line 2", "JSON"]),
        ("rows.jsonl", "1\n", ["line 1", "no JSON object"]),
        ("rows.jsonl", "", ["no rows"]),
        ("rows.json", '{"a": 1}', ["one list of objects", "dict"]),
        ("rows.json", "[", ["cannot be read as .json"]),
        ("rows.parquet", "not parquet", ["cannot be read as .parquet"]),
        ("rows.csv", "", ["cannot be read as .csv"]),
        ("rows.csv", "id,answer\n1,A,\n2,B,\n", ["more fields than", "names"]),
        ("rows.csv", "id;q\n1;Who?\n2;Who, when?\n", ["rows.csv cannot be read with ',' between"]),
        ("rows.tsv", "id\tanswer\n1\tA\tx\n", ["more fields than", "names"]),
        ("rows.csv", "id,answer,answer\n1,A,B\n", ["rows.csv has several columns 'answer', and"]),
        ("rows.tsv", "id\tid\t\t\n1\t2\t3\t4\n", ["rows.tsv has several columns 'id', and"]),
        ("rows.txt", "a", [".parquet, .jsonl, .json, .csv", "'.txt'"]),
    ],
)
def test_an_unusable_file_gives_one_line(
    tmp_path: Path, name: str, text: str, parts: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RowsError) as caught:
        read_rows(str(tmp_path / name))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.json"])
def test_a_file_in_another_encoding_says_where(tmp_path: Path, name: str) -> None:
    text = {"csv": "id\n1\nun li\xe8vre\n", "tsv": "id\n1\nun li\xe8vre\n"}
    content = text.get(name[5:], '\n\n{"id": "un li\xe8vre"}\n')
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(RowsError, match=r"is not in UTF-8: line 3, near .*un lièvre.*; save it"):
        read_rows(str(tmp_path / name))


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    """The size that its list of members states, of which no more would be unpacked."""
    book = Workbook()
    book["Sheet"].append(["id"])
    book.save(tmp_path / "rows.xlsx")
    content = bytearray((tmp_path / "rows.xlsx").read_bytes())
    entry = content.index(b"PK\x01\x02")  # of the central directory; its size stands 24 bytes on
    content[entry + 24 : entry + 28] = (3 << 30).to_bytes(4, "little")
    (tmp_path / "bomb.xlsx").write_bytes(content)
    with pytest.raises(RowsError, match=r"bomb\.xlsx unpacks to more than 2147483648 bytes"):
        read_rows(str(tmp_path / "bomb.xlsx"))


def test_the_sheet_of_a_workbook_is_read_as_text(tmp_path: Path) -> None:
    book = Workbook()
    first = book["Sheet"]
    for row in (["id", "a", "right"], ["001", "None", 2], [7, None, True], ["x", "NA", 2.5]):
        first.append(row)
    book.create_sheet("empty")
    book.save(tmp_path / "rows.xlsx")
    assert read_rows(str(tmp_path / "rows.xlsx")) == [
        {"id": "001", "a": "None", "right": "2"},
        {"id": "7", "a": "", "right": "True"},
        {"id": "x", "a": "NA", "right": "2.5"},
    ]
    for row in (["id"], ["1"]):
        book["empty"].append(row)
    book.save(tmp_path / "two.xlsx")
    with pytest.raises(RowsError, match=r"two\.xlsx has rows in the sheets 'Sheet', 'empty'; rows"):
        read_rows(str(tmp_path / "two.xlsx"))
    whole = (tmp_path / "rows.xlsx").read_bytes()
    for content in (b"id,a", b"", whole[:2000]):
        (tmp_path / "bad.xlsx").write_bytes(content)
        with pytest.raises(RowsError, match=r"bad\.xlsx is no workbook, or a damaged one"):
            read_rows(str(tmp_path / "bad.xlsx"))
    (tmp_path / "rows.csv").write_text("id\n1\n")  # a workbook beside rows is not read with them
    assert read_rows(str(tmp_path)) == [{"id": "1"}]


def test_columns_without_a_name_may_be_several(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,,,id.1\n1,x,y,z\n")  # as an index leaves them
    (row,) = read_rows(str(tmp_path / "rows.csv"))
    assert (row["id"], row["id.1"]) == ("1", "z")


def test_a_workbook_with_two_columns_of_one_name(tmp_path: Path) -> None:
    book = Workbook()
    for row in (["id", "answer", "answer"], [1, "A", "B"]):
        book["Sheet"].append(row)
    book.save(tmp_path / "rows.xlsx")
    with pytest.raises(RowsError, match=r"rows\.xlsx has several columns 'answer', and does not"):
        read_rows(str(tmp_path / "rows.xlsx"))


@pytest.mark.parametrize(
    ("member", "old", "new"),
    [
        ("xl/workbook.xml", b"<sheets>", b"<sheets"),
        ("[Content_Types].xml", b'ContentType="', b'Content="'),
        ("xl/sharedStrings.xml", b"<si>", b"<s>"),
        ("xl/worksheets/sheet1.xml", b"<v>", b"<v>9"),
        ("xl/sharedStrings.xml", b"<sst", b'<?xml version="1.0" encoding="nope"?><sst'),
        ("xl/worksheets/sheet1.xml", None, b""),
    ],
)
def test_a_workbook_whose_parts_are_damaged(
    tmp_path: Path, member: str, old: bytes | None, new: bytes
) -> None:
    """As rows, and as another tool's sheet of texts; openpyxl raises several kinds of error."""
    pd.DataFrame([{"id": "a", "prediction": "A"}] * 3).to_excel(tmp_path / "o.xlsx", index=False)
    path = tmp_path / "rows.xlsx"
    with zipfile.ZipFile(tmp_path / "o.xlsx") as whole, zipfile.ZipFile(path, "w") as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            if name == member:
                assert old is None or old in content
                content = new if old is None else content.replace(old, new)
            damaged.writestr(name, content)
    with pytest.raises(RowsError, match=r"rows\.xlsx (is no workbook|cannot be read)"):
        read_rows(str(path))
    with pytest.raises(RowsError, match=r"rows\.xlsx cannot be read"):
        foreign_records(path.read_bytes(), path)


def test_a_workbook_of_damaged_bytes(tmp_path: Path) -> None:
    pd.DataFrame([{"id": "a", "prediction": "A"}] * 300).to_excel(tmp_path / "o.xlsx", index=False)
    content = bytearray((tmp_path / "o.xlsx").read_bytes())
    with zipfile.ZipFile(tmp_path / "o.xlsx") as archive:
        start = archive.getinfo("xl/worksheets/sheet1.xml").header_offset
    content[start + 60 : start + 90] = b"\xff" * 30  # of its compressed text
    path = tmp_path / "rows.xlsx"
    path.write_bytes(content)
    with pytest.raises(RowsError, match=r"rows\.xlsx is no workbook, or a damaged one: Error -3"):
        read_rows(str(path))
    with pytest.raises(RowsError, match=r"rows\.xlsx cannot be read: Error -3"):
        foreign_records(path.read_bytes(), path)


def test_a_missing_source_says_how_hub_sets_are_written(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"no file or folder .*hub://"):
        read_rows(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(RowsError, match="holds no"):
        read_rows(str(tmp_path))


def test_a_hub_set_needs_a_split() -> None:
    with pytest.raises(ConfigError, match=r"benchmark\.split is not set"):
        read_rows("hub://organisation/name")


def test_package_paths() -> None:
    inside = local_path("package://llava_eval/demo/videos")
    assert inside.parts[-3:] == ("llava_eval", "demo", "videos")
    assert local_path("/some/where") == Path("/some/where")
    with pytest.raises(ConfigError, match="no installed package 'no_such_package'"):
        local_path("package://no_such_package/x")


def test_an_object_of_rows_names_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"0": {"a": 1}, "x": {"a": 2}}')
    assert read_rows(str(path)) == [{"row_key": "0", "a": 1}, {"row_key": "x", "a": 2}]
    path.write_text('{"Perception": {"0": {"a": 1}, "1": {"a": 2}}}')  # Video-MMMU's authors
    assert read_rows(str(path)) == [{"row_key": "0", "a": 1}, {"row_key": "1", "a": 2}]
    path.write_text('{"data": [{"a": 1}]}')
    assert read_rows(str(path)) == [{"a": 1}]
    path.write_text('{"a": 1}\n{"a": 2}\n')  # POPE's authors
    assert read_rows(str(path)) == [{"a": 1}, {"a": 2}]
    path.write_text('[{"a": 1},\n{"a" 2}]')
    with pytest.raises(RowsError, match="line 2 column 6"):
        read_rows(str(path))
    path.write_text('{"v1": {"a": 1}}')
    assert read_rows(str(path)) == [{"row_key": "v1", "a": 1}]
    path.write_text('{"a": 1}')
    with pytest.raises(RowsError, match="one list of objects, got dict"):
        read_rows(str(path))


def test_values_without_names_have_the_number_of_their_column(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[["a", 1], {"b": 2}]')
    (tmp_path / "rows.jsonl").write_text('["a", 1]\n\n{"b": 2}\n')
    expected = [{"column_0": "a", "column_1": 1}, {"b": 2}]
    assert read_rows(str(tmp_path / "rows.json")) == expected
    assert read_rows(str(tmp_path / "rows.jsonl")) == expected
    (tmp_path / "rows.json").write_text('[{"b": 2}, 3]')
    with pytest.raises(RowsError, match="one list of objects, row 1 is int"):
        read_rows(str(tmp_path / "rows.json"))


def test_images_of_a_table_are_named_by_short_texts(tmp_path: Path) -> None:
    image = "x" * 65
    lines = ["index\timage", f"7\t{image}", "1000007\t7", "8\t9", f"9\t{'y' * 64}"]
    (tmp_path / "rows.tsv").write_text("\n".join(lines))
    assert [row["image"] for row in read_rows(str(tmp_path / "rows.tsv"))] == [
        image,
        image,
        "9",  # row 9 holds no image: the reference asserts more than 64 characters
        "y" * 64,
    ]
    (tmp_path / "rows.tsv").write_text("index\tquestion\n7\t7")
    assert read_rows(str(tmp_path / "rows.tsv")) == [{"index": "7", "question": "7"}]


def test_rows_of_the_hubs_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    for name in ("Generic", "Temporal"):
        (folder / name).mkdir(parents=True)
        (folder / name / "test.jsonl").write_text(json.dumps({"Q": name}) + "\n")
    configs = [
        f"- config_name: {name}\n  data_files: {name}/*.jsonl\n" for name in ("Generic", "Temporal")
    ]
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n")
    source = f"hub://{folder}"
    assert read_rows(source, subset="Temporal", split="train") == [
        {"row_set": "temporal", "Q": "Temporal"}
    ]
    assert read_rows(source, subset="Temporal+Generic", split="train") == [
        {"row_set": "temporal", "Q": "Temporal"},
        {"row_set": "generic", "Q": "Generic"},
    ]
    with pytest.raises(RowsError) as caught:
        read_rows(source, subset="Generic", split="validation")
    assert str(caught.value).startswith(f"cannot load {folder} (Generic, validation) from the hub:")
    assert str(caught.value).endswith("are given as benchmark.source=PATH")
    with pytest.raises(RowsError, match=r"cannot load \S+ \(train\) from the hub"):
        read_rows(f"hub://{tmp_path}/nothing", split="train")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "rows.zip").write_bytes(b"PK" + bytes(300))
    with pytest.raises(RowsError, match=r"from the hub: File is not a zip file; rows that lie"):
        read_rows(f"hub://{tmp_path}/broken", split="train")


def test_the_file_of_a_row_set(tmp_path: Path) -> None:
    (tmp_path / "Generic_QA.json").write_text('[{"Q": "g"}]')
    (tmp_path / "temporal").mkdir()
    (tmp_path / "temporal" / "b.json").write_text('[{"Q": "t"}]')
    (tmp_path / "generic notes.md").write_text("no rows")
    assert read_rows(str(tmp_path), subset="generic+Temporal") == [
        {"row_set": "generic", "Q": "g"},
        {"row_set": "temporal", "Q": "t"},
    ]
    assert read_rows(str(tmp_path), subset="temporal") == [{"row_set": "temporal", "Q": "t"}]
    assert read_rows(str(tmp_path), subset="other") == [{"row_set": "other", "Q": "g"}]
    (tmp_path / "other videos").mkdir()  # no rows in it
    assert read_rows(str(tmp_path), subset="other") == [{"row_set": "other", "Q": "g"}]
    (tmp_path / "my_generic.csv").write_text("Q\ng")
    assert len(read_rows(str(tmp_path), subset="gener")) == 2
    with pytest.raises(RowsError, match=r"Generic; found Generic_QA\.json, my_generic\.csv"):
        read_rows(str(tmp_path), subset="Generic+Temporal")


def test_the_folder_of_a_row_set_that_is_not_shown_is_not_passed_over(tmp_path: Path) -> None:
    """Other rows would be read under its name."""
    (tmp_path / "other.jsonl").write_text('{"Q": "o"}')
    (tmp_path / ".#generic.jsonl").symlink_to("me@host.1")  # as Emacs does while it edits
    (tmp_path / "temporal").symlink_to("share/that/is/gone")
    assert read_rows(str(tmp_path), subset="generic") == [{"row_set": "generic", "Q": "o"}]
    with pytest.raises(FileNotFoundError, match="temporal"):
        read_rows(str(tmp_path), subset="temporal")
