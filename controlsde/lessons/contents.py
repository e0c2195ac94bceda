"""Which lessons there are, in their order: number, title, what it is about, how long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controlsde.lessons.exercises import Exercise  # which need an extra that need not be there


@dataclass(frozen=True)
class Lesson:
    """One lesson: its notebook `notebooks/NAME.py` and its exercises `exercises_of/NAME.py`.

    about: one line. minutes: for a reader who knows ordinary differential equations and linear algebra.
    """

    number: int
    name: str
    title: str
    about: str
    minutes: int

    @property
    def notebook(self) -> Path:
        """Where the notebook is."""
        return Path(str(files("controlsde.lessons").joinpath("notebooks", f"{self.name}.py")))

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """Its exercises, in the order in which the notebook asks them."""
        found: tuple[Exercise, ...] = import_module(f"controlsde.lessons.exercises_of.{self.name}").EXERCISES
        return found


LESSONS = (
    Lesson(1, "density_as_state", "A density as a state", "the Fokker–Planck equation, walls, mass", 25),
    Lesson(2, "one_neuron", "One neuron as a control input", "what A, W and b do to a density, and bounds on them", 20),
    Lesson(
        3, "reversing_a_diffusion", "Reversing a diffusion", "score, exact drift, the same marginals for every η", 30
    ),
    Lesson(
        4, "two_ways_to_solve", "Shooting, adjoint, collocation", "three nodes by hand, then the problem itself", 40
    ),
    Lesson(5, "what_noise_changes", "What noise changes", "weak against strong convergence, sin 2πnx", 30),
    Lesson(6, "narrow_is_enough", "Width d is enough", "switching between narrow drifts", 30),
    Lesson(7, "what_can_be_reached", "What can be reached", "Gramian, energy, the bound that no drift beats", 40),
    Lesson(8, "noise_helps_noise_hurts", "Noise helps, noise hurts", "piece lengths, feedback against forgetting", 40),
)


def lesson(number: int) -> Lesson:
    """The lesson of a number. Raises ValueError, with those that there are."""
    for one in LESSONS:
        if one.number == number:
            return one
    raise ValueError(f"there are the lessons 1 to {len(LESSONS)} (got {number})")


def lesson_called(name: str) -> Lesson:
    """The lesson of a name, as its files have it. Raises ValueError, with those that there are."""
    for one in LESSONS:
        if one.name == name:
            return one
    raise ValueError(f"there is no lesson {name!r}; there are {', '.join(one.name for one in LESSONS)}")
