"""Everything that a word may name, a line for each: to add one, write its file and its line here.

An installed package adds names of its own by entry points of the same groups; see docs/extending.md.
"""

from __future__ import annotations

from controlsde.foundation.extensions import Extensions

SOLVERS = Extensions(
    "controlsde.solvers",
    {
        "shooting": "controlsde.solvers.shooting:SOLVER",
        "collocation": "controlsde.solvers.collocation:SOLVER",
        "score-matching": "controlsde.solvers.drift_fitting:SCORE_MATCHING",
        "switching": "controlsde.solvers.drift_fitting:SWITCHING",
    },
)
