"""The certificate: exact drifts pass it, closed forms come out of it, and whatever is wrong fails it."""

import dataclasses
import importlib
import math

import numpy as np
import pytest
from scipy.special import i0

from controlsde.control.controls import Controls
from controlsde.control.drift import FormulaDrift, given_drift
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.problem import load_problem
from controlsde.reference import ReferenceError, build_reference  # noqa: A004
from controlsde.verification.between_nodes import Unseen
from controlsde.verification.certificate import LIMITS, Measurements, MonteCarloEvidence, judge
from controlsde.workflow import solving as pipeline
from controlsde.workflow.solving import evaluate

UNIFORM = {"kind": "uniform"}
FEW = {"monte_carlo.particles": 4000, "monte_carlo.steps_per_piece": 16}


pytestmark = pytest.mark.usefixtures("few_characteristics")


def on_the_unit_interval(expression, **more):
    """A formula drift, tracked against the uniform density on [0, 1] for a unit of time without noise."""
    return load_problem(
        "moser-bumps",
        set={
            "domain.box": [[0, 1]],
            "reference": {"kind": "moser", "from": UNIFORM, "to": UNIFORM, "horizon": 1.0},
            "network.tangential": False,
            "controls.pieces": 2,
            "noise": 0,
            "drift": {"kind": "formula", "expressions": [expression]},
            **FEW,
            **more,
        },
    )


def failed(result):
    return {check.name for check in result.certificate.failed}


@pytest.mark.parametrize(
    ("name", "pieces", "noise"),
    [
        ("two-bumps", 16, 0.0),
        *(pytest.param("two-bumps", 16, noise, marks=pytest.mark.slow) for noise in (0.5, 1.0)),
        *(pytest.param("moser-bumps", 1, noise, marks=pytest.mark.slow) for noise in (0.0, 0.5, 1.0)),
    ],
)
def test_the_exact_drift_tracks_without_error_at_every_noise_and_passes(name, pieces, noise):
    steps = {"monte_carlo.steps_per_piece": 256 // pieces}  # four steps of a single piece are seen by the particles
    chosen = {"drift": "exact", "noise": noise, "controls.pieces": pieces, **FEW, **steps}
    result = evaluate(load_problem(name, set=chosen))
    assert result.verified, failed(result)
    assert result.status == "given"
    assert result.controls is None
    tracking = result.tracking
    assert tracking.l2_sup < 1e-4
    assert tracking.l2_rms <= tracking.l2_sup
    for value in (tracking.tv_final, tracking.kl_final, tracking.w1_final, tracking.h_1_final):
        assert value < 1e-4
    assert tracking.w2_final < 2e-3  # √(1e-6 of mass, a box away): W₂ is the least forgiving to tails
    assert (result.certificate.characteristics_l2_change is None) == (noise > 0)
    assert {check.name for check in result.certificate.checks} >= {"monte_carlo_z", "refined_l2_change", "refinement"}


@pytest.fixture(scope="module")
def weakly_vanishing_drifts():
    """Results for v_n = sin(2πnx)/2πn without noise, by n."""
    patch = pytest.MonkeyPatch()
    patch.setitem(importlib.import_module("controlsde.verification.verifying").CHARACTERISTIC_POINTS, 1, 64)
    results = {n: evaluate(on_the_unit_interval(f"sin({n}*2*pi*x)/({n}*2*pi)")) for n in (1, 2, 4, 8)}
    patch.undo()
    return results


@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_without_noise_vanishing_drifts_leave_the_l2_error_of_a_formula(weakly_vanishing_drifts, n):
    result = weakly_vanishing_drifts[n]
    assert result.verified
    assert result.tracking.l2_final == pytest.approx(math.sqrt(math.cosh(1) - 1), abs=1e-6)
    times, errors = result.fields.curve_times, result.fields.l2
    np.testing.assert_allclose(errors**2, np.cosh(times) - 1, atol=1e-6)
    assert result.tracking.l2_rms == pytest.approx(math.sqrt(math.sinh(1) - 1), rel=0.03)  # trapezia of a few outputs


def test_without_noise_vanishing_drifts_do_vanish_in_wasserstein(weakly_vanishing_drifts):
    counts = np.array(list(weakly_vanishing_drifts))
    w2 = np.array([result.tracking.w2_final for result in weakly_vanishing_drifts.values()])
    w1 = np.array([result.tracking.w1_final for result in weakly_vanishing_drifts.values()])
    assert np.polyfit(np.log(counts), np.log(w2), 1)[0] == pytest.approx(-1, abs=1e-3)
    # n = 1 from the quantile map: tan πQ = e tan πu on [0, ½], twice over
    u = (np.arange(200_000) + 0.5) / 400_000
    gap = np.arctan(math.e * np.tan(np.pi * u)) / np.pi - u
    np.testing.assert_allclose(w2 * counts, math.sqrt(np.mean(gap**2)), rtol=1e-4)
    np.testing.assert_allclose(w1 * counts, np.mean(np.abs(gap)), rtol=1e-4)


@pytest.mark.slow
def test_with_noise_the_same_drift_settles_at_its_bessel_formula():
    diffusivity = 0.02
    result = evaluate(
        on_the_unit_interval(
            "sin(2*pi*x)/(2*pi)",
            noise=1,
            **{"reference.diffusivity": diffusivity, "reference.horizon": 16, "monte_carlo.steps_per_piece": 128},
        )
    )
    ratio = 1 / ((2 * math.pi) ** 2 * diffusivity)
    assert result.tracking.l2_final == pytest.approx(math.sqrt(i0(2 * ratio) / i0(ratio) ** 2 - 1), abs=1e-5)
    assert result.verified, failed(result)


def test_a_drift_that_only_names_time_gives_what_a_constant_one_gives():
    # the one goes through matrix exponentials, the other through the integrator for drifts that vary in time
    constant, varying = on_the_unit_interval("sin(2*pi*x)/(2*pi)"), on_the_unit_interval("sin(2*pi*x)/(2*pi) + 0*t")
    reference = build_reference(constant.reference, constant.domain)
    edges = np.array([0.0, 1.0])
    assert given_drift(constant, reference, edges).constant
    assert not given_drift(varying, reference, edges).constant
    first, second = evaluate(constant), evaluate(varying)
    assert second.verified
    np.testing.assert_allclose(second.fields.density[-1], first.fields.density[-1], atol=1e-6)


def test_a_drift_into_a_wall_with_noise_settles_in_the_exponential_layer():
    rate = 1.5 / 0.2
    result = evaluate(
        on_the_unit_interval(
            "1.5",
            noise=1,
            **{
                "reference.diffusivity": 0.2,
                "reference.horizon": 3,
                "monte_carlo.steps_per_piece": 150,
                "monte_carlo.particles": 1000,
            },
        )
    )
    (x,) = result.fields.axes
    layer = rate * np.exp(rate * x) / math.expm1(rate)
    np.testing.assert_allclose(result.fields.density[-1], layer, atol=1e-5)
    exact = math.sqrt(rate / 2 / math.tanh(rate / 2) - 1)  # ∫ layer² = (rate/2) coth(rate/2)
    assert result.tracking.l2_final == pytest.approx(exact, abs=1e-4)
    assert result.verified, failed(result)


def test_particles_with_too_large_steps_are_noticed():
    more = {"reference.diffusivity": 0.2, "reference.horizon": 8, "noise": 1, "monte_carlo.particles": 20_000}
    result = evaluate(on_the_unit_interval("8*sin(4*pi*x)", **more))
    assert {"monte_carlo_z"} <= failed(result) <= {"monte_carlo_z", "monte_carlo_modes"}


def test_a_mesh_too_coarse_on_purpose_fails_by_its_change_when_refined():
    result = evaluate(
        on_the_unit_interval(
            "2*sin(4*pi*x)",
            noise=1,
            **{"reference.diffusivity": 0.02, "mesh.elements": [2], "mesh.degree": 4},
        )
    )
    assert not result.verified
    assert "refined_l2_change" in failed(result)
    assert abs(result.discrete.l2_final - result.tracking.l2_final) > 0.1  # what the user would have believed


@pytest.mark.parametrize(("strength", "enough"), [(1, True), (5, False), (20, False)])
def test_strong_controls_on_three_elements_fail_when_refined(strength, enough):
    mesh = {"mesh.elements": [3], "mesh.steps_per_piece": 2, "controls.pieces": 4, "network.tangential": True}
    signs = np.array([1.0, -1.0, 1.0, -1.0])[:, None, None]  # gather, spread, gather, spread
    gathering = Controls(strength * np.ones((4, 1, 1)), strength * signs, np.zeros((4, 1)), np.linspace(0, 1.5, 5))
    result = evaluate(load_problem("two-bumps", set={**FEW, **mesh}), gathering)
    assert result.verified == enough
    assert ("refined_l2_change" in failed(result)) != enough


@pytest.mark.parametrize("noise", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
def test_the_exact_drift_on_a_circle_tracks_without_error_and_passes(noise):
    result = evaluate(load_problem("circle", set={"drift": "exact", "noise": noise, "controls.pieces": 2, **FEW}))
    assert result.verified, failed(result)
    assert result.tracking.l2_sup < 1e-6
    assert result.tracking.h_1_final < 1e-6
    assert result.tracking.w1_final is None  # not between walls
    assert result.tracking.w2_final is None


def open_walls(noise, expression, diffusivity=0.5):
    more = {"domain.walls": "absorbing", "reference.diffusivity": diffusivity, "monte_carlo.steps_per_piece": 200}
    return evaluate(on_the_unit_interval(expression, noise=noise, **more))


def test_between_absorbing_walls_the_particles_left_are_the_mass_left():
    result = open_walls(1.0, "0", 0.05)
    odd = np.pi * np.arange(1, 99, 2)
    left = float(np.sum(8 / odd**2 * np.exp(-(odd**2) * 0.05)))
    (x,) = result.fields.axes
    assert np.trapezoid(result.fields.density[-1], x) == pytest.approx(left, abs=1e-3)  # trapezia of nodes
    error = math.sqrt(left * (1 - left) / FEW["monte_carlo.particles"])
    assert abs(result.certificate.monte_carlo.alive_fraction - left) < 4 * error
    assert "mass_error" not in {check.name for check in result.certificate.checks}
    assert result.verified, failed(result)


@pytest.mark.slow
def test_where_all_particles_die_they_agree_with_a_density_that_vanishes():
    result = open_walls(1.0, "20")
    assert result.certificate.monte_carlo.alive_fraction == 0.0
    assert result.verified, failed(result)
    assert result.tracking.l2_final == pytest.approx(1, abs=1e-3)  # the reference, and nothing to track it


@dataclasses.dataclass(frozen=True, eq=False)
class OtherForParticles(FormulaDrift):
    """Values for the mesh, and values larger by a tenth for the particles."""

    def torch_values(self, piece, t, x):
        return 1.1 * super().torch_values(piece, t, x)


@pytest.mark.parametrize("honest", [pytest.param(True, marks=pytest.mark.slow), False])
def test_particles_notice_a_density_that_is_not_theirs(monkeypatch, honest):
    problem = on_the_unit_interval("0.3*sin(2*pi*x)", noise=1, **{"reference.diffusivity": 0.02})
    problem = problem.model_copy(
        update={"monte_carlo": problem.monte_carlo.model_copy(update={"particles": 40_000, "steps_per_piece": 64})}
    )

    def drift(problem, reference, edges):
        kind = FormulaDrift if honest else OtherForParticles
        return kind(given_drift(problem, reference, edges).formulas, edges)

    monkeypatch.setattr(pipeline, "given_drift", drift)
    result = evaluate(problem)
    assert result.verified == honest
    if not honest:
        assert failed(result) <= {"monte_carlo_z", "monte_carlo_modes"}
        assert abs(result.certificate.monte_carlo.z) > LIMITS["monte_carlo_z"]


def test_the_particles_error_lies_within_its_stated_error_of_the_mesh(weakly_vanishing_drifts):
    for result in weakly_vanishing_drifts.values():
        evidence = result.certificate.monte_carlo
        assert abs(evidence.l2_final - result.tracking.l2_final) < 4 * evidence.l2_final_se
        assert evidence.l2_final_se < 0.1
        assert evidence.alive_fraction == 1.0


GOOD = {
    "mass_error": 1e-12,
    "negative_mass": 0.0,
    "resolution": 1e-3,
    "refined_l2_change": 1e-3,
    "refinement": 1e-4,
    "target_mass": 1e-4,
    "target_change": 1e-2,
    "characteristics_l2_change": 1e-3,
    "monte_carlo": MonteCarloEvidence(1000, 0.1, 0.01, -3.9, 1.0, 1.0, 0.0, 0.0, "cpu", "numba"),
    "gradient_norm": None,
    "nodes": 10,
}


def test_good_values_pass_and_negative_z_counts_by_its_size():
    assert judge(Measurements(**GOOD), closed=True).passed
    worse = MonteCarloEvidence(1000, 0.1, 0.01, -4.1, 1.0, 1.0, 0.0, 0.0, "cpu", "numba")
    certificate = judge(Measurements(**{**GOOD, "monte_carlo": worse}), closed=True)
    assert [check.name for check in certificate.failed] == ["monte_carlo_z"]


@pytest.mark.parametrize("name", [name for name in LIMITS if not name.startswith("monte_carlo")])
@pytest.mark.parametrize("share", [1.0, 1.01, math.nan, math.inf])
def test_each_value_passes_up_to_its_limit_and_never_when_no_number(name, share):
    certificate = judge(Measurements(**{**GOOD, name: share * LIMITS[name]}), closed=True)
    assert [check.name for check in certificate.failed] == ([] if share == 1.0 else [name])


def test_what_is_lost_at_the_start_is_judged_more_strictly_without_noise():
    lost = Measurements(**GOOD, start_change=0.1)
    assert judge(lost, closed=True).passed
    assert [check.name for check in judge(lost, closed=True, noisy=False).failed] == ["start_change"]


def test_a_z_that_is_no_number_fails():
    nothing = MonteCarloEvidence(1000, math.nan, math.nan, math.nan, math.nan, 0.0, 0.0, 0.0, "cpu", "numba")
    names = [check.name for check in judge(Measurements(**{**GOOD, "monte_carlo": nothing}), closed=True).failed]
    assert names == ["monte_carlo_z", "monte_carlo_modes"]


def test_open_walls_may_lose_mass_and_what_was_not_measured_is_not_judged():
    open_ones = {"mass_error": 0.7, "characteristics_l2_change": None, "monte_carlo": None}
    certificate = judge(Measurements(**{**GOOD, **open_ones}), closed=False)
    assert certificate.passed
    assert {check.name for check in certificate.checks} == {
        "negative_mass",
        "resolution",
        "refined_l2_change",
        "refinement",
        "target_mass",
        "target_change",
    }


@pytest.mark.parametrize("low", [*(pytest.param(one, marks=pytest.mark.slow) for one in (0.0, 10_000.0)), 1_000_000.0])
def test_particles_agree_with_the_mesh_wherever_the_box_lies(low):
    more = {
        "domain.box": [[low, low + 1]],
        "reference.diffusivity": 0.2,
        "noise": 1,
        "monte_carlo.particles": 100_000,
        "monte_carlo.steps_per_piece": 64,
    }
    result = evaluate(on_the_unit_interval(f"sin(pi*(x - {low:.0f}))", **more))
    assert result.verified, failed(result)


@pytest.mark.parametrize("elements", [[2], [4]])
def test_between_absorbing_walls_no_mass_is_lost_before_the_first_step(elements):
    more = {
        "domain.walls": "absorbing",
        "reference.diffusivity": 0.1,
        "noise": 1,
        "mesh.elements": elements,
        "monte_carlo.particles": 2_000,
    }
    result = evaluate(on_the_unit_interval("0*x", **more))
    odd = np.arange(1, 200, 2)
    left = np.sum(8 / (odd * np.pi) ** 2 * np.exp(-0.1 * (odd * np.pi) ** 2))
    (x,) = result.fields.axes
    assert np.trapezoid(result.fields.density[-1], x) == pytest.approx(left, rel=2e-3)  # of the trapezoidal rule
    peak = np.sum(4 / (odd * np.pi) * np.sin(odd * np.pi / 2) * np.exp(-0.1 * (odd * np.pi) ** 2))
    assert result.fields.density[-1][np.argmin(np.abs(x - 0.5))] == pytest.approx(peak, rel=1e-4)


@pytest.mark.parametrize("pieces", [1, 3, pytest.param(16, marks=pytest.mark.slow)])
def test_the_error_over_time_does_not_depend_on_the_pieces(pieces):
    # ρ = p + c e^{-Dπ²t} cos πx: the mean square over time is known
    more = {
        "noise": 1,
        "reference.diffusivity": 2.0,
        "monte_carlo.particles": 2_000,
        "mesh.elements": [4],
        "mesh.degree": 8,
    }
    start = {"kind": "formula", "expression": "1 + 0.5*cos(pi*x)"}
    rate = 2 * 2.0 * np.pi**2
    problem = on_the_unit_interval("0*x", **more, **{"controls.pieces": pieces, "mesh.steps_per_piece": 16})
    document = {**problem.model_dump(by_alias=True, exclude_none=True)}
    document["reference"] = {"kind": "moser", "from": start, "to": start, "diffusivity": 2.0}
    result = evaluate(type(problem).model_validate(document))
    # ‖ρ − p‖ = c (1 − e^{-Dπ²t})/√2 for a reference that stays where it began
    mean = 0.5 * 0.25 * (1 - 4 * (1 - np.exp(-rate / 2)) / rate + (1 - np.exp(-rate)) / rate)
    assert result.tracking.l2_rms == pytest.approx(np.sqrt(mean), rel=1e-3)


@pytest.mark.parametrize("std", [pytest.param(0.02, marks=pytest.mark.slow), 0.005, 1e-6])
def test_a_component_too_narrow_for_the_mesh_is_never_certified(std):
    more = {"means": [-1.52, 1.5], "stds": [std, 0.3], "weights": [0.4, 0.6]}
    problem = load_problem(
        "two-bumps",
        set={
            "mesh": {},
            "drift": "exact",
            "noise": 1,
            **FEW,
            "reference.data": {"kind": "mixture", **more},
        },
    )
    try:
        result = evaluate(problem)
    except ReferenceError as error:
        assert "mesh.elements" in str(error)  # noqa: PT017 - either is right
    else:
        assert not result.verified


def test_a_mesh_that_blew_up_does_not_agree_with_the_next_one():
    """What is not a number is no change of zero, and ends no search for a finer mesh."""
    problem = load_problem("two-bumps", set={**FEW, "noise": 0.5, "mesh.elements": [8], "controls.pieces": 2})
    drift = {"kind": "formula", "expressions": ["2 + where(x > 4.9999, -2e4, 0)"]}
    document = {**problem.model_dump(by_alias=True, exclude_none=True), "drift": drift}
    result = evaluate(type(problem).model_validate(document))
    assert math.isnan(result.tracking.l2_final)
    assert not next(check for check in result.certificate.checks if check.name == "refinement").passed


def test_a_density_that_blows_up_is_not_certified_and_has_no_distances():
    problem = load_problem("two-bumps", set={**FEW, "noise": 0, "mesh.elements": [8], "controls.pieces": 2})
    drift = {"kind": "formula", "expressions": ["1e5*sin(20*x)"]}
    document = {**problem.model_dump(by_alias=True, exclude_none=True), "drift": drift}
    result = evaluate(type(problem).model_validate(document))
    assert not result.verified
    assert {"mass_error", "negative_mass", "resolution"} <= failed(result)
    assert math.isnan(result.tracking.l2_final)
    assert result.tracking.w2_final is None
    assert result.to_json()["tracking"]["l2_final"] is None


@pytest.mark.parametrize("apart", [0.3, pytest.param(0.8, marks=pytest.mark.slow)])
def test_the_exact_drift_of_a_displacement_arrives_without_error_and_passes(apart):
    ends = {
        "from": {"means": [-1], "stds": [0.6]},
        "to": {"weights": [0.4, 0.6], "means": [-apart, apart], "stds": [0.5, 0.5]},
    }
    reference = {
        "kind": "displacement",
        "diffusivity": 0.5,
        **{key: {"kind": "mixture", **end} for key, end in ends.items()},
    }
    more = {"domain.box": [[-4, 4]], "mesh": {"elements": [12], "steps_per_piece": 8}, "controls.pieces": 1}
    result = evaluate(
        load_problem("moser-bumps", set={**FEW, **more, "noise": 1, "drift": "exact", "reference": reference})
    )
    assert result.verified, failed(result)
    assert result.tracking.l2_final < 1e-5
    assert result.tracking.l2_sup < 1e-3  # half-way, where the mass parts


SCHEDULES = {
    "vp formula": ({"kind": "vp", "schedule": "0.2 + 3*s^2", "sigma": 0.7}, lambda s: 0.49 * (0.2 + 3 * s**2)),
    "ve geometric": (
        {"kind": "ve", "sigma_min": 0.1, "sigma_max": 1.0},
        lambda s: 0.01 * math.log(10) * 100**s,  # σσ̇
    ),
}


def under_a_schedule(forward, drift, **more):
    """A schedule's reference on [-7, 7] from a Gaussian, with a given drift for evaluation."""
    data = {"kind": "mixture", "means": [0.6], "stds": [0.5]}
    reference = {"kind": "reversed-diffusion", "forward": forward, "horizon": 1.0, "data": data}
    settings = {"domain.box": [[-7, 7]], "mesh": {}, "controls.pieces": 4, "reference": reference, "drift": drift}
    return load_problem("two-bumps", set={**settings, "monte_carlo.steps_per_piece": 64, **more})


@pytest.mark.parametrize("name", ["vp formula", pytest.param("ve geometric", marks=pytest.mark.slow)])
def test_a_linear_drift_under_a_schedule_has_the_known_gaussian(name):
    # dX = -a(X - c) dt + √(2ηD₀(1 - t)) dW from N(m, v): the variance is e^{-2at}v + 2η∫e^{-2a(t-r)}D₀(1 - r) dr
    forward, diffusivity = SCHEDULES[name]
    a, c, noise = 1.3, 0.4, 0.8
    drift = {"kind": "formula", "expressions": [f"-{a}*(x - {c})"]}
    problem = under_a_schedule(forward, drift, noise=noise, **{"monte_carlo.particles": 100_000})
    start = build_reference(problem.reference, problem.domain)
    grid = np.linspace(-7, 7, 4001)
    weight = start.initial_density(grid[:, None])
    weight /= weight.sum()
    mean, square = weight @ grid, weight @ grid**2
    r = np.linspace(0, 1, 200_001)
    gained = np.trapezoid(2 * noise * np.exp(-2 * a * (1 - r)) * diffusivity(1 - r), r)
    variance = math.exp(-2 * a) * (square - mean**2) + gained
    centre = c + math.exp(-a) * (mean - c)
    result = evaluate(problem)
    assert result.verified, failed(result)
    (x,) = result.fields.axes
    expected = np.exp(-((x - centre) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    np.testing.assert_allclose(result.fields.density[-1], expected, atol=2e-4 * expected.max())
    assert abs(result.certificate.monte_carlo.z) < 4
    assert abs(result.certificate.monte_carlo.z_modes) < 4


@pytest.mark.parametrize(
    ("forward", "noise"),
    [
        ("vp", 0.0),
        pytest.param({"kind": "ve", "schedule": "linear"}, 1.0, marks=pytest.mark.slow),
        pytest.param({"kind": "formula", "drift": "-x^3"}, 1.0, marks=pytest.mark.slow),
    ],
)
def test_the_exact_drift_of_other_forward_processes_arrives_without_error(forward, noise):
    more = {"monte_carlo.particles": 20_000, "mesh": {"elements": [24], "steps_per_piece": 8}, "noise": noise}
    box = [[-3, 3]] if isinstance(forward, dict) and forward["kind"] == "formula" else [[-7, 7]]
    result = evaluate(under_a_schedule(forward, "exact", **{**more, "domain.box": box}))
    assert result.verified, failed(result)
    assert result.tracking.l2_sup < 2e-3


@pytest.mark.slow
def test_particles_that_ignore_the_schedule_are_found_out(monkeypatch):
    verify = importlib.import_module("controlsde.verification.verifying")
    honest = verify.experiment_of

    def steady(*arguments):
        experiment = honest(*arguments)
        return dataclasses.replace(experiment, diffusivity=Steady(experiment.diffusivity.mean(0.0, 1.0)))

    monkeypatch.setattr(verify, "experiment_of", steady)
    result = evaluate(under_a_schedule("vp", "exact", **{"monte_carlo.particles": 20_000}))
    assert "monte_carlo_z" in failed(result) or "monte_carlo_modes" in failed(result)


def test_what_is_not_seen_is_told_with_the_number_of_the_certificate(monkeypatch):
    """N(0, 0.6²) pressed to a std of 0.6/e² has e times the norm of a target that stays as it was."""
    missed = Unseen(0.03, np.array([0.5]), 0.25, brief=False)
    monkeypatch.setattr(importlib.import_module("controlsde.verification.sight"), "unseen", lambda *_: missed)
    ends = {"kind": "mixture", "means": [0], "stds": [0.6]}
    settings = {
        "domain.box": [[-4, 4]],
        "reference": {"kind": "displacement", "from": ends, "to": ends, "horizon": 1.0, "diffusivity": 1.0},
        "noise": 0,
        "controls.pieces": 1,
        "drift": {"kind": "formula", "expressions": ["-2*x"]},
        **FEW,
    }
    result = evaluate(load_problem("two-bumps", set=settings))
    found = result.certificate.drift_unseen
    assert found == pytest.approx(0.03 * math.e, rel=1e-3)
    assert "drift_unseen" in [check.name for check in result.certificate.failed]
    assert any(f"by {found:.2g} of itself" in one.evidence for one in result.diagnosis)
