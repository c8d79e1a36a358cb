"""Which server answers, and what it offers beyond OpenAI's chat protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llava_eval.errors import CheckpointError
from llava_eval.models.http import Client, RequestError, is_openai
from llava_eval.models.served.settings import ServerSettings

_log = logging.getLogger(__name__)

#: Longest wait for an answer about the server itself.
_PROBE_SECONDS = 60.0
#: Attempts at it: a connection may be cut, for instance after an error.
_PROBE_ATTEMPTS = 3
_PROBE_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Dialect:
    """What a kind of server takes.

    Attributes:
        label: for messages.
        video: how it takes one video of given frames: as a list of images in one address
            ("frames"), as a file ("clip"), or not at all.
        files: how it is told a file that it reads itself; None: it reads none.
        continues_turns: it goes on with a final message of the assistant's.
        prompt_logprobs: it returns the log-probabilities of a prompt's tokens.
        seeds_apart: requests under way together each draw from their own seed.
        stops: it ends at stop strings; otherwise texts are cut once they are there.
        sampling: fields that make it sample at all.
        length: field for the most new tokens.
        version: where it tells its version.
    """

    label: str
    video: Literal["frames", "clip"] | None = None
    files: Literal["path", "uri"] | None = None
    continues_turns: bool = False
    prompt_logprobs: bool = False
    seeds_apart: bool = True
    stops: bool = True
    sampling: Mapping[str, Any] = field(default_factory=dict)
    length: str = "max_tokens"
    version: tuple[str, ...] = ()


#: By kind. Read in the servers' sources: transformers 5.23, cli/serving; vLLM, entrypoints/openai
#: and multimodal/media; SGLang, srt/entrypoints/openai/protocol.py. Only the first was run.
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
        version=("/server_info", "/get_server_info"),
    ),
}

#: OpenAI's own models refuse the older name.
_OPENAI_ITSELF = Dialect("OpenAI", length="max_completion_tokens")

#: Paths that FastAPI lists and that only ``transformers serve`` has, together.
_TRANSFORMERS_PATHS = {"/load_model", "/reset", "/v1/chat/completions"}


@dataclass(frozen=True)
class Server:
    """A server that was asked about itself.

    Attributes:
        kind: key of ``DIALECTS``.
        version: as it says; None where it does not.
        card: its entry for the model in its list of models, as far as that decides which model it
            is; empty where it lists none.
    """

    kind: str
    version: str | None = None
    card: Mapping[str, Any] = field(default_factory=dict, hash=False)
    is_openai: bool = False

    @property
    def dialect(self) -> Dialect:
        """What it takes."""
        return _OPENAI_ITSELF if self.is_openai else DIALECTS[self.kind]

    def describe(self) -> dict[str, Any]:
        """Return what is known of it, for the manifest and a run's identity."""
        return {"kind": self.kind, "version": self.version, **self.card}


def find_server(client: Client, settings: ServerSettings) -> Server:
    """Ask a server what it is; nothing is asked of the model.

    Raises:
        CheckpointError: nobody answers, the key is refused, or it serves other models only.
    """
    cards = _model_cards(client, settings)
    kind = settings.kind if settings.kind != "auto" else _kind(client, settings, cards)
    card = next((one for one in cards if one.get("id") == settings.model), {})
    if kind == "vllm" and cards and not card:
        names = ", ".join(str(one.get("id")) for one in cards)
        raise CheckpointError(
            f"model.checkpoint={settings.model}: {settings.base_url} serves {names}"
        )
    kept = {name: card[name] for name in ("root", "max_model_len") if card.get(name) is not None}
    version = _version(client, settings, DIALECTS[kind])
    return Server(kind, version, kept, is_openai(settings.base_url))


def _model_cards(client: Client, settings: ServerSettings) -> list[Mapping[str, Any]]:
    """Return the server's list of models; empty where it has none that can be read."""
    try:
        listed = _read(client, "/models")
    except RequestError as error:
        if error.is_silence:
            raise CheckpointError(
                f"model.base_url={settings.base_url}: no server answers there: {error}"
            ) from None
        if error.status in (401, 403):
            raise CheckpointError(
                f"model.base_url={settings.base_url} refuses the key in the environment variable "
                f"{settings.api_key_env}: {error}"
            ) from None
        _log.info("%s lists no models: %s", settings.base_url, error)
        return []
    data = listed.get("data") if isinstance(listed, dict) else None
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def _kind(client: Client, settings: ServerSettings, cards: list[Mapping[str, Any]]) -> str:
    owners = {card.get("owned_by") for card in cards}
    for kind in ("vllm", "sglang"):
        if kind in owners:
            return kind
    if is_openai(settings.base_url):
        return "openai"
    try:
        listed = _read(client, f"{_root(settings)}/openapi.json")
        paths = set(listed["paths"])
    except (RequestError, KeyError, TypeError):
        return "openai"
    return "transformers" if paths >= _TRANSFORMERS_PATHS else "openai"


def _version(client: Client, settings: ServerSettings, dialect: Dialect) -> str | None:
    for path in dialect.version:
        try:
            found = _read(client, f"{_root(settings)}{path}")
        except RequestError:
            continue
        # Nothing else of the answer is kept: some servers list all their arguments there.
        version = found.get("version") if isinstance(found, dict) else None
        if isinstance(version, str):
            return version
    return None


def _read(client: Client, address: str) -> Any:
    """Return the JSON value at an address of the server.

    Raises:
        RequestError: there is none.
    """
    for _ in range(_PROBE_ATTEMPTS - 1):
        try:
            return client.get(address, _PROBE_SECONDS)
        except RequestError as error:
            if not error.may_pass or error.is_silence:
                raise
            time.sleep(_PROBE_PAUSE_SECONDS)
    return client.get(address, _PROBE_SECONDS)


def _root(settings: ServerSettings) -> str:
    return settings.base_url.rstrip("/").removesuffix("/v1")
