"""Whether two sets of particles are of one law: the mollified distance between them, beside permutations.

Comes in: particles of both. Goes out: a `NullTest`. Under the null all particles are exchangeable, and the statistic of
sets of the same sizes that are drawn from both together has the same law: the p-value has the level it says (Gretton,
Borgwardt, Rasch, Schölkopf & Smola 2012).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.distances.nulls import NullTest, null_test
from controlsde.tracking.cloud import squared_distances

Array = NDArray[np.float64]

PERMUTATIONS = 1999
MOST = 1500  # particles of each set that are looked at


def same_law(first: Array, second: Array, rng: np.random.Generator, permutations: int = PERMUTATIONS) -> NullTest:
    """Σ_ij s_i s_j k(x_i, x_j) over both sets, s = 1/n for the first (n, d) and −1/N for the second (N, d).

    k is a Gaussian kernel as wide as the root mean squared distance of two particles. At least two particles each.
    """
    sets = first[:MOST], second[:MOST]
    x = np.concatenate(sets)
    kernel = squared_distances(x, x)
    kernel = np.exp(kernel * (-1.0 / float(kernel.mean())))
    signs = np.repeat([1.0 / len(sets[0]), -1.0 / len(sets[1])], [len(one) for one in sets])
    drawn = np.stack([rng.permutation(signs) for _ in range(permutations)])
    nulls = np.einsum("bi,bi->b", drawn @ kernel, drawn)
    return null_test(float(signs @ kernel @ signs), nulls)
