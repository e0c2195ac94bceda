"""The frontier of noise: its cells are the problems they say, are kept, taken up again, and judged by their spread."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import controlsde as cs
from controlsde.claims import noise_frontier
from controlsde.claims.harness import climbs
from controlsde.claims.harness.claim import Setting
from controlsde.claims.harness.climbs import Measured
from controlsde.claims.harness.settings import SettingError
from controlsde.claims.noise_frontier import Parameters, grid
from controlsde.control.controls import Controls
from controlsde.workflow import answering

SMALL = Parameters(densities=("smooth", "jump"), pieces=(4, 2), widths=(1,), noise=(0.0, 1.0), seeds=(0, 1))


def test_the_problem_of_a_density_is_what_the_parameters_say():
    problem = grid(replace(SMALL, iterations=7, horizon=0.2)).problem("jump", "equal")
    assert (problem.solver.iterations, problem.solver.starts, problem.reference.horizon) == (7, 1, 0.2)
    assert problem.reference.data.expression == climbs.DENSITIES["jump"]
    assert problem.controls.lengths is None
    assert grid(SMALL).problem("jump", "free").controls.shortest == pytest.approx(1e-4)


def test_what_is_climbed_in_another_way_has_another_folder():
    changes = {
        "densities": ("jump",), "pieces": (8,), "iterations": 7, "horizon": 0.2, "lengths": ("equal", "free"),
    }  # fmt: skip
    names = {grid(replace(SMALL, **{key: value})).name for key, value in changes.items()}
    assert len({grid(SMALL).name, *names}) == 6
    for more in ({"noise": (0.5,)}, {"widths": (2,)}, {"seeds": (5,)}):  # further runs of the same sweep
        assert grid(replace(SMALL, **more)).name == grid(SMALL).name


@dataclass(frozen=True)
class Solved:
    """What a sweep reads of a result, and a climb."""

    problem: cs.Problem
    controls: Controls
    status: str = "converged"

    @property
    def verified(self):
        return self.problem.solver.seed == 0  # the second start never does

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path.with_suffix(".npz"), pieces=self.problem.controls.pieces, seed=self.problem.solver.seed)
        path.touch()

    def to_json(self):
        pieces, noise = self.problem.controls.pieces, self.problem.noise
        final = 0.1 * pieces + noise + self.problem.solver.seed
        tracking = {"l2_final": final, "w1_final": 0.0, "w2_final": 0.0}
        return {"objective": 1.0 + 0.1 * pieces, "tracking": tracking}


def constant(pieces, seed):
    weights = np.full((pieces, 1, 1), float(seed))
    return Controls(weights, weights, weights[:, 0], np.linspace(0.0, 0.1, pieces + 1))


@pytest.fixture
def solved(monkeypatch):
    """Solves that only count: problem and start of each."""
    seen = []

    def solve(problem, initial=None, **_):
        seen.append((problem, initial))
        return Solved(problem, constant(problem.controls.pieces, problem.solver.seed))

    def load(path):
        stored = np.load(path.with_suffix(".npz"))
        return Solved(None, constant(int(stored["pieces"]), int(stored["seed"])))

    monkeypatch.setattr(answering, "solve", solve)
    monkeypatch.setattr(answering, "load_result", load)
    monkeypatch.setattr(climbs, "SECONDS", 0.0)  # all of them here, in no other process
    return seen


def test_cells_are_runs_of_a_sweep_that_is_taken_up_again(solved, tmp_path):
    first = noise_frontier.experiment(SMALL, Setting(folder=tmp_path))
    assert len(solved) == 2 * len(grid(SMALL).cells()) == 16
    folder = tmp_path / "noise-frontier" / grid(SMALL).name
    (lost, *_) = (folder / "runs").glob("*/run.json")
    lost.unlink()
    again = noise_frontier.experiment(SMALL, Setting(folder=tmp_path))
    assert len(solved) == 17
    values = {row.parameter: row.measured for row in first.rows}
    assert values["jump, 4 pieces, width 1, η = 1: L² at T, mean"] == pytest.approx(1.4)  # of the start that verified
    assert values["jump, 4 pieces, width 1, η = 1: starts that verified"] == 1
    assert values["of 8 answers, those whose J is above that on fewer pieces"] == 8
    np.testing.assert_equal([row.measured for row in again.rows], [row.measured for row in first.rows])
    noise_frontier.experiment(replace(SMALL, noise=(0.0, 0.5, 1.0)), Setting(folder=tmp_path))
    assert [problem.noise for problem, _ in solved[17:]] == [0.5] * 8
    assert len(cs.Sweep.load(folder).rows) == 24


def test_more_pieces_start_from_the_answers_on_fewer_of_the_same_seed(solved, tmp_path):
    noise_frontier.experiment(SMALL, Setting(folder=tmp_path))
    for problem, initial in solved:
        if problem.controls.pieces == 2:
            assert initial is None
        else:
            assert initial.pieces == 2
            np.testing.assert_array_equal(initial.A, float(problem.solver.seed))


def test_nothing_is_left_where_no_folder_was_given(solved, tmp_path, monkeypatch):
    monkeypatch.setattr(climbs.tempfile, "tempdir", str(tmp_path))
    noise_frontier.experiment(replace(SMALL, pieces=(4,)), Setting())
    assert len(solved) == 8
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("within", [0.51, 0.49])
def test_noise_is_said_to_help_or_to_hurt_only_beyond_the_spread(within):
    parameters = replace(SMALL, densities=("smooth", "kink", "jump"), pieces=(4,))
    means = {"smooth": (1.0, 0.5), "kink": (0.5, 1.0), "jump": (0.5, within)}
    found = {}
    for cell in grid(parameters).cells():
        l2 = tuple(means[cell.density][int(cell.noise)] + step for step in (-0.01, 0.0, 0.01))
        found[cell] = Measured(l2, l2, l2)
    note = noise_frontier._findings(parameters, found).note
    expected = "noise helps in 1 of 3 budgets (smooth, 4 pieces, width 1) and hurts in 1 (kink, 4 pieces, width 1)."
    assert f"In L² {expected} In W₁ {expected} In W₂ {expected}" in note


def test_budgets_without_a_verified_answer_are_named_and_not_compared():
    parameters = replace(SMALL, densities=("smooth", "jump"), pieces=(4,))
    found = {}
    for cell in grid(parameters).cells():
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
    for cell in grid(parameters).cells():
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
