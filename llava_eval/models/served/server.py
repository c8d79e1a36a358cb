"""Which server answers, and what it offers beyond OpenAI's chat protocol."""

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

#: How a server is asked about itself: briefly, as many have no such pages.
_ABOUT_ITSELF = RequestsConfig(retries=2, backoff_seconds=0.2, timeout_seconds=60.0)
#: Longer names of models and versions are none; they would stand in every table.
_LONGEST_NAME = 500


@dataclass(frozen=True)
class Dialect:
    """What a kind of server takes.

    Attributes:
        label: for messages.
        video: how it takes one video of given frames: as a list of images in one address
            ("frames"), as a file ("clip"), or not at all.
        files: how a file that it reads itself is named to it; None: it reads none.
        continues_turns: it goes on with a final message of the assistant's.
        system_in_parts: it is sent the system text as a part, as its templates see it; some show a
            mere text as nothing (Idefics's). vLLM and transformers make a part of it themselves.
        prompt_logprobs: it returns the log-probabilities of a prompt's tokens.
        seeds_apart: requests under way together each draw from their own seed.
        stops: it ends at stop strings; otherwise texts are cut once they are there.
        sampling: fields that make it sample at all.
        asks_special_tokens: it is asked to begin prompts as the model's tokenizer does.
        version: paths of pages that state its version; the first that does counts.
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


#: By kind. Read in the servers' sources: transformers 5.23, cli/serving; vLLM 0.33,
#: entrypoints/openai and multimodal/media; SGLang 0.5.23, srt/entrypoints/openai/protocol.py.
DIALECTS = {
    "openai": Dialect("an OpenAI-compatible server"),
    "transformers": Dialect(
        "transformers serve",
        video="clip",
        files="path",
        # Each request seeds the one global generator, and nothing else turns sampling on.
        seeds_apart=False,
        # It looks for stop strings with the processor in place of the tokenizer, and fails.
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

#: Paths that FastAPI lists and that only ``transformers serve`` has, together.
_TRANSFORMERS_PATHS = {"/load_model", "/reset", "/v1/chat/completions"}


@dataclass(frozen=True)
class Server:
    """A server that was asked about itself.

    Attributes:
        kind: key of ``DIALECTS``.
        dialect: what it takes.
        version: as it says; None where it does not.
        card: its entry for the model in its list of models, as far as that decides which model it
            is; empty where it lists none.
    """

    kind: str
    dialect: Dialect = field(hash=False)
    version: str | None
    card: Mapping[str, Any] = field(hash=False)

    def describe(self) -> dict[str, Any]:
        """Return what is known of it, for the manifest and a run's identity."""
        asked = {"special_tokens": "asked for"} if self.dialect.asks_special_tokens else {}
        return {"kind": self.kind, "version": self.version, **self.card, **asked}


def find_server(client: ChatClient, config: ModelConfig) -> Server:
    """Ask a server what it is; nothing is asked of the model.

    Args:
        client: of the server.
        config: of the model.

    Raises:
        CheckpointError: nobody answers, the key is refused, or it serves other models only.
    """
    address = str(config.base_url)
    root = address.rstrip("/").removesuffix("/v1")
    cards = _model_cards(client, config)
    card = next((card for card in cards if card["id"] == config.checkpoint), {})
    asked = [card] if card else cards  # a gateway lists models of several servers
    kind = config.server.kind if config.server.kind != "auto" else _kind(client, root, asked)
    # SGLang answers by any name, with that name; after a colon it takes an adapter's.
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
    """Return the server's list of models; empty where it has none that can be read."""
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
            # Not to be taken for another kind, which is shown videos in another way. A web server
            # that knows no such address may answer with a page, or with nothing (Caddy).
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
    """Return what is read of an entry of the list, each value of the type that it should have."""
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
    # What is away is not to be taken for another kind, which is shown videos in another way.
    hint = "model.server.kind names what it is where it never does"
    paths = _object(client, f"{root}/openapi.json", hint=hint).get("paths")
    is_transformers = isinstance(paths, dict) and set(paths) >= _TRANSFORMERS_PATHS
    return "transformers" if is_transformers else "openai"


def _version(client: ChatClient, root: str, dialect: Dialect) -> str | None:
    for path in dialect.version:
        # Nothing else of the page is kept: some servers list all their arguments there.
        version = _object(client, f"{root}{path}").get("version")
        if _is_name(version):
            return str(version)
    return None


def _lacks_special_tokens(client: ChatClient, root: str, model: str) -> bool:
    """Return whether vLLM begins a chat without the token that transformers begins it with.

    Processors add it where the template has not written it, as those of LLaVA (transformers,
    ProcessorMixin.apply_chat_template); vLLM leaves what the template wrote.
    """
    message = {"role": "user", "content": [{"type": "text", "text": "A"}]}
    chat = {"model": model, "messages": [message]}
    starts = []
    for adds in (False, True):
        content = {**chat, "add_special_tokens": adds}
        page = _object(client, f"{root}/tokenize", content)
        if not page:  # a gateway that passes nothing but what is below /v1
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
    """Return the JSON object at an address of the server; empty where there is none.

    Args:
        client: of the server.
        address: of the page.
        content: is posted; None for nothing.
        hint: stands behind the error of a server that does not answer there now; None where
            nothing that is asked of the model depends on the page.

    Raises:
        CheckpointError: as said.
    """
    try:
        page = _read(client, address, content)
    except RequestError as error:
        if hint is not None and error.is_away and error.num_attempts:
            raise CheckpointError(f"{address} does not answer now: {error}; {hint}") from None
        return {}
    return page if isinstance(page, dict) else {}
