"""Lesson 2: one neuron as a control input. What A, W and b do to a density, and bounds on them."""

import marimo

app = marimo.App(app_title="One neuron as a control input", width="medium")

with app.setup:
    from functools import partial

    import marimo as mo
    import numpy as np

    import controlsde as cs
    from controlsde.lessons.evolving import Line
    from controlsde.lessons.page import (
        BLUE,
        FAINT,
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
        heat,
        side_by_side,
        summary,
    )
    from controlsde.lessons.students_code import NotUnderstoodError, function_of

    exercise = exercises_of("one_neuron").__getitem__

    def neuron(a, w, b, x):
        """The drift of one neuron at points."""
        return a * np.tanh(w * x + b)

    def gaussian(line, mean, deviation):
        """A normal density on a line."""
        return line.density(lambda x: np.exp(-((x - mean) ** 2) / (2 * deviation**2)))


@app.cell
def _():
    mo.md(r"""
    # 2. One neuron as a control input

    *About 20 minutes. It builds on lesson 1.*

    Afterwards you can

    - say what each weight of a neuron does to a density, before you see it,
    - compute exactly what an affine drift does to a Gaussian,
    - say how bounds on the weights limit what a control can do,
    - steer a shipped problem by hand, and have the answer verified.
    """)


@app.cell
def _():
    mo.md(r"""
    ## What we may turn

    The density is the state, and it is moved by a drift. The drift is not free: it is a neural network of width $m$,

    $$
    v(x) = A\,\sigma(Wx + b),
    $$

    and the **controls** are its weights $A$, $W$, $b$, held constant on a piece of time and then exchanged for others.
    Here $\sigma = \tanh$, the line is the state space, and $m = 1$: one neuron, three numbers,
    $v(x) = a\tanh(wx + b)$. Predict first:
    """)


@app.cell
def _():
    answer_split = asked(exercise("split"))
    answer_split
    return (answer_split,)


@app.cell
def _(answer_split):
    answered(exercise("split"), answer_split.value)


@app.cell
def _():
    mo.md(r"""
    ## Three weights and what they do

    Now turn them. Try to **squeeze** the bump, to **stretch** it, to **split** it, and to **push** it without changing
    its shape. For the last the neuron has to turn far away from the bump: why?
    """)


@app.cell
def _():
    knob_a = mo.ui.slider(-3, 3, 0.1, value=1.0, label="a, the height", show_value=True)
    knob_w = mo.ui.slider(-8, 8, 0.25, value=2.0, label="w, the steepness", show_value=True)
    knob_b = mo.ui.slider(-6, 6, 0.25, value=0.0, label="b, the shift", show_value=True)
    knob_d = mo.ui.slider(0, 0.5, 0.05, value=0.0, label="D, the noise", show_value=True)
    mo.vstack([knob_a, knob_w, knob_b, knob_d])
    return knob_a, knob_b, knob_d, knob_w


@app.cell
def _(knob_a, knob_b, knob_d, knob_w):
    def one_neuron_moves(a, w, b, diffusivity):
        """What a neuron does to a bump within a unit of time: drift, densities, a picture over time."""
        line = Line(-5, 5, diffusivity, elements=24)

        moments = np.linspace(0, 1, 21)
        course = line.carried(gaussian(line, 0.0, 0.6), partial(neuron, a, w, b), moments)
        first, last = line.drawn(course[0]), line.drawn(course[-1])
        slope = a * w / np.cosh(w * line.x + b) ** 2
        turns = [] if w == 0 else [-b / w]
        fields = drawn(
            [Curve(line.x, neuron(a, w, b, line.x), BLUE, "drift v"), Curve(line.x, slope, ORANGE, "its divergence")],
            Scale(-5, 5, "x"),
            Scale(min(-3.2, slope.min()), max(3.2, slope.max()), "v and ∂v/∂x"),
            f"The drift with a = {a:g}, w = {w:g}, b = {b:g}, and its divergence.",
            title="the neuron",
            uprights=turns,
            height=200,
        )
        bumps = drawn(
            [Curve(line.x, first, FAINT, "ρ at t = 0"), Curve(line.x, last, BLUE, "ρ at t = 1", filled=True)],
            Scale(-5, 5, "x"),
            Scale(0, max(1.4, 1.05 * last.max()), "ρ"),
            f"The density at first and after a unit of time, when its norm is {course[-1].norm:.3g}.",
            title="what it does",
            note=f"‖ρ‖ was {course[0].norm:.3g}, is {course[-1].norm:.3g}; mass {course[-1].mass:.9f}.",
            height=200,
        )
        over_time = heat(
            np.clip([line.drawn(one) for one in course], 0, None),
            (-5, 5),
            (0, 1),
            "The density over x and t.",
            ("x", "t"),
            title="on the way",
            height=200,
        )
        return side_by_side(fields, bumps, over_time)

    one_neuron_moves(knob_a.value, knob_w.value, knob_b.value, knob_d.value)


@app.cell
def _():
    answer_turn = asked(exercise("turn"))
    answer_turn
    return (answer_turn,)


@app.cell
def _(answer_turn):
    answered(exercise("turn"), answer_turn.value)


@app.cell
def _():
    answer_divergence = asked(exercise("divergence"))
    answer_divergence
    return (answer_divergence,)


@app.cell
def _(answer_divergence):
    answered(exercise("divergence"), answer_divergence.value)


@app.cell
def _():
    mo.md(r"""
    ## How much in how short a time

    A network has weights of bounded size; the software's key is `controls.bounds`. With $|a|, |w|, |b| \le B$ no mass
    moves faster than $B$, and no bump is squeezed or stretched at a rate above $B^2$. So a bound on weights is a bound
    on time: without noise, to double the height of a bump takes at least $\log 2/B^2$.
    """)


@app.cell
def _():
    answer_norm = asked(exercise("norm"))
    answer_norm
    return (answer_norm,)


@app.cell
def _(answer_norm):
    answered(exercise("norm"), answer_norm.value)


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
    Is a neuron affine enough for that? Here $k = a\,w$ is the same throughout; only $w$ changes. The smaller $w$, the
    longer the piece on which the neuron is straight, and the larger the $a$ that it takes.
    """)


@app.cell
def _():
    knob_k = mo.ui.slider(-2, 1, 0.25, value=-1.0, label="k = a w", show_value=True)
    knob_steep = mo.ui.slider(steps=[0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 3, 5], value=1, label="w", show_value=True)
    knob_noise = mo.ui.slider(0, 0.5, 0.05, value=0.1, label="D", show_value=True)
    mo.vstack([knob_k, knob_steep, knob_noise])
    return knob_k, knob_noise, knob_steep


@app.cell
def _(knob_k, knob_noise, knob_steep):
    def spread_of(k, w, diffusivity, start=0.5):
        """The variance of a Gaussian over time under a neuron of slope k, and under the affine drift kx."""
        line, moments = Line(-6, 6, diffusivity, elements=24), np.linspace(0, 1, 26)
        course = line.carried(gaussian(line, 0.0, np.sqrt(start)), lambda x: k / w * np.tanh(w * x), moments)
        computed = np.array([one.mean_of(lambda x: x[:, 0] ** 2) for one in course])
        added = 2 * moments if k == 0 else np.expm1(2 * k * moments) / k
        exact = start * np.exp(2 * k * moments) + diffusivity * added
        return drawn(
            [Curve(moments, exact, REFERENCE, "affine drift kx, by formula"), Curve(moments, computed, BLUE, "neuron")],
            Scale(0, 1, "t"),
            around([exact, computed], "variance"),
            f"At t = 1 the variance is {computed[-1]:.3g} under the neuron and {exact[-1]:.3g} under kx.",
            note=f"At t = 1: {computed[-1]:.4g} under the neuron, {exact[-1]:.4g} under kx.",
        )

    spread_of(knob_k.value, knob_steep.value, knob_noise.value)


@app.cell
def _():
    answer_drift = asked(exercise("drift"))
    answer_drift
    return (answer_drift,)


@app.cell
def _(answer_drift):
    answered(exercise("drift"), answer_drift.value)


@app.cell
def _(answer_drift):
    def width_two(text):
        """What a student's network of width two does to a bump: an arch that gathers mass at two places."""
        weights = np.array([2.0, -2.0]), np.array([4.0, 1.0]), np.zeros(2)
        drift, line = function_of(text, "drift"), Line(-5, 5, 0.02, elements=24)
        course = line.carried(gaussian(line, 0.0, 0.8), lambda x: drift(x, *weights), [0, 3.0])
        field = drift(line.x, *weights)
        return side_by_side(
            drawn(
                [Curve(line.x, field, BLUE, "2 tanh 4x − 2 tanh x, by your function")],
                Scale(-5, 5, "x"),
                around([field], "v"),
                "The drift of two neurons by your function.",
                title="two neurons",
            ),
            drawn(
                [
                    Curve(line.x, line.drawn(course[0]), FAINT, "ρ at t = 0"),
                    Curve(line.x, line.drawn(course[1]), BLUE, "ρ at t = 3", filled=True),
                ],
                Scale(-5, 5, "x"),
                around([line.drawn(one) for one in course], "ρ"),
                "The density at first and at t = 3 under your drift, with D = 0.02.",
                title="what they do",
            ),
        )

    if answer_drift.value is None:
        run_of_drift = mo.md("*Once you have pressed Check, your network runs here, whether it is right or not.*")
    else:
        try:
            run_of_drift = width_two(answer_drift.value)
        except (NotUnderstoodError, ValueError) as error:
            run_of_drift = mo.md(f"*Your function does not run as a drift: {error}*")
    run_of_drift


@app.cell
def _():
    mo.md(r"""
    ## Steer by hand

    The shipped problem `two-bumps` starts at a broad bump and wants two narrow ones at $T = 1.5$. We take it without
    noise, at $\eta = 0$, with one neuron and **three pieces** of half a unit of time each. Each row below is a piece.
    Bring the blue density onto the dashed one.

    If you do nothing the error $\|\rho(T) - p(T)\|$ is 0.679. The best that a search found with one and the same neuron
    in all three pieces is 0.323; with three different ones it found 0.254, from four random starts. Can you beat 0.323?
    """)


@app.cell
def _():
    def knobs(number):
        """The sliders of a piece."""
        return mo.ui.array(
            [
                mo.ui.slider(-6, 6, 0.05, value=0.0, label=f"a of piece {number}", show_value=True),
                mo.ui.slider(-12, 12, 0.1, value=1.0, label="w", show_value=True),
                mo.ui.slider(-6, 6, 0.05, value=0.0, label="b", show_value=True),
            ]
        )

    piece_1, piece_2, piece_3 = knobs(1), knobs(2), knobs(3)
    mo.vstack([mo.hstack(list(piece), justify="start", wrap=True) for piece in (piece_1, piece_2, piece_3)])
    return piece_1, piece_2, piece_3


@app.cell
def _():
    _by_hand = {"noise": 0.0, "controls.pieces": 3, "mesh.elements": [16], "mesh.steps_per_piece": 12}
    steered = cs.load_problem("two-bumps", set={**_by_hand, "monte_carlo.particles": 20000})
    reference = cs.build_reference(steered.reference, steered.domain)
    return reference, steered


@app.cell
def _(piece_1, piece_2, piece_3, reference):
    def by_hand(pieces):
        """The densities at the ends of the pieces, and the distance from the goal."""
        line, horizon = Line(-5, 5, 0.0, elements=24), reference.horizon
        goal = line.density(lambda x: reference.density(horizon, x[:, None]))
        course = [line.density(lambda x: reference.density(0.0, x[:, None]))]
        for a, w, b in pieces:
            field = partial(neuron, a, w, b)
            course += line.carried(course[-1], field, [horizon / 3])
        error = course[-1].distance(goal)
        inks = (FAINT, GREEN, ORANGE, BLUE)
        return drawn(
            [
                Curve(line.x, line.drawn(goal), REFERENCE, "goal p(T)"),
                *(
                    Curve(line.x, line.drawn(one), ink, f"ρ at t = {horizon * number / 3:g}", filled=ink is BLUE)
                    for number, (one, ink) in enumerate(zip(course, inks, strict=True))
                ),
            ],
            Scale(-5, 5, "x"),
            Scale(0, 1.5, "ρ"),
            f"The densities at the ends of the pieces; the error at T is {error:.3f}.",
            title=f"‖ρ(T) − p(T)‖ = {error:.3f}, not verified",
            height=260,
        )

    by_hand([piece_1.value, piece_2.value, piece_3.value])


@app.cell
def _():
    mo.md(r"""
    What you see is one mesh's opinion. To be believed, controls are evaluated: on finer meshes, along characteristics,
    by particles. That takes some seconds, and is what these lines do:

    ```python
    controls = cs.Controls(A, W, b, times)   # (3, 1, 1), (3, 1, 1), (3, 1), (4,)
    result = cs.evaluate(problem, controls)
    ```
    """)


@app.cell
def _():
    run_by_hand = mo.ui.run_button(label="Evaluate my three pieces (some seconds)")
    run_by_hand
    return (run_by_hand,)


@app.cell
def _(piece_1, piece_2, piece_3, run_by_hand, steered):
    mo.stop(not run_by_hand.value, mo.md("*Not evaluated yet.*"))
    _weights = np.array([piece_1.value, piece_2.value, piece_3.value], dtype=float)
    _result = cs.evaluate(
        steered,
        cs.Controls(
            _weights[:, 0, None, None], _weights[:, 1, None, None], _weights[:, 2, None], np.linspace(0, 1.5, 4)
        ),
    )
    _failed = ", ".join(f"`{check.name}`" for check in _result.certificate.failed)
    mo.md(
        f"Verified: **{'yes' if _result.verified else 'no'}**{f', {_failed} failed' if _failed else ''}. "
        f"The error at $T$ is **{_result.tracking.l2_final:.3f}** in $L^2$ and {_result.tracking.w2_final:.3f} in "
        "$W_2$, the distance by which mass would still have to move."
    )


@app.cell
def _():
    mo.md(r"""
    ## An open problem

    How near can one neuron come with three pieces? Searches find answers; that none is better is not proved by them.
    What **is** proved is a bound on energy that holds for every drift whatsoever; what a narrow one spends, over that
    bound, is the price of narrowness, and the claim `price-of-narrowness` measures it at widths 1, 2 and 4. But we know
    of no bound on the **error** that uses the width of the network and the number of its pieces.

    ```sh
    controlsde reach two-bumps --noise 0 --within 0.1 --least pieces
    controlsde claims run price-of-narrowness
    ```

    A result here would be a target, a number of pieces $K$ and an $\varepsilon > 0$ for which you can prove that no $K$
    pieces of one neuron come within $\varepsilon$.

    **Read next.** Lesson 3, on the drift that one would want to have. In the documentation: *pieces and width*, on how
    many of each a problem needs; *what can be reached*, on energy and its price. On narrow networks and switching: P1
    (arXiv 2312.07851).
    """)


@app.cell
def _(answer_divergence, answer_drift, answer_norm, answer_split, answer_turn, answer_variance):
    summary(
        "one_neuron",
        {
            "split": answer_split.value,
            "turn": answer_turn.value,
            "divergence": answer_divergence.value,
            "norm": answer_norm.value,
            "variance": answer_variance.value,
            "drift": answer_drift.value,
        },
    )


if __name__ == "__main__":
    app.run()
