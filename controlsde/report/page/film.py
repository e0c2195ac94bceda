"""The film of the densities: frames for a script that draws them, and the first and the last one drawn already.

Comes in: a `Subject`. Goes out: a `Film`: plain data, ready for JSON, and two still pictures.

In one dimension a frame is the density at `POINTS` places, evaluated by the mesh's own polynomials (its nodes joined by
lines would look like a polygon). Numbers are written as unsigned 16-bit integers, little-endian, in base64:

    value = low + (high − low)·code / TOP,    code = 0 … TOP = 65534,    65535: not finite

with low and high of the whole film of that curve, so that rounding changes a value by less than a 65535th of its range.
Every result has its own mesh and times; between two of its frames the script interpolates in time.

In two dimensions a frame is a picture (PNG) of 256 shades of √density, and the arrows of the drift a path of SVG; three
dimensions are integrated over the last. A picture cannot be interpolated: the nearest frame is shown.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from controlsde.report.canvas import DENSITY_MAP, finite, number
from controlsde.report.densities import height_limits
from controlsde.report.images import arrows_of, longest_arrow
from controlsde.report.moments import chosen_times, end_names
from controlsde.report.page.chart import FIELD, REFERENCE, Curve, Scale, chart, sample, tick_text
from controlsde.report.page.subject import Shown, Subject
from controlsde.report.words import digits
from controlsde.result.result import Result
from controlsde.verification.evidence import Fields

Array = NDArray[np.float64]

POINTS = 401
TOP, BROKEN = 65534, 65535
MOST_FRAMES = 97
MOST_BYTES = 280_000  # of all curves of a film, before they are text
PIXELS = 200  # along the longer side of the box
MOST_PICTURES = 120
MOST_IMAGES = 33  # frames of one result
REFERENCE_NAME = "reference p"
TIME_DIGITS = 4


@dataclass(frozen=True)
class Track:
    """What is drawn for the reference or one result: its key and label, a sample for the legend, its error curve."""

    key: str
    label: str
    sample: Markup
    style: Markup


@dataclass(frozen=True)
class Still:
    """One moment, drawn: its title, and the markup of the picture or of each panel with its label."""

    title: str
    panels: tuple[tuple[str, str, Markup], ...]  # (key, label, markup)


@dataclass(frozen=True)
class Film:
    """A film: `data` for the script, the tracks that can be switched on and off, and the stills at both ends."""

    kind: str  # lines | images
    data: dict[str, Any]
    tracks: tuple[Track, ...]
    stills: tuple[Still, Still]
    ratio: float = 0.0  # height over width of an image
    note: str = ""
    shades: str = ""  # the URI of all shades from 0 to `top`, left to right
    top: str = ""


def film_of(subject: Subject) -> Film:
    """The film of all results against the reference."""
    return _lines(subject) if len(subject.results[0].fields.axes) == 1 else _images(subject)


def encoded(values: Array) -> dict[str, Any]:
    """Numbers of any shape as 16-bit codes; see the head of this module."""
    numbers = finite(values)
    low, high = float(numbers.min()), float(numbers.max())
    span = high - low or 1.0
    with np.errstate(invalid="ignore"):
        codes = np.where(np.isfinite(values), np.rint((values - low) / span * TOP), BROKEN)
    text = base64.b64encode(codes.astype("<u2").tobytes()).decode("ascii")
    return {"low": low, "high": low + span, "codes": text}


def decoded(stored: dict[str, Any], points: int = POINTS) -> Array:
    """The frames (n, points) that `encoded` wrote, as the script reads them."""
    codes = np.frombuffer(base64.b64decode(stored["codes"]), "<u2").astype(float).reshape(-1, points)
    values = stored["low"] + (stored["high"] - stored["low"]) * codes / TOP
    return np.where(codes == BROKEN, np.nan, values)


def _tracks(subject: Subject) -> tuple[Track, ...]:
    reference = Track("p", REFERENCE_NAME, sample(Curve([], [], REFERENCE, filled=True)), REFERENCE.style)
    results = [
        Track(
            f"r{place}",
            f"ρ at {one.label}" if subject.several else f"controlled density ρ, {one.label}",
            sample(Curve([], [], one.ink)),
            one.ink.style,
        )
        for place, one in enumerate(subject.shown)
    ]
    return (reference, *results)


def _error_curve(result: Result) -> dict[str, Any]:
    """The verified L² error at the times of its curve, and each in words; at T the number that is told everywhere."""
    fields = result.fields
    words = [digits(float(value)) for value in fields.l2]
    return {"times": [float(t) for t in fields.curve_times], "words": [*words[:-1], digits(result.tracking.l2_final)]}


def _master(subject: Subject, most: int) -> list[float]:
    """The moments of the slider: those of the first result's frames."""
    times = subject.results[0].fields.times
    return [float(times[index]) for index in chosen_times(times, most)]


# One dimension


def _lines(subject: Subject) -> Film:
    results = subject.results
    most = int(np.clip(MOST_BYTES / (2 * POINTS * (len(results) + 1)), 9, MOST_FRAMES))
    moments = _master(subject, most)
    axis = results[0].fields.mesh.axes[0]
    points = np.linspace(axis.low, axis.high, POINTS)
    frames = [_evaluated(one.fields, one.fields.density, points, most) for one in results]
    reference = _evaluated(results[0].fields, results[0].fields.reference, points, most)
    low, high = height_limits(np.concatenate([values.ravel() for _, values in frames]), reference[1])
    x, y = Scale(axis.low, axis.high, "x"), Scale(low, high, "density")
    tracks = _tracks(subject)
    series = {
        "p": _series(*reference, None),
        **{f"r{n}": _series(*pair, one) for n, (pair, one) in enumerate(zip(frames, results, strict=True))},
    }
    return Film(
        "lines",
        {
            "kind": "lines",
            "field": FIELD,
            "top": TOP,
            "points": POINTS,
            "low": low,
            "high": high,
            "times": moments,
            "ends": end_names(results[0]),
            "digits": TIME_DIGITS,
            "tracks": series,
        },
        tracks,
        tuple(_still(subject, moments, place, points, reference, frames, x, y) for place in (0, -1)),  # type: ignore[arg-type]
        note=_cut_off(subject, high),
    )


def _evaluated(fields: Fields, values: Array, points: Array, most: int) -> tuple[Array, Array]:
    """Times (n,) and values (n, points) of at most so many frames, by the polynomials of the elements."""
    chosen = chosen_times(fields.times, most)
    matrix = fields.mesh.axes[0].interpolation(points)
    with np.errstate(invalid="ignore", over="ignore"):
        return fields.times[chosen], np.asarray((matrix @ values[chosen].T).T)


def _series(times: Array, values: Array, result: Result | None) -> dict[str, Any]:
    errors = {"errors": _error_curve(result)} if result else {}
    return {"times": [float(t) for t in times], **encoded(values), **errors}


def _cut_off(subject: Subject, high: float) -> str:
    """Which densities reach beyond the picture, and how high."""
    parts = []
    for one in subject.shown:
        peak = float(finite(one.result.fields.density).max())
        if peak > high:
            parts.append(f"ρ at {one.label} has a peak of {number(peak)}, beyond the picture")
    return "; ".join(parts)


def _still(
    subject: Subject,
    moments: list[float],
    place: int,
    points: Array,
    reference: tuple[Array, Array],
    frames: list[tuple[Array, Array]],
    x: Scale,
    y: Scale,
) -> Still:
    curves = [Curve(points, reference[1][place], REFERENCE, REFERENCE_NAME, filled=True, key="p")]
    curves += [
        Curve(points, values[place], one.ink, one.label, key=f"r{number}")
        for number, (one, (_, values)) in enumerate(zip(subject.shown, frames, strict=True))
    ]
    title = _title(subject, moments, place)
    names = ", ".join(one.label for one in subject.shown)
    words = f"Density against x at {title}: the reference, and the controlled density at {names}"
    return Still(title, (("all", "", chart(curves, x, y, words, height=300)),))


def _title(subject: Subject, moments: list[float], place: int) -> str:
    return f"t = {moments[place]:.{TIME_DIGITS}g} ({end_names(subject.results[0])[place]})"


# Two dimensions, and three


def _images(subject: Subject) -> Film:
    results = subject.results
    most = int(np.clip(MOST_PICTURES // (len(results) + 1), 5, MOST_IMAGES))
    moments = _master(subject, most)
    axes = results[0].fields.mesh.axes[:2]
    lengths = [axis.high - axis.low for axis in axes]
    counts = [max(round(PIXELS * length / max(lengths)), 8) for length in lengths]
    points = tuple(
        axis.low + (np.arange(count) + 0.5) * length / count
        for axis, count, length in zip(axes, counts, lengths, strict=True)
    )
    reference = _flattened(results[0].fields, results[0].fields.reference, points, most)
    frames = [_flattened(one.fields, one.fields.density, points, most) for one in results]
    top = float(finite(reference[1], *(values[[0, -1]] for _, values in frames)).max()) or 1.0
    tracks = {"p": _pictures(*reference, top), **{f"r{n}": _pictures(*pair, top) for n, pair in enumerate(frames)}}
    speeds = []
    for place, one in enumerate(subject.shown):
        drawn, speed = _arrow_paths(one.result, most)
        tracks[f"r{place}"] |= {"arrows": drawn, "errors": _error_curve(one.result)}
        speeds.append(f"|v| up to {number(speed)} at {one.label}" if speed > 0 else "")
    ratio = lengths[1] / lengths[0]
    (left, right), (low, high) = ((tick_text(axis.low), tick_text(axis.high)) for axis in axes)
    shown = "; ".join(words for words in speeds if words)
    note = f"x from {left} to {right} to the right, y from {low} to {high} upwards"
    note += "; integrated over z" if len(results[0].fields.axes) == 3 else ""
    note += f"; arrows: the drift where there is mass, {shown}." if shown else "."
    named = tuple(replace(track, sample=Markup("")) for track in _tracks(subject))
    stills = tuple(_panels(subject, moments, place, tracks, named) for place in (0, -1))
    return Film(
        "images",
        {"kind": "images", "times": moments, "ends": end_names(results[0]), "digits": TIME_DIGITS, "tracks": tracks},
        named,
        stills,  # type: ignore[arg-type]
        ratio,
        note,
        picture(top * np.linspace(0.0, 1.0, 255)[None, :] ** 2, top),
        number(top),
    )


def _flattened(fields: Fields, values: Array, points: tuple[Array, ...], most: int) -> tuple[Array, Array]:
    """Times (n,) and values (n, rows from above, columns), by the polynomials of the elements."""
    chosen = chosen_times(fields.times, most)
    picked = values[chosen]
    if len(fields.axes) == 3:
        picked = picked @ fields.mesh.axes[2].weights
    first, second = (axis.interpolation(p) for axis, p in zip(fields.mesh.axes, points, strict=False))
    with np.errstate(invalid="ignore", over="ignore"):
        frames = [second @ (first @ frame).T for frame in picked]
    return fields.times[chosen], np.array(frames)[:, ::-1]


def _pictures(times: Array, frames: Array, top: float) -> dict[str, Any]:
    return {"times": [float(t) for t in times], "images": [picture(frame, top) for frame in frames]}


def picture(values: Array, top: float) -> str:
    """Values (rows, columns) from 0 to `top` in 256 shades of their root, as the URI of a PNG.

    What is not finite is grey.
    """
    shares = np.sqrt(np.clip(np.nan_to_num(values, nan=0.0, posinf=top) / top, 0.0, 1.0))
    codes = np.where(np.isfinite(values), np.rint(254 * shares), 255).astype(np.uint8)
    return _png(codes, DENSITY_MAP)


def signed_picture(values: Array, size: float, colours: str) -> str:
    """Values (rows, columns) from −size to size in 255 shades, as the URI of a PNG."""
    shares = np.clip(0.5 + 0.5 * np.nan_to_num(values) / size, 0.0, 1.0)
    codes = np.where(np.isfinite(values), np.rint(254 * shares), 255).astype(np.uint8)
    return _png(codes, colours)


def grey_picture(shares: Array, colours: str) -> str:
    """Shares of the darkest shade (rows, columns), as the URI of a PNG; what is not finite is not painted."""
    codes = np.where(np.isfinite(shares), np.rint(254 * np.clip(np.nan_to_num(shares), 0.0, 1.0)), 255)
    return _png(codes.astype(np.uint8), colours, transparency=255)


def _png(codes: NDArray[np.uint8], colours: str, **options: Any) -> str:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(codes))
    image.putpalette(_palette(colours))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


@cache
def _palette(colours: str) -> bytes:
    """255 shades of a map of colours, and grey."""
    import matplotlib

    shades = matplotlib.colormaps[colours](np.linspace(0.0, 1.0, 255))[:, :3]
    return np.vstack([np.rint(255 * shades), [[128, 128, 128]]]).astype(np.uint8).tobytes()


def _arrow_paths(result: Result, most: int) -> tuple[list[str], float]:
    """A path in the field for each frame, and the largest speed; empty paths where there is no drift to draw."""
    fields = result.fields
    chosen = chosen_times(fields.times, most)
    drawn = arrows_of(result, chosen)
    speed = max((float(np.hypot(*drift.T).max()) for _, drift in drawn if len(drift)), default=0.0)
    if speed <= 0.0:
        return [""] * len(chosen), 0.0
    scale = longest_arrow(fields.axes) / speed
    corner = np.array([axis[0] for axis in fields.axes[:2]])
    sides = np.array([axis[-1] - axis[0] for axis in fields.axes[:2]])
    return [_arrow_path((places - corner) / sides, scale * drift / sides, sides) for places, drift in drawn], speed


def _arrow_path(places: Array, arrows: Array, sides: Array) -> str:
    """Arrows about their places, in shares of the box (n, 2): a shaft and two strokes of the head."""
    words = []
    longest = sides.max() / sides  # a length in shares of the longer side, on each axis
    for middle, arrow in zip(places, arrows, strict=True):
        length = float(np.hypot(*(arrow / longest)))
        if length < 2e-3:
            continue
        tail, tip = middle - 0.5 * arrow, middle + 0.5 * arrow
        along = arrow / longest / length
        across = np.array([-along[1], along[0]])
        size = min(0.35 * length, 0.02)
        ears = [tip - (size * along + side * 0.6 * size * across) * longest for side in (1, -1)]
        words.append("M{}L{}M{}L{}L{}".format(*map(_placed, (tail, tip, ears[0], tip, ears[1]))))
    return "".join(words)


def _placed(point: Array) -> str:
    return f"{FIELD * point[0]:.0f} {FIELD * (1 - point[1]):.0f}"


def _panels(
    subject: Subject, moments: list[float], place: int, tracks: dict[str, dict[str, Any]], named: tuple[Track, ...]
) -> Still:
    title = _title(subject, moments, place)
    panels = []
    for track in named:
        data = tracks[track.key]
        arrows = data.get("arrows", [""])[place]
        markup = Markup(
            '<img src="{}" alt="{} at {}"><svg class="arrows" viewBox="0 0 {} {}" preserveAspectRatio="none" '
            'aria-hidden="true"><path class="under" d="{}"/><path class="over" d="{}"/></svg>'
        ).format(data["images"][place], track.label, title, FIELD, FIELD, arrows, arrows)
        panels.append((track.key, track.label, markup))
    return Still(title, tuple(panels))


__all__ = ["POINTS", "Film", "Shown", "decoded", "encoded", "film_of", "grey_picture", "picture", "signed_picture"]
