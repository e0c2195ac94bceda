"""References of experiments, from the lines of a problem file.

Comes in: a problem, or its data, as text. Goes out: the reference trajectory, and its exact drift as a field.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.problem import parse_problem
from controlsde.reference import Reference, ReversedDiffusionReference, build_reference

Array = NDArray[np.float64]
Box = tuple[tuple[float, float], ...]


def reference_of(text: str) -> Reference:
    """The reference of a problem. Raises ProblemError and ReferenceError."""
    problem = parse_problem(text)
    return build_reference(problem.reference, problem.domain)


def reversed_diffusion(
    data: str, box: Box, horizon: float, forward: str = "ornstein-uhlenbeck"
) -> ReversedDiffusionReference:
    """The reversed diffusion of data, which are given as in a problem file: `{kind: …}`."""
    reference = reference_of(
        f"""
domain: {{box: {[list(side) for side in box]}}}
reference: {{kind: reversed-diffusion, forward: {forward}, horizon: {horizon!r}, data: {data}}}
"""
    )
    assert isinstance(reference, ReversedDiffusionReference)
    return reference


def gaussian(mean: float, deviation: float) -> str:
    """N(mean, deviation²) as data."""
    return f"{{kind: mixture, weights: [1], means: [[{mean!r}]], stds: [{deviation!r}]}}"


def exact(reference: Reference, noise: float, t: float, x: Array) -> Array:
    """v*_η at points (n, d)."""
    return reference.exact_drift(t, x, noise)
