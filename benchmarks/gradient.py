"""Objective and gradient by the discrete adjoint: against the objective alone, and against plain autograd.

The peer writes the same three-stage Radau steps as anyone would in PyTorch: in each step it builds I − h a⊗A with
`torch.kron`, solves with `torch.linalg.solve`, and back-propagates. `tuned` builds and factorises it once a piece.
The floor counts the operations that factors in the band of a one-dimensional mesh need, and divides by the rate of a
large matrix product; beside it stands the time of LAPACK's own factorisations, in the band and dense, and of its
solves: so small that the calls cost more than the arithmetic.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

from benchmarks.problems import sizes, two_bumps
from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.timing import Timing, interleaved, ratio
from controlsde.fokker_planck.radau import radau
from controlsde.solvers.starts import random_starts
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

MOST_TIMES_OBJECTIVE = 2.5
LEAST_TIMES_AUTOGRAD = 10.0
OURS, GRADIENT = "objective", "objective + gradient"
PLAIN, TUNED = "plain autograd", "autograd, one LU a piece"
GEMM, FACTORS, BAND, SOLVES = "GEMM", "factors", "band", "solves"
PLAIN_VALUE = "plain torch, objective only"
GEMM_SIZE = 512


class PlainAutograd:
    """J and its gradient by back-propagation through plainly written Radau steps; float64, dense."""

    def __init__(self, tracking: TrackingProblem, *, once_a_piece: bool) -> None:
        operator = tracking.operator
        self.tracking = tracking
        self.once_a_piece = once_a_piece
        self.diffusion = torch.from_numpy(operator.diffusivity * operator.diffusion.toarray())
        self.combine = torch.from_numpy(operator.combine.toarray())
        self.sampling = torch.from_numpy(operator.sampling.toarray())
        self.gather = torch.from_numpy(operator.gather.toarray())
        self.points = torch.from_numpy(operator.drift_points)
        self.outward = torch.from_numpy(operator.outward)
        self.initial = torch.from_numpy(tracking.initial)
        self.targets = torch.from_numpy(tracking.targets)
        self.weight = torch.from_numpy(tracking.weight)
        self.effort = torch.from_numpy(np.diag(tracking.regularisation_matrix).copy())
        self.a = torch.from_numpy(radau(tracking.grid.stages).a)

    def value(self, weights: Tensor) -> Tensor:
        """J of weights (K, P)."""
        grid = self.tracking.grid
        density = self.initial
        total = 0.5 * (self.effort[:, None] * weights**2).sum()
        for piece in range(grid.pieces):
            drift = self.drift(weights[piece])
            generator = self.diffusion + (self.combine * (self.sampling @ drift.flatten())) @ self.gather
            length = float(grid.step_lengths[piece])
            factors = torch.linalg.lu_factor(self.stage_matrix(length, generator)) if self.once_a_piece else None
            for step in range(grid.steps_per_piece):
                right = density.repeat(grid.stages)
                if factors is None:
                    flat = torch.linalg.solve(self.stage_matrix(length, generator), right)
                else:
                    flat = torch.linalg.lu_solve(*factors, right[:, None])[:, 0]
                stages = flat.reshape(grid.stages, -1)
                error = stages - self.targets[piece, step]
                total = total + 0.5 * (self.weight[piece, step] * error**2).sum()
                density = stages[-1]
        return total

    def drift(self, row: Tensor) -> Tensor:
        """The rectified drift at the drift points for the weights of one piece."""
        network = self.tracking.network
        drift = network.drift(self.points, *network.split(row))
        if not self.tracking.operator.outward.any():
            return torch.as_tensor(drift)
        return torch.where(self.outward == 0, drift, self.outward * torch.relu(self.outward * drift))

    def stage_matrix(self, length: float, generator: Tensor) -> Tensor:
        """I − h a⊗A."""
        size = len(self.a) * len(generator)
        return torch.eye(size, dtype=torch.float64) - length * torch.kron(self.a, generator)

    def value_only(self, weights: Array) -> float:
        """J without a graph."""
        with torch.no_grad():
            return float(self.value(torch.from_numpy(weights)))

    def value_and_gradient(self, weights: Array) -> tuple[float, Array]:
        """J and ∂J/∂θ, (K, P)."""
        leaf = torch.from_numpy(weights).clone().requires_grad_()
        value = self.value(leaf)
        value.backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        return value.item(), leaf.grad.numpy()


def assert_equal(name: str, tracking: TrackingProblem, peer: PlainAutograd, weights: Array) -> tuple[float, float]:
    """Relative differences of J (below 1e-10) and of the gradient (below 1e-8)."""
    value, gradient = Objective(tracking).value_and_gradient(weights)
    peer_value, peer_gradient = peer.value_and_gradient(weights)
    off = abs(value - peer_value) / abs(value)
    gradient_off = float(np.linalg.norm(gradient - peer_gradient) / np.linalg.norm(gradient))
    assert off < 1e-10, f"{name}: the objectives differ by {off:.1e}"
    assert gradient_off < 1e-8, f"{name}: the gradients differ by {gradient_off:.1e}"
    return off, gradient_off


def floor_flops(tracking: TrackingProblem) -> dict[str, float]:
    """Floating-point operations of one objective and gradient with factors in a band of b diagonals on either side.

    By part; complex operations count four.
    """
    grid, size, band = tracking.grid, tracking.operator.size, tracking.mesh.axes[0].degree
    pieces, steps = grid.pieces, grid.pieces * grid.steps_per_piece
    return {
        "real factors, 4nb² a piece": 4.0 * size * band**2 * pieces,
        "complex factors, 16nb² a piece": 16.0 * size * band**2 * pieces,
        "solves forward, (6 + 24)nb a step": 30.0 * size * band * steps,
        "solves back, (6 + 24)nb a step": 30.0 * size * band * steps,
    }


class Factorisations:
    """LAPACK alone on matrices of the benchmark's shape: one real and one complex matrix a piece."""

    def __init__(self, pieces: int, steps: int, size: int, band: int, rng: np.random.Generator) -> None:
        dense = rng.standard_normal((pieces, size, size)) + 20.0 * np.eye(size)
        packed = rng.standard_normal((pieces, size, 3 * band + 1))  # LAPACK's band storage, transposed
        packed[:, :, 2 * band] += 20.0
        self.band, self.steps = band, steps
        self.right = rng.standard_normal(size), rng.standard_normal(size) + 0j
        self.dense = dense, dense + 3.0j * np.eye(size)
        self.packed = packed, packed.astype(complex)

    def factor_dense(self) -> None:
        """LU of all."""
        for real, complex_ in zip(*self.dense, strict=True):
            lapack.dgetrf(real.T)
            lapack.zgetrf(complex_.T)

    def factor_band(self) -> None:
        """LU of all, where only the band is filled."""
        for real, complex_ in zip(*self.packed, strict=True):
            lapack.dgbtrf(real.T, self.band, self.band)
            lapack.zgbtrf(complex_.T, self.band, self.band)

    def solve_band(self) -> None:
        """As many solves as one sweep forward and one back, each with the factors of the last piece."""
        real, complex_ = (packed[-1] for packed in self.packed)
        first, second = (lapack.dgbtrf(real.T, self.band, self.band), lapack.zgbtrf(complex_.T, self.band, self.band))
        for transposed in (0, 1):
            for _ in range(self.steps):
                lapack.dgbtrs(first[0], self.band, self.band, self.right[0], first[1], trans=transposed)
                lapack.zgbtrs(second[0], self.band, self.band, self.right[1], second[1], trans=transposed)


def run(fast: bool) -> Report:
    """Measure at η = 1 and η = 0."""
    tables, goals, notes = [], [], []
    for noise in (1.0, 0.0):
        tracking = two_bumps(noise)
        timing, differences = _measure(tracking, rounds=5 if fast else 25)
        tables.append(_comparison(noise, timing))
        tables.append(_floor(noise, tracking, timing))
        notes.append(
            f"η = {noise:g}: objectives agree to {differences[0]:.0e}, gradients to {differences[1]:.0e} (relative)"
        )
        over = ratio(timing[GRADIENT], timing[OURS])
        gain = ratio(timing[PLAIN], timing[GRADIENT])
        label = f"η = {noise:g}: "
        goals += [
            Goal(
                label + "objective + gradient over objective",
                f"≤ {MOST_TIMES_OBJECTIVE:g}×",
                times(over),
                over <= MOST_TIMES_OBJECTIVE,
            ),
            Goal(
                label + "faster than plain autograd",
                f"≥ {LEAST_TIMES_AUTOGRAD:g}×",
                times(gain),
                gain >= LEAST_TIMES_AUTOGRAD,
            ),
        ]
    return Report(f"Gradient: {sizes(tracking)}", tables, goals, notes)


def _measure(tracking: TrackingProblem, rounds: int) -> tuple[dict[str, Timing], tuple[float, float]]:
    weights = random_starts(tracking, 1, 0)[0]
    objective = Objective(tracking)
    plain = PlainAutograd(tracking, once_a_piece=False)
    tuned = PlainAutograd(tracking, once_a_piece=True)
    differences = assert_equal(PLAIN, tracking, plain, weights)
    assert_equal(TUNED, tracking, tuned, weights)
    rng = np.random.default_rng(0)
    square = torch.from_numpy(rng.standard_normal((GEMM_SIZE, GEMM_SIZE)))
    degree = tracking.mesh.axes[0].degree  # nodes of one element are coupled: the band of a one-dimensional mesh
    grid = tracking.grid
    steps = grid.pieces * grid.steps_per_piece
    factorisations = Factorisations(grid.pieces, steps, tracking.operator.size, degree, rng)
    timing = interleaved(
        {
            OURS: lambda: objective.value(weights),
            GRADIENT: lambda: objective.value_and_gradient(weights),
            PLAIN_VALUE: lambda: plain.value_only(weights),
            PLAIN: lambda: plain.value_and_gradient(weights),
            TUNED: lambda: tuned.value_and_gradient(weights),
            GEMM: lambda: square @ square,
            FACTORS: factorisations.factor_dense,
            BAND: factorisations.factor_band,
            SOLVES: factorisations.solve_band,
        },
        rounds,
    )
    return timing, differences


def _comparison(noise: float, timing: dict[str, Timing]) -> Table:
    rows = []
    for name in (OURS, GRADIENT, PLAIN_VALUE, PLAIN, TUNED):
        to_value, to_gradient = ratio(timing[name], timing[OURS]), ratio(timing[name], timing[GRADIENT])
        rows.append((name, *timing[name].cells(), times(to_value), times(to_gradient)))
    columns = ("", "median", "least", "over our objective", "over our objective + gradient")
    return Table(f"η = {noise:g}", columns, rows)


def _floor(noise: float, tracking: TrackingProblem, timing: dict[str, Timing]) -> Table:
    rate = 2.0 * GEMM_SIZE**3 / timing[GEMM].least
    parts = floor_flops(tracking)
    total = sum(parts.values())
    rows = [(name, f"{flops / 1e6:.1f}", seconds(flops / rate)) for name, flops in parts.items()]
    ours = timing[GRADIENT]
    lapacks = timing[BAND].least + timing[SOLVES].least
    rows += [
        ("floor", f"{total / 1e6:.1f}", seconds(total / rate)),
        ("LAPACK's dense factors alone, least", "", seconds(timing[FACTORS].least)),
        ("LAPACK's banded factors alone, least", "", seconds(timing[BAND].least)),
        ("LAPACK's banded solves alone, least", "", seconds(timing[SOLVES].least)),
        ("our objective + gradient, least", "", seconds(ours.least)),
        ("… over the floor", "", times(ours.least * rate / total)),
        ("… over LAPACK's banded factors and solves", "", times(ours.least / lapacks)),
    ]
    title = f"η = {noise:g}: floor at the measured {rate / 1e9:.1f} Gflop/s of a {GEMM_SIZE}² matrix product"
    return Table(title, ("", "Mflop", "time"), rows)
