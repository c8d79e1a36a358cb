"""The ledger, samples.jsonl: one JSON object per sample, appended as samples finish.

During a run, lines are in the order in which samples finished. Each is passed to the operating
system at once, so that a killed process loses at most the line it was writing. At the end of the
run the file is rewritten in the order of the source rows, with the final scores. Nothing in a line
depends on when or how fast it was made: a resumed run ends with the same file as an uninterrupted
one.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from llava_eval.borders.json_text import JsonError, parse_json
from llava_eval.borders.paths import append_line, open_file, storage_errors
from llava_eval.borders.typed_json import as_type
from llava_eval.errors import RunDirectoryError, StorageError
from llava_eval.results.files import reading_errors, write_text
from llava_eval.types import MediaInput, SampleResult

_OTHER_LINE_BREAKS = ("\x85", "\u2028", "\u2029")
#: The keys of a line's score that are fields of Score; all other keys are its details.
_SCORE_KEYS = ("value", "answer", "unreadable", "explanation")
#: Keys of a line's generation that are written even if they are null.
_GENERATION_KEYS = ("text", "num_input_tokens", "num_output_tokens", "stop_reason", "error")


def to_line(result: SampleResult) -> str:
    """Return a result as one line of JSON, without a line feed."""
    indices = [list(frames) for frames in result.frame_indices]
    score: dict[str, Any] = {
        "value": result.score.value,
        "answer": result.score.answer,
        "unreadable": result.score.unreadable,
        **({"explanation": result.score.explanation} if result.score.explanation else {}),
        **result.score.details,
    }
    generation = {
        name: value
        for name, value in dataclasses.asdict(result.generation).items()
        if name in _GENERATION_KEYS or value is not None
    }
    content = {
        "id": result.id,
        "row": result.row,
        "group": result.group,
        "facets": dict(result.facets),
        "question": result.question,
        "choices": list(result.choices),
        "prompt": result.prompt,
        "media": list(result.media),
        # One list of frames for one medium, the usual case; otherwise a list of lists.
        "frame_indices": indices[0] if len(indices) == 1 else indices,
        **({"inputs": [*map(_input_of, result.inputs)]} if result.inputs else {}),
        "target": list(result.target),
        "generation": generation,
        "score": score,
    }
    return json_line(content)


def json_line(content: object) -> str:
    """Return JSON on one line, also for str.splitlines() and editors with more line ends."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    for character in _OTHER_LINE_BREAKS:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _input_of(medium: MediaInput) -> dict[str, Any]:
    """Return the input of a medium as a JSON object; times are rounded to microseconds."""
    content = dataclasses.asdict(medium)
    content["pts_seconds"] = [round(time, 6) for time in medium.pts_seconds]
    return {name: value for name, value in content.items() if value not in (None, ())}


def from_line(line: str | bytes) -> SampleResult:
    """Return the result that a line contains.

    Raises:
        JsonError: the line is not a complete ledger line; the message says what is wrong.
    """
    content = parse_json(line, dict, is_ours=True)
    indices = content.get("frame_indices")
    if isinstance(indices, list) and not any(isinstance(frames, list) for frames in indices):
        content["frame_indices"] = [indices] if indices else []
    score = content.get("score")
    if isinstance(score, dict):
        known = {key: score.pop(key) for key in _SCORE_KEYS if key in score}
        content["score"] = {**known, "details": score}
    return as_type(content, SampleResult)


def read_ledger(path: Path) -> list[SampleResult]:
    """Read a ledger; an incomplete last line, which a killed process leaves, is dropped.

    Raises:
        RunDirectoryError: another line is damaged, or an id occurs twice.
    """
    try:
        return list(iterate_ledger(path))
    except FileNotFoundError:
        return []


def iterate_ledger(path: Path, *, finished: bool = False) -> Iterator[SampleResult]:
    """Yield the results of :func:`read_ledger` line by line; a missing file raises.

    Args:
        path: the ledger.
        finished: no process writes it any more: a complete last line counts even without its line
            feed, which some editors leave out.

    Raises:
        RunDirectoryError: as for :func:`read_ledger`.
    """
    seen: set[str] = set()
    with reading_errors(path, RunDirectoryError), open_file(path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n") and not finished:
                return
            try:
                result = from_line(line)
            except JsonError as error:
                if not line.endswith(b"\n"):
                    return
                raise RunDirectoryError(
                    f"{path}, line {number} is damaged ({error}); remove that line to generate "
                    "its sample again"
                ) from error
            if result.id in seen:
                raise RunDirectoryError(f"{path}: sample {result.id!r} is there twice")
            seen.add(result.id)
            yield result


def rewrite_ledger(path: Path, results: Iterable[SampleResult]) -> None:
    """Replace the ledger with these results in the order of their source rows.

    Raises:
        StorageError: the ledger cannot be written; the old one is untouched.
    """
    ordered = sorted(results, key=lambda result: result.row)
    write_text(path, "".join(f"{to_line(result)}\n" for result in ordered))


class LedgerWriter:
    """Appends results to a ledger, each by one unbuffered write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with storage_errors(path):
            self._stream = path.open("ab", buffering=0)

    def append(self, result: SampleResult) -> None:
        """Write one line.

        Raises:
            StorageError: the line cannot be written (a partial one is cut off again if possible),
                or the file was removed or replaced meanwhile, so that the line would be lost.
        """
        with storage_errors(self._path):
            if not self._is_in_place():
                raise StorageError(
                    f"{self._path} was removed or replaced while the run was writing to it; the "
                    "run stops here"
                )
            # A lone surrogate, which UTF-8 cannot encode, becomes its JSON escape.
            line = f"{to_line(result)}\n".encode(errors="backslashreplace")
            append_line(self._stream, line)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._stream.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
