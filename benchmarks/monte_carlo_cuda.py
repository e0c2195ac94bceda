"""The same SDE on a CUDA device: the fused kernel, eager PyTorch and a compiled step, against the ceiling.

The ceiling is what the instructions of a fused kernel allow on the chip's clock; memory is not in it, for particles
stay in registers. Positions start on the device in every program; nothing but sums or positions at the end is written.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import sde_peers
from benchmarks.reporting import Goal, Table, times
from benchmarks.sde_peers import DIFFUSIVITY, HORIZON, PIECES
from benchmarks.sde_process import process
from controlsde.monte_carlo.backends.triton import stepping as fused_cuda
from controlsde.monte_carlo.philox import Stream

# particle steps a second that compiled instruction counts allow on an H200: 132 SMs × 1.98 GHz
CEILING = {1: 1.05e12, 2: 5.2e11, 8: 1.0e11}
SHARE, EAGER, COMPILED = 0.6, 10.0, 3.0  # goals
ROUNDS = 7
BINS, MODES = 1024, 128


def race(n: int, steps: int) -> tuple[list[Table], list[Goal], list[str]]:
    """Tables, goals and notes; n particles × steps, Euler–Maruyama in single precision."""
    tables, goals = [], []
    for d, ceiling in CEILING.items():
        start = torch.rand((d, n), device="cuda") * 2.0 - 1.0
        tasks = {
            "fused kernel, positions": _fused(d, steps, start, sums=False),
            "fused kernel, sums": _fused(d, steps, start, sums=True),
            "PyTorch, eager": _stepping(d, steps, start, _step),
            "PyTorch, compiled step": _stepping(d, steps, start, torch.compile(_step)),
        }
        speed = {name: n * steps / _seconds(task) for name, task in tasks.items()}
        fused = speed["fused kernel, sums"]
        rows = [
            (name, f"{value:.3g}", f"{100 * value / ceiling:.1f} %", times(fused / value))
            for name, value in speed.items()
        ]
        title = f"CUDA, d = {d}: {n} particles × {steps} steps"
        tables.append(Table(title, ("", "particle steps/s", "of the ceiling", "fused over it"), rows))
        goals += [
            Goal(f"CUDA, d = {d}, of the ceiling", f"≥ {100 * SHARE:g} %", rows[1][2], fused / ceiling >= SHARE),
            *(
                Goal(f"CUDA, d = {d}, against {name}", f"≥ {wanted:g}×", times(gain), gain >= wanted)
                for name, wanted in (("PyTorch, eager", EAGER), ("PyTorch, compiled step", COMPILED))
                if (gain := fused / speed[name])
            ),
        ]
    return tables, goals, [f"CUDA device: {torch.cuda.get_device_name()}; the ceiling is that of an H200"]


def _seconds(task: Callable[[], object]) -> float:
    """The median of some rounds by the device's own clock, after two to warm up."""
    task(), task()
    found = []
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        task()
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(found)


def _fused(d: int, steps: int, start: torch.Tensor, *, sums: bool) -> Callable[[], object]:
    kernel = fused_cuda.Kernel.of(process(d, steps), Stream(99), "cuda")
    if sums:
        return lambda: kernel.sums_from(0, start, BINS, MODES)
    return lambda: kernel.positions_from(0, start)


Step = Callable[..., torch.Tensor]


def _step(z: torch.Tensor, a: torch.Tensor, w: torch.Tensor, b: torch.Tensor, deviation: float) -> torch.Tensor:
    """One step of all particles, folded; h is in A."""
    y = z + a @ torch.tanh(w @ z + b) + deviation * torch.randn_like(z)
    return 1.0 - (2.0 - (y + 1.0).abs()).abs()


def _stepping(d: int, steps: int, start: torch.Tensor, step: Step) -> Callable[[], object]:
    weights, h = sde_peers.problem(d), HORIZON / steps
    pieces = [
        tuple(
            torch.tensor(np.asarray(part), dtype=torch.float32, device="cuda")
            for part in (weights.a[k] * h, weights.w[k], weights.b[k][:, None])
        )
        for k in range(PIECES)
    ]
    deviation = (2.0 * DIFFUSIVITY * h) ** 0.5

    def run() -> torch.Tensor:
        z = start
        for k in range(PIECES):
            for _ in range(steps // PIECES):
                z = step(z, *pieces[k], deviation)
        return z

    return run
