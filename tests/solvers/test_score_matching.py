"""Score matching and switching: optimal fits, honest words, and starts for the other solvers."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.solvers import starts
from controlsde.solvers.collocation import solver as collocation
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.drift_fitting import score_matching, switching
from controlsde.solvers.drift_fitting.options import ScoreMatching, Switching, fitting_groups
from controlsde.solvers.drift_fitting.switching import constructive_start
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.options import Shooting
from controlsde.tracking.objective import Objective
from tests.quick import slow

PLANE = {"mesh.elements": [3, 3], "mesh.degree": 5, "controls.pieces": 4}


def fitted_objective(tracking, weights):
    """½ ∫∫ |v − v*|² p dx dt + ½ r ∫ |θ|² dt, straight from its definition."""
    mesh, grid = tracking.mesh, tracking.grid
    density = mesh.to_grid(tracking.targets.reshape(grid.quadrature.size, -1)).reshape(*grid.quadrature.shape, -1)
    total = tracking.regularisation(weights)
    for k, s, i in np.ndindex(grid.quadrature.shape):
        drift = tracking.network.drift(mesh.points, *tracking.network.split(weights[k]))
        error = drift - tracking.exact_drift(float(grid.stage_times[k, s, i]), mesh.points)
        total += 0.5 * grid.quadrature[k, s, i] * float(mesh.weights @ (density[k, s, i] * (error**2).sum(axis=1)))
    return total


def test_score_matching_minimises_the_loss_of_the_drift_not_j(tracking):
    outcome = score_matching.solve(Objective(tracking), ScoreMatching())
    assert outcome.converged
    assert outcome.termination.reason == "converged"
    value = fitted_objective(tracking, outcome.weights)
    for direction in np.random.default_rng(0).standard_normal((6, *outcome.weights.shape)):
        up, down = (fitted_objective(tracking, outcome.weights + step * direction) for step in (1e-4, -1e-4))
        assert min(up, down) > value
        assert abs(up - down) / 2e-4 < 1e-6
    objective = Objective(tracking)
    assert outcome.objective == pytest.approx(objective.value(outcome.weights), rel=1e-12)
    assert np.abs(objective.value_and_gradient(outcome.weights)[1]).max() > 1e-3


@pytest.mark.slow
def test_a_wider_network_tracks_better_by_its_fit(small_tracking):
    errors = []
    for width in (1, 2, 4):
        tracking = small_tracking(**{"network.width": width, "controls.pieces": 16})
        outcome = score_matching.solve(Objective(tracking), ScoreMatching())
        errors.append(tracking.end_error(Objective(tracking).stages(outcome.weights)))
    assert errors[0] > 5 * errors[1]
    assert errors[1] > errors[2]


@pytest.mark.parametrize("kind", [ScoreMatching, Switching])
def test_weights_stay_within_their_bounds_by_the_fit_and_not_by_a_cut(kind, small_tracking):
    bounds = {"A": 0.8, "W": 1.5, "b": 2.5}
    tracking = small_tracking(**{"controls.bounds": bounds, "controls.pieces": 8, "controls.lengths": 0.9})
    solve = score_matching.solve if kind is ScoreMatching else switching.solve
    outcome = solve(Objective(tracking), kind())
    assert (np.abs(outcome.weights) <= tracking.bound * (1 + 1e-12)).all()
    assert (np.abs(outcome.weights) > tracking.bound * (1 - 1e-9)).any()
    assert outcome.converged
    if kind is ScoreMatching:  # a cut would leave a way down
        rng = np.random.default_rng(1)
        for _ in range(20):
            near = outcome.weights + 1e-3 * rng.standard_normal(outcome.weights.shape)
            near = np.clip(near, -tracking.bound, tracking.bound)
            assert fitted_objective(tracking, near) >= fitted_objective(tracking, outcome.weights)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("two-bumps", {"domain.walls": "absorbing"}),
        ("two-bumps", {"network.tangential": True, "network.activation": "relu"}),
        ("circle", {}),
        ("moser-bumps", {}),
        ("jump", {"controls.pieces": 4}),
        ("tilted-bumps", {**PLANE, "network.tangential": True}),
        ("moser-square", PLANE),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
@pytest.mark.parametrize("noise", [slow(0.0), 1.0])
def test_both_solvers_take_every_wall_reference_and_network(name, changes, noise, small_tracking):
    tracking = small_tracking(name, **{"controls.pieces": 4, **changes, "noise": noise})
    for solve, options in (
        (score_matching.solve, ScoreMatching(starts=2, iterations=60)),
        (switching.solve, Switching(starts=2, iterations=60)),
    ):
        outcome = solve(Objective(tracking), options)
        assert np.isfinite(outcome.objective)
        assert outcome.weights.shape == tracking.weight_shape
        assert outcome.converged == (outcome.termination.reason == "converged")


@pytest.mark.slow
def test_switching_keeps_the_number_of_neurons_with_the_least_objective(small_tracking):
    tracking = small_tracking(**{"controls.pieces": 24, "noise": 0.0})
    assert fitting_groups("symmetric", 24) == (2, 3, 4, 6)
    best = switching.solve(Objective(tracking), Switching())
    each = [switching.solve(Objective(tracking), Switching(neurons=count)) for count in (2, 3, 4, 6)]
    assert best.objective == pytest.approx(min(one.objective for one in each), rel=1e-12)
    assert len({round(one.objective, 9) for one in each}) == 4
    assert sorted(one.objective for one in best.others) == pytest.approx(sorted(o.objective for o in each)[1:])


def test_switching_plays_as_many_neurons_as_it_is_asked_to(small_tracking):
    tracking = small_tracking(**{"controls.pieces": 12, "network.width": 2})
    outcome = switching.solve(Objective(tracking), Switching(neurons=6, ordering="symmetric"))
    weights = outcome.weights.reshape(2, 6, -1)
    np.testing.assert_array_equal(weights, weights[:, ::-1])
    assert len(np.unique(weights.reshape(12, -1), axis=0)) == 6
    assert "6 neurons in turns of 2, 2 × 6 pieces, symmetric" in outcome.message
    forward = switching.solve(Objective(tracking), Switching(neurons=6, ordering="forward"))
    assert len(np.unique(forward.weights, axis=0)) == 12


def test_too_few_iterations_are_told_and_are_not_convergence(small_tracking):
    for solve, options in (
        (score_matching.solve, ScoreMatching(starts=1, iterations=1)),
        (switching.solve, Switching(starts=1, iterations=1, neurons=3)),
    ):
        outcome = solve(Objective(small_tracking()), options)
        assert not outcome.converged
        assert outcome.termination.reason == "iterations"
        assert "stop after 1 iterations, with a gradient of" in outcome.message
        assert outcome.gradient_norm > options.tolerance


def test_the_message_says_what_the_fit_leaves(small_tracking):
    tracking = small_tracking(**{"objective.effort": 0.0})
    outcome = score_matching.solve(Objective(tracking), ScoreMatching())
    left, whole = (2 * fitted_objective(tracking, weights) for weights in (outcome.weights, 0 * outcome.weights))
    assert f"the fit leaves {left:.4g} of {whole:.4g}" in outcome.message


def test_given_weights_take_the_place_of_the_first_start(small_tracking):
    tracking = small_tracking()
    for solve, kind in ((score_matching.solve, ScoreMatching), (switching.solve, Switching)):
        first = solve(Objective(tracking), kind())
        brief = kind(starts=1, iterations=3)
        again = solve(Objective(tracking), brief, initial=[first.weights])
        assert again.objective == pytest.approx(first.objective, rel=1e-6)
        assert solve(Objective(tracking), brief).objective != pytest.approx(first.objective, rel=1e-2)


def test_a_keyboard_interrupt_keeps_the_best_so_far(small_tracking):
    def interrupt(step):
        if step.iteration == 2:
            raise KeyboardInterrupt

    for solve, options in ((score_matching.solve, ScoreMatching()), (switching.solve, Switching())):
        outcome = solve(Objective(small_tracking()), options, interrupt)
        assert outcome.interrupted
        assert outcome.termination.reason == "interrupted"
        assert np.isfinite(outcome.objective)
    with pytest.raises(KeyboardInterrupt):
        constructive_start(Objective(small_tracking()), 0, interrupt)


def test_shooting_from_switching_is_no_worse_than_switching(tracking):
    constructed = constructive_start(Objective(tracking), 0)
    value = Objective(tracking).value(constructed)
    every = [
        switching.solve(Objective(tracking), Switching(ordering=ordering, neurons=groups)).objective
        for ordering in ("forward", "symmetric")
        for groups in fitting_groups(ordering, 6)
    ]
    assert value == pytest.approx(min(every), rel=1e-12)
    outcome = shooting.solve(Objective(tracking), Shooting(starts=1, start="switching", iterations=10))
    assert outcome.history[0].objective == pytest.approx(value, rel=1e-12)
    assert outcome.objective < value


def test_switching_is_the_first_of_the_starts_and_the_others_are_random(small_tracking, monkeypatch):
    tracking = small_tracking()
    constructed, *others = starts.starts_from(Objective(tracking), [], 3, 7, "switching")
    np.testing.assert_array_equal(constructed, constructive_start(Objective(tracking), 7))
    np.testing.assert_array_equal(others, starts.random_starts(tracking, 2, 7))
    given = np.zeros(tracking.weight_shape)
    np.testing.assert_array_equal(
        starts.starts_from(Objective(tracking), [given], 2, 7, "switching"), [given, constructed]
    )
    monkeypatch.delattr(starts, "constructive_start")  # where enough is given, nothing is constructed
    np.testing.assert_array_equal(starts.starts_from(Objective(tracking), [given], 1, 7, "switching"), [given])


@pytest.mark.slow
def test_collocation_from_switching_solves_the_same_problem(small_tracking):
    tracking = small_tracking(**{"controls.pieces": 4})
    start = constructive_start(Objective(tracking), 0)
    outcome = collocation.solve(Objective(tracking), Collocation(start="switching"))
    assert outcome.converged
    assert outcome.objective < Objective(tracking).value(start)
    same = collocation.solve(Objective(tracking), Collocation(), initial=[])
    assert not np.array_equal(same.weights, outcome.weights)


def test_controls_that_blow_up_are_reported_as_such(small_tracking):
    tracking = small_tracking()
    tracking = replace(tracking, initial=np.full_like(tracking.initial, np.inf))
    outcome = score_matching.solve(Objective(tracking), ScoreMatching(starts=1))
    assert not outcome.converged
    assert np.isnan(outcome.objective)
    assert outcome.termination.reason == "non-finite"
    assert outcome.message.startswith("the density stopped being finite in piece 1")
