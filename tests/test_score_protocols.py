"""``llava-eval score`` from rows in the data sets' own columns alone, for every rule-scored set."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llava_eval.config.compose import compose_config
from llava_eval.errors import RowsError, RunDirectoryError
from llava_eval.run import Outcome, score
from tests.benchmarks import test_image_prompts as image_rows
from tests.benchmarks import test_prompts as rows
from tests.conftest import read_lines, slow, write_lines
from tests.scoring.test_wups import needs_packages

VIDEOMME: dict[str, Any] = {
    **rows.VIDEOMME,
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Law",
    "task_type": "OCR Problems",
}
CAPTIONS = {"videoID": "v", "enCap": ["a man runs", "someone is running"]}

#: Protocol, row, right reply, and the value that it gets: none where a set of one has no number.
CASES: list[tuple[str, dict[str, Any], str, float | None]] = [
    *((f"videomme/{name}", VIDEOMME, "C", 1.0) for name in ("official", "official_subtitles")),
    *((f"videomme/{name}", VIDEOMME, " C. ", 1.0) for name in ("lmms_eval", "lmms_eval_v0_2")),
    ("videomme/vlmevalkit", VIDEOMME, "C", 1.0),
    ("nextqa_mc/lmms_eval", rows.NEXTQA_MC, "A. roll the handle", 1.0),
    ("egoschema/lmms_eval", rows.EGOSCHEMA, "D. C reads.", 1.0),
    ("perceptiontest/lmms_eval", rows.PERCEPTIONTEST, "B", 1.0),
    ("mvbench/official", rows.MVBENCH, "A) Ate the medicine.", 1.0),
    ("mvbench/lmms_eval", rows.MVBENCH, "A", 1.0),
    ("longvideobench/lmms_eval", rows.LONGVIDEOBENCH, "B", 1.0),
    ("longvideobench/lmms_eval_interleaved", rows.LONGVIDEOBENCH, "B", 1.0),
    ("longvideobench/lmms_eval", rows.LONGVIDEOBENCH_JSON, "B", 1.0),
    ("mlvu/official", rows.MLVU_OFFICIAL, "A) Yellow", 1.0),
    ("mlvu/lmms_eval", rows.MLVU_DEV, "A) Yellow", 1.0),
    ("tempcompass/official", rows.TEMPCOMPASS, "A</s>", 1.0),
    ("tempcompass/lmms_eval", rows.TEMPCOMPASS_YES_NO, "Yes, he is.", 1.0),
    ("tempcompass/official", rows.TEMPCOMPASS_MATCHING, "A", 1.0),
    ("tempcompass/official", rows.TEMPCOMPASS_CAPTIONING, "He dunks.", None),
    ("vatex/lmms_eval", CAPTIONS, "a man runs", None),
    ("msrvtt_caption/lmms_eval", {"video_id": "v", "caption": ["a man"]}, "a man", None),
]


def scored(
    folder: Path,
    name: str,
    content: list[dict[str, Any]],
    *lines: Any,
    more: Sequence[str] = (),
) -> Outcome:
    source = write_lines(folder / "rows.jsonl", content)
    return score(
        compose_config(
            [
                f"benchmark={name}",
                f"benchmark.source={source}",
                f"output_dir={folder / 'out'}",
                *more,
            ]
        ),
        write_lines(folder / "generations.jsonl", list(lines)),
    )


def ledger(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / "out" / "samples.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "row", "reply", "value"), [pytest.param(*case, id=case[0]) for case in CASES]
)
def test_a_protocol_scores_rows_without_media(
    tmp_path: Path,
    name: str,
    row: dict[str, Any],
    reply: str,
    value: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if value is None:  # Java takes seconds to start, and runs for METEOR's own test below
        monkeypatch.setenv("PATH", str(tmp_path))
    outcome = scored(tmp_path, name, [row], {"row": 0, "text": reply})
    assert outcome.exit_code == 0
    (line,) = ledger(tmp_path)
    assert line["score"]["value"] == value
    assert (tmp_path / "out" / "metrics.md").is_file()


#: Protocol, row, what the model wrote, and the value: the reply as the reference's rule gets it.
PIPELINES: list[object] = [
    # LLaVA's inference scripts strip replies; its rules do not.
    ("pope/llava", {**image_rows.POPE, "answer": "no"}, "No\n", 1.0),
    slow("pope/llava", {**image_rows.POPE, "answer": "no"}, " No", 1.0),
    slow("gqa/llava", {**image_rows.GQA, "answer": "yes"}, "Yes\n", 1.0),
    slow("gqa/llava", {**image_rows.GQA, "answer": "yes"}, "\nYes.", 1.0),
    slow("scienceqa_img/llava", image_rows.SCIENCEQA, "B\n", 1.0),
    slow("scienceqa_img/llava", image_rows.SCIENCEQA, " B. y", 1.0),
    # lmms-eval 75571cf cuts reasoning out before any rule; its v0.2.0 did not.
    ("videomme/lmms_eval", VIDEOMME, "<think>A or D?</think>C", 1.0),
    slow("videomme/lmms_eval", VIDEOMME, "It is A.</think>\nC", 1.0),
    slow("videomme/lmms_eval", VIDEOMME, "<THINK>A</THINK> A", 0.0),
    slow("videomme/lmms_eval_v0_2", VIDEOMME, "<think>A or D?</think>C", 0.0),
    ("videomme/official", VIDEOMME, "<think>A or D?</think>C", 0.0),
    slow("mvbench/lmms_eval", rows.MVBENCH, "<analysis>B</analysis>A", 1.0),
    slow("perceptiontest/lmms_eval", rows.PERCEPTIONTEST, "<think>A</think> B", 1.0),
    slow("longvideobench/lmms_eval", rows.LONGVIDEOBENCH, "<think>A</think>\nB", 1.0),
    slow("mlvu/lmms_eval", rows.MLVU_DEV, "<think>B</think>A", 1.0),
    slow("tempcompass/lmms_eval", rows.TEMPCOMPASS_YES_NO, "<think>No?</think>Yes, he is.", 1.0),
    slow("pope/lmms_eval", {**image_rows.POPE, "answer": "no"}, "<think>Yes?</think>No", 1.0),
    slow("gqa/lmms_eval", {**image_rows.GQA, "answer": "yes"}, "<think>no</think> Yes", 1.0),
    slow("scienceqa_img/lmms_eval", image_rows.SCIENCEQA, "<think>A</think>B", 1.0),
    # MVBench's own code calls the right option "@" where it is none of those asked.
    ("mvbench/official", {**rows.MVBENCH, "answer": "Sat down."}, "", 1.0),
    slow("mvbench/official", {**rows.MVBENCH, "answer": "Sat down."}, "A) Ate the medicine.", 0.0),
    slow("tvbench/official", {**rows.TVBENCH, "answer": "Sat down."}, "\n", 1.0),
    # No wrapper of lmms-eval applies "until: ASSISTANT:", which its task files name.
    slow("textvqa/lmms_eval", image_rows.TEXTVQA, "ASSISTANT: nokia", 0.0),
]


@pytest.mark.parametrize(("name", "row", "reply", "value"), PIPELINES)
def test_a_reply_goes_through_what_the_reference_does_to_it(
    tmp_path: Path, name: str, row: dict[str, Any], reply: str, value: float
) -> None:
    outcome = scored(tmp_path, name, [row], {"row": 0, "text": reply})
    (line,) = ledger(tmp_path)
    assert line["score"]["value"] == value
    assert line["generation"]["text"] == reply
    marked = any(mark in reply for mark in ("<think>", "</think>", "<THINK>", "<analysis>"))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics.get("flags", {}).get("has_reasoning", 0) == marked
    assert ("1 with reasoning" in (tmp_path / "out" / "metrics.md").read_text()) == marked
    assert outcome.exit_code == 0


@pytest.mark.slow
def test_meteor_is_of_captions_without_their_reasoning(tmp_path: Path) -> None:
    if shutil.which("java") is None or importlib.util.find_spec("pycocoevalcap") is None:
        pytest.skip("needs Java and pycocoevalcap")
    other = {"videoID": "w", "enCap": ["two dogs play", "dogs are playing in the snow"]}
    lines = [{"row": 0, "text": "<think>A man walks.</think>a man is running"}]
    lines += [{"row": 1, "text": "dogs play in snow"}]
    outcome = scored(tmp_path, "vatex/lmms_eval", [CAPTIONS, other], *lines)
    assert outcome.exit_code == 0
    metrics = outcome.summary.metrics
    # pycocoevalcap 1.2, PTBTokenizer and Meteor of "a man is running" and "dogs play in snow"
    assert metrics["METEOR"].value == pytest.approx(39.59422708480555, abs=1e-6)


@pytest.mark.slow
@needs_packages
@pytest.mark.parametrize("name", ["llava_next", "lmms_eval"])
def test_open_ended_answers_by_word_similarity(tmp_path: Path, name: str) -> None:
    asked = [{**rows.NEXTQA_OE, "qid": 1}, {**rows.NEXTQA_OE, "qid": 2, "question": " why "}]
    lines = [{"row": 0, "text": "no"}, {"row": 1, "text": "No."}]
    summary = scored(tmp_path, f"nextqa_oe/{name}", asked, *lines).summary
    assert [line["score"]["value"] for line in ledger(tmp_path)] == [1.0, 0.0]
    assert summary.metrics["WUPS@All"].value == 50.0


@pytest.mark.slow
def test_answers_by_likelihood_come_as_losses(tmp_path: Path) -> None:
    losses = {"id": rows.EGOSCHEMA["video_idx"], "option_losses": [3.0, 2.5, 4.0, 0.5, 1.0]}
    outcome = scored(tmp_path, "egoschema/mc_ppl", [rows.EGOSCHEMA], losses)
    assert outcome.summary.metrics["accuracy"].value == 100.0
    assert ledger(tmp_path)[0]["generation"]["option_losses"] == losses["option_losses"]
    scored(tmp_path, "egoschema/mc_ppl", [rows.EGOSCHEMA], losses)
    others = {**losses, "option_losses": [0.5, 2.5, 4.0, 3.0, 1.0]}
    with pytest.raises(RunDirectoryError, match="another configuration: generations was"):
        scored(tmp_path, "egoschema/mc_ppl", [rows.EGOSCHEMA], others)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        slow({"row": 0, "text": "D"}, "needs 5 option_losses"),
        ({"row": 0, "option_losses": [1.0, 2.0]}, "got 2"),
        slow({"row": 0, "option_losses": [1.0, 2.0, 3.0, 4.0, float("nan")]}, "finite"),
        slow({"row": 0, "option_losses": "x"}, "line 1"),
    ],
)
def test_losses_that_do_not_fit_are_named(tmp_path: Path, line: dict[str, Any], part: str) -> None:
    with pytest.raises(RowsError, match=part):
        scored(tmp_path, "egoschema/mc_ppl", [rows.EGOSCHEMA], line)


@pytest.mark.slow
def test_hidden_answers_make_a_submission(tmp_path: Path) -> None:
    hidden = [
        {**{k: v for k, v in rows.EGOSCHEMA.items() if k != "answer"}, "video_idx": f"v{n}"}
        for n in range(2)
    ]
    lines = [{"row": 0, "text": "(C)"}, {"row": 1, "text": "E"}]
    outcome = scored(tmp_path, "egoschema/lmms_eval", hidden, *lines)
    assert json.loads((tmp_path / "out" / "submission.json").read_text()) == {"v0": 2, "v1": 4}
    assert outcome.summary.metrics["accuracy"].value is None
    assert outcome.summary.num_scored == 0


@pytest.mark.slow
def test_guesses_are_counted_in_every_table(tmp_path: Path) -> None:
    asked = [{**rows.NEXTQA_MC, "qid": n} for n in range(3)]
    lines = [{"row": n, "text": text} for n, text in enumerate(["A", "no idea", "(B)"])]
    outcome = scored(tmp_path, "nextqa_mc/lmms_eval", asked, *lines)
    assert outcome.summary.num_random == 1
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["num_random"] == 1
    assert "1 chosen at random" in (tmp_path / "out" / "metrics.md").read_text()
    assert metrics["metrics"]["accuracy_strict"]["value"] == pytest.approx(100 / 3)


@pytest.mark.slow
def test_no_guess_is_no_count(tmp_path: Path) -> None:
    scored(tmp_path, "videomme/official", [VIDEOMME], {"row": 0, "text": "C"})
    assert "num_random" not in json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "at random" not in (tmp_path / "out" / "metrics.md").read_text()


@pytest.mark.slow
def test_m_avg_is_the_mean_of_tasks_and_stands_for_the_whole_set_only(tmp_path: Path) -> None:
    asked = [{**rows.MLVU_DEV, "task_type": task} for task in ("plotQA", "plotQA", "count")]
    lines = [{"row": n, "text": text} for n, text in enumerate(["A", "B", "A"])]
    summary = scored(tmp_path, "mlvu/lmms_eval", asked, *lines).summary
    assert summary.metrics["M-Avg"].value == pytest.approx((50 + 100) / 7)
    assert set(summary.groups["task_type"]["plotQA"]) == {"accuracy"}


@pytest.mark.slow
def test_a_group_in_which_nothing_was_read_is_0_under_videomme_s_own_rule(tmp_path: Path) -> None:
    summary = scored(
        tmp_path, "videomme/official", [VIDEOMME], {"row": 0, "text": "it is unclear"}
    ).summary
    assert summary.groups["duration"]["short"]["accuracy"].value == 0.0
    assert summary.metrics["accuracy"].num_samples == 0
