"""The page of free space: it holds the numbers of the result, asks for nothing, and says what was not taken."""

import base64
import dataclasses
import hashlib
import io
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

import controlsde.cli.commands
from controlsde.report.free_scene import FreeScene
from controlsde.report.page import free_curves, free_tables, tables
from controlsde.report.page.certificate_words import PLAIN, closeness
from controlsde.report.page.chart import Curve, Ink, Scale, chart
from controlsde.report.page.free_curves import categories
from controlsde.report.page.problem_words import formulas, problem_rows
from controlsde.report.page.subject import FreeSubject, PageError, subject_of_results
from controlsde.report.page.verdict import headline, outcome, verdicts
from controlsde.report.page.writing import command, page, report_results
from controlsde.report.words import digits
from controlsde.workflow.free_comparison import FreeComparison

HOSTILE = '</script><img src=x onerror="alert(1)">{{ 7 * 7 }}<b>'
PIXELS = tuple(f"pixel_{i}_{j}" for i in range(3) for j in range(4))


class Reading(HTMLParser):
    """Tags with their attributes, and all text that is shown."""

    def __init__(self):
        super().__init__()
        self.tags, self.text, self.script, self._inside = [], "", "", None

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_endtag(self, _tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.script += data
        elif self._inside != "style":
            self.text += data


def read(subject):
    reading = Reading()
    reading.feed(page(subject))
    return reading


def of(*results):
    return FreeSubject.of_results(results)


@pytest.fixture(scope="module")
def result(made_free):
    return made_free()


@pytest.fixture(scope="module")
def comparison(made_free_comparison):
    return made_free_comparison((0.0, 1.0), d=12, names=PIXELS)


def test_the_page_asks_for_nothing_and_names_its_only_script_by_its_hash(comparison):
    reading = read(FreeSubject.of_comparison(comparison))
    policy = next(tag["content"] for name, tag in reading.tags if name == "meta" and "http-equiv" in tag)
    digest = base64.b64encode(hashlib.sha256(reading.script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    links = [value for _, tag in reading.tags for key, value in tag.items() if key in ("src", "href", "action", "data")]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    assert not re.search(r"https?://|url\(|@import", page(FreeSubject.of_comparison(comparison)))


def test_the_page_says_which_sections_it_has(made_free, comparison, made_free_simulation):
    subjects = [
        of(made_free()),
        of(made_free(d=1, network=False)),
        of(made_free(lost=True)),
        FreeSubject.of_comparison(comparison),
        FreeSubject.of_simulation(made_free_simulation()),
    ]
    for subject in subjects:
        reading = read(subject)
        links = [tag["href"][1:] for name, tag in reading.tags if name == "a"]
        assert links == [tag["id"] for name, tag in reading.tags if name == "section"]


def test_a_hostile_name_of_a_column_or_description_stays_text(made_free):
    result = made_free(names=[HOSTILE, "b", "c", "$x^2$"])
    problem = result.problem.model_copy(update={"description": HOSTILE})
    text = page(of(dataclasses.replace(result, problem=problem)))
    assert str(escape(HOSTILE)) in text
    assert HOSTILE not in text


def test_verdict_distances_and_likelihood_are_the_numbers_of_the_result(result):
    text = read(of(result)).text
    assert "Verified: at noise 1 the particles end at a mollified distance squared of 0.03 from p(T)" in text
    found = {row[0].text: [cell.text for cell in row[1:]] for row in free_tables.distances(of(result)).rows}
    one = result.tracking.distances["sliced_w2"]
    assert found["sliced Wasserstein-2"] == [
        digits(one.value), "0.024", "0.090 ± 0.020", digits(one.baseline),
    ]  # fmt: skip
    told = {row[0].text: [cell.text for cell in row[1:]] for row in free_tables.likelihoods(of(result)).rows}
    assert told["log-likelihood of 200 draws of p, nats"] == ["≥ -1.800 ± 0.050", "-1.56", "-2.8"]
    assert told["KL(p‖ρ), nats"] == ["≤ 0.250 ± 0.020", "0", ""]
    assert told["the same by paths"] == ["≤ 0.300 ± 0.020", "0", ""]


def test_without_noise_the_likelihood_is_exact_and_there_is_no_bound_by_paths(made_free):
    told = {row[0].text: row[1].text for row in free_tables.likelihoods(of(made_free(0.0, held_out=5))).rows}
    assert told["log-likelihood of 200 held-out rows, nats"] == "-1.700 ± 0.050"
    assert not any("paths" in name for name in told)


def test_a_number_of_a_comparison_is_the_mean_over_the_seeds_and_their_deviation(comparison):
    subject = FreeSubject.of_comparison(comparison)
    row = free_tables.distances(subject).rows[0]
    values = [one.tracking.distances["mollified"].value for one in comparison.at_levels[1]]
    assert row[2].text == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert "over 3 seeds" in free_tables.distances(subject).note


def test_every_seed_has_a_mark_and_the_null_its_band(comparison):
    drawn = str(free_curves.distances(FreeSubject.of_comparison(comparison))[0].chart)
    assert drawn.count('class="mark') == 6
    assert drawn.count('class="band"') == 1


def test_the_band_of_a_chart_lies_between_its_two_values():
    drawn = str(chart([], Scale(0, 1), Scale(0.0, 10.0), "words", bands=[(2.0, 4.0), (-5.0, 1.0)]))
    bands = re.findall(r'<rect class="band"[^>]*y="([\d.]+)" height="([\d.]+)"', drawn)
    assert [tuple(map(float, band)) for band in bands] == [(600.0, 200.0), (900.0, 100.0)]


def test_dots_are_one_path_and_stay_inside():
    curve = Curve([0.5, 2.0], [0.25, 0.5], Ink("#000000", "#ffffff"), line=False, dots=True)
    drawn = str(chart([curve], Scale(0, 1), Scale(0, 1), "words"))
    assert re.findall(r'class="dots ink"[^>]* d="([^"]*)"', drawn) == ["M500 750h0"]


def test_a_seed_that_is_not_verified_makes_its_level_doubtful(made_free, comparison):
    bad = made_free(1.0, d=12, names=PIXELS, seed=1, failing=True)
    others = (comparison.others[0], (bad, comparison.others[1][1]))
    subject = FreeSubject.of_comparison(dataclasses.replace(comparison, others=others))
    assert outcome(*subject.shown[1].of_seeds) == "NOT VERIFIED"
    assert headline(subject).startswith("Do not trust noise 1 (NOT VERIFIED)")
    assert "seed 1: NOT VERIFIED" in verdicts(subject)[1].reasons
    assert 'class="headline alarm"' in page(subject)


def test_a_failed_check_comes_first_with_what_it_means(made_free):
    subject = of(made_free(failing=True))
    first = tables.checks(subject)[0]
    assert (first.name, first.failed) == ("step_change", True)
    text = page(subject)
    assert str(escape(PLAIN["step_change"].failed)) in text
    assert "4 times the limit" in text


def test_lost_particles_are_said_and_no_number_is_made_up(made_free):
    reading = read(of(made_free(lost=True)))
    assert "Particles were lost on the way, so that no distance was taken." in reading.text
    assert "0.01, and none is allowed" in reading.text
    assert not re.search(r"\b(nan|inf|NaN|None)\b", reading.text)
    assert closeness(0.0, 0.0) == "and none is allowed"


def test_a_result_that_was_given_has_neither_weights_nor_convergence(made_free):
    text = page(of(made_free(network=False)))
    assert 'id="weights"' not in text
    assert 'id="convergence"' not in text
    assert "controlsde evaluate pb.yaml" in text


def test_pictures_are_on_the_page_as_they_are_in_the_data(made_free):
    subject = of(made_free(0.0, d=12, names=PIXELS, scale=4, shift=8))
    sheet = free_curves.pictures(subject, FreeScene(subject.results[0]))
    assert [label for label, _ in sheet.rows] == ["p(T)", "ρ(T), noise 0", "one Gaussian"]
    image = Image.open(io.BytesIO(base64.b64decode(sheet.rows[0][1].split(",")[1])))
    codes = np.asarray(image)[::4, ::4]
    first = subject.results[0].particles.measured(subject.results[0].particles.target)[:32].reshape(-1, 3, 4)
    shares = (first[0] - first.min()) / (first.max() - first.min())
    assert np.abs(codes[:3, :4] - 254 * shares).max() <= 1
    assert image.info["transparency"] == 255
    assert (codes[3] == 255).all()


def test_coordinates_that_are_no_pictures_have_no_section_of_them(result):
    assert 'id="pictures"' not in page(of(result))
    assert free_curves.pictures(of(result), FreeScene(result)) is None


def test_the_problem_is_told_without_a_box(made_free):
    result = made_free(0.0)
    rows = dict(problem_rows(result.problem, (0.0, 1.0), "2 Gaussians"))
    assert rows["state"].startswith("a probability density ρ(t, x) on all of R⁴, without walls")
    assert rows["data"] == "2 Gaussians"
    assert any("v* = −f + (1 + η)D₀ ∇log p" in line for line in formulas(result.problem))


def test_results_of_one_problem_go_on_one_page_and_others_do_not(made_free, made_result):
    subject = of(made_free(0.0), made_free(1.0), made_free(1.0, width=5))
    assert [one.label for one in subject.shown] == ["noise 0, width 3", "noise 1, width 3", "noise 1, width 5"]
    numbers, _, note = categories(subject)
    assert numbers == ["1", "2", "3"]
    assert note == "1: noise 0, width 3; 2: noise 1, width 3; 3: noise 1, width 5."
    assert "noise 1, width 5" in read(subject).text
    with pytest.raises(PageError, match="another domain or reference"):
        of(made_free(), made_free(d=5))
    with pytest.raises(PageError, match="lives in free space and small in a box, and no page shows both"):
        subject_of_results([made_result(), made_free()])


def test_the_command_of_a_comparison_names_its_seeds(comparison):
    wanted = "controlsde compare pb.yaml --noise 0 --noise 1 --seeds 3"
    assert command(FreeSubject.of_comparison(comparison)) == wanted


def test_particles_of_a_simulation_are_told_beside_the_result_s(made_free_simulation, tmp_path):
    simulation = made_free_simulation()
    text = simulation.report(tmp_path / "page.html").read_text("utf-8")
    assert "400 particles agree with those of the result." in text
    assert "400 other particles" in text
    assert "DISAGREE with those of the result" in page(FreeSubject.of_simulation(made_free_simulation(p=1e-9)))


def test_a_page_is_small(made_free, tmp_path):
    many = [made_free(level / 4, d=20, width=8) for level in range(8)]
    assert report_results(many, tmp_path / "many.html").stat().st_size < 1_500_000


# The commands


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def called(*words):
        monkeypatch.setattr(sys, "argv", ["controlsde", *map(str, words)])
        code = 0
        try:
            controlsde.cli.commands.main()
        except SystemExit as left:
            code = left.code or 0
        return code, capsys.readouterr().err

    return called


def test_a_page_is_made_of_files_of_free_space_and_of_a_folder_of_compare(run, made_free, comparison, tmp_path):
    made_free(0.0).save(tmp_path / "a.nc")
    made_free(1.0).save(tmp_path / "b.nc")
    assert run("report", "a.nc", "b.nc", "-o", "two.html")[0] == 0
    assert "noise 1" in (tmp_path / "two.html").read_text("utf-8")
    folder = tmp_path / "both"
    saved = [
        [one.save(folder / f"{place}-{seed}.nc") for seed, one in enumerate(level)]
        for place, level in enumerate(comparison.at_levels)
    ]
    made = FreeComparison(
        comparison.problem,
        tuple(level[0] for level in saved),
        tuple(tuple(level[1:]) for level in saved),
        comparison.cross,
        comparison.note,
    )
    made.save(folder)
    assert run("report", "both")[0] == 0
    assert "over 3 seeds" in (folder / "report.html").read_text("utf-8")


def test_free_space_and_a_box_on_one_page_are_refused_in_one_line(run, made_free, made_result, tmp_path):
    made_free().save(tmp_path / "free.nc")
    made_result().save(tmp_path / "box.nc")
    code, said = run("report", "free.nc", "box.nc", "-o", "page.html")
    assert code == 2
    assert "free.nc: lives in free space and box.nc in a box" in said
    assert not (tmp_path / "page.html").exists()


def test_a_film_of_particles_is_refused_in_one_line(run, made_free, tmp_path):
    made_free().save(tmp_path / "free.nc")
    code, said = run("film", "free.nc", "-o", "film.gif")
    assert code == 2
    assert "free.nc: lives in free space, where there is no density on a mesh to film" in said
    assert "Traceback" not in said
    assert not (tmp_path / "film.gif").exists()
