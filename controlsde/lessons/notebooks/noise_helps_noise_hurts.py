"""Lesson 8: noise helps, noise hurts. Lengths of pieces, a wrong score, a wrong start, a comparison."""

import marimo

app = marimo.App(app_title="Noise helps, noise hurts", width="medium")

with app.setup:
    from functools import lru_cache, partial

    import marimo as mo
    import numpy as np

    import controlsde as cs
    from controlsde.claims import noise_helps_only_later
    from controlsde.claims.harness.evolution import densities_at, density_after, line
    from controlsde.claims.harness.references import exact, reversed_diffusion
    from controlsde.lessons.page import (
        BLUE,
        GREEN,
        ORANGE,
        REFERENCE,
        Curve,
        Scale,
        answered,
        around,
        asked,
        drawn,
        exercises_of,
        summary,
    )
    from controlsde.lessons.students_code import NotUnderstoodError, function_of, value_of
    from controlsde.problem import parse_problem

    exercise = exercises_of("noise_helps_noise_hurts").__getitem__

    def normal(x, mean, deviation):
        """The density of N(mean, deviation²)."""
        return np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 8. Noise helps, noise hurts

    The reference is the same at every noise level $\eta$, the drift that carries it is not. So does noise help? There
    are cases in which it does, cases in which it does not, and cases that look like one and are the other. This lesson
    has one of each, with formulas where there are any.

    **Afterwards you can** say which lengths of pieces suit a noise level; compute from when on noise helps against a
    wrong score, and until when it hurts; tell what becomes of a wrong start, with noise, without, and with feedback;
    and read the table of a comparison without reading too much into it.

    **It takes** about 40 minutes. Lessons 3 and 7 help.

    ## Few pieces

    With noise a density forgets. Weights are constant on each of a few pieces of time. How long should the pieces be?
    """)
    return


@app.cell
def _():
    answer_lengths = asked(exercise("lengths"))
    answer_lengths
    return (answer_lengths,)


@app.cell
def _(answer_lengths):
    answered(exercise("lengths"), answer_lengths.value)
    return


@app.cell
def _():
    answer_blur = asked(exercise("blur"))
    answer_blur
    return (answer_blur,)


@app.cell
def _(answer_blur):
    answered(exercise("blur"), answer_blur.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Suppose that both bumps have been made perfectly, some time before the end, and that nothing is done from then on.
    That is what is left of them. When, at the latest, would you stop to rest with noise 1?
    """)
    return


@app.cell
def _():
    early = mo.ui.slider(0.0, 0.4, 0.01, value=0.1, label="time before the end", show_value=True)
    strength = mo.ui.slider(steps=[0.0, 0.25, 1.0], value=1.0, label="noise η", show_value=True)
    mo.hstack([early, strength], justify="start", wrap=True)
    return early, strength


@app.cell
def _(early, strength):
    def picture_of_blur(time, noise):
        x = np.linspace(-4, 4, 401)
        broad = np.sqrt(0.3**2 + 2 * noise * time)
        data, left = (0.5 * (normal(x, -1.5, s) + normal(x, 1.5, s)) for s in (0.3, broad))
        missed = np.sqrt(np.sum((left - data) ** 2) * (x[1] - x[0]))
        return drawn(
            [Curve(x, data, REFERENCE, "data"), Curve(x, left, BLUE, "what is left")],
            around([x], "x"),
            Scale(0.0, 0.72, "density"),
            f"Two bumps after a rest of {time:g} with noise {noise:g}: they miss the data by {missed:.3g}",
            note=f"standard deviation {broad:.3g}; ‖left − data‖ = {missed:.3g}",
        )

    picture_of_blur(early.value, strength.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    A drift may go on working in the last piece, so this is not the whole truth: a *constant* drift that holds a bump
    together has a stationary density, not this one. The whole truth takes a search. The problem is `two-bumps` with
    one neuron, four pieces, and the error at $T$ alone in the objective; each of the four searches begins at four
    random starts. (The claim `free-lengths` lets the lengths be found, too.)
    """)
    return


@app.cell
def _():
    measure = mo.ui.run_button(label="Measure all four (one to two minutes)")
    measure
    return (measure,)


@app.cell
def _(measure):
    mo.stop(not measure.value)

    def four_pieces(noise, lengths):
        """One neuron on four pieces; lengths: of a piece over that of the one before."""
        return cs.solve(
            cs.load_problem(
                "two-bumps",
                set={
                    "noise": noise,
                    "controls.pieces": 4,
                    "controls.lengths": lengths,
                    "objective.running": 0,
                    "objective.effort": 1e-7,
                    "mesh.elements": [12],
                    "mesh.steps_per_piece": 8,
                    "solver": {"starts": 4, "hops": 8, "iterations": 100},
                    "monte_carlo.particles": 20000,
                },
            )
        )

    rows = []
    for each_noise in mo.status.progress_bar([0.0, 1.0], title="noise"):
        both = [four_pieces(each_noise, ratio) for ratio in (1.0, 0.5)]
        shown = " | ".join(f"{one.tracking.l2_final:.4f}{'' if one.verified else ' (not verified)'}" for one in both)
        rows.append(f"| {each_noise:g} | {shown} |")
    mo.md(
        "‖ρ(T) − p(T)‖, as the verification measures it:\n\n"
        "| noise | equal pieces | each half as long as the one before |\n|---|---|---|\n" + "\n".join(rows)
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    So "noise hurts few pieces" is a statement about *equal* pieces. That noise comes out ahead in the last column is
    no proof that it helps either: without noise there may be better answers that a longer search finds.

    ## A wrong score

    Trained scores are wrong. The simplest error is a constant $a$. Noise forgets what went wrong earlier; but the
    exact drift carries the score $(1+\eta)$ times. Which wins?
    """)
    return


@app.cell
def _():
    answer_bias = asked(exercise("bias"))
    answer_bias
    return (answer_bias,)


@app.cell
def _(answer_bias):
    answered(exercise("bias"), answer_bias.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **Your** formula is drawn against the horizon, for $a=.3$ and data $N(1,1)$. The marks are measured: the state
    equation with the biased drift.
    """)
    return


@app.cell
def _():
    eta = mo.ui.slider(steps=[0.1, 0.25, 0.5, 1.0, 2.0, 4.0], value=1.0, label="noise η", show_value=True)
    eta
    return (eta,)


@app.cell
def _(answer_bias, eta):
    @lru_cache
    def measured_errors(noise):
        """Times, and the errors of the mean there, from the state equation."""
        given = noise_helps_only_later.Parameters()
        times = np.linspace(0.0, given.horizon, 25)
        states = densities_at(
            line(*noise_helps_only_later.BOX, 16),
            partial(noise_helps_only_later.biased, given, noise),
            noise,
            lambda x: normal(x[:, 0], np.exp(-given.horizon) * given.mean, 1.0),
            times,
        )
        right = np.exp(-(given.horizon - times)) * given.mean
        return times, np.array([state.mean_of(lambda x: x[:, 0]) for state in states]) - right

    def picture_of_bias(text, noise):
        horizons = np.linspace(0.0, 3.0, 121)
        times, errors = measured_errors(noise)
        curves = [
            Curve(horizons, 0.3 * horizons, REFERENCE, "without noise: T·a"),
            Curve(times[::3], errors[::3], ORANGE, f"measured, η = {noise:g}", line=False, mark="circle"),
        ]
        note = "Write the formula above; then it is drawn here."
        if text is not None:
            try:
                values = np.broadcast_to(value_of(text, {"eta": noise, "T": horizons, "a": 0.3}), horizons.shape)
                curves.append(Curve(horizons, values, BLUE, f"your formula, η = {noise:g}"))
                last = float(np.interp(3.0, horizons, values))
                note = f"At T = 3: yours {last:.4f}, measured {errors[-1]:.4f}, without noise {0.9:.4f}."
            except (NotUnderstoodError, ValueError) as error:
                note = f"The formula cannot be drawn: {error}"
        return drawn(
            curves,
            around([horizons], "horizon T"),
            Scale(0.0, 1.0, "error of the mean"),
            f"Error of the mean against the horizon at noise {noise:g}",
            note=note,
        )

    picture_of_bias(answer_bias.value, eta.value)
    return


@app.cell
def _():
    answer_threshold = asked(exercise("threshold"))
    answer_threshold
    return (answer_threshold,)


@app.cell
def _(answer_threshold):
    answered(exercise("threshold"), answer_threshold.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Now turn it round: the horizon is given, and the noise may be chosen. Move $T$ from $.5$ to $3$. Is the best noise
    ever between nothing and very much? At which $T$ does very much begin to beat none?
    """)
    return


@app.cell
def _():
    horizon = mo.ui.slider(0.5, 3.0, 0.1, value=1.3, label="horizon T", show_value=True)
    horizon
    return (horizon,)


@app.cell
def _(horizon):
    def picture_of_levels(T):
        levels = np.geomspace(1e-3, 50, 160)
        errors = -(1 + levels) / levels * np.expm1(-levels * T) * 0.3
        return drawn(
            [
                Curve(levels, errors, BLUE, "with noise η"),
                Curve(levels, np.full(len(levels), 0.3 * T), REFERENCE, "without"),
                Curve(levels, np.full(len(levels), 0.3), GREEN, "η → ∞"),
            ],
            Scale(1e-3, 50, "noise η", logarithmic=True),
            Scale(0.0, 1.0, "error of the mean"),
            f"Error of the mean against the noise at T = {T:g}",
            note=f"T = {T:g}: without noise {0.3 * T:.3g}, at η = 1 {0.6 * (1 - np.exp(-T)):.3g}, in the limit 0.3",
        )

    picture_of_levels(horizon.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    In the limit $\eta\to\infty$ the error is $a$: the process sits in the equilibrium of the biased score at every
    moment. The best noise is never in between. For $T<1$ none is best;
    for $T>1$ the least error is approached as $\eta\to\infty$, and yet up to $T=2$ a *little* noise is worse than none
    (derived here: look at $e(T)-a$, and at the slope $T(1-T/2)\,a$ in $\eta$ at
    0). That is so for *one* kind of error, a constant, for exact integration, and for the mean. Large $\eta$ needs
    small time steps, and a rough or oscillating error is another matter (lesson 5). **No rule follows for networks.**

    ## A wrong start

    In practice one starts from $N(0,1)$, and not from $p(0)$.
    """)
    return


@app.cell
def _():
    answer_kept = asked(exercise("kept"))
    answer_kept
    return (answer_kept,)


@app.cell
def _(answer_kept):
    answered(exercise("kept"), answer_kept.value)
    return


@app.cell
def _():
    forgetting = mo.ui.slider(steps=[0.0, 0.25, 0.5, 1.0, 2.0], value=0.0, label="noise η", show_value=True)
    forgetting
    return (forgetting,)


@app.cell
def _(forgetting):
    def arrived(noise, m=1.0, s=0.5, T=1.0, a=0.0, b=1.0):
        """Mean and deviation at T from N(a, b²) under the exact drift for data N(m, s²), in closed form."""
        v = np.exp(-2 * T) * s**2 + 1 - np.exp(-2 * T)  # the variance of p(0)
        kept = np.exp(-noise * T) * (s**2 / v) ** ((1 + noise) / 2)
        return m + kept * (a - np.exp(-T) * m), np.sqrt(s**2 + kept**2 * (b**2 - v))

    @lru_cache
    def run_from(noise):
        """The same by the state equation."""
        reference = reversed_diffusion("{kind: mixture, means: [[1.0]], stds: [0.5]}", ((-6.0, 6.0),), 1.0)
        drift = partial(exact, reference, noise)
        return density_after(
            line(-6.0, 6.0, 16), drift, noise, lambda x: normal(x[:, 0], 0.0, 1.0), np.linspace(0.0, 1.0, 33)
        )

    def picture_of_forgetting(noise):
        x = np.linspace(-1.5, 3.5, 251)
        mean, deviation = arrived(noise)
        measured = run_from(noise)
        v = np.exp(-2.0) * 0.25 + 1 - np.exp(-2.0)
        left = (np.exp(-1.0) * np.sqrt(0.25 / v)) ** noise
        return drawn(
            [
                Curve(x, normal(x, 1.0, 0.5), REFERENCE, "data"),
                Curve(x, normal(x, mean, deviation), BLUE, "from N(0, 1), closed form"),
                Curve(x[::10], measured.on((x[::10],)), ORANGE, "state equation", line=False, mark="circle"),
            ],
            around([x], "x"),
            Scale(0.0, 0.9, "density at T"),
            f"Data N(1, 1/4) from a wrong start at noise {noise:g}; {left:.3g} of the distance in deviations is left",
            note=f"η = {noise:g}: mean {mean:.4f}, {left:.3g} of its distance in standard deviations is left",
        )

    picture_of_forgetting(forgetting.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    That was a formula for Gaussians. With $\eta=1$ there is one for *any* data.
    """)
    return


@app.cell
def _():
    answer_wrong_start = asked(exercise("wrong_start"))
    answer_wrong_start
    return (answer_wrong_start,)


@app.cell
def _(answer_wrong_start):
    answered(exercise("wrong_start"), answer_wrong_start.value)
    return


@app.cell
def _():
    longer = mo.ui.slider(steps=[0.5, 1.0, 1.5, 2.5], value=1.0, label="horizon T", show_value=True)
    shifted = mo.ui.slider(-2.0, 2.0, 0.25, value=1.0, label="the start is N(shift, 1)", show_value=True)
    mo.hstack([longer, shifted], justify="start", wrap=True)
    return longer, shifted


@app.cell
def _(answer_wrong_start, longer, shifted):
    def three_bumps(x, T=0.0):
        """A mixture of three Gaussians, noised for the time T."""
        parts = ((0.3, -1.5, 0.4), (0.5, 0.5, 0.6), (0.2, 2.5, 0.3))
        spread = [np.sqrt(np.exp(-2 * T) * s**2 + 1 - np.exp(-2 * T)) for _, _, s in parts]
        return sum(weight * normal(x, np.exp(-T) * mean, s) for (weight, mean, _), s in zip(parts, spread, strict=True))

    @lru_cache
    def run_of_three(T, shift):
        """The reverse process with η = 1 and the exact drift, by the state equation."""
        data = "{kind: mixture, weights: [0.3, 0.5, 0.2], means: [[-1.5], [0.5], [2.5]], stds: [0.4, 0.6, 0.3]}"
        reference = reversed_diffusion(data, ((-9.0, 9.0),), T)
        drift = partial(exact, reference, 1.0)
        return density_after(
            line(-9.0, 9.0, 28), drift, 1.0, lambda x: normal(x[:, 0], shift, 1.0), np.linspace(0.0, T, 49)
        )

    def picture_of_three(text, T, shift):
        x = np.linspace(-9, 9, 361)
        data, noised, start = three_bumps(x), three_bumps(x, T), normal(x, shift, 1.0)
        chain = normal(x[None, :], np.exp(-T) * x[:, None], np.sqrt(1 - np.exp(-2 * T))) * (x[1] - x[0])
        seen = np.abs(x) <= 4
        measured = run_of_three(T, shift).on((x,))
        curves = [
            Curve(x[seen], data[seen], REFERENCE, "data"),
            Curve(x[seen][::5], measured[seen][::5], ORANGE, "state equation", line=False, mark="circle"),
        ]
        note = "Write `arrives` above; then it is drawn here."
        if text is not None:
            try:
                own = function_of(text, "arrives")(start, data, noised, chain)
                if own.shape != x.shape or not np.all(np.isfinite(own[seen])):
                    raise NotUnderstoodError("it does not give a finite number for every x")
                curves.append(Curve(x[seen], own[seen], BLUE, "yours"))
                apart = np.sqrt(np.sum((own - measured)[seen] ** 2) * (x[1] - x[0]))
                missed = np.sqrt(np.sum((measured - data)[seen] ** 2) * (x[1] - x[0]))
                note = f"Yours is {apart:.2g} from the state equation, which misses the data by {missed:.3g}."
            except NotUnderstoodError as error:
                note = f"`arrives` cannot be drawn: {error}"
        return drawn(
            curves,
            around([x[seen]], "x"),
            Scale(0.0, 0.55, "density at T"),
            f"Where N({shift:g}, 1) arrives for T = {T:g}, beside the data",
            note=note,
        )

    picture_of_three(answer_wrong_start.value, longer.value, shifted.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Forgetting or feedback

    Without noise nothing forgets. But one may *look*: with feedback the weights of a piece depend on where the
    density is. `cs.feedback(result, start=…, by="riccati")` computes a linear law about the nominal way,
    $\delta\theta_k=-L_k(\rho-\bar\rho)$, and runs it from the wrong start. The button does it for one neuron on four
    pieces, with noise and without, from $N(0,1)$. Before you press: where will feedback be worth much, and where
    little?
    """)
    return


@app.cell
def _():
    loops = mo.ui.run_button(label="Run all loops (half a minute)")
    loops
    return (loops,)


@app.cell
def _(loops):
    mo.stop(not loops.value)
    one_gaussian = """
    domain: {box: [[-6, 6]]}
    reference:
      kind: reversed-diffusion
      horizon: 1
      data: {kind: mixture, means: [[1]], stds: [0.5]}
    network: {width: 1}
    controls: {pieces: 4}
    solver: {starts: 2, hops: 0}
    monte_carlo: {particles: 20000}
    """
    lines_of_loops = []
    for one_level in mo.status.progress_bar([0.0, 1.0], title="noise"):
        nominal = cs.solve(parse_problem(one_gaussian, set={"noise": one_level}))
        loop = cs.feedback(nominal, "stationary", by="riccati")
        numbers = (loop.nominal.l2_final, loop.open_loop.l2_final, loop.closed_loop.l2_final)
        verified = "" if loop.verified else " (not verified)"
        lines_of_loops.append(f"| {one_level:g} | " + " | ".join(f"{one:.4f}" for one in numbers) + f"{verified} |")
    mo.md(
        "‖ρ(T) − p(T)‖, verified:\n\n| noise | from the right start | from N(0, 1), open loop | with feedback |\n"
        "|---|---|---|---|\n" + "\n".join(lines_of_loops)
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Noise forgets a wrong start; without noise only feedback helps. The claim `feedback-and-forgetting` has five noise
    levels and a second kind of feedback, which solves the rest anew before every piece. Feedback on a density asks
    for a density that one can see, which a cloud of many particles gives and a single particle does not.

    ## A comparison, read honestly

    `cs.compare(problem)` solves at each noise level with the same budget, and then runs every control under every
    noise. Below the exercise a button does so for `iris-petals`, real data, with equal pieces or with others.
    """)
    return


@app.cell
def _():
    answer_cross = asked(exercise("cross"))
    answer_cross
    return (answer_cross,)


@app.cell
def _(answer_cross):
    answered(exercise("cross"), answer_cross.value)
    return


@app.cell
def _():
    lengths_of_pieces = mo.ui.radio(
        options={"equal pieces": 1.0, "each three quarters of the one before": 0.75},
        value="equal pieces",
        label="",
        inline=True,
    )
    both_levels = mo.ui.run_button(label="Compare (one to two minutes)")
    mo.vstack([lengths_of_pieces, both_levels])
    return both_levels, lengths_of_pieces


@app.cell
def _(both_levels, lengths_of_pieces):
    mo.stop(not both_levels.value)
    comparison = cs.compare(
        cs.load_problem(
            "iris-petals",
            set={
                "controls.lengths": lengths_of_pieces.value,
                "solver.starts": 4,
                "solver.hops": 8,
                "monte_carlo.particles": 20000,
            },
        )
    )
    table = "\n".join(
        f"| noise {own:g} | " + " | ".join(f"{value:.3f}" for value in row) + " |"
        for own, row in zip(comparison.noise, comparison.cross, strict=True)
    )
    mo.md(
        f"Errors at $T$, {'all verified' if comparison.verified else 'not all verified'}:\n\n"
        f"| controls found at | run at noise 0 | run at noise 1 |\n|---|---|---|\n{table}\n\n> {comparison.note}"
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Before you say "noise helps" or "noise hurts", ask: in which distance, with which budget, with which lengths of
    the pieces, how good was the search at *each* level, was it verified, and what was wrong in the first place (the
    start, the score, the width)?

    ## An open problem

    **For which budgets do the *best possible* controls with noise come nearer to the data than the best possible ones
    without?** The claims `noise-frontier` and `noise-frontier-free-lengths` search over pieces, widths, densities and
    distances, and their verdict is *open*: with few pieces of free length noise was ahead in $W_1$ in 3 of 12 budgets
    and behind in none, in $L^2$ ahead in 2 and behind in 2. But a search finds an error, not the least one. A proof
    would need a lower bound on the error of a narrow network *without* noise, and there is none. Where to begin: one
    budget, long searches at both levels, and see whether the order survives.

    ```sh
    controlsde claims run noise-frontier-free-lengths \
        --set 'densities=[kink]' --set 'pieces=[4]' --set 'widths=[1]'
    ```

    **Read next:** the pages *Pieces and width* and *What can be reached* (a wrong start); the claims `free-lengths`,
    `noise-helps-only-later`, `reverse-wrong-start` and `feedback-and-forgetting`; Elamvazhuthi, Oymak and Pasqualetti
    (arXiv 2312.07851) for why noise should help, and Vargas, Reu, Kerekes and Bronstein (arXiv 2305.09605) for the
    start.
    """)
    return


@app.cell
def _(
    answer_bias,
    answer_blur,
    answer_cross,
    answer_kept,
    answer_lengths,
    answer_threshold,
    answer_wrong_start,
):
    summary(
        "noise_helps_noise_hurts",
        {
            "lengths": answer_lengths.value,
            "blur": answer_blur.value,
            "bias": answer_bias.value,
            "threshold": answer_threshold.value,
            "kept": answer_kept.value,
            "wrong_start": answer_wrong_start.value,
            "cross": answer_cross.value,
        },
    )
    return


if __name__ == "__main__":
    app.run()
