"""Every reference solves its equations: the density is carried by w without noise and by v* with any noise.

    ∂ₜp = ηD₀ Δp - ∇·(v*_η p),   v*_η = w + ηD₀ ∇log p,   η = 0 the continuity equation

Checked by sixth-order differences at random points, so a wrong sign or factor anywhere fails.
"""

import numpy as np
import pytest

from controlsde.problem import schema

from .builders import (
    CORRELATED,
    CORRELATED_3D,
    FUNNEL,
    IMAGE,
    JUMP,
    MIXTURE,
    MIXTURE_2D,
    MIXTURE_3D,
    SMOOTH,
    SMOOTH_2D,
    STUDENT_T,
    STUDENT_T_2D,
    TRUNCATED,
    UNIFORM,
    UNIFORM_2D,
    displacement,
    foellmer,
    formula,
    formula_forward,
    gaussian,
    moser,
    reversed_diffusion,
    scheduled,
)

VP, VE = schema.VariancePreserving, schema.VarianceExploding

NARROW = ((-1.5, 1.2),)
WIDE = ((-6.0, 6.0),)
NARROW_2D = ((-1.5, 1.2), (-1.2, 1.4))
OU = {"forward": "ornstein-uhlenbeck"}
RING = {"walls": "periodic"}
BROAD_2D = gaussian((0.2, -0.3), (0.9, 0.7))
COSINES_3D = formula("1 + 0.5*cos(pi*(x + 1.5)/3)*cos(pi*(y + 1.5)/1.5) + 0.2*cos(pi*(z + 1.5)/3)")
BUMPS = (formula("0.2 + exp(-4*(x + 0.5)**2)"), formula("0.3 + exp(-4*(x - 0.5)**2)"))
TILTED = schema.Mixture(means=((-0.5, 0.2),), covariances=(((0.3, 0.12), (0.12, 0.2)),))

REFERENCES = {
    "ou free mixture": lambda: reversed_diffusion(MIXTURE, WIDE, **OU),
    "ou free uniform": lambda: reversed_diffusion(UNIFORM, WIDE, **OU),
    "ou free truncated": lambda: reversed_diffusion(TRUNCATED, WIDE, **OU),
    "ou free periodic": lambda: reversed_diffusion(MIXTURE, WIDE, **OU, **RING),
    "ou walled mixture": lambda: reversed_diffusion(MIXTURE, NARROW, **OU),
    "ou walled uniform": lambda: reversed_diffusion(UNIFORM, NARROW, **OU),
    "ou walled formula": lambda: reversed_diffusion(SMOOTH, NARROW, **OU),
    "ou absorbing": lambda: reversed_diffusion(MIXTURE, NARROW, walls="absorbing", **OU),
    "ou stationary start": lambda: reversed_diffusion(MIXTURE, WIDE, start="stationary", **OU),
    "heat mixture": lambda: reversed_diffusion(MIXTURE, NARROW),
    "heat uniform": lambda: reversed_diffusion(UNIFORM, NARROW),
    "heat truncated": lambda: reversed_diffusion(TRUNCATED, NARROW),
    "heat jump": lambda: reversed_diffusion(JUMP, NARROW),
    "heat ring mixture": lambda: reversed_diffusion(MIXTURE, NARROW, **RING),
    "heat ring uniform": lambda: reversed_diffusion(UNIFORM, NARROW, **RING),
    "heat ring formula": lambda: reversed_diffusion(SMOOTH, NARROW, **RING),
    "ou free 2d": lambda: reversed_diffusion(MIXTURE_2D, WIDE * 2, **OU),
    "ou walled mixture 2d": lambda: reversed_diffusion(MIXTURE_2D, NARROW_2D, **OU),
    "ou walled formula 2d": lambda: reversed_diffusion(SMOOTH_2D, NARROW_2D, **OU),
    "heat mixture 2d": lambda: reversed_diffusion(MIXTURE_2D, NARROW_2D),
    "heat uniform 2d": lambda: reversed_diffusion(UNIFORM_2D, NARROW_2D),
    "heat formula 2d": lambda: reversed_diffusion(SMOOTH_2D, NARROW_2D),
    "heat ring 2d": lambda: reversed_diffusion(MIXTURE_2D, NARROW_2D, **RING),
    "ou free 3d": lambda: reversed_diffusion(MIXTURE_3D, WIDE * 3, **OU),
    "heat mixture 3d": lambda: reversed_diffusion(MIXTURE_3D, ((-1.5, 1.5),) * 3),
    "heat formula 3d": lambda: reversed_diffusion(formula("1 + x*y*z"), ((-0.9, 0.8),) * 3),
    "ou free correlated 2d": lambda: reversed_diffusion(CORRELATED, WIDE * 2, **OU),
    "ou free correlated 3d": lambda: reversed_diffusion(CORRELATED_3D, WIDE * 3, **OU),
    "ou walled correlated 2d": lambda: reversed_diffusion(CORRELATED, NARROW_2D, **OU),
    "heat correlated 2d": lambda: reversed_diffusion(CORRELATED, NARROW_2D),
    "heat ring correlated 2d": lambda: reversed_diffusion(CORRELATED, NARROW_2D, **RING),
    "ou walled student-t": lambda: reversed_diffusion(STUDENT_T, NARROW, **OU),
    "heat student-t": lambda: reversed_diffusion(STUDENT_T, NARROW),
    "ou walled student-t 2d": lambda: reversed_diffusion(STUDENT_T_2D, NARROW_2D, **OU),
    "heat student-t 2d": lambda: reversed_diffusion(STUDENT_T_2D, NARROW_2D),
    "ou walled funnel 2d": lambda: reversed_diffusion(FUNNEL, NARROW_2D, **OU),
    "heat funnel 2d": lambda: reversed_diffusion(FUNNEL, NARROW_2D),
    "ou walled image 2d": lambda: reversed_diffusion(IMAGE, NARROW_2D, **OU),
    "heat image 2d": lambda: reversed_diffusion(IMAGE, NARROW_2D),
    "moser formula": lambda: moser(*BUMPS, NARROW, diffusivity=0.3),
    "moser mixture": lambda: moser(formula("1"), MIXTURE, NARROW, horizon=2.0),
    "displacement formula": lambda: displacement(*BUMPS, NARROW, diffusivity=0.3, horizon=2.0),
    "displacement truncated": lambda: displacement(formula("1"), TRUNCATED, NARROW),
    "moser student-t": lambda: moser(formula("1"), STUDENT_T, NARROW),
    "displacement student-t": lambda: displacement(formula("1"), STUDENT_T, NARROW),
    "displacement free correlated 2d": lambda: displacement(TILTED, gaussian((0.6, 0), (0.3, 0.7)), WIDE * 2),
    "displacement free 2d": lambda: displacement(gaussian((-0.5, 0.2), 0.4), gaussian((0.6, 0), (0.3, 0.7)), WIDE * 2),
    "vp linear": lambda: scheduled(MIXTURE, WIDE, VP(beta_max=3.0)),
    "vp cosine": lambda: scheduled(MIXTURE, WIDE, VP(schedule="cosine", sigma=0.8)),
    "vp formula, walls": lambda: scheduled(MIXTURE, NARROW, VP(schedule="0.2 + 3*s", sigma=0.8)),
    "vp 2d": lambda: scheduled(MIXTURE_2D, WIDE * 2, VP(schedule="cosine")),
    "vp stationary start": lambda: scheduled(MIXTURE, WIDE, VP(beta_max=3.0), start="stationary"),
    "ve geometric": lambda: scheduled(MIXTURE, WIDE, VE(sigma_min=0.05)),
    "ve linear, walls": lambda: scheduled(MIXTURE, NARROW, VE(schedule="linear")),
    "ve cosine, ring": lambda: scheduled(UNIFORM, NARROW, VE(schedule="cosine"), walls="periodic"),
    "ve formula": lambda: scheduled(SMOOTH, NARROW, VE(schedule="0.3 + cos(s)**2")),
    "ve that begins slowly": lambda: scheduled(MIXTURE, WIDE, VE(schedule="8*s^3")),
    "vp that begins slowly": lambda: scheduled(MIXTURE, WIDE, VP(schedule="3*sin(pi*s)**2", sigma=0.8)),
    "ve that begins slowly, walls": lambda: scheduled(UNIFORM, NARROW, VE(schedule="60*s^3")),
    "vp that pauses": lambda: scheduled(MIXTURE, WIDE, VP(schedule="2*max(s - 0.2, 0)")),
    "vp free correlated 2d": lambda: scheduled(CORRELATED, WIDE * 2, VP(schedule="cosine")),
    "vp walled image 2d": lambda: scheduled(IMAGE, NARROW_2D, VP(beta_max=3.0)),
    "vp walled student-t": lambda: scheduled(STUDENT_T, NARROW, VP(schedule="cosine")),
    "double well student-t": lambda: formula_forward(STUDENT_T, NARROW, "4*(x - x^3)", diffusivity=0.5),
    "quartic": lambda: formula_forward(MIXTURE, NARROW, "-x^3", diffusivity=0.5),
    "double well": lambda: formula_forward(SMOOTH, NARROW, "4*(x - x^3)", diffusivity=0.5),
    "foellmer free": lambda: foellmer(MIXTURE, WIDE, width=0.4),
    "foellmer free uniform": lambda: foellmer(UNIFORM, WIDE, width=0.4, point=(0.3,), diffusivity=0.3),
    "foellmer free 2d": lambda: foellmer(MIXTURE_2D, WIDE * 2, width=0.4, point=(0.3, -0.1), horizon=0.8),
    "moser mixture 2d": lambda: moser(formula("1 + 0.3*x*y"), BROAD_2D, NARROW_2D, diffusivity=0.4),
    "foellmer free correlated 2d": lambda: foellmer(CORRELATED, WIDE * 2, width=0.4, horizon=0.8),
    "moser correlated 2d": lambda: moser(formula("1 + 0.3*x*y"), TILTED, NARROW_2D),
    "moser ring correlated 2d": lambda: moser(formula("1"), TILTED, NARROW_2D, **RING),
    "moser student-t 2d": lambda: moser(formula("1"), STUDENT_T_2D, NARROW_2D),
    "moser funnel 2d": lambda: moser(formula("1"), FUNNEL, NARROW_2D),
    "moser image 2d": lambda: moser(IMAGE, SMOOTH_2D, NARROW_2D),
    "moser formula 2d": lambda: moser(SMOOTH_2D, formula("exp(-2*(x - 0.2)**2 - y**2) + 0.1"), NARROW_2D),
    "moser ring 2d": lambda: moser(formula("2 + sin(2*pi*(x + 1.5)/2.7)"), BROAD_2D, NARROW_2D, **RING),
    "moser 3d": lambda: moser(formula("1"), COSINES_3D, ((-1.5, 1.5),) * 3),
    "moser ring": lambda: moser(BUMPS[0], MIXTURE, NARROW, walls="periodic"),
}
HARD = ("3d", "walled", "ring correlated", "moser ring 2d")  # parts of the names of what takes longest
ALIKE = (  # others in the quick tests have the same data or the same process
    "heat correlated 2d", "displacement truncated", "moser image 2d", "moser correlated 2d", "displacement student-t",
    "double well student-t", "quartic", "moser student-t 2d", "heat uniform 2d", "heat truncated", "moser mixture 2d",
    "moser funnel 2d", "heat mixture 2d", "heat ring formula", "heat mixture", "heat funnel 2d", "heat student-t 2d",
    "ve that begins slowly, walls", "heat image 2d", "vp formula, walls",
)  # fmt: skip
SCORED_LATER = ("heat ring correlated 2d", "moser ring correlated 2d", "moser 3d", "heat formula 3d")
SLOW = ("ve that begins slowly", "vp that begins slowly", "vp that pauses")
FREE = (*SLOW, "ou stationary start", "vp linear", "vp cosine", "vp 2d", "vp stationary start", "ve geometric")
BOXES = {
    name: ((-0.9, 0.8),) * 3 if name == "heat formula 3d" else ((-1.5, 1.2), (-1.2, 1.4), (-1.0, 1.0))
    for name in REFERENCES
}
H = 4e-3
STENCIL = ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))


def difference(function, step):
    """The sixth-order central difference of function(shift) at 0."""
    return sum(c * (function(k * step) - function(-k * step)) for k, c in STENCIL) / step


@pytest.fixture(scope="module")
def built():
    made = {}

    def build(name):
        if name not in made:
            made[name] = REFERENCES[name]()
        return made[name]

    return build


def points(reference, name, rng, count=12):
    low, high = np.array(BOXES[name][: reference.dimension]).T
    return rng.uniform(low + 0.05 * (high - low), high - 0.05 * (high - low), (count, reference.dimension))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ALIKE or any(part in name for part in HARD) else name
        for name in REFERENCES
    ],
)
def test_density_is_carried_by_the_exact_drift_at_every_noise_level(name, built, rng):
    reference = built(name)
    x, axes = points(reference, name, rng), np.eye(reference.dimension)
    for fraction in (0.05, 0.8):
        t = fraction * reference.horizon
        change = difference(lambda dt, t=t: reference.density(t + dt, x), H * reference.horizon)
        scale = np.max(np.abs(change)) + 1e-3 * np.max(reference.density(t, x))
        for noise in (0.0, 0.7):

            def flux(y, axis, t=t, noise=noise):
                drift = reference.exact_drift(t, y, noise)[:, axis]
                slope = difference(lambda dx: reference.density(t, y + dx * axes[axis]), H)
                return drift * reference.density(t, y) - noise * reference.diffusivity.at(t) * slope

            divergence = sum(
                difference(lambda dx, axis=axis: flux(x + dx * axes[axis], axis), H) for axis in range(len(axes))
            )
            np.testing.assert_allclose(change, -divergence, atol=2e-5 * scale)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in (*ALIKE, *SCORED_LATER) else name for name in REFERENCES],
)
def test_score_is_the_gradient_of_the_log_density(name, built, rng):
    reference = built(name)
    x, t = points(reference, name, rng), 0.6 * reference.horizon
    for axis, step in enumerate(np.eye(reference.dimension)):
        slope = difference(lambda dx, step=step: np.log(reference.density(t, x + dx * step)), 2e-3)
        np.testing.assert_allclose(reference.score(t, x)[:, axis], slope, rtol=1e-6, atol=1e-7)
    drift = reference.exact_drift(t, x, 0.7) - reference.field(t, x)
    np.testing.assert_allclose(drift, 0.7 * reference.diffusivity.at(t) * reference.score(t, x), atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ALIKE or any(part in name for part in HARD[2:]) else name
        for name in REFERENCES
    ],
)
def test_everything_is_finite_everywhere_at_all_times(name, built):
    reference = built(name)
    low, high = np.array(BOXES[name][: reference.dimension]).T
    x = low + (high - low) * np.linspace(0.0, 1.0, 33)[:, None]
    for t in (0.0, 0.3, 0.999, 1.0 - 1e-7, 1.0):
        for value in (
            reference.density(t * reference.horizon, x),
            reference.score(t * reference.horizon, x),
            reference.exact_drift(t * reference.horizon, x, 1.0),
        ):
            assert np.all(np.isfinite(value))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in (*ALIKE, *SCORED_LATER) else name
        for name in REFERENCES
        if "3d" not in name
    ],
)
def test_initial_samples_have_the_moments_of_the_initial_density(name, built, rng):
    reference = built(name)
    free = "free" in name or name in FREE
    box = (WIDE * 3 if free else BOXES[name])[: reference.dimension]
    axes = [np.linspace(low, high, 4001 if len(box) == 1 else 401) for low, high in box]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(box))
    mass = reference.initial_density(grid)
    for axis, (low, high) in enumerate(box):  # the trapezoidal rule
        mass = np.where(np.isin(grid[:, axis], (low, high)), 0.5, 1.0) * mass
    mass /= np.sum(mass)
    samples = reference.sample_initial(20_000, rng)
    assert samples.shape == (20_000, reference.dimension)
    for axis in range(reference.dimension):
        for power in (1, 2):
            mean, spread = mass @ grid[:, axis] ** power, mass @ grid[:, axis] ** (2 * power)
            error = np.sqrt((spread - mean**2) / 20_000)
            assert abs(np.mean(samples[:, axis] ** power) - mean) < 4.5 * error + 1e-5


def test_times_outside_the_horizon_are_refused(built):
    with pytest.raises(ValueError, match="t must be in"):
        built("heat mixture").density(0.6, np.zeros((1, 1)))
