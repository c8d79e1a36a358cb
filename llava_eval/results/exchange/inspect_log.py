"""A run as a log of inspect, version 2: ``inspect view`` shows it, ``read_eval_log`` reads it.

Source: UKGovernmentBEIS/inspect_ai, src/inspect_ai/log/_log.py.
"""

from __future__ import annotations

import re
from typing import Any

from llava_eval.results.exchange.run_facts import RunFacts, as_share
from llava_eval.results.runs import facets_beside
from llava_eval.types import MetricValue, SampleResult

_STOP_REASONS = {"eos": "stop", "stop_string": "stop", "length": "max_tokens"}


def inspect_log(facts: RunFacts) -> dict[str, Any]:
    """Return one ``.json`` log, by its file name in the folder of inspect's logs."""
    run = facts.run
    spec = {
        "eval_id": facts.fingerprint[:22],
        "run_id": facts.fingerprint[:22],
        "created": facts.started,
        "task": facts.run.benchmark,
        "task_id": facts.fingerprint[:22],
        "task_version": run.parts.benchmark.version or 0,
        "task_args": {"benchmark": run.label, "model": run.model},
        "dataset": {
            "name": facts.source or facts.run.benchmark,
            "samples": len(run.results),
            "sample_ids": [result.id for result in run.results],
            "shuffled": False,
        },
        "model": facts.model,
        "model_generate_config": facts.generation,
        "config": {"epochs": 1},
        "packages": {name: str(version) for name, version in run.manifest.versions.items()},
        "metadata": {"label": run.label, "model_label": run.model},
    }
    content = {
        "version": 2,
        "status": "success" if run.incomplete is None else "cancelled",
        "eval": spec,
        "plan": {"name": "plan", "steps": []},
        "results": {
            "total_samples": len(run.results),
            "completed_samples": len(run.results) - run.num_errors,
            "scores": [_score(name, value, facts) for name, value in run.tables.metrics.items()],
        },
        "stats": {"started_at": facts.started, "completed_at": facts.ended},
        "samples": [_sample(result, facts) for result in run.results],
    }
    stamp = facts.started.replace(":", "-")
    task = re.sub(r"[^A-Za-z0-9]+", "-", facts.run.benchmark)  # inspect splits file names at "_"
    return {f"{stamp}_{task}_{facts.fingerprint[:22]}.json": content}


def _score(name: str, value: MetricValue, facts: RunFacts) -> dict[str, Any]:
    bounds = {key: getattr(value, key) for key in ("stderr", "ci_low", "ci_high")}
    # a metric's own count may be of groups, or of a part of the samples
    unscored = sum(result.score.value is None for result in facts.run.results)
    return {
        "name": name,
        "scorer": facts.scorer,
        "scored_samples": len(facts.run.results) - unscored,
        "unscored_samples": unscored,
        "metrics": {
            key: {"name": key, "value": as_share(number, value.unit)}
            for key, number in {name: value.value, **bounds}.items()
            if number is not None
        },
    }


def _sample(result: SampleResult, facts: RunFacts) -> dict[str, Any]:
    generation, score = result.generation, result.score
    text = generation.text or ""
    reply = {"role": "assistant", "content": text, "source": "generate", "model": facts.model}
    usage = {
        "input_tokens": generation.num_input_tokens or 0,
        "output_tokens": generation.num_output_tokens or 0,
        "total_tokens": (generation.num_input_tokens or 0) + (generation.num_output_tokens or 0),
    }
    metadata = {
        "group": result.group,
        "row": result.row,
        "media": list(result.media),
        "frame_indices": [list(indices) for indices in result.frame_indices],
    }
    metadata = {**facets_beside(metadata, result), **metadata}
    content: dict[str, Any] = {
        "id": result.id,
        "epoch": 1,
        "input": result.prompt,
        "choices": list(result.choices) or None,
        "target": list(result.target),
        "messages": [{"role": "user", "content": result.prompt, "source": "input"}, reply],
        "output": {
            "model": facts.model,
            "choices": [
                {
                    "message": reply,
                    "stop_reason": _STOP_REASONS.get(generation.stop_reason or "", "unknown"),
                }
            ],
            "usage": usage,
        },
        "metadata": metadata,
        "model_usage": {facts.model: usage},
    }
    if score.value is not None:
        content["scores"] = {
            facts.scorer: {
                "value": score.value,
                "answer": score.answer,
                "explanation": score.explanation or None,
                "metadata": {"unreadable": score.unreadable, **score.details},
            }
        }
    if generation.error is not None:
        error = generation.error
        content["error"] = {"message": error, "traceback": error, "traceback_ansi": error}
    return content
