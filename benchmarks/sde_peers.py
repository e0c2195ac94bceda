"""The competitors of the Monte Carlo simulation: one SDE in a box, posed to other people's programs.

    dX = v(t, X) dt + √(2D) dW  on [−1, 1]ᵈ between reflecting walls, X₀ uniform, v = A tanh(W x + b), width m = d

Euler–Maruyama in single precision, steps of equal length, K = 5 pieces of weights; at a wall a path is folded back.
Where a program cannot touch the path between its steps (diffrax, torchsde), it moves the unfolded path y instead, with
x = fold(y) and the drift mirrored where the fold mirrors: x has the same law. Time is counted in steps, whole numbers
that are exact in single precision, so that no particle sees the weights of another piece.

Each peer draws its own noise, uses every core, and returns the positions at the end, (n, d). A call does all of the
work but the compilation, which is in the first call. How each is written is how it measured fastest of what was tried;
its docstring says what lost.

    python -m benchmarks.sde_peers [--particles N] [--steps N] [--rounds N] [--dimensions D …]
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.peers import present
from benchmarks.reporting import Table, seconds
from benchmarks.timing import Timing
from controlsde.control.network import Network

Array = NDArray[np.float64]
Positions = NDArray[np.float32]
Run = Callable[[], Positions]
Prepare = Callable[[int, int, int, int], Run]  # (d, n, steps, seed)

PIECES = 5
HORIZON = 1.0
DIFFUSIVITY = 0.05
WEIGHTS_SEED = 20
BATCH = 2**17  # coordinates that XLA moves from start to end before the next ones: they stay in the cache
WAVES = 6  # cosines on each axis that must agree
MOST_ERRORS = 5.0  # standard errors by which their means may differ
CORES = os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Weights:
    """The drift of each piece: A (K, d, m), W (K, m, d), b (K, m)."""

    a: Array
    w: Array
    b: Array

    @property
    def single(self) -> tuple[Positions, Positions, Positions]:
        """A, W, b in single precision."""
        return self.a.astype(np.float32), self.w.astype(np.float32), self.b.astype(np.float32)


@dataclass(frozen=True)
class Peer:
    """A competitor; `modules` must be there to import, `prepare` makes a call that returns positions (n, d)."""

    name: str
    modules: tuple[str, ...]
    prepare: Prepare


@dataclass(frozen=True, eq=False)
class Prepared:
    """A peer that has run once: the seconds to its first answer (compilation included), that answer, and a later call.

    Every call starts from the same seed. PyTorch keeps compilations on disk: in a later process, its first
    call is shorter.
    """

    peer: Peer
    first: float
    positions: Positions
    run: Run


def problem(d: int) -> Weights:
    """Moderate random weights, the same in every run: each neuron bends somewhere inside the box."""
    network = Network(d, d, "tanh", False, ((-1.0, 1.0),) * d)
    a, w, b = network.split(network.random_weights(PIECES, np.random.default_rng(WEIGHTS_SEED)))
    return Weights(a, w, b)


def first_call(peer: Peer, d: int, n: int, steps: int, seed: int) -> Prepared:
    """Prepare a peer and let it run once."""
    began = time.perf_counter()
    run = peer.prepare(d, n, steps, seed)
    positions = run()
    return Prepared(peer, time.perf_counter() - began, positions, run)


def agreement(results: dict[str, Positions]) -> list[float]:
    """By how many standard errors the peers' means of cos(kπ(x + 1)/2), k = 1 … 6, differ on each axis.

    One number for each pair of peers (in the order of `combinations`), axis and k; standard normal, nearly, where the
    peers sample the same law, with seeds of their own. With 2¹⁷ particles they show wrong pieces, a forgotten mirror
    and a D wrong by half at once; not a D wrong by a tenth.
    """
    moments = {name: _moments(positions) for name, positions in results.items()}
    scores: list[float] = []
    for one, other in combinations(moments, 2):
        (mean, error), (second_mean, second_error) = moments[one], moments[other]
        scores += ((mean - second_mean) / np.hypot(error, second_error)).ravel().tolist()
    return scores


def _moments(positions: Positions) -> tuple[Array, Array]:
    """Mean and standard error of each cosine on each axis: (d, 6), (d, 6)."""
    angle = 0.5 * np.pi * (positions.astype(np.float64) + 1.0)
    values = np.stack([np.cos(k * angle) for k in range(1, WAVES + 1)], axis=-1)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(positions))


def _steps_per_piece(steps: int) -> int:
    if steps % PIECES:
        raise ValueError(f"steps must be a multiple of {PIECES} (got {steps})")
    return steps // PIECES


def _scales(steps: int) -> tuple[float, float]:
    """The step h, and the standard deviation √(2Dh) of its noise."""
    h = HORIZON / steps
    return h, math.sqrt(2.0 * DIFFUSIVITY * h)


# JAX: every core is a device of its own, and each moves its particles without waiting for the others.


def _jax_devices() -> Sequence[Any]:
    """The processor as one device a core. Raises RuntimeError where JAX has started with fewer in this process."""
    import jax

    with suppress(RuntimeError):  # it has started: with as many, if it was asked here
        jax.config.update("jax_num_cpu_devices", CORES)
    devices: Sequence[Any] = jax.devices("cpu")
    if len(devices) < CORES:
        raise RuntimeError(f"JAX has started with {len(devices)} of {CORES} devices: run its peers in a new process")
    return devices


def _jax_run(d: int, n: int, seed: int, move: Callable[[Any, Any, Any], Any], weights: Weights) -> Run:
    """Positions of all particles, batch by batch on each device; move(x (d, batch), key, (A, W, b)) → (d, batch)."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    devices = _jax_devices()
    batches = math.ceil(n * d / (len(devices) * BATCH))
    size = math.ceil(n / (len(devices) * batches))

    def batch(key: Any, arrays: Any) -> Any:
        begin, noise = jax.random.split(key)
        return move(jax.random.uniform(begin, (d, size), minval=-1.0, maxval=1.0), noise, arrays)

    def on_device(keys: Any, arrays: Any) -> Any:  # keys (batches,) → (batches, d, size)
        return jax.lax.map(lambda key: batch(key, arrays), keys)

    mesh = Mesh(np.array(devices), ("core",))
    split, whole = PartitionSpec("core"), PartitionSpec()
    every = jax.jit(jax.shard_map(on_device, mesh=mesh, in_specs=(split, whole), out_specs=split, check_vma=False))

    def run() -> Positions:
        with jax.default_device(devices[0]):
            keys = jax.random.split(jax.random.key(seed, impl="threefry2x32"), len(devices) * batches)
        keys = jax.device_put(keys, NamedSharding(mesh, split))
        arrays = jax.device_put(weights.single, NamedSharding(mesh, whole))
        found = np.asarray(every(keys, arrays))
        return np.ascontiguousarray(found.transpose(0, 2, 1).reshape(-1, d)[:n])

    return run


def jax_scan(d: int, n: int, steps: int, seed: int) -> Run:
    """JAX: a jitted `lax.scan` over the steps, with `jax.random.normal` inside.

    Threefry keys, a structure of arrays. Lost: one device with XLA's own threads (half the speed in one
    dimension, nearly all in eight), the keys `rbg` and `unsafe_rbg` (a third), rows of particles (n, d) (half in two
    dimensions), sums written out instead of small products (a fourth in two, a tenth in eight), Box–Muller (half).
    No difference: unrolled steps, a scan over the pieces around one over their steps, barriers between noise and drift.
    No buffer is there to donate: the start is drawn inside.
    """
    import jax
    import jax.numpy as jnp

    length = _steps_per_piece(steps)
    h, deviation = _scales(steps)

    def move(x: Any, key: Any, arrays: Any) -> Any:
        def step(x: Any, i: Any) -> tuple[Any, None]:
            a, w, b = (array[i // length] for array in arrays)
            noise = jax.random.normal(jax.random.fold_in(key, i), x.shape)
            y = x + (h * a) @ jnp.tanh(w @ x + b[:, None]) + deviation * noise
            return 2.0 * jnp.clip(y, -1.0, 1.0) - y, None  # folded once: a step is far shorter than the box

        return jax.lax.scan(step, x, jnp.arange(steps))[0]

    return _jax_run(d, n, seed, move, problem(d))


def diffrax(d: int, n: int, steps: int, seed: int) -> Run:
    """diffrax: Euler on the unfolded path of a batch of particles, with `UnsafeBrownianPath` in `ForwardMode`.

    Batches of particles are one state, (d, batch). Lost: `VirtualBrownianTree` (a tenth of the speed or less), one
    particle at a time under `vmap` with a key each (a fourth to two thirds), rows of particles (half in two
    dimensions).
    """
    import diffrax as dfx
    import jax
    import jax.numpy as jnp
    import lineax

    length = _steps_per_piece(steps)
    h, deviation = _scales(steps)

    def fold(y: Any) -> tuple[Any, Any]:
        """Position in the box, and whether the fold mirrors there."""
        near = y - 4.0 * jnp.round(0.25 * y)
        inside = jnp.clip(near, -1.0, 1.0)
        return 2.0 * inside - near, inside != near

    def drift(t: Any, y: Any, arrays: Any) -> Any:
        a, w, b = (array[jnp.minimum(t.astype(jnp.int32) // length, PIECES - 1)] for array in arrays)
        x, mirrored = fold(y)
        moved = (h * a) @ jnp.tanh(w @ x + b[:, None])
        return jnp.where(mirrored, -moved, moved)

    def noise(_t: Any, y: Any, _arrays: Any) -> Any:
        return lineax.DiagonalLinearOperator(jnp.full_like(y, deviation))

    def move(x: Any, key: Any, arrays: Any) -> Any:
        path = dfx.UnsafeBrownianPath(jax.ShapeDtypeStruct(x.shape, x.dtype), key)
        solution = dfx.diffeqsolve(
            dfx.MultiTerm(dfx.ODETerm(drift), dfx.ControlTerm(noise, path)),
            dfx.Euler(),
            t0=0.0,
            t1=float(steps),
            dt0=1.0,
            y0=x,
            args=arrays,
            saveat=dfx.SaveAt(t1=True),
            stepsize_controller=dfx.ConstantStepSize(),
            adjoint=dfx.ForwardMode(),
            max_steps=steps,
            throw=False,
        )
        return fold(solution.ys[-1])[0]

    return _jax_run(d, n, seed, move, problem(d))


# PyTorch: its normal_() is serial, so each core moves particles of its own in a thread of its own.


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within, PyTorch's operations start no threads themselves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _torch_run(d: int, n: int, seed: int, size: int, move: Callable[[Tensor, torch.Generator], Tensor]) -> Run:
    """Positions of all particles, `size` at a time on every core; move(x (d, size), generator) → (d, size)."""
    count = math.ceil(n / size)

    def part(number: int) -> Tensor:
        state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
        with torch.no_grad():
            return move(torch.rand((d, size), generator=generator).mul_(2.0).sub_(1.0), generator)

    def run() -> Positions:
        with _one_thread(), ThreadPoolExecutor(CORES) as pool:
            found = np.concatenate([moved.numpy() for moved in pool.map(part, range(count))], axis=1)
        return np.ascontiguousarray(found[:, :n].T)

    return run


def _torch_weights(d: int, h: float) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(h A, W, b (m, 1)) of each piece."""
    a, w, b = (torch.from_numpy(array) for array in problem(d).single)
    return [(h * a[k], w[k], b[k, :, None]) for k in range(PIECES)]


def torch_eager(d: int, n: int, steps: int, seed: int) -> Run:
    """PyTorch: a plain loop in place on a structure of arrays, with `normal_()`.

    Lost: sums written out instead of small products (equal in one dimension, a tenth slower in more), smaller batches.
    """
    length = _steps_per_piece(steps)
    h, deviation = _scales(steps)
    pieces = _torch_weights(d, h)

    def move(x: Tensor, generator: torch.Generator) -> Tensor:
        noise, room = torch.empty_like(x), torch.empty_like(x)
        for a, w, b in pieces:
            for _ in range(length):
                torch.addmm(b, w, x, out=room).tanh_()
                x.addmm_(a, room).add_(noise.normal_(generator=generator), alpha=deviation)
                torch.clamp(x, -1.0, 1.0, out=room)
                x.lerp_(room, 2.0)  # 2 clamp(x) − x: folded once
        return x

    return _torch_run(d, n, seed, math.ceil(n / CORES), move)


def torch_compiled(d: int, n: int, steps: int, seed: int) -> Run:
    """PyTorch: `torch.compile` of a step, fed by `normal_()`.

    Sums are written out up to dimension 2; above it small products are as fast and compile sooner. Lost: `torch.randn`
    inside the graph (a sixth of the speed), smaller batches. No gain: several steps in one graph.
    """
    length = _steps_per_piece(steps)
    h, deviation = _scales(steps)
    pieces = _torch_weights(d, h)
    size = math.ceil(n / CORES)

    def advance(x: Tensor, noise: Tensor, a: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = x + _small_product(a, torch.tanh(_small_product(w, x) + b)) + deviation * noise
        return 2.0 * y.clamp(-1.0, 1.0) - y

    # A copy with bytecode of its own: compilations are counted, and limited, for each.
    own = types.FunctionType(advance.__code__.replace(), advance.__globals__, closure=advance.__closure__)
    compiled = torch.compile(own, fullgraph=True, dynamic=False)

    def move(x: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.empty_like(x)
        for a, w, b in pieces:
            for _ in range(length):
                x = compiled(x, noise.normal_(generator=generator), a, w, b)
        return x

    with _one_thread(), torch.no_grad():  # once in this thread, so that the others do not compile side by side
        compiled(torch.zeros(d, size), torch.zeros(d, size), *pieces[0])
    return _torch_run(d, n, seed, size, move)


def _small_product(matrix: Tensor, x: Tensor) -> Tensor:
    if len(matrix) > 2:
        return matrix @ x
    return torch.stack([functools.reduce(torch.add, (row[j] * x[j] for j in range(len(x)))) for row in matrix])


def torchsde(d: int, n: int, steps: int, seed: int) -> Run:
    """torchsde: `sdeint` with its Euler method and its `BrownianInterval` on the unfolded path.

    Lost: a smaller cache of the interval, one thread of ours with PyTorch's own (half). Open to a user and not raced: a
    Brownian motion of one's own that draws `torch.randn` for each step (1.3 to 1.5 times the speed).
    """
    import torchsde as library

    length = _steps_per_piece(steps)
    h, deviation = _scales(steps)
    pieces = [(a.T.contiguous(), w.T.contiguous(), b[:, 0]) for a, w, b in _torch_weights(d, h)]

    def fold(y: Tensor) -> tuple[Tensor, Tensor]:
        near = y - 4.0 * torch.round(0.25 * y)
        inside = near.clamp(-1.0, 1.0)
        return 2.0 * inside - near, inside != near

    class Equation(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            a, w, b = pieces[min(int(t) // length, PIECES - 1)]
            x, mirrored = fold(y)
            moved = torch.addmm(b, x, w).tanh_() @ a
            return torch.where(mirrored, -moved, moved)

        def g(self, _t: Tensor, y: Tensor) -> Tensor:
            return torch.full_like(y, deviation)

        def f_and_g_prod(self, t: Tensor, y: Tensor, increment: Tensor) -> tuple[Tensor, Tensor]:
            return self.f(t, y), deviation * increment

    def move(x: Tensor, generator: torch.Generator) -> Tensor:
        entropy = int(torch.randint(2**62, (), generator=generator))
        start = x.T.contiguous()
        path = library.BrownianInterval(0.0, float(steps), size=tuple(start.shape), entropy=entropy, dt=1.0)
        ends = torch.tensor([0.0, float(steps)])
        return fold(library.sdeint(Equation(), start, ends, bm=path, dt=1.0, method="euler")[-1])[0].T

    return _torch_run(d, n, seed, math.ceil(n / CORES), move)


PEERS = (
    Peer("JAX, scan", ("jax",), jax_scan),
    Peer("diffrax", ("diffrax",), diffrax),
    Peer("torchsde", ("torchsde",), torchsde),
    Peer("PyTorch, eager", ("torch",), torch_eager),
    Peer("PyTorch, compiled", ("torch",), torch_compiled),
)
DISTRIBUTIONS = {name: name for name in ("jax", "diffrax", "torchsde", "torch")}


def installed() -> tuple[list[Peer], list[str]]:
    """The peers that can run here, and a line on each library: its version, or why it is skipped."""
    found, notes = present(DISTRIBUTIONS)
    return [peer for peer in PEERS if all(module in found for module in peer.modules)], notes


def main(arguments: list[str] | None = None) -> int:
    """Race the peers among themselves. Returns 0, or 1 where they do not agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sde_peers", description="Simulators of one SDE.")
    parser.add_argument("--particles", type=int, default=2**14, metavar="N")
    parser.add_argument("--steps", type=int, default=50, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[1, 2, 8], metavar="D")
    options = parser.parse_args(arguments)
    peers, notes = installed()
    print("\n".join(f"  * {note}" for note in notes), flush=True)
    agreed = True
    for d in options.dimensions:
        prepared = [first_call(peer, d, options.particles, options.steps, 1 + i) for i, peer in enumerate(peers)]
        timings = _turns(prepared, options.rounds)
        results = {one.peer.name: one.positions for one in prepared}
        scores = agreement(results)
        title = f"d = {d}, {options.particles} particles, {options.steps} steps"
        print("\n" + _speeds(title, prepared, timings, options.particles * options.steps), flush=True)
        if not scores:
            continue
        share = len(scores) // math.comb(len(results), 2)
        for number, pair in enumerate(combinations(results, 2)):
            z = scores[number * share : (number + 1) * share]
            print(f"  {' against '.join(pair)}: z from {min(z):+.2f} to {max(z):+.2f}, rms {np.std(z):.2f}")
        worst = max(map(abs, scores))
        agreed = agreed and worst <= MOST_ERRORS
        verdict = "ok" if worst <= MOST_ERRORS else "DIFFER"
        print(f"  {len(scores)} z-scores, largest {worst:.2f} (at most {MOST_ERRORS:g}): {verdict}")
    return int(not agreed)


def _turns(prepared: Sequence[Prepared], rounds: int) -> list[Timing]:
    """Later calls, in turn."""
    found: list[list[float]] = [[] for _ in prepared]
    for _ in range(rounds):
        for one, durations in zip(prepared, found, strict=True):
            began = time.perf_counter()
            one.run()
            durations.append(time.perf_counter() - began)
    return [Timing(tuple(durations)) for durations in found]


def _speeds(title: str, prepared: Sequence[Prepared], timings: Sequence[Timing], work: int) -> str:
    rows = [
        (one.peer.name, seconds(one.first), seconds(timing.median), f"{work / timing.median:.3g}")
        for one, timing in zip(prepared, timings, strict=True)
    ]
    return Table(title, ("", "first call", "later call", "particle-steps/s"), rows).text()


if __name__ == "__main__":
    sys.exit(main())
