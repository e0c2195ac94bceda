"""The picture of a simulation: along every axis the particles' histogram on both densities, and what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.report.canvas import FAINT, INK, REFERENCE, dress, line_named, new_figure, noise_colour, number
from controlsde.workflow.simulation import Simulation

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

VERIFIED: dict[str, Any] = {"color": INK, "linewidth": 1.4}
TARGET: dict[str, Any] = {"color": REFERENCE, "linestyle": "--", "linewidth": 1.3}

BARS = 64
CURVE = 800  # points of a line
FEWEST = 10  # particles that a bar should hold before its deviation is shown in standard errors


def histograms(simulation: Simulation) -> Figure:
    """A column for every axis: above densities, below the bars' deviations from the verified density."""
    result, evidence = simulation.result, simulation.measured.evidence
    axes_count = result.problem.dimension
    title = f"{result.problem.name}, noise {result.noise:g}: {simulation.particles:,} particles at T"
    error = f"L² error {number(evidence.l2_final)} ± {number(evidence.l2_final_se)}"
    limit = simulation.checks[0]
    verdict = "agree with" if limit.passed else "DISAGREE with"
    subtitle = f"{error}; particles {verdict} the verified density: distance {number(limit.value)}"
    subtitle += f", limit {number(limit.limit)}"
    if not simulation.checks[1].passed:
        subtitle += "; steps TOO LONG"
    figure = new_figure(5.6, title, subtitle, alarm=not simulation.verified, explained=_explained())
    panels = figure.subplots(2, axes_count, squeeze=False, sharex="col", height_ratios=(3, 1))
    for axis in range(axes_count):
        _column(panels[:, axis], simulation, axis)
    return figure


def _explained() -> list[Artist]:
    """What the legend shows, in the order and style of the lines that `_column` draws."""
    return [line_named("verified density", **VERIFIED), line_named("target p", **TARGET)]


def _column(panels: NDArray[np.object_], simulation: Simulation, axis: int) -> None:
    result, sums = simulation.result, simulation.measured.simulated.sums
    low, high = result.problem.domain.box[axis]
    edges = np.linspace(low, high, BARS + 1)
    counts = sums.marginals[axis].reshape(BARS, -1).sum(axis=1)
    upper: Axes = panels[0]
    lower: Axes = panels[1]
    colour, name = noise_colour(result.noise), "xyz"[axis]
    upper.stairs(counts / (sums.count * (edges[1] - edges[0])), edges, fill=True, color=colour, alpha=0.35)
    x, density, expected = along(simulation, axis, edges, result.fields.density[-1])
    _, target, _ = along(simulation, axis, edges, result.fields.reference[-1])
    upper.plot(x, density, **VERIFIED)
    upper.plot(x, target, **TARGET)
    dress(upper, "", "density" if axis == 0 else "", f"particles along {name}")
    upper.set_xlim(low, high)
    spread = np.sqrt(sums.count * np.clip(expected * (1.0 - expected), 0.0, None))
    shown = sums.count * expected >= FEWEST
    deviation = np.where(shown, (counts - sums.count * expected) / np.where(shown, spread, 1.0), 0.0)
    lower.axhspan(-2.0, 2.0, color=FAINT, alpha=0.12, linewidth=0)
    lower.stairs(deviation, edges, fill=True, color=colour, alpha=0.8)
    dress(lower, name, "standard errors" if axis == 0 else "")


def along(simulation: Simulation, axis: int, edges: Array, values: Array) -> tuple[Array, Array, Array]:
    """Points of an axis, the density's marginal there, and the mass of each bar."""
    mesh = simulation.result.fields.mesh
    marginal = np.moveaxis(values.reshape([len(a.grid) for a in mesh.axes]), axis, -1)
    for other, one in enumerate(mesh.axes):
        if other != axis:
            marginal = np.tensordot(one.weights, marginal, axes=(0, 0))
    line = mesh.axes[axis]
    x = np.linspace(line.low, line.high, CURVE)
    return x, np.asarray(line.interpolation(x) @ marginal), np.asarray(line.cell_integration(edges) @ marginal)
