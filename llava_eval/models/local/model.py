"""Loads a model and its processor as planned, and derives facts about them."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoModelForImageTextToText,
    BatchFeature,
    DynamicCache,
    GenerationConfig,
)
from transformers.cache_utils import DynamicSlidingWindowLayer

from llava_eval.errors import CheckpointError, ForwardError, first_line
from llava_eval.models.local.hardware import device_name, free_memory
from llava_eval.models.local.pixels import FramePreprocessor
from llava_eval.models.local.plan import (
    TOKEN_SETTINGS,
    ModelPlan,
    foreign_code,
    read_config,
    scaled_rope,
)
from llava_eval.models.local.processor import load_processor
from llava_eval.models.local.quantization import (
    check_skipped,
    describe_quantization,
    quantization_config,
    stored_bytes,
)
from llava_eval.types import GenerationSettings, MediaKind

log = logging.getLogger(__name__)

#: RoPE schemes whose factor extends max_position_embeddings; others extend a length that they name.
_STRETCHING_SCHEMES = ("linear", "dynamic")

#: RoPE schemes whose frequencies change with the length of a sequence.
_LENGTH_SCHEMES = ("dynamic", "longrope")

#: Words in the names of settings that contain ids of media placeholder tokens.
_MEDIA_WORDS = ("image", "video", "audio", "img", "vision", "patch")
#: Special tokens around reasoning, such as Gemma 4's <|channel> and Mistral's [THINK].
_REASONING_MARK = re.compile(r"[<\[].*(think|channel).*[>\]]", re.IGNORECASE)
#: Distinguishes a token's id from a number of tokens such as LLaVA's num_additional_image_tokens.
_ID = re.compile(r"tokens?_(id|index)")


@dataclass(frozen=True)
class LoadedModel:
    """A model with its processor.

    Attributes:
        model: the transformers model, in evaluation mode on its device.
        processor: the checkpoint's processor; its tokenizer pads on the left.
        plan: the checkpoint, and how the model runs.
        pixels: preprocesses the frames of a video as the processor does.
    """

    model: Any
    processor: Any
    plan: ModelPlan
    pixels: FramePreprocessor

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def name(self) -> str:
        """The model's class."""
        return type(self.model).__name__

    @property
    def attention(self) -> str:
        """The current attention implementation of its language model."""
        return str(self.model.config.get_text_config()._attn_implementation)

    @cached_property
    def is_encoder_decoder(self) -> bool:
        """Whether an encoder reads the prompt, so that generated sequences do not contain it."""
        config = self.model.config
        inner = getattr(config, "text_config", None)
        return any(getattr(item, "is_encoder_decoder", False) for item in (config, inner))

    @cached_property
    def context_length(self) -> int | None:
        """Context length of the language model in tokens, after RoPE scaling; None if unknown."""
        text = self.model.config.get_text_config()
        stated = getattr(text, "max_position_embeddings", None)
        rope = getattr(text, "rope_parameters", None) or {}
        if stated is None:
            return None
        kinds = [name for name, value in rope.items() if isinstance(value, dict)]  # layer types
        if kinds and self.plan.rope_scaling:  # their files state the extended length (Gemma 3)
            config = read_config(self.plan.checkpoint, self.plan.trust_remote_code)
            before = config.get_text_config().rope_parameters
            whole = [name for name in kinds if "sliding" not in name] or kinds
            stretched = stated * min(_factor(rope[name]) / _factor(before[name]) for name in whole)
        elif rope.get("rope_type") in _STRETCHING_SCHEMES:
            stretched = stated * _factor(rope)
        else:
            stretched = _factor(rope) * (rope.get("original_max_position_embeddings") or 0)
        return max(int(stated), int(stretched))

    @cached_property
    def has_grid_positions(self) -> bool:
        """Whether tokens have positions in time, height and width (M-RoPE)."""
        return any(hasattr(module, "rope_deltas") for module in self.model.modules())

    @cached_property
    def length_dependence(self) -> str | None:
        """Why a prompt's keys and values depend on later tokens or on padding, in words.

        None if they do not. A trial of a few tokens cannot detect it, because it begins only at a
        certain length.
        """
        text = self.model.config.get_text_config()
        rope = getattr(text, "rope_parameters", None) or {}
        schemes = [
            each.get("rope_type") for each in (rope, *rope.values()) if isinstance(each, dict)
        ]
        for scheme in schemes:
            if scheme in _LENGTH_SCHEMES:
                return f"its rotary frequencies depend on the length of the sequence ({scheme})"
        layers = [] if self.is_encoder_decoder else DynamicCache(config=text).layers
        for layer in layers:
            name, home = type(layer).__name__, type(layer).__module__
            if hasattr(layer, "update_indexer"):  # many tokens score 0, and ties are arbitrary
                return f"it attends to a choice of tokens that differs with their number ({name})"
            if getattr(layer, "is_sliding", False) and home != DynamicSlidingWindowLayer.__module__:
                return f"its cache has windows of its own kind ({name})"
        return None

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Ids of the tokens that end a text; empty if the checkpoint names none."""
        stored = self.model.generation_config.eos_token_id
        return frozenset(stored if isinstance(stored, list) else {stored} - {None})

    @cached_property
    def reasoning_marks(self) -> frozenset[int]:
        """Ids of special tokens around reasoning; without them reasoning would look like answer."""
        tokenizer = self.tokenizer
        vocabulary = tokenizer.get_vocab().items()
        marks = [number for token, number in vocabulary if _REASONING_MARK.fullmatch(token)]
        return frozenset(
            number for number in marks if not tokenizer.decode([number], skip_special_tokens=True)
        )

    @cached_property
    def media_token_ids(self) -> frozenset[int]:
        """Ids of all media placeholder tokens in the configuration or the processor."""
        settings = [*self.model.config.to_dict().items(), *vars(self.processor).items()]
        ids: set[int] = set()
        for name, value in settings:
            if "token" not in name or not any(word in name for word in _MEDIA_WORDS):
                continue
            for item in value if isinstance(value, list | tuple) else [value]:
                if isinstance(item, str):
                    ids.add(self.tokenizer.convert_tokens_to_ids(item))
                elif type(item) is int and _ID.search(name):
                    ids.add(item)
        return frozenset(ids)

    def placeholder(self, kind: MediaKind) -> str | None:
        """Return the text that stands for a medium, for instance ``<video>``; None without one."""
        token = getattr(self.processor, f"{kind}_token", None)
        return None if token is None else str(token)

    def placeholder_id(self, kind: MediaKind) -> int:
        """Return the token of the text that stands for a medium."""
        return int(self.tokenizer.convert_tokens_to_ids(self.placeholder(kind)))

    def letter_tokens(self, letter: str) -> tuple[int, ...]:
        """Return the tokens that write an option's letter with or without a space before it.

        They are the first tokens of "A" and of " A", and the vocabulary's own entry "A", where they
        are read as the letter alone.

        Raises:
            CheckpointError: the tokenizer has none.
        """
        tokenizer = self.tokenizer
        texts = (letter, f" {letter}")
        first = [tokenizer.encode(text, add_special_tokens=False)[:1] for text in texts]
        ids = {*itertools.chain(*first), tokenizer.convert_tokens_to_ids(letter)} - {None}
        found = [token for token in ids if tokenizer.decode([token]).strip() == letter]
        if not found:
            raise CheckpointError(
                f"{self.name}: its tokenizer has no token for the option letter {letter!r}, which "
                "runner.keep_choice_logprobs=true looks for"
            )
        return tuple(sorted(found))

    def to_device(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Move model inputs to the model's device, floating-point ones in its dtype.

        Inputs with one number per medium keep their dtype: seconds between frames in bfloat16 would
        give other positions.
        """
        device = self.plan.device
        moved = dict(BatchFeature(dict(inputs)).to(device, dtype=self.plan.dtype))
        for name, value in inputs.items():
            if getattr(value, "ndim", 0) == 1:  # (number of media,)
                moved[name] = value.to(device)
        return moved

    def generate(self, inputs: Mapping[str, Any], **arguments: Any) -> Any:
        """Call the model's own ``generate``.

        Raises:
            ForwardError: the model raises an exception, which becomes this sample's error.
        """
        with self.foreign():
            self.forget_lengths()
            return self.model.generate(**inputs, **arguments)

    def forget_lengths(self) -> None:
        """Reset rotary frequencies that depend on the longest sequence so far (dynamic NTK).

        Otherwise an answer would depend on earlier requests.
        """
        for module in self.model.modules():
            if getattr(module, "rope_type", None) == "dynamic":
                start = torch.zeros((1, 1), dtype=torch.long, device=self.plan.device)
                module(start.float(), start)

    @contextmanager
    def foreign(self) -> Iterator[None]:
        """Turn any exception of the model or its processor in the block into a ForwardError."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except (Exception, SystemExit) as error:  # foreign code: any exception fails one sample
            raise ForwardError(f"{type(error).__name__}: {first_line(error)}") from error

    def generation_config(self, settings: GenerationSettings) -> GenerationConfig:
        """Return the settings of a greedy generation.

        Sampling, if requested, is added by a logits processor.
        """
        return GenerationConfig(
            **{
                **self.plan.kept_generation_settings,
                "max_new_tokens": settings.max_new_tokens,
                "do_sample": False,
                "num_beams": 1,
                "pad_token_id": self.tokenizer.pad_token_id,
                "stop_strings": list(settings.stop_strings) or None,
            }
        )

    def new_tokens(self, sequences: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the tokens that ``generate`` added to a prompt.

        Args:
            sequences: (B, L), the result of ``generate``: with the prompt, without it (models that
                pass embeddings to a language model), or after a decoder's first token.
            input_ids: (B, T), the prompt.
        """
        length = input_ids.shape[1]  # T
        if self.is_encoder_decoder:
            return sequences[:, 1:]
        if self.model.config.model_type == "blip":  # omits the prompt's last token
            return sequences[:, length - 1 :]
        begins_with_prompt = sequences.shape[1] >= length and torch.equal(
            sequences[:, :length], input_ids
        )
        return sequences[:, length:] if begins_with_prompt else sequences

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        plan, checkpoint = self.plan, self.plan.checkpoint
        text = self.model.config.get_text_config()
        template = getattr(self.processor, "chat_template", None)
        plain = self.model
        if plan.is_quantized:  # packed weights have other shapes; "meta" allocates nothing
            config = read_config(checkpoint, plan.trust_remote_code)
            with torch.device("meta"):
                plain = AutoModelForImageTextToText.from_config(
                    config, dtype=plan.dtype, trust_remote_code=plan.trust_remote_code
                )
        return {
            "checkpoint": checkpoint.name,
            "path": str(checkpoint.path),
            "commit": checkpoint.commit,
            "weights_sha256": checkpoint.weights_sha256,
            "file_sha256": dict(checkpoint.file_sha256),
            "class": self.name,
            "processor": type(self.processor).__name__,
            "num_parameters": sum(weight.numel() for weight in plain.parameters()),
            "memory_bytes": stored_bytes(self.model),
            "memory_bytes_unquantized": stored_bytes(plain),
            "device": ", ".join(map(str, plan.devices)),
            "device_name": device_name(plan.device),
            "dtype": str(plan.dtype).removeprefix("torch."),
            "attention": self.attention,
            "attention_reason": plan.attention.reason,
            "quantization": describe_quantization(plan.quantization),
            "stored_quantization": plan.stored_quantization,
            "max_position_embeddings": getattr(text, "max_position_embeddings", None),
            "rope_parameters": getattr(text, "rope_parameters", None),
            "chat_template": template,
            "chat_template_sha256": (
                hashlib.sha256(template.encode()).hexdigest() if isinstance(template, str) else None
            ),
            "processor_settings": dict(plan.processor),
            "video_as": "images" if plan.shows_images else "video",
            "kept_generation_settings": plan.kept_generation_settings,
            "ignored_generation_settings": {
                name: value
                for name, value in plan.generation_settings.items()
                if name not in plan.kept_generation_settings
            },
        }


def _factor(rope: Mapping[str, Any]) -> float:
    """Return the extension factor of a RoPE scheme; the default scheme ignores a stored factor."""
    return 1.0 if rope.get("rope_type") in (None, "default") else float(rope.get("factor") or 1.0)


def load_model(plan: ModelPlan) -> LoadedModel:
    """Load model and processor.

    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    checkpoint, attention = plan.checkpoint, plan.attention
    processor = load_processor(plan)
    is_own_attention = attention.is_default or attention.is_to_be_tried
    quantization = quantization_config(plan.quantization, plan.dtype, plan.device)
    config = read_config(checkpoint, plan.trust_remote_code)
    if plan.rope_scaling:
        text = config.get_text_config()
        text.rope_parameters = scaled_rope(config, plan.rope_scaling)
    placement: dict[str, Any] = {}
    if plan.is_spread:  # layers that fit on no GPU stay on the CPU, and are copied when they run
        placement["device_map"] = "auto"
    elif plan.is_quantized:  # kernels are chosen for this device; the default is the CPU
        placement["device_map"] = {"": plan.device}
    if quantization is not None:
        placement["quantization_config"] = quantization
    with (
        foreign_code(f"{checkpoint.name} cannot be loaded"),
        _without_adapter(checkpoint.path) as folder,
    ):
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            folder,
            config=config,
            output_loading_info=True,
            dtype=plan.dtype,
            attn_implementation=None if is_own_attention else attention.implementation,
            trust_remote_code=plan.trust_remote_code,
            ignore_mismatched_sizes=True,  # _check_complete reports them
            **placement,
        )
        model, *reports = loaded
        _unpack(model, plan)
        if folder != checkpoint.path:
            reports.append(_load_adapter(model, checkpoint.path).to_dict())
        if not placement:
            model = model.to(plan.device)
    if plan.stored_quantization is not None:
        _convert_stored_weights(model, plan)
    for report in reports:
        _check_complete(plan, report)
    if quantization is not None:
        check_skipped(plan.quantization, model)
        _warn_of_experts(model, plan)
    model.eval()
    # Other settings of generation_config.json apply only if the plan keeps them.
    tokens = {name: getattr(model.generation_config, name, None) for name in TOKEN_SETTINGS}
    if tokens["eos_token_id"] is None:  # replies would always run to their limit
        tokens["eos_token_id"] = processor.tokenizer.eos_token_id
    model.generation_config = GenerationConfig(**tokens)
    _ask_for_token_types(model, processor)
    with foreign_code(f"{checkpoint.name}: its video processor fails on two small frames"):
        pixels = FramePreprocessor(getattr(processor, "video_processor", None))
    return LoadedModel(model, processor, plan, pixels)


def _unpack(model: Any, plan: ModelPlan) -> None:
    """Let compressed-tensors unpack weights now instead of at the first whole forward pass."""
    if plan.stored_quantization == "compressed-tensors":
        for unpack in [*model._forward_pre_hooks.values()]:
            unpack(model, ())


def _convert_stored_weights(model: Any, plan: ModelPlan) -> None:
    """Convert the unquantized weights of a quantized checkpoint to the plan's dtype.

    transformers keeps their stored dtype.

    Raises:
        CheckpointError: no weights are quantized, or the quantized ones support no other dtype.
    """
    name = plan.checkpoint.name
    are_plain = all(weight.is_floating_point() for weight in model.parameters())
    if plan.stored_quantization == "bitsandbytes" and are_plain:
        raise CheckpointError(
            f"{name}: config.json says that bitsandbytes quantized its weights, but "
            "they are stored plain; take quantization_config out of it"
        )
    for weight in model.parameters():
        if weight.dtype == plan.stored_dtype:
            weight.data = weight.data.to(plan.dtype)
            if weight.dtype != plan.dtype:  # torchao's float8
                raise CheckpointError(
                    f"{name} computes in {weight.dtype} alone; set model.dtype=auto"
                )


def _warn_of_experts(model: Any, plan: ModelPlan) -> None:
    """Warn if experts keep their precision: no method quantizes experts stacked in one tensor."""
    stacked = [weight for weight in model.parameters() if weight.ndim == 3]
    share = sum(weight.numel() * weight.element_size() for weight in stacked) / stored_bytes(model)
    if share > 0.1:
        text = "%s: quantization=%s leaves its experts as they are: they take %.0f %% of its bytes"
        log.warning(text, plan.checkpoint.name, plan.quantization.name, 100 * share)


@contextmanager
def _without_adapter(folder: Path) -> Iterator[Path]:
    """Yield links to a folder's files without the adapter's, as its report would hide others."""
    if not (folder / "adapter_config.json").is_file():
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        for path in folder.glob("[!.]*"):
            if not path.name.startswith("adapter_"):
                Path(name, path.name).symlink_to(path.resolve())
        yield Path(name)


def _load_adapter(model: Any, folder: Path) -> Any:
    """Put a folder's adapter into a model, and return transformers' report of it."""
    from peft import PeftConfig, load_peft_weights

    weights = load_peft_weights(str(folder), device="cpu")
    for name in [*weights]:
        if name.endswith("lora_magnitude_vector"):  # of DoRA; transformers expects another suffix
            weights[f"{name}.weight"] = weights.pop(name)
    config = PeftConfig.from_pretrained(str(folder))
    return model.load_adapter(peft_config=config, adapter_state_dict=weights)


def _ask_for_token_types(model: Any, processor: Any) -> None:
    """Let the processor return the types of tokens if the model's positions need them.

    Processors of such models do so themselves, except Cosmos 3 Edge's.
    """
    positions = getattr(getattr(model, "model", None), "get_rope_index", None)
    types = positions and inspect.signature(positions).parameters.get("mm_token_type_ids")
    if types and types.default is types.empty:
        processor.return_mm_token_type_ids = True


_last_loaded: list[LoadedModel] = []


def load_model_once(plan: ModelPlan) -> LoadedModel:
    """Return the model of a plan; the last model stays loaded for the next run of a sweep.

    Only one is kept, and it is released before another one is loaded, because two may not fit.
    """
    is_there = bool(_last_loaded) and _last_loaded[0].plan == plan
    is_let_go = bool(_last_loaded) and not is_there
    if is_let_go:
        _last_loaded.clear()
    # A full garbage collection takes a quarter of a second. Python does one by itself now and then,
    # but does not consider the memory of a GPU.
    if is_let_go or any(device.type == "cuda" for device in plan.devices):
        free_memory()
    for device in plan.devices:
        if device.type == "cuda" and torch.cuda.max_memory_allocated(device):
            torch.cuda.reset_peak_memory_stats(device)  # the peak of this run, not of the sweep
    if not is_there:
        if plan.memory_warning is not None:
            log.warning(plan.memory_warning)
        _last_loaded.append(load_model(plan))
    return _last_loaded[0]


def _check_complete(plan: ModelPlan, report: Mapping[str, Any]) -> None:
    """Raise if weights are missing, which transformers would make up; warn of unused ones."""
    checkpoint, hint = plan.checkpoint, ""
    if plan.stored_quantization is not None:  # e.g. AWQ's exceptions use old names of modules
        hint = "; if they are stored plain, its quantization_config has to except them by this name"
    for kind in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        names = sorted(map(str, report.get(kind, ())))
        if names and kind == "unexpected_keys":  # e.g. an unmerged adapter's, or further layers
            text = "%s: %d weights of its files are not used: the model has no %s"
            log.warning(text, checkpoint.name, len(names), names[0])
        elif names:
            raise CheckpointError(
                f"{checkpoint.name}: {len(names)} weights do not fit ({kind.replace('_', ' ')}), "
                f"first {names[0]}; they would be random numbers{hint}"
            )
