"""Questions about a scene, each with its short answer and, where it has them, four options.

The options of a question must not give the answer away to a model that cannot see: distractors
are things that occur in the video where possible, and numbers come from one fixed window.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from demo.world import COLORS, DIRECTIONS, SETTINGS, SHAPES, Scene

NUM_OPTIONS: Final = 4
COUNTS: Final = ("3", "4", "5", "6")


@dataclass(frozen=True)
class Question:
    """A question with its answer; `options` is empty where it is asked without choices."""

    text: str
    answer: str
    options: tuple[str, ...] = ()

    @property
    def answer_index(self) -> int:
        return self.options.index(self.answer)


Maker = Callable[[Scene, random.Random], "Question | None"]


@dataclass(frozen=True)
class Kind:
    """One way to ask: how to make the question, and where the benchmarks file it."""

    make: Maker
    task_type: str  # Video-MME's name
    open_type: int  # ActivityNet-QA's code
    weight: float  # how often it is drawn in training


def _fill(
    answer: str, plausible: Sequence[str], others: Sequence[str], rng: random.Random
) -> tuple[str, ...]:
    """The answer and three distractors, plausible ones first, in random order."""
    distractors: list[str] = []
    for pool in (plausible, others):
        pool = [item for item in dict.fromkeys(pool) if item not in (answer, *distractors)]
        wanted = NUM_OPTIONS - 1 - len(distractors)
        distractors += rng.sample(pool, min(wanted, len(pool)))
    options = [answer, *distractors]
    rng.shuffle(options)
    return tuple(options)


def _colors(scene: Scene) -> list[str]:
    return [event.thing.color for event in scene.events]


def _color_options(scene: Scene, answer: str, shown: Sequence[str], rng: random.Random) -> Question:
    """Options of a question that asks for a colour and names the colours `shown`."""
    plausible = [color for color in _colors(scene) if color not in shown]
    others = [color for color in COLORS if color not in shown]
    return Question("", answer, _fill(answer, plausible, others, rng))


def _color(scene: Scene, rng: random.Random) -> Question | None:
    shapes = [event.thing.shape for event in scene.events]
    single = [shape for shape in shapes if shapes.count(shape) == 1]
    if not single:
        return None
    shape = rng.choice(single)
    answer = _colors(scene)[shapes.index(shape)]
    text = rng.choice((f"What color is the {shape}?", f"Which color does the {shape} have?"))
    return Question(text, answer, _color_options(scene, answer, (), rng).options)


def _shape(scene: Scene, rng: random.Random) -> Question | None:
    thing = rng.choice(scene.events).thing
    text = rng.choice(
        (f"What shape is the {thing.color} object?", f"Which shape is {thing.color}?")
    )
    plausible = [event.thing.shape for event in scene.events]
    return Question(text, thing.shape, _fill(thing.shape, plausible, SHAPES, rng))


def _direction(scene: Scene, rng: random.Random) -> Question | None:
    event = rng.choice(scene.events)
    color = event.thing.color
    text = rng.choice(
        (
            f"In which direction does the {color} object move?",
            f"Which way does the {color} object move?",
        )
    )
    return Question(text, event.direction, tuple(rng.sample(list(DIRECTIONS), NUM_OPTIONS)))


def _neighbor(scene: Scene, rng: random.Random) -> Question | None:
    colors = _colors(scene)
    at, step = rng.randrange(len(colors)), rng.choice((-1, 1))
    if not 0 <= at + step < len(colors):
        step = -step
    relation = "after" if step == 1 else "before"
    text = rng.choice(
        (
            f"Which color appears right {relation} {colors[at]}?",
            f"What is the color of the object right {relation} the {colors[at]} object?",
        )
    )
    answer = colors[at + step]
    return Question(text, answer, _color_options(scene, answer, colors[at : at + 1], rng).options)


def _between(scene: Scene, rng: random.Random) -> Question | None:
    colors = _colors(scene)
    at = rng.randrange(1, len(colors) - 1)
    shown = (colors[at - 1], colors[at + 1])
    text = f"Which color appears between {shown[0]} and {shown[1]}?"
    return Question(text, colors[at], _color_options(scene, colors[at], shown, rng).options)


def _ordinal(scene: Scene, rng: random.Random) -> Question | None:
    colors = _colors(scene)
    at, word = rng.choice(((0, "first"), (1, "second"), (2, "third"), (-1, "last")))
    text = rng.choice((f"What is the color of the {word} object?", f"Which color appears {word}?"))
    return Question(text, colors[at], _color_options(scene, colors[at], (), rng).options)


def _count(scene: Scene, rng: random.Random) -> Question | None:
    text = rng.choice(
        ("How many objects appear in the video?", "How many objects can be seen in total?")
    )
    return Question(text, str(len(scene.events)), tuple(rng.sample(COUNTS, NUM_OPTIONS)))


def _setting(scene: Scene, rng: random.Random) -> Question | None:
    names = [setting.name for setting in SETTINGS]
    text = rng.choice(("Where does the video take place?", "What is the setting of the video?"))
    return Question(text, scene.setting.name, _fill(scene.setting.name, names, (), rng))


def _yes_no(scene: Scene, rng: random.Random) -> Question | None:
    """Asked for a short answer only, though a prompt with two options would be possible."""
    truth = rng.random() < 0.5
    present = _colors(scene)
    color = rng.choice(present if truth else [color for color in COLORS if color not in present])
    text = rng.choice(
        (f"Does anything {color} appear in the video?", f"Is there a {color} object in the video?")
    )
    return Question(text.replace("a orange", "an orange"), "yes" if truth else "no")


KINDS: Final[dict[str, Kind]] = {
    "color": Kind(_color, "Attribute Perception", 4, 1.0),
    "shape": Kind(_shape, "Object Recognition", 5, 1.0),
    "direction": Kind(_direction, "Action Recognition", 0, 5.0),
    "neighbor": Kind(_neighbor, "Temporal Reasoning", 2, 1.4),
    "between": Kind(_between, "Temporal Reasoning", 2, 0.7),
    "ordinal": Kind(_ordinal, "Temporal Perception", 8, 1.2),
    "count": Kind(_count, "Counting Problem", 7, 1.0),
    "setting": Kind(_setting, "Information Synopsis", 6, 0.4),
    "yes or no": Kind(_yes_no, "", 3, 0.8),
}


def with_options() -> list[str]:
    """Kinds that can be asked as multiple choice."""
    return [name for name in KINDS if name != "yes or no"]


def without_options() -> list[str]:
    """Kinds that can be asked for a short answer."""
    return list(KINDS)
