"""Charts as SVG: curves, steps, dots and error bars over labelled axes, that keep the size of their text at any width.

Comes in: arrays and scales. Goes out: markup, a pure function of what came in.

    an SVG without a view box   one unit is a pixel: text, marks and line widths never shrink
      lines and text            placed in per cent of the width and height
      an SVG inside             1000 × 1000, stretched to the same place: the curves, whose strokes are not stretched

So a chart needs no script to fit a phone, and none when the window changes. Margins are padding of the HTML around it.
Curves are told apart by dashes and marks as well as by colours; what is not finite is a gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MOST_POINTS = 1000  # of a line
FIELD = 1000  # units of the inner SVG, on both axes
DASHES = ("", "9 4", "2 4", "12 3 2 3", "5 2 5 2 1 2", "1 6")
MARKS = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "ring": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "diamond": "M0-6.5L6.5 0 0 6.5-6.5 0z",
    "square": "M-4.5-4.5h9v9h-9z",
    "triangle": "M0-6L5.5 4.5h-11z",
    "star": "M0 -8L2 -2.8L7.6 -2.5L3.2 1.1L4.7 6.5L0 3.4L-4.7 6.5L-3.2 1.1L-7.6 -2.5L-2 -2.8z",
    "cross": "M-4.5-4.5L4.5 4.5M-4.5 4.5L4.5-4.5",
}
HOLLOW = ("ring", "cross")


@dataclass(frozen=True)
class Ink:
    """How one thing is drawn wherever it appears: its colour on white and on black, and its dashes."""

    light: str
    dark: str
    dash: str = ""

    @property
    def style(self) -> Markup:
        """The colours as variables of CSS; the page's style sheet takes the one that fits."""
        return Markup("--on-white:{};--on-black:{}").format(self.light, self.dark)


INK = Ink("#222222", "#e8e6e3")
FAINT = Ink("#6b6b6b", "#9d9a96")
REFERENCE = Ink(INK.light, INK.dark, "6 4")
ALARM = Ink("#b2182b", "#ff8a80", "2 3")


def on_black(colour: str) -> str:
    """The same hue where the page is dark: half-way to white."""
    channels = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(0.5 * channel + 127):02x}" for channel in channels)


@dataclass(frozen=True)
class Scale:
    """An axis from low to high, linear or logarithmic, with its label."""

    low: float
    high: float
    label: str = ""
    logarithmic: bool = False
    whole: bool = False  # ticks at whole numbers alone

    def place(self, values: ArrayLike) -> Array:
        """Values as shares of the axis, 0 at its low end; what no logarithm can show is not a number."""
        numbers = np.asarray(values, dtype=float)
        with np.errstate(all="ignore"):
            if self.logarithmic:
                numbers = np.where(numbers > 0, np.log10(np.where(numbers > 0, numbers, 1.0)), np.nan)
                low, high = math.log10(self.low), math.log10(self.high)
            else:
                low, high = self.low, self.high
            shares = (numbers - low) / (high - low)
        return np.where(np.isfinite(shares), shares, np.nan)

    def ticks(self, most: int = 5) -> tuple[tuple[float, str], ...]:
        """Shares of the axis and what stands there."""
        return _ticks(self, most)


@lru_cache(maxsize=256)
def _ticks(scale: Scale, most: int) -> tuple[tuple[float, str], ...]:
    from matplotlib.ticker import LogLocator, MaxNLocator

    if scale.logarithmic and scale.high / scale.low >= 10:
        between = (1.0, 2.0, 5.0) if scale.high / scale.low <= 300 else (1.0,)
        found = LogLocator(subs=between, numticks=most + 1).tick_values(scale.low, scale.high)
    else:
        found = MaxNLocator(most, steps=[1, 2, 5, 10], integer=scale.whole).tick_values(scale.low, scale.high)
    values = np.asarray(found, dtype=float)
    values = np.where(np.abs(values) < 1e-12 * (scale.high - scale.low), 0.0, values)
    places = scale.place(values)
    return tuple(
        (float(place), tick_text(float(value)))
        for place, value in zip(places, values, strict=True)
        if -1e-9 <= place <= 1 + 1e-9
    )


def tick_text(value: float) -> str:
    """A number beside an axis: short, with a real minus, and powers of ten where it is very large or small."""
    text = f"{value:.4g}"
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        if not exponent:
            mantissa, _, exponent = f"{value:.2e}".partition("e")
            mantissa = f"{float(mantissa):g}"
        raised = str(int(exponent)).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
        text = f"10{raised}" if mantissa == "1" else f"{mantissa}·10{raised}"
    return text.replace("-", "−")


def around(values: Iterable[ArrayLike], label: str = "", *, logarithmic: bool = False, whole: bool = False) -> Scale:
    """The scale of all finite values with a little room above; from zero where it is linear and none is below."""
    numbers = _finite(values)
    if logarithmic:
        numbers = numbers[numbers > 0]
        if len(numbers) == 0:
            return Scale(0.1, 1.0, label, logarithmic=True)
        return Scale(float(numbers.min()) / 1.5, float(numbers.max()) * 1.5, label, logarithmic=True)
    if len(numbers) == 0:
        return Scale(0.0, 1.0, label, whole=whole)
    low, high = float(numbers.min()), float(numbers.max())
    room = 0.07 * (high - min(low, 0.0)) or 1.0
    return Scale(0.0 if low >= -1e-3 * high else low - room, high + room, label, whole=whole)


def spans_magnitudes(values: Iterable[ArrayLike], most: float = 100.0) -> bool:
    """Whether positive values lie so far apart that a linear scale would show the largest alone."""
    numbers = _finite(values)
    positive = numbers[numbers > 0]
    return bool(len(positive) and positive.max() > most * np.quantile(positive, 0.2))


def _finite(values: Iterable[ArrayLike]) -> Array:
    rows = [np.ravel(np.asarray(each, dtype=float)) for each in values]
    numbers = np.concatenate(rows) if rows else np.zeros(0)
    return numbers[np.isfinite(numbers)]


@dataclass(frozen=True)
class Curve:
    """A curve, or steps where x has one point more than y; marks at its points if it has a `mark`, a line if `line`.

    spreads: half-lengths of vertical error bars, where there are any. A thin line is drawn whole, however many points.
    """

    x: ArrayLike
    y: ArrayLike
    ink: Ink
    name: str = ""
    line: bool = True
    mark: str = ""
    filled: bool = False
    spreads: ArrayLike | None = None
    key: str = ""  # by which a script finds it
    thin: bool = False  # one of very many
    outline: bool = False  # the edge of a region
    dots: bool = False  # very many points in place of a line


def chart(
    curves: Sequence[Curve],
    x: Scale,
    y: Scale,
    words: str,
    *,
    height: int = 240,
    uprights: Sequence[float] = (),
    levels: Sequence[float] = (),
    bands: Sequence[tuple[float, float]] = (),
    categories: Sequence[str] = (),
    image: str = "",
) -> Markup:
    """A chart of curves over two axes.

    words: what it shows, for those who do not see it. uprights: places on x that are marked by thin lines; levels: on
    y, in the colour of a warning; bands: between two places on y, shaded. categories: names at 0, 1, … on the x axis in
    place of numbers.
    """
    parts = [*_grid(x, y, categories)]
    parts += [_upright(float(place)) for place in x.place(list(uprights)) if 0 <= place <= 1]
    inner = [_image(image)] if image else []
    inner += [_band(y, *each) for each in bands]
    inner += [_area(curve, x, y) for curve in curves if curve.filled]
    inner += [_level(float(place)) for place in y.place(list(levels)) if 0 <= place <= 1]
    inner += [_line(curve, x, y) for curve in curves if curve.line]
    inner += [_dots(curve, x, y) for curve in curves if curve.dots]
    parts.append(
        Markup(
            '<svg class="field" viewBox="0 0 {0} {0}" preserveAspectRatio="none" width="100%" height="100%">{1}</svg>'
        ).format(FIELD, Markup("").join(inner))
    )
    parts += [mark for curve in curves if curve.mark for mark in _marks(curve, x, y)]
    return Markup(
        '<div class="plot" style="height:{}px">'
        '<svg role="img" aria-label="{}" width="100%" height="100%">{}</svg></div>'
    ).format(height, words, Markup("").join(parts))


def legend(curves: Sequence[Curve]) -> Markup:
    """What the curves with a name are, each with its line and mark."""
    shown = [Markup("<li>{} {}</li>").format(sample(one), one.name) for one in curves if one.name]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(shown)) if shown else Markup("")


def sample(curve: Curve) -> Markup:
    """A piece of a curve as a legend shows it."""
    parts = []
    if curve.dots:
        parts.append(Markup('<path class="dots" d="M9 8h0M17 5h0M25 9h0"/>'))
    if curve.filled:
        parts.append(Markup('<rect class="area" x="1" y="3" width="32" height="10"/>'))
    if curve.line:
        parts.append(Markup('<path class="curve" d="M1 8H33"{}/>').format(_dashes(curve.ink)))
    if curve.mark:
        parts.append(Markup('<g transform="translate(17 8)">{}</g>').format(_mark(curve.mark)))
    return Markup('<svg class="sample ink" style="{}" width="34" height="16" aria-hidden="true">{}</svg>').format(
        curve.ink.style, Markup("").join(parts)
    )


def path_of(x: Scale, y: Scale, across: ArrayLike, values: ArrayLike) -> str:
    """The path of a curve in the field; steps where there is one x more than values. What is not finite is a gap."""
    right, up = x.place(across), y.place(values)
    if len(right) == len(up) + 1:
        right, up = np.repeat(right, 2)[1:-1], np.repeat(up, 2)
    words, pen = [], "M"
    for one, other in zip(FIELD * right, FIELD * (1.0 - up), strict=True):
        if math.isfinite(one) and math.isfinite(other):
            words.append(f"{pen}{one:.1f} {np.clip(other, -9 * FIELD, 9 * FIELD):.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(words).replace(".0", "")


def _line(curve: Curve, x: Scale, y: Scale) -> Markup:
    key = Markup(' data-key="{}"').format(curve.key) if curve.key else Markup("")
    return Markup('<path class="curve ink{}" style="{}"{}{} d="{}"/>').format(
        " thin" if curve.thin else " outline" if curve.outline else "",
        curve.ink.style,
        _dashes(curve.ink),
        key,
        path_of(x, y, *_thinned(curve)),
    )


def _thinned(curve: Curve) -> tuple[Array, Array]:
    """The points of a line, of very many every few and the last."""
    across, values = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
    if curve.thin or len(values) <= MOST_POINTS or len(across) != len(values):
        return across, values
    chosen = np.unique(np.linspace(0, len(values) - 1, MOST_POINTS).astype(int))
    return across[chosen], values[chosen]


def _area(curve: Curve, x: Scale, y: Scale) -> Markup:
    """Down to zero, or to the lower edge of a logarithmic axis."""
    edges = np.asarray(curve.x, dtype=float)
    base = y.low if y.logarithmic else float(np.clip(0.0, y.low, y.high))
    path = path_of(x, y, [edges[0], *edges, edges[-1]], [base, *np.nan_to_num(np.asarray(curve.y, dtype=float)), base])
    key = Markup(' data-area="{}"').format(curve.key) if curve.key else Markup("")
    return Markup('<path class="area ink" style="{}"{} d="{}"/>').format(curve.ink.style, key, path)


def _image(uri: str) -> Markup:
    return Markup('<image href="{0}" width="{1}" height="{1}" preserveAspectRatio="none"/>').format(uri, FIELD)


def _level(place: float) -> Markup:
    return Markup('<path class="curve ink" style="{}"{} d="M0 {:.1f}H{}"/>').format(
        ALARM.style, _dashes(ALARM), FIELD * (1 - place), FIELD
    )


def _band(y: Scale, low: float, high: float) -> Markup:
    bottom, top = np.clip(y.place([low, high]), 0.0, 1.0)
    if not np.isfinite([bottom, top]).all():
        return Markup("")
    return Markup('<rect class="band" x="0" width="{}" y="{:.1f}" height="{:.1f}"/>').format(
        FIELD, FIELD * (1 - top), FIELD * (top - bottom)
    )


def _dots(curve: Curve, x: Scale, y: Scale) -> Markup:
    """One path for all of them: strokes of no length with round ends."""
    right, up = x.place(curve.x), y.place(curve.y)
    words = "".join(
        f"M{FIELD * one:.0f} {FIELD * (1 - other):.0f}h0"
        for one, other in zip(right, up, strict=True)
        if 0 <= one <= 1 and 0 <= other <= 1
    )
    return Markup('<path class="dots ink" style="{}" d="{}"/>').format(curve.ink.style, words)


def _upright(place: float) -> Markup:
    return Markup('<line class="upright" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="100%"/>').format(100 * place)


def _dashes(ink: Ink) -> Markup:
    return Markup(' stroke-dasharray="{}"').format(ink.dash) if ink.dash else Markup("")


def _mark(kind: str) -> Markup:
    return Markup('<path class="mark{}" d="{}"/>').format(" hollow" if kind in HOLLOW else "", MARKS[kind])


def _marks(curve: Curve, x: Scale, y: Scale) -> list[Markup]:
    values = np.asarray(curve.y, dtype=float)
    spreads = np.zeros(len(values)) if curve.spreads is None else np.asarray(curve.spreads, dtype=float)
    lowest = y.low if y.logarithmic else -np.inf
    right, up = x.place(curve.x), y.place(values)
    below, above = y.place(np.maximum(values - spreads, lowest)), y.place(values + spreads)
    found = []
    for place, height, least, largest in zip(right, up, below, above, strict=True):
        if not (math.isfinite(place) and math.isfinite(height) and -0.02 <= height <= 1.02):
            continue
        across, down = f"{100 * place:.2f}%", f"{100 * (1 - height):.2f}%"
        if largest > least:
            found.append(_whisker(curve.ink, 100 * place, least, largest))
        found.append(
            Markup('<svg class="ink" style="{}" x="{}" y="{}" overflow="visible">{}</svg>').format(
                curve.ink.style, across, down, _mark(curve.mark)
            )
        )
    return found


def _whisker(ink: Ink, across: float, low: float, high: float) -> Markup:
    """An error bar between two shares of the axis; an end that is beyond the axis is cut off, and has no cap."""
    caps = Markup("").join(
        Markup('<svg x="{:.2f}%" y="{:.2f}%" overflow="visible"><path class="whisker" d="M-5 0H5"/></svg>').format(
            across, 100 * (1 - level)
        )
        for level in (low, high)
        if 0 < level <= 1
    )
    low, high = (min(max(level, 0.0), 1.0) for level in (low, high))
    return Markup(
        '<g class="ink" style="{}"><line class="whisker" x1="{:.2f}%" x2="{:.2f}%" y1="{:.2f}%" y2="{:.2f}%"/>{}</g>'
    ).format(ink.style, across, across, 100 * (1 - low), 100 * (1 - high), caps)


def _grid(x: Scale, y: Scale, categories: Sequence[str]) -> list[Markup]:
    """Lines at the ticks of both axes, their numbers, and the labels."""
    parts = []
    for place, text in y.ticks():
        parts.append(
            Markup(
                '<line class="grid" x1="0" x2="100%" y1="{0:.2f}%" y2="{0:.2f}%"/>'
                '<text class="tick" x="0" y="{0:.2f}%" dx="-7" dy="4" text-anchor="end">{1}</text>'
            ).format(100 * (1 - place), text)
        )
    named = [(float(share), name) for share, name in zip(x.place(range(len(categories))), categories, strict=True)]
    for place, text in named or list(x.ticks()):
        parts.append(
            Markup(
                '<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="100%"/>'
                '<text class="tick" x="{0:.2f}%" y="100%" dy="18" text-anchor="middle">{1}</text>'
            ).format(100 * place, text)
        )
    parts.append(Markup('<line class="axis" x1="0" x2="100%" y1="100%" y2="100%"/>'))
    if x.label:
        parts.append(
            Markup('<text class="label" x="100%" y="100%" dy="36" text-anchor="end">{}</text>').format(x.label)
        )
    if y.label:
        parts.append(Markup('<text class="label" x="0" y="0" dx="-46" dy="-10">{}</text>').format(escape(y.label)))
    return parts
