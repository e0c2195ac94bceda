"""The objective on a device: value, gradient and Hessian as on the CPU, and the same optimum."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import controlsde as cs
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

SMALL = {"controls.pieces": 4, "mesh.elements": [6], "mesh.degree": 6}


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("norm", ["l2", "h-1"])
def test_value_gradient_and_hessian_are_those_of_the_cpu(noise, norm):
    tracking = Posed.of(cs.load_problem("two-bumps", set={**SMALL, "noise": noise, "objective.norm": norm})).on()
    weights = tracking.network.random_weights(4, np.random.default_rng(0))
    here, there = (Objective(tracking, device).evaluate(weights).expand() for device in ("cpu", "cuda"))
    assert_allclose(there.value, here.value, rtol=1e-11)
    for name in ("gradient", "gauss_newton", "hessian"):
        expected = getattr(here, name)
        assert_allclose(getattr(there, name), expected, atol=1e-9 * np.abs(expected).max())


def test_a_solve_on_the_device_finds_the_optimum_of_the_cpu():
    problem = {**SMALL, "solver.starts": 2, "solver.hops": 2}
    here = cs.solve(cs.load_problem("two-bumps", set=problem))
    there = cs.solve(cs.load_problem("two-bumps", set={**problem, "solver.device": "cuda"}))
    assert (here.device, there.device) == ("cpu", "cuda")
    assert there.objective == pytest.approx(here.objective, rel=1e-6)
