"""The import rule: which stage may see which, and what stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import llava_eval

PACKAGE = Path(llava_eval.__file__).parent

#: Stages in the order in which data passes them; a stage imports only what comes before it.
ORDER = (
    "errors",
    "types",
    "borders",
    "config",
    "benchmarks",
    "video",
    "benchmarks/prepare",
    "models",
    "scoring",
    "metrics",
    "results",
    "engine",
    "run",
    "commands",
    "cli",
)

#: What each stage may import of the package.
STAGES: dict[str, set[str]] = {
    stage: {other.partition("/")[0] for other in ORDER[:number]}
    for number, stage in enumerate(ORDER)
}


def imported_stages(path: Path) -> set[str]:
    """Return the stages of the package that a file imports, wherever in the file it does so."""
    stages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "llava_eval" and len(parts) > 1 and parts[1] != "__version__":
                stages.add(parts[1])
    return stages


def files_of(stage: str) -> list[Path]:
    single = PACKAGE / f"{stage}.py"
    if single.is_file():
        return [single]
    within = [other for other in STAGES if other.startswith(f"{stage}/")]
    return [
        path
        for path in sorted((PACKAGE / stage).rglob("*.py"))
        if not any(path.is_relative_to(PACKAGE / other) for other in within)
    ]


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_imports_only_what_it_may(stage: str) -> None:
    files = files_of(stage)
    assert files
    for path in files:
        foreign = imported_stages(path) - STAGES[stage] - {stage.partition("/")[0]}
        assert not foreign, f"{path} imports {sorted(foreign)}"


def test_every_stage_is_listed() -> None:
    found = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()
    }
    assert found == {stage for stage in STAGES if "/" not in stage} | {"__init__"}


def test_contributors_read_the_order_that_is_held() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert re.findall(r"^\d+\. `([a-z/]+)`", text, re.MULTILINE) == list(ORDER)


def test_contributors_find_every_module_that_is_named() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:llava_eval/)?([\w/]+\.py)`", text)) - {
        "tests/test_structure.py",
        "utils.py",
    }
    paths = [f"/{path.relative_to(PACKAGE.parent).as_posix()}" for path in PACKAGE.rglob("*.py")]
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in paths)] == []
    assert len(named) > 15
    for module, name in re.findall(r"`([\w/]+\.py)`\s`(\w+)`", text):
        (path,) = [PACKAGE.parent / path[1:] for path in paths if path.endswith(f"/{module}")]
        assert re.search(rf"^(class|def) {name}\b", path.read_text(encoding="utf-8"), re.M), name


def test_no_module_name_occurs_twice() -> None:
    names = [path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert sorted(set(names)) == sorted(names)


def test_models_never_name_a_benchmark_nor_benchmarks_a_model() -> None:
    for stage, words in (("models", ["videomme", "nextqa"]), ("benchmarks", ["llava_next"])):
        for path in files_of(stage):
            text = path.read_text(encoding="utf-8").lower()
            code = "\n".join(line for line in text.splitlines() if "llava_next_video'" not in line)
            assert not [word for word in words if word in code], path


def test_help_and_types_load_nothing_heavy() -> None:
    script = (
        "import sys, llava_eval.cli, llava_eval.types\n"
        "heavy = {'torch', 'transformers', 'hydra', 'numpy', 'pandas', 'av', 'tqdm'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_is_called_utils() -> None:
    assert not list(PACKAGE.rglob("util*.py"))
