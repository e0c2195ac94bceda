"""Lesson 7, what can be reached: exercises on energy, its bound, and the linearised map.

Every right value has its formula beside it.
"""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from controlsde.lessons.exercises import Choice, Exercise, Formula, Function, Number
from controlsde.lessons.verdicts import Mistake

Array = NDArray[np.float64]

TO_ZERO = "It falls, and is zero from the distance on that is left without any drift"
ENDS = tuple(
    {"m0": m0, "s0": s0, "m1": m1, "s1": s1, "T": T}
    for m0, s0, m1, s1, T in ((0.0, 1.0, 1.5, 0.4, 0.8), (-1.0, 0.7, 0.3, 1.9, 2.5), (0.4, 2.0, 0.4, 0.5, 1.3))
)
MODES = tuple(
    {"n": n, "D": D, "t": t, "T": T}
    for n, D, t, T in ((1.0, 0.1, 0.2, 0.6), (2.0, 0.05, 0.1, 0.5), (3.0, 0.02, 0.3, 1.1))
)
PIECES = tuple({"n": n, "D": D, "T": T} for n, D, T in ((1.0, 0.1, 0.4), (2.0, 0.05, 0.7), (3.0, 0.2, 1.3)))


def _on_a_circle() -> tuple[tuple[Array, Array, Array, Array, Array, float, float], ...]:
    """Potentials g, P e^g, ρ₀, p, weights w, D and ε on a periodic grid; P a mean over neighbours, which keeps mass."""
    n = 16
    x = (np.arange(n) + 0.5) / n
    w = np.full(n, 1.0 / n)
    g = 0.7 * np.cos(2 * pi * x) + 0.2 * np.sin(4 * pi * x) + 0.5
    spread = 0.5 * np.eye(n) + 0.25 * (np.roll(np.eye(n), 1, 0) + np.roll(np.eye(n), -1, 0))
    rho0, p = 1.0 + 0.3 * np.sin(2 * pi * x), 1.0 + 0.6 * np.cos(2 * pi * x)
    return (
        (g, spread @ np.exp(g), rho0, p, w, 0.3, 0.1),
        (-0.5 * g, spread @ np.exp(-0.5 * g), rho0, p, w, 1.2, 0.02),
    )


SHIFT = Formula(
    key="shift",
    title="The energy of a shift",
    question=(
        "A density is moved to the right by $m$ in the time $T$, all of it with the same constant drift, without "
        "noise. What is its energy $E=\\int_0^T\\!\\int|v|^2\\rho\\,dx\\,dt$?"
    ),
    probes=tuple({"m": m, "T": T} for m, T in ((1.3, 0.7), (0.4, 2.5), (2.0, 1.6))),
    right=("m**2/T", "(m/T)**2*T", "m*m/T"),  # v = m/T, ∫ρ = 1, over the time T
    mistakes=(
        Mistake("m**2/T**2", "That is $|v|^2$. The energy is its integral over time: how long does it last?"),
        Mistake("0.5*m**2/T", "There is a ½ in the energy of mechanics. Here it is left out: read the definition."),
        Mistake("m/T", "That is the drift. Its *square* counts, over the whole time."),
        Mistake("m**2*T", "So slow transport would be dear. What is the drift that goes the way $m$ in the time $T$?"),
    ),
    explanation=(
        "$(m/T)^2\\cdot T=m^2/T$. Twice the way costs four times as much, twice the time half as much. Any drift that "
        "varies in time on this way costs more, by the inequality of Cauchy and Schwarz."
    ),
)

GAUSSIANS = Formula(
    key="gaussians",
    title="From a Gaussian to a Gaussian, without noise",
    question=(
        "The least energy without noise is $W_2^2/T$ (Benamou and Brenier). On a line mass keeps its order, so that "
        "$N(m_0,s_0^2)$ goes to $N(m_1,s_1^2)$ by a linear map. Write the least energy; `s0` and `s1` are standard "
        "deviations."
    ),
    probes=ENDS,
    # the map x ↦ m₁ + (s₁/s₀)(x − m₀); W₂² = E|m₁ − m₀ + (s₁ − s₀)Z|²
    right=(
        "((m1 - m0)**2 + (s1 - s0)**2)/T",
        "(m1**2 - 2*m0*m1 + m0**2 + s0**2 + s1**2 - 2*s0*s1)/T",
        "(m0 - m1)**2/T + (s0 - s1)**2/T",
    ),
    mistakes=(
        Mistake(
            "((m1 - m0)**2 + (s1**2 - s0**2)**2)/T",
            "These are differences of variances. A point at $m_0+s_0z$ goes to $m_1+s_1z$: how far is that?",
        ),
        Mistake(
            "((m1 - m0)**2 + (s1**2 - s0**2))/T",
            "A difference of variances can be negative, and an energy cannot. A point at $m_0+s_0z$ goes to "
            "$m_1+s_1z$.",
        ),
        Mistake("(m1 - m0)**2 + (s1 - s0)**2", "That is $W_2^2$. The energy knows the time, too: less of it, dearer."),
        Mistake(
            "sqrt((m1 - m0)**2 + (s1 - s0)**2)/T", "The distance $W_2$ is not squared: an energy is a speed squared."
        ),
        Mistake("(m1 - m0)**2/T", "Only the mean is moved here. To make a density narrower costs energy, too."),
    ),
    explanation=(
        "A point $m_0+s_0z$ goes the way $(m_1-m_0)+(s_1-s_0)z$, and the mean of its square over $z$ is "
        "$(m_1-m_0)^2+(s_1-s_0)^2$. Each point moves evenly, which makes it cheapest."
    ),
)

BOUND = Function(
    key="bound",
    title="A proof by one function",
    name="bound",
    question=(
        "Write the lower bound that a function $g$ proves,\n\n$$\n\\begin{aligned}E\\ge4D\\Big[&\\int g\\,p-"
        "\\varepsilon\\|g-\\bar g\\|\\\\&-\\int\\log(P_{DT}e^g)\\,\\rho_0\\Big],\\end{aligned}\n$$\n\n"
        "on a grid. All are arrays over the points: `g`; "
        "`carried`, which is $P_{DT}e^g$; `rho0`; `p`; and `w`, the quadrature weights, so that `sum(w*f)` is $\\int "
        "f\\,dx$. `D` and `eps` are numbers, $\\bar g$ is the mean of $g$ over the box, and $\\|f\\|^2=\\int f^2dx$."
    ),
    start="def bound(g, carried, rho0, p, w, D, eps):\n    return sum(w * g * p)\n",
    probes=_on_a_circle(),
    tolerance=1e-6,
    right=(
        "def bound(g, carried, rho0, p, w, D, eps):\n"
        "    mean = sum(w * g) / sum(w)\n"
        "    norm = sqrt(sum(w * (g - mean)**2))\n"
        "    return 4 * D * (sum(w * g * p) - eps * norm - sum(w * log(carried) * rho0))\n",
        "def bound(g, carried, rho0, p, w, D, eps):\n"
        "    g0 = g - dot(w, g) / dot(w, w / w)\n"
        "    gained = dot(w * p, g) - dot(w * rho0, log(carried))\n"
        "    return 4 * D * gained - 4 * D * eps * dot(w, g0 * g0)**0.5\n",
    ),
    mistakes=(
        Mistake(
            "def bound(g, carried, rho0, p, w, D, eps):\n"
            "    norm = sqrt(sum(w * (g - sum(w * g) / sum(w))**2))\n"
            "    return 2 * D * (sum(w * g * p) - eps * norm - sum(w * log(carried) * rho0))\n",
            "The factor is $4D$: $\\varphi=2D\\log u$ brings $2D$, and the other 2 is from $E$ without a ½.",
        ),
        Mistake(
            "def bound(g, carried, rho0, p, w, D, eps):\n"
            "    norm = sqrt(sum(w * g**2))\n"
            "    return 4 * D * (sum(w * g * p) - eps * norm - sum(w * log(carried) * rho0))\n",
            "$g$ is not centred in the norm. Both densities have mass one, so that a constant in $g$ proves nothing "
            "and must cost nothing: take $\\bar g$ off.",
        ),
        Mistake(
            "def bound(g, carried, rho0, p, w, D, eps):\n"
            "    return 4 * D * (sum(w * g * p) - sum(w * log(carried) * rho0))\n",
            "The term with $\\varepsilon$ is missing: that is the bound for arriving exactly, and it is too large for "
            "who may miss by $\\varepsilon$.",
        ),
        Mistake(
            "def bound(g, carried, rho0, p, w, D, eps):\n"
            "    norm = sqrt(sum(w * (g - sum(w * g) / sum(w))**2))\n"
            "    return 4 * D * (sum(w * g * p) - eps * norm - log(sum(w * carried * rho0)))\n",
            "The logarithm is taken of the mean, not the mean of the logarithm. That is a bound, too, by Jensen's "
            "inequality, but a weaker one.",
        ),
        Mistake(
            "def bound(g, carried, rho0, p, w, D, eps):\n"
            "    norm = sum(w * (g - sum(w * g) / sum(w))**2)\n"
            "    return 4 * D * (sum(w * g * p) - eps * norm - sum(w * log(carried) * rho0))\n",
            "The norm is not rooted: $\\|f\\|$ is the root of $\\int f^2dx$.",
        ),
        Mistake(
            "def bound(g, carried, rho0, p, w, D, eps):\n"
            "    norm = sqrt(sum((g - sum(w * g) / sum(w))**2))\n"
            "    return 4 * D * (sum(g * p) - eps * norm - sum(log(carried) * rho0))\n",
            "The quadrature weights are missing: `sum(f)` is no integral, `sum(w*f)` is.",
        ),
    ),
    explanation=(
        "For every $g$ this is a proof, good or bad: no drift, of a network or not, arrives for less. A better $g$ "
        "proves more. The term with $\\varepsilon$ comes from $\\int g\\,\\rho(T)\\ge\\int "
        "g\\,p-\\varepsilon\\|g-\\bar g\\|$."
    ),
)

FEASIBLE = Choice(
    key="feasible",
    title="If one may miss by ε",
    question=(
        "Say it before you see it. The end may miss the data by $\\varepsilon$ in $L^2$. What does the least energy of "
        "any drift do as $\\varepsilon$ grows?"
    ),
    options=(
        "It stays as it is up to some distance, where it drops to zero at once",
        TO_ZERO,
        "It falls, but is never zero",
        "It grows",
    ),
    right=(TO_ZERO,),
    mistakes=(
        Mistake(
            "It stays as it is up to some distance, where it drops to zero at once",
            "With a larger $\\varepsilon$ one may stop a little earlier on the way to the data. Does that save "
            "nothing?",
        ),
        Mistake(
            "It falls, but is never zero",
            "What does no drift at all cost, and where does the density end then? That end, too, is at some distance.",
        ),
        Mistake("It grows", "More ends are allowed when $\\varepsilon$ is larger: the least of more cannot be larger."),
    ),
    explanation=(
        "Without a drift, the noise alone carries $\\rho_0$ somewhere, at the distance $\\|P_{DT}\\rho_0-p\\|$; from "
        "there on nothing is needed. Nearer to the data the curve is convex: a supremum over $g$ of functions that "
        "are linear in $\\varepsilon$."
    ),
)

DECAY = Formula(
    key="decay",
    title="What is left of a push",
    question=(
        "On $[0,1]$ between reflecting walls, a drift has put $\\cos n\\pi x$ on a uniform density at the time $t$. "
        "Nothing is done any more. Which share of it is left at $T$, with the diffusivity $D$?"
    ),
    probes=MODES,
    right=("exp(-D*(n*pi)**2*(T - t))", "exp(-D*n**2*pi**2*(T-t))", "1/exp(D*(pi*n)**2*(T - t))"),
    mistakes=(
        Mistake("exp(-D*n*pi*(T - t))", "The rate is not right: $\\partial_x^2\\cos n\\pi x$ brings $n\\pi$ twice."),
        Mistake("exp(-D*n**2*(T - t))", "A $\\pi$ is missing: the mode is $\\cos n\\pi x$. Differentiate it twice."),
        Mistake(
            "exp(-2*D*(n*pi)**2*(T - t))", "A factor 2 too much: $\\partial_t\\rho=D\\,\\partial_x^2\\rho$, with $D$."
        ),
        Mistake(
            "exp(-D*(n*pi)**2*t)", "How much time is left for it to fade? The push came at $t$, and the end is at $T$."
        ),
        Mistake("exp(D*(n*pi)**2*(T - t))", "The sign: diffusion makes waves smaller, it does not make them grow."),
    ),
    explanation=(
        "$e^{-\\lambda(T-t)}$ with $\\lambda=Dn^2\\pi^2$. Fine patterns fade first: the $n$-th remembers pushes of the "
        "last $1/\\lambda$ of the time, which is shorter by $n^2$."
    ),
)

SIGMA = Formula(
    key="sigma",
    title="A singular value by hand",
    question=(
        "Uniform density on $[0,1]$, one piece $[0,T]$, a small drift $v=a\\sin n\\pi x$ that is constant in time. To "
        "first order the density at $T$ is $1+c\\cos n\\pi x$, where $\\dot c=-\\lambda c-an\\pi$, $c(0)=0$, "
        "$\\lambda=Dn^2\\pi^2$. How large is $\\sigma=\\|\\rho(T)-1\\|/\\sqrt E$, with $E=\\int_0^T\\!\\int "
        "v^2\\rho\\,dx\\,dt$ to the same order? (The mean of $\\sin^2$ and of $\\cos^2$ is ½.)"
    ),
    probes=PIECES,
    # |c| = a nπ (1 − e^{−λT})/λ;  ‖c cos‖ = |c|/√2;  √E = a √(T/2)
    right=(
        "n*pi*(1 - exp(-D*(n*pi)**2*T))/(D*(n*pi)**2*sqrt(T))",
        "(1 - exp(-D*n**2*pi**2*T))/(D*n*pi*T**0.5)",
    ),
    mistakes=(
        Mistake(
            "(1 - exp(-D*n**2*pi**2*T))/(D*n*pi*sqrt(2*T))",
            "The ½ of $\\cos^2$ is counted and that of $\\sin^2$ is not: both the pattern and the energy have one.",
        ),
        Mistake(
            "sqrt(2)*(1 - exp(-D*n**2*pi**2*T))/(D*n*pi*sqrt(T))",
            "The ½ of $\\sin^2$ is counted and that of $\\cos^2$ is not: both the pattern and the energy have one.",
        ),
        Mistake(
            "(1 - exp(-D*n**2*pi**2*T))/(D*n*pi*T)",
            "Energy is a square: its *root* belongs below, $\\sqrt{a^2T/2}$.",
        ),
        Mistake(
            "(1 - exp(-D*n**2*pi**2*T))/(D*n*pi)",
            "The time is missing in the energy: the drift acts for the whole of $T$.",
        ),
        Mistake(
            "n*pi*sqrt(T)",
            "That is without noise, $\\lambda=0$. Solve $\\dot c=-\\lambda c-an\\pi$ with the decay in it.",
        ),
        Mistake(
            "(1 - exp(-D*n**2*pi**2*T))/(D*n**2*pi**2*sqrt(T))",
            "A factor $n\\pi$ is missing: what changes the density is $-\\partial_xv$, not $v$.",
        ),
        Mistake(
            "n*pi*sqrt(T)*exp(-D*n**2*pi**2*T)",
            "Here everything fades for the whole time, as if it had been done at $t=0$. What is done late fades less.",
        ),
    ),
    explanation=(
        "$\\sigma=n\\pi(1-e^{-\\lambda T})/(\\lambda\\sqrt T)$. Without noise it is $n\\pi\\sqrt T$: the finer the "
        "pattern, the cheaper. With noise it falls like $1/n$ for fine patterns on one piece. With $K$ pieces of the "
        "length $h$ the squares add up: $\\sigma^2=n^2\\pi^2\\sum_k\\big[e^{-\\lambda(T-t_{k+1})}(1-e^{-\\lambda "
        "h})/\\lambda\\big]^2/h$."
    ),
)

PRICE = Number(
    key="price",
    title="The price of narrowness",
    question=(
        "One neuron on sixteen equal pieces brings `two-bumps` with noise 1 to within $.218$ of the data and spends "
        "the energy 35.4. No drift arrives exactly for less than 4.01, within $.218$ for less than 1.29, within $.05$ "
        "for less than 3.04. What is the price, the energy spent over the least energy for the same?"
    ),
    right=("35.4/1.29", "27.4"),
    mistakes=(
        Mistake(
            "35.4/4.01",
            "That is the bound for arriving exactly, and the neuron did not: compare with those who come as near as "
            "it.",
        ),
        Mistake("35.4/3.04", "That is the bound for $.05$. How near did the neuron come?"),
        Mistake("1.29/35.4", "The other way round: a price is at least one."),
        Mistake("35.4 - 1.29", "A ratio is wanted, not a difference."),
    ),
    explanation=(
        "$35.4/1.29\\approx27$. The bound at the distance that was reached is what counts. So little of that energy "
        "was needed; the rest is the price of a drift that one neuron and few pieces can make."
    ),
)

EXERCISES: tuple[Exercise, ...] = (SHIFT, GAUSSIANS, BOUND, FEASIBLE, DECAY, SIGMA, PRICE)
