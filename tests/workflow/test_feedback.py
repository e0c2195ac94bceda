"""A wrong start: what is told of it agrees with independent runs, and the loops do what they say."""

import dataclasses
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

import controlsde as cs
from controlsde.controllability.riccati import feedback_laws
from controlsde.problem.lone_density import LoneDensityError
from controlsde.solvers.shooting.trust_region import minimise
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.section import section
from controlsde.workflow import feedback as room
from controlsde.workflow.feedback import FeedbackError, feedback, feedbacks
from controlsde.workflow.replanning import replanned
from controlsde.workflow.wrong_start import started_from

NORMAL = "{kind: mixture, weights: [1], means: [[0]], stds: [1]}"
PROBLEM = """
domain: {{box: [[-6, 6]]}}
reference:
  kind: reversed-diffusion
  horizon: 1
  data: {{kind: mixture, weights: [1], means: [[1]], stds: [0.5]}}
noise: {noise}
controls: {{pieces: 4}}
solver: {{kind: shooting, starts: 4, hops: 4}}
monte_carlo: {{particles: 500, steps_per_piece: 8}}
"""


def problem_of(noise=0.0, **changes):
    from controlsde.problem import parse_problem

    return parse_problem(PROBLEM.format(noise=noise), name="wrong", set=changes)


@pytest.fixture(scope="module")
def results():
    return {noise: cs.solve(problem_of(noise)) for noise in (0.0, 1.0)}


@pytest.fixture(scope="module")
def found(results):
    return {
        noise: dict(zip(("riccati", "replan"), feedbacks(one, NORMAL), strict=True)) for noise, one in results.items()
    }


@pytest.mark.slow
def test_without_noise_feedback_is_essential_and_with_it_of_little_use(found):
    gains = {}
    for noise, loops in found.items():
        for by, one in loops.items():
            assert one.verified
            gains[noise, by] = one.open_loop.l2_final / one.closed_loop.l2_final
            assert one.closed_loop.objective < one.open_loop.objective
    assert gains[0.0, "riccati"] > 3
    assert gains[0.0, "replan"] > 10
    assert gains[1.0, "riccati"] < gains[0.0, "riccati"]
    assert gains[1.0, "replan"] < 0.5 * gains[0.0, "replan"]
    forgotten = {noise: loops["replan"].open_loop.l2_final for noise, loops in found.items()}
    assert forgotten[1.0] < 0.5 * forgotten[0.0]


def test_the_nominal_course_is_the_result_itself(results, found):
    for noise, loops in found.items():
        one = loops["riccati"]
        assert one.nominal.l2_final == pytest.approx(results[noise].tracking.l2_final, rel=1e-2)
        assert one.nominal.l2[0] < 1e-6
        assert_allclose(one.open_loop.controls.A, results[noise].controls.A)


def test_the_open_loop_is_what_the_process_from_that_start_does(results, found):
    """`reference.start: stationary` is the same N(0, 1), by the whole of `evaluate`."""
    for noise, result in results.items():
        problem = problem_of(noise, **{"reference.start": "stationary"})
        judged = cs.evaluate(problem, result.controls)
        opened = found[noise]["riccati"].open_loop
        assert opened.l2_final == pytest.approx(judged.tracking.l2_final, rel=2e-3)
        assert opened.l2[0] == pytest.approx(judged.tracking.l2_initial, rel=2e-3)


def test_the_words_name_the_densities_of_the_problem_file(results):
    posed = Posed.of(results[1.0].problem)
    x = posed.mesh().points
    normal = np.exp(-0.5 * x[:, 0] ** 2) / np.sqrt(2 * np.pi)
    assert_allclose(started_from(posed, NORMAL).reference.initial_density(x), normal, atol=1e-9)
    assert_allclose(started_from(posed, "stationary").reference.initial_density(x), normal, atol=1e-9)
    assert_allclose(started_from(posed, "uniform").reference.initial_density(x), 1 / 12)
    exact = started_from(posed, "exact").reference
    assert_allclose(exact.initial_density(x), posed.reference.density(0.0, x))
    assert_allclose(exact.density(0.4, x), posed.reference.density(0.4, x))
    assert exact.sample_initial(5, np.random.default_rng(0)).shape == (5, 1)


def test_from_the_right_start_feedback_changes_nothing(results):
    for one in feedbacks(results[1.0], "exact"):
        assert_allclose(one.closed_loop.controls.A, one.nominal.controls.A, atol=1e-3)
        assert one.closed_loop.l2_final == pytest.approx(one.nominal.l2_final, rel=1e-2)


def test_weights_stay_within_their_bounds(found):
    for loops in found.values():
        for one in loops.values():
            for part in (one.closed_loop.controls.A, one.closed_loop.controls.W, one.closed_loop.controls.b):
                assert np.abs(part).max() <= 50.0


def test_the_linear_loop_plays_the_law_on_the_nonlinear_density(results, found):
    result, one = results[1.0], found[1.0]["riccati"]
    right = Posed.of(result.problem)
    wrong = started_from(right, NORMAL)
    weights = right.network.join(result.controls.A, result.controls.W, result.controls.b)
    here = room._discretised(right, wrong, weights, result.controls.times)
    nominal, tracking = here.nominal, here.tracking
    (law,) = feedback_laws(nominal, weights, (one.price,))
    played = tracking.flatten(one.closed_loop.controls)
    stages = Objective(tracking).stages(played)
    starts = [tracking.initial, *stages[:-1, -1, -1]]
    for piece, start in enumerate(starts):
        deviation = start - law.starts[piece]
        wanted = weights[piece] - law.gains[piece][:, : len(start)] @ deviation  # without variation nothing else
        assert_allclose(played[piece], np.clip(wanted, -50, 50), atol=1e-9)


def test_a_law_of_the_wrong_sign_makes_it_worse(monkeypatch, results, found):
    def backwards(*arguments, right=room.feedback_laws):
        return tuple(dataclasses.replace(law, gains=-law.gains) for law in right(*arguments))

    monkeypatch.setattr(room, "feedback_laws", backwards)
    broken = feedback(results[0.0], NORMAL)
    assert broken.closed_loop.objective > 3 * found[0.0]["riccati"].closed_loop.objective


def test_replanning_goes_on_to_an_optimum_of_what_is_left(small_tracking):
    tracking = small_tracking(**{"controls.pieces": 4, "noise": 1.0})
    plan = 0.3 * np.random.default_rng(0).standard_normal(tracking.weight_shape)
    played = replanned(tracking, plan, every=3)
    value, gradient = Objective(tracking).value_and_gradient(played)
    assert value < Objective(tracking).value(plan)
    free = np.abs(played) < tracking.bound
    assert np.abs(gradient[free]).max() < 1e-5
    # the plan of later pieces is solved from where the density is
    end = Objective(section(tracking, 0, 3, tracking.initial)).stages(played[:3])[-1, -1, -1]
    left = Objective(section(tracking, 3, 4, end))
    *_, last = minimise(lambda point: left.evaluate(point.reshape(1, -1)), played[3], left.bounds, 200, 1e-6)
    assert_allclose(last.point, played[3], atol=1e-4)


def test_a_price_of_variation_ties_a_new_plan_to_what_was_played(small_tracking):
    """With a dear tie a plan that begins anew keeps to the last weights; the whole J is what is minimised."""
    tracking = small_tracking(**{"controls.pieces": 4, "noise": 1.0, "objective.variation": 0.05})
    plan = 0.3 * np.random.default_rng(0).standard_normal(tracking.weight_shape)
    first = replanned(tracking, plan, every=4)
    again = replanned(tracking, first, every=1)
    assert_allclose(again, first, atol=1e-3)
    assert Objective(tracking).value(again) <= Objective(tracking).value(first) * (1 + 1e-9)


def test_a_plan_is_that_of_the_start_there_is_however_often_it_is_made(results):
    often, once = (feedback(results[1.0], NORMAL, "replan", every) for every in (1, 4))
    assert once.closed_loop.objective == pytest.approx(often.closed_loop.objective, rel=1e-3)


def test_a_limit_at_the_end_becomes_the_terminal_weight_that_met_it():
    limited = cs.solve(problem_of(1.0, **{"objective.terminal_error": 0.008}))
    right = Posed.of(limited.problem)
    weights = right.network.join(limited.controls.A, limited.controls.W, limited.controls.b)
    here = room._discretised(right, right, weights, limited.controls.times)
    nominal, tracking = here.nominal, here.tracking
    assert tracking.end_limit is None
    assert here.finer.time_weight[-1, -1, -1] > here.finer.time_weight[-2, -1, -1] + 1.0
    assert tracking.time_weight[-1, -1, -1] > right.on(tracking.mesh, tracking.grid).time_weight[-1, -1, -1]
    _, gradient = Objective(nominal).value_and_gradient(weights)
    _, without = Objective(right.on(tracking.mesh, tracking.grid)).value_and_gradient(weights)
    assert np.linalg.norm(gradient) < 0.1 * np.linalg.norm(without)


def test_json_has_the_numbers_of_the_contract(found):
    document = json.loads(json.dumps(found[0.0]["riccati"].to_json(), allow_nan=False))
    assert list(document)[:5] == ["noise", "by", "nominal", "open_loop", "closed_loop"]
    assert document["by"] == "riccati"
    assert document["closed_loop"] == document["courses"]["closed_loop"]["l2"][-1]
    assert len(document["courses"]["open_loop"]["t"]) == len(document["courses"]["open_loop"]["l2"])
    assert document["start"] == NORMAL


def test_absorbing_walls_take_mass_and_the_loop_still_helps():
    result = cs.solve(problem_of(1.0, **{"domain.walls": "absorbing"}))
    one = feedback(result, NORMAL, "replan")
    assert one.verified
    assert one.closed_loop.objective < one.open_loop.objective


def test_a_mapping_is_a_start_too(results):
    one = feedback(results[1.0], {"kind": "mixture", "means": [[0.0]], "stds": [1.0]})
    assert json.loads(one.start) == {"kind": "mixture", "means": [[0.0]], "stds": [1.0]}


@pytest.mark.parametrize(
    ("start", "part"),
    [
        ("{kind: mixture, means: [[0, 0]], stds: [1]}", "must hold points of dimension 1"),
        ("{kind: mixture, means: [[0]], stds: [0.001]}", "the mesh"),
        ("{kind: mixture, means: [[5.9]], stds: [1]}", "outside the box"),
        ("nothing", "must be one of"),
    ],
)
def test_a_start_that_cannot_be_is_told_in_a_line(results, start, part):
    with pytest.raises(LoneDensityError, match=part) as caught:
        feedback(results[1.0], start)
    (line,) = caught.value.lines
    assert line.startswith("start")


def test_what_cannot_be_asked_is_told_in_a_line(results):
    with pytest.raises(FeedbackError, match=r"every must be from 1 to 4, the pieces of these controls \(got 5\)"):
        feedback(results[1.0], NORMAL, "replan", every=5)
    with pytest.raises(FeedbackError, match="by must be one of riccati, replan"):
        feedback(results[1.0], NORMAL, "magic")
    without = dataclasses.replace(results[1.0], controls=None)
    with pytest.raises(FeedbackError, match="no network"):
        feedback(without, NORMAL)


def test_a_reference_without_a_forward_process_has_no_stationary_start():
    posed = Posed.of(cs.load_problem("moser-bumps"))
    with pytest.raises(LoneDensityError, match="kind moser has none; give a density"):
        started_from(posed, "stationary")
    x = posed.mesh().points
    assert_allclose(started_from(posed, "exact").reference.initial_density(x), posed.reference.density(0.0, x))
