"""The collocation program of pieces whose lengths are free: their starts and lengths are variables, too.

Variables, in this order, for K pieces of S steps with s stages and n unknowns:

    [θ_1, t_1, Δt_1, Y_11, …, Y_1S,  θ_2, t_2, Δt_2, Y_21, …]

with t_1 = 0 and the lengths between their limits. To the residuals of the steps, with h = Δt_k/S, come K constraints

    t_k + Δt_k − t_{k+1} = 0,      t_{K+1} = T,

so that a step knows its own piece alone. J is a sum over the steps of what each sees of the targets, and of a
regularisation of weights and lengths. The targets p(t) are a spline, which SX cannot evaluate; but a step is a function
of p(t), p′(t), p″(t), and near t they are all that counts: with the jet p + p′(t − τ) + ½ p″(t − τ)² in place of p(t),
derivatives up to the second are exact at t = τ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_interp_spline

from controlsde.fokker_planck.radau import radau
from controlsde.solvers.collocation.layout import Layout, nonzeros, scattered, sparse_to_casadi
from controlsde.solvers.collocation.transcription import Transcription, step_energy, step_residual
from controlsde.tracking.free_lengths import FreeLengths, logits_of
from controlsde.tracking.target_course import TargetCourse
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FreeTranscription(Transcription):
    """The program in which weights (K, P + 1) have lengths in their last column; build it with `transcribe_free`."""

    def pack(self, weights: Array, stages: Array) -> Array:
        """Weights (K, P + 1) and stages (K, S, s, n) to the vector of variables."""
        lengths = _free(self.tracking).lengths(np.asarray(weights)[:, -1])
        starts = np.cumsum(lengths) - lengths
        parts = [weights[:, :-1], starts[:, None], lengths[:, None], stages.reshape(len(weights), -1)]
        return np.concatenate(parts, axis=1).ravel()

    def unpack(self, variables: Array) -> tuple[Array, Array]:
        """The vector of variables to weights (K, P + 1) and stages (K, S, s, n)."""
        tracking = self.tracking
        pieces, columns = tracking.weight_shape
        rows = np.asarray(variables, dtype=float).reshape(pieces, -1)
        logits = logits_of(rows[:, columns], _free(tracking).shortest)
        stages = rows[:, columns + 1 :].reshape(tracking.targets.shape).copy()
        return np.append(rows[:, : columns - 1], logits[:, None], axis=1), stages

    def of_constraints(self, multipliers: Array, variables: Array) -> Array:
        """With those of the lengths: what makes the Lagrangian stationary in them, where no limit holds them."""
        tracking = self.tracking
        pieces, columns = tracking.weight_shape
        of_steps = multipliers.ravel()
        slope = np.asarray(self.derivatives["grad_f"](variables, [])[1]).ravel()
        _, jacobian = self.derivatives["jac_g"](variables, [])
        rows = np.asarray(jacobian[: len(of_steps), :].T @ ca.DM(of_steps)).ravel()
        by_length = (slope + rows).reshape(pieces, -1)[:, columns]
        return np.concatenate([of_steps, -by_length])


def transcribe_free(tracking: TrackingProblem) -> FreeTranscription:
    """The program of a tracking problem with free lengths: same mesh, same Radau points, same objective."""
    layout, step, free = _Layout.of(tracking, tracking.weight_shape[1] + 1), _Step.of(tracking), _free(tracking)
    x = ca.MX.sym("x", layout.variables)
    seen = _Seen.of(tracking, layout, x)
    objective = ca.sum2(step.cost.map(layout.count)(*seen.of_cost))
    objective = objective + _regularisation(tracking)(x[layout.priced.tolist()])[0]
    residual = step.residual.map(layout.count)(*seen.of_residual)
    lower, upper = (np.full((layout.pieces, layout.block), sign * np.inf) for sign in (-1.0, 1.0))
    size = layout.size
    lower[:, :size], upper[:, :size] = -tracking.bound[:-1], tracking.bound[:-1]
    lower[0, size] = upper[0, size] = 0.0
    lower[:, size + 1], upper[:, size + 1] = free.shortest, free.horizon
    return FreeTranscription(
        tracking,
        {"x": x, "f": objective, "g": ca.vertcat(ca.vec(residual), layout.linked(x, free.horizon))},
        _derivatives(tracking, layout, step, seen, x),
        lower.ravel(),
        upper.ravel(),
    )


def _free(tracking: TrackingProblem) -> FreeLengths:
    assert tracking.free is not None  # this is what such a program is for
    return tracking.free


class _Layout(Layout):
    """Of θ, t and Δt of every piece, and the stages."""

    @property
    def size(self) -> int:
        """Weights of a piece, P."""
        return self.own - 2

    @property
    def priced(self) -> Indices:
        """Where θ_k and Δt_k of all pieces lie, what the regularisation is of: (K·(P + 1),)."""
        within = np.append(np.arange(self.size), self.size + 1)
        return np.asarray(np.add.outer(self.block * np.arange(self.pieces), within).ravel())

    @property
    def links(self) -> tuple[Indices, Indices, Array]:
        """Rows, columns and values of t_k + Δt_k − t_{k+1}."""
        piece = np.arange(self.pieces)
        start = piece * self.block + self.size
        rows = np.concatenate([piece, piece, piece[:-1]])
        return (
            rows,
            np.concatenate([start, start + 1, start[1:]]),
            np.repeat([1.0, 1.0, -1.0], (len(piece),) * 2 + (len(piece) - 1,)),
        )

    def linked(self, x: Any, horizon: float) -> Any:
        """What must vanish for the pieces to follow each other, (K,)."""
        rows, columns, values = self.links
        matrix = sp.coo_array((values, (rows, columns)), shape=(self.pieces, self.variables))
        end = np.zeros(self.pieces)
        end[-1] = horizon
        return sparse_to_casadi(matrix) @ x - ca.DM(end)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What every step sees, a column a step: in MX, of x."""

    of_residual: tuple[Any, ...]  # before, Y, θ, h, D
    of_cost: tuple[Any, ...]  # Y, θ, t, Δt, number within its piece, end weight, then the jet: p, p′, p″, τ

    @staticmethod
    def of(tracking: TrackingProblem, layout: _Layout, x: Any) -> _Seen:
        """Of all variables."""
        grid = tracking.grid
        own, densities, before = layout.seen(x, tracking.initial)
        weights, starts, durations = own[: layout.size, :], own[layout.size, :], own[layout.size + 1, :]
        number = ca.DM(np.tile(np.arange(layout.steps), layout.pieces)[None].astype(float))
        end = np.zeros((1, layout.count))
        end[0, -1] = tracking.end_weight
        times = ca.vertcat(*(starts + (number + node) * durations / layout.steps for node in radau(grid.stages).c))
        jet = [
            ca.reshape(
                each.map(grid.stages * layout.count)(ca.reshape(times, 1, -1)), layout.stage_values, layout.count
            )
            for each in _course(_free(tracking).course)
        ]
        diffusivity = ca.DM(tracking.diffusivity.reshape(1, -1))
        return _Seen(
            (before, densities, weights, durations / layout.steps, diffusivity),
            (densities, weights, starts, durations, number, ca.DM(end), *jet, times),
        )


def _course(course: TargetCourse) -> list[Any]:
    """p, p′ and p″ as functions of t, in MX.

    An iterate may be off the horizon, where CasADi's splines vanish: so they reach an interval further on either side,
    with the polynomials of the outermost intervals, and stay as they are beyond.
    """
    time = ca.MX.sym("t")
    whole = _extended(course.spline)
    low, high = whole.t[0], whole.t[-1]
    inside = ca.fmin(ca.fmax(time, low), high)
    found = []
    for derivative in range(3):
        spline = whole.derivative(derivative) if derivative else whole
        values = np.asarray(spline.c)[: len(spline.t) - spline.k - 1]  # SciPy pads those of derivatives
        coefficients = ca.DM(values.ravel())
        expression = ca.bspline(inside, coefficients, [spline.t.tolist()], [int(spline.k)], int(values.shape[1]), {})
        found.append(ca.Function(f"course_{derivative}", [time], [expression]))
    return found


def _extended(spline: BSpline) -> BSpline:
    """The same piecewise polynomial on a domain with one interval more of knots at either end."""
    degree = spline.k
    inner = spline.t[degree + 1 : -degree - 1]
    low, high = spline.t[0], spline.t[-1]
    first, last = inner[0] - low, high - inner[-1]
    knots = np.concatenate([np.full(degree + 1, low - first), inner, np.full(degree + 1, high + last)])
    # at the averages of the knots of each basis function interpolation is unique (Schoenberg and Whitney 1953)
    places = np.array([knots[i + 1 : i + degree + 1].mean() for i in range(len(knots) - degree - 1)])
    return make_interp_spline(places, spline(places), k=degree, t=knots)


@dataclass(frozen=True, eq=False)
class _Step:
    """One step as SX functions."""

    residual: Any  # g of (before, Y, θ, h, D)
    cost: Any  # what it adds to J, of what `_Seen.of_cost` says
    slopes: Any  # ∂g/∂(θ, t, Δt, Y, before), its structural nonzeros, of (before, Y, θ, Δt, D)
    pattern: Any
    rise: Any  # ∂cost/∂(θ, t, Δt, Y), of what `_Seen.of_cost` says
    bends: (
        Any  # ∂²(λ·g + λ_f cost) in the same, upper triangle, of (before, D, λ, λ_f) and of what `_Seen.of_cost` says
    )
    bend_pattern: Any

    @staticmethod
    def of(tracking: TrackingProblem) -> _Step:
        """The step of a tracking problem."""
        grid, free, unknowns = tracking.grid, _free(tracking), tracking.operator.size
        stages, size = grid.stages, tracking.weight_shape[1] - 1
        before, values = ca.SX.sym("before", unknowns), ca.SX.sym("stages", stages * unknowns)
        theta, start, duration = ca.SX.sym("theta", size), ca.SX.sym("t"), ca.SX.sym("duration")
        number, end, diffusivity = ca.SX.sym("number"), ca.SX.sym("end"), ca.SX.sym("D")
        jet = [ca.SX.sym(f"p{order}", stages * unknowns) for order in range(3)]
        at = ca.SX.sym("tau", stages)
        multipliers, factor = ca.SX.sym("lambda", stages * unknowns), ca.SX.sym("lambda_f")
        scheme, length = radau(stages), duration / grid.steps_per_piece
        residual = step_residual(tracking)
        norm = sparse_to_casadi(tracking.metric.matrix())
        cost = ca.SX(0)
        for i in range(stages):
            rows = slice(i * unknowns, (i + 1) * unknowns)
            past = start + (number + scheme.c[i]) * length - at[i]
            error = values[rows] - jet[0][rows] - past * (jet[1][rows] + 0.5 * past * jet[2][rows])
            weight = free.running * scheme.b[i] * length + (end if i == stages - 1 else 0.0)
            cost = cost + 0.5 * weight * ca.dot(error, norm @ error)
        if tracking.energy_price:
            cost = cost + step_energy(tracking)(values, theta, length)
        missed = residual(before, values, theta, length, diffusivity)
        own = ca.vertcat(theta, start, duration, values)
        seen = [values, theta, start, duration, number, end, *jet, at]
        jacobian = ca.jacobian(missed, ca.vertcat(own, before))
        hessian = ca.triu(ca.hessian(ca.dot(multipliers, missed) + factor * cost, own)[0])
        slopes, bends = nonzeros(jacobian), nonzeros(hessian)
        return _Step(
            residual=residual,
            cost=ca.Function("cost", seen, [cost]),
            slopes=ca.Function("slopes", [before, values, theta, duration, diffusivity], [missed, slopes]),
            pattern=jacobian.sparsity(),
            rise=ca.Function("rise", seen, [cost, ca.densify(ca.gradient(cost, own))]),
            bends=ca.Function("bends", [before, diffusivity, multipliers, factor, *seen], [bends]),
            bend_pattern=hessian.sparsity(),
        )


def _regularisation(tracking: TrackingProblem) -> Any:
    """½ Σ r Δt_k|θ_k|² + ½ Σ μ |θ_{k+1} − θ_k|²/τ_k and its gradient, of (θ_1, Δt_1, θ_2, …)."""
    own, value = _regularised(tracking)
    return ca.Function("regularisation", [own], [value, ca.densify(ca.gradient(value, own))])


def _regularised(tracking: TrackingProblem) -> tuple[Any, Any]:
    free = _free(tracking)
    pieces, columns = tracking.weight_shape
    own = ca.SX.sym("own", pieces * columns)
    table = ca.reshape(own, columns, pieces)
    weights, lengths = table[: columns - 1, :], table[columns - 1, :]
    value = 0.5 * free.effort * ca.dot(lengths, ca.sum1(weights**2))
    for k in range(pieces - 1):
        jump = weights[:, k + 1] - weights[:, k]
        value = value + free.variation * ca.dot(jump, jump) / (lengths[k] + lengths[k + 1])
    return own, value


def _derivatives(tracking: TrackingProblem, layout: _Layout, step: _Step, seen: _Seen, x: Any) -> dict[str, Any]:
    """`grad_f`, `jac_g` and `hess_lag`, scattered and summed from those of the steps."""
    p = ca.MX.sym("p", 0)
    before, densities, weights, _, diffusivity = seen.of_residual
    durations = seen.of_cost[3]
    residual, slopes = step.slopes.map(layout.count)(before, densities, weights, durations, diffusivity)
    constraints = ca.vertcat(ca.vec(residual), layout.linked(x, _free(tracking).horizon))
    row, column = (np.array(index, dtype=np.int64) for index in step.pattern.get_triplet())
    links = layout.links
    of_steps = layout.count * layout.stage_values
    rows = np.concatenate(
        [np.add.outer(np.arange(layout.count) * layout.stage_values, row).ravel(), of_steps + links[0]]
    )
    columns = np.concatenate([layout.columns[:, column].ravel(), links[1]])
    jacobian = scattered(
        rows, columns, ca.vertcat(ca.vec(slopes), ca.DM(links[2])), (of_steps + layout.pieces, layout.variables)
    )

    cost, rise = step.rise.map(layout.count)(*seen.of_cost)
    priced, price_rise = _regularisation(tracking)(x[layout.priced.tolist()])
    own = layout.own + layout.stage_values
    places = np.concatenate([layout.columns[:, :own].ravel(), layout.priced])
    summing = sp.csc_array(
        (np.ones(len(places)), (places, np.arange(len(places)))), shape=(layout.variables, len(places))
    )
    gradient = sparse_to_casadi(summing) @ ca.vertcat(ca.vec(rise), price_rise)

    factor = ca.MX.sym("lam_f")
    multipliers = ca.MX.sym("lam_g", of_steps + layout.pieces)
    of_each = ca.reshape(multipliers[:of_steps], layout.stage_values, layout.count)
    bent = step.bends.map(layout.count)(before, diffusivity, of_each, ca.repmat(factor, 1, layout.count), *seen.of_cost)
    row, column = (np.array(index, dtype=np.int64) for index in step.bend_pattern.get_triplet())
    variables, value = _regularised(tracking)
    curvature: Any = ca.triu(ca.hessian(value, variables)[0])
    bend = ca.Function("bend", [variables], [nonzeros(curvature)])
    first, second = (layout.priced[np.array(index, dtype=np.int64)] for index in curvature.sparsity().get_triplet())
    rows = np.concatenate([layout.columns[:, row].ravel(), first])
    columns = np.concatenate([layout.columns[:, column].ravel(), second])
    values = ca.vertcat(ca.vec(bent), factor * bend(x[layout.priced.tolist()]))
    hessian = scattered(rows, columns, values, (layout.variables, layout.variables))
    return {
        "grad_f": ca.Function("nlp_grad_f", [x, p], [ca.sum2(cost) + priced, gradient], ["x", "p"], ["f", "grad_f_x"]),
        "jac_g": ca.Function("nlp_jac_g", [x, p], [constraints, jacobian], ["x", "p"], ["g", "jac_g_x"]),
        "hess_lag": ca.Function(
            "nlp_hess_l", [x, p, factor, multipliers], [hessian], ["x", "p", "lam_f", "lam_g"], ["triu_hess_gamma_x_x"]
        ),
    }
