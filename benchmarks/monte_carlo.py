"""Particles of one SDE in a box: ours against JAX, diffrax, torchsde and PyTorch, side by side; and on CUDA.

    dX = v(t, X) dt + √(2D) dW on [−1, 1]ᵈ between reflecting walls, 2¹⁷ particles × 500 steps (see `sde_peers`)

Every competitor draws its own noise, uses every core and returns positions; a call is the whole way from nothing to
positions on the host, without compilation, which stands apart. Before anything is timed their laws are compared.
On a machine with a CUDA device the same SDE runs there, too, with more particles, against the ceiling that instruction
counts give: `python -m benchmarks monte_carlo -o benchmarks/results/monte_carlo.txt`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from benchmarks import sde_peers
from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.sde_peers import MOST_ERRORS, Peer, Positions, Run
from benchmarks.sde_process import process
from benchmarks.timing import Timing, interleaved, ratio
from controlsde.monte_carlo.backends.choice import choose
from controlsde.monte_carlo.backends.numba import stepping as fused
from controlsde.monte_carlo.philox import NORMALS, Stream
from controlsde.monte_carlo.streaming import Effort, stream_particles
from controlsde.monte_carlo.sums import CELL, Layout

DIMENSIONS = (1, 2, 8)
PARTICLES, STEPS = 2**17, 500
SEED = 99
GOALS = {"JAX, scan": 2.0, "diffrax": 6.0, "torchsde": 10.0}
CUDA_PARTICLES = 2**24
OURS, WITH_SUMS, HEUN = "controlsde", "controlsde, with all sums", "controlsde, Heun"


def uniform(d: int) -> Callable[[int, np.random.Generator], NDArray[np.float64]]:
    """Starting points."""
    return lambda n, rng: rng.uniform(-1.0, 1.0, (n, d))


def ours(d: int, n: int, steps: int, scheme: str = "euler-maruyama") -> Run:
    """Positions (n, d) of all particles."""
    posed, stream, draw = process(d, steps, scheme), Stream(SEED), uniform(d)

    def cell(number: int) -> Positions:
        count = min(CELL, n - number * CELL)
        moved = fused.simulate(posed, stream, number * CELL, draw(CELL, stream.generator(number)))
        return np.asarray(moved.z[:count], dtype=np.float32)

    def run() -> Positions:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.concatenate(list(pool.map(cell, range(-(-n // CELL)))))

    return run


def with_sums(d: int, n: int, steps: int) -> Callable[[], object]:
    """As `controlsde simulate` counts them: modes with covariances, moments, histograms, slices."""
    posed, stream = process(d, steps), Stream(SEED)
    layout = Layout.of_box(posed.box, posed.walls)
    backend = choose(posed, "cpu", 10**9)
    return lambda: stream_particles(posed, stream, uniform(d), layout, backend, Effort(n))


def run(fast: bool) -> Report:
    """The race on the processor, compilation, the floor, and CUDA where there is a device."""
    n, steps, rounds = (2**14, 50, 2) if fast else (PARTICLES, STEPS, 7)
    peers, notes = sde_peers.installed()
    tables, goals = [], []
    for d in DIMENSIONS:
        table, found = _race(d, n, steps, rounds, peers)
        tables.append(table)
        goals += found
    tables += [_compilation(), _floor(fast)]
    cuda, cuda_goals, cuda_notes = _cuda(fast)
    notes = [
        *notes,
        "diffrax runs as a batched state with UnsafeBrownianPath, the fastest way of it that was found; "
        "with a key for each particle under vmap, as its documentation shows, it is 1.5 to 4 times slower",
        *cuda_notes,
    ]
    return Report("Monte Carlo: particles between reflecting walls", [*tables, *cuda], [*goals, *cuda_goals], notes)


def _race(d: int, n: int, steps: int, rounds: int, peers: list[Peer]) -> tuple[Table, list[Goal]]:
    prepared = {peer.name: sde_peers.first_call(peer, d, n, steps, 1 + i) for i, peer in enumerate(peers)}
    mine = ours(d, n, steps)
    began = time.perf_counter()
    positions = mine()
    first = {OURS: time.perf_counter() - began, **{name: one.first for name, one in prepared.items()}}
    scores = sde_peers.agreement({OURS: positions, **{name: one.positions for name, one in prepared.items()}})
    worst = max(map(abs, scores), default=0.0)
    assert worst <= MOST_ERRORS, f"at d = {d} laws differ by {worst:.1f} standard errors"
    tasks: dict[str, Callable[[], object]] = {OURS: mine, HEUN: ours(d, n, steps, "heun")}
    if d <= 3:
        tasks[WITH_SUMS] = with_sums(d, n, steps)
    tasks |= {name: one.run for name, one in prepared.items()}
    timings = interleaved(tasks, rounds, 0.0)
    rows = [
        (
            name,
            seconds(first[name]) if name in first else "",
            *timing.cells(),
            f"{n * steps / timing.median:.3g}",
            times(ratio(timing, timings[OURS])),
        )
        for name, timing in timings.items()
    ]
    title = f"d = {d}, width {d}: {n} particles × {steps} steps; largest of {len(scores)} z {worst:.1f}"
    columns = ("", "first call", "later, median", "least", "particle steps/s", "time over ours")
    goals = [_goal(d, name, wanted, timings) for name, wanted in GOALS.items() if name in timings]
    return Table(title, columns, rows), goals


def _goal(d: int, name: str, wanted: float, timings: dict[str, Timing]) -> Goal:
    found = ratio(timings[name], timings[OURS])
    return Goal(f"d = {d}, against {name}", f"≥ {wanted:g}×", times(found), found >= wanted)


FRESH = """
import json, sys, time
began = time.perf_counter()
import numpy as np
from benchmarks.monte_carlo import ours
imported = time.perf_counter()
ours(1, 16384, 5)()
first = time.perf_counter()
ours(2, 16384, 5)()
print(json.dumps([imported - began, first - imported, time.perf_counter() - first]))
"""


def _compilation() -> Table:
    """The first simulation of a process: with nothing compiled, and when an earlier process has compiled the loops."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for name in ("nothing compiled", "compiled by an earlier process"):
            answer = subprocess.run(
                [sys.executable, "-c", FRESH], env=environment, capture_output=True, text=True, check=True
            )
            imported, first, second = json.loads(answer.stdout)
            rows.append((name, seconds(imported), seconds(first), seconds(second)))
    title = "Compilation of the loops: once a machine, for all dimensions, widths, activations and walls"
    return Table(title, ("", "imports", "first simulation", "of another dimension"), rows)


def _floor(fast: bool) -> Table:
    """How much of a step is the generator."""
    rows = np.empty((4, 8 * fused.BLOCK), np.float32)
    calls = 200 if fast else 4000
    fused.fill(NORMALS, Stream(1), 0, 0, rows)
    numbers = {}
    began = time.perf_counter()
    for block in range(calls):
        fused.fill(NORMALS, Stream(1), 0, block, rows)
    numbers["normal numbers (Philox 4×32-10, Box–Muller)"] = (time.perf_counter() - began) / (calls * rows.size)
    for d in DIMENSIONS:
        posed = process(d, STEPS if not fast else 50)
        start = np.zeros((CELL, d))
        fused.simulate(posed, Stream(1), 0, start)
        began = time.perf_counter()
        fused.simulate(posed, Stream(1), 0, start)
        numbers[f"a step at d = {d}"] = (time.perf_counter() - began) / (CELL * posed.clock.steps)
    normal = next(iter(numbers.values()))
    share = [
        "",
        *(f"{100 * d * normal / value:.0f} %" for d, value in zip(DIMENSIONS, list(numbers.values())[1:], strict=True)),
    ]
    found = [(name, f"{1e9 * value:.2f} ns", part) for (name, value), part in zip(numbers.items(), share, strict=True)]
    return Table("One thread: nanoseconds a number or particle", ("", "time", "of it the generator"), found)


def _cuda(fast: bool) -> tuple[list[Table], list[Goal], list[str]]:
    import torch

    if not torch.cuda.is_available():
        return (
            [],
            [],
            ["CUDA was not measured: there is no device here; the same command measures it where there is one"],
        )
    from benchmarks.monte_carlo_cuda import race

    return race(2**18 if fast else CUDA_PARTICLES, 50 if fast else STEPS)
