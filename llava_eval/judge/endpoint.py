"""One request to the judge."""

from __future__ import annotations

import json
from typing import Any

from llava_eval.endpoint import Client, RequestError
from llava_eval.endpoint.client import count_or_none, text_or_none
from llava_eval.judge.settings import JudgeSettings
from llava_eval.judge.store import Messages, Reply


class Endpoint:
    """Sends prompts; one object serves many threads.

    Raises:
        ConfigError: the ``openai`` package is missing, or a key is.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._client = Client(
            settings.base_url,
            settings.key(),
            settings.timeout_seconds,
            "a judged protocol needs the openai package: pip install 'llava-eval[judge]'",
        )

    def ask(self, messages: Messages) -> Reply:
        """Send one prompt once.

        Raises:
            RequestError: there is no usable reply.
        """
        settings = self._settings
        parameters: dict[str, Any] = {}
        if settings.temperature is not None:
            parameters["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            parameters["max_tokens"] = settings.max_tokens
        return _reply(self._client.chat(settings.model, messages, parameters))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _reply(text: str) -> Reply:
    """Return the reply that a response's body holds."""
    try:
        content = json.loads(text)
        choice = content["choices"][0]
        reply = choice["message"]["content"]
        if reply is None:
            reply = ""  # a refusal or a filter: a reply without text, which no rule can read
        if not isinstance(reply, str):
            raise TypeError(f"the reply is a {type(reply).__name__}")
        usage = content.get("usage") or {}
        return Reply(
            text=reply,
            snapshot=str(content.get("model") or "unnamed"),
            finish_reason=text_or_none(choice.get("finish_reason")),
            num_input_tokens=count_or_none(usage, "prompt_tokens"),
            num_output_tokens=count_or_none(usage, "completion_tokens"),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise RequestError.malformed(error, text) from None
