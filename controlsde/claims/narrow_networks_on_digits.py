"""Digits in 64 dimensions by one narrow network: what noise does to distances, to likelihoods and to the bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, report
from controlsde.problem import load_problem
from controlsde.report.panels import Curve, Panel
from controlsde.workflow.free_comparison import FreeComparison, compare_free

SHOWN = {
    "mollified": "mollified distance, relative",
    "energy_distance": "energy distance",
    "sliced_w2": "sliced W₂",
    "bits": "bits a pixel of held-out rows",
    "kl": "KL(p‖ρ)",
    "path_kl": "bound of KL(p‖ρ) by the paths",
    "score_loss": "score-matching loss",
}


@dataclass(frozen=True)
class Parameters:
    """noise levels, width m, pieces of time, seeds of the fits, particles, most iterations of a fit."""

    noise: tuple[float, ...] = (0.0, 0.25, 1.0, 2.0)
    width: int = 64
    pieces: int = 16
    seeds: int = 3
    particles: int = 4000
    iterations: int = 500


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """The comparison of the shipped problem, over seeds."""
    problem = load_problem(
        "digits",
        set={
            "network.width": parameters.width,
            "controls.pieces": parameters.pieces,
            "monte_carlo.particles": parameters.particles,
            "solver.iterations": parameters.iterations,
        },
    )
    comparison = compare_free(problem, parameters.noise, progress=setting.progress, seeds=parameters.seeds)
    known = _known(comparison)
    note = f"{comparison.note[:1].upper()}{comparison.note[1:]}."
    return Findings(tuple(_rows(comparison, known)), tuple(_panels(comparison, known)), note)


def _known(comparison: FreeComparison) -> dict[str, dict[str, float]]:
    """By name, what p itself and one Gaussian of its moments have: the same for every fit."""
    tracking = comparison.results[0].tracking
    likelihood = tracking.log_likelihood
    assert likelihood is not None  # this problem holds rows out
    return {
        "mollified": {"one Gaussian": tracking.distances["mollified"].baseline or np.nan},
        "bits": {"one Gaussian": likelihood.bits_gaussian, "p itself": likelihood.bits_reference},
    }


def _rows(comparison: FreeComparison, known: dict[str, dict[str, float]]) -> list[Row]:
    rows = []
    for level, spread in zip(comparison.noise, comparison.spreads(), strict=True):
        for name, words in SHOWN.items():
            if name in spread:
                rows.append(report(f"noise {level:g}: {words}", spread[name].mean))
                if len(spread[name].values) > 1:
                    rows.append(report(f"noise {level:g}: {words}, deviation over seeds", spread[name].deviation))
    for name, values in known.items():
        rows += [report(f"{whose}: {SHOWN[name]}", value) for whose, value in values.items()]
    return rows


def _panels(comparison: FreeComparison, known: dict[str, dict[str, float]]) -> list[Panel]:
    divergence = (
        _curve(comparison, "kl", "at draws of p; with noise at most"),
        _curve(comparison, "path_kl", "bound by the paths"),
    )
    return [
        Panel(
            "distance of ρ(T) from p(T)",
            "noise η",
            SHOWN["mollified"],
            (_curve(comparison, "mollified", "one layer"), *_lines(comparison, known["mollified"])),
        ),
        Panel(
            "code length of held-out rows",
            "noise η",
            "bits a pixel",
            (_curve(comparison, "bits", "one layer; with noise at most"), *_lines(comparison, known["bits"])),
        ),
        Panel("divergence KL(p‖ρ)", "noise η", "nats", divergence),
    ]


def _curve(comparison: FreeComparison, name: str, label: str) -> Curve:
    """Means over seeds, with their deviations where there are several."""
    spreads = [spread.get(name) for spread in comparison.spreads()]
    there = [(level, one) for level, one in zip(comparison.noise, spreads, strict=True) if one is not None]
    error = [np.nan_to_num(one.deviation) for _, one in there]
    return Curve([level for level, _ in there], [one.mean for _, one in there], label, error=error)


def _lines(comparison: FreeComparison, values: dict[str, float]) -> list[Curve]:
    """What no noise level changes, across the panel."""
    across = (min(comparison.noise), max(comparison.noise))
    return [
        Curve(across, (value, value), whose, "theory", series=None if number == 0 else 1 + number)
        for number, (whose, value) in enumerate(values.items())
    ]


CLAIM = Claim(
    id="narrow-networks-on-digits",
    source="P1",
    title="Narrow networks on digits, with and without noise",
    statement=(
        "One layer of 64 neurons, constant on 16 pieces of time, carries noise to ten Gaussians fitted to 1,438 "
        "digits of 8 × 8 pixels. Whether noise brings the density nearer is measured over several seeds: by distances "
        "between draws, and by the likelihood of 359 digits that had no part in the fit."
    ),
    formulas=(
        "mollified: ‖K_g∗(ρ − p)‖²/‖K_g∗p‖² over several widths g, unbiased",
        "bits: −log₂ρ(x)/64 in units of one grey; exact at η = 0, an upper bound with noise",
        "bound by the paths: ∫E|v − v*|²/(4ηD₀) dt",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(1.0,), width=2, pieces=1, seeds=1, particles=200, iterations=20),
    experiment=experiment,
    meaning=(
        "A theorem promises nothing at this width; what is measured is all that is known. Distances from draws and "
        "what held-out rows cost are told apart: a bound of the latter is least at η = 1 for a reason of its own, the "
        "factor (1 + η)²/4η of [bound-prefers-noise](bound-prefers-noise.md), and without noise no bound is needed."
    ),
    further="More neurons (`--set width=256`) help more than more pieces (`--set pieces=32`).",
    expects="open",
    long=True,
)
