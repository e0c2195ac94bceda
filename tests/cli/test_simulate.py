"""`controlsde simulate`: what it prints, writes, refuses, and how it ends."""

import dataclasses
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import controlsde as cs
from controlsde.fokker_planck.mesh import Mesh
from controlsde.monte_carlo.backends.choice import Backend, DeviceError
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.philox import Stream
from controlsde.problem import parse_problem
from controlsde.verification.evidence import Fields
from controlsde.workflow import simulation
from controlsde.workflow.simulation import simulate

from .commands import HEAT, files, process

GAUSSIAN = """\
domain: {{box: [[-6, 6]]}}
reference:
  kind: reversed-diffusion
  horizon: 1
  data: {{kind: mixture, weights: [1], means: [{mean}], stds: [{spread}]}}
noise: {noise}
drift: {{kind: exact}}
controls: {{pieces: 2}}
mesh: {{elements: [12], degree: 8}}
monte_carlo: {{particles: 2000, steps_per_piece: 16}}
"""
KEYS = {
    "problem", "result", "noise", "particles", "requested", "stopped", "seconds", "particle_steps_per_second", "device",
    "backend", "processes", "scheme", "steps_per_piece", "seed", "repetition", "verified", "l2_final", "l2_final_se",
    "l2_expected", "z", "z_modes", "density_l2", "step_bias", "killed_mass", "moments", "w1_final", "sliced_w2_final",
    "checks", "notes", "output",
}  # fmt: skip


@pytest.fixture
def result(solved):
    folder, answer = solved
    assert answer.code == 0, answer.err
    return folder / "out/result.nc"


def test_the_json_has_every_key_and_agrees_with_the_certificate(run, result):
    answer = run("simulate", result, "--json", "--particles", 20_000)
    assert answer.code == 0, answer.err
    found = answer.json
    assert set(found) == KEYS
    assert (found["particles"], found["requested"], found["stopped"]) == (20_000, 20_000, None)
    assert (found["device"], found["scheme"], found["steps_per_piece"]) == ("cpu", "heun", 16)
    assert abs(found["z"]) < 4
    certified = cs.Result.load(result).certificate.monte_carlo
    spread = np.hypot(found["l2_final_se"], certified.l2_final_se)
    assert abs(found["l2_final"] - certified.l2_final) < 4 * spread
    assert found["w1_final"]["density"]["p"] > 1e-3
    assert found["sliced_w2_final"] is None
    assert found["checks"][0]["passed"]
    assert abs(found["moments"]["mean"][0] - 0.5) < 0.2
    assert "particles agree with the verified density" in answer.err


@pytest.mark.parametrize("noise", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_expected_mean_and_variance_are_those_of_the_exact_density(run, noise):
    """An Ornstein–Uhlenbeck process, run back by its exact drift, ends in the data: a Gaussian."""
    mean, spread = 0.7, 0.5
    Path("gaussian.yaml").write_text(GAUSSIAN.format(mean=mean, spread=spread, noise=noise))
    assert run("evaluate", "gaussian.yaml", "-o", "gaussian", "-q").code == 0
    answer = run("simulate", "gaussian/result.nc", "--json")
    assert answer.code == 0, answer.err
    moments = answer.json["moments"]
    assert moments["expected_mean"] == pytest.approx([mean], abs=1e-5)
    assert moments["expected_covariance"][0] == pytest.approx([spread**2], abs=1e-5)
    assert abs(moments["mean"][0] - mean) < 4 * moments["mean_se"][0] + 1e-3
    rows = [line.split() for line in answer.err.splitlines() if line.startswith(("mean of x", "variance of x"))]
    assert [row[-1] for row in rows] == ["0.7", "0.25"]


def test_expected_moments_in_a_plane_have_the_covariance_of_the_density(result):
    """A density of products x^i (1 + xy) on a square, whose integrals are known."""
    plane = on_the_square(cs.Result.load(result), lambda x, y: (1 + 0.5 * x * y) / 4)
    mean, covariance = simulate(plane, 100).expected_moments
    np.testing.assert_allclose(mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(covariance, [[1 / 3, 1 / 18], [1 / 18, 1 / 3]], rtol=1e-10)


@pytest.mark.slow
def test_expected_moments_are_those_of_the_living_where_walls_absorb(result):
    half = on_the_square(cs.Result.load(result), lambda x, y: (1 + x) / 8 + 0 * y)
    mean, covariance = simulate(half, 100).expected_moments
    np.testing.assert_allclose(mean, [1 / 3, 0.0], atol=1e-12)
    np.testing.assert_allclose(covariance, [[1 / 3 - 1 / 9, 0.0], [0.0, 1 / 3]], atol=1e-12)


def on_the_square(loaded, density):
    """The result as if it were one on [−1, 1]², with this density at T."""
    changes = {
        "domain.box": [[-1, 1], [-1, 1]],
        "reference.data": {"kind": "formula", "expression": "1 + 0.1*x*y"},
        "mesh.elements": [2, 2],
    }
    problem = parse_problem(loaded.problem.to_yaml(), set=changes)
    mesh = Mesh.build(problem.domain.box, "reflecting", (2, 2), 4)
    grid = tuple(axis.grid for axis in mesh.axes)
    values = np.broadcast_to(density(grid[0][:, None], grid[1]), (2, len(grid[0]), len(grid[1])))
    times = np.array([0.0, 0.2])
    fields = Fields(mesh, times, values, values, times, times, times, times)
    times = loaded.controls.times
    pieces = len(times) - 1
    still = cs.Controls(np.zeros((pieces, 2, 1)), np.zeros((pieces, 1, 2)), np.zeros((pieces, 1)), times)
    return dataclasses.replace(loaded, problem=problem, fields=fields, controls=still)


def test_the_same_particles_come_back_and_a_repetition_draws_others(run, result):
    first, again, other = (
        run("simulate", result, "--json", "-q", "--particles", 5000, *more).json
        for more in ((), (), ("--repetition", 1))
    )
    assert first["l2_final"] == again["l2_final"]
    assert first["moments"] == again["moments"]
    assert other["moments"] != first["moments"]
    assert other["repetition"] == 1


def test_a_simulation_is_written_with_its_density_and_paths(run, result, folder):
    answer = run("simulate", result, "--particles", 5000, "--paths", 7, "-o", "sim", "--json")
    assert answer.code == 0, answer.err
    assert {"sim/simulation.nc", "sim/simulation.png", "sim/report.html"} <= files(folder)
    page = (folder / "sim/report.html").read_text("utf-8")
    assert 'id="particles"' in page
    assert "particles along x at T" in page
    with xr.open_dataset("sim/simulation.nc", engine="h5netcdf") as data:
        assert data["paths"].dims == ("particle", "time", "axis")
        assert data["paths"].shape == (7, 33, 1)
        assert int(data["histogram"].sum()) == 5000
        gap = (data["density"] - data["verified_density"]) / data["density_se"]
        assert float(np.sqrt((gap**2).mean())) < 3
        assert json.loads(data.attrs["summary"])["particles"] == 5000
    assert answer.json["output"] == "sim/simulation.nc"


def test_paths_are_those_of_the_first_particles(result):
    loaded = cs.Result.load(result)
    few = simulate(loaded, 2000, paths=5).paths
    process_ = simulate(loaded, 2000).experiment.process
    stream = Stream.of(0, "small", 1.0)
    start = few.positions[:, 0]
    moved = plain.simulate(process_, stream, np.arange(5, dtype=np.uint64), process_.inward(start))
    np.testing.assert_allclose(few.positions[:, -1], process_.outward(moved.z), atol=1e-12)


def test_a_time_budget_is_kept_and_said(run, result):
    answer = run("simulate", result, "--particles", 10**10, "--time-budget", 0.5, "--json")
    assert answer.code == 0
    assert answer.json["stopped"] == "time-budget"
    assert 2 <= answer.json["particles"] < 10**10
    assert answer.json["seconds"] < 20
    assert "stopped by time budget after" in answer.err


def test_a_target_for_the_standard_error_is_kept_and_said(run, result):
    answer = run("simulate", result, "--particles", 10**10, "--target-se", 0.004, "--json")
    assert answer.json["stopped"] == "target-se"
    assert answer.json["l2_final_se"] <= 0.004


BAD = {
    "no particles": (("--particles", 0), "monte_carlo.particles must be >= 2"),
    "an unknown device": (("--device", "tpu"), "must be 'auto', 'cpu' or 'cuda'"),
    "an unknown scheme": (("--scheme", "milstein"), "must be 'heun' or 'euler-maruyama'"),
    "no steps": (("--steps", 0), "monte_carlo.steps_per_piece must be >= 1"),
    "no time": (("--time-budget", 0), "--time-budget must be a number above 0"),
    "no target": (("--target-se", "nan"), "--target-se must be a number above 0"),
    "a negative repetition": (("--repetition", -1), "--repetition must be 0 or more"),
    "paths without a folder": (("--paths", 3), "say where with -o DIR"),
    "too many paths": (("--paths", 10**9, "-o", "sim"), "fit in 2 GiB"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_run_is_one_line_and_exit_code_2(run, result, folder, case):
    words, message = BAD[case]
    answer = run("simulate", result, "-q", *words)
    assert answer.code == 2
    assert len(answer.err.strip().splitlines()) == 1
    assert message in answer.err
    assert files(folder) == {"small.yaml"}


def test_a_device_without_cuda_is_one_line_and_exit_code_2(run, result, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    option = "monte_carlo.device=cuda"
    for words in (("simulate", result, "--device", "cuda"), ("solve", "small.yaml", "--set", option)):
        answer = run(*words, "-q")
        assert answer.code == 2
        assert "no CUDA device" in answer.err
        assert len(answer.err.strip().splitlines()) == 1


def test_a_device_with_no_memory_at_all_is_one_line_and_exit_code_2(run, result, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("controlsde.monte_carlo.experiment.choose", lambda *_: Backend("torch", "cuda", full, cells=8))
    answer = run("simulate", result, "-q")
    assert answer.code == 2
    assert answer.err.strip() == "the device has no memory for the smallest chunk of particles; use --device cpu"


def test_files_that_are_no_whole_result_are_one_line_and_exit_code_2(run, result, folder):
    (folder / "cut.nc").write_bytes(result.read_bytes()[:5000])
    with xr.open_dataset(result, engine="h5netcdf") as data:
        data.load().assign_attrs(format_version=3).to_netcdf(folder / "old.nc", engine="h5netcdf")
    for name, message in (("cut.nc", "not a complete result"), ("old.nc", "format 3"), ("none.nc", "no such file")):
        answer = run("simulate", name, "-q")
        assert answer.code == 2
        assert message in answer.err
        assert len(answer.err.strip().splitlines()) == 1


def test_particles_that_contradict_the_density_exit_4(run, result):
    loaded = cs.Result.load(result)
    fields = loaded.fields
    tilted = dataclasses.replace(fields, density=fields.density * (1 + 0.3 * (fields.axes[0] - 0.5)))
    dataclasses.replace(loaded, fields=tilted).save("tilted.nc")
    answer = run("simulate", "tilted.nc", "--particles", 100_000)
    assert answer.code == 4
    assert "DISAGREE" in answer.err


def test_steps_that_are_too_long_exit_4_and_name_the_cure(run):
    Path("steep.yaml").write_text(HEAT + 'drift: {kind: formula, expressions: ["30*(0.3-x)"]}\n')
    evaluated = run("evaluate", "steep.yaml", "-o", "steep", "-q")
    assert evaluated.code in (0, 4)
    answer = run("simulate", "steep/result.nc", "--steps", 1, "--json")
    assert answer.code == 4
    assert "the steps are TOO LONG" in answer.err
    assert "raise --steps" in answer.err
    assert [check["passed"] for check in answer.json["checks"] if check["name"] == "step_bias"] == [False]


def test_an_interruption_keeps_what_was_counted(result, tmp_path):
    words = ["simulate", str(result), "--particles", "100000000000", "--json", "-v"]
    running = process(tmp_path, *words)
    for line in running.stderr:
        if "simulating: particles" in line:
            break
    time.sleep(3)  # the first cells take a second
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert json.loads(out)["stopped"] == "interrupted"
    assert json.loads(out)["particles"] >= 2


DIFFERENT = {"seconds", "particle_steps_per_second", "processes"}


def alike(found):
    return {name: value for name, value in found.items() if name not in DIFFERENT}


@pytest.mark.slow
def test_two_processes_print_the_numbers_of_one(run, result):
    words = ["simulate", str(result), "--particles", "100000", "--json", "-q"]
    one, two = run(*words).json, run(*words, "--workers", "2").json
    assert (one["processes"], two["processes"]) == (1, 2)
    assert alike(one) == alike(two)


def test_workers_count_the_same_particles_by_the_same_backend_or_not_at_all(result):
    loaded = cs.Result.load(result)
    asked = {"particles": 40_000, "target_se": 1e-9}
    with ThreadPoolExecutor(3) as pool:
        beside = simulate(loaded, executor=pool, **asked)
    assert alike(beside.to_json()) == alike(simulate(loaded, **asked).to_json())
    with pytest.raises(DeviceError, match=r"moves particles by .*, and this process by abacus"):
        simulation._sums(loaded.problem, loaded.controls, 0, 1000, "abacus", range(1))
