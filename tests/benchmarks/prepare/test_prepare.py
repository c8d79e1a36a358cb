"""``llava-eval prepare`` on local archives, and on a hub that runs on this machine."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import huggingface_hub.constants
import pytest
from PIL import Image

from llava_eval.benchmarks.prepare.prepare import (
    Readiness,
    fetch_files,
    prepare,
    readiness_text,
)
from llava_eval.config.compose import compose_config
from llava_eval.errors import ArchiveError, ConfigError
from tests.benchmarks.prepare import hub
from tests.conftest import read_lines, slow, write_lines


@pytest.fixture
def rows(demo: Path, tmp_path: Path) -> Path:
    """Six questions about two of the embedded videos."""
    return write_lines(tmp_path / "rows.jsonl", read_lines(demo / "multiple_choice.jsonl")[:6])


def videos(demo: Path, rows: Path) -> list[Path]:
    names = dict.fromkeys(f"{row['videoID']}.mp4" for row in read_lines(rows))
    return [demo / "videos" / name for name in names]


def zipped(files: list[Path]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    return stream.getvalue()


def run(rows: Path, root: Path, *overrides: str) -> Readiness:
    return prepare(
        compose_config(
            [
                "benchmark=demo/multiple_choice",
                f"benchmark.source={rows}",
                f"benchmark.media_root={root}",
                "benchmark.num_rows=6",
                *overrides,
            ]
        )
    )


def test_an_archive_in_the_media_folder(
    demo: Path, rows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "media"
    root.mkdir()
    (root / "videos_01.zip").write_bytes(zipped(videos(demo, rows)))
    (root / "further.7z").write_bytes(b"7z")
    ready = run(rows, root)
    told = [message for message in caplog.messages if "by hand" in message]
    assert [message.split(" is to be unpacked")[0] for message in told] == [f"{root}/further.7z"]
    assert ready.is_complete
    assert readiness_text(ready).endswith("\ncomplete")
    assert (ready.num_samples, ready.num_media, ready.missing, ready.damaged) == (6, 2, [], [])


@pytest.mark.slow
def test_a_clone_of_the_data_set_as_media_folder(
    demo: Path, rows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "a.zip").write_bytes(zipped(videos(demo, rows)))
    (tmp_path / "further.rar").write_bytes(b"Rar!")
    assert run(rows, tmp_path, "benchmark.prepare.archives=[video/*.zip]").is_complete
    assert f"{tmp_path}/further.rar is to be unpacked by hand" in caplog.text
    with pytest.raises(ConfigError, match="Non-relative patterns"):
        run(rows, tmp_path, "benchmark.prepare.archives=[/data/*.zip]")


def test_what_is_missing_and_what_is_damaged(demo: Path, rows: Path, tmp_path: Path) -> None:
    root = tmp_path / "media"
    root.mkdir()
    first, second = videos(demo, rows)
    (root / first.name).write_bytes(first.read_bytes()[:500])
    ready = run(rows, root)
    assert not ready.is_complete
    assert (ready.num_media, len(ready.missing), len(ready.damaged)) == (2, 1, 1)
    assert ready.missing == [str(root / second.name)]
    assert [path for path, _ in ready.damaged] == [str(root / first.name)]
    text = readiness_text(ready)
    assert f"missing: {root / second.name}" in text
    assert f"damaged: {root / first.name}" in text
    assert text.endswith("INCOMPLETE")


@pytest.mark.parametrize(
    ("there", "text", "reason"),
    [
        ("file", "  subtitles  2 of 2 present\n", ""),
        ("nothing", "  subtitles  1 of 2 present\n", ""),
        ("folder", "  subtitles  1 of 2 present\n", ""),
        ("circle", "  subtitles  1 of 2 present\n", "its links go round in a circle"),
        ("stale", "  subtitles  1 of 2 present\n", "no such file"),
    ],
)
def test_subtitles_that_may_not_be_opened_are_not_just_missing(
    demo: Path, rows: Path, tmp_path: Path, *, there: str, text: str, reason: str
) -> None:
    root = tmp_path / "media"
    root.mkdir()
    first, second = videos(demo, rows)
    for video in (first, second):
        (root / video.name).symlink_to(video)
    (root / f"{first.stem}.srt").write_text("1\n00:00:00,000 --> 00:01:00,000\nHello\n")
    other = root / f"{second.stem}.srt"
    if there == "file":
        other.write_text("1\n00:00:00,000 --> 00:01:00,000\nHello\n")
    elif there == "folder":
        other.mkdir()
    elif there != "nothing":
        other.symlink_to(other if there == "circle" else tmp_path / "gone.srt")
    adapter = ["+benchmark.adapter.subtitles='{videoID}.srt'"]
    adapter.append("+benchmark.adapter.subtitle_rule=first_cue")
    adapter.append("benchmark.adapter.prompt='{subtitles}{question}'")
    ready = run(rows, root, *adapter)
    said = readiness_text(ready)
    assert "  media      2 of 2 present, 2 open\n" in said
    assert text in said
    assert ready.is_complete is not bool(reason)
    assert (f"  damaged: {other}: {reason}\n" in said) is bool(reason)


def test_an_archive_that_is_a_link_to_nowhere_is_named(
    demo: Path, rows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Media may be unpacked already, so that it ends nothing."""
    root = tmp_path / "media"
    root.mkdir()
    for name in ("videos_01.zip", "other.mp4"):
        (root / name).symlink_to(tmp_path / "gone")
    ready = run(rows, root)
    assert len(ready.missing) == 2
    (told,) = [message for message in caplog.messages if "nowhere" in message]
    assert told == f"{root}/videos_01.zip is a link that leads nowhere: it is not unpacked"


@pytest.mark.slow
def test_counts_are_held_against_the_complete_set(demo: Path, rows: Path) -> None:
    root = demo / "videos"
    counts = "+benchmark.prepare.counts.duration"
    level = read_lines(rows)[0]["duration"]
    found = sum(row["duration"] == level for row in read_lines(rows))
    assert run(rows, root, f"{counts}={{{level}:{found}}}").counts[0][2:] == (found, found)
    short = run(rows, root, "benchmark.num_rows=7")
    assert not short.is_complete
    assert "6 of 7" in readiness_text(short)
    wrong = run(rows, root, f"{counts}={{{level}:{found + 1}}}")
    assert not wrong.is_complete
    part = run(rows, root, "benchmark.num_rows=7", "benchmark.limit=3")
    assert part.is_complete
    assert part.num_samples == 3


@pytest.mark.slow
def test_a_question_of_several_levels_is_counted_at_each(demo: Path, rows: Path) -> None:
    levels = ["see", ["see", "count"], "count", "old", ["see", "count"], "see"]
    kinds = [{**row, "kind": kind} for row, kind in zip(read_lines(rows), levels, strict=True)]
    write_lines(rows, kinds)
    counts = "+benchmark.prepare.counts.kind={see:4,count:3,old:1}"
    ready = run(rows, demo / "videos", "benchmark.facets=[kind]", counts)
    assert ready.counts == [("kind", "see", 4, 4), ("kind", "count", 3, 3), ("kind", "old", 1, 1)]
    assert ready.is_complete


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([], 7),
        slow(["benchmark.limit=3"], None),
        slow(["benchmark.where.duration={level}"], None),
        slow(["benchmark.subsample.size=2"], None),
    ],
)
def test_the_whole_set_alone_has_a_size(
    demo: Path, rows: Path, chosen: list[str], expected: int | None
) -> None:
    level = read_lines(rows)[0]["duration"]
    words = [text.format(level=level) for text in chosen]
    assert run(rows, demo / "videos", "benchmark.num_rows=7", *words).num_expected == expected


def test_a_zip_that_writes_outside_its_folder(rows: Path, tmp_path: Path) -> None:
    root = tmp_path / "deep" / "media"
    root.mkdir(parents=True)
    with zipfile.ZipFile(root / "v.zip", "w") as archive:
        archive.writestr("../../escaped.txt", "evil")
    with pytest.raises(ArchiveError, match="outside the target"):
        run(rows, root)
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.slow
def test_archives_need_a_folder(rows: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmark\.media_root is not set"):
        run(rows, Path("x"), "benchmark.media_root=null", "benchmark.prepare.archives=['*.zip']")


def command(tmp_path: Path, hub_url: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub_url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, "-m", "llava_eval.cli", "prepare", *overrides],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )


def of_a_hub(rows: Path, archives: str) -> list[str]:
    return [
        "benchmark=demo/multiple_choice",
        f"benchmark.source={rows}",
        "benchmark.media_root=media",
        "benchmark.prepare.repository=someone/videos",
        f"benchmark.prepare.archives=['{archives}']",
    ]


@pytest.mark.slow
def test_archives_are_fetched_from_a_hub_once(demo: Path, rows: Path, tmp_path: Path) -> None:
    overrides = [
        "benchmark=demo/multiple_choice",
        f"benchmark.source={rows}",
        "benchmark.media_root=media",
        "benchmark.num_rows=6",
        "benchmark.prepare.repository=someone/videos",
        "benchmark.prepare.archives=['videos*.zip']",
    ]
    first, second = videos(demo, rows)
    files = {"videos_1.zip": zipped([first]), "videos_2.zip": zipped([second]), "other.zip": b"x"}
    with hub.serving("someone/videos", files) as server:
        done = command(tmp_path, server.url, *overrides)
        assert done.returncode == 0, done.stderr
        assert "2 of 2 present, 2 open" in done.stdout
        fetched = [request for request in server.requests if request.startswith("GET")]
        assert not [request for request in fetched if "other.zip" in request]
        server.requests.clear()
        again = command(tmp_path, server.url, *overrides)
        assert again.returncode == 0
        assert not [request for request in server.requests if "GET /datasets" in request]
    # the hub is gone: what is there is enough
    alone = command(tmp_path, server.url, *overrides)
    assert alone.returncode == 0, alone.stderr


@pytest.mark.slow
def test_a_pattern_of_any_folder_fetches_from_none_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a.zip": b"a", "video/b.zip": b"b", "video/c.txt": b"c"}
    path = "{repo_id}/resolve/{revision}/{filename}"
    with hub.serving("someone/videos", files) as server:
        for name, value in (
            ("ENDPOINT", server.url),
            ("HUGGINGFACE_CO_URL_TEMPLATE", f"{server.url}/{path}"),
            ("HF_HUB_CACHE", str(tmp_path)),
            ("HF_HUB_OFFLINE", False),
            ("HF_HUB_DISABLE_XET", True),
        ):
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        fetched = fetch_files("someone/videos", None, ["**/*.zip"])
    assert [path.read_bytes() for path in fetched] == [b"a", b"b"]


@pytest.mark.slow
def test_a_hub_that_gives_nothing(rows: Path, tmp_path: Path) -> None:
    overrides = of_a_hub(rows, "*.zip")
    with hub.serving("someone/videos", {"v.zip": b"x"}, gated=True) as server:
        gated = command(tmp_path, server.url, *overrides)
        unknown = command(
            tmp_path, server.url, *overrides[:-2], "benchmark.prepare.repository=a/b", overrides[-1]
        )
    assert gated.returncode == 1
    assert "is gated" in gated.stderr.splitlines()[-1]
    assert unknown.returncode == 1
    assert "a/b is not on this machine" in unknown.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_hub_whose_connection_breaks(rows: Path, tmp_path: Path) -> None:
    overrides = of_a_hub(rows, "*.zip")
    with hub.serving("someone/videos", {"v.zip": b"x", "test.jsonl": b"{}\n"}) as server:
        server.breaks = True
        media = command(tmp_path, server.url, *overrides)
        source = "benchmark.source=hub://someone/videos"
        of_rows = command(tmp_path, server.url, overrides[0], source, "benchmark.split=test")
    assert media.returncode == 1, media.stderr
    assert "cannot fetch someone/videos: Server disconnected" in media.stderr.splitlines()[-1]
    assert of_rows.returncode == 2, of_rows.stderr
    assert "cannot load someone/videos (test) from the hub" in of_rows.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_clone_of_the_data_set_as_source(demo: Path, rows: Path, tmp_path: Path) -> None:
    """As "hub://FOLDER" its rows can be read; its archives and files lie there too."""
    clone, root = tmp_path / "clone", tmp_path / "media"
    (clone / "video").mkdir(parents=True)
    first, *others = videos(demo, rows)
    (clone / "video" / "a.zip").write_bytes(zipped(others))
    shutil.copy(first, clone / first.name)
    shutil.copy(rows, clone / "train.jsonl")
    own = Path(shutil.copy(others[0], tmp_path / "own.mp4"))
    shutil.copy(others[0], clone / "kept.mp4")
    root.mkdir()
    (root / "kept.mp4").symlink_to(own)  # a user's own link, beside the clone
    ready = run(
        rows,
        root,
        f"benchmark.source=hub://{clone}",
        "benchmark.split=train",
        "benchmark.prepare.archives=['**/*.zip']",
        "benchmark.prepare.files=['*.mp4']",
    )
    assert ready.is_complete
    assert (root / first.name).resolve() == clone / first.name
    assert (root / "kept.mp4").resolve() == own
    in_clone = [first.name, "kept.mp4", "train.jsonl", "video"]
    assert sorted(path.name for path in clone.iterdir()) == in_clone


@pytest.mark.slow
def test_an_empty_image_is_damaged(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "rows.jsonl",
        [{"id": name, "question": "What?", "imageId": name, "answer": "x"} for name in "ab"],
    )
    (tmp_path / "a.jpg").touch()
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg")
    ready = run(tmp_path / "rows.jsonl", tmp_path, "benchmark=gqa/llava", "benchmark.num_rows=2")
    assert (ready.missing, len(ready.damaged), ready.is_complete) == ([], 1, False)
    assert [path for path, _ in ready.damaged] == [str(tmp_path / "a.jpg")]


@pytest.mark.slow
def test_files_of_a_hub_are_put_into_the_media_folder(
    demo: Path, rows: Path, tmp_path: Path
) -> None:
    overrides = [
        "benchmark=demo/multiple_choice",
        f"benchmark.source={rows}",
        "benchmark.media_root=media",
        "benchmark.num_rows=6",
        "benchmark.prepare.repository=someone/videos",
        "benchmark.prepare.files=['*.mp4']",
    ]
    files = {path.name: path.read_bytes() for path in videos(demo, rows)}
    with hub.serving("someone/videos", {**files, "other.zip": b"x"}) as server:
        done = command(tmp_path, server.url, *overrides)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 present, 2 open" in done.stdout
    found = {path.name: path.read_bytes() for path in (tmp_path / "media").iterdir()}
    assert found == files
