"""The explorer in Chromium: sliders, solves, and what the page must never do.

Skipped where Chromium or Playwright is missing: `apt-get install chromium`, `pip install -e '.[browser]'`.
"""

import json
import re

import pytest

import controlsde as cs
from controlsde.problem.loading import parse_problem
from tests.explore.started import LONG, SMALL, SOON, start

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install -e '.[browser]'")

expect = playwright.expect
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 6000 * SOON  # milliseconds
SETTLED = "body[data-settled=yes]"


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    (folder / "small.yaml").write_text(SMALL)
    (folder / "long.yaml").write_text(LONG.replace("name: small", "name: long"))
    running = start("small.yaml", folder=folder)
    yield running
    running.process.terminate()
    running.process.wait(SOON)


@pytest.fixture
def show(browser, explorer):
    """The page in a context of its own; requests elsewhere, errors and messages of the console fail the test."""
    contexts = []

    def opened(viewport=WIDE, **settings):
        context = browser.new_context(viewport=viewport, accept_downloads=True, **settings)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.elsewhere, page.said = [], []
        page.on("request", lambda request: page.elsewhere.append(request.url) if not own(request.url) else None)
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(explorer.url)
        ready(page)
        return page

    def own(address):
        return address.startswith((f"http://127.0.0.1:{explorer.port}/", "data:", "blob:"))

    yield opened
    for context in contexts:
        for page in context.pages:
            assert getattr(page, "elsewhere", []) == []
            assert getattr(page, "said", []) == []
        context.close()


def ready(page):
    """The first preview is drawn, and the fit that begins a visit has been adopted."""
    page.wait_for_selector("body[data-fitted=yes]")
    settle(page)
    expect(page.locator("#headline")).to_contain_text("not verified", timeout=PATIENCE)


def settle(page):
    page.wait_for_selector(SETTLED)


def move(page, name, value):
    """A slider at a value, as a hand would leave it there."""
    page.locator(f"#{name}").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


def test_a_preview_is_labelled_wherever_it_is_shown(show):
    page = show()
    expect(page.locator("#headline")).to_contain_text("Preview, not verified")
    expect(page.locator("#tracks")).to_contain_text("preview, not verified")
    expect(page.locator("#error-legend")).to_contain_text("preview, not verified")


def test_a_slider_moves_the_picture_to_what_the_library_says(show):
    page = show()
    page.click("#rest")
    for noise in ("0.5", "1.75", "0"):
        move(page, "noise", noise)
        settle(page)
        expected = cs.preview(parse_problem(SMALL, set={"noise": float(noise)})).discrete.l2_final
        expect(page.locator("#headline")).to_contain_text(f"L² error at T {expected:.4g},")
        expect(page.locator('output[for="noise"]')).to_have_text(f"{float(noise):g}")


def test_a_drag_ends_on_its_last_value_with_one_request_at_a_time(show):
    page = show()
    page.click("#rest")
    settle(page)
    flying, most, asked = [0], [0], []

    def sent(request):
        if request.url.endswith("/preview"):
            flying[0] += 1
            most[0] = max(most[0], flying[0])
            asked.append(json.loads(request.post_data)["settings"]["noise"])

    def done(request):
        flying[0] -= request.url.endswith("/preview")

    page.on("request", sent)
    page.on("requestfinished", done)
    box = page.locator("#noise").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(60):
        page.mouse.move(box["x"] + 5 + (box["width"] - 10) * step / 60, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.up()
    settle(page)
    last = float(page.locator("#noise").input_value())
    assert asked[-1] == last
    assert most[0] == 1
    assert len(asked) < 60
    expected = cs.preview(parse_problem(SMALL, set={"noise": last})).discrete.l2_final
    expect(page.locator("#headline")).to_contain_text(f"L² error at T {expected:.4g},")


def test_single_weights_pieces_and_width_are_followed(show):
    page = show()
    page.click("#rest")
    settle(page)
    still = page.locator("#headline").inner_text()
    move(page, "weight-A-0", "2")
    settle(page)
    expect(page.locator("#headline")).not_to_have_text(still)
    move(page, "pieces", "7")
    move(page, "width", "3")
    settle(page)
    expect(page.locator('output[for="piece"]')).to_have_text("1 of 7")
    expect(page.locator("#neuron-row")).to_be_visible()
    move(page, "neuron", "3")
    expect(page.locator("#weight-A-0")).to_have_value("0")
    assert page.locator("#weights .plot").count() == 3


@pytest.mark.slow
def test_time_moves_by_keys_and_plays(show):
    page = show()
    page.focus("#time")
    page.keyboard.press("Home")
    expect(page.locator('output[for="time"]')).to_have_text("t = 0 (noise)")
    page.keyboard.press("End")
    expect(page.locator('output[for="time"]')).to_have_text("t = 0.2 (data)")
    assert "L² error" in page.locator("#time").get_attribute("aria-valuetext")
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#play")).to_have_text("Play", timeout=PATIENCE)
    expect(page.locator('output[for="time"]')).to_have_text("t = 0.2 (data)")


def test_a_track_can_be_hidden(show):
    page = show()
    assert page.locator('#density [data-key="now"]').get_attribute("d")
    page.locator('[data-switch="now"]').uncheck()
    assert not page.locator('#density [data-key="now"]').get_attribute("d")


def test_a_solve_is_kept_verified_compared_and_downloaded(show, tmp_path):
    page = show()
    for solver in ("shooting", "collocation"):
        page.select_option("#solver", solver)
        rows = page.locator("#runs tr").count()
        page.click("#solve")
        expect(page.locator("#runs tr")).to_have_count(rows + 1, timeout=PATIENCE)
        settle(page)
    last = page.locator("#runs tr").last
    expect(last).to_contain_text("verified")
    expect(last).not_to_contain_text("NOT VERIFIED")
    with page.expect_download() as started:
        last.locator("a", has_text="result").click()
    started.value.save_as(tmp_path / "kept.nc")
    result = cs.Result.load(tmp_path / "kept.nc")
    expect(last).to_contain_text(f"{result.tracking.l2_final:.4g}")
    with page.expect_download() as started:
        last.locator("a", has_text="YAML").click()
    started.value.save_as(tmp_path / "kept.yaml")
    assert cs.load_problem(tmp_path / "kept.yaml") == result.problem
    expect(page.locator("#tracks")).to_contain_text("verified L² error")
    with page.context.expect_page() as shown:
        page.locator("#compared a").click()
    expect(shown.value.locator("h1")).to_contain_text("small")
    shown.value.close()
    with page.context.expect_page() as shown:
        last.locator("a", has_text="report").click()
    expect(shown.value.locator(".headline")).to_contain_text("Verified")
    expect(shown.value.locator("[data-play]")).to_be_visible()  # its script runs
    shown.value.close()
    last.locator("button").click()
    expected = cs.preview(result.problem, result.controls).discrete.l2_final
    expect(page.locator("#headline")).to_contain_text(f"L² error at T {expected:.4g},")


@pytest.mark.slow
def test_sliders_stay_live_during_a_solve_a_second_is_refused_and_cancel_keeps_the_best_point(explorer, show):
    page, other = show(), show()
    for each in (page, other):
        each.set_input_files("#file", explorer.folder / "long.yaml")
        expect(each.locator("#description")).to_contain_text("long")
        ready(each)
    page.locator("#quick").uncheck()
    page.click("#solve")
    expect(page.locator("#status")).to_contain_text("objective", timeout=PATIENCE)
    expect(page.locator("#working")).to_be_visible()
    before = page.locator("#headline").inner_text()
    move(page, "noise", "0.3")
    settle(page)
    expect(page.locator("#headline")).not_to_have_text(before)
    other.locator("#solve").evaluate("(button) => { button.disabled = false; button.click(); }")
    expect(other.locator("#message")).to_contain_text("a solve is running; cancel it")
    other.said.clear()  # Chromium notes the refusal in its console
    count = page.locator("#runs tr").count()
    page.click("#cancel")
    expect(page.locator("#runs tr")).to_have_count(count + 1, timeout=PATIENCE)
    expect(page.locator("#runs tr").last).to_contain_text("interrupted")
    expect(page.locator("#cancel")).to_be_disabled()


def test_a_bad_file_is_told_in_words_and_changes_nothing(show, tmp_path):
    page = show()
    before = page.locator("#headline").inner_text()
    (tmp_path / "bad.yaml").write_text(SMALL.replace("pieces: 2", "piece: 2"))
    page.set_input_files("#file", tmp_path / "bad.yaml")
    expect(page.locator("#message")).to_contain_text("bad.yaml:8:")
    expect(page.locator("#message")).to_contain_text("did you mean 'pieces'")
    expect(page.locator("#headline")).to_have_text(before)
    page.said.clear()


@pytest.mark.slow
def test_a_file_is_dropped(show):
    page = show()
    dropped = page.evaluate_handle(
        "(text) => { const data = new DataTransfer(); data.items.add(new File([text], 'mine.yaml')); return data; }",
        SMALL.replace("name: small\n", ""),
    )
    page.dispatch_event("body", "drop", {"dataTransfer": dropped})
    expect(page.locator("#description")).to_contain_text("mine")
    ready(page)


@pytest.mark.slow
def test_a_plane_is_shown_by_pictures(show):
    page = show()
    page.select_option("#problem", "moser-square")
    expect(page.locator("#description")).to_contain_text("moser-square")
    ready(page)
    expect(page.locator("#density .panel")).to_have_count(2)
    first = page.locator('[data-panel="now"] img').get_attribute("src")
    assert first.startswith("data:image/png")
    page.focus("#time")
    page.keyboard.press("Home")
    assert page.locator('[data-panel="now"] img').get_attribute("src") != first
    expect(page.locator('[data-panel="now"] .dots path')).to_have_attribute("d", re.compile("M"))


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [
        pytest.param(WIDE, "light", id="wide-light"),
        pytest.param(NARROW, "dark", id="narrow-dark", marks=pytest.mark.slow),
        pytest.param(WIDE, "dark", id="wide-dark", marks=pytest.mark.slow),
        pytest.param(NARROW, "light", id="narrow-light", marks=pytest.mark.slow),
    ],
)
def test_nothing_keeps_anybody_out(show, viewport, scheme):
    page = show(viewport, color_scheme=scheme, bypass_csp=True)  # so that axe may run in the page
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_all_of_it_can_be_reached_by_keys(show):
    page = show()
    wanted = {
        "problem",
        "file",
        "noise",
        "horizon",
        "pieces",
        "width",
        "lengths",
        "fit",
        "rest",
        "piece",
        "solver",
        "quick",
    }
    wanted |= {"solve", "time", "play"}
    page.focus("#problem")
    met = set()
    for _ in range(60):
        met.add(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    assert wanted <= met
    page.focus("#noise")
    before = float(page.locator("#noise").input_value())
    page.keyboard.press("ArrowRight")
    settle(page)
    assert float(page.locator("#noise").input_value()) == pytest.approx(before + 0.05)
