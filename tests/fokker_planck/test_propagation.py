"""The differentiable propagation: exact gradients, both stage solvers, any torch loss."""

import copy
import pickle

import numpy as np
import pytest
import torch

from controlsde.compiled.library import library
from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.assembly import MatrixLayout
from controlsde.fokker_planck.diffusivity import Varying, step_means
from controlsde.fokker_planck.evolution import evolve
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.fokker_planck.propagation import Propagator

CASES = {
    "1-D reflecting": (((-2.0, 2.0),), "reflecting", (4,), 0.5),
    "1-D noise-free": (((-2.0, 2.0),), "reflecting", (4,), 0.0),
    "2-D periodic": (((0.0, 1.0), (0.0, 2.0)), "periodic", (2, 3), 0.2),
    "2-D absorbing": (((0.0, 1.0), (0.0, 2.0)), "absorbing", (2, 2), 0.1),
    "2-D outflow": (((0.0, 1.0), (0.0, 2.0)), "absorbing", (2, 2), 0.0),
}


VARYING = np.array([[1.7, 0.4], [0.2, 0.9], [1.1, 1.1]])  # factors of D in three pieces of two steps


def setting(case, stages=3, pieces=3, factors_of_steps=None):
    box, walls, elements, diffusivity = CASES[case]
    operator = Operator.build(Mesh.build(box, walls, elements, 5), diffusivity)
    rng = np.random.default_rng(1)
    x = operator.drift_points
    waves = rng.normal(size=(pieces, x.shape[1], 2))
    drift = np.stack([np.stack([a * np.sin(2 * x[:, 0]) + b for a, b in wave], axis=1) for wave in waves])
    initial = 1.0 + 0.3 * rng.normal(size=operator.size)
    of_steps = None if factors_of_steps is None else diffusivity * factors_of_steps
    return operator, drift, initial, Propagator(operator, np.full(pieces, 0.2), 2, stages, diffusivity=of_steps)


@pytest.fixture(params=["banded", "dense", "condensed", "compiled"])
def factors(request, monkeypatch):
    """How the stage equations are solved, whatever the size: in a band (in more than one dimension condensed), …"""
    if request.param != "compiled":
        monkeypatch.setattr("controlsde.fokker_planck.sweeps.library", lambda: None)
    elif library() is None:
        pytest.skip("the compiled loops are not installed")
    limit = dict.fromkeys((1, 2, 3), 10_000 if request.param == "dense" else 0)
    monkeypatch.setattr("controlsde.fokker_planck.sweeps.DENSE_LIMIT", limit)
    monkeypatch.setattr("controlsde.fokker_planck.assembly.BAND_SHARE", 1.0 if request.param == "banded" else 0.0)
    return request.param


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_stages_equal_those_of_the_plain_radau_scheme(case, stages, factors):
    operator, drift, initial, propagator = setting(case, stages)
    if operator.mesh.dimension == 1:
        assert (MatrixLayout.banded(operator) is not None) is (factors == "banded")
    assert propagator.dense is (factors == "dense")
    result = propagator(torch.from_numpy(drift), torch.from_numpy(initial)).numpy()
    rectified = operator.rectify(drift)
    plain = evolve(
        operator, lambda t: rectified[min(int((t - 1e-9) / 0.2), 2)], initial, np.linspace(0, 0.6, 7), stages
    )
    np.testing.assert_allclose(result.reshape(plain.shape), plain, atol=1e-10)


@pytest.mark.parametrize("case", ["1-D reflecting", "2-D absorbing"])
def test_every_step_has_its_own_diffusivity(case, factors):
    operator, drift, initial, propagator = setting(case, factors_of_steps=VARYING)
    assert propagator.dense is (factors == "dense")
    result = propagator(torch.from_numpy(drift), torch.from_numpy(initial)).numpy()
    rectified = operator.rectify(drift)
    plain = evolve(
        operator,
        lambda t: rectified[min(int((t - 1e-9) / 0.2), 2)],
        initial,
        np.linspace(0, 0.6, 7),
        diffusivity=lambda t: operator.diffusivity * VARYING.ravel()[min(int((t - 1e-9) / 0.1), 5)],
    )
    np.testing.assert_allclose(result.reshape(plain.shape), plain, atol=1e-10)


@pytest.mark.usefixtures("factors")
def test_equal_diffusivities_within_pieces_share_factors_and_change_nothing():
    factors = np.broadcast_to([[0.3], [1.0], [2.0]], (3, 2))
    _, drift, initial, shared = setting("1-D reflecting", factors_of_steps=factors)
    nearly = factors * [1.0, 1.0 + 1e-13]
    apart = setting("1-D reflecting", factors_of_steps=nearly)[-1]
    assert (shared.blocks, apart.blocks) == (1, 2)
    one, other = (p(torch.from_numpy(drift), torch.from_numpy(initial)).numpy() for p in (shared, apart))
    np.testing.assert_allclose(one, other, atol=1e-10)


def test_a_diffusivity_that_vanishes_now_and_then_is_refused():
    with pytest.raises(ValueError, match="zero only where"):
        setting("1-D reflecting", factors_of_steps=np.array([[1.0, 0.0]] * 3))


@pytest.mark.usefixtures("factors")
@pytest.mark.parametrize("factors_of_steps", [None, VARYING], ids=["steady", "varying"])
@pytest.mark.parametrize("case", CASES)
def test_the_gradient_of_any_loss_is_exact(case, factors_of_steps):
    _, drift, initial, propagator = setting(case, factors_of_steps=factors_of_steps)
    rng = np.random.default_rng(2)
    probe = torch.from_numpy(rng.normal(size=(3, 2, 3, len(initial))))

    def loss(drift, initial):
        stages = propagator(drift, initial)
        return (probe * stages).sum() + torch.logsumexp(stages[-1, -1, -1], 0) ** 2

    v = torch.from_numpy(drift).requires_grad_()
    start = torch.from_numpy(initial).requires_grad_()
    loss(v, start).backward()
    for parameter, other in ((v, lambda z: loss(z, start.detach())), (start, lambda z: loss(v.detach(), z))):
        direction = torch.from_numpy(rng.normal(size=tuple(parameter.shape)))
        base = parameter.detach()
        e = 1e-3
        with torch.no_grad():
            f = {k: float(other(base + k * e * direction)) for k in (-2, -1, 1, 2)}
        central = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * e)
        assert float((parameter.grad * direction).sum()) == pytest.approx(central, rel=1e-7)


def test_mass_is_conserved_to_rounding_through_all_pieces():
    operator, drift, initial, propagator = setting("2-D periodic")
    stages = propagator(torch.from_numpy(drift), torch.from_numpy(initial)).numpy()
    mass = stages @ operator.mesh.mass
    np.testing.assert_allclose(mass, operator.mesh.mass @ initial, rtol=1e-12)


@pytest.mark.usefixtures("factors")
@pytest.mark.parametrize("factors_of_steps", [None, VARYING], ids=["steady", "varying"])
def test_a_drift_that_is_not_finite_is_refused_with_its_piece(factors_of_steps):
    _, drift, initial, propagator = setting("1-D reflecting", factors_of_steps=factors_of_steps)
    drift[1, 3, 0] = np.nan
    with pytest.raises(NonFiniteError) as error:
        propagator(torch.from_numpy(drift), torch.from_numpy(initial))
    assert error.value.piece == 1


@pytest.mark.usefixtures("factors")
@pytest.mark.parametrize("case", ["1-D reflecting", "2-D periodic"])
def test_what_has_the_wrong_shape_is_refused(case):
    _, drift, initial, propagator = setting(case)
    given = torch.from_numpy(drift), torch.from_numpy(initial)
    for wrong in ((given[0][:, 1:], given[1]), (given[0][:2], given[1]), (given[0], given[1][1:])):
        with pytest.raises(ValueError, match="must have shape"):
            propagator.forward(*wrong)


@pytest.mark.parametrize("case", ["1-D reflecting", "2-D periodic"])
def test_single_precision_is_converted(case):
    _, drift, initial, propagator = setting(case)
    half = torch.from_numpy(drift).float(), torch.from_numpy(initial).float()
    expected = propagator.forward(half[0].double(), half[1].double()).stages
    assert torch.equal(propagator.forward(*half).stages, expected)


@pytest.mark.usefixtures("factors")
@pytest.mark.parametrize("case", ["1-D reflecting", "2-D periodic"])
def test_a_propagator_that_has_been_used_can_be_copied_and_sent(case):
    _, drift, initial, propagator = setting(case)
    given = torch.from_numpy(drift), torch.from_numpy(initial)
    stages = propagator(*given)
    assert torch.equal(copy.deepcopy(propagator)(*given), stages)
    assert torch.equal(pickle.loads(pickle.dumps(propagator))(*given), stages)  # noqa: S301 - our own


@pytest.mark.usefixtures("factors")
@pytest.mark.parametrize("case", ["1-D reflecting", "2-D periodic"])
def test_a_drift_that_is_changed_after_the_sweep_changes_no_gradient(case):
    _, drift, initial, propagator = setting(case)
    found = []
    for spoil in (False, True):
        v = torch.from_numpy(drift).clone().requires_grad_()
        stages = propagator(v, torch.from_numpy(initial))
        if spoil:
            with torch.no_grad():
                v.data.mul_(0.0)
        stages[-1, -1, -1].square().sum().backward()
        found.append(v.grad)
    assert torch.equal(*found)


def test_memory_is_linear_in_the_number_of_steps():
    operator, drift, initial, _ = setting("1-D reflecting")
    saved = []
    for steps in (10, 20, 40):
        propagator = Propagator(operator, np.full(3, 0.2), steps)
        v = torch.from_numpy(drift).requires_grad_()
        held = 0

        def count(tensor):
            nonlocal held
            held += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            propagator(v, torch.from_numpy(initial))
        saved.append(held - len(initial))
    assert saved == [10 * 9 * len(initial), 20 * 9 * len(initial), 40 * 9 * len(initial)]


GROWING = Varying(lambda t: np.exp(3 * t), lambda t: np.exp(3 * t) / 3, 0.1)


def error_at_the_end(steps, strength, how):
    """‖ρ − ρ_fine‖ after time 0.8 with D(t) = 0.1 e^{3t}: by means over steps, or by values at the stages."""
    mesh = Mesh.build(((-2.0, 2.0),), "reflecting", (6,), 6)
    operator = Operator.build(mesh, GROWING.mean(0.0, 0.8))
    drift = strength * np.sin(np.pi * mesh.points)  # nothing presses on a wall, where a layer would change with D
    initial = np.exp(-(mesh.points[:, 0] ** 2))

    def at_stages(count):
        return evolve(operator, lambda _: drift, initial, np.linspace(0, 0.8, count + 1), diffusivity=GROWING.at)[
            -1, -1
        ]

    def by_means(count):
        means = step_means(GROWING, np.array([0.0, 0.8]), count)
        propagate = Propagator(operator, [0.8], count, diffusivity=means)
        return propagate(torch.from_numpy(drift[None]), torch.from_numpy(initial)).numpy()[-1, -1, -1]

    value = at_stages(steps) if how == "stages" else by_means(steps)
    return float(np.sqrt((value - at_stages(160)) ** 2 @ mesh.mass))


def fitted_order(counts, errors):
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


def test_step_means_are_of_second_order_and_values_at_stages_of_fifth():
    counts = [10, 20, 40]
    assert fitted_order(counts, [error_at_the_end(n, 1.0, "means") for n in counts]) == pytest.approx(2.0, abs=0.1)
    assert fitted_order([4, 8, 16], [error_at_the_end(n, 1.0, "stages") for n in (4, 8, 16)]) > 4.3


def test_means_over_steps_are_exact_where_only_the_noise_acts():
    # then time is only stretched: what is left is the error of Radau steps with one diffusivity
    assert error_at_the_end(20, 0.0, "means") < 1e-7 < 1e-4 < error_at_the_end(20, 1.0, "means")


@pytest.mark.parametrize("walls", ["reflecting", "absorbing"])
def test_a_drift_of_zero_at_a_wall_without_noise_has_no_derivative_there(walls):
    """The rectified drift has a kink at 0: the propagation takes the same side of it as the objective."""
    mesh = Mesh.build(((-1.0, 1.0),), walls, (3,), 4)
    operator = Operator.build(mesh, 0.0)
    drift = torch.zeros((1, *operator.drift_points.shape), dtype=torch.float64, requires_grad=True)
    initial = torch.from_numpy(operator.mesh.unit_mass(1.5 + operator.mesh.points[:, 0]))
    Propagator(operator, [0.3], 2)(drift, initial)[-1, -1, -1].square().sum().backward()
    faces = operator.outward != 0
    assert faces.any()
    assert torch.all(drift.grad[0][torch.from_numpy(faces)] == 0.0)
    assert drift.grad.abs().max() > 0
