"""The drawn world: what can happen in a demo video, and how one video is chosen at random.

A video is a sequence of events. During an event one coloured shape moves across the screen; every
colour occurs at most once in a video, so a colour names its event. Every question of the demo is
about these events: a model that sees too few frames misses events or cannot tell a direction, as
with real videos.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

FPS: Final = 8

COLORS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (226, 36, 40),
    "green": (46, 190, 62),
    "blue": (44, 84, 232),
    "yellow": (246, 222, 44),
    "purple": (166, 56, 214),
    "orange": (250, 134, 24),
    "white": (246, 246, 246),
    "cyan": (44, 214, 226),
}
SHAPES: Final = ("circle", "square", "triangle", "star", "cross", "ring")
DIRECTIONS: Final[dict[str, tuple[float, float]]] = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
}


@dataclass(frozen=True)
class Setting:
    """A background, with the place that Video-MME's classification would give it."""

    name: str
    domain: str
    sub_category: str


SETTINGS: Final = (
    Setting("space", "Knowledge", "Astronomy"),
    Setting("desert", "Knowledge", "Geography"),
    Setting("stadium", "Sports Competition", "Football"),
    Setting("track", "Sports Competition", "Athletics"),
    Setting("theater", "Artistic Performance", "Stage Play"),
    Setting("circus", "Artistic Performance", "Acrobatics"),
)


@dataclass(frozen=True)
class DurationClass:
    """One of the three lengths: bounds of the frames at `FPS` and of the events.

    An event's share of the video differs from the mean share by up to `unevenness` times: in long
    videos some events are so short that few frames show them once, or not at all.
    """

    name: str
    num_frames: tuple[int, int]
    num_events: tuple[int, int]
    unevenness: float


DURATIONS: Final = (
    DurationClass("short", (56, 72), (3, 4), 0.7),
    DurationClass("medium", (112, 144), (4, 5), 0.85),
    DurationClass("long", (224, 288), (5, 6), 0.95),
)
MAX_EVENTS: Final = max(duration.num_events[1] for duration in DURATIONS)


@dataclass(frozen=True)
class Thing:
    """A coloured shape."""

    color: str
    shape: str

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"

    @property
    def with_article(self) -> str:
        return f"{'an' if self.color[0] in 'aeiou' else 'a'} {self.name}"


@dataclass(frozen=True)
class Event:
    """One thing moving one way from frame `start` up to, not including, frame `end`.

    Positions and the radius are in units of the picture's height, measured from the middle of
    the picture, so that a video can be drawn at any size.
    """

    thing: Thing
    direction: str
    start: int
    end: int
    x: float
    y: float
    radius: float
    travel: float


@dataclass(frozen=True)
class Scene:
    """Everything that determines one video."""

    duration: str
    num_frames: int
    setting: Setting
    background_seed: int
    events: tuple[Event, ...]

    @property
    def plot(self) -> tuple[str, ...]:
        """What happens, without the geometry: two scenes with equal plots count as duplicates."""
        steps = (f"{event.thing.name} {event.direction}" for event in self.events)
        return (self.setting.name, *steps)


def _place(direction: str, rng: random.Random) -> tuple[float, float, float]:
    """Start position and length of the way across the middle."""
    dx, dy = DIRECTIONS[direction]
    travel = rng.uniform(0.46, 0.58)
    along, across = -travel / 2 + rng.uniform(-0.05, 0.05), rng.uniform(-0.25, 0.25)
    return dx * along + abs(dy) * across, dy * along + abs(dx) * across, travel


def _cut(
    num_frames: int, parts: int, unevenness: float, rng: random.Random
) -> list[tuple[int, int]]:
    """Cut the video into events of uneven length with short pauses between some of them."""
    weights = [1 + rng.uniform(-unevenness, unevenness) for _ in range(parts)]
    pauses = [rng.choice((0.0, 0.0, rng.uniform(0.05, 0.2))) for _ in range(parts)]
    scale = num_frames / (sum(weights) + sum(pauses[1:]))
    spans: list[tuple[int, int]] = []
    clock = 0.0
    for index, weight in enumerate(weights):
        clock += scale * pauses[index] if index else 0.0
        end = clock + scale * weight
        spans.append((round(clock), num_frames if index == parts - 1 else round(end)))
        clock = end
    return spans


def sample_scene(rng: random.Random, duration: DurationClass | None = None) -> Scene:
    """Draw a random scene; every random choice comes from `rng`."""
    duration = duration or rng.choice(DURATIONS)
    num_frames = rng.randint(*duration.num_frames)
    colors = rng.sample(list(COLORS), rng.randint(*duration.num_events))
    events = []
    for color, (start, end) in zip(
        colors, _cut(num_frames, len(colors), duration.unevenness, rng), strict=True
    ):
        direction = rng.choice(list(DIRECTIONS))
        x, y, travel = _place(direction, rng)
        events.append(
            Event(
                thing=Thing(color, rng.choice(SHAPES)),
                direction=direction,
                start=start,
                end=end,
                x=x,
                y=y,
                radius=rng.uniform(0.15, 0.19),
                travel=travel,
            )
        )
    return Scene(
        duration=duration.name,
        num_frames=num_frames,
        setting=rng.choice(SETTINGS),
        background_seed=rng.randrange(1 << 30),
        events=tuple(events),
    )
