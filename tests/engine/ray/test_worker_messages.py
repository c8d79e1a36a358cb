"""Workers run the same model with the same versions."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

from llava_eval.config.schema import RunConfig
from llava_eval.engine.ray.cluster import Share
from llava_eval.engine.ray.worker_messages import (
    WorkerFacts,
    WorkerSettings,
    check_agreement,
    joint_versions,
)
from llava_eval.errors import ConfigError
from llava_eval.results import environment

HERE = environment.versions()
ONE = WorkerFacts("n1", "alpha", 1, {"model": {"dtype": "torch.float16"}}, HERE, None, {})
TWO = dataclasses.replace(ONE, node="n2", host="beta")


def test_equal_workers_agree() -> None:
    check_agreement([ONE, TWO], allow_version_differences=False)
    assert joint_versions([ONE, TWO]) == HERE


def test_another_model_is_refused() -> None:
    other = dataclasses.replace(TWO, identity={"model": {"dtype": "torch.bfloat16"}})
    with pytest.raises(ConfigError, match=r"node beta .* on alpha: model\.dtype is .*16 for"):
        check_agreement([ONE, other], allow_version_differences=True)


def test_other_versions_are_refused_unless_allowed() -> None:
    other = dataclasses.replace(TWO, versions={**HERE, "torch": "1.0"})
    with pytest.raises(ConfigError, match=r"node beta has torch 1\.0, but this machine has "):
        check_agreement([ONE, other], allow_version_differences=False)
    check_agreement([ONE, other], allow_version_differences=True)
    assert joint_versions([ONE, other])["torch"] == f"1.0 and {HERE['torch']}"


def test_what_only_some_workers_have_is_refused() -> None:
    more = {**HERE, "flash-attn": "2.8"}
    one, other = dataclasses.replace(ONE, versions=more), TWO
    with pytest.raises(ConfigError, match=r"beta has flash-attn \(none\), but alpha has 2\.8"):
        check_agreement([one, other], allow_version_differences=False)
    with pytest.raises(ConfigError, match=r"alpha has flash-attn 2\.8, but beta has none"):
        check_agreement([other, one], allow_version_differences=False)
    same = [one, dataclasses.replace(TWO, versions=more)]
    check_agreement(same, allow_version_differences=False)


def test_a_package_that_one_worker_lacks_is_none_in_the_joint_versions() -> None:
    one = dataclasses.replace(ONE, versions={"a": "1", "b": "2"})
    two = dataclasses.replace(TWO, versions={"b": "1", "c": "3"})
    assert joint_versions([one, two]) == {"a": "1 and none", "b": "1 and 2", "c": "3 and none"}


def test_modules_of_the_driver_are_found_by_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a folder that --config-dir names."""
    (tmp_path / "my_frames_of_a_worker.py").touch()
    driver = list(sys.path)
    monkeypatch.setattr(sys, "path", [*driver, str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    settings = WorkerSettings.of(RunConfig(), Share(1, 0.0, 1))
    monkeypatch.setattr(sys, "path", list(driver))
    assert importlib.util.find_spec("my_frames_of_a_worker") is None
    settings.enter_folder()
    assert importlib.util.find_spec("my_frames_of_a_worker") is not None
    assert sys.path[: len(driver)] == driver
