"""Lesson 8, noise helps, noise hurts: exercises on pieces, a biased score, a wrong start, and a table.

Every right value has its formula beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.lessons.exercises import Choice, Exercise, Formula, Function, Number
from controlsde.lessons.verdicts import Mistake

Array = NDArray[np.float64]

ONLY_WITH_NOISE = "With noise by far; without noise hardly"
KEEPS = "All of it"
BIASES = tuple({"eta": eta, "T": T, "a": a} for eta, T, a in ((1.0, 0.8, 0.3), (0.4, 2.0, 0.5), (2.5, 1.3, -0.2)))


def _markov() -> tuple[Array, Array, Array, Array]:
    """A start ρ₀, data q₀, noised q_T and P on four cells: (P f)_i = Σ_j P_ij f_j, rows of sum one, q_T = Pᵀq₀."""
    data = np.array([0.4, 0.3, 0.2, 0.1])
    chain = np.array([[0.7, 0.2, 0.1, 0.0], [0.1, 0.6, 0.2, 0.1], [0.0, 0.3, 0.5, 0.2], [0.1, 0.1, 0.3, 0.5]])
    return np.array([0.1, 0.2, 0.3, 0.4]), data, chain.T @ data, chain


LENGTHS = Choice(
    key="lengths",
    title="Four pieces",
    question=(
        "Say it before you see it. One neuron with four pieces is to bring two bumps, each of standard deviation .3, "
        "about at $T=1.5$, and only the end counts. Instead of four equal pieces it gets four of which each is half as "
        "long as the one before. Where does that make the error much smaller?"
    ),
    options=(
        "Without noise by far; with noise hardly",
        ONLY_WITH_NOISE,
        "In both by about as much",
        "In neither: there are as many weights as before",
    ),
    right=(ONLY_WITH_NOISE,),
    mistakes=(
        Mistake(
            "Without noise by far; with noise hardly",
            "Without noise nothing that was done is forgotten, be it early or late. Where does it matter when "
            "something is done?",
        ),
        Mistake(
            "In both by about as much",
            "Think of what was built in the first piece, and of what is left of it at $T$, with diffusion and without.",
        ),
        Mistake(
            "In neither: there are as many weights as before",
            "There are as many weights, but they act at other times. With noise, does it matter when?",
        ),
    ),
    explanation=(
        "With noise a bump of width $s$ that was made at the time $t$ has blurred by $T$; only what is made in the "
        "last moments stays sharp, so that a short piece belongs there. Without noise it hardly matters. The button "
        "below measures it."
    ),
)

BLUR = Number(
    key="blur",
    title="How short is short",
    question=(
        "A bump of standard deviation $s=.3$ is left to diffuse with $D=1$. After which time has its *variance* "
        "doubled?"
    ),
    right=("0.3**2/2", "0.045"),  # the variance is s² + 2Dt: t = s²/2D
    mistakes=(
        Mistake("0.3**2", "A factor 2: the variance of a diffusion grows by $2Dt$, not by $Dt$."),
        Mistake("0.3/2", "A variance is doubled, so $s$ must be squared: a time is a length squared over $D$."),
        Mistake("0.3", "A variance is doubled, so $s$ must be squared, and it grows by $2Dt$."),
        Mistake(
            "3*0.3**2/2", "Then the *standard deviation* has doubled, and the variance has become four times as large."
        ),
        Mistake(
            "0.3**2/4",
            "A factor 2: $\\partial_t\\rho=D\\,\\partial_x^2\\rho$ makes the variance grow by $2Dt$, not by $4Dt$.",
        ),
    ),
    explanation=(
        "$t=s^2/2D=.045$. Of four equal pieces of $[0,1.5]$ the last is .375 long, eight times as much. If each piece "
        "is half as long as the one before, it is .1."
    ),
)

BIAS = Formula(
    key="bias",
    title="A score that is wrong by a constant",
    question=(
        "Data $N(m,1)$, the Ornstein–Uhlenbeck process, and a score that is too large by a constant $a$ everywhere. "
        "With the exact score the drift at the noise level $\\eta$ is $x+(1+\\eta)\\nabla\\log p$, and $\\nabla\\log "
        "p=-(x-\\mu(t))$. So the error $e$ of the mean obeys, with the biased score,\n\n$$\n\\begin{aligned}\\dot "
        "e&=e+(1+\\eta)(-e+a)\\\\&=-\\eta e+(1+\\eta)a,\\quad e(0)=0.\\end{aligned}\n$$\n\nWrite $e(T)$ for "
        "$\\eta>0$; call it `eta`."
    ),
    probes=BIASES,
    right=(
        "(1 + eta)/eta*(1 - exp(-eta*T))*a",
        "a*(1+eta)*(1-exp(-T*eta))/eta",
        "(1/eta + 1)*a - (1 + 1/eta)*a*exp(-eta*T)",
    ),
    mistakes=(
        Mistake(
            "(1 - exp(-eta*T))/eta*a",
            "The factor $(1+\\eta)$ is missing: the drift has $(1+\\eta)$ times the score, and so $(1+\\eta)$ times "
            "its error.",
        ),
        Mistake(
            "(1 + eta)*(1 - exp(-eta*T))*a",
            "A $1/\\eta$ is missing: for small $\\eta$ yours tends to zero. For small $\\eta$ the equation is nearly "
            "$\\dot e=a$: what is $e(T)$ then?",
        ),
        Mistake("(1 + eta)*T*a", "Nothing is forgotten here: the term $-\\eta e$ is left out."),
        Mistake("T*a", "That is the limit $\\eta\\to0$, the flow without noise. Here $\\eta>0$."),
        Mistake("(1 + eta)/eta*a", "That is where it tends to for large $T$. At $T$ it has not got there yet."),
        Mistake("2*(1 - exp(-T))*a", "That is for $\\eta=1$ only. Solve the linear equation with $\\eta$ in it."),
    ),
    explanation=(
        "$e(T)=\\frac{1+\\eta}{\\eta}(1-e^{-\\eta T})\\,a$. Noise forgets at the rate $\\eta$, and pays by the factor "
        "$1+\\eta$. As $\\eta\\to0$ it is $Ta$, which grows for ever; with noise it stays below $(1+1/\\eta)a$. At "
        "$\\eta=1$ it is $2(1-e^{-T})a$."
    ),
)

THRESHOLD = Number(
    key="threshold",
    title="From when on noise helps",
    question=(
        "For a biased score: from which horizon $T>0$ on is the error of the mean smaller with $\\eta=1$ than without "
        "noise? Use the slider, or solve the equation; three digits are enough."
    ),
    tolerance=1.5e-3,
    right=("1.5936", "1.594", "1.59362426"),  # 2(1 − e^{−T}) = T
    mistakes=(
        Mistake(
            "log(2)",
            "There the difference is largest: both errors grow equally fast, $2e^{-T}=1$. Look for where the errors "
            "themselves are equal.",
        ),
        Mistake("2", "That is where $T$ meets the limit 2. At $T=2$ the error with noise is still below its limit."),
        Mistake("1", "Put it in: $2(1-e^{-1})=1.26$ is larger than 1. Noise still hurts there."),
        Mistake("0", "There nothing has happened yet, and both are zero. Another solution is wanted."),
    ),
    explanation=(
        "$2(1-e^{-T})=T$ at $T=1.5936$. On shorter horizons noise *hurts*, with the same wrong score: it forgets, "
        "but there is not yet enough to forget to pay for the factor $1+\\eta$."
    ),
)

KEPT = Choice(
    key="kept",
    title="A wrong start",
    question=(
        "Say it before you see it. The process starts from $N(0,1)$ and not from $p(0)=N(m_0,s_0^2)$, with the exact "
        "drift for $p$. Count the distance of the means in standard deviations, $|m-m_p|/s_p$. How much of it is left "
        "at $T$ **without** noise?"
    ),
    options=("Nothing", "A share that falls with T", KEEPS, "More than there was"),
    right=(KEEPS,),
    mistakes=(
        Mistake("Nothing", "The drift knows nothing of the density: it is the exact one for $p$, not a feedback."),
        Mistake(
            "A share that falls with T",
            "What would forget? Without noise every particle follows a path that is fixed by its start. The paths are "
            "those along which $p$ itself moves.",
        ),
        Mistake(
            "More than there was",
            "In units of length it can grow, where $p$ gets broader. But in standard deviations of $p$ the map is the "
            "one that takes $m_0+s_0z$ to $m_T+s_Tz$.",
        ),
    ),
    explanation=(
        "The flow takes $m_0+s_0z$ to $m_T+s_Tz$ with the same $z$: in standard deviations nothing changes. With "
        "noise, $\\big(e^{-T}s_T/s_0\\big)^\\eta$ of it is left (derived here, for Gaussian data and the "
        "Ornstein–Uhlenbeck process)."
    ),
)

WRONG_START = Function(
    key="wrong_start",
    title="Where a wrong start ends, for any data",
    name="arrives",
    question=(
        "The exact reverse process with $\\eta=1$ is the forward process run backwards: from $y$ it goes to $x$ with "
        "the probability $q_0(x)\\,k(x,y)/q_T(y)$ (Bayes), where $k(x,y)$ is that of going from $x$ to $y$ forwards. "
        "On a grid `P` is the matrix $k$, so that `P @ f` is $(P_Tf)(x)=\\sum_yk(x,y)f(y)$. Write the density at "
        "which a start `rho0` arrives, given the data `q0` and the noised data `qT`."
    ),
    start="def arrives(rho0, q0, qT, P):\n    return rho0\n",
    probes=(_markov(),),
    # ρ_T(x) = Σ_y q₀(x) k(x, y)/q_T(y) ρ₀(y) = q₀ · P_T[ρ₀/q_T]
    right=(
        "def arrives(rho0, q0, qT, P):\n    return q0 * (P @ (rho0 / qT))\n",
        "def arrives(rho0, q0, qT, P):\n    return q0 * dot(P, rho0 / qT)\n",
        "def arrives(rho0, q0, qT, P):\n"
        "    ratio = rho0 / qT\n"
        "    return array([q0[i] * sum(P[i] * ratio) for i in range(len(q0))])\n",
    ),
    mistakes=(
        Mistake(
            "def arrives(rho0, q0, qT, P):\n    return q0 * (P @ rho0)\n",
            "$q_T$ is forgotten: this has not even mass one. Bayes divides by the probability of being at $y$.",
        ),
        Mistake(
            "def arrives(rho0, q0, qT, P):\n    return q0 * (P.T @ (rho0 / qT))\n",
            "The matrix is transposed: `P.T` carries densities forwards. Here a function of $y$ is averaged.",
        ),
        Mistake(
            "def arrives(rho0, q0, qT, P):\n    return q0 * (P @ (qT / rho0))\n",
            "The ratio is upside down: where $\\rho_0=q_T$ it makes no difference, and elsewhere it does. More start, "
            "more arrives.",
        ),
        Mistake(
            "def arrives(rho0, q0, qT, P):\n    return P.T @ rho0\n",
            "That is the forward process: it makes more noise of the start, no data.",
        ),
        Mistake(
            "def arrives(rho0, q0, qT, P):\n    return q0 * rho0 / qT\n",
            "Nothing has been averaged: without $P_T$ all of the error at the start would be kept.",
        ),
    ),
    explanation=(
        "$\\rho_T=q_0\\,P_T[\\rho_0/q_T]$. From the right start the ratio is one, and one arrives at $q_0$. From a "
        "wrong one the ratio is averaged by $P_T$: the longer the horizon, the flatter, and the less of the start is "
        "left."
    ),
)

CROSS = Choice(
    key="cross",
    title="Reading the cross table",
    question=(
        "`compare` found for `iris-petals` (16 equal pieces, one neuron, a quick search), as $L^2$ errors at $T$:\n\n"
        "| controls found at | run at noise 0 | run at noise 1 |\n|---|---|---|\n| noise 0 | .048 | .400 |\n"
        "| noise 1 | .819 | .163 |\n\nWhich statement does this table support?"
    ),
    options=(
        "Noise hurts reverse processes on these data",
        "Controls fit the noise for which they were found; with this budget the answer without noise is nearer",
        "The controls found with noise are robust: they work without it, too",
        "The exact drift with noise would miss the data by .163",
    ),
    right=("Controls fit the noise for which they were found; with this budget the answer without noise is nearer",),
    mistakes=(
        Mistake(
            "Noise hurts reverse processes on these data",
            "The table speaks of one budget: one neuron, sixteen equal pieces, one search. You have seen what other "
            "lengths of the pieces do.",
        ),
        Mistake(
            "The controls found with noise are robust: they work without it, too",
            "Read the second row: what do they leave when they are run without noise?",
        ),
        Mistake(
            "The exact drift with noise would miss the data by .163",
            "The exact drift carries the reference at every noise level. What misses is the best that this search "
            "found for one neuron.",
        ),
    ),
    explanation=(
        "The diagonal compares answers of one budget, no more. Off it, drifts meet a noise that they were not made "
        "for: those found with noise must work against a diffusion, and without it they press everything together. "
        "With `controls.lengths=0.75`, each piece three quarters of the one before, the same quick search comes to "
        ".018 without noise and to .040 with it. Two tables, two budgets: neither says what the best controls can do."
    ),
)

EXERCISES: tuple[Exercise, ...] = (LENGTHS, BLUR, BIAS, THRESHOLD, KEPT, WRONG_START, CROSS)
