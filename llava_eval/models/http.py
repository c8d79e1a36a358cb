"""HTTP requests to one endpoint, and what their failures mean.

How long to wait before the same request is sent again.

What the body of a chat completion says.

Where an endpoint is and with which key it is asked; the key itself is never shown.

Where an endpoint is and how it may be asked.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import SplitResult, urlsplit

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


#: An endpoint that asks for a longer pause than this counts as failed.
LONGEST_WAIT_SECONDS = 600.0
_LONGEST_BACKOFF_SECONDS = 60.0

_random = random.Random(0)  # spreads retries out; no result depends on it


def pause_seconds(attempt: int, error: RequestError, backoff_seconds: float) -> float | None:
    """Return how long to wait before the next attempt; None: too long.

    Args:
        attempt: number of the one that failed, from 0.
        error: how it failed; what the endpoint asks for is the least.
        backoff_seconds: wait after the first attempt; doubles with each, up to a minute.
    """
    asked = error.wait_seconds or 0.0
    if asked > LONGEST_WAIT_SECONDS:
        return None
    backoff = min(_LONGEST_BACKOFF_SECONDS, backoff_seconds * 2.0**attempt)
    return max(asked, backoff * _random.uniform(0.75, 1.25))


@dataclass(frozen=True, slots=True)
class Completion:
    """A response that is what the protocol says.

    Attributes:
        content: all of it.
        choice: its first choice.
        text: what the model wrote; nothing where the endpoint says null: a refusal, a filter, or
            an end token alone.
        finish_reason: why it ended, as the endpoint says: a text, or None where it does not.
        model: the model that the endpoint says has answered.
        num_input_tokens, num_output_tokens: as the endpoint counted them; None where it did not.
    """

    content: Mapping[str, Any]
    choice: Mapping[str, Any]
    text: str
    finish_reason: Any
    model: str
    num_input_tokens: int | None
    num_output_tokens: int | None


def read_completion(body: str) -> Completion:
    """Read a response's body.

    Raises:
        RequestError: it is no chat completion.
    """
    try:
        content = json.loads(body)
        choice = content["choices"][0]
        text = choice["message"]["content"]
        usage = content.get("usage") or {}
        if text is None:
            text = ""
        if not isinstance(text, str):
            raise TypeError(f"the reply is a {type(text).__name__}")
        return Completion(
            content=content,
            choice=choice,
            text=text.encode("utf-8", "replace").decode("utf-8"),  # JSON can hold half characters
            finish_reason=choice.get("finish_reason"),
            model=str(content.get("model") or "unnamed"),
            num_input_tokens=_count_or_none(usage.get("prompt_tokens")),
            num_output_tokens=_count_or_none(usage.get("completion_tokens")),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise RequestError.malformed(error, body) from None


def _count_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


#: What a server that asks for no key gets instead of one.
NO_KEY = "no-key"

OPENAI_HOST = "api.openai.com"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_address(address: str, *, key: str) -> None:
    """Raise ConfigError for an address that is none, or that holds a secret.

    Args:
        address: an endpoint up to and without ``/chat/completions``.
        key: of the configuration, for messages.
    """
    url = _parts(address, key)
    if url.username or url.password or url.query:
        raise ConfigError(
            f"{key} must not hold a user name, a password or a query: it is written "
            "into the run's files; the key belongs into an environment variable"
        )
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            f"{key} is {address!r}; expected http(s)://host[:port]/path, for "
            "instance http://localhost:8000/v1"
        )


def check_variable(variable: str, *, key: str) -> None:
    """Raise ConfigError for what cannot be the name of an environment variable."""
    if not _VARIABLE.fullmatch(variable):
        # The value is not repeated: it may be the key itself.
        raise ConfigError(
            f"{key} takes the name of an environment variable, letters, digits and "
            "underscores; the key itself belongs into that variable"
        )


def is_openai(address: str) -> bool:
    """Return whether an address is OpenAI's own."""
    return urlsplit(address).hostname == OPENAI_HOST


def is_this_machine(address: str) -> bool:
    """Return whether an address is surely of this machine."""
    host = urlsplit(address).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def read_key(variable: str, address: str, *, who: str, hint: str) -> str:
    """Return the key from the environment, or ``NO_KEY`` where it is not set.

    Args:
        variable: name of the environment variable.
        address: of the endpoint.
        who, hint: who needs the key, and which settings change that, for the message.

    Raises:
        ConfigError: OpenAI's own endpoint is asked and the variable is not set.
    """
    found = os.environ.get(variable, "").strip()
    if found:
        return found
    if is_openai(address):
        raise ConfigError(
            f"the environment variable {variable} is not set, and {who} at {address} needs a key "
            f"({hint})"
        )
    return NO_KEY


def _parts(address: str, key: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise ConfigError(f"{key} is no address: {error}") from error


@dataclass(frozen=True)
class EndpointSettings:
    """A model behind an endpoint; the key is read from the environment and kept nowhere.

    Attributes:
        part: what the configuration calls it, for messages.
        model: name that the endpoint knows the model by.
        base_url: the endpoint up to and without ``/chat/completions``.
        api_key_env: name of the environment variable that holds the key.
        concurrency: requests under way at once.
        retries: further attempts at a request that failed in a way that may pass.
        backoff_seconds: wait before the first further attempt; doubles with each.
        timeout_seconds: longest wait for the endpoint's next byte.

    Raises:
        ConfigError: the address or the variable is none.
    """

    part: ClassVar[str]

    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    retries: int = 5
    backoff_seconds: float = 1.0
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_variable(self.api_key_env, key=f"{self.part}.api_key_env")
        check_address(self.base_url, key=f"{self.part}.base_url")

    def key(self) -> str:
        """Return the key from the environment.

        Raises:
            ConfigError: OpenAI's own endpoint is asked and the variable is not set.
        """
        return read_key(
            self.api_key_env,
            self.base_url,
            who=f"the {self.part} {self.model}",
            hint=f"{self.part}.api_key_env names another variable, {self.part}.base_url another "
            "endpoint",
        )
