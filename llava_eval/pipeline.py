"""The one place that sees all rooms and joins them.

    rows -> samples -> (decode ahead) -> requests -> model runner -> ledger -> scores -> tables

:func:`run` does all of it; :func:`score` begins at texts that were generated already.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from llava_eval.benchmarks import resolve_package_path
from llava_eval.config import ComposedConfig, build_target
from llava_eval.errors import ConfigError, LlavaEvalError, MediaError
from llava_eval.evaluation import Evaluation, build_parts, build_submission
from llava_eval.judging import check_judge
from llava_eval.progress import ProgressBar
from llava_eval.results import files, manifest, run_directory
from llava_eval.results.fingerprint import Identity, digest, samples_digest
from llava_eval.results.generations import read_generations
from llava_eval.results.ledger import LedgerWriter, rewrite_ledger
from llava_eval.results.summary import Summary, named_with_overrides
from llava_eval.results.tables import write_tables
from llava_eval.timing import StageClock
from llava_eval.turns import PreparedPieces, Turn, frames_shown, prepare_pieces
from llava_eval.types import (
    Generation,
    GenerationSettings,
    Media,
    Request,
    Sample,
    SampleResult,
    VideoInfo,
    prompt_text,
)

if TYPE_CHECKING:
    from llava_eval.models.conversation import Conversation
    from llava_eval.models.loading import ModelPlan
    from llava_eval.models.runner import ModelRunner
    from llava_eval.video.media import Policy

log = logging.getLogger(__name__)

#: Packages whose version can change a generation; a run is not continued across them.
_IDENTITY_PACKAGES = ("llava_eval", "torch", "torchvision", "transformers", "tokenizers", "av")


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


@dataclass(frozen=True)
class _Job:
    """Everything that one run needs, checked before any work is done."""

    composed: ComposedConfig
    evaluation: Evaluation
    policy: Policy
    conversation: Conversation
    plan: ModelPlan
    settings: GenerationSettings
    model_label: str
    clock: StageClock

    @classmethod
    def prepare(cls, composed: ComposedConfig) -> _Job:
        clock = StageClock()
        policy, conversation = check_parts(composed)
        with clock.stage("load_rows"):
            evaluation = Evaluation.from_config(composed)
        if evaluation.judge is not None:
            check_judge(evaluation.judge)
        with clock.stage("load_model"):
            plan = _plan_model(composed)
        settings = _generation_settings(composed)
        label = named_with_overrides(_model_name(composed), composed.model_overrides)
        return cls(composed, evaluation, policy, conversation, plan, settings, label, clock)

    def identity(self) -> Identity:
        """Return everything that can change a generation."""
        resolved = self.composed.resolved
        versions = manifest.versions()
        return {
            "benchmark": self.composed.config.benchmark.name,
            "benchmark_version": self.composed.config.benchmark.version,
            "samples": samples_digest(self.evaluation.samples),
            "num_samples": len(self.evaluation.samples),
            "system": self.composed.config.benchmark.system,
            "assistant_prefill": self.composed.config.benchmark.assistant_prefill,
            "generation": resolved["benchmark"]["generation"],
            "seed": self.settings.seed if self.settings.temperature > 0 else None,
            "sampler": resolved["sampler"],
            "conversation": resolved["conversation"],
            "checkpoint_files": digest([list(pair) for pair in self.plan.checkpoint.file_sha256]),
            "model": {
                "device": self.plan.device.type,
                "dtype": str(self.plan.dtype),
                "attention": self.plan.attention.implementation,
                "rope_scaling": resolved["model"]["rope_scaling"],
                "quantization": resolved["quantization"],
            },
            "versions": {name: versions.get(name) for name in _IDENTITY_PACKAGES},
        }


def check_parts(composed: ComposedConfig) -> tuple[Policy, Conversation]:
    """Build every part that the configuration names, without reading rows or weights.

    Returns:
        The sampling policy and the conversation.

    Raises:
        ConfigError: a part cannot be built, or its parameters make no sense.
    """
    from llava_eval.models.conversation import Conversation

    build_parts(composed)
    build_submission(composed)
    _generation_settings(composed)
    policy: Policy = build_target(composed.config.sampler, key="sampler")
    example = VideoInfo("an example", 100, fps=10.0, seconds=10.0, width=8, height=8, codec="h264")
    try:
        policy(example)
    except ValueError as error:
        raise ConfigError(f"sampler: {error}") from error
    return policy, Conversation(**asdict(composed.config.conversation))


def _generation_settings(composed: ComposedConfig) -> GenerationSettings:
    generation = composed.config.benchmark.generation
    try:
        return GenerationSettings(
            max_new_tokens=generation.max_new_tokens,
            temperature=generation.temperature,
            top_p=generation.top_p,
            stop_strings=tuple(generation.stop_strings),
            seed=composed.config.seed,
        )
    except ValueError as error:
        raise ConfigError(f"benchmark.generation: {error}") from error


def run(composed: ComposedConfig) -> Outcome:
    """Generate, score and tabulate one benchmark with one model.

    Finished samples of an earlier process are kept; everything else is generated.

    Raises:
        LlavaEvalError: a mistake in the configuration or its files, or a full disk.
        KeyboardInterrupt: passed on once the manifest says so; the run can be continued.
    """
    job = _Job.prepare(composed)
    identity = job.identity()
    directory = _choose_directory(job, identity)
    samples = {sample.id: sample for sample in job.evaluation.samples}
    with run_directory.claim(directory):
        finished: dict[str, SampleResult] = {}
        earlier = None
        if run_directory.check_owner(directory, identity, resume=composed.config.resume):
            earlier = run_directory.read_manifest(directory)
            finished = run_directory.finished_results(directory, samples)
            log.info("continuing %s: %d samples are finished", directory, len(finished))
        record = manifest.RunRecord(directory, _description(job, identity), earlier, job.clock)
        try:
            results = {**finished, **_generate_missing(job, directory, finished, record)}
            summary = _conclude(
                job.evaluation, directory, results.values(), job.model_label, record
            )
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
    return Outcome(directory, summary, composed.config.errors.max)


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
        evaluation = Evaluation.from_config(composed)
    texts = read_generations(generations, evaluation.samples)
    results = [evaluation.result(sample, texts[sample.id]) for sample in evaluation.samples]
    origin = run_directory.read_manifest(generations.parent) or {}
    identity: Identity = {
        "benchmark": composed.config.benchmark.name,
        "samples": samples_digest(evaluation.samples),
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
            "benchmark": evaluation.label,
            "model": origin.get("model"),
            "generations": {"path": str(generations), "model_label": origin.get("model_label")},
            "config": judging,
            "versions": manifest.versions(),
            "git_commit": manifest.git_commit(),
        }
        record = manifest.RunRecord(directory, description, None, clock)
        _write_config(directory, judging)
        with clock.stage("score"):
            summary = _conclude(
                evaluation,
                directory,
                results,
                origin.get("model_label"),
                record,
                replies_of=[generations.parent],
            )
        record.write(_status(summary))
    return Outcome(directory, summary, composed.config.errors.max)


def _generate_missing(
    job: _Job,
    directory: Path,
    finished: Mapping[str, SampleResult],
    record: manifest.RunRecord,
) -> dict[str, SampleResult]:
    """Generate what is not finished, and put every result into the ledger as soon as it exists."""
    from llava_eval.models.memory import peak_device_bytes

    samples = job.evaluation.samples
    pending = [sample for sample in samples if sample.id not in finished]
    results: dict[str, SampleResult] = {}
    if pending:
        runner = _make_runner(job)
        record.add(model=runner.loaded.describe())
    _write_config(directory, job.composed.resolved)
    record.write("running")
    if not pending:
        return results
    bar = ProgressBar(len(samples), list(finished.values()))
    with LedgerWriter(directory / files.LEDGER) as ledger, bar:
        for result in _generate(job, pending, runner):
            ledger.append(result)
            results[result.id] = result
            bar.add(result, decode_wait_seconds=job.clock.seconds["decode_wait"])
            if result.generation.error is not None:
                log.warning("sample %s failed: %s", result.id, result.generation.error)
    record.add(first_prompt=runner.first_prompt, guards=runner.guards, runner=runner.settings())
    record.add_work(
        num_generated=len(results), peak_device_memory_bytes=peak_device_bytes(job.plan.device)
    )
    return results


def _generate(job: _Job, pending: Sequence[Sample], runner: ModelRunner) -> Iterator[SampleResult]:
    """Yield a result for every sample, batch by batch."""
    samples = {sample.id: sample for sample in pending}
    for requests, failures in _request_batches(job, pending, runner):
        for sample, error in failures:
            yield job.evaluation.result(sample, Generation(text=None, error=error))
        for request, generation in runner.generate(requests):
            sample = samples[request.id]
            yield job.evaluation.result(
                sample, generation, frames_shown(sample, request), prompt_text(request.content)
            )


def _request_batches(
    job: _Job, pending: Sequence[Sample], runner: ModelRunner
) -> Iterator[tuple[list[Request], list[tuple[Sample, str]]]]:
    """Yield requests in batches, with the samples whose media could not be read.

    Each group of samples with the same media is decoded and preprocessed once, ahead of the model,
    and stays together.
    """
    from llava_eval.video import decode_ahead, read_media
    from llava_eval.video.frame_cache import FrameCache, default_store

    config = job.composed.config

    resize = runner.frame_preprocessor
    kept = None if resize is None else FrameCache(default_store(), resize.prepare, resize.key)

    def prepare(group: _MediaGroup) -> PreparedPieces:
        # Late pieces show frames as images, which a processor treats in another way.
        cache = None if any(sample.late_pieces for sample in group.samples) else kept
        return prepare_pieces(
            group.samples,
            lambda medium: read_media(medium, job.policy, cache=cache),
            lambda kind, clip: runner.prepare(
                kind, clip, is_resized=cache is not None and kind == "video"
            ),
        )

    outcomes = decode_ahead(
        _media_groups(pending),
        prepare,
        num_workers=config.runner.decode_workers,
        max_pending=2 * config.runner.decode_workers,
        timeout_seconds=config.runner.decode_timeout_seconds,
    )
    requests: list[Request] = []
    failures: list[tuple[Sample, str]] = []
    while True:
        with job.clock.stage("decode_wait"):
            outcome = next(outcomes, None)
        if outcome is None:
            break
        group = outcome.item
        if outcome.error is not None:
            if not isinstance(outcome.error, MediaError):
                raise outcome.error
            failures += [(sample, f"MediaError: {outcome.error}") for sample in group.samples]
            continue
        if requests and len(requests) + len(group.samples) > runner.batch_size:
            yield requests, failures
            requests, failures = [], []
        prepared = outcome.unwrap()
        requests += [_request(job, sample, prepared.turn(sample)) for sample in group.samples]
    yield requests, failures


@dataclass(frozen=True)
class _MediaGroup:
    """Samples that show the same media."""

    media: tuple[Media, ...]
    samples: tuple[Sample, ...]

    @property
    def path(self) -> str:
        """Its name in messages."""
        return ", ".join(medium.path for medium in self.media) or "no media"


def _media_groups(samples: Iterable[Sample]) -> list[_MediaGroup]:
    members: dict[tuple[Media, ...], list[Sample]] = {}
    for sample in samples:
        members.setdefault(sample.media, []).append(sample)
    return [_MediaGroup(media, tuple(group)) for media, group in members.items()]


def _request(job: _Job, sample: Sample, turn: Turn) -> Request:
    benchmark = job.composed.config.benchmark
    return Request(
        id=sample.id,
        content=turn,
        settings=job.settings,
        system=benchmark.system,
        assistant_prefill=benchmark.assistant_prefill,
    )


def _conclude(
    evaluation: Evaluation,
    directory: Path,
    results: Iterable[SampleResult],
    model_label: str | None,
    record: manifest.RunRecord,
    *,
    replies_of: Sequence[Path] = (),
) -> Summary:
    """Judge all results, and write the final ledger and the tables."""
    scored = evaluation.rescored(results, directory, replies_of)
    summary = evaluation.summary(scored.results, model_label, scored.judge)
    if summary.judge is not None:
        record.add(benchmark=summary.benchmark, judge=dict(summary.judge))
    rewrite_ledger(directory / files.LEDGER, scored.results)
    if evaluation.submission is not None:
        files.write_submission(directory, evaluation.submission(scored.results))
    write_tables(directory, summary)
    return summary


def _status(summary: Summary) -> str:
    """Return what the manifest says of a run whose tables are written."""
    judge = summary.judge or {}
    return "finished" if judge.get("stopped") is None else "stopped"


def _description(job: _Job, identity: Identity) -> dict[str, Any]:
    """Return what the manifest holds from the start."""
    return {
        "fingerprint": digest(identity),
        "identity": identity,
        "benchmark": job.evaluation.label,
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


def _choose_directory(job: _Job, identity: Identity) -> Path:
    """Return the run directory: the named one, one to continue, or a new one."""
    named = _named_directory(job.composed)
    if named is not None:
        return named
    runs = run_directory.runs_of(job.composed.config.benchmark.name, _model_name(job.composed))
    if job.composed.config.resume:
        found = run_directory.find_unfinished(runs, identity)
        if found is not None:
            return found
        log.info("there is no unfinished run of this configuration below %s; starting one", runs)
    return run_directory.new_run_directory(runs)


def _model_name(composed: ComposedConfig) -> str:
    model = composed.config.model
    return model.name or Path(model.checkpoint).name


def _plan_model(composed: ComposedConfig) -> ModelPlan:
    from llava_eval.models.checkpoint import find_checkpoint

    model, quantization = composed.config.model, composed.config.quantization
    checkpoint = find_checkpoint(resolve_package_path(model.checkpoint), model.revision)

    # These import torch and transformers, for seconds; a wrong path is known before.
    from llava_eval.models.loading import plan_model
    from llava_eval.models.quantization import Quantization

    return plan_model(
        checkpoint,
        device=model.device,
        dtype=model.dtype,
        attention=model.attention,
        quantization=Quantization(
            method=quantization.method,
            double_quant=quantization.double_quant,
            compute_dtype=quantization.compute_dtype,
            group_size=quantization.group_size,
            skip_modules=tuple(quantization.skip_modules),
        ),
        rope_scaling=model.rope_scaling,
        trust_remote_code=model.trust_remote_code,
    )


def _make_runner(job: _Job) -> ModelRunner:
    import torch

    from llava_eval.models.loading import load_model_once
    from llava_eval.models.runner import DEFAULT_BATCH_SIZE, ModelRunner

    config = job.composed.config
    if config.runner.num_threads is not None:
        torch.set_num_threads(config.runner.num_threads)
    with job.clock.stage("load_model"):
        loaded = load_model_once(job.plan)
    return ModelRunner(
        loaded=loaded,
        conversation=job.conversation,
        batch_size=config.runner.batch_size or DEFAULT_BATCH_SIZE,
        max_batch_tokens=config.runner.max_batch_tokens,
        share_prefixes=config.runner.share_prefixes,
        clock=job.clock,
    )
