"""The frontier of noise: its cells are the problems they say, are kept, taken up again, and judged by their spread."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.claims import noise_frontier
from controlsde.claims.claim import Setting
from controlsde.claims.noise_frontier import Cell, Measured, Parameters, cells
from controlsde.claims.optimised import Optimised
from controlsde.claims.settings import SettingError

SMALL = Parameters(densities=("smooth", "jump"), pieces=(4, 2), widths=(1,), noise=(0.0, 1.0), seeds=(0, 1))


def test_a_cell_is_the_problem_that_its_name_says():
    cell = Cell("jump", 8, 2, 0.25, (0, 1), 60, 0.1)
    problem = cell.problem()
    assert (problem.noise, problem.network.width, problem.controls.pieces) == (0.25, 2, 8)
    assert problem.solver.iterations == 60
    assert problem.reference.data.expression == noise_frontier.DENSITIES["jump"]
    changed = [
        replace(cell, density="kink"),
        replace(cell, pieces=4),
        replace(cell, width=1),
        replace(cell, noise=0.5),
        replace(cell, seeds=(0,)),
        replace(cell, iterations=61),
        replace(cell, horizon=0.2),
    ]
    assert len({cell.name, *(one.name for one in changed)}) == 8


def answers(l2, verified):
    values = np.array(l2)
    return Optimised((0, 1), values, values, values, values, values, values, np.array(verified), None)


@pytest.fixture
def solved(monkeypatch):
    """Solves that only count, and of which the second start never verifies."""
    seen = []

    def optimise(problem, seeds):
        seen.append((problem.controls.pieces, problem.noise))
        return answers([0.1 * problem.controls.pieces + problem.noise + seed for seed in seeds], [True, False])

    monkeypatch.setattr(noise_frontier, "optimise", optimise)
    monkeypatch.setattr(noise_frontier, "SECONDS", 0.0)  # all of them here, in no other process
    return seen


def test_cells_are_kept_and_taken_up_again(solved, tmp_path):
    first = noise_frontier.experiment(SMALL, Setting(folder=tmp_path))
    assert len(solved) == len(list(cells(SMALL))) == 8
    kept = sorted((tmp_path / "noise-frontier").iterdir())
    assert len(kept) == 8
    kept[0].unlink()
    again = noise_frontier.experiment(SMALL, Setting(folder=tmp_path))
    assert len(solved) == 9
    values = {row.parameter: row.measured for row in first.rows}
    assert values["jump, 4 pieces, width 1, η = 1: L² at T, mean"] == pytest.approx(1.4)  # of the start that verified
    assert values["jump, 4 pieces, width 1, η = 1: starts that verified"] == 1
    np.testing.assert_equal([row.measured for row in again.rows], [row.measured for row in first.rows])


def test_noise_is_said_to_help_or_to_hurt_only_beyond_the_spread():
    parameters = replace(SMALL, densities=("smooth", "kink", "jump"), pieces=(4,))
    means = {"smooth": (1.0, 0.5), "kink": (0.5, 1.0), "jump": (0.5, 0.51)}
    found = {}
    for cell in cells(parameters):
        l2 = tuple(means[cell.density][int(cell.noise)] + step for step in (-0.01, 0.0, 0.01))
        found[cell] = Measured(l2, l2, l2)
    note = noise_frontier._findings(parameters, found).note
    assert "Of 3 budgets noise helps in 1 (smooth, 4 pieces, width 1) and hurts in 1 (kink, 4 pieces, width 1)" in note


def test_an_unknown_density_is_refused():
    with pytest.raises(SettingError, match="smooth, kink, jump"):
        noise_frontier.experiment(replace(SMALL, densities=("rough",)), Setting())
