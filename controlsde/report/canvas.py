"""What all pictures share: settings, size, colours, header, axes, and how they are written.

Everything goes through matplotlib's objects, never through pyplot, and is drawn under matplotlib's own defaults
(`own_style`), so that a picture neither depends on the settings of the program around it nor changes them. Sizes are
chosen for a picture that is shown 1000 pixels wide.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.files import write_whole
from controlsde.result.answer import Answer

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

Array = NDArray[np.float64]

WIDTH = 10.0  # inches
DOTS_PER_INCH = 160
SMALL, NORMAL, LARGE = 9.0, 10.5, 13.0  # font sizes, in points
MARGIN = 0.12  # inches left of the header and right of it
SUBTITLE = 0.38  # inches from above, under a title of one line
TITLE_LINE, SUBTITLE_LINE = 0.22, 0.18  # inches
MOST_LINES = 3  # of a title or subtitle

INK, FAINT, GRID = "#222222", "#6b6b6b", "#dddddd"
REFERENCE = INK
ALARM = "#b2182b"
# Okabe and Ito's palette, told apart with every kind of colour vision.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ONE_GAUSSIAN = SERIES[3]  # the Gaussian with p's moments, in free space
NOISE_COLOURS = {0.0: "#0072B2", 0.35: "#7B5EA7", 2 / 3: "#D55E00", 1.0: "#E6B800"}  # at η / (η + ½)
DENSITY_MAP, SIGNED_MAP, ERROR_MAP = "magma_r", "RdBu_r", "YlGnBu"


def noise_colour(noise: float) -> str:
    """The colour of a noise level, the same in every picture: blue at 0, by purple to vermilion at 1, then amber."""
    from matplotlib.colors import to_hex, to_rgb

    place = noise / (noise + 0.5)
    channels = np.array([to_rgb(colour) for colour in NOISE_COLOURS.values()]).T
    red, green, blue = (float(np.interp(place, list(NOISE_COLOURS), channel)) for channel in channels)
    return to_hex((red, green, blue))


_DRAWING = threading.RLock()  # matplotlib's settings are one for the whole process: one picture at a time


@contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib's own defaults and no warnings, for as long as pictures are made and written.

    Both are settings of the whole process, which are given back afterwards: a program that draws in another thread at
    the same time sees them meanwhile. The backend, which belongs to pyplot, is left alone.
    """
    import matplotlib

    defaults: dict[Any, Any] = {key: value for key, value in dict.items(matplotlib.rcParamsDefault) if key != "backend"}
    with _DRAWING, warnings.catch_warnings(action="ignore"), matplotlib.rc_context(defaults):
        yield


def new_figure(
    height: float, title: str, subtitle: str = "", *, alarm: bool = False, explained: Sequence[Artist] = ()
) -> Figure:
    """An empty figure of the common width under a title and, smaller, a subtitle; red when it is a warning.

    explained: what a legend shows, beside the subtitle or, where there is no room, below it. Words that are too long
    for a line go on in the next, and the figure becomes as much higher.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    titles, subtitles = _lines(figure, title, LARGE, "bold"), _lines(figure, subtitle, NORMAL, "normal")
    level = SUBTITLE + TITLE_LINE * (len(titles) - 1)  # of the subtitle, and
    last = level + SUBTITLE_LINE * (len(subtitles) - 1)  # of its last line, in inches from above
    below = last
    if explained:
        shown, wide, rows = _legend_above(figure, explained)
        one_line = len(subtitles) == rows == 1
        if not one_line or _inches(figure, subtitles[0], NORMAL, "normal") + wide > WIDTH - 3 * MARGIN:
            last += SUBTITLE_LINE
        below = last + SUBTITLE_LINE * (rows - 1)
    height += below - SUBTITLE
    figure.set_size_inches(WIDTH, height)
    header = below + (0.24 if subtitle or explained else -0.02)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, rect=(0.0, 0.0, 1.0, 1 - header / height)))
    words: dict[str, Any] = {"x": MARGIN / WIDTH, "va": "top", "parse_math": False}  # a name may hold dollars
    figure.text(y=1 - 0.1 / height, s="\n".join(titles), fontsize=LARGE, weight="bold", color=INK, **words)
    colour = ALARM if alarm else FAINT
    figure.text(y=1 - level / height, s="\n".join(subtitles), fontsize=NORMAL, color=colour, **words)
    if explained:
        shown.set_bbox_to_anchor((0.995, 1 - (last - 0.08) / height))
    return figure


def _legend_above(figure: Figure, handles: Sequence[Artist]) -> tuple[Legend, float, int]:
    """A legend in as few rows as fit the figure, how many inches wide, and how many rows."""
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        shown = figure.legend(handles=list(handles), loc="upper right", ncols=columns, fontsize=SMALL, frameon=False)
        wide = shown.get_window_extent(_renderer(figure)).width / DOTS_PER_INCH
        if wide <= WIDTH - 2 * MARGIN or columns == 1:
            break
        shown.remove()
    return shown, wide, rows


def _lines(figure: Figure, text: str, size: float, weight: str) -> list[str]:
    """The text in lines that fit the figure, at most `MOST_LINES`; words that are longer than a line are cut up."""
    most = WIDTH - 2 * MARGIN
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _inches(figure, longer, size, weight) <= most:
            lines[-1] = longer
            continue
        lines += [word] if lines[-1] else []
        lines[-1] = word
        while len(lines) <= MOST_LINES and _inches(figure, lines[-1], size, weight) > most:
            fitting = int(len(lines[-1]) * most / _inches(figure, lines[-1], size, weight) * 0.9)
            lines[-1:] = [lines[-1][:fitting], lines[-1][fitting:]]
        if len(lines) > MOST_LINES:
            return [*lines[: MOST_LINES - 1], lines[MOST_LINES - 1][:-1] + "…"]
    return lines


def _inches(figure: Figure, text: str, size: float, weight: str) -> float:
    """How wide a line of text is."""
    from matplotlib.font_manager import FontProperties

    width, _, _ = _renderer(figure).get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)
    return float(width) / DOTS_PER_INCH


def line_named(label: str, **style: Any) -> Line2D:
    """A line for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def _renderer(figure: Figure) -> Any:
    return figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of the Agg canvas


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
    """Write a figure in one step, and return its path.

    `Figure.savefig` would draw it twice, the first time only to lay it out; here it is laid out once and for all.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    stream = io.BytesIO()
    figure.canvas.print_png(stream)  # type: ignore[attr-defined]  # of the Agg canvas
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


def standing(result: Answer) -> str:
    """The state of an answer in a few words: the solver, whether it converged, and whether the answer is verified."""
    origin = f"{result.solver}, {result.status.replace('-', ' ')}"
    if result.status == "given":
        origin = "given controls" if result.controls is not None else f"given {result.solver}"
    if result.verified:
        return f"{origin}, verified"
    failed = ", ".join(check.name for check in result.judged.failed)
    return f"{origin}, NOT VERIFIED ({failed})"


def doubtful(result: Answer) -> bool:
    """Whether a picture of this result needs a warning."""
    return not result.verified or result.status in ("not-converged", "interrupted")
