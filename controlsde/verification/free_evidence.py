"""What the verification finds in free space, as plain data: distances beside their nulls, likelihoods, particles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.stored_json import COUNT, FLAG, Form, FormError, Maybe, check, number, one_of, values
from controlsde.verification.free_certificate import FreeCertificate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BesideNull:
    """A distance of ρ(T) from p(T), beside what as many draws from p(T) itself show; baseline: of one Gaussian.

    The Gaussian has p(T)'s mean and covariance. sees: whether the distance tells it from p(T) at all, by so many draws.
    """

    FORM: ClassVar[dict[str, Form]] = values("value", "null_mean", "null_sd", "p", "baseline")

    value: float
    null_mean: float
    null_sd: float
    p: float
    baseline: float | None = None

    @property
    def z(self) -> float:
        """How far above the null, in its standard deviations."""
        return (self.value - self.null_mean) / self.null_sd if self.null_sd > 0 else float("nan")

    def to_json(self) -> dict[str, float | None]:
        """The numbers as the JSON of a result holds them."""
        return asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> BesideNull:
        """What `to_json` wrote."""
        known = {name: number(stored.get(name)) for name in ("value", "null_mean", "null_sd", "p")}
        return BesideNull(**known, baseline=stored.get("baseline"))


@dataclass(frozen=True)
class LogLikelihood:
    """Mean log ρ(T, x) over points, nats in the problem's units, with its standard error: exact at η = 0, else a bound.

    held_out: whether these are rows that had no part in p; else they are draws from p. reference, gaussian: the mean of
    log p and of the Gaussian with p's moments at the same points. bits: bits a dimension in the units of the data, and
    so for the two others. kl: KL(p‖ρ) at draws from p, or an upper bound of it, with its standard error; path_kl: the
    bound ∫E|v − v*|²/(4ηD₀) dt, None without noise.
    """

    FORM: ClassVar[dict[str, Form]] = {
        "kind": one_of("exact", "bound"),
        "points": COUNT,
        "held_out": FLAG,
        **values(
            "value",
            "se",
            "reference",
            "gaussian",
            "bits",
            "bits_reference",
            "bits_gaussian",
            "kl",
            "kl_se",
            "path_kl",
            "path_kl_se",
        ),
    }

    value: float
    se: float
    kind: Literal["exact", "bound"]
    points: int
    held_out: bool
    reference: float
    gaussian: float
    bits: float
    bits_reference: float
    bits_gaussian: float
    kl: float
    kl_se: float
    path_kl: float | None = None
    path_kl_se: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> LogLikelihood:
        """What `to_json` wrote."""
        maybe = ("path_kl", "path_kl_se")
        kept = {name: stored.get(name) for name in ("kind", "points", "held_out", *maybe)}
        rest = {name: number(stored.get(name)) for name in LogLikelihood.FORM if name not in kept}
        return LogLikelihood(**kept, **rest)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ScoreLoss:
    """∫E|v − v*|² dt at fresh exact samples of p, with its standard error; of ∫E|v*|² dt as a share: relative.

    training: the same at the points of the fit, None where nothing was fitted to points.
    """

    FORM: ClassVar[dict[str, Form]] = values("fresh", "se", "relative", "training")

    fresh: float
    se: float
    relative: float
    training: float | None = None

    @property
    def ratio(self) -> float | None:
        """Fresh over training."""
        return None if self.training is None else self.fresh / self.training

    def to_json(self) -> dict[str, float | None]:
        """The numbers as the JSON of a result holds them."""
        return asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> ScoreLoss:
        """What `to_json` wrote."""
        known = {name: number(stored.get(name)) for name in ("fresh", "se", "relative")}
        return ScoreLoss(**known, training=stored.get("training"))


@dataclass(frozen=True)
class FreeErrors:
    """How far ρ(T) is from p(T): distances by their names in the registry, the likelihood, the score-matching loss.

    distances: mollified, energy_distance, sliced_w2, bures_w2, marginal_w1, and what else the registry names.
    """

    FORM: ClassVar[dict[str, Form]] = {
        "log_likelihood": Maybe(LogLikelihood.FORM),
        "score_loss": Maybe(ScoreLoss.FORM),
    }

    distances: Mapping[str, BesideNull] = field(default_factory=dict)
    log_likelihood: LogLikelihood | None = None
    score_loss: ScoreLoss | None = None

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {
            **{name: one.to_json() for name, one in self.distances.items()},
            "log_likelihood": self.log_likelihood.to_json() if self.log_likelihood else None,
            "score_loss": self.score_loss.to_json() if self.score_loss else None,
        }

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> FreeErrors:
        """What `to_json` wrote. Raises FormError for a distance that is none."""
        distances = {name: one for name, one in stored.items() if name not in FreeErrors.FORM}
        for name, one in distances.items():
            if not isinstance(one, dict):
                raise FormError(f"holds a summary.tracking.{name} that is no distance")
            check(one, BesideNull.FORM, f"summary.tracking.{name}")
        likelihood, loss = stored.get("log_likelihood"), stored.get("score_loss")
        return FreeErrors(
            {name: BesideNull.from_json(one) for name, one in distances.items()},
            LogLikelihood.from_json(likelihood) if likelihood else None,
            ScoreLoss.from_json(loss) if loss else None,
        )


@dataclass(frozen=True, eq=False)
class Particles:
    """The controlled particles beside exact samples of p, for pictures and for whoever wants to look at ρ.

    times (K+1,), the ends of the pieces; positions (K+1, n, d) of the same particles; reference (K+1, r, d): samples of
    p there, not the same from time to time. final (N, d): particles at T. curve (K+1,): the mollified distance squared
    of ρ from p, over that of p from nothing. names (d,), shift, scale (d,): final · scale + shift is in the units of
    the data. held_out: rows (h, d) that had no part in p, none where there are none.
    """

    times: Array
    positions: Array
    reference: Array
    final: Array
    curve: Array
    names: tuple[str, ...]
    shift: Array
    scale: Array
    held_out: Array

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return int(self.final.shape[1])

    @property
    def target(self) -> Array:
        """Samples of p(T), (r, d)."""
        return np.asarray(self.reference[-1])

    def measured(self, points: Array) -> Array:
        """Points (…, d) in the units of the data."""
        return np.asarray(points * self.scale + self.shift)


@dataclass(frozen=True, eq=False)
class FreeEvidence:
    """Everything that the verification found. energy: ∫E|v|² dt along the particles, with its standard error."""

    tracking: FreeErrors
    certificate: FreeCertificate
    particles: Particles
    energy: float
    energy_se: float
