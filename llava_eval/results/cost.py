"""What a run cost: time, memory, tokens and a judge's fee, from its manifest and ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llava_eval.results.runs import Run

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
    seconds: float | None
    stage_seconds: Mapping[str, float]
    weights_bytes: int | None
    peak_device_bytes: int | None
    peak_host_bytes: int | None
    num_input_tokens: int
    num_output_tokens: int
    num_samples: int
    judge_cost: float | None
    machine: str

    @property
    def seconds_per_sample(self) -> float | None:
        """Wall time of one sample."""
        return None if self.seconds is None else self.seconds / self.num_generated

    @property
    def samples_per_second(self) -> float | None:
        """Samples in one second of wall time."""
        return None if not self.seconds else self.num_generated / self.seconds


def cost_of(run: Run) -> Cost:
    """Return what a run cost.

    Only processes that generated something count; a later one that only scored does not.
    """
    sessions = [
        session
        for session in run.manifest.get("sessions") or ()
        if isinstance(session, Mapping) and session.get("num_generated")
    ]
    stages: defaultdict[str, float] = defaultdict(float)
    for session in sessions:
        for stage, seconds in (session.get("stage_seconds") or {}).items():
            stages[stage] += seconds
    wall = sum(session.get("wall_seconds") or 0.0 for session in sessions)
    # The clock of a session starts after a part of the set-up; with several workers their stages
    # overlap.
    seconds = min(wall, sum(stages[stage] for stage in stages if stage not in _NOT_GENERATING))
    model: Mapping[str, Any] = run.manifest.get("model") or {}
    judge: Mapping[str, Any] = run.manifest.get("judge") or {}
    generations = [result.generation for result in run.results]
    return Cost(
        num_generated=sum(session["num_generated"] for session in sessions),
        seconds=seconds if seconds > 0 else None,
        stage_seconds=dict(stages),
        weights_bytes=model.get("memory_bytes"),
        peak_device_bytes=_largest(sessions, "peak_device_memory_bytes"),
        peak_host_bytes=_largest(sessions, "peak_host_memory_bytes"),
        num_input_tokens=sum(one.num_input_tokens or 0 for one in generations),
        num_output_tokens=sum(one.num_output_tokens or 0 for one in generations),
        num_samples=len(generations),
        judge_cost=judge.get("cost"),
        machine=_machine(run.manifest, sessions),
    )


def _largest(sessions: list[Mapping[str, Any]], name: str) -> int | None:
    return max((s[name] for s in sessions if s.get(name) is not None), default=None)


def _machine(manifest: Mapping[str, Any], sessions: list[Mapping[str, Any]]) -> str:
    device = str((manifest.get("model") or {}).get("device_name") or "")
    if device not in ("", "cpu"):
        return device
    machine: Mapping[str, Any] = (sessions[-1].get("machine") if sessions else None) or {}
    processor, cores = machine.get("processor"), machine.get("num_cpus")
    return f"{processor}, {cores} cores" if processor and cores else str(processor or device)


def comparable_memory(costs: list[Cost]) -> tuple[str, list[int | None]]:
    """Return a name and the bytes by which runs can be held against each other.

    The host's peak is none: it holds all libraries, and in a sweep the largest run so far.
    """
    if all(cost.peak_device_bytes is not None for cost in costs):
        return "peak device memory", [cost.peak_device_bytes for cost in costs]
    return "weights", [cost.weights_bytes for cost in costs]
