"""The forward Fokker–Planck equation in one and two dimensions against py-pde, FiPy and fplanck, at equal error.

    ∂ₜρ = D Δρ − ∇·(v ρ)  on [−5, 5]ᵈ between reflecting walls, D = 1, to t = 1.5

Two cases from the shipped two bumps, with drifts that are smooth and constant in time: `noising`, its forward process,
from the bumps with v = −x; and `denoising`, from the density that noising leaves with v = ∇ log of the bumps, whose
stationary density they are. In two dimensions densities are products with one factor an axis, of which no competitor is
told. Each competitor is refined in space and time until its error at the end, in L² over its own points, is at most
1e-3, and is taken as coarse as that allows. The truth is our finest mesh; for noising it is asserted to be the closed
form, for denoising to be what half its resolution gives.

What is timed is the solve alone, factorisations and matrix exponentials included; all before it, the compilation of
py-pde's loops included, is in the time to the first answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.timing import Timing, interleaved, ratio
from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.propagation import Propagator

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

LOW, HIGH, HORIZON = -5.0, 5.0, 1.5
MEANS, VARIANCE = (-1.5, 1.5), 0.3**2
MOST_ERROR = 1e-3
TRUTH_ERROR = 1e-6
LEAST_TIMES = 20.0
DEGREE = 8
CELLS = (24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512)
MOST_CELLS = {1: 512, 2: 256}  # an axis
FINEST = {
    1: ((64, 256), (32, 128)),
    2: ((16, 96), (12, 48)),
}  # elements and steps of the truth, and of what it is held to
ELEMENTS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
TOLERANCES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5)
OURS = "ours, Radau"


@dataclass(frozen=True)
class Case:
    """An initial density, the product of one on each axis, and a drift, whose components are one on each axis."""

    name: str
    dimension: int
    on_axis: Function
    drift_on_axis: Function

    def initial(self, points: Array) -> Array:
        """The density at points (k, d): (k,)."""
        return np.asarray(np.prod([self.on_axis(x) for x in points.T], axis=0))

    def drift(self, points: Array) -> Array:
        """The drift at points (k, d): (k, d)."""
        return np.stack([self.drift_on_axis(x) for x in points.T], axis=1)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Points (k, d), their quadrature weights (k,), and a solve that gives the density there at the end."""

    points: Array
    weights: Array
    solve: Callable[[], Array]


Prepare = Callable[[Case, int, float], Prepared]  # (case, cells or elements, what refines the time)


@dataclass(frozen=True)
class Method:
    """One competitor and what it can be refined in, coarse to fine; `trial` is one that is quicker to set up."""

    name: str
    prepare: Prepare
    sizes: Sequence[int]
    refinements: Sequence[float]
    words: Callable[[int, float], str]
    trial: Prepare | None = None


@dataclass(frozen=True, eq=False)
class Chosen:
    """The coarsest of a method that is accurate enough."""

    method: Method
    words: str
    error: float
    first: float  # seconds to the first answer
    prepared: Prepared


def bumps(points: Array, elapsed: float) -> Array:
    """The two bumps after `elapsed` of the Ornstein–Uhlenbeck process in free space, (k,)."""
    decay = np.exp(-elapsed)
    variance = VARIANCE * decay**2 + 1.0 - decay**2
    each = [np.exp(-((points - mean * decay) ** 2) / (2.0 * variance)) for mean in MEANS]
    return np.asarray(sum(each) / (len(MEANS) * np.sqrt(2.0 * np.pi * variance)))


def score(points: Array) -> Array:
    """(log of the two bumps)′, (k,)."""
    exponents = np.stack([-((points - mean) ** 2) / (2.0 * VARIANCE) for mean in MEANS])
    shares = np.exp(exponents - exponents.max(axis=0))
    shares /= shares.sum(axis=0)
    return np.asarray(sum(share * (mean - points) / VARIANCE for share, mean in zip(shares, MEANS, strict=True)))


CASES = tuple(
    case
    for dimension in (1, 2)
    for case in (
        Case("noising", dimension, lambda x: bumps(x, 0.0), lambda x: -x),
        Case("denoising", dimension, lambda x: bumps(x, HORIZON), score),
    )
)


def spectral(case: Case, elements: int, steps: float) -> tuple[Mesh, Callable[[], Array]]:
    """Our mesh, and a solve of the whole horizon as one piece."""
    mesh = Mesh.build(((LOW, HIGH),) * case.dimension, "reflecting", (elements,) * case.dimension, DEGREE)
    operator = Operator.build(mesh, 1.0)
    propagator = Propagator(operator, [HORIZON], int(steps))
    drift = propagator.tensor(case.drift(operator.drift_points)[None])
    initial = propagator.tensor(case.initial(mesh.points))

    def solve() -> Array:
        stages: torch.Tensor = propagator.forward(drift, initial).stages
        return np.asarray(stages[-1, -1, -1].numpy())

    return mesh, solve


def _ours(case: Case, elements: int, steps: float) -> Prepared:
    mesh, solve = spectral(case, elements, steps)
    return Prepared(mesh.points, mesh.weights, solve)


def _uniform(points: Array, solve: Callable[[], Array]) -> Prepared:
    return Prepared(points, np.full(len(points), (HIGH - LOW) ** points.shape[1] / len(points)), solve)


def _py_pde(make: Callable[[Any, str, float], Any], explicit: bool, backend: str) -> Prepare:
    """A solver of py-pde; an explicit one takes steps of `refinement` dx²/2dD."""
    pde = import_module("pde")

    def prepare(case: Case, cells: int, refinement: float) -> Prepared:
        grid = pde.CartesianGrid([(LOW, HIGH)] * case.dimension, cells)
        points = np.asarray(grid.cell_coords).reshape(-1, case.dimension)
        density = pde.ScalarField(grid, case.initial(points).reshape(grid.shape))
        equation = pde.PDE(
            {"rho": "laplace(rho) - divergence(v * rho)"},
            consts={"v": pde.VectorField(grid, case.drift(points).T.reshape(-1, *grid.shape))},
            bc_ops={"rho:laplace": {"derivative": 0}, "rho:divergence": {"value": 0}},  # neither flux at the walls
        )
        steps = _explicit_steps(case.dimension, cells, refinement)
        step = make(equation, backend, refinement).make_stepper(density, HORIZON / steps if explicit else None)

        def solve() -> Array:
            final = density.copy()
            step(final, 0.0, HORIZON)
            return np.asarray(final.data).ravel()

        return _uniform(points, solve)

    return prepare


def _explicit_steps(dimension: int, cells: int, refinement: float) -> int:
    return int(np.ceil(HORIZON * dimension / (refinement * 0.5 * ((HIGH - LOW) / cells) ** 2)))


def py_pde_methods(dimension: int) -> list[Method]:
    """Explicit Euler and Runge–Kutta, compiled, and on a line SciPy's LSODA with the band of the matrix."""
    solvers = import_module("pde.solvers")
    explicit = {
        "py-pde, explicit Euler": (solvers.EulerSolver, (0.95, 0.6, 0.3)),
        "py-pde, Runge–Kutta": (solvers.RungeKuttaSolver, (1.3, 1.0, 0.6)),
    }
    methods = []
    for name, (solver, refinements) in explicit.items():

        def make(equation: Any, backend: str, _refinement: float, solver: Any = solver) -> Any:
            return solver(equation, backend=backend)

        methods.append(
            Method(
                name,
                _py_pde(make, True, "numba"),
                CELLS,
                refinements,
                lambda cells, refinement: f"{cells} cells, {_explicit_steps(dimension, cells, refinement)} steps",
                _py_pde(make, True, "numpy"),
            )
        )

    def lsoda(equation: Any, backend: str, tolerance: float) -> Any:
        band = {"lband": 1, "uband": 1}
        return solvers.ScipySolver(
            equation, backend=backend, method="LSODA", rtol=tolerance, atol=1e-2 * tolerance, **band
        )

    if dimension > 1:
        return methods
    methods.append(
        Method(
            "py-pde, LSODA",
            _py_pde(lsoda, False, "numba"),
            CELLS,
            TOLERANCES,
            lambda cells, tolerance: f"{cells} cells, tolerance {tolerance:g}",
            _py_pde(lsoda, False, "numpy"),
        )
    )
    return methods


def fipy_methods(dimension: int) -> list[Method]:
    """Implicit Euler as FiPy has it, and Crank–Nicolson, half of whose terms are written out as its manual shows."""
    fipy = import_module("fipy")

    def prepare(case: Case, cells: int, steps: float, centred: bool) -> Prepared:
        width = (HIGH - LOW) / cells
        mesh = (
            fipy.Grid1D(nx=cells, dx=width) if dimension == 1 else fipy.Grid2D(nx=cells, ny=cells, dx=width, dy=width)
        )
        points, faces = LOW + mesh.cellCenters.value.T, LOW + mesh.faceCenters.value.T
        inside = np.where(mesh.exteriorFaces.value, 0.0, case.drift(faces).T)
        drift = fipy.FaceVariable(mesh=mesh, rank=1, value=inside)
        initial = case.initial(points)
        density = fipy.CellVariable(mesh=mesh, value=initial)
        share = 0.5 if centred else 1.0  # of the new density in the rate
        rate = fipy.DiffusionTerm(coeff=share) - fipy.CentralDifferenceConvectionTerm(coeff=share * drift)
        if centred:
            flux = density.faceGrad - drift * density.arithmeticFaceValue
            rate = rate + 0.5 * flux.divergence
        equation = fipy.TransientTerm() == rate
        solver = fipy.LinearLUSolver()

        def solve() -> Array:
            density.setValue(initial)
            for _ in range(int(steps)):
                equation.solve(var=density, dt=HORIZON / steps, solver=solver)
            return np.asarray(density.value.copy())

        return _uniform(points, solve)

    def words(cells: int, steps: float) -> str:
        return f"{cells} cells, {steps:g} steps"

    return [
        Method("FiPy, implicit Euler", lambda *sizes: prepare(*sizes, centred=False), CELLS, STEPS, words),
        Method("FiPy, Crank–Nicolson", lambda *sizes: prepare(*sizes, centred=True), CELLS, STEPS, words),
    ]


def fplanck_methods(dimension: int) -> list[Method]:
    """Its master equation by the action of a matrix exponential, and on a line by the exponential itself."""
    module = import_module("fplanck")
    temperature = 1.0 / import_module("scipy.constants").k  # kT = 1: with a drag of 1, D = 1 and v is the force

    def prepare(case: Case, cells: int, dense: float) -> Prepared:
        spacing = (HIGH - LOW) / cells
        with patch.object(np, "product", np.prod, create=True):  # NumPy 2 has none, but fplanck 0.2.2 calls it
            system = module.fokker_planck(
                temperature=temperature,
                drag=1.0,
                extent=[HIGH - LOW] * dimension,
                # so that its ceil(extent / resolution) is the number of cells
                resolution=[spacing * (1.0 + 1e-12)] * dimension,
                boundary=[module.boundary.reflecting] * dimension,
                force=lambda *axes: np.stack([case.drift_on_axis(x) for x in axes]),
            )
        points = np.stack([x.ravel() for x in np.meshgrid(*system.axes, indexing="ij")], axis=1)

        def initial(*axes: Array) -> Array:
            return np.asarray(np.prod([case.on_axis(x) for x in axes], axis=0))

        def solve() -> Array:
            probability = system.propagate(initial, HORIZON, dense=bool(dense))
            return np.asarray(probability).ravel() / spacing**dimension

        return _uniform(points, solve)

    def words(cells: int, _dense: float) -> str:
        return f"{cells} nodes"

    methods = [Method("fplanck, expm_multiply", prepare, CELLS, (0.0,), words)]
    return methods if dimension > 1 else [*methods, Method("fplanck, dense expm", prepare, CELLS, (1.0,), words)]


PEERS: dict[str, Callable[[int], list[Method]]] = {
    "pde": py_pde_methods,
    "fipy": fipy_methods,
    "fplanck": fplanck_methods,
}


def run(fast: bool, present: Sequence[str]) -> Report:
    """Race ours against those peers of `PEERS` that are present."""
    tables, goals, notes = [], [], []
    for case in CASES[:1] if fast else CASES:
        truth, methods = _truth(case), _methods(case.dimension, present)
        found = [choose(method, case, truth) for method in methods]
        notes += [
            f"{_title(case)}: {method.name} missed the error"
            for method, one in zip(methods, found, strict=True)
            if one is None
        ]
        chosen = {one.method.name: one for one in found if one is not None}
        timings = interleaved({name: one.prepared.solve for name, one in chosen.items()}, 2 if fast else 7)
        tables.append(_table(case, chosen, timings))
        goals += _goals(case, timings)
    return Report(f"Forward Fokker–Planck at an L² error of {MOST_ERROR:g}", tables, goals, notes)


def _methods(dimension: int, present: Sequence[str]) -> list[Method]:
    ours = Method(
        OURS, _ours, ELEMENTS, STEPS, lambda count, steps: f"{count * DEGREE + 1} nodes an axis, {steps:g} steps"
    )
    methods = [ours, *(method for name in present for method in PEERS[name](dimension))]
    return [replace(each, sizes=[n for n in each.sizes if n <= MOST_CELLS[dimension]]) for each in methods]


def _title(case: Case) -> str:
    return f"{case.name} in {case.dimension}-D"


def _truth(case: Case) -> Function:
    """The density at the end as a function of points, asserted against the closed form or a coarser mesh."""
    fine, half = FINEST[case.dimension]
    mesh, solve = spectral(case, *fine)
    final = mesh.to_grid(solve())

    def truth(points: Array) -> Array:
        return mesh.interpolate_at(final, points)

    if case.name == "noising":
        other = np.prod([bumps(x, HORIZON) for x in mesh.points.T], axis=0)
    else:
        coarse, solve_coarse = spectral(case, *half)
        other = coarse.interpolate_at(coarse.to_grid(solve_coarse()), mesh.points)
    off = float(np.sqrt((final - other) ** 2 @ mesh.weights))
    # walls that the closed form does not know change it by their distance: 4e-6 of the mass is beyond them
    # and what two dimensions are held to is a mesh with an error of 2e-5 itself
    limit = TRUTH_ERROR * (10.0 if case.name == "noising" else 50.0 if case.dimension > 1 else 1.0)
    assert off <= limit, f"{_title(case)}: the reference is off by {off:.1e}"
    return truth


def _error(prepared: Prepared, truth: Function) -> float:
    """In L² over the points; infinite where the solve failed or blew up."""
    try:
        with np.errstate(all="ignore"):
            off = prepared.solve() - truth(prepared.points)
    except (ArithmeticError, RuntimeError):
        return float("inf")
    value = float(np.sqrt(off**2 @ prepared.weights))
    return value if np.isfinite(value) else float("inf")


def choose(method: Method, case: Case, truth: Function) -> Chosen | None:
    """The quickest that is accurate enough: times from coarse to fine, each with its coarsest mesh."""
    attempt = method.trial or method.prepare
    candidates: list[tuple[float, int, float]] = []
    for refinement in method.refinements:
        sizes = list(method.sizes)
        if _error(attempt(case, sizes[-1], refinement), truth) > MOST_ERROR:
            continue
        low, high = -1, len(sizes) - 1  # errors fall with the size: bisection between too coarse and fine enough
        while high - low > 1:
            middle = (low + high) // 2
            fine = _error(attempt(case, sizes[middle], refinement), truth) <= MOST_ERROR
            low, high = (low, middle) if fine else (middle, high)
        candidates.append((_seconds(attempt(case, sizes[high], refinement).solve), sizes[high], refinement))
        if min(candidates) != candidates[-1]:  # what is finer in time gains no more than it costs
            break
    if not candidates:
        return None
    _, size, refinement = min(candidates)
    began = time.perf_counter()
    prepared = method.prepare(case, size, refinement)
    prepared.solve()
    first = time.perf_counter() - began
    error = _error(prepared, truth)
    assert error <= MOST_ERROR, f"{method.name}: the error is {error:.1e} when it is timed"
    return Chosen(method, method.words(size, refinement), error, first, prepared)


def _seconds(solve: Callable[[], object]) -> float:
    solve()
    rounds: list[float] = []
    while len(rounds) < 5 and sum(rounds) < 0.1:
        began = time.perf_counter()
        solve()
        rounds.append(time.perf_counter() - began)
    return min(rounds)


def _table(case: Case, chosen: dict[str, Chosen], timings: dict[str, Timing]) -> Table:
    rows = [
        (
            name,
            one.words,
            f"{one.error:.1e}",
            *timings[name].cells(),
            times(ratio(timings[name], timings[OURS])),
            seconds(one.first),
            times(one.first / chosen[OURS].first),
        )
        for name, one in chosen.items()
    ]
    columns = ("", "grid", "L² error", "solve", "least", "over ours", "first answer", "over ours")
    rounds = len(timings[OURS].rounds)
    return Table(f"{_title(case)}: medians and minima of {rounds} rounds", columns, rows)


def _goals(case: Case, timings: dict[str, Timing]) -> list[Goal]:
    """One for each peer, for the quickest of its methods."""
    goals = []
    for peer in dict.fromkeys(name.split(",")[0] for name in timings if name != OURS):
        methods = [name for name in timings if name.split(",")[0] == peer]
        best = min(methods, key=lambda name: timings[name].median)
        measured = ratio(timings[best], timings[OURS])
        what = f"{_title(case)}: {peer} over ours"
        goals.append(Goal(what, f"≥ {LEAST_TIMES:g}×", f"{times(measured)} ({best})", measured >= LEAST_TIMES))
    return goals
