"""Starts or joins a Ray cluster, and decides on the resources of each worker."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llava_eval.borders.machine_limits import num_cores
from llava_eval.config.schema import EngineConfig
from llava_eval.engine.ray.watchdog import Watchdog, cannot_go_on
from llava_eval.errors import ConfigError, EngineError, LlavaEvalError

log = logging.getLogger(__name__)

#: Environment variables of this process that are passed on to all workers of a cluster, if set.
_HUB = ("HF_HUB_OFFLINE", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT")
_PASSED_ON = ("PYTHONPATH", "LLAVA_EVAL_CACHE", *_HUB)

#: Ray ends idle processes beyond the number of cores after a second; decode processes would then
#: have to import everything again each time.
_NUM_KEPT_PROCESSES = 64

#: Watchdog of the cluster that this process has started, if any.
_watchdog: Watchdog | None = None


def import_ray() -> Any:
    """Return the ray package.

    Raises:
        ConfigError: it is not installed.
    """
    # Ray sends usage statistics to its makers by default.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"engine=ray needs the ray package: pip install 'llava-eval[ray]' ({error})"
        ) from error
    return ray


def connect(config: EngineConfig) -> None:
    """Start Ray on this machine, or join the cluster that the configuration names.

    Args:
        config: configuration of the engine.

    Raises:
        ConfigError: there is no such cluster, or it cannot be joined.
        EngineError: Ray cannot be started on this machine.
    """
    global _watchdog
    ray = import_ray()
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if config.address is None:
        os.environ.setdefault("RAY_num_workers_soft_limit", str(_NUM_KEPT_PROCESSES))
        wanted = (config.num_workers or 1) * (config.cpus_per_worker or 1)
        num_cpus = max(wanted, num_cores())
        options |= {"address": "local", "num_cpus": num_cpus, "include_dashboard": False}
    else:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        options |= {"address": config.address, "runtime_env": {"env_vars": passed}}
    on_sigterm = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    try:
        ray.init(**options)
    except Exception as error:  # of any class: Ray raises Exception itself
        last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        reason = " ".join(last[0].split())[:300]
        if config.address is None:
            raise EngineError(
                f"Ray cannot be started on this machine: {reason} (it writes to the home folder, "
                "to /dev/shm and to /tmp or RAY_TMPDIR; engine=local works without it)"
            ) from error
        raise ConfigError(
            f"engine.address={config.address}: this process cannot join a Ray cluster there: "
            f"{reason}"
        ) from error
    if threading.current_thread() is threading.main_thread():
        # Ray's own handler aborts this process with a native stack trace in the log of a SLURM job.
        signal.signal(signal.SIGTERM, on_sigterm)
    if config.address is None:
        _watchdog = Watchdog()


def check_alive() -> None:
    """Check that the processes of a cluster started by this process are alive.

    Raises:
        EngineError: a process that the cluster needs has died.
    """
    if _watchdog is not None:
        _watchdog.check()


def disconnect() -> None:
    """Disconnect from the cluster; one started by this process ends with all its processes."""
    global _watchdog
    watchdog, _watchdog = _watchdog, None
    ending = contextlib.nullcontext() if watchdog is None else watchdog.ending()
    with ending, contextlib.suppress(Exception):  # the cluster may be broken
        import_ray().shutdown()


@contextlib.contextmanager
def cluster_errors() -> Iterator[None]:
    """Turn a failure of the cluster itself into an error of one line.

    An exception that our code raised in a worker is a defect, and is passed on unchanged.

    Raises:
        EngineError: Ray cannot continue.
    """
    exceptions = import_ray().exceptions
    try:
        yield
    except exceptions.RayTaskError:
        raise
    except exceptions.RayError as error:
        raise cannot_go_on(reason_of(error)) from error


def own_error(error: BaseException) -> LlavaEvalError | None:
    """Return the LlavaEvalError that a task raised, if it was one."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, LlavaEvalError) else None


def is_loss(error: BaseException) -> bool:
    """Return whether an error means that an object or its node was lost."""
    exceptions = import_ray().exceptions
    kinds = (
        exceptions.ObjectLostError,
        exceptions.ObjectStoreFullError,
        exceptions.OutOfDiskError,
        exceptions.OutOfMemoryError,
        exceptions.NodeDiedError,
        exceptions.RaySystemError,
        exceptions.RpcError,
    )
    return isinstance(error, kinds) or isinstance(getattr(error, "cause", None), kinds)


def reason_of(error: BaseException) -> str:
    """Return the sentence of Ray's message that names the reason, as one line."""
    text = str(error)
    for sentence in text.replace("\n", ". ").split(". "):
        if "reason" in sentence.lower() or "because" in sentence.lower():
            return " ".join(sentence.split())[:300]
    return " ".join(text.split())[:300]


@dataclass(frozen=True)
class Share:
    """The number of workers, and the resources of each.

    Attributes:
        num_workers: number of workers, each with the model.
        gpus: GPUs per worker; a fraction lets several workers share one.
        cpus: CPUs per worker.
    """

    num_workers: int
    gpus: float
    cpus: int


def choose_share(config: EngineConfig, device: str, nodes: Sequence[Mapping[str, float]]) -> Share:
    """Choose workers and resources that the configuration leaves open.

    Args:
        config: configuration of the engine.
        device: ``model.device``: auto, cpu or cuda.
        nodes: resources of each node as Ray counts them, including "CPU" and "GPU".
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
    """Return the largest number of CPUs per worker if no worker spans two nodes."""
    counts = [int(node.get("CPU", 0.0)) for node in nodes]
    fitting = [
        share
        for share in range(1, max(counts, default=1) + 1)
        if sum(count // share for count in counts) >= num_workers
    ]
    return max(fitting, default=1)


def wait_for_resources(share: Share, timeout_seconds: float) -> None:
    """Wait until the cluster has the resources for all workers.

    Args:
        share: the required resources.
        timeout_seconds: longest wait.

    Raises:
        EngineError: the cluster still lacks resources at the end of this time.
    """
    needed = {"CPU": share.num_workers * share.cpus, "GPU": share.num_workers * share.gpus}
    end = time.monotonic() + timeout_seconds
    is_said = False
    while True:
        present = import_ray().cluster_resources()
        lacking = {name: n for name, n in needed.items() if present.get(name, 0.0) < n}
        if not lacking:
            return
        asked = " and ".join(
            f"{count:g} {name}s, of which the cluster has {present.get(name, 0.0):g}"
            for name, count in lacking.items()
        )
        text = f"{share.num_workers} workers need {asked}"
        if time.monotonic() > end:
            raise EngineError(
                f"{text} (engine.num_workers, engine.gpus_per_worker, engine.cpus_per_worker)"
            )
        if not is_said:
            log.warning("%s; waiting", text)
            is_said = True
        time.sleep(min(1.0, timeout_seconds))


def node_facts() -> list[dict[str, Any]]:
    """Return the manifest's record of the cluster's nodes."""
    return [
        {
            "node": node["NodeID"],
            "host": node["NodeManagerHostname"],
            "address": node["NodeManagerAddress"],
            "alive": bool(node["Alive"]),
            "num_cpus": node["Resources"].get("CPU", 0.0),
            "num_gpus": node["Resources"].get("GPU", 0.0),
        }
        for node in import_ray().nodes()
    ]
