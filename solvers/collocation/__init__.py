"""Direct collocation: densities and weights together in one sparse nonlinear program."""

from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.declaration import Solver

SOLVER = Solver(
    name="collocation",
    options=Collocation,
    function="controlsde.solvers.collocation.solver:solve",
    costing="controlsde.solvers.collocation.costs:costs",
    frees_lengths=True,
    side_by_side=True,
    most_stage_values=40_000,
)
