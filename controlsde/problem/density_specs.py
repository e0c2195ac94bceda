"""What a user may write for a density: mixtures, data (in `sample_specs`), a picture, a named density, or a formula.

In: a mapping with a `kind`. Out: a frozen model whose vectors are tuples with one number a dimension. Only
what one density can know by itself is checked here; whether it fits the box is for `checks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from controlsde.foundation.extensions import found
from controlsde.problem.formula import Formula as Expression
from controlsde.problem.sample_specs import MAX_POINTS, Gaussians, Samples
from controlsde.problem.values import (
    MOST_COORDINATES,
    Box,
    Coordinate,
    Inconsistency,
    InconsistencyError,
    Location,
    Matrix,
    Positive,
    PositiveVector,
    Section,
    Vector,
    Whole,
    Width,
    about,
    is_number,
)

# So many that the resolved problem, written out, can still be read back.
MAX_COMPONENTS = 5_000
MAX_PRODUCT = 4096  # components of a product
MAX_PIXELS = 128  # an axis
ASYMMETRY = 1e-9  # of a covariance, as a share of the standard deviations: rounding in what was copied
SINGULAR = 1e-12  # of a variance: what the coordinates before it may leave

__all__ = ["MAX_POINTS", "Gaussians", "Samples"]  # of `sample_specs`, beside what is defined here

FREE = "controlsde.densities.free_data"
BUILDING, CHECKS = "controlsde.densities.density_building", "controlsde.problem.density_checks"


@dataclass(frozen=True)
class DensityKind:
    """A kind of density as the rest of the software sees it.

    spec: what a problem file may say of it; its `kind` is the name. building, checking: `module:function`, imported
    when they are first called: (spec, box) → `Density`, and (where, spec, box) → what does not fit the box.
    in_free_space, checking_free: the same without a box: (spec) → `FreeData`, and (where, spec) → what does not fit;
    None where there is no closed form, or nothing to check.
    """

    spec: type[Section]
    building: str
    checking: str | None = None
    in_free_space: str | None = None
    checking_free: str | None = None

    def build(self, spec: Section, box: Box) -> Any:
        """The `Density` on a box of one (low, high) a dimension. Raises ValueError, with the cure."""
        return found(self.building)(spec, box)

    def inconsistencies(self, where: Location, spec: Section, box: Box) -> Iterator[Inconsistency]:
        """What does not fit the box: places and sentences."""
        if self.checking is not None:
            yield from found(self.checking)(where, spec, box)

    def build_free(self, spec: Section) -> Any:
        """The `FreeData` of it, without a box. Raises ValueError, with the cure, also where it needs a box."""
        if self.in_free_space is None:
            raise ValueError(f"{self.spec.__name__} needs a box")
        return found(self.in_free_space)(spec)

    def free_inconsistencies(self, where: Location, spec: Section) -> Iterator[Inconsistency]:
        """What does not fit free space: places and sentences."""
        if self.checking_free is not None:
            yield from found(self.checking_free)(where, spec)


def variables(dimension: int) -> tuple[str, ...]:
    """Return the names of the coordinates: `x`, `y`, `z`, as many as dimensions."""
    return ("x", "y", "z")[:dimension]


def _number_as_text(value: object) -> object:
    return repr(value) if is_number(value) else value


FormulaText = Annotated[str, Field(min_length=1), BeforeValidator(_number_as_text)]


class Mixture(Section):
    """A mixture of Gaussians, with diagonal covariances by `stds` or with full ones by `covariances`.

    `means` and `stds` hold one list of d numbers a component; a plain number stands for d = 1 in `means`
    and for the same standard deviation in every dimension in `stds`. `covariances` hold one symmetric,
    positive definite d x d matrix a component. `weights` default to equal ones.
    """

    kind: Annotated[Literal["mixture"], about("Gaussians, mixed.", "mixture")] = "mixture"
    weights: Annotated[
        tuple[Positive, ...],
        Field(min_length=1, max_length=MAX_COMPONENTS),
        about("The share of each component; they sum to one.", [0.3, 0.7], unit="1", default="equal ones"),
    ] = Field(default=())
    means: Annotated[
        tuple[Vector, ...],
        Field(min_length=1, max_length=MAX_COMPONENTS),
        about(
            "One mean a component, with one number a dimension; in one dimension a plain number will do.",
            [-1.5, 1.5],
            [[-1, 0], [1, 0]],
            unit="length",
        ),
    ]
    stds: Annotated[
        Annotated[tuple[PositiveVector, ...], Field(min_length=1, max_length=MAX_COMPONENTS)] | None,
        about(
            "One standard deviation a component, or one for each coordinate.",
            [0.3, 0.5],
            [[0.3, 0.1], [0.2, 0.2]],
            unit="length",
            default="none: then `covariances` are needed",
        ),
    ] = None
    covariances: Annotated[
        Annotated[tuple[Matrix, ...], Field(min_length=1, max_length=MAX_COMPONENTS)] | None,
        about(
            "A full covariance matrix a component, in place of `stds`.",
            [[[0.3, 0.1], [0.1, 0.2]]],
            unit="length²",
            default="none: then `stds` are needed",
        ),
    ] = None

    @property
    def dimension(self) -> int:
        """The dimension of the means."""
        return len(self.means[0])

    @property
    def marginal_stds(self) -> tuple[tuple[float, ...], ...]:
        """The standard deviation of every coordinate of every component."""
        if self.stds is not None:
            return self.stds
        return tuple(tuple(math.sqrt(m[i][i]) for i in range(self.dimension)) for m in self.covariances or ())

    @model_validator(mode="after")
    def _fill_and_check(self) -> Self:
        if (self.stds is None) == (self.covariances is None):
            raise InconsistencyError([((), "needs either stds or covariances, and not both")])
        count, dimension = len(self.means), self.dimension
        weights = self.weights or (1 / count,) * count
        stds = self.stds and tuple(std * dimension if len(std) == 1 else std for std in self.stds)
        self.fill_in(weights=weights, stds=stds)
        given = {"weights": weights, "stds": stds, "covariances": self.covariances}
        inconsistencies: list[tuple[Location, str]] = [
            ((name,), f"must have one entry for each of the {count} means (got {len(entries)})")
            for name, entries in given.items()
            if entries is not None and len(entries) != count
        ]
        for name, vectors in (("means", self.means), ("stds", stds or ())):
            inconsistencies += [
                ((name, i), f"must have {dimension} number(s), as the first mean has (got {len(vector)})")
                for i, vector in enumerate(vectors)
                if len(vector) != dimension
            ]
        for i, matrix in enumerate(self.covariances or ()):
            fault = _covariance_fault(matrix, dimension)
            if fault:
                inconsistencies.append((("covariances", i), fault))
        total = math.fsum(weights)
        if abs(total - 1) > 1e-9:
            inconsistencies.append((("weights",), f"must sum to one (got {total:.10g})"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        return self


def _covariance_fault(matrix: tuple[tuple[float, ...], ...], dimension: int) -> str | None:
    """Say why a matrix is no d x d covariance; nothing when it is one."""
    if len(matrix) != dimension or any(len(row) != dimension for row in matrix):
        rows = ", ".join(str(len(row)) for row in matrix)
        return f"must be a {dimension} x {dimension} matrix, a list of rows (got rows of length {rows})"
    for i in range(dimension):
        if not matrix[i][i] > 0:
            return f"must be positive definite (the variance of coordinate {i + 1} is {matrix[i][i]:g})"
    for i in range(dimension):
        for j in range(i):
            scale = math.sqrt(matrix[i][i] * matrix[j][j])
            if abs(matrix[i][j] - matrix[j][i]) > ASYMMETRY * scale:
                pair = f"{matrix[j][i]:g} and {matrix[i][j]:g}"
                return f"must be symmetric (got {pair} for coordinates {j + 1} and {i + 1})"
    return _indefinite(matrix, dimension)


def _indefinite(matrix: tuple[tuple[float, ...], ...], dimension: int) -> str | None:
    """Eliminate coordinate after coordinate; what is left of a variance is that given the ones before."""
    left = [list(row) for row in matrix]
    for k in range(dimension):
        if not left[k][k] > SINGULAR * matrix[k][k]:
            given = f"given those before it, coordinate {k + 1} has variance {left[k][k]:.3g}"
            return f"must be positive definite ({given})"
        for i in range(k + 1, dimension):
            for j in range(k + 1, dimension):
                left[i][j] -= left[i][k] * left[k][j] / left[k][k]
    return None


class Product(Section):
    """Independent groups of coordinates, each with a mixture of its own: the product of their densities.

    `factors` are mixtures by `stds`; together, and as often as `copies` says, they give the coordinates in their
    order. A product of mixtures is a mixture of the products of their components: at most 4096 of them.
    """

    kind: Annotated[Literal["product"], about("Independent mixtures, one after another.", "product")] = "product"
    factors: Annotated[
        tuple[Mixture, ...],
        Field(min_length=1, max_length=MOST_COORDINATES),
        about(
            "The mixtures, by `stds`, of the coordinates in their order.",
            [{"means": [-1.5, 1.5], "stds": [0.3, 0.3]}],
            unit="length",
        ),
    ]
    copies: Annotated[
        Whole,
        Field(ge=1, le=MOST_COORDINATES),
        about("How often all the factors are repeated.", 8, unit="count"),
    ] = 1

    @property
    def dimension(self) -> int:
        """The number of coordinates of all factors."""
        return self.copies * sum(factor.dimension for factor in self.factors)

    @property
    def count(self) -> int:
        """The number of components of the whole."""
        return int(math.prod(len(factor.means) for factor in self.factors) ** self.copies)

    @model_validator(mode="after")
    def _check_factors(self) -> Self:
        inconsistencies: list[Inconsistency] = [
            (("factors", i), "must have stds: independent coordinates")
            for i, factor in enumerate(self.factors)
            if factor.stds is None
        ]
        if self.dimension > MOST_COORDINATES:
            told = f"and copies make {self.dimension} coordinates, and at most {MOST_COORDINATES} are allowed"
            inconsistencies.append((("factors",), told))
        elif self.count > MAX_PRODUCT:
            told = (
                f"make a mixture of {self.count} components, and at most {MAX_PRODUCT} are allowed; use fewer factors"
            )
            inconsistencies.append((("factors",), f"{told}, copies or components"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        return self

    @property
    def gaussians(self) -> list[tuple[float, tuple[float, ...], tuple[float, ...]]]:
        """Weight, mean and standard deviations of every component: the products of those of the factors."""
        whole: list[tuple[float, tuple[float, ...], tuple[float, ...]]] = [(1.0, (), ())]
        for factor in self.factors * self.copies:
            parts = list(zip(factor.weights, factor.means, factor.marginal_stds, strict=True))
            whole = [(w * v, m + n, s + t) for w, m, s in whole for v, n, t in parts]
        return whole


class Uniform(Section):
    """The uniform density between `low` and `high`; without them, on the whole box."""

    kind: Annotated[Literal["uniform"], about("Flat on the box, or between `low` and `high`.", "uniform")] = "uniform"
    low: Annotated[Vector | None, about("The lower corner.", 0.3, [0, 0], unit="length", default="that of the box")] = (
        None
    )
    high: Annotated[
        Vector | None, about("The upper corner.", 0.7, [1, 1], unit="length", default="that of the box")
    ] = None


Interval = tuple[Coordinate, Coordinate]


def _as_box(value: object) -> object:
    """A plain pair as a box, in one dimension."""
    return [value] if isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value)) else value


class Boxes(Section):
    """Flat on each of several boxes, and zero between them: a support in pieces.

    Each box holds one `[low, high]` a dimension; in one dimension a plain pair will do. `weights` are the shares of the
    boxes, and equal by default.
    """

    kind: Annotated[Literal["boxes"], about("Flat on each of several boxes, zero between them.", "boxes")] = "boxes"
    boxes: Annotated[
        tuple[Annotated[tuple[Interval, ...], BeforeValidator(_as_box)], ...],
        Field(min_length=1, max_length=MAX_COMPONENTS),
        about(
            "The boxes, one `[low, high]` a dimension; in one dimension a plain pair will do.",
            [[-1.5, -0.5], [0.5, 1.5]],
            unit="length",
        ),
    ]
    weights: Annotated[
        tuple[Positive, ...],
        Field(min_length=1, max_length=MAX_COMPONENTS),
        about("The share of each box; they sum to one.", [0.4, 0.6], unit="1", default="equal ones"),
    ] = Field(default=())

    @property
    def dimension(self) -> int:
        """The dimension of the first box."""
        return len(self.boxes[0])

    @model_validator(mode="after")
    def _fill_and_check(self) -> Self:
        count = len(self.boxes)
        self.fill_in(weights=self.weights or (1 / count,) * count)
        inconsistencies: list[tuple[Location, str]] = [
            (("boxes", i, axis), f"must be [low, high] with low < high (got [{low:g}, {high:g}])")
            for i, box in enumerate(self.boxes)
            for axis, (low, high) in enumerate(box)
            if not low < high
        ]
        inconsistencies += [
            (("boxes", i), f"must have {self.dimension} pair(s), as the first box has (got {len(box)})")
            for i, box in enumerate(self.boxes)
            if len(box) != self.dimension
        ]
        if len(self.weights) != count:
            inconsistencies.append(
                (("weights",), f"must have one entry for each of the {count} boxes (got {len(self.weights)})")
            )
        elif abs(math.fsum(self.weights) - 1) > 1e-9:
            inconsistencies.append((("weights",), f"must sum to one (got {math.fsum(self.weights):.10g})"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        return self


class Truncated(Section):
    """A Gaussian with independent coordinates, cut to the box, or to `low` and `high` inside it."""

    kind: Annotated[Literal["truncated"], about("A Gaussian cut to the box, or to `low` and `high`.", "truncated")] = (
        "truncated"
    )
    mean: Annotated[Vector, about("Of the Gaussian before it is cut.", 0, [0, 0], unit="length")]
    std: Annotated[PositiveVector, about("Of the Gaussian before it is cut.", 0.5, unit="length")]
    low: Annotated[
        Vector | None, about("The lower corner of what is left.", -1, unit="length", default="that of the box")
    ] = None
    high: Annotated[
        Vector | None, about("The upper corner of what is left.", 1, unit="length", default="that of the box")
    ] = None

    @property
    def dimension(self) -> int:
        """The dimension of the mean."""
        return len(self.mean)

    @model_validator(mode="after")
    def _same_std_everywhere(self) -> Self:
        if len(self.std) == 1:
            self.fill_in(std=self.std * self.dimension)
        if len(self.std) != self.dimension:
            raise InconsistencyError([(("std",), f"must have {self.dimension} number(s), as mean has")])
        return self


class FormulaSpec(Section):
    """A density proportional to a nonnegative formula of the point: `x`, `y`, `z`, or `x1`, `x2`, `x3`."""

    kind: Annotated[Literal["formula"], about("Proportional to a nonnegative formula.", "formula")] = "formula"
    expression: Annotated[
        FormulaText, about("The formula, in x, y and z; its integral need not be one.", "exp(3*cos(x))", unit="any")
    ]

    def compiled(self, dimension: int) -> Expression:
        """Return the formula, ready to evaluate at `x`, … as many coordinates as dimensions."""
        return Expression(self.expression, variables(dimension))


class StudentT(Section):
    """Student's t with location and scale, heavier in the tails than any Gaussian, conditioned on the box.

    In several dimensions the multivariate t: with r² = Σ ((x_i - location_i) / scale_i)²,

        p ∝ (1 + r²/ν)^(-(ν + d)/2),   ν the degrees of freedom.

    Its coordinates are uncorrelated and not independent: far points are far in all of them.
    """

    kind: Annotated[Literal["student-t"], about("Student's t on the box, heavy in the tails.", "student-t")] = (
        "student-t"
    )
    degrees_of_freedom: Annotated[Width, Field(le=1e6), about("ν: the fewer, the heavier the tails.", 3, unit="1")]
    location: Annotated[Vector, about("The centre.", 0, unit="length")]
    scale: Annotated[
        PositiveVector, about("The width, one number or one a coordinate; no standard deviation.", 0.5, unit="length")
    ]

    @property
    def dimension(self) -> int:
        """The dimension of the location."""
        return len(self.location)

    @model_validator(mode="after")
    def _same_scale_everywhere(self) -> Self:
        if len(self.scale) == 1:
            self.fill_in(scale=self.scale * self.dimension)
        if len(self.scale) != self.dimension:
            raise InconsistencyError([(("scale",), f"must have {self.dimension} number(s), as location has")])
        return self

    def compiled(self, dimension: int) -> Expression:
        """Return the density, up to a factor, as a formula of the coordinates: 1 at the location."""
        names = variables(dimension)
        squares = (
            f"(({name} - ({m!r})) / {s!r})**2" for name, m, s in zip(names, self.location, self.scale, strict=True)
        )
        nu = self.degrees_of_freedom
        return Expression(f"(1 + ({' + '.join(squares)}) / {nu!r})**(-{0.5 * (nu + dimension)!r})", names)


class Funnel(Section):
    """Neal's funnel, conditioned on the box: x ~ N(0, std²), and given x every other coordinate N(0, eˣ).

    Neal's own has `std: 3`; the neck, at x = -k·std, is e^(-k·std/2) wide.
    """

    kind: Annotated[Literal["funnel"], about("Neal's funnel on the box, in two or three dimensions.", "funnel")] = (
        "funnel"
    )
    std: Annotated[
        Width,
        Field(le=100),
        about("The standard deviation of x; Neal's own is 3, whose neck no mesh here resolves.", 1, unit="length"),
    ]

    def compiled(self, dimension: int) -> Expression:
        """Return the density, up to a factor, as a formula of the coordinates: 1 at the origin."""
        names = variables(dimension)
        squares = " + ".join(f"{name}**2" for name in names[1:])
        log_density = f"-x**2 / {2 * self.std**2!r} - {0.5 * (dimension - 1)!r}*x - ({squares}) * exp(-x) / 2"
        return Expression(f"exp({log_density})", names)


Grey = Annotated[float, Field(strict=True, ge=0, le=255)]
GreyRow = Annotated[tuple[Grey, ...], Field(min_length=1, max_length=MAX_PIXELS)]


class Image(Section):
    """A grey picture as a density in two dimensions, stretched over the box, its first row at the top.

    Every pixel is spread evenly over its rectangle, with mass in proportion to how `dark` or `bright` it is
    (`mass`), then blurred by a Gaussian of standard deviation `bandwidth` that the walls reflect. `floor` is
    the share of the mass that is uniform on the box, which keeps the density positive.

    Written with a `file`, or with the `pixels` themselves: rows of greys from 0, black, to 255, white.
    Loading a problem reads the file and puts its pixels in place of it.
    """

    kind: Annotated[Literal["image"], about("A grey picture, stretched over a box of two dimensions.", "image")] = (
        "image"
    )
    file: Annotated[
        str | None,
        about(
            "A picture that Pillow reads, found relative to the problem file.",
            "smiley.png",
            default="none: then `pixels` are needed",
        ),
    ] = None
    pixels: Annotated[
        Annotated[tuple[GreyRow, ...], Field(min_length=1, max_length=MAX_PIXELS)] | None,
        about(
            "Rows of greys from 0, black, to 255, white, in place of a file; the first row is at the top.",
            [[0, 255], [255, 0]],
            unit="grey",
            default="none: then `file` is needed",
        ),
    ] = None
    mass: Annotated[Literal["dark", "bright"], about("Where the mass goes.", "bright")] = "dark"
    bandwidth: Annotated[
        PositiveVector,
        about(
            "The standard deviation by which the picture is blurred, or one for each coordinate.", 0.2, unit="length"
        ),
    ]
    floor: Annotated[
        float,
        Field(strict=True, ge=0, lt=1),
        about("The share of the mass that is uniform on the box.", 0.05, unit="1"),
    ] = 0.01

    @model_validator(mode="after")
    def _check_pixels(self) -> Self:
        if (self.file is None) == (self.pixels is None):
            raise InconsistencyError([((), "needs either file or pixels, and not both")])
        if len(self.bandwidth) == 1:
            self.fill_in(bandwidth=self.bandwidth * 2)
        inconsistencies: list[tuple[Location, str]] = []
        if len(self.bandwidth) != 2:
            inconsistencies.append((("bandwidth",), "must have 2 numbers, one a dimension"))
        rows = self.pixels or ((0.0, 1.0),)
        inconsistencies += [
            (("pixels", i), f"must have {len(rows[0])} number(s), as the first row has (got {len(row)})")
            for i, row in enumerate(rows)
            if len(row) != len(rows[0])
        ]
        if not inconsistencies and len({grey for row in rows for grey in row}) == 1:
            inconsistencies.append((("pixels",), "are all of the same grey: a picture needs two; or use kind: uniform"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        return self


MIXTURE = DensityKind(Mixture, f"{BUILDING}:mixture", f"{CHECKS}:gaussians", f"{FREE}:mixture")
PRODUCT = DensityKind(Product, f"{BUILDING}:product", f"{CHECKS}:gaussians", f"{FREE}:product")
SAMPLES = DensityKind(
    Samples, f"{BUILDING}:from_samples", f"{CHECKS}:samples", f"{FREE}:samples", f"{CHECKS}:samples_in_free_space"
)
GAUSSIANS = DensityKind(
    Gaussians, f"{BUILDING}:fitted", f"{CHECKS}:fitted", f"{FREE}:gaussians", f"{CHECKS}:samples_in_free_space"
)
UNIFORM = DensityKind(Uniform, f"{BUILDING}:uniform", f"{CHECKS}:limits")
BOXES = DensityKind(Boxes, f"{BUILDING}:boxes", f"{CHECKS}:boxes")
TRUNCATED = DensityKind(Truncated, f"{BUILDING}:truncated", f"{CHECKS}:truncated")
STUDENT_T = DensityKind(StudentT, f"{BUILDING}:named", f"{CHECKS}:student_t")
FUNNEL = DensityKind(Funnel, f"{BUILDING}:named", f"{CHECKS}:funnel")
IMAGE = DensityKind(Image, f"{BUILDING}:picture", f"{CHECKS}:image")
FORMULA = DensityKind(FormulaSpec, f"{BUILDING}:formula", f"{CHECKS}:formula")
