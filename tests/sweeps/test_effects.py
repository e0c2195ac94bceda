"""What varies most is found without a look at every pair of values, and is what a look at every pair finds."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from controlsde.sweeps.effects import effects
from controlsde.sweeps.plan import Plan, Run, Source
from controlsde.sweeps.store import Row


def swept(logs):
    """A plan over a and b, and its rows; nan is a run that is missing."""
    runs = [Run(f"p-{a}-{b}", "p", {"a": a, "b": b}) for a, b in np.ndindex(*logs.shape)]
    rows = [
        None if math.isnan(log) else Row(run.key, "converged", True, 1.0, {"tracking.l2_final": math.exp(log)})
        for run, log in zip(runs, logs.ravel(), strict=True)
    ]
    return Plan((Source("p", "p", "d"),), {}, ("a", "b"), tuple(runs)), rows


def farthest(logs):
    """(least, most, factor, pairs) of the rows, pair by pair."""
    found = []
    for one, other in combinations(range(len(logs)), 2):
        gaps = logs[other] - logs[one]
        gaps = gaps[~np.isnan(gaps)]
        if len(gaps):
            ends = (one, other) if gaps.mean() >= 0 else (other, one)
            found.append((*ends, math.exp(abs(gaps.mean())), len(gaps)))
    return max(found, key=lambda pair: pair[2])


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.6])
def test_the_farthest_pair_is_that_of_a_search_of_all_pairs(missing):
    rng = np.random.default_rng(3)
    for _ in range(20):
        logs = rng.standard_normal((6, 5))
        logs[rng.random(logs.shape) < missing] = np.nan
        found = {one.key: one for one in effects(*swept(logs))}
        for key, table in (("a", logs), ("b", logs.T)):
            least, most, factor, pairs = farthest(table)
            assert (found[key].least, found[key].most, found[key].pairs) == (least, most, pairs)
            assert found[key].factor == pytest.approx(factor, rel=1e-12)


def test_the_p_value_is_that_of_a_paired_t_test_times_the_pairs_that_were_compared():
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.5, 3.0):
        logs = rng.standard_normal((3, 7)) + shift * np.arange(3)[:, None]
        found = next(one for one in effects(*swept(logs)) if one.key == "a")
        alone = stats.ttest_rel(logs[found.most], logs[found.least]).pvalue
        assert found.p == pytest.approx(min(1.0, 3 * alone), rel=1e-10)


def test_nothing_is_compared_where_nothing_is_verified():
    assert effects(*swept(np.full((2, 2), np.nan))) == []
    plan, rows = swept(np.zeros((2, 2)))
    assert effects(plan, [replace(row, verified=False) for row in rows]) == []


def test_values_that_share_no_run_are_not_compared():
    logs = np.array([[0.0, np.nan], [np.nan, 5.0]])
    assert effects(*swept(logs)) == []
