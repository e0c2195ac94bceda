"""The distances between particles and a mixture that every result in free space tells, each beside its nulls.

Comes in: particles and the mixture. Goes out: a `NullTest` by name. Every null is as many exact draws as there are
particles, measured by the same statistic; the distances of pairs share what they have in common, `Cloud`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array, as_points
from controlsde.densities.free_mixture import FreeMixture
from controlsde.distances.bures import moments_against
from controlsde.distances.energy_distance import energy_distance, mean_distance
from controlsde.distances.marginals import chosen
from controlsde.distances.nulls import NullTest, null_test
from controlsde.distances.sliced_wasserstein import DIRECTIONS, random_directions, sliced_against
from controlsde.registry import PARTICLE_DISTANCES
from controlsde.tracking.cloud import Cloud
from controlsde.tracking.mollified import Mollified, automatic_scales

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
    """Every distance of each of several clouds (n, d) to the mixture, beside `nulls` ≥ 2 sets of draws from it.

    Of all clouds as many particles are looked at as the smallest has, so that they share their nulls; distances of
    pairs look at no more than `most`. scales: of the mollified norm, automatic where there are none. Raises ValueError
    for fewer than two particles, or for one that is not finite.
    """
    looked_at = {name: as_points(points, mixture.dimension) for name, points in clouds.items()}
    count = min(MANY * most, *(len(points) for points in looked_at.values()))
    if count < 2 or not all(np.all(np.isfinite(points)) for points in looked_at.values()):
        raise ValueError("distances need at least two particles, all of them finite")
    few = min(count, most)
    statistics = {}
    for name, distance in PARTICLE_DISTANCES.items():
        size = few if distance.of_pairs else count
        statistics[name] = distance.prepare(Asked(mixture, size, rng, scales))

    def values(points: Array) -> list[float]:
        whole = Cloud(points)
        part = whole if few == len(whole) else Cloud(points[:few])
        return [
            statistic(part if PARTICLE_DISTANCES[name].of_pairs else whole) for name, statistic in statistics.items()
        ]

    ours = {name: values(chosen(points, count, rng)) for name, points in looked_at.items()}
    drawn = np.array([values(mixture.sample(count, rng)) for _ in range(nulls)])
    return {
        name: {of: null_test(found[i], drawn[:, i]) for i, of in enumerate(statistics)} for name, found in ours.items()
    }


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
