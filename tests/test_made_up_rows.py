"""Newer protocols over made-up rows in the columns of their sets: prepare, score, and a run.

The rows are those of the golden tables. Media are one of the embedded videos.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llava_eval.benchmarks.prepare.prepare import prepare, readiness_text
from llava_eval.config.compose import compose_config
from llava_eval.run import run
from tests.conftest import read_lines
from tests.scoring.judge.server import reply, serving
from tests.scoring.protocols import protocol
from tests.test_score_protocols import ledger, scored

HERE = Path(__file__).parent / "scoring"
TABLES = sorted([*(HERE / "golden").glob("*.jsonl.gz"), *(HERE / "judge/golden").glob("*.gz")])
NAMES = [path.name.partition(".")[0].replace("__", "/") for path in TABLES]
#: The same parts do it for all of them: the quick tier takes every fourth.
EACH_TABLE = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=name, marks=[pytest.mark.slow] if number % 4 else [])
        for number, (path, name) in enumerate(zip(TABLES, NAMES, strict=True))
    ],
)


def table_lines(path: Path) -> list[Any]:
    lines = gzip.decompress(path.read_bytes()).decode().strip().split("\n")
    return [json.loads(line) for line in lines[:2]]


def write_rows(folder: Path, lines: list[Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(line["row"]) + "\n" for line in lines))
    return path


@pytest.mark.slow
@EACH_TABLE
def test_prepare_says_what_is_missing(tmp_path: Path, path: Path) -> None:
    name = path.name.partition(".")[0].replace("__", "/")
    rows = write_rows(tmp_path, table_lines(path)[:1])
    root = tmp_path / "media"
    root.mkdir()
    composed = compose_config(
        [
            f"benchmark={name}",
            f"benchmark.source={rows}",
            f"benchmark.media_root={root}",
        ]
    )
    ready = prepare(composed)
    assert (ready.num_samples, ready.num_media, len(ready.missing)) == (1, 1, 1)
    missing = Path(ready.missing[0])
    assert missing.is_relative_to(root)
    assert readiness_text(ready).endswith("\nINCOMPLETE")
    missing.parent.mkdir(parents=True, exist_ok=True)
    missing.write_bytes(b"no video")
    is_video = protocol(name).sample(table_lines(path)[0]["row"]).media[0].kind == "video"
    assert len(prepare(composed).damaged) == is_video  # images are opened when they are shown


@pytest.mark.slow
@EACH_TABLE
def test_texts_are_scored(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = path.name.partition(".")[0].replace("__", "/")
    (line, *_) = table_lines(path)
    text = line["replies"][0][0]
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with serving(lambda content, number: reply("A")) as server:
        more = [f"judge.base_url={server.base_url}"] if len(line["replies"][0]) > 2 else []
        outcome = scored(tmp_path, name, [line["row"]], {"row": 0, "text": text}, more=more)
    assert outcome.exit_code == 0
    (result,) = ledger(tmp_path)
    assert result["prompt"] == line.get("prompt", result["prompt"])
    assert (tmp_path / "out" / "metrics.md").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("path", TABLES, ids=NAMES)
def test_a_model_is_asked(tmp_path: Path, path: Path, demo: Path) -> None:
    name = path.name.partition(".")[0].replace("__", "/")
    rows = write_rows(tmp_path, table_lines(path)[:1])
    shown = next(iter((demo / "videos").glob("*.mp4")))
    is_video = protocol(name).sample(table_lines(path)[0]["row"]).media[0].kind == "video"
    if not is_video:
        shown = tmp_path / "image.png"
        Image.new("RGB", (40, 30), "red").save(shown)
    overrides = [
        f"benchmark={name}",
        f"benchmark.source={rows}",
        f"benchmark.media_root={tmp_path}",
        "benchmark.generation.max_new_tokens=2",
        "benchmark.system=null",
        "sampler.num_frames=2",
        "scorer=exact_match",
        f"output_dir={tmp_path / 'out'}",
    ]
    (missing,) = prepare(compose_config(overrides)).missing
    Path(missing).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shown, missing)
    outcome = run(compose_config(overrides))
    assert outcome.exit_code == 0
    (line,) = read_lines(tmp_path / "out" / "samples.jsonl")
    assert line["generation"]["error"] is None
    assert len(line["frame_indices"]) == (2 if is_video else 1)
