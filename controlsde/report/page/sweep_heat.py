"""The heat map of the page of a sweep as it stands without a script: means in words, on the shades of a scale.

Comes in: columns of a sweep, and what is shown at first. Goes out: `Heat`, for the template.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controlsde.foundation.wording import in_a_row
from controlsde.report.page.sweep_columns import Axis, Cell, Columns, Means, Measure, means

DECADE = 10.0  # values that span so much are shown by their logarithms
SHADES = (  # viridis, which every kind of colour vision puts in order
    "#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26",
    "#fde725",
)  # fmt: skip


@dataclass(frozen=True)
class Shaded:
    """A cell of the heat map: its colour and that of its text, lines of text; no colour where there is no mean."""

    lines: tuple[str, ...]
    paper: str = ""
    ink: str = ""


@dataclass(frozen=True)
class Heat:
    """The heat map as it stands without a script."""

    across: Axis
    down: Axis | None
    rows: tuple[tuple[str, tuple[Shaded, ...]], ...]
    told: str


def heat_of(columns: Columns, axes: tuple[int, int | None]) -> Heat | None:
    """The main measure over two axes, across and down, or one alone; None where there is no measure, or no axis."""
    measure = columns.main
    if measure is None or not columns.axes:
        return None
    across = columns.axes[axes[0]]
    down = None if axes[1] is None else columns.axes[axes[1]]
    found = means(columns, measure, across, down)
    cells = [cell for row in found.cells for cell in row]
    there = [cell.mean for cell in cells if cell.count]
    low, high = (min(there), max(there)) if there else (0.0, 1.0)
    counted = any(cell.wanted > 1 for cell in cells)
    shaded = [tuple(_shaded(cell, low, high, counted=counted) for cell in row) for row in found.cells]
    labels = ("",) if down is None else down.labels
    return Heat(across, down, tuple(zip(labels, shaded, strict=True)), told(measure, found, columns))


def told(measure: Measure, found: Means, columns: Columns) -> str:
    """What stands in the cells, in words; the script says the same of any choice."""
    if not found.averaged:
        return f"{measure.title} of the verified run in each place."
    seeds = any(columns.axis(key).seed for key in found.spread_over)
    alike = " at otherwise equal settings" if seeds else ""
    return (
        f"{measure.title}: the mean over {in_a_row(found.averaged)} of the verified runs; ± is the standard deviation "
        f"over {in_a_row(found.spread_over)}{alike}, n how many runs are in a mean."
    )


def _shaded(cell: Cell, low: float, high: float, *, counted: bool) -> Shaded:
    if not cell.count:
        return Shaded((cell.words,))
    lines = [brief(cell.mean)]
    if math.isfinite(cell.spread):
        lines.append(f"± {brief(cell.spread, 2)}")
    if counted:
        lines.append(f"n {cell.count}" if cell.count == cell.wanted else f"n {cell.count} of {cell.wanted}")
    return Shaded(tuple(lines), *colours(share(cell.mean, low, high)))


def share(value: float, low: float, high: float) -> float:
    """A value's place between the least and the largest, by logarithms where these span a decade."""
    if not high > low:
        return 0.5
    if low > 0.0 and high / low >= DECADE:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def colours(place: float) -> tuple[str, str]:
    """The shade at a place between 0 and 1, and black or white, whichever is read on it at 4.5 : 1 or better."""
    at = min(max(place, 0.0), 1.0) * (len(SHADES) - 1)
    first = min(int(at), len(SHADES) - 2)
    one, other = (_channels(SHADES[first]), _channels(SHADES[first + 1]))
    mixed = [math.floor(a + (b - a) * (at - first) + 0.5) for a, b in zip(one, other, strict=True)]
    paper = "#" + "".join(f"{channel:02x}" for channel in mixed)
    return paper, "#000000" if luminance(paper) > 0.179 else "#ffffff"


def luminance(colour: str) -> float:
    """The relative luminance of a colour, as the Web Content Accessibility Guidelines define it."""
    linear = [
        channel / 12.92 if (channel := one / 255) <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for one in _channels(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def brief(value: float, figures: int = 3) -> str:
    """A few digits; powers of ten where a number is very large or small."""
    if value == 0.0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if -5 < size < 5:
        return f"{value:.{max(0, figures - 1 - size)}f}".replace("-", "−")
    raised = str(size).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return f"{value / 10.0**size:.{figures - 1}f}·10{raised}".replace("-", "−")
