"""The chat protocol: what is sent, what a reply says, and what each failure is."""

from __future__ import annotations

import copy
import datetime
import email.utils
import json
import random
from typing import Any

import pytest

from llava_eval.borders.http_client import AddressError, BrokenError, RequestError, UnreachableError
from llava_eval.models.chat_client import (
    BusyError,
    ChatClient,
    Completion,
    MalformedError,
    RefusedError,
    RejectedError,
    WithheldError,
    hints,
    read_completion,
    retry_after_seconds,
)
from tests.borders.raw_server import raw_server, says
from tests.models.chat_server import Answer, failure, reply, serving

KEY = "sk-test-0123456789abcdef"
MESSAGES = [{"role": "user", "content": "ä?"}]


def chat(answer: Answer, *, key: str = KEY, timeout_seconds: float = 20.0) -> Completion:
    with serving(lambda content, number: answer) as server:
        client = ChatClient(server.base_url, key, timeout_seconds)
        try:
            return client.chat("m", MESSAGES, {"temperature": 0.0})
        finally:
            client.close()


def test_a_request() -> None:
    with serving(lambda content, number: reply("yes")) as server:
        client = ChatClient(f"{server.base_url}/", KEY, 20.0)
        client.chat("m", MESSAGES, {"temperature": 0.0})
        client.close()
    told = {"stream": False, "temperature": 0.0}  # some gateways stream unless they are told
    assert server.requests == [{"model": "m", "messages": MESSAGES, **told}]
    assert server.keys == [f"Bearer {KEY}"]


def test_fields_that_a_model_takes_none_of() -> None:
    # As OpenAI's reasoning models answer, there and at Azure; gateways repeat the words alone.
    def reasons(content: dict[str, Any], number: int) -> Answer:
        refused = [name for name in ("max_tokens", "top_p", "stop") if name in content]
        if not refused:
            return reply("yes")
        return failure(400, f"BadRequestError: Unsupported parameter: '{refused[0]}' is not ...")

    fields = {"max_tokens": 8, "top_p": 1.0, "stop": ["."]}
    with serving(reasons) as server:
        client = ChatClient(server.base_url, KEY, 20.0)
        for _ in range(2):
            assert client.chat("m", MESSAGES, fields).text == "yes"
        with pytest.raises(RejectedError, match="'top_p'"):  # which asks for something else
            client.chat("m", MESSAGES, {"top_p": 0.9})
        client.close()
    sent = [{key: one[key] for key in one if key in ("top_p", "stop")} for one in server.requests]
    assert sent == [
        {"top_p": 1.0, "stop": ["."]},
        {"top_p": 1.0, "stop": ["."]},
        {"stop": ["."]},
        {},
        {},
        {"top_p": 0.9},
    ]
    limits = [(one.get("max_tokens"), one.get("max_completion_tokens")) for one in server.requests]
    assert limits == [(8, None), (None, 8), (None, 8), (None, 8), (None, 8), (None, None)]


def test_a_reply() -> None:
    found = chat(reply("yes", "judge-1"))
    assert (found.text, found.model, found.finish_reason) == ("yes", "judge-1", "stop")
    assert (found.num_input_tokens, found.num_output_tokens) == (100, 10)
    found.check_end()


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (failure(400, "too long"), RejectedError, "HTTP 400: too long"),
        (failure(413), RejectedError, "HTTP 413: no"),
        (failure(422), RejectedError, "HTTP 422: no"),
        (failure(401), RefusedError, "HTTP 401: no"),
        (failure(402), RefusedError, "HTTP 402: no"),
        (failure(403), RefusedError, "HTTP 403: no"),
        (failure(404), RefusedError, "HTTP 404: no"),
        (  # OpenRouter's, of one prompt
            Answer(403, b'{"error": {"message": "flagged", "metadata": {"flagged_input": "a"}}}'),
            RejectedError,
            "HTTP 403: flagged",
        ),
        (
            Answer(301, headers={"Location": "/v1/models?key=sk-1"}),
            AddressError,
            "HTTP 301: it has moved to http://127.0.0.1:",
        ),
        (failure(400, "API key not valid."), RefusedError, "HTTP 400: API key not valid."),
        (failure(400, "Your credit balance is too low"), RefusedError, "HTTP 400: Your credit"),
        (
            failure(400, "m is not a valid model ID"),  # of OpenRouter
            RefusedError,
            "HTTP 400: m is not a valid model ID",
        ),
        (
            failure(400, "Invalid model name passed in model=m. Call `/v1/models`"),  # of LiteLLM
            RefusedError,
            "HTTP 400: Invalid model name passed in model=m. Call `/v1/models`",
        ),
        (
            Answer(400, b'{"error": {"message": "Not served", "code": "model_not_supported"}}'),
            RefusedError,
            "HTTP 400: Not served",
        ),
        (
            failure(500, "image input is not supported - hint: provide the mmproj"),  # llama.cpp
            RefusedError,
            "HTTP 500: image input is not supported",
        ),
        (
            Answer(400, b'{"detail": "Failed to load model: no such folder"}'),
            RefusedError,
            "HTTP 400: Failed to load model: no such folder",
        ),
        (  # of transformers serve
            failure(400, "Server is pinned to 'a/b'; requested 'b'."),
            RefusedError,
            "HTTP 400: Server is pinned to 'a/b'; requested 'b'.",
        ),
        (  # vLLM 0.33's of a model that only embeds
            Answer(
                501,
                b'{"error":{"message":"The model does not support Chat Completions API",'
                b'"type":"NotImplementedError","param":null,"code":501}}',
            ),
            RejectedError,
            "HTTP 501: The model does not support Chat Completions API",
        ),
        (failure(408), BusyError, "HTTP 408: no"),
        (failure(409), BusyError, "HTTP 409: no"),
        (failure(425), BusyError, "HTTP 425: no"),
        (failure(429), BusyError, "HTTP 429: no"),
        (failure(500), BusyError, "HTTP 500: no"),
        (failure(503, "a\n b\x00"), BusyError, "HTTP 503: a b\x00"),
        (Answer(502, b"<html>\n bad gateway"), BusyError, "HTTP 502: <html> bad gateway"),
        (Answer(500, b"[" * 100_000), BusyError, "HTTP 500: [[["),
        (Answer(500, b'{"error": ["a"]}'), BusyError, 'HTTP 500: {"error": ["a"]}'),
        (Answer(500, b'{"error": "a"}'), BusyError, "HTTP 500: a"),
        (Answer(304), RejectedError, "HTTP 304"),
        (
            failure(400, "No connected db."),
            RefusedError,
            "HTTP 400: No connected db. (so LiteLLM refuses a key)",
        ),
        (
            Answer(413, b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>"),
            RejectedError,
            "HTTP 413: 413 Request Entity Too Large (model.server.image_format=jpeg sends less; ",
        ),
        (
            Answer(524, b'<!DOCTYPE html>\n<html class="no-js">\n<TITLE id="t">a | 524: A &amp; B'),
            BusyError,
            'HTTP 524: <!DOCTYPE html> <html class="no-js">',
        ),
        (
            Answer(524, b"<!DOCTYPE html>\n" * 99 + b'<TITLE id="t">\n524: A &amp; B</TITLE>'),
            BusyError,
            "HTTP 524: 524: A & B",
        ),
        (
            Answer(503, b"<html><body><h1>503 Service Unavailable</h1>\nNo server.\n"),
            BusyError,
            "HTTP 503: 503 Service Unavailable",
        ),
        (
            Answer(200, b"<html>\n<title>Chat</title>"),
            MalformedError,
            "malformed response (JsonError: not JSON: Expecting value: line 1 column 1 (char 0)",
        ),
        (reply("x", choices=[]), MalformedError, "malformed response (IndexError: "),
        (
            reply("x", choices=[]),
            MalformedError,
            "malformed response (IndexError: its choices are []",
        ),
        (
            reply("x", choices=None),
            MalformedError,
            "malformed response (IndexError: its choices are n",
        ),
        (
            Answer(200, b'{"error": {"message": "Provider returned\\n error", "code": 502}}'),
            MalformedError,
            "malformed response (an error in place of a reply: Provider returned error)",
        ),
        (
            Answer(200, b'{"error": "model not loaded"}'),
            MalformedError,
            "malformed response (an error in place of a reply: model not loaded)",
        ),
        (Answer(body=b"[" * 200_000), MalformedError, "malformed response (JsonError: more than"),
        (
            failure(200, "over\n loaded"),
            MalformedError,
            "malformed response (an error in place of a reply: over loaded)",
        ),
        (
            Answer(body=b'{"error": "no"}'),
            MalformedError,
            "malformed response (an error in place of a reply: no)",
        ),
        (
            Answer(body=b'{"detail": "Model is loading"}'),  # FastAPI's
            MalformedError,
            "malformed response (an error in place of a reply: Model is loading)",
        ),
        (
            Answer(body=b'{"error": {"detail": "no room", "code": 503}}'),
            MalformedError,
            "malformed response (an error in place of a reply: no room)",
        ),
        (Answer(body=b'{"error": {}}'), MalformedError, "malformed response (KeyError: 'choices')"),
        (Answer(body=b"{}", cut_after=1), BrokenError, "the connection broke after 1 of 2 bytes"),
    ],
)
def test_failures(answer: Answer, kind: type[RequestError], told: str) -> None:
    with pytest.raises(RequestError) as caught:
        chat(answer)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(told)
    assert len(str(caught.value)) <= 400


def test_what_an_address_may_be_the_cause_of(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = RefusedError("HTTP 404", 404)
    assert hints(missing, "http://a") == "; http://a may lack its end, most addresses end in /v1"
    assert hints(missing, "http://a/v1/") == hints(RefusedError("HTTP 403", 403), "http://a") == ""
    monkeypatch.setenv("http_proxy", "http://user:secret@b:3128")
    told = hints(BusyError("HTTP 503"), "http://a/v1")
    assert "by way of the proxy" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("status", "is_away"), [(429, True), (500, False), (502, True), (503, True), (504, False)]
)
def test_servers_that_take_no_request_now(status: int, is_away: bool) -> None:
    with pytest.raises(BusyError) as caught:
        chat(failure(status))
    assert caught.value.is_away == is_away


@pytest.mark.slow
def test_a_silent_server() -> None:
    with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
        chat(Answer(wait_seconds=30), timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("code", "insufficient_quota", RefusedError),
        ("type", "insufficient_quota", RefusedError),
        ("code", "content_filter", RejectedError),
        ("code", "content_policy_violation", RejectedError),
        ("type", "moderation_error", RejectedError),
        ("code", ["content_filter"], RejectedError),
        ("code", 4, BusyError),
        ("code", {"a": {}}, BusyError),
    ],
)
def test_codes_of_errors(name: str, value: object, kind: type[RequestError]) -> None:
    body = json.dumps({"error": {"message": "no", name: value}}).encode()
    with pytest.raises(RequestError) as caught:
        chat(Answer(429, body))
    assert type(caught.value) is kind


@pytest.mark.slow
def test_the_key_is_shown_nowhere() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    for text in (KEY, escaped):
        choice = {"message": {"content": "K"}}
        body = json.dumps({"model": "K", "choices": [choice]})
        broken = {**choice, "error": {"code": 429, "message": "K"}}
        found = chat(Answer(body=body.replace("K", text).encode()))
        assert (found.text, found.model) == ("***", "***")
        for answer in (
            failure(500, KEY),
            failure(200, KEY),
            failure(401, KEY),
            Answer(400, json.dumps({"error": {"message": "K"}}).replace("K", text).encode()),
            Answer(200, json.dumps({"error": {"message": "K"}}).replace("K", text).encode()),
            Answer(body=json.dumps({"choices": [broken]}).replace("K", text).encode()),
            Answer(500, KEY.encode()),
            Answer(body=f"no JSON {text}".encode()),
        ):
            with pytest.raises(RequestError) as caught:
                chat(answer)
            told = str(caught.value) + str(getattr(caught.value, "body", ""))
            assert KEY not in told
            assert text not in told


def test_the_key_is_cut_out_of_pages_that_escape_it() -> None:
    key = "sk-test/0123456789"
    body = rb'{"version": "1 of sk-test\/0123456789 and s\u006b-test/0123456789"}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with raw_server(says(head + body)) as address:
        client = ChatClient(f"{address}/v1", key, 20.0)
        try:
            assert client.get("/version", 20.0) == {"version": "1 of *** and ***"}
        finally:
            client.close()


@pytest.mark.parametrize(
    "said",
    [
        f"{KEY} is bad\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {KEY}\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_the_key_is_not_shown_of_what_is_no_answer(said: str) -> None:
    with raw_server(says(said.encode())) as address:
        client = ChatClient(f"{address}/v1", KEY, 20.0)
        try:
            with pytest.raises(RequestError, match=r"\*\*\*") as caught:
                client.chat("m", MESSAGES, {})
        finally:
            client.close()
    assert KEY not in str(caught.value)


def test_a_word_is_no_key() -> None:
    assert chat(reply("the list is EMPTY"), key="EMPTY").text == "the list is EMPTY"
    assert chat(reply("no-key"), key="no-key").text == "no-key"


def test_half_characters_cannot_be_sent() -> None:
    with serving(lambda content, number: reply("a")) as server:
        client = ChatClient(server.base_url, KEY, 20.0)
        with pytest.raises(UnicodeEncodeError):
            client.chat("m", [{"role": "user", "content": "\ud83d"}], {})
        client.close()


def completion(**changes: Any) -> Completion:
    content = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], **changes}
    return read_completion(json.dumps(content))


@pytest.mark.parametrize("reason", [None, "stop", "length", "eos", "eos_token", "stop_sequence"])
def test_replies_that_ended_as_they_should(reason: str | None) -> None:
    choice = {"message": {"content": "a"}, "finish_reason": reason}
    completion(choices=[choice]).check_end()


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "abort", "", 3, ["stop"], {}])
def test_replies_that_did_not(reason: object) -> None:
    choice = {"message": {"content": "a"}, "finish_reason": reason}
    with pytest.raises(WithheldError, match="the server ended the reply for"):
        completion(choices=[choice]).check_end()


def test_a_refusal_in_place_of_a_reply() -> None:
    message: dict[str, str | None] = {"content": None, "refusal": "I cannot"}
    with pytest.raises(WithheldError, match="refused to reply: I cannot"):
        completion(choices=[{"message": message, "finish_reason": "stop"}]).check_end()
    for content, refusal in (("a", "but"), (None, None)):
        message = {"content": content, "refusal": refusal}
        completion(choices=[{"message": message, "finish_reason": "stop"}]).check_end()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (None, None)),
        ({}, (None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 5}, (0, 5)),
        # mlx-vlm's
        ({"input_tokens": 9, "output_tokens": 5, "total_tokens": 14, "prompt_tps": 0.0}, (9, 5)),
        # xAI's, see vercel/ai pull request 12425: 12 of the prompt, 386 of reasoning, 1 of text.
        ({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399}, (12, 387)),
        ({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 3}, (12, 3)),
        ({"prompt_tokens": True, "completion_tokens": "5"}, (None, None)),
        ({"prompt_tokens": 1.0, "completion_tokens": [1]}, (None, None)),
    ],
)
def test_counts(usage: object, expected: tuple[int | None, int | None]) -> None:
    found = completion(usage=usage)
    assert (found.num_input_tokens, found.num_output_tokens) == expected


def test_counts_in_what_is_no_object() -> None:
    with pytest.raises(MalformedError, match="TypeError: its usage is a list"):
        completion(usage=["prompt_tokens", 3])


@pytest.mark.parametrize("count", [-1, -(10**400), 10**13, 10**400])
def test_counts_that_are_none(count: int) -> None:
    for name in ("prompt_tokens", "completion_tokens"):
        with pytest.raises(MalformedError, match=name):
            completion(usage={name: count})


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt", "gpt"),
        (None, "unnamed"),
        ("", "unnamed"),
        (["a"], "unnamed"),
        ("a\x1b[31m\u202eb\nc", "a[31mbc"),
        ("\ud83d", "?"),
        ("a" * 10_000, "a" * 200),
    ],
)
def test_names(model: object, expected: str) -> None:
    assert completion(model=model).model == expected


def mutated(value: Any, rng: random.Random) -> Any:
    """Return a value with one part of it replaced, removed, or put one level deeper."""
    strange: list[Any] = [
        None,
        True,
        -1,
        1e308,
        "",
        "\ud83d",
        [],
        {},
        [[]],
        {"a": {}},
        10**30,
        float("nan"),
    ]
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        changed = {**value, name: mutated(value[name], rng)}
        return {key: changed[key] for key in changed if key != name or rng.random() < 0.9}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], mutated(value[place], rng), *value[place + 1 :]]
    return rng.choice([*strange, [value], {"value": value}])


def test_mutated_replies_are_read_or_malformed() -> None:
    rng = random.Random(20261128)
    good = json.loads(reply("yes").body)
    num_read = 0
    for _ in range(3000):
        content = copy.deepcopy(good)
        for _ in range(rng.randint(1, 3)):
            content = mutated(content, rng)
        body = json.dumps(content)
        if rng.random() < 0.2:
            place = rng.randrange(len(body))
            body = body[:place] + rng.choice('[]{}",:\x00') + body[place + 1 :]
        try:
            found = read_completion(body)
        except MalformedError:
            continue
        num_read += 1
        found.text.encode()
        assert found.model.isprintable()
        for count in (found.num_input_tokens, found.num_output_tokens):
            assert count is None or 0 <= count < 1e13
    assert 300 < num_read < 2700


def in_seconds(seconds: float) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return email.utils.format_datetime(now + datetime.timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7, 7),
        (" 0.5 ", 0.5, 0.5),
        ("-3", 0, 0),
        ("1e999", float("inf"), float("inf")),
        ("Wed, 21 Oct 2015 07:28:00", 0, 0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", 1e10, 1e12),
    ],
)
def test_retry_after(text: str, least: float, most: float) -> None:
    found = retry_after_seconds({"retry-after": text})
    assert found is not None
    assert least <= found <= most


def test_a_pause_that_a_server_behind_litellm_asks_for() -> None:
    with pytest.raises(BusyError) as caught:
        chat(Answer(429, headers={"llm_provider-retry-after": "3"}))
    assert caught.value.retry_after_seconds == 3.0


def test_a_pause_that_gemini_asks_for_in_its_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}]
    body = json.dumps([{"error": {"code": 429, "message": "quota", "details": details}}]).encode()
    for headers, expected in (({}, 34.07), ({"Retry-After": "7"}, 7.0)):
        with pytest.raises(BusyError) as caught:
            chat(Answer(429, body, headers))
        assert caught.value.retry_after_seconds == expected


def test_retry_after_a_time_of_today() -> None:
    for text, least, most in ((in_seconds(-100), 0, 0), (in_seconds(100), 1, 100)):
        found = retry_after_seconds({"retry-after": text})
        assert found is not None
        assert least <= found <= most


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nan",
        "soon",
        "Wed, 21 Oct 2015 07:28:00 +99999999999999999999",
        "Wed, 21 Oct 99999 07:28:00 GMT",
        "Wed, 99 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 2015 99:99:99 GMT",
        "31 Dec 9999 23:59:59 -2359",
        "1 Jan 0001 00:00:00 +2359",
        "\x00",
        ",,,",
        "7, 8",
    ],
)
def test_retry_after_that_cannot_be_read(text: str) -> None:
    found = retry_after_seconds({"retry-after": text})
    assert found is None or found >= 0


def test_retry_after_says_nothing() -> None:
    assert retry_after_seconds({}) is None


def test_random_dates() -> None:
    rng = random.Random(5)
    letters = "0123456789 :+-,WedOctGMT/."
    for _ in range(3000):
        text = "".join(rng.choices(letters, k=rng.randint(1, 40)))
        found = retry_after_seconds({"retry-after": text})
        assert found is None or found >= 0


def test_what_is_malformed_is_told_with_its_beginning() -> None:
    told = MalformedError("no choices", "x" * 5000)
    assert str(told) == "malformed response (no choices)"
    assert told.body == "x" * 4000
    assert told.may_pass
    of_error = MalformedError(KeyError("choices"), "{}")
    assert str(of_error) == "malformed response (KeyError: 'choices')"
    assert of_error.body == "{}"
    assert len(str(MalformedError("x" * 999, ""))) == 400


def test_a_malformed_answer_is_kept_without_secrets_of_addresses() -> None:
    told = MalformedError("no choices", '{"error": "http://me:word@a/b?token=1 is away"}')
    assert told.body == '{"error": "http://a/b?... is away"}'


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_a_reply_without_content_beside_no_reasoning_is_malformed(
    name: str, nothing: str | None
) -> None:
    """vLLM, SGLang and LiteLLM send the field with null."""
    choice = {"message": {"role": "assistant", name: nothing}, "finish_reason": "stop"}
    with pytest.raises(MalformedError, match="KeyError: 'content'"):
        completion(choices=[choice])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"reasoning": "hm"}, "length"),
        ({"reasoning": "hm"}, "stop"),
        ({"reasoning_content": "hm"}, "stop"),
        ({}, "length"),
    ],
)
def test_a_reply_without_content_that_ended_early(message: dict[str, str], reason: str) -> None:
    """As mlx-lm's within the model's reasoning."""
    choice = {"message": {"role": "assistant", **message}, "finish_reason": reason}
    found = read_completion(json.dumps({"choices": [choice]}))
    found.check_end()
    assert (found.text, found.finish_reason) == ("", reason)


def test_a_reply_in_parts() -> None:
    """As Mistral's, whose reasoning models send their thinking beside the reply."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "B?"}]}
    parts = [thinking, {"type": "text", "text": "It is "}, {"type": "text", "text": "A"}]
    choice = {"message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}
    assert read_completion(json.dumps({"choices": [choice]})).text == "It is A"
    parts.append({"type": "text"})
    with pytest.raises(MalformedError, match="KeyError: 'text'"):
        read_completion(json.dumps({"choices": [choice]}))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([{"type": "output_text", "text": "A"}], "parts of output_text"),
        ([{"type": "thinking"}, {"type": "output_text", "text": "A"}], "parts of output_text"),
        ([{"type": "refusal", "refusal": "no"}, {"type": "image"}], "parts of image, refusal"),
    ],
)
def test_a_reply_in_parts_of_no_known_kind_is_not_an_empty_one(
    parts: list[dict[str, str]], words: str
) -> None:
    choice = {"message": {"content": parts}, "finish_reason": "stop"}
    with pytest.raises(MalformedError, match=words):
        read_completion(json.dumps({"choices": [choice]}))


def test_a_filtered_reply_without_content() -> None:
    """As Azure's."""
    choice = {"message": {"role": "assistant"}, "finish_reason": "content_filter"}
    with pytest.raises(WithheldError, match="ended the reply for 'content_filter'"):
        read_completion(json.dumps({"choices": [choice]})).check_end()


def test_a_page_is_told_with_its_beginning() -> None:
    with pytest.raises(MalformedError, match="it begins '<html> <title>Chat</title>'"):
        chat(Answer(200, b"<html>\n<title>Chat</title>"))
    with pytest.raises(MalformedError, match="it is empty"):
        chat(Answer(200))


def test_a_reply_that_a_provider_broke_off() -> None:
    """As OpenRouter's, with the provider's error in the choice."""
    error = {"code": 502, "message": "overloaded"}
    choice = {"message": {"content": ""}, "finish_reason": "error", "error": error}
    with pytest.raises(WithheldError, match="ended the reply for 'error': overloaded"):
        read_completion(json.dumps({"choices": [choice]})).check_end()


@pytest.mark.parametrize(
    ("status", "is_away"), [(408, False), (429, True), (500, False), (502, True), (524, False)]
)
def test_a_provider_that_failed_may_answer_later(status: int, is_away: bool) -> None:
    error = {"code": status, "message": "overloaded"}
    choice = {"message": {"content": "Th"}, "finish_reason": "error", "error": error}
    with pytest.raises(BusyError, match=f"^the server .* HTTP {status}: overloaded$") as caught:
        chat(reply("", choices=[choice]))
    assert caught.value.is_away == is_away
    del error["message"]
    with pytest.raises(BusyError, match=f"^the server .* HTTP {status}$"):
        chat(reply("", choices=[choice]))


@pytest.mark.parametrize("error", [{"code": 400}, {"code": "server_error"}, {}, "gone", None])
def test_a_provider_that_refused_would_refuse_again(error: object) -> None:
    choice = {"message": {"content": ""}, "finish_reason": "error", "error": error}
    with pytest.raises(WithheldError, match="ended the reply for 'error'"):
        chat(reply("", choices=[choice])).check_end()


def test_a_complete_reply_has_content() -> None:
    choice = {"message": {"role": "assistant"}, "finish_reason": "stop"}
    with pytest.raises(MalformedError, match="KeyError: 'content'"):
        read_completion(json.dumps({"choices": [choice]}))


@pytest.mark.slow
def test_errors_in_a_list_and_bare_ones() -> None:
    """As Gemini's endpoint, and as SGLang and Mistral word them."""
    for body in (b'[{"error": {"message": "no key", "code": 400}}]', b'{"message": "no key"}'):
        with pytest.raises(RejectedError) as caught:
            chat(Answer(400, body))
        assert str(caught.value) == "HTTP 400: no key"
    for body in (b"[]", b"[3]", b"3"):
        with pytest.raises(RejectedError) as caught:
            chat(Answer(400, body))
        assert str(caught.value) == f"HTTP 400: {body.decode()}"


def test_what_the_provider_behind_a_router_said_is_told() -> None:
    """As OpenRouter wraps it, whose own words say nothing."""
    raw = '{"error": {"message": "Invalid \'max_output_tokens\': expected a value >= 16"}}'
    metadata = {"raw": raw, "provider_name": "Azure"}
    error = {"message": "Provider returned error", "code": 400, "metadata": metadata}
    body = json.dumps({"error": error, "user_id": "x"}).encode()
    for status, kind in ((400, RejectedError), (200, MalformedError)):
        with pytest.raises(kind, match=r"Provider returned error: .*expected a value >= 16"):
            chat(Answer(status, body))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("COMPLETE", "stop"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("eos_token", "eos_token"),
        (None, None),
    ],
)
def test_other_vendors_words_for_an_end(said: str | None, reason: str | None) -> None:
    """As gateways pass on those of Gemini, Anthropic, Cohere and Mistral."""
    choice = {"message": {"role": "assistant", "content": "A"}, "finish_reason": said}
    found = read_completion(json.dumps({"choices": [choice]}))
    found.check_end()
    assert (found.text, found.finish_reason) == ("A", reason)


@pytest.mark.parametrize(
    "told",
    [
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1)",
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "litellm.UnsupportedParamsError: gpt-5 models don't support temperature=0.0.",
    ],
)
def test_a_temperature_that_a_model_does_not_take_is_told_with_the_keys(told: str) -> None:
    with pytest.raises(RejectedError, match=r"judge\.temperature=null") as caught:
        chat(failure(400, told))
    assert "benchmark.generation.temperature=1" in str(caught.value)
    with pytest.raises(RejectedError) as other:
        chat(failure(400, "temperature must be non-negative"))
    assert "judge" not in str(other.value)


@pytest.mark.parametrize(
    "told",
    [
        "`temperature` and `top_p` cannot both be specified for this model.",
        "Input validation error: `top_p` must be > 0.0 and < 1.0",
        "litellm.UnsupportedParamsError: openai does not support parameters: ['top_p'], for",
    ],
)
def test_top_p_of_one_beside_a_temperature(told: str) -> None:
    """Claude takes one of them, others no 1 or none at all; a top_p of 1 asks for nothing."""

    def refuse(content: dict[str, Any], number: int) -> Answer:
        return failure(400, told) if "top_p" in content else reply("yes")

    with serving(refuse) as server:
        client = ChatClient(server.base_url, KEY, 20.0)
        assert client.chat("m", MESSAGES, {"temperature": 0.7, "top_p": 1.0}).text == "yes"
        with pytest.raises(RejectedError, match="top_p"):
            client.chat("m", MESSAGES, {"temperature": 0.7, "top_p": 0.9})
        client.close()


def test_https_where_no_tls_is_spoken() -> None:
    with serving(lambda content, number: reply("yes")) as server:
        client = ChatClient(server.base_url.replace("http://", "https://"), KEY, 20.0)
        with pytest.raises(AddressError, match=r"^it speaks no TLS, which https:// asks for: "):
            client.chat("m", MESSAGES, {})
        client.close()
