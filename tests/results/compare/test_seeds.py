"""Seeds of sampled decoding: spread between seeds apart from that between questions, and flips."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llava_eval.cli import run_command
from llava_eval.errors import ComparisonError
from llava_eval.results.compare.seeds import (
    Seeds,
    over_seeds,
    seeds_table,
    seeds_text,
    seeds_words,
)
from llava_eval.results.report.overview import Overview
from llava_eval.results.runs import RunReader
from llava_eval.types import Score
from tests.results.runs_on_disk import answered, failed, write_run


def runs(
    tmp_path: Path, config: dict[str, Any] | None = None, seeds: tuple[int, ...] = (0, 1, 2, 3)
) -> list[str]:
    """Write runs of 12 questions: q0 flips under seed 3, q1 under seeds 2 and 3."""
    paths = []
    for number, seed in enumerate(seeds):
        right = [n % 3 > 0 for n in range(12)]
        right[0] ^= seed == 3
        right[1] ^= seed >= 2
        results = [answered(n, one) for n, one in enumerate(right)]
        changes = config if number and config else {}
        path = write_run(tmp_path / f"{number}", results, config={"seed": seed, **changes})
        paths.append(str(path))
    return paths


def test_spreads_and_flips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = runs(tmp_path)
    assert run_command(["compare", "--json", *paths]) == 0
    content = json.loads(capsys.readouterr().out)
    means = [100 * 8 / 12, 100 * 8 / 12, 100 * 7 / 12, 100 * 8 / 12]
    assert list(content["means"].values()) == pytest.approx(means)
    assert content["mean"] == pytest.approx(np.mean(means))
    assert content["spread_of_seeds"] == pytest.approx(np.std(means, ddof=1))
    assert content["flips"] == {"q1": 0.5, "q0": 0.25}
    # Four videos: means of 7/12 (q0: 1/4, q1: 1/2, q2: 1), 2/3, 2/3, 2/3; G / (G - 1) for clusters.
    videos = np.array([1.75, 2, 2, 2]) / 3
    stderr = 100 * np.sqrt(4 / 3 * ((videos - videos.mean()) ** 2).sum()) / 4
    assert content["stderr_of_questions"] == pytest.approx(stderr)
    assert run_command(["compare", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "2 samples (16.7 %) are not worth the same" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_runs_that_differ_in_more_are_compared_as_any_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["compare", *runs(tmp_path / "x", {"model.dtype": "float16"})]) == 0
    assert "seeds" not in capsys.readouterr().out
    runs(tmp_path / "y" / "float32")
    _, path = runs(tmp_path / "z", {"model.dtype": "float16"}, (0, 1))
    Path(path).rename(tmp_path / "y" / "float16")
    assert run_command(["compare", str(tmp_path / "y"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert isinstance(content, list)
    assert "settings" in content[0]  # float16 has no other seed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["seeds=5"], "decodes greedily, where every seed gives the same texts"),
        (["seeds=1"], "expected a number of seeds, 2 to"),
        (["seeds=many"], "expected a number of seeds, 2 to"),
        (["seeds=2", "seed=4"], "expected no seed= beside it"),
        (["seeds=2", "--dry-run"], "look at one run, not at a sweep"),
    ],
)
def test_seeds_that_make_no_sense_are_refused_in_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["benchmark=demo/multiple_choice", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_one_command_runs_the_seeds_and_ends_with_their_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["benchmark=demo/multiple_choice", "benchmark.limit=6", "sampler.num_frames=2"]
    sampled = [*settings, "benchmark.generation.temperature=2", f"output_dir={tmp_path / 'of all'}"]
    assert run_command([*sampled, "seeds=3", "-q"]) == 0
    end = capsys.readouterr().out.split("demo/multiple_choice (")[-1]
    assert [line.split()[0] for line in end.splitlines()[2:7]] == ["seed", "0", "1", "2", "mean"]
    assert "Between seeds accuracy spreads by" in end
    assert len(list((tmp_path / "of all").glob("*/samples.jsonl"))) == 3


def test_the_report_has_a_table_of_seeds_and_one_of_probes(tmp_path: Path) -> None:
    reader = RunReader()
    seeds = Overview.of([reader.read(Path(path)) for path in runs(tmp_path / "seeds")])
    (table,) = [table for name, table, _ in seeds.tables() if name == "Seeds of made"]
    assert [row[0] for row in table.rows] == ["0", "1", "2", "3", "mean"]
    results = [answered(n, n % 3 > 0) for n in range(12)]
    probed = [
        reader.read(
            write_run(tmp_path / f"probe {name}", results, config={"benchmark.probe": name})
        )
        for name in (None, "blind")
    ]
    (table,) = [t for name, t, _ in Overview.of(probed).tables() if name == "What answers rest on"]
    assert [row[1] for row in table.rows] == ["plain", "blind", "chance"]


def test_seeds_of_several_settings_are_tables_of_their_own(tmp_path: Path) -> None:
    results = [answered(n, n % 3 > 0) for n in range(6)]
    paths = [
        write_run(
            tmp_path / f"{seed}_{frames}",
            results,
            config={"seed": seed, "sampler.num_frames": frames},
        )
        for seed in (0, 1)
        for frames in (2, 4)
    ]
    tables = Overview.of([RunReader().read(path) for path in paths]).tables()
    names = [name for name, _, _ in tables if name.startswith("Seeds")]
    assert names == ["Seeds of made (A, C)", "Seeds of made (B, D)"]


def made(**changes: Any) -> Seeds:
    return dataclasses.replace(
        Seeds("b, m", "accuracy", "percent", {"0": 60.0, "7": 65.04}, 62.52, 3.5638, None, {}, 40),
        **changes,
    )


def test_seeds_are_a_table_with_their_mean_and_words() -> None:
    table = seeds_table(made())
    assert table.header == ["seed", "accuracy"]
    assert table.rows == [["0", "60.0"], ["7", "65.0"], ["mean", "62.5"]]
    assert seeds_words(made()) == (
        "Between seeds accuracy spreads by 3.56 (standard deviation); the choice of questions "
        "moves the mean by - (standard error). 0 samples (0.0 %) are not worth the same under all "
        "seeds."
    )
    flips = {f"q{n}": 0.5 for n in range(9)}
    words = seeds_words(made(stderr_of_questions=1.005, flips=flips))
    assert "moves the mean by 1.00 (standard error). 9 samples (22.5 %)" in words
    text = seeds_text(made(flips=flips), width=200)
    assert text.startswith("b, m, 40 samples\n\nseed")
    assert [line.split() for line in text.splitlines()[-10:]] == [
        ["flips", "most,", "share", "of", "seeds", "unlike", "the", "others"],
        ["sample", "flips"],
        *([f"q{n}", "50", "%"] for n in range(8)),
    ]
    assert "flips most" not in seeds_text(made())


def test_one_video_has_no_error_from_its_choice_and_two_seeds_two_means(tmp_path: Path) -> None:
    sides = [[answered(n, n > seed) for n in range(3)] for seed in range(2)]
    found = Seeds.of(
        [
            RunReader().read(write_run(tmp_path / str(seed), side, config={"seed": seed}))
            for seed, side in enumerate(sides)
        ]
    )
    assert found.means == {"0": pytest.approx(200 / 3), "1": pytest.approx(100 / 3)}
    assert found.mean == pytest.approx(50.0)
    assert found.spread_of_seeds == pytest.approx(100 / 3 / np.sqrt(2))
    assert (found.stderr_of_questions, found.num_samples) == (None, 3)
    assert found.flips == {"q1": 0.5}


def test_two_videos_have_an_error_from_their_choice(tmp_path: Path) -> None:
    results = [answered(n, n < 3) for n in range(6)]  # all of one are right, all of the other wrong
    paths = [write_run(tmp_path / str(n), results, config={"seed": n}) for n in range(2)]
    found = Seeds.of([RunReader().read(path) for path in paths])
    # sqrt(G / (G - 1) * sum of (a video's mean - the mean)^2) / G, of G = 2
    assert found.stderr_of_questions == pytest.approx(100 * np.sqrt(2 * (0.25 + 0.25)) / 2)
    assert (found.spread_of_seeds, found.flips) == (0.0, {})


def test_other_samples_under_a_seed_are_no_seeds(tmp_path: Path) -> None:
    sides = [
        [answered(n, True) for n in range(6)],
        [failed(0), *(answered(n, True) for n in range(1, 6))],
    ]
    found = [
        RunReader().read(write_run(tmp_path / str(n), side, config={"seed": n, "errors.max": 1}))
        for n, side in enumerate([sides[0], *sides])
    ]
    with pytest.raises(
        ComparisonError, match="samples that only some of them answered; --allow-diff"
    ):
        Seeds.of(found)


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ([(0, 4), (1, 4), (0, 8), (1, 8)], [2, 2]),
        ([(0, 4), (1, 4), (2, 4)], [3]),
        ([(0, 4), (1, 4), (0, 8)], []),
        ([(0, 4), (0, 8)], []),
        ([(0, 4)], []),
    ],
)
def test_runs_are_sets_of_seeds_where_every_setting_has_several(
    tmp_path: Path, settings: list[tuple[int, int]], sizes: list[int]
) -> None:
    results = [answered(n, True) for n in range(3)]
    found = [
        RunReader().read(
            write_run(
                tmp_path / f"{seed} {frames}",
                results,
                config={"seed": seed, "sampler.num_frames": frames},
            )
        )
        for seed, frames in settings
    ]
    assert [len(group) for group in over_seeds(found)] == sizes


def test_another_seed_than_that_of_decoding_makes_no_seeds(tmp_path: Path) -> None:
    sides = [answered(n, n % 3 > 0) for n in range(12)]
    found = [
        RunReader().read(
            write_run(tmp_path / str(n), sides[n:], config={"benchmark.subsample.seed": n})
        )
        for n in range(3)
    ]
    assert over_seeds(found) == []


def test_two_runs_are_compared_in_pairs_though_they_differ_in_their_seed_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["compare", "--json", *runs(tmp_path, seeds=(0, 3))]) == 0
    content = json.loads(capsys.readouterr().out)
    assert "flips" not in content
    (comparison,) = content["comparisons"]
    # q0 is right under seed 3 alone, and q1 is wrong there.
    assert comparison["metrics"]["accuracy"]["difference"] == pytest.approx(0)


def test_seeds_of_an_unfinished_run_are_compared_as_other_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = runs(tmp_path)
    manifest = tmp_path / "3" / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "status": "running"}))
    assert run_command(["compare", *paths]) == 2
    assert "--allow-differences compares it as it is" in capsys.readouterr().err
    assert run_command(["compare", *paths, "--allow-differences"]) == 0
    assert "Note: D is not finished" in capsys.readouterr().out
    assert run_command(["compare", str(tmp_path), "--allow-differences"]) == 0
    assert "is not finished (status 'running')" in " ".join(capsys.readouterr().out.split())


def test_samples_without_a_score_stand_outside_of_the_means(tmp_path: Path) -> None:
    no_score = Score(None, None)
    for seed in range(3):  # each leaves out one question of each video, another under every seed
        results = [
            dataclasses.replace(result, score=no_score) if n % 3 == seed else result
            for n, result in enumerate([answered(n, n % 4 > 0) for n in range(12)])
        ]
        write_run(tmp_path / f"{seed}", results, config={"seed": seed})
    seeds = Seeds.of(RunReader().read_all([tmp_path]))
    right = [[n for n in range(12) if n % 3 != seed and n % 4] for seed in range(3)]
    assert list(seeds.means.values()) == pytest.approx([100 * len(rows) / 8 for rows in right])
    # the mean's deviation, added up within the four videos of three questions; G / (G - 1)
    values = np.array([[n % 4 > 0 if n % 3 != s else np.nan for n in range(12)] for s in range(3)])
    away = np.nan_to_num(values - np.nanmean(values, axis=1, keepdims=True)) / 8
    videos = away.mean(axis=0).reshape(4, 3).sum(axis=1)
    assert seeds.stderr_of_questions == pytest.approx(100 * np.sqrt(4 / 3 * (videos**2).sum()))
    unscored = [answered(n, True, score=no_score) for n in range(12)]
    write_run(tmp_path / "3", unscored, config={"seed": 3})
    with pytest.raises(
        ComparisonError, match="accuracy is not a mean over samples that has a value; --allow"
    ):
        Seeds.of(RunReader().read_all([tmp_path]))


def test_seeds_that_are_exported_are_compared_as_other_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_command(["compare", *runs(tmp_path / "runs"), "--export", str(out)]) == 0
    num_files = sum(path.is_file() for path in out.rglob("*"))
    assert num_files > 0
    assert capsys.readouterr().out.endswith(f"\n\n{num_files} files in {out}\n")
