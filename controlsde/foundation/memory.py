"""Whether there is room for the libraries that a command needs, asked before they are loaded.

Comes in: the name of a command. Goes out: a MemoryLimitError in one line; or nothing. PyTorch, SciPy and CasADi take
hundreds of megabytes of address space before anything runs, and where a limit (`ulimit -v`) refuses it, they break off
in the middle of an import, abort, or try for ever. Without a limit nothing is asked, and it costs nothing.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator

# Megabytes of address space, measured on a small problem with one thread: what `check` loads, and what solving does.
CHECKING, SOLVING = 820, 1330
LIGHT = ("problems", "schema")
A_THREAD = 80  # megabytes that each further processor adds: buffers and stacks of the two BLAS libraries
MEGABYTE = 2**20
WORDS = ("cannot allocate memory", "failed to map segment", "start new thread", "unable to allocate", "bad_alloc")


class MemoryLimitError(MemoryError):
    """Too little room for the libraries; one line with the cure."""


def make_sure_of_room(command: str | None) -> None:
    """Raise MemoryLimitError where the limit of address space leaves too little for a command."""
    limit = _limit()
    if limit is None or command is None or command in LIGHT:
        return
    needed = (CHECKING if command == "check" else SOLVING) + A_THREAD * (_threads() - 1)
    if not _is_there(needed * MEGABYTE - _used()):
        raise MemoryLimitError(
            f"not enough memory: a limit (ulimit -v) leaves {limit // MEGABYTE} MB, and `{command}` takes about "
            f"{needed} MB before it begins; raise the limit"
        )


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether memory was what was missing, also where a library that could not be loaded says so in its own words."""
    for cause in _causes(error):
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return True
        if isinstance(cause, ImportError | OSError | RuntimeError) and any(
            word in str(cause).lower() for word in WORDS
        ):
            return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _limit() -> int | None:
    """The limit of address space in bytes; None where there is none, or no way to ask."""
    try:
        import resource
    except ImportError:  # not a system with such limits
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _threads() -> int:
    """How many threads the libraries will start at once."""
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        processors = os.cpu_count() or 1
    given = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    return min(int(given), processors) if given.isdecimal() and int(given) > 0 else processors


def _used() -> int:
    """Address space in bytes that is taken already."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * mmap.PAGESIZE
    except (OSError, ValueError):
        return 0


def _is_there(size: int) -> bool:
    """Whether so many bytes of address space can be had; they are given back at once, and none is touched."""
    if size <= 0:
        return True
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()
    except (OSError, ValueError):
        return False
    return True
