"""What a drift does between the nodes and the instants: found where it matters, passed over where it does not."""

import numpy as np
import pytest
from scipy.special import ndtr

from controlsde.control.controls import Controls
from controlsde.control.drift import ExactDrift, FormulaDrift, NetworkDrift
from controlsde.control.network import ACTIVATIONS, Network
from controlsde.enclosures import Interval
from controlsde.fokker_planck import Mesh
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.problem import Formula
from controlsde.verification.between_nodes import unseen
from controlsde.verification.densities_met import densities_met
from tests.quick import slow

BOX = ((-4.0, 4.0),)
MESH = Mesh.build(BOX, "reflecting", (12,), 8)
EDGES = np.array([0.0, 0.5, 1.0])
TIMES = np.linspace(0.0, 1.0, 33)


def standing(mesh):
    """A Gaussian that stays in the middle of the box, with ℓ = 1/2."""
    density = np.exp(-2.0 * mesh.dimension * np.sum(mesh.points**2, axis=1) / 2)
    return densities_met(mesh, np.array([0.0, 1.0]), np.stack([density, density]), 0.5)


def of_formula(text, noise=1.0, mesh=MESH, substeps=2):
    names = ("x", "y", "z")[: mesh.dimension]
    texts = [text, *["0*x"] * (mesh.dimension - 1)]
    drift = FormulaDrift(tuple(Formula(each, (*names, "t")) for each in texts), EDGES)
    return unseen(drift, mesh, TIMES, (substeps, substeps), Steady(noise), standing(mesh))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tangential", [False, True])
def test_a_network_never_leaves_its_enclosure(activation, tangential):
    rng = np.random.default_rng(5)
    network = Network(2, 3, activation, tangential, ((-1.0, 2.0), (0.0, 3.0)))
    a, w, b = (5.0 * part for part in network.split(network.random_weights(1, rng)[0]))
    low = np.array([[-1.0], [0.0]]) + 3.0 * rng.random((2, 60))
    boxes = Interval(low, np.minimum(low + 0.5 * rng.random((2, 60)), [[2.0], [3.0]]))
    held = network.enclosure(boxes, a, w, b)
    for _ in range(40):
        place = boxes.low + rng.random(low.shape) * boxes.width
        value = network.drift(place.T, a, w, b)
        slope = np.stack([network.drift((place + 1e-6 * np.eye(2)[[i]].T).T, a, w, b) - value for i in range(2)]) / 1e-6
        for component, part in enumerate(held):
            assert np.all(part.values.low <= value[:, component] + 1e-12)
            assert np.all(value[:, component] <= part.values.high + 1e-12)
            slack = 1e-3 * (1.0 + part.slopes.magnitude)
            assert np.all(part.slopes.low - slack <= slope[:, :, component])
            assert np.all(slope[:, :, component] <= part.slopes.high + slack)


def strip(noise, width=1e-4):
    """A drift of 2, but −2 on a strip."""
    steep = 10.0 / width
    a, w = np.array([[[2.0, -2.0, 2.0]]]), np.array([[[0.0], [steep], [steep]]])
    b = np.array([[20.0, -steep * 0.0503, -steep * (0.0503 + width)]])
    controls = Controls(*(np.tile(part, (2, *[1] * (part.ndim - 1))) for part in (a, w, b)), EDGES)
    drift = NetworkDrift(Network(1, 3, "tanh", False, BOX), controls)
    return unseen(drift, MESH, TIMES, (), Steady(noise), standing(MESH))


def test_a_strip_that_no_mass_crosses_is_found_without_noise_and_with_little():
    for noise in (0.0, 1e-4):
        found = strip(noise)
        assert found.change > 1.0
        assert found.place == pytest.approx([0.05035], abs=2e-4)
        assert not found.brief


@pytest.mark.slow
def test_noise_carries_mass_across_a_strip_in_proportion_to_its_width():
    # the barrier is 4·width/D, and a bound of no more than twice that is found
    for width in (1e-2, 1e-3, 1e-4):
        assert strip(1.0, width).change < max(10 * width, 0.02)
    assert 0.02 < strip(0.01).change < 0.2


def test_a_pulse_between_two_moments_is_found_with_its_time():
    found = of_formula("where(abs(t - 0.6147) < 0.0005, 1000, 0)")
    assert found.change > 1.0
    assert found.brief
    assert found.time == pytest.approx(0.6147, abs=1e-3)


@pytest.mark.parametrize("text", ["1000*exp(-((t - 0.6147)/0.0004)**2/2)", "50*exp(-((x - 0.0503)/1e-4)**2)*t"])
def test_a_bump_in_time_or_in_space_is_found(text):
    assert of_formula(text, noise=1e-4).change > 0.05


@pytest.mark.parametrize(
    "text", ["-x", "sin(3*x)", "tanh(5*x) - x", "cos(6*t)*x", "where(x < 0.3, 1, 2)", "min(x, 0.2)", "x**2*exp(-x)/9"]
)
@pytest.mark.parametrize("noise", [0.0, 1e-3, 1.0])
def test_what_the_nodes_show_is_passed(text, noise):
    assert of_formula(text, noise).change < 0.05


def test_a_jump_that_gathers_all_mass_in_a_point_is_found_without_noise():
    assert of_formula("where(x < 0.3, 1, -1)", 0.0).change > 1.0
    assert of_formula("where(x < 0.3, 1, -1)", 0.1).change < 0.05


@pytest.mark.parametrize(
    "text", [slow("1 - 0.99*exp(-((x - 0.4937)/5e-5)**2)"), "where(abs(x - 0.4937) < 5e-5, 0.01, 1)"]
)
def test_a_slow_strip_counts_with_the_density_that_gathers_there(text):
    assert of_formula(text, 0.0).change > 0.2


@pytest.mark.parametrize("at", ["0.25", slow("0"), slow("1")])
def test_a_pulse_at_a_moment_at_which_only_this_search_looks_is_found(at):
    found = of_formula(f"where(abs(t - {at}) < 5e-7, 1e6, 0)", noise=1e-3)
    assert found.change > 0.5
    assert found.time == pytest.approx(float(at), abs=1e-4)


@pytest.mark.slow
def test_a_trap_too_weak_to_move_much_still_gathers_mass_in_a_point():
    assert of_formula("-1e-3*((x - 0.4937)/1e-6)*exp(-((x - 0.4937)/1e-6)**2)", 0.0).change > 1.0


@pytest.mark.parametrize("pieces", [2, 64])
def test_a_barrier_that_is_there_at_all_times_counts_once(pieces):
    drift = FormulaDrift(
        (Formula("where(abs(x - 0.4937) < 5e-6, -100, 0)", ("x", "t")),), np.linspace(0, 1, pieces + 1)
    )
    found = unseen(drift, MESH, np.linspace(0, 1, 129), (2,) * pieces, Steady(1.0), standing(MESH))
    assert found.change < 0.02


def test_a_formula_that_names_the_time_in_vain_is_no_other():
    alone = of_formula("where(abs(x - 0.4937) < 5e-6, -100, 0)")
    in_vain = of_formula("where(abs(x - 0.4937) < 5e-6, -100, 0) + 0*t")
    assert in_vain.change == pytest.approx(alone.change, rel=1.0)


@pytest.mark.parametrize(
    "text",
    [slow("-1e19*softplus(-38 - ((x - 0.4937)/1e-4)**2)"), "min((-314*exp(-((x - 0.4937)/1e-4)**2))**(1 + 0*x), 0)"],
)
def test_a_strip_is_found_however_it_is_written(text):
    assert of_formula(text).change > 0.05


def test_a_pulse_that_was_followed_in_short_steps_is_passed():
    text = "3*exp(-((t - 0.6147)/0.01)**2/2)"
    assert of_formula(text, substeps=16).change < 0.05


def test_a_strip_in_the_plane_counts_with_its_share_of_the_cross_section():
    mesh = Mesh.build((*BOX, *BOX), "reflecting", (6, 6), 6)
    across = of_formula("where(abs(x - 0.0503) < 1e-3, -20, 1)", 0.01, mesh)
    corner = of_formula("where(abs(x - 0.0503) < 1e-3, where(y < -3.9, -20, 1), 1)", 0.01, mesh)
    assert across.change > 1.0
    assert corner.change < 0.1 * across.change


@pytest.mark.slow
def test_a_strip_counts_with_the_density_that_meets_it_however_wide_the_box():
    changes = []
    for side in (4.0, 40.0):
        mesh = Mesh.build((*BOX, (-side, side)), "reflecting", (6, round(1.5 * side)), 6)
        changes.append(of_formula("where(abs(x - 0.0503) < 1e-3, -0.1, 1)", 0.01, mesh).change)
    assert changes[1] == pytest.approx(changes[0], rel=0.1)
    assert changes[0] > 0.05


def test_lengths_and_shares_in_the_plane_are_those_of_a_gaussian():
    mesh = Mesh.build((*BOX, (-6.0, 6.0)), "reflecting", (12, 12), 8)
    x, y = mesh.points.T
    density = np.exp(-(x**2) / (2 * 0.3**2) - (y - 1) ** 2 / (2 * 0.8**2))
    met = densities_met(mesh, np.array([0.0]), density[None], 9.0)
    assert met.lengths == pytest.approx([1 / np.sqrt(1 / (2 * 0.3**2) + 1 / (2 * 0.8**2))], rel=1e-3)
    for shares, axis, mean, std in ((met.shares[0], 1, 1.0, 0.8), (met.shares[1], 0, 0.0, 0.3)):
        expected = np.diff(ndtr((mesh.axes[axis].grid - mean) / (std / np.sqrt(2))))
        np.testing.assert_allclose(shares, expected, atol=0.02)
        assert shares.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_tubes_that_mass_passes_from_one_time_to_the_next_count_too(walls):
    mesh = Mesh.build((*BOX, (-8.0, 8.0)), walls, (4, 16), 6)
    x, y = mesh.points.T
    here, there = (np.exp(-(x**2) / 2 - (y - place) ** 2 / (2 * 0.4**2)) for place in (-4.0, 4.0))
    times, both = np.array([0.0, 1.0]), np.stack([here, there])
    still = densities_met(mesh, times, both, 9.0).shares[0]
    moved = densities_met(mesh, times, both, 9.0, np.array([[0.0, 8.0]])).shares[0]
    grid = mesh.axes[1].grid
    middle = int(np.searchsorted(grid, 0.1)) - 1
    assert still[middle] < 1e-12
    assert moved[middle] == pytest.approx(still.max())
    assert np.all(moved >= still)
    beyond = int(np.searchsorted(grid, 7.99)) - 1  # behind the wall, or on the way around
    assert moved[beyond] == pytest.approx(still.max())
    slow = densities_met(mesh, times, both, 9.0, np.array([[0.0, 2.0]])).shares[0]
    assert slow[middle] < 1e-6


@pytest.mark.slow
def test_a_shift_counts_while_the_density_is_narrow_if_broad_at_the_end():
    spreading = [np.exp(-(MESH.points[:, 0] ** 2) / (2 * std**2)) / std for std in (0.2, 0.2, 2.0)]
    met = densities_met(MESH, np.array([0.0, 0.5, 1.0]), np.stack(spreading), 2.0)
    assert met.lengths == pytest.approx([0.2 * 2**0.5, 0.2 * 2**0.5, 2.0], rel=1e-3)
    pulse = FormulaDrift((Formula("where(abs(t - 0.1147) < 1e-5, 3e3, 0)", ("x", "t")),), EDGES)
    late = FormulaDrift((Formula("where(abs(t - 0.9147) < 1e-5, 3e3, 0)", ("x", "t")),), EDGES)
    early = unseen(pulse, MESH, TIMES, (2, 2), Steady(0.0), met)
    assert early.change > 0.2
    assert unseen(late, MESH, TIMES, (2, 2), Steady(0.0), met).change < early.change + 1e-9


def test_nothing_is_said_of_a_drift_without_enclosures():
    assert unseen(ExactDrift(None, 1.0, EDGES, BOX), MESH, TIMES, (2, 2), Steady(1.0), standing(MESH)) is None


@pytest.mark.parametrize(("walls", "around"), [("reflecting", False), ("periodic", True)])
def test_mass_reaches_the_other_end_of_a_circle_and_of_no_line(walls, around):
    mesh = Mesh.build((*BOX, (-8.0, 8.0)), walls, (4, 16), 6)
    x, y = mesh.points.T
    density = np.exp(-(x**2) / 2 - (y - 4) ** 2 / (2 * 0.4**2))
    shares = densities_met(mesh, np.array([0.0, 1.0]), np.stack([density] * 2), 9.0, np.array([[0.0, 12.0]])).shares[0]
    place = [int(np.searchsorted(mesh.axes[1].grid, y)) - 1 for y in (-6.9, -3.9, -1.9, 7.9)]
    assert (shares[place] > 0.5 * shares.max()).tolist() == [around, False, True, True]
