"""With and without noise in free space: the same problem, the same budget, several fits at each noise level.

Comes in: a problem, noise levels, how many seeds. Goes out: results, one a level, beside what other seeds
reached, so that a difference between levels can be told from luck; and cross[i][j], the mollified distance at T of the
controls of level i when they run at level j.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import network_drift
from controlsde.distances.particle_distances import Asked, mollified_statistic
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.problem.solver_specs import SolverOptions
from controlsde.registry import VIEWS
from controlsde.result.answer import plain_json
from controlsde.result.free_result import FreeResult
from controlsde.tracking.cloud import Cloud
from controlsde.tracking.free_posed import FreePosed, given_scales
from controlsde.verification.free_verifying import PAIRS, Known, Told, experiment_of
from controlsde.workflow import free_comparison_file
from controlsde.workflow.comparison import DEFAULT_NOISE, check_levels
from controlsde.workflow.cost_alone import cost_alone
from controlsde.workflow.free_solving import solve_free_posed
from controlsde.workflow.jobs import Job, Keeping, run_jobs
from controlsde.workflow.kept import Kept, cut_short, file_name
from controlsde.workflow.solving import solver_options

Array = NDArray[np.float64]

SHARED = 2**40  # of the generator of what all verifications share
CROSS = 0  # the seed of what the statistic of the cross table draws, the same for all
SEEDS = 3  # fits at each level, where nobody says


@dataclass(frozen=True)
class Spread:
    """A number over the seeds of search and particles, its mean and standard deviation (nan for one seed)."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Their standard deviation."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a comparison holds them."""
        return {"mean": self.mean, "sd": self.deviation, "values": list(self.values)}


@dataclass(frozen=True, eq=False)
class FreeComparison:
    """Results by noise level, each of the first seed, and the results of the other seeds at the same level.

    cross (n, n): the mollified distance squared at T, over that of p from nothing, of controls i under noise j.
    """

    problem: Problem
    results: tuple[FreeResult, ...]
    others: tuple[tuple[FreeResult, ...], ...]
    cross: Array
    note: str
    interrupted: bool = False

    @property
    def noise(self) -> tuple[float, ...]:
        """The noise levels, in the order of the results."""
        return tuple(result.noise for result in self.results)

    @property
    def verified(self) -> bool:
        """Whether every result is verified."""
        return all(result.verified for level in self.at_levels for result in level)

    @property
    def converged(self) -> bool:
        """Whether every solve converged."""
        return all(result.status == "converged" for level in self.at_levels for result in level)

    @property
    def at_levels(self) -> tuple[tuple[FreeResult, ...], ...]:
        """All results of each level, that of the first seed first."""
        return tuple((own, *others) for own, others in zip(self.results, self.others, strict=True))

    def spreads(self) -> tuple[dict[str, Spread], ...]:
        """What is compared, over the seeds, by name; one mapping a level. See `numbers_of`."""
        found = []
        for level in self.at_levels:
            numbers = [numbers_of(result) for result in level]
            found.append({name: Spread(tuple(one[name] for one in numbers if name in one)) for name in numbers[0]})
        return tuple(found)

    def save(self, folder: str | Path) -> Path:
        """Write comparison.json beside the results, which are in that folder already, and return its path."""
        return free_comparison_file.write(
            Path(folder), self.at_levels, self.cross, self.note, interrupted=self.interrupted
        )

    @staticmethod
    def load(folder: str | Path) -> FreeComparison:
        """Read what `save` wrote, and the results beside it. Raises ResultError, in one line."""
        return FreeComparison(**free_comparison_file.read(Path(folder)))

    @own_settings()
    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page about all results.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        written: Path = VIEWS["report of a comparison"](self, path)
        return written

    @own_settings()
    def contact_sheet(self, path: str | Path, shape: tuple[int, int] | None = None) -> Path:
        """Write a PNG of pictures: the data, p(T), ρ(T) at every noise level, and one Gaussian of the same moments.

        shape: (rows, columns) of a picture, where the names of the coordinates, as pixel_0_0 to pixel_7_7, do not say
        it. Raises ResultError where nothing says it or it does not fit, OSError where nothing can be written.
        """
        written: Path = VIEWS["contact sheet"](self, path, shape)
        return written

    def to_json(self) -> dict[str, Any]:
        """The JSON of `compare`: as in a box, and `spread`, what is compared over the seeds of every level."""
        return {
            "problem": self.problem.name,
            "entries": [result.to_json() for result in self.results],
            "cross": plain_json(self.cross.tolist()),
            "seeds": [[result.problem.solver.seed for result in level] for level in self.at_levels],
            "spread": [
                plain_json({"noise": level, **{name: one.to_json() for name, one in spread.items()}})
                for level, spread in zip(self.noise, self.spreads(), strict=True)
            ],
            "note": self.note,
        }


def numbers_of(result: FreeResult) -> dict[str, float]:
    """What a comparison sets side by side: distances, likelihood, bounds and the loss of the fit."""
    tracking = result.tracking
    numbers = {name: one.value for name, one in tracking.distances.items()}
    likelihood, loss = tracking.log_likelihood, tracking.score_loss
    if likelihood is not None:
        numbers |= {"log_likelihood": likelihood.value, "bits": likelihood.bits, "kl": likelihood.kl}
        if likelihood.path_kl is not None:
            numbers["path_kl"] = likelihood.path_kl
    if loss is not None:
        numbers |= {"score_loss": loss.fresh, "relative_loss": loss.relative}
    return {**numbers, "energy": result.energy}


@own_settings()
def compare_free(
    problem: Problem,
    noise: Sequence[float] = DEFAULT_NOISE,
    solver: str | None = None,
    progress: Progress = silent,
    seeds: int = SEEDS,
    executor: Executor | None = None,
    folder: str | Path | None = None,
) -> FreeComparison:
    """Solve at every noise level from several seeds with the same options, cross-apply the controls of the first seed.

    Each seed has a search of its own and particles of its own, so that what seeds differ by is the luck of both.
    executor: where fits run side by side; by default processes of this machine, when that pays. folder: keeps each
    result as soon as it is there; those that it holds of the same problem, by the same version, are not found again.
    Raises NoiseLevelsError for no noise level, a repeated one, or one that is negative or not finite.
    """
    levels = check_levels(noise)
    progress(Step("building the reference"))
    posed = FreePosed.of(problem)
    fits = fits_of(problem, levels, seeds, solver)
    files = None if folder is None else files_of(fits, folder)
    found, interrupted = _found(posed, fits, files, executor, progress)
    if not any(found):
        raise KeyboardInterrupt
    solved = [level for level in found if level]
    results = tuple(level[0] for level in solved)
    progress(Step("cross-applying the controls"))
    cross, cut_off = cross_apply(posed, results)
    others = tuple(tuple(level[1:]) for level in solved)
    comparison = FreeComparison(problem, results, others, cross, "", interrupted or cut_off)
    return replace(comparison, note=note(comparison))


def fits_of(
    problem: Problem, levels: Sequence[float], seeds: int = SEEDS, solver: str | None = None
) -> tuple[tuple[Problem, ...], ...]:
    """The problems that a comparison solves, for every seed those of all levels."""
    options = solver_options(problem, solver)
    return tuple(tuple(_fit(problem, options, level, number) for level in levels) for number in range(seeds))


def files_of(fits: Sequence[Sequence[Problem]], folder: str | Path) -> tuple[tuple[Kept[FreeResult], ...], ...]:
    """Their files: named by the noise level, and by the seed where it is not the first."""

    def file(fit: Problem, number: int) -> Kept[FreeResult]:
        seed = f"-seed-{number}" if number else ""
        return Kept(Path(folder) / f"{file_name(fit.noise)}{seed}.nc", fit, FreeResult.load)

    return tuple(tuple(file(fit, number) for fit in of_seed) for number, of_seed in enumerate(fits))


def _fit(problem: Problem, options: SolverOptions, level: float, number: int) -> Problem:
    """The problem at a noise level, with the seeds of this number for its search and its particles."""
    particles = problem.monte_carlo
    return problem.model_copy(
        update={
            "noise": level,
            "solver": options.model_copy(update={"seed": options.seed + number}),
            "monte_carlo": particles.model_copy(update={"seed": particles.seed + number}),
        }
    )


def _found(
    posed: FreePosed,
    fits: Sequence[Sequence[Problem]],
    files: Sequence[Sequence[Kept[FreeResult]]] | None,
    executor: Executor | None,
    progress: Progress,
) -> tuple[list[list[FreeResult]], bool]:
    """The results of every level, seed by seed, as far as an interruption lets them come; and whether one did.

    The check of the exact drift in the fits of the first seed serves those of the others.
    """
    problem = posed.problem
    progress(Step("what draws of p show"))
    known = Known.of(posed, *_shared(problem))
    found: list[list[FreeResult]] = [[] for _ in fits[0]]
    for seeds in (slice(1), slice(1, None)):
        asked = [one for of_seed in fits[seeds] for one in of_seed]
        jobs = [Job(_name(one, len(fits)), _solved, (one, problem, known.told)) for one in asked]
        kept = None if files is None else [one for of_seed in files[seeds] for one in of_seed]
        done = run_jobs(jobs, executor, lambda: cost_alone(problem), progress, _keeping(kept))
        for number, result in enumerate(done.results):
            if result is not None:
                found[number % len(found)].append(result)
                known = known.with_exact(result.noise, result.certificate.exact_drift)
        if done.interrupted:
            return found, True
    return found, False


def _keeping(files: Sequence[Kept[FreeResult]] | None) -> Keeping[FreeResult]:
    if files is None:
        return Keeping(cut_short=cut_short)
    return Keeping(lambda number: files[number].read(), lambda number, one: files[number].write(one), cut_short)


def _solved(problem: Problem, asked: Problem, told: Told, *, progress: Progress, executor: Executor) -> FreeResult:  # noqa: ARG001
    """A fit on a worker, which builds the reference for itself. asked: what is compared, of which all fits are."""
    posed = FreePosed.of(problem)
    return solve_free_posed(posed, progress, known=Known.again(posed, *_shared(asked), told))


def _shared(problem: Problem) -> tuple[int, np.random.Generator]:
    """How many particles distances are of, and the generator of what all verifications share."""
    particles = min(PAIRS, problem.monte_carlo.particles)
    return particles, np.random.default_rng([problem.monte_carlo.seed, SHARED])


def _name(fit: Problem, seeds: int) -> str:
    return f"noise {fit.noise:g}" + (f", seed {fit.solver.seed}" if seeds > 1 else "")


def cross_apply(posed: FreePosed, results: Sequence[FreeResult]) -> tuple[Array, bool]:
    """cross[i][j], the mollified distance of the controls of result i at the noise of result j.

    And whether a keyboard interrupt cut it short: what is missing is nan.
    """
    table = np.full((len(results), len(results)), np.nan)
    for i, own in enumerate(results):
        if "mollified" in own.tracking.distances:
            table[i, i] = own.tracking.distances["mollified"].value
    try:
        for i, own in enumerate(results):
            for j, other in enumerate(results):
                if i != j:
                    table[i, j] = _final_distance(own, posed.changed(noise=other.noise))
    except KeyboardInterrupt:
        return table, True
    return table, False


def _final_distance(result: FreeResult, posed: FreePosed) -> float:
    assert result.controls is not None  # every solved result has controls
    drift = network_drift(posed.network, result.controls, posed.reference.horizon)
    final = experiment_of(posed, drift).run(PAIRS, 0).final
    if not np.all(np.isfinite(final)):
        return math.nan
    asked = Asked(posed.data.mixture, PAIRS, np.random.default_rng(CROSS), given_scales(posed.problem))
    return mollified_statistic(asked)(Cloud(final))


def note(comparison: FreeComparison) -> str:
    """What the comparison shows, in one sentence, with the spread over seeds beside the difference."""
    results = comparison.results
    if len(results) < 2:
        return "one noise level only: nothing to compare"
    spreads = [spread["mollified"] for spread in comparison.spreads() if "mollified" in spread]
    if len(spreads) < len(results):
        return "particles were lost at one of the noise levels: nothing to compare"
    order = np.argsort([one.mean for one in spreads])
    best, worst = int(order[0]), int(order[-1])
    gap = spreads[worst].mean - spreads[best].mean
    draws = [results[place].tracking.distances["mollified"].null_sd for place in (best, worst)]
    luck = math.hypot(spreads[best].deviation, spreads[worst].deviation, *draws)
    text = (
        f"the mollified distance is least at noise {results[best].noise:g} ({spreads[best].mean:.3g}) and largest at "
        f"noise {results[worst].noise:g} ({spreads[worst].mean:.3g})"
    )
    count = len(comparison.at_levels[0])
    if not math.isfinite(luck):
        text += "; of one seed, so that luck is not told from noise: give more with --seeds"
    elif gap <= 2.0 * luck:
        text += f", which is not told from luck: {count} seeds and draws of p differ by ± {luck:.2g}"
    else:
        text += f", {gap / luck:.1f} times what {count} seeds and draws of p differ by"
    doubtful = [f"{level[0].noise:g}" for level in comparison.at_levels if not all(one.verified for one in level)]
    if doubtful:
        text += f"; not verified at noise {', '.join(doubtful)}: do not compare those numbers"
    return text
