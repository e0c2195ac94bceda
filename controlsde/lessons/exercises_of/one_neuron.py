"""Lesson 2, one neuron as a control input: it splits, turns, squeezes; norms, Gaussians, wider networks."""

from __future__ import annotations

import numpy as np

from controlsde.lessons.exercises import Choice, Formula, Function, Number
from controlsde.lessons.verdicts import Mistake

X = np.linspace(-2.0, 2.0, 9)

SPLIT = Choice(
    key="split",
    title="a steep neuron in the middle",
    question=r"""One bump stands around $x = 0$, there is no noise, and the drift is $v = \tanh 8x$. What does the
density look like after a unit of time?""",
    options=(
        "One bump, farther to the right",
        "One bump, narrower and higher",
        "One bump, wider and lower, still highest in the middle",
        "Two bumps, with next to nothing between them",
    ),
    right=("Two bumps, with next to nothing between them",),
    mistakes=(
        Mistake(
            "One bump, farther to the right",
            "Look at the sign of the drift left of 0. What does it do to the mass there?",
        ),
        Mistake(
            "One bump, narrower and higher",
            "For that the drift would have to point to the middle from both sides. This one points away from it.",
        ),
        Mistake(
            "One bump, wider and lower, still highest in the middle",
            "So it would be if the speed grew in proportion to $x$. This neuron is steep in the middle alone: at "
            "$x = 0.5$ it already has its full speed. What happens to a bump whose halves move apart as they are?",
        ),
    ),
    explanation=r"""Where the neuron is steep, mass is torn apart; where it is flat, mass moves as it is. With
$a\,w > 0$ on top of a bump the halves part. That is the one way in which a single neuron makes two bumps of one.""",
)

TURN = Formula(
    key="turn",
    title="where a neuron turns",
    question=r"""The drift of one neuron is $v(x) = a\tanh(wx + b)$. At which $x$ does it change its sign? Write it with
`a`, `w` and `b`.""",
    # wx + b = 0
    right=("-b/w", "-(b/w)", "0*a - b/w"),
    mistakes=(
        Mistake("b/w", "Put your answer back into $wx + b$: is it zero there?"),
        Mistake("-b", "You forgot that $x$ is stretched before it is shifted."),
        Mistake("-w/b", "That fraction stands on its head: for $b = 0$ the neuron turns at a finite place."),
        Mistake("-b/(a*w)", "The height does not move the place where a function is zero."),
        Mistake("-b*w", "A larger weight makes the neuron steeper and brings this place nearer, not farther away."),
    ),
    explanation=r"""So $b$ chooses the place, once $w$ is chosen; $w$ the width $1/w$ of the region where the neuron is
steep; $a$ the speed on both sides of it.""",
    probes=({"a": 1.5, "w": 2.0, "b": 0.7}, {"a": -0.6, "w": 0.5, "b": -1.1}, {"a": 3.0, "w": -4.0, "b": 0.4}),
)

DIVERGENCE = Formula(
    key="divergence",
    title="where it squeezes and where it stretches",
    question=r"""Along a path without noise, $\frac{d}{dt}\log\rho = -\partial_xv$: a density grows where the divergence
of the drift is negative. Write $\partial_xv$ of one neuron $v = a\tanh(wx + b)$, with `a`, `w`, `b` and `x`.""",
    # (tanh)' = 1 − tanh², times the inner derivative w
    right=("a*w*(1 - tanh(w*x + b)**2)", "a*w/cosh(w*x + b)**2", "a*w - a*w*tanh(b + w*x)**2"),
    mistakes=(
        Mistake("a*(1 - tanh(w*x + b)**2)", "The chain rule: what stands inside is differentiated, too."),
        Mistake(
            "-a*w*(1 - tanh(w*x + b)**2)",
            "The sign: this is the rate at which a density grows. Asked is the divergence.",
        ),
        Mistake("a*w*(1 - tanh(w*x)**2)", "The shift is missing: the neuron is steepest where it turns."),
        Mistake("a*w*(1 - tanh(w*x + b))", "The derivative of the hyperbolic tangent has a square in it."),
        Mistake(
            "a*w*tanh(w*x + b)",
            "That is proportional to the drift itself. A flat drift, however fast, squeezes nothing.",
        ),
        Mistake("w*(1 - tanh(w*x + b)**2)", "The factor in front of the neuron is missing."),
    ),
    explanation=r"""It has the sign of $a\,w$ **everywhere**: one neuron either squeezes or stretches, never both at
once. It does so most where it turns, by $a\,w$, and hardly beyond a distance of $2/w$ from there.""",
    probes=({"a": 1.5, "w": 2.0, "b": 0.7, "x": X}, {"a": -0.6, "w": 0.5, "b": -1.1, "x": X}),
)

NORM = Number(
    key="norm",
    title="how fast a norm can grow",
    question=r"""Without noise, $\frac{d}{dt}\|\rho\|^2 = -\int(\partial_xv)\,\rho^2\,dx$. A bump is squeezed by the
drift $v = -2x$ for half a unit of time. By which factor does its norm $\|\rho\|$ grow?""",
    # ‖ρ‖² grows as e^{2t}, ‖ρ‖ as e^{t}, and t = 1/2
    right=("exp(0.5)", "1.6487", "sqrt(exp(1))"),
    mistakes=(
        Mistake("exp(1)", "By this factor its **square** grows."),
        Mistake("exp(-0.5)", "The sign: a squeezed density is higher, and so is its norm."),
        Mistake("1", "The mass stays the same. This norm weighs high values more."),
        Mistake("exp(2)", "Look at the time again: it is half a unit. And it is the norm, not its square."),
        Mistake("exp(0.25)", "That is half the rate: the divergence of $-2x$ is $-2$."),
    ),
    explanation=r"""In general $\|\rho\|$ grows at most at half the rate of the strongest squeeze. With $|a|$ and $|w|$
bounded by $B$ the divergence is at least $-B^2$ for one neuron and $-mB^2$ for $m$: bounds on weights are bounds on
what a control can do to a density in a given time.""",
)

VARIANCE = Formula(
    key="variance",
    title="a Gaussian under an affine drift",
    question=r"""Near the place where it turns, a neuron is almost affine: $v = kx$ with $k = a\,w$. Under an affine
drift a Gaussian stays one. With diffusivity $D$ its variance obeys $\dot V = 2kV + 2D$. Write $V$ at the time `t`, with
its start `V0`, `k` and `D`.""",
    # V̇ = 2kV + 2D:  V = V₀e^{2kt} + D(e^{2kt} − 1)/k
    right=("V0*exp(2*k*t) + D*(exp(2*k*t) - 1)/k", "(V0 + D/k)*exp(2*k*t) - D/k", "V0*exp(2*k*t) + D/k*expm1(2*k*t)"),
    mistakes=(
        Mistake(
            "V0*exp(k*t) + 2*D*(exp(k*t) - 1)/k",
            "That is the rate of a standard deviation; variances go twice as fast.",
        ),
        Mistake(
            "V0*exp(2*k*t) + 2*D*t", "You add the noise at the end. What came in early was stretched or squeezed, too."
        ),
        Mistake(
            "V0*exp(2*k*t) + D*(exp(2*k*t) - 1)/(2*k)",
            "A factor 2 in the noise: it enters the variance at the rate $2D$.",
        ),
        Mistake("V0*exp(2*k*t)", "That is the variance without noise."),
        Mistake("V0*exp(2*k*t) - D*(exp(2*k*t) - 1)/k", "The sign of the noise: it can only make the variance larger."),
        Mistake("V0*exp(2*k*t) + 2*D*(exp(2*k*t) - 1)/k", "A factor 2 too much: check it for a very short time."),
    ),
    explanation=r"""For $k < 0$ it settles at $D/|k|$: squeezing and noise balance. To hold a bump of variance $V$
against the noise, the control has to spend $|k| = D/V$ all the time. Without noise a bump that is narrow stays narrow
for free.""",
    probes=({"V0": 0.5, "k": 0.8, "D": 0.3, "t": 0.9}, {"V0": 1.3, "k": -1.1, "D": 0.7, "t": 0.4}),
)

_HEAD = "def drift(x, A, W, b):\n"


def _adding(line: str, begun: str = "v", given: str = "v") -> str:
    """A function that runs a line for every neuron."""
    loop = f"    {begun} = zeros(len(x))\n    for j in range(len(A)):\n        {line}\n"
    return f"{_HEAD}{loop}    return {given}\n"


DRIFT = Function(
    key="drift",
    title="a network of any width",
    question=r"""Write the drift of a network of width $m$ on a line, $v(x) = \sum_j A_j\tanh(W_jx + b_j)$: `x` holds
many points, `A`, `W` and `b` hold $m$ numbers each. Give an array of the shape of `x`.""",
    name="drift",
    start=_HEAD + "    v = zeros(len(x))\n\n    return v\n",
    right=(
        _adding("v += A[j]*tanh(W[j]*x + b[j])"),
        _HEAD + "    return tanh(outer(x, W) + b) @ A\n",
        _HEAD + "    return sum([A[j]*tanh(W[j]*x + b[j]) for j in range(len(A))], axis=0)\n",
    ),
    mistakes=(
        Mistake(
            _adding("v = A[j]*tanh(W[j]*x + b[j])"),
            "Every neuron overwrites the one before: only the last is left.",
        ),
        Mistake(
            _adding("v += A[j]*tanh(W[j]*(x + b[j]))"),
            "The shift is added after the point was stretched, not before.",
        ),
        Mistake(
            _adding("v += tanh(A[j]*W[j]*x + b[j])"),
            "The factor in front stands outside of the hyperbolic tangent: so no neuron is faster than 1.",
        ),
        Mistake(
            _adding("s += W[j]*x + b[j]", "s", "sum(A)*tanh(s)"),
            "You add what goes into the neurons. They are added after each has bent its own.",
        ),
        Mistake(
            _adding("v += A[j]*tanh(W[j]*x - b[j])"),
            "The sign of the shift.",
        ),
        Mistake(
            _adding("v += W[j]*tanh(A[j]*x + b[j])"),
            "You exchanged the weights inside and in front.",
        ),
        Mistake(
            _adding("v += A[j]*(W[j]*x + b[j])"),
            "Nothing bends here: this sum of affine functions is one affine function.",
        ),
    ),
    explanation=r"""This is all that acts on the density: $3m$ numbers, held for a while, then exchanged for others. In
$d$ dimensions $A$ is $d\times m$, $W$ is $m\times d$ and $b$ has $m$ entries.""",
    probes=(
        (X, np.array([1.2]), np.array([2.0]), np.array([0.3])),
        (X, np.array([0.7, -1.1]), np.array([1.5, 0.4]), np.array([-0.2, 0.9])),
        (X[:4], np.array([0.5, 0.8, -0.3]), np.array([-1.0, 3.0, 0.6]), np.array([0.4, -0.7, 0.1])),
    ),
)

EXERCISES = (SPLIT, TURN, DIVERGENCE, NORM, VARIANCE, DRIFT)
