"""What the page is told: an answer for each of its questions, as plain data ready for JSON.

Comes in: a `Session` and JSON from the page. Goes out: dictionaries, or paths of files to download. Bad input raises
the library's own errors in one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from controlsde.explore import question
from controlsde.explore.question import Opened, QuestionError, Settings
from controlsde.explore.session import Run, Session
from controlsde.problem import Problem

MOST_TEXT = 2_000_000  # characters of a problem file
START = "two-bumps"


def problems() -> list[dict[str, Any]]:
    """The shipped problems that the explorer can show."""
    from controlsde.problem import list_problems
    from controlsde.problem.loading import dimension_of

    listed = [(one, dimension_of(one.path)) for one in list_problems()]
    return [
        {"name": one.name, "description": one.description, "dimension": dimension}
        for one, dimension in listed
        if dimension in question.DIMENSIONS
    ]


def opened(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Open a shipped problem by name, a file by its text, or what is open already by its key.

    What its sliders are set to comes back.
    """
    name, text = asked.get("name"), asked.get("text")
    if asked.get("key") is not None:
        found = session.opened(asked["key"])
    elif text is None:
        found = question.shipped(str(name))
    else:
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            raise QuestionError(f"a problem file must be text of at most {MOST_TEXT:,} characters")
        file = Path(str(name or "problem.yaml")).name
        found = Opened(Path(file).stem or "problem", text, file, Path.cwd())
    key = session.open(found)
    problem = question.problem_of(found, Settings())
    return {"key": key, "label": found.label, **described(problem)}


def described(problem: Problem) -> dict[str, Any]:
    """What the page shows of a problem, and where its sliders stand."""
    from controlsde.registry import SOLVERS
    from controlsde.report.page.problem_words import formulas

    return {
        "name": problem.name,
        "description": problem.description,
        "dimension": problem.dimension,
        "box": problem.domain.box,
        "settings": settings_of(problem),
        "bounds": problem.controls.bounds.groups,
        "solver": problem.solver.kind,
        "solvers": [name for name in SOLVERS if _fits(problem, name)],
        "drift": problem.drift.kind if problem.drift else None,
        "formulas": [str(one) for one in formulas(problem)],
    }


def settings_of(problem: Problem) -> dict[str, Any]:
    """Where the sliders stand for a problem."""
    return {
        "noise": problem.noise,
        "pieces": problem.controls.pieces,
        "width": problem.network.width,
        "horizon": problem.reference.horizon,
        "lengths": question.lengths_of(problem),
    }


def _fits(problem: Problem, solver: str) -> bool:
    from controlsde.workflow.solving import solver_options

    try:
        solver_options(problem, solver)
    except ValueError:
        return False
    return True


def preview(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The scene of a problem under weights, beside the runs that are wanted; see `scenes.scene`."""
    import controlsde as cs
    from controlsde.explore.scenes import scene

    problem = _problem(session, asked)
    numbers, wanted = _numbers(asked.get("runs")), _numbers(asked.get("wanted"))
    with session.previewing:
        controls = question.controls_of(asked.get("controls"), problem)
        shown = cs.preview(problem, None if problem.drift is not None else controls)
        beside = [run for run in session.runs() if run.number in numbers]
        tracks = [track_of(run) for run in beside if _same_reference(run, problem)]
        drawn = scene(
            shown,
            controls,
            tracks,
            reference=bool(asked.get("reference")),
            wanted=[f"r{number}" for number in wanted],
        )
    return {**drawn, "controls": question.weights_json(controls)}


def particles(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The particles of a preview; nothing where no drift moves them."""
    from controlsde.control.drift import given_drift, network_drift
    from controlsde.explore.particles import particles as drawn
    from controlsde.tracking.posed import Posed
    from controlsde.workflow.previewing import reference_of

    problem = _problem(session, asked)
    posed = Posed(problem, reference_of(problem)).with_given_pieces
    drift = given_drift(problem, posed.reference, posed.grid.edges)
    if drift is None:
        controls = question.controls_of(asked.get("controls"), problem)
        drift = network_drift(posed.network, controls, posed.reference.horizon)
    return drawn(posed, drift)


def fit(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a network that is fitted to the exact drift on every piece, without a look at any density."""
    from controlsde.foundation.progress import silent
    from controlsde.foundation.surroundings import own_settings
    from controlsde.registry import SOLVERS
    from controlsde.tracking.objective import Objective
    from controlsde.workflow.previewing import tracking_of

    problem = _problem(session, asked)
    _refuse_given_drift(problem)
    with session.previewing, own_settings():
        tracking = tracking_of(problem)
        solver = SOLVERS["score-matching"]
        options = solver.options(seed=0, starts=3 if problem.dimension == 1 else 1).fitted(problem.dimension)
        outcome = solver.solve(Objective(tracking), options, silent)
        return {"controls": question.weights_json(tracking.controls(outcome.weights))}


def solve(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Start a solve; the number of its run comes back at once."""
    from controlsde.workflow.solving import solver_options

    problem = _problem(session, asked)
    _refuse_given_drift(problem)
    solver = str(asked.get("solver") or problem.solver.kind)
    options = solver_options(problem, solver)
    start = None
    if asked.get("controls") is not None and not problem.controls.free:
        start = question.weights_json(question.controls_of(asked["controls"], problem))
    label = f"noise {problem.noise:g}, {problem.controls.pieces} pieces, width {problem.network.width}, {options.kind}"
    own = solver if solver != problem.solver.kind else ""
    quick = bool(asked.get("quick", True))
    number = session.solve(problem.to_yaml(), label, solver=own, quick=quick, initial=start)
    return {"number": number}


def runs(session: Session) -> list[dict[str, Any]]:
    """The table of the answers that were kept."""
    return [_row(run) for run in session.runs()]


def weights(session: Session, number: int) -> dict[str, Any]:
    """Settings and weights of a run, for the sliders."""
    result = result_of(session.run(number).folder)
    return {"settings": settings_of(result.problem), "controls": question.weights_json(result.controls)}


def problem_file(session: Session, number: int) -> str:
    """The resolved problem of a run, as YAML."""
    text: str = result_of(session.run(number).folder).problem.to_yaml()
    return text


def resolved(session: Session, asked: Mapping[str, Any]) -> str:
    """The problem as the sliders stand, as YAML."""
    return _problem(session, asked).to_yaml()


def comparison(session: Session, numbers: tuple[int, ...], target: Path) -> Path:
    """A report of several runs on one page. Raises PageError where they do not belong on one."""
    from controlsde.report.page.writing import report_results

    if not numbers:
        raise QuestionError("choose the runs that are to be compared")
    return report_results([result_of(session.run(number).folder) for number in numbers], target)


def track_of(run: Run) -> Any:
    """A run as the page draws it beside a preview."""
    from controlsde.control.drift import network_drift
    from controlsde.explore.scenes import Track, ink_of
    from controlsde.tracking.tracking_problem import build_network

    result = result_of(run.folder)
    fields = result.fields
    horizon = float(fields.times[-1])
    drift = None
    if result.controls is not None:
        drift = network_drift(build_network(result.problem), result.controls, horizon)
    return Track(
        run.key,
        f"run {run.number}, {'verified' if result.verified else 'NOT VERIFIED'}",
        ink_of(run.number),
        fields.mesh,
        fields.times,
        fields.density,
        fields.curve_times,
        fields.l2,
        result.tracking.l2_final,
        drift,
    )


@lru_cache(maxsize=64)
def result_of(folder: Path) -> Any:
    """The result in a run's folder, read once."""
    from controlsde.result.result import Result

    return Result.load(folder / "result.nc")


def _row(run: Run) -> dict[str, Any]:
    from controlsde.explore.scenes import ink_of
    from controlsde.report.page.chart import Curve, sample
    from controlsde.report.words import digits, figure

    result = result_of(run.folder)
    energy = result.energy
    failed = ", ".join(check.name for check in result.certificate.failed)
    return {
        "number": run.number,
        "key": run.key,
        "problem": result.problem.name,
        "label": run.label,
        "lessened": run.lessened,
        "status": result.status,
        "verified": result.verified,
        "failed": failed,
        "l2_final": digits(result.tracking.l2_final),
        "l2_sup": digits(result.tracking.l2_sup),
        "objective": digits(result.objective),
        "energy": digits(energy.value if energy else None),
        "price": figure(energy.price if energy else None),
        "seconds": f"{sum(result.seconds.values()):.0f} s",
        "sample": str(sample(Curve([], [], ink_of(run.number)))),
    }


def _problem(session: Session, asked: Mapping[str, Any]) -> Problem:
    settings = asked.get("settings")
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise QuestionError("settings must be a mapping")
    return question.problem_of(session.opened(asked.get("problem")), Settings.of(settings))


def _same_reference(run: Run, problem: Problem) -> bool:
    other = result_of(run.folder).problem
    return bool((other.domain, other.reference) == (problem.domain, problem.reference))


def _refuse_given_drift(problem: Problem) -> None:
    if problem.drift is not None:
        raise QuestionError("the problem gives its own drift; remove the key drift to steer it by a network")


def _numbers(asked: Any) -> tuple[int, ...]:
    if asked is None:
        return ()
    whole = isinstance(asked, list) and all(isinstance(one, int) and math.isfinite(one) for one in asked)
    if not whole:
        raise QuestionError("runs must be a list of their numbers")
    return tuple(asked)
