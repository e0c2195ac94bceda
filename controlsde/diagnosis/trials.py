"""What is run to tell causes apart, after a certificate failed or an answer tracks poorly: nothing on a healthy run.

The same drift once more, on meshes with more elements and with smaller steps, each compared with the verified
density; and the reference's own exact drift, on the solver's mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.diagnosis.case import Trials, Wall
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.reference import Reference, ReferenceError  # noqa: A004
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import Run, TrackingProblem
from controlsde.verification.certificate import LIMITS, Certificate
from controlsde.verification.evidence import Fields

Array = NDArray[np.float64]
T = TypeVar("T")

MORE_ELEMENTS: dict[int, tuple[float, ...]] = {1: (1.25, 1.5, 2, 2.5, 3, 4, 5), 2: (1.5, 2), 3: (1.5,)}
MORE_STEPS: dict[int, tuple[int, ...]] = {1: (2, 4, 8, 16, 32), 2: (2, 4), 3: (2,)}
MOST_TARGET_ELEMENTS = {1: 80, 2: 12, 3: 6}
MARGIN = 2.0  # between the certificate's limit and what a trial must reach: the next optimum may be sharper
RESOLUTION = frozenset(
    {"negative_mass", "resolution", "refined_l2_change", "refinement", "characteristics_l2_change", "monte_carlo_z"}
)
FILLED = 0.05  # of the largest density: where the reference has more, there is mass at a wall
EXACT_STEPS = 64  # at least, for the exact drift: it varies within a piece
MASS_SHARE = 0.01  # of the largest density: where the reference has less, its drift moves next to nothing


def try_out(
    posed: Posed,
    tracking: TrackingProblem,
    run: Run,
    run_exact: Run | None,
    certificate: Certificate,
    fields: Fields,
) -> Trials:
    """The trials that this certificate calls for; run_exact: the exact drift, where it is to be tried, too."""
    failed = {check.name for check in certificate.failed}
    trials = Trials()
    if failed & RESOLUTION:
        (elements, by_elements), (steps, by_steps) = _enough(posed, tracking, run, fields)
        trials = replace(trials, elements=elements, steps=steps, by_elements=by_elements, by_steps=by_steps)
    if "target_change" in failed:
        trials = replace(trials, target_elements=_holding_the_target(posed, tracking.mesh))
    if run_exact is not None:
        trials = replace(
            trials,
            exact_error=_final_error(tracking, run_exact),
            exact_drift=_largest_drift(posed, tracking),
        )
    return trials


def walls(tracking: TrackingProblem, reference: Reference, drift: Drift, fields: Fields) -> tuple[Wall, ...]:
    """What a drift does at each face of a closed box; nothing for other walls."""
    if tracking.mesh.walls != "reflecting":
        return ()
    return tuple(
        _wall(tracking, reference, drift, fields, axis, side)
        for axis in range(tracking.mesh.dimension)
        for side in (0, 1)
    )


def _wall(tracking: TrackingProblem, reference: Reference, drift: Drift, fields: Fields, axis: int, side: int) -> Wall:
    """The low (0) or high (1) face of one axis."""
    low, high = tracking.mesh.box[axis]
    place = (low, high)[side]
    points = tracking.mesh.points[tracking.mesh.points[:, axis] == place]
    edges = drift.edges
    # v·n on the face, by piece: (K, points)
    normal = (2 * side - 1) * np.stack(
        [drift.values(piece, float(t), points)[:, axis] for piece, t in enumerate(edges[:-1])]
    )
    highest = float(fields.reference.max())
    filled = np.stack([reference.density(float(t), points) for t in edges[:-1]]) >= FILLED * highest
    swept = float((np.diff(edges) @ np.where(filled, np.maximum(-normal, 0.0), 0.0)).max()) / (high - low)
    density = float(np.take(fields.density, -side, axis=1 + axis).max())
    return Wall(axis, place, density, highest, float(normal.max()), swept)


def _enough(
    posed: Posed, tracking: TrackingProblem, run: Run, fields: Fields
) -> tuple[tuple[tuple[int, ...] | None, float], tuple[int | None, float]]:
    """The fewest elements, and the fewest steps, with which this drift alone reaches the verified density.

    Each with the least change of the density that was seen on the way.
    """
    d, grid = tracking.mesh.dimension, tracking.grid
    elements = tuple(axis.elements for axis in tracking.mesh.axes)
    scale = fields.target.norm  # the same norms as in the certificate
    per_piece = (len(fields.density) - 1) // grid.pieces
    ends = [DensityField(fields.mesh, values.ravel()) for values in fields.density[per_piece::per_piece]]

    def moved(counts: Sequence[int], steps: int) -> float:
        mesh = Mesh.build(
            posed.problem.domain.box, posed.problem.domain.walls, tuple(counts), posed.problem.mesh.degree
        )
        try:
            trial = posed.on(mesh, replace(grid, steps_per_piece=steps))
            stages = run(trial)
        except (NonFiniteError, ReferenceError):
            return float("inf")
        return max(fine.distance(coarse) / scale for fine, coarse in zip(ends, trial.ends(stages), strict=True))

    ladder = [tuple(int(np.ceil(factor * count)) for count in elements) for factor in MORE_ELEMENTS[d]]
    more = [factor * grid.steps_per_piece for factor in MORE_STEPS[d]]
    given = posed.problem.mesh  # what is `auto` was refined before
    finer = _first_enough(
        [] if given.elements == "auto" else ladder, lambda counts: moved(counts, grid.steps_per_piece)
    )
    settled = given.steps_per_piece == "auto" or finer[0] is not None
    return finer, _first_enough([] if settled else more, lambda steps: moved(elements, steps))


def _first_enough(ladder: Sequence[T], moved: Callable[[T], float]) -> tuple[T | None, float]:
    """The first level on which the density moves by little enough, and the least movement seen up to there."""
    least = float("inf")
    for level in ladder:
        change = moved(level)
        least = min(least, change) if np.isfinite(change) else least
        if change <= LIMITS["refined_l2_change"] / MARGIN:
            return level, least
    return None, least


def _holding_the_target(posed: Posed, mesh: Mesh) -> tuple[int, ...] | None:
    """The fewest elements an axis with which ‖p_mesh(T) − p(T)‖ / ‖p(T)‖ is within half its limit."""
    box, kind, degree = posed.problem.domain.box, posed.problem.domain.walls, posed.problem.mesh.degree
    fine = Mesh.build(box, kind, (4 * MOST_TARGET_ELEMENTS[mesh.dimension],) * mesh.dimension, degree)
    at_end = partial(posed.reference.density, posed.reference.horizon)
    target = DensityField.sampled(fine, at_end)
    most = MOST_TARGET_ELEMENTS[mesh.dimension]
    counts = tuple(axis.elements for axis in mesh.axes)
    while max(counts) < most:
        counts = tuple(min(most, max(count + 1, int(1.25 * count))) for count in counts)
        held = DensityField.sampled(Mesh.build(box, kind, counts, degree), at_end)
        if target.distance(held) <= 0.5 * LIMITS["target_change"] * target.norm:
            return counts
    return None


def _final_error(tracking: TrackingProblem, run: Run) -> float:
    """‖ρ(T) − p(T)‖ / ‖p(T)‖ of a drift that varies in time, on the problem's own mesh; inf where it blew up."""
    steps = max(tracking.grid.steps_per_piece, int(np.ceil(EXACT_STEPS / tracking.grid.pieces)))
    grid = replace(tracking.grid, steps_per_piece=steps)
    shape = (grid.pieces, steps, *tracking.targets.shape[2:])
    try:
        final = run(replace(tracking, grid=grid, targets=np.empty(shape)))[-1, -1, -1]
    except NonFiniteError:
        return float("inf")
    target, mass = tracking.targets[-1, -1, -1], tracking.mesh.mass
    return float(np.sqrt((final - target) ** 2 @ mass / (target**2 @ mass)))


def _largest_drift(posed: Posed, tracking: TrackingProblem) -> float:
    """The largest component of v*_η at the ends of the pieces, where p is at least a hundredth of its largest value."""
    points = tracking.mesh.points
    largest = 0.0
    for t in tracking.grid.edges:
        density = posed.reference.density(float(t), points)
        inside = points[density >= MASS_SHARE * density.max()]
        largest = max(largest, float(np.abs(posed.reference.exact_drift(float(t), inside, posed.problem.noise)).max()))
    return largest
