"""The reference trajectory in a problem file: forward processes, and the kinds of reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, cast

from pydantic import BeforeValidator, Field, model_validator

from controlsde.problem.density_specs import (
    Boxes,
    FormulaSpec,
    FormulaText,
    Funnel,
    Gaussians,
    Image,
    Mixture,
    Product,
    Samples,
    StudentT,
    Truncated,
    Uniform,
    variables,
)
from controlsde.problem.formula import Formula as Expression
from controlsde.problem.formula import FormulaError
from controlsde.problem.values import (
    MAX_DIMENSION,
    InconsistencyError,
    Location,
    NonNegative,
    Positive,
    Section,
    Shorthand,
    Vector,
    Width,
    about,
    one_text_as_list,
)
from controlsde.registry import DENSITIES

Diffusivity = Annotated[Width, Field(le=1e6)]
Horizon = Annotated[
    Width, Field(le=1e6), about("The time T at which the reference arrives at the data.", 1, unit="time")
]
FORWARD_KINDS = ("ornstein-uhlenbeck", "heat", "vp", "ve")


if TYPE_CHECKING:
    DensitySpec = (
        Mixture | Product | Samples | Gaussians | Uniform | Boxes | Truncated | StudentT | Funnel | Image | FormulaSpec
    )
else:
    DensitySpec = Annotated[
        Union[tuple(DENSITIES[name].spec for name in DENSITIES)],  # noqa: UP007
        Field(discriminator="kind"),
        Shorthand(("uniform",)),
    ]


class OrnsteinUhlenbeck(Section):
    """The forward process dX = -X ds + √(2·diffusivity) dW."""

    kind: Annotated[Literal["ornstein-uhlenbeck"], about("dX = −X ds + √(2D₀) dW.", "ornstein-uhlenbeck")] = (
        "ornstein-uhlenbeck"
    )
    diffusivity: Annotated[
        Diffusivity, about("The diffusivity D₀ of the forward process.", 0.5, unit="length²/time")
    ] = 1.0


class Heat(Section):
    """The forward process dX = √(2·diffusivity) dW."""

    kind: Annotated[Literal["heat"], about("dX = √(2D₀) dW.", "heat")] = "heat"
    diffusivity: Annotated[
        Diffusivity, about("The diffusivity D₀ of the forward process.", 0.1, unit="length²/time")
    ] = 1.0


NAMED_SCHEDULES = {"vp": ("linear", "cosine"), "ve": ("geometric", "linear", "cosine")}


class _Scheduled(Section):
    """What forward processes with a schedule share: `schedule` is one of their names, or a formula in `s`."""

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """vp or ve."""
            ...

        @property
        def schedule(self) -> str:
            """A name, or a formula."""
            ...

    def _fill_limits(self, names: tuple[str, str], defaults: tuple[float, float]) -> None:
        """Put in the defaults of the two limits of a named schedule; refuse them with a formula."""
        schedule, kind = self.schedule, self.kind
        named = schedule in NAMED_SCHEDULES[kind]
        inconsistencies: list[tuple[Location, str]] = []
        for name, default in zip(names, defaults, strict=True):
            given = getattr(self, name)
            if named and given is None:
                self.fill_in(**{name: default})
            if not named and given is not None:
                inconsistencies.append(((name,), "belongs to the named schedules; a formula says all by itself"))
        low, high = (getattr(self, name) for name in names)
        if named and not low < high:
            inconsistencies.append(((names[0],), f"must be below {names[1]} (got {low:g} and {high:g})"))
        if not named:
            inconsistencies += self._formula_inconsistencies(schedule)
        if inconsistencies:
            raise InconsistencyError(inconsistencies)

    def _formula_inconsistencies(self, schedule: str) -> list[tuple[Location, str]]:
        try:
            Expression(schedule, ("s",))
        except FormulaError as error:
            names = ", ".join(NAMED_SCHEDULES[self.kind])
            return [
                (
                    ("schedule",),
                    f"must be {names} or a formula in s; as a formula, column {error.column}: {error.reason}",
                )
            ]
        return []

    def formula(self) -> Expression | None:
        """The formula of the schedule, or None where it has a name."""
        schedule, kind = self.schedule, self.kind
        return None if schedule in NAMED_SCHEDULES[kind] else Expression(schedule, ("s",))


class VariancePreserving(_Scheduled):
    """The forward process dX = -β(s) X ds + σ√(2β(s)) dW.

    β runs from `beta_min` to `beta_max` by a `linear` or `cosine` schedule, or is a formula in s.
    """

    kind: Annotated[Literal["vp"], about("Variance preserving noise: dX = −β(s)X ds + σ√(2β(s)) dW.", "vp")] = "vp"
    schedule: Annotated[
        FormulaText,
        about(
            "How β depends on the forward time s: `linear`, `cosine`, or a formula in s.",
            "cosine",
            "0.1 + 4*s^2",
            unit="1/time",
        ),
    ] = "linear"
    beta_min: Annotated[
        Annotated[NonNegative, Field(le=1e6)] | None,
        about("β at s = 0, of a named schedule.", 0.05, unit="1/time", default="0.05"),
    ] = None
    beta_max: Annotated[
        Annotated[Positive, Field(le=1e6)] | None,
        about("β at s = T, of a named schedule.", 10, unit="1/time", default="10"),
    ] = None
    sigma: Annotated[Width, about("The standard deviation that noise tends to.", 1, unit="length")] = 1.0

    @property
    def limits(self) -> tuple[float, float]:
        """β at both ends of a named schedule."""
        return self.beta_min or 0.0, self.beta_max or 0.0

    @model_validator(mode="after")
    def _fill(self) -> Self:
        self._fill_limits(("beta_min", "beta_max"), (0.05, 10.0))
        return self


class VarianceExploding(_Scheduled):
    """The forward process dX = √(2·D₀(s)) dW.

    Its noise σ(s) runs from `sigma_min` to `sigma_max` by a `geometric`, `linear` or `cosine` schedule, with
    D₀ = ½ dσ²/ds; or D₀ is a formula in s.
    """

    kind: Annotated[Literal["ve"], about("Variance exploding noise: dX = √(2D₀(s)) dW.", "ve")] = "ve"
    schedule: Annotated[
        FormulaText,
        about(
            "How σ(s) grows: `geometric`, `linear` or `cosine`; or a formula in s for D₀.",
            "linear",
            "s^3",
            unit="length²/time",
        ),
    ] = "geometric"
    sigma_min: Annotated[
        Width | None,
        about(
            "The standard deviation of the noise at s = 0, of a named schedule.", 0.01, unit="length", default="0.01"
        ),
    ] = None
    sigma_max: Annotated[
        Width | None,
        about("The standard deviation of the noise at s = T, of a named schedule.", 2, unit="length", default="1"),
    ] = None

    @property
    def limits(self) -> tuple[float, float]:
        """σ at both ends of a named schedule."""
        return self.sigma_min or 0.0, self.sigma_max or 0.0

    @model_validator(mode="after")
    def _fill(self) -> Self:
        self._fill_limits(("sigma_min", "sigma_max"), (0.01, 1.0))
        return self


class FormulaForward(Section):
    """The forward process dX = f(X) ds + √(2·diffusivity) dW, f one formula a dimension, reflected at the walls."""

    kind: Annotated[
        Literal["formula"], about("A forward process by formulas: dX = f(X) ds + √(2D₀) dW.", "formula")
    ] = "formula"
    drift: Annotated[
        tuple[FormulaText, ...],
        Field(min_length=1, max_length=MAX_DIMENSION),
        BeforeValidator(one_text_as_list),
        about(
            "f, one formula a dimension, in x and y; in one or two dimensions.",
            "x - x^3",
            ["-x", "-2*y"],
            unit="length/time",
        ),
    ]
    diffusivity: Annotated[
        Diffusivity, about("The diffusivity D₀ of the forward process.", 0.5, unit="length²/time")
    ] = 1.0

    def compiled(self) -> tuple[Expression, ...]:
        """Return the formulas, ready to evaluate at `x`, …."""
        names = variables(len(self.drift))
        return tuple(Expression(text, names) for text in self.drift)


Forward = Annotated[
    OrnsteinUhlenbeck | Heat | VariancePreserving | VarianceExploding | FormulaForward,
    Field(discriminator="kind"),
    Shorthand(FORWARD_KINDS, default="ornstein-uhlenbeck"),
]


class ReversedDiffusion(Section):
    """The reference that runs a diffusion backwards, from its density at `horizon` to the data.

    `start` is the density at t = 0: `exact`, the noised data, or `stationary`, the forward process's limit.
    """

    kind: Annotated[
        Literal["reversed-diffusion"],
        about("A diffusion run backwards, from its density at the horizon to the data.", "reversed-diffusion"),
    ] = "reversed-diffusion"
    forward: Annotated[
        Forward,
        about(
            "The process that turns data into noise: a name, or a mapping with its keys.",
            "heat",
            {"kind": "vp", "schedule": "cosine"},
        ),
    ] = OrnsteinUhlenbeck()
    horizon: Horizon
    data: Annotated[
        DensitySpec, about("The density at t = T.", {"kind": "mixture", "means": [-1.5, 1.5], "stds": [0.3, 0.3]})
    ]
    start: Annotated[
        Literal["exact", "stationary"],
        about(
            "The controlled density at t = 0: the noised data, or the stationary density of the forward process.",
            "stationary",
        ),
    ] = "exact"


class Foellmer(Section):
    """The reference that pins Brownian motion of a `diffusivity` D₀ from `point` to the data: Föllmer's process.

    It left the point a little before t = 0, where its noise has the standard deviation `width`.
    """

    kind: Annotated[Literal["foellmer"], about("Brownian motion from a point, pinned to the data.", "foellmer")] = (
        "foellmer"
    )
    data: Annotated[
        DensitySpec, about("The density at t = T.", {"kind": "mixture", "means": [-1, 1], "stds": [0.3, 0.3]})
    ]
    # None only until the problem fills in the origin: within a Problem the point is always one.
    point: Annotated[
        Vector, about("Where the Brownian motion comes from.", [0.5], unit="length", default="the origin")
    ] = Field(default=cast(Any, None))
    width: Annotated[Width, about("The standard deviation of its noise at t = 0.", 0.2, unit="length")] = 0.2
    horizon: Horizon = 1.0
    diffusivity: Annotated[
        Diffusivity, about("Its diffusivity D₀, which the noise level scales.", 0.5, unit="length²/time")
    ] = 0.5


class _Between(Section):
    """What references between two given densities share; `diffusivity` is the D₀ that noise scales."""

    from_: Annotated[DensitySpec, about("The density at t = 0.", "uniform")] = Field(alias="from")
    to: Annotated[DensitySpec, about("The density at t = T.", {"kind": "mixture", "means": [1], "stds": [0.4]})]
    horizon: Horizon = 1.0
    diffusivity: Annotated[
        Diffusivity, about("The diffusivity D₀ that the noise level scales.", 0.1, unit="length²/time")
    ] = 1.0


class Moser(_Between):
    """The reference (1 - g) from + g to, with Moser's field; `diffusivity` is the D₀ that noise scales."""

    kind: Annotated[
        Literal["moser"],
        about("Densities mixed, (1 − t/T) from + (t/T) to, with Moser's field.", "moser"),
    ] = "moser"


class Displacement(_Between):
    """The reference whose mass moves on straight lines from `from` to `to`; `diffusivity` is the D₀ that noise scales.

    In one dimension any two densities will do, in more two Gaussians: mixtures of one component.
    """

    kind: Annotated[
        Literal["displacement"],
        about("Mass moved on straight lines; in one dimension, or between two Gaussians.", "displacement"),
    ] = "displacement"


ReferenceSpec = Annotated[
    ReversedDiffusion | Moser | Displacement | Foellmer, Field(discriminator="kind"), Shorthand(())
]
