"""The Ornstein–Uhlenbeck semigroup by quadrature, against closed forms."""

import numpy as np
import pytest

from controlsde.reference.semigroup import ornstein_uhlenbeck_semigroup

Y = np.linspace(-3.0, 3.0, 13)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("time", [0.0, 0.3, 2.0])
def test_hermite_polynomials_are_its_eigenfunctions(scale, time):
    hermite = np.polynomial.hermite_e.HermiteE([0, 0, 0, 1])  # He₃(y/σ) decays like e^{−3t}
    found = ornstein_uhlenbeck_semigroup(lambda x: hermite(x / scale), time, Y, scale)
    np.testing.assert_allclose(found, np.exp(-3 * time) * hermite(Y / scale), atol=1e-11)


def test_exponentials_and_the_property_of_a_semigroup():
    found = ornstein_uhlenbeck_semigroup(np.exp, 0.7, Y)
    np.testing.assert_allclose(found, np.exp(np.exp(-0.7) * Y + 0.5 * (1 - np.exp(-1.4))), rtol=1e-12)
    twice = ornstein_uhlenbeck_semigroup(
        lambda x: ornstein_uhlenbeck_semigroup(np.cos, 0.3, x.ravel()).reshape(x.shape), 0.4, Y
    )
    np.testing.assert_allclose(twice, ornstein_uhlenbeck_semigroup(np.cos, 0.7, Y), atol=1e-13)


def test_a_negative_time_or_scale_is_refused():
    with pytest.raises(ValueError, match="time must be"):
        ornstein_uhlenbeck_semigroup(np.cos, -1.0, Y)
    with pytest.raises(ValueError, match="scale > 0"):
        ornstein_uhlenbeck_semigroup(np.cos, 1.0, Y, 0.0)
