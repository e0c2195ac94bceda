"""Work in threads: answers in order, whatever the number of threads, and the first error."""

import threading
import time

import numpy as np
import pytest

from controlsde.foundation.threads import side_by_side


def slow_square(number):
    time.sleep(0.01 * (5 - number))  # the last ends first
    return number**2, threading.get_ident()


@pytest.mark.usefixtures("several_processors")
def test_answers_come_in_order_from_several_threads():
    found = side_by_side(slow_square, range(5))
    assert [square for square, _ in found] == [0, 1, 4, 9, 16]
    assert len({thread for _, thread in found}) == 2
    assert side_by_side(slow_square, []) == []


def test_on_one_processor_no_thread_is_started():
    assert {thread for _, thread in side_by_side(slow_square, range(3))} == {threading.get_ident()}


@pytest.mark.usefixtures("several_processors")
@pytest.mark.filterwarnings("ignore:overflow")
def test_an_error_is_raised_and_settings_are_the_librarys_own():
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda number: 1 // number, [1, 0, 2])
    with np.errstate(all="raise"):
        assert np.isinf(side_by_side(lambda number: np.float64(number) * 1e308, [1, 1e9])[1])
