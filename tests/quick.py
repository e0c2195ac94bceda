"""Which of several cases that are much alike stay in the quick tests; the others are slow ones."""

import pytest


def every(step, cases):
    """The first of so many cases stays, each time."""
    return [case if number % step == 0 else slow(case) for number, case in enumerate(cases)]


def only(chosen, cases):
    """Those that are chosen stay; all of them must be there."""
    cases = list(cases)
    assert all(one in cases for one in chosen)
    return [case if case in chosen else slow(case) for case in cases]


def slow(case):
    """A case, or the values of several arguments, as a slow one."""
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
