"""The exercises of lesson 3: the noised law, its score, the field that runs it backwards, the exact drift.

All of them are about dX = −X ds + √(2D₀) dW with D₀ = 1 and Gaussian data N(m, S):
q(s) = N(e^{−s}m, e^{−2s}S + 1 − e^{−2s}), p(t) = q(T − t), v*_η = −f + (1 + η)D₀ ∂ₓlog p.
"""

from __future__ import annotations

import numpy as np

from controlsde.lessons.exercises import Choice, Formula, Function
from controlsde.lessons.verdicts import Mistake

_POINTS = np.linspace(-2.0, 2.5, 10)

VARIANCE = Formula(
    key="variance",
    title="The width after the time s",
    question=r"""
The data are $N(m, S)$, where $S$ is the variance. For $dX = -X\,ds + \sqrt{2}\,dW$ the mean obeys $\dot\mu = -\mu$,
so $\mu(s) = e^{-s}m$. What is the variance of $X$ at the time $s$?
""",
    right=("exp(-2*s)*S + 1 - exp(-2*s)", "1 + (S - 1)*exp(-2*s)", "exp(-2*s)*(S + exp(2*s) - 1)"),
    mistakes=(
        Mistake(
            "exp(-2*s)*S + (1 - exp(-2*s))/2",
            r"That is a factor of two in the diffusivity. Look at $\sqrt{2}\,dW$: in a time $ds$ it adds the square "
            r"of $\sqrt{2}$ times $ds$ to the variance.",
        ),
        Mistake(
            "exp(-s)*S + 1 - exp(-s)",
            "Here the variance shrinks like the mean. If all distances shrink by $e^{-s}$, by how much does a "
            "squared distance shrink?",
        ),
        Mistake(
            "exp(-2*s)*S",
            r"The noise is forgotten: this is the variance of $dX = -X\,ds$ alone, which goes to zero.",
        ),
        Mistake(
            "S + 2*s",
            r"The force is forgotten: this is the variance under heat flow, $dX = \sqrt{2}\,dW$. Here $-X$ pulls "
            "particles back at the same time.",
        ),
        Mistake(
            "exp(-2*s)*S + 1",
            "The noise is counted from the long run, where it has had all the time that it needs. What has it added "
            "at $s = 0$?",
        ),
        Mistake(
            "sqrt(exp(-2*s)*S + 1 - exp(-2*s))",
            "That is the standard deviation. The letter $S$ and the question are about variances.",
        ),
    ),
    explanation=r"""
The variance $V$ obeys $\dot V = -2V + 2$: the force takes $2V$, the noise adds $2D_0 = 2$. Whatever the data were, it
goes to 1, and the mean to 0: the forward process ends in noise. A mixture of Gaussians stays a mixture, for the
equation of the density is linear; each component moves by this formula.
""",
    probes=(
        {"s": 0.5, "S": 0.25},
        {"s": np.array([0.0, 0.1, 1.0, 3.0]), "S": 4.0},
        {"s": 0.7, "S": np.array([0.0, 1.0, 2.0])},
    ),
)

WIDER = Choice(
    key="wider",
    title="Which noise makes the law wider",
    question=r"""
Two processes start from the same noise and run to the data. One is an ordinary differential equation ($\eta = 0$).
The other has noise of the diffusivity $\eta D_0$ with $\eta = 1$. Each is given *its own* exact drift $v^*_\eta$,
which you will derive below. Predict: whose density at $t = T$ is wider?
""",
    options=(
        "that of η = 1: noise spreads",
        "that of η = 0: nothing holds it together",
        "neither: they have the same density, at T and at all times before",
        "neither at T, but on the way η = 1 is wider",
    ),
    right=("neither: they have the same density, at T and at all times before",),
    mistakes=(
        Mistake(
            "that of η = 1: noise spreads",
            "Noise spreads, with *one* drift for both. Here each process has its own drift, and that of the noisy "
            "one is made to undo the spreading. Move the slider below, then answer again.",
        ),
        Mistake(
            "that of η = 0: nothing holds it together",
            "Without noise there is nothing that would have to be held together. Move the slider below, then answer "
            "again.",
        ),
        Mistake(
            "neither at T, but on the way η = 1 is wider",
            "At T you are right. But the drift is made for all times: look at the densities on the way, below.",
        ),
    ),
    explanation=r"""
The drift depends on $\eta$, the densities do not. Noise that spreads is answered, at every place and time, by a drift
that pulls together just as much. What does depend on $\eta$ is the path of a single particle.
""",
)

SCORE = Formula(
    key="score",
    title="The score of a Gaussian",
    question=r"""
The *score* of a density $p$ is the derivative of its logarithm, $\partial_x \log p(x)$. What is it for $N(m, S)$,
with the variance $S$?
""",
    right=("-(x - m)/S", "(m - x)/S", "m/S - x/S"),
    mistakes=(
        Mistake(
            "(x - m)/S",
            "The sign of the score is wrong. The score points to where the density is larger: left of the mean it "
            "must be positive.",
        ),
        Mistake(
            "-(x - m)",
            "The variance is forgotten: this is the score of $N(m, 1)$. A narrow density is steeper, so its score "
            "is larger.",
        ),
        Mistake("-x/S", "The mean is forgotten: this score vanishes at 0, where the density has no maximum."),
        Mistake(
            "-(x - m)/S**2",
            "Here $S$ was taken for the standard deviation. It is the variance: the exponent is $-(x - m)^2 / 2S$.",
        ),
        Mistake(
            "-(x - m)/(2*S)",
            "A factor of two: it is lost when the square is differentiated, or one was left over in the denominator.",
        ),
        Mistake("-(x - m)**2/(2*S)", "That is the logarithm itself, up to a constant. The score is its derivative."),
        Mistake(
            "-(x - m)/S*exp(-(x - m)**2/(2*S))/sqrt(2*pi*S)",
            "That is the derivative of the density. The score is the derivative of its *logarithm*: divide by the "
            "density.",
        ),
    ),
    explanation=r"""
The constant $1/\sqrt{2\pi S}$ is gone: a score does not know how much mass there is in all. That is why it can be
learned from samples. In $D_0\,\partial_x\log p$ it becomes a velocity, and
$D_0\,\partial_x p = (D_0\,\partial_x\log p)\,p$ says that diffusion moves mass as a velocity $-D_0\,\partial_x\log p$
would.
""",
    probes=(
        {"x": _POINTS, "m": 0.5, "S": 0.3},
        {"x": _POINTS, "m": -1.0, "S": 2.0},
        {"x": 0.2, "m": 0.7, "S": np.array([0.5, 4.0])},
    ),
)

FIELD = Formula(
    key="field",
    title="The field that carries p backwards",
    question=r"""
Forwards, $\partial_s q = -\partial_x(f q) + D_0\,\partial_{xx} q$. Turn the clock, $t = T - s$ and $p(t) = q(T - t)$,
and write what you get as pure transport,

$$
\partial_t p = -\partial_x (w\,p) .
$$

What is $w$? Write `f` for the force, `D0` for $D_0$ and `score` for $\partial_x\log p$.
""",
    right=("-f + D0*score", "D0*score - f", "-(f - D0*score)"),
    mistakes=(
        Mistake(
            "f - D0*score",
            "That is the velocity of the *forward* process. The clock was not turned: $\\partial_t p = -\\partial_s "
            "q$.",
        ),
        Mistake(
            "-f - D0*score",
            "The sign of the score is wrong. Backwards, mass must gather where forwards it has spread. From "
            r"$-D_0\,\partial_{xx} p = -\partial_x(D_0\,\partial_x p)$, read off what stands beside $p$.",
        ),
        Mistake(
            "f + D0*score",
            "The sign of the force is wrong: what was pulled to 0 forwards has to be pushed away from 0 backwards.",
        ),
        Mistake(
            "-f + 2*D0*score",
            "A factor of two. That is the drift of a process that has noise of the diffusivity $D_0$ itself; here "
            "there is none.",
        ),
        Mistake(
            "-f",
            "The force alone is turned. The diffusion spread the mass, too, and something has to gather it again.",
        ),
        Mistake("-f + score", "The score has the unit 1/length: what makes it a velocity? A factor is missing."),
    ),
    explanation=r"""
$\partial_t p = \partial_x(f p) - D_0\,\partial_{xx}p = -\partial_x\big((-f + D_0\,\partial_x\log p)\,p\big)$. The
last step is the whole trick: a second derivative with the wrong sign cannot be run as a diffusion, but with $p$ known
it is a transport, and transport runs in both directions. $\dot x = w(t, x)$ is called the probability flow.
""",
    probes=(
        {"f": np.array([-1.0, 0.5, 2.0]), "D0": 1.3, "score": np.array([0.7, -0.4, 1.1])},
        {"f": 0.0, "D0": 0.5, "score": 2.0},
    ),
)

_START = '''def exact_drift(x, t, eta, T, m, S):
    """The exact drift at the time t of the reverse clock."""
    s = ...           # the forward time
    mean = ...        # of q(s)
    variance = ...    # of q(s)
    score = ...
    return ...
'''


def _drift(
    clock: str = "T - t",
    mean: str = "exp(-s)*m",
    variance: str = "exp(-2*s)*S + 1 - exp(-2*s)",
    score: str = "-(x - mean)/variance",
    drift: str = "x + (1 + eta)*score",
) -> str:
    """An answer, with what one line of it says."""
    return (
        "def exact_drift(x, t, eta, T, m, S):\n"
        f"    s = {clock}\n"
        f"    mean = {mean}\n"
        f"    variance = {variance}\n"
        f"    score = {score}\n"
        f"    return {drift}\n"
    )


DRIFT = Function(
    key="drift",
    title="Write the exact drift",
    question=r"""
Write $v^*_\eta(t, x)$ for Gaussian data $N(m, S)$ and the forward process $dX = -X\,ds + \sqrt{2}\,dW$. `x` may be an
array. It drives the
particles in the picture below, right or wrong.
""",
    start=_START,
    name="exact_drift",
    right=(
        _drift(),
        "def exact_drift(x, t, eta, T, m, S):\n"
        "    decay = exp(t - T)\n"
        "    return x + (1 + eta)*(decay*m - x)/(1 + decay**2*(S - 1))\n",
        "def exact_drift(x, t, eta, T, m, S):\n"
        "    a = np.exp(-(T - t))\n"
        "    v = a*a*S + (1 - a*a)\n"
        "    w = x - (x - a*m)/v\n"
        "    return w - eta*(x - a*m)/v\n",
    ),
    mistakes=(
        Mistake(
            _drift(drift="x + score"),
            r"$(1 + \eta)$ is missing: this is $w$, the drift for $\eta = 0$. With noise it lets the density spread.",
        ),
        Mistake(
            _drift(drift="x + eta*score"),
            r"$1 + \eta$ became $\eta$. One share of the score runs the forward noise backwards, even without any "
            r"noise of the reverse process; the share $\eta$ comes on top.",
        ),
        Mistake(
            _drift(drift="-x + (1 + eta)*score"),
            "The sign of $f$: the force is $f = -x$, and the drift has $-f$.",
        ),
        Mistake(
            _drift(score="(x - mean)/variance"),
            "The sign of the score: it must point to the mean.",
        ),
        Mistake(
            _drift(drift="-x - (1 + eta)*score"),
            "Both signs are turned: that is the forward clock. Time runs from noise to data here.",
        ),
        Mistake(
            _drift(clock="t"),
            "The clock: $p(t) = q(T - t)$, so that at $t = 0$ the law is the one that was noised for the time $T$.",
        ),
        Mistake(
            _drift(variance="exp(-2*s)*S + (1 - exp(-2*s))/2"),
            r"A factor of two in the diffusivity: $\sqrt{2}\,dW$ adds 2 to the variance per unit of time.",
        ),
        Mistake(
            _drift(score="-(x - mean)"),
            "The variance is forgotten in the score.",
        ),
        Mistake(_drift(mean="m"), r"The mean of $q(s)$ is not $m$: it was pulled to 0 by $e^{-s}$."),
        Mistake(
            _drift(drift="x + (1 + 2*eta)*score"),
            r"A factor of two at $\eta$: the noise of the diffusivity $\eta D_0$ is $\sqrt{2\eta D_0}\,dW$, and it "
            "is the diffusivity that stands in the drift.",
        ),
    ),
    explanation=r"""
It is linear in $x$, because the score of a Gaussian is: $v^*_\eta = x + (1 + \eta)(e^{-s}m - x)/V(s)$ where $V$ is
the variance of $q(s)$. Near $t = T$ a narrow target has a steep drift, and the steeper, the more noise: with
$S = 0.05$ the slope at the end is $1 - 20(1 + \eta)$. That is what a network with bounded weights has to follow.
""",
    probes=(
        (_POINTS, 0.4, 0.5, 1.5, 1.2, 0.2),
        (_POINTS, 1.2, 0.0, 1.5, -0.7, 0.5),
        (_POINTS, 0.0, 2.0, 1.0, 0.5, 3.0),
    ),
)

EQUILIBRIUM = Formula(
    key="equilibrium",
    title="When the data are noise already",
    question=r"""
Let the data be $N(0, 1)$ themselves. Then the forward process leaves them as they are, and $p(t)$ does not move. What
is $v^*_\eta$?
""",
    right=("-eta*x", "x - (1 + eta)*x", "-x*eta"),
    mistakes=(
        Mistake(
            "0",
            r"That is so at $\eta = 0$, where nothing needs to move. With noise and no drift the density would spread.",
        ),
        Mistake("-x", r"That holds at $\eta = 1$. What about other noise levels?"),
        Mistake(
            "eta*x",
            "With this sign particles are driven away from 0 while the noise spreads them, too. Which sign has the "
            "score?",
        ),
        Mistake(
            "-(1 + eta)*x",
            "The force is forgotten: $-f$ stands in the drift, too.",
        ),
        Mistake("x - eta*x", r"$(1 + \eta)$ stands before the score, not $\eta$."),
        Mistake("-2*eta*x", r"A factor of two: with the noise $\sqrt{2\eta}\,dW$ this keeps $N(0, \frac12)$."),
    ),
    explanation=r"""
At $\eta = 0$ nothing moves at all. At $\eta = 1$ it is $-x$, the forward process itself: at equilibrium a film of it
looks the same in both directions. Every $\eta$ keeps $N(0, 1)$, with ever livelier particles. Seen through densities,
these processes cannot be told apart.
""",
    probes=({"x": _POINTS, "eta": 0.5}, {"x": _POINTS, "eta": 2.0}, {"x": 1.0, "eta": np.array([0.0, 1.0])}),
)

EXERCISES = (VARIANCE, WIDER, SCORE, FIELD, DRIFT, EQUILIBRIUM)
