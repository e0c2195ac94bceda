"""The Laplacian of log p of a mixture, in closed form and O(Kd) a point: what the divergence of an exact drift needs.

Δ log p = Σ_k r_k (|S_k⁻¹(x − m_k)|² − tr S_k⁻¹) − |∇ log p|²,        r_k = w_k N(x; m_k, S_k)/p(x).
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from controlsde.densities.density import Array, as_points
from controlsde.densities.free_mixture import CHUNK, ComponentMixture, FreeMixture, KernelMixture


def score_and_laplacian(mixture: FreeMixture, x: Array) -> tuple[Array, Array]:
    """∇ log p (n, d) and Δ log p (n,) at points (n, d).

    Raises TypeError for a mixture of another kind than the two of `free_mixture`.
    """
    points = as_points(x, mixture.dimension)
    score, laplacian = np.empty(points.shape), np.empty(len(points))
    kernels = isinstance(mixture, KernelMixture)
    step = max(1, CHUNK // (len(mixture.weights) * (1 if kernels else mixture.dimension)))
    for begin in range(0, len(points), step):
        part = slice(begin, begin + step)
        if isinstance(mixture, KernelMixture):
            score[part], laplacian[part] = _of_kernels(mixture, points[part])
        elif isinstance(mixture, ComponentMixture):
            score[part], laplacian[part] = _of_components(mixture, points[part])
        else:
            raise TypeError(f"a {type(mixture).__name__} is not one of the mixtures of free space")
    return score, laplacian


def _of_kernels(mixture: KernelMixture, points: Array) -> tuple[Array, Array]:
    """Δ log p = (Σ_k r_k |m_k|² − |Σ_k r_k m_k|²)/v² − d/v: how far the kernels that a point may be of lie apart."""
    centre, v = mixture.mean, mixture.variance
    means, x = mixture.means - centre, points - centre
    squares = np.einsum("kd,kd->k", means, means)
    with np.errstate(divide="ignore"):
        constant = np.log(mixture.weights) - 0.5 * squares / v
    shares = softmax(x @ means.T / v + constant, axis=1)
    nearest = shares @ means
    apart = shares @ squares - np.einsum("nd,nd->n", nearest, nearest)
    return (nearest - x) / v, np.asarray(apart / v**2 - mixture.dimension / v)


def _of_components(mixture: ComponentMixture, points: Array) -> tuple[Array, Array]:
    y = points - mixture.means[:, None, :]  # (K, n, d)
    if mixture.vectors is not None:
        y = y @ mixture.vectors
    scaled = y / mixture.values[:, None, :]
    with np.errstate(divide="ignore"):
        constant = np.log(mixture.weights) - 0.5 * np.log(mixture.values).sum(axis=1)
    shares = softmax(constant[:, None] - 0.5 * np.einsum("knd,knd->kn", y, scaled), axis=0)
    bends = np.einsum("knd,knd->kn", scaled, scaled) - (1.0 / mixture.values).sum(axis=1)[:, None]
    scaled *= shares[:, :, None]
    turned = scaled if mixture.vectors is None else scaled @ mixture.vectors.transpose(0, 2, 1)
    score = -turned.sum(axis=0)
    return score, np.asarray(np.einsum("kn,kn->n", shares, bends) - np.einsum("nd,nd->n", score, score))
