"""How soon a picture follows a slider in the explorer, in Chromium: from the event of the slider to the painted frame.

A slider is moved to a new value, and the next one waits until the page has settled: what a hand feels at the end of a
drag. Beside it what `evaluate` takes, which is what a preview stands in for. Needs Playwright and Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.reporting import Goal, Report, Table, seconds, times

GOAL = 0.3  # seconds, in the median
PROBLEMS = ("two-bumps", "iris-petals", "heat-compact", "moser-square", "smiley", "moons", "iris-plane")
FAST = ("two-bumps", "moser-square")
MOVED = """
async ({ id, value }) => {
  const slider = document.getElementById(id);
  const before = performance.now();
  const drawn = new Promise((done) => document.addEventListener("drawn", done, { once: true }));
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await drawn;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  return performance.now() - before;
}
"""


@dataclass(frozen=True)
class Moved:
    """The seconds that pictures took to follow one slider."""

    seconds: tuple[float, ...]

    def cells(self) -> tuple[str, str, str]:
        """The median, what nine of ten keep below, and the slowest."""
        return tuple(seconds(value) for value in (self.median, np.quantile(self.seconds, 0.9), max(self.seconds)))  # type: ignore[return-value]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)


def run(fast: bool) -> Report:
    """Move sliders of problems on a line and in planes, at rest and while a solve runs."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    rows, goals, peers = [], [], []
    with _explorer() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True).new_page()
        page.set_default_timeout(300_000)
        page.goto(url)
        for name in FAST if fast else PROBLEMS:
            _open(page, name)
            for slider, values in _moves(page, fast).items():
                moved = _move(page, slider, values)
                name_of = {"weight-A-0": "a weight"}.get(slider, slider)
                rows.append((name, name_of, *moved.cells()))
                goals.append(_goal(f"{name}: {name_of}", moved))
            peers.append(_against_evaluate(name))
        _open(page, "two-bumps")
        page.locator("#quick").uncheck()
        page.click("#solve")
        page.wait_for_function("document.querySelector('#status').textContent.includes('objective')")
        moved = _move(page, "noise", np.linspace(0.1, 1.9, 6 if fast else 20).round(2))
        still = "objective" in page.inner_text("#status")
        rows.append(("two-bumps, while a solve runs", "noise", *moved.cells()))
        goals.append(_goal(f"two-bumps while a solve {'runs' if still else 'ran, but not to the last'}: noise", moved))
        page.click("#cancel")
        browser.close()
    table = Table("From slider to picture", ("problem", "slider", "median", "9 of 10", "slowest"), rows)
    beside = Table("A preview beside what it stands in for", ("problem", "preview", "evaluate", "ratio"), peers)
    return Report("The explorer", (table, beside), goals)


def _goal(what: str, moved: Moved) -> Goal:
    return Goal(what, f"<= {GOAL:g} s", seconds(moved.median), moved.median <= GOAL)


def _against_evaluate(name: str) -> tuple[str, str, str, str]:
    """Seconds of `preview` with its problem kept, and of `evaluate`, for the same controls."""
    import controlsde as cs
    from controlsde.explore.question import Settings, controls_of, problem_of, shipped

    problem = problem_of(shipped(name), Settings())
    controls = controls_of(None, problem)
    cs.preview(problem, controls)
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        cs.preview(problem, controls)
        rounds.append(time.perf_counter() - began)
    began = time.perf_counter()
    cs.evaluate(problem, controls)
    whole, short = time.perf_counter() - began, statistics.median(rounds)
    return name, seconds(short), seconds(whole), times(whole / short)


def _open(page: Any, name: str) -> None:
    page.wait_for_function("document.querySelector('#problem').options.length > 5")
    page.select_option("#problem", name)
    page.wait_for_function(f"document.querySelector('#description').textContent.startsWith('{name}:')")
    page.wait_for_function("document.querySelector('#fit').textContent.startsWith('Fit ')")
    page.wait_for_selector("body[data-settled=yes]")


def _moves(page: Any, fast: bool) -> dict[str, list[float]]:
    count = 5 if fast else 15
    high = float(page.get_attribute("#weight-A-0", "max"))
    return {
        "noise": list(np.linspace(0.1, 1.9, count).round(2)),
        "weight-A-0": list(np.linspace(-high, high, count)),
        "pieces": [4 + place % 7 for place in range(count)],
    }


def _move(page: Any, slider: str, values: Any) -> Moved:
    found = []
    for value in values:
        found.append(page.evaluate(MOVED, {"id": slider, "value": float(value)}) / 1000.0)
        page.wait_for_selector("body[data-settled=yes]")
    return Moved(tuple(found))


@contextmanager
def _explorer() -> Iterator[str]:
    words = [sys.executable, "-m", "controlsde", "explore", "--no-browser"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert process.stderr is not None
        yield next(found.group() for line in process.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        process.terminate()
        process.wait(30)
