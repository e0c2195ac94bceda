"""Lesson 5, what noise changes: weak against strong convergence, forgetting, and noise that a scheme makes."""

import marimo

app = marimo.App(app_title="What noise changes", width="medium")

with app.setup:
    import marimo as mo
    import numpy as np

    from controlsde.claims.harness.running import run_claim
    from controlsde.claims.noise_upgrades_convergence import CLAIM, flow_l2, flow_w2, oscillating, stationary_l2
    from controlsde.lessons.evolving import Line
    from controlsde.lessons.page import (
        BLUE,
        FAINT,
        GREEN,
        INK,
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
    from controlsde.lessons.students_code import NotUnderstoodError, function_of, value_of

    exercise = exercises_of("what_noise_changes").__getitem__


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 5. What noise changes

    *About 30 minutes.* Afterwards you can

    - say in which sense densities converge when drifts converge only weakly, without noise and with it;
    - derive both numbers for one family of drifts, $v_n \propto \frac1n \sin 2\pi n x$;
    - tell $L^2$ from the Wasserstein distance by what they see;
    - say what noise forgets;
    - compute how much noise a numerical scheme adds, and see it in a result.

    You know the Fokker–Planck equation $\partial_t\rho = \nu\,\partial_{xx}\rho - \partial_x(v\rho)$ (lesson 1).
    Here $\nu$ is the diffusivity: $\nu = \eta D_0$ in the other lessons.

    ## A drift that goes to zero

    A controller that switches fast, or a network that is slightly wrong everywhere, makes a drift with fine
    ripples. We take the simplest one.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_limit = asked(exercise("limit"))
    answer_limit
    return (answer_limit,)


@app.cell(hide_code=True)
def _(answer_limit):
    answered(exercise("limit"), answer_limit.value)
    return


@app.cell(hide_code=True)
def _():
    ripples = mo.ui.slider(1, 8, 1, value=1, label="n", show_value=True)
    noise = mo.ui.slider(
        steps=[0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1], value=0.0, label="diffusivity ν", show_value=True
    )
    mo.hstack([ripples, noise], justify="start", wrap=True)
    return noise, ripples


@app.cell
def _():
    def after(n, diffusivity, time=1.0):
        """The density that v_n makes of uniform mass in this time, by the software's operator."""
        on = Line(0.0, 1.0, diffusivity, elements=4 * n)
        field = oscillating(1.0, n)  # v_n with A = 1
        (density,) = on.carried(on.density(np.ones_like), lambda x: field(0.0, x), [time])
        return density

    return (after,)


@app.cell(hide_code=True)
def _(after, noise, ripples):
    _density = after(ripples.value, noise.value)
    _x = np.linspace(0.0, 1.0, 481)
    _values = _density.on((_x,))
    _distance = _density.l2(lambda x: np.ones(len(x)))
    side_by_side(
        drawn(
            [Curve(_x, np.sin(2 * np.pi * ripples.value * _x) / (2 * np.pi * ripples.value), ORANGE)],
            Scale(0, 1, "x"),
            Scale(-0.18, 0.18, "drift"),
            f"The drift for n = {ripples.value}",
            title=f"vₙ for n = {ripples.value}, A = 1",
        ),
        drawn(
            [Curve(_x, _values, BLUE), Curve([0, 1], [1, 1], REFERENCE)],
            Scale(0, 1, "x"),
            Scale(0, 3, "density"),
            f"The density at t = 1 for n = {ripples.value} and diffusivity {noise.value:g}",
            title="ρ at t = 1",
            note=f"‖ρ − 1‖ in L²: {_distance:.4f}",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Move $n$ with $\nu = 0$ first, and read the number under the picture. Then add a little noise, and move $n$
    again.

    ## Without noise
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_height = asked(exercise("height"))
    answer_height
    return (answer_height,)


@app.cell(hide_code=True)
def _(answer_height):
    answered(exercise("height"), answer_height.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    So $L^2$ sees no convergence at all. Yet no particle moves further than $A t/2\pi n$. There are distances that
    see just that: how far mass must be carried to make one density of the other.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_distance = asked(exercise("distance"))
    answer_distance
    return (answer_distance,)


@app.cell(hide_code=True)
def _(answer_distance):
    answered(exercise("distance"), answer_distance.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## With noise

    Diffusion spreads a ripple of the wavelength $1/n$ at the rate $(2\pi n)^2\nu$: the finer, the faster. After a
    while the drift that gathers and the noise that spreads hold each other in balance.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_kappa = asked(exercise("kappa"))
    answer_kappa
    return (answer_kappa,)


@app.cell(hide_code=True)
def _(answer_kappa):
    answered(exercise("kappa"), answer_kappa.value)
    return


@app.cell(hide_code=True)
def _():
    settled = mo.ui.slider(
        steps=[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1], value=0.01, label="diffusivity ν", show_value=True
    )
    mo.vstack([mo.md("Your κ, in $e^{-\\kappa\\cos 2\\pi nx}$ for $n = 2$, beside the density that stays:"), settled])
    return (settled,)


@app.cell(hide_code=True)
def _(after, answer_kappa, settled):
    _late = after(2, settled.value, time=40.0 / (settled.value * np.pi**2))  # 40 e-folds of the slowest mode
    _x = np.linspace(0.0, 1.0, 321)
    _values = _late.on((_x,))
    _curves = [Curve(_x, _values, BLUE, "the density that stays")]
    try:
        if answer_kappa.value and answer_kappa.value.strip():
            _kappa = float(value_of(answer_kappa.value, {"A": 1.0, "n": 2.0, "nu": settled.value}))
            _shape = np.exp(-_kappa * (np.cos(4 * np.pi * _x) + np.sign(_kappa)))
            _curves.append(Curve(_x, _shape / np.trapezoid(_shape, _x), ORANGE, f"yours, κ = {_kappa:.3g}"))
    except (NotUnderstoodError, TypeError):
        pass
    drawn(
        _curves,
        Scale(0, 1, "x"),
        around([_values, [0.0, 2.0]], "density"),
        "The stationary density with noise, and the one that your formula gives",
    )
    return


@app.cell(hide_code=True)
def _():
    answer_slope = asked(exercise("slope"))
    answer_slope
    return (answer_slope,)


@app.cell(hide_code=True)
def _(answer_slope):
    answered(exercise("slope"), answer_slope.value)
    return


@app.cell(hide_code=True)
def _():
    against = mo.ui.slider(
        steps=[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1], value=0.05, label="diffusivity ν", show_value=True
    )
    against
    return (against,)


@app.cell(hide_code=True)
def _(against):
    _n = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64], dtype=float)
    _noisy = [stationary_l2(1.0, against.value, int(n)) for n in _n]
    drawn(
        [
            Curve(_n, [flow_l2(1.0, 1.0) for _ in _n], INK, "no noise, t = 1: ‖ρ − 1‖ in L²", mark="circle"),
            Curve(_n, [flow_w2(1.0, 1.0, int(n)) for n in _n], ORANGE, "no noise, t = 1: W₂", mark="square"),
            Curve(_n, _noisy, BLUE, f"ν = {against.value:g}, stationary: ‖ρ − 1‖ in L²", mark="diamond"),
            Curve(_n, _noisy[-1] * (_n / _n[-1]) ** -2.0, FAINT, "slope −2"),
        ],
        Scale(0.9, 70, "n", logarithmic=True),
        Scale(1e-5, 20, "distance to 1", logarithmic=True),
        "Distances to the uniform density against n: without noise in L² and in W₂, and with noise in L²",
        height=300,
        note="Formulas, all of them. Lower the noise: the slope −2 begins later, where (2πn)²ν is large against A = 1.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    This is a difference in kind, and a narrow one. It concerns the distance in which densities converge when drifts
    converge only weakly. It says nothing about how well *few* pieces track: there noise has to be fought, and may
    hurt (lesson 8).

    ## What noise forgets

    Ripples are forgotten. What else?
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_forgetting = asked(exercise("forgetting"))
    answer_forgetting
    return (answer_forgetting,)


@app.cell(hide_code=True)
def _(answer_forgetting):
    answered(exercise("forgetting"), answer_forgetting.value)
    return


@app.cell
def _():
    moments = np.linspace(0.0, 2.0, 21)

    def apart(diffusivity):
        """∫|ρ − ρ'| dx at `moments`: one start uniform, one a smooth bump, both under v_2."""
        on = Line(0.0, 1.0, diffusivity, elements=24)
        field = oscillating(1.0, 2)
        pair = [
            on.carried(on.density(start), lambda x: field(0.0, x), moments)
            for start in (np.ones_like, lambda x: 1.0 + 0.8 * np.cos(np.pi * x))
        ]
        x = np.linspace(0.0, 1.0, 2001)
        return [np.trapezoid(np.abs(one.on((x,)) - other.on((x,))), x) for one, other in zip(*pair, strict=True)]

    differences = {diffusivity: apart(diffusivity) for diffusivity in (0.0, 0.02, 0.05, 0.2)}
    return differences, moments


@app.cell(hide_code=True)
def _(differences, moments):
    drawn(
        [
            Curve(moments, values, ink, f"ν = {diffusivity:g}" if diffusivity else "no noise")
            for (diffusivity, values), ink in zip(differences.items(), (INK, PINK, ORANGE, BLUE), strict=True)
        ],
        Scale(0, 2, "t"),
        Scale(0.005, 1.0, "∫ |ρ − ρ'| dx", logarithmic=True),
        "The distance of two densities with different starts under the same drift against time, for four noise levels",
        title="two starts under one drift, v₂",
        note="With noise it falls by a rate that goes up with ν: without a drift it would be π²ν.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Noise that nobody ordered

    Suppose you compute the noise-free case on a grid. Nothing is simpler than the upwind scheme.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_upwind = asked(exercise("upwind"))
    answer_upwind
    return (answer_upwind,)


@app.cell(hide_code=True)
def _(answer_upwind):
    answered(exercise("upwind"), answer_upwind.value)
    return


@app.cell(hide_code=True)
def _():
    answer_numerical = asked(exercise("numerical"))
    answer_numerical
    return (answer_numerical,)


@app.cell(hide_code=True)
def _(answer_numerical):
    answered(exercise("numerical"), answer_numerical.value)
    return


@app.cell(hide_code=True)
def _():
    count = mo.ui.slider(steps=[25, 50, 100, 200], value=50, label="cells", show_value=True)
    share = mo.ui.slider(steps=[0.25, 0.5, 0.75, 1.0], value=0.5, label="c", show_value=True)
    mo.vstack(
        [
            mo.md("Once around a ring of the length 1, with $v = 1$: by your step, and by the $D$ of your formula."),
            mo.hstack([count, share], justify="start", wrap=True),
        ]
    )
    return count, share


@app.cell(hide_code=True)
def _(answer_numerical, answer_upwind, count, share):
    def around_the_ring():
        """A bump after one turn: as it should be, by your step, and spread by the diffusivity of your formula."""
        if exercise("upwind").check(answer_upwind.value).state in ("untouched", "not understood"):
            return mo.md("*Write the step, right or wrong, and its bump appears here.*")
        cells, h, width = count.value, 1.0 / count.value, 0.06
        x = (np.arange(cells) + 0.5) * h

        def bump(variance):
            return sum(np.exp(-((x - 0.5 + turn) ** 2) / (2 * variance)) for turn in (-1, 0, 1)) / np.sqrt(
                2 * np.pi * variance
            )

        try:
            step, density = function_of(str(answer_upwind.value), "upwind"), bump(width**2)
            for _ in range(round(cells / share.value)):
                density = step(density, share.value)
        except (NotUnderstoodError, ValueError):
            return mo.md("*Your step cannot be repeated yet.*")
        if density.shape != x.shape or not np.all(np.abs(density) < 1e6):
            return mo.md("*The density grows without limit: this step is unstable.*")
        curves = [
            Curve(x, bump(width**2), REFERENCE, "where it should be: as it was"),
            Curve(x, density, BLUE, "by your step", mark="circle" if cells <= 50 else ""),
        ]
        note = ""
        try:
            if answer_numerical.value and answer_numerical.value.strip():
                spread = float(value_of(answer_numerical.value, {"v": 1.0, "h": h, "c": share.value}))
                curves.append(Curve(x, bump(width**2 + max(2 * spread, 0.0)), ORANGE, f"by your D = {spread:.4g}"))
                note = "The time of one turn is 1, so that your D adds 2D to the variance."
        except (NotUnderstoodError, TypeError):
            pass
        return drawn(
            curves,
            Scale(0, 1, "x"),
            around([curves[0].y, density, [0.0]], "density"),
            "A bump after one turn around the ring, by the student's step, by the formula, and as it should be",
            note=note,
        )

    around_the_ring()
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    With this scheme the ripples of $v_n$ die without any noise, the more of them, the finer they are against the
    grid. It would look as if noise-free control converged in $L^2$. Here is that mistake, made on purpose. The
    distance in $L^2$ at $t = 1$ without noise should be the same for all $n$.
    """)
    return


@app.cell
def _():
    def by_upwind(n, cells):
        """‖ρ₁ − 1‖ under v_n by upwind fluxes on so many cells of [0, 1], ν = 0."""
        faces = np.linspace(0.0, 1.0, cells + 1)
        v = oscillating(1.0, n)(0.0, faces)
        v[[0, -1]] = 0.0  # walls
        steps = int(np.ceil(2.0 * cells * np.max(np.abs(v)))) + 20  # c ≤ ½
        density = np.ones(cells)
        for _ in range(steps):
            flux = np.maximum(v, 0.0) * np.append(0.0, density) + np.minimum(v, 0.0) * np.append(density, 0.0)
            density = density - np.diff(flux) * cells / steps
        return float(np.sqrt(np.mean((density - 1.0) ** 2)))

    def averaged(n, cells):
        """What is left of ‖ρ₁ − 1‖ when the exact ρ₁ is averaged over the cells: what no scheme on them can exceed."""
        x = (np.arange(200 * cells) + 0.5) / (200 * cells)
        exact = 1.0 / (np.cosh(1.0) + np.sinh(1.0) * np.cos(2 * np.pi * n * x))
        return float(np.sqrt(np.mean((exact.reshape(cells, 200).mean(axis=1) - 1.0) ** 2)))

    counts = np.array([1, 2, 3, 4, 6, 8])
    upwind = {cells: [by_upwind(n, cells) for n in counts] for cells in (32, 128, 512)}
    at_best = [averaged(n, 32) for n in counts]
    return at_best, counts, upwind


@app.cell(hide_code=True)
def _(after, at_best, counts, upwind):
    _spectral = [after(int(n), 0.0).l2(lambda x: np.ones(len(x))) for n in counts]
    _apart = max(abs(v - flow_l2(1.0, 1.0)) for v in _spectral)
    drawn(
        [
            *(
                Curve(counts, values, ink, f"upwind, {cells} cells", mark=mark)
                for (cells, values), ink, mark in zip(
                    upwind.items(), (PINK, ORANGE, GREEN), ("square", "diamond", "triangle"), strict=True
                )
            ),
            Curve(counts, at_best, FAINT, "the exact density, averaged over 32 cells"),
            Curve(counts, _spectral, BLUE, "this software, 4 elements to a period", mark="circle"),
            Curve(counts, np.full(len(counts), flow_l2(1.0, 1.0)), REFERENCE, "√(cosh 1 − 1)"),
        ],
        Scale(0.0, 8.4, "n", whole=True),
        Scale(0.0, 0.9, "‖ρ − 1‖ in L², no noise"),
        "The L² distance without noise against n: by upwind it falls on every grid, by this software it stays",
        note=f"By this software it differs from the formula by {_apart:.0e} at most.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Cells as coarse as these lose a part of the ripples by averaging, the grey line; the scheme loses the rest. A
    finer grid shows it: numbers that change with $h$ are not the equation's. That is one of the checks that every
    result of this software has to pass.

    ## The claim

    All of this is one of the claims that the software tests: expected numbers from the formulas, measured ones from
    the state equation on two meshes each, tolerances from their difference. In a shell:
    `controlsde claims run noise-upgrades-convergence`.
    """)
    return


@app.cell(hide_code=True)
def _():
    claim = mo.ui.run_button(label="Run the claim (ten seconds)")
    claim
    return (claim,)


@app.cell
def _(claim):
    mo.stop(not claim.value)
    with mo.status.spinner("running the claim"):
        tested = run_claim(CLAIM)
    mo.md(
        f"**{tested.verdict.capitalize()}.** {tested.findings.note}\n\n"
        "| | expected | measured | |\n|---|---:|---:|---|\n"
        + "\n".join(
            f"| {row.parameter.replace('|', '&#124;')} | {row.expected:.6g} | {row.measured:.6g} "
            f"| {'passed' if row.passed else 'failed'} |"
            for row in tested.findings.rows
        )
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## An open problem

    Here the drifts were given. Nobody chose them well: they only had to be small. A controller that *optimises* its
    weights would not make such ripples unless they paid.

    **Does the best noise-free control ever keep an $L^2$ error that more pieces do not remove, where control with
    noise gets rid of it?** The theory (arXiv 2312.07851) is about drifts that converge weakly, such as those of
    fast switching. It does not say that the optimum without noise is worse. On the simplest target, from a Gaussian
    to a Gaussian, the error of the best linear drifts falls like the square of the length of a piece without noise
    and with it, and the noise-free one is smaller. We do not know a target where it is the other way round for
    every number of pieces, nor a proof that there is none.

    ```sh
    controlsde claims run gaussian-ode-and-sde
    controlsde compare two-bumps --noise 0 --noise 1 --set controls.pieces=32
    ```

    **Read next.**

    - Claims: `noise-upgrades-convergence`, and `narrow-switching` for the switching that makes such drifts (lesson
      6); `score-loss-bounds-l2` for a bound in $L^2$ that blows up as the noise goes to zero; `reverse-wrong-start`
      for what is forgotten on the way back.
    - In the documentation: *Conventions*, on the skew-symmetric form that makes no noise; *The certificate*, on the
      checks.
    - arXiv 2312.07851, *Noise in the reverse process improves the approximation capabilities of diffusion models*.

    Lesson 6 builds a wide drift from narrow ones.
    """)
    return


@app.cell(hide_code=True)
def _(
    answer_distance,
    answer_forgetting,
    answer_height,
    answer_kappa,
    answer_limit,
    answer_numerical,
    answer_slope,
    answer_upwind,
):
    summary(
        "what_noise_changes",
        {
            "limit": answer_limit.value,
            "height": answer_height.value,
            "distance": answer_distance.value,
            "kappa": answer_kappa.value,
            "slope": answer_slope.value,
            "forgetting": answer_forgetting.value,
            "upwind": answer_upwind.value,
            "numerical": answer_numerical.value,
        },
    )
    return


if __name__ == "__main__":
    app.run()
