"""How many workers share the nodes of a cluster, and what each of them may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llava_eval.config.schema import EngineConfig


@dataclass(frozen=True)
class Share:
    """The number of workers, and the resources of each.

    Attributes:
        num_workers: workers, each with the model.
        gpus: of each worker; several may share one.
        cpus: of each worker.
    """

    num_workers: int
    gpus: float
    cpus: int


def choose_share(config: EngineConfig, device: str, nodes: Sequence[Mapping[str, float]]) -> Share:
    """Choose what the configuration leaves open.

    Args:
        config: of the engine.
        device: ``model.device``: auto, cpu or cuda.
        nodes: for each node the resources that Ray counts, "CPU" and "GPU" among them.
    """
    num_gpus = int(sum(node.get("GPU", 0.0) for node in nodes))
    gpus = config.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if device == "cuda" or (device == "auto" and num_gpus > 0) else 0.0
    num_workers = config.num_workers
    if num_workers is None:
        num_workers = max(1, int(num_gpus / gpus)) if gpus > 0 else 1
    cpus = config.cpus_per_worker
    if cpus is None:
        cpus = 1 if gpus > 0 else _even_share(num_workers, nodes)
    return Share(num_workers, gpus, cpus)


def _even_share(num_workers: int, nodes: Sequence[Mapping[str, float]]) -> int:
    """Return the most CPUs that each worker can have, where none spans two nodes."""
    counts = [int(node.get("CPU", 0.0)) for node in nodes]
    fitting = [
        share
        for share in range(1, max(counts, default=1) + 1)
        if sum(count // share for count in counts) >= num_workers
    ]
    return max(fitting, default=1)
