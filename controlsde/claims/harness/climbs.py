"""Budgets of the frontier of noise, solved from several starts each, more pieces from the answers on fewer.

Comes in: budgets, each at several noise levels and from several seeds; a folder. Goes out: the verified errors of each.
They are the runs of a sweep that climbs along the pieces: the folder is one of a sweep, and a sweep that was killed
goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.optimised import Spread
from controlsde.execution.here import Here
from controlsde.foundation.progress import Progress, silent
from controlsde.problem import Problem, parse_problem
from controlsde.sweeps.store import Row
from controlsde.sweeps.sweep import sweep
from controlsde.workflow.cost_alone import Cost
from controlsde.workflow.jobs import at_a_time

Array = NDArray[np.float64]

DENSITIES = {
    "smooth": "1 + 0.8*cos(2*pi*x)",
    "kink": "0.6 - abs(x - 0.5)",
    "jump": "where(x < 0.5, 1.6, 0.4)",
}
SHORTEST = 1e-3  # of the horizon: the least length of a free piece
MEASURES = {"l2": "L²", "w1": "W₁", "w2": "W₂"}
SECONDS, MEMORY = 60.0, 2**28  # that a climb may take


@dataclass(frozen=True)
class Cell:
    """One budget at one noise level, whatever the seed of its starts."""

    density: str
    pieces: int
    width: int
    noise: float
    lengths: str = "equal"

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.budget}, η = {self.noise:g}"

    @property
    def budget(self) -> str:
        """All but the noise, in words."""
        free = " of free length" if self.lengths == "free" else ""
        return f"{self.density}, {self.pieces} pieces{free}, width {self.width}"


@dataclass(frozen=True)
class Grid:
    """What is solved: every combination of these, from every seed. A climb is over all pieces, from few to many."""

    densities: tuple[str, ...]
    pieces: tuple[int, ...]
    widths: tuple[int, ...]
    noise: tuple[float, ...]
    lengths: tuple[str, ...]
    seeds: tuple[int, ...]
    iterations: int
    horizon: float

    @property
    def name(self) -> str:
        """The name of a folder for all grids of the same problems that are climbed in the same way."""
        problems, pieces = "-".join((*self.densities, *self.lengths)), "-".join(map(str, self.pieces))
        return f"{problems}-pieces-{pieces}-iterations-{self.iterations}-horizon-{self.horizon:g}"

    def cells(self) -> list[Cell]:
        """All of them."""
        return [
            Cell(density, pieces, width, noise, lengths)
            for lengths in self.lengths
            for density in self.densities
            for pieces in self.pieces
            for width in self.widths
            for noise in self.noise
        ]

    def problem(self, density: str, lengths: str) -> Problem:
        """Reversed heat flow between walls, with tangential networks: the same at every noise level."""
        free = f"lengths: free, shortest: {SHORTEST * self.horizon!r}" if lengths == "free" else ""
        return parse_problem(
            f"""
name: {_name(density, lengths)}
domain: {{box: [[0, 1]]}}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: {self.horizon!r}
  data: {{kind: formula, expression: "{DENSITIES[density]}"}}
network: {{tangential: true}}
controls: {{{free}}}
objective: {{effort: 1.0e-7}}
mesh: {{elements: [8]}}
solver: {{kind: shooting, starts: 1, hops: 0, iterations: {self.iterations}}}
monte_carlo: {{particles: 20000}}
"""
        )


@dataclass(frozen=True)
class Measured:
    """What the solves of a cell found: the verified errors at T by measure, one for each seed that verified.

    objective: J, one for each seed, nan where a solve failed.
    """

    l2: tuple[float, ...]
    w1: tuple[float, ...]
    w2: tuple[float, ...]
    objective: tuple[float, ...] = ()

    @staticmethod
    def of(rows: Sequence[Row]) -> Measured:
        """The numbers of the runs of a cell, one for each seed."""
        verified = [row for row in rows if row.verified]
        errors = [[row.numbers.get(f"tracking.{name}_final") for row in verified] for name in MEASURES]
        l2, w1, w2 = (tuple(one for one in values if one is not None) for values in errors)
        objective = tuple(row.numbers.get("objective") for row in rows)
        return Measured(l2, w1, w2, tuple(np.nan if one is None else one for one in objective))

    def spread(self, measure: str) -> Spread:
        """The spread of `l2`, `w1` or `w2` over the seeds."""
        return Spread.of(np.array(getattr(self, measure)))


def climbed(
    grid: Grid, folder: Path | None, progress: Progress = silent, executor: Executor | None = None
) -> dict[Cell, Measured]:
    """What a sweep over the grid finds; what the folder holds of it is not done again.

    Climbs run side by side where that pays. Raises KeyboardInterrupt where that interrupted it; the folder keeps what
    has ended.
    """
    problems = {(one, lengths): grid.problem(one, lengths) for lengths in grid.lengths for one in grid.densities}
    vary = {  # what takes longest comes first
        "network.width": sorted(grid.widths, reverse=True),
        "noise": list(grid.noise),
        "solver.seed": list(grid.seeds),
        "controls.pieces": list(grid.pieces),
    }
    ways = len(problems) * len(grid.widths) * len(grid.noise) * len(grid.seeds)
    alone = at_a_time(ways, executor, lambda: Cost(SECONDS, MEMORY)) < 2
    with ExitStack() as stack:
        place = folder / grid.name if folder else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = sweep(
            list(problems.values()),
            vary,
            folder=place,
            executor=Here() if alone else executor,
            climb="controls.pieces" if len(grid.pieces) > 1 else None,
            progress=progress,
        )
    assert found is not None  # an executor of ours leads
    if found.interrupted:
        raise KeyboardInterrupt
    runs = zip(found.plan.runs, found.rows, strict=True)
    rows = {(run.problem, *(run.settings[key] for key in vary)): row for run, row in runs if row is not None}
    return {cell: Measured.of([rows[_place(cell, seed)] for seed in grid.seeds]) for cell in grid.cells()}


def _place(cell: Cell, seed: int) -> tuple[str, int, float, int, int]:
    """The problem of a run, and its settings in the order of the keys above."""
    return _name(cell.density, cell.lengths), cell.width, cell.noise, seed, cell.pieces


def _name(density: str, lengths: str) -> str:
    return density if lengths == "equal" else f"{density}-{lengths}"
