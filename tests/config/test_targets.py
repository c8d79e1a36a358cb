"""Nodes with a ``_target_``: building, and what is wrong in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from llava_eval.config.build import build_target, forget_edited
from llava_eval.config.choices import let_import
from llava_eval.errors import ConfigError
from llava_eval.scoring.choice import StrictChoice
from llava_eval.types import VideoInfo

LINSPACE = "llava_eval.video.samplers.linspace_to_last_frame"
ADAPTER = "llava_eval.benchmarks.adapters.caption"
INFO = VideoInfo("v.mp4", num_frames=100, fps=10.0, seconds=10.0, width=8, height=8, codec="h264")


def test_a_function_is_bound_to_its_parameters() -> None:
    sampler = build_target({"_target_": LINSPACE, "num_frames": "3"}, key="sampler")
    assert tuple(sampler(INFO)) == (0, 49, 99)


def test_a_class_is_made() -> None:
    node = {"_target_": "llava_eval.scoring.choice.StrictChoice"}
    assert type(build_target(node, key="scorer")) is StrictChoice


class Open:
    """Takes anything, as a torch.nn.Module does that has no __init__ of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.given = (args, kwargs)


def test_a_class_that_takes_any_arguments() -> None:
    target = f"{Open.__module__}.Open"
    assert build_target({"_target_": target}, key="model").given == ((), {})
    assert build_target({"_target_": target, "a": 2}, key="model").given == ((), {"a": 2})


def test_a_module_that_was_edited_is_imported_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_module.py"
    module.write_text("def one():\n    return 1\n")
    node = {"_target_": "edited_module.one"}
    first = build_target(node, key="sampler")
    forget_edited()
    assert build_target(node, key="sampler").func is first.func
    module.write_text("def one():\n    return 1 + 1\n")
    os.utime(module, (1, 1))
    assert build_target(node, key="sampler").func is first.func  # a run goes on as it began
    forget_edited()
    assert (first(), build_target(node, key="sampler")()) == (1, 2)


def test_a_module_is_imported_anew_with_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = tmp_path / "edited_helper.py"
    helper.write_text("ONE = 1\n")
    (tmp_path / "importing_module.py").write_text(
        "from edited_helper import ONE\n\n\ndef one():\n    return ONE\n"
    )
    node = {"_target_": "importing_module.one"}
    first = build_target(node, key="sampler")
    helper.write_text("ONE = 1 + 1\n")
    os.utime(helper, (1, 1))
    forget_edited()
    assert (first(), build_target(node, key="sampler")()) == (1, 2)


def test_of_modules_of_one_name_the_last_folders_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    values = []
    for name in ("first", "second", "first"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "module_of_two.py").write_text(f"def of():\n    return {name!r}\n")
        let_import(tmp_path / name)
        forget_edited()
        values.append(build_target({"_target_": "module_of_two.of"}, key="sampler")())
    assert values == ["first", "second", "first"]


@pytest.mark.parametrize(
    ("node", "parts"),
    [
        ({"num_frames": 3}, ["sampler has no _target_"]),
        (3, ["sampler: got 3", "_target_"]),
        ({"_target_": "plain"}, ["sampler._target_", "dotted"]),
        ({"_target_": None}, ["sampler._target_: None is not a dotted path"]),
        ({"_target_": ["a.b"]}, ["sampler._target_: ['a.b'] is not a dotted path"]),
        ({"_target_": {"a": "b"}}, ["sampler._target_: {'a': 'b'} is not a dotted path"]),
        ({"_target_": "no.such.module"}, ["cannot import 'no.such'", "--config-dir"]),
        ({"_target_": LINSPACE + "s"}, ["did you mean 'linspace_to_last_frame'"]),
        ({"_target_": "llava_eval.__version__"}, ["is a str, no function"]),
        ({"_target_": LINSPACE}, ["sampler.num_frames is not set"]),
        ({"_target_": LINSPACE, "num_frames": "abc"}, ["sampler.num_frames", "'abc'", "Integer"]),
        ({"_target_": LINSPACE, "num_frames": 3, "fps": 1}, ["'sampler.fps'", "num_frames"]),
        (
            {
                "_target_": ADAPTER,
                "id": "{a}",
                "group": "{a}",
                "media": ["{a}"],
                "references": "b",
                "prompt": "c",
                "media_kind": "vidoe",
            },
            ["sampler.media_kind", "'vidoe'", "video, image", "did you mean 'video'"],
        ),
    ],
)
def test_a_mistake_gives_one_line(node: Any, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build_target(node, key="sampler")
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
