"""Refinement until the answer no longer depends on the discretisation."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde import adaptation
from controlsde.adaptation import RESOLVED, run_resolved, solve_resolved
from controlsde.pipeline import discrete_stages, evaluate
from controlsde.problem import parse_problem
from controlsde.progress import silent
from controlsde.reference import build_reference
from controlsde.solvers import Outcome
from controlsde.solvers.reduced import ReducedObjective

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

    def solve(tracking, options, progress, initial=()):  # noqa: ARG001
        objective = ReducedObjective(tracking)
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
            )
            for one in (initial or [make(tracking) for make in weights])
        ]
        best, *others = sorted(outcomes, key=lambda one: one.objective)
        return replace(best, others=tuple(others), starts=tuple(one.objective for one in outcomes))

    return solve


def resolved(monkeypatch, of, *weights):
    monkeypatch.setattr(adaptation, "solver_named", lambda _: solver_that_returns(*weights))
    reference = build_reference(of.reference, of.domain)
    return solve_resolved(of, reference, of.solver, silent)


def test_auto_refines_until_the_density_moves_by_less_than_a_hundredth(monkeypatch):
    of = problem()
    tracking, outcome = resolved(monkeypatch, of, sharp)
    first = problem().mesh.first_steps
    assert tracking.mesh.axes[0].elements > 8
    reference = build_reference(of.reference, of.domain)
    finer = adaptation.build_tracking(
        of,
        reference,
        adaptation.Mesh.build(of.domain.box, of.domain.walls, (2 * tracking.mesh.axes[0].elements,), 8),
        replace(tracking.grid, steps_per_piece=2 * tracking.grid.steps_per_piece),
    )
    ends = [ReducedObjective(one).stages(outcome.weights)[-1, -1, -1] for one in (tracking, finer)]
    change = finer.mesh.l2_distance(ends[1], tracking.mesh, ends[0])
    assert change <= RESOLVED * np.sqrt(finer.targets[-1, -1, -1] ** 2 @ finer.mesh.mass)
    assert tracking.grid.steps_per_piece >= first


@pytest.mark.parametrize("mesh", ["{elements: [6], steps_per_piece: 1}"])
def test_what_is_given_in_numbers_is_never_changed(monkeypatch, mesh):
    tracking, _ = resolved(monkeypatch, problem(mesh), sharp)
    assert (tracking.mesh.axes[0].elements, tracking.grid.steps_per_piece) == (6, 1)


def test_only_what_is_auto_is_refined(monkeypatch):
    tracking, _ = resolved(monkeypatch, problem("{elements: auto, steps_per_piece: 3}"), sharp)
    assert tracking.grid.steps_per_piece == 3
    assert tracking.mesh.axes[0].elements > 8


def test_on_a_given_mesh_an_answer_that_survives_refinement_goes_before_a_better_one_that_does_not(monkeypatch):
    of = problem("{elements: [6], steps_per_piece: 2}")

    def gentle(tracking):
        return np.zeros(tracking.weight_shape)

    def flattering(tracking):  # the objective that a coarse mesh shows of a density it cannot hold
        return sharp(tracking)

    solve = solver_that_returns(gentle, flattering)

    def biased(tracking, options, progress, initial=()):
        best = solve(tracking, options, progress, initial)
        ranked = [replace(one, others=(), objective=0.0) if one.weights.any() else one for one in (best, *best.others)]
        first, *others = sorted(ranked, key=lambda one: one.objective)
        return replace(first, others=tuple(others))

    monkeypatch.setattr(adaptation, "solver_named", lambda _: biased)
    _, outcome = solve_resolved(of, build_reference(of.reference, of.domain), of.solver, silent)
    assert not outcome.weights.any()


def test_a_given_drift_is_refined_like_a_solved_one():
    of = parse_problem(
        PROBLEM.format(mesh="{}", noise=0.0) + 'drift: {kind: formula, expressions: ["-1.5*tanh(2*x)"]}\n'
    )
    reference = build_reference(of.reference, of.domain)
    from controlsde.drift import given_drift

    drift = given_drift(of, reference, np.linspace(0, 1, 5))
    diffusivity = reference.diffusivity.times(of.noise)
    tracking, stages = run_resolved(of, reference, lambda tracking: discrete_stages(tracking, drift, diffusivity))
    assert tracking.mesh.axes[0].elements > 8
    assert stages.shape == tracking.targets.shape
    result = evaluate(of)
    assert result.certificate.refined_l2_change < 3e-2
