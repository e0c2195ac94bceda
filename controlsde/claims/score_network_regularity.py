"""Networks of growing width fitted to the scores of ever less regular data: the error against the width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, report
from controlsde.claims.harness.fitting import power_law
from controlsde.claims.harness.references import reversed_diffusion
from controlsde.control.network import Network
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation.progress import Step
from controlsde.report.panels import Curve, Panel
from controlsde.solvers.drift_fitting.drift_fit import Regression, fit

Array = NDArray[np.float64]

PRICE = 1e-12  # of the weights: too little to be felt
BOUND = 1e4  # of the weights
TOLERANCE = 1e-9
DEGREE = 8


@dataclass(frozen=True)
class Parameters:
    """noising times s of the scores, widths, starts and iterations of each fit, elements of the meshes."""

    times: tuple[float, ...] = (0.02, 0.3)
    widths: tuple[int, ...] = (1, 2, 4, 8)
    plane_widths: tuple[int, ...] = (1, 2, 4, 8)
    starts: int = 8
    iterations: int = 300
    seed: int = 0
    elements: int = 48
    plane_elements: int = 5


@dataclass(frozen=True)
class Data:
    """Data of a problem file, and the box on which they are looked at."""

    text: str
    box: tuple[tuple[float, float], ...]


LINE = ((-6.0, 6.0),)
DATA = {
    "mixture": Data("{kind: mixture, weights: [0.5, 0.5], means: [[-1.0], [1.0]], stds: [0.4, 0.4]}", LINE),
    "cut Gaussian": Data("{kind: truncated, mean: 0, std: 0.7, low: -1, high: 1}", LINE),
    "interval": Data("{kind: uniform, low: -1, high: 1}", LINE),
    "two intervals": Data("{kind: boxes, boxes: [[-1.5, -0.5], [0.5, 1.5]]}", LINE),
    "Student's t": Data("{kind: student-t, degrees_of_freedom: 3, location: 0, scale: 0.5}", LINE),
    "funnel": Data("{kind: funnel, std: 1}", ((-3.5, 3.5), (-3.5, 3.5))),
}


def relative_errors(
    mesh: Mesh,
    density: Array,
    score: Array,
    widths: tuple[int, ...],
    parameters: Parameters,
    told: Callable[[int], None] = lambda _: None,
) -> list[float]:
    """√(∫|v − score|² q / ∫|score|² q) of the best network of each width: density (n,), score (n, d) at the points."""
    mass = np.maximum(density, 0.0) * mesh.weights
    mass = mass / mass.sum()
    size = float(mass @ np.sum(score**2, axis=1))
    found: list[float] = []
    narrower: Array | None = None
    for width in widths:
        told(width)
        network = Network(mesh.dimension, width, "tanh", False, mesh.box)
        count = network.weights_per_piece
        regression = Regression(
            network,
            mesh.points,
            mass[None],
            np.where(mass[:, None] > 0, score, 0.0)[None],
            np.full((1, count), PRICE),
            np.full((1, count), BOUND),
        )
        initial = [] if narrower is None else [_widened(regression, narrower, parameters.seed)]
        fitted = fit(regression, parameters.starts, parameters.seed, parameters.iterations, TOLERANCE, initial)
        narrower = fitted.weights
        found.append(float(np.sqrt(regression.misfit(fitted.weights)[0] / size)))
    return found


def _tell(setting: Setting, task: str, width: int) -> None:
    setting.progress(Step(f"{task}, width {width}"))


def _widened(regression: Regression, weights: Array, seed: int) -> Array:
    """A narrower network with random neurons beside its own, which the fit of the outer weights switches on."""
    network = regression.network
    a, w, b = network.split(regression.random_weights(np.random.default_rng(seed)))
    few = weights.shape[1] // (2 * network.dimension + 1)
    narrow = Network(network.dimension, few, network.activation, network.tangential, network.box)
    old_a, old_w, old_b = narrow.split(weights)
    a[..., :few], w[:, :few], b[:, :few] = old_a, old_w, old_b
    return np.asarray(network.join(a, w, b))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """All data at all times."""
    rows: list[Row] = []
    curves: dict[float, list[Curve]] = {time: [] for time in parameters.times}
    best: dict[float, dict[str, float]] = {time: {} for time in parameters.times}
    for series, (name, data) in enumerate(DATA.items()):
        line = len(data.box) == 1
        widths = parameters.widths if line else parameters.plane_widths
        elements = (parameters.elements,) if line else (parameters.plane_elements,) * 2
        mesh = Mesh.build(data.box, "reflecting", elements, DEGREE)
        reference = reversed_diffusion(data.text, data.box, max(parameters.times))
        for time in parameters.times:
            t = reference.horizon - time
            errors = relative_errors(
                mesh,
                reference.density(t, mesh.points),
                reference.score(t, mesh.points),
                widths,
                parameters,
                partial(_tell, setting, f"{name}, s = {time:g}"),
            )
            rows += [
                report(f"{name}, s = {time:g}, width {width}: relative error of the score", error)
                for width, error in zip(widths, errors, strict=True)
            ]
            label = name
            if len(widths) >= 3:
                slope = power_law(widths, np.maximum(errors, 1e-16))
                rows.append(report(f"{name}, s = {time:g}: order in the width", slope.value))
                label = f"{name}: slope {slope.value:.1f}"
            curves[time].append(Curve(widths, errors, label, series=series))
            best[time][name] = errors[-1]
    early, late = min(parameters.times), max(parameters.times)
    hardest = max(best[early], key=best[early].__getitem__)
    eased = [name for name in best[early] if best[late][name] < best[early][name]]
    return Findings(
        tuple(rows),
        tuple(
            Panel(f"score at s = {time:g}", "width", "relative error", tuple(curves[time]), True, True)
            for time in parameters.times
        ),
        f"At s = {early:g} the widest networks leave the largest relative error at {hardest} "
        f"({best[early][hardest]:.2g}). Noising to s = {late:g} makes the score of {len(eased)} of {len(best[early])} "
        f"data easier to fit ({', '.join(eased) or 'none'}).",
    )


CLAIM = Claim(
    id="score-network-regularity",
    source="P2",
    title="How wide a network the score takes, from regular data to irregular",
    statement=(
        "Networks of growing width are fitted to the score of noised data in L²(q): a mixture, a cut Gaussian, an "
        "interval, two intervals, a heavy tail, and Neal's funnel in the plane. How fast does the error fall, and "
        "where does it stop?"
    ),
    formulas=(
        "relative error² = min over v of width m  ∫|v − ∇log q_s|² q_s dx / ∫|∇log q_s|² q_s dx",
        "q_s: the Ornstein–Uhlenbeck process from the data at time s",
        "v = A tanh(Wx + b); the best A for given W, b is exact, W and b by damped Newton steps from several starts",
    ),
    parameters=Parameters(),
    fast=Parameters(widths=(1, 2), plane_widths=(1,), starts=2, iterations=60, elements=24, plane_elements=3),
    experiment=experiment,
    meaning=(
        "Nothing is expected here: no theorem gives these numbers. Every value is the best of several starts and may "
        "be a local minimum, but no width is worse than a smaller one, whose network is among its starts."
    ),
    further="Noise the data less (`--set times=[0.002,0.02]`): the edges of intervals sharpen, the mixture stays.",
    expects="open",
)
