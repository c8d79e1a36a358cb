"""An image benchmark of a user's own: one file in a folder of theirs, and nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from llava_eval import cli
from llava_eval.borders.paths import local_path
from tests.conftest import read_lines

#: Real images, questions and answers; its rows are arrays: question, answer, number of the image.
EASY_VQA = """\
# @package _global_
defaults:
  - override /scorer: exact_match
  - _self_
benchmark:
  name: easy_vqa
  description: easy-VQA, shapes and colours
  source: package://easy_vqa/data/test/questions.json
  num_rows: 9673
  media_root: package://easy_vqa/data/test/images
  licence: MIT
  adapter:
    _target_: llava_eval.benchmarks.adapters.open_ended
    id: "{row_number}"
    group: "{column_2}"
    media: ["{column_2}.png"]
    media_kind: image
    question: "{column_0}"
    answers: column_1
    prompt: |-
      {column_0}
      Answer the question using a single word or phrase.
  generation:
    max_new_tokens: 8
  metrics:
    accuracy: {_target_: llava_eval.metrics.means.mean_score}
"""


@pytest.fixture(autouse=True)
def the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("easy_vqa") is None:
        pytest.skip("easy-vqa is not installed")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs" / "benchmark"
    folder.mkdir(parents=True)
    (folder / "easy_vqa.yaml").write_text(EASY_VQA)


@pytest.mark.slow
def test_easy_vqa_runs_from_one_file() -> None:
    chosen = ["--config-dir", "configs", "benchmark=easy_vqa", "benchmark.limit=9"]
    assert cli.run_command([*chosen, "output_dir=out"]) == 0
    lines = read_lines(Path("out", "samples.jsonl"))
    assert len(lines) == 9
    for line in lines:
        assert line["generation"]["error"] is None
        assert line["generation"]["text"] is not None
        assert line["media"] == [f"{line['group']}.png"]
        assert line["prompt"].startswith(line["question"] + "\nAnswer the question")
    metrics = json.loads(Path("out", "metrics.json").read_text())
    assert (metrics["num_samples"], metrics["num_errors"]) == (9, 0)


@pytest.mark.slow
def test_all_of_easy_vqa_is_scored_by_its_own_answers() -> None:
    package = local_path("package://easy_vqa/data/test/questions.json")
    rows = json.loads(package.read_text())
    with Path("texts.jsonl").open("w") as stream:
        for number, (_, answer, _) in enumerate(rows):
            text = f" {answer.capitalize()}. " if number % 4 else "nonsense"
            stream.write(json.dumps({"row": number, "text": text}) + "\n")
    chosen = ["--config-dir", "configs", "benchmark=easy_vqa", "generations=texts.jsonl"]
    assert cli.run_command(["score", *chosen, "output_dir=scored"]) == 0
    wrong = sum(number % 4 == 0 for number in range(len(rows)))
    metrics = json.loads(Path("scored", "metrics.json").read_text())
    assert metrics["num_scored"] == len(rows)
    assert metrics["metrics"]["accuracy"]["value"] == pytest.approx(
        100 * (1 - wrong / len(rows)), abs=1e-9
    )


@pytest.mark.slow
def test_a_scorer_of_letters_is_refused_where_answers_are_texts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The reply "A circle" was read as A and wrong, so that any model had 0.0."""
    Path("texts.jsonl").write_text(json.dumps({"row": 0, "text": "A circle"}))
    chosen = ["benchmark=easy_vqa", "benchmark.limit=1", "scorer=videomme_official"]
    words = ["score", "--config-dir", "configs", *chosen, "generations=texts.jsonl"]
    assert cli.run_command([*words, "output_dir=scored"]) == 2
    assert "is no letter, and this scorer reads letters; sc" in capsys.readouterr().err
