"""What is worth a word about data that can be used: kernels that memorise, twins, fewer rows than columns.

In: a problem whose parts fit. Out: sentences for `check`, each with the key it is about and what to do; no errors.
"""

from __future__ import annotations

from controlsde.problem.sample_specs import Gaussians, Samples, Table
from controlsde.problem.schema import Parts
from controlsde.problem.standardizing import constant_columns

MOST_FOR_KERNELS = (
    16  # dimensions, beyond which kernels of one width remember points rather than fill the space between
)
MANY_TWINS = 0.5  # of the points


def data_hints(problem: Parts) -> tuple[str, ...]:
    """Sentences about the data of a problem; none where there is nothing to say."""
    data = getattr(problem.reference, "data", None)
    if not isinstance(data, Table) or not data.points:
        return ()
    where, count, d = "reference.data", len(data.points), data.dimension
    found = []
    if isinstance(data, Samples) and d > MOST_FOR_KERNELS:
        found.append(
            f"{where}: round kernels of one width memorise points in {d} dimensions; fitted Gaussians tell more of "
            "rows that they have not seen: try kind: gaussians with components, and held_out: 0.2"
        )
    if isinstance(data, Samples) and count <= d:
        found.append(f"{where}: has {count} rows for {d} columns, fewer than one for each and one more; use fewer")
    twins = count - len(set(data.points))
    if isinstance(data, Samples) and data.dequantise is None and twins > MANY_TWINS * count:
        found.append(
            f"{where}: {twins} of {count} rows repeat another; of rounded data, dequantise by the unit of the rounding "
            "makes points of a density"
        )
    if isinstance(data, Gaussians) and data.dequantise is None:
        constant = constant_columns(data.points)
        if constant:
            found.append(
                f"{where}: {data.named(constant[0])} is the same everywhere, so that the ridge alone gives it a width; "
                "leave it out, or dequantise"
            )
    return tuple(found)
