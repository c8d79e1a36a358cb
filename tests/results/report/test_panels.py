"""The numbers of a page: cards, tables with drawings, what leads to which samples."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import llava_eval
from llava_eval.results.columns import value_with_interval
from llava_eval.results.report.overview import (
    Overview,
    export_report,
    facet_table,
    metrics_by_facet,
    results_table,
)
from llava_eval.results.report.page import Part, page
from llava_eval.results.report.panels import section
from llava_eval.results.report.protocol import protocol_card
from llava_eval.results.report.samples import SampleSet, chunks_of, index_of
from llava_eval.results.report.thumbnails import PictureBudget, Thumbnails
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import (
    Generation,
    MediaInput,
    MediaProblem,
    MetricValue,
    SampleResult,
    Score,
)
from tests.results.report.test_report import parts_of
from tests.results.runs_on_disk import ACCURACY, answered, failed, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two runs of 24 questions on 8 videos: 18 and 12 right, all that differ of long ones."""
    folder = tmp_path_factory.mktemp("panels")
    first = [answered(number, number % 4 > 0) for number in range(24)]
    second = [answered(number, number % 2 > 0 if number else None) for number in range(24)]
    changed = {"errors.max": 1, "sampler.num_frames": 8}
    paths = [
        write_run(folder / "a", first),
        write_run(folder / "b", [*second, failed(24)], config=changed),
    ]
    return [RunReader().read(path) for path in paths]


def html_of(runs: Sequence[Run], number: int = 3, title: str = "A & B") -> str:
    return "".join(section(number, title, Overview.of(runs)))


def panel(html: str, title: str) -> str:
    """Return the content of a panel of a page."""
    found = re.search(rf"<h3>{re.escape(title)}</h3>(.*?)</section>", html, re.DOTALL)
    assert found is not None, title
    return found[1]


def titles(html: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", html)


def test_a_card_counts_what_became_of_samples(runs: list[Run]) -> None:
    html = html_of(runs)
    assert html.startswith('<section class="set" id="set-3" aria-labelledby="set-3-title">\n')
    assert '<h2 id="set-3-title">A &amp; B</h2>' in html
    first, second = re.findall(r"<article.*?</article>", html)
    counts = [re.findall(r"<span>(.*?)</span>", card) for card in (first, second)]

    def link(run: str, word: str, text: str) -> str:
        return f'<a href="#set=3&amp;run={run}&amp;show={word}">{text}</a>'

    assert counts[0][1:] == [
        "24 samples",
        link("A", "wrong", "6 wrong"),
        "0 unreadable",
        "0 failed",
        link("A", "right", "18 right"),
        "2.4 samples/s",
    ]
    assert counts[1][1:] == [
        "25 samples",
        link("B", "wrong", "11 wrong"),
        link("B", "unreadable", "1 unreadable"),
        link("B", "failed", "1 failed"),
        link("B", "right", "12 right"),
        "2.5 samples/s",
    ]
    assert '<span class="letter s0">A</span><strong>3 frames</strong>' in first
    assert '<div class="big">75.0<small>% accuracy</small></div>' in first
    assert '<div class="big">50.0<small>% accuracy</small></div>' in second
    assert re.findall(r'<div class="path">(.*?)</div>', second) == [
        f"made<br>made/up<br>{runs[1].name}"
    ]


def test_what_is_told_stands_in_one_order(runs: list[Run]) -> None:
    html = html_of(runs)
    assert titles(html) == [
        "Protocol",
        "Note",
        "Differences",
        "accuracy by duration",
        "Agreement",
        "What tells the runs apart",
        "What differs between the runs",
        "What must be known of the samples",
        "Cost",
    ]
    assert "<li>1 sample only in B, not compared: q24</li>" in html
    assert re.findall(r'<ul class="panel verdicts"><li>(.*?) \(', html) == [
        "accuracy is lower in B than in A, by 25.0"
    ]
    assert "num_frames" in panel(html, "What differs between the runs")
    assert '<div class="curves">' not in html, "two points make no curve"
    alone = html_of(runs[:1])
    assert titles(alone) == ["Protocol", "accuracy by duration", "Cost"]
    assert "after Holm" not in alone


def test_texts_that_were_only_scored_cost_nothing(tmp_path: Path) -> None:
    scored = answered(0, True, generation=Generation("A", None, None, None))
    path = write_run(tmp_path / "run", [scored], manifest={"sessions": [], "model": {}})
    run = RunReader().read(path)
    assert titles(html_of([run])) == ["Protocol", "accuracy by duration"]


def test_a_cell_without_a_name_is_no_header(tmp_path: Path) -> None:
    paths = [
        write_run(
            tmp_path / str(probe),
            [answered(n, n % every > 0) for n in range(12)],
            config={"benchmark.probe": probe},
        )
        for probe, every in ((None, 4), ("blind", 2))
    ]
    html = panel(html_of([RunReader().read(path) for path in paths]), "What answers rest on")
    assert '<th scope="col" class="name">run</th>' in html
    assert '<tr><td></td><th scope="row">chance</th>' in html, "which is no run's"


def test_a_level_has_a_dot_and_an_interval_for_each_run(runs: list[Run]) -> None:
    content = panel(html_of(runs), "accuracy by duration")
    assert '<th scope="col" class="name plot">0 to 100</th>' in content
    long, short = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", content)
    assert '<a href="#set=3&amp;by.duration=long">long</a><small>12 samples</small>' in long
    # 98 pixels from 6 on are 0 to 100: A has half of the long ones, B none; chance is 25.
    dots = [re.findall(r'cx="([\d.]+)" cy="(\d+)"', row) for row in (long, short)]
    assert dots == [[("55.0", "7"), ("6.0", "19")], [("104.0", "7"), ("104.0", "19")]]
    assert '<polyline class="muted dashed" points="30.5,0 30.5,26"' in long
    assert '<polyline class="grid" points="6.0,13 104.0,13"' in long
    assert 'width="110" height="26" viewBox="0 0 110 26"' in long
    values = [re.findall(r"<td>([\d.]+) <small>", row) for row in (long, short)]
    assert values == [["50.0", "0.0"], ["100.0", "100.0"]]
    assert "for the 2 comparisons of this table" in html_of(runs)


def test_axes_of_other_units_hold_all_values(tmp_path: Path) -> None:
    """Scores 0 to 5 of a judge: the axis ends at the largest upper bound, not at 100."""
    node = {**ACCURACY["accuracy"], "scale": 1.0, "unit": "0-5"}
    sides = [
        [answered(n, True, score=Score(float(value), "x")) for n in range(12)] for value in (4, 2)
    ]
    runs = [
        RunReader().read(write_run(tmp_path / str(n), side, metrics={"score": node}))
        for n, side in enumerate(sides)
    ]
    html = html_of(runs)
    content = panel(html, "score by duration")
    ((low, high),) = re.findall(r'plot">([\d.-]+) to ([\d.]+)</th>', content)
    bounds = [
        value.ci_high
        for run in runs
        for values in run.tables.groups["duration"].values()
        for value in values.values()
    ]
    assert low == "0"
    assert float(high) == pytest.approx(max(filter(None, bounds)), rel=1e-2)
    expected = [f"{6 + 98 * value / float(high):.1f}" for value in (4, 2)]
    assert re.findall(r'cx="([\d.]+)"', content)[:2] == expected
    assert '<div class="big">4.00<small>0-5 score</small></div>' in html
    assert "muted dashed" not in content, "no level of chance is known"


def test_an_axis_of_negative_values_ends_at_0(tmp_path: Path) -> None:
    """Errors of which less is better, so close together that three digits are the same."""
    node = {**ACCURACY["accuracy"], "scale": -1.0, "unit": "ms"}
    levels = [answered(n, True, score=Score(250.1 + n / 100, "x")) for n in range(12)]
    runs = [
        RunReader().read(write_run(tmp_path / str(n), levels, metrics={"error": node}))
        for n in range(2)
    ]
    content = panel(html_of(runs), "error by duration")
    assert re.findall(r'plot">([\d.-]+) to ([\d.]+)</th>', content) == [("-250", "0")]
    assert set(re.findall(r'cx="([\d.]+)"', content)) == {"6.0"}


def test_many_runs_are_a_table_of_runs(tmp_path: Path) -> None:
    read = RunReader().read
    runs = [
        read(
            write_run(
                tmp_path / str(frames),
                [answered(n, n % 10 < share) for n in range(60)],
                config={"sampler.num_frames": frames},
                seconds=6.0 * frames,
            )
        )
        for frames, share in ((2, 2), (4, 4), (8, 6), (16, 8), (32, 9))
    ]
    html = html_of(runs)
    assert "<article" not in html
    assert "Settings" not in titles(html)
    assert titles(html)[:3] == ["Protocol", "Runs", "accuracy by duration"]
    table = panel(html, "Runs")
    header = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', table)
    assert header[0] == "run"
    assert header[-3:] == ["samples", "unreadable", "failed"]
    assert header.index("p") == header.index("to best") + 1
    rows = re.findall(r"<tr>(<th scope=\"row\".*?)</tr>", table)
    assert [re.findall(r">([A-E])</th>", row) for row in rows] == [[x] for x in "ABCDE"]
    assert [re.findall(r"<td>([^<]*)</td>", row)[-3:] for row in rows] == [["60", "0", "0"]] * 5
    levels = panel(html, "accuracy by duration")
    assert re.findall(r'by\.duration=(\w+)">', levels) == ["long", "short"]
    assert re.findall(r'<th scope="row"[^>]*>([^<]*)</th>', levels) == [
        f"{letter} {frames} frames"
        for letter, frames in zip("ABCDE", (2, 4, 8, 16, 32), strict=True)
    ]  # fmt: skip
    # Of numbers that end in 0, 2, ..., 8 the first run has one of five right, the last all.
    shown = re.findall(r"<td>([\d.]+) <small>", levels)
    assert (shown[0], shown[-2]) == ("20.0", "100.0")
    assert '<div class="curves">' in html
    assert re.findall(r'<title id="(.*?)"', html) == ["chart-3-time-title"]
    cost = panel(html, "Cost")
    assert re.findall(r'<th scope="col"[^>]*>(.*?)</th>', cost)[:3] == [
        "run", "model (ms a sample)", "prefill (s)",
    ]  # fmt: skip
    assert re.findall(r"<td>([^<]*)</td>", cost)[:2] == ["200", "3.0"]


def test_levels_show_the_first_metric_that_they_have(tmp_path: Path) -> None:
    """POPE's headline, the mean over categories, is no number of one category."""
    metrics = {"mean_f1": ACCURACY["accuracy"], "f1": ACCURACY["accuracy"]}
    results = [answered(n, n % 3 > 0) for n in range(12)]
    path = write_run(tmp_path / "run", results, metrics=metrics)
    content = json.loads((path / "metrics.json").read_text())
    for values in content["groups"]["duration"].values():
        del values["mean_f1"]
    (path / "metrics.json").write_text(json.dumps(content))
    run = RunReader().read(path)
    assert "f1 by duration" in titles(html_of([run]))
    export_report(tmp_path / "out", [Overview.of([run])])
    table = (tmp_path / "out" / "made_up_by_duration.tex").read_text()
    assert len(re.findall(r"^(?:long|short) & 6 &", table, re.MULTILINE)) == 2


def test_the_best_of_each_column_is_marked(runs: list[Run], tmp_path: Path) -> None:
    table = results_table(runs)
    assert table.header[:4] == ["run", "model", "benchmark", "accuracy"]
    assert table.num_names == 3, "the others are numbers"
    assert [row[:3] for row in table.rows] == [["A", "made", "made/up"], ["B", "made", "made/up"]]
    assert list(table.best) == [(0, 3)]
    both: dict[str, dict[str, Any]] = {**ACCURACY, "half": {**ACCURACY["accuracy"], "scale": 50.0}}
    sides = [[answered(n, n % 3 >= wrong) for n in range(12)] for wrong in (1, 0)]
    two = [
        RunReader().read(write_run(tmp_path / str(n), side, metrics=both))
        for n, side in enumerate(sides)
    ]
    assert results_table(two).header[3:5] == ["accuracy", "half"]
    assert list(results_table(two).best) == [(1, 3), (1, 4)]
    levels = facet_table(runs, "duration", "accuracy")
    assert levels.header == ["duration", "samples", "A", "B"]
    assert [row[:2] for row in levels.rows] == [["long", "12"], ["short", "12"]]
    assert list(levels.best) == [(0, 2)], "of the long ones; the short ones tie"
    assert metrics_by_facet(runs) == {"duration": "accuracy"}
    only_short = [answered(n, True, facets={"duration": "short"}) for n in range(6)]
    short = RunReader().read(write_run(tmp_path / "short", only_short))
    missing = facet_table([short, runs[0]], "duration", "accuracy")
    assert [row[:3] for row in missing.rows] == [
        ["short", "6", missing.rows[0][2]],
        ["long", "12", "-"],
    ]
    assert missing.rows[0][3].endswith(", of 12"), "the samples of the first run are not its own"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (MetricValue.none(3, "percent"), "-"),
        (MetricValue(50.0, None, None, None, 3, "percent"), "50.0"),
        (MetricValue(50.0, 1.0, 48.0, 52.0, 3, "percent"), "50.0 (48.0 to 52.0)"),
        (MetricValue(3.14159, 1.0, 2.0, 4.0, 3, "0-5"), "3.14 (2.00 to 4.00)"),
    ],
)
def test_a_value_is_written_with_its_interval(value: MetricValue | None, text: str) -> None:
    assert value_with_interval(value) == text


# The protocol


def test_a_protocol_is_written_from_its_settings(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "benchmark.description": "videos",
        "benchmark.source": "hub://org/set",
        "benchmark.split": "test",
        "benchmark.system": "Be\nshort.",
        "benchmark.generation.temperature": 0.2,
        "benchmark.metrics": {"accuracy": {"_target_": "mine.metrics.gain"}},
        "sampler.offset": None,
        "sampler.edge": 0,
    }
    path = write_run(tmp_path / "a", [answered(0, True), answered(1, None)], config=config)
    run = RunReader().read(path)
    card = protocol_card([run])
    names = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", card)
    rows = dict(names)
    assert rows["data"] == "<span>videos, hub://org/set, test</span>"
    assert rows["prompt"] == "<pre>(of the first sample)<br>Which?<br>A. x<br>B. y</pre>"
    assert rows["system"] == "<pre>Be<br>short.</pre>"
    assert rows["frames"] == "<span>3 frames, linspace_to_last_frame, edge=0</span>"
    assert rows["generation"] == "<span>at most 16 tokens, temperature 0.2</span>"
    assert rows["denominator"] == "<span>accuracy: 2 of 2, as gain counts</span>"
    assert [name for name, _ in names] == [
        "data", "prompt", "system", "frames", "generation", "rule", "denominator",
    ]  # fmt: skip


# Samples


def test_a_protocol_of_another_tool_may_hold_anything(tmp_path: Path) -> None:
    strange = {
        "benchmark.generation.temperature": "hot",
        "benchmark.system": ["a", "b"],
        "benchmark.metrics": {"accuracy": {**ACCURACY["accuracy"], "denominator": ["all"]}},
    }
    run = RunReader().read(write_run(tmp_path / "run", [answered(0, True)], config=strange))
    card = protocol_card([run])
    for part in ("temperature hot", "[&#x27;a&#x27;, &#x27;b&#x27;]", "as mean_score counts"):
        assert part in card


@pytest.mark.parametrize("number", [1, 2, 5])
def test_an_unfinished_run_is_noted_once(tmp_path: Path, number: int) -> None:
    results = [answered(n, n % 2 == 0) for n in range(12)]
    ends = ["interrupted", *["finished"] * (number - 1)]
    runs = [
        RunReader().read(write_run(tmp_path / str(n), results, manifest={"status": end}))
        for n, end in enumerate(ends)
    ]
    (note,) = Overview.of(runs).notes
    assert note.endswith("is not finished (status 'interrupted')")


def test_details_of_a_sample_are_those_of_its_runs(tmp_path: Path) -> None:
    problem = MediaProblem("damaged", "a macroblock is missing")
    first = [
        answered(
            0,
            False,
            inputs=(MediaInput(problems=(problem,)),),
            generation=Generation("B", 7, 3, "length", option_losses=(0.5, 0.25)),
            score=Score(0.0, "B", details={"note": 1}),
            facets={"duration": "long", "other": "x"},
        ),
        answered(1, True, question="", prompt="  many \n words " + "x" * 200),
    ]
    second = [answered(0, True, prompt="Which one?", target=("A", "a"))]
    paths = [write_run(tmp_path / name, side) for name, side in (("a", first), ("b", second))]
    samples = SampleSet.of([RunReader().read(path) for path in paths])
    (chunk,) = chunks_of(samples)
    assert [item["group"] for item in chunk] == ["video 0", "video 0"]
    left, right = chunk[0]["runs"]
    assert left == {
        "text": "B", "error": None, "answer": "B", "value": 0.0, "input": 7, "output": 3,
        "stop": "length", "frames": ((0, 5, 9),), "flags": left["flags"],
        "problems": ["a macroblock is missing"],
        "details": {"note": 1}, "losses": (0.5, 0.25),
    }  # fmt: skip
    assert len(left["flags"]) == 2, "damaged, and cut at its limit"
    assert (right["prompt"], right["target"]) == ("Which one?", ("A", "a"))
    assert chunk[1]["runs"][1] is None
    index = index_of(samples, {"q1": 4})
    assert index["thumbnails"] == {"1": 4}
    assert index["facets"] == [{"name": "duration", "levels": ["long", "short"], "values": [0, 1]}]
    words = index["snippets"][1]
    assert (words[:13], len(words), words[-1]) == ("many words xx", 110, "…")
    assert index["snippets"][0] == "Which?"
    assert index["states"] == ["wr", "rm"]


def test_a_slow_model_answers_more_than_no_samples(tmp_path: Path) -> None:
    path = write_run(tmp_path / "slow", [answered(n, True) for n in range(24)], seconds=3000.0)
    run = RunReader().read(path)
    assert "<span>0.008 samples/s</span>" in "".join(section(0, "A", Overview.of([run])))


# The page


def part_of(run: Run, thumbnails: Thumbnails) -> Part:
    samples = SampleSet.of([run])
    return Part(Overview.of([run]), samples, thumbnails)


def test_a_page_of_two_benchmarks_numbers_their_parts(tmp_path: Path, runs: list[Run]) -> None:
    strips = [[(0, 5, "abcd")], [(0, 1, "<&>"), (1, 2, "z")]]
    other: Sequence[SampleResult] = [answered(n, True) for n in range(3)]
    second = RunReader().read(
        write_run(tmp_path / "x", other, benchmark="other/set", label="other/set (limit=3)")
    )
    parts = [
        part_of(runs[0], Thumbnails(strips[:1], {"q1": 0}, 4, "size")),
        part_of(second, Thumbnails(strips, {"q0": 1, "q2": 0}, 2)),
    ]
    text = page(parts)
    assert "<title>made/up and 1 more: llava-eval report</title>" in text
    assert '<a href="#set-0">made/up</a><a href="#set-1">other/set (limit=3)</a>' in text
    assert '<option value="0">made/up</option><option value="1">other/set (limit=3)' in text
    assert "<label>benchmark" in text
    assert "made/up: pictures of 1 of 4 sets of frames, what went wrong first; " in text
    assert "--thumbnails-mb allows more." in text
    assert "other/set (limit=3): pictures" not in text
    origin = f"{runs[0].name}: 2026-01-01T00:00:00+00:00, llava_eval 0.1.0, torch 2.15.0, commit "
    assert f"{origin}{'c' * 10}, " in text
    assert f"page by llava_eval {llava_eval.__version__}</footer>" in text
    data = parts_of(text)
    assert data["report"] == {
        "sets": [
            {"title": "made/up", "letters": ["A"], "names": ["made"]},
            {"title": "other/set (limit=3)", "letters": ["A"], "names": ["made"]},
        ]
    }
    # Strips are numbered over all benchmarks, and each index says its own.
    assert data["index-0"]["thumbnails"] == {"1": 0}
    assert data["index-1"]["thumbnails"] == {"0": 2, "2": 1}
    assert [data[f"strip-{n}"] for n in range(3)] == [
        [[0, 5, "abcd"]],
        [[0, 5, "abcd"]],
        [[0, 1, "<&>"], [1, 2, "z"]],
    ]
    assert '"<&>"' not in text
    alone = page(parts[:1])
    assert "<title>made/up: llava-eval report</title>" in alone
    assert "<label hidden>benchmark" in alone


def test_a_budget_ends_by_size_or_time() -> None:
    assert PictureBudget(1, 60.0).reached() == ""
    assert PictureBudget(0, 60.0).reached() == "size"
    assert PictureBudget(1, 0.0).reached() == "time"
    late = PictureBudget(1, 1e-9)
    late.start()
    assert late.reached() == "time"


def test_tables_and_curves_are_written_beside_a_page(tmp_path: Path, runs: list[Run]) -> None:
    written = export_report(tmp_path / "deep" / "out", [Overview.of(runs)])
    names = {path.name for path in written}
    assert names == {path.name for path in (tmp_path / "deep" / "out").iterdir()}
    parts = ("results", "by_duration", "differences", "agreement", "cost")
    assert names >= {f"made_up_{part}.tex" for part in parts}
    assert "made_up.md" in names
    text = (tmp_path / "deep" / "out" / "made_up.md").read_text()
    assert "- 1 sample only in B, not compared: q24" in text
    assert not [name for name in names if name.endswith(".svg")], "two points make no curve"


@pytest.mark.parametrize(("number", "has_pairs"), [(1, False), (2, True), (4, True), (5, False)])
def test_few_runs_are_compared_in_pairs(tmp_path: Path, number: int, has_pairs: bool) -> None:
    results = [answered(n, True) for n in range(6)]
    read = RunReader().read
    overview = Overview.of(
        [
            read(
                write_run(
                    tmp_path / str(n),
                    results,
                    config={"sampler.num_frames": n + 2},
                    seconds=float(n + 1),
                )
            )
            for n in range(number)
        ]
    )
    assert len(overview.comparisons) == (number - 1 if has_pairs else 0)
    assert (overview.sweep is not None) == (number > 1)
    assert len(overview.verdicts) == len(overview.comparisons)
    assert bool(overview.charts) == (number > 2)
    names = [name for name, _, _ in overview.tables()]
    assert ("Differences" in names, "Settings" in names) == (has_pairs, number == 5)


def test_what_explains_a_run_is_told_beside_it(tmp_path: Path) -> None:
    names = ("a", "b")
    paths = [write_run(tmp_path / name, [answered(n, True) for n in range(6)]) for name in names]
    parts = {
        "unit": "percent",
        "num_groups": 2,
        "changes": [{"name": "frame count", "difference": -3.0, "low": -5.0, "high": -1.0}],
        "not_explained": {"difference": 0.5, "low": -1.0, "high": 2.0},
        "whole": {"difference": -2.5, "low": -4.5, "high": -0.5},
    }
    (paths[1] / "explain.json").write_text(json.dumps({"against": "theirs", "parts": parts}))
    tables = Overview.of([RunReader().read(path) for path in paths]).tables()
    shown = {name: (table, about) for name, table, about in tables}
    assert "Why A differs" not in shown
    table, about = shown["Why B differs"]
    assert about == "From B to theirs, one difference switched at a time."
    assert table.rows[0] == ["from the frame count", "-3.0", "-5.0 to -1.0", "found"]
    assert [row[1:] for row in table.rows[1:]] == [
        ["+0.5", "-1.0 to +2.0", ""],
        ["-2.5", "-4.5 to -0.5", "found"],
    ]


def test_the_heat_map_of_a_sweep_stands_before_its_curves(tmp_path: Path) -> None:
    settings = [(frames, dtype) for frames in (2, 4) for dtype in ("float32", "bfloat16")]
    runs = [
        RunReader().read(
            write_run(
                tmp_path / f"{frames}_{dtype}",
                [answered(n, n % 10 < frames + len(dtype)) for n in range(60)],
                config={"sampler.num_frames": frames, "model.dtype": dtype},
                seconds=6.0 * frames + len(dtype),
            )
        )
        for frames, dtype in settings
    ]
    curves = html_of(runs).partition('<div class="curves">')[2].partition('<div class="tables">')[0]
    assert re.findall(r'<table class="heat">|<svg|<p class="muted">', curves)[:3] == [
        '<table class="heat">',
        '<p class="muted">',
        "<svg",
    ]
    assert curves.count("<svg") >= 1
    assert curves.rindex('<p class="muted">') > curves.rindex("<svg")


def test_a_level_says_of_how_many_samples_each_run_s_value_is(tmp_path: Path) -> None:
    sides = {
        "all": [answered(n, True) for n in range(12)],
        "some": [failed(n) if n < 2 else answered(n, True) for n in range(12)],
    }
    found = [
        RunReader().read(write_run(tmp_path / name, side, config={"errors.max": 9}))
        for name, side in sides.items()
    ]
    html = "".join(section(0, "made/up", Overview.of(found)))
    for name, level in found[1].tables.groups["duration"].items():
        count = level["accuracy"].num_samples
        assert count < 6
        assert f">{name}</a><small>6, {count} samples</small>" in html


def test_a_level_without_a_name_can_be_clicked(tmp_path: Path) -> None:
    results = [answered(n, True, facets={"duration": "" if n % 2 else "long"}) for n in range(6)]
    run = RunReader().read(write_run(tmp_path / "run", results))
    assert '<a href="#set=3&amp;by.duration=">(empty)</a><small>3 samples</small>' in html_of([run])
