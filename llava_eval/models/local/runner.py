"""The model runner: requests in, generations out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from llava_eval.borders.machine_limits import num_cores
from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError, ForwardError, LlavaEvalError
from llava_eval.models.backend import Runner
from llava_eval.models.clock import StageClock
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.decoding import Decoder, likeliest
from llava_eval.models.local.flash_attention import FlashTrial, try_flash_attention
from llava_eval.models.local.guards import check_frame_size, check_length, first_inputs
from llava_eval.models.local.hardware import free_memory, max_batch_tokens
from llava_eval.models.local.llava_next_video import MODEL_TYPES, FeaturePrefixes
from llava_eval.models.local.microbatch import PromptGroup, group_prompts, plan_microbatches
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.pixels import FramePreprocessor
from llava_eval.models.local.prefix_sharing import PrefixSharing
from llava_eval.models.local.prepared_media import MediaPreparer, WholePrompts
from llava_eval.models.local.prompt import Prompt, PromptWriter
from llava_eval.models.local.whole_prompts import WholeBatches
from llava_eval.types import Clip, Generation, MediaKind, PreparedMedia, Request

log = logging.getLogger(__name__)

#: Questions generated together when the configuration leaves the number open.
DEFAULT_BATCH_SIZE = 32


@dataclass
class ModelRunner(Runner):
    """Generates texts for requests.

    Attributes:
        loaded: model and processor.
        conversation: text around the user's turn.
        batch_size: maximum number of questions in one forward pass; halved if memory runs out.
        max_batch_tokens: maximum number of tokens in one forward pass, including padding; None
            derives it from the free memory.
        share_prefixes: compute the prefix that questions share once. "auto" does so if a trial
            shows that it is correct; with True a failed trial ends the run; False runs whole
            prompts, one at a time.
        num_threads: torch's number of threads on a CPU until the runner is closed; None keeps
            torch's choice, up to the number of cores that this process may use.
        clock: records the seconds of the stages "preprocess", "vision", "prefill" and "decode".
        first_prompt: the first rendered prompt, for the manifest.
        guards: findings of the guards, for the manifest.
    """

    loaded: LoadedModel
    conversation: ConversationConfig
    batch_size: int = DEFAULT_BATCH_SIZE
    max_batch_tokens: int | None = None
    share_prefixes: bool | Literal["auto"] = "auto"
    num_threads: int | None = None
    clock: StageClock = field(default_factory=StageClock)
    first_prompt: str | None = None
    guards: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        loaded = self.loaded
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(self.num_threads or min(self._threads_before, num_cores()))
        if self.max_batch_tokens is None:
            config, dtype = loaded.model.config.get_text_config(), loaded.plan.dtype
            # The device with the least free memory decides, as if it had all layers.
            limits = [max_batch_tokens(config, dtype, device) for device in loaded.plan.devices]
            self.max_batch_tokens = min(limits)
        self.guards["context_length"] = loaded.context_length
        self.guards["padding_side"] = loaded.tokenizer.padding_side
        self._shares = bool(self.share_prefixes)
        takes_apart = (
            self._shares
            and loaded.model.config.model_type in MODEL_TYPES
            and not loaded.plan.shows_images
        )
        whole = WholePrompts(loaded.processor, loaded.plan.processor)
        conversation = Conversation(self.conversation, loaded.processor)
        self._writer = PromptWriter(loaded, conversation, whole)
        self._preparer = MediaPreparer(loaded, whole, takes_apart=takes_apart)
        self._decoder = Decoder(loaded)
        self._whole = WholeBatches(loaded, self._writer, self._decoder)
        self._sharing = PrefixSharing(
            self._whole,
            self.clock,
            features=FeaturePrefixes(loaded) if takes_apart else None,
            is_required=self.share_prefixes is True,
        )
        self._flash: FlashTrial | None = None
        self._asked_alone: dict[str, str] = {}  # by kind of media, if sharing is off

    @property
    def frame_preprocessor(self) -> FramePreprocessor | None:
        pixels = self.loaded.pixels
        is_apart = self._shares and pixels.is_split and not self.loaded.plan.shows_images
        return pixels if is_apart else None

    def prepare(self, kind: MediaKind, clip: Clip) -> PreparedMedia:
        prepared = self._preparer.prepare(kind, clip)
        if prepared.inputs:
            for name, value in check_frame_size(self.loaded, prepared).items():
                self.guards.setdefault(name, value)
        return prepared

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        prompts: list[Prompt] = []
        for request in requests:
            try:
                prompts += self._prompts(request)
            except LlavaEvalError as error:
                if isinstance(error, CheckpointError) and self.first_prompt is None:
                    raise  # model and processor do not fit
                yield request, Generation.failed(error)
        options: dict[str, list[tuple[Prompt, Generation]]] = {}
        for prompt, generation in self._answers(prompts):
            if prompt.option is None:
                yield prompt.request, generation
                continue
            asked = options.setdefault(prompt.request.id, [])
            asked.append((prompt, generation))
            if len(asked) == len(prompt.request.options):
                yield prompt.request, likeliest(asked)

    def settings(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "max_batch_tokens": self.max_batch_tokens,
            "share_prefixes": self.share_prefixes,
            "prompts_asked_as": {**self._sharing.paths, **self._asked_alone},
        }

    def record(self) -> dict[str, Any]:
        record = super().record()
        if self._flash is not None:
            record["model"] = self.describe()  # with the attention after the trial
        return record

    def describe(self) -> dict[str, Any]:
        described = self.loaded.describe()
        if self._flash is not None and self._flash.problem is not None:
            described["attention_reason"] = f"flash-attention is not used: {self._flash.problem}"
        return described

    def peak_device_memory_bytes(self) -> int | None:
        plan = self.loaded.plan
        if plan.device.type != "cuda":
            return None
        return sum(map(torch.cuda.max_memory_allocated, plan.devices))

    def close(self) -> None:
        torch.set_num_threads(self._threads_before)

    def _prompts(self, request: Request) -> list[Prompt]:
        """Write the prompts of a request, and record the first ones for the manifest.

        Raises:
            LlavaEvalError: a prompt cannot be made, or is too long.
        """
        with self.clock.stage("preprocess"):
            prompts = self._writer.prompts(request)
        for prompt in prompts:
            check_length(prompt, self.loaded)
        if self.first_prompt is None:
            self.first_prompt = prompts[0].text
        for name, value in first_inputs(self.loaded, prompts[0]).items():
            self.guards.setdefault(name, value)
        return prompts

    def _answers(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prompt, Generation]]:
        """Yield an answer for every prompt, in any order."""
        assert self.max_batch_tokens is not None
        self._flash = try_flash_attention(self._whole, prompts)
        if self._flash is not None and self._flash.comparisons:
            worst = max(self._flash.comparisons, key=lambda comparison: comparison.difference)
            self.guards["flash_attention_logit_difference"] = worst.recorded_difference
        if not self._shares:
            why = "whole prompts, one at a time: runner.share_prefixes=false"
            for prompt in prompts:
                self._asked_alone[prompt.media_name] = why
                yield prompt, self._ask_alone(prompt)
            return
        groups = group_prompts(prompts)
        comparison = self._sharing.try_first(groups)
        if comparison is not None:
            self.guards.setdefault("shared_prefix_logit_difference", comparison.recorded_difference)
        sharing: list[PromptGroup] = []
        whole: list[PromptGroup] = []
        for group in groups:
            if self._sharing.may_share(group):
                sharing.append(group)
            else:
                whole += [PromptGroup((prompt,), prefix_length=0) for prompt in group.prompts]
        for alike in (sharing, whole):
            for microbatch in plan_microbatches(
                alike, max_questions=self.batch_size, max_tokens=self.max_batch_tokens
            ):
                yield from self._ask_or_split(microbatch)

    def _ask_or_split(self, microbatch: Sequence[PromptGroup]) -> list[tuple[Prompt, Generation]]:
        """Run a microbatch; if it fails, run its parts, so that only the faulty part fails."""
        try:
            with torch.inference_mode():
                return self._ask(microbatch)
        except (torch.OutOfMemoryError, LlavaEvalError) as error:
            # The error itself must not be kept, because its traceback refers to the tensors.
            failure = Generation.failed(error)
            is_out_of_memory = isinstance(error, torch.OutOfMemoryError)
            is_forward_error = isinstance(error, ForwardError)
        if is_out_of_memory:
            free_memory()
            num_questions = sum(len(group.prompts) for group in microbatch)
            if num_questions > 1:  # a single question does not depend on the batch size
                self.batch_size = max(1, min(self.batch_size, num_questions) // 2)
                log.warning("out of memory: at most %d questions at a time now", self.batch_size)
        parts = microbatch if len(microbatch) > 1 else microbatch[0].halves()
        if len(parts) > 1:
            return [answered for part in parts for answered in self._ask_or_split([part])]
        (prompt,) = parts[0].prompts
        if is_forward_error:  # a whole prompt may still be answered
            return [(prompt, self._ask_alone(prompt))]
        return [(prompt, failure)]

    def _ask(self, microbatch: Sequence[PromptGroup]) -> list[tuple[Prompt, Generation]]:
        """Run groups that all share their prefixes, or single whole prompts."""
        done: list[tuple[Prompt, Generation]] = []
        batches = (
            self._sharing.batches(microbatch, self.batch_size)
            if microbatch[0].prefix_length
            else self._whole.batches([group.prompts[0] for group in microbatch])
        )
        for batch in batches:
            with self.clock.stage("decode"):
                answers = self._decoder.answer(batch)
            for prompt, answer in zip(batch.prompts, answers, strict=True):
                # With weights that are not finite, padding can spoil a row that is fine alone.
                done.append((prompt, self._ask_alone(prompt) if answer is None else answer))
            del batch  # frees its cache before the next batch is made
        return done

    def _ask_alone(self, prompt: Prompt) -> Generation:
        """Run one question the plain way: with the processor's inputs for the whole prompt."""
        try:
            with torch.inference_mode():
                with self.clock.stage("preprocess"):
                    batch = self._whole.alone(prompt)
                with self.clock.stage("decode"):
                    (answer,) = self._decoder.answer(batch)
            if answer is None:
                raise ForwardError(f"sample {prompt.request.id}: logits are not finite")
        except (torch.OutOfMemoryError, LlavaEvalError) as error:
            return Generation.failed(error)
        return answer
