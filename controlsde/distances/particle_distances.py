"""The distances between particles and a mixture that every result in free space tells, each beside its nulls.

Comes in: particles and the mixture. Goes out: a `NullTest` by name. Every null is as many exact draws as there are
particles, measured by the same statistic; the distances of pairs share what they have in common, `Cloud`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from controlsde.densities.density import Array, as_points
from controlsde.densities.free_mixture import FreeMixture
from controlsde.distances.bures import moments_against
from controlsde.distances.energy_distance import energy_distance, mean_distance
from controlsde.distances.marginals import chosen
from controlsde.distances.nulls import NullTest, null_test
from controlsde.distances.sliced_wasserstein import DIRECTIONS, random_directions, sliced_against
from controlsde.foundation.threads import side_by_side
from controlsde.registry import PARTICLE_DISTANCES
from controlsde.tracking.cloud import Cloud
from controlsde.tracking.mollified import Mollified, automatic_scales

FEW = "distances need at least two particles, all of them finite"
MANY = 10  # times `most`: particles that are looked at where the cost grows with their number alone


@dataclass(frozen=True, eq=False)
class Asked:
    """n particles are to be told from a mixture. rng: of what is drawn; scales: of the mollified norm, if given."""

    mixture: FreeMixture
    n: int
    rng: np.random.Generator
    scales: Sequence[float] | None = None


@dataclass(frozen=True)
class ParticleDistance:
    """title: in tables. prepare: what takes particles to the number, for what is `Asked`.

    of_pairs: whether the cost grows with n², so that only a part of the particles is looked at.
    """

    title: str
    of_pairs: bool
    prepare: Callable[[Asked], Callable[[Cloud], float]]


def measure(
    particles: Array, mixture: FreeMixture, rng: np.random.Generator, nulls: int = 30, most: int = 2000
) -> dict[str, NullTest]:
    """Every distance of particles (n, d) to the mixture; see `measure_all`."""
    return measure_all({"particles": particles}, mixture, rng, nulls, most)["particles"]


def measure_all(
    clouds: Mapping[str, Array],
    mixture: FreeMixture,
    rng: np.random.Generator,
    nulls: int = 30,
    most: int = 2000,
    scales: Sequence[float] | None = None,
) -> dict[str, dict[str, NullTest]]:
    """Every distance of each of several clouds (n, d) to the mixture, beside the nulls of one `Ruler`.

    Of all clouds as many particles are looked at as the smallest has. Raises ValueError for fewer than two particles,
    or for one that is not finite.
    """
    count = min(MANY * most, *(len(points) for points in clouds.values()))
    if count < 2:
        raise ValueError(FEW)
    ruler = Ruler.of(mixture, count, rng, nulls, most, scales)
    return {name: ruler.measure(chosen(points, count, rng)) for name, points in clouds.items()}


@dataclass(frozen=True, eq=False)
class Ruler:
    """Every distance to one mixture for n particles, with what sets of as many draws from it show: made once.

    few: how many of them distances of pairs look at. nulls: (sets, distances), in the order of `statistics`.
    """

    mixture: FreeMixture
    n: int
    few: int
    statistics: Mapping[str, Callable[[Cloud], float]]
    nulls: Array

    @staticmethod
    def of(
        mixture: FreeMixture,
        n: int,
        rng: np.random.Generator,
        nulls: int | Array = 30,
        most: int = 2000,
        scales: Sequence[float] | None = None,
    ) -> Ruler:
        """For n ≥ 2 particles and `nulls` ≥ 2 sets. scales: of the mollified norm, automatic where there are none.

        nulls: the sets themselves, where a ruler that was made alike, of the same generator, has them.
        """
        few = min(n, most)
        statistics = {
            name: distance.prepare(Asked(mixture, few if distance.of_pairs else n, rng, scales))
            for name, distance in PARTICLE_DISTANCES.items()
        }
        if not isinstance(nulls, int):
            return Ruler(mixture, n, few, statistics, nulls)
        ruler = Ruler(mixture, n, few, statistics, np.zeros((0, len(statistics))))
        seeds = rng.integers(2**63, size=nulls).tolist()
        sets = side_by_side(lambda seed: ruler.values(mixture.sample(n, np.random.default_rng(seed))), seeds)
        return replace(ruler, nulls=np.array(sets))

    def measure(self, points: Array) -> dict[str, NullTest]:
        """Every distance of n particles (n, d). Raises ValueError where one is not finite, or there are not n."""
        particles = as_points(points, self.mixture.dimension)
        if not np.all(np.isfinite(particles)):
            raise ValueError(FEW)
        if len(particles) != self.n:
            raise ValueError(f"this ruler is for {self.n} particles (got {len(particles)})")
        ours = self.values(particles)
        return {name: null_test(ours[i], self.nulls[:, i]) for i, name in enumerate(self.statistics)}

    def values(self, points: Array) -> list[float]:
        """The distances alone, in the order of `statistics`."""
        whole = Cloud(points)
        part = whole if self.few == len(whole) else Cloud(points[: self.few])
        return [
            statistic(part if PARTICLE_DISTANCES[name].of_pairs else whole)
            for name, statistic in self.statistics.items()
        ]


def mollified_statistic(asked: Asked) -> Callable[[Cloud], float]:
    """Σ_g T_g/sd_g ÷ Σ_g 1/sd_g: the objective of particles, as a share of the density's norm."""
    scales = asked.scales or automatic_scales(asked.mixture, asked.n)
    statistic = Mollified.of(asked.mixture, scales)
    weights = 1.0 / statistic.null_deviations(asked.n, asked.rng)
    weights /= weights.sum()
    return lambda cloud: float(weights @ statistic.values(cloud))


def _energy(asked: Asked) -> Callable[[Cloud], float]:
    draws = Cloud(asked.mixture.sample(asked.n, asked.rng))
    within = mean_distance(draws)
    return lambda cloud: energy_distance(cloud, draws, within)


def _sliced(asked: Asked) -> Callable[[Cloud], float]:
    directions = random_directions(asked.mixture.dimension, DIRECTIONS, asked.rng)
    distance = sliced_against(asked.mixture, asked.n, directions)
    return lambda cloud: distance(cloud.points)


def _bures(asked: Asked) -> Callable[[Cloud], float]:
    distance = moments_against(asked.mixture.mean, asked.mixture.covariance)
    return lambda cloud: distance(cloud.points)


MOLLIFIED = ParticleDistance("mollified L², relative", of_pairs=True, prepare=mollified_statistic)
ENERGY_DISTANCE = ParticleDistance("energy distance", of_pairs=True, prepare=_energy)
SLICED_WASSERSTEIN_2 = ParticleDistance("sliced Wasserstein-2", of_pairs=False, prepare=_sliced)
BURES_WASSERSTEIN_2 = ParticleDistance("Wasserstein-2 of moments", of_pairs=False, prepare=_bures)
