"""What a server is, by what it says of itself; and what of that is believed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from llava_eval.errors import CheckpointError
from llava_eval.models.chat_client import ChatClient
from llava_eval.models.served.messages import readable
from llava_eval.models.served.server import Server, find_server
from tests.borders.raw_server import raw_server, says
from tests.models.chat_server import ChatServer, failure
from tests.models.served.fakes import PAGES, echo, served


class BusyPages(ChatServer):
    """A server that gives a page only after so many errors."""

    def __init__(
        self,
        pages: dict[str, object],
        *,
        num_errors: int = 0,
        status: int = 503,
        path: str = "/v1/models",
    ) -> None:
        super().__init__(echo, pages)
        self.busy_path = path
        self.num_errors = num_errors
        self.status = status
        self.asked: list[str] = []
        self.asked_at: list[float] = []  # seconds

    def page(self, path: str) -> tuple[int, object]:
        self.asked.append(path)
        self.asked_at.append(time.monotonic())
        if path == self.busy_path and self.asked.count(path) <= self.num_errors:
            return self.status, {"error": {"message": "not now"}}
        return super().page(path)


def found(server: BusyPages, *, kind: str = "auto", checkpoint: str = "m") -> Server:
    server.start()
    client = ChatClient(server.base_url, "no-key", 10.0)
    try:
        return find_server(client, served(checkpoint, server.base_url, kind=kind))
    finally:
        client.close()
        server.stop()


@pytest.mark.slow
def test_three_attempts_at_a_page() -> None:
    server = BusyPages(PAGES["vllm"], num_errors=2)
    answer = found(server)
    assert (answer.kind, answer.version) == ("vllm", "0.12.0")
    assert server.asked.count("/v1/models") == 3


@pytest.mark.slow
def test_a_page_is_asked_for_again_when_the_server_says() -> None:
    server = BusyPages(PAGES["vllm"], num_errors=1)
    server.error_headers = {"Retry-After": "0.7"}  # of itself it waits 0.25 s at most
    assert found(server).kind == "vllm"
    first, second, *_ = server.asked_at
    assert second - first >= 0.7


def test_a_server_that_is_busy_for_an_hour_is_not_waited_for() -> None:
    server = BusyPages(PAGES["vllm"], num_errors=1)
    server.error_headers = {"Retry-After": "3600"}
    assert found(server).kind == "openai"
    assert server.asked.count("/v1/models") == 1


@pytest.mark.slow
def test_a_server_that_lists_nothing_now_is_of_no_other_kind() -> None:
    with pytest.raises(CheckpointError, match=r"lists no models now: HTTP 503: .* \(3 attempts\)"):
        found(BusyPages(PAGES["vllm"], num_errors=3))
    assert found(BusyPages(PAGES["vllm"], num_errors=3, status=500)).kind == "openai"
    assert found(BusyPages(PAGES["vllm"], num_errors=3), kind="vllm").kind == "vllm"


@pytest.mark.slow
def test_a_page_that_decides_what_is_asked_is_not_passed_over() -> None:
    """Else videos went as images to transformers serve, and prompts to vLLM without their <s>."""
    busy = BusyPages(PAGES["transformers"], num_errors=3, path="/openapi.json")
    with pytest.raises(
        CheckpointError, match=r"/openapi\.json does not answer now: HTTP 503: .*\.kind names"
    ):
        found(busy)
    assert found(BusyPages(PAGES["transformers"])).kind == "transformers"
    assert found(BusyPages(PAGES["vllm"], num_errors=3, path="/version")).version is None
    pages = {name: page for name, page in PAGES["vllm"].items() if name != "POST /tokenize"}
    gateway, away = BusyPages(pages), BusyPages(pages)
    gateway.behaviour = lambda content, number: failure(400)
    assert not found(gateway).dialect.asks_special_tokens
    away.behaviour = lambda content, number: failure(503)
    with pytest.raises(CheckpointError, match=r"/chat/completions does not answer now: HTTP 503"):
        found(away)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "told"), [(b"", "it is empty"), (b"<html>\nChat", "it begins '<html> Chat'")]
)
def test_a_web_server_that_knows_no_such_address(page: bytes, told: str) -> None:
    """As Caddy, which has an empty answer with status 200 for what is not configured."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(page)
    with raw_server(says(answer + page)) as address:
        asked = served("m", f"{address}/v1")
        client = ChatClient(f"{address}/v1", "no-key", 10.0)
        with pytest.raises(CheckpointError, match=rf"lists no models now: .*; {told}\) \(3 att"):
            find_server(client, asked)
        asked.server.kind = "openai"
        assert find_server(client, asked).kind == "openai"
        client.close()


@pytest.mark.slow
def test_what_will_not_pass_is_asked_once() -> None:
    server = BusyPages(PAGES["vllm"], num_errors=1, status=400)
    assert found(server).kind == "openai"
    assert server.asked == ["/v1/models", "/openapi.json"]
    with pytest.raises(CheckpointError, match="refuses the key in the environment variable OPENAI"):
        found(BusyPages(PAGES["vllm"], num_errors=1, status=403))
    assert found(BusyPages(PAGES["vllm"], num_errors=1, status=404)).kind == "openai"


def card(**fields: object) -> dict[str, object]:
    return {"/v1/models": {"data": [{"id": "m", "owned_by": "vllm", **fields}]}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"root": "org/m", "max_model_len": 4096}, {"root": "org/m", "max_model_len": 4096}),
        ({"root": 7, "max_model_len": "4096"}, {}),
        ({"root": "", "max_model_len": True, "created": 1}, {}),
        ({"root": "a\nb", "max_model_len": 4096.0}, {}),
        ({"root": "x" * 500}, {"root": "x" * 500}),
        ({"root": "x" * 501}, {}),
    ],
)
def test_what_a_list_of_models_decides(fields: dict[str, object], expected: object) -> None:
    server = found(BusyPages(card(**fields)))
    assert (server.kind, server.version, server.card) == ("vllm", None, expected)
    assert server.describe() == {"kind": "vllm", "version": None, **server.card}


@pytest.mark.parametrize("listed", [None, 7, [], {"data": 7}, {"data": [7, {"id": 7}, {"id": ""}]}])
def test_lists_that_are_none(listed: object) -> None:
    server = found(BusyPages({"/v1/models": listed}))
    assert (server.kind, server.card) == ("openai", {})


@pytest.mark.slow
def test_a_kind_by_what_servers_say() -> None:
    paths = ["/load_model", "/reset", "/v1/chat/completions"]
    for listed, kind in (
        (paths, "transformers"),
        ([*paths, "/x"], "transformers"),
        (paths[1:], "openai"),
        (paths[:2], "openai"),
    ):
        pages: dict[str, object] = {"/openapi.json": {"paths": dict.fromkeys(listed, 1)}}
        assert found(BusyPages(pages)).kind == kind
    assert found(BusyPages({"/openapi.json": {"paths": paths}})).kind == "openai"
    assert found(BusyPages({"/openapi.json": [1]})).kind == "openai"
    sglang = found(BusyPages(PAGES["sglang"]))
    assert (sglang.kind, sglang.version) == ("sglang", "0.5.5")
    # The newer page comes first, and says nothing else that is kept.
    newer: dict[str, object] = {"/server_info": {"version": "0.6", "api_key": "sk-in-the-open"}}
    assert found(BusyPages({**PAGES["sglang"], **newer})).describe() == {
        "kind": "sglang",
        "version": "0.6",
        "root": "org/m",
    }
    with pytest.raises(CheckpointError, match=r"checkpoint=gpt-4o: http://\S+ serves m$"):
        found(BusyPages(PAGES["sglang"]), checkpoint="gpt-4o")
    # A gateway lists the models of several servers.
    cards = [{"id": "other", "owned_by": "vllm"}, {"id": "m", "owned_by": "openai"}]
    assert found(BusyPages({"/v1/models": {"data": cards}})).kind == "openai"
    told: dict[str, object] = {"/server_info": {"version": 6}}
    assert found(BusyPages({**PAGES["sglang"], **told})).version == "0.5.5"


@pytest.mark.slow
def test_the_token_that_begins_a_prompt_is_asked_for_where_vllm_leaves_it_out() -> None:
    """Tokens as vLLM 0.32 lists them of "A" with <s> (1) as the tokenizer's own beginning."""

    def tokenized(template: list[int], begin: list[int]) -> dict[str, object]:
        def tokens(content: dict[str, Any]) -> dict[str, object]:
            assert (content["model"], len(content["messages"])) == ("m", 1)
            return {"tokens": [*(begin if content["add_special_tokens"] else []), *template]}

        return {**PAGES["vllm"], "POST /tokenize": tokens}

    for template, begin, lacks in (
        ([381, 30, 346], [1], True),  # LLaVA's: "USER: ..."
        ([1, 381, 30, 346], [1], False),  # a template that writes it: transformers adds none
        ([381, 30, 346], [], False),  # Qwen's tokenizers have none
    ):
        server = found(BusyPages(tokenized(template, begin)))
        assert server.dialect.asks_special_tokens == lacks
        assert server.describe().get("special_tokens") == ("asked for" if lacks else None)
    assert not found(BusyPages(PAGES["vllm"])).dialect.asks_special_tokens


@pytest.mark.slow
def test_a_kind_that_is_configured_is_not_asked_for() -> None:
    server = BusyPages(PAGES["transformers"])
    assert found(server, kind="openai").kind == "openai"
    assert server.asked == ["/v1/models"]
    with pytest.raises(CheckpointError, match=r"checkpoint=other: http://\S+ serves m$"):
        found(BusyPages(PAGES["vllm"]), checkpoint="other")


def test_an_adapter_has_its_name_after_a_colon_for_sglang_alone() -> None:
    assert found(BusyPages(PAGES["sglang"]), checkpoint="m:other").card == {}
    with pytest.raises(CheckpointError, match=r"checkpoint=m:other: http://\S+ serves m$"):
        found(BusyPages(PAGES["vllm"]), checkpoint="m:other")


def test_messages_for_people_hold_no_files() -> None:
    # printf 'data:image/png;base64,AAAA' | sha256sum
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    video = {"type": "video_url", "video_url": {"url": "https://u:secret@host/v.mp4?token=t"}}
    text = {"type": "text", "text": "Where is the größte 猫?"}
    shown = readable([{"role": "user", "content": [image, video, text]}])
    assert "Where is the größte 猫?" in shown
    assert "secret" not in shown
    content: list[Any] = json.loads(shown)[0]["content"]
    assert content[0]["image_url"]["url"] == (
        "data:image/png;base64,(26 characters, sha256 bde6da8e9d39)"
    )
    assert content[2] == text
