"""``llava-eval export``: a run in the files of other tools. Nothing is uploaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from llava_eval.errors import ComparisonError
from llava_eval.results import files
from llava_eval.results.exchange.every_eval_ever import write_every_eval_ever
from llava_eval.results.exchange.hub import write_hub_entry
from llava_eval.results.exchange.inspect_log import write_inspect_log
from llava_eval.results.exchange.lm_eval import write_lm_eval
from llava_eval.results.exchange.run_facts import RunFacts
from llava_eval.results.runs import RunReader

#: By the name of the format: writes a run below a folder.
FORMATS: Mapping[str, Callable[[RunFacts, Path], list[Path]]] = {
    "inspect": write_inspect_log,
    "eee": write_every_eval_ever,
    "lm-eval": write_lm_eval,
    "hub": write_hub_entry,
}


def export_run(path: Path, form: str, folder: Path) -> list[Path]:
    """Write a run in another tool's files.

    Args:
        path: the run directory.
        form: one of :data:`FORMATS`.
        folder: to write into.

    Returns:
        The files that were written.

    Raises:
        ComparisonError: the run cannot be read, has no numbers, or cannot go into that format.
        StorageError: a file cannot be written.
    """
    run = RunReader().read(path)
    if not run.tables.metrics:
        raise ComparisonError(f"{run.name} has no metrics.json; it is not finished")
    files.make_folder(folder)
    return FORMATS[form](RunFacts.of(run), folder)
