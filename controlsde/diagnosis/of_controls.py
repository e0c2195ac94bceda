"""Causes that lie in the controls: bounds, saturated neurons, a local minimum, too few pieces or neurons."""

from __future__ import annotations

import numpy as np

from controlsde.diagnosis.case import EXACT_SHARE, Case
from controlsde.diagnosis.entries import Diagnosis, Remedy, listed, rounded_up
from controlsde.diagnosis.of_solvers import smaller_bound
from controlsde.registry import SOLVERS

HELD_SHARE = 0.1  # of the weights at their bounds from which on that is worth saying
SATURATED_SHARE = 0.5  # of the neurons
MOST_BOUND = 1e6
MOST_STARTS = 10_000
ENOUGH_STARTS = 4  # from which on a poor optimum is not bad luck
WIDE = 8  # neurons a dimension, beyond which more pieces are tried instead
MOST_PIECES = 100_000


def bounds(case: Case) -> Diagnosis | None:
    """Weights that would be larger if they were allowed to."""
    held = case.at_bounds
    total = sum(part.size for part in held.values())
    count = int(sum(part.sum() for part in held.values()))
    if not (case.poor or case.stopped) or case.termination.reason == "non-finite" or not total:
        return None
    if count < HELD_SHARE * total:
        return None
    given = case.problem.controls.bounds
    bound = given.largest
    groups = ", ".join(f"{int(part.sum())} of {part.size} in {name}" for name, part in held.items() if part.any())
    by_piece = np.any([part.reshape(len(part), -1).any(axis=1) for part in held.values()], axis=0)
    seen = (
        f"{count} of {total} weights are at their bounds of {given} ({groups}), in pieces "
        f"{listed([int(piece) + 1 for piece in np.flatnonzero(by_piece)])}"
    )
    needed = case.trials.exact_drift
    if needed is not None and needed > bound:
        seen += f"; the exact drift reaches {needed:.3g}"
    larger = rounded_up(max(4 * bound, needed or 0.0))
    return Diagnosis("bounds", seen, Remedy("controls.bounds", min(MOST_BOUND, larger)) if bound < MOST_BOUND else None)


def saturated(case: Case) -> Diagnosis | None:
    """Neurons that are flat nearly everywhere in the box: a gradient does not see how to move them."""
    flat = case.saturated
    if not (case.poor or case.stopped) or flat.size == 0 or flat.mean() < SATURATED_SHARE:
        return None
    pieces = listed([int(piece) + 1 for piece in np.flatnonzero(flat.any(axis=1))])
    seen = (
        f"{int(flat.sum())} of {flat.size} neurons are saturated: flat on at least 99 % of the box, in pieces {pieces}"
    )
    return Diagnosis("saturated", seen, _more_starts(case))


def limit(case: Case) -> Diagnosis | None:
    """The error at T cannot be brought to its limit, or jumps across it, or is beyond it on the verified mesh alone."""
    reason, words = case.termination.reason, case.termination.words
    if case.stopped and reason == "unseen-error":
        return Diagnosis("limit", f"{words}: too few {case.termination.what}", _finer(case, case.termination.what))
    if case.stopped and reason == "limit":
        starts = int(case.problem.solver.starts)
        if starts < ENOUGH_STARTS:
            return Diagnosis("limit", f"{words}, from {starts} start{'s' * (starts != 1)}", _more_starts(case))
        return Diagnosis("limit", words, Remedy("network.width", 2 * case.network.width))
    checks = case.certificate.failed if case.certificate and not case.stopped else ()
    missed = next((one for one in checks if one.name == "terminal_error"), None)
    if missed is None:
        return None
    seen = f"the verified error at T is {missed.value:.4g}, and at most {missed.limit:g} was asked for"
    return Diagnosis("limit", seen, _finer(case, "elements") if case.solved else None)


def _finer(case: Case, what: str) -> Remedy:
    """Let what the mesh has too few of be found, or the other where that is so; then weights that ask for less."""
    given = case.problem.mesh
    keys = {"elements": given.elements, "steps": given.steps_per_piece}
    for name in sorted(keys, key=lambda name: name != what):
        if keys[name] != "auto":
            return Remedy("mesh.elements" if name == "elements" else "mesh.steps_per_piece", "auto")
    return Remedy("controls.bounds", smaller_bound(case))


def fitted(case: Case) -> Diagnosis | None:
    """A network as near to the exact drift as it can be, and a density that is not near the reference."""
    kind = case.problem.solver.kind
    if SOLVERS[kind].minimises_objective or not _falls_short(case):
        return None
    seen = f"{_poor(case, 'the drift is fitted')}: {kind} fits the drift and does not look at the density"
    return Diagnosis("fit", seen, Remedy("solver", "shooting"))


def beaten(case: Case) -> Diagnosis | None:
    """An objective that a search by shooting is known to undercut, on the same discrete problem."""
    if not case.beaten or case.known is None:
        return None
    seen = f"J = {case.objective:.4g} is not the least in reach: a search by shooting finds {case.known:.4g}"
    begun_cold = getattr(case.problem.solver, "start", "shooting") != "shooting"
    setting = "solver.start" if begun_cold else "solver"
    return Diagnosis("local-minimum", seen, Remedy(setting, "shooting"))


def unlucky(case: Case) -> Diagnosis | None:
    """A true optimum that tracks poorly, from so few starts that there may be better ones."""
    tried = sum(bool(np.isfinite(value)) for value in case.starts)
    if case.beaten or not _reachable(case) or tried >= ENOUGH_STARTS:
        return None
    seen = f"{_poor(case)}; from {tried} start{'s' * (tried != 1)} it may be a local minimum"
    return Diagnosis("local-minimum", seen, _more_starts(case))


def unreachable(case: Case) -> Diagnosis | None:
    """A true optimum, the best of several, that tracks poorly: the target is out of reach of these controls."""
    tried = sum(bool(np.isfinite(value)) for value in case.starts)
    if not _reachable(case) or tried < ENOUGH_STARTS or bounds(case):
        return None
    width, pieces = case.network.width, case.problem.controls.pieces
    seen = f"{_poor(case)}: out of reach of {pieces} piece{'s' * (pieces != 1)} of {width} neuron{'s' * (width != 1)}"
    lengths = case.problem.controls.given_lengths or ()
    if width < WIDE * case.network.dimension or len(lengths) > 1:  # given lengths, one a piece, fit no other number
        return Diagnosis("unreachable", seen, Remedy("network.width", 2 * width))
    return Diagnosis("unreachable", seen, Remedy("controls.pieces", min(MOST_PIECES, 2 * pieces)))


def _reachable(case: Case) -> bool:
    """Whether an optimum of the objective falls short of what is in reach."""
    return SOLVERS[case.problem.solver.kind].minimises_objective and _falls_short(case)


def _falls_short(case: Case) -> bool:
    """Whether a converged answer tracks poorly, and the reference's own drift well on the same mesh."""
    exact = case.trials.exact_error
    if not case.poor or case.stopped or case.error is None or exact is None:
        return False
    return exact <= EXACT_SHARE * case.error


def _poor(case: Case, what: str = "this is an optimum") -> str:
    return (
        f"{what}, and verified, but its error at T is {case.error:.0%} of ‖p(T)‖, where the exact drift "
        f"has {case.trials.exact_error:.1%} on the same mesh"
    )


def _more_starts(case: Case) -> Remedy:
    tried = int(case.problem.solver.starts)
    solver = case.problem.solver
    usual = SOLVERS[solver.kind].options().fitted(case.network.dimension).starts
    return Remedy("solver.starts", min(MOST_STARTS, max(usual, 4 * tried)))
