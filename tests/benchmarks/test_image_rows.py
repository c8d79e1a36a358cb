"""The images of rows: in a column, in base64, by name, or not there at all."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llava_eval.benchmarks.adapters.image import image_choice, image_question
from llava_eval.benchmarks.adapters.image_list import image_list_choice
from llava_eval.benchmarks.image_rows import row_image
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.sources import read_rows
from llava_eval.errors import RowsError
from llava_eval.types import Media
from llava_eval.video.media import read_media
from tests.benchmarks.loading import load_samples
from tests.benchmarks.test_image_prompts import MMBENCH
from tests.scoring.protocols import protocol


def picture(colour: str, size: tuple[int, int] = (40, 24)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def image_of(columns: dict[str, Any], root: Path | None = None) -> Media:
    row = Row(0, columns, "rows", root)
    return row_image(row, column="image", files=["{name}.jpg", "{id}.jpg"]).media


def test_bytes_of_a_column_are_shown(tmp_path: Path) -> None:
    for value in (
        picture("red"),
        {"bytes": picture("red"), "path": "a.png"},
        base64.b64encode(picture("red", (400, 300)) + bytes(1000)).decode(),
        base64.encodebytes(picture("red", (400, 300)) + bytes(1000)).decode(),  # in lines
        f"data:image/png;base64,{base64.b64encode(picture('red')).decode()}",
        base64.b64encode(picture("red")).decode(),  # shorter than the longest file name
    ):
        medium = image_of({"id": 1, "image": value})
        frame = read_media(medium, lambda info: [0]).frames[0]
        assert frame[:, 0, 0].tolist() == [255, 0, 0]


def test_base64_of_a_jpeg_whose_first_segment_is_adobes() -> None:
    stream = io.BytesIO()
    Image.new("CMYK", (40, 24), (0, 255, 255, 0)).save(stream, "JPEG")
    encoded = base64.b64encode(stream.getvalue())
    assert encoded.startswith(b"/9j/7")  # marker 0xEE, no JFIF header (0xE0) nor EXIF (0xE1)
    for value in (encoded, encoded.decode(), {"bytes": encoded, "path": "a.jpg"}):
        frame = read_media(image_of({"id": 1, "image": value}), lambda info: [0]).frames[0]
        expected = Image.open(io.BytesIO(stream.getvalue())).convert("RGB").getpixel((0, 0))
        assert tuple(frame[:, 0, 0].tolist()) == expected


def test_one_picture_has_one_name() -> None:
    rows = [Row(0, {"image": {"bytes": picture(one)}}, "rows") for one in ("red", "red", "blue")]
    names = [row_image(row, column="image", files=[]).name for row in rows]
    assert names[0] == names[1] != names[2]


def test_a_path_lies_below_the_media_folder_and_an_address_does_not(tmp_path: Path) -> None:
    assert image_of({"image": "a{b}.png"}, tmp_path).path == str(tmp_path / "a{b}.png")
    assert image_of({"image": {"bytes": None, "path": "b.png"}}).path == "b.png"
    assert image_of({"image": "http://x.org/a.png"}, tmp_path).path == "http://x.org/a.png"


def test_rows_without_an_image_name_a_file(tmp_path: Path) -> None:
    assert image_of({"id": 7}).path == "7.jpg"
    (tmp_path / "7.jpg").write_bytes(picture("red"))
    assert image_of({"id": 7, "name": "n"}, tmp_path).path == str(tmp_path / "7.jpg")
    with pytest.raises(RowsError, match=r"row 0: there is no image in column 'image'.*question"):
        image_of({"question": "?"})


@pytest.mark.parametrize(
    ("value", "part"), [(3.5, "should hold an image, got float"), ("@" * 2000, "no base64")]
)
def test_a_column_without_an_image_is_named(value: Any, part: str) -> None:
    with pytest.raises(RowsError, match=part):
        image_of({"id": 7, "image": value})


def test_a_tab_separated_table_holds_images_once(tmp_path: Path) -> None:
    encoded = base64.b64encode(picture("blue") + bytes(1200)).decode()
    table = tmp_path / "MMBench.tsv"
    header = "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage\tl2-category\tsplit\n"
    table.write_text(
        header
        + f'241\tWhich?\t\tx\t001\t"a ""b"""\t\tB\tc\t{encoded}\tl\tdev\n'
        + "1000241\tWhich?\t\t001\tx\tNone\t\tA\tc\t241\tl\tdev\n"
    )
    rows = read_rows(str(table))
    assert rows[0]["B"] == "001"
    assert rows[1]["image"] == encoded
    samples = load_samples(str(table), protocol("mmbench/vlmevalkit").adapter)
    assert [sample.id for sample in samples] == ["241", "1000241"]
    assert {sample.group for sample in samples} == {"241"}
    assert samples[0].choices == ("x", "001", 'a "b"')
    assert samples[1].choices == ("001", "x")
    assert [read_media(one.media[0], lambda info: [0]).frames.shape for one in samples] == [
        (1, 3, 24, 40),
        (1, 3, 24, 40),
    ]


@pytest.mark.slow
def test_an_answer_that_is_no_letter_is_named() -> None:
    with pytest.raises(RowsError, match="the answer 'x' is no letter"):
        protocol("mmbench/lmms_eval").sample({**MMBENCH, "answer": "x"})
    with pytest.raises(RowsError, match="'7' is not the number of one of 2 options"):
        protocol("ai2d/lmms_eval").sample({"question": "?", "options": ["x", "y"], "answer": "7"})
    with pytest.raises(RowsError, match="names no subject"):
        protocol("mmmu/lmms_eval_v0_2").sample(
            {"id": "x", "question": "?", "options": "[]", "question_type": "open", "answer": "1"}
        )


@pytest.mark.parametrize("columns", [{}, {"answer": None}, {"answer": ""}, {"answer": "hidden"}])
def test_rows_of_pictures_without_an_answer(columns: dict[str, Any]) -> None:
    asked = Row(0, {"question": "?", "options": ["x", "y"], "image": picture("red"), **columns}, "")
    parameters: dict[str, Any] = {"id": "1", "media": [], "prompt": "{question}"}
    parameters |= {"options": "options"}
    adapters: list[tuple[Any, dict[str, Any]]] = [
        (image_choice, {"group": ["1"]}),
        (image_list_choice, {"images": "image"}),
    ]
    for adapter, names in adapters:
        assert adapter(asked, hidden_answers=True, **parameters, **names).targets == ()
        with pytest.raises(RowsError, match="answer"):
            adapter(asked, **parameters, **names)


def test_options_of_columns_that_the_prompt_lacks() -> None:
    """MMStar.tsv of VLMEvalKit has them so; lmms-eval's rows have them in the question."""
    columns = {"index": "0", "question": "Which?", "A": "red", "B": "blue", "answer": "B"}
    parameters: dict[str, Any] = {"id": "{index}", "group": ["{index}"], "media": ["{index}.jpg"]}
    parameters |= {"answers": "answer", "prompt": "{question}"}
    with pytest.raises(RowsError, match=r"of column 'B', and the prompt shows no options"):
        image_question(Row(0, columns, "rows"), **parameters)
    listed = {**columns, "question": "Which?\nOptions: A: red, B: blue"}
    assert image_question(Row(0, listed, "rows"), **parameters).targets == ("B",)
    in_picture = {**parameters, "prompt": "Answer."}
    assert image_question(Row(0, columns, "rows"), **in_picture).prompt == "Answer."
    named = {name: columns[name] for name in ("index", "question", "answer")}
    assert image_question(Row(0, named, "rows"), **parameters).prompt == "Which?"


@pytest.mark.slow
def test_images_are_turned_as_the_reference_turns_them() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right
    Image.new("RGB", (40, 24), "red").save(stream, "JPEG", exif=exif)
    row: dict[str, Any] = {
        "question_id": "1",
        "question": "?",
        "answer": "yes",
        "category": "random",
    }
    row |= {"image_source": "x", "image": {"bytes": stream.getvalue()}}
    shapes = {
        name: tuple(
            read_media(protocol(name).sample(row).media[0], lambda info: [0]).frames.shape[2:]
        )
        for name in ("pope/lmms_eval", "pope/llava")
    }
    assert shapes == {"pope/lmms_eval": (40, 24), "pope/llava": (24, 40)}
