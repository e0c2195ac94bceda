"""A mixture of correlated Gaussians, given that the point is in a box.

Its mass there by quadrature on the box, of those components that a wall cuts: the others might lie between the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.densities.box_mass import masses_in_box
from controlsde.densities.correlated import CorrelatedMixture
from controlsde.densities.density import Array, Box, as_points
from controlsde.densities.formula_density import SUBINTERVALS, gauss_grid

LEAST_MASS = 1e-3  # on the box: what samples are drawn and thrown away for
MAX_ERROR = 1e-6  # between two quadratures of the mass
MISSED = 1e-3  # between a quadrature on the box and that of each component, which is less exact but misses none


@dataclass(frozen=True)
class ConditionedDensity:
    """`whole` / `mass` on `box`, 0 outside, in two or three dimensions; build it with `condition_on`."""

    whole: CorrelatedMixture
    box: Box
    mass: float

    @classmethod
    def condition_on(cls, whole: CorrelatedMixture, box: Box) -> ConditionedDensity:
        """Condition a mixture on a box, one (low, high) a dimension.

        Raises ValueError, with the cure, when next to nothing of it is there, or it is too narrow there.
        """
        masses = masses_in_box(whole.means, whole.covariances, box)
        expected = float(whole.weights @ masses)
        if expected < LEAST_MASS:
            raise ValueError(f"the density has only {expected:.1e} of its mass in the box: move or widen the box")
        inside, cut = float(whole.weights[masses == 1.0].sum()), (masses > 0.0) & (masses < 1.0)
        fine, coarse = (inside + _mass(whole, cut, box, SUBINTERVALS[len(box)] // k) for k in (1, 2))
        change, missed = abs(fine - coarse) / expected, abs(fine - expected) / expected
        if change > MAX_ERROR or missed > MISSED:
            apart = max(change, missed)
            raise ValueError(
                f"the density is too narrow for its box (two quadratures of its mass differ by {apart:.1e}): use a "
                "smaller box, or one whose walls it stays away from"
            )
        return cls(whole, box, fine)

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return len(self.box)

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,); the box is closed."""
        points = as_points(x, self.dimension)
        return np.where(self._inside(points), self.whole.pdf(points) / self.mass, 0.0)

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d); 0 outside the box."""
        points = as_points(x, self.dimension)
        return np.where(self._inside(points)[:, None], self.whole.grad(points) / self.mass, 0.0)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points by rejection, shape (n, d)."""
        kept = np.empty((0, self.dimension))
        while len(kept) < n:
            drawn = self.whole.sample(1 + int(1.1 * (n - len(kept)) / self.mass), rng)
            kept = np.concatenate([kept, drawn[self._inside(drawn)]])
        return kept[:n]

    def _inside(self, points: Array) -> np.ndarray:
        low, high = np.array(self.box).T
        return np.asarray(np.all((points >= low) & (points <= high), axis=1))


def _mass(whole: CorrelatedMixture, chosen: NDArray[np.bool_], box: Box, subintervals: int) -> float:
    """What some of the components have of the mass of the whole in a box, by quadrature."""
    if not np.any(chosen):
        return 0.0
    points, weights = gauss_grid(box, subintervals)
    part = CorrelatedMixture(whole.weights[chosen], whole.means[chosen], whole.covariances[chosen])
    return float(whole.weights[chosen].sum() * (weights @ part.pdf(points)))
