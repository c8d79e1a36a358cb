"""A server that fails in every way there is: recorded, never scored, and gone on with later."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from llava_eval import run as pipeline
from llava_eval.config.compose import compose_config
from llava_eval.errors import CheckpointError, ServerError
from llava_eval.models.backend import Needs
from llava_eval.models.served.served_model import find_served_model
from tests.borders.raw_server import raw_server, says
from tests.conftest import read_lines
from tests.models.chat_server import Answer, Behaviour, ChatServer, failure, reply, serving
from tests.models.served.fakes import (
    PAGES,
    ask,
    counted,
    echo,
    make_questions,
    make_runner,
    questions,
    served,
)

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def at_first(number: int, fault: Answer) -> Behaviour:
    """Answer badly so many times, and well from then on."""
    return lambda content, count: fault if count < number else echo(content, count)


FAULTS = {
    "429": failure(429, "slow down"),
    "429 with Retry-After": failure(429, "slow down", Retry_After="0"),
    "500": failure(500),
    "503": failure(503),
    "502 of a provider": reply(
        "", choices=[{"message": {"content": ""}, "finish_reason": "error", "error": {"code": 502}}]
    ),
    "cut in the body": Answer(body=b'{"choices": [' + b" " * 100, cut_after=20),
    "cut before the body": Answer(body=b"{}" * 50, cut_after=0),
    "slow": dataclasses.replace(reply("late"), wait_seconds=0.5),
    "no JSON": Answer(body=b"<html>bad gateway</html>"),
    "half of a JSON": Answer(body=b'{"choices": [{"message"'),
    "a list": Answer(body=b"[1, 2]"),
    "no choices": Answer(body=b'{"choices": []}'),
    "content is a number": Answer(body=b'{"choices": [{"message": {"content": 4}}]}'),
    "usage is a list": Answer(
        body=b'{"choices": [{"message": {"content": "a"}}], "usage": [1, 2]}'
    ),
    "empty body": Answer(body=b""),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_may_pass_is_asked_again(fault: str) -> None:
    with serving(at_first(2, FAULTS[fault])) as server:
        found = ask(make_runner(server, timeout_seconds=0.2), make_questions(1))
    assert found["q0"].text == "re: question 0"
    assert len(server.requests) == 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_does_not_pass_is_the_samples_error(fault: str) -> None:
    def bad(content: dict[str, Any], count: int) -> Answer:
        is_bad = content["messages"][0]["content"][0]["text"] == "question 1"
        return FAULTS[fault] if is_bad else echo(content, count)

    with serving(bad) as server:
        runner = make_runner(server, retries=1, timeout_seconds=0.1)
        found = ask(runner, make_questions(3))
    assert [found[name].text for name in ("q0", "q1", "q2")] == [
        "re: question 0",
        None,
        "re: question 2",
    ]
    assert str(found["q1"].error).startswith("ServerError: ")
    assert str(found["q1"].error).endswith("(2 attempts)")


@pytest.mark.slow
def test_retry_after_is_honoured() -> None:
    waited: list[float] = []

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            return False

    with serving(at_first(1, failure(429, Retry_After="7"))) as server:
        runner = make_runner(server)
        runner._stop = Event()
        assert ask(runner, make_questions(1))["q0"].error is None
    assert waited == [7.0]


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 1])
def test_a_late_answer_is_told_as_asked_again_where_it_is(
    retries: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(at_first(2, FAULTS["slow"])) as server:
        ask(make_runner(server, timeout_seconds=0.1, retries=retries), make_questions(1))
    assert len(server.requests) == 1 + retries
    assert sum("it is asked again" in told for told in caplog.messages) == retries


@pytest.mark.slow
def test_a_text_that_cannot_be_sent_fails_alone() -> None:
    good, bad = make_questions(2)
    with serving(echo) as server:
        bad = dataclasses.replace(bad, content=("half \ud83d",))
        found = ask(make_runner(server), [good, bad])
    assert found["q0"].text == "re: question 0"
    assert str(found["q1"].error).startswith("UnicodeEncodeError")


def test_the_key_is_cut_out_of_replies() -> None:
    with serving(lambda content, count: reply(f"your key is {KEY}")) as server:
        found = ask(make_runner(server), make_questions(1))
    assert found["q0"].text == "your key is ***"
    assert server.keys[0] == f"Bearer {KEY}"


@pytest.mark.slow
def test_a_refused_question_is_asked_once() -> None:
    with serving(at_first(1, failure(400, "too long"))) as server:
        found = ask(make_runner(server, concurrency=1), make_questions(2))
    assert "HTTP 400" in str(found["q0"].error)
    assert found["q1"].text == "re: question 1"
    assert len(server.requests) == 2


@pytest.mark.slow
def test_after_many_failures_nothing_is_tried_twice_until_one_succeeds() -> None:
    def broken(content: dict[str, Any], count: int) -> Answer:
        return failure(500) if count < 40 else echo(content, count)

    with serving(broken) as server:
        found = ask(make_runner(server, concurrency=1), make_questions(30))
    assert sum(one.error is not None for one in found.values()) == 20
    assert len(server.requests) == 10 * 3 + 10 + 10


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_every_question_would_meet_ends_the_run(status: int) -> None:
    with serving(lambda content, count: failure(status, f"key {KEY} is bad")) as server:
        with pytest.raises(CheckpointError, match=f"HTTP {status}") as caught:
            ask(make_runner(server, concurrency=1), make_questions(50))
        assert len(server.requests) == 1
    assert KEY not in str(caught.value)


@pytest.mark.slow
def test_a_firewall_refuses_one_question_of_a_server_that_answers_others() -> None:
    def firewall(content: dict[str, Any], count: int) -> Answer:
        return failure(403, "blocked") if count in (1, 3) or count > 5 else echo(content, count)

    with serving(firewall) as server:
        found = ask(make_runner(server, concurrency=1), make_questions(6))
        assert [name for name, one in found.items() if one.error] == ["q1", "q3"]
        with pytest.raises(CheckpointError, match="HTTP 403: blocked"):
            ask(make_runner(server, concurrency=1), make_questions(2))  # it has answered none

    with serving(lambda content, n: failure(403) if n else echo(content, n)) as server:
        with pytest.raises(CheckpointError, match="HTTP 403"):
            ask(make_runner(server, concurrency=1), make_questions(50))
        assert len(server.requests) == 1 + 10 + 1


def test_a_key_that_is_refused_is_known_before_anything_is_asked() -> None:
    class Closed(ChatServer):
        def page(self, path: str) -> tuple[int, object]:
            return 401, {"error": {"message": f"{KEY} is bad"}}

    server = Closed(echo)
    server.start()
    try:
        with pytest.raises(
            CheckpointError, match=r"refuses the key in .* OPENAI_API_KEY"
        ) as caught:
            find_served_model(served("m", server.base_url), Needs())
    finally:
        server.stop()
    assert KEY not in str(caught.value)
    assert server.requests == []


def test_nobody_listening() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(CheckpointError, match="no server answers there"):
            find_served_model(served("m", url), Needs())


@pytest.mark.slow
def test_a_server_that_closes_every_connection() -> None:
    """As one that speaks TLS does where it is asked by http."""
    told = "no server answers there as it should"
    with raw_server(says(b"")) as address, pytest.raises(CheckpointError, match=told):
        find_served_model(served("m", f"{address}/v1"), Needs())


def overrides(folder: Path, server: ChatServer, *more: str) -> list[str]:
    return [
        "model=openai_server",
        "model.checkpoint=m",
        f"model.base_url={server.base_url}",
        "model.server.backoff_seconds=0.001",
        "model.server.retries=1",
        "model.server.concurrency=2",
        "sampler.num_frames=2",
        "benchmark.limit=24",
        f"output_dir={folder}",
        *more,
    ]


def run(folder: Path, server: ChatServer, *more: str) -> pipeline.Outcome:
    return pipeline.run(compose_config(overrides(folder, server, *more)))


def letter(content: dict[str, Any], number: int) -> Answer:
    """Answer by the question alone, so that a run can be told from another."""
    return counted(content, "ABCD"[len(content["messages"][0]["content"][-1]["text"]) % 4])


def by_id(folder: Path) -> dict[str, Any]:
    return {line["id"]: line["generation"] for line in read_lines(folder / "samples.jsonl")}


@pytest.mark.slow
def test_errors_are_recorded_and_never_scored(tmp_path: Path) -> None:
    def third(content: dict[str, Any], number: int) -> Answer:
        question = content["messages"][0]["content"][-1]["text"]
        return failure(500, f"{KEY} {question}") if "star" in question else letter(content, 0)

    with serving(third, PAGES["vllm"]) as server:
        outcome = run(tmp_path / "out", server)
        lines = read_lines(tmp_path / "out" / "samples.jsonl")
        failed = [line for line in lines if line["generation"]["error"] is not None]
        assert 0 < len(failed) < 24
        assert outcome.exit_code == 1
        assert outcome.summary.num_errors == len(failed)
        for line in failed:
            assert line["score"]["value"] is None
            assert line["generation"]["text"] is None
            assert line["generation"]["error"].startswith("ServerError: HTTP 500")
        server.behaviour = letter
        again = run(tmp_path / "out", server)
    assert again.exit_code == 0
    assert again.summary.num_errors == 0
    for path in (tmp_path / "out").iterdir():
        assert KEY not in path.read_text(encoding="utf-8"), path
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["identity"]["model"]["server"]["version"] == "0.12.0"
    assert manifest["guards"]["answered_by"] == {"model-1": len(failed)}
    assert manifest["model_label"] == "m"


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["500", "cut before the body", "slow"])
def test_a_server_whose_list_of_models_fails_too_is_lost(fault: str) -> None:
    def ill(content: dict[str, Any], count: int) -> Answer:
        return echo(content, count) if count < 3 else FAULTS[fault]

    with serving(ill, PAGES["openai"]) as server:
        retries = 9 if fault == "slow" else 0
        runner = make_runner(server, timeout_seconds=0.4, retries=retries)
        server.page = lambda path: (500, {})  # type: ignore[method-assign]
        with pytest.raises(ServerError, match=r"answers nothing any more, .* in a row"):
            ask(runner, make_questions(30))
    assert len(server.requests) < 30


@pytest.mark.slow
def test_a_server_that_fails_on_all_questions_and_lists_its_models_is_not_lost() -> None:
    with serving(lambda content, count: FAULTS["500"], PAGES["openai"]) as server:
        found = ask(make_runner(server, retries=0), make_questions(30))
    assert [str(each.error)[:22] for each in found.values()] == ["ServerError: HTTP 500:"] * 30


@pytest.mark.slow
@pytest.mark.parametrize(("status", "num_asked"), [(500, 10), (404, 30)])
def test_ten_failures_and_a_list_of_models_that_fails_as_questions_do(
    status: int, num_asked: int
) -> None:
    """Not every server has such a list, so that none there (404) says nothing."""
    with serving(lambda content, count: FAULTS["500"], PAGES["openai"]) as server:
        runner = make_runner(server, retries=0, concurrency=1)
        server.page = lambda path: (status, {})  # type: ignore[method-assign]
        if status == 404:
            assert len(ask(runner, make_questions(30))) == 30
        else:
            with pytest.raises(ServerError, match=r"any more, 10 questions in a row, last: HTTP 5"):
                ask(runner, make_questions(30))
    assert len(server.requests) == num_asked


@pytest.mark.slow
def test_a_server_that_is_to_be_asked_in_an_hour_is_given_up() -> None:
    """It lists its models all the same."""
    busy = failure(429, "come again", Retry_After="3600")
    with serving(lambda content, count: busy, PAGES["openai"]) as server:
        with pytest.raises(ServerError, match=r"answers nothing any more, 10 questions in a row"):
            ask(make_runner(server, concurrency=1), make_questions(30))
        assert len(server.requests) == 10


@pytest.mark.slow
def test_a_server_that_is_away_for_every_other_question_is_not_given_up() -> None:
    def behaviour(content: dict[str, Any], count: int) -> Answer:
        number = int(content["messages"][0]["content"][0]["text"].rpartition(" ")[2])
        return failure(503) if number % 2 else echo(content, count)

    with serving(behaviour) as server:
        found = ask(make_runner(server, retries=1, concurrency=1), make_questions(30))
    assert [one.error is None for one in found.values()] == [True, False] * 15
    assert len(server.requests) == 15 + 2 * 15


@pytest.mark.slow
def test_an_answer_in_time_ends_a_row_of_late_ones(caplog: pytest.LogCaptureFixture) -> None:
    late = dataclasses.replace(reply("late"), wait_seconds=60.0)
    faults = {0: late, 2: late, 4: FAULTS["500"]}
    with serving(lambda content, count: faults.get(count, echo(content, count))) as server:
        runner = make_runner(server, timeout_seconds=0.5, concurrency=1)
        found = ask(runner, make_questions(3))
    assert [one.error for one in found.values()] == [None] * 3
    assert len(server.requests) == 6
    assert sum("it is asked again" in told for told in caplog.messages) == 2  # not of the 500


@pytest.mark.slow
def test_a_server_that_dies_in_mid_run_and_comes_back_elsewhere(tmp_path: Path) -> None:
    with serving(letter, PAGES["vllm"]) as server:
        run(tmp_path / "whole", server)

    first = ChatServer(letter, PAGES["vllm"])

    def dying(content: dict[str, Any], number: int) -> Answer:
        if number == 9:
            threading.Thread(target=first.stop).start()
        return letter(content, number)

    first.behaviour = dying
    first.start()
    with pytest.raises(ServerError, match="answers nothing any more"):
        run(tmp_path / "broken", first, "model.server.retries=0")
    left = by_id(tmp_path / "broken")
    assert any(generation["text"] is not None for generation in left.values())
    manifest = json.loads((tmp_path / "broken" / "manifest.json").read_text())
    assert manifest["status"] == "failed"

    with serving(letter, PAGES["vllm"]) as second:
        outcome = run(tmp_path / "broken", second, "resume=true")
        num_done = sum(generation["text"] is not None for generation in left.values())
        assert len(questions(second)) == 24 - num_done
    assert outcome.exit_code == 0
    assert by_id(tmp_path / "broken") == by_id(tmp_path / "whole")
