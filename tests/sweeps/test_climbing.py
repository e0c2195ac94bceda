"""A sweep that climbs: every run starts from the answer to the one before, whoever does it and whenever."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import controlsde as cs
from controlsde.sweeps import running, sweep_file
from controlsde.sweeps.expectation import expected
from controlsde.sweeps.plan import plan_of
from controlsde.sweeps.running import run_all
from controlsde.sweeps.store import Row, Store
from controlsde.sweeps.variations import Variations
from tests.sweeps.cases import TINY, Inline, Interrupted, Losing

BASE = {key: value for key, value in TINY.items() if key != "controls.pieces"}


def climb(folder, executor, **changes):
    asked = {"vary": {"controls.pieces": [2, 4]}, "set": BASE, "climb": "controls.pieces", **changes}
    return cs.sweep("two-bumps", folder=folder, executor=executor, **asked)


@pytest.fixture
def told(monkeypatch):
    """Runs that only say that they were done: the key of each, the run before, and whether that had ended."""
    seen = []

    def solved(store, run, *_):
        seen.append((run.settings["controls.pieces"], run.after, run.after and store.row(run.after) is not None))
        return Row(run.key, "converged", True, 0.0, {"objective": 1.0})

    monkeypatch.setattr(running, "_solved", solved)
    return seen


def plan(*pieces, **changes):
    asked = {"climb": "controls.pieces", **changes}
    return plan_of(["two-bumps"], Variations.of({"solver.seed": [0, 1, 2], "controls.pieces": list(pieces)}), **asked)


def test_a_run_starts_from_the_answer_at_the_value_before(tmp_path):
    found = climb(tmp_path, Inline())
    few, more = (cs.load_result(tmp_path / row / "result.nc") for row in found.table()["run"])
    again = cs.solve(cs.load_problem("two-bumps", set={**BASE, "controls.pieces": 4}), initial=few.controls)
    np.testing.assert_array_equal(more.controls.A, again.controls.A)
    assert found.rows[1].numbers["objective"] == again.objective
    alone = cs.sweep("two-bumps", {"controls.pieces": [2, 4]}, folder=tmp_path / "alone", executor=Inline(), set=BASE)
    assert alone.plan.runs[0].key == found.plan.runs[0].key  # which starts from nothing in either
    assert alone.plan.runs[1].key != found.plan.runs[1].key
    assert alone.rows[1].numbers["objective"] != found.rows[1].numbers["objective"]


def test_a_single_step_from_the_answer_on_fewer_pieces_is_better_than_one_from_nothing():
    few = cs.solve(cs.load_problem("two-bumps", set=TINY))
    many = cs.load_problem("two-bumps", set={**TINY, "controls.pieces": 4, "solver.iterations": 1})
    assert cs.solve(many, initial=few.controls).objective < 1.02 * few.objective < cs.solve(many).objective


def test_what_was_interrupted_goes_on_from_what_had_ended(tmp_path):
    cut = climb(tmp_path / "cut", Interrupted(1))
    assert cut.interrupted
    assert [row is None for row in cut.rows] == [False, True]
    more = Inline()
    found = climb(tmp_path / "cut", more)
    assert more.done == [found.plan.runs[1].key]
    whole = climb(tmp_path / "whole", Inline())
    assert [row.numbers["objective"] for row in found.rows] == [row.numbers["objective"] for row in whole.rows]


def test_no_run_begins_before_the_one_it_starts_from_has_ended(told, tmp_path):
    store, asked = Store(tmp_path), plan(2, 4, 8)
    store.extend(asked)
    with ThreadPoolExecutor(8) as pool:
        counts = run_all(asked.runs[::-1], asked, store, pool)
    assert (counts.ended, counts.failed, counts.left) == (9, 0, 0)
    assert sorted(pieces for pieces, *_ in told) == [2] * 3 + [4] * 3 + [8] * 3
    assert all((after is None) == (pieces == 2) and (after is None or there) for pieces, after, there in told)


def test_a_budget_leaves_what_was_not_begun(told, tmp_path):
    store, asked = Store(tmp_path), plan(2, 4, 8)
    store.extend(asked)
    counts = run_all(asked.runs, asked, store, Inline(), budget=0.0)
    assert (counts.ended, counts.left, told) == (0, 9, [])


def test_after_a_run_that_failed_the_next_one_starts_afresh(tmp_path):
    found = climb(tmp_path, Losing("controls.pieces", 2, times=2))
    assert [row.failed for row in found.rows] == [True, False]
    assert [run.settings["controls.pieces"] for run in found.afresh] == [4]
    assert "one run of the climb started afresh" in found.note
    assert [entry["after"] for entry in found.to_json()["entries"]] == [None, None]
    afresh = cs.solve(cs.load_problem("two-bumps", set={**BASE, "controls.pieces": 4}))
    assert found.rows[1].numbers["objective"] == afresh.objective


def test_values_are_added_at_the_end_and_nowhere_else(told, tmp_path):
    store = Store(tmp_path)
    store.extend(plan(2, 8))
    before = (tmp_path / "sweep.json").read_bytes()
    with pytest.raises(cs.SweepError, match=r"add values of controls\.pieces at the end only, or name another folder"):
        store.extend(plan(2, 4, 8))
    with pytest.raises(cs.SweepError, match=r"climbs along controls\.pieces, and this one climbs along nothing"):
        store.extend(plan(2, 8, climb=None))
    assert (tmp_path / "sweep.json").read_bytes() == before
    joined = store.extend(plan(2, 8, 16))
    assert len(joined.runs) == 9
    assert {run.after for run in joined.runs if run.settings["controls.pieces"] == 16} == {
        run.key for run in joined.runs if run.settings["controls.pieces"] == 8
    }
    assert store.read_plan() == joined
    assert told == []


def test_two_runs_may_start_from_the_same_one(told, tmp_path):
    store = Store(tmp_path)
    store.extend(plan(2, 4))
    joined = store.extend(plan(2, 8))
    counts = run_all(joined.runs, joined, store, Inline())
    assert (counts.ended, counts.left) == (9, 0)
    assert sorted(pieces for pieces, *_ in told) == [2, 2, 2, 4, 4, 4, 8, 8, 8]


def test_what_is_tried_again_is_followed_by_what_started_from_it():
    from controlsde.cli.sweep_commands import _good

    asked = plan(2, 4, 8)
    rows = [Row(run.key, "converged", True, 0.0, {}) for run in asked.runs]
    rows[1] = replace(rows[1], verified=False)  # of the first climb, on 4 pieces
    assert [row is None for row in _good(asked, rows)] == [False, True, True] + 6 * [False]
    assert [row is None for row in _good(replace(asked, runs=asked.runs[3:]), rows[3:])] == 6 * [False]


def test_wider_networks_start_from_narrower_ones(tmp_path):
    sets = {key: value for key, value in TINY.items() if key != "network.width"}
    found = climb(tmp_path, Inline(), vary={"network.width": [1, 2]}, set=sets, climb="network.width")
    assert found.afresh == ()
    assert found.rows[1].after == found.plan.runs[0].key
    alone = cs.solve(cs.load_problem("two-bumps", set={**sets, "network.width": 2}))
    assert found.rows[1].numbers["objective"] != alone.objective


def test_answers_that_do_not_fit_are_told(tmp_path):
    found = climb(tmp_path, Inline(), vary={"controls.pieces": [2, 3]})
    assert found.rows[1].verified is not None
    assert len(found.afresh) == 1
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert "started afresh, for the answer before was missing or did not fit: two-bumps, controls.pieces=3." in page


def test_what_never_varies_alone_cannot_be_climbed_along():
    both = Variations.of(zipped=[{"controls.pieces": [2, 4], "network.width": [1, 2]}])
    with pytest.raises(cs.SweepError, match=r"no two runs differ in controls\.pieces alone"):
        plan_of(["two-bumps"], both, climb="controls.pieces")


def test_what_is_climbed_along_must_vary():
    with pytest.raises(cs.SweepError, match=r"noise is not varied; climb along solver\.seed or controls\.pieces"):
        plan(2, 4, climb="noise")


def test_a_sweep_file_says_along_what_it_climbs(tmp_path):
    text = "problems: [two-bumps]\nvary: {controls.pieces: [2, 4]}\nclimb: controls.pieces\n"
    assert sweep_file.of_text(text, tmp_path / "sweep.yaml").climb == "controls.pieces"
    with pytest.raises(cs.SweepError, match=r"sweep\.yaml:3:8: climb must be a key that is varied"):
        sweep_file.of_text(text.replace("climb: controls.pieces", "climb: [2]"), tmp_path / "sweep.yaml")


def test_as_many_run_at_a_time_as_there_are_ways():
    asked = plan(2, 4, 8, base=BASE)
    assert expected(asked, asked.runs, 9).startswith("3 at a time")
    left = replace(asked, runs=asked.runs[2:])  # of the first way, the last run alone
    assert expected(left, left.runs, 9).startswith("3 at a time")


def test_the_page_says_how_to_climb_again(tmp_path):
    from controlsde.report.page.sweep_again import again

    found = climb(tmp_path, Inline())
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert "controls.pieces: 2, 4, each from the answer before" in page
    assert "--vary controls.pieces=2,4 " in again(found).command
    assert "--climb controls.pieces -o" in again(found).command
