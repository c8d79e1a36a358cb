"""The cost of a run: time of the model and of its media, memory, tokens, a judge's fee."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llava_eval.models.clock import MODEL_STAGES, PREPARE_STAGE
from llava_eval.results.manifest import Manifest, Session, WarmUp
from llava_eval.types import SampleResult

#: Stages that are done once, without the model, or beside it.
_NOT_GENERATING = ("load_rows", "load_model", "score", PREPARE_STAGE)


@dataclass(frozen=True)
class Cost:
    """The cost of one run; None where its manifest does not say.

    The model's seconds say what a setting costs. How long its media took depends on the disk, the
    video's codec and whether an earlier run left the frames in the cache, and the wall time on how
    much of that was hidden behind the model; both stand beside it.

    Attributes:
        num_generated: samples that were generated, over all processes of the run.
        seconds: wall time of preparing media and generating, without loading rows and model.
        model_seconds_per_sample: of the model (vision, prefill, decode; of a served one the waits
            for its replies, of a user's own its ``generate``) by the samples that it answered,
            without the first batch of each process, if there are others.
        prepare_seconds: of reading, decoding and resizing media, added up over all threads.
        num_cached_frames, num_decoded_frames: where the frames came from.
        stage_seconds: by stage, over all processes.
        weights_bytes: of the model's weights.
        peak_device_bytes: most memory held on a CUDA device.
        peak_host_bytes: largest resident set of a process; in a sweep, of all its runs so far.
        num_input_tokens, num_output_tokens: of all samples in the ledger.
        num_samples: samples in the ledger.
        num_with_tokens: those whose tokens are known; of a failed one they are not.
        judge_cost: of all replies of a judge, in the currency of its prices.
        machine: processor or device that it ran on.
    """

    num_generated: int
    seconds: float | None = None
    model_seconds_per_sample: float | None = None
    prepare_seconds: float | None = None
    num_cached_frames: int = 0
    num_decoded_frames: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    weights_bytes: int | None = None
    peak_device_bytes: int | None = None
    peak_host_bytes: int | None = None
    num_input_tokens: int = 0
    num_output_tokens: int = 0
    num_samples: int = 0
    num_with_tokens: int = 0
    judge_cost: float | None = None
    machine: str = ""

    @property
    def seconds_per_sample(self) -> float | None:
        """Wall time of one sample."""
        return None if self.seconds is None else self.seconds / self.num_generated

    @property
    def samples_per_second(self) -> float | None:
        """Samples in one second of wall time."""
        return None if not self.seconds else self.num_generated / self.seconds

    @property
    def prepare_seconds_per_sample(self) -> float | None:
        """Time of reading, decoding and resizing the media of one sample."""
        return None if self.prepare_seconds is None else self.prepare_seconds / self.num_generated

    @property
    def cached_share(self) -> float | None:
        """Share of the frames that came from the cache."""
        num_frames = self.num_cached_frames + self.num_decoded_frames
        return self.num_cached_frames / num_frames if num_frames else None


def cost_of(manifest: Manifest, results: Sequence[SampleResult]) -> Cost:
    """Return what a run cost.

    Only processes that generated something count; a later one that only scored does not.

    Args:
        manifest: of the run.
        results: its ledger.
    """
    sessions = [session for session in manifest.sessions if session.num_generated]
    stages: defaultdict[str, float] = defaultdict(float)
    for session in sessions:
        for stage, seconds in session.stage_seconds.items():
            stages[stage] += seconds
    seconds = sum(map(_generating_seconds, sessions))
    generations = [result.generation for result in results]
    frames = [session.frames for session in sessions if session.frames is not None]
    return Cost(
        num_generated=sum(session.num_generated or 0 for session in sessions),
        seconds=seconds if seconds > 0 else None,
        model_seconds_per_sample=_model_seconds_per_sample(sessions),
        prepare_seconds=stages.get(PREPARE_STAGE),
        num_cached_frames=sum(item.num_cached for item in frames),
        num_decoded_frames=sum(item.num_decoded for item in frames),
        stage_seconds=dict(stages),
        weights_bytes=manifest.model.memory_bytes if manifest.model else None,
        peak_device_bytes=_largest(session.peak_device_memory_bytes for session in sessions),
        peak_host_bytes=_largest(session.peak_host_memory_bytes for session in sessions),
        num_input_tokens=sum(item.num_input_tokens or 0 for item in generations),
        num_output_tokens=sum(item.num_output_tokens or 0 for item in generations),
        num_samples=len(generations),
        num_with_tokens=sum(
            (item.num_input_tokens, item.num_output_tokens) != (None, None) for item in generations
        ),
        judge_cost=manifest.judge.cost if manifest.judge else None,
        machine=_machine(manifest, sessions),
    )


def _generating_seconds(session: Session) -> float:
    if session.generating_seconds is not None:
        return session.generating_seconds
    # Of an earlier version: its stages, which overlap with several workers.
    stages = session.stage_seconds.items()
    seconds_of_stages = sum(seconds for stage, seconds in stages if stage not in _NOT_GENERATING)
    return min(session.wall_seconds or 0.0, seconds_of_stages)


def _model_seconds_per_sample(sessions: Sequence[Session]) -> float | None:
    """Return the model's time for a sample, without warm-ups unless there is nothing else."""
    warm_ups = [session.warm_up for session in sessions if session.warm_up is not None]
    num_samples = sum((session.num_generated or 0) - session.num_failed for session in sessions)
    num_warm_up = sum(warm_up.num_generated for warm_up in warm_ups)
    seconds = sum(map(_model_seconds, sessions))
    if num_samples > num_warm_up:
        seconds -= sum(map(_model_seconds, warm_ups))
        num_samples -= num_warm_up
    return seconds / num_samples if seconds > 0 and num_samples else None


def _model_seconds(part: Session | WarmUp) -> float:
    return sum(part.stage_seconds.get(stage, 0.0) for stage in MODEL_STAGES)


def _largest(sizes: Iterable[int | None]) -> int | None:
    return max((size for size in sizes if size is not None), default=None)


def _machine(manifest: Manifest, sessions: Sequence[Session]) -> str:
    device = (manifest.model.device_name if manifest.model else None) or ""
    machine = sessions[-1].machine if sessions else None
    if device not in ("", "cpu") or machine is None or not machine.processor:
        return device
    cores = f", {machine.num_cpus} cores" if machine.num_cpus else ""
    return f"{machine.processor}{cores}"


def megabytes(size_bytes: int | None) -> float | None:
    """Return a size in MB; None where it is not known."""
    return None if size_bytes is None else size_bytes / 1e6


def comparable_memory(costs: list[Cost]) -> tuple[str, list[int | None]]:
    """Return the name of a size that all runs know, and it in bytes, by which they are compared.

    The host's peak is no such size: it holds all libraries, and in a sweep the largest run so far.
    """
    if all(cost.peak_device_bytes is not None for cost in costs):
        return "peak device memory", [cost.peak_device_bytes for cost in costs]
    return "weights", [cost.weights_bytes for cost in costs]
