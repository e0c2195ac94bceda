"""Problem files as texts, and what they are refused with."""

import pytest

from controlsde.problem import (
    ProblemError,
    parse_problem,
)

GOOD = """\
name: two
domain:
  box: [[-5, 5]]
reference:
  kind: reversed-diffusion
  horizon: 1.5
  data: {kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}
network:
  width: 2
"""


TWO_DIMENSIONS = """\
domain: {box: [[-6, 6], [-6, 6]]}
reference:
  kind: reversed-diffusion
  horizon: 1.5
  data: {kind: mixture, means: [[-1, 0], [1, 0.5]], stds: [0.5, [0.4, 0.6]]}
"""


def messages(text=GOOD, **options):
    """Return the messages with which a text is refused."""
    with pytest.raises(ProblemError) as refused:
        parse_problem(text, label="p.yaml", **options)
    return list(refused.value.messages)


def changed(old, new, text=GOOD):
    assert old in text
    return text.replace(old, new)
