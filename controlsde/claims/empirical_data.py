"""Samples in place of a density: what n of them are worth, and what a perfect score makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, owens_t
from scipy.stats import norm

from controlsde import distances
from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_least, at_most, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, allowance, density_after, line
from controlsde.claims.harness.fitting import power_law
from controlsde.claims.harness.optimised import Optimised, Spread, gathered, optimise, small_budget, spread_curve
from controlsde.claims.harness.references import exact, reference_of
from controlsde.densities.mixture import GaussianMixture
from controlsde.foundation.progress import Step
from controlsde.gaussians import noised_variance
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

BOX = (-5.0, 5.0)
CELLS = 1024  # of the box: the narrowest kernel spans a few
WATCHED = 100  # points at most on which log f̂ is looked at
ERRORS = 4.0  # standard errors
SAMPLED = "four standard errors of the mean over independent sample sets"
SMOOTH = 20  # of the ticks of a curve between two bandwidths


@dataclass(frozen=True)
class Parameters:
    """truth: a mixture; n and h as they are varied, with the middle ones; sample sets for each; a run and controls."""

    weights: tuple[float, ...] = (0.4, 0.6)
    means: tuple[float, ...] = (-1.2, 1.3)
    deviations: tuple[float, ...] = (0.5, 0.4)
    counts: tuple[int, ...] = (10, 30, 100, 300, 1000)
    bandwidths: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
    count: int = 100
    small: float = 0.02
    sets: int = 64
    noise: tuple[float, ...] = (0.0, 1.0)
    horizon: float = 1.5
    few: int = 20
    kernel: float = 0.1
    elements: int = 64
    steps: int = 128
    pieces: int = 8
    solved: int = 4


@dataclass(frozen=True, eq=False)
class Measured:
    """Sample sets measured, each (sets,): ∫(f̂ − f)², ‖f̂ − f‖²_{Ḣ⁻¹}, W₁, W₂, mean log f̂ on old and new points."""

    squared: Array
    weak: Array
    w1: Array
    w2: Array
    seen: Array
    unseen: Array


def truth(parameters: Parameters) -> GaussianMixture:
    """The density that the samples come from."""
    means = np.array(parameters.means)[:, None]
    return GaussianMixture(np.array(parameters.weights), means, np.array(parameters.deviations)[:, None] ** 2)


def expected_squared_error(data: GaussianMixture, count: int, blur: float, shrink: float = 1.0) -> float:
    """E∫(f̂ − f)², f̂ the mean of N(aXᵢ, v), `shrink` a, `blur` v = h²: Marron and Wand (1992) have a = 1."""
    w, m, s = data.weights, data.means[:, 0], data.variances[:, 0]

    def overlap(a: float, b: float, extra: float) -> float:
        """Σᵢⱼ wᵢwⱼ N(a mᵢ − b mⱼ; 0, a²sᵢ + b²sⱼ + extra)."""
        gap = a * m[:, None] - b * m[None, :]
        variance = a**2 * s[:, None] + b**2 * s[None, :] + extra
        return float(w @ norm.pdf(gap, 0.0, np.sqrt(variance)) @ w)

    own = 1.0 / (2.0 * count * np.sqrt(np.pi * blur))
    pairs = (1.0 - 1.0 / count) * overlap(shrink, shrink, 2.0 * blur)
    return float(own + pairs - 2.0 * overlap(shrink, 1.0, blur) + overlap(1.0, 1.0, 0.0))


def expected_weak_error(data: GaussianMixture, count: int, blur: float) -> float:
    """E∫(F̂ − F)² dx = ∫(F_h − F)² + (1/n)∫(E Φ((x − X)/h)² − F_h²), Owen's T for the square; derived here."""
    x = np.linspace(BOX[0] - 3.0, BOX[1] + 3.0, 20001)
    w, m, s = data.weights, data.means, data.variances
    z = (x - m) / np.sqrt(s + blur)
    correlation = s / (s + blur)  # of X + hZ₁ and X + hZ₂
    both = w @ (ndtr(z) - 2.0 * owens_t(z, np.sqrt((1.0 - correlation) / (1.0 + correlation))))
    smoothed = w @ ndtr(z)
    exact = w @ ndtr((x - m) / np.sqrt(s))
    return float(np.trapezoid((smoothed - exact) ** 2 + (both - smoothed**2) / count, x))


def transport_bound(data: GaussianMixture, count: int, blur: float) -> float:
    """E W₁ ≤ ∫√(F(1 − F)/n) dx + h√(2/π): Jensen for the samples, and each kernel moves its mass by h|Z|."""
    x = np.linspace(BOX[0] - 3.0, BOX[1] + 3.0, 20001)
    exact = data.weights @ ndtr((x - data.means) / np.sqrt(data.variances))
    spread = np.sqrt(np.maximum(exact * (1.0 - exact), 0.0) / count)
    return float(np.trapezoid(spread, x) + np.sqrt(2.0 * blur / np.pi))


def best_bandwidth(data: GaussianMixture, count: int) -> float:
    """The h of least expected squared error."""
    found = minimize_scalar(
        lambda log: expected_squared_error(data, count, float(np.exp(2 * log))), bounds=(-4.0, 0.5), method="bounded"
    )
    return float(np.exp(found.x))


def estimated(points: Array, bandwidth: float) -> GaussianMixture:
    """f̂: a Gaussian of deviation h about each of the points (n, 1)."""
    return GaussianMixture(np.ones(len(points)), points, np.full(points.shape, bandwidth**2))


def measured(parameters: Parameters, count: int, bandwidth: float, rng: np.random.Generator) -> Measured:
    """What `sets` independent sample sets give."""
    data = truth(parameters)
    edges = np.linspace(*BOX, CELLS + 1)
    cell = edges[1] - edges[0]
    centres = (0.5 * (edges[1:] + edges[:-1]))[:, None]
    weights = np.full(CELLS, cell)
    target = data.pdf(centres)
    rows = []
    for _ in range(parameters.sets):
        points = data.sample(count, rng)
        kernel = estimated(points, bandwidth)
        values = kernel.pdf(centres)
        rows.append(
            (
                distances.l2(weights, values, target) ** 2,
                distances.sobolev_minus_1((BOX,), "reflecting", values - target) ** 2,
                distances.wasserstein_1(edges, values, target),
                distances.wasserstein_2(edges, values, target),
                np.mean(np.log(kernel.pdf(points[:WATCHED]))),
                np.mean(np.log(np.maximum(kernel.pdf(data.sample(min(count, WATCHED), rng)), 1e-300))),
            )
        )
    return Measured(*np.array(rows).T)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Sample sizes, bandwidths, a perfect score, and controls that are given only samples."""
    rows: list[Row] = []
    rng = np.random.default_rng(0)
    data = truth(parameters)
    policies: tuple[tuple[str, Callable[[int], float]], ...] = (
        (f"h = {parameters.small:g}", lambda _: parameters.small),
        ("best h", partial(best_bandwidth, data)),
    )
    curves: dict[str, list[Curve]] = {"l2": [], "w2": [], "memory": []}
    for series, (policy, bandwidth) in enumerate(policies):
        seen = []
        for number, count in enumerate(parameters.counts):
            setting.progress(Step(f"{policy}, n = {count}", fraction=number / len(parameters.counts)))
            seen.append(measured(parameters, count, bandwidth(count), rng))
            rows += statistical_rows(f"{policy}, n = {count}", data, count, bandwidth(count), seen[-1])
        curves["l2"] += l2_curves(data, parameters.counts, seen, policy, bandwidth, series)
        curves["w2"].append(w2_curve(parameters.counts, seen, policy, series))
        if len(parameters.counts) > 2:
            slope = power_law(parameters.counts, [one.w2.mean() for one in seen])
            rows.append(report(f"{policy}: log-slope of W₂ in n", slope.value))
    memory = []
    for bandwidth_now in parameters.bandwidths:
        setting.progress(Step(f"n = {parameters.count}, h = {bandwidth_now:g}"))
        one = measured(parameters, parameters.count, bandwidth_now, rng)
        memory.append(one)
        rows += memory_rows(f"n = {parameters.count}, h = {bandwidth_now:g}", parameters.count, bandwidth_now, one)
        rows += statistical_rows(
            f"n = {parameters.count}, h = {bandwidth_now:g}", data, parameters.count, bandwidth_now, one
        )
    curves["memory"] = memory_curves(parameters, memory)
    for noise in parameters.noise:
        setting.progress(Step(f"a perfect score, η = {noise:g}"))
        rows += perfect_rows(parameters, data, noise)
    solved = {noise: controls_of(parameters, data, noise, setting) for noise in parameters.noise}
    for noise, (answers, away, own) in solved.items():
        name = f"controls for {parameters.few} samples, h = {parameters.kernel:g}, η = {noise:g}"
        rows += answers.rows(name, ("l2",))
        rows.append(report(f"{name}: ‖ρ(T) − truth‖, mean over the sample sets", away.mean))
        rows.append(report(f"{name}: ‖ρ(T) − truth‖, standard deviation over the sample sets", away.deviation))
        rows.append(report(f"{name}: ‖f̂ − truth‖, mean over the same sample sets", own.mean))
    return Findings(tuple(rows), panels_of(parameters, curves, solved), note_of(parameters, memory, solved))


def statistical_rows(name: str, data: GaussianMixture, count: int, bandwidth: float, found: Measured) -> list[Row]:
    """Means over sample sets beside their expectations."""
    blur = bandwidth**2
    w2 = Spread.of(found.w2)
    return [
        mean_row(f"{name}: mean of ‖f̂ − f‖²", expected_squared_error(data, count, blur), found.squared),
        mean_row(f"{name}: mean of ‖f̂ − f‖² in Ḣ⁻¹", expected_weak_error(data, count, blur), found.weak),
        at_most(
            f"{name}: mean of W₁",
            transport_bound(data, count, blur),
            float(found.w1.mean()),
            ERRORS * Spread.of(found.w1).standard_error,
            SAMPLED,
        ),
        report(f"{name}: mean of W₂", w2.mean),
        report(f"{name}: standard deviation of W₂", w2.deviation),
    ]


def mean_row(name: str, expected: float, values: Array) -> Row:
    """The mean of independent values beside its expectation."""
    return equal(name, expected, float(values.mean()), ERRORS * Spread.of(values).standard_error, SAMPLED)


def memory_rows(name: str, count: int, bandwidth: float, found: Measured) -> list[Row]:
    """How much likelier f̂ finds the samples than new points; each sample has at least its own kernel."""
    return [
        at_least(
            f"{name}: log f̂, its mean over the samples, least of all sets",
            -float(np.log(count * bandwidth * np.sqrt(2 * np.pi))),
            float(found.seen.min()),
            0.0,
            "holds for every sample set",
        ),
        report(f"{name}: log f̂ on the samples less log f̂ on new points", float((found.seen - found.unseen).mean())),
    ]


def sample_text(parameters: Parameters, points: Array, noise: float, bandwidth: float) -> str:
    """Samples as the data of a reversed Ornstein–Uhlenbeck process."""
    return f"""
domain: {{box: [[{BOX[0]}, {BOX[1]}]]}}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: {parameters.horizon!r}
  data: {{kind: samples, points: {points.tolist()}, bandwidth: {bandwidth!r}}}
noise: {noise!r}
{small_budget(parameters.pieces)}
"""


def perfect_rows(parameters: Parameters, data: GaussianMixture, noise: float) -> list[Row]:
    """The exact drift of the samples ends in f̂, and just before that in a broader kernel about shrunk samples."""
    points = data.sample(parameters.few, np.random.default_rng(1))
    reference = reference_of(sample_text(parameters, points, noise, parameters.kernel))
    left = 0.5 * parameters.kernel**2  # before the end
    shrink, blur = np.exp(-left), noised_variance(parameters.kernel**2, left)
    ends = {0.0: estimated(points, parameters.kernel), left: estimated(shrink * points, float(np.sqrt(blur)))}
    rows = []
    for stop, expected in ends.items():

        def error(more: int, last: float = parameters.horizon - stop, goal: GaussianMixture = expected) -> float:
            state = density_after(
                line(*BOX, more * parameters.elements // 2),
                partial(exact, reference, noise),
                noise,
                partial(reference.density, 0.0),
                np.linspace(0.0, last, more * parameters.steps // 2 + 1),
            )
            return state.l2(goal.pdf)

        rough, fine = error(1), error(2)
        at = f": stopped {stop:g} early, L² distance to the broader kernel" if stop else ": ‖ρ(T) − f̂‖"
        name = f"{parameters.few} samples, h = {parameters.kernel:g}, exact drift, η = {noise:g}"
        rows.append(equal(f"{name}{at}", 0.0, fine, allowance(fine, rough), REFINEMENT))
    return rows


def controls_of(
    parameters: Parameters, data: GaussianMixture, noise: float, setting: Setting
) -> tuple[Optimised, Spread, Spread]:
    """Narrow controls for one sample set a seed: their errors against f̂, theirs against the truth, those of f̂."""
    results, away, own = [], [], []
    for seed in range(parameters.solved):
        points = data.sample(parameters.few, np.random.default_rng(100 + seed))
        text = sample_text(parameters, points, noise, parameters.kernel)
        found = optimise(text, (seed,), setting.progress, f"controls, η = {noise:g}")
        results.append(found.best)
        if found.best is not None and found.best.verified:
            axis = found.best.fields.axes[0]
            target = data.pdf(axis[:, None])
            away.append(root_of_square(axis, found.best.fields.density[-1] - target))
            own.append(root_of_square(axis, estimated(points, parameters.kernel).pdf(axis[:, None]) - target))
    return gathered(range(parameters.solved), results), Spread.of(np.array(away)), Spread.of(np.array(own))


def root_of_square(axis: Array, values: Array) -> float:
    """(∫ values² dx)^½ on the points of a mesh that is fine enough for trapezia."""
    return float(np.sqrt(np.trapezoid(values**2, axis)))


def l2_curves(
    data: GaussianMixture,
    counts: tuple[int, ...],
    found: list[Measured],
    policy: str,
    bandwidth: Callable[[int], float],
    series: int,
) -> list[Curve]:
    """Root of the mean squared error against n, measured and expected."""
    roots = [np.sqrt(one.squared.mean()) for one in found]
    errors = [Spread.of(one.squared).deviation / (2 * root) for one, root in zip(found, roots, strict=True)]
    expected = [np.sqrt(expected_squared_error(data, count, bandwidth(count) ** 2)) for count in counts]
    return [
        Curve(counts, roots, f"{policy}, with its deviation", error=errors, series=series),
        Curve(counts, expected, "expected" if series == 0 else "", "theory"),
    ]


def w2_curve(counts: tuple[int, ...], found: list[Measured], policy: str, series: int) -> Curve:
    """W₂ against n."""
    spreads = [Spread.of(one.w2) for one in found]
    return spread_curve(counts, spreads, f"{policy}, with its deviation", series)


def memory_curves(parameters: Parameters, found: list[Measured]) -> list[Curve]:
    """log f̂ on old and on new points, and the least on old ones."""
    bandwidths = parameters.bandwidths
    old, new = [Spread.of(one.seen) for one in found], [Spread.of(one.unseen) for one in found]
    fine = np.geomspace(bandwidths[0], bandwidths[-1], SMOOTH * len(bandwidths))
    return [
        spread_curve(bandwidths, old, "the samples", 0),
        spread_curve(bandwidths, new, "new points", 1),
        Curve(fine, -np.log(parameters.count * fine * np.sqrt(2 * np.pi)), "least on the samples", "theory"),
    ]


def panels_of(
    parameters: Parameters, curves: dict[str, list[Curve]], solved: dict[float, tuple[Optimised, Spread, Spread]]
) -> tuple[Panel, ...]:
    """L² and W₂ against n, memorisation against h, and the best controls at the last noise level."""
    noise, (answers, _, _) = list(solved.items())[-1]
    picture: tuple[Curve, ...] = ()
    if answers.best is not None:
        axis, fields = answers.best.fields.axes[0], answers.best.fields
        picture = (
            Curve(axis, fields.reference[-1], "f̂, which a perfect score ends in", "line"),
            Curve(axis, fields.density[-1], f"controls that follow it, η = {noise:g}", "line"),
            Curve(axis, truth(parameters).pdf(axis[:, None]), "truth f", "theory"),
        )
    return (
        Panel("error in L²", "samples n", "root mean square of ‖f̂ − f‖", tuple(curves["l2"]), True, True),
        Panel("error in transport", "samples n", "W₂(f̂, f)", tuple(curves["w2"]), True, True),
        Panel(
            f"memorising {parameters.count} samples",
            "bandwidth h",
            "mean of log f̂ on …",
            tuple(curves["memory"]),
            x_log=True,
        ),
        Panel(f"{parameters.few} samples, h = {parameters.kernel:g}", "x", "density at T", picture),
    )


def note_of(
    parameters: Parameters, memory: list[Measured], solved: dict[float, tuple[Optimised, Spread, Spread]]
) -> str:
    """What the numbers say."""
    gap = float((memory[0].seen - memory[0].unseen).mean())
    words = [f"{away.mean:.2f} from the truth at η = {n:g}" for n, (_, away, _) in solved.items()]
    own = next(iter(solved.values()))[2].mean if solved else float("nan")
    return (
        f"Squared errors are those of the closed forms. With h = {parameters.bandwidths[0]:g} the {parameters.count} "
        f"samples are likelier than new points by {gap:.1f} in the logarithm. A perfect score ends in the samples' own "
        f"density f̂. Narrow controls that follow the f̂ of {parameters.few} samples end {', '.join(words)}; f̂ itself "
        f"lies {own:.2f} from it (means over the sample sets)."
    )


CLAIM = Claim(
    id="empirical-data",
    source="P2",
    title="Samples in place of a density: error, and memorisation",
    statement=(
        "The data are n samples, each blurred by a bandwidth h, in place of the density that they come from. How far "
        "is what they stand for from the truth, in L² and in transport? And what does a perfect score make of them? It "
        "gives them back: as h goes to zero it draws what it has seen, and nothing else."
    ),
    formulas=(
        "f̂ = (1/n) Σ N(Xᵢ, h²), f a mixture:  E‖f̂ − f‖² = 1/(2nh√π) + (1 − 1/n) Ω₂ − 2 Ω₁ + Ω₀,\n"
        "Ω_a = Σᵢⱼ wᵢwⱼ N(mᵢ − mⱼ; 0, ah² + sᵢ² + sⱼ²)   (Marron and Wand 1992)",
        "E‖f̂ − f‖²_{Ḣ⁻¹} = ∫(F_h − F)² dx + (1/n) ∫(E Φ((x − X)/h)² − F_h²) dx;  derived here",
        "E W₁(f̂, f) ≤ ∫√(F(1 − F)/n) dx + h√(2/π);  derived here",
        "on the samples  log f̂ ≥ −log(nh√2π) → ∞ as h → 0, however large n is",
        "the exact drift ends in f̂; ε earlier the samples are shrunk by e^{−ε}, and h² is h²e^{−2ε} + 1 − e^{−2ε}",
    ),
    parameters=Parameters(),
    fast=Parameters(
        counts=(10, 100), bandwidths=(0.02, 0.32), sets=16, noise=(1.0,), elements=24, steps=64, pieces=4, solved=1
    ),
    experiment=experiment,
    meaning=(
        "In transport the bandwidth hardly matters, and the error falls about as 1/√n. In L² it is everything: at a "
        "fixed small bandwidth the error falls as 1/√n, too, but from a height 1/√h; the best bandwidth trades that "
        "for bias. A score that is learnt perfectly from samples memorises, with noise or without: stopping early is "
        "no more than another bandwidth. What smooths is what "
        "cannot follow: controls of one neuron blur the samples, and where the bandwidth is too small they end nearer "
        "to the truth than the data that they were given. They know no better, though: with noise the smaller bump is "
        "all but lost on the way."
    ),
    further=(
        "More samples leave less to smooth over: `--set few=200`. A wider network follows them more closely; the "
        "number of pieces does, too: `--set pieces=24`."
    ),
)
