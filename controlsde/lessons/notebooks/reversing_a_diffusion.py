"""Lesson 3, reversing a diffusion: the noised law, its score, the field w, the exact drift at every noise level."""

import marimo

app = marimo.App(app_title="Reversing a diffusion", width="medium")

with app.setup:
    from contextlib import suppress

    import marimo as mo
    import numpy as np

    import controlsde as cs
    from controlsde.claims.harness.evolution import densities_at, line
    from controlsde.lessons.page import (
        BLUE,
        FAINT,
        GREEN,
        ORANGE,
        REFERENCE,
        Curve,
        Ink,
        Scale,
        answered,
        around,
        asked,
        drawn,
        exercises_of,
        heat,
        side_by_side,
        summary,
    )
    from controlsde.lessons.students_code import NotUnderstoodError, function_of, value_of

    exercise = exercises_of("reversing_a_diffusion").__getitem__
    PATH = Ink("#00b4d8", "#00b4d8")  # seen on light and dark shades
    BARS = Ink(ORANGE.light, ORANGE.dark)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 3. Reversing a diffusion

    *About 30 minutes.* Afterwards you can

    - say how a density is noised, and write down its law at any time, for Gaussians and mixtures;
    - compute a score, and say what it is good for;
    - turn the clock, and derive the field $w$ that carries the density back without noise;
    - write the exact drift $v^*_\eta$ for any noise level $\eta$, and say why the densities do not depend on
      $\eta$, and what does.

    You know ordinary differential equations, and that $\partial_t\rho = D\,\partial_{xx}\rho - \partial_x(v\rho)$
    moves a density by a drift $v$ and spreads it by noise of the diffusivity $D$ (lesson 1).
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## From data to noise

    A diffusion model begins with a process that forgets its data. Here it is the Ornstein–Uhlenbeck process, which
    pulls to 0 and shakes:

    $$
    dX = -X\,ds + \sqrt{2}\,dW ,
    $$

    with the force $f(x) = -x$ and the diffusivity $D_0 = 1$.

    The letter $s$ is the *forward* time: the data are at $s = 0$. The law of $X$ at the time $s$ has the density
    $q(s)$. We take the data of a problem that ships with the software, two bumps:
    """)
    return


@app.cell
def _():
    problem = cs.load_problem("two-bumps")
    reference = cs.build_reference(problem.reference, problem.domain)
    T = reference.horizon
    points = np.linspace(-4.0, 4.0, 321)
    return T, points, problem, reference


@app.cell(hide_code=True)
def _(T):
    noising = mo.ui.slider(0.0, T, 0.05, value=0.0, label="forward time s", show_value=True)
    noising
    return (noising,)


@app.cell(hide_code=True)
def _(T, noising, points, reference):
    drawn(
        [
            Curve(points, reference.density(T, points[:, None]), REFERENCE, "the data, s = 0"),
            Curve(points, reference.density(T - noising.value, points[:, None]), BLUE, f"q(s), s = {noising.value:g}"),
            Curve(points, np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi), FAINT, "N(0, 1)"),
        ],
        Scale(-4, 4, "x"),
        Scale(0.0, 0.75, "density"),
        f"The density of the noised data at s = {noising.value:g}, with the data and the standard normal density",
    )
    return


@app.cell(hide_code=True)
def _():
    answer_variance = asked(exercise("variance"))
    answer_variance
    return (answer_variance,)


@app.cell(hide_code=True)
def _(answer_variance):
    answered(exercise("variance"), answer_variance.value)
    return


@app.cell(hide_code=True)
def _(answer_variance):
    times = np.linspace(0.0, 1.5, 31)
    step = times[1] / 10  # of the simulation
    particles = np.random.default_rng(0).normal(2.0, 0.5, 4000)
    measured = [np.var(particles)]
    generator = np.random.default_rng(1)
    for _ in times[1:]:
        for _ in range(10):
            particles = particles - step * particles + np.sqrt(2 * step) * generator.normal(size=len(particles))
        measured.append(np.var(particles))

    _curves = [Curve(times[::3], measured[::3], ORANGE, "4,000 particles from N(2, 0.25)", line=False, mark="circle")]
    with suppress(NotUnderstoodError):
        if answer_variance.value and answer_variance.value.strip():
            _yours = np.broadcast_to(value_of(answer_variance.value, {"s": times, "S": 0.25}), times.shape)
            _curves.append(Curve(times, _yours, BLUE, "your formula"))
    drawn(
        _curves,
        Scale(0.0, 1.5, "forward time s"),
        Scale(0.0, 1.4, "variance"),
        "The variance of particles of the Ornstein–Uhlenbeck process against time, and your formula",
        note="The particles are simulated here, in steps of 0.005. Your formula appears beside them.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The density of a mixture of Gaussians is a weighted sum of such components, at all times. That is all that the
    software does for these data, and why it knows $q$ to rounding.

    ## A bet

    Now backwards. The control clock is $t = T - s$: noise at $t = 0$, data at $t = T$, and $p(t) = q(T - t)$ is
    what we want to follow. Before you derive anything:
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_wider = asked(exercise("wider"))
    answer_wider
    return (answer_wider,)


@app.cell(hide_code=True)
def _(answer_wider):
    answered(exercise("wider"), answer_wider.value)
    return


@app.cell(hide_code=True)
def _(T):
    level = mo.ui.slider(0.0, 3.0, 0.25, value=0.0, label="noise level η", show_value=True)
    moment = mo.ui.slider(0.0, T, 0.05, value=T, label="time t of the second picture", show_value=True)
    mo.vstack([mo.md("Move both sliders. The lines are the paths of twelve particles."), level, moment])
    return level, moment


@app.cell(hide_code=True)
def _(T):
    steps = 120
    clock = T * (1.0 - (1.0 - np.linspace(0.0, 1.0, steps + 1)) ** 2)  # short steps where the data are sharp
    shocks = np.random.default_rng(2).normal(size=(steps, 3000))

    def paths(drift, start, eta):
        """Heun's method for dX = drift(t, X) dt + √(2η) dW along `clock`: (steps + 1, particles)."""
        found = [start]
        for t, length, shock in zip(clock, np.diff(clock), shocks, strict=False):
            x, kick = found[-1], np.sqrt(2 * eta * length) * shock[: len(start)]
            before = drift(t, x)
            after = drift(min(t + length, T), x + length * before + kick)
            found.append(x + 0.5 * length * (before + after) + kick)
        return np.stack(found)

    return clock, paths


@app.cell(hide_code=True)
def _(T, points, reference):
    at_start = reference.sample_initial(3000, np.random.default_rng(3))[:, 0]
    picture = np.stack([reference.density(t, points[:, None]) for t in np.linspace(0.0, T, 121)]).T
    return at_start, picture


@app.cell(hide_code=True)
def _(T, at_start, clock, level, moment, paths, picture, points, reference):
    _moved = paths(lambda t, x: reference.exact_drift(t, x[:, None], level.value)[:, 0], at_start, level.value)
    _now = _moved[np.argmin(np.abs(clock - moment.value))]
    _bins = np.linspace(-4.0, 4.0, 41)
    _share = np.histogram(_now, _bins)[0] / (len(_now) * np.diff(_bins))
    side_by_side(
        heat(
            picture,
            (0.0, T),
            (-4.0, 4.0),
            f"The reference density against time and place, and twelve paths of particles at η = {level.value:g}",
            ("t", "x"),
            curves=[Curve(clock, _moved[:, k], PATH) for k in range(12)],
            title=f"p(t, x), and paths at η = {level.value:g}",
        ),
        drawn(
            [
                Curve(_bins, _share, BARS, f"3,000 particles, η = {level.value:g}"),
                Curve(points, reference.density(moment.value, points[:, None]), REFERENCE, "p(t)"),
            ],
            Scale(-4, 4, "x"),
            Scale(0.0, 0.85, "density"),
            f"A histogram of the particles at t = {moment.value:g}, and the reference density",
            title=f"at t = {moment.value:g}",
            height=260,
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The histogram of 3,000 particles has bars that are off by a few hundredths by chance. What else moves with
    $\eta$? The paths, and nothing that is seen in the density.

    ## The score

    To see why, we need one derivative.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_score = asked(exercise("score"))
    answer_score
    return (answer_score,)


@app.cell(hide_code=True)
def _(answer_score):
    answered(exercise("score"), answer_score.value)
    return


@app.cell(hide_code=True)
def _(T):
    before_end = mo.ui.slider(0.0, T, 0.05, value=T - 0.3, label="time t", show_value=True)
    before_end
    return (before_end,)


@app.cell(hide_code=True)
def _(before_end, points, reference):
    _inner = points[np.abs(points) <= 3.0]
    side_by_side(
        drawn(
            [Curve(_inner, reference.density(before_end.value, _inner[:, None]), BLUE)],
            Scale(-3, 3, "x"),
            Scale(0.0, 0.75, "density"),
            f"The reference density at t = {before_end.value:g}",
            title="p(t)",
        ),
        drawn(
            [
                Curve(_inner, reference.score(before_end.value, _inner[:, None])[:, 0], BLUE),
                Curve(_inner, 0 * _inner, FAINT),
            ],
            Scale(-3, 3, "x"),
            Scale(-18, 18, "score"),
            f"The score of the reference density at t = {before_end.value:g}",
            title="its score",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Above each bump it crosses zero, falling: it points to the bump from both sides. Near $t = T$ it becomes steep,
    the steeper the narrower the data. That is what makes the end of the way back the hard part.

    ## Turning the clock
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_field = asked(exercise("field"))
    answer_field
    return (answer_field,)


@app.cell(hide_code=True)
def _(answer_field):
    answered(exercise("field"), answer_field.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Why every noise level has the same densities

    Two lines. Write $w$ for the field that you have just found, so that $\partial_t p = -\partial_x(w\,p)$. Add the
    noise of the diffusivity $\eta D_0$ and take it away again:

    $$
    \partial_t p = -\partial_x(w\,p) \;-\; \eta D_0\,\partial_{xx}p \;+\; \eta D_0\,\partial_{xx}p .
    $$

    The first of the two is a transport, since $\partial_{xx}p = \partial_x\big((\partial_x\log p)\,p\big)$.
    Together,

    $$
    \begin{aligned}
    \partial_t p &= \eta D_0\,\partial_{xx}p - \partial_x\big(v^*_\eta\,p\big), \\
    v^*_\eta &= w + \eta D_0\,\partial_x\log p \\
    &= -f + (1 + \eta)\,D_0\,\partial_x\log p .
    \end{aligned}
    $$

    That is a Fokker–Planck equation with noise, and $p$ solves it. Nothing was assumed about $\eta \ge 0$. One
    share of $D_0\,\partial_x\log p$ undoes the noise of the forward process, and $\eta$ shares hold together what
    the reverse process itself spreads.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_drift = asked(exercise("drift"))
    answer_drift
    return (answer_drift,)


@app.cell(hide_code=True)
def _(answer_drift):
    answered(exercise("drift"), answer_drift.value)
    return


@app.cell(hide_code=True)
def _():
    own_level = mo.ui.slider(0.0, 3.0, 0.25, value=1.0, label="noise level η", show_value=True)
    own_level
    return (own_level,)


@app.cell(hide_code=True)
def _(T, answer_drift, own_level, paths):
    def driven():
        """What your function does to particles: from the law at t = 0 to t = T, for the data N(1, 0.1)."""
        if not answer_drift.value or exercise("drift").check(answer_drift.value).state == "untouched":
            return mo.md("*Here you will see what your drift does, right or wrong.*")
        shrunk = np.exp(-2 * T)
        start = np.random.default_rng(4).normal(np.exp(-T), np.sqrt(1.0 - 0.9 * shrunk), 3000)
        try:
            own = function_of(answer_drift.value, "exact_drift")
            ends = paths(lambda t, x: own(x, t, own_level.value, T, 1.0, 0.1), start, own_level.value)[-1]
        except (NotUnderstoodError, ValueError):
            return mo.md("*Your function cannot drive particles yet.*")
        if not np.all(np.isfinite(ends)):
            return mo.md("*With this drift the particles run away.*")
        bins = np.linspace(-2.0, 3.0, 51)
        share = np.histogram(ends, bins)[0] / (len(ends) * np.diff(bins))
        x = np.linspace(-2.0, 3.0, 301)
        target = np.exp(-((x - 1.0) ** 2) / 0.2) / np.sqrt(0.2 * np.pi)
        return drawn(
            [
                Curve(bins, share, BARS, f"3,000 particles under your drift, η = {own_level.value:g}"),
                Curve(x, target, REFERENCE, "the data, N(1, 0.1)"),
            ],
            Scale(-2, 3, "x"),
            around([share, target], "density at T"),
            "A histogram of particles under the student's drift at T, and the density of the data",
            note=f"Particles: mean {np.mean(ends):.3f}, variance {np.var(ends):.3f}. Wanted: 1 and 0.1, up to chance.",
        )

    driven()
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The software says the same

    Here the Fokker–Planck equation itself is solved, with the exact drift of the two bumps at several noise levels,
    on a mesh and on a finer one. The second picture shows what is *not* the same: the effort
    $\int_0^T\!\int |v^*_\eta|^2\,p\,dx\,dt$.
    """)
    return


@app.cell
def _(T, reference):
    levels = (0.0, 0.5, 1.0, 2.0, 4.0)

    def error(eta, elements):
        """‖ρ(T) − p(T)‖/‖p(T)‖ of the exact drift, on so many elements."""
        mesh = line(-5.0, 5.0, elements)

        def drift(t, x):
            return reference.exact_drift(t, x, eta)

        end = densities_at(mesh, drift, eta, reference.initial_density, np.linspace(0.0, T, 2 * elements + 1))[-1]
        return end.l2(lambda x: reference.density(T, x)) / end.norm  # D = η D₀, and D₀ = 1 here

    errors = {elements: [error(eta, elements) for eta in levels] for elements in (16, 32)}

    x = np.linspace(-5.0, 5.0, 1001)[:, None]
    times_of_effort = np.linspace(0.0, T, 151)

    def mean(function):
        """∫∫ function(t, x) p(t, x) dx dt."""
        inner = [np.trapezoid(function(t) * reference.density(t, x), x[:, 0]) for t in times_of_effort]
        return np.trapezoid(inner, times_of_effort)

    # |w + η ∂ₓlog p|² is a polynomial in η
    of_field = mean(lambda t: reference.field(t, x)[:, 0] ** 2)
    of_both = mean(lambda t: reference.field(t, x)[:, 0] * reference.score(t, x)[:, 0])
    of_score = mean(lambda t: reference.score(t, x)[:, 0] ** 2)
    finely = np.linspace(0.0, 4.0, 81)
    effort = of_field + 2 * finely * of_both + finely**2 * of_score
    return effort, errors, finely, levels


@app.cell(hide_code=True)
def _(effort, errors, finely, levels):
    side_by_side(
        drawn(
            [
                Curve(levels, errors[16], BLUE, "16 elements, 32 steps", mark="circle"),
                Curve(levels, errors[32], GREEN, "32 elements, 64 steps", mark="square"),
            ],
            Scale(0, 4, "noise level η"),
            Scale(1e-8, 1.0, "‖ρ(T) − p(T)‖ / ‖p(T)‖", logarithmic=True),
            f"The relative error at T for noise levels 0 to 4: at most {max(errors[16]):.1e} on 16 elements, "
            f"{max(errors[32]):.1e} on 32",
            title="the error at T: that of mesh and steps",
        ),
        drawn(
            [Curve(finely, effort, BARS)],
            Scale(0, 4, "noise level η"),
            around([effort, [0.0]], "effort"),
            f"The effort of the exact drift, from {effort[0]:.2f} without noise to {effort[-1]:.1f} at noise level 4",
            title="the effort of the exact drift",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    exact = mo.ui.run_button(label="Evaluate (10 to 30 s)")
    chosen = mo.ui.dropdown(["0", "0.5", "1", "2"], value="1", label="at the noise level")
    mo.vstack(
        [
            mo.md("""
    Everything that this software reports is measured again, by methods that share nothing with the solver: a finer
    mesh, other integrators, particles. For a drift that is given, `cs.evaluate` does that alone. Here it is for the
    exact drift. In a shell: `controlsde evaluate two-bumps --set drift=exact --set noise=1`.
    """),
            mo.hstack([chosen, exact], justify="start", wrap=True),
        ]
    )
    return chosen, exact


@app.cell
def _(chosen, exact):
    mo.stop(not exact.value)
    sample = {"monte_carlo.particles": 10000, "monte_carlo.steps_per_piece": 16}
    with mo.status.spinner("evaluating"):
        with_exact = cs.load_problem("two-bumps", set={"drift": "exact", "noise": float(chosen.value), **sample})
        result = cs.evaluate(with_exact)
    mo.md(
        f"""
    | η = {chosen.value} | |
    |---|---:|
    | L² error at T | {result.tracking.l2_final:.1e} |
    | Wasserstein distance at T | {result.tracking.w2_final:.1e} |
    | effort | {"" if result.energy is None else f"{result.energy.value:.3f}"} |
    | checks passed | {sum(c.passed for c in result.certificate.checks)} of {len(result.certificate.checks)} |
    """
    )
    return


@app.cell(hide_code=True)
def _():
    answer_equilibrium = asked(exercise("equilibrium"))
    answer_equilibrium
    return (answer_equilibrium,)


@app.cell(hide_code=True)
def _(answer_equilibrium):
    answered(exercise("equilibrium"), answer_equilibrium.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## An open problem

    The exact drift depends on $\eta$, and on the *way forward*. The diffusion is one way
    between the two ends. One could also mix the two densities linearly in time (Moser), or move mass on straight
    lines (displacement). Each way has its own $w$, and by your two lines an exact drift for each $\eta$.

    **Which way can a single neuron with few pieces follow best, at which noise level?** On the one problem that was
    tried, with eight pieces, it is the way whose exact drift has the least effort: straight lines at $\eta = 0$,
    the diffusion at $\eta = 1$. At $T$ with noise, the three differ by no more than the spread over the starts of
    the search. Is that a rule? We know no theorem, and a narrow network is not measured by what the exact drift
    costs. Find data for which it fails:

    ```sh
    controlsde claims run forward-noise
    controlsde claims run forward-noise --set mean=1 --set deviation=0.2
    controlsde claims run forward-noise --set pieces=16 --set seeds=5
    ```

    Say before you run it which way you expect to win, and at which $\eta$. Then look at the spread over the seeds.

    **Read next.**

    - In the documentation: *Concepts* for the clock and the signs, *Conventions* for all formulas, and for
      schedules with which noise comes at another pace.
    - Claims, to run with `controlsde claims run NAME`: `reverse-wrong-start` (the exact drift from a wrong start),
      `gaussian-start`, `log-concave-contraction`, `score-network-regularity`.
    - B. D. O. Anderson, *Reverse-time diffusion equation models* (1982), for the drift at $\eta = 1$; Y. Song and
      others, *Score-based generative modeling through stochastic differential equations* (2021), for the
      probability flow; arXiv 2312.07851, for what a narrow network can do.

    Lesson 4 is about finding the weights.
    """)
    return


@app.cell(hide_code=True)
def _(answer_drift, answer_equilibrium, answer_field, answer_score, answer_variance, answer_wider):
    summary(
        "reversing_a_diffusion",
        {
            "variance": answer_variance.value,
            "wider": answer_wider.value,
            "score": answer_score.value,
            "field": answer_field.value,
            "drift": answer_drift.value,
            "equilibrium": answer_equilibrium.value,
        },
    )
    return


if __name__ == "__main__":
    app.run()
