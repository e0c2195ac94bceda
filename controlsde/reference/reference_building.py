"""From a reference in the problem file, and its domain, to a `Reference`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from controlsde.densities import (
    BoxesDensity,
    CorrelatedMixture,
    Density,
    GaussianMixture,
    LineDensity,
    TruncatedMixture,
    build_density,
    condition,
)
from controlsde.densities.density import Array, Box
from controlsde.densities.free_mixture import FreeMixture, KernelMixture
from controlsde.densities.gaussian import REACH
from controlsde.fokker_planck.diffusivity import Diffusivity, Steady
from controlsde.foundation.surroundings import own_arithmetic
from controlsde.problem import schema
from controlsde.problem.reference_specs import Forward
from controlsde.reference.displacement import GaussianDisplacement, IntervalDisplacement
from controlsde.reference.flows import ForwardProcess
from controlsde.reference.foellmer import pinned_reference
from controlsde.reference.forward import MAX_MASS_OUTSIDE, SpreadDensity, forward_flow
from controlsde.reference.free_space import FreeReference
from controlsde.reference.moser import MoserReference
from controlsde.reference.moser_box import BoxMoserReference
from controlsde.reference.reference import Reference, ReferenceError  # noqa: A004
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference
from controlsde.reference.schedules import (
    Retimed,
    Schedule,
    cosine_noise,
    cosine_rate,
    formula_rate,
    geometric_noise,
    linear_noise,
    linear_rate,
)
from controlsde.reference.solved import solved_flow, stationary_density

Scheduled = schema.VariancePreserving | schema.VarianceExploding
WALLS = ("domain", "walls")
BEYOND = "its numbers grow beyond what a computer holds; use a smaller box or horizon, or milder parameters"
SCHEDULES = {
    "vp": {"linear": linear_rate, "cosine": cosine_rate},
    "ve": {"geometric": geometric_noise, "linear": linear_noise, "cosine": cosine_noise},
}


@own_arithmetic()
def build_reference(
    spec: schema.ReversedDiffusion | schema.Moser | schema.Displacement | schema.Foellmer, domain: schema.Domain
) -> Reference:
    """The reference trajectory that `spec` asks for on `domain`.

    Raises ReferenceError, one line with the cure, when it cannot be computed.
    """
    try:
        if isinstance(spec, schema.Moser):
            return _moser(spec, domain)
        if isinstance(spec, schema.Displacement):
            return _displacement(spec, domain)
        if isinstance(spec, schema.Foellmer):
            return _foellmer(spec, domain)
        return _reversed_diffusion(spec, domain)
    except ReferenceError:
        raise
    except ValueError as error:
        raise ReferenceError(f"the reference cannot be built: {error}") from error
    except ArithmeticError as error:
        raise ReferenceError(f"the reference cannot be built: {BEYOND}") from error


def _reversed_diffusion(spec: schema.ReversedDiffusion, domain: schema.Domain) -> Reference:
    data = build_density(spec.data, domain.box)
    if isinstance(spec.forward, schema.FormulaForward):
        return _formula_diffusion(spec, spec.forward, data, domain)
    process = _process(spec.forward)
    schedule = build_schedule(spec.forward, spec.horizon) if isinstance(spec.forward, Scheduled) else None
    elapsed = spec.horizon if schedule is None else schedule.elapsed(spec.horizon)
    flow = forward_flow(data, process, elapsed, domain.box, domain.walls)
    return ReversedDiffusionReference(
        flow=flow if schedule is None else Retimed(flow, schedule),
        force=_linear_force(process, schedule),
        diffusivity=build_diffusivity(spec),
        horizon=spec.horizon,
        dimension=len(domain.box),
        start=None if spec.start == "exact" else _stationary(process, domain.box),
    )


def build_free_reference(spec: schema.ReversedDiffusion, data: FreeMixture) -> FreeReference:
    """The reference that `spec` asks for in free space, with p(T) = data.

    Raises ReferenceError, one line with the cure, when it cannot be computed.
    """
    try:
        process = _process(spec.forward)
        schedule = build_schedule(spec.forward, spec.horizon) if isinstance(spec.forward, Scheduled) else None
        limit = KernelMixture(np.ones(1), np.zeros((1, data.dimension)), process.diffusivity)
        return FreeReference(
            data=data,
            process=process,
            schedule=schedule,
            force=_linear_force(process, schedule),
            diffusivity=build_diffusivity(spec),
            horizon=spec.horizon,
            start=None if spec.start == "exact" else limit,
        )
    except ReferenceError:
        raise
    except ValueError as error:
        raise ReferenceError(f"the reference cannot be built: {error}") from error
    except ArithmeticError as error:
        raise ReferenceError(f"the reference cannot be built: {BEYOND}") from error


def _formula_diffusion(
    spec: schema.ReversedDiffusion, forward: schema.FormulaForward, data: Density, domain: schema.Domain
) -> Reference:
    formulas = forward.compiled()

    def force(x: Array) -> Array:
        coordinates = dict(zip(formulas[0].variables, x.T, strict=True))
        return np.stack([formula.numpy(**coordinates) for formula in formulas], axis=1)

    # absorbing walls absorb the controlled process only: the reference has to keep its mass
    walls = "reflecting" if domain.walls == "absorbing" else domain.walls
    flow = solved_flow(condition(data, domain.box), force, forward.diffusivity, spec.horizon, domain.box, walls)
    return ReversedDiffusionReference(
        flow=flow,
        force=lambda _, x: force(x),
        diffusivity=Steady(forward.diffusivity),
        horizon=spec.horizon,
        dimension=len(domain.box),
        start=None if spec.start == "exact" else stationary_density(flow.mesh, force, forward.diffusivity),
    )


def build_diffusivity(
    spec: schema.ReversedDiffusion | schema.Moser | schema.Displacement | schema.Foellmer,
) -> Diffusivity:
    """D₀(t) of a reference, without building the rest of it."""
    if not isinstance(spec, schema.ReversedDiffusion):
        return Steady(spec.diffusivity)
    if isinstance(spec.forward, Scheduled):
        schedule, base = build_schedule(spec.forward, spec.horizon), _process(spec.forward).diffusivity
        formula = spec.forward.formula()
        if formula is not None and not formula.uses("s"):  # a constant rate: the solvers need not follow it
            return Steady(base * schedule.rate(0.0))
        return schedule.diffusivity(base, spec.horizon)
    return Steady(spec.forward.diffusivity)


def build_schedule(forward: Scheduled, horizon: float) -> Schedule:
    """The schedule of a forward process on [0, horizon]."""
    formula = forward.formula()
    if formula is not None:
        try:
            return formula_rate(formula, horizon)
        except ValueError as error:
            raise ReferenceError(str(error), ("reference", "forward", "schedule")) from error
    kinds = SCHEDULES[forward.kind]
    return kinds[forward.schedule](*forward.limits, horizon)


def _process(forward: Forward) -> ForwardProcess:
    """The process that a forward process is under its own clock."""
    match forward:
        case schema.VariancePreserving():
            return ForwardProcess(1.0, forward.sigma**2)
        case schema.VarianceExploding():
            return ForwardProcess(0.0, 1.0)
        case schema.OrnsteinUhlenbeck():
            return ForwardProcess(1.0, forward.diffusivity)
        case schema.Heat():
            return ForwardProcess(0.0, forward.diffusivity)
    raise TypeError(f"not a process with a linear force: {forward.kind}")


def _linear_force(process: ForwardProcess, schedule: Schedule | None) -> Callable[[float, Array], Array]:
    """f = −r(s)·pull·x."""

    def force(s: float, x: Array) -> Array:
        rate = 1.0 if schedule is None else schedule.rate(s)
        return np.asarray(-rate * process.pull * x)

    return force


def _foellmer(spec: schema.Foellmer, domain: schema.Domain) -> Reference:
    data = build_density(spec.data, domain.box)
    if not isinstance(data, SpreadDensity):
        raise ReferenceError(
            "foellmer references have a closed form for mixtures, samples, uniform and truncated data only: use one of "
            "these, or reference.kind: reversed-diffusion",
            ("reference", "data"),
        )
    if domain.walls == "periodic":
        raise ReferenceError("foellmer references pull to points of free space: use walls: reflecting", WALLS)
    return pinned_reference(data, np.array(spec.point), spec.width, spec.horizon, Steady(spec.diffusivity), domain.box)


def _stationary(process: ForwardProcess, box: Box) -> Density:
    """The forward process's limit: uniform for heat, N(0, D₀) for Ornstein–Uhlenbeck, cut if it leaks."""
    if process.pull == 0.0:
        return BoxesDensity.uniform(box)
    limit = GaussianMixture(np.ones(1), np.zeros((1, len(box))), np.full((1, len(box)), process.diffusivity))
    return limit if limit.mass_outside(box) <= MAX_MASS_OUTSIDE else TruncatedMixture(limit, box)


def _moser(spec: schema.Moser, domain: schema.Domain) -> Reference:
    periodic = domain.walls == "periodic"
    if len(domain.box) > 1:
        first, last = (on_box(part, domain.box, periodic) for part in (spec.from_, spec.to))
        return BoxMoserReference(first, last, domain.box, spec.horizon, build_diffusivity(spec), periodic)
    start, end = (_on_interval(part, domain.box, periodic) for part in (spec.from_, spec.to))
    return MoserReference(start, end, domain.box[0], spec.horizon, build_diffusivity(spec), periodic)


def _displacement(spec: schema.Displacement, domain: schema.Domain) -> Reference:
    if domain.walls == "periodic":
        raise ReferenceError(
            "displacement references move mass on straight lines, which a circle does not have: use walls: reflecting",
            WALLS,
        )
    if len(domain.box) == 1:
        whole = [build_density(part, domain.box) for part in (spec.from_, spec.to)]
        if isinstance(whole[0], GaussianMixture) and isinstance(whole[1], GaussianMixture):
            interval = _long_interval(whole[0], whole[1], domain.box[0])
            return IntervalDisplacement(whole[0], whole[1], interval, spec.horizon, build_diffusivity(spec))
        start, end = (_on_interval(part, domain.box, False) for part in (spec.from_, spec.to))
        return IntervalDisplacement(start, end, domain.box[0], spec.horizon, build_diffusivity(spec))
    first, last = (_gaussian(part, domain.box) for part in (spec.from_, spec.to))
    return GaussianDisplacement(first, last, spec.horizon, build_diffusivity(spec))


def _long_interval(start: GaussianMixture, end: GaussianMixture, side: tuple[float, float]) -> tuple[float, float]:
    """Where the mass that passes through the box may come from and go to: the narrowest may become the broadest."""
    stds = np.sqrt(np.concatenate([start.variances, end.variances]))
    reach = (side[1] - side[0]) * (1.0 + float(stds.max() / stds.min()))
    return side[0] - reach, side[1] + reach


def _gaussian(spec: schema.DensitySpec, box: Box) -> CorrelatedMixture:
    density = build_density(spec, box)
    if not isinstance(density, GaussianMixture | CorrelatedMixture) or density.weights.size > 1:
        raise ReferenceError(
            "displacement references in several dimensions join two Gaussians: give from and to as mixtures of one "
            "component, or use one dimension",
            ("reference", "from"),
        )
    return CorrelatedMixture.from_independent(density) if isinstance(density, GaussianMixture) else density


def _on_interval(spec: schema.DensitySpec, box: Box, periodic: bool) -> LineDensity:
    inside = on_box(spec, box, periodic)
    if not isinstance(inside, LineDensity):
        raise ReferenceError(
            "references between two densities need ones with distribution functions", ("reference", "from")
        )
    return inside


def on_box(spec: schema.DensitySpec, box: Box, periodic: bool) -> Density:
    """The density that `spec` describes, given that the point is in the box; wrapped around periodic walls."""
    density = build_density(spec, box)
    if periodic and isinstance(density, GaussianMixture | CorrelatedMixture):
        density = _wrapped(density, box)
    return condition(density, box)


def _wrapped(mixture: GaussianMixture | CorrelatedMixture, box: Box) -> GaussianMixture | CorrelatedMixture:
    """The mixture and its images, one box length apart along each axis, as far as they reach into the box."""
    for axis, (low, high) in enumerate(box):
        length = high - low
        spread = REACH * np.sqrt(mixture.variances[:, axis])
        reach = float(np.max(np.abs(mixture.means[:, axis] - 0.5 * (low + high)) + spread))
        count = math.ceil(reach / length + 0.5)
        shifts = np.zeros((2 * count + 1, len(box)))
        shifts[:, axis] = length * np.arange(-count, count + 1)
        weights = np.tile(mixture.weights, len(shifts))
        means = (mixture.means[None, :, :] + shifts[:, None, :]).reshape(-1, len(box))
        if isinstance(mixture, CorrelatedMixture):
            mixture = CorrelatedMixture(weights, means, np.tile(mixture.covariances, (len(shifts), 1, 1)))
        else:
            mixture = GaussianMixture(weights, means, np.tile(mixture.variances, (len(shifts), 1)))
    return mixture
