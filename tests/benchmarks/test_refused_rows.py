"""Rows that no sample can be made of: one line, which says what came and what was expected."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llava_eval.benchmarks.adapters.egoschema import by_likelihood
from llava_eval.benchmarks.adapters.grounding import grounding, timelens
from llava_eval.benchmarks.adapters.image import image_question
from llava_eval.benchmarks.adapters.image_list import image_list_choice
from llava_eval.benchmarks.adapters.mathvista import mathvista
from llava_eval.benchmarks.adapters.mmmu import mmmu
from llava_eval.benchmarks.adapters.mmvu import mmvu
from llava_eval.benchmarks.adapters.mvbench import mvbench
from llava_eval.benchmarks.adapters.nextqa import open_answer, with_types
from llava_eval.benchmarks.adapters.open import open_ended
from llava_eval.benchmarks.adapters.options import multiple_choice
from llava_eval.benchmarks.adapters.question_lists import lvbench, motionbench
from llava_eval.benchmarks.adapters.tempcompass import tempcompass
from llava_eval.benchmarks.adapters.video_chatgpt import video_chatgpt
from llava_eval.benchmarks.adapters.videomme_v2 import videomme_v2
from llava_eval.benchmarks.adapters.videommmu import videommmu
from llava_eval.benchmarks.adapters.vinoground import vinoground
from llava_eval.benchmarks.adapters.vsibench import vsibench
from llava_eval.benchmarks.rows import Row
from llava_eval.errors import ConfigError, RowsError
from llava_eval.types import Media, Sample
from tests.benchmarks.loading import load_samples
from tests.conftest import write_lines

MEDIA: dict[str, Any] = {"media": ["{v}.mp4"], "prompt": "{question}"}
ROW: dict[str, Any] = {"v": "1", "question": "Which?", "answer": "A"}


def row(**columns: Any) -> Row:
    return Row(3, {**ROW, **columns}, "rows.jsonl", Path("/media"))


def samples(made: Sample | tuple[Sample, ...]) -> tuple[Sample, ...]:
    return made if isinstance(made, tuple) else (made,)


def refusal(adapter: Any, columns: dict[str, Any], **parameters: Any) -> str:
    with pytest.raises(RowsError) as caught:
        adapter(row(**columns), **parameters)
    message = str(caught.value)
    assert message.startswith("rows.jsonl, row 3: ")
    return message.removeprefix("rows.jsonl, row 3: ")


def test_an_option_without_its_letter() -> None:
    columns = {"video_idx": "1", "option": ["A. He eats. Now.", "He sleeps"], "answer": "0"}
    said = refusal(by_likelihood, columns, **MEDIA)
    assert said == "the option 'He sleeps' should begin with a letter and a full stop"
    columns["option"] = ["A. He eats. Now.", "B. He sleeps"]
    made = by_likelihood(row(**columns), option_delimiter=" ", **MEDIA)
    assert made.options == (" He eats", " He sleeps")
    assert made.choices == ("He eats. Now.", "He sleeps")


@pytest.mark.parametrize("span", [[1.0], [1, 2, 3], "soon", [[1, 2], [3, 4]], ["a", "b"], {}])
def test_a_span_is_two_numbers(span: Any) -> None:
    templates = {"id": "{v}", "group": "{v}", "query": "{question}", "span": "span"}
    said = refusal(grounding, {"span": span}, **templates, **MEDIA)
    assert said == f"expected the start and the end of a span, got {span!r}"


def test_spans_as_numbers_and_as_the_only_item_of_a_list() -> None:
    templates: dict[str, Any] = {"id": "{v}", "group": "{v}", "query": "{question}", "span": "span"}
    for span in ([24.3, 30], [[24.3, 30]], "[24.3, 30]"):
        made = grounding(row(span=span), **templates, **MEDIA)
        assert (made.targets, made.question) == (("24.3 30.0",), "Which?")


def test_spans_of_a_video_belong_to_its_queries_in_order() -> None:
    keys = {"row_set": "charades", "row_key": "3MSZA.mp4"}
    queries = ["  A light\n goes on. ", "She sits"]
    spans = [[1, 2.5], [3, 4]]
    made = timelens(
        row(**keys, queries=queries, spans=spans), media=["{row_key}"], prompt="When: {query}?"
    )
    assert [(one.id, one.group, one.prompt, one.targets) for one in made] == [
        ("charades/3MSZA.mp4/0", "3MSZA.mp4", "When: A light goes on?", ("1.0 2.5",)),
        ("charades/3MSZA.mp4/1", "3MSZA.mp4", "When: She sits?", ("3.0 4.0",)),
    ]
    assert made[0].media == (Media("video", "/media/3MSZA.mp4"),)
    cells = {"queries": str(queries), "spans": str(spans)}  # as a CSV file holds them
    assert timelens(row(**keys, **cells), media=["{row_key}"], prompt="When: {query}?") == made
    columns = {**keys, "queries": queries, "spans": spans[:1]}
    assert refusal(timelens, columns, **MEDIA) == "1 spans for 2 queries"


def test_images_of_a_list_and_of_numbered_columns() -> None:
    parameters: dict[str, Any] = {
        "id": "{v}",
        "media": ["{v}_{number}.png"],
        "prompt": "{question} {letters}\n{options}",
        "options": "options",
    }
    columns: dict[str, Any] = {"options": ["x", "y", "z"], "answer": "(B)"}
    listed = row(**columns, image=[{"bytes": b"1"}, None, {"bytes": b"3"}])
    made = image_list_choice(listed, **parameters, images="image")
    assert [medium.data for medium in made.media] == [b"1", b"3"]
    assert (made.targets, made.prompt) == (("B",), "Which? A, B, C\nA. x\nB. y\nC. z")
    bare = row(**columns, image=memoryview(b"1"))  # a parquet file's own bytes
    assert image_list_choice(bare, **parameters, images="image").media[0].data == b"1"
    nulls: dict[str, Any] = {"image_3": None, "image_4": "", "image_5": math.nan}
    nulls["image_6"] = {"bytes": None, "path": None}
    numbered = row(**columns, image_1={"bytes": b"1"}, image_2={"bytes": b"2"}, **nulls)
    made = image_list_choice(numbered, **parameters)
    assert [medium.data for medium in made.media] == [b"1", b"2"]
    sorted_names = {f"image_{n}": {"bytes": bytes([n])} for n in (1, 10, 2)}  # as sort_keys=True
    made = image_list_choice(row(**columns, **sorted_names), **parameters)
    assert [medium.data for medium in made.media] == [b"\1", b"\2", b"\n"]
    named = row(**columns, image="['a.png', 'b.png']")  # of a CSV file
    made = image_list_choice(named, **parameters, images="image")
    assert made.media_names == ("/media/a.png", "/media/b.png")
    (medium,) = image_list_choice(row(**columns), **parameters).media
    assert medium == Media("image", "/media/1_1.png", upright=True)
    said = refusal(image_list_choice, {**columns, "answer": "BC"}, **parameters)
    assert said == "the answer 'BC' is no letter"
    said = refusal(image_list_choice, {**columns, "answer": "D"}, **parameters)
    assert said == "the answer 'D' is no letter of A to C"
    for mark in ("", "hidden"):
        said = refusal(image_list_choice, {**columns, "answer": mark}, **parameters)
        assert said.startswith(
            f"the answer '{mark}' is no letter; hidden_answers: true in benchmark."
        )
    wrong = {**columns, "image": [{"bytes": b"1"}, 5]}
    said = refusal(image_list_choice, wrong, **parameters, images="image")
    assert said == "column 'image_2' should hold an image, got int"
    parameters["media"] = ["{file}.png"]
    said = refusal(image_list_choice, columns, **parameters)
    missing = "there is no image in image_1, image_2, ..."
    assert said == f"{missing}, and none of {{file}}.png can be filled"
    said = refusal(image_list_choice, columns, **{**parameters, "media": [], "images": "frames"})
    assert said == "there is no image in column 'frames'"


@pytest.mark.parametrize(
    "frames",
    [
        ["v1/1.jpg", "v1/2.jpg"],
        '["v1/1.jpg", "v1/2.jpg"]',  # a cell of a CSV file
        "['v1/1.jpg', 'v1/2.jpg']",  # as pandas writes one
        np.array(["v1/1.jpg", "v1/2.jpg"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_list_of_image_files_however_a_source_holds_it(frames: object) -> None:
    made = image_list_choice(
        row(options=["x", "y"], answer="A", frames=frames),
        id="{v}/7",
        group="{v}",
        media=[],
        prompt="{question}",
        options="options",
        images="frames",
    )
    assert [medium.path for medium in made.media] == ["/media/v1/1.jpg", "/media/v1/2.jpg"]
    assert (made.id, made.group) == ("1/7", "1")


@pytest.mark.parametrize(
    ("columns", "instruction"),
    [
        ({"answer_type": "integer"}, "Answer the question using a single integer number."),
        (
            {"answer_type": "float", "precision": 1.0, "unit": "cm"},
            "Answer the question using a single floating-point number with one decimal place.",
        ),
        (
            {"answer_type": "float", "precision": 2},
            "Answer the question using a single floating-point number with two decimal places.",
        ),
        (
            {"answer_type": "list", "answer": "[2007, 2008]"},
            "Answer the question using a Python list.",
        ),
        (
            {"answer_type": "text", "question_type": "multi_choice", "choices": ["x", "y"]},
            "A. x\nB. y\nAnswer with the option's letter from the given choices directly.",
        ),
    ],
)
def test_mathvista_says_what_kind_of_answer_is_asked(
    columns: dict[str, Any], instruction: str
) -> None:
    asked = {"pid": "7", "query": "Hint", "question_type": "free_form", "decoded_image": b"x"}
    made = mathvista(row(**{**asked, **columns}), media=["{pid}.png"])
    unit = " (Unit: cm)" if "unit" in columns else ""
    assert made.prompt == f"Which?{unit}\n{instruction}"
    assert made.facets["precision"] == repr(columns.get("precision"))
    answer = columns.get("answer", "A")  # one answer, also where it is a list
    assert (made.id, made.question, made.targets) == ("7", "Hint", (answer,))
    odd = {**asked, "answer_type": "float", "precision": 3.0}
    said = refusal(mathvista, odd, media=["{pid}.png"])
    assert said == "there is no instruction for 'float' with precision 3.0"
    odd = {**asked, "answer_type": "text", "question_type": "multi_choice", "choices": None}
    said = refusal(mathvista, odd, media=["{pid}.png"])
    assert said == "question_type is 'multi_choice', and there are no choices"


def test_mmvu_has_options_by_letter_and_a_subject() -> None:
    parameters = {
        "media": ["{file}"],
        "choice_prompt": "{question}\n{options}",
        "open_prompt": "{question} In words.",
    }
    columns: dict[str, Any] = {
        "id": "validation_1",
        "video": "https://example.org/videos/Chemistry/0.mp4",
        "question_type": "multiple-choice",
        "choices": {"A": "10.0", "B": 5},
        "metadata": {"subject": "Computer Science"},
    }
    made = mmvu(row(**columns), **parameters, swap_red_blue=True)  # type: ignore[arg-type]
    assert made.prompt == "Which?\nA: 10.0\nB: 5"
    assert made.choices == ("10.0", "5")
    assert made.media == (Media("video", "/media/Chemistry/0.mp4", swap_red_blue=True),)
    assert made.facets["subject"] == "Computer_Science"
    written = {name: str(value) for name, value in columns.items()}
    assert mmvu(row(**written), **parameters, swap_red_blue=True) == made  # type: ignore[arg-type]
    moved = {**columns, "choices": {"B": 5, "A": "10.0", "C": None}}
    assert mmvu(row(**moved), **parameters, swap_red_blue=True) == made  # type: ignore[arg-type]
    in_folder = mmvu(row(**columns), **parameters, subject_from="folder")  # type: ignore[arg-type]
    assert (in_folder.facets["subject"], in_folder.facets["discipline"]) == ("Chemistry", "Science")
    assert in_folder.media == (Media("video", "/media/Chemistry/0.mp4"),)
    for changed, said in (
        ({"question_type": "essay"}, "question_type is 'essay', expected multiple-choice or"),
        ({"choices": {}}, "column 'choices' should hold options by letter, got {}"),
        ({"choices": ["10"]}, "column 'choices' should hold options by letter, got ['10']"),
        ({"metadata": {"topic": 1}}, "column 'metadata' should hold a subject, got {'topic': 1}"),
    ):
        assert refusal(mmvu, {**columns, **changed}, **parameters).startswith(said)


def test_types_of_nextqa() -> None:
    columns = {"video": "1", "qid": 4, "type": "TP", "answer": "no"}
    made = open_answer(row(**columns, additional_ref_answer="never"), **MEDIA)
    assert made.facets == {"type": "TN", "type_group": "temporal"}
    assert (made.id, made.targets) == ("1_4", ("no", "never"))
    apart = open_answer(row(**columns, question=" a? "), **MEDIA, merge_previous=False)
    assert (apart.facets["type"], apart.prompt) == ("TP", " a? ")
    stripped = open_answer(row(**columns, question=" a? "), **MEDIA, strip_question=True)
    assert (stripped.prompt, stripped.targets) == ("a?", ("no",))
    options = {"a0": "x", "a1": "y", "answer": 1}
    chosen = with_types(row(**{**columns, **options}), **MEDIA, options=["a0", "a1"])
    assert (chosen.targets, chosen.facets["type"]) == (("B",), "TP")
    said = refusal(open_answer, {**columns, "type": "XX"}, **MEDIA)
    assert said == "the type 'XX' is none of CW, CH, TN, TP, TC, DC, DL, DB, DO"


@pytest.mark.parametrize(
    ("qa", "said"),
    [
        ("text", "column 'qa' should hold a list of questions"),
        ({"uid": 1}, "column 'qa' should hold a list of questions"),
        ([3], "column 'qa' holds 3, no question"),
        ([{"uid": "9", "question": "No options", "answer": "A"}], "question 9: 0 options and"),
        ([{"uid": "9", "question": "Q\n(A) x", "answer": "?"}], "question 9: 1 options and"),
        ([{"uid": "9", "question": "Q\n(A) x", "answer": ""}], "question 9: 1 options and"),
        ([{"uid": "9", "question": "Q\n(A) x", "answer": "AB"}], "question 9: 1 options and"),
        ([{"uid": "9", "question": "Q\n(A) x\n(B) y", "answer": "C"}], "question 9: 2 options and"),
    ],
)
def test_lists_of_questions(qa: Any, said: str) -> None:
    if isinstance(qa, list) and isinstance(qa[0], dict):
        qa[0]["question_type"] = ["reasoning"]
    found = refusal(lvbench, {"key": "k", "qa": qa}, **MEDIA)
    assert found.startswith(said)


def test_types_of_a_question_are_joined() -> None:
    question = {"uid": "1", "question": "When?\n(A) 1636\n (B) 1366 ", "answer": "B"}
    qa = [{**question, "question_type": ["key", "", "event"]}]
    (made,) = lvbench(row(key="Cm7", qa=qa), **MEDIA)
    assert made.facets == {"question_type": "key+event"}
    assert (made.id, made.group, made.choices) == ("1", "Cm7", ("1636", "1366"))
    assert (made.question, made.prompt) == (question["question"], question["question"])


def test_questions_of_motionbench_that_are_left_out() -> None:
    asked = {"question": "What does\nhe do?\nA. He  waves.\nB) He sits.", "answer": " b "}
    qa = [
        {**asked, "answer": "NA"},
        {**asked, "answer": "C"},
        {"question": "No options?", "answer": "A"},
        asked,
        {**asked, "uid": "u7"},
        {"question": "A. x\nB. y", "answer": "A"},
    ]
    made = motionbench(
        row(key="k", qa=qa, question_type="Motion"),
        media=["{v}.mp4"],
        prompt=" {question}\n{options}\n",
    )
    assert [one.id for one in made] == ["k_3", "u7", "k_5"]
    cells = row(key="k", qa=str(qa), question_type="Motion")
    assert motionbench(cells, media=["{v}.mp4"], prompt=" {question}\n{options}\n") == made
    assert made[0].prompt == "What does he do?\nA. He waves.\nB. He sits."
    assert (made[0].targets, made[0].choices) == (("B",), ("He waves.", "He sits."))
    assert made[2].question == "A. x B. y"
    assert made[0].facets == {"question_type": "Motion"}
    (one,) = motionbench(row(key="k", **asked), media=["{v}.mp4"], prompt="{question}")
    assert (one.id, one.facets) == ("k_0", {"question_type": "Unknown"})


@pytest.mark.parametrize(
    "options",
    [
        ["He  waves.", "He sits.", None],
        ["A. He waves.", "B) He sits."],
        [
            {"label": "A", "text": "He waves."},
            {"label": "B", "text": "He sits."},
            {"label": "C", "text": None},
        ],
        [{"label": "a", "text": "He waves."}, {"label": "B", "text": "He sits."}],
    ],
)
def test_options_that_a_question_of_motionbench_lists(options: list[Any]) -> None:
    asked = {"question": "What does he do?", "options": options, "answer": "B", "key": "k"}
    (made,) = motionbench(row(**asked), media=["{key}.mp4"], prompt="{question}\n{options}")
    assert made.prompt == "What does he do?\nA. He waves.\nB. He sits."
    assert (made.targets, made.choices) == (("B",), ("He waves.", "He sits."))


def test_a_yes_or_no_that_is_neither_is_refused() -> None:
    asked = {"question": "Is there a dog?", "image_source": "i", "answer": True}
    settings = {"id": "1", "group": ["1"], "media": ["{image_source}.jpg"], "prompt": "{question}"}
    said = "the answer 'true' is neither yes nor no"
    assert refusal(image_question, asked, **settings, answers="answer", lower_answers=True) == said


def test_an_option_that_is_null_moves_no_letters() -> None:
    listed: dict[str, Any] = {"options": ["x", None, "z"], "choices": ["x", None, "z"]}
    ids = {"id": "dev_Biology_3", "dataset": "d", "scene_name": "s", "ground_truth": "C"}
    kinds = {"question_type": "multi_choice", "answer_type": "text", "pid": "1", "query": "q"}
    said = "option 2 of 3 is empty, so that the others' letters are not known"
    both = {**MEDIA, "choice_prompt": "{options}"}
    assert refusal(videommmu, {**ids, **listed}, **both) == said
    assert refusal(mathvista, {**kinds, **listed}, media=["{v}.png"]) == said
    assert refusal(mmmu, {**ids, **listed}, media=["x"], choice_prompt="{options}") == said
    directions = {**ids, **listed, "question_type": "route_planning"}
    prompts = {"choice_prompt": "{options}", "number_prompt": "{question}"}
    assert refusal(vsibench, directions, media=["{v}.mp4"], **prompts) == said
    asked = {"key": "k", "answer": "C", "question": "Why?", **listed}
    assert refusal(motionbench, asked, media=["{v}.mp4"], prompt="{options}") == said
    listed["options"] = ["x", "y", None]
    assert videommmu(row(**ids, **listed), **both).prompt == "Which?"


def test_options_that_rows_of_one_question_list() -> None:
    listed = [{"label": "a", "text": " He  waves. "}, {"label": "B", "text": "He sits."}, {}]
    columns = {"key": "k", "id": "q1", "question": "What does\nhe do?", "answer": "B"}
    (made,) = motionbench(
        row(**columns, options=listed), media=["{v}.mp4"], prompt="{question}\n{options}"
    )
    assert (made.id, made.prompt) == ("q1", "What does he do?\nA. He waves.\nB. He sits.")
    assert (made.targets, made.choices) == (("B",), ("He waves.", "He sits."))
    (unnamed,) = motionbench(
        row(video_path="k.mp4", options=listed, answer="B"), media=["{v}.mp4"], prompt="{question}"
    )
    assert (unnamed.id, unnamed.group) == ("k.mp4_0", "k.mp4")
    parameters: dict[str, Any] = {"id": "{v}", "group": "{v}", "media": ["{v}.mp4"]}
    parameters |= {
        "question": "{question}",
        "answers": "answer",
        "prompt": "{question}\nSay it",
        "options": "options",
    }
    asked = open_ended(row(options=["red", "blue"]), **parameters)
    assert (asked.prompt, asked.targets) == ("Which?\n(A) red\n(B) blue\nSay it", ("A",))
    assert open_ended(row(), **parameters).prompt == "Which?\nSay it"
    assert open_ended(row(options=[]), **parameters).prompt == "Which?\nSay it"


def test_tasks_of_tempcompass() -> None:
    prompts = {"caption_matching": "{question}", "yes_no": "{question}"}
    parameters = {"media": ["{video_id}.mp4"], "prompts": prompts}
    columns = {"video_id": "1", "dim": "action", "row_set": "ordering"}
    said = refusal(tempcompass, columns, **parameters)
    assert said == (
        "the task 'ordering' is none of multi-choice, yes_no, caption_matching, captioning"
    )
    matching = {**columns, "row_set": "caption_matching", "question": "Which?\nHe waves."}
    said = refusal(tempcompass, matching, **parameters)
    assert said == "expected 'Caption A: ...', got 'He waves.'"


def test_bytes_are_no_text_of_any_column() -> None:
    prompts: dict[str, Any] = {"media": ["{v}.mp4"], "prompts": {"yes_no": "{question}"}}
    asked = {"video_id": "1", "dim": "action", "row_set": "yes_no"}
    for columns in ({"answer": b"yes"}, {"dim": b"action"}, {"mc_question": b"How?"}):
        (name,) = columns
        said = refusal(tempcompass, {**asked, **columns}, **prompts)
        assert said == f"column {name!r} should hold a text, got bytes"
    pair = {"video_name": "1", "Q1": b"Who?", "Q2": "What?"}
    assert "column 'Q1' should hold a text" in refusal(video_chatgpt, pair, **MEDIA)
    lecture = {"id": "dev_Biology_3", "question_type": b"open"}
    assert "column 'question_type' should" in refusal(videommmu, lecture, **MEDIA)
    prompts = {"media": ["{file}"], "choice_prompt": "", "open_prompt": ""}
    assert "column 'video' should hold a text" in refusal(mmvu, {"video": b"a/0.mp4"}, **prompts)
    track = {"id": "dev_Biology_3", "row_set": b"Adaptation"}
    assert "column 'row_set' should hold a text" in refusal(videommmu, track, **MEDIA)
    kinds = {"question_type": "free_form", "answer_type": "integer"}
    figure = {"pid": "1", "query": "q", **kinds, "unit": b"m"}
    assert "column 'unit' should" in refusal(mathvista, figure, media=["{pid}.png"])
    open_one = {"video": "1", "qid": 4, "type": "TP", "answer": "no"}
    for columns in ({"type": b"TP"}, {"additional_ref_answer": b"never"}):
        (name,) = columns
        said = refusal(open_answer, {**open_one, **columns}, **MEDIA)
        assert said == f"column {name!r} should hold a text, got bytes"
    couple = {"idx": "12_pos", "GT": "B", "row_set": "textscore", "minor": b"spatial"}
    assert "column 'minor' should hold a text" in refusal(vinoground, couple, **MEDIA)
    ids = {"question_id": "1", "video_id": "1", "level": "1"}
    group = {**ids, "options": "A. x\nB. y", "second_head": b"Action"}
    assert "column 'second_head' should" in refusal(videomme_v2, group, **MEDIA)


def test_a_task_that_is_cut_needs_its_bounds() -> None:
    parameters: dict[str, Any] = {
        "prompt": "{question}",
        "folders": {"action_sequence": "star"},
        "cut": ["action_sequence"],
        "answer_form": "text",
    }
    columns = {"task": "action_sequence", "video": "1.mp4", "candidates": ["x", "A"], "start": 1.0}
    said = refusal(mvbench, {**columns, "end": None}, **parameters)
    assert said == "column 'end' is empty"
    (media,) = mvbench(row(**columns, end=2.5), **parameters).media
    assert (media.start_seconds, media.end_seconds) == (1.0, 2.5)


@pytest.mark.parametrize("id", ["dev_Alchemy_3", "Biology", "dev_Biology"])
def test_ids_without_a_subject(id: str) -> None:
    said = refusal(videommmu, {"id": id}, **MEDIA)
    assert said == f"the id {id!r} names no subject, as dev_Biology_3 does"


def test_tracks_of_videommmu_have_their_own_prompts() -> None:
    prompts = {"prompt": "P {options}", "choice_prompt": "C {options}", "open_prompt": "O"}
    columns = {"id": "dev_Biology_3", "options": ["aldose", "ketose"]}

    def prompt(track: str, kind: str, **more: Any) -> str:
        asked = row(**{**columns, **more}, row_set=track, question_type=kind)
        return videommmu(asked, media=["{category}/{id}.mp4"], **prompts).prompt

    choice = "multiple-choice"
    assert prompt("Adaptation", choice) == "C A. aldose\nB. ketose"
    assert prompt("Adaptation", "open") == prompt("Adaptation", "open", options=None) == "O"
    assert prompt("Perception", choice) == "P A. aldose\nB. ketose"
    assert prompt("Perception", choice, options=["A) x", "B. y"]) == "P A. A) x\nB. B. y"
    assert prompt("Perception", choice, options=["A. x", "B. y"]) == "P A. x\nB. y"
    assert prompt("Perception", choice, options=["A.x", "B.y"]) == "P A.x\nB.y"
    made = videommmu(row(**columns, row_set="Perception"), **MEDIA)
    assert (made.id, made.choices) == ("perception/dev_Biology_3", ())
    assert made.facets["question_type"] == "None"


def test_a_pair_has_a_number() -> None:
    said = refusal(vinoground, {"idx": "first"}, **MEDIA)
    assert said == "idx is 'first', expected one like 0_pos"
    made = vinoground(row(idx="12_pos", GT="B", row_set="textscore"), **MEDIA)
    assert (made.id, made.group, made.targets) == ("textscore/12_pos", "12", ("B",))
    assert made.facets == {"major": "unknown", "minor": "unknown"}  # without the table


def test_a_pair_has_the_categories_of_the_table_beside_its_rows(tmp_path: Path) -> None:
    table = "index,major,minor,pos_cap\n0,object,,x\n1,action,cyclical;spatial;,y\n"
    (tmp_path / "vinoground.csv").write_text(table)

    def facets(idx: str, **more: str) -> dict[str, str]:
        columns = {**ROW, "GT": "A", "idx": idx, "row_set": "textscore", **more}
        made = vinoground(Row(0, columns, str(tmp_path), Path("/media")), **MEDIA)
        return dict(made.facets)

    assert facets("0_pos") == {"major": "object", "minor": "unknown"}
    assert facets("1_neg") == {"major": "action", "minor": "cyclical+spatial"}
    assert facets("2_pos") == {"major": "unknown", "minor": "unknown"}
    assert facets("1_pos", major="viewpoint") == {"major": "viewpoint", "minor": "unknown"}


def test_where_options_and_subtitles_stand_is_said_once() -> None:
    flat = {"id": "{v}", "group": "{v}", "question": "{question}", "answer": "{answer}"}
    for more, said in (
        ({}, "needs either options or option_columns"),
        ({"options": "o", "option_columns": ["a", "b"]}, "needs either options or option_columns"),
        ({"options": "o", "option_format": "{letter} {text}"}, "its fields are {letter} and"),
        ({"options": "o", "subtitles": "{v}.srt"}, "one needs the other, once"),
        ({"options": "o", "prompt": "{subtitles}{question}"}, "one needs the other, once"),
    ):
        with pytest.raises(ConfigError) as caught:
            multiple_choice(row(o=["x", "y"]), **{**flat, **MEDIA, **more})
        assert said in str(caught.value)


def test_whatever_an_adapter_raises_or_returns_is_one_line(tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", [{"id": 1}, {"id": 2}])

    def raising(row: Row) -> Sample:
        raise KeyError("a")

    def mistaken(row: Row) -> Sample:
        raise ValueError("no such thing")

    with pytest.raises(RowsError, match=r"rows\.jsonl, row 0: KeyError: 'a'"):
        load_samples(str(rows), raising)
    with pytest.raises(RowsError, match=r"rows\.jsonl, row 0: no such thing"):
        load_samples(str(rows), mistaken)
    for returned in (None, "text", ["text"]):
        with pytest.raises(ConfigError, match=f"it makes a {type(returned).__name__}, expected"):
            load_samples(str(rows), functools.partial(lambda returned, row: returned, returned))
