"""Four statements as they are printed, each refuted by a number; and the radius that a cover of the paths must have."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, log, sqrt

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, equal, report
from controlsde.claims.harness.fitting import exponential, order_row, power_law
from controlsde.claims.harness.references import gaussian, reversed_diffusion
from controlsde.foundation.progress import Step
from controlsde.gaussians import Law, law_after, reverse_process
from controlsde.reference.semigroup import ornstein_uhlenbeck_semigroup
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

ROUNDING = 1e-9
ERRORS = 4.0  # standard errors


@dataclass(frozen=True)
class Parameters:
    """times t and horizons T; radii within which f is searched; d, T, R, ε of the cover, paths and steps."""

    times: tuple[float, ...] = (0.1, 0.5, 1.0)
    horizons: tuple[float, ...] = (2.0, 2.5, 3.0, 3.5)
    radii: tuple[float, ...] = (10.0, 20.0, 40.0)
    cover_dimension: int = 2
    cover_time: float = 1.0
    cover_radius: float = 1.0
    cover_miss: float = 0.05
    paths: int = 20_000
    steps: int = 500
    seed: int = 0


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """What is printed as `expected`, what is right as `measured`."""
    rows: list[Row] = []
    setting.progress(Step("score"))
    rows.append(_score(4.0))
    ratios = [_derivative(t) for t in parameters.times]
    for t, ratio in zip(parameters.times, ratios, strict=True):
        rows.append(equal(f"∂U_t f over U_t ∂f at t = {t:g}, printed as 1", 1.0, ratio, ROUNDING, "rounding"))
    setting.progress(Step("start"))
    starts = [_start(horizon) for horizon in parameters.horizons]
    slope = exponential(parameters.horizons, starts)
    rows.append(order_row("start from N(0, 1): log-slope in T, printed as e^{−T}", -1.0, slope))
    setting.progress(Step("assumption"))
    rows += _assumption(np.array(parameters.radii))
    setting.progress(Step("cover"))
    quantile, error = _cover(parameters)
    name = f"d = {parameters.cover_dimension}, T = {parameters.cover_time:g}, R = {parameters.cover_radius:g}"
    rows.append(report(f"{name}: radius that {1 - parameters.cover_miss:.0%} of the paths stay within", quantile))
    rows.append(report(f"{name}: its standard error", error))
    times, horizons = np.array(parameters.times), np.array(parameters.horizons)
    return Findings(
        tuple(rows),
        (
            Panel(
                "derivative of the semigroup",
                "t",
                "∂U_t f / U_t ∂f",
                (
                    Curve(times, ratios, "measured"),
                    Curve(times, np.ones(len(times)), "printed", "theory"),
                    Curve(times, np.exp(-times), "e⁻ᵗ", "line"),
                ),
            ),
            Panel(
                "start from N(0, 1)",
                "horizon T",
                "error of the mean",
                (
                    Curve(horizons, starts, f"measured: slope {slope}"),
                    Curve(horizons, starts[0] * np.exp(-(horizons - horizons[0])), "printed: e⁻ᵀ", "theory"),
                ),
                y_log=True,
            ),
        ),
        f"Every printed number is missed: the score by a factor of two, the derivative by e^{{−t}}, the start by "
        f"e^{{−T}} "
        "(there the bound holds, but it is not the rate), and the assumption excludes all Gaussians but N(0, 1). "
        f"A cover that misses {parameters.cover_miss:.0%} of the paths needs a radius of {quantile:.3f} ± {error:.3f}.",
    )


def _score(y: float) -> Row:
    """Data N(0, 1): f = 1, U_t f = 1, and the score is −y; y/(2σ²) in its place gives −y/2."""
    reference = reversed_diffusion(gaussian(0.0, 1.0), ((-9.0, 9.0),), 1.0)
    # v*_0 = y + score
    found = float(reference.exact_drift(0.5, np.array([[y]]), 0.0)[0, 0]) - y
    return equal(
        f"score of N(0, 1) at y = {y:g}, printed as −y/(2σ²) + ∂log U_t f", -y / 2, found, ROUNDING, "rounding"
    )


def _derivative(t: float) -> float:
    """f(y) = e^{−(y−1)²}: the ratio at one point, the derivative from differences of fourth order."""
    y, h = np.array([0.3]), 1e-3
    nodes = np.array([-2, -1, 1, 2]) * h
    values = ornstein_uhlenbeck_semigroup(lambda x: np.exp(-((x - 1) ** 2)), t, y + nodes)
    derivative = float(values @ np.array([1, -8, 8, -1])) / (12 * h)
    of_slope = ornstein_uhlenbeck_semigroup(lambda x: -2 * (x - 1) * np.exp(-((x - 1) ** 2)), t, y)
    return derivative / float(of_slope[0])


def _start(horizon: float) -> float:
    """Data N(1, ¼), reverse SDE from N(0, 1): the error of the mean."""
    process = reverse_process(np.ones(1), 0.25, horizon)
    law = law_after(process, Law.isotropic([0.0], 1.0), [0.0, horizon], "exact")
    return abs(float(law.mean[0]) - 1.0)


def _assumption(radii: Array) -> list[Row]:
    """f = N(m, s²)/N(0, 1): if f ≥ c > 0, −log min f levels off; if f is Lipschitz, log max |f'| does."""

    def logarithm(m: float, s: float, y: Array) -> Array:
        return np.asarray(-0.5 * (y - m) ** 2 / s**2 + 0.5 * y**2 - log(s))

    rows = []
    for m, s in ((0.0, 0.8), (0.5, 1.0)):
        depths = [-float(logarithm(m, s, np.linspace(-r, r, 2001)).min()) for r in radii]
        rows.append(
            order_row(
                f"N({m:g}, {s:g}²): order of −log min f in the radius, if f ≥ c > 0", 0.0, power_law(radii, depths)
            )
        )
    heights = []
    for r in radii:
        y = np.linspace(-r, r, 2001)
        with np.errstate(divide="ignore"):  # the slope vanishes in the middle
            heights.append(float((logarithm(0.0, 1.25, y) + np.log(np.abs(y) * (1 - 1.25**-2))).max()))
    rows.append(
        order_row("N(0, 1.25²): order of log max |f'| in the radius, if f is Lipschitz", 0.0, power_law(radii, heights))
    )
    return rows


def _cover(parameters: Parameters) -> tuple[float, float]:
    """The quantile of sup |X_t| over [0, T], |X_0| = R, of the forward process, and its standard error."""
    rng = np.random.default_rng(parameters.seed)
    x = np.zeros((parameters.paths, parameters.cover_dimension))
    x[:, 0] = parameters.cover_radius
    step = parameters.cover_time / parameters.steps
    farthest = np.full(parameters.paths, parameters.cover_radius)
    for _ in range(parameters.steps):
        x = exp(-step) * x + sqrt(-expm1(-2 * step)) * rng.standard_normal(x.shape)
        farthest = np.maximum(farthest, np.linalg.norm(x, axis=1))
    level = 1 - parameters.cover_miss
    # the quantile's error: √(p(1−p)/n) over the density, by the quantiles one such error away
    spread = sqrt(level * parameters.cover_miss / parameters.paths)
    below, middle, above = np.quantile(farthest, [level - spread, level, level + spread])
    return float(middle), float(above - below) / 2


CLAIM = Claim(
    id="slips-in-print",
    source="P2",
    title="Slips in print, refuted by numbers",
    statement=(
        "Some statements are printed with slips: y/(2σ²) where y/σ² belongs, a derivative of the semigroup without "
        "e^{−t}, a start that costs e^{−T} where it costs e^{−2T}, and an assumption on f (bounded below, Lipschitz) "
        "that is offered for Gaussians. The column `expected` holds what is printed."
    ),
    formulas=(
        "right:  score = −y/σ² + ∂log U_t f,   ∂U_t f = e^{−t} U_t ∂f,   start ~ e^{−2T}",
        "f = N(m, s²)/N(0, 1):  f ≥ c > 0 fails for s < 1 and for m ≠ 0, a Lipschitz constant for s > 1 and for m ≠ 0",
    ),
    parameters=Parameters(),
    fast=Parameters(paths=2000, steps=100),
    experiment=experiment,
    meaning=(
        "None of the slips touches the ideas of the papers, but each would spoil a program that copies it. The printed "
        "radius of a tighter cover of the paths is said to fail at d = 2, T = R = 1, ε = 0.05; here stands what "
        "such a radius has to be, not what is printed. Paths are watched at steps, so that the true radius is a little "
        "larger."
    ),
    further="Watch the paths more often (`--set steps=4000`): how much does the radius of the cover grow?",
    expects="refuted",
)
