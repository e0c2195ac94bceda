"""The gallery: every shipped problem solved with `--quick`, how long that took, and a small picture of the answer.

    python docs/tools/gallery.py [NAME …]     # all, the quick ones first; minutes in one dimension, longer in two
    python docs/tools/gallery.py --page       # the page alone, from what was measured before

In: the problems that are installed. Out: `docs/gallery/NAME.png` and `docs/gallery/measured.json`, which holds what was
measured of each and is written after every problem; from it `problems/data/quick-times.json`, the times that
`controlsde problems` shows; and the page `docs/gallery.md`. What is timed is the command that
the page shows, by the seconds of processor time of the command and of all that it started: it hardly depends on what
else the machine does, and an idle machine takes at most as long, by the clock.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import controlsde as cs
from controlsde.foundation.files import write_whole
from controlsde.report.canvas import noise_colour, own_style
from controlsde.result.free_result import FreeResult
from controlsde.result.result import Result

HERE = Path(__file__).resolve().parent.parent / "gallery"
MEASURED = HERE / "measured.json"
PAGE = HERE.parent / "gallery.md"
TIMES = HERE.parents[1] / "problems" / "data" / "quick-times.json"
COLOURS = 48  # of a palette: curves and a colour map need no more, and a picture stays below 40 kB
FINE = {1: 601, 2: 201}  # points along an axis, by dimension
SIZE, DOTS = (4.6, 2.2), 100  # inches, and dots in each


def main() -> None:
    """Measure and draw the problems that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    given = parser.parse_args()
    if not given.page:
        run(given.names)
    write_whole(PAGE, page().encode())
    write_whole(TIMES, times().encode())


def times() -> str:
    """What `controlsde problems` shows of each: seconds of processor time."""
    measured = json.loads(MEASURED.read_text("utf-8"))
    words = (
        "processor time of controlsde solve NAME --quick (evaluate NAME, where the problem gives its own drift), "
        "pictures included, one thread a process"
    )
    seconds = {name: one["processor_seconds"] for name, one in sorted(measured.items())}
    return json.dumps({"measured": words, "processor_seconds": seconds}, indent=1, ensure_ascii=False) + "\n"


def run(wanted: list[str]) -> None:
    """Measure and draw, problem by problem."""
    shipped = [name for name, _, _ in cs.list_problems()]
    order = sorted(wanted or shipped, key=lambda name: (cs.load_problem(name).dimension, name))
    for name in order:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(name, Path(folder))
            write_whole(HERE / f"{name}.png", picture(cs.load_result(Path(folder) / "result.nc")))
        known = {**(json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}), name: found}
        write_whole(MEASURED, (json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())
        print(f"{name}: {found['processor_seconds']:.0f} s, {found['outcome']}", flush=True)


def command_of(name: str) -> str:
    """The command of a problem: what gives its own drift has nothing to solve."""
    return f"controlsde solve {name} --quick" if cs.load_problem(name).drift is None else f"controlsde evaluate {name}"


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Run the command that the page shows; return what it took and what came of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "controlsde", *command_of(name).split()[1:], "--json", "-o", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, env=_one_thread(), check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not run.stdout:
        raise SystemExit(f"{name}: {run.stderr.strip()}")
    said = json.loads(run.stdout)
    return {
        "command": command_of(name),
        "dimension": cs.load_problem(name).dimension,
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "outcome": "verified" if run.returncode == 0 else said["status"] if run.returncode == 3 else "not verified",
        "noise": said["noise"],
        **_error(said["tracking"]),
    }


def _error(tracking: dict[str, Any]) -> dict[str, float]:
    """The L² error at T, or in free space the mollified distance and what draws of p show."""
    if "l2_final" in tracking:
        return {"l2_final": float(f"{tracking['l2_final']:.4g}")}
    told = tracking["mollified"]
    return {name: float(f"{told[key]:.4g}") for name, key in (("mollified", "value"), ("null_sd", "null_sd"))}


def _one_thread() -> dict[str, str]:
    return os.environ | {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


HEAD = """\
# Gallery

Every problem that ships, solved with `--quick`: the first answer that one gets, verified unless it says otherwise, and
often not the best one. Dotted: the density at t = 0; dashed: the data; filled: the controlled density at T. The times
are of processor, measured, rounded up; by the clock, two idle cores take at most as long, and often little more than
half. Without `--quick` a search has more starts and many more hops, and takes several times as long. A name stands for
its file: `controlsde problems` lists them, and `controlsde check NAME` says what each will cost. This page is made by
`python docs/tools/gallery.py`.
"""

TITLES = {1: "On a line", 2: "In the plane", 0: "In free space, of any dimension"}


def group(name: str) -> int:
    """Under which title a problem stands: its dimension, 0 in free space."""
    problem = cs.load_problem(name)
    return 0 if problem.domain.free else problem.dimension


def page() -> str:
    """The page in Markdown, from what was measured."""
    measured = json.loads(MEASURED.read_text("utf-8"))
    written = [HEAD]
    for dimension, title in TITLES.items():
        rows = ["| | problem | takes |", "|---|---|---|"]
        for name, words, _ in cs.list_problems():
            if group(name) == dimension:
                rows.append(_row(name, " ".join(words.split()).removesuffix("."), measured.get(name)))
        written.append(f"## {title}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(written)


def _row(name: str, words: str, found: dict[str, Any] | None) -> str:
    if found is None:
        return f"| | **{name}**<br>{words}.<br>`{command_of(name)}` | minutes, not measured yet |"
    error = f"L² error at T {found['l2_final']:.2g}" if "l2_final" in found else _beside_draws(found)
    said = f"noise {found['noise']:g}, {error}, {found['outcome']}"
    picture = f"![{name}: the data, and the controlled density at T](gallery/{name}.png)"
    return f"| {picture} | **{name}**<br>{words}.<br>`{found['command']}`<br>{said} | {_duration(found)} |"


def _beside_draws(found: dict[str, Any]) -> str:
    return f"mollified distance at T {found['mollified']:.2g} (of draws of p ± {found['null_sd']:.1g})"


def _duration(found: dict[str, Any]) -> str:
    """Processor time in words: never less than was measured."""
    seconds = found["processor_seconds"]
    return f"{math.ceil(seconds / 10) * 10} s" if seconds <= 90 else f"{math.ceil(seconds / 60)} min"


def picture(result: Result | FreeResult) -> bytes:
    """The data and the controlled density at T, side by side in the plane and one over the other on a line; PNG.

    In free space the first two principal axes of the data.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with own_style():
        figure = Figure(figsize=SIZE, dpi=DOTS, facecolor="white", layout="constrained")
        canvas = FigureCanvasAgg(figure)
        if isinstance(result, FreeResult):
            _clouds(figure, result)
        elif len(result.fields.axes) == 1:
            _curves(figure, result)
        else:
            _images(figure, result)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    written = io.BytesIO()
    Image.fromarray(pixels).quantize(COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def _clouds(figure: Any, result: FreeResult) -> None:
    """Samples of p(T) and particles in the plane of the first two principal axes of the samples."""
    target, ours = result.particles.target, result.particles.final[: len(result.particles.target)]
    axes_of_p = np.linalg.svd(target - target.mean(axis=0), full_matrices=False)[2][:2].T
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    colours = ("#222222", noise_colour(result.noise))
    for axes, title, points, colour in zip(panels, ("data", "controlled"), (target, ours), colours, strict=True):
        x, y = ((points - target.mean(axis=0)) @ axes_of_p).T
        axes.scatter(x, y, s=4, color=colour, alpha=0.5, linewidths=0)
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)


def _fine(result: Result, values: Any) -> Any:
    """Grid values between the points of the grid: by the polynomials of the mesh, across a jump along lines."""
    fine = _fine_axes(result)
    smooth = result.fields.mesh.interpolate(values.ravel(), fine)
    overshoot = max(smooth.max() - values.max(), values.min() - smooth.min())
    if len(fine) == 2:
        return smooth.reshape([len(axis) for axis in fine])
    return np.interp(fine[0], result.fields.axes[0], values) if overshoot > 0.01 * np.ptp(values) else smooth


def _fine_axes(result: Result) -> tuple[Any, ...]:
    box = result.fields.mesh.box
    return tuple(np.linspace(low, high, FINE[len(box)]) for low, high in box)


def _curves(figure: Any, result: Result) -> None:
    colour, (x,) = noise_colour(result.noise), _fine_axes(result)
    start, data = (_fine(result, result.fields.reference[moment]) for moment in (0, -1))
    density = _fine(result, result.fields.density[-1])
    axes = figure.subplots()
    axes.plot(x, start, color="#8a8a8a", linewidth=1.0, linestyle=":", label="start")
    axes.fill_between(x, density, 0.0, color=colour, alpha=0.3, linewidth=0)
    axes.plot(x, density, color=colour, linewidth=1.6, label="controlled")
    axes.plot(x, data, color="#222222", linewidth=1.2, linestyle="--", label="data")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(min(0.0, 1.05 * float(density.min())), 1.25 * float(max(data.max(), density.max())))
    axes.tick_params(labelsize=9)
    axes.legend(fontsize=9, frameon=False, ncols=3, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)


def _images(figure: Any, result: Result) -> None:
    data, density = _fine(result, result.fields.reference[-1]), _fine(result, result.fields.density[-1])
    panels = figure.subplots(1, 2, sharey=True)
    (left, right), (below, above) = result.fields.mesh.box
    for axes, title, values in zip(panels, ("data", "controlled"), (data, density), strict=True):
        extent = (left, right, below, above)
        axes.imshow(values.T, extent=extent, origin="lower", cmap="magma_r", vmin=0.0, vmax=data.max())
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelsize=9)


if __name__ == "__main__":
    main()
