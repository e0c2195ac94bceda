"""A limit on the error at T is judged where the error is verified, in the problem's own norm."""

import dataclasses

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.problem import parse_problem
from controlsde.workflow.solving import evaluate

PROBLEM = """
domain: {box: [[-4, 4]]}
reference:
  kind: reversed-diffusion
  horizon: 1.0
  data: {kind: mixture, weights: [0.5, 0.5], means: [-1, 1], stds: [0.5, 0.5]}
controls: {pieces: 2}
mesh: {elements: [6], degree: 6, steps_per_piece: 1}
monte_carlo: {particles: 2000, steps_per_piece: 16}
"""
CONTROLS = Controls(np.full((2, 1, 1), -1.0), np.full((2, 1, 1), 1.5), np.zeros((2, 1)), np.array([0.0, 0.5, 1.0]))


def judged(**objective):
    return evaluate(
        parse_problem(PROBLEM, set={f"objective.{key}": value for key, value in objective.items()}), CONTROLS
    )


def check_of(result):
    return next((one for one in result.certificate.checks if one.name == "terminal_error"), None)


@pytest.fixture(scope="module")
def free():
    return judged()


def test_without_a_limit_there_is_nothing_to_judge(free):
    assert check_of(free) is None


@pytest.mark.parametrize(("norm", "number"), [("l2", "l2_final"), ("h-1", "h_1_final")])
@pytest.mark.parametrize("share", [1.001, 0.999])
def test_the_verified_error_in_the_problems_norm_meets_the_limit_itself(free, norm, number, share):
    error = getattr(free.tracking, number)
    result = judged(terminal_error=share * error, norm=norm)
    check = check_of(result)
    assert check.value == getattr(result.tracking, number) == error
    assert check.limit == share * error
    assert check.passed == (share > 1)
    others = dataclasses.replace(
        result.certificate, checks=tuple(one for one in result.certificate.checks if one is not check)
    )
    assert others.passed == free.verified
    if share < 1:
        assert not result.verified
        assert result.diagnosis[0].cause == "limit"


def test_an_error_within_the_limit_is_judged_where_it_is_verified():
    def coarse(**objective):
        changes = {"mesh.stages": 1} | {f"objective.{key}": value for key, value in objective.items()}
        return evaluate(parse_problem(PROBLEM, set=changes), CONTROLS)

    free = coarse()
    seen, verified = free.discrete.l2_final, free.tracking.l2_final
    assert seen < (1 - 5e-4) * verified
    assert not check_of(coarse(terminal_error=0.5 * (seen + verified))).passed
