"""The score of noised data by the Ornstein–Uhlenbeck semigroup, its regularity, and two slips in print."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_least, at_most, equal, report
from controlsde.claims.harness.references import reversed_diffusion
from controlsde.foundation.progress import Step
from controlsde.gaussians import noised_variance
from controlsde.reference.semigroup import ornstein_uhlenbeck_semigroup
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

QUADRATURE = 1e-12
DIFFERENCES = 1e-7  # what central differences of step 1e-5 leave of a function of size one


@dataclass(frozen=True)
class Parameters:
    """data c N(0, 1) + (1 − c) N(m, s²) with s < 1; times t, nodes of the quadrature, half-width of the points."""

    share: float = 0.5
    mean: float = 1.0
    deviation: float = 0.6
    times: tuple[float, ...] = (0.1, 0.5, 1.0)
    nodes: int = 200
    reach: float = 4.0
    points: int = 161


def factor(parameters: Parameters, y: Array, time: float = 0.0) -> Array:
    """U_t f = c + (1 − c) N(e^{−t}m, e^{−2t}s² + 1 − e^{−2t}) / N(0, 1), f = U_0 f, in closed form."""
    mean = exp(-time) * parameters.mean
    variance = noised_variance(parameters.deviation**2, time)
    ratio = np.exp(-0.5 * (y - mean) ** 2 / variance + 0.5 * y**2) / sqrt(variance)
    return np.asarray(parameters.share + (1 - parameters.share) * ratio)


def slope(parameters: Parameters, y: Array, time: float = 0.0) -> Array:
    """∂U_t f in closed form."""
    mean = exp(-time) * parameters.mean
    variance = noised_variance(parameters.deviation**2, time)
    return np.asarray((factor(parameters, y, time) - parameters.share) * (y - (y - mean) / variance))


def score(parameters: Parameters, y: Array, time: float) -> Array:
    """−y + ∂ log U_t f, with σ = 1."""
    return -y + slope(parameters, y, time) / factor(parameters, y, time)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every time: the semigroup, its derivative, the score against the reference's, and the bound on it."""
    y = np.linspace(-parameters.reach, parameters.reach, parameters.points)
    wide = np.linspace(-40.0, 40.0, 80_001)
    largest_slope = float(np.abs(slope(parameters, wide)).max())  # L
    data = (
        f"{{kind: mixture, weights: [{parameters.share!r}, {1 - parameters.share!r}], "
        f"means: [[0.0], [{parameters.mean!r}]], stds: [1.0, {parameters.deviation!r}]}}"
    )
    reference = reversed_diffusion(data, ((-9.0, 9.0),), max(parameters.times))
    rows: list[Row] = []
    curves, measured = [], []
    for time in parameters.times:
        setting.progress(Step(f"t = {time:g}"))
        by_nodes = partial(ornstein_uhlenbeck_semigroup, time=time, points=y, nodes=parameters.nodes)
        value, moved = by_nodes(partial(factor, parameters)), by_nodes(partial(slope, parameters))
        gap = float(np.max(np.abs(value / factor(parameters, y, time) - 1)))
        rows.append(equal(f"t = {time:g}: relative error of U_t f", 0.0, gap, QUADRATURE, "rounding"))
        step = 1e-5
        difference = (factor(parameters, y + step, time) - factor(parameters, y - step, time)) / (2 * step)
        strong = np.abs(moved) > 0.1 * np.abs(moved).max()
        ratio = float(np.median(difference[strong] / moved[strong]))
        rows.append(equal(f"t = {time:g}: ∂U_t f over U_t ∂f", exp(-time), ratio, DIFFERENCES, "central differences"))
        measured.append(ratio)
        # v*_0 = −f + D₀∇log p with f = −x, D₀ = 1
        of_reference = reference.exact_drift(reference.horizon - time, y[:, None], 0.0)[:, 0] - y
        found = score(parameters, y, time)
        apart = float(np.max(np.abs(of_reference - found)))
        rows.append(equal(f"t = {time:g}: score −y + ∂log U_t f, against the reference", 0.0, apart, 1e-10, "rounding"))
        halved = float(np.max(np.abs(of_reference - (found + 0.5 * y))))
        rows.append(
            at_least(
                f"t = {time:g}: with y/(2σ²), as printed, it is off by", parameters.reach / 2, halved, 1e-10, "rounding"
            )
        )
        regular = float(np.max(np.abs(slope(parameters, wide, time) / factor(parameters, wide, time))))
        bound = exp(-time) * largest_slope / parameters.share
        rows.append(at_most(f"t = {time:g}: largest |∂ log U_t f|", bound, regular, 1e-10, "rounding"))
        curves.append(Curve(y, found + y, f"t = {time:g}", "line"))
    rows.append(report("data N(0, s²): −log of the least f within 10", _unbounded(parameters)))
    times = np.array(parameters.times)
    return Findings(
        tuple(rows),
        (
            Panel("what the data add to the score", "y", "∂ log U_t f", tuple(curves)),
            Panel(
                "derivative of the semigroup",
                "t",
                "∂U_t f / U_t ∂f",
                (
                    Curve(times, measured, "measured"),
                    Curve(times, np.exp(-times), "e⁻ᵗ", "theory"),
                    Curve(times, np.ones(len(times)), "as printed: 1", "theory", series=1),
                ),
            ),
        ),
        f"The factor e^{{−t}} is there ({', '.join(f'{ratio:.4f}' for ratio in measured)}); y/(2σ²) and a derivative "
        "without e^{−t}, as printed, are refuted.",
    )


def _unbounded(parameters: Parameters) -> float:
    """−log min f for data N(0, s²): f = N(0, s²)/N(0, 1) has no positive lower bound, however wide one looks."""
    y = np.linspace(-10.0, 10.0, 2001)
    return float(-np.min(-0.5 * y**2 / parameters.deviation**2 + 0.5 * y**2 - np.log(parameters.deviation)))


CLAIM = Claim(
    id="ou-semigroup-score",
    source="P2",
    title="The score of noised data, by the Ornstein–Uhlenbeck semigroup",
    statement=(
        "With f the density of the data over the Gaussian, the score is −y/σ² + ∂ log U_t f, and it is the "
        "smoother the longer the noising: |∂ log U_t f| ≤ e^{−t} L/c for f ≥ c with Lipschitz constant L."
    ),
    formulas=(
        "U_t f(y) = E f(e^{−t}y + σ√(1 − e^{−2t}) Z),   score = −y/σ² + ∂ log U_t f",
        "∂U_t f = e^{−t} U_t ∂f",
        "data cN(0, 1) + (1 − c)N(m, s²), s < 1:",
        "U_t f = c + (1 − c) N(e^{−t}m, e^{−2t}s² + 1 − e^{−2t}) / N(0, 1), derived here",
        "printed: y/(2σ²) in place of y/σ², and ∂U_t f without e^{−t}; both are shown wrong",
    ),
    parameters=Parameters(),
    fast=Parameters(points=41),
    experiment=experiment,
    meaning=(
        "The regularity that makes the score learnable comes from the noise, at the rate e^{−t}. The assumption that "
        "f is bounded below leaves out every Gaussian narrower than the noise: f falls below every bound."
    ),
    further="Bring s near one (`--set deviation=0.99`), or c near zero: the bound L/c grows, the score hardly changes.",
)
