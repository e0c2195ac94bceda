"""Tracking problems with known answers."""

import numpy as np

from controlsde.problem import load_problem
from controlsde.tracking.posed import Posed


def gaussian(pieces=4, horizon=0.5, noise=1.0, mean=0.0, deviation=1.0, half=6.0, elements=12, width=2, **changes):
    """Data N(mean, deviation²) reversed from Ornstein and Uhlenbeck's process with D₀ = 1, and relu neurons."""
    problem = load_problem(
        "two-bumps",
        set={
            "domain": {"box": [[-half, half]]},
            "reference": {
                "kind": "reversed-diffusion",
                "horizon": horizon,
                "data": {"kind": "mixture", "means": [mean], "stds": [deviation]},
            },
            "noise": noise,
            "network": {"width": width, "activation": "relu"},
            "controls": {"pieces": pieces},
            "mesh": {"elements": [elements], "degree": 10, "steps_per_piece": 2},
            **changes,
        },
    )
    return Posed.of(problem).on()


def linear_drift(tracking, slopes, offsets):
    """Weights (K, P) of v = slope x + offset: both neurons are active on all of the box."""
    slopes, offsets = np.asarray(slopes, dtype=float), np.asarray(offsets, dtype=float)
    level = 20.0
    a = np.stack([slopes, (offsets - level * slopes) / level], axis=1)[:, None, :]
    pieces = len(slopes)
    w = np.tile([[[1.0], [0.0]]], (pieces, 1, 1))
    return tracking.network.join(a, w, np.full((pieces, 2), level))


def uniform(pieces=4, horizon=0.2, noise=0.1, elements=6, activation="sin", **changes):
    """The uniform density on [0, 1], D₀ = 1, which stays as it is without a drift."""
    problem = load_problem(
        "two-bumps",
        set={
            "domain": {"box": [[0, 1]]},
            "reference": {
                "kind": "reversed-diffusion",
                "forward": "heat",
                "horizon": horizon,
                "data": {"kind": "formula", "expression": "1"},
            },
            "noise": noise,
            "network": {"width": 1, "activation": activation},
            "controls": {"pieces": pieces},
            "mesh": {"elements": [elements], "degree": 8, "steps_per_piece": 4},
            **changes,
        },
    )
    return Posed.of(problem).on()
