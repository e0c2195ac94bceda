"""The state equation ∂ₜρ = D Δρ − ∇·(v ρ) on a box: mesh, operator, Radau stepping, differentiable propagation.

`propagation` and `stage_solvers` need torch and are imported where they are used.
"""

from controlsde.fokker_planck.mesh import Axis, Mesh
from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import Radau, radau

__all__ = ["Axis", "Mesh", "Operator", "Radau", "radau"]
