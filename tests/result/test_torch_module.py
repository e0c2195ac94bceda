"""The controlled process as a PyTorch module: the same drift, unfolded at the walls, trainable, ready for libraries."""

import numpy as np
import pytest
import torch

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady, Varying
from controlsde.monte_carlo.backends.torch import stepping as tensors
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.result.torch_module import ControlledProcess

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


@pytest.mark.slow
@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
@torch.no_grad()
def test_free_paths_folded_at_the_end_have_the_law_of_reflected_ones(walls):
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


# ---- the clock

LAST_PLACE = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}


def edges_process(edges, dtype=torch.float64):
    count = len(edges) - 1
    controls = Controls(np.ones((count, 1, 1)), np.ones((count, 1, 1)), np.zeros((count, 1)), edges)
    return ControlledProcess(Network(1, 1, "tanh", False, ((-1.0, 1.0),)), controls, Steady(0.0), "reflecting", dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 3, 10, 2000])
@pytest.mark.parametrize("horizon", [1.0, 0.3, 1500.0])
def test_a_clock_that_adds_up_equal_steps_is_in_the_piece_of_each_step(dtype, count, horizon):
    pieces = 10
    process = edges_process(np.linspace(0, horizon, pieces + 1), dtype)
    total = count if count >= pieces else count * pieces  # steps in all
    h = torch.tensor(horizon / total, dtype=dtype)
    t = torch.zeros((), dtype=dtype)
    found, sums = [], t
    for _ in range(total):
        found.append(process.piece_at(sums))
        sums = sums + h
    assert found == [step * pieces // total for step in range(total)]


def test_a_time_within_rounding_below_an_edge_is_on_it_and_others_are_not():
    process = edges_process([0.0, 0.1, 0.3, 1.0])
    for t, piece in ((0.1 + 0.2, 2), (0.3 - 1e-12, 2), (0.3 - 1e-6, 1), (0.1, 1), (0.1 - 1e-9, 1), (0.1 - 1e-6, 0)):
        assert process.piece_at(t) == piece
        assert process.piece_at(torch.tensor(t, dtype=torch.float64)) == piece
    assert process.piece_at(torch.tensor(0.29999998, dtype=torch.float32)) == 2  # the precision of the time counts
    assert process.float().piece_at(0.29999) == 2  # and that of the module


def test_rounding_never_reaches_far_into_a_short_piece():
    process = edges_process([0.0, 0.5, 0.5001, 1.0], torch.float32)
    assert process.rounding(torch.float32) == pytest.approx(0.0001 / 8, rel=1e-2)
    assert process.piece_at(0.50005) == 1
    assert edges_process([0.0, 1.0, 2.0]).rounding(torch.float64) == pytest.approx(0.5 * 2.0**-26 * 2.0)


@pytest.mark.parametrize("dtype", LAST_PLACE)
def test_the_drift_tells_the_last_unit_before_an_edge_from_the_edge(dtype):
    _, _, process = build(dimension=1, dtype=dtype)
    x = torch.zeros(1, 1, dtype=dtype)
    edge = process.times[1]
    before = torch.nextafter(edge, edge - 1)
    assert edge - before <= LAST_PLACE[dtype] * edge
    torch.testing.assert_close(process(before, x), process.drift(0, x), rtol=0, atol=0)
    torch.testing.assert_close(process(edge, x), process.drift(1, x), rtol=0, atol=0)
    torch.testing.assert_close(process.f(before, x), process.drift(1, x), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", LAST_PLACE)
def test_a_grid_has_the_edges_exactly_and_equal_steps_between(dtype):
    process = edges_process([0.0, 0.1, 0.3, 1.0], dtype)
    grid = process.grid(7)
    assert grid.dtype == dtype
    torch.testing.assert_close(grid[::7], process.times, rtol=0, atol=0)
    torch.testing.assert_close(grid.diff().reshape(3, 7), (process.times.diff() / 7)[:, None].expand(3, 7))
    torch.testing.assert_close(
        process.grid([1, 2, 4]),
        torch.tensor([0.0, 0.1, 0.2, 0.3, 0.475, 0.65, 0.825, 1.0], dtype=dtype),
    )
    for (_, times), start, end in zip(process.pieces(7), process.times, process.times[1:], strict=False):
        assert (times[0], times[-1], len(times)) == (start, end, 8)


@pytest.mark.parametrize("steps", [0, -1, [1, 2], [1, 0, 1], []])
def test_a_grid_of_no_steps_or_of_another_number_of_pieces_is_refused(steps):
    process = edges_process([0.0, 0.1, 0.3, 1.0])
    with pytest.raises(ValueError, match=r"steps_per_piece must be a number >= 1, or 3 of them \(got"):
        process.grid(steps)
    with pytest.raises(ValueError, match="steps_per_piece"):
        list(process.pieces(steps))


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
def test_a_piece_has_its_drift_at_all_times_and_the_parameters_of_the_whole(walls):
    _, _, process = build(walls)
    x = torch.from_numpy(inside())
    middles = [0.1, 0.3, 0.8]
    for (piece, _), t in zip(process.pieces(), middles, strict=True):
        for time in (0.0, torch.tensor(0.2), 1.0):
            torch.testing.assert_close(piece(time, x), process(t, x), rtol=0, atol=0)
            torch.testing.assert_close(piece.f(time, x), process(t, x), rtol=0, atol=0)
        torch.testing.assert_close(piece.g(t, x), process.g(t, x), rtol=0, atol=0)
        assert {id(p) for p in piece.parameters()} == {id(p) for p in process.parameters()}
        assert (piece.sde_type, piece.noise_type) == ("ito", "diagonal")


@pytest.mark.parametrize("dtype", LAST_PLACE)
def test_trained_weights_go_back_into_controls_with_their_times(dtype):
    _, given, process = build(dtype=dtype)
    with torch.no_grad():
        process.A.mul_(2.0)
    back = process.controls()
    np.testing.assert_array_equal(back.times, given.times)  # 0.2 has no float32
    np.testing.assert_allclose(back.A, 2.0 * given.A, rtol=1e-6)
    np.testing.assert_allclose(back.W, given.W, rtol=1e-6)
    np.testing.assert_allclose(back.b, given.b, rtol=1e-6)
    process.times[1] = 0.25  # moved on purpose
    np.testing.assert_allclose(process.controls().times, [0, 0.25, 0.5, 1])
    with torch.no_grad():
        process.b[0, 0] = np.nan
    with pytest.raises(ControlsError, match="not finite"):
        process.controls()
