"""Identifies a server, and lists what each kind offers beyond OpenAI's chat protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llava_eval.borders.address import by_proxy, is_openai
from llava_eval.borders.http_client import (
    AddressError,
    BrokenError,
    RequestError,
    UnreachableError,
)
from llava_eval.config.schema import ModelConfig, RequestsConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.chat_client import ChatClient, MalformedError, RefusedError
from llava_eval.models.request_pool import with_retries

_log = logging.getLogger(__name__)

#: Settings for requests about the server itself: short, because many have no such pages.
_ABOUT_ITSELF = RequestsConfig(retries=2, backoff_seconds=0.2, timeout_seconds=60.0)
#: Longer names of models and versions are ignored, because every table would show them.
_LONGEST_NAME = 500


@dataclass(frozen=True)
class Dialect:
    """Features of a kind of server.

    Attributes:
        label: name in messages.
        video: form of a video with given frames: a list of images in one data URL ("frames"), a
            file ("clip"), or None if it is not supported.
        files: form of the name of a file that the server reads itself; None if it reads no files.
        continues_turns: it can continue a final message of the assistant.
        system_in_parts: the system text must be sent as a content part, because some templates
            ignore a plain string (Idefics's). vLLM and transformers convert it themselves.
        prompt_logprobs: it returns the log-probabilities of a prompt's tokens.
        seeds_apart: concurrent requests are sampled with their own seeds.
        stops: it supports stop strings; otherwise texts are cut after they have arrived.
        sampling: fields that turn sampling on.
        asks_special_tokens: it must be asked to add the special token that begins a prompt.
        version: paths of pages that state its version; the first one that does is used.
    """

    label: str
    video: Literal["frames", "clip"] | None = None
    files: Literal["path", "uri"] | None = None
    continues_turns: bool = False
    system_in_parts: bool = False
    prompt_logprobs: bool = False
    seeds_apart: bool = True
    stops: bool = True
    sampling: Mapping[str, Any] = field(default_factory=dict)
    asks_special_tokens: bool = False
    version: tuple[str, ...] = ()


#: Features by kind, from the servers' sources: transformers 5.23, cli/serving; vLLM 0.33,
#: entrypoints/openai and multimodal/media; SGLang 0.5.23, srt/entrypoints/openai/protocol.py.
DIALECTS = {
    "openai": Dialect("an OpenAI-compatible server"),
    "transformers": Dialect(
        "transformers serve",
        video="clip",
        files="path",
        # Each request seeds the one global generator, and nothing else turns sampling on.
        seeds_apart=False,
        # It fails with stop strings, because it passes the processor instead of the tokenizer.
        stops=False,
        sampling={"generation_config": '{"do_sample": true, "top_k": 0}'},
    ),
    "vllm": Dialect(
        "vLLM",
        video="frames",
        files="uri",
        continues_turns=True,
        prompt_logprobs=True,
        version=("/version",),
    ),
    "sglang": Dialect(
        "SGLang",
        files="uri",
        continues_turns=True,
        system_in_parts=True,
        version=("/server_info", "/get_server_info"),
    ),
}

#: Paths in FastAPI's description whose combination only ``transformers serve`` has.
_TRANSFORMERS_PATHS = {"/load_model", "/reset", "/v1/chat/completions"}


@dataclass(frozen=True)
class Server:
    """An identified server.

    Attributes:
        kind: key of ``DIALECTS``.
        dialect: its features.
        version: its version; None if it does not state one.
        card: the fields that identify the model, from the server's list of models; empty if it has
            no entry.
    """

    kind: str
    dialect: Dialect = field(hash=False)
    version: str | None
    card: Mapping[str, Any] = field(hash=False)

    def describe(self) -> dict[str, Any]:
        """Return a description of the server, for the manifest and a run's identity."""
        asked = {"special_tokens": "asked for"} if self.dialect.asks_special_tokens else {}
        return {"kind": self.kind, "version": self.version, **self.card, **asked}


def find_server(client: ChatClient, config: ModelConfig) -> Server:
    """Identify a server, without a request to the model.

    Args:
        client: client of the server.
        config: configuration of the model.

    Raises:
        CheckpointError: there is no response, the key is refused, or the model is not served.
    """
    address = str(config.base_url)
    root = address.rstrip("/").removesuffix("/v1")
    cards = _model_cards(client, config)
    card = next((card for card in cards if card["id"] == config.checkpoint), {})
    asked = [card] if card else cards  # a gateway lists models of several servers
    kind = config.server.kind if config.server.kind != "auto" else _kind(client, root, asked)
    # SGLang accepts any name and repeats it; after a colon it expects the name of an adapter.
    is_adapter = kind == "sglang" and ":" in config.checkpoint
    if kind in ("vllm", "sglang") and cards and not card and not is_adapter:
        names = ", ".join(card["id"] for card in cards)
        raise CheckpointError(f"model.checkpoint={config.checkpoint}: {address} serves {names}")
    kept = {name: card[name] for name in ("root", "max_model_len") if card.get(name) is not None}
    dialect = DIALECTS[kind]
    if kind == "vllm" and _lacks_special_tokens(client, root, config.checkpoint):
        dialect = replace(dialect, asks_special_tokens=True)
    return Server(kind, dialect, _version(client, root, dialect), kept)


def _model_cards(client: ChatClient, config: ModelConfig) -> list[dict[str, Any]]:
    """Return the server's list of models; empty if it has no readable one."""
    proxy, is_auto = by_proxy(str(config.base_url)), config.server.kind == "auto"
    try:
        listed = _read(client, "/models")
    except (UnreachableError, BrokenError, AddressError) as error:
        reason = f"no server answers there as it should: {error}{proxy}"
        raise CheckpointError(f"model.base_url={config.base_url}: {reason}") from None
    except RequestError as error:
        if isinstance(error, RefusedError) and error.status in (401, 403):
            raise CheckpointError(
                f"model.base_url={config.base_url} refuses the key in the environment variable "
                f"{config.api_key_env}: {error}{proxy}"
            ) from None
        is_away = error.is_away and error.num_attempts
        if is_auto and (is_away or isinstance(error, MalformedError)):
            # An error, so that it is not mistaken for another kind, which gets videos in another
            # form. A web server without such an address may send a page, or nothing (Caddy).
            raise CheckpointError(
                f"model.base_url={config.base_url} lists no models now: {error}{proxy}; "
                "model.server.kind names what it is where it never does"
            ) from None
        _log.info("%s lists no models: %s%s", config.base_url, error, proxy)
        return []
    data = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(data, list):
        return []
    return [card for entry in data if (card := _card(entry)) is not None]


def _card(entry: object) -> dict[str, Any] | None:
    """Return the used fields of an entry of the list, if they have the right types."""
    if not isinstance(entry, dict) or not _is_name(entry.get("id")):
        return None
    card = {name: entry[name] for name in ("id", "owned_by", "root") if _is_name(entry.get(name))}
    length = entry.get("max_model_len")
    return {**card, **({"max_model_len": length} if type(length) is int else {})}


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST_NAME


def _kind(client: ChatClient, root: str, cards: list[dict[str, Any]]) -> str:
    owners = {card.get("owned_by") for card in cards}
    for kind in ("vllm", "sglang"):
        if kind in owners:
            return kind
    if is_openai(root):
        return "openai"
    # A server that is down must not be mistaken for another kind, as that gets videos otherwise.
    hint = "model.server.kind names what it is where it never does"
    paths = _object(client, f"{root}/openapi.json", hint=hint).get("paths")
    is_transformers = isinstance(paths, dict) and set(paths) >= _TRANSFORMERS_PATHS
    return "transformers" if is_transformers else "openai"


def _version(client: ChatClient, root: str, dialect: Dialect) -> str | None:
    for path in dialect.version:
        # The rest of the page is not kept: some servers list all their arguments there.
        version = _object(client, f"{root}{path}").get("version")
        if _is_name(version):
            return str(version)
    return None


def _lacks_special_tokens(client: ChatClient, root: str, model: str) -> bool:
    """Return whether vLLM's chat prompts lack the special token that transformers adds.

    Processors add it if the template has not written it, for instance LLaVA's (transformers,
    ProcessorMixin.apply_chat_template); vLLM keeps the template's text unchanged.
    """
    message = {"role": "user", "content": [{"type": "text", "text": "A"}]}
    chat = {"model": model, "messages": [message]}
    starts = []
    for adds in (False, True):
        content = {**chat, "add_special_tokens": adds}
        page = _object(client, f"{root}/tokenize", content)
        if not page:  # a gateway that passes on only paths below /v1
            asked = {**content, "max_tokens": 1, "return_token_ids": True}
            hint = "it tells whether prompts begin as those of transformers"
            page = _object(client, "/chat/completions", asked, hint=hint)
        tokens = page.get("tokens", page.get("prompt_token_ids"))
        starts.append(tokens[0] if isinstance(tokens, list) and tokens else None)
    return None not in starts and starts[0] != starts[1]


def _read(client: ChatClient, address: str, content: Mapping[str, Any] | None = None) -> Any:
    """Return the JSON value at an address of the server."""
    return with_retries(
        lambda: client.get(address, _ABOUT_ITSELF.timeout_seconds, content),
        _ABOUT_ITSELF,
        final=UnreachableError,
    )


def _object(
    client: ChatClient,
    address: str,
    content: Mapping[str, Any] | None = None,
    *,
    hint: str | None = None,
) -> dict[str, Any]:
    """Return the JSON object at an address of the server; empty if there is none.

    Args:
        client: client of the server.
        address: address of the page.
        content: body of a POST request; None sends a GET request.
        hint: end of the error message if the server is down at the moment; None ignores that,
            because no request depends on the page.

    Raises:
        CheckpointError: the server is down at the moment, and there is a hint.
    """
    try:
        page = _read(client, address, content)
    except RequestError as error:
        if hint is not None and error.is_away and error.num_attempts:
            raise CheckpointError(f"{address} does not answer now: {error}; {hint}") from None
        return {}
    return page if isinstance(page, dict) else {}
