"""A target with compact support: between walls at the ends of the support, and in free space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import simpson
from scipy.stats import norm

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_most, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, allowance, density_after, line
from controlsde.claims.harness.fitting import ORDER, Slope, power_law
from controlsde.claims.harness.optimised import Optimised, optimise, small_budget, spread_curve
from controlsde.claims.harness.references import exact, reference_of
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.truncated import TruncatedMixture
from controlsde.fokker_planck.density_field import DensityField
from controlsde.foundation.progress import Step
from controlsde.reference import Reference
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result

Array = NDArray[np.float64]

SUPPORT = (-1.0, 1.0)
FREE = (-6.0, 6.0)  # beyond which the noised data have no mass that a number could show
EDGE = 0.2  # on either side of an end of the support: what counts as near it
PANEL = 20001  # points of each part of a quadrature
TIMES = 24  # at which the slope of log p is looked at
PLACES = ("between walls", "free space")
WHERE = {"between walls": "between walls", "free space": "in free space"}


@dataclass(frozen=True)
class Parameters:
    """data: N(mean, deviation²) cut to [−1, 1]; horizons; ε: how early to stop; noise η; a budget for the controls."""

    mean: float = 0.3
    deviation: float = 0.5
    heat_horizon: float = 0.3
    free_horizon: float = 1.0
    early: tuple[float, ...] = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4)
    stop: float = 0.005
    noise: tuple[float, ...] = (0.0, 1.0)
    pieces: int = 8
    seeds: int = 3
    elements: int = 64
    steps: int = 64


def problem_text(parameters: Parameters, place: str, noise: float) -> str:
    """The same data by reflected heat on the support, or by an Ornstein–Uhlenbeck process in a box that is not felt."""
    walled = place == PLACES[0]
    low, high = SUPPORT if walled else FREE
    return f"""
domain: {{box: [[{low}, {high}]]}}
reference:
  kind: reversed-diffusion
  forward: {"heat" if walled else "ornstein-uhlenbeck"}
  horizon: {parameters.heat_horizon if walled else parameters.free_horizon!r}
  data:
    {{kind: truncated, mean: {parameters.mean!r}, std: {parameters.deviation!r}, low: {SUPPORT[0]}, high: {SUPPORT[1]}}}
noise: {noise!r}
{small_budget(parameters.pieces, tangential=walled)}
"""


def data_of(parameters: Parameters) -> TruncatedMixture:
    """p(T)."""
    whole = GaussianMixture(np.ones(1), np.array([[parameters.mean]]), np.array([[parameters.deviation**2]]))
    return TruncatedMixture(whole, (SUPPORT,))


def steepest(parameters: Parameters) -> float:
    """max |∂ log p(T)| on the support: |x − mean|/deviation² at its farther end."""
    return max(abs(end - parameters.mean) for end in SUPPORT) / parameters.deviation**2


def mass_outside(parameters: Parameters, early: float) -> float:
    """P(aX + √v Z ∉ [−1, 1]) of the free process, a = e^{−ε}, v = 1 − a², by quadrature over the data."""
    x = np.linspace(*SUPPORT, PANEL)
    shrunk, blur = np.exp(-early) * x, np.sqrt(-np.expm1(-2 * early))
    beyond = norm.cdf((SUPPORT[0] - shrunk) / blur) + norm.cdf((shrunk - SUPPORT[1]) / blur)
    return float(simpson(data_of(parameters).pdf(x[:, None]) * beyond, x=x))


def left_by_stopping(parameters: Parameters, reference: Reference, early: float, low: float, high: float) -> float:
    """‖p(T − ε) − p(T)‖ on [low, high], which is cut where p(T) jumps."""
    total = 0.0
    ends = sorted({low, *SUPPORT, high})
    for start, stop in pairwise(ends):
        x = np.linspace(start, stop, PANEL)[:, None]
        inside = start >= SUPPORT[0] and stop <= SUPPORT[1]
        target = data_of(parameters).pdf(x) if inside else np.zeros(len(x))
        total += float(simpson((reference.density(reference.horizon - early, x) - target) ** 2, x=x[:, 0]))
    return float(np.sqrt(total))


def tracked(parameters: Parameters, reference: Reference, place: str, noise: float, more: int) -> DensityField:
    """The state of the exact drift: at T between walls, at T − ε in free space, where the drift has no limit."""
    walled = place == PLACES[0]
    # between walls the slope of log p at the wall jumps to that of the data at T: steps shorten towards it
    shortest = 10.0 ** -(2 * more + 1) * reference.horizon if walled else parameters.stop
    times = reference.horizon - np.geomspace(reference.horizon, shortest, more * parameters.steps // 2 + 1)
    if walled:
        times = np.append(times, reference.horizon)
    low, high = SUPPORT if walled else FREE
    elements = parameters.elements // (4 ** (3 - more) if walled else 3 - more)
    start = partial(reference.density, 0.0)
    return density_after(line(low, high, elements), partial(exact, reference, noise), noise, start, times)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Closed forms in both places, the exact drift, and controls from several seeds."""
    rows: list[Row] = []
    references = {place: reference_of(problem_text(parameters, place, 0.0)) for place in PLACES}
    setting.progress(Step("slopes of log p"))
    steep = {place: slopes_of(references[place]) for place in PLACES}
    rows.append(
        at_most(
            f"{PLACES[0]}: largest |∂ log p| at any time",
            steepest(parameters),
            float(steep[PLACES[0]][1].max()),
            1e-9,
            "rounding",
        )
    )
    early = np.array(parameters.early)
    left: dict[str, Array] = {}
    for place, (low, high), order in zip(PLACES, (SUPPORT, (-2.0, 2.0)), (0.75, 0.25), strict=True):
        left[place] = np.array([left_by_stopping(parameters, references[place], e, low, high) for e in early])
        rows.append(quarter_row(f"{place}: order of ‖p(T − ε) − p(T)‖ in ε", order, power_law(early, left[place])))
    free = references[PLACES[1]]
    at_edge = [-float(free.score(free.horizon - e, np.array([[SUPPORT[1]]]))[0, 0]) for e in early]
    outside = [mass_outside(parameters, e) for e in early]
    rows.append(quarter_row("free space: order in ε of ∂ log p at the edge", -0.5, power_law(early, at_edge)))
    rows.append(quarter_row("free space: order in ε of the mass outside", 0.5, power_law(early, outside)))
    found: dict[tuple[str, float], Optimised] = {}
    for place in PLACES:
        for noise in parameters.noise:
            setting.progress(Step(f"{place}, η = {noise:g}, exact drift"))
            rows += exact_rows(parameters, references[place], place, noise)
            text = problem_text(parameters, place, noise)
            name = f"{place}, η = {noise:g}, controls"
            found[place, noise] = optimise(text, range(parameters.seeds), setting.progress, name)
            rows += found[place, noise].rows(name)
            rows += near_rows(name, found[place, noise].best)
    return Findings(tuple(rows), panels_of(parameters, steep, left, found), note_of(parameters, found))


def slopes_of(reference: Reference) -> tuple[Array, Array]:
    """Times left, and the largest |∂ log p| on the support at each."""
    left = np.geomspace(1e-4 * reference.horizon, reference.horizon, TIMES)
    x = np.linspace(*SUPPORT, 801)[:, None]
    return left, np.array([np.abs(reference.score(reference.horizon - s, x)).max() for s in left])


def quarter_row(name: str, expected: float, slope: Slope) -> Row:
    """A fitted slope beside an asymptotic order that is a multiple of a quarter."""
    return equal(name, expected, slope.value, ORDER, "a tenth: other orders lie a quarter away, or more")


def exact_rows(parameters: Parameters, reference: Reference, place: str, noise: float) -> list[Row]:
    """The exact drift tracks in both places; between walls to the very end, in free space until ε before it."""
    walled = place == PLACES[0]
    when = reference.horizon - (0.0 if walled else parameters.stop)
    label = "T" if walled else f"T − {parameters.stop:g}"
    coarse, fine = (tracked(parameters, reference, place, noise, more) for more in (1, 2))
    goal = partial(reference.density, when)
    error, rough = fine.l2(goal), coarse.l2(goal)
    name = f"{place}, η = {noise:g}, exact drift"
    rows = [
        equal(f"{name}: ‖ρ − p‖ at {label}", 0.0, error, allowance(error, rough), REFINEMENT),
        equal(f"{name}: mass at {label}", 1.0, fine.mass, 1e-9, "rounding"),
    ]
    if not walled:
        beyond, roughly = outside_of(fine), outside_of(coarse)
        expected = mass_outside(parameters, parameters.stop)
        rows.append(equal(f"{name}: mass outside at {label}", expected, beyond, allowance(beyond, roughly), REFINEMENT))
    return rows


def outside_of(state: DensityField) -> float:
    """The mass beyond the ends of the support."""
    total = 0.0
    for low, high in ((FREE[0], SUPPORT[0]), (SUPPORT[1], FREE[1])):
        x = np.linspace(low, high, PANEL)
        total += float(simpson(state.on((x,)), x=x))
    return total


def near_rows(name: str, best: Result | None) -> list[Row]:
    """Where the error of the best controls lies."""
    if best is None:
        return []
    near, beyond = near_edges(best)
    return [
        report(f"{name}: ‖ρ(T) − p(T)‖ within {EDGE:g} of the edges, best", near),
        report(f"{name}: mass outside the support, best", beyond),
    ]


def near_edges(best: Result) -> tuple[float, float]:
    """‖ρ(T) − p(T)‖ near the ends of the support, and the mass of ρ(T) beyond them; on the mesh of the verification."""
    x, fields = best.fields.axes[0], best.fields
    weights = np.gradient(x)  # of trapezia
    weights[[0, -1]] *= 0.5
    near = np.minimum(abs(x - SUPPORT[0]), abs(x - SUPPORT[1])) <= EDGE
    beyond = (x < SUPPORT[0]) | (x > SUPPORT[1])
    squares = (fields.density[-1] - fields.reference[-1]) ** 2
    return float((squares * weights)[near].sum() ** 0.5), float((fields.density[-1] * weights)[beyond].sum())


def panels_of(
    parameters: Parameters,
    steep: dict[str, tuple[Array, Array]],
    left: dict[str, Array],
    found: dict[tuple[str, float], Optimised],
) -> tuple[Panel, ...]:
    """The slope of log p, what stopping early costs, the errors of controls, and the picture of the best."""
    slopes = [Curve(*steep[place], place, "line", series=series) for series, place in enumerate(PLACES)]
    times = steep[PLACES[1]][0]
    slopes.append(Curve(times, np.full(len(times), steepest(parameters)), "bound between walls", "theory", series=0))
    small = times[times < 0.03]
    slopes.append(Curve(small, 1 / np.sqrt(np.pi * small), "1/√(πε), from the jump", "theory", series=1))
    stopped = [
        Curve(
            parameters.early, left[place], f"{place}: slope {power_law(parameters.early, left[place])}", series=series
        )
        for series, place in enumerate(PLACES)
    ]
    bars = []
    for series, noise in enumerate(parameters.noise):
        spreads = [found[place, noise].spread("l2") for place in PLACES]
        label = f"η = {noise:g}, mean and deviation of the seeds"
        bars.append(spread_curve(range(len(PLACES)), spreads, label, series))
    picture = []
    for series, place in enumerate(PLACES):
        best = found[place, parameters.noise[-1]].best
        if best is not None:
            shown = abs(best.fields.axes[0]) <= 2.0
            label = f"{place}, η = {parameters.noise[-1]:g}, best controls"
            picture.append(
                Curve(best.fields.axes[0][shown], best.fields.density[-1][shown], label, "line", series=series)
            )
    x = np.linspace(-2.0, 2.0, 1601)
    picture.append(Curve(x, data_of(parameters).pdf(x[:, None]), "target p(T)", "theory"))
    return (
        Panel("what the drift needs", "time left ε = T − t", "largest |∂ log p| on [−1, 1]", tuple(slopes), True, True),
        Panel("what stopping early leaves", "ε", "‖p(T − ε) − p(T)‖", tuple(stopped), True, True),
        Panel("optimised controls", "", "‖ρ(T) − p(T)‖", tuple(bars), y_log=True, ticks=PLACES),
        Panel("the same target", "x", "density at T", tuple(picture)),
    )


def note_of(parameters: Parameters, found: dict[tuple[str, float], Optimised]) -> str:
    """What the numbers say."""
    words = []
    for place in PLACES:
        for noise in parameters.noise:
            answers = found[place, noise]
            part = f"{answers.spread('l2').mean:.3f} {WHERE[place]} at η = {noise:g}"
            if place == PLACES[1] and answers.best is not None:
                part += f" ({100 * near_edges(answers.best)[1]:.1f} % of the mass outside)"
            words.append(part)
    return (
        "Between walls the slope of log p never exceeds that of the data, and the exact drift ends in the target; in "
        "free space it grows as 1/√ε. Optimised controls miss the target by "
        f"{', '.join(words)}."
    )


CLAIM = Claim(
    id="bounded-and-unbounded",
    source="P1",
    title="A compact support, between walls and in free space",
    statement=(
        "The target lives on [−1, 1] and has jumps at its ends. On that interval, with reflecting walls, no mass can "
        "leave, and the drift that ends in the target stays bounded. In free space the jumps have to be made by the "
        "drift: it has no bound, and whoever stops early leaves mass outside."
    ),
    formulas=(
        "walls, heat:  ∂ₓq = 0 at the walls, so |∂ log q(s)| ≤ max |∂ log data| for all s  (maximum principle for\n"
        "∂ₓq − Mq);  derived here",
        "free space, a jump of height J at the edge, ε before the end;  derived here:",
        "∂ log p ~ −1/√(πε) at the edge,   mass outside ~ J√(ε/π),   ‖p(T − ε) − p(T)‖² ~ J²√ε (2 − √2)/√π:  order ¼",
        "walls:  only the slope of the data does not fit them, a layer of height ~√ε and width ~√ε:  order ¾",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(1.0,), pieces=2, seeds=1, elements=48, steps=32),
    experiment=experiment,
    meaning=(
        "That bounded domains keep compact supports is more than convenience: with walls where the target ends its "
        "jumps cost nothing, and both the exact drift and narrow controls come close to it, with noise or without. In "
        "free space the same target asks for a drift without bound. Controls of bounded slope blur the ends; noise "
        "blurs them more, because it pushes mass out for as long as it lasts. The two places differ in their forward "
        "process and in their start, too: what is compared is the target that can be had, not one drift with another."
    ),
    further="Flatter data have larger jumps: try `--set deviation=1`.",
)
