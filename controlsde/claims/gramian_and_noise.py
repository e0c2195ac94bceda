"""What noise does to what can be changed: the spectrum of any drift, and how many directions a network has."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_most, equal, report
from controlsde.controllability.any_drift import AnyDrift
from controlsde.controllability.gramian import Gramian
from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.weight_metric import FLOOR, WeightMetric
from controlsde.foundation.progress import Step
from controlsde.problem import parse_problem
from controlsde.report.panels import Curve, Panel
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

DEGREE = 10
FINER = 1.5  # times the elements, and
MORE_STEPS = 2  # times the steps: what that changes is what the numerics leave open
ROUNDING = 1e-10  # relative
FIRST, SECOND = 1.0 / (4.0 * np.sqrt(np.pi)), 3.0 / (16.0 * np.sqrt(np.pi))  # ‖He_k ρ‖²_{L²}/k!, ρ = N(0, 1), k = 1, 2
HALF = 7.0  # of the box of the Gaussian
# relative, of a singular value of linear drifts: ½ ∫x² over the box, with the least mass that is counted anywhere
EMPTY = 0.5 * FLOOR / np.sqrt(2.0 * np.pi) * 2.0 * HALF**3 / 3.0
ALL_ACTIVE = 20.0  # what relu neurons are given so that none rests in the box
RANK = 1e-2


@dataclass(frozen=True)
class Parameters:
    """noise levels η, ascending; pieces, horizon; modes n of the uniform density; seed of a network with tanh."""

    noise: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    pieces: int = 8
    horizon: float = 0.4
    modes: int = 5
    elements: int = 8
    steps: int = 4
    seed: int = 0


def response(rate: float, horizon: float, pieces: int) -> float:
    """Σ_k [e^{−λ(T − t_{k+1})}(1 − e^{−λh})/λ]²/h of a mode with the decay rate λ: T for λ = 0."""
    h = horizon / pieces
    each = h if rate == 0.0 else (1.0 - np.exp(-rate * h)) / rate
    return float(np.sum(np.exp(-2.0 * rate * h * np.arange(pieces))) * each**2 / h)


def on_uniform(parameters: Parameters, noise: float, number: int) -> float:
    """The eigenvalue of cos(nπx): n²π² times the response at λ = ηn²π²."""
    wave = (number * np.pi) ** 2
    return wave * response(noise * wave, parameters.horizon, parameters.pieces)


def on_gaussian(parameters: Parameters, noise: float) -> tuple[float, float]:
    """The singular values of linear drifts at N(0, 1), descending: Hermite's modes k = 1, 2, with λ = ηk."""
    first, second = (k * response(noise * k, parameters.horizon, parameters.pieces) for k in (1, 2))
    least, largest = sorted((float(np.sqrt(FIRST * first)), float(np.sqrt(SECOND * second))))
    return largest, least


def drifts_about(linearisation: Linearisation) -> AnyDrift:
    """All drifts, about one."""
    return AnyDrift.about(linearisation)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every noise level: the modes of any drift, linear drifts of a Gaussian, and a network with tanh."""
    rows: list[Row] = []
    modes = range(1, parameters.modes + 1)
    measured = np.zeros((len(parameters.noise), parameters.modes))
    spreads, ranks, spectra = np.zeros_like(measured), [], []
    for place, noise in enumerate(parameters.noise):
        setting.progress(Step(f"η = {noise:g}"))
        measured[place], highest = _modes(parameters, noise)
        finer, _ = _modes(parameters, noise, finer=True)
        spreads[place] = 2.0 * np.abs(finer - measured[place]) + ROUNDING * measured[place]
        for number, value, spread in zip(modes, measured[place], spreads[place], strict=True):
            label = f"η = {noise:g}: any drift on a uniform density, eigenvalue of mode {number}"
            expected = on_uniform(parameters, noise, number)
            rows.append(equal(label, expected, value, spread, "twice the change on a finer mesh, with smaller steps"))
        if noise > 0.0:
            label = f"η = {noise:g}: the largest eigenvalue of any pattern on this mesh, against ρ/2η"
            rows.append(at_most(label, 1.0 / (2.0 * noise), highest, ROUNDING / noise, "rounding"))
        rows += _linear(parameters, noise)
        gramian, share = _with_tanh(parameters, noise)
        ranks.append(gramian.rank(RANK))
        spectra.append(gramian.singular_values)
        rows.append(report(f"η = {noise:g}: a tanh neuron on two bumps, directions within {RANK:g}", ranks[-1]))
        rows.append(report(f"η = {noise:g}: and its share of the trace of any drift, on this mesh", share))
    for number in modes:
        for before, after in pairwise(range(len(parameters.noise))):
            levels = f"{parameters.noise[after]:g} against {parameters.noise[before]:g}"
            rows.append(
                at_most(
                    f"mode {number}: eigenvalue at η = {levels}",
                    measured[before, number - 1],
                    measured[after, number - 1],
                    spreads[before, number - 1] + spreads[after, number - 1],
                    "as above",
                )
            )
    flat = measured[:, -1] / measured[:, 0]
    for before, after in pairwise(range(len(parameters.noise))):
        rows.append(
            at_most(
                f"last mode over the first, at η = {parameters.noise[after]:g} against {parameters.noise[before]:g}",
                flat[before],
                flat[after],
                float(np.max(spreads[[before, after]] / measured[[before, after]], axis=1).sum() * 2 * flat[before]),
                "as above",
            )
        )
    ends = f"{flat[0]:.3g} at η = {parameters.noise[0]:g} to {flat[-1]:.3g} at η = {parameters.noise[-1]:g}"
    note = (
        f"Any drift: the eigenvalue of the last of {parameters.modes} modes over that of the first falls from {ends}, "
        "and every eigenvalue falls. Linear drifts of a Gaussian: two directions at every noise level. A tanh neuron "
        f"on two bumps: {', '.join(str(rank) for rank in ranks)} directions within {RANK:g} of the largest."
    )
    return Findings(tuple(rows), _panels(parameters, measured, spectra, ranks), note)


def _problem(text: str, parameters: Parameters, noise: float, *, finer: bool = False) -> TrackingProblem:
    elements = round(FINER * parameters.elements) if finer else parameters.elements
    steps = MORE_STEPS * parameters.steps if finer else parameters.steps
    return Posed.of(
        parse_problem(
            f"""
{text}
noise: {noise!r}
controls: {{pieces: {parameters.pieces}}}
mesh: {{elements: [{elements}], degree: {DEGREE}, steps_per_piece: {steps}}}
"""
        )
    ).on()


def _modes(parameters: Parameters, noise: float, *, finer: bool = False) -> tuple[Array, float]:
    """⟨c_n, W c_n⟩ of c_n = √2 cos(nπx) for every mode, and the largest eigenvalue of W, on the uniform density."""
    tracking = _problem(
        f"""
domain: {{box: [[0, 1]]}}
reference:
  {{kind: reversed-diffusion, forward: heat, horizon: {parameters.horizon!r}, data: {{kind: formula, expression: "1"}}}}
""",
        parameters,
        noise,
        finer=finer,
    )
    still = Linearisation.about(tracking, np.zeros(tracking.weight_shape))
    whole = drifts_about(still).matrix()
    x, roots = tracking.mesh.points[:, 0], np.sqrt(tracking.mesh.mass)
    waves = roots[:, None] * np.sqrt(2.0) * np.cos(np.pi * x[:, None] * np.arange(1, parameters.modes + 1))
    return np.einsum("nc,nm,mc->c", waves, whole, waves), float(np.linalg.eigvalsh(whole)[-1])


def _linear(parameters: Parameters, noise: float) -> list[Row]:
    """A relu network that is linear in the box, about v = −ηx, at N(0, 1): two singular values, and no third."""
    found = [_of_linear(parameters, noise, finer=finer) for finer in (False, True)]
    values, finer = (one.singular_values[:2] for one in found)
    rows = [
        equal(
            f"η = {noise:g}: linear drifts of a Gaussian, {word} singular value",
            expected,
            value,
            2.0 * abs(other - value) + EMPTY * value,
            "twice the change on a finer mesh, with smaller steps; the mass that empty places count with",
        )
        for word, expected, value, other in zip(
            ("first", "second"), on_gaussian(parameters, noise), values, finer, strict=True
        )
    ]
    label = f"η = {noise:g}: linear drifts of a Gaussian, directions within 1e-4"
    return [*rows, equal(label, 2, found[0].rank(1e-4), 0.0, "a count")]


def _of_linear(parameters: Parameters, noise: float, *, finer: bool) -> Gramian:
    tracking = _problem(
        f"""
domain: {{box: [[{-HALF!r}, {HALF!r}]]}}
reference:
  kind: reversed-diffusion
  horizon: {parameters.horizon!r}
  data: {{kind: mixture, means: [0], stds: [1]}}
network: {{width: 2, activation: relu}}
""",
        parameters,
        noise,
        finer=finer,
    )
    pieces = parameters.pieces
    a = np.tile([[[-noise, noise]]], (pieces, 1, 1))  # −η(x + 20) + η·20
    w = np.tile([[[1.0], [0.0]]], (pieces, 1, 1))
    weights = tracking.network.join(a, w, np.full((pieces, 2), ALL_ACTIVE))
    linearisation = Linearisation.about(tracking, weights)
    return Gramian.of(linearisation, WeightMetric.of(linearisation))


def _with_tanh(parameters: Parameters, noise: float) -> tuple[Gramian, float]:
    """One neuron of random weights, the same at every noise level, and its share of the trace of any drift."""
    tracking = _problem(
        f"""
domain: {{box: [[-5, 5]]}}
reference:
  kind: reversed-diffusion
  horizon: {parameters.horizon!r}
  data: {{kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.5, 0.5]}}
network: {{tangential: true}}
""",
        parameters,
        noise,
    )
    weights = tracking.network.random_weights(parameters.pieces, np.random.default_rng(parameters.seed))
    linearisation = Linearisation.about(tracking, weights)
    gramian = Gramian.of(linearisation, WeightMetric.of(linearisation))
    trace = float(np.trace(drifts_about(linearisation).matrix()))
    return gramian, float(np.sum(gramian.singular_values**2)) / trace


def _panels(parameters: Parameters, measured: Array, spectra: list[Array], ranks: list[int]) -> tuple[Panel, ...]:
    modes = np.arange(1, parameters.modes + 1)
    of_modes: list[Curve] = []
    of_network: list[Curve] = []
    for place, noise in enumerate(parameters.noise):
        of_modes.append(Curve(modes, measured[place], f"η = {noise:g}", series=place))
        expected = [on_uniform(parameters, noise, int(number)) for number in modes]
        of_modes.append(Curve(modes, expected, style="theory", series=place))
        values = spectra[place][spectra[place] > 1e-8 * spectra[place][0]]
        of_network.append(Curve(np.arange(1, len(values) + 1), values, f"η = {noise:g}", series=place))
    return (
        Panel("any drift on a uniform density", "mode n", "eigenvalue of W", tuple(of_modes), y_log=True),
        Panel("one tanh neuron on two bumps", "number", "singular value σ", tuple(of_network), y_log=True),
        Panel("and its directions", "noise η", f"σ above {RANK:g} of the largest", (Curve(parameters.noise, ranks),)),
    )


CLAIM = Claim(
    id="gramian-and-noise",
    source="P1",
    title="Noise takes from every pattern that a drift can make, and most from the finest",
    statement=(
        "To first order, and for one unit of energy, any drift can change a uniform density without noise the more, "
        "the finer the pattern. Noise adds none: every eigenvalue of any drift falls with it, those of fine patterns "
        "most, and none is above the density over twice the diffusivity. How many directions a network has is another "
        "matter: linear drifts of a Gaussian have two at every noise level."
    ),
    formulas=(
        "W = Σ_k B_k Q_k⁻¹ B_kᵀ, B_k = ∂ρ(T)/∂v_k, Q_k = ∫_k ρ dt: changes of density by energy one are zᵀW⁻¹z ≤ 1",
        "r(λ) = Σ_k [e^{−λ(T − t_{k+1})}(1 − e^{−λh})/λ]²/h, T at λ = 0, for a mode with the decay rate λ",
        "uniform density on [0, 1], mode cos(nπx): eigenvalue n²π² r(ηn²π²); n²π²T without noise (derived here)",
        "as the pieces get shorter it tends to (1 − e^{−2ηn²π²T})/2η, which is flat in n; on pieces it falls like 1/n²",
        "at a stationary ρ of a reversible drift W ⪯ ρ/2η (fluctuation and dissipation)",
        "linear drifts at N(0, 1): σ₁² = r(η)/4√π, σ₂² = 2r(2η)·3/16√π, and no third (derived here)",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(0.0, 0.3, 1.0), pieces=4, modes=3, elements=6, steps=3),
    experiment=experiment,
    meaning=(
        "Without noise fine patterns are cheap to make, and as cheap to make by mistake; with noise what was changed "
        "early is forgotten, and fine patterns first. For a network there is no such order: the directions of a tanh "
        "neuron are counted, and nothing is expected of them. All of it is the first derivative at these controls, in "
        "L²; the trace of W depends on the mesh, and shares of it are compared on one mesh only."
    ),
    further=(
        "More pieces (`--set pieces=32`) bring the eigenvalues with noise nearer to 1/2η, a flat spectrum; other "
        "networks (`--set seed=1`) have other ranks."
    ),
)
