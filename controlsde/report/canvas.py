"""What all pictures share: size, colours, axes, and how they are written.

Everything goes through matplotlib's objects, never through pyplot, so that no picture changes the settings of the
program around it. Sizes are chosen for a picture that is shown 1000 pixels wide.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.files import write_whole
from controlsde.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

WIDTH = 10.0  # inches
DOTS_PER_INCH = 160
SMALL, NORMAL, LARGE = 9.0, 10.5, 13.0  # font sizes, in points

INK, FAINT, GRID = "#222222", "#6b6b6b", "#dddddd"
REFERENCE = INK
ALARM = "#b2182b"
# Okabe and Ito's palette, told apart with every kind of colour vision.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
NOISE_COLOURS = {0.0: "#0072B2", 0.35: "#7B5EA7", 2 / 3: "#D55E00", 1.0: "#E6B800"}  # at η / (η + ½)
DENSITY_MAP, SIGNED_MAP, ERROR_MAP = "magma_r", "RdBu_r", "YlGnBu"


def noise_colour(noise: float) -> str:
    """The colour of a noise level, the same in every picture: blue at 0, by purple to vermilion at 1, then amber."""
    from matplotlib.colors import to_hex, to_rgb

    place = noise / (noise + 0.5)
    channels = np.array([to_rgb(colour) for colour in NOISE_COLOURS.values()]).T
    red, green, blue = (float(np.interp(place, list(NOISE_COLOURS), channel)) for channel in channels)
    return to_hex((red, green, blue))


def new_figure(height: float, title: str, subtitle: str = "", *, alarm: bool = False) -> Figure:
    """An empty figure of the common width under a title and, smaller, a subtitle; red when it is a warning."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    below_titles = (0.0, 0.0, 1.0, 1 - (0.62 if subtitle else 0.36) / height)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, rect=below_titles)
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.012, 1 - 0.1 / height, title, fontsize=LARGE, color=INK, va="top", weight="bold")
    figure.text(0.012, 1 - 0.38 / height, subtitle, fontsize=NORMAL, color=ALARM if alarm else FAINT, va="top")
    return figure


def dress(axes: Axes, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Labels in the common sizes, a light grid, and no box on the right and at the top."""
    axes.set_xlabel(xlabel, fontsize=NORMAL, color=INK)
    axes.set_ylabel(ylabel, fontsize=NORMAL, color=INK)
    axes.set_title(title, fontsize=NORMAL, color=INK, loc="left")
    axes.tick_params(which="both", labelsize=SMALL, colors=INK)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def label_edges(panels: Any, shown: int, xlabel: str, ylabel: str) -> None:
    """Label a grid of panels that share axes, on the left and below; hide those after the first `shown`."""
    _, columns = panels.shape
    for place, axes in enumerate(panels.ravel()):
        axes.set_visible(place < shown)
        if place < shown <= place + columns:
            axes.set_xlabel(xlabel, fontsize=NORMAL)
            axes.tick_params(labelbottom=True)
        if place % columns == 0:
            axes.set_ylabel(ylabel, fontsize=NORMAL)


def legend(axes: Axes, **options: Any) -> None:
    """A legend in the common size, out of the way of the curves as far as there is room."""
    axes.legend(**{"fontsize": SMALL, "frameon": True, "framealpha": 0.85, "edgecolor": "none", **options})


def save(figure: Figure, target: Path) -> Path:
    """Write a figure in one step, and return its path."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    write_whole(target, stream.getvalue())
    return target


def finite(*values: Iterable[float] | Array) -> Array:
    """All finite numbers among the values, in one row; a single 0 when there is none."""
    row = np.concatenate([np.ravel(np.asarray(value, dtype=float)) for value in values])
    row = row[np.isfinite(row)]
    return row if len(row) else np.zeros(1)


def number(value: float) -> str:
    """A number as titles show it: three digits, fewer beside an exponent."""
    if not np.isfinite(value):
        return "not finite"
    if value == 0.0:
        return "0"
    return f"{value:.1e}" if not 1e-3 <= abs(value) < 1e6 else f"{value:#.3g}".rstrip(".")


def standing(result: Result) -> str:
    """In a few words: the solver, whether it converged, and whether the answer is verified."""
    status = result.status.replace("-", " ")
    if result.verified:
        return f"{result.solver}, {status}, verified"
    failed = ", ".join(check.name for check in result.certificate.failed)
    return f"{result.solver}, {status}, NOT VERIFIED ({failed})"


def doubtful(result: Result) -> bool:
    """Whether a picture of this result needs a warning."""
    return not result.verified or result.status in ("not-converged", "interrupted")
