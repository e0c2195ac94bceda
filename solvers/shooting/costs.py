"""What shooting costs: models of its memory, time and iterations, fitted to measurements.

Run `python -m benchmarks sizes` to see predicted over measured.
"""

from __future__ import annotations

from controlsde.compiled.library import library, line_loops
from controlsde.densities.free_mixture import KernelMixture
from controlsde.fokker_planck.operator import DENSE_LIMIT
from controlsde.solvers.costs import Costs
from controlsde.solvers.drift_fitting.costs import in_free_space as fits_in_free_space
from controlsde.solvers.drift_fitting.costs import score_products, start_fits
from controlsde.solvers.drift_fitting.options import ScoreMatching
from controlsde.solvers.shooting.multistart import PRUNING_ITERATIONS, kept_of
from controlsde.solvers.shooting.options import PARTICLES, SECOND_ORDER, Shooting
from controlsde.solvers.shooting.steering import steps_per_piece
from controlsde.tracking.cloud import ROWS
from controlsde.tracking.free_tracking import FreeTracking
from controlsde.tracking.mollified import DRAWS
from controlsde.tracking.mollified_course import NODES
from controlsde.tracking.sizes import Sizes, front_numbers, line_numbers, sparse_factor_bytes

ITERATIONS_TO_THE_END = 60  # after the first look: 18 to 154 were seen
ITERATIONS_OF_A_HOP = 15  # from a hop to where it is given up or ends: 10 to 19 on average

SHOOTING_BYTES = 20e6
RESPONSE_ARRAYS = 7.0
FACTOR_ARRAYS = 1.9
LINE_BYTES, LINE_RESPONSE_ARRAYS = 2e6, 0.8  # the same by the compiled loops of one dimension,
FRONTS_BYTES, FRONTS_RESPONSE_ARRAYS = 14e6, 2.5  # and by compiled fronts
COMPILED_FACTOR_ARRAYS = 2.7

# Work that takes as long as one run of `calibration_seconds`.
SHOOTING_CALIBRATIONS = 0.78
SOLVES_PER_CALIBRATION = 2.8e7  # each of an unknown, times its couplings
RESPONSES_PER_CALIBRATION = 1.0e4
INVERSION_PER_CALIBRATION = 7.7e6
COMPILED_CALIBRATIONS = 0.146  # the same for the compiled loops of one dimension; fitted to ten sizes within 25 %
COMPILED_FLOPS_PER_CALIBRATION = 1.66e8
COMPILED_RESPONSES_PER_CALIBRATION = 1.66e5
FRONTS_CALIBRATIONS = 0.9  # and for compiled fronts; fitted to thirteen sizes in two dimensions within 50 %
ELIMINATION_PER_CALIBRATION = 1.41e6
FRONTS_FLOPS_PER_CALIBRATION = 1.35e8

# Of steered particles, fitted to 12 problems of 3 to 64 dimensions: an iteration within 30 %, null deviations within a
# factor of 2. Of a piece; of a neuron, and of a product, at a particle and a step; of a pair; of a product in a score.
STEERING_CALIBRATIONS = 0.57
STEERING_NEURON, STEERING_PRODUCT, STEERING_PAIR, STEERING_SCORE = 1.5e-5, 1.6e-7, 8.7e-8, 4.9e-8
NULL_CALIBRATIONS, NULL_SCORE, NULL_OVERLAP = 1.0, 5.8e-8, 2.7e-8
STEERING_BYTES, STEERING_ARRAYS = 24e6, 2.2
USUAL_SCALES = 4


def in_free_space(options: Shooting, tracking: FreeTracking) -> Costs:
    """What it costs to steer particles, with the fit that it starts from."""
    particles, pieces = options.particles or PARTICLES, tracking.pieces
    d, width, steps = tracking.dimension, tracking.network.width, steps_per_piece(pieces)
    scales = USUAL_SCALES if tracking.scales == "auto" else len(tracking.scales)
    mixture = tracking.reference.data
    count = len(mixture.weights)
    products = score_products(tracking)
    iteration = pieces * (
        STEERING_CALIBRATIONS
        + particles * steps * width * (STEERING_NEURON + STEERING_PRODUCT * d)
        + particles**2 * (0.5 * d + 10.0) * STEERING_PAIR
        + particles * scales * products * STEERING_SCORE
    )
    overlaps = count**2 * (d if isinstance(mixture, KernelMixture) else d**3)
    nulls = pieces * (NULL_CALIBRATIONS + DRAWS * scales * products * NULL_SCORE + overlaps * NULL_OVERLAP)
    usual = ScoreMatching().usual_in_free_space(tracking.network.weights_per_piece)
    start = fits_in_free_space(usual, tracking) if options.start == "score-matching" else Costs(0.0)
    searches = 1.0
    if tracking.shortest is not None:  # another one, with times that move, after that with equal pieces
        more = particles**2 * (0.5 * d + 10.0) * STEERING_PAIR + 3 * particles * scales * products * STEERING_SCORE
        searches = 2.0 + pieces * more / iteration
        nulls *= (pieces + NODES) / pieces
    arrays = 8.0 * particles * (d * (3 * steps + 2 * pieces + 6) + 2 * width + 3 * ROWS)
    memory = STEERING_BYTES + STEERING_ARRAYS * arrays + 16.0 * min(overlaps, count**2)
    return Costs(max(memory, start.memory), start.fits + nulls + searches * options.iterations * iteration)


def costs(options: Shooting, sizes: Sizes) -> Costs:
    """What a solve with these options costs; first-order methods need no more than an evaluation."""
    fits = start_fits(options, sizes)
    if options.method not in SECOND_ORDER:
        return Costs(0.0, fits)
    hessian = 3 * 8 * sizes.weights**2
    return Costs(shooting_memory(sizes, factor_bytes(sizes)) + hessian, fits)


def factor_bytes(sizes: Sizes) -> int:
    """Bytes of inverses or factors of all pieces, as the stage solvers of shooting keep them.

    Those of the compiled loops; without them in one dimension bands, in more dense inverses, or beyond `DENSE_LIMIT`
    sparse factors by dissection.
    """
    unknowns = sizes.unknowns
    if compiled_for(sizes):
        each = 8 * line_numbers(unknowns, sizes.degree)
    elif sizes.dimension == 1:
        each = 24 * unknowns * (3 * sizes.degree + 1)
    elif fronts_for(sizes):
        each = int(24 * front_numbers(sizes.dimension, unknowns))
    elif unknowns <= DENSE_LIMIT[sizes.dimension]:
        each = 64 * unknowns**2
    else:
        each = int(29 * unknowns**1.5) if sizes.dimension == 2 else sparse_factor_bytes(unknowns)
    return sizes.factorised * each


def shooting_memory(sizes: Sizes, factors: float) -> float:
    """Bytes at the peak of a second-order shooting solve, over those of Python with its libraries.

    factors: bytes of the factors or inverses of all pieces, which depend on how the stages are solved. The rest are
    arrays of the responses to the weights, (K, s, n, S, P), and what the transport makes of them.
    """
    responses = 8 * sizes.stage_values * sizes.weights_per_piece * (3 * sizes.dimension + 1)
    if compiled_for(sizes):
        return LINE_BYTES + LINE_RESPONSE_ARRAYS * responses + COMPILED_FACTOR_ARRAYS * factors
    if fronts_for(sizes):
        return FRONTS_BYTES + FRONTS_RESPONSE_ARRAYS * responses + COMPILED_FACTOR_ARRAYS * factors
    return SHOOTING_BYTES + RESPONSE_ARRAYS * responses + FACTOR_ARRAYS * factors


def shooting_seconds(sizes: Sizes, calibration: float) -> float:
    """Seconds of one second-order iteration of shooting, where `calibration_seconds` measured `calibration`.

    Of the N = K·P weights, half are at work in a step, on average: their sensitivities take L·N/2 stage solves, each of
    s·n unknowns that couple with c others: a band in one dimension; all in two where the inverses are dense, which cost
    K·n³ on top; about 8√n where factors come from a dissection. A stage's responses to its own P weights come once.
    This holds for the stage solvers as they are; where they change, fit it again.
    """
    if compiled_for(sizes):
        return _compiled_seconds(sizes, calibration)
    if fronts_for(sizes):
        return _seconds_by_fronts(sizes, calibration)
    dense = sizes.dimension > 1 and sizes.unknowns <= DENSE_LIMIT[sizes.dimension]
    couplings = sizes.unknowns if dense else 8 * sizes.unknowns**0.5 if sizes.dimension > 1 else sizes.degree
    solves = sizes.stage_values * sizes.pieces * sizes.weights_per_piece / 2 * couplings
    responses = sizes.stage_values * sizes.weights_per_piece
    inversion = sizes.pieces * sizes.unknowns**3 if dense else 0
    return calibration * (
        SHOOTING_CALIBRATIONS
        + solves / SOLVES_PER_CALIBRATION
        + responses / RESPONSES_PER_CALIBRATION
        + inversion / INVERSION_PER_CALIBRATION
    )


def compiled_for(sizes: Sizes) -> bool:
    """Whether the compiled loops of one dimension do the work."""
    return line_loops(sizes.dimension, sizes.unknowns // sizes.degree) is not None


def fronts_for(sizes: Sizes) -> bool:
    """Whether compiled fronts do the work."""
    return sizes.dimension > 1 and library() is not None


def _compiled_seconds(sizes: Sizes, calibration: float) -> float:
    """The same by the compiled loops: 20 n·degree + 10 V² operations a column and step, s·n·N²/3 a step; V vertices."""
    of_column = 20 * sizes.unknowns * sizes.degree + 10 * (sizes.unknowns / sizes.degree) ** 2
    solves = sizes.steps * sizes.weights / 2 * of_column
    products = sizes.stage_values * sizes.weights**2 / 3
    responses = sizes.stage_values * sizes.weights_per_piece
    return calibration * (
        COMPILED_CALIBRATIONS
        + (solves + products) / COMPILED_FLOPS_PER_CALIBRATION
        + responses / COMPILED_RESPONSES_PER_CALIBRATION
    )


def _seconds_by_fronts(sizes: Sizes, calibration: float) -> float:
    """The same by compiled fronts of F numbers: F n^0.4 an elimination, 8 F a column and step, 2 s·n·N²/3 a step."""
    numbers = front_numbers(sizes.dimension, sizes.unknowns)
    solves = sizes.steps * sizes.weights / 2 * 8 * numbers
    products = 2 * sizes.stage_values * sizes.weights**2 / 3
    elimination = sizes.factorised * numbers * sizes.unknowns**0.4
    return calibration * (
        FRONTS_CALIBRATIONS
        + float(elimination) / ELIMINATION_PER_CALIBRATION
        + (solves + products) / FRONTS_FLOPS_PER_CALIBRATION
    )


def shooting_iterations(starts: int, hops: int) -> int:
    """Iterations of shooting from so many starts, by its second-order methods."""
    return starts * PRUNING_ITERATIONS + kept_of(starts) * ITERATIONS_TO_THE_END + hops * ITERATIONS_OF_A_HOP
