"""The page in Chromium: it shows what is in the result's file, to everybody, and asks for nothing.

Skipped where Chromium or Playwright is missing: `apt-get install chromium`, `pip install -e '.[browser]'`.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from controlsde.report.page.film import POINTS
from controlsde.report.page.writing import report_comparison, report_results
from controlsde.result.result import Result
from controlsde.workflow.comparison import Comparison
from tests.quick import slow

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install -e '.[browser]'")

HOSTILE = "</script><img src=x onerror=\"document.title='run'\">{{ 7 * 7 }}"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
KINDS = (
    ("both", "light"), ("plane", "dark"), ("hostile", "light"),
    *(
        slow(one)
        for one in (
            ("broken", "dark"), ("given", "dark"), ("interrupted", "light"), ("several", "dark"), ("both", "dark"),
            ("failed", "light"), ("failed", "dark"), ("several", "light"),
        )
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(made_result, tmp_path_factory):
    """A page of each kind; the results of `both` are in files, too, on meshes of their own."""
    place = tmp_path_factory.mktemp("pages")
    zero = made_result(0.0, elements=(7,), degree=5, moments=13).save(place / "zero.nc")
    one = made_result(1.0, elements=(4,), degree=8, moments=9).save(place / "one.nc")
    cross = np.array([[zero.tracking.l2_final, 0.4], [0.5, one.tracking.l2_final]])
    report_comparison(Comparison(zero.problem, (zero, one), cross, "a note"), place / "both.html")
    single = {
        "plane": made_result(elements=(6, 4)),
        "failed": made_result(failing=True, status="not-converged", width=9),
        "broken": made_result(broken=True),
        "hostile": made_result(name="<b onmouseover=alert(1)>x", description=HOSTILE),
        "given": made_result(network=False),
        "interrupted": dataclasses.replace(made_result(0.5, status="interrupted"), promises=None, energy=None),
    }
    errors = {0.0: 3e-2, 0.25: 4e-3, 0.5: 0.2, 1.0: float("nan")}
    several = [
        dataclasses.replace(
            made_result(noise), objective=error, tracking=dataclasses.replace(zero.tracking, l2_final=error)
        )
        for noise, error in errors.items()
    ]
    report_results(several, place / "several.html")
    for name, result in single.items():
        report_results([result], place / f"{name}.html")
    return place


@pytest.fixture
def show(browser, folder):
    """Open a page of a kind in a context without a network; requests, errors and messages are counted, and none fit."""
    contexts = []

    def opened(kind="both", viewport=WIDE, **settings):
        context = browser.new_context(viewport=viewport, offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto((folder / f"{kind}.html").as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def drawn(page, key):
    """The values that a curve on the screen shows, by its path, as (share of the width, share of the height)."""
    path = page.locator(f'[data-still="end"] [data-key="{key}"]').get_attribute("d")
    return np.array([pair.split() for pair in path.replace("M", "L").split("L")[1:]], dtype=float) / 1000


def faults(page):
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"]]) for one in axe.Axe().run(page).response["violations"]
    ]


@pytest.mark.parametrize(("kind", "scheme"), KINDS)
def test_a_page_asks_for_nothing_says_nothing_and_has_no_fault_that_axe_knows(show, folder, kind, scheme):
    page = show(kind, WIDE if scheme == "light" else NARROW, color_scheme=scheme)
    page.locator("[data-play]").click()
    page.locator("[data-play]").click()
    assert faults(page) == []
    asked = [url for url in page.asked if not url.startswith("data:")]
    assert asked == [(folder / f"{kind}.html").as_uri()]
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 24, 27)"
    )


def test_axe_would_see_a_label_that_is_missing_and_text_too_pale(show):
    page = show()
    page.evaluate("document.getElementById('slider').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('.headline').style.color = '#bbb'")
    assert {name for name, _ in faults(page)} == {"label", "color-contrast"}


def test_a_request_would_be_seen_and_is_forbidden(show):
    page = show()
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
    page.wait_for_timeout(100)
    assert any("Content Security Policy" in line for line in page.said)


@pytest.mark.parametrize("level", ["zero", "one"])
def test_a_decoded_frame_is_that_of_the_file_within_a_65535th_of_its_range(show, folder, level):
    page, stored = show(), Result.load(folder / f"{level}.nc")
    x = np.linspace(*stored.problem.domain.box[0], POINTS)
    density = stored.density.to_numpy()
    expected = np.array([stored.fields.mesh.interpolate(frame, (x,)) for frame in density])
    key = f"r{('zero', 'one').index(level)}"
    decoded = np.array(
        page.evaluate(
            "([key, n]) => [...Array(n).keys()].map(k => document.getElementById('film-data').frame(key, k))",
            [key, len(density)],
        )
    )
    assert decoded.shape == expected.shape
    assert np.abs(decoded - expected).max() <= np.ptp(expected) / 65535


def test_what_is_drawn_are_the_densities_of_two_meshes_at_the_time_of_the_slider(show, folder):
    page = show()
    first, second = (Result.load(folder / f"{level}.nc") for level in ("zero", "one"))
    film = page.evaluate("JSON.parse(document.getElementById('film-data').textContent)")
    x = np.linspace(*first.problem.domain.box[0], POINTS)
    for index in (0, 4, 12):
        page.locator("#slider").fill(str(index))
        t = film["times"][index]
        for key, result in (("r0", first), ("r1", second)):
            frames = np.array([result.fields.mesh.interpolate(frame, (x,)) for frame in result.fields.density])
            expected = np.array([np.interp(t, result.fields.times, column) for column in frames.T])
            shares = drawn(page, key)
            np.testing.assert_allclose(shares[:, 0], np.linspace(0, 1, POINTS), atol=1e-3)
            values = film["high"] - shares[:, 1] * (film["high"] - film["low"])
            np.testing.assert_allclose(values, expected, atol=2e-4 * (film["high"] - film["low"]))


def test_the_script_draws_the_end_as_it_was_drawn_before(show):
    with_script, without = show(), show(java_script_enabled=False)
    for key in ("p", "r0", "r1"):
        np.testing.assert_allclose(drawn(with_script, key), drawn(without, key), atol=2e-4)


def test_the_film_goes_by_keys_alone_and_tells_the_time_in_words(show):
    page = show()
    page.locator("#slider").focus()
    page.keyboard.press("Home")
    output, slider = page.locator("output"), page.locator("#slider")
    assert output.inner_text() == "t = 0 (noise)"
    page.keyboard.press("ArrowRight")
    assert output.inner_text() == "t = 0.08333"
    assert slider.get_attribute("aria-valuetext").startswith("t = 0.08333, L² error 0.0")
    page.keyboard.press("End")
    assert output.inner_text() == "t = 1 (data)"
    page.keyboard.press(" ")
    assert page.locator("[data-play]").inner_text() == "Pause"
    playwright.expect(output).not_to_have_text("t = 1 (data)")
    page.keyboard.press(" ")
    assert page.locator("[data-play]").inner_text() == "Play"


def test_a_film_that_plays_moves_and_stops_at_the_end(show):
    page = show()
    page.locator("#slider").fill("11")
    page.locator("[data-play]").click()
    playwright.expect(page.locator("[data-play]")).to_have_text("Play")
    assert page.locator("output").inner_text() == "t = 1 (data)"


def test_noise_levels_are_switched_off_and_on(show):
    page = show()
    curve = page.locator('[data-still="end"] [data-key="r1"]')
    box = page.locator('[data-switch="r1"]')
    assert curve.is_visible()
    box.uncheck()
    assert not curve.is_visible()
    assert page.locator('[data-still="end"] [data-key="r0"]').is_visible()
    box.focus()
    page.keyboard.press(" ")
    assert curve.is_visible()


@pytest.mark.parametrize("kind", ["both", "plane"])
def test_without_scripts_the_start_and_the_end_are_there_and_no_dead_buttons(show, kind):
    page = show(kind, java_script_enabled=False)
    assert page.locator(".still").count() == 2
    for still in page.locator(".still").all():
        assert still.is_visible()
    assert page.locator(".still-legend").is_visible()
    assert [button.is_visible() for button in page.locator("button").all()] == [False] * page.locator("button").count()


def test_on_paper_there_are_both_ends_black_on_white_and_no_buttons(show):
    page = show(color_scheme="dark")
    page.locator("#slider").fill("3")
    middle = drawn(page, "r0")
    page.emulate_media(media="print")
    playwright.expect(page.locator("output")).to_have_text("t = 1 (data)")
    end = drawn(page, "r0")
    assert [still.is_visible() for still in page.locator(".still").all()] == [True, True]
    assert not page.locator(".controls").is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(34, 34, 34)"
    page.emulate_media(media="screen")
    playwright.expect(page.locator("output")).to_have_text("t = 0.25")
    assert np.abs(end - middle).max() > 0.01
    np.testing.assert_array_equal(drawn(page, "r0"), middle)


def test_on_a_phone_text_is_as_large_and_the_verdict_stays_in_sight(show):
    sizes = [
        page.evaluate(
            "[...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height).filter(h => h)"
        )
        for page in (show(), show(viewport=NARROW))
    ]
    assert len(sizes[0]) == len(sizes[1]) > 50
    np.testing.assert_allclose(sizes[0], sizes[1], atol=0.5)
    assert min(sizes[1]) > 9
    page = show(viewport=NARROW)
    table = page.locator("#verdict .scroll")
    assert table.evaluate("one => one.scrollWidth > one.clientWidth")
    table.evaluate("one => { one.scrollLeft = 1000; }")
    heading = table.locator("tbody th").first
    assert "verified" in heading.inner_text()
    box = heading.bounding_box()
    assert 0 <= box["x"] < 30
    assert box["x"] + box["width"] <= 0.45 * 390


def test_a_chart_fits_a_window_that_becomes_narrow(show):
    page = show()
    page.set_viewport_size(NARROW)
    wide = page.evaluate("[...document.querySelectorAll('.plot')].map(one => one.getBoundingClientRect().right)")
    assert max(wide) <= 390
    curve = page.locator('[data-still="end"] [data-key="p"]').bounding_box()
    assert curve["width"] > 250


def test_in_the_plane_the_slider_changes_the_images_and_the_arrows(show):
    page = show("plane")
    panel = page.locator('[data-still="end"] [data-panel="r0"]')
    before = panel.locator("img").get_attribute("src"), panel.locator("path").first.get_attribute("d")
    page.locator("#slider").fill("0")
    after = panel.locator("img").get_attribute("src"), panel.locator("path").first.get_attribute("d")
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert after[1].startswith("M")
    box = panel.locator(".picture").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(2.0, rel=0.02)


def test_a_density_that_breaks_off_leaves_a_gap_and_says_so(show):
    page = show("broken")
    assert page.locator('[data-still="end"] [data-key="r0"]').get_attribute("d") == ""
    assert page.locator('[data-error="r0"]').inner_text() == "L² error not finite"
    assert "stopped being finite" in page.locator(".headline").inner_text()
    page.locator("#slider").fill("0")
    assert page.locator('[data-still="end"] [data-key="r0"]').get_attribute("d").startswith("M")
    assert "NaN" not in page.locator("main").inner_text()


def test_a_hostile_name_is_shown_and_does_nothing(show):
    page = show("hostile")
    assert page.title().startswith("<b onmouseover=alert(1)>x")
    assert HOSTILE in page.locator(".description").inner_text()
    assert page.locator("img").count() == 0


def test_the_problem_can_be_copied(show):
    page = show()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator('[data-copy="command"]')
    button.click()
    playwright.expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "controlsde compare small.yaml --noise 0 --noise 1"


def test_a_table_of_several_results_is_sorted_by_keys_alone_down_up_and_as_it_was(show):
    page = show("several")
    table = page.locator("#verdict table")

    def errors():
        return [
            float(text) if text[0].isdigit() else None
            for text in table.locator("tbody td:nth-child(2)").all_inner_texts()
        ]

    head = table.locator("th[scope=col]").first
    given = errors()
    assert given == [0.03, 0.004, 0.2, None]
    for order, expected in (
        ("ascending", [0.004, 0.03, 0.2, None]),
        ("descending", [0.2, 0.03, 0.004, None]),
        (None, given),
    ):
        head.locator("button").press("Enter")
        assert errors() == expected
        assert head.get_attribute("aria-sort") == order
    assert page.said == []


def test_a_table_of_two_results_has_nothing_to_sort(show):
    assert show("both").locator("th button").count() == 0
    assert show("several", java_script_enabled=False).locator("th button").count() == 0


def test_links_lead_to_sections(show):
    page = show()
    page.locator("nav a", has_text="certificate").click()
    assert page.locator("#certificate h2").evaluate("one => Math.abs(one.getBoundingClientRect().top)") < 60
    assert Path(page.url.split("#")[0]).name == "both.html"
