"""What a solve costs, from the sizes of the discrete problem alone: counts, bytes and seconds.

Comes in: unknowns, pieces, steps, stages, weights. Goes out: variables and non-zeros of the collocation program, which
are exact; the size and work of its factors, memory and time, which are power laws fitted to measurements. Run
`python -m benchmarks sizes` to see predicted over measured, and to fit them again.

For K pieces of S steps (L = K·S) with s stages, n unknowns, P weights a piece, and |A| non-zeros in A(v), its diagonal
included, the Jacobian of a step holds A(v_k) once a stage, the other stages of a node, the weights, and the density
before the step; the Hessian of the Lagrangian couples weights with stages, and weights of one neuron.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg

from controlsde.fokker_planck.mesh import Axis, Mesh
from controlsde.fokker_planck.operator import DENSE_LIMIT
from controlsde.solvers.drift_fitting.drift_fit import CHUNK_BYTES
from controlsde.solvers.shooting.multistart import SCREENING_ITERATIONS, kept_of

FACTORISATIONS = 2.0  # an iteration of IPOPT: one, and more where the curvature must be corrected
ITERATIONS = 60  # of IPOPT on this family of problems: 16 to 103 were seen, 60 is common

# Fitted to MUMPS with METIS ordering, 24 programs of 1,188 to 37,104 variables; in three dimensions as in two.
FACTOR_ENTRIES = {1: (13.5, 1.50, 0.99, 1.11), 2: (13.8, 1.60, 1.21, 1.16)}  # c nᵃ sᵇ Lᶜ
FACTOR_FLOPS = {1: (10.3, 2.62, 1.02, 1.19, 0.18), 2: (42.8, 2.42, 1.32, 1.36, 0.089)}  # c nᵃ sᵇ Lᶜ Pᵈ
COUPLED_ENTRIES, COUPLED_FLOPS = 2.8, 4.1  # of a step, over (s·n)² and (s·n)³, where the norm couples all nodes
DENSE_COLUMN_FILL = 2.8  # entries that the columns of the weights add to the factors, over those of the columns

# Bytes of a collocation solve, over what Python with its libraries needs: the factors, and CasADi's functions.
COLLOCATION_BYTES = 16e6
BYTES_PER_FACTOR_ENTRY = 11.6
BYTES_PER_NONZERO = 139.0
BYTES_PER_NONZERO_OF_A_STEP = 2680.0

ITERATIONS_TO_THE_END = 60  # of shooting after the first look: 18 to 154 were seen
ITERATIONS_OF_A_HOP = 15  # from a hop to where it is given up or ends: 10 to 19 on average

SHOOTING_BYTES = 20e6
RESPONSE_ARRAYS = 7.0
FACTOR_ARRAYS = 1.9

# Work that takes as long as one run of `calibration_seconds`.
FLOPS_PER_CALIBRATION = 4.2e7
NONZEROS_PER_CALIBRATION = 4.8e3
SHOOTING_CALIBRATIONS = 0.78
SOLVES_PER_CALIBRATION = 2.8e7  # each of an unknown, times its couplings
RESPONSES_PER_CALIBRATION = 1.0e4
INVERSION_PER_CALIBRATION = 7.7e6

# And for a fit of the exact drift, over calibrations; 19 fits of 3 to 60 weights on 65 to 1,147 nodes
FIT_CALIBRATIONS = 0.015
FIT_JACOBIAN, FIT_NORMAL, FIT_FACTOR = 8e-5, 1.7e-6, 6e-5


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
    def variables(self) -> int:
        """Of the collocation program."""
        return self.stage_values + self.pieces * self.weights_per_piece

    @property
    def jacobian(self) -> int:
        """Non-zeros of ∂g/∂x; the density before the first step is no variable."""
        couplings = self.stages * (self.stages - 1) + self.stages * self.weights_per_piece + self.stages
        step = self.stages * self.operator + couplings * self.unknowns
        return self.steps * step - self.stages * self.unknowns

    @property
    def hessian(self) -> int:
        """Non-zeros of the upper triangle of ∇²(J + λ·g); a few more where walls absorb a noise-free flow."""
        d = self.dimension
        # of one neuron: A_j with (W_j, b_j), these among themselves, and the price of A_j
        neuron = d * (d + 1) + (d + 1) * (d + 2) // 2 + (d if self.priced else 0)
        between = (self.pieces - 1) * self.weights_per_piece if self.coupled_pieces else 0
        norm = (self.unknowns + 1) / 2 if self.coupled_norm else 1
        return self.pieces * self.width * neuron + between + int(self.stage_values * (self.weights_per_piece + norm))

    @property
    def factor_entries(self) -> float:
        """Entries of the factors of IPOPT's system; at most those of a dense one."""
        constant, in_unknowns, in_stages, in_steps = FACTOR_ENTRIES[min(self.dimension, 2)]
        chain = float(constant * self.unknowns**in_unknowns * self.stages**in_stages * self.steps**in_steps)
        if self.coupled_norm:
            chain = max(chain, COUPLED_ENTRIES * self.stage_values * self.stages * self.unknowns)
        order = self.variables + self.stage_values
        return min(chain + DENSE_COLUMN_FILL * self.stage_values * self.weights_per_piece, 0.5 * order * (order + 1))

    @property
    def factor_flops(self) -> float:
        """Floating-point operations of one factorisation."""
        constant, in_unknowns, in_stages, in_steps, in_weights = FACTOR_FLOPS[min(self.dimension, 2)]
        chain = constant * self.unknowns**in_unknowns * self.stages**in_stages * self.steps**in_steps
        flops = float(chain * self.weights_per_piece**in_weights)
        if self.coupled_norm:
            flops = max(flops, COUPLED_FLOPS * self.stage_values * (self.stages * self.unknowns) ** 2)
        return flops


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


def collocation_memory(sizes: Sizes) -> float:
    """Bytes at the peak of a collocation solve, over those of Python with its libraries."""
    nonzeros = sizes.jacobian + sizes.hessian
    functions = BYTES_PER_NONZERO * nonzeros + BYTES_PER_NONZERO_OF_A_STEP * nonzeros / sizes.steps
    return COLLOCATION_BYTES + BYTES_PER_FACTOR_ENTRY * sizes.factor_entries + functions


def collocation_seconds(sizes: Sizes, calibration: float) -> float:
    """Seconds of one iteration of IPOPT, where `calibration_seconds` measured `calibration`."""
    factorising = FACTORISATIONS * sizes.factor_flops / FLOPS_PER_CALIBRATION
    return calibration * (factorising + (sizes.jacobian + sizes.hessian) / NONZEROS_PER_CALIBRATION)


def shooting_memory(sizes: Sizes, factors: float) -> float:
    """Bytes at the peak of a second-order shooting solve, over those of Python with its libraries.

    factors: bytes of the factors or inverses of all pieces, which depend on how the stages are solved. The rest are
    arrays of the responses to the weights, (K, S, s, P, q) with q = 3·d·n rows of the transport, and (K, S, s, n, P).
    """
    responses = 8 * sizes.stage_values * sizes.weights_per_piece * (3 * sizes.dimension + 1)
    return SHOOTING_BYTES + RESPONSE_ARRAYS * responses + FACTOR_ARRAYS * factors


def shooting_seconds(sizes: Sizes, calibration: float) -> float:
    """Seconds of one second-order iteration of shooting, where `calibration_seconds` measured `calibration`.

    Of the N = K·P weights, half are at work in a step, on average: their sensitivities take L·N/2 stage solves, each of
    s·n unknowns that couple with c others: a band in one dimension; all in two where the inverses are dense, which cost
    K·n³ on top; about 8√n where factors come from a dissection. A stage's responses to its own P weights come once.
    This holds for the stage solvers as they are; where they change, fit it again.
    """
    dense = sizes.dimension > 1 and sizes.unknowns <= DENSE_LIMIT[sizes.dimension]
    couplings = sizes.unknowns if dense else 8 * sizes.unknowns**0.5 if sizes.dimension > 1 else sizes.degree
    solves = sizes.stage_values * sizes.pieces * sizes.weights_per_piece / 2 * couplings
    responses = sizes.stage_values * sizes.weights_per_piece
    inversion = sizes.pieces * sizes.unknowns**3 if dense else 0
    return calibration * (
        SHOOTING_CALIBRATIONS
        + solves / SOLVES_PER_CALIBRATION
        + responses / RESPONSES_PER_CALIBRATION
        + inversion / INVERSION_PER_CALIBRATION
    )


def fit_memory(sizes: Sizes, starts: int) -> float:
    """Bytes of fits of the exact drift on every piece from so many starts: masses and means, and Jacobians in turn."""
    copies = 3 * starts + 1
    return 4 * CHUNK_BYTES + 8.0 * copies * sizes.pieces * sizes.unknowns * (1 + sizes.dimension)


def fit_seconds(sizes: Sizes, fits: int, groups: int, calibration: float) -> float:
    """Seconds of so many fits of the exact drift, each from one start, by `groups` times the neurons of the network.

    An iteration takes the Jacobian of n·d values by P weights, its normal matrix, and a P × P factorisation; wider
    networks take more of them.
    """
    weights = groups * sizes.weights_per_piece
    values = sizes.unknowns * sizes.dimension
    work = FIT_CALIBRATIONS + values * weights * (FIT_JACOBIAN + FIT_NORMAL * weights) + FIT_FACTOR * weights**3
    return calibration * fits * work


def shooting_iterations(starts: int, hops: int) -> int:
    """Iterations of shooting from so many starts, by its second-order methods."""
    return starts * SCREENING_ITERATIONS + kept_of(starts) * ITERATIONS_TO_THE_END + hops * ITERATIONS_OF_A_HOP


def calibration_seconds() -> float:
    """Seconds of processor time of a small sparse factorisation, the least of three: how fast this machine is, now."""
    line = sp.diags_array([-1.0, 2.1, -1.0], offsets=[-1, 0, 1], shape=(60, 60))
    matrix = sp.csc_array(sp.kron(line, sp.eye_array(60)) + sp.kron(sp.eye_array(60), line))
    taken = []
    for _ in range(3):
        began = time.process_time()
        sparse_linalg.splu(matrix)
        taken.append(time.process_time() - began)
    return min(taken)
