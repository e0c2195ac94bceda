"""Free space on real data: scores, log-densities and fits of 1,438 digits of 64 pixels, against peers.

The score of 98,000 points is timed alone, and log p beside scikit-learn's KernelDensity, which gives no score. Its tree
is given one leaf: with smaller ones, as by default, its log p is wrong by several nats in 64 dimensions. The fit, 64
neurons on 16 pieces to ten Gaussians, is timed alone; and on one piece a peer is given the seconds that the fit took:
the same network in PyTorch, back-propagation, Adam with a rate that falls as a cosine, batches of the same exact
samples, drawn beforehand at no charge, the best of three rates; on a CUDA device, too, where there is one. The gradient
of steered particles, which keeps one state a piece, is timed beside back-propagation through the same paths in PyTorch,
and its memory is set beside that of the states of all steps.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import mixture as em
from sklearn.datasets import load_digits
from sklearn.neighbors import KernelDensity

from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.timing import interleaved, ratio
from controlsde.control.network import Network
from controlsde.densities.free_mixture import ComponentMixture, KernelMixture
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.reference.flows import ForwardProcess
from controlsde.reference.free_space import FreeReference
from controlsde.solvers.drift_fitting.drift_samples import DriftSampler, DriftSamples
from controlsde.solvers.drift_fitting.free_score_matching import solve
from controlsde.solvers.drift_fitting.options import ScoreMatching
from controlsde.solvers.shooting.particle_paths import ParticlePaths
from controlsde.tracking.free_tracking import FreeTracking

Array = NDArray[np.float64]

ROWS, POINTS, WIDTH = 1438, 98_000, 0.486845
NEURONS, PIECES, HORIZON = 64, 16, 1.5
PARTICLES, STEPS = 1000, 8
RATES, BATCH, POOL = (3e-3, 1e-2, 3e-2), 512, 40_000
MOST_SCORE_SECONDS, MOST_SCORE_BYTES, MOST_FIT_SECONDS, LEAST_TIMES_SKLEARN = 6.0, 100e6, 60.0, 5.0


def run(fast: bool) -> Report:
    """Measure; `fast` takes a tenth of the points and two pieces."""
    rows = _digits()
    scores, score_goals = _scores(rows, POINTS // 10 if fast else POINTS)
    fits, fit_goals = _fits(rows, 2 if fast else PIECES)
    steered, steering_goals = _steered(PIECES)
    return Report("free_space", (scores, fits, steered), (*score_goals, *fit_goals, *steering_goals))


def _digits() -> Array:
    rng = np.random.default_rng(0)
    pixels = load_digits().data
    rows = (pixels + rng.uniform(size=pixels.shape))[rng.permutation(len(pixels))[:ROWS]]
    rows -= rows.mean(axis=0)
    return np.asarray(rows / np.sqrt((rows**2).mean()))


def _scores(rows: Array, count: int) -> tuple[Table, list[Goal]]:
    kernels = KernelMixture(np.full(len(rows), 1.0 / len(rows)), rows, WIDTH**2)
    points = kernels.sample(count, np.random.default_rng(1))
    peer = KernelDensity(bandwidth=WIDTH, leaf_size=len(rows)).fit(rows)  # its tree is wrong here: see the head
    few = points[: count // 20]  # the peer takes minutes for all
    np.testing.assert_allclose(kernels.log_density(few), peer.score_samples(few), rtol=1e-9)
    tasks: dict[str, Callable[[], object]] = {
        "log p": lambda: kernels.log_density(few),
        "scikit-learn's log p": lambda: peer.score_samples(few),
    }
    timed = interleaved(tasks, 3)
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        _, score = kernels.log_density_and_score(points)
        taken.append(time.perf_counter() - began)
    tracemalloc.start()
    _, score = kernels.log_density_and_score(points)
    peak = tracemalloc.get_traced_memory()[1] - score.nbytes - 8 * count
    tracemalloc.stop()
    least = min(taken)
    faster = ratio(timed["scikit-learn's log p"], timed["log p"])
    table = Table(
        f"kernels about {len(rows)} digits, d = 64",
        ("what", "points", "seconds"),
        (
            ("score and log p", str(count), seconds(least)),
            *((name, str(len(few)), seconds(timing.median)) for name, timing in timed.items()),
        ),
    )
    share = POINTS / count
    return table, [
        Goal(
            f"score of {POINTS} points",
            f"<= {MOST_SCORE_SECONDS:g} s",
            seconds(share * least),
            share * least <= MOST_SCORE_SECONDS,
        ),
        Goal("its memory over the arrays", "<= 100 MB", f"{peak / 1e6:.0f} MB", peak <= MOST_SCORE_BYTES),
        Goal(
            "log p against scikit-learn", f">= {LEAST_TIMES_SKLEARN:g}x", times(faster), faster >= LEAST_TIMES_SKLEARN
        ),
    ]


def _fits(rows: Array, pieces: int) -> tuple[Table, list[Goal]]:
    found = em.GaussianMixture(10, random_state=0).fit(rows)
    data = ComponentMixture.of_covariances(found.weights_, found.means_, found.covariances_)
    reference = FreeReference(data, ForwardProcess(1.0, 1.0), None, lambda _, x: -x, Steady(1.0), HORIZON)
    network = Network(64, NEURONS, "tanh", tangential=False, box=())
    edges = np.linspace(0.0, HORIZON, PIECES + 1)[PIECES - pieces :]
    bound = np.full(network.weights_per_piece, 50.0)
    whole = FreeTracking(network, reference, edges, 1.0, bound, 1.0, 1.0, 1e-5, "auto")
    options = ScoreMatching(start="principal", starts=1, tolerance=0.01)
    began = time.perf_counter()
    outcome = solve(whole, options)
    took = time.perf_counter() - began
    lines = [("all pieces, score matching", seconds(took), f"{outcome.loss:.4g} in training")]
    middle = len(edges) // 2 - 1  # one piece, for which one thread is enough
    piece = FreeTracking(network, reference, edges[middle : middle + 2], 1.0, bound, 1.0, 1.0, 1e-5, "auto")
    rng = np.random.default_rng(2)
    sampler = DriftSampler.of(reference, 1.0, float(piece.edges[0]), float(piece.edges[1]), rng)
    fresh, pool = sampler.draw(20_000, rng), sampler.draw(POOL, rng)
    began = time.perf_counter()
    ours = solve(piece, options)
    budget = time.perf_counter() - began
    lines.append(("one piece, score matching", seconds(budget), f"{_residual(network, ours.weights[0], fresh):.4f}"))
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        reached = [_residual(network, _by_adam(network, pool, rate, budget, device), fresh) for rate in RATES]
        best = int(np.argmin(reached))
        lines.append(
            (f"one piece, autograd and Adam at rate {RATES[best]:g}, {device}", seconds(budget), f"{reached[best]:.4f}")
        )
    table = Table(
        f"fits of {NEURONS} neurons to ten Gaussians, d = 64, noise 1",
        ("what", "seconds", "residual, of E|v*|²"),
        tuple(lines),
    )
    share = PIECES / pieces
    return table, [
        Goal(
            "digits, 64 neurons, 16 pieces",
            f"<= {MOST_FIT_SECONDS:g} s",
            seconds(share * took),
            share * took <= MOST_FIT_SECONDS,
        )
    ]


def _steered(pieces: int) -> tuple[Table, list[Goal]]:
    """The gradient of a function of the states at the ends of the pieces: ours, and by back-propagation."""
    rng = np.random.default_rng(0)
    network = Network(64, NEURONS, "tanh", tangential=False, box=())
    starts, edges = rng.standard_normal((PARTICLES, 64)), np.linspace(0.0, HORIZON, pieces + 1)
    weights = 0.1 * rng.standard_normal((pieces, network.weights_per_piece))
    paths = ParticlePaths(network, edges, np.full(pieces, 1e-2), STEPS, starts, (0,))
    increments = [torch.tensor(paths.increments(k)) for k in range(pieces)]

    def ours() -> Array:
        states = list(paths.states(weights))
        return paths.gradient(weights, states, [2.0 * x for x in states])[0]

    def by_autograd() -> Array:
        theta = torch.tensor(weights, requires_grad=True)
        x, total = torch.tensor(starts), torch.zeros((), dtype=torch.float64)
        h = HORIZON / pieces / STEPS
        for k in range(pieces):
            parts = network.split(theta[k])
            for noise in increments[k]:
                drift = network.drift(x, *parts)
                x = x + 0.5 * h * (drift + network.drift(x + h * drift + noise, *parts)) + noise
            total = total + (x**2).sum()
        total.backward()
        return np.asarray(theta.grad)

    np.testing.assert_allclose(ours(), by_autograd(), rtol=1e-8, atol=1e-8)
    timed = interleaved({"ours": ours, "PyTorch": by_autograd}, 3)
    tracemalloc.start()
    ours()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    every = 2 * pieces * STEPS * starts.nbytes
    table = Table(
        f"gradient of {PARTICLES} steered particles, {NEURONS} neurons, {pieces} pieces of {STEPS} steps, d = 64",
        ("what", "seconds", "memory"),
        (
            ("one state a piece, ours", seconds(timed["ours"].median), f"{peak / 1e6:.0f} MB"),
            ("back-propagation in PyTorch", seconds(timed["PyTorch"].median), f"{every / 1e6:.0f} MB of states"),
        ),
    )
    return table, [Goal("memory over the states of all steps", "< 0.5x", times(peak / every), peak < 0.5 * every)]


def _residual(network: Network, weights: Array, samples: DriftSamples) -> float:
    error = network.drift(samples.points, *network.split(weights)) - samples.drifts
    return float(samples.mass @ (error**2).sum(axis=1)) / samples.square


def _by_adam(network: Network, pool: DriftSamples, rate: float, budget: float, device: str) -> Array:
    """Weights after so many seconds; float64, as ours."""
    generator = torch.Generator().manual_seed(0)
    points, drifts, mass = (torch.tensor(part, device=device) for part in (pool.points, pool.drifts, pool.mass))
    d, m = network.dimension, network.width
    a = torch.zeros(d, m, dtype=torch.float64, device=device, requires_grad=True)
    w = (torch.randn(m, d, generator=generator, dtype=torch.float64) / d**0.5).to(device).requires_grad_()
    b = torch.zeros(m, dtype=torch.float64, device=device, requires_grad=True)
    adam = torch.optim.Adam([a, w, b], lr=rate)
    began = time.perf_counter()
    while (share := (time.perf_counter() - began) / budget) < 1.0:
        adam.param_groups[0]["lr"] = 0.5 * rate * (1.0 + np.cos(np.pi * share))
        chosen = torch.randint(len(points), (BATCH,), generator=generator).to(device)
        error = network.drift(points[chosen], a, w, b) - drifts[chosen]
        loss = len(points) * (mass[chosen] * (error**2).sum(dim=1)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return network.join(*(part.detach().cpu().numpy() for part in (a, w, b)))
