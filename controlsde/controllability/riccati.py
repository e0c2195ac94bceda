"""The best linear feedback about a trajectory: the discrete Riccati recursion of the linearised state equation.

Comes in: a tracking problem and the weights θ̄ of a nominal trajectory ρ̄. Goes out: for every piece a gain from what is
seen at its start to its weights.

Let e_k = ρ(t_k) − ρ̄(t_k) at the start of piece k, and u_k = θ_k − θ̄_k. To first order the stages Y of the piece and
the next start are

    δY_ij = Ψ_ij e_k + Ξ_ij u_k,        e_{k+1} = Φ_k e_k + Γ_k u_k,

Φ_k (n, n) and Γ_k (n, P) the last of Ψ and Ξ, as a step of Radau IIA ends in its last stage. Minimised is

    V_0(e_0) = min_u ½ Σ_kij time_weight_kij ‖R δY_kij‖² + ½ Σ_k u_k·N_k u_k + ½ Σ_kl regularisation_kl u_k·u_l
                     + ½ q Σ_k Δt_k |u_k|² ,

N_k the price of energy of a change of the drift, the density as it is.

At q = 0 and up to what no u can change, that is the Gauss–Newton model of J itself, at all stages of all pieces: of the
linear terms ⟨ψ_0, e_0⟩ + Σ g_k·u_k the gradient g vanishes at an optimum, but for weights that a bound holds, and those
are held here, too (u = 0). About weights that are no optimum, the law brings ρ back to ρ̄, and not any nearer to p.

The price q ≥ 0 of changes is caution: where J asks next to nothing for effort, the law of q = 0 answers a density that
is far away with weights that are farther still, where the model means nothing.

Weights of neighbouring pieces are tied where their variation costs something. So what is seen is x_k = (e_k, u_{k−1}),
and V_k(x) = ½|S_k x|². From the last piece on, with c_k the price of |u_k − u_{k−1}|² and r_k that of |u_k|² with q,

    V_k(x) = min_u ½ | C_x x + C_u u |²,
    rows of (C_x, C_u):   √time_weight R (Ψ, Ξ);  S_{k+1} of (e_{k+1}, u_k);  √N_k u_k;  √r_k u_k;
                          √c_k (u_k − u_{k−1}),

    u_k = −L_k x,   L_k = C_u⁺ C_x,        S_k = triangle of (1 − C_u C_u⁺) C_x .

This is the Riccati recursion on square roots (Lawson & Hanson 1974, chapter 27; Bryson & Ho 1969, §5.3 and §6.4, for
neighbouring optimal feedback): no matrix is squared, so that the gains have the digits of one dense least-squares
problem over the whole horizon. C_u⁺ is the pseudo-inverse: of weights that do nothing, nothing is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.controllability.linearisation import Linearisation
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.surroundings import own_settings
from controlsde.tracking.interpreted import InterpretedObjective
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_UNKNOWNS = 1300  # of a density: every piece takes maps of n × n, and triangles of as many rows
AT_BOUND = 1e-9  # of a bound, by which a weight at it may miss it


class RiccatiError(ControlsdeError, ValueError):
    """No feedback law can be computed: the mesh has too many nodes."""

    of_problem = True


@dataclass(frozen=True, eq=False)
class Linearised:
    """The state equation to first order about one trajectory, piece by piece; build it with `of`."""

    about: Linearisation
    responses: Tensor  # (K, s, n, S, P): what a piece's weights do in each step to its stages

    @staticmethod
    def of(tracking: TrackingProblem, weights: Array) -> Linearised:
        """About the trajectory of weights (K, P). Raises NonFiniteError where that breaks down."""
        about = Linearisation.about(tracking, weights)
        return Linearised(about, about.responses(about.slopes))

    @property
    def starts(self) -> Array:
        """The densities at the starts of the pieces, (K, n)."""
        return np.concatenate([self.about.tracking.initial[None], self.about.stages[:-1, -1, -1]])

    def stages(self, piece: int) -> Array:
        """(Ψ, Ξ) of one piece at all its stages, (S, s, n, n + P): first for the density at its start, then weights."""
        tracking = self.about.tracking
        unknowns, size = len(tracking.initial), tracking.network.weights_per_piece
        columns = torch.eye(unknowns, unknowns + size, dtype=torch.float64)
        found = []
        for step in range(tracking.grid.steps_per_piece):
            moved = self.about.trajectory.advance(piece, step, columns)
            moved[..., unknowns:] += self.responses[piece, :, :, step]
            found.append(moved.numpy())
            columns = moved[-1]
        return np.stack(found)

    def maps(self, piece: int) -> tuple[Array, Array]:
        """Φ (n, n) and Γ (n, P) of one piece."""
        last = self.stages(piece)[-1, -1]
        return last[:, : len(last)], last[:, len(last) :]

    def energies(self) -> Array:
        """What changes of a piece's weights add to J by the energy that they take, twice: (K, P, P)."""
        about, mass = self.about, InterpretedObjective(self.about.tracking).moving_mass(self.about.trajectory)
        rows = np.repeat(np.sqrt(mass), about.tracking.mesh.dimension, axis=1)[..., None] * about.slopes
        return np.swapaxes(rows, 1, 2) @ rows


@dataclass(frozen=True, eq=False)
class FeedbackLaw:
    """u_k = −L_k (e_k, u_{k−1}) about a nominal trajectory; build it with `feedback_laws`."""

    tracking: TrackingProblem
    price: float  # q
    weights: Array  # (K, P): θ̄
    starts: Array  # (K, n): ρ̄ at the starts of the pieces
    gains: Array  # (K, P, n + P): L
    root: Array  # (·, n): S_0, of deviations at the start

    def answer(self, piece: int, density: Array, before: Array | None = None) -> Array:
        """The weights (P,) of a piece that starts from a density (n,), clipped to their bounds.

        before: the weights of the piece before, where there is one.
        """
        moved = np.zeros_like(self.weights[0]) if before is None or piece == 0 else before - self.weights[piece - 1]
        seen = np.concatenate([density - self.starts[piece], moved])
        wanted = self.weights[piece] - self.gains[piece] @ seen
        return np.asarray(np.clip(wanted, -self.tracking.bound, self.tracking.bound))

    def value(self, deviation: Array) -> float:
        """V_0(e_0): what a deviation (n,) at the start adds to J by the model, under feedback, beside ⟨ψ_0, e_0⟩."""
        return 0.5 * float(np.sum((self.root @ deviation) ** 2))


@own_settings()
def feedback_laws(
    tracking: TrackingProblem, weights: Array, prices: Sequence[float] = (0.0,)
) -> tuple[FeedbackLaw, ...]:
    """The laws about the trajectory of weights (K, P), by the recursion above, one for each price q ≥ 0 of changes.

    Raises RiccatiError for too many unknowns, NonFiniteError where the nominal trajectory breaks down.
    """
    unknowns, size = len(tracking.initial), tracking.network.weights_per_piece
    if unknowns > MOST_UNKNOWNS:
        raise RiccatiError(
            f"riccati takes matrices of the size of the mesh squared, for at most {MOST_UNKNOWNS:,} nodes (this one "
            f"has {unknowns:,}); use --by replan, or fewer mesh.elements"
        )
    linearised, held = Linearised.of(tracking, weights), held_at_bounds(tracking, weights)
    pieces, durations = tracking.grid.pieces, tracking.grid.durations
    effort, ties = _prices(tracking)
    energies = [_root(each) for each in linearised.energies()]
    roots = [np.zeros((0, unknowns + size)) for _ in prices]
    gains = np.empty((len(prices), pieces, size, unknowns + size))
    for piece in reversed(range(pieces)):
        stages = linearised.stages(piece)
        errors = _errors(tracking, piece, stages)
        for number, price in enumerate(prices):
            own = _own(unknowns, energies[piece], effort[piece] + price * durations[piece], ties[piece])
            rows = np.vstack([own, errors, _carried(roots[number], stages[-1, -1])])
            rows[:, unknowns + size :][:, held[piece]] = 0.0
            gains[number, piece], roots[number] = _eliminated(rows, unknowns + size)
    return tuple(
        FeedbackLaw(tracking, price, np.asarray(weights), linearised.starts, own, root[:, :unknowns])
        for price, own, root in zip(prices, gains, roots, strict=True)
    )


def held_at_bounds(tracking: TrackingProblem, weights: Array) -> Flags:
    """Which weights (K, P) a bound holds: they lie at it, and J falls beyond it."""
    _, gradient = Objective(tracking).value_and_gradient(weights)
    bound = (1.0 - AT_BOUND) * tracking.bound
    return ((weights >= bound) & (gradient < 0)) | ((weights <= -bound) & (gradient > 0))


def _errors(tracking: TrackingProblem, piece: int, stages: Array) -> Array:
    """The triangle of √time_weight R (Ψ, Ξ) of one piece, columns (e_k, u_{k−1}, u_k), for stages (S, s, n, n + P)."""
    unknowns, columns = stages.shape[2:]
    rows = np.zeros((0, columns))
    for moved, weight in zip(stages, np.sqrt(tracking.time_weight[piece]), strict=True):
        errors = weight[:, None, None] * tracking.metric.root_columns(moved)
        rows = _triangle(np.vstack([rows, errors.reshape(-1, columns)]))
    return _spread(rows, unknowns)


def _carried(root: Array, last: Array) -> Array:
    """S_{k+1} (e_{k+1}, u_k), columns (e_k, u_{k−1}, u_k), for a last stage (n, n + P)."""
    unknowns = len(last)
    rows = root[:, :unknowns] @ last
    rows[:, unknowns:] += root[:, unknowns:]
    return _spread(rows, unknowns)


def _own(unknowns: int, energy: Array, effort: float, tie: float) -> Array:
    """√N_k u_k, √r_k u_k and √c_k (u_k − u_{k−1}), columns (e_k, u_{k−1}, u_k), for √N_k (P, P)."""
    one, nothing = np.eye(len(energy)), np.zeros((len(energy), unknowns))
    return np.vstack(
        [
            np.hstack([nothing, 0.0 * one, energy]),
            np.hstack([nothing, 0.0 * one, np.sqrt(effort) * one]),
            np.hstack([nothing, -np.sqrt(tie) * one, np.sqrt(tie) * one]),
        ]
    )


def _spread(values: Array, unknowns: int) -> Array:
    """Columns (e_k, u_k) as (e_k, u_{k−1}, u_k): what happens within a piece knows nothing of the one before."""
    nothing = np.zeros((len(values), values.shape[1] - unknowns))
    return np.hstack([values[:, :unknowns], nothing, values[:, unknowns:]])


def _eliminated(rows: Array, seen: int) -> tuple[Array, Array]:
    """L = C_u⁺ C_x and the triangle of (1 − C_u C_u⁺) C_x, for rows of (C_x, C_u) with C_x of `seen` columns."""
    given, chosen = rows[:, :seen], rows[:, seen:]
    left, sizes, right = np.linalg.svd(chosen, full_matrices=False)
    kept = sizes > np.finfo(float).eps * max(chosen.shape) * sizes.max(initial=0.0)
    left, sizes, right = left[:, kept], sizes[kept], right[kept]
    projected = left.T @ given
    return right.T @ (projected / sizes[:, None]), _triangle(given - left @ projected)


def _triangle(rows: Array) -> Array:
    """R of the QR factorisation: |R x| = |rows x| for every x."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows


def _root(matrix: Array) -> Array:
    """A matrix (P, P) whose square, RᵀR, is this one, which is symmetric and not negative."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def _prices(tracking: TrackingProblem) -> tuple[Array, Array]:
    """r_k and c_k, both (K,): Σ_kl regularisation_kl u_k·u_l = Σ r_k |u_k|² + c_k |u_k − u_{k−1}|², c_0 = 0."""
    matrix = tracking.regularisation_matrix
    ties = np.concatenate([[0.0], np.maximum(-np.diag(matrix, -1), 0.0)])
    return np.maximum(matrix.sum(axis=1), 0.0), ties
