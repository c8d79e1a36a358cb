"""What a manifest says of a run."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import platform
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import llava_eval
from llava_eval.errors import RunDirectoryError, ServerError
from llava_eval.models.clock import StageClock
from llava_eval.results import manifest
from llava_eval.results.environment import git_commit
from llava_eval.results.manifest import (
    Manifest,
    RunRecord,
    provenance,
    read_manifest,
)
from llava_eval.types import Generation
from tests.results.helpers import make_result


def test_the_code_is_told_first() -> None:
    told = provenance({"seed": 1})
    assert list(told) == ["fingerprint", "identity", "versions", "git_commit"]
    assert told["identity"] == {"seed": 1}
    assert told["fingerprint"] != provenance({"seed": 2})["fingerprint"]
    assert told["versions"]["python"] == platform.python_version()
    assert told["versions"]["llava_eval"] == llava_eval.__version__
    assert told["git_commit"] == git_commit()


def record(directory: Path, earlier: Manifest | None = None, **content: Any) -> RunRecord:
    stages = {"decode": 1.23456, "prefill": 0.0004}
    return RunRecord(directory, {"config": {}, **content}, earlier, stages)


def written(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "manifest.json").read_text()))


def test_what_was_generated_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [
        make_result(0, generation=Generation("a", 100, 2, "eos")),
        make_result(1, generation=Generation(None, error="E: x")),
        make_result(2, generation=Generation("b", 10, 5, "eos")),
    ]
    seconds = itertools.count(0.0, 3.0)
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    with record(tmp_path) as running:
        running.begin({})
        with running.counting(results, StageClock()):
            pass
    (session,) = written(tmp_path)["sessions"]
    assert (session["num_generated"], session["num_output_tokens"]) == (3, 7)
    assert session["num_failed"] == 1
    assert session["output_tokens_per_second"] == 2.333
    # The clock is asked as the record is made, for each manifest and at both ends of the block.
    assert (session["generating_seconds"], session["wall_seconds"]) == (3.0, 12.0)
    assert session["warm_up"] is None
    with record(tmp_path) as running, running.counting([], StageClock()):
        pass
    assert written(tmp_path)["sessions"][0]["output_tokens_per_second"] == 0.0


@pytest.mark.parametrize(
    ("error", "told"),
    [(None, (2, 1)), (KeyboardInterrupt(), (2, 1)), (ServerError("gone"), (None, None))],
)
def test_what_an_interrupted_process_has_generated_is_counted(
    tmp_path: Path, error: BaseException | None, told: tuple[int | None, ...]
) -> None:
    results = [make_result(number, generation=Generation("a", 9, 4, "eos")) for number in range(2)]
    clock = StageClock()
    with (
        contextlib.nullcontext() if error is None else pytest.raises(type(error)),
        record(tmp_path) as running,
    ):
        running.begin({})
        with running.counting(results, clock):
            clock.end_warm_up(1)
            if error is not None:
                raise error
    (session,) = written(tmp_path)["sessions"]
    warm_up = session.get("warm_up") or {}
    assert (session.get("num_generated"), warm_up.get("num_generated")) == told


def test_its_times_are_in_utc_to_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = datetime.datetime(2026, 1, 31, 23, 59, 58, 250_000, tzinfo=datetime.UTC)
    hours = itertools.count()
    clock = SimpleNamespace(now=lambda _: begin + datetime.timedelta(hours=next(hours)))
    monkeypatch.setattr(manifest, "datetime", SimpleNamespace(UTC=datetime.UTC, datetime=clock))
    with record(tmp_path) as running:
        running.begin({})
    (session,) = written(tmp_path)["sessions"]
    assert session["started"] == "2026-01-31T23:59:58+00:00"
    assert session["ended"] == "2026-02-01T01:59:58+00:00", "as it was written last"


def test_a_damaged_manifest_is_told_and_a_missing_one_is_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    (tmp_path / "manifest.json").write_text('{"status": "fini')
    with pytest.raises(RunDirectoryError, match=r"manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("HTTPS://me:word@host/v1", "HTTPS://host/v1"),
        ("ftp://me:word@host/a", "ftp://host/a"),
        ("https;//me:word@host/a", "https;//host/a"),
        ("rows of me:word", "rows of me:word"),
    ],
)
def test_secrets_of_addresses_stay_out_of_its_files(tmp_path: Path, typed: str, told: str) -> None:
    with record(tmp_path, config={"benchmark": {"source": typed}}) as running:
        running.begin({})
    for config in (
        written(tmp_path)["config"],
        yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8")),
    ):
        assert config == {"benchmark": {"source": told}}


def test_the_configuration_is_written_for_people(tmp_path: Path) -> None:
    config = {"model": "modèle", "benchmark": {"name": "日本", "facets": ["b", "a"]}}
    with record(tmp_path, config=config) as running:
        running.begin({})
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == (
        "model: modèle\nbenchmark:\n  name: 日本\n  facets:\n  - b\n  - a\n"
    )


def test_a_manifest_tells_of_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["llava-eval", "judge.base_url=https://me:word@host/v1"])
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    address = "https://me:word@host/v1?key=1"
    config = {"judge": {"base_url": address, "urls": [address], "note": f"see {address}"}}
    with record(tmp_path, fingerprint="f", config=config) as running:
        assert not (tmp_path / "manifest.json").exists()
        running.begin({"device_name": "cpu"})
        content = written(tmp_path)
        assert (content["status"], content["model"]) == ("running", {"device_name": "cpu"})
        running.add(judge={"cost": 2.5})
        running.add_work(num_generated=7)
    content = written(tmp_path)
    assert list(content) == ["status", "config", "fingerprint", "model", "judge", "sessions"]
    assert (content["status"], content["judge"]) == ("finished", {"cost": 2.5})
    # Addresses are told without what may be a secret; other texts are not of our making.
    told = {**config["judge"], "base_url": "https://host/v1?...", "urls": ["https://host/v1?..."]}
    assert content["config"]["judge"] == told
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["judge"] == told
    (session,) = content["sessions"]
    assert session["command"] == ["llava-eval", "judge.base_url=https://host/v1"]
    assert session["process_id"] == os.getpid()
    assert session["machine"]["num_cpus"] == os.cpu_count()
    assert session["num_generated"] == 7
    assert session["stage_seconds"] == {"decode": 1.235, "prefill": 0.0}
    assert session["wall_seconds"] == round(session["wall_seconds"], 3) >= 0
    assert session["peak_host_memory_bytes"] > 1_000_000
    started, ended = map(datetime.datetime.fromisoformat, (session["started"], session["ended"]))
    assert before <= started <= ended <= datetime.datetime.now(datetime.UTC)


def test_a_later_process_keeps_what_earlier_ones_said(tmp_path: Path) -> None:
    with record(tmp_path, benchmark="a") as first:
        first.begin({"device_name": "cpu"})
    earlier = read_manifest(tmp_path)
    assert earlier is not None
    assert (earlier.status, earlier.benchmark, len(earlier.sessions)) == ("finished", "a", 1)
    with record(tmp_path, earlier, benchmark="b") as second:
        second.begin({})
        second.add_work(peak_host_memory_bytes=1 << 50)
    content = written(tmp_path)
    assert (content["benchmark"], content["model"]) == ("b", {"device_name": "cpu"})
    assert len(content["sessions"]) == 2
    assert content["sessions"][0] == earlier.content["sessions"][0]
    assert content["sessions"][1]["peak_host_memory_bytes"] == 1 << 50, "a worker held more"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "stopped"),
        (KeyboardInterrupt(), "interrupted"),
        (ServerError("gone"), "failed"),
        (ZeroDivisionError(), "running"),
    ],
)
def test_a_manifest_says_how_the_run_ended(
    tmp_path: Path, error: BaseException | None, status: str
) -> None:
    for has_begun in (True, False):
        directory = tmp_path / str(has_begun)
        directory.mkdir()
        with (
            contextlib.suppress(*([] if error is None else [type(error)])),
            record(directory) as running,
        ):
            if has_begun:
                running.begin({})
            running.end = "stopped"
            if error is not None:
                raise error
        if has_begun:
            assert written(directory)["status"] == status
        elif error is not None:
            assert list(directory.iterdir()) == [], "what fails at the start leaves nothing"


def test_a_full_disk_hides_no_error(tmp_path: Path) -> None:
    running = record(tmp_path / "away")
    running.is_written = True
    with pytest.raises(ServerError, match="gone"), running:
        raise ServerError("gone")


@pytest.mark.parametrize(
    ("before", "now", "num_said"),
    [("m-05", "m-08", 1), ("m-05", "m-05", 0), (None, "m-08", 0)],
)
def test_another_model_than_before_is_told(
    before: str | None, now: str, num_said: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where an endpoint's name stands for a newer model when a run is continued."""
    with record(tmp_path) as first:
        first.begin({"answers_as": before})
    with record(tmp_path, read_manifest(tmp_path)) as second:
        second.begin({"answers_as": now})
    told = f"finished samples are answers of {before}, and the others will be of {now}"
    assert caplog.messages == [told] * num_said


def test_a_run_of_several_models_says_so_beside_its_numbers(tmp_path: Path) -> None:
    noted = []
    for number, name in enumerate(["m-04", "m-05", "m-08", "m-08", None]):
        with record(tmp_path, read_manifest(tmp_path)) as running:
            running.begin({"answers_as": name} if name else {}, has_results=number > 1)
        noted.append(running.notes)
    assert noted == [[], [], *[["answers are of m-05 and m-08, by one name of a server"]] * 3]
    assert written(tmp_path)["model"] == {"answers_as": "m-05 and m-08"}
