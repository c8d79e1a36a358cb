"""Images of any resolution: their tokens are as many as LLaVA-NeXT's formula says, in any batch."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import pytest

from llava_eval.config.schema import ConversationConfig
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.pixels import FramePreprocessor
from llava_eval.models.local.prepared_media import MediaPreparer, WholePrompts
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import GenerationSettings
from tests.models.helpers import make_clip, make_request

PINPOINTS = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]
PATCH = 14


def num_tokens(height: int, width: int, side: int) -> int:
    """Return the tokens of an image, from the formula (LLaVA-NeXT's blog, 2024-01).

    The grid with the most of the image's own pixels is chosen, of several the smallest; the padding
    to its aspect ratio is cut off again, and every row of patches ends with a newline token. The
    whole image at the tower's own size comes first.

    Args:
        height, width: of the image in pixels.
        side: of the vision tower's input in pixels.
    """
    patches = side // PATCH

    def fit(grid: tuple[int, int]) -> tuple[int, int]:
        scale = min(grid[1] * side / width, grid[0] * side / height)
        used = min(int(width * scale) * int(height * scale), width * height)
        return used, -(grid[0] * grid[1] * side * side - used)

    rows, columns = (count * patches for count in max(PINPOINTS, key=fit))
    if width / height > columns / rows:
        rows -= 2 * ((rows - int(round(height * columns / width, 7))) // 2)
    else:
        columns -= 2 * ((columns - int(round(width * rows / height, 7))) // 2)
    return patches * patches + rows * columns + rows


def preparer(loaded: LoadedModel, side: int) -> MediaPreparer:
    """Return what prepares images for a vision tower of another size."""
    changed = copy.deepcopy(loaded.processor)
    images = changed.image_processor
    images.size = {"shortest_edge": side}
    images.crop_size = {"height": side, "width": side}
    images.image_grid_pinpoints = [[side * rows, side * columns] for rows, columns in PINPOINTS]
    pixels = FramePreprocessor(changed.video_processor)
    other = dataclasses.replace(loaded, processor=changed, pixels=pixels)
    return MediaPreparer(other, WholePrompts(changed, {}), takes_apart=True)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (336, 336, 1176),
        (480, 640, 2340),
        (640, 480, 2352),
        (672, 672, 2928),
        (1080, 1920, 1948),
    ],
)
def test_tokens_at_the_published_checkpoints_size(
    loaded: LoadedModel, height: int, width: int, expected: int
) -> None:
    assert num_tokens(height, width, 336) == expected
    medium = preparer(loaded, 336).prepare("image", make_clip(1, size=(height, width)))
    assert len(medium.token_ids) == expected


def test_tokens_of_many_sizes_are_as_the_formula_says(loaded: LoadedModel) -> None:
    runner = ModelRunner(loaded, ConversationConfig("chat_template"))
    sides = (17, 40, 56, 75, 112, 150, 311)
    for height, width in itertools.product(sides, sides):
        medium = runner.prepare("image", make_clip(1, size=(height, width)))
        assert len(medium.token_ids) == num_tokens(height, width, 56), (height, width)
        assert len(set(medium.token_ids)) == 1
        assert medium.inputs["image_sizes"].tolist() == [[height, width]]


@pytest.mark.slow
def test_images_of_different_sizes_in_one_batch_answer_as_alone(loaded: LoadedModel) -> None:
    settings = GenerationSettings(max_new_tokens=6)
    sizes = [(40, 40), (60, 150), (150, 60), (56, 112), (200, 31), (112, 112)]
    clips = [make_clip(1, seed=seed, size=size) for seed, size in enumerate(sizes)]
    answers = []
    for batch_size in (1, len(sizes)):
        runner = ModelRunner(loaded, ConversationConfig("chat_template"), batch_size=batch_size)
        requests = [
            make_request(
                runner.prepare("image", clip), "What is shown?", name=str(n), settings=settings
            )
            for n, clip in enumerate(clips)
        ]
        done = {request.id: answer for request, answer in runner.generate(requests)}
        answers.append([(done[one.id].text, done[one.id].num_input_tokens) for one in requests])
    assert answers[0] == answers[1]
    assert len({tokens for _, tokens in answers[0]}) > 3


def test_the_formula_s_grids_are_those_of_the_checkpoint(loaded: LoadedModel) -> None:
    grids = loaded.processor.image_processor.image_grid_pinpoints
    assert [tuple(grid) for grid in grids] == [(56 * rows, 56 * cols) for rows, cols in PINPOINTS]
