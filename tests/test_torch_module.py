"""The controlled process as a PyTorch module: the same drift, unfolded at the walls, trainable, ready for libraries."""

import numpy as np
import pytest
import torch

from controlsde.controls import Controls
from controlsde.diffusivity import Steady, Varying
from controlsde.drift import NetworkDrift
from controlsde.monte_carlo import tensors
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.network import Network
from controlsde.torch_module import ControlledProcess

BOX = ((-1.0, 2.0), (0.0, 1.0))


def build(walls="reflecting", diffusivity=0.3, dimension=2, dtype=torch.float64):
    rng = np.random.default_rng(3)
    network = Network(dimension, 2, "tanh", False, BOX[:dimension])
    controls = Controls(
        rng.normal(size=(3, dimension, 2)),
        rng.normal(size=(3, 2, dimension)),
        rng.normal(size=(3, 2)),
        [0, 0.2, 0.5, 1],
    )
    return network, controls, ControlledProcess(network, controls, Steady(diffusivity), walls, dtype)


def inside(count=50):
    low, high = np.array(BOX).T
    return low + (high - low) * np.random.default_rng(0).uniform(size=(count, 2))


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize(
    ("t", "piece"), [(-1.0, 0), (0.0, 0), (0.19, 0), (0.2, 1), (0.49, 1), (0.5, 2), (1.0, 2), (9.0, 2)]
)
def test_inside_the_box_the_drift_is_that_of_the_piece_that_holds_the_time(walls, t, piece):
    network, controls, process = build(walls)
    x = inside()
    expected = network.drift(x, *controls.piece(piece))
    for time in (t, torch.tensor(t, dtype=torch.float64)):
        np.testing.assert_allclose(process(time, torch.from_numpy(x)).detach(), expected, rtol=1e-12)
        np.testing.assert_allclose(process.f(time, torch.from_numpy(x)).detach(), expected, rtol=1e-12)


def test_the_diffusion_is_diagonal_and_the_root_of_twice_the_diffusivity():
    _, _, process = build(diffusivity=0.3)
    x = torch.from_numpy(inside())
    np.testing.assert_allclose(process.g(0.1, x), np.sqrt(0.6) * np.ones((50, 2)))
    assert (process.sde_type, process.noise_type) == ("ito", "diagonal")


def test_the_diffusion_follows_the_schedule_within_the_horizon():
    network, controls, _ = build()
    varying = Varying(lambda t: 0.1 + t, lambda t: 0.1 * t + t**2 / 2, 0.5)
    process = ControlledProcess(network, controls, varying, "reflecting", torch.float64)
    x = torch.from_numpy(inside())
    first, last = controls.times[0], controls.times[-1]
    for t, seen in ((first, first), (0.3 * last, 0.3 * last), (last + 1.0, last)):
        np.testing.assert_allclose(process.g(t, x), np.sqrt(2 * 0.5 * (0.1 + seen)), rtol=1e-12)


def test_beyond_a_reflecting_wall_the_drift_is_the_mirror_image():
    _, _, process = build()
    x = torch.from_numpy(inside())
    drift = process(0.3, x)
    beyond = x.clone()
    beyond[:, 0] = 2 * 2.0 - x[:, 0]  # across the wall at 2
    mirrored = process(0.3, beyond)
    torch.testing.assert_close(mirrored[:, 0], -drift[:, 0])
    torch.testing.assert_close(mirrored[:, 1], drift[:, 1])
    torch.testing.assert_close(process.fold(beyond), x)


def test_a_periodic_drift_repeats():
    _, _, process = build("periodic")
    x = torch.from_numpy(inside())
    shifted = x + torch.tensor([3.0, -2.0], dtype=torch.float64)
    torch.testing.assert_close(process(0.3, shifted), process(0.3, x))


def euler_maruyama(process, x, steps, generator):
    """The plainest of integrators, in free space."""
    h = 1.0 / steps
    for step in range(steps):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        t = torch.tensor((step + 0.5) * h)
        x = x + h * process.f(t, x) + h**0.5 * process.g(t, x) * noise
    return process.fold(x)


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
@torch.no_grad()
def test_free_paths_folded_at_the_end_have_the_law_of_particles_that_meet_the_walls(walls):
    network, controls, process = build(walls, diffusivity=0.4, dimension=1)
    count = 40_000
    start = np.full((count, 1), 0.7)
    simulated = Process.of(NetworkDrift(network, controls), Steady(0.4), BOX[:1], walls, 100)
    moved = tensors.simulate(simulated, Stream(1), 0, simulated.inward(start))
    expected = simulated.outward(moved.z)[:, 0]
    ours = euler_maruyama(process, torch.from_numpy(start), 400, torch.Generator().manual_seed(0))[:, 0].numpy()
    for mode in range(1, 6):
        wave = lambda x, k=mode: np.cos((2 if walls == "periodic" else 1) * k * np.pi * (x + 1.0) / 3.0)  # noqa: E731
        gap = wave(ours).mean() - wave(expected).mean()
        assert abs(gap) < 4.5 * np.sqrt((wave(ours).var() + wave(expected).var()) / count)


def test_the_weights_can_be_trained_and_saved():
    _, controls, process = build(dtype=torch.float32)
    assert {name for name, _ in process.named_parameters()} == {"A", "W", "b"}
    process(0.3, torch.zeros(4, 2)).sum().backward()
    assert process.A.grad[1].abs().max() > 0
    assert process.A.grad[0].abs().max() == 0  # another piece's
    other = build(dtype=torch.float32)[2]
    other.load_state_dict(process.state_dict())
    np.testing.assert_allclose(other.A.detach(), controls.A.astype(np.float32))
