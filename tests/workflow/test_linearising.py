"""Controllability of a result: its numbers, its JSON, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest

import controlsde as cs
from controlsde.controllability.weight_metric import MetricError
from controlsde.workflow.linearising import controllability
from tests.quick import slow

HEAT = {"mesh": {"elements": [4], "degree": 6, "steps_per_piece": 2}, "controls.pieces": 3}


def small(**changes):
    """A problem that needs no solving, and some controls of it."""
    problem = cs.load_problem("heat-compact", set={**HEAT, "network": {"width": 1}, **changes})
    d, pieces = problem.dimension, problem.controls.pieces
    rng = np.random.default_rng(0)
    times = np.linspace(0.0, problem.reference.horizon, pieces + 1)
    a, w, b = rng.normal(size=(pieces, d, 1)), rng.normal(size=(pieces, 1, d)), rng.normal(size=(pieces, 1))
    return problem, cs.Controls(a, w, b, times)


def test_it_tells_what_its_json_says():
    problem, controls = small()
    found = controllability(problem, controls=controls)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {"noise", "metric", "singular_values", "rank", "trace_share", "gains"} <= set(told)
    assert list(told["rank"]) == ["1e-1", "1e-2", "1e-3", "1e-6"]
    assert set(told["gains"]) == {"shift", "scale", "worst"}
    assert told["metric"] == "energy"
    assert told["singular_values"] == found.singular_values.tolist()
    assert np.all(np.diff(found.singular_values) <= 0.0)
    assert told["rank"]["1e-2"] == found.rank(1e-2) > 0
    assert 0.0 < told["trace_share"] < 1.0
    assert 0.0 < told["residual"]["share"] < 1.0
    assert told["weight_errors"]["measured"] == pytest.approx(told["weight_errors"]["predicted"], rel=0.5)
    assert told["any_drift"]["exact"]
    assert found.singular_values[0] <= told["any_drift"]["singular_values"][0]
    edges = told["insertion"]["time"]
    assert edges == list(controls.times[told["insertion"]["piece"] :][:2])
    mesh = found.gramian.linearisation.tracking.mesh
    assert told["residual"]["l2"] == pytest.approx(float(np.sqrt(mesh.mass @ found.residual**2)))


def test_a_change_that_a_direction_makes_costs_what_its_singular_value_says():
    problem, controls = small()
    found = controllability(problem, controls=controls)
    least = found.least_energy(3.0 * found.directions[:, 1])
    assert least.energy == pytest.approx(9.0 / found.singular_values[1] ** 2, rel=1e-6)
    assert least.missed < 1e-10
    with pytest.raises(ValueError, match="change must have shape"):
        found.least_energy(np.ones(3))


def test_of_a_result_it_is_that_of_its_problem_and_controls():
    problem, controls = small(**{"monte_carlo.particles": 100})
    result = cs.evaluate(problem, controls)
    one, other = (cs.controllability(*words) for words in ((result,), (problem, "energy", controls)))
    assert one.to_json() == other.to_json()


def test_in_the_metric_of_the_effort_there_is_no_other_drift_to_compare_with():
    problem, controls = small()
    found = controllability(problem, "effort", controls)
    assert found.any_drift is None
    assert found.trace_share is None
    told = found.to_json()
    assert told["metric"] == "effort"
    assert told["trace_share"] is told["any_drift"] is None
    lengths = np.repeat(np.diff(controls.times), 3)
    mass = found.gramian.linearisation.tracking.mesh.mass
    columns = np.sqrt(mass)[:, None] * found.gramian.linearisation.matrix / np.sqrt(lengths)
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(columns, compute_uv=False), atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_it_is_the_same_at_every_call(noise):
    problem, controls = small(noise=noise)
    assert (
        controllability(problem, controls=controls).to_json() == controllability(problem, controls=controls).to_json()
    )


def test_between_absorbing_walls_there_is_only_the_effort():
    problem, controls = small(**{"domain.walls": "absorbing"})
    with pytest.raises(MetricError, match="metric energy counts"):
        controllability(problem, controls=controls)
    assert controllability(problem, "effort", controls).gains.worst > 0.0


def test_what_has_no_network_is_refused():
    problem, controls = small()
    with pytest.raises(cs.ControlsError, match="controls must be given"):
        controllability(problem)
    with pytest.raises(MetricError, match="metric must be one of"):
        controllability(problem, "mass", controls)
    given, _ = small(drift={"kind": "formula", "expressions": ["0"]}, **{"monte_carlo.particles": 100})
    with pytest.raises(cs.ControlsError, match="no network"):
        controllability(cs.evaluate(given))
    with pytest.raises(cs.ControlsError):
        controllability(problem, controls=cs.Controls(controls.A, controls.W, controls.b, 2.0 * controls.times))


@pytest.mark.parametrize("first", [slow(""), "import controlsde.controllability.energy_bound; "])
def test_the_room_of_the_same_name_can_be_called_whether_or_not_it_was_imported(first):
    code = (
        f"import controlsde as cs; {first}"
        "from controlsde.control.controls import ControlsError\n"
        "for _ in range(2):\n"
        "    try: cs.controllability(cs.load_problem('two-bumps'))\n"
        "    except ControlsError as error: print(error)\n"
        "from controlsde.controllability import energy_bound"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["controls must be given"] * 2
