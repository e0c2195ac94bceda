"""Pictures of one result against time and iterations: the weights, the tracking error, the solver's convergence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.densities.free_data import coordinates
from controlsde.report.canvas import (
    ALARM,
    FAINT,
    INK,
    NORMAL,
    SERIES,
    SIGNED_MAP,
    SMALL,
    doubtful,
    dress,
    finite,
    legend,
    line_named,
    new_figure,
    noise_colour,
    number,
    standing,
)
from controlsde.result.answer import Answer
from controlsde.result.result import Result
from controlsde.solvers.outcome import Beginning, reached, rows_that_begin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

MOST_NEURONS = 5  # with a panel of their own; more become an image
NEAR_BOUND = 0.8
_ANSWER: Any = {"color": SERIES[1], "marker": "o", "markersize": 9, "linestyle": "none", "label": "the answer"}
_BEGINS: dict[Beginning, Any] = {
    "hop": {"color": INK, "marker": "^", "markersize": 6, "linestyle": "none"},
    "finer mesh": {"color": INK, "marker": "s", "markersize": 6, "linestyle": "none"},
}
LOG_RANGE = 100.0  # a curve that spans more than this is shown on a logarithmic scale


def weights(result: Answer) -> Figure | None:
    """The weights of every neuron against time; None when the drift is not a network."""
    controls = result.controls
    if controls is None:
        return None
    few = controls.width <= MOST_NEURONS and controls.dimension <= len(SERIES)
    return _steps(result, controls) if few else _weight_images(result, controls)


def _weights_title(result: Answer, controls: Controls) -> tuple[str, str]:
    bounds = result.problem.controls.bounds
    groups = {"A": controls.A, "W": controls.W, "b": controls.b}
    largest_size = float(np.abs(finite(*groups.values())).max())
    held = [(np.abs(part) > 0.999 * bounds.groups[name]).ravel() for name, part in groups.items()]
    at_bound = np.mean(np.concatenate(held))
    plural = "s" if controls.width > 1 else ""
    title = f"{result.problem.name}, noise {result.noise:g}: weights of {controls.width} neuron{plural}"
    title += f" on {controls.pieces} piece{'s' if controls.pieces > 1 else ''}"
    reached = f"{100 * at_bound:.0f} % of the weights at the bound {bounds}"
    free = f"largest {number(largest_size)}, bound {bounds}"
    return title, reached if at_bound else free


def _parts(controls: Controls) -> dict[str, Array]:
    """Weights by name as (K, d or 1, m)."""
    return {"A": controls.A, "W": controls.W.swapaxes(1, 2), "b": controls.b[:, None, :]}


def _steps(result: Answer, controls: Controls) -> Figure:
    title, subtitle = _weights_title(result, controls)
    rows = controls.width
    names = coordinates(controls.dimension)
    shown = [line_named(name, color=SERIES[i], linewidth=1.8) for i, name in enumerate(names)]
    height = 1.3 + (2.6 if rows == 1 else 1.6 * rows)
    figure = new_figure(height, title, subtitle, explained=shown if len(shown) > 1 else ())
    panels = figure.subplots(rows, 3, sharex=True, sharey="col", squeeze=False)
    for column, (name, values) in enumerate(_parts(controls).items()):
        bound = result.problem.controls.bounds.groups[name]
        near = np.abs(finite(values)).max() > NEAR_BOUND * bound
        for neuron in range(rows):
            axes = panels[neuron, column]
            colours = SERIES if name != "b" or controls.dimension == 1 else (INK,)
            _step_panel(axes, controls.times, values[:, :, neuron], colours, bound if near else None)
            label = "" if rows == 1 else f"neuron {neuron + 1}"
            meaning = {"A": "A, output weight", "W": "W, input weight", "b": "b, offset"}[name]
            dress(axes, "t" if neuron == rows - 1 else "", label if column == 0 else "", meaning if neuron == 0 else "")
            axes.set_xlim(controls.times[0], controls.times[-1])
    return figure


def _step_panel(axes: Axes, times: Array, values: Array, colours: Sequence[str], bound: float | None) -> None:
    """One neuron's weight against time, a line for each component (K, d); the bound where weights come near."""
    axes.axhline(0.0, color=FAINT, linewidth=0.8)
    for component in range(values.shape[1]):
        axes.stairs(values[:, component], times, color=colours[component], linewidth=1.8, baseline=None)
    if bound is not None:
        for side in (-bound, bound):
            axes.axhline(side, color=ALARM, linestyle=":", linewidth=1.4)


def _weight_images(result: Answer, controls: Controls) -> Figure:
    title, subtitle = _weights_title(result, controls)
    figure = new_figure(1.3 + float(np.clip(0.16 * controls.width * controls.dimension, 3.0, 7.0)), title, subtitle)
    panels = figure.subplots(1, 3, squeeze=False)[0]
    for axes, (name, values) in zip(panels, _parts(controls).items(), strict=True):
        pieces, components, width = values.shape
        rows = values.reshape(pieces, components * width).T
        size = float(np.abs(finite(rows)).max()) or 1.0
        image = axes.pcolormesh(
            controls.times, np.arange(len(rows) + 1) + 0.5, rows, cmap=SIGNED_MAP, vmin=-size, vmax=size
        )
        several = components > 1
        dress(axes, "t", "", f"{name}, by component and neuron" if several else f"{name}, by neuron")
        axes.grid(visible=False)
        axes.invert_yaxis()
        bar = figure.colorbar(image, ax=axes, orientation="horizontal", pad=0.02, aspect=25)
        bar.ax.tick_params(labelsize=SMALL)
    counted = "neuron" if controls.dimension == 1 else "component and neuron"
    panels[0].set_ylabel(counted, fontsize=NORMAL)
    return figure


def error_against_time(result: Result) -> Figure:
    """The verified L² error against time, with the solver's own and the particles' beside it."""
    fields, tracking = result.fields, result.tracking
    title = f"{result.problem.name}, noise {result.noise:g}: L² error {number(tracking.l2_final)} at T"
    finite = np.isfinite(fields.l2)
    largest = (
        f"largest {number(tracking.l2_sup)} at t = {fields.curve_times[int(np.argmax(fields.l2))]:.3g}"
        if finite.all()
        else f"no longer finite from t = {fields.curve_times[int(np.argmin(finite))]:.3g} on"
    )
    subtitle = f"{largest}; {standing(result)}"
    line: dict[str, Any] = {"color": noise_colour(result.noise), "linewidth": 1.6, "marker": ".", "markersize": 8}
    marks: dict[str, Any] = {
        "color": INK, "linestyle": "none", "marker": "o", "markersize": 5, "markerfacecolor": "none",
    }  # fmt: skip
    shown = [line_named("verified: finer mesh", **line), line_named("solver's own mesh", **marks)]
    evidence = result.certificate.monte_carlo
    if evidence is not None and np.isfinite(evidence.l2_final):
        diamond: dict[str, Any] = {"linestyle": "none", "marker": "D", "markersize": 6}
        words = f"{evidence.particles:,} particles, smoothed, ± 2 standard errors"
        shown.append(line_named(words, color=SERIES[2], **diamond))
    figure = new_figure(4.6, title, subtitle, alarm=doubtful(result), explained=shown)
    axes = figure.subplots()
    axes.plot(fields.curve_times, fields.l2, **line)
    axes.plot(fields.discrete_times, fields.discrete_l2, **marks)
    add_particles(axes, result, fields.curve_times[-1], SERIES[2])
    error_scale(axes, fields.l2[1:], fields.discrete_l2[1:], [evidence.l2_final] if evidence else [])
    _pieces(axes, result)
    dress(axes, "t", "‖ρ(t) − p(t)‖ in L²")
    span = fields.curve_times[-1] - fields.curve_times[0]
    axes.set_xlim(fields.curve_times[0] - 0.01 * span, fields.curve_times[-1] + 0.03 * span)
    return figure


def add_particles(axes: Axes, result: Result, where: float, colour: str) -> None:
    """The particles' final error with two standard errors, where there is one."""
    evidence = result.certificate.monte_carlo
    if evidence is None or not np.isfinite(evidence.l2_final):
        return
    axes.errorbar(
        [where],
        [evidence.l2_final],
        yerr=[2 * evidence.l2_final_se],
        color=colour,
        marker="D",
        markersize=7,
        markeredgecolor="white",
        capsize=5,
        linewidth=1.8,
        linestyle="none",
        zorder=5,
    )


def error_scale(axes: Axes, *curves: Array | list[float]) -> None:
    """A logarithmic scale where the curves span orders of magnitude, otherwise a linear one from zero."""
    values = finite(*curves)
    positive = values[values > 0]
    if len(positive) and positive.max() > LOG_RANGE * np.quantile(positive, 0.2):
        axes.set_yscale("log")
        axes.set_ylim(max(positive.min(), 1e-3 * np.quantile(positive, 0.2)) / 2, None)
        return
    axes.set_ylim(bottom=0.0)


def _pieces(axes: Axes, result: Result) -> None:
    """Light marks where the control switches."""
    if result.controls is not None and result.controls.pieces <= 64:
        axes.set_xticks(result.controls.times, minor=True)
        axes.tick_params(axis="x", which="minor", length=3, colors=FAINT)


def convergence(result: Answer) -> Figure | None:
    """Objective and gradient against iterations, and what every start reached; None when nothing was iterated.

    The dot is the answer: its objective is the number in the title, in both panels that show one.
    """
    iteration, objective, gradient = result.history.T
    starts = np.asarray(result.starts, dtype=float)
    kinds = ["objective"] if np.isfinite(objective).sum() > 1 else []
    kinds += ["gradient"] if (np.isfinite(gradient) & (gradient > 0)).sum() > 1 else []
    one_goes_on = result.problem.objective.terminal_error is not None  # the others are not brought to the limit
    kinds += ["starts"] if len(starts) > 1 and np.isfinite(starts).any() and not one_goes_on else []
    if not kinds:
        return None
    title = f"{result.problem.name}, noise {result.noise:g}: objective {number(result.objective)}"
    title += f" after {result.iterations} iterations"
    figure = new_figure(4.2, title, f"{result.solver}: {_short(result.message)}", alarm=result.status != "converged")
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        if kind == "starts":
            _starts(axes, result)
        elif kind == "gradient":
            _history(axes, iteration, gradient)
            dress(axes, "iteration", "", "largest entry of the gradient")
        else:
            _objective(axes, result)
    return figure


def _objective(axes: Axes, result: Answer) -> None:
    """J against iterations, and the answer's as a dot.

    Collocation begins on states that no control can reach. Their objective is not J, and would squeeze all the others:
    what is far below the answer is shown at the edge, as arrows.
    """
    iteration, values = result.history[:, 0], result.history[:, 1]
    _history(axes, iteration, values)
    for kind, look in _BEGINS.items():
        rows = rows_that_begin(result.beginnings, kind)
        if len(rows):
            axes.plot(iteration[rows], values[rows], label=f"a {kind} begins", **look)
    answer = result.objective
    if np.isfinite(answer):
        axes.plot([result.iterations], [answer], **_ANSWER)
        legend(axes, loc="best")
    title, along = "objective J", "iteration"
    if result.solver == "collocation":
        title, along = "objective of the program", "iteration; its states obey the state equation only at the end"
        _arrows(axes, iteration, values, answer)
    elif result.problem.objective.terminal_error is not None:
        along = "iteration, a point for each multiplier"
    dress(axes, along, "", title)


def _arrows(axes: Axes, iteration: Array, values: Array, answer: float) -> None:
    """Cut off what is below the lowest value of the second half, and of the answer; mark it at the edge."""
    lowest = float(finite([answer, *values[len(values) // 2 :]]).min())
    below = values < 0.7 * lowest
    if lowest <= 0 or not below.any():
        return
    edge = 0.7 * lowest
    axes.set_ylim(bottom=edge)
    label = f"{below.sum()} below the axis"
    marks = {"linestyle": "none", "marker": "v", "markersize": 7, "clip_on": False}
    axes.plot(iteration[below], np.full(below.sum(), edge), color=SERIES[0], label=label, **marks)  # type: ignore[arg-type]
    legend(axes, loc="best")


def _short(message: str) -> str:
    return message if len(message) <= 110 else message[:109] + "…"


def _history(axes: Axes, iteration: Array, values: Array) -> None:
    axes.plot(iteration, values, color=SERIES[0], linewidth=1.8, marker=".", markersize=4)
    good = np.isfinite(values)
    if good.any() and (values[good] > 0).all():
        axes.set_yscale("log")


def _starts(axes: Axes, result: Answer) -> None:
    """J of every start, best first, and which of them is the answer; those without an objective are counted.

    Lower ones than the answer are hollow: they were set aside, and the message says why.
    """
    starts, hops = result.starts, getattr(result.problem.solver, "hops", 0)
    found = reached(starts, result.objective)
    values = np.array([*found.set_aside, *found.kept])
    rank, aside = np.arange(1, len(values) + 1), len(found.set_aside)
    axes.plot(rank, values, color=SERIES[0], marker="o", markersize=6, linestyle="none")
    if aside:
        hollow = {"color": SERIES[0], "markerfacecolor": "white", "linestyle": "none"}
        axes.plot(rank[:aside], values[:aside], marker="o", markersize=6, label="set aside", **hollow)  # type: ignore[arg-type]
    if found.kept:
        axes.plot(rank[aside : aside + 1], values[aside : aside + 1], **_ANSWER)
    legend(axes, loc="upper left")
    if len(values) and (values > 0).all() and values[-1] > 5 * values[0]:
        axes.set_yscale("log")
    lost = f", {found.lost} broke down" if found.lost else ""
    dress(axes, f"start, by rank{f', after {hops} hops' * bool(hops)}", "", f"J of {len(starts)} starts{lost}")
    axes.set_xlim(0.5, len(values) + 0.5)
    axes.set_xticks(_ranks(len(values)))


def _ranks(count: int) -> list[int]:
    """Ticks at every rank or, where these are many, at the multiples of a round number: at equal distances."""
    step = next(step for power in range(10) for step in (10**power, 2 * 10**power, 5 * 10**power) if count <= 8 * step)
    return list(range(step, count + 1, step))
