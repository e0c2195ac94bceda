"""What fits of the exact drift cost, by models fitted to measurements.

In a box: 19 fits of 3 to 60 weights on 65 to 1,147 nodes. In free space: 12 of 21 to 8,256 weights in 3 to 64
dimensions, of 3 to 1,438 components, within 20 %.
"""

from __future__ import annotations

import loky

from controlsde.densities.free_mixture import KernelMixture
from controlsde.foundation.threads import MOST_THREADS
from controlsde.problem.solver_specs import SolverOptions
from controlsde.solvers.costs import Costs
from controlsde.solvers.drift_fitting.drift_fit import CHUNK_BYTES
from controlsde.solvers.drift_fitting.drift_samples import PILOT, STRATA
from controlsde.solvers.drift_fitting.options import NARROW, ScoreMatching, Switching, period
from controlsde.solvers.drift_fitting.piece_fits import (
    FIRST_ITERATIONS,
    LARGER,
    LEAST_ROUNDS,
    ROUND_ITERATIONS,
    first_pool,
)
from controlsde.solvers.drift_fitting.variable_projection import MEMORY
from controlsde.tracking.free_tracking import FreeTracking
from controlsde.tracking.sizes import Sizes

# Over calibrations
FIT_CALIBRATIONS = 0.015
FIT_JACOBIAN, FIT_NORMAL, FIT_FACTOR = 8e-5, 1.7e-6, 6e-5

# The same in free space: of a piece; of a neuron, and of a product of two numbers, at a sample in an iteration; of a
# product in the score at a sample; and, by Newton steps, of a weight and a coordinate at a sample in an iteration.
PIECE_CALIBRATIONS = 14.4
FREE_NEURON, FREE_PRODUCT, FREE_SCORE, FREE_NEWTON = 2.6e-6, 1.1e-8, 4.8e-8, 1.85e-6
FREE_BYTES = 24e6  # chunks of the score


def in_free_space(options: ScoreMatching, tracking: FreeTracking) -> Costs:
    """What fits on all pieces in free space cost, if the first rounds that may be the last ones are."""
    network = tracking.network
    d, width, weights = network.dimension, network.width, network.weights_per_piece
    pool, rounds = first_pool(network), LEAST_ROUNDS - 1
    first = min(FIRST_ITERATIONS, options.iterations)
    later = min(rounds * ROUND_ITERATIONS, options.iterations - first)
    iterations = pool * (options.starts * first + LARGER * later)
    if weights <= NARROW:
        fits = FREE_NEWTON * iterations * d * weights
    else:
        fits = iterations * width * (FREE_NEURON + FREE_PRODUCT * (6 * d + width))
    drawn = STRATA * PILOT + pool * (1 + LARGER * (rounds + 1))
    fits += PIECE_CALIBRATIONS + FREE_SCORE * drawn * score_products(tracking)
    samples = 8.0 * LARGER * pool * 3 * (d + width)
    vectors = 8.0 * 2 * MEMORY * weights
    threads = min(loky.cpu_count(), MOST_THREADS, tracking.pieces)
    return Costs(FREE_BYTES + threads * (samples + vectors), tracking.pieces * fits)


def score_products(tracking: FreeTracking) -> float:
    """Products of two numbers in the score of the reference at one point, about."""
    mixture = tracking.reference.data
    each = 1 if isinstance(mixture, KernelMixture) else tracking.dimension
    return float(len(mixture.weights) * each * (tracking.dimension + 4))


def score_matching(options: ScoreMatching, sizes: Sizes) -> Costs:
    """What a fit on every piece costs."""
    fits = fit_calibrations(sizes, options.starts * sizes.pieces, 1)
    return Costs(fit_memory(sizes, options.starts), fits)


def switching(options: Switching, sizes: Sizes) -> Costs:
    """What fits of all numbers of neurons that are tried cost."""
    return Costs(fit_memory(sizes, options.starts), _played(options, sizes))


def start_fits(options: SolverOptions, sizes: Sizes) -> float:
    """Calibrations of what another solver spends on a start that switching constructs."""
    if options.start != "switching":
        return 0.0
    return sum(_played(one, sizes) for one in (Switching(), Switching(ordering="forward")))


def _played(options: Switching, sizes: Sizes) -> float:
    pieces = sizes.pieces
    return sum(
        fit_calibrations(sizes, options.starts * pieces // period(options.ordering, groups), groups)
        for groups in options.groups(pieces, sizes.width)
    )


def fit_memory(sizes: Sizes, starts: int) -> float:
    """Bytes of fits of the exact drift on every piece from so many starts: masses and means, and Jacobians in turn."""
    copies = 3 * starts + 1
    return 4 * CHUNK_BYTES + 8.0 * copies * sizes.pieces * sizes.unknowns * (1 + sizes.dimension)


def fit_calibrations(sizes: Sizes, fits: int, groups: int) -> float:
    """Calibrations of so many fits of the exact drift, each from one start, by `groups` times the network's neurons.

    An iteration takes the Jacobian of n·d values by P weights, its normal matrix, and a P × P factorisation; wider
    networks take more of them.
    """
    weights = groups * sizes.weights_per_piece
    values = sizes.unknowns * sizes.dimension
    work = FIT_CALIBRATIONS + values * weights * (FIT_JACOBIAN + FIT_NORMAL * weights) + FIT_FACTOR * weights**3
    return fits * work
