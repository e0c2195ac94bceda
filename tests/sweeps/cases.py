"""A small sweep, executors that do work at once, count it, or lose it; and work for processes."""

import os
import signal
import time
from concurrent.futures import Executor, Future
from pathlib import Path

from controlsde.execution.processes import WorkerDiedError
from controlsde.sweeps.store import Row, Store

TINY = {
    "controls.pieces": 2,
    "solver.starts": 1,
    "solver.iterations": 15,
    "monte_carlo.particles": 500,
    "mesh.elements": [6],
    "mesh.degree": 6,
}


class Inline(Executor):
    """Work is done as it is given; `done` holds the keys of the runs."""

    def __init__(self):
        self.done = []

    def submit(self, function, /, *arguments, **named):
        future = Future()
        try:
            future.set_result(function(*arguments, **named))
            self.done.append(arguments[1].key)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            future.set_exception(error)
        return future


class Losing(Inline):
    """A worker dies at every run whose settings have a value, so many times."""

    def __init__(self, key, value, times):
        super().__init__()
        self.key, self.value, self.left = key, value, times
        self.deaths = 0

    def submit(self, function, /, *arguments, **named):
        if arguments[1].settings[self.key] == self.value and self.left:
            self.left -= 1
            self.deaths += 1
            future = Future()
            future.set_exception(WorkerDiedError("its worker process ended unexpectedly (SIGKILL)"))
            return future
        return super().submit(function, *arguments, **named)


class Counted(Executor):
    """Nothing is solved: a row says that it was. order: the seeds in the order of the runs; most: before Ctrl-C."""

    def __init__(self, most=None):
        self.order, self.most = [], most

    def submit(self, _function, /, folder, run, *_):
        if len(self.order) == self.most:
            raise KeyboardInterrupt
        self.order.append(run.settings["solver.seed"])
        row = Row(run.key, "converged", True, 0.0, {"objective": 1.0})
        Store(Path(folder)).write_row(row)
        future = Future()
        future.set_result(row)
        return future


class Interrupted(Inline):
    """Ctrl-C after so many runs."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def submit(self, function, /, *arguments, **named):
        if len(self.done) == self.after:
            raise KeyboardInterrupt
        return super().submit(function, *arguments, **named)


def square(number):
    return number**2


def who(seconds):
    time.sleep(seconds)
    return os.getpid(), os.environ["OMP_NUM_THREADS"], os.environ["LOKY_MAX_CPU_COUNT"]


def end_abruptly():
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    raise LookupError("nowhere to be found")
