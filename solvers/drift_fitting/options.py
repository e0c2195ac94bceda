"""What a problem file may say of the solvers that fit the exact drift, and when their periods fill its pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema

from controlsde.problem.solver_specs import PlainOptions, Rest, SolverOptions
from controlsde.problem.values import Inconsistency, Location, Positive, Whole, about, short

MOST_GROUPS = 8  # of neurons that take turns, where a problem does not say how many
MOST_NEURONS = 256
NARROW = 100  # weights of a piece up to which a fit in free space takes several starts, and Newton steps


class ScoreMatching(PlainOptions):
    """The solver that fits the network to the reference's exact drift, piece by piece, and looks at no density."""

    kind: Annotated[
        Literal["score-matching"],
        about("Fit the network to the reference's exact drift, piece by piece.", "score-matching"),
    ] = "score-matching"
    start: Annotated[
        Literal["random", "principal", "independent"],
        about(
            "The starts: random; or, in free space, neurons along the principal axes of the reference, or along its "
            "independent components.",
            "principal",
            "independent",
            default="random; in free space principal",
        ),
    ] = "random"
    starts: Annotated[
        Whole,
        Field(ge=1, le=10_000),
        about(
            "How many starts each fit has.",
            4,
            unit="count",
            default="8; in free space 4 up to 100 weights a piece, 1 beyond",
        ),
    ] = 8
    tolerance: Annotated[
        Positive,
        about(
            "How small the gradient of the fits must become; in free space, how small a share of ∫E|v*|² it must be "
            "that another round of fitting gains at fresh samples.",
            1e-07,
            unit="1",
            default="1e-8; in free space 0.01",
        ),
    ] = 1e-8

    def in_free_space(self, rest: Rest) -> Self:
        """Principal axes, few starts, and rounds on fresh samples until they gain little."""
        return self.usual_in_free_space(rest.width * (2 * rest.dimension + 1))

    def usual_in_free_space(self, weights: int) -> Self:
        """The same for so many weights a piece."""
        narrow = weights <= NARROW
        return self._where_not_given(start="principal", starts=4 if narrow else 1, tolerance=0.01)

    def inconsistencies(self, rest: Rest) -> Iterator[Inconsistency]:
        """Whether it may start so."""
        if self.start != "random" and not rest.free:
            yield ("solver", "start"), f"{self.start} is for free space, domain.space: free; in a box use random"


def _neurons(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_NEURONS:
        raise ValueError(f"must be auto or a whole number from 1 to {MOST_NEURONS} (got {short(value)})")
    return value


Ordering = Literal["symmetric", "forward"]


class Switching(PlainOptions):
    """The solver that fits a wide network of `neurons` to the exact drift, and lets the narrow one play it in turns.

    A period is 1, 2, …, q in `forward` ordering, and 1, …, q, q, …, 1 in `symmetric`, one piece each, where the narrow
    network is one of q groups of neurons of the wide one. `auto` takes the q of 2 to 8 with the least objective.
    """

    kind: Annotated[
        Literal["switching"],
        about("Fit a wide network to the exact drift, and play it with a narrow one, in turns.", "switching"),
    ] = "switching"
    ordering: Annotated[
        Ordering, about("The order of the turns in a period: 1, …, q, q, …, 1, or 1, …, q.", "forward")
    ] = "symmetric"
    neurons: Annotated[
        int | Literal["auto"],
        BeforeValidator(_neurons),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MOST_NEURONS}]}),
        about(
            "The neurons of the wide network, a multiple of `network.width`; `auto` tries 2 to 8 groups.",
            4,
            "auto",
            unit="count",
        ),
    ] = "auto"

    @property
    def start(self) -> str:
        """The first start of each fit is random, too."""
        return "random"

    def groups(self, pieces: int, width: int) -> tuple[int, ...]:
        """The numbers of groups of `width` neurons that are tried on so many pieces."""
        return fitting_groups(self.ordering, pieces) if self.neurons == "auto" else (self.neurons // width,)

    def inconsistencies(self, rest: Rest) -> Iterator[Inconsistency]:
        """Whether whole periods fill the pieces."""
        pieces, width = rest.controls.pieces, rest.width
        if self.neurons == "auto":
            yield from _whole_periods(("controls", "pieces"), pieces, (self.ordering,))
        elif self.neurons % width or self.neurons < 2 * width:
            yield (
                ("solver", "neurons"),
                f"must be a multiple of network.width {width}, at least twice that (got {self.neurons}): "
                f"use {width * max(2, -(-self.neurons // width))}",
            )
        elif pieces % (turn := period(self.ordering, self.neurons // width)):
            yield (
                ("controls", "pieces"),
                f"must be a multiple of {turn}, the pieces of a {self.ordering} period of {self.neurons} "
                f"solver.neurons (got {pieces}): use {turn * -(-pieces // turn)}",
            )


def start_inconsistencies(options: SolverOptions, rest: Rest) -> Iterator[Inconsistency]:
    """Whether periods of switching fill the pieces where they construct a start: those of the first problem solved."""
    if options.start == "switching":
        first = options.refine[0].pieces if options.refine else None
        where: Location = ("solver", "refine", 0, "pieces") if first else ("controls", "pieces")
        yield from _whole_periods(where, first or rest.controls.pieces, ("symmetric", "forward"), of_a_start=True)


def period(ordering: Ordering, groups: int) -> int:
    """How many pieces it takes all groups to have their turns."""
    return groups if ordering == "forward" else 2 * groups


def fitting_groups(ordering: Ordering, pieces: int) -> tuple[int, ...]:
    """The numbers of groups, up to `MOST_GROUPS`, whose periods fill so many pieces."""
    return tuple(groups for groups in range(2, MOST_GROUPS + 1) if pieces % period(ordering, groups) == 0)


def _whole_periods(
    where: Location, pieces: int, orderings: tuple[Ordering, ...], *, of_a_start: bool = False
) -> Iterator[Inconsistency]:
    def fits(count: int) -> bool:
        return any(fitting_groups(ordering, count) for ordering in orderings)

    if not fits(pieces):
        kinds = "an even number" if orderings == ("symmetric",) else "a number"
        least = period(orderings[-1], 2)
        most = period(orderings[-1], MOST_GROUPS)
        cure = str(next(count for count in range(pieces + 1, 2 * pieces + least + 1) if fits(count)))
        if orderings == ("symmetric",) and fitting_groups("forward", pieces):
            cure += ", or solver.ordering: forward"
        if of_a_start:
            cure += ", or solver.start: random"
        yield where, f"must hold whole periods of switching, each {kinds} of {least} to {most} pieces: use {cure}"
