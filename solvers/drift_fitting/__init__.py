"""Fits to the exact drift that look at no density: score matching, switching, multiplexing."""

from controlsde.solvers.declaration import Solver
from controlsde.solvers.drift_fitting.options import ScoreMatching, Switching

SCORE_MATCHING = Solver(
    name="score-matching",
    options=ScoreMatching,
    function="controlsde.solvers.drift_fitting.score_matching:solve",
    costing="controlsde.solvers.drift_fitting.costs:score_matching",
    most_stage_values=4_000_000,
    meets_limits=False,
    minimises_objective=False,
    in_free_space="controlsde.solvers.drift_fitting.free_score_matching:solve",
    costing_in_free_space="controlsde.solvers.drift_fitting.costs:in_free_space",
)
SWITCHING = Solver(
    name="switching",
    options=Switching,
    function="controlsde.solvers.drift_fitting.switching:solve",
    costing="controlsde.solvers.drift_fitting.costs:switching",
    most_stage_values=4_000_000,
    meets_limits=False,
    minimises_objective=False,
)
