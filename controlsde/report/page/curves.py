"""The charts of a page: errors over time, distances, weights, convergence, particles.

Comes in: a `Subject`; of weights and convergence a subject of either kind. Goes out: `Picture`s: a title, a chart, a
legend and a sentence; nothing where there is nothing to draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.densities.free_data import coordinates
from controlsde.report.canvas import SERIES, SIGNED_MAP, finite
from controlsde.report.page.chart import (
    ALARM,
    DASHES,
    FAINT,
    INK,
    REFERENCE,
    Curve,
    Ink,
    Scale,
    around,
    chart,
    legend,
    on_black,
    spans_magnitudes,
)
from controlsde.report.page.film import signed_picture
from controlsde.report.page.subject import About, Shown, Subject
from controlsde.report.page.tables import OBJECTIVE_DIGITS
from controlsde.report.words import digits, spread_of
from controlsde.result.answer import Answer
from controlsde.result.result import Result
from controlsde.solvers.outcome import Beginning, reached, rows_that_begin

Array = NDArray[np.float64]

MOST_LINES = 6  # of one panel of weights; more become an image
NEAR_BOUND = 0.8
IMAGE_COLUMNS = 320
BARS = 64
BEGINS: dict[Beginning, str] = {"hop": "triangle", "finer mesh": "square"}  # marks in a history
SOLVER = Ink(FAINT.light, FAINT.dark, "2 4")


@dataclass(frozen=True)
class Picture:
    """A chart with its title, its legend and a sentence below it."""

    title: str
    chart: Markup
    legend: Markup | str = ""
    note: str = ""


def errors(subject: Subject) -> Picture:
    """The verified L² error over time, with the particles' at T; for one result also as the solver's mesh saw it."""
    curves, values = [], []
    for one in subject.shown:
        fields = one.result.fields
        curves.append(Curve(fields.curve_times, fields.l2, one.ink, one.label))
        values += [fields.l2[1:]]
    if not subject.several:
        fields = subject.results[0].fields
        curves.append(Curve(fields.discrete_times, fields.discrete_l2, SOLVER, "as the solver's mesh saw it"))
        values.append(fields.discrete_l2[1:])
    for one in subject.shown:
        particles = _particles(one, float(one.result.fields.curve_times[-1]))
        if particles:
            curves.append(particles)
            values.append(np.asarray(particles.y) + np.asarray(particles.spreads))
    logarithmic = spans_magnitudes(values)
    if logarithmic:  # a start without any error has no place on such an axis
        positive = finite(*values)
        values = [np.clip(finite(*values), 1e-3 * float(np.quantile(positive[positive > 0], 0.2)), None)]
    times = subject.results[0].fields.curve_times
    x = Scale(float(times[0]), float(times[-1]) + 0.02 * float(times[-1] - times[0]), "t")
    y = around(values, "‖ρ − p‖ in L²", logarithmic=logarithmic)
    words = "L² error against time: " + "; ".join(
        f"{one.label} ends at {digits(one.result.tracking.l2_final)}" for one in subject.shown
    )
    switches = subject.results[0].controls
    uprights = [] if switches is None or subject.several or switches.pieces > 64 else list(switches.times[1:-1])
    note = "Diamonds: the error of the particles at T, smoothed, with ± 2 standard errors."
    note += " Thin lines: where the controls switch." if uprights else ""
    return Picture(
        "L² error over time, by the verification", chart(curves, x, y, words, uprights=uprights), legend(curves), note
    )


def _particles(one: Shown[Result], where: float, name: str = "") -> Curve | None:
    evidence = one.result.certificate.monte_carlo
    if evidence is None or not np.isfinite(evidence.l2_final):
        return None
    spread = 2 * evidence.l2_final_se if np.isfinite(evidence.l2_final_se) else 0.0
    return Curve([where], [evidence.l2_final], one.ink, name, line=False, mark="diamond", spreads=[spread])


def final_distances(subject: Subject) -> Picture:
    """The L² error at T by result, as the mesh, the solver's mesh and the particles measure it."""
    verified = [one.result.tracking.l2_final for one in subject.shown]
    own = [one.result.discrete.l2_final for one in subject.shown]
    places = np.arange(len(verified))
    curves = [
        Curve(places - 0.18, own, FAINT, "solver's mesh", line=False, mark="ring"),
        Curve(places, verified, INK, "verification", line=False, mark="circle"),
    ]
    tops: list[float] = []
    for place, one in enumerate(subject.shown):
        particles = _particles(one, place + 0.18)
        if particles:
            curves.append(particles)
            tops += [float(np.asarray(particles.y)[0] + np.asarray(particles.spreads)[0])]
    if tops:
        named = Curve([], [], INK, "particles, ± 2 standard errors", line=False, mark="diamond")
    y = around([verified, own, tops, [0.0]], "‖ρ(T) − p(T)‖ in L²")
    x = Scale(-0.6, len(places) - 0.4)
    words = "L² error at T: " + "; ".join(
        f"{one.label} {digits(value)}" for one, value in zip(subject.shown, verified, strict=True)
    )
    drawn = chart(curves, x, y, words, height=200, categories=[one.label for one in subject.shown])
    return Picture("L² error at T, measured in three ways", drawn, legend([*curves[:2], named] if tops else curves[:2]))


# Weights


def weights(subject: About[Answer]) -> list[tuple[str, list[Picture], str]]:
    """For each network: what it is called, a picture of A, W and b, and a sentence about the bounds."""
    return [
        (one.label, _weights(one, one.result.controls), _near_bounds(one, one.result.controls))
        for one in subject.shown
        if one.result.controls is not None
    ]


def _weights(one: Shown[Answer], controls: Controls) -> list[Picture]:
    parts = {"A": controls.A, "W": controls.W.swapaxes(1, 2), "b": controls.b[:, None, :]}
    meanings = {"A": "A, output weight", "W": "W, input weight", "b": "b, offset"}
    bounds = one.result.problem.controls.bounds.groups
    drawn = []
    for name, values in parts.items():
        lines = values.reshape(len(values), -1).T  # components before neurons
        draw = _steps if len(lines) <= MOST_LINES else _image
        drawn.append(draw(one, controls, name, meanings[name], lines, values.shape[1], bounds[name]))
    return drawn


def _steps(
    one: Shown[Answer], controls: Controls, name: str, meaning: str, lines: Array, components: int, bound: float
) -> Picture:
    width = controls.width
    names = coordinates(controls.dimension)
    curves = []
    for place, line in enumerate(lines):
        component, neuron = divmod(place, width)
        colour = SERIES[place % len(SERIES)]
        said = [f"component {names[component]}"] * (components > 1) + [f"neuron {neuron + 1}"] * (width > 1)
        ink = Ink(colour, on_black(colour), DASHES[place % len(DASHES)])
        curves.append(Curve(controls.times, line, ink, ", ".join(said)))
    largest = float(np.abs(finite(lines)).max())
    near = [-bound, bound] if largest > NEAR_BOUND * bound else []
    y = around([lines, near, [0.0]], "")
    x = Scale(float(controls.times[0]), float(controls.times[-1]), "t")
    reach = [digits(float(value)) for value in (finite(lines).min(), finite(lines).max())]
    words = f"Weight {name} against time for {one.label}: between {' and '.join(reach)}"
    return Picture(meaning, chart(curves, x, y, words, height=180, levels=near), legend(curves))


def _image(
    one: Shown[Answer], controls: Controls, name: str, meaning: str, lines: Array, components: int, _bound: float
) -> Picture:
    """A row for each weight, time to the right."""
    times = np.linspace(controls.times[0], controls.times[-1], IMAGE_COLUMNS, endpoint=False)
    pieces = np.clip(np.searchsorted(controls.times, times, side="right") - 1, 0, controls.pieces - 1)
    size = float(np.abs(finite(lines)).max()) or 1.0
    rows = lines[:, pieces]
    uri = signed_picture(np.repeat(rows, max(1, 160 // len(rows)), axis=0), size, SIGNED_MAP)
    words = f"Weights {name} of {one.label} against time, a row for each of {len(lines)}"
    by = "component and neuron" if components > 1 else "neuron"
    shown = Markup('<img class="weights" src="{}" alt="{}">').format(uri, words)
    return Picture(meaning, shown, note=f"A row for each {by}, time to the right; red +{size:.3g}, blue −{size:.3g}.")


def _near_bounds(one: Shown[Answer], controls: Controls) -> str:
    bounds = one.result.problem.controls.bounds
    groups = {"A": controls.A, "W": controls.W, "b": controls.b}
    held = [(np.abs(part) > 0.999 * bounds.groups[name]).ravel() for name, part in groups.items()]
    share = float(np.mean(np.concatenate(held)))
    largest = float(np.abs(finite(*groups.values())).max())
    if share > 0:
        return f"{100 * share:.0f} % of the weights are at the bound {bounds} (red lines)."
    return f"The largest weight is {digits(largest)}; the bound is {bounds}."


# Convergence


def convergence(subject: About[Answer]) -> list[tuple[str, list[Picture], str]]:
    """For each result that a solver searched for: its label, pictures of the search, and what the starts reached."""
    found = []
    for one in subject.shown:
        drawn = [picture for picture in (_objective(one), _gradient(one), _starts(one)) if picture]
        if drawn:
            found.append((one.label, drawn, _account(one)))
    return found


def answer_words(one: Shown[Answer]) -> str:
    """J of the answer, as it is written everywhere on the page."""
    return f"J = {digits(one.result.objective, OBJECTIVE_DIGITS)}"


def _account(one: Shown[Answer]) -> str:
    result = one.result
    seconds = result.seconds.get("solve", float("nan"))
    lines = [f"The answer has {answer_words(one)} after {result.iterations} iterations, {seconds:.1f} s"]
    return "; ".join([*lines, *spread_of(result)]) + "."


def _objective(one: Shown[Answer]) -> Picture | None:
    result = one.result
    iterations, values = result.history[:, 0], result.history[:, 1]
    if np.isfinite(values).sum() < 2:
        return None
    curves = [Curve(iterations, values, one.ink, "objective of the iterate")]
    begun = {kind: rows for kind in BEGINS if len(rows := rows_that_begin(result.beginnings, kind))}
    for kind, rows in begun.items():
        curves.append(Curve(iterations[rows], values[rows], INK, f"a {kind} begins", line=False, mark=BEGINS[kind]))
    sentences = []
    if result.solver == "collocation":
        sentences.append("The states of collocation obey the state equation only at the end; before, this is not J.")
    if result.problem.objective.terminal_error is not None:
        sentences.append("A point for each multiplier of the limit at T.")
    sentences += [_told(kind, len(rows)) for kind, rows in begun.items()]
    note = " ".join(sentences)
    if np.isfinite(result.objective):
        answer = Curve(
            [result.iterations],
            [result.objective],
            ALARM,
            f"the answer, {answer_words(one)}",
            line=False,
            mark="star",
        )
        curves.append(answer)
    shown = [values, np.array([result.objective])]
    x = around([iterations, [result.iterations]], "iteration", whole=True)
    y = around(shown, "", logarithmic=bool((finite(*shown) > 0).all()) and spans_magnitudes(shown, 5.0))
    words = f"Objective against iterations for {one.label}; the answer has {answer_words(one)}"
    uprights = [float(iterations[row]) for rows in begun.values() for row in rows]
    return Picture("objective", chart(curves, x, y, words, height=200, uprights=uprights), legend(curves), note)


def _told(kind: Beginning, count: int) -> str:
    """What so many beginnings of a kind mean for J."""
    times = "Once" if count == 1 else f"{count} times"
    if kind == "hop":
        return f"{times} a hop (a few pieces disturbed, and minimised again) led lower; other hops are not shown."
    return f"{times} the mesh became finer; the same weights have another J there."


def _gradient(one: Shown[Answer]) -> Picture | None:
    iterations, _, gradient = one.result.history.T
    if (np.isfinite(gradient) & (gradient > 0)).sum() < 2:
        return None
    x = around([iterations], "iteration", whole=True)
    y = around([gradient], "", logarithmic=True)
    words = f"Largest entry of the gradient against iterations for {one.label}"
    return Picture(
        "largest entry of the gradient", chart([Curve(iterations, gradient, one.ink)], x, y, words, height=200)
    )


def _starts(one: Shown[Answer]) -> Picture | None:
    """J of every start, best first; lower ones than the answer's were set aside, and are hollow."""
    result = one.result
    if (
        len(result.starts) < 2
        or not np.isfinite(result.starts).any()
        or result.problem.objective.terminal_error is not None
    ):
        return None
    found = reached(result.starts, result.objective)
    values = np.array([*found.set_aside, *found.kept])
    ranks, aside = np.arange(1, len(values) + 1), len(found.set_aside)
    curves = [Curve(ranks[aside:], values[aside:], one.ink, "a start", line=False, mark="circle")]
    if aside:
        curves.append(Curve(ranks[:aside], values[:aside], one.ink, "set aside", line=False, mark="ring"))
    if found.kept:
        curves.append(
            Curve([aside + 1], [values[aside]], ALARM, f"the answer, {answer_words(one)}", line=False, mark="star")
        )
    x = Scale(0.5, max(len(values), 1) + 0.5, "start, by rank", whole=True)
    y = around([values], "", logarithmic=bool(len(values) and (values > 0).all() and values[-1] > 5 * values[0]))
    words = f"J that each of {len(result.starts)} starts reached for {one.label}"
    lost = f" {found.lost} broke down." if found.lost else ""
    return Picture(
        f"J of {len(result.starts)} starts", chart(curves, x, y, words, height=200), legend(curves), lost.strip()
    )


# Particles of a simulation


def histograms(subject: Subject) -> list[Picture]:
    """For each axis the particles at T, as bars, on the verified density and the target."""
    simulation = subject.simulation
    if simulation is None:
        return []
    from controlsde.report.particles import along

    shown = subject.shown[0]
    fields, sums = simulation.result.fields, simulation.measured.simulated.sums
    drawn = []
    for axis, (low, high) in enumerate(simulation.result.problem.domain.box):
        edges = np.linspace(low, high, BARS + 1)
        counts = sums.marginals[axis].reshape(BARS, -1).sum(axis=1)
        x, density, _ = along(simulation, axis, edges, fields.density[-1])
        _, target, _ = along(simulation, axis, edges, fields.reference[-1])
        bars = counts / (sums.count * (edges[1] - edges[0]))
        curves = [
            Curve(
                np.repeat(edges, 2)[1:-1],
                np.repeat(bars, 2),
                shown.ink,
                f"{simulation.particles:,} particles",
                filled=True,
            ),
            Curve(x, density, INK, "verified density ρ"),
            Curve(x, target, REFERENCE, "target p"),
        ]
        name = "xyz"[axis]
        y = around([bars, density, target], "density")
        words = (
            f"Histogram of {simulation.particles:,} particles at T along {name} on the verified density and the target"
        )
        drawn.append(
            Picture(f"particles along {name} at T", chart(curves, Scale(low, high, name), y, words), legend(curves))
        )
    return drawn
