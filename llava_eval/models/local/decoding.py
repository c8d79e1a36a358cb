"""Answers a batch of prompts, with generated texts or with the likelihoods of options."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
from transformers import LogitsProcessor, TopPLogitsWarper

from llava_eval.errors import ForwardError
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prefix import PromptBatch, position_ids
from llava_eval.models.local.prompt import Prompt
from llava_eval.types import Generation, StopReason

#: Number of new tokens of each prompt that a trial compares.
_NUM_STEPS = 4

#: Decimals to which log-probabilities of letters are recorded; further ones depend on the batch.
_DECIMALS = 3
#: Log-probability recorded for letters that the model can never write.
_LEAST_LOGPROB = -1e4


class Decoder:
    """Runs a model on batches of prompts.

    Args:
        loaded: the model.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._ignores_processors = False

    def answer(self, batch: PromptBatch) -> list[Generation | None]:
        """Return an answer for each prompt; None if its logits are not finite.

        Raises:
            ForwardError: the model fails.
        """
        if batch.prompts[0].option is None:
            return self._generated(batch)
        return option_losses(batch.prompts, self.logits(batch))

    def logits(self, batch: PromptBatch) -> torch.Tensor:
        """Run a batch's own tokens and return logits (B, S, vocabulary).

        S covers its own tokens or, if the model can limit its logits, only the longest option and
        the token before it: logits of thousands of visual tokens would take gigabytes.
        """
        model, inputs = self._loaded.model, dict(batch.inputs)
        if batch.prefix_length:
            inputs["input_ids"] = inputs["input_ids"][:, batch.prefix_length :]
            inputs |= {"position_ids": position_ids(batch), "use_cache": True}
        if "logits_to_keep" in inspect.signature(model.forward).parameters:
            longest = max(len(prompt.token_ids) - prompt.option_start for prompt in batch.prompts)
            inputs["logits_to_keep"] = longest + 1
        with self._loaded.foreign():
            self._loaded.forget_lengths()
            logits: torch.Tensor = model(**inputs).logits
        return logits

    def first_steps(self, batch: PromptBatch) -> list[list[torch.Tensor]]:
        """Return, for each prompt, the logits (vocabulary,) of the first steps, for comparison.

        The steps are the first new tokens, or the tokens of an option.

        Args:
            batch: B prompts.
        """
        steps: Sequence[torch.Tensor]  # each (B, vocabulary)
        if batch.prompts[0].option is not None:
            logits = self.logits(batch)  # (B, S, vocabulary)
            shortest = min(len(item.token_ids) - item.option_start for item in batch.prompts)
            steps = [logits[:, -1 - step] for step in range(shortest)]
        else:
            settings = batch.prompts[0].request.settings
            config = self._loaded.generation_config(settings)
            config.update(
                max_new_tokens=min(_NUM_STEPS, settings.max_new_tokens),
                stop_strings=None,
                output_logits=True,
                return_dict_in_generate=True,
            )
            steps = self._loaded.generate(batch.inputs, generation_config=config).logits
        return [list(rows) for rows in zip(*steps, strict=True)]

    def _generated(self, batch: PromptBatch) -> list[Generation | None]:
        loaded, prompts = self._loaded, batch.prompts
        settings = prompts[0].request.settings
        finite = FiniteRows(loaded.end_tokens)
        letters = FirstLogprobs([prompt.letter_tokens for prompt in prompts])
        processors: list[LogitsProcessor] = [finite, letters]
        config = loaded.generation_config(settings)
        if settings.temperature > 0:
            seeds = [sample_seed(settings.seed, prompt.request.id) for prompt in prompts]
            processors.append(SeededSampler(seeds, settings.temperature, settings.top_p))
        arguments: dict[str, Any] = {"tokenizer": loaded.tokenizer} if settings.stop_strings else {}
        if self._ignores_processors:
            config.update(output_logits=True, return_dict_in_generate=True)
        output = loaded.generate(
            batch.inputs, generation_config=config, logits_processor=processors, **arguments
        )
        if not finite.rows() and not self._ignores_processors:  # Janus ignores logits processors
            self._ignores_processors = True
            if batch.prefix_length:  # the cache has grown, so the batch cannot be repeated
                raise ForwardError(f"{loaded.name} ignores logits processors")
            return self._generated(batch)
        if self._ignores_processors:
            if settings.temperature > 0:
                raise ForwardError(f"{loaded.name} ignores logits processors, so it cannot sample")
            length = batch.inputs["input_ids"].shape[1]  # T
            for number, logits in enumerate(output.logits):  # of each step (B, vocabulary)
                for processor in processors:
                    processor(output.sequences[:, : length + number], logits)
        sequences = output.sequences if self._ignores_processors else output  # (B, L)
        new_tokens = loaded.new_tokens(sequences, batch.inputs["input_ids"]).tolist()
        return [
            self._to_generation(tokens, prompt, logprobs) if is_finite else None
            for tokens, prompt, logprobs, is_finite in zip(
                new_tokens, prompts, letters.rows(), finite.rows(), strict=True
            )
        ]

    def _to_generation(
        self, tokens: Sequence[int], prompt: Prompt, choice_logprobs: tuple[float, ...] | None
    ) -> Generation:
        """Return the text up to the end token or the first stop string."""
        settings = prompt.request.settings
        ends, stops = self._loaded.end_tokens, settings.stop_strings
        end = next((index for index, token in enumerate(tokens) if token in ends), None)
        own = list(tokens if end is None else tokens[: end + 1])
        text = self._text_of(own)
        reason: StopReason = "length" if end is None else "eos"
        cuts = [text.find(stop) for stop in stops if stop in text]
        if cuts:
            text, reason = text[: min(cuts)], "stop_string"
        if prompt.text.rstrip().endswith("<think>") and "</think>" not in text:
            text = f"<think>{text}"  # the reply ended within reasoning that the prompt began
        if cuts or (stops and end is None):
            # A row ended by a stop string is padded until the last row of its batch ends.
            while own and own[-1] == self._loaded.tokenizer.pad_token_id:
                own.pop()
            if end is None and len(own) < settings.max_new_tokens:
                # The text may lack the stop string: transformers also finds stop strings that begin
                # in the prompt, and special tokens, which the text does not contain.
                reason = "stop_string"
        return Generation(
            text=text,
            num_input_tokens=len(prompt.token_ids),
            num_output_tokens=len(own),
            stop_reason=reason,
            choice_logprobs=choice_logprobs,
        )

    def _text_of(self, tokens: Sequence[int]) -> str:
        """Return the text of new tokens, without special tokens except those around reasoning."""
        marks, decode = self._loaded.reasoning_marks, self._loaded.tokenizer.decode
        text = ""
        for is_mark, run in groupby(tokens, key=lambda token: token in marks):
            text += decode(list(run), skip_special_tokens=not is_mark)
        return text


class FirstLogprobs(LogitsProcessor):
    """Records log-probabilities of some tokens as the first new one of each row; changes nothing.

    Args:
        rows: for each row the tokens of each option's letter; empty if none are requested.
    """

    def __init__(self, rows: Sequence[Sequence[Sequence[int]]]) -> None:
        self._rows = rows
        self._kept: list[tuple[float, ...] | None] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Read the first logits (B, vocabulary)."""
        if any(self._rows) and not self._kept:
            tokens = sorted({token for row in self._rows for letter in row for token in letter})
            logprobs = scores.float().log_softmax(dim=-1)[:, tokens].tolist()  # a single copy
            self._kept = [
                _letter_logprobs(dict(zip(tokens, row, strict=True)), letters) if letters else None
                for row, letters in zip(logprobs, self._rows, strict=True)
            ]
        return scores

    def rows(self) -> list[tuple[float, ...] | None]:
        """Return for each row the log-probability of each letter, to :data:`_DECIMALS`."""
        return self._kept or [None] * len(self._rows)


def _letter_logprobs(
    logprobs: Mapping[int, float], letters: Sequence[Sequence[int]]
) -> tuple[float, ...]:
    """Return for each letter the log-probability of its most likely token."""
    best = [max(logprobs[token] for token in tokens) for tokens in letters]
    return tuple(round(max(value, _LEAST_LOGPROB), _DECIMALS) for value in best)


class FiniteRows(LogitsProcessor):
    """Records whether the logits of each row are finite until it ends; changes nothing.

    Args:
        end_tokens: ids of the tokens that end a row.
    """

    def __init__(self, end_tokens: Collection[int]) -> None:
        self._end_tokens = torch.tensor(sorted(end_tokens), dtype=torch.long)
        self._is_finite: torch.Tensor | None = None  # (B,)
        self._has_ended: torch.Tensor | None = None  # (B,)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Read logits (B, vocabulary); one value per row stays on the device."""
        now = torch.isfinite(scores.max(dim=-1).values)  # not finite: any NaN, or infinite
        if self._is_finite is None or self._has_ended is None:
            self._is_finite, self._has_ended = now, torch.zeros_like(now)
        else:
            self._end_tokens = self._end_tokens.to(input_ids.device)
            self._has_ended = self._has_ended | torch.isin(input_ids[:, -1], self._end_tokens)
            self._is_finite = self._is_finite & (now | self._has_ended)
        return scores

    def rows(self) -> list[bool]:
        """Return for each row whether all its logits were finite."""
        return [] if self._is_finite is None else list(map(bool, self._is_finite.tolist()))


class SeededSampler(LogitsProcessor):
    """Turns greedy decoding into sampling, with a random stream for each row.

    The largest of log-probabilities plus Gumbel noise is a sample from their distribution (Gumbel,
    1954; Maddison et al., arXiv 1411.0030). Each row has its own generator, on the CPU, so that the
    result does not depend on the batch or the device.

    Args:
        seeds: one seed per row.
        temperature: divisor of the logits.
        top_p: sample only from the most probable tokens that together reach this probability.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return perturbed log-probabilities (B, vocabulary)."""
        logits = scores.float() / self._temperature
        if self._top_p < 1.0:
            logits = TopPLogitsWarper(self._top_p)(input_ids, logits)
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=stream) for stream in self._generators]
        )
        smallest = torch.finfo(torch.float32).tiny
        gumbel = -torch.log(-torch.log(uniform.clamp(min=smallest)))  # (B, vocabulary)
        return logits + gumbel.to(scores.device)


def sample_seed(seed: int, sample_id: str) -> int:
    """Return the seed of one sample."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest()[:8], "big")


def option_losses(prompts: Sequence[Prompt], logits: torch.Tensor) -> list[Generation | None]:
    """Return the mean negative log-likelihood of each prompt's option.

    This is the loss that transformers' models compute from labels that mask everything except the
    option.

    Args:
        prompts: B prompts, each with one option.
        logits: (B, S, vocabulary); the last column belongs to each prompt's last token.

    Returns:
        B generations with one loss each, in nats per token; None if logits are not finite.
    """
    losses = []
    for prompt, row in zip(prompts, logits, strict=True):
        option = prompt.token_ids[prompt.option_start :]
        before = row[-len(option) - 1 : -1].float()  # (option's tokens, vocabulary)
        chosen = torch.tensor(option, device=row.device).unsqueeze(1)  # (option's tokens, 1)
        losses.append(-before.log_softmax(dim=-1).gather(1, chosen).mean())
    generations: list[Generation | None] = []
    for prompt, loss in zip(prompts, torch.stack(losses).tolist(), strict=True):
        generation = Generation(
            text=prompt.request.options[prompt.option or 0],
            num_input_tokens=prompt.option_start,
            num_output_tokens=len(prompt.token_ids) - prompt.option_start,
            option_losses=(loss,),
        )
        generations.append(generation if math.isfinite(loss) else None)
    return generations


def likeliest(asked: Sequence[tuple[Prompt, Generation]]) -> Generation:
    """Join the generations of a request's options; a failed option fails the request."""
    ordered = [generation for _, generation in sorted(asked, key=lambda pair: pair[0].option or 0)]
    failed = next((generation for generation in ordered if generation.error is not None), None)
    if failed is not None:
        return failed
    losses = tuple(loss for generation in ordered for loss in generation.option_losses or ())
    return replace(ordered[losses.index(min(losses))], option_losses=losses)
