"""The charts of a page in free space: distances, their course, likelihoods, marginals, the plane, and pictures.

Comes in: a `FreeSubject` and its `FreeScene`. Goes out: `Picture`s, drawn as inline SVG; only what is a picture in the
data is one here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from controlsde.report.canvas import ONE_GAUSSIAN
from controlsde.report.contact_sheet import SHADES, legend_of, sheet_of
from controlsde.report.free_distances import beside
from controlsde.report.free_scene import ALL, BINS, HELD, FreeScene, Plane, distances_of
from controlsde.report.moments import end_names
from controlsde.report.page.chart import FAINT, INK, REFERENCE, Curve, Ink, Scale, around, chart, legend, on_black
from controlsde.report.page.curves import Picture
from controlsde.report.page.film import grey_picture
from controlsde.report.page.subject import FreeSubject
from controlsde.report.words import digits

Array = NDArray[np.float64]

GAUSSIAN = Ink(ONE_GAUSSIAN, on_black(ONE_GAUSSIAN), "6 4")
GAUSSIAN_DOTS = Ink(GAUSSIAN.light, GAUSSIAN.dark)
MOMENTS = 3  # of the plane of one result
SMALL = 200  # pixels
PICTURE_SCALE = 4  # screen pixels a pixel, before the page scales it


@dataclass(frozen=True)
class Pictures:
    """Rows of pictures: what they are, and the URI of a PNG. words: what each shows; note: what the shades mean."""

    rows: tuple[tuple[str, str], ...]
    words: str
    note: str


def distances(subject: FreeSubject) -> list[Picture]:
    """A chart for each distance: a mark for every seed of every result, the band of draws of p, and the Gaussian."""
    drawn = []
    names, label, note = categories(subject)
    for one in distances_of(subject.levels):
        curves = []
        for place, (shown, values) in enumerate(zip(subject.shown, one.values, strict=True)):
            curves.append(Curve(beside(place, len(values)), values, shown.ink, line=False, mark="circle"))
        low, high = one.null_mean - 2 * one.null_sd, one.null_mean + 2 * one.null_sd
        x = Scale(-0.6, len(subject.shown) - 0.4, label)
        if one.gaussian is not None:
            curves.append(Curve([x.low, x.high], [one.gaussian] * 2, GAUSSIAN, "one Gaussian"))
        y = around([*one.values, [low, high, one.gaussian or 0.0, 0.0]])
        said = "; ".join(
            f"{shown.label} {digits(float(np.mean(values)))}"
            for shown, values in zip(subject.shown, one.values, strict=True)
        )
        words = f"{one.title} at T: {said}"
        field = chart(curves, x, y, words, height=SMALL, bands=[(low, high)], categories=names)
        drawn.append(Picture(one.title, field, _with_band(curves, "draws of p, ± 2 standard deviations"), note))
    return drawn


def categories(subject: FreeSubject) -> tuple[list[str], str, str]:
    """What stands below the marks of each result, the label of that axis, and a sentence where numbers stand there."""
    labels = [shown.label for shown in subject.shown]
    if not subject.several:
        return labels, "", ""
    short = [label.removeprefix("noise ") for label in labels]
    if all("," not in label for label in short):
        return short, "noise η", ""
    numbers = [str(place + 1) for place in range(len(labels))]
    return numbers, "", "; ".join(f"{number}: {label}" for number, label in zip(numbers, labels, strict=True)) + "."


def _with_band(curves: Sequence[Curve], name: str) -> Markup:
    """A legend that explains the grey band, too."""
    band = Markup(
        '<ul class="legend"><li><svg class="sample" width="34" height="16" aria-hidden="true">'
        '<rect class="band" x="1" y="2" width="32" height="12"/></svg> {}</li></ul>'
    ).format(name)
    return band + legend(curves)


def course(subject: FreeSubject, scene: FreeScene) -> Picture | None:
    """The mollified distance squared against time, beside the level of chance."""
    clouds = [one.result.particles for one in subject.shown]
    if all(np.isfinite(cloud.curve).sum() < 2 for cloud in clouds):
        return None
    times, deviations = scene.chance()
    n = clouds[0].positions.shape[1]
    across, up = [*times, *times[::-1]], [*(2 * deviations), *(-2 * deviations[::-1])]
    curves = [Curve(across, up, FAINT, f"{n:,} draws of p: within 2 standard deviations", line=False, filled=True)]
    curves += [
        Curve(cloud.times, cloud.curve, one.ink, one.label) for one, cloud in zip(subject.shown, clouds, strict=True)
    ]
    x = Scale(float(times[0]), float(times[-1]), "t")
    y = around([up, *(cloud.curve for cloud in clouds)], "share of p's own norm")
    words = "Mollified distance squared against time: " + "; ".join(
        f"{one.label} ends at {digits(float(cloud.curve[-1]))}"
        for one, cloud in zip(subject.shown, clouds, strict=True)
    )
    return Picture("mollified distance squared on the way", chart(curves, x, y, words), legend(curves))


def likelihoods(subject: FreeSubject) -> list[Picture]:
    """Log-likelihood and KL by result, where there are several; exact as dots, bounds as triangles."""
    found = [[one.tracking.log_likelihood for one in level] for level in subject.levels]
    told = [[one for one in level if one] for level in found]
    if not subject.several or not any(told):
        return []
    first = next(one for level in told for one in level)
    labels = [shown.label for shown in subject.shown]
    named, label, which = categories(subject)
    x = Scale(-0.6, len(labels) - 0.4, label)
    logs: list[Curve] = [
        Curve([x.low, x.high], [first.reference] * 2, REFERENCE, "p itself"),
        Curve([x.low, x.high], [first.gaussian] * 2, GAUSSIAN, "one Gaussian"),
    ]
    divergences: list[Curve] = []
    for place, (shown, level) in enumerate(zip(subject.shown, told, strict=True)):
        where = beside(place, len(level))
        mark = "triangle" if level and level[0].kind == "bound" else "circle"
        values, spreads = [one.value for one in level], [2 * one.se for one in level]
        logs.append(Curve(where, values, shown.ink, line=False, mark=mark, spreads=spreads))
        values, spreads = [one.kl for one in level], [2 * one.kl_se for one in level]
        divergences.append(Curve(where, values, shown.ink, line=False, mark=mark, spreads=spreads))
        paths = [one.path_kl for one in level if one.path_kl is not None]
        divergences.append(Curve(where[: len(paths)], paths, shown.ink, line=False, mark="ring"))
    y = _span([*(one.value for level in told for one in level), first.reference, first.gaussian], "nats")
    said = "; ".join(f"{name} {digits(level[0].value)}" for name, level in zip(labels, told, strict=True) if level)
    note = "Dots: exact, without noise. Triangles: bounds. ± 2 standard errors."
    drawn = [
        Picture(
            "log-likelihood of held-out rows" if first.held_out else "log-likelihood of draws of p",
            chart(logs, x, y, f"Log-likelihood: {said}", height=SMALL, categories=named),
            legend(logs),
            f"{note} {which}".rstrip(),
        )
    ]
    tops = [one.kl + 2 * one.kl_se for level in told for one in level]
    y = around([*(np.asarray(curve.y) for curve in divergences), tops, [0.0]], "nats")
    said = "; ".join(f"{name} {digits(level[0].kl)}" for name, level in zip(labels, told, strict=True) if level)
    field = chart(divergences, x, y, f"KL from p to ρ: {said}", height=SMALL, categories=named)
    drawn.append(Picture("KL(p‖ρ)", field, note="Triangles: at most so much. Rings: the bound by paths."))
    return drawn


def _span(values: Sequence[float], label: str) -> Scale:
    """The scale of numbers that nothing ties to zero."""
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)] if np.isfinite(numbers).any() else np.zeros(1)
    room = 0.1 * float(np.ptp(numbers)) or 1.0
    return Scale(float(numbers.min()) - room, float(numbers.max()) + room, label)


def marginals(subject: FreeSubject, scene: FreeScene) -> tuple[list[Picture], Markup | str, str]:
    """A chart for each line, what all of them show, and which lines these are."""
    inks = [one.ink for one in subject.shown]
    names = [f"ρ, {one.label}" for one in subject.shown]
    finals = [one.result.particles.final for one in subject.shown]
    if subject.simulation is not None:
        finals, names = [subject.simulation.cloud.final], [f"{subject.simulation.particles:,} other particles"]
    drawn, curves = [], []
    for line in scene.marginals(*finals, bins=BINS if len(finals) == 1 else BINS // 2):
        filled = len(line) == 1
        curves = [
            Curve(np.repeat(one.edges, 2)[1:-1], np.repeat(one.histogram, 2), ink, name, filled=filled, line=not filled)
            for one, ink, name in zip(line, inks, names, strict=True)
        ]
        one = line[0]
        curves.append(Curve(one.x, one.gaussian, GAUSSIAN, "one Gaussian"))
        curves.append(Curve(one.x, one.density, INK, "p"))
        y = around([one.density, *(each.histogram for each in line)])
        x = Scale(float(one.edges[0]), float(one.edges[-1]))
        words = f"Histogram of particles at T along {one.label} on p"
        drawn.append(Picture(one.label, chart(curves, x, y, words, height=150)))
    few = scene.target.dimension <= ALL
    note = "" if few else "The first principal axes, and the coordinates along which ρ and p differ most."
    return drawn, legend(curves) if curves else "", note


def planes(subject: FreeSubject, scene: FreeScene) -> tuple[list[tuple[str, list[Picture]]], str]:
    """Rows of charts with their titles, and what the lines mean: over time for one result, at T for several."""
    inks = [INK, *(one.ink for one in subject.shown), GAUSSIAN_DOTS]
    held = " and ".join(f"{100 * share:.0f} %" for share in HELD)
    shares = [f"{100 * share:.0f} %" for share in scene.shares[:2]]
    note = f"Lines: the regions that hold {held} of p. The axes hold {' and '.join(shares)} of the variance of p(T)."
    if subject.several:
        plane = scene.plane_at_end(subject.results)
        labels = ["p", *(f"ρ, {one.label}" for one in subject.shown), "one Gaussian"]
        return ([("", _plane(plane, labels, inks))] if plane else []), note
    drawn = scene.planes(MOMENTS)
    begin, end = end_names(subject.results[0])
    rows = []
    for place, one in enumerate(drawn):
        name = {0: f" ({begin})", len(drawn) - 1: f" ({end})"}.get(place, "")
        rows.append((f"t = {one.time:.3g}{name}", _plane(one, ["p", "ρ", "one Gaussian"], inks)))
    return rows, note


def _plane(plane: Plane, labels: Sequence[str], inks: Sequence[Ink]) -> list[Picture]:
    x, y = (Scale(*limits) for limits in plane.limits)
    drawn = []
    for dots, label, ink in zip(plane.dots, labels, inks, strict=True):
        x_of, y_of = dots.points.T
        curves = [Curve(x_of, y_of, Ink(ink.light, ink.dark), line=False, dots=True)]
        for lines, outline in zip(plane.contours, (INK, REFERENCE), strict=True):
            curves += [Curve(line[:, 0], line[:, 1], outline, outline=True) for line in lines]
        beyond = f", {dots.beyond} more beyond the edges" if dots.beyond else ""
        words = f"{len(dots.points)} points of {label} at t = {plane.time:.3g}{beyond}"
        note = f"{dots.beyond} more are beyond the edges." if dots.beyond else ""
        drawn.append(Picture(label, chart(curves, x, y, words, height=220), note=note))
    return drawn


def pictures(subject: FreeSubject, scene: FreeScene) -> Pictures | None:
    """The contact sheet, a PNG for each row; None where coordinates are no pictures."""
    sheet = sheet_of(subject.results, scene, labels=[one.label for one in subject.shown])
    if sheet is None:
        return None
    rows = []
    for row in sheet.rows:
        shares = np.repeat(np.repeat(sheet.shares(row), PICTURE_SCALE, axis=0), PICTURE_SCALE, axis=1)
        rows.append((row.label, grey_picture(shares, SHADES)))
    height, width = sheet.rows[0].pictures.shape[1:]
    said = legend_of(subject.results)
    return Pictures(tuple(rows), f"pictures of {height} × {width} pixels", f"{said[:1].upper()}{said[1:]}.")
