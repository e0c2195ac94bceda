"""The problem file as frozen models: every key, its default and its limits.

In: a mapping, as YAML or Python gives it. Out: a `Problem` in which every default is filled in and every
part fits the others, or pydantic's `ValidationError`; `loading` turns that into words with line numbers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from controlsde.problem.density_specs import (
    DensitySpec,
    Formula,
    FormulaText,
    Mixture,
    Samples,
    Truncated,
    Uniform,
    variables,
)
from controlsde.problem.formula import Formula as Expression
from controlsde.problem.values import (
    MAX_DIMENSION,
    Coordinate,
    Location,
    MisfitError,
    NonNegative,
    Positive,
    Section,
    Seed,
    Shorthand,
    Whole,
    Width,
    is_number,
    short,
)

__all__ = [
    "Collocation",
    "Controls",
    "DensitySpec",
    "Displacement",
    "Domain",
    "ExactDrift",
    "Formula",
    "FormulaDrift",
    "Heat",
    "Mesh",
    "MisfitError",
    "Mixture",
    "Moser",
    "Network",
    "Objective",
    "OrnsteinUhlenbeck",
    "Problem",
    "ReversedDiffusion",
    "Samples",
    "Shooting",
    "Truncated",
    "Uniform",
    "json_schema",
]

MAX_NODES = 2_000_000
MAX_STEPS = 10_000
FIRST_STEPS = 2  # Radau steps per piece that `mesh.steps_per_piece: auto` begins with

REFERENCE_KINDS = ("reversed-diffusion", "moser", "displacement")
FORWARD_KINDS = ("ornstein-uhlenbeck", "heat")
SOLVER_KINDS = ("shooting", "collocation")


class Domain(Section):
    """The box on which densities live, one `(low, high)` a dimension, and what its walls do."""

    box: Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(min_length=1, max_length=MAX_DIMENSION)]
    walls: Literal["reflecting", "periodic", "absorbing"] = "reflecting"

    @field_validator("box", mode="before")
    @classmethod
    def _one_pair_a_dimension(cls, box: object) -> object:
        if isinstance(box, list | tuple) and len(box) == 2 and all(is_number(limit) for limit in box):
            raise ValueError(f"must be a list with one [low, high] a dimension; write [[{box[0]}, {box[1]}]]")
        return box

    @field_validator("box")
    @classmethod
    def _low_below_high(cls, box: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        misfits: list[tuple[Location, str]] = []
        for i, (low, high) in enumerate(box):
            if not low < high:
                misfits.append(((i,), f"must be [low, high] with low < high (got [{low:g}, {high:g}])"))
            elif not 1e-6 <= high - low <= 1e6:
                misfits.append(((i,), f"must be between 1e-6 and 1e6 wide (got {high - low:g}); rescale"))
        if misfits:
            raise MisfitError(misfits)
        return box


class OrnsteinUhlenbeck(Section):
    """The forward process dX = -X ds + √(2·diffusivity) dW."""

    kind: Literal["ornstein-uhlenbeck"] = "ornstein-uhlenbeck"
    diffusivity: Annotated[Width, Field(le=1e6)] = 1.0


class Heat(Section):
    """The forward process dX = √(2·diffusivity) dW."""

    kind: Literal["heat"] = "heat"
    diffusivity: Annotated[Width, Field(le=1e6)] = 1.0


Forward = Annotated[
    OrnsteinUhlenbeck | Heat,
    Field(discriminator="kind"),
    Shorthand(FORWARD_KINDS, default="ornstein-uhlenbeck"),
]


class ReversedDiffusion(Section):
    """The reference that runs a diffusion backwards, from its density at `horizon` to the data.

    `start` is the density at t = 0: `exact`, the noised data, or `stationary`, the forward process's limit.
    """

    kind: Literal["reversed-diffusion"] = "reversed-diffusion"
    forward: Forward = OrnsteinUhlenbeck()
    horizon: Annotated[Width, Field(le=1e6)]
    data: DensitySpec
    start: Literal["exact", "stationary"] = "exact"

    @property
    def unit_diffusivity(self) -> float:
        """D₀, which the noise level scales."""
        return self.forward.diffusivity


class _Between(Section):
    """What references between two given densities share; `diffusivity` is the D₀ that noise scales."""

    from_: DensitySpec = Field(alias="from")
    to: DensitySpec
    horizon: Annotated[Width, Field(le=1e6)] = 1.0
    diffusivity: Annotated[Width, Field(le=1e6)] = 1.0

    @property
    def unit_diffusivity(self) -> float:
        """D₀, which the noise level scales."""
        return self.diffusivity


class Moser(_Between):
    """The reference (1 - g) from + g to, with Moser's field; `diffusivity` is the D₀ that noise scales."""

    kind: Literal["moser"] = "moser"


class Displacement(_Between):
    """The reference whose mass moves on straight lines from `from` to `to`; `diffusivity` is the D₀ that noise scales.

    In one dimension any two densities will do, in more two Gaussians: mixtures of one component.
    """

    kind: Literal["displacement"] = "displacement"


Reference = Annotated[ReversedDiffusion | Moser | Displacement, Field(discriminator="kind"), Shorthand(())]


class Network(Section):
    """The drift A σ(Wx + b) of the given width; without one, as wide as the domain has dimensions."""

    # None only until the problem fills in its dimension: within a Problem the width is always a number.
    width: Annotated[Whole, Field(ge=1, le=1024)] = Field(default=cast(Any, None))
    activation: Literal["tanh", "sigmoid", "softplus", "sin", "relu"] = "tanh"
    tangential: Annotated[bool, Field(strict=True)] = False


class Controls(Section):
    """Piecewise constant weights: how many pieces, and how large a weight may be."""

    pieces: Annotated[Whole, Field(ge=1, le=100_000)] = 16
    bounds: Annotated[Positive, Field(le=1e6)] = 50.0


class Objective(Section):
    """What is minimised: the tracking error in `norm`, its `terminal` weight, and the price of `effort`."""

    norm: Literal["l2"] = "l2"
    terminal: Annotated[NonNegative, Field(le=1e12)] = 1.0
    effort: Annotated[NonNegative, Field(le=1e12)] = 1.0e-5


def _elements(value: object) -> tuple[int, ...] | Literal["auto"]:
    if value == "auto":
        return "auto"
    given = [value] if is_number(value) else value
    if not isinstance(given, list | tuple) or not given:
        raise ValueError("must be auto or a list of whole numbers, one a dimension")
    for i, count in enumerate(given):
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_NODES:
            limits = f"must be a whole number from 1 to {MAX_NODES} (got {short(count)})"
            raise MisfitError([((i,), limits)])
    return tuple(given)


_COUNT = {"type": "integer", "minimum": 1, "maximum": MAX_NODES}
_COUNTS = {"type": "array", "items": _COUNT, "minItems": 1, "maxItems": MAX_DIMENSION}

Elements = Annotated[
    tuple[int, ...] | Literal["auto"],
    BeforeValidator(_elements),
    WithJsonSchema({"anyOf": [{"const": "auto"}, _COUNT, _COUNTS]}),
]


def _whole_number(value: object) -> object:
    if isinstance(value, bool | float):
        raise ValueError(f"must be a whole number (got {str(value).lower()})")
    return value


def _steps(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_STEPS:
        raise ValueError(f"must be auto or a whole number from 1 to {MAX_STEPS} (got {short(value)})")
    return value


Steps = Annotated[
    int | Literal["auto"],
    BeforeValidator(_steps),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MAX_STEPS}]}),
]


class Mesh(Section):
    """The discretisation: spectral elements of a polynomial degree, Radau steps of some stages a piece.

    `auto` refines until the answer no longer depends on the discretisation.
    """

    elements: Elements = "auto"
    degree: Annotated[Whole, Field(ge=2, le=16)] = 8
    steps_per_piece: Steps = "auto"
    stages: Annotated[Literal[1, 2, 3], BeforeValidator(_whole_number)] = 3

    @property
    def first_steps(self) -> int:
        """The steps per piece to begin with."""
        return FIRST_STEPS if self.steps_per_piece == "auto" else self.steps_per_piece


class Shooting(Section):
    """The solver that simulates the state and moves the controls along the discrete gradient."""

    kind: Literal["shooting"] = "shooting"
    method: Literal["newton", "gauss-newton", "l-bfgs", "adam"] = "newton"
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = 16
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-6


class Collocation(Section):
    """The solver that hands state and controls together to a nonlinear program, solved by IPOPT or FATROP."""

    kind: Literal["collocation"] = "collocation"
    nlp_solver: Literal["ipopt", "fatrop"] = "ipopt"
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-8


Solver = Annotated[Shooting | Collocation, Field(discriminator="kind"), Shorthand(SOLVER_KINDS, default="shooting")]


class MonteCarlo(Section):
    """The particles that re-measure the answer."""

    particles: Annotated[Whole, Field(ge=2, le=10**12)] = 200_000
    steps_per_piece: Annotated[Whole, Field(ge=1, le=1_000_000)] = 64
    seed: Seed = 0


def _one_text_as_list(value: object) -> object:
    return (value,) if isinstance(value, str) or is_number(value) else value


class FormulaDrift(Section):
    """A drift given by one formula a dimension, in the point and the time `t`; for evaluation only."""

    kind: Literal["formula"] = "formula"
    expressions: Annotated[
        tuple[FormulaText, ...],
        Field(min_length=1, max_length=MAX_DIMENSION),
        BeforeValidator(_one_text_as_list),
    ]

    def compiled(self) -> tuple[Expression, ...]:
        """Return the formulas, ready to evaluate at `x`, … and `t`."""
        names = (*variables(len(self.expressions)), "t")
        return tuple(Expression(text, names) for text in self.expressions)


class ExactDrift(Section):
    """The reference's own drift v*, which tracks without error; for evaluation only."""

    kind: Literal["exact"] = "exact"


Drift = Annotated[FormulaDrift | ExactDrift, Field(discriminator="kind"), Shorthand(("exact",))]


class Problem(Section):
    """A tracking problem: everything that the solvers, the verification and the reports need to know."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "problem"
    description: Annotated[str, Field(max_length=10_000)] = ""
    domain: Domain
    reference: Reference
    noise: Annotated[NonNegative, Field(le=1e6)] = 1.0
    network: Network = Network()
    controls: Controls = Controls()
    objective: Objective = Objective()
    mesh: Mesh = Mesh()
    solver: Solver = Shooting()
    monte_carlo: MonteCarlo = MonteCarlo()
    drift: Drift | None = None

    @property
    def dimension(self) -> int:
        """The number d of space dimensions."""
        return len(self.domain.box)

    @field_validator("name")
    @classmethod
    def _usable_as_file_name(cls, name: str) -> str:
        if name.startswith(".") or "/" in name or "\\" in name or not name.isprintable() or not name.strip():
            raise ValueError("must be usable as a file name, without slashes or a leading dot")
        return name

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        from controlsde.problem.checks import misfits

        if self.network.width is None:
            self.__dict__["network"] = self.network.model_copy(update={"width": self.dimension})
        found = misfits(self)
        if found:
            raise MisfitError(found)
        return self

    def to_yaml(self) -> str:
        """Return the resolved problem as YAML: every default written out, sample points in place of files.

        Loading the text gives an equal problem.
        """
        from controlsde.problem.yaml_text import write

        return write(self.model_dump(by_alias=True, exclude_none=True))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a problem file, for editors."""
    schema = Problem.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
