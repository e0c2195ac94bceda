"""Lesson 1: a density as a state. Particles, the Fokker–Planck equation, walls, mass."""

import marimo

app = marimo.App(app_title="A density as a state", width="medium")

with app.setup:
    import marimo as mo
    import numpy as np

    import controlsde as cs
    from controlsde.lessons.evolving import Line
    from controlsde.lessons.page import (
        BLUE,
        FAINT,
        INK,
        ORANGE,
        REFERENCE,
        Curve,
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
    from controlsde.lessons.students_code import NotUnderstoodError, function_of

    exercise = exercises_of("density_as_state").__getitem__


@app.cell
def _():
    mo.md(r"""
    # 1. A density as a state

    *About 25 minutes. You need ordinary differential equations and linear algebra.*

    Afterwards you can

    - write the equation that a density obeys when its particles drift and diffuse,
    - say what walls do to it, with noise and without,
    - see at a glance whether a computation has lost mass,
    - have the software measure all this on a problem of its own.
    """)


@app.cell
def _():
    mo.md(r"""
    ## From one particle to many

    A particle on a line moves by a **drift** $v$ and is shaken by **noise**:

    $$
    dX = v(X)\,dt + \sqrt{2D}\,dW .
    $$

    Without noise, $D = 0$, this is an ordinary differential equation. With noise nobody can tell where one particle
    will be. But of many particles one can tell how many are where: that is a density $\rho(t, x)$, and it is as
    predictable as the solution of any differential equation. It is the **state** of everything that follows.

    Here all particles start near $x = -1$ and drift to the right with $v = 1$. The steps are those of Euler and
    Maruyama; the line is the density, which the software computes without any particle.
    """)


@app.cell
def _():
    many = mo.ui.slider(
        steps=[10, 30, 100, 300, 1000, 3000, 10000, 30000], value=100, label="particles", show_value=True
    )
    shaken = mo.ui.slider(0.0, 0.5, 0.05, value=0.2, label="diffusivity D", show_value=True)
    mo.vstack([many, shaken])
    return many, shaken


@app.cell
def _(many, shaken):
    def walked(count, diffusivity, steps=50, horizon=1.5):
        """Where particles are at the horizon, by Euler and Maruyama."""
        rng = np.random.default_rng(0)
        x = rng.normal(-1.0, 0.3, count)
        h = horizon / steps
        for _ in range(steps):
            x = x + h + np.sqrt(2 * diffusivity * h) * rng.normal(size=count)
        return x

    edges = np.linspace(-4, 4, 41)
    counted = np.histogram(walked(many.value, shaken.value), edges)[0] / (many.value * np.diff(edges))
    free = Line(-4, 4, shaken.value, elements=24)
    begun = free.density(lambda x: np.exp(-((x + 1) ** 2) / (2 * 0.3**2)))
    (ended,) = free.carried(begun, lambda _: 1.0, [1.5])
    drawn(
        [
            Curve(edges, counted, ORANGE, f"{many.value} particles at t = 1.5", filled=True),
            Curve(free.x, free.drawn(begun), FAINT, "density at t = 0"),
            Curve(free.x, free.drawn(ended), BLUE, "density at t = 1.5"),
        ],
        Scale(-4, 4, "x"),
        Scale(0, 1.6, "ρ"),
        f"A histogram of {many.value} particles over the density at t = 1.5, with D = {shaken.value}.",
        note="The histogram is random; the line is not. With more particles the one becomes the other.",
    )


@app.cell
def _():
    answer_flux = asked(exercise("flux"))
    answer_flux
    return (answer_flux,)


@app.cell
def _(answer_flux):
    answered(exercise("flux"), answer_flux.value)


@app.cell
def _():
    mo.md(r"""
    ## The state equation

    What flows into an interval and does not flow out of it stays there. For all intervals at once that is

    $$
    \partial_t\rho = -\partial_x J = D\,\partial_x^2\rho - \partial_x(v\rho),
    $$

    the **Fokker–Planck equation**; at $D = 0$ it is **Liouville's** equation. It is linear in $\rho$. In more
    dimensions $\partial_t\rho = D\,\Delta\rho - \nabla\cdot(v\rho)$.

    Two things are worth a pause. The equation is linear, although $v$ may be as nonlinear as you like: the price is
    that the state is a function, not a point. And the drift **multiplies** the state: a control that acts through $v$
    makes the system bilinear.
    """)


@app.cell
def _():
    answer_variance = asked(exercise("variance"))
    answer_variance
    return (answer_variance,)


@app.cell
def _(answer_variance):
    answered(exercise("variance"), answer_variance.value)


@app.cell
def _():
    mo.md(r"""
    ## Walls, and how fast detail dies

    From now on the particles live between **reflecting walls**: whoever would pass one is folded back. For the density
    that means that nothing flows through a wall, $J = 0$ there, so that $\int\rho\,dx$ never changes. Predict before
    you move anything:
    """)


@app.cell
def _():
    answer_half_life = asked(exercise("half_life"))
    answer_half_life
    return (answer_half_life,)


@app.cell
def _(answer_half_life):
    answered(exercise("half_life"), answer_half_life.value)


@app.cell
def _():
    waves = mo.ui.slider(1, 6, 1, value=2, label="half waves k", show_value=True)
    spread = mo.ui.slider(0.02, 0.3, 0.02, value=0.1, label="diffusivity D", show_value=True)
    mo.vstack([waves, spread])
    return spread, waves


@app.cell
def _(spread, waves):
    box = Line(0, 1, spread.value)
    moments = np.linspace(0, 0.6, 31)
    waving = box.carried(box.density(lambda x: 1 + 0.5 * np.cos(waves.value * np.pi * x)), lambda _: 0.0, moments)
    profiles = np.array([box.drawn(one) for one in waving])
    heights = np.abs(profiles[:, 0] - 1) / 0.5  # at the wall x = 0, where the cosine is 1
    rate = spread.value * (waves.value * np.pi) ** 2
    side_by_side(
        heat(
            profiles,
            (0, 1),
            (0, 0.6),
            f"The density over x and t: {waves.value} half waves that fade at the rate {rate:.3g}.",
            ("x", "t"),
            title="the density over x and t",
        ),
        drawn(
            [
                Curve(moments, heights, BLUE, "computed"),
                Curve(moments, np.exp(-rate * moments), REFERENCE, "formula"),
            ],
            Scale(0, 0.6, "t"),
            Scale(0, 1.05, "height of the wave, as a share"),
            f"The height of the wave falls from 1 to {heights[-1]:.3g}.",
            height=260,
            title="how high the wave still is",
            note=f"D k² π² = {rate:.3g}; half as high at t = {np.log(2) / rate:.3g}. "
            f"Mass at the end: {waving[-1].mass:.12f}.",
        ),
    )


@app.cell
def _():
    answer_wall = asked(exercise("wall"))
    answer_wall
    return (answer_wall,)


@app.cell
def _(answer_wall):
    answered(exercise("wall"), answer_wall.value)


@app.cell
def _():
    mo.md(r"""
    ## What stands at a wall

    Take the noise away slowly and watch the same density, pressed against the right wall by $v = 1$.
    """)


@app.cell
def _():
    little = mo.ui.slider(
        steps=[0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5, 1.0], value=0.2, label="diffusivity D", show_value=True
    )
    little
    return (little,)


@app.cell
def _(little):
    pressed = Line(0, 1, little.value, elements=24)
    flat = pressed.density(np.ones_like)
    passing = pressed.carried(flat, lambda _: 1.0, [0.1, 0.3, 3.0])
    diffusivities = np.geomspace(0.01, 1, 60)
    norms = np.sqrt(0.5 / diffusivities / np.tanh(0.5 / diffusivities))  # ‖ρ‖² = (c/2D) coth(c/2D), c = 1
    side_by_side(
        drawn(
            [
                Curve(pressed.x, pressed.drawn(flat), FAINT, "t = 0"),
                *(
                    Curve(pressed.x, pressed.drawn(one), ink, f"t = {t:g}")
                    for one, ink, t in zip(passing, (ORANGE, BLUE, INK), (0.1, 0.3, 3.0), strict=True)
                ),
            ],
            Scale(0, 1, "x"),
            around([pressed.drawn(passing[-1])], "ρ"),
            f"A layer at the right wall, {passing[-1].values[-1]:.3g} high at the end.",
            title=f"pressed against the wall, D = {little.value:g}",
            note=f"Mass at the end: {passing[-1].mass:.12f}.",
        ),
        drawn(
            [
                Curve(diffusivities, norms, REFERENCE, "at rest, by formula"),
                Curve([little.value], [passing[-1].norm], BLUE, "at t = 3, computed", line=False, mark="circle"),
            ],
            Scale(0.01, 1, "D", logarithmic=True),
            Scale(0, 7.5, "‖ρ‖ in L²"),
            f"The norm at rest grows without limit as D goes to zero; here it is {passing[-1].norm:.3g}.",
            title="its L² norm has no limit",
        ),
    )


@app.cell
def _():
    answer_layer = asked(exercise("layer"))
    answer_layer
    return (answer_layer,)


@app.cell
def _(answer_layer):
    answered(exercise("layer"), answer_layer.value)


@app.cell
def _():
    mo.md(r"""
    ## Compute it yourself

    A computer holds finitely many numbers. The simplest choice is to hold the mean density in each of $n$ cells, and to
    let what leaves one cell enter the next.
    """)


@app.cell
def _():
    answer_step = asked(exercise("step"))
    answer_step
    return (answer_step,)


@app.cell
def _(answer_step):
    answered(exercise("step"), answer_step.value)


@app.cell
def _(answer_step):
    def by_steps(text, cells=20, steps=120, dt=0.005, diffusivity=0.1):
        """The masses and the last densities that a student's step gives, from a bump, with v = 1."""
        step, dx = function_of(text, "step"), 1 / cells
        rho = np.exp(-(((np.arange(cells) + 0.5) * dx - 0.3) ** 2) / 0.02)
        rho /= rho.sum() * dx
        masses = [1.0]
        for _ in range(steps):
            rho = step(rho, np.ones(cells - 1), diffusivity, dx, dt)
            masses.append(float(rho.sum() * dx))
        return np.array(masses), rho

    def shown_steps(text):
        """What a student's step does, beside the software's mesh."""
        masses, rho = by_steps(text)
        exact = Line(0, 1, 0.1)
        bump = exact.density(lambda x: np.exp(-((x - 0.3) ** 2) / 0.02))
        (late,) = exact.carried(bump, lambda _: 1.0, [0.6])
        return side_by_side(
            drawn(
                [
                    Curve(np.linspace(0, 1, len(rho) + 1), rho, ORANGE, "your cells"),
                    Curve(exact.x, exact.drawn(late), BLUE, "the software's mesh"),
                ],
                Scale(0, 1, "x"),
                around([exact.drawn(late)], "ρ(0.6)"),
                "The density at t = 0.6 by your step, and by the software.",
                title="after 120 of your steps",
            ),
            drawn(
                [Curve(0.005 * np.arange(len(masses)), masses, ORANGE, "mass by your step")],
                Scale(0, 0.6, "t"),
                Scale(0, 1.2, "mass"),
                f"The mass by your step ends at {masses[-1]:.6g}.",
                title="what became of the mass",
                note=f"At the end: {masses[-1]:.12g}.",
            ),
        )

    if answer_step.value is None:
        run_of_steps = mo.md("*Once you have pressed Check, your step runs here, whether it is right or not.*")
    else:
        try:
            run_of_steps = shown_steps(answer_step.value)
        except (NotUnderstoodError, ValueError) as error:
            run_of_steps = mo.md(f"*Your step does not run as a method: {error}*")
    run_of_steps


@app.cell
def _():
    mo.md(r"""
    ## The real thing

    The software's own problems come with a **reference** $p(t, x)$: noise at $t = 0$, data at $t = T$. For each there
    is an exact drift that carries it. Below, a shipped problem is evaluated with this drift, and everything is measured
    again: on a finer mesh, by another method in time, by particles.

    ```python
    problem = cs.load_problem("two-bumps", set={"drift": {"kind": "exact"}})
    result = cs.evaluate(problem)
    result.tracking.l2_final, result.certificate
    ```
    """)


@app.cell
def _():
    run_exact = mo.ui.run_button(label="Evaluate the exact drift (10 to 30 seconds)")
    run_exact
    return (run_exact,)


@app.cell
def _(run_exact):
    mo.stop(not run_exact.value, mo.md("*Not run yet.*"))
    _chosen = {"drift": {"kind": "exact"}, "monte_carlo.particles": 20000, "monte_carlo.steps_per_piece": 16}
    _result = cs.evaluate(cs.load_problem("two-bumps", set=_chosen))
    _wanted = ("mass_error", "negative_mass", "monte_carlo_z")
    _rows = "".join(
        f"| `{_check.name}` | {_check.value:.2g} | {_check.limit:.2g} |\n"
        for _check in _result.certificate.checks
        if _check.name in _wanted
    )
    mo.md(
        f"The error at $T$ is $\\|\\rho(T) - p(T)\\| = {_result.tracking.l2_final:.2g}$ in $L^2$, and "
        f"{len(_result.certificate.checks)} checks "
        f"{'passed' if _result.verified else 'were made, of which some failed'}, among them\n\n"
        f"| check | measured | limit |\n|---|---|---|\n{_rows}"
    )


@app.cell
def _():
    mo.md(r"""
    ## An open problem

    Which walls are the right ones? The theory of P1 (arXiv 2312.07851) lives between reflecting walls. Real data has
    no walls: they are a choice of whoever computes, and so is the factor $1 - z^8$ that makes a drift tangential. For
    the same data, the same width and the same budget, does one kind of wall let a narrow drift track better than the
    others,
    **at every noise level**? The software measures it, and expects no winner:

    ```sh
    controlsde claims run boundary-conditions
    ```

    A result here would be a pair of problems on which the order of the walls is proved to be opposite, or a condition
    on the data under which it cannot be.

    **Read next.** Lesson 2, on what one neuron can do to a density. In the documentation: *concepts*, on signs and the
    clock; *conventions*, on walls and on what a wall without noise does to a mesh; the claims `boundary-conditions` and
    `bounded-and-unbounded`. On the equation itself: H. Risken, *The Fokker–Planck Equation*.
    """)


@app.cell
def _(answer_flux, answer_half_life, answer_layer, answer_step, answer_variance, answer_wall):
    summary(
        "density_as_state",
        {
            "flux": answer_flux.value,
            "variance": answer_variance.value,
            "half_life": answer_half_life.value,
            "wall": answer_wall.value,
            "layer": answer_layer.value,
            "step": answer_step.value,
        },
    )


if __name__ == "__main__":
    app.run()
