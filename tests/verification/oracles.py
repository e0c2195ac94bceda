"""Solvers of the tests' own, which share nothing with the package: Gaussians exactly, finite volumes by brute force."""

import math

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg


def gauss_product(m, v, n, u):
    """∫ N(x; m, v) N(x; n, u) dx, component by component of the product over the axes."""
    return np.prod(np.exp(-((m - n) ** 2) / (2 * (v + u))) / np.sqrt(2 * math.pi * (v + u)), axis=-1)


def mixture_distance(first, second):
    """‖Σ a_k N(m_k, v_k) − Σ b_k N(n_k, u_k)‖, each mixture as (weights (K,), means (K, d), variances (K, d))."""
    weights = np.concatenate([first[0], -second[0]])
    means, variances = (np.concatenate([first[k], second[k]]) for k in (1, 2))
    pairs = gauss_product(means[:, None], variances[:, None], means[None], variances[None])
    return math.sqrt(max(float(weights @ pairs @ weights), 0.0))


def mixture_norm(mixture):
    nothing = np.zeros((0, mixture[1].shape[1]))
    return mixture_distance(mixture, (np.zeros(0), nothing, nothing))


def ornstein_uhlenbeck(mixture, s, diffusivity=1.0):
    """The mixture after a time s of dX = −X ds + √(2D) dW."""
    weights, means, variances = mixture
    return weights, means * math.exp(-s), variances * math.exp(-2 * s) + diffusivity * -math.expm1(-2 * s)


def heat(mixture, s, diffusivity):
    """The mixture after a time s of dX = √(2D) dW."""
    weights, means, variances = mixture
    return weights, means, variances + 2 * diffusivity * s


def affine(mixture, rate, shift, diffusivity, time):
    """The mixture after a time of dX = (rate·X + shift) dt + √(2D) dW, for a rate other than 0."""
    weights, means, variances = mixture
    growth = math.exp(rate * time)
    return (
        weights,
        growth * means + shift * math.expm1(rate * time) / rate,
        growth**2 * variances + diffusivity * math.expm1(2 * rate * time) / rate,
    )


def finite_volumes(edges, drift, diffusivity, masses, time, walls, steps=400):
    """Masses (n,) of cells between edges (n + 1,) after a time, by Scharfetter and Gummel's fluxes and implicit steps.

    drift: v at the inner edges (n − 1,), exact where it is constant between two centres. Two-stage L-stable steps
    (Alexander's SDIRK of order 2).
    """
    centres = 0.5 * (edges[1:] + edges[:-1])
    width, gap = np.diff(edges), np.diff(centres)
    x = drift * gap / max(diffusivity, 1e-300)

    def bernoulli(z):
        small = np.abs(z) < 1e-8
        safe = np.where(small, 1.0, np.clip(z, -700, 700))
        return np.where(small, 1 - z / 2, safe / np.expm1(safe))

    onward, back = diffusivity / gap * bernoulli(-x), diffusivity / gap * bernoulli(x)
    if diffusivity == 0:
        onward, back = np.maximum(drift, 0), np.maximum(-drift, 0)
    n = len(width)
    left, right = np.arange(n - 1), np.arange(1, n)
    rows = np.concatenate([right, left, left, right])
    columns = np.concatenate([left, left, right, right])
    values = np.concatenate([onward / width[left], -onward / width[left], back / width[right], -back / width[right]])
    matrix = sp.csc_array(sp.coo_array((values, (rows, columns)), shape=(n, n)))
    if walls == "absorbing":
        loss = np.zeros(n)
        loss[0], loss[-1] = 2 * diffusivity / width[0] ** 2, 2 * diffusivity / width[-1] ** 2
        matrix = sp.csc_array(matrix - sp.diags_array(loss))
    h, g = time / steps, 1 - math.sqrt(0.5)
    solve = sparse_linalg.splu(sp.csc_array(sp.eye_array(n) - g * h * matrix)).solve
    for _ in range(steps):
        first = solve(matrix @ masses)
        masses = masses + h * ((1 - g) * first + g * solve(matrix @ (masses + (1 - g) * h * first)))
    return masses
