"""What is not proven equal to whole prompts is not shared, and what fails fails alone."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import find_checkpoint
from llava_eval.models.local.decoding import Decoder, FiniteRows
from llava_eval.models.local.doctor import examine
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.prefix import CACHE
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Generation, GenerationSettings, Request
from tests.models.families import FAMILIES
from tests.models.families.plain import NEW_TOKENS, Plain, Turn, image
from tests.models.helpers import make_clip, make_request

PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")
CHAT = ConversationConfig("chat_template")
SETTINGS = GenerationSettings(max_new_tokens=6)
QUESTIONS = ("What is shown?", "Where is the red star now?", "Why?")


def with_hook(loaded: LoadedModel, hook: Callable[[dict[str, Any], Any], None]) -> LoadedModel:
    """Return a copy of a model whose output a function may change, given its inputs."""
    copied = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    copied.model.register_forward_hook(
        lambda _, __, inputs, output: hook(inputs, output), with_kwargs=True
    )
    return copied


def ask(runner: ModelRunner, *questions: str, **changes: Any) -> dict[str, Generation]:
    medium = runner.prepare("video", make_clip(4, seed=1))
    requests = [
        make_request(medium, question, name=question, settings=SETTINGS, **changes)
        for question in questions
    ]
    return {request.id: generation for request, generation in runner.generate(requests)}


def whole(loaded: LoadedModel) -> dict[str, Generation]:
    runner = ModelRunner(loaded, PLAIN, share_prefixes=False)
    answers = ask(runner, *QUESTIONS)
    assert path(runner) == "whole prompts, one at a time: runner.share_prefixes=false"
    return answers


def path(runner: ModelRunner) -> str:
    return str(runner.settings()["prompts_asked_as"]["one video"])


@pytest.mark.slow
def test_what_differs_is_asked_as_a_whole_and_said(
    loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    def change(inputs: dict[str, Any], output: Any) -> None:
        if inputs.get(CACHE) is not None and inputs["input_ids"].shape[0] > 1:
            output.logits[..., 5] += 100.0

    other = with_hook(loaded, change)
    plain = ModelRunner(loaded, PLAIN, share_prefixes=False)
    with caplog.at_level(logging.INFO):
        runner = ModelRunner(other, PLAIN)
        questions = (*QUESTIONS, "Who?")  # as long as "Why?"
        assert ask(runner, *questions) == ask(plain, *questions)
    assert "prompts with one video are asked as a whole: logits after a shared" in caplog.text
    assert path(runner).startswith("whole prompts, one at a time: logits after a shared prefix")


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(transformers, "HyperCLOVAXVisionV2Config"),
    reason="this transformers has no HyperCLOVA X Vision V2",
)
def test_padding_is_tried_before_it_is_used(tmp_path: Path) -> None:
    """HyperCLOVA X counts padding in its positions, which questions of equal length do not show."""
    other = family("hyperclovax_vision_v2", tmp_path)
    runner = ModelRunner(other, CHAT)
    plain = ModelRunner(other, CHAT, share_prefixes=False)
    equal, longer = ("What is it?", "Who has it?"), "Where is the red star now?"
    assert ask(runner, *equal) == ask(plain, *equal)
    assert path(runner) == "shared prefixes by the model's own forward pass, any rows, padded"
    assert ask(runner, *equal, longer) == ask(plain, *equal, longer)
    assert path(runner).startswith("whole prompts")


@pytest.mark.slow
def test_whatever_a_trial_raises_means_do_not_share(loaded: LoadedModel) -> None:
    def fail(inputs: dict[str, Any], output: Any) -> None:
        if inputs["input_ids"] is not None and inputs["input_ids"].shape[0] > 1:
            raise KeyError("of the model")

    runner = ModelRunner(with_hook(loaded, fail), PLAIN)
    assert ask(runner, *QUESTIONS) == whole(loaded)
    problem = "ForwardError: KeyError: 'of the model'"
    assert path(runner) == f"whole prompts, one at a time: {problem}"


@pytest.mark.slow
def test_a_trial_that_ran_out_of_memory_is_made_again(loaded: LoadedModel) -> None:
    passes: list[int] = []

    def fail(inputs: dict[str, Any], output: Any) -> None:
        passes.append(1)
        if len(passes) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory (beside another process)")

    runner = ModelRunner(with_hook(loaded, fail), PLAIN)
    assert ask(runner, *QUESTIONS) == whole(loaded)
    assert path(runner).endswith("OutOfMemoryError: CUDA out of memory (beside another process)")
    assert ask(runner, *QUESTIONS) == whole(loaded)
    assert path(runner).startswith("shared prefixes")


@pytest.mark.slow
def test_padding_whose_trial_ran_out_of_memory_is_not_used(loaded: LoadedModel) -> None:
    """That the model shares prefixes without padding says nothing of it."""
    is_full = [True]

    def pad_wrongly(inputs: dict[str, Any], output: Any) -> None:
        if inputs.get(CACHE) is not None and inputs["input_ids"].shape[0] > 1:
            if is_full:
                is_full.clear()
                raise torch.OutOfMemoryError("CUDA out of memory (beside another process)")
            output.logits[..., 5] += 100.0

    runner = ModelRunner(with_hook(loaded, pad_wrongly), PLAIN)
    expected = whole(loaded)
    assert ask(runner, QUESTIONS[0]) == {QUESTIONS[0]: expected[QUESTIONS[0]]}
    assert path(runner).startswith("shared prefixes")
    assert ask(runner, *QUESTIONS) == expected
    assert path(runner).endswith("OutOfMemoryError: CUDA out of memory (beside another process)")


@pytest.mark.slow
def test_a_model_that_fails_on_one_prompt_fails_one_sample(loaded: LoadedModel) -> None:
    expected = whole(loaded)
    longest = max(QUESTIONS, key=len)
    most = expected[longest].num_input_tokens or 0

    def fail(inputs: dict[str, Any], output: Any) -> None:
        is_prompt = inputs["input_ids"].shape[1] > 1
        if is_prompt and int(inputs["position_ids"].max()) + 1 >= most:
            raise TypeError("too long")

    shorter = [question for question in QUESTIONS if question != longest]
    runner = ModelRunner(with_hook(loaded, fail), PLAIN)
    ask(runner, *shorter)  # the trial is over
    done = ask(runner, *QUESTIONS)
    assert done.pop(longest).error == "ForwardError: TypeError: too long"
    assert done == {question: expected[question] for question in shorter}


@pytest.mark.slow
def test_a_defect_of_ours_is_no_sample_s_error(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ModelRunner(loaded, PLAIN)
    ask(runner, QUESTIONS[0])
    names: dict[str, Any] = {}
    monkeypatch.setattr(Decoder, "answer", lambda self, batch: names["no such key"])
    with pytest.raises(KeyError, match="no such key"):
        ask(runner, *QUESTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("share_prefixes", ["auto", False])
@pytest.mark.parametrize("options", [(), ("red", "blue circle")])
def test_logits_that_are_not_finite_fail_their_sample_only(
    loaded: LoadedModel, share_prefixes: Any, options: tuple[str, ...]
) -> None:
    """The embedding of one word is damaged, and that of padding: batches must not spread it."""
    other = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    tokenizer = loaded.tokenizer
    words = set(tokenizer("Where")["input_ids"]) - set(tokenizer("What Why")["input_ids"])
    weight = other.model.get_input_embeddings().weight
    with torch.no_grad():
        weight[[*words, tokenizer.pad_token_id]] = float("nan")
    plain = ask(ModelRunner(loaded, PLAIN, share_prefixes=False), *QUESTIONS, options=options)
    runner = ModelRunner(other, PLAIN, share_prefixes=share_prefixes)
    done = ask(runner, *QUESTIONS, options=options)
    damaged = next(question for question in QUESTIONS if question.startswith("Where"))
    error = done.pop(damaged).error
    assert error == f"ForwardError: sample {damaged}: logits are not finite"
    assert {name: answer.text for name, answer in done.items()} == {
        name: answer.text for name, answer in plain.items() if name != damaged
    }


def test_rows_are_watched_until_they_end() -> None:
    watch = FiniteRows({9})
    nan, inf = float("nan"), float("inf")
    ids = torch.tensor([[1], [1], [1], [1]])
    watch(ids, torch.tensor([[0.0, 1.0], [nan, 1.0], [0.0, -inf], [inf, 0.0]]))
    assert watch.rows() == [True, False, True, False]
    ids = torch.cat([ids, torch.tensor([[9], [1], [1], [1]])], dim=1)
    watch(ids, torch.tensor([[nan, 1.0], [0.0, 1.0], [nan, 0.0], [0.0, 1.0]]))
    assert watch.rows() == [True, False, False, False]


def family(name: str, folder: Path, **settings: Any) -> LoadedModel:
    """Return a tiny checkpoint of a family, loaded."""
    FAMILIES[name].make(folder)
    return load_model(
        plan_checkpoint(find_checkpoint(str(folder)), ModelConfig(device="cpu", **settings))
    )


@pytest.mark.slow
def test_media_are_preprocessed_once_for_all_their_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = family("qwen2_5_vl", tmp_path)
    calls = []
    original = type(loaded.processor.video_processor).preprocess

    def preprocess(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return original(*arguments, **named)

    monkeypatch.setattr(type(loaded.processor.video_processor), "preprocess", preprocess)
    runner = ModelRunner(loaded, CHAT)
    medium = runner.prepare("video", make_clip(4, size=(80, 120)))
    assert len(calls) == 1
    requests = [Request(question, (medium, question), SETTINGS) for question in QUESTIONS]
    assert all(generation.error is None for _, generation in runner.generate(requests))
    assert len(calls) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2_5_vl", "gemma3", "idefics3"])
def test_likelihoods_are_those_of_whole_prompts(name: str, tmp_path: Path) -> None:
    loaded = family(name, tmp_path)
    losses = []
    for share_prefixes in ("auto", False):
        runner = ModelRunner(loaded, CHAT, share_prefixes=share_prefixes)
        medium = runner.prepare("image", make_clip(1, size=(80, 120)))
        requests = [
            Request(question, (medium, question), SETTINGS, options=("red", "a longer answer"))
            for question in QUESTIONS
        ]
        done = {request.id: generation for request, generation in runner.generate(requests)}
        losses.append([loss for one in QUESTIONS for loss in done[one].option_losses or ()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4, abs=1e-4)
    assert len(losses[0]) == 2 * len(QUESTIONS)


@pytest.mark.slow
def test_a_repetition_penalty_counts_no_padding(tmp_path: Path) -> None:
    FAMILIES["llava"].make(tmp_path)
    path = tmp_path / "generation_config.json"
    path.write_text(path.read_text().replace("{", '{"repetition_penalty": 3.0,', 1))
    plain = Plain.load(tmp_path)
    clip = make_clip(1, seed=3, size=(80, 120))
    texts = {}
    for question in QUESTIONS:
        tokens = plain.new_tokens(plain.inputs((("image", clip), question), None))
        texts[question] = plain.processor.tokenizer.decode(tokens, skip_special_tokens=True)
    checkpoint = find_checkpoint(str(tmp_path))
    answers = {}
    for keeps in (True, False):
        plan = plan_checkpoint(
            checkpoint, ModelConfig(device="cpu"), keeps_generation_settings=keeps
        )
        loaded = load_model(plan)
        kept = {"repetition_penalty": 3.0} if keeps else {}
        assert loaded.describe()["kept_generation_settings"] == kept
        runner = ModelRunner(loaded, CHAT)
        medium = runner.prepare("image", clip)
        requests = [Request(question, (medium, question), SETTINGS) for question in QUESTIONS]
        answers[keeps] = {request.id: answer.text for request, answer in runner.generate(requests)}
    assert answers[True] == texts
    assert answers[False] != texts


@pytest.mark.slow
def test_a_least_length_counts_no_padding_between_prefixes(tmp_path: Path) -> None:
    FAMILIES["llava_next_video"].make(tmp_path)
    path = tmp_path / "generation_config.json"
    own = {"min_length": 101, "eos_token_id": [2, *range(30, 250, 2)]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    plain = Plain.load(tmp_path)
    plan = plan_checkpoint(
        find_checkpoint(str(tmp_path)), ModelConfig(device="cpu"), keeps_generation_settings=True
    )
    runner = ModelRunner(load_model(plan), CHAT)
    expected, requests = {}, []
    for seed, before in enumerate(("Look. ", "This picture shows much. ")):
        clip = make_clip(1, seed=seed, size=(80, 120))
        medium = runner.prepare("image", clip)
        for question in QUESTIONS:
            request = Request(before + question, (before, medium, question), SETTINGS)
            requests.append(request)
            tokens = plain.new_tokens(plain.inputs((before, ("image", clip), question), None))
            expected[request.id] = len(tokens)
    assert len(set(expected.values())) > 1
    done = {request.id: answer.num_output_tokens for request, answer in runner.generate(requests)}
    assert done == expected


@pytest.mark.slow
def test_a_budget_of_pixels_changes_the_number_of_tokens(tmp_path: Path) -> None:
    few = {"min_pixels": 4 * 28 * 28, "max_pixels": 8 * 28 * 28}
    tokens = []
    for name, settings in (("plain", {}), ("few", few)):
        loaded = family("qwen2_5_vl", tmp_path / name, processor=settings)
        assert loaded.describe()["processor_settings"] == settings
        assert loaded.plan.identity()["model"].get("processor", {}) == settings
        runner = ModelRunner(loaded, CHAT)
        medium = runner.prepare("image", make_clip(1, size=(160, 240)))
        ((_, answer),) = runner.generate([Request("q", (medium, "What?"), SETTINGS)])
        tokens.append(answer.num_input_tokens or 0)
    assert tokens[0] > tokens[1]
    with pytest.raises(CheckpointError, match=r"model\.processor\.max_pixel: .* no such setting"):
        family("qwen2_5_vl", tmp_path / "wrong", processor={"max_pixel": 1})


@pytest.mark.slow
def test_frames_as_images_for_a_model_that_takes_no_videos(tmp_path: Path) -> None:
    loaded = family("llava", tmp_path)
    clip = make_clip(3, size=(80, 120))
    with pytest.raises(CheckpointError, match=r"takes no video: .* model\.video_as=images shows"):
        ModelRunner(loaded, CHAT).prepare("video", clip)
    plan = dataclasses.replace(loaded.plan, shows_images=True)
    runner = ModelRunner(dataclasses.replace(loaded, plan=plan), CHAT)
    medium = runner.prepare("video", clip)
    ((_, answer),) = runner.generate([Request("q", (medium, "What?"), SETTINGS)])
    images: Turn = tuple(
        (
            "image",
            dataclasses.replace(
                clip, frames=clip.frames[n : n + 1], frame_indices=(n,), pts_seconds=(0.0,)
            ),
        )
        for n in range(3)
    )
    plain = Plain.load(tmp_path)
    inputs = plain.inputs((*images, "What?"), None)
    expected = plain.processor.tokenizer.decode(plain.new_tokens(inputs), skip_special_tokens=True)
    assert (answer.text, answer.num_input_tokens) == (expected, inputs["input_ids"].shape[1])
    assert medium.frame_indices == (0, 1, 2)
    assert plan.identity()["model"]["video_as"] == "images"


#: Rotary frequencies that are others beyond 50 tokens; questions on both sides of it.
BEYOND_50: dict[str, dict[str, Any]] = {
    "longrope": {"short_factor": [1.0] * 8, "long_factor": [3.0] * 8},
    "dynamic": {"factor": 4.0},
}
QUESTIONS_AROUND_50 = ("Who?", "What is it now, and then?", "Why?", "How many of those there, say?")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", BEYOND_50)
def test_frequencies_that_depend_on_the_length(scheme: str, tmp_path: Path) -> None:
    FAMILIES["llava"].make(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    rope = {"rope_type": scheme, "rope_theta": 1e4, "original_max_position_embeddings": 50}
    length = 50 if scheme == "dynamic" else 200
    config["text_config"]["rope_parameters"] = {**rope, **BEYOND_50[scheme]}
    config["text_config"]["max_position_embeddings"] = length
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    expected = {}
    for question in QUESTIONS_AROUND_50:
        plain = Plain.load(tmp_path)  # anew: what was asked before changes the next answer
        inputs = plain.inputs((image(1), question), None)
        new = plain.new_tokens(inputs)
        text = plain.processor.tokenizer.decode(new, skip_special_tokens=True)
        expected[question] = (inputs["input_ids"].shape[1], text)
    lengths = [length for length, _ in expected.values()]
    assert min(lengths) + NEW_TOKENS < 50 < max(lengths)

    loaded = load_model(plan_checkpoint(find_checkpoint(str(tmp_path)), ModelConfig(device="cpu")))
    runner = ModelRunner(loaded, CHAT)
    medium = runner.prepare(*image(1))
    requests = [Request(text, (medium, text), SETTINGS) for text in QUESTIONS_AROUND_50]
    answers = {
        request.id: (answer.num_input_tokens, answer.text)
        for request, answer in runner.generate(requests)
    }
    assert answers == expected
    (way,) = runner.settings()["prompts_asked_as"].values()
    assert way.startswith("whole prompts, of equal length together: its rotary frequencies depend")


@pytest.mark.parametrize("wrong", [None, 3, 4])
def test_every_medium_of_a_prompt_is_tried(loaded: LoadedModel, wrong: int | None) -> None:
    """The processor stacks no videos of 3 and 4 frames, so each is held to a prompt of its own."""
    other = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    encode = other.model.get_video_features

    def features(pixels: torch.Tensor, **settings: Any) -> Any:
        return encode(pixels * (3 if pixels.shape[1] == wrong else 1), **settings)

    other.model.get_video_features = features  # which the model's own pass does not call
    runner = ModelRunner(other, PLAIN)
    videos = [runner.prepare("video", make_clip(number, seed=number)) for number in (3, 4)]
    requests = [Request(text, (*videos, text), SETTINGS) for text in QUESTIONS[:2]]
    answers = dict(runner.generate(requests))
    way = runner.settings()["prompts_asked_as"]["videos"]
    if wrong is None:
        assert way == "shared prefixes by features, any rows, padded"
        assert all(answer.error is None for answer in answers.values())
    else:
        assert way.startswith("whole prompts, one at a time: logits after a shared prefix differ")
        assert all(answer.text is None for answer in answers.values())


@pytest.mark.slow
def test_the_doctor_stops_where_no_prompt_can_be_made(loaded: LoadedModel) -> None:
    other = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    other.model.config.vision_config.image_size = 30
    findings = examine(other, CHAT)
    assert next(findings).is_right
    with pytest.raises(CheckpointError, match="but the vision tower takes 30x30"):
        next(findings)


@pytest.mark.slow
def test_the_doctor_finds_nothing_in_the_embedded_checkpoint(loaded: LoadedModel) -> None:
    findings = list(examine(loaded, CHAT))
    assert [finding.is_right for finding in findings] == [True] * 5
    assert "one video: 44 tokens; shared prefixes by features" in findings[3].text


@pytest.mark.slow
def test_the_doctor_finds_weights_that_are_no_numbers(loaded: LoadedModel) -> None:
    def change(inputs: dict[str, Any], output: Any) -> None:
        output.logits[:] = float("nan")

    findings = list(examine(with_hook(loaded, change), CHAT))
    assert [finding.is_right for finding in findings] == [True, False, True, False, True]
    assert "one image: transformers itself fails: sample question 0: logits" in findings[1].text


@pytest.mark.slow
def test_the_doctor_finds_a_model_that_larger_batches_change(loaded: LoadedModel) -> None:
    def change(inputs: dict[str, Any], output: Any) -> None:
        if inputs["input_ids"] is not None and inputs["input_ids"].shape[0] > 3:
            output.logits[..., 5] += 100.0

    findings = list(examine(with_hook(loaded, change), CHAT))
    assert not any(finding.is_right for finding in findings[1:])
    assert "DIFFERS: question 0 gives" in findings[1].text
