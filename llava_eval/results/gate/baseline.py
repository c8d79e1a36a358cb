"""Baselines: the part of an earlier run that a gate needs, small enough to commit and review.

A baseline is a JSON file with a header and one line per sample::

    {"id": "001-1", "asked": "3fa29c01d2", "target": "9be21c44a0", "value": 1.0, "answer": "B"}

``asked`` is a digest of the prompt and its media, ``target`` one of the accepted answers; they
reveal a changed question. Everything else about a question comes from the run that is compared
with the baseline.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, get_args

from llava_eval.borders.json_text import digest, load_json
from llava_eval.borders.paths import is_folder
from llava_eval.borders.typed_json import Count, as_type
from llava_eval.config.roles import put, with_role
from llava_eval.errors import ComparisonError
from llava_eval.metrics.differences import DECIMALS
from llava_eval.results import files
from llava_eval.results.cost import Cost
from llava_eval.results.formatting import printable, shortened
from llava_eval.results.runs import (
    OWN_CODE,
    ComparableRun,
    ConfigParts,
    ErrorsPart,
    Run,
    RunReader,
    is_run,
)
from llava_eval.types import (
    Generation,
    MediaInput,
    MediaProblem,
    MediaProblemKind,
    SampleResult,
    Score,
)

FORMAT = "llava_eval baseline"
VERSION = 1
_PACKAGES = ("llava_eval", "torch", "transformers")


@dataclass(frozen=True)
class BaselineSample:
    """One line of a baseline: a sample's score, and digests of its question.

    Attributes:
        id: the sample's id.
        asked: digest of the prompt and of its media's names.
        target: digest of the accepted answers.
        error: why its generation failed; None if it did not.
        value, answer, unreadable, details: the fields of its score.
        flags: the sample's flags, see :attr:`~llava_eval.types.SampleResult.flags`.
    """

    id: str
    asked: str
    target: str
    error: str | None = None
    value: float | None = None
    answer: str | None = None
    unreadable: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    flags: Sequence[str] = ()


@dataclass(frozen=True)
class Baseline:
    """The content of a baseline file.

    Attributes:
        benchmark, model: their names, followed by all overrides.
        num_samples, num_errors: the run's numbers of all samples and of failed ones.
        protocol: the run's settings with the role protocol, by dotted key.
        metric_nodes: the metrics of the protocol, the headline first.
        seconds_per_sample: the run's wall time per sample.
        model_seconds_per_sample: the model's time per sample.
        origin: software, weights and machine of the run, by name.
        samples: the samples in the order of the run.
    """

    benchmark: str
    model: str
    num_samples: Count
    protocol: Mapping[str, Any]
    metric_nodes: Mapping[str, Mapping[str, Any]]
    samples: Sequence[BaselineSample]
    num_errors: Count = 0
    seconds_per_sample: float | None = None
    model_seconds_per_sample: float | None = None
    origin: Mapping[str, str | None] = field(default_factory=dict)


def write_baseline(path: Path, run: Run) -> None:
    """Write a run's baseline.

    Args:
        path: the file.
        run: a complete run.

    Raises:
        ComparisonError: the run is incomplete, or has more failed samples than it may have.
        StorageError: the file cannot be written.
    """
    if (reason := unusable(run)) is not None:
        raise ComparisonError(f"{run.name} cannot be a baseline: it {reason}")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "benchmark": run.label,
        "model": run.model,
        "fingerprint": run.manifest.fingerprint,
        "metrics": {  # for people who read the file
            name: round(metric.value, 4)
            for name, metric in run.tables.metrics.items()
            if metric.value is not None
        },
        "num_samples": len(run.results),
        "num_unreadable": run.num_unreadable,
        "num_errors": run.num_errors,
        "seconds_per_sample": _rounded(run.cost.seconds_per_sample),
        "model_seconds_per_sample": _rounded(run.cost.model_seconds_per_sample),
        "origin": _origin(run),
        "protocol": with_role(run.config, "protocol"),
        "metric_nodes": {name: dict(node) for name, node in run.metric_nodes.items()},
    }
    lines = [f"  {_json(key)}: {_header_value(value)}," for key, value in header.items()]
    samples = ",\n".join(f"    {_json(_sample(result))}" for result in run.results)
    files.write_output(path, "\n".join(["{", *lines, '  "samples": [', samples, "  ]", "}\n"]))


def unusable(run: ComparableRun) -> str | None:
    """Return why a run can be neither gated nor a baseline (follows its name); None if it can."""
    if run.incomplete is not None:
        return run.incomplete
    max_errors = run.parts.errors.max
    if run.num_errors > max_errors:
        failed = next(result for result in run.results if result.generation.error is not None)
        return (
            f"holds {run.num_errors} failed samples, at most {max_errors} are allowed "
            f"(errors.max); the first is {printable(failed.id)}: "
            f"{printable(str(failed.generation.error))}"
        )
    return None


def _origin(run: Run) -> dict[str, Any]:
    """Return a run's software, weights or the name that a server answered as, and machine."""
    manifest, answered = run.manifest, run.origin.get("answers_as")
    return {
        "date": manifest.sessions[-1].ended if manifest.sessions else None,
        "git_commit": manifest.git_commit,
        **_own_code(run.origin),
        **{name: manifest.versions.get(name) for name in _PACKAGES},
        "weights_sha256": manifest.model.weights_sha256 if manifest.model else None,
        **({"answers_as": answered} if answered else {}),
        "machine": run.cost.machine,
    }


def _own_code(origin: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name: value for name, value in origin.items() if name.startswith(OWN_CODE)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _sample(result: SampleResult) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": result.id,
        "asked": _asked_digest(result),
        "target": _digest(result.target),
    }
    if result.generation.error is not None:
        return {**content, "error": result.generation.error}
    content |= {"value": _compared(result.score.value), "answer": result.score.answer}
    if result.score.unreadable:
        content["unreadable"] = True
    if result.flags:
        content["flags"] = list(result.flags)
    if result.score.details:
        details = result.score.details.items()
        content["details"] = {name: _compared(value) for name, value in details}
    return content


def _compared(value: Any) -> Any:
    """Round a number to the decimals that are compared: more would only clutter a diff."""
    return round(value, DECIMALS) if isinstance(value, float) else value


def is_prompt_of(prompt: str, result: SampleResult) -> bool:
    """Return whether a prompt from :func:`read_baseline` is the prompt of a result.

    Args:
        prompt: a text, or the placeholder of a prompt that is known only by its digest.
        result: a result of the run.
    """
    return prompt in (result.prompt, _unknown_prompt(_asked_digest(result)))


def _unknown_prompt(asked: str) -> str:
    """Return the placeholder for a prompt of which the baseline file has only the digest."""
    return f"(digest {asked})"


def _asked_digest(result: SampleResult) -> str:
    return _digest([result.prompt, *(PurePath(path).stem for path in result.media)])


def _digest(texts: Sequence[str]) -> str:
    return digest(texts)[:10]


def _header_value(value: Any) -> str:
    """Return JSON with one line per key of a mapping, so that a change is one line of a diff."""
    if not isinstance(value, Mapping) or not value:
        return _json(value)
    lines = [f"    {_json(key)}: {_json(item)}" for key, item in value.items()]
    return "\n".join(["{", ",\n".join(lines), "  }"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def read_baseline(path: Path, run: ComparableRun, reader: RunReader) -> ComparableRun:
    """Read a baseline: a run directory, or a baseline file.

    A file's questions are taken from the run if their digests agree. If not, the sample gets a
    placeholder with the digest, which the comparison finds to differ. A sample's text is replaced
    by the answer that was read from it.

    Args:
        path: the run directory or the baseline file.
        run: the run that is compared with the baseline.
        reader: reads run directories.

    Raises:
        LlavaEvalError: the path is neither, has another format version, or cannot be read.
    """
    if is_run(path):
        return reader.read(path)
    if is_folder(path):
        raise ComparisonError(f"{path} is neither a baseline file nor a run directory")
    content = _content(path)
    questions = {result.id: result for result in run.results}
    try:
        baseline = as_type(content, Baseline)
        by_id = {sample.id: sample for sample in baseline.samples}
        results = [
            _result(row, sample, questions.get(sample.id))
            for row, sample in enumerate(by_id.values())
        ]
        config: dict[str, Any] = {}
        for key, value in baseline.protocol.items():
            put(config, key, value)
        parts = as_type(config, ConfigParts)
    except ValueError as error:
        raise ComparisonError(f"{path} is damaged ({error}); write it anew") from error
    benchmark = dataclasses.replace(parts.benchmark, metrics=baseline.metric_nodes)
    origin, total, seconds = baseline.origin, baseline.num_samples, baseline.seconds_per_sample
    return ComparableRun(
        name=printable(str(path)),
        label=printable(baseline.benchmark),
        model=printable(baseline.model),
        config=config,
        # The baseline was written although so many samples had failed, so they are allowed.
        parts=ConfigParts(benchmark, ErrorsPart(baseline.num_errors), parts.scorer),
        results=results,
        cost=Cost(
            num_generated=total,
            seconds=seconds * total if seconds else None,
            model_seconds_per_sample=baseline.model_seconds_per_sample,
            num_samples=total,
            machine=origin.get("machine") or "",
        ),
        origin={
            **{name: origin.get(name) for name in _PACKAGES},
            "commit": shortened(origin.get("git_commit")),
            **_own_code(origin),
            "weights": shortened(origin.get("weights_sha256")),
            **({"answers_as": origin["answers_as"]} if "answers_as" in origin else {}),
        },
        incomplete=None
        if len(results) == total
        else f"holds {len(results)} of its {total} samples",
        allowed_targets=run.allowed_targets,
    )


def _content(path: Path) -> Mapping[str, Any]:
    try:
        with files.reading_errors(path):
            content = load_json(path)
    except FileNotFoundError:
        raise ComparisonError(f"there is no baseline {path}") from None
    if not isinstance(content, dict):
        raise ComparisonError(f"{path} is no baseline: it holds no JSON object")
    if content.get("format") != FORMAT:
        raise ComparisonError(f"{path} is no baseline: its format is {content.get('format')!r}")
    if content.get("version") != VERSION:
        raise ComparisonError(
            f"{path} is a baseline of version {content.get('version')}, expected {VERSION}; "
            "write it anew with llava-eval gate RUN --write-baseline"
        )
    return content


def _result(row: int, sample: BaselineSample, question: SampleResult | None) -> SampleResult:
    stop_reason = "length" if "cut_at_limit" in sample.flags else None
    text = None if sample.error is not None else sample.answer or ""
    generation = Generation(text, error=sample.error, stop_reason=stop_reason)
    score = Score(sample.value, sample.answer, sample.unreadable, details=sample.details)
    problems = tuple(MediaProblem(k, "") for k in get_args(MediaProblemKind) if k in sample.flags)
    inputs = (MediaInput(problems=problems),) if problems else ()
    if question is None:
        question = SampleResult(
            sample.id, row, sample.id, {}, "", (), "", (), (), (), generation, score
        )
    changes: dict[str, Any] = {"generation": generation, "score": score, "inputs": inputs}
    if sample.asked != _asked_digest(question):
        changes["prompt"] = _unknown_prompt(sample.asked)
    if sample.target != _digest(question.target):
        changes["target"] = (f"(digest {sample.target})",)
    return dataclasses.replace(question, **changes)
