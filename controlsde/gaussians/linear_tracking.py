"""The best piecewise-constant linear drift that tracks a moving Gaussian on the line: a small problem without any mesh.

Comes in: mean and variance of the reference over time, D, the number of pieces. Goes out: the drifts aₖx + bₖ that
minimise the tracking objective, and how far they stay from the reference.

On a piece,  m' = am + b,  S' = 2aS + 2D  are solved exactly:

    m(h) = e^{ah}m + b h φ(ah),   S(h) = e^{2ah}S + 2D h φ(2ah),   φ(z) = (e^z − 1)/z;

the density stays Gaussian, and for two Gaussians

    ‖N(m, S) − N(n, R)‖² = 1/(2√(πS)) + 1/(2√(πR)) − 2 N(m − n; 0, S + R),     W₂² = (m − n)² + (√S − √R)².

The objective is that of the software, J = ½∫‖ρ − p‖² dt + ½w‖ρ(T) − p(T)‖², without effort, by Gauss and Legendre's
rule on each piece. Drifts that meet mean and variance at the end of every piece are the first guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

Array = NDArray[np.float64]

NODES = 8  # of the rule on each piece
STEEPEST = 200.0  # of |a|·h, in the search for a first guess
ITERATIONS = 2000


@dataclass(frozen=True, eq=False)
class LinearTracking:
    """mean, variance: of the reference at times (n,); D ≥ 0; terminal: the weight w."""

    mean: Callable[[Array], Array]
    variance: Callable[[Array], Array]
    diffusivity: float
    horizon: float
    pieces: int
    terminal: float = 1.0

    @property
    def length(self) -> float:
        """h, of one piece."""
        return self.horizon / self.pieces

    def matching(self) -> Array:
        """(aₖ, bₖ), (K, 2), that meet mean and variance of the reference at the end of every piece."""
        h, d = self.length, self.diffusivity
        edges = np.linspace(0.0, self.horizon, self.pieces + 1)
        means, variances = self.mean(edges), self.variance(edges)
        found = []
        for k in range(self.pieces):
            first, last = variances[k], variances[k + 1]

            def missed(z: float, first: float = first, last: float = last) -> float:
                return float(np.exp(2 * z) * first + 2 * d * h * _phi(2 * z) - last)

            lowest = -STEEPEST if d > 0 else -0.5 * STEEPEST
            z = float(brentq(missed, lowest, 0.25 * STEEPEST, xtol=1e-14))
            found.append((z / h, (means[k + 1] - np.exp(z) * means[k]) / (h * _phi(z))))
        return np.array(found)

    def optimum(self) -> Array:
        """(aₖ, bₖ), (K, 2), at a minimum of J near `matching`."""

        def value(flat: Array) -> tuple[float, Array]:
            controls = torch.tensor(flat.reshape(-1, 2), requires_grad=True)
            objective = self._objective(controls)
            objective.backward()  # type: ignore[no-untyped-call]
            assert controls.grad is not None
            return float(objective.detach()), controls.grad.numpy().ravel()

        start = self.matching().ravel()
        found = minimize(
            value, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "ftol": 1e-16, "gtol": 1e-12}
        )
        return np.asarray(found.x).reshape(-1, 2)

    def objective(self, controls: Array) -> float:
        """J of drifts (K, 2)."""
        return float(self._objective(torch.as_tensor(controls)))

    def errors(self, controls: Array) -> tuple[float, float]:
        """‖ρ(T) − p(T)‖ and W₂(ρ(T), p(T)) of drifts (K, 2)."""
        mean, variance = (ends[-1:] for ends in self._moments(torch.as_tensor(controls))[2:])
        end = np.array([self.horizon])
        other, spread = torch.as_tensor(self.mean(end)), torch.as_tensor(self.variance(end))
        square = float(_l2_square(mean, variance, other, spread))
        gap = float((mean - other) ** 2 + (torch.sqrt(variance) - torch.sqrt(spread)) ** 2)
        return max(square, 0.0) ** 0.5, gap**0.5

    def _moments(self, controls: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean and variance at the nodes, both (K, n), and at the ends of the pieces, both (K + 1,).

        With E = exp ∫a dt from 0 to the end of a piece,  m = E(m₀ + Σ b h φ(ah)/E),  S = E²(S₀ + Σ 2D h φ(2ah)/E²).
        """
        h, d = self.length, self.diffusivity
        a, b = controls[:, :1], controls[:, 1:]
        growth = torch.exp(torch.cumsum(a[:, 0] * h, 0))
        start = np.zeros(1)
        mean, variance = (torch.as_tensor(function(start)) for function in (self.mean, self.variance))
        pushed = b[:, 0] * h * _phi_of(a[:, 0] * h) / growth
        spread = 2 * d * h * _phi_of(2 * a[:, 0] * h) / growth**2
        means = torch.cat([mean, growth * (mean + torch.cumsum(pushed, 0))])
        variances = torch.cat([variance, growth**2 * (variance + torch.cumsum(spread, 0))])
        nodes = torch.as_tensor(h * _rule()[0])
        inner_means = torch.exp(a * nodes) * means[:-1, None] + b * nodes * _phi_of(a * nodes)
        inner_variances = torch.exp(2 * a * nodes) * variances[:-1, None] + 2 * d * nodes * _phi_of(2 * a * nodes)
        return inner_means, inner_variances, means, variances

    def _objective(self, controls: torch.Tensor) -> torch.Tensor:
        means, variances, end_means, end_variances = self._moments(controls)
        nodes, weights = _rule()
        times = self.length * (np.arange(self.pieces)[:, None] + nodes)
        squares = _l2_square(
            means,
            variances,
            torch.as_tensor(self.mean(times.ravel()).reshape(times.shape)),
            torch.as_tensor(self.variance(times.ravel()).reshape(times.shape)),
        )
        end = np.array([self.horizon])
        last = _l2_square(
            end_means[-1], end_variances[-1], torch.as_tensor(self.mean(end)[0]), torch.as_tensor(self.variance(end)[0])
        )
        return 0.5 * self.length * (squares @ torch.as_tensor(weights)).sum() + 0.5 * self.terminal * last


def _rule() -> tuple[Array, Array]:
    """Gauss and Legendre on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return 0.5 + 0.5 * nodes, 0.5 * weights


def _phi(z: float) -> float:
    return float(np.expm1(z) / z) if z != 0 else 1.0


def _phi_of(z: torch.Tensor) -> torch.Tensor:
    small = z.abs() < 1e-4
    safe = torch.where(small, torch.ones_like(z), z)
    return torch.where(small, 1 + z / 2 + z**2 / 6, torch.expm1(safe) / safe)


def _l2_square(m: torch.Tensor, s: torch.Tensor, n: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    both = s + r
    cross = torch.exp(-0.5 * (m - n) ** 2 / both) / torch.sqrt(2 * torch.pi * both)
    return 0.5 / torch.sqrt(torch.pi * s) + 0.5 / torch.sqrt(torch.pi * r) - 2 * cross
