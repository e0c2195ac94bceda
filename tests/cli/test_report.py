"""The command `report`: a page from files alone, and clear refusals before anything is written."""

import numpy as np
import pytest

from controlsde.workflow.comparison import Comparison

from .commands import files


@pytest.fixture
def both(folder, made_result):
    """A comparison in the folder `both`."""
    place = folder / "both"
    results = tuple(made_result(noise).save(place / f"noise-{noise:g}.nc") for noise in (0.0, 1.0))
    cross = np.array([[one.tracking.l2_final for one in results]] * 2)
    np.fill_diagonal(cross, [one.tracking.l2_final for one in results])
    Comparison(results[0].problem, results, cross, "the note").save(place)
    return place


def test_a_folder_of_compare_gives_the_page_of_the_comparison(run, both):
    answer = run("report", "both")
    assert answer.code == 0, answer.err
    assert "report: both/report.html" in answer.err
    text = (both / "report.html").read_text("utf-8")
    assert "The note." in text
    assert 'id="cross"' in text


def test_a_page_made_later_from_files_alone_is_the_one_that_was_made_at_once(run, both):
    at_once = Comparison.load(both).report(both / "at-once.html").read_text("utf-8")
    assert run("report", "both").code == 0
    assert (both / "report.html").read_text("utf-8").replace("both/", "") == at_once.replace(f"{both}/", "")


def test_several_results_make_one_page_and_one_makes_its_own(run, both):
    assert run("report", "both/noise-0.nc", "both/noise-1.nc", "-o", "new/two.html").code == 0
    two = (both.parent / "new/two.html").read_text("utf-8")
    assert "noise 0" in two
    assert "noise 1" in two
    assert 'id="cross"' not in two
    assert run("report", "both/noise-1.nc").code == 0
    assert "ρ at noise" not in (both / "report.html").read_text("utf-8")


def test_a_quiet_report_says_nothing(run, both):
    answer = run("report", "both", "-q")
    assert (answer.out, answer.err) == ("", "")
    assert (both / "report.html").is_file()


def test_a_solved_folder_can_be_named_in_place_of_its_result(run, folder, made_result):
    made_result().save(folder / "out/result.nc")
    assert run("report", "out").code == 0
    assert (folder / "out/report.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere.nc",), "nowhere.nc: no such file"),
        (("small.yaml",), "that is a problem file, not a result"),
        (("both/noise-0.nc", "-o", "both"), "both: is a folder; give a file, such as both/report.html"),
        (("both/noise-0.nc", "-o", "page.pdf"), "give a name that ends in .html"),
        (("both/noise-0.nc", "-o", "small.yaml/page.html"), "small.yaml: is not a folder"),
        (("both/noise-0.nc", "plane.nc"), "has another domain or reference"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(run, folder, both, made_result, words, said):
    assert both.is_dir()
    made_result(elements=(4, 4)).save(folder / "plane.nc")
    before = files(folder)
    answer = run("report", *words)
    assert answer.code == 2, answer.err
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert files(folder) == before


def test_a_page_that_cannot_be_written_is_a_warning_after_a_run(run, folder, monkeypatch, made_result):
    made_result(network=False).save(folder / "result.nc")

    def refuse(*_):
        raise RuntimeError("no\nway")

    monkeypatch.setattr("controlsde.report.page.writing.page", refuse)
    (folder / "out").mkdir()
    (folder / "out/report.html").write_text("of an earlier result")
    answer = run("evaluate", "small.yaml", "--set", "drift=exact", "-o", "out")
    assert answer.code == 0, answer.err
    assert "warning: out/report.html was not written: RuntimeError: no" in answer.err
    assert "out/report.html" not in files(folder)
    assert "out/result.nc" in files(folder)
