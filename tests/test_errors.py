"""Messages of errors: one line, no secrets, and never as long as what a file holds."""

from __future__ import annotations

import pytest

from llava_eval import types
from llava_eval.errors import RowsError, first_line, one_line, shown_address, without_secrets
from tests.conftest import slow


def test_a_message_is_one_short_line_without_secrets() -> None:
    error = RowsError("rows.csv:\n  'https://me:word@h.org/a?token=1' is no answer")
    assert str(error) == "rows.csv: 'https://h.org/a?...' is no answer"
    told = str(RowsError(f"row 3: {'a' * 100_000} is no column; columns: x"))
    assert told.startswith("row 3: aaa")
    assert told.endswith("aaa is no column; columns: x")
    assert len(told) < 2000


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    [
        slow("a"),
        "ab.",
        slow("?key"),
        slow("http:"),
        slow("a'"),
        slow("//"),
        slow("a@"),
        slow("&k=sig"),
    ],
)
def test_a_message_that_repeats_a_large_file_is_made_at_once(word: str) -> None:
    text = word * (1_000_000 // len(word))  # the square of its length would be hours
    assert len(str(RowsError(text))) < 2000


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@h.org/a", "https://h.org/a"),
        ("https:/me:secret@h.org/a", "https:/h.org/a"),
        ("https;//me:secret@h.org/a", "https;//h.org/a"),
        ("//me:secret@h.org/a", "//h.org/a"),
        ("http:\\\\me:secret@h.org", "http:\\\\h.org"),
        ("ftp://me:secret@h.org:21/a", "ftp://h.org:21/a"),
        ("me:secret@h.org:21/a", "h.org:21/a"),
        ("https:secret", "https:..."),
        ("https://h.org/a?token=secret", "https://h.org/a?..."),
        ("https://h.org/a#secret", "https://h.org/a#..."),
        ("https://h.org/a;token=secret", "https://h.org/a;..."),
        ("https://h.org/a;token=secret/b", "https://h.org/a;..."),
        ("https://h.org/a&api_key=secret&x=1", "https://h.org/a&..."),
        ("https//me:secret@h.org/a", "https//h.org/a"),
        ("https://me:a/secret@h.org/a", "https://h.org/a"),
        ("https://me:'secret'@h.org/a", "https://h.org/a"),
        ("https://me:secret@h.org@i.org/a", "https://i.org/a"),
        ("https://h.org/a?b='secret", "https://h.org/a?..."),
        ("http:///me:secret@h.org/a", "http:///h.org/a"),
        ("http://me:secret", "http://..."),
        ("http://h.org:80:secret/a", "http://..."),
        ("http://h.org:99999secret/a", "http://..."),
        ("http://[secret/a", "http://..."),
        ("http://me%3Asecret%40h.org/a", "http://..."),
        ("http://sk-secret:8000/v1", "http://..."),
        ("s3://me:secret@bucket/a", "s3://bucket/a"),
        ("https://me:secret@[::1]:8000/v1", "https://[::1]:8000/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("hub://organisation/name@revision", "hub://organisation/name@revision"),
        ("/data/q&a/me@home;1#2?.mp4", "/data/q&a/me@home;1#2?.mp4"),
        ("C:/Users/me@home/a.mp4", "C:/Users/me@home/a.mp4"),
        ("https://h.org/q&a/x.mp4", "https://h.org/q&a/x.mp4"),
    ],
)
def test_secrets_of_addresses_are_not_repeated(address: str, shown: str) -> None:
    assert without_secrets(f"there is no {address} here") == f"there is no {shown} here"
    assert "secret" not in shown_address(address) or "://" not in address


def test_an_address_below_a_folder_is_not_told() -> None:
    assert types.Media("video", "/data/https:/me:secret@h.org/a").name == "/data/https:..."
    for path in ("/data/http/a.mp4", "/data/myhttp:/a.mp4", "a:b.mp4", "https"):
        assert types.Media("video", path).name == path


def test_a_group_named_by_an_address_keeps_its_secret_and_stays_its_own() -> None:
    groups = [
        types.Sample("q", 0, f"https://me:secret@h.org/a?id={number}&k=secret", ("?",), ()).group
        for number in (1, 2, 2)
    ]
    assert groups[0] != groups[1] == groups[2]
    assert all(group.startswith("https://h.org/a (") for group in groups)


def test_a_message_is_cut_beyond_its_longest_length_only() -> None:
    assert one_line("x" * 2000) == "x" * 2000
    cut = one_line("a" * 1000 + "b" * 501 + "c" * 500)
    assert cut == "a" * 1000 + " ... " + "c" * 500


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("one\ntwo", "one"),
        ("\n  one  \n\n two", "one"),
        ("what follows:\n this\nand that", "what follows: this"),
        ("a:\nb:\nc\nd", "a: b: c"),
        ("only:", "only:"),
        ("", "ValueError"),
        (" \n ", "ValueError"),
    ],
)
def test_the_first_line_of_an_error_says_what_it_is(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line
