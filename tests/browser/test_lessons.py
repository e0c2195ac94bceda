"""Lessons in Chromium, as `controlsde learn` serves them: answers are told, formulas are there, nothing else is asked.

Skipped where something is missing: `apt-get install chromium`, `pip install -e '.[browser,learn]'`.
"""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from controlsde.lessons.contents import LESSONS, lesson_called
from controlsde.lessons.exercises import Choice, Function

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install -e '.[browser]'")
pytest.importorskip("marimo", reason="needs marimo: pip install -e '.[learn]'")

THERE = [one for one in LESSONS if one.notebook.is_file()]
WIDE, NARROW = {"width": 1100, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 90_000  # milliseconds, on a busy machine
OURS = ".lesson"
SOON = ("one_neuron",)  # the others are much like it


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the lessons are served; nothing was written beside the notebooks when it ends."""
    folder = tmp_path_factory.mktemp("served")
    beside = {path.name for path in Path(THERE[0].notebook).parent.iterdir() if path.name != "__pycache__"}
    running = subprocess.Popen(
        [sys.executable, "-m", "controlsde", "learn", "--no-browser"],
        cwd=folder, stderr=subprocess.PIPE, text=True, env=dict(os.environ, HOME=str(folder), TMPDIR=str(folder)),
    )  # fmt: skip
    try:
        line = next(line for line in running.stderr if "http://" in line)
        yield re.search(r"http://\S+", line).group(0)
        running.terminate()
        assert running.wait(timeout=30) == 130
        assert running.stderr.read() == "interrupted\n"
        after = {path.name for path in Path(THERE[0].notebook).parent.iterdir() if path.name != "__pycache__"}
        assert after == beside
        assert [path.name for path in folder.iterdir() if path.name.startswith("controlsde")] == []
    finally:
        running.kill()
        running.wait()
        running.stderr.close()


@contextmanager
def visits(browser, address):
    """To open a lesson, whole; a request to another host than this machine, or an error of the page, fails the test."""
    contexts, asked, errors = [], [], []

    def opened(one, viewport=WIDE, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address if one is None else address.replace("/?", f"/{one.number}/?"))
        if one is not None:
            page.get_by_text(f"0 of {len(one.exercises)} exercises solved").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    outside = [url for url in asked if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:", url)]
    assert outside == []
    assert errors == []


@pytest.fixture
def show(browser, address):
    with visits(browser, address) as opened:
        yield opened


@pytest.fixture(scope="module")
def neuron(browser, address):
    """The lesson of one neuron, opened once; no test of it expects an exercise not to have been answered."""
    with visits(browser, address) as opened:
        yield opened(lesson_called("one_neuron"))


def form(page, exercise):
    """The form of an exercise, by its title."""
    return page.locator("marimo-form").filter(has_text=f"Exercise: {exercise.title}.")


def said(page, exercise):
    """What is said of the answer to an exercise: the first verdict after its form."""
    number = [each.key for each in lesson_of(exercise).exercises].index(exercise.key)
    return page.locator(f"{OURS}.verdict").nth(number)


def lesson_of(exercise):
    return next(one for one in THERE if exercise in one.exercises)


def give(page, exercise, answer):
    """Answer an exercise as a person does, and press Check."""
    held = form(page, exercise)
    if isinstance(exercise, Choice):
        held.get_by_label(answer, exact=True).click()
    elif isinstance(exercise, Function):
        editor = held.locator(".cm-content")
        editor.click()
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.keyboard.insert_text(answer)
    else:
        held.locator("input[type=text]").fill(answer)
    held.get_by_role("button", name="Check").click()


def faults(page):
    """Serious violations that axe finds in what is ours, with where."""
    found = axe.Axe().run(page, context=OURS).response["violations"]
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    "one",
    [one if one.name in SOON else pytest.param(one, marks=pytest.mark.slow) for one in THERE],
    ids=lambda one: one.name,
)
def test_a_lesson_is_whole_tells_right_from_wrong_asks_nobody_else_and_fits_a_phone_in_the_dark(show, one):
    page = show(one)
    assert page.locator(".katex").count() > 5
    assert page.locator(".katex-error").count() == 0
    assert page.locator(f"{OURS} .plot svg.field").count() >= 2
    assert page.locator("marimo-form").count() == len(one.exercises)
    assert page.locator(f"{OURS}.verdict").all_inner_texts() == ["Not answered yet."] * len(one.exercises)
    assert faults(page) == []
    assert page.get_by_text(re.compile("traceback|an internal error occurred", re.IGNORECASE)).count() == 0
    told(page, one.exercises[0])
    page.set_viewport_size(NARROW)
    page.emulate_media(color_scheme="dark")
    page.locator("body.dark").wait_for()
    fits_a_phone_in_the_dark(page)


def fits_a_phone_in_the_dark(page):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    scrolled = page.evaluate(
        "[...document.querySelectorAll('.lesson, .lesson *')].filter(e => !e.closest('svg'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert scrolled == []
    background, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.lesson')).color]"
    )
    assert brightness(background) < 60 < 180 < brightness(ink)
    stroke = page.evaluate("getComputedStyle(document.querySelector('.lesson path.curve.ink')).stroke")
    assert brightness(stroke) > 110
    assert faults(page) == []


@pytest.mark.slow
def test_a_lesson_opened_on_a_phone_in_the_dark_fits_it(show):
    page = show(THERE[0], NARROW, "dark")
    assert page.evaluate("document.body.classList.contains('dark')")
    fits_a_phone_in_the_dark(page)


def brightness(colour):
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def told(page, exercise):
    """A wrong answer is told its mistake, and the right one is accepted."""
    give(page, exercise, exercise.mistakes[0].answer)
    verdict = said(page, exercise)
    verdict.get_by_text("Not yet.").wait_for()
    assert verdict.get_attribute("role") == "status"
    assert squeezed(exercise.mistakes[0].says.split("$")[0]) in squeezed(verdict.inner_text())
    give(page, exercise, exercise.right[-1])
    verdict.get_by_text("Right.").wait_for()
    assert squeezed(exercise.explanation.split("$")[0]) in squeezed(verdict.inner_text())
    page.get_by_text(f"1 of {len(lesson_of(exercise).exercises)} exercises solved").wait_for()


@pytest.mark.slow
def test_a_function_that_is_written_is_told_its_mistake_and_accepted_when_right(show):
    one = lesson_called("density_as_state")
    page = show(one)
    told(page, one.exercises[5])
    assert faults(page) == []


def squeezed(text):
    return " ".join(text.replace("`", "").replace("*", "").split())


def test_a_choice_is_made_without_a_mouse(neuron):
    page, exercise = neuron, lesson_called("one_neuron").exercises[0]
    held = form(page, exercise)
    held.get_by_role("radio").first.focus()
    wrong = exercise.options.index(exercise.mistakes[0].answer)
    for _ in range(wrong):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("deepest = e => e.shadowRoot ? deepest(e.shadowRoot.activeElement) : e.innerText;"
                         "deepest(document.activeElement)") == "Check"  # fmt: skip
    page.keyboard.press("Enter")
    said(page, exercise).get_by_text("Not yet.").wait_for()


def test_a_formula_is_written_and_checked_without_a_mouse(neuron):
    page, exercise = neuron, lesson_called("one_neuron").exercises[1]
    form(page, exercise).locator("input[type=text]").focus()
    page.keyboard.type(exercise.right[0])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    said(page, exercise).get_by_text("Right.").wait_for()


def test_a_slider_moves_its_picture(neuron):
    page = neuron
    before = page.locator(f"{OURS} path.curve").first.get_attribute("d")
    page.get_by_role("slider").first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("d => document.querySelector('.lesson path.curve').getAttribute('d') !== d", arg=before)


def test_the_hand_in_holds_what_was_answered(neuron):
    page, exercise = neuron, lesson_called("one_neuron").exercises[1]
    give(page, exercise, "b/w")
    said(page, exercise).get_by_text("Not yet.").wait_for()
    page.wait_for_timeout(1000)  # the summary follows its own cell
    with page.expect_download() as waiting:
        page.get_by_text("Download your answers").click()
    assert waiting.value.suggested_filename == "one_neuron.json"
    text = Path(waiting.value.path()).read_text("utf-8")
    assert '"turn": "b/w"' in text


def test_the_page_of_contents_leads_to_every_lesson_and_has_no_fault_that_axe_knows(show):
    page = show(None, NARROW, "dark")
    assert axe.Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_by_role("link").count() == len(THERE)
    page.get_by_role("link").first.click()
    page.get_by_text("exercises solved").wait_for()
    assert page.url.endswith("/1/")
