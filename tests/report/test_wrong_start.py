"""The picture of a wrong start."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from controlsde.report.wrong_start import courses
from controlsde.workflow.feedback import Course, Feedback


@dataclass(frozen=True)
class Named:
    name: str = "a name with $dollars$"


@dataclass(frozen=True)
class Answered:
    """What the picture reads of a result."""

    noise: float
    problem: Named = field(default_factory=Named)


def course(end, change=0.0):
    times = np.linspace(0.0, 1.0, 33)
    return Course(None, times, 0.1 * (end / 0.1) ** times, end, 1.0, 0.0, change)


def loops(noise, change=0.0):
    result = Answered(noise)
    return [
        Feedback(result, "uniform", by, 1, course(0.005), course(0.2), course(end, change))
        for by, end in (("riccati", 0.02), ("replan", 0.006))
    ]


def test_a_panel_a_noise_level_with_every_course_once():
    figure = courses([*loops(0.0), *loops(1.0)])
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == ["noise 0", "noise 1"]
    for axes in panels:
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == [
            "open loop: 0.200 at T",
            "Riccati: 0.0200 at T",
            "re-planned: 0.00600 at T",
            "right start: 0.00500 at T",
        ]
        ends = {line.get_label().split(":")[0]: line.get_ydata()[-1] for line in axes.get_lines()}
        assert ends == pytest.approx({"open loop": 0.2, "Riccati": 0.02, "re-planned": 0.006, "right start": 0.005})
        assert axes.get_yscale() == "log"


def test_what_does_not_verify_is_an_alarm():
    for change, words in ((0.0, False), (0.5, True)):
        texts = " ".join(text.get_text() for text in courses(loops(0.0, change)).texts)
        assert ("NOT VERIFIED" in texts) is words
