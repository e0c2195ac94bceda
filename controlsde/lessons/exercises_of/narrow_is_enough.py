"""Lesson 6, width d is enough: exercises on drifts that take turns. Every right value has its formula beside it."""

from __future__ import annotations

import numpy as np

from controlsde.lessons.exercises import Choice, Exercise, Formula, Function, Number
from controlsde.lessons.verdicts import Mistake

HALVED = "It is halved"
FIRST, SECOND = np.array([1.0, 2.0, -1.0]), np.array([0.5, -1.0, 4.0])  # values of b₁ and b₂ at three places
IN_TIME = (0.1, 0.3, 0.6, 0.9, 1.2, 1.4)  # of [0, 1.5], inside the slots of three periods
MATRICES = (
    (np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]), 0.1),
    (np.array([[-1.0, 0.5], [0.2, 0.3]]), np.array([[0.4, -0.7], [1.1, 0.6]]), 0.05),
)

ORDER = Choice(
    key="order",
    title="Twice as many periods",
    question=(
        "The drift $b_1+b_2$ is replaced by $2b_1$ and $2b_2$ in turn, $N$ times in $[0,T]$. Say it before you see it: "
        "when $N$ is large and is doubled, what becomes of the $L^2$ distance between the two densities at $T$?"
    ),
    options=("It stays as it is", HALVED, "It becomes a quarter", "It falls by a factor of about 1.4"),
    right=(HALVED,),
    mistakes=(
        Mistake(
            "It stays as it is",
            "Fast switching would then be of no use. Think of a particle: how far can it get from the path of the sum "
            "within one short slot, before the other drift takes its turn?",
        ),
        Mistake(
            "It becomes a quarter",
            "That is the rate of an order of switching that looks the same forwards and backwards. Here $b_1$ is "
            "always first. Does the error of one period, of size $h^2$ with $h=T/N$, cancel or add up over $N$ "
            "periods?",
        ),
        Mistake(
            "It falls by a factor of about 1.4",
            "That is how averages of random errors fall. Nothing is random about the switching: every period makes "
            "the same error, in the same direction.",
        ),
    ),
    explanation=(
        "One period of length $h=T/N$ makes an error of size $h^2$, and there are $T/h$ of them: the sum is of size "
        "$h$, so it is halved. Below you will see the slope $-1$ in $N$, and where the $h^2$ comes from."
    ),
)

SCHEDULE = Function(
    key="schedule",
    title="The switched drift",
    name="switched",
    question=(
        "Write the switched drift. `b1` and `b2` are the values of the two drifts (arrays), `t` is the time with "
        "$0\\le t<T$, and there are `N` periods in $[0,T]$. In each period $2b_1$ comes first, for half of it, then "
        "$2b_2$. (Useful: `%` is the remainder, `t % 1` the part after the point.)"
    ),
    start="def switched(t, b1, b2, N, T):\n    return b1 + b2\n",
    probes=(
        *((t, FIRST, SECOND, 3, 1.5) for t in IN_TIME),
        (0.6, FIRST, SECOND, 1, 1.0),
        (0.55, FIRST, SECOND, 4, 2.0),
    ),
    right=(
        "def switched(t, b1, b2, N, T):\n"
        "    part = (t * N / T) % 1\n"
        "    if part < 0.5:\n"
        "        return 2 * b1\n"
        "    return 2 * b2\n",
        "def switched(t, b1, b2, N, T):\n"
        "    slot = (2 * N * t / T) // 1\n"
        "    return where(slot % 2 == 0, 2 * b1, 2 * b2)\n",
        "def switched(t, b1, b2, N, T):\n"
        "    h = T / N\n"
        "    for k in range(N):\n"
        "        if k * h <= t and t < (k + 0.5) * h:\n"
        "            return b1 + b1\n"
        "    return b2 + b2\n",
    ),
    mistakes=(
        Mistake(
            "def switched(t, b1, b2, N, T):\n    return b1 if (t * N / T) % 1 < 0.5 else b2\n",
            "The turns are right, the strength is not: each drift acts for half of the time only. How strong must it "
            "be to do as much as before?",
        ),
        Mistake(
            "def switched(t, b1, b2, N, T):\n    return 2 * b1 if (t * N / T) % 2 < 1 else 2 * b2\n",
            "Here every slot has the length $T/N$, so that there are $N$ slots and half as many periods. A period has "
            "two slots: halve the time of each.",
        ),
        Mistake(
            "def switched(t, b1, b2, N, T):\n    return 2 * b1 if (t * N) % 1 < 0.5 else 2 * b2\n",
            "That is right for $T=1$ only: the length of a period is $T/N$, and $T$ does not occur in your turns.",
        ),
        Mistake(
            "def switched(t, b1, b2, N, T):\n    return 2 * b2 if (t * N / T) % 1 < 0.5 else 2 * b1\n",
            "Strength and turns are right, but here $b_2$ comes first. The order matters: that is what this lesson is "
            "about.",
        ),
    ),
    explanation=(
        "Each drift acts half of the time and twice as strongly, so that over a period its mean is the same. With $m$ "
        "drifts the factor is $m$, and the slots are $T/(mN)$ long."
    ),
)

BY_HAND = Formula(
    key="by_hand",
    title="One period by hand",
    question=(
        "Take $b_1(x)=-x$ and $b_2(x)=1$, without noise. A particle begins at $x$. In one period it moves with $2b_1$ "
        "for the time $h/2$, then with $2b_2$ for the time $h/2$. How much farther to the **right** does it end than a "
        "particle that moved with $b_1+b_2$ for the time $h$? All of it, not only the first term."
    ),
    probes=({"x": [-1.0, 0.5, 2.0], "h": [0.3, 0.3, 0.3]}, {"x": [-1.0, 0.5, 2.0], "h": [1.0, 0.5, 1.5]}),
    # 2b₁ for h/2: x ↦ x e^{−h}; 2b₂ for h/2: x ↦ x + h; the sum, ẋ = 1 − x: x ↦ 1 + (x − 1) e^{−h}
    right=("h - 1 + exp(-h)", "(x*exp(-h) + h) - (1 + (x - 1)*exp(-h))", "exp(-h) + h - 1.0"),
    mistakes=(
        Mistake(
            "(x + h)*exp(-h) - (1 + (x - 1)*exp(-h))",
            "That is the other order: it moves to the right first and is drawn in afterwards. $2b_1=-2x$ comes first.",
        ),
        Mistake("1 - exp(-h) - h", "The size is right; that is how much farther to the *left* it ends."),
        Mistake(
            "(x*exp(-h/2) + h/2) - (1 + (x - 1)*exp(-h))",
            "The drifts are not doubled: within $h/2$ the drift $-2x$ takes $x$ to $xe^{-h}$, not to $xe^{-h/2}$, and "
            "the other moves twice as far, too.",
        ),
        Mistake(
            "(x*exp(-2*h) + 2*h) - (1 + (x - 1)*exp(-h))",
            "The times are not halved: $2b_1$ and $2b_2$ each act for $h/2$, and you let each act for $h$.",
        ),
        Mistake("h**2/2", "That is the first term of it for small $h$. Write down both ends exactly and subtract."),
    ),
    explanation=(
        "It is $h-1+e^{-h}=\\tfrac12h^2-\\dots$: positive, the same for every $x$, of second order in $h$. Over "
        "$N=T/h$ periods the errors add up to about $\\tfrac12hT$ as long as they are not forgotten: first order in "
        "$1/N$."
    ),
)

COMMUTATOR = Function(
    key="commutator",
    title="Where the error comes from",
    name="leading",
    question=(
        "Now in general, for matrices. First $A$, then $B$, each for the time $h$; with column vectors the first "
        "stands on the right:\n\n$$\ne^{hB}e^{hA}-e^{h(A+B)}=\\;?\\;+O(h^3).\n$$\n\nExpand both sides to $h^2$ and "
        "write the leading term as a function. `A @ B` is the product of matrices."
    ),
    start="def leading(A, B, h):\n    return h * (A + B)\n",
    probes=MATRICES,
    # e^{hB}e^{hA} = 1 + h(A + B) + h²(½B² + BA + ½A²) + …;  e^{h(A+B)} = 1 + h(A + B) + ½h²(A² + AB + BA + B²) + …
    right=(
        "def leading(A, B, h):\n    return 0.5 * h**2 * (B @ A - A @ B)\n",
        "def leading(A, B, h):\n    return h * h / 2 * (dot(B, A) - dot(A, B))\n",
        "def leading(A, B, h):\n"
        "    switched = A @ A / 2 + B @ A + B @ B / 2\n"
        "    both = (A + B) @ (A + B) / 2\n"
        "    return h**2 * (switched - both)\n",
    ),
    mistakes=(
        Mistake(
            "def leading(A, B, h):\n    return 0.5 * h**2 * (A @ B - B @ A)\n",
            "The sign of the commutator is the other one. What acts first stands on the right: which product occurs "
            "whole in $e^{hB}e^{hA}$, $AB$ or $BA$?",
        ),
        Mistake(
            "def leading(A, B, h):\n    return h**2 * (B @ A - A @ B)\n",
            "A factor ½ is missing: $e^{h(A+B)}$ has half of each product, $\\tfrac12h^2(AB+BA)$. Subtract it.",
        ),
        Mistake(
            "def leading(A, B, h):\n    return 0.5 * h * (B @ A - A @ B)\n",
            "The power of $h$ is not right: terms of first order are $h(A+B)$ on both sides, and cancel.",
        ),
        Mistake(
            "def leading(A, B, h):\n    return h**2 * B @ A\n",
            "That is the product that occurs in $e^{hB}e^{hA}$. Half of it, and half of the other, is in $e^{h(A+B)}$, "
            "too: subtract them.",
        ),
        Mistake(
            "def leading(A, B, h):\n    return 0.5 * h**2 * (B * A - A * B)\n",
            "`*` multiplies entry by entry, and then everything commutes. The product of matrices is `@`.",
        ),
    ),
    explanation=(
        "It is $\\tfrac12h^2[B,A]$ with $[B,A]=BA-AB$. What commutes can take turns without any error. $2A$ for $h/2$ "
        "is $A$ for $h$, so this is the error of one period. The other order makes the opposite error, and a "
        "palindrome makes both: they cancel, and $O(h^3)$ a period is left."
    ),
)

PALINDROME = Number(
    key="palindrome",
    title="A palindrome",
    question=(
        "Now each period runs 1, 2, 2, 1. With $N=8$ periods its density misses that of the sum by $3.71\\cdot10^{-4}$ "
        "(you will see it measured). What do you expect with $N=32$ periods?"
    ),
    tolerance=0.03,  # measured: 2.336e-5, of the order two: 2.319e-5
    right=("3.71e-4/16", "2.32e-5", "3.71e-4*(8/32)**2"),
    mistakes=(
        Mistake("3.71e-4/4", "That is a slope of $-1$ in $N$, of the order 1, 2. A palindrome is one order better."),
        Mistake(
            "3.71e-4/64",
            "The error of *one* period is of third order, and there are four times as many periods: one power is lost "
            "in the sum.",
        ),
        Mistake("3.71e-4/256", "That would be order four. Which powers of $h$ does symmetry remove, and which not?"),
    ),
    explanation=(
        "Order two: four times as many periods, a sixteenth of the error. The drift changes $2N$ times, against $2N-1$ "
        "times in the order 1, 2, as equal neighbours need no switch: the order is gained at no cost. In numerical "
        "analysis this is Strang's splitting, and 1, 2 is Lie's."
    ),
)

BOUNDS = Number(
    key="bounds",
    title="What it takes from the bounds",
    question=(
        "A problem has `controls.bounds: 50`, so that no weight is larger than 50 in size. One neuron is to play a "
        "network of four, one after the other. Up to which size of its outer weights $|A_j|$ can a network of four be "
        "played?"
    ),
    right=("50/4", "12.5"),  # bound over the number of neurons
    mistakes=(
        Mistake("50", "The neuron that plays must be stronger: each of the four has only a share of the time."),
        Mistake("200", "The factor goes the other way: what the single neuron plays is limited, and it is larger."),
        Mistake("25", "A factor of two is for two neurons. Here four take turns."),
    ),
    explanation=(
        "Each of four neurons has a quarter of the time and is played four times as strongly: $4|A_j|\\le50$. Width is "
        "bought with strength and with pieces; both are limited in a problem file."
    ),
)

EXERCISES: tuple[Exercise, ...] = (ORDER, SCHEDULE, BY_HAND, COMMUTATOR, PALINDROME, BOUNDS)
