"""Points in units of their own spread: each column less its mean, over its standard deviation, or over one of all.

In: points as measured, of any sane size: Unix times, populations, nanometres. Out: the standardised points with the
shift and the scale that bring them back, and which columns do not spread beyond rounding. The one scale of all columns
is the root of the mean of their variances: a constant column, such as a dark corner of pictures, divides nothing by 0.
"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

Points = tuple[tuple[float, ...], ...]

# Of the largest value of a column: what differs by less differs by rounding, as 0.1 + 0.2 does from 0.3.
LEAST_SPREAD = 100 * sys.float_info.epsilon


class Standardized(NamedTuple):
    """`points * scale + shift` are the measured ones."""

    points: Points
    shift: tuple[float, ...]
    scale: tuple[float, ...]


def constant_columns(points: Points) -> list[int]:
    """The numbers of the columns whose values are all the same, rounding aside."""
    return [
        number
        for number, column in enumerate(zip(*points, strict=True))
        if max(column) - min(column) <= LEAST_SPREAD * max(map(abs, column))
    ]


def standardized(points: Points, *, common: bool = False) -> Standardized:
    """Each column less its mean, over its standard deviation; or over the `common` √(mean of all columns' variances).

    No column may be constant; with `common`, not all of them. In two passes: a mean of large numbers is rounded, and
    the mean of what is left of them makes up for it.
    """
    columns, shift, scale = [], [], []
    for column in zip(*points, strict=True):
        mean = math.fsum(column) / len(column)
        centred = [value - mean for value in column]
        left = math.fsum(centred) / len(column)
        centred = [value - left for value in centred]
        columns.append(centred)
        shift.append(mean + left)
        scale.append(math.sqrt(math.fsum(value * value for value in centred) / len(column)))
    if common:
        scale = [math.sqrt(math.fsum(deviation**2 for deviation in scale) / len(scale))] * len(scale)
    divided = [[value / unit for value in column] for column, unit in zip(columns, scale, strict=True)]
    return Standardized(tuple(zip(*divided, strict=True)), tuple(shift), tuple(scale))
