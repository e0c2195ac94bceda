"""What is said of an answer: whether it solves the exercise, and if not, which mistake was made.

Comes in: what a student's answer gave, and what the right one and each known mistake give, all as arrays over the same
probes. Goes out: a `Verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

State = Literal["untouched", "right", "known mistake", "wrong", "not understood"]


@dataclass(frozen=True)
class Mistake:
    """A mistake that is often made: the answer that it leads to, as a student gives it, and what to say of it.

    `says` names the mistake and where to look, never the right answer.
    """

    answer: str
    says: str


@dataclass(frozen=True)
class Verdict:
    """What became of an answer. untouched: nothing was answered yet, which solves nothing."""

    state: State
    says: str

    @property
    def solved(self) -> bool:
        """Whether the exercise is solved."""
        return self.state == "right"


UNTOUCHED = Verdict("untouched", "Not answered yet.")


def agree(one: Sequence[Array], other: Sequence[Array], tolerance: float) -> bool:
    """Whether values agree on every probe: to `tolerance` of the largest of each, shapes included."""
    return len(one) == len(other) and all(_close(a, b, tolerance) for a, b in zip(one, other, strict=True))


def compared(
    given: Sequence[Array],
    right: Sequence[Array],
    mistakes: Sequence[tuple[Mistake, Sequence[Array]]],
    tolerance: float,
    explanation: str,
) -> Verdict:
    """The verdict on values: the right ones, those of a known mistake, or others, of which all is said that is seen."""
    if agree(given, right, tolerance):
        return Verdict("right", explanation)
    for mistake, values in mistakes:
        if agree(given, values, tolerance):
            return Verdict("known mistake", mistake.says)
    return Verdict("wrong", _seen(given, right, tolerance))


def _close(one: Array, other: Array, tolerance: float) -> bool:
    if one.shape != other.shape or not np.all(np.isfinite(one)):
        return False
    scale = max(float(np.max(np.abs(other), initial=0.0)), 1e-300)
    return bool(np.max(np.abs(one - other), initial=0.0) <= tolerance * scale)


def _seen(given: Sequence[Array], right: Sequence[Array], tolerance: float) -> str:
    """What the numbers show where no known mistake explains them: shape, sign, a factor, a constant."""
    for place, (one, other) in enumerate(zip(given, right, strict=True)):
        if one.shape != other.shape:
            return f"That has the shape {one.shape}, and {other.shape} is wanted (try {place + 1})."
        if not np.all(np.isfinite(one)):
            return "That is not a finite number everywhere: look for a division by zero or a logarithm of zero."
    mine, wanted = (np.concatenate([np.ravel(each) for each in values]) for values in (given, right))
    scale = float(np.max(np.abs(wanted))) or 1.0
    if np.max(np.abs(mine + wanted)) <= tolerance * scale:
        return "The size is right everywhere, the sign is not."
    share = float(mine @ wanted) / (float(wanted @ wanted) or 1.0)
    if len(wanted) > 1 and share and np.max(np.abs(mine - share * wanted)) <= tolerance * abs(share) * scale:
        return f"That is {share:.4g} times what it should be, everywhere: a factor is missing or too much."
    apart = mine - wanted
    if len(wanted) > 1 and np.ptp(apart) <= tolerance * scale:
        return "That differs from what it should be by the same number everywhere: a constant is missing or too much."
    right_ones = int(np.sum(np.abs(apart) <= tolerance * scale))
    if right_ones:
        return f"{right_ones} of {len(wanted)} values are right, the others are not."
    return "That is not right yet, and it is none of the mistakes that are known here."
