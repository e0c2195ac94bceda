"""How long a sweep is likely to take, and how much memory, before it starts.

Comes in: a plan, the runs that are missing, how many workers. Goes out: a sentence. A few runs, spread over all, are
looked at, by what `check` predicts of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import loky

from controlsde.foundation.errors import ControlsdeError
from controlsde.problem import load_problem
from controlsde.sweeps.plan import Plan, Run

LOOKED_AT = 5


def expected(plan: Plan, runs: Sequence[Run], workers: int | None) -> str:
    """In words: how many at a time, about how long, and how much memory at the most."""
    from controlsde.workflow.cost_alone import cost_alone
    from controlsde.workflow.expectation import UNCERTAIN, spoken

    chosen = [
        runs[round(place * (len(runs) - 1) / max(LOOKED_AT - 1, 1))] for place in range(min(LOOKED_AT, len(runs)))
    ]
    seconds, memory = [], []
    for run in chosen:
        try:
            problem = load_problem(plan.source(run.problem).file, set={**plan.base, **run.settings})
            cost = cost_alone(problem)
        except ControlsdeError:
            continue  # its row will say what is wrong
        seconds.append(cost.seconds)
        memory.append(cost.memory)
    keys = {run.key for run in runs}
    ways = sum(run.after not in keys for run in runs)  # of which each is one run after the other
    at_a_time = min(workers or loky.cpu_count(), ways)
    if not seconds:
        return f"{at_a_time} at a time; how long they take cannot be told"
    whole = sum(seconds) / len(seconds) * len(runs) / at_a_time
    least, longest = spoken(whole / UNCERTAIN), spoken(whole * UNCERTAIN)
    return (
        f"{at_a_time} at a time, about {spoken(whole)} in all when nothing else runs ({least} to {longest}), and about "
        f"{max(memory) * at_a_time / 2**20:,.0f} MiB of memory for their numbers"
    )
