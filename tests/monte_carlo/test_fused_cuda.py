"""The CUDA kernels without a GPU: interpreted, against the reference in NumPy; and compiled, against a budget.

Triton decides when it is first imported whether it interprets, so the interpreter has a process of its own.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.backends.triton import backend
from controlsde.monte_carlo.backends.triton import stepping as fused_cuda
from controlsde.monte_carlo.backends.triton.stepping import UNIT, flow_constants, noisy_constants, obstacle
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.monte_carlo.sums import Layout, count
from tests.quick import only, slow

pytest.importorskip("triton")

STREAM = Stream.of(3, "cuda", 1.0)
FIRST = 2**32 - 100  # the high word of a particle's number changes on the way


def process(d, m=2, activation="tanh", tangential=False, walls="reflecting", scheme="heun", diffusivity=0.1, **clock):
    """Two pieces of a random network on a box that is not centred."""
    box = ((-1.5, 1.0),) * d
    network = Network(d, m, activation, tangential, box)
    weights = network.split(network.random_weights(2, np.random.default_rng(d + m)))
    drift = NetworkDrift(network, Controls(*weights, np.array([0.0, 0.4, 1.0])))
    return Process.of(drift, Steady(diffusivity), box, walls, **{"steps_per_piece": 3, **clock}, scheme=scheme)


def starts(count, d):
    return np.random.default_rng(1).uniform(-1.0, 1.0, (count, d))


@pytest.fixture(scope="module")
def interpreted():
    """Calls a function in a process in which Triton interprets."""
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        patch.setenv("TRITON_INTERPRET", "1")
        pool.submit(os.getpid).result()  # the process has started, with the variable
        patch.undo()
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


CASES = {
    "euler-in-1": partial(process, 1, 1, scheme="euler-maruyama"),
    "heun-in-1": partial(process, 1, 1),
    "whole-groups-of-steps": partial(process, 1, 2, steps_per_piece=4),
    "groups-across-pieces": partial(process, 1, 2, steps_per_piece=6),
    "heun-in-2": partial(process, 2),
    "heun-in-3": partial(process, 3),
    "heun-in-8": partial(process, 8, 2, steps_per_piece=2),
    "wide": partial(process, 1, 9, scheme="euler-maruyama", steps_per_piece=4),
    "periodic": partial(process, 2, walls="periodic", diffusivity=0.5),
    "periodic-euler": partial(process, 1, walls="periodic", scheme="euler-maruyama", diffusivity=20.0),
    "absorbing": partial(process, 2, walls="absorbing"),
    "absorbing-euler": partial(process, 3, 1, walls="absorbing", scheme="euler-maruyama", diffusivity=0.01),
    "absorbing-in-1": partial(process, 1, walls="absorbing", scheme="euler-maruyama"),
    "steps-that-feel-both-walls": partial(process, 1, 1, diffusivity=30.0),
    "hardly-any-noise": partial(process, 1, 1, diffusivity=1e-7),
    "tangential": partial(process, 2, tangential=True),
    "sigmoid": partial(process, 1, activation="sigmoid"),
    "softplus": partial(process, 1, activation="softplus"),
    "sin": partial(process, 1, activation="sin"),
    "relu": partial(process, 1, activation="relu"),
    "two-draws": partial(process, 1, draws=2),
    "three-draws": partial(process, 2, draws=3, scheme="euler-maruyama", steps_per_piece=2),
}

QUICK = ("euler-in-1", "groups-across-pieces", "periodic", "absorbing", "three-draws")

STILL = {
    "reflecting": partial(process, 1),
    "periodic": partial(process, 2, walls="periodic"),
    "absorbing": partial(process, 3, walls="absorbing"),
    "tangential": partial(process, 2, tangential=True),
    "sigmoid": partial(process, 1, activation="sigmoid"),
    "softplus": partial(process, 1, activation="softplus"),
    "sin": partial(process, 1, activation="sin"),
    "relu": partial(process, 8, activation="relu"),
}


def assert_agree(interpreted, of, tolerance):
    count = 200 if of.walls == "absorbing" else 64  # so many that some die and some live
    start = starts(count, of.dimension)
    found = interpreted(fused_cuda.simulate, of, STREAM, FIRST, start, "cpu")
    expected = plain.simulate(of, STREAM, np.arange(FIRST, FIRST + count, dtype=np.uint64), start)
    assert_array_equal(found.alive, expected.alive)
    apart = (found.z - expected.z)[expected.alive]
    if of.walls == "periodic":
        apart -= 2.0 * np.round(0.5 * apart)
    assert np.abs(apart).max() < tolerance
    assert np.abs(found.z - start).max() > 10 * tolerance  # they did move
    assert np.abs(found.z[found.alive]).max() <= 1.0
    if of.walls == "absorbing":
        assert 0.02 < found.alive.mean() < 0.98


@pytest.mark.parametrize("case", only(QUICK, CASES))
def test_with_noise_particles_agree_to_single_precision(interpreted, case):
    of = CASES[case]()
    assert_agree(interpreted, of, 3e-6 * (1.0 + of.deviation.max()))  # steps of several boxes are rounded more coarsely


@pytest.mark.parametrize("case", only(["periodic", "absorbing", "tangential", "softplus"], STILL))
def test_without_noise_particles_agree_to_double_precision(interpreted, case):
    assert_agree(interpreted, STILL[case](diffusivity=0.0, steps_per_piece=8), 1e-13)


@pytest.mark.parametrize("build", [slow(partial(process, 2, walls="absorbing")), partial(process, 3, diffusivity=0.0)])
def test_sums_are_those_of_the_positions_in_whole_units_term_by_term(interpreted, build):
    of, bins, modes = build(), 16, 40
    start = starts(300, of.dimension)
    moved = interpreted(fused_cuda.simulate, of, STREAM, FIRST, start, "cpu")
    found = interpreted(fused_cuda.reduce, of, STREAM, FIRST, start, "cpu", bins, modes)
    z = moved.z[moved.alive].astype(np.float32)

    def whole(terms):
        return np.rint(terms / np.float32(UNIT)).astype(np.int64).sum(axis=0)

    assert (found.count, found.alive) == (300, len(z))
    places = np.minimum(((z + np.float32(1)) * np.float32(bins / 2)).astype(int), bins - 1)
    assert_array_equal(found.histogram, [np.bincount(axis, minlength=bins) for axis in places.T])
    assert_array_equal(found.powers, [whole(z), whole(z**2), whole(z * z * z), whole((z * z) ** 2)])
    both = z[:, :, None] * z[:, None, :]
    assert_array_equal(found.products, [whole(both), whole(both * both)])
    angle = 0.5 * np.pi * (z.astype(float) + 1.0)
    order = np.arange(modes)
    exact = np.cos(order * angle[:, :, None]).sum(axis=0)
    assert_array_equal(found.waves[:, 0] * UNIT, len(z))
    assert np.all(np.abs(found.waves * UNIT - exact) < len(z) * (0.5 * UNIT + 1e-7 * order))


def test_paths_and_sums_do_not_depend_on_the_launches(interpreted):
    of, start = process(2, walls="absorbing", steps_per_piece=1), starts(300, 2)
    parts = [(FIRST, start[:130]), (FIRST + 130, start[130:])]
    whole = interpreted(fused_cuda.simulate, of, STREAM, FIRST, start, "cpu")
    halves = [interpreted(fused_cuda.simulate, of, STREAM, *part, "cpu") for part in parts]
    assert_array_equal(np.concatenate([half.z for half in halves]), whole.z)
    assert_array_equal(np.concatenate([half.alive for half in halves]), whole.alive)
    together = interpreted(fused_cuda.reduce, of, STREAM, FIRST, start, "cpu", 8, 5)
    first, second = (interpreted(fused_cuda.reduce, of, STREAM, *part, "cpu", 8, 5) for part in parts)
    summed = first + second
    assert (summed.count, summed.alive) == (together.count, together.alive)
    for name in ("histogram", "powers", "products", "waves"):
        assert_array_equal(getattr(summed, name), getattr(together, name))


def test_no_particles_sum_to_nothing(interpreted):
    found = interpreted(fused_cuda.reduce, process(2), STREAM, 0, np.empty((0, 2)), "cpu", 8, 5)
    assert found.count == found.alive == found.histogram.sum() == np.abs(found.waves).sum() == 0


KNOWN_ANSWERS = """
import torch, triton, triton.language as tl
from controlsde.monte_carlo.backends.triton import arithmetic as cuda_arithmetic

@triton.jit
def answers(inputs, outputs):
    row = tl.program_id(0)
    i = tl.arange(0, 1)
    c0, c1 = tl.load(inputs + row * 6 + i), tl.load(inputs + row * 6 + 1 + i)
    c2, c3 = tl.load(inputs + row * 6 + 2 + i), tl.load(inputs + row * 6 + 3 + i)
    k0, k1 = tl.load(inputs + row * 6 + 4 + i), tl.load(inputs + row * 6 + 5 + i)
    a, b, c, d = cuda_arithmetic.philox(c0, c1, c2, c3, k0, k1, False)
    tl.store(outputs + row * 4 + i, a)
    tl.store(outputs + row * 4 + 1 + i, b)
    tl.store(outputs + row * 4 + 2 + i, c)
    tl.store(outputs + row * 4 + 3 + i, d)

inputs = torch.tensor([
    [0, 0, 0, 0, 0, 0],
    [0xffffffff] * 6,
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0],
], dtype=torch.uint32)
outputs = torch.zeros((3, 4), dtype=torch.uint32)
answers[(3,)](inputs, outputs)
for row in outputs.tolist():
    print(*(f"{word:08x}" for word in row))
"""


def interpreted_script(folder, text, *arguments):
    """What a script prints under the interpreter: kernels of its own have to stand in a file."""
    script = folder / "script.py"
    script.write_text(text)
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_generator_of_the_kernel_gives_the_known_answers(tmp_path):
    printed = interpreted_script(tmp_path, KNOWN_ANSWERS)
    assert printed.splitlines() == [  # of Random123: kat_vectors, philox4x32 10
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ]


FAST = """
import ctypes, runpy, sys
from dataclasses import replace
from types import SimpleNamespace
import numpy as np
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.backends.triton.stepping import Kernel
from tests.quick import only, slow

def half(x):  # what is approximate is good for angles in [-pi, pi] alone
    assert np.abs(x).max() < 3.1416
    return x

UNARY = {
    "ex2.approx.ftz.f32": np.exp2,
    "lg2.approx.ftz.f32": np.log2,
    "sqrt.approx.ftz.f32": np.sqrt,
    "rcp.approx.ftz.f32": lambda x: 1 / x,
    "sin.approx.ftz.f32": lambda x: np.sin(half(x)),
    "cos.approx.ftz.f32": lambda x: np.cos(half(x)),
}

def assembly(self, text, constraints, values, types, pure, pack):
    data = [value.data for value in values]
    name = text.split()[0]
    if name in UNARY:
        found = [UNARY[name](data[0])]
    elif "mul.wide.u32" in text:
        wide = data[0].astype(np.uint64) * data[1].astype(np.uint64)
        found = [(wide & 0xffffffff).astype(np.uint32), (wide >> 32).astype(np.uint32)]
    else:
        assert name == "ld.global.nc.v4.f32"
        address = int(data[0].item())
        assert address % 16 == 0
        found = [np.full_like(data[0], x, np.float32) for x in (ctypes.c_float * 4).from_address(address)]
    return SimpleNamespace(get_result=lambda i: TensorHandle(found[i], types[i].scalar))

InterpreterBuilder.create_inline_asm = assembly
tests = runpy.run_path(sys.argv[1])
first, count = tests["FIRST"], 200
for case in sys.argv[2:]:
    of = tests["CASES"][case]()
    start = tests["starts"](count, of.dimension)
    kernel = Kernel.of(of, tests["STREAM"], "cpu")
    end, living = replace(kernel, constants={**kernel.constants, "FAST": True}).positions(first, start)
    expected = plain.simulate(of, tests["STREAM"], np.arange(first, first + count, dtype=np.uint64), start)
    assert np.array_equal(living.numpy().astype(bool), expected.alive)
    print(case, np.abs(end.numpy().T - expected.z)[expected.alive].max())
"""


@pytest.mark.slow
@pytest.mark.parametrize("cases", [["absorbing"], slow(["heun-in-1", "wide", "heun-in-8", "softplus", "sin"])], ids=len)
def test_with_exact_functions_the_fast_kernel_agrees_with_the_reference(tmp_path, cases):
    printed = interpreted_script(tmp_path, FAST, __file__, *cases).split()
    assert printed[::2] == cases
    assert max(map(float, printed[1::2])) < 3e-6


def test_what_keeps_a_device_from_a_process_is_said_in_one_sentence(monkeypatch):
    assert obstacle(process(17, 1)) == "the CUDA kernel takes dimensions and widths up to 16"
    assert obstacle(process(1, 17)) == "the CUDA kernel takes dimensions and widths up to 16"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert obstacle(process(1)) == "PyTorch finds no CUDA device"
    with pytest.raises(ValueError, match="PyTorch finds no CUDA device"):
        fused_cuda.simulate(process(1), STREAM, 0, starts(1, 1))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert obstacle(process(16, 16)) is None
    monkeypatch.setattr("controlsde.monte_carlo.backends.triton.stepping.find_spec", lambda _: None)
    assert obstacle(process(1)) == "Triton is not installed: pip install 'controlsde[cuda]'"
    still = Process(None, ((0.0, 1.0),), "reflecting", "heun", process(1).clock)
    assert obstacle(still) == "the CUDA kernel simulates network drifts alone, and this drift is none"


def compiled_for_hopper(of, options):
    """The machine code of a process's kernel, for compute capability 9.0."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from controlsde.monte_carlo.backends.triton import kernels as cuda_kernels

    number, last = ("*fp32", ["low", "high", "k0", "k1", "zero"]) if of.noisy else ("*fp64", ["zero"])
    signature = {"start": number, "end": number, "living": "*u8", "sums": "*i64", "weights": number}
    signature |= {"steps" if of.noisy else "length": number, "piece": "*i32"}
    signature |= dict.fromkeys(["count", "groups", *last], "i32")
    constants = (noisy_constants if of.noisy else flow_constants)(of, True) | options
    source = ASTSource(
        fn=cuda_kernels.walk if of.noisy else cuda_kernels.flow,
        signature=signature | dict.fromkeys(constants, "constexpr"),
        constexprs=constants,
    )
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1}).asm["cubin"]


def tool(name, *arguments):
    import triton

    path = Path(triton.__file__).parent / "backends/nvidia/bin" / name
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=True).stdout


SUMS = {"STORE": False, "COPIES": 64, "BINS": 1024, "MODES": 128}

# A multiprocessor holds 65536 registers and 32 one-warp programs: 64 registers a thread let all 32 in, 72 let 28,
# 80 let 25, 112 let 18. With fewer than four for each of its four schedulers, of one or two particles a thread,
# nothing would hide what an instruction waits for.
BUDGETS = [
    pytest.param(1, "heun", 64, marks=pytest.mark.slow),
    (2, "euler-maruyama", 72),
    pytest.param(1, "euler-maruyama", 64, marks=pytest.mark.slow),
    pytest.param(2, "heun", 72, marks=pytest.mark.slow),
    pytest.param(8, "euler-maruyama", 80, marks=pytest.mark.slow),
    pytest.param(8, "heun", 112, marks=pytest.mark.slow),
]


@pytest.fixture
def cubin(tmp_path, monkeypatch):
    """Compiles the kernel of a process that sums, anew, and says in which file it is."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))

    def compiled(of):
        (tmp_path / "kernel.cubin").write_bytes(compiled_for_hopper(of, SUMS))
        return tmp_path / "kernel.cubin"

    return compiled


@pytest.mark.parametrize(("d", "scheme", "budget"), BUDGETS)
def test_for_hopper_particles_stay_in_few_registers_and_nothing_is_spilled(cubin, d, scheme, budget):
    kernel = cubin(process(d, d, scheme=scheme, steps_per_piece=8))
    usage = tool("cuobjdump", "--dump-resource-usage", kernel)
    registers, *memory = (int(re.search(rf"{kind}:(\d+)", usage)[1]) for kind in ("REG", "STACK", "LOCAL", "SHARED"))
    assert registers <= budget
    assert memory == [0, 0, 0]
    code = tool("nvdisasm", "-c", kernel)
    assert not re.search(r"\b(LDL|STL|BAR)\b", code)
    assert "MUFU.EX2" in code  # the chip's own functions


@pytest.mark.parametrize("d", [2, slow(8)])
def test_for_hopper_a_noise_free_kernel_spills_nothing(cubin, d):
    code = tool("nvdisasm", "-c", cubin(process(d, d, diffusivity=0.0)))
    assert not re.search(r"\b(LDL|STL)\b", code)
    assert "DFMA" in code


def test_on_a_line_the_sums_of_the_kernel_are_all_that_the_stream_asks_for(interpreted):
    posed = process(1, 2, steps_per_piece=1)
    layout = Layout.of_box(posed.box, posed.walls)
    start = starts(300, 1)
    found = interpreted(backend.sums, posed, STREAM, FIRST, start, layout, "cpu")
    expected = count(layout, interpreted(fused_cuda.simulate, posed, STREAM, FIRST, start, "cpu"))
    for name in ("particles", "alive", "lost", "slices"):
        assert_array_equal(getattr(found, name), getattr(expected, name))
    assert np.abs(found.marginals - expected.marginals).sum() <= 2  # a particle on the edge of a bin
    for name in ("powers", "pairs"):
        assert np.abs(getattr(found, name) - getattr(expected, name)).max() <= 300
    # in single precision the k-th wave has turned k times
    assert (np.abs(found.waves - expected.waves) * UNIT / 300 < 1e-6 + 2e-7 * np.arange(len(found.waves))).all()


def test_a_particle_whose_place_is_no_number_is_counted_as_lost(interpreted):
    posed = process(1, 2)
    layout = Layout.of_box(posed.box, posed.walls)
    start = starts(50, 1)
    start[7] = np.nan
    found = interpreted(backend.sums, posed, STREAM, 0, start, layout, "cpu")
    assert (found.count, found.alive[0], found.lost[0]) == (50, 49, 1)
    assert found.marginals.sum() == 49
