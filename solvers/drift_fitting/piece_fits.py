"""The fit of one piece in free space, in rounds, each to samples that the last one has not seen.

A fit to one pool of samples for long fits the pool. So a piece is fitted in rounds, to pools of its own, those after
the first twice as large. Before it is fitted to a new pool, that pool says what the last round was worth:

    gain = Σ_i mass_i (e_i(before) − e_i(after)),       e_i(θ) = |v(x_i; θ) − v*_i|²,

the same samples for both, so that the standard error is small. A piece has converged when a round gained no more than
`tolerance` of E|v*|², or nothing beyond two standard errors. At last A alone is fitted again, to the last two pools
together.

Comes in: a tracking problem in free space, options, and the number of a piece. Goes out: `Piece`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from controlsde.control.network import Network
from controlsde.solvers.drift_fitting.drift_fit import Regression, descend
from controlsde.solvers.drift_fitting.drift_samples import DriftSampler, DriftSamples
from controlsde.solvers.drift_fitting.independent_start import independent_start
from controlsde.solvers.drift_fitting.options import NARROW, ScoreMatching
from controlsde.solvers.drift_fitting.principal_start import principal_start, random_start
from controlsde.solvers.drift_fitting.variable_projection import Moments, ProjectedFit, StoppedError
from controlsde.solvers.outcome import Iteration
from controlsde.tracking.free_tracking import FreeTracking

Array = NDArray[np.float64]

SAMPLES_PER_NEURON, NUMBERS_PER_WEIGHT = 40, 20  # of the first pool
FEWEST_SAMPLES = 1024
LARGER = 2  # times the first: later pools
FIRST_ITERATIONS, ROUND_ITERATIONS = 50, 30
LEAST_ROUNDS = 3
CERTAIN = 2.0  # standard errors of a gain
NEWTON_TOLERANCE = 1e-8
POOLS, STARTS, LOOK = 0, 1, 2  # what is random, told apart
BEGIN = {"random": random_start, "principal": principal_start, "independent": independent_start}


def first_pool(network: Network) -> int:
    """Samples of the first pool of a piece: 40 a neuron, and 20 numbers a weight."""
    by_weights = -(-NUMBERS_PER_WEIGHT * network.weights_per_piece // network.dimension)
    return max(FEWEST_SAMPLES, SAMPLES_PER_NEURON * network.width, by_weights)


@dataclass(frozen=True, eq=False)
class Piece:
    """How far the fit of one piece is.

    weights: the answer (P,). moments: of its W and b at its `count` training samples, where its loss is
    Σ mass |v − v*|² and the largest entry of the projected gradient `gradient_norm`. iterations: so far. fresh, error:
    the loss at samples that it had not seen, with the standard error; before A was fitted again. rounds: J and the
    gradient after each.
    """

    weights: Array
    moments: Moments
    count: int
    loss: float
    gradient_norm: float
    iterations: int
    fresh: float = float("nan")
    error: float = float("nan")
    converged: bool = False
    rounds: tuple[Iteration, ...] = ()

    @property
    def square(self) -> float:
        """E|v*|² at the training samples."""
        return self.moments.square


@dataclass(frozen=True, eq=False)
class PieceFits:
    """The fits of all pieces. initial: weights (K, P) in place of the first starts. stopped: whether to come to an end.

    told: of each evaluation.
    """

    tracking: FreeTracking
    options: ScoreMatching
    initial: Sequence[Array]
    stopped: Callable[[], bool]
    told: Callable[[], None]

    def fit(self, k: int) -> Piece:
        """The fit of piece k. When it is stopped, the best so far."""
        edges, reference = self.tracking.edges, self.tracking.reference
        look = np.random.default_rng([self.options.seed, k, LOOK])
        sampler = DriftSampler.of(reference, self.tracking.noise, float(edges[k]), float(edges[k + 1]), look)
        first = self._fit_to(self._pool(sampler, k, 0))
        iterations = min(FIRST_ITERATIONS, self.options.iterations)
        starts = [self._start(k, number) for number in range(self.options.starts)]
        piece = min((self._lowered(first, one, iterations) for one in starts), key=self._objective)
        before, rounds = piece.weights, [self._row(piece)]
        for number in count(1):
            if self.stopped():
                break
            samples = self._pool(sampler, k, number)
            squares, squares_before = (self._squares(samples, weights) for weights in (piece.weights, before))
            fresh, error = _mean(samples.mass, squares)
            gain, uncertain = _mean(samples.mass, squares_before - squares)
            small = gain <= max(self.options.tolerance * samples.square, CERTAIN * uncertain)
            piece = replace(piece, fresh=fresh, error=error, converged=number >= LEAST_ROUNDS and small)
            fit = self._fit_to(samples)
            if piece.converged or piece.iterations >= self.options.iterations:
                piece = self._with_both_pools(piece, fit)
                break
            before = piece.weights
            left = min(ROUND_ITERATIONS, self.options.iterations - piece.iterations)
            lowered = self._lowered(fit, before, left)
            piece = replace(lowered, iterations=piece.iterations + lowered.iterations)
            rounds.append(self._row(piece))
        return replace(piece, rounds=tuple(rounds))

    def _with_both_pools(self, piece: Piece, fit: ProjectedFit) -> Piece:
        """The same W and b, with the A that is best for the training samples and these together."""
        inner, both = fit.inner_of_weights(piece.weights), piece.count + len(fit.samples)
        moments = piece.moments.joined(fit.moments(inner), piece.count / both)
        weights = fit.weights(inner, moments)
        return replace(piece, weights=weights, moments=moments, count=both, loss=self._loss(moments, weights))

    def _pool(self, sampler: DriftSampler, k: int, number: int) -> DriftSamples:
        size = first_pool(self.tracking.network) * (LARGER if number else 1)
        return sampler.draw(size, np.random.default_rng([self.options.seed, k, POOLS, number]))

    def _start(self, k: int, number: int) -> Array:
        """Weights (P,), without A where they are made here; they depend on the seed, k and number alone."""
        if number < len(self.initial):
            return np.asarray(self.initial[number][k])
        tracking, network = self.tracking, self.tracking.network
        rng = np.random.default_rng([self.options.seed, k, STARTS, number])
        middle = tracking.reference.mixture(float(0.5 * (tracking.edges[k] + tracking.edges[k + 1])))
        w, b = BEGIN[self.options.start](middle, network.width, rng)
        return np.asarray(network.join(np.zeros((network.dimension, network.width)), w, b))

    def _fit_to(self, samples: DriftSamples) -> ProjectedFit:
        return ProjectedFit.of(self.tracking.network, samples, self.tracking.effort, self.tracking.bound)

    def _lowered(self, fit: ProjectedFit, start: Array, iterations: int) -> Piece:
        """Weights (P,) after so many iterations."""
        if len(start) <= NARROW:
            found, taken = self._by_newton(fit, start, iterations)
        else:
            found, taken = fit.minimise(fit.inner_of_weights(start), iterations, self._check), iterations
        moments = fit.moments(found)
        weights = fit.weights(found, moments)
        loss = self._loss(moments, weights)
        return Piece(weights, moments, len(fit.samples), loss, fit.gradient_norm(found), taken)

    def _by_newton(self, fit: ProjectedFit, start: Array, iterations: int) -> tuple[Array, int]:
        samples, price = fit.samples, np.full((1, len(start)), fit.price)
        regression = Regression(
            fit.network, samples.points, samples.mass[None], samples.drifts[None], price, fit.bound[None]
        )

        def told(_: int) -> None:
            try:
                self._check()
            except StoppedError:
                raise KeyboardInterrupt from None  # which keeps the best so far

        found = descend(regression, start[None], iterations, NEWTON_TOLERANCE, told)
        return fit.inner_of_weights(found.weights[0]), found.iterations

    def _loss(self, moments: Moments, weights: Array) -> float:
        return moments.loss(self.tracking.network.split(weights)[0].T)

    def _check(self) -> None:
        self.told()
        if self.stopped():
            raise StoppedError

    def _objective(self, piece: Piece) -> float:
        return 0.5 * piece.loss + 0.5 * self.tracking.effort * float((piece.weights**2).sum())

    def _row(self, piece: Piece) -> Iteration:
        return Iteration(piece.iterations, self._objective(piece), piece.gradient_norm)

    def _squares(self, samples: DriftSamples, weights: Array) -> Array:
        """|v − v*|² at each sample, (N,)."""
        network = self.tracking.network
        residual = network.drift(samples.points, *network.split(weights)) - samples.drifts
        return np.asarray(np.einsum("nd,nd->n", residual, residual))


def _mean(mass: Array, values: Array) -> tuple[float, float]:
    """Σ mass · values, and its standard error."""
    mean = float(mass @ values)
    return mean, float(np.sqrt(mass**2 @ (values - mean) ** 2))
