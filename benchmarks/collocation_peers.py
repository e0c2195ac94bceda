"""Our collocation problem posed in two modelling languages: rockit and do-mpc.

Both take a system of n ordinary differential equations with controls that are constant on intervals, and both have
Radau collocation of degree 3 on several elements an interval. So both can pose the very program that ours is:

- rockit as it stands: its integrals are the Radau quadrature of our objective, its time is known at collocation points;
- do-mpc with two more states, for its running cost counts only the starts of the intervals and its parameters are
  constant on them: a clock, which the target needs, and the cost itself, whose collocation is the quadrature.

Both keep the start of every element as a variable beside the collocation points, and tie it to the end of the one
before; we eliminate it. The answers are asserted to have, through our state equation, the objective that the peer's
IPOPT reports. All start with the states on the reference and with weights near our answer, and run IPOPT with our
options, tolerance and limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from benchmarks.forward_peers import HORIZON, MEANS, VARIANCE
from benchmarks.problems import sizes, two_bumps
from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.transcription import ITERATIONS, TOLERANCE, ours
from controlsde.fokker_planck.radau import radau
from controlsde.solvers.collocation.solver import IPOPT_OPTIONS
from controlsde.solvers.collocation.transcription import transcribe
from controlsde.solvers.starts import random_starts
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

OURS = "ours"
SAME_PROGRAM = 1e-6  # relative difference of a peer's J from ours at its weights
SAME_TARGET = 1e-9  # largest difference of the target as a formula from the tracking problem's
SAME_VALLEY = 1e-6  # relative difference of J within which two answers count as one
LEAST_TIMES = 1.0


@dataclass(frozen=True, eq=False)
class Ode:
    """What a modelling language is told: the reference, the right-hand side and the two parts of the objective.

    All take and give CasADi expressions: target(t), rate(ρ, θ), running(ρ, θ, t), terminal(ρ).
    """

    tracking: TrackingProblem
    target: Callable[[Any], Any]
    rate: Callable[[Any, Any], Any]
    running: Callable[[Any, Any, Any], Any]
    terminal: Callable[[Any], Any]


def posed(tracking: TrackingProblem) -> Ode:
    """The tracking problem of two bumps as a system of differential equations, on any kind of CasADi symbol."""
    operator, network, grid = tracking.operator, tracking.network, tracking.grid
    diffusion, combine, sampling, gather = (
        ca.DM(matrix.tocsc())
        for matrix in (operator.diffusivity * operator.diffusion, operator.combine, operator.sampling, operator.gather)
    )
    points, mass = ca.DM(tracking.mesh.points[:, 0]), ca.DM(tracking.mesh.mass)
    d, m = network.dimension, network.width
    effort = float(tracking.regularisation_matrix[0, 0] / grid.durations[0])
    terminal = float(tracking.time_weight[-1, -1, -1] - tracking.time_weight[0, 0, -1])
    running = float(tracking.time_weight[0, 0, -1] / grid.quadrature[0, 0, -1])

    def target(t: Any) -> Any:
        decay = ca.exp(t - HORIZON)
        variance = VARIANCE * decay**2 + 1.0 - decay**2
        each = [ca.exp(-((points - mean * decay) ** 2) / (2.0 * variance)) for mean in MEANS]
        return (each[0] + each[1]) / (2.0 * ca.sqrt(2.0 * np.pi * variance))

    def rate(density: Any, theta: Any) -> Any:
        a = ca.reshape(theta[: d * m], m, d).T
        w = ca.reshape(theta[d * m : 2 * d * m], d, m).T
        drift = network.drift(operator.drift_points, a, w, theta[2 * d * m :])
        return diffusion @ density + combine @ ((sampling @ ca.vec(drift.T)) * (gather @ density))

    def price(density: Any, t: Any) -> Any:
        error = density - target(t)
        return 0.5 * ca.dot(mass * error, error)

    return Ode(
        tracking,
        target,
        rate,
        lambda density, theta, t: running * price(density, t) + 0.5 * effort * ca.sumsqr(theta),
        lambda density: terminal * price(density, HORIZON),
    )


def _assert_same_target(ode: Ode) -> None:
    symbol = ca.MX.sym("t")
    function = ca.Function("target", [symbol], [ode.target(symbol)])
    found = np.asarray(function(ca.DM(ode.tracking.grid.stage_times.reshape(1, -1)))).T
    off = float(np.abs(found - ode.tracking.targets.reshape(found.shape)).max())
    assert off <= SAME_TARGET, f"the target as a formula differs by {off:.1e}"


@dataclass(frozen=True, eq=False)
class Answer:
    """What a peer found, and the number of its variables."""

    build: float
    solve: float
    value: float
    weights: Array
    iterations: int
    status: str
    variables: int

    @property
    def success(self) -> bool:
        """Whether IPOPT was content."""
        return self.status in ("Solve_Succeeded", "Solved_To_Acceptable_Level")


def rockit(ode: Ode, start: Array, options: dict[str, Any]) -> Answer:
    """In rockit: states and controls, an integral and a value at the end."""
    module = import_module("rockit")
    tracking, grid = ode.tracking, ode.tracking.grid
    began = time.perf_counter()
    ocp = module.Ocp(T=HORIZON)
    density = ocp.state(tracking.operator.size)
    theta = ocp.control(tracking.network.weights_per_piece)
    ocp.set_der(density, ode.rate(density, theta))
    ocp.subject_to(ocp.at_t0(density) == tracking.initial)
    bound = ca.DM(tracking.bound)
    ocp.subject_to(-bound <= (theta <= bound), include_last=False)
    ocp.add_objective(ocp.integral(ode.running(density, theta, ocp.t)) + ode.terminal(ocp.at_tf(density)))
    ocp.set_initial(density, ode.target(ocp.t))
    ocp.set_initial(theta, start.T)
    ocp.solver("ipopt", options)
    ocp.method(module.DirectCollocation(N=grid.pieces, M=grid.steps_per_piece, degree=grid.stages, scheme="radau"))
    with redirect_stdout(StringIO()):
        ocp._transcribe()  # what `solve` would do first
    built = time.perf_counter()
    with suppress(RuntimeError), redirect_stdout(StringIO()):  # raises where IPOPT did not succeed
        ocp.solve()
    ended = time.perf_counter()
    found = ocp.non_converged_solution
    _, weights = found.sample(theta, grid="control")
    opti, stats = ocp._method.opti, found.stats
    return Answer(
        built - began,
        ended - built,
        float(found.value(ocp.objective)),
        np.asarray(weights)[: grid.pieces],
        int(stats["iter_count"]),
        str(stats["return_status"]),
        int(opti.nx),
    )


def do_mpc(ode: Ode, start: Array, options: dict[str, Any]) -> Answer:
    """In do-mpc: the first step of a controller whose horizon is the whole, with a clock and the cost as states.

    A model of MX, for one of SX (do-mpc's default) takes many times as long to build.
    """
    module = import_module("do_mpc")
    tracking, grid = ode.tracking, ode.tracking.grid
    began = time.perf_counter()
    model = module.model.Model("continuous", "MX")
    density = model.set_variable("_x", "density", (tracking.operator.size, 1))
    clock, cost = model.set_variable("_x", "clock"), model.set_variable("_x", "cost")
    theta = model.set_variable("_u", "theta", (tracking.network.weights_per_piece, 1))
    model.set_rhs("density", ode.rate(density, theta))
    model.set_rhs("clock", ca.MX(1.0))
    model.set_rhs("cost", ode.running(density, theta, clock))
    model.setup()
    controller = module.controller.MPC(model)
    controller.set_param(
        n_horizon=grid.pieces,
        t_step=float(grid.durations[0]),
        n_robust=0,
        state_discretization="collocation",
        collocation_type="radau",
        collocation_deg=grid.stages,
        collocation_ni=grid.steps_per_piece,
        store_full_solution=False,
        nlpsol_opts=options,
    )
    controller.set_objective(mterm=cost + ode.terminal(density), lterm=ca.MX(0.0))
    controller.set_rterm(theta=np.zeros(tracking.network.weights_per_piece))
    controller.bounds["lower", "_u", "theta"] = -tracking.bound
    controller.bounds["upper", "_u", "theta"] = tracking.bound
    controller.setup()
    first = np.concatenate([tracking.initial, [0.0, 0.0]])
    controller.x0 = first
    controller.set_initial_guess()
    _guess(controller, ode, start)
    built = time.perf_counter()
    controller.make_step(first[:, None])
    ended = time.perf_counter()
    weights = np.stack([np.asarray(controller.opt_x_num["_u", k, 0]).ravel() for k in range(grid.pieces)])
    nlp = controller.nlp
    value = ca.Function("value", [nlp["x"], nlp["p"]], [nlp["f"]])(controller.opt_x_num, controller.opt_p_num)
    stats = controller.solver_stats
    return Answer(
        built - began,
        ended - built,
        float(value),
        weights,
        int(stats["iter_count"]),
        str(stats["return_status"]),
        int(nlp["x"].shape[0]),
    )


def _guess(controller: Any, ode: Ode, start: Array) -> None:
    """States on the reference, the clock right, the cost 0; weights as given."""
    grid = ode.tracking.grid
    symbol = ca.MX.sym("t")
    target = ca.Function("target", [symbol], [ode.target(symbol)])
    steps = np.arange(grid.steps_per_piece)[:, None]
    within = (steps + np.concatenate([[0.0], radau(grid.stages).c])) / grid.steps_per_piece
    places = np.concatenate([within.ravel()[1:], [1.0, 1.0]])  # of the collocation points, the end and the next node
    for piece, (begins, duration) in enumerate(zip(grid.edges[:-1], grid.durations, strict=True)):
        controller.opt_x_num["_u", piece, 0] = start[piece]
        for number, t in enumerate(begins + places * duration):
            controller.opt_x_num["_x", piece + 1, 0, number] = ca.vertcat(target(t), t, 0.0)


Solver = Callable[[Ode, Array, dict[str, Any]], Answer]
PEERS: dict[str, Solver] = {"rockit": rockit, "do_mpc": do_mpc}


def run(fast: bool, present: Sequence[str]) -> Report:
    """Race ours against those peers of `PEERS` that are present, from weights that are 5 % and 20 % off our answer."""
    tracking = two_bumps(1.0)
    ode, objective, cap = posed(tracking), Objective(tracking), 20.0 if fast else 60.0
    _assert_same_target(ode)
    limits = {"ipopt.max_iter": ITERATIONS, "ipopt.tol": TOLERANCE, "ipopt.max_wall_time": cap}
    variables = int(transcribe(tracking).nlp["x"].shape[0])
    answer = ours(tracking, random_starts(tracking, 1, 0)[0], cap).weights
    rng, rows, ratios = np.random.default_rng(0), [], {name: [] for name in present}
    for size in (0.05,) if fast else (0.05, 0.2):
        disturbed = answer * (1.0 + size * rng.standard_normal(answer.shape))
        start = np.clip(disturbed, -tracking.bound, tracking.bound)
        own = _ours(tracking, start, cap, variables)
        rows.append(_row(f"{size:.0%} off: {OURS}", own, own))
        for name in present:
            peer = PEERS[name](ode, start, {**IPOPT_OPTIONS, **limits})
            off = _assert_same_program(name, objective, peer)
            rows.append(_row(f"{size:.0%} off: {name}", peer, own, f"{off:.0e}"))
            ratios[name].append((_seconds(peer) / _seconds(own), _an_iteration(peer) / _an_iteration(own)))
    columns = (
        "",
        "variables",
        "build",
        "solve",
        "both",
        "over ours",
        "iterations",
        "an iteration",
        "J",
        "off",
        "answer",
    )
    return Report(
        f"Collocation in modelling languages: {sizes(tracking)}",
        [Table("η = 1, one run each, IPOPT with our options", (*columns, "verdict"), rows)],
        [_goal(name, each) for name, each in ratios.items()],
    )


def _ours(tracking: TrackingProblem, start: Array, cap: float, variables: int) -> Answer:
    own = ours(tracking, start, cap)
    return Answer(own.build, own.solve, own.value, own.weights, own.iterations, own.status, variables)


def _assert_same_program(name: str, objective: Objective, answer: Answer) -> float:
    """The relative difference of the peer's objective from the one that our state equation gives its weights."""
    off = abs(objective.value(answer.weights) / answer.value - 1.0)
    if answer.success:
        assert off <= SAME_PROGRAM, f"{name}: its objective differs from ours at its weights by {off:.1e} (relative)"
    return off


def _seconds(answer: Answer) -> float:
    return answer.build + answer.solve


def _an_iteration(answer: Answer) -> float:
    return answer.solve / max(answer.iterations, 1)


def _row(name: str, answer: Answer, own: Answer, off: str = "") -> tuple[str, ...]:
    same = answer.success and own.success and abs(answer.value / own.value - 1.0) <= SAME_VALLEY
    return (
        name,
        str(answer.variables),
        seconds(answer.build),
        seconds(answer.solve),
        seconds(_seconds(answer)),
        times(_seconds(answer) / _seconds(own)),
        str(answer.iterations),
        seconds(_an_iteration(answer)),
        f"{answer.value:.8f}",
        off,
        "ours" if same else "other",
        "converged" if answer.success else answer.status,
    )


def _goal(name: str, ratios: Sequence[tuple[float, float]]) -> Goal:
    both = [whole for whole, _ in ratios]
    words = f"{', '.join(times(whole) for whole in both)}; an iteration {', '.join(times(one) for _, one in ratios)}"
    return Goal(f"build and solve: {name} over ours", f"≥ {LEAST_TIMES:g}×", words, min(both) >= LEAST_TIMES)
