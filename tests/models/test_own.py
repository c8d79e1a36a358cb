"""A model of a user's own: named in the configuration, or handed over in Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import llava_eval
from llava_eval import cli
from llava_eval.errors import CheckpointError, ConfigError
from llava_eval.models.clock import StageClock
from llava_eval.models.own import OwnModel, OwnRunner
from llava_eval.types import Clip, Generation, GenerationSettings, MediaKind, Request
from tests.conftest import read_lines
from tests.models.helpers import make_request

FEW = ("benchmark.limit=6", "sampler.num_frames=4", "runner.batch_size=3")

MODULE = """\
class Answers:
    def __init__(self, letter: str = "A") -> None:
        self.letter = letter

    def prepare(self, kind, clip):
        return len(clip)

    def generate(self, requests):
        assert all(request.prepared_media[0].shown == (4,) for request in requests)
        return [self.letter for _ in requests]
"""


class Shapes:
    """Answers with what it was shown, and fails where it is told to."""

    def __init__(self, *, fails_at: str = "", refuses: str = "", replies: Any = None) -> None:
        self.fails_at = fails_at
        self.refuses = refuses
        self.replies = replies
        self.batches: list[int] = []

    def prepare(self, kind: MediaKind, clip: Clip) -> str:
        assert clip.video is not None
        if self.refuses and self.refuses in clip.video.path:
            raise ValueError("no such shape\nand more")
        return f"{kind} {clip.frame_indices}"

    def generate(self, requests: Sequence[Request]) -> Iterator[str | Generation]:
        self.batches.append(len(requests))
        if self.replies is not None:
            yield from self.replies
            return
        for request in requests:
            if request.id == self.fails_at:
                raise RuntimeError("out of memory")
            (video,) = request.prepared_media
            yield Generation(f"({'AB'[request.id.endswith('1')]}) {video.shown[0]}", 7, 2, "eos")


def ledger(path: Path) -> list[dict[str, Any]]:
    return read_lines(path / "samples.jsonl")


@pytest.mark.slow
def test_a_class_in_the_users_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "mine", tmp_path / "out"
    (folder / "model").mkdir(parents=True)
    (folder / "letters_of_mine.py").write_text(MODULE)
    text = "# @package _global_\ndefaults: [own]\nmodel: {_target_: letters_of_mine.Answers}\n"
    (folder / "model" / "mine.yaml").write_text(text)
    command = ["--config-dir", str(folder), "model=mine", *FEW]
    try:
        assert cli.run_command([*command, f"output_dir={out}"]) == 0
        assert {line["generation"]["text"] for line in ledger(out)} == {"A"}
        assert "model: Answers\n" in capsys.readouterr().out
        other = [*command, "model.arguments.letter=B", f"output_dir={out}"]
        assert cli.run_command(other) == 2, "another argument is another run"
        assert cli.run_command([*other[:-1], f"output_dir={out}_b"]) == 0
        assert {line["generation"]["text"] for line in ledger(Path(f"{out}_b"))} == {"B"}
        assert "model: Answers (letter=B)\n" in capsys.readouterr().out
        assert cli.run_command([*command, "--dry-run"]) == 0
        assert "frames 0, 20, 40, 60 of 61" in capsys.readouterr().out
    finally:
        sys.path.remove(str(folder))


@pytest.mark.slow
def test_an_object_in_python(tmp_path: Path) -> None:
    model = Shapes(fails_at="001-2", refuses="demo_002")
    run = llava_eval.evaluate(*FEW, f"output_dir={tmp_path}", model=model)
    assert run.model == "Shapes"
    samples = run.samples.set_index("id")
    assert samples.loc["001-1", "text"] == "(B) video (0, 20, 40, 60)"
    assert samples.loc["001-3", "answer"] == "A"
    name = "tests.models.test_own.Shapes"
    assert samples.loc["001-2", "error"] == f"{name}.generate: RuntimeError: out of memory"
    assert samples.loc["002-1", "error"] == (
        f"MediaError: {name}.prepare: ValueError: no such shape"
    )
    assert run.num_errors == 4
    assert model.batches == [3, 1, 1, 1], "where a batch fails each is asked alone"
    (line,) = [line for line in ledger(tmp_path) if line["id"] == "001-1"]
    assert line["generation"]["num_output_tokens"] == 2
    assert line["frame_indices"] == [0, 20, 40, 60]


@pytest.mark.slow
def test_an_object_whose_class_is_named_in_any_language(tmp_path: Path) -> None:
    class Größte(Shapes):
        pass

    run = llava_eval.evaluate(*FEW, f"output_dir={tmp_path}", model=Größte())
    assert run.model == "Größte"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("replies", "message"),
    [(["A"], "gave 1 answers to 3 requests"), ([1, 2, 3], "gave a int for sample 001-1")],
)
def test_answers_that_are_none_end_the_run(replies: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        llava_eval.evaluate(*FEW, f"output_dir={tmp_path}", model=Shapes(replies=replies))


@pytest.mark.slow
def test_what_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ConfigError, match=r"builtins\.object has no method prepare and no generate"
    ):
        llava_eval.evaluate(*FEW, f"output_dir={tmp_path / 'x'}", model=object())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Shapes is a class, expected an object of it"):
        llava_eval.evaluate(*FEW, f"output_dir={tmp_path / 'x'}", model=Shapes)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
    shapes = [f"model._target_={__name__}.Shapes"]
    for words, message in (
        (["model=own"], "model._target_ is empty"),
        (["model=own", "model._target_=llava_eval.types.Clipp"], "(did you mean 'Clip'?)"),
        (["model=own", *shapes, "model.arguments.x=1"], "unknown key 'model.arguments.x'"),
        (["model.arguments.x=1"], "model.arguments are those of a class of your own"),
        (["model=own", "model._target_=x.Y", "engine=ray"], "it is asked from one process"),
        (["model=own", "model._target_=x.Y", "quantization=bnb_nf4"], "x.Y decides how it runs"),
        (["model=own", "model._target_=x.Y", "model.dtype=float16"], "model.dtype=float16 means"),
    ):
        assert cli.run_command(words) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({"weights": Path("x")}, "gave what JSON cannot hold: Object of type PosixPath"),
        ({"scale": float("nan")}, "gave what JSON cannot hold: Out of range"),
        (3, "gave a int, expected a dict"),
    ],
)
def test_what_is_no_identity(identity: Any, message: str) -> None:
    class Named(Shapes):
        def identity(self) -> Any:
            return identity

    with pytest.raises(ConfigError, match=rf"Named\.identity {message}"):
        OwnModel.of(Named()).identity()


def test_an_identity_is_what_json_makes_of_it() -> None:
    class Named(Shapes):
        def identity(self) -> Any:
            return {1: (2, 3), "seed": 4}

    told = OwnModel.of(Named()).identity()["model"]
    assert (told["1"], told["seed"]) == ([2, 3], 4)
    json.dumps(told, sort_keys=True)


def test_an_identity_that_cannot_be_asked_for_is_told_so() -> None:
    class Constant(Shapes):
        identity: ClassVar = {"weights": "abc"}

    with pytest.raises(ConfigError, match=r"Constant\.identity: TypeError: 'dict' object is not"):
        OwnModel.of(Constant()).identity()


@pytest.mark.parametrize(
    ("num_requests", "fails_at", "batches"),
    [
        (0, "", []),
        (1, "q0", [1]),
        (2, "", [2]),
        (2, "q1", [2, 1, 1]),
        (3, "q0", [3, 1, 1, 1]),
    ],
)
def test_a_batch_that_fails_is_asked_one_by_one(
    num_requests: int, fails_at: str, batches: list[int]
) -> None:
    asked: list[int] = []

    class Echo:
        def prepare(self, kind: MediaKind, clip: Clip) -> None:
            raise NotImplementedError

        def generate(self, requests: Sequence[Request]) -> list[str]:
            asked.append(len(requests))
            if any(request.id == fails_at for request in requests):
                raise ValueError("no\nmore")
            return [request.id.upper() for request in requests]

    own = OwnModel(Echo(), "mine.Echo", {"a": 1})
    runner = OwnRunner(own, batch_size=5, clock=(clock := StageClock()))
    requests = [Request(f"q{n}", ("?",), GenerationSettings()) for n in range(num_requests)]
    pairs = list(runner.generate(requests))
    assert [request for request, _ in pairs] == requests
    assert [generation for _, generation in pairs] == [
        Generation(None, error="mine.Echo.generate: ValueError: no")
        if request.id == fails_at
        else Generation(request.id.upper())
        for request in requests
    ]
    assert asked == batches
    assert set(clock.seconds) == ({"generate"} if requests else set())
    assert runner.settings() == {"batch_size": 5}
    assert runner.describe() == {"target": "mine.Echo", "arguments": {"a": 1}}
    assert own.identity() == {"model": runner.describe()}


class Given(Shapes):
    """Returns what it was told to."""

    def generate(self, requests: Sequence[Request]) -> Any:
        return self.replies


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        ({"a": "A", "b": "B"}, "gave a dict, expected an answer for every request in order"),
        ("AB", "gave a str, expected an answer for every request in order"),
        ({"A", "B"}, "gave a set, expected an answer for every request in order"),
        (["A", b"B"], "gave a bytes for sample b, expected a text or a Generation"),
    ],
)
def test_what_holds_no_answers_in_order_is_refused(replies: Any, told: str) -> None:
    runner = OwnRunner(OwnModel.of(Given(replies=replies)))
    with pytest.raises(CheckpointError, match=told):
        list(runner.generate([make_request("Which?", name=name) for name in "ab"]))


def test_half_characters_of_an_answer_are_replaced() -> None:
    runner = OwnRunner(OwnModel.of(Given(replies=["A\ud83d", Generation("\ud83dB", 7, 2)])))
    done = runner.generate([make_request("Which?", name=name) for name in "ab"])
    assert [answer for _, answer in done] == [Generation("A?"), Generation("?B", 7, 2)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"num_output_tokens": np.int64(3)}, "Object of type int64 is not JSON serializable"),
        ({"num_input_tokens": 3.0}, "TypeError: num_input_tokens: expected int | null, got float"),
        ({"num_input_tokens": True}, "TypeError: num_input_tokens: expected int | null, got bool"),
        ({"stop_reason": 5}, "TypeError: stop_reason: expected str | null, got int"),
        ({"option_losses": (float("nan"),)}, "Out of range float values are not JSON compliant"),
        ({"text": 5}, "TypeError: text: expected str | null, got int"),
    ],
)
def test_a_generation_that_the_ledger_cannot_hold(values: dict[str, Any], told: str) -> None:
    model = Shapes(replies=[Generation(**{"text": "A", **values})])
    with pytest.raises(CheckpointError) as caught:
        list(OwnRunner(OwnModel.of(model)).generate([make_request("1")]))
    where = "test_own.Shapes.generate gave a Generation for sample q that the ledger cannot hold: "
    assert where + told in str(caught.value)


def test_half_characters_of_an_error_are_replaced() -> None:
    model = Shapes(replies=[Generation(None, error="half \ud800")])
    ((_, found),) = OwnRunner(OwnModel.of(model)).generate([make_request("1")])
    assert found.error == "half ?"
