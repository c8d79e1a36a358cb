"""The model runner: requests in, generations out."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig

from llava_eval.errors import CheckpointError, LlavaEvalError
from llava_eval.models.clock import StageClock
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.guards import (
    check_frame_size,
    check_length,
    check_shared_prefix,
    check_token_ids,
    context_length,
)
from llava_eval.models.local.likelihood import likeliest, option_losses
from llava_eval.models.local.load import LoadedModel
from llava_eval.models.local.media import FramePreprocessor, MediaPreparer, media_arguments
from llava_eval.models.local.memory import max_batch_tokens, peak_device_bytes
from llava_eval.models.local.microbatch import (
    PromptGroup,
    alone,
    group_prompts,
    plan_waves,
    split_group,
)
from llava_eval.models.local.prefix import can_share_prefixes, compute_prefixes, continue_prefix
from llava_eval.models.local.prompt import Prompt, adds_special_tokens, make_prompts
from llava_eval.models.local.sampling import SeededSampler, sample_seed
from llava_eval.types import (
    Clip,
    Generation,
    GenerationSettings,
    MediaKind,
    PreparedMedia,
    Request,
    StopReason,
)

log = logging.getLogger(__name__)

#: Questions generated together when the configuration leaves the number open.
DEFAULT_BATCH_SIZE = 32

#: What one failing sample may raise; anything else is a defect and ends the run.
_SAMPLE_ERRORS = (LlavaEvalError, RuntimeError, ValueError, IndexError, TypeError, KeyError)


@dataclass
class ModelRunner:
    """Generates texts for requests.

    Attributes:
        loaded: model and processor.
        conversation: text around the user's turn.
        batch_size: most questions in one forward pass; halved when memory runs out.
        max_batch_tokens: most tokens in one forward pass, padding included; None is found.
        share_prefixes: compute what questions share once; the plain way asks one at a time.
        clock: gets the seconds of the stages "preprocess", "vision", "prefill" and "decode".
        first_prompt: the first prompt that was rendered, for the manifest.
        guards: what the guards saw, for the manifest.
    """

    loaded: LoadedModel
    conversation: Conversation
    batch_size: int = DEFAULT_BATCH_SIZE
    max_batch_tokens: int | None = None
    share_prefixes: bool = True
    clock: StageClock = field(default_factory=StageClock)
    first_prompt: str | None = None
    guards: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.share_prefixes and not can_share_prefixes(self.loaded):
            self.share_prefixes = False
            log.info(
                "%s: its inputs need whole prompts, so questions are asked one at a time",
                type(self.loaded.model).__name__,
            )
        if self.max_batch_tokens is None:
            self.max_batch_tokens = max_batch_tokens(self.loaded)
        self._context_length = context_length(self.loaded.model.config)
        self.guards["context_length"] = self._context_length
        self.guards["padding_side"] = self.loaded.processor.tokenizer.padding_side
        self._seen_kinds: set[MediaKind] = set()
        self._preparer = MediaPreparer(
            self.loaded.processor,
            self.loaded.pixels,
            keep_clips=not self.share_prefixes,
            pin=self.loaded.plan.device.type == "cuda",
        )

    @property
    def frame_preprocessor(self) -> FramePreprocessor | None:
        """What resizes and crops frames before :meth:`prepare`, where that can be done apart."""
        pixels = self.loaded.pixels
        return pixels if self.share_prefixes and pixels.is_split else None

    def prepare(self, kind: MediaKind, clip: Clip, *, is_resized: bool = False) -> PreparedMedia:
        """Preprocess one clip; may be called from other threads, ahead of :meth:`generate`.

        Args:
            kind: video, or image (a clip of one frame).
            clip: the frames.
            is_resized: the frames come from :attr:`frame_preprocessor` already.

        Raises:
            CheckpointError: the processor takes no such media, or makes frames of a size that the
                model was not trained on.
        """
        prepared = self._preparer.prepare(kind, clip, is_resized=is_resized)
        if kind not in self._seen_kinds:
            self.guards.update(check_frame_size(self.loaded, prepared))
            self._seen_kinds.add(kind)
        return prepared

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        """Yield a generation for every request.

        A request that fails yields a generation with its error and takes no other with it.

        Raises:
            CheckpointError: the first prompt shows that model and processor do not fit.
        """
        prompts: list[Prompt] = []
        for request in requests:
            try:
                made = make_prompts(request, self.conversation, self.loaded.processor)
                for prompt in made:
                    check_length(prompt, self._context_length)
            except LlavaEvalError as error:
                if isinstance(error, CheckpointError) and self.first_prompt is None:
                    raise
                yield request, _failed(error)
                continue
            if self.first_prompt is None:
                self.first_prompt = made[0].text
                self._check_first(made[0])
            prompts += made
        groups = group_prompts(prompts) if self.share_prefixes else [alone(p) for p in prompts]
        assert self.max_batch_tokens is not None
        waves = plan_waves(groups, max_questions=self.batch_size, max_tokens=self.max_batch_tokens)
        options: dict[str, list[tuple[Prompt, Generation]]] = {}
        for wave in waves:
            for prompt, generation in self._try_wave(wave):
                if prompt.option is None:
                    yield prompt.request, generation
                    continue
                asked = options.setdefault(prompt.request.id, [])
                asked.append((prompt, generation))
                if len(asked) == len(prompt.request.options):
                    yield prompt.request, likeliest(asked)

    def settings(self) -> dict[str, Any]:
        """Return what the manifest says of the runner: limits as they ended up."""
        return {
            "batch_size": self.batch_size,
            "max_batch_tokens": self.max_batch_tokens,
            "share_prefixes": self.share_prefixes,
        }

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        return self.loaded.describe()

    def peak_device_memory_bytes(self) -> int | None:
        """Return the most memory held on the device by this process; None on a CPU."""
        return peak_device_bytes(self.loaded.plan.device)

    def close(self) -> None:
        """Nothing is held that another run could not use: the model stays loaded."""

    def _check_first(self, prompt: Prompt) -> None:
        """Hold the first prompt to the tokenizer and to the model's own forward pass."""
        if not self.share_prefixes:
            return
        check_token_ids(self.loaded, prompt)
        if len(prompt.request.prepared_media) == 1:
            difference = check_shared_prefix(self.loaded, prompt)
            self.guards["shared_prefix_logit_difference"] = difference

    def _try_wave(self, wave: Sequence[PromptGroup]) -> list[tuple[Prompt, Generation]]:
        """Run a wave; where that fails, run its parts, so that only what is at fault fails."""
        try:
            with torch.inference_mode():
                return self._run_wave(wave)
        except torch.OutOfMemoryError as error:
            problem: BaseException = error
            num_questions = sum(len(group.prompts) for group in wave)
            self.batch_size = max(1, min(self.batch_size, num_questions) // 2)
            log.warning("out of memory: at most %d questions at a time now", self.batch_size)
            _free_memory()
        except _SAMPLE_ERRORS as error:
            problem = error
        groups = wave if len(wave) > 1 else split_group(wave[0])
        parts = [[group] for group in groups]
        if len(parts) == 1:
            return [(prompt, _failed(problem)) for prompt in wave[0].prompts]
        return [done for part in parts for done in self._try_wave(part)]

    def _run_wave(self, wave: Sequence[PromptGroup]) -> list[tuple[Prompt, Generation]]:
        if not self.share_prefixes:
            return [self._ask_alone(prompt) for group in wave for prompt in group.prompts]
        rows = [(g, n) for g, group in enumerate(wave) for n in range(len(group.prompts))]
        prefix = compute_prefixes(self.loaded, wave, self.clock)
        done: list[tuple[Prompt, Generation]] = []
        for start in range(0, len(rows), self.batch_size):
            chosen = rows[start : start + self.batch_size]
            prompts = [wave[group].prompts[number] for group, number in chosen]
            last = start + self.batch_size >= len(rows)
            with self.clock.stage("decode"):
                continuation = continue_prefix(self.loaded, prefix, wave, chosen, last=last)
                if prompts[0].option is None:
                    answers = self._generate(prompts, continuation.arguments())
                else:
                    answers = option_losses(prompts, continuation.logits(self.loaded.model))
            done += zip(prompts, answers, strict=True)
        return done

    def _ask_alone(self, prompt: Prompt) -> tuple[Prompt, Generation]:
        """Ask one question the plain way: the processor's inputs for the whole prompt."""
        processor, plan = self.loaded.processor, self.loaded.plan
        with self.clock.stage("preprocess"):
            special = adds_special_tokens(prompt.text, processor.tokenizer)
            inputs = processor(
                text=[prompt.text],
                text_kwargs={"add_special_tokens": special},
                return_tensors="pt",
                **media_arguments(prompt.request.prepared_media),
            ).to(plan.device, dtype=plan.dtype)
        with self.clock.stage("decode"):
            if prompt.option is None:
                return prompt, self._generate([prompt], dict(inputs))[0]
            return prompt, option_losses([prompt], self.loaded.model(**inputs).logits)[0]

    def _generate(self, prompts: Sequence[Prompt], arguments: dict[str, Any]) -> list[Generation]:
        """Call the model's own ``generate`` and return the new texts."""
        settings = prompts[0].request.settings
        processors = []
        if settings.temperature > 0:
            seeds = [sample_seed(settings.seed, prompt.request.id) for prompt in prompts]
            processors.append(SeededSampler(seeds, settings.temperature, settings.top_p))
        tokenizer = self.loaded.processor.tokenizer
        sequences = self.loaded.model.generate(
            **arguments,
            generation_config=self._generation_config(settings),
            logits_processor=processors,
            **({"tokenizer": tokenizer} if settings.stop_strings else {}),
        )
        new_tokens = sequences[:, arguments["input_ids"].shape[1] :].tolist()
        return [
            self._to_generation(tokens, prompt)
            for tokens, prompt in zip(new_tokens, prompts, strict=True)
        ]

    def _generation_config(self, settings: GenerationSettings) -> GenerationConfig:
        # Sampling, where asked for, is done by SeededSampler on top of greedy decoding.
        return GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            do_sample=False,
            num_beams=1,
            pad_token_id=self.loaded.processor.tokenizer.pad_token_id,
            stop_strings=list(settings.stop_strings) or None,
        )

    def _to_generation(self, tokens: Sequence[int], prompt: Prompt) -> Generation:
        """Return the text up to the end token or the first stop string."""
        ends = self._end_tokens()
        end = next((place for place, token in enumerate(tokens) if token in ends), None)
        own = list(tokens if end is None else tokens[: end + 1])
        text = self.loaded.processor.tokenizer.decode(own, skip_special_tokens=True)
        reason: StopReason = "length" if end is None else "eos"
        cuts = [text.find(stop) for stop in prompt.request.settings.stop_strings if stop in text]
        if cuts:
            text, reason = text[: min(cuts)], "stop_string"
        return Generation(
            text=text,
            num_input_tokens=len(prompt.token_ids),
            num_output_tokens=len(own),
            stop_reason=reason,
        )

    def _end_tokens(self) -> frozenset[int]:
        stored = self.loaded.model.generation_config.eos_token_id
        if stored is None:
            stored = self.loaded.processor.tokenizer.eos_token_id
        if stored is None:
            return frozenset()
        return frozenset(stored if isinstance(stored, list) else [stored])


def _failed(error: BaseException) -> Generation:
    return Generation(text=None, error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
