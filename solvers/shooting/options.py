"""What a problem file may say of shooting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controlsde.problem.solver_specs import ContinuationLevels, Device, Iterations, Rest, SolverOptions
from controlsde.problem.values import Inconsistency, Positive, Seed, Whole, about
from controlsde.solvers.drift_fitting.options import start_inconsistencies

SECOND_ORDER = ("newton", "gauss-newton")  # methods
STARTS = {1: 8, 2: 4}  # by dimension; in more dimensions as in two
PARTICLES, ITERATIONS = 1000, 100  # in free space
HOPS_PER_START = {1: 32, 2: 2}  # where there are several


def usual_hops(method: str, starts: int, dimension: int) -> int:
    """How many hops follow so many starts where a problem does not say."""
    if starts == 1 or method not in SECOND_ORDER:
        return 0
    return starts * HOPS_PER_START[min(dimension, 2)]


class Shooting(SolverOptions):
    """The solver that simulates the state and moves the controls along the discrete gradient.

    With `start: switching` the first of its starts is the best that solver `switching` finds, the others are random.
    Where a problem does not give them, `starts` and `hops` depend on its dimension; see `fitted`.
    """

    kind: Annotated[
        Literal["shooting"],
        about("Simulate the state, and move the weights along the exact discrete gradient.", "shooting"),
    ] = "shooting"
    start: Annotated[
        Literal["random", "switching", "score-matching"],
        about(
            "The first start: random, or what switching finds; in free space, what score matching finds.",
            "switching",
            default="random; in free space score-matching",
        ),
    ] = "random"
    method: Annotated[
        Literal["newton", "gauss-newton", "l-bfgs", "adam"],
        about(
            "How one descends: by the exact Hessian, by that of Gauss and Newton, or by gradients alone.",
            "gauss-newton",
            "l-bfgs",
            default="newton; in free space adam, the only one there",
        ),
    ] = "newton"
    starts: Annotated[
        Whole,
        Field(ge=1, le=10_000),
        about("How many weights the search starts from.", 4, unit="count", default="8 in one dimension, 4 in more"),
    ] = STARTS[1]
    hops: Annotated[
        Whole,
        Field(ge=0, le=1_000_000),
        about(
            "How often the best answers are disturbed in a few pieces and minimised again.",
            0,
            2000,
            unit="count",
            default="32 a start in one dimension, 2 in more; 0 for a single start",
        ),
    ] = STARTS[1] * HOPS_PER_START[1]
    seed: Annotated[Seed, about("Of whatever is random in the search.", 1, unit="1")] = 0
    iterations: Iterations = 500
    tolerance: Annotated[
        Positive,
        about(
            "How small the projected gradient must become; in free space, how small a share of the objective the last "
            "quarter of the iterations may gain at fresh particles.",
            1e-07,
            unit="1",
            default="1e-6; in free space 0.02",
        ),
    ] = 1e-6
    particles: Annotated[
        Annotated[Whole, Field(ge=2, le=1_000_000)] | None,
        about(
            "In free space, the particles that are steered.",
            2000,
            unit="count",
            default="1000 in free space, else none",
        ),
    ] = None
    device: Device = "auto"
    refine: ContinuationLevels = ()

    @model_validator(mode="after")
    def _usual_in_one_dimension(self) -> Self:
        self.fill_in(**self._usual(1))
        return self

    def fitted(self, dimension: int) -> Shooting:
        """The same, with what is usual in a dimension where starts or hops were not given."""
        return self.model_copy(update=self._usual(min(dimension, 2)))

    def _usual(self, dimension: int) -> dict[str, int]:
        starts = self.starts if "starts" in self.model_fields_set else STARTS[dimension]
        usual = usual_hops(self.method, starts, dimension)
        return {"starts": starts, "hops": self.hops if "hops" in self.model_fields_set else usual}

    def in_free_space(self, rest: Rest) -> Self:  # noqa: ARG002
        """Adam from what score matching finds, with so many particles and iterations."""
        return self._where_not_given(
            start="score-matching",
            method="adam",
            starts=1,
            hops=0,
            iterations=ITERATIONS,
            tolerance=0.02,
            particles=PARTICLES,
        )

    def inconsistencies(self, rest: Rest) -> Iterator[Inconsistency]:
        """What does not fit the rest of a problem."""
        if rest.free:
            yield from self._inconsistencies_in_free_space()
            return
        if self.start == "score-matching":
            yield ("solver", "start"), "score-matching is for free space, domain.space: free; in a box use switching"
        if self.particles is not None:
            yield ("solver", "particles"), "are steered in free space, domain.space: free; remove it"
        if self.hops and self.method not in SECOND_ORDER:
            yield ("solver", "hops"), f"is for solver.method newton or gauss-newton (got {self.method}): use 0"
        yield from start_inconsistencies(self, rest)

    def _inconsistencies_in_free_space(self) -> Iterator[Inconsistency]:
        if self.start == "switching":
            yield ("solver", "start"), "switching is played on a mesh; in free space use score-matching, or random"
        if self.method != "adam":
            yield ("solver", "method"), f"{self.method} needs a mesh; in free space use adam"
        if self.hops:
            yield ("solver", "hops"), "is for problems on a mesh; in free space use 0"
        if self.starts != 1:
            yield ("solver", "starts"), f"must be 1 in free space (got {self.starts}): try another solver.seed instead"
        if self.refine:
            yield ("solver", "refine"), "is for problems on a mesh; remove it"

    def with_usual_hops(self, dimension: int) -> Shooting:
        """The same, with as many hops as follow its starts where nobody gives them."""
        return self.model_copy(update={"hops": usual_hops(self.method, self.starts, dimension)})

    def going_on(self, starts: int) -> Shooting:
        """The same for so many starts that come from an earlier search: no hops."""
        return self.model_copy(update={"starts": starts, "hops": 0})
