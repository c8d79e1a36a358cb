"""Baselines: what a gate needs of an earlier run, small enough to commit and to read in a review.

A baseline is a JSON file with a header and one line for each sample::

    {"id": "001-1", "asked": "3fa29c01d2", "target": "9be21c44a0", "value": 1.0, "answer": "B"}

``asked`` and ``target`` are digests of the prompt with its media and of the accepted answers, so
that a changed question is noticed. Everything else about a question comes from the run that is
held against the baseline.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from llava_eval.config.describe import protocol_of
from llava_eval.errors import ComparisonError
from llava_eval.metrics.differences import DECIMALS
from llava_eval.results import files
from llava_eval.results.cost import cost_of
from llava_eval.results.runs import Run
from llava_eval.types import Generation, SampleResult, Score

FORMAT = "llava_eval baseline"
VERSION = 1


def write_baseline(path: Path, run: Run) -> None:
    """Write a run's baseline.

    Raises:
        ComparisonError: the run is not whole, or more samples failed than its configuration allows.
        StorageError: the file cannot be written.
    """
    reason = unusable(run)
    if reason is not None:
        raise ComparisonError(f"{run.name} cannot be a baseline: it {reason}")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "benchmark": run.label,
        "model": run.model,
        "fingerprint": run.manifest.get("fingerprint"),
        "metrics": _shown_metrics(run),
        "num_samples": len(run.results),
        "num_unreadable": run.num_unreadable,
        "num_errors": run.num_errors,
        "seconds_per_sample": _rounded(cost_of(run).seconds_per_sample),
        "origin": _origin(run),
        "protocol": protocol_of(run.config),
        "metric_nodes": {name: dict(node) for name, node in run.metric_nodes.items()},
    }
    lines = [f"  {_json(key)}: {_header_value(value)}," for key, value in header.items()]
    samples = ",\n".join(f"    {_json(_sample(result))}" for result in run.results)
    with files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, "\n".join(["{", *lines, '  "samples": [', samples, "  ]", "}\n"]))


def unusable(run: Run) -> str | None:
    """Return why nothing can be said from a run, in words that follow its name; None if it can."""
    reason = run.incomplete()
    if reason is not None:
        return reason
    if run.num_errors > run.max_errors:
        failed = next(one for one in run.results if one.generation.error is not None)
        cause = str(failed.generation.error)
        return (
            f"holds {run.num_errors} failed samples, at most {run.max_errors} are allowed "
            f"(errors.max); the first is {failed.id}: {cause}"
        )
    return None


def _origin(run: Run) -> dict[str, Any]:
    """Return where a run came from: software, weights, machine, date."""
    versions: Mapping[str, Any] = run.manifest.get("versions") or {}
    model: Mapping[str, Any] = run.manifest.get("model") or {}
    sessions: Sequence[Mapping[str, Any]] = run.manifest.get("sessions") or ()
    names = ("llava_eval", "torch", "transformers")
    return {
        "date": sessions[-1].get("ended") if sessions else None,
        "git_commit": run.manifest.get("git_commit"),
        **{name: versions.get(name) for name in names},
        "weights_sha256": model.get("weights_sha256"),
        "machine": cost_of(run).machine,
    }


def _shown_metrics(run: Run) -> dict[str, Any]:
    """Return the values of the run's own tables, for people who read the file."""
    return {
        name: round(value["value"], 4)
        for name, value in (run.tables.get("metrics") or {}).items()
        if isinstance(value, Mapping) and isinstance(value.get("value"), int | float)
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _sample(result: SampleResult) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": result.id,
        "asked": _asked_digest(result),
        "target": _target_digest(result),
    }
    if result.generation.error is not None:
        return {**content, "error": result.generation.error}
    content |= {"value": _compared(result.score.value), "answer": result.score.answer}
    if result.score.unreadable:
        content["unreadable"] = True
    if result.score.details:
        details = result.score.details.items()
        content["details"] = {name: _compared(value) for name, value in details}
    return content


def _compared(value: Any) -> Any:
    """Return a number with the decimals that are compared: the others would only blur a diff."""
    return round(value, DECIMALS) if isinstance(value, float) else value


def _asked_digest(result: SampleResult) -> str:
    return _digest([result.prompt, *(PurePath(path).stem for path in result.media)])


def _target_digest(result: SampleResult) -> str:
    return _digest(result.target)


def _digest(texts: Iterable[str]) -> str:
    content = json.dumps(list(texts), ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def _header_value(value: Any) -> str:
    """Return JSON with one line for each key of a mapping: a change is one line of a diff."""
    if not isinstance(value, Mapping) or not value:
        return _json(value)
    lines = [f"    {_json(key)}: {_json(one)}" for key, one in value.items()]
    return "\n".join(["{", ",\n".join(lines), "  }"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def read_baseline(path: Path, run: Run) -> Run:
    """Return a baseline as a run that can be compared with ``run``.

    Questions are taken from ``run`` where the digests agree. Where they do not, the sample gets a
    text that names the digest, so that it is seen to differ.

    Raises:
        ComparisonError: the file is no baseline, or of another version.
    """
    content = _read(path)
    if content.get("format") != FORMAT:
        raise ComparisonError(f"{path} is no baseline: its format is {content.get('format')!r}")
    if content.get("version") != VERSION:
        raise ComparisonError(
            f"{path} is a baseline of version {content.get('version')}, expected {VERSION}; "
            "write it anew with llava-eval gate RUN --write-baseline"
        )
    questions = {result.id: result for result in run.results}
    try:
        results = [
            _result(row, sample, questions.get(sample["id"]))
            for row, sample in enumerate(content["samples"])
        ]
        return Run(path=path, manifest=_manifest(content), tables={}, results=results)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ComparisonError(
            f"{path} is damaged ({type(error).__name__}: {error}); write it anew"
        ) from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ComparisonError(f"there is no baseline {path}") from None
    except (OSError, ValueError) as error:
        raise ComparisonError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ComparisonError(f"{path} is no baseline: it holds no JSON object")
    return content


def _manifest(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a manifest that comparisons read."""
    origin: Mapping[str, Any] = content.get("origin") or {}
    config = _nested(content["protocol"])
    config.setdefault("benchmark", {})["metrics"] = content.get("metric_nodes") or {}
    config["errors"] = {"max": content.get("num_errors", 0)}
    seconds = content.get("seconds_per_sample")
    session = {
        "num_generated": content["num_samples"],
        "wall_seconds": seconds * content["num_samples"] if seconds else 0.0,
        "stage_seconds": {"generate": seconds * content["num_samples"] if seconds else 0.0},
        "machine": {"processor": origin.get("machine")},
    }
    return {
        "status": "finished",
        "benchmark": content["benchmark"],
        "model_label": content["model"],
        "fingerprint": content.get("fingerprint"),
        "identity": {"num_samples": content["num_samples"]},
        "config": config,
        "versions": {
            name: origin[name] for name in ("llava_eval", "torch", "transformers") if name in origin
        },
        "git_commit": origin.get("git_commit"),
        "model": {"weights_sha256": origin.get("weights_sha256")},
        "sessions": [session],
    }


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in leaves.items():
        *parents, last = key.split(".")
        node = tree
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def _result(row: int, sample: Mapping[str, Any], question: SampleResult | None) -> SampleResult:
    error = sample.get("error")
    answer = sample.get("answer")
    generation = Generation(None, error=error) if error else Generation(answer or "")
    score = Score(
        value=sample.get("value"),
        answer=answer,
        unreadable=sample.get("unreadable", False),
        details=sample.get("details") or {},
    )
    if question is None:
        question = SampleResult(
            sample["id"], row, sample["id"], {}, "", (), "", (), (), (), generation, score
        )
    changes: dict[str, Any] = {}
    if sample["asked"] != _asked_digest(question):
        changes["prompt"] = f"(digest {sample['asked']})"
    if sample["target"] != _target_digest(question):
        changes["target"] = (f"(digest {sample['target']})",)
    return dataclasses.replace(question, generation=generation, score=score, **changes)
