"""How a problem is solved, in a problem file: the discretisation, and the solvers with their options."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from controlsde.problem.values import (
    MAX_DIMENSION,
    MisfitError,
    NonNegative,
    Positive,
    Section,
    Seed,
    Shorthand,
    Whole,
    is_number,
    short,
)

MAX_NODES = 2_000_000
MAX_STEPS = 10_000
FIRST_STEPS = 2  # Radau steps per piece that `mesh.steps_per_piece: auto` begins with

SOLVER_KINDS = ("shooting", "collocation", "score-matching", "switching")
FITTING = ("score-matching", "switching")  # solvers that fit the exact drift, and look at no density
MOST_GROUPS = 8  # of neurons that take turns, where a problem does not say how many
MOST_NEURONS = 256
SECOND_ORDER = ("newton", "gauss-newton")  # methods of shooting
STARTS = {1: 8, 2: 4}  # of shooting, by dimension; in more dimensions as in two
HOPS_PER_START = {1: 16, 2: 2}  # where there are several


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


def usual_hops(method: str, starts: int, dimension: int) -> int:
    """How many hops follow so many starts where a problem does not say."""
    if starts == 1 or method not in SECOND_ORDER:
        return 0
    return starts * HOPS_PER_START[min(dimension, 2)]


class Shooting(Section):
    """The solver that simulates the state and moves the controls along the discrete gradient.

    With `start: switching` the first of its starts is the best that solver `switching` finds, the others are random.
    Where a problem does not give them, `starts` and `hops` depend on its dimension; see `fitted`.
    """

    kind: Literal["shooting"] = "shooting"
    start: Literal["random", "switching"] = "random"
    method: Literal["newton", "gauss-newton", "l-bfgs", "adam"] = "newton"
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = STARTS[1]
    hops: Annotated[Whole, Field(ge=0, le=1_000_000)] = STARTS[1] * HOPS_PER_START[1]
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-6
    refine: Rungs = ()

    @model_validator(mode="after")
    def _usual_in_one_dimension(self) -> Self:
        self.__dict__.update(self._usual(1))
        return self

    def fitted(self, dimension: int) -> Shooting:
        """The same, with what is usual in a dimension where starts or hops were not given."""
        return self.model_copy(update=self._usual(min(dimension, 2)))

    def _usual(self, dimension: int) -> dict[str, int]:
        starts = self.starts if "starts" in self.model_fields_set else STARTS[dimension]
        usual = usual_hops(self.method, starts, dimension)
        return {"starts": starts, "hops": self.hops if "hops" in self.model_fields_set else usual}

    def with_usual_hops(self, dimension: int) -> Shooting:
        """The same, with as many hops as follow its starts where nobody gives them."""
        return self.model_copy(update={"hops": usual_hops(self.method, self.starts, dimension)})

    def going_on(self, starts: int) -> Shooting:
        """The same for so many starts that come from an earlier search: no hops."""
        return self.model_copy(update={"starts": starts, "hops": 0})


class Collocation(Section):
    """The solver that hands state and controls together to a nonlinear program, solved by IPOPT or FATROP.

    `pivot_tolerance` is of IPOPT's linear solver: larger is slower, but sees the program's curvature for what it is.
    `start` is as of shooting.
    """

    kind: Literal["collocation"] = "collocation"
    start: Literal["random", "switching"] = "random"
    nlp_solver: Literal["ipopt", "fatrop"] = "ipopt"
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-8
    pivot_tolerance: Annotated[Positive, Field(le=0.5)] = 1e-2
    refine: Rungs = ()

    def going_on(self, starts: int) -> Collocation:
        """The same for so many starts that come from an earlier search."""
        return self.model_copy(update={"starts": starts})


class _Fit(Section):
    """What the solvers share that fit the network to the exact drift."""

    kind: str
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = 8
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-8

    @property
    def refine(self) -> tuple[Rung, ...]:
        """No coarser problems: every piece, or period, is fitted by itself."""
        return ()

    def going_on(self, starts: int) -> Self:
        """The same for so many starts that come from an earlier search."""
        return self.model_copy(update={"starts": starts})


class ScoreMatching(_Fit):
    """The solver that fits the network to the reference's exact drift, piece by piece, and looks at no density."""

    kind: Literal["score-matching"] = "score-matching"


def _neurons(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_NEURONS:
        raise ValueError(f"must be auto or a whole number from 1 to {MOST_NEURONS} (got {short(value)})")
    return value


Ordering = Literal["symmetric", "forward"]


class Switching(_Fit):
    """The solver that fits a wide network of `neurons` to the exact drift, and lets the narrow one play it in turns.

    A period is 1, 2, …, q in `forward` ordering, and 1, …, q, q, …, 1 in `symmetric`, one piece each, where the narrow
    network is one of q groups of neurons of the wide one. `auto` takes the q of 2 to 8 with the least objective.
    """

    kind: Literal["switching"] = "switching"
    ordering: Ordering = "symmetric"
    neurons: Annotated[
        int | Literal["auto"],
        BeforeValidator(_neurons),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MOST_NEURONS}]}),
    ] = "auto"

    def groups(self, pieces: int, width: int) -> tuple[int, ...]:
        """The numbers of groups of `width` neurons that are tried on so many pieces."""
        return fitting_groups(self.ordering, pieces) if self.neurons == "auto" else (self.neurons // width,)


def period(ordering: Ordering, groups: int) -> int:
    """How many pieces it takes all groups to have their turns."""
    return groups if ordering == "forward" else 2 * groups


def fitting_groups(ordering: Ordering, pieces: int) -> tuple[int, ...]:
    """The numbers of groups, up to `MOST_GROUPS`, whose periods fill so many pieces."""
    return tuple(groups for groups in range(2, MOST_GROUPS + 1) if pieces % period(ordering, groups) == 0)


Solver = Annotated[
    Shooting | Collocation | ScoreMatching | Switching,
    Field(discriminator="kind"),
    Shorthand(SOLVER_KINDS, default="shooting"),
]
