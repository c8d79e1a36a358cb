"""Files and their plain decodes, made once for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llava_eval.video.fast import forget_indices
from tests.video import corpus, naive

FileOf = Callable[[str], str]


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of tests: no file is made twice."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "corpus"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def file_of(corpus_folder: Path) -> FileOf:
    """The path of a corpus file."""
    return lambda name: str(corpus.make(name, corpus_folder))


@pytest.fixture(scope="session")
def shown_by(file_of: FileOf) -> Callable[[str], tuple[naive.Frames, list[float | None]]]:
    """All frames and times of a corpus file, decoded plainly."""
    known: dict[str, tuple[naive.Frames, list[float | None]]] = {}

    def decode(name: str) -> tuple[naive.Frames, list[float | None]]:
        if name not in known:
            known[name] = naive.decode_all(file_of(name))
        return known[name]

    return decode


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of its own for each test, and no indices in memory."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LLAVA_EVAL_CACHE", str(folder))
    forget_indices()
    yield folder
    forget_indices()
