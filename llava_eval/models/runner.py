"""The model runner: requests in, generations out, in batches."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig

from llava_eval.errors import LlavaEvalError
from llava_eval.models.conversation import Conversation
from llava_eval.models.inputs import batch_key, build_inputs
from llava_eval.models.loading import LoadedModel
from llava_eval.timing import StageClock
from llava_eval.types import Generation, GenerationSettings, Request, StopReason

log = logging.getLogger(__name__)

#: Questions generated together when the configuration leaves the number open.
DEFAULT_BATCH_SIZE = 16


@dataclass
class ModelRunner:
    """Generates texts for requests.

    Attributes:
        loaded: model and processor.
        conversation: text around the user's turn.
        batch_size: most requests in one forward pass; halved when memory runs out.
        clock: gets the seconds of the stages "preprocess" and "generate".
        first_prompt: the first prompt that was rendered, for the manifest.
    """

    loaded: LoadedModel
    conversation: Conversation
    batch_size: int = DEFAULT_BATCH_SIZE
    clock: StageClock = field(default_factory=StageClock)
    first_prompt: str | None = None

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Generation]]:
        """Yield a generation for every request; those that can share a batch do.

        A request that fails yields a generation with its error and takes no other with it.
        """
        rendered: dict[tuple[Any, ...], list[tuple[Request, str]]] = {}
        for request in requests:
            try:
                text = self.conversation.render(request, self.loaded.processor)
            except LlavaEvalError as error:
                yield request, _failed(error)
                continue
            self.first_prompt = self.first_prompt or text
            key = (request.settings, *batch_key(request))
            rendered.setdefault(key, []).append((request, text))
        for group in rendered.values():
            yield from self._generate_group(group)

    def _generate_group(
        self, group: Sequence[tuple[Request, str]]
    ) -> Iterator[tuple[Request, Generation]]:
        """Generate requests of one kind; batches shrink when memory runs out."""
        position = 0
        while position < len(group):
            # Sampled decoding draws from one stream per call, so that a sample's own seed decides
            # its text only when it is alone.
            sampled = group[position][0].settings.temperature > 0
            size = 1 if sampled else self.batch_size
            batch = group[position : position + size]
            try:
                generations = self._generate_batch(batch)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    generations = [_failed(error)]
                else:
                    self.batch_size = max(1, len(batch) // 2)
                    log.warning("out of memory: batch size is now %d", self.batch_size)
                    _free_memory()
                    continue
            except (LlavaEvalError, RuntimeError, ValueError, IndexError, TypeError) as error:
                if len(batch) > 1:
                    # One of them is at fault: ask each alone, so that only that one fails.
                    for single in batch:
                        yield from self._generate_group([single])
                    position += len(batch)
                    continue
                generations = [_failed(error)]
            position += len(batch)
            yield from zip((request for request, _ in batch), generations, strict=True)

    def _generate_batch(self, batch: Sequence[tuple[Request, str]]) -> list[Generation]:
        requests = [request for request, _ in batch]
        settings = requests[0].settings
        with self.clock.stage("preprocess"):
            inputs = build_inputs(self.loaded, requests, [text for _, text in batch])
        if settings.temperature > 0:
            torch.manual_seed(sample_seed(settings.seed, requests[0].id))
        tokenizer = self.loaded.processor.tokenizer
        with self.clock.stage("generate"), torch.inference_mode():
            sequences = self.loaded.model.generate(
                **inputs,
                generation_config=self._generation_config(settings),
                **({"tokenizer": tokenizer} if settings.stop_strings else {}),
            )
        num_prompt_tokens = inputs["attention_mask"].sum(dim=1).tolist()
        new_tokens = sequences[:, inputs["input_ids"].shape[1] :].tolist()
        return [
            self._to_generation(tokens, count, settings)
            for tokens, count in zip(new_tokens, num_prompt_tokens, strict=True)
        ]

    def _generation_config(self, settings: GenerationSettings) -> GenerationConfig:
        config = GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            do_sample=settings.temperature > 0,
            num_beams=1,
            repetition_penalty=1.0,
            pad_token_id=self.loaded.processor.tokenizer.pad_token_id,
            stop_strings=list(settings.stop_strings) or None,
        )
        if settings.temperature > 0:
            config.temperature = settings.temperature
            config.top_p = settings.top_p
            config.top_k = 0
        return config

    def _to_generation(
        self, tokens: Sequence[int], num_input_tokens: int, settings: GenerationSettings
    ) -> Generation:
        """Return the text up to the end token or the first stop string."""
        ends = self._end_tokens()
        end = next((place for place, token in enumerate(tokens) if token in ends), None)
        own = list(tokens if end is None else tokens[: end + 1])
        text = self.loaded.processor.tokenizer.decode(own, skip_special_tokens=True)
        reason: StopReason = "length" if end is None else "eos"
        cuts = [text.find(stop) for stop in settings.stop_strings if stop in text]
        if cuts:
            text, reason = text[: min(cuts)], "stop_string"
        return Generation(
            text=text,
            num_input_tokens=num_input_tokens,
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


def sample_seed(seed: int, sample_id: str) -> int:
    """Return a seed of a sample's own, so that order and batch never change what it draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest()[:8], "big")


def _failed(error: BaseException) -> Generation:
    return Generation(text=None, error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
