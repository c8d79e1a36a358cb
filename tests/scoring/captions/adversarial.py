"""Captions made to be hard to tokenize; the same for the same seed."""

from __future__ import annotations

import random
import re
from pathlib import Path

_WORDS = [
    *["a", "man", "woman", "dog", "Dog", "is", "riding", "on", "the", "The", "skateboard", "in"],
    *["front", "of", "red", "bus", "cat", "two", "people", "standing", "table", "pizza"],
    *["giraffe", "U.S.", "He", "they", "said", "with", "and", "street", "sign", "It"],
]
_BEFORE = [*[""] * 4, " ", *"([{\"'`<*_-$#@~/", "``", "\u201c", "\u2018", "\u00ab", "--", "..."]
_AFTER = [
    *[""] * 4,
    " ",
    *".,!?;:)]}\"'>*_-%/\u00b0\u2026",
    *["''", "\u201d", "\u2019", "--", "...", "?!", "!!"],
    *["'s", "\u2019s", "'ll", "n't"],
]
_ALPHABET = (
    "aaabbceghilmnorsstuxyAENTSUI01259  .,'\u2019`\"-_/\\:;!?()[]<>{}@#$%&*+=^~|"
    "\u00b0\u00bd\u00e9\u65e5\u00ad\u2013\u2026\u201c\u201d\u2018"
)
_LONG = [
    "supercalifragilisticexpialidocious" * 6,
    "x" * 400,
    "1" * 200,
    "-".join(["ab"] * 60),
    ".".join("a" * 60),
    "a/" * 30,
    "'" * 30,
    "-" * 40,
    "ab'" * 20,
    "1,*" * 40,
    "(((" * 9,
]
# A tag whose quoted value is not closed swallows the captions after it in the reference.
_UNCLOSED_TAG = re.compile(r"<[A-Za-z][^>]*=\s*(?:'[^']*|\"[^\"]*)$")


def fragments() -> dict[str, list[str]]:
    """The fragments of `fragments.txt`, by kind."""
    kinds: dict[str, list[str]] = {}
    text = Path(__file__).with_name("fragments.txt").read_text(encoding="utf-8")
    for line in text.splitlines()[1:]:
        if header := re.fullmatch(r"\[([a-z ]{4,})\]", line):
            kinds[header[1]] = []
        else:
            unescaped = re.sub(
                r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})",
                lambda code: chr(int(code[1] or code[2], 16)),
                line,
            )
            list(kinds.values())[-1].append(unescaped)
    return kinds


KINDS = [*fragments(), "mixed", "random characters", "random code points", "long words"]


def make_captions(kind: str, count: int, seed: int = 0) -> list[str]:
    """`count` captions of one of `KINDS`, without line breaks and unclosed tags."""
    rng = random.Random(f"{kind}-{seed}")
    kinds = fragments()
    captions: list[str] = []
    while len(captions) < count:
        if kind == "random characters":
            caption = "".join(rng.choices(_ALPHABET, k=rng.randint(1, 14)))
        elif kind == "random code points":
            caption = "".join(_code_point(rng) for _ in range(rng.randint(1, 12)))
        elif kind == "long words":
            words = rng.choices(_LONG, k=rng.randint(1, 3))
            caption = " ".join(word[: rng.randint(5, 400)] + rng.choice(_AFTER) for word in words)
        elif kind == "mixed":
            parts = rng.choices(list(kinds), k=rng.randint(1, 3))
            caption = " ".join(_join(rng, kinds, part) for part in parts)
        else:
            caption = _join(rng, kinds, kind)
        if not _UNCLOSED_TAG.search(caption):
            captions.append(caption)
    return captions


def _code_point(rng: random.Random) -> str:
    """Any printable character of the basic plane, or a short piece of ASCII text."""
    if rng.random() < 0.5:
        return rng.choice([" ", "a", "The", "s", "'", "12", ".", "-", "://", "@", "&", "b c"])
    planes = [(0x80, 0x24F), (0x80, 0x17FF), (0x1E00, 0x33FF), (0x3400, 0xD7FF), (0xF900, 0xFFEF)]
    character = chr(rng.randint(*rng.choice(planes)))
    return "" if character in "\u2028\u2029" else character


def _join(rng: random.Random, kinds: dict[str, list[str]], kind: str) -> str:
    """Fragments and ordinary words, now and then with signs around them or glued together."""
    parts = []
    for _ in range(rng.randint(1, 6)):
        if rng.random() < 0.35:
            parts.append(rng.choice(_WORDS))
            continue
        part = rng.choice(kinds[kind])
        if rng.random() < 0.35:
            part = rng.choice(_BEFORE) + part
        if rng.random() < 0.45:
            part += rng.choice(_AFTER)
        if rng.random() < 0.12:
            part += rng.choice(kinds[kind])
        if rng.random() < 0.08:
            part += rng.choice(rng.choice(list(kinds.values())))
        parts.append(part)
    caption = rng.choice([" "] * 10 + ["  ", ""]).join(parts)
    if rng.random() < 0.3:
        caption += rng.choice([".", "!", "?", " .", "..."])
    if rng.random() < 0.1:
        caption = " " * rng.randint(0, 2) + caption + " " * rng.randint(0, 2)
    return caption
