"""One step of the controlled process as an ONNX graph, to simulate it from any language that has an ONNX runtime.

Comes in: a `ControlledProcess`, a number of steps for each piece. Goes out: a file with the graph

    (x (n, d), noise (n, d), step ())  →  (x_next (n, d), t_next ())

in float32 for any n; `step` is an int64 from 0 to `steps` − 1 (a number in the file's metadata), and picks the piece,
the length h of the step and the standard deviation s = √(2∫D dt) of its noise from tables in the graph, so that no
caller has a clock to keep. A whole simulation is a loop over `step`, with standard normals for `noise` (η = 0: zeros).

With the unfolded drift v̄(x) = F′(x) ∘ v(F(x)) of `torch_module`, a step is, before it is folded back into the box,

    Euler–Maruyama:  x + h v̄(x) + s z          Heun:  x + ½h (v̄(x) + v̄(x*)) + s z,   x* = x + h v̄(x) + s z.

The graph is built node by node with `onnx.helper`, not traced: it is so small that it can be read, its inputs have the
names and the dynamic axis that are wanted, nothing depends on an exporter's version, and `onnx` is all that it needs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.files import write_whole
from controlsde.monte_carlo.process import NO_WALLS

if TYPE_CHECKING:
    from onnx import ModelProto

from controlsde.result.torch_module import ControlledProcess

METHODS = ("euler-maruyama", "heun")
FORMAT = "controlsde-step"
FORMAT_VERSION = "1"
OPSET, IR_VERSION = 17, 8  # what runtimes since 2022 read
ACTIVATION_OPS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "sin": "Sin", "relu": "Relu"}


class OnnxExportError(ControlsdeError, ValueError):
    """A process or a wish that there is no graph for, or no package to make one; one line with the cure."""


def export_step(
    process: ControlledProcess,
    path: str | Path,
    steps_per_piece: int | Sequence[int] = 64,
    method: str = "euler-maruyama",
) -> None:
    """Write the graph of one step to a file, at once, after ONNX itself has checked it.

    steps_per_piece: as in `ControlledProcess.grid`. method: euler-maruyama | heun (the drift twice in each step; of
    second order where η = 0). Metadata: format, format_version, steps, horizon, method, walls, box, activation,
    tangential.

    Raises OnnxExportError without the package onnx, for absorbing walls, another method, or less than one step.
    """
    try:
        import onnx
    except ImportError:
        raise OnnxExportError("the ONNX export needs the package onnx; pip install 'controlsde[onnx]'") from None
    if method not in METHODS:
        raise OnnxExportError(f"method must be one of {', '.join(METHODS)} (got {method!r})")
    if process.walls == "absorbing":
        raise OnnxExportError(
            "there is no graph for absorbing walls, where paths end; simulate with `result.to_torch()`"
        )
    model = _model(process, _schedule(process, steps_per_piece), method)
    onnx.checker.check_model(model, full_check=True)
    write_whole(Path(path), model.SerializeToString())


def _schedule(process: ControlledProcess, steps_per_piece: int | Sequence[int]) -> dict[str, NDArray[Any]]:
    """Tables over the steps: piece, length h, standard deviation s = √(2∫D dt), and the time t after the step."""
    try:
        counts = process.steps(steps_per_piece)
    except ValueError as error:
        raise OnnxExportError(str(error)) from None
    edges = process.controls().times
    cuts = [np.linspace(edges[k], edges[k + 1], count + 1) for k, count in enumerate(counts)]
    spans = [(float(start), float(end)) for cut in cuts for start, end in pairwise(cut)]
    return {
        "piece": np.repeat(np.arange(len(counts)), counts),
        "h": np.array([end - start for start, end in spans]),
        "s": np.array([(2.0 * process.diffusivity.mean(*span) * (span[1] - span[0])) ** 0.5 for span in spans]),
        "t": np.array([end for _, end in spans]),
    }


class _Graph:
    """Nodes and constants, each called by the name of what it gives."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._make_node = helper.make_node
        self._to_tensor = numpy_helper.from_array
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def node(self, operation: str, *inputs: str, gives: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        gives = gives or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(self._make_node(operation, list(inputs), [gives], name=f"make_{gives}", **attributes))
        return gives

    def constant(self, name: str, values: ArrayLike, dtype: type = np.float32) -> str:
        """Add an array of numbers, once, and return its name."""
        if name not in self.constants:
            self.constants[name] = self._to_tensor(np.array(values, dtype=dtype, order="C"), name)
        return name


class _Step:
    """The formulas of a step, as nodes of a graph."""

    def __init__(self, process: ControlledProcess, schedule: dict[str, NDArray[Any]]) -> None:
        self.graph = graph = _Graph()
        self.network, self.walls = process.network, process.walls
        low, high = self.ends = np.reshape(np.array(self.network.box, dtype=float), (-1, 2)).T
        if self.walls != NO_WALLS:
            self.low, self.length = graph.constant("low", low), graph.constant("length", high - low)
        for name, dtype in (("piece", np.int64), ("h", np.float32), ("s", np.float32), ("t", np.float32)):
            graph.constant(f"{name}_of_step", schedule[name], dtype)
        piece = graph.node("Gather", "piece_of_step", "step", axis=0, gives="piece")
        self.h = graph.node("Gather", "h_of_step", "step", axis=0, gives="h")
        self.s = graph.node("Gather", "s_of_step", "step", axis=0, gives="s")
        graph.node("Gather", "t_of_step", "step", axis=0, gives="t_next")
        # row vectors: v = σ(x Wᵀ + b) Aᵀ
        weights = process.controls()
        for name, values in (("A_transposed", weights.A), ("W_transposed", weights.W)):
            graph.constant(f"all_{name}", values.swapaxes(1, 2))
        graph.constant("all_b", weights.b)
        self.A, self.W, self.b = (
            graph.node("Gather", f"all_{name}", piece, axis=0, gives=name)
            for name in ("A_transposed", "W_transposed", "b")
        )

    def drift(self, x: str) -> str:
        """v(x) = τ(x) ∘ A σ(Wx + b) at points of the box."""
        node, constant = self.graph.node, self.graph.constant
        sigma = node(ACTIVATION_OPS[self.network.activation], node("Add", node("MatMul", x, self.W), self.b))
        value = node("MatMul", sigma, self.A)
        if not self.network.tangential:
            return value
        low, high = self.ends
        from_centre = node("Sub", x, constant("centre", 0.5 * (low + high)))
        power = node("Div", from_centre, constant("half", 0.5 * (high - low)))  # τ = 1 − z⁸
        for _ in range(3):
            power = node("Mul", power, power)
        return node("Mul", node("Sub", constant("one", 1.0), power), value)

    def phase(self, x: str) -> str:
        """x − low, less whole periods: one length, or two between reflecting walls."""
        node = self.graph.node
        low, high = self.ends
        period = self.length
        if self.walls == "reflecting":
            period = self.graph.constant("twice_the_length", 2.0 * (high - low))
        above = node("Sub", x, self.low)
        return node("Sub", above, node("Mul", period, node("Floor", node("Div", above, period))))

    def fold(self, x: str, gives: str = "") -> str:
        """F(x): points of free space as points of the box; themselves where there are no walls."""
        node = self.graph.node
        if self.walls == NO_WALLS:
            return node("Identity", x, gives=gives)
        if self.walls == "periodic":
            return node("Add", self.low, self.phase(x), gives=gives)
        below = node("Abs", node("Sub", self.phase(x), self.length))  # L − |phase − L|: a triangle wave
        return node("Add", self.low, node("Sub", self.length, below), gives=gives)

    def unfolded_drift(self, x: str) -> str:
        """v̄(x) = F′(x) ∘ v(F(x)) at points of free space."""
        node = self.graph.node
        value = self.drift(self.fold(x))
        if self.walls in ("periodic", NO_WALLS):
            return value
        turned = node("Greater", self.phase(x), self.length)
        return node("Where", turned, node("Neg", value), value)

    def moved(self, velocity: str, noise: str) -> str:
        """x + h velocity + s z."""
        node = self.graph.node
        return node("Add", node("Add", "x", node("Mul", self.h, velocity)), noise)


def _model(process: ControlledProcess, schedule: dict[str, NDArray[Any]], method: str) -> ModelProto:
    from onnx import TensorProto, helper

    step = _Step(process, schedule)
    node = step.graph.node
    noise = node("Mul", step.s, "noise", gives="scaled_noise")
    velocity = step.unfolded_drift("x")
    if method == "heun":
        ahead = step.unfolded_drift(step.moved(velocity, noise))
        velocity = node("Mul", step.graph.constant("one_half", 0.5), node("Add", velocity, ahead))
    step.fold(step.moved(velocity, noise), gives="x_next")

    points: list[str | int | None] = ["n", process.network.dimension]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, points) for name in ("x", "noise")]
    inputs.append(helper.make_tensor_value_info("step", TensorProto.INT64, []))
    outputs = [
        helper.make_tensor_value_info("x_next", TensorProto.FLOAT, points),
        helper.make_tensor_value_info("t_next", TensorProto.FLOAT, []),
    ]
    graph = helper.make_graph(step.graph.nodes, "step", inputs, outputs, list(step.graph.constants.values()))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="controlsde"
    )
    helper.set_model_props(
        model,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "steps": str(len(schedule["piece"])),
            "horizon": repr(float(schedule["t"][-1])),
            "method": method,
            "walls": process.walls,
            "box": json.dumps(process.network.box),
            "activation": process.network.activation,
            "tangential": json.dumps(process.network.tangential),
        },
    )
    return model
