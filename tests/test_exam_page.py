"""The sample exam: every solution by the software prints what its last line says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "docs/exam.md").read_text("utf-8")
SOLUTIONS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def printed():
    """What each of them prints, one after the other, and what stands behind its last line."""
    namespace, found = {}, []
    for text in SOLUTIONS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(text, namespace)  # noqa: S102 - our own page
        found.append((out.getvalue().split("\n")[:-1], re.search(r"print\(.*\)\s+# (.*)\n$", text).group(1)))
    return found


def test_there_is_a_question_and_a_solution_for_each_lesson():
    numbers = [int(number) for number in re.findall(r"^## (\d+)\.", TEXT, re.MULTILINE)]
    assert numbers == list(range(1, 9))
    assert len(SOLUTIONS) == len(numbers)
    assert TEXT.count("**By hand.**") == len(numbers)


@pytest.mark.parametrize("number", range(1, 9))
def test_a_solution_prints_what_the_page_says(number, printed):
    lines, expected = printed[number - 1]
    assert lines
    assert set(lines) == {expected}
