"""The page of a sweep: its numbers are those of the runs, its links lead to them alone, it asks for nothing."""

import base64
import dataclasses
import hashlib
import json
import os
import re
import shlex
from concurrent.futures import Future
from itertools import pairwise

import numpy as np
import pytest
from markupsafe import escape

import controlsde as cs
from controlsde.problem import parse_override
from controlsde.report.page import sweep_again
from controlsde.report.page.sweep_columns import MOST_NUMBERS, columns_of, front, means
from controlsde.report.page.sweep_heat import brief, colours, luminance
from controlsde.report.page.sweep_page import headline, page_of, report_sweep
from controlsde.report.page.sweep_reports import base_of, chosen, report_runs
from controlsde.report.page.sweep_rows import MOST_ROWS
from controlsde.sweeps import sweep_file
from controlsde.sweeps.plan import Plan, Run, plan_of
from controlsde.sweeps.store import Row
from controlsde.sweeps.variations import Variations, parse_vary
from tests.report.page.sweeps import made_sweep
from tests.report.page.test_page import HOSTILE, read
from tests.sweeps.cases import Inline

GRID = {"noise": [0, 0.5, 1], "controls.pieces": [4, 8], "solver.seed": [0, 1, 2, 3]}


class Counting(Inline):
    """Work is done as it is given; `done` holds the folders that pages were written to."""

    def submit(self, function, /, *arguments, **named):
        self.done.append(os.path.basename(arguments[0]))
        future = Future()
        future.set_result(function(*arguments, **named))
        return future


def page(sweep, folder=None):
    return page_of(sweep, (folder or sweep.folder) / "sweep.html")


def data_of(text):
    return json.loads(read(text).texts["sweep-data"])


def links(text):
    return [tag["href"] for name, tag in read(text).tags if name == "a" and not tag["href"].startswith("#")]


def with_results(sweep, keys=None):
    """Something that passes for a result in the folders of the runs."""
    for run in sweep.plan.runs:
        if keys is None or run.key in keys:
            place = sweep.folder / "runs" / run.key
            place.mkdir(parents=True, exist_ok=True)
            (place / "result.nc").write_bytes(b"no result")
    return sweep


def test_the_page_asks_for_nothing_and_names_its_only_script_by_its_hash(tmp_path):
    text = page(made_sweep(tmp_path, GRID))
    reading = read(text)
    policy = next(tag["content"] for name, tag in reading.tags if name == "meta" and "http-equiv" in tag)
    script = reading.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    asked = [value for _, tag in reading.tags for key, value in tag.items() if key in ("src", "href", "action", "data")]
    assert asked
    assert all(value.startswith(("data:", "#")) for value in asked)
    assert not re.search(r"(?<!w3\.org/2000/svg)https?://(?!www\.w3\.org/2000/svg)|url\(|@import", text)


def test_the_sections_are_those_that_the_contents_name(tmp_path):
    for axes in (GRID, {"noise": [0]}):
        reading = read(page(made_sweep(tmp_path, axes)))
        named = [tag["href"][1:] for name, tag in reading.tags if name == "a" and tag["href"].startswith("#")]
        assert named == [tag["id"] for name, tag in reading.tags if name == "section"]
    assert "map" not in named  # where nothing has two values there is no map


def test_the_headline_counts_how_runs_ended(tmp_path):
    change = {
        0: None,
        1: Row("k1", "failed", False, 1.0, {}, "the mesh is too coarse"),
        2: Row("k2", "converged", False, 1.0, {"tracking.l2_final": 0.2}),
        3: Row("k3", "not-converged", True, 1.0, {"tracking.l2_final": 0.2}),
    }
    sweep = made_sweep(tmp_path, GRID, change=change)
    told = headline(sweep, columns_of(sweep))
    assert told == "24 runs: 21 verified (1 of them did not converge), 1 NOT verified, 1 failed, 1 missing."
    text = page(sweep)
    assert told in text
    assert "the mesh is too coarse" in text
    assert re.findall(r'<td class="alarm">([^<]*)</td>', text) == ["missing", "failed", "NOT VERIFIED"]


def test_a_mean_is_that_of_the_verified_runs_and_its_spread_that_over_seeds_at_otherwise_equal_settings(tmp_path):
    change = {5: Row("k5", "converged", False, 1.0, {"tracking.l2_final": 100.0}), 9: None}
    sweep = made_sweep(tmp_path, GRID, change=change)
    columns = columns_of(sweep)
    noise, pieces, _ = columns.axes
    table = sweep.table()
    kept = table[table["verified"]]
    both = means(columns, columns.main, noise, pieces)
    for row, level in zip(both.cells, GRID["controls.pieces"], strict=True):
        for cell, value in zip(row, GRID["noise"], strict=True):
            here = kept[(kept["noise"] == value) & (kept["controls.pieces"] == level)]["tracking.l2_final"]
            assert cell.mean == pytest.approx(here.mean(), rel=1e-5)
            assert cell.spread == pytest.approx(here.std(), rel=1e-4)
            assert (cell.count, cell.wanted) == (len(here), 4)
    assert both.spread_over == ("solver.seed",)
    # over pieces and seeds: what pieces do is in the mean, and not in the spread
    for cell, value in zip(means(columns, columns.main, noise, None).cells[0], GRID["noise"], strict=True):
        groups = [one["tracking.l2_final"] for _, one in kept[kept["noise"] == value].groupby("controls.pieces")]
        squares = sum(((one - one.mean()) ** 2).sum() for one in groups)
        assert cell.spread == pytest.approx(np.sqrt(squares / (sum(map(len, groups)) - 2)), rel=1e-4)


def test_without_seeds_the_spread_is_over_all_that_is_averaged(tmp_path):
    sweep = made_sweep(tmp_path, {"noise": [0, 1], "controls.pieces": [4, 8, 16]})
    columns = columns_of(sweep)
    found = means(columns, columns.main, columns.axes[0], None)
    expected = sweep.table().groupby("noise")["tracking.l2_final"].std()
    assert [cell.spread for cell in found.cells[0]] == pytest.approx(list(expected), rel=1e-4)
    assert found.spread_over == ("controls.pieces",)


def test_an_empty_cell_says_why_it_is_empty(tmp_path):
    rows = {0: None, 1: Row("k1", "failed", False, 1.0, {}, "no"), 2: Row("k2", "failed", False, 1.0, {}, "no"),
            3: Row("k3", "converged", False, 1.0, {"tracking.l2_final": 1.0})}  # fmt: skip
    sweep = made_sweep(tmp_path, {"noise": [0, 1], "solver.seed": [0, 1]}, change=rows)
    columns = columns_of(sweep)
    first = columns.measures[0]
    cells = means(columns, first, columns.axes[0], None).cells[0]
    assert [cell.words for cell in cells] == ["1 missing, 1 failed", "1 failed, 1 not verified"]
    assert "1 missing, 1 failed" in page(sweep)


def test_the_front_is_every_verified_run_that_none_beats_in_both(tmp_path):
    hidden = {3: Row("k3", "converged", False, 1.0, {"tracking.l2_final": 1e-9, "energy": 1e-9})}
    columns = columns_of(made_sweep(tmp_path, {"noise": [0, 1], "solver.seed": list(range(100))}, change=hidden))
    x, y = columns.cost, columns.main
    found = front(columns, x, y)
    assert x.name == "energy"
    pairs = np.stack([x.values, y.values], axis=1)[columns.states == 3]
    expected = [one for one in pairs if not any((other <= one).all() and (other < one).any() for other in pairs)]
    assert [list(columns_pair) for columns_pair in zip(x.values[found], y.values[found], strict=True)] == [
        list(one) for one in sorted(expected, key=lambda pair: pair[0])
    ]
    assert len(found) > 3
    more = dataclasses.replace(x, more=True)
    assert x.values[front(columns, more, y)[0]] == np.nanmax(np.delete(x.values, 3))


def test_text_on_every_shade_has_a_contrast_of_4_5_at_least():
    for place in np.linspace(0, 1, 501):
        paper, ink = colours(float(place))
        light, dark = sorted((luminance(paper), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.13548, "0.135"), (-1234.0, "−1234"), (6.25e-4, "0.000625"), (1.5e-7, "1.50·10⁻⁷")],
)
def test_numbers_in_cells_are_short(value, text):
    assert brief(value) == text


# Links, and names that wish to be more


def test_links_lead_to_a_run_s_page_where_there_is_one_else_to_its_result(tmp_path):
    sweep = with_results(made_sweep(tmp_path, {"noise": [0, 1, 2]}), {"k0", "k1"})
    (tmp_path / "runs/k1/report.html").write_text("a page", encoding="utf-8")
    assert set(links(page(sweep))) == {"runs/k0/result.nc", "runs/k1/result.nc", "runs/k1/report.html"}
    assert data_of(page(sweep))["files"] == "120"
    assert "1 of 3 runs have a page of their own." in page(sweep)
    later = (tmp_path / "runs/k1/report.html").stat().st_mtime_ns + 1
    os.utime(tmp_path / "runs/k1/result.nc", ns=(later, later))  # the page is of an earlier result
    assert set(links(page(sweep))) == {"runs/k0/result.nc", "runs/k1/result.nc"}
    failed = Row("k0", "failed", False, 1.0, {}, "no")  # and this result of an earlier try
    assert set(links(page(dataclasses.replace(sweep, rows=(failed, *sweep.rows[1:]))))) == {"runs/k1/result.nc"}


def test_links_of_a_page_elsewhere_find_the_runs_whatever_the_folder_is_called(tmp_path):
    folder = tmp_path / 'a "b" & <c>?#%20'
    sweep = with_results(made_sweep(folder, {"noise": [0, 1]}), {"k0"})
    text = page(sweep, tmp_path / "pages")
    assert set(links(text)) == {"../a%20%22b%22%20%26%20%3Cc%3E%3F%23%2520/runs/k0/result.nc"}
    assert base_of(folder, folder / "sweep.html") == "runs/"


@pytest.mark.parametrize("key", ["..", "../../etc", "a b", 'x"><script>', "javascript:alert(1)", ".hidden", ""])
def test_a_run_whose_folder_is_none_of_the_sweep_s_is_given_no_link_and_no_page(tmp_path, key):
    sweep = made_sweep(tmp_path / "sweep", {"noise": [0, 1]})
    first, second = sweep.plan.runs
    plan = dataclasses.replace(sweep.plan, runs=(dataclasses.replace(first, key=key), second))
    place = (sweep.folder / "runs" / key).resolve()
    place.mkdir(parents=True, exist_ok=True)
    (place / "result.nc").write_bytes(b"no result")
    sweep = dataclasses.replace(sweep, plan=plan)
    assert chosen(sweep) == []
    text = page(sweep)
    assert links(text) == []
    assert data_of(text)["keys"] == ["", "k1"]


def test_hostile_names_values_and_reasons_stay_text(tmp_path):
    failed = {1: Row("k1", "failed", False, 1.0, {}, HOSTILE)}
    sweep = made_sweep(tmp_path, {HOSTILE: [HOSTILE, "b"]}, problems=(HOSTILE, "b"), change=failed, base={"x": HOSTILE})
    text = page(sweep)
    tags = [name for name, _ in read(text).tags]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert HOSTILE not in text
    assert str(escape(HOSTILE)) in text
    assert HOSTILE in data_of(text)["axes"][0]["labels"]


# Many runs


def test_a_page_of_a_thousand_runs_is_small_and_says_which_rows_it_has(tmp_path):
    change = {place: Row(f"k{place}", "failed", False, 1.0, {}, f"reason {place}") for place in range(0, 1000, 2)}
    sweep = made_sweep(tmp_path, {"noise": [0, 1], "solver.seed": list(range(500))}, change=change, others=60)
    text = page(sweep)
    assert len(text.encode()) < 2_000_000
    rows = re.findall(r'<tr><th scope="row">(\d+)</th>', text.partition('id="runs"')[2])
    assert len(rows) == MOST_ROWS
    assert f"Of 1,000 runs the {MOST_ROWS - 125} verified ones with the best L² error at T" in text
    assert "the first 125 that failed or are missing" in text
    assert "reason 248" in text
    assert "reason 250" not in text
    assert len(data_of(text)["states"]) == 1000


def test_of_very_many_runs_the_page_holds_the_main_measures_alone(tmp_path, monkeypatch):
    assert MOST_NUMBERS >= 100_000
    monkeypatch.setattr("controlsde.report.page.sweep_columns.MOST_NUMBERS", 100)
    columns = columns_of(made_sweep(tmp_path, {"noise": list(range(20))}, others=9))
    assert [one.name for one in columns.measures] == [
        "tracking.l2_final", "energy", "objective", "seconds", "more.number_0",
    ]  # fmt: skip
    assert columns.left == 8
    monkeypatch.setattr("controlsde.report.page.sweep_columns.MOST_NUMBERS", 1)
    columns = columns_of(made_sweep(tmp_path, {"noise": list(range(20))}, others=9))
    assert [one.name for one in columns.measures] == ["tracking.l2_final", "energy", "seconds"]
    monkeypatch.setattr("controlsde.report.page.sweep_columns.MOST_NUMBERS", 100)
    assert "8 more are in sweep.csv" in page(made_sweep(tmp_path, {"noise": list(range(20))}, others=9))


def test_in_free_space_the_error_is_the_mollified_one_and_more_of_the_log_likelihood_is_better(tmp_path):
    numbers = {"tracking.log_likelihood.value": -3.0, "tracking.mollified.value": 0.1, "energy": 2.0}
    rows = {place: Row(f"k{place}", "converged", True, 1.0, {**numbers, "energy": 2.0 + place}) for place in range(3)}
    columns = columns_of(made_sweep(tmp_path, {"noise": [0, 1, 2]}, change=rows))
    assert columns.main.title == "mollified L², relative"
    assert {one.name for one in columns.measures if one.more} == {"tracking.log_likelihood.value"}


# Again


def test_the_command_on_the_page_gives_the_same_runs(tmp_path):
    vary = {"noise": [0, 0.25, 1], "solver.seed": [0, 1, 2], "mesh.elements": [[4], [6]], "controls.lengths": ["free"]}
    base = {"controls.pieces": 2, "network.activation": "tanh"}
    plan = plan_of(["two-bumps"], Variations.of(vary), base)
    sweep = cs.Sweep(tmp_path / "it's here", plan, (None,) * len(plan.runs))
    words = shlex.split(sweep_again.again(sweep).command)
    assert words[:3] == ["controlsde", "sweep", "two-bumps"]
    assert words[-2:] == ["-o", "it's here"]
    grid = dict(parse_vary(word) for flag, word in pairwise(words) if flag == "--vary")
    fixed = dict(parse_override(word) for flag, word in pairwise(words) if flag == "--set")
    assert plan_of([words[2]], Variations.of(grid), fixed).runs == plan.runs
    [(name, text)] = sweep_again.again(sweep).problems
    assert cs.load_problem("two-bumps", set=base).to_yaml() == text
    assert str(escape(text)) in page(sweep)
    assert name == "two-bumps"


def test_runs_that_make_no_grid_are_a_sweep_file(tmp_path):
    listed = [{"noise": 0}, {"noise": 1, "controls.pieces": 4}, {"network.width": 2}]
    plan = plan_of(["two-bumps"], Variations.of({"solver.seed": [0, 1]}, listed=listed), {"controls.bounds": 20})
    again = sweep_again.again(cs.Sweep(tmp_path, plan, (None,) * len(plan.runs)))
    assert again.command.startswith("controlsde sweep sweep.yaml -o ")
    asked = sweep_file.of_text(again.file, tmp_path / "sweep.yaml")
    found = plan_of(asked.problems, asked.variations, asked.base)
    assert {run.key for run in found.runs} == {run.key for run in plan.runs}


def test_a_problem_whose_file_says_something_else_now_is_told_as_gone(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(cs.load_problem("two-bumps").to_yaml().replace("two-bumps", "mine"), encoding="utf-8")
    plan = plan_of([file], Variations.of({"noise": [0, 1]}))
    sweep = cs.Sweep(tmp_path, plan, (None, None))
    assert "controlsde sweep mine.yaml --vary" in page(sweep)
    file.write_text(file.read_text(encoding="utf-8").replace("horizon: 1.5", "horizon: 1.0"), encoding="utf-8")
    assert sweep_again.again(sweep).gone == ("mine",)
    assert "is not where it was, or says something else now" in page(sweep)


# Pages of runs


@pytest.fixture
def solved(made_result, tmp_path):
    """A sweep of three runs with results, the last of which is damaged."""
    sweep = made_sweep(tmp_path, {"noise": [0, 1, 2]})
    for run in sweep.plan.runs[:2]:
        made_result(float(run.settings["noise"])).save(tmp_path / "runs" / run.key / "result.nc")
    return with_results(sweep, {"k2"})


def test_every_run_is_given_its_page_once_and_again_when_its_result_is_newer(solved):
    place, first = solved.folder / "runs", Counting()
    [fault] = report_runs(solved, first)
    assert fault.startswith("no page of k2: ")
    assert fault.endswith("not a result, but text; give the .nc file that `controlsde solve` wrote")
    assert sorted(first.done) == ["k0", "k1", "k2"]
    assert read((place / "k1/report.html").read_text(encoding="utf-8")).texts["title"] == "small, noise 1"
    again = Counting()
    report_runs(solved, again)
    assert again.done == ["k2"]
    later = (place / "k0/report.html").stat().st_mtime_ns + 1
    os.utime(place / "k0/result.nc", ns=(later, later))
    renewed = Counting()
    report_runs(solved, renewed)
    assert sorted(renewed.done) == ["k0", "k2"]
    assert "python" in sweep_again.made_by(solved).rows[0][1].text
    assert sweep_again.made_by(solved).rows[0][2].text == "its file cannot be read"


def test_of_many_runs_the_front_and_the_best_of_every_combination_are_given_pages(tmp_path):
    grid = {"noise": [0, 1], "controls.pieces": [4, 8], "solver.seed": list(range(20))}
    sweep = with_results(made_sweep(tmp_path, grid))
    columns = columns_of(sweep)
    found = chosen(sweep)
    best = sweep.table().groupby(["noise", "controls.pieces"])["tracking.l2_final"].idxmin()
    on_front = front(columns, columns.cost, columns.main)
    assert set(found) == {f"k{place}" for place in (*best, *on_front)}
    assert found[: len(on_front)] == [f"k{place}" for place in on_front]
    assert len(chosen(sweep, most=5)) == 5
    assert len(chosen(sweep, most=80)) == 80
    text = page(sweep)
    assert "writes it for up to 64 of them" in text
    assert "controlsde report" in text


def test_a_page_is_written_whole_beside_the_tables_or_where_it_is_asked(tmp_path):
    sweep = made_sweep(tmp_path / "sweep", GRID)
    assert sweep.report() == tmp_path / "sweep/sweep.html"
    assert sweep.report(tmp_path / "new/page.html") == tmp_path / "new/page.html"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        report_sweep(sweep, tmp_path / "taken")


def test_a_key_that_some_runs_do_not_set_has_a_level_of_its_own(tmp_path):
    runs = (Run("a", "small", {"noise": 0}), Run("b", "small", {"network.width": 2}))
    rows = tuple(
        Row(key, "converged", True, 1.0, {"tracking.l2_final": value}) for key, value in (("a", 0.1), ("b", 0.2))
    )
    sweep = made_sweep(tmp_path, {"noise": [0]})
    sweep = dataclasses.replace(sweep, plan=Plan(sweep.plan.sources, {}, ("noise", "network.width"), runs), rows=rows)
    assert [axis.labels for axis in columns_of(sweep).axes] == [
        ("0", "as the problem has it"), ("as the problem has it", "2"),
    ]  # fmt: skip
    assert "as the problem has it" in page(sweep)


def test_a_few_pages_are_written_here_and_more_by_the_executor_in_which_one_that_breaks_off_is_a_line(solved):
    steps = []
    [fault] = report_runs(solved, progress=steps.append)
    assert fault.startswith("no page of k2: ")
    assert [step.fraction for step in steps] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert all((solved.folder / "runs" / key / "report.html").is_file() for key in ("k0", "k1"))

    class Dying(Inline):
        def submit(self, _function, /, *_arguments, **_named):
            future = Future()
            future.set_exception(RuntimeError("the worker ended\nwith a trace"))
            return future

    assert report_runs(solved, Dying()) == ["no page of k2: the worker ended"]
