"""Media that lie there anew since a run read them."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llava_eval.benchmarks.subtitles import Subtitles
from llava_eval.config.schema import RunnerConfig
from llava_eval.engine.replaced_media import replaced_samples
from llava_eval.results.manifest import Manifest, Session
from llava_eval.types import Generation, Media, MediaInput, Sample, SampleResult, VideoInfo
from llava_eval.video import read_media
from tests.conftest import DEMO

#: When the run of these tests began, and times before and after it.
START = 2_000_000_000.0
BEFORE, AFTER = START - 10, START + 10

VIDEOS = sorted(str(path) for path in (DEMO / "videos").glob("*.mp4"))[:2]


def first_and_last(info: VideoInfo) -> Sequence[int]:
    return (0, info.num_frames - 1)


class Case:
    """Two videos with two questions each, which a run has answered.

    Attributes:
        paths: of the videos.
        samples: by id.
        results: likewise.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = [folder / "a.mp4", folder / "b.mp4"]
        for source, path in zip(VIDEOS, self.paths, strict=True):
            shutil.copy(source, path)
            os.utime(path, (BEFORE, BEFORE))
        self.samples: dict[str, Sample] = {}
        self.results: dict[str, SampleResult] = {}
        for number in range(4):
            medium = Media("video", str(self.paths[number // 2]))
            sample = Sample(str(number), number, medium.path, (medium, "Why?"), ("A",))
            clip = read_media(medium, first_and_last)
            self.samples[sample.id] = sample
            read = MediaInput(clip.pts_seconds, clip.proof)
            self.results[sample.id] = dataclasses.replace(
                SampleResult.of(sample, Generation("A")),
                prompt="Why?",
                frame_indices=(clip.frame_indices,),
                inputs=(read,),
            )

    def replaced(self, started: str | None = "", *, moved: bool = False) -> set[str]:
        if started == "":
            started = datetime.fromtimestamp(START, UTC).isoformat()
        manifest = Manifest(sessions=(Session(started=started),))
        runner = RunnerConfig(decode_workers=1)
        return replaced_samples(
            self.samples, self.results, manifest, first_and_last, runner, moved=moved
        )


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    # the system's own time of a change cannot be set; here it is that of the last writing
    stat = Path.stat

    def same_times(path: Path, **options: bool) -> os.stat_result:
        status = stat(path, **options)
        values = [*status[:10]]
        values[9] = values[8]  # st_ctime, st_mtime
        return os.stat_result(values)

    monkeypatch.setattr(Path, "stat", same_times)
    return Case(tmp_path)


def replace(path: Path, other: str | Path) -> None:
    shutil.copy(other, path)
    os.utime(path, (AFTER, AFTER))


def test_nothing_was_replaced(case: Case) -> None:
    assert case.replaced() == set()


def test_another_video_is_named_and_its_questions_are_asked_anew(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    replace(case.paths[1], case.paths[0])
    with caplog.at_level(logging.WARNING):
        assert case.replaced() == {"2", "3"}
    assert caplog.messages == [
        f"{case.paths[1]}: replaced since the run read it; 2 finished samples are answered anew"
    ]


def test_the_same_video_copied_anew_is_no_other(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    replace(case.paths[1], VIDEOS[1])
    assert case.replaced() == set()
    assert caplog.messages == []


def test_what_was_written_before_the_run_was_read_by_it(case: Case) -> None:
    shutil.copy(case.paths[0], case.paths[1])
    os.utime(case.paths[1], (BEFORE, BEFORE))
    assert case.replaced() == set()


def test_of_media_that_lie_elsewhere_old_files_too_may_be_others(case: Case) -> None:
    shutil.copy(case.paths[0], case.paths[1])
    os.utime(case.paths[1], (BEFORE, BEFORE))
    assert case.replaced(moved=True) == {"2", "3"}
    case.paths[1].unlink()
    assert case.replaced(moved=True) == set()


@pytest.mark.parametrize("started", [None, "yesterday", "9999999-01-01"])
def test_a_run_that_does_not_say_when_it_began(started: str | None, case: Case) -> None:
    replace(case.paths[1], case.paths[0])
    assert case.replaced(started) == set()


def test_a_video_that_is_gone_was_not_replaced_but_a_damaged_one_was(case: Case) -> None:
    case.paths[0].unlink()
    assert case.replaced() == set()
    case.paths[1].write_bytes(b"no video")
    os.utime(case.paths[1], (AFTER, AFTER))
    assert case.replaced() == {"2", "3"}


def test_a_changed_file_of_which_the_ledger_says_nothing_may_be_another(case: Case) -> None:
    replace(case.paths[0], VIDEOS[0])
    assert case.replaced() == set()
    case.results["1"] = dataclasses.replace(case.results["1"], inputs=())
    assert case.replaced() == {"1"}
    seen = dataclasses.replace(case.results["0"].inputs[0], proof=None)
    case.results["0"] = dataclasses.replace(case.results["0"], inputs=(seen,))
    assert case.replaced() == {"0", "1"}


def test_frames_at_other_times_are_others(case: Case) -> None:
    replace(case.paths[0], VIDEOS[0])
    (seen,) = case.results["0"].inputs
    for seconds, replaced in ((1e-8, set()), (0.001, {"0"})):
        times = (seen.pts_seconds[0] + seconds, seen.pts_seconds[1])
        later = dataclasses.replace(seen, pts_seconds=times)
        case.results["0"] = dataclasses.replace(case.results["0"], inputs=(later,))
        assert case.replaced() == replaced


def test_media_at_addresses_and_in_memory_are_not_looked_at(case: Case) -> None:
    for medium in (Media("video", "http://here/a.mp4"), Media("image", "a row", data=b"x")):
        sample = dataclasses.replace(case.samples["0"], content=(medium, "Why?"))
        case.samples["0"] = sample
        assert case.replaced() == set()


def test_subtitles_that_say_something_else_ask_anew(
    tmp_path: Path, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    subtitles = tmp_path / "a.srt"
    medium = Media("video", str(case.paths[0]))
    content = (medium, Subtitles(medium, str(subtitles), "first_cue"), "Why?")
    case.samples["0"] = dataclasses.replace(case.samples["0"], content=content)
    case.results["0"] = dataclasses.replace(case.results["0"], prompt="It is red.\nWhy?")
    for text, time, replaced in (
        ("It is red.", BEFORE, set()),
        ("It is red.", AFTER, set()),
        ("It is blue.", BEFORE, set()),
        ("It is blue.", AFTER, {"0"}),
    ):
        subtitles.write_text(f"1\n00:00:00,000 --> 00:01:00,000\n{text}\n")
        os.utime(subtitles, (time, time))
        assert case.replaced() == replaced
    assert caplog.messages[-1].startswith(
        f"{subtitles}: replaced since the run read it; 1 finished"
    )


def test_of_many_videos_three_are_named(
    tmp_path: Path, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    names = []
    for number in range(5):
        path = tmp_path / f"{number}.mp4"
        shutil.copy(VIDEOS[0], path)
        replace(path, VIDEOS[1])
        medium = Media("video", str(path))
        name = f"new {number}"
        sample = dataclasses.replace(case.samples["0"], id=name, content=(medium, "Why?"))
        case.samples[name] = sample
        case.results[name] = dataclasses.replace(case.results["0"], id=name)
        names.append(name)
    assert case.replaced() == {*names}
    shown = ", ".join(str(tmp_path / f"{number}.mp4") for number in range(3))
    (message,) = caplog.messages
    assert message.startswith(f"{shown} and 2 more: replaced since the run read it; 5 finished")
