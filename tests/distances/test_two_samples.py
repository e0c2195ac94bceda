"""Whether two sets of particles are of one law: the level that is said, and what is seen."""

import numpy as np

from controlsde.distances.two_samples import same_law

SEEDS, PERMUTATIONS = 400, 19


def p_values(shift):
    found = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        first, second = rng.standard_normal((30, 3)), rng.standard_normal((20, 3)) + shift
        found.append(same_law(first, second, rng, PERMUTATIONS).p)
    return np.array(found)


def test_the_test_has_the_level_that_it_says():
    found = p_values(0.0)
    for level in (0.05, 0.25, 0.5):
        spread = np.sqrt(level * (1.0 - level) / SEEDS)
        assert abs(np.mean(found <= level) - level) < 4.0 * spread


def test_it_sees_a_shift():
    assert np.mean(p_values(1.0) <= 0.05) > 0.8
