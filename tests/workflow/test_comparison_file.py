"""comparison.json: a comparison comes back from files alone, and one that does not fit its results is refused."""

import json

import numpy as np
import pytest

from controlsde.result.result_file import ResultError
from controlsde.workflow.comparison import Comparison
from controlsde.workflow.comparison_file import NAME


@pytest.fixture
def written(made_result, tmp_path):
    """A comparison in files, and their folder."""
    results = tuple(made_result(noise).save(tmp_path / f"noise-{noise:g}.nc") for noise in (0.0, 1.0))
    cross = np.array([[results[0].tracking.l2_final, 0.5], [np.nan, results[1].tracking.l2_final]])
    comparison = Comparison(results[0].problem, results, cross, "“a note” of η", interrupted=True)
    comparison.save(tmp_path)
    return comparison, tmp_path


@pytest.mark.parametrize("name", ["", NAME])
def test_what_is_loaded_is_what_was_saved(written, name):
    comparison, folder = written
    loaded = Comparison.load(folder / name)
    assert loaded.note == comparison.note
    assert loaded.interrupted
    assert loaded.noise == (0.0, 1.0)
    assert [one.digest for one in loaded.results] == [one.digest for one in comparison.results]
    np.testing.assert_array_equal(loaded.cross, comparison.cross)
    assert loaded.to_json()["cross"] == comparison.to_json()["cross"]


def test_the_file_is_json_with_names_that_move_with_the_folder(written):
    _, folder = written
    stored = json.loads((folder / NAME).read_text("utf-8"))
    assert stored["results"] == ["noise-0.nc", "noise-1.nc"]
    assert stored["cross"][1][0] is None
    moved = folder.rename(folder.with_name("moved"))
    assert Comparison.load(moved).note == stored["note"]


def changed(folder, **parts):
    stored = json.loads((folder / NAME).read_text("utf-8"))
    (folder / NAME).write_text(json.dumps({**stored, **parts}), "utf-8")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"results": ["../noise-0.nc", "noise-1.nc"]}, "names a result that is not in its folder"),
        ({"results": ["noise-0.nc"]}, "not a complete comparison"),
        ({"results": ["noise-1.nc", "noise-0.nc"]}, "is not the result that"),
        ({"cross": [[0.1]]}, "a cross table that does not fit its results"),
        ({"cross": [[0.9, 0.5], [None, 0.9]]}, "other errors than its results"),
        ({"cross": [["x"]]}, "that is not a number"),
        ({"note": 3}, "that is not text"),
        ({"format_version": 2}, "is written in format 2"),
        ({"format": "other"}, "that is not one of controlsde-comparison"),
    ],
)
def test_a_file_that_was_changed_is_refused_in_one_line(written, parts, words):
    _, folder = written
    changed(folder, **parts)
    with pytest.raises(ResultError, match=words) as caught:
        Comparison.load(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_without_one_is_refused_with_the_cure(tmp_path):
    with pytest.raises(ResultError, match="does not exist; give the folder that `controlsde compare` wrote"):
        Comparison.load(tmp_path)


def test_results_of_another_folder_are_not_written_about(written, tmp_path):
    comparison, _ = written
    with pytest.raises(ValueError, match="save the results to that folder first"):
        comparison.save(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()
