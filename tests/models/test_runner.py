"""The runner gives the tokens that a plain ``generate`` gives, whatever it shares and batches."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import os
import random
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import DynamicCache
from transformers.image_utils import SizeDict

from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.llava_next_video import FeaturePrefixes
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.prepared_media import WholePrompts
from llava_eval.models.local.prompt import PromptWriter
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Clip, Generation, GenerationSettings, MediaKind, Request
from tests.conftest import slow
from tests.models.helpers import make_clip, make_request

CHAT = ConversationConfig("chat_template")
PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")

#: A user's turn before its clips are prepared.
Turn = tuple[str | tuple[MediaKind, Clip], ...]

VIDEO_4: tuple[MediaKind, Clip] = ("video", make_clip(4, seed=1))
VIDEO_16: tuple[MediaKind, Clip] = ("video", make_clip(16, seed=2, size=(90, 160)))
WIDE_IMAGE: tuple[MediaKind, Clip] = ("image", make_clip(1, seed=3, size=(60, 150)))
SMALL_IMAGE: tuple[MediaKind, Clip] = ("image", make_clip(1, seed=4, size=(40, 40)))

TURNS: dict[str, Turn] = {
    **{f"four {n}": (VIDEO_4, f"What is shown{' here' * n}?") for n in range(3)},
    **{f"sixteen {n}": (VIDEO_16, f"Which colour {n}?\nA. red\nB. blue") for n in range(4)},
    "alone": (("video", make_clip(4, seed=5)), "What happens first?"),
    "image 0": (WIDE_IMAGE, "What is it?"),
    "image 1": (WIDE_IMAGE, "Where is it now?"),
    "small image": (SMALL_IMAGE, "What is it?"),
    "two videos": (VIDEO_4, "and", VIDEO_16, "differ how?"),
    "mixed": (SMALL_IMAGE, "then", VIDEO_4, "and", WIDE_IMAGE, "which?"),
    "question first 0": ("Look for red.", VIDEO_16, "Seen?"),
    "question first 1": ("Look for blue.", VIDEO_16, "Seen?"),
    "text": ("Say something.",),
}
SETTINGS = GenerationSettings(max_new_tokens=10)


def plain_generate(loaded: LoadedModel, turn: Turn, settings: GenerationSettings) -> list[int]:
    """Return the new tokens of the processor's own inputs and the model's own ``generate``."""
    text = "".join(piece if isinstance(piece, str) else f"<{piece[0]}>\n" for piece in turn)
    media = [piece for piece in turn if not isinstance(piece, str)]
    videos = [clip.frames for kind, clip in media if kind == "video"]
    images = [clip.frames[0] for kind, clip in media if kind == "image"]
    inputs = loaded.processor(
        text=[f"USER: {text} ASSISTANT:"],
        videos=videos or None,
        images=images or None,
        return_tensors="pt",
    )
    with torch.inference_mode():
        sequence = loaded.model.generate(
            **inputs,
            max_new_tokens=settings.max_new_tokens,
            do_sample=False,
            pad_token_id=loaded.processor.tokenizer.pad_token_id,
        )
    return list(sequence[0, inputs["input_ids"].shape[1] :].tolist())


def requests_of(runner: ModelRunner, turns: dict[str, Turn], **changes: Any) -> list[Request]:
    """Prepare each clip once and return one request per turn."""
    prepared = {}
    for piece in itertools.chain.from_iterable(turns.values()):
        if not isinstance(piece, str):
            prepared[id(piece[1])] = runner.prepare(*piece)
    fields = {"settings": SETTINGS, **changes}
    return [
        make_request(
            *(piece if isinstance(piece, str) else prepared[id(piece[1])] for piece in turn),
            name=name,
            **fields,
        )
        for name, turn in turns.items()
    ]


def run(runner: ModelRunner, requests: Sequence[Request]) -> dict[str, Generation]:
    return {request.id: generation for request, generation in runner.generate(requests)}


def plain_losses(loaded: LoadedModel, turn: Turn, options: Sequence[str]) -> list[float]:
    """Return the loss that the model itself computes from labels, option by option."""
    text = "".join(piece if isinstance(piece, str) else f"<{piece[0]}>\n" for piece in turn)
    videos = [piece[1].frames for piece in turn if not isinstance(piece, str)]
    losses = []
    for option in options:
        asked, whole = (
            loaded.processor(
                text=[f"USER: {text} ASSISTANT:{end}"], videos=videos or None, return_tensors="pt"
            )
            for end in ("", f" {option}</s>")
        )
        labels = whole["input_ids"].clone()
        labels[:, : asked["input_ids"].shape[1]] = -100
        with torch.inference_mode():
            losses.append(float(loaded.model(**whole, labels=labels).loss))
    return losses


OPTIONS = ("red", "a much longer answer", "blue circle", "B")


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}, {"batch_size": 3}, {"share_prefixes": False}])
def test_likelihoods_are_the_models_own_losses(loaded: LoadedModel, limits: dict[str, Any]) -> None:
    turns = {name: TURNS[name] for name in ("four 0", "four 1", "sixteen 2", "text")}
    runner = ModelRunner(loaded, PLAIN, **limits)
    done = run(runner, requests_of(runner, turns, options=OPTIONS))
    for name, turn in turns.items():
        expected = plain_losses(loaded, turn, OPTIONS)
        assert done[name].option_losses == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert done[name].text == OPTIONS[expected.index(min(expected))]


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}, {"share_prefixes": False}])
def test_logits_are_made_for_options_alone(loaded: LoadedModel, limits: dict[str, Any]) -> None:
    """Those of thousands of visual tokens, each as long as the vocabulary, are gigabytes."""
    copied = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    lengths = []

    def note(_: Any, __: Any, output: torch.Tensor) -> None:  # (B, S, vocabulary)
        lengths.append(output.shape[1])

    copied.model.get_output_embeddings().register_forward_hook(note)
    turn = TURNS["sixteen 0"]
    runner = ModelRunner(copied, PLAIN, **limits)
    run(runner, requests_of(runner, {"sixteen 0": turn}, options=OPTIONS))
    longest = max(len(loaded.tokenizer.tokenize(f" {option}</s>")) for option in OPTIONS)
    assert max(lengths) == longest + 1


@pytest.mark.slow
def test_a_model_that_makes_all_logits_gives_the_same_likelihoods(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Qwen2.5-Omni, VideoLLaMA 3 and MiniCPM-V do: their forward takes no number to keep."""
    copied = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    original = copied.model.forward

    def forward(**inputs: Any) -> Any:
        assert inputs.pop("logits_to_keep", 1) == 1  # of generate, in the trial
        return original(**inputs)

    monkeypatch.setattr(copied.model, "forward", forward)
    turns = {name: TURNS[name] for name in ("four 0", "text")}
    runner = ModelRunner(copied, PLAIN)
    done = run(runner, requests_of(runner, turns, options=OPTIONS))
    for name, turn in turns.items():
        expected = plain_losses(loaded, turn, OPTIONS)
        assert done[name].option_losses == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_an_option_has_all_its_tokens_behind_a_prompt_that_ends_in_a_space(
    loaded: LoadedModel,
) -> None:
    """With an option the text is the same; its first token is then the space's too."""
    spaced = ConversationConfig("spaced", "{system}USER: {user} ASSISTANT: {prefill}")
    turns = {name: TURNS[name] for name in ("four 0", "four 1", "text")}
    runner = ModelRunner(loaded, spaced)
    done = run(runner, requests_of(runner, turns, options=OPTIONS))
    for name, turn in turns.items():
        expected = plain_losses(loaded, turn, OPTIONS)
        assert done[name].option_losses == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_options_and_questions_in_one_call(
    loaded: LoadedModel, batched: dict[str, Generation]
) -> None:
    runner = ModelRunner(loaded, PLAIN)
    requests = requests_of(runner, {"four 0": TURNS["four 0"]})
    asked = dataclasses.replace(requests[0], id="options", options=OPTIONS)
    empty = dataclasses.replace(requests[0], id="empty", options=("",))
    stray = dataclasses.replace(requests[0], id="stray", options=("red", "a <video> tag"))
    done = run(runner, [asked, *requests, empty, stray])
    assert done["four 0"] == batched["four 0"]
    assert len(done["options"].option_losses or ()) == len(OPTIONS)
    assert done["empty"].error == "PromptError: sample empty: option 0 '' has no tokens"
    said = "PromptError: sample stray: its text holds '<video>', which this model reads as a medium"
    assert done["stray"].error == said


@pytest.fixture(scope="module")
def batched(loaded: LoadedModel) -> dict[str, Generation]:
    runner = ModelRunner(loaded, PLAIN)
    return run(runner, requests_of(runner, TURNS))


@pytest.mark.parametrize("name", [name for name in TURNS if name != "two videos"])
def test_same_tokens_as_plain_generate(
    loaded: LoadedModel, batched: dict[str, Generation], name: str
) -> None:
    tokens = plain_generate(loaded, TURNS[name], SETTINGS)
    assert batched[name].error is None
    assert batched[name].num_output_tokens == len(tokens)
    assert batched[name].text == loaded.processor.tokenizer.decode(tokens, skip_special_tokens=True)


def test_videos_of_different_lengths_in_one_prompt(
    loaded: LoadedModel, batched: dict[str, Generation]
) -> None:
    """Held to embeddings put together by hand: the processor takes one frame count at a time."""
    processor, model = loaded.processor, loaded.model
    token = processor.tokenizer.convert_tokens_to_ids("<video>")
    clips = [VIDEO_4[1], VIDEO_16[1]]
    counts = [4 * len(clip) for clip in clips]
    text = "USER: {}\nand{}\ndiffer how? ASSISTANT:".format(*("<video>" * n for n in counts))
    ids = processor.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        embeddings = model.get_input_embeddings()(ids)
        features = []
        for clip in clips:
            pixels = processor.video_processor([clip.frames], return_tensors="pt")
            pooled = model.get_video_features(pixels["pixel_values_videos"]).pooler_output
            features.append(pooled[0].reshape(-1, embeddings.shape[-1]))
        embeddings[ids == token] = torch.cat(features)
        tokens = model.generate(
            inputs_embeds=embeddings,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=SETTINGS.max_new_tokens,
            do_sample=False,
            pad_token_id=processor.tokenizer.pad_token_id,
        )[0]
    expected = processor.tokenizer.decode(tokens, skip_special_tokens=True)
    assert batched["two videos"].text == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [{"batch_size": 3}, {"batch_size": 1}, {"max_batch_tokens": 300}, {"share_prefixes": False}],
)
def test_batches_change_nothing(
    loaded: LoadedModel, batched: dict[str, Generation], limits: dict[str, Any]
) -> None:
    turns = dict(TURNS)
    if not limits.get("share_prefixes", True):
        del turns["two videos"]  # the model's own forward takes one frame count at a time
    runner = ModelRunner(loaded, PLAIN, **limits)
    requests = requests_of(runner, turns)
    random.Random(7).shuffle(requests)
    assert run(runner, requests) == {name: batched[name] for name in turns}


@pytest.mark.parametrize("name", [name for name in TURNS if name != "two videos"])
def test_token_ids_are_the_processors(loaded: LoadedModel, name: str) -> None:
    runner = ModelRunner(loaded, PLAIN)
    (request,) = requests_of(runner, {name: TURNS[name]})
    conversation = Conversation(PLAIN, loaded.processor)
    writer = PromptWriter(loaded, conversation, WholePrompts(loaded.processor, {}))
    (prompt,) = writer.prompts(request)
    media = [piece for piece in TURNS[name] if not isinstance(piece, str)]
    inputs = loaded.processor(
        text=[prompt.text],
        videos=[clip.frames for kind, clip in media if kind == "video"] or None,
        images=[clip.frames[0] for kind, clip in media if kind == "image"] or None,
        return_tensors="pt",
    )
    assert list(prompt.token_ids) == inputs["input_ids"][0].tolist()
    assert inputs["input_ids"].shape[1] == prompt.token_ids.__len__()


def test_pixel_values_are_the_processors(loaded: LoadedModel) -> None:
    prepared = ModelRunner(loaded, PLAIN).prepare(*VIDEO_16)
    assert prepared.inputs["pixel_values_videos"].dtype == torch.uint8
    finished = FeaturePrefixes(loaded).inputs([prepared])["pixel_values_videos"]
    direct = loaded.processor.video_processor([VIDEO_16[1].frames], return_tensors="pt")
    assert torch.equal(finished, direct["pixel_values_videos"])


def test_the_vision_tower_is_shown_at_most_128_frames_at_once(loaded: LoadedModel) -> None:
    runner = ModelRunner(loaded, PLAIN)
    videos = [runner.prepare("video", make_clip(43, size=(28, 28)))] * 3
    shown: list[int] = []  # 3 x 43 frames are 129
    hook = loaded.model.model.vision_tower.register_forward_pre_hook(
        lambda tower, pixels: shown.append(len(pixels[0]))
    )
    with hook, torch.inference_mode():
        FeaturePrefixes(loaded).encode(videos)
    assert shown == [86, 43]


def test_frames_that_were_resized_before_give_the_same(loaded: LoadedModel) -> None:
    runner = ModelRunner(loaded, PLAIN)
    resize = runner.frame_preprocessor
    assert resize is not None
    frames = resize.prepare(VIDEO_16[1].frames)
    clip = dataclasses.replace(VIDEO_16[1], frames=frames, is_resized=True)
    before, after = runner.prepare("video", clip), runner.prepare(*VIDEO_16)
    assert before.token_ids == after.token_ids
    assert torch.equal(before.inputs["pixel_values_videos"], after.inputs["pixel_values_videos"])


@pytest.mark.slow
def test_a_sampled_text_depends_on_its_sample_alone(loaded: LoadedModel) -> None:
    settings = GenerationSettings(max_new_tokens=10, temperature=3.0, top_p=0.95, seed=3)
    turns = {name: TURNS[name] for name in ("four 0", "four 1", "sixteen 0", "text")}
    runner = ModelRunner(loaded, PLAIN)
    requests = requests_of(runner, turns, settings=settings)
    together = run(runner, requests)
    assert run(runner, requests[::-1]) == together
    for request in requests:
        assert run(runner, [request]) == {request.id: together[request.id]}
    other = dataclasses.replace(settings, seed=4)
    assert run(runner, requests_of(runner, turns, settings=other)) != together


@pytest.mark.slow
def test_one_bad_request_takes_no_other_with_it(
    loaded: LoadedModel, batched: dict[str, Generation]
) -> None:
    runner = ModelRunner(loaded, PLAIN)
    requests = requests_of(runner, TURNS)
    stray = make_request("What is <video>?", name="stray", settings=SETTINGS)
    long = make_request("word " * 5000, name="long", settings=SETTINGS)
    done = run(runner, [*requests[:3], stray, long, *requests[3:]])
    assert done.pop("stray").error == (
        "PromptError: sample stray: its text holds '<video>', which this model reads as a medium"
    )
    assert "exceed the model's context" in str(done.pop("long").error)
    assert done == batched


@pytest.mark.slow
def test_a_failing_forward_pass_fails_its_sample_only(
    loaded: LoadedModel, batched: dict[str, Generation]
) -> None:
    runner = ModelRunner(loaded, PLAIN)
    requests = requests_of(runner, TURNS)
    broken = runner.prepare("image", make_clip(1, seed=8))
    wrong = dataclasses.replace(broken, token_ids=broken.token_ids[:-1])
    bad = make_request(wrong, "What?", name="bad", settings=SETTINGS)
    done = run(runner, [*requests, bad])
    assert "placeholder tokens but" in str(done.pop("bad").error)
    assert done == batched


@pytest.mark.slow
def test_running_out_of_memory_halves_the_batch_and_loses_nothing(
    loaded: LoadedModel, batched: dict[str, Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ModelRunner(loaded, PLAIN)
    requests = requests_of(runner, TURNS)
    original = loaded.model.generate

    def generate(*arguments: Any, **named: Any) -> Any:
        if named["input_ids"].shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (as on a small device)")
        return original(*arguments, **named)

    monkeypatch.setattr(loaded.model, "generate", generate)
    assert run(runner, requests) == batched
    assert runner.batch_size <= 2


def test_a_question_that_takes_all_memory_alone_says_nothing_of_batches(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ModelRunner(loaded, PLAIN, batch_size=8)

    def generate(*arguments: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory (as on a small device)")

    monkeypatch.setattr(loaded.model, "generate", generate)
    (answer,) = run(runner, requests_of(runner, {"text": TURNS["text"]})).values()
    assert "CUDA out of memory" in (answer.error or "")
    assert runner.batch_size == 8


@pytest.mark.slow
def test_what_ran_out_of_memory_is_free_when_its_parts_are_asked(
    loaded: LoadedModel, batched: dict[str, Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback that is kept holds every tensor of the batch that did not fit."""
    language_model = loaded.model.model.language_model
    original = language_model.forward
    too_large: list[weakref.ref[torch.Tensor]] = []
    held: list[bool] = []

    def forward(*arguments: Any, inputs_embeds: torch.Tensor, **named: Any) -> Any:
        if inputs_embeds.shape[0] > 2:
            too_large.append(weakref.ref(inputs_embeds))
            raise torch.OutOfMemoryError("CUDA out of memory (as on a small device)")
        held.append(any(tensor() is not None for tensor in too_large))
        return original(*arguments, inputs_embeds=inputs_embeds, **named)

    monkeypatch.setattr(language_model, "forward", forward)
    runner = ModelRunner(loaded, PLAIN)
    assert run(runner, requests_of(runner, TURNS)) == batched
    assert too_large
    assert not any(held)


def test_a_batchs_cache_is_free_when_the_next_one_is_made(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = DynamicCache.batch_select_indices
    made: list[weakref.ref[DynamicCache]] = []
    held: list[bool] = []

    def select(cache: DynamicCache, indices: torch.Tensor) -> None:
        held.append(any(earlier() is not None for earlier in made))
        original(cache, indices)
        made.append(weakref.ref(cache))

    runner = ModelRunner(loaded, CHAT, batch_size=1)
    video = runner.prepare(*VIDEO_4)
    settings = GenerationSettings(max_new_tokens=1)
    monkeypatch.setattr(DynamicCache, "batch_select_indices", select)
    list(
        runner.generate(
            [make_request(video, text, name=text, settings=settings) for text in ("Why?", "Who?")]
        )
    )
    assert held
    assert not any(held)


@pytest.mark.slow
def test_running_out_of_memory_in_the_first_trial_loses_nothing(
    loaded: LoadedModel, batched: dict[str, Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    untried = load_model(loaded.plan)
    original = untried.model.forward

    @functools.wraps(original)
    def forward(*arguments: Any, **named: Any) -> Any:
        if named["input_ids"].shape[0] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory (as on a small device)")
        return original(*arguments, **named)

    monkeypatch.setattr(untried.model, "forward", forward)
    runner = ModelRunner(untried, PLAIN)
    assert run(runner, requests_of(runner, TURNS)) == batched


def test_stop_strings_cut_the_text(loaded: LoadedModel, batched: dict[str, Generation]) -> None:
    runner = ModelRunner(loaded, PLAIN)
    whole, name = max((text.text or "", name) for name, text in batched.items())
    stop = whole[len(whole) // 2 :][:2]
    assert stop
    settings = GenerationSettings(max_new_tokens=10, stop_strings=(stop,))
    done = run(runner, requests_of(runner, {name: TURNS[name]}, settings=settings))[name]
    assert done.text == whole[: whole.index(stop)]
    assert done.stop_reason == "stop_string"


@pytest.mark.slow
def test_what_a_stop_string_ends_has_its_own_tokens_in_any_batch(loaded: LoadedModel) -> None:
    # The prompt ends in "ASSISTANT:", and a stop string may begin there.
    turns = {name: TURNS[name] for name in TURNS if name.startswith(("four", "sixteen"))}
    plain = ModelRunner(loaded, PLAIN, share_prefixes=False)
    texts = {name: done.text or "" for name, done in run(plain, requests_of(plain, turns)).items()}
    first = sorted({text[:2] for text in texts.values()})[0]
    for stop in (first, f":{first}"):
        settings = GenerationSettings(max_new_tokens=10, stop_strings=(stop,))
        alone = run(plain, requests_of(plain, turns, settings=settings))
        runner = ModelRunner(loaded, PLAIN)
        assert run(runner, requests_of(runner, turns, settings=settings)) == alone
        stopped = {done.num_output_tokens for done in alone.values() if done.stop_reason != "eos"}
        reasons = [alone[name].stop_reason for name in turns if texts[name].startswith(first)]
        assert set(reasons) == {"stop_string"}
        assert stopped == {1}
        assert len(reasons) < len(turns)


def test_threads_are_a_runs_own(loaded: LoadedModel) -> None:
    before = torch.get_num_threads()
    runner = ModelRunner(loaded, CHAT, num_threads=before + 1)
    assert torch.get_num_threads() == before + 1
    runner.close()
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinities")
def test_threads_are_no_more_than_the_cores_that_a_job_leaves(loaded: LoadedModel) -> None:
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(2)
    try:
        runner = ModelRunner(loaded, CHAT)
        assert torch.get_num_threads() == 1
        runner.close()
        assert torch.get_num_threads() == 2
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def test_the_first_prompt_and_the_guards_are_kept(loaded: LoadedModel) -> None:
    runner = ModelRunner(loaded, CHAT)
    run(runner, requests_of(runner, {"four 0": TURNS["four 0"]}))
    assert runner.first_prompt == "USER: <video>\nWhat is shown? ASSISTANT:"
    assert runner.guards["padding_side"] == "left"
    assert runner.guards["video_tokens"] == 16
    assert runner.guards["video_pixel_shape"] == [1, 4, 3, 56, 56]
    assert runner.guards["shared_prefix_logit_difference"] < 1e-4


def plain_passes(loaded: LoadedModel, offset: float = 0.0) -> tuple[LoadedModel, list[Any]]:
    """Return a copy of a model that takes note of forward passes with pixels or their features.

    Args:
        loaded: the model.
        offset: added to the first logit of those passes only.
    """
    copied = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    noted: list[Any] = []

    def note(_: Any, __: Any, inputs: dict[str, Any], output: Any) -> None:
        has_pixels = any(name.startswith("pixel_values") for name in inputs)
        if has_pixels or inputs.get("mm_encoder_outputs"):
            noted.append(sorted(inputs))
            output.logits[..., 0] += offset

    copied.model.register_forward_hook(note, with_kwargs=True)
    return copied, noted


def test_a_model_that_cannot_be_put_together_from_parts_ends_the_run(loaded: LoadedModel) -> None:
    other, _ = plain_passes(loaded, offset=3.0)
    runner = ModelRunner(other, PLAIN, share_prefixes=True)
    with pytest.raises(CheckpointError, match=r"plain forward pass by .*share_prefixes=false"):
        run(runner, requests_of(runner, {"four 0": TURNS["four 0"]}))


@pytest.mark.slow
def test_parts_are_held_to_the_whole_once_a_model_and_kind(loaded: LoadedModel) -> None:
    other, noted = plain_passes(loaded)
    expected = []
    for name, num_passes in (("four 0", 1), ("alone", 1), ("image 0", 2), ("four 0", 2)):
        runner = ModelRunner(other, PLAIN)
        run(runner, requests_of(runner, {name: TURNS[name]}))
        expected.append(runner.guards["shared_prefix_logit_difference"])
        assert len(noted) == num_passes
    assert expected[0] == expected[1] == expected[3]


@pytest.mark.slow
def test_frames_as_images_share_prefixes(loaded: LoadedModel) -> None:
    as_images = dataclasses.replace(loaded.plan, shows_images=True)
    runner = ModelRunner(dataclasses.replace(loaded, plan=as_images), PLAIN)
    turns: dict[str, Turn] = {text: (VIDEO_4, text) for text in ("What is shown?", "Why?")}
    answers = run(runner, requests_of(runner, turns))
    way = "shared prefixes by the model's own forward pass, any rows, padded"
    assert runner.settings()["prompts_asked_as"] == {"images": way}
    _, clip = VIDEO_4
    images: Turn = tuple(("image", clip.frame(row)) for row in range(len(clip)))
    for question, answer in answers.items():
        expected = plain_generate(loaded, (*images, question), SETTINGS)
        assert answer.text == loaded.tokenizer.decode(expected, skip_special_tokens=True)


def test_a_checkpoint_that_no_prompt_can_be_made_for_ends_the_run(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.processor, "chat_template", None)
    runner = ModelRunner(loaded, CHAT)
    with pytest.raises(CheckpointError, match="brings no chat template"):
        run(runner, requests_of(runner, {"text": TURNS["text"]}))


def test_frames_of_a_size_that_the_tower_does_not_take(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_processor = loaded.processor.video_processor
    monkeypatch.setattr(video_processor, "size", SizeDict(shortest_edge=28))
    monkeypatch.setattr(video_processor, "crop_size", SizeDict(height=28, width=28))
    with pytest.raises(CheckpointError, match=r"28x28 pixels, but the vision tower takes 56x56"):
        ModelRunner(loaded, PLAIN).prepare(*VIDEO_4)


@pytest.mark.parametrize("settings", [{}, slow({"batch_size": 1}), slow({"share_prefixes": False})])
@pytest.mark.parametrize("temperature", [0.0, slow(1.5)])
def test_letters_have_the_models_own_logprobs_on_every_path(
    loaded: LoadedModel, settings: dict[str, Any], temperature: float
) -> None:
    runner = ModelRunner(loaded, PLAIN, **settings)
    turns = {name: TURNS[name] for name in ("sixteen 0", "sixteen 1", "four 0", "alone", "text")}
    asked = requests_of(
        runner, turns, settings=dataclasses.replace(SETTINGS, temperature=temperature)
    )
    requests = [dataclasses.replace(one, letters=("A", "B", "D")) for one in asked]
    requests[-1] = asked[-1]  # one without options among them
    found = run(runner, requests)
    assert found["text"].choice_logprobs is None
    vocabulary = loaded.tokenizer.get_vocab()
    ids = [
        [number for piece, number in vocabulary.items() if piece.strip("Ġ▁ ") == letter]
        for letter in ("A", "B", "D")
    ]
    for request in requests[:-1]:
        turn = TURNS[request.id]
        text = "".join(piece if isinstance(piece, str) else f"<{piece[0]}>\n" for piece in turn)
        videos = [piece[1].frames for piece in turn if not isinstance(piece, str)]
        inputs = loaded.processor(
            text=[f"USER: {text} ASSISTANT:"], videos=videos, return_tensors="pt"
        )
        with torch.inference_mode():
            logprobs = loaded.model(**inputs).logits[0, -1].log_softmax(-1)
        exact = [float(logprobs[one].max()) for one in ids]
        assert found[request.id].choice_logprobs == pytest.approx(exact, abs=2e-3)


def test_letters_cost_nothing_where_they_are_not_asked_for(loaded: LoadedModel) -> None:
    runner = ModelRunner(loaded, PLAIN)
    requests = requests_of(runner, {name: TURNS[name] for name in ("sixteen 0", "four 0")})
    with_letters = [dataclasses.replace(one, letters=("A", "B")) for one in requests]
    plain, kept = run(runner, requests), run(runner, with_letters)
    for name, generation in plain.items():
        assert generation.choice_logprobs is None
        assert dataclasses.replace(kept[name], choice_logprobs=None) == generation
    strange = [dataclasses.replace(requests[0], letters=("§§",))]
    with pytest.raises(CheckpointError, match="no token for the option letter '§§'"):
        run(ModelRunner(loaded, PLAIN), strange)
