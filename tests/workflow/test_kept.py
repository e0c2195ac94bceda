"""Answers in files: a comparison or a search that is run again repeats nothing, unless something is another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import controlsde as cs
from controlsde.foundation import versions as told
from controlsde.workflow import comparison, free_comparison
from controlsde.workflow.kept import Kept, file_name
from tests.free_space.cases import BUMPS
from tests.sweeps.cases import TINY

FREE = {"controls.pieces": 2, "monte_carlo.particles": 300, "solver.starts": 1}


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    problem, folder = cs.load_problem("two-bumps", set=TINY), tmp_path_factory.mktemp("box")
    return problem, cs.compare(problem, [0.0, 1.0], folder=folder)


@pytest.fixture(scope="module")
def result(box):
    return box[1].results[1]


@pytest.fixture
def file(result, tmp_path):
    """The file of an answer, beside that of the comparison."""
    kept = Kept(tmp_path / "noise-1.nc", result.problem, cs.Result.load)
    kept.write(result)
    return kept


def test_a_comparison_goes_on_with_the_levels_that_are_missing(box, monkeypatch):
    problem, before = box
    folder = Path(before.results[0].path).parent
    assert {path.name for path in folder.iterdir()} == {"noise-0.nc", "noise-1.nc"}
    solved, solve = [], comparison.solve

    def counted(one, *arguments, **named):
        solved.append(one.noise)
        return solve(one, *arguments, **named)

    monkeypatch.setattr(comparison, "solve", counted)
    again = cs.compare(problem, [0.0, 0.5, 1.0], folder=folder)
    assert solved == [0.5]
    assert [result.digest for result in again.results][::2] == [result.digest for result in before.results]
    np.testing.assert_array_equal(again.cross[::2, ::2], before.cross)
    assert cs.compare(problem, [0.0, 1.0], folder=folder).note == before.note
    assert solved == [0.5]
    cs.compare(
        problem.model_copy(update={"network": problem.network.model_copy(update={"width": 2})}), [1.0], folder=folder
    )
    assert solved == [0.5, 1.0]


def test_in_free_space_too(tmp_path, monkeypatch):
    (tmp_path / "bumps.yaml").write_text(BUMPS, encoding="utf-8")
    problem, folder = cs.load_problem(tmp_path / "bumps.yaml", set=FREE), tmp_path / "out"
    before = cs.compare(problem, [0.0], seeds=1, folder=folder)
    solved, solve = [], free_comparison.solve_free_posed

    def counted(posed, *arguments, **named):
        solved.append((posed.problem.noise, posed.problem.solver.seed))
        return solve(posed, *arguments, **named)

    monkeypatch.setattr(free_comparison, "solve_free_posed", counted)
    again = cs.compare(problem, [0.0, 1.0], seeds=2, folder=folder)
    assert solved == [(1.0, 0), (0.0, 1), (1.0, 1)]
    assert again.results[0].digest == before.results[0].digest
    names = {"noise-0.nc", "noise-1.nc", "noise-0-seed-1.nc", "noise-1-seed-1.nc"}
    assert {path.name for path in folder.iterdir()} == names
    alone = cs.compare(problem, [0.0, 1.0], seeds=2)
    assert len(solved) == 7
    assert again.to_json()["spread"] == alone.to_json()["spread"]  # what was kept changes nothing of the rest


def test_an_answer_is_kept_for_the_same_problem_by_the_same_program(file, result, monkeypatch):
    assert file.read().digest == cs.Result.load(file.path).digest
    other = result.problem.model_copy(update={"noise": 0.5})
    assert replace(file, problem=other).read() is None
    with monkeypatch.context() as changed:
        changed.setattr(told, "CODE", "another")
        assert file.read() is None
    file.write(replace(result, status="interrupted"))
    assert file.read() is None
    file.path.write_bytes(b"damaged")
    assert file.read() is None
    file.path.unlink()
    assert file.read() is None


@pytest.mark.parametrize(
    ("kept", "interrupted", "counts"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_an_answer_that_a_remedy_changed_is_none_to_this_problem(file, result, tmp_path, kept, interrupted, counts):
    from controlsde.diagnosis import Remedy
    from controlsde.result.retry import Retry

    file.write(replace(result, retry=Retry("stuck", Remedy("solver.starts", 4), kept, interrupted)))
    assert cs.Result.load(tmp_path / "noise-1.nc").retry is not None
    found = file.read()
    assert (found is not None) == counts
    assert found is None or (found.retry is None and found.objective == result.objective)


def test_the_name_of_a_level_is_that_of_no_other_and_as_short_as_can_be():
    levels = (0.0, 0.25, 1.0, 1.0000001, 1e-7, 1 / 3)
    names = ["noise-0", "noise-0.25", "noise-1", "noise-1.0000001", "noise-1e-07", "noise-0.3333333333333333"]
    assert [file_name(level) for level in levels] == names


def test_another_program_has_another_digest(tmp_path):
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "inner" / "a.py").write_text("a = 1\n")
    (package / "notes.txt").write_text("not of the program\n")
    before = told.digest_of_code(package)
    (package / "notes.txt").write_text("changed\n")
    (package / "inner" / ".#a.py").symlink_to("somebody@somewhere")  # an editor's, of a file that is not saved
    (package / "inner" / "gone.py").symlink_to("nowhere.py")
    assert told.digest_of_code(package) == before
    (package / "inner" / "a.py").write_text("a = 2\n")
    assert told.digest_of_code(package) != before
    assert told.versions()["code"] == told.CODE == told.digest_of_code(Path(cs.__file__).parent)
