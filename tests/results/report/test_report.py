"""The report's file: its parts, its size, its pictures, and what it must not hold."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from llava_eval import cli
from llava_eval.commands.results import _read_frames
from llava_eval.results.compare.sweep_curves import sweeps_of
from llava_eval.results.report.overview import Overview, results_table
from llava_eval.results.report.panels import heat_map, section
from llava_eval.results.report.protocol import protocol_card
from llava_eval.results.report.samples import SampleSet, index_of, state_of
from llava_eval.results.report.thumbnails import (
    FrameRequest,
    PictureBudget,
    make_thumbnails,
    spread,
)
from llava_eval.results.run_names import run_names
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import SampleResult, Score
from tests.conftest import DEMO
from tests.results.runs_on_disk import ACCURACY, answered, equal_models, failed, write_run


def parts_of(page: str) -> dict[str, Any]:
    """Return the packed parts of a page by their id."""
    found = re.findall(r'<script type="(\S+)" id="(\S+)">(.*?)</script>', page)
    return {
        name: json.loads(gzip.decompress(base64.b64decode(text)))
        if kind == "text/plain"
        else json.loads(text)
        for kind, name, text in found
    }


def test_every_sample_is_in_the_page(tmp_path: Path) -> None:
    first, second = equal_models(2, num_videos=200)
    write_run(tmp_path / "a", first)
    write_run(tmp_path / "b", second[10:])
    out = tmp_path / "deep" / "report.html"
    command = ["report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out)]
    assert cli.run_command(command) == 0
    parts = parts_of(out.read_text())
    index = parts["index-0"]
    assert index["ids"] == [one.id for one in first]
    assert index["states"][0] == "".join(map(state_of, first))
    assert index["states"][1].startswith("m" * 10)
    chunks = [parts[f"chunk-0-{number}"] for number in range(3)]
    assert [len(chunk) for chunk in chunks] == [250, 250, 100]
    sample = chunks[1][0]
    assert sample["prompt"] == first[250].prompt
    assert sample["runs"][0]["text"] == first[250].generation.text
    assert sample["runs"][1]["answer"] == second[250].score.answer


def test_of_errors_none_is_right_and_less_is_better(tmp_path: Path) -> None:
    errors = {"wer": {**ACCURACY["accuracy"], "scale": -1.0, "unit": "words"}}
    values = (0.0, 0.25, 3.0)
    results = [answered(n, True, score=Score(v, "A")) for n, v in enumerate(values)]
    run = RunReader().read(write_run(tmp_path / "run", results, metrics=errors))
    index = index_of(SampleSet.of([run]), {})
    assert index["states"] == ["rpp"]
    assert index["values"] == [[0.0, -0.25, -3.0]]


@pytest.mark.slow
def test_3000_samples_of_two_runs_are_small(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(500)]

    def text(length: int) -> str:
        return " ".join(random.choice(words, length))

    results = [
        answered(
            n,
            n % 3 > 0,
            question=text(12),
            prompt=text(80),
            choices=tuple(text(6) for _ in range(4)),
            frame_indices=(tuple(int(i) for i in np.sort(random.integers(0, 50_000, 32))),),
        )
        for n in range(3000)
    ]
    paths = [str(write_run(tmp_path / name, results)) for name in ("a", "b")]
    out = tmp_path / "report.html"
    assert cli.run_command(["report", *paths, "--out", str(out)]) == 0
    assert out.stat().st_size < 5_000_000


def test_the_table_of_many_runs_has_counts_and_the_model_s_seconds(tmp_path: Path) -> None:
    results = [answered(0, True), answered(1, None), failed(2), answered(3, False)]
    first = write_run(tmp_path / "a", results, seconds=8.0, config={"errors.max": 1})
    unknown = write_run(tmp_path / "b", results, manifest={"sessions": []})
    table = results_table([RunReader().read(path) for path in (first, unknown)])
    assert table.header[-4:] == ["samples", "unreadable", "failed", "s/sample"]
    assert [row[-4:] for row in table.rows] == [["4", "1", "1", "2"], ["4", "1", "1", "-"]]


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [answered(n, True) for n in range(6)])
    out = tmp_path / "report.html"
    assert cli.run_command(["report", str(tmp_path / "a"), "--out", str(out)]) == 0
    page = out.read_text()
    assert "default-src 'none'" in page
    outside = re.findall(r"""(?:src|href)=["']?(?!#|data:)([^"' >]+)""", page)
    assert outside == []
    urls = {url for url in re.findall(r"https?://[^\s\"'<]+", page)}
    assert urls <= {"http://www.w3.org/2000/svg"}
    again = tmp_path / "again.html"
    cli.run_command(["report", str(tmp_path / "a"), "--out", str(again)])
    assert again.read_text() == page, "the same runs make the same page"


@pytest.mark.slow
def test_several_benchmarks_and_a_sweep(tmp_path: Path) -> None:
    results = [answered(n, n % 2 == 0) for n in range(30)]
    for frames in (2, 4, 8, 16, 32):
        side = [
            answered(n, n % 32 < frames, frame_indices=(tuple(range(frames)),)) for n in range(60)
        ]
        config = {"sampler.num_frames": frames}
        write_run(tmp_path / "sweep" / str(frames), side, config=config, seconds=float(frames))
    write_run(tmp_path / "other", results, benchmark="other/set")
    out = tmp_path / "report.html"
    command = ["report", str(tmp_path / "sweep"), str(tmp_path / "other"), "--out", str(out)]
    assert cli.run_command([*command, "--export", str(tmp_path / "files")]) == 0
    page = out.read_text()
    for part in (
        'id="set-0"', 'id="set-1"', "score against frames", "score against time", "to best",
        "other/set", "made/up", 'id="index-1"',
    ):  # fmt: skip
        assert part in page
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert {
        "made_up.md", "made_up_results.csv", "made_up_results.tex", "made_up_by_duration.csv",
        "made_up_score_against_frames.svg", "made_up_score_against_frames.png", "other_set.md",
    } <= names  # fmt: skip


def test_runs_that_cannot_be_compared_are_shown_with_a_note(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [answered(0, True), answered(1, True)])
    write_run(tmp_path / "b", [answered(5, True)], manifest={"status": "interrupted"})
    out = tmp_path / "report.html"
    assert cli.run_command(["report", str(tmp_path), "--out", str(out)]) == 0
    page = out.read_text()
    assert "have no sample in common" in page
    assert "is not finished (status &#x27;interrupted&#x27;)" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report"], "PATH"),
        (["report", "a"], "--out"),
        (["report", "nothing", "--out", "x.html"], "there is no folder nothing"),
        (["report", "empty", "--out", "x.html"], "empty holds no run"),
        (["report", "a", "--out", "x.html", "--thumbnails-mb", "-1"], "at least 0"),
        (["report", "a", "--out", "x.html", "--thumbnails-mb", "much"], "--thumbnails-mb"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a", [answered(0, True)])
    (tmp_path / "empty").mkdir()
    assert cli.run_command(arguments) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert words in line
    assert not (tmp_path / "x.html").exists()


def test_a_run_that_ended_before_its_first_sample_has_a_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", [], manifest={"status": "running"})
    assert cli.run_command(["report", str(run), "--out", str(tmp_path / "x.html")]) == 0
    assert "is not finished" in (tmp_path / "x.html").read_text()


def test_an_index_knows_graded_scores(tmp_path: Path) -> None:
    results = [answered(n, True, score=Score(n / 4, "x")) for n in range(6)]
    run = RunReader().read(write_run(tmp_path / "run", results))
    index = index_of(SampleSet.of([run]), {})
    assert index["states"] == ["wppprr"]
    assert index["values"] == [[0.0, 0.25, 0.5, 0.75, 1.0, 1.25]]
    plain = RunReader().read(write_run(tmp_path / "plain", [answered(0, True), failed(1)]))
    index = index_of(SampleSet.of([plain]), {})
    assert (index["states"], index["values"]) == (["re"], None)


# Pictures


def set_of(tmp_path: Path, states: Sequence[bool | None]) -> SampleSet:
    videos = sorted(path.name for path in (DEMO / "videos").iterdir())
    results = [
        answered(n, right, media=(videos[n],), frame_indices=((0, 4, 8, 12),))
        for n, right in enumerate(states)
    ]
    root = {"benchmark.media_root": str(DEMO / "videos")}
    return SampleSet.of([RunReader().read(write_run(tmp_path / "run", results, config=root))])


class Frames:
    """Reads grey frames, and remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: list[FrameRequest] = []

    def __call__(self, requests: Sequence[FrameRequest]) -> Generator[Any, None, None]:
        for request in requests:
            self.asked.append(request)
            yield np.full((len(request.frame_indices), 180, 320, 3), 128, np.uint8)


def budget(num_bytes: int = 10**7, seconds: float = 60.0) -> PictureBudget:
    return PictureBudget(num_bytes, seconds)


def test_what_went_wrong_has_pictures_first(tmp_path: Path) -> None:
    samples = set_of(tmp_path, [True, False, None, True])
    frames = Frames()
    left = budget()
    found = make_thumbnails(samples, frames, left)
    assert list(found.by_sample) == ["q1", "q2", "q0", "q3"]
    assert (len(found.strips), found.num_wanted, found.stopped) == (4, 4, "")
    assert [Path(one.path).name for one in frames.asked][:2] == ["demo_002.mp4", "demo_003.mp4"]
    jpeg = Image.open(io.BytesIO(base64.b64decode(found.strips[0][0][2])))
    assert (jpeg.format, jpeg.size) == ("JPEG", (192, 108))
    sizes = [len(picture) + 20 for strip in found.strips for _, _, picture in strip]
    assert left.num_bytes == 10**7 - sum(sizes)


def test_a_judged_answer_of_few_points_is_not_right(tmp_path: Path) -> None:
    """Of 0 to 5, 5 is right, and what is less has its pictures first."""
    videos = sorted(path.name for path in (DEMO / "videos").iterdir())
    results = [
        answered(n, True, media=(videos[n],), frame_indices=((0, 4),), score=Score(points, "x"))
        for n, points in enumerate((5.0, 1.0, 5.0, 2.0))
    ]
    node = {**ACCURACY["accuracy"], "scale": 1.0, "unit": "0-5"}
    root = {"benchmark.media_root": str(DEMO / "videos")}
    path = write_run(tmp_path / "run", results, metrics={"score": node}, config=root)
    samples = SampleSet.of([RunReader().read(path)])
    found = make_thumbnails(samples, Frames(), budget())
    assert list(found.by_sample) == ["q1", "q3", "q0", "q2"]


def test_pictures_stop_at_their_limits(tmp_path: Path) -> None:
    samples = set_of(tmp_path, [True, False, None, True])
    frames = Frames()
    found = make_thumbnails(samples, frames, budget(num_bytes=1000))
    assert (len(found.strips), found.stopped) == (1, "size")
    assert len(frames.asked) == 1
    found = make_thumbnails(samples, Frames(), budget(seconds=0.0))
    assert (len(found.strips), found.stopped) == (0, "time")
    found = make_thumbnails(samples, Frames(), budget(num_bytes=0))
    assert (len(found.strips), found.stopped) == (0, "size")


@pytest.mark.parametrize(("adapter", "size"), [({}, (20, 40)), ({"upright": False}, (40, 20))])
def test_a_picture_of_an_image_is_turned_as_the_model_saw_it(
    tmp_path: Path, adapter: dict[str, bool], size: tuple[int, int]
) -> None:
    """A telephone's photograph of 40 by 20 pixels, whose EXIF data say that it stands upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "photo.jpg", exif=exif)
    config = {"benchmark.media_root": str(tmp_path), "benchmark.adapter": adapter}
    result = answered(0, True, media=("photo.jpg",), frame_indices=((0,),))
    run = RunReader().read(write_run(tmp_path / "run", [result], config=config))
    found = make_thumbnails(SampleSet.of([run]), _read_frames, budget())
    ((_, _, jpeg),) = found.strips[0]
    assert Image.open(io.BytesIO(base64.b64decode(jpeg))).size == size


def test_missing_and_unreadable_videos_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    results = [
        answered(0, False, media=("nowhere.mp4",)),
        answered(1, False, media=("broken.mp4",)),
        answered(2, False, media=(str(DEMO / "videos" / "demo_001.mp4"),)),
        answered(3, False, media=("x" * 5000,)),
        answered(4, False, media=("nul\x00",)),
        answered(5, False, media=()),
        answered(6, False, media=("broken.mp4",), frame_indices=()),
        answered(
            7, False, media=(str(DEMO / "videos" / "demo_001.mp4"),), frame_indices=((9999,),)
        ),
    ]
    run = write_run(tmp_path / "run", results, config={"benchmark.media_root": str(tmp_path)})
    out = tmp_path / "report.html"
    assert cli.run_command(["report", str(run), "--out", str(out)]) == 0
    parts = parts_of(out.read_text())
    assert parts["index-0"]["thumbnails"] == {"2": 0}
    pictures = parts["strip-0"]
    assert [(medium, frame) for medium, frame, _ in pictures] == [(0, 0), (0, 5), (0, 9)]


def test_pictures_can_be_left_out(tmp_path: Path) -> None:
    run = set_of(tmp_path, [False] * 3).runs[0]
    out = tmp_path / "report.html"
    command = ["report", run.name, "--out", str(out), "--thumbnails-mb", "0"]
    assert cli.run_command(command) == 0
    page = out.read_text()
    assert "strip-0" not in page
    assert "--thumbnails-mb allows more" in page


def test_pictures_may_take_any_size(tmp_path: Path) -> None:
    run = set_of(tmp_path, [True] * 3).runs[0]
    command = ["report", run.name, "--out", str(tmp_path / "report.html"), "--thumbnails-mb", "inf"]
    assert cli.run_command(command) == 0


def test_frames_are_spread_over_all_that_were_shown() -> None:
    assert spread((3, 1, 4)) == (3, 1, 4)
    assert spread((5, 5, 5)) == (5,)
    assert spread(tuple(range(32))) == (0, 4, 9, 13, 18, 22, 27, 31)


# Colours


def test_texts_stand_out_from_their_ground() -> None:
    """Every pair of text and ground has the contrast of 4.5 that WCAG AA asks for."""
    from importlib.resources import files

    style = (files("llava_eval.results.report") / "assets" / "page.css").read_text()
    grounds = {
        "ink": ("ground", "surface", "sunken", "selected"),
        "muted": ("ground", "surface", "sunken", "selected"),
        "accent": ("surface",),
        "on-accent": ("accent",),
        **{name: (f"{name}-ground",) for name in ("right", "wrong", "unreadable", "failed")},
    }
    for start in (":root {", ':root[data-theme="dark"] {'):
        block = style.partition(start)[2].partition("}")[0]
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for text, behind in grounds.items():
            for ground in behind:
                assert contrast(colours[text], colours[ground]) >= 4.5, (start, text, ground)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# The numbers


def reader_of(tmp_path: Path) -> Callable[..., Run]:
    reader, numbers = RunReader(), itertools.count()

    def read(side: Sequence[SampleResult], **changes: Any) -> Run:
        return reader.read(write_run(tmp_path / f"run{next(numbers)}", side, **changes))

    return read


def test_runs_are_named_by_what_differs(tmp_path: Path) -> None:
    read, results = reader_of(tmp_path), [answered(0, True)]
    frames = [read(results, config={"sampler.num_frames": number}) for number in (8, 16)]
    assert run_names(frames) == ["8 frames", "16 frames"]
    nf4 = {"sampler.num_frames": 16, "quantization.name": "bnb_nf4"}
    model = {"model_label": "hub/other (quantization=bnb_nf4)"}
    other = read(results, config=nf4, manifest=model)
    assert run_names([frames[1], other]) == ["made · quantization=none", "other · bnb_nf4"]
    assert run_names([frames[0], frames[0]]) == ["made · run0", "made · run0"]


def test_the_protocol_says_prompt_frames_rule_and_denominator(tmp_path: Path) -> None:
    read = reader_of(tmp_path)
    config = {
        "benchmark.adapter.prompt": "{question}\n<b>Answer</b>",
        "benchmark.metrics": {"accuracy": {**ACCURACY["accuracy"], "denominator": "all"}},
        "errors.max": 1,
    }
    runs = [
        read([answered(0, True), failed(1)], config={**config, "sampler.num_frames": number})
        for number in (4, 8)
    ]
    card = protocol_card(runs)
    for part in (
        "<pre>{question}<br>&lt;b&gt;Answer&lt;/b&gt;</pre>",
        "<b>A</b> <span>4 frames, linspace_to_last_frame</span>",
        "<b>B</b> <span>8 frames, linspace_to_last_frame</span>",
        "An answer counts where it can be read in one way only; an unreadable reply is wrong.",
        "accuracy: 1 of 2, all answered samples, one without a score as 0",
    ):
        assert part in card


def test_stars_count_the_comparisons_of_their_table(tmp_path: Path) -> None:
    read = reader_of(tmp_path)
    sides = [[answered(n, n % 6 >= misses) for n in range(180)] for misses in (0, 0, 5)]
    overview = Overview.of([read(side) for side in sides])
    page = "".join(section(0, "title", overview))
    assert "Holm&#x27;s correction for the 4 comparisons of this table" in page
    assert "Holm is p corrected for the 2 runs compared with A" in page
    assert len(re.findall(r"<td>33\.3\* .*?<small>p &lt;0\.0001</small></td>", page)) == 1
    assert "#set=0&amp;by.duration=short" in page


def test_a_sweep_has_a_heat_map(tmp_path: Path) -> None:
    read = reader_of(tmp_path)
    runs = [
        read(
            [answered(n, n % 10 < share) for n in range(60)],
            config={"sampler.num_frames": frames, "quantization.name": method},
        )
        for (frames, method), share in {
            (16, "none"): 9, (4, "none"): 5, (4, "bnb_nf4"): 4, (16, "bnb_nf4"): 8,
        }.items()
    ]  # fmt: skip
    (sweep,) = sweeps_of(runs)
    html = heat_map(sweep)
    assert html is not None
    assert re.findall(r"<th\b[^>]*>([^<]*)", html) == [
        "quantization", "4 frames", "16 frames", "none", "bnb_nf4",
    ]  # fmt: skip
    cells = re.findall(r'<td class="heat-(\d)( best)?">([\d.]+)', html)
    assert cells == [
        ("2", "", "50.0"),
        ("9", " best", "90.0"),
        ("0", "", "40.0"),
        ("8", "", "80.0"),
    ]
    (sweep,) = sweeps_of(runs[:1])
    assert heat_map(sweep) is None


def test_a_heat_map_of_equal_scores_has_one_shade(tmp_path: Path) -> None:
    read = reader_of(tmp_path)
    grid = [(4, "none"), (8, "none"), (4, "bnb_nf4"), (8, "bnb_nf4")]
    runs = [
        read(
            [answered(n, n % 2 > 0) for n in range(60)],
            config={"sampler.num_frames": frames, "quantization.name": method},
        )
        for frames, method in grid
    ]
    (sweep,) = sweeps_of(runs)
    assert re.findall(r'<td class="heat-(\d)', heat_map(sweep) or "") == ["0"] * 4
    (sweep,) = sweeps_of(runs[:3])
    html = heat_map(sweep) or ""
    assert re.findall(r"<td[^>]*>(-|50)", html) == ["50", "50", "50", "-"]
    for few in (runs[:2], runs[::2], [runs[0], runs[3]]):
        (sweep,) = sweeps_of(few)
        assert heat_map(sweep) is None, "a row, a column, a diagonal"
