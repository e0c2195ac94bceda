"""Shooting: J as a function of the weights alone, and the searches that minimise it."""

from controlsde.solvers.declaration import Solver
from controlsde.solvers.shooting.options import Shooting

SOLVER = Solver(
    name="shooting",
    options=Shooting,
    function="controlsde.solvers.shooting.solver:solve",
    costing="controlsde.solvers.shooting.costs:costs",
    frees_lengths=True,
    side_by_side=True,
    most_stage_values=1_000_000,
    devices=("cpu", "cuda"),
    in_free_space="controlsde.solvers.shooting.free_shooting:solve",
    costing_in_free_space="controlsde.solvers.shooting.costs:in_free_space",
)
