"""What a user may write for a density: a mixture, samples, uniform, truncated Gaussian, or a formula.

In: a mapping with a `kind`. Out: a frozen model whose vectors are tuples with one number a dimension. Only
what one density can know by itself is checked here; whether it fits the box is for `checks`.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from controlsde.problem.formula import Formula as Expression
from controlsde.problem.values import (
    Location,
    MisfitError,
    Positive,
    PositiveVector,
    Section,
    Shorthand,
    Vector,
    is_number,
)

# So many that the resolved problem, written out, can still be read back.
MAX_COMPONENTS = 5_000
MAX_POINTS = 10_000

DENSITY_KINDS = ("mixture", "samples", "uniform", "truncated", "formula")


def variables(dimension: int) -> tuple[str, ...]:
    """Return the names of the coordinates: `x`, `y`, `z`, as many as dimensions."""
    return ("x", "y", "z")[:dimension]


def _number_as_text(value: object) -> object:
    return repr(value) if is_number(value) else value


FormulaText = Annotated[str, Field(min_length=1), BeforeValidator(_number_as_text)]


class Mixture(Section):
    """A mixture of Gaussians with diagonal covariances.

    `means` and `stds` hold one list of d numbers a component; a plain number stands for d = 1 in `means`
    and for the same standard deviation in every dimension in `stds`. `weights` default to equal ones.
    """

    kind: Literal["mixture"] = "mixture"
    weights: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MAX_COMPONENTS)] = Field(default=())
    means: Annotated[tuple[Vector, ...], Field(min_length=1, max_length=MAX_COMPONENTS)]
    stds: Annotated[tuple[PositiveVector, ...], Field(min_length=1, max_length=MAX_COMPONENTS)]

    @property
    def dimension(self) -> int:
        """The dimension of the means."""
        return len(self.means[0])

    @model_validator(mode="after")
    def _fill_and_check(self) -> Self:
        count, dimension = len(self.means), self.dimension
        weights = self.weights or (1 / count,) * count
        stds = tuple(std * dimension if len(std) == 1 else std for std in self.stds)
        self.__dict__.update(weights=weights, stds=stds)
        misfits: list[tuple[Location, str]] = [
            ((name,), f"must have one entry for each of the {count} means (got {len(given)})")
            for name, given in (("weights", weights), ("stds", stds))
            if len(given) != count
        ]
        for name, vectors in (("means", self.means), ("stds", stds)):
            misfits += [
                ((name, i), f"must have {dimension} number(s), as the first mean has (got {len(vector)})")
                for i, vector in enumerate(vectors)
                if len(vector) != dimension
            ]
        total = math.fsum(weights)
        if abs(total - 1) > 1e-9:
            misfits.append((("weights",), f"must sum to one (got {total:.10g})"))
        if misfits:
            raise MisfitError(misfits)
        return self


class Samples(Section):
    """Points, smoothed by a Gaussian of standard deviation `bandwidth` about each.

    Written with a CSV `file` and its `columns`, or with the `points` themselves. Loading a problem reads the
    file and puts its points in place of it. `standardize` subtracts each column's mean and divides by its
    standard deviation; the model then holds the standardised points, `standardize` false, and `shift` and
    `scale`, with which `point · scale + shift` is in the measured units again.
    """

    kind: Literal["samples"] = "samples"
    file: str | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=3)] | None = None
    bandwidth: PositiveVector
    points: Annotated[tuple[Vector, ...], Field(max_length=MAX_POINTS)] = ()
    standardize: Annotated[bool, Field(strict=True)] = False
    shift: Vector | None = None
    scale: PositiveVector | None = None

    @property
    def dimension(self) -> int:
        """The dimension of the points."""
        return len(self.points[0]) if self.points else len(self.columns or ())

    @model_validator(mode="after")
    def _fill_and_check(self) -> Self:
        misfits: list[tuple[Location, str]] = []
        if (self.file is None) == (not self.points):
            misfits.append(((), "needs either file, with columns, or points, and not both"))
        if self.file is not None and self.columns is None:
            misfits.append((("columns",), "is required with file: the names of the columns to read"))
        if misfits:
            raise MisfitError(misfits)
        dimension = self.dimension
        misfits += [
            (("points", i), f"must have {dimension} number(s), as the first point has (got {len(point)})")
            for i, point in enumerate(self.points)
            if len(point) != dimension
        ]
        if len(self.bandwidth) == 1:
            self.__dict__["bandwidth"] = self.bandwidth * dimension
        for name in ("columns", "bandwidth", "shift", "scale"):
            given = getattr(self, name)
            if given is not None and len(given) != dimension:
                misfits.append(((name,), f"must have {dimension} number(s), one a dimension"))
        if self.standardize and (self.shift is not None or self.scale is not None):
            misfits.append((("standardize",), "computes shift and scale: give either it or them"))
        if misfits:
            raise MisfitError(misfits)
        if self.standardize and self.points:
            self._standardize()
        return self

    def _standardize(self) -> None:
        count = len(self.points)
        columns = list(zip(*self.points, strict=True))
        shift = tuple(math.fsum(column) / count for column in columns)
        scale = tuple(
            math.sqrt(math.fsum((value - mean) ** 2 for value in column) / count)
            for column, mean in zip(columns, shift, strict=True)
        )
        if min(scale) == 0:
            raise MisfitError([(("standardize",), "needs points that differ in every column")])
        points = tuple(
            tuple((value - mean) / std for value, mean, std in zip(point, shift, scale, strict=True))
            for point in self.points
        )
        self.__dict__.update(points=points, shift=shift, scale=scale, standardize=False)


class Uniform(Section):
    """The uniform density between `low` and `high`; without them, on the whole box."""

    kind: Literal["uniform"] = "uniform"
    low: Vector | None = None
    high: Vector | None = None


class Truncated(Section):
    """A Gaussian with independent coordinates, cut to the box, or to `low` and `high` inside it."""

    kind: Literal["truncated"] = "truncated"
    mean: Vector
    std: PositiveVector
    low: Vector | None = None
    high: Vector | None = None

    @property
    def dimension(self) -> int:
        """The dimension of the mean."""
        return len(self.mean)

    @model_validator(mode="after")
    def _same_std_everywhere(self) -> Self:
        if len(self.std) == 1:
            self.__dict__["std"] = self.std * self.dimension
        if len(self.std) != self.dimension:
            raise MisfitError([(("std",), f"must have {self.dimension} number(s), as mean has")])
        return self


class Formula(Section):
    """A density proportional to a nonnegative formula of the point: `x`, `y`, `z`, or `x1`, `x2`, `x3`."""

    kind: Literal["formula"] = "formula"
    expression: FormulaText

    def compiled(self, dimension: int) -> Expression:
        """Return the formula, ready to evaluate at `x`, … as many coordinates as dimensions."""
        return Expression(self.expression, variables(dimension))


DensitySpec = Annotated[
    Mixture | Samples | Uniform | Truncated | Formula,
    Field(discriminator="kind"),
    Shorthand(("uniform",)),
]
