"""Settings of a user's own, in a folder of the working directory; and the debug settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

import llava_eval
from llava_eval.cli import run_command
from llava_eval.config.build import build_target
from llava_eval.config.choices import list_choices
from llava_eval.config.compose import compose_config
from llava_eval.errors import ConfigError
from llava_eval.results.runs import targets_in

LOCAL = """\
# @package _global_
benchmark:
  media_root: /data
model:
  dtype: float16
judge:
  base_url: http://localhost:9/v1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a user's folder in the working directory."""
    monkeypatch.chdir(tmp_path)
    local = tmp_path / "llava_eval_local" / "local"
    local.mkdir(parents=True)
    (local / "default.yaml").write_text(LOCAL)
    return local.parent


@pytest.mark.slow
def test_settings_of_the_working_directory(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["--cfg", "benchmark=activitynet_qa/llava_next"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["benchmark"]["media_root"] == "/data"
    assert found["judge"]["base_url"] == "http://localhost:9/v1"
    assert run_command(["--cfg", "local=none", "benchmark=activitynet_qa/llava_next"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["benchmark"]["media_root"] is None


@pytest.mark.slow
def test_they_are_those_of_python_too(folder: Path, tmp_path: Path) -> None:
    run = llava_eval.evaluate("benchmark.limit=2", f"output_dir={tmp_path / 'run'}")
    assert run.model == "demo (dtype=float16)"


@pytest.mark.slow
def test_the_embedded_benchmark_keeps_its_own_folder(folder: Path) -> None:
    config = compose_config([], folder).config
    assert config.benchmark.media_root == "package://llava_eval/demo/videos"


@pytest.mark.slow
def test_what_changes_a_number_is_shown_beside_its_name(folder: Path) -> None:
    assert compose_config([], folder).model_overrides == {"dtype": "float16"}
    assert compose_config(["model.dtype=auto"], folder).model_overrides == {}


@pytest.mark.slow
def test_another_folder_takes_its_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = folder.parent / "other"
    other.mkdir()
    assert run_command(["--cfg", "--config-dir", str(other), "benchmark=videomme/official"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["benchmark"]["media_root"] is None


@pytest.mark.slow
def test_debug_is_a_few_rows_in_the_plainest_way() -> None:
    composed = compose_config(["debug=default"])
    runner = composed.config.runner
    assert (runner.decode_workers, runner.share_prefixes, runner.batch_size) == (1, False, 1)
    assert composed.benchmark_overrides == {"limit": 4}
    assert composed.model_overrides == {"dtype": "float32"}


@pytest.mark.slow
def test_a_scorer_and_its_module_lie_in_the_folder(folder: Path) -> None:
    (folder / "scorer").mkdir()
    (folder / "scorer" / "first.yaml").write_text("_target_: first_letters_of_mine.First\n")
    (folder / "first_letters_of_mine.py").write_text(
        "from llava_eval.scoring.text import ExactMatch\n\n\nclass First(ExactMatch):\n    pass\n"
    )
    try:
        composed = compose_config(["scorer=first"], folder)
        assert composed.benchmark_overrides == {"scorer": "first"}
        built = build_target(composed.resolved["scorer"], key="scorer")
        assert type(built).__module__ == "first_letters_of_mine"
    finally:
        sys.path.remove(str(folder))


def test_a_damaged_file_of_settings_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("a: [\n")
    with pytest.raises(ConfigError, match=r"other\.yaml cannot be read"):
        llava_eval.evaluate(f"output_dir={tmp_path / 'run'}", config_dir=tmp_path)
    assert not (tmp_path / "run").exists()


def test_folders_that_are_linked_below_it_count(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "plain.yaml").write_text("metrics: {own: {_target_: mine.metric}}\n")
    (elsewhere / "_rows.yaml").write_text("a: 1\n")
    (elsewhere / ".saved.yaml").write_text("not: [yaml\n")
    (elsewhere / "above").symlink_to(elsewhere)
    settings = tmp_path / "settings"
    (settings / "benchmark").mkdir(parents=True)
    (settings / "benchmark" / "mine").symlink_to(elsewhere)
    options = list_choices("benchmark", settings)
    assert [name for name in options if name.startswith("mine")] == ["mine/plain"]
    assert list(targets_in(settings)) == ["mine.metric"]
