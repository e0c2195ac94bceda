"""The film of the home page, and its picture: `python docs/tools/film.py FOLDER` writes `docs/film.gif`, `picture.png`.

In: the folder of `controlsde compare iris-petals --noise 0 --noise 1 -o FOLDER`. Out: a GIF below 600 kB, in which the
controlled density of each noise level follows its reference, and rests at the end; and the densities at T, as `compare`
drew them, in fewer colours.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from controlsde.foundation.files import write_whole
from controlsde.report.canvas import noise_colour, own_style
from controlsde.result.result import Result

DOCS = Path(__file__).resolve().parent.parent
FRAMES, LAST, FRAME_MS = 44, 14, 80  # LAST: frames of rest at the end
SIZE, DOTS = (7.6, 2.5), 100
POINTS, COLOURS = 401, 24


def main() -> None:
    """Write both."""
    folder = Path(sys.argv[1])
    results = [Result.load(folder / f"noise-{level}.nc") for level in (0, 1)]
    write_whole(DOCS / "film.gif", film(results))
    write_whole(DOCS / "picture.png", fewer_colours(folder / "densities.png"))


def film(results: list[Result]) -> bytes:
    """The densities over time, one panel a noise level; GIF."""
    end = results[0].fields.times[-1]
    moments = np.linspace(0.0, end, FRAMES)
    images = [_frame(results, moment) for moment in moments]
    palette = images[len(images) // 2].quantize(COLOURS, dither=Image.Dither.NONE)
    small = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    waits = [FRAME_MS] * (FRAMES - 1) + [FRAME_MS * LAST]
    written = io.BytesIO()
    small[0].save(written, "GIF", save_all=True, append_images=small[1:], duration=waits, loop=0, optimize=True)
    return written.getvalue()


def _frame(results: list[Result], moment: float) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    top = 1.12 * max(float(result.fields.reference.max()) for result in results)
    with own_style():
        figure = Figure(figsize=SIZE, dpi=DOTS, facecolor="white", layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, result in zip(figure.subplots(1, len(results), sharey=True), results, strict=True):
            _panel(axes, result, moment, top)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _panel(axes: Any, result: Result, moment: float, top: float) -> None:
    fields, colour = result.fields, noise_colour(result.noise)
    (low, high), end = fields.mesh.box[0], fields.times[-1]
    x = np.linspace(low, high, POINTS)
    density, reference = (
        fields.mesh.interpolate(_at(fields.times, values, moment), (x,))
        for values in (fields.density, fields.reference)
    )
    axes.fill_between(x, density, 0.0, color=colour, alpha=0.3, linewidth=0)
    axes.plot(x, density, color=colour, linewidth=1.8, label="controlled")
    axes.plot(x, reference, color="#222222", linewidth=1.1, linestyle="--", label="reference")
    axes.plot([low, low + (high - low) * moment / end], [top, top], color=colour, linewidth=3, solid_capstyle="butt")
    axes.set(xlim=(low, high), ylim=(0.0, top))
    axes.set_title(f"noise {result.noise:g}", fontsize=10, loc="left")
    axes.set_title(f"t = {moment:.2f} of {end:g}", fontsize=9, loc="right", color="#555555")
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)


def _at(times: Any, values: Any, moment: float) -> Any:
    """Values between two stored times, in proportion."""
    after = int(np.clip(np.searchsorted(times, moment), 1, len(times) - 1))
    share = (moment - times[after - 1]) / (times[after] - times[after - 1])
    return (1.0 - share) * values[after - 1] + share * values[after]


def fewer_colours(path: Path) -> bytes:
    """A picture with a palette; PNG."""
    written = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    main()
