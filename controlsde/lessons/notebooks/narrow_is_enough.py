"""Lesson 6: width d is enough. Drifts that take turns, splitting, and one neuron that plays two."""

import marimo

app = marimo.App(app_title="Width d is enough", width="medium")

with app.setup:
    from functools import lru_cache, partial
    from itertools import pairwise

    import marimo as mo
    import numpy as np
    from scipy.linalg import expm

    import controlsde as cs
    from controlsde.claims import narrow_switching
    from controlsde.claims.harness.evolution import density_after, line
    from controlsde.lessons.page import (
        BLUE,
        GREEN,
        ORANGE,
        REFERENCE,
        Curve,
        answered,
        around,
        asked,
        drawn,
        exercises_of,
        side_by_side,
        summary,
    )
    from controlsde.lessons.students_code import NotUnderstoodError, function_of
    from controlsde.tracking.objective import Objective
    from controlsde.tracking.posed import Posed
    from controlsde.tracking.time_grid import TimeGrid

    exercise = exercises_of("narrow_is_enough").__getitem__


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 6. Width d is enough

    A wide network is a sum of neurons. Can a network with a *single* neuron do the same work, if its weights may change
    often? It can, by taking turns: this lesson shows how, how fast one has to switch, and what it costs.

    **Afterwards you can** write a wide drift as narrow ones in turn; predict how the error falls with the number of
    switches, and say which commutator is to blame; gain an order for nothing; and play a network of two neurons with
    one, in the software, with a certificate.

    **It takes** about 30 minutes. You need ordinary differential equations and the exponential of a matrix.

    ## Two drifts take turns

    The density obeys $\partial_t\rho=D\,\partial_x^2\rho-\partial_x(v\rho)$, and the drift is a sum of two neurons,

    $$
    v=b_1+b_2,\quad\begin{aligned}b_1(x)&=-\tanh(x+1),\\b_2(x)&=-\tfrac12\tanh(x-1).\end{aligned}
    $$

    The first pulls to $-1$, the second to $+1$, half as strongly. Now only one of them is allowed at a time. So let
    them take turns, each for half of the time and twice as strong: $2b_1,2b_2,2b_1,2b_2,\dots$, $N$ times in $[0,T]$.
    """)
    return


@app.cell
def _():
    answer_order = asked(exercise("order"))
    answer_order
    return (answer_order,)


@app.cell
def _(answer_order):
    answered(exercise("order"), answer_order.value)
    return


@app.cell
def _():
    answer_schedule = asked(exercise("schedule"))
    answer_schedule
    return (answer_schedule,)


@app.cell
def _(answer_schedule):
    answered(exercise("schedule"), answer_schedule.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What a particle does

    This is **your** drift, right or wrong, without noise: five particles under `switched`, and under the sum. Move $N$.
    """)
    return


@app.cell
def _():
    turns = mo.ui.slider(1, 16, value=3, label="periods N", show_value=True)
    turns
    return (turns,)


@app.cell
def _(answer_schedule, turns):
    def paths(drift, steps, start=(-2.0, -1.0, 0.0, 1.0, 2.0), T=1.5):
        """Particles by the midpoint rule, whose midpoints lie inside the slots."""
        x, h = np.array(start), T / steps
        found = [x]
        for k in range(steps):
            middle = (k + 0.5) * h
            x = x + h * drift(middle, x + 0.5 * h * drift(middle, x))
            found.append(x)
        return np.linspace(0.0, T, steps + 1), np.array(found)

    def neurons(x):
        return -np.tanh(x + 1), -0.5 * np.tanh(x - 1)

    def picture_of_paths(text, N):
        """Paths under the student's drift; what is wrong with it in words, where it cannot be run."""
        if text is None:
            return mo.md("*Write the drift above; then its paths are drawn here.*")
        try:
            switched = function_of(text, "switched")
            ours = paths(lambda t, x: switched(t, *neurons(x), N, 1.5), 12 * N)
        except NotUnderstoodError as error:
            return mo.md(f"*The drift cannot be run: {error}*")
        if ours[1].shape[1:] != (5,) or not np.all(np.isfinite(ours[1])):
            return mo.md("*That drift does not give one number for each particle.*")
        sums = paths(lambda _, x: sum(neurons(x)), 120)
        both = [
            Curve(times, values[:, place], ink, name if place == 0 else "")
            for (times, values), ink, name in ((sums, REFERENCE, "the sum"), (ours, BLUE, "yours"))
            for place in range(5)
        ]
        apart = np.max(np.abs(ours[1][-1] - sums[1][-1]))
        return drawn(
            both,
            around([sums[0]], "t"),
            around([curve.y for curve in both], "x"),
            f"Paths of five particles with {N} periods, {apart:.2g} apart at the end at most",
            note=f"N = {N}: at T the paths are at most {apart:.3g} apart.",
        )

    picture_of_paths(answer_schedule.value, turns.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What the density does

    The same with the state equation, solved by the software's own integrator from a Gaussian off the centre. A step
    ends at every switch. Compare $N$ with $2N$: does your prediction hold? And does it need the noise?
    """)
    return


@app.cell
def _():
    periods = mo.ui.slider(steps=[1, 2, 4, 8, 16, 32], value=2, label="periods N", show_value=True)
    diffusivity = mo.ui.slider(steps=[0.0, 0.1, 0.5], value=0.5, label="diffusivity D", show_value=True)
    pattern = mo.ui.radio(
        options={"1, 2": "forward", "1, 2, 2, 1": "symmetric"}, value="1, 2", label="order", inline=True
    )
    mo.hstack([periods, diffusivity, pattern], justify="start", wrap=True)
    return diffusivity, pattern, periods


@app.cell
def _():
    neurons_of_claim = narrow_switching.Parameters()  # the same two neurons, T = 1
    mesh = line(-6.0, 6.0, 12)

    @lru_cache
    def of_the_sum(D):
        return density_after(
            mesh, partial(narrow_switching.both, neurons_of_claim), D, narrow_switching.start, np.linspace(0, 1, 65)
        )

    @lru_cache
    def in_turn(D, name, N):
        order = narrow_switching.PATTERNS[name]
        drift = partial(narrow_switching.in_turn, neurons_of_claim, order, N)
        return density_after(mesh, drift, D, narrow_switching.start, np.linspace(0, 1, N * len(order) + 1))

    return in_turn, of_the_sum


@app.cell
def _(diffusivity, in_turn, of_the_sum, pattern, periods):
    def picture_of_densities(D, name, N):
        x = np.linspace(-2.5, 2.5, 301)
        whole, turned = of_the_sum(D), in_turn(D, name, N)
        apart = turned.distance(whole)
        curves = [Curve(x, whole.on((x,)), REFERENCE, "the sum"), Curve(x, turned.on((x,)), BLUE, "in turn")]
        return drawn(
            curves,
            around([x], "x"),
            around([curve.y for curve in curves], "density at T"),
            f"Both densities at T, {apart:.3g} apart in L2",
            note=f"N = {N}: ‖ρ in turn − ρ of the sum‖ = {apart:.3g}",
        )

    picture_of_densities(diffusivity.value, pattern.value, periods.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Where the error comes from

    A period of length $h=T/N$ runs $2b_1$ for $h/2$ and then $2b_2$ for $h/2$. If the flows of $b_1$ and $b_2$ commute
    that is exactly what the sum does. They do not. The simplest example can be done by hand.
    """)
    return


@app.cell
def _():
    answer_by_hand = asked(exercise("by_hand"))
    answer_by_hand
    return (answer_by_hand,)


@app.cell
def _(answer_by_hand):
    answered(exercise("by_hand"), answer_by_hand.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Densities are no different. The state equation is linear in $\rho$: with
    $B_i\rho=-\partial_x(b_i\rho)+\tfrac12D\,\partial_x^2\rho$ it reads $\partial_t\rho=(B_1+B_2)\rho$. Here noise acts
    always; written so, each of the two brings half of it. Once $x$ is discretised these are matrices.
    """)
    return


@app.cell
def _():
    answer_commutator = asked(exercise("commutator"))
    answer_commutator
    return (answer_commutator,)


@app.cell
def _(answer_commutator):
    answered(exercise("commutator"), answer_commutator.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Two matrices, $A=-\begin{pmatrix}1&0\\0&0\end{pmatrix}$ and the same one turned by an angle, $B=RAR^{\mathsf T}$.
    Turn it. When do they commute? What happens to the slopes, and what only to the height of the lines?
    """)
    return


@app.cell
def _():
    angle = mo.ui.slider(0, 90, 5, value=30, label="angle in degrees", show_value=True)
    angle
    return (angle,)


@app.cell
def _(angle):
    def splitting_errors(degrees, counts, T=1.0):
        """Of Lie's and of Strang's order, ‖product − e^{T(A + B)}‖, and ‖[B, A]‖."""
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        a, turn = -np.diag([1.0, 0.0]), np.array([[c, -s], [s, c]])
        b = turn @ a @ turn.T
        both, found = expm(T * (a + b)), np.zeros((2, len(counts)))
        for place, n in enumerate(counts):
            h = T / n
            lie = expm(h * b) @ expm(h * a)
            strang = expm(h / 2 * a) @ expm(h * b) @ expm(h / 2 * a)
            for row, one in enumerate((lie, strang)):
                found[row, place] = np.linalg.norm(np.linalg.matrix_power(one, n) - both)
        return found, np.linalg.norm(b @ a - a @ b)

    def picture_of_matrices(degrees):
        counts = np.array([1, 2, 4, 8, 16, 32, 64])
        errors, size = splitting_errors(degrees, counts)
        if size < 1e-12:
            return mo.md(
                f"**At {degrees}° the matrices commute**, and both errors are rounding: "
                f"{errors[0].max():.1g} and {errors[1].max():.1g} at most, at every $N$."
            )
        slopes = [np.polyfit(np.log(counts[3:]), np.log(row[3:]), 1)[0] for row in errors]
        curves = [
            Curve(counts, errors[0], BLUE, f"order 1, 2: slope {slopes[0]:.2f}", mark="circle"),
            Curve(counts, errors[1], ORANGE, f"order 1, 2, 2, 1: slope {slopes[1]:.2f}", mark="square"),
        ]
        return drawn(
            curves,
            around([counts], "periods N", logarithmic=True),
            around([errors.ravel()], "error", logarithmic=True),
            f"Errors against the number of periods; slopes {slopes[0]:.2f} and {slopes[1]:.2f}",
            note=f"‖[B, A]‖ = {size:.3g}; slopes fitted over N = 8 … 64",
        )

    picture_of_matrices(angle.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## A palindrome

    The order 1, 2 makes the error $\tfrac12h^2[B,A]$, the order 2, 1 the opposite one. Do one after the other.
    """)
    return


@app.cell
def _():
    answer_palindrome = asked(exercise("palindrome"))
    answer_palindrome
    return (answer_palindrome,)


@app.cell
def _(answer_palindrome):
    answered(exercise("palindrome"), answer_palindrome.value)
    return


@app.cell
def _(answer_palindrome, in_turn, of_the_sum):
    def picture_of_orders():
        counts = np.array([4, 8, 16, 32])
        pictures = []
        for D in (0.5, 0.0):
            curves, said = [], []
            for name, ink, mark in (("forward", BLUE, "circle"), ("symmetric", ORANGE, "square")):
                errors = [in_turn(D, name, int(n)).distance(of_the_sum(D)) for n in counts]
                slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
                order = "1, 2" if name == "forward" else "1, 2, 2, 1"
                curves.append(Curve(counts, errors, ink, f"{order}: slope {slope:.2f}", mark=mark))
                said.append(f"{order}: {errors[1]:.3g} at N = 8, {errors[3]:.3g} at N = 32")
            pictures.append(
                drawn(
                    curves,
                    around([counts], "periods N", logarithmic=True),
                    around([curve.y for curve in curves], "L² error", logarithmic=True),
                    "; ".join(said),
                    title=f"D = {D:g}",
                    note="; ".join(said),
                )
            )
        return side_by_side(*pictures)

    mo.md("*Answer first; then the measured errors are shown here.*") if answer_palindrome.value is None else (
        picture_of_orders()
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    So this is operator splitting, with its usual orders, Lie's and Strang's. It needs no noise. What it says about
    networks is the point: **any sum of neurons can be played by one at a time**, as nearly as you like. A drift of
    width $d$ in $d$ dimensions, the default here, has $d$ of them at a time. The claim `narrow-switching` has the
    numbers with their tolerances.

    **Is there more to gain?** Without noise, yes: $-b$ runs the flow of $b$ backwards, so that compositions of order
    four (Suzuki; Yoshida) can be played with weights of both signs. With noise, not with these two drifts. Let $u(t)$
    be the strength at which $b_1$ acts, $U=\int_0^tu$, on $[0,1]$. With $L=D\,\partial_x^2$ always on, order three
    needs $\int U\,t\,dt=\tfrac13$ from the terms in $[L,[L,B_1]]$ and $\int U^2dt=\tfrac13$ from those in
    $[B_1,[B_1,L]]$. Then $\int(U-t)^2dt=\tfrac13-\tfrac23+\tfrac13=0$: $b_1$ is on all the time, and nothing is
    switched (derived here; for splittings with positive steps see Goldman and Kaper, 1996).

    ## The real thing: one neuron plays two

    Two neurons are fitted to the exact drift of a reversed diffusion (score matching, eight pieces). Then one neuron
    plays them: each piece is played in `rounds` rounds, in each round the first neuron, then the second, twice as
    strong.
    """)
    return


@app.cell
def _():
    answer_bounds = asked(exercise("bounds"))
    answer_bounds
    return (answer_bounds,)


@app.cell
def _(answer_bounds):
    answered(exercise("bounds"), answer_bounds.value)
    return


@app.cell
def _():
    settings = {"controls.pieces": 8, "reference.data.stds": [0.5, 0.5], "monte_carlo.particles": 20000}
    matching = {"network.width": 2, "solver": {"kind": "score-matching", "starts": 2}}
    wide = cs.solve(cs.load_problem("two-bumps", set=settings | matching))
    assert wide.controls is not None
    mo.md(
        f"The network of two neurons, as the verification sees it: "
        f"‖ρ(T) − p(T)‖ = **{wide.tracking.l2_final:.4f}**, "
        f"{'verified' if wide.verified else 'not verified'}; its largest |A| is {np.abs(wide.controls.A).max():.3g}."
    )
    return settings, wide


@app.cell
def _():
    rounds = mo.ui.slider(steps=[1, 2, 4, 8], value=1, label="rounds in each piece", show_value=True)
    played_as = mo.ui.radio(options=["1, 2", "1, 2, 2, 1"], value="1, 2", label="order", inline=True)
    mo.hstack([rounds, played_as], justify="start", wrap=True)
    return played_as, rounds


@app.cell
def _(settings, wide):
    def played_by_one(controls, rounds, order):
        """Controls of one neuron: A (slots, 1, 1), W, b, and the times at which it switches."""
        turn = [0, 1] if order == "1, 2" else [0, 1, 1, 0]
        which = np.tile(turn, rounds)  # the neuron of each slot of a piece
        a, w, b = (
            np.concatenate([part[piece][..., which].reshape(len(which), -1) for piece in range(controls.pieces)])
            for part in (controls.A, controls.W.swapaxes(1, 2), controls.b)
        )
        slots = [np.linspace(*ends, len(which) + 1)[:-1] for ends in pairwise(controls.times)]
        times = np.append(np.concatenate(slots), controls.times[-1])
        return cs.Controls(A=2 * a[:, :, None], W=w[:, :, None], b=b, times=times)

    posed = [
        Posed.of(cs.load_problem("two-bumps", set=settings | {"network.width": width, "mesh.elements": [16]}))
        for width in (1, 2)
    ]

    def final(width, controls, steps):
        """ρ(T) on a mesh of 16 elements, with so many steps in each slot: mesh, values, p(T)."""
        tracking = posed[width - 1].on(grid=TimeGrid(controls.times, steps, 3))
        weights = tracking.network.join(controls.A, controls.W, controls.b)
        return tracking.mesh, Objective(tracking).stages(weights)[-1, -1, -1], tracking.targets[-1, -1, -1]

    wide_end = final(2, wide.controls, 32)
    return final, played_by_one, wide_end


@app.cell
def _(final, played_as, played_by_one, rounds, wide, wide_end):
    def picture_of_playing(count, order):
        played = played_by_one(wide.controls, count, order)
        on, values, target = final(1, played, 1)
        x = on.points[:, 0]
        to_wide, to_data = (float(np.sqrt(on.mass @ (values - other) ** 2)) for other in (wide_end[1], target))
        curves = [
            Curve(x, target, REFERENCE, "data"),
            Curve(x, wide_end[1], GREEN, "two neurons"),
            Curve(x, values, BLUE, "one neuron in turn"),
        ]
        said = (
            f"{played.pieces} slots: {to_wide:.3g} from what two neurons do, {to_data:.3g} from the data; "
            f"largest |A| {np.abs(played.A).max():.3g}"
        )
        return drawn(curves, around([x], "x"), around([values, target], "density at T"), said, note=said)

    picture_of_playing(rounds.value, played_as.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The distance to the *two neurons* goes to zero. The distance to the *data* does not: what the fit has missed,
    switching misses, too. The numbers above are those of one mesh. Have them verified on finer meshes, by other
    integrators and by particles:
    """)
    return


@app.cell
def _():
    verify = mo.ui.run_button(label="Verify (up to half a minute)")
    verify
    return (verify,)


@app.cell
def _(played_as, played_by_one, rounds, settings, verify, wide):
    mo.stop(not verify.value)
    narrow = played_by_one(wide.controls, rounds.value, played_as.value)
    narrow_problem = cs.load_problem(
        "two-bumps", set=settings | {"controls.pieces": narrow.pieces, "controls.bounds": 100}
    )
    evaluated = cs.evaluate(narrow_problem, narrow)
    mo.md(
        f"`cs.evaluate(problem, controls)`, {narrow.pieces} slots, one neuron: ‖ρ(T) − p(T)‖ = "
        f"**{evaluated.tracking.l2_final:.4f}**, {'verified' if evaluated.verified else 'not verified'}. "
        f"Energy {evaluated.to_json()['energy']:.3g}, against {wide.to_json()['energy']:.3g} of two neurons: "
        "where they work against each other, in turn each spends its own. "
        "(The problem's `controls.bounds` had to be raised to 100.)"
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What this says, and what not

    - It is a *construction*: a proof that width $d$ is enough, run as a program. It spends its pieces on switching.
    - It asks for weights $m$ times as strong, and for more energy: in turn, two drifts spend
      $\tfrac12\int\big(|2b_1|^2+|2b_2|^2\big)\rho=\int2\big(|b_1|^2+|b_2|^2\big)\rho$ at a time, which is
      $\int|b_1+b_2|^2\rho+\int|b_1-b_2|^2\rho$.
    - An *optimised* neuron uses its pieces far better. The solver `switching` does what you just did, and shooting can
      begin from there: `solver: {kind: shooting, start: switching}`.

    ## An open problem

    With $K$ pieces, switching in palindromes leaves an error of order $K^{-2}$ to what the wide network does. An
    *optimised* neuron may choose its weights freely in every piece. **How fast does its least error fall with $K$,
    and is it faster than $K^{-2}$?** It is no slower, as it could switch. Measured slopes are all that there is, from
    searches that may miss the least error; no order is proved, with noise or without.

    ```sh
    for K in 4 8 16 32; do
      controlsde solve two-bumps --set controls.pieces=$K --set solver.hops=64 -o pieces-$K
    done
    ```

    Then do it with `--set noise=0`, and with `--set controls.lengths=free`. The claim `narrow-network-2d` asks the
    same in the plane.

    **Read next:** the page *Pieces and width*; the claims `narrow-switching`, `narrow-network-tracks` and
    `narrow-network-2d`; Elamvazhuthi, Oymak and Pasqualetti, *Noise in the reverse process improves the approximation
    capabilities of diffusion models* (arXiv 2312.07851); Strang, *On the construction and comparison of difference
    schemes* (1968). The next lesson asks what *any* drift can reach, and at what price.
    """)
    return


@app.cell
def _(answer_bounds, answer_by_hand, answer_commutator, answer_order, answer_palindrome, answer_schedule):
    summary(
        "narrow_is_enough",
        {
            "order": answer_order.value,
            "schedule": answer_schedule.value,
            "by_hand": answer_by_hand.value,
            "commutator": answer_commutator.value,
            "palindrome": answer_palindrome.value,
            "bounds": answer_bounds.value,
        },
    )
    return


if __name__ == "__main__":
    app.run()
