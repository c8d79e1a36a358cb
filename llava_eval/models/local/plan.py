"""Plans which model runs and how: decided and checked before its weights are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoConfig, GenerationConfig, GenerationMixin
from transformers.generation.utils import GENERATION_MODES_MAPPING
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, RopeParameters
from transformers.modeling_utils import get_state_dict_dtype, load_state_dict
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.quantizers.auto import AutoQuantizationConfig
from transformers.utils import CONFIG_NAME, GENERATION_CONFIG_NAME

from llava_eval.config.schema import ModelConfig, QuantizationConfig
from llava_eval.errors import CheckpointError, first_line
from llava_eval.models.local.checkpoint import CheckpointFolder, with_code_elsewhere
from llava_eval.models.local.hardware import (
    ALL_GPUS,
    AttentionChoice,
    choose_attention,
    choose_device,
    choose_dtype,
    device_name,
    free_bytes,
)
from llava_eval.models.local.quantization import describe_quantization, quantization_config

#: Settings of a checkpoint's generation_config.json for tokens that begin, end or pad a text, or
#: must not occur in it. They belong to the model's format and hold under every protocol.
TOKEN_SETTINGS = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id"),
    *("suppress_tokens", "begin_suppress_tokens", "bad_words_ids"),
)


@dataclass(frozen=True)
class ModelPlan:
    """All decisions on which model runs and how, made before its weights are read.

    Attributes:
        checkpoint: the checkpoint's folder.
        device, dtype: device and precision of the model.
        is_spread: its layers are spread over all GPUs; ``device`` receives its inputs.
        attention: the attention implementation, and the reason for it.
        quantization: how weights are quantized.
        stored_dtype: precision of the weights in their files, if config.json states it.
        stored_quantization: method of a checkpoint whose weights are already quantized.
        rope_scaling: entries that replace those of the RoPE parameters.
        processor: settings that replace those of the image and video processor.
        generation_settings: settings of the checkpoint's generation_config.json except for tokens.
        unstated_generation_settings: those of them that change a text and that no protocol sets
            (a repetition penalty).
        kept_generation_settings: the latter, if they apply in addition to the protocol's.
        shows_images: show each frame of a video as an image of its own.
        trust_remote_code: run code from the checkpoint's folder.
    """

    checkpoint: CheckpointFolder
    device: torch.device
    dtype: torch.dtype
    attention: AttentionChoice
    quantization: QuantizationConfig
    rope_scaling: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)
    generation_settings: Mapping[str, Any] = field(default_factory=dict)
    unstated_generation_settings: Mapping[str, Any] = field(default_factory=dict)
    kept_generation_settings: Mapping[str, Any] = field(default_factory=dict)
    is_spread: bool = False
    shows_images: bool = False
    trust_remote_code: bool = False
    stored_dtype: torch.dtype | None = None
    stored_quantization: str | None = None

    @property
    def devices(self) -> list[torch.device]:
        """The devices on which its layers may be placed."""
        if not self.is_spread:
            return [self.device]
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]

    @property
    def is_quantized(self) -> bool:
        """Whether the model has quantized weights, by us or in the checkpoint."""
        return self.quantization.method is not None or self.stored_quantization is not None

    @property
    def memory_warning(self) -> str | None:
        """A warning if the weights are larger than the device's free memory, else None."""
        needed, free = self.checkpoint.weights_bytes, sum(map(free_bytes, self.devices))
        if self.stored_dtype is not None and self.stored_quantization is None:
            needed = needed * self.dtype.itemsize // self.stored_dtype.itemsize
        if needed <= free or self.quantization.method is not None:
            return None
        hint = f"; model.device={ALL_GPUS} spreads them where there are several GPUs"
        if self.is_spread or self.device.type != "cuda":
            hint = ""
        return (
            f"the weights take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on "
            f"{' and '.join(map(device_name, self.devices))}{hint}"
        )

    def identity(self) -> dict[str, Any]:
        """Return everything about the model that can change a generation, for a run's identity."""
        model: dict[str, Any] = {
            "dtype": str(self.dtype),
            "attention": self.attention.implementation,
            "rope_scaling": dict(self.rope_scaling),
            "quantization": describe_quantization(self.quantization),
        }
        if self.processor:
            model["processor"] = dict(self.processor)
        if self.unstated_generation_settings:
            kept = "kept" if self.kept_generation_settings else "dropped"
            model["generation_settings"] = {kept: dict(self.unstated_generation_settings)}
        if self.shows_images:
            model["video_as"] = "images"
        return {"checkpoint_files": dict(self.checkpoint.file_sha256), "model": model}


def plan_checkpoint(
    checkpoint: CheckpointFolder,
    model: ModelConfig,
    quantization: QuantizationConfig | None = None,
    *,
    keeps_generation_settings: bool = False,
) -> ModelPlan:
    """Make all choices that are left open, and check everything that needs no weights.

    Args:
        checkpoint: the checkpoint's folder.
        model: how to load it; settings that are ``auto`` are chosen here.
        quantization: how to quantize weights; None for not at all.
        keeps_generation_settings: apply the checkpoint's settings that no protocol sets.

    Raises:
        CheckpointError: the checkpoint is not supported, or cannot run as configured here.
    """
    config = read_config(checkpoint, model.trust_remote_code)
    own = getattr(config, "auto_map", {}) if model.trust_remote_code else {}
    known = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if config.model_type not in known and "AutoModelForImageTextToText" not in own:
        raise CheckpointError(
            f"{checkpoint.name} is a {config.model_type!r} checkpoint; expected an "
            "image-text-to-text model of transformers such as 'llava_next_video', or an auto_map "
            "with AutoModelForImageTextToText"
        )
    if model.trust_remote_code:
        checkpoint = with_code_elsewhere(checkpoint)
    if (checkpoint.path / "adapter_config.json").is_file() and find_spec("peft") is None:
        raise CheckpointError(
            f"{checkpoint.name} brings an adapter (adapter_config.json), which would be left out: "
            "it needs peft, which is not installed (pip install peft)"
        )
    if model.rope_scaling:
        scaled_rope(config, model.rope_scaling)
    device = choose_device(model.device)
    if config.dtype is None:
        config.dtype = dtype_of_weights(checkpoint)
    dtype = choose_dtype(model.dtype, device, config)
    quantization = quantization or QuantizationConfig(name="none")
    quantization_config(quantization, dtype, device)
    width, size = getattr(config.get_text_config(), "hidden_size", 0), quantization.group_size
    if quantization.method == "torchao_int4" and (size < 1 or width % size):
        raise CheckpointError(
            f"{checkpoint.name}: quantization.group_size={size} does not divide "
            f"the hidden size of its language model, {width}"
        )
    stored = getattr(config, "quantization_config", None)
    stored_quantization = str(stored.get("quant_method", "bitsandbytes")) if stored else None
    if stored_quantization is not None and quantization.method is not None:
        raise CheckpointError(
            f"{checkpoint.name} is quantized already ({stored_quantization}), so quantization="
            f"{quantization.name} would change nothing; name a checkpoint with plain weights, or "
            "leave quantization out"
        )
    settings, unstated = _generation_settings(checkpoint, config, keeps=keeps_generation_settings)
    return ModelPlan(
        checkpoint,
        device,
        dtype,
        choose_attention(model.attention, device, dtype),
        quantization,
        dict(model.rope_scaling or {}),
        dict(model.processor),
        generation_settings=settings,
        unstated_generation_settings=unstated,
        kept_generation_settings=unstated if keeps_generation_settings else {},
        is_spread=model.device == ALL_GPUS,
        shows_images=model.video_as == "images",
        trust_remote_code=model.trust_remote_code,
        stored_dtype=config.dtype if isinstance(config.dtype, torch.dtype) else None,
        stored_quantization=stored_quantization,
    )


def dtype_of_weights(checkpoint: CheckpointFolder) -> torch.dtype | None:
    """Return the first dtype in a checkpoint's weights, as ``dtype="auto"`` of transformers does.

    Raises:
        CheckpointError: the weights are damaged.
    """
    for name in checkpoint.model_files[:1]:
        with foreign_code(f"{checkpoint.name}: {name} cannot be read"):
            weights = load_state_dict(checkpoint.path / name, map_location="meta")
            found: torch.dtype = get_state_dict_dtype(weights)
            return found
    return None


def read_config(checkpoint: CheckpointFolder, trust_remote_code: bool) -> Any:
    """Return a checkpoint's configuration.

    Raises:
        CheckpointError: config.json is damaged or of an unknown kind.
    """
    with foreign_code(f"{checkpoint.name}: config.json cannot be used"):
        config = AutoConfig.from_pretrained(checkpoint.path, trust_remote_code=trust_remote_code)
        inner = getattr(config.get_text_config(decoder=True), "quantization_config", None)
        stored = getattr(config, "quantization_config", None) or inner  # as transformers looks
        if stored:  # raises for an unknown method, whose scales transformers would silently ignore
            AutoQuantizationConfig.from_dict(dict(stored))
            config.quantization_config = stored
        rope = getattr(config.get_text_config(decoder=True), "rope_parameters", None) or {}
        for each in (rope, *rope.values()):  # for all layers, or for each type of layer
            theta = each.get("rope_theta") if isinstance(each, dict) else None
            if isinstance(theta, int | float) and not theta > 0:  # all logits would be NaN
                raise ValueError(f"rope_theta is {theta}, expected more than 0")
        return config


def scaled_rope(config: Any, scaling: Mapping[str, Any]) -> dict[str, Any]:
    """Return the RoPE parameters with these entries replaced.

    Raises:
        CheckpointError: transformers would refuse them, or silently ignore them.
    """
    stored = getattr(config.get_text_config(), "rope_parameters", None)
    if stored is None:
        raise CheckpointError("model.rope_scaling: this checkpoint has no rotary positions")
    kinds = _kinds_of_layers(stored)
    if not kinds:
        return _scaled(stored, scaling)
    for name, value in scaling.items():
        if name not in kinds or not isinstance(value, dict):
            raise CheckpointError(
                f"model.rope_scaling: {name} is no kind of this checkpoint's layers; expected "
                f"entries of {' or '.join(kinds)}, for instance {rope_example(config)}"
            )
    return {**stored, **{name: _scaled(stored[name], value) for name, value in scaling.items()}}


def rope_example(config: Any) -> str:
    """Return a command-line setting that extends the context of a checkpoint with RoPE."""
    stored = getattr(config.get_text_config(), "rope_parameters", None) or {}
    linear = "{rope_type: linear, factor: 2.0}"
    whole = [f"{kind}: {linear}" for kind in _kinds_of_layers(stored) if "sliding" not in kind]
    return f"model.rope_scaling='{f'{{{whole[0]}}}' if whole else linear}'"


def _kinds_of_layers(rope: Mapping[str, Any]) -> list[str]:
    return [name for name, value in rope.items() if isinstance(value, dict)]


def _scaled(stored: Mapping[str, Any], scaling: Mapping[str, Any]) -> dict[str, Any]:
    rope = {**stored, **scaling}
    for key in scaling.keys() - stored.keys() - RopeParameters.__annotations__.keys():
        known = ", ".join(RopeParameters.__annotations__)
        raise CheckpointError(f"model.rope_scaling: unknown key {key!r}; known: {known}")
    kind = rope.get("rope_type", "default")
    if kind not in ("default", *ROPE_INIT_FUNCTIONS):
        raise CheckpointError(
            f"model.rope_scaling: unknown rope_type {kind!r}; known: "
            f"default, {', '.join(ROPE_INIT_FUNCTIONS)}"
        )
    for key in ("factor", "rope_theta"):
        value = rope.get(key, 1.0)
        if not isinstance(value, int | float) or not value > 0:
            raise CheckpointError(f"model.rope_scaling: {key} is {value!r}, expected more than 0")
    if kind == "default" and "factor" in scaling:
        raise CheckpointError(
            "model.rope_scaling: a factor changes nothing without a rope_type such as linear"
        )
    return rope


def _generation_settings(
    checkpoint: CheckpointFolder, config: Any, *, keeps: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a checkpoint's generation settings except for tokens, and those that change a text.

    A checkpoint may set a temperature or a repetition penalty that would silently change scores;
    how to generate is decided by the protocol.

    Raises:
        CheckpointError: the file is damaged, or a setting that applies cannot be used.
    """
    is_apart = (checkpoint.path / GENERATION_CONFIG_NAME).exists()
    # As in transformers; AutoConfig drops such settings of config.json.
    file = GENERATION_CONFIG_NAME if is_apart else CONFIG_NAME
    with foreign_code(f"{checkpoint.name}: {file} cannot be used"):
        stored = GenerationConfig.from_pretrained(
            checkpoint.path, config_file_name=file, _from_model_config=not is_apart
        )
        settings: dict[str, Any] = json.loads(stored.to_json_string(ignore_metadata=True))
        for name, value in settings.items():
            if name in TOKEN_SETTINGS and name.endswith("_id"):
                ids = value if isinstance(value, list) else [value]
                if not all(type(item) is int for item in ids):
                    raise ValueError(f"{name} is {value!r}, expected a token's number, or several")
    own = {name: value for name, value in settings.items() if name not in TOKEN_SETTINGS}
    changing = dict(own)
    for name, value in settings.items():
        problem = f"{checkpoint.name}: {name}={value!r} of its {file}"
        is_in_force = keeps or name in TOKEN_SETTINGS
        # An unusable setting is an error only if it applies.
        with foreign_code(problem) if is_in_force else suppress(Exception):
            if not _changes_texts(name, getattr(stored, name), config):
                changing.pop(name, None)
    return own, changing


def _changes_texts(name: str, value: Any, config: Any) -> bool:
    """Return whether a setting has an effect on greedy decoding with ``generate``.

    Raises:
        Exception: an exception that ``generate`` would raise for each sample.
    """
    wanted = GenerationConfig(max_length=3, top_k=50)  # defaults of ``generate``
    setattr(wanted, name, value)
    search = wanted.get_generation_mode()
    if "/" in GENERATION_MODES_MAPPING[search]:
        raise ValueError(
            f"asks for {search.value}, which transformers leaves to code on the hub; "
            "set model.generation_settings=protocol"
        )
    wanted.do_sample, wanted._eos_token_tensor = False, torch.tensor([0])
    generating: Any = GenerationMixin()
    generating.config, text = config, config.get_text_config()
    tokens = torch.zeros((1, 2), dtype=torch.long)
    made = generating._get_logits_processor(
        wanted, input_ids_seq_length=2, encoder_input_ids=tokens, device="cpu"
    )
    size = getattr(text, "vocab_size", 1 << 20) + getattr(text, "additional_vocab_size", 0)
    if name == "guidance_scale":  # its processor would call the model
        float(value)
    else:
        made(tokens, torch.zeros((1, size)))
    return bool(made)


@contextmanager
def foreign_code(problem: str) -> Iterator[None]:
    """Turn any exception of transformers or of a checkpoint's own code into an error of one line.

    Args:
        problem: what failed; the message adds the cause.

    Raises:
        CheckpointError: the block raised an exception.
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # foreign code reads files with any content
        message, kind = first_line(error), type(error).__name__
        is_usual = isinstance(error, OSError | ValueError | RuntimeError | ImportError)
        cause = message if is_usual or message == kind else f"{kind}: {message}"
        if "contains custom code" in message:
            cause += "; model.trust_remote_code=true runs it"
        raise CheckpointError(f"{problem}: {cause}") from error
