"""Addresses of endpoints, and keys that are never shown."""

from __future__ import annotations

import pytest

from llava_eval.borders.address import (
    by_proxy,
    check_address,
    check_variable,
    is_openai,
    is_this_machine,
    read_key,
)
from llava_eval.errors import ConfigError


@pytest.mark.parametrize(
    "address",
    ["http://localhost:8000/v1", "https://api.openai.com/v1", "http://[::1]:8000/v1", "http://h"],
)
def test_good_addresses(address: str) -> None:
    check_address(address, key="judge.base_url")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:8000",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://[::bad/v1",
        "http://host:x/v1",
        "http://host:99999/v1",
        "http://host:0/v1",
        "http://my..host/v1",
        "http://.host/v1",
        "http://host/v1/chat/completions",
        "http://host/v1/chat/completions/",
        "http://a b/v1",
        "http://host/\x1b[31m",
        "http://host/\u202e",
        "http://me:secret@host/v1",
        "me:secret@host/v1",
        "http://me:secret@[::bad/v1",
        "http://host:secret/v1?",
        "http://host/v1?key=secret",
        "http://host/v1#secret",
        "http://host/v1;token=secret",
        "http://host/v1&api_key=secret",
        "https:secret",
        "http:///secret",
        "sk-secret",
        "http://host/v1 secret",
    ],
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^judge\.base_url ") as caught:
        check_address(address, key="judge.base_url")
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_variables() -> None:
    check_variable("_MY_KEY2", key="k")
    for name in ("", "2KEY", "sk-0123", "MY KEY", "ß", "A\n"):
        with pytest.raises(ConfigError, match=r"^k takes the name") as caught:
            check_variable(name, key="k")
        assert not name or name not in str(caught.value)


def test_where_an_address_is() -> None:
    assert is_openai("https://api.openai.com/v1")
    assert not is_openai("https://api.openai.com.evil.org/v1")
    for address in ("http://localhost:1/v1", "http://127.0.0.5/v1", "http://[::1]/v1"):
        assert is_this_machine(address)
    for address in ("http://host/v1", "http://localhost.evil.org/v1"):
        assert not is_this_machine(address)


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(address: str = "http://host/v1") -> str:
        return read_key("MY_KEY", address, part="judge", name="m")

    monkeypatch.delenv("MY_KEY", raising=False)
    assert key() == "no-key"
    message = "MY_KEY is not set, and the judge m at https://api.openai.com/v1 needs a key"
    with pytest.raises(ConfigError, match=message):
        key("https://api.openai.com/v1")
    monkeypatch.setenv("MY_KEY", "  sk-1\n")
    assert key("https://api.openai.com/v1") == "sk-1"
    for bad in ("sk-\u00e4", "sk-1\nsk-2", "sk\x7f1"):
        monkeypatch.setenv("MY_KEY", bad)
        with pytest.raises(ConfigError, match="MY_KEY holds characters that no key has") as caught:
            key()
        assert bad not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("node7", "; asked by way of the proxy http://proxy:3128 (NO_PROXY=node7 goes without)"),
        ("node8", ""),
        ("node9", ""),
        ("10.1.2.3", ""),  # httpx knows networks
    ],
)
def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, host: str, told: str) -> None:
    monkeypatch.setenv("http_proxy", "http://me:word@proxy:3128")
    monkeypatch.setenv("no_proxy", "node8,node9:8000, 10.0.0.0/8")
    assert by_proxy(f"http://{host}:8000/v1") == told
    assert by_proxy("https://node7/v1") == ""
