"""A sweep as columns: what varied as axes of levels, what was measured as numbers, how every run ended.

Comes in: a `Sweep`. Goes out: `Columns`, from which the page of a sweep draws and which it holds as JSON; the runs that
no other is better than; means over some runs with their spread. Thousands of runs are a few long lists.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.registry import DISTANCES, PARTICLE_DISTANCES
from controlsde.report.words import L2_ERRORS, OTHER_FREE_TITLES, free_title
from controlsde.sweeps.effects import measure_of
from controlsde.sweeps.gathering import numbers_of
from controlsde.sweeps.plan import short_value
from controlsde.sweeps.variations import canonical

if TYPE_CHECKING:
    from controlsde.sweeps.plan import Plan
    from controlsde.sweeps.store import Row
    from controlsde.sweeps.sweep import Sweep

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

MOST_NUMBERS = 150_000  # on a page: 1,000 runs have all of theirs, 10,000 the first fifteen
FEWEST = 3  # measures, however many runs there are
FIGURES = 6
MISSING, FAILED, NOT_VERIFIED, VERIFIED = range(4)  # how a run ended
PROBLEM = "problem"
AS_GIVEN = "as the problem has it"  # the level of a run that does not set a key
SECONDS, ENERGY = "seconds", "energy"
MORE_IS_BETTER = "log_likelihood.value"
OTHERS = "others, by their names in sweep.csv"


@dataclass(frozen=True, eq=False)
class Axis:
    """A key that varies. levels: its values, numbers in their order. codes (runs,): of which level a run is.

    numbers: of the levels, None where one of them is no number. seed: whether it is one, so that its values are luck.
    """

    key: str
    labels: tuple[str, ...]
    numbers: tuple[float, ...] | None
    codes: Codes
    seed: bool


@dataclass(frozen=True, eq=False)
class Measure:
    """What was measured. values (runs,): nan where there is none. more: whether more of it is better."""

    name: str
    title: str
    group: str
    values: Array
    more: bool = False


@dataclass(frozen=True, eq=False)
class Columns:
    """axes: what has several values. measures: what a reader may choose, the main ones first; left: how many others.

    states (runs,): MISSING, FAILED, NOT_VERIFIED or VERIFIED.
    """

    axes: tuple[Axis, ...]
    measures: tuple[Measure, ...]
    left: int
    states: Codes

    @property
    def telling(self) -> tuple[Axis, ...]:
        """The axes that are no seeds, unless all are."""
        return tuple(axis for axis in self.axes if not axis.seed) or self.axes

    @property
    def main(self) -> Measure | None:
        """The error at T, or what comes first where none was measured."""
        return self.measures[0] if self.measures else None

    @property
    def cost(self) -> Measure | None:
        """What the error is set against: the energy where runs have one, else the time."""
        by_name = {measure.name: measure for measure in self.measures}
        return by_name.get(ENERGY) or by_name.get(SECONDS)

    def axis(self, key: str) -> Axis:
        """The axis of a key."""
        return next(axis for axis in self.axes if axis.key == key)


def columns_of(sweep: Sweep) -> Columns:
    """Everything about a sweep in columns."""
    axes = tuple(axis for axis in _axes(sweep.plan) if len(axis.labels) > 1)
    measures, left = _measures(sweep.rows)
    return Columns(axes, measures, left, np.array([state_of(row) for row in sweep.rows], dtype=np.int64))


def state_of(row: Row | None) -> int:
    """How a run ended."""
    if row is None:
        return MISSING
    return FAILED if row.failed else VERIFIED if row.verified else NOT_VERIFIED


def _axes(plan: Plan) -> list[Axis]:
    runs = plan.runs
    found = [
        _axis(key, [run.settings.get(key) for run in runs], [key in run.settings for run in runs]) for key in plan.keys
    ]
    if len(plan.sources) > 1:
        found.insert(0, _axis(PROBLEM, [run.problem for run in runs], [True] * len(runs)))
    return found


def _axis(key: str, values: Sequence[Any], given: Sequence[bool]) -> Axis:
    texts = [canonical(value) if there else AS_GIVEN for value, there in zip(values, given, strict=True)]
    levels = dict(zip(texts, values, strict=True))
    numeric = all(given) and all(is_number(value) for value in levels.values())
    order = sorted(levels, key=lambda text: levels[text]) if numeric else list(levels)
    places = {text: place for place, text in enumerate(order)}
    labels = [AS_GIVEN if text == AS_GIVEN else short_value(levels[text]) for text in order]
    if len(set(labels)) < len(labels):  # short values that look alike
        labels = order
    return Axis(
        key,
        tuple(labels),
        tuple(float(levels[text]) for text in order) if numeric else None,
        np.array([places[text] for text in texts], dtype=np.int64),
        key.rpartition(".")[2].lower().endswith("seed"),
    )


def is_number(value: Any) -> bool:
    """Whether a setting has a place on an axis of numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _titles() -> dict[str, tuple[str, str]]:
    """The title and the group of what has one, in the order in which a reader is offered it."""
    errors = {f"tracking.{name}": title for name, title in L2_ERRORS.items()}
    main = "tracking.l2_final"
    of_a_box = {main: errors.pop(main), **errors}
    of_a_box |= {f"tracking.{name}_final": DISTANCES[name].title for name in DISTANCES}
    free = {f"tracking.{name}.value": free_title(name) for name in (*PARTICLE_DISTANCES, *OTHER_FREE_TITLES)}
    free |= {f"tracking.{MORE_IS_BETTER}": "log-likelihood"}
    costs = {
        ENERGY: "energy",
        "energy_bound": "least energy of any drift",
        "price": "price of narrowness",
        "promises.loss": "score-matching loss",
        "objective": "objective J",
        SECONDS: "seconds",
        "iterations": "iterations",
    }
    titles = {name: (title, "errors and distances") for name, title in (of_a_box | free).items()}
    return titles | {name: (title, "energy and cost") for name, title in costs.items()}


def _measures(rows: Sequence[Row | None]) -> tuple[tuple[Measure, ...], int]:
    """What differs between runs, as much of it as a page holds; how many more there are."""
    titles, names = _titles(), [SECONDS, *numbers_of(rows)]
    main = measure_of(rows)
    known = [name for name in dict.fromkeys([*([main] if main else []), *titles]) if name in set(names)]
    rest = [name for name in names if name not in titles]
    room = max(MOST_NUMBERS // max(len(rows), 1), FEWEST)
    first = [name for name in (main, ENERGY, SECONDS) if name in known]
    found: dict[str, Measure] = {}
    left = 0
    for name in dict.fromkeys((*first, *known, *rest)):
        if len(found) == room:
            left += 1
            continue
        values = np.array([_number(row, name) for row in rows])
        there = values[np.isfinite(values)]
        if len(there) and (
            name in known or len(set(there)) > 1
        ):  # the number of particles, say, is the same everywhere
            title, group = titles.get(name, (name, OTHERS))
            found[name] = Measure(name, title, group, values, name.endswith(MORE_IS_BETTER))
    return tuple(found[name] for name in (*known, *rest) if name in found), left


def _number(row: Row | None, name: str) -> float:
    value = None if row is None else row.seconds if name == SECONDS else row.numbers.get(name)
    return float(f"{value:.{FIGURES}g}") if is_number(value) else math.nan


# Means over some runs


@dataclass(frozen=True)
class Cell:
    """The mean of a measure over the runs at two levels, its spread (nan where nothing tells), how many runs are in it.

    wanted: how many there are. words: why there is no mean.
    """

    mean: float
    spread: float
    count: int
    wanted: int
    words: str = ""


@dataclass(frozen=True)
class Means:
    """cells[down][across], and over which keys their means and their spreads are."""

    cells: tuple[tuple[Cell, ...], ...]
    averaged: tuple[str, ...]
    spread_over: tuple[str, ...]


def means(columns: Columns, measure: Measure, across: Axis, down: Axis | None) -> Means:
    """The mean of what is verified, over all other keys.

    The spread is that over seeds, at the same other settings, where seeds vary: s² = Σ_g Σ_{i∈g} (x_i − x̄_g)²/(N − G)
    over G groups of N runs in all; else that over all that is averaged, as one group.
    """
    others = [axis for axis in columns.axes if axis not in (across, down)]
    seeds = [axis for axis in others if axis.seed]
    grouping = [axis for axis in others if not axis.seed] if seeds else []
    groups = _joined(grouping, len(columns.states))
    counted = (columns.states == VERIFIED) & np.isfinite(measure.values)
    width = len(across.labels)
    rows = np.zeros(len(columns.states), dtype=np.int64) if down is None else down.codes
    places = rows * width + across.codes
    order = np.argsort(places, kind="stable")
    edges = np.searchsorted(places[order], np.arange(width * (1 if down is None else len(down.labels)) + 1))
    cells = [_cell(columns, measure, groups, counted, order[start:end]) for start, end in pairwise(edges)]
    return Means(
        tuple(tuple(cells[place : place + width]) for place in range(0, len(cells), width)),
        tuple(axis.key for axis in others),
        tuple(axis.key for axis in seeds or others),
    )


def _cell(columns: Columns, measure: Measure, groups: Codes, counted: NDArray[np.bool_], chosen: Codes) -> Cell:
    kept = chosen[counted[chosen]]
    if len(kept) == 0:
        return Cell(math.nan, math.nan, 0, len(chosen), absent(columns.states[chosen]))
    values = measure.values[kept]
    _, inverse = np.unique(groups[kept], return_inverse=True)
    centres = np.bincount(inverse, values) / np.bincount(inverse)
    free = len(values) - len(centres)
    spread = math.sqrt(float(((values - centres[inverse]) ** 2).sum()) / free) if free else math.nan
    return Cell(float(values.mean()), spread, len(values), len(chosen))


def absent(states: Codes) -> str:
    """Why there is no mean over runs that ended so."""
    names = ("missing", "failed", "not verified", "no number")
    counts = np.bincount(states, minlength=len(names)) if len(states) else np.zeros(len(names), dtype=int)
    told = [(int(count), name) for count, name in zip(counts, names, strict=True) if count]
    if not told:
        return "no run"
    return ", ".join(name if count == len(states) == 1 or len(told) == 1 else f"{count} {name}" for count, name in told)


def _joined(axes: Sequence[Axis], runs: int) -> Codes:
    """One number for each combination of levels."""
    joined = np.zeros(runs, dtype=np.int64)
    for axis in axes:
        _, joined = np.unique(joined * len(axis.labels) + axis.codes, return_inverse=True)
    return joined


def combinations(columns: Columns) -> Codes:
    """(runs,) the same number for runs that differ in seeds alone."""
    return _joined([axis for axis in columns.axes if not axis.seed], len(columns.states))


# Runs that no other is better than


def front(columns: Columns, x: Measure, y: Measure) -> list[int]:
    """The verified runs that no other verified run beats in one measure without losing in the other, by x.

    Of runs with the same two numbers the first is told.
    """
    one, other = (-measure.values if measure.more else measure.values for measure in (x, y))
    there = np.flatnonzero((columns.states == VERIFIED) & np.isfinite(one) & np.isfinite(other))
    found: list[int] = []
    least = math.inf
    for place in there[np.lexsort((other[there], one[there]))]:
        if other[place] < least:
            least = float(other[place])
            found.append(int(place))
    return found
