"""What a comparison in free space says: whether levels differ by more than luck."""

from dataclasses import replace

import numpy as np
import pytest

import controlsde as cs
from controlsde.verification.free_evidence import BesideNull
from controlsde.workflow.free_comparison import FreeComparison, note
from tests.free_space.cases import bumps, some_controls


@pytest.fixture(scope="module")
def result():
    return cs.evaluate(bumps(noise=1.0, monte_carlo__particles=200), some_controls())


def compared(result, values, null_sd):
    """A comparison at noise 0, 1, … of these mollified distances over seeds."""

    def at(noise, value):
        distances = {"mollified": BesideNull(value, 0.0, null_sd, 0.5)}
        problem = result.problem.model_copy(update={"noise": noise})
        return replace(result, problem=problem, tracking=replace(result.tracking, distances=distances))

    levels = [[at(float(place), value) for value in seeds] for place, seeds in enumerate(values)]
    results, others = tuple(level[0] for level in levels), tuple(tuple(level[1:]) for level in levels)
    return FreeComparison(result.problem, results, others, np.zeros((len(values),) * 2), "")


def test_levels_that_differ_by_more_than_seeds_and_draws_are_told_apart(result):
    told = note(compared(result, [(0.10, 0.11), (0.30, 0.31)], null_sd=0.001))
    assert "least at noise 0 (0.105) and largest at noise 1 (0.305)" in told
    assert "not told from luck" not in told


@pytest.mark.parametrize(
    ("values", "null_sd"), [([(0.1, 0.3), (0.25, 0.4)], 0.001), ([(0.10, 0.11), (0.12, 0.13)], 0.1)]
)
def test_what_seeds_or_draws_differ_by_is_luck(result, values, null_sd):
    assert "not told from luck" in note(compared(result, values, null_sd))


def test_one_seed_tells_nothing_of_luck(result):
    assert "of one seed" in note(compared(result, [(0.1,), (0.3,)], null_sd=0.001))
