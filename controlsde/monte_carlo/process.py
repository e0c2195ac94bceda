"""What every backend simulates: a drift, walls, a clock and a scheme, in box coordinates.

    X = centre + half ∘ Z,      Z ∈ [−1, 1]ᵈ,      dZ = v(t, X)/half dt + √(2D)/half dW

so that walls stand at ±1 for everyone, and single precision places a particle as well in a box far from zero as
anywhere. In free space there are no walls, and the box is only a unit: [−1, 1]ᵈ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift, NetworkDrift
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.monte_carlo.clock import Clock

if TYPE_CHECKING:
    from controlsde.control.controls import Controls
    from controlsde.control.network import Network

Array = NDArray[np.float64]

SCHEMES = ("heun", "euler-maruyama")
NO_WALLS = "none"  # the walls of free space
RUNGE_KUTTA = "runge-kutta"  # the scheme of every process without noise
QUARTER = 4  # of the steps are enough for a scheme of order 4
WIDEST = 1.0 / 3.0  # the largest variance of a step, in box coordinates, that feels one wall alone
TOUCHING = 12.0  # times the variance: at a greater product of distances from a wall, even the number 2⁻³³ moves nothing


@dataclass(frozen=True, eq=False)
class BoxNetwork:
    """A network drift in box coordinates: v/half = τ ∘ A σ(W z + b), A (K, d, m), W (K, m, d), b (K, m)."""

    activation: str
    tangential: bool
    a: Array
    w: Array
    b: Array

    @staticmethod
    def of(network: Network, controls: Controls) -> BoxNetwork:
        """W(centre + half z) + b = (W half) z + (b + W centre)."""
        low, high = np.asarray(network.box, dtype=float).T
        centre, half = 0.5 * (low + high), 0.5 * (high - low)
        return BoxNetwork(
            network.activation,
            network.tangential,
            controls.A / half[:, None],
            controls.W * half,
            controls.b + controls.W @ centre,
        )


@dataclass(frozen=True, eq=False)
class Process:
    """dX = v dt + √(2D) dW between walls, step by step. Particles start at t = 0 and end at T."""

    drift: Drift
    box: tuple[tuple[float, float], ...]
    walls: str
    scheme: str
    clock: Clock

    @staticmethod
    def of(
        drift: Drift,
        diffusivity: Diffusivity,
        box: tuple[tuple[float, float], ...],
        walls: str,
        steps_per_piece: int,
        scheme: str = "heun",
        draws: int = 1,
    ) -> Process:
        """diffusivity: ηD₀(t). Where it vanishes the scheme is Runge–Kutta's of order 4, with a quarter of the steps.

        draws: see `Clock`. Raises ValueError for an unknown scheme.
        """
        if scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(SCHEMES)} (got {scheme!r})")
        edges = np.asarray(drift.edges, dtype=float)
        if diffusivity.mean(float(edges[0]), float(edges[-1])) > 0.0:
            return Process(drift, box, walls, scheme, Clock.of(edges, diffusivity, steps_per_piece, draws))
        steps = max(1, -(-steps_per_piece // QUARTER))
        return Process(drift, box, walls, RUNGE_KUTTA, Clock.of(edges, diffusivity, steps))

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.box)

    @property
    def noisy(self) -> bool:
        """Whether particles diffuse."""
        return self.scheme != RUNGE_KUTTA

    @cached_property
    def centre(self) -> Array:
        """The centre of the box, (d,)."""
        return np.array([0.5 * (low + high) for low, high in self.box])

    @cached_property
    def half(self) -> Array:
        """Half the lengths of the box, (d,)."""
        return np.array([0.5 * (high - low) for low, high in self.box])

    @cached_property
    def deviation(self) -> Array:
        """The standard deviation of every normal number, in box coordinates: (S, draws, d)."""
        return np.asarray(self.clock.deviation[:, :, None] / self.half)

    @cached_property
    def variance(self) -> Array:
        """The variance of the noise of every step, in box coordinates: (S, d)."""
        return np.asarray(self.clock.variance[:, None] / self.half**2)

    @cached_property
    def network(self) -> BoxNetwork | None:
        """The drift in box coordinates where it is a network, for backends that compile it in; else None.

        None in free space, too: loops over neurons are for few of them, and for few dimensions.
        """
        if isinstance(self.drift, NetworkDrift) and self.walls != NO_WALLS:
            return BoxNetwork.of(self.drift.network, self.drift.controls)
        return None

    def inward(self, x: Array) -> Array:
        """Points of the box (n, d) in box coordinates."""
        return np.asarray((x - self.centre) / self.half)

    def outward(self, z: NDArray[np.floating]) -> Array:
        """Box coordinates (n, d) as points of the box."""
        return np.asarray(self.centre + self.half * z)


@dataclass(frozen=True, eq=False)
class Positions:
    """Where particles are, in box coordinates (n, d), and which are alive (n,): all, unless the walls absorb."""

    z: NDArray[np.floating]
    alive: NDArray[np.bool_]
