"""A constant error of the score: with noise the mean error saturates, without it grows, but at first it is smaller."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import exp, expm1

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, equal
from controlsde.claims.harness.evolution import REFINEMENT, allowance, densities_at, line
from controlsde.fokker_planck.density_field import DensityField
from controlsde.foundation.progress import Step
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

BOX = (-8.0, 9.0)


@dataclass(frozen=True)
class Parameters:
    """bias a of the score, data N(m, 1), noise levels η, the longest horizon; output times."""

    bias: float = 0.3
    mean: float = 1.0
    noise: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    horizon: float = 3.0
    outputs: int = 24
    elements: int = 24


def mean_error(noise: float, bias: float, time: float) -> float:
    """(1+η)/η · (1 − e^{−ηT}) a, and T·a without noise."""
    return bias * time if noise == 0 else -(1 + noise) / noise * expm1(-noise * time) * bias


def crossing() -> float:
    """T at which η = 1 overtakes η = 0:  2(1 − e^{−T}) = T."""
    return float(brentq(lambda t: 2 * (1 - exp(-t)) - t, 1.0, 2.0))


def biased(parameters: Parameters, noise: float, t: float, x: Array) -> Array:
    """x + (1+η)(s + a) with the exact score s = −(x − μ), μ = e^{−(T−t)}m, of N(μ, 1)."""
    centre = exp(-(parameters.horizon - t)) * parameters.mean
    return x + (1 + noise) * (-(x - centre) + parameters.bias)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """One run for each noise level: the error of the mean against time does not depend on the horizon."""
    rows: list[Row] = []
    curves = []
    found: dict[float, Array] = {}
    outputs = np.linspace(0.0, parameters.horizon, parameters.outputs + 1)
    for noise in parameters.noise:
        setting.progress(Step(f"noise {noise:g}"))
        coarse, fine = (_errors(parameters, noise, more) for more in (1, 2))
        found[noise] = fine
        expected = [mean_error(noise, parameters.bias, t) for t in outputs]
        for place in (len(outputs) // 4, len(outputs) // 2, len(outputs) - 1):
            rows.append(
                equal(
                    f"η = {noise:g}, T = {outputs[place]:g}: error of the mean",
                    expected[place],
                    fine[place],
                    allowance(fine[place], coarse[place]),
                    REFINEMENT,
                )
            )
        curves.append(Curve(outputs, fine, f"η = {noise:g}"))
        curves.append(Curve(outputs, expected, "", "theory"))
    note = "The errors of the mean are those of the closed form."
    if 0.0 in found and 1.0 in found and parameters.horizon > crossing():
        crossed = _crossed(outputs, found[1.0] - found[0.0])
        step = outputs[1] - outputs[0]
        rows.append(
            equal(
                "T from which η = 1 has the smaller error",
                crossing(),
                crossed,
                step**4,
                "a cubic through four times h apart: h⁴",
            )
        )
        note = f"The deterministic flow has the smaller error up to T = {crossed:.4f}; only later noise wins."
    return Findings(tuple(rows), (Panel("", "horizon T", "error of the mean at T", tuple(curves)),), note)


def _crossed(times: Array, gap: Array) -> float:
    """Where the gap turns from positive to negative, by a cubic through four times; nan where it does not."""
    places = np.flatnonzero((gap[1:] < 0) & (gap[:-1] > 0)) + 1
    if not len(places):
        return float("nan")
    after = int(places[0])
    around = slice(max(after - 2, 0), after + 2)
    cubic = np.polynomial.Polynomial.fit(times[around], gap[around], 3)
    return float(brentq(cubic, times[after - 1], times[after]))


def _errors(parameters: Parameters, noise: float, more: int) -> Array:
    outputs = parameters.outputs
    times = np.linspace(0.0, parameters.horizon, more * outputs + 1)
    first = exp(-parameters.horizon) * parameters.mean
    states = densities_at(
        line(*BOX, more * parameters.elements // 2),
        partial(biased, parameters, noise),
        noise,
        lambda x: np.asarray(norm.pdf(x[:, 0], first)),
        times,
    )
    kept: tuple[DensityField, ...] = states[::more]
    centres = np.exp(-(parameters.horizon - times[::more])) * parameters.mean
    means = np.array([state.mean_of(lambda x: x[:, 0]) for state in kept])
    return np.asarray(means - centres)


CLAIM = Claim(
    id="noise-helps-only-later",
    source="P1",
    title="With a biased score noise helps only on long horizons",
    statement=(
        "The score is wrong by a constant. Noise forgets errors, and in the long run its error of the mean stays "
        "bounded while that of the deterministic flow grows; but on short horizons the deterministic flow is better, "
        "because noise doubles the weight of the score."
    ),
    formulas=(
        "score + a, data N(m, 1), noise η, derived here:",
        "error of the mean  (1+η)/η · (1 − e^{−ηT}) a;   η = 0: T·a;   η = 1: 2(1 − e^{−T}) a",
        "2(1 − e^{−T}) = T at T = 1.5936",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(0.0, 1.0), outputs=16, elements=16),
    experiment=experiment,
    meaning=(
        "The honest counterweight to the claim that noise helps. The exact drift carries (1+η) times the score, and so "
        "(1+η) times its error; only what is old is forgotten at the rate η."
    ),
    further="Larger noise overtakes earlier and later again: try `--set noise=[0,0.25,4]`.",
)
