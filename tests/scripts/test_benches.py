"""The benchmarks under scripts/, each on little work: its page has a figure in every place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def rows_of(script: str, *words: str | Path, folder: Path) -> list[list[str]]:
    """Run a script and return the cells of its page's table, without the head."""
    page = folder / "page.md"
    command = [sys.executable, str(SCRIPTS / script), *map(str, words), "--output", str(page)]
    subprocess.run(command, check=True, timeout=1200, cwd=folder)
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.slow
def test_metrics_are_timed(tmp_path: Path) -> None:
    size = ("--images", "20", "--references", "2", "--rounds", "1")
    ours, _peer = rows_of("bench_metrics.py", *size, folder=tmp_path)
    name, total, processor, tokenizing, _rounds, memory = ours
    assert name == "llava_eval"
    assert min(float(cell) for cell in (total, processor, tokenizing)) >= 0
    assert float(memory) > 0


@pytest.mark.slow
def test_compare_gate_and_report_are_timed(tmp_path: Path) -> None:
    size = ("--samples", "60", "--benchmarks", "choice", "caption")
    rows = rows_of("bench_results.py", *size, folder=tmp_path)
    assert [row[0] for row in rows] == ["choice"] * 6 + ["caption"] * 6
    assert [row[1].split()[0].strip("`") for row in rows[:6]] == [
        *("compare", "compare", "gate", "gate", "gate", "report")
    ]
    assert all(float(cell) > 0 for row in rows for cell in row[2:])


@pytest.mark.slow
def test_memory_is_watched(tmp_path: Path) -> None:
    rows = rows_of("bench_memory.py", "--samples", "150", folder=tmp_path)
    samples = [int(finished) for finished, _ in rows]
    assert samples == sorted(samples)
    assert samples[-1] <= 150
    assert all(float(megabytes) > 100 for _, megabytes in rows)  # torch alone takes more


@pytest.mark.slow
def test_frames_are_timed_and_compared(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    generator = np.random.default_rng(0)
    with av.open(str(corpus / "h264_360p_g48_20s.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "48"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(600):
            pixels = generator.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    work = ("run", corpus, "--frames", "4", "--rounds", "1", "--sweep")
    few, sweep = rows_of("bench_video.py", *work, folder=tmp_path)
    assert few[:2] == ["h264_360p_g48_20s.mp4", "4"]
    assert sweep[:2] == ["h264_360p_g48_20s.mp4", "sweep"]
    naive, *ours, alone = few[2:7]
    for cell in (naive, *ours, alone, sweep[3], sweep[6]):
        assert "right" not in cell  # a tool with wrong frames would say how many are right
        assert all(float(part.replace(",", "")) >= 0 for part in cell.split("/"))
