"""Forward marginals of mixtures with full covariances: every Gaussian shrunk and blurred, summed over images.

    q(s, x) = Σ_c Σ_k w_k N(y_c(x); a m_k, a² S_k + v I),   a = e^{-κs}, v the variance of the noise until s

Exact without walls; with walls for heat, whose kernel the images fold or wrap. The images stand at s = 0, too: what
little of the mixture lies beyond a wall is folded, or wrapped, into the box.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from controlsde.densities import CorrelatedMixture
from controlsde.densities.density import Array, as_points
from controlsde.densities.norms import squared_norm
from controlsde.densities.products import log_sum
from controlsde.reference.flows import Free, Noising, Walls, sample_noised

LEAST_BLUR = 1e-300  # so that walls give their images of the data themselves, too


@dataclass(frozen=True)
class CorrelatedClosedForm:
    """The flow q above. (Images do not fold the Ornstein–Uhlenbeck kernel, so that process is only given `Free`.)"""

    data: CorrelatedMixture
    process: Noising
    walls: Walls

    @property
    def description(self) -> str:
        """How q is computed."""
        count = self.data.weights.size
        return f"{self.walls.label}: {count} correlated component{'s' if count > 1 else ''}"

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        return np.exp(self._evaluate(s, x)[0])

    def score(self, s: float, x: Array) -> Array:
        """∇ log q(s, x) at points (n, d), shape (n, d)."""
        return self._evaluate(s, x)[1]

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d)."""
        return sample_noised(self.data, self.process, self.walls, s, n, rng)

    def squared_norm(self, s: float) -> float | None:
        """∫q(s, ·)²; None between walls: their images are those of heat, which shrinks nothing."""
        if not isinstance(self.walls, Free):
            return None
        return squared_norm(self.data.spread(self.process.shrink(s), self.process.blur(s)))

    def _evaluate(self, s: float, x: Array) -> tuple[Array, Array]:
        points, blur = as_points(x, self.data.dimension), self.process.blur(s)
        copies = itertools.product(*(self.walls.copies(axis, max(blur, LEAST_BLUR)) for axis in range(points.shape[1])))
        signs, shifts = np.moveaxis(np.array(list(copies)), 2, 0)  # each (copies, d)
        seen = signs[:, None, :] * points + shifts[:, None, :]
        mixture = self.data.spread(self.process.shrink(s), blur)
        levels, scores = mixture.log_density(seen.reshape(-1, points.shape[1]))
        log_density, shares = log_sum(levels.reshape(seen.shape[:2]))
        return log_density, np.einsum("cn,ci,cni->ni", shares, signs, scores.reshape(seen.shape))
