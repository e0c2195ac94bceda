"""What a user may write for a density that is made of data: points, each smoothed, or Gaussians fitted to them.

In: a mapping with a `kind`, whose table has been read from its file, or stands in it. Out: a frozen model. Where all
that is to be done is to standardise, the model holds the standardised points. What is drawn at random, noise and a
split, is drawn again by `preparing` wherever it is needed, always the same: the model holds the points as measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from controlsde.foundation.extensions import found
from controlsde.problem.standardizing import standardized
from controlsde.problem.table_text import parsed
from controlsde.problem.values import (
    LARGEST,
    MOST_COORDINATES,
    SMALLEST,
    InconsistencyError,
    Location,
    MeasuredVector,
    NonNegative,
    PositiveVector,
    Section,
    Seed,
    UnitVector,
    Whole,
    Width,
    about,
    short,
)

if TYPE_CHECKING:
    from controlsde.problem.preparing import Prepared

MAX_POINTS = 10_000
MAX_NUMBERS = 640_000  # of a table: so many that the resolved problem, written out, can still be read back
MOST_GAUSSIANS = 256
AUTO = "auto"
ALL = "all"
BANDWIDTH = "controlsde.densities.bandwidth:leave_one_out"
PREPARING = "controlsde.problem.preparing:prepared"
SPREADING = "controlsde.problem.preparing:spreading"


def _rows(value: object) -> object:
    return parsed(value) if isinstance(value, str) else value


def _columns(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _standardize(value: object, valid: ValidatorFunctionWrapHandler) -> object:  # noqa: ARG001
    if value == "common" or isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, or common for one scale of all columns (got {short(value)})")


def _bandwidth(value: object, valid: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, str):
        if value != AUTO:
            raise ValueError(f"must be auto, a number, or one number a dimension (got {short(value)})")
        return value
    return valid(value)


_POSITIVE = {"type": "number", "minimum": SMALLEST, "maximum": LARGEST}

if TYPE_CHECKING:
    Bandwidth = tuple[float, ...]
    Standardize = bool | Literal["common"]
else:
    Bandwidth = Annotated[
        PositiveVector,
        WrapValidator(_bandwidth),
        PlainSerializer(lambda value: value),
        WithJsonSchema(
            {
                "anyOf": [
                    {"const": AUTO, "type": "string"},
                    _POSITIVE,
                    {"type": "array", "items": _POSITIVE, "minItems": 1, "maxItems": MOST_COORDINATES},
                ]
            }
        ),
    ]
    Standardize = Annotated[
        bool | str,
        WrapValidator(_standardize),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, {"const": "common", "type": "string"}]}),
    ]


class Table(Section):
    """Rows of numbers, from a file or as they stand, and what is done to them before a density is made of them."""

    kind: Annotated[str, about("What is made of the rows.", "samples")]
    file: Annotated[
        str | None,
        about(
            "A CSV file whose first line names its columns, also as `.csv.gz`, found relative to the problem file.",
            "data.csv",
            default="none: then `points` are needed",
        ),
    ] = None
    columns: Annotated[
        Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_COORDINATES)] | None,
        BeforeValidator(_columns, json_schema_input_type=tuple[str, ...] | str | None),
        about(
            "Which columns to read, one a dimension; `pixel_*` stands for all that begin so, `all` for every column.",
            ["length", "width"],
            ["pixel_*"],
            "all",
            default="required with `file`; in free space all",
        ),
    ] = None
    points: Annotated[
        tuple[MeasuredVector, ...],
        Field(max_length=MAX_POINTS),
        BeforeValidator(_rows, json_schema_input_type=tuple[MeasuredVector, ...] | str),
        about(
            "The points themselves, in place of a file; one number or one list a point, or a text of one line a point.",
            [[0.1], [0.4]],
            "0.1,0.2\n0.4,0.3\n",
            unit="length",
            default="none: then `file` is needed",
        ),
    ] = ()
    dequantise: Annotated[
        Width | None,
        about(
            "The unit to which the data are rounded: uniform noise of this width makes points of a density of them.",
            1,
            unit="that of the data",
            default="none",
        ),
    ] = None
    held_out: Annotated[
        Annotated[float, Field(strict=True, ge=0, lt=1)] | None,
        about(
            "The share of the rows, drawn at random, that has no part in the density and is told its likelihood; in "
            "free space.",
            0.2,
            unit="1",
            default="none",
        ),
    ] = None
    seed: Annotated[
        Seed | None, about("Of the noise, the split and the fit.", 1, unit="1", default="0, where one is needed")
    ] = None
    standardize: Annotated[
        Standardize,
        about(
            "Subtract each column's mean and divide by its standard deviation; with `common`, by one for all columns.",
            True,
            "common",
        ),
    ] = False
    shift: Annotated[
        MeasuredVector | None,
        about(
            "What was subtracted from each column, in the units of the data; `standardize` fills it in.",
            [3.758],
            unit="that of the data",
            default="none",
        ),
    ] = None
    scale: Annotated[
        UnitVector | None,
        about(
            "What each column was divided by; point · scale + shift is in the units of the data again.",
            [1.765],
            unit="that of the data",
            default="none",
        ),
    ] = None

    @property
    def dimension(self) -> int:
        """The dimension of the points."""
        return len(self.points[0]) if self.points else len(self.columns or ())

    @property
    def drawn(self) -> bool:
        """Whether noise or a split is drawn: then the points are as measured, and `prepared` makes the others."""
        return self.dequantise is not None or bool(self.held_out)

    @property
    def prepared(self) -> Prepared:
        """The rows that the density is made of, those held out, and their units. Raises InconsistencyError."""
        return cast("Prepared", found(PREPARING)(self))

    @property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """The points that the density is made of."""
        return tuple(map(tuple, self.prepared.rows.tolist())) if self.drawn else self.points

    def named(self, column: int) -> str:
        """A column in words: by its name where it has one."""
        return f"column {self.columns[column]!r}" if self.columns else f"coordinate {column + 1}"

    @model_validator(mode="after")
    def _fill_and_check(self) -> Self:
        inconsistencies: list[tuple[Location, str]] = []
        if (self.file is None) == (not self.points):
            inconsistencies.append(((), "needs either file, with columns, or points, and not both"))
        if self.file is not None and self.columns is None:
            inconsistencies.append((("columns",), "is required with file: the names of the columns to read, or all"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        dimension = self.dimension
        inconsistencies += [
            (("points", i), f"must have {dimension} number(s), as the first point has (got {len(point)})")
            for i, point in enumerate(self.points)
            if len(point) != dimension
        ]
        if len(self.points) * dimension > MAX_NUMBERS:
            most = MAX_NUMBERS // dimension
            told = f"hold {len(self.points)} points of {dimension} numbers, and {most} may be had; use a random subset"
            inconsistencies.append((("points",), told))
        inconsistencies += self._of_their_own(dimension)
        for name in ("columns", "shift", "scale"):
            given = getattr(self, name)
            if given is not None and self.points and len(given) != dimension:
                inconsistencies.append(((name,), f"must have {dimension} number(s), one a dimension"))
        if self.standardize and (self.shift is not None or self.scale is not None):
            inconsistencies.append((("standardize",), "computes shift and scale: give either it or them"))
        if inconsistencies:
            raise InconsistencyError(inconsistencies)
        if self.drawn or isinstance(self, Gaussians):
            self.fill_in(seed=self.seed or 0)
        if self.points:
            self._finish()
        return self

    def _of_their_own(self, dimension: int) -> list[tuple[Location, str]]:  # noqa: ARG002
        """What does not fit about the keys of one kind; fills in what follows from the dimension."""
        return []

    def _finish(self) -> None:
        """Standardise, where nothing is drawn at random."""
        if self.standardize and not self.drawn:
            points = found(SPREADING)(self.points, self)
            self.fill_in(**standardized(points, common=self.standardize == "common")._asdict(), standardize=False)
        elif self.drawn:
            _ = self.prepared  # what cannot be prepared is said here


class Samples(Table):
    """Points, smoothed by a Gaussian of standard deviation `bandwidth` about each.

    Written with a CSV `file` and its `columns`, or with the `points` themselves. Loading a problem reads the
    file and puts its points in place of it. `standardize` subtracts each column's mean and divides by its
    standard deviation, or by one of all columns (`common`); the model then holds the standardised points,
    `standardize` false, and `shift` and `scale`, with which `point · scale + shift` is in the measured units again.
    With `dequantise` or `held_out` it holds the measured ones: these are dequantised, split and standardised, in this
    order, where a density is made of them.
    `bandwidth: auto` is that of the greatest leave-one-out likelihood, a number in the model.
    """

    kind: Annotated[Literal["samples"], about("Points, each smoothed by a Gaussian.", "samples")] = "samples"
    bandwidth: Annotated[
        Bandwidth,
        about(
            "The standard deviation of the Gaussian about each point; of the data's with `standardize`; `auto`: at "
            "which each point is likeliest, given the others.",
            0.2,
            [0.2, 0.3],
            "auto",
            unit="length",
        ),
    ]

    def _of_their_own(self, dimension: int) -> list[tuple[Location, str]]:
        if _is_auto(self.bandwidth):
            return []
        if len(self.bandwidth) == 1:
            self.fill_in(bandwidth=self.bandwidth * dimension)
        fits = len(self.bandwidth) == dimension
        return [] if fits else [(("bandwidth",), f"must have {dimension} number(s), one a dimension")]

    def _finish(self) -> None:
        super()._finish()
        if _is_auto(self.bandwidth):
            rows = self.prepared.rows
            try:
                width = float(found(BANDWIDTH)(rows))
            except ValueError as error:
                raise InconsistencyError([(("bandwidth",), f"auto {error}")]) from None
            if not SMALLEST <= width <= LARGEST:
                told = f"auto finds {width:.3g}, and {SMALLEST:g} to {LARGEST:g} are allowed: add standardize: true"
                raise InconsistencyError([(("bandwidth",), told)])
            self.fill_in(bandwidth=(width,) * self.dimension)


def _is_auto(bandwidth: Any) -> bool:
    return bool(bandwidth == AUTO)


class Gaussians(Table):
    """Gaussians with full covariances, fitted to points by expectation and maximisation.

    Written as `samples` are, with `components` in place of the bandwidth. The model holds the points; the fit, from
    the table's `seed`, is the same wherever it is made.
    """

    kind: Annotated[
        Literal["gaussians"], about("Gaussians with full covariances, fitted to points; in free space.", "gaussians")
    ] = "gaussians"
    components: Annotated[
        Whole, Field(ge=1, le=MOST_GAUSSIANS), about("How many Gaussians K are fitted.", 10, unit="count")
    ]
    ridge: Annotated[
        NonNegative,
        Field(le=1),
        about(
            "What is added to the covariance of a component of average size, and more to that of a smaller one, so "
            "that none is singular.",
            0.001,
            unit="the mean variance of the columns",
        ),
    ] = 0.01

    def _finish(self) -> None:
        super()._finish()
        count = len(self.points) - int((self.held_out or 0.0) * len(self.points) + 1e-9)
        least = self.dimension + 1
        if count >= self.components * least:
            return
        many = self.components > 1
        told = (
            f"{self.components} full covariance{'s' * many} of {self.dimension} column(s) need"
            f"{'' if many else 's'} at least {self.components * least} rows (got {count})"
        )
        cure = f"use {count // least} at most" if count >= least else "use fewer columns, or kind: samples"
        raise InconsistencyError([(("components",), f"{told}: {cure}")])
