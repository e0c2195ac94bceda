"""Coefficients of a density in a basis: c_j = ∫ q χ_j, by quadrature that resolves both."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from controlsde.densities import Density
from controlsde.densities.density import Array, Box
from controlsde.densities.formula_density import SUBINTERVALS, axis_rule
from controlsde.densities.subintervals import resolve
from controlsde.reference.bases import Basis
from controlsde.reference.correlated_flow import CorrelatedClosedForm
from controlsde.reference.flows import ClosedForm
from controlsde.reference.series import Coefficients, FactoredCoefficients, TensorCoefficients

MODES_PER_PANEL = 1.5  # half-waves on one subinterval of sixteen nodes: the quadrature error is below 1e-14
LEAST_PANELS = 64


def project(
    data: Density | ClosedForm | CorrelatedClosedForm, s: float, bases: tuple[Basis, ...], box: Box
) -> Coefficients:
    """The coefficients of the data, or of a closed form at time s.

    In 1-D by adaptive quadrature; for sums of products axis by axis; else on a tensor grid, whose accuracy
    for data with jumps is that of the grid.
    """
    pdf = data.pdf if isinstance(data, Density) else partial(data.density, s)
    if len(bases) == 1:
        return TensorCoefficients(_project_axis(lambda x: pdf(x[:, None])[None, :], bases[0], box[0])[0])
    if isinstance(data, ClosedForm):
        return _factored(data, s, bases, box)
    rules = [axis_rule(low, high, SUBINTERVALS[len(box)]) for low, high in box]
    return TensorCoefficients(tensor_coefficients(pdf, bases, rules))


def _project_axis(function: Callable[[Array], Array], basis: Basis, side: tuple[float, float]) -> Array:
    """∫ f_k χ_j for functions (n,) → (k, n): shape (k, K). The subintervals resolve the sum of the functions."""
    subintervals = max(LEAST_PANELS, math.ceil(basis.rates.size / MODES_PER_PANEL))
    rule = resolve(lambda x: np.sum(function(x), axis=0), *side, subintervals=subintervals)
    return basis.project(function(rule.nodes) * rule.weights, rule.nodes)


def _factored(form: ClosedForm, s: float, bases: tuple[Basis, ...], box: Box) -> FactoredCoefficients:
    logs = form.axis_logs(s)
    matrices = tuple(
        _project_axis(lambda x, axis=axis: np.exp(logs(axis, x)[0]), basis, side)  # type: ignore[misc]
        for axis, (basis, side) in enumerate(zip(bases, box, strict=True))
    )
    return FactoredCoefficients(form.products.weights, matrices)


def tensor_coefficients(
    pdf: Callable[[Array], Array], bases: tuple[Basis, ...], rules: list[tuple[Array, Array]]
) -> Array:
    """∫ pdf Π_i χ_ji by quadrature with nodes and weights for each axis, (K_1, …, K_d)."""
    points = np.stack(np.meshgrid(*(nodes for nodes, _ in rules), indexing="ij"), axis=-1)
    tensor: Array = pdf(points.reshape(-1, len(bases))).reshape(points.shape[:-1])
    for basis, (nodes, weights) in zip(bases, rules, strict=True):
        # Each turn projects the first axis and moves its modes to the end: d turns restore the order.
        rows = np.moveaxis(tensor, 0, -1)
        flat = basis.project(rows.reshape(-1, nodes.size) * weights, nodes)
        tensor = np.reshape(flat, (*rows.shape[:-1], -1))
    return tensor
