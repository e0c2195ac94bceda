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
    Gaussians,
    Image,
    Mixture,
    Product,
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
from controlsde.problem.values import InconsistencyError, NonNegative, Section, Shorthand, about
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
    "Gaussians",
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
    "Product",
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

    name: Annotated[
        str,
        Field(min_length=1, max_length=100),
        about(
            "What the problem is called, and the folder of its results; usable as a file name.",
            "two-bumps",
            default="the file's stem",
        ),
    ] = "problem"
    description: Annotated[
        str,
        Field(max_length=10_000),
        about("Free text, for people.", "Two Gaussian bumps, reversed Ornstein–Uhlenbeck process"),
    ] = ""
    domain: Annotated[
        Domain,
        about(
            "Where densities live: a box, and what its walls do; or free space, of any dimension.",
            {"box": [[-5, 5]]},
            {"space": "free"},
        ),
    ]
    reference: Annotated[
        ReferenceSpec,
        about(
            "The trajectory of densities that is to be tracked, told by its kind.",
            {
                "kind": "reversed-diffusion",
                "horizon": 1.5,
                "data": {"kind": "mixture", "means": [-1.5, 1.5], "stds": [0.3, 0.3]},
            },
        ),
    ]
    noise: Annotated[
        NonNegative,
        Field(le=1e6),
        about(
            "The noise level η; the diffusivity is η·D₀. 0 is a deterministic flow, 1 the reversed SDE.",
            0,
            0.5,
            unit="1",
        ),
    ] = 1.0
    network: Annotated[NetworkSpec, about("The drift A σ(Wx + b): how wide, and with which σ.", {"width": 2})] = (
        NetworkSpec()
    )
    controls: Annotated[
        ControlsSpec,
        about(
            "The pieces of time on which the weights are constant, and how large weights may be.",
            {"pieces": 8, "lengths": "free"},
        ),
    ] = ControlsSpec()
    objective: Annotated[
        ObjectiveSpec,
        about("What is minimised: the tracking error, and the price of the weights.", {"running": 0, "terminal": 1}),
    ] = ObjectiveSpec()
    mesh: Annotated[MeshSpec, about("The discretisation in space and time.", {"elements": [8], "degree": 8})] = (
        MeshSpec()
    )
    solver: Annotated[
        SolverSpec,
        about(
            "Which solver, with its options; the name alone is enough.",
            "collocation",
            {"kind": "shooting", "starts": 4},
        ),
    ] = SOLVERS["shooting"].options()
    monte_carlo: Annotated[
        MonteCarlo, about("The particles that measure the answer again.", {"particles": 1000000})
    ] = MonteCarlo()
    drift: Annotated[
        DriftSpec | None,
        about(
            "A drift that is given, for `evaluate`, in place of a network.",
            "exact",
            {"kind": "formula", "expressions": ["-x"]},
            default="none: the drift is a network's",
        ),
    ] = None

    @property
    def dimension(self) -> int:
        """The number d of space dimensions."""
        return len(self.domain.box) or int(self.domain.dimension or 0)
