"""Turn random scenes into training batches: frames, and several questions packed behind them.

One row of a batch is one video with as many questions as fit. The attention mask lets a question
see the video and itself only, and its positions continue from the video, so that each question
is computed exactly as if it were asked alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from demo import captions, prompts
from demo.model import IMAGE_SIZE, TOKENS_PER_FRAME
from demo.questions import KINDS, Question, with_options, without_options
from demo.render import draw_frames, event_at, event_state
from demo.tokenizer import BOS, EOS, VIDEO, token_id
from demo.world import (
    COLORS,
    DIRECTIONS,
    SETTINGS,
    SHAPES,
    DurationClass,
    Event,
    Scene,
    sample_scene,
)

IGNORED: Final = -100
NO_SEGMENT: Final = -1
PREFIX_SEGMENT: Final = 0

# Scenes that exist as transcripts only, for a first lesson in reading.
TINY: Final = DurationClass("tiny", (32, 48), (3, 5), 0.3)


def sample_indices(num_frames: int, count: int, rng: random.Random) -> list[int]:
    """Frame numbers by one of the samplers in use, so that none is unfamiliar."""
    policy = rng.choices(("linspace", "stride", "middle", "inner"), (5, 2, 1.5, 1.5))[0]
    if policy == "linspace":
        step = (num_frames - 1) / max(count - 1, 1)
        return [int(i * step) for i in range(count)]
    if policy == "stride":
        return [i * num_frames // count for i in range(count)]
    if policy == "middle":
        return [(2 * i + 1) * num_frames // (2 * count) for i in range(count)]
    return [(i + 1) * num_frames // (count + 1) for i in range(count)]


@dataclass
class FrameTargets:
    """What the auxiliary heads are to say about each frame; class 0 means nothing.

    The last three need the frames before: what the thing does, which thing was seen before it,
    and how many things were seen so far.
    """

    shape: Tensor
    color: Tensor
    setting: Tensor
    geometry: Tensor  # x, y, radius
    direction: Tensor
    previous_shape: Tensor
    previous_color: Tensor
    seen: Tensor


@dataclass
class Batch:
    """One training step's data; every tensor's first dimension is the video."""

    input_ids: Tensor
    positions: Tensor
    segments: Tensor
    labels: Tensor
    weights: Tensor
    option_targets: Tensor  # at the end of an option: 1 right, 0 wrong; IGNORED elsewhere
    option_letters: Tensor  # at the end of an option: the number of its letter
    answers: Tensor  # at the end of a question: the token of its answer
    kinds: Tensor  # number of the question's kind at the first token of its reply, else IGNORED
    frames: Tensor | None = None
    frame_targets: FrameTargets | None = None


@dataclass
class _Row:
    """A row under construction; the fields are those of `Batch`."""

    input_ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    option_targets: list[int] = field(default_factory=list)
    option_letters: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)

    def add(self, ids: Sequence[int], start: int, segment: int) -> None:
        """Append tokens without targets."""
        count = len(ids)
        self.input_ids += ids
        self.positions += range(start, start + count)
        self.segments += [segment] * count
        self.labels += [IGNORED] * count
        self.weights += [0.0] * count
        self.option_targets += [IGNORED] * count
        self.option_letters += [IGNORED] * count
        self.answers += [IGNORED] * count
        self.kinds += [IGNORED] * count


@dataclass(frozen=True)
class Task:
    """One prompt with its reply, ready to be packed.

    `asked` is the question as it stands in the text, `answer` what it asks for.
    """

    text: str
    reply: str
    kind: str
    asked: str = ""
    answer: str = ""
    options: tuple[str, ...] = ()


# Names under which accuracy is logged during training.
_FORMS: Final = ("caption", *KINDS, *(f"{name} (letter)" for name in KINDS))
KIND_NUMBERS: Final = {name: number for number, name in enumerate(_FORMS)}


def _ask(scene: Scene, rng: random.Random, allowed: Sequence[str]) -> tuple[str, Question]:
    weights = [KINDS[name].weight for name in allowed]
    while True:
        name = rng.choices(allowed, weights)[0]
        question = KINDS[name].make(scene, rng)
        if question is not None:
            return name, question


def draw_tasks(scene: Scene, chat: prompts.Chat, rng: random.Random, simple: bool) -> list[Task]:
    """A random prompt about the scene: options, a short answer, or a caption.

    A simple question with options is asked twice with the options in another order: what is to be
    learnt is that the letter follows the order.
    """
    form = rng.random()
    if form < 0.06:
        if rng.random() < 0.8:
            text, reply = rng.choice(prompts.BRIEF_PROMPTS[simple:]), captions.brief(scene)
        else:
            text, reply = rng.choice(prompts.DETAILED_PROMPTS), captions.detailed(scene)
        return [Task(chat.after.format(text), f" {reply}", "caption")]
    if form < 0.35:
        name, question = _ask(scene, rng, without_options())
        asked, text = (question.text,) * 2 if simple else prompts.short_answer(question, rng)
        answer = f" {question.answer}"
        return [Task(chat.after.format(text), answer, name, asked, answer)]
    name, question = _ask(scene, rng, with_options())
    make = prompts.bare_options if simple else prompts.multiple_choice
    tasks = []
    for _ in range(2 if simple else 1):
        question = replace(
            question, options=tuple(rng.sample(question.options, len(question.options)))
        )
        text = chat.after.format(make(question, rng))
        if not simple and rng.random() < 0.06:
            text += prompts.prefill(rng)
        letter = prompts.LETTERS[question.answer_index]
        answer = f" {question.answer}"
        tasks.append(
            Task(text, letter, f"{name} (letter)", question.text, answer, question.options)
        )
    return tasks


class Packer:
    """Makes rows of token numbers out of scenes."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.backend = tokenizer.backend_tokenizer
        self.bos = token_id(tokenizer, BOS)
        self.eos = token_id(tokenizer, EOS)
        self.video = token_id(tokenizer, VIDEO)

    def encode(self, text: str) -> list[int]:
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def row(self, scene: Scene, shape: BatchShape, rng: random.Random) -> _Row:
        """A video (or its transcript) and as many questions as fit."""
        simple = rng.random() >= shape.protocols
        chat = prompts.SIMPLE_CHAT if simple else prompts.conversation(rng)
        row = _Row()
        seen = [self.video] * (TOKENS_PER_FRAME * shape.num_frames)
        if not shape.num_frames:
            seen = self.encode(captions.transcript(scene))
        bos = [self.bos] if rng.random() < 0.9 else []
        row.add([*bos, *self.encode(chat.before), *seen], 0, PREFIX_SEGMENT)
        start, segment, misses = len(row.input_ids), 0, 0
        while shape.questions and misses < 3:
            for task in draw_tasks(scene, chat, rng, simple):
                if self._append(row, task, start, segment + 1, shape.length):
                    segment += 1
                else:
                    misses += 1
        row.add([0] * (shape.length - len(row.input_ids)), 0, NO_SEGMENT)
        return row

    def _append(self, row: _Row, task: Task, start: int, segment: int, length: int) -> bool:
        """Put a task into the row if there is room for it."""
        encoding = self.backend.encode(task.text, add_special_tokens=False)
        ids: list[int] = list(encoding.ids)
        reply = [*self.encode(task.reply), self.eos]
        begin = len(row.input_ids)
        if begin + len(ids) + len(reply) - 1 > length:
            return False
        row.add([*ids, *reply[:-1]], start, segment)
        first = begin + len(ids) - 1
        weight = len(reply) ** -0.5 if task.kind == "caption" else 1.0
        for offset, token in enumerate(reply):
            row.labels[first + offset] = token
            row.weights[first + offset] = weight
        row.kinds[first] = KIND_NUMBERS[task.kind]
        if not task.asked:
            return True

        def place(end: int) -> int:
            """Where the token is that holds the last of the text's first `end` characters."""
            offset = encoding.char_to_token(end - 1)
            assert offset is not None, task.text
            return begin + int(offset)

        at = task.text.index(task.asked) + len(task.asked)
        (row.answers[place(at)],) = self.encode(task.answer)
        right = prompts.LETTERS.find(task.reply)
        for number, option in enumerate(task.options):
            at = task.text.index(option, at) + len(option)
            row.option_targets[place(at)] = int(number == right)
            row.option_letters[place(at)] = number
        return True


def describe_frames(scene: Scene, frames: Sequence[int]) -> FrameTargets:
    """The auxiliary targets of the given frames of a scene."""
    classes: list[tuple[int, ...]] = []
    geometry: list[tuple[float, ...]] = []
    seen: list[int] = []
    for frame in frames:
        index = event_at(scene, frame)
        if index is not None and index not in seen:
            seen.append(index)
        event = None if index is None else scene.events[index]
        now = (0, 0, 0)
        if event is not None:
            now = (*_classes(event), list(DIRECTIONS).index(event.direction) + 1)
        last = seen.index(index) - 1 if index is not None else len(seen) - 1
        before = _classes(scene.events[seen[last]]) if last >= 0 else (0, 0)
        classes.append((*now, *before, len(seen)))
        geometry.append((0.0,) * 3 if event is None else event_state(event, frame))
    shape, color, direction, previous_shape, previous_color, count = torch.tensor(classes).T
    return FrameTargets(
        shape=shape,
        color=color,
        setting=torch.full_like(shape, SETTINGS.index(scene.setting)),
        geometry=torch.tensor(geometry),
        direction=direction,
        previous_shape=previous_shape,
        previous_color=previous_color,
        seen=count,
    )


def _classes(event: Event) -> tuple[int, int]:
    return SHAPES.index(event.thing.shape) + 1, list(COLORS).index(event.thing.color) + 1


def degrade(frames: Tensor, rng: random.Random) -> Tensor:
    """Make drawn frames look as if they had been compressed: soften, add noise, round."""
    noise = torch.Generator().manual_seed(rng.randrange(1 << 30))
    if rng.random() < 0.5:
        strength = rng.uniform(0.0, 0.5)
        soft = torch.nn.functional.avg_pool2d(
            frames, 3, stride=1, padding=1, count_include_pad=False
        )
        frames = frames + (soft - frames) * strength
    frames = frames + torch.randn(frames.shape, generator=noise) * rng.uniform(0.5, 3.0)
    return frames.round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class BatchShape:
    """How many rows of which length, and how many frames (0: a transcript instead).

    With length 0 there is no text at all; without questions only the video is in the row.
    `protocols` is the share of rows with the wordings of public protocols; the others are brief.
    """

    rows: int
    length: int
    num_frames: int
    questions: bool = True
    protocols: float = 0.0


def make_batch(
    shape: BatchShape,
    packer: Packer,
    rng: random.Random,
    is_held_out: Callable[[Scene], bool],
) -> Batch:
    """Draw fresh scenes, never one that is held out, and pack them."""
    rows: list[_Row] = []
    frames: list[Tensor] = []
    targets: list[FrameTargets] = []
    while len(rows) < shape.rows:
        scene = sample_scene(rng, None if shape.num_frames else TINY)
        if is_held_out(scene):
            continue
        rows.append(packer.row(scene, shape, rng) if shape.length else _Row())
        if shape.num_frames:
            indices = sample_indices(scene.num_frames, shape.num_frames, rng)
            drawn = draw_frames(scene, indices, IMAGE_SIZE, IMAGE_SIZE)
            frames.append(degrade(drawn, rng))
            targets.append(describe_frames(scene, indices))
    columns = {
        item.name: torch.tensor([getattr(row, item.name) for row in rows]) for item in fields(_Row)
    }
    batch = Batch(frames=None, frame_targets=None, **columns)
    if frames:
        batch.frames = torch.stack(frames)
        batch.frame_targets = FrameTargets(
            *(
                torch.stack([getattr(target, item.name) for target in targets])
                for item in fields(FrameTargets)
            )
        )
    return batch
