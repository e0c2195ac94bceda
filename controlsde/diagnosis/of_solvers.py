"""Causes that lie in how a solver ended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.control.network import KINKED
from controlsde.diagnosis.case import Case
from controlsde.diagnosis.entries import Diagnosis, Remedy, rounded_down, rounded_up
from controlsde.solvers.shooting.options import Shooting

Array = NDArray[np.float64]

FEWEST_ITERATIONS = 30  # to judge IPOPT's regularisation by
STUCK = 0.1  # share of the early regularisation below which a late one has fallen
LAST_SHARE = 0.1  # of the iterations: the last ones
FALLING = 1e-3  # share of J by which the last iterations lower an objective that still descends
MET = 1e-4  # of an equation's residual: below, the state equation is all but met
LEAST_ITERATIONS = 100
MOST_ITERATIONS = 10_000_000
MOST_PIVOT_TOLERANCE = 0.5
SMALL_GRADIENT = 1e-4  # below, an optimum at the limit of rounding
SMOOTH = "tanh"  # of the smooth activations, the one that soonest ended in an optimum where relu stalled


def non_finite(case: Case) -> Diagnosis | None:
    """A density or a weight that stopped being a number, in the solver or in the verification."""
    termination = case.termination
    if case.solved and termination.reason == "non-finite":
        where = "" if termination.piece is None else f" in piece {termination.piece + 1}"
        seen = f"{termination.what} stopped being finite{where}"
    elif case.solved and case.error is not None and not np.isfinite(case.error):
        seen = "the density of these controls blows up on the finer mesh of the verification"
    else:
        return None
    largest = f"; the weights reach {case.largest_weight:.3g}, and may reach {case.problem.controls.bounds}"
    return Diagnosis("non-finite", seen + largest, Remedy("controls.bounds", smaller_bound(case)))


def kink(case: Case) -> Diagnosis | None:
    """An objective that stays where it is although its gradient is not small: it is not smooth there.

    Then more iterations are no cure, and another start ends at another kink.
    """
    termination, network = case.termination, case.network
    kinked = network.activation in KINKED and not case.gradient_norm <= SMALL_GRADIENT
    crawls = termination.reason == "no-descent" or (termination.reason == "iterations" and not _falls(case))
    if not case.stopped or not (termination.reason == "stalled" or (kinked and crawls)):
        return None
    asked = f"a gradient of {case.gradient_norm:.1e} where {case.problem.solver.tolerance:.0e} is asked for"
    seen = f"the search stalled at a kink: the objective no longer falls, with {asked}"
    if not kinked:
        return Diagnosis("kink", seen, Remedy("solver.seed", case.problem.solver.seed + 1))
    seen += f"; the slope of {network.activation} jumps where W·x + b = 0, and more iterations do not smooth it"
    return Diagnosis("kink", seen, Remedy("network.activation", SMOOTH))


def smaller_bound(case: Case) -> float:
    """A bound that keeps what the weights need and forbids what they tried, or a fifth of the weights themselves."""
    bound, largest = case.problem.controls.bounds.largest, case.largest_weight
    if case.termination.reason == "non-finite" and len(case.history) > 1 and largest < 0.4 * bound:
        return rounded_up(largest)
    return rounded_down(max(min(bound, largest) / 5, 1e-3))


def false_inertia(case: Case) -> Diagnosis | None:
    """IPOPT regularises a Hessian whose curvature its linear solver misjudges, from the first iterations to the last.

    A program that is only far from convex needs less and less regularisation as it converges.
    """
    if not case.stopped or len(case.termination.regularisation) < FEWEST_ITERATIONS:
        return None
    added = np.asarray(case.termination.regularisation)
    third = len(added) // 3
    early, late = added[:third], added[-third:]
    if not (early > 0).any() or float(np.median(late)) <= STUCK * float(np.median(early[early > 0])):
        return None
    pivot = float(getattr(case.problem.solver, "pivot_tolerance", MOST_PIVOT_TOLERANCE))
    seen = (
        f"IPOPT's regularisation of the Hessian stays high: its median was {_power(early[early > 0])} in the first "
        f"third of {len(added) - 1} iterations and {_power(late)} in the last, as when the linear solver "
        f"misjudges the signs of the curvature (pivot tolerance {pivot:g})"
    )
    if pivot >= MOST_PIVOT_TOLERANCE:
        return Diagnosis("regularisation", seen, Remedy("solver", "shooting"))
    return Diagnosis(
        "regularisation", seen, Remedy("solver.pivot_tolerance", max(1e-2, min(10 * pivot, MOST_PIVOT_TOLERANCE)))
    )


def _power(values: Array) -> str:
    median = float(np.median(values))
    return f"10^{np.log10(median):.1f}" if median > 0 else "0"


def descending(case: Case) -> Diagnosis | None:
    """No iterations left, and the objective was still falling."""
    return _out_of_iterations(case) if _falls(case) else None


def stalled(case: Case) -> Diagnosis | None:
    """No iterations left, and the objective hardly fell any more, though it is smooth."""
    return None if _falls(case) or kink(case) else _out_of_iterations(case)


def _falls(case: Case) -> bool:
    """Whether the last iterations still lowered J; a history too short to tell counts as falling."""
    values = case.history[:, 1]
    last = max(1, int(LAST_SHARE * len(values)))
    return len(values) < 3 or float(values[-1 - last] - values[-1]) > FALLING * abs(float(values[-1]))


def _out_of_iterations(case: Case) -> Diagnosis | None:
    if not case.stopped or case.termination.reason != "iterations":
        return None
    options, values = case.problem.solver, case.history[:, 1]
    last = max(1, int(LAST_SHARE * len(values)))
    seen = f"{options.iterations} iterations were not enough"
    if len(values) > last:
        fall = (values[-1 - last] - values[-1]) / abs(values[-1])
        seen += f": the last {last} changed the objective by {-100 * fall:+.2g} %"
    if np.isfinite(case.gradient_norm):
        seen += f", the gradient is {case.gradient_norm:.1e} where {options.tolerance:.0e} is asked for"
    if case.violation is not None:
        seen += f"; {_where(case)}"
    if isinstance(options, Shooting) and options.method in ("l-bfgs", "adam"):
        return Diagnosis("iterations", f"{seen}; {options.method} is of first order", Remedy("solver.method", "newton"))
    return Diagnosis("iterations", seen, Remedy("solver.iterations", _more_iterations(case)))


def _more_iterations(case: Case) -> int:
    """The iterations it takes if the gradient goes on falling as in the last third, from twice to ten times as many.

    At least a hundred: fewer say too little to extrapolate.
    """
    options = case.problem.solver
    norms = case.history[:, 2]
    norms = norms[np.isfinite(norms) & (norms > 0)]
    factor = 4.0
    third = len(norms) // 3
    if third >= 5:
        fall = float(np.median(np.log(norms[-2 * third : -third])) - np.median(np.log(norms[-third:])))
        missing = float(np.log(norms[-1] / options.tolerance))
        factor = 1 + 2 * missing / fall * third / options.iterations if fall > 0 else 10.0
    more = int(np.ceil(np.clip(factor, 2.0, 10.0) * options.iterations))
    return min(MOST_ITERATIONS, max(LEAST_ITERATIONS, more))


def set_aside(case: Case) -> Diagnosis | None:
    """A start that did not go on: those that did were given up for it, for they do not survive a finer mesh."""
    if not case.stopped or case.termination.reason != "pruned":
        return None
    given = case.problem.mesh
    seen = (
        f"the starts with a lower objective do not survive a finer mesh than {' × '.join(map(str, case.elements))} "
        f"elements with {case.steps} steps a piece; what does was set aside after {case.iterations} iterations"
    )
    if given.elements != "auto":
        return Diagnosis("mesh", seen, Remedy("mesh.elements", "auto"))
    if given.steps_per_piece != "auto":
        return Diagnosis("steps", seen, Remedy("mesh.steps_per_piece", "auto"))
    return Diagnosis("sharp", seen, Remedy("controls.bounds", smaller_bound(case)))


def state_equation(case: Case) -> Diagnosis | None:
    """Collocation that could not meet the state equation."""
    if not case.stopped or case.violation is None or case.termination.reason == "non-finite":
        return None
    if case.termination.reason != "infeasible" and not case.violation.size > MET:
        return None
    return Diagnosis("state-equation", _where(case), Remedy("solver", "shooting"))


def _where(case: Case) -> str:
    """The worst violated equation in words."""
    worst = case.violation
    if worst is None:
        return ""
    place = "" if case.place is None else f", at x = {', '.join(f'{x:.3g}' for x in case.place)}"
    return (
        f"the equation of the state that is violated most, by {worst.size:.1e}, is in piece {worst.piece + 1}, "
        f"step {worst.step + 1}, stage {worst.stage + 1}{place}"
    )


def no_descent(case: Case) -> Diagnosis | None:
    """A solver that found no better point although it had not converged."""
    if not case.stopped or case.termination.reason != "no-descent" or kink(case):
        return None
    options, norm = case.problem.solver, case.gradient_norm
    words = f" ({case.termination.words})" if case.termination.words else ""
    seen = f"no step lowers the objective any further{words}, with a gradient of {norm:.1e}"
    if isinstance(options, Shooting) and options.method != "newton":
        remedy = Remedy("solver.method", "newton")
    elif norm <= SMALL_GRADIENT:
        remedy = Remedy("solver.tolerance", rounded_up(max(norm, 10 * options.tolerance)))
    else:
        remedy = Remedy("solver.seed", options.seed + 1)
    return Diagnosis("no-descent", seen, remedy)


def loose(case: Case) -> Diagnosis | None:
    """An optimum, but not to the tolerance that was asked for."""
    if not case.stopped or case.termination.reason != "loose":
        return None
    tolerance = case.problem.solver.tolerance
    seen = f"the conditions of an optimum hold, but not to {tolerance:g}; the gradient is {case.gradient_norm:.1e}"
    return Diagnosis("tolerance", seen, Remedy("solver.tolerance", 100 * tolerance))


def disagrees(case: Case) -> Diagnosis | None:
    """Weights that do not give the objective that the solver reports: its states were not met well enough."""
    if not case.stopped or case.termination.reason != "disagrees":
        return None
    return Diagnosis(
        "state-equation",
        f"{case.message}; {_where(case)}",
        Remedy("solver.tolerance", case.problem.solver.tolerance / 100),
    )


def unknown(case: Case) -> Diagnosis | None:
    """Whatever a solver says that has no name here."""
    if not case.stopped or case.termination.reason != "unknown":
        return None
    return Diagnosis("solver", case.message, Remedy("solver.seed", case.problem.solver.seed + 1))
