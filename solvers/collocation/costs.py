"""What collocation costs: variables and non-zeros of its program, which are exact, and models of memory and time.

For K pieces of S steps (L = K·S) with s stages, n unknowns, P weights a piece, and |A| non-zeros in A(v), its diagonal
included, the Jacobian of a step holds A(v_k) once a stage, the other stages of a node, the weights, and the density
before the step; the Hessian of the Lagrangian couples weights with stages, and weights of one neuron. The size and work
of the factors, memory and time are power laws fitted to measurements; run `python -m benchmarks sizes` to see predicted
over measured, and to fit them again.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlsde.problem.solver_specs import SolverOptions
from controlsde.solvers.costs import Costs
from controlsde.solvers.drift_fitting.costs import start_fits
from controlsde.tracking.sizes import Sizes

MOST_VARIABLES = 2_000_000  # of a program
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

# Work that takes as long as one run of `calibration_seconds`.
FLOPS_PER_CALIBRATION = 4.2e7
NONZEROS_PER_CALIBRATION = 4.8e3


@dataclass(frozen=True)
class ProgramSizes:
    """Sizes of the nonlinear program, for those of the discrete problem."""

    of: Sizes

    @property
    def variables(self) -> int:
        """The number of variables."""
        sizes = self.of
        of_lengths = 2 if sizes.free else 0  # start and length of each piece
        return sizes.stage_values + sizes.pieces * (sizes.weights_per_piece + of_lengths)

    @property
    def jacobian(self) -> int:
        """Non-zeros of ∂g/∂x; the density before the first step is no variable."""
        sizes = self.of
        couplings = sizes.stages * (sizes.stages - 1) + sizes.stages * sizes.weights_per_piece + sizes.stages
        step = sizes.stages * sizes.operator + couplings * sizes.unknowns
        links = 3 * sizes.pieces - 1 + sizes.stage_values if sizes.free else 0  # of the pieces, and h in every residual
        return sizes.steps * step - sizes.stages * sizes.unknowns + links

    @property
    def hessian(self) -> int:
        """Non-zeros of the upper triangle of ∇²(J + λ·g); a few more where walls absorb a noise-free flow."""
        sizes = self.of
        d = sizes.dimension
        # of one neuron: A_j with (W_j, b_j), these among themselves, and the price of A_j
        neuron = d * (d + 1) + (d + 1) * (d + 2) // 2 + (d if sizes.priced else 0)
        between = (sizes.pieces - 1) * sizes.weights_per_piece if sizes.coupled_pieces else 0
        norm = (sizes.unknowns + 1) / 2 if sizes.coupled_norm else 1
        own, size = sizes.width * neuron, sizes.weights_per_piece
        if sizes.priced_energy:
            own = size * (size + 1) // 2
        of_stages = size + norm
        if sizes.free:  # a length with the weights, with itself and its start; both with the densities
            own += size + 3
            of_stages += 2
            between += 2 * between + sizes.pieces - 1 if sizes.coupled_pieces else 0
        return sizes.pieces * own + between + int(sizes.stage_values * of_stages)

    @property
    def factor_entries(self) -> float:
        """Entries of the factors of IPOPT's system; at most those of a dense one."""
        sizes = self.of
        constant, in_unknowns, in_stages, in_steps = FACTOR_ENTRIES[min(sizes.dimension, 2)]
        chain = float(constant * sizes.unknowns**in_unknowns * sizes.stages**in_stages * sizes.steps**in_steps)
        if sizes.coupled_norm:
            chain = max(chain, COUPLED_ENTRIES * sizes.stage_values * sizes.stages * sizes.unknowns)
        order = self.variables + sizes.stage_values
        return min(chain + DENSE_COLUMN_FILL * sizes.stage_values * sizes.weights_per_piece, 0.5 * order * (order + 1))

    @property
    def factor_flops(self) -> float:
        """Floating-point operations of one factorisation."""
        sizes = self.of
        constant, in_unknowns, in_stages, in_steps, in_weights = FACTOR_FLOPS[min(sizes.dimension, 2)]
        chain = constant * sizes.unknowns**in_unknowns * sizes.stages**in_stages * sizes.steps**in_steps
        flops = float(chain * sizes.weights_per_piece**in_weights)
        if sizes.coupled_norm:
            flops = max(flops, COUPLED_FLOPS * sizes.stage_values * (sizes.stages * sizes.unknowns) ** 2)
        return flops


def costs(options: SolverOptions, sizes: Sizes) -> Costs:
    """What a solve with these options costs."""
    variables = ProgramSizes(sizes).variables
    refused: tuple[str, ...] = ()
    if variables > MOST_VARIABLES:
        refused = (f"collocation would have {variables:,} variables; use solver: shooting, or a smaller mesh",)
    return Costs(collocation_memory(sizes), start_fits(options, sizes), refused)


def collocation_memory(sizes: Sizes) -> float:
    """Bytes at the peak of a collocation solve, over those of Python with its libraries."""
    program = ProgramSizes(sizes)
    nonzeros = program.jacobian + program.hessian
    functions = BYTES_PER_NONZERO * nonzeros + BYTES_PER_NONZERO_OF_A_STEP * nonzeros / sizes.steps
    return COLLOCATION_BYTES + BYTES_PER_FACTOR_ENTRY * program.factor_entries + functions


def collocation_seconds(sizes: Sizes, calibration: float) -> float:
    """Seconds of one iteration of IPOPT, where `calibration_seconds` measured `calibration`."""
    program = ProgramSizes(sizes)
    factorising = FACTORISATIONS * program.factor_flops / FLOPS_PER_CALIBRATION
    return calibration * (factorising + (program.jacobian + program.hessian) / NONZEROS_PER_CALIBRATION)
