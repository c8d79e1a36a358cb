"""HTTP requests to one endpoint, and what their failures mean."""

from __future__ import annotations

import datetime
import email.utils
import json
from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.endpoint.address import NO_KEY
from llava_eval.errors import ConfigError

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
        is_silence: nobody answers: there is no connection, or nothing comes in time.
        status: the HTTP status where it says that there is an error, otherwise None.
        wait_seconds: how long the endpoint asks to wait; None where it says nothing.
        body: the response where it was malformed, otherwise None.
    """

    def __init__(
        self,
        message: str,
        *,
        may_pass: bool = False,
        is_fatal: bool = False,
        is_silence: bool = False,
        status: int | None = None,
        wait_seconds: float | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(" ".join(message.split()))
        self.may_pass = may_pass
        self.is_fatal = is_fatal
        self.is_silence = is_silence
        self.status = status
        self.wait_seconds = wait_seconds
        self.body = body

    @classmethod
    def malformed(cls, cause: Exception | str, body: str) -> RequestError:
        """Return the error of a response that is not what the protocol says.

        Args:
            cause: what was wrong with it.
            body: the response, without the key.
        """
        told = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        return cls(f"malformed response ({told})", may_pass=True, body=body[:_LONGEST_KEPT_BODY])


class Client:
    """Sends requests; one object serves many threads.

    Args:
        base_url: the endpoint up to and without ``/chat/completions``.
        key: what the endpoint gets as the key; cut out of everything that comes back.
        timeout_seconds: longest wait for the endpoint's next byte.
        needed_for: what to say where the ``openai`` package is missing.

    Raises:
        ConfigError: the ``openai`` package is missing.
    """

    def __init__(self, base_url: str, key: str, timeout_seconds: float, needed_for: str) -> None:
        self._key = key
        self._timeout_seconds = timeout_seconds
        try:
            import openai
        except ImportError as error:
            raise ConfigError(f"{needed_for} ({error})") from error
        self._openai = openai
        self._client = openai.OpenAI(
            api_key=key,
            base_url=base_url,
            timeout=timeout_seconds,
            max_retries=0,  # retries are ours: they are counted, and they have limits
        )

    def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
    ) -> str:
        """Ask for one chat completion once, and return the response's body without the key.

        Args:
            model: name that the endpoint knows the model by.
            messages: the conversation.
            parameters: further fields of the request.

        Raises:
            RequestError: there is no answer, or it says that there is an error.
        """
        openai = self._openai
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=model,
                messages=[dict(message) for message in messages],  # type: ignore[misc]
                extra_body=dict(parameters),
            )
            body = response.http_response.content
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except openai.APIConnectionError as error:
            raise self._connection_error(error, self._timeout_seconds) from None
        return self.clean(body.decode("utf-8", errors="replace"))

    def get(self, address: str, timeout_seconds: float) -> Any:
        """Return the JSON value that an address holds.

        Args:
            address: a path below the endpoint's, or a whole address.
            timeout_seconds: longest wait for the next byte.

        Raises:
            RequestError: there is none, or there is no answer.
        """
        openai = self._openai
        try:
            text = self._client.get(
                address, cast_to=str, options={"timeout": timeout_seconds, "max_retries": 0}
            )
            return json.loads(self.clean(text))
        except ValueError as error:
            raise RequestError.malformed(error, "") from None
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except openai.APIConnectionError as error:
            raise self._connection_error(error, timeout_seconds) from None

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def clean(self, text: str) -> str:
        """Return a text without the key, which some servers repeat."""
        return text if self._key == NO_KEY else text.replace(self._key, "***")

    def _connection_error(self, error: Exception, timeout_seconds: float) -> RequestError:
        if isinstance(error, self._openai.APITimeoutError):
            message = f"no answer within {timeout_seconds:g} s"
            return RequestError(message, may_pass=True, is_silence=True)
        cause = error.__cause__ or error
        told = self.clean(f"connection failed: {cause or type(cause).__name__}")
        is_silence = type(cause).__name__ == "ConnectError"
        return RequestError(told, may_pass=True, is_silence=is_silence)

    def _status_error(self, error: Any) -> RequestError:
        status = int(error.status_code)
        message = self.clean(f"HTTP {status}: {error.message}")[:300]
        is_spent = getattr(error, "code", None) == "insufficient_quota"
        return RequestError(
            message,
            may_pass=(status in _PASSING_STATUSES or status >= 500) and not is_spent,
            is_fatal=status in _FATAL_STATUSES or is_spent,
            status=status,
            wait_seconds=_wait_seconds(error.response.headers),
        )


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
