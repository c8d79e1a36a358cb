"""The tokenizer against recorded results of the reference, and rules worth seeing spelled out."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llava_eval.scoring.captions import ptb_tokenizer
from llava_eval.scoring.captions.ptb_tokenizer import tokenize
from tests.scoring.captions import adversarial


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    packed = Path(__file__).with_name("golden.json.xz").read_bytes()
    content: dict[str, Any] = json.loads(lzma.decompress(packed))
    return content


@pytest.mark.parametrize("kind", adversarial.KINDS)
def test_captions_apart_equal_the_reference(golden: dict[str, Any], kind: str) -> None:
    captions, expected = zip(*golden["apart"][kind], strict=True)
    assert len(captions) == 300
    assert [tokenize([caption, "next"])[0] for caption in captions] == list(expected)


@pytest.mark.slow
def test_a_file_of_captions_equals_the_reference(golden: dict[str, Any]) -> None:
    captions, expected = golden["file"]["captions"], golden["file"]["tokens"]
    assert len(captions) > 2000
    assert tokenize(captions) == expected


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man, riding a horse.", "a man riding a horse"),
        ("Two half-eaten pizzas ...", "two half-eaten pizzas"),
        ("The dog's owner isn't here", "the dog 's owner is n't here"),
        ("I cannot; he's gonna", "i can not he 's gon na"),
        ("a jack-o'-lantern", "a jack-o lantern"),
        ("a clock (on a wall) [sic]", "a clock -lrb- on a wall -rrb- -lsb- sic -rsb-"),
        ("1/2 cup, \u00bd cup", "1/2 cup 1/2 cup"),
        ("1 1/2 cups", "1\u00a01/2 cups"),
        ("\u00a35 and \u20ac5, 50% of $5", "# 5 and $ 5 50 % of $ 5"),
        ("20\u00b0C. outside", "20 \u00b0 c. outside"),
        ('a "STOP" sign', "a stop sign"),
        ("Mr. Smith of the U.S. Navy vs. Ohio", "mr. smith of the u.s. navy vs. ohio"),
        ("it will wash. Then Wash. state", "it will wash then wash. state"),
        ("AT&T and R&amp;D, a & b", "at&t and r&d a & b"),
        ("see www.foo.com/bar, me@foo.com", "see www.foo.com/bar me@foo.com"),
        ("<b>bold</b> :-) #tag @me", "<b> bold </b> :--rrb- #tag @me"),
        (
            "na\u00efve caf\u00e9 \u65e5\u672c\u8a9e \U0001f600",
            "na\u00efve caf\u00e9 \u65e5\u672c\u8a9e",
        ),
        ("soft\u00adly", "softly"),
        ("wow!!! what?!", "wow !!! what ?!"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_examples(caption: str, tokens: str) -> None:
    assert tokenize([caption, "next"])[0] == tokens


def test_the_next_caption_decides_about_a_final_full_stop() -> None:
    assert tokenize(["at 20\u00b0C.", "the end"]) == ["at 20 \u00b0 c.", "the end"]
    assert tokenize(["at 20\u00b0C.", "The end"]) == ["at 20 \u00b0 c", "the end"]
    assert tokenize(["at 20\u00b0C.", "", "The end"]) == ["at 20 \u00b0 c", "", "the end"]
    assert tokenize(["house no.", "5 men"]) == ["house no.", "5 men"]
    assert tokenize(["at 20\u00b0C.", "next"])[0] == "at 20 \u00b0 c."


def test_the_end_of_the_set_is_a_context_of_its_own() -> None:
    assert tokenize(["yes :)", "yes :)"]) == ["yes :-rrb-", "yes -rrb-"]


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\v", "\f", "\u2028", "\u2029"])
def test_line_breaks_do_not_shift_captions(line_break: str) -> None:
    assert tokenize([f"a man.{line_break}a dog", "a cat"]) == ["a man a dog", "a cat"]


def test_an_unclosed_tag_ends_with_its_caption() -> None:
    captions = ["<a href='x", "a man", "y'> a dog"]
    assert tokenize(captions) == ["< a href = x", "a man", "y > a dog"]


def test_no_captions() -> None:
    assert tokenize([]) == []


_plain_text = st.text(alphabet="abcdegimnost ,.-ACGIMNTW", max_size=40)


@pytest.mark.slow
@settings(max_examples=300)
@given(_plain_text, st.sampled_from(["", "next", "The end", "5 men", "<b>"]))
def test_the_short_cut_for_plain_captions_equals_the_rules(caption: str, following: str) -> None:
    lines = [caption, following]
    text = "\n".join(lines)
    tokens = ptb_tokenizer._tokens(text, text, 0, len(caption))
    assert tokenize(lines)[0] == ptb_tokenizer._without_punctuation(tokens)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_text_gives_one_line_of_clean_tokens_each(captions: list[str]) -> None:
    tokenized = tokenize(captions)
    assert len(tokenized) == len(captions)
    for line in tokenized:
        assert line == "" or all(word for word in line.split(" "))
        assert not ptb_tokenizer._PUNCTUATION & set(line.split(" ")) - {""}


@pytest.mark.slow
def test_long_captions_take_linear_time() -> None:
    """No rule backtracks without end."""
    for unit in ("a", "a.", "a-", "a'", "1,", "<a b", "a&", "(1) ", "x/", "@", "''", "&eacute;"):
        assert tokenize([unit * 2000, "next"])[0] is not None
