"""Newer protocols over made-up rows in the columns of their sets: score, and a run.

The rows are those of the golden tables. Media are one of the embedded videos.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llava_eval.benchmarks.prepare.prepare import prepare
from llava_eval.config.compose import compose_config
from llava_eval.run import run
from tests.conftest import read_lines, write_lines
from tests.scoring.judge.server import reply, serving
from tests.scoring.protocols import protocol
from tests.test_score_protocols import ledger, scored

HERE = Path(__file__).parent / "scoring"
TABLES = sorted([*(HERE / "golden").glob("*.jsonl.gz"), *(HERE / "judge/golden").glob("*.gz")])
NAMES = [path.name.partition(".")[0].replace("__", "/") for path in TABLES]
EACH_TABLE = list(zip(NAMES, TABLES, strict=True))
EXACT_MATCH = {"_target_": "llava_eval.scoring.text.ExactMatch"}


def table_lines(path: Path) -> list[Any]:
    lines = gzip.decompress(path.read_bytes()).decode().strip().split("\n")
    return [json.loads(line) for line in lines[:2]]


#: Both tests of one protocol follow each other, so that it is composed once.
each_table = pytest.mark.parametrize(("name", "path"), EACH_TABLE, ids=NAMES, scope="module")


@pytest.mark.slow
@each_table
def test_texts_are_scored(
    tmp_path: Path, name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
@each_table
def test_a_model_is_asked(tmp_path: Path, name: str, path: Path, demo: Path) -> None:
    row = table_lines(path)[0]["row"]
    rows = write_lines(tmp_path / "rows.jsonl", [row])
    shown = next(iter((demo / "videos").glob("*.mp4")))
    is_video = protocol(name).sample(row).media[0].kind == "video"
    if not is_video:
        shown = tmp_path / "image.png"
        Image.new("RGB", (40, 30), "red").save(shown)
    composed = compose_config(
        [
            f"benchmark={name}",
            f"benchmark.source={rows}",
            f"benchmark.media_root={tmp_path}",
            "benchmark.generation.max_new_tokens=2",
            "benchmark.system=null",
            "sampler.num_frames=2",
            f"output_dir={tmp_path / 'out'}",
        ]
    )
    # Composing takes most of the time, so the scorer is put in afterwards: one that asks no judge.
    config = dataclasses.replace(composed.config, scorer=EXACT_MATCH)
    composed = dataclasses.replace(composed, config=config)
    (missing,) = prepare(composed).missing
    Path(missing).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shown, missing)
    outcome = run(composed)
    assert outcome.exit_code == 0
    (line,) = read_lines(tmp_path / "out" / "samples.jsonl")
    assert line["generation"]["error"] is None
    assert len(line["frame_indices"]) == (2 if is_video else 1)
