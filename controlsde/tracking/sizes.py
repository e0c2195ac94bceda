"""Sizes of the discrete tracking problem, of which its costs follow.

Comes in: a problem, and a mesh or none. Goes out: counts; without a mesh by estimates from above that build nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from controlsde.compiled.library import whole
from controlsde.fokker_planck.mesh import Axis, Mesh
from controlsde.problem import Problem

AUTO_GUESS = {1: 12, 2: 6, 3: 3}  # elements that `auto` takes on an axis; in two and three dimensions the most


@dataclass(frozen=True)
class Sizes:
    """Sizes of a discrete tracking problem; `operator` counts the non-zeros of A(v) with its diagonal."""

    dimension: int
    unknowns: int
    operator: int
    pieces: int
    steps_per_piece: int
    stages: int
    width: int
    degree: int
    coupled_norm: bool = False  # whether the norm of the error couples all nodes, as Ḣ⁻¹ does
    coupled_pieces: bool = False  # whether the objective couples the weights of one piece with those of the next
    priced: bool = True  # whether it prices the weights at all
    priced_energy: bool = False  # whether it prices the energy, which couples all weights of a piece
    free: bool = False  # whether the lengths of the pieces are variables, too
    matrices: int = 0  # that are factorised: one a piece, or one a step where the diffusivity varies; K where it is 0

    @property
    def weights_per_piece(self) -> int:
        """P = m (2d + 1)."""
        return self.width * (2 * self.dimension + 1)

    @property
    def steps(self) -> int:
        """L = K·S."""
        return self.pieces * self.steps_per_piece

    @property
    def stage_values(self) -> int:
        """Unknowns at all stages, L·s·n."""
        return self.steps * self.stages * self.unknowns

    @property
    def weights(self) -> int:
        """N = K·P."""
        return self.pieces * self.weights_per_piece

    @property
    def factorised(self) -> int:
        """How many matrices are factorised."""
        return self.matrices or self.pieces


def sizes_of(problem: Problem, mesh: Mesh | None) -> Sizes:
    """The sizes of the discrete problem on a mesh; without one, by estimates from above that build nothing."""
    if mesh is not None and mesh.walls == "absorbing" and problem.noise == 0:  # then the walls carry unknowns, too
        mesh = Mesh(tuple(replace(axis, walls="reflecting") for axis in mesh.axes))
    unknowns = estimated_unknowns(problem) if mesh is None else len(mesh.mass)
    coupled = 1 + problem.dimension * 2 * problem.mesh.degree  # nodes that a corner of elements sees
    return Sizes(
        dimension=problem.dimension,
        unknowns=unknowns,
        operator=unknowns * coupled if mesh is None else operator_entries(mesh),
        pieces=problem.controls.pieces,
        steps_per_piece=problem.mesh.first_steps,
        stages=problem.mesh.stages,
        width=int(problem.network.width or problem.dimension),
        degree=problem.mesh.degree,
        coupled_norm=problem.objective.norm != "l2",
        coupled_pieces=problem.objective.variation > 0,
        priced=problem.objective.effort > 0 or problem.objective.variation > 0,
        priced_energy=problem.objective.energy > 0,
        free=problem.controls.free,
        matrices=matrices_of(problem),
    )


def estimated_unknowns(problem: Problem) -> int:
    """Unknowns of the problem's mesh; from above, where it is chosen later."""
    elements = problem.mesh.elements
    counts = (AUTO_GUESS[problem.dimension],) * problem.dimension if elements == "auto" else elements
    total = 1
    for count in counts:
        total *= int(count) * problem.mesh.degree + 1
    return total


def matrices_of(problem: Problem) -> int:
    """How many matrices are factorised: one a piece, or one a step where the diffusivity varies in time."""
    reference = problem.reference
    varies = reference.kind == "reversed-diffusion" and reference.forward.kind in ("vp", "ve") and problem.noise > 0
    return problem.controls.pieces * (problem.mesh.first_steps if varies else 1)


def operator_entries(mesh: Mesh) -> int:
    """Non-zeros of A(v), its diagonal included: ∏ n_i + Σ_i (|A_i| − n_i) ∏_{j≠i} n_j over the axes."""
    sizes = [len(axis.mass) for axis in mesh.axes]
    total = int(np.prod(sizes))
    return total + sum(
        (_axis_entries(axis) - size) * (total // size) for axis, size in zip(mesh.axes, sizes, strict=True)
    )


def _axis_entries(axis: Axis) -> int:
    """Pairs of unknowns of one axis that share an element."""
    size = len(axis.grid)
    rows = np.repeat(axis.index, axis.degree + 1, axis=1).ravel()
    columns = np.tile(axis.index, (1, axis.degree + 1)).ravel()
    coupled = sp.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsr()
    return int((axis.prolongation.T @ coupled @ axis.prolongation).nnz)


def sparse_factor_bytes(unknowns: int) -> int:
    """Bytes of one real and one complex sparse factorisation."""
    return int(24 * 40 * unknowns**1.5)


def line_numbers(unknowns: int, degree: int) -> int:
    """Numbers in the factors of one matrix by the loops of a line, at three stages."""
    elements = max(1, unknowns // degree)
    lanes, room = whole(elements), whole(elements + 2)
    nodes, inner = degree + 1, degree - 1
    return int((nodes**2 + 3 * inner**2 + 12 * inner) * lanes + 6 * room**2)


def front_numbers(dimension: int, unknowns: int) -> float:
    """Numbers in the factors of one matrix by compiled fronts: counted on meshes of degree 3 to 8, within a third."""
    return float(32.0 * unknowns**1.2 if dimension == 2 else 22.0 * unknowns**1.45)
