"""A result file that an earlier version wrote, with the document that it printed: both are read as they were meant."""

import json
from pathlib import Path

import numpy as np
import pytest

import controlsde as cs

DATA = Path(__file__).parent.parent / "data"
FILE = DATA / "result-format-4.nc"

NEW = ("energy", "energy_bound", "price", "energy_details")  # was not measured then


@pytest.fixture(scope="module")
def old():
    return cs.Result.load(FILE)


def test_an_old_file_says_what_was_printed_when_it_was_written(old):
    printed = json.loads((DATA / "result-format-4.json").read_text("utf-8"))
    told = {**old.to_json(), "result": None}
    assert [told.pop(name) for name in NEW] == [None] * len(NEW)
    assert told["certificate"].pop("energy_bound_refined") is None
    assert told == printed
    assert old.verified
    assert old.digest


def test_its_controls_evaluate_to_the_same_numbers(old):
    again = cs.evaluate(old.problem, cs.Controls.load(FILE))
    assert again.objective == pytest.approx(old.objective, rel=1e-9)
    for name in ("l2_final", "tv_final", "w2_final", "h_1_final"):
        assert getattr(again.tracking, name) == pytest.approx(getattr(old.tracking, name), rel=1e-9)
    np.testing.assert_allclose(again.fields.density[-1], old.fields.density[-1], atol=1e-12)


def test_its_densities_are_on_a_mesh_and_it_can_be_written_again(old, tmp_path):
    assert old.fields.final.mass == pytest.approx(1.0, abs=1e-12)
    assert old.fields.final.l2(lambda _: old.fields.reference[-1]) == pytest.approx(old.tracking.l2_final, rel=1e-6)
    copy = cs.Result.load(old.save(tmp_path / "copy.nc").path)
    assert copy.to_json()["tracking"] == old.to_json()["tracking"]
    assert copy.problem == old.problem
