"""The exercises of lesson 5: v_n = (A/2πn) sin 2πnx on [0, 1] without noise and with it, and noise that a scheme makes.

Right values, with ν the diffusivity and κ = A/((2πn)²ν):
no noise, ρ_t(x) = 1/(cosh At + sinh At cos 2πnx), ‖ρ_t − 1‖² = cosh At − 1, W₂(n) = W₂(1)/n;
with noise, stationary, ρ ∝ e^{−κ cos 2πnx}, ‖ρ − 1‖² = I₀(2κ)/I₀(κ)² − 1 = κ²/2 + …;
an upwind step with the share c = vΔt/h moves a particle by h with probability c: variance c(1 − c)h² a step.
"""

from __future__ import annotations

import numpy as np

from controlsde.lessons.exercises import Choice, Formula, Function, Number
from controlsde.lessons.verdicts import Mistake

LIMIT = Choice(
    key="limit",
    title="A drift that vanishes",
    question=r"""
Without noise, uniform mass on $[0, 1]$ is moved by $v_n(x) = \frac{A}{2\pi n}\sin 2\pi n x$ for the time 1. As $n$
grows, the drift goes to zero everywhere: $|v_n| \le A/2\pi n$. Predict: what becomes of the density $\rho_1$?
""",
    options=(
        "it goes to 1 everywhere: without a drift nothing moves",
        "its ripples keep their height, and become finer",
        "its ripples become lower, like 1/n, and finer",
        "its ripples grow with n, for the drift turns ever more often",
    ),
    right=("its ripples keep their height, and become finer",),
    mistakes=(
        Mistake(
            "it goes to 1 everywhere: without a drift nothing moves",
            "Each *particle* moves ever less, that is true. But a density is about how near neighbours are: look at "
            "the derivative of the drift.",
        ),
        Mistake(
            "its ripples become lower, like 1/n, and finer",
            "The drift becomes lower like $1/n$. The density hears of its derivative, $-\\rho\\,\\partial_x v$: how "
            "large is that?",
        ),
        Mistake(
            "its ripples grow with n, for the drift turns ever more often",
            "Finer, yes. Higher would need a derivative of the drift that grows with $n$: compute it.",
        ),
    ),
    explanation=r"""
$\partial_x v_n = A\cos 2\pi n x$ is as large as ever. Scaled by $n$, every period of the picture is the same picture.
The densities converge to 1 in the sense that averages over any interval do, which is *weak* convergence. They do not
converge at any point, nor in $L^2$.
""",
)

HEIGHT = Formula(
    key="height",
    title="The height of the ripples",
    question=r"""
Where $v_n = 0$ with a falling slope, at $x = 1/2n$, a particle stays where it is, and mass gathers. Along particles,
$\dot\rho = -\rho\,\partial_x v$. What is $\rho_t(1/2n)$, from $\rho_0 = 1$? Write `A`, `t`, `n`.
""",
    right=("exp(A*t)", "cosh(A*t) + sinh(A*t)", "1/(cosh(A*t) - sinh(A*t))"),
    mistakes=(
        Mistake(
            "exp(-A*t)",
            "The sign: at $x = 1/2n$ the slope of $v_n$ is negative, and $-\\rho\\,\\partial_x v$ positive.",
        ),
        Mistake(
            "exp(A*t/(2*pi*n))",
            "That is made of the size of the drift. It is the slope of the drift that changes a density: "
            "differentiate.",
        ),
        Mistake("exp(A*t/n)", "The derivative of $\\sin 2\\pi n x$ brings $2\\pi n$ down, all of it."),
        Mistake(
            "1 + A*t", "That is right for short times only: $\\dot\\rho = A\\rho$ grows with what is there already."
        ),
        Mistake("exp(2*pi*n*A*t)", "The factor $A/2\\pi n$ in front of the sine is forgotten."),
        Mistake("A*t", "$\\dot\\rho = A\\rho$ is not $\\dot\\rho = A$, and it starts from 1."),
    ),
    explanation=r"""
No $n$ in it. The whole density is $\rho_t(x) = 1/(\cosh At + \sinh At\,\cos 2\pi n x)$, and

$$
\|\rho_t - 1\|_{L^2}^2 = \cosh At - 1 \quad\text{for every } n .
$$
""",
    probes=({"A": 1.0, "t": np.array([0.0, 0.5, 2.0]), "n": 3.0}, {"A": 0.7, "t": 1.0, "n": np.array([1.0, 8.0])}),
)

DISTANCE = Number(
    key="distance",
    title="How far the mass is carried",
    question=r"""
The Wasserstein distance $W_2$ measures how far mass has to be carried. For $A = t = 1$ and $n = 1$ it is
$W_2(\rho_1, 1) = 0.10705$, and $\|\rho_1 - 1\|_{L^2} = 0.73694$. What is $W_2$ for $n = 4$?
""",
    right=("0.10705/4", "0.02676"),
    mistakes=(
        Mistake(
            "0.10705",
            "That is how $L^2$ behaves, which does not see *where* mass goes. Here distances count, and each period "
            "is a small copy of the whole.",
        ),
        Mistake("0.73694", "That is the distance in $L^2$. The question is about $W_2$."),
        Mistake("0.73694/4", "The scaling is right, but this is made of the distance in $L^2$. Take $W_2$."),
        Mistake(
            "0.10705/16",
            r"The *square* of a distance falls like $1/n^2$: $W_2^2 = \int |T(x) - x|^2\,dx$ without the root.",
        ),
        Mistake("0.10705/2", r"With four copies, each map is a quarter as long. $\sqrt{4}$ would be for random ones."),
        Mistake("0.10705*4", "Finer ripples need shorter ways, not longer ones."),
    ),
    explanation=r"""
The optimal map of one period is that of $n = 1$, shrunk by $n$: $W_2(\rho_t, 1) \propto 1/n$. So the same densities
converge in one distance and do not in the other. Which distance matters is up to you: if samples are what you want,
$W_2$; if the value of the density at a point is, $L^2$.
""",
)

KAPPA = Formula(
    key="kappa",
    title="The density that stays, with noise",
    question=r"""
With noise of the diffusivity $\nu$, the density settles where nothing flows any more:
$v_n\,\rho - \nu\,\partial_x\rho = 0$. The solution is $\rho \propto e^{-\kappa\cos 2\pi n x}$. What is $\kappa$?
Write `A`, `n`, `nu`.
""",
    right=("A/((2*pi*n)**2*nu)", "A/(4*pi**2*n**2*nu)", "A/nu/(2*pi*n)/(2*pi*n)"),
    mistakes=(
        Mistake(
            "A/(2*pi*n*nu)",
            r"A factor $1/2\pi n$ is missing: $\log\rho$ is the *integral* of $v_n/\nu$, and the integral of a sine "
            "brings one more.",
        ),
        Mistake("A/(2*pi*n)**2", r"The noise is forgotten: $\partial_x\log\rho = v_n/\nu$."),
        Mistake(
            "A/(2*(2*pi*n)**2*nu)",
            r"A factor of two in the diffusivity: here $\nu$ stands before $\partial_{xx}\rho$. A particle has the "
            r"noise "
            r"$\sqrt{2\nu}\,dW$.",
        ),
        Mistake("-A/((2*pi*n)**2*nu)", "The sign: where does the drift push mass, to $x = 1/2n$ or away from it?"),
        Mistake("A*nu/(2*pi*n)**2", "More noise must flatten the density, so that $\\kappa$ falls with it."),
        Mistake("A/(2*pi*n**2*nu)", r"$(2\pi n)^2$ has the square of $2\pi$, too."),
        Mistake(
            "A/nu",
            "That is for the slope of the drift. $\\log\\rho$ is the integral of $v_n/\\nu$: two factors are missing.",
        ),
    ),
    explanation=r"""
$\partial_x\log\rho = v_n/\nu$, integrated. The normalising constant is the Bessel function $I_0(\kappa)$, and

$$
\|\rho - 1\|_{L^2}^2 = \frac{I_0(2\kappa)}{I_0(\kappa)^2} - 1 .
$$
""",
    probes=(
        {"A": 1.0, "n": np.array([1.0, 2.0, 5.0]), "nu": 0.05},
        {"A": 3.0, "n": 2.0, "nu": np.array([0.01, 2.0])},
    ),
)

SLOPE = Number(
    key="slope",
    title="How fast the error falls, with noise",
    question=r"""
For large $n$ the exponent $\kappa$ is small, and $\rho \approx 1 - \kappa\cos 2\pi n x$. Predict:
$\|\rho - 1\|_{L^2}$ falls like $n$ to which power?
""",
    right=("-2", "-2.0"),
    mistakes=(
        Mistake("-1", r"That is how the drift falls, and $W_2$ without noise. The ripple has the height $\kappa$."),
        Mistake("-4", r"That is the slope of the *square*, $\|\rho - 1\|^2$."),
        Mistake("0", "That is the answer without noise."),
        Mistake("2", "The sign: a distance that grows with $n$ would have this power."),
        Mistake("-0.5", r"That would be $\sqrt{1/n}$, as for sums of random terms. Nothing is random about $\kappa$."),
    ),
    explanation=r"""
$\|\rho - 1\| \approx \kappa/\sqrt2 \propto n^{-2}$. One power of $n$ is the drift's, the other is won by the
diffusion, which takes a ripple of the length $1/n$ away at the rate $(2\pi n)^2\nu$. It begins where that rate is
large against $A$.
""",
)

FORGETTING = Choice(
    key="forgetting",
    title="Two starts",
    question=r"""
Two densities, $\rho$ and $\rho'$, start differently and are moved by the same smooth drift, which keeps all mass in
the box. There is no noise. Predict: what becomes of $\int |\rho - \rho'|\,dx$?
""",
    options=(
        "it stays exactly what it was",
        "it falls: the drift mixes them",
        "it falls where the drift gathers mass, and grows where it spreads mass",
        "it grows like the slope of the drift",
    ),
    right=("it stays exactly what it was",),
    mistakes=(
        Mistake(
            "it falls: the drift mixes them",
            "A drift moves the difference about, however finely. Along particles the mass of the difference is "
            "kept, its sign, too.",
        ),
        Mistake(
            "it falls where the drift gathers mass, and grows where it spreads mass",
            "Where mass gathers, the difference becomes higher and narrower. What becomes of its integral?",
        ),
        Mistake(
            "it grows like the slope of the drift",
            "The height does, where mass gathers; its width shrinks by the same factor.",
        ),
    ),
    explanation=r"""
The difference is transported: its positive and its negative part keep their mass. What was wrong in the beginning is
wrong for ever, unless somebody looks and steers. Noise lets a positive and a negative part meet and cancel. So noise
forgets a wrong start, and the price is that it forgets the right one, too: the drift has to hold what it wants to
keep.
""",
)

_UPWIND_START = '''def upwind(density, c):
    """The density after one step; density[i - 1] is left of density[i], on a ring."""
    left = roll(density, 1)
    return ...
'''


def _upwind(right: str) -> str:
    return f"def upwind(density, c):\n    left = roll(density, 1)\n    after = roll(density, -1)\n    return {right}\n"


UPWIND = Function(
    key="upwind",
    title="An upwind step",
    question=r"""
A ring of cells of the length $h$, a constant drift $v > 0$, no noise. In the time $\Delta t$ the share
$c = v\,\Delta t/h$ of what is in a cell moves on to the next one on the right. Write the density after one step.
`roll(density, 1)` has in place $i$ what was in place $i - 1$.
""",
    start=_UPWIND_START,
    name="upwind",
    right=(
        _upwind("density - c*(density - left)"),
        "def upwind(density, c):\n    return (1 - c)*density + c*roll(density, 1)\n",
        "def upwind(density, c):\n"
        "    new = zeros(len(density))\n"
        "    for i in range(len(density)):\n"
        "        new[i] = density[i] + c*(density[i - 1] - density[i])\n"
        "    return new\n",
    ),
    mistakes=(
        Mistake(
            _upwind("density - c*(density - after)"),
            "That takes what comes in from the right: the mass moves to the left.",
        ),
        Mistake(
            _upwind("density - c*(after - density)"),
            "That is downwind: what leaves a cell is computed from the *next* cell. Any ripple grows with every step.",
        ),
        Mistake(
            _upwind("density - c*(after - left)/2"),
            "That is the central difference. It is of second order in $h$, but with this step in time its ripples "
            "grow, and it is not what the question describes: the share $c$ *of a cell* moves on.",
        ),
        Mistake(
            _upwind("density + c*(density - left)"),
            "The sign: what leaves a cell is taken away there, what comes from the left is added.",
        ),
        Mistake(
            _upwind("density + c*left"),
            "Forgotten mass: what has moved on must be missing where it was.",
        ),
        Mistake(_upwind("left"), "Everything moves on here. That is right for $c = 1$ only."),
    ),
    explanation=r"""
Mass is kept, and nothing becomes negative as long as $c \le 1$. Read it as a random walk: each particle moves on with
the probability $c$, and stays with $1 - c$. That is where noise comes from.
""",
    probes=(
        (np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), 0.4),
        (np.array([1.0, 2.0, 0.5, -1.0, 3.0]), 0.25),
        (np.array([1.0, 4.0, 2.0, 2.0]), 1.0),
    ),
)

NUMERICAL = Formula(
    key="numerical",
    title="The noise of a scheme without noise",
    question=r"""
In one such step a particle moves by $h$ with the probability $c$, else not at all. Its mean moves by $ch$ in the time
$\Delta t = ch/v$, as it should. Its variance grows, too. A diffusivity $D$ makes a variance grow by $2D\,\Delta t$:
which $D$ does the scheme have? Write `v`, `h`, `c`.
""",
    right=("v*h*(1 - c)/2", "0.5*v*h - 0.5*v*h*c", "c*(1 - c)*h**2/(2*(c*h/v))"),
    mistakes=(
        Mistake("v*h*(1 - c)", r"A factor of two: a diffusivity $D$ makes the variance grow by $2D\,\Delta t$."),
        Mistake(
            "v*h/2",
            "That is the limit of short steps, $c \\to 0$. With $c = 1$ everything moves on by one cell, and "
            "nothing spreads: what is missing?",
        ),
        Mistake(
            "v*h",
            r"That takes $ch^2$ for the variance of a step. That is the mean *square*; and the 2 of $2D\,\Delta t$ "
            "is forgotten.",
        ),
        Mistake(
            "c*(1 - c)*h**2",
            "That is the variance of one step, a square of a length. A diffusivity is a square of a length per time.",
        ),
        Mistake("c*(1 - c)*h**2/2", r"The time is forgotten: how long is one step?"),
        Mistake(
            "v*h*c/2",
            "That is the variance of the wrong kind of walk: with $c = 1$ nothing is left to chance. What is the "
            "variance of a coin that falls on one side with the probability $c$?",
        ),
        Mistake("v*h*(1 + c)/2", "A sign: larger steps, up to $c = 1$, make *less* of this noise."),
    ),
    explanation=r"""
Upwind solves the equation with $D = \frac12 vh(1 - c)$ to second order, and the equation with $D = 0$ to first order
only. A solver like this would show you that noise-free control "works in $L^2$". That is why this software has a
discretisation of which no noise comes, and why it measures every answer again on a finer mesh: noise that depends on
$h$ shows itself there.
""",
    probes=(
        {"v": 1.5, "h": 0.02, "c": np.array([0.1, 0.5, 1.0])},
        {"v": np.array([0.5, 2.0]), "h": 0.1, "c": 0.3},
    ),
)

EXERCISES = (LIMIT, HEIGHT, DISTANCE, KAPPA, SLOPE, FORGETTING, UPWIND, NUMERICAL)
