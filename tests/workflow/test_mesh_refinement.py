"""Refinement until the answer no longer depends on the discretisation."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation.progress import silent
from controlsde.problem import parse_problem
from controlsde.reference import build_reference
from controlsde.solvers.declaration import Solver
from controlsde.solvers.outcome import Outcome
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.workflow import mesh_refinement, solving
from controlsde.workflow.mesh_refinement import RESOLVED, run_resolved, solve_resolved
from controlsde.workflow.solving import discrete_stages, evaluate

PROBLEM = """
domain: {{box: [[-4, 4]]}}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: 1.0
  data: {{kind: mixture, weights: [0.5, 0.5], means: [-1, 1], stds: [0.4, 0.4]}}
noise: {noise}
controls: {{pieces: 4}}
mesh: {mesh}
solver: {{starts: 1, iterations: 60}}
monte_carlo: {{particles: 2000, steps_per_piece: 16}}
"""


def problem(mesh="{elements: auto, steps_per_piece: auto}", noise=0.0):
    return parse_problem(PROBLEM.format(mesh=mesh, noise=noise))


def sharp(tracking):
    """Weights of a contraction in each piece, sharper than a coarse mesh holds."""
    a, w, b = (np.full((4, *shape), value) for shape, value in (((1, 1), -1.2), ((1, 1), 2.0), ((1,), 0.5)))
    return tracking.network.join(a, w, b)


def solver_that_returns(*weights):
    """A solver whose starts end at given weights, least objective first."""

    def solve(objective, options, progress, initial=()):  # noqa: ARG001
        outcomes = [
            Outcome(
                weights=one,
                objective=objective.value(one),
                gradient_norm=0.0,
                converged=True,
                interrupted=False,
                message="converged",
                iterations=1,
                history=(),
                start=number,
            )
            for number, one in enumerate(initial or [make(objective.tracking) for make in weights])
        ]
        best, *others = sorted(outcomes, key=lambda one: one.objective)
        return replace(best, others=tuple(others), starts=tuple(one.objective for one in outcomes))

    return solve


def told_nothing_of_itself(solve):
    """A function in place of the method of a solver."""
    return lambda _, *arguments: solve(*arguments[:4])  # without the executor


def resolved(monkeypatch, of, *weights):
    monkeypatch.setattr(Solver, "solve", told_nothing_of_itself(solver_that_returns(*weights)))
    reference = build_reference(of.reference, of.domain)
    return solve_resolved(Posed(of, reference), of.solver, silent)


def test_auto_refines_until_the_density_moves_by_less_than_a_hundredth(monkeypatch):
    of = problem()
    tracking, outcome = resolved(monkeypatch, of, sharp)
    first = problem().mesh.first_steps
    assert tracking.mesh.axes[0].elements > 8
    reference = build_reference(of.reference, of.domain)
    finer = Posed(of, reference).on(
        Mesh.build(of.domain.box, of.domain.walls, (2 * tracking.mesh.axes[0].elements,), 8),
        replace(tracking.grid, steps_per_piece=2 * tracking.grid.steps_per_piece),
    )
    before, after = (one.ends(Objective(one).stages(outcome.weights))[-1] for one in (tracking, finer))
    assert after.distance(before) <= RESOLVED * np.sqrt(finer.targets[-1, -1, -1] ** 2 @ finer.mesh.mass)
    assert tracking.grid.steps_per_piece >= first


def test_the_history_of_an_answer_goes_back_to_the_first_mesh():
    of = parse_problem(PROBLEM.format(mesh="{}", noise=0.0).replace("0.4, 0.4", "0.2, 0.2"))
    posed = Posed(of, build_reference(of.reference, of.domain))
    _, outcome = solve_resolved(posed, of.solver, silent)
    finer = [place for place, row in enumerate(outcome.history) if row.begins == "finer mesh"]
    assert finer
    for place in finer:  # the same weights, seen twice
        assert outcome.history[place].number == outcome.history[place - 1].number
    steps = np.diff([row.number for row in outcome.history])
    assert np.all(np.delete(steps, np.array(finer) - 1) == 1)
    assert outcome.history[0].number == 0
    assert (outcome.history[-1].number, outcome.history[-1].objective) == (outcome.iterations, outcome.objective)


def test_a_diagnosis_looks_at_the_last_mesh_alone_and_the_result_has_all(monkeypatch):
    seen = []
    monkeypatch.setattr(solving, "diagnose", lambda case: seen.append(case.history) or ())
    result = solving.solve(parse_problem(PROBLEM.format(mesh="{}", noise=0.0).replace("0.4, 0.4", "0.2, 0.2")))
    last = max(row for row, begins in enumerate(result.beginnings) if begins == "finer mesh")
    assert last > 0
    np.testing.assert_array_equal(seen[-1], result.history[last:])


@pytest.mark.parametrize("mesh", ["{elements: [6], steps_per_piece: 1}"])
def test_what_is_given_in_numbers_is_never_changed(monkeypatch, mesh):
    tracking, _ = resolved(monkeypatch, problem(mesh), sharp)
    assert (tracking.mesh.axes[0].elements, tracking.grid.steps_per_piece) == (6, 1)


def test_only_what_is_auto_is_refined(monkeypatch):
    tracking, _ = resolved(monkeypatch, problem("{elements: auto, steps_per_piece: 3}"), sharp)
    assert tracking.grid.steps_per_piece == 3
    assert tracking.mesh.axes[0].elements > 8


def gentle(tracking):
    return np.zeros(tracking.weight_shape)


def flattered(lower):
    """A solver that sees a lower objective than there is of all starts but the one at rest, `lower` for each."""
    solve = solver_that_returns(gentle, *[sharp] * len(lower))

    def biased(objective, options, progress, initial=()):
        best = solve(objective, options, progress, initial)
        seen = [
            replace(one, others=(), objective=lower[one.start - 1]) if one.start else one
            for one in (best, *best.others)
        ]
        first, *others = sorted(seen, key=lambda one: one.objective)
        starts = tuple(one.objective for one in sorted(seen, key=lambda one: one.start))
        return replace(first, others=tuple(others), starts=starts)

    return biased


def test_on_a_given_mesh_an_answer_that_survives_refinement_goes_first(monkeypatch):
    of = problem("{elements: [6], steps_per_piece: 2}")
    monkeypatch.setattr(Solver, "solve", told_nothing_of_itself(flattered([0.01])))
    _, outcome = solve_resolved(Posed.of(of), of.solver, silent)
    assert not outcome.weights.any()
    assert outcome.starts == (outcome.objective, 0.01)
    assert outcome.message.startswith(
        "converged; a start with a lower objective was set aside: 0.01, whose density moves"
    )
    assert outcome.message.endswith("of ‖p(T)‖ on a finer mesh, where 0.03 is accepted")


def test_every_lower_start_has_a_reason_why_it_is_not_the_answer(monkeypatch):
    of = problem("{elements: [6], steps_per_piece: 2}")
    monkeypatch.setattr(mesh_refinement, "CANDIDATES", 3)
    monkeypatch.setattr(Solver, "solve", told_nothing_of_itself(flattered([0.01, 0.02])))
    reference = build_reference(of.reference, of.domain)
    _, outcome = solve_resolved(Posed(of, reference), of.solver, silent)
    assert "2 starts with lower objectives were set aside: 0.01, whose density moves by" in outcome.message
    assert "accepted; 0.02, whose density moves by" in outcome.message
    monkeypatch.setattr(mesh_refinement, "ACCEPTED", 0.0)  # none survives: the finer mesh alone decides
    judge, worst = mesh_refinement._judge, iter((9.0, 8.0, 7.0))
    monkeypatch.setattr(
        mesh_refinement, "_judge", lambda *args: [replace(one, objective=next(worst)) for one in judge(*args)]
    )
    _, outcome = solve_resolved(Posed(of, reference), of.solver, silent)
    assert not outcome.weights.any()
    assert "0.01, which is 9 on a finer mesh, where this answer has 7; 0.02, which is 8 on" in outcome.message


def test_a_lower_start_that_breaks_down_or_stayed_behind_is_told():
    def judged(objective, change):
        outcome = Outcome(np.zeros((1, 3)), objective, 0.0, True, False, "converged", 1, ())
        return mesh_refinement.Judged(outcome, objective, change)

    answer = judged(3.0, 0.01)
    told = mesh_refinement._told(answer.outcome, [judged(2.0, np.inf), answer], (3.0, 1.0, 2.0, 0.5, np.nan, 4.0))
    assert told.message == (
        "converged; 3 starts with lower objectives were set aside: 2, whose density breaks down on a finer mesh; "
        "2 that were higher on a coarser mesh"
    )
    assert mesh_refinement._told(answer.outcome, [answer], (3.0, 3.0 * (1 - 1e-12), 4.0)).message == "converged"


SCALES = (1.3, 1.2, 1.1, 1.0, 0.9)


def test_starts_that_stay_behind_have_their_objective_on_the_last_mesh(monkeypatch):
    of = problem()
    makers = [lambda tracking, scale=scale: scale * sharp(tracking) for scale in SCALES]
    tracking, outcome = resolved(monkeypatch, of, *makers)
    first = Posed.of(of).on()
    assert tracking.mesh.axes[0].elements > first.mesh.axes[0].elements
    at_last = [Objective(tracking).value(scale * sharp(tracking)) for scale in SCALES]
    assert outcome.starts == pytest.approx(at_last, rel=1e-12)
    assert outcome.objective == pytest.approx(min(at_last), rel=1e-12)
    at_first = [Objective(first).value(scale * sharp(first)) for scale in SCALES]
    assert np.abs(np.array(at_first) / at_last - 1).max() > 1e-6


def test_an_interruption_while_the_starts_are_told_keeps_what_was_solved(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(mesh_refinement, "_value", interrupted)
    makers = [lambda tracking, scale=scale: scale * sharp(tracking) for scale in SCALES]
    _, outcome = resolved(monkeypatch, problem(), *makers)
    assert outcome.interrupted
    assert np.isfinite(outcome.objective)
    assert sum(np.isfinite(outcome.starts)) == mesh_refinement.CANDIDATES


LIMITED = """
domain: {box: [[-5, 5]]}
reference: {kind: reversed-diffusion, horizon: 1, data: {kind: mixture, means: [1], stds: [0.5]}}
controls: {pieces: 1}
objective: {running: 0, terminal: 0, effort: 1, terminal_error: 0.002}
solver: {starts: 1}
"""


@pytest.mark.parametrize(("mesh", "steps"), [("{}", 4), ("{elements: [8], steps_per_piece: 2}", 2)])
def test_a_limit_at_the_end_is_met_where_it_is_measured(mesh, steps):
    of = parse_problem(f"{LIMITED}mesh: {mesh}\n")
    reference = build_reference(of.reference, of.domain)
    tracking, outcome = solve_resolved(Posed(of, reference), of.solver, silent)
    assert outcome.converged
    assert tracking.grid.steps_per_piece == steps
    fine = Posed(of, reference).on(
        Mesh.build(of.domain.box, of.domain.walls, (24,), 8),
        replace(tracking.grid, steps_per_piece=40),
    )
    assert 0.99 * 0.002 < fine.end_error(Objective(fine).stages(outcome.weights)) <= 0.002
    own = tracking.end_error(Objective(tracking).stages(outcome.weights))
    assert abs(own / 0.002 - 1) < 0.2
    assert outcome.history[-1].objective == outcome.objective == outcome.starts[0]


def test_a_given_drift_is_refined_like_a_solved_one():
    of = parse_problem(
        PROBLEM.format(mesh="{}", noise=0.0) + 'drift: {kind: formula, expressions: ["-1.5*tanh(2*x)"]}\n'
    )
    reference = build_reference(of.reference, of.domain)
    from controlsde.control.drift import given_drift

    drift = given_drift(of, reference, np.linspace(0, 1, 5))
    diffusivity = reference.diffusivity.scaled(of.noise)
    tracking, stages = run_resolved(
        Posed(of, reference), lambda tracking: discrete_stages(tracking, drift, diffusivity)
    )
    assert tracking.mesh.axes[0].elements > 8
    assert stages.shape == tracking.targets.shape
    result = evaluate(of)
    assert result.certificate.refined_l2_change < 3e-2
