"""What pictures of particles show, as plain arrays: marginals, a plane, and what is set beside them in closed form.

Comes in: results of one problem in free space. Goes out: histograms with densities, dots with the regions that hold
half and nine tenths of p; for PNG files and for pages alike, neither of which computes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controlsde.densities.free_mixture import FreeMixture, gaussian_with_moments_of
from controlsde.distances.marginals import marginal_curve, principal_axes
from controlsde.report.moments import chosen_times
from controlsde.report.words import free_title
from controlsde.result.free_result import FreeResult
from controlsde.tracking.free_posed import FreePosed
from controlsde.tracking.mollified import Mollified, automatic_scales
from controlsde.verification.free_evidence import BesideNull, Particles

Array = NDArray[np.float64]

ALL = 16  # coordinates of which each has a marginal; of more there are the principal axes and the worst
AXES, WORST = 6, 6
BINS, POINTS = 48, 241
MOMENTS = 5  # of the plane
DOTS = 400
CELLS = 72  # of the grid through which contours are found
HELD = (0.5, 0.9)  # shares of p that the contours hold
FARTHEST = 6.0  # deviations of p: what lies beyond is counted, not shown
COURSE_TIMES = 9  # at which the level of chance is computed
SEED = 0  # of the Gaussian's draws


@dataclass(frozen=True, eq=False)
class Marginal:
    """Along one line: the particles' histogram as a density (bins,) over edges (bins+1,), p and one Gaussian at x.

    label: of the axis, with the unit where it is not that of the data.
    """

    label: str
    edges: Array
    histogram: Array
    x: Array
    density: Array
    gaussian: Array


@dataclass(frozen=True, eq=False)
class Dots:
    """Points (n, 2) in a plane, and how many more are too far out to be shown."""

    label: str
    points: Array
    beyond: int


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of p's first two principal axes at one time: dots, and the edges of the regions that hold `HELD` of p.

    limits: ((x low, x high), (y low, y high)). contours: for each share lines (n, 2).
    """

    time: float
    limits: tuple[tuple[float, float], tuple[float, float]]
    contours: tuple[tuple[Array, ...], ...]
    dots: tuple[Dots, ...]


@dataclass(frozen=True, eq=False)
class FreeScene:
    """A result in free space with the closed forms of its reference, each computed when it is first asked for."""

    result: FreeResult

    @cached_property
    def posed(self) -> FreePosed:
        """The problem with its data and its reference."""
        return FreePosed.of(self.result.problem)

    @property
    def target(self) -> FreeMixture:
        """p(T)."""
        return self.posed.reference.data

    @cached_property
    def gaussian(self) -> FreeMixture:
        """The Gaussian with the moments of p(T)."""
        return gaussian_with_moments_of(self.target)

    @cached_property
    def axes(self) -> Array:
        """Principal axes of p(T) as columns, (d, d)."""
        return np.ones((1, 1)) if self.target.dimension == 1 else principal_axes(self.target)

    @cached_property
    def shares(self) -> Array:
        """The share of p(T)'s variance along each principal axis, (d,)."""
        variances = np.einsum("dl,de,el->l", self.axes, self.target.covariance, self.axes)
        return np.asarray(variances / variances.sum())

    def axis_label(self, place: int) -> str:
        """What a principal axis is called."""
        return f"principal axis {place + 1} ({100 * self.shares[place]:.0f} %)"

    def marginals(self, *finals: Array, bins: int = BINS) -> tuple[tuple[Marginal, ...], ...]:
        """Along every coordinate, or along principal axes and the worst coordinates: one for each cloud (n, d) at T.

        Nothing where a cloud holds no particle that is a number.
        """
        cloud, d = self.result.particles, self.target.dimension
        clouds = [finite_rows(final) for final in finals]
        if not all(len(final) for final in clouds):
            return ()
        axes = range(0 if d <= ALL else AXES)
        coordinates = range(d) if d <= ALL else self._worst(clouds)
        return (
            *(tuple(self._along(one, self.axes[:, i], self.axis_label(i), bins=bins) for one in clouds) for i in axes),
            *(tuple(self._along_coordinate(one, cloud, i, bins) for one in clouds) for i in coordinates),
        )

    def _worst(self, clouds: Sequence[Array]) -> list[int]:
        """Coordinates along which a cloud and samples of p differ most, by W₁ in deviations of p, in their order."""
        sample = self.result.particles.target
        deviations = np.sqrt(np.diag(self.target.covariance))
        gaps = np.zeros(self.target.dimension)
        for final in clouds:
            n = min(len(final), len(sample))
            found = np.abs(np.sort(final[:n], axis=0) - np.sort(sample[:n], axis=0)).mean(axis=0)
            gaps = np.maximum(gaps, found / deviations)
        return sorted(int(i) for i in np.argsort(gaps)[::-1][:WORST])

    def _along_coordinate(self, final: Array, cloud: Particles, place: int, bins: int) -> Marginal:
        direction = np.eye(self.target.dimension)[place]
        scale, shift = float(cloud.scale[place]), float(cloud.shift[place])
        return self._along(final, direction, cloud.names[place], scale, shift, bins=bins)

    def _along(
        self, final: Array, direction: Array, label: str, scale: float = 1.0, shift: float = 0.0, *, bins: int
    ) -> Marginal:
        drawn = marginal_curve(final, self.target, direction, bins)
        x = np.linspace(drawn.edges[0], drawn.edges[-1], POINTS)
        p, gaussian = (
            mixture.marginal(direction[:, None]).pdf(x[:, None]) / scale for mixture in (self.target, self.gaussian)
        )
        return Marginal(label, drawn.edges * scale + shift, drawn.histogram / scale, x * scale + shift, p, gaussian)

    def planes(self, moments: int = MOMENTS) -> tuple[Plane, ...]:
        """From noise to data: samples of p, particles of ρ, one Gaussian. Nothing on a line."""
        cloud = self.result.particles
        if self.target.dimension < 2:
            return ()
        found = []
        for index in chosen_times(cloud.times, moments):
            t = float(cloud.times[index])
            clouds = [
                ("p", cloud.reference[index]),
                (f"ρ, noise {self.result.noise:g}", cloud.positions[index]),
                ("one Gaussian", self._gaussian_sample(t, DOTS)),
            ]
            found.append(self._plane(t, cloud.reference[index], clouds))
        return tuple(found)

    def plane_at_end(self, results: Sequence[FreeResult]) -> Plane | None:
        """At T: samples of p, particles of every result, one Gaussian. None on a line."""
        cloud = self.result.particles
        if self.target.dimension < 2:
            return None
        t = float(cloud.times[-1])
        clouds = [
            ("p", cloud.target),
            *((f"ρ, noise {one.noise:g}", one.particles.final) for one in results),
            ("one Gaussian", self._gaussian_sample(t, DOTS)),
        ]
        return self._plane(t, cloud.target, clouds)

    def _gaussian_sample(self, t: float, count: int) -> Array:
        mixture = gaussian_with_moments_of(self.posed.reference.mixture(t))
        return np.asarray(mixture.sample(count, np.random.default_rng(SEED)))

    def gaussian_pictures(self, count: int) -> Array:
        """Draws of the Gaussian with p(T)'s moments, (count, d), in the units of the data."""
        return self.result.particles.measured(self.gaussian.sample(count, np.random.default_rng(SEED)))

    def _plane(self, t: float, sample: Array, clouds: Sequence[tuple[str, Array]]) -> Plane:
        plane = self.axes[:, :2]
        marginal = self.posed.reference.mixture(t).marginal(plane)
        deviations = np.sqrt(np.diag(marginal.covariance))
        shown = [(label, finite_rows(points)[:DOTS] @ plane) for label, points in clouds]
        together = np.vstack([points for _, points in shown])
        limits = tuple(
            (
                float(np.clip(together[:, i].min() - 0.2 * s, mean - FARTHEST * s, mean - 2.5 * s)),
                float(np.clip(together[:, i].max() + 0.2 * s, mean + 2.5 * s, mean + FARTHEST * s)),
            )
            for i, (mean, s) in enumerate(zip(marginal.mean, deviations, strict=True))
        )
        low, high = np.array(limits).T
        dots = []
        for label, points in shown:
            inside = np.all((points >= low) & (points <= high), axis=1)
            dots.append(Dots(label, points[inside], int((~inside).sum())))
        levels = np.quantile(marginal.pdf(sample @ plane), [1.0 - share for share in HELD])
        lines = _contours(marginal, (limits[0], limits[1]), levels)
        return Plane(t, (limits[0], limits[1]), lines, tuple(dots))

    def chance(self) -> tuple[Array, Array]:
        """Times (n,), and what a standard deviation of the mollified distance of draws of p does not exceed there."""
        cloud = self.result.particles
        n = cloud.positions.shape[1]
        times = cloud.times[chosen_times(cloud.times, COURSE_TIMES)]
        bounds = []
        for t in times:
            mixture = self.posed.reference.mixture(float(t))
            bounds.append(Mollified.of(mixture, automatic_scales(mixture, n)[:1]).deviation_bounds(n)[0])
        return times, np.array(bounds)


def finite_rows(points: Array) -> Array:
    """Those points (n, d) of which every coordinate is a number."""
    return np.asarray(points[np.all(np.isfinite(points), axis=1)])


def _contours(
    mixture: FreeMixture, limits: tuple[tuple[float, float], tuple[float, float]], levels: Array
) -> tuple[tuple[Array, ...], ...]:
    from contourpy import contour_generator

    x, y = (np.linspace(low, high, CELLS) for low, high in limits)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    generator = contour_generator(x, y, mixture.pdf(points).reshape(CELLS, CELLS))
    return tuple(tuple(np.asarray(line) for line in generator.lines(float(level))) for level in levels)


@dataclass(frozen=True)
class Levels:
    """One distance over noise levels: what every seed reached, beside draws of p and the Gaussian."""

    title: str
    values: tuple[tuple[float, ...], ...]
    null_mean: float
    null_sd: float
    gaussian: float | None


def distances_of(levels: Sequence[Sequence[FreeResult]]) -> tuple[Levels, ...]:
    """Every distance that the first result has, over levels of one or more results; what is missing is not a number."""
    found = []
    for name, first in _first_with_distances(levels).items():
        values = tuple(
            tuple(
                result.tracking.distances[name].value if name in result.tracking.distances else float("nan")
                for result in level
            )
            for level in levels
        )
        found.append(Levels(free_title(name), values, first.null_mean, first.null_sd, first.baseline))
    return tuple(found)


def _first_with_distances(levels: Sequence[Sequence[FreeResult]]) -> Mapping[str, BesideNull]:
    return next((one.tracking.distances for level in levels for one in level if one.tracking.distances), {})
