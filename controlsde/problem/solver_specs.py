"""How a problem is solved, in a problem file: the discretisation, and the solvers with their options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema

from controlsde.problem.part_specs import ControlsSpec, NetworkSpec, ObjectiveSpec
from controlsde.problem.values import (
    MAX_DIMENSION,
    Inconsistency,
    InconsistencyError,
    NonNegative,
    Positive,
    Section,
    Seed,
    Whole,
    about,
    is_number,
    short,
)

MAX_NODES = 2_000_000
MAX_STEPS = 10_000
FIRST_STEPS = 2  # Radau steps per piece that `mesh.steps_per_piece: auto` begins with


def _elements(value: object) -> tuple[int, ...] | Literal["auto"]:
    if value == "auto":
        return "auto"
    given = [value] if is_number(value) else value
    if not isinstance(given, list | tuple) or not given:
        raise ValueError("must be auto or a list of whole numbers, one a dimension")
    for i, count in enumerate(given):
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_NODES:
            limits = f"must be a whole number from 1 to {MAX_NODES} (got {short(count)})"
            raise InconsistencyError([((i,), limits)])
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


class MeshSpec(Section):
    """The discretisation: spectral elements of a polynomial degree, Radau steps of some stages a piece.

    `auto` refines until the answer no longer depends on the discretisation.
    """

    elements: Annotated[
        Elements,
        about(
            "Elements on each axis, or `auto`: refined until the answer no longer depends on them.",
            [8],
            [6, 6],
            "auto",
            unit="count",
        ),
    ] = "auto"
    degree: Annotated[Whole, Field(ge=2, le=16), about("The polynomial degree of an element.", 6, unit="count")] = 8
    steps_per_piece: Annotated[
        Steps, about("Radau steps in each piece, or `auto`: 2 to begin with, then refined.", 4, "auto", unit="count")
    ] = "auto"
    stages: Annotated[
        Literal[1, 2, 3],
        BeforeValidator(_whole_number),
        about("The stages of a Radau step: of order 1, 3 and 5.", 2, unit="count"),
    ] = 3

    @property
    def first_steps(self) -> int:
        """The steps per piece to begin with."""
        return FIRST_STEPS if self.steps_per_piece == "auto" else self.steps_per_piece


class ContinuationLevel(Section):
    """A coarser problem that is solved first: what it does not name is the problem's own."""

    pieces: Annotated[
        Annotated[Whole, Field(ge=1, le=100_000)] | None,
        about("Pieces at this level.", 4, unit="count", default="the problem's own"),
    ] = None
    noise: Annotated[
        Annotated[NonNegative, Field(le=1e6)] | None,
        about("The noise level η at this level.", 2, unit="1", default="the problem's own"),
    ] = None
    elements: Annotated[
        tuple[int, ...] | None,
        BeforeValidator(_elements),
        WithJsonSchema({"anyOf": [_COUNT, _COUNTS]}),
        about("Elements on each axis at this level.", [5], unit="count", default="the problem's own"),
    ] = None
    steps_per_piece: Annotated[
        Annotated[Whole, Field(ge=1, le=MAX_STEPS)] | None,
        about("Radau steps in each piece at this level.", 1, unit="count", default="the problem's own"),
    ] = None
    stages: Annotated[
        Literal[1, 2, 3] | None,
        BeforeValidator(_whole_number),
        about("Stages of a Radau step at this level.", 1, unit="count", default="the problem's own"),
    ] = None


def _levels(value: object) -> object:
    if is_number(value) or isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return tuple({"pieces": each} if is_number(each) else each for each in value)


ContinuationLevels = Annotated[
    tuple[ContinuationLevel, ...],
    BeforeValidator(
        _levels, json_schema_input_type=tuple[ContinuationLevel | Annotated[int, Field(ge=1, le=100_000)], ...]
    ),
    about(
        "Coarser problems that are solved first: numbers of pieces, or mappings.",
        [4, 8, 16],
        [{"noise": 4}, {"noise": 2}],
        unit="count",
        default="none",
    ),
]


@dataclass(frozen=True)
class Rest:
    """The other parts of a problem, as far as the options of a solver may depend on them."""

    dimension: int
    network: NetworkSpec
    controls: ControlsSpec
    objective: ObjectiveSpec
    free: bool = False  # whether it is posed in free space

    @property
    def width(self) -> int:
        """The width of the network."""
        return int(self.network.width or self.dimension)


Device = Annotated[
    Literal["auto", "cpu", "cuda"], about("Where the state equation is solved; `auto` is the CPU.", "cpu")
]
Iterations = Annotated[
    Whole, Field(ge=1, le=10_000_000), about("The most iterations from one start.", 200, unit="count")
]


class SolverOptions(Section):
    """What a problem file may say of a solver; each solver has a class of its own, with keys, defaults and limits."""

    if TYPE_CHECKING:  # what every class has, as a key or as a property

        @property
        def kind(self) -> str:
            """The name of the solver."""
            ...

        @property
        def starts(self) -> int:
            """How many weights it starts from; the best answer is kept."""
            ...

        @property
        def seed(self) -> int:
            """The seed of whatever is random."""
            ...

        @property
        def iterations(self) -> int:
            """The most that it takes from one start."""
            ...

        @property
        def tolerance(self) -> float:
            """By how much the first-order conditions may be missed."""
            ...

        @property
        def device(self) -> Device:
            """Where the state equation is solved; `auto` is the CPU."""
            ...

        @property
        def start(self) -> str:
            """Where the first start comes from: random, or switching."""
            ...

        @property
        def refine(self) -> tuple[ContinuationLevel, ...]:
            """Coarser problems that are solved first."""
            ...

    def fitted(self, dimension: int) -> Self:  # noqa: ARG002
        """The same, with what is usual in a dimension where a problem does not say."""
        return self

    def in_free_space(self, rest: Rest) -> Self:  # noqa: ARG002
        """The same, with what is usual in free space where a problem does not say."""
        return self

    def going_on(self, starts: int) -> Self:
        """The same for so many starts that come from an earlier search."""
        return self.model_copy(update={"starts": starts})

    def _where_not_given(self, **usual: object) -> Self:
        return self.model_copy(update={key: value for key, value in usual.items() if key not in self.model_fields_set})

    def inconsistencies(self, rest: Rest) -> Iterator[Inconsistency]:  # noqa: ARG002
        """What does not fit the rest of a problem: places and sentences."""
        yield from ()


class PlainOptions(SolverOptions):
    """Options of a solver that takes no coarser problems first, and whose starts in a box are random."""

    kind: str
    starts: Annotated[Whole, Field(ge=1, le=10_000), about("How many random starts each fit has.", 4, unit="count")] = 8
    seed: Annotated[Seed, about("Of whatever is random in the search.", 1, unit="1")] = 0
    iterations: Iterations = 500
    tolerance: Annotated[Positive, about("How small the gradient of the fits must become.", 1e-07, unit="1")] = 1e-8
    device: Device = "auto"

    @property
    def refine(self) -> tuple[ContinuationLevel, ...]:
        """No coarser problems."""
        return ()
