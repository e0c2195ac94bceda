"""What a diagnosis looks at: one answer, how its solver ended, and what the verification measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.control.network import Network
from controlsde.problem import Problem
from controlsde.solvers.outcome import Termination, Violation
from controlsde.verification.between_nodes import Unseen
from controlsde.verification.certificate import Certificate

Array = NDArray[np.float64]

AT_BOUND = 1e-4  # of the bound: a weight that is nearer is at it
FLAT = 0.02  # of its steepest slope: an activation with less is flat
FLAT_SHARE = 0.99  # of the box on which a saturated neuron is flat
SAMPLES = {1: 401, 2: 41, 3: 15}  # points per axis of the box to judge that by
EXACT_SHARE = 0.2  # of a poor error: the exact drift's own on the same mesh, for the mesh not to be at fault
BEATEN = 1.05  # of the lowest objective known: an answer above it is not the best in reach
POOR = 0.5  # L² error at T over ‖p(T)‖ from which on a density does not track


@dataclass(frozen=True)
class Wall:
    """One face of the box: the largest density of the answer there over time, and of the reference anywhere.

    outward: the largest speed of the drift through the face. swept: how far the drift carries points from the face,
    as a share of the box, while the reference has mass there.
    """

    axis: int
    place: float
    density: float
    reference: float
    outward: float
    swept: float


@dataclass(frozen=True)
class Trials:
    """What was tried to tell causes apart; None where it was not needed, or where nothing in reach was enough.

    elements, steps: the fewest elements an axis, or steps per piece, that alone make the same drift's density agree
    with the verified one; by_elements, by_steps: how near either alone brought them. target_elements: that hold the
    target. exact_error: ‖ρ(T) − p(T)‖ / ‖p(T)‖ of the reference's exact drift on the solver's mesh.
    exact_drift: its largest component where there is mass.
    """

    elements: tuple[int, ...] | None = None
    steps: int | None = None
    by_elements: float = np.inf
    by_steps: float = np.inf
    target_elements: tuple[int, ...] | None = None
    exact_error: float | None = None
    exact_drift: float | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """One answer. `problem` holds the options of the solver that ran; controls are None for a given drift.

    history (iterations, 3): number, J, gradient norm. starts: J reached from each start. objective: J of the answer;
    known: J that a search by another solver reached, where there was one. elements, steps: of the mesh
    and the pieces on which it was solved. place: of the worst violation. error: verified ‖ρ(T) − p(T)‖ / ‖p(T)‖.
    certificate, error: None where nothing could be evaluated. unseen: what the drift does between the nodes, and where;
    forward_unseen: the same of a forward process given by formulas.
    time_error: by how much of ‖p(T)‖ shorter time steps moved the refined density.
    """

    problem: Problem
    network: Network
    controls: Controls | None
    status: str
    message: str
    termination: Termination
    iterations: int
    gradient_norm: float
    history: Array
    starts: tuple[float, ...]
    objective: float
    elements: tuple[int, ...]
    steps: int
    place: Array | None = None
    certificate: Certificate | None = None
    error: float | None = None
    unseen: Unseen | None = None
    forward_unseen: Unseen | None = None
    time_error: float = 0.0
    walls: tuple[Wall, ...] = ()
    trials: Trials = Trials()
    known: float | None = None

    @property
    def solved(self) -> bool:
        """Whether a solver made this, rather than being given."""
        return self.status != "given"

    @property
    def stopped(self) -> bool:
        """Whether a solver stopped before it converged."""
        return self.status == "not-converged"

    @cached_property
    def failed(self) -> frozenset[str]:
        """Names of the checks that failed."""
        return frozenset(check.name for check in self.certificate.failed) if self.certificate else frozenset()

    @property
    def poor(self) -> bool:
        """Whether a solver's verified density is far from its target."""
        return self.solved and self.error is not None and not self.failed and self.error > POOR

    @property
    def in_trouble(self) -> bool:
        """Whether there is anything to diagnose."""
        return self.stopped or bool(self.failed) or self.poor

    @property
    def beaten(self) -> bool:
        """Whether another search is known to have reached a much lower objective."""
        return self.solved and self.known is not None and self.objective > BEATEN * self.known

    @property
    def violation(self) -> Violation | None:
        """The equation of a collocation program that is violated most."""
        return self.termination.violation

    @cached_property
    def largest_weight(self) -> float:
        """max |θ|; 0 for a given drift."""
        c = self.controls
        return max(float(np.abs(part).max()) for part in (c.A, c.W, c.b)) if c else 0.0

    @cached_property
    def at_bounds(self) -> dict[str, NDArray[np.bool_]]:
        """Which weights lie at their bounds, by group: (K, …) each."""
        bounds = self.problem.controls.bounds.groups
        c = self.controls
        groups = {"A": c.A, "W": c.W, "b": c.b} if c else {}
        return {name: np.abs(part) >= (1 - AT_BOUND) * bounds[name] for name, part in groups.items()}

    @cached_property
    def saturated(self) -> NDArray[np.bool_]:
        """Which neurons are flat nearly everywhere in the box, (K, m): |σ′(Wx + b)| ≤ FLAT · max σ′."""
        if self.controls is None or self.network.activation == "sin":
            return np.zeros((0, 0), dtype=bool)
        steepest = 0.25 if self.network.activation == "sigmoid" else 1.0
        slopes = self.network.slopes(_samples(self.network.box), self.controls.W, self.controls.b)
        return np.asarray((np.abs(slopes) <= FLAT * steepest).mean(axis=1) >= FLAT_SHARE)


def _samples(box: tuple[tuple[float, float], ...]) -> Array:
    """Points (n, d) of an equally spaced grid over the box."""
    axes = [np.linspace(low, high, SAMPLES[len(box)]) for low, high in box]
    return np.stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")], axis=1)
