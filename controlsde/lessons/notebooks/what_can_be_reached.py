"""Lesson 7: what can be reached. Energy, the bound that no drift beats, the Gramian, the price of narrowness."""

import marimo

app = marimo.App(app_title="What can be reached", width="medium")

with app.setup:
    from functools import lru_cache

    import marimo as mo
    import numpy as np

    import controlsde as cs
    from controlsde.claims.harness.evolution import density_after, line
    from controlsde.controllability.ends import Ends
    from controlsde.lessons.page import (
        BLUE,
        GREEN,
        ORANGE,
        PINK,
        REFERENCE,
        Curve,
        Scale,
        answered,
        around,
        asked,
        drawn,
        exercises_of,
        side_by_side,
        summary,
    )
    from controlsde.lessons.students_code import NotUnderstoodError, function_of
    from controlsde.problem import parse_problem
    from controlsde.tracking.posed import Posed

    exercise = exercises_of("what_can_be_reached").__getitem__


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 7. What can be reached

    A network has missed the data. Is that the network's fault, or could no drift have done better? There are questions
    that need no network and no search: what *any* drift must spend to arrive, and which changes of the density are
    cheap.

    **Afterwards you can** compute the energy of a transport; prove a lower bound that no drift beats, with a function
    of your own; say which patterns of a density are cheap and what noise does to that; and read the price of
    narrowness in a result.

    **It takes** about 40 minutes. You need integrals, Fourier series and the idea of a dual problem.

    ## Energy

    The state equation is $\partial_t\rho=D\,\partial_x^2\rho-\partial_x(v\rho)$, and a drift spends the kinetic energy

    $$
    E=\int_0^T\!\!\int|v(t,x)|^2\,\rho(t,x)\,dx\,dt.
    $$
    """)
    return


@app.cell
def _():
    answer_shift = asked(exercise("shift"))
    answer_shift
    return (answer_shift,)


@app.cell
def _(answer_shift):
    answered(exercise("shift"), answer_shift.value)
    return


@app.cell
def _():
    answer_gaussians = asked(exercise("gaussians"))
    answer_gaussians
    return (answer_gaussians,)


@app.cell
def _(answer_gaussians):
    answered(exercise("gaussians"), answer_gaussians.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## With noise: Schrödinger's bridge

    With $D>0$ the density spreads by itself, and the drift must work against that where it wants to be narrow. Between
    Gaussians the least energy is known in closed form: with $e=2DT$, $c=\tfrac12\big(-e+\sqrt{e^2+4s_0^2s_1^2}\big)$,

    $$
    \begin{aligned}E=4D\Big\{&\tfrac12\log\frac{e}{s_1^2-c^2/s_0^2}-\tfrac12\\&+\frac{(m_1-m_0)^2+s_0^2+s_1^2-2c}{2e}\Big\},\end{aligned}
    $$

    and on the way the density is Gaussian, with the variance
    $(1-\tau)^2s_0^2+\tau^2s_1^2+2\tau(1-\tau)c+\tau(1-\tau)e$ at $t=\tau T$. Below: from $N(0,1)$ to $N(1.5,.4^2)$ in
    $T=1$. The marks are `cs.energy_bound(problem)`, which knows nothing of Gaussians. Where do the curve and your
    formula without noise meet?
    """)
    return


@app.cell
def _():
    spread = mo.ui.slider(steps=[0.01, 0.05, 0.1, 0.2, 0.5, 1, 2], value=1, label="diffusivity D", show_value=True)
    spread
    return (spread,)


@app.cell
def _():
    def bridge(D, m0=0.0, s0=1.0, m1=1.5, s1=0.4, T=1.0):
        """The least energy between Gaussians, and mean and deviation on the way."""
        e = 2 * D * T
        c = 0.5 * (-e + np.sqrt(e**2 + 4 * s0**2 * s1**2))
        way = ((m1 - m0) ** 2 + s0**2 + s1**2 - 2 * c) / (2 * e)
        tau = np.linspace(0, 1, 81)
        variance = (1 - tau) ** 2 * s0**2 + tau**2 * s1**2 + 2 * tau * (1 - tau) * c + tau * (1 - tau) * e
        energy = 4 * D * (0.5 * np.log(e / (s1**2 - c**2 / s0**2)) - 0.5 + way)
        return energy, tau * T, m0 + tau * (m1 - m0), np.sqrt(variance)

    def between_gaussians(D):
        """The same ends as a problem of the software."""
        return parse_problem(
            f"""
    domain: {{box: [[-6, 6]]}}
    reference:
      kind: displacement
      diffusivity: 1.0
      horizon: 1.0
      from: {{kind: mixture, means: [0], stds: [1]}}
      to: {{kind: mixture, means: [1.5], stds: [0.4]}}
    noise: {D!r}
    """
        )

    marks = np.array([0.1, 0.5, 1.0, 2.0])
    bounds_of_marks = [cs.energy_bound(between_gaussians(float(D))).value for D in marks]
    return bounds_of_marks, bridge, marks


@app.cell
def _(bounds_of_marks, bridge, marks, spread):
    def picture_of_bridge(D):
        energy, t, mean, deviation = bridge(D)
        _, _, _, still = bridge(1e-9)
        on_the_way = [
            Curve(t, mean, BLUE, "mean"),
            Curve(t, mean + deviation, ORANGE, "mean ± s"),
            Curve(t, mean - deviation, ORANGE),
            Curve(t, mean + still, REFERENCE, "without noise"),
            Curve(t, mean - still, REFERENCE),
        ]
        levels = np.linspace(0.01, 2.05, 80)
        of_noise = [
            Curve(levels, [bridge(one)[0] for one in levels], BLUE, "closed form"),
            Curve(marks, bounds_of_marks, ORANGE, "energy_bound", line=False, mark="circle"),
            Curve([D], [energy], GREEN, "here", line=False, mark="diamond"),
        ]
        return side_by_side(
            drawn(on_the_way, around([t], "t"), Scale(-2.0, 2.6, "x"), f"The bridge at D = {D:g}"),
            drawn(
                of_noise,
                around([levels], "D"),
                around([[0.0, bridge(2.05)[0]]], "least energy"),
                f"Least energy against D; {energy:.4g} at D = {D:g}",
                note=f"D = {D:g}: E = {energy:.4g}. Without noise W₂²/T = {1.5**2 + 0.6**2:.4g}.",
            ),
        )

    picture_of_bridge(spread.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## A bound that no drift beats

    For other densities there is no closed form, but there is a proof for everybody. Take *any* function $g$ on the
    box, $P$ the heat semigroup, and $\varphi(t)=2D\log P_{D(T-t)}e^g$. Then
    $\partial_t\varphi+\tfrac12|\nabla\varphi|^2+D\Delta\varphi=0$, and along any solution of the state equation

    $$
    \begin{aligned}\frac{d}{dt}\int\varphi\rho&=\int\big(v\cdot\nabla\varphi-\tfrac12|\nabla\varphi|^2\big)\rho\\&\le\tfrac12\int|v|^2\rho,\end{aligned}
    $$

    because $v\cdot w-\tfrac12|w|^2\le\tfrac12|v|^2$. Integrate from $0$ to $T$: that is all. If the end may miss the
    data $p$ by $\varepsilon$ in $L^2$, the worst that $\int g\,\rho(T)$ can lose is $\varepsilon\|g-\bar g\|$.
    """)
    return


@app.cell
def _():
    answer_bound = asked(exercise("bound"))
    answer_bound
    return (answer_bound,)


@app.cell
def _(answer_bound):
    answered(exercise("bound"), answer_bound.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Prove it yourself

    The shipped problem `two-bumps` with noise 1: from a broad hill to two narrow bumps. Take $g(x)=-a\,(|x|-c)^2$,
    and move $a$ and $c$ until **your** function `bound` proves as much as you can get. Each position of the sliders
    is a theorem. The right picture shows the density at which the drift $\nabla\varphi$ of your $g$ arrives.
    """)
    return


@app.cell
def _():
    steepness = mo.ui.slider(0, 9, 0.25, value=1.0, label="a", show_value=True)
    centre = mo.ui.slider(0.5, 2.5, 0.05, value=1.0, label="c", show_value=True)
    missed = mo.ui.slider(steps=[0.0, 0.02, 0.05, 0.1, 0.2], value=0.0, label="ε", show_value=True)
    mo.hstack([steepness, centre, missed], justify="start", wrap=True)
    return centre, missed, steepness


@app.cell
def _():
    two_bumps = cs.load_problem("two-bumps")  # noise 1

    @lru_cache
    def least(noise, within):
        """What `cs.energy_bound` finds: the least energy of any drift."""
        return cs.energy_bound(cs.load_problem("two-bumps", set={"noise": noise}), within=within)

    on = least(1.0, 0.0).mesh
    ends = Ends.of(Posed.of(two_bumps), on)  # ρ₀, p and the heat kernel on the mesh of the bound
    return ends, least, on, two_bumps


@app.cell
def _(answer_bound, centre, ends, least, missed, on, steepness):
    def picture_of_proof(text, a, c, within):
        x = on.points[:, 0]
        g = -a * (np.abs(x) - c) ** 2
        carried = np.exp(ends.kernel.log_of_exponential(g))
        best = least(1.0, within)
        start = np.maximum(ends.initial, 1e-300)
        led = np.exp(g + ends.kernel.log_of_exponential(np.log(start / carried)))
        try:
            said = "Write `bound` above; then what your g proves stands here."
            if text is not None:
                proved = function_of(text, "bound")(
                    g, carried, ends.initial, ends.target, on.weights, ends.diffusivity, within
                )
                right = exercise("bound").check(text).solved
                own = "" if right else " (by your `bound`, which is not right yet)"
                said = f"**You have proved E ≥ {float(proved):.4f}**{own}. The best g there is proves {best.value:.4f}."
        except (NotUnderstoodError, TypeError) as error:
            said = f"`bound` cannot be run: {error}"
        seen = slice(None)
        pictures = side_by_side(
            drawn(
                [
                    Curve(x[seen], np.maximum(best.potential - best.potential.max(), -12), REFERENCE, "the best g"),
                    Curve(x[seen], np.maximum(g, -12), BLUE, "your g"),
                ],
                Scale(-4.0, 4.0, "x"),
                Scale(-12.0, 0.5, "g"),
                "Your g and the best one",
                title="the function g",
            ),
            drawn(
                [Curve(x, ends.target, REFERENCE, "data"), Curve(x, led, BLUE, "arrived at")],
                Scale(-4.0, 4.0, "x"),
                around([ends.target, led], "density at T"),
                "Where the drift of your g arrives",
                title="where its drift arrives",
            ),
        )
        return mo.vstack([mo.md(said), pictures])

    picture_of_proof(answer_bound.value, steepness.value, centre.value, missed.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The software finds its $g$ by Sinkhorn's iteration, or by ascent where $\varepsilon>0$. It need not be trusted:
    the bound holds for whatever $g$ came out, and is judged again on a finer mesh.

    ## Arriving only nearly
    """)
    return


@app.cell
def _():
    answer_feasible = asked(exercise("feasible"))
    answer_feasible
    return (answer_feasible,)


@app.cell
def _(answer_feasible):
    answered(exercise("feasible"), answer_feasible.value)
    return


@app.cell
def _():
    tolerance = mo.ui.slider(0.0, 0.6, 0.025, value=0.05, label="ε", show_value=True)
    tolerance
    return (tolerance,)


@app.cell
def _(answer_feasible, least, tolerance):
    def picture_of_frontier(within):
        distances = np.array([0.0, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6])
        curves, said = [], []
        for noise, ink in ((0.25, ORANGE), (1.0, BLUE)):
            curves.append(
                Curve(distances, [least(noise, float(one)).value for one in distances], ink, f"η = {noise:g}")
            )
            said.append(f"η = {noise:g}: E ≥ {least(noise, within).value:.4g}")
        return drawn(
            curves,
            around([distances], "ε = ‖ρ(T) − p(T)‖"),
            around([curves[1].y], "least energy"),
            f"Least energy of any drift against the distance; at {within:g}: {'; '.join(said)}",
            uprights=[within],
            note=f"ε = {within:g}. {'; '.join(said)}. Below the curves no drift can be.",
        )

    mo.md("*Answer first; then the curve is shown here.*") if answer_feasible.value is None else picture_of_frontier(
        tolerance.value
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Which changes are cheap?

    Now only small changes. About given controls the map from changes of the drift to changes of $\rho(T)$ is linear.
    Its singular values say how large a change one unit of energy can make: $\sigma$ large is cheap. The matrix
    $W=\sum_kB_kQ_k^{-1}B_k^{\mathsf T}$ of their squares is the **Gramian** of control theory. The simplest case can be
    done by hand.
    """)
    return


@app.cell
def _():
    answer_decay = asked(exercise("decay"))
    answer_decay
    return (answer_decay,)


@app.cell
def _(answer_decay):
    answered(exercise("decay"), answer_decay.value)
    return


@app.cell
def _():
    answer_sigma = asked(exercise("sigma"))
    answer_sigma
    return (answer_sigma,)


@app.cell
def _(answer_sigma):
    answered(exercise("sigma"), answer_sigma.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Move the noise and the number of pieces $K$; $T=.4$. The lines are the formula, the marks are *measured*: a drift
    $a_k\sin n\pi x$ of next to no strength is run through the state equation, and $\|\rho(T)-1\|$ is divided by
    $\sqrt E$. The dotted line is $1/\sqrt{2D}$: no pattern whatsoever is cheaper than that, on any pieces
    (fluctuation and dissipation).
    """)
    return


@app.cell
def _():
    level = mo.ui.slider(steps=[0.0, 0.03, 0.1, 0.3, 1.0], value=0.1, label="diffusivity D", show_value=True)
    pieces = mo.ui.slider(steps=[1, 2, 4, 8, 16, 64], value=1, label="pieces K", show_value=True)
    mo.hstack([level, pieces], justify="start", wrap=True)
    return level, pieces


@app.cell
def _(level, pieces):
    def sigma(n, D, K, T=0.4):
        """nπ {Σ_k [e^{−λ(T − t_{k+1})}(1 − e^{−λh})/λ]²/h}^½."""
        h, rate = T / K, D * (n * np.pi) ** 2
        each = h if rate == 0 else (1 - np.exp(-rate * h)) / rate
        return n * np.pi * np.sqrt(np.sum(np.exp(-2 * rate * h * np.arange(K))) * each**2 / h)

    def measured_sigma(n, D, K, T=0.4, small=1e-4):
        """The best drift a_k sin nπx, a_k ~ e^{−λ(T − t_{k+1})}, through the state equation."""
        h, rate = T / K, D * (n * np.pi) ** 2
        strengths = small * np.exp(-rate * h * np.arange(K)[::-1])
        steps = K * max(1, 16 // K)

        def drift(t, x):
            return strengths[min(int((t / h) * (1 - 1e-9)), K - 1)] * np.sin(n * np.pi * x)

        final = density_after(line(0.0, 1.0, 6), drift, D, lambda x: np.ones(len(x)), np.linspace(0, T, steps + 1))
        energy = np.sum(h * strengths**2 / 2)
        return final.l2(lambda x: np.ones(len(x))) / np.sqrt(energy)

    def picture_of_modes(D, K):
        modes = np.arange(1, 13)
        some = [1, 2, 3, 4]
        curves = [
            Curve(modes, [sigma(n, 0.0, K) for n in modes], REFERENCE, "without noise"),
            Curve(modes, [sigma(n, D, K) for n in modes], BLUE, f"D = {D:g}"),
            Curve(some, [measured_sigma(n, D, K) for n in some], ORANGE, "measured", line=False, mark="circle"),
        ]
        if D > 0:
            curves.append(Curve(modes, np.full(len(modes), 1 / np.sqrt(2 * D)), GREEN, "1/√(2D)"))
        values = ", ".join(f"{sigma(n, D, K):.3g}" for n in some)
        return drawn(
            curves,
            around([modes], "mode n", whole=True),
            around([curve.y for curve in curves[1:]], "σ"),
            f"Singular values of the first modes: {values}",
            note=f"D = {D:g}, K = {K}: σ₁ … σ₄ = {values}",
        )

    picture_of_modes(level.value, pieces.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **What noise does.** Without it fine patterns are the cheapest of all. With it every $\sigma$ falls, those of fine
    patterns most, and how much of that is the noise and how much the length of the pieces you can see by moving $K$:
    on short pieces $\sigma_n^2\to(1-e^{-2\lambda T})/2D$, which is flat in $n$. What noise takes is the *memory* of
    fine patterns, not the power to make them at the last moment. Lesson 8 builds on that.

    ## The price of narrowness

    Back to the whole way, and to networks. Their energy is measured, the least energy is proved, and their ratio is the
    **price**.
    """)
    return


@app.cell
def _():
    answer_price = asked(exercise("price"))
    answer_price
    return (answer_price,)


@app.cell
def _(answer_price):
    answered(exercise("price"), answer_price.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Here are two neurons, fitted to the exact drift by score matching on eight pieces: broader bumps, noise 1. All
    numbers are in `result.to_json()`, and `cs.controllability(result)` has the singular values about these weights.
    """)
    return


@app.cell
def _():
    matched = cs.solve(
        cs.load_problem(
            "two-bumps",
            set={
                "network.width": 2,
                "controls.pieces": 8,
                "reference.data.stds": [0.5, 0.5],
                "monte_carlo.particles": 20000,
                "solver": {"kind": "score-matching", "starts": 2},
            },
        )
    )
    found = cs.controllability(matched)
    told = matched.to_json()
    mo.md(
        f"‖ρ(T) − p(T)‖ = **{matched.tracking.l2_final:.4f}**; energy **{told['energy']:.3f}**; no drift comes as near "
        f"for less than **{told['energy_bound']:.3f}**; price **{told['price']:.2f}**. "
        "It is not one, and need not be: the exact drift itself is not the cheapest."
    )
    return (found,)


@app.cell
def _():
    share = mo.ui.slider(steps=[1e-1, 1e-2, 1e-3, 1e-4], value=1e-2, label="of the largest", show_value=True)
    share
    return (share,)


@app.cell
def _(found, share):
    def picture_of_spectrum(part):
        own = found.singular_values[found.singular_values > 1e-6 * found.singular_values[0]]
        anyone = found.any_drift.singular_values[: len(own)]
        return drawn(
            [
                Curve(np.arange(1, len(anyone) + 1), anyone, REFERENCE, "any drift on these pieces"),
                Curve(np.arange(1, len(own) + 1), own, BLUE, "these weights", mark="circle"),
                Curve([1, len(own)], [part * own[0]] * 2, PINK, "where you cut"),
            ],
            around([[1, len(own)]], "number", whole=True),
            around([own, anyone], "σ", logarithmic=True),
            f"Singular values of the weights and of any drift; {found.rank(part)} above {part:g} of the largest",
            note=f"{found.rank(part)} directions of {found.gramian.metric.kind} within {part:g} of the largest, "
            f"of {8 * 2 * 3} weights.",
        )

    picture_of_spectrum(share.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Ask the software

    The first button solves the shipped `two-bumps`, one neuron on sixteen equal pieces, with a short search, and
    tells its price and its rank. The second asks how few pieces, of lengths that it may choose, bring one neuron to
    within $.05$: `cs.reach`.
    """)
    return


@app.cell
def _():
    ask_price = mo.ui.run_button(label="Its price (half a minute)")
    ask_reach = mo.ui.run_button(label="How few pieces (one to three minutes)")
    mo.hstack([ask_price, ask_reach], justify="start", wrap=True)
    return ask_price, ask_reach


@app.cell
def _(ask_price):
    mo.stop(not ask_price.value)
    quick = {"solver.starts": 4, "solver.hops": 8, "monte_carlo.particles": 20000}
    one_neuron = cs.solve(cs.load_problem("two-bumps", set=quick))
    of_one = one_neuron.to_json()
    mo.md(
        f"One neuron, sixteen equal pieces: ‖ρ(T) − p(T)‖ = {one_neuron.tracking.l2_final:.4f}, energy "
        f"{of_one['energy']:.3g}, bound {of_one['energy_bound']:.3g}, **price {of_one['price']:.3g}**; "
        f"{cs.controllability(one_neuron).rank(1e-2)} directions within 1e-2 of the largest."
    )
    return


@app.cell
def _(ask_reach):
    mo.stop(not ask_reach.value)
    reached = cs.reach(
        cs.load_problem("two-bumps", set={"monte_carlo.particles": 20000}), within=0.05, least="pieces", budget=180
    )
    mo.md(
        f"`cs.reach`: **{reached.verdict}**, pieces {reached.value}. "
        + (
            f"‖ρ(T) − p(T)‖ = {reached.answer.error('l2'):.4f}, verified. "
            if reached.answer is not None
            else f"{reached.words}. "
        )
        + f"No drift comes within .05 for less than {reached.bound:.3g}."
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Three verdicts are possible: **reached** (and verified), **not found** (the search has ended; nothing follows for
    other searches), **impossible** (proved, by the bound that you wrote). Only the first and the last are statements
    about the problem.

    ## An open problem

    Between the energy that a neuron was *found* to spend and the energy that *any drift* must spend lies a gap, and
    nothing is proved in it. **How much must a network of width one on $K$ pieces spend, at least, to come within
    $\varepsilon$?** A bound for narrow drifts would have to use that $v$ is monotone in $x$ at every time and changes
    $K-1$ times only; the function $g$ above knows neither. The claim `price-of-narrowness` has the prices that were
    found: they fall with the width wherever it looked, and nothing proves that they must.

    ```sh
    controlsde claims run price-of-narrowness --set pieces=16
    controlsde bound two-bumps --within 0.05 --noise 0 --noise 0.25 --noise 1 -o frontier
    ```

    **Read next:** the page *What can be reached* with the proofs and the gap at $\varepsilon>0$; the claims
    `energy-bound`, `price-of-narrowness` and `gramian-and-noise`; Léonard, *A survey of the Schrödinger problem and
    some of its connections with optimal transport* (2014); Benamou and Brenier, *A computational fluid mechanics
    solution to the Monge–Kantorovich mass transfer problem* (2000). The next lesson asks when noise helps and when it
    hurts.
    """)
    return


@app.cell
def _(
    answer_bound,
    answer_decay,
    answer_feasible,
    answer_gaussians,
    answer_price,
    answer_shift,
    answer_sigma,
):
    summary(
        "what_can_be_reached",
        {
            "shift": answer_shift.value,
            "gaussians": answer_gaussians.value,
            "bound": answer_bound.value,
            "feasible": answer_feasible.value,
            "decay": answer_decay.value,
            "sigma": answer_sigma.value,
            "price": answer_price.value,
        },
    )
    return


if __name__ == "__main__":
    app.run()
