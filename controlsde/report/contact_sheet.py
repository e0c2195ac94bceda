"""The contact sheet of data that are pictures: the data, p(T), ρ(T) at every noise level, and one Gaussian.

Coordinates are pictures where their names say so, and where a caller says so; never because their number is a square.
Names say so when they are STEM_row_column of every pixel in reading order, as pixel_0_0, pixel_0_1 … pixel_7_7. All
rows have the same shades: from the least to the largest value of the data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.report.canvas import INK, MARGIN, SMALL, WIDTH, new_figure, own_style, save
from controlsde.report.free_scene import FreeScene, finite_rows
from controlsde.result.free_result import FreeResult
from controlsde.result.result_file import ResultError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from controlsde.workflow.free_comparison import FreeComparison

Array = NDArray[np.float64]

PIXEL = re.compile(r"(.*?)_?(\d+)_(\d+)")
ACROSS, LINES = 16, 2  # pictures of a row, in so many lines
LABEL = 1.35  # inches
SHADES = "gray_r"
GAP = 1  # pixels between pictures


@dataclass(frozen=True, eq=False)
class Row:
    """What the pictures are, and so many of them (n, rows, columns), in the units of the data."""

    label: str
    pictures: Array


@dataclass(frozen=True, eq=False)
class Sheet:
    """Rows of pictures; low, high: the values that are white and black."""

    rows: tuple[Row, ...]
    low: float
    high: float

    def shares(self, row: Row) -> Array:
        """The pictures of a row beside and below one another, as shares of black; what is no picture is nan."""
        count, height, width = row.pictures.shape
        lines = -(-count // ACROSS)
        tiled = np.full((lines * (height + GAP) - GAP, ACROSS * (width + GAP) - GAP), np.nan)
        span = self.high - self.low or 1.0
        for place, one in enumerate(row.pictures):
            top, left = (place // ACROSS) * (height + GAP), (place % ACROSS) * (width + GAP)
            tiled[top : top + height, left : left + width] = np.clip((one - self.low) / span, 0.0, 1.0)
        return tiled


def shape_of(names: Sequence[str]) -> tuple[int, int] | None:
    """Rows and columns of the pictures whose pixels have these names in reading order; None where they say no such."""
    found = [PIXEL.fullmatch(name) for name in names]
    if not found or found[-1] is None:
        return None
    stem, last_row, last_column = found[-1].groups()
    rows, columns = int(last_row) + 1, int(last_column) + 1
    if min(rows, columns) < 2 or rows * columns != len(names):
        return None
    for place, one in enumerate(found):
        if one is None or one[1] != stem or (int(one[2]), int(one[3])) != divmod(place, columns):
            return None
    return rows, columns


def sheet_of(
    results: Sequence[FreeResult], scene: FreeScene, shape: tuple[int, int] | None = None, labels: Sequence[str] = ()
) -> Sheet | None:
    """The sheet of results of one problem; None where neither `shape` nor the names say that they are pictures.

    scene: of the first result. labels: of the results, their noise levels where nobody says. Raises ResultError for a
    shape that does not fit.
    """
    first = results[0]
    cloud = first.particles
    shape = shape or shape_of(cloud.names)
    if shape is None:
        return None
    first.to_images(shape, 1)  # refuses a shape that does not fit
    count = ACROSS * LINES

    def row(label: str, points: Array) -> Row:
        return Row(label, points[:count].reshape(-1, *shape))

    rows = [row("held-out data", cloud.measured(cloud.held_out))] if len(cloud.held_out) else []
    rows.append(row("p(T)", cloud.measured(cloud.target)))
    low, high = float(rows[0].pictures.min()), float(rows[0].pictures.max())
    named = labels or [f"noise {one.noise:g}" for one in results]
    for one, label in zip(results, named, strict=True):
        final = finite_rows(one.particles.final)
        if len(final):
            rows.append(row(f"ρ(T), {label}", one.particles.measured(final)))
    rows.append(row("one Gaussian", scene.gaussian_pictures(count)))
    return Sheet(tuple(rows), low, high)


def contact_sheet(
    results: Sequence[FreeResult],
    scene: FreeScene,
    subtitle: str,
    *,
    alarm: bool,
    shape: tuple[int, int] | None = None,
) -> Figure | None:
    """The sheet as a picture; None where the data are none."""
    sheet = sheet_of(results, scene, shape)
    if sheet is None:
        return None
    tiled = [sheet.shares(row) for row in sheet.rows]
    wide = WIDTH - LABEL - 2 * MARGIN
    heights = [wide * shares.shape[0] / shares.shape[1] for shares in tiled]
    title = f"{results[0].problem.name}: data, p(T), particles, and the Gaussian of the same moments"
    figure = new_figure(0.75 + sum(heights) + 0.1 * len(heights), title, subtitle, alarm=alarm)
    panels = figure.subplots(len(tiled), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, row, shares in zip(panels, sheet.rows, tiled, strict=True):
        axes.imshow(np.ma.masked_invalid(shares), cmap=SHADES, vmin=0.0, vmax=1.0, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(row.label, rotation=0, ha="right", va="center", fontsize=SMALL, color=INK)
    return figure


def save_contact_sheet(
    shown: FreeResult | FreeComparison, path: str | Path, shape: tuple[int, int] | None = None
) -> Path:
    """Write the contact sheet of a result, or of a comparison, as a PNG.

    shape: (rows, columns) of a picture, where the names of the coordinates do not say it. Raises ResultError where
    nothing says it, or it does not fit; OSError, in one line with the cure, where nothing can be written.
    """
    results = [shown] if isinstance(shown, FreeResult) else list(shown.results)
    with own_style():
        figure = contact_sheet(results, FreeScene(results[0]), legend_of(results), alarm=False, shape=shape)
        if figure is None:
            raise ResultError(
                "the names of the coordinates do not say that they are pictures, as pixel_0_0 to pixel_7_7 do; give "
                "shape=(rows, columns)"
            )
        return save(figure, Path(path))


def legend_of(results: Sequence[FreeResult]) -> str:
    """What the shades mean."""
    cloud = results[0].particles
    shown = cloud.measured(cloud.held_out if len(cloud.held_out) else cloud.target)[: ACROSS * LINES]
    return f"the first of each; white {shown.min():.3g} or less, black {shown.max():.3g} or more".replace("-", "−")
