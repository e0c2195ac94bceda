"""Elementary functions of the compiled loops against exact values, and the same bits in vectors and alone."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from controlsde.monte_carlo.backends.numba import arithmetic


def loop(function):
    """A compiled loop that applies a function to every number."""

    @arithmetic.compiled
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return run


@arithmetic.inlined
def _sine(a):
    return arithmetic.half_turns(a)[0]


@arithmetic.inlined
def _cosine(a):
    return arithmetic.half_turns(a)[1]


def applied(function, x):
    out = np.empty_like(x)
    function(x, out)
    return out


def near(low, high, count, dtype):
    """Numbers spread evenly, and others close to zero."""
    rng = np.random.default_rng(0)
    wide = rng.uniform(low, high, count)
    return np.concatenate([wide, wide * 1e-3, wide * 1e-7, [low, high, 0.0]]).astype(dtype)


TANH, SOFTPLUS, LOG = loop(arithmetic.tanh), loop(arithmetic.softplus), loop(arithmetic.log)
EXACT = {
    "exp2": (loop(arithmetic.exp2), np.exp2, near(-30, 30, 100_000, np.float32)),
    "sine": (loop(_sine), lambda a: np.sin(np.pi * a), near(-1, 1, 100_000, np.float32)),
    "cosine": (loop(_cosine), lambda a: np.cos(np.pi * a), near(-1, 1, 100_000, np.float32)),
    "tanh": (TANH, np.tanh, near(-30, 30, 100_000, np.float32)),
    "tanh in double": (TANH, np.tanh, near(-30, 30, 100_000, np.float64)),
    "softplus": (SOFTPLUS, lambda z: np.logaddexp(0, z), near(-80, 80, 100_000, np.float32)),
    "softplus in double": (SOFTPLUS, lambda z: np.logaddexp(0, z), near(-80, 80, 100_000, np.float64)),
    "sin": (loop(arithmetic.sin), np.sin, near(-6, 6, 100_000, np.float32)),
}


@pytest.mark.parametrize("name", EXACT)
def test_values_are_exact_to_a_few_units_of_the_larger_of_the_value_and_one(name):
    function, exact, x = EXACT[name]
    expected = exact(x.astype(np.longdouble))
    error = np.abs(applied(function, x) - expected) / np.maximum(np.abs(expected), 1.0)
    assert error.max() < 4 * np.finfo(x.dtype).eps  # |sin z| and tanh z take an argument that is rounded itself


def test_the_logarithm_is_exact_to_two_units_at_every_magnitude():
    rng = np.random.default_rng(1)
    x = np.concatenate([2.0 ** rng.uniform(-40, 10, 200_000), 1 - 2.0 ** -rng.uniform(1, 24, 50_000)])
    x = x.astype(np.float32)
    x = x[x != 1]
    expected = np.log(x.astype(np.float64))
    assert (np.abs(applied(LOG, x) - expected) / np.abs(expected)).max() < 2 * np.finfo(np.float32).eps
    assert applied(LOG, np.ones(1, np.float32))[0] == 0.0


def test_tanh_saturates_and_softplus_is_linear_far_out():
    far = np.array([-1e30, 1e30, -200, 200], np.float32)
    assert_array_equal(applied(TANH, far), [-1, 1, -1, 1])
    assert_array_equal(applied(SOFTPLUS, far)[[1, 3]], far[[1, 3]])


@pytest.mark.parametrize("name", EXACT)
def test_a_number_alone_has_the_bits_that_it_has_in_a_vector(name):
    function, _, x = EXACT[name]
    x = x[:1000]
    alone = np.array([applied(function, x[i : i + 1])[0] for i in range(len(x))])
    assert_array_equal(alone, applied(function, x))
