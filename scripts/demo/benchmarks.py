"""The three benchmarks: which scenes and questions they hold, and their rows.

Slots come before scenes: it is fixed which kinds of question a video must allow, and scenes are
drawn until one does. So task types, answers and letters are balanced within every duration.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from typing import Any, Final

from demo import captions
from demo.prompts import LETTERS
from demo.questions import KINDS, Question
from demo.world import DIRECTIONS, DURATIONS, Scene, sample_scene

CHOICES_PER_VIDEO: Final = 3
OPEN_PER_VIDEO: Final = 2

# One entry per slot; the kinds of one task type take turns. Neighbours in the list share a video.
_CHOICE_SLOTS: Final = (
    ("color",),
    ("neighbor", "between"),
    ("direction",),
    ("shape",),
    ("ordinal",),
    ("count",),
    ("setting",),
)
_OPEN_SLOTS: Final = (
    ("color",),
    ("direction",),
    ("yes or no",),
    ("neighbor", "between"),
    ("count",),
    ("setting",),
    ("ordinal",),
    ("shape",),
)

# Answers that are asked for in turn, so that none of them is the best guess.
_WANTED: Final[dict[str, tuple[str, ...]]] = {
    "direction": tuple(DIRECTIONS),
    "yes or no": ("yes", "no"),
}


@dataclass(frozen=True)
class AskedScene:
    """One test video with its questions: kind by kind, in the order of the rows."""

    stem: str
    scene: Scene
    choices: tuple[tuple[str, Question], ...]
    opens: tuple[tuple[str, Question], ...]


def _ask(scene: Scene, kind: str, wanted: str | None, rng: random.Random) -> Question | None:
    for _ in range(12):
        question = KINDS[kind].make(scene, rng)
        if question is not None and wanted in (None, question.answer):
            return question
    return None


def _put_answer(question: Question, position: int) -> Question:
    options = [option for option in question.options if option != question.answer]
    options.insert(position, question.answer)
    return Question(question.text, question.answer, tuple(options))


class _Slots:
    """Deals out kinds of question and wanted answers in turn."""

    def __init__(self, slots: Sequence[Sequence[str]]) -> None:
        self.slots = cycle([cycle(kinds) for kinds in slots])
        self.wanted = {kind: cycle(answers) for kind, answers in _WANTED.items()}

    def take(self, number: int) -> list[tuple[str, str | None]]:
        kinds = [next(kinds) for kinds in islice(self.slots, number)]
        return [(kind, next(self.wanted[kind]) if kind in self.wanted else None) for kind in kinds]


def _ask_all(
    scene: Scene, slots: Sequence[tuple[str, str | None]], rng: random.Random
) -> list[tuple[str, Question]] | None:
    asked: list[tuple[str, Question]] = []
    for kind, wanted in slots:
        question = _ask(scene, kind, wanted, rng)
        if question is None:
            return None
        asked.append((kind, question))
    texts = {question.text for _, question in asked}
    return asked if len(texts) == len(asked) else None


def draw_test_set(seed: int, videos_per_duration: int) -> list[AskedScene]:
    """The test videos with their questions; all plots differ."""
    rng = random.Random(seed)
    letters = cycle(range(4))
    plots: set[tuple[str, ...]] = set()
    numbers = count(1)
    result: list[AskedScene] = []
    for duration in DURATIONS:
        choice_slots, open_slots = (_Slots(slots) for slots in (_CHOICE_SLOTS, _OPEN_SLOTS))
        for _ in range(videos_per_duration):
            choice_kinds = choice_slots.take(CHOICES_PER_VIDEO)
            open_kinds = open_slots.take(OPEN_PER_VIDEO)
            while True:
                scene = sample_scene(rng, duration)
                choices = _ask_all(scene, choice_kinds, rng)
                opens = _ask_all(scene, open_kinds, rng)
                if scene.plot not in plots and choices is not None and opens is not None:
                    break
            plots.add(scene.plot)
            placed = [(kind, _put_answer(asked, next(letters))) for kind, asked in choices]
            stem = f"demo_{next(numbers):03d}"
            result.append(AskedScene(stem, scene, tuple(placed), tuple(opens)))
    return result


def multiple_choice_rows(videos: Sequence[AskedScene]) -> Iterator[dict[str, Any]]:
    """Rows with Video-MME's columns."""
    for number, video in enumerate(videos, start=1):
        for index, (kind, question) in enumerate(video.choices, start=1):
            yield {
                "video_id": f"{number:03d}",
                "duration": video.scene.duration,
                "domain": video.scene.setting.domain,
                "sub_category": video.scene.setting.sub_category,
                "url": "",
                "videoID": video.stem,
                "question_id": f"{number:03d}-{index}",
                "task_type": KINDS[kind].task_type,
                "question": question.text,
                "options": [
                    f"{letter}. {option}"
                    for letter, option in zip(LETTERS, question.options, strict=False)
                ],
                "answer": LETTERS[question.answer_index],
            }


def open_ended_rows(videos: Sequence[AskedScene]) -> Iterator[dict[str, Any]]:
    """Rows with ActivityNet-QA's columns; its questions are in lower case without a mark."""
    for video in videos:
        for index, (kind, question) in enumerate(video.opens):
            yield {
                "video_name": video.stem,
                "question": question.text.lower().removesuffix("?"),
                "question_id": f"{video.stem}_{index}",
                "answer": question.answer,
                "type": KINDS[kind].open_type,
            }


def caption_rows(videos: Sequence[AskedScene]) -> Iterator[dict[str, Any]]:
    """Rows with VATEX's columns."""
    for video in videos:
        yield {"videoID": video.stem, "enCap": captions.references(video.scene)}


def balance(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How often each letter is right, by task type: what a blind guesser could use."""
    table: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys("ABCD", 0))
    for row in rows:
        table[row["task_type"]][row["answer"]] += 1
    return dict(table)
