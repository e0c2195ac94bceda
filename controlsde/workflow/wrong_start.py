"""The same tracking problem from another density than the one that its controls were computed for.

Comes in: a problem with its reference, and a density: YAML text, a mapping, or a word. Goes out: the problem with a
reference whose process starts there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from controlsde.problem.lone_density import LoneDensityError, parse_density, read_lone
from controlsde.problem.reference_specs import ReversedDiffusion
from controlsde.reference import ReferenceError, build_reference  # noqa: A004
from controlsde.reference.another_start import AnotherStart
from controlsde.reference.reference_building import on_box
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import holds

Start = str | Mapping[str, Any]
WORDS = ("exact", "stationary")  # as `reference.start` has them; `uniform` is a density


def started_from(posed: Posed, start: Start) -> Posed:
    """The problem from another start. Its density must have next to all of its mass in the box.

    start: a density as in a problem file, as YAML text or a mapping; `uniform`; `exact`, the reference at t = 0; or
    `stationary`, the limit of the forward process of a reversed diffusion. Raises LoneDensityError, in lines with
    place and cure.
    """
    document = read_lone(start, "start")
    problem, reference = posed.problem, posed.reference
    if document.data in WORDS:
        return replace(posed, reference=_by_word(posed, str(document.data)))
    spec = parse_density(document, problem.domain.box)
    try:
        density = on_box(spec, problem.domain.box, problem.domain.walls == "periodic")
    except (ValueError, ArithmeticError) as error:
        raise LoneDensityError("start", f"start: cannot be built: {error}") from None
    mesh = posed.mesh()
    mass = float(mesh.weights @ density.pdf(mesh.points))
    if not holds(mass):
        elements = " × ".join(str(axis.elements) for axis in mesh.axes)
        raise LoneDensityError(
            "start",
            f"start: the mesh ({elements} elements of degree {mesh.axes[0].degree}) holds a mass of {mass:.2g} of it, "
            "where it should hold 1: use a broader density, or solve with more mesh.elements",
        )
    return replace(posed, reference=AnotherStart(reference, density.pdf, density.sample))


def _by_word(posed: Posed, word: str) -> AnotherStart:
    """The start that `reference.start` calls so."""
    spec, domain, reference = posed.problem.reference, posed.problem.domain, posed.reference
    if isinstance(spec, ReversedDiffusion):
        try:
            begins = build_reference(spec.model_copy(update={"start": word}), domain)
        except ReferenceError as error:
            raise LoneDensityError("start", f"start: {error}") from None
        return AnotherStart(reference, begins.initial_density, begins.sample_initial)
    if word == "stationary":
        raise LoneDensityError(
            "start",
            f"start: stationary is the limit of a forward process, and a reference of kind {spec.kind} has none; give "
            "a density, such as '{kind: mixture, means: [[0]], stds: [1]}'",
        )

    def own(x: Any) -> Any:
        return reference.density(0.0, np.asarray(x))

    return AnotherStart(reference, own, reference.sample_initial)
