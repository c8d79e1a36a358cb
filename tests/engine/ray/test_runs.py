"""Whole runs on real Ray: nodes on this machine, workers and nodes killed, a dead driver."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.conftest import DEMO, read_lines, write_lines
from tests.engine.ray.nodes import PATIENT, Cluster, can_hide_folders, raylets_of
from tests.processes import (
    Command,
    SignalAtLine,
    descendants,
    is_running,
    name_of,
    num_lines,
    run_command,
    wait_for,
    wait_for_end,
)

pytestmark = pytest.mark.slow

NUM_SAMPLES = 60
ARGUMENTS = [
    f"benchmark.limit={NUM_SAMPLES}",
    "sampler.num_frames=4",
    "runner.batch_size=3",
    "runner.decode_workers=1",
    "output_dir=out",
]


@pytest.fixture(autouse=True, scope="module")
def patient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, text in PATIENT.items():
            patch.setenv(name, text)
        yield


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint and the videos that the cluster's second node cannot see."""
    folder = tmp_path_factory.mktemp("hidden")
    shutil.copytree(DEMO / "checkpoint", folder / "checkpoint")
    shutil.copytree(DEMO / "videos", folder / "videos")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One node at first: on each further one a run imports everything to decode there, too."""
    pytest.importorskip("ray")
    nodes = Cluster()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, text in nodes.environment.items():
                patch.setenv(name, text)
            yield nodes
    finally:
        nodes.stop()


@pytest.fixture(scope="module")
def two_nodes(cluster: Cluster, hidden: Path) -> Cluster:
    cluster.add_node(blind_to=hidden if can_hide_folders() else None)
    return cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of the local engine, unbroken."""
    folder = tmp_path_factory.mktemp("whole")
    done = run_command(ARGUMENTS, folder)
    assert done.exit_code == 0, done.stderr
    return folder / "out"


def on(cluster: Cluster, num_workers: int) -> list[str]:
    return ["engine=ray", f"engine.address={cluster.address}", f"engine.num_workers={num_workers}"]


def stopped_at(line: int, arguments: list[str], folder: Path) -> Command:
    """Return a command that has stopped itself when it had answered so many samples."""
    command = Command(arguments, folder, before=SignalAtLine(line, signal.SIGSTOP))
    command.wait_until_stopped()
    return command


def same_results(one: Path, other: Path) -> bool:
    names = ("samples.jsonl", "metrics.json", "metrics.csv", "metrics.md")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def lethal_checkpoint(folder: Path, word: str) -> Path:
    """Return a checkpoint whose own code ends the process where a prompt holds a word."""
    shutil.copytree(DEMO / "checkpoint", folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForImageTextToText": "lethal.Lethal"}
    (folder / "config.json").write_text(json.dumps(config))
    # transformers renames the old name of this weight for its own classes only.
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights.pop("language_model.lm_head.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "lethal.py").write_text(
        "import os, signal\n"
        "from pathlib import Path\n"
        "from transformers import LlavaNextVideoForConditionalGeneration, AutoTokenizer\n"
        f"TOKENIZER = AutoTokenizer.from_pretrained({str(folder)!r})\n"
        "class Lethal(LlavaNextVideoForConditionalGeneration):\n"
        "    def generate(self, input_ids=None, **arguments):\n"
        f"        if any({word!r} in text for text in TOKENIZER.batch_decode(input_ids)):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().generate(input_ids=input_ids, **arguments)\n"
    )
    return folder


def lethal_sampler(folder: Path, video: str) -> None:
    """Write a sampler that ends the process for one video."""
    (folder / "lethal_sampler.py").write_text(
        "import os, signal\n"
        "def pick(info, num_frames: int):\n"
        f"    if info.path.endswith({video!r}):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return [0] * num_frames\n"
    )


def find_modules_here() -> None:
    sys.path.insert(0, str(Path.cwd()))


def test_what_kills_workers_is_an_error_of_its_own(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One question ends every model that it is asked, one video every process that decodes it."""
    rows = read_lines(DEMO / "multiple_choice.jsonl")[:9]
    rows[4]["question"] = f"{rows[4]['question']} zebra"
    source = write_lines(tmp_path / "rows.jsonl", rows)
    checkpoint = lethal_checkpoint(tmp_path / "lethal", "zebra")
    lethal_sampler(tmp_path, f"{rows[6]['videoID']}.mp4")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    arguments = [
        *ARGUMENTS,
        *on(cluster, 1),
        "engine.max_tries=2",
        "sampler._target_=lethal_sampler.pick",
        f"benchmark.source={source}",
        f"benchmark.media_root={DEMO / 'videos'}",
        f"model.checkpoint={checkpoint}",
        "model.trust_remote_code=true",
    ]
    done = run_command(arguments, tmp_path, before=find_modules_here)
    assert done.exit_code == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = read_lines(tmp_path / "out" / "samples.jsonl")
    errors = [line["generation"]["error"] for line in lines]
    assert [number for number, error in enumerate(errors) if error] == [4, 6, 7, 8]
    assert errors[4].startswith("EngineError: ended its worker 2 times")
    assert errors[6].startswith("MediaError: ")
    assert errors[6].endswith(".mp4: decoding it ended its process 2 times")
    assert [line["score"]["value"] for line in lines if line["generation"]["error"]] == [None] * 4


def test_a_new_worker_with_another_model_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    """The weights change while the run goes on: nobody may answer with the new ones."""
    checkpoint = shutil.copytree(DEMO / "checkpoint", tmp_path / "checkpoint")
    arguments = [*ARGUMENTS, *on(cluster, 1), f"model.checkpoint={checkpoint}"]
    command = stopped_at(1, arguments, tmp_path)
    weights = load_file(checkpoint / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1
    save_file(weights, tmp_path / "other.safetensors", {"format": "pt"})
    (tmp_path / "other.safetensors").replace(checkpoint / "model.safetensors")
    os.kill(cluster.workers()[0], signal.SIGKILL)
    command.send(signal.SIGCONT)
    done = command.finish()
    assert done.exit_code == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if "not run the same model" in text]
    assert line.startswith("llava-eval: node ")
    assert ": checkpoint_files.model.safetensors is " in line
    assert 0 < num_lines(tmp_path / "out") < NUM_SAMPLES
    wait_for(lambda: not cluster.workers())


def test_a_driver_a_worker_and_a_node_are_lost(
    two_nodes: Cluster, whole: Path, tmp_path: Path
) -> None:
    """One run through all of it ends with the files of an unbroken local run."""
    first = stopped_at(5, [*ARGUMENTS, *on(two_nodes, 1)], tmp_path)
    first.send(signal.SIGKILL)
    first.finish()
    wait_for(lambda: not two_nodes.workers())
    before = num_lines(tmp_path / "out")

    node = two_nodes.add_node()
    second = stopped_at(1, [*ARGUMENTS, *on(two_nodes, 3)], tmp_path)
    worker = next(pid for pid in two_nodes.workers() if pid not in descendants(node.pid))
    os.kill(worker, signal.SIGKILL)
    for pid in raylets_of(node.pid):
        os.kill(pid, signal.SIGKILL)
    second.send(signal.SIGCONT)
    done = second.finish()
    assert done.exit_code == 0, done.stderr
    assert "died and is replaced" in done.stderr
    assert same_results(tmp_path / "out", whole)
    manifest, local = manifest_of(tmp_path / "out"), manifest_of(whole)
    for name in ("guards", "runner"):
        assert set(manifest[name]) == set(local[name])
    assert manifest["first_prompt"].startswith("USER: <video>\nSelect the best answer")
    session = manifest["sessions"][-1]
    assert session["peak_host_memory_bytes"] == max(
        entry.get("peak_host_memory_bytes", 0) for entry in session["workers"]
    )
    assert session["peak_host_memory_bytes"] > 1 << 20
    assert {"vision", "prefill", "decode"} <= set(session["stage_seconds"])
    assert sum(entry["num_generated"] for entry in session["workers"]) == session["num_generated"]
    assert session["num_generated"] == NUM_SAMPLES - before
    ended = [entry["process_id"] for entry in session["workers"] if entry["ended"]]
    assert worker in ended
    assert len(session["nodes"]) >= 3
    assert len({entry["node"] for entry in session["workers"] if "node" in entry}) == 3
    wait_for(lambda: not two_nodes.workers())


def test_a_dead_driver_leaves_nothing_and_the_other_engine_goes_on(
    whole: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    first = stopped_at(6, ARGUMENTS, tmp_path)
    first.send(signal.SIGKILL)
    first.finish()
    second = stopped_at(6, [*ARGUMENTS, "engine=ray", "engine.num_workers=1"], tmp_path)
    below = descendants(second.pid)
    assert any(name_of(pid).startswith("ray::ModelWorker") for pid in below)
    second.send(signal.SIGKILL)
    second.finish()
    wait_for_end(below)
    third = run_command(ARGUMENTS, tmp_path)
    assert third.exit_code == 0, third.stderr
    assert same_results(tmp_path / "out", whole)


@pytest.mark.parametrize("vital", ["raylet", "gcs_server"])
def test_the_end_of_ray_itself_is_one_line(tmp_path: Path, vital: str) -> None:
    """Where the only node is lost there is no elsewhere, but what is finished stays."""
    pytest.importorskip("ray")
    command = stopped_at(1, [*ARGUMENTS, "engine=ray", "engine.num_workers=1"], tmp_path)
    below = descendants(command.pid)
    (victim,) = [pid for pid in below if f"/{vital}" in name_of(pid).partition(" ")[0]]
    os.kill(victim, signal.SIGKILL)
    command.send(signal.SIGCONT)
    done = command.finish()
    assert done.exit_code == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("llava-eval: Ray")]
    assert f"cannot go on: its {vital} has died; finished samples are kept" in line
    assert not [name_of(pid) for pid in below if is_running(pid)]
    assert 0 < num_lines(tmp_path / "out") < NUM_SAMPLES


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    command = Command([*ARGUMENTS, "engine=ray", "engine.num_workers=1"], tmp_path)
    below: list[int] = []

    def has_worker() -> bool:
        below[:] = descendants(command.pid) or below
        return any(name_of(pid).startswith("ray::Model") for pid in below)

    wait_for(lambda: has_worker() or not command.is_running)
    command.send(signal.SIGINT)
    done = command.finish()
    assert done.exit_code == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert not [name_of(pid) for pid in below if is_running(pid)]


@pytest.mark.skipif(not can_hide_folders(), reason="no right to make a mount namespace")
def test_what_a_node_cannot_see_is_named(two_nodes: Cluster, hidden: Path, tmp_path: Path) -> None:
    checkpoint, videos = hidden / "checkpoint", hidden / "videos"
    arguments = [*ARGUMENTS, *on(two_nodes, 2)]
    for override, message in (
        (f"model.checkpoint={checkpoint}", f" cannot see {checkpoint}, the folder of the check"),
        (f"benchmark.media_root={videos}", f" cannot see {videos}/demo_"),
    ):
        done = run_command([*arguments, override], tmp_path)
        assert done.exit_code == 2, done.stderr
        assert "Traceback" not in done.stderr
        (line,) = [text for text in done.stderr.splitlines() if text.startswith("llava-eval: node")]
        assert message in line
