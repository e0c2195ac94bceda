"""Some pieces of a tracking problem as one of their own: its densities and its J are those of the whole."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from controlsde.tracking.objective import Objective
from controlsde.tracking.section import section, variation_price


def test_sections_in_turn_are_the_whole(any_tracking):
    weights = 0.5 * np.random.default_rng(0).standard_normal(any_tracking.weight_shape)
    whole, density = Objective(any_tracking).stages(weights), any_tracking.initial
    for first, stop in ((0, 2), (2, 3), (3, 6)):
        stages = Objective(section(any_tracking, first, stop, density)).stages(weights[first:stop])
        assert_allclose(stages, whole[first:stop], atol=1e-13)
        density = stages[-1, -1, -1]


def test_their_objectives_add_up_with_what_ties_them(small_tracking):
    tracking = small_tracking(**{"objective.variation": 0.03})
    weights = 0.5 * np.random.default_rng(1).standard_normal(tracking.weight_shape)
    starts = [tracking.initial, *Objective(tracking).stages(weights)[:-1, -1, -1]]
    cuts = ((0, 2), (2, 3), (3, 6))
    parts = sum(Objective(section(tracking, a, b, starts[a])).value(weights[a:b]) for a, b in cuts)
    ties = sum(0.5 * variation_price(tracking, a) * np.sum((weights[a] - weights[a - 1]) ** 2) for a, _ in cuts[1:])
    assert parts + ties == pytest.approx(Objective(tracking).value(weights), rel=1e-12)
    assert variation_price(tracking, 0) == 0.0
    assert variation_price(tracking, 1) == pytest.approx(0.03 / tracking.grid.durations[0])


def test_its_error_at_the_start_is_to_the_reference_then(small_tracking):
    tracking = small_tracking()
    part = section(tracking, 2, 6, tracking.initial)
    times, errors = part.l2_curve(part.targets)
    assert times[0] == tracking.grid.edges[2]
    assert errors[0] == pytest.approx(
        np.sqrt((tracking.initial - tracking.targets[1, -1, -1]) ** 2 @ tracking.mesh.mass)
    )


@pytest.mark.parametrize(("first", "stop"), [(-1, 2), (2, 2), (0, 7)])
def test_no_pieces_are_no_section(small_tracking, first, stop):
    tracking = small_tracking()
    with pytest.raises(ValueError, match="there are 6 pieces"):
        section(tracking, first, stop, tracking.initial)
