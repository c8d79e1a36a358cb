"""Ray in one process: tasks and actors run when they are called, and fail where a test says so."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

#: Errors of ray.exceptions, all of which derive from RayError.
_ERRORS = (
    "RayTaskError",
    "RayActorError",
    "WorkerCrashedError",
    "GetTimeoutError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "OutOfDiskError",
    "OutOfMemoryError",
    "NodeDiedError",
    "RaySystemError",
    "RpcError",
)


class RayError(Exception):
    """The root of Ray's errors; ``cause`` is what a task of ours raised."""

    def __init__(self, message: str = "", cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class Reference:
    """What a call returned or raised."""

    def __init__(
        self, value: Any = None, error: BaseException | None = None, name: str = ""
    ) -> None:
        self.value = value
        self.error = error
        self.name = name  # of what was called


class OneProcess(ModuleType):
    """A module that stands for the package ``ray``.

    Attributes:
        faults: names of functions and methods, with what their calls raise one after the other;
            None lets a call pass. Or a function of a call's arguments that returns such an error.
        calls: names in the order of the calls.
        killed: actors that were ended.
        present: resources of the one node that is alive.
        joined: what :meth:`init` was told; None before it and after :meth:`shutdown`.
        started: what it was told last.
        silent: name of a call whose results never come.
        num_empty_waits: how many times more nothing is ready.
        results: names of functions, with what their calls return instead.
        later: resources that the cluster has at further looks.
        reserved: CPUs that actors hold; a task that asks for one more would never start.
    """

    def __init__(self) -> None:
        super().__init__("ray")
        self.__spec__ = SimpleNamespace(loader=None)  # type: ignore[assignment]
        kinds = {name: type(name, (RayError,), {}) for name in _ERRORS}
        self.exceptions = SimpleNamespace(RayError=RayError, **kinds)
        self.faults: dict[str, list[Any] | Callable[..., BaseException | None]] = {}
        self.calls: list[str] = []
        self.killed: list[Any] = []
        self.present = {"CPU": 4.0}
        self.joined: dict[str, Any] | None = None
        self.started: dict[str, Any] = {}
        self.silent = ""
        self.num_empty_waits = 0
        self.results: dict[str, Any] = {}
        self.later: list[dict[str, float]] = []
        self.reserved = 0.0

    def error(self, name: str, message: str = "", cause: BaseException | None = None) -> RayError:
        made: RayError = getattr(self.exceptions, name)(message, cause)
        return made

    # what the package calls

    def is_initialized(self) -> bool:
        return self.joined is not None

    def init(self, **options: Any) -> None:
        self._raise_fault("init")
        self.joined = self.started = options
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ray itself does

    def shutdown(self) -> None:
        self.joined = None
        self.reserved = 0.0

    def nodes(self) -> list[dict[str, Any]]:
        node = {"NodeID": "n1", "NodeManagerHostname": "here", "NodeManagerAddress": "127.0.0.1"}
        return [
            {**node, "Alive": True, "Resources": self.present},
            {**node, "NodeID": "n0", "Alive": False, "Resources": {"CPU": 64.0}},
        ]

    def cluster_resources(self) -> dict[str, float]:
        present = self.present
        self.present = self.later.pop(0) if self.later else present
        return present

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "n1")

    def put(self, value: Any) -> Reference:
        return Reference(value)

    def get(self, asked: Reference | list[Reference], timeout: float | None = None) -> Any:
        if isinstance(asked, list):
            return [self.get(reference) for reference in asked]
        if asked.name == self.silent != "":
            raise self.error("GetTimeoutError")
        if asked.error is not None:
            raise asked.error
        return asked.value

    def wait(
        self, references: Sequence[Reference], num_returns: int, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        ready = [item for item in references if item.name != self.silent or not self.silent]
        self.num_empty_waits -= 1
        ready = [] if self.num_empty_waits >= 0 else ready[:num_returns]
        return ready, [item for item in references if item not in ready]

    def cancel(self, reference: Reference, force: bool) -> None:
        self.calls.append("cancel")

    def kill(self, actor: Any, no_restart: bool) -> None:
        self.killed.append(actor)

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        num_cpus = options.get("num_cpus", 1)

        def start(actor: type) -> _Actor:
            self.reserved += num_cpus
            return _Actor(self, actor())

        def decorate(work: Any) -> Any:
            if isinstance(work, type):
                return SimpleNamespace(remote=lambda: start(work))
            free = self.present["CPU"] - self.reserved
            assert num_cpus == 0 or num_cpus <= free, (
                f"{work.__name__} waits for {num_cpus} CPUs of {free}"
            )
            num_returns = options.get("num_returns", 1)
            return _Call(self, work.__name__, work, num_returns)

        return decorate

    def call(self, name: str, work: Callable[..., Any], arguments: Sequence[Any]) -> Reference:
        self.calls.append(name)
        try:
            self._raise_fault(name, *arguments)
            values = [self.get(item) if isinstance(item, Reference) else item for item in arguments]
            value = self.results[name] if name in self.results else work(*values)
            return Reference(value, name=name)
        except RayError as error:
            return Reference(error=error, name=name)
        except Exception as error:  # noqa: BLE001 - whatever a task raises
            return Reference(error=self.error("RayTaskError", str(error), error), name=name)

    def _raise_fault(self, name: str, *arguments: Any) -> None:
        faults = self.faults.get(name, [])
        if isinstance(faults, list):
            fault = faults.pop(0) if faults else None
        else:
            fault = faults(*arguments)
        if fault is not None:
            raise fault


class _Call:
    def __init__(self, ray: OneProcess, name: str, work: Any, num_returns: int = 1) -> None:
        self._ray, self._name, self._work, self._num_returns = ray, name, work, num_returns

    def remote(self, *arguments: Any) -> Any:
        result = self._ray.call(self._name, self._work, arguments)
        if self._num_returns == 1:
            return result
        parts = result.value or [None] * self._num_returns
        return [Reference(part, result.error, self._name) for part in parts]


class _Actor:
    def __init__(self, ray: OneProcess, instance: Any) -> None:
        self._ray, self._instance = ray, instance

    def __getattr__(self, name: str) -> _Call:
        return _Call(self._ray, name, getattr(self._instance, name))


def install(patch: pytest.MonkeyPatch) -> OneProcess:
    """Let the package import this instead of Ray."""
    ray = OneProcess()
    patch.setitem(sys.modules, "ray", ray)
    return ray
