"""What the page asks about: a problem that was opened, what its sliders changed, and weights.

Comes in: the text of a problem file and JSON from the page. Goes out: a `Problem`, and `Controls` that fit it. Bad
input raises the library's own errors, or a QuestionError, each in one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.foundation.errors import ControlsdeError
from controlsde.problem import Problem, ProblemError, list_problems
from controlsde.problem.loading import parse_problem

Array = NDArray[np.float64]

LENGTHS = {"equal": None, "halving": 0.5, "free": "free"}  # what the page calls them, and what a problem file does
KEYS = {"noise": "noise", "pieces": "controls.pieces", "width": "network.width", "horizon": "reference.horizon"}
MOST_PIECES, MOST_WIDTH = 64, 16
DIMENSIONS = (1, 2)


class QuestionError(ControlsdeError, ValueError):
    """Something that the page asked for and cannot have; one line with the cure."""


@dataclass(frozen=True)
class Opened:
    """A problem file as it was opened. folder: where its files of data are looked for. label: its name in messages."""

    name: str
    text: str
    label: str
    folder: Path


@dataclass(frozen=True)
class Settings:
    """What the sliders say; None where the file's own value stands. lengths: of the pieces, a key of `LENGTHS`."""

    noise: float | None = None
    pieces: int | None = None
    width: int | None = None
    horizon: float | None = None
    lengths: str | None = None

    @staticmethod
    def of(asked: Mapping[str, Any]) -> Settings:
        """From JSON. Raises QuestionError for what is no number, or too much for a page."""
        unknown = set(asked) - {*KEYS, "lengths"}
        if unknown:
            raise QuestionError(f"settings.{min(unknown)} is not known; there are {', '.join(KEYS)} and lengths")
        numbers = {name: asked[name] for name in KEYS if asked.get(name) is not None}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise QuestionError(f"settings.{name} must be a number (got {value!r})")
        for name, most in (("pieces", MOST_PIECES), ("width", MOST_WIDTH)):
            if name in numbers and not (float(numbers[name]).is_integer() and 1 <= numbers[name] <= most):
                raise QuestionError(f"settings.{name} must be a whole number from 1 to {most} (got {numbers[name]})")
        lengths = asked.get("lengths")
        if lengths is not None and lengths not in LENGTHS:
            raise QuestionError(f"settings.lengths must be one of {', '.join(LENGTHS)} (got {lengths!r})")
        whole = {name: int(value) for name, value in numbers.items() if name in ("pieces", "width")}
        return Settings(**{**{name: float(value) for name, value in numbers.items()}, **whole}, lengths=lengths)  # type: ignore[arg-type]

    @property
    def overrides(self) -> dict[str, Any]:
        """What is set on top of the file, by the keys of problem files."""
        changes = {key: getattr(self, name) for name, key in KEYS.items() if getattr(self, name) is not None}
        return changes if self.lengths is None else {**changes, "controls.lengths": LENGTHS[self.lengths]}


def shipped(name: str) -> Opened:
    """A problem that comes with the package. Raises ProblemError for no such name."""
    for one in list_problems():
        if one.name == name:
            return Opened(name, one.path.read_text(encoding="utf-8"), f"{name}.yaml", one.path.parent)
    raise ProblemError(f"{name}: no shipped problem of that name")


def problem_of(opened: Opened, settings: Settings) -> Problem:
    """The problem with what the sliders set on top of it. Raises ProblemError, QuestionError for three dimensions."""
    return _problem_of(opened, settings)


@lru_cache(maxsize=32)
def _problem_of(opened: Opened, settings: Settings) -> Problem:
    problem = parse_problem(
        opened.text, name=opened.name, label=opened.label, folder=opened.folder, set=settings.overrides
    )
    if problem.domain.free:
        raise QuestionError(f"{opened.label}: the explorer shows densities in a box, not in free space")
    if problem.dimension not in DIMENSIONS:
        raise QuestionError(f"{opened.label}: the explorer shows one and two dimensions (got {problem.dimension})")
    return problem


def lengths_of(problem: Problem) -> str | None:
    """What the page calls the lengths of a problem's pieces; None for a list of the file's own."""
    given = problem.controls.lengths
    if given is None:
        return "equal"
    if given == "free":
        return "free"
    return "halving" if tuple(given) == (LENGTHS["halving"],) else None


def edges_of(problem: Problem) -> Array:
    """The ends of the pieces that the sliders move, (K+1,); of equal ones where their lengths are free."""
    from controlsde.tracking.posed import Posed
    from controlsde.workflow.previewing import reference_of

    return Posed(problem, reference_of(problem)).with_given_pieces.grid.edges


def controls_of(asked: Mapping[str, Any] | None, problem: Problem) -> Controls:
    """Weights from JSON, as A, W, b and times, carried over to the pieces, width and horizon of the problem.

    None stands for weights under which nothing moves. Raises ControlsError for arrays that do not fit together, or are
    of another dimension.
    """
    edges, width = edges_of(problem), int(problem.network.width or problem.dimension)
    if asked is None:
        asleep = _asleep(problem, len(edges) - 1, width)
        return Controls(*asleep, edges)
    given = Controls(*(asked.get(part) for part in ("A", "W", "b", "times")))  # type: ignore[arg-type]
    if given.dimension != problem.dimension:
        raise ControlsError(f"the weights are for dimension {given.dimension}, the problem has {problem.dimension}")
    return _with_width(_on_pieces(given, edges), width, problem)


def weights_json(controls: Controls) -> dict[str, Any]:
    """Controls as the page holds them."""
    return {name: getattr(controls, name).tolist() for name in ("A", "W", "b", "times")}


def _on_pieces(given: Controls, edges: Array) -> Controls:
    """What the controls are at the middle of each new piece, as a share of the horizon."""
    middles = 0.5 * (edges[:-1] + edges[1:]) / edges[-1] * given.times[-1]
    pieces = [given.piece_at(float(t)) for t in middles]
    return Controls(given.A[pieces], given.W[pieces], given.b[pieces], edges)


def _with_width(given: Controls, width: int, problem: Problem) -> Controls:
    """The neurons that push most, or all of them and others that do not push yet."""
    if width <= given.width:
        push = np.abs(given.A).sum(axis=(0, 1))
        kept = np.sort(np.argsort(-push, kind="stable")[:width])
        return Controls(given.A[:, :, kept], given.W[:, kept], given.b[:, kept], given.times)
    a, w, b = _asleep(problem, given.pieces, width)
    old = slice(given.width)
    a[:, :, old], w[:, old], b[:, old] = given.A, given.W, given.b
    return Controls(a, w, b, given.times)


def _asleep(problem: Problem, pieces: int, width: int) -> tuple[Array, Array, Array]:
    """Neurons with A = 0, which one slider wakes: each looks along one axis and bends in the middle of the box."""
    box = np.asarray(problem.domain.box)
    d, half = len(box), 0.5 * (box[:, 1] - box[:, 0])
    a, w, b = np.zeros((pieces, d, width)), np.zeros((pieces, width, d)), np.zeros((pieces, width))
    for neuron in range(width):
        axis = neuron % d
        w[:, neuron, axis] = 2.0 / half[axis]
        b[:, neuron] = -w[0, neuron, axis] * box[axis].mean()
    return a, w, b
