"""Problems with a known answer, made to deceive, and what the verification says of them."""

import math
from dataclasses import dataclass

import numpy as np

from controlsde.control.controls import Controls
from controlsde.problem import ProblemError, load_problem
from controlsde.reference import ReferenceError  # noqa: A004
from controlsde.workflow.solving import evaluate

from . import oracles

FEW = {"monte_carlo.particles": 2000, "monte_carlo.steps_per_piece": 16}
ALLOWED = 0.05  # of ‖p(T)‖


@dataclass(frozen=True)
class Told:
    """verified, and by how much of ‖p(T)‖ the reported L² error at T is wrong; None where the problem was refused."""

    verified: bool
    wrong: float
    failed: tuple[str, ...] = ()

    @property
    def honest(self):
        return not self.verified or self.wrong <= ALLOWED


def mixture(weights, means, stds):
    means, stds = (np.array(part, dtype=float).reshape(len(weights), -1) for part in (means, stds))
    return np.array(weights, dtype=float), means, stds**2


def spec(parts):
    weights, means, variances = parts
    return {
        "kind": "mixture", "weights": weights.tolist(), "means": means.tolist(), "stds": np.sqrt(variances).tolist(),
    }  # fmt: skip


def told(settings, truth, scale, controls=None):
    try:
        result = evaluate(load_problem("two-bumps", set={"mesh.elements": "auto", **FEW, **settings}), controls)
    except (ProblemError, ReferenceError):
        return Told(False, 0.0, ("refused",))
    failed = tuple(check.name for check in result.certificate.failed)
    return Told(result.verified, abs(result.tracking.l2_final - truth) / scale, failed)


def affine_drift(start, data, reference, noise, horizon, rate=-0.5, shift=0.2, extra="", moved=0.0, diffusivity=1.0):
    """v = rate·x + shift on every axis, in a wide box: mixtures stay mixtures. extra: a formula that moves mass by
    `moved` as a whole, for a rate near 0."""
    dimension = data[1].shape[1]
    expressions = [f"{rate!r}*{name} + {shift!r}{extra}" for name in "xyz"[:dimension]]
    rho = oracles.affine(start, rate, shift, noise * diffusivity, horizon)
    rho = rho[0], rho[1] + moved, rho[2]
    settings = {
        "domain.box": [[-9, 9]] * dimension,
        "reference": reference,
        "noise": noise,
        "controls.pieces": 2,
        "network.width": 1,
        "drift": {"kind": "formula", "expressions": expressions},
    }
    return told(settings, oracles.mixture_distance(rho, data), oracles.mixture_norm(data))


def reversed_heat(data, noise, horizon, **more):
    reference = {
        "kind": "reversed-diffusion",
        "forward": {"kind": "heat", "diffusivity": 0.1},
        "horizon": horizon,
        "data": spec(data),
    }
    return affine_drift(oracles.heat(data, horizon, 0.1), data, reference, noise, horizon, diffusivity=0.1, **more)


def reversed_ornstein_uhlenbeck(data, noise, horizon, **more):
    reference = {
        "kind": "reversed-diffusion", "forward": "ornstein-uhlenbeck", "horizon": horizon, "data": spec(data),
    }  # fmt: skip
    return affine_drift(oracles.ornstein_uhlenbeck(data, horizon), data, reference, noise, horizon, **more)


def edges_around(at, width):
    """Of cells on [−5, 5], finer at a strip that begins at `at`."""
    near = at + width * np.linspace(-1, 2, 61)
    further = width * np.geomspace(1, 0.5 / width, 60)
    edges = np.unique(np.concatenate([np.linspace(-5, 5, 4001), near, at - further, at + width + further]))
    return edges[(edges >= -5) & (edges <= 5)]


def strip_in_a_forward_drift(width, inside, at=0.1003, horizon=0.5):
    """f = −x, but `inside` on a strip, and v = 0 without noise: ρ(T) is the noised data, by finite volumes that see it.

    The data lie left of the strip.
    """
    edges = edges_around(at, width)
    centres, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    target = np.exp(-((centres + 1) ** 2) / (2 * 0.25)) / math.sqrt(2 * math.pi * 0.25)
    speeds = np.where(np.abs(edges[1:-1] - at - width / 2) < width / 2, inside, -edges[1:-1])
    noised = oracles.finite_volumes(edges, speeds, 1.0, target * widths, horizon, "reflecting", 800)
    text = f"where(abs(x - {at + width / 2!r}) < {width / 2!r}, {inside!r}, -x)"
    settings = {
        "domain.box": [[-5, 5]],
        "reference": {
            "kind": "reversed-diffusion",
            "forward": {"kind": "formula", "drift": text, "diffusivity": 1.0},
            "horizon": horizon,
            "data": {"kind": "mixture", "means": [-1.0], "stds": [0.5]},
        },
        "noise": 0,
        "controls.pieces": 1,
        "network.width": 1,
        "drift": {"kind": "formula", "expressions": ["0"]},
    }
    truth = math.sqrt(np.sum((noised / widths - target) ** 2 * widths))
    return told(settings, truth, math.sqrt(np.sum(target**2 * widths)))


def across_a_strip(noise, width, inside, at=0.1003, outside=2.0, walls="reflecting", network=False, horizon=1.0):
    """v = outside, but `inside` on a strip: a mass that has to cross it, against finite volumes that see it."""
    if network:
        steep, half = 200 / width, 0.5 * (outside - inside)
        controls = Controls(
            np.array([[[outside, -half, half]]]),
            np.array([[[0.0], [steep], [steep]]]),
            np.array([[30.0, -steep * at, -steep * (at + width)]]),
            np.array([0.0, horizon]),
        )
        drift = {}
    else:
        controls = None
        text = f"where(abs(x - {at + width / 2!r}) < {width / 2!r}, {inside!r}, {outside!r})"
        drift = {"drift": {"kind": "formula", "expressions": [text]}}
    edges = edges_around(at, width)
    centres, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    masses = np.exp(-((centres + 1) ** 2) / (2 * 0.36)) * widths
    speeds = np.where(np.abs(edges[1:-1] - at - width / 2) < width / 2, inside, outside)
    masses = oracles.finite_volumes(edges, speeds, noise, masses / masses.sum(), horizon, walls, 800)
    target = np.exp(-(centres**2) / (2 * 0.25)) / math.sqrt(2 * math.pi * 0.25)
    settings = {
        "domain.box": [[-5, 5]],
        "domain.walls": walls,
        "reference": {
            "kind": "displacement",
            "from": {"kind": "mixture", "means": [-1.0], "stds": [0.6]},
            "to": {"kind": "mixture", "means": [0.0], "stds": [0.5]},
            "horizon": horizon,
            "diffusivity": 1.0,
        },
        "noise": noise,
        "controls.pieces": 1,
        "network.width": 3,
        **drift,
    }
    truth = math.sqrt(np.sum((masses / widths - target) ** 2 * widths))
    return told(settings, truth, math.sqrt(np.sum(target**2 * widths)), controls)


def pulse(width, height, at=0.4321):
    """A schedule with a pulse, in s."""
    return f"0.1 + where(abs(s - {at}) < {width!r}, {height!r}, 0)"


def exact_drift(forward, noise, steps=16):
    """The exact drift of N(1.5, 0.3²) under a forward process: it ends in the data, whatever happens."""
    data = mixture([1.0], [1.5], [0.3])
    settings = {
        "domain.box": [[-5, 5]],
        "reference": {"kind": "reversed-diffusion", "forward": forward, "horizon": 1, "data": spec(data)},
        "noise": noise,
        "controls.pieces": 2,
        "network.width": 1,
        "drift": {"kind": "exact"},
        "monte_carlo.steps_per_piece": steps,
    }
    return told(settings, 0.0, oracles.mixture_norm(data))


def shrinking(data, horizon, elements):
    """Ornstein and Uhlenbeck's process with next to no noise, and v = 0: ρ stays what the data shrink to."""
    settings = {
        "domain.box": [[-5, 5]],
        "reference": {
            "kind": "reversed-diffusion",
            "forward": {"kind": "ornstein-uhlenbeck", "diffusivity": 1e-9},
            "horizon": horizon,
            "data": spec(data),
        },
        "mesh.elements": [elements],
        "noise": 0,
        "controls.pieces": 2,
        "network.width": 1,
        "drift": {"kind": "formula", "expressions": ["0"]},
    }
    rho = oracles.ornstein_uhlenbeck(data, horizon, 1e-9)
    return told(settings, oracles.mixture_distance(rho, data), oracles.mixture_norm(data))


def barrier_in_the_plane(depth=0.8, width=1e-3, at=0.1003, diffusivity=0.05, side=30.0):
    """v = 1 along x, but against it on a strip where |y| < 1.7, which is where the density is; a box far longer in y.

    Along x by finite volumes that see the strip; along y a Gaussian that spreads.
    """
    against = depth * diffusivity / (width * math.sqrt(2 * math.pi))
    near, further = at + width * np.linspace(-8, 8, 321), np.geomspace(8 * width, 12, 150)
    edges = np.unique(np.concatenate([np.linspace(-6, 6, 2001), near, at - further, at + further]))
    edges = edges[(edges >= -6) & (edges <= 6)]
    centres, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    masses = np.exp(-((centres + 0.5) ** 2) / (2 * 0.25)) * widths
    speeds = 1.0 - against * np.exp(-(((edges[1:-1] - at) / width) ** 2) / 2)
    masses = oracles.finite_volumes(edges, speeds, diffusivity, masses / masses.sum(), 1.0, "reflecting", 400)
    after = math.sqrt(0.25 + 2 * diffusivity), math.sqrt(0.16 + 2 * diffusivity)
    target = np.exp(-((centres - 0.5) ** 2) / (2 * after[0] ** 2)) / math.sqrt(2 * math.pi) / after[0]
    along_y = 1 / (2 * math.sqrt(math.pi) * after[1])  # ∫ of the square of the Gaussian in y
    window = "0.5*(tanh(4*(y + 1.7)) - tanh(4*(y - 1.7)))"
    ends = [
        {"kind": "mixture", "means": [[-0.5, 0.0]], "stds": [[0.5, 0.4]]},
        {"kind": "mixture", "means": [[0.5, 0.0]], "stds": [list(after)]},
    ]
    settings = {
        "domain.box": [[-6, 6], [-side, side]],
        "reference": {"kind": "displacement", "from": ends[0], "to": ends[1], "horizon": 1.0, "diffusivity": 1.0},
        "noise": diffusivity,
        "controls.pieces": 1,
        "network.width": 1,
        "mesh.elements": [7, 19],
        "mesh.steps_per_piece": 8,
        "drift": {
            "kind": "formula",
            "expressions": [f"1 - {against!r}*exp(-((x - {at!r})/{width!r})**2/2)*{window}", "0"],
        },
    }
    truth = math.sqrt(along_y * np.sum((masses / widths - target) ** 2 * widths))
    return told(settings, truth, math.sqrt(along_y * np.sum(target**2 * widths)))


def pressed_together(rate=2.8, elements=(80, 2)):
    """v = (−rate·x, 0) without noise: in the end the density is narrower than the cells on which it is compared."""
    start = mixture([1.0], [[0.013, 0.0]], [[0.5, 0.2]])
    data = mixture([1.0], [[0.0, 0.0]], [[0.5, 0.2]])
    ends = {"from": spec(start), "to": spec(data)}
    settings = {
        "domain.box": [[-5, 5], [-1, 1]],
        "reference": {"kind": "displacement", **ends, "horizon": 1.0, "diffusivity": 1.0},
        "noise": 0,
        "controls.pieces": 1,
        "network.width": 1,
        "mesh.elements": list(elements),
        "mesh.steps_per_piece": 10,
        "drift": {"kind": "formula", "expressions": [f"-{rate!r}*x", "0"]},
    }
    growth = math.exp(-rate)
    rho = mixture([1.0], [[0.013 * growth, 0.0]], [[0.5 * growth, 0.2]])
    return told(settings, oracles.mixture_distance(rho, data), oracles.mixture_norm(data))


def kicked_once_around(kick=0.6, width=1e-5, noise=1e-7, at=2.0123):
    """Mass goes once around y at the speed 16, and on the way crosses a strip that moves it along x by `kick`.

    On a torus of product form: shifted in x, back where it was in y, by Fourier series; noise next to none.
    """
    speed = 16 * kick / (width * math.sqrt(2 * math.pi))
    ends = {"kind": "formula", "expression": "exp(cos(pi*x/2) + 40*(cos(pi*y/8) - 1))"}
    settings = {
        "domain.box": [[-2, 2], [-8, 8]],
        "domain.walls": "periodic",
        "reference": {"kind": "moser", "from": ends, "to": ends, "horizon": 1.0, "diffusivity": 1.0},
        "noise": noise,
        "controls.pieces": 1,
        "network.width": 1,
        "mesh.elements": [1, 16],
        "mesh.steps_per_piece": 96,
        "drift": {"kind": "formula", "expressions": [f"{speed!r}*exp(-((y - {at!r})/{width!r})**2/2)", "16"]},
    }
    x, y = np.arange(1024) / 256 - 2, np.arange(1024) / 64 - 8
    along_x, along_y = np.exp(np.cos(np.pi * x / 2)), np.exp(40 * (np.cos(np.pi * y / 8) - 1))
    along_x, along_y = along_x * 256 / along_x.sum(), along_y * 64 / along_y.sum()
    waves = 2 * np.pi * np.fft.fftfreq(1024, 1 / 256)
    moved = np.fft.ifft(np.fft.fft(along_x) * np.exp(-1j * waves * kick)).real
    across = np.sum(along_y**2) / 64
    truth = math.sqrt(np.sum((moved - along_x) ** 2) / 256 * across)
    return told(settings, truth, math.sqrt(np.sum(along_x**2) / 256 * across))
