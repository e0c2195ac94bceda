"""Notebooks with all exercises answered: what they draw of an answer works for right ones and for known mistakes."""

import importlib
import re
from types import SimpleNamespace

import pytest

from controlsde.lessons.contents import LESSONS, lesson
from tests.quick import slow

pytest.importorskip("marimo", reason="needs marimo: pip install -e '.[learn]'")

THERE = [one for one in LESSONS if one.notebook.is_file()]
LONGER = ("narrow_is_enough", "what_can_be_reached", "what_noise_changes", "reversing_a_diffusion")
SOON = [slow(one) if one.name in LONGER else one for one in THERE]


def said_of(one, answers):
    """All that the notebook of a lesson shows when its exercises are answered so, as text."""
    asked = dict(re.findall(r'(\w+) = asked\(exercise\("(\w+)"\)\)', one.notebook.read_text("utf-8")))
    assert sorted(asked.values()) == sorted(answers)
    app = importlib.import_module(f"controlsde.lessons.notebooks.{one.name}").app
    outputs, _ = app.run(defs={variable: SimpleNamespace(value=answers[key]) for variable, key in asked.items()})
    return [getattr(output, "text", "") for output in outputs]


@pytest.mark.parametrize("one", SOON, ids=lambda one: one.name)
def test_a_notebook_shows_what_right_answers_do(one):
    shown = said_of(one, {each.key: each.right[-1] for each in one.exercises})
    assert f"{len(one.exercises)} of {len(one.exercises)} exercises solved" in "".join(shown)


@pytest.mark.parametrize("one", SOON, ids=lambda one: one.name)
def test_a_notebook_shows_what_known_mistakes_do(one):
    shown = said_of(one, {each.key: each.mistakes[0].answer for each in one.exercises})
    assert f"0 of {len(one.exercises)} exercises solved" in "".join(shown)


@pytest.mark.slow
@pytest.mark.parametrize("one", THERE, ids=lambda one: one.name)
def test_a_notebook_shows_what_every_known_mistake_does(one):
    for number in range(1, max(len(each.mistakes) for each in one.exercises)):
        shown = said_of(one, {each.key: each.mistakes[number % len(each.mistakes)].answer for each in one.exercises})
        assert f"0 of {len(one.exercises)} exercises solved" in "".join(shown)


@pytest.mark.parametrize(
    "one", [THERE[0], *(pytest.param(one, marks=pytest.mark.slow) for one in THERE[1:])], ids=lambda one: one.name
)
def test_a_notebook_bears_answers_that_cannot_be_read(one):
    shown = said_of(one, {each.key: "def (" for each in one.exercises})
    assert f"0 of {len(one.exercises)} exercises solved" in "".join(shown)


@pytest.mark.parametrize(
    ("number", "drawings"),
    [
        slow((3, (" your formula</li>", "particles under your drift"))),
        (4, ("your ∂J/∂vₖ", "The distance of your gradient from central differences")),
        (5, ("yours, κ = 0.633", " by your step</li>", "by your D = 0.005")),
    ],
)
def test_what_the_student_wrote_is_drawn(number, drawings):
    one = lesson(number)
    shown = "".join(said_of(one, {each.key: each.right[0] for each in one.exercises}))
    assert not [words for words in drawings if words not in shown]
    untouched = "".join(said_of(one, {each.key: None for each in one.exercises}))
    assert not [words for words in drawings if words in untouched]
