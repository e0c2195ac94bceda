"""The PyTorch module in torchsde and torchdiffeq as they are: laws, trajectories, orders, gradients."""

import numpy as np
import pytest
import torch
import torchdiffeq
import torchsde
from scipy.stats import truncnorm

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.diffusivity import Steady, Varying
from controlsde.fokker_planck.propagation import Propagator
from controlsde.monte_carlo.backends.torch import stepping as tensors
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.result.torch_module import ControlledProcess
from tests.quick import only, slow

BOX = ((-1.0, 2.0), (0.0, 1.0))
TIMES = (0.0, 0.2, 0.5, 1.0)


def random_process(walls, diffusivity, dimension=1, tangential=False):
    """Three pieces of width 2; between periodic walls sines of whole periods, so that nothing jumps at the seam."""
    rng = np.random.default_rng(3)
    periodic = walls == "periodic"
    network = Network(dimension, 2, "sin" if periodic else "tanh", tangential, BOX[:dimension])
    a, w, b = (rng.normal(size=shape) for shape in ((3, dimension, 2), (3, 2, dimension), (3, 2)))
    if periodic:
        w = np.sign(w) * 2 * np.pi / np.diff(np.array(BOX[:dimension]))[:, 0]
    controls = Controls(a, w, b, TIMES)
    return network, controls, ControlledProcess(network, controls, Steady(diffusivity), walls, torch.float64)


def inside(count, dimension, seed=0):
    low, high = np.array(BOX[:dimension]).T
    return torch.from_numpy(low + (high - low) * np.random.default_rng(seed).uniform(size=(count, dimension)))


def sde_in_pieces(process, x, steps, method, solve=torchsde.sdeint, entropy=0, **options):
    """Piece by piece through torchsde, on Brownian paths that depend on entropy alone."""
    for number, (piece, times) in enumerate(process.pieces(steps)):
        ends = times[[0, -1]]
        motion = torchsde.BrownianInterval(
            *ends, tuple(x.shape), dtype=x.dtype, entropy=entropy + number, levy_area_approximation="space-time"
        )
        x = solve(piece, x, ends, bm=motion, dt=times[1] - times[0], method=method, **options)[-1]
    return x


def ode_in_pieces(process, x, steps, method, solve=torchdiffeq.odeint):
    for piece, times in process.pieces(steps):
        x = solve(piece, x, times, method=method)[-1]
    return x


def within_errors(sample, expected, bound=4.5):
    """Whether the mean of a sample (n,) lies within standard errors of the expected one."""
    sample = np.asarray(sample)
    assert abs(sample.mean() - expected) < bound * sample.std() / np.sqrt(len(sample))


@pytest.fixture(autouse=True)
def _the_same_paths_every_time():
    np.random.seed(0)  # noqa: NPY002 (torchsde takes from it the entropy of paths that are given none)


# ---- laws


@pytest.mark.parametrize(("method", "steps"), [*map(slow, (("euler", 200), ("milstein", 200))), ("srk", 60)])
@torch.no_grad()
def test_torchsde_brings_reflected_ou_to_a_truncated_gaussian(method, steps):
    # v(x) = relu(−x) − relu(x) = −x on [−½, 3/2] with D = ½: the stationary law is N(0, ½) on the box, scaled to one
    torch.manual_seed(0)
    low, high, count = -0.5, 1.5, 10_000
    network = Network(1, 2, "relu", False, ((low, high),))
    controls = Controls([[[-1.0, 1.0]]] * 2, [[[1.0], [-1.0]]] * 2, [[0.0, 0.0]] * 2, [0.0, 1.0, 2.0])
    process = ControlledProcess(network, controls, Steady(0.5), "reflecting", torch.float64)
    start = low + (high - low) * torch.rand(count, 1, dtype=torch.float64)
    end = process.fold(torchsde.sdeint(process, start, process.times, dt=1 / steps, method=method)[-1])[:, 0].numpy()
    scale = np.sqrt(0.5)
    law = truncnorm(low / scale, high / scale, scale=scale)
    assert end.min() >= low
    assert end.max() <= high
    within_errors(end, law.mean())
    within_errors(end**2, law.moment(2))
    for edge in (-0.3, 0.0, 0.5, 1.2):
        within_errors(end < edge, law.cdf(edge))


@torch.no_grad()
def test_torchsde_follows_a_diffusivity_that_varies_in_time():
    # no drift, walls far away: the variance at T is 2∫D dt
    network = Network(2, 1, "tanh", False, ((-50.0, 50.0), (-50.0, 50.0)))
    controls = Controls(np.zeros((2, 2, 1)), np.zeros((2, 1, 2)), np.zeros((2, 1)), [0, 0.5, 1])
    varying = Varying(lambda t: 0.1 + 3 * t**2, lambda t: 0.1 * t + t**3, 0.5)
    process = ControlledProcess(network, controls, varying, "reflecting", torch.float64)
    torch.manual_seed(0)
    end = torchsde.sdeint(process, torch.zeros(20_000, 2, dtype=torch.float64), [0.0, 1.0], dt=1 / 50)[-1].numpy()
    for axis in range(2):
        within_errors(end[:, axis] ** 2, 2 * 0.5 * 1.1)


@pytest.mark.parametrize(
    ("walls", "tangential"), [slow(("reflecting", False)), ("reflecting", True), slow(("periodic", False))]
)
@torch.no_grad()
def test_in_two_dimensions_torchsde_has_the_law_of_the_state_equation(walls, tangential):
    network, controls, process = random_process(walls, 0.3, dimension=2, tangential=tangential)
    operator = Operator.build(Mesh.build(BOX, walls, (3, 3), 6), diffusivity=0.3)
    propagate = Propagator(operator, controls.durations, 8)
    points = operator.drift_points
    drift = torch.from_numpy(np.stack([network.drift(points, *controls.piece(k)) for k in range(3)]))
    mesh = operator.mesh
    uniform = torch.from_numpy(mesh.unit_mass(np.ones(len(mesh.points))))
    density = mesh.to_grid(propagate(drift, uniform)[-1, -1, -1].numpy())
    torch.manual_seed(0)
    end = process.fold(sde_in_pieces(process, inside(15_000, 2), 60, "euler")).numpy()
    (a, c), (length, height) = (BOX[0][0], BOX[1][0]), (3.0, 1.0)
    turns = 2 * np.pi if walls == "periodic" else np.pi
    for first, second in ((1, 0), (0, 1), (1, 1), (2, 1)):
        wave = lambda x, i=first, j=second: (  # noqa: E731
            np.cos(i * turns * (x[:, 0] - a) / length) * np.cos(j * turns * (x[:, 1] - c) / height)
        )
        within_errors(wave(end), (mesh.weights * density * wave(mesh.points)).sum())


@torch.no_grad()
def test_between_absorbing_walls_paths_go_on_as_if_there_were_none():
    network = Network(1, 1, "tanh", False, BOX[:1])
    controls = Controls([[[2.0]]], [[[0.0]]], [[1.0]], [0.0, 3.0])
    process = ControlledProcess(network, controls, Steady(0.0), "absorbing", torch.float64)
    end = torchsde.sdeint(process, torch.zeros(1, 1, dtype=torch.float64), [0.0, 3.0], dt=0.1, method="euler")[-1]
    assert float(end) == pytest.approx(2.0 * np.tanh(1.0) * 3.0)  # straight through the wall at 2
    assert process.fold(end) is end


# ---- trajectories and orders


@pytest.mark.parametrize(
    ("walls", "dimension"), [("reflecting", 2), ("periodic", 1), slow(("reflecting", 1)), slow(("periodic", 2))]
)
@torch.no_grad()
def test_without_noise_torchdiffeq_runs_our_own_trajectories(walls, dimension):
    network, controls, process = random_process(walls, 0.0, dimension, tangential=walls == "reflecting")
    start = inside(40, dimension)
    simulated = Process.of(NetworkDrift(network, controls), Steady(0.0), BOX[:dimension], walls, 1000)
    moved = tensors.simulate(simulated, Stream(0), 0, simulated.inward(start.numpy()))
    expected = simulated.outward(moved.z)
    free = torchdiffeq.odeint(
        process,
        start,
        process.times[[0, -1]],
        rtol=1e-10,
        atol=1e-10,
        options={"jump_t": process.times[1:-1]},
    )[-1]
    gap = np.abs(process.fold(free).numpy() - expected)
    if walls == "periodic":
        assert (free - process.fold(free)).abs().max() > 0.1  # some went around
        length = np.diff(np.array(BOX[:dimension]))[:, 0]
        gap = np.minimum(gap, length - gap)
    assert gap.max() < 1e-6


def fitted_order(error, counts=(4, 8, 16, 32)):
    return -np.polyfit(np.log(counts), np.log([error(count) for count in counts]), 1)[0]


@pytest.fixture(scope="module")
def smooth():
    """A tangential process without noise, start points, and where they end by very small steps."""
    _, _, process = random_process("reflecting", 0.0, tangential=True)
    start = inside(7, 1)
    with torch.no_grad():
        end = ode_in_pieces(process, start, 256, "rk4")
    return process, start, end


ORDERS = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4}


@pytest.mark.parametrize("method", only(["rk4", "heun3"], ORDERS))
@torch.no_grad()
def test_on_pieces_and_on_the_grid_torchdiffeq_keeps_its_order(smooth, method):
    process, start, end = smooth
    by_pieces = lambda steps: ode_in_pieces(process, start, steps, method)  # noqa: E731
    by_grid = lambda steps: torchdiffeq.odeint(  # noqa: E731
        process,
        start,
        process.times[[0, -1]],
        method=method,
        options={"grid_constructor": lambda *_: process.grid(steps), "perturb": True},
    )[-1]
    for ends in (by_pieces, by_grid):
        assert fitted_order(lambda steps, of=ends: float((of(steps) - end).abs().max())) > ORDERS[method] - 0.2
    torch.testing.assert_close(by_grid(8), by_pieces(8), rtol=0, atol=1e-14)


@torch.no_grad()
def test_a_step_that_sees_two_pieces_loses_the_order(smooth):
    process, start, end = smooth

    def error(grid, **options):
        return float((torchdiffeq.odeint(process, start, grid, method="rk4", options=options)[-1] - end).abs().max())

    assert fitted_order(lambda steps: error(process.grid(steps))) < 1.2  # the last stage is in the next piece
    straddling = lambda steps: error(torch.linspace(0, 1, 3 * steps + 1, dtype=torch.float64), perturb=True)  # noqa: E731
    assert fitted_order(straddling) < 2


@torch.no_grad()
def test_with_the_jumps_named_adaptive_steps_take_fewer_evaluations(smooth):
    process, start, end = smooth
    counts, errors = [], []
    for options in ({}, {"jump_t": process.times[1:-1]}):
        calls = []
        hook = process.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        found = torchdiffeq.odeint(process, start, process.times[[0, -1]], rtol=1e-9, atol=1e-9, options=options)[-1]
        hook.remove()
        counts.append(len(calls))
        errors.append(float((found - end).abs().max()))
    assert counts[1] < counts[0] / 3
    assert errors[1] < 1e-7


# ---- the clock of torchsde


class Literal(ControlledProcess):
    """A process that takes the times that torchsde adds up as they are."""

    def piece_at(self, t):
        return self._piece_from(float(torch.as_tensor(t, dtype=self.times.dtype)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_torchsde_meets_every_edge_though_its_clock_is_a_sum(dtype):
    # v = c_k: Euler's method is exact, if each step has its own piece's weights
    rng = np.random.default_rng(0)
    network = Network(1, 1, "tanh", False, ((-9.0, 9.0),))
    controls = Controls(rng.normal(size=(10, 1, 1)), np.zeros((10, 1, 1)), np.ones((10, 1)), np.arange(11) / 10)
    exact = np.tanh(1.0) * 0.1 * controls.A.sum()
    missed = []
    for kind in (ControlledProcess, Literal):
        process = kind(network, controls, Steady(0.0), "reflecting", dtype)
        errors = [
            float(torchsde.sdeint(process, torch.zeros(1, 1, dtype=dtype), [0.0, 1.0], dt=0.1 / s, method="euler")[-1])
            - exact
            for s in (1, 4, 16)
        ]
        missed.append(np.abs(errors).max())
    assert missed[0] < (1e-5 if dtype == torch.float32 else 1e-12)
    assert missed[1] > 1e-2


@torch.no_grad()
def test_pieces_hold_a_stage_at_the_end_of_a_step_in_its_own_piece():
    _, _, process = random_process("reflecting", 0.0, tangential=True)
    start = inside(7, 1)
    whole = torchsde.sdeint(process, start, [0.0, 1.0], dt=0.01, method="srk")[-1]
    piecewise, exact = sde_in_pieces(process, start, 30, "srk"), ode_in_pieces(process, start, 64, "rk4")
    assert (piecewise - exact).abs().max() < 1e-4
    assert (whole - exact).abs().max() > 10 * (piecewise - exact).abs().max()


# ---- gradients


def gradient(process, loss):
    process.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in (process.A, process.W, process.b)])


def spread(process, x):
    return ((process.fold(x) - 0.3) ** 2).sum(dim=1).mean()


def apart(first, second):
    return float((first - second).norm() / second.norm())


def differences(process, value, step=1e-6):
    """The gradient of value() by central differences in every weight."""
    slopes = []
    with torch.no_grad():
        for parameter in (process.A, process.W, process.b):
            flat = parameter.view(-1)
            for place in range(len(flat)):
                kept = float(flat[place])
                sides = []
                for moved in (kept + step, kept - step):
                    flat[place] = moved
                    sides.append(float(value()))
                flat[place] = kept
                slopes.append((sides[0] - sides[1]) / (2 * step))
    return torch.tensor(slopes, dtype=torch.float64)


@pytest.mark.parametrize(("walls", "dimension"), [("reflecting", 1), *map(slow, (("reflecting", 2), ("periodic", 2)))])
def test_gradients_through_sdeint_are_those_of_differences_on_the_same_noise(walls, dimension):
    _, _, process = random_process(walls, 0.1, dimension)
    start = inside(16, dimension)
    value = lambda: spread(process, sde_in_pieces(process, start, 8, "milstein"))  # noqa: E731
    found = gradient(process, value())
    assert (found.abs() > 1e-9).all()  # all pieces of A, W and b are reached
    assert apart(found, differences(process, value)) < 1e-6


@pytest.mark.parametrize(("walls", "dimension"), [("reflecting", 1), *map(slow, (("reflecting", 2), ("periodic", 2)))])
def test_the_stochastic_adjoint_converges_to_the_gradient_through_the_solver(walls, dimension):
    _, _, process = random_process(walls, 0.1, dimension, tangential=True)
    start = inside(32, dimension)
    gaps = []
    for steps in (10, 80):
        direct = gradient(process, spread(process, sde_in_pieces(process, start, steps, "milstein")))
        adjoint = gradient(
            process,
            spread(
                process,
                sde_in_pieces(process, start, steps, "milstein", torchsde.sdeint_adjoint, adjoint_method="milstein"),
            ),
        )
        gaps.append(apart(adjoint, direct))
    assert gaps[1] < 0.1
    assert gaps[1] < gaps[0] / 4  # eight times as many steps, first order


def test_the_adjoint_of_torchdiffeq_converges_to_the_gradient():
    _, _, process = random_process("reflecting", 0.0, 2, tangential=True)
    start = inside(16, 2)
    gaps = []
    for steps in (8, 32):
        direct = gradient(process, spread(process, ode_in_pieces(process, start, steps, "rk4")))
        adjoint = ode_in_pieces(process, start, steps, "rk4", torchdiffeq.odeint_adjoint)
        gaps.append(apart(gradient(process, spread(process, adjoint)), direct))
    assert gaps[1] < 1e-4
    assert gaps[1] < gaps[0] / 50  # four times as many steps, fourth order


@pytest.mark.slow
def test_the_mean_gradient_is_right_where_the_unfolded_drift_jumps():
    # v = c on [0, 1] with D = ½: the stationary law is e^{cx/D}, so that dE[X]/dc = Var(X)/D; c = A tanh 1
    diffusivity, count, chunks = 0.5, 5000, 10
    network = Network(1, 1, "tanh", False, ((0.0, 1.0),))
    process = ControlledProcess(
        network, Controls([[[1.0]]], [[[0.0]]], [[1.0]], [0.0, 1.0]), Steady(diffusivity), "reflecting", torch.float64
    )
    rate = np.tanh(1.0) / diffusivity
    x = (np.arange(100_000) + 0.5) / 100_000
    law = np.exp(rate * x) / np.exp(rate * x).sum()
    mean = (law * x).sum()
    expected = (law * (x - mean) ** 2).sum() / diffusivity * np.tanh(1.0)
    generator = torch.Generator().manual_seed(0)
    found = []
    for chunk in range(chunks):
        uniform = torch.rand(count, 1, dtype=torch.float64, generator=generator)
        start = torch.log1p(uniform * np.expm1(rate)) / rate  # already stationary
        slopes = []
        for step in (0.01, 0.005):  # along the same Brownian paths
            paths = torchsde.BrownianInterval(0.0, 1.0, size=(count, 1), dtype=torch.float64, entropy=chunk)
            end = torchsde.sdeint(process, start, [0.0, 1.0], dt=step, method="euler", bm=paths)[-1]
            slopes.append(float(torch.autograd.grad(process.fold(end).mean(), process.A)[0]))
        found.append(2 * slopes[1] - slopes[0])  # Euler's error at a wall is of first order: .006 at a step of .01
    error = np.std(found, ddof=1) / np.sqrt(chunks)
    assert error < 0.03 * expected
    assert abs(np.mean(found) - expected) < 4.5 * error
