"""The result: its file comes back as it was, its JSON is the contract's, and a broken file is explained."""

import dataclasses
import errno
import json
import math
import os
import shutil
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_array_equal

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.weights_file import read_weights
from controlsde.problem import load_problem
from controlsde.result import result as results
from controlsde.result.onnx_export import OnnxExportError
from controlsde.result.result import Result
from controlsde.result.result_file import ResultError
from controlsde.workflow.solving import evaluate

FEW = {"monte_carlo.particles": 500, "monte_carlo.steps_per_piece": 4, "mesh.elements": [4], "mesh.degree": 4}


def small_controls(dimension=1):
    rng = np.random.default_rng(0)
    shapes = {"A": (2, dimension, dimension), "W": (2, dimension, dimension), "b": (2, dimension)}
    return Controls(**{name: rng.normal(size=shape) for name, shape in shapes.items()}, times=[0, 0.7, 1.5])


@pytest.fixture(scope="module")
def result():
    """An evaluation of two bumps, with some history and starts as a solve would leave."""
    found = evaluate(load_problem("two-bumps", set={**FEW, "controls.pieces": 2}), small_controls())
    return dataclasses.replace(
        found, history=np.array([[0, 1.5, 0.2], [1, 1.25, math.nan]]), starts=(0.5, math.nan), device="cpu",
        beginnings=("", "finer mesh"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def without_controls():
    drift = {"kind": "formula", "expressions": ["sin(x)"]}
    return evaluate(load_problem("two-bumps", set={**FEW, "noise": 0, "controls.pieces": 2, "drift": drift}))


@pytest.fixture
def saved(result, tmp_path):
    return result.save(tmp_path / "two-bumps.nc")


def same(first, second):
    """Equality through dataclasses, arrays and numbers that are not a number."""
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        assert type(first) is type(second)
        for field in dataclasses.fields(first):
            same(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, tuple | list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            same(one, other)
    elif isinstance(first, np.ndarray):
        assert_array_equal(first, second)
        assert first.shape == second.shape
    elif isinstance(first, float) and math.isnan(first):
        assert math.isnan(second)
    else:
        assert first == second


def test_a_result_comes_back_from_its_file_as_it_was(result, saved):
    assert saved.path is not None
    again = Result.load(saved.path)
    for field in dataclasses.fields(Result):
        if field.name != "problem":
            same(getattr(saved, field.name), getattr(again, field.name))
    assert again.problem == result.problem
    assert again.to_json() == saved.to_json()
    assert result.path is None  # the one that was saved is left as it is


def test_a_result_without_controls_comes_back_without(without_controls, tmp_path):
    again = Result.load(without_controls.save(tmp_path / "r.nc").path)
    assert again.controls is None
    same(again.certificate, without_controls.certificate)
    assert again.certificate.characteristics_l2_change is not None
    assert again.noise == 0.0


def test_values_that_are_not_finite_survive_the_file_as_not_a_number(result, tmp_path):
    worse = dataclasses.replace(
        result.certificate,
        refinement=math.inf,
        checks=(
            dataclasses.replace(result.certificate.checks[0], value=math.nan, passed=False),
            *result.certificate.checks[1:],
        ),
    )
    broken = dataclasses.replace(result, objective=math.inf, certificate=worse).save(tmp_path / "r.nc")
    again = Result.load(broken.path)
    assert math.isnan(again.objective)
    assert math.isnan(again.certificate.checks[0].value)
    assert not again.verified
    assert again.to_json() == broken.to_json()


def test_xarray_opens_the_file_with_named_dimensions_and_coordinates(saved):
    with xr.open_dataset(saved.path) as data:
        assert data["density"].dims == ("time", "x")
        assert data["reference"].dims == ("time", "x")
        assert data["A"].dims == ("piece", "dimension", "neuron")
        assert data["W"].dims == ("piece", "neuron", "dimension")
        assert data["b"].dims == ("piece", "neuron")
        assert float(data["time"][0]) == 0.0
        assert float(data["time"][-1]) == pytest.approx(1.5)
        assert float(data["x"].min()) == -5.0
        assert float(data["x"].max()) == 5.0
        assert_array_equal(data["density"].values, saved.fields.density)
        # an error curve that belongs to the densities: both ends of it, from the arrays themselves
        mass = data["density"].integrate("x").values
        np.testing.assert_allclose(mass, 1.0, atol=0.1)
        assert json.loads(data.attrs["summary"])["problem"] == "two-bumps"
        assert set(json.loads(data.attrs["versions"])) >= {"python", "controlsde", "numpy", "scipy", "torch", "casadi"}


def test_promises_are_stored_and_older_files_without_them_are_read(result, saved):
    assert Result.load(saved.path).promises == result.promises
    assert result.to_json()["promises"]["l2"]["measured"] == result.tracking.l2_final
    with xr.open_dataset(saved.path) as data:
        older = data.load()
    summary = json.loads(older.attrs["summary"])
    del summary["promises"]
    older.attrs["summary"] = json.dumps(summary)
    del older.attrs["seal"]
    older.to_netcdf(saved.path, engine="h5netcdf")
    assert Result.load(saved.path).promises is None


def test_the_file_alone_is_enough_to_start_again(result, saved):
    again = evaluate(Result.load(saved.path).problem, Controls.load(saved.path))
    assert again.tracking == result.tracking
    assert again.certificate == result.certificate


def test_a_two_dimensional_density_is_stored_on_both_axes(tmp_path):
    data = {"kind": "mixture", "means": [[-1.5, 0.0], [1.5, 0.5]], "stds": [0.6, 0.6]}
    small = {**FEW, "mesh.elements": [2, 3], "mesh.degree": 5, "controls.pieces": 2}
    problem = load_problem(
        "two-bumps", set={**small, "domain.box": [[-5, 5], [-4, 4]], "network.width": 2, "reference.data": data}
    )
    found = evaluate(problem, small_controls(2))
    again = Result.load(found.save(tmp_path / "r.nc").path)
    assert again.density.dims == ("time", "x", "y")
    same(again.fields, found.fields)
    same(again.transport, found.transport)
    assert again.to_json()["distances"]["w2_final"]["value"] == again.tracking.w2_final > 0


def test_density_and_reference_are_labelled_arrays(result):
    assert result.density.dims == ("time", "x")
    at_end = result.reference.isel(time=-1)
    np.testing.assert_allclose(float(at_end.integrate("x")), 1.0, atol=0.1)


def test_a_failure_half_way_leaves_the_old_file_and_no_litter(result, saved, tmp_path, monkeypatch):
    before = (tmp_path / "two-bumps.nc").read_bytes()

    def half(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    with pytest.raises(OSError, match=r"cannot be written \(no space left on device\); make room there"):
        result.save(saved.path)
    monkeypatch.undo()
    assert (tmp_path / "two-bumps.nc").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["two-bumps.nc"]


def test_saving_again_replaces_the_file_and_makes_the_folders(result, tmp_path):
    target = tmp_path / "some" / "where" / "r.nc"
    result.save(target)
    dataclasses.replace(result, message="second").save(str(target))
    assert Result.load(target).message == "second"
    assert [path.name for path in target.parent.iterdir()] == ["r.nc"]


def test_the_file_may_be_read_by_whom_any_new_file_may_be_read(saved, tmp_path):
    path = Path(saved.path)
    (tmp_path / "other").write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_missing_file_or_a_folder_is_explained(tmp_path):
    for path in (tmp_path / "nothing.nc", tmp_path):
        with pytest.raises(ResultError, match="no such file"):
            Result.load(path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_a_file_that_is_cut_short_is_explained(saved, tmp_path, share):
    content = Path(saved.path).read_bytes()
    path = tmp_path / "cut.nc"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ResultError, match=r"cut\.nc: not a complete result file"):
        Result.load(path)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5netcdf's, as it gives up the file
def test_a_file_with_bytes_spoilt_is_read_or_explained(saved, tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = np.frombuffer(Path(saved.path).read_bytes(), np.uint8).copy()
    where = rng.integers(0, len(content), 40)
    content[where] = rng.integers(0, 256, len(where))
    path = tmp_path / "spoilt.nc"
    path.write_bytes(content.tobytes())
    for load, expected in ((Result.load, ResultError), (Controls.load, ControlsError)):
        try:
            load(path)
        except expected as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 - where the bytes do no harm, nothing is raised


def test_text_under_the_name_of_a_result_is_explained(tmp_path):
    path = tmp_path / "text.nc"
    path.write_text("name: two-bumps\n" * 100)
    with pytest.raises(ResultError, match=r"text\.nc: not a"):
        Result.load(path)


def test_a_foreign_dataset_is_explained(tmp_path):
    path = tmp_path / "foreign.nc"
    xr.Dataset({"temperature": ("x", np.arange(3.0))}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ResultError, match=r"foreign\.nc: not a result of controlsde"):
        Result.load(path)


def change(saved, tmp_path, action):
    path = tmp_path / "changed.nc"
    shutil.copy(saved.path, path)
    with h5py.File(path, "r+") as file:
        action(file)
    return path


def test_a_file_of_another_version_says_which_and_what_to_do(saved, tmp_path):
    path = change(saved, tmp_path, lambda file: file.attrs.modify("format_version", results.FORMAT_VERSION + 1))
    with pytest.raises(ResultError, match=r"written in format \d, this version reads \d; solve again"):
        Result.load(path)


@pytest.mark.parametrize(
    "action",
    [
        lambda file: file.__delitem__("density"),
        lambda file: file.attrs.__delitem__("summary"),
        lambda file: file.attrs.__delitem__("format_version"),
        lambda file: file.attrs.__setitem__("format_version", "new"),
        lambda file: file.attrs.__setitem__("summary", "{"),
        lambda file: file.attrs.__setitem__("summary", "[]"),
        lambda file: file.attrs.__setitem__("summary", '{"tracking": {"colour": 1}}'),
        lambda file: file.attrs.__setitem__("problem", "name: nothing else"),
        lambda file: file.attrs.__setitem__("problem", "["),
        lambda file: file["b"].__setitem__(Ellipsis, np.nan),
    ],
    ids=[
        "no-density",
        "no-summary",
        "no-version",
        "version-is-a-word",
        "summary-cut",
        "summary-is-a-list",
        "summary-unknown-key",
        "problem-incomplete",
        "problem-not-yaml",
        "controls-not-finite",
    ],
)
def test_a_file_with_a_part_spoilt_is_explained_and_named(saved, tmp_path, action):
    path = change(saved, tmp_path, action)
    with pytest.raises(ResultError, match=r"changed\.nc: "):
        Result.load(path)


CONTRACT = {
    "problem": None,
    "solver": None,
    "noise": None,
    "status": None,
    "verified": None,
    "objective": None,
    "iterations": None,
    "seconds": {"build", "solve", "verify"},
    "tracking": {
        "l2_sup",
        "l2_rms",
        "l2_final",
        "l2_initial",
        "tv_final",
        "kl_final",
        "w1_final",
        "w2_final",
        "h-1_final",
    },
    "discrete": {"l2_sup", "l2_rms", "l2_final", "l2_initial"},
    "certificate": {
        "mass_error",
        "negative_mass",
        "resolution",
        "refined_l2_change",
        "monte_carlo",
        "characteristics_l2_change",
        "gradient_norm",
        "checks",
    },
    "result": None,
}


@pytest.mark.parametrize("which", ["result", "without_controls"])
def test_the_json_has_the_keys_of_the_contract_and_is_strict(which, request):
    document = request.getfixturevalue(which).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(CONTRACT) <= set(document)
    for key, parts in CONTRACT.items():
        if parts:
            assert parts <= set(document[key]), key
    assert {"particles", "l2_final", "l2_final_se", "z"} <= set(document["certificate"]["monte_carlo"])
    for check in document["certificate"]["checks"]:
        assert set(check) == {"name", "value", "limit", "passed"}
    assert document["status"] in ("converged", "not-converged", "given", "interrupted")
    assert document["verified"] == all(check["passed"] for check in document["certificate"]["checks"])


def test_numbers_that_are_not_finite_become_null_at_any_depth(result):
    tracking = dataclasses.replace(result.tracking, kl_final=math.inf, w2_final=np.float64("nan"))
    spoilt = dataclasses.replace(result, objective=math.nan, tracking=tracking, seconds={"build": -math.inf})
    document = json.loads(json.dumps(spoilt.to_json(), allow_nan=False))
    assert document["objective"] is None
    assert document["tracking"]["kl_final"] is None
    assert document["tracking"]["w2_final"] is None
    assert document["seconds"]["build"] is None
    assert document["starts"] == [0.5, None]
    assert document["tracking"]["l2_final"] == result.tracking.l2_final


def test_the_json_says_where_the_result_lies_once_it_is_saved(result, saved, tmp_path):
    assert result.to_json()["result"] is None
    assert saved.to_json()["result"] == str(tmp_path / "two-bumps.nc")


def test_a_result_becomes_a_pytorch_module_with_its_drift_and_its_diffusion(result):
    process = result.to_torch(torch.float64)
    x = np.linspace(-4, 4, 9)[:, None]
    expected = result.controls.A[1] @ np.tanh(result.controls.W[1] @ x.T + result.controls.b[1][:, None])
    np.testing.assert_allclose(process(1.0, torch.from_numpy(x)).detach(), expected.T, rtol=1e-12)
    np.testing.assert_allclose(process.g(1.0, torch.from_numpy(x)), np.sqrt(2 * result.noise) * np.ones((9, 1)))
    assert result.to_torch().A.dtype == torch.get_default_dtype()


def test_a_result_without_a_network_has_neither_module_nor_graph_nor_weights(without_controls, tmp_path):
    for give in (
        without_controls.to_torch,
        lambda: without_controls.to_onnx(tmp_path / "r.onnx"),
        lambda: without_controls.save_weights(tmp_path / "r.safetensors"),
    ):
        with pytest.raises(ResultError, match="has no network"):
            give()
    assert list(tmp_path.iterdir()) == []


def test_a_result_becomes_an_onnx_graph_of_its_steps(result, tmp_path):
    import onnxruntime

    result.to_onnx(tmp_path / "step.onnx", steps_per_piece=5, method="heun")
    graph = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    assert graph.get_modelmeta().custom_metadata_map["steps"] == "10"
    x = np.linspace(-4, 4, 9, dtype=np.float32)[:, None]
    piece = list(result.to_torch().pieces())[1][0]
    first, h = piece.f(0.0, torch.from_numpy(x)), 0.8 / 5
    expected = torch.from_numpy(x) + h / 2 * (first + piece.f(0.0, torch.from_numpy(x) + h * first))
    found = graph.run(["x_next"], {"x": x, "noise": 0 * x, "step": np.array(7)})[0]
    np.testing.assert_allclose(found, expected.detach(), atol=1e-5)
    with pytest.raises(OnnxExportError):
        result.to_onnx(tmp_path / "other.onnx", method="magic")


def test_saved_weights_say_what_they_are_for_and_evaluate_the_same(result, tmp_path):
    path = tmp_path / "weights.safetensors"
    result.save_weights(path)
    words = read_weights(path)[1]
    assert words["problem"] == "two-bumps"
    assert (words["activation"], words["tangential"], words["walls"]) == ("tanh", "false", "reflecting")
    assert json.loads(words["box"]) == [[-5, 5]]
    assert json.loads(words["noise"]) == result.noise
    for name, value in vars(result.controls).items():
        assert_array_equal(getattr(Controls.load(path), name), value)
    assert evaluate(result.problem, Controls.load(path)).tracking == result.tracking
    with pytest.raises(ResultError, match=r"weights\.nc: .*\.safetensors"):
        result.save_weights(tmp_path / "weights.nc")


def test_trained_weights_are_evaluated_like_any(result):
    again = evaluate(result.problem, result.to_torch(torch.float64).controls())
    assert again.tracking == result.tracking
    single = evaluate(result.problem, result.to_torch(torch.float32).controls())
    assert single.tracking.l2_final == pytest.approx(result.tracking.l2_final, rel=1e-4)
