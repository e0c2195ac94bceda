"""Weakly converging drifts: without noise the densities converge in W₂ alone, with noise in L², too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cosh, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ive

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, equal
from controlsde.claims.harness.evolution import CELLS, REFINEMENT, Field, allowance, density_after, line, w2
from controlsde.claims.harness.fitting import order_row, power_law
from controlsde.fokker_planck.density_field import DensityField
from controlsde.foundation.progress import Step
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

PLATEAU = 40.0  # e-folds of the slowest mode: what is left of the start is below rounding


@dataclass(frozen=True)
class Parameters:
    """amplitude A, horizon t of the flow without noise, diffusivity ν, oscillations n; elements to an oscillation."""

    amplitude: float = 1.0
    horizon: float = 1.0
    diffusivity: float = 0.05
    oscillations: tuple[int, ...] = (1, 2, 4, 8, 16)
    elements: int = 6


def oscillating(amplitude: float, n: int) -> Field:
    """v_n(x) = (A / 2πn) sin 2πnx on [0, 1]: tangential, and uniformly small for large n."""
    return lambda _t, x: amplitude / (2 * pi * n) * np.sin(2 * pi * n * x)


def flow_l2(amplitude: float, horizon: float) -> float:
    """‖ρ_t − 1‖_{L²} = √(cosh(At) − 1) without noise, whatever n."""
    return sqrt(cosh(amplitude * horizon) - 1.0)


def flow_w2(amplitude: float, horizon: float, n: int) -> float:
    """W₂(ρ_t, 1) without noise: tan(πnX) = e^{At} tan(πnx) is increasing, so it is the optimal map of each cell."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    y = 0.25 * (nodes + 1.0)  # in (0, ½), and the other half mirrored
    moved = np.arctan(np.exp(amplitude * horizon) * np.tan(pi * y)) / pi
    return float(np.sqrt(2.0 * 0.25 * (weights @ (moved - y) ** 2))) / n


def stationary_l2(amplitude: float, diffusivity: float, n: int) -> float:
    """‖ρ_∞ − 1‖_{L²} with noise: ρ_∞ ∝ e^{−κ cos 2πnx}, ‖·‖² = I₀(2κ)/I₀(κ)² − 1, κ = A/((2πn)²ν)."""
    kappa = amplitude / ((2 * pi * n) ** 2 * diffusivity)
    return float(np.sqrt(ive(0, 2 * kappa) / ive(0, kappa) ** 2 - 1.0))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Both equations for every n."""
    amplitude, counts = parameters.amplitude, parameters.oscillations
    flow_errors, flow_distances, noisy_errors = [], [], []
    rows: list[Row] = []

    def pair(n: int, diffusivity: float, times: Callable[[int], Array]) -> tuple[DensityField, DensityField]:
        coarse, fine = (
            density_after(
                line(0.0, 1.0, more * parameters.elements * n // 2),
                oscillating(amplitude, n),
                diffusivity,
                lambda x: np.ones(len(x)),
                times(more),
            )
            for more in (1, 2)
        )
        return coarse, fine

    def uniform(x: Array) -> Array:
        return np.ones(len(x))

    for done, n in enumerate(counts):
        setting.progress(Step(f"{n} oscillations", fraction=done / len(counts)))
        coarse, fine = pair(n, 0.0, lambda more: np.linspace(0.0, parameters.horizon, 8 * more + 1))
        flow_errors.append(fine.l2(uniform))
        flow_distances.append(w2(fine, uniform))
        rows.append(
            equal(
                f"n = {n}, no noise: ‖ρ − 1‖",
                flow_l2(amplitude, parameters.horizon),
                flow_errors[-1],
                allowance(flow_errors[-1], coarse.l2(uniform)),
                REFINEMENT,
            )
        )
        rows.append(
            equal(
                f"n = {n}, no noise: W₂",
                flow_w2(amplitude, parameters.horizon, n),
                flow_distances[-1],
                allowance(flow_distances[-1], w2(coarse, uniform)) + _cells(n),
                f"{REFINEMENT}, and the cells on which W₂ is taken",
            )
        )
        horizon = PLATEAU / (parameters.diffusivity * pi**2)
        coarse, fine = pair(n, parameters.diffusivity, lambda more: np.linspace(0.0, horizon, 20 * more + 1))  # noqa: B023
        noisy_errors.append(fine.l2(uniform))
        rows.append(
            equal(
                f"n = {n}, noise: ‖ρ − 1‖",
                stationary_l2(amplitude, parameters.diffusivity, n),
                noisy_errors[-1],
                allowance(noisy_errors[-1], coarse.l2(uniform)),
                REFINEMENT,
            )
        )
    flow, noisy = power_law(counts, flow_distances), power_law(counts[1:], noisy_errors[1:])
    rows.append(order_row("order in n of W₂, no noise", -1.0, flow))
    rows.append(order_row("order in n of ‖ρ − 1‖, noise", -2.0, noisy))
    many = np.array(counts, dtype=float)
    return Findings(
        tuple(rows),
        (
            Panel(
                "L² distance to the limit",
                "oscillations n",
                "‖ρ − 1‖",
                (
                    Curve(many, flow_errors, "no noise: does not fall"),
                    Curve(many, noisy_errors, f"noise: slope {noisy}"),
                    Curve(many, np.full(len(many), flow_l2(amplitude, parameters.horizon)), "√(cosh At − 1)", "theory"),
                    Curve(
                        many,
                        [stationary_l2(amplitude, parameters.diffusivity, k) for k in counts],
                        "√(I₀(2κ)/I₀(κ)² − 1)",
                        "theory",
                    ),
                ),
                x_log=True,
                y_log=True,
            ),
            Panel(
                "Wasserstein distance to the limit, no noise",
                "oscillations n",
                "W₂",
                (
                    Curve(many, flow_distances, f"no noise: slope {flow}"),
                    Curve(many, [flow_w2(amplitude, parameters.horizon, k) for k in counts], "exact map", "theory"),
                ),
                x_log=True,
                y_log=True,
            ),
        ),
        f"The drift shrinks like 1/n. Without noise the L² error stays at {flow_errors[-1]:.4f}, while W₂ falls with "
        f"slope {flow}; with noise the L² error itself falls with slope {noisy}.",
    )


def _cells(n: int) -> float:
    """What W₂ between densities that are constant on N cells may miss: displacements of 1/n are seen to (1/N)²·n."""
    return n / CELLS**2


CLAIM = Claim(
    id="noise-upgrades-convergence",
    source="P1",
    title="Noise turns weak convergence of drifts into L² convergence of densities",
    statement=(
        "Drifts that converge only weakly move densities that, without noise, converge in the Wasserstein distance but "
        "not in L². With noise the same drifts give L² convergence."
    ),
    formulas=(
        "v_n(x) = (A / 2πn) sin 2πnx on [0, 1], ρ₀ = 1, sup |v_n| → 0",
        "no noise, derived here:  ‖ρ_t − 1‖² = cosh(At) − 1 for every n;  W₂ = W₂(n = 1)/n",
        "noise ν, stationary, derived here:  ‖ρ − 1‖² = I₀(2κ)/I₀(κ)² − 1,  κ = A/((2πn)²ν)",
    ),
    parameters=Parameters(),
    fast=Parameters(oscillations=(1, 2, 4, 8)),
    experiment=experiment,
    meaning=(
        "A controller that switches fast between weights is a drift that converges only weakly. Without noise its "
        "density may keep ripples of fixed size for ever, however fast it switches; they only become finer. Diffusion "
        "smooths them away. This is the one place where noise makes a difference in kind: it concerns the norm in "
        "which densities converge, not how well few controls track."
    ),
    further=(
        "Lower the noise (`--set diffusivity=0.005`): the slope −2 begins only where (2πn)²ν is large against A. "
        "Lengthen the horizon: the error without noise grows like e^{At/2}."
    ),
)
