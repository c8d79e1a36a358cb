"""CUDA devices that are pretended: tensors that say cuda:0, and hold their numbers on the CPU.

An operation that is given tensors of several devices raises, as CUDA's kernels do, and memory is
limited and counted. It says nothing of speed or rounding; it shows tensors that were made on the
wrong device, and what is left of a batch. A process that installs it cannot go back.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

aten = torch.ops.aten

#: Operations that take tensors of several devices; indices may lie on the CPU.
MIXED = {aten.copy_.default, aten._to_copy.default, aten.index.Tensor, aten.index_put_.default}


class Memory:
    """Bytes of the storages that tensors of a device hold.

    Attributes:
        limit: of all together; more raises ``torch.OutOfMemoryError``.
        live: now.
        peak: the most at one time.
        num_failures: how often there was too little.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.live, self.peak, self.num_failures = limit, 0, 0, 0
        self._holders: collections.Counter[int] = collections.Counter()
        self._lock = threading.RLock()

    def hold(self, holder: torch.Tensor, data: torch.Tensor) -> None:
        storage = data.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        with self._lock:
            if not self._holders[place]:
                if self.live + size > self.limit:
                    self.num_failures += 1
                    raise torch.OutOfMemoryError(f"{size} more bytes, {self.live} are in use")
                self.live += size
                self.peak = max(self.peak, self.live)
            self._holders[place] += 1
        weakref.finalize(holder, self._let_go, place, size)

    def _let_go(self, place: int, size: int) -> None:
        with self._lock:
            self._holders[place] -= 1
            if not self._holders[place]:
                self.live -= size


MEMORIES: list[Memory] = []


class Pretended(torch.Tensor):
    """A tensor on a device; its numbers are ``held``."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, index: int, requires_grad: bool = False) -> Pretended:
        made: Pretended = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device("cuda", index),
            requires_grad=requires_grad,
        )
        made.held = held
        MEMORIES[index].hold(made, held)
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return dispatch(func, args, kwargs or {})

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{self.held!r} on {self.device}"

    def __format__(self, form: str) -> str:
        return format(self.held, form)

    def data_ptr(self) -> int:  # by which accelerate knows tied weights
        return self.held.data_ptr()

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, **arguments: Any) -> Any:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy")


def is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def index_of(device: Any) -> int | None:
    """Return which of the pretended devices one is; None for the CPU."""
    return (torch.device(device).index or 0) if is_cuda(device) else None


def dispatch(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Do on the CPU what an operation of a device would do there.

    Raises:
        RuntimeError: it is given tensors of several devices.
    """
    tensors = [*_tensors((args, kwargs))]
    here = [tensor for tensor in tensors if isinstance(tensor, Pretended)]
    on_cpu = [tensor for tensor in tensors if not isinstance(tensor, Pretended) and tensor.dim()]
    if func is torch.ops.prim.device.default:
        return here[0].device
    if str(func).startswith("aten.to."):
        with DISPATCH:
            return func.decompose(*args, **kwargs)
    is_index = func in (aten.index.Tensor, aten.index_put_.default)
    if here and on_cpu and (func not in MIXED or (is_index and not isinstance(args[0], Pretended))):
        raise RuntimeError(f"{func}: tensors on cuda and on cpu, {on_cpu[0].shape} for instance")
    devices = {tensor.device for tensor in here if tensor.dim()}
    if len(devices) > 1 and func is not aten.copy_.default:
        raise RuntimeError(f"{func}: tensors on {' and '.join(sorted(map(str, devices)))}")
    device = kwargs.get("device")
    owner = args[0] if func is aten.copy_.default else max(here, key=torch.Tensor.dim, default=None)
    index = index_of(device if device is not None or owner is None else owner.device)
    kwargs = {name: value for name, value in kwargs.items() if name != "pin_memory"}
    if is_cuda(device):
        kwargs["device"] = torch.device("cpu")
    arguments, named = _mapped(_held, (tuple(args), kwargs))
    result = func(*arguments, **named)
    owners = {id(tensor.held): tensor for tensor in here}  # of what was changed in place

    def wrapped(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or index is None:
            return value
        return owners[id(value)] if id(value) in owners else Pretended(value, index)

    return _mapped(wrapped, result)


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in arguments; torch's own walk over trees takes a third of a run."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, tuple | list | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _tensors(value)


def _mapped(function: Callable[[Any], Any], values: Any) -> Any:
    """Return arguments or results with a function's values in place of what is no container."""
    if isinstance(values, tuple | list):
        return type(values)([_mapped(function, value) for value in values])
    if isinstance(values, dict):
        return {name: _mapped(function, value) for name, value in values.items()}
    return function(values)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


class Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Catches operations that make tensors on a device from none."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if any(isinstance(item, torch.device) and item.type == "cuda" for item in args):
            with self:
                return func.decompose(*args, **kwargs)
        if is_cuda(kwargs.get("device")) or _has_pretended((args, kwargs)):
            return dispatch(func, args, kwargs)
        return func(*args, **kwargs)


class Constructors(TorchFunctionMode):
    """Makes tensors of numbers on the CPU first: torch does it below its dispatcher."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor):
            device = kwargs.get("device")
            if is_cuda(device) or _has_pretended((args, kwargs)):
                numbers = tree_map(_number, args[0])
                made = torch.as_tensor(numbers, dtype=kwargs.get("dtype"), device="cpu")
                return made if device is None else made.to(device)
        return func(*args, **kwargs)


def _number(value: Any) -> Any:
    return value.tolist() if isinstance(value, Pretended) else value


def _has_pretended(values: Any) -> bool:
    return any(isinstance(tensor, Pretended) for tensor in _tensors(values))


DISPATCH = Dispatch()  # type: ignore[no-untyped-call]


def free_and_all(device: Any = None) -> tuple[int, int]:
    memory = MEMORIES[device if isinstance(device, int) else index_of(device) or 0]
    return memory.limit - memory.live, memory.limit


def install(num_devices: int, limit: float) -> None:
    """Pretend devices in this process, with so many bytes of memory each."""
    MEMORIES.extend(Memory(int(limit)) for _ in range(num_devices))
    torch._C._ensureCUDADeviceGuardSet()
    torch._C._set_only_lift_cpu_tensors(True)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    replacements: dict[str, Callable[..., Any]] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: num_devices,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: "pretended",
        "get_device_capability": lambda *_: (9, 0),
        "get_device_properties": lambda *_: SimpleNamespace(major=9, minor=0),
        "mem_get_info": free_and_all,
        "max_memory_allocated": lambda device: MEMORIES[index_of(device) or 0].peak,
        "reset_peak_memory_stats": lambda *_: None,
        "empty_cache": lambda: None,
    }
    for name, replacement in replacements.items():
        setattr(torch.cuda, name, replacement)
    setattr(torch, "inference_mode", lambda: torch.no_grad())  # noqa: B010 - its tensors cannot be wrapped
    setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)  # noqa: B010 - typed as a method
    run = threading.Thread.run

    def run_with_modes(thread: threading.Thread) -> None:
        with Constructors(), Dispatch():  # type: ignore[no-untyped-call]
            run(thread)

    setattr(threading.Thread, "run", run_with_modes)  # noqa: B010 - modes are each thread's own
    for mode in (Constructors(), DISPATCH):
        contextlib.ExitStack().enter_context(mode)


def run(num_devices: int, limit: float, arguments: list[str], counts: Path, log: Path) -> None:
    """Run a command here on pretended devices.

    Args:
        num_devices: of them.
        limit: bytes of each.
        arguments: the command line.
        counts: gets what they hold in the end, and how often they had too little.
        log: gets what the command writes.
    """
    for descriptor in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    install(num_devices, limit)
    from llava_eval.cli import main

    try:
        main(arguments)
    finally:
        live = [memory.live for memory in MEMORIES]
        num_failures = sum(memory.num_failures for memory in MEMORIES)
        counts.write_text(json.dumps({"live": live, "num_failures": num_failures}))
