"""What a scene looks like in words: a brief caption, a detailed description, a transcript."""

from __future__ import annotations

from typing import Final

from demo.world import Event, Scene

_PLACES: Final = {
    "space": "in space",
    "desert": "in a desert",
    "stadium": "in a stadium",
    "track": "on a track",
    "theater": "in a theater",
    "circus": "in a circus",
}


def place(scene: Scene) -> str:
    return _PLACES[scene.setting.name]


def _does(event: Event) -> str:
    return f"{event.thing.with_article} moves {event.direction}"


def _doing(event: Event) -> str:
    return f"{event.thing.with_article} moving {event.direction}"


def _that(event: Event) -> str:
    return f"{event.thing.with_article} that moves {event.direction}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def brief(scene: Scene) -> str:
    """One sentence about the first two events and the last: the caption that is learnt."""
    first, second, last = scene.events[0], scene.events[1], scene.events[-1]
    where = _capital(place(scene))
    return f"{where}, {_does(first)}, then {_does(second)}, and finally {_does(last)}."


def references(scene: Scene) -> list[str]:
    """Several wordings of the same content, as human annotators would give."""
    first, second, last = scene.events[0], scene.events[1], scene.events[-1]
    where = place(scene)
    a, b, c = (event.thing.with_article for event in (first, second, last))
    followed = f"{_capital(_does(first))} {where}, followed by {_that(second)}"
    shows = f"The video shows {_doing(first)} {where}, then {_doing(second)}"
    return [
        brief(scene),
        f"{followed} and, at the end, {_that(last)}.",
        f"First {_does(first)}, next {_does(second)}, and the video ends with {_that(last)}.",
        f"{_capital(a)}, {b} and finally {c} appear one after another {where}.",
        f"{shows}, and in the end {_doing(last)}.",
        f"{len(scene.events)} objects appear {where}, from {_that(first)} to {_that(last)}.",
    ]


def detailed(scene: Scene) -> str:
    """Every event in its order, one sentence each."""
    steps = " ".join(f"Then {_does(event)}." for event in scene.events)
    return f"The video takes place {place(scene)}. {steps}"


def transcript(scene: Scene) -> str:
    """The scene as a list: stands in for the frames when only the language model is trained."""
    steps = (f"{event.thing.name} {event.direction}" for event in scene.events)
    return f" {scene.setting.name}: {', '.join(steps)}."
