"""Parts of a benchmark, and how they show in the tables."""

from __future__ import annotations

import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest

from llava_eval import cli
from llava_eval.benchmarks.adapters import multiple_choice
from llava_eval.benchmarks.adapters.image import image_question
from llava_eval.benchmarks.adapters.video_chatgpt import video_chatgpt
from llava_eval.benchmarks.load import selected
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.sources import read_rows
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import SubsampleConfig
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.errors import ConfigError, LlavaEvalError, RowsError
from llava_eval.models.clock import StageClock
from llava_eval.types import Sample
from tests.benchmarks.loading import load_samples
from tests.conftest import read_lines, slow, write_lines

ALL = SubsampleConfig()


def samples(**levels: int) -> list[Sample]:
    """Return so many samples at each level of the facet "duration"."""
    names = [level for level, count in levels.items() for _ in range(count)]
    return [
        Sample(f"s{n}", n, "g", ("x",), ("A",), facets={"duration": level, "half": str(n % 2)})
        for n, level in enumerate(names)
    ]


def test_levels_of_facets() -> None:
    found = samples(short=3, medium=2, long=4)
    assert len(selected(found, {"duration": "short"}, ALL)) == 3
    assert len(selected(found, {"duration": ["short", "long"]}, ALL)) == 7
    both = selected(found, {"duration": ["short", "long"], "half": 1}, ALL)
    assert [one.id for one in both] == ["s1", "s5", "s7"]
    inner = [Sample(kind, 0, "g", ("x",), (), facets={"meta.kind": kind}) for kind in "ab"]
    for where in ({"meta": {"kind": "b"}}, {"meta.kind": "b"}):
        assert [one.id for one in selected(inner, where, ALL)] == ["b"]


@pytest.mark.parametrize("size", [None, 3])
def test_a_facet_to_draw_by_that_is_none_is_told(size: int | None) -> None:
    with pytest.raises(ConfigError, match=r"no facet 'length'; facets: duration, half"):
        selected(samples(short=3, long=2), {}, SubsampleConfig(size, by=["length"]))


def test_a_sample_of_several_levels_is_at_each() -> None:
    kinds = ("action+object", "action", "18+", "object")
    found = [Sample(kind, 0, "g", ("x",), (), facets={"kind": kind}) for kind in kinds]
    chosen = {
        "action": ["action+object", "action"],
        "object": ["action+object", "object"],
        "action+object": ["action+object"],
        "18+": ["18+"],
    }
    for level, expected in chosen.items():
        assert [one.id for one in selected(found, {"kind": level}, ALL)] == expected


def test_a_limit_counts_what_is_at_the_levels() -> None:
    found = selected(samples(short=3, long=4), {"duration": "long"}, ALL, limit=2)
    assert [one.id for one in found] == ["s3", "s4"]


def test_levels_and_facets_that_do_not_exist() -> None:
    with pytest.raises(RowsError, match=r"no sample has 'shrt'; levels: long, short"):
        selected(samples(short=1, long=1), {"duration": "shrt"}, ALL)
    with pytest.raises(ConfigError, match="no facet 'colour'; facets: duration, half"):
        selected(samples(short=1), {"colour": "red"}, ALL)
    with pytest.raises(ConfigError, match="only 1 samples"):
        selected(samples(short=1), {}, SubsampleConfig(2))


def test_a_selection_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    rows = [{"duration": "short"}, {"duration": "long"}]
    path = str(write_lines(tmp_path / "rows.jsonl", rows))

    def sample(row: Row) -> Sample:
        return Sample(str(row.number), row.number, "g", ("x",), ("A",))

    def none_or_one(row: Row) -> tuple[Sample, ...]:
        return (sample(row),) if row.number else ()

    with pytest.raises(RowsError, match="no sample is left of 2 rows"):
        load_samples(path, sample, facets=["duration"], where={"duration": []})
    with pytest.raises(RowsError, match="no sample is left of 1 rows"):
        load_samples(path, none_or_one, limit=1)
    assert len(load_samples(path, none_or_one)) == 1


TWO_KINDS = """\
id,kind,question,a,b,answer
q0,open,What is it?,,,a dog
q1,mc,Which?,cat,dog,B
q2,open,Who?,,,a man
q3,mc,Which?,red,blue,A
q4,mc,Which?,up,down,A
"""

CHOICE = """\
# @package _global_
defaults:
  - override /scorer: strict_choice
  - _self_
benchmark:
  name: mine
  description: two kinds of questions
  source: rows.csv
  num_rows: 5
  licence: MIT
  adapter:
    _target_: llava_eval.benchmarks.adapters.multiple_choice
    id: "{id}"
    group: "{id}"
    media: ["{id}.mp4"]
    question: "{question}"
    option_columns: [a, b]
    answer: "{answer}"
    prompt: "{question}\\n{options}"
  facets: [kind]
  metrics:
    accuracy: {_target_: llava_eval.metrics.means.mean_score}
"""


@pytest.mark.slow
def test_rows_of_another_kind_are_left_out_by_their_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(TWO_KINDS)
    Path("mine", "benchmark").mkdir(parents=True)
    Path("mine", "benchmark", "two.yaml").write_text(CHOICE)
    texts = {1: "B", 3: "A", 4: "B"}
    write_lines(Path("texts.jsonl"), [{"row": row, "text": text} for row, text in texts.items()])
    chosen = ["--config-dir", "mine", "benchmark=two", "benchmark.where.kind=mc"]
    assert cli.run_command(["score", *chosen, "generations=texts.jsonl", "output_dir=out"]) == 0
    lines = read_lines(Path("out", "samples.jsonl"))
    assert [(line["id"], line["row"]) for line in lines] == [("q1", 1), ("q3", 3), ("q4", 4)]
    accuracy = json.loads(Path("out", "metrics.json").read_text())["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx(200 / 3)


def load_two_kinds(folder: Path, **settings: Any) -> list[Sample]:
    (folder / "rows.csv").write_text(TWO_KINDS)
    adapter = functools.partial(
        multiple_choice,
        id="{id}",
        group="{id}",
        media=["{id}.mp4"],
        question="{question}",
        option_columns=["a", "b"],
        answer="{answer}",
        prompt="{question}\n{options}",
    )
    return load_samples(str(folder / "rows.csv"), adapter, **settings)


@pytest.mark.parametrize(
    ("where", "facets", "said"),
    [
        ({}, ["kind"], "row 0: 0 options, expected 2 to 26"),
        ({"kind": "open"}, ["kind"], "row 0: 0 options, expected 2 to 26"),
        ({"kind": ["mc", "open"]}, ["kind"], "row 0: 0 options, expected 2 to 26"),
        ({"kind": "mcq"}, ["kind"], "no sample has 'mcq'; levels: mc"),
        ({"kind": "mc"}, [], "the benchmark has no facet 'kind'"),
    ],
)
def test_rows_that_cannot_be_asked_are_told_where_they_are_asked(
    tmp_path: Path, where: dict[str, Any], facets: list[str], said: str
) -> None:
    with pytest.raises(LlavaEvalError, match=said):
        load_two_kinds(tmp_path, facets=facets, where=where)


def test_a_limit_counts_no_rows_of_another_kind(tmp_path: Path) -> None:
    found = load_two_kinds(tmp_path, facets=["kind"], where={"kind": "mc"}, limit=2)
    assert [(sample.id, sample.row) for sample in found] == [("q1", 1), ("q3", 3)]


@pytest.mark.parametrize(
    ("kinds", "wanted", "row_told"),
    [
        (["a", None], "a", 1),  # of a row that says nothing of its kind, none is known
        (["a", "b+a"], "a", 1),  # a row of both kinds is asked
        (["b", "b"], "a", 0),  # nothing is asked, of which the first row tells the reason
        (["a", "b+c"], ["a", "b+c"], 1),  # several levels that are asked for as one
    ],
)
def test_rows_that_cannot_be_read_are_told(
    tmp_path: Path, kinds: list[str | None], wanted: str | list[str], row_told: int
) -> None:
    path = str(write_lines(tmp_path / "rows.jsonl", [{"kind": kind} for kind in kinds]))

    def only_a(row: Row) -> Sample:
        if row.columns["kind"] != "a":
            raise row.error("it has no answer")
        return Sample("s", row.number, "g", ("x",), ("A",))

    with pytest.raises(RowsError, match=f"row {row_told}: it has no answer"):
        load_samples(path, only_a, facets=["kind"], where={"kind": wanted})


def test_rows_are_not_left_out_by_a_column_whose_facet_the_adapter_sets(tmp_path: Path) -> None:
    path = str(write_lines(tmp_path / "rows.jsonl", [{"kind": "a"}, {"kind": "b"}]))

    def adapter(row: Row) -> Sample:
        if row.number == 1:
            raise row.error("it has no answer")
        return Sample("s", row.number, "g", ("x",), ("A",), facets={"kind": "first"})

    with pytest.raises(RowsError, match="row 1: it has no answer"):
        load_samples(path, adapter, facets=["kind"], where={"kind": "first"})


def test_one_sample_whose_facet_the_adapter_sets_is_enough(tmp_path: Path) -> None:
    rows = [{"kind": "a"}, {"kind": "first"}, {"kind": "b"}]
    path = str(write_lines(tmp_path / "rows.jsonl", rows))

    def adapter(row: Row) -> Sample:
        if row.number == 2:
            raise row.error("it has no answer")
        facets = {"kind": "first"} if row.number == 0 else {}
        return Sample(str(row.number), row.number, "g", ("x",), ("A",), facets=facets)

    with pytest.raises(RowsError, match="row 2: it has no answer"):
        load_samples(path, adapter, facets=["kind"], where={"kind": "first"})


def test_any_facet_leaves_out_rows_that_cannot_be_read(tmp_path: Path) -> None:
    rows = [{"length": "short", "kind": "open"}, {"length": "short", "kind": "mc"}]
    path = str(write_lines(tmp_path / "rows.jsonl", rows))

    def only_mc(row: Row) -> Sample:
        if row.columns["kind"] != "mc":
            raise row.error("it has no answer")
        return Sample("s", row.number, "g", ("x",), ("A",))

    where = {"length": "short", "kind": "mc"}
    (sample,) = load_samples(path, only_mc, facets=["length", "kind"], where=where)
    assert sample.row == 1


def test_a_facet_that_the_first_rows_lack_is_one_of_a_limited_run(tmp_path: Path) -> None:
    path = str(write_lines(tmp_path / "rows.jsonl", [{}, {"kind": "x"}]))

    def sample(row: Row) -> Sample:
        return Sample(str(row.number), row.number, "g", ("x",), ("A",))

    (made,) = load_samples(path, sample, facets=["kind"], limit=1)
    assert made.facets == {"kind": "unknown"}


def test_parts_of_groups_that_are_right_as_a_whole_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(write_lines(tmp_path / "rows.jsonl", [{"n": n} for n in range(8)]))
    metrics = {"accuracy": {"_target_": "llava_eval.metrics.groups.all_right", "lead": True}}

    def said(num_drawn: int | None, limit: int | None = None, **more: int) -> list[str]:
        caplog.clear()
        node = {"accuracy": {**metrics["accuracy"], **more}}
        load_samples(
            path,
            lambda row: Sample(str(row.number), row.number, str(row.number % 2), ("x",), ("A",)),
            subsample=SubsampleConfig(num_drawn),
            metrics=node,
            limit=limit,
        )
        return caplog.messages

    (message,) = said(3)
    assert "of 2 of 2 groups only a part is asked, so that accuracy cannot be compared" in message
    assert "of 2 of 2 groups only a part is asked" in said(None, 6)[0]
    assert said(None) == said(None, 8) == said(8) == said(3, size=4) == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [(10, {"short": 6, "medium": 3, "long": 1}), (5, {"short": 3, "medium": 2}), (0, {})],
)
def test_strata_get_their_share(size: int, expected: dict[str, int]) -> None:
    drawn = selected(samples(short=60, medium=30, long=10), {}, SubsampleConfig(size, ["duration"]))
    found = Counter(one.facets["duration"] for one in drawn)
    assert found.total() == size
    for level, share in expected.items():
        assert abs(found[level] - share) <= 1


@pytest.mark.parametrize(
    ("levels", "size", "expected"),
    [
        ({"short": 9, "long": 1}, 3, {"short": 3}),  # shares of 2.7 and 0.3
        ({"short": 7, "medium": 6, "long": 2}, 5, {"short": 2, "medium": 2, "long": 1}),
        ({"short": 2, "long": 2}, 4, {"short": 2, "long": 2}),
    ],
)
def test_shares_are_rounded_by_largest_remainders(
    levels: dict[str, int], size: int, expected: dict[str, int]
) -> None:
    drawn = selected(samples(**levels), {}, SubsampleConfig(size, ["duration"]))
    assert Counter(one.facets["duration"] for one in drawn) == expected


def test_a_sample_is_seeded_and_in_order() -> None:
    found = samples(short=50, long=50)
    draw = [one.id for one in selected(found, {}, SubsampleConfig(20, ["duration"], seed=1))]
    again = [one.id for one in selected(found, {}, SubsampleConfig(20, ["duration"], seed=1))]
    other = [one.id for one in selected(found, {}, SubsampleConfig(20, ["duration"], seed=2))]
    assert draw == again == sorted(draw, key=lambda name: int(name[1:]))
    assert draw != other


def test_a_larger_sample_holds_the_smaller_one() -> None:
    found = samples(short=100)
    small = {one.id for one in selected(found, {}, SubsampleConfig(10))}
    assert small < {one.id for one in selected(found, {}, SubsampleConfig(40))}


@pytest.mark.parametrize(
    ("overrides", "label", "count"),
    [
        slow(["benchmark.where.duration=short"], "(duration=short, rows={n} of 270)", None),
        slow(["benchmark.subsample.size=9"], "(rows=9 of 270, sample=9, seed 0)", 9),
        (
            [
                "benchmark.subsample.size=9",
                "benchmark.subsample.by=[duration]",
                "benchmark.subsample.seed=4",
            ],
            "(rows=9 of 270, sample=9 by duration, seed 4)",
            9,
        ),
        slow(["benchmark.limit=5"], "(limit=5)", 5),
    ],
)
def test_a_part_says_so(overrides: list[str], label: str, count: int | None) -> None:
    evaluation = Benchmark.read(compose_config(overrides), StageClock())
    num_samples = len(evaluation.samples)
    assert 0 < num_samples < 270
    assert count in (None, num_samples)
    entries = label.format(n=num_samples).strip("()").split(", ")
    assert all(entry in evaluation.label for entry in entries), evaluation.label


def test_row_sets_of_a_folder(tmp_path: Path) -> None:
    write_lines(tmp_path / "generic_qa.jsonl", [{"Q": "g"}])
    write_lines(tmp_path / "temporal_qa.jsonl", [{"Q": "t"}])
    rows = read_rows(str(tmp_path), subset="Temporal+Generic")
    assert rows == [{"row_set": "temporal", "Q": "t"}, {"row_set": "generic", "Q": "g"}]
    with pytest.raises(RowsError, match="one file or folder for the row set Other; found none"):
        read_rows(str(tmp_path), subset="Temporal+Other")


def test_row_sets_of_a_file(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [{"Q": "g"}])
    assert read_rows(str(path), subset="Temporal") == [{"row_set": "temporal", "Q": "g"}]
    assert read_rows(str(path), subset="Generic+Temporal") == [{"Q": "g"}]
    assert read_rows(str(path)) == [{"Q": "g"}]


def test_rows_of_one_subset_of_the_hub_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    write_lines(folder / "test.jsonl", [{"question": "What?", "answer": "a", "video_name": "v"}])
    configs = "- config_name: Temporal\n  data_files: '*.jsonl'\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    adapter = functools.partial(video_chatgpt, media=["{video_name}.mp4"], prompt="{question}")
    settings = {"subset": "Temporal", "split": "train", "facets": ["row_set"]}
    (sample,) = load_samples(f"hub://{folder}", adapter, **settings)
    assert sample.facets["row_set"] == "temporal"


def test_rows_without_any_right_answer_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"id": n, "answer": "a dog", "image": "x.png"} for n in "ab"]
    path = str(write_lines(tmp_path / "rows.jsonl", rows))
    made: dict[str, Any] = {"id": "{id}", "group": ["{id}"], "media": ["{image}"], "question": ""}
    right = functools.partial(image_question, **made, prompt="What?", answers="answer")
    assert [sample.targets for sample in load_samples(path, right)] == [("a dog",)] * 2
    assert caplog.messages == []
    mistyped = functools.partial(image_question, **made, prompt="What?", answers="anwser")
    assert [sample.targets for sample in load_samples(path, mistyped)] == [(), ()]
    (told,) = caplog.messages
    assert told == f"{path}: no row has a right answer, all are hidden; columns: id, answer, image"
