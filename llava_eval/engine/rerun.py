"""Some samples of a finished run, answered once more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from llava_eval import run as program
from llava_eval.config.compose import composed_of
from llava_eval.results.formatting import Table, terminal_width, write_out
from llava_eval.results.runs import RunReader
from llava_eval.types import SampleResult


def rerun(
    path: Path, ids: Sequence[str], *, out: Path | None, as_json: bool, config_dir: Path | None
) -> int:
    """Answer samples of a run once more, as it is configured, and print what changed.

    Args:
        path: run directory; it stays as it is.
        ids: of the samples.
        out: run directory for the new answers; None takes a new one.
        as_json: print JSON.
        config_dir: the user's own configuration files.

    Returns:
        The exit code: 1 where a sample failed.

    Raises:
        LlavaEvalError: the run cannot be read, or has no such sample.
    """
    reader = RunReader(config_dir)
    before = {result.id: result for result in reader.read(path).results}
    config = reader.read(path).config
    composed = composed_of({**config, "output_dir": None if out is None else str(out)})
    outcome = program.run(composed, only=ids)
    after = reader.read(outcome.directory).results
    pairs = [(before[result.id], result) for result in after if result.id in before]
    if as_json:
        rows = [{"id": new.id, "before": _facts(old), "after": _facts(new)} for old, new in pairs]
        content = {"directory": str(outcome.directory), "samples": rows}
        write_out(json.dumps(content, indent=2, ensure_ascii=False))
        return outcome.exit_code
    lines = [
        [new.id, _written(old), _written(new), " | ".join(new.target), _change(old, new)]
        for old, new in pairs
    ]
    table = Table(["sample", "before", "now", "target", ""], lines, num_names=5)
    write_out(f"{table.to_text(terminal_width())}\n\n{outcome.directory}")
    return outcome.exit_code


def _facts(result: SampleResult) -> dict[str, object]:
    return {
        "text": result.generation.text,
        "error": result.generation.error,
        "answer": result.score.answer,
        "value": result.score.value,
    }


def _written(result: SampleResult) -> str:
    text = result.generation.text
    return f"({result.generation.error})" if text is None else text or "(empty)"


def _change(old: SampleResult, new: SampleResult) -> str:
    if old.score.value != new.score.value:
        return f"{_value(old)} -> {_value(new)}"
    return "same text" if old.generation.text == new.generation.text else "same score"


def _value(result: SampleResult) -> str:
    return "-" if result.score.value is None else f"{result.score.value:g}"
