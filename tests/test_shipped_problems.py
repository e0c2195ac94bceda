"""The shipped problems solve and verify, here on a small budget; `python -m benchmarks certificates` on a full one."""

import pytest

import controlsde as cs
from controlsde import build_reference, evaluate, list_problems, load_problem, solve
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.options import Shooting
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import build_tracking

NAMES = [name for name, _, _ in list_problems()]
SMALL = {"monte_carlo.particles": 20_000, "solver.starts": 2, "solver.hops": 0, "solver.iterations": 30}
SMALLER = {  # in two dimensions
    "monte_carlo.particles": 5_000,
    "monte_carlo.steps_per_piece": 16,
    "solver.starts": 1,
    "solver.iterations": 3,
}
FREE = [name for name in NAMES if load_problem(name).domain.free]
LINES = [name for name in NAMES if load_problem(name).dimension == 1]
PLANES = [name for name in NAMES if name not in (*LINES, *FREE)]
ALIKE = (  # to others that stay in the quick tests
    "three-bumps", "wide-network", "vp-cosine", "iris-plane", "moons", "rotation", "smiley", "tilted-bumps", "jump",
    "heavy-tail", "iris-petals", "heat-compact", "moser-square", "iris", "wine", "digits", "ve-geometric", "circle",
    "two-bumps",
)  # fmt: skip


def test_every_kind_of_problem_is_shipped():
    assert {
        "two-bumps",
        "three-bumps",
        "iris-petals",
        "heat-compact",
        "jump",
        "moser-bumps",
        "wide-network",
        "circle",
        "heavy-tail",
        "funnel",
        "smiley",
        "tilted-bumps",
        "vp-cosine",
        "ve-geometric",
        "double-well",
        "foellmer",
        "iris-plane",
        "moons",
        "moser-square",
        "rotation",
        "iris",
        "wine",
        "digits",
        "product-bumps",
    } <= set(NAMES)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in FREE]
)
def test_a_shipped_problem_in_free_space_verifies_and_is_better_than_one_gaussian(name):
    small = {"controls.pieces": 8, "monte_carlo.particles": 1000, "solver.starts": 1}
    result = cs.solve(load_problem(name, set=small))
    assert result.status == "converged", result.message
    assert result.verified, result.certificate.failed
    told, distance = result.tracking.log_likelihood, result.tracking.distances["mollified"]
    assert distance.value < distance.baseline
    assert told.value > told.gaussian


@pytest.mark.parametrize("noise", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in LINES]
)
def test_a_shipped_problem_verifies_with_shooting_with_and_without_noise(name, noise):
    result = solve(load_problem(name, set={**SMALL, "mesh.stages": 3, "noise": noise}))
    assert result.verified, result.certificate.failed
    nothing = float(abs(result.reference[-1]).max())
    assert result.tracking.l2_final < nothing  # it tracks at all


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in PLANES]
)
def test_a_shipped_problem_in_two_dimensions_verifies_after_a_few_iterations(name):
    problem = load_problem(name, set=SMALLER)
    result = evaluate(problem) if problem.drift else solve(problem)
    assert result.verified, result.certificate.failed
    assert result.tracking.w2_final is not None


@pytest.mark.parametrize(
    ("name", "pieces"),
    [("circle", 4), *(pytest.param(name, 16, marks=pytest.mark.slow) for name in ("circle", "jump"))],
)
def test_a_shipped_problem_verifies_with_collocation(name, pieces):
    chosen = {"monte_carlo.particles": 20_000, "controls.pieces": pieces}
    result = solve(load_problem(name, set=chosen), solver="collocation")
    assert result.status == "converged"
    assert result.verified, result.certificate.failed


@pytest.mark.slow
def test_two_bumps_comes_by_default_below_the_best_of_12_random_starts():
    problem = load_problem("two-bumps", set={"monte_carlo.particles": 20_000})
    default = solve(problem)
    assert default.status == "converged"
    assert default.verified
    tracking = build_tracking(problem, build_reference(problem.reference, problem.domain))
    # three at a time: so few are all run to the end, none is given up after a first look
    runs = [shooting.solve(Objective(tracking), Shooting(starts=3, hops=0, seed=seed)) for seed in (11, 12, 13, 14)]
    reached = [value for run in runs for value in run.starts]
    assert len(reached) == 12
    assert default.objective <= min(reached) * (1 + 1e-6)
