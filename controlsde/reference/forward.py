"""Which way of computing the forward marginal q fits the data, the process and the walls.

    process   walls        data                        q        (mixtures: with full covariances, too)
    OU        far enough   mixture, uniform, truncated closed form in free space
    OU        reflecting   any                         modes, after the closed form while walls are not felt
    heat      reflecting   mixture, uniform, truncated images; cosine modes once these need fewer terms
    heat      reflecting   any other                   cosine modes
    heat      periodic     mixture, uniform, truncated wrapped; Fourier modes once these need fewer terms
    heat      periodic     any other                   Fourier modes

Absorbing walls absorb the controlled process only. The reference has to keep its mass, so its walls reflect.
"""

from __future__ import annotations

import math

import numpy as np

from controlsde.densities import (
    BoxesDensity,
    CorrelatedMixture,
    Density,
    GaussianMixture,
    TruncatedMixture,
    condition,
)
from controlsde.densities.density import Box
from controlsde.densities.gaussian import REACH
from controlsde.reference.bases import (
    CosineBasis,
    FourierBasis,
    ReflectedOrnsteinUhlenbeckBasis,
)
from controlsde.reference.correlated_flow import CorrelatedClosedForm
from controlsde.reference.flows import (
    ClosedForm,
    Flow,
    ForwardProcess,
    Free,
    Mirrors,
    Noising,
    Switched,
    Walls,
    Windings,
)
from controlsde.reference.projection import project
from controlsde.reference.reference import ReferenceError  # noqa: A004
from controlsde.reference.series import Series

DATA = ("reference", "data")
MAX_MASS_OUTSIDE = 1.1e-6  # a free-space process counts as inside the box up to this much
UNFELT = 1e-13  # walls beyond which less mass lies change nothing
WATCHED = 129  # forward times at which the mass outside the box is looked at
BLURRED = 0.2  # of the box: heat that has spread so far is a sum of few modes
DEGREES = {1: (64, 96, 144, 216, 320), 2: (48, 72, 108, 160), 3: (36, 54, 80)}  # of the OU modes, to try
HEAT_MODES = {1: 4096, 2: 256, 3: 64}  # at most, for data without a closed form
MAX_UNRESOLVED = 0.1  # of the horizon: data that the modes resolve only later than this are refused
MAX_MESH_CHANGE = 1e-6  # of the largest density, between two degrees of the basis
GOOD_MESH_CHANGE = 1e-12  # after which no higher degree is tried
EARLY = 1e-3  # of the horizon: before that, modes need not resolve the data

ProductDensity = GaussianMixture | TruncatedMixture | BoxesDensity
SpreadDensity = ProductDensity | CorrelatedMixture  # shrunk and blurred in closed form
AnyClosedForm = ClosedForm | CorrelatedClosedForm


def forward_flow(data: Density, process: ForwardProcess, horizon: float, box: Box, walls: str) -> Flow:
    """q for the data under the process between the walls. Raises ReferenceError with the cure."""
    if process.pull == 0.0:
        return _heat(data, process, horizon, box, walls)
    if isinstance(data, SpreadDensity):
        times = horizon * np.linspace(0.0, 1.0, WATCHED) ** 2
        outside = np.array([mass_outside(data, process, s, box) for s in times])
        if np.max(outside) <= MAX_MASS_OUTSIDE:
            return closed_form(data, process, Free())
        if walls == "periodic":
            raise _not_periodic(f"has up to {np.max(outside):.1e} of its mass outside the box")
        felt = int(np.argmax(outside > UNFELT))
        return _walled(data, process, horizon, box, float(times[max(felt - 1, 0)]))
    if walls == "periodic":
        raise _not_periodic("has data without a closed form in free space")
    return _walled(data, process, horizon, box, 0.0)


def _not_periodic(reason: str) -> ReferenceError:
    return ReferenceError(
        "an ornstein-uhlenbeck process does not fit periodic walls, for its force -x is not periodic, and "
        f"this one {reason}: use forward: heat, walls: reflecting, or a wider box",
        ("domain", "walls"),
    )


def closed_form(data: SpreadDensity, process: Noising, walls: Walls) -> AnyClosedForm:
    """q for a Gaussian process between walls that its kernel allows."""
    if isinstance(data, CorrelatedMixture):
        return CorrelatedClosedForm(data, process, walls)
    return ClosedForm(data, data.products, process, walls)


def mass_outside(data: SpreadDensity, process: Noising, s: float, box: Box) -> float:
    """An upper bound of the mass that the free process has outside the box at time s.

    Exact for mixtures, with full covariances up to the square of the mass.
    """
    shrink, blur = process.shrink(s), process.blur(s)
    if isinstance(data, GaussianMixture | CorrelatedMixture):
        return data.spread(shrink, blur).mass_outside(box)
    edges = np.array(data.box)
    # The point of the support that is nearest to a wall is the worst start.
    bound = sum(
        GaussianMixture(np.ones(1), np.array([[shrink * edge]]), np.array([[max(blur, 1e-300)]])).mass_outside(
            ((low, np.inf),) if side == 0 else ((-np.inf, high),)
        )
        for axis, (low, high) in enumerate(box)
        for side, edge in enumerate(edges[axis])
    )
    if isinstance(data, BoxesDensity):
        return min(1.0, bound)
    inside = 1.0 - data.whole.mass_outside(data.box)
    whole = data.whole.spread(shrink, blur).mass_outside(box) / inside if inside > 1e-12 else 1.0
    return min(1.0, bound, whole)


def _walled(data: Density, process: ForwardProcess, horizon: float, box: Box, unfelt_until: float) -> Flow:
    """Reflected Ornstein–Uhlenbeck: the closed form while the walls are not felt, then modes."""
    inside = data if unfelt_until > 0.0 else condition(data, box)
    early = closed_form(inside, process, Free()) if isinstance(inside, SpreadDensity) else None
    late = _modes(inside if early is None else early, process, horizon, box, unfelt_until)
    return late if early is None or unfelt_until == 0.0 else Switched(early, late, unfelt_until)


def _modes(data: Density | AnyClosedForm, process: ForwardProcess, horizon: float, box: Box, origin: float) -> Series:
    """Modes of rising degree until two of them agree; raises ReferenceError when they never do."""
    series = [_modes_of_degree(data, process, box, origin, DEGREES[len(box)][0])]
    for degree in DEGREES[len(box)][1:]:
        series.append(_modes_of_degree(data, process, box, origin, degree))
        coarse, fine = series[-2:]
        change = _change(coarse, fine, max(coarse.resolved_from, origin + EARLY * horizon))
        if fine.resolved_from <= origin + EARLY * horizon and change <= GOOD_MESH_CHANGE:
            break
    if not change <= MAX_MESH_CHANGE:
        raise ReferenceError(
            f"the reflected ornstein-uhlenbeck process is not resolved ({_told(change)}): use a narrower box, or data "
            "that stay away from its walls and are smoother or broader",
            DATA,
        )
    return _resolved(fine, horizon)


def _told(change: float) -> str:
    return f"two meshes differ by {change:.1e}" if math.isfinite(change) else "the data fall between their nodes"


def _modes_of_degree(
    data: Density | AnyClosedForm, process: ForwardProcess, box: Box, origin: float, degree: int
) -> Series:
    bases = tuple(ReflectedOrnsteinUhlenbeckBasis(low, high, degree, process.diffusivity) for low, high in box)
    whole = data.data if isinstance(data, AnyClosedForm) else data
    label = "reflected Ornstein–Uhlenbeck modes"
    return Series(whole, bases, project(data, origin, bases, box), box, label, origin)


def _change(coarse: Series, fine: Series, s: float) -> float:
    """The largest difference at time s on a diagonal of the box, over the largest density."""
    points = np.stack([low + (high - low) * np.linspace(0.0, 1.0, 41) for low, high in fine.box], axis=1)
    values = fine.density(s, points)
    return float(np.max(np.abs(values - coarse.density(s, points))) / np.max(np.abs(values)))


def _resolved(series: Series, horizon: float) -> Series:
    if series.resolved_from - series.origin > MAX_UNRESOLVED * horizon:
        raise ReferenceError(
            f"the data are too sharp for {series.label}: resolved only from s = {series.resolved_from:.1e}; "
            "use a longer horizon, or smoother data",
            DATA,
        )
    return series


def _heat(data: Density, process: ForwardProcess, horizon: float, box: Box, walls: str) -> Flow:
    if not isinstance(data, SpreadDensity):
        most = HEAT_MODES[len(box)]
        for count in (min(256, most), min(1024, most), most):
            series = _heat_series(data, process, box, walls, [count] * len(box))
            if series.resolved_from == 0.0:
                break
        return _resolved(series, horizon)
    early = _images(data, process, box, walls)
    reach = BLURRED * min(high - low for low, high in box)
    switch = reach**2 / (2.0 * process.diffusivity)
    if switch >= horizon:
        return early
    # Blurred to a standard deviation σ, mode k of the cosines has e^{-(kπσ/L)²/2}: nothing from k = 9L/πσ on.
    counts = [math.ceil(REACH * (high - low) / (math.pi * reach)) + 2 for low, high in box]
    return Switched(early, _heat_series(early, process, box, walls, counts, switch), switch)


def _heat_series(
    data: Density | AnyClosedForm, process: ForwardProcess, box: Box, walls: str, counts: list[int], origin: float = 0.0
) -> Series:
    kind = FourierBasis if walls == "periodic" else CosineBasis
    label = "Fourier series" if walls == "periodic" else "cosine series"
    bases = tuple(kind(low, high, n, process.diffusivity) for (low, high), n in zip(box, counts, strict=True))
    whole = data.data if isinstance(data, AnyClosedForm) else data
    return Series(whole, bases, project(data, origin, bases, box), box, label, origin)


def _images(data: SpreadDensity, process: ForwardProcess, box: Box, walls: str) -> AnyClosedForm:
    if walls == "periodic":
        return closed_form(data, process, Windings(box, _overhang(data, box)))
    inside: SpreadDensity = data
    if isinstance(data, GaussianMixture) and data.mass_outside(box) > UNFELT:
        inside = TruncatedMixture(data, box)
    return closed_form(inside, process, Mirrors(box))


def _overhang(data: SpreadDensity, box: Box) -> float:
    if not isinstance(data, GaussianMixture | CorrelatedMixture):
        return 0.0
    low, high = np.array(box).T
    reach = REACH * np.sqrt(data.variances)
    return float(max(0.0, np.max(low - data.means + reach), np.max(data.means + reach - high)))
