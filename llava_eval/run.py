"""The one place that sees all rooms and joins them.

    rows -> samples -> (decode ahead) -> requests -> model runner -> ledger -> scores -> tables

:func:`run` does all of it; :func:`score` begins at texts that were generated already.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from llava_eval.config.compose import ComposedConfig
from llava_eval.engine.job import Job, model_name
from llava_eval.engine.loaded import LoadedBenchmark
from llava_eval.engine.progress import ProgressBar
from llava_eval.errors import LlavaEvalError
from llava_eval.models.clock import StageClock
from llava_eval.results import directory as run_directory
from llava_eval.results import files, manifest
from llava_eval.results.generations import read_generations
from llava_eval.results.identity import Identity, digest, samples_digest
from llava_eval.results.ledger import LedgerWriter, rewrite_ledger
from llava_eval.results.summary import Summary
from llava_eval.results.tables import write_tables
from llava_eval.types import SampleResult

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a command leaves: its run directory and its numbers."""

    directory: Path
    summary: Summary
    max_errors: int

    @property
    def exit_code(self) -> int:
        """1 when more failed than the configuration allows, or the judge stopped; otherwise 0."""
        judge = self.summary.judge or {}
        num_unjudged = judge.get("num_prompts", 0) - judge.get("num_judged", 0)
        num_failed = self.summary.num_errors + num_unjudged
        return int(num_failed > self.max_errors or judge.get("stopped") is not None)


def run(composed: ComposedConfig) -> Outcome:
    """Generate, score and tabulate one benchmark with one model.

    Finished samples of an earlier process are kept; everything else is generated.

    Raises:
        LlavaEvalError: a mistake in the configuration or its files, or a full disk.
        KeyboardInterrupt: passed on once the manifest says so; the run can be continued.
    """
    job = Job.prepare(composed)
    with contextlib.closing(job.engine):
        return _run_job(job)


def _run_job(job: Job) -> Outcome:
    config = job.composed.config
    identity = job.identity()
    directory = _choose_directory(job, identity)
    samples = {sample.id: sample for sample in job.benchmark.samples}
    with run_directory.claim(directory):
        finished: dict[str, SampleResult] = {}
        earlier = None
        if run_directory.check_owner(directory, identity, resume=config.resume):
            earlier = run_directory.read_manifest(directory)
            finished = run_directory.finished_results(directory, samples)
            log.info("continuing %s: %d samples are finished", directory, len(finished))
        record = manifest.RunRecord(
            directory, _description(job, identity), earlier, job.clock.seconds
        )
        try:
            results = {**finished, **_generate_missing(job, directory, finished, record)}
            summary = _conclude(job.benchmark, directory, results.values(), job.model_label, record)
        except KeyboardInterrupt:
            if record.is_written:
                record.write("interrupted")
            raise
        except LlavaEvalError:
            if not record.is_written:
                raise
            with contextlib.suppress(LlavaEvalError):
                record.write("failed")
            raise
        record.write(_status(summary))
    return Outcome(directory, summary, config.errors.max)


def score(composed: ComposedConfig, generations: Path) -> Outcome:
    """Score texts that were generated elsewhere or earlier, and tabulate them.

    Args:
        composed: the configuration; its model and sampler are not used.
        generations: file of texts, see :mod:`llava_eval.results.generations`.

    Raises:
        LlavaEvalError: a mistake in the configuration or its files, or a full disk.
    """
    clock = StageClock()
    with clock.stage("load_rows"):
        benchmark = LoadedBenchmark.from_config(composed)
    texts = read_generations(generations, benchmark.samples)
    evaluation = benchmark.evaluation
    results = [evaluation.result(sample, texts[sample.id]) for sample in benchmark.samples]
    origin = run_directory.read_manifest(generations.parent) or {}
    identity: Identity = {
        "benchmark": composed.config.benchmark.name,
        "samples": samples_digest(benchmark.samples),
        "generations": digest([[result.id, result.generation.text] for result in results]),
    }
    directory = _named_directory(composed) or run_directory.new_run_directory(
        run_directory.runs_of(composed.config.benchmark.name, "scored")
    )
    with run_directory.claim(directory):
        run_directory.check_owner(directory, identity, resume=None)
        names = ["benchmark", "scorer", *(["judge"] if evaluation.judge is not None else [])]
        judging = {name: composed.resolved[name] for name in names}
        description = {
            "fingerprint": digest(identity),
            "identity": identity,
            "benchmark": benchmark.label,
            "model": origin.get("model"),
            "generations": {"path": str(generations), "model_label": origin.get("model_label")},
            "config": judging,
            "versions": manifest.versions(),
            "git_commit": manifest.git_commit(),
        }
        record = manifest.RunRecord(directory, description, None, clock.seconds)
        _write_config(directory, judging)
        with clock.stage("score"):
            summary = _conclude(
                benchmark,
                directory,
                results,
                origin.get("model_label"),
                record,
                replies_of=[generations.parent],
            )
        record.write(_status(summary))
    return Outcome(directory, summary, composed.config.errors.max)


def _generate_missing(
    job: Job,
    directory: Path,
    finished: Mapping[str, SampleResult],
    record: manifest.RunRecord,
) -> dict[str, SampleResult]:
    """Generate what is not finished, and put every result into the ledger as soon as it exists."""
    samples = {sample.id: sample for sample in job.benchmark.samples}
    pending = [sample for sample in samples.values() if sample.id not in finished]
    results: dict[str, SampleResult] = {}
    if pending:
        record.add(model=job.engine.load())
    _write_config(directory, job.composed.resolved)
    record.write("running")
    if not pending:
        return results
    bar = ProgressBar(len(samples), list(finished.values()))
    answers = job.engine.answer(pending)
    start = time.perf_counter()
    with LedgerWriter(directory / files.LEDGER) as ledger, bar, contextlib.closing(answers):
        for answer in answers:
            result = job.benchmark.evaluation.result(
                samples[answer.id], answer.generation, answer.frame_indices, answer.prompt
            )
            ledger.append(result)
            results[result.id] = result
            bar.add(result, decode_wait_seconds=job.clock.seconds["decode_wait"])
            if result.generation.error is not None:
                log.warning("sample %s failed: %s", result.id, result.generation.error)
    record.add(**job.engine.record())
    num_tokens = sum(result.generation.num_output_tokens or 0 for result in results.values())
    record.add_work(
        num_generated=len(results),
        num_output_tokens=num_tokens,
        output_tokens_per_second=round(num_tokens / (time.perf_counter() - start), 3),
        **job.engine.work(),
    )
    return results


def _conclude(
    benchmark: LoadedBenchmark,
    directory: Path,
    results: Iterable[SampleResult],
    model_label: str | None,
    record: manifest.RunRecord,
    *,
    replies_of: Sequence[Path] = (),
) -> Summary:
    """Judge all results, and write the final ledger and the tables."""
    scored = benchmark.evaluation.rescored(results, directory, replies_of)
    summary = benchmark.summary(scored.results, model_label, scored.judge)
    if summary.judge is not None:
        record.add(benchmark=summary.benchmark, judge=dict(summary.judge))
    rewrite_ledger(directory / files.LEDGER, scored.results)
    if benchmark.submission is not None:
        files.write_submission(directory, benchmark.submission(scored.results))
    write_tables(directory, summary)
    return summary


def _status(summary: Summary) -> str:
    """Return what the manifest says of a run whose tables are written."""
    judge = summary.judge or {}
    return "finished" if judge.get("stopped") is None else "stopped"


def _description(job: Job, identity: Identity) -> dict[str, Any]:
    """Return what the manifest holds from the start."""
    return {
        "fingerprint": digest(identity),
        "identity": identity,
        "benchmark": job.benchmark.label,
        "model_label": job.model_label,
        "choices": dict(job.composed.choices),
        "config": dict(job.composed.resolved),
        "conversation": asdict(job.composed.config.conversation),
        "versions": manifest.versions(),
        "git_commit": manifest.git_commit(),
    }


def _write_config(directory: Path, resolved: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True, width=100)
    files.write_text(directory / files.CONFIG, text)


def _named_directory(composed: ComposedConfig) -> Path | None:
    named = composed.config.output_dir
    return None if named is None else Path(named).expanduser()


def _choose_directory(job: Job, identity: Identity) -> Path:
    """Return the run directory: the named one, one to continue, or a new one."""
    named = _named_directory(job.composed)
    if named is not None:
        return named
    runs = run_directory.runs_of(job.composed.config.benchmark.name, model_name(job.composed))
    if job.composed.config.resume:
        found = run_directory.find_unfinished(runs, identity)
        if found is not None:
            return found
        log.info("there is no unfinished run of this configuration below %s; starting one", runs)
    return run_directory.new_run_directory(runs)
