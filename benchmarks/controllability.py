"""How long `bound`, `reach` and `controllability` take, the last in one dimension and on 33² nodes.

It is asked about controls that a quick search found.

What is measured is the whole call: the reference, the mesh, the linearisation, the spectra of the network and of any
drift, gains, errors of the weights, and the insertion map. On a busy machine the processor's time is what a free one
takes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.reporting import Goal, Report, Table, seconds
from controlsde.controllability.energy_bound import energy_bound
from controlsde.foundation.progress import Step
from controlsde.problem import load_problem
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.shooting.solver import solve
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.workflow.linearising import Controllability, controllability
from controlsde.workflow.reaching import reach

CASES = {"two-bumps": 5.0, "iris-plane": 60.0}  # and the seconds that each may take
ROUNDS = 3
WITHIN = 0.05


@dataclass(frozen=True)
class Timed:
    """Seconds of every round, on the clock and of the processor, and those of each part of the last one."""

    rounds: tuple[float, ...]
    used: tuple[float, ...]
    parts: dict[str, float]
    found: Controllability


def run(fast: bool) -> Report:
    """Both problems; with `fast` the first one alone, and once."""
    names = list(CASES)[: 1 if fast else None]
    timed = {name: _timed(name, 1 if fast else ROUNDS) for name in names}
    rows = []
    for name, one in timed.items():
        linearisation = one.found.gramian.linearisation
        rows.append(
            (
                name,
                f"{linearisation.shape[0]}",
                f"{linearisation.shape[1]}",
                f"{one.found.rank(1e-2)}",
                seconds(sorted(one.rounds)[len(one.rounds) // 2]),
                seconds(min(one.rounds)),
                seconds(min(one.used)),
            )
        )
    asked = _asked(fast)
    heads = ("", "unknowns", "weights", "rank at 1e-2", "median", "fastest", "processor")
    parts = [(name, part, seconds(took)) for name, one in timed.items() for part, took in one.parts.items()]
    answers = [(name, seconds(took), answer) for name, took, _, answer in asked]
    fastest = {name: min(one.rounds) for name, one in timed.items()}
    return Report(
        "Questions of controllability",
        [
            Table("what weights can change of ρ(T), the whole call", heads, rows),
            Table("parts of the last round", ("", "", "took"), parts),
            Table(f"two-bumps within {WITHIN:g}", ("", "took", "answer"), answers),
        ],
        [Goal(name, f"under {limit:g} s", seconds(took), took < limit) for name, took, limit, _ in asked]
        + [
            Goal(f"{name}, fastest", f"under {CASES[name]:g} s", seconds(took), took < CASES[name])
            for name, took in fastest.items()
        ],
    )


def _asked(fast: bool) -> list[tuple[str, float, float, str]]:
    """Name, seconds, limit and answer of the questions that need no result, at ε = .05 and noise 1."""
    problem = load_problem("two-bumps", set={"solver.starts": 2, "solver.hops": 0} if fast else {})
    began = time.perf_counter()
    least = energy_bound(problem, WITHIN)
    bounded = time.perf_counter()
    found = reach(problem, WITHIN, "pieces")
    ended = time.perf_counter()
    return [
        ("bound", bounded - began, 5.0, f"{least.value:.5g}"),
        ("reach --least pieces", ended - bounded, 120.0, f"{found.verdict}: {found.value}"),
    ]


def _timed(name: str, rounds: int) -> Timed:
    """Controls that one descent of the problem's own solver finds: what they are does not change what is done."""
    problem = load_problem(name, set={"solver.starts": 1, "solver.hops": 0})
    tracking = Posed.of(problem).on()
    outcome = solve(Objective(tracking), Shooting(starts=1, hops=0, iterations=10))
    controls = tracking.controls(outcome.weights)
    took, used, parts = [], [], {}
    answer: Controllability | None = None
    for _ in range(rounds):
        marks: list[tuple[str, float]] = []

        def note(step: Step, marks: list[tuple[str, float]] = marks) -> None:
            marks.append((step.task, time.perf_counter()))

        began, busy = time.perf_counter(), time.process_time()
        answer = controllability(problem, controls=controls, progress=note)
        ended = time.perf_counter()
        took.append(ended - began)
        used.append(time.process_time() - busy)
        ends = [at for _, at in marks[1:]] + [ended]
        parts = {task: end - at for (task, at), end in zip(marks, ends, strict=True)}
    assert answer is not None
    return Timed(tuple(took), tuple(used), parts, answer)
