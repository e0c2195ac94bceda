"""Once more with the first remedy: what is changed, which answer is kept, and how it is recorded."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from controlsde.diagnosis import Diagnosis, Remedy
from controlsde.problem import load_problem
from controlsde.result.result import Result
from controlsde.result.retry import Retry
from controlsde.verification.certificate import Check
from controlsde.workflow import retrying
from controlsde.workflow.comparison import Comparison, at_noise
from controlsde.workflow.retrying import compare_retrying, solve_retrying
from controlsde.workflow.solving import SolveError, solve

SMALL = {
    "controls.pieces": 1, "mesh.elements": [6], "solver.starts": 1, "solver.iterations": 2,
    "monte_carlo.particles": 100, "monte_carlo.steps_per_piece": 4,
}  # fmt: skip
REMEDY = Remedy("solver.iterations", 200)
CAUSES = (Diagnosis("mass", "nothing can be set"), Diagnosis("iterations", "seen", REMEDY))


@pytest.fixture(scope="module")
def answer():
    """A result that is made to say anything else below."""
    return dataclasses.replace(solve(load_problem("two-bumps", set=SMALL)), diagnosis=())


@pytest.fixture
def attempts(monkeypatch):
    """Let the solver answer one after the other with these; returns the problems that it was asked."""

    def arrange(*answers):
        asked, left = [], list(answers)

        def solve(problem, progress, executor):  # noqa: ARG001
            asked.append(problem)
            found = left.pop(0)
            if isinstance(found, BaseException):
                raise found
            return dataclasses.replace(found, problem=problem)

        monkeypatch.setattr(retrying, "solve", solve)
        return asked

    return arrange


def like(answer, *, converged=True, verified=True, error=0.1, diagnosis=(), status=None):
    checks = (Check("refinement", 0.0, 0.01, verified),)
    return dataclasses.replace(
        answer,
        status=status or ("converged" if converged else "not-converged"),
        certificate=dataclasses.replace(answer.certificate, checks=checks),
        tracking=dataclasses.replace(answer.tracking, l2_final=error),
        diagnosis=diagnosis,
    )


def test_a_sound_answer_is_not_solved_again(answer, attempts):
    asked = attempts(like(answer))
    result = solve_retrying(answer.problem)
    assert len(asked) == 1
    assert result.retry is None


def test_the_first_cause_with_a_remedy_is_followed_and_no_other_key_changed(answer, attempts):
    asked = attempts(like(answer, converged=False, diagnosis=CAUSES), like(answer))
    result = solve_retrying(answer.problem)
    first, second = asked
    assert second == first.model_copy(update={"solver": first.solver.model_copy(update={"iterations": 200})})
    assert result.problem == second
    assert result.retry == Retry("iterations", REMEDY, True, False, "not-converged", True, 0.1)


CHOICES = {
    "verified before converged": ({"verified": False}, {"converged": False}, True),
    "converged and verified before either": ({"converged": False}, {}, True),
    "not for one that is worse": ({"converged": False}, {"converged": False, "verified": False}, False),
    "the lesser error": ({"error": 0.4}, {"error": 0.1}, True),
    "not for a larger error": ({"error": 0.1}, {"error": 0.4}, False),
    "nor for none": ({"verified": False}, {"verified": False, "error": np.nan}, False),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_better_answer_is_kept_and_the_other_recorded(name, answer, attempts):
    first, second, kept = CHOICES[name]
    attempts(like(answer, diagnosis=CAUSES, **first), like(answer, **second))
    result = solve_retrying(answer.problem)
    assert result.retry.kept == kept
    assert result.problem.solver.iterations == (200 if kept else 2)
    other = first if kept else second
    assert result.retry.other_verified == other.get("verified", True)
    assert result.retry.other_status == ("converged" if other.get("converged", True) else "not-converged")


def test_an_answer_without_starts_gives_way_unless_both_have_none(answer, attempts):
    nothing = SolveError("no start could be evaluated", CAUSES)
    attempts(nothing, like(answer))
    assert solve_retrying(answer.problem).retry == Retry("iterations", REMEDY, True)
    attempts(like(answer, verified=False, diagnosis=CAUSES), nothing)
    assert solve_retrying(answer.problem).retry == Retry("iterations", REMEDY, False)
    attempts(nothing, SolveError("again"))
    with pytest.raises(SolveError, match="no start"):
        solve_retrying(answer.problem)


@pytest.mark.parametrize("late", [False, True])
def test_an_interruption_of_the_second_attempt_keeps_the_first_and_says_so(answer, attempts, late):
    second = like(answer, status="interrupted") if late else KeyboardInterrupt()
    attempts(like(answer, verified=False, diagnosis=CAUSES), second)
    result = solve_retrying(answer.problem)
    assert result.status == "converged"
    assert result.retry.interrupted


def test_a_remedy_that_would_be_refused_is_not_tried(answer, attempts):
    for remedy in (Remedy("controls.pieces", 100_000), Remedy("network.width", 10**9)):
        asked = attempts(like(answer, verified=False, diagnosis=(Diagnosis("x", "seen", remedy),)))
        assert solve_retrying(answer.problem).retry is None
        assert len(asked) == 1


def test_a_comparison_is_repeated_at_every_level_and_kept_whole(answer, tmp_path, monkeypatch):
    asked, folders = [], []

    def compare(problem, noise, folder=None, **_):
        asked.append(problem)
        folders.append(folder)
        again = len(asked) > 1
        results = tuple(
            dataclasses.replace(
                like(answer, verified=again or level == 0, diagnosis=CAUSES if level and not again else ()),
                problem=at_noise(problem, level),
            )
            for level in noise
        )
        return Comparison(problem, results, np.zeros((2, 2)), "a note")

    monkeypatch.setattr(retrying, "compare", compare)
    comparison = compare_retrying(answer.problem, [0.0, 1.0], folder=tmp_path)
    assert [problem.solver.iterations for problem in asked] == [2, 200]
    assert [result.problem.solver.iterations for result in comparison.results] == [200, 200]
    assert [result.retry.other_verified for result in comparison.results] == [True, False]
    assert all(result.retry.kept for result in comparison.results)
    assert folders == [tmp_path, None]  # what the first one keeps is of the problem that was asked
    assert [result.path for result in comparison.results] == [str(tmp_path / f"noise-{level}.nc") for level in (0, 1)]
    for result in comparison.results:
        with xr.open_dataset(result.path, engine="h5netcdf") as written:
            assert json.loads(written.attrs["summary"])["retry"]["set"] == {"solver.iterations": 200}


def test_diagnosis_and_retry_survive_the_result_file(answer, tmp_path):
    retry = Retry("mesh", Remedy("mesh.elements", (8,)), False, False, "converged", False, 0.25)
    saved = dataclasses.replace(answer, diagnosis=CAUSES, retry=retry).save(tmp_path / "result.nc")
    loaded = Result.load(saved.path)
    assert loaded.diagnosis == CAUSES
    assert loaded.retry == retry
    assert loaded.to_json()["retry"]["set"] == {"mesh.elements": [8]}
