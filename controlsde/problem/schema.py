"""The problem file as frozen models: every key, its default and its limits.

In: a mapping, as YAML or Python gives it. Out: a `Problem` in which every default is filled in and every
part fits the others, or pydantic's `ValidationError`; `loading` turns that into words with line numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, cast

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)

from controlsde.foundation.wording import unreadable
from controlsde.problem.density_specs import (
    Boxes,
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
from controlsde.problem.reference_specs import (
    Displacement,
    Foellmer,
    FormulaForward,
    Heat,
    Moser,
    OrnsteinUhlenbeck,
    Reference,
    ReversedDiffusion,
    VarianceExploding,
    VariancePreserving,
)
from controlsde.problem.solver_specs import Mesh, Rung, SolverOptions
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
    is_number,
    one_text_as_list,
    short,
)
from controlsde.registry import SOLVERS

__all__ = [
    "Bounds",
    "Boxes",
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
    "Rung",
    "Samples",
    "SolverOptions",
    "StudentT",
    "Truncated",
    "Uniform",
    "VarianceExploding",
    "VariancePreserving",
    "json_schema",
]

DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]) *(\..*)?", re.IGNORECASE)
MAX_NAME_BYTES = 200  # a file system takes 255, and files are named after problems with a little added
BOUND = 50.0  # of every weight, where the problem does not say otherwise


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


class MonteCarlo(Section):
    """The particles that re-measure the answer."""

    particles: Annotated[Whole, Field(ge=2, le=10**12)] = 200_000
    steps_per_piece: Annotated[Whole, Field(ge=1, le=1_000_000)] = 64
    seed: Seed = 0
    scheme: Literal["heun", "euler-maruyama"] = "heun"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class FormulaDrift(Section):
    """A drift given by one formula a dimension, in the point and the time `t`; for evaluation only."""

    kind: Literal["formula"] = "formula"
    expressions: Annotated[
        tuple[FormulaText, ...],
        Field(min_length=1, max_length=MAX_DIMENSION),
        BeforeValidator(one_text_as_list),
    ]

    def compiled(self) -> tuple[Expression, ...]:
        """Return the formulas, ready to evaluate at `x`, … and `t`."""
        names = (*variables(len(self.expressions)), "t")
        return tuple(Expression(text, names) for text in self.expressions)


class ExactDrift(Section):
    """The reference's own drift v*, which tracks without error; for evaluation only."""

    kind: Literal["exact"] = "exact"


Drift = Annotated[FormulaDrift | ExactDrift, Field(discriminator="kind"), Shorthand(("exact",))]


if TYPE_CHECKING:
    Solver = SolverOptions
else:
    Solver = Annotated[
        Union[tuple(SOLVERS[name].options for name in SOLVERS)],  # noqa: UP007
        Field(discriminator="kind"),
        Shorthand(tuple(SOLVERS), default="shooting"),
    ]


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
    solver: Solver = SOLVERS["shooting"].options()
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
        if DEVICE.fullmatch(name):
            raise ValueError("must be usable as a file name, and is that of a device on some systems; add a word to it")
        if len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"must take at most {MAX_NAME_BYTES} bytes, as file names do (got {len(name.encode())})")
        return name

    @field_validator("description")
    @classmethod
    def _can_be_written(cls, description: str) -> str:
        character = unreadable(description)
        if character:
            raise ValueError(f"holds the character {character}, which is no text; remove it")
        return description

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        from controlsde.problem.checks import misfits

        if self.network.width is None:
            self.__dict__["network"] = self.network.model_copy(update={"width": self.dimension})
        self.__dict__["solver"] = self.solver.fitted(self.dimension)
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
