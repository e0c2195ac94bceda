"""The problem file as frozen models: every key, its default and its limits.

In: a mapping, as YAML or Python gives it. Out: a `Problem` in which every default is filled in and every
part fits the others, or pydantic's `ValidationError`; `loading` turns that into words with line numbers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)

from controlsde.problem.density_specs import (
    DensitySpec,
    Formula,
    FormulaText,
    Funnel,
    Image,
    Mixture,
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
    Coordinate,
    Location,
    MisfitError,
    NonNegative,
    Positive,
    Section,
    Seed,
    Shorthand,
    Vector,
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
    "Foellmer",
    "Formula",
    "FormulaDrift",
    "FormulaForward",
    "Funnel",
    "Heat",
    "Image",
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
    "StudentT",
    "Truncated",
    "Uniform",
    "VarianceExploding",
    "VariancePreserving",
    "json_schema",
]

MAX_NODES = 2_000_000
MAX_STEPS = 10_000
BOUND = 50.0  # of every weight, where the problem does not say otherwise
FIRST_STEPS = 2  # Radau steps per piece that `mesh.steps_per_piece: auto` begins with

REFERENCE_KINDS = ("reversed-diffusion", "moser", "displacement", "foellmer")
FORWARD_KINDS = ("ornstein-uhlenbeck", "heat", "vp", "ve")
SOLVER_KINDS = ("shooting", "collocation")


def _one_text_as_list(value: object) -> object:
    return (value,) if isinstance(value, str) or is_number(value) else value


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


NAMED_SCHEDULES = {"vp": ("linear", "cosine"), "ve": ("geometric", "linear", "cosine")}


class _Scheduled(Section):
    """What forward processes with a schedule share: `schedule` is one of their names, or a formula in `s`."""

    def _fill_limits(self, names: tuple[str, str], defaults: tuple[float, float]) -> None:
        """Put in the defaults of the two limits of a named schedule; refuse them with a formula."""
        schedule, kind = self.__dict__["schedule"], self.__dict__["kind"]
        named = schedule in NAMED_SCHEDULES[kind]
        misfits: list[tuple[Location, str]] = []
        for name, default in zip(names, defaults, strict=True):
            given = self.__dict__[name]
            if named and given is None:
                self.__dict__[name] = default
            if not named and given is not None:
                misfits.append(((name,), "belongs to the named schedules; a formula says all by itself"))
        low, high = (self.__dict__[name] for name in names)
        if named and not low < high:
            misfits.append(((names[0],), f"must be below {names[1]} (got {low:g} and {high:g})"))
        if not named:
            misfits += self._formula_misfits(schedule)
        if misfits:
            raise MisfitError(misfits)

    def _formula_misfits(self, schedule: str) -> list[tuple[Location, str]]:
        try:
            Expression(schedule, ("s",))
        except FormulaError as error:
            names = ", ".join(NAMED_SCHEDULES[self.__dict__["kind"]])
            return [
                (
                    ("schedule",),
                    f"must be {names} or a formula in s; as a formula, column {error.column}: {error.reason}",
                )
            ]
        return []

    def formula(self) -> Expression | None:
        """The formula of the schedule, or None where it has a name."""
        schedule, kind = self.__dict__["schedule"], self.__dict__["kind"]
        return None if schedule in NAMED_SCHEDULES[kind] else Expression(schedule, ("s",))


class VariancePreserving(_Scheduled):
    """The forward process dX = -β(s) X ds + σ√(2β(s)) dW.

    β runs from `beta_min` to `beta_max` by a `linear` or `cosine` schedule, or is a formula in s.
    """

    kind: Literal["vp"] = "vp"
    schedule: FormulaText = "linear"
    beta_min: Annotated[NonNegative, Field(le=1e6)] | None = None
    beta_max: Annotated[Positive, Field(le=1e6)] | None = None
    sigma: Width = 1.0

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

    kind: Literal["ve"] = "ve"
    schedule: FormulaText = "geometric"
    sigma_min: Width | None = None
    sigma_max: Width | None = None

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

    kind: Literal["formula"] = "formula"
    drift: Annotated[
        tuple[FormulaText, ...],
        Field(min_length=1, max_length=MAX_DIMENSION),
        BeforeValidator(_one_text_as_list),
    ]
    diffusivity: Annotated[Width, Field(le=1e6)] = 1.0

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

    kind: Literal["reversed-diffusion"] = "reversed-diffusion"
    forward: Forward = OrnsteinUhlenbeck()
    horizon: Annotated[Width, Field(le=1e6)]
    data: DensitySpec
    start: Literal["exact", "stationary"] = "exact"


class Foellmer(Section):
    """The reference that pins Brownian motion of a `diffusivity` D₀ from `point` to the data: Föllmer's process.

    It left the point a little before t = 0, where its noise has the standard deviation `width`.
    """

    kind: Literal["foellmer"] = "foellmer"
    data: DensitySpec
    # None only until the problem fills in the origin: within a Problem the point is always one.
    point: Vector = Field(default=cast(Any, None))
    width: Width = 0.2
    horizon: Annotated[Width, Field(le=1e6)] = 1.0
    diffusivity: Annotated[Width, Field(le=1e6)] = 0.5


class _Between(Section):
    """What references between two given densities share; `diffusivity` is the D₀ that noise scales."""

    from_: DensitySpec = Field(alias="from")
    to: DensitySpec
    horizon: Annotated[Width, Field(le=1e6)] = 1.0
    diffusivity: Annotated[Width, Field(le=1e6)] = 1.0


class Moser(_Between):
    """The reference (1 - g) from + g to, with Moser's field; `diffusivity` is the D₀ that noise scales."""

    kind: Literal["moser"] = "moser"


class Displacement(_Between):
    """The reference whose mass moves on straight lines from `from` to `to`; `diffusivity` is the D₀ that noise scales.

    In one dimension any two densities will do, in more two Gaussians: mixtures of one component.
    """

    kind: Literal["displacement"] = "displacement"


Reference = Annotated[ReversedDiffusion | Moser | Displacement | Foellmer, Field(discriminator="kind"), Shorthand(())]


class Network(Section):
    """The drift A σ(Wx + b) of the given width; without one, as wide as the domain has dimensions."""

    # None only until the problem fills in its dimension: within a Problem the width is always a number.
    width: Annotated[Whole, Field(ge=1, le=1024)] = Field(default=cast(Any, None))
    activation: Literal["tanh", "sigmoid", "softplus", "sin", "relu"] = "tanh"
    tangential: Annotated[bool, Field(strict=True)] = False


def _lengths(value: object) -> object:
    if value is None or not is_number(value):
        return value
    return (value,)


class Bounds(Section):
    """The largest absolute value of a weight of each group."""

    A: Annotated[Positive, Field(le=1e6)] = BOUND
    W: Annotated[Positive, Field(le=1e6)] = BOUND
    b: Annotated[Positive, Field(le=1e6)] = BOUND

    @property
    def groups(self) -> dict[str, float]:
        """The bound of each group by its name."""
        return {"A": self.A, "W": self.W, "b": self.b}

    @property
    def largest(self) -> float:
        """Of the three."""
        return max(self.groups.values())

    def __str__(self) -> str:
        """±50, or ±50 (A), ±10 (W), ±10 (b)."""
        if self.A == self.W == self.b:
            return f"±{self.A:g}"
        return ", ".join(f"±{bound:g} ({name})" for name, bound in self.groups.items())

    @model_serializer(mode="wrap")
    def _one_number_where_it_does(self, handler: SerializerFunctionWrapHandler) -> Any:
        return self.A if self.A == self.W == self.b else handler(self)


def _bounds(value: object) -> object:
    if isinstance(value, dict | Bounds):
        return value
    if not is_number(value):
        raise ValueError(f"must be a number, or a mapping of A, W and b to numbers (got {short(value)})")
    return {"A": value, "W": value, "b": value}


class Controls(Section):
    """Piecewise constant weights: how many pieces, how long each is, and how large a weight may be.

    `lengths`: relative, one a piece; or one number, the ratio of each piece to the one before. Without: all the same.
    """

    pieces: Annotated[Whole, Field(ge=1, le=100_000)] = 16
    lengths: Annotated[
        tuple[Annotated[Positive, Field(le=1e6)], ...] | None,
        BeforeValidator(_lengths),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6},
                    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6}},
                    {"type": "null"},
                ]
            }
        ),
    ] = None
    bounds: Annotated[
        Bounds, BeforeValidator(_bounds, json_schema_input_type=Annotated[Positive, Field(le=1e6)] | Bounds)
    ] = Bounds()

    @property
    def shares(self) -> tuple[float, ...]:
        """The length of each piece as a share of the horizon, (pieces,)."""
        if self.lengths is None:
            relative = [1.0] * self.pieces
        elif len(self.lengths) == self.pieces:
            relative = list(self.lengths)
        else:  # the ratio of each piece to the one before, with the longest as unit
            ratio = self.lengths[0]
            first = 0 if ratio <= 1.0 else self.pieces - 1
            relative = [ratio ** (number - first) for number in range(self.pieces)]
        total = sum(relative)
        return tuple(length / total for length in relative)


class Objective(Section):
    """What is minimised: the tracking error in `norm`, on the way and at the end, and the price of the weights.

    `running` weighs the error on [0, T] (0: only the end counts), `terminal` that at T, `effort` the size of the
    weights and `variation` their change from piece to piece. With `terminal_error`, the error at T may be no larger.
    """

    norm: Literal["l2", "h-1"] = "l2"
    running: Annotated[NonNegative, Field(le=1e12)] = 1.0
    terminal: Annotated[NonNegative, Field(le=1e12)] = 1.0
    effort: Annotated[NonNegative, Field(le=1e12)] = 1.0e-5
    variation: Annotated[NonNegative, Field(le=1e12)] = 0.0
    terminal_error: Positive | None = None


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


class Rung(Section):
    """A coarser problem that is solved first: what it does not name is the problem's own."""

    pieces: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    noise: Annotated[NonNegative, Field(le=1e6)] | None = None
    elements: Annotated[
        tuple[int, ...] | None, BeforeValidator(_elements), WithJsonSchema({"anyOf": [_COUNT, _COUNTS]})
    ] = None
    steps_per_piece: Annotated[Whole, Field(ge=1, le=MAX_STEPS)] | None = None
    stages: Annotated[Literal[1, 2, 3] | None, BeforeValidator(_whole_number)] = None


def _rungs(value: object) -> object:
    if is_number(value) or isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return tuple({"pieces": each} if is_number(each) else each for each in value)


Rungs = Annotated[
    tuple[Rung, ...],
    BeforeValidator(_rungs, json_schema_input_type=tuple[Rung | Annotated[int, Field(ge=1, le=100_000)], ...]),
]


class Shooting(Section):
    """The solver that simulates the state and moves the controls along the discrete gradient."""

    kind: Literal["shooting"] = "shooting"
    method: Literal["newton", "gauss-newton", "l-bfgs", "adam"] = "newton"
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = 16
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-6
    refine: Rungs = ()


class Collocation(Section):
    """The solver that hands state and controls together to a nonlinear program, solved by IPOPT or FATROP.

    `pivot_tolerance` is of IPOPT's linear solver: larger is slower, but sees the program's curvature for what it is.
    """

    kind: Literal["collocation"] = "collocation"
    nlp_solver: Literal["ipopt", "fatrop"] = "ipopt"
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-8
    pivot_tolerance: Annotated[Positive, Field(le=0.5)] = 1e-2
    refine: Rungs = ()


Solver = Annotated[Shooting | Collocation, Field(discriminator="kind"), Shorthand(SOLVER_KINDS, default="shooting")]


class MonteCarlo(Section):
    """The particles that re-measure the answer."""

    particles: Annotated[Whole, Field(ge=2, le=10**12)] = 200_000
    steps_per_piece: Annotated[Whole, Field(ge=1, le=1_000_000)] = 64
    seed: Seed = 0


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
        if self.reference.kind == "foellmer" and self.reference.point is None:
            self.__dict__["reference"] = self.reference.model_copy(update={"point": (0.0,) * self.dimension})
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
