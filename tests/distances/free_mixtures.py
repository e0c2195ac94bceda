"""Mixtures in free space that tests of distances share: one of each kind."""

import numpy as np

from controlsde.densities.free_mixture import ComponentMixture, KernelMixture


def standard_normal(d):
    return KernelMixture(np.ones(1), np.zeros((1, d)), 1.0)


def kernels(d, count=5, seed=1):
    rng = np.random.default_rng(seed)
    return KernelMixture(rng.dirichlet(np.ones(count)), rng.standard_normal((count, d)), 0.3)


def components(d, count=3, seed=2):
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((count, d, d)) / np.sqrt(d)
    covariances = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(d)
    return ComponentMixture.of_covariances(rng.dirichlet(np.ones(count)), rng.standard_normal((count, d)), covariances)


def diagonal(d, count=4, seed=3):
    rng = np.random.default_rng(seed)
    means, values = rng.standard_normal((count, d)), rng.uniform(0.2, 1.0, (count, d))
    return ComponentMixture(rng.dirichlet(np.ones(count)), means, values, None)


KINDS = (kernels, components, diagonal)
