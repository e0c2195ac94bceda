"""References in free space, drifts with closed forms, and counts that tests of likelihoods and bounds share."""

from dataclasses import dataclass

import numpy as np

from controlsde.fokker_planck.diffusivity import Steady
from controlsde.reference.flows import ForwardProcess
from controlsde.reference.free_space import FreeReference


def ornstein_uhlenbeck(data, horizon=2.0, start=None):
    return FreeReference(data, ForwardProcess(1.0, 1.0), None, lambda _, x: -x, Steady(1.0), horizon, start)


@dataclass(frozen=True)
class LinearDrift:
    """v = Mx + c at all times."""

    matrix: np.ndarray
    shift: np.ndarray
    edges: np.ndarray
    constant: bool = True

    def values(self, piece, t, x):  # noqa: ARG002
        return x @ self.matrix.T + self.shift

    def divergence(self, piece, t, x):  # noqa: ARG002
        return np.full(len(x), np.trace(self.matrix))


@dataclass(frozen=True)
class MovedDrift:
    """Another drift and δ = slope·x + shift on top of it."""

    drift: object
    slope: float
    shift: np.ndarray

    @property
    def edges(self):
        return self.drift.edges

    def values(self, piece, t, x):
        return self.drift.values(piece, t, x) + self.slope * x + self.shift

    def divergence(self, piece, t, x):
        return self.drift.divergence(piece, t, x) + self.slope * x.shape[1]


def agree(first, second, errors=3.0):
    """Two estimates within so many standard errors of their difference."""
    return abs(first.value - second.value) < errors * np.hypot(first.standard_error, second.standard_error)
