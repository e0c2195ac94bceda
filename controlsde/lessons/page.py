"""What a lesson shows: questions with a button that checks, verdicts, charts, pictures of arrays, the summary.

Comes in: exercises and answers, curves and arrays. Goes out: elements and HTML of marimo. A notebook writes

    answer_mass = asked(exercise("mass"))             # in one cell, the form
    answered(exercise("mass"), answer_mass.value)     # in the next, what is said of the answer

Charts are those of the reports (`controlsde/report/page/chart.py`). Their style stands inside `.lesson`, so that it
leaves marimo's own page alone, and follows marimo's theme.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import marimo as mo
import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from controlsde.lessons.contents import Lesson, lesson_called
from controlsde.lessons.exercises import Choice, Exercise, Formula, Function, Number
from controlsde.lessons.hand_in import NAME_OF_FILE, HandIn
from controlsde.lessons.verdicts import State, Verdict
from controlsde.report.page.chart import (
    DASHES,
    FAINT,
    INK,
    REFERENCE,
    Curve,
    Ink,
    Scale,
    around,
    chart,
    legend,
    on_black,
)

__all__ = [
    "BLUE", "FAINT", "GREEN", "INK", "ORANGE", "PINK", "REFERENCE", "Curve", "Ink", "Scale", "answered", "around",
    "asked", "drawn", "exercises_of", "heat", "side_by_side", "summary",
]  # fmt: skip

Array = NDArray[np.float64]

BLUE, ORANGE, GREEN, PINK = (
    Ink(colour, on_black(colour), dash)
    for colour, dash in zip(("#0072b2", "#d55e00", "#009e73", "#b2528a"), DASHES, strict=False)
)
SAID: dict[State, tuple[str, str]] = {  # the class of the callout, and its first words
    "untouched": ("untouched", ""),
    "right": ("right", "Right."),
    "known mistake": ("wrong", "Not yet."),
    "wrong": ("wrong", "Not yet."),
    "not understood": ("unclear", "This cannot be read."),
}


def exercises_of(name: str) -> dict[str, Exercise]:
    """The exercises of the lesson `name`, by their keys. Raises ValueError for a name that is none."""
    return {one.key: one for one in lesson_called(name).exercises}


def asked(exercise: Exercise) -> Any:
    """The question with a field and a button that checks; its `.value` is the answer as text, None before the first."""
    words = f"**Exercise: {exercise.title}.** {exercise.question}"
    return _field(exercise, words).form(submit_button_label="Check")


def answered(exercise: Exercise, value: str | None) -> mo.Html:
    """What is said of an answer, read aloud by screen readers when it changes."""
    return _callout(exercise.check(value))


def summary(lesson: Lesson | str, answers: Mapping[str, str | None]) -> mo.Html:
    """How many exercises are solved and which are not, with the hand-in to download; a script says it in one line.

    answers: of every exercise, by its key. Raises ValueError where one is missing or unknown.
    """
    one = lesson if isinstance(lesson, Lesson) else lesson_called(lesson)
    handed = HandIn.of(one, answers)
    verdicts = handed.verdicts()
    solved = sum(verdict.solved for verdict in verdicts.values())
    said = f"{solved} of {len(verdicts)} exercises solved"
    if mo.app_meta().mode == "script":
        sys.stdout.write(f"{one.title}: {said}\n")
    titles = {each.key: each.title for each in one.exercises}
    items = Markup("").join(
        Markup("<li>{}: {}</li>").format(titles[key], "solved" if verdict.solved else _state(verdict))
        for key, verdict in verdicts.items()
    )
    listed = Markup('<div class="lesson" role="status"><p><strong>{}.</strong></p><ol class="solved">{}</ol></div>')
    download = mo.download(
        data=handed.to_json().encode("utf-8"),
        filename=NAME_OF_FILE.format(one.name),
        mimetype="application/json",
        label="Download your answers, to hand in",
    )
    return mo.vstack([mo.Html(style() + str(listed.format(said, items))), download])


def drawn(
    curves: Sequence[Curve],
    x: Scale,
    y: Scale,
    words: str,
    *,
    title: str = "",
    note: str = "",
    height: int = 220,
    **options: Any,
) -> mo.Html:
    """A chart with the legend of those curves that have a name.

    words: what it shows, for those who do not see it. title and note: above and below it. options: of `chart`.
    """
    return _figure(chart(curves, x, y, words, height=height, **options), legend(curves), title, note)


def heat(
    values: ArrayLike,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    words: str,
    labels: tuple[str, str],
    *,
    signed: bool = False,
    title: str = "",
    note: str = "",
    height: int = 260,
    curves: Sequence[Curve] = (),
) -> mo.Html:
    """A picture of an array (rows of y from below, columns of x), with curves over it.

    Densities are shown by the shade of their root, as in the reports; `signed` ones from blue over white to red, zero
    in the middle. words, title and note as in `drawn`; labels: of the x and the y axis.
    """
    from controlsde.report.canvas import SIGNED_MAP
    from controlsde.report.page.film import picture, signed_picture

    rows = np.asarray(values, dtype=float)[::-1]  # an image begins above
    size = float(np.nanmax(np.abs(rows), initial=0.0)) or 1.0
    image = signed_picture(rows, size, SIGNED_MAP) if signed else picture(rows, size)
    scales = Scale(*x_range, labels[0]), Scale(*y_range, labels[1])
    made = chart(curves, *scales, words, height=height, image=image)
    return _figure(made, legend(curves), title, note)


def side_by_side(*charts: mo.Html) -> mo.Html:
    """Charts beside each other, where there is room; one below the other on a phone."""
    inside = "".join(f"<div>{one.text}</div>" for one in charts)
    return mo.Html(f'{style()}<div class="lesson charts">{inside}</div>')


@cache
def style() -> str:
    """The style sheet of what this file makes."""
    own = files("controlsde.lessons").joinpath("lesson.css").read_text(encoding="utf-8")
    charts = files("controlsde.report.page").joinpath("chart.css").read_text(encoding="utf-8")
    return f"<style>{own}\n.lesson {{\n{charts}}}</style>"


def _figure(made: Markup, key: Markup, title: str, note: str) -> mo.Html:
    head = Markup("<figcaption>{}</figcaption>").format(title) if title else ""
    foot = Markup('<p class="note">{}</p>').format(note) if note else ""
    whole = Markup('<figure class="lesson">{}{}{}{}</figure>').format(head, made, key, foot)
    return mo.Html(style() + str(whole))


def _field(exercise: Exercise, words: str) -> Any:
    if isinstance(exercise, Choice):
        return mo.ui.radio(options=list(exercise.options), label=words)
    if isinstance(exercise, Function):
        return mo.ui.code_editor(exercise.start, language="python", min_height=120, label=words)
    if isinstance(exercise, Formula):
        names = ", ".join(f"`{name}`" for name in exercise.probes[0])
        words += f"\n\n*A formula in* {names}*; a power is* `**`*, as in* `2*x**2`*.*"
        return mo.ui.text(exercise.start, label=words, full_width=True)
    if isinstance(exercise, Number):
        words += "\n\n*A number, or a formula of numbers such as* `0.5*log(2)`*.*"
        return mo.ui.text(exercise.start, label=words, full_width=True)
    raise TypeError(f"no field for {type(exercise).__name__}")


def _callout(verdict: Verdict) -> mo.Html:
    kind, first = SAID[verdict.state]
    opening = str(Markup("<strong>{}</strong>").format(first)) if first else ""
    said = mo.md(verdict.says).text
    return mo.Html(f'{style()}<div class="lesson verdict {kind}" role="status">{opening}{said}</div>')


def _state(verdict: Verdict) -> str:
    return "not answered yet" if verdict.state == "untouched" else "not solved yet"
