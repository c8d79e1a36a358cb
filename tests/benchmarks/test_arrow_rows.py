"""Rows of parquet files: plain values, and images that are not copied into memory."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from llava_eval.benchmarks.arrow_rows import table_rows
from llava_eval.benchmarks.image_rows import row_image
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.sources import read_rows
from llava_eval.errors import RowsError
from llava_eval.results.identity import samples_digest
from llava_eval.types import Media, Sample
from llava_eval.video import read_media
from tests.conftest import write_lines

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_base64_of_images_stays_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    texts = [base64.b64encode(b"\x89PNG\r\n\x1a\n\0" + image).decode() for image in IMAGES]
    rows = [{"question": f"what is {number}?", "image": text} for number, text in enumerate(texts)]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    before = pa.total_allocated_bytes()
    read = read_rows(str(path))
    assert pa.total_allocated_bytes() - before < 1 << 20  # of 41 MiB of texts
    assert [row["question"] for row in read] == [row["question"] for row in rows]
    assert all(row["image"].readonly for row in read)
    assert [bytes(row["image"]).decode() for row in read] == texts


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_only_an_image_is_no_text_among_long_ones(kind: pa.DataType) -> None:
    """Subtitles may be as long, and a row may lack its image."""
    texts = [*("", None, "a.png", "word " * 2000), "iVBORw0KGgo" + "A" * 5001, "/9j/4" + "A" * 11]
    found = [row["x"] for row in table_rows(pa.table({"x": pa.array(["a", *texts], kind)[1:]}))]
    assert found[:4] == texts[:4]
    assert [str(image, "ascii") for image in found[4:]] == texts[4:]


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_an_image_in_base64_is_the_same_from_any_file(
    tmp_path: Path, encode: Callable[[bytes], bytes]
) -> None:
    """A run goes on where its rows were JSON lines before: names and digests are those of bytes."""
    image = Image.frombytes("RGB", (50, 30), Random(0).randbytes(4500))
    content = io.BytesIO()
    image.save(content, "PNG")
    rows = [{"image": encode(content.getvalue()).decode(), "question": "?"}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    write_lines(tmp_path / "rows.jsonl", rows)
    expected = Media("image", "a.png", data=content.getvalue())
    for name in ("rows.parquet", "rows.jsonl"):
        (columns,) = read_rows(str(tmp_path / name))
        found = row_image(Row(0, columns, name), column="image", files=[])
        assert found.name == hashlib.sha256(content.getvalue()).hexdigest()[:16]
        media = dataclasses.replace(found.media, path="a.png", upright=False)
        for medium in (media, pickle.loads(pickle.dumps(media))):
            pixels = read_media(medium, lambda _: ()).pixels[0]
            assert pixels.tobytes() == image.tobytes()
            digests = [
                samples_digest([Sample("1", 0, "g", (one, "?"), ("A",))])
                for one in (medium, expected)
            ]
            assert digests[0] == digests[1]


def test_damaged_base64_names_its_row(tmp_path: Path) -> None:
    rows = [{"image": "iVBORw0KGgo" + "A" * 2000 + "@"}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (columns,) = read_rows(str(tmp_path / "rows.parquet"))
    with pytest.raises(RowsError, match="row 7: column 'image' holds no base64"):
        row_image(Row(7, columns, "rows"), column="image", files=[])
    with pytest.raises(RowsError, match="row 8: column 'image' holds no base64"):
        row_image(Row(8, {"image": b"iVBORw0KGgo\xff"}, "rows"), column="image", files=[])
