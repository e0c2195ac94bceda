"""What varies significantly in a sweep: for every varied key, the least against the largest mean, over matched runs.

Comes in: a plan and how its runs ended. Goes out: an `Effect` a key, and a sentence. Runs are matched that differ in
one key alone, so that what other keys do is in both; the logarithm of the measure is compared, since errors differ by
factors; the p-value is that of a paired t-test, times the number of comparisons that were made (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr

from controlsde.sweeps.gathering import axes_of
from controlsde.sweeps.plan import Plan, short_value
from controlsde.sweeps.store import Row
from controlsde.sweeps.variations import canonical

MEASURES = {  # of a box, of free space
    "tracking.l2_final": "the L² error at T",
    "tracking.mollified.value": "the mollified distance at T",
}
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
    """Of all pairs of levels the one whose mean gap is the largest; None where no two share a run of the rest."""
    found = [logs.get(canonical(one), {}) for one in levels]
    rests = {rest: column for column, rest in enumerate(sorted({rest for level in found for rest in level}))}
    if not rests:
        return None
    values = np.full((len(levels), len(rests)), np.nan)  # a row a level, a column for what other keys are
    for row, level in enumerate(found):
        values[row, [rests[rest] for rest in level]] = list(level.values())
    pair, compared = _farthest(values)
    if pair is None:
        return None
    gaps = values[pair[1]] - values[pair[0]]
    gaps = gaps[~np.isnan(gaps)]
    one, other = levels[pair[0]], levels[pair[1]]
    mean = float(gaps.mean())
    least, most = (one, other) if mean >= 0.0 else (other, one)
    p = math.nan
    if len(gaps) >= FEWEST:
        p = min(1.0, compared * _by_luck(gaps))
    return Effect(key, least, most, math.exp(abs(mean)), len(gaps), p)


def _by_luck(gaps: np.ndarray[Any, Any]) -> float:
    """How likely a mean is that is at least as far from 0, were it 0: the p-value of Student's paired test.

    2 P(T_{n−1} ≤ −|t|), t = mean √n / deviation; as scipy.stats has it, which takes longer to load than all the rest.
    """
    mean, spread = float(gaps.mean()), float(gaps.std(ddof=1))
    if not spread > 0.0:
        return float(mean == 0.0)
    return float(2.0 * stdtr(len(gaps) - 1, -abs(mean) * math.sqrt(len(gaps)) / spread))


def _farthest(values: np.ndarray[Any, Any]) -> tuple[tuple[int, int] | None, int]:
    """The two rows whose mean gap over the columns that both have is largest, and how many pairs share a column."""
    has = ~np.isnan(values)
    if has.all() and len(values) > 1:  # a mean of gaps is a gap of means: no pair need be looked at
        means = values.mean(axis=1)
        ends = sorted((int(means.argmin()), int(means.argmax())))
        return (ends[0], ends[1] if ends[1] > ends[0] else 1), len(values) * (len(values) - 1) // 2
    best, farthest, compared = -1.0, None, 0
    weights, filled = has.astype(float), np.where(has, values, 0.0)
    for one in range(len(values) - 1):
        later = slice(one + 1, None)
        shared = weights[later] @ weights[one]
        some = shared > 0.0
        if not some.any():
            continue
        compared += int(some.sum())
        sums = filled[later] @ weights[one] - weights[later] @ filled[one]
        means = np.where(some, np.abs(sums) / np.maximum(shared, 1.0), -1.0)
        if means.max() > best:
            best, farthest = float(means.max()), (one, one + 1 + int(means.argmax()))
    return farthest, compared


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
        return f"{MEASURES[name]} does not vary significantly with {rest}, or too few matched runs tell"
    return f"{MEASURES[name]} varies significantly with {'; '.join(words)}" + (f"; not with {rest}" if rest else "")
