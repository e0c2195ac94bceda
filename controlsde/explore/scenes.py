"""What the page draws: a preview, and verified answers beside it, as plain data and as markup of charts.

Comes in: a `Preview`, and tracks of verified answers. Goes out: a dictionary, ready for JSON. Curves over x travel as
the report's films do, in 16-bit codes (see `report.page.film`), one set for each track, so that the page moves through
time without asking again; charts are drawn here, by the report's own means, and the page only moves their curves. In
two dimensions a frame is a picture.

    tracks   p (the reference), now (the preview), r1, r2, … (runs): the same keys in every chart
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.control.drift import Drift
from controlsde.fokker_planck.mesh import Mesh
from controlsde.problem import Problem
from controlsde.problem.reference_specs import ReferenceSpec
from controlsde.problem.schema import Domain
from controlsde.report.canvas import SERIES
from controlsde.report.densities import height_limits
from controlsde.report.moments import chosen_times
from controlsde.report.page.chart import (
    DASHES,
    FIELD,
    REFERENCE,
    Curve,
    Ink,
    Scale,
    around,
    chart,
    legend,
    on_black,
    sample,
    spans_magnitudes,
)
from controlsde.report.page.film import TIME_DIGITS, TOP, encoded, picture
from controlsde.report.words import digits
from controlsde.workflow.previewing import Preview, kept_reference

Array = NDArray[np.float64]

POINTS = 241  # of a curve over x
FRAMES = {1: 33, 2: 13}  # most moments, by dimension
PIXELS = 96  # along the longer side of a picture
ARROWS = 11  # along each side of the box
NOW = Ink("#0b5c8f", "#7cc0ee")
EXACT = Ink(REFERENCE.light, REFERENCE.dark, "2 4")
PREVIEW = "preview, not verified"


@dataclass(frozen=True, eq=False)
class Track:
    """A density over time to be drawn: its key and name, how it looks, where it is known, its error curve."""

    key: str
    name: str
    ink: Ink
    mesh: Mesh
    times: Array
    density: Array  # (n, *nodes)
    curve_times: Array
    l2: Array
    l2_final: float
    drift: Drift | None


def ink_of(number: int) -> Ink:
    """How the run of this number is drawn, in every chart."""
    colours = SERIES[1:]  # the first is much like the preview's
    colour = colours[(number - 1) % len(colours)]
    return Ink(colour, on_black(colour), DASHES[1 + (number - 1) % (len(DASHES) - 1)])


def preview_track(shown: Preview) -> Track:
    """The preview as a track."""
    return Track(
        "now",
        PREVIEW,
        NOW,
        shown.mesh,
        shown.times,
        shown.density_values,
        shown.curve_times,
        shown.l2,
        shown.discrete.l2_final,
        shown.drift,
    )


def scene(
    shown: Preview, controls: Controls, runs: Sequence[Track], *, reference: bool, wanted: Sequence[str]
) -> dict[str, Any]:
    """Everything that the page draws for a preview and the runs beside it.

    controls: of the preview. reference: whether the reference's own tracks are wanted. wanted: the keys of the runs
    whose tracks are wanted; those that the page has already are not sent again.
    """
    tracks = [preview_track(shown), *runs]
    sent = [track for track in tracks if track.key == "now" or track.key in wanted]
    draw = _lines if shown.problem.dimension == 1 else _images
    return {
        "verified": shown.verified,
        "field": FIELD,
        "top": TOP,
        "points": POINTS,
        "digits": TIME_DIGITS,
        "horizon": float(shown.times[-1]),
        "ends": ("noise", "data") if shown.problem.reference.kind == "reversed-diffusion" else ("start", "end"),
        "times": [float(t) for t in _moments(shown.times, shown.problem.dimension)],
        "numbers": {name: digits(value) for name, value in shown.discrete.l2_json().items()},
        "error": _errors(tracks),
        "weights": weights(controls),
        "legend": legend_of(tracks, plane=shown.problem.dimension > 1),
        **draw(shown, tracks, sent, reference=reference),
    }


def _moments(times: Array, dimension: int) -> Array:
    return np.asarray(times[chosen_times(times, FRAMES[dimension])])


def _error_words(track: Track) -> dict[str, Any]:
    words = [digits(float(value)) for value in track.l2]
    return {"times": track.curve_times.tolist(), "words": [*words[:-1], digits(track.l2_final)]}


def _exact(problem: Problem, times: Array) -> Array:
    """v*_η where it is drawn, at the points of the curves or the arrows: (times, places, d).

    It is linear in the noise, so that two levels of it, which depend on nothing that moves often, give all others.
    """
    still, noisy = _exact_at_both(problem.reference, problem.domain, tuple(times.tolist()))
    return still + problem.noise * (noisy - still)


@lru_cache(maxsize=8)
def _exact_at_both(spec: ReferenceSpec, domain: Domain, times: tuple[float, ...]) -> tuple[Array, Array]:
    """v*_0 and v*_1."""
    box = domain.box
    places = np.linspace(*box[0], POINTS)[:, None] if len(box) == 1 else _places(box)
    reference = kept_reference(spec, domain)
    still, noisy = (np.stack([reference.exact_drift(t, places, noise) for t in times]) for noise in (0.0, 1.0))
    return still, noisy


def _piece(drift: Drift, t: float) -> int:
    return int(np.clip(np.searchsorted(drift.edges, t, side="right") - 1, 0, len(drift.edges) - 2))


# One dimension


def _lines(shown: Preview, tracks: Sequence[Track], sent: Sequence[Track], *, reference: bool) -> dict[str, Any]:
    axis = shown.mesh.axes[0]
    points = np.linspace(axis.low, axis.high, POINTS)
    times = _moments(shown.times, 1)
    target = _evaluated(shown.mesh, shown.reference_values[chosen_times(shown.times, FRAMES[1])], points)
    exact = _exact(shown.problem, times)[..., 0]
    heights = [_evaluated(track.mesh, track.density[[0, -1]], points) for track in tracks]
    low, high = height_limits(np.concatenate(heights), target)
    fast = _fastest(exact, target)
    data: dict[str, Any] = {track.key: _curves(track, points) for track in sent}
    if reference:
        moments = {"times": times.tolist()}
        data["p"] = {**moments, **encoded(target), "drift": {**moments, **encoded(exact)}}
    x = Scale(axis.low, axis.high, "x")
    return {
        "kind": "lines",
        "density": {
            "low": low,
            "high": high,
            "chart": _moving(x, Scale(low, high, "density"), tracks, "Density against x", 300, filled=True),
        },
        "drift": {
            "low": -fast,
            "high": fast,
            "chart": _moving(x, Scale(-fast, fast, "v"), tracks, "Drift against x", 200, filled=False),
        },
        "tracks": data,
    }


def _moving(x: Scale, y: Scale, tracks: Sequence[Track], words: str, height: int, *, filled: bool) -> Markup:
    """A chart whose curves the page draws."""
    ends, nothing = [x.low, x.high], [np.nan, np.nan]
    curves = [Curve(ends, nothing, REFERENCE if filled else EXACT, filled=filled, key="p")]
    curves += [Curve(ends, nothing, track.ink, key=track.key) for track in tracks]
    return chart(curves, x, y, words, height=height)


def _curves(track: Track, points: Array) -> dict[str, Any]:
    """Density and drift of a track over x and time."""
    chosen = chosen_times(track.times, FRAMES[1])
    values = _evaluated(track.mesh, track.density[chosen], points)
    return {
        "times": track.times[chosen].tolist(),
        **encoded(values),
        "errors": _error_words(track),
        "drift": None if track.drift is None else _drift(track.drift, track.times[chosen], points[:, None]),
    }


def _drift(drift: Drift, times: Array, points: Array) -> dict[str, Any]:
    """A drift over x: one curve a piece where it is constant there, else one at each of the times."""
    if drift.constant:
        times = drift.edges[:-1]
    values = np.stack([drift.values(_piece(drift, float(t)), float(t), points)[:, 0] for t in times])
    return {"times": times.tolist(), "constant": drift.constant, **encoded(values)}


def _fastest(exact: Array, target: Array) -> float:
    """How far the axis of the drift reaches: the exact one where there is mass; elsewhere it may be anything."""
    there = target > 0.02 * np.nanmax(target, axis=1, keepdims=True)
    speeds = np.abs(exact[there & np.isfinite(exact)])
    return 1.6 * float(np.quantile(speeds, 0.98)) if len(speeds) and speeds.max() > 0 else 1.0


def _evaluated(mesh: Mesh, values: Array, points: Array) -> Array:
    """Values (n, nodes) at points (m,) by the polynomials of the elements: (n, m)."""
    return np.asarray((mesh.axes[0].interpolation(points) @ values.T).T)


# Two dimensions


def _images(shown: Preview, tracks: Sequence[Track], sent: Sequence[Track], *, reference: bool) -> dict[str, Any]:  # noqa: ARG001
    times = _moments(shown.times, 2)
    target = _pixels(shown.mesh, shown.reference_values[chosen_times(shown.times, FRAMES[2])])
    top = float(np.nanmax(target)) or 1.0
    places = _places(shown.problem.domain.box)
    exact = _exact(shown.problem, times)
    speed = max(float(np.quantile(np.hypot(*each.T), 0.9)) for each in exact) or 1.0
    sides = np.array([axis.high - axis.low for axis in shown.mesh.axes])

    def arrows(speeds: Array) -> list[list[int]]:
        """(ARROWS², 2): half of each arrow, in units of the field; none is much longer than the space that it has."""
        halves = 0.45 / ARROWS * sides.max() / speed * speeds
        too_long = np.maximum(np.hypot(*halves.T) / (0.8 / ARROWS * sides.max()), 1.0)
        found: list[list[int]] = np.rint(np.nan_to_num(FIELD * halves / too_long[:, None] / sides)).astype(int).tolist()
        return found

    data: dict[str, Any] = {}
    for track in sent:
        chosen = chosen_times(track.times, FRAMES[2])
        images = [picture(frame, top) for frame in _pixels(track.mesh, track.density[chosen])]
        data[track.key] = {"times": track.times[chosen].tolist(), "images": images, "errors": _error_words(track)}
    if reference:
        data["p"] = {"times": times.tolist(), "images": [picture(frame, top) for frame in target]}
    halves = {"p": [arrows(each) for each in exact]}
    drift = shown.drift
    if drift is not None:
        halves["now"] = [arrows(drift.values(_piece(drift, float(t)), float(t), places)) for t in times]
    low = np.array([axis.low for axis in shown.mesh.axes])
    return {
        "kind": "images",
        "ratio": float(sides[1] / sides[0]),
        "peak": digits(top, 3),
        "tracks": data,
        "arrows": halves,
        "places": np.rint(FIELD * (places - low) / sides).astype(int).tolist(),
    }


def _places(box: Sequence[tuple[float, float]]) -> Array:
    """Where arrows stand: (ARROWS², 2)."""
    shares = (np.arange(ARROWS) + 0.5) / ARROWS
    first, second = (low + shares * (high - low) for low, high in box)
    return np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)


def _pixels(mesh: Mesh, values: Array) -> Array:
    """Values (n, *nodes) as (n, rows from above, columns)."""
    lengths = [axis.high - axis.low for axis in mesh.axes]
    points = []
    for axis, length in zip(mesh.axes, lengths, strict=True):
        count = max(round(PIXELS * length / max(lengths)), 8)
        points.append(axis.low + (np.arange(count) + 0.5) * length / count)
    first, second = (axis.interpolation(p) for axis, p in zip(mesh.axes, points, strict=True))
    return np.array([second @ (first @ frame).T for frame in values])[:, ::-1]


def _errors(tracks: Sequence[Track]) -> dict[str, Any]:
    """The chart of the error curves, with its legend."""
    curves = [Curve(track.curve_times, track.l2, track.ink, track.name) for track in tracks]
    values = [track.l2[1:] for track in tracks]
    logarithmic = spans_magnitudes(values, 300.0)
    if logarithmic:
        positive = np.concatenate(values)
        floor = 1e-3 * float(np.quantile(positive[positive > 0], 0.2))
        values = [np.clip(each, floor, None) for each in values]
    x = Scale(0.0, max(float(track.curve_times[-1]) for track in tracks), "t")
    y = around(values, "‖ρ − p‖ in L²", logarithmic=logarithmic)
    told = "; ".join(f"{track.name} ends at {digits(track.l2_final)}" for track in tracks)
    return {
        "chart": chart(curves, x, y, f"L² error against time: {told}", height=200),
        "legend": legend(curves),
        "until": x.high,
    }


# Weights


def weights(controls: Controls) -> list[dict[str, Any]]:
    """A chart for each of A, W and b against time, with its title."""
    parts = {
        "A, output weight": controls.A.reshape(controls.pieces, -1),
        "W, input weight": controls.W.swapaxes(1, 2).reshape(controls.pieces, -1),
        "b, offset": controls.b,
    }
    x = Scale(0.0, float(controls.times[-1]), "t")
    drawn = []
    for title, values in parts.items():
        curves = [
            Curve(controls.times, line, Ink(colour, on_black(colour), DASHES[place % len(DASHES)]))
            for place, (line, colour) in enumerate(zip(values.T, _colours(values.shape[1]), strict=True))
        ]
        size = float(np.abs(values).max()) or 1.0
        y = Scale(-1.15 * size, 1.15 * size)
        words = f"{title} against time, between {digits(float(values.min()))} and {digits(float(values.max()))}"
        drawn.append({"title": title, "chart": chart(curves, x, y, words, height=120)})
    return drawn


def _colours(count: int) -> list[str]:
    return [SERIES[place % len(SERIES)] for place in range(count)]


def legend_of(tracks: Sequence[Track], plane: bool) -> list[dict[str, str]]:
    """The names of the tracks with a sample of how each is drawn."""
    named = [("p", "reference p", REFERENCE, True), *((track.key, track.name, track.ink, False) for track in tracks)]
    return [
        {"key": key, "name": name, "sample": "" if plane else sample(Curve([], [], ink, filled=filled))}
        for key, name, ink, filled in named
    ]
