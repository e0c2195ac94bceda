"""A wide network fitted to the exact drift, played by one neuron: the error falls with the slots down to the fit's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_most, equal, report
from controlsde.claims.harness.evolution import density_after, line, piece_at
from controlsde.claims.harness.fitting import order_row, power_law
from controlsde.control.network import Network
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation.progress import Step
from controlsde.problem import parse_problem
from controlsde.reference import Reference, build_reference
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result
from controlsde.solvers.drift_fitting.multiplexing import Multiplexing
from controlsde.workflow.solving import solve

Array = NDArray[np.float64]

BOX = (-5.0, 5.0)
ORDERINGS = {"forward": -1.0, "symmetric": -2.0}  # and the orders that they have
STEPS = 64  # of the wide network in each of its pieces
STEADY = 1e-3  # of the smallest distance may come from the steps
LAST = 3  # of the numbers of rounds give the order


@dataclass(frozen=True)
class Parameters:
    """noise levels η; neurons of the wide network and its pieces; how often each piece is played in full (rounds)."""

    noise: tuple[float, ...] = (0.0, 1.0)
    neurons: int = 4
    pieces: int = 8
    rounds: tuple[int, ...] = (1, 2, 4, 8, 16)
    horizon: float = 1.5
    elements: int = 24
    starts: int = 8


def wide_fit(parameters: Parameters, noise: float) -> Result:
    """The wide network by score matching, verified."""
    problem = parse_problem(
        f"""
domain: {{box: [[{BOX[0]}, {BOX[1]}]]}}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: {parameters.horizon!r}
  data: {{kind: mixture, weights: [0.5, 0.5], means: [[-1.5], [1.5]], stds: [0.5, 0.5]}}
noise: {noise!r}
network: {{width: {parameters.neurons}, tangential: true}}
controls: {{pieces: {parameters.pieces}}}
objective: {{effort: 1.0e-5}}
solver: {{kind: score-matching, starts: {parameters.starts}}}
monte_carlo: {{particles: 20000}}
"""
    )
    return solve(problem)


def stepwise(network: Network, weights: Array, horizon: float) -> Callable[[float, Array], Array]:
    """The drift of weights (K, P) on equal pieces."""
    parts, edges = network.split(weights), np.linspace(0.0, horizon, len(weights) + 1)

    def drift(t: float, x: Array) -> Array:
        piece = piece_at(edges, t)
        return np.asarray(network.drift(x, *(part[piece] for part in parts)))

    return drift


def played(network: Network, weights: Array, ordering: str, rounds: int, horizon: float) -> tuple[Network, Array]:
    """One neuron in place of the wide network, and its weights: every piece is played in full so many times."""
    narrow = Network(network.dimension, 1, network.activation, network.tangential, network.box)
    slots = network.width * (1 if ordering == "forward" else 2)
    again = np.repeat(weights, rounds, axis=0)
    durations = np.full(len(again) * slots, horizon / (len(again) * slots))
    kind = Multiplexing.of(narrow, "forward" if ordering == "forward" else "symmetric", network.width, durations)
    return narrow, kind.played(again)


@dataclass(frozen=True, eq=False)
class Playing:
    """A wide network with what is needed to play it: its weights (K, P), its problem, and where it ends."""

    network: Network
    weights: Array
    noise: float
    horizon: float
    mesh: Mesh
    reference: Reference

    def run(self, network: Network, weights: Array, steps: int) -> DensityField:
        """ρ(T) under a network with these weights."""
        times = np.linspace(0.0, self.horizon, steps + 1)
        start = partial(self.reference.density, 0.0)
        return density_after(self.mesh, stepwise(network, weights, self.horizon), self.noise, start, times)

    def error(self, state: DensityField) -> float:
        """‖ρ(T) − p(T)‖."""
        return state.l2(partial(self.reference.density, self.horizon))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every noise level: fit, then play in both orderings."""
    rows: list[Row] = []
    panels = []
    notes = []
    for noise in parameters.noise:
        setting.progress(Step(f"η = {noise:g}: fit"))
        result = wide_fit(parameters, noise)
        controls = result.controls
        assert controls is not None
        network = Network(1, parameters.neurons, "tanh", True, (BOX,))
        playing = Playing(
            network,
            network.join(controls.A, controls.W, controls.b),
            noise,
            parameters.horizon,
            line(*BOX, parameters.elements),
            build_reference(result.problem.reference, result.problem.domain),
        )
        most = parameters.pieces * STEPS
        whole, halved = (playing.run(network, playing.weights, steps) for steps in (most, most // 2))
        left = playing.error(whole)
        rows.append(
            equal(
                f"η = {noise:g}: ‖ρ(T) − p(T)‖ of the wide network, by the verification",
                left,
                result.tracking.l2_final,
                4 * abs(result.certificate.refined_l2_change or 0.0) + 1e-6 * left,
                "four times the change that the verification found on its refined mesh",
            )
        )
        curves: list[Curve] = []
        for ordering in ORDERINGS:
            setting.progress(Step(f"η = {noise:g}, {ordering}"))
            found, found_rows, words = _play(parameters, playing, ordering, (whole, halved))
            curves += found
            rows += found_rows
            notes.append(words)
        every = sorted({float(x) for curve in curves for x in np.asarray(curve.x)})
        curves.append(Curve(every, np.full(len(every), left), "what the fit leaves", "theory"))
        panels.append(Panel(f"η = {noise:g}", "slots", "L² at T", tuple(curves), True, True))
        notes.append(f"the fit itself leaves {left:.3g} (η = {noise:g})")
    return Findings(tuple(rows), tuple(panels), f"‖ρ(T) − p(T)‖: {'; '.join(notes)}.")


def _play(
    parameters: Parameters, playing: Playing, ordering: str, wide: tuple[DensityField, DensityField]
) -> tuple[list[Curve], list[Row], str]:
    """One ordering with every number of rounds. wide: where the wide network ends, with steps and with half as many."""
    whole, halved = wide
    name = f"η = {playing.noise:g}, {ordering}"
    left = playing.error(whole)
    distances, errors, slots = [], [], []
    for rounds in parameters.rounds:
        narrow, turns = played(playing.network, playing.weights, ordering, rounds, playing.horizon)
        state = playing.run(narrow, turns, len(turns))
        distances.append(state.distance(whole))
        errors.append(playing.error(state))
        slots.append(len(turns))
    slope = power_law(slots[-LAST:], distances[-LAST:])
    rows = [
        *(report(f"{name}, {n} slots: ‖ρ(T) − p(T)‖", error) for n, error in zip(slots, errors, strict=True)),
        at_most(
            f"{name}, {slots[-1]} slots: error less that of the wide network",
            distances[-1],
            abs(errors[-1] - left),
            1e-12,
            "rounding: this is the triangle inequality",
        ),
        order_row(f"{name}: order of the distance to the wide network", ORDERINGS[ordering], slope),
        at_most(
            f"{name}: error of the steps over the smallest distance",
            STEADY,
            whole.distance(halved) / distances[-1],
            0.0,
            "steps must not be what is measured",
        ),
    ]
    curves = [
        Curve(slots, errors, f"{ordering}: to the reference"),
        Curve(slots, distances, f"{ordering}: to the wide network, slope {slope}"),
    ]
    return curves, rows, f"{errors[-1]:.3g} with {slots[-1]} slots ({ordering}, η = {playing.noise:g})"


CLAIM = Claim(
    id="narrow-network-tracks",
    source="P1",
    title="One neuron tracks: fit a wide network, then let its neurons take turns",
    statement=(
        "A wide network is fitted to the exact drift, and a network of a single neuron plays it, neuron by neuron. The "
        "more often the turns change, the closer it comes to what the wide network does; from then on only the fit "
        "counts."
    ),
    formulas=(
        "wide:   Σ_j A_j tanh(W_j x + b_j), fitted to v*_η in L²(p) on every piece",
        "narrow: M A_j tanh(W_j x + b_j) for j = 1 … M in turn, all of them N times in a piece",
        "‖ρ_narrow − ρ_wide‖ ~ N^{−1} in forward order, N^{−2} for the palindrome",
        "|‖ρ_narrow − p‖ − ‖ρ_wide − p‖| ≤ ‖ρ_narrow − ρ_wide‖",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(1.0,), neurons=2, pieces=4, rounds=(4, 8, 16), elements=16, starts=2),
    experiment=experiment,
    meaning=(
        "This is the constructive proof that width d is enough, run as a program. It spends its pieces on switching; "
        "the optimised controls of `solve` use them far better (`solver: {kind: shooting, start: switching}` begins "
        "here and goes on)."
    ),
    further="More neurons fit better and take longer turns (`--set neurons=8`): at which number of slots does it pay?",
)
