"""The program: evaluate one benchmark with one model.

    rows -> samples -> (decode ahead) -> requests -> model -> score each -> ledger
    results -> rescore all, with judges and rules that need the whole set -> ledger, tables

:func:`run` does all of it; :func:`score` starts from texts that were already generated.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from llava_eval.borders.paths import local_path
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.schema import RunConfig
from llava_eval.engine.base import AnswerAll, Watch
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.engine.outcome import Outcome
from llava_eval.engine.preflight import check_before_loading
from llava_eval.engine.progress import Progress
from llava_eval.engine.work import GivenTexts, Work, open_work
from llava_eval.models.clock import StageClock
from llava_eval.models.own import Model
from llava_eval.results import directory as run_directory
from llava_eval.results import files
from llava_eval.results.directory import claim, claim_new
from llava_eval.results.exchange.trackers import build_tracker, track
from llava_eval.results.identity import Identity
from llava_eval.results.ledger import LedgerWriter, rewrite_ledger
from llava_eval.results.manifest import RunRecord
from llava_eval.results.summary import Summary
from llava_eval.results.tables import write_tables
from llava_eval.types import Sample, SampleResult

__all__ = ["Outcome", "run", "score"]

log = logging.getLogger(__name__)


def run(
    composed: ComposedConfig,
    only: Collection[str] | None = None,
    watch: Watch | None = None,
    model: Model | None = None,
    replies_of: Sequence[Path] = (),
) -> Outcome:
    """Generate, score and tabulate one benchmark with one model.

    If the run is resumed, its finished samples are kept and only the others are generated.

    Args:
        composed: the checked configuration.
        only: ids of the samples to answer; None answers all.
        watch: may stop the run early; the same command without it answers the remaining samples.
        model: a user's own model object, used instead of the configured model.
        replies_of: other run directories whose recorded judge replies may be reused.

    Raises:
        LlavaEvalError: a mistake in the configuration or its files, or a full disk.
        KeyboardInterrupt: re-raised after the manifest has recorded it; the run can be resumed.
    """
    config, watch = composed.config, watch or AnswerAll()
    tracker = build_tracker(config.tracker)
    with open_work(composed, only, model) as work:
        samples, parts = work.benchmark.samples, work.benchmark.parts
        watch.begin(samples, composed.resolved, parts.scorer, work.benchmark.label)
        continued = work.identity() if config.resume else None
        with _claimed_directory(config, config.model.short_name, continued) as directory:
            manifest, results = work.take_over(directory)
            with work.record(directory, manifest) as record:
                for result in results:
                    watch.add(result)
                pending = [] if watch.is_done else watch.order(work.unfinished(results))
                if pending:
                    check_before_loading(config, pending, parts.judge, directory)
                    log.info("loading %s", work.model_label)
                    for note in work.notes:
                        log.info(note)
                record.begin(work.engine.load() if pending else {}, has_results=bool(results))
                log.info("results go to %s", directory, extra={"run_directory": directory})
                results += _generate(work, pending, results, record, watch)
                summary = _score_and_write(
                    work.benchmark,
                    results,
                    work.model_label,
                    record,
                    replies_of=replies_of,
                    notes=work.notes,
                )
                if len(results) < len(samples):
                    record.end = "stopped"
        track(tracker, directory)
    return Outcome(directory, summary, config.errors.max)


def _generate(
    work: Work,
    pending: Sequence[Sample],
    finished: Sequence[SampleResult],
    record: RunRecord,
    watch: Watch,
) -> list[SampleResult]:
    """Generate the pending samples, and append each scored result to the ledger at once."""
    if not pending:
        return []
    evaluation = work.benchmark.evaluation
    results: list[SampleResult] = []
    progress = Progress(len(pending) + len(finished), finished)
    with (
        LedgerWriter(record.directory / files.LEDGER) as ledger,
        progress,
        record.counting(results, work.clock),
        contextlib.closing(work.engine.answer(pending)) as answered,
    ):
        for result in map(evaluation.scored, answered):
            ledger.append(result)
            results.append(result)
            progress.add(result, decode_wait_seconds=work.clock.seconds["decode_wait"])
            watch.add(result)
            if watch.is_done:
                break
    record.add(**work.engine.record())
    record.add_work(**work.engine.work())
    return results


def score(composed: ComposedConfig, generations: Path, model_name: str | None = None) -> Outcome:
    """Score and tabulate texts that were generated elsewhere or earlier.

    Args:
        composed: the configuration; its model and sampler are not used.
        generations: file with the texts, see :mod:`llava_eval.results.exchange.generations`.
        model_name: name of the model that wrote the texts; None takes it from the run to which the
            file belongs.

    Raises:
        LlavaEvalError: a mistake in the configuration or its files, or a full disk.
    """
    clock, tracker = StageClock(), build_tracker(composed.config.tracker)
    given = GivenTexts.read(composed, generations, clock)
    label = model_name or given.model_label
    with _claimed_directory(composed.config, "scored") as directory:
        run_directory.check_same_run(directory, given.identity(), resume=None)
        with given.record(directory, clock, label) as record, clock.stage("score"):
            record.begin({})
            summary = _score_and_write(
                given.benchmark,
                given.results,
                label,
                record,
                replies_of=[generations.parent],
                notes=given.notes,
            )
    track(tracker, directory)
    return Outcome(directory, summary, composed.config.errors.max, of_given_texts=True)


def _score_and_write(
    benchmark: Benchmark,
    results: Sequence[SampleResult],
    model_label: str | None,
    record: RunRecord,
    *,
    replies_of: Sequence[Path],
    notes: Sequence[str],
) -> Summary:
    """Score the whole set, with a judge if the protocol has one, and write ledger and tables."""
    directory = record.directory
    scored = benchmark.evaluation.rescored(results, directory, replies_of)
    notes = [*notes, *record.notes]
    summary = benchmark.summary(scored.results, model_label, scored.judge, notes)
    rewrite_ledger(directory / files.LEDGER, scored.results)
    if benchmark.parts.submission is not None:
        handed_in = benchmark.evaluation.without_reasoning(scored.results)
        files.write_submission(directory, benchmark.parts.submission(handed_in))
    write_tables(directory, summary)
    if summary.judge is not None:
        record.add(benchmark=summary.benchmark, judge=dict(summary.judge))
        record.end = "finished" if summary.judge.get("stopped") is None else "stopped"
    return summary


def _claimed_directory(
    config: RunConfig, model: str, continued: Identity | None = None
) -> contextlib.AbstractContextManager[Path]:
    """Claim the configured run directory, else an unfinished one to resume, else a new one."""
    if config.output_dir is not None:
        return claim(local_path(config.output_dir))
    runs = run_directory.runs_of(config.benchmark.name, model)
    if continued is not None:
        unfinished = run_directory.find_unfinished(runs, continued)
        if unfinished is not None:
            return claim(unfinished)
        log.info("there is no run of this configuration to continue below %s; starting one", runs)
    return claim_new(runs)
