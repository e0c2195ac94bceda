"""Budgets of the frontier of noise, solved from several starts each, more pieces from the answers on fewer.

Comes in: cells, each a budget at one noise level, in the order of a climb; a folder. Goes out: the verified errors of
each. The folder keeps each in a file of its own as soon as it is done, so that a run which was killed goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.optimised import Spread, answer, gathered
from controlsde.control.controls import Controls
from controlsde.foundation.files import write_whole
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.problem import Problem, parse_problem
from controlsde.workflow.warm_starts import in_parts

Array = NDArray[np.float64]

DENSITIES = {
    "smooth": "1 + 0.8*cos(2*pi*x)",
    "kink": "0.6 - abs(x - 0.5)",
    "jump": "where(x < 0.5, 1.6, 0.4)",
}
SHORTEST = 1e-3  # of the horizon: the least length of a free piece
MEASURES = {"l2": "L²", "w1": "W₁", "w2": "W₂"}


@dataclass(frozen=True)
class Cell:
    """One problem, from every seed. climbed: the numbers of pieces on the way to its own, which is the last."""

    density: str
    climbed: tuple[int, ...]
    width: int
    noise: float
    seeds: tuple[int, ...]
    iterations: int
    horizon: float
    lengths: str = "equal"

    @property
    def pieces(self) -> int:
        """How many pieces its own controls have."""
        return self.climbed[-1]

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.budget}, η = {self.noise:g}"

    @property
    def budget(self) -> str:
        """All but the noise, in words."""
        free = " of free length" if self.lengths == "free" else ""
        return f"{self.density}, {self.pieces} pieces{free}, width {self.width}"

    @property
    def name(self) -> str:
        """The name of its file, which holds all that its numbers depend on."""
        pieces, seeds = ("-".join(map(str, numbers)) for numbers in (self.climbed, self.seeds))
        budget = f"i{self.iterations}-T{self.horizon:g}-s{seeds}"
        free = "-free" if self.lengths == "free" else ""
        return f"{self.density}-K{pieces}-m{self.width}-n{self.noise:g}-{budget}{free}.json"

    def problem(self) -> Problem:
        """Reversed heat flow between walls, with tangential networks: the same at every noise level."""
        free = f", lengths: free, shortest: {SHORTEST * self.horizon!r}" if self.lengths == "free" else ""
        return parse_problem(
            f"""
domain: {{box: [[0, 1]]}}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: {self.horizon!r}
  data: {{kind: formula, expression: "{DENSITIES[self.density]}"}}
noise: {self.noise!r}
network: {{width: {self.width}, tangential: true}}
controls: {{pieces: {self.pieces}{free}}}
objective: {{effort: 1.0e-7}}
mesh: {{elements: [8]}}
solver: {{kind: shooting, starts: 1, hops: 0, iterations: {self.iterations}}}
monte_carlo: {{particles: 20000}}
"""
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """What the solves of a cell found: the verified errors at T by measure, one for each seed that verified.

    objective: J, one for each seed, nan where a solve failed. controls: one for each seed, None where there are none.
    """

    l2: tuple[float, ...]
    w1: tuple[float, ...]
    w2: tuple[float, ...]
    objective: tuple[float, ...] = ()
    controls: tuple[Controls | None, ...] = ()

    def spread(self, measure: str) -> Spread:
        """The spread of `l2`, `w1` or `w2` over the seeds."""
        return Spread.of(np.array(getattr(self, measure)))

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists."""
        weights = [None if one is None else _weights(one) for one in self.controls]
        objective = [value if np.isfinite(value) else None for value in self.objective]
        return {"l2": self.l2, "w1": self.w1, "w2": self.w2, "objective": objective, "controls": weights}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Measured:
        """What `to_json` made."""
        l2, w1, w2 = (tuple(map(float, stored[name])) for name in MEASURES)
        objective = tuple(np.nan if value is None else float(value) for value in stored["objective"])
        return Measured(
            l2, w1, w2, objective, tuple(None if one is None else Controls(**one) for one in stored["controls"])
        )


def climb(cells: Sequence[Cell], folder: Path | None, progress: Progress = silent) -> tuple[Measured, ...]:
    """Every cell from the answers to the one before, or from random starts where these do not fit."""
    found: list[Measured] = []
    for cell in cells:
        progress(Step(cell.label))
        found.append(measured(cell, folder, found[-1].controls if found else ()))
    return tuple(found)


def measured(cell: Cell, folder: Path | None, before: Sequence[Controls | None] = ()) -> Measured:
    """What the folder holds of the cell, or else what its solves find, which the folder then holds.

    before: controls on fewer pieces to start from, one for each seed.
    """
    kept = folder / cell.name if folder else None
    if kept is not None and kept.exists():
        return Measured.from_json(json.loads(kept.read_text(encoding="utf-8"))["found"])
    problem = cell.problem()
    starts = [_fitting(one, cell.pieces) for one in before] or [None] * len(cell.seeds)
    answers = [answer(problem, seed, start) for seed, start in zip(cell.seeds, starts, strict=True)]
    numbers = gathered(cell.seeds, answers)
    l2, w1, w2 = (_finite(values[numbers.verified]) for values in (numbers.l2, numbers.w1, numbers.w2))
    controls = tuple(None if one is None else one.controls for one in answers)
    result = Measured(l2, w1, w2, tuple(map(float, numbers.objective)), controls)
    if kept is not None:
        document = {"cell": asdict(cell), "found": result.to_json()}
        write_whole(kept, json.dumps(document, indent=1).encode())
    return result


def _fitting(controls: Controls | None, pieces: int) -> Controls | None:
    if controls is None or pieces % controls.pieces:
        return None
    return in_parts(controls, pieces // controls.pieces)


def _weights(controls: Controls) -> dict[str, Any]:
    return {name: getattr(controls, name).tolist() for name in ("A", "W", "b", "times")}


def _finite(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values if np.isfinite(value))
