"""The file of a judge's replies, judge.jsonl: one JSON object per reply, in order of arrival."""

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
    """A recorded reply of a judge.

    Its text excludes reasoning, which the references' judges do not produce.

    Attributes:
        snapshot: the model that answered, as the endpoint names it.
        num_input_tokens, num_output_tokens: token counts of the endpoint; None if it gives none.
    """

    snapshot: str = "unnamed"
    num_input_tokens: int | None = None
    num_output_tokens: int | None = None


def key_of(config: JudgeConfig, messages: Messages) -> str:
    """Return the key of a reply: a digest of everything that can change it, except the address.

    Args:
        config: configuration of the judge.
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
    """Replies by key, read from this and other runs' files; any thread may append to this run's.

    Args:
        path: the run's own file; created when the first reply arrives.
        others: files of other runs whose replies may be reused.

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
        """Return a recorded reply, or None; a reply of another run is copied to this run's file.

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
        """Record a reply on disk, before it is used.

        Args:
            key: see :func:`key_of`.
            config: configuration of the judge.
            messages: the prompt.
            completion: the endpoint's response.
            text: the response's text after the reasoning.

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
        """Record a malformed response for inspection by people; it is never used.

        Args:
            key: see :func:`key_of`.
            config: configuration of the judge.
            error: the error with the response's body.

        Raises:
            StorageError: it cannot be written.
        """
        self._append(
            {"key": key, "model": config.model, "malformed": str(error), "body": error.body}
        )

    def _append(self, content: Mapping[str, Any]) -> None:
        # ASCII only, because some readers treat other characters as line breaks.
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
    """Remove an incomplete last line, which a killed process may leave."""
    if not path.exists():
        return
    content = read_file(path)
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with path.open("r+b") as stream:
            stream.truncate(whole)


@dataclass(frozen=True)
class _Line:
    """The fields that are read of a line with a reply; ``reply`` is the endpoint's whole text."""

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
    """Yield key, reply and line of a file, skipping an incomplete last line and non-replies."""
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
        # Withheld replies, and replies that end within their reasoning, are requested again.
        text = without_reasoning(line.reply)
        if text is not None and not is_withheld(line.finish_reason):
            yield line.key, line.kept(text), whole
