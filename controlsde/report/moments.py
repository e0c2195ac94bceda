"""The moments at which pictures show a density, and what is written over each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.result.answer import Answer
from controlsde.result.result import Result

Array = NDArray[np.float64]


def strip_title(result: Result) -> str:
    """The title of a picture of a density over time."""
    return f"{result.problem.name}, noise {result.noise:g}: how the density follows its reference"


def chosen_times(times: Array, count: int) -> list[int]:
    """Indices of at most `count` times, about equally spaced, with the first and the last."""
    wanted = np.linspace(times[0], times[-1], min(count, len(times)))
    return sorted({int(np.argmin(np.abs(times - t))) for t in wanted})


def moment(result: Result, index: int) -> str:
    """The time of a density, and what it is at both ends."""
    fields = result.fields
    t = f"t = {fields.times[index]:.3g}"
    start, end = end_names(result)
    return t + {0: f" ({start})", len(fields.times) - 1: f" ({end})"}.get(index, "")


def end_names(result: Answer) -> tuple[str, str]:
    """What a density is at t = 0 and at T."""
    return ("noise", "data") if result.problem.reference.kind == "reversed-diffusion" else ("start", "end")


def error_then(result: Result, index: int) -> float:
    """The verified L² error at the time of a density. The curve has more times than there are densities, among them all
    of theirs.
    """
    fields = result.fields
    return float(fields.l2[int(np.argmin(np.abs(fields.curve_times - fields.times[index])))])
