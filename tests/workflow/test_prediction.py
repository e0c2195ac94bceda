"""Counts are those of the real program, and the memory model holds its largest arrays."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.fokker_planck import Mesh, Operator
from controlsde.problem import load_problem, parse_problem
from controlsde.reference import build_reference
from controlsde.solvers.collocation.costs import ProgramSizes, collocation_memory, collocation_seconds
from controlsde.solvers.collocation.free_lengths import transcribe_free
from controlsde.solvers.collocation.transcription import transcribe
from controlsde.solvers.drift_fitting.drift_fit import CHUNK_BYTES
from controlsde.solvers.shooting import costs as shooting_costs
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.costs import factor_bytes, shooting_iterations, shooting_memory, shooting_seconds
from controlsde.solvers.shooting.options import Shooting
from controlsde.tracking.objective import Objective
from controlsde.tracking.sizes import Sizes, operator_entries, sizes_of
from controlsde.tracking.tracking_problem import build_tracking
from controlsde.workflow import prediction as predictions
from controlsde.workflow.prediction import predict
from tests.quick import every

PLANE = """
domain: {box: [[-4, 4], [-4, 4]]}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: 0.1
  data: {kind: mixture, weights: [0.5, 0.5], means: [[-1, 0], [1, 0.5]], stds: [0.6, 0.6]}
controls: {pieces: 3}
network: {width: 2}
mesh: {elements: [2, 3], degree: 4, steps_per_piece: 2}
"""
CASES = {
    "two bumps": ("two-bumps", {"controls.pieces": 3}),
    "without noise": ("two-bumps", {"controls.pieces": 3, "noise": 0}),
    "wide, two stages": ("two-bumps", {"controls.pieces": 3, "network.width": 3, "mesh.stages": 2}),
    "relu": ("two-bumps", {"controls.pieces": 3, "network.width": 2, "network.activation": "relu"}),
    "circle": ("circle", {"controls.pieces": 3}),
    "Ḣ⁻¹, variation": ("two-bumps", {"controls.pieces": 3, "objective.norm": "h-1", "objective.variation": 1e-4}),
    "free weights": ("two-bumps", {"controls.pieces": 3, "objective.effort": 0, "network.width": 2}),
    "running cost only": ("two-bumps", {"controls.pieces": 3, "objective.terminal": 0}),
    "energy": ("two-bumps", {"controls.pieces": 3, "objective.energy": 0.1, "network.width": 2}),
    "free lengths": ("two-bumps", {"controls.pieces": 3, "controls.lengths": "free"}),
    "free lengths, energy": (
        "two-bumps",
        {"controls.pieces": 3, "controls.lengths": "free", "objective.energy": 0.1, "network.width": 2},
    ),
    "plane, free lengths": (None, {"controls.lengths": "free"}),
    "plane": (None, {}),
    "plane, no noise, absorbing": (None, {"noise": 0, "domain.walls": "absorbing"}),
    "plane, absorbing": (None, {"domain.walls": "absorbing", "network.width": 3}),
    "torus, one stage": (None, {"domain.walls": "periodic", "mesh.stages": 1, "mesh.steps_per_piece": 1}),
    "plane, tangential": (None, {"noise": 0, "network.tangential": True}),
}


def built(name):
    shipped, changes = CASES[name]
    problem = parse_problem(PLANE, set=changes) if shipped is None else load_problem(shipped, set=changes)
    return problem, build_tracking(problem, build_reference(problem.reference, problem.domain))


@pytest.mark.parametrize("name", every(3, CASES))
def test_variables_and_nonzeros_are_those_of_the_program(name):
    problem, tracking = built(name)
    program = transcribe(tracking) if tracking.free is None else transcribe_free(tracking)
    sizes = ProgramSizes(sizes_of(problem, tracking.mesh))
    assert sizes.variables == program.nlp["x"].shape[0]
    assert sizes.jacobian == program.derivatives["jac_g"].sparsity_out(1).nnz()
    hessian = program.derivatives["hess_lag"].sparsity_out(0).nnz()
    if name == "plane, no noise, absorbing":  # walls that cut off the drift tie neurons together: a few entries more
        assert sizes.hessian == pytest.approx(hessian, rel=5e-3)
    else:
        assert sizes.hessian == hessian


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize("elements", [(1,), (2,), (5,), (1, 3), (2, 2), (2, 1, 2)])
def test_the_operator_has_the_predicted_entries(walls, elements):
    mesh = Mesh.build(((-1.0, 1.0),) * len(elements), walls, elements, 4)
    operator = Operator.build(mesh, 0.3)
    drift = np.random.default_rng(0).normal(size=operator.drift_points.shape)
    coupled = abs(operator.matrix(drift)).tocsr()
    coupled.setdiag(1.0)
    coupled.eliminate_zeros()
    assert operator_entries(mesh) == coupled.nnz


def test_an_estimate_without_a_mesh_is_not_below_the_sizes_on_it():
    for name in CASES:
        problem, tracking = built(name)
        above, exact = (ProgramSizes(sizes_of(problem, mesh)) for mesh in (None, tracking.mesh))
        assert above.jacobian >= exact.jacobian
        assert above.variables >= exact.variables


# entries of the factors as MUMPS reports them, and the bytes by which a process grew: measured once, on programs of
# 1,188 to 37,104 variables; `python -m benchmarks sizes` measures such again
MEASURED = {
    "1-D, 49 nodes": (Sizes(1, 49, 0, 4, 2, 3, 1, 8), 18_453, 4_728, 1.40e5, 28e6),
    "1-D, 129 nodes": (Sizes(1, 129, 0, 32, 2, 3, 1, 8), 394_173, 99_264, 6.11e6, 177e6),
    "1-D, 193 nodes": (Sizes(1, 193, 0, 16, 4, 3, 1, 8), 590_589, 148_320, 1.08e7, 288e6),
    "2-D, 81 nodes": (Sizes(2, 81, 0, 6, 1, 3, 2, 4), 33_129, 16_206, 5.26e5, 48e6),
    "2-D, 289 nodes": (Sizes(2, 289, 0, 12, 1, 3, 2, 4), 242_709, 114_780, 9.80e6, 252e6),
    "2-D, 441 nodes": (Sizes(2, 441, 0, 12, 1, 3, 2, 4), 372_141, 174_972, 1.76e7, 419e6),
    "2-D, 441 nodes, one stage": (Sizes(2, 441, 0, 12, 1, 1, 2, 4), 113_463, 58_548, 4.74e6, 154e6),
}


@pytest.mark.parametrize("name", MEASURED)
def test_factors_and_memory_are_predicted_within_a_factor_of_two(name):
    sizes, jacobian, hessian, entries, grown = MEASURED[name]
    others = ProgramSizes(sizes).jacobian  # with an operator of no entries
    sizes = replace(sizes, operator=(jacobian - others) // (sizes.steps * sizes.stages))
    program = ProgramSizes(sizes)
    assert program.jacobian == jacobian
    assert program.hessian == hessian
    assert 0.5 < program.factor_entries / entries < 2.0
    assert 0.5 < collocation_memory(sizes) / grown < 2.0


# the bytes by which a process grew in Newton iterations of shooting: without the compiled loops, and with them
MEASURED_SHOOTING = {
    "1-D, 49 nodes": (Sizes(1, 49, 0, 8, 2, 3, 1, 8), 23.2e6, 2.6e6),
    "1-D, 129 nodes": (Sizes(1, 129, 0, 32, 2, 3, 1, 8), 44.2e6, 9.8e6),
    "1-D, 255 nodes of degree 2": (Sizes(1, 255, 0, 32, 2, 3, 1, 2), 43.6e6, 92.7e6),
    "2-D, 81 nodes": (Sizes(2, 81, 0, 6, 1, 3, 2, 4), 26.0e6, 16.2e6),
    "2-D, 289 nodes, width 4": (Sizes(2, 289, 0, 6, 1, 3, 4, 4), 150e6, 31.9e6),
    "2-D, 441 nodes": (Sizes(2, 441, 0, 12, 1, 3, 2, 4), 61.9e6, 59.9e6),
    "2-D, 1089 nodes": (Sizes(2, 1089, 0, 12, 1, 3, 2, 4), 146e6, 156e6),
    "2-D, 2401 nodes": (Sizes(2, 2401, 0, 12, 1, 3, 1, 4), 344e6, 360e6),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("name", MEASURED_SHOOTING)
def test_the_memory_of_shooting_is_predicted_within_a_factor_of_two(name, compiled, monkeypatch):
    sizes, interpreted, with_loops = MEASURED_SHOOTING[name]
    monkeypatch.setattr(shooting_costs, "library", lambda: compiled or None)
    monkeypatch.setattr(shooting_costs, "line_loops", lambda dimension, _: (compiled and dimension == 1) or None)
    assert 0.5 < shooting_memory(sizes, factor_bytes(sizes)) / (with_loops if compiled else interpreted) < 2.0


def test_factors_are_never_larger_than_dense_ones():
    sizes = Sizes(dimension=1, unknowns=2, operator=4, pieces=1, steps_per_piece=1, stages=1, width=64, degree=1)
    program = ProgramSizes(sizes)
    order = program.variables + sizes.stage_values
    assert program.factor_entries <= order * (order + 1) / 2


def test_time_is_proportional_to_the_calibration():
    sizes = MEASURED["2-D, 441 nodes"][0]
    for seconds in (collocation_seconds, shooting_seconds):
        assert seconds(sizes, 0.02) == pytest.approx(2 * seconds(sizes, 0.01))


def test_check_warns_where_a_solve_does_not_fit_into_the_machine(monkeypatch):
    problem = load_problem("two-bumps", set={"mesh.elements": [8]})
    assert not any("this machine" in warning for warning in predict(problem).warnings)
    monkeypatch.setattr(predictions, "machine_memory", lambda: 2**20)
    (warning,) = (each for each in predict(problem).warnings if "this machine" in each)
    assert "smaller mesh.elements" in warning


def test_collocation_is_predicted_with_its_own_memory():
    shooting = predict(load_problem("two-bumps"))
    collocation = predict(load_problem("two-bumps", set={"solver": "collocation"}))
    assert collocation.solver_memory_bytes >= collocation.collocation_memory_bytes
    assert shooting.collocation_memory_bytes == collocation.collocation_memory_bytes
    assert collocation.machine_memory_bytes is None or collocation.machine_memory_bytes > 2**28


def test_the_time_of_shooting_follows_its_starts_and_hops(monkeypatch):
    monkeypatch.setattr(predictions, "calibration_seconds", lambda: 0.01)

    def time(**solver):
        return predict(load_problem("two-bumps", set={"solver": solver})).shooting_seconds

    assert time(starts=16, hops=256) == pytest.approx(2 * time(starts=8, hops=128), rel=0.2)
    assert time(starts=1) < 0.1 * time()
    assert time(hops=1000) > 3 * time()
    assert time(kind="collocation") == time()


def test_the_time_of_fits_counts_all_neurons_and_a_constructed_start(monkeypatch):
    monkeypatch.setattr(predictions, "calibration_seconds", lambda: 0.01)

    def predicted(**solver):
        return predict(load_problem("two-bumps", set={"solver": solver}))

    def time(**solver):
        return predicted(**solver).fit_seconds

    each = [time(kind="switching", neurons=count) for count in (2, 4, 8)]
    both = time(kind="switching") + time(kind="switching", ordering="forward")
    assert time(kind="switching") == pytest.approx(sum(each))
    assert time(kind="score-matching", starts=16) == pytest.approx(2 * time(kind="score-matching"))
    assert time(start="switching", starts=1) == time(kind="collocation", start="switching") == pytest.approx(both)
    assert time() == 0
    assert time(kind="score-matching") < predicted().shooting_seconds / 10
    assert predicted(kind="switching").solver_memory_bytes > 4 * CHUNK_BYTES


def test_iterations_of_shooting_are_predicted_within_a_factor_of_two(iterations_of):
    assert 0.5 < shooting_iterations(4, 6) / iterations_of(starts=4, hops=6) < 2.0


def test_iterations_of_a_stalling_network_are_no_more_than_predicted(iterations_of):
    kinked = {"network.activation": "relu", "network.width": 3, "controls.pieces": 4, "noise": 0.0}
    assert iterations_of(starts=3, hops=0, **kinked) < 1.5 * shooting_iterations(3, 0)


@pytest.fixture
def iterations_of(monkeypatch):
    """How many iterations shooting takes on two bumps, by its progress."""
    for name in ("POOL_PAYS_ABOVE", "THREADS_PAY_ABOVE"):
        monkeypatch.setattr(f"controlsde.solvers.workers.{name}", float("inf"))

    def counted(starts, hops, **changes):
        problem = load_problem("two-bumps", set={"mesh.elements": [8], **changes})
        tracking = build_tracking(problem, build_reference(problem.reference, problem.domain))
        options = {"starts": starts, "hops": hops}
        steps = []
        shooting.solve(Objective(tracking), Shooting(**options), steps.append)
        return sum(step.iteration is not None for step in steps)

    return counted
