"""From the rows of a table to those that a density is made of: dequantised, split, standardised, in this order.

    x ← x + (u − ½)·width,   u uniform on [0, 1):    whole numbers become points of a density; rounding brings them back
    rows → held out | others:                        a random share has no part in anything that follows
    x ← (x − shift)/scale:                           the mean and the spread are those of the others alone

Noise comes first, so that the rows held out are of the same law as the others. Both are drawn from the table's `seed`,
each from a stream of its own: the split is the same with noise and without.

Comes in: a table as a problem holds it. Goes out: `Prepared`, in the units in which the problem is solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from controlsde.problem.standardizing import constant_columns, standardized
from controlsde.problem.values import InconsistencyError

Array = NDArray[np.float64]

NOISE, SPLIT, FITTING = 0, 1, 2  # streams of a table's seed
LEAST_ROWS = 2  # that a density is made of
WHOLE = 1e-6  # of the width: multiples of a unit are that up to rounding


class Table(Protocol):
    """What is asked of a table; `sample_specs` says what its keys mean."""

    @property
    def points(self) -> tuple[tuple[float, ...], ...]:
        """The rows as measured."""
        ...

    @property
    def dequantise(self) -> float | None:
        """The width of the noise."""
        ...

    @property
    def held_out(self) -> float | None:
        """The share of the rows."""
        ...

    @property
    def standardize(self) -> bool | Literal["common"]:
        """How columns are scaled."""
        ...

    @property
    def shift(self) -> tuple[float, ...] | None:
        """What was subtracted before, one number a column."""
        ...

    @property
    def scale(self) -> tuple[float, ...] | None:
        """What was divided by before, one number a column."""
        ...

    @property
    def seed(self) -> int | None:
        """Of the noise and the split."""
        ...

    def named(self, column: int) -> str:
        """What a column is called in messages."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """rows (N, d): of which the density is made. held_out (n, d): the others. point · scale + shift is as measured."""

    rows: Array
    held_out: Array | None
    shift: Array
    scale: Array


def stream(seed: int | None, number: int) -> np.random.Generator:
    """The generator of one purpose."""
    return np.random.default_rng([seed or 0, number])


def held_out_count(table: Table) -> int:
    """How many rows are held out."""
    return int((table.held_out or 0.0) * len(table.points) + 1e-9)


def prepared(table: Table) -> Prepared:
    """The rows of a table whose points are known. Raises InconsistencyError, with the cure."""
    points = np.array(table.points)
    if table.dequantise is not None:
        points = _dequantised(points, table)
    rows, held_out = _split(points, table)
    dimension = points.shape[1]
    if table.standardize is False:
        shift = np.zeros(dimension) if table.shift is None else np.array(table.shift)
        scale = np.ones(dimension) if table.scale is None else np.array(table.scale)
        return Prepared(rows, held_out, shift, scale)
    found = standardized(spreading(tuple(map(tuple, rows.tolist())), table), common=table.standardize == "common")
    shift, scale = np.array(found.shift), np.array(found.scale)
    others = None if held_out is None else (held_out - shift) / scale
    return Prepared(np.array(found.points), others, shift, scale)


def spreading(points: tuple[tuple[float, ...], ...], table: Table) -> tuple[tuple[float, ...], ...]:
    """The same points, if they spread as `standardize` needs. Raises InconsistencyError, with the cure."""
    constant = constant_columns(points)
    if constant and table.standardize == "common" and len(constant) == len(points[0]):
        raise InconsistencyError([(("standardize",), f"needs points that differ (all {len(points)} are one)")])
    if constant and table.standardize is True:
        value = f"{table.named(constant[0])} is {points[0][constant[0]]:.10g} everywhere"
        many = len(constant) > 1
        told = value + (f", and {len(constant) - 1} more are constant" if many else "")
        cure = f"leave {'those' if many else 'that one'} out"
        cure += ", or use standardize: common, one scale for all columns" if len(points[0]) > 1 else ""
        raise InconsistencyError([(("standardize",), f"needs points that differ in every column ({told}); {cure}")])
    return points


def _dequantised(points: Array, table: Table) -> Array:
    width = float(table.dequantise or 0.0)
    off = np.abs(points / width - np.round(points / width)) > WHOLE
    if off.any():
        row, column = np.argwhere(off)[0]
        raise InconsistencyError(
            [
                (
                    ("dequantise",),
                    f"is for multiples of its width {width:g}, and {table.named(int(column))} of point {row + 1} is "
                    f"{points[row, column]:.10g}; give the unit in which the data are rounded, or leave it out",
                )
            ]
        )
    return np.asarray(points + width * (stream(table.seed, NOISE).random(points.shape) - 0.5))


def _split(points: Array, table: Table) -> tuple[Array, Array | None]:
    if not table.held_out:
        return points, None
    count = held_out_count(table)
    if count < 1 or len(points) - count < LEAST_ROWS:
        raise InconsistencyError(
            [
                (
                    ("held_out",),
                    f"{table.held_out:g} of {len(points)} points are {count}, and {len(points) - count} are left; hold "
                    f"out one at least and leave {LEAST_ROWS} at least",
                )
            ]
        )
    order = stream(table.seed, SPLIT).permutation(len(points))
    return points[np.sort(order[count:])], points[np.sort(order[:count])]
