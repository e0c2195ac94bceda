"""Lesson 1, a density as a state: flux, variance, decay, walls, the layer at a wall, one step that keeps the mass."""

from __future__ import annotations

import numpy as np

from controlsde.lessons.exercises import Choice, Formula, Function, Number
from controlsde.lessons.verdicts import Mistake

X = np.linspace(0.0, 1.0, 9)
RNG = np.random.default_rng(1)
CELLS = RNG.uniform(0.5, 2.0, 8)
FACES = RNG.uniform(-1.0, 1.0, 7)

FLUX = Formula(
    key="flux",
    title="what flows through a point",
    question=r"""Mass moves with the drift $v$, and spreads from where there is much to where there is little. Let
$J(x)$ be the mass that passes $x$ to the right in a unit of time. Write it with `v`, `rho`, `D` and `slope`, which
stands for $\partial_x\rho$.""",
    # J = vρ − D∂ₓρ
    right=("v*rho - D*slope", "-(D*slope - v*rho)", "rho*(v - D*slope/rho)"),
    mistakes=(
        Mistake(
            "v*rho + D*slope",
            "The sign of the spreading: where the density rises to the right, this carries mass "
            "to the right, from little to much. Diffusion carries it the other way.",
        ),
        Mistake("v - D*slope", "The drift alone is a speed, not a flux: where there is no mass, nothing passes."),
        Mistake("v*rho", "That is what the drift carries. Without it, at $v = 0$, nothing would ever spread."),
        Mistake("D*slope - v*rho", "The whole has the wrong sign: at $D = 0$ and $v > 0$ mass has to go to the right."),
        Mistake(
            "v*rho - 2*D*slope",
            "A factor 2 too much. The 2 belongs to the noise, $\\sqrt{2D}\\,dW$, so that it does not appear here.",
        ),
    ),
    explanation=r"""What flows in and does not flow out stays: $\partial_t\rho = -\partial_xJ$. With this flux that is
the Fokker–Planck equation $\partial_t\rho = D\,\partial_x^2\rho - \partial_x(v\rho)$.""",
    probes=({"v": 0.7, "rho": 1.3, "D": 0.4, "slope": -2.1}, {"v": -1.2, "rho": 0.6, "D": 0.9, "slope": 0.8}),
)

VARIANCE = Formula(
    key="variance",
    title="how fast particles spread",
    question=r"""Without a drift, $dX = \sqrt{2D}\,dW$, far from all walls. At $t = 0$ the particles have the standard
deviation `s0`. What is their **variance** at the time `t`?""",
    # Var X(t) = Var X(0) + 2Dt, for independent sums add their variances
    right=("s0**2 + 2*D*t", "2*D*t + s0*s0", "s0**2*(1 + 2*D*t/s0**2)"),
    mistakes=(
        Mistake("s0**2 + D*t", "A factor 2 is missing. The noise is $\\sqrt{2D}\\,dW$; $dW$ has the variance $dt$."),
        Mistake("s0 + 2*D*t", "You begin with a standard deviation; the variance is its square."),
        Mistake("(s0 + sqrt(2*D*t))**2", "Standard deviations do not add. Start and noise are independent: what adds?"),
        Mistake("2*D*t", "That is the variance of particles that all start in one point. What of their start?"),
        Mistake("s0**2 + sqrt(2*D*t)", "The noise has the standard deviation that you add; what adds are variances."),
    ),
    explanation=r"""Start and noise are independent, and variances add. The convention matters when you read papers:
with $dX = \sqrt{\beta}\,dW$ the same particles have $D = \beta/2$.""",
    probes=({"s0": 0.5, "D": 0.3, "t": 1.7}, {"s0": 1.4, "D": 1.1, "t": 0.2}),
)

HALF_LIFE = Number(
    key="half_life",
    title="how long a wave lives",
    question=r"""Between reflecting walls at 0 and 1, with $v = 0$ and $D = 0.1$, the density starts as
$\rho = 1 + \tfrac12\cos 2\pi x$. After what time is the wave half as high? Predict it before you look.""",
    # ∂ₜa = −D(2π)²a, so t = ln 2 / (4π²D)
    right=("log(2)/(4*pi**2*0.1)", "0.17557"),
    mistakes=(
        Mistake("log(2)/(2*pi*0.1)", "The wave is differentiated twice: its number goes into the rate as a square."),
        Mistake("log(2)/(4*pi**2)", "That is the time at $D = 1$. With less diffusion it takes longer."),
        Mistake("log(2)/(pi**2*0.1)", "That is the half-life of $\\cos\\pi x$. This wave is twice as short."),
        Mistake("log(2)/(2*4*pi**2*0.1)", "You put $2D$ into the equation. The 2 is already used up by $\\sqrt{2D}$."),
        Mistake("1/(4*pi**2*0.1)", "After this time it is $1/e$ as high. Half as high it is sooner."),
    ),
    explanation=r"""$\cos k\pi x$ has no slope at the walls and satisfies the equation with the factor
$e^{-Dk^2\pi^2t}$. Fine detail dies first, four times as fast at half the length. A control that must **make** detail
works against this.""",
)

WALL = Choice(
    key="wall",
    title="a wall without noise",
    question=r"""Now $D = 0$ and $v = 1$ between reflecting walls at 0 and 1, and the density starts as $\rho = 1$. What
does it look like at $t = 2$?""",
    options=(
        "It is gone: the drift carried it out through the wall",
        "It is 1 again: what hits the wall comes back",
        "A layer at the wall that grows exponentially towards it",
        "All mass sits in the one point x = 1",
    ),
    right=("All mass sits in the one point x = 1",),
    mistakes=(
        Mistake(
            "It is gone: the drift carried it out through the wall",
            "A reflecting wall lets no mass through. Ask where it is then.",
        ),
        Mistake(
            "It is 1 again: what hits the wall comes back",
            "Particles have no momentum here: the drift tells their speed, and at the wall it still points to the "
            "right. Reflection only keeps them inside.",
        ),
        Mistake(
            "A layer at the wall that grows exponentially towards it",
            "That is the balance of drift and diffusion. What balances the drift here?",
        ),
    ),
    explanation=r"""No mass is lost, but it is no density any more: its $L^2$ norm is infinite. So without noise a
tracking problem between reflecting walls makes sense only if $v\cdot n = 0$ at the walls. The key
`network.tangential` sees to that.""",
)

LAYER = Formula(
    key="layer",
    title="the layer at a wall",
    question=r"""With a little noise, $D > 0$, and the constant drift $c > 0$ between reflecting walls at 0 and 1, the
density settles. Write what it settles to, as a formula in `x`, `c` and `D`.""",
    # J = 0: cρ = Dρ′, so ρ = C e^{cx/D}, and ∫ρ = 1 gives C = (c/D)/(e^{c/D} − 1)
    right=(
        "c/D*exp(c*x/D)/(exp(c/D) - 1)",
        "(c/D)*exp(-c*(1-x)/D)/(1 - exp(-c/D))",
        "c*exp(c*x/D)/(D*expm1(c/D))",
    ),
    mistakes=(
        Mistake("exp(c*x/D)", "The shape is right. Its mass is not one."),
        Mistake("c/D*exp(c*x/D)", "Its mass is not one: integrate it from 0 to 1."),
        Mistake("exp(c*x/D)/(exp(c/D) - 1)", "Its mass is not one: the integral of $e^{cx/D}$ has a factor in front."),
        Mistake(
            "c/D*exp(-c*x/D)/(1 - exp(-c/D))",
            "The sign in the exponent: this layer stands at the wall from which the drift comes.",
        ),
        Mistake(
            "2*c/D*exp(2*c*x/D)/(exp(2*c/D) - 1)",
            "A factor 2 in the exponent: this is the layer of "
            "$dX = c\\,dt + \\sqrt{D}\\,dW$. Here the noise is $\\sqrt{2D}\\,dW$.",
        ),
        Mistake("1 + 0*x", "With $c > 0$ a flat density is carried: the flux $c\\rho$ through the middle is not zero."),
    ),
    explanation=r"""At rest nothing flows, not even inside: $J = 0$. So $D\,\rho' = c\rho$. The layer is $D/c$ wide,
and its height $c/D$ grows without limit as the noise goes: that is how the point mass of the exercise before comes
about.""",
    probes=({"x": X, "c": 1.0, "D": 0.3}, {"x": X, "c": 2.0, "D": 0.7}),
)

_HEAD = "def step(rho, v, D, dx, dt):\n"
STEP = Function(
    key="step",
    title="one step that keeps the mass",
    question=r"""Cut $[0, 1]$ into $n$ cells of width `dx`; `rho` holds their $n$ densities, `v` the drift at the
$n - 1$ faces between them. Write one explicit step of length `dt`. At a face take the mean of the two densities, and
their difference over `dx` for the slope. The two walls are closed. Known are `zeros`, `diff`, `len`, `range`, slices
and all arithmetic.""",
    name="step",
    start=_HEAD + "    flux = zeros(len(rho) + 1)   # at all faces, the two walls too\n\n    return rho\n",
    right=(
        _HEAD + "    flux = zeros(len(rho) + 1)\n    flux[1:-1] = v*(rho[1:] + rho[:-1])/2 - D*diff(rho)/dx\n"
        "    return rho - dt*diff(flux)/dx\n",
        _HEAD + "    new = array(rho)\n    for k in range(len(v)):\n"
        "        J = v[k]*(rho[k] + rho[k+1])/2 - D*(rho[k+1] - rho[k])/dx\n"
        "        new[k] -= dt*J/dx\n        new[k+1] += dt*J/dx\n    return new\n",
        _HEAD + "    inner = 0.5*v*(rho[1:] + rho[:-1]) - D*(rho[1:] - rho[:-1])/dx\n"
        "    flux = concatenate([[0], inner, [0]])\n    return rho + dt/dx*(flux[:-1] - flux[1:])\n",
    ),
    mistakes=(
        Mistake(
            _HEAD + "    flux = v*(rho[1:] + rho[:-1])/2 - D*diff(rho)/dx\n    new = array(rho)\n"
            "    new[1:-1] = rho[1:-1] - dt*diff(flux)/dx\n    return new\n",
            "Mass is lost: the first and the last cell never change, and yet mass flows between them and their "
            "neighbours. The walls have a flux as well: which?",
        ),
        Mistake(
            _HEAD + "    flux = zeros(len(rho) + 1)\n    flux[1:-1] = v*(rho[1:] + rho[:-1])/2 - D*diff(rho)/dx\n"
            "    return rho + dt*diff(flux)/dx\n",
            "The sign of the balance: what leaves a cell on the right makes it poorer.",
        ),
        Mistake(
            _HEAD + "    flux = zeros(len(rho) + 1)\n    flux[1:-1] = v*(rho[1:] + rho[:-1])/2 + D*diff(rho)/dx\n"
            "    return rho - dt*diff(flux)/dx\n",
            "The sign of the diffusion: this carries mass from little to much, and blows up.",
        ),
        Mistake(
            _HEAD + "    flux = zeros(len(rho) + 1)\n    flux[1:-1] = v*(rho[1:] + rho[:-1])/2 - D*diff(rho)/dx\n"
            "    return rho - dt*diff(flux)\n",
            "What flows in is mass; a density is mass over the width of the cell.",
        ),
        Mistake(
            _HEAD + "    flux = zeros(len(rho) + 1)\n    flux[1:-1] = v*(rho[1:] + rho[:-1])/2 - D*diff(rho)\n"
            "    return rho - dt*diff(flux)/dx\n",
            "The slope is a difference over a distance.",
        ),
        Mistake(
            _HEAD + "    flux = zeros(len(rho) + 1)\n    flux[1:-1] = v*rho[:-1] - D*diff(rho)/dx\n"
            "    return rho - dt*diff(flux)/dx\n",
            "At a face you take the density of the left cell alone. Take both.",
        ),
    ),
    explanation=r"""Every flux is taken from one cell and given to its neighbour, so that the sum never changes,
whatever `v`, `D` and `dt` are. The software keeps mass for the same reason, on better meshes.""",
    probes=(
        (CELLS, FACES, 0.3, 0.125, 1e-3),
        (CELLS[::-1].copy(), 2 * FACES, 0.05, 0.125, 2e-3),
        (np.ones(8), np.ones(7), 0.0, 0.125, 1e-2),
    ),
)

EXERCISES = (FLUX, VARIANCE, HALF_LIFE, WALL, LAYER, STEP)
