"""The ladders of `reaching`: which problems are solved one after the other, each from the answers before it.

Comes in: a problem, ε, and what is to be least. Goes out: rungs, easiest to search for first. With free lengths K
pieces are among K + 1, and m neurons always among m + 1, so that an answer is a start for the next rung; with equal
pieces and noise only multiples nest, and the error need not fall. Rungs ask for the error at T alone, and weigh the
effort as good as nothing; with a limit on the energy, and for the least energy, they ask for the least energy within ε.
Their meshes and steps are as fine as the answers need: few pieces want more steps each than many. On a ladder of pieces
lengths that the problem does not give are free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.controllability.energy_bound import uncontrolled_distance
from controlsde.foundation.errors import ControlsdeError
from controlsde.problem import Problem
from controlsde.result.result import Result
from controlsde.tracking.posed import Posed
from controlsde.workflow.solving import initial_weights
from controlsde.workflow.warm_starts import in_less_time, on_pieces, split_in_two, with_a_neuron

Array = NDArray[np.float64]
Least = Literal["energy", "pieces", "width", "horizon"]
Norm = Literal["l2", "w2"]

LEAST: tuple[str, ...] = get_args(Least)
NORMS: tuple[str, ...] = get_args(Norm)
EFFORT = 1e-7  # the price of the weights on a rung, or the problem's own where that is less
MOST = {"pieces": 64, "width": 16}
SPLITS = 3  # ways to cut a piece in two, or to add a neuron, from each of which a rung starts
APPROACH = (8.0, 4.0, 2.0, 1.0)  # times ε: the distances at which the energy is made least, one from the other
SHORTER = 0.8  # a rung's horizon over the one before
SHORTEST_SHARE = 0.05  # of the problem's horizon
PATIENCE = 2  # horizons in a row that were not enough, before the search ends


class ReachError(ControlsdeError, ValueError):
    """A question that cannot be asked; one line with the cure."""

    of_problem = True


@dataclass(frozen=True, eq=False)
class Tried:
    """One rung: the problem that was solved, what was found, and where it is kept.

    result: None where nothing could be evaluated, which `note` explains.
    """

    problem: Problem
    within: float
    result: Result | None
    seconds: float
    note: str = ""

    def error(self, norm: Norm) -> float:
        """The measured error at T."""
        if self.result is None:
            return float("nan")
        found = self.result.tracking.l2_final if norm == "l2" else self.result.tracking.w2_final
        return float("nan") if found is None else float(found)

    @property
    def energy(self) -> float | None:
        """The measured energy."""
        return None if self.result is None or self.result.energy is None else self.result.energy.value

    @property
    def spent(self) -> float | None:
        """The energy that bounds and limits are of: in the clock of the noise, where that varies in time."""
        return None if self.result is None or self.result.energy is None else self.result.energy.weighted

    def to_json(self, norm: Norm) -> dict[str, Any]:
        """A row of `tried`."""
        energy = self.result.energy if self.result else None
        return {
            "pieces": self.problem.controls.pieces,
            "width": self.problem.network.width,
            "horizon": self.problem.reference.horizon,
            "within": self.within,
            "error": self.error(norm),
            "energy": self.energy,
            "energy_bound": energy.bound if energy else None,
            "price": energy.price if energy else None,
            "verified": bool(self.result and self.result.verified),
            "seconds": round(self.seconds, 2),
            "result": self.result.path if self.result else None,
        }

    @property
    def interrupted(self) -> bool:
        """Whether somebody cut this rung short."""
        return self.result is not None and self.result.status == "interrupted"

    def value(self, least: Least) -> float:
        """What is to be least, of this one."""
        if least == "energy":
            return float("inf") if self.energy is None else self.energy
        if least == "pieces":
            return self.problem.controls.pieces
        if least == "width":
            return self.problem.network.width
        return self.problem.reference.horizon


Starts = Callable[[Posed, Sequence[Tried]], tuple[Array, ...]]


@dataclass(frozen=True, eq=False)
class Rung:
    """A problem to solve, the distance that is asked of it, its name, and the weights (K, P) that it starts from."""

    problem: Problem
    within: float
    name: str
    starts: Starts


@dataclass(frozen=True, eq=False)
class Ladder:
    """Rungs, easiest to search for first. first_is_least: the first answer is the one that is looked for.

    patience: how many rungs in a row may be no answers.
    """

    rungs: Iterator[Rung]
    first_is_least: bool
    patience: float = math.inf


def ladder(problem: Problem, posed: Posed, within: float, least: Least, norm: Norm, *, limited: bool) -> Ladder:
    """The ladder of a question. limited: there is a limit on the energy."""
    asked = partial(_rung, problem, norm, limited or least == "energy")
    if least == "energy":
        furthest = uncontrolled_distance(posed)
        distances = [factor * within for factor in APPROACH if factor == 1.0 or factor * within < furthest]
        rungs = (asked(f"energy-within-{each:.6g}", each, _from_the_last) for each in distances)
        return Ladder(rungs, first_is_least=False)
    if least == "horizon":
        whole = problem.reference.horizon
        count = int(np.log(SHORTEST_SHARE) / np.log(SHORTER)) + 1
        horizons = [SHORTER**number * whole for number in range(count)]
        rungs = (asked(f"horizon-{T:.6g}", within, _from_more_time, reference={"horizon": T}) for T in horizons)
        return Ladder(rungs, first_is_least=False, patience=PATIENCE)
    if least == "width":
        widths = range(1, MOST["width"] + 1)
        rungs = (asked(f"width-{m}", within, _from_a_narrower, network={"width": m}) for m in widths)
    else:
        given = {"lengths": "free"} if posed.may_free_lengths else {}
        pieces = range(1, MOST["pieces"] + 1)
        rungs = (asked(f"pieces-{K}", within, _from_fewer_pieces, controls={"pieces": K, **given}) for K in pieces)
    return Ladder(rungs, first_is_least=True)


def _rung(
    problem: Problem, norm: Norm, limited: bool, name: str, within: float, starts: Starts, **changes: dict[str, Any]
) -> Rung:
    return Rung(_asked(problem, within, norm, limited, changes), within, name, starts)


def _asked(problem: Problem, within: float, norm: Norm, limited: bool, changes: dict[str, dict[str, Any]]) -> Problem:
    """The problem of a rung: the error at T alone, or the least energy within a distance."""
    document = problem.model_dump(by_alias=True, exclude_none=True)
    own = document.get("objective", {})
    objective: dict[str, Any] = {"running": 0.0, "effort": min(own.get("effort", EFFORT), EFFORT)}
    if limited:
        objective |= {"norm": "l2", "terminal": 0.0, "energy": 1.0, "terminal_error": within}
    else:
        objective |= {"norm": "l2" if norm == "l2" else "h-1", "terminal": 1.0}
    changes = {"mesh": {"elements": "auto", "steps_per_piece": "auto"}, **changes}
    merged = {key: {**document.get(key, {}), **value} for key, value in changes.items()}
    merged["objective"] = objective
    pieces = merged["controls"]["pieces"] if "controls" in merged else problem.controls.pieces
    particles = problem.monte_carlo
    steps = -(-particles.steps_per_piece * problem.controls.pieces // pieces)  # as long as the problem's own
    merged["monte_carlo"] = {**particles.model_dump(), "steps_per_piece": max(particles.steps_per_piece, steps)}
    lengths = document.get("controls", {}).get("lengths")
    if "controls" in changes and isinstance(lengths, list | tuple) and len(lengths) > 1:
        raise ReachError("a ladder of pieces needs controls.lengths that fit any number: free, one ratio, or none")
    return Problem.model_validate({**document, **merged})


def _controls(before: Sequence[Tried]) -> Controls | None:
    """Those of the last answer."""
    for one in reversed(before):
        if one.result is not None and one.result.controls is not None:
            return one.result.controls
    return None


def _from_the_last(posed: Posed, before: Sequence[Tried]) -> tuple[Array, ...]:
    last = _controls(before)
    return () if last is None else (initial_weights(posed, last),)


def _from_fewer_pieces(posed: Posed, before: Sequence[Tried]) -> tuple[Array, ...]:
    last, pieces = _controls(before), posed.problem.controls.pieces
    if last is None:
        return ()
    if posed.problem.controls.free and last.pieces == pieces - 1:
        return tuple(initial_weights(posed, each) for each in split_in_two(last, SPLITS))
    starts = [on_pieces(last, posed.grid.edges)]
    starts += [
        one.result.controls.split(pieces // one.problem.controls.pieces)
        for one in before
        if one.result is not None and one.result.controls is not None and pieces % one.problem.controls.pieces == 0
    ][-1:]
    return tuple(initial_weights(posed, each) for each in starts)


def _from_a_narrower(posed: Posed, before: Sequence[Tried]) -> tuple[Array, ...]:
    last = _controls(before)
    if last is None:
        return ()
    rng = np.random.default_rng([posed.problem.solver.seed, posed.network.width])
    return tuple(initial_weights(posed, with_a_neuron(last, rng)) for _ in range(SPLITS))


def _from_more_time(posed: Posed, before: Sequence[Tried]) -> tuple[Array, ...]:
    last = _controls(before)
    if last is None:
        return ()
    return (initial_weights(posed, in_less_time(last, posed.reference.horizon / float(last.times[-1]))),)
