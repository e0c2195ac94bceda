"""A trust-region Newton method with bounds: minimise J(θ) subject to |θ| ≤ bound, one bound for each variable.

Comes in: a function that evaluates J and expands it to second order. Goes out: the accepted points, one by one.

Each iteration minimises the damped quadratic model  g·s + ½ s·(B + λ S²) s  over the variables that are not held
at a bound, S a diagonal scaling, and cuts the step back to the box. B is the exact Hessian, shifted where it is
not positive definite, or the Gauss–Newton matrix. The damping λ follows the ratio of actual to predicted decrease
(Levenberg 1944; Marquardt 1963; Nocedal & Wright, "Numerical Optimization", chapters 4 and 10). At an optimum
with a residual Gauss–Newton converges linearly at best, while the exact Hessian, which costs no extra solve here
(see `objective`), converges quadratically.

All this is for a smooth J. Where J has a kink, as with the activation relu, the gradient on one side says nothing of
the other: steps shrink to nothing, J stays where it is, and the gradient stays large. That is not a slow convergence,
and more iterations are no cure: such a stall ends the search.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import scipy.linalg as la
from numpy.typing import NDArray
from scipy.linalg import lapack

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.solvers.outcome import Termination
from controlsde.tracking.expansion import Expansion

Array = NDArray[np.float64]
Model = Literal["newton", "gauss-newton"]

DECREMENT_TOLERANCE = 1e-9  # predicted relative decrease of J below which an optimum is an optimum
LARGEST_DAMPING = 1e14
MOST_ACTIVE_SET_PASSES = 12
# A stall: so many iterations lower J by no more than this share of it, none of them finds a small gradient, and all
# need so much damping that the model's curvature has no part in their steps. A narrow valley of a smooth J, followed
# slowly, needs next to none: the model holds there, and the search goes on.
STALLED_ITERATIONS = 20
STALLED_SHARE = 1e-5
STALLED_DAMPING = 1.0
ROUNDING = 100.0  # times the tolerance: a gradient below that may be all that rounding leaves to find
# The same where J is steep, as with a large multiplier, and a Newton step promises no more than the last digits of J.
STEEP_ROUNDING = 1e4
ROUNDED = 1e-12


class Evaluation(Protocol):
    """J at one point, with its expansion on demand."""

    @property
    def value(self) -> float:
        """J(θ)."""
        ...

    def expand(self) -> Expansion:
        """Gradient and curvature at the same point."""
        ...


@dataclass(frozen=True, eq=False)
class Iterate:
    """One accepted point, and whether the first-order conditions hold there.

    gradient_norm is the largest entry of θ − clip(θ − g). decrement: by how much the quadratic model expects a Newton
    step to lower J, inf where the Hessian is not positive definite. `failure` says why the method could go no further.
    """

    number: int
    point: Array
    value: float
    gradient_norm: float
    converged: bool
    decrement: float = float("inf")
    failure: Termination | None = None


def projected_gradient_norm(point: Array, gradient: Array, bound: Array) -> float:
    """Largest entry of θ − clip(θ − g): zero exactly where the first-order conditions hold within the bounds."""
    return float(np.abs(point - np.clip(point - gradient, -bound, bound)).max())


def minimise(
    evaluate: Callable[[Array], Evaluation],
    start: Array,
    bound: Array,
    iterations: int,
    tolerance: float,
    model: Model = "newton",
) -> Iterator[Iterate]:
    """Yield the accepted points, the start included, until convergence, failure or the last iteration.

    Converged: the projected gradient is below `tolerance`, and a Newton step promises less than 1e-9 of J. Failure is
    `no-descent`, `non-finite`, or `stalled`, see above.
    Raises NonFiniteError when the start itself cannot be evaluated.
    """
    point = np.clip(start, -bound, bound)
    current = evaluate(point)
    damping = 1e-3
    scale = np.zeros_like(point)
    recent: deque[tuple[float, float, float]] = deque(maxlen=STALLED_ITERATIONS + 1)
    for number in range(iterations + 1):
        local = current.expand()
        norm = projected_gradient_norm(point, local.gradient, bound)
        free = ~(((point >= bound) & (local.gradient < 0)) | ((point <= -bound) & (local.gradient > 0)))
        decrement = _decrement(local, free)
        converged = norm <= tolerance and decrement <= DECREMENT_TOLERANCE * abs(local.value)
        recent.append((local.value, norm, damping))
        failure = Termination("stalled") if not converged and _stalls(recent, tolerance) else None
        yield Iterate(number, point, local.value, norm, converged, decrement, failure)
        if converged or failure or number == iterations:
            return
        matrix = local.hessian if model == "newton" else local.gauss_newton
        scale = np.maximum(0.5 * scale, np.sqrt(np.maximum(np.diag(local.gauss_newton), 1e-12)))
        accepted = _search(evaluate, point, local, matrix, scale, free, bound, damping)
        if isinstance(accepted, Termination):
            # at the limit of rounding no step can lower J any further: that is an optimum, too
            rounding = norm <= ROUNDING * tolerance or (
                norm <= STEEP_ROUNDING * tolerance and decrement <= ROUNDED * abs(local.value)
            )
            yield Iterate(number, point, local.value, norm, rounding, decrement, None if rounding else accepted)
            return
        point, current, damping = accepted


def _stalls(recent: Sequence[tuple[float, float, float]], tolerance: float) -> bool:
    """Whether J, of (J, gradient norm, damping) by iteration, no longer falls although its gradient is not small."""
    if len(recent) <= STALLED_ITERATIONS:
        return False
    values, norms, dampings = zip(*recent, strict=True)
    still = values[0] - values[-1] <= STALLED_SHARE * abs(values[-1])
    return bool(still and min(norms) > ROUNDING * tolerance and min(dampings) >= STALLED_DAMPING)


def _search(
    evaluate: Callable[[Array], Evaluation],
    point: Array,
    local: Expansion,
    matrix: Array,
    scale: Array,
    free: NDArray[np.bool_],
    bound: Array,
    damping: float,
) -> tuple[Array, Evaluation, float] | Termination:
    """The next point, its evaluation and damping; or why there is none."""
    smallest = 0.0 if _is_positive_definite(matrix, free) else _smallest_eigenvalue(matrix, scale, free)
    broken: NonFiniteError | None = None
    while damping <= LARGEST_DAMPING:
        shift = damping + max(0.0, -1.1 * smallest)
        try:
            trial = _box_step(point, local.gradient, matrix + np.diag(shift * scale**2), free, bound)
        except la.LinAlgError:  # not positive definite after all, to rounding
            damping = 10.0 * max(damping, 1e-12)
            continue
        step = trial - point
        predicted = -float(local.gradient @ step + 0.5 * step @ matrix @ step)
        try:
            candidate = evaluate(trial)
        except NonFiniteError as error:
            broken = error
            damping *= 10.0
            continue
        decrease = local.value - candidate.value
        if decrease > 0:
            ratio = decrease / predicted if predicted > 0 else 0.0
            if ratio > 0.75:
                damping = max(0.2 * damping, 1e-12)
            elif ratio < 0.25:
                damping *= 2.0
            return trial, candidate, damping
        damping *= 4.0
    if broken is not None:
        return Termination("non-finite", "however short the step", what=broken.what, piece=broken.piece)
    return Termination("no-descent")


def _box_step(point: Array, gradient: Array, matrix: Array, free: NDArray[np.bool_], bound: Array) -> Array:
    """The minimiser of the positive definite model in the box, nearly: variables that leave it stop at its side.

    Those that stop are held there, and the others are solved for again, until none leaves.
    """
    step = np.zeros_like(point)
    moving = free.copy()
    for _ in range(MOST_ACTIVE_SET_PASSES):
        held = ~moving
        right = -(gradient[moving] + matrix[np.ix_(moving, held)] @ step[held])
        step[moving] = _solved(matrix[np.ix_(moving, moving)], right)
        leaving = moving & (np.abs(point + step) > bound)
        if not leaving.any():
            break
        step = np.where(leaving, np.clip(point + step, -bound, bound) - point, step)
        moving &= ~leaving
        if not moving.any():
            break
    return np.clip(point + step, -bound, bound)


def _solved(matrix: Array, right: Array) -> Array:
    """matrix⁻¹ right for a positive definite matrix; raises LinAlgError where it is not."""
    _, solution, info = lapack.dposv(matrix, right)
    if info:
        raise la.LinAlgError
    return np.asarray(solution)


def _is_positive_definite(matrix: Array, free: NDArray[np.bool_]) -> bool:
    """Whether the matrix of the free variables is, to rounding."""
    return not free.any() or lapack.dpotrf(matrix[np.ix_(free, free)])[1] == 0


def _smallest_eigenvalue(matrix: Array, scale: Array, free: NDArray[np.bool_]) -> float:
    inverse = 1.0 / scale[free]
    scaled = matrix[np.ix_(free, free)] * inverse[:, None] * inverse[None, :]
    return float(la.eigvalsh(scaled, subset_by_index=[0, 0])[0])


def _decrement(local: Expansion, free: NDArray[np.bool_]) -> float:
    """½ g·H⁻¹g over the free variables; inf where the Hessian is not positive definite."""
    gradient = local.gradient[free]
    if gradient.size == 0:
        return 0.0
    try:
        return 0.5 * float(gradient @ _solved(local.hessian[np.ix_(free, free)], gradient))
    except la.LinAlgError:
        return float("inf")
