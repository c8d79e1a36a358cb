"""Rows of parquet files: plain values, and images that are not copied into memory."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from llava_eval.benchmarks.arrow_rows import table_rows
from llava_eval.benchmarks.sources import read_rows
from llava_eval.types import Media
from llava_eval.video import read_media

IMAGES = [Random(number).randbytes(1 << 20) for number in range(32)]


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows as image sets of the hub store them, one without an image, some with several."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    rows = [
        {
            "question_id": number,
            "question": f"what is {number}?",
            "image": {"bytes": image, "path": f"{number}.png"} if number else None,
            "more": [{"bytes": image[:9], "path": None}] * (number % 3),
            "answers": ["one", "two"],
        }
        for number, image in enumerate(IMAGES)
    ]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=10)
    return path


def test_another_file_of_the_same_time_is_read_anew(tmp_path: Path) -> None:
    """Archives and copies keep the times of files; the cache of ``datasets`` goes by them."""
    path = tmp_path / "rows.parquet"
    for content in (b"first", b"later"):
        rows = [{"question": content.decode(), "image": {"bytes": content, "path": None}}]
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        (row,) = read_rows(str(path))
        assert row["question"] == content.decode()


@pytest.mark.slow
def test_values_are_those_that_were_written(parquet: Path) -> None:
    rows = read_rows(str(parquet))
    assert [row["question_id"] for row in rows] == list(range(len(IMAGES)))
    assert rows[0]["image"] is None
    for number, row in list(enumerate(rows))[1:]:
        assert row["image"]["path"] == f"{number}.png"
        assert bytes(row["image"]["bytes"]) == IMAGES[number]
        assert row["image"]["bytes"].readonly
        assert [bytes(one["bytes"]) for one in row["more"]] == [IMAGES[number][:9]] * (number % 3)
        assert row["answers"] == ["one", "two"]


def test_images_stay_in_their_file(parquet: Path) -> None:
    before = pa.total_allocated_bytes()
    rows = read_rows(str(parquet))
    assert len(rows) == len(IMAGES)
    assert pa.total_allocated_bytes() - before < 1 << 20  # of 31 MiB of images


def test_bytes_are_those_of_the_table_and_no_copies() -> None:
    """An Arrow scalar holds a copy, which Arrow does not count as its own memory."""
    texts = [b"none", None, b"", b"of these"]
    plain = pa.array(texts, pa.binary())[1:]
    kinds = [plain, plain.cast(pa.large_binary()), pa.StructArray.from_arrays([plain], ["bytes"])]
    kinds.append(pa.ListArray.from_arrays([0, 1, 3], plain))
    for column in kinds:
        values = [row["image"] for row in table_rows(pa.table({"image": column}))]
        found = [one.get("bytes") if isinstance(one, dict) else one for one in values]
        found = [item for one in found for item in (one if isinstance(one, list) else [one])]
        assert [None if one is None else bytes(one) for one in found] == texts[1:]
        buffers = [buffer for buffer in column.buffers() if buffer is not None]
        held = next(one for one in buffers if b"none" in memoryview(one).tobytes())
        place = pa.py_buffer(found[2]).address - held.address
        assert held.slice(place, 8).to_pybytes() == b"of these"


def test_an_image_of_a_row_is_read_and_known_again(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (5, 3), (10, 20, 30)).save(content, "PNG")
    path = tmp_path / "rows.parquet"
    rows = [{"image": {"bytes": content.getvalue(), "path": "a.png"}}] * 2
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    first, second = (
        Media("image", "a.png", data=row["image"]["bytes"]) for row in read_rows(str(path))
    )
    assert len({first, second, Media("image", "a.png", data=content.getvalue()[:-1])}) == 2
    assert pickle.loads(pickle.dumps(first)) == first
    frames = read_media(first, lambda _: ()).frames
    assert frames.shape == (1, 3, 3, 5)
    assert frames[0, :, 0, 0].tolist() == [10, 20, 30]
