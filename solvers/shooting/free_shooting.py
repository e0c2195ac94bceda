"""Shooting in free space: steer particles, and move the weights along the exact gradient of how far they are from p.

Comes in: a tracking problem in free space, and options. Goes out: an `Outcome`. The objective is that of `steering`,
the paths and their exact derivative those of `particle_paths`; the start is what score matching finds. Particles are
drawn anew in every iteration, for a fit to one set of them for long fits the set. So the gradient is a random one, and
the scales of weights differ by far: Adam (Kingma & Ba 2015) is made for that, and a line search or a Hessian is not.
Its rate falls as a cosine.

The answer is never worse than the start at particles that neither has seen. It has converged when the last quarter of
the iterations lowered J there by no more than `tolerance` of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.solvers.drift_fitting import free_score_matching
from controlsde.solvers.drift_fitting.options import ScoreMatching
from controlsde.solvers.drift_fitting.principal_start import random_start
from controlsde.solvers.outcome import Iteration, Outcome, Termination
from controlsde.solvers.shooting.options import PARTICLES, Shooting
from controlsde.solvers.shooting.steering import Steering
from controlsde.solvers.shooting.trust_region import projected_gradient_norm
from controlsde.tracking.free_lengths import logits_of
from controlsde.tracking.free_tracking import FreeTracking

Array = NDArray[np.float64]

RATE = 0.01  # of Adam at the beginning: what a weight moves in an iteration, nearly, as a share of those of its kind,
RATE_OF_LENGTHS = 0.03  # and the logarithm of a length
MEAN_KEPT, SQUARE_KEPT, SMALL = 0.9, 0.99, 1e-12
LATE = 0.75  # share of the iterations after which J should have settled
FRESH, TRAINING = 0, 1  # numbers of particles: those that judge, and the first of those that teach


def solve(
    tracking: FreeTracking,
    options: Shooting,
    progress: Progress = silent,
    initial: Sequence[Array] = (),
) -> Outcome:
    """Steer `options.particles` particles from the first of `initial`, or from what the options say.

    Weights are (K, P); where lengths are free (K, P + 1), and without `initial` the search starts from the answer of
    one with equal pieces, so that free lengths are never worse at fresh particles. A keyboard interrupt keeps the best
    so far.
    """
    began = time.perf_counter()
    with own_settings():
        before: tuple[Iteration, ...] = ()
        if tracking.shortest is not None and not initial:
            equal = solve(replace(tracking, shortest=None), options, progress)
            start = _with_lengths(tracking, equal.weights)
            if equal.interrupted:
                return replace(equal, weights=start)
            before = equal.history[:-1]  # but for what its answer has
        else:
            found = _start(tracking, options, progress, initial)
            if isinstance(found, Outcome):
                return found
            start = found
        steering = Steering.of(tracking, options.particles or PARTICLES, options.seed)
        built = time.perf_counter()
        course = _course(steering, options, progress, start, before)
        return _outcome(steering, options, course, built - began, built)


def _start(tracking: FreeTracking, options: Shooting, progress: Progress, initial: Sequence[Array]) -> Array | Outcome:
    """Where to start; the outcome of score matching where somebody interrupts it."""
    if initial:
        return np.asarray(initial[0])
    if options.start == "score-matching":
        usual = ScoreMatching(seed=options.seed).usual_in_free_space(tracking.network.weights_per_piece)
        found = free_score_matching.solve(tracking, usual, progress)
        return found if found.interrupted else found.weights
    network = tracking.network
    middles = 0.5 * (tracking.edges[:-1] + tracking.edges[1:])
    pieces = []
    for k, t in enumerate(middles):
        rng = np.random.default_rng([options.seed, k])
        w, b = random_start(tracking.reference.mixture(float(t)), network.width, rng)
        a = rng.standard_normal((network.dimension, network.width)) / np.sqrt(network.width)
        pieces.append(network.join(a, w, b))
    return np.stack(pieces)


def _with_lengths(tracking: FreeTracking, weights: Array) -> Array:
    """Weights (K, P) with the lengths that the pieces have to begin with, (K, P + 1)."""
    assert tracking.shortest is not None  # lengths are free
    return np.append(weights, logits_of(tracking.durations, tracking.shortest)[:, None], axis=1)


@dataclass(frozen=True, eq=False)
class _Course:
    """Where it began, how J went, where it ended; late: J at fresh particles after LATE of the iterations."""

    start: Array
    weights: Array
    late: float
    history: tuple[Iteration, ...]
    interrupted: bool


def _course(
    steering: Steering, options: Shooting, progress: Progress, start: Array, before: tuple[Iteration, ...]
) -> _Course:
    """Adam, with particles of its own in every iteration. before: what led to the start."""
    bound, total = steering.tracking.bounds, options.iterations
    weights, late = np.clip(start, -bound, bound), float("nan")
    rates = _rates(steering.tracking, weights)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    history = list(before)
    try:
        for number in range(total):
            if number == int(LATE * total):
                late = steering.value(weights, FRESH)
            value, gradient = steering.value_and_gradient(weights, TRAINING + len(history))
            norm = projected_gradient_norm(weights, gradient, bound)
            history.append(Iteration(len(history), value, norm))
            progress(Step("steering particles", number, value, fraction=number / total))
            if not (np.isfinite(value) and np.isfinite(norm)):
                break
            mean = MEAN_KEPT * mean + (1.0 - MEAN_KEPT) * gradient
            square = SQUARE_KEPT * square + (1.0 - SQUARE_KEPT) * gradient**2
            rate = 0.5 * rates * (1.0 + np.cos(np.pi * number / total))
            spread = np.sqrt(square / (1.0 - SQUARE_KEPT ** (number + 1))) + SMALL
            weights = np.clip(weights - rate * mean / (1.0 - MEAN_KEPT ** (number + 1)) / spread, -bound, bound)
    except KeyboardInterrupt:
        return _Course(start, weights, late, tuple(history), True)
    return _Course(start, weights, late, tuple(history), False)


def _rates(tracking: FreeTracking, start: Array) -> Array:
    """What Adam may move each number of a piece by, (P,) or (P + 1,).

    RATE times the root mean square of all A, of all W or of all b: in high dimension each is small, and steps that suit
    weights of the order of one would lead far away.
    """
    size = len(tracking.bound)
    kinds = tracking.network.split(start[:, :size])
    sizes = (np.full(part.shape[1:], np.sqrt(np.mean(part**2)) or 1.0) for part in kinds)
    rates = RATE * tracking.network.join(*sizes)
    return rates if tracking.shortest is None else np.append(rates, RATE_OF_LENGTHS)


def _outcome(steering: Steering, options: Shooting, course: _Course, build: float, began: float) -> Outcome:
    before, after = (steering.value(weights, FRESH) for weights in (course.start, course.weights))
    lower = after < before
    weights, fresh = (course.weights, after) if lower else (course.start, before)
    value, gradient = steering.value_and_gradient(weights, TRAINING)
    norm = projected_gradient_norm(weights, gradient, steering.tracking.bounds)
    count = len(course.history)
    if not np.isfinite(value):
        termination = Termination("non-finite", what="a path")
    elif course.interrupted:
        termination = Termination("interrupted")
    else:
        settled = lower and course.late - after <= options.tolerance * abs(after)
        termination = Termination("converged" if settled else "iterations" if lower else "no-descent")
    return Outcome(
        weights=weights,
        objective=value,
        gradient_norm=norm,
        converged=termination.reason == "converged",
        interrupted=course.interrupted,
        message=f"{_how(termination, count)}: J {value:.4g} at the first training particles, {fresh:.4g} at others, "
        f"{before:.4g} there at the start",
        iterations=count,
        history=(*course.history, Iteration(count, value, norm)),
        build_seconds=build,
        solve_seconds=time.perf_counter() - began,
        termination=termination,
    )


def _how(termination: Termination, count: int) -> str:
    return {
        "non-finite": "a path stopped being finite",
        "iterations": f"still falling after {count} iterations",
        "no-descent": f"{count} iterations led to nothing better than the start",
    }.get(termination.reason, termination.reason)
