"""A run in the format of lm-eval and lmms-eval: results_*.json and samples_*.jsonl.

Source: EleutherAI/lm-evaluation-harness, lm_eval/result_schema.py and
lm_eval/loggers/evaluation_tracker.py.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

from llava_eval.results.exchange.run_facts import RunFacts, as_share, sha256_of
from llava_eval.results.ledger import json_line
from llava_eval.results.runs import facets_beside
from llava_eval.types import SampleResult


def lm_eval(facts: RunFacts) -> dict[str, Any]:
    """Return results and samples, by path below lm-eval's ``--output_path``."""
    run, task = facts.run, facts.file_name
    started = datetime.datetime.fromisoformat(facts.started)
    ended = datetime.datetime.fromisoformat(facts.ended)
    sanitized = re.sub(r"[^\w.-]", "_", facts.model.replace("/", "__"))
    numbers: dict[str, Any] = {"alias": facts.run.benchmark}
    metrics = run.tables.metrics
    for name, value in metrics.items():
        numbers[f"{name},none"] = as_share(value.value, value.unit)
        error = as_share(value.stderr, value.unit)
        numbers[f"{name}_stderr,none"] = "N/A" if error is None else error
    numbers["sample_len"] = len(run.results)
    content = {
        "results": {task: numbers},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "metadata": {"protocol": run.label}}},
        "versions": {task: run.parts.benchmark.version},
        "n-shot": {task: 0},
        "higher_is_better": {task: {name: True for name in metrics if run.is_directed(name)}},
        "n-samples": {task: {"original": len(run.results), "effective": len(run.results)}},
        "config": {"model": "llava_eval", "model_args": run.model, **facts.generation},
        "git_hash": run.manifest.git_commit,
        "date": started.timestamp(),
        "transformers_version": run.manifest.versions.get("transformers"),
        "model_source": "hf" if facts.is_local else "unknown",
        "model_name": facts.model,
        "model_name_sanitized": sanitized,
        "start_time": started.timestamp(),
        "end_time": ended.timestamp(),
        "total_evaluation_time_seconds": str((ended - started).total_seconds()),
    }
    stamp = started.strftime("%Y-%m-%dT%H-%M-%S.%f")
    return {
        f"{sanitized}/results_{stamp}.json": content,
        f"{sanitized}/samples_{task}_{stamp}.jsonl": "".join(
            f"{json_line(_sample(result, facts))}\n" for result in run.results
        ),
    }


def _sample(result: SampleResult, facts: RunFacts) -> dict[str, Any]:
    metric = next(iter(facts.run.tables.metrics), "score")
    text = result.generation.text or ""
    target = result.target[0] if len(result.target) == 1 else list(result.target)
    document: dict[str, Any] = {
        "id": result.id,
        "question": result.question,
        "choices": list(result.choices),
        "media": list(result.media),
    }
    document |= facets_beside(document, result)
    line = {
        "doc_id": result.row,
        "doc": document,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": result.prompt, "arg_1": dict(facts.generation)}},
        "resps": [[text]],
        "filtered_resps": [result.score.answer or ""],
        "filter": "none",
        "doc_hash": sha256_of(json.dumps(document, ensure_ascii=False)),
        "prompt_hash": sha256_of(result.prompt),
        "target_hash": sha256_of(str(target)),
        **({} if (error := result.generation.error) is None else {"error": error}),
    }
    name = f"metric_{metric}" if metric in {*line, "metrics", "error"} else metric
    return {**line, "metrics": [name], name: result.score.value}
