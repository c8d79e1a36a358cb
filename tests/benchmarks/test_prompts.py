"""Prompts to the letter: one row of each data set, and the text that its reference asks."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.benchmarks.rows import Row
from llava_eval.config.compose import compose_config
from llava_eval.engine.configured_benchmark import Parts
from llava_eval.types import Media, Sample
from tests.conftest import slow
from tests.scoring.protocols import protocol

VIDEOMME = {
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "question": "Which is {most} numerous?",
    "options": ["A. Apples.", "B. It's candles.", "C. Berries.", "D. All."],
    "answer": "C",
}
NEXTQA_MC = {
    "video": "4010069381",
    "question": "how do the two man play the instrument ",
    "answer": 0,
    "qid": 6,
    "type": "CH",
    "a0": "roll the handle",
    "a1": " tap their feet",
    "a2": "strum the string",
    "a3": "hit with sticks",
    "a4": "pat with hand",
}
NEXTQA_OE = {
    "video": "4924794333",
    "question": "is the baby old enough to converse",
    "answer": "no",
    "qid": 4,
    "type": "DB",
    "additional_ref_answer": None,
}
EGOSCHEMA = {
    "video_idx": "0074f737-11cb-497d-8d07-77c3a8127391",
    "question": "What is c doing?",
    "option": ["A. C cooks. He eats.", "B. C runs.", "C. C sings.", "D. C reads.", "E. C waits."],
    "answer": "3",
}
PERCEPTIONTEST = {
    "video_name": "video_8241",
    "question": "Is the camera moving or static?",
    "question_id": 1,
    "options": ["moving", "static or shaking", "I don't know"],
    "answer_id": 1,
    "area": "physics",
    "reasoning": "descriptive",
}
MVBENCH = {
    "video": "ZS9XR.mp4",
    "question": "What happened after the person took the food?",
    "candidates": ["Ate the medicine.", "Tidied up the blanket. "],
    "answer": "Ate the medicine.",
    "start": 11.1,
    "end": 30.4,
    "row_set": "action_sequence",
}
LONGVIDEOBENCH = {
    "id": "86CxyhFV9MI_0",
    "video_path": "86CxyhFV9MI.mp4",
    "question": "Which subtitles appear?",
    "option0": "promisc",
    "option1": "run away",
    "option2": "N/A",
    "option3": "N/A",
    "option4": "N/A",
    "correct_choice": 1,
    "duration": 190.16,
    "duration_group": 600,
    "question_category": "TOS",
    "subtitle_path": "86CxyhFV9MI_en.json",
    "starting_timestamp_for_subtitles": 0,
}
LONGVIDEOBENCH_JSON = {
    **{name: value for name, value in LONGVIDEOBENCH.items() if not name.startswith("option")},
    "candidates": ["promisc", "run away"],
}
TVBENCH = {
    "video": "0BH84.mp4",
    "question": "What did the person do first?",
    "candidates": ["Opened the door.", "Sat down. "],
    "answer": "Sat down. ",
    "start": 3.5,
    "end": 20.0,
    "row_set": "action_sequence",
}
LVBENCH = {
    "video_path": "Cm73ma6Ibcs.mp4",
    "question": "What is worn?\n(A) a hat\n(B) a coat\n(C) a ring\n(D) a watch",
    "answer": "B",
}
MLVU_OFFICIAL = {
    "video": "movie101_66.mp4",
    "duration": 480.0,
    "question": "What color is the main male character?",
    "candidates": ["Yellow", "Red", "Green", "Blue"],
    "answer": "Yellow",
    "question_type": "plotQA",
}
MLVU_DEV = {
    "video_name": "movie101_66.mp4",
    "question": "What color?\n(A) Yellow\n(B) Red",
    "answer": "A",
    "task_type": "plotQA",
}
TEMPCOMPASS = {
    "video_id": "1034419625",
    "question": "What is the man doing?\nA. dunking a basketball\nB. passing a basketball",
    "answer": "A. dunking a basketball",
    "dim": "action",
}
TEMPCOMPASS_YES_NO = {**TEMPCOMPASS, "question": "Is the man dunking?", "answer": "yes"}
TEMPCOMPASS_MATCHING = {
    **TEMPCOMPASS,
    "question": "Which caption fits better?\nCaption A: He dunks.\nCaption B: He runs.",
    "answer": "Caption A: He dunks.",
}
TEMPCOMPASS_CAPTIONING = {
    **TEMPCOMPASS,
    "question": "Please describe.\nInformation A: dunking\nGenerated Caption:",
    "mc_question": "What is the man doing?\nA. dunking\nB. running",
    "mc_answer": "A. dunking",
}

SELECT = (
    "Select the best answer to the following multiple-choice question based on the video{}. "
    "Respond with only the letter (A, B, C, or D) of the correct option.\n"
)
VIDEOMME_LINES = "Which is {most} numerous?\nA. Apples.\nB. It's candles.\nC. Berries.\nD. All.\n"
LETTER = "Answer with the option's letter from the given choices directly."

PROMPTS: list[tuple[str, dict[str, Any], str]] = [
    ("videomme/official", VIDEOMME, SELECT.format("") + VIDEOMME_LINES + "The best answer is:"),
    (
        "videomme/lmms_eval",
        VIDEOMME,
        SELECT.format(" and the subtitles") + VIDEOMME_LINES + "\n" + LETTER,
    ),
    (
        "videomme/lmms_eval_v0_2",
        VIDEOMME,
        (
            "Which is {most} numerous?\n"
            "['A. Apples.', \"B. It's candles.\", 'C. Berries.', 'D. All.']\n"
            "Answer the question with A, B, C, or D."
        ),
    ),
    (
        "videomme/vlmevalkit",
        VIDEOMME,
        "\nThese are the frames of a video. "
        + SELECT.format("")
        + "Question: "
        + VIDEOMME_LINES
        + "Answer: ",
    ),
    (
        "nextqa_mc/lmms_eval",
        NEXTQA_MC,
        (
            "how do the two man play the instrument\nA. roll the handle\nB. tap their feet\n"
            "C. strum the string\nD. hit with sticks\nE. pat with hand"
        ),
    ),
    (
        "nextqa_oe/llava_next",
        NEXTQA_OE,
        "is the baby old enough to converse?\nAnswer the question using several words or phrase.",
    ),
    (
        "nextqa_oe/lmms_eval",
        NEXTQA_OE,
        "is the baby old enough to converse\nAnswer a question using a short phrase or sentence.",
    ),
    (
        "egoschema/lmms_eval",
        EGOSCHEMA,
        "What is c doing?\nA. C cooks. He eats.\nB. C runs.\nC. C sings.\nD. C reads.\n"
        "E. C waits.\n" + LETTER,
    ),
    ("egoschema/mc_ppl", EGOSCHEMA, "What is c doing?"),
    (
        "perceptiontest/lmms_eval",
        PERCEPTIONTEST,
        "Is the camera moving or static?\nA. moving\nB. static or shaking\nC. I don't know\n"
        + LETTER,
    ),
    (
        "mvbench/official",
        MVBENCH,
        (
            "Question: What happened after the person took the food?\nOptions:\n"
            "(A) Ate the medicine.\n(B) Tidied up the blanket.\nOnly give the best option."
        ),
    ),
    (
        "mvbench/lmms_eval",
        MVBENCH,
        (
            "Question:What happened after the person took the food?\nOption:\n"
            "(A) Ate the medicine.\n(B) Tidied up the blanket. \nOnly give the best option.\n"
        ),
    ),
    (
        "tvbench/official",
        TVBENCH,
        (
            "Question: What did the person do first?\nOptions:\n(A) Opened the door.\n"
            "(B) Sat down.\nOnly give the best option."
        ),
    ),
    (
        "lvbench/lmms_eval",
        LVBENCH,
        (
            "What is worn?\n(A) a hat\n(B) a coat\n(C) a ring\n(D) a watch\n"
            "Answer the question with the option letter"
        ),
    ),
    (
        "longvideobench/lmms_eval",
        LONGVIDEOBENCH,
        f"Which subtitles appear?\nA. promisc\nB. run away\n{LETTER}\n",
    ),
    (
        "longvideobench/lmms_eval",
        LONGVIDEOBENCH_JSON,
        f"Which subtitles appear?\nA. promisc\nB. run away\n{LETTER}\n",
    ),
    (
        "mlvu/official",
        MLVU_OFFICIAL,
        (
            "Question: What color is the main male character?\nOptions:\n(A) Yellow\n(B) Red\n"
            "(C) Green\n(D) Blue\nOnly give the best option."
        ),
    ),
    (
        "mlvu/lmms_eval",
        MLVU_DEV,
        "What color?\n(A) Yellow\n(B) Red\nOnly give the best option.\nBest option: (",
    ),
    *(
        (f"tempcompass/{name}", row, row["question"] + end)
        for name in ("official", "lmms_eval")
        for row, end in (
            (TEMPCOMPASS, "\nPlease directly give the best option:"),
            (TEMPCOMPASS_YES_NO, "\nPlease answer yes or no:"),
            (TEMPCOMPASS_MATCHING, "\nPlease directly give the best option:"),
            (TEMPCOMPASS_CAPTIONING, ""),
        )
    ),
    (
        "vatex/lmms_eval",
        {"videoID": "G9zN5TTuGO4_000179_000189", "enCap": ["A person is using a phone."]},
        (
            "Provide a brief single-sentence caption for the last video below. Do not give any "
            "reasoning, just the caption. You must follow the captioning style of the preceding "
            'videos. Do not start your response with "Output:", just provide the caption.\n'
            "[video1] output: A man picks up a can of shoe paste, a towel, and brush from a "
            "table.\n"
            "[video2] output: A person places the frying pan on the stove and then another person "
            "flips over the food that is in it.\n"
            "[video3] output: A woman describes and demonstrates how to create a colorful cross "
            "stitch design.\n"
            "[video4] output: A little girl uses the grass in her yard as well as a blue mat to do "
            "flips.\n"
        ),
    ),
    (
        "msrvtt_caption/lmms_eval",
        {"video_id": "video7010", "caption": ["a man sings"]},
        "Provide a one-sentence caption for the provided video.",
    ),
]


#: Protocols whose prompt is made as that of another one here, and what needs packages.
ALIKE = (
    *("videomme/lmms_eval_v0_2", "nextqa_oe/llava_next", "nextqa_oe/lmms_eval"),
    *("egoschema/mc_ppl", "perceptiontest/lmms_eval", "tvbench/official", "lvbench/lmms_eval"),
    *("mlvu/official", "vatex/lmms_eval", "msrvtt_caption/lmms_eval"),
)


@pytest.mark.parametrize(
    ("name", "row", "prompt"),
    [slow(*entry) if entry[0] in ALIKE else entry for entry in PROMPTS],
    ids=[name for name, *_ in PROMPTS],
)
def test_a_prompt_to_the_letter(name: str, row: dict[str, Any], prompt: str) -> None:
    needs_packages = ["scorer=exact_match"] if name.startswith("nextqa_oe") else []
    sample = protocol(name, *needs_packages).sample(row)
    assert sample.prompt == prompt


@pytest.mark.slow
def test_mvbench_names_its_conversation() -> None:
    benchmark = compose_config(["benchmark=mvbench/official"]).config.benchmark
    assert benchmark.system == (
        "Carefully watch the video and pay attention to the cause and sequence of events, the "
        "detail and movement of objects, and the action and pose of persons. Based on your "
        "observations, select the best option that accurately addresses the question.\n"
    )
    assert benchmark.assistant_prefill == "Best option:("


@pytest.mark.slow
def test_mlvu_names_its_conversation() -> None:
    benchmark = compose_config(["benchmark=mlvu/official"]).config.benchmark
    assert benchmark.system == (
        "Carefully watch this video and pay attention to every detail. Based on your "
        "observations, select the best option that accurately addresses the question."
    )
    assert benchmark.assistant_prefill == "Best Option: ("


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_frames", "max_new_tokens"),
    [  # lmms-eval's llava_hf.py and VLMEvalKit's llava.py say what their tasks leave open
        ("mvbench/lmms_eval", 32, 16),
        ("mlvu/lmms_eval", 32, 16),
        ("tempcompass/lmms_eval", 32, 1024),
        ("videomme/vlmevalkit", 8, 2048),
    ],
)
def test_what_a_task_leaves_open_is_its_harness_s(
    name: str, num_frames: int, max_new_tokens: int
) -> None:
    config = compose_config([f"benchmark={name}"]).config
    assert config.sampler["num_frames"] == num_frames
    assert config.benchmark.generation.max_new_tokens == max_new_tokens


@pytest.mark.slow
def test_tomato_names_the_frames_that_it_shows() -> None:
    row = {"question": "?", "options": ["x", "y"], "answer": 0, "key": "k"}
    row |= {"motion_type": "count", "demonstration_type": "human"}
    adapter = Parts.build(
        compose_config(["benchmark=tomato/official", "sampler.num_frames=8"]).config
    ).adapter
    sample = adapter(Row(0, row, "rows", None))
    assert isinstance(sample, Sample)
    assert str(sample.content[1]).startswith("You will be provided with 8 separate frames")


def test_mvbench_videos_are_cut_where_the_authors_cut_them() -> None:
    official, lmms_eval = protocol("mvbench/official"), protocol("mvbench/lmms_eval")
    assert official.sample(MVBENCH).media == (
        Media("video", "star/Charades_v1_480/ZS9XR.mp4", start_seconds=11.1, end_seconds=30.4),
    )
    assert lmms_eval.sample(MVBENCH).media == (Media("video", "star/Charades_segment/ZS9XR.mp4"),)
    uncut = {**MVBENCH, "row_set": "state_change"}
    assert official.sample(uncut).media == (Media("video", "perception/videos/ZS9XR.mp4"),)
    unnamed = {key: value for key, value in MVBENCH.items() if key != "row_set"}
    assert official.sample(unnamed).media[0].end_seconds == 30.4
    assert official.sample({**unnamed, "end": None}).media[0].start_seconds is None
    assert official.sample(unnamed, 7).id == "unknown/7"
    assert official.sample({**MVBENCH, "question": " Why? "}).question == " Why? "
    named = official.sample({**unnamed, "task_type": "Fine-grained Action"})
    assert named.facets == {"task": "fine_grained_action"}


@pytest.mark.slow
def test_tvbench_is_mvbench_with_other_folders() -> None:
    parts = protocol("tvbench/official")
    sample = parts.sample(TVBENCH)
    assert sample.media == (
        Media("video", "video/action_sequence/0BH84.mp4", start_seconds=3.5, end_seconds=20.0),
    )
    uncut = parts.sample({**TVBENCH, "row_set": "object_count"})
    assert uncut.media == (Media("video", "video/object_count/0BH84.mp4"),)
    assert [parts.score(reply, sample).value for reply in ("B) Sat down.", "A)", "")] == [1, 0, 1]
    benchmark = compose_config(["benchmark=tvbench/official"]).config.benchmark
    assert (benchmark.assistant_prefill, benchmark.num_rows) == ("Best option:(", None)


@pytest.mark.slow
def test_lmms_evals_tvbench_alone_strips_questions() -> None:
    row = {**MVBENCH, "question": " Why? "}
    assert protocol("tvbench/lmms_eval").sample(row).question == "Why?"


def test_lvbench_reads_the_letter_in_the_most_telling_place() -> None:
    parts = protocol("lvbench/lmms_eval")
    sample = parts.sample(LVBENCH)
    assert sample.targets == ("B",)
    replies = ("B", "(B)", "The answer is B.", "A", "no idea")
    assert [parts.score(reply, sample).value for reply in replies] == [1, 1, 1, 0, 0]


def test_of_equal_candidates_each_reference_takes_its_own() -> None:
    row = {**MVBENCH, "candidates": ["x", "y", "x"], "answer": "x"}
    assert protocol("mvbench/official").sample(row).targets == ("C",)
    assert protocol("mvbench/lmms_eval").sample(row).targets == ("A",)


def test_the_task_of_a_tempcompass_row_is_read_from_it() -> None:
    parts = protocol("tempcompass/official")
    rows = (TEMPCOMPASS, TEMPCOMPASS_YES_NO, TEMPCOMPASS_MATCHING, TEMPCOMPASS_CAPTIONING)
    assert [parts.sample(row).facets["task"] for row in rows] == [
        "multi-choice",
        "yes_no",
        "caption_matching",
        "captioning",
    ]
    caption = parts.sample(TEMPCOMPASS_CAPTIONING, 5)
    assert (caption.id, caption.facets["task_dim"]) == ("captioning/5", "captioning/action")
    assert caption.question == "What is the man doing?\nA. dunking\nB. running"
    assert caption.targets == ("A. dunking",)
    assert caption.choices == ()
    assert parts.sample(TEMPCOMPASS).choices == (
        "A. dunking a basketball",
        "B. passing a basketball",
    )
    assert parts.sample(TEMPCOMPASS_YES_NO).choices == ()
    for changed in (
        {**TEMPCOMPASS, "question": TEMPCOMPASS_CAPTIONING["question"]},
        {**TEMPCOMPASS_CAPTIONING, "question": "Describe it."},
    ):
        assert parts.sample(changed).facets["task"] == "captioning"


def test_egoschema_by_likelihood_asks_for_the_first_sentences() -> None:
    sample = protocol("egoschema/mc_ppl").sample(EGOSCHEMA)
    assert sample.options == (" C cooks", " C runs", " C sings", " C reads", " C waits")
    assert sample.targets == ("D",)


def test_rows_without_an_answer_are_asked_all_the_same() -> None:
    hidden = {key: value for key, value in EGOSCHEMA.items() if key != "answer"}
    assert protocol("egoschema/lmms_eval").sample(hidden).targets == ()
    assert protocol("egoschema/mc_ppl").sample(hidden).targets == ()
    test_set = {**PERCEPTIONTEST, "answer_id": None}
    assert protocol("perceptiontest/lmms_eval").sample(test_set).targets == ()
    for choice in (None, -1):
        row = {**LONGVIDEOBENCH, "correct_choice": choice}
        assert protocol("longvideobench/lmms_eval").sample(row).targets == ()


def test_rows_that_lack_the_second_answers_are_told(caplog: pytest.LogCaptureFixture) -> None:
    open_ended = protocol("nextqa_oe/llava_next", "scorer=exact_match")
    open_ended.sample({**NEXTQA_OE, "additional_ref_answer": None})
    assert not caplog.messages
    open_ended.sample({k: v for k, v in NEXTQA_OE.items() if k != "additional_ref_answer"})
    assert "without which WUPS is lower" in caplog.text  # NExT-OE's own test.csv has one answer


def test_previous_counts_as_next_in_the_open_ended_test_only() -> None:
    open_ended = protocol("nextqa_oe/llava_next", "scorer=exact_match")
    sample = open_ended.sample({**NEXTQA_OE, "type": "TP", "additional_ref_answer": "nope"})
    assert sample.facets == {"type": "TN", "type_group": "temporal"}
    assert sample.targets == ("no", "nope")
    choice = protocol("nextqa_mc/lmms_eval").sample({**NEXTQA_MC, "type": "TP"})
    assert choice.facets == {"type": "TP", "type_group": "temporal"}
