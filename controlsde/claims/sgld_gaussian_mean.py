"""A mean learnt by Langevin steps, then sampled by Euler–Maruyama: every law on the way is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, equal, report
from controlsde.claims.harness.fitting import order_row, power_law
from controlsde.claims.harness.references import gaussian, reversed_diffusion
from controlsde.control.drift import ExactDrift
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.foundation.progress import Step
from controlsde.gaussians import Law, MeanChain, law_after, reverse_process, wasserstein_2
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

BOX = (-12.0, 12.0)
ERRORS = 4.0  # standard errors that an average may be off
SAMPLED = "four standard errors"


@dataclass(frozen=True)
class Parameters:
    """data N(μ, I), every μ_i = mean; the sampler: horizon, steps γ, dimensions; Langevin steps λ, β and chains."""

    mean: float = 1.0
    horizon: float = 8.0
    steps: tuple[float, ...] = (0.1, 0.05, 0.025, 0.0125)
    dimensions: tuple[int, ...] = (1, 4, 16, 64)
    particles: int = 100_000
    learning_step: float = 0.1
    inverse_temperature: float = 50.0
    iterations: tuple[int, ...] = (10, 30, 100, 300)
    chains: int = 20_000
    seed: int = 0


def scheme_law(horizon: float, step: float) -> tuple[float, float]:
    """(a, v): Euler and Maruyama's steps given θ end in N(aθ, vI); steps γ to the horizon T = Kγ."""
    shrunk = 1.0 - step
    count = round(horizon / step)
    a = 2 * step * (1 - exp(-horizon) * shrunk**count) / (exp(step) - 1 + step)
    limit = 2 / (2 - step)
    return a, limit + shrunk ** (2 * count) * (1 - limit)


def end_of(horizon: float, step: float, theta: Array) -> Law:
    """Where Euler and Maruyama's steps from N(0, I) end."""
    times = step * np.arange(round(horizon / step) + 1)
    start = Law.isotropic(np.zeros(len(theta)), 1.0)
    return law_after(reverse_process(theta, 1.0, horizon), start, times, "euler-maruyama")


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """The sampler with the right mean, the chains that learn it, and both together."""
    rows: list[Row] = []
    setting.progress(Step("steps of the sampler"))
    by_step, in_steps = _by_step(parameters, rows)
    by_dimension, in_dimensions = _by_dimension(parameters, rows)
    setting.progress(Step("particles"))
    _particles(parameters, rows)
    learning = _learnt(parameters, rows, setting)
    return Findings(tuple(rows), (by_step, by_dimension, learning), f"W₂ is of order {in_dimensions}; {in_steps}.")


def _by_step(parameters: Parameters, rows: list[Row]) -> tuple[Panel, str]:
    """W₂ against γ in four dimensions."""
    four = np.full(4, parameters.mean)
    steps = np.array(parameters.steps)
    distances = []
    for step in steps:
        a, v = scheme_law(parameters.horizon, step)
        closed = sqrt(np.sum((a * four - four) ** 2) + 4 * (sqrt(v) - 1) ** 2)
        distances.append(wasserstein_2(end_of(parameters.horizon, step, four), Law.isotropic(four, 1.0)))
        rows.append(equal(f"γ = {step:g}, d = 4: W₂ of the sampler", closed, distances[-1], 1e-9, "rounding"))
    slope = power_law(steps, distances)
    rows.append(order_row("d = 4: order of W₂ in γ", 1.0, slope))
    limit = 0.25 * sqrt(np.sum(four**2) + 4)
    ratios = np.array(distances) / steps
    # W₂/γ = limit + O(γ): one Richardson step
    extrapolated = (ratios[-1] * steps[-2] - ratios[-2] * steps[-1]) / (steps[-2] - steps[-1])
    change = abs(extrapolated - ratios[-1])
    rows.append(equal("d = 4: W₂/γ as γ → 0", limit, extrapolated, change, "the change by extrapolation to γ = 0"))
    curves = (Curve(steps, distances, f"slope {slope}"), Curve(steps, limit * steps, "¼√(|μ|² + d) γ", "theory"))
    words = f"in the step it is of order γ^{slope}, and W₂/γ tends to {extrapolated:.4f}, expected {limit:.4f}"
    return Panel("sampling, the mean known", "step γ", "W₂, d = 4", curves, True, True), words


def _by_dimension(parameters: Parameters, rows: list[Row]) -> tuple[Panel, str]:
    """W₂ against d with the longest step."""
    step = parameters.steps[0]
    means = [np.full(d, parameters.mean) for d in parameters.dimensions]
    distances = [wasserstein_2(end_of(parameters.horizon, step, mean), Law.isotropic(mean, 1.0)) for mean in means]
    slope = power_law(parameters.dimensions, distances)
    rows.append(order_row("order of W₂ in the dimension d", 0.5, slope))
    curve = Curve(parameters.dimensions, distances, f"slope {slope}")
    panel = Panel("sampling, the mean known", "dimension d", f"W₂, γ = {step:g}", (curve,), True, True)
    return panel, f"d^{slope} in the dimension"


def _particles(parameters: Parameters, rows: list[Row]) -> None:
    """The particles of the software, with the longest step, on the line."""
    step, horizon = parameters.steps[0], parameters.horizon
    reference = reversed_diffusion(gaussian(parameters.mean, 1.0), (BOX,), horizon)
    edges = np.array([0.0, horizon])
    process = Process.of(
        ExactDrift(reference, 1.0, edges, (BOX,)),
        Steady(1.0),
        (BOX,),
        "reflecting",
        round(horizon / step),
        "euler-maruyama",
    )
    count = parameters.particles
    start = np.random.default_rng(parameters.seed).standard_normal((count, 1))
    ends = plain.simulate(process, Stream(parameters.seed), np.arange(count, dtype=np.uint64), process.inward(start))
    x = process.outward(ends.z)[:, 0]
    a, v = scheme_law(horizon, step)
    rows.append(
        equal(
            f"γ = {step:g}, particles: mean",
            a * parameters.mean,
            float(x.mean()),
            ERRORS * float(x.std()) / sqrt(count),
            SAMPLED,
        )
    )
    rows.append(
        equal(
            f"γ = {step:g}, particles: variance", v, float(x.var()), ERRORS * float(x.var()) * sqrt(2 / count), SAMPLED
        )
    )


def _learnt(parameters: Parameters, rows: list[Row], setting: Setting) -> Panel:
    """E|θ_n − μ|² exactly and by chains, and what a sampler makes of θ_n."""
    chain = MeanChain(parameters.learning_step, parameters.inverse_temperature)
    mean = np.full(4, parameters.mean)
    rng = np.random.default_rng(parameters.seed)
    theta = np.zeros((parameters.chains, 4))
    step = parameters.steps[0]
    a, v = scheme_law(parameters.horizon, step)
    exact, measured, errors = [], [], []
    done = 0
    for iterations in parameters.iterations:
        setting.progress(Step("Langevin chains", fraction=iterations / parameters.iterations[-1]))
        theta = chain.run(theta, mean, iterations - done, rng)
        done = iterations
        squares = np.sum((theta - mean) ** 2, axis=1)
        exact.append(chain.second_moment(float(mean @ mean), iterations, 4))
        measured.append(float(squares.mean()))
        errors.append(float(squares.std()) / sqrt(len(squares)))
        rows.append(equal(f"n = {iterations}: E|θₙ − μ|²", exact[-1], measured[-1], ERRORS * errors[-1], SAMPLED))
    # |aθ − μ|² = a²|u|² + 2a(a − 1) u·μ + (a − 1)²|μ|², u = θ − μ
    u = chain.first_moment(-mean, done)
    expected = a**2 * exact[-1] + 2 * a * (a - 1) * float(u @ mean) + (a - 1) ** 2 * float(mean @ mean)
    ends = np.sum((a * theta - mean) ** 2, axis=1) + 4 * (sqrt(v) - 1) ** 2
    rows.append(
        equal(
            f"n = {done}, then γ = {step:g}: E W₂²",
            expected + 4 * (sqrt(v) - 1) ** 2,
            float(ends.mean()),
            ERRORS * float(ends.std()) / sqrt(len(ends)),
            SAMPLED,
        )
    )
    rows.append(report("share of E|θ − μ|² that each Langevin step keeps", chain.forgetting()))
    curves = (
        Curve(parameters.iterations, measured, "chains", error=ERRORS * np.array(errors)),
        Curve(parameters.iterations, exact, "exact", "theory"),
    )
    return Panel("learning the mean", "Langevin steps n", "E|θₙ − μ|², d = 4", curves, True, True)


CLAIM = Claim(
    id="sgld-gaussian-mean",
    source="P3",
    title="Learn a mean by Langevin steps, then sample: every error is known",
    statement=(
        "The score of N(μ, I) is learnt by stochastic gradient Langevin dynamics on the denoising loss, and the "
        "reverse SDE is then run in steps of length γ. The distance W₂ to the data is of order one in γ and of order "
        "√d in the dimension, not worse."
    ),
    formulas=(
        "given θ, K steps γ end in N(aθ, vI),  T = Kγ:",
        "a = 2γ(1 − e^{−T}(1−γ)^K)/(e^γ − 1 + γ),  v = v∞ + (1−γ)^{2K}(1 − v∞),  v∞ = 2/(2−γ)",
        "W₂² = |aθ − μ|² + d(√v − 1)²,   W₂/γ → ¼√(|μ|² + d) for θ = μ",
        "θ' = θ − λH + √(2λ/β)ξ,  H = 2κm²(θ − X₀ + (m/σ)Z),  m = e^{−t}, σ² = 1 − e^{−2t}, κ = σ²",
        "E|θₙ − μ|² = ϱⁿ|θ₀ − μ|² + c(1−ϱⁿ)/(1−ϱ),  ϱ = E(1 − 2λκm²)²,",
        "c = 4λ²d E[κ²m⁴(1 + m²/σ²)] + 2λd/β;  derived here",
    ),
    parameters=Parameters(),
    fast=Parameters(
        steps=(0.1, 0.05, 0.025), dimensions=(1, 4, 16), particles=20_000, iterations=(10, 50), chains=4000
    ),
    experiment=experiment,
    meaning=(
        "Nothing on the way is estimated: the law of the discrete sampler, the error of the learnt mean and their sum "
        "are formulas, and particles and chains fall within their standard errors of them. With a finite temperature "
        "and constant steps the learnt mean does not converge: it ends at c/(1 − ϱ)."
    ),
    further="Lower the temperature and the step (`--set inverse_temperature=1e4 --set learning_step=0.01`).",
)
