"""Rows of real schemas become samples, and bad rows one line."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from llava_eval.benchmarks.adapters import caption, multiple_choice, open_ended
from llava_eval.benchmarks.adapters.mmmu import mmmu
from llava_eval.benchmarks.adapters.mmvu import mmvu
from llava_eval.benchmarks.adapters.videommmu import videommmu
from llava_eval.benchmarks.adapters.vsibench import vsibench
from llava_eval.benchmarks.rows import Row
from llava_eval.cli import run_command
from llava_eval.config.build import build_target
from llava_eval.config.compose import compose_config
from llava_eval.errors import ConfigError, RowsError
from llava_eval.types import Media, Sample
from tests.benchmarks.loading import load_samples
from tests.conftest import slow, write_lines

VIDEOMME_ROW: dict[str, Any] = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "url": "https://www.youtube.com/watch?v=fFjv93ACGo8",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "Which {decoration} is most numerous?",
    "options": ["A. Apples.", "B. Candles.", "C. Berries.", "D. All three are equal."],
    "answer": "C",
}


def choice(row: dict[str, Any], **changes: Any) -> Sample:
    parameters: dict[str, Any] = {
        "id": "{question_id}",
        "group": "{videoID}",
        "media": ["data/{videoID}.mp4"],
        "question": "{question}",
        "options": "options",
        "answer": "{answer}",
        "prompt": "{question}\n{options}",
        "options_carry_letters": True,
    }
    row_object = Row(3, row, "rows.jsonl", Path("/media"))
    return multiple_choice(row_object, **{**parameters, **changes})


def test_the_official_videomme_prompt_to_the_letter() -> None:
    node = compose_config(["benchmark=videomme/official"]).config.benchmark.adapter
    adapter = build_target(node, key="benchmark.adapter")
    sample = adapter(Row(0, VIDEOMME_ROW, "rows.jsonl", Path("/videos")))
    assert sample.prompt == (
        "Select the best answer to the following multiple-choice question based on the video. "
        "Respond with only the letter (A, B, C, or D) of the correct option.\n"
        "Which {decoration} is most numerous?\n"
        "A. Apples.\nB. Candles.\nC. Berries.\nD. All three are equal.\n"
        "The best answer is:"
    )
    assert sample.media == (Media("video", "/videos/data/fFjv93ACGo8.mp4"),)


def test_multiple_choice() -> None:
    sample = choice(VIDEOMME_ROW)
    assert sample.id == "001-1"
    assert sample.row == 3
    assert sample.group == "fFjv93ACGo8"
    assert sample.targets == ("C",)
    assert sample.choices == ("Apples.", "Candles.", "Berries.", "All three are equal.")


def test_the_python_repr_of_the_options() -> None:
    sample = choice(VIDEOMME_ROW, prompt="{question}\n{options_repr}")
    assert sample.prompt.endswith(
        "\n['A. Apples.', 'B. Candles.', 'C. Berries.', 'D. All three are equal.']"
    )


def test_letters_are_put_in_front_where_options_lack_them() -> None:
    row = {**VIDEOMME_ROW, "options": ["red", "A. blue"], "answer": 1}
    sample = choice(
        row, options_carry_letters=False, answer_form="index", option_format="({letter}) {option}"
    )
    assert sample.prompt.endswith("\n(A) red\n(B) A. blue")
    assert sample.targets == ("B",)
    assert sample.choices == ("red", "A. blue")


def test_an_answer_given_as_text_and_options_written_as_a_list() -> None:
    row = {**VIDEOMME_ROW, "options": '["red", "it\'s"]', "answer": "it's"}
    sample = choice(row, options_carry_letters=False, answer_form="text")
    assert sample.targets == ("B",)
    assert choice({**row, "options": "['red', \"it's\"]"}, answer_form="text").targets == ("B",)


def test_the_first_existing_media_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").touch()
    row = Row(0, {"name": "a"}, "rows", tmp_path)
    assert row.media_path(["{name}.mp4", "{name}.mkv"]) == str(tmp_path / "a.mkv")
    assert row.media_path(["{name}.mp4", "{name}.webm"]) == str(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("change", "parameters", "parts"),
    [
        ({"answer": "E"}, {}, ["row 3", "'E'", "letter"]),
        ({"answer": "AB"}, {}, ["'AB'"]),
        ({"answer": 4}, {"answer_form": "index"}, ["'4'", "index"]),
        ({"answer": "Plums."}, {"answer_form": "text"}, ["'Plums.'", "text"]),
        ({"answer": None}, {}, ["row 3", "'answer'", "empty"]),
        ({"options": "A. x"}, {}, ["'options'", "list", "str"]),
        ({"options": ["A. x"]}, {}, ["1 options", "2 to 26"]),
        ({"options": ["x", "y"]}, {}, ["none", "its letter", "'x'", "options_carry_letters=false"]),
        ({}, {"id": "{qid}"}, ["row 3", "no column 'qid'", "video_id, duration"]),
    ],
)
def test_a_bad_row_is_named(
    change: dict[str, Any], parameters: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(RowsError) as caught:
        choice({**VIDEOMME_ROW, **change}, **parameters)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.slow
def test_an_advice_about_letters_is_taken_as_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "configs" / "benchmark" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\ndefaults: [override /scorer: strict_choice]\n"
        "benchmark: {name: mine, source: '???', adapter: {media: ['{v}.mp4'], id: '{v}', "
        "_target_: llava_eval.benchmarks.adapters.multiple_choice, group: '{v}', question: Which, "
        "options: options, answer: '{answer}', prompt: '{options}'}, "
        "metrics: {accuracy: {_target_: llava_eval.metrics.means.mean_score}}}\n"
    )
    own = {"v": "a", "options": ["A. x", "B. y"], "answer": "A"}
    texts = write_lines(tmp_path / "texts.jsonl", [{"row": 0, "text": "A"}])
    for name, row in (("mine", own), ("videomme/official", {**VIDEOMME_ROW, "options": [*"xyzw"]})):
        source = write_lines(tmp_path / "rows.jsonl", [row])
        words = ["score", f"benchmark={name}", f"benchmark.source={source}", f"generations={texts}"]
        words += [f"--config-dir={tmp_path / 'configs'}", f"output_dir={tmp_path / name}"]
        assert run_command(words) == 2
        error = capsys.readouterr().err
        (advice,) = re.findall(r"\S*options_carry_letters=\w+", error)
        assert run_command([*words, advice]) == 0


def test_a_template_that_cannot_be_filled_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="literal brace"):
        choice(VIDEOMME_ROW, prompt="{question")
    with pytest.raises(RowsError, match="cannot be filled: a field has no name"):
        choice(VIDEOMME_ROW, prompt="{}")


def test_open_ended_and_caption() -> None:
    row = Row(0, {"q": "is it red", "a": "yes", "v": "x", "refs": ["one", "two"]}, "rows")
    common: dict[str, Any] = {"id": "{v}", "group": "{v}", "media": ["{v}.mp4"]}
    asked = open_ended(row, **common, question="{q}", answers="a", prompt="{question}?")
    assert (asked.prompt, asked.targets, asked.choices) == ("is it red?", ("yes",), ())
    several = open_ended(row, **common, question="{q}", answers="refs", prompt="{question}")
    assert several.targets == ("one", "two")
    described = caption(row, **common, references="refs", prompt="Describe.")
    assert (described.prompt, described.targets) == ("Describe.", ("one", "two"))
    shown = open_ended(
        row, **common, question="{q}", answers="a", prompt="?", media_kind="image"
    ).media
    assert shown == (Media("image", "x.mp4", upright=True),)
    with pytest.raises(RowsError, match="empty list"):
        caption(Row(0, {"v": "x", "refs": []}, "r"), **common, references="refs", prompt="D")


ADAPTER = functools.partial(
    open_ended,
    id="{id}",
    group="{v}",
    media=["{v}.mp4"],
    question="{q}",
    answers="a",
    prompt="{question}",
)


def rows_file(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def row(**changes: Any) -> dict[str, Any]:
    return {"id": "1", "v": "x", "q": "why", "a": "yes", "kind": 3, **changes}


def test_load_samples_keeps_facets_and_limit(tmp_path: Path) -> None:
    source = rows_file(tmp_path, row(), row(id="2", kind="four"), row(id="3"))
    samples = load_samples(source, ADAPTER, facets=["kind"], limit=2)
    assert [(sample.id, sample.row) for sample in samples] == [("1", 0), ("2", 1)]
    assert [sample.facets for sample in samples] == [{"kind": "3"}, {"kind": "four"}]


def test_answers_that_are_all_empty_are_hidden(tmp_path: Path) -> None:
    """An empty reply was right of all of TextVQA's test set, whose rows hold "" ten times."""
    hidden = load_samples(rows_file(tmp_path, row(a=[""] * 10), row(id="2", a=[""] * 10)), ADAPTER)
    assert [sample.targets for sample in hidden] == [(), ()]
    known = load_samples(rows_file(tmp_path, row(a=["", ""]), row(id="2", a=["no"])), ADAPTER)
    assert [sample.targets for sample in known] == [("", ""), ("no",)]


@pytest.mark.parametrize("columns", [{}, {"a": None}, {"a": ""}, {"a": []}, {"a": ["", None]}])
def test_rows_without_an_answer_are_asked_where_that_is_said(columns: dict[str, Any]) -> None:
    bare = {name: value for name, value in row().items() if name != "a"}
    hidden = Row(0, {**bare, **columns}, "rows")
    assert ADAPTER(hidden, hidden_answers=True).targets == ()
    assert ADAPTER(Row(0, row(), "rows"), hidden_answers=True).targets == ("yes",)
    described = caption(
        hidden, id="{id}", group="{v}", media=["x"], references="a", prompt="?", hidden_answers=True
    )
    assert described.targets == ()
    if "" not in (columns.get("a"), *(columns.get("a") or ())):  # an empty text is an answer
        with pytest.raises(RowsError, match="; hidden_answers: true in benchmark"):
            ADAPTER(hidden)


def test_load_samples_refuses_duplicates_and_missing_facets(tmp_path: Path) -> None:
    source = rows_file(tmp_path, row(), row(id="2"), row())
    with pytest.raises(RowsError, match="'1' in rows 0, 2"):
        load_samples(source, ADAPTER)
    with pytest.raises(RowsError, match="no column 'colour'"):
        load_samples(source, ADAPTER, facets=["colour"])


def test_load_samples_names_the_row_that_makes_no_sample(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"row 1: .*group is empty"):
        load_samples(rows_file(tmp_path, row(), row(id="2", v="")), ADAPTER)


@pytest.mark.slow
def test_vinoground_reads_categories_from_the_table_beside_its_rows(tmp_path: Path) -> None:
    row = {"idx": "1_pos", "video_name": "1_pos.mp4", "question": "Which?", "GT": "A"}
    for name in ("textscore", "videoscore"):
        (tmp_path / f"vinoground_{name}.json").write_text(json.dumps([row]))
    table = "index,major,minor,pos_cap\n0,object,,x\n1,action,cyclical;spatial;,y\n"
    (tmp_path / "vinoground.csv").write_text(table)
    composed = compose_config(["benchmark=vinoground/official"]).config.benchmark
    adapter = build_target(composed.adapter, key="benchmark.adapter")
    samples = load_samples(str(tmp_path), adapter, facets=composed.facets, subset=composed.subset)
    assert [sample.facets for sample in samples] == [
        {"row_set": name, "major": "action", "minor": "cyclical+spatial"}
        for name in ("textscore", "videoscore")
    ]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in tmp_path.glob("*.json"):
        path.rename(elsewhere / path.name)
    (elsewhere / "vinoground.csv").symlink_to("share/that/is/gone")
    with pytest.raises(RowsError, match=r"No such file or directory: .*vinoground\.csv"):
        load_samples(str(elsewhere), adapter, facets=composed.facets, subset=composed.subset)


#: The disciplines of MMMU (its evaluation code's table), with Video-MMMU's short names for them.
MMMU_SUBJECTS = {
    ("Art and Design", "Art"): "Art Art_Theory Design Music",
    ("Business", "Business"): "Accounting Economics Finance Manage Marketing",
    ("Science", "Science"): "Biology Chemistry Geography Math Physics",
    ("Health and Medicine", "Medicine"): (
        "Basic_Medical_Science Clinical_Medicine Diagnostics_and_Laboratory_Medicine Pharmacy "
        "Public_Health"
    ),
    ("Humanities and Social Science", "Humanities"): "History Literature Psychology Sociology",
    ("Tech and Engineering", "Engineering"): (
        "Agriculture Architecture_and_Engineering Computer_Science Electronics Energy_and_Power "
        "Materials Mechanical_Engineering"
    ),
}
#: The subjects of MMVU (Table 2 of arXiv 2501.12380) by discipline.
MMVU_SUBJECTS = {
    "Science": (
        "Astronomy, Biology, Chemistry, Electromagnetism, Geography, Materials Science, Mechanics, "
        "Modern Physics, Neurobiology, Thermodynamics"
    ),
    "Healthcare": "Basic Medicine, Clinical Medicine, Dentistry, Pharmacy, Preventive Medicine",
    "Humanities_and_Social_Science": "Art, Economics, History, Law, Literature, Management",
    "Engineering": (
        "Biomedical Engineering, Civil Engineering, Computer Science, Electrical Engineering, "
        "Electronics and Communication, Mechanical Engineering"
    ),
}


def test_every_subject_has_its_discipline() -> None:
    def row(id: str, **more: Any) -> Row:
        answered = {"question": "Why?", "options": ["a", "b"], "answer": "A"}
        return Row(0, {"id": id, **answered, **more}, "rows.jsonl", Path("/media"))

    prompts: dict[str, Any] = {"media": ["{id}.mp4"], "choice_prompt": "{question}"}
    subjects = [(name, both) for both, listed in MMMU_SUBJECTS.items() for name in listed.split()]
    assert len(subjects) == 30
    for name, (domain, category) in subjects:
        id = f"validation_{name}_7"
        facets = mmmu(row(id), **prompts).facets
        assert (facets["subject"], facets["domain"]) == (name, domain)
        facets = videommmu(row(id), **prompts, prompt="{question}").facets
        assert (facets["subject"], facets["category"]) == (name, category)
    fields = [
        (name, field) for field, listed in MMVU_SUBJECTS.items() for name in listed.split(", ")
    ]
    assert len(fields) == 27
    for name, discipline in fields:
        more = {"video": "videos/Elsewhere/0.mp4", "question_type": "open-ended"}
        asked = row("validation_7", **more, metadata={"subject": name})
        facets = mmvu(asked, **prompts, open_prompt="{question}").facets
        assert (facets["subject"], facets["discipline"]) == (name.replace(" ", "_"), discipline)


def test_an_answer_of_mmmu_is_one_text_and_may_be_hidden() -> None:
    columns = {"id": "test_Math_1", "question": "<image 2> and <image 1>?", "options": "[]"}

    def made(answer: str) -> Sample:
        row = Row(0, {**columns, "question_type": "open", "answer": answer}, "rows", Path("/media"))
        return mmmu(row, media=["{id}_{image}.png"], choice_prompt="{options}")

    assert [made(answer).targets for answer in ("4", "['1', '2']", "?")] == [
        ("4",),
        ("['1', '2']",),
        (),
    ]
    images = tuple(
        Media("image", f"/media/test_Math_1_image_{number}.png", upright=True) for number in (1, 2)
    )
    assert made("4").content == (*images, columns["question"])


def test_vsibench_has_options_or_a_number() -> None:
    def sampled(kind: str, **more: Any) -> Sample:
        row = {"dataset": "arkit", "scene_name": "4", "question": "Where?", "question_type": kind}
        prompts = {
            "number_prompt": "{question} A number.",
            "choice_prompt": "{question}\n{options}",
        }
        media = ["{dataset}/{scene_name}.mp4"]
        return vsibench(
            Row(7, {**row, **more}, "rows.jsonl", Path("/media")), media=media, **prompts
        )

    options = ["A. left", "B. back. left", "front"]
    chosen = sampled("object_rel_direction_hard", options=options, ground_truth="A", id=5)
    assert chosen.choices == ("left", "back. left", "front")
    assert chosen.prompt == "Where?\nA. left\nB. back. left\nfront"
    assert chosen.facets == {
        "task": "object_rel_direction",
        "question_type": "object_rel_direction_hard",
    }
    assert (chosen.id, chosen.group, chosen.targets) == ("5", "arkit/4", ("A",))
    counted = sampled("object_counting", ground_truth="3")
    assert (counted.id, counted.choices, counted.prompt) == ("7", (), "Where? A number.")
    assert counted.facets["task"] == "object_counting"
    with pytest.raises(RowsError, match="none of the options begins with its letter"):
        sampled("route_planning", options=["left", "right"], ground_truth="A")
    with pytest.raises(RowsError, match="answer 'D' is not the letter of one of 3 options"):
        sampled("route_planning", options=options, ground_truth="D")
    with pytest.raises(RowsError, match="the right number is 0"):
        sampled("object_counting", ground_truth="0")
    with pytest.raises(RowsError, match="question_type is 'tasting', expected one of "):
        sampled("tasting", ground_truth="3")


@pytest.mark.parametrize(
    ("protocol", "row", "file"),
    [
        ("mlvu/official", {"question_type": "needle"}, "video/2_needle/a.mp4"),
        slow("mlvu/official", {"question_type": "findNeedle"}, "video/2_needle/a.mp4"),
        slow("mlvu/official", {"question_type": "ego"}, "MLVU/video/3_ego/a.mp4"),
        slow("mlvu/official", {"question_type": "count"}, "4_count/a.mp4"),
        ("mvbench/official", {"task": "moving_count"}, "data0613/clevrer/video_validation/a.mp4"),
    ],
)
def test_videos_are_found_where_the_archives_of_the_hub_have_them(
    protocol: str, row: dict[str, Any], file: str, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    asked = {"question": "Which?", "video": "a.mp4", "candidates": ["x", "y"], "answer": "x"}
    benchmark = compose_config([f"benchmark={protocol}"]).config.benchmark
    adapter = build_target(benchmark.adapter, key="benchmark.adapter")
    assert adapter(Row(0, {**asked, **row}, "rows", tmp_path)).media[0].path == str(tmp_path / file)
