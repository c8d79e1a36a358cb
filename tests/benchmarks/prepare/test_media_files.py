"""Which media files are there, before a model is loaded."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest

from llava_eval.benchmarks.prepare.media_files import (
    check_media_files,
    media_files,
    subtitle_files,
)
from llava_eval.benchmarks.subtitles import Subtitles
from llava_eval.borders.paths import local_path
from llava_eval.cli import run_command
from llava_eval.config.schema import BenchmarkConfig
from llava_eval.errors import ConfigError
from llava_eval.types import Media, Sample


def samples(folder: Path, num_present: int, num_missing: int) -> list[Sample]:
    made = []
    for number in range(num_present + num_missing):
        path = folder / f"{number}.mp4"
        if number < num_present:
            path.write_bytes(b"x")
        for question in ("a", "b"):
            content = (Media("video", str(path)), "Which?")
            made.append(Sample(f"{number}{question}", number, str(number), content, ("A",)))
    return made


def config(folder: Path | None) -> BenchmarkConfig:
    root = None if folder is None else str(folder)
    return BenchmarkConfig(name="mine/plain", media_root=root)


def test_each_file_is_looked_for_once(tmp_path: Path) -> None:
    asked = samples(tmp_path, 1, 1)
    address = Sample("c", 9, "c", (Media("video", "https://example.org/a.mp4"), "?"), ("A",))
    inline = Sample("d", 9, "d", (Media("image", "a row's image", data=b"x"), "?"), ("A",))
    assert [medium.name for medium in media_files([*asked, address, inline])] == [
        str(tmp_path / "0.mp4"),
        str(tmp_path / "1.mp4"),
    ]


def test_nothing_there_is_a_mistake_and_something_missing_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=r"none of the 3 media files of mine/plain"):
        check_media_files(samples(tmp_path, 0, 3), config(tmp_path))
    with pytest.raises(ConfigError, match=r"gone is no folder"):
        check_media_files(samples(tmp_path, 0, 3), config(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"media_root is not set, and none .* prepare benchmark="):
        check_media_files(samples(tmp_path, 0, 3), config(None))
    with caplog.at_level(logging.WARNING):
        check_media_files(samples(tmp_path, 3, 0), config(tmp_path))
        assert caplog.messages == []
        check_media_files(samples(tmp_path, 3, 2), config(tmp_path))
    (message,) = caplog.messages
    assert message.startswith("2 of the 5 media files that were looked for are missing")
    assert f"{tmp_path}/3.mp4" in message


def test_two_missing_files_are_errors_of_their_samples(tmp_path: Path) -> None:
    check_media_files(samples(tmp_path, 0, 2), config(tmp_path))


@pytest.mark.slow
def test_many_files_are_looked_for_in_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="none of the 801 "):
        check_media_files(samples(tmp_path, 0, 2402), config(tmp_path))


def test_not_one_subtitle_file_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []
    for sample in samples(tmp_path, 2, 0):
        (video, _), path = sample.content, tmp_path / f"{sample.group}.srt"
        assert isinstance(video, Media)
        said = Subtitles(video, str(path), "first_cue")
        asked.append(dataclasses.replace(sample, content=(video, said, "Which?")))
    assert subtitle_files(asked) == [str(tmp_path / "0.srt"), str(tmp_path / "1.srt")]
    with caplog.at_level(logging.WARNING):
        check_media_files(asked, config(tmp_path))
        (message,) = caplog.messages
        assert message.startswith("none of the 2 subtitle files that were looked for is there")
        caplog.clear()
        (tmp_path / "1.srt").write_text("")
        check_media_files(asked, config(tmp_path))
    assert caplog.messages == []


def test_images_that_are_shown_as_videos_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []
    for name in ("a.PNG", "b.mp4", "c.gif", "d.png"):
        (tmp_path / name).write_bytes(b"x")
        shown = Media("image" if name == "d.png" else "video", str(tmp_path / name))
        asked.append(Sample(name, 0, name, (shown, "?"), ("A",)))
    check_media_files(asked[1:], config(tmp_path))
    assert caplog.messages == []
    check_media_files(asked, config(tmp_path))
    (message,) = caplog.messages
    assert message.startswith("1 of the 3 files that are shown as videos are images by their names")
    assert f"{tmp_path}/a.PNG" in message


@pytest.mark.slow
def test_whose_benchmark_does_not_say_that_it_shows_images_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = local_path("package://easy_vqa/data/test/images")
    rows = [{"id": number, "image": f"{number}.png"} for number in range(3)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "benchmark/mine").mkdir(parents=True)
    (tmp_path / "benchmark/mine/plain.yaml").write_text(
        f"""
# @package _global_
benchmark:
  name: mine/plain
  source: {tmp_path / "rows.json"}
  media_root: {root}
  adapter:
    _target_: llava_eval.benchmarks.adapters.open_ended
    id: "{{id}}"
    group: "{{id}}"
    media: ["{{image}}"]
    question: What is this?
    answers: id
    prompt: "{{question}}"
  metrics:
    accuracy: {{_target_: llava_eval.metrics.means.mean_score}}
"""
    )
    assert run_command(["--config-dir", str(tmp_path), "--dry-run", "benchmark=mine/plain"]) == 0
    said = capsys.readouterr().err
    assert "3 of the 3 files that are shown as videos are images by their names" in said
    assert f"{root}/0.png: a video of one frame is another prompt than an image" in said
