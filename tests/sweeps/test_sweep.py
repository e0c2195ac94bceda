"""A sweep: every run once, gone on with, extended, and told as it is."""

import json
import multiprocessing
import re
import threading
import types
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import controlsde as cs
from controlsde.problem import ProblemError
from controlsde.sweeps.plan import Source, check_unchanged, plan_of
from controlsde.sweeps.running import do
from controlsde.sweeps.store import Row, Store
from controlsde.sweeps.sweep import Sweep, carry_on, gather
from controlsde.sweeps.variations import Variations
from tests.sweeps.cases import TINY, Counted, Inline, Interrupted, Losing


def run(folder, executor, **changes):
    asked = {"vary": {"noise": [0, 1], "solver.seed": [0, 1]}, "set": TINY, **changes}
    return cs.sweep("two-bumps", folder=folder, executor=executor, **asked)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sweep")
    run(place, Inline())
    return place


@pytest.fixture
def copy(folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "runs", dirs_exist_ok=True)
    return tmp_path / "runs"


def test_the_table_has_a_row_a_run_with_what_solve_says(folder):
    found = cs.Sweep.load(folder)
    table = found.table()
    assert list(table["noise"]) == [0, 0, 1, 1]
    assert list(table["solver.seed"]) == [0, 1, 0, 1]
    assert table["verified"].all()
    alone = cs.solve(cs.load_problem("two-bumps", set={**TINY, "noise": 1, "solver.seed": 1}))
    row = table.iloc[3]
    assert row["tracking.l2_final"] == alone.tracking.l2_final
    assert row["objective"] == alone.objective
    kept = cs.load_result(folder / row["run"] / "result.nc")
    np.testing.assert_array_equal(kept.controls.A, alone.controls.A)
    written = (folder / "sweep.csv").read_text(encoding="utf-8").splitlines()
    assert len(written) == 5
    assert written[0].startswith("problem,noise,solver.seed,status,verified,seconds,objective")


def test_dimensions_are_labelled_by_what_varies(folder):
    import xarray as xr

    with xr.open_dataset(folder / "sweep.nc", engine="h5netcdf") as data:
        assert dict(data["tracking.l2_final"].sizes) == {"noise": 2, "solver.seed": 2}
        table = cs.Sweep.load(folder).table()
        cell = data["tracking.l2_final"].sel({"noise": 1, "solver.seed": 0})
        assert float(cell) == table.iloc[2]["tracking.l2_final"]
        assert bool(data["verified"].all())


def test_what_has_ended_is_not_done_again(copy):
    again = Inline()
    run(copy, again)
    run(copy, again, vary={"noise": [0.0, 1.0], "solver.seed": np.arange(2)})  # the same numbers
    assert again.done == []
    more = Inline()
    found = run(copy, more, vary={"noise": [0, 0.5, 1], "solver.seed": [0, 1]})
    assert len(more.done) == 2
    assert all(cs.load_result(copy / "runs" / key / "result.nc").noise == 0.5 for key in more.done)
    assert len(found.rows) == 6
    assert list(found.to_dataset()["noise"]) == [0, 0.5, 1]
    fewer = run(copy, Inline(), vary={"noise": [1], "solver.seed": [0]})
    assert len(fewer.rows) == 6  # what was asked for here stays


def test_tables_and_page_are_written_again_when_what_they_are_made_of_has_changed_or_they_are_gone(copy):
    run(copy, Inline())
    names = ("sweep.csv", "sweep.nc", "sweep.html")

    def written():
        before = [(copy / name).stat().st_mtime_ns if (copy / name).exists() else 0 for name in names]
        run(copy, Inline())
        return [(copy / name).stat().st_mtime_ns for name in names] != before

    assert not written()
    (copy / "sweep.html").unlink()
    assert written()
    store = Store(copy)
    (row, *_) = store.rows(store.read_plan())
    store.write_row(replace(row, numbers={**row.numbers, "objective": 2.0}))
    assert written()
    assert ",2.0," in (copy / "sweep.csv").read_text(encoding="utf-8")
    (copy / "gathered.json").write_bytes(b"\xff")
    assert written()
    assert not written()


def test_a_run_that_was_cut_off_is_done_again(copy):
    key = Store(copy).read_plan().runs[2].key
    (copy / "runs" / key / "run.json").write_text('{"key": "', encoding="utf-8")
    missing = cs.Sweep.load(copy).missing
    assert [one.key for one in missing] == [key]
    again = Inline()
    assert run(copy, again).verified
    assert again.done == [key]


@pytest.mark.parametrize("numbers", ['{"objective": "much"}', '{"objective": true}', "[1.0]", '{"energy": {}}'])
def test_numbers_that_are_none_are_those_of_a_damaged_file(copy, numbers):
    store = Store(copy)
    key = store.read_plan().runs[0].key
    assert store.row(key) is not None
    words = f'{{"key": "{key}", "status": "converged", "verified": true, "numbers": {numbers}, "diagnosis": []}}'
    (store.place(key) / "run.json").write_text(words, encoding="utf-8")
    assert store.row(key) is None


def test_commands_that_end_at_the_same_time_leave_tables_of_all_that_is_there(copy, monkeypatch):
    store, told = Store(copy), []
    first = store.row(store.read_plan().runs[0].key)
    later, write = None, Sweep.write

    def slowly(sweep, progress):
        """Another run ends, and its command with it, while this one writes."""
        nonlocal later
        told.append(sweep.rows[0].seconds)
        if later is None:
            store.write_row(replace(first, seconds=123.0))
            later = threading.Thread(target=gather, args=(store,))
            later.start()
            later.join(0.3)
            assert later.is_alive()
        write(sweep, progress)

    monkeypatch.setattr(Sweep, "write", slowly)
    gather(store, always=True)
    later.join()
    assert told == [first.seconds, 123.0]
    assert Sweep.load(copy).written
    assert ",123.0," in (copy / "sweep.csv").read_text(encoding="utf-8")


def test_what_is_known_to_have_ended_is_not_read_again(copy):
    store = Store(copy)
    plan = store.read_plan()
    first, second, *_ = (run.key for run in plan.runs)
    store.forget(second)
    known = tuple(store.rows(plan))
    (copy / "runs" / first / "run.json").unlink()
    store.write_row(Row(second, "failed", False, None, {}, "since then"))
    again = tuple(store.rows(plan, known))
    assert again[0] is known[0] is not None
    assert again[1].error == "since then"
    assert again[2:] == known[2:]


def test_a_command_does_what_it_was_asked_for_and_the_tables_hold_all_that_is_there(copy):
    store, again = Store(copy), Inline()
    (first, *_) = store.read_plan().runs
    store.forget(first.key)
    found = run(copy, again, vary={"noise": [0, 1], "solver.seed": [1, 2]})
    assert len(again.done) == 2  # the runs of seed 2 alone: others may be at those of seed 0
    assert len(found.rows_asked_for) == 4
    assert all(row is not None for row in found.rows_asked_for)
    assert [run.key for run in found.missing] == [first.key]
    assert list(found.table()["status"]).count("missing") == 1
    assert len((copy / "sweep.csv").read_text(encoding="utf-8").splitlines()) == 7


def test_commands_that_extend_a_folder_at_the_same_time_lose_nothing(tmp_path):
    plans = [plan_of(["two-bumps"], Variations.of({"solver.seed": [seed]})) for seed in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(Store(tmp_path / "runs").extend, plans))
    kept = {run.key for run in Store(tmp_path / "runs").read_plan().runs}
    assert kept == {run.key for plan in plans for run in plan.runs}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["sweep.json"]


def test_who_goes_on_begins_anywhere_among_what_is_missing(tmp_path):
    vary = {"noise": [1], "solver.seed": list(range(40))}
    fresh, orders = Counted(), set()
    assert run(tmp_path / "new", fresh, vary=vary).missing == ()
    assert fresh.order == sorted(fresh.order)
    for number in range(8):
        place = tmp_path / str(number)
        run(place, Counted(most=3), vary=vary)
        later = Counted()
        run(place, later, vary=vary)
        assert sorted(later.order) == list(range(3, 40))
        orders.add(later.order[0])
    assert len(orders) > 1


def test_a_run_that_was_interrupted_is_missing(tmp_path, monkeypatch):
    cut = types.SimpleNamespace(status="interrupted")
    monkeypatch.setattr("controlsde.workflow.answering.solve", lambda *_, **__: cut)
    found = run(tmp_path, Inline())
    assert found.interrupted
    assert len(found.missing) == 4
    assert not list(tmp_path.rglob("run.json"))


def test_a_problem_that_was_edited_meanwhile_is_told(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(cs.load_problem("two-bumps", set=TINY).to_yaml(), encoding="utf-8")
    plan = plan_of([path], Variations.of({"noise": [0, 1]}))
    check_unchanged(plan)
    path.write_text(path.read_text(encoding="utf-8").replace("horizon: 1.5", "horizon: 1.4"), encoding="utf-8")
    with pytest.raises(cs.SweepError, match=r"mine\.yaml: has changed since the sweep began"):
        check_unchanged(plan)


def test_no_run_is_of_a_problem_that_was_edited_while_others_ran(tmp_path):
    class Edited(Inline):
        def submit(self, *arguments, **named):
            future = super().submit(*arguments, **named)
            path.write_text(path.read_text(encoding="utf-8").replace("horizon: 1.5", "horizon: 1.4"), encoding="utf-8")
            return future

    path, folder = tmp_path / "mine.yaml", tmp_path / "runs"
    path.write_text(cs.load_problem("two-bumps", set=TINY).to_yaml(), encoding="utf-8")
    with pytest.raises(cs.SweepError, match=r"mine\.yaml: has changed since the sweep began"):
        cs.sweep(path, {"noise": [0, 1]}, folder=folder, executor=Edited())
    assert [row is None for row in Store(folder).rows(Store(folder).read_plan())] == [False, True]


def test_what_is_retried_stays_until_there_is_something_new(copy):
    store = Store(copy)
    plan = store.read_plan()
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    before = list(store.rows(plan))
    with pytest.raises(cs.ExecutorError, match="takes no more work"):
        carry_on(store, plan, closed, known=[None] * 4, again=True)
    assert list(store.rows(plan)) == before
    again = Inline()
    found = carry_on(store, plan, again, known=[None, *before[1:]], again=True)
    assert again.done == [plan.runs[0].key]
    assert found.rows[0].numbers["objective"] == before[0].numbers["objective"]
    assert found.rows[0].seconds != before[0].seconds


def test_another_sweep_is_refused_and_nothing_is_changed(copy):
    before = (copy / "sweep.json").read_bytes()
    for changes, words in (
        ({"vary": {"noise": [0], "network.width": [1]}}, "holds a sweep over noise, solver.seed"),
        ({"set": {**TINY, "controls.pieces": 3}}, "holds another sweep, of two-bumps"),
    ):
        with pytest.raises(cs.SweepError, match=words):
            run(copy, Inline(), **changes)
    assert (copy / "sweep.json").read_bytes() == before


def test_a_run_that_fails_is_a_row_that_says_why(tmp_path):
    few = {key: value for key, value in TINY.items() if key != "controls.pieces"}
    vary = {"controls.pieces": [2, 8], "controls.shortest": [0.01, 0.3]}
    found = run(tmp_path, Inline(), vary=vary, set={**few, "controls.lengths": "free"})
    [(failed, row)] = found.failed  # 8 × 0.3 is longer than the horizon
    assert failed.settings == {"controls.pieces": 8, "controls.shortest": 0.3}
    assert "times 8 pieces is 2.4, and the horizon is 1.5" in row.error
    assert list(found.table()["status"]).count("failed") == 1
    assert found.table().iloc[3]["error"] == row.error


def test_what_no_run_could_use_is_refused_before_anything_is_written(tmp_path):
    for vary, words in (
        ({"noise": [0, -1]}, "noise"),
        ({"nois": [0, 1]}, "did you mean 'noise'"),
        ({"network.width": [1, "many"]}, "network.width"),
    ):
        with pytest.raises(ProblemError, match=re.escape(words)) as caught:
            run(tmp_path / "none", Inline(), vary=vary)
        assert "--set" in str(caught.value)
    assert not (tmp_path / "none").exists()


def test_a_worker_that_dies_costs_its_run_one_more_try(copy):
    for run_of_plan in Store(copy).read_plan().runs:
        Store(copy).forget(run_of_plan.key)
    once = Losing("solver.seed", 1, times=1)
    assert run(copy, once).verified
    assert once.deaths == 1
    for run_of_plan in Store(copy).read_plan().runs:
        Store(copy).forget(run_of_plan.key)
    always = Losing("noise", 1, times=99)
    found = run(copy, always)
    assert always.deaths == 4  # two runs, two tries each
    assert len(found.failed) == 2
    assert all("the worker died 2 times at it" in row.error for _, row in found.failed)
    assert sum(row.verified for row in found.rows) == 2


def test_an_interruption_keeps_what_has_ended(tmp_path):
    found = run(tmp_path, Interrupted(after=3))
    assert found.interrupted
    assert len(found.missing) == 1
    assert (tmp_path / "sweep.csv").read_text(encoding="utf-8").count("missing") == 1
    assert "4 runs: 3 verified" in (tmp_path / "sweep.html").read_text(encoding="utf-8")
    rest = Inline()
    assert run(tmp_path, rest).verified
    assert len(rest.done) == 1


def test_a_budget_begins_no_run_that_is_late(tmp_path):
    found = run(tmp_path, Inline(), budget=1e-9)
    assert len(found.missing) == 4
    assert not found.interrupted


@pytest.mark.usefixtures("several_processors")
def test_processes_find_the_same_bits(folder, tmp_path):
    found, ours = run(tmp_path, None, workers=2), cs.Sweep.load(folder)
    assert found.verified
    same_bits(found, ours)


@pytest.mark.parametrize("kind", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_callers_own_executor_is_taken_and_left_open(folder, tmp_path, kind):
    spawned = multiprocessing.get_context("spawn")
    own = ThreadPoolExecutor(2) if kind == "threads" else ProcessPoolExecutor(1, mp_context=spawned)
    with own as pool:
        found = run(tmp_path, pool)
        assert pool.submit(abs, -3).result() == 3
    same_bits(found, cs.Sweep.load(folder))


def test_a_problem_that_is_in_no_file_is_swept_too(folder, tmp_path):
    problem = cs.load_problem("two-bumps", set=TINY)
    found = cs.sweep(problem, vary={"noise": [1]}, folder=tmp_path, executor=Inline())
    ours = cs.Sweep.load(folder)
    assert found.rows[0].numbers["objective"] == ours.rows[2].numbers["objective"]


def same_bits(one, other):
    for mine, theirs in zip(one.rows, other.rows, strict=True):
        assert mine.key == theirs.key
        for name, value in mine.numbers.items():
            assert value == theirs.numbers[name] or name.startswith("seconds"), name


def rows_of(values):
    return tuple(
        Row(f"k{place}", "converged", True, 1.0, {"tracking.l2_final": value}) for place, value in enumerate(values)
    )


def test_what_varies_significantly_is_told_from_luck():
    from controlsde.sweeps.effects import effects, sentence
    from controlsde.sweeps.plan import plan_of
    from controlsde.sweeps.variations import Variations

    plan = plan_of(["two-bumps"], Variations.of({"noise": [0, 1], "solver.seed": list(range(12))}))
    rng = np.random.default_rng(0)
    luck = np.exp(0.1 * rng.standard_normal((2, 12)))
    rows = rows_of((np.array([[0.1], [0.3]]) * luck).ravel())
    found = {one.key: one for one in effects(plan, rows)}
    assert found["noise"].significant
    assert (found["noise"].least, found["noise"].most) == (0, 1)
    assert found["noise"].factor == pytest.approx(3.0, rel=0.15)
    assert not found["solver.seed"].significant
    assert sentence(plan, rows).startswith("the L² error at T varies significantly with noise: ")
    # where nothing is there, noise is called significant in about one case of twenty
    called = 0
    for _ in range(400):
        rows = rows_of(np.exp(0.1 * rng.standard_normal(24)))
        called += {one.key: one for one in effects(plan, rows)}["noise"].significant
    assert 8 <= called <= 34
    # nor is the best of all pairs of values taken for one that was chosen beforehand
    plan = plan_of(["two-bumps"], Variations.of({"noise": [0, 1, 2, 3, 4, 5], "solver.seed": list(range(8))}))
    called = 0
    for _ in range(400):
        rows = rows_of(np.exp(0.1 * rng.standard_normal(48)))
        called += {one.key: one for one in effects(plan, rows)}["noise"].significant
    assert called <= 34


def test_the_json_has_an_entry_a_run(folder):
    document = json.loads(json.dumps(cs.Sweep.load(folder).to_json(), allow_nan=False))
    assert list(document) == ["folder", "keys", "runs", "failed", "missing", "note", "entries"]
    assert document["runs"] == len(document["entries"]) == 4
    assert document["entries"][0]["settings"] == {"noise": 0, "solver.seed": 0}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none", None, "holds no sweep"),
        ("bad", "{", "is no sweep, or a damaged one"),
        ("later", json.dumps({"format": "controlsde-sweep", "format_version": 9, "sources": [], "base": {}, "keys": [],
         "runs": []}),
         "is of a later version"),
    ],
)  # fmt: skip
def test_a_folder_without_a_sweep_is_refused_in_a_line(tmp_path, name, content, words):
    place = tmp_path / name
    if content is not None:
        place.mkdir()
        (place / "sweep.json").write_text(content, encoding="utf-8")
    with pytest.raises(cs.SweepError, match=words):
        cs.Sweep.load(place)


def test_a_run_that_another_command_has_done_meanwhile_is_not_done_again(copy):
    store = Store(copy)
    run, gone = store.read_plan().runs[0], Source("gone", "no-such-problem.yaml", "")
    assert do(str(copy), run, gone, {}) == store.row(run.key)
    store.forget(run.key)
    assert do(str(copy), run, gone, {}).failed
