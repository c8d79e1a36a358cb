"""Sweeps: which runs a command line means, where they are kept, and what is refused at once."""

from __future__ import annotations

import contextlib
import logging
import pickle
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llava_eval.cli import run_command
from llava_eval.commands import sweep
from llava_eval.commands.sweep import SweepRun, plan_sweep, results_table, take_seeds
from llava_eval.config.compose import compose_config
from llava_eval.config.hydra_session import compose_root, hydra_session, parse_overrides
from llava_eval.errors import ConfigError, EngineError
from llava_eval.results.formatting import duration
from llava_eval.types import Clip, MediaKind, MetricValue, Request, SampleResult
from tests.conftest import read_lines
from tests.results.runs_on_disk import answered, failed, write_run


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


@pytest.mark.slow
def test_sweeps_that_start_in_the_same_second_have_a_folder_each() -> None:
    with hydra_session():
        folders = {compose_root([]).hydra.sweep["dir"] for _ in range(4)}
    assert len(folders) == 4


@pytest.mark.slow
def test_a_swept_path_means_what_was_typed() -> None:
    folders = ["package://llava_eval/demo/videos", "it's/here"]
    typed = f'benchmark.media_root={folders[0]},"{folders[1]}"'
    runs, _ = plan_sweep([typed], None)
    found = [compose_config(run.overrides).config.benchmark.media_root for run in runs]
    assert found == folders


@pytest.mark.slow
def test_a_folder_may_have_any_name_and_be_named_by_what_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["hydra.sweep.dir='it\\'s, = (here) é'", "hydra.sweep.subdir=${hydra.job.num}_x"]
    runs, _ = plan_sweep(["seed=1,2", *names], None)
    assert [run.directory for run in runs] == [
        Path("it's, = (here) é/0_x"),
        Path("it's, = (here) é/1_x"),
    ]
    runs, _ = plan_sweep(["seed=1,2", "hydra.sweep.subdir='${hydra.job.override_dirname}'"], None)
    assert [run.directory.name for run in runs] == ["seed=1", "seed=2"]
    monkeypatch.setenv("HOME", str(tmp_path))
    runs, _ = plan_sweep(["seed=1,2", "hydra.sweep.dir='~/sweeps'"], None)
    assert [run.directory for run in runs] == [tmp_path / "sweeps" / name for name in "01"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["sampler.num_frames=2,x"], "'x'"),
        (["experiment=demo_curve", "quantization=none,fp1"], "unknown quantization 'fp1'"),
        (["seed=interval(0,1)"], "list them"),
        (["hydra/launcher=nothing"], "hydra/launcher"),
        (["hydra/launcher=slurn"], "'slurm'?); available: basic, slurm, submitit_local"),
        (["hydra/sweeper=nothing"], "hydra/sweeper"),
        (["seed=0,1", "hydra/job_logging=none"], "a sweep takes hydra/launcher, by name"),
        (["seed=0,1", "hydra.launcher=5"], "hydra.launcher: got 5, expected a mapping"),
        (["seed=0,1", "resume=true"], "the newest is hydra.sweep.dir=results/sweeps/"),
        (["seed=0,1", "resume=yes"], "the newest is hydra.sweep.dir=results/sweeps/"),
        (["hydra.sweeper.params=${hydra.sweep.dir}"], "', expected key: values"),
        (["seed=0,1", "benchmark.adapter._target_=os.nothing"], "benchmark.adapter._target_"),
    ],
)
def test_a_mistake_is_found_before_the_first_run(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_sweep(overrides, None)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("2026-01-01", "2026-03-01", "2026-02-01"):
        (tmp_path / "results" / "sweeps" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"is hydra\.sweep\.dir=results/sweeps/2026-03-01$"):
        plan_sweep(["seed=0,1", "resume=true"], None)
    for words in (["resume=true", "hydra.sweep.dir=x"], ["resume=false", "hydra.sweep.dir=x"]):
        runs, _ = plan_sweep(["seed=0,1", *words], None)
        assert [run.directory for run in runs] == [Path("x/0"), Path("x/1")]
    runs, _ = plan_sweep(["output_dir=a,b", "resume=true"], None)
    assert [run.directory for run in runs] == [Path("a"), Path("b")]
    assert len(plan_sweep(["seed=0,1", "resume=false"], None)[0]) == 2


@pytest.mark.parametrize(
    ("values", "codes", "command"),
    [
        (["seed=0", "seed=1"], [0, 0], "llava-eval compare '/a b'"),
        (["seed=0", "seed=1"], [1, 0], "llava-eval compare '/a b'"),
        (["seed=0", "seed=1"], [1, 2], None),
        (["probe=none", "probe=blind"], [0, 0], "llava-eval probes '/a b'"),
        (["benchmark.probe=blind", "benchmark.probe=null"], [0, 0], "llava-eval probes '/a b'"),
        (["probe=none", "probe=none"], [0, 0], "llava-eval compare '/a b'"),
        (["probe=reversed", "probe=blind"], [0, 0], "llava-eval compare '/a b'"),
    ],
)
def test_a_sweep_says_what_looks_at_its_runs(
    values: list[str], codes: list[int], command: str | None
) -> None:
    runs = [SweepRun(n, (text,), Path(f"/a b/{n}"), None) for n, text in enumerate(values)]
    assert sweep._next_command(runs, codes) == command
    apart = [SweepRun(n, (text,), Path(f"/{n}/run"), None) for n, text in enumerate(values)]
    assert sweep._next_command(apart, codes) is None


def test_the_table_at_the_end_says_what_differs_and_what_came_of_it(tmp_path: Path) -> None:
    write_run(tmp_path / "0", [answered(n, n % 4 > 0) for n in range(40)])
    fixed, names = "benchmark=mine", ("sampler.num_frames=2", "++benchmark.where.duration=long")
    runs = [SweepRun(n, (fixed, *names[: n + 1]), tmp_path / str(n), None) for n in range(2)]
    text = results_table(runs, [0, 1]).to_text()
    header, first, second = text.splitlines()
    assert header.split()[:4] == ["run", "settings", "metric", "value"]
    assert re.fullmatch(r"0 +accuracy +75\.0 +\d+\.\d to \d+\.\d +0", first)
    assert re.fullmatch(r"1 +duration=long +- +- +- +1", second)
    # A run that is refused says nothing of what its directory holds: it is another one's.
    first = results_table(runs, [2, 1]).to_text().splitlines()[1]
    assert re.fullmatch(r"0 +- +- +- +2", first)
    (tmp_path / "0" / "metrics.json").write_text("{")
    first = results_table(runs, [0, 1]).to_text().splitlines()[1]
    assert re.fullmatch(r"0 +- +- +- +0", first)


def test_a_run_with_failed_samples_has_its_number_in_the_table(tmp_path: Path) -> None:
    results = [failed(0), *(answered(n, n % 3 > 0) for n in range(1, 10))]  # 6 of 9 are right
    write_run(tmp_path / "0", results)
    runs = [SweepRun(n, (f"++seed={n}",), tmp_path / str(n), None) for n in range(2)]
    first = results_table(runs, [1, 0]).to_text().splitlines()[1]
    assert re.fullmatch(r"0 +seed=0 +accuracy +66\.7 +\d+\.\d to \d+\.\d +1", first)


def test_two_runs_of_a_sweep_have_no_directory_together() -> None:
    sweep._check_directories([Path("x/0"), Path("x/1")])
    with pytest.raises(ConfigError, match=r"^x would be the run directory of 2 runs of the sweep"):
        sweep._check_directories([Path("y"), Path("x"), Path("x")])


def test_settings_whose_keys_end_alike_are_told_by_their_whole_keys(tmp_path: Path) -> None:
    values = [("judge.temperature=0", f"benchmark.generation.temperature={n}") for n in range(2)]
    runs = [SweepRun(n, (*pair, f"seed={n}"), tmp_path, None) for n, pair in enumerate(values)]
    text = results_table(runs, [0, 0]).to_text()
    assert "temperature=1 seed=1" in text
    runs = [SweepRun(n, (f"++judge.top_p={n}", f"b.top_p={n}"), tmp_path, None) for n in range(2)]
    text = results_table(runs, [0, 0]).to_text()
    assert "judge.top_p=1 b.top_p=1" in text


def test_a_run_of_a_sweep_shows_what_a_command_shows_and_no_secret() -> None:
    run = SweepRun(0, ("a=1", "judge.base_url=https://me:pw@x.org/v1"), Path("out"), None)
    assert run.verbosity == 0
    assert run.shown.startswith("a=1 judge.base_url=https://")
    assert "pw" not in run.shown
    assert "\x1b" not in SweepRun(0, ("model.name=\x1b[2J",), Path("out"), None).shown


@pytest.mark.parametrize(
    ("typed", "number", "others"),
    [
        (["a=1"], None, ["a=1"]),
        (["seeds=3", "a=1"], 3, ["a=1", "seed=0,1,2"]),
        (["seeds=2", "seeds=4"], 4, ["seed=0,1,2,3"]),
        (["seeds=2", "output_dir=x/y"], 2, ["hydra.sweep.dir='x/y'", "seed=0,1"]),
        (["seeds=1000"], 1000, [f"seed={','.join(map(str, range(1000)))}"]),
    ],
)
def test_seeds_are_values_of_seed(typed: list[str], number: int | None, others: list[str]) -> None:
    found, left = take_seeds(typed)
    assert found == number
    assert [text.replace('"', "'") for text in left] == others


@pytest.mark.parametrize("text", ["seeds=", "seeds=1", "seeds=1001", "seeds=-3", "seeds=2.5"])
def test_seeds_are_a_number_of_them(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number of seeds, 2 to 1000"):
        take_seeds(["a=1", text])


@pytest.mark.parametrize("beside", ["seed=1", "+seed=1", "++seed=1,2"])
def test_seeds_go_with_no_seed(beside: str) -> None:
    with pytest.raises(ConfigError, match="expected no seed= beside it"):
        take_seeds(["seeds=2", beside])


@pytest.mark.parametrize(
    ("launcher", "cluster"),
    [
        ("hydra._internal.core_plugins.basic_launcher.BasicLauncher", None),
        ("hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher", "slurm"),
        ("hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher", "local"),
    ],
)
def test_clusters_of_launchers(launcher: str, cluster: str | None) -> None:
    assert sweep._cluster({"_target_": launcher, "n_jobs": 1}) == cluster
    with pytest.raises(ConfigError, match="a sweep cannot use JoblibLauncher"):
        sweep._cluster({"_target_": "hydra_plugins.joblib.JoblibLauncher"})


@pytest.mark.parametrize(
    ("typed", "is_about_sweep", "is_taken"),
    [
        ("seed=1", False, True),
        ("hydrant.sweep=1", False, True),
        ("hydra.sweep.dir=x", True, True),
        ("hydra/launcher=basic", True, True),
        ("hydra/launcher=[basic]", True, False),
        ("hydra/sweeper=basic", True, False),
        ("~hydra.sweep", True, False),
    ],
)
def test_what_a_sweep_takes_of_hydra(typed: str, is_about_sweep: bool, is_taken: bool) -> None:
    (override,) = parse_overrides([typed])
    assert sweep._is_about_sweep(override) is is_about_sweep
    said = re.escape(f"{typed!r}: of Hydra's parts a sweep takes hydra/launcher, by name")
    with contextlib.nullcontext() if is_taken else pytest.raises(ConfigError, match=said):
        sweep._check_launcher([override])


def test_seeds_without_their_runs_are_told_of(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert sweep._over_seeds([gone], None) == f"there is no run directory {gone}"


def _three() -> int:
    return 3


class ClosingHandler(logging.FileHandler):
    """Submitit's jobs of one process leave their files open."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.close()


def test_jobs_of_a_cluster_give_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "FileHandler", ClosingHandler)
    submitit = pytest.importorskip("submitit")
    settings = {"_target_": "x", "submitit_folder": str(tmp_path / "logs"), "timeout_min": 7}
    runs: list[Any] = [_three, _three]
    assert sweep._run_as_jobs(runs, "debug", settings) == [3, 3]
    job = submitit.AutoExecutor(tmp_path / "logs", "debug").submit(_three)
    assert sweep._exit_code(job) == 3
    job.cancel()
    assert sweep._exit_code(job) == EngineError.exit_code
    said = capsys.readouterr().err
    assert f"llava-eval: job {job.job_id}: exit code 3; what it said is in {tmp_path}" in said
    assert f"llava-eval: job {job.job_id} did not end by itself: " in said
    again = SweepRun(3, ("a=1",), Path("out"), None)
    assert again.checkpoint().function is again, "what the cluster queues when it takes a machine"
    with pytest.raises(EngineError, match="the jobs cannot be submitted: "):
        sweep._run_as_jobs(runs, "debug", {**settings, "no_such_setting": 1})


class Counted:
    """A model whose answers depend on nothing, and cannot be made of some letters."""

    def __init__(self, letter: str = "A") -> None:
        if letter == "Z":
            raise ValueError("there is no Z")
        self.letter = letter

    def prepare(self, kind: MediaKind, clip: Clip) -> int:
        return len(clip)

    def generate(self, requests: Sequence[Request]) -> list[str]:
        return [self.letter for _ in requests]


@pytest.mark.slow
def test_a_sweep_in_this_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark.limit=2", "sampler.num_frames=1", "model=own"]
    words += [f"model._target_={__name__}.Counted", f"hydra.sweep.dir={tmp_path}"]
    words += ["probe=one_frame"]  # of all: `llava-eval probes` would find no plain run
    assert sweep.run_sweep([*words, "model.arguments.letter=A,B"], None, -1) == 0
    out = capsys.readouterr().out
    for number, letter in enumerate("AB"):
        texts = {
            line["generation"]["text"]
            for line in read_lines(tmp_path / str(number) / "samples.jsonl")
        }
        assert texts == {letter}
        assert f"\n[{number}] " in out
        assert f"model.arguments.letter={letter} (run {number + 1} of 2" in out
    assert "(run 1 of 2)\n" in out
    assert re.search(r"\(run 2 of 2, about .* left\)\n", out)
    assert re.search(r"\n0 +letter=A +accuracy ", out)
    assert out.endswith(f"\nllava-eval compare {tmp_path}\n")


@pytest.mark.slow
def test_a_sweep_over_files_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sampler").mkdir()
    for name in ("mine_a", "mine_b"):
        text = "_target_: llava_eval.video.samplers.interior_points\n"
        (tmp_path / "sampler" / f"{name}.yaml").write_text(text)
    words = ["benchmark.limit=1", "model=own", f"model._target_={__name__}.Counted"]
    words += ["sampler=glob(mine_*)", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    assert sweep.run_sweep(words, tmp_path, -1) == 0
    out = capsys.readouterr().out
    assert re.findall(r"\n(\d) +sampler=(\w+) +accuracy ", out) == [
        ("0", "mine_a"),
        ("1", "mine_b"),
    ]


@pytest.mark.slow
def test_a_sweep_of_one_run_has_its_own_table_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmark.limit=1", "model=own", f"model._target_={__name__}.Counted"]
    assert sweep.run_sweep([*words, f"hydra.sweep.dir={tmp_path}"], None, -1) == 0
    out, err = capsys.readouterr()
    assert out.endswith(f"\n{tmp_path / '0'}\n")
    assert "exit code" not in out
    assert err == "", "verbosity -1 is that of each run"


@pytest.mark.slow
def test_seeds_with_failed_samples_are_told_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmark.limit=2", "model=own", f"model._target_={__name__}.Counted", "seeds=2"]
    words += ["benchmark.generation.temperature=1", "benchmark.media_root=nowhere"]
    assert sweep.run_sweep([*words, f"output_dir={tmp_path}"], None, -1) == 1
    assert "exit code" not in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("letters", "named"), [("A", "probes"), ("A,B", "compare")])
def test_probes_are_named_where_one_run_is_plain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], letters: str, named: str
) -> None:
    words = ["benchmark.limit=1", "model=own", f"model._target_={__name__}.Counted"]
    words += [f"model.arguments.letter={letters}", "probe=none,one_frame"]
    assert sweep.run_sweep([*words, f"hydra.sweep.dir={tmp_path}"], None, -1) == 0
    assert capsys.readouterr().out.endswith(f"\nllava-eval {named} {tmp_path}\n")
    assert run_command([named, str(tmp_path)]) == 0


def broken(results: Sequence[SampleResult]) -> MetricValue:
    """A metric with a defect."""
    if results:
        raise KeyError("none")
    return MetricValue(None, None, None, None, 0, "percent")


def without_its_table(results: Sequence[SampleResult]) -> MetricValue:
    """A metric that reads a file which is not there."""
    return broken([]) if not results else MetricValue.none(0, Path("no_table.csv").read_text())


@pytest.mark.slow
def test_a_defect_ends_one_run_and_settings_are_whole_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    metrics = f"{__name__}.broken,llava_eval.metrics.means.mean_score"
    words = ["benchmark.limit=2", "model=own", f"model._target_={__name__}.Counted"]
    words += [f"benchmark.metrics.accuracy._target_={metrics}", f"hydra.sweep.dir={tmp_path / 's'}"]
    assert sweep.run_sweep(words, None, -1) == 70
    out, err = capsys.readouterr()
    assert err.startswith("llava-eval: unexpected KeyError in ")
    assert len(err.splitlines()) == 1
    assert re.search(rf"\n0 +_target_={re.escape(__name__)}\.broken +- +- +- +70\n", out)
    assert re.search(r"\n1 +_target_=llava_eval\.metrics\.means\.mean_score +accuracy .* 0\n", out)


@pytest.mark.slow
def test_a_run_of_a_sweep_may_fail_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("benchmark.limit=2", "model=own", f"model._target_={__name__}.Counted")
    bad = SweepRun(0, (*words, "model.arguments.letter=Z"), tmp_path / "bad", None, -1)
    assert bad() == ConfigError.exit_code
    assert "there is no Z" in capsys.readouterr().err
    words_of_file = (*words, f"benchmark.metrics.accuracy._target_={__name__}.without_its_table")
    assert SweepRun(0, words_of_file, tmp_path / "file", None, -1)() == ConfigError.exit_code
    assert "llava-eval: no_table.csv: no such file\n" in capsys.readouterr().err
    named = (*words, f"output_dir={tmp_path / 'named'}")
    assert SweepRun(0, named, tmp_path / "unused", None, -1)() == 0
    assert (tmp_path / "named" / "metrics.json").exists()
    assert not (tmp_path / "unused").exists()


@pytest.mark.slow
def test_runs_of_a_sweep_have_a_directory_each() -> None:
    words = ["seed=0,1", "output_dir=out"]
    with pytest.raises(ConfigError, match="out would be the run directory of 2 runs of the sweep"):
        plan_sweep(words, None)
    with pytest.raises(ConfigError, match=r"hydra\.sweep\.dir=x/y keeps each below it"):
        plan_sweep(["seed=0,1", "hydra.sweep.dir=x", "hydra.sweep.subdir=y"], None)
    runs, _ = plan_sweep(["output_dir=a,b"], None)
    assert [run.directory for run in runs] == [Path("a"), Path("b")]
    (run,), _ = plan_sweep(["seed=0", "output_dir=out"], None)
    assert run.directory == Path("out")


def test_how_far_a_sweep_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs of an hour each, by a clock that they put forward."""
    now = [0.0]
    monkeypatch.setattr(sweep, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Hour(SweepRun):
        def __call__(self) -> int:
            now[0] += 3600
            return self.number

    runs = [Hour(number, (f"seed={number}",), Path("out"), None) for number in range(3)]
    assert sweep._run_here(runs) == [0, 1, 2]
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines == [
        "[0] seed=0 (run 1 of 3)",
        f"[1] seed=1 (run 2 of 3, about {duration(7200)} left)",
        f"[2] seed=2 (run 3 of 3, about {duration(3600)} left)",
    ]
