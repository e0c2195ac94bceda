"""With and without noise: the same problem, the same budget, one solve for each noise level, and every control
under every other noise.

Comes in: a problem and noise levels. Goes out: results, and the table cross[i][j] = final L² error of the control
optimised at level i when it runs at level j, measured by the verification's own integrator.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import network_drift
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.registry import VIEWS
from controlsde.result.result import Result
from controlsde.solvers.outcome import reached
from controlsde.tracking.posed import Posed
from controlsde.verification.refinement import refined_density
from controlsde.workflow import comparison_file
from controlsde.workflow.cost_alone import cost_alone
from controlsde.workflow.jobs import Job, Keeping, run_jobs
from controlsde.workflow.kept import Kept, cut_short, file_name
from controlsde.workflow.solving import solve, solver_options

Array = NDArray[np.float64]

DEFAULT_NOISE = (0.0, 1.0)
FREE_LENGTHS = "--set controls.lengths=free"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results by noise level, and cross[i][j] (n, n): final L² error of controls i under noise j."""

    problem: Problem
    results: tuple[Result, ...]
    cross: Array
    note: str
    interrupted: bool = False  # before every level was solved and applied to every other

    @property
    def noise(self) -> tuple[float, ...]:
        """The noise levels, in the order of the results."""
        return tuple(result.noise for result in self.results)

    @property
    def verified(self) -> bool:
        """Whether every result is verified."""
        return all(result.verified for result in self.results)

    @property
    def converged(self) -> bool:
        """Whether every solve converged."""
        return all(result.status == "converged" for result in self.results)

    def save(self, folder: str | Path) -> Path:
        """Write comparison.json, which holds the cross table and the note, beside the results, and return its path.

        The results are in that folder already (`Result.save`). Raises ValueError where one is not, OSError, in one line
        with the cure, where the file cannot be written.
        """
        target = Path(folder) / comparison_file.NAME
        comparison_file.write(target, self.results, self.cross, self.note, self.interrupted)
        return target

    @staticmethod
    def load(folder: str | Path) -> Comparison:
        """Read what `save` wrote, and the results beside it; folder: that folder, or the file comparison.json itself.

        Raises ResultError, in one line, where a file is missing or damaged, or is not the one that was compared.
        """
        place = Path(folder)
        return Comparison(**comparison_file.read(place if place.suffix == ".json" else place / comparison_file.NAME))

    @own_settings()
    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page about all results, with the cross table.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        written: Path = VIEWS["report of a comparison"](self, path)
        return written

    def to_json(self) -> dict[str, Any]:
        """The JSON of `compare`."""
        return {
            "problem": self.problem.name,
            "entries": [result.to_json() for result in self.results],
            "cross": [[float(value) if np.isfinite(value) else None for value in row] for row in self.cross],
            "note": self.note,
        }

    def animate(self, path: str | Path, fps: float = 12.0, *, particles: int = 300, seed: int = 0) -> Path:
        """Write a film of all noise levels side by side; see `Result.animate`."""
        written: Path = VIEWS["film"](self, path, fps, particles=particles, seed=seed)
        return written


def at_noise(problem: Problem, noise: float) -> Problem:
    """The same problem at another noise level."""
    return Problem.model_validate({**problem.model_dump(by_alias=True, exclude_none=True), "noise": noise})


class NoiseLevelsError(ControlsdeError, ValueError):
    """Noise levels that cannot be compared; one line with the cure."""


def check_levels(noise: Sequence[float]) -> tuple[float, ...]:
    """The noise levels as floats. Raises NoiseLevelsError for none, a repeated, negative or non-finite one."""
    levels = tuple(float(level) for level in noise)
    if not levels:
        raise NoiseLevelsError("give at least one noise level, such as 0 and 1")
    if any(not np.isfinite(level) or level < 0 for level in levels):
        raise NoiseLevelsError(
            f"noise levels must be finite and >= 0 (got {', '.join(f'{level:g}' for level in levels)})"
        )
    if len(set(levels)) < len(levels):
        raise NoiseLevelsError(f"give each noise level once (got {', '.join(f'{level:g}' for level in levels)})")
    return levels


@own_settings()
def compare(
    problem: Problem,
    noise: Sequence[float] = DEFAULT_NOISE,
    solver: str | None = None,
    progress: Progress = silent,
    executor: Executor | None = None,
    folder: str | Path | None = None,
) -> Comparison:
    """Solve at every noise level with the same options, cross-apply the controls, and say what was found.

    executor: where levels run side by side, or the starts of each; by default processes of this machine, when that
    pays. The numbers do not depend on it. folder: keeps the result of each level as soon as it is there; levels that it
    holds of the same problem, by the same version, are not solved again. Raises NoiseLevelsError for no noise level, a
    repeated one, or one that is negative or not finite.
    """
    levels = check_levels(noise)
    problems = [at_noise(problem, level) for level in levels]
    jobs = [Job(f"noise {one.noise:g}", solve, (one, solver)) for one in problems]
    done = run_jobs(
        jobs, executor, lambda: cost_alone(problems[-1]), progress, keeping(problem, levels, solver, folder)
    )
    results = done.there
    if not results:
        raise KeyboardInterrupt
    progress(Step("cross-applying the controls"))
    cross, interrupted = cross_apply(results)
    open_lengths = problem.controls.pieces > 1 and Posed.of(at_noise(problem, max(levels))).may_free_lengths
    found = note(results, open_lengths)
    return Comparison(problem, tuple(results), cross, found, interrupted or done.interrupted)


def keeping(
    problem: Problem, levels: Sequence[float], solver: str | None = None, folder: str | Path | None = None
) -> Keeping[Result]:
    """What a comparison keeps in a folder: the result of every level, by `file_name`; nothing without a folder."""
    if folder is None:
        return Keeping(cut_short=cut_short)
    options = solver_options(problem, solver)

    def asked(level: float) -> Problem:
        return at_noise(problem, level).model_copy(update={"solver": options})

    files = [Kept(Path(folder) / f"{file_name(level)}.nc", asked(level), Result.load) for level in levels]
    return Keeping(lambda number: files[number].read(), lambda number, one: files[number].write(one), cut_short)


def cross_apply(results: list[Result]) -> tuple[Array, bool]:
    """cross[i][j], the verified final L² error of the controls of result i at the noise of result j.

    And whether a keyboard interrupt cut it short: what is missing is nan.
    """
    table = np.full((len(results), len(results)), np.nan)
    np.fill_diagonal(table, [own.tracking.l2_final for own in results])
    try:
        for i, own in enumerate(results):
            for j, other in enumerate(results):
                if i != j:
                    table[i, j] = _final_error(own, other.problem)
    except KeyboardInterrupt:
        return table, True
    return table, False


def _final_error(result: Result, problem: Problem) -> float:
    assert result.controls is not None  # every solved result has controls
    posed = Posed.of(problem)
    drift = network_drift(posed.network, result.controls, posed.reference.horizon)
    return refined_density(posed, drift, posed.on().mesh).final_error


def _spread(result: Result) -> list[tuple[float, float]]:
    """Least and largest objective among the best quarter of the starts, without those set aside; nothing for one."""
    values = reached(result.starts, result.objective).kept
    kept = values[: max(2, len(values) // 4)]
    return [(kept[0], kept[-1])] if len(kept) > 1 else []


def note(results: list[Result], open_lengths: bool = False) -> str:
    """What the comparison shows, in one sentence, with the spread of the optimiser beside the difference.

    open_lengths: whether the pieces are equally long and might have lengths of their own, which is said where noise
    hurts, for equal pieces make more of it.
    """
    if len(results) < 2:
        return "one noise level only: nothing to compare"
    best = min(results, key=lambda result: result.tracking.l2_final)
    worst = max(results, key=lambda result: result.tracking.l2_final)
    text = (
        f"the final L² error is least at noise {best.noise:g} ({best.tracking.l2_final:.4g}) and largest at noise "
        f"{worst.noise:g} ({worst.tracking.l2_final:.4g})"
    )
    spreads = [
        f"{low:.3g} to {high:.3g} at noise {result.noise:g}" for result in results for low, high in _spread(result)
    ]
    if spreads:
        text += f"; the best starts reached objectives of {', '.join(spreads)}"
    doubtful = [f"{result.noise:g}" for result in results if not result.verified]
    if doubtful:
        text += f"; not verified at noise {', '.join(doubtful)}: do not compare those numbers"
    stuck = [f"{result.noise:g}" for result in results if result.status != "converged"]
    if stuck:
        text += f"; not converged at noise {', '.join(stuck)}"
    if open_lengths and best.noise < worst.noise:
        text += (
            f"; all pieces are equally long, which costs most with noise, for it forgets what the first ones did: with "
            f"{FREE_LENGTHS} the solver finds their lengths, too"
        )
    return text
