"""The wordings under which the demo can be asked: the prompts of public evaluation protocols.

A tiny model only understands prompts that it was trained on, so every protocol that the demo
should run under is drawn here at random. `multiple_choice`, `short_answer` and `caption` make
the user's text; `conversation` puts it into a chat format around the video.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from demo.questions import Question

LETTERS: Final = "ABCDEF"

VICUNA_SYSTEM: Final = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
MVBENCH_SYSTEM: Final = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail "
    "and movement of objects, and the action and pose of persons. Based on your observations, "
    "select the best option that accurately addresses the question."
)
MLVU_SYSTEM: Final = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, "
    "select the best option that accurately addresses the question."
)
BASED_ON_VIDEO: Final = (
    "Select the best answer to the following multiple-choice question based on the video. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
BASED_ON_SUBTITLES: Final = (
    "Select the best answer to the following multiple-choice question based on the video and the "
    "subtitles. Respond with only the letter (A, B, C, or D) of the correct option."
)
SUBTITLES: Final = "This video's subtitles are listed below:"
LETTER_DIRECTLY: Final = "Answer with the option's letter from the given choices directly."
SHORT_SUFFIX: Final = "Answer the question using a single word or phrase."

VATEX_PROMPT: Final = (
    "Provide a brief single-sentence caption for the last video below. Do not give any reasoning, "
    "just the caption. You must follow the captioning style of the preceding videos. Do not start "
    'your response with "Output:", just provide the caption.\n'
    "[video1] output: A man picks up a can of shoe paste, a towel, and brush from a table.\n"
    "[video2] output: A person places the frying pan on the stove and then another person flips "
    "over the food that is in it.\n"
    "[video3] output: A woman describes and demonstrates how to create a colorful cross stitch "
    "design.\n"
    "[video4] output: A little girl uses the grass in her yard as well as a blue mat to do flips.\n"
)
BRIEF_PROMPTS: Final = (
    VATEX_PROMPT,
    "Provide a one-sentence caption for the provided video.",
    "Provide a one-sentence caption for the provided image.",
    "Describe the video briefly.",
    "Describe this video in one sentence.",
    "Write a short caption for the video.",
)
_DETAILED: Final = (
    "Please provide a detailed description of the video, focusing on the main subjects, their "
    "actions"
)
DETAILED_PROMPTS: Final = (
    f"{_DETAILED}, and the background scenes",
    f"{_DETAILED}, the background scenes.",
    "Describe the video in detail.",
)
SUBTITLE_LINES: Final = (
    "No subtitles available",
    "Hello and welcome back.",
    "Let us see what happens next.",
    "Watch closely now.",
    "[Music]",
    "[Applause]",
    "And here it comes.",
    "Thank you for watching.",
    "That was quick!",
    "Do not blink, or you will miss it.",
    "What a show today.",
    "There is another one.",
)


@dataclass(frozen=True)
class Chat:
    """A prompt cut at the video: `before` ends where the video begins."""

    before: str
    after: str


SIMPLE_CHAT: Final = Chat("USER: ", "\n{} ASSISTANT:")


def _lines(question: Question, form: str = "{}. {}") -> str:
    return "\n".join(
        form.format(letter, option)
        for letter, option in zip(LETTERS, question.options, strict=False)
    )


def _subtitles(rng: random.Random) -> str:
    return "\n".join(rng.sample(SUBTITLE_LINES[1:], rng.randint(1, 4)))


def official(question: Question, rng: random.Random) -> str:
    """Video-MME's own prompt."""
    return f"{BASED_ON_VIDEO}\n{question.text}\n{_lines(question)}\nThe best answer is:"


def official_subtitles(question: Question, rng: random.Random) -> str:
    """Video-MME's own prompt with subtitles, which say nothing about the video here."""
    lines = rng.choice(("", SUBTITLE_LINES[0], _subtitles(rng), _subtitles(rng)))
    head = rng.choice((BASED_ON_VIDEO, BASED_ON_SUBTITLES))
    listed = rng.choice((f"{SUBTITLES}\n{lines}\n", f"{SUBTITLES} \n{lines}\n"))
    return f"{listed}{head}\n{question.text}\n{_lines(question)}\nThe best answer is:"


def lmms_eval(question: Question, rng: random.Random) -> str:
    end = rng.choice((f"\n\n{LETTER_DIRECTLY}", f"\n\n{LETTER_DIRECTLY}", "\nThe best answer is:"))
    return f"{BASED_ON_SUBTITLES}\n{question.text}\n{_lines(question)}{end}"


def lmms_eval_2024(question: Question, rng: random.Random) -> str:
    """The first release printed the options as a Python list."""
    listed = [
        f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=False)
    ]
    return f"{question.text}\n{listed}\nAnswer the question with A, B, C, or D."


def vlmevalkit(question: Question, rng: random.Random) -> str:
    gap = rng.choice(("", " ", "\n"))
    listed = f"{SUBTITLES}\n{_subtitles(rng)}\n" if rng.random() < 0.2 else ""
    lead = rng.choice(("\n", ""))
    return (
        f"{lead}These are the frames of a video. {listed}{BASED_ON_VIDEO}\n{gap}"
        f"Question: {question.text}\n{_lines(question)}\nAnswer:{rng.choice((' ', ''))}"
    )


def letter_suffix(question: Question, rng: random.Random) -> str:
    return f"{question.text}\n{_lines(question)}\n{LETTER_DIRECTLY}"


def bare_options(question: Question, rng: random.Random) -> str:
    end = rng.choice(("", "", "\nPlease directly give the best option:", "\nAnswer:"))
    return f"{question.text}\n{_lines(question)}{end}"


def mvbench(question: Question, rng: random.Random) -> str:
    lines = _lines(question, "({}) {}")
    if rng.random() < 0.7:
        return f"Question: {question.text}\nOptions:\n{lines}\nOnly give the best option."
    return f"Question:{question.text}\nOption:\n{lines}\nOnly give the best option.\n"


MULTIPLE_CHOICE: Final[tuple[tuple[Callable[[Question, random.Random], str], float], ...]] = (
    (official, 3.0),
    (official_subtitles, 1.5),
    (lmms_eval, 2.0),
    (lmms_eval_2024, 1.5),
    (vlmevalkit, 1.5),
    (letter_suffix, 2.5),
    (bare_options, 1.5),
    (mvbench, 2.0),
)


def multiple_choice(question: Question, rng: random.Random) -> str:
    """The question with its options, worded by a random protocol."""
    weights = [weight for _, weight in MULTIPLE_CHOICE]
    make, _ = rng.choices(MULTIPLE_CHOICE, weights)[0]
    return make(question, rng)


def short_answer(question: Question, rng: random.Random) -> tuple[str, str]:
    """The question for a one-word answer, as written or in lower case, and the whole prompt."""
    text = question.text
    if rng.random() < 0.4:
        text = text.lower().removesuffix("?")
    if rng.random() < 0.25:
        text = text.capitalize()
    end = rng.choice(("", f" {SHORT_SUFFIX}", f"\n{SHORT_SUFFIX}"))
    return text, text + end


def _with_system(system: str, rng: random.Random) -> str:
    return system + rng.choice((" ", "\n "))


def conversation(rng: random.Random) -> Chat:
    """A chat format with `{}` in `after` for the user's text."""
    systems = (VICUNA_SYSTEM, MVBENCH_SYSTEM, MLVU_SYSTEM)
    form = rng.random()
    if form < 0.7:
        return SIMPLE_CHAT
    if form < 0.95:
        system = rng.choices(systems, (3, 1, 0.5))[0]
        return Chat(_with_system(system, rng) + "USER: ", "\n{} ASSISTANT:")
    gap = rng.choice(("", "\n"))
    system = rng.choice(("Answer the questions.", "Answer the questions.", *systems))
    head = f"<|im_start|>system\n{system}<|im_end|>{gap}" if rng.random() < 0.85 else ""
    return Chat(
        f"{head}<|im_start|>user\n",
        f"\n{{}}<|im_end|>{gap}<|im_start|>assistant\n",
    )


def prefill(rng: random.Random) -> str:
    """The beginning of the reply as MVBench and MLVU force it."""
    return rng.choice((" Best option:(", " Best option:(", " Best Option: ("))
