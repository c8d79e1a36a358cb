"""Prompts of the image sets to the letter: what the references' own doc_to_text returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from llava_eval.types import Media, Sample
from tests.scoring.protocols import protocol

pytestmark = pytest.mark.slow

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
UNANSWERABLE = (
    "\nWhen the provided information is insufficient, respond with 'Unanswerable'." + SHORT
)

VQA: dict[str, Any] = {
    "question_id": 262148000,
    "image_id": 262148,
    "question": "What is {it}?",
    "question_type": "what is",
    "answer_type": "other",
    "answers": [
        {"answer": answer, "answer_confidence": "yes", "answer_id": number}
        for number, answer in enumerate(["down", "table", *["at table"] * 8], start=1)
    ],
}
GQA: dict[str, Any] = {
    "id": "201307251",
    "imageId": "n161313",
    "question": "Is it overcast?",
    "answer": "no",
    "types": {"detailed": "weatherVerify", "semantic": "global", "structural": "verify"},
}
TEXTVQA: dict[str, Any] = {
    "question_id": 34602,
    "image_id": "003a8ae2ef43b901",
    "question": "what does the Sign by IBM say?",
    "answers": ["stop"] * 10,
    "ocr_tokens": ["STOP", "ibm"],
}
VIZWIZ = {
    "question_id": "VizWiz_val_00000000",
    "question": "what is THIS?",
    "answers": ["unanswerable"] * 10,
    "category": "unanswerable",
}
OKVQA = {"question_id": "2971475", "question": "What sport?", "answers": ["race"] * 10}
SCIENCEQA = {"question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": ""}
POPE = {
    "question_id": "1",
    "question": " Is there a dog? ",
    "answer": "Yes",
    "image_source": "COCO_val2014_000000310196",
    "category": "adversarial",
}
MME = {
    "question_id": "artwork/10002.jpg",
    "question": "Is it art? Please answer yes or no. ",
    "answer": "No",
    "category": "artwork",
}
MMBENCH: dict[str, Any] = {
    "index": 1000241,
    "question": "Which?",
    "hint": None,
    "A": "x",
    "B": "y",
    "C": None,
    "D": None,
    "answer": "B",
    "category": "identity_reasoning",
    "L2-category": "attribute_reasoning",
}
MMMU: dict[str, Any] = {
    "id": "validation_Basic_Medical_Science_12",
    "question": "<image 2> and <image 1>?",
    "options": "['$6', \"it's <image 3>\"]",
    "question_type": "multiple-choice",
    "answer": "B",
}
AI2D = {"question": "Which?", "options": ["x", "y"], "answer": "1"}
CHARTQA = {"question": "How many?", "answer": "[14, 2]", "type": "human_test"}
DOCVQA = {"questionId": "49153", "question": "What date?", "docId": 14465, "answers": ["1/8/93"]}
COCO = {"question_id": "COCO_val2014_000000391895.jpg", "id": 391895, "answer": ["A man. ", "Him."]}
KARPATHY = {
    "filename": "COCO_val2014_000000391895.jpg",
    "imgid": 0,
    "sentences": ["A man.", "Him."],
    "url": "http://images.cocodataset.org/val2014/COCO_val2014_000000391895.jpg",
}
NOCAPS = {"image_id": 4499, "annotations_captions": ["A baby.", "It."], "image_domain": "in-domain"}
FLICKR = {"img_id": "36979", "caption": ["Two men.", "Men."]}

CAPTION = "Provide a one-sentence caption for the provided image."
OPTIONS = " There are several options:\nA. x\nB. y"

PROMPTS: list[tuple[str, dict[str, Any], str]] = [
    ("vqav2/official", VQA, "What is {it}?" + SHORT),
    ("vqav2/lmms_eval", VQA, "What is {it}?" + SHORT),
    ("gqa/llava", GQA, "Is it overcast?" + SHORT),
    ("gqa/lmms_eval", GQA, "Is it overcast?" + SHORT),
    (
        "textvqa/llava",
        TEXTVQA,
        "What does the sign by ibm say?\nReference OCR token: STOP, ibm" + SHORT,
    ),
    ("textvqa/lmms_eval", TEXTVQA, "What does the sign by ibm say?" + SHORT),
    ("vizwiz/lmms_eval", VIZWIZ, "What is this?" + UNANSWERABLE),
    ("okvqa/lmms_eval", OKVQA, "What sport?" + UNANSWERABLE),
    *(
        (
            f"scienceqa_img/{name}",
            {**SCIENCEQA, "hint": hint},
            start + "Which?\nA. x\nB. y" + LETTER,
        )
        for name in ("llava", "lmms_eval")
        for hint, start in (("", ""), ("Figure: {Earth}.", "Context: Figure: {Earth}.\n"))
    ),
    ("pope/llava", POPE, "Is there a dog?" + SHORT),
    ("pope/lmms_eval", POPE, "Is there a dog?" + SHORT),
    ("mme/lmms_eval", MME, "Is it art?" + SHORT),
    ("mmbench/lmms_eval", MMBENCH, f"Which?{OPTIONS}\n{LETTER}"),
    (
        "mmbench/lmms_eval",
        {**MMBENCH, "hint": "nan", "C": "nan", "D": "nan"},
        f"Which?{OPTIONS}\n{LETTER}",
    ),
    (
        "mmbench/lmms_eval",
        {**MMBENCH, "hint": "See it.", "C": "z", "D": "w"},
        f"See it. Which?{OPTIONS}\nC. z\nD. w\n{LETTER}",
    ),
    ("mmbench/lmms_eval", {**MMBENCH, "hint": "", "C": "z"}, f" Which?{OPTIONS}\nC. z\n{LETTER}"),
    (
        "mmbench/vlmevalkit",
        {**MMBENCH, "hint": "", "C": "", "D": ""},
        (
            "Question: Which?\nOptions:\nA. x\nB. y\n"
            "Please select the correct answer from the options above. \n"
        ),
    ),
    (
        "mmbench/vlmevalkit",
        {**MMBENCH, "hint": "See it.", "C": "None", "D": "z"},
        (
            "Hint: See it.\nQuestion: Which?\nOptions:\nA. x\nB. y\nD. z\n"
            "Please select the correct answer from the options above. \n"
        ),
    ),
    (
        "mmmu/lmms_eval_v0_2",
        MMMU,
        f"<image 2> and <image 1>?\nA. $6\nB. it's <image 3>\n{LETTER}",
    ),
    (
        "mmmu/lmms_eval_v0_2",
        {**MMMU, "question_type": "open", "options": "[]", "question": "How much is <image 1>?"},
        f"How much is <image 1>?\n{SHORT}",
    ),
    ("ai2d/lmms_eval", AI2D, "Which?\nA. x\nB. y" + LETTER),
    ("chartqa/lmms_eval", CHARTQA, "How many?\nAnswer the question with a single word."),
    ("docvqa/lmms_eval", DOCVQA, "What date?" + SHORT),
    ("coco2014/lmms_eval", COCO, CAPTION),
    ("coco2017/lmms_eval", COCO, CAPTION),
    ("coco_karpathy/lmms_eval", KARPATHY, "Describe the image briefly."),
    ("nocaps/lmms_eval", NOCAPS, CAPTION),
    ("flickr30k/lmms_eval", FLICKR, CAPTION),
]


#: Protocols whose reference shows photographs as their files hold them; data sets of the hub turn
#: them as their EXIF data say (datasets/features/image.py, decode_example).
AS_STORED = {
    *("gqa/llava", "pope/llava", "scienceqa_img/llava", "textvqa/llava", "vqav2/official"),
    *("mmbench/vlmevalkit", "coco_karpathy/lmms_eval"),
}


@pytest.mark.parametrize(("name", "row", "prompt"), PROMPTS, ids=[name for name, *_ in PROMPTS])
def test_a_prompt_to_the_letter(name: str, row: dict[str, Any], prompt: str) -> None:
    sample = protocol(name).sample(row)
    *media, text = sample.content
    assert text == prompt
    assert media
    for one in media:
        assert isinstance(one, Media)
        assert (one.kind, one.upright) == ("image", name not in AS_STORED)


def sampled(name: str, row: dict[str, Any]) -> Sample:
    return protocol(name).sample(row)


def test_answers_come_as_mappings_lists_or_one_text() -> None:
    assert sampled("vqav2/official", VQA).targets == ("down", "table", *["at table"] * 8)
    assert sampled("vizwiz/lmms_eval", VIZWIZ).targets == ("unanswerable",) * 10
    written = sampled("okvqa/lmms_eval", {**OKVQA, "answers": "['race', 'a run']"})
    assert written.targets == ("race", "a run")
    assert sampled("chartqa/lmms_eval", CHARTQA).targets == ("[14, 2]",)
    assert sampled("pope/llava", POPE).targets == ("yes",)
    assert sampled("mmmu/lmms_eval_v0_2", {**MMMU, "answer": "['1', '2']"}).targets == (
        "['1', '2']",
    )


def test_a_picture_of_countbenchqa_without_a_caption() -> None:
    """As of lmms-eval 0.7.3, tasks/countbenchqa/utils.py, countbenchqa_doc_to_text."""
    row = {"question": "How many?", "number": 3}
    end = "How many?\nAnswer with a single number."
    for text in ({}, {"text": ""}, {"text": None}):
        assert sampled("countbenchqa/lmms_eval", {**row, **text}).prompt == end
    assert sampled("countbenchqa/lmms_eval", {**row, "text": "Dogs."}).prompt == f"Dogs.\n\n{end}"


def test_hidden_answers_are_no_targets() -> None:
    hidden = [
        ("vqav2/lmms_eval", {**VQA, "answers": None}),
        ("docvqa/lmms_eval", {key: value for key, value in DOCVQA.items() if key != "answers"}),
        ("mmbench/lmms_eval", {**MMBENCH, "answer": None}),
        ("mmbench/vlmevalkit", {**MMBENCH, "answer": ""}),
        ("mmmu/lmms_eval_v0_2", {**MMMU, "answer": "?"}),
        ("nocaps/lmms_eval", {**NOCAPS, "annotations_captions": []}),
    ]
    assert [sampled(name, row).targets for name, row in hidden] == [()] * len(hidden)


def test_questions_about_one_image_are_one_group() -> None:
    assert sampled("vqav2/official", VQA).group == "262148"
    assert sampled("gqa/llava", GQA).group == "n161313"
    assert sampled("pope/llava", POPE).group == "COCO_val2014_000000310196"
    assert sampled("mme/lmms_eval", MME).group == "artwork/artwork/10002.jpg"
    assert sampled("mmbench/lmms_eval", MMBENCH).group == "241"
    assert sampled("docvqa/lmms_eval", DOCVQA).group == "14465"


def test_facets_are_read_where_the_row_has_them() -> None:
    assert sampled("gqa/llava", GQA).facets == {"structural": "verify", "semantic": "global"}
    bare = {key: value for key, value in GQA.items() if key != "types"}
    assert set(sampled("gqa/llava", bare).facets.values()) == {"unknown"}
    assert sampled("nocaps/lmms_eval", NOCAPS).facets == {"domain": "in-domain"}
    assert sampled("mmmu/lmms_eval_v0_2", MMMU).facets == {
        "domain": "Health and Medicine",
        "subject": "Basic_Medical_Science",
    }
    assert sampled("textvqa/llava", TEXTVQA).facets == {"ocr_tokens": "given"}
    without = sampled("textvqa/llava", {**TEXTVQA, "ocr_tokens": None})
    assert without.facets == {"ocr_tokens": "unknown"}
    assert "OCR" not in without.prompt


def test_ocrbench_as_its_authors_and_vlmevalkit_lay_it_out() -> None:
    formulas = "Handwritten Mathematical Expression Recognition"
    asked = {
        "question": "write it",
        "answers": ["a b"],
        "type": formulas,
        "image_path": "HME/1.jpg",
    }
    own = sampled("ocrbench/lmms_eval", {**asked, "dataset_name": "HME100k"})
    assert (own.targets, own.media[0].path) == (("a b",), "HME/1.jpg")
    assert own.facets == {"question_type": formulas, "dataset": "HME100k"}
    table = {"index": "0", "question": "write it", "answer": "['a b']", "category": formulas}
    other = sampled("ocrbench/lmms_eval", table)
    assert (other.targets, other.facets["question_type"]) == (("a b",), formulas)
    for made in (own, other):
        assert protocol("ocrbench/lmms_eval").score("ab", made).value == 1.0


def test_mmmu_shows_the_images_that_are_mentioned_in_the_order_of_their_names() -> None:
    sample = sampled("mmmu/lmms_eval_v0_2", MMMU)
    assert [medium.path for medium in sample.media] == [
        f"validation_Basic_Medical_Science_12_image_{number}.png" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, [1, "and", 2, "?\nA. $6\nB. it's", 3, LETTER.strip()]),
        (
            {
                "question_type": "open",
                "options": "[]",
                "question": "Of <image 3> or <image 1>, not <image 1>?",
            },
            ["Of", 1, "or", 3, "?\n" + SHORT],
        ),
    ],
)
def test_mmmu_of_lmms_eval_0_7_3_shows_images_between_words(
    changes: dict[str, Any], shown: list[int | str]
) -> None:
    """As its mmmu_doc_to_messages; what stands between places beyond the images is lost."""
    content = sampled("mmmu/lmms_eval_v0_7_3", {**MMMU, **changes}).content
    path = "validation_Basic_Medical_Science_12_image_{}.png"
    expected = [path.format(one) if isinstance(one, int) else one for one in shown]
    assert [one.path if isinstance(one, Media) else one for one in content] == expected


@pytest.mark.parametrize(
    ("question", "options", "shown"),
    [
        ("Is <image>\n<image> ?", "yn", ["Is ", b"1", "\n", b"2", " ?\nA. y\nB. n" + LETTER]),
        ("<image><image>Which?", "xy", [b"1", b"2", "Which?\nA. x\nB. y" + LETTER]),
        (
            "Which?",
            ["<image>", "<image>"],
            ["Which?\nA. ", b"1", "\nB. ", b"2", LETTER],
        ),
        ("Which?", "xy", [b"1", b"2", "Which?\nA. x\nB. y" + LETTER]),
        ("Is <image> red?", "yn", [b"1", b"2", "Is <image> red?\nA. y\nB. n" + LETTER]),
    ],
)
def test_muirbench_shows_images_where_the_text_marks_them(
    question: str, options: Sequence[str], shown: list[str | bytes]
) -> None:
    """As lmms-eval's wrapper of LLaVA reads its text; with another number, as its InternVL3's."""
    row: dict[str, Any] = {"idx": "7", "question": question, "answer": "A"}
    row["options"] = [*options]
    row["image_list"] = [{"bytes": b"1", "path": None}, {"bytes": b"2", "path": None}]
    content = sampled("muirbench/lmms_eval", row).content
    assert [one.data if isinstance(one, Media) else one for one in content] == shown
    in_front = protocol("muirbench/lmms_eval", "benchmark.adapter.image_mark=null").sample(row)
    text = f"{question}\nA. {options[0]}\nB. {options[1]}{LETTER}"
    assert in_front.content == (*in_front.media, text)


def test_an_address_of_karpathy_s_set_is_what_is_shown() -> None:
    assert sampled("coco_karpathy/lmms_eval", KARPATHY).media[0].path == KARPATHY["url"]


@pytest.mark.parametrize(
    ("domain", "subjects"),
    [  # table 2 of the paper
        ("Art and Design", ["Art", "Art_Theory", "Design", "Music"]),
        ("Business", ["Accounting", "Economics", "Finance", "Manage", "Marketing"]),
        ("Science", ["Biology", "Chemistry", "Geography", "Math", "Physics"]),
        (
            "Health and Medicine",
            [
                *("Basic_Medical_Science", "Clinical_Medicine", "Pharmacy", "Public_Health"),
                "Diagnostics_and_Laboratory_Medicine",
            ],
        ),
        ("Humanities and Social Science", ["History", "Literature", "Sociology", "Psychology"]),
        (
            "Tech and Engineering",
            [
                *("Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics"),
                *("Energy_and_Power", "Materials", "Mechanical_Engineering"),
            ],
        ),
        ("Other", ["Astrology"]),
    ],
)
def test_a_subject_belongs_to_its_domain(domain: str, subjects: list[str]) -> None:
    for subject in subjects:
        facets = sampled("mmmu/lmms_eval_v0_2", {**MMMU, "id": f"test_{subject}_12"}).facets
        assert facets == {"domain": domain, "subject": subject}
