"""The problem that the benchmarks share: two bumps, 16 pieces of two steps, 65 nodes."""

from __future__ import annotations

from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.tracking.tracking_problem import TrackingProblem, build_tracking

SETTINGS = {
    "controls.pieces": 16,
    "controls.bounds": 50,
    "network.width": 1,
    "mesh.elements": [8],
    "mesh.degree": 8,
    "mesh.steps_per_piece": 2,
    "mesh.stages": 3,
}


def two_bumps(noise: float) -> TrackingProblem:
    """The tracking problem of two bumps at a noise level."""
    problem = load_problem("two-bumps", set={**SETTINGS, "noise": noise})
    tracking = build_tracking(problem, build_reference(problem.reference, problem.domain))
    assert tracking.grid.pieces == 16
    assert tracking.operator.size == 65
    return tracking


def sizes(tracking: TrackingProblem) -> str:
    """The sizes in words."""
    grid = tracking.grid
    pieces, weights = tracking.weight_shape
    return (
        f"two bumps, {tracking.operator.size} nodes, {pieces} pieces of {grid.steps_per_piece} steps of "
        f"{grid.stages} stages, {pieces * weights} weights"
    )


PLANE = """
name: plane
domain: {box: [[-4, 4], [-4, 4]]}
reference:
  kind: reversed-diffusion
  horizon: 1.0
  data: {kind: mixture, weights: [0.5, 0.5], means: [[-0.5, 0], [0.5, 0.3]], stds: [0.7, 0.7]}
noise: 0.5
network: {width: 2}
controls: {pieces: 12}
mesh: {elements: [5, 5], degree: 4, steps_per_piece: 1, stages: 3}
solver: {kind: collocation}
"""
