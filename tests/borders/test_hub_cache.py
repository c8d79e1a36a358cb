"""The hub's client, with an endpoint that is not there or breaks off."""

from __future__ import annotations

import time
from pathlib import Path

import huggingface_hub.constants
import pytest

from llava_eval.borders.hub_cache import hub_errors, snapshot
from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import find_checkpoint
from tests.borders.raw_server import raw_server, says

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit of the model a/b in a cache, as the client's first versions left it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # 23 s, between the client's attempts
    folder = tmp_path / "models--a--b" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_what_is_cached_is_returned_without_a_network(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert snapshot("a/b", COMMIT, ["*.json"]) == cached


def test_a_connection_that_breaks(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(says(b"")) as address:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        assert snapshot("a/b", COMMIT, ["*.json"]) == cached
        with pytest.raises(hub_errors(), match="disconnected"):
            snapshot("a/c", COMMIT, ["*.json"])


@pytest.mark.parametrize(
    "body",
    [
        "<html><title>Log in</title></html>",
        '{"id": "a/c"}\n{"id": "a/c"}',
        "[]",
        "null",
        '{"id": "a/c", "siblings": []}',
        '{"sha": "0", "siblings": []}',
        '{"id": "a/c", "sha": "0", "siblings": [{}]}',
        '{"id": "a/c", "sha": "0", "siblings": "none"}',
        '{"id": "a/c", "sha": "0", "siblings": [], "lastModified": 7}',
    ],
)
def test_an_answer_that_is_none_of_a_hub(
    cached: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with raw_server(says(f"{head}{body}".encode())) as address:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        with pytest.raises(OSError, match="what answered is no hub"):
            snapshot("a/c", None, ["*.json"])
        with pytest.raises(CheckpointError, match=r"does not hand out a/c: what answered"):
            find_checkpoint("a/c", None)
