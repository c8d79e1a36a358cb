"""The judge's replies, judge.jsonl: one JSON object per reply, appended as they come in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self

from llava_eval.borders.json_text import JsonError, digest, parse_json
from llava_eval.borders.paths import append_line, read_file, storage_errors
from llava_eval.borders.typed_json import Count, as_type
from llava_eval.config.schema import JudgeConfig
from llava_eval.errors import RunDirectoryError, StorageError
from llava_eval.models.chat_client import Completion, MalformedError, is_withheld
from llava_eval.scoring.reply import without_reasoning
from llava_eval.scoring.scorer import JudgeReply, Messages

FILE_NAME = "judge.jsonl"


@dataclass(frozen=True, slots=True)
class KeptReply(JudgeReply):
    """What a judge replied, with what the endpoint said of it.

    Its text is what follows the reasoning, which the judges of no reference send.

    Attributes:
        snapshot: the model that the endpoint says has answered.
        num_input_tokens, num_output_tokens: as the endpoint counted them; None where it did not.
    """

    snapshot: str = "unnamed"
    num_input_tokens: int | None = None
    num_output_tokens: int | None = None


def key_of(config: JudgeConfig, messages: Messages) -> str:
    """Return what a reply is kept under: everything that can change it but the address.

    Args:
        config: of the judge.
        messages: the prompt.
    """
    content: dict[str, Any] = {
        "model": config.model,
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
        "messages": [dict(message) for message in messages],
    }
    if config.response_format:
        content["response_format"] = config.response_format
    return digest(content)


class ReplyStore:
    """Replies by key, read from files of earlier runs and appended to one's own, by any thread.

    Args:
        path: the run's own file; made when the first reply comes in.
        others: files of other runs whose replies may be used.

    Raises:
        RunDirectoryError: a file is damaged.
        StorageError: a file cannot be read.
    """

    def __init__(self, path: Path, others: Iterable[Path] = ()) -> None:
        self._path = path
        self._replies = {key: kept for key, kept, _ in _lines(path)}
        self._borrowed: dict[str, Mapping[str, Any]] = {}
        for other in others:
            for key, kept, content in _lines(other):
                if key not in self._replies:
                    self._replies[key] = kept
                    self._borrowed[key] = content
        self._stream: FileIO | None = None
        self._lock = threading.Lock()

    def get(self, key: str) -> KeptReply | None:
        """Return a reply that is known; one of another run becomes part of this file too.

        Args:
            key: see :func:`key_of`.
        """
        borrowed = self._borrowed.pop(key, None)
        if borrowed is not None:
            self._append(borrowed)
        return self._replies.get(key)

    def add(
        self, key: str, config: JudgeConfig, messages: Messages, completion: Completion, text: str
    ) -> KeptReply:
        """Keep a reply, on disk before anything is made of it.

        Args:
            key: see :func:`key_of`.
            config: of the judge.
            messages: the prompt.
            completion: what the endpoint sent.
            text: of it, after the reasoning.

        Raises:
            StorageError: it cannot be written.
        """
        line = _Line(
            key,
            completion.text,
            completion.model,
            completion.finish_reason,
            completion.num_input_tokens,
            completion.num_output_tokens,
        )
        self._append(
            {
                "key": key,
                "model": config.model,
                "base_url": config.base_url,
                "temperature": config.temperature,
                "max_tokens": config.max_tokens,
                "messages": [dict(message) for message in messages],
                **asdict(line),
            }
        )
        self._replies[key] = reply = line.kept(text)
        return reply

    def add_malformed(self, key: str, config: JudgeConfig, error: MalformedError) -> None:
        """Keep a response that was no reply at all, for people to look at; it is never used.

        Args:
            key: see :func:`key_of`.
            config: of the judge.
            error: with the response's body.

        Raises:
            StorageError: it cannot be written.
        """
        self._append(
            {"key": key, "model": config.model, "malformed": str(error), "body": error.body}
        )

    def _append(self, content: Mapping[str, Any]) -> None:
        # ASCII only: no line can be broken by a character that some reader takes for a line break.
        line = json.dumps(content, ensure_ascii=True).encode() + b"\n"
        with storage_errors(self._path), self._lock:
            if self._stream is None:
                _drop_torn_line(self._path)
                self._stream = self._path.open("ab", buffering=0)
            append_line(self._stream, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _drop_torn_line(path: Path) -> None:
    """Cut off what a killed process left of a line."""
    if not path.exists():
        return
    content = read_file(path)
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with path.open("r+b") as stream:
            stream.truncate(whole)


@dataclass(frozen=True)
class _Line:
    """What is read of a line that keeps a reply, which is all that the endpoint sent."""

    key: str
    reply: str
    snapshot: str | None = None
    finish_reason: str | None = None
    num_input_tokens: Count | None = None
    num_output_tokens: Count | None = None

    def kept(self, text: str) -> KeptReply:
        return KeptReply(
            text,
            snapshot=self.snapshot or "unnamed",
            num_input_tokens=self.num_input_tokens,
            num_output_tokens=self.num_output_tokens,
        )


def _lines(path: Path) -> Iterator[tuple[str, KeptReply, Mapping[str, Any]]]:
    """Yield key, reply and line of what a file keeps, without a torn last line and no replies."""
    try:
        content = read_file(path)
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    for number, written in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            whole = parse_json(written, dict)
            if "malformed" in whole:
                continue
            line = as_type(whole, _Line)
        except JsonError as error:
            raise RunDirectoryError(
                f"{path}, line {number} is damaged ({error}); remove that line to ask the judge "
                "again"
            ) from error
        # What a filter left is asked again, and what ends within its reasoning.
        text = without_reasoning(line.reply)
        if text is not None and not is_withheld(line.finish_reason):
            yield line.key, line.kept(text), whole
