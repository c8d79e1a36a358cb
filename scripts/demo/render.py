"""Draw frames of a scene with signed distance functions, at any size, on any device.

The test videos and the training frames come from the same functions: the first at the size of
the encoded video, the second directly at the size of the vision tower, which is much cheaper.
All lengths are in units of the picture's height, measured from its middle.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from demo.world import COLORS, DIRECTIONS, SHAPES, Event, Scene

EDGE: Final = 0.018  # width of an anti-aliased edge
OUTLINE: Final = 0.022
OUTLINE_COLOR: Final = (18.0, 18.0, 20.0)


def _grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    y = (torch.arange(height) + 0.5) / height - 0.5
    x = (torch.arange(width) + 0.5 - width / 2) / height
    return y[:, None].expand(height, width), x[None, :].expand(height, width)


def _blend(below: Tensor, color: Sequence[float], opacity: Tensor) -> Tensor:
    return below + (torch.tensor(color)[:, None, None] - below) * opacity


def _band(distance: Tensor, half_width: float) -> Tensor:
    """Opacity of a soft line: 1 on it, 0 further away than its half width."""
    return ((half_width - distance.abs()) / EDGE + 0.5).clamp(0, 1)


def _space(y: Tensor, x: Tensor, rng: random.Random) -> Tensor:
    picture = _blend(torch.zeros(3, *y.shape), (38, 40, 78), y + 0.5)
    picture = picture + torch.tensor((12.0, 14.0, 34.0))[:, None, None]
    for _ in range(24):
        at_y, at_x = rng.uniform(-0.5, 0.5), rng.uniform(-0.7, 0.7)
        spot = torch.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / (2 * 0.007**2))
        picture = _blend(picture, (190, 190, 200), spot * rng.uniform(0.3, 0.8))
    return picture


def _desert(y: Tensor, x: Tensor, rng: random.Random) -> Tensor:
    picture = _blend(torch.zeros(3, *y.shape), (112, 128, 142), torch.ones_like(y))
    for level, color in ((-0.12, (148, 126, 96)), (0.12, (132, 108, 78)), (0.33, (116, 94, 66))):
        wave = level + 0.06 * torch.sin(x * rng.uniform(4, 8) + rng.uniform(0, math.tau))
        picture = _blend(picture, color, ((y - wave) / EDGE + 0.5).clamp(0, 1))
    return picture


def _stadium(y: Tensor, x: Tensor, rng: random.Random) -> Tensor:
    stripes = torch.sin(x * rng.uniform(16, 22) + rng.uniform(0, math.tau)) * 4 + 0.5
    picture = _blend(torch.zeros(3, *y.shape), (38, 84, 44), torch.ones_like(y))
    picture = _blend(picture, (50, 100, 54), stripes.clamp(0, 1))
    at_y, at_x = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)
    circle = ((y - at_y) ** 2 + (x - at_x) ** 2).sqrt() - rng.uniform(0.2, 0.3)
    lines = torch.maximum(_band(circle, 0.008), _band(x - at_x, 0.008))
    return _blend(picture, (168, 184, 168), lines)


def _track(y: Tensor, x: Tensor, rng: random.Random) -> Tensor:
    picture = _blend(torch.zeros(3, *y.shape), (122, 66, 54), torch.ones_like(y))
    slant, spacing = rng.uniform(-0.25, 0.25), rng.uniform(0.2, 0.28)
    offset = rng.uniform(0, spacing)
    for lane in range(-4, 5):
        line = _band(y + slant * x - lane * spacing - offset, 0.009)
        picture = _blend(picture, (186, 160, 150), line)
    return picture


def _theater(y: Tensor, x: Tensor, rng: random.Random) -> Tensor:
    folds = 0.5 + 0.5 * torch.sin(x * rng.uniform(34, 46) + rng.uniform(0, math.tau))
    picture = _blend(torch.zeros(3, *y.shape), (66, 18, 28), torch.ones_like(y))
    picture = _blend(picture, (100, 34, 42), folds)
    floor = ((y - rng.uniform(0.2, 0.32)) / EDGE + 0.5).clamp(0, 1)
    return _blend(picture, (92, 68, 50), floor)


def _circus(y: Tensor, x: Tensor, rng: random.Random) -> Tensor:
    angle = torch.atan2(y + rng.uniform(0.6, 0.9), x - rng.uniform(-0.2, 0.2))
    stripes = torch.sin(angle * rng.choice((18, 22, 26)) + rng.uniform(0, math.tau)) * 4 + 0.5
    picture = _blend(torch.zeros(3, *y.shape), (74, 62, 100), torch.ones_like(y))
    return _blend(picture, (128, 116, 132), stripes.clamp(0, 1))


_BACKGROUNDS: Final[dict[str, Callable[[Tensor, Tensor, random.Random], Tensor]]] = {
    "space": _space,
    "desert": _desert,
    "stadium": _stadium,
    "track": _track,
    "theater": _theater,
    "circus": _circus,
}


def draw_background(scene: Scene, height: int, width: int) -> Tensor:
    """The still picture behind the events, with a static grain, as float (3, H, W) in 0..255."""
    rng = random.Random(scene.background_seed)
    y, x = _grid(height, width)
    brightness = rng.uniform(0.85, 1.15)
    picture = _BACKGROUNDS[scene.setting.name](y, x, rng) * brightness
    noise = torch.Generator().manual_seed(scene.background_seed)
    grain = torch.randn(1, height, width, generator=noise) * 2.0
    return picture + grain


def _star(x: Tensor, y: Tensor) -> Tensor:
    """Five spikes: fold the plane into one of ten equal wedges, then measure to one edge."""
    angle = torch.atan2(x, -y)
    radius = (x * x + y * y).sqrt()
    wedge = math.tau / 5
    angle = (torch.remainder(angle + wedge / 2, wedge) - wedge / 2).abs()
    px, py = radius * torch.sin(angle), radius * torch.cos(angle)
    outer, inner = 1.12, 0.5
    ax, ay = inner * math.sin(wedge / 2), inner * math.cos(wedge / 2)
    nx, ny = outer - ay, ax  # normal of the edge from the tip (0, outer) to (ax, ay)
    return ((px * nx) + (py - outer) * ny) / math.hypot(nx, ny)


def _cross(x: Tensor, y: Tensor) -> Tensor:
    ax, ay = x.abs(), y.abs()
    upright = torch.maximum(ax - 0.32, ay - 1.0)
    flat = torch.maximum(ax - 1.0, ay - 0.32)
    return torch.minimum(upright, flat)


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(0.894 * x.abs() - 0.447 * y - 0.5, y - 0.8)


_DISTANCES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "circle": lambda x, y: (x * x + y * y).sqrt() - 0.95,
    "square": lambda x, y: torch.maximum(x.abs(), y.abs()) - 0.82,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": lambda x, y: ((x * x + y * y).sqrt() - 0.74).abs() - 0.24,
}


def event_state(event: Event, frame: int) -> tuple[float, float, float]:
    """x, y and radius of the event's thing in one frame."""
    progress = (frame - event.start) / max(event.end - event.start - 1, 1)
    dx, dy = DIRECTIONS[event.direction]
    x = event.x + dx * event.travel * progress
    y = event.y + dy * event.travel * progress
    return x, y, event.radius


def event_at(scene: Scene, frame: int) -> int | None:
    """Number of the event on the screen in a frame, or None in a pause."""
    for index, event in enumerate(scene.events):
        if event.start <= frame < event.end:
            return index
    return None


def draw_frames(scene: Scene, frames: Sequence[int], height: int, width: int) -> Tensor:
    """The given frames of a scene as float (N, 3, H, W) in 0..255, not yet rounded."""
    pictures = draw_background(scene, height, width).repeat(len(frames), 1, 1, 1)
    y, x = _grid(height, width)
    for event in scene.events:
        rows = [row for row, frame in enumerate(frames) if event.start <= frame < event.end]
        if not rows:
            continue
        states = torch.tensor([event_state(event, frames[row]) for row in rows])
        at_x, at_y, radius = states.T[:, :, None, None]
        unit_x, unit_y = (x - at_x) / radius, (y - at_y) / radius
        distance = _DISTANCES[event.thing.shape](unit_x, unit_y) * radius
        color = torch.tensor(COLORS[event.thing.color], dtype=torch.float32)
        inside = ((0.5 - distance / EDGE).clamp(0, 1))[:, None]
        edge = ((0.5 - (distance - OUTLINE) / EDGE).clamp(0, 1))[:, None]
        below = pictures[rows]
        below = below + (torch.tensor(OUTLINE_COLOR)[:, None, None] - below) * edge
        pictures[rows] = below + (color[:, None, None] - below) * inside
    return pictures.clamp(0, 255)


assert set(_DISTANCES) == set(SHAPES)
