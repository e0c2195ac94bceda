"""The page as a file: it holds the numbers of the result, asks for nothing, and keeps what it is told as text."""

import base64
import dataclasses
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from controlsde.diagnosis import Diagnosis, Remedy
from controlsde.problem import Problem
from controlsde.problem.loading import parse_problem
from controlsde.report.page import tables
from controlsde.report.page.certificate_words import PLAIN
from controlsde.report.page.chart import Curve, Ink, Scale, around, chart, path_of, tick_text
from controlsde.report.page.film import BROKEN, POINTS, TOP, decoded, encoded, film_of, picture
from controlsde.report.page.subject import PageError, Subject
from controlsde.report.page.writing import LONGEST_YAML, page, report_results
from controlsde.report.words import MEANINGS, digits
from controlsde.verification.certificate import MOST
from controlsde.verification.free_certificate import LIMITS
from controlsde.workflow.comparison import Comparison

HOSTILE = '</script><img src=x onerror="alert(1)">{{ 7 * 7 }}<b>'


class Reading(HTMLParser):
    """Tags with their attributes, and the text of those that were asked for."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts, self._inside = [], {}, None

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = dict(attributes).get("id", tag)

    def handle_endtag(self, _tag):
        self._inside = None

    def handle_data(self, data):
        self.texts[self._inside] = self.texts.get(self._inside, "") + data


def read(text):
    reading = Reading()
    reading.feed(text)
    return reading


def shades(uri):
    """The codes of a picture, (rows, columns) as integers."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))).astype(int)


def of(*results):
    return Subject.of_results(results)


@pytest.fixture(scope="module")
def result(made_result):
    return made_result()


@pytest.fixture(scope="module")
def comparison(made_result):
    results = (made_result(0.0, elements=(12,)), made_result(1.0))
    cross = np.array([[results[0].tracking.l2_final, 0.4], [np.nan, results[1].tracking.l2_final]])
    return Comparison(results[0].problem, results, cross, "the note of the comparison")


def test_the_page_asks_for_nothing_and_names_its_only_script_by_its_hash(result):
    reading = read(page(of(result)))
    policy = next(tag["content"] for name, tag in reading.tags if name == "meta" and "http-equiv" in tag)
    script = reading.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    links = [value for _, tag in reading.tags for key, value in tag.items() if key in ("src", "href", "action", "data")]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    assert not re.search(r"https?://|url\(|@import", page(of(result)))


def test_a_hostile_description_stays_text(made_result):
    text = page(of(made_result(description=HOSTILE)))
    tags = [name for name, _ in read(text).tags]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert str(escape(HOSTILE)) in text
    assert HOSTILE not in text


@pytest.mark.parametrize("name", ["<script>alert(1)<", "a\"'onload=x", "$x^2$ & co"])
def test_a_hostile_name_stays_text_in_the_title_the_film_and_the_command(made_result, name):
    reading = read(page(of(made_result(name=name.replace("/", "")))))
    assert reading.texts["title"].startswith(name)
    assert [tag for tag, _ in reading.tags].count("script") == 2
    json.loads(reading.texts["film-data"])


def test_every_check_that_a_certificate_may_hold_is_explained_in_plain_words():
    assert set(PLAIN) == {*MOST, *LIMITS} == set(MEANINGS)
    for plain in PLAIN.values():
        assert plain.question.endswith("?")
        assert plain.how.endswith(".")
        assert plain.failed.endswith(".")


def test_a_check_that_failed_comes_first_with_what_it_means(made_result):
    subject = of(made_result(failing=True))
    first = tables.checks(subject)[0]
    assert first.name == "refined_l2_change"
    assert first.failed
    text = page(subject)
    assert str(escape(PLAIN["refined_l2_change"].failed)) in text
    assert "NOT VERIFIED" in text
    assert "6.67 times the limit" in text


def test_the_objective_of_the_answer_is_the_same_number_everywhere(result):
    text = page(of(result))
    written = digits(result.objective, 6)
    assert set(re.findall(r"J = (0\.\d+)", text)) == {written}
    assert tables.summary(of(result)).rows[0][-1].text == written


def test_hops_and_finer_meshes_are_marked_by_what_began_and_not_by_rises_of_j(result):
    begun = ["" for _ in result.history]
    begun[3], begun[7], begun[9] = "hop", "hop", "finer mesh"
    text = page(of(dataclasses.replace(result, beginnings=tuple(begun))))
    assert "a hop begins" in text
    assert "2 times a hop (a few pieces disturbed" in text
    assert "Once the mesh became finer" in text
    assert "a hop begins" not in page(of(result))  # whose J rises once, at a place that nothing is known of


def test_the_numbers_of_the_tables_are_those_of_the_result(comparison):
    subject = Subject.of_comparison(comparison)
    found = {row[0].text: [cell.text for cell in row[1:]] for row in tables.distances(subject).rows}
    assert found["L² error at T"][0] == digits(comparison.results[0].tracking.l2_final)
    assert found["L² error at T"][2] == digits(comparison.results[1].tracking.l2_final)
    cross = tables.cross(subject)
    assert [[cell.text for cell in row[1:]] for row in cross.rows] == [["0.12", "0.4"], ["—", "0.22"]]
    assert [[cell.strong for cell in row[1:]] for row in cross.rows] == [[True, False], [False, True]]


def test_the_first_clause_of_the_note_is_in_the_headline_and_the_others_below_it(comparison):
    text = page(Subject.of_comparison(replace(comparison, note="noise helps; the best starts agree; try `--quick`")))
    (found,) = re.findall(r'class="headline[^>]*>(.*?)</p>\s*<p>(.*?)</p>', text, re.DOTALL)
    headline, below = found
    assert headline.endswith("Noise helps.")
    assert below == "The best starts agree; try <code>--quick</code>."


def test_the_page_of_a_comparison_tells_its_note_and_how_to_run_it_again(comparison):
    text = page(Subject.of_comparison(comparison))
    assert "The note of the comparison." in text
    assert "controlsde compare small.yaml --noise 0 --noise 1" in text


def test_the_problem_on_the_page_is_the_problem(result):
    written = read(page(of(result))).texts["yaml"]
    assert parse_problem(written) == result.problem
    assert isinstance(result.problem, Problem)


def test_a_problem_too_long_for_a_page_is_left_in_the_result_file(result, monkeypatch):
    monkeypatch.setattr("controlsde.report.page.writing.LONGEST_YAML", 10)
    assert LONGEST_YAML > 10_000
    text = page(of(result))
    assert "too long for a page" in text
    assert 'id="yaml"' not in text


def test_the_page_says_which_sections_it_has(made_result):
    for result in (
        made_result(),
        made_result(network=False),
        dataclasses.replace(made_result(), promises=None, energy=None),
    ):
        reading = read(page(of(result)))
        links = [tag["href"][1:] for name, tag in reading.tags if name == "a"]
        assert links == [tag["id"] for name, tag in reading.tags if name == "section"]


def test_results_of_another_box_are_refused(made_result):
    with pytest.raises(PageError, match="another domain or reference than small, and cannot be compared"):
        of(made_result(), made_result(elements=(4, 4)))
    with pytest.raises(PageError, match="between 1 and 12 results"):
        of()


def test_results_at_one_noise_level_are_told_apart(made_result):
    subject = of(made_result(), made_result(width=3), made_result(0.5))
    assert [one.label for one in subject.shown] == ["noise 1, width 1", "noise 1, width 3", "noise 0.5, width 1"]
    assert len({one.ink.light for one in subject.shown}) == 3
    assert len({one.ink.dash for one in subject.shown}) == 3


def test_a_page_is_written_whole_and_small(made_result, tmp_path):
    line = report_results([made_result(0.0, moments=65), made_result(1.0, moments=65)], tmp_path / "new/both.html")
    plane = report_results([made_result(elements=(8, 4), moments=65)], tmp_path / "plane.html")
    assert 50_000 < line.stat().st_size < 1_000_000
    assert 50_000 < plane.stat().st_size < 6_000_000
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["both.html"]


# Films


def test_a_frame_is_the_density_within_a_65535th_of_its_range(made_result):
    result = made_result(elements=(5,), moments=13)
    film = film_of(of(result))
    for key, values in (("r0", result.fields.density), ("p", result.fields.reference)):
        track = film.data["tracks"][key]
        x = np.linspace(-2, 2, POINTS)
        expected = np.array([result.fields.mesh.interpolate(frame, (x,)) for frame in values])
        assert track["times"] == list(result.fields.times)
        assert np.abs(decoded(track) - expected).max() <= np.ptp(expected) / 65535


def test_between_nodes_a_frame_is_the_mesh_s_polynomial_and_not_a_line(made_result):
    result = made_result(elements=(4,), degree=8)
    frame = decoded(film_of(of(result)).data["tracks"]["r0"])[0]
    x = np.linspace(-2, 2, POINTS)
    straight = np.interp(x, result.fields.axes[0], result.fields.density[0])
    truth = np.exp(-((x + 0.4) ** 2) / 0.2) / np.sqrt(0.2 * np.pi)
    assert np.abs(frame - truth).max() < 0.1 * np.abs(straight - truth).max()


def test_what_is_not_finite_has_a_code_of_its_own():
    values = np.array([[0.0, np.nan, 1.0, np.inf]])
    stored = encoded(values)
    codes = np.frombuffer(base64.b64decode(stored["codes"]), "<u2")
    assert list(codes) == [0, BROKEN, TOP, BROKEN]
    np.testing.assert_array_equal(decoded(stored, 4), [[0.0, np.nan, 1.0, np.nan]])


def test_a_film_of_constants_and_one_of_nothing_finite_can_be_told():
    np.testing.assert_array_equal(decoded(encoded(np.full((2, 3), 7.0)), 3), 7.0)
    assert np.isnan(decoded(encoded(np.full((2, 3), np.nan)), 3)).all()


def test_a_picture_in_the_plane_has_its_peak_where_the_density_has(made_result):
    codes = shades(film_of(of(made_result(elements=(8, 4)))).data["tracks"]["p"]["images"][-1])
    assert codes.shape == (100, 200)
    row, column = np.unravel_index(int(codes.argmax()), codes.shape)
    assert abs(-2 + 4 * (column + 0.5) / 200 - 0.5) < 0.03  # the reference's centre at T
    assert abs(1 - 2 * (row + 0.5) / 100) < 0.03


def test_shades_are_of_the_root_and_what_is_not_finite_has_its_own():
    assert shades(picture(np.array([[4.0, 0.0], [1.0, np.nan]]), 4.0)).tolist() == [[254, 0], [127, 255]]


# Charts


def test_a_curve_goes_through_its_points_and_breaks_where_it_is_not_finite():
    x, y = Scale(0.0, 2.0), Scale(0.0, 10.0)
    assert path_of(x, y, [0, 1, 2], [0, 10, np.nan]) == "M0 1000L500 0"
    assert path_of(x, y, [0, 1, 2], [5, np.nan, 5]) == "M0 500M1000 500"


def test_steps_are_drawn_where_there_is_one_edge_more():
    x, y = Scale(0.0, 2.0), Scale(0.0, 10.0)
    assert path_of(x, y, [0, 1, 2], [0, 10]) == "M0 1000L500 1000L500 0L1000 0"


def test_a_logarithmic_axis_places_decades_evenly_and_leaves_out_what_has_no_logarithm():
    scale = Scale(0.01, 1.0, logarithmic=True)
    np.testing.assert_allclose(scale.place([0.01, 0.1, 1.0]), [0.0, 0.5, 1.0])
    assert np.isnan(scale.place([0.0, -1.0])).all()
    assert around([[0.0, -1.0]], logarithmic=True).logarithmic


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-4.0, "−4"), (1e-5, "10⁻⁵"), (2e-5, "2·10⁻⁵"), (250000.0, "2.5·10⁵"), (0.25, "0.25")],
)
def test_numbers_beside_an_axis_are_short(value, text):
    assert tick_text(value) == text


def test_words_on_a_chart_are_escaped_and_it_says_what_it_shows():
    drawn = str(
        chart(
            [Curve([0, 1], [0, 0.5], Ink("#000000", "#ffffff"), mark="circle", spreads=[0, 0.2])],
            Scale(0, 1, "<t>"),
            Scale(0, 1),
            'a "word"',
        )
    )
    assert "&lt;t&gt;" in drawn
    assert 'aria-label="a &#34;word&#34;"' in drawn
    assert drawn.count('class="whisker"') == 3


def test_an_error_bar_that_reaches_below_zero_is_cut_off_at_the_axis_and_has_no_cap_there():
    curve = Curve([0.5], [0.1], Ink("#000000", "#ffffff"), line=False, mark="circle", spreads=[0.3])
    drawn = str(chart([curve], Scale(0, 1), Scale(0, 1), "words"))
    bar = re.search(r'<line class="whisker"[^>]*y1="([\d.]+)%" y2="([\d.]+)%"', drawn)
    assert (float(bar[1]), float(bar[2])) == (100.0, 60.0)
    assert drawn.count("M-5 0H5") == 1


def test_the_error_at_t_is_the_same_number_in_the_film_the_table_and_the_verdict(made_result):
    result = made_result()
    result = dataclasses.replace(result, tracking=dataclasses.replace(result.tracking, l2_final=0.21987))
    subject = of(result)
    assert film_of(subject).data["tracks"]["r0"]["errors"]["words"][-1] == "0.2199"
    assert tables.summary(subject).rows[0][1].text == "0.2199"
    assert "L² distance of 0.2199 from" in page(subject)


def test_three_dimensions_are_shown_integrated_over_the_last(made_result):
    result = made_result(elements=(6, 4, 4), degree=4, moments=5)
    plane = made_result(elements=(6, 4), degree=4, moments=5)
    codes = [shades(film_of(of(one)).data["tracks"]["p"]["images"][-1]) for one in (result, plane)]
    np.testing.assert_allclose(codes[0], codes[1], atol=2)
    assert "integrated over z" in page(of(result))


def test_a_page_of_the_most_results_is_small(made_result, tmp_path):
    many = [made_result(level / 10, moments=65, degree=4) for level in range(12)]
    assert report_results(many, tmp_path / "many.html").stat().st_size < 1_000_000


def test_a_history_of_very_many_iterations_is_thinned(made_result):
    result = made_result()
    history = np.stack([np.arange(1e5), np.geomspace(1, 1e-3, 100_000), np.ones(100_000)], axis=1)
    assert len(page(of(dataclasses.replace(result, history=history)))) < 400_000


def test_an_interrupted_comparison_says_that_something_is_missing(comparison):
    text = page(Subject.of_comparison(dataclasses.replace(comparison, interrupted=True)))
    assert "Interrupted before every noise level was solved and compared." in text
    assert 'class="headline alarm"' in text


NOTHING = float("nan")


def without_particles(result):
    return dataclasses.replace(result, certificate=dataclasses.replace(result.certificate, monte_carlo=None))


def all_broken(result):
    fields = result.fields
    gone = {name: np.full_like(getattr(fields, name), np.nan) for name in ("density", "l2", "discrete_l2")}
    tracking = dataclasses.replace(
        result.tracking, **dict.fromkeys(("l2_sup", "l2_rms", "l2_final", "w2_final"), NOTHING)
    )
    return dataclasses.replace(
        result,
        status="interrupted",
        objective=NOTHING,
        starts=(NOTHING, NOTHING),
        history=np.full_like(result.history, np.nan),
        fields=dataclasses.replace(fields, **gone),
        tracking=tracking,
    )


def without_any_iteration(result):
    return dataclasses.replace(
        result, history=np.zeros((0, 3)), starts=(), iterations=0, versions={}, seconds={"verify": 1.0}
    )


@pytest.mark.parametrize("spoil", [without_particles, all_broken, without_any_iteration])
@pytest.mark.parametrize("elements", [(8,), (4, 4)])
def test_a_result_that_lacks_something_has_a_page_all_the_same(made_result, spoil, elements):
    result = spoil(made_result(elements=elements, moments=5))
    reading = read(page(of(result, made_result(0.0, elements=elements, moments=5))))
    assert json.loads(reading.texts["film-data"])["tracks"].keys() == {"p", "r0", "r1"}
    told = "".join(text for place, text in reading.texts.items() if place != "script")
    assert not re.search(r"\b(nan|inf|NaN|None)\b", told)


def test_the_remedy_of_a_failure_is_on_the_page_as_a_command_takes_it(made_result):
    entry = Diagnosis("mesh", "8 elements are too few: `auto` finds more", Remedy("mesh.elements", (16,)))
    text = page(of(dataclasses.replace(made_result(failing=True), diagnosis=(entry,))))
    assert "<code>--set &#39;mesh.elements=[16]&#39;</code>" in text
    assert "too few: <code>auto</code> finds more" in text
