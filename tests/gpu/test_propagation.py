"""The state equation on a CUDA device: the same density and the same gradient as on the CPU."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.propagation import Propagator

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# Drifts are smooth: without diffusion, rough ones let densities grow until rounding is all that two devices share.
MESHES = {
    "line": (((-1.0, 1.0),), (6,), 6),
    "long-line": (((-1.0, 1.0),), (24,), 6),  # more unknowns than the CPU's dense solver takes
    "square": (((0.0, 1.0), (-1.0, 1.0)), (2, 3), 4),
}


def density_and_gradients(device, mesh, walls, diffusivity, stages):
    """Stage densities, and the gradients of a quadratic loss in the drift and in the initial density."""
    operator = Operator.build(Mesh.build(mesh[0], walls, mesh[1], mesh[2]), diffusivity)
    propagator = Propagator(operator, [0.1, 0.05, 0.2], 3, stages, device)
    rng = np.random.default_rng(3)
    waves = np.sin(operator.drift_points @ rng.normal(size=operator.drift_points.shape[1]) + np.arange(3)[:, None])
    drift = propagator.tensor(waves[..., None] * rng.normal(size=operator.drift_points.shape[1])).requires_grad_()
    initial = propagator.tensor(1 + 0.1 * rng.random(operator.size)).requires_grad_()
    found = propagator(drift, initial)
    weight = propagator.tensor(rng.random(found.shape))
    (weight * (found - 1) ** 2).sum().backward()
    assert found.device.type == device
    return [part.detach().cpu().numpy() for part in (found, drift.grad, initial.grad)]


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("diffusivity", [0.0, 0.3])
@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize("mesh", MESHES)
def test_density_and_gradients_on_cuda_equal_those_on_the_cpu(mesh, walls, diffusivity, stages):
    on_cpu = density_and_gradients("cpu", MESHES[mesh], walls, diffusivity, stages)
    on_cuda = density_and_gradients("cuda", MESHES[mesh], walls, diffusivity, stages)
    for expected, found in zip(on_cpu, on_cuda, strict=True):
        scale = np.abs(expected).max()
        assert 0 < scale < 1e3
        assert_allclose(found, expected, atol=1e-10 * scale, rtol=0)


def test_a_second_run_on_cuda_gives_the_same_numbers_to_rounding():
    first, second = (density_and_gradients("cuda", MESHES["line"], "reflecting", 0.3, 3) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert_allclose(one, other, atol=1e-13 * np.abs(one).max(), rtol=0)
