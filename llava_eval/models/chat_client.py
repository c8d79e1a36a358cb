"""OpenAI's chat protocol over HTTP: one request, its reply, and the meaning of its failures.

Every failure is a :class:`RequestError`, and its ``may_pass`` says whether the same request may
succeed later. Errors of connections and addresses come from :mod:`llava_eval.borders.http_client`.
"""

from __future__ import annotations

import datetime
import email.utils
import html
import http.client
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llava_eval.borders.address import NO_KEY, by_proxy
from llava_eval.borders.http_client import AddressError, HttpClient, RequestError, Response
from llava_eval.borders.json_text import JsonError, parse_json
from llava_eval.errors import without_secrets
from llava_eval.types import MAX_TOKENS

#: Largest response that is read. Log-probabilities of a long prompt take tens of megabytes.
MAX_BODY_BYTES = 64 << 20

#: Statuses after which the same request may succeed, in addition to all 5xx except 501, which vLLM
#: sends for requests that it never serves, such as chats with an embedding model.
_PASSING_STATUSES = (408, 409, 425, 429)
#: Statuses of a server that currently accepts no request at all.
_AWAY_STATUSES = (429, 502, 503, 529)
#: Statuses that every further request would get too.
_FATAL_STATUSES = (401, 402, 403, 404)
_LONGEST_KEPT_BODY = 4000
_LONGEST_NAME = 200
#: A shorter key is not a secret but a word such as "EMPTY", which a model may write too.
_SHORTEST_SECRET = 8
#: Messages about unsupported fields: OpenAI's, Anthropic's (which gateways repeat without a code),
#: LiteLLM's own, and text-generation-inference's about a top_p of 1.
_UNSUPPORTED = re.compile(
    r"Unsupported parameter: '(\w+)'|`temperature` and `(top_p)` cannot both be specified"
    r"|does not support parameters: \['(\w+)'|`(top_p)` must be > 0\.0 and < 1\.0"
)
#: The pause that Gemini requests in the body; it sends no header.
_RETRY_DELAY = re.compile(r'"retryDelay":\s*"([\d.]+)s"')
#: Messages of reasoning models that refuse any temperature except 1.
_NO_TEMPERATURE = re.compile(r"\btemperature\b.*\bsupport|\bsupport.*\btemperature\b")
#: Messages of errors that every request would get, although the status is 400 or 500: of Gemini,
#: xAI, Anthropic, Alibaba and Hugging Face for keys and quotas; of OpenRouter, LiteLLM, Mistral and
#: DeepSeek for an unknown model; of LiteLLM without a database for a key that is not its own; of
#: mlx-vlm for a model that it cannot load; of ``transformers serve`` for another model than the one
#: it was started with; and of llama.cpp (500) for a model that was loaded without its projector.
_FATAL = re.compile(
    r"API key not valid|Incorrect API key|credit balance is too low|Arrearage|model_not_supported"
    r"|is not a valid model ID|Invalid model\b|Model Not Exist|No connected db"
    r"|Failed to load model|Server is pinned to|image input is not supported"
)
#: Title of an HTML page, as proxies in front of the server send; HAProxy's have only a heading.
_TITLE = re.compile(r"<(?:title|h1)[^>]*>([^<]+)</", re.IGNORECASE)
#: Fields in which servers return reasoning separately from the text.
_REASONING = frozenset({"reasoning", "reasoning_content"})
#: Types of content parts in which other servers return reasoning.
_REASONING_PARTS = frozenset({"reasoning", "thinking"})
#: Finish reasons of a normal end: OpenAI's, and those of text-generation-inference.
_ENDS = (None, "stop", "length", "eos", "eos_token", "stop_sequence")
#: Finish reasons of Anthropic, Gemini, Cohere and Mistral, which some gateways pass on, in either
#: case, as OpenAI's.
_OPENAI_ENDS = {
    **dict.fromkeys(("stop", "end_turn", "complete"), "stop"),
    **dict.fromkeys(("max_tokens", "model_length"), "length"),
}


class BusyError(RequestError):
    """The server has failed, or asks the client to come back later.

    Attributes:
        retry_after_seconds: pause that the server requests; None if it requests none.
    """

    may_pass = True

    def __init__(
        self, message: str, retry_after_seconds: float | None = None, *, is_away: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.is_away = is_away


class MalformedError(RequestError):
    """A response that does not follow the protocol.

    Attributes:
        body: the beginning of the response, without the key and secrets of addresses.
    """

    may_pass = True

    def __init__(self, cause: Exception | str, body: str) -> None:
        text = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        if isinstance(cause, JsonError):  # an HTML page, a stream, or nothing at all
            shown = " ".join(body[:200].split())[:60]
            text += f"; it begins {shown!r}" if shown else "; it is empty"
        super().__init__(f"malformed response ({text})"[:400])
        self.body = without_secrets(body[:_LONGEST_KEPT_BODY])


class WithheldError(RequestError):
    """A reply that a filter withheld, or that the server broke off.

    A judge is asked again; for a model under test it is the sample's error.
    """

    may_pass = True


class RejectedError(RequestError):
    """The server refuses this request, and would refuse it again.

    Attributes:
        unsupported: name of a field that this model does not support; None for other reasons.
    """

    def __init__(self, message: str, unsupported: str | None = None) -> None:
        super().__init__(message)
        self.unsupported = unsupported


class RefusedError(RequestError):
    """The server refuses this request and every other one: the key, the model, or the quota.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def ends_all(error: Exception | None, *, has_answered: bool) -> bool:
    """Return whether a failed request means that all further requests will fail.

    Args:
        error: the error; None if the request succeeded.
        has_answered: the endpoint has answered other requests, so that a filter or a firewall may
            have refused only this one.
    """
    if isinstance(error, RefusedError):
        return not (has_answered and error.status == 403)
    return isinstance(error, AddressError)


def hints(error: RequestError, base_url: str) -> str:
    """Return a hint for messages if the address may be the cause of an error.

    Args:
        error: error of a request.
        base_url: the endpoint.
    """
    is_missing = isinstance(error, RefusedError) and error.status == 404
    is_short = is_missing and not base_url.rstrip("/").endswith("/v1")
    of_end = f"; {base_url} may lack its end, most addresses end in /v1" if is_short else ""
    return f"{of_end}{by_proxy(base_url)}"


@dataclass(frozen=True, slots=True)
class Completion:
    """A response that follows the chat-completions protocol.

    Attributes:
        content: the whole response.
        choice: its first choice.
        text: the model's text; empty if the endpoint sends null, or leaves it out of a reply that
            ended early: a refusal, a filter, or an immediate end token.
        finish_reason: why the reply ended, in OpenAI's words if the endpoint uses equivalent ones;
            None if it says nothing.
        refusal: the endpoint's refusal instead of a reply, or its explanation of a broken reply;
            usually None.
        model: the model that answered, as the endpoint names it.
        num_input_tokens, num_output_tokens: token counts of the endpoint, including reasoning; None
            if it does not count.
    """

    content: Mapping[str, Any]
    choice: Mapping[str, Any]
    text: str
    finish_reason: Any
    refusal: str | None
    model: str
    num_input_tokens: int | None
    num_output_tokens: int | None

    @property
    def has_reasoning(self) -> bool:
        """Whether the endpoint returned reasoning separately from the text."""
        message = self.choice["message"]
        content = message.get("content")
        kinds = {part["type"] for part in content} if isinstance(content, list) else set()
        return any(message.get(name) for name in _REASONING) or bool(kinds & _REASONING_PARTS)

    def check_end(self) -> None:
        """Raise WithheldError if the reply was broken off or withheld."""
        if is_withheld(self.finish_reason):
            why = f": {self.refusal}" if self.refusal else ""
            raise WithheldError(f"the server ended the reply for {self.finish_reason!r}{why}"[:200])
        if self.refusal and not self.text:
            raise WithheldError(f"the server refused to reply: {self.refusal[:200]}")


def is_withheld(finish_reason: object) -> bool:
    """Return whether a finish reason means that the reply is not the model's complete text.

    Args:
        finish_reason: the endpoint's finish reason, for instance "content_filter".
    """
    return finish_reason not in _ENDS


class ChatClient:
    """Sends chat requests to one endpoint; one object can be used by many threads.

    Args:
        base_url: the endpoint up to and without ``/chat/completions``.
        key: API key sent to the endpoint; it is removed from everything that comes back.
        timeout_seconds: longest wait for a complete reply.

    Attributes:
        answered_by: the model that sent the last reply, as the endpoint names it; None before the
            first one.
    """

    def __init__(self, base_url: str, key: str, timeout_seconds: float) -> None:
        self.answered_by: str | None = None
        self._base_url = base_url.rstrip("/")
        is_secret = key != NO_KEY and len(key) >= _SHORTEST_SECRET
        self._secret = _spellings(key) if is_secret else None
        self._timeout_seconds = timeout_seconds
        self._unsupported: set[str] = set()
        self._client = HttpClient(
            {
                "Authorization": f"Bearer {key}",
                "Accept": "application/json",
                "Content-Type": "application/json",
            }
        )

    def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]
    ) -> Completion:
        """Request one chat completion, without retries.

        Args:
            model: the endpoint's name of the model.
            messages: the conversation.
            fields: further fields of the request.

        Raises:
            RequestError: there is no reply, or it reports an error.
            UnicodeEncodeError: a text has half surrogate pairs, which cannot be sent.
        """
        # Some gateways stream unless the request forbids it.
        known: dict[str, Any] = {"model": model, "stream": False}
        known["messages"] = [dict(message) for message in messages]
        content = {**known, **self._supported(fields)}
        sent = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        try:
            body = self._body(f"{self._base_url}/chat/completions", self._timeout_seconds, sent)
        except RejectedError as error:
            self._unsupported.add(error.unsupported or "")
            if {**known, **self._supported(fields)} == content:
                raise
            return self.chat(model, messages, fields)
        completion = _read_answer(body)
        _check_provider(completion)
        self.answered_by = completion.model
        return completion

    def _supported(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Replace unsupported fields by equivalent ones, or drop those without effect.

        OpenAI's reasoning models, also at Azure, refuse the older name of the token limit, and
        top_p and stop with any value. Texts are cut at stop strings by this package too.
        """
        kept = dict(fields)
        if "max_tokens" in kept and "max_tokens" in self._unsupported:
            kept["max_completion_tokens"] = kept.pop("max_tokens")
        if kept.get("top_p") == 1 and "top_p" in self._unsupported:
            del kept["top_p"]
        if "stop" in self._unsupported:
            kept.pop("stop", None)
        return kept

    def get(
        self, address: str, timeout_seconds: float, content: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the JSON value at an address.

        Args:
            address: a path below the endpoint's, or a whole address.
            timeout_seconds: longest wait for the whole response.
            content: body of a POST request; None sends a GET request.

        Raises:
            RequestError: there is no response, or it is not JSON.
        """
        whole = f"{self._base_url}{address}" if address.startswith("/") else address
        sent = None if content is None else json.dumps(content).encode()
        body = self._body(whole, timeout_seconds, sent)
        try:
            return parse_json(body)
        except JsonError as error:
            raise MalformedError(error, body) from None

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _body(self, address: str, timeout_seconds: float, content: bytes | None) -> str:
        """Return the body of a successful response, without the key; POST if there is content."""
        try:
            response = self._client.exchange(
                "GET" if content is None else "POST",
                address,
                timeout_seconds=timeout_seconds,
                max_bytes=MAX_BODY_BYTES,
                content=content,
            )
        except RequestError as error:  # its message may quote the response
            error.args = (self._clean(str(error)),)
            raise
        body = self._clean(response.body.decode("utf-8-sig", errors="replace"))
        if not 200 <= response.status < 300:
            raise _status_error(response, body, self._clean)
        return body

    def _clean(self, text: str) -> str:
        """Return a text without the API key, which some servers repeat."""
        return text if self._secret is None else self._secret.sub("***", text)


def _spellings(key: str) -> re.Pattern[str]:
    """Return a pattern that finds a key in text, also in JSON with escaped characters."""
    return re.compile(
        "".join(rf"\\{{0,2}}(?:{re.escape(one)}|u(?i:{ord(one):04x}))" for one in key)
    )


def _read_answer(body: str) -> Completion:
    """Read a response's body, which may describe an error instead of a reply."""
    try:
        return read_completion(body)
    except MalformedError:
        message = _error_object(body).get("message")
        if not isinstance(message, str) or not message.strip():
            raise
        # Routers send a provider's error with status 200.
        cause = f"an error in place of a reply: {' '.join(message[:2000].split())}"
        raise MalformedError(cause, body) from None


def _status_error(response: Response, body: str, clean: Callable[[str], str]) -> RequestError:
    status = response.status
    error = _error_object(body)
    cause, message, title = body, error.get("message"), _TITLE.search(body)
    if isinstance(message, str):
        cause = message
    elif title:
        cause = clean(html.unescape(title[1]))
    cause = " ".join(cause[:2000].split()) or http.client.responses.get(status, "")
    text = f"HTTP {status}: {cause}"[:300].removesuffix(": ")
    if status == 413:
        text += " (model.server.image_format=jpeg sends less; nginx takes client_max_body_size)"
    if "No connected db" in cause:
        text += " (so LiteLLM refuses a key)"
    codes = [str(error.get(name)) for name in ("code", "type")]
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and "flagged_input" in metadata:
        return RejectedError(text)  # OpenRouter also sends 403 for a single flagged prompt
    if any(word in code for code in codes for word in ("content_", "moderation")):
        return RejectedError(text)  # a content filter refused this prompt; others may pass
    is_fatal = status in _FATAL_STATUSES or (
        status in (400, 500) and _FATAL.search(f"{cause} {codes}")
    )
    if is_fatal or "insufficient_quota" in codes:
        return RefusedError(text, status)
    if _may_pass(status):
        delay = _RETRY_DELAY.search(body)
        asked = {"retry-after": delay[1]} if delay else {}
        pause = retry_after_seconds({**asked, **response.headers})
        return BusyError(text, pause, is_away=status in _AWAY_STATUSES)
    unsupported = _UNSUPPORTED.search(cause)
    if _NO_TEMPERATURE.search(cause):
        text += (
            " (judge.temperature=null, of a model under test benchmark.generation.temperature=1)"
        )
    return RejectedError(text, unsupported[unsupported.lastindex or 0] if unsupported else None)


def _may_pass(status: int) -> bool:
    """Return whether the same request may succeed after a status."""
    return status in _PASSING_STATUSES or (status >= 500 and status != 501)


def _check_provider(completion: Completion) -> None:
    """Raise BusyError if OpenRouter's reply says that the provider behind it has failed."""
    error = completion.choice.get("error") or completion.content.get("error")
    if not isinstance(error, dict):
        return
    status = error.get("code")
    if isinstance(status, int) and _may_pass(status):
        why = f": {completion.refusal}" if error.get("message") else ""
        text = f"the server ended the reply for HTTP {status}{why}"[:200]
        raise BusyError(text, is_away=status in _AWAY_STATUSES)


def _error_object(body: str) -> Mapping[str, Any]:
    """Return the error object of a body: OpenAI's, Gemini's (in a list), or without wrapping."""
    try:
        content = parse_json(body)
        content = content[0] if isinstance(content, list) else content
        error = content.get("error", content)
    except (JsonError, IndexError, AttributeError):
        return {}
    if not isinstance(error, dict):
        return {"message": error}
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and "raw" in metadata:  # OpenRouter quotes its provider
        return {**error, "message": f"{error.get('message')}: {metadata['raw']}"}
    return {"message": error.get("detail"), **error}  # FastAPI's form, used by mlx-vlm


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the requested pause: given in seconds or as a date (RFC 9110, section 10.2.3).

    Args:
        headers: headers by lower-case name.

    Returns:
        The pause in seconds; None if there is none, or if it cannot be read.
    """
    # LiteLLM passes on the value of the server behind it under another name.
    asked = (headers.get("retry-after") or headers.get("llm_provider-retry-after", "")).strip()
    try:
        seconds = float(asked)
        return None if math.isnan(seconds) else max(0.0, seconds)
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(asked)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        wait = (moment - datetime.datetime.now(datetime.UTC)).total_seconds()
    except (ValueError, OverflowError, TypeError, IndexError):  # not a valid date
        return None
    return max(0.0, wait)


def read_completion(body: str) -> Completion:
    """Parse a response's body.

    Args:
        body: the body, without the key.

    Raises:
        MalformedError: it is not a chat completion.
    """
    try:
        content = parse_json(body, dict)
        choices = content["choices"]
        if not choices:
            raise IndexError(f"its choices are {json.dumps(choices)}")
        choice = choices[0]
        message = choice["message"]
        reason = choice.get("finish_reason")
        reason = _OPENAI_ENDS.get(str(reason).lower(), reason)
        failures = [_complaint(part.get("error")) for part in (message, choice, content)]
        failure = next(filter(None, failures), None)
        if failure is not None and not is_withheld(reason):
            reason = "error"  # OpenRouter's finish reason if the provider behind it fails
        text = _reply_text(message, reason)
        num_input_tokens, num_output_tokens = _token_counts(content.get("usage") or {})
        refusal = _complaint(message.get("refusal")) or failure
        return Completion(
            content=content,
            choice=choice,
            text=_whole_characters(text),
            finish_reason=reason,
            refusal=None if refusal is None else _whole_characters(refusal),
            model=_name(content.get("model")),
            num_input_tokens=num_input_tokens,
            num_output_tokens=num_output_tokens,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise MalformedError(error, body) from None


def _reply_text(message: Mapping[str, Any], finish_reason: object) -> str:
    """Return the text of a reply's message; empty if it is missing and may be missing."""
    # Azure omits it in filtered replies, mlx-lm in replies that end within their reasoning.
    has_ended_early = finish_reason == "length" or is_withheld(finish_reason)
    may_lack = has_ended_early or any(message.get(name) for name in _REASONING)
    text = message.get("content") if may_lack else message["content"]
    if isinstance(text, list):  # of reasoning models such as Mistral's: thinking and text
        kinds = {part["type"] for part in text}
        others = kinds - {"text", *_REASONING_PARTS}
        if others and "text" not in kinds:
            raise TypeError(f"the reply has parts of {', '.join(sorted(others))}")
        text = "".join(part["text"] for part in text if part["type"] == "text")
    if text is not None and not isinstance(text, str):
        raise TypeError(f"the reply is a {type(text).__name__}")
    return text or ""


def _complaint(value: object) -> str | None:
    """Return the message of a refusal or error in a response; None if it is empty."""
    said = value.get("message") if isinstance(value, dict) else value
    if isinstance(said, str) and said.strip():
        return said
    parts = value.values() if isinstance(value, dict) else (value,)
    return json.dumps(value) if any(parts) else None


def _token_counts(usage: object) -> tuple[int | None, int | None]:
    """Return the numbers of prompt tokens and reply tokens, if the endpoint counts them."""
    if not isinstance(usage, dict):
        raise TypeError(f"its usage is a {type(usage).__name__}")
    # mlx-vlm uses the names of OpenAI's other protocol
    ingoing = _count_or_none(usage, "prompt_tokens", "input_tokens")
    outgoing = _count_or_none(usage, "completion_tokens", "output_tokens")
    both = _count_or_none(usage, "total_tokens")
    if ingoing is not None and outgoing is not None and both is not None:
        outgoing = max(outgoing, both - ingoing)  # xAI and Gemini count reasoning only in the sum
    return ingoing, outgoing


def _whole_characters(text: str) -> str:
    """Return a text without half surrogate pairs, which JSON can contain."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _name(value: object) -> str:
    """Return a name as one short line."""
    text = _whole_characters(value) if isinstance(value, str) else ""
    shown = "".join(character for character in text if character.isprintable())
    return shown[:_LONGEST_NAME] or "unnamed"


def _count_or_none(usage: Mapping[str, Any], name: str, other: str = "") -> int | None:
    """Return a token count, or None if there is none; raise ValueError if it is impossible."""
    value = usage.get(name, usage.get(other))
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if not 0 <= value <= MAX_TOKENS:
        raise ValueError(f"{name} is {value}" if abs(value) < 1e30 else f"{name} is not a count")
    return value
