"""The library's own settings while it computes, whatever those of the program around it, which gets them back.

Comes in: a call. Goes out: the same call in surroundings that are always the same. What a program may have set, and
what is done about it:

- NumPy's floating-point errors (`np.seterr`): its own setting, per thread. A number that is not finite is found where
  it matters and said in words, so that none is raised or warned of on the way.
- PyTorch's default device, grad and inference mode, autocast, flushed denormals: their own settings, per thread. The
  default dtype is one for the whole process and is left alone: every tensor here names its own.
- The threads of BLAS and PyTorch: one while anyone is inside. Products of matrices are then the same to the bit however
  many the machine has, and threads do not wait for each other: the matrices are small, and on a busy machine several
  took up to twenty times as long. How many threads BLAS has is one number for the process. So those who are inside are
  counted; the first one in sets it, and the last one out gives it back. A program that multiplies matrices in another
  thread meanwhile does so on one thread.

Filters of warnings, the locale, generators of random numbers, the working folder and the environment are neither read
nor set. A function that is told of the progress sees the library's settings.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from controlsde.foundation.blas import Library, casadis_library, loaded_libraries

T = TypeVar("T")

FLOATING_POINT = {"divide": "ignore", "over": "ignore", "under": "ignore", "invalid": "ignore"}
DENORMAL = 2.0**-1074  # twice 0 where denormals are flushed


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """NumPy's floating-point errors as the library wants them; for a function, use it as a decorator."""
    with np.errstate(**FLOATING_POINT):  # type: ignore[arg-type]
        yield


def methods_in_own_arithmetic(kind: type[T]) -> type[T]:
    """A class whose public methods run in `own_arithmetic`: for objects that a caller is given, and asks later."""
    for name, value in list(vars(kind).items()):
        if isinstance(value, FunctionType) and not name.startswith("_"):
            setattr(kind, name, own_arithmetic()(value))
    return kind


@contextmanager
def own_settings() -> Iterator[None]:
    """All of the library's settings, for a computation; for a function, use it as a decorator."""
    with ExitStack() as stack:
        stack.enter_context(own_arithmetic())
        stack.enter_context(one_thread())
        torch = _imported_torch()
        if torch is not None:  # who has not imported it has set nothing in it
            _enter_own_torch(stack, torch)
        yield


def _imported_torch() -> Any | None:
    """PyTorch, if it has been imported: not while another thread is still at it, when its parts are not yet there."""
    torch = sys.modules.get("torch")
    return None if getattr(getattr(torch, "__spec__", None), "_initializing", False) else torch


def _enter_own_torch(stack: ExitStack, torch: Any) -> None:
    """The settings of PyTorch that belong to this thread; only what differs is touched, for each costs a little."""
    if torch.get_default_device().type != "cpu":
        stack.enter_context(torch.device("cpu"))
    if torch.is_inference_mode_enabled():
        stack.enter_context(torch.inference_mode(mode=False))
    if not torch.is_grad_enabled():
        stack.enter_context(torch.enable_grad())
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            stack.enter_context(torch.autocast(device, enabled=False))
    if _flushes_denormals():
        torch.set_flush_denormal(False)
        stack.callback(torch.set_flush_denormal, True)


def _flushes_denormals() -> bool:
    """Whether this thread takes the least numbers for zero."""
    return float(np.float64(DENORMAL) * np.float64(2.0)) == 0.0


@contextmanager
def one_thread() -> Iterator[None]:
    """Let linear algebra use one thread: the matrices of a solve are so small that more of them wait for each other.

    On two cores, two threads took 3 times as long for an exact Hessian on 33² nodes, and 1.9 times on 65².
    """
    _ONE_THREAD.enter()
    try:
        yield
    finally:
        _ONE_THREAD.leave()


class _OneThread:
    """How many are inside `one_thread`, and what to give back when the last one leaves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own = threading.local()  # how deep this thread is inside
        self._inside = 0
        self._before: list[tuple[Library, int]] = []
        self._casadi = False  # whether CasADi's library is among them
        self._torch: int | None = None  # threads of PyTorch before

    def enter(self) -> None:
        depth = getattr(self._own, "depth", 0)
        with self._lock:
            if self._inside == 0:
                self._limit(loaded_libraries())
            if not self._casadi:
                late = casadis_library()
                self._limit([late] if late else [])
                self._casadi = late is not None
            self._inside += not depth
            self._own.depth = depth + 1
            self._limit_torch()

    def leave(self) -> None:
        with self._lock:
            self._own.depth -= 1
            if self._own.depth:
                return
            self._inside -= 1
            if getattr(self._own, "torch", False) and self._torch is not None:
                sys.modules["torch"].set_num_threads(self._torch)
            self._own.torch = False
            if self._inside == 0:
                for library, threads in self._before:
                    library.set_threads(threads)
                self._before, self._casadi, self._torch = [], False, None

    def _limit_torch(self) -> None:
        """Once it is imported, which may be while somebody is inside."""
        torch = _imported_torch()
        if torch is None or getattr(self._own, "torch", False):
            return
        threads = torch.get_num_threads()  # a thread that asks for the first time is given the number that was last set
        if self._torch is None:
            self._torch = threads
        torch.set_num_threads(1)  # every thread has a number of its own
        self._own.torch = True

    def _limit(self, libraries: list[Library]) -> None:
        for library in libraries:
            self._before.append((library, library.threads()))
            library.set_threads(1)


_ONE_THREAD = _OneThread()  # the one thing here that is shared: BLAS, too, is one for the whole process
