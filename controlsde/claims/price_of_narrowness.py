"""What narrowness costs: the energy that few neurons spend over the least of any drift, by width and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_least, equal, report
from controlsde.controllability.energy_bound import EnergyBound, energy_bounds
from controlsde.foundation.progress import Step
from controlsde.problem import Problem, parse_problem
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result
from controlsde.tracking.posed import Posed
from controlsde.workflow.solving import evaluate, solve

PARTICLES, OF_EXACT = 20000, 2000  # the exact drift is a function of every particle's place and time
NEAREST = 0.01  # what comes nearer is held against the least energy of coming as near as this, which is less
ERRORS = 5.0  # standard errors
CHANGED = "four times what a finer mesh changes in the bound"
BY_PARTICLES = f"{ERRORS:g} standard errors of the particles, and the error of their steps: a hundredth"
STEPS_OF_PARTICLES = 1e-2
ASKED = {True: "at T alone, energy priced at {0:g}", False: "on the way and at T"}


@dataclass(frozen=True)
class Parameters:
    """widths, noise levels η, prices w of the energy (0: none, and the error on the way counts); pieces, horizon;

    starts, hops and iterations of the search.
    """

    widths: tuple[int, ...] = (1, 2, 4)
    noise: tuple[float, ...] = (0.0, 0.25, 1.0)
    prices: tuple[float, ...] = (0.0, 1e-3)
    pieces: int = 8
    horizon: float = 1.5
    starts: int = 4
    hops: int = 8
    iterations: int = 100


@dataclass(frozen=True, eq=False)
class Spent:
    """What a drift spent: its verified answer, and the least energy of any drift that arrives as near."""

    result: Result
    bound: EnergyBound

    @staticmethod
    def of(result: Result) -> Spent:
        """Raises ValueError without an energy."""
        if result.energy is None:
            raise ValueError("no energy was measured")
        return Spent(result, least(result.problem, max(result.energy.within, NEAREST)))

    @property
    def energy(self) -> float:
        """∫∫|v|²ρ on the refined mesh of the verification."""
        assert self.result.energy is not None
        return self.result.energy.value

    @property
    def price(self) -> float:
        """The energy over the bound."""
        return self.energy / self.bound.value if self.bound.value > 0.0 else np.inf

    def rows(self, label: str) -> list[Row]:
        """The price is at least one; the rest is told."""
        energy, bound = self.result.energy, self.bound
        assert energy is not None
        allowed = 4.0 * abs(bound.refined - bound.value) / bound.value * self.price if bound.value > 0.0 else 0.0
        rows = [
            at_least(f"{label}: price", 1.0, self.price, allowed, CHANGED),
            report(f"{label}: ‖ρ(T) − p(T)‖", energy.within),
            report(f"{label}: energy", energy.value),
            report(f"{label}: least energy of any drift that comes as near", bound.value),
        ]
        if energy.particles is not None and energy.particles_se is not None:
            allowed = ERRORS * energy.particles_se + STEPS_OF_PARTICLES * energy.value
            rows.insert(
                3, equal(f"{label}: energy by particles", energy.value, energy.particles, allowed, BY_PARTICLES)
            )
        if bound.gap > 0.01 * bound.value:
            rows.append(report(f"{label}: by how much the least energy can be larger than that", bound.gap))
        return rows


def least(problem: Problem, within: float) -> EnergyBound:
    """The least energy of any drift that comes within a distance."""
    return energy_bounds(Posed.of(problem), (within,))[0]


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """The exact drift at every noise level, then networks of every width, for every objective."""
    rows: list[Row] = []
    notes: list[str] = []
    curves: dict[str, list[Curve]] = {"price": [], "energy": [], "error": []}
    verified: list[bool] = []
    for place, noise in enumerate(parameters.noise):
        setting.progress(Step(f"η = {noise:g}: the exact drift"))
        exact = Spent.of(evaluate(_problem(parameters, noise, 1, 0.0, exact=True)))
        rows += exact.rows(f"η = {noise:g}, the exact drift")
        for price in parameters.prices:
            asked = ASKED[price > 0.0].format(price)
            found: list[Spent] = []
            for width in parameters.widths:
                setting.progress(Step(f"η = {noise:g}, {asked}: width {width}"))
                problem = _problem(parameters, noise, width, price)
                found.append(Spent.of(solve(problem, executor=setting.executor)))
                rows += found[-1].rows(f"η = {noise:g}, {asked}, width {width}")
            verified += [one.result.verified for one in found]
            prices = [one.price for one in found]
            told = ", ".join(f"{one:.3g}" for one in prices)
            notes.append(f"η = {noise:g}, {asked}: {told} ({trend(prices)}); the exact drift {exact.price:.3g}")
            series = place + len(parameters.noise) * parameters.prices.index(price)
            label = f"η = {noise:g}" + (f", w = {price:g}" if price > 0.0 else "")
            for name, values in (
                ("price", prices),
                ("energy", [one.energy for one in found]),
                ("error", [one.result.tracking.l2_final for one in found]),
            ):
                curves[name].append(Curve(parameters.widths, values, label, series=series))
    rows.append(report("share of the answers that verified", float(np.mean(verified))))
    note = (
        f"No price below one. The price at widths {', '.join(map(str, parameters.widths))}, as seen, with nothing "
        f"proved about its trend: {'; '.join(notes)}."
    )
    titles = {"price": "energy / least energy", "energy": "∫∫|v|²ρ", "error": "‖ρ(T) − p(T)‖"}
    panels = tuple(
        Panel(name, "width", titles[name], tuple(each), x_log=True, y_log=True) for name, each in curves.items()
    )
    return Findings(tuple(rows), panels, note)


def trend(values: Sequence[float]) -> str:
    """Whether numbers fall or rise, each against the one before."""
    steps = [after - before for before, after in pairwise(values)]
    if not steps:
        return "one width"
    if all(step < 0 for step in steps):
        return "it falls"
    return "it rises" if all(step > 0 for step in steps) else "neither falls nor rises throughout"


def _problem(parameters: Parameters, noise: float, width: int, price: float, *, exact: bool = False) -> Problem:
    """Two bumps, with a quick search."""
    asked = f"running: 0, effort: 1.0e-7, energy: {price!r}" if price > 0.0 else "effort: 1.0e-5"
    return parse_problem(
        f"""
domain: {{box: [[-5, 5]]}}
reference:
  kind: reversed-diffusion
  horizon: {parameters.horizon!r}
  data: {{kind: mixture, weights: [0.5, 0.5], means: [[-1.5], [1.5]], stds: [0.3, 0.3]}}
noise: {noise!r}
network: {{width: {width}}}
controls: {{pieces: {parameters.pieces}}}
objective: {{{asked}}}
solver: {{starts: {parameters.starts}, hops: {parameters.hops}, iterations: {parameters.iterations}}}
monte_carlo: {{particles: {OF_EXACT if exact else PARTICLES}}}
{"drift: exact" if exact else ""}
"""
    )


CLAIM = Claim(
    id="price-of-narrowness",
    source="P1",
    title="What narrowness costs: energy over the least energy of any drift",
    statement=(
        "A narrow network tracks, but at a price: the energy that it spends over the least with which any drift "
        "arrives as near. The price is one at least, at every width and noise level, for the bound is proved. Whether "
        "it falls as the network gets wider is measured, and nothing is expected of it."
    ),
    formulas=(
        "price = ∫∫|v|²ρ dx dt / bound(ε),  ε = ‖ρ(T) − p(T)‖ as it was reached, or .01 where that is less",
        "η > 0:  bound(ε) = max_g 4D[∫g p(T) − ε‖g − ḡ‖ − ∫log(P_{DT} e^g) ρ₀]  (Schrödinger's bridge at ε = 0)",
        "η = 0:  bound(ε) = max_g (2/T)[∫g p(T) − ε‖g − ḡ‖ + ∫gᶜρ₀]  (Kantorovich; W₂²/T at ε = 0)",
    ),
    parameters=Parameters(),
    fast=Parameters(widths=(1, 2), noise=(1.0,), prices=(0.0,), pieces=4, starts=1, hops=0, iterations=40),
    experiment=experiment,
    meaning=(
        "One neuron pays many times what is needed, two or four far less. The exact drift is no measure of the least: "
        "its price is above one, and most without noise, where transport takes another way. Where only the end "
        "counts and the energy has a price, four neurons come near the least of any drift, at every noise level. What "
        "one neuron spends then depends on where its search ends. Searches are quick here: a lower price than the one "
        "found can exist, and prices at different widths are at different distances. That the price falls "
        "with the width is seen, not proved."
    ),
    further=(
        "More pieces (`--set pieces=16`) and a longer search (`--set starts=8 --set hops=64`); another price of the "
        "energy (`--set prices=[0.01]`)."
    ),
)
