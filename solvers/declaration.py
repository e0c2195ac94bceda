"""What a solver says of itself: its name, its options, what it can do, what it costs, and where it is.

Comes in: nothing. Goes out: a `Solver`, of which everything outside this folder asks what it needs to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controlsde.foundation.extensions import found
from controlsde.problem.solver_specs import SolverOptions

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import numpy as np
    from numpy.typing import NDArray

    from controlsde.foundation.progress import Progress
    from controlsde.solvers.costs import Costs
    from controlsde.solvers.outcome import Outcome
    from controlsde.tracking.free_tracking import FreeTracking
    from controlsde.tracking.objective import Objective
    from controlsde.tracking.sizes import Sizes


@dataclass(frozen=True)
class Solver:
    """A solver of the tracking problem, as the rest of the software sees it.

    name: in `solver: {kind: …}`. options: what a problem file may say of it. function, costing: `module:function`,
    imported when they are first called, as `solve` and `costs`. most_stage_values: n·K·S·s, beyond which refinement
    goes no further, for a solve would take minutes. dimensions, devices: where it works. meets_limits: whether it sees
    the error at T, so that a limit to it can be met. frees_lengths: whether it finds lengths of pieces that are free.
    side_by_side: whether its function takes `executor=`, where starts may run. minimises_objective: the tracking
    objective, that is, and not a misfit of drifts. in_free_space: `module:function` of a problem whose densities are
    particles, (tracking, options, progress, initial) → Outcome, and of its costs; None where it needs a mesh.
    """

    name: str
    options: type[SolverOptions]
    function: str
    costing: str
    most_stage_values: int
    dimensions: tuple[int, ...] = (1, 2, 3)
    devices: tuple[str, ...] = ("cpu",)
    meets_limits: bool = True
    frees_lengths: bool = False
    side_by_side: bool = False
    minimises_objective: bool = True
    in_free_space: str | None = None
    costing_in_free_space: str | None = None

    def solve(
        self,
        objective: Objective,
        options: SolverOptions,
        progress: Progress,
        initial: Sequence[NDArray[np.float64]] = (),
        executor: Executor | None = None,
    ) -> Outcome:
        """Minimise the objective. initial: flattened weights (K, P) that take the place of the first starts.

        executor: where starts may run, of a solver that runs them side by side.
        """
        more = {"executor": executor} if self.side_by_side else {}
        outcome: Outcome = found(self.function)(objective, options, progress, initial, **more)
        return outcome

    def solve_in_free_space(
        self,
        tracking: FreeTracking,
        options: SolverOptions,
        progress: Progress,
        initial: Sequence[NDArray[np.float64]] = (),
    ) -> Outcome:
        """Fit or steer particles in free space. initial: as of `solve`. Raises ValueError for a solver on a mesh."""
        if self.in_free_space is None:
            raise ValueError(f"{self.name} needs a mesh")
        outcome: Outcome = found(self.in_free_space)(tracking, options, progress, initial)
        return outcome

    def costs_in_free_space(self, options: SolverOptions, tracking: FreeTracking) -> Costs:
        """What that costs."""
        if self.costing_in_free_space is None:
            raise ValueError(f"{self.name} needs a mesh")
        costs: Costs = found(self.costing_in_free_space)(options, tracking)
        return costs

    def costs(self, options: SolverOptions, sizes: Sizes) -> Costs:
        """What a solve of a problem of these sizes costs."""
        costs: Costs = found(self.costing)(options, sizes)
        return costs
