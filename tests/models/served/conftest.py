"""The embedded checkpoint behind ``transformers serve``, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.served.serve import transformers_serve


@pytest.fixture(scope="session")
def served_demo(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the base URL of a real server with the embedded checkpoint."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    log = tmp_path_factory.mktemp("served") / "serve.log"
    with transformers_serve(demo / "checkpoint", log) as base_url:
        yield base_url
