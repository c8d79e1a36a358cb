"""Prompts: the tokens of a question, and the model's other inputs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch

from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import PromptError
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.plan import ModelPlan, foreign_code
from llava_eval.models.local.prepared_media import WholePrompts
from llava_eval.models.local.processor import load_processor
from llava_eval.types import Request


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's prompt.

    Attributes:
        request: the request.
        text: the rendered conversation, with one placeholder per medium.
        token_ids: its tokens with expanded media, including those of the option, if any.
        media_end: number of tokens up to and including the last medium's, all of which a shared
            prefix must contain; the number of all tokens if no part may be computed separately.
        option: number of the request's option whose likelihood is computed; None to generate.
        option_start: number of tokens before the option's; they equal those of the prompt without
            the option.
        inputs: the processor's output for the whole prompt, a batch of one; None if media are
            encoded separately from prompts.
        letter_tokens: for each of the request's letters, the tokens that represent it.
    """

    request: Request
    text: str
    token_ids: tuple[int, ...]
    media_end: int
    option: int | None = None
    option_start: int = 0
    inputs: Mapping[str, Any] | None = None
    letter_tokens: tuple[tuple[int, ...], ...] = ()

    @property
    def num_shareable_tokens(self) -> int:
        """Number of leading tokens that may be computed once for several prompts.

        The last token before the answer must be the prompt's own, because its logits are needed.
        """
        return (len(self.token_ids) if self.option is None else self.option_start) - 1

    @property
    def media_name(self) -> str:
        """The media that it shows, in words, for instance "images and videos"."""
        kinds = [kind for medium in self.request.prepared_media for kind in medium.shown_kinds]
        if not kinds:
            return "no media"
        if len(kinds) == 1:
            return f"one {kinds[0]}"
        return " and ".join(f"{kind}s" for kind in sorted(set(kinds)))

    @property
    def kind(self) -> Hashable:
        """A key that must be equal for prompts that run together."""
        return self.request.settings, self.option is None

    @property
    def max_num_tokens(self) -> int:
        """Maximum number of tokens, including those that may be generated."""
        new = self.request.settings.max_new_tokens if self.option is None else 0
        return len(self.token_ids) + new


class PromptWriter:
    """Writes the prompts of requests.

    Args:
        loaded: the model.
        conversation: text around the user's turn.
        whole: the processor for whole prompts.
    """

    def __init__(
        self, loaded: LoadedModel, conversation: Conversation, whole: WholePrompts
    ) -> None:
        self._loaded = loaded
        self._conversation = conversation
        self._whole = whole

    def prompts(self, request: Request) -> list[Prompt]:
        """Return the prompt of a request, or one prompt for each option to compare.

        Raises:
            PromptError: the conversation cannot be rendered, or an option has no tokens.
            CheckpointError: no prompt can be made with this checkpoint.
            ForwardError: the processor fails.
        """
        text = self._conversation.render(request)
        asked = self._prompt(request, text)
        if not request.options:
            letters = tuple(map(self._loaded.letter_tokens, request.letters))
            return [replace(asked, letter_tokens=letters) if letters else asked]
        if self._loaded.is_encoder_decoder:
            raise PromptError(
                f"sample {request.id}: {self._loaded.name} reads prompts with an encoder; "
                "likelihoods of options cannot be asked of it"
            )
        prompts = []
        for number, option in enumerate(request.options):
            is_blank = not option.strip()
            reply = "" if is_blank else self._conversation.continuation(text, request, option)
            whole = self._prompt(request, text + reply)
            self._check_end(whole)
            # If the prompt ends in a space, the space becomes part of the option's first token.
            start = common_prefix_length([asked.token_ids, whole.token_ids])
            if len(whole.token_ids) <= start:
                raise PromptError(f"sample {request.id}: option {number} {option!r} has no tokens")
            prompts.append(replace(whole, option=number, option_start=start))
        return prompts

    def _check_end(self, prompt: Prompt) -> None:
        """Raise if the processor appends tokens to a text, which would follow the option.

        PaliGemma's appends a line break, Chameleon's and Fuyu's the token that begins an answer.
        """
        if prompt.inputs is None:  # composed by us
            return
        last = self._loaded.tokenizer(prompt.text)["input_ids"][-1]
        if prompt.token_ids[-1] != last:
            written = self._loaded.tokenizer.decode(prompt.token_ids[-1:])
            raise PromptError(
                f"sample {prompt.request.id}: {type(self._loaded.processor).__name__} writes "
                f"{written!r} behind every text; likelihoods of options cannot be asked of it"
            )

    def whole_inputs(self, *prompts: Prompt) -> Mapping[str, Any]:
        """Return the processor's inputs for whole prompts, padded, on the CPU.

        Raises:
            ForwardError: the processor fails.
        """
        if len(prompts) == 1 and prompts[0].inputs is not None:
            return prompts[0].inputs
        with self._loaded.foreign():
            return self._whole.inputs(
                *((item.text, item.request.prepared_media) for item in prompts)
            )

    def _prompt(self, request: Request, text: str) -> Prompt:
        media = request.prepared_media
        if media and all(medium.token_ids for medium in media):
            return self._composed(request, text)
        with self._loaded.foreign():
            inputs = self._whole.inputs((text, media))
        ids = inputs["input_ids"][0].tolist()
        media_end = self._media_end(ids, inputs)
        mask = inputs.get("attention_mask")
        has_padding = mask is not None and not bool(torch.as_tensor(mask).all())
        if has_padding or (media and media_end == 0):
            media_end = len(ids)
        return Prompt(request, text, tuple(ids), media_end, inputs=inputs)

    def _media_end(self, ids: Sequence[int], inputs: Mapping[str, Any]) -> int:
        """Return the number of tokens up to the last media token; 0 without any."""
        ends = [n + 1 for n, token in enumerate(ids) if token in self._loaded.media_token_ids]
        types = inputs.get("mm_token_type_ids")
        if types is not None:
            ends += [n + 1 for n, kind in enumerate(types[0].tolist()) if kind]
        return max(ends, default=0)

    def _composed(self, request: Request, text: str) -> Prompt:
        """Insert the tokens of separately prepared media into the tokens of a text.

        Placeholders are special tokens, so a text is split at them before anything else is
        tokenized, and replacing a placeholder by the medium's tokens gives the same ids as the
        processor's own whole prompt. The trial of shared prefixes checks this.
        """
        tokenizer = self._loaded.tokenizer
        bos = tokenizer.bos_token
        has_bos = bos is not None and text.startswith(bos)
        ids = tokenizer(text, add_special_tokens=not has_bos)["input_ids"]
        media = iter(request.prepared_media)
        placeholders = {
            self._loaded.placeholder_id(medium.kind) for medium in request.prepared_media
        }
        expanded: list[int] = []
        media_end = 0
        for token in ids:
            if token in placeholders:
                expanded += next(media).token_ids
                media_end = len(expanded)
            else:
                expanded.append(token)
        return Prompt(request, text, tuple(expanded), media_end)


def preview_prompt(
    plan: ModelPlan, conversation: ConversationConfig, request: Request
) -> tuple[str, list[str]]:
    """Return the text of a prompt, and its tokens including those of media, without weights.

    Args:
        plan: plan of the model.
        conversation: text around the user's turn.
        request: request with media as returned by :func:`shown_medium`.

    Raises:
        PromptError: the text would not be what the request specifies.
        CheckpointError: the checkpoint has no processor or chat template, or its processor fails.
    """
    processor = load_processor(plan)
    text = Conversation(conversation, processor).render(request)
    with foreign_code(f"{plan.checkpoint.name}: its processor fails on the first prompt"):
        inputs = WholePrompts(processor, plan.processor).inputs((text, request.prepared_media))
    ids = inputs["input_ids"][0].tolist()
    return text, list(map(str, processor.tokenizer.convert_ids_to_tokens(ids)))


def common_prefix_length(sequences: Sequence[tuple[int, ...]]) -> int:
    """Return the number of leading tokens that all sequences share."""
    # Tokens that the first and the last in lexicographic order share are shared by all others too.
    pairs = zip(min(sequences), max(sequences), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
