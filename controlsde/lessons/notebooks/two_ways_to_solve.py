"""Lesson 4, shooting, adjoint, collocation: three cells by hand, then the problem itself in both ways."""

import marimo

app = marimo.App(app_title="Shooting, adjoint, collocation", width="medium")

with app.setup:
    import time

    import marimo as mo
    import numpy as np

    import controlsde as cs
    from controlsde.lessons.page import (
        BLUE,
        FAINT,
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
    from controlsde.lessons.three_cells import MOVING, moving_right
    from controlsde.tracking.objective import Objective
    from controlsde.tracking.posed import Posed

    exercise = exercises_of("two_ways_to_solve").__getitem__
    CELLS = ((BLUE, "left", "circle"), (ORANGE, "middle", "square"), (GREEN, "right", "triangle"))


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 4. Shooting, adjoint, collocation

    *About 40 minutes.* Afterwards you can

    - write down a conservative generator, and an implicit step;
    - derive the costates of a discrete problem, and the gradient from them, and say what they cost;
    - test a gradient, and say which difference to trust;
    - write the same problem as a nonlinear program, and say what its multipliers are;
    - solve the software's own problem in both ways, and judge whether they agree.

    You know linear algebra, and that the controls here are weights which are constant on pieces of time (lesson 2).

    ## Three cells

    The state of our problem is a density, and its equation is linear in the density: $\dot\rho = A(v)\,\rho$. All
    that is special about the way to its gradient is there with three cells already. So we begin with three.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_generator = asked(exercise("generator"))
    answer_generator
    return (answer_generator,)


@app.cell(hide_code=True)
def _(answer_generator):
    answered(exercise("generator"), answer_generator.value)
    return


@app.cell(hide_code=True)
def _():
    answer_step = asked(exercise("step"))
    answer_step
    return (answer_step,)


@app.cell(hide_code=True)
def _(answer_step):
    answered(exercise("step"), answer_step.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## A tracking problem, by hand

    Four steps of the length $h = \frac14$, with $D = 0.3$. The masses should follow the dashed lines, from left to
    right. There is one weight for each step, the drift $v_k$. With $e_k = \rho_k - p_k$ we want to make small (the
    weight at the end is $w = 1$)

    $$
    J(v_0, \dots, v_3) = \tfrac12 h \sum_{k=1}^{4} |e_k|^2 + \tfrac12\,|e_4|^2 .
    $$

    Each value of $J$ takes a run of the equation from the start: that is *shooting*. Aim by hand. How small do you
    get $J$?
    """)
    return


@app.cell(hide_code=True)
def _():
    cells = moving_right()
    aims = [mo.ui.slider(-2.0, 4.0, 0.1, value=0.0, label=f"v{'₀₁₂₃'[k]}", show_value=True) for k in range(cells.steps)]
    by_hand = mo.ui.array(aims)
    by_hand.hstack(wrap=True, justify="start")
    return by_hand, cells


@app.cell(hide_code=True)
def _(by_hand, cells):
    hand = np.array(by_hand.value)
    _states, _when = cells.states(hand), cells.step * np.arange(cells.steps + 1)
    mo.vstack(
        [
            drawn(
                [
                    curve
                    for place, (ink, name, mark) in enumerate(CELLS)
                    for curve in (
                        Curve(_when, _states[:, place], ink, name, mark=mark),
                        Curve(_when, cells.targets[:, place], REFERENCE, "targets" if place == 2 else ""),
                    )
                ],
                Scale(0.0, 1.0, "time"),
                Scale(0.0, 0.8, "mass"),
                "Masses of the three cells against time under your drifts, and their targets",
            ),
            mo.md(f"**J = {cells.objective(hand):.6f}**"),
        ]
    )
    return (hand,)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    With four weights that is a game. The two bumps that ship with the software have 48. A search by hand, or by
    trying differences, is out of the question: we need to know how $J$ changes with *every* weight.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_cost = asked(exercise("cost"))
    answer_cost
    return (answer_cost,)


@app.cell(hide_code=True)
def _(answer_cost):
    answered(exercise("cost"), answer_cost.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The way back

    Ask a smaller question first. Somebody adds a little, $\delta\rho_k$, to the masses at step $k$, and all later
    steps carry it on. $J$ changes by $\lambda_k\cdot\delta\rho_k$: that vector $\lambda_k$ is the **costate**. It
    hears of $\delta\rho_k$ in two ways:

    - directly: $|e_k|^2$ is a term of $J$;
    - through the next state: $\delta\rho_{k+1} = B_k\,\delta\rho_k$, and what that does to $J$ is known if
      $\lambda_{k+1}$ is.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_costates = asked(exercise("costates"))
    answer_costates
    return (answer_costates,)


@app.cell(hide_code=True)
def _(answer_costates):
    answered(exercise("costates"), answer_costates.value)
    return


@app.cell(hide_code=True)
def _():
    answer_gradient = asked(exercise("gradient"))
    answer_gradient
    return (answer_gradient,)


@app.cell(hide_code=True)
def _(answer_gradient):
    answered(exercise("gradient"), answer_gradient.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Never trust a gradient that was not tested

    Here is yours, at the drifts that you have set above, against central differences
    $\big(J(v + \delta) - J(v - \delta)\big)/2\delta$. Both of your functions are needed.
    """)
    return


@app.cell(hide_code=True)
def _(answer_costates, answer_gradient, cells, hand):
    def tested():
        """Your gradient beside differences, and their distance against δ."""
        texts = {"costates": answer_costates.value, "gradient": answer_gradient.value}
        if any(exercise(key).check(text).state in ("untouched", "not understood") for key, text in texts.items()):
            return mo.md("*Write both functions, right or wrong, and the test appears here.*")
        own = {key: function_of(str(text), key) for key, text in texts.items()}
        propagators, states = cells.propagators(hand), cells.states(hand)
        try:
            costates = own["costates"](propagators, states, cells.targets, cells.step, cells.weight)
            mine = own["gradient"](propagators, states, costates, MOVING, cells.step)
            deltas = 10.0 ** -np.arange(1.0, 11.0)
            off = [cells.differences(hand, delta) - mine for delta in deltas]
        except (NotUnderstoodError, ValueError):
            return mo.md("*Your functions cannot be run together yet.*")
        size = float(np.max(np.abs(cells.differences(hand, 1e-4)))) or 1.0
        rows = "\n".join(
            f"| {k} | {one:.8f} | {other:.8f} |"
            for k, (one, other) in enumerate(zip(mine, cells.differences(hand, 1e-4), strict=True))
        )
        return mo.vstack(
            [
                mo.md("| k | your ∂J/∂vₖ | difference, δ = 10⁻⁴ |\n|---|---:|---:|\n" + rows),
                drawn(
                    [Curve(deltas, [np.max(np.abs(each)) / size for each in off], BLUE, mark="circle")],
                    Scale(1e-10, 1e-1, "δ", logarithmic=True),
                    Scale(1e-14, 10.0, "largest distance, relative", logarithmic=True),
                    "The distance of your gradient from central differences against the difference's step",
                    note="Right of the valley the difference is too coarse: the line has the slope 2. Left of it J's "
                    "last digits are all that is left. No valley: the gradient is wrong.",
                ),
            ]
        )

    tested()
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The other way: states are unknowns, too

    Shooting knows four unknowns. **Collocation** takes the states as unknowns as well, $4 + 4\cdot 3 = 16$ of them,
    and writes the equation as twelve constraints

    $$
    g_k = (I - hA(v_k))\,\rho_{k+1} - \rho_k = 0 .
    $$

    A search may then walk through states that no drift produces, and become feasible only in the end. Constraints
    have multipliers.
    """)
    return


@app.cell(hide_code=True)
def _():
    answer_multipliers = asked(exercise("multipliers"))
    answer_multipliers
    return (answer_multipliers,)


@app.cell(hide_code=True)
def _(answer_multipliers):
    answered(exercise("multipliers"), answer_multipliers.value)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Now both, from $v = 0$: shooting by a quasi-Newton method (SciPy's L-BFGS-B) with the gradient of the costates,
    and collocation by IPOPT, which the software uses, too.
    """)
    return


@app.cell
def _(cells):
    shot = cells.shot()
    collocated = cells.collocated()
    costates = cells.costates(shot.drifts)
    carried_back = np.einsum("kji,kj->ki", cells.propagators(shot.drifts), costates[1:])  # B_kᵀ λ_{k+1}
    return carried_back, collocated, shot


@app.cell(hide_code=True)
def _(carried_back, cells, collocated, hand, shot):
    _rows = "\n".join(
        f"| v{'₀₁₂₃'[k]} | {hand[k]:.1f} | {shot.drifts[k]:.5f} | {collocated.drifts[k]:.5f} |"
        for k in range(cells.steps)
    )
    mo.vstack(
        [
            mo.md(
                "| | by hand | shooting | collocation |\n|---|---:|---:|---:|\n"
                + _rows
                + f"\n| J | {cells.objective(hand):.6f} | {shot.objective:.8f} | {collocated.objective:.8f} |"
                + f"\n| iterations | | {shot.iterations} | {collocated.iterations} |"
                + f"\n\nThe two values of J differ by {abs(collocated.objective - shot.objective):.0e}."
            ),
            drawn(
                [
                    Curve(range(12), carried_back.ravel(), FAINT, "Bₖᵀλₖ₊₁, from shooting", line=False, mark="ring"),
                    Curve(range(12), -collocated.multipliers.ravel(), PINK, "−μₖ, IPOPT's", line=False, mark="cross"),
                ],
                Scale(-0.5, 11.5, "constraint", whole=True),
                around([carried_back, -collocated.multipliers], "value"),
                "The twelve multipliers of collocation, with a minus sign, and the costates of shooting: the same",
                note=f"The largest distance between the two is "
                f"{np.max(np.abs(carried_back + collocated.multipliers)):.0e}.",
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    They agree, and they must: both minimise the *same discrete problem*. That is a strong test, since the two codes
    share nothing but that problem. It says nothing about how well four steps of backward Euler stand for the
    equation in continuous time. That is another question, and another test: measure again with shorter steps.

    ## The real problem

    Now the software's problem: two bumps, densities as polynomials on elements, Radau steps, one neuron with three
    weights on each piece. `Objective` is your $J$, `value_and_gradient` is your way back, and `costates` are yours,
    divided by the mass matrix so that they are functions $\psi(t, x)$: a small density $e$, added at $t$, changes
    $J$ by $\int\psi\,e\,dx$.
    """)
    return


@app.cell
def _():
    small = {"controls.pieces": 4, "mesh.elements": [6], "mesh.degree": 6}
    tracking = Posed.of(cs.load_problem("two-bumps", set=small)).on()
    objective = Objective(tracking)
    weights = tracking.network.random_weights(4, np.random.default_rng(0))  # (pieces, weights)
    _, slopes = objective.value_and_gradient(weights)

    direction = np.random.default_rng(1).normal(size=weights.shape)
    steps_tried = 10.0 ** -np.arange(1.0, 11.0)
    exact = float(np.sum(slopes * direction))
    distances = [
        abs(
            (objective.value(weights + step * direction) - objective.value(weights - step * direction)) / (2 * step)
            - exact
        )
        / abs(exact)
        for step in steps_tried
    ]
    return distances, objective, steps_tried, tracking, weights


@app.cell(hide_code=True)
def _(distances, objective, steps_tried, tracking, weights):
    _x = tracking.operator.mesh.points[:, 0]
    _psi = objective.costates(weights)
    side_by_side(
        drawn(
            [Curve(steps_tried, distances, BLUE, mark="circle")],
            Scale(1e-10, 1e-1, "δ", logarithmic=True),
            Scale(1e-12, 1.0, "relative distance", logarithmic=True),
            f"The distance of the gradient from central differences, at best {min(distances):.0e}",
            title="the gradient, along a random direction",
            note=f"At best {min(distances):.0e}: what differences can show.",
        ),
        drawn(
            [
                Curve(_x, _psi[piece], ink, f"piece {piece + 1}")
                for piece, ink in enumerate((FAINT, BLUE, ORANGE, GREEN))
            ],
            Scale(-5, 5, "x"),
            around([_psi], "costate ψ"),
            "The costate at the start of each of four pieces, against place",
            title="the costates, at random weights",
            note="Where ψ is large, more mass would be bad. The search moves mass downhill.",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    And the bet about the cost? Measured on this machine, just now, with 3 weights on each of K pieces:
    """)
    return


@app.cell
def _():
    def seconds(act):
        """The shortest of 25 runs: others wait for what else the machine does."""
        found = []
        for _ in range(25):
            since = time.perf_counter()
            act()
            found.append(time.perf_counter() - since)
        return min(found)

    pieces = (4, 8, 16, 32)
    costs = []
    for count in pieces:
        one = Objective(Posed.of(cs.load_problem("two-bumps", set={"controls.pieces": count})).on())
        start = one.tracking.network.random_weights(count, np.random.default_rng(0))
        costs.append((seconds(lambda: one.value(start)), seconds(lambda: one.value_and_gradient(start))))  # noqa: B023
    return costs, pieces


@app.cell(hide_code=True)
def _(costs, pieces):
    mo.md(
        "| pieces | weights | J | J and its gradient | ratio | by differences |\n|---:|---:|---:|---:|---:|---:|\n"
        + "\n".join(
            f"| {count} | {3 * count} | {1e3 * run:.2f} ms | {1e3 * both:.2f} ms | {both / run:.1f} "
            f"| {1e3 * run * (3 * count + 1):.0f} ms |"
            for count, (run, both) in zip(pieces, costs, strict=True)
        )
    )
    return


@app.cell(hide_code=True)
def _():
    both_ways = mo.ui.run_button(label="Solve in both ways (20 s)")
    mo.vstack(
        [
            mo.md(r"""
    ## Both solvers

    `cs.solve` does all of it: it searches from several starts, and measures the answer again. By shooting with the
    exact Hessian, and by collocation with IPOPT, each from two random starts of its own. In a shell it is
    `controlsde solve two-bumps --set controls.pieces=4 --set solver.kind=collocation --set solver.start=random`.
    Predict: to how many digits will the two objectives agree?
    """),
            both_ways,
        ]
    )
    return (both_ways,)


@app.cell
def _(both_ways):
    mo.stop(not both_ways.value)
    common = {"controls.pieces": 4, "mesh.elements": [6], "mesh.degree": 6, "solver.starts": 2}
    common |= {"monte_carlo.particles": 4096, "monte_carlo.steps_per_piece": 16}  # of the verification
    ways = {
        "shooting": {"solver.kind": "shooting"},
        "collocation": {"solver.kind": "collocation", "solver.start": "random"},
    }
    results = {}
    with mo.status.progress_bar(total=2, title="Solving", remove_on_exit=True) as bar:
        for way, own in ways.items():
            results[way] = cs.solve(cs.load_problem("two-bumps", set={**common, "solver.kind": way, **own}))
            bar.update(subtitle=way)
    apart = results["collocation"].objective - results["shooting"].objective
    mo.md(
        "| | J | iterations | solving | ‖ρ(T) − p(T)‖, verified |\n|---|---:|---:|---:|---:|\n"
        + "\n".join(
            f"| {way} | {one.objective:.14f} | {one.iterations} | {one.seconds['solve']:.1f} s "
            f"| {one.tracking.l2_final:.6f} |"
            for way, one in results.items()
        )
        + f"\n\nThe difference of the objectives is {apart:.1e}."
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## An open problem

    Both solvers end at a point where the gradient vanishes, and many starts make a *better* point less likely. None
    of this proves that there is none. With eight steps in place of four, even the three cells have at least two
    minima.

    **Is there a certificate that the best weights were found?** For the real problem, with one neuron and few
    pieces, a lower bound of $J$ over all weights is not known to us. What is proved here is about energy: no drift
    of *any* width comes within a given error with less (lesson 7). That leaves a gap, and we do not know how much
    of it is the network's and how much the search's. A first look at the minima:

    ```sh
    controlsde solve two-bumps --set controls.pieces=4 --set solver.starts=1 --set solver.seed=0
    controlsde solve two-bumps --set controls.pieces=4 --set solver.starts=32
    ```

    Change the seed, and make a list of the values of $J$ that you meet. How many are there?

    **Read next.**

    - In the documentation: *The discrete adjoint*, with all formulas, for Radau steps of up to three stages, the
      Hessian, and collocation's multipliers; *Conventions*, for the discrete problem.
    - `controlsde/lessons/three_cells.py`: everything of this lesson that has three cells, in 150 lines.
    - L. S. Pontryagin and others, *The mathematical theory of optimal processes* (1962), for costates; W. W. Hager,
      *Runge–Kutta methods in optimal control and the transformed adjoint system* (2000), for what discretisation
      does to them; A. Wächter and L. T. Biegler (2006) for IPOPT.

    Lesson 5 asks what noise changes.
    """)
    return


@app.cell(hide_code=True)
def _(answer_cost, answer_costates, answer_generator, answer_gradient, answer_multipliers, answer_step):
    summary(
        "two_ways_to_solve",
        {
            "generator": answer_generator.value,
            "step": answer_step.value,
            "cost": answer_cost.value,
            "costates": answer_costates.value,
            "gradient": answer_gradient.value,
            "multipliers": answer_multipliers.value,
        },
    )
    return


if __name__ == "__main__":
    app.run()
