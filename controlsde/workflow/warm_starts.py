"""Controls for a problem that is a little larger than the one that they were found for.

Comes in: controls. Goes out: controls with one more piece, other pieces, one more neuron, or less time, that make the
same drift, or nearly: where a search for more, or for less, goes on from.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import network_drift
from controlsde.problem import Problem
from controlsde.tracking.tracking_problem import build_network

Array = NDArray[np.float64]


def split_in_two(controls: Controls, most: int) -> Iterator[Controls]:
    """The same drift with one of its longest pieces cut in two halves: at most so many ways, longest first."""
    for piece in np.argsort(-controls.durations, kind="stable")[:most]:
        middle = 0.5 * (controls.times[piece] + controls.times[piece + 1])
        times = np.insert(controls.times, piece + 1, middle)
        a, w, b = (np.insert(part, piece, part[piece], axis=0) for part in _weights(controls))
        yield Controls(a, w, b, times)


def fitted(controls: Controls, problem: Problem) -> Controls:
    """Controls from which a search for a problem may start: with as many neurons and as much time as that has.

    Its pieces may be as many, or a multiple, which whoever starts cuts them into. Raises ControlsError where they do
    not fit: other pieces, fewer neurons, another dimension.
    """
    horizon, rng = problem.reference.horizon, np.random.default_rng(problem.solver.seed)
    if problem.controls.pieces % controls.pieces:
        words = f"the controls have {controls.pieces} pieces, the problem {problem.controls.pieces}: not a multiple"
        raise ControlsError(words)
    while controls.width < problem.network.width:
        controls = with_a_neuron(controls, rng)
    if controls.times[-1] != horizon:
        controls = in_less_time(controls, horizon / float(controls.times[-1]))
    network_drift(build_network(problem), controls, horizon)
    return controls


def on_pieces(controls: Controls, times: Array) -> Controls:
    """On pieces with these ends (K + 1,), each with the weights that hold in its middle."""
    middles = 0.5 * (times[1:] + times[:-1])
    at = np.clip(np.searchsorted(controls.times, middles, side="right") - 1, 0, controls.pieces - 1)
    a, w, b = (part[at] for part in _weights(controls))
    return Controls(a, w, b, times)


def with_a_neuron(controls: Controls, rng: np.random.Generator) -> Controls:
    """The same drift with one more neuron, which does nothing yet: A = 0 for W and b at random."""
    a, w, b = _weights(controls)
    pieces, d, _ = a.shape
    spread = max(float(np.abs(w).mean()), 1e-3)
    return Controls(
        np.concatenate([a, np.zeros((pieces, d, 1))], axis=2),
        np.concatenate([w, spread * rng.standard_normal((pieces, 1, d))], axis=1),
        np.concatenate([b, spread * rng.standard_normal((pieces, 1))], axis=1),
        controls.times,
    )


def in_less_time(controls: Controls, share: float) -> Controls:
    """The same flow in a share of the time: A over the share."""
    a, w, b = _weights(controls)
    return Controls(a / share, w, b, controls.times * share)


def _weights(controls: Controls) -> tuple[Array, Array, Array]:
    return controls.A, controls.W, controls.b
