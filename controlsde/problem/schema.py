"""The parts of a problem file as frozen models: every key, its default and its limits.

In: a mapping, as YAML or Python gives it. Out: `Parts` in which every default is filled in. Whether they fit each other
is seen by `checks`, and `problem` puts both together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from controlsde.problem.density_specs import (
    Boxes,
    FormulaSpec,
    Funnel,
    Image,
    Mixture,
    Samples,
    StudentT,
    Truncated,
    Uniform,
)
from controlsde.problem.part_specs import (
    Bounds,
    ControlsSpec,
    Domain,
    DriftSpec,
    ExactDriftSpec,
    FormulaDriftSpec,
    MonteCarlo,
    NetworkSpec,
    ObjectiveSpec,
)
from controlsde.problem.reference_specs import (
    DensitySpec,
    Displacement,
    Foellmer,
    FormulaForward,
    Heat,
    Moser,
    OrnsteinUhlenbeck,
    ReferenceSpec,
    ReversedDiffusion,
    VarianceExploding,
    VariancePreserving,
)
from controlsde.problem.solver_specs import ContinuationLevel, MeshSpec, SolverOptions
from controlsde.problem.values import InconsistencyError, NonNegative, Section, Shorthand
from controlsde.registry import SOLVERS

__all__ = [
    "Bounds",
    "Boxes",
    "ContinuationLevel",
    "ControlsSpec",
    "DensitySpec",
    "Displacement",
    "Domain",
    "ExactDriftSpec",
    "Foellmer",
    "FormulaDriftSpec",
    "FormulaForward",
    "FormulaSpec",
    "Funnel",
    "Heat",
    "Image",
    "InconsistencyError",
    "MeshSpec",
    "Mixture",
    "MonteCarlo",
    "Moser",
    "NetworkSpec",
    "ObjectiveSpec",
    "OrnsteinUhlenbeck",
    "Parts",
    "ReversedDiffusion",
    "Samples",
    "SolverOptions",
    "StudentT",
    "Truncated",
    "Uniform",
    "VarianceExploding",
    "VariancePreserving",
]

if TYPE_CHECKING:
    SolverSpec = SolverOptions
else:
    SolverSpec = Annotated[
        Union[tuple(SOLVERS[name].options for name in SOLVERS)],  # noqa: UP007
        Field(discriminator="kind"),
        Shorthand(tuple(SOLVERS), default="shooting"),
    ]


class Parts(Section):
    """Everything that a problem file says, each part valid by itself."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "problem"
    description: Annotated[str, Field(max_length=10_000)] = ""
    domain: Domain
    reference: ReferenceSpec
    noise: Annotated[NonNegative, Field(le=1e6)] = 1.0
    network: NetworkSpec = NetworkSpec()
    controls: ControlsSpec = ControlsSpec()
    objective: ObjectiveSpec = ObjectiveSpec()
    mesh: MeshSpec = MeshSpec()
    solver: SolverSpec = SOLVERS["shooting"].options()
    monte_carlo: MonteCarlo = MonteCarlo()
    drift: DriftSpec | None = None

    @property
    def dimension(self) -> int:
        """The number d of space dimensions."""
        return len(self.domain.box)
