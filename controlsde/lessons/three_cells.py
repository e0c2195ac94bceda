"""A tracking problem on three cells: small enough to write all of it down, and solved in both ways.

Comes in: a drift v_k for each of N steps. Goes out: masses ρ_0 … ρ_N in three cells, the objective, its gradient by
costates, and the same problem as a nonlinear program.

    flux to the next cell, cells of length 1:   F = v (ρ_i + ρ_{i+1})/2 − D (ρ_{i+1} − ρ_i),   0 at the walls
    dρ/dt = A(v)ρ,   A(v) = D L + v G;          backward Euler (I − h A(v_k)) ρ_{k+1} = ρ_k
    ρ_{k+1} = B_k ρ_k,   B_k = (I − h A(v_k))⁻¹
    J = ½ h Σ_{k=1}^{N} |ρ_k − p_k|² + ½ w |ρ_N − p_N|²
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPREADING = np.array([[-1.0, 1.0, 0.0], [1.0, -2.0, 1.0], [0.0, 1.0, -1.0]])  # L
MOVING = 0.5 * np.array([[-1.0, -1.0, 0.0], [1.0, 0.0, -1.0], [0.0, 1.0, 1.0]])  # G


@dataclass(frozen=True, eq=False)
class ThreeCells:
    """The problem. targets: p_0 … p_N (N + 1, 3), of which p_0 is where ρ starts; step: h; weight: w at the end."""

    targets: Array
    diffusivity: float = 0.3
    step: float = 0.25
    weight: float = 1.0

    @property
    def steps(self) -> int:
        """N."""
        return len(self.targets) - 1

    def generator(self, drift: float) -> Array:
        """A(v) (3, 3): columns sum to zero, which keeps the mass."""
        return np.asarray(self.diffusivity * SPREADING + drift * MOVING)

    def propagators(self, drifts: Array) -> Array:
        """B_k (N, 3, 3)."""
        return np.stack([np.linalg.inv(np.eye(3) - self.step * self.generator(float(v))) for v in drifts])

    def states(self, drifts: Array) -> Array:
        """ρ_0 … ρ_N (N + 1, 3)."""
        found = [self.targets[0]]
        for propagator in self.propagators(drifts):
            found.append(propagator @ found[-1])
        return np.stack(found)

    def objective(self, drifts: Array) -> float:
        """J."""
        errors = self.states(drifts) - self.targets
        return float(0.5 * self.step * np.sum(errors[1:] ** 2) + 0.5 * self.weight * np.sum(errors[-1] ** 2))

    def costates(self, drifts: Array) -> Array:
        """λ_k = ∂J/∂ρ_k (N + 1, 3): λ_N = (h + w) e_N, λ_k = B_kᵀ λ_{k+1} + h e_k; e = ρ − p, and e_0 = 0."""
        propagators, errors = self.propagators(drifts), self.states(drifts) - self.targets
        found = [(self.step + self.weight) * errors[-1]]
        for k in range(self.steps - 1, -1, -1):
            found.append(propagators[k].T @ found[-1] + self.step * errors[k])
        return np.stack(found[::-1])

    def gradient(self, drifts: Array) -> Array:
        """∂J/∂v_k = h λ_{k+1} · B_k G ρ_{k+1} (N,)."""
        propagators, states, costates = self.propagators(drifts), self.states(drifts), self.costates(drifts)
        moved = np.einsum("kij,jl,kl->ki", propagators, MOVING, states[1:])
        return np.asarray(self.step * np.sum(costates[1:] * moved, axis=1))

    def differences(self, drifts: Array, delta: float) -> Array:
        """Central differences of J (N,)."""
        steps = delta * np.eye(self.steps)
        return np.array([(self.objective(drifts + e) - self.objective(drifts - e)) / (2 * delta) for e in steps])

    def shot(self, start: Array | None = None) -> Shot:
        """The drifts that SciPy's L-BFGS-B finds with this gradient, from `start` or from drifts of zero."""
        from scipy.optimize import minimize

        begin = np.zeros(self.steps) if start is None else start
        tight: Any = {"ftol": 0.0, "gtol": 1e-12, "maxiter": 1000}
        found = minimize(self.objective, begin, jac=self.gradient, method="L-BFGS-B", options=tight)
        return Shot(found.x, float(found.fun), int(found.nit), float(np.max(np.abs(self.gradient(found.x)))))

    def collocated(self) -> Collocated:
        """The same problem with states and drifts as unknowns, by CasADi and IPOPT, from drifts of zero.

        g_k = (I − h A(v_k)) ρ_{k+1} − ρ_k = 0, Lagrangian J + Σ μ_k · g_k; the states start at the targets.
        """
        import casadi as ca

        drifts, states = ca.SX.sym("v", self.steps), ca.SX.sym("rho", 3, self.steps)
        equations: list[Any] = []
        objective: Any = 0
        before: Any = ca.DM(self.targets[0])
        for k in range(self.steps):
            after = states[:, k]
            generator = self.diffusivity * ca.DM(SPREADING) + drifts[k] * ca.DM(MOVING)
            equations.append(after - self.step * ca.mtimes(generator, after) - before)
            objective += 0.5 * self.step * ca.sumsqr(after - self.targets[k + 1])
            before = after
        objective += 0.5 * self.weight * ca.sumsqr(before - self.targets[-1])
        program = {"x": ca.vertcat(drifts, ca.vec(states)), "f": objective, "g": ca.vertcat(*equations)}
        quiet: dict[str, Any] = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False, "ipopt.tol": 1e-12}
        start = np.concatenate([np.zeros(self.steps), self.targets[1:].ravel()])
        solver = ca.nlpsol("three_cells", "ipopt", program, quiet)
        found = solver(x0=start, lbg=0.0, ubg=0.0)
        values = np.asarray(found["x"]).ravel()
        return Collocated(
            drifts=values[: self.steps],
            states=np.vstack([self.targets[:1], values[self.steps :].reshape(self.steps, 3)]),
            multipliers=np.asarray(found["lam_g"]).reshape(self.steps, 3),
            objective=float(found["f"]),
            iterations=int(solver.stats()["iter_count"]),
            converged=bool(solver.stats()["success"]),
        )


@dataclass(frozen=True, eq=False)
class Shot:
    """What shooting ends with: v (N,), J, and the largest entry of the gradient there."""

    drifts: Array
    objective: float
    iterations: int
    gradient: float


@dataclass(frozen=True, eq=False)
class Collocated:
    """What the nonlinear program ends with: v (N,), ρ (N + 1, 3), μ (N, 3), J."""

    drifts: Array
    states: Array
    multipliers: Array
    objective: float
    iterations: int
    converged: bool


def moving_right(steps: int = 4) -> ThreeCells:
    """The problem of the lesson: mass is asked to go from the first cell to the last, faster and faster."""
    begin, end = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.2, 0.7])
    share = (np.arange(steps + 1) / steps)[:, None] ** 1.5
    return ThreeCells((1.0 - share) * begin + share * end)
