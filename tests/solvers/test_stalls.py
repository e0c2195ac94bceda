"""A stall at a kink ends the search; a smooth valley, however slowly it is followed, does not."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from controlsde.solvers.outcome import Iteration, Termination
from controlsde.solvers.shooting.multistart import Run
from controlsde.solvers.shooting.trust_region import (
    ROUNDING,
    STALLED_ITERATIONS,
    STALLED_SHARE,
    Iterate,
    _stalls,
    minimise,
)
from controlsde.solvers.starts import starts_from
from controlsde.tracking.objective import Expansion, Objective

TOLERANCE = 1e-6


@dataclass
class Creased:
    """f(x, y) = 1 + ½x² + s |y − c x²|: a crease along a parabola, smooth on either side of it."""

    point: np.ndarray
    slope: float = 1.0
    bend: float = 3.0

    @property
    def _side(self):
        return np.sign(self.point[1] - self.bend * self.point[0] ** 2) or 1.0

    @property
    def value(self):
        x, y = self.point
        return 1 + 0.5 * x**2 + self.slope * abs(y - self.bend * x**2)

    def expand(self):
        x, s = self.point[0], self.slope * self._side
        gradient = np.array([x - 2 * s * self.bend * x, s])
        hessian = np.diag([1 - 2 * s * self.bend, 0.0])
        return Expansion(self.value, gradient, np.eye(2), hessian)


def iterates(evaluate, start, iterations=500):
    start = np.asarray(start, dtype=float)
    return list(minimise(evaluate, start, np.full(start.shape, 100.0), iterations, TOLERANCE))


@pytest.mark.parametrize("start", [(1.0, 0.5), (-2.0, 3.0), (0.7, -4.0)])
def test_a_kink_ends_the_search_although_the_gradient_is_large(start):
    last = iterates(Creased, start)[-1]
    assert last.failure is not None
    assert last.failure.reason in ("stalled", "no-descent")
    assert not last.converged
    assert last.gradient_norm > 0.5
    assert last.number < 100


def test_networks_of_relu_stall_and_what_is_left_to_gain_is_nothing(small_tracking, monkeypatch):
    """All end at a kink. Whether one stalls there, or finds no step down at all, is a matter of rounding."""
    tracking = small_tracking(**{"network.activation": "relu", "network.width": 3, "noise": 0.0, "controls.pieces": 4})
    objective = Objective(tracking)

    def run(start):
        def evaluate(point):
            return objective.evaluate(point.reshape(tracking.weight_shape))

        return list(minimise(evaluate, start.ravel(), tracking.bounds, 300, TOLERANCE))

    starts = starts_from(objective, [], 4, 0)
    runs = [run(start) for start in starts]
    assert all(one[-1].failure in (Termination("stalled"), Termination("no-descent")) for one in runs)
    number = next(number for number, one in enumerate(runs) if one[-1].failure == Termination("stalled"))
    stalled = runs[number]
    assert min(one.gradient_norm for one in stalled[-STALLED_ITERATIONS - 1 :]) > ROUNDING * TOLERANCE
    monkeypatch.setattr("controlsde.solvers.shooting.trust_region.STALLED_SHARE", -1.0)
    patient = run(starts[number])
    assert len(patient) > len(stalled)
    assert patient[-1].value > (1 - 1e-4) * stalled[-1].value
    assert not patient[-1].converged


def test_a_smooth_valley_is_followed_however_slowly_it_falls(small_tracking):
    """Without a price two neurons become a slope of one, weights grow without end, and J falls ever more slowly."""
    changes = {"controls.pieces": 1, "network.width": 2, "objective.effort": 0.0, "noise": 0.0, "mesh.elements": [8]}
    tracking = small_tracking(**changes, **{"mesh.degree": 8})
    objective = Objective(tracking)
    start = starts_from(objective, [], 4, 0)[3]
    run = list(
        minimise(
            lambda point: objective.evaluate(point.reshape(tracking.weight_shape)),
            start.ravel(), tracking.bounds, 200, TOLERANCE,
        )
    )  # fmt: skip
    assert all(one.failure is None for one in run)
    assert run[-1].number == 200
    values, norms = (np.array([getattr(one, name) for one in run]) for name in ("value", "gradient_norm"))
    width = STALLED_ITERATIONS
    still = values[:-width] - values[width:] <= STALLED_SHARE * values[width:]
    steep = np.array([norms[i : i + width + 1].min() > ROUNDING * TOLERANCE for i in range(len(values) - width)])
    assert (still & steep).any()  # it looks like a stall, but for the damping
    assert all(after.value < before.value for before, after in pairwise(run))


STILL = [(1.0 - 1e-9 * number, 1e-2, 1e3) for number in range(STALLED_ITERATIONS + 1)]  # J, gradient norm, damping


@pytest.mark.parametrize(
    ("changed", "stalls"),
    [
        ({}, True),
        ({0: (1.0 + 1e-3, 1e-2, 1e3)}, False),  # J fell
        ({7: (1.0, 1e-5, 1e3)}, False),  # a small gradient on the way: at the limit of rounding, perhaps
        ({7: (1.0, 1e-2, 1e-3)}, False),  # a step in which the model had a say
    ],
)
def test_a_stall_is_a_still_j_with_a_large_gradient_and_damping(changed, stalls):
    recent = [changed.get(number, row) for number, row in enumerate(STILL)]
    assert _stalls(recent, TOLERANCE) == stalls
    assert not _stalls(recent[1:], TOLERANCE)  # too few to tell


def test_what_leads_nowhere_leaves_the_reason_why_a_run_ended():
    end = Iterate(5, np.zeros(1), 1.0, 0.1, False, failure=Termination("stalled"))
    run = Run(end, [Iteration(0, 2.0, 0.1), Iteration(5, 1.0, 0.1)], Termination("stalled"))
    nowhere = Run(end, [Iteration(0, 1.0, 0.1)])
    assert run.followed_by(nowhere).failure == Termination("stalled")
    further = Run(end, [Iteration(0, 1.0, 0.1), Iteration(1, 0.5, 0.1)])
    assert run.followed_by(further).failure is None
    assert run.followed_by(Run(end, [Iteration(0, 1.0, 0.1)], Termination("no-descent"))).failure == Termination(
        "no-descent"
    )
