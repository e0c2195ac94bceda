"""Points in units of their own spread: each column less its mean, over its standard deviation.

In: points as measured, of any sane size: Unix times, populations, nanometres. Out: the standardised points with the
shift and the scale that bring them back, and which columns do not spread beyond rounding.
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


def standardized(points: Points) -> Standardized:
    """Each column less its mean, over its standard deviation. No column may be constant.

    In two passes: a mean of large numbers is rounded, and the mean of what is left of them makes up for it.
    """
    columns, shift, scale = [], [], []
    for column in zip(*points, strict=True):
        mean = math.fsum(column) / len(column)
        centred = [value - mean for value in column]
        left = math.fsum(centred) / len(column)
        centred = [value - left for value in centred]
        deviation = math.sqrt(math.fsum(value * value for value in centred) / len(column))
        columns.append([value / deviation for value in centred])
        shift.append(mean + left)
        scale.append(deviation)
    return Standardized(tuple(zip(*columns, strict=True)), tuple(shift), tuple(scale))
