"""What a row says however its source writes it, and what it may not do."""

from __future__ import annotations

import functools
import io
import json
import math
import random
import re
import unicodedata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from llava_eval.benchmarks.adapters import caption, multiple_choice, open_ended
from llava_eval.benchmarks.adapters.options import right_letters
from llava_eval.benchmarks.image_rows import can_fill
from llava_eval.benchmarks.rows import Row, list_items
from llava_eval.benchmarks.sources import read_rows
from llava_eval.errors import ConfigError, LlavaEvalError, RowsError
from llava_eval.types import Sample
from tests.benchmarks import test_image_prompts, test_prompts
from tests.benchmarks.loading import load_samples
from tests.conftest import write_lines
from tests.scoring.protocols import protocol

COMMON: dict[str, Any] = {"id": "{id}", "group": "{id}", "media": ["{id}.mp4"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["two", "a pair"], ("two", "a pair")),
        (("two", 2), ("two", "2")),
        ("['two', 'a pair']", ("two", "a pair")),
        (' ["two", "a pair"] ', ("two", "a pair")),
        ("""["it's", 'a "pair"']""", ("it's", 'a "pair"')),
        ("['two' 'a pair']", ("two", "a pair")),  # numpy's form
        ("{'two','10:30'}", ("two", "10:30")),  # a set
        ("['two'\n 'a pair']", ("two", "a pair")),
        ("[1, 2.5, True]", ("1", "2.5", "True")),
        ("[]", ()),
        (["two", None, math.nan], ("two", None, None)),
        ('["two", null, NaN]', ("two", None, None)),
        ("['two', None, nan]", ("two", None, None)),
        ("['None', 'nan']", ("None", "nan")),
        ([{"answer": "two", "answer_id": 1}, {"answer": None}], ("two", None)),
        ("[{'answer': 'two'}]", ("two",)),
        (np.array(["two", "a pair"]), ("two", "a pair")),
        (np.array(["two", None], dtype=object), ("two", None)),
        (np.array([1.5, math.nan]), ("1.5", None)),
        ("array(['two', 'a pair'], dtype=object)", ("two", "a pair")),
        ("array([1, 2])", ("1", "2")),
        ("Index(['two', 'a pair'], dtype='object')", ("two", "a pair")),
        ("frozenset({'two'})", ("two",)),
        ("dict_keys(['two', 'a pair'])", ("two", "a pair")),
        ("Index(['two'", None),
        ("max([1, 2])", None),
        ("('two', 'a pair')", ("two", "a pair")),
        ("['two' None nan <NA>]", ("two", None, None, None)),
        ("[1 -2 2.5]", ("1", "-2", "2.5")),
        ("[1. 2.]", ("1.0", "2.0")),
        ("[{'answer': 'two', 'id': 1}\n {'answer': None}]", ("two", None)),
        ("\ufeff['two']", ("two",)),
        ("['two', '']", ("two", "")),
        (
            "[np.str_('two'), np.str_(\"it's\"), np.int64(3), np.float64(nan)]",
            ("two", "it's", "3", None),
        ),
        ("['np.str_(x)']", ("np.str_(x)",)),
        (r'"[\"two\", \"a pair\"]"', ("two", "a pair")),  # JSON in JSON
        ('"[" is a bracket', None),
        ("['two' ... 'a pair']", None),  # numpy left something out
        ("two", None),
        ("(two)", None),
        ("('two')", None),
        ("(1, 2)", None),
        ("['a'] and ['b']", None),
        ("[1] a", None),
        ("deque(['two', 'a pair'], maxlen=2)", ("two", "a pair")),
        ("dict_values(['two', 'a pair'])", ("two", "a pair")),
        ("array(x)", None),
        (np.float64(2.0), None),
        (np.array(7), None),
        ("[two]", None),
        ("[two, a pair", None),
        ("[" * 100_000, None),
        (7, None),
        (b"[1]", None),
        ({"answer": "two"}, None),
    ],
)
def test_lists_however_they_are_written(value: Any, expected: Any) -> None:
    assert list_items(value) == expected


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_lists_of_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": "1", "q": "?", "refs": ["two", "a pair"], "options": ["x", "y"], "answer": "y"}]
    path = tmp_path / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        pd.DataFrame(rows).to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    row = Row(0, read_rows(str(path))[0], "rows")
    asked = open_ended(row, **COMMON, question="{q}", answers="refs", prompt="{q}")
    described = caption(row, **COMMON, references="refs", prompt="Describe.")
    chosen = multiple_choice(
        row,
        **COMMON,
        question="{q}",
        options="options",
        answer="{answer}",
        answer_form="text",
        prompt="{options}",
    )
    assert asked.targets == described.targets == ("two", "a pair")
    assert (chosen.choices, chosen.targets) == (("x", "y"), ("B",))


def choice(**columns: Any) -> Sample:
    row = Row(4, {"id": "1", "question": "?", "answer": "A", **columns}, "rows.jsonl")
    where: dict[str, Any] = (
        {"options": "options"} if "options" in columns else {"option_columns": ["a", "b", "c"]}
    )
    return multiple_choice(
        row, **COMMON, question="{question}", answer="{answer}", prompt="{options}", **where
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"options": ["x", "y", None, None]},
        {"options": ["x", "y", math.nan]},
        {"options": ["x", "y", "", " "]},
        {"options": {"A": "x", "B": "y", "C": ""}},
        {"options": '["x", "y", null]'},
        {"a": "x", "b": "y", "c": None},
        {"a": "x", "b": "y", "c": ""},
    ],
)
def test_a_null_is_no_option(columns: dict[str, Any]) -> None:
    sample = choice(**columns)
    assert (sample.choices, sample.prompt) == (("x", "y"), "A. x\nB. y")


def test_a_null_among_the_options_leaves_their_letters_unknown() -> None:
    with pytest.raises(RowsError, match=r"row 4: option 2 of 3 is empty"):
        choice(options=["x", None, "y"])
    with pytest.raises(RowsError, match=r"row 4: 1 options, expected 2 to 26"):
        choice(options=["x", None])
    with pytest.raises(RowsError, match=r"no column 'c'; columns: id, question, answer, a, b"):
        choice(a="x", b="y")


def test_a_null_is_no_answer() -> None:
    row = Row(0, {"id": "1", "q": "?", "some": ["two", None], "none": [None]}, "rows")
    assert open_ended(row, **COMMON, question="{q}", answers="some", prompt="?").targets == ("two",)
    with pytest.raises(RowsError, match="'none' is an empty list"):
        open_ended(row, **COMMON, question="{q}", answers="none", prompt="?")


@pytest.mark.parametrize("value", [None, math.nan])
def test_null_and_nan_are_empty(value: Any) -> None:
    row = Row(0, {"x": value}, "rows")
    assert row.optional("x") is None
    assert row.answers("x") == ()
    for read in (row.column, row.texts, row.number_of, lambda name: row.text(f"{{{name}}}")):
        with pytest.raises(RowsError, match="column 'x' is empty"):
            read("x")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("1.5", "should hold a whole number, got 1.5"),
        ("inf", "should hold a number, got 'inf'"),
        ("two", "should hold a number, got 'two'"),
        ([2], r"should hold a number, got \[2\]"),
    ],
)
def test_a_column_of_whole_numbers(value: Any, told: str) -> None:
    assert [Row(0, {"n": given}, "").integer_of("n") for given in (2, 2.0, " 2", "2.0")] == [2] * 4
    with pytest.raises(RowsError, match=rf"rows, row 7: column 'n' {told}"):
        Row(7, {"n": value}, "rows").integer_of("n")


@pytest.mark.parametrize(
    ("columns", "level"),
    [
        ({"kind": "x"}, "x"),
        ({"kind": 5}, "5"),
        ({"kind": {"of": "y"}}, None),
        ({"kind": {"of": math.nan}}, None),
        ({"kind": "  "}, None),
        ({"kind": math.nan}, None),
        ({}, None),
    ],
)
def test_the_level_of_a_facet(columns: dict[str, Any], level: str | None) -> None:
    row = Row(0, columns, "s")
    assert row.level("kind.of") == ("y" if columns == {"kind": {"of": "y"}} else None)
    if not isinstance(columns.get("kind"), dict):
        assert row.level("kind") == level
    for written in (json.dumps({"of": 5, "to": None}), str({"of": 5, "to": None})):
        assert Row(0, {"kind": written}, "s").level("kind.of") == "5"  # a cell of a CSV file


def test_a_column_of_an_array_is_not_empty() -> None:
    assert Row(0, {"x": np.array(["a", "b"])}, "s").texts("x") == ("a", "b")
    assert Row(0, {"x": np.array(["a", "b"])}, "s").answers("x") == ("a", "b")
    assert Row(0, {"x": np.float64(3)}, "s").answers("x") == ("3", "3.0")  # integers beside nulls
    assert Row(0, {"x": 2.5}, "s").answers("x") == ("2.5",)


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (["see", "count"], "see+count"),
        ("['see', 'count']", "see+count"),  # a cell of a CSV file
        (np.array(["see", None, "count"], dtype=object), "see+count"),
        (["10+ min"], "10+ min"),
    ],
)
def test_a_list_of_texts_is_several_levels(value: object, level: str) -> None:
    """A table's row was headed "['see', 'count']"."""
    assert Row(0, {"skill": value}, "s").level("skill") == level
    assert Row(0, {"about": {"skill": value}}, "s").level("about.skill") == level


@pytest.mark.parametrize("value", [[], [None], [""], "[]", "[None]", np.array([])])
def test_a_list_of_nothing_is_no_level(value: object) -> None:
    assert Row(0, {"kind": value}, "s").level("kind") is None
    assert Row(0, {"kind": [0]}, "s").level("kind") == "[0]"


def test_a_row_without_a_level_is_at_the_level_unknown(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [{"id": n, "kind": kind} for n, kind in enumerate(("x", None, ""))] + [{"id": 3}]
    path.write_text("\n".join(map(json.dumps, lines)))

    def adapter(row: Row) -> Sample:
        return Sample(row.text("{id}"), row.number, "g", ("?",), ("A",))

    samples = load_samples(str(path), adapter, facets=["kind"])
    assert [sample.facets["kind"] for sample in samples] == ["x", "unknown", "unknown", "unknown"]
    with pytest.raises(RowsError, match="no column 'colour'"):
        load_samples(str(path), adapter, facets=["colour"])


def test_media_in_one_folder_need_not_lie_as_the_data_set_has_them(tmp_path: Path) -> None:
    row = Row(0, {"v": "a", "up": "../a", "far": "/data/a"}, "hub://o/n", tmp_path)
    (tmp_path / "a.mp4").touch()
    assert row.media_path(["data/{v}.mp4", "{v}.mkv"]) == str(tmp_path / "a.mp4")
    for column in ("up", "far"):
        path = row.media_path([f"data/{{{column}}}.mp4"])
        assert path == f"{tmp_path}/data/{row.columns[column]}.mp4".replace("//", "/")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.mp4").touch()
    assert row.media_path(["data/{v}.mp4"]) == str(tmp_path / "data" / "a.mp4")


@pytest.mark.parametrize(
    ("template", "value", "source", "problem"),
    [
        ("{v}.mp4", "a/../b", "rows.jsonl", None),
        ("../videos/{v}.mp4", "a", "rows.jsonl", None),
        ("/data/{v}.mp4", "a", "hub://o/n", None),
        ("{v}.mp4", "/data/a", "rows.jsonl", None),
        ("{v}.mp4", "/data/../a", "rows.jsonl", None),
        ("{v}.mp4", "/data/a", "hub://o/n", "absolute"),
        ("{v}/{v}.mp4", "/data", "hub://o/n", "absolute"),
        ("{v}.mp4", "../a", "rows.jsonl", "climbs out"),
        ("{v}.mp4", "../a", "hub://o/n", "climbs out"),
        ("{v}.mp4", "a/../../b", "rows.jsonl", "climbs out"),
        ("videos/{v}.mp4", "../../b", "rows.jsonl", "climbs out"),
        ("../videos/{v}.mp4", "../../b", "rows.jsonl", "climbs out"),
        ("{v}", "..", "rows.jsonl", "climbs out"),
    ],
)
def test_a_row_does_not_leave_the_media_folder(
    template: str, value: str, source: str, problem: str | None
) -> None:
    row = Row(0, {"v": value}, source, Path("/media"))
    if problem is None:
        assert row.media_path([template]) == str(Path("/media") / template.format(v=value))
    else:
        with pytest.raises(RowsError, match=problem):
            row.media_path([template])


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_that_another_system_spells_with_other_accents(
    tmp_path: Path, forms: tuple[Literal["NFC", "NFD"], Literal["NFC", "NFD"]]
) -> None:
    """macOS takes "é" apart; so does an archive that was packed there."""
    stored, asked = (unicodedata.normalize(form, "v/Café ü.mp4") for form in forms)
    root = tmp_path / unicodedata.normalize(forms[1], "é")
    (root / "v").mkdir(parents=True)
    (root / stored).touch()
    row = Row(0, {"v": asked}, "rows", root)
    assert row.media_path(["{v}"]) == str(root / stored)
    (root / asked).touch()
    assert row.media_path(["{v}"]) == str(root / asked)


def test_a_name_that_was_written_on_windows(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/a.mp4").touch()
    row = Row(0, {"v": r"v\a.mp4", "up": r"..\..\a.mp4"}, "hub://a/b", tmp_path)
    assert row.media_path(["{v}"]) == str(tmp_path / "v/a.mp4")
    (tmp_path / r"v\a.mp4").touch()
    assert row.media_path(["{v}"]) == str(tmp_path / r"v\a.mp4")
    with pytest.raises(RowsError, match="climbs out"):
        row.media_path(["{up}"])


def test_a_video_at_an_address(tmp_path: Path) -> None:
    row = Row(0, {"v": "https://host/a%20b.mp4?n=1", "id": "1"}, "rows", tmp_path)
    assert row.media_path(["{v}"]) == "https://host/a%20b.mp4?n=1"
    assert row.media_path(["{id}.mp4", "{v}"]) == "https://host/a%20b.mp4?n=1"
    (tmp_path / "1.mp4").touch()
    assert row.media_path(["{id}.mp4", "{v}"]) == str(tmp_path / "1.mp4")


def test_values_within_columns(tmp_path: Path) -> None:
    """Answers in a mapping were taken for hidden, and such media for missing ones."""
    common = {"question": "Which?", "options": ["x", "y"], "meta": {"file": "f", "kind": "k"}}
    columns = {"id": "1", **common, "gt": {"answer": "B"}}
    rows: list[dict[str, Any]] = [
        columns,
        {**columns, "id": "2", "meta": {"file": "f"}, "gt": None},
    ]
    path = str(write_lines(tmp_path / "rows.jsonl", rows))
    made = load_samples(
        path,
        functools.partial(
            multiple_choice,
            **COMMON,
            question="{question}",
            options="options",
            answer="{gt[answer]}",
            hidden_answers=True,
            prompt="{question}",
        ),
        facets=["meta.kind"],
    )
    assert [sample.targets for sample in made] == [("B",), ()]
    assert [sample.facets["meta.kind"] for sample in made] == ["k", "unknown"]
    assert can_fill(Row(0, columns, "rows"), "{meta[file]}.jpg")
    assert not can_fill(Row(0, columns, "rows"), "{meta[name]}.jpg")
    with pytest.raises(RowsError, match=r"there is no column 'meta\.kinds'"):
        load_samples(
            path, lambda row: Sample(row.text("{id}"), 0, "g", ("x",), ()), facets=["meta.kinds"]
        )


def test_lists_within_columns() -> None:
    """ARC and many others have {"text": [...], "label": [...]}, SQuAD such answers."""
    held = {"text": ["x", "y", "z"], "label": ["A", "B", "C"]}
    columns = {"id": "1", "question": "Which?", "choices": held, "answer": "C"}
    prompts: dict[str, Any] = {
        "question": "{question}",
        "answer": "{answer}",
        "prompt": "{options}",
    }
    row = Row(0, columns, "rows")
    made = multiple_choice(row, **COMMON, **prompts, options="choices[text]")
    assert (made.prompt, made.targets) == ("A. x\nB. y\nC. z", ("C",))
    assert row.answers("choices[text]") == ("x", "y", "z")
    with pytest.raises(RowsError, match=r"'choices' holds lists; one is 'choices\[text\]'"):
        multiple_choice(row, **COMMON, **prompts, options="choices")
    with pytest.raises(RowsError, match=r"column 'choices\[texts\]' is empty"):
        multiple_choice(row, **COMMON, **prompts, options="choices[texts]")


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ([2.5, 3.0], ("2.5", "3", "3.0")),
        ([3, math.nan, 2.0], ("3", "2", "2.0")),
        ("[2.0, nan]", ("2", "2.0")),
        (np.array([2.0, math.nan]), ("2", "2.0")),
        ([{"answer": 4.0}], ("4", "4.0")),
        (["3.0"], ("3.0",)),
        ("3.0", ("3.0",)),
    ],
)
def test_whole_numbers_in_a_list_of_answers(value: Any, answers: tuple[str, ...]) -> None:
    """Beside nulls, and beside 2.5, libraries write 3 as 3.0."""
    assert Row(0, {"a": value}, "rows").answers("a") == answers


def test_a_field_of_a_list_or_mapping_that_is_text(tmp_path: Path) -> None:
    """The first of "['two', 'a pair']" was "[", and of a mapping nothing at all."""
    held = {"id": "1", "answers": ["two", "a pair"], "gt": {"answer": "B", "of": ["x", "y"]}}
    pd.DataFrame([held]).to_csv(tmp_path / "rows.csv", index=False)
    (written,) = read_rows(str(tmp_path / "rows.csv"))
    assert written["answers"] == "['two', 'a pair']"
    for columns in (held, written):
        row = Row(0, columns, "rows")
        assert row.text("{answers[1]}/{gt[answer]}/{gt[of][0]}/{id[0]}") == "a pair/B/x/1"
        assert row.optional("gt[answer]") == "B"
        assert row.answers("gt[of]") == ("x", "y")
        assert right_letters(row, ("x", "y"), "{gt[answer]}", may_be_hidden=True) == ("B",)
        with pytest.raises(RowsError, match="cannot be filled: list index out of range"):
            row.text("{answers[2]}")
    plain = Row(0, {"name": "[a] b", "id": None}, "rows")
    assert plain.text("{name[1]}") == "a"  # a text is not a list for its bracket
    with pytest.raises(RowsError, match="column 'id' is empty"):
        plain.text("{id[0]}")


@pytest.mark.parametrize("value", [["Which?"], {"text": "Which?"}, ("Which?", "Why?")])
def test_what_holds_several_is_no_text(value: object) -> None:
    """A prompt held "['Which?']", as Python writes a list."""
    row = Row(3, {"question": value, "of": {"a": value}}, "rows.jsonl")
    for name in ("question", "of[a]"):
        found = re.escape(f"row 3: column {name!r} should hold a text, got {value!r}; one of")
        with pytest.raises(RowsError, match=found):
            row.text(f"<{{{name}}}>")
    assert row.text("{question}", question="Why?") == "Why?"


@pytest.mark.parametrize("is_text", [False, True])
def test_a_method_of_python_is_no_field(is_text: bool) -> None:
    """Prompts held "<built-in method title of str object at 0x7f2f43d61050>"."""
    gt = {"title": "T", "items": "I", "none": None}
    row = Row(0, {"gt": json.dumps(gt) if is_text else gt, "name": "n"}, "rows")
    assert row.text("{gt[title]}{gt[items]}") == "TI"
    for template in ("{gt.title}" if is_text else "{gt.copy}", "{name.title}", "{name.upper}"):
        with pytest.raises(RowsError, match="is a method of Python's; what a mapping holds is"):
            row.text(template)
    with pytest.raises(RowsError, match=r"column 'gt\[none\]' is empty"):
        row.text("Which {gt[none]}?")
    assert row.optional("gt[title].upper") is None


def test_an_item_is_of_the_column_and_not_of_what_is_made_of_it() -> None:
    """ "{options[0]}" was the first letter of the list as the prompt shows it."""
    row = Row(0, {"options": ["a cat", "a dog"], "choices": "['x', 'y']"}, "rows")
    made = {"options": "A. a cat\nB. a dog", "question": "Who?"}
    assert (
        row.text("{options[1]}, {choices[1]}: {options}", **made) == f"a dog, y: {made['options']}"
    )
    with pytest.raises(RowsError, match=r"no column 'question'.*; columns: options, choices"):
        row.text("{question[0]}", **made)


def test_mappings_in_a_list_are_no_texts() -> None:
    captions = [{"id": 1, "caption": "a dog"}, {"id": 2, "caption": "a cat"}]
    row = Row(0, {"captions": captions, "options": [{"label": "B", "text": "x"}]}, "rows")
    assert row.answers("captions") == ("a dog", "a cat")
    with pytest.raises(RowsError, match=r"a list of texts, not of {'label': 'B'"):
        row.answers("options")
    with pytest.raises(RowsError, match=r"a list of texts, not of {'label': 'B'"):
        row.options("options")
    with pytest.raises(RowsError, match=r"a list of texts, not of \['two'\]"):
        Row(0, {"a": "[['two'], ['a pair']]"}, "rows").answers("a")


def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path: Path) -> None:
    row = Row(0, {"v": "a" * 300}, "rows", tmp_path)
    assert row.media_path(["{v}.mp4", "{v}.webm"]) == str(tmp_path / ("a" * 300 + ".mp4"))


def test_a_form_of_options_that_cannot_be_filled_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"'\{lettr\}'.*fields are \{letter\} and \{option\}"):
        multiple_choice(
            Row(0, {"id": "1", "o": ["x", "y"]}, "rows"),
            **COMMON,
            question="?",
            options="o",
            option_format="{lettr}",
            answer="A",
            prompt="?",
        )


# Made-up damage: whatever a row holds, it becomes samples or one line.

ODD_VALUES: list[Any] = [
    *(None, math.nan, math.inf, "", " ", 0, 3, -1, 10**400, 1e308, True, b"x", "\0", "\ud800"),
    *([], [None], [[]], ["x"], ["x"] * 30, {}, {"answer": None}, {"bytes": 3}, {"path": 7}),
    *("[", "['a', ", "[" * 2000, "../../x", "/etc/passwd", "x" * 5000, "http://x.org/{}", "{x}"),
]

CASES = {name: row for name, row, _ in [*test_prompts.PROMPTS, *test_image_prompts.PROMPTS]}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if number % 15 else [])
        for number, name in enumerate(sorted(CASES))
    ],
)
def test_odd_values_become_samples_or_one_line(name: str) -> None:
    seed = random.Random(20261129)
    adapter = protocol(name, *(["scorer=exact_match"] if "nextqa_oe" in name else [])).adapter
    row = CASES[name]
    mutants = [
        {**row, column: value} for column in row for value in ODD_VALUES if row[column] != value
    ]
    mutants += [{key: row[key] for key in row if key != column} for column in row]
    mutants += [
        {**row, **{column: seed.choice(ODD_VALUES) for column in seed.sample(list(row), 2)}}
        for _ in range(100)
    ]
    messages = []
    for mutant in mutants:
        try:
            adapter(Row(0, mutant, "rows.jsonl"))
        except (LlavaEvalError, ValueError) as error:
            messages.append(str(error))
    assert 0 < len(messages) < len(mutants)
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_damaged_files_are_rows_or_one_line(tmp_path: Path, suffix: str) -> None:
    seed = random.Random(7)
    frame = pd.DataFrame(
        [{"id": str(n), "options": ["x", "y"], "image": {"bytes": b"\x89PNG"}} for n in range(20)]
    )
    stream = io.BytesIO()
    if suffix == ".parquet":
        frame.to_parquet(stream)
    elif suffix in (".csv", ".tsv"):
        frame.to_csv(stream, index=False, sep="," if suffix == ".csv" else "\t")
    else:
        text = frame.drop(columns="image").to_json(orient="records", lines=suffix == ".jsonl")
        stream.write(str(text).encode())
    content = stream.getvalue()
    path = tmp_path / f"rows{suffix}"
    messages = []
    for _ in range(40):
        damaged = bytearray(content)
        for _ in range(seed.choice([1, 1, 3])):
            damaged[seed.randrange(len(damaged))] = seed.randrange(256)
        if seed.random() < 0.3:
            del damaged[seed.randrange(len(damaged)) :]
        path.write_bytes(bytes(damaged))
        try:
            read_rows(str(path))
        except RowsError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_deep_rows_are_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("[" * 100_000)
    with pytest.raises(RowsError, match="levels of lists and objects"):
        read_rows(str(path))


def test_a_name_with_a_dot_is_a_column_as_flattened_json_has_them() -> None:
    row = Row(3, {"q.text": "Who?", "q": {"text": "no", "n": ["7"]}}, "rows.jsonl")
    assert row.text("{q.text} {q[n][0]} {row_number}") == "Who? 7 3"
    numbered = Row(3, {"row_number": "12"}, "rows.jsonl")
    assert numbered.text("{row_number}") == "12"  # a column of its own
    with pytest.raises(RowsError, match=r"there is no column 'a'; columns: q\.text, q"):
        row.text("{a.text}")


def test_a_column_with_a_blank_at_its_end_is_told_as_it_is_written() -> None:
    row = Row(0, {"id": "1", "Task Type ": "colour"}, "rows.csv")
    with pytest.raises(RowsError, match=r"no column 'Task Type' \(did you mean 'Task Type '\?\)"):
        row.column("Task Type")


@pytest.mark.parametrize("value", [b"what?", memoryview(b"what?")])
def test_bytes_are_no_text(value: object) -> None:
    row = Row(3, {"question": value}, "rows.parquet")
    message = "row 3: column 'question' should hold a text, got bytes"
    with pytest.raises(RowsError, match=message):
        row.text("{question}")
    with pytest.raises(RowsError, match=message):
        row.level("question")
    assert row.text("{question}", question="Why?") == "Why?"
    deep = Row(3, {"question": [value], "of": {"a": value}}, "rows.parquet")
    for read in (deep.items, deep.answers):
        with pytest.raises(RowsError, match=message):
            read("question")
    with pytest.raises(RowsError, match=r"column 'of\[a\]' should hold a text, got bytes"):
        deep.text("{of[a]}")
