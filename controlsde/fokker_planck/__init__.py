"""The state equation ∂ₜρ = D Δρ − ∇·(v ρ) on a box: mesh, operator, Radau steps, differentiable propagation, adjoint.

`propagation` and `stage_solvers` need torch and are imported where they are used.
"""

from controlsde.fokker_planck.mesh import Axis, Mesh
from controlsde.fokker_planck.operator import Operator

__all__ = ["Axis", "Mesh", "Operator"]
