"""The judge against a real server on this machine: replies, faults, limits, and what is kept."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from llava_eval.config.schema import JudgeConfig
from llava_eval.errors import ConfigError, RunDirectoryError, StorageError
from llava_eval.scoring.judge.judge import RecordedJudge, read_judge_key
from llava_eval.scoring.judge.replies import KeptReply, ReplyStore, key_of
from llava_eval.scoring.judge.report import Judging
from llava_eval.scoring.scorer import JudgeReply, Messages
from tests.scoring.judge.server import Answer, Behaviour, JudgeServer, failure, reply, serving

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def prompt(text: str) -> Messages:
    return ({"role": "system", "content": "judge"}, {"role": "user", "content": text})


def ask(
    folder: Path,
    server: JudgeServer | str,
    *texts: str,
    others: list[Path] | None = None,
    **settings: Any,
) -> Judging:
    """Put prompts to a server; fast retries unless told otherwise."""
    base_url = server if isinstance(server, str) else server.base_url
    values = {"model": "judge", "base_url": base_url, "backoff_seconds": 0.001, **settings}
    judge = RecordedJudge(JudgeConfig(**values), folder, others or [])
    answers = judge.ask([prompt(text) for text in texts])
    assert answers == judge.judging.replies
    return judge.judging


def echo(content: dict[str, Any], number: int) -> Answer:
    return reply(f"re: {content['messages'][1]['content']}")


def failures(judging: Judging) -> dict[int, str]:
    return {at: str(one.error) for at, one in enumerate(judging.replies) if one.text is None}


def replies(judging: Judging) -> list[str | None]:
    return [found.text for found in judging.replies]


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "judge.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_replies_stand_in_the_order_of_the_prompts(tmp_path: Path) -> None:
    texts = [f"question {n}" for n in range(40)]
    with serving(echo) as server:
        judging = ask(tmp_path, server, *texts)
    assert replies(judging) == [f"re: {text}" for text in texts]
    kept = [one for one in judging.replies if isinstance(one, KeptReply)]
    assert [one.snapshot for one in kept] == ["judge-2024-01-01"] * 40
    assert (judging.num_asked, judging.num_requests, judging.num_reused) == (40, 40, 0)
    assert (judging.tokens.num_input, judging.tokens.num_output) == (4000, 400)
    assert failures(judging) == {}
    assert judging.stopped is None


def test_the_request_holds_the_prompt_and_what_is_set_only(tmp_path: Path) -> None:
    with serving(echo) as server:
        ask(tmp_path, server, "a")
        ask(tmp_path, server, "a", temperature=0.0, max_tokens=64)
        ask(tmp_path, server, "a", response_format={"type": "json_object"})
    bare, full, formed = server.requests
    assert formed == {**bare, "response_format": {"type": "json_object"}}
    messages = [dict(message) for message in prompt("a")]
    assert bare == {"model": "judge", "stream": False, "messages": messages}
    assert full == {**bare, "temperature": 0.0, "max_tokens": 64}
    assert server.keys == [f"Bearer {KEY}"] * 3


@pytest.mark.slow
def test_no_more_requests_at_once_than_allowed(tmp_path: Path) -> None:
    def slow(content: dict[str, Any], number: int) -> Answer:
        answer = echo(content, number)
        answer.wait_seconds = 0.02
        return answer

    with serving(slow) as server:
        ask(tmp_path, server, *map(str, range(30)), concurrency=3)
    assert 1 < server.most_at_once <= 3


def test_equal_prompts_are_asked_once(tmp_path: Path) -> None:
    with serving(echo) as server:
        judging = ask(tmp_path, server, "a", "b", "a", "a")
    assert replies(judging) == ["re: a", "re: b", "re: a", "re: a"]
    assert len(server.requests) == 2


def test_replies_that_nobody_takes_any_more_are_kept(tmp_path: Path) -> None:
    with serving(echo) as server, ReplyStore(tmp_path / "judge.jsonl") as store:
        config = JudgeConfig(model="judge", base_url=server.base_url, concurrency=4)
        judge = RecordedJudge(config, tmp_path)
        asking = judge._ask_pending({str(n): prompt(str(n)) for n in range(9)}, store)
        next(asking)
        asking.close()  # as Ctrl-C does
    assert len(lines(tmp_path)) == len(server.requests)


def test_a_second_command_uses_what_the_first_kept(tmp_path: Path) -> None:
    with serving(echo) as server:
        ask(tmp_path, server, "a", "b")
        again = ask(tmp_path, server, "a", "b", "c")
    assert replies(again) == ["re: a", "re: b", "re: c"]
    assert (again.num_reused, again.num_asked, len(server.requests)) == (2, 1, 3)
    # nothing to ask: neither a server nor a key is needed
    known = ask(tmp_path, "http://127.0.0.1:1/v1", "a", api_key_env="NOT_SET_ANYWHERE")
    assert replies(known) == ["re: a"]


def test_reasoning_is_no_reply(tmp_path: Path) -> None:
    """As a local judge sends it, where its server does not take it out."""

    def reasons(content: dict[str, Any], number: int) -> Answer:
        thought, said, end = content["messages"][1]["content"].split("|")
        choice = {"message": {"content": f"<think>{thought}{said}"}, "finish_reason": end}
        return reply(None, choices=[choice])

    texts = ("A no|</think>\nA yes|stop", "B|</think>|length", "C|, then|length", "D||stop")
    with serving(reasons) as server:
        judging = ask(tmp_path, server, *texts)
        assert replies(judging) == ["\nA yes", None, None, None]
        assert len(server.requests) == 4
        again = ask(tmp_path, server, *texts)
    assert (again.num_reused, len(server.requests)) == (1, 7)
    told = "the judge's tokens ran out before it replied, as where it reasons first: judge.max_t"
    assert {text[: len(told)] for text in failures(judging).values()} == {told}
    assert lines(tmp_path)[0]["reply"] == "<think>A no</think>\nA yes"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_alone_is_no_reply(tmp_path: Path, name: str) -> None:
    """As vLLM sends it where its parser takes all of a text for reasoning."""
    message = {"content": None, name: "yes"}
    choices = [{"message": message, "finish_reason": "stop"}]
    with serving(lambda content, number: reply(None, choices=choices)) as server:
        judging = ask(tmp_path, server, "a")
    assert replies(judging) == [None]
    assert "returned reasoning and no reply" in failures(judging)[0]


@pytest.mark.slow
def test_reasoning_that_an_earlier_version_kept(tmp_path: Path) -> None:
    with serving(echo) as server:
        ask(tmp_path, server, "a")
        (kept,) = lines(tmp_path)
        (tmp_path / "judge.jsonl").write_text(json.dumps({**kept, "reply": "<think>no"}) + "\n")
        assert replies(ask(tmp_path, server, "a")) == ["re: a"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": 0.0},
        {"max_tokens": 5},
        {"response_format": {"type": "json_object"}},
    ],
    ids=str,
)
def test_another_judge_never_adopts_a_reply(tmp_path: Path, change: dict[str, Any]) -> None:
    with serving(echo) as server:
        ask(tmp_path, server, "a")
        ask(tmp_path, server, "a", **change)
    assert len(server.requests) == 2
    assert len({line["key"] for line in lines(tmp_path)}) == 2


def test_a_reply_is_found_again_by_the_next_version() -> None:
    """Under another key all that was paid for would be asked again."""
    content = (
        '{"max_tokens": 5, "messages": [{"content": "\\u00e9", "role": "user"}], "model": "judge", '
        '"temperature": null}'
    )
    key = key_of(JudgeConfig(model="judge", max_tokens=5), ({"role": "user", "content": "é"},))
    assert key == hashlib.sha256(content.encode()).hexdigest()


def test_replies_of_another_run_are_copied(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with serving(echo) as server:
        ask(first, server, "a", "b")
        judging = ask(second, server, "a", others=[first])
    assert replies(judging) == ["re: a"]
    assert len(server.requests) == 2
    assert [line["reply"] for line in lines(second)] == ["re: a"]
    theirs = first / "judge.jsonl"
    theirs.write_text(theirs.read_text().replace("re: ", "theirs: "))
    assert replies(ask(second, server, "a", "b", others=[first, second])) == ["re: a", "theirs: b"]


def times(number: int, first: Answer) -> Behaviour:
    """Answer badly so many times, and well from then on."""
    return lambda content, count: first if count < number else echo(content, count)


PASSING = {
    "429": failure(429, "slow down"),
    "429 with Retry-After": failure(429, "slow down", Retry_After="0"),
    "500": failure(500),
    "503": failure(503),
    "408": failure(408),
    "cut in the body": Answer(body=b'{"choices": [' + b" " * 100, cut_after=20),
    "cut before the body": Answer(body=b"{}" * 50, cut_after=0),
    "no JSON": Answer(body=b"<html>bad gateway</html>"),
    "half of a JSON": Answer(body=b'{"choices": [{"message"'),
    "a list": Answer(body=b"[1, 2]"),
    "no choices": Answer(body=b'{"model": "m", "choices": []}'),
    "choices are null": Answer(body=b'{"model": "m", "choices": null}'),
    "no message": Answer(body=b'{"choices": [{}]}'),
    "content is a number": Answer(body=b'{"choices": [{"message": {"content": 4}}]}'),
    "empty body": Answer(body=b""),
    "no UTF-8": Answer(body=b'{"choices": "\xff\xfe"}'),
}


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_what_may_pass_is_asked_again(tmp_path: Path, fault: str) -> None:
    with serving(times(2, PASSING[fault])) as server:
        judging = ask(tmp_path, server, "a")
    assert replies(judging) == ["re: a"]
    assert len(server.requests) == 3
    malformed = [line for line in lines(tmp_path) if "malformed" in line]
    assert judging.num_malformed == len(malformed)
    assert (len(malformed) == 2) == (PASSING[fault].status == 200 and "cut" not in fault)


def test_retries_end_and_the_failure_is_told(tmp_path: Path) -> None:
    with serving(lambda content, count: failure(500, "broken")) as server:
        judging = ask(tmp_path, server, "a", retries=2)
    assert replies(judging) == [None]
    assert len(server.requests) == 3
    assert failures(judging)[0].startswith("HTTP 500")
    assert "3 attempts" in failures(judging)[0]


@pytest.mark.slow
def test_malformed_for_ever_is_counted_and_not_guessed(tmp_path: Path) -> None:
    with serving(lambda content, count: Answer(body=b"{'pred': 'yes'}")) as server:
        judging = ask(tmp_path, server, "a", retries=3)
    assert replies(judging) == [None]
    assert judging.num_malformed == len(server.requests) == 4


def test_retry_after_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            return False

    first = failure(429, Retry_After="7")
    with serving(times(1, first)) as server:
        judge = RecordedJudge(JudgeConfig(model="judge", base_url=server.base_url), tmp_path)
        judge._stop = Event()
        assert [found.text for found in judge.ask([prompt("a")])] == ["re: a"]
    assert waited == [7.0]


def test_an_endpoint_that_asks_for_an_hour_has_failed(tmp_path: Path) -> None:
    with serving(lambda content, count: failure(429, Retry_After="3600")) as server:
        judging = ask(tmp_path, server, "a")
    assert replies(judging) == [None]
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_slow_endpoint_times_out(tmp_path: Path) -> None:
    def slow_once(content: dict[str, Any], number: int) -> Answer:
        answer = echo(content, number)
        answer.wait_seconds = 5.0 if number == 0 else 0.0
        return answer

    with serving(slow_once) as server:
        judging = ask(tmp_path, server, "a", timeout_seconds=0.3)
    assert replies(judging) == ["re: a"]
    assert len(server.requests) == 2


def test_nobody_listening(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        judging = ask(tmp_path, url, *map(str, range(50)), retries=1)
    assert replies(judging) == [None] * 50
    assert judging.stopped is not None
    assert "10 prompts in a row" in judging.stopped
    assert judging.num_requests < 60


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_every_request_would_meet_stops_at_once(tmp_path: Path, status: int) -> None:
    with serving(lambda content, count: failure(status, f"key {KEY} is bad")) as server:
        judging = ask(tmp_path, server, *map(str, range(50)), concurrency=2)
    assert judging.stopped is not None
    assert KEY not in judging.stopped
    assert len(server.requests) <= 3


def test_a_firewall_refuses_one_prompt_of_a_judge_that_answers_others(tmp_path: Path) -> None:
    def firewall(content: dict[str, Any], number: int) -> Answer:
        return failure(403, "blocked") if number == 1 else echo(content, number)

    with serving(firewall) as server:
        judging = ask(tmp_path, server, "a", "b", "c", concurrency=1)
    assert judging.stopped is None
    assert failures(judging) == {1: "HTTP 403: blocked"}


def test_a_judge_that_has_stopped_asks_nothing_more(tmp_path: Path) -> None:
    with serving(lambda content, count: failure(401, "no such key")) as server:
        judge = RecordedJudge(JudgeConfig(model="judge", base_url=server.base_url), tmp_path)
        (first,) = judge.ask([prompt("a")])
        assert first.error is not None
        assert first.error.startswith("HTTP 401")
        assert judge.ask([prompt("b")]) == [JudgeReply(None, judge.judging.stopped)]
    assert len(server.requests) == 1
    assert judge.judging.stopped == first.error


def test_a_spent_quota_is_not_asked_again(tmp_path: Path) -> None:
    body = {"error": {"message": "quota", "code": "insufficient_quota", "type": "t"}}
    spent = Answer(429, json.dumps(body).encode())
    with serving(lambda content, count: spent) as server:
        judging = ask(tmp_path, server, "a", "b", concurrency=1)
    assert judging.stopped is not None
    assert len(server.requests) == 1


def test_one_refused_prompt_fails_alone(tmp_path: Path) -> None:
    def refuse(content: dict[str, Any], number: int) -> Answer:
        is_bad = content["messages"][1]["content"] == "bad"
        return failure(400, "repetitive patterns") if is_bad else echo(content, number)

    with serving(refuse) as server:
        judging = ask(tmp_path, server, "a", "bad", "b")
    assert replies(judging) == ["re: a", None, "re: b"]
    assert judging.stopped is None
    assert list(failures(judging)) == [1]
    assert len(server.requests) == 3


def test_an_empty_reply_is_a_reply(tmp_path: Path) -> None:
    with serving(lambda content, count: reply(None)) as server:
        assert replies(ask(tmp_path, server, "a")) == [""]


@pytest.mark.slow
def test_a_limit_of_requests_stops_cleanly_and_goes_on_later(tmp_path: Path) -> None:
    texts = list(map(str, range(20)))
    with serving(echo) as server:
        judging = ask(tmp_path, server, *texts, max_requests=7)
        assert sum(found.text is not None for found in judging.replies) == 7 == len(server.requests)
        assert judging.stopped == "judge.max_requests=7 is reached"
        assert set(failures(judging).values()) == {judging.stopped}
        rest = ask(tmp_path, server, *texts)
    assert replies(rest) == [f"re: {text}" for text in texts]
    assert len(server.requests) == 20
    assert rest.num_reused == 7


def test_a_limit_of_cost_counts_requests_under_way(tmp_path: Path) -> None:
    prices: dict[str, Any] = {
        "price_per_million_input_tokens": 1e4,
        "price_per_million_output_tokens": 0.0,
    }
    with serving(echo) as server:  # 100 tokens counted: 1.00 a reply
        judging = ask(tmp_path, server, *map(str, range(50)), max_cost=10.0, **prices)
    assert judging.cost is not None
    assert judging.cost <= 10.0
    assert 9 <= len(server.requests) <= 10
    assert judging.stopped is not None
    assert "judge.max_cost=10" in judging.stopped


def test_a_limit_of_cost_is_not_passed_by_dear_prompts_behind_a_cheap_one(tmp_path: Path) -> None:
    def dear(content: dict[str, Any], number: int) -> Answer:  # 0.01, and 0.50 from the second on
        count = 10 if number == 0 else 500
        answer = reply("yes", usage={"prompt_tokens": 0, "completion_tokens": count})
        answer.wait_seconds = 0.02
        return answer

    prices: dict[str, Any] = {
        "price_per_million_input_tokens": 0.0,
        "price_per_million_output_tokens": 1e3,
    }
    with serving(dear) as server:
        judging = ask(tmp_path, server, *map(str, range(20)), max_cost=1.2, **prices)
    assert judging.cost == 1.01
    assert judging.stopped is not None


@pytest.mark.slow
def test_what_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def second_fails(content: dict[str, Any], number: int) -> Answer:
        is_bad = content["messages"][1]["content"] == "b"
        return failure(400, "no") if is_bad else echo(content, number)

    prices: dict[str, Any] = {
        "price_per_million_input_tokens": 1e4,
        "price_per_million_output_tokens": 1e5,
    }
    with serving(second_fails) as server:
        ask(tmp_path, server, "a")
        config = JudgeConfig(model="judge", base_url=server.base_url, **prices)
        judge = RecordedJudge(config, tmp_path)
        with caplog.at_level(logging.INFO):
            judge.ask([prompt("a"), prompt("b"), prompt("cccc"), prompt("a")])
    content, label = judge.report.content, judge.report.label
    # "judge" and "b" are 6 characters, "judge" and "cccc" 9; four tokens for each of two messages
    assert content == {
        "model": "judge",
        "snapshots": {"judge-2024-01-01": 3},
        "base_url": server.base_url,
        "temperature": None,
        "max_tokens": None,
        "num_prompts": 4,
        "num_judged": 3,
        "num_empty_replies": 0,
        "num_input_tokens": 300,
        "num_output_tokens": 30,
        "cost": 6.0,
        "stopped": None,
        "this_command": {
            "num_reused": 1,
            "num_asked": 1,
            "num_requests": 2,
            "num_malformed_responses": 0,
            "num_failed": 1,
            "estimated_input_tokens": 1 + 8 + 2 + 8,
            "estimated_output_tokens": 64,
            "num_input_tokens": 100,
            "num_output_tokens": 10,
            "cost": 2.0,
        },
    }
    assert label == {"judge": "judge", "judge_snapshot": "judge-2024-01-01", "judged": "3 of 4"}
    assert (
        "judge judge: 3 prompts, 1 answered already, 2 to ask; about 19 input and 64 output "
        "tokens, cost about 6.59"
    ) in caplog.text


@pytest.mark.slow
def test_failures_in_a_row_are_counted_from_the_last_reply(tmp_path: Path) -> None:
    def nine_of_ten_fail(content: dict[str, Any], number: int) -> Answer:
        return echo(content, number) if number % 10 == 9 else failure(500)

    with serving(nine_of_ten_fail) as server:
        texts = list(map(str, range(40)))
        judging = ask(tmp_path, server, *texts, retries=0, concurrency=1)
    assert judging.stopped is None
    assert sum(text is not None for text in replies(judging)) == 4


WITHHELD = {
    "a filter": reply(
        "", choices=[{"message": {"content": None}, "finish_reason": "content_filter"}]
    ),
    "a part of a reply": reply(
        "", choices=[{"message": {"content": "{'pr"}, "finish_reason": "content_filter"}]
    ),
    "another reason": reply("", choices=[{"message": {"content": ""}, "finish_reason": "SAFETY"}]),
    "a refusal": reply(
        "",
        choices=[{"message": {"content": None, "refusal": "I cannot"}, "finish_reason": "stop"}],
    ),
    "a refusal as an object": reply(
        "",
        choices=[{"message": {"content": "", "refusal": {"why": "no"}}, "finish_reason": "stop"}],
    ),
    "an error beside": reply("", error={"message": "out of memory", "code": "oom"}),
    "an error beside a part of a reply": reply("{'pred': 'yes', 'sc", error="out of memory"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WITHHELD, ids=str)
def test_a_reply_that_a_filter_held_back_is_asked_again(tmp_path: Path, case: str) -> None:
    with serving(times(2, WITHHELD[case])) as server:
        assert replies(ask(tmp_path, server, "a")) == ["re: a"]
    assert len(server.requests) == 3

    with serving(lambda content, number: WITHHELD[case]) as server:
        judging = ask(tmp_path, server, "b", retries=1)
        assert replies(judging) == [None]
        assert "the server " in failures(judging)[0]
        assert failures(judging)[0].endswith("(2 attempts)")
        assert judging.tokens.num_input == 200  # it costs what every reply costs
        server.behaviour = echo
        later = ask(tmp_path, server, "b")
    assert (replies(later), later.num_reused) == (["re: b"], 0)


def test_filters_do_not_make_a_judge_count_as_gone(tmp_path: Path) -> None:
    with serving(lambda content, number: WITHHELD["a filter"]) as server:
        judging = ask(tmp_path, server, *map(str, range(20)), retries=0)
    assert judging.stopped is None
    assert len(server.requests) == 20


@pytest.mark.parametrize("status", [400, 403])
def test_a_prompt_that_a_filter_refuses_fails_alone(tmp_path: Path, status: int) -> None:
    error = {"error": {"message": "filtered", "code": "content_filter"}}
    with serving(times(1, Answer(status, json.dumps(error).encode()))) as server:
        judging = ask(tmp_path, server, "a", "b", concurrency=1)
        assert replies(judging) == [None, "re: b"]
        assert judging.stopped is None
        assert replies(ask(tmp_path, server, "a")) == ["re: a"]


def test_a_withheld_reply_of_an_earlier_version_is_not_used(tmp_path: Path) -> None:
    with serving(echo) as server:
        ask(tmp_path, server, "a")
        path = tmp_path / "judge.jsonl"
        path.write_text(path.read_text().replace('"stop"', '"content_filter"'))
        judging = ask(tmp_path, server, "a")
    assert (judging.num_reused, judging.num_asked) == (0, 1)


def test_a_text_that_cannot_be_sent_fails_alone(tmp_path: Path) -> None:
    with serving(echo) as server:
        judging = ask(tmp_path, server, "half \ud83d", "b")
    assert replies(judging) == [None, "re: b"]
    assert "surrogates not allowed" in failures(judging)[0]


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "[1]",
        '{"key": "a", "reply": 3}',
        '{"key": [], "reply": "a"}',
        '{"key": "a", "reply": "b", "snapshot": {}}',
        '{"key": "a", "reply": "b", "finish_reason": ["stop"]}',
        '{"key": "a", "reply": "b", "num_input_tokens": -1}',
        '{"key": "a", "reply": "b", "num_output_tokens": "4"}',
        '{"key": "a", "reply": "b", "num_output_tokens": true}',
        "\x00",
    ],
    ids=lambda line: line[:60],
)
def test_lines_of_wrong_types(tmp_path: Path, line: str) -> None:
    (tmp_path / "judge.jsonl").write_text(f"{line}\n")
    with pytest.raises(RunDirectoryError, match=r"judge\.jsonl, line 1 is damaged") as caught:
        ask(tmp_path, "http://127.0.0.1:1/v1", "a")
    assert len(str(caught.value)) < 400


def test_the_key_is_written_nowhere(tmp_path: Path) -> None:
    def leak(content: dict[str, Any], number: int) -> Answer:
        return reply(f"your key is {KEY}") if number else failure(500, f"bad {KEY}")

    with serving(leak) as server:
        judging = ask(tmp_path, server, "a")
    assert replies(judging) == ["your key is ***"]
    assert KEY not in (tmp_path / "judge.jsonl").read_text()


def test_a_torn_line_is_dropped_and_asked_again(tmp_path: Path) -> None:
    with serving(echo) as server:
        ask(tmp_path, server, "a", "b", concurrency=1)
        path = tmp_path / "judge.jsonl"
        path.write_bytes(path.read_bytes()[:-9])
        judging = ask(tmp_path, server, "a", "b")
    assert replies(judging) == ["re: a", "re: b"]
    assert judging.num_reused == 1
    assert [line["reply"] for line in lines(tmp_path)] == ["re: a", "re: b"]


def test_a_response_that_was_no_reply_is_passed_over_later(tmp_path: Path) -> None:
    with serving(times(1, PASSING["no JSON"])) as server:
        ask(tmp_path, server, "a")
        again = ask(tmp_path, server, "a")
    assert ["malformed" in line for line in lines(tmp_path)] == [True, False]
    assert replies(again) == ["re: a"]
    assert (again.num_reused, len(server.requests)) == (1, 2)


def test_a_file_of_replies_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    path.mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*judge\.jsonl: "):
        ask(tmp_path, "http://127.0.0.1:1/v1", "a")
    path.rmdir()
    path.symlink_to("judge.jsonl")
    with pytest.raises(StorageError, match=r"cannot read .*judge\.jsonl: Too many levels"):
        ask(tmp_path, "http://127.0.0.1:1/v1", "a")


def test_a_damaged_line_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "judge.jsonl").write_text('{"key": "a"}\n')
    with pytest.raises(RunDirectoryError, match=r"judge\.jsonl, line 1 is damaged"):
        ask(tmp_path, "http://127.0.0.1:1/v1", "a")


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="name of an environment variable") as caught:
        JudgeConfig(model="m", api_key_env=KEY)
    assert KEY not in str(caught.value)
    with pytest.raises(ConfigError, match="user name") as caught:
        JudgeConfig(model="m", base_url="http://me:secret@host/v1")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="http"):
        JudgeConfig(model="m", base_url="localhost:8000")
    with pytest.raises(ConfigError, match="price_per_million_input_tokens"):
        JudgeConfig(model="m", max_cost=1.0)


def test_openai_needs_a_key_and_a_local_server_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        read_judge_key(JudgeConfig(model="m"))
    local = JudgeConfig(model="m", base_url="http://localhost:8000/v1")
    assert read_judge_key(local) == "no-key"
