"""The whole way in three dimensions, on a mesh that the software chose: against a wave that only diffuses."""

import importlib
import math

import pytest

from controlsde.problem import parse_problem
from controlsde.report.figures import save_figures
from controlsde.workflow.prediction import refusals_of_evaluation
from controlsde.workflow.solving import evaluate

WAVE = """\
name: wave
domain: {box: [[0, 1], [0, 1], [0, 1]]}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: 0.1
  data: {kind: formula, expression: "1 + 0.5*cos(pi*x)*cos(pi*y)*cos(pi*z)"}
controls: {pieces: 1}
mesh: {degree: 3}
drift: {kind: formula, expressions: ["0", "0", "0"]}
monte_carlo: {particles: 500, steps_per_piece: 8}
"""


@pytest.mark.slow
def test_a_wave_without_drift_decays_as_heat_and_is_verified(tmp_path, monkeypatch):
    """On fewer cells for the final distances and fewer panels for the loss than users get: the same numbers, sooner."""
    grid = importlib.import_module("controlsde.verification.grid")
    transport = importlib.import_module("controlsde.verification.transport_at_end")
    promises = importlib.import_module("controlsde.verification.promises")
    monkeypatch.setattr(promises, "FEWEST_PANELS", 1)
    monkeypatch.setattr(promises, "SMALLER", 2)
    monkeypatch.setitem(grid.FINE_CELLS, 3, 20)
    monkeypatch.setitem(transport.WORK, 3, 3 * 12**4)
    result = evaluate(parse_problem(WAVE))
    assert result.verified, result.certificate.failed
    decay = math.exp(-3 * math.pi**2 * 0.1)
    amplitude = 0.5 - 0.5 * decay**2  # the data's wave went out twice: there and back
    assert result.tracking.l2_final == pytest.approx(amplitude / math.sqrt(8), rel=1e-3)
    assert result.fields.density.ndim == 4
    # near the uniform density W₂ is the negative Sobolev distance
    assert result.transport.converged
    assert result.tracking.w1_final is None
    assert result.tracking.w2_final == pytest.approx(result.tracking.h_1_final, rel=0.01)
    assert result.transport.lower_bound <= result.tracking.w2_final
    assert [path.name for path in save_figures(result, tmp_path)] == ["density.png", "error.png"]


def test_a_mesh_too_large_to_refine_in_three_dimensions_is_refused():
    assert refusals_of_evaluation(parse_problem(WAVE)) == ()
    (reason,) = refusals_of_evaluation(parse_problem(WAVE, set={"mesh.degree": 8}))
    assert "mesh.degree" in reason
    assert refusals_of_evaluation(parse_problem(WAVE, set={"mesh.degree": 8, "mesh.elements": [2, 2, 2]})) == ()
