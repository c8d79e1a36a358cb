"""A run's headline as an entry of a model's ``.eval_results`` on the hub.

Source: huggingface/hub-docs, eval_results.yaml; huggingface_hub, ``EvalResultEntry``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from llava_eval.borders.hub_cache import hub_errors
from llava_eval.errors import ComparisonError, first_line
from llava_eval.results.exchange.run_facts import RunFacts
from llava_eval.results.formatting import interval, number


def hub_entry(facts: RunFacts) -> dict[str, Any]:
    """Return ``.eval_results/NAME.yaml``, to be proposed to the model's repository.

    The hub defines a benchmark by the ``eval.yaml`` of its data set; a run with rows from another
    data set, or from a file, cannot have an entry.

    Raises:
        ComparisonError: the run is incomplete, has no number, or the hub has no such benchmark.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    run = facts.run
    if run.incomplete is not None:
        raise ComparisonError(f"{run.name} {run.incomplete}; the hub takes whole runs")
    if facts.dataset is None:
        raise ComparisonError(
            f"{run.name}: its rows came from {facts.source or 'nowhere that is known'}, and the "
            "hub accepts only numbers of its own data sets (benchmark.source=hub://...)"
        )
    name, value = next(iter(run.tables.metrics.items()), (None, None))
    if value is None or value.value is None:
        raise ComparisonError(f"{run.name}: its headline metric has no value")
    notes = [
        f"{run.label}: {name} {number(value.value, value.unit)} {value.unit}",
        f"95 % interval {interval(value.ci_low, value.ci_high, value.unit)}",
        f"{value.num_samples} scored, {run.num_unreadable} unreadable, {run.num_errors} failed",
    ]
    if run.model != facts.model:
        notes.append(run.model)
    entry = EvalResultEntry(
        dataset_id=facts.dataset,
        task_id=_task_of(facts),
        value=round(value.value, 4),
        date=facts.started[:10],
        notes="; ".join(notes),
    )
    text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
    return {f".eval_results/{facts.file_name}.yaml": text}


def _task_of(facts: RunFacts) -> str:
    """Return the task id in the data set's eval.yaml for the subset and split of a run.

    Raises:
        ComparisonError: there is no readable eval.yaml, or no task for this subset and split.
    """
    from huggingface_hub import hf_hub_download

    assert facts.dataset is not None
    benchmark: dict[str, Any] = facts.run.config.get("benchmark", {})
    try:
        path = hf_hub_download(facts.dataset, "eval.yaml", repo_type="dataset")
        tasks = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["tasks"]
        wanted = (benchmark.get("subset") or "default", benchmark.get("split") or "test")
        for task in tasks:
            if (task.get("config") or "default", task.get("split") or "test") == wanted:
                return str(task["id"])
    except hub_errors() as error:
        raise ComparisonError(
            f"{facts.dataset} has no eval.yaml that can be read, so the hub takes no numbers of "
            f"it: {first_line(error)}"
        ) from error
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ComparisonError(
            f"{facts.dataset}: its eval.yaml names no tasks: {first_line(error)}"
        ) from error
    raise ComparisonError(
        f"{facts.dataset}: its eval.yaml has no task of subset {wanted[0]!r} and split "
        f"{wanted[1]!r}, which the run read"
    )
