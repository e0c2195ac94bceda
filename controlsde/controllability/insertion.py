"""The insertion map: where one more neuron would lower J fastest.

A neuron σ(W·x + b) with A = 0 in piece k does nothing; J changes with its A at the rate

    g_c = ∂J/∂A_c = Σ_x v̄_kc(x) τ_c(x) σ(W·x + b),      v̄_k = ∂J/∂v_k at the drift points

and A costs the energy Σ_c A_c² e_c, e_c = ∫_k∫ τ_c² σ² ρ dx dt. Per unit of the root of the energy J falls at most at

    s(k, W, b) = √(Σ_c g_c²/e_c) ≤ s_any(k) = √(v̄_kᵀ Q_k⁻¹ v̄_k),

the latter being the fastest that any change of the drift in that piece lowers it. In one dimension the map is over the
neuron's centre −b/W and its steepness |W|; in more, over directions, steepnesses and places.

Comes in: a linearisation. Goes out: s over all pieces and candidates, and the best of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.control.network import activate
from controlsde.controllability.any_drift import AnyDrift
from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.weight_metric import occupation

Array = NDArray[np.float64]

CENTRES, STEEPNESSES = {1: 121, 2: 25, 3: 15}, {1: 41, 2: 9, 3: 6}  # by dimension
DIRECTIONS = {1: 1, 2: 32, 3: 48}
GENTLEST = 0.5  # steepness times the largest extent of the box
ODD = frozenset({"tanh", "sin"})  # σ(−z) = −σ(z): the sign of W and b is that of A


@dataclass(frozen=True, eq=False)
class Insertion:
    """s of all candidates (K, C), with their W (C, d) and b (C,); any: s_any (K,); edges: of the pieces (K+1,).

    centres, steepnesses: the axes of the map; candidates are in the order (direction and sign, steepness, centre).
    """

    edges: Array
    speeds: Array
    W: Array
    b: Array
    any_drift: Array
    centres: Array
    steepnesses: Array

    @property
    def best(self) -> tuple[int, int]:
        """Piece and candidate."""
        piece, candidate = np.unravel_index(int(np.argmax(self.speeds)), self.speeds.shape)
        return int(piece), int(candidate)

    @property
    def best_of_pieces(self) -> Array:
        """The largest s of every piece, (K,)."""
        return np.asarray(self.speeds.max(axis=1))

    def map_of(self, piece: int) -> Array:
        """The largest s over signs or directions: (steepnesses, centres)."""
        shape = (-1, len(self.steepnesses), len(self.centres))
        return np.asarray(self.speeds[piece].reshape(shape).max(axis=0))

    def to_json(self) -> dict[str, object]:
        """The best candidate, its piece, and how fast J falls by it and by the best change of the drift there."""
        piece, candidate = self.best
        return {
            "piece": piece,
            "time": [float(self.edges[piece]), float(self.edges[piece + 1])],
            "W": self.W[candidate].tolist(),
            "b": float(self.b[candidate]),
            "speed": float(self.speeds[piece, candidate]),
            "speed_any_drift": float(self.any_drift[piece]),
        }


def insertion_map(linearisation: Linearisation, any_drift: AnyDrift, rng: np.random.Generator) -> Insertion:
    """rng: of the directions, in two dimensions and more."""
    tracking = linearisation.tracking
    mesh, network, dimension = tracking.mesh, tracking.network, tracking.mesh.dimension
    pieces, points = tracking.grid.pieces, tracking.operator.drift_points
    centres, steepnesses, directions, signs = _axes(linearisation, rng)
    middle = np.array([0.5 * (low + high) for low, high in mesh.box])
    grids = np.meshgrid(np.arange(len(directions)), steepnesses, centres, indexing="ij")
    number, steepness, centre = (grid.ravel() for grid in grids)
    # it bends where direction·(x − middle) = centre
    W = (signs[number] * steepness)[:, None] * directions[number]
    b = -W @ middle - signs[number] * steepness * centre
    gradient = linearisation.objective_gradient().reshape(pieces, -1, dimension)
    factor = np.broadcast_to(network.tangential_factor(points), points.shape)
    mass = occupation(linearisation)
    values = np.asarray(activate(network.activation, points @ W.T + b))  # (k, C)
    on_grid = values[: len(mesh.points)] ** 2
    squares = np.zeros((pieces, len(b)))
    for component in range(dimension):
        slopes = (gradient[..., component] * factor[:, component]) @ values
        energies = (mass * factor[: len(mesh.points), component] ** 2) @ on_grid
        squares += np.divide(slopes**2, energies, out=np.zeros_like(slopes), where=energies > 0.0)
    bound = network.split(tracking.bound)
    allowed = (np.abs(W) <= bound[1].min()).all(axis=1) & (np.abs(b) <= bound[2].min())
    fastest = any_drift.controls_of(gradient.reshape(pieces, -1, 1))[..., 0]
    return Insertion(
        edges=tracking.grid.edges,
        speeds=np.sqrt(squares) * allowed,
        W=W,
        b=b,
        any_drift=np.linalg.norm(fastest, axis=1),
        centres=centres + (middle[0] if dimension == 1 else 0.0),
        steepnesses=steepnesses,
    )


def _axes(linearisation: Linearisation, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Centres about the middle of the box, steepnesses up to what the mesh sees, directions of W, and their signs."""
    mesh, network = linearisation.tracking.mesh, linearisation.tracking.network
    dimension = mesh.dimension
    lengths = np.array([high - low for low, high in mesh.box])
    spacing = min(length / (count - 1) for length, count in zip(lengths, mesh.shape, strict=True))
    reach = 0.5 * float(np.linalg.norm(lengths))
    centres = np.linspace(-reach, reach, CENTRES[dimension])
    steepnesses = np.geomspace(GENTLEST / lengths.max(), 1.0 / spacing, STEEPNESSES[dimension])
    count = DIRECTIONS[dimension]
    if dimension == 1:
        directions = np.ones((1, 1))
    elif dimension == 2:  # half the circle, from anywhere on it: the other half follows
        angles = np.pi * (np.arange(count) + rng.uniform()) / count
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    else:
        directions = rng.standard_normal((count, dimension))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    signs = np.ones(count)
    if network.activation not in ODD:
        directions, signs = np.concatenate([directions, directions]), np.concatenate([signs, -signs])
    return centres, steepnesses, directions, signs
