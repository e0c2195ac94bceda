"""A wrong start: what the controls of a result make of it, and what feedback does.

Comes in: a result with a network's controls, and the density that the process really starts from. Goes out: four
courses of ‖ρ − p‖: nominal, from the start that the controls were computed for; open loop, the same weights from the
wrong start; and closed loops, whose weights depend on where the density is at the start of each piece, by the linear
law of `controllability.riccati` or by `replanning`.

Laws are computed, and loops closed, on a discretisation like that of a solver, refined where the problem says `auto`
until neither the nominal density nor the open loop's depends on it, or, for the linear law, as far as its matrices
allow. A closed loop's weights are controls like any
others: its density is computed anew by the verification, on finer meshes and by other integrators, and the numbers
that are told first are from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.control.drift import network_drift
from controlsde.controllability.riccati import MOST_UNKNOWNS, FeedbackLaw, feedback_laws
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.result.answer import NO_NETWORK, plain_json
from controlsde.result.result import Result
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.section import section
from controlsde.tracking.time_grid import TimeGrid
from controlsde.tracking.tracking_problem import TrackingProblem
from controlsde.verification.certificate import LIMITS
from controlsde.verification.refinement import refined_density
from controlsde.workflow.mesh_refinement import FINER, refined
from controlsde.workflow.replanning import replanned
from controlsde.workflow.wrong_start import Start, started_from

Array = NDArray[np.float64]
Method = Literal["riccati", "replan"]

METHODS: tuple[Method, ...] = ("riccati", "replan")
CAUTION = (10.0, 100.0, 1e3, 1e4, 1e5)  # times the effort: prices of changes that are tried, beside none
USUAL_EFFORT = 1e-5  # where the problem asks nothing for effort


class FeedbackError(ControlsdeError, ValueError):
    """Feedback that cannot be computed as asked; one line with the cure."""

    of_problem = True


@dataclass(frozen=True, eq=False)
class Course:
    """Controls from one start, and the error on the way.

    times, l2: ‖ρ − p‖ as verified, of which `l2_final` is the last. discrete: the same at T as the loop's own
    discretisation saw it, and objective: J there. refinement: what the finest mesh of the verification still changed of
    ρ(T); change: by how much ρ(T) differs between the loop and the verification; both over ‖p(T)‖.
    """

    controls: Controls
    times: Array
    l2: Array
    discrete: float
    objective: float
    refinement: float
    change: float

    @property
    def l2_final(self) -> float:
        """‖ρ(T) − p(T)‖."""
        return float(self.l2[-1])

    @property
    def verified(self) -> bool:
        """Whether loop and verification agree, within the limits of the certificate."""
        return self.refinement <= LIMITS["refinement"] and self.change <= LIMITS["refined_l2_change"]

    def to_json(self) -> dict[str, Any]:
        """The curve and the numbers beside it."""
        return {
            "t": self.times.tolist(),
            "l2": self.l2.tolist(),
            "discrete": self.discrete,
            "objective": self.objective,
            "refinement": self.refinement,
            "refined_l2_change": self.change,
        }


@dataclass(frozen=True, eq=False)
class Feedback:
    """One way of feedback from one wrong start.

    start: in the words that were given. every: pieces between plans. price: of changes of the weights in the linear
    law, q in `controllability.riccati`: of those that were tried, the one whose loop has the least J from this start,
    on a finer mesh.
    """

    result: Result
    start: str
    by: Method
    every: int
    nominal: Course
    open_loop: Course
    closed_loop: Course
    price: float | None = None

    @property
    def noise(self) -> float:
        """Noise level η."""
        return self.result.noise

    @property
    def verified(self) -> bool:
        """Whether all three courses are."""
        return all(course.verified for course in self.courses.values())

    @property
    def courses(self) -> dict[str, Course]:
        """All courses by their names in JSON."""
        return {"nominal": self.nominal, "open_loop": self.open_loop, "closed_loop": self.closed_loop}

    def to_json(self) -> dict[str, Any]:
        """The JSON of `feedback`; NaN and infinity become null."""
        document: dict[str, Any] = plain_json(
            {
                "noise": self.noise,
                "by": self.by,
                **{name: course.l2_final for name, course in self.courses.items()},
                "problem": self.result.problem.name,
                "start": self.start,
                "every": self.every if self.by == "replan" else None,
                "price": self.price,
                "initial": float(self.open_loop.l2[0]),
                "verified": self.verified,
                "courses": {name: course.to_json() for name, course in self.courses.items()},
            }
        )
        return document


def feedback(
    result: Result, start: Start, by: Method = "riccati", every: int = 1, progress: Progress = silent
) -> Feedback:
    """A result's controls from a wrong start, in open loop and with feedback.

    start: a density as in a problem file, as YAML text or a mapping, or `uniform`, `exact`, `stationary`; see
    `wrong_start`. by: `riccati`, the linear law, or `replan`, which solves what is left before every `every` pieces.
    Raises FeedbackError, LoneDensityError, RiccatiError, and ReferenceError where the reference cannot be built.
    """
    return feedbacks(result, start, (by,), every, progress)[0]


@own_settings()
def feedbacks(
    result: Result, start: Start, methods: Sequence[Method] = METHODS, every: int = 1, progress: Progress = silent
) -> tuple[Feedback, ...]:
    """The same for several ways of feedback, from one start."""
    controls = result.controls
    if controls is None:
        raise FeedbackError(f"{NO_NETWORK}; feedback changes a network's weights")
    methods = methods_of(methods)
    if not 1 <= every <= controls.pieces:
        told = f"must be from 1 to {controls.pieces}, the pieces of these controls (got {every})"
        raise FeedbackError(told, argument="every")
    progress(Step("building the reference"))
    right = Posed.of(result.problem).with_given_pieces
    wrong = started_from(right, start)
    weights = right.network.join(controls.A, controls.W, controls.b)
    try:
        progress(Step("open loop"))
        most = MOST_UNKNOWNS if "riccati" in methods else None
        here = _discretised(right, wrong, weights, controls.times, most)
        loops = {by: _closed(by, here, weights, every, progress) for by in methods}
        kept = _course(right, here.nominal, weights, "nominal", progress)
        opened = _course(wrong, here.tracking, weights, "open loop", progress)
        closed = {by: _course(wrong, here.tracking, played, by, progress) for by, (played, _) in loops.items()}
    except NonFiniteError as error:
        raise FeedbackError(
            f"from this start {error.what} stops being finite in piece {error.piece + 1}; use more "
            "mesh.elements or mesh.steps_per_piece, or more noise"
        ) from None
    words = start if isinstance(start, str) else json.dumps(plain_json(dict(start)), default=str)
    return tuple(
        Feedback(result, words, by, every, kept, opened, course, loops[by][1]) for by, course in closed.items()
    )


def methods_of(names: Sequence[str]) -> tuple[Method, ...]:
    """Ways of feedback by their names, each once. Raises FeedbackError for other names."""
    for name in names:
        if name not in METHODS:
            raise FeedbackError(f"must be one of {', '.join(METHODS)} (got {name!r})", argument="by")
    return tuple(name for name in METHODS if name in names)


@dataclass(frozen=True, eq=False)
class Discretised:
    """The problem from the right start (`nominal`) and from the wrong one (`tracking`), on one discretisation.

    finer: from the wrong start with more elements and steps, on which closed loops are judged. A limit on the error at
    T is a terminal weight in all of them, see `_multiplier`.
    """

    nominal: TrackingProblem
    tracking: TrackingProblem
    finer: TrackingProblem


def _discretised(right: Posed, wrong: Posed, weights: Array, edges: Array, most: int | None = None) -> Discretised:
    """Refined until neither density of these weights depends on it, where that may be; with `most` unknowns."""
    spec = right.problem.mesh

    def nominal(tracking: TrackingProblem) -> TrackingProblem:
        mesh = tracking.mesh
        return replace(tracking, initial=mesh.unit_mass(right.reference.initial_density(mesh.points)))

    def run(tracking: TrackingProblem) -> Array:
        return np.concatenate([Objective(each).stages(weights) for each in (tracking, nominal(tracking))])

    tracking = wrong.on(grid=TimeGrid(edges, spec.first_steps, spec.stages))
    while (better := refined(wrong, tracking, run)) is not None and (most is None or better.operator.size <= most):
        tracking = better
    factor = FINER[tracking.mesh.dimension]
    elements = tuple(int(np.ceil(factor * axis.elements)) for axis in tracking.mesh.axes)
    smaller = replace(tracking.grid, steps_per_piece=2 * tracking.grid.steps_per_piece)
    finer = wrong.on(wrong.mesh(elements), smaller)
    if tracking.end_limit is not None:
        multiplier = _multiplier(nominal(tracking), weights)
        tracking, finer = tracking.pressed(multiplier), finer.pressed(multiplier)
    return Discretised(nominal(tracking), tracking, finer)


def _multiplier(nominal: TrackingProblem, weights: Array) -> float:
    """Of a limit on the error at T: that with which J of the nominal weights is flattest.

    With g the gradient of J and h that of ½‖ρ(T) − p(T)‖², an optimum within the limit has g + λh = 0, λ ≥ 0.
    """
    without, with_one = (Objective(nominal.pressed(each)).value_and_gradient(weights)[1] for each in (0.0, 1.0))
    slope = with_one - without
    return max(0.0, -float(np.sum(without * slope)) / max(float(np.sum(slope**2)), 1e-300))


def _closed(
    by: Method, here: Discretised, weights: Array, every: int, progress: Progress
) -> tuple[Array, float | None]:
    """The weights (K, P) that a closed loop plays, and the price of changes of its law."""
    if by == "replan":
        return replanned(here.tracking, weights, every, progress), None
    progress(Step("computing the feedback law"))
    least = here.nominal.effort or USUAL_EFFORT
    laws = feedback_laws(here.nominal, weights, (0.0, *(least * factor for factor in CAUTION)))
    loops = [(_value(here.finer, played), played, law.price) for law in laws for played in _played(law, here.tracking)]
    value, played, price = min(loops, key=lambda loop: loop[0], default=(np.inf, weights, 0.0))
    if not np.isfinite(value):
        raise FeedbackError("the linear law leads to a density that is not finite; use --by replan")
    return played, price


def _value(tracking: TrackingProblem, weights: Array) -> float:
    """J; inf where the density breaks down."""
    try:
        return float(Objective(tracking).value(weights))
    except NonFiniteError:
        return float("inf")


def _played(law: FeedbackLaw, tracking: TrackingProblem) -> Iterator[Array]:
    """The weights (K, P) that a law plays from the start of a problem; nothing where the density breaks down."""
    played, density = np.array(law.weights), tracking.initial
    try:
        for piece in range(tracking.grid.pieces):
            played[piece] = law.answer(piece, density, played[piece - 1] if piece else None)
            here = section(tracking, piece, piece + 1, density)
            density = Objective(here).stages(played[piece : piece + 1])[-1, -1, -1]
    except NonFiniteError:
        return
    yield played


def _course(posed: Posed, tracking: TrackingProblem, weights: Array, name: str, progress: Progress) -> Course:
    """What these weights do from this start, verified."""
    progress(Step(f"verifying: {name}"))
    stages = Objective(tracking).stages(weights)
    controls = tracking.controls(weights)
    drift = network_drift(tracking.network, controls, posed.reference.horizon)
    refined = refined_density(posed, drift, tracking.mesh, progress)
    target = tracking.targets[-1, -1, -1]
    end = tracking.ends(stages)[-1]
    _, curve = tracking.l2_curve(stages)
    return Course(
        controls=controls,
        times=refined.curve_times,
        l2=refined.errors,
        discrete=float(curve[-1]),
        objective=float(tracking.objective(stages, weights)),
        refinement=refined.refinement,
        change=refined.final.distance(end) / float(np.sqrt(target**2 @ tracking.mesh.mass)),
    )
