"""The conversation around the user's turn: the checkpoint's chat template, or a literal text."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError, PromptError, first_line
from llava_eval.models.local.placeholders import Placeholders
from llava_eval.types import PreparedMedia, Request

_log = logging.getLogger(__name__)

#: Lines of Python that a chat template may run; real ones run some thousands.
TEMPLATE_LIMIT_LINES = 1_000_000
#: Memory and seconds of the processor that it may use: "{{ 'a' * 10**10 }}" is one line.
TEMPLATE_LIMIT_BYTES = 1 << 28
TEMPLATE_LIMIT_SECONDS = 5

#: Longest wait for a try, where the child waits for something and uses no time.
_TRIAL_SECONDS = 60
_OUT_OF_MEMORY = 3


@dataclass(frozen=True)
class Conversation:
    """How a request becomes the text that the model reads.

    Attributes:
        config: which conversation.
        processor: of the checkpoint.
    """

    config: ConversationConfig
    processor: Any
    _tried: set[object] = field(default_factory=set, init=False, repr=False, compare=False)
    _told: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @cached_property
    def placeholders(self) -> Placeholders:
        """What stands for media in a text."""
        return Placeholders(self.processor)

    def render(self, request: Request) -> str:
        """Return the prompt text, with one placeholder per medium.

        Raises:
            PromptError: the text would not be what the request asks for.
            CheckpointError: a chat template is needed and the checkpoint has none.
        """
        kinds = [kind for medium in request.prepared_media for kind in medium.shown_kinds]
        tokens = [self.placeholders.token(kind) for kind in kinds]
        self._check_no_stray_placeholder(request)
        if self.config.template is None:
            text = self._by_chat_template(request)
        else:
            tokens = [] if self.placeholders.are_written(kinds) else tokens
            text = self._literal(self.config.template, request, iter(tokens))
        for token in set(tokens):
            if text.count(token) != tokens.count(token):
                raise PromptError(
                    f"sample {request.id}: {tokens.count(token)} media need {token} but "
                    f"conversation {self.config.name!r} renders it {text.count(token)} times"
                )
        return text

    def continuation(self, prompt: str, request: Request, reply: str) -> str:
        """Return what follows a prompt where the assistant's turn is this reply, its end included.

        Source: EvolvingLMMs-Lab/lmms-eval, models/llava_vid.py, loglikelihood: the conversation's
        own separators, " " and "</s>" in vicuna_v1.

        Args:
            prompt: what :meth:`render` returned.
            request: what is asked.
            reply: the assistant's turn.
        """
        joined = request.assistant_prefill or not prompt or prompt[-1].isspace()
        return f"{'' if joined else ' '}{reply}{self._end_of_turn}"

    @cached_property
    def _end_of_turn(self) -> str:
        """The special token that a chat template writes behind a reply, else that of a text.

        Gemma's turns end in ``<end_of_turn>``, its texts in ``<eos>``.
        """
        tokenizer = self.processor.tokenizer
        turns: list[dict[str, Any]] = [
            {"role": role, "content": [_text(text)]}
            for role, text in (("user", "Why?"), ("assistant", "So."))
        ]
        if self.config.template is None:
            with suppress(Exception, _HarmError):  # it may refuse the turns
                behind = str(self._in_its_form(turns)).rpartition("So.")[2].strip()
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
            text = self._in_its_form(_messages(request), **{end: True})
        except _HarmError as error:
            raise CheckpointError(
                f"the checkpoint's chat template {error}; choose a literal conversation such as "
                "conversation=plain"
            ) from error
        except TemplateSyntaxError as error:
            raise CheckpointError(
                f"the checkpoint's chat template is broken, line {error.lineno}: {error.message}"
            ) from error
        except TemplateError as error:
            raise PromptError(
                f"sample {request.id}: the chat template refuses the turn: {error}"
            ) from error
        except Exception as error:  # a border: templates are programs that anybody may have written
            raise CheckpointError(
                f"the checkpoint's chat template fails: {type(error).__name__}: "
                f"{first_line(error)}; choose a literal conversation such as conversation=plain"
            ) from error
        if not isinstance(text, str):
            raise CheckpointError(
                f"the checkpoint's chat template renders a {type(text).__name__}, expected a text"
            )
        self._check_texts(request, text)
        return text

    def _in_its_form(self, messages: list[dict[str, Any]], **end: bool) -> object:
        """Return what the template makes of a turn, given as strings where it wants those."""
        text = self._rendered(messages, **end)
        as_strings = [_as_string(turn, text) for turn in messages]
        return text if as_strings == messages else self._rendered(as_strings, **end)

    def _rendered(self, messages: list[dict[str, Any]], **end: bool) -> object:
        """Return what the template makes of a turn; the first of each form is tried elsewhere."""
        dates: list[str] = []

        def render() -> object:
            with _limited(TEMPLATE_LIMIT_LINES, dates):
                return self.processor.apply_chat_template(messages, tokenize=False, **end)

        form = frozenset(
            (turn["role"], "" if isinstance(part, str) else part["type"])
            for turn in messages
            for part in turn["content"]
        )
        if form not in self._tried:
            harm = _why_harmful(render)
            if harm is not None:
                raise _HarmError(harm)
            self._tried.add(form)
        text = render()
        written = [] if not isinstance(text, str) else [d for d in dates if d.strip() and d in text]
        if written and not self._told:
            self._told.update(written)
            _log.warning(
                "the checkpoint's chat template writes the time of asking into prompts (%r): on "
                "another day, as where a run is continued or held to a baseline, they are others; "
                "a literal conversation such as conversation=plain writes none",
                written[0],
            )
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

    def _literal(self, template: str, request: Request, tokens: Iterator[str]) -> str:
        """Fill in a template; ``tokens`` stand for what media show, where any are to be written."""
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
        """Raise where a text holds a media placeholder: the model would look for a medium there."""
        for piece in (*request.content, *request.options):
            for token in self.placeholders.known():
                if isinstance(piece, str) and token in piece:
                    raise PromptError(
                        f"sample {request.id}: its text holds {token!r}, which this model reads as "
                        "a medium"
                    )


def _messages(request: Request) -> list[dict[str, Any]]:
    """Return the turns as chat templates take them."""
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


def _as_string(turn: dict[str, Any], prompt: object) -> dict[str, Any]:
    """Return a turn with a string in place of its parts, if a template printed the list of them.

    Some write ``{{ message.content }}`` for a system text alone, as those of GLM-4.1V and Llama 3.2
    Vision; which turns they want as a string nothing but the prompt tells.
    """
    parts = turn["content"]
    is_printed = isinstance(prompt, str) and str(parts)[:-3] in prompt  # a prefill has no end
    if not is_printed or any(part["type"] != "text" for part in parts):
        return turn
    return {**turn, "content": "".join(part["text"] for part in parts)}


class _HarmError(BaseException):
    """What a template does to a process, in words; no ``except Exception`` in it stops this."""


class _OutOfMemoryError(_HarmError):
    """Raised in place of a MemoryError, which Jinja's folding of constants passes over."""


@contextmanager
def _limited(num_lines: int, dates: list[str]) -> Iterator[None]:
    """Stop what runs in the block, in this thread, after so many calls and lines of Python.

    Time would be another limit on a machine with other work.

    Args:
        num_lines: so many.
        dates: gets what transformers' ``strftime_now`` gave a template meanwhile.

    Raises:
        _HarmError: it was stopped.
        _OutOfMemoryError: a MemoryError was raised in it, even if something there caught that.
    """
    num_left = num_lines

    def count(frame: FrameType, event: str, detail: Any) -> Any:
        nonlocal num_left
        if event == "return" and frame.f_code.co_name == "strftime_now":
            dates.append(str(detail))
        if event == "exception" and issubclass(detail[0], MemoryError):
            raise _OutOfMemoryError("takes all memory")
        num_left -= 1
        if num_left < 0:
            raise _HarmError(f"does not end (not done after {num_lines:,} lines of Python)")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)


def _why_harmful(render: Callable[[], object]) -> str | None:
    """Return why a stranger's program must not run in this process, after a try in a child.

    Only there can memory, and time within one operation (``9 ** 9 ** 9``), be limited without a
    limit to the threads that decode and to the device. A child that does not come back for another
    reason, or a system without fork or such limits, says nothing.

    Args:
        render: runs it; what it raises otherwise it will raise here again.
    """
    if not hasattr(os, "fork"):
        return None
    try:
        with warnings.catch_warnings():  # of fork among threads: the child uses none of their locks
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except OSError:  # neither memory nor processes are left for a try
        return None
    if child == 0:
        exit_code = 0
        try:
            _limit_this_process()
            render()
        except (MemoryError, _OutOfMemoryError):
            exit_code = _OUT_OF_MEMORY
        except BaseException:  # noqa: BLE001, S110 - the same is raised again where it is handled
            pass
        finally:
            os._exit(exit_code)
    end = time.monotonic() + _TRIAL_SECONDS
    ended = status = 0
    try:
        while not ended and time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0 if ended else 0.001)
    except ChildProcessError:  # whoever started this process has it ignore how children end
        ended = child
    finally:
        if not ended:
            os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return f"does not end (not done after {TEMPLATE_LIMIT_SECONDS} s)"
    if os.WIFSIGNALED(status):
        return f"ends the process ({signal.Signals(os.WTERMSIG(status)).name})"
    if os.waitstatus_to_exitcode(status) == _OUT_OF_MEMORY:
        return f"fails: MemoryError: it asks for more than {TEMPLATE_LIMIT_BYTES >> 20} MiB"
    return None


def _limit_this_process() -> None:
    """Let this process use so much more memory (Linux) and time, and then end it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = (TEMPLATE_LIMIT_SECONDS, TEMPLATE_LIMIT_SECONDS + 1)
    resource.setrlimit(resource.RLIMIT_CPU, seconds)
    num_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    num_bytes = num_pages * resource.getpagesize() + TEMPLATE_LIMIT_BYTES
    before = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [limit for limit in (*before, num_bytes) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), before[1]))
