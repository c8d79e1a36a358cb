"""What a run cost: time, memory, tokens and a judge's fee, from its manifest and ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llava_eval.results.manifest import Manifest, Session
from llava_eval.types import SampleResult

#: Stages that are done once, or without the model.
_NOT_GENERATING = ("load_rows", "load_model", "score")


@dataclass(frozen=True)
class Cost:
    """What one run cost; None where its manifest does not say.

    Attributes:
        num_generated: samples that were generated, over all processes of the run.
        seconds: of decoding and generating, without loading rows and model.
        stage_seconds: by stage, over all processes.
        weights_bytes: of the model's weights.
        peak_device_bytes: most memory held on a CUDA device.
        peak_host_bytes: largest resident set of a process; in a sweep, of all its runs so far.
        num_input_tokens, num_output_tokens: of all samples in the ledger.
        num_samples: samples in the ledger.
        judge_cost: of all replies of a judge, in the currency of its prices.
        machine: processor or device that it ran on.
    """

    num_generated: int
    seconds: float | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    weights_bytes: int | None = None
    peak_device_bytes: int | None = None
    peak_host_bytes: int | None = None
    num_input_tokens: int = 0
    num_output_tokens: int = 0
    num_samples: int = 0
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
    wall = sum(session.wall_seconds or 0.0 for session in sessions)
    # The clock of a session starts after a part of the set-up; with several workers their stages
    # overlap.
    seconds = min(wall, sum(stages[stage] for stage in stages if stage not in _NOT_GENERATING))
    generations = [result.generation for result in results]
    return Cost(
        num_generated=sum(session.num_generated or 0 for session in sessions),
        seconds=seconds if seconds > 0 else None,
        stage_seconds=dict(stages),
        weights_bytes=manifest.model.memory_bytes if manifest.model else None,
        peak_device_bytes=_largest(session.peak_device_memory_bytes for session in sessions),
        peak_host_bytes=_largest(session.peak_host_memory_bytes for session in sessions),
        num_input_tokens=sum(item.num_input_tokens or 0 for item in generations),
        num_output_tokens=sum(item.num_output_tokens or 0 for item in generations),
        num_samples=len(generations),
        judge_cost=manifest.judge.cost if manifest.judge else None,
        machine=_machine(manifest, sessions),
    )


def _largest(sizes: Iterable[int | None]) -> int | None:
    return max((size for size in sizes if size is not None), default=None)


def _machine(manifest: Manifest, sessions: Sequence[Session]) -> str:
    device = (manifest.model.device_name if manifest.model else None) or ""
    machine = sessions[-1].machine if sessions else None
    if device not in ("", "cpu") or machine is None or not machine.processor:
        return device
    return (
        f"{machine.processor}, {machine.num_cpus} cores" if machine.num_cpus else machine.processor
    )


def comparable_memory(costs: list[Cost]) -> tuple[str, list[int | None]]:
    """Return the name of a size that all runs know, and it in bytes, by which they are compared.

    The host's peak is no such size: it holds all libraries, and in a sweep the largest run so far.
    """
    if all(cost.peak_device_bytes is not None for cost in costs):
        return "peak device memory", [cost.peak_device_bytes for cost in costs]
    return "weights", [cost.weights_bytes for cost in costs]
