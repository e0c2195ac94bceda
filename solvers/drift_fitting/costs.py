"""What fits of the exact drift cost, by a model fitted to 19 fits of 3 to 60 weights on 65 to 1,147 nodes."""

from __future__ import annotations

from controlsde.problem.solver_specs import SolverOptions
from controlsde.solvers.costs import Costs
from controlsde.solvers.drift_fitting.drift_fit import CHUNK_BYTES
from controlsde.solvers.drift_fitting.options import ScoreMatching, Switching, period
from controlsde.tracking.sizes import Sizes

# Over calibrations
FIT_CALIBRATIONS = 0.015
FIT_JACOBIAN, FIT_NORMAL, FIT_FACTOR = 8e-5, 1.7e-6, 6e-5


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
