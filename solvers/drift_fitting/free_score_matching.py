"""Score matching in free space: fit the network to the exact drift at exact samples of the reference, piece by piece.

Comes in: a tracking problem in free space, and options. Goes out: an `Outcome`. On every piece k the weights minimise

    ½ E |v(x; θ_k) − v*_η(t, x)|² + ½ r |θ_k|²,      t uniform on the piece, x of p(t, ·),      |θ_k| ≤ bound,

in rounds on fresh samples (see `piece_fits`), all pieces side by side. The objective J that is reported is that of the
fit, ½∫E|v − v*|²dt + ½ r∫|θ|²dt at the training samples: there is no mesh on which to measure another one. Beside the
training loss stands the loss at samples that the weights had not seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import loky
import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.foundation.threads import MOST_THREADS
from controlsde.solvers.drift_fitting.options import ScoreMatching
from controlsde.solvers.drift_fitting.piece_fits import Piece, PieceFits
from controlsde.solvers.outcome import Iteration, Outcome, Termination
from controlsde.tracking.free_tracking import FreeTracking

Array = NDArray[np.float64]

TELL_EVERY = 1.0  # seconds


def solve(
    tracking: FreeTracking,
    options: ScoreMatching,
    progress: Progress = silent,
    initial: Sequence[Array] = (),
) -> Outcome:
    """Fit the network to the exact drift on every piece from `options.starts` starts.

    initial: flattened weights (K, P) in place of the first starts. The answer depends on the seed alone, and not on how
    many pieces are fitted at a time. A keyboard interrupt keeps the best so far.
    """
    began = time.perf_counter()
    with own_settings():
        pieces, interrupted = _fitted(tracking, options, progress, initial)
    return _outcome(tracking, pieces, interrupted, time.perf_counter() - began)


def _fitted(
    tracking: FreeTracking, options: ScoreMatching, progress: Progress, initial: Sequence[Array]
) -> tuple[list[Piece], bool]:
    """The pieces, and whether somebody interrupted them."""
    stop, evaluations = threading.Event(), [0]

    def told() -> None:
        evaluations[0] += 1  # two threads may count as one: a figure to look at

    fits = PieceFits(tracking, options, initial, stop.is_set, told)

    def fit(k: int) -> Piece:
        with own_settings():
            return fits.fit(k)

    with ThreadPoolExecutor(min(loky.cpu_count(), MOST_THREADS, tracking.pieces)) as pool:
        futures = [pool.submit(fit, k) for k in range(tracking.pieces)]
        try:
            while wait(futures, timeout=TELL_EVERY).not_done:
                ended = sum(future.done() for future in futures)
                progress(Step("score matching", evaluations[0], fraction=ended / len(futures)))
        except KeyboardInterrupt:
            stop.set()
        return [future.result() for future in futures], stop.is_set()


def _history(tracking: FreeTracking, pieces: Sequence[Piece]) -> tuple[Iteration, ...]:
    """J after every round; a piece that has ended stays where it is."""
    rows = []
    for number in range(max(len(piece.rounds) for piece in pieces)):
        there = [piece.rounds[min(number, len(piece.rounds) - 1)] for piece in pieces]
        value = float(tracking.durations @ [row.objective for row in there])
        rows.append(Iteration(max(row.number for row in there), value, max(row.gradient_norm for row in there)))
    return tuple(rows)


def _outcome(tracking: FreeTracking, pieces: Sequence[Piece], interrupted: bool, seconds: float) -> Outcome:
    termination, history = _termination(pieces, interrupted), _history(tracking, pieces)
    weights = np.stack([piece.weights for piece in pieces])
    loss = float(tracking.durations @ [piece.loss for piece in pieces])
    effort = tracking.effort * float(tracking.durations @ (weights**2).sum(axis=1))
    return Outcome(
        weights=weights,
        objective=0.5 * (loss + effort),
        gradient_norm=history[-1].gradient_norm,
        converged=termination.reason == "converged",
        interrupted=interrupted,
        message=f"{_how(pieces, termination)}: {_losses(tracking, pieces)}",
        iterations=history[-1].number,
        history=history,
        loss=loss,
        solve_seconds=seconds,
        termination=termination,
    )


def _termination(pieces: Sequence[Piece], interrupted: bool) -> Termination:
    broken = next((k for k, piece in enumerate(pieces) if not np.isfinite(piece.loss)), None)
    if broken is not None:
        return Termination("non-finite", what="the loss", piece=broken)
    if interrupted:
        return Termination("interrupted")
    return Termination("converged" if all(piece.converged for piece in pieces) else "iterations")


def _how(pieces: Sequence[Piece], termination: Termination) -> str:
    if termination.reason == "non-finite":
        return f"the loss stopped being finite in piece {(termination.piece or 0) + 1}"
    if termination.reason == "iterations":
        going = sum(not piece.converged for piece in pieces)
        most = max(piece.iterations for piece in pieces)
        return f"{going} of {len(pieces)} fits still gain after {most} iterations"
    return termination.reason


def _losses(tracking: FreeTracking, pieces: Sequence[Piece]) -> str:
    durations = tracking.durations
    loss, square, fresh = (
        float(durations @ [getattr(piece, name) for piece in pieces]) for name in ("loss", "square", "fresh")
    )
    words = f"the fit leaves {loss:.4g} of {square:.4g} in ∫E|v − v*|²dt"
    if square > 0.0:
        words += f", {loss / square:.3g} of it"
    if np.isfinite(fresh):
        error = float(np.sqrt(durations**2 @ np.square([piece.error for piece in pieces])))
        words += f"; at fresh samples {fresh:.4g} ± {error:.1g}"
    return words
