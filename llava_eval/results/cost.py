"""The cost of a run: time for the model and for media, memory, tokens, the judge's fee."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llava_eval.models.clock import MODEL_STAGES, PREPARE_STAGE
from llava_eval.results.manifest import Manifest, Session, WarmUp
from llava_eval.types import SampleResult

#: Stages that run once, without the model, or in parallel to it.
_NOT_GENERATING = ("load_rows", "load_model", "score", PREPARE_STAGE)


@dataclass(frozen=True)
class Cost:
    """The cost of one run; None for anything that its manifest does not record.

    The model's seconds measure what a setting costs. The time for media depends on the disk, the
    videos' codec and the frames that an earlier run left in the cache; the wall time also depends
    on how much of it overlapped with the model. Both are reported next to the model's seconds.

    Attributes:
        num_generated: samples that the processes of the run generated, added up.
        seconds: wall time of preparing media and generating, without loading rows and model.
        model_seconds_per_sample: time of the model (vision, prefill, decode; for a served one the
            wait for its replies, for a user's own its ``generate``) per answered sample, without
            the first batch of each process if there are others.
        prepare_seconds: time of reading, decoding and resizing media, summed over all threads.
        num_cached_frames, num_decoded_frames: where the frames came from.
        stage_seconds: seconds by stage, summed over all processes.
        weights_bytes: size of the model's weights.
        peak_device_bytes: peak memory on a CUDA device.
        peak_host_bytes: largest resident set of a process; in a sweep, of all its runs so far.
        num_input_tokens, num_output_tokens: tokens of all samples in the ledger.
        num_samples: samples in the ledger.
        num_with_tokens: samples whose token counts are known; a failed sample has none.
        judge_cost: cost of all replies of the judge, in the currency of its prices.
        machine: name of the device, or of the processor without one.
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
        """Wall time per sample."""
        return None if self.seconds is None else self.seconds / self.num_generated

    @property
    def samples_per_second(self) -> float | None:
        """Samples per second of wall time."""
        return None if not self.seconds else self.num_generated / self.seconds

    @property
    def prepare_seconds_per_sample(self) -> float | None:
        """Time of reading, decoding and resizing media, per sample."""
        return None if self.prepare_seconds is None else self.prepare_seconds / self.num_generated

    @property
    def cached_share(self) -> float | None:
        """Share of the frames that came from the cache."""
        num_frames = self.num_cached_frames + self.num_decoded_frames
        return self.num_cached_frames / num_frames if num_frames else None


def cost_of(manifest: Manifest, results: Sequence[SampleResult]) -> Cost:
    """Return the cost of a run.

    Only processes that generated something count; a later one that only scored does not.

    Args:
        manifest: the run's manifest.
        results: the results in its ledger.
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
    # An earlier version recorded stages only, which overlap if there are several workers.
    stages = session.stage_seconds.items()
    seconds_of_stages = sum(seconds for stage, seconds in stages if stage not in _NOT_GENERATING)
    return min(session.wall_seconds or 0.0, seconds_of_stages)


def _model_seconds_per_sample(sessions: Sequence[Session]) -> float | None:
    """Return the model's time per sample, without warm-ups unless there is nothing else."""
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
    """Return a size in MB; None if it is not known."""
    return None if size_bytes is None else size_bytes / 1e6


def comparable_memory(costs: list[Cost]) -> tuple[str, list[int | None]]:
    """Return a measure of memory by which all runs can be compared: its name and their bytes.

    The host's peak is not used: it includes all libraries, and in a sweep the largest run so far.
    """
    if all(cost.peak_device_bytes is not None for cost in costs):
        return "peak device memory", [cost.peak_device_bytes for cost in costs]
    return "weights", [cost.weights_bytes for cost in costs]
