"""The certificate in free space: what was checked about an answer of particles, each value beside its limit.

There is no finer mesh to compare with. The limits, and why:

- lost ≤ 0: the share of particles that are not finite at T. One is too many: its place is not known.
- step_change ≤ 0.05: how far the law moves when every step is halved along the same Brownian paths, in the mollified
  norm, over that of p. More means that the steps, and not the controls, were measured.
- exact_drift ≤ 5: the exact drift, run through the same evaluation: its worst distance from p above the mean of draws
  from p itself, in their standard deviations. It tracks without error where the start is exact, so that more means a
  biased evaluation.
- score_loss_ratio ≤ 1.2: ∫E|v − v*|² dt at fresh points over the same at the points of the fit. More means that the
  network has learnt its points.
- likelihood_change ≤ 0.01 (η = 0): by how many nats a dimension the mean log-likelihood moves when steps are halved.
- bound_agreement ≤ 4 (η > 0): the difference of two estimates of one bound of KL(p‖ρ), by paths back from the data and
  by the drift's misfit at exact samples, in standard errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from controlsde.foundation.stored_json import COUNT, FLAG, NUMBER, TEXT, VALUE, Form, FormError, number, values
from controlsde.verification.certificate import Check

LIMITS = {
    "lost": 0.0,
    "step_change": 5e-2,
    "exact_drift": 5.0,
    "score_loss_ratio": 1.2,
    "likelihood_change": 1e-2,
    "bound_agreement": 4.0,
}
ESSENTIAL = {"lost", "step_change"}  # checks that no certificate lacks


@dataclass(frozen=True)
class FreeMeasurements:
    """The values of the checks; None for those that do not apply. particles: how many were moved, and by what."""

    particles: int
    device: str
    backend: str
    lost: float
    step_change: float | None = None
    exact_drift: float | None = None
    score_loss_ratio: float | None = None
    likelihood_change: float | None = None
    bound_agreement: float | None = None
    gradient_norm: float | None = None


@dataclass(frozen=True)
class FreeCertificate(FreeMeasurements):
    """The measurements, and every one of them beside its limit."""

    FORM: ClassVar[dict[str, Form]] = {
        "particles": COUNT,
        "device": TEXT,
        "backend": TEXT,
        **values(*LIMITS, "gradient_norm"),
        "checks": [{"name": TEXT, "value": VALUE, "limit": NUMBER, "passed": FLAG}],
    }

    checks: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed, and the essential ones are there."""
        return {check.name for check in self.checks} >= ESSENTIAL and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {
            **{part.name: getattr(self, part.name) for part in fields(FreeMeasurements)},
            "checks": [check.to_json() for check in self.checks],
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> FreeCertificate:
        """What `to_json` wrote; whether a check passed is computed again. Raises FormError where one is unknown."""
        for one in stored["checks"]:
            if one["limit"] != LIMITS.get(one["name"]):
                raise FormError("holds a check that this version does not know, or with another limit")
        parts: dict[str, Any] = {part.name: stored.get(part.name) for part in fields(FreeMeasurements)}
        checks = tuple(_check(one["name"], number(one["value"])) for one in stored["checks"])
        return FreeCertificate(**{**parts, "lost": number(parts["lost"])}, checks=checks)


def judge(measured: FreeMeasurements) -> FreeCertificate:
    """Compare every value with its limit; a value that is not a number fails."""
    found = {name: getattr(measured, name) for name in LIMITS}
    checks = tuple(_check(name, value) for name, value in found.items() if value is not None)
    return FreeCertificate(**vars(measured), checks=checks)


def _check(name: str, value: float) -> Check:
    return Check(name, value, LIMITS[name], bool(value <= LIMITS[name]) and not math.isnan(value))
