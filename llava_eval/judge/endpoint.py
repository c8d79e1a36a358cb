"""One request to the judge."""

from __future__ import annotations

from typing import Any

from llava_eval.endpoint import Client, read_completion
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
        completion = read_completion(self._client.chat(settings.model, messages, parameters))
        reason = completion.finish_reason
        return Reply(
            text=completion.text,
            snapshot=completion.model,
            finish_reason=reason if isinstance(reason, str) else None,
            num_input_tokens=completion.num_input_tokens,
            num_output_tokens=completion.num_output_tokens,
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
