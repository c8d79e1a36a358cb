"""The import rule: which room may see which, and what stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import llava_eval

PACKAGE = Path(llava_eval.__file__).parent

#: Modules that every room may import.
COMMON = {"types", "errors", "mappings", "keys", "timing", "appending"}

ROOMS = {
    "types": set(),
    "errors": set(),
    "mappings": set(),
    "keys": set(),
    "timing": set(),
    "appending": set(),
    "video": COMMON,
    "benchmarks": COMMON,
    "endpoint": COMMON,
    "models": COMMON | {"endpoint"},
    "judge": COMMON | {"endpoint"},
    "prepare": COMMON,
    "published": COMMON,
    "scorers": COMMON | {"metrics"},
    "metrics": COMMON,
    "results": COMMON | {"metrics"},
    "config": COMMON,
}


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms of the package that a file imports, wherever in the file it does so."""
    rooms = set()
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
                rooms.add(parts[1])
    return rooms


def files_of(room: str) -> list[Path]:
    single = PACKAGE / f"{room}.py"
    return [single] if single.is_file() else sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = files_of(room)
    assert files
    for path in files:
        foreign = imported_rooms(path) - ROOMS[room] - {room}
        assert not foreign, f"{path} imports {sorted(foreign)}"


def test_every_room_is_listed() -> None:
    joining = {
        "backends",
        "cli",
        "engines",
        "parts",
        "pipeline",
        "evaluation",
        "generating",
        "job",
        "judging",
        "listing",
        "preparation",
        "progress",
        "sweep",
        "turns",
        "__init__",
    }
    found = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()
    }
    assert found == set(ROOMS) | joining


def test_models_never_name_a_benchmark_nor_benchmarks_a_model() -> None:
    for room, words in (("models", ["videomme", "nextqa"]), ("benchmarks", ["llava_next"])):
        for path in files_of(room):
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
