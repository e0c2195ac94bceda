"""Densities given by a formula, normalised on the box by quadrature.

In 1-D the quadrature is adaptive (see `subintervals`): jumps and kinks cost nothing in accuracy, and it begins on cells
in which enclosures rule out that a peak hides between the nodes. In 2-D and 3-D it is composite Gauss quadrature on a
fixed grid, exact to many digits for smooth formulas; for one with a jump it is first order, and `normalisation_error`
says how far two grids disagree. Everywhere `hidden` says how much enclosures cannot rule out between samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from controlsde.densities import dual_numbers
from controlsde.densities.density import Array, Box, as_points, line_points
from controlsde.densities.sampling import GridSampler
from controlsde.densities.subintervals import WEIGHTS, Subintervals, nodes_between, resolve_between
from controlsde.enclosures import Hidden, hidden
from controlsde.problem.formula import Formula as Expression

MAX_UNRESOLVED = 1e-6
SUBINTERVALS = {
    2: 32,
    3: 8,
}  # subintervals an axis of the grid in several dimensions, on which modes are projected, too


@dataclass(frozen=True)
class FormulaDensity:
    """expression / `mass` on `box`, 0 outside; build it with `from_expression`."""

    expression: Expression
    box: Box
    mass: float
    normalisation_error: float
    subintervals: Subintervals | None  # of the bare expression, in 1-D
    hidden: Hidden  # of the bare expression

    @classmethod
    def from_expression(cls, expression: Expression, box: Box) -> FormulaDensity:
        """Normalise a formula in the coordinates on a box, one (low, high) a dimension.

        Raises ValueError, with the cure, when it is negative or not finite somewhere, is zero everywhere,
        or has no finite integral.
        """
        if len(box) == 1:
            _check_finite(evaluate(expression, np.array(box[0])[:, None]))
            found = hidden(expression, box)
            subintervals = _line_panels(expression, found.edges)
            return cls(
                expression,
                box,
                _positive(float(np.sum(subintervals.masses))),
                subintervals.unresolved,
                subintervals,
                found,
            )
        fine, coarse = (_grid_mass(expression, box, SUBINTERVALS[len(box)] // k) for k in (1, 2))
        return cls(expression, box, _positive(fine), abs(fine - coarse) / fine, None, hidden(expression, box))

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return len(self.box)

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,); 0 outside the closed box."""
        points = as_points(x, self.dimension)
        values = evaluate(self.expression, self._clipped(points))
        return np.where(self._inside(points), values / self.mass, 0.0)

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d), from the side on which the point lies; 0 outside the box."""
        points = as_points(x, self.dimension)
        slope = dual_numbers.gradient(self.expression, self._clipped(points))
        return np.where(self._inside(points)[:, None], slope / self.mass, 0.0)

    def cdf(self, x: Array) -> Array:
        """The mass to the left of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tails(x)[0]

    def survival(self, x: Array) -> Array:
        """The mass to the right of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tails(x)[1]

    def _tails(self, x: Array) -> tuple[Array, Array]:
        points = line_points(x, self.dimension)
        if self.subintervals is None:
            raise ValueError("this formula density was built without subintervals: use from_expression")
        left, right = self.subintervals.integral_to(points)
        return left / self.mass, right / self.mass

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points from a fine grid (see `sampling` for the accuracy), shape (n, d)."""
        return self._sampler.sample(n, rng)

    @cached_property
    def _sampler(self) -> GridSampler:
        return GridSampler.of(self.pdf, self.box)

    def _inside(self, points: Array) -> np.ndarray:
        low, high = np.array(self.box).T
        return np.asarray(np.all((points >= low) & (points <= high), axis=1))

    def _clipped(self, points: Array) -> Array:
        low, high = np.array(self.box).T
        return np.clip(points, low, high)


def evaluate(expression: Expression, points: Array) -> Array:
    """The formula at points (n, d), shape (n,)."""
    coordinates = dict(zip(expression.variables, points.T, strict=True))
    return np.asarray(expression.numpy(**coordinates), dtype=np.float64)


def _line_panels(expression: Expression, edges: Array) -> Subintervals:
    _check_finite(evaluate(expression, edges[:, None]))
    subintervals = resolve_between(lambda x: evaluate(expression, x[:, None]), edges)
    _check_finite(evaluate(expression, subintervals.edges[:, None]))
    _check_sign(subintervals.values)
    if subintervals.unresolved > MAX_UNRESOLVED:
        raise ValueError("the formula has no finite integral on the box: bound it, for instance with min(…)")
    return subintervals


def _grid_mass(expression: Expression, box: Box, subintervals: int) -> float:
    points, weights = gauss_grid(box, subintervals)
    values = evaluate(expression, points)
    _check_finite(values)
    _check_sign(values)
    return float(weights @ values)


def gauss_grid(box: Box, subintervals: int) -> tuple[Array, Array]:
    """Points (n, d) and weights (n,) of tensor composite Gauss quadrature, in C order of the axes."""
    axes = [axis_rule(low, high, subintervals) for low, high in box]
    points = np.stack(np.meshgrid(*(nodes for nodes, _ in axes), indexing="ij"), axis=-1)
    weights = np.ones(1)
    for _, axis_weights in axes:
        weights = np.multiply.outer(weights, axis_weights).ravel()
    return points.reshape(-1, len(box)), weights


def axis_rule(low: float, high: float, subintervals: int) -> tuple[Array, Array]:
    """Nodes and weights, ascending, of composite Gauss quadrature on equal subintervals: each (16·subintervals,)."""
    return _composite(np.linspace(low, high, subintervals + 1))


def graded_rule(low: float, high: float, subintervals: int) -> tuple[Array, Array]:
    """The rule of `axis_rule` on subintervals that narrow towards both ends as the zeros of Legendre polynomials do."""
    angles = np.linspace(0.0, np.pi, subintervals + 1)
    return _composite(0.5 * (low + high) - 0.5 * (high - low) * np.cos(angles))


def _composite(edges: Array) -> tuple[Array, Array]:
    nodes = nodes_between(edges[:-1], edges[1:]).ravel()
    return nodes, np.multiply.outer(0.5 * np.diff(edges), WEIGHTS).ravel()


def _check_finite(values: Array) -> None:
    if not np.all(np.isfinite(values)):
        raise ValueError("the formula is not finite everywhere on the box: bound it, for instance with min(…)")


def _check_sign(values: Array) -> None:
    if np.min(values) < 0.0:
        raise ValueError(
            f"the formula is negative somewhere on the box (down to {np.min(values):.3g}): "
            "a density must not be; cut it with max(…, 0)"
        )


def _positive(mass: float) -> float:
    if not (np.isfinite(mass) and mass > 0.0):
        raise ValueError(f"the formula must have a finite, positive integral on the box (got {mass:g})")
    return mass
