"""What is known of a model by its configuration, of real classes of transformers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import yaml
from transformers import (
    Blip2Config,
    BlipConfig,
    Gemma3Config,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    OPTConfig,
    PretrainedConfig,
    T5Config,
)

from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import CheckpointFolder
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.plan import rope_example, scaled_rope


def loaded(config: PretrainedConfig | None = None, **parts: Any) -> LoadedModel:
    """Return a model of which only its configuration, or some parts, are there."""
    model = SimpleNamespace(config=config or LlamaConfig(), **parts)
    unknown: Any = None
    return LoadedModel(model, unknown, unknown, unknown)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlamaConfig(), False),
        (LlavaConfig(), False),
        (T5Config(), True),
        (Blip2Config(text_config=OPTConfig().to_dict()), False),
        (Blip2Config(text_config=T5Config().to_dict()), True),
    ],
)
def test_whether_an_encoder_reads_the_prompt(config: PretrainedConfig, expected: bool) -> None:
    assert loaded(config).is_encoder_decoder is expected


def test_a_part_that_keeps_offsets_of_positions_has_a_grid_of_them() -> None:
    tower, text = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert not loaded(modules=torch.nn.Sequential(tower, text).modules).has_grid_positions
    text.register_buffer("rope_deltas", None)  # Qwen2VLModel has one, None before its first prompt
    assert loaded(modules=torch.nn.Sequential(tower, text).modules).has_grid_positions


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        ({"rope_type": "default"}, 4096),
        ({"rope_type": "linear", "factor": 2.0}, 8192),
        ({"rope_type": "dynamic", "factor": 1.5}, 6144),
        # YaRN's and LLaMA 3's files state the stretched length (transformers, modeling_rope_utils).
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}, 4096),
        # Qwen's, and model.rope_scaling, do not (huggingface.co/Qwen/Qwen2.5-7B-Instruct).
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}, 16384),
        # What model.rope_scaling={rope_type: default} leaves of it, and nothing reads.
        ({"rope_type": "default", "factor": 4.0, "original_max_position_embeddings": 4096}, 4096),
    ],
)
def test_the_context_after_scaling(rope: dict[str, Any], expected: int) -> None:
    text = LlamaConfig(max_position_embeddings=4096)
    text.rope_parameters = {"rope_theta": 1e4, **rope}
    assert loaded(text).context_length == expected


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({}, 8192),
        ({"full_attention": {"factor": 16.0}}, 16384),  # twice the 8 of its file
        ({"full_attention": {"rope_type": "default"}}, 8192),
        ({"sliding_attention": {"rope_type": "linear", "factor": 2.0}}, 8192),  # a window as before
    ],
)
def test_the_context_where_kinds_of_layers_have_their_own(
    scaling: dict[str, Any], expected: int, tmp_path: Path
) -> None:
    """Gemma 3's files state the length that is stretched already (131,072, with a factor of 8)."""
    kinds = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    text = {"max_position_embeddings": 8192, "rope_parameters": kinds}
    config = Gemma3Config(text_config=text)
    config.save_pretrained(tmp_path)
    config.get_text_config().rope_parameters = scaled_rope(config, scaling)
    checkpoint = CheckpointFolder(tmp_path, "x", None, ())
    plan = SimpleNamespace(checkpoint=checkpoint, trust_remote_code=False, rope_scaling=scaling)
    model = dataclasses.replace(loaded(config), plan=cast(Any, plan))
    assert model.context_length == expected


def test_a_context_that_is_not_stated_is_not_known() -> None:
    assert loaded(T5Config()).context_length is None


def test_seconds_between_frames_keep_their_precision() -> None:
    plan = SimpleNamespace(device=torch.device("cpu"), dtype=torch.bfloat16)
    model = dataclasses.replace(loaded(), plan=cast(Any, plan))
    seconds = torch.tensor([18.7896])  # 18.75 in bfloat16
    inputs = {"pixel_values_videos": torch.ones(4, 8), "second_per_grid_ts": seconds, "sizes": [2]}
    moved = model.to_device(inputs)
    assert moved["pixel_values_videos"].dtype == torch.bfloat16
    assert torch.equal(moved["second_per_grid_ts"], seconds)
    assert moved["sizes"] == [2]


def test_frequencies_are_set_back_on_the_models_device() -> None:
    class Rotary(torch.nn.Module):
        rope_type = "dynamic"

        def forward(self, states: torch.Tensor, positions: torch.Tensor) -> None:
            seen.append((states.device.type, positions.device.type, positions.dtype))

    seen: list[tuple[str, str, torch.dtype]] = []
    plan = SimpleNamespace(device=torch.device("meta"))  # as "cuda", where one on a CPU is refused
    LoadedModel(Rotary(), None, cast(Any, plan), cast(Any, None)).forget_lengths()
    assert seen == [("meta", "meta", torch.int64)]


@pytest.mark.parametrize(
    ("rope", "said"),
    [
        ({"rope_type": "default"}, None),
        ({"rope_type": "linear", "factor": 2.0}, None),
        ({"rope_type": "dynamic", "factor": 2.0}, "(dynamic)"),
        (
            {"full_attention": {"rope_type": "default"}, "x": {"rope_type": "longrope"}},
            "(longrope)",
        ),
    ],
)
def test_frequencies_that_depend_on_the_length(rope: dict[str, Any], said: str | None) -> None:
    text = LlamaConfig(num_hidden_layers=2)
    text.rope_parameters = rope
    found = loaded(text).length_dependence
    assert (found is None) if said is None else (found or "").endswith(said)


@pytest.mark.parametrize(
    ("stored", "expected"), [(None, set()), (2, {2}), ([2, 7], {2, 7}), (0, {0})]
)
def test_end_tokens(stored: Any, expected: set[int]) -> None:
    config = GenerationConfig(eos_token_id=stored)
    assert loaded(generation_config=config).end_tokens == expected


@pytest.mark.parametrize(
    ("sequence", "prompt", "expected"),
    [
        ([1, 5, 6, 9, 2], [1, 5, 6], [9, 2]),  # with the prompt
        ([9, 2], [1, 5, 6], [9, 2]),  # without it
        ([1, 5, 9, 2], [1, 5, 6], [1, 5, 9, 2]),  # without it, and as long
        ([1, 5, 6], [1, 5, 6], []),
    ],
)
def test_new_tokens(sequence: list[int], prompt: list[int], expected: list[int]) -> None:
    new = loaded().new_tokens(torch.tensor([sequence]), torch.tensor([prompt]))
    assert new.tolist() == [expected]
    # Behind a decoder's first token, whatever the prompt.
    behind = loaded(T5Config()).new_tokens(torch.tensor([sequence]), torch.tensor([prompt]))
    assert behind.tolist() == [sequence[1:]]
    # BLIP's generate gives its decoder the prompt without its last token.
    blip = loaded(BlipConfig()).new_tokens(torch.tensor([sequence]), torch.tensor([prompt]))
    assert blip.tolist() == [sequence[2:]]


def test_rope_of_layers_of_several_kinds() -> None:
    text = LlamaConfig()
    kept = {"rope_type": "default", "rope_theta": 1e4}
    text.rope_parameters = {
        "sliding_attention": kept,
        "full_attention": {**kept, "rope_theta": 1e6},
    }
    linear = {"rope_type": "linear", "factor": 2.0}
    written = "{full_attention: {rope_type: linear, factor: 2.0}}"
    assert rope_example(text) == f"model.rope_scaling='{written}'"
    assert rope_example(LlamaConfig()) == "model.rope_scaling='{rope_type: linear, factor: 2.0}'"
    assert scaled_rope(text, yaml.safe_load(written))["full_attention"]["factor"] == 2.0
    assert scaled_rope(text, {"full_attention": linear}) == {
        "full_attention": {**linear, "rope_theta": 1e6},
        "sliding_attention": kept,
    }
    with pytest.raises(CheckpointError, match="rope_type is no kind of this checkpoint's layers"):
        scaled_rope(text, linear)  # Gemma 3 would not see it
    for wrong in ({"full": linear}, {"full_attention": 2.0}):
        with pytest.raises(CheckpointError, match=r"full.* is no kind of this checkpoint's layers"):
            scaled_rope(text, wrong)
    with pytest.raises(CheckpointError, match="unknown rope_type 'x'"):
        scaled_rope(text, {"full_attention": {"rope_type": "x"}})
    with pytest.raises(CheckpointError, match="no rotary positions"):
        scaled_rope(OPTConfig(), linear)  # its positions are learned


def test_scaled_rope_keeps_what_is_not_replaced() -> None:
    text = LlamaConfig()
    text.rope_parameters = {"rope_type": "default", "rope_theta": 5e5}
    scaling = {"rope_type": "linear", "factor": 2}
    assert scaled_rope(text, scaling) == {"rope_type": "linear", "rope_theta": 5e5, "factor": 2}
    assert scaled_rope(text, {"rope_theta": 1e6}) == {"rope_type": "default", "rope_theta": 1e6}
    assert text.rope_parameters == {"rope_type": "default", "rope_theta": 5e5}
    with pytest.raises(CheckpointError, match=r"unknown key 'rope_typ'; known: .*rope_type, "):
        scaled_rope(text, {"rope_typ": "linear", "factor": 2.0})
    stored: Any = {**text.rope_parameters, "own": 1}  # of a checkpoint with code of its own
    text.rope_parameters = stored
    assert scaled_rope(text, {"own": 2})["own"] == 2
    for factor in (0, -1.0, float("nan"), "2"):
        with pytest.raises(CheckpointError, match=r"expected more than 0$"):
            scaled_rope(text, {"rope_type": "linear", "factor": factor})
        with pytest.raises(CheckpointError, match=r"rope_theta is .*, expected more than 0$"):
            scaled_rope(text, {"rope_theta": factor})
