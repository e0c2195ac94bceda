"""The forward marginal of any drift, by solving its Fokker–Planck equation on a fine mesh between the walls.

    ∂ₛq = −∇·(f q) + D₀Δq,      zero flux at reflecting walls

on spectral elements in space and Radau steps in time with dense output. There is no closed form to compare with: the
equation is solved on finer and finer meshes, time steps shrinking with them, until two solutions agree. Their largest
difference over the box and over time is stated, and where it stays too large the process is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg

from controlsde.densities import Density, GridSampler
from controlsde.densities.density import Array, Box, as_points
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.marching import Marched, UnresolvedError, march
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.stencils import Stencil
from controlsde.reference.quotients import floored_score, ratio
from controlsde.reference.reference import ReferenceError  # noqa: A004

Force = Callable[[Array], Array]  # x (n, d) → f (n, d)

DEGREE = 8
ELEMENTS = {1: (16, 24, 36, 54, 80, 120), 2: (4, 6, 8)}  # an axis
TOLERANCES = {1: 1e-10, 2: 1e-8}  # of a pair of steps on the first mesh; half of it on each one after it
ENOUGH = {1: 1e-9, 2: 1e-6}  # change of q, over its largest value, after which no finer mesh is tried
MOST = {1: 1e-5, 2: 1e-3}  # and up to which the finest mesh is accepted
COMPARED = (0.0, 1e-3, 1e-2, 0.0637, 0.211, 0.5, 0.77, 1.0)  # shares of the horizon at which meshes are compared
POINTS = {1: 1001, 2: 61}  # an axis, of the grid on which they are
DRIFT = ("reference", "forward", "drift")
KEPT = 6  # stencils of the last sets of points


@dataclass(frozen=True, eq=False)
class _Stencils:
    """Stencils at the last few sets of points: references are asked for the same nodes at many times."""

    kept: dict[bytes, Stencil] = field(default_factory=dict)

    def get(self, mesh: Mesh, x: Array) -> Stencil:
        key = x.tobytes()
        if key not in self.kept:
            while len(self.kept) >= KEPT:
                self.kept.pop(next(iter(self.kept)))
            self.kept[key] = Stencil.build(mesh, x)
        return self.kept[key]


@dataclass(frozen=True, eq=False)
class SolvedFlow:
    """q solved on a mesh. `error`: the largest difference to the next coarser solution, over the largest density.

    As for series, scores are ∇q / max(q, 1e-10/volume); at s = 0 density and score are those of the data.
    """

    data: Density
    mesh: Mesh
    solution: Marched
    error: float = math.inf
    _stencils: _Stencils = field(init=False, repr=False, default_factory=_Stencils)
    _samplers: dict[float, GridSampler] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def description(self) -> str:
        """How q is computed."""
        elements = " x ".join(str(axis.elements) for axis in self.mesh.axes)
        return (
            f"solved on {elements} elements of degree {DEGREE} in {2 * self.solution.pairs} steps; "
            f"a coarser mesh differs by {self.error:.0e}"
        )

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        return self.data.pdf(x) if s == 0.0 else self._evaluate(s, x)[0]

    def score(self, s: float, x: Array) -> Array:
        """∇q / max(q, floor) at points (n, d), shape (n, d)."""
        if s == 0.0:
            return ratio(self.data.grad(x), self.data.pdf(x)[:, None])
        return floored_score(*self._evaluate(s, x), self.mesh.box)

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d), from a fine grid (see `densities.sampling`)."""
        if s == 0.0:
            return self.data.sample(n, rng)
        if s not in self._samplers:
            self._samplers[s] = GridSampler.of(lambda x: self.density(s, x), self.mesh.box)
        return self._samplers[s].sample(n, rng)

    def squared_norm(self, s: float) -> None:  # noqa: ARG002 - the mesh was compared with another at all times
        """None: the mesh was compared with another at all times."""
        return

    def on_mesh(self, s: float, x: Array) -> Array:
        """q(s, x) of the mesh, at s = 0, too."""
        return self._evaluate(s, x)[0]

    def _evaluate(self, s: float, x: Array) -> tuple[Array, Array]:
        grid_values = self.mesh.to_grid(self.solution.at(s))
        return self._stencils.get(self.mesh, x).value_and_gradient(grid_values)


@dataclass(frozen=True, eq=False)
class SolvedDensity:
    """A density that `field` holds on a mesh."""

    field: DensityField

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return self.field.mesh.dimension

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d) of the box, shape (n,)."""
        return self._at(x)[0]

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d)."""
        return self._at(x)[1]

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d), from a fine grid."""
        return self._sampler.sample(n, rng)

    @cached_property
    def _sampler(self) -> GridSampler:
        return GridSampler.of(self.pdf, self.field.mesh.box)

    def _at(self, x: Array) -> tuple[Array, Array]:
        return Stencil.build(self.field.mesh, as_points(x, self.dimension)).value_and_gradient(self.field.values)


def solved_flow(data: Density, force: Force, diffusivity: float, horizon: float, box: Box, walls: str) -> SolvedFlow:
    """q from the data under dX = f(X) ds + √(2D₀) dW, reflected at the walls or on a circle.

    Raises ReferenceError, with the cure, where finer meshes do not settle.
    """
    dimension = len(box)
    grid = np.meshgrid(*(np.linspace(low, high, POINTS[dimension]) for low, high in box), indexing="ij")
    points = np.stack([axis.ravel() for axis in grid], axis=1)
    coarse: SolvedFlow | None = None
    for number, elements in enumerate(ELEMENTS[dimension]):
        mesh = Mesh.build(box, walls, (elements,) * dimension, DEGREE)
        fine = _on_mesh(data, mesh, force, diffusivity, horizon, 0.5**number * TOLERANCES[dimension])
        if fine is not None and coarse is not None:
            fine = SolvedFlow(data, mesh, fine.solution, _difference(coarse, fine, horizon, points))
            if fine.error <= ENOUGH[dimension]:
                return fine
        coarse = fine
    if coarse is None or not coarse.error <= MOST[dimension]:
        error = math.inf if coarse is None else coarse.error
        raise ReferenceError(
            f"the forward process is not resolved (two meshes differ by {error:.1e} of the largest density): use "
            "smoother or broader data, a narrower domain.box, a weaker drift, or more reference.forward.diffusivity",
            DRIFT,
        )
    return coarse


def stationary_density(mesh: Mesh, force: Force, diffusivity: float) -> SolvedDensity:
    """The density that the process leaves as it is: A q = 0 with mass one, by one sparse solve.

    (A  m) (q)   (0)
    (mᵀ 0) (λ) = (1),      m the mass; mᵀA = 0 makes λ = 0.
    """
    matrix = _generator(mesh, force, diffusivity)
    column = sp.csr_array(mesh.mass[:, None])
    bordered = sp.block_array([[matrix, column], [column.T, None]], format="csc")
    right = np.zeros(bordered.shape[0])
    right[-1] = 1.0
    return SolvedDensity(DensityField.of_unknowns(mesh, sparse_linalg.splu(bordered).solve(right)[:-1]))


def _generator(mesh: Mesh, force: Force, diffusivity: float) -> sp.csr_array:
    operator = Operator.build(mesh, diffusivity)
    drift = force(operator.drift_points)
    if not np.all(np.isfinite(drift)):
        raise ReferenceError(
            "the forward drift is not finite everywhere on the box: bound it, for instance with min(…)",
            DRIFT,
        )
    return operator.matrix(drift)


def _on_mesh(
    data: Density, mesh: Mesh, force: Force, diffusivity: float, horizon: float, tolerance: float
) -> SolvedFlow | None:
    """The solution on one mesh; None where the data fall between its nodes or no step is short enough."""
    start = data.pdf(mesh.points)
    if not abs(float(mesh.weights @ start) - 1.0) < 0.5:
        return None
    try:
        solution = march(_generator(mesh, force, diffusivity), mesh.unit_mass(start), horizon, tolerance, mesh.mass)
    except UnresolvedError:
        return None
    return SolvedFlow(data, mesh, solution)


def _difference(coarse: SolvedFlow, fine: SolvedFlow, horizon: float, points: Array) -> float:
    """The largest over all compared times of max |q − q_coarse| / max q; at s = 0 to the data themselves."""
    differences = []
    for share in COMPARED:
        s = share * horizon
        values = fine.on_mesh(s, points)
        other = fine.density(0.0, points) if s == 0.0 else coarse.on_mesh(s, points)
        differences.append(float(np.max(np.abs(values - other)) / np.max(np.abs(values))))
    return max(differences)
