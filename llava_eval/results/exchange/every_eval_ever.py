"""A run in the schema of Every Eval Ever, version 0.3.0: an aggregate and a line per sample.

Source: evaleval/every_eval_ever, eval.schema.json and instance_level_eval.schema.json.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
import uuid
from typing import Any

import llava_eval
from llava_eval.metrics.means import range_of
from llava_eval.results.exchange.run_facts import RunFacts, sha256_of
from llava_eval.results.ledger import json_line
from llava_eval.results.runs import facets_beside
from llava_eval.types import MetricValue, SampleResult

SCHEMA_VERSION = "0.3.0"
#: A metric without a better direction; the schema has no other place for it.
_UNDIRECTED = {"direction": "neither more nor less of it is better"}
#: Metadata of a sample that only the converter of inspect's logs writes.
_CONVERTED = frozenset({"epoch", "stop_reason"})
#: Characters that the data store's validator rejects in a folder's name.
_NOT_IN_FOLDERS = re.compile(r'[<>:"\\|?*/\x00-\x1f]')


def every_eval_ever(facts: RunFacts) -> dict[str, Any]:
    """Return both files, by path below the root of the data store (``data/...``).

    The schema has no place for metrics without a value or samples without a score; both are left
    out. The aggregate's details have the numbers of scored, unreadable and failed samples. If no
    sample has a score there is no second file, because the validator requires at least one line.
    """
    run, is_local = facts.run, facts.is_local
    transformers = run.manifest.versions.get("transformers") if is_local else None
    has_developer = "/" in facts.model
    model_id = facts.model if has_developer else f"local/{facts.model}"
    # one folder each; "llava:7b" is a model name of Ollama, but not a valid folder everywhere
    developer, name = (_NOT_IN_FOLDERS.sub("_", part) for part in model_id.split("/", 1))
    seconds = int(datetime.datetime.fromisoformat(facts.started).timestamp())
    evaluation_id = f"{facts.file_name}/{model_id.replace('/', '_')}/{seconds}"
    # the same run gets the same name in every export; the same texts scored by two rules get two
    name_of_run = "\n".join([facts.fingerprint, evaluation_id, run.label])
    identity = uuid.UUID(bytes=hashlib.sha256(name_of_run.encode()).digest()[:16], version=4)
    below = f"data/{facts.file_name}/{developer}/{name}/{identity}"
    headline = next(iter(run.tables.metrics), None)
    scored = [result for result in run.results if result.score.value is not None]
    named = (evaluation_id, model_id, headline, facts)
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id,
        "evaluation_timestamp": str(seconds),
        "retrieved_timestamp": str(seconds),
        "source_metadata": {
            "source_name": "llava_eval",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "llava_eval", "version": llava_eval.__version__},
        "model_info": {
            "name": run.model,
            "id": model_id,
            "inference_engine": {
                "name": "transformers" if is_local else "unknown",
                "version": str(transformers or "unknown"),
            },
            "additional_details": {
                "deployment_type": "self_deployed" if is_local else "unknown",
                "model_availability": "open_weights" if has_developer else "unknown",
            },
        },
        "evaluation_results": [
            _result(metric, value, evaluation_id, facts)
            for metric, value in run.tables.metrics.items()
            if value.value is not None
        ],
    }
    if not scored:
        return {f"{below}.json": content}
    text = "".join(f"{json_line(_instance(item, *named))}\n" for item in scored)
    content["detailed_evaluation_results"] = {
        "format": "jsonl",
        "file_path": f"{below}_samples.jsonl",
        "hash_algorithm": "sha256",
        "checksum": sha256_of(text),
        "total_rows": len(scored),
    }
    return {f"{below}.json": content, f"{below}_samples.jsonl": text}


def _result(metric: str, value: MetricValue, evaluation_id: str, facts: RunFacts) -> dict[str, Any]:
    run = facts.run
    uncertainty: dict[str, Any] = {"num_samples": value.num_samples}
    if value.stderr is not None:
        uncertainty["standard_error"] = {"value": value.stderr, "method": "clustered by group"}
    if value.ci_low is not None and value.ci_high is not None:
        uncertainty["confidence_interval"] = {
            "lower": value.ci_low,
            "upper": value.ci_high,
            "confidence_level": 0.95,
            "method": "clustered by group",
        }
    low, high = range_of(value.unit) or ("-Infinity", "Infinity")
    source: dict[str, Any] = {"dataset_name": facts.run.benchmark, "source_type": "other"}
    if facts.dataset is not None:
        source |= {"source_type": "hf_dataset", "hf_repo": facts.dataset}
        source["samples_number"] = len(run.results)
    arguments = {**facts.generation, "execution_command": facts.command}
    return {
        "evaluation_result_id": f"{evaluation_id}/{metric}",
        "evaluation_name": facts.run.benchmark,
        "source_data": source,
        "metric_config": {
            "evaluation_description": run.label,
            "metric_id": metric,
            "metric_name": metric,
            "metric_unit": value.unit,
            "lower_is_better": False,
            **({} if run.is_directed(metric) else {"additional_details": _UNDIRECTED}),
            "score_type": "continuous",
            "min_score": low,
            "max_score": high,
        },
        "score_details": {
            "score": value.value,
            "details": {
                "scored": str(value.num_samples),
                "unreadable": str(run.num_unreadable),
                "failed": str(run.num_errors),
            },
            "uncertainty": uncertainty,
        },
        "generation_config": {
            "generation_args": {key: item for key, item in arguments.items() if item is not None},
            "additional_details": {"benchmark": run.label, "model": run.model},
        },
    }


def _instance(
    result: SampleResult, evaluation_id: str, model_id: str, metric: str | None, facts: RunFacts
) -> dict[str, Any]:
    generation, score = result.generation, result.score
    value = score.value or 0.0
    metadata = {
        "group": result.group,
        "media": json.dumps(list(result.media)),
        "frame_indices": json.dumps([list(indices) for indices in result.frame_indices]),
        "unreadable": str(score.unreadable).lower(),
    }
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id,
        "model_id": model_id,
        "evaluation_name": facts.run.benchmark,
        "evaluation_result_id": f"{evaluation_id}/{metric}",
        "sample_id": result.id,
        "sample_hash": sha256_of(result.prompt + "".join(result.target)),
        "interaction_type": "single_turn",
        "input": {"raw": result.prompt, "reference": list(result.target)},
        "output": {"raw": [generation.text or ""]},
        "answer_attribution": [],
        "evaluation": {"score": value, "is_correct": math.isclose(value, facts.run.full_score)},
        "metadata": {**facets_beside(metadata.keys() | _CONVERTED, result), **metadata},
    }
    if result.choices:
        content["input"]["choices"] = list(result.choices)
    if score.answer is not None:
        content["answer_attribution"] = [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": str(score.answer),
                "extraction_method": facts.scorer,
                "is_terminal": True,
            }
        ]
    counts = (generation.num_input_tokens, generation.num_output_tokens)
    if counts[0] is not None and counts[1] is not None:
        content["token_usage"] = {
            "input_tokens": counts[0],
            "output_tokens": counts[1],
            "total_tokens": counts[0] + counts[1],
        }
    return content
