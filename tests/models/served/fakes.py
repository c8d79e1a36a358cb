"""Requests, and runners of a server of our own, for tests without a model."""

from __future__ import annotations

from typing import Any

from llava_eval.config.schema import ModelConfig, ServerConfig
from llava_eval.models.backend import Needs
from llava_eval.models.served.frame_cost import LONG_QUESTION, QUESTION
from llava_eval.models.served.served_model import find_served_model
from llava_eval.models.served.served_runner import ServedRunner
from llava_eval.types import Clip, Generation, GenerationSettings, Request
from tests.models.chat_server import Answer, ChatServer, reply
from tests.models.helpers import make_clip

#: What servers say of themselves, as their sources and documentation have it.
PAGES: dict[str, dict[str, object]] = {
    "openai": {"/v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "me"}]}},
    "vllm": {
        "/v1/models": {
            "data": [
                {
                    "id": "m",
                    "created": 1,
                    "owned_by": "vllm",
                    "root": "org/m",
                    "max_model_len": 4096,
                }
            ]
        },
        "/version": {"version": "0.12.0"},
        "POST /tokenize": lambda content: {"tokens": []},
    },
    "sglang": {
        "/v1/models": {"data": [{"id": "m", "owned_by": "sglang", "root": "org/m"}]},
        "/get_server_info": {"version": "0.5.5", "api_key": "sk-in-the-open"},
    },
    "transformers": {
        "/v1/models": {"data": []},
        "/openapi.json": {"paths": {"/load_model": {}, "/reset": {}, "/v1/chat/completions": {}}},
    },
}


#: Requests with which a server's frames are checked before a run.
NUM_PROBES = 5


def echo(content: dict[str, Any], number: int) -> Answer:
    """Reply with the last text of the user's turn."""
    user = [message for message in content["messages"] if message["role"] == "user"][-1]
    return reply(f"re: {user['content'][-1]['text']}", "model-1")


def served(checkpoint: str, base_url: str, **server: Any) -> ModelConfig:
    """Return the configuration of a served model."""
    return ModelConfig(checkpoint=checkpoint, base_url=base_url, server=ServerConfig(**server))


def num_frames(content: dict[str, Any]) -> int:
    """Return how many frames a request holds, as images or as one video of images."""
    parts = [part for message in content["messages"] for part in message["content"]]
    videos = [part["video_url"]["url"] for part in parts if part["type"] == "video_url"]
    num_images: int = sum(part["type"] == "image_url" for part in parts)
    return num_images + sum(len(url.split(",")) - 1 for url in videos)


def counted(content: dict[str, Any], text: str, *, num_seen: int | None = None) -> Answer:
    """Reply as a server that counts 40 tokens for each frame, and 20 for the text."""
    seen = num_frames(content) if num_seen is None else num_seen
    usage = {"prompt_tokens": 20 + 40 * seen, "completion_tokens": 10}
    return reply(text, "model-1", usage=usage)


def questions(server: ChatServer) -> list[dict[str, Any]]:
    """Return the requests of a run, without those of the probe before it."""
    return [
        sent
        for sent in server.requests
        if sent["messages"][-1]["content"][-1].get("text") not in (QUESTION, LONG_QUESTION)
    ]


def make_runner(server: ChatServer | str, **settings: Any) -> ServedRunner:
    """Return a runner of a server; fast retries unless told otherwise."""
    base_url = server if isinstance(server, str) else server.base_url
    values = {"backoff_seconds": 0.001, "retries": 2, **settings}
    return ServedRunner(find_served_model(served("m", base_url, **values), Needs()))


def make_questions(count: int, **changes: Any) -> list[Request]:
    """Return questions without media."""
    fields: dict[str, Any] = {"settings": GenerationSettings(max_new_tokens=8), **changes}
    return [Request(f"q{number}", (f"question {number}",), **fields) for number in range(count)]


def ask(runner: ServedRunner, requests: list[Request]) -> dict[str, Generation]:
    """Return the generations by id."""
    try:
        return {request.id: generation for request, generation in runner.generate(requests)}
    finally:
        runner.close()


def video_clip(num_frames: int = 3) -> Clip:
    """Return small frames of a video."""
    return make_clip(num_frames, size=(12, 10))
