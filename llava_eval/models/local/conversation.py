"""The conversation around the user's turn: the checkpoint's chat template, or a literal text."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from jinja2 import TemplateError, TemplateSyntaxError

from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError, PromptError, first_line
from llava_eval.models.local.placeholders import Placeholders
from llava_eval.models.local.template_limits import HarmError, limited, why_harmful
from llava_eval.types import PreparedMedia, Request

_log = logging.getLogger(__name__)

#: Templates and forms of turns that were tried in a child process, by processor: sweeps, audits and
#: the doctor create many conversations for the same processor.
_HARMLESS: WeakKeyDictionary[Any, set[object]] = WeakKeyDictionary()


class Conversation:
    """Renders a request as the text that the model reads.

    Args:
        config: the conversation.
        processor: the checkpoint's processor.
    """

    def __init__(self, config: ConversationConfig, processor: Any) -> None:
        self.config = config
        self.processor = processor
        self._placeholders = Placeholders(processor)
        self._harmless = _HARMLESS.setdefault(processor, set())
        self._has_warned_of_dates = False

    def render(self, request: Request) -> str:
        """Return the prompt text, with one placeholder per medium.

        Raises:
            PromptError: the text would not be what the request specifies.
            CheckpointError: a chat template is needed and the checkpoint has none.
        """
        kinds = [kind for medium in request.prepared_media for kind in medium.shown_kinds]
        tokens = [self._placeholders.token(kind) for kind in kinds]
        self._check_no_stray_placeholder(request)
        if self.config.template is None:
            text = self._by_chat_template(request)
        else:
            tokens = [] if self._placeholders.are_written(kinds) else tokens
            text = self._literal(self.config.template, request, iter(tokens))
        for token in set(tokens):
            if text.count(token) != tokens.count(token):
                raise PromptError(
                    f"sample {request.id}: {tokens.count(token)} media need {token} but "
                    f"conversation {self.config.name!r} renders it {text.count(token)} times"
                )
        return text

    def continuation(self, prompt: str, request: Request, reply: str) -> str:
        """Return the text after a prompt if the assistant's turn is this reply, with its end.

        Source: EvolvingLMMs-Lab/lmms-eval, models/llava_vid.py, loglikelihood: the conversation's
        own separators, " " and "</s>" in vicuna_v1.

        Args:
            prompt: the result of :meth:`render`.
            request: the request.
            reply: the assistant's turn.
        """
        joined = request.assistant_prefill or not prompt or prompt[-1].isspace()
        return f"{'' if joined else ' '}{reply}{self._end_of_turn}"

    @cached_property
    def _end_of_turn(self) -> str:
        """The special token that a chat template writes after a reply, else the end-of-text token.

        Gemma's turns end in ``<end_of_turn>``, its texts in ``<eos>``.
        """
        tokenizer = self.processor.tokenizer
        turns: list[dict[str, Any]] = [
            {"role": role, "content": [_text(text)]}
            for role, text in (("user", "Why?"), ("assistant", "So."))
        ]
        if self.config.template is None:
            with suppress(Exception, HarmError):  # the template may refuse these turns
                behind = self._apply_template(turns).rpartition("So.")[2].strip()
                first = tokenizer(behind, add_special_tokens=False)["input_ids"][:1]
                if first and not tokenizer.decode(first, skip_special_tokens=True):
                    return str(tokenizer.decode(first))
        return str(tokenizer.eos_token or "")

    def _by_chat_template(self, request: Request) -> str:
        if not getattr(self.processor, "chat_template", None):
            raise CheckpointError(
                "the checkpoint brings no chat template; choose a literal conversation such as "
                "conversation=vicuna_v1 or conversation=plain"
            )
        try:
            end = "continue_final_message" if request.assistant_prefill else "add_generation_prompt"
            text = self._apply_template(_messages(request), **{end: True})
        except TemplateSyntaxError as error:
            raise CheckpointError(
                f"the checkpoint's chat template is broken, line {error.lineno}: {error.message}"
            ) from error
        except TemplateError as error:
            raise PromptError(
                f"sample {request.id}: the chat template refuses the turn: {error}"
            ) from error
        except (Exception, HarmError) as error:  # templates are foreign code
            is_known = isinstance(error, HarmError)
            flaw = str(error) if is_known else f"fails: {type(error).__name__}: {first_line(error)}"
            raise CheckpointError(
                f"the checkpoint's chat template {flaw}; choose a literal conversation such as "
                "conversation=plain"
            ) from error
        self._check_texts(request, text)
        return text

    def _apply_template(self, messages: list[dict[str, Any]], **end: bool) -> str:
        """Render turns with the template, as strings if the template expects strings."""
        text = self._apply_safely(messages, **end)
        as_strings = [_as_string(turn, text) for turn in messages]
        return text if as_strings == messages else self._apply_safely(as_strings, **end)

    def _apply_safely(self, messages: list[dict[str, Any]], **end: bool) -> str:
        """Render turns with the template; each new form is first tried in a child process."""
        dates: list[str] = []

        def render() -> object:
            with limited(dates):
                return self.processor.apply_chat_template(messages, tokenize=False, **end)

        parts = frozenset(
            (turn["role"], "" if isinstance(part, str) else part["type"])
            for turn in messages
            for part in turn["content"]
        )
        form = (repr(self.processor.chat_template), parts)  # named templates are a dict
        if form not in self._harmless:
            harm = why_harmful(render)
            if harm is not None:
                raise HarmError(harm)
            self._harmless.add(form)
        text = render()
        if not isinstance(text, str):
            raise HarmError(f"renders a {type(text).__name__}, expected a text")
        written = [date for date in dates if date.strip() and date in text]
        if written and not self._has_warned_of_dates:
            self._has_warned_of_dates = True
            _log.warning(
                "the checkpoint's chat template writes the time of asking into prompts (%r): on "
                "another day, as where a run is continued or held to a baseline, they are others; "
                "a literal conversation such as conversation=plain writes none",
                written[0],
            )
        return text

    def _check_texts(self, request: Request, text: str) -> None:
        """Raise if a template drops, changes or repeats a given text.

        The template of some LLaVA-NeXT-Video checkpoints prints a system text twice.
        """
        pieces = [piece for piece in request.content if isinstance(piece, str)]
        for piece in pieces:
            if piece.strip() not in text:
                raise PromptError(
                    f"sample {request.id}: the chat template drops or changes the text "
                    f"{piece[:60]!r}"
                )
        system = (request.system or "").strip()
        expected = 1 + sum(piece.count(system) for piece in pieces)
        if system and text.count(system) != expected:
            raise PromptError(
                f"sample {request.id}: the chat template prints the system text "
                f"{text.count(system)} times instead of once; choose a literal conversation such "
                "as conversation=plain"
            )
        if request.assistant_prefill and not text.endswith(request.assistant_prefill):
            raise PromptError(
                f"sample {request.id}: the chat template does not end in the assistant's "
                f"beginning {request.assistant_prefill!r} but in {text[-40:]!r}; choose a literal "
                "conversation"
            )

    def _literal(self, template: str, request: Request, tokens: Iterator[str]) -> str:
        """Fill in a literal template; ``tokens`` are the media placeholders to write, if any."""
        user = ""
        for piece in request.content:
            if isinstance(piece, PreparedMedia):
                shown = itertools.islice(tokens, len(piece.shown_kinds))
                user += "".join(token + self.config.media_separator for token in shown)
            else:
                assert isinstance(piece, str)
                user += piece
        system = self.config.system if request.system is None else request.system
        return template.format(system=system, user=user, prefill=request.assistant_prefill)

    def _check_no_stray_placeholder(self, request: Request) -> None:
        """Raise if a text contains a media placeholder, which the model would read as a medium."""
        for piece in (*request.content, *request.options):
            for token in self._placeholders.known():
                if isinstance(piece, str) and token in piece:
                    raise PromptError(
                        f"sample {request.id}: its text holds {token!r}, which this model reads as "
                        "a medium"
                    )


def _messages(request: Request) -> list[dict[str, Any]]:
    """Return the turns in the form that chat templates expect."""
    user: list[dict[str, Any]] = []
    for piece in request.content:
        if isinstance(piece, PreparedMedia):
            user += [{"type": kind} for kind in piece.shown_kinds]
        else:
            assert isinstance(piece, str)
            user.append(_text(piece))
    turns: list[dict[str, Any]] = [{"role": "user", "content": user}]
    if request.system is not None:
        turns.insert(0, {"role": "system", "content": [_text(request.system)]})
    if request.assistant_prefill:
        turns.append({"role": "assistant", "content": [_text(request.assistant_prefill)]})
    return turns


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _as_string(turn: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Return a turn with a string instead of parts, if a template printed the list of parts.

    Some templates write ``{{ message.content }}`` only for a system text, such as those of GLM-4.1V
    and Llama 3.2 Vision; only the rendered prompt shows which turns they expect as a string.
    """
    parts = turn["content"]
    is_printed = str(parts)[:-3] in prompt  # a prefill has no end
    if not is_printed or any(part["type"] != "text" for part in parts):
        return turn
    return {**turn, "content": "".join(part["text"] for part in parts)}
