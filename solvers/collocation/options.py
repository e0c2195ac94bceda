"""What a problem file may say of collocation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from controlsde.problem.solver_specs import ContinuationLevels, Device, Iterations, Rest, SolverOptions
from controlsde.problem.values import Inconsistency, Positive, Seed, Whole, about
from controlsde.solvers.drift_fitting.options import start_inconsistencies


class Collocation(SolverOptions):
    """The solver that hands state and controls together to a nonlinear program, solved by IPOPT or FATROP.

    `pivot_tolerance` is of IPOPT's linear solver: larger is slower, but sees the program's curvature for what it is.
    With `start: shooting` the first of its starts is what a search by shooting finds on the same discrete
    problem, in primal and dual; the others, and those of `random` and `switching`, are cold: states on the reference.
    """

    kind: Annotated[
        Literal["collocation"], about("Hand densities and weights together to a nonlinear program.", "collocation")
    ] = "collocation"
    start: Annotated[
        Literal["shooting", "random", "switching"],
        about("The first start: what a search by shooting finds, random, or what switching finds.", "random"),
    ] = "shooting"
    nlp_solver: Annotated[Literal["ipopt", "fatrop"], about("What solves the program.", "fatrop")] = "ipopt"
    starts: Annotated[
        Whole, Field(ge=1, le=10_000), about("How many weights the search starts from.", 4, unit="count")
    ] = 1
    seed: Annotated[Seed, about("Of whatever is random in the search.", 1, unit="1")] = 0
    iterations: Iterations = 500
    tolerance: Annotated[Positive, about("The `tol` of IPOPT or FATROP.", 1e-07, unit="1")] = 1e-8
    pivot_tolerance: Annotated[
        Positive,
        Field(le=0.5),
        about(
            "Of IPOPT's linear solver: larger is slower, and helps where its regularisation stays high.", 0.1, unit="1"
        ),
    ] = 1e-2
    device: Device = "auto"
    refine: ContinuationLevels = ()

    def inconsistencies(self, rest: Rest) -> Iterator[Inconsistency]:
        """What does not fit the rest of a problem."""
        yield from start_inconsistencies(self, rest)
        if self.nlp_solver != "fatrop":
            return
        objective = rest.objective
        coupling = {
            "norm": objective.norm == "h-1",
            "variation": objective.variation > 0,
            "energy": objective.energy > 0,
        }
        if rest.controls.free:
            yield ("solver", "nlp_solver"), "fatrop takes no controls.lengths: free: use ipopt"
        for key, given in coupling.items():
            if given:
                yield ("solver", "nlp_solver"), f"fatrop takes no objective.{key} that couples its variables: use ipopt"
