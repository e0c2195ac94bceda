"""The exported step, run by ONNX Runtime: the step of the PyTorch module, number by number, and whole simulations."""

import builtins
import json
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from controlsde.control.controls import Controls
from controlsde.control.network import ACTIVATIONS, Network
from controlsde.fokker_planck.diffusivity import Steady, Varying
from controlsde.result.onnx_export import METHODS, OnnxExportError, export_step
from controlsde.result.torch_module import ControlledProcess

BOX = ((-1.0, 2.0), (0.0, 1.0))
VARYING = Varying(lambda t: 0.1 + 3 * t**2, lambda t: 0.1 * t + t**3, 0.5)


def build(walls="reflecting", activation="tanh", tangential=False, dimension=2, diffusivity=VARYING, scale=1.5):
    rng = np.random.default_rng(3)
    network = Network(dimension, 3, activation, tangential, BOX[:dimension])
    shapes = ((3, dimension, 3), (3, 3, dimension), (3, 3))
    controls = Controls(*(scale * rng.normal(size=shape) for shape in shapes), [0, 0.2, 0.5, 1])
    return ControlledProcess(network, controls, diffusivity, walls, torch.float32)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(graph, x, noise, step):
    return graph.run(None, {"x": x, "noise": noise, "step": np.array(step, dtype=np.int64)})


def inside(count, dimension, seed=0):
    low, high = np.array(BOX[:dimension]).T
    return (low + (high - low) * np.random.default_rng(seed).uniform(size=(count, dimension))).astype(np.float32)


@torch.no_grad()
def torch_steps(process, steps_per_piece, method):
    """(piece, t after, function of x and noise) for each step, by the module alone."""
    for number, (piece, times) in enumerate(process.pieces(steps_per_piece)):
        for t, after in pairwise(times):
            h = float(after) - float(t)
            deviation = np.sqrt(2 * process.diffusivity.mean(float(t), float(after)) * h)

            def step(x, noise, piece=piece, h=h, deviation=deviation):
                velocity = piece.f(0.0, x)
                if method == "heun":
                    velocity = 0.5 * (velocity + piece.f(0.0, x + h * velocity + deviation * noise))
                return process.fold(x + h * velocity + deviation * noise)

            yield number, float(after), step


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
@pytest.mark.parametrize("tangential", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@torch.no_grad()
def test_every_step_is_that_of_the_module_to_rounding(activation, tangential, walls, method, tmp_path):
    process = build(walls, activation, tangential)
    export_step(process, tmp_path / "step.onnx", [2, 1, 3], method)
    graph = session(tmp_path / "step.onnx")
    rng = np.random.default_rng(1)
    x = inside(200, 2)
    crossed = 0
    for number, (_, after, step) in enumerate(torch_steps(process, [2, 1, 3], method)):
        noise = rng.standard_normal(x.shape).astype(np.float32)
        expected = step(torch.from_numpy(x), torch.from_numpy(noise)).numpy()
        found, t = run(graph, x, noise, number)
        gap = np.abs(found - expected)
        if walls == "periodic":
            gap = np.minimum(gap, np.diff(np.array(BOX))[:, 0] - gap)  # a point on the seam may be at either end
        assert gap.max() < 1e-5
        assert found.dtype == np.float32
        assert float(t) == pytest.approx(after, rel=1e-6)
        crossed += int((np.abs(found - x) > 0.3).sum())
        assert (found >= np.float32([-1, 0]) - 1e-6).all()
        assert (found <= np.float32([2, 1]) + 1e-6).all()
        x = found
    assert number == 5
    assert crossed > 20  # long steps: the walls were met


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_steps_that_overshoot_the_box_many_times_are_folded(walls, tmp_path):
    process = build(walls, diffusivity=Steady(200.0))
    export_step(process, tmp_path / "step.onnx", 1)
    graph, x = session(tmp_path / "step.onnx"), inside(500, 2)
    noise = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    _, _, step = next(torch_steps(process, 1, "euler-maruyama"))
    with torch.no_grad():
        expected = step(torch.from_numpy(x), torch.from_numpy(noise)).numpy()
    found = run(graph, x, noise, 0)[0]
    gap = np.abs(found - expected)
    assert np.median(gap) < 1e-5
    assert gap.max() < 1e-4 or walls == "periodic"


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
@pytest.mark.parametrize("dimension", [1, 2])
def test_any_number_of_points_goes_in(count, dimension, tmp_path):
    export_step(build(dimension=dimension), tmp_path / "step.onnx", 1)
    x = np.zeros((count, dimension), dtype=np.float32)
    assert run(session(tmp_path / "step.onnx"), x, x, 0)[0].shape == (count, dimension)


@pytest.mark.parametrize(("method", "order"), [("euler-maruyama", 1), ("heun", 2)])
def test_a_loop_over_the_steps_without_noise_ends_where_the_flow_does(method, order, tmp_path):
    process = build(tangential=True, diffusivity=Steady(0.0), scale=1.0)
    fine = ControlledProcess(process.network, process.controls(), Steady(0.0), "reflecting", torch.float64)
    exact = inside(50, 2).astype(float)
    with torch.no_grad():
        exact = torch.from_numpy(exact)
        for _, _, step in torch_steps(fine, 400, "heun"):
            exact = step(exact, torch.zeros_like(exact))
    errors = []
    for steps in (5, 20):
        export_step(process, tmp_path / "step.onnx", steps, method)
        graph, x = session(tmp_path / "step.onnx"), inside(50, 2)
        for number in range(3 * steps):
            x, t = run(graph, x, np.zeros_like(x), number)
        errors.append(np.abs(x - exact.numpy()).max())
    assert float(t) == 1.0
    assert np.log(errors[0] / errors[1]) / np.log(4) > order - 0.3


def test_noise_alone_spreads_as_the_diffusivity_says(tmp_path):
    network = Network(1, 1, "tanh", False, ((-50.0, 50.0),))
    controls = Controls(np.zeros((2, 1, 1)), np.zeros((2, 1, 1)), np.zeros((2, 1)), [0, 0.5, 1])
    export_step(ControlledProcess(network, controls, VARYING, "reflecting"), tmp_path / "step.onnx", 2)
    graph, rng = session(tmp_path / "step.onnx"), np.random.default_rng(0)
    x = np.zeros((40_000, 1), dtype=np.float32)
    for number in range(4):
        x, _ = run(graph, x, rng.standard_normal(x.shape).astype(np.float32), number)
    variance = 2 * 0.5 * 1.1  # 2∫D dt, exact for any number of steps
    assert abs(x.var() / variance - 1) < 4.5 * np.sqrt(2 / len(x))


def test_the_file_says_how_many_steps_and_for_what_it_was_made(tmp_path):
    path = tmp_path / "new" / "step.onnx"
    export_step(build("periodic", "sin", True), path, [2, 1, 3], "heun")
    assert [found.name for found in path.parent.iterdir()] == ["step.onnx"]
    graph = session(path)
    words = graph.get_modelmeta().custom_metadata_map
    assert int(words["steps"]) == 6
    assert float(words["horizon"]) == 1.0
    assert json.loads(words["box"]) == [[-1, 2], [0, 1]]
    assert json.loads(words["tangential"]) is True
    expected = {"walls": "periodic", "activation": "sin", "method": "heun", "format_version": "1"}
    assert {key: words[key] for key in expected} == expected
    assert [(i.name, i.shape, i.type) for i in graph.get_inputs()] == [
        ("x", ["n", 2], "tensor(float)"),
        ("noise", ["n", 2], "tensor(float)"),
        ("step", [], "tensor(int64)"),
    ]
    assert [(o.name, o.shape) for o in graph.get_outputs()] == [("x_next", ["n", 2]), ("t_next", [])]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    used = {name for node in model.graph.node for name in node.input}
    assert {constant.name for constant in model.graph.initializer} <= used
    with pytest.raises(Exception, match="out of"):
        run(graph, inside(3, 2), inside(3, 2), 6)


@pytest.mark.parametrize(
    ("walls", "arguments", "message"),
    [
        ("absorbing", {}, "no graph for absorbing walls"),
        ("reflecting", {"method": "milstein"}, "euler-maruyama, heun"),
        ("reflecting", {"steps_per_piece": 0}, "steps_per_piece must be"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(walls, arguments, message, tmp_path):
    with pytest.raises(OnnxExportError, match=message) as error:
        export_step(build(walls), tmp_path / "step.onnx", **arguments)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "step.onnx"
    export_step(build(), path)
    before = path.read_bytes()

    def half(target, content):
        with target.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        export_step(build(activation="sin"), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_the_package_the_cure_is_said(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_onnx(name, *rest):
        if name.split(".")[0] == "onnx":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(OnnxExportError, match=r"pip install 'controlsde\[onnx\]'"):
        export_step(build(), tmp_path / "step.onnx")
