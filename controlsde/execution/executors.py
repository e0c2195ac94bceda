"""Where work runs that can run side by side: processes of this machine, Dask, MPI, or a caller's own executor.

Comes in: a name, as `--executor` has it, or an executor. Goes out: a `concurrent.futures.Executor`, in a context that
ends what it started and leaves a caller's own as it was. Every task is a function of a module and plain data, so that
it survives the way anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from socket import gethostname
from typing import Any, TypeVar, cast

from controlsde.execution.here import Here
from controlsde.execution.processes import ALONE, Processes, WorkerDiedError
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.versions import versions

T = TypeVar("T")

PROCESSES, DASK, MPI = "processes", "dask", "mpi"
ANSWERS_WITHIN = 10.0  # seconds, of a Dask scheduler
COUNTS = ("workers", "_max_workers", "num_workers")  # of our processes, of the standard library's and loky's, of MPI's
UNTOLD = 32  # workers of an executor that does not tell how many it has
WORDS = f"{PROCESSES}, {DASK}, {DASK}:ADDRESS (of a running scheduler, such as {DASK}:tcp://10.0.0.5:8786) or {MPI}"


class ExecutorError(ControlsdeError, ValueError):
    """An executor that is not to be had, or takes no more work; one line with the cure."""


@contextmanager
def executor_of(name: str | Executor | None = None, workers: int | None = None) -> Iterator[Executor | None]:
    """An executor by its name, by default processes of this machine; None where another process leads (MPI).

    workers: how many, where it is for us to say. Raises ExecutorError, in one line with the cure, for a name that is
    none, an extra that is not installed, a scheduler that does not answer, and workers of other versions than here.
    """
    if isinstance(name, Executor):
        yield name
        return
    check_name(name)
    kind, _, address = (name or PROCESSES).partition(":")
    if kind == PROCESSES:
        with _processes(workers) as pool:
            yield pool
    elif kind == DASK:
        with _dask(address, workers) as pool:
            yield pool
    else:
        with _mpi(workers) as pool:
            yield pool


@contextmanager
def given_or_own(executor: Executor | None) -> Iterator[Executor]:
    """The executor that a caller gave, left as it was, or processes of this machine, for as long as the block lasts."""
    if executor is not None:
        yield executor
        return
    with _processes() as pool:
        yield pool


@contextmanager
def _processes(workers: int | None = None) -> Iterator[Executor]:
    processes = Processes(workers)
    try:
        yield processes
    finally:
        processes.shutdown(kill=True)  # who wanted an answer has it; what still runs was given up


def check_name(name: str | None) -> None:
    """Raises ExecutorError for a name that `executor_of` refuses without asking anybody."""
    kind, _, address = (name or PROCESSES).partition(":")
    if kind not in (PROCESSES, DASK, MPI) or (address and kind != DASK):
        raise ExecutorError(f"executor must be {WORDS} (got {name})")
    package, extra = {DASK: ("distributed", DASK), MPI: ("mpi4py", MPI)}.get(kind, ("", ""))
    if package and find_spec(package) is None:
        raise ExecutorError(f"executor {kind} needs an extra: pip install 'controlsde[{extra}]'")


def died(error: BaseException) -> bool:
    """Whether an error says that a worker ended, and nothing of its task."""
    from concurrent.futures import BrokenExecutor

    return isinstance(error, WorkerDiedError | BrokenExecutor) or type(error).__name__ == "KilledWorker"


def room_of(executor: Executor) -> int:
    """How many tasks an executor does at a time as of now, at least 1; a cluster's workers come and go.

    A cluster that has none yet is taken for one that does not tell: its tasks wait for workers.
    """
    if isinstance(executor, Here):
        return 1
    for name in COUNTS:
        count = getattr(executor, name, None)
        if isinstance(count, int) and not isinstance(count, bool):
            return max(1, count)
    client: Any = getattr(executor, "_client", None)  # of Dask's, which has no other way to its scheduler
    with suppress(Exception):  # a scheduler that does not answer is told where work is given to it
        return sum(int(threads) for threads in client.nthreads().values()) or UNTOLD
    return UNTOLD


@contextmanager
def _dask(address: str, workers: int | None) -> Iterator[Executor]:
    import dask
    from distributed import Client, LocalCluster

    cluster: Any = None
    logging.getLogger("distributed").setLevel(logging.ERROR)  # what a worker that ends has to say is told by us
    if not address:
        import loky

        with dask.config.set({"distributed.worker.daemon": True}):
            cluster = LocalCluster(
                n_workers=workers or loky.cpu_count(), threads_per_worker=1, dashboard_address=None, env=ALONE
            )
    try:
        client = Client(cluster or address, timeout=ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        if cluster is not None:
            cluster.close()
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ExecutorError(
            f"the Dask scheduler at {address} does not answer ({reason}); start it with `dask scheduler`, and workers "
            "with `dask worker ADDRESS --nthreads 1`"
        ) from None
    try:
        _same_versions({"the scheduler": _of_scheduler(client), **client.run(versions_here)})
        yield _Alike(client.get_executor(pure=False, retries=0))
    finally:
        with suppress(Exception):
            client.close()
        if cluster is not None:
            cluster.close()


def _of_scheduler(client: Any) -> dict[str, str]:
    """Its versions. It reads what is sent to workers, and cannot where it lacks what they have."""
    try:
        return cast("dict[str, str]", client.run_on_scheduler(versions_here))
    except Exception as error:  # noqa: BLE001 - whatever it lacks, the cure is the same
        raise ExecutorError(
            f"the Dask scheduler cannot read what it is sent ({type(error).__name__}): start it where controlsde is "
            "installed, too"
        ) from None


class _Alike(Executor):
    """An executor of Dask whose workers, also those that come later, have this machine's versions or refuse."""

    def __init__(self, executor: Any) -> None:
        self._executor, self._client = executor, executor._client
        self._ours = versions_here()

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """The future of function(*arguments, **named); its error is an ExecutorError where a worker differs."""
        return cast("Future[T]", self._executor.submit(_alike, self._ours, function, *arguments, **named))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work."""
        self._executor.shutdown(wait=wait, cancel_futures=cancel_futures)


def _alike(ours: dict[str, str], function: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
    """What the function returns, on a worker with these versions."""
    _differing(ours, gethostname(), versions_here())
    return function(*arguments, **named)


@contextmanager
def _mpi(workers: int | None) -> Iterator[Executor | None]:
    from mpi4py import MPI as library  # noqa: N811
    from mpi4py.futures import MPICommExecutor, MPIPoolExecutor

    world = library.COMM_WORLD
    if world.Get_size() == 1:
        with MPIPoolExecutor(workers, env=ALONE) as pool:
            yield pool
        return
    found = world.allgather((library.Get_processor_name(), versions_here()))
    _same_versions({f"rank {rank} on {place}": known for rank, (place, known) in enumerate(found)})
    with MPICommExecutor(world, root=0) as pool:
        if pool is not None:
            yield cast("Executor", pool)
            return
    yield None  # outside, for there all that is raised would be lost


@cache
def versions_here() -> dict[str, str]:
    """Versions of what computes, on whichever machine this runs."""
    return {name: str(value) for name, value in versions().items()}


def _same_versions(known: dict[str, dict[str, str]]) -> None:
    """Raises ExecutorError where a worker has other versions than this process."""
    ours = versions_here()
    for place, theirs in known.items():
        _differing(ours, place, theirs)


def _differing(ours: dict[str, str], place: str, theirs: dict[str, str]) -> None:
    for name, version in ours.items():
        if theirs.get(name, version) != version:
            where = place if place.startswith("the ") else f"the worker at {place}"
            raise ExecutorError(
                f"{where} has {name} {theirs[name]} and the machine that leads {version}: install the same versions "
                "on all, for answers depend on them"
            )
