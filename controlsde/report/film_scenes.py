"""What stands in a film: for each result a scene, in one dimension three panels, in more one image.

Comes in: a result, what moves in it, its axes. Goes out: the artists that change from moment to moment, and `show`,
which sets them to one moment: nothing is made anew, so that a frame takes milliseconds. Between the nodes densities are
the polynomials of the mesh, not lines from node to node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Mesh
from controlsde.report.canvas import (
    DENSITY_MAP,
    FAINT,
    GRID,
    INK,
    REFERENCE,
    SMALL,
    dress,
    finite,
    line_named,
    noise_colour,
    number,
)
from controlsde.report.densities import height_limits
from controlsde.report.film_particles import Moving
from controlsde.report.images import INHABITED, arrow_places
from controlsde.report.moments import error_then
from controlsde.result.result import Result

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

CURVE = 500  # points of a line
PIXELS = 180  # along the longer side of an image
GREEN = "#00805f"  # dots on white; arrows on an image, which is yellow to black
DRIFT = "#8c510a"
ROOM = "L² error 0.0000"  # of what will stand there, for the layout
HEADROOM = 1.2  # over the fastest drift where there is mass
ARROWS = 13  # along the longer side of the box
FAST, LONG = 0.9, 1.3  # an arrow as fast as this share of them is as long as so many gaps between two


class Scene(Protocol):
    """One result in a film."""

    artists: tuple[Artist, ...]

    def show(self, moment: int) -> None:
        """Set the artists to one of the result's times."""
        ...


class LineScene:
    """One dimension: the density against its reference, particles as dots, the drift as a curve."""

    artists: tuple[Artist, ...]

    def __init__(self, panels: Any, result: Result, moving: Moving, title: str) -> None:
        fields = result.fields
        (axis,) = fields.mesh.axes
        self._result, self._moving = result, moving
        self._x = np.linspace(axis.low, axis.high, CURVE)
        basis = axis.interpolation(self._x)
        self._density, self._reference = (
            np.asarray((basis @ values.T).T) for values in (fields.density, fields.reference)
        )
        above, middle, below = panels
        colour = noise_colour(result.noise)
        (self._fill,) = above.fill(self._x, np.zeros_like(self._x), color=colour, alpha=0.3, linewidth=0)
        (self._line,) = above.plot([], [], color=colour, linewidth=1.8)
        (self._target,) = above.plot([], [], color=REFERENCE, linestyle="--", linewidth=1.3)
        self._error = above.set_title(ROOM, fontsize=SMALL, color=FAINT, loc="right")
        (self._dots,) = middle.plot([], [], **_dots())
        (self._faint,) = below.plot([], [], color=GRID, linewidth=1.2)
        (self._drift,) = below.plot([], [], color=DRIFT, linewidth=1.8)
        below.axhline(0.0, color=FAINT, linewidth=0.6)
        self._peak = _note(above)
        self.height = height_limits(self._density, self._reference)
        self._heights = np.random.default_rng(0).uniform(
            0.1, 0.9, (moving.positions.shape[1],)
        )  # only to tell dots apart
        self._drifts = _drifts_of(result, moving, self._x[:, None])[..., 0]
        dress(above, title=title)
        dress(middle)
        dress(below, xlabel="x")
        above.set_xlim(axis.low, axis.high)
        middle.set(ylim=(0.0, 1.0), yticks=[])
        middle.grid(visible=False)
        middle.spines["left"].set_visible(False)
        self.fastest = self._fastest()
        self._panels = above, below
        self.scale(self.height, self.fastest)
        self.artists = (
            self._fill, self._line, self._target, self._error, self._dots, self._faint, self._drift, self._peak,
        )  # fmt: skip

    def scale(self, height: tuple[float, float], fastest: float) -> None:
        """Set the limits of the density's panel, and the largest drift."""
        above, below = self._panels
        self.height = height
        above.set_ylim(*height)
        below.set_ylim(-fastest, fastest)

    def show(self, moment: int) -> None:
        """Set the artists to one of the result's times."""
        density, x = self._density[moment], self._x
        finite_part = np.nan_to_num(density, posinf=0.0, neginf=0.0)
        self._fill.set_xy(np.column_stack([[x[0], *x, x[-1]], [0.0, *finite_part, 0.0]]))
        self._line.set_data(x, density)
        self._target.set_data(x, self._reference[moment])
        self._error.set_text(f"L² error {number(error_then(self._result, moment))}")
        alive = self._moving.alive[moment]
        self._dots.set_data(self._moving.positions[moment, alive, 0], self._heights[alive])
        drift = self._drifts[moment]
        self._faint.set_data(x, drift)
        self._drift.set_data(x, np.where(_inhabited(density), drift, np.nan))
        self._peak.set_text(self._told(density))

    def _told(self, density: Array) -> str:
        """What the panel cannot show: a peak beyond it, or that there is no density."""
        if not np.isfinite(density).all():
            return "not finite"
        top = float(density.max())
        where = float(self._x[int(density.argmax())])
        return f"peak {number(top)} at x = {where:.3g}" if top > self.height[1] else ""

    def _fastest(self) -> float:
        """The largest drift where there is mass, with room above: beyond it the curve leaves its panel."""
        here = np.array([_inhabited(one) for one in self._density])
        return HEADROOM * (float(np.abs(finite(self._drifts[here])).max()) or 1.0)


def scale_alike(scenes: Sequence[LineScene]) -> None:
    """Give scenes that stand side by side the same limits, so that they can be compared by eye."""
    height = min(one.height[0] for one in scenes), max(one.height[1] for one in scenes)
    fastest = max(one.fastest for one in scenes)
    for one in scenes:
        one.scale(height, fastest)


class PlaneScene:
    """Two dimensions: the density as an image, particles as dots on it, the drift as arrows.

    Of three dimensions: the same, integrated over the last, without arrows. particles and arrows are left out of the
    scene of a reference.
    """

    artists: tuple[Artist, ...]

    def __init__(
        self, axes: Axes, result: Result, values: Array, top: float, title: str, moving: Moving | None = None
    ) -> None:
        self._result, self._moving = result, moving
        self._values = values
        mesh = result.fields.mesh
        (left, right), (low, high) = mesh.box[:2]
        self._image = axes.imshow(
            values[0].T, extent=(left, right, low, high), origin="lower", cmap=DENSITY_MAP, norm=_shades(top),
            interpolation="bilinear", aspect="equal",
        )  # fmt: skip
        dress(axes, title=title)
        axes.grid(visible=False)
        self._note = _note(axes)
        self.artists = (self._image, self._note)
        self._arrows = self._dots = self._error = None
        if moving is None:
            return
        self._error = axes.set_title(ROOM, fontsize=SMALL, color=FAINT, loc="right")
        (self._dots,) = axes.plot([], [], **_dots(plane=True))
        self.artists += (self._dots, self._error)
        if mesh.dimension == 2:
            self._places, self._nearest = arrow_places(result, ARROWS)
            self._drifts = _drifts_of(result, moving, self._places)
            self._scale = self._length_of_arrows()
            self._arrows = _quiver(axes, self._places)
            self.artists += (self._arrows,)

    def show(self, moment: int) -> None:
        """Set the artists to one of the result's times."""
        values = self._values[moment]
        self._image.set_data(np.nan_to_num(values, posinf=0.0, neginf=0.0).T)
        self._note.set_text("" if np.isfinite(values).all() else "not finite")
        if self._moving is None or self._dots is None or self._error is None:
            return
        alive = self._moving.alive[moment]
        self._dots.set_data(*self._moving.positions[moment, alive, :2].T)
        self._error.set_text(f"L² error {number(error_then(self._result, moment))}")
        if self._arrows is not None:
            drift = np.where(self._here(moment)[:, None], self._scale * self._drifts[moment], 0.0)
            self._arrows.set_UVC(*np.nan_to_num(drift, posinf=0.0, neginf=0.0).T)

    def _here(self, moment: int) -> NDArray[np.bool_]:
        """At which places there is mass to be moved."""
        density = self._result.fields.density[moment]
        return np.asarray(_inhabited(density[self._nearest[0], self._nearest[1]], density))

    def _length_of_arrows(self) -> float:
        """Units of space of an arrow for a unit of speed, the same for the whole film."""
        here = np.array([self._here(moment) for moment in range(len(self._drifts))])
        fast = float(np.quantile(finite(np.hypot(*self._drifts[here].T)), FAST))
        sides = [high - low for low, high in self._result.fields.mesh.box]
        gap = max(sides) / len(np.unique(self._places[:, int(np.argmax(sides))]))
        return LONG * gap / fast if fast > 0 else 0.0


def images_of(result: Result, values: Array) -> Array:
    """Densities (times, *nodes) on pixels (times, n_x, n_y), by the mesh's own polynomials; of three dimensions the
    integral over the last.
    """
    mesh = result.fields.mesh
    if mesh.dimension == 3:
        values = values @ mesh.axes[2].weights
    plane = Mesh(mesh.axes[:2])
    sides = np.array([high - low for low, high in plane.box])
    counts = np.maximum(np.round(PIXELS * sides / sides.max()).astype(int), 2)
    bases = [
        axis.interpolation(axis.low + (np.arange(count) + 0.5) * (axis.high - axis.low) / count).toarray()
        for axis, count in zip(plane.axes, counts, strict=True)
    ]
    return np.stack([bases[0] @ one @ bases[1].T for one in values])


def legend_of(dimension: int, particles: int) -> list[Artist]:
    """What the legend of a film shows."""
    from matplotlib.patches import Patch

    dots = [line_named(f"{particles} particles", **_dots(plane=dimension > 1))] if particles else []
    if dimension > 1:
        arrows = line_named("drift v", color=GREEN, linestyle="", marker=r"$\rightarrow$", markersize=11)
        return [*dots, *([arrows] if dimension == 2 else [])]
    filled = Patch(facecolor="#bbbbbb", edgecolor=FAINT, label="controlled density ρ")
    reference = line_named("reference p", color=REFERENCE, linestyle="--", linewidth=1.3)
    return [filled, reference, *dots, line_named("drift v where there is mass", color=DRIFT, linewidth=1.8)]


def _drifts_of(result: Result, moving: Moving, places: Array) -> Array:
    """v at places (n, d) at every time of the result: (times, n, d); at a switch the piece that begins."""
    drift = moving.drift
    values = []
    for t in map(float, result.fields.times):
        piece = int(np.clip(np.searchsorted(drift.edges, t, side="right") - 1, 0, len(drift.edges) - 2))
        values.append(drift.values(piece, t, places))
    return np.stack(values)


def _inhabited(values: Array, density: Array | None = None) -> NDArray[np.bool_]:
    return np.asarray(values > INHABITED * finite(values if density is None else density).max())


def _dots(*, plane: bool = False) -> dict[str, Any]:
    """Green in a panel of their own, white with a dark edge on an image."""
    face, edge, size = ("white", INK, 2.8) if plane else (GREEN, "white", 4.0)
    return {
        "color": face, "linestyle": "", "marker": "o", "markersize": size, "markeredgecolor": edge,
        "markeredgewidth": 0.4,
    }  # fmt: skip


def _shades(top: float) -> Any:
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, 0.0, top, clip=True)


def _note(axes: Axes) -> Any:
    style: dict[str, Any] = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    return axes.text(
        0.5, 0.95, "", transform=axes.transAxes, ha="center", va="top", fontsize=SMALL, color=INK, bbox=style
    )


def _quiver(axes: Axes, places: Array) -> Any:
    still = np.zeros(len(places))
    return axes.quiver(
        *places.T, still, still, angles="xy", scale_units="xy", scale=1.0, color=GREEN, edgecolor="white",
        linewidth=0.4, width=0.008, zorder=3, headwidth=3.6, headlength=4.0, headaxislength=3.6, minlength=0.0,
        pivot="middle",
    )  # fmt: skip
