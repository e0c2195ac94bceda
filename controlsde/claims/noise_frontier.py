"""Where noise helps and where it hurts: optimised controls over pieces, widths, noise levels and three densities.

The cells are independent solves. Each is kept in a file of its own as soon as it is done, so that a run which was
killed goes on where it stopped, as long as it is given the same folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.claim import Claim, Findings, Row, Setting, report
from controlsde.claims.optimised import Spread, optimise, spread_curve
from controlsde.claims.settings import SettingError
from controlsde.files import atomic_file
from controlsde.problem import Problem, parse_problem
from controlsde.progress import Step
from controlsde.report.panels import Panel
from controlsde.solvers.processes import Workers

Array = NDArray[np.float64]

DENSITIES = {
    "smooth": "1 + 0.8*cos(2*pi*x)",
    "kink": "0.6 - abs(x - 0.5)",
    "jump": "where(x < 0.5, 1.6, 0.4)",
}
MEASURES = {"l2": "L²", "w1": "W₁", "w2": "W₂"}
CLEAR = 2.0  # deviations of a difference over the seeds, beyond which it is called one
SECONDS = 20.0  # that a cell may take: from the second on, processes pay


@dataclass(frozen=True)
class Parameters:
    """densities, pieces, widths, noise levels η, seeds of the starts, iterations of each descent, horizon."""

    densities: tuple[str, ...] = tuple(DENSITIES)
    pieces: tuple[int, ...] = (4, 8, 16, 32, 64)
    widths: tuple[int, ...] = (1, 2, 4)
    noise: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    iterations: int = 60
    horizon: float = 0.1


@dataclass(frozen=True)
class Cell:
    """One problem, from every seed."""

    density: str
    pieces: int
    width: int
    noise: float
    seeds: tuple[int, ...]
    iterations: int
    horizon: float

    @property
    def name(self) -> str:
        """Of its file; all that its numbers depend on is in it."""
        seeds = "-".join(map(str, self.seeds))
        budget = f"i{self.iterations}-T{self.horizon:g}-s{seeds}"
        return f"{self.density}-K{self.pieces}-m{self.width}-n{self.noise:g}-{budget}.json"

    def problem(self) -> Problem:
        """Reversed heat flow between walls, with tangential networks: the same at every noise level."""
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
controls: {{pieces: {self.pieces}}}
objective: {{effort: 1.0e-7}}
mesh: {{elements: [8]}}
solver: {{kind: shooting, starts: 1, hops: 0, iterations: {self.iterations}}}
monte_carlo: {{particles: 20000}}
"""
        )


@dataclass(frozen=True)
class Measured:
    """The verified errors at T of a cell, by measure, one for each seed that verified."""

    l2: tuple[float, ...]
    w1: tuple[float, ...]
    w2: tuple[float, ...]
    interrupted: bool = False

    def spread(self, measure: str) -> Spread:
        """Of `l2`, `w1` or `w2` over the seeds."""
        return Spread.of(np.array(getattr(self, measure)))


def cells(parameters: Parameters) -> Iterator[Cell]:
    """All of them, the cheap ones first."""
    rest = parameters.seeds, parameters.iterations, parameters.horizon
    for pieces in sorted(parameters.pieces):
        for width in sorted(parameters.widths):
            for density in parameters.densities:
                for noise in parameters.noise:
                    yield Cell(density, pieces, width, noise, *rest)


def measured(cell: Cell, folder: Path | None) -> Measured:
    """What the folder holds of the cell, or else what its solves find, which the folder then holds."""
    kept = folder / cell.name if folder else None
    if kept is not None and kept.exists():
        return _read(kept)
    found = optimise(cell.problem(), cell.seeds)
    l2, w1, w2 = (_finite(values[found.verified]) for values in (found.l2, found.w1, found.w2))
    result = Measured(l2, w1, w2)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as temporary:
            Path(temporary).write_text(
                json.dumps({"cell": asdict(cell), "found": asdict(result)}, indent=1), encoding="utf-8"
            )
    return result


def _read(kept: Path) -> Measured:
    stored = json.loads(kept.read_text(encoding="utf-8"))
    l2, w1, w2 = (tuple(map(float, stored["found"][name])) for name in MEASURES)
    return Measured(l2, w1, w2)


def _finite(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values if np.isfinite(value))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every cell, as many at once as there are processors."""
    unknown = [name for name in parameters.densities if name not in DENSITIES]
    if unknown:
        raise SettingError(f"densities must be among {', '.join(DENSITIES)} (got {', '.join(unknown)})")
    folder = setting.folder / "noise-frontier" if setting.folder else None
    todo = list(cells(parameters))
    done = 0

    def told(task: str) -> None:
        nonlocal done
        done += 1
        setting.progress(Step(f"{task} ({done} of {len(todo)})", fraction=done / len(todo)))

    def here(_: int, cell: Cell) -> Measured:
        found = measured(cell, folder)
        told(cell.name.rsplit("-i", 1)[0])
        return found

    kept = [cell for cell in todo if folder and (folder / cell.name).exists()]
    found = {cell: here(0, cell) for cell in kept}
    fresh = [cell for cell in todo if cell not in found]
    with Workers() as workers:
        results = workers.run(fresh, here, partial(measured, folder=folder), lambda *_: told("cell"), SECONDS)
    if any(result is None for result in results):
        raise KeyboardInterrupt
    found.update({cell: result for cell, result in zip(fresh, results, strict=True) if result is not None})
    return _findings(parameters, found)


def _findings(parameters: Parameters, found: dict[Cell, Measured]) -> Findings:
    """Rows of every cell, and for every density, number of pieces and width whether noise helped."""
    rows: list[Row] = []
    helped: list[str] = []
    hurt: list[str] = []
    compared = 0
    for group in _groups(parameters, found):
        name = f"{group[0].density}, {group[0].pieces} pieces, width {group[0].width}"
        for cell in group:
            for measure, symbol in MEASURES.items():
                spread = found[cell].spread(measure)
                rows.append(report(f"{name}, η = {cell.noise:g}: {symbol} at T, mean", spread.mean))
                rows.append(report(f"{name}, η = {cell.noise:g}: {symbol} at T, deviation", spread.deviation))
            rows.append(report(f"{name}, η = {cell.noise:g}: starts that verified", found[cell].spread("l2").count))
        still = next((cell for cell in group if cell.noise == 0), None)
        noisy = [cell for cell in group if cell.noise > 0 and found[cell].l2]
        if still is None or not found[still].l2 or not noisy:
            continue
        compared += 1
        best = min(noisy, key=lambda cell: found[cell].spread("l2").mean)
        gap = found[best].spread("l2").mean - found[still].spread("l2").mean
        apart = found[best].spread("l2").apart(found[still].spread("l2"))
        rows.append(report(f"{name}: best η > 0 in L²", best.noise))
        rows.append(report(f"{name}: L² at the best η > 0 less that at η = 0, in deviations", np.sign(gap) * apart))
        if apart > CLEAR:
            (helped if gap < 0 else hurt).append(name)
    return Findings(
        tuple(rows),
        tuple(_panels(parameters, found)),
        f"Of {compared} budgets noise helps in {len(helped)} ({'; '.join(helped) or 'none'}) and hurts in {len(hurt)} "
        f"({'; '.join(hurt) or 'none'}), measured in L² at T by the best η > 0 against η = 0; elsewhere the difference "
        f"is within {CLEAR:g} deviations over the starts.",
    )


def _groups(parameters: Parameters, found: dict[Cell, Measured]) -> Iterator[list[Cell]]:
    """The cells that differ in nothing but the noise."""
    for density in parameters.densities:
        for pieces in parameters.pieces:
            for width in parameters.widths:
                yield _alike(found, density, pieces, width)


def _alike(found: dict[Cell, Measured], density: str, pieces: int, width: int) -> list[Cell]:
    """The cells with these, by noise."""
    group = [cell for cell in found if (cell.density, cell.pieces, cell.width) == (density, pieces, width)]
    return sorted(group, key=lambda cell: cell.noise)


def _panels(parameters: Parameters, found: dict[Cell, Measured]) -> Iterator[Panel]:
    """For every density the error against η: by pieces at the least width, and by width at the most pieces."""
    least, most = min(parameters.widths), max(parameters.pieces)
    choices = {
        f"width {least}": [(f"{pieces} pieces", pieces, least) for pieces in parameters.pieces],
        f"{most} pieces": [(f"width {width}", most, width) for width in parameters.widths],
    }
    for fixed, lines in choices.items():
        for density in parameters.densities:
            curves = []
            for series, (label, pieces, width) in enumerate(lines):
                group = _alike(found, density, pieces, width)
                spreads = [found[cell].spread("l2") for cell in group]
                curves.append(spread_curve([cell.noise for cell in group], spreads, label, series))
            yield Panel(f"{density}, {fixed}", "noise η", "L² at T", tuple(curves), y_log=True)


CLAIM = Claim(
    id="noise-frontier",
    source="P1",
    title="The frontier: where noise helps, and where it hurts",
    statement=(
        "Controls are optimised for every number of pieces, width and noise level, on a smooth density, one with a "
        "kink and one with a jump, from several random starts each. Is the verified error smaller with noise or "
        "without, and is the difference larger than the spread over the starts?"
    ),
    formulas=(
        "reversed heat flow on [0, 1], v*_η = (1 + η)∇log p; the same p at every η",
        "apart: |mean − mean'| / √(deviation² + deviation'²) over the starts; more than 2 is called a difference",
    ),
    parameters=Parameters(),
    fast=Parameters(densities=("smooth",), pieces=(4,), widths=(1,), noise=(0.0, 1.0), seeds=(0,), iterations=10),
    experiment=experiment,
    meaning=(
        "The table is a report: no theorem decides it. Every answer is a local optimum of a limited descent, and was "
        "verified by other methods; what did not verify is left out, and counted."
    ),
    further="Narrow the question: `--set densities=[jump] --set pieces=[16] --set noise=[0,0.05,0.1,0.2]`.",
    expects="open",
    long=True,
)
