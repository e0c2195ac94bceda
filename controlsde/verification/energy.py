"""The kinetic energy of a drift, measured twice, and with noise the least that any drift would have needed.

    E = ∫₀ᵀ∫ |v|²ρ dx dt

Comes in: a problem with its reference, a drift, the densities that the refined mesh found; the particles' experiment.
Goes out: E on the mesh, by Simpson's rule in time within every piece, for v jumps between them; E of particles with its
standard error; and the bound of `energy_bound` at the distance that the drift reached, with the price of narrowness
E / bound. Where D varies in time, the bound is one of the energy that counts D̄/D(t), D̄ the mean of D: `weighted`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.controllability.energy_bound import EnergyBoundError, energy_bounds
from controlsde.foundation.stored_json import TEXT, Form, Maybe, number, values
from controlsde.monte_carlo.statistics import Estimate
from controlsde.tracking.posed import Posed
from controlsde.verification.refinement import Refined

Array = NDArray[np.float64]

WITHOUT_NOISE = "without noise no bound is computed here: `controlsde bound` does"
NOT_FINITE = "no bound: the density is not finite"


@dataclass(frozen=True)
class Energy:
    """E of a drift (length²/time), as the refined mesh and, with a standard error, particles measure it.

    weighted: the energy that counts D̄/D(t), which is E where D does not vary, and what `bound` is a bound of: no drift
    comes within `within` of p(T) for less. refined: the same bound on a finer mesh. note: why there is no bound.
    """

    FORM: ClassVar[dict[str, Form]] = {
        **values("value", "weighted", "particles", "particles_se", "within", "bound", "refined"),
        "note": Maybe(TEXT),
    }

    value: float
    weighted: float
    within: float
    particles: float | None = None
    particles_se: float | None = None
    bound: float | None = None
    refined: float | None = None
    note: str | None = None

    @property
    def price(self) -> float | None:
        """The price of narrowness: how many times the least energy of any drift was spent; None without a bound."""
        return self.weighted / self.bound if self.bound else None

    @property
    def refined_change(self) -> float | None:
        """By how much of the energy the bound moves on a finer mesh; None without a bound."""
        if self.bound is None or self.refined is None:
            return None
        return abs(self.refined - self.bound) / self.weighted if self.weighted > 0.0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {name: getattr(self, name) for name in Energy.FORM}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Energy:
        """What `to_json` wrote; what was not finite is not a number."""
        always = {name: number(stored[name]) for name in ("value", "weighted", "within")}
        return Energy(**{**stored, **always})


def energy_of(posed: Posed, drift: Drift, refined: Refined, within: float, particles: Estimate | None) -> Energy:
    """The energy of a drift, and with noise the bound at the distance `within` = ‖ρ(T) − p(T)‖ that it reached."""
    rates = _rates(drift, refined)
    plain = weighted = refined.integral(rates)
    if _varies(posed):
        weights = refined.of_pieces(_weights(posed, refined.curve_times))
        with np.errstate(invalid="ignore"):  # where the noise rests a drift may rest, too: nothing costs nothing then
            weighted = refined.integral(np.where(rates > 0.0, rates * weights, rates))
    found = Energy(
        value=plain,
        weighted=weighted,
        within=within,
        particles=None if particles is None else particles.value,
        particles_se=None if particles is None else particles.standard_error,
    )
    return _bounded(posed, found)


def _bounded(posed: Posed, found: Energy) -> Energy:
    if posed.problem.noise == 0.0:
        return replace(found, note=WITHOUT_NOISE)
    if not (math.isfinite(found.within) and math.isfinite(found.weighted)):
        return replace(found, note=NOT_FINITE)
    try:
        (bound,) = energy_bounds(posed, (found.within,))
    except EnergyBoundError as error:
        return replace(found, note=str(error))
    return replace(found, bound=bound.value, refined=bound.refined)


def _varies(posed: Posed) -> bool:
    return posed.problem.noise > 0.0 and not posed.diffusivity.steady


def _weights(posed: Posed, times: Array) -> Array:
    """D̄/D(t) at these times; inf where D rests."""
    diffusivity, horizon = posed.diffusivity, posed.reference.horizon
    with np.errstate(divide="ignore"):
        return diffusivity.mean(0.0, horizon) / np.array([diffusivity.at(float(t)) for t in times])


@np.errstate(over="ignore", invalid="ignore")  # of a density that blew up
def _rates(drift: Drift, refined: Refined) -> Array:
    """∫|v|²ρ dx at the curve's times, of both sides of a time between two pieces: (K, instants + 1)."""
    points, weights = refined.mesh.points, refined.mesh.weights
    rates = np.empty((len(drift.edges) - 1, refined.instants + 1))
    for piece in range(len(rates)):
        first = piece * refined.instants
        steady = _squared_speed(drift, piece, float(drift.edges[piece]), points) if drift.constant else None
        for instant in range(refined.instants + 1):
            speed = steady
            if speed is None:
                speed = _squared_speed(drift, piece, float(refined.curve_times[first + instant]), points)
            rates[piece, instant] = (weights * speed) @ refined.curve_density[first + instant]
    return rates


def _squared_speed(drift: Drift, piece: int, t: float, points: Array) -> Array:
    return np.asarray((drift.values(piece, t, points) ** 2).sum(axis=1))
