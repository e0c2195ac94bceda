"""The parts of a problem that stand by themselves: domain, network, controls, objective, particles, a given drift.

In: mappings, as YAML or Python gives them. Out: frozen models with every default filled in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_serializer,
    model_validator,
)

from controlsde.problem.density_specs import FormulaText, variables
from controlsde.problem.formula import Formula as Expression
from controlsde.problem.values import (
    MAX_DIMENSION,
    MOST_COORDINATES,
    Coordinate,
    InconsistencyError,
    Location,
    NonNegative,
    Positive,
    Section,
    Seed,
    Shorthand,
    Whole,
    Width,
    about,
    is_number,
    one_number_as_list,
    one_text_as_list,
    short,
)

MOST_SCALES = 8
BOUND = 50.0  # of every weight, where the problem does not say otherwise


class Domain(Section):
    """Where densities live: a box, one `(low, high)` a dimension, and what its walls do; or free space, without walls.

    In free space, `space: free`, there is no box; `dimension` follows from the data where it is not given.
    """

    box: Annotated[
        tuple[tuple[Coordinate, Coordinate], ...],
        Field(max_length=MAX_DIMENSION),
        about(
            "One `[low, high]` a dimension, up to three; not in free space.",
            [[-5, 5]],
            [[0, 1], [0, 1]],
            unit="length",
            default="required, but in free space",
        ),
    ] = ()
    walls: Annotated[
        Literal["reflecting", "periodic", "absorbing"],
        about("What the walls do: reflect, join opposite sides, or absorb the controlled process.", "periodic"),
    ] = "reflecting"
    space: Annotated[
        Literal["box", "free"],
        about("A box, on which densities live on a mesh; or free space, where they are particles.", "free"),
    ] = "box"
    dimension: Annotated[
        Annotated[Whole, Field(ge=1, le=MOST_COORDINATES)] | None,
        about("The number d of coordinates of free space.", 13, unit="count", default="that of the data"),
    ] = None

    @property
    def free(self) -> bool:
        """Whether this is free space, without walls and without a mesh."""
        return self.space == "free"

    @field_validator("box", mode="before")
    @classmethod
    def _one_pair_a_dimension(cls, box: object) -> object:
        if isinstance(box, list | tuple) and len(box) == 2 and all(is_number(limit) for limit in box):
            raise ValueError(f"must be a list with one [low, high] a dimension; write [[{box[0]}, {box[1]}]]")
        return box

    @field_validator("box")
    @classmethod
    def _low_below_high(cls, box: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        inconsistencies: list[tuple[Location, str]] = []
        for i, (low, high) in enumerate(box):
            if not low < high:
                inconsistencies.append(((i,), f"must be [low, high] with low < high (got [{low:g}, {high:g}])"))
            elif not 1e-6 <= high - low <= 1e6:
                inconsistencies.append(((i,), f"must be between 1e-6 and 1e6 wide (got {high - low:g}); rescale"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        return box

    @model_validator(mode="after")
    def _a_box_or_free_space(self) -> Self:
        given = self.model_fields_set
        inconsistencies: list[tuple[Location, str]] = []
        if self.free:
            inconsistencies += [
                ((key,), f"has no place in free space, which has no walls: remove it, or domain.space: {self.space}")
                for key in ("box", "walls")
                if key in given
            ]
        elif not self.box:
            words = "must hold one [low, high] a dimension" if "box" in given else "is required"
            inconsistencies.append((("box",), f"{words}; or write space: free for densities without a mesh"))
        elif self.dimension is not None:
            inconsistencies.append((("dimension",), "is for space: free; in a box it follows from domain.box"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        return self

    @model_serializer(mode="wrap")
    def _without_the_other(self, handler: SerializerFunctionWrapHandler) -> Any:
        """A box without what is said of free space, and the other way round."""
        mine = ("space", "dimension") if self.free else ("box", "walls")
        return {key: value for key, value in handler(self).items() if key in mine}


class NetworkSpec(Section):
    """The drift A σ(Wx + b) of the given width; without one, as wide as the domain has dimensions."""

    # None only until the problem fills in its dimension: within a Problem the width is always a number.
    width: Annotated[
        Whole, Field(ge=1, le=1024), about("The neurons m of the drift.", 2, unit="count", default="the dimension d")
    ] = Field(default=cast(Any, None))
    activation: Annotated[
        Literal["tanh", "sigmoid", "softplus", "sin", "relu"], about("The σ of the drift.", "sin")
    ] = "tanh"
    tangential: Annotated[
        bool,
        Field(strict=True),
        about(
            "Multiply the drift by τ(x), zero at the walls: for mass that reaches a wall without noise.",
            True,
        ),
    ] = False


FREE = "free"  # lengths of the pieces that are controls, too
SHORTEST = 0.01  # of a free piece, where the problem does not say otherwise,
SHORTEST_SHARE = 0.1  # or so much of the mean length, where that is less

Price = Annotated[NonNegative, Field(le=1e12)]
Lengths = tuple[Annotated[Positive, Field(le=1e6)], ...]


def _lengths(value: object, valid: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, str):
        if value != FREE:
            raise ValueError(f"must be free, one ratio, or one length a piece (got {short(value)})")
        return value
    return valid((value,) if is_number(value) else value)


_NUMBER = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6}

if TYPE_CHECKING:
    PieceLengths = Literal["free"] | Lengths | None
else:
    PieceLengths = Annotated[
        Lengths | None,
        WrapValidator(_lengths),
        PlainSerializer(lambda value: value),
        WithJsonSchema(
            {
                "anyOf": [
                    {"const": FREE, "type": "string"},
                    _NUMBER,
                    {"type": "array", "items": _NUMBER},
                    {"type": "null"},
                ]
            }
        ),
    ]


class Bounds(Section):
    """The largest absolute value of a weight of each group."""

    A: Annotated[Positive, Field(le=1e6), about("Of the outer weights A.", 50, unit="length/time")] = BOUND
    W: Annotated[Positive, Field(le=1e6), about("Of the inner weights W.", 20, unit="1/length")] = BOUND
    b: Annotated[Positive, Field(le=1e6), about("Of the offsets b.", 100, unit="1")] = BOUND

    @property
    def groups(self) -> dict[str, float]:
        """The bound of each group by its name."""
        return {"A": self.A, "W": self.W, "b": self.b}

    @property
    def largest(self) -> float:
        """The largest of the three."""
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


class ControlsSpec(Section):
    """Piecewise constant weights: how many pieces, how long each is, and how large a weight may be.

    `lengths`: relative, one a piece; or one number, the ratio of each piece to the one before; or `free`: the solver
    finds them with the weights, none shorter than `shortest` (time). Without: all the same.
    """

    pieces: Annotated[
        Whole, Field(ge=1, le=100_000), about("How many pieces of [0, T] the weights are constant on.", 8, unit="count")
    ] = 16
    lengths: Annotated[
        PieceLengths,
        about(
            "Relative lengths; or the ratio of each piece to the one before; or `free`: found with the weights.",
            [2, 1, 1],
            0.9,
            "free",
            unit="1",
            default="all equal",
        ),
    ] = None
    shortest: Annotated[
        Positive | None,
        about(
            "The least length of a free piece.",
            0.02,
            unit="time",
            default="0.01, or a tenth of the mean length where that is less",
        ),
    ] = None
    bounds: Annotated[
        Bounds,
        BeforeValidator(_bounds, json_schema_input_type=Annotated[Positive, Field(le=1e6)] | Bounds),
        about(
            "The largest absolute value of a weight: one number, or one for each group.",
            50,
            {"A": 50, "W": 20, "b": 100},
            unit="that of each weight",
        ),
    ] = Bounds()

    @property
    def free(self) -> bool:
        """Whether the lengths of the pieces are controls, too."""
        return self.lengths == FREE

    @property
    def given_lengths(self) -> Lengths | None:
        """The lengths, or the ratio, that the problem gives; None where they are all the same, or free."""
        return None if isinstance(self.lengths, str) else self.lengths

    def shortest_of(self, horizon: float) -> float:
        """How short a free piece may be."""
        return min(SHORTEST, SHORTEST_SHARE * horizon / self.pieces) if self.shortest is None else self.shortest

    @property
    def shares(self) -> tuple[float, ...]:
        """The length of each piece as a share of the horizon, (pieces,); where they are free, all the same."""
        lengths = self.given_lengths
        if lengths is None:
            relative = [1.0] * self.pieces
        elif len(lengths) == self.pieces:
            relative = list(lengths)
        else:  # the ratio of each piece to the one before, with the longest as unit
            ratio = lengths[0]
            first = 0 if ratio <= 1.0 else self.pieces - 1
            relative = [ratio ** (number - first) for number in range(self.pieces)]
        total = sum(relative)
        return tuple(length / total for length in relative)


class ObjectiveSpec(Section):
    """What is minimised: the tracking error in `norm`, on the way and at the end, and the price of the weights.

    `running` weighs the error on [0, T] (0: only the end counts), `terminal` that at T, `effort` the size of the
    weights, `variation` their change from piece to piece, and `energy` half of the kinetic energy ∫∫|v|²ρ⁺. With
    `terminal_error`, the error at T may be no larger.
    """

    norm: Annotated[
        Literal["l2", "h-1", "mollified"],
        about(
            "The norm of the tracking error: L², or Ḣ⁻¹, which resembles a Wasserstein distance; in free space "
            "`mollified`, L² after a blur, at several `scales`.",
            "h-1",
            default="l2; in free space mollified",
        ),
    ] = "l2"
    scales: Annotated[
        Annotated[tuple[Width, ...], Field(min_length=1, max_length=MOST_SCALES)] | Literal["auto"] | None,
        BeforeValidator(one_number_as_list),
        about(
            "The blurs of the `mollified` norm, standard deviations of a Gaussian; `auto`: around the data's own.",
            [1, 2, 4],
            "auto",
            unit="length",
            default="auto in free space, else none",
        ),
    ] = None
    running: Annotated[
        Price,
        about("The weight w_R of the squared error on the way; with 0 only the end counts.", 0, unit="1/time"),
    ] = 1.0
    terminal: Annotated[Price, about("The weight w_T of the squared error at T.", 10, unit="1")] = 1.0
    effort: Annotated[
        Price,
        about("The price r of the squared weights, integrated over time.", 0.0001, unit="objective/(weight²·time)"),
    ] = 1.0e-5
    variation: Annotated[
        Price,
        about("The price μ of the change of the weights from piece to piece.", 0.001, unit="objective·time/weight²"),
    ] = 0.0
    energy: Annotated[
        Price,
        about("The price w of half of the kinetic energy ∫∫|v|²ρ⁺ dx dt.", 0.01, unit="objective·time/length²"),
    ] = 0.0
    terminal_error: Annotated[
        Positive | None,
        about(
            "A limit on the L² error at T, which the verified answer must meet.",
            0.1,
            unit="density norm",
            default="no limit",
        ),
    ] = None


class MonteCarlo(Section):
    """The particles that re-measure the answer."""

    particles: Annotated[
        Whole,
        Field(ge=2, le=10**12),
        about("How many particles.", 1000000, unit="count", default="200000; in free space 5000"),
    ] = 200_000
    steps_per_piece: Annotated[
        Whole,
        Field(ge=1, le=1_000_000),
        about(
            "Their time steps in a piece of mean length or less; longer pieces have twice, three times … as many.",
            128,
            unit="count",
            default="64; in free space 16",
        ),
    ] = 64
    seed: Annotated[Seed, about("Of their starts and their noise.", 1, unit="1")] = 0
    scheme: Annotated[
        Literal["heun", "euler-maruyama"],
        about("How they step: Heun, of weak order 2, or Euler–Maruyama, of order 1.", "euler-maruyama"),
    ] = "heun"
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        about("Where they are computed; `auto` is a CUDA device where there is one.", "cpu"),
    ] = "auto"


class FormulaDriftSpec(Section):
    """A drift given by one formula a dimension, in the point and the time `t`; for evaluation only."""

    kind: Annotated[Literal["formula"], about("A drift by formulas.", "formula")] = "formula"
    expressions: Annotated[
        tuple[FormulaText, ...],
        Field(min_length=1, max_length=MAX_DIMENSION),
        BeforeValidator(one_text_as_list),
        about(
            "One formula a dimension, in x, y, z and t; see the page of problem files for what a formula may hold.",
            ["0.2*sin(2*pi*x)"],
            ["-y", "x"],
            unit="length/time",
        ),
    ]

    def compiled(self) -> tuple[Expression, ...]:
        """Return the formulas, ready to evaluate at `x`, … and `t`."""
        names = (*variables(len(self.expressions)), "t")
        return tuple(Expression(text, names) for text in self.expressions)


class ExactDriftSpec(Section):
    """The reference's own drift v*, which tracks without error; for evaluation only."""

    kind: Annotated[Literal["exact"], about("The reference's own drift v*, which tracks without error.", "exact")] = (
        "exact"
    )


DriftSpec = Annotated[FormulaDriftSpec | ExactDriftSpec, Field(discriminator="kind"), Shorthand(("exact",))]
