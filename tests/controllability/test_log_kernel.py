"""The heat semigroup in logarithms, against its eigenfunctions, mass, and a Gaussian in free space."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from controlsde.controllability.log_kernel import LogKernel
from controlsde.fokker_planck.mesh import Mesh


def applied(kernel, values):
    return np.exp(kernel.log_of_exponential(np.log(values)))


@pytest.mark.parametrize("time", [1e-3, 0.05, 2.0])
@pytest.mark.parametrize(
    ("walls", "mode", "wave"),
    [
        ("reflecting", lambda x: np.cos(3 * np.pi * (x - 1) / 2), 3 * np.pi / 2),
        ("periodic", lambda x: np.sin(2 * np.pi * x + 0.4), 2 * np.pi),
    ],
)
def test_modes_decay_at_their_rates(walls, mode, wave, time):
    low, high = (1.0, 3.0) if walls == "reflecting" else (1.0, 2.0)
    mesh = Mesh.build(((low, high),), walls, (24,), 8)
    x = mesh.points[:, 0]
    found = applied(LogKernel.heat(mesh, time), 1.0 + 0.7 * mode(x))
    assert_allclose(found, 1.0 + 0.7 * np.exp(-(wave**2) * time) * mode(x), rtol=1e-9)


def test_two_axes_are_taken_one_after_the_other():
    mesh = Mesh.build(((0.0, 1.0), (-1.0, 1.0)), "reflecting", (6, 8), 8)
    x, y = mesh.points.T
    found = applied(LogKernel.heat(mesh, 0.03), 1.0 + 0.5 * np.cos(np.pi * x) * np.cos(np.pi * (y + 1)))
    decay = np.exp(-2 * np.pi**2 * 0.03)
    assert_allclose(found, 1.0 + 0.5 * decay * np.cos(np.pi * x) * np.cos(np.pi * (y + 1)), rtol=1e-9)


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_the_semigroup_keeps_mass_and_constants(walls):
    mesh = Mesh.build(((0.0, 2.0),), walls, (20,), 8)
    kernel = LogKernel.heat(mesh, 0.02)
    assert_allclose(kernel.log_of_exponential(np.full(len(mesh.weights), 3.0)), 3.0, atol=1e-10)
    bump = np.exp(-20 * (mesh.points[:, 0] - 0.3) ** 2)
    assert_allclose(mesh.weights @ applied(kernel, bump), mesh.weights @ bump, rtol=1e-10)


def test_depths_that_no_number_holds_keep_their_digits():
    mesh = Mesh.build(((-30.0, 30.0),), "reflecting", (80,), 8)
    x = mesh.points[:, 0]
    kernel = LogKernel.heat(mesh, 0.1)
    found = kernel.log_of_exponential(-(x**2))  # e^{−900} and less at the walls
    expected = -(x**2) / 1.4 - 0.5 * np.log(1.4)  # a Gaussian whose variance grows by 2τ
    inside = np.abs(x) < 29
    assert expected[inside].min() < -500
    assert_allclose(found[inside], expected[inside], atol=1e-6)
    steeper = kernel.log_of_exponential(-4.0 * x**2)  # below all numbers where the largest is 1
    assert steeper[inside].min() < -1000
    assert_allclose(steeper[inside], (-4 * x**2 / 2.6 - 0.5 * np.log(2.6))[inside], atol=1e-4)


def test_nothing_stays_nothing():
    mesh = Mesh.build(((0.0, 1.0),), "reflecting", (4,), 4)
    assert np.all(LogKernel.heat(mesh, 0.1).log_of_exponential(np.full(17, -np.inf)) == -np.inf)


def test_absorbing_walls_are_refused():
    with pytest.raises(ValueError, match="reflecting or periodic"):
        LogKernel.heat(Mesh.build(((0.0, 1.0),), "absorbing", (4,), 4), 0.1)


@pytest.mark.parametrize("elements", [(12,), (4, 3)])
def test_followed_values_are_those_of_each_call_alone(elements):
    """Far, deep, and empty in places; small steps after large ones, and back."""
    rng = np.random.default_rng(0)
    mesh = Mesh.build(((0.0, 1.0),) * len(elements), "reflecting", elements, 8)
    kernel = LogKernel.blur(mesh, 1e-5)  # e^(−25000) across the box
    followed = kernel.followed()
    shape = 1e4 * np.cos(3.0 * mesh.points[:, 0])
    empty = np.where(mesh.points[:, 0] < 0.4, -np.inf, shape)
    for base in (shape, shape, -shape, empty, empty, np.full(len(shape), -np.inf), 0.01 * shape, shape):
        values = base + rng.uniform(-40.0, 40.0, len(base))
        with np.errstate(divide="ignore"):
            expected, found = kernel.log_of_exponential(values), followed(values)
        assert_allclose(found, expected, rtol=1e-13, atol=1e-11)
