"""What is about to happen, in sentences: for `check`, and for `compare` before it starts.

Comes in: a problem, its prediction, what is expected of its time. Goes out: sentences that need no glossary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlsde.foundation.wording import in_a_row

if TYPE_CHECKING:
    from controlsde.problem import Problem
    from controlsde.workflow.expectation import Expected
    from controlsde.workflow.free_prediction import FreePrediction
    from controlsde.workflow.prediction import Prediction

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
MUCH_MEMORY = 0.5  # of the machine's


def of_problem(problem: Problem) -> str:
    """What the problem is."""
    goal = {
        "reversed-diffusion": "back from noise to the data, as a diffusion backwards in time",
        "moser": "from one density to another, along Moser's field",
        "displacement": "from one density to another, along straight lines",
        "foellmer": "from a point to the data, as Föllmer's process",
    }.get(problem.reference.kind, f"along the reference {problem.reference.kind}")
    place = f"{_counted(problem.dimension, 'dimension')}, {_place(problem)}"
    noise = "without noise" if problem.noise == 0 else f"with noise {problem.noise:g}"
    if problem.drift is not None:
        given = "the exact drift" if problem.drift.kind == "exact" else "a drift by formula"
        by = f"by {given}, so that there is nothing to solve"
    else:
        pieces = problem.controls.pieces
        neurons = f"{problem.network.width} neuron{'s' if problem.network.width > 1 else ''}"
        by = f"by a network of {neurons} whose weights stay constant on {_counted(pieces, 'piece')} of time"
    return f"{problem.name} carries a density in {place}, {goal}, {noise}, {by}."


def _place(problem: Problem) -> str:
    """Where the density lives."""
    if problem.domain.free:
        return "in free space"
    walls = {"reflecting": "that reflect", "periodic": "where its sides meet", "absorbing": "that absorb"}
    sides = " × ".join(f"[{low:g}, {high:g}]" for low, high in problem.domain.box)
    between = f" between walls {walls[problem.domain.walls]}" if problem.domain.walls != "periodic" else ", a torus"
    return f"on {sides}{between}"


def of_running(problem: Problem, prediction: Prediction | FreePrediction, expected: Expected) -> str:
    """Whether it will run, how long that takes, and how much memory."""
    if problem.drift is not None:
        return f"It will run: `controlsde evaluate {problem.name}` verifies that drift."
    told = f"It will run: `controlsde solve {problem.name}` by {problem.solver.kind} takes {of_time(expected)}"
    share = prediction.solver_memory_bytes / prediction.machine_memory_bytes if prediction.machine_memory_bytes else 0.0
    memory = f"about {_memory(prediction.solver_memory_bytes)} of memory for its numbers"
    of = f" ({share:.0%} of what this machine has)" if share > MUCH_MEMORY else ""
    return f"{told}, and {memory}{of}. --quick takes a first look with less effort."


def of_warnings(prediction: Prediction) -> str:
    """What to watch."""
    count = len(prediction.warnings)
    if not count:
        return "Nothing stands out: the mesh resolves the reference, and no sampling misses a part of it."
    return f"{_counted(count, 'thing').capitalize()} to watch, below the numbers."


def of_comparison(
    problem: Problem, levels: tuple[float, ...], expected: Expected, folder: str, together: int = 1, kept: int = 0
) -> str:
    """What `compare` is about to do, so many solves at a time; kept: how many answers are there from before."""
    return _of_comparing(problem, levels, "solve", "", (len(levels), kept, together), expected, folder)


def of_free_comparison(
    problem: Problem,
    levels: tuple[float, ...],
    seeds: int,
    expected: Expected,
    folder: str,
    together: int = 1,
    kept: int = 0,
) -> str:
    """What `compare` is about to do in free space, so many fits at a time."""
    from_seeds = f" from {_counted(seeds, 'seed')} a level"
    return _of_comparing(problem, levels, "fit", from_seeds, (len(levels) * seeds, kept, together), expected, folder)


def _of_comparing(
    problem: Problem,
    levels: tuple[float, ...],
    what: str,
    more: str,
    counts: tuple[int, int, int],
    expected: Expected,
    folder: str,
) -> str:
    """A comparison by so many solves or fits in all, of which so many are kept and so many are done at a time."""
    count, kept, together = counts
    noise = in_a_row([f"{level:g}" for level in levels])
    steps = []
    if kept:
        file = "its file" if kept == 1 else "the files"
        steps.append(f"{_counted(kept, 'answer')} kept in {folder} from before (remove {file} to {what} again)")
    if count > kept:
        at_a_time = _at_a_time(min(together, count - kept))
        steps.append(f"{_counted(count - kept, what)} by {problem.solver.kind}{more}{at_a_time}, each verified")
    time = f"{of_time(expected)} in all; " if count > kept else ""
    told = f"comparing {problem.name} at noise {noise}: {', '.join(steps)}, then every control at every noise"
    return f"{told}; {time}files go to {folder}"


def of_time(expected: Expected) -> str:
    """A guess of a time with what it may be."""
    from controlsde.workflow.expectation import spoken

    between = f"{spoken(expected.least)} to {spoken(expected.most)}"
    return f"about {spoken(expected.whole)} on this machine when nothing else runs ({between}: iterations are guessed)"


def _at_a_time(together: int) -> str:
    if together < 2:
        return ""
    return f", {NUMBERS[together] if together < len(NUMBERS) else together} at a time"


def _counted(count: int, what: str) -> str:
    number = NUMBERS[count] if count < len(NUMBERS) else f"{count:,}"
    return f"{number} {what}{'' if count == 1 else 's'}"


def _memory(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(round(count / 2**20), 1)} MiB"
