"""The least energy of any drift: its closed form between Gaussians, drifts that attain it, and drifts that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_least, at_most, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, allowance, line
from controlsde.claims.harness.references import exact, gaussian
from controlsde.controllability.ends import Ends
from controlsde.controllability.energy_bound import EnergyBound, energy_bounds
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.evolution import evolve
from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import radau
from controlsde.foundation.progress import Step
from controlsde.problem import parse_problem
from controlsde.report.panels import Curve, Panel
from controlsde.tracking.posed import Posed
from controlsde.workflow.bounding import frontier_of

Array = NDArray[np.float64]

BOX = (-6.0, 6.0)  # beyond it the Gaussians have no mass that rounding sees
FINE = 601  # points of the integral over y: a fiftieth apart
LAST = 1e-9  # of the horizon: nearer to its end ∇φ is 2D∇g
WAVES = 3  # that a disturbance is made of
OF_THE_BOUND = "four times what a finer mesh changes in the bound, its gap, and the mass beyond the box"
BEYOND = 1e-8  # relative: six deviations of the wider Gaussian are within the box


@dataclass(frozen=True)
class Parameters:
    """N(mean, deviation²) to N(to_mean, to_deviation²) in the horizon T, noise η (D = η), distances ε;

    disturbances: how many, of the best drift and of g, their size and seed; elements and steps of the state equation.
    """

    mean: float = 0.3
    deviation: float = 0.9
    to_mean: float = 1.0
    to_deviation: float = 0.5
    horizon: float = 1.0
    noise: tuple[float, ...] = (0.05, 0.25, 1.0)
    within: tuple[float, ...] = (0.05, 0.2)
    disturbances: int = 3
    size: float = 0.3
    seed: int = 0
    elements: int = 24
    steps: int = 64


def closed_form(parameters: Parameters, noise: float) -> float:
    """4D{½ log[e/(s₁² − c²/s₀²)] − ½ + [(m₁ − m₀)² + s₀² + s₁² − 2c]/2e}, c = ½(−e + √(e² + 4s₀²s₁²)), e = 2DT."""
    first, second, e = parameters.deviation**2, parameters.to_deviation**2, 2.0 * noise * parameters.horizon
    c = 0.5 * (-e + sqrt(e**2 + 4.0 * first * second))
    moved = ((parameters.to_mean - parameters.mean) ** 2 + first + second - 2.0 * c) / (2.0 * e)
    return 4.0 * noise * (0.5 * log(e / (second - c**2 / first)) - 0.5 + moved)


@dataclass(frozen=True, eq=False)
class Bridge:
    """The best drift for an end cost g: v = ∇φ, φ(t) = 2D log P_{D(T−t)} e^g, by integrals over y on a fine grid.

    ∇φ(t, x) = (ȳ − x)/(T − t), with ȳ the mean of y under k_{D(T−t)}(x, y) e^{g(y)}: a walk to where it may end.
    y (n,): the box and its mirror images. potential, slope: g and g′ there.
    """

    y: Array
    potential: Array
    slope: CubicSpline
    diffusivity: float
    horizon: float

    @staticmethod
    def of(bound: EnergyBound, diffusivity: float, horizon: float) -> Bridge:
        """The drift that the potential of a bound has."""
        low, high = BOX
        y = np.linspace(low, high, FINE)
        values = bound.mesh.interpolate(bound.potential, (y,))
        mirrored = np.concatenate([values[:0:-1], values, values[-2::-1]])
        whole = np.linspace(low - (high - low), high + (high - low), 3 * FINE - 2)
        return Bridge(whole, mirrored, CubicSpline(y, values, bc_type="clamped").derivative(), diffusivity, horizon)

    def __call__(self, t: float, x: Array) -> Array:
        """∇φ at x (n, 1): (n, 1)."""
        left = self.horizon - t
        if left <= LAST * self.horizon:
            return np.asarray(2.0 * self.diffusivity * self.slope(x))
        powers = self.potential - (x - self.y) ** 2 / (4.0 * self.diffusivity * left)
        powers = np.exp(powers - powers.max(axis=1, keepdims=True))
        return np.asarray(((powers @ self.y) / powers.sum(axis=1))[:, None] - x) / left


Change = Callable[[float, Array, Array], Array]  # t, x (n, 1) and the best drift there (n, 1) → another drift (n, 1)


def steered(_t: float, _x: Array, best: Array) -> Array:
    """The best drift itself."""
    return best


@dataclass(frozen=True, eq=False)
class Waves:
    """Random waves in space that change in time: what a drift is disturbed by, or a potential."""

    size: float
    waves: Array  # (w, 4): wave number, phase, turn over the time 1, amplitude

    @staticmethod
    def of(size: float, rng: np.random.Generator) -> Waves:
        """A few of them."""
        numbers, angles = rng.uniform(0.5, 2.0, WAVES), rng.uniform(0.0, 2.0 * pi, (2, WAVES))
        return Waves(size, np.column_stack([numbers, *angles, rng.standard_normal(WAVES)]))

    def values(self, t: float, x: Array) -> Array:
        """Their sum at x (n, 1): (n, 1)."""
        number, phase, turn, amplitude = self.waves.T
        return np.asarray(self.size * (np.cos(number * x + phase + turn * t) @ amplitude)[:, None])

    def __call__(self, t: float, x: Array, best: Array) -> Array:
        """The best drift, disturbed."""
        return best + self.values(t, x)


@dataclass(frozen=True, eq=False)
class Run:
    """What a drift v does: ρ(T), ∫∫|v|²ρ, and ∫∫|v − ∇φ|²ρ for the bridge that it is compared with."""

    final: DensityField
    energy: float
    aside: float


def runs(parameters: Parameters, posed: Posed, change: Change, bridge: Bridge) -> tuple[Run, Run]:
    """With the elements and the steps of the parameters, and with half of them."""
    fine, coarse = (_run(parameters, posed, change, bridge, share) for share in (1, 2))
    return fine, coarse


def _run(parameters: Parameters, posed: Posed, change: Change, bridge: Bridge, share: int) -> Run:
    """The state equation, and the energy by the quadrature of its Radau stages."""
    scheme = radau(3)
    mesh = line(*BOX, parameters.elements // share)
    operator = Operator.build(mesh, bridge.diffusivity)
    times = np.linspace(0.0, parameters.horizon, parameters.steps // share + 1)
    initial = np.maximum(posed.reference.initial_density(mesh.points), 0.0)
    known: dict[float, tuple[Array, Array]] = {}

    def at(t: float) -> Array:
        best = bridge(t, mesh.points)
        known[t] = best, change(t, mesh.points, best)
        return known[t][1]

    stages = evolve(operator, at, mesh.restrict(initial / (mesh.weights @ initial)), times)
    energy = aside = 0.0
    for number, (begun, length) in enumerate(zip(times[:-1], np.diff(times), strict=True)):
        for stage, t in enumerate(begun + scheme.c * length):
            best, drift = known[float(t)]
            mass = length * scheme.b[stage] * mesh.weights * mesh.to_grid(stages[number, stage])
            energy += float(mass @ drift[:, 0] ** 2)
            aside += float(mass @ (drift - best)[:, 0] ** 2)
    return Run(DensityField.of_unknowns(mesh, stages[-1, -1]), energy, aside)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every noise level: the closed form, the drifts that attain the bounds, and others, which do not."""
    rows: list[Row] = []
    notes, panels = [], []
    for noise in parameters.noise:
        setting.progress(Step(f"η = {noise:g}: the bounds"))
        posed = _posed(parameters, noise)
        bounds = energy_bounds(posed, (0.0, *parameters.within))
        closed = closed_form(parameters, noise)
        rows.append(
            equal(f"η = {noise:g}: bound at ε = 0", closed, bounds[0].value, _slack(bounds[0], closed), OF_THE_BOUND)
        )
        rows += _potentials(parameters, posed, noise, closed, bounds[0])
        seen: list[tuple[float, float]] = []
        for bound in bounds:
            setting.progress(Step(f"η = {noise:g}: the drift that arrives within {bound.within:g}"))
            attained = _attained(parameters, posed, noise, bound)
            rows += attained
            seen.append((attained[0].measured, attained[1].measured))
        others = []
        for name, change in _others(parameters, posed, noise):
            setting.progress(Step(f"η = {noise:g}: {name}"))
            found, within, energy = _other(parameters, posed, noise, name, change, bounds[0])
            rows += found
            others.append((within, energy))
        notes.append(f"{bounds[0].value:.7g} at η = {noise:g}, {closed:.7g} in closed form")
        curve = frontier_of(posed)
        panels.append(
            Panel(
                f"η = {noise:g}",
                "ε = ‖ρ(T) − p(T)‖",
                "∫∫|v|²ρ",
                (
                    Curve(curve.within, curve.energy, "no drift is below", "line"),
                    _points(seen, "the drifts that attain it"),
                    _points(others, "other drifts"),
                ),
            )
        )
    note = (
        f"The least energy is {'; '.join(notes)}. The drifts ∇φ attain it, at every ε asked for; what any other drift "
        "spends beyond it is its squared distance from ∇φ along the way, to the digits of the numerics."
    )
    return Findings(tuple(rows), tuple(panels), note)


def _posed(parameters: Parameters, noise: float) -> Posed:
    return Posed.of(
        parse_problem(
            f"""
domain: {{box: [{list(BOX)}]}}
reference:
  kind: displacement
  diffusivity: 1.0
  horizon: {parameters.horizon!r}
  from: {gaussian(parameters.mean, parameters.deviation)}
  to: {gaussian(parameters.to_mean, parameters.to_deviation)}
noise: {noise!r}
"""
        )
    )


def _slack(bound: EnergyBound, scale: float) -> float:
    return 4.0 * abs(bound.refined - bound.value) + bound.gap + BEYOND * scale


def _potentials(parameters: Parameters, posed: Posed, noise: float, closed: float, bound: EnergyBound) -> list[Row]:
    """Potentials that were disturbed prove less."""
    rng, ends = np.random.default_rng(parameters.seed), Ends.of(posed, bound.mesh)
    waves = [
        Waves.of(parameters.size, rng).values(0.0, bound.mesh.points)[:, 0] for _ in range(parameters.disturbances)
    ]
    largest = max(ends.with_noise(0.0, bound.potential + one) for one in waves)
    label = f"η = {noise:g}: the largest bound of {len(waves)} disturbed potentials"
    return [at_most(label, closed, largest, _slack(bound, closed), OF_THE_BOUND)]


def _attained(parameters: Parameters, posed: Posed, noise: float, bound: EnergyBound) -> list[Row]:
    """The drift of the potential arrives at ε exactly, for no more than the bound."""
    fine, coarse = runs(parameters, posed, steered, Bridge.of(bound, noise, parameters.horizon))
    label, slack = f"η = {noise:g}, ε = {bound.within:g}", _slack(bound, bound.value)
    moved = 4.0 * fine.final.distance(coarse.final)
    return [
        equal(f"{label}: ‖ρ(T) − p(T)‖ of ∇φ", bound.within, _distance(posed, fine), moved, REFINEMENT),
        equal(f"{label}: energy of ∇φ", bound.value, fine.energy, allowance(fine.energy, coarse.energy) + slack, BOTH),
    ]


def _others(parameters: Parameters, posed: Posed, noise: float) -> list[tuple[str, Change]]:
    rng = np.random.default_rng(parameters.seed + 1)

    def reference(t: float, x: Array, _best: Array) -> Array:
        return exact(posed.reference, noise, t, x)

    disturbed = [Waves.of(parameters.size, rng) for _ in range(parameters.disturbances)]
    return [
        ("v* of the displacement", reference),
        *((f"∇φ, disturbed ({number})", waves) for number, waves in enumerate(disturbed, 1)),
    ]


def _other(
    parameters: Parameters, posed: Posed, noise: float, name: str, change: Change, bound: EnergyBound
) -> tuple[list[Row], float, float]:
    """Rows of a drift that is not the best, where it arrived and what it spent.

    For any v: ∫∫|v|²ρ = 4D[∫gρ(T) − ∫log(P_{DT} e^g)ρ₀] + ∫∫|v − ∇φ|²ρ.
    """
    bridge, ends = Bridge.of(bound, noise, parameters.horizon), Ends.of(posed, bound.mesh)
    fine, coarse = runs(parameters, posed, change, bridge)
    proved = [
        4.0 * noise * float(ends.weights @ (bound.potential * (one.final.on((bound.mesh.axes[0].grid,)) - ends.target)))
        + ends.with_noise(0.0, bound.potential)
        for one in (fine, coarse)
    ]
    pairs = ((fine.energy, coarse.energy), (fine.aside, coarse.aside), (proved[0], proved[1]))
    moved = sum(allowance(*pair) for pair in pairs)
    label, within = f"η = {noise:g}, {name}", _distance(posed, fine)
    (own,) = energy_bounds(posed, (within,))
    rows = [
        equal(
            f"{label}: energy",
            proved[0] + fine.aside,
            fine.energy,
            moved + _slack(bound, fine.energy),
            BOTH,
        ),
        at_least(
            f"{label}: energy, against the bound at the distance {within:.3g} that it reached",
            own.value,
            fine.energy,
            allowance(fine.energy, coarse.energy) + _slack(own, own.value),
            BOTH,
        ),
        report(f"{label}: its distance from ∇φ, ∫∫|v − ∇φ|²ρ", fine.aside),
    ]
    return rows, within, fine.energy


def _points(pairs: list[tuple[float, float]], label: str) -> Curve:
    """Distances and energies."""
    within, energy = np.array(sorted(pairs)).T
    return Curve(within, energy, label)


def _distance(posed: Posed, run: Run) -> float:
    return run.final.l2(partial(posed.reference.density, posed.reference.horizon))


BOTH = f"{REFINEMENT}; and of the bound: {OF_THE_BOUND}"


CLAIM = Claim(
    id="energy-bound",
    source="P1",
    title="The least energy of any drift, and the drifts that attain it",
    statement=(
        "No drift whatsoever, of a network or not, brings ρ(T) within ε of the data for less energy ∫∫|v|²ρ than a "
        "bound that any function g proves. At ε = 0 its maximum is the energy of Schrödinger's bridge, between "
        "Gaussians in closed form. It is attained, at ε > 0, too: the drift ∇φ of the best g arrives at the distance ε "
        "for just that energy, and any other drift spends more by its squared distance from ∇φ."
    ),
    formulas=(
        "∫∫|v|²ρ ≥ 4D[∫g p(T) − ε‖g − ḡ‖ − ∫log(P_{DT} e^g) ρ₀]  for every g and ‖ρ(T) − p(T)‖ ≤ ε  (derived here)",
        "N(m₀, s₀²) → N(m₁, s₁²), ε = 0:  4D{½ log[e/(s₁² − c²/s₀²)] − ½ + [(m₁ − m₀)² + s₀² + s₁² − 2c]/2e},\n"
        "e = 2DT,  c = ½(−e + √(e² + 4s₀²s₁²))",
        "attained by v = ∇φ,  φ(t) = 2D log P_{D(T−t)} e^g,  ∇φ = (ȳ − x)/(T − t),  ȳ the mean of y under\n"
        "k_{D(T−t)}(x, y) e^{g(y)}",
        "any v:  ∫∫|v|²ρ = 4D[∫g ρ(T) − ∫log(P_{DT} e^g) ρ₀] + ∫∫|v − ∇φ|²ρ",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(0.25, 1.0), within=(0.1,), disturbances=1, elements=16, steps=24),
    experiment=experiment,
    meaning=(
        "What a network is held against is no estimate: less energy is impossible, and as much is enough, for a drift "
        "that may be any function. The bound is a number that was found by one method, and the drift that attains it "
        "was run by another, through the state equation."
    ),
    further=(
        "Ends that lie farther apart (`--set to_mean=2`), less noise (`--set noise=[0.02]`, where the bound tends to "
        "W₂²/T), larger disturbances (`--set size=1`)."
    ),
)
