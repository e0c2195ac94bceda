"""A film: how the density of one result, or of several side by side, follows its reference.

Comes in: results, a path that ends in .gif, .webp or .mp4. Goes out: the file, whole or not at all. What is shown: the
density ρ and the reference p, a few hundred particles that the Monte Carlo room moves by the result's own controls, and
the drift v. There is a frame for each of the times at which a result holds densities, and it lasts as long as it is to
the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.files import write_whole
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.report.canvas import FAINT, INK, NORMAL, SMALL, WIDTH, doubtful, finite, new_figure, own_style, standing
from controlsde.report.film_encoding import FilmError, encoder_of
from controlsde.report.film_particles import Moving, moving
from controlsde.report.film_scenes import LineScene, PlaneScene, Scene, images_of, legend_of, scale_alike
from controlsde.report.moments import end_names
from controlsde.result.result import Result
from controlsde.workflow.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]  # (height, width, 3)

FPS = 12.0
LEAST_FPS, MOST_FPS = 0.5, 50.0  # a GIF counts in hundredths of a second, and viewers slow down below two
PARTICLES, MOST_PARTICLES = 300, 5000
DOTS_PER_INCH = 100  # 1000 pixels wide
MOST_FRAMES = 240
MOST_RESULTS = 6
ACROSS = 3  # scenes in a row
HOLD = 1.5  # seconds that the last frame stays
LINE_HEIGHTS = (3.0, 0.8, 1.3)  # inches of the panels of one scene: density, particles, drift
BRIGHTEST = 1.5  # times the reference's peak: the darkest shade of an image
CLOCK = 0.55  # inches below the scenes, for the time


@dataclass(frozen=True, eq=False)
class Film:
    """Frames in order: how many, how long each is shown in seconds, and frame(k), a picture (height, width, 3)."""

    durations: tuple[float, ...]
    frame: Callable[[int], Picture]


@own_settings()
def save_film(
    results: Sequence[Result] | Comparison,
    path: str | Path,
    fps: float = FPS,
    *,
    particles: int = PARTICLES,
    seed: int = 0,
    progress: Progress = silent,
) -> Path:
    """Draw the film of one result or of several, and return where it was written.

    fps: frames a second. particles: how many dots, 0 for none; seed: of where they start and of their noise. Raises
    FilmError for what cannot be a film, for an ending that is none, and for .mp4 without ffmpeg; OSError, in one line
    with the cure, where it cannot be written. Nothing is left then.
    """
    target = Path(path)
    shown = results.results if isinstance(results, Comparison) else tuple(results)
    _check(shown, fps, particles)
    encode = encoder_of(target)
    with own_style():
        film = _film(shown, results if isinstance(results, Comparison) else None, fps, particles, seed, progress)

        def frame(number: int) -> Picture:
            progress(Step("drawing the film", fraction=number / len(film.durations)))
            return film.frame(number)

        content = encode(film.durations, frame)
    progress(Step("writing the film"))
    write_whole(target, content)
    return target


def _check(results: tuple[Result, ...], fps: float, particles: int) -> None:
    if not LEAST_FPS <= fps <= MOST_FPS:
        raise FilmError(f"must be {LEAST_FPS:g} to {MOST_FPS:g} frames a second (got {fps:g})", argument="fps")
    if not 0 <= particles <= MOST_PARTICLES:
        raise FilmError(f"must be 0 to {MOST_PARTICLES} (got {particles})", argument="particles")
    if not 1 <= len(results) <= MOST_RESULTS:
        raise FilmError(f"a film shows 1 to {MOST_RESULTS} results side by side (got {len(results)})")
    if len({result.problem.dimension for result in results}) > 1:
        raise FilmError("results of different dimensions do not fit into one film; make one of each")


def _film(
    results: tuple[Result, ...],
    comparison: Comparison | None,
    fps: float,
    particles: int,
    seed: int,
    progress: Progress,
) -> Film:
    moved = [moving(result, particles, seed, progress) for result in results]
    progress(Step("laying out the film"))
    figure = _figure(results, comparison, particles)
    scenes = _scenes(figure, results, moved)
    clock = _Clock(figure, results)
    shares = _moments(results)
    times = [(share * result.fields.times[-1] for share in shares) for result in results]
    chosen = [
        [int(np.abs(result.fields.times - t).argmin()) for t in wanted]
        for result, wanted in zip(results, times, strict=True)
    ]
    artists = [*(artist for _, scene in scenes for artist in scene.artists), *clock.artists]
    stage = _Stage(figure, artists)

    def frame(number: int) -> Picture:
        for of, scene in scenes:
            scene.show(chosen[of][number])
        clock.show(float(shares[number]))
        return stage.picture()

    return Film(_durations(shares, fps), frame)


def _moments(results: tuple[Result, ...]) -> Array:
    """The moments of a film as shares of the horizon: those of the result that has most, at most so many."""
    times = max((result.fields.times for result in results), key=len)
    if len(times) > MOST_FRAMES:
        times = times[np.unique(np.linspace(0, len(times) - 1, MOST_FRAMES).round().astype(int))]
    return np.asarray(times / times[-1])


def _durations(shares: Array, fps: float) -> tuple[float, ...]:
    """How long frames are shown, in seconds: as it is to the next one, 1/fps in the mean; the last one longer."""
    gaps = np.diff(shares)
    return (*map(float, gaps * len(gaps) / (fps * gaps.sum())), HOLD) if len(gaps) else (HOLD,)


def _figure(results: tuple[Result, ...], comparison: Comparison | None, particles: int) -> Figure:
    from controlsde.report.compared import findings

    names = list(dict.fromkeys(result.problem.name for result in results))
    first = results[0]
    if comparison is not None:
        title, (subtitle, alarm) = f"{comparison.problem.name}: with and without noise", findings(comparison)
    elif len(results) == 1:
        title, subtitle, alarm = f"{names[0]}, noise {first.noise:g}", standing(first), doubtful(first)
    else:
        title = " and ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} others"
        bad = [f"noise {result.noise:g}: {standing(result)}" for result in results if doubtful(result)]
        subtitle, alarm = "; ".join(bad) or "every answer verified", bool(bad)
    height = _height(results) + CLOCK
    legend = legend_of(first.problem.dimension, particles)
    figure = new_figure(height, title, subtitle, alarm=alarm, explained=legend)
    engine: Any = figure.get_layout_engine()
    left, below, wide, high = engine.get()["rect"]
    share = CLOCK / figure.get_size_inches()[1]
    engine.set(rect=(left, below + share, wide, high - share))
    return figure


def _grid(count: int) -> tuple[int, int]:
    """Rows and columns."""
    columns = 2 if count == 4 else min(count, ACROSS)
    return -(-count // columns), columns


def _height(results: tuple[Result, ...]) -> float:
    """Inches of the header of one line and the scenes."""
    if results[0].problem.dimension == 1:
        return 0.8 + _grid(len(results))[0] * sum(LINE_HEIGHTS)
    rows, columns = _grid(len(results) + 1)
    ratio = max(
        (box[1][1] - box[1][0]) / (box[0][1] - box[0][0]) for box in (one.problem.domain.box for one in results)
    )
    return 0.9 + rows * (min(max(ratio, 0.4), 1.6) * (WIDTH - 1.6) / max(columns, 2) + 0.6)


def _scenes(figure: Figure, results: tuple[Result, ...], moved: list[Moving]) -> list[tuple[int, Scene]]:
    """Scenes, each with the number of the result whose times it follows."""
    names = {result.problem.name for result in results}
    titles = [
        f"noise {result.noise:g}" if len(names) == 1 else f"{_plain(result.problem.name)}, noise {result.noise:g}"
        for result in results
    ]
    if results[0].problem.dimension == 1:
        return _lines(figure, results, moved, titles if len(results) > 1 else [""])
    return _planes(figure, results, moved, titles if len(results) > 1 else ["controlled density ρ"])


def _plain(name: str) -> str:
    """A name whose dollars are dollars, and begin no formula."""
    return name.replace("$", r"\$")


def _lines(
    figure: Figure, results: tuple[Result, ...], moved: list[Moving], titles: list[str]
) -> list[tuple[int, Scene]]:
    rows, columns = _grid(len(results))
    grid = figure.add_gridspec(rows, columns)
    scenes: list[LineScene] = []
    for place, (result, moves, title) in enumerate(zip(results, moved, titles, strict=True)):
        inner = grid[place // columns, place % columns].subgridspec(3, 1, height_ratios=LINE_HEIGHTS)
        panels: Any = inner.subplots(sharex=True)
        scenes.append(LineScene(panels, result, moves, title))
        if place % columns == 0:
            for axes, label in zip(panels, ("density", "particles", "drift v"), strict=True):
                axes.set_ylabel(label, fontsize=NORMAL, color=INK)
    scale_alike(scenes)
    return list(enumerate(scenes))


def _planes(
    figure: Figure, results: tuple[Result, ...], moved: list[Moving], titles: list[str]
) -> list[tuple[int, Scene]]:
    """The reference of the first result, then the controlled densities, all in the same shades."""
    rows, columns = _grid(len(results) + 1)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(results) + 1 :]:
        axes.set_visible(False)
    reference = images_of(results[0], results[0].fields.reference)
    densities = [images_of(result, result.fields.density) for result in results]
    top = min(float(finite(*densities, reference).max()), BRIGHTEST * float(finite(reference).max())) or 1.0
    scenes: list[tuple[int, Scene]] = [(0, PlaneScene(panels[0], results[0], reference, top, "reference p"))]
    for place, (result, values, moves, title) in enumerate(zip(results, densities, moved, titles, strict=True)):
        scenes.append((place, PlaneScene(panels[place + 1], result, values, top, title, moves)))
    for place, axes in enumerate(panels[: len(results) + 1]):
        axes.set_xlabel("x", fontsize=NORMAL)
        if place % columns == 0:
            axes.set_ylabel("y", fontsize=NORMAL)
    return scenes


class _Clock:
    """The time: a bar below the scenes that fills, with both ends named and the time in numbers."""

    def __init__(self, figure: Figure, results: tuple[Result, ...]) -> None:
        wide, high = figure.get_size_inches()
        horizons = {float(result.fields.times[-1]) for result in results}
        self._horizon = horizons.pop() if len(horizons) == 1 else None
        axes: Any = figure.add_axes((1.6 / wide, 0.16 / high, (wide - 3.2) / wide, 0.09 / high))
        axes.set_in_layout(False)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        axes.spines[:].set_color(FAINT)
        (self._bar,) = axes.barh(0.5, 0.0, height=1.0, color=FAINT)
        ends = {end_names(result) for result in results}
        begin, end = ends.pop() if len(ends) == 1 else ("start", "end")
        last = "T" if self._horizon is None else f"T = {self._horizon:.3g}"
        words: dict[str, Any] = {"fontsize": SMALL, "color": FAINT, "va": "center", "transform": axes.transAxes}
        axes.text(-0.01, 0.5, f"{begin}, t = 0", ha="right", **words)
        axes.text(1.01, 0.5, f"{last}, {end}", ha="left", **words)
        self._time = axes.text(0.5, 3.0, "", ha="center", **{**words, "color": INK, "fontsize": NORMAL})
        self.artists = (self._bar, self._time)

    def show(self, share: float) -> None:
        """Set the time to a share of the horizon."""
        self._bar.set_width(share)
        self._time.set_text(f"t = {share:.2f} T" if self._horizon is None else f"t = {share * self._horizon:.3f}")
        self._time.set_x(min(max(share, 0.04), 0.96))


class _Stage:
    """A figure of which what stands still is drawn once, and what moves is drawn on it for every picture."""

    def __init__(self, figure: Figure, artists: Sequence[Any]) -> None:
        figure.set_dpi(DOTS_PER_INCH)
        wide, high = (2 * round(DOTS_PER_INCH * inches / 2) for inches in figure.get_size_inches())
        figure.set_size_inches(wide / DOTS_PER_INCH, high / DOTS_PER_INCH)  # MP4 wants even numbers of pixels
        for artist in artists:
            artist.set_animated(True)
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
            figure.set_layout_engine("none")
        self._canvas = cast("Any", figure.canvas)  # Agg's, which can keep what is drawn
        self._canvas.draw()
        self._still: Any = self._canvas.copy_from_bbox(figure.bbox)
        self._artists = sorted(artists, key=lambda artist: float(artist.get_zorder()))

    def picture(self) -> Picture:
        """The artists as they are now, over what stands still: (height, width, 3)."""
        self._canvas.restore_region(self._still)
        for artist in self._artists:
            artist.axes.draw_artist(artist)
        return np.array(self._canvas.buffer_rgba())[..., :3]
