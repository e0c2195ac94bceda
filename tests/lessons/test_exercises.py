"""Every exercise of every lesson: right answers are right, known mistakes are told by their own words, nothing else is.

Lessons are found by their files.
"""

import itertools
import re

import pytest

from controlsde.lessons.contents import LESSONS, lesson, lesson_called
from controlsde.lessons.exercises import Choice, Formula, Function, Number

THERE = [one for one in LESSONS if one.notebook.is_file()]
EXERCISES = [pytest.param(each, id=f"{one.name}-{each.key}") for one in THERE for each in one.exercises]
RIGHT = [
    pytest.param(each, answer, id=f"{one.name}-{each.key}-{number}")
    for one in THERE
    for each in one.exercises
    for number, answer in enumerate(each.right)
]
MISTAKES = [
    pytest.param(each, mistake, id=f"{one.name}-{each.key}-{number}")
    for one in THERE
    for each in one.exercises
    for number, mistake in enumerate(each.mistakes)
]


def squeezed(text):
    """Without spaces, signs of TeX and of Markdown, as one would search for it."""
    return re.sub(r"[\s`*$\\{}]|\\(?:tfrac|frac|cdot|,|;)", "", text)


def test_every_lesson_that_is_promised_has_its_files():
    assert [one.number for one in LESSONS] == list(range(1, 9))
    assert THERE, "no notebook was found"
    for one in THERE:
        assert one.exercises


@pytest.mark.parametrize("one", THERE, ids=lambda one: one.name)
def test_a_lesson_has_three_exercises_or_more_of_several_kinds_with_keys_of_their_own(one):
    keys = [each.key for each in one.exercises]
    assert len(keys) >= 3
    assert len(set(keys)) == len(keys)
    assert any(isinstance(each, Choice | Number) for each in one.exercises), "nothing is predicted"
    assert any(isinstance(each, Formula | Function) for each in one.exercises), "nothing is written"
    assert 15 <= one.minutes <= 40


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_every_right_form_is_right(exercise, answer):
    verdict = exercise.check(answer)
    assert verdict.state == "right", verdict
    assert verdict.solved
    assert verdict.says == exercise.explanation


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_a_right_form_stays_right_whatever_its_spaces(exercise, answer):
    assert exercise.check(f"\n{answer}  \n" if not isinstance(exercise, Choice) else answer).solved


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_every_known_mistake_is_told_by_its_own_words(exercise, mistake):
    verdict = exercise.check(mistake.answer)
    assert verdict.state == "known mistake", verdict
    assert not verdict.solved
    assert verdict.says == mistake.says
    assert len(mistake.says) >= 20


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_knows_two_mistakes_or_more_each_with_words_of_its_own(exercise):
    assert len(exercise.mistakes) >= 2
    words = [mistake.says for mistake in exercise.mistakes]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_what_is_untouched_is_unsolved(exercise):
    for untouched in (None, "", "  \n", exercise.start, f"{exercise.start}\n"):
        verdict = exercise.check(untouched)
        assert verdict.state == "untouched"
        assert not verdict.solved


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_text_that_stands_there_would_not_solve_it_if_it_were_touched(exercise):
    if exercise.start:
        assert not exercise.check(exercise.start + "\n# touched\n").solved


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_answer_that_is_nonsense_is_neither_right_nor_an_error(exercise):
    for nonsense in ("17.25391", "(", "import os", "x" * 50, "def f(:", "é", "1/0", "[]"):
        assert not exercise.check(nonsense).solved


@pytest.mark.parametrize("exercise", EXERCISES)
def test_no_mistake_is_told_with_the_answer_in_it(exercise):
    for answer, mistake in itertools.product(exercise.right, exercise.mistakes):
        body = answer.split("return ")[-1] if isinstance(exercise, Function) else answer
        if len(squeezed(body)) >= 3:
            assert squeezed(body) not in squeezed(mistake.says), (answer, mistake.says)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_question_does_not_hold_the_answer(exercise):
    for answer in exercise.right:
        body = answer.split("return ")[-1] if isinstance(exercise, Function) else answer
        if not isinstance(exercise, Choice) and len(squeezed(body)) >= 4:
            assert squeezed(body) not in squeezed(exercise.question), answer


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_choice_has_one_right_option_and_a_word_on_each_other(exercise):
    if isinstance(exercise, Choice):
        assert len(exercise.right) == 1
        others = [option for option in exercise.options if option not in exercise.right]
        assert len(others) == len(exercise.options) - 1
        assert sorted(mistake.answer for mistake in exercise.mistakes) == sorted(others)


def test_lessons_are_found_by_number_and_by_name():
    assert lesson(2) is lesson_called("one_neuron")
    with pytest.raises(ValueError, match="1 to 8"):
        lesson(9)
    with pytest.raises(ValueError, match="there is no lesson 'zero'"):
        lesson_called("zero")
