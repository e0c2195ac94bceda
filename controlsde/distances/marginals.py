"""One- and two-dimensional marginals of particles beside those of the mixture: the worst of many, and what is drawn.

Looked at are all coordinates and all principal axes of p. W₁ of each is told in deviations of p along it; of the worst
one the p-value is that of a maximum over as many, by draws whose own worst one is taken, whichever that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array
from controlsde.densities.free_mixture import FreeMixture
from controlsde.distances.lines import Lines
from controlsde.distances.nulls import NullTest, null_test

REACH = 4.0  # deviations of p on either side that a figure shows


@dataclass(frozen=True, eq=False)
class MarginalTest:
    """distances: W₁ of every coordinate, then of every principal axis, in deviations of p, (2d,); (1,) on a line.

    worst: place of the largest among them. test: of that largest one.
    """

    distances: Array
    worst: int
    test: NullTest


def compare_marginals(
    particles: Array, mixture: FreeMixture, rng: np.random.Generator, nulls: int = 30, most: int = 2000
) -> MarginalTest:
    """Of particles (n, d), of which at most `most` are looked at, beside `nulls` ≥ 2 draws of as many from p."""
    points = chosen(particles, most, rng)
    directions = looked_at(mixture)
    scale = np.sqrt(np.einsum("dl,de,el->l", directions, mixture.covariance, directions))[:, None]
    quantiles = Lines.of(mixture, directions).quantiles(len(points)).T

    def gaps(x: Array) -> Array:
        ordered = np.sort(directions.T @ x.T, axis=1)
        return np.asarray((np.abs(ordered - quantiles) / scale).mean(axis=1))

    ours = gaps(points)
    drawn = np.array([gaps(mixture.sample(len(points), rng)).max() for _ in range(nulls)])
    worst = int(np.argmax(ours))
    return MarginalTest(ours, worst, null_test(float(ours[worst]), drawn))


def principal_axes(mixture: FreeMixture) -> Array:
    """Eigenvectors of p's covariance as columns, that of the largest variance first, (d, d).

    Of the two signs of each, the one of which the largest entry is positive.
    """
    vectors = np.linalg.eigh(mixture.covariance)[1][:, ::-1]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(len(vectors))]
    return np.asarray(vectors * np.sign(largest))


def looked_at(mixture: FreeMixture) -> Array:
    """Coordinates, then principal axes, as columns (d, 2d); (1, 1) on a line."""
    if mixture.dimension == 1:
        return np.ones((1, 1))
    return np.hstack([np.eye(mixture.dimension), principal_axes(mixture)])


def chosen(particles: Array, most: int, rng: np.random.Generator) -> Array:
    """At most `most` of the particles, by chance."""
    if len(particles) <= most:
        return particles
    return np.asarray(particles[rng.choice(len(particles), size=most, replace=False)])


@dataclass(frozen=True, eq=False)
class MarginalCurve:
    """p's density at the middles of bins (bins,), and the particles' histogram as a density over edges (bins+1,)."""

    edges: Array
    density: Array
    histogram: Array


def marginal_curve(particles: Array, mixture: FreeMixture, direction: Array, bins: int = 80) -> MarginalCurve:
    """Along a unit vector (d,). What lies beyond the edges is left out of the histogram, and of its height."""
    mean, deviation = _along(mixture, direction)
    edges = np.linspace(mean - REACH * deviation, mean + REACH * deviation, bins + 1)
    middles = 0.5 * (edges[1:] + edges[:-1])
    counts = np.histogram(particles @ direction, edges)[0]
    density = mixture.marginal(direction[:, None]).pdf(middles[:, None])
    return MarginalCurve(edges, density, counts / (len(particles) * (edges[1] - edges[0])))


@dataclass(frozen=True, eq=False)
class PlanarMarginal:
    """p's density at the middles of cells, and the particles' histogram as a density, (cells, cells) each.

    first, second: edges (cells+1,) along the two directions, of which the first is that of the rows.
    """

    first: Array
    second: Array
    density: Array
    histogram: Array


def planar_marginal(particles: Array, mixture: FreeMixture, plane: Array, cells: int = 48) -> PlanarMarginal:
    """In the plane of two orthonormal columns (d, 2), such as the first two principal axes."""
    edges = []
    for direction in plane.T:
        mean, deviation = _along(mixture, direction)
        edges.append(np.linspace(mean - REACH * deviation, mean + REACH * deviation, cells + 1))
    middles = np.meshgrid(*(0.5 * (edge[1:] + edge[:-1]) for edge in edges), indexing="ij")
    density = mixture.marginal(plane).pdf(np.stack([m.ravel() for m in middles], axis=1)).reshape(cells, cells)
    counts = np.histogram2d(particles @ plane[:, 0], particles @ plane[:, 1], bins=edges)[0]
    area = (edges[0][1] - edges[0][0]) * (edges[1][1] - edges[1][0])
    return PlanarMarginal(edges[0], edges[1], density, counts / (len(particles) * area))


def _along(mixture: FreeMixture, direction: Array) -> tuple[float, float]:
    """Mean and standard deviation of p along a unit vector."""
    return float(mixture.mean @ direction), float(np.sqrt(direction @ mixture.covariance @ direction))
