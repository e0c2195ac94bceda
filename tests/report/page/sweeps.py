"""Sweeps that nobody ran: plans, and numbers as runs would have them."""

from itertools import product

import numpy as np

from controlsde.sweeps.plan import Plan, Run, Source
from controlsde.sweeps.store import Row
from controlsde.sweeps.sweep import Sweep


def made_sweep(folder, axes, *, problems=("small",), number=None, change=None, others=0, base=None):
    """Every combination of the values of `axes`, as runs k0, k1, ….

    number: the error at T by place and settings. change: rows by place that are others, None for a missing one.
    others: how many numbers more a run has.
    """
    rng = np.random.default_rng(7)
    sources = tuple(Source(name, name, "none") for name in problems)
    chosen = [(name, dict(zip(axes, values, strict=True))) for name in problems for values in product(*axes.values())]
    runs = tuple(Run(f"k{place}", name, settings) for place, (name, settings) in enumerate(chosen))
    rows = []
    for place, run in enumerate(runs):
        error = float(rng.uniform(0.05, 0.4)) if number is None else number(place, run.settings)
        numbers = {"tracking.l2_final": error, "energy": float(rng.uniform(1, 30)), "objective": error**2}
        numbers |= {f"more.number_{n}": float(rng.normal()) for n in range(others)}
        rows.append(Row(run.key, "converged", True, float(rng.uniform(1, 9)), numbers))
    for place, row in (change or {}).items():
        rows[place] = row
    return Sweep(folder, Plan(sources, base or {}, tuple(axes), runs), tuple(rows))
