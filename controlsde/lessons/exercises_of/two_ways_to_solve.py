"""The exercises of lesson 4: the step, the costates and the gradient on three cells; collocation's multipliers.

The problem, its formulas and its right values are those of `controlsde/lessons/three_cells.py`:
e = ρ − p, λ_N = (h + w) e_N, λ_k = B_kᵀ λ_{k+1} + h e_k, ∂J/∂v_k = h λ_{k+1} · B_k G ρ_{k+1}.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from controlsde.lessons.exercises import Choice, Function
from controlsde.lessons.three_cells import MOVING, ThreeCells, moving_right
from controlsde.lessons.verdicts import Mistake

_CASES = (
    (moving_right(), np.array([0.5, -1.0, 1.0, 2.0])),
    (ThreeCells(moving_right(3).targets[::-1], diffusivity=1.0, step=0.1, weight=2.5), np.array([1.5, 0.2, -0.7])),
)


def _of_costates() -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (case.propagators(drifts), case.states(drifts), case.targets, case.step, case.weight) for case, drifts in _CASES
    )


def _of_gradient() -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (case.propagators(drifts), case.states(drifts), case.costates(drifts), MOVING, case.step)
        for case, drifts in _CASES
    )


def _generator(rows: str) -> str:
    return f"def generator(v, D):\n    return array({rows})\n"


GENERATOR = Function(
    key="generator",
    title="A generator that keeps the mass",
    question=r"""
Three cells of length 1 hold the masses $\rho_1, \rho_2, \rho_3$. From a cell to the next one on its right flows

$$
F = v\,\frac{\rho_i + \rho_{i+1}}{2} - D\,(\rho_{i+1} - \rho_i),
$$

and through the two walls flows nothing. Write the matrix $A(v)$ of $\dot\rho = A(v)\rho$.
""",
    start="def generator(v, D):\n    return array([[..., ..., ...],\n                  [..., ..., ...],\n"
    "                  [..., ..., ...]])\n",
    name="generator",
    right=(
        _generator("[[-v/2 - D, -v/2 + D, 0], [v/2 + D, -2*D, -v/2 + D], [0, v/2 + D, v/2 - D]]"),
        "def generator(v, D):\n"
        "    right, left = D + v/2, D - v/2      # the rate out of a cell to the right, and back\n"
        "    return array([[-right, left, 0], [right, -right - left, left], [0, right, -left]])\n",
        "def generator(v, D):\n"
        "    flux = array([[v/2 + D, v/2 - D, 0], [0, v/2 + D, v/2 - D]])     # F_12, F_23\n"
        "    out_of = array([[-1, 0], [1, -1], [0, 1]])\n"
        "    return out_of @ flux\n",
    ),
    mistakes=(
        Mistake(
            _generator("[[-v/2 - D, v/2 + D, 0], [-v/2 + D, -2*D, v/2 + D], [0, -v/2 + D, v/2 - D]]"),
            "That is the transposed matrix. Here the *rows* sum to zero, so that constants are kept. Mass is the "
            "sum of the entries of $\\rho$: which sums have to be zero so that it is kept?",
        ),
        Mistake(
            _generator("[[-2*D, -v/2 + D, 0], [v/2 + D, -2*D, -v/2 + D], [0, v/2 + D, -2*D]]"),
            "Forgotten walls: the first and the last column do not sum to zero, so that mass is lost there. A cell "
            "at a wall has one neighbour, and one flux, only.",
        ),
        Mistake(
            _generator("[[v/2 - D, v/2 + D, 0], [-v/2 + D, -2*D, v/2 + D], [0, -v/2 + D, -v/2 - D]]"),
            "The sign of the drift: with $v > 0$ mass must leave the first cell.",
        ),
        Mistake(
            _generator("[[-v - D, -v + D, 0], [v + D, -2*D, -v + D], [0, v + D, v - D]]"),
            "A factor of two at the drift: the flux has the *mean* of two densities.",
        ),
        Mistake(
            _generator("[[-v/2 + D, -v/2 - D, 0], [v/2 - D, 2*D, -v/2 - D], [0, v/2 - D, v/2 + D]]"),
            "The sign of the diffusion: mass must flow from the fuller cell to the emptier one.",
        ),
    ),
    explanation=r"""
Every column sums to zero: what leaves one cell arrives in another. And $A(v) = D L + v\,G$ is *bilinear*, a constant
matrix times the control. The Fokker–Planck operator of this software has the same two properties on its mesh, and the
second is why derivatives in $v$ are cheap.
""",
    probes=((0.7, 0.3), (-1.2, 1.0), (0.0, 0.5)),
)

STEP = Function(
    key="step",
    title="One implicit step",
    question=r"""
Write one step of backward Euler: `density` is $\rho_k$, wanted is $\rho_{k+1}$ with
$\rho_{k+1} = \rho_k + h\,A\,\rho_{k+1}$. There is `solve(M, b)`, which solves $Mx = b$, and `eye(3)`.
""",
    start="def step(A, density, h):\n    return ...\n",
    name="step",
    right=(
        "def step(A, density, h):\n    return solve(eye(3) - h*A, density)\n",
        "def step(A, density, h):\n    B = solve(eye(3) - h*A, eye(3))\n    return B @ density\n",
    ),
    mistakes=(
        Mistake(
            "def step(A, density, h):\n    return density + h*(A @ density)\n",
            "That is the explicit Euler step. In the implicit one the new density stands on both sides.",
        ),
        Mistake(
            "def step(A, density, h):\n    return solve(eye(3) + h*A, density)\n",
            "A sign: collect everything with $\\rho_{k+1}$ on the left.",
        ),
        Mistake(
            "def step(A, density, h):\n    return solve(eye(3) - A, density)\n",
            "The length $h$ of the step is forgotten: this is a step of the length 1.",
        ),
        Mistake(
            "def step(A, density, h):\n    return solve((eye(3) - h*A).T, density)\n",
            "The matrix was transposed. That step keeps constants, not mass.",
        ),
    ),
    explanation=r"""
With $B_k = (I - hA(v_k))^{-1}$ it is $\rho_{k+1} = B_k\rho_k$. Backward Euler is Radau's method with one stage. The
software uses up to three, of order five; the idea of all that follows is the same.
""",
    probes=tuple((case.generator(float(drifts[1])), case.targets[1], case.step) for case, drifts in _CASES),
)

COST = Choice(
    key="cost",
    title="The cost of a gradient",
    question=r"""
$J$ depends on $K$ weights, and one value takes one run from $t = 0$ to $T$. By differences, a gradient takes $K$ more
runs. Predict: how much does it take by the costates that you are about to derive?
""",
    options=(
        "about one or two runs more, whatever K is",
        "K runs, but shorter ones",
        "K² runs, for every weight acts on all later states",
        "nothing: it can be read off the run that gave J",
    ),
    right=("about one or two runs more, whatever K is",),
    mistakes=(
        Mistake(
            "K runs, but shorter ones",
            "That would be the sensitivities, one for each weight, from its step on. A gradient needs only how $J$ "
            "changes, one number for each weight, not how every state changes.",
        ),
        Mistake(
            "K² runs, for every weight acts on all later states",
            "It does act on all of them. But all that $J$ needs to know of a change in $\\rho_k$ fits in one vector "
            "of the size of $\\rho_k$, whoever made the change.",
        ),
        Mistake(
            "nothing: it can be read off the run that gave J",
            "The run gives the states. How much an early change matters in the end is decided by later steps: "
            "something has to come back from there.",
        ),
    ),
    explanation=r"""
One sweep forwards, one back. The way back uses the same matrices, transposed. Further down you measure it on the real
problem.
""",
)

_COSTATES_START = '''def costates(B, states, targets, h, w):
    """lambda_0 ... lambda_N, an array (N + 1, 3). B is (N, 3, 3), states and targets are (N + 1, 3)."""
    N = len(B)
    errors = ...
    found = zeros((N + 1, 3))
    found[N] = ...
    for k in range(N - 1, -1, -1):
        found[k] = ...
    return found
'''


def _costates(
    errors: str = "states - targets", last: str = "(h + w)*errors[N]", back: str = "B[k].T @ found[k + 1]",
    running: str = "h*errors[k]",
) -> str:  # fmt: skip
    """An answer, with what its lines say."""
    return (
        "def costates(B, states, targets, h, w):\n"
        "    N = len(B)\n"
        f"    errors = {errors}\n"
        "    found = zeros((N + 1, 3))\n"
        f"    found[N] = {last}\n"
        "    for k in range(N - 1, -1, -1):\n"
        f"        found[k] = {back} + {running}\n"
        "    return found\n"
    )


COSTATES = Function(
    key="costates",
    title="The costates",
    question=r"""
$J = \tfrac12 h\sum_{k=1}^{N}|\rho_k - p_k|^2 + \tfrac12 w\,|\rho_N - p_N|^2$ and $\rho_{k+1} = B_k\rho_k$. The
costate $\lambda_k$ is the derivative of $J$ in $\rho_k$, when a small change of $\rho_k$ is carried on by all later
steps. Begin at the end, and go back. ($\rho_0 = p_0$, so that the error at $k = 0$ is zero.)
""",
    start=_COSTATES_START,
    name="costates",
    right=(
        _costates(),
        "def costates(B, states, targets, h, w):\n"
        "    weights = [0] + [h]*(len(B) - 1) + [h + w]\n"
        "    found = [weights[-1]*(states[-1] - targets[-1])]\n"
        "    for k in range(len(B) - 1, -1, -1):\n"
        "        found = [dot(found[0], B[k]) + weights[k]*(states[k] - targets[k])] + found\n"
        "    return array(found)\n",
    ),
    mistakes=(
        Mistake(
            _costates(back="B[k] @ found[k + 1]"),
            r"Forgotten transpose. A change $\delta\rho_k$ changes $J$ by $\lambda_{k+1}\cdot B_k\,\delta\rho_k$. "
            "Move $B_k$ to the other side of the scalar product.",
        ),
        Mistake(
            _costates(running="0*errors[k]"),
            "The running cost is forgotten: $\\rho_k$ changes $J$ through the later steps, and also by its own term "
            "in the sum.",
        ),
        Mistake(
            _costates(last="w*errors[N]"),
            r"The last step is counted twice in $J$: in the sum, whose last term is $k = N$, and at the end.",
        ),
        Mistake(
            _costates(errors="targets"),
            r"Started from $p$ where $\rho - p$ is wanted: differentiate $\frac12|\rho - p|^2$.",
        ),
        Mistake(
            _costates(errors="states"),
            r"The target is missing: differentiate $\frac12|\rho - p|^2$, not $\frac12|\rho|^2$.",
        ),
        Mistake(
            _costates(errors="targets - states"),
            r"The sign: differentiate $\frac12|\rho - p|^2$ in $\rho$, not in $p$.",
        ),
        Mistake(
            _costates(last="(1 + w)*errors[N]", running="errors[k]"),
            r"The time step is forgotten: each term of the sum counts with $h$, as the integral over time does.",
        ),
        Mistake(
            _costates(last="2*(h + w)*errors[N]", running="2*h*errors[k]"),
            r"A factor of two: the square brings one down, and the $\frac12$ takes it away again.",
        ),
    ),
    explanation=r"""
The costate runs backwards in time by the transposed matrices, and is driven by the errors. In the limit $h \to 0$ it
is

$$
\begin{aligned}
-\dot\lambda &= A^{\mathsf T}\lambda + (\rho - p), \\
\lambda(T) &= w\,(\rho(T) - p(T)),
\end{aligned}
$$

and for the Fokker–Planck equation $A^{\mathsf T}\lambda$ becomes $D\Delta\psi + v\cdot\nabla\psi$: the generator of
the particles themselves.
""",
    probes=_of_costates(),
)


def _gradient(term: str) -> str:
    return (
        "def gradient(B, states, costates, G, h):\n"
        "    N = len(B)\n"
        "    found = zeros(N)\n"
        "    for k in range(N):\n"
        f"        found[k] = {term}\n"
        "    return found\n"
    )


GRADIENT = Function(
    key="gradient",
    title="The gradient",
    question=r"""
The weight $v_k$ acts in one step only: $(I - hA(v_k))\,\rho_{k+1} = \rho_k$ with $A(v) = DL + vG$. Differentiate this
equation in $v_k$, and use $\lambda_{k+1}$ for all that comes after. Give $\partial J/\partial v_k$ for
$k = 0, \dots, N - 1$.
""",
    start='def gradient(B, states, costates, G, h):\n    """dJ/dv_k, an array (N,)."""\n    N = len(B)\n'
    "    found = zeros(N)\n    for k in range(N):\n        found[k] = ...\n    return found\n",
    name="gradient",
    right=(
        _gradient("h*(costates[k + 1] @ (B[k] @ (G @ states[k + 1])))"),
        "def gradient(B, states, costates, G, h):\n"
        "    return array([h*dot(B[k].T @ costates[k + 1], G @ states[k + 1]) for k in range(len(B))])\n",
    ),
    mistakes=(
        Mistake(
            _gradient("costates[k + 1] @ (B[k] @ (G @ states[k + 1]))"),
            r"The time step is forgotten: $v_k$ acts for the time $h$ only. This is the derivative per unit of time.",
        ),
        Mistake(
            _gradient("h*(costates[k + 1] @ (B[k] @ (G @ states[k])))"),
            r"The wrong density: in the implicit step $A(v_k)$ stands before $\rho_{k+1}$, the new one.",
        ),
        Mistake(
            _gradient("h*(costates[k + 1] @ (G @ states[k]))"),
            "That is the gradient of the explicit Euler step. Differentiate the equation that was solved, $(I - "
            r"hA)\rho_{k+1} = \rho_k$.",
        ),
        Mistake(
            _gradient("h*(costates[k + 1] @ (G @ states[k + 1]))"),
            r"$B_k$ is missing: when $v_k$ changes, $(I - hA)\,\delta\rho_{k+1}$ is known, and $\delta\rho_{k+1}$ is "
            "wanted.",
        ),
        Mistake(
            _gradient("h*(costates[k] @ (B[k] @ (G @ states[k + 1])))"),
            r"The wrong costate: $\delta\rho_{k+1}$ is what changes, and $J$ hears of it through $\lambda_{k+1}$.",
        ),
        Mistake(
            _gradient("h*(costates[k + 1] @ (B[k].T @ (G @ states[k + 1])))"),
            r"One transpose too much: $\delta\rho_{k+1}$ is made by $B_k$ itself. Transposed, it goes to the costate.",
        ),
        Mistake(
            _gradient("-h*(costates[k + 1] @ (B[k] @ (G @ states[k + 1])))"),
            r"The sign: $-hA$ goes to the other side when $(I - hA)\rho_{k+1}$ is differentiated.",
        ),
    ),
    explanation=r"""
$\delta\rho_{k+1} = B_k\,h\,G\rho_{k+1}\,\delta v_k$, and $J$ changes by $\lambda_{k+1}$ times that. In the limit
$\delta J/\delta v = \lambda\cdot G\rho$; for densities it is $\rho\,\nabla\psi$. This is the exact derivative of the
*discrete* $J$, not an approximation of a continuous one, which is why a search with it can end at a gradient of
$10^{-9}$.
""",
    probes=_of_gradient(),
)

MULTIPLIERS = Choice(
    key="multipliers",
    title="What the multipliers are",
    question=r"""
Collocation takes states *and* drifts as unknowns, and asks for $g_k = (I - hA(v_k))\,\rho_{k+1} - \rho_k = 0$ as
constraints. At the minimum, the derivatives of $J + \sum_k \mu_k\cdot g_k$ vanish. Set the derivative in $\rho_{k+1}$
to zero and compare with your recursion. What is $\mu_k$?
""",
    options=(
        "−Bₖᵀ λₖ₊₁: the costate, taken back over one step, with a minus sign",
        "Bₖᵀ λₖ₊₁: the costate, taken back over one step",
        "∂J/∂vₖ: the gradient",
        "nothing that shooting knows of: it has no constraints",
    ),
    right=("−Bₖᵀ λₖ₊₁: the costate, taken back over one step, with a minus sign",),
    mistakes=(
        Mistake(
            "Bₖᵀ λₖ₊₁: the costate, taken back over one step",
            r"The sign. The derivative in $\rho_{k+1}$ is $\partial J/\partial\rho_{k+1} + (I - hA)^{\mathsf T}\mu_k "
            r"- \mu_{k+1} = 0$. Try the last step, where there is no $\mu_{k+1}$.",
        ),
        Mistake(
            "∂J/∂vₖ: the gradient",
            "The gradient has one number for each step. A multiplier belongs to a constraint, and there are three "
            "for each step.",
        ),
        Mistake(
            "nothing that shooting knows of: it has no constraints",
            "Shooting solves the same equations, one after the other, instead of calling them constraints. Write "
            "down the derivative in the last state, and look where you have seen it.",
        ),
    ),
    explanation=r"""
$(I - hA(v_k))^{\mathsf T}\mu_k = \mu_{k+1} - h e_{k+1}$ (with $w$ at the end) is your recursion with
$\mu_k = -B_k^{\mathsf T}\lambda_{k+1}$. The derivative in $v_k$ is then your gradient. So a point where the
Lagrangian is stationary is a point where the gradient of shooting vanishes, and the other way round: one problem, two
ways.
""",
)

EXERCISES = (GENERATOR, STEP, COST, COSTATES, GRADIENT, MULTIPLIERS)
