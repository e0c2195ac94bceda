"""The page of a sweep in Chromium: what the script draws is what was computed, for whatever keys a reader chooses.

Skipped where Chromium or Playwright is missing: `apt-get install chromium`, `pip install -e '.[browser]'`.
"""

import numpy as np
import pytest

from controlsde.report.page.sweep_columns import columns_of, front, means
from controlsde.report.page.sweep_heat import brief
from controlsde.report.page.sweep_page import report_sweep
from controlsde.sweeps.store import Row
from tests.quick import slow
from tests.report.page.sweeps import made_sweep

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install -e '.[browser]'")

HOSTILE = "<img src=x onerror=\"document.title='run'\">"
GRID = {
    "noise": [0, 0.25, 1],
    "controls.pieces": [4, 8],
    "network.activation": ["tanh", HOSTILE],
    "solver.seed": [0, 1, 2],
}
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    place = tmp_path_factory.mktemp("sweep")
    change = {place: Row(f"k{place}", "failed", False, 1.0, {}, HOSTILE) for place in (0, 1, 2, 6, 7, 8)}
    change[35] = Row("k35", "converged", False, 1.0, {"tracking.l2_final": 40.0, "energy": 0.5, "objective": 1.0})
    change[34] = None
    made = made_sweep(place, GRID, change=change)
    for key in ("k3", "k4"):
        (place / "runs" / key).mkdir(parents=True)
        (place / "runs" / key / "result.nc").write_bytes(b"no result")
    (place / "runs/k4/report.html").write_text("<title>run 5</title>", encoding="utf-8")
    report_sweep(made)
    return made


@pytest.fixture
def show(browser, sweep):
    contexts = []

    def opened(viewport=WIDE, **settings):
        context = browser.new_context(viewport=viewport, offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto((sweep.folder / "sweep.html").as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def cells(page):
    """The words of the heat map, a row each."""
    rows = page.locator("#heat tbody tr").all()
    return [[" ".join(cell.locator("span").all_inner_texts()) for cell in row.locator("td").all()] for row in rows]


def expected(found):
    counted = any(cell.wanted > 1 for row in found.cells for cell in row)
    return [[_words(cell, counted) for cell in row] for row in found.cells]


def _words(cell, counted):
    if not cell.count:
        return cell.words
    spread = f" ± {brief(cell.spread, 2)}" if np.isfinite(cell.spread) else ""
    of = f" of {cell.wanted}" if cell.count < cell.wanted else ""
    return f"{brief(cell.mean)}{spread}" + (f" n {cell.count}{of}" if counted else "")


@pytest.mark.parametrize(("viewport", "scheme"), [(NARROW, "dark"), slow((WIDE, "light"))])
def test_the_page_asks_for_nothing_says_nothing_and_has_no_fault_that_axe_knows(show, sweep, viewport, scheme):
    page = show(viewport, color_scheme=scheme)
    for name in ("map", "front"):
        page.locator(f"#{name}-choices [name=unverified]").check()
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []
    assert [url for url in page.asked if not url.startswith("data:")] == [(sweep.folder / "sweep.html").as_uri()]
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.title() != "run"
    assert page.locator("img").count() == 0


def test_the_script_draws_at_first_what_stands_there_without_it(show):
    with_script, without = show(), show(java_script_enabled=False)
    for name in ("#heat", "#map-told", "#front-table"):
        assert with_script.locator(name).inner_text() == without.locator(name).inner_text()
    shades = "[...document.querySelectorAll('#heat td')].map(one => one.style.background + one.style.color)"
    assert with_script.evaluate(shades) == without.evaluate(shades)
    assert not without.locator("form").first.is_visible()
    assert without.locator("noscript").inner_text().startswith("Scripts are off")
    assert len(without.locator(".runs tbody tr").all()) == 36


def test_any_two_keys_are_drawn_and_the_rest_is_averaged_or_fixed(show, sweep):
    page, columns = show(), columns_of(sweep)
    by_key = {axis.key: axis for axis in columns.axes}
    measures = {one.name: one for one in columns.measures}
    form = page.locator("#map-choices")
    form.locator("[name=measure]").select_option("energy")
    form.locator("[name=across]").select_option(label="solver.seed")
    form.locator("[name=down]").select_option(label="noise")
    assert cells(page) == expected(means(columns, measures["energy"], by_key["solver.seed"], by_key["noise"]))
    assert "the mean over controls.pieces and network.activation" in page.locator("#map-told").inner_text()
    form.locator("[name=across]").select_option(label="noise")  # what was across goes down
    assert form.locator("[name=down] option:checked").inner_text() == "solver.seed"
    form.locator("[name=down]").select_option(label="nothing")
    assert cells(page) == expected(means(columns, measures["energy"], by_key["noise"], None))
    assert page.locator("#lines .mark").count() == 3
    form.locator("[data-fixed='1']").select_option(label="8")
    table = sweep.table()
    kept = table[table["verified"] & (table["controls.pieces"] == 8) & (table["noise"] == 0.25)]
    assert cells(page)[0][1].startswith(f"{brief(kept['energy'].mean())} ")
    assert "at controls.pieces 8" in page.locator("#map-told").inner_text()


@pytest.mark.slow
def test_what_is_not_verified_is_shown_when_it_is_asked_for_and_marked(show):
    page = show()
    form = page.locator("#map-choices")
    form.locator("[name=across]").select_option(label="solver.seed")
    assert "†" not in page.locator("#heat").inner_text()
    form.locator("[name=unverified]").check()
    assert page.locator("#heat").inner_text().count("†") == 1
    assert page.locator("#lines .mark.hollow").count() == 1
    points = page.locator("#points .plot .mark")
    before = points.count()
    page.locator("#front-choices [name=unverified]").check()
    assert (points.count(), page.locator("#points .plot .mark.hollow").count()) == (before + 1, 1)


def test_points_lead_to_their_runs_and_the_front_is_that_of_the_measures_chosen(show, sweep):
    page, columns = show(), columns_of(sweep)
    measures = {one.name: one for one in columns.measures}
    page.locator("#front-choices [name=x]").select_option("seconds")
    page.locator("#front-choices [name=y]").select_option("energy")
    numbers = [int(text) - 1 for text in page.locator("#front-table tbody th").all_inner_texts()]
    assert numbers == front(columns, measures["seconds"], measures["energy"])
    assert page.locator("#points a").count() == 2
    link = page.locator("#points a[aria-label^='run 5:']")
    assert link.get_attribute("href") == "runs/k4/report.html"
    assert link.get_attribute("aria-label").startswith("run 5: noise 0, controls.pieces 4, network.activation <img")
    link.dispatch_event("click")
    page.wait_for_url("**/runs/k4/report.html")
    assert page.title() == "run 5"


@pytest.mark.slow
def test_runs_are_sorted_by_numbers_and_by_words(show):
    page = show()
    heads = page.locator(".runs thead th button")
    heads.filter(has_text="L² at T").press("Enter")
    column = page.locator(".runs tbody td:nth-child(7)").all_inner_texts()
    known = [float(text) for text in column if text != "—"]
    assert known == sorted(known)
    assert column[len(known) :] == ["—"] * 7
    heads.filter(has_text="outcome").press("Enter")
    words = page.locator(".runs tbody td:nth-child(6)").all_inner_texts()
    assert sorted(words, key=str.lower) == words
    assert words[:6] == ["failed"] * 6


@pytest.mark.slow
def test_on_paper_there_are_drawings_and_tables_and_no_choices(show):
    page = show(color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator("form").first.is_visible()
    assert page.locator("#lines svg").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(34, 34, 34)"
