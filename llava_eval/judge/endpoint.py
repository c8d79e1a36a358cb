"""One HTTP request to the judge, and what its failure means."""

from __future__ import annotations

import datetime
import email.utils
import json
from collections.abc import Mapping
from typing import Any

from llava_eval.errors import ConfigError
from llava_eval.judge.settings import NO_KEY, JudgeSettings
from llava_eval.judge.store import Messages, Reply

#: Statuses after which the same request may succeed, beside all 5xx.
_PASSING_STATUSES = (408, 409, 425, 429)
#: Statuses that every further request would meet too.
_FATAL_STATUSES = (401, 403, 404)
_LONGEST_KEPT_BODY = 4000


class RequestError(Exception):
    """A request without a usable reply.

    Attributes:
        may_pass: the same request may succeed later.
        is_fatal: no other request can succeed either.
        wait_seconds: how long the endpoint asks to wait; None where it says nothing.
        body: the response where it was malformed, otherwise None.
    """

    def __init__(
        self,
        message: str,
        *,
        may_pass: bool = False,
        is_fatal: bool = False,
        wait_seconds: float | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(" ".join(message.split()))
        self.may_pass = may_pass
        self.is_fatal = is_fatal
        self.wait_seconds = wait_seconds
        self.body = body


class Endpoint:
    """Sends prompts; one object serves many threads.

    Raises:
        ConfigError: the ``openai`` package is missing, or a key is.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._key = settings.key()
        try:
            import openai
        except ImportError as error:
            raise ConfigError(
                "a judged protocol needs the openai package: pip install 'llava-eval[judge]' "
                f"({error})"
            ) from error
        self._openai = openai
        self._client = openai.OpenAI(
            api_key=self._key,
            base_url=settings.base_url,
            timeout=settings.timeout_seconds,
            max_retries=0,  # retries are ours: they are counted, and they have limits
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
        openai = self._openai
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=settings.model,
                messages=[dict(message) for message in messages],  # type: ignore[misc]
                **parameters,
            )
            body = response.http_response.content
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except openai.APITimeoutError:
            raise RequestError(
                f"no answer within {settings.timeout_seconds:g} s", may_pass=True
            ) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise RequestError(
                self._clean(f"connection failed: {cause or type(cause).__name__}"), may_pass=True
            ) from None
        return self._read(body)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _read(self, body: bytes) -> Reply:
        """Return the reply that a response's body holds."""
        text = self._clean(body.decode("utf-8", errors="replace"))
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
                finish_reason=_text_or_none(choice.get("finish_reason")),
                num_input_tokens=_count(usage, "prompt_tokens"),
                num_output_tokens=_count(usage, "completion_tokens"),
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise RequestError(
                f"malformed response ({type(error).__name__}: {error})",
                may_pass=True,
                body=text[:_LONGEST_KEPT_BODY],
            ) from None

    def _status_error(self, error: Any) -> RequestError:
        status = int(error.status_code)
        message = self._clean(f"HTTP {status}: {error.message}")[:300]
        is_spent = getattr(error, "code", None) == "insufficient_quota"
        return RequestError(
            message,
            may_pass=(status in _PASSING_STATUSES or status >= 500) and not is_spent,
            is_fatal=status in _FATAL_STATUSES or is_spent,
            wait_seconds=_wait_seconds(error.response.headers),
        )

    def _clean(self, text: str) -> str:
        """Return a text without the key, which some servers repeat."""
        return text if self._key == NO_KEY else text.replace(self._key, "***")


def _wait_seconds(headers: Mapping[str, str]) -> float | None:
    """Return what Retry-After asks for: seconds, or a date (RFC 9110, section 10.2.3)."""
    asked = headers.get("retry-after", "").strip()
    if not asked:
        return None
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(asked)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
