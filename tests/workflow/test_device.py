"""`solver.device`: where a solve computes, what the result says of it, and what is refused."""

import dataclasses

import pytest
import torch

import controlsde as cs
from controlsde.problem import ProblemError, checks
from controlsde.registry import SOLVERS
from controlsde.tracking.objective import Objective, device_of
from controlsde.workflow import mesh_refinement
from controlsde.workflow.prediction import refusals, refusals_of_evaluation

SMALL = {"controls.pieces": 2, "mesh.elements": [6], "mesh.steps_per_piece": 1, "monte_carlo.particles": 2000}


def problem(**solver):
    return cs.load_problem("two-bumps", set={**SMALL, "solver": {"starts": 1, "iterations": 3, **solver}})


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_on_the_cpu_the_result_and_its_file_say_so(tmp_path, device):
    result = cs.solve(problem(device=device)).save(tmp_path / "result.nc")
    assert result.device == cs.Result.load(result.path).device == "cpu"


def test_the_device_of_the_problem_is_that_of_the_objective(monkeypatch):
    class SeenError(Exception):
        pass

    def objective(tracking, device="cpu"):  # noqa: ARG001
        raise SeenError(device)

    monkeypatch.setattr(mesh_refinement, "Objective", objective)
    with pytest.raises(SeenError, match=r"^cuda$"):
        cs.solve(problem(device="cuda"))
    assert device_of(problem(device="cuda").solver) == "cuda"


def test_an_objective_that_travels_keeps_its_device(small_tracking):
    objective = Objective(small_tracking())
    objective.device = "cuda"  # built nowhere: there may be none here
    kind, (tracking, device, _) = objective.__reduce__()
    assert (kind, device) == (Objective, "cuda")
    assert tracking is objective.tracking


def test_cuda_without_a_device_is_refused_where_something_is_solved(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (reason,) = refusals(problem(device="cuda"))
    assert reason == "solver.device is cuda, and PyTorch sees no CUDA device here; use cpu, or auto"
    assert refusals_of_evaluation(problem(device="cuda")) == ()
    assert refusals(problem(device="auto")) == ()


@pytest.mark.parametrize("kind", ["collocation", "score-matching", "switching"])
def test_a_solver_that_does_not_run_there_says_which_does(kind):
    with pytest.raises(ProblemError, match=rf"solver\.device cuda is for solver\.kind shooting \(got {kind}\)"):
        cs.load_problem("two-bumps", set={"solver": {"kind": kind, "device": "cuda"}})


def test_a_solver_says_in_which_dimensions_it_works(monkeypatch):
    planar = dataclasses.replace(SOLVERS["shooting"], dimensions=(2, 3))
    monkeypatch.setattr(checks, "SOLVERS", {**SOLVERS, "shooting": planar})
    with pytest.raises(ProblemError, match=r"shooting solves problems of dimension 2, 3 \(domain\.box has 1\)"):
        cs.load_problem("two-bumps")
