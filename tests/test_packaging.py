"""The wheel brings everything that the command needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import llava_eval
from tests.processes import PATIENCE_SECONDS

CHECKOUT = Path(llava_eval.__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (CHECKOUT / "pyproject.toml").is_file():
        pytest.skip("not run from a checkout")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_configuration_and_demo_travel_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (CHECKOUT / "configs").rglob("*.yaml"):
        assert f"llava_eval/configs/{path.relative_to(CHECKOUT / 'configs').as_posix()}" in names
    assert {"llava_eval/demo/checkpoint/model.safetensors", "llava_eval/py.typed"} <= names
    assert not any(name.startswith(("tests/", "scripts/")) for name in names)
    assert wheel.stat().st_size < 15 << 20


@pytest.mark.slow
def test_the_wheel_runs_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "import llava_eval; assert 'site' in llava_eval.__file__\n"
        "from llava_eval.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "site"), "benchmark.limit=3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "3 samples: 3 scored" in done.stdout


def test_the_changelog_names_the_version() -> None:
    text = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert llava_eval.__version__ in text or "## Unreleased" in text
