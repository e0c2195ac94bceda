"""What a problem file may say of collocation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from controlsde.problem.solver_specs import ContinuationLevels, Device, Rest, SolverOptions
from controlsde.problem.values import Inconsistency, Positive, Seed, Whole
from controlsde.solvers.drift_fitting.options import start_inconsistencies


class Collocation(SolverOptions):
    """The solver that hands state and controls together to a nonlinear program, solved by IPOPT or FATROP.

    `pivot_tolerance` is of IPOPT's linear solver: larger is slower, but sees the program's curvature for what it is.
    With `start: shooting` the first of its starts is what a search by shooting finds on the same discrete
    problem, in primal and dual; the others, and those of `random` and `switching`, are cold: states on the reference.
    """

    kind: Literal["collocation"] = "collocation"
    start: Literal["shooting", "random", "switching"] = "shooting"
    nlp_solver: Literal["ipopt", "fatrop"] = "ipopt"
    starts: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    seed: Seed = 0
    iterations: Annotated[Whole, Field(ge=1, le=10_000_000)] = 500
    tolerance: Positive = 1e-8
    pivot_tolerance: Annotated[Positive, Field(le=0.5)] = 1e-2
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
