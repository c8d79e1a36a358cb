"""The conversation around the user's turn: the checkpoint's chat template, or a literal text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from llava_eval.errors import CheckpointError, ConfigError, PromptError
from llava_eval.types import MediaKind, Request


@dataclass(frozen=True)
class Conversation:
    """How a request becomes the text that the model reads.

    Attributes:
        name: for tables and messages.
        template: None uses the checkpoint's chat template. Otherwise the literal text with the
            fields ``{system}``, ``{user}`` and ``{prefill}``.
        system: system text of a literal template, unless the request brings its own.
        media_separator: what follows each media placeholder in a literal template.
    """

    name: str
    template: str | None = None
    system: str = ""
    media_separator: str = "\n"

    def __post_init__(self) -> None:
        if self.template is None:
            return
        try:
            self.template.format(system="", user="", prefill="")
        except (KeyError, ValueError, IndexError) as error:
            raise ConfigError(
                f"conversation.template: {error} in {self.template!r}; its fields are {{system}}, "
                "{user} and {prefill}"
            ) from error
        if "{user}" not in self.template:
            raise ConfigError(f"conversation.template has no {{user}}: {self.template!r}")

    def render(self, request: Request, processor: Any) -> str:
        """Return the prompt text, with one placeholder per medium.

        Raises:
            PromptError: the text would not be what the request asks for.
            CheckpointError: a chat template is needed and the checkpoint has none.
        """
        placeholders = [placeholder(medium.kind, processor) for medium in request.media]
        _check_no_stray_placeholder(request, processor)
        if self.template is None:
            text = self._by_chat_template(request, processor)
        else:
            text = self._literal(self.template, request, processor)
        for token in set(placeholders):
            if text.count(token) != placeholders.count(token):
                raise PromptError(
                    f"sample {request.id}: {placeholders.count(token)} media need {token} but "
                    f"conversation {self.name!r} renders it {text.count(token)} times"
                )
        return text

    def continuation(self, prompt: str, request: Request, reply: str, processor: Any) -> str:
        """Return what follows a prompt where the assistant's turn is this reply, its end included.

        Source: EvolvingLMMs-Lab/lmms-eval, models/llava_vid.py, loglikelihood: the conversation's
        own separators, " " and "</s>" in vicuna_v1.

        Args:
            prompt: what :meth:`render` returned.
            request: what is asked.
            reply: the assistant's turn.
            processor: of the checkpoint.
        """
        joined = request.assistant_prefill or not prompt or prompt[-1].isspace()
        return f"{'' if joined else ' '}{reply}{processor.tokenizer.eos_token or ''}"

    def _by_chat_template(self, request: Request, processor: Any) -> str:
        if not getattr(processor, "chat_template", None):
            raise CheckpointError(
                "the checkpoint brings no chat template; choose a literal conversation such as "
                "conversation=vicuna_v1 or conversation=plain"
            )
        messages: list[dict[str, Any]] = []
        if request.system is not None:
            messages.append(_message("system", [{"type": "text", "text": request.system}]))
        messages.append(_message("user", _user_content(request)))
        if request.assistant_prefill:
            prefill = {"type": "text", "text": request.assistant_prefill}
            messages.append(_message("assistant", [prefill]))
        try:
            text = processor.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=not request.assistant_prefill,
                continue_final_message=bool(request.assistant_prefill),
            )
        except TemplateSyntaxError as error:
            raise CheckpointError(
                f"the checkpoint's chat template is broken, line {error.lineno}: {error.message}"
            ) from error
        except TemplateError as error:
            raise PromptError(
                f"sample {request.id}: the chat template refuses the turn: {error}"
            ) from error
        assert isinstance(text, str)
        self._check_texts(request, text)
        return text

    def _check_texts(self, request: Request, text: str) -> None:
        """Raise where a template drops, changes or repeats a text that it was given.

        The template that some LLaVA-NeXT-Video checkpoints bring prints a system text twice.
        """
        pieces = [piece for piece in request.content if isinstance(piece, str)]
        for piece in pieces:
            if piece.strip() not in text:
                raise PromptError(
                    f"sample {request.id}: the chat template drops or changes the text "
                    f"{piece[:60]!r}"
                )
        system = (request.system or "").strip()
        expected = 1 + sum(piece.count(system) for piece in pieces) if system else 0
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

    def _literal(self, template: str, request: Request, processor: Any) -> str:
        user = "".join(
            piece
            if isinstance(piece, str)
            else placeholder(piece.kind, processor) + self.media_separator
            for piece in request.content
        )
        system = self.system if request.system is None else request.system
        return template.format(system=system, user=user, prefill=request.assistant_prefill)


def placeholder(kind: MediaKind, processor: Any) -> str:
    """Return the text that stands for a medium, for instance ``<video>``.

    Raises:
        CheckpointError: the processor takes no media of this kind.
    """
    token = getattr(processor, f"{kind}_token", None)
    if not isinstance(token, str):
        raise CheckpointError(
            f"the checkpoint takes no {kind}: its {type(processor).__name__} has no token for it"
        )
    return token


def _user_content(request: Request) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": piece} if isinstance(piece, str) else {"type": piece.kind}
        for piece in request.content
    ]


def _message(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": role, "content": content}


def _check_no_stray_placeholder(request: Request, processor: Any) -> None:
    """Raise where a text holds a media placeholder: the model would look for a medium there."""
    tokens = [getattr(processor, f"{kind}_token", None) for kind in ("image", "video")]
    for piece in request.content:
        for token in tokens:
            if isinstance(piece, str) and isinstance(token, str) and token in piece:
                raise PromptError(
                    f"sample {request.id}: its text holds {token!r}, which this model reads as a "
                    "medium"
                )
