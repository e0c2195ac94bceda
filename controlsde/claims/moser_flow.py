"""Moser's field joins two densities, smooth or not: its map, the state equation under it, in one and two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_most, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, allowance, density_after, line
from controlsde.claims.harness.fitting import order_row, power_law
from controlsde.claims.harness.references import exact, reference_of
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation.progress import Step
from controlsde.reference import Reference
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

DEGREE = 8
BREAK = 0.4  # where the kink and the jump are
CLOSED_FORM = 1e-10  # distribution functions of formulas, by quadrature
ALONG_PATHS = 1e-10  # relative tolerance of the paths, which end within a hundred times that
FAST_WAY = 8  # steps of a noise-free run to one element


@dataclass(frozen=True)
class Parameters:
    """smooth target 1 + c cos πx; height and widths of a jump; noise levels η; meshes, steps and paths."""

    strength: float = 0.8
    jump: float = 0.5
    widths: tuple[float, ...] = (0.1, 0.05, 0.025, 0.0125)
    noise: tuple[float, ...] = (0.0, 0.5, 1.0)
    elements: int = 8
    plane_elements: int = 2
    plane_steps: int = 16
    paths: int = 33


@dataclass(frozen=True)
class Target:
    """A density on [0, 1]: its formula in a problem file, and itself and its distribution function in closed form."""

    expression: str
    density: Callable[[Array], Array]
    distribution: Callable[[Array], Array]


def targets(parameters: Parameters) -> dict[str, Target]:
    """One smooth, one with a kink, one with a jump."""
    c, a = parameters.strength, parameters.jump
    base = 1.0 - a * (1.0 - 2.0 * BREAK)  # of mass one
    mass = 0.26 + 0.5 * (BREAK**2 + (1.0 - BREAK) ** 2)  # of 0.26 + |x − 0.4|
    return {
        "smooth": Target(
            f"1 + {c!r}*cos(pi*x)",
            lambda x: 1.0 + c * np.cos(np.pi * x),
            lambda x: x + c / np.pi * np.sin(np.pi * x),
        ),
        "kink": Target(
            f"0.26 + abs(x - {BREAK})",
            lambda x: (0.26 + np.abs(x - BREAK)) / mass,
            lambda x: (0.26 * x + 0.5 * ((x - BREAK) * np.abs(x - BREAK) + BREAK**2)) / mass,
        ),
        "jump": Target(
            f"{base!r} + {a!r}*sign(x - {BREAK})",
            lambda x: base + a * np.sign(x - BREAK),
            lambda x: base * x + a * (np.abs(x - BREAK) - BREAK),
        ),
    }


def softened(parameters: Parameters, width: float) -> str:
    """The jump, softened over a width."""
    return f"1 + {parameters.jump!r}*tanh((x - {BREAK})/{width!r})"


def moser(end: str, box: str = "[[0, 1]]") -> Reference:
    """Moser's reference from the uniform density, with horizon 1 and diffusivity 1."""
    return reference_of(
        f"""
domain: {{box: {box}}}
reference:
  kind: moser
  horizon: 1.0
  from: {{kind: uniform}}
  to: {{kind: formula, expression: "{end}"}}
"""
    )


def arrivals(reference: Reference, starts: Array, times: Array) -> Array:
    """Where w takes the starts (n,), at the times (k,): (k, n)."""
    found = solve_ivp(
        lambda t, x: reference.field(t, x[:, None])[:, 0],
        (times[0], times[-1]),
        starts,
        method="LSODA",
        t_eval=times,
        rtol=ALONG_PATHS,
        atol=ALONG_PATHS,
    )
    return np.asarray(found.y.T)


def tracking_error(reference: Reference, noise: float, mesh: Mesh, steps: int) -> float:
    """‖ρ(1) − p₁‖ of the state equation under v*_η, from the uniform density."""
    times = np.linspace(0.0, 1.0, steps + 1)
    state = density_after(mesh, partial(exact, reference, noise), noise, lambda x: np.ones(len(x)), times)
    return state.l2(partial(reference.density, 1.0))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Field and map of three targets, the state equation for two, the price of a jump, and a square."""
    setting.progress(Step("fields and maps"))
    rows: list[Row] = []
    inner = np.linspace(0.0, 1.0, parameters.paths + 2)[1:-1]
    flows = []
    for number, (name, target) in enumerate(targets(parameters).items()):
        reference = moser(target.expression)
        times = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        gap = max(float(np.max(np.abs(_field_error(reference, target, t, inner)))) for t in times)
        rows.append(equal(f"{name}: largest error of the field w", 0.0, gap, CLOSED_FORM, "quadrature"))
        paths = arrivals(reference, inner, times)
        # F_g(x(t)) = F₀(x₀) = x₀ with F_g = (1 − g) x + g F₁(x), g = t
        missed = max(
            float(np.max(np.abs((1 - t) * x + t * target.distribution(x) - inner)))
            for t, x in zip(times, paths, strict=True)
        )
        rows.append(
            equal(
                f"{name}: largest error of the map F_g⁻¹∘F₀", 0.0, missed, 100 * ALONG_PATHS, "tolerance of the paths"
            )
        )
        dense = np.linspace(0.0, 1.0, 41)
        some = arrivals(reference, inner[:: max(len(inner) // 10, 1)], dense)
        flows += [
            Curve(dense, path, name if not place else "", "line", series=number) for place, path in enumerate(some.T)
        ]
    for name in ("smooth", "kink"):
        reference = moser(targets(parameters)[name].expression)
        for noise in parameters.noise:
            setting.progress(Step(f"state equation: {name}, η = {noise:g}"))
            rough, fine = (
                tracking_error(reference, noise, line(0.0, 1.0, more * parameters.elements + 1), steps)
                for more, steps in ((1, FAST_WAY * parameters.elements), (2, 2 * FAST_WAY * parameters.elements))
            )
            rows.append(equal(f"{name}, η = {noise:g}: ‖ρ(T) − p₁‖", 0.0, fine, allowance(fine, rough), REFINEMENT))
    prices = _price_of_a_jump(parameters, rows, setting)
    _square(parameters, rows, setting)
    return Findings(
        tuple(rows),
        (
            Panel("paths of Moser's field", "t", "x", tuple(flows)),
            Panel("a jump softened over δ", "δ", "largest speed", prices, True, True),
        ),
        "Field, map and densities are those of the closed form, with every noise level. At a jump the field stays "
        "bounded; the drift with noise does not, for it carries ∇log p.",
    )


def _field_error(reference: Reference, target: Target, t: float, x: Array) -> Array:
    """w − (F₀ − F₁)/p, p = 1 − g + g p₁."""
    closed = (x - target.distribution(x)) / (1 - t + t * target.density(x))
    return np.asarray(reference.field(t, x[:, None])[:, 0] - closed)


def _price_of_a_jump(parameters: Parameters, rows: list[Row], setting: Setting) -> tuple[Curve, ...]:
    """How fast the drifts are, without and with noise, as the jump sharpens; p itself stays as it is."""
    widths = np.array(parameters.widths)
    x = np.linspace(0.0, 1.0, 40_001)
    fields, drifts = [], []
    for width in widths:
        setting.progress(Step(f"jump over {width:g}"))
        reference = moser(softened(parameters, float(width)))
        fields.append(float(np.max(np.abs(reference.exact_drift(1.0, x[:, None], 0.0)))))
        drifts.append(float(np.max(np.abs(reference.exact_drift(1.0, x[:, None], 1.0)))))
    # left of the sharp jump w = (F₀ − F₁)/p₁ is largest
    sharp = BREAK * (1.0 / float(targets(parameters)["jump"].density(np.zeros(1))[0]) - 1.0)
    for width, field in zip(widths, fields, strict=True):
        rows.append(at_most(f"jump over δ = {width:g}, η = 0: largest |w|", sharp, field, 1e-12, "rounding"))
    noise = power_law(widths, drifts)
    rows.append(report(f"jump over δ = {widths[-1]:g}, η = 1: largest |v*|", drifts[-1]))
    rows.append(order_row("jump over δ, η = 1: order of the largest |v*| in δ", -1.0, noise))
    return (
        Curve(widths, fields, "η = 0"),
        Curve(widths, drifts, f"η = 1: slope {noise}"),
        Curve(widths, np.full(len(widths), sharp), "η = 0 at the jump itself", "theory", series=0),
    )


def _square(parameters: Parameters, rows: list[Row], setting: Setting) -> None:
    """p₁ = 1 + c cos πx cos πy: Δφ = 1 − p₁ has φ = c cos πx cos πy/2π²."""
    c = parameters.strength
    reference = moser(f"1 + {c!r}*cos(pi*x)*cos(pi*y)", "[[0, 1], [0, 1]]")
    axis = np.linspace(0.0, 1.0, 21)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    x, y = np.pi * points.T
    gradient = -c / (2 * np.pi) * np.stack([np.sin(x) * np.cos(y), np.cos(x) * np.sin(y)], axis=1)
    for t in (0.0, 0.5, 1.0):
        p = 1 + t * c * np.cos(x) * np.cos(y)
        gap = float(np.max(np.abs(reference.field(t, points) - gradient / p[:, None])))
        rows.append(equal(f"square, t = {t:g}: largest error of the field", 0.0, gap, CLOSED_FORM, "Poisson solve"))
    for noise in parameters.noise:
        setting.progress(Step(f"square, η = {noise:g}"))
        rough, fine = (
            tracking_error(
                reference,
                noise,
                Mesh.build(((0.0, 1.0), (0.0, 1.0)), "reflecting", (elements, elements), DEGREE),
                steps,
            )
            for elements, steps in (
                (parameters.plane_elements, parameters.plane_steps),
                (parameters.plane_elements + 1, 2 * parameters.plane_steps),
            )
        )
        rows.append(equal(f"square, η = {noise:g}: ‖ρ(T) − p₁‖", 0.0, fine, allowance(fine, rough), REFINEMENT))


CLAIM = Claim(
    id="moser-flow",
    source="P1",
    title="An exact field joins two densities, smooth or not",
    statement=(
        "Between any two densities that are bounded away from zero there is a field that carries one into the other "
        "along (1 − g)p₀ + g p₁. It needs no derivative of them: a kink or a jump does it no harm. With the drift "
        "w + ηD₀∇log p, noise of any level follows the same densities, but that drift does feel a jump."
    ),
    formulas=(
        "p = (1 − g)p₀ + g p₁,  w = ∇φ/p,  Δφ = −∂ₜp, no flux;  in one dimension w = ġ(F₀ − F₁)/p",
        "p₀ = 1, p₁ = 1 + c cos πx:  w = −c sin πx / (π(1 + gc cos πx))",
        "the map of the flow is F_g⁻¹∘F₀",
        "jump of height ±a softened over δ:  |w| bounded,  |∇log p| ~ 1/δ, derived here",
        "square, p₁ = 1 + c cos πx cos πy:  φ = c cos πx cos πy / 2π², derived here",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(0.0, 1.0), elements=5, widths=(0.1, 0.05, 0.025), plane_steps=6, paths=17),
    experiment=experiment,
    meaning=(
        "Low regularity is a case for the deterministic flow, not against it: where the target jumps, its field is "
        "bounded, while noise has to be fought by a drift that grows like 1/δ as the jump sharpens, and that has no "
        "meaning at the jump itself."
    ),
    further="Let the target nearly touch zero (`--set strength=0.99`): the field w = flux/p grows where p is small.",
)
