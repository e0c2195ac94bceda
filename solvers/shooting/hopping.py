"""Basin hopping: from an optimum, disturb a few control pieces, minimise again, and stay where J is less.

Comes in: an optimum, other good answers, and a way to minimise from a point. Goes out: which answers hops set out from,
points to start from, and when a minimisation that started there has no prospect any more.

A narrow network follows a density by taking its parts in turn, so a control is much like a schedule: what distinguishes
one valley from the next is which piece does what, and when. Descent cannot rearrange a schedule; the four disturbances
here do. Iterated local search (Lourenço, Martin & Stützle 2003) over basins (Wales & Doye 1997).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controlsde.solvers.shooting.trust_region import Iterate
from controlsde.solvers.starts import contracting_weights
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

HOP_ITERATIONS = 30  # of a minimisation after a disturbance
GAIN = 1e-4  # relative decrease of J that counts as a lower valley
FEWEST_TOGETHER, MOST_TOGETHER = 2, 4  # hops of a round
STALE_SHARE = 0.375  # of all hops: after so many that found no lower valley than the best one, no more are taken
MOST_RENEWED = 3  # neighbouring pieces that start anew together
PATIENCE = {10: 1.4, 20: 1.1}  # J over that of the valley left behind, beyond which a hop is given up at an iteration
MODEL_TRUSTED_FROM = 5  # iterations after which the quadratic model's minimum is taken for the valley's
MODEL_MARGIN = 2.0  # times the decrease that the model promises


def rounds_of(hops: int, answers: int) -> list[list[int]]:
    """From which answer, counted from the best one, each hop of each round sets out.

    The hops of a round set out together, so that they can run side by side, from the answers as the last round left
    them. The first half of the hops goes to all answers alike, the other half to the better half of them.
    """
    size = max(FEWEST_TOGETHER, min(MOST_TOGETHER, hops // 8))
    rounds, taken = [], 0
    while taken < hops:
        chosen = answers if 2 * taken < hops else math.ceil(answers / 2)
        count = min(size, hops - taken)
        rounds.append([(taken + number) % chosen for number in range(count)])
        taken += count
    return rounds


def disturbed(
    tracking: TrackingProblem, weights: Array, population: Sequence[Array], rng: np.random.Generator
) -> Array:
    """Weights (K, P) with two pieces exchanged, one moved, a few made anew, or an end taken from the population."""
    pieces = len(weights)
    if pieces == 1:
        return _renewed(tracking, weights, rng)
    kind = rng.choice(["exchange", "move", "renew", "splice"])
    first, second = rng.choice(pieces, 2, replace=False)
    if kind == "renew":
        return _renewed(tracking, weights, rng)
    if kind == "splice" and population:
        other = population[int(rng.integers(len(population)))]
        cut = rng.integers(1, pieces)
        early, late = (weights, other) if rng.random() < 0.5 else (other, weights)
        return np.concatenate([early[:cut], late[cut:]])
    if kind == "move":
        return np.insert(np.delete(weights, first, axis=0), second, weights[first], axis=0)
    exchanged = weights.copy()
    exchanged[[first, second]] = weights[[second, first]]
    return exchanged


def _renewed(tracking: TrackingProblem, weights: Array, rng: np.random.Generator) -> Array:
    """A few neighbouring pieces as a random start has them, of either family."""
    pieces = len(weights)
    count = rng.integers(1, min(MOST_RENEWED, pieces) + 1)
    begin = rng.integers(0, pieces - count + 1)
    contracting = rng.random() < 0.5
    fresh = contracting_weights(tracking, rng) if contracting else tracking.network.random_weights(pieces, rng)
    renewed, size = weights.copy(), fresh.shape[1]  # lengths that are free stay as they are
    bound = tracking.bound[:size]
    renewed[begin : begin + count, :size] = np.clip(fresh, -bound, bound)[begin : begin + count]
    return renewed


def lower(value: float, best: float) -> bool:
    """Whether J is so much less that this is another valley."""
    return value < best - GAIN * abs(best)


def hopeless(iterate: Iterate, best: float) -> bool:
    """Whether a minimisation that has come this far is not worth going on with, to find less than `best`."""
    allowed = PATIENCE.get(iterate.number)
    if allowed is not None and iterate.value > allowed * best:
        return True
    promised = iterate.value - MODEL_MARGIN * iterate.decrement
    return iterate.number >= MODEL_TRUSTED_FROM and not lower(promised, best) and not lower(iterate.value, best)
