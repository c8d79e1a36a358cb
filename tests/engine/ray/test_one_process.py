"""The Ray engine whose tasks and workers fail at a chosen call: what is done, and what is said."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llava_eval.benchmarks.subtitles import Subtitles
from llava_eval.borders.machine_limits import num_cores
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import RunConfig
from llava_eval.engine.batches import MediaGroup
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.engine.local import LocalEngine
from llava_eval.engine.ray.cluster import Share, reason_of
from llava_eval.engine.ray.engine import RayEngine
from llava_eval.engine.ray.watchdog import _is_running
from llava_eval.engine.ray.worker import ModelWorker, decode
from llava_eval.engine.ray.worker_messages import DecodeStatus, WorkerSettings
from llava_eval.engine.ray.worker_pool import pool_kept
from llava_eval.errors import CheckpointError, ConfigError, EngineError, LlavaEvalError, MediaError
from llava_eval.models.backend import Needs
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import plan_model
from llava_eval.types import Clip, Generation, Media, MediaKind, Request, Sample, SampleResult
from tests.conftest import slow
from tests.engine.ray.one_process import OneProcess, install

WORDS = (
    "benchmark.limit=9",
    "sampler.num_frames=2",
    "runner.batch_size=3",
    "runner.decode_workers=1",
    "model=own",
    f"model._target_={__name__}.Letters",
)
#: Ray's variable: of how many free processes it ends none.
KEPT_PROCESSES = "RAY_num_workers_soft_limit"


class Letters:
    """Answers by the number of the question."""

    def prepare(self, kind: MediaKind, clip: Clip) -> tuple[int, ...]:
        return clip.frame_indices

    def generate(self, requests: Sequence[Request]) -> Iterator[Generation]:
        for request in requests:
            logging.getLogger("llava_eval.letters").info("asked %s", request.id)
            yield Generation("ABCD"[int(request.id[-1]) % 4], 7, 1, "eos")


@dataclass
class Asked:
    """What an engine made of the samples.

    Attributes:
        results: in the order of the samples.
        order: ids in the order in which they came.
        record, work, model: what the manifest says.
        seconds: by stage.
    """

    results: list[SampleResult]
    order: list[str]
    record: dict[str, Any]
    work: dict[str, Any]
    model: dict[str, Any]
    seconds: dict[str, float]

    @property
    def errors(self) -> list[str | None]:
        return [result.generation.error for result in self.results]


@dataclass
class Case:
    """Three videos with three questions each, and a model that answers at once."""

    config: RunConfig
    samples: Sequence[Sample]

    def ask(self, **engine: Any) -> Asked:
        values = {"name": "ray", "address": "here:6379", "num_workers": 2, **engine}
        changed = dataclasses.replace(self.config.engine, **values)
        clock = StageClock()
        made = RayEngine(dataclasses.replace(self.config, engine=changed), clock)
        try:
            return self._ask(made, clock)
        finally:
            made.close()

    def ask_here(self) -> Asked:
        clock = StageClock()
        plan = plan_model(self.config, Needs())
        return self._ask(LocalEngine(self.config, clock, plan), clock)

    def _ask(self, engine: LocalEngine | RayEngine, clock: StageClock) -> Asked:
        model = engine.load()
        results = {result.id: result for result in engine.answer(self.samples)}
        assert len(results) == len(self.samples)
        ordered = [results[sample.id] for sample in self.samples]
        work = engine.work()
        return Asked(ordered, [*results], engine.record(), work, model, dict(clock.seconds))


@pytest.fixture(scope="module")
def case() -> Case:
    composed = compose_config([*WORDS])
    return Case(composed.config, Benchmark.read(composed, StageClock()).samples)


@pytest.fixture(scope="module")
def plain(case: Case) -> Asked:
    """The same by the engine of one process."""
    return case.ask_here()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[OneProcess]:
    """Ray's stand-in; what workers here do to torch and to the package's logger is undone."""
    logger = logging.getLogger("llava_eval")
    monkeypatch.setattr(logger, "handlers", [*logger.handlers])
    monkeypatch.setattr(logger, "level", logger.level)
    num_threads = torch.get_num_threads()
    yield install(monkeypatch)
    torch.set_num_threads(num_threads)


@pytest.mark.slow
def test_a_run_and_what_its_manifest_says(ray: OneProcess, case: Case, plain: Asked) -> None:
    asked = case.ask()
    assert asked.results == plain.results
    assert asked.record == plain.record
    assert asked.model == plain.model
    assert asked.work["engine"] == "ray"
    facts = [(node["node"], node["alive"], node["num_cpus"]) for node in asked.work["nodes"]]
    assert facts == [("n1", True, 4.0), ("n0", False, 64.0)]
    assert [node["num_gpus"] for node in asked.work["nodes"]] == [0.0, 0.0]
    workers = asked.work["workers"]
    assert sum(worker["num_generated"] for worker in workers) == 9
    assert [worker["ended"] for worker in workers] == [None, None]
    assert {worker["node"] for worker in workers} == {"n1"}
    assert all("identity" not in worker for worker in workers)
    peaks = [worker.get("peak_host_memory_bytes") for worker in workers]
    assert asked.work["peak_host_memory_bytes"] == max(peak for peak in peaks if peak) > 1 << 20
    assert asked.work["peak_device_memory_bytes"] is None
    assert min(asked.seconds[stage] for stage in ("start_workers", "load_model")) >= 0
    assert ray.calls.count("decode") == 3  # one for each video
    assert ray.calls.count("answer") == 3
    assert ray.calls.count("plan") == ray.calls.count("load") == 2
    assert ray.calls.count("warm_up") == 2  # one for each thread that decodes
    assert ray.joined is None
    assert len(ray.killed) == 2


@pytest.mark.slow
def test_what_workers_say_is_said_here(
    ray: OneProcess, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    case.ask()
    told = {r.getMessage() for r in caplog.records if r.name == "llava_eval.engine.ray.dispatch"}
    assert {f"asked {sample.id}" for sample in case.samples} <= told


@pytest.mark.slow
def test_a_dead_worker_is_replaced_and_its_batch_asked_again(
    ray: OneProcess, case: Case, plain: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    death = ray.error("RayActorError", "The actor died. Reason: out of memory. More words")
    ray.faults["answer"] = [None, death]
    asked = case.ask()
    assert asked.results == plain.results
    assert asked.record == plain.record
    workers = asked.work["workers"]
    assert [worker["ended"] for worker in workers].count("Reason: out of memory") == 1
    assert [worker["ended"] for worker in workers].count(None) == 2
    assert workers[2]["ended"] is None, "the new one is the last"
    assert sum(worker["num_generated"] for worker in workers) == 9
    assert ray.calls.count("load") == 3
    assert ray.calls.count("answer") == 4
    said = {m for m in caplog.messages if "is replaced" in m}
    (warning,) = said
    assert warning.startswith(f"a worker (process {os.getpid()} on node ")
    assert warning.endswith("died and is replaced: Reason: out of memory")


@pytest.mark.slow
def test_a_worker_that_dies_while_it_loads_is_replaced(
    ray: OneProcess, case: Case, plain: Asked
) -> None:
    ray.faults["load"] = [ray.error("RayActorError", "because of a fault")]
    asked = case.ask(num_workers=1)
    assert asked.results == plain.results
    ended = [worker["ended"] for worker in asked.work["workers"]]
    assert ended == ["because of a fault", None]
    assert ray.calls.count("load") == 2


@pytest.mark.slow
def test_samples_that_end_their_worker_again_and_again_are_errors(
    ray: OneProcess, case: Case, plain: Asked
) -> None:
    batches: list[list[str]] = []

    def lethal(groups: Sequence[MediaGroup], *decoded: Any) -> BaseException | None:
        batches.append([sample.id for group in groups for sample in group.samples])
        return ray.error("RayActorError", "Reason: a fault") if "002-2" in batches[-1] else None

    ray.faults["answer"] = lethal
    asked = case.ask(max_tries=4, num_workers=1)
    assert asked.errors[4] == "EngineError: ended its worker 4 times, last: Reason: a fault"
    assert asked.results[:4] + asked.results[5:] == plain.results[:4] + plain.results[5:]
    deaths = [batch for batch in batches if "002-2" in batch]
    assert deaths == [["002-1", "002-2", "002-3"]] * 2 + [["002-2"]] * 2
    ended = [worker["ended"] for worker in asked.work["workers"]]
    assert ended == ["Reason: a fault"] * 4 + [None]


class Choosy(Letters):
    """Cannot take the second video."""

    def prepare(self, kind: MediaKind, clip: Clip) -> tuple[int, ...]:
        if clip.video is not None and "002" in clip.video.path:
            raise ValueError("too narrow")
        return super().prepare(kind, clip)


@pytest.mark.parametrize("batch_size", [3, slow(9)])
def test_what_a_model_cannot_be_shown_is_an_error_of_its_samples_alone(
    ray: OneProcess, batch_size: int
) -> None:
    target = f"model._target_={__name__}.Choosy"
    composed = compose_config([*WORDS[:-1], target, f"runner.batch_size={batch_size}"])
    case = Case(composed.config, Benchmark.read(composed, StageClock()).samples)
    asked, here = case.ask(), case.ask_here()
    assert asked.results == here.results
    assert [error is not None for error in asked.errors] == [False] * 3 + [True] * 3 + [False] * 3
    assert asked.errors[3] == f"MediaError: {__name__}.Choosy.prepare: ValueError: too narrow"


@pytest.mark.slow
def test_media_lost_on_their_way_are_decoded_again(
    ray: OneProcess, case: Case, plain: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    lost = ray.error("ObjectLostError", "it is gone because its node died. And so on")
    full = ray.error("RayTaskError", "x", ray.error("ObjectStoreFullError", "full"))
    ray.faults |= {"decode": [lost], "answer": [None, full]}
    assert case.ask().results == plain.results
    assert ray.calls.count("decode") == 5  # three, one lost itself, one whose frames were lost
    name = case.samples[0].media[0].path
    assert f"{name} is decoded again: it is gone because its node died" in caplog.messages
    assert "a batch is decoded again: x" in caplog.messages


def test_media_that_are_always_lost_are_errors_of_their_samples(
    ray: OneProcess, case: Case
) -> None:
    ray.faults["decode"] = [ray.error("NodeDiedError", "node is gone") for _ in range(2)]
    errors = case.ask(max_tries=2, num_workers=1).errors
    lost = [error for error in errors if error is not None]
    assert len(lost) == 3
    assert all(error.endswith("lost on its way: node is gone") for error in lost)


def test_a_video_that_ends_the_process_that_decodes_it_is_an_error_of_its_samples(
    ray: OneProcess, case: Case, plain: Asked
) -> None:
    ray.faults["decode"] = [None, ray.error("WorkerCrashedError", "it died")]
    asked = case.ask(max_tries=3)
    assert ray.calls.count("decode") == 3  # Ray itself has tried it again
    assert asked.results[:3] + asked.results[6:] == plain.results[:3] + plain.results[6:]
    (error,) = set(asked.errors[3:6])
    assert error is not None
    assert error.endswith("decoding it ended its process 3 times")


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"plan": "RayActorError"}, "a worker died while it started: boom"),
        ({"load": "RayActorError"}, "4 workers in a row died while they loaded the model: boom"),
        ({"answer": "RaySystemError"}, "media are lost on their way: boom"),
        ({"decode": "own"}, "no such checkpoint"),
        ({"answer": "own"}, "no such checkpoint"),
        ({"plan": "own"}, "no such checkpoint"),
        ({"load": "own"}, "no such checkpoint"),
        ({"init": "RaySystemError"}, r"engine\.address=here:6379: .* cannot join .* there: boom"),
    ],
)
def test_what_ends_a_run_is_one_error_of_ours(
    faults: dict[str, str], words: str, ray: OneProcess, case: Case
) -> None:
    for name, kind in faults.items():
        own = ray.error("RayTaskError", "a traceback", CheckpointError("no such checkpoint"))
        ray.faults[name] = [own if kind == "own" else ray.error(kind, "boom")] * 99
    with pytest.raises(LlavaEvalError, match=words) as caught:
        case.ask(max_tries=4)
    expected = ConfigError if "init" in faults else EngineError
    assert isinstance(caught.value, CheckpointError if "own" in faults.values() else expected)
    assert ray.joined is None, "the cluster is left"


def test_a_machine_on_which_ray_cannot_start(
    ray: OneProcess, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home folder it fails at its token, without /dev/shm by an error of no class."""
    monkeypatch.setenv(KEPT_PROCESSES, "1")  # so that it is taken away again
    monkeypatch.delenv(KEPT_PROCESSES)
    for error in (OSError(30, "Read-only file system", "/tmp/ray"), Exception("raylet failed")):
        ray.faults["init"] = [error]
        with pytest.raises(EngineError, match=r"cannot be started .*(/tmp/ray|raylet).*=local"):
            case.ask(address=None)
    assert int(os.environ[KEPT_PROCESSES]) > (os.cpu_count() or 1), "those of a worker are kept"


@pytest.mark.parametrize("name", ["plan", "load", "decode", "answer"])
def test_a_defect_in_a_worker_passes_as_it_is(name: str, ray: OneProcess, case: Case) -> None:
    ray.faults[name] = [ray.error("RayTaskError", "a traceback", ZeroDivisionError("why"))]
    with pytest.raises(ray.exceptions.RayTaskError, match="a traceback"):
        case.ask()


def test_a_cluster_without_what_the_workers_need(ray: OneProcess, case: Case) -> None:
    ray.present = {"CPU": 1.0}
    with pytest.raises(EngineError) as caught:
        case.ask(cpus_per_worker=2, start_timeout_seconds=0.0)
    assert str(caught.value) == (
        "2 workers need 4 CPUs, of which the cluster has 1 (engine.num_workers, "
        "engine.gpus_per_worker, engine.cpus_per_worker)"
    )
    assert ray.joined is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plan", "not all of 2 workers started within 0 s (engine.start_timeout_seconds)"),
        ("load", "no worker has loaded the model within 0 s (engine.start_timeout_seconds)"),
        ("decode", "no worker has come back for 0 s (engine.start_timeout_seconds)"),
    ],
)
def test_what_is_waited_for_too_long(name: str, words: str, ray: OneProcess, case: Case) -> None:
    ray.silent = name
    with pytest.raises(EngineError) as caught:
        case.ask(start_timeout_seconds=0.0)
    assert str(caught.value) == words


@pytest.mark.slow
def test_what_comes_late_comes_in_time(ray: OneProcess, case: Case, plain: Asked) -> None:
    ray.num_empty_waits = 9
    asked = case.ask()
    assert asked.results == plain.results
    assert ray.num_empty_waits < 0


def test_a_cluster_that_grows_is_waited_for_and_it_is_said_once(
    ray: OneProcess, case: Case, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    clock = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    monkeypatch.setattr("llava_eval.engine.ray.cluster.time", clock)
    ray.present, ray.later = {"CPU": 1.0}, [{"CPU": 3.0}, {"CPU": 4.0}]
    case.ask(cpus_per_worker=2)
    assert caplog.messages.count("2 workers need 4 CPUs, of which the cluster has 1; waiting") == 1
    assert not any("has 3" in message for message in caplog.messages)
    assert pauses == [1.0, 1.0]


def test_the_clocks_of_all_workers_are_added_up(ray: OneProcess, case: Case) -> None:
    asked = case.ask()
    workers = asked.work["workers"]
    told = [worker["stage_seconds"] for worker in workers if worker["num_generated"]]
    assert told
    sums = sum(seconds["load_model"] for seconds in told)
    assert asked.seconds["load_model"] >= sums
    assert asked.seconds["prepare"] > 0
    assert 0 <= asked.seconds["decode_wait"] < 3600


def test_threads_of_models_on_a_cpu(ray: OneProcess, case: Case) -> None:
    case.ask(num_workers=1, cpus_per_worker=3)
    assert torch.get_num_threads() == 3


@pytest.mark.slow
def test_a_cluster_of_this_machine(
    ray: OneProcess, case: Case, plain: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(psutil.Process, "children", lambda *_, recursive: [])
    monkeypatch.delenv(KEPT_PROCESSES, raising=False)
    ray.present = {"CPU": 4000.0}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    assert case.ask(address=None, num_workers=2, cpus_per_worker=1000).results == plain.results
    assert signal.getsignal(signal.SIGTERM) is on_sigterm, "SLURM's signal ends the run"
    assert ray.started["address"] == "local"
    assert ray.started["num_cpus"] == 2000
    assert case.ask(address=None, num_workers=1).results == plain.results
    assert ray.started["num_cpus"] == num_cores(), "what a container leaves, not the machine's"
    assert ray.joined is None
    monkeypatch.setenv("HF_HOME", "/data/hub")  # where the checkpoint lies for the driver
    case.ask(address="head:1", num_workers=1)
    assert ray.started["runtime_env"]["env_vars"]["HF_HOME"] == "/data/hub"
    kept = int(os.environ[KEPT_PROCESSES])
    assert kept > (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("num_threads", "share", "expected"),
    [
        (None, Share(2, 0.0, 3), 3),
        (None, Share(2, 1.0, 3), None),
        (5, Share(2, 0.0, 3), 5),
        (5, Share(2, 1.0, 3), 5),
    ],
)
def test_threads_of_a_worker(
    num_threads: int | None,
    share: Share,
    expected: int | None,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = dataclasses.replace(case.config.runner, num_threads=num_threads)
    for name, folder in (("here", str(tmp_path / "here")), ("org/name", None)):
        (tmp_path / "here").mkdir(exist_ok=True)
        model = dataclasses.replace(case.config.model, checkpoint=name)
        config = dataclasses.replace(case.config, runner=runner, model=model)
        settings = WorkerSettings.of(config, share)
        assert settings.num_threads == expected
        assert settings.working_folder == str(tmp_path)
        assert settings.checkpoint_folder == folder


def test_a_node_that_lacks_the_checkpoint_or_the_media(
    ray: OneProcess, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = WorkerSettings.of(case.config, Share(1, 0.0, 1))
    away = dataclasses.replace(settings, checkpoint_folder=str(tmp_path / "away"))
    with pytest.raises(CheckpointError, match=r"^node \S+ cannot see \S+/away, the folder of the"):
        ModelWorker().plan(away)
    missing, addressed = (
        dataclasses.replace(case.samples[0], content=(Media("video", path), "Why?"))
        for path in (str(tmp_path / "v.mp4"), "ftp://here/v.mp4")
    )
    content = pickle.dumps((settings, None))
    status, decoded = decode(content, MediaGroup((missing,)))
    assert decoded is None
    assert status.unseen == str(tmp_path / "v.mp4")
    assert str(status.error).endswith("v.mp4: no such file")
    assert status.host
    status, _ = decode(content, MediaGroup((addressed,)))
    assert status.unseen is None
    assert status.error is not None


def test_the_first_batch_of_this_process_is_the_warm_up(case: Case) -> None:
    clock = StageClock()
    engine = LocalEngine(case.config, clock, plan_model(case.config, Needs()))
    engine.load()
    assert len(list(engine.answer(case.samples[:6]))) == 6
    engine.close()
    assert clock.warm_up["num_generated"] == 3


def test_a_worker_of_another_run_plans_anew(ray: OneProcess, case: Case) -> None:
    worker, settings = ModelWorker(), WorkerSettings.of(case.config, Share(2, 0.0, 2))
    facts = worker.plan(settings)
    assert worker.plan(dataclasses.replace(settings)) is facts
    assert torch.get_num_threads() == 2
    assert worker.plan(dataclasses.replace(settings, num_threads=3)) is not facts
    assert torch.get_num_threads() == 3


def test_relative_paths_are_the_drivers(
    ray: OneProcess, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the worker was started
    (tmp_path / "driver").mkdir()
    shutil.copy(case.samples[0].media[0].path, tmp_path / "driver" / "v.mp4")
    settings = WorkerSettings.of(case.config, Share(1, 0.0, 1))
    settings = dataclasses.replace(settings, working_folder=str(tmp_path / "driver"))
    medium = Media("video", "v.mp4")
    asked = dataclasses.replace(case.samples[0], content=(medium, "Why?"))
    status, decoded = decode(pickle.dumps((settings, None)), MediaGroup((asked,)))
    assert status.error is None
    assert status.seconds > 0
    assert decoded is not None
    assert {shown: clip.frame_indices for shown, clip in decoded.items()} == {medium: (0, 60)}
    elsewhere = dataclasses.replace(settings, working_folder=str(tmp_path / "not here"))
    elsewhere.enter_folder()
    assert Path.cwd() == tmp_path / "driver", "a node without that folder stays where it is"


@pytest.mark.slow
def test_a_folder_that_only_the_driver_sees_is_a_mistake_of_the_cluster(
    ray: OneProcess, case: Case, tmp_path: Path
) -> None:
    """Where a node cannot see a file that is there, no sample is blamed for it."""
    here = tmp_path / "v.mp4"
    here.write_bytes(b"")
    for unseen, expected in ((str(here), ConfigError), (str(tmp_path / "w.mp4"), None)):
        status = DecodeStatus(MediaError("v.mp4: no such file"), unseen, "beta")
        ray.results["decode"] = (status, None)
        if expected is None:
            assert case.ask().errors == ["MediaError: v.mp4: no such file"] * 9
        else:
            with pytest.raises(expected, match=f"^node beta cannot see {here}, which is there"):
                case.ask()


class Uncovers(Letters):
    """Makes a file when it is asked, so that only who answers did not see it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def generate(self, requests: Sequence[Request]) -> Iterator[Generation]:
        Path(self.path).write_text("1\n00:00:00,000 --> 00:01:00,000\nHello\n")
        return super().generate(requests)


def test_subtitles_that_only_the_driver_sees_are_a_mistake_of_the_cluster(
    ray: OneProcess, case: Case, tmp_path: Path
) -> None:
    """No sample is asked without its subtitles where only the node that asks lacks them."""
    path = tmp_path / "v.srt"
    sample = case.samples[0]
    lines = Subtitles(sample.media[0], str(path), "first_cue")
    asked = [dataclasses.replace(sample, content=(sample.media[0], lines, "Why?"))]
    for made, expected in ((tmp_path / "other.srt", None), (path, ConfigError)):
        model = dataclasses.replace(
            case.config.model,
            _target_=f"{__name__}.Uncovers",
            arguments={"path": str(made)},
        )
        changed = Case(dataclasses.replace(case.config, model=model), asked)
        if expected is None:
            (result,) = changed.ask().results  # a video without subtitles is asked as it is
            assert (result.prompt, result.generation.error) == ("Why?", None)
        else:
            with pytest.raises(expected, match=rf"^node \S+ cannot see {path}, which is there"):
                changed.ask()


def test_processes_that_run_and_that_do_not() -> None:
    psutil = pytest.importorskip("psutil")
    with subprocess.Popen(["sleep", "60"]) as process:
        seen = psutil.Process(process.pid)
        assert _is_running(seen)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not _is_running(seen), "nobody has waited for it, but it has ended"
    assert not _is_running(seen)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It died. Reason: no memory. More", "Reason: no memory"),
        ("It died\nbecause  of\tthat\nMore", "because of that"),
        ("No cause. is given", "No cause. is given"),
        ("x" * 400, "x" * 300),
        ("reason " * 100, ("reason " * 43)[:300]),
    ],
)
def test_what_ray_says_in_one_line(text: str, expected: str) -> None:
    assert reason_of(ValueError(text)) == expected


@pytest.mark.slow
def test_runs_of_a_sweep_share_workers(ray: OneProcess, case: Case, plain: Asked) -> None:
    with pool_kept():
        for _ in range(2):
            assert case.ask().results == plain.results
            assert ray.joined is not None
            assert ray.killed == []
        assert case.ask(num_workers=1).results == plain.results
        assert len(ray.killed) == 2  # it needs others
    assert ray.joined is None
    assert len(ray.killed) == 3
    assert ray.calls.count("plan") == 2 + 2 + 1
