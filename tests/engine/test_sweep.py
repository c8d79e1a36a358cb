"""Sweeps: which runs a command line means, where they are kept, and what is refused at once."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from llava_eval.config.compose import compose_config
from llava_eval.engine.sweep import SweepRun, plan_sweep, results_table
from llava_eval.errors import ConfigError
from tests.results.runs_on_disk import answered, write_run


@pytest.mark.slow
def test_every_combination_is_a_run_of_its_own_folder() -> None:
    overrides = ["sampler.num_frames=2,4", "benchmark.where.duration=short,long", "seed=3"]
    runs, launcher = plan_sweep([*overrides, "hydra.sweep.dir=out/here"], None)
    assert [run.overrides for run in runs] == [
        ("sampler.num_frames=2", "++benchmark.where.duration=short", "seed=3"),
        ("sampler.num_frames=2", "++benchmark.where.duration=long", "seed=3"),
        ("sampler.num_frames=4", "++benchmark.where.duration=short", "seed=3"),
        ("sampler.num_frames=4", "++benchmark.where.duration=long", "seed=3"),
    ]
    assert [run.directory for run in runs] == [Path(f"out/here/{number}") for number in range(4)]
    assert str(launcher["_target_"]).endswith("BasicLauncher")
    assert pickle.loads(pickle.dumps(runs)) == runs


@pytest.mark.slow
def test_an_experiment_brings_values_that_the_command_line_replaces() -> None:
    runs, _ = plan_sweep(["experiment=demo_curve", "sampler.num_frames=2,8"], None)
    values = [(run.overrides[0], run.overrides[1]) for run in runs]
    assert values == [
        (f"sampler.num_frames={frames}", f"quantization={name}")
        for frames in (2, 8)
        for name in ("none", "bnb_int8", "bnb_nf4")
    ]
    assert all("experiment=demo_curve" in run.overrides for run in runs)
    folders = {run.directory.parent for run in runs}
    assert len(folders) == 1, "the time in the folder's name is taken once"
    assert folders.pop().parent == Path("results/sweeps")


def test_a_swept_path_means_what_was_typed() -> None:
    folders = ["package://llava_eval/demo/videos", "it's/here"]
    typed = f'benchmark.media_root={folders[0]},"{folders[1]}"'
    runs, _ = plan_sweep([typed], None)
    found = [compose_config(run.overrides).config.benchmark.media_root for run in runs]
    assert found == folders


def test_a_folder_may_have_any_name_and_be_named_by_what_is_swept() -> None:
    names = ["hydra.sweep.dir='it\\'s, = (here) é'", "hydra.sweep.subdir=${hydra.job.num}_x"]
    runs, _ = plan_sweep(["seed=1,2", *names], None)
    assert [run.directory for run in runs] == [
        Path("it's, = (here) é/0_x"),
        Path("it's, = (here) é/1_x"),
    ]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["sampler.num_frames=2,x"], "'x'"),
        (["experiment=demo_curve", "quantization=none,fp1"], "unknown quantization 'fp1'"),
        (["seed=interval(0,1)"], "list them"),
        (["hydra/launcher=nothing"], "hydra/launcher"),
        (["hydra/sweeper=nothing"], "hydra/sweeper"),
    ],
)
def test_a_mistake_is_found_before_the_first_run(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_sweep(overrides, None)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_table_at_the_end_says_what_differs_and_what_came_of_it(tmp_path: Path) -> None:
    write_run(tmp_path / "0", [answered(n, n % 4 > 0) for n in range(40)])
    fixed, names = "benchmark=mine", ("sampler.num_frames=2", "++benchmark.where.duration=long")
    runs = [SweepRun(n, (fixed, *names[: n + 1]), tmp_path / str(n), None) for n in range(2)]
    text = results_table(runs, [0, 1]).to_text()
    header, first, second = text.splitlines()
    assert header.split()[:4] == ["run", "settings", "metric", "value"]
    assert re.fullmatch(r"0 +accuracy +75\.0 +\d+\.\d to \d+\.\d +0", first)
    assert re.fullmatch(r"1 +duration=long +- +- +- +1", second)


def test_a_run_of_a_sweep_shows_what_a_command_shows_and_no_secret() -> None:
    run = SweepRun(0, ("a=1", "judge.base_url=https://me:pw@x.org/v1"), Path("out"), None)
    assert run.verbosity == 0
    assert run.shown.startswith("a=1 judge.base_url=https://")
    assert "pw" not in run.shown
