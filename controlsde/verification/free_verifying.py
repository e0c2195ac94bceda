"""One answer in free space, measured again: fresh particles, shorter steps, exact samples, likelihoods.

Comes in: a problem with its reference, a drift, and what a fit claims of itself. Goes out: distances beside their
nulls, and the certificate. It never sees which solver made the drift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.control.free_exact import FreeExactDrift
from controlsde.densities.free_mixture import FreeMixture, gaussian_with_moments_of
from controlsde.distances.marginals import compare_marginals
from controlsde.distances.nulls import NullTest
from controlsde.distances.particle_distances import Asked, Ruler, mollified_statistic
from controlsde.foundation.progress import Progress, Step
from controlsde.monte_carlo.cloud import Cloud, FreeExperiment
from controlsde.monte_carlo.philox import Stream
from controlsde.tracking.cloud import Cloud as Pairs
from controlsde.tracking.cloud import squared_distances
from controlsde.tracking.free_posed import FreePosed, given_scales
from controlsde.tracking.mollified import automatic_scales
from controlsde.verification.free_certificate import FreeMeasurements, judge
from controlsde.verification.free_evidence import BesideNull, FreeErrors, FreeEvidence, Particles, ScoreLoss
from controlsde.verification.likelihoods import likelihood_of
from controlsde.verification.score_loss import score_loss

Array = NDArray[np.float64]

KEPT = 500  # particles whose way is kept, and samples of p beside them
FINAL = 5000  # particles at T that are kept
PAIRS = 2000  # particles of which distances are told: some look at all pairs
COUPLED = 1024  # particles that are moved with whole and with half steps
OF_ENERGY = 512  # particles along whose ways the energy is measured
NULLS = 40  # sets of draws from p beside which a distance is told
MARGINAL = "marginal_w1"  # the distance that looks at lines
EXACT_STEP = 0.15  # of the exact drift's own run, which costs two scores a step: how far it may relax in one,
LEAST_STEPS = 32  # the fewest of them, and
FINEST, LOOKS = 1e-6, 400  # the moments, as shares of T that are left, at which its rate is looked at
BLOCK = 512  # rows of pairs at a time
MEASURING = 2**40  # the number of the generator of whatever is drawn here, beyond those of particles


def verify(
    posed: FreePosed,
    drift: Drift,
    loss: float | None,
    gradient_norm: float | None,
    progress: Progress,
    *,
    thorough: bool = True,
    known: Known | None = None,
) -> FreeEvidence:
    """Measure a drift's distances and judge them; without `thorough`, in short: distances, and nothing else.

    loss: ∫E|v − v*|² dt at the points of a fit, None where nothing was fitted. known: what an earlier verification of
    the same problem has found already.
    """
    experiment = experiment_of(posed, drift)
    rng = experiment.stream.generator(MEASURING)
    task = "verifying: particles"
    progress(Step(task, fraction=0.0))
    cloud = experiment.run(
        posed.problem.monte_carlo.particles, PAIRS, report=lambda share: progress(Step(task, fraction=share))
    )
    finite = np.all(np.isfinite(cloud.final), axis=1)
    lost = 1.0 - float(finite.mean())
    measured = FreeMeasurements(cloud.particles, cloud.device, cloud.backend, lost, gradient_norm=gradient_norm)
    target = posed.reference.data
    distances: dict[str, BesideNull] = {}
    if lost == 0.0:
        distances, exact = _distances(posed, experiment, cloud, rng, progress, known, thorough=thorough)
        measured = replace(measured, exact_drift=exact)
    progress(Step("verifying: half steps"))
    measured = replace(measured, step_change=_step_change(experiment, target))
    likelihood, score = None, None
    if thorough:
        progress(Step("verifying: score-matching loss"))
        found = score_loss(posed.reference, drift, posed.problem.noise, rng)
        score = ScoreLoss(found.total.value, found.total.standard_error, found.relative, loss)
        progress(Step("verifying: likelihood"))
        likelihood, change, agreement = likelihood_of(posed, drift, rng)
        measured = replace(measured, score_loss_ratio=score.ratio, likelihood_change=change, bound_agreement=agreement)
    progress(Step("verifying: energy"))
    energy = experiment.energy(OF_ENERGY)
    return FreeEvidence(
        FreeErrors(distances, likelihood, score),
        judge(measured),
        _particles(posed, cloud, rng, distances),
        energy.value,
        energy.standard_error,
    )


def experiment_of(posed: FreePosed, drift: Drift, repetition: int = 0) -> FreeExperiment:
    """The controlled process of a problem under a drift. repetition: another number draws other noise."""
    options = posed.problem.monte_carlo
    return FreeExperiment(
        drift=drift,
        diffusivity=posed.diffusivity,
        dimension=posed.problem.dimension,
        draw=posed.reference.sample_initial,
        steps_per_piece=options.steps_per_piece,
        scheme=options.scheme,
        stream=Stream.of(options.seed, posed.problem.name, posed.problem.noise, repetition),
        device=options.device,
    )


@dataclass(frozen=True, eq=False)
class Told:
    """What is known, as plain data: what draws of p show, distances of one Gaussian, how far the exact drift was."""

    nulls: Array
    gaussian: Mapping[str, float]
    exact: Mapping[float, float]


@dataclass(frozen=True, eq=False)
class Known:
    """What verifications of one problem share, at whatever noise: the ruler, and the distances of one Gaussian.

    exact: how many deviations the exact drift was from the null, by noise level.
    """

    ruler: Ruler
    gaussian: Mapping[str, float]
    exact: Mapping[float, float] = field(default_factory=dict)

    @property
    def told(self) -> Told:
        """All that takes long to find."""
        return Told(self.ruler.nulls, self.gaussian, self.exact)

    @staticmethod
    def again(posed: FreePosed, particles: int, rng: np.random.Generator, told: Told) -> Known:
        """What `of` found with such a generator, elsewhere."""
        ruler = Ruler.of(posed.reference.data, particles, rng, told.nulls, PAIRS, given_scales(posed.problem))
        return Known(ruler, told.gaussian, told.exact)

    @staticmethod
    def of(posed: FreePosed, particles: int, rng: np.random.Generator) -> Known:
        """For distances of so many particles."""
        target = posed.reference.data
        ruler = Ruler.of(target, particles, rng, NULLS, PAIRS, given_scales(posed.problem))
        draws = gaussian_with_moments_of(target).sample(particles, rng)
        tests = {**ruler.measure(draws), MARGINAL: compare_marginals(draws, target, rng, NULLS, PAIRS).test}
        return Known(ruler, {name: test.value for name, test in tests.items()})

    def with_exact(self, noise: float, deviations: float | None) -> Known:
        """The same, and how far the exact drift was from the null at this noise, where that was measured."""
        return self if deviations is None else replace(self, exact={**self.exact, noise: deviations})


def _distances(
    posed: FreePosed,
    experiment: FreeExperiment,
    cloud: Cloud,
    rng: np.random.Generator,
    progress: Progress,
    known: Known | None,
    *,
    thorough: bool,
) -> tuple[dict[str, BesideNull], float | None]:
    """Every distance beside its null and that of one Gaussian; how many deviations the exact drift is from the null."""
    ours = cloud.final[:PAIRS]
    if known is None or known.ruler.n != len(ours):
        progress(Step("verifying: what draws of p show"))
        known = Known.of(posed, len(ours), rng)
    noise = posed.problem.noise
    exact = known.exact.get(noise)
    if thorough and exact is None and posed.reference.start is None:
        progress(Step("verifying: the exact drift by the same way"))
        tests = _tests(posed, known, _by_exact_drift(posed, experiment, len(ours)), rng)
        exact = max(test.z for test in tests.values())
    progress(Step("verifying: distances"))
    distances = {
        name: BesideNull(test.value, test.null_mean, test.null_deviation, test.p, known.gaussian.get(name))
        for name, test in _tests(posed, known, ours, rng).items()
    }
    return distances, exact


def _tests(posed: FreePosed, known: Known, points: Array, rng: np.random.Generator) -> dict[str, NullTest]:
    """Every distance of particles (n, d), and that of their worst marginal."""
    marginal = compare_marginals(points, posed.reference.data, rng, NULLS, PAIRS).test
    return {**known.ruler.measure(points), MARGINAL: marginal}


def _by_exact_drift(posed: FreePosed, experiment: FreeExperiment, particles: int) -> Array:
    """Where the exact drift takes so many particles, in steps that it can follow: (n, d)."""
    drift = FreeExactDrift(posed.reference, posed.problem.noise, exact_steps(posed))
    return replace(experiment, drift=drift, steps_per_piece=1).run(particles, 0).final


def exact_steps(posed: FreePosed) -> Array:
    """Times from 0 to T in between which the exact drift changes little.

    About a component of least variance λ the drift is −(1 + η) D₀ x/(a²λ + v), a the factor on the data and v the
    variance of the noise at that moment: stiff where both are small, next to the data. Every step has the same share
    EXACT_STEP of ∫(1 + η) D₀/(a²λ + v) dt.
    """
    reference, noise = posed.reference, posed.problem.noise
    least = reference.data.least_variance
    left = np.concatenate([[0.0], np.geomspace(FINEST, 1.0, LOOKS)])
    times = reference.horizon * (1.0 - left[::-1])
    rates = np.array(
        [(1.0 + noise) * reference.diffusivity.at(t) / reference.narrowest(t, least) for t in times.tolist()]
    )
    passed = np.concatenate([[0.0], np.cumsum(0.5 * (rates[1:] + rates[:-1]) * np.diff(times))])
    count = max(LEAST_STEPS, math.ceil(passed[-1] / EXACT_STEP))
    edges = np.interp(np.linspace(0.0, passed[-1], count + 1), passed, times)
    edges[0], edges[-1] = 0.0, reference.horizon
    return edges


def _step_change(experiment: FreeExperiment, target: FreeMixture) -> float:
    """By how much of p the law moves when every step is halved along the same paths, in the mollified norm.

    √ of the unbiased statistic of pairs (i ≠ j) at the widest scale, over that of the half steps: the same Brownian
    paths make what is left to chance small.
    """
    whole = experiment.run(COUPLED, 0, along=1).final
    half = experiment.run(COUPLED, 0, halvings=1).final
    if not (np.all(np.isfinite(whole)) and np.all(np.isfinite(half))):
        return math.inf
    scale = automatic_scales(target, COUPLED)[0]
    own, both, other = (
        _mean_of_kernel(first, second, scale) for first, second in ((whole, whole), (whole, half), (half, half))
    )
    return math.sqrt(max(own - 2.0 * both + other, 0.0) / other)


def _mean_of_kernel(first: Array, second: Array, scale: float) -> float:
    """The mean over i ≠ j of exp(−|x_i − y_j|²/4g²)."""
    n, total = len(first), 0.0
    for begin in range(0, n, BLOCK):
        rows = slice(begin, begin + BLOCK)
        kernel = np.exp(-0.25 * squared_distances(first[rows], second) / scale**2)
        total += float(kernel.sum()) - float(np.trace(kernel[:, rows]))
    return total / (n * (n - 1))


def _particles(
    posed: FreePosed, cloud: Cloud, rng: np.random.Generator, distances: Mapping[str, BesideNull]
) -> Particles:
    """What is kept of the particles, beside exact samples of p, and the course of the mollified distance."""
    reference, data, scales = posed.reference, posed.data, given_scales(posed.problem)
    moments = list(zip(cloud.times.tolist(), cloud.positions, strict=True))
    course = [_mollified(reference.mixture(t), x, rng, scales) for t, x in moments[:-1]]
    last = distances["mollified"].value if "mollified" in distances else math.nan
    return Particles(
        times=cloud.times,
        positions=cloud.positions[:, :KEPT],
        reference=np.stack([reference.sample(t, KEPT, rng) for t, _ in moments]),
        final=cloud.final[:FINAL],
        curve=np.array([*course, last]),
        names=data.names,
        shift=data.shift,
        scale=data.scale,
        held_out=np.zeros((0, data.dimension)) if data.held_out is None else data.held_out,
    )


def _mollified(
    mixture: FreeMixture, points: Array, rng: np.random.Generator, scales: tuple[float, ...] | None
) -> float:
    """The mollified distance of particles (n, d) from p; nan where one is lost."""
    if not np.all(np.isfinite(points)):
        return math.nan
    return mollified_statistic(Asked(mixture, len(points), rng, scales))(Pairs(points))
