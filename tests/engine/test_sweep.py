"""Sweeps: which runs a command line means, where they are kept, and what is refused at once."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from llava_eval.engine.sweep import plan_sweep
from llava_eval.errors import ConfigError


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
