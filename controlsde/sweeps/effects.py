"""What varies significantly in a sweep: for every varied key, the least against the largest mean, over matched runs.

Comes in: a plan and how its runs ended. Goes out: an `Effect` a key, and a sentence. Runs are matched that differ in
one key alone, so that what other keys do is in both; the logarithm of the measure is compared, since errors differ by
factors; the p-value is that of a paired t-test, times the number of comparisons that were made (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from controlsde.sweeps.gathering import axes_of
from controlsde.sweeps.plan import Plan, short_value
from controlsde.sweeps.store import Row
from controlsde.sweeps.variations import canonical

MEASURES = ("tracking.l2_final", "tracking.mollified.value")  # of a box, of free space
LEVEL = 0.05
FEWEST = 3  # matched pairs, of which a t-test has something to say


@dataclass(frozen=True)
class Effect:
    """A key whose value `least` has the least mean of a measure, and `most` the largest, `factor` times as large.

    pairs: of matched runs. p: corrected; nan where there are too few pairs.
    """

    key: str
    least: Any
    most: Any
    factor: float
    pairs: int
    p: float

    @property
    def significant(self) -> bool:
        """Whether luck makes so much less often than one time in twenty."""
        return self.p <= LEVEL


def measure_of(rows: Sequence[Row | None]) -> str | None:
    """The name of what is compared: the error at T in the norm of the space; None where no run has one."""
    for name in MEASURES:
        if any(row is not None and row.numbers.get(name) is not None for row in rows):
            return name
    return None


def effects(plan: Plan, rows: Sequence[Row | None]) -> list[Effect]:
    """The effect of every key that has several values, the strongest first; none where the runs make no grid."""
    name, axes = measure_of(rows), axes_of(plan)
    if name is None or axes is None:
        return []
    values: dict[str, dict[str, dict[str, float]]] = {key: {} for key in axes}
    for run, row in zip(plan.runs, rows, strict=True):
        value = row.numbers.get(name) if row is not None and row.verified else None
        if value is None or not value > 0.0:
            continue
        everything = {"problem": run.problem, **run.settings}
        for key in axes:
            rest = canonical({other: everything[other] for other in everything if other != key})
            values[key].setdefault(canonical(everything[key]), {})[rest] = math.log(value)
    found = [_effect(key, axes[key], values[key]) for key in axes if len(axes[key]) > 1]
    return sorted((one for one in found if one is not None), key=lambda one: -abs(math.log(one.factor)))


def _effect(key: str, levels: Sequence[Any], logs: dict[str, dict[str, float]]) -> Effect | None:
    best: tuple[float, Any, Any, np.ndarray[Any, Any]] | None = None
    compared = 0
    for one, other in combinations(levels, 2):
        first, second = logs.get(canonical(one), {}), logs.get(canonical(other), {})
        shared = sorted(set(first) & set(second))
        if not shared:
            continue
        compared += 1
        gaps = np.array([second[rest] - first[rest] for rest in shared])
        if best is None or abs(gaps.mean()) > abs(best[0]):
            best = (float(gaps.mean()), one, other, gaps)
    if best is None:
        return None
    mean, one, other, gaps = best
    least, most = (one, other) if mean >= 0.0 else (other, one)
    p = math.nan
    if len(gaps) >= FEWEST:
        spread = float(gaps.std(ddof=1))
        alone = float(stats.ttest_1samp(gaps, 0.0).pvalue) if spread > 0.0 else float(mean == 0.0)
        p = min(1.0, compared * alone)
    return Effect(key, least, most, math.exp(abs(mean)), len(gaps), p)


def sentence(plan: Plan, rows: Sequence[Row | None], known: Sequence[Effect] | None = None) -> str:
    """What varies significantly, in words. known: the effects, where they have been found already."""
    name, found = measure_of(rows), effects(plan, rows) if known is None else known
    if name is None:
        return "no run has an answer that could be compared"
    if not found:
        return "nothing is compared: the runs do not differ in one key alone, or too few of them are verified"
    clear = [one for one in found if one.significant]
    words = [
        f"{one.key}: {one.factor:.3g} times as large at {short_value(one.most)} as at {short_value(one.least)} (p = "
        f"{one.p:.1g}, {one.pairs} pairs)"
        for one in clear
    ]
    rest = ", ".join(one.key for one in found if not one.significant)
    if not words:
        return f"{name} does not vary significantly with {rest}, or too few matched runs tell"
    return f"{name} varies significantly with {'; '.join(words)}" + (f"; not with {rest}" if rest else "")
