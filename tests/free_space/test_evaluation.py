"""An evaluation in free space: exact drifts track, wrong ones are seen to, files hold what was found."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import controlsde as cs
from controlsde.control.controls import Controls
from controlsde.result.result_file import ResultError
from controlsde.verification import free_verifying
from controlsde.verification.free_certificate import LIMITS
from tests.free_space.cases import bumps, some_controls


@pytest.fixture(scope="module", params=[pytest.param(0.0, marks=pytest.mark.slow), 1.0], ids=["flow", "noisy"])
def exact(request):
    return cs.evaluate(bumps(noise=request.param, drift="exact", monte_carlo__particles=2000))


@pytest.fixture(scope="module", params=[pytest.param(0.0, marks=pytest.mark.slow), 1.0], ids=["flow", "noisy"])
def wrong(request):
    return cs.evaluate(bumps(noise=request.param), some_controls())


def test_the_exact_drift_is_verified_and_no_further_from_p_than_draws_of_p(exact):
    assert exact.verified, [check.name for check in exact.certificate.failed]
    for name, one in exact.tracking.distances.items():
        assert one.z < 4.0, name


@pytest.mark.slow
def test_an_evaluation_with_too_much_noise_finds_fault_with_the_exact_drift(monkeypatch):
    right = free_verifying.experiment_of

    def noisier(posed, drift, repetition=0):
        asked = right(posed, drift, repetition)
        return replace(asked, diffusivity=posed.reference.diffusivity.scaled(1.3 * posed.problem.noise))

    monkeypatch.setattr(free_verifying, "experiment_of", noisier)
    result = cs.evaluate(bumps(noise=1.0, drift="exact", monte_carlo__particles=2000))
    assert "exact_drift" in {check.name for check in result.certificate.failed}


def test_the_exact_drift_has_the_likelihood_of_p(exact):
    told = exact.tracking.log_likelihood
    assert told.kind == ("exact" if exact.noise == 0.0 else "bound")
    assert told.value == pytest.approx(told.reference, abs=1e-4)
    assert told.kl == pytest.approx(0.0, abs=1e-4)


def test_every_distance_sees_controls_that_track_nothing(wrong):
    for name, one in wrong.tracking.distances.items():
        assert one.z > 10.0, name
    assert wrong.tracking.score_loss.relative > 0.5
    assert wrong.tracking.log_likelihood.value < wrong.tracking.log_likelihood.reference - 0.5


def test_a_wrong_answer_is_measured_well_all_the_same(wrong):
    assert wrong.verified, [check.name for check in wrong.certificate.failed]


def test_two_bounds_of_the_divergence_agree_with_noise(wrong):
    told = wrong.tracking.log_likelihood
    if wrong.noise == 0.0:
        assert told.path_kl is None
        return
    error = math.hypot(told.kl_se, told.path_kl_se)
    assert abs(told.kl - told.path_kl) < 4.0 * error


def test_the_course_of_the_mollified_distance_ends_in_the_one_that_is_told(wrong):
    assert wrong.particles.curve[-1] == wrong.tracking.distances["mollified"].value
    assert abs(wrong.particles.curve[0]) < 0.05  # the start is exact


def test_one_document_holds_what_the_contract_names(wrong):
    document = json.loads(json.dumps(wrong.to_json(), allow_nan=False))
    for name in ("mollified", "energy_distance", "sliced_w2", "bures_w2"):
        assert {"value", "null_mean", "null_sd"} <= set(document["tracking"][name])
    assert {"value", "se", "kind"} <= set(document["tracking"]["log_likelihood"])
    assert {check["name"] for check in document["certificate"]["checks"]} <= set(LIMITS)


def test_a_file_holds_all_of_a_result(wrong, tmp_path):
    saved = wrong.save(tmp_path / "result.nc")
    loaded = cs.load_result(tmp_path / "result.nc")
    assert isinstance(loaded, cs.FreeResult)
    assert loaded.to_json() == saved.to_json()
    assert loaded.problem == wrong.problem
    np.testing.assert_array_equal(loaded.controls.A, wrong.controls.A)
    np.testing.assert_allclose(loaded.particles.final, wrong.particles.final, rtol=1e-6)
    again = cs.evaluate(loaded.problem, Controls.load(tmp_path / "result.nc"))
    assert again.tracking.distances["mollified"] == wrong.tracking.distances["mollified"]


def test_a_file_of_particles_is_refused_where_a_mesh_is_needed(wrong, tmp_path):
    wrong.save(tmp_path / "result.nc")
    with pytest.raises(ResultError, match="of particles, and this needs densities on a mesh"):
        cs.Result.load(tmp_path / "result.nc")


def test_a_changed_file_is_refused(wrong, tmp_path):
    path = tmp_path / "result.nc"
    wrong.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ResultError, match=r"changed|complete"):
        cs.load_result(path)


def test_other_particles_agree_with_those_of_the_result(wrong):
    assert cs.simulate(wrong, 800).verified


def test_particles_of_other_controls_do_not(wrong):
    other = cs.evaluate(wrong.problem, some_controls(seed=1, scale=1.0))
    mixed = replace(wrong, particles=other.particles)
    assert not cs.simulate(mixed, 800).verified


def test_exports_step_the_same_process(wrong):
    import torch

    module = wrong.to_torch(torch.float64)
    x = np.random.default_rng(0).standard_normal((5, 3))
    a, w, b = wrong.controls.piece(0)
    np.testing.assert_allclose(module.f(0.0, torch.from_numpy(x)).detach().numpy(), np.tanh(x @ w.T + b) @ a.T)
    assert module.fold(torch.from_numpy(100.0 * x)).equal(torch.from_numpy(100.0 * x))


def test_pictures_need_as_many_coordinates_as_pixels(wrong):
    assert wrong.to_images((1, 3), count=4).shape == (4, 1, 3)
    with pytest.raises(ResultError, match="need 4 coordinates, and there are 3"):
        wrong.to_images((2, 2))


def test_steps_that_are_too_long_are_told():
    steep = Controls(np.full((4, 3, 3), 40.0), np.full((4, 3, 3), 3.0), np.zeros((4, 3)), np.linspace(0.0, 1.0, 5))
    result = cs.evaluate(bumps(noise=1.0, monte_carlo__steps_per_piece=1), steep)
    assert "step_change" in {check.name for check in result.certificate.failed}


def test_a_fit_that_learnt_its_points_fails():
    from controlsde.control.drift import network_drift
    from controlsde.tracking.free_posed import FreePosed
    from controlsde.verification.free_verifying import verify

    problem = bumps(noise=1.0, monte_carlo__particles=200)
    posed, controls = FreePosed.of(problem), some_controls()
    drift = network_drift(posed.network, controls, 1.0)
    loss = cs.evaluate(problem, controls).tracking.score_loss.fresh
    for claimed, passes in ((loss, True), (loss / 1.5, False)):
        certificate = verify(posed, drift, claimed, None, lambda _: None).certificate
        assert ("score_loss_ratio" not in {check.name for check in certificate.failed}) is passes
