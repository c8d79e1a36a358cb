# ruff: noqa: RUF001
"""Strips a reply of what is wrapped around its words: markup, boxes, tags, quotes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

#: Names of tags in which models are asked to wrap their answers.
_ANSWER_TAG = r"(?:final[_\s]?)?(?:answer|ans|choice|option|result|response|output)\s*>"


def _with_tick_behind(option: re.Match[str]) -> str:
    """Return "B ✓. a kite" for "[x] B. a kite", and "" if the box is empty."""
    tick = option[1].strip("[]☐ ").lower().replace("x", "✓")
    return f"{option[2]} {tick}{option[3]}\n" if tick else ""


_LATEX_STYLE = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|mathrm|mathbf|mathbb|mathit|mathsf|mathcal|rm|bf|bold"
    r"|boldsymbol|operatorname|emph|underline)\s*\{([^{}]*)\}"
)
_BOXED = re.compile(r"\\?\bf?box(?:ed)?\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
#: The first cell of a table's row about an option: "| A | the red car is parked |".
_TABLE_ROW = re.compile(
    r"(?m)^[ \t]*\|[ \t]*(\(?[A-Z]\)?)[.:]?[ \t]*\|"
    r"(?=[ \t]*[^\s|])(?![ \t]*\(?[A-Z]\)?[ \t]*\|)(?=[^\n]*\|[ \t]*$)"
)
_TICK = r"[✅✔☑✓❌✗✘✖🚫☐]|\[[xX✓ ]\]"
#: A letter that is no article, after a tick, a cross or a box, and what follows up to the next one.
_TICKED = rf"({_TICK})\ufe0f?[ \t]*\(?([A-Z])(?:\)|(?=[ \t]*(?:[^\w\s]|$)))((?:(?!{_TICK}).)*)"
#: A line that begins with one: "✅ B. a kite", "- [x] B".
_TICKED_LINE = re.compile(rf"(?m)^[ \t]*(?:[-*+•][ \t]+)?(?={_TICKED})(.+)$")
_REPLACED: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_TICKED_LINE, lambda line: re.sub(_TICKED, _with_tick_behind, line[4])),
    (re.compile(r"<\s*([A-Z])\s*>(?!.*</)"), r"(\1)"),
    (re.compile(r"<\|begin_of_box\|>"), "\nAnswer: "),
    (re.compile(r"<\|end_of_box\|>"), "\n"),
    (re.compile(rf"(?i)<\s*{_ANSWER_TAG}"), "\nAnswer: "),
    (re.compile(rf"(?i)<\s*/\s*{_ANSWER_TAG}"), "\n"),
    (re.compile(r"~~[^~]{1,200}~~"), " "),  # struck out: taken back
    (re.compile(r"<\|[^|<>]{1,40}\|>|</?[A-Za-z][^<>\n]{0,60}>|<s>|</s>"), " "),
    (re.compile(r"\\[()\[\]]|\$|\\[,;! ]|\\quad|\\\\"), " "),
    (re.compile(r"(?m)^[ \t]*(?:```|~~~)\w*[ \t]*$|```(?:\w+\n)?"), "\n"),
    (re.compile(r"(?m)^[ \t]*(?:#{1,6}|>+|[-*+•●▪◦]|\d{1,2}[.)](?=\s))[ \t]+"), ""),
    (re.compile(r"\*+|`+|(?<![^\W_])_+|_+(?![^\W_])"), " "),
    (
        re.compile(r"(?i)\b(option|choice|answer|letter)(?:[-_](?=[a-z]\b)|(?-i:(?=[A-Z]\b)))"),
        r"\1 ",
    ),
    (re.compile(r"\b(vs|opt)\."), r"\1"),
    (re.compile(r"\be\.g\.", re.IGNORECASE), "for example"),
    (re.compile(r"(?<=[A-Za-z])_(?=[A-Za-z])"), " "),  # final_answer
    (re.compile(r"[\"“”„«»‹›「」『』《》〈〉]"), " "),
    (_TABLE_ROW, r"\1: "),
    (re.compile(r"\|"), ", "),
    (re.compile(r"(?<![A-Za-zÀ-ɏḀ-ỿ])['’‘]|['’‘](?![A-Za-zÀ-ɏḀ-ỿ])"), " "),
    (re.compile(r"[\[{【〔]"), "("),
    (re.compile(r"[\]}】〕]"), ")"),
    (re.compile(r"’"), "'"),
    (re.compile(r"[ \t\u3000]+"), " "),
)


_JSON_ANSWER = re.compile(
    r"""[{,]\s*["']?\w*(?:answer|prediction|letter|(?:choice|option)(?!s))\w*["']?\s*:\s*"""
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|[^,}\n]+)""",
    re.IGNORECASE,
)
#: Alone between its quotes, a small "a" is a letter, not the article.
_QUOTED_LETTER = re.compile(r"""^(["'])[a-z]\1$""")
_FENCE = re.compile(r"```(?:\w+\n)?|```")


def plain_text(reply: str) -> str:
    """Return a reply without wrappers and emphasis, answers in boxes and tags as "answer: ...".

    Args:
        reply: the model's text, without reasoning.
    """
    bare = _FENCE.sub("", reply).strip()
    if bare.startswith("{") and bare.endswith("}"):
        # In an object that has an answer, the values of other keys are ignored.
        values = [
            _QUOTED_LETTER.sub(lambda match: match.group().upper(), value)
            for value in _JSON_ANSWER.findall(bare)
        ]
        reply = "\n".join(f"Answer: {value}" for value in values) or reply
    text = "".join(
        " " if character.isspace() and character != "\n" else character
        for character in unicodedata.normalize("NFKC", reply)
        if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co") or character.isspace()
    )
    for _ in range(2):
        text = _LATEX_STYLE.sub(r" \1 ", text)
    text = _BOXED.sub("\nAnswer: \\1\n", text)
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    return _SYMBOLS.sub(" ", text).strip()


#: Emoji and the like, which decorate answers; ticks and crosses say something.
_SYMBOLS = re.compile(r"(?![✅✔☑✓❌✗✘✖🚫])[\u2600-\u27bf\ufe0f\u2b50\U0001f000-\U0001faff]")


def same_text(text: str) -> str:
    """Return a text in the form in which it is compared: plain, case-folded, without end marks."""
    return " ".join(plain_text(text).casefold().split()).strip(" .,;:!?()。✅✔☑✓")
