"""The frontier of noise: its cells are the problems they say, are kept, taken up again, and judged by their spread."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from controlsde.claims import noise_frontier
from controlsde.claims.harness import climbs as harness
from controlsde.claims.harness.claim import Setting
from controlsde.claims.harness.climbs import Cell, Measured
from controlsde.claims.harness.settings import SettingError
from controlsde.claims.noise_frontier import Parameters, climbs
from controlsde.control.controls import Controls

SMALL = Parameters(densities=("smooth", "jump"), pieces=(4, 2), widths=(1,), noise=(0.0, 1.0), seeds=(0, 1))


def test_a_cell_is_the_problem_that_its_name_says():
    cell = Cell("jump", (4, 8), 2, 0.25, (0, 1), 60, 0.1)
    problem = cell.problem()
    assert (problem.noise, problem.network.width, problem.controls.pieces) == (0.25, 2, 8)
    assert problem.solver.iterations == 60
    assert problem.reference.data.expression == harness.DENSITIES["jump"]
    changed = [
        replace(cell, density="kink"),
        replace(cell, climbed=(4,)),
        replace(cell, climbed=(2, 8)),
        replace(cell, width=1),
        replace(cell, noise=0.5),
        replace(cell, seeds=(0,)),
        replace(cell, iterations=61),
        replace(cell, horizon=0.2),
        replace(cell, lengths="free"),
    ]
    assert len({cell.name, *(one.name for one in changed)}) == 10
    assert (problem.controls.lengths, changed[-1].problem().controls.lengths) == (None, "free")


@dataclass(frozen=True)
class Errors:
    l2_final: float
    l2_rms: float = 0.0
    w1_final: float = 0.0
    w2_final: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What a claim reads of a result."""

    tracking: Errors
    objective: float
    controls: Controls
    verified: bool


@pytest.fixture
def solved(monkeypatch):
    """Solves that only count, and of which the second start never verifies: problem, seed and start of each."""
    seen = []

    def answer(problem, seed, initial):
        pieces = problem.controls.pieces
        seen.append((problem, seed, initial))
        weights = np.full((pieces, 1, 1), float(seed))
        controls = Controls(weights, weights, weights[:, 0], np.linspace(0.0, 0.1, pieces + 1))
        return Answer(Errors(0.1 * pieces + problem.noise + seed), 1.0 + 0.1 * pieces, controls, seed == 0)

    monkeypatch.setattr(harness, "answer", answer)
    monkeypatch.setattr(noise_frontier, "SECONDS", 0.0)  # all of them here, in no other process
    return seen


def test_cells_are_kept_and_taken_up_again(solved, tmp_path):
    first = noise_frontier.experiment(SMALL, Setting(folder=tmp_path))
    assert len(solved) == 2 * sum(map(len, climbs(SMALL))) == 16
    kept = sorted((tmp_path / "noise-frontier").iterdir())
    assert len(kept) == 8
    kept[0].unlink()
    again = noise_frontier.experiment(SMALL, Setting(folder=tmp_path))
    assert len(solved) == 18
    values = {row.parameter: row.measured for row in first.rows}
    assert values["jump, 4 pieces, width 1, η = 1: L² at T, mean"] == pytest.approx(1.4)  # of the start that verified
    assert values["jump, 4 pieces, width 1, η = 1: starts that verified"] == 1
    assert values["of 8 answers, those whose J is above that on fewer pieces"] == 8
    np.testing.assert_equal([row.measured for row in again.rows], [row.measured for row in first.rows])


@pytest.mark.parametrize("interrupted", [False, True])
def test_more_pieces_start_from_the_answers_on_fewer_of_the_same_seed(solved, tmp_path, interrupted):
    cells = climbs(SMALL)[0]
    assert [cell.pieces for cell in cells] == [2, 4]
    if interrupted:  # the next run reads these answers from the folder
        harness.climb(cells[:1], tmp_path)
    harness.climb(cells, tmp_path)
    assert len(solved) == 4
    for problem, seed, initial in solved:
        if problem.controls.pieces == 2:
            assert initial is None
        else:
            assert initial.pieces == 4
            np.testing.assert_allclose(initial.times, np.linspace(0.0, 0.1, 5))
            np.testing.assert_array_equal(initial.A, float(seed))


def test_pieces_that_do_not_divide_start_at_random(solved):
    harness.climb(climbs(replace(SMALL, pieces=(2, 3)))[0], None)
    assert [initial for _, _, initial in solved] == [None] * 4


@pytest.mark.parametrize("within", [0.51, 0.49])
def test_noise_is_said_to_help_or_to_hurt_only_beyond_the_spread(within):
    parameters = replace(SMALL, densities=("smooth", "kink", "jump"), pieces=(4,))
    means = {"smooth": (1.0, 0.5), "kink": (0.5, 1.0), "jump": (0.5, within)}
    found = {}
    for cell in itertools.chain(*climbs(parameters)):
        l2 = tuple(means[cell.density][int(cell.noise)] + step for step in (-0.01, 0.0, 0.01))
        found[cell] = Measured(l2, l2, l2)
    note = noise_frontier._findings(parameters, found).note
    expected = "noise helps in 1 of 3 budgets (smooth, 4 pieces, width 1) and hurts in 1 (kink, 4 pieces, width 1)."
    assert f"In L² {expected} In W₁ {expected} In W₂ {expected}" in note


def test_budgets_without_a_verified_answer_are_named_and_not_compared():
    parameters = replace(SMALL, densities=("smooth", "jump"), pieces=(4,))
    found = {}
    for cell in itertools.chain(*climbs(parameters)):
        l2 = () if (cell.density, cell.noise) == ("jump", 0.0) else (1.0, 1.1)
        found[cell] = Measured(l2, l2, l2)
    note = noise_frontier._findings(parameters, found).note
    assert "In L² noise helps in 0 of 1 budgets and hurts in 0." in note
    assert note.endswith("Not compared, for no start verified at η = 0, or with noise: jump, 4 pieces, width 1.")


def test_an_unknown_density_is_refused():
    with pytest.raises(SettingError, match="smooth, kink, jump"):
        noise_frontier.experiment(replace(SMALL, densities=("rough",)), Setting())


def test_with_free_lengths_the_verdict_is_told_of_each_and_what_they_gain():
    parameters = replace(SMALL, pieces=(4,), lengths=("equal", "free"))
    levels = {("equal", 0.0): 1.0, ("equal", 1.0): 3.0, ("free", 0.0): 0.5, ("free", 1.0): 0.4}
    found = {}
    for cell in itertools.chain(*climbs(parameters)):
        l2 = tuple(levels[cell.lengths, cell.noise] + step for step in (-0.01, 0.0, 0.01))
        found[cell] = Measured(l2, l2, l2)
    findings = noise_frontier._findings(parameters, found)
    assert "In L² with equal lengths noise helps in 0 of 2 budgets and hurts in 2 (" in findings.note
    free = "smooth, 4 pieces of free length, width 1; jump, 4 pieces of free length, width 1"
    assert f"In L² with free lengths noise helps in 2 of 2 budgets ({free}) and hurts in 0." in findings.note
    assert "at η = 0 0.5 (0.5 to 0.5 in 2 budgets); at η = 1 0.13 (0.13 to 0.13 in 2 budgets)" in findings.note
    assert [curve.label for curve in findings.panels[0].curves] == ["4 pieces, equal", "4 pieces, free"]


def test_unknown_lengths_are_refused():
    with pytest.raises(SettingError, match="equal, free"):
        noise_frontier.experiment(replace(SMALL, lengths=("graded",)), Setting())
